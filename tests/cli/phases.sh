# Phases: an expert that begins later changes no bit before, a run resumes across its beginning, and
# what is frozen stays.
. "$(dirname "$0")/common.sh"

pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
late="--set experts.edge.from=5"
params() { cat "$1"/checkpoints/"$2"/params.safetensors; }

exits 0 "$CZTC" check small.yaml $late
says out "from update 5 on (step@5)"
exits 0 "$CZTC" train small.yaml $late --out whole
exits 0 "$CZTC" train small.yaml --set experts.edge.enabled=false --out without --steps 5
exits 0 "$CZTC" train small.yaml $late --out parts --steps 5
plain() { sed 's/, "pairs\/s".*/}/' "$1" | grep -v eval | head -"$2"; }
plain without/log.jsonl 5 >a
plain whole/log.jsonl 5 >b
same a b
grep -q '"experts.edge"' b && miss "the expert is logged before it begins"
grep '"step": 6' whole/log.jsonl | grep -q '"experts.edge"' || miss "the expert is not there when it has begun"

# resumed in front of the beginning and behind it
exits 0 "$CZTC" train --resume parts --steps 6
exits 0 "$CZTC" train --resume parts
params whole step-00000008 >a
params parts step-00000008 >b
same a b

# frozen for good and for a while: the values of the beginning
exits 0 "$CZTC" train small.yaml --out free --steps 1
exits 0 "$CZTC" train small.yaml --out ice --steps 1 \
    --set "train.freeze=[{match: 'visual.*'}, {match: 'textual.*', while: 'step < 1'}]"
params free step-00000001 >a
params ice step-00000001 >b
cmp -s a b && miss "freezing changes nothing"
exits 0 "$CZTC" train small.yaml --out thaw --steps 2 \
    --set "train.freeze=[{match: 'visual.*'}, {match: 'textual.*', while: 'step < 1'}]"
params thaw step-00000002 >c
cmp -s b c && miss "what is frozen for a while stays so"

# a step file without its entries
exits 0 "$CZTC" describe whole/step.czt
says out "step@5"

# each phase can be timed; of an entry that there is not, those there are are told
exits 0 "$CZTC" bench whole/step.czt -n 1 --json
says out '"entry": "step", "batch"'
exits 0 "$CZTC" bench whole/step.czt -n 1 --step 4 --json
says out '"entry": "step", "batch"'
exits 0 "$CZTC" bench whole/step.czt -n 1 --step 5 --json
says out '"entry": "step@5", "batch"'
exits 0 "$CZTC" bench small.yaml $late -n 1 --step 5
says out "small, step@5: "
exits 1 "$CZTC" bench whole/step.czt -n 1 --entry step@6
says err "whole/step.czt: the program has no entry 'step@6'; it has init, "
says err ", step@5"

# a slow copy: it takes the student's values at its beginning, whenever the run is cut off
cat >slow.yaml <<'END'
cztc: 1
extends: small.yaml
import: [encoders/vit, encoders/text, experts/dense, losses/contrastive, losses/dense, metrics/dense, optim/adamw, optim/clip]
ema:
  slow: {of: visual, momentum: 0.5, from: 5}
losses:
  follow: {from: 5, loss: "1 - cosine_similarity(visual.embedding, stop_gradient(slow.visual.embedding))"}
eval: {model: slow}
END
exits 0 "$CZTC" train slow.yaml --out slow
for at in 4 5 6; do
    exits 0 "$CZTC" train slow.yaml --out slow$at --steps $at
    exits 0 "$CZTC" train --resume slow$at
    for file in params.safetensors state.safetensors; do
        same slow/checkpoints/step-00000008/$file slow$at/checkpoints/step-00000008/$file
    done
done
# in bf16 too, where the steps before round nothing of it; nor do those behind it where only an evaluation reads it
for kind in followed seen; do
    case $kind in seen) set -- --set precision=bf16 --set losses.follow.enabled=false ;; *) set -- --set precision=bf16 ;; esac
    exits 0 "$CZTC" compile slow.yaml "$@" -o $kind.czt
    exits 0 "$CZTC" train $kind.czt --out $kind
    for at in 4 5 6; do
        exits 0 "$CZTC" train $kind.czt --out $kind$at --steps $at
        exits 0 "$CZTC" train --resume $kind$at
        for file in params.safetensors state.safetensors; do
            same $kind/checkpoints/step-00000008/$file $kind$at/checkpoints/step-00000008/$file
        done
        plain() { sed 's/, "pairs\/s".*}/}/' "$1"; }
        plain $kind/log.jsonl >a
        plain $kind$at/log.jsonl >b
        same a b
    done
done
grep -qa '"refresh":true' seen.czt || miss "the evaluation does not refresh"
# its loss in the first update is 0 but for rounding
grep '"step": 6' slow/log.jsonl | grep -qE '"follow": (0,|-?[0-9.]+e-0[6-9])' || miss "the copy does not begin as the student"

# before it begins, and with parameters alone, what is evaluated is the student
exits 0 "$CZTC" train slow.yaml --set eval.model=slow --out early --steps 4
sed -i 's/^eval:.*//' slow.yaml
exits 0 "$CZTC" train slow.yaml --out student --steps 4
figure() { grep -o '"eval.held[^}]*' "$1/log.jsonl"; }
figure early >a
figure student >b
same a b
[ -s a ] || miss "nothing was evaluated"

# what check says of the phases
exits 0 "$CZTC" check slow.yaml
says out "from update 5 on (step@5)"
exits 0 "$CZTC" check slow.yaml --json
[ "$(head -c 1 out)" = "{" ] && grep -q '"step@5": {' out || miss "no JSON object with the phase"

# a loss is an output anyway; a later phase's values by its entry
exits 0 "$CZTC" run small.yaml $late -n 1 --print pair
exits 0 "$CZTC" run small.yaml $late -n 1 --entry step@5 --print experts.edge
exits 0 "$CZTC" run small.yaml $late -n 1 --step 5 --print "2 * experts.edge.output"
says out '2 * experts.edge.output: {"dtype": "f32"'
exits 1 "$CZTC" run small.yaml $late -n 1 --step 4 --print experts.edge.output
says err "no output 'experts.edge.output'"
exits 1 "$CZTC" run small.yaml --set experts.edge.enabled=false -n 1 --print experts.edge.output
says err "experts.edge is off; it has no 'output'"

# the entry is that of the update
exits 0 "$CZTC" run small.yaml $late --step 4 -n 2
[ "$(grep -c 'experts.edge' out)" -eq 1 ] || miss "updates 4 and 5: $(cat out)"
grep '^step 5' out | grep -q experts.edge || miss "update 5 is one of the later phase: $(cat out)"
exits 0 "$CZTC" run small.yaml --set experts.edge.every=2 -n 3
grep '^step 1' out | grep -q experts.edge && miss "experts.edge does not rest: $(cat out)"
[ "$(grep -c 'experts.edge' out)" -eq 2 ] || miss "updates 0, 1 and 2: $(cat out)"

# a task in one update of three: it is logged then, a resumed run keeps the beat, and has the same bits
every="--set experts.edge.every=3 --set experts.edge.weight=1"
exits 0 "$CZTC" train small.yaml $every --out beat --steps 8
n=$(grep -c '"loss": .*"experts.edge": ' beat/log.jsonl)
[ "$n" -eq 3 ] || miss "experts.edge is in $n lines of 8 updates, not 3"
exits 0 "$CZTC" train small.yaml $every --out cut --steps 5
exits 0 "$CZTC" train --resume cut --steps 8
for run in beat cut; do grep '"step": 8, "loss"' $run/log.jsonl | sed 's/, "pairs\/s".*//' >$run.8; done
[ -s beat.8 ] || miss "update 8 is not in the log"
same beat.8 cut.8
# between the lines of a log, the newest values that the next line will not have
exits 0 "$CZTC" train small.yaml $every --set log.every=5 --out rare --steps 8
[ "$(grep -c '"loss"' rare/log.jsonl)" -eq 2 ] || miss "lines: $(cat rare/log.jsonl)"
for step in 4 7; do
    grep -q "^{\"step\": $step, \"experts.edge\": [^,]*}\$" rare/log.jsonl || miss "no edge of update $step"
done
[ "$(grep -c '"experts.edge"' rare/log.jsonl)" -eq 2 ] || miss "edges: $(cat rare/log.jsonl)"
exits 0 "$CZTC" check small.yaml $every
says out "without what is of every 3 (step-3)"

# what is off is not read either: a member that no sample has is missed when the loss begins that
# reads it, in this run and in one that goes on
cat >reads.yaml <<'EOF'
cztc: 1
extends: small.yaml
data: {fields: {vec: {as: vector, size: 3, member: nowhere}}}
losses: {late: {from: 5, loss: "sum(vec * vec, axis=1) * sum(visual.embedding, axis=1)"}}
eval: null
EOF
exits 0 "$CZTC" train reads.yaml --out reads --steps 5
exits 0 "$CZTC" train reads.yaml --set losses.late.enabled=false --out reads_not --steps 5
params reads step-00000005 >a
params reads_not step-00000005 >b
same a b
for run in "--resume reads" "reads.yaml --out reads_on"; do
    exits 1 "$CZTC" train $run
    says err "the sample has no member .nowhere"
done
grep -q '"step": 5' reads_on/log.jsonl || miss "what is read later is missed too early"

exit $((failed != 0))
