# Several input shapes in one run: each update takes the shape that seed and number say, each shape's
# step is that of a graph with its values, and a run that is killed goes on with the same bits. With
# a fifth argument, the stand-ins' folder, on the target cuda too.
FAKE=$5
. "$(dirname "$0")/common.sh"

pictures train
sed 's/^data:/data:\n  max_bad: 0.5/' "$SOURCE/tests/cli/small.yaml" >small.yaml
cat >shapes.yaml <<'END'
cztc: 1
extends: small.yaml
import: [encoders/vit, encoders/text, experts/dense, losses/contrastive, losses/dense, metrics/dense, optim/adamw, optim/clip]
encoders: {visual: {size: 16}}
shapes:
  - {size: 16, batch: 4}
  - {size: 24, batch: 3, weight: 2}
END
one="--set shapes=null"
second="$one --set size=24 --set batch=3"
plain() { sed 's/, "pairs\/s".*/}/' "$1/log.jsonl"; }
state() { cat "$1"/checkpoints/"$2"/*.safetensors; }

# what is there
exits 0 "$CZTC" check shapes.yaml
says out "shape   size: 16, batch: 4 (step): the step above"
says out "shape   size: 24, batch: 3, weight 2 (step/2): "
exits 0 "$CZTC" check shapes.yaml --json
says out '"shape": "size: 24, batch: 3", "entry": "step/2", "batch": 3, "weight": 2.0'
exits 0 "$CZTC" compile shapes.yaml -o shapes.czt
exits 0 "$CZTC" describe shapes.czt
says out "shapes      size: 16, batch: 4 (step)"
says out "            size: 24, batch: 3, weight 2 (step/2)"
says out "u8 [3, 24, 24, 3]"
exits 0 "$CZTC" bench shapes.czt -n 1
says out "small, size: 16, batch: 4: "
says out "small, size: 24, batch: 3: "
exits 0 "$CZTC" bench shapes.yaml --set experts.edge.from=5 -n 1 --step 6
says out "small, step@5, size: 16, batch: 4: "
says out "small, step@5/2, size: 24, batch: 3: "
exits 0 "$CZTC" bench shapes.czt -n 1 --entry step/2 --json
says out '"entry": "step/2", "batch": 3'

# the step of each shape is that of a graph with its values: the same bits from the same inputs
exits 0 "$CZTC" run shapes.yaml -n 2 --entry step
mv out first
exits 0 "$CZTC" run shapes.yaml $one -n 2
same first out
exits 0 "$CZTC" run shapes.yaml -n 2 --entry step/2
mv out other
exits 0 "$CZTC" run shapes.yaml $second -n 2
same other out
cmp -s first other && miss "both shapes do the same"
exits 0 "$CZTC" run shapes.yaml --set 'shapes=[{size: 24, batch: 3}]' -n 2
same other out

# a run takes both, twice as often the second; rates count its own batches
exits 0 "$CZTC" train shapes.czt --out whole --steps 24 --checkpoint-every 100 --json
pairs=$(grep -o '"pairs_per_s": [0-9.]*' out | tr -dc 0-9.) seconds=$(grep -o '"seconds": [0-9.]*' out | tr -dc 0-9.)
ones=$(grep -c '"loss": .*"shape": 1' whole/log.jsonl) twos=$(grep -c '"loss": .*"shape": 2' whole/log.jsonl)
[ "$((ones + twos))" -eq 24 ] && [ "$ones" -ge 4 ] && [ "$twos" -ge 12 ] || miss "$ones updates of shape 1, $twos of 2"
echo "$pairs $seconds $((4 * ones + 3 * twos))" |
    awk '{x = $1 * $2 / $3; exit !(x > 0.999 && x < 1.001)}' || miss "$pairs pairs/s in $seconds s of $ones and $twos updates"
# the first update is what the graph of its shape alone does, from the same samples
shape=$(sed -n 's/^{"step": 1, .*"shape": \([12]\),.*/\1/p' whole/log.jsonl)
[ "$shape" = 2 ] || miss "the first update of seed 3 has shape $shape"
exits 0 "$CZTC" train shapes.yaml $second --out alone --steps 1
loss() { sed -n 's/^{"step": 1, \("loss": .*"experts.edge": [^,]*\),.*/\1/p' "$1/log.jsonl"; }
[ -n "$(loss alone)" ] && [ "$(loss alone)" = "$(loss whole)" ] || miss "update 1: $(loss alone), $(loss whole)"
# another seed, other shapes; evaluation is of the first
exits 0 "$CZTC" train shapes.czt --out seeded --steps 12 --seed 4
drawn() { sed -n 's/.*"shape": \([12]\).*/\1/p' "$1/log.jsonl" | head -12 | tr -d '\n'; }
[ "$(drawn seeded)" != "$(drawn whole)" ] || miss "two seeds draw $(drawn whole)"
exits 0 "$CZTC" eval whole --data train-00000.tar --json
says out '"samples": 12'

# asked to end, or killed at any moment, it goes on with the same bits, by the checkpoint's seed too
exits 0 "$CZTC" train shapes.czt --out parts --steps 5
for until in 6 9 24; do exits 0 "$CZTC" train --resume parts --steps $until; done
exits 0 "$CZTC" train --resume seeded --steps 24
exits 0 "$CZTC" train shapes.czt --out seeded_whole --steps 24 --seed 4
# how to go on: anew until there is a whole checkpoint
how() { ls killed/checkpoints 2>/dev/null | grep -qv tmp && echo --resume killed || echo --out killed; }
for pause in 0.3 0.5 0.2 0.7; do
    "$CZTC" train shapes.czt $(how) --steps 24 --checkpoint-every 1 >out 2>err &
    pid=$!
    sleep $pause
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
done
exits 0 "$CZTC" train shapes.czt $(how) --steps 24 --checkpoint-every 1
state whole step-00000024 >whole.state
plain whole | grep -v eval >whole.log
for run in parts killed; do
    state $run step-00000024 >$run.state
    plain $run | grep -v eval >$run.log
    same whole.state $run.state
    same whole.log $run.log
done
state seeded_whole step-00000024 >a
state seeded step-00000024 >b
same a b

# with a sample that is bad, whose place others take
mkdir bad && (cd bad && tar -xf ../train-00000.tar && for f in 00000005.[jpw]*; do echo x >"$f"; done &&
    tar -cf ../bad-00000.tar --sort=name *)
exits 0 "$CZTC" train shapes.czt --data bad-00000.tar --out bad_whole --steps 24
exits 0 "$CZTC" train shapes.czt --data bad-00000.tar --out bad_parts --steps 7 --workers 1
exits 0 "$CZTC" train --resume bad_parts --data bad-00000.tar --steps 24 --workers 5
state bad_whole step-00000024 >a
state bad_parts step-00000024 >b
same a b
cmp -s a whole.state && miss "a bad sample changes nothing"

# phases, periods and parts of the batch, each of both shapes
all="--set experts.edge.from=5 --set experts.edge.every=3 --set train.accumulate=2"
both="shapes=[{size: 16, batch: 4}, {size: 24, batch: 2}]"
exits 0 "$CZTC" check shapes.yaml $all --set "$both"
says out "step@5/2.backward, 2 times: "
exits 0 "$CZTC" train shapes.yaml $all --set "$both" --out parted --steps 12
exits 0 "$CZTC" train shapes.yaml $all --set "$both" --out cut --steps 7
exits 0 "$CZTC" train --resume cut --steps 12
state parted step-00000012 >a
state cut step-00000012 >b
same a b
grep '"step": 7,' parted/log.jsonl | grep -q '"experts.edge"' || miss "the expert is not there in update 7"
exits 0 "$CZTC" run shapes.yaml $all --set "$both" --entry step@5/2 -n 1
mv out other
exits 0 "$CZTC" run shapes.yaml $all $one --set size=24 --set batch=2 --entry step@5 -n 1
same other out

# what cannot be
exits 1 "$CZTC" train shapes.yaml --set batch=8 --out no
says err "shapes.yaml:6:16: error: 'batch' is set by --set and by this row"
exits 1 "$CZTC" check shapes.yaml --set encoders.visual.size=null
says err "'visual.pos' is f32[10, 32] with size: 24, batch: 3, and f32[5, 32] with size: 16, batch: 4"
exits 1 "$CZTC" check shapes.yaml --set train.accumulate=2
says err "a batch of 3 cannot be cut into 2 equal parts"

# the target cuda, through the stand-in for its driver: the bits of the CPU
if [ -n "$FAKE" ]; then
    CZT_CUDA_LIBS=$FAKE CZT_FAKE_CACHE=$PWD
    export CZT_CUDA_LIBS CZT_FAKE_CACHE
    CZT_FAKE_LOG=$PWD/calls exits 0 "$CZTC" train shapes.yaml --target cuda --out cuda --steps 8
    exits 0 "$CZTC" train shapes.yaml --out cpu --steps 8
    sed '1,/^graph_launch/d' calls >running
    grep alloc running && miss "memory was allocated in a run"
    plain cpu >a
    plain cuda >b
    same a b
    exits 0 "$CZTC" train shapes.yaml --target cuda --out cuda_parts --steps 3
    exits 0 "$CZTC" train --resume cuda_parts --steps 8
    state cpu step-00000008 >a
    for run in cuda cuda_parts; do
        state $run step-00000008 >b
        same a b
    done
fi

exit $((failed != 0))
