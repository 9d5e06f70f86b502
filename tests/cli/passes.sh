# Passes from the command line: lists, dumps, times; code for other CPUs; derived state that lives
# through training, a resume and an evaluation. Arguments: CZTC SOURCE FOLDER.
. "$(dirname "$0")/common.sh"
small=$SOURCE/tests/cli/small.yaml

# every pass can be named, dumped, left out, stopped after
exits 0 "$CZTC" opt "$small" --dump-after=simplify,layout,fuse,lower,memplan --time-passes
for pass in simplify layout fuse lower memplan; do says err "# after $pass"; done
for text in "groups" "kernels in" "MiB of scratch" "group 0" "launch 0"; do says err "$text"; done
exits 0 "$CZTC" opt "$small" --stop-after=autodiff
exits 1 "$CZTC" opt "$small" --passes=fuse
says err "pass fuse needs that"
exits 1 "$CZTC" opt "$small" --passes=autodiff,autodif
says err "did you mean 'autodiff'?"
mkdir dump
exits 0 "$CZTC" compile "$small" --dump-dir=dump --time-passes
for file in 00-input.ir 02-autodiff.ir 10-fuse.txt 13-memplan.txt; do
    [ -s "dump/$file" ] || miss "no dump/$file: $(ls dump)"
done
exits 0 "$CZTC" opt dump/02-autodiff.ir --passes=simplify
exits 1 "$CZTC" compile "$small" --skip=memplan
says err "memplan was left out"

# what a target has no code for is an error at its place
sed 's/weight: 0.25 \* step/weight: 0.25 * cast(exp(cast(step, f64)), f32)/' "$small" >wide.yaml
exits 1 "$CZTC" compile wide.yaml
says err "wide.yaml:31:29: error: the target cpu has no code for 'exp' of f64"
exits 1 "$CZTC" compile wide.yaml --target cuda:text
says err "wide.yaml:31:29: error: the target cuda has no code for 'cast' of f64"
says err "compute in f32: cast(x, f32) makes it that"

# sizes from which products are cut, and of pieces; the cache keeps steps of other sizes apart
stream=$SOURCE/tests/passes/stream.ir
exits 0 "$CZTC" opt "$stream" --stop-after=stream
grep -q 'copy=' out && miss "a small product is cut"
exits 0 "$CZTC" opt "$stream" --stop-after=stream --stream-above=1024 --stream-piece=768
says out 'f32[5, 32]'
says out 'copy=1'
exits 0 "$CZTC" compile "$stream" --json
cp out whole.json
exits 0 "$CZTC" compile "$stream" --json --stream-above=1024 --stream-piece=768
[ "$(grep -o '"calls": [0-9]*' out)" != "$(grep -o '"calls": [0-9]*' whole.json)" ] || miss "the same step"
exits 2 "$CZTC" compile "$stream" --stream-piece=0

# code for any CPU of a level gives the same bits
exits 0 "$CZTC" compile "$small" --target cpu:x86-64-v3 -o v3.czt
exits 0 "$CZTC" compile "$small" -o host.czt
exits 0 "$CZTC" run v3.czt -n 3 --json
cp out v3.json
exits 0 "$CZTC" run host.czt -n 3 --json
same out v3.json
exits 2 "$CZTC" compile "$small" --target cpu:znver9
says err "x86-64-v3"

# tile registers are asked for where products of bf16 use them, and nowhere else
exits 0 "$CZTC" compile "$small" --target cpu:x86-64-v4+amx -o plain.czt
exits 0 "$CZTC" describe plain.czt
says out "avx512vl"
! grep -q amx out || miss "tile registers without a use"
exits 0 "$CZTC" compile "$small" --set precision=bf16 --target cpu:x86-64-v4+amx -o tiles.czt
exits 0 "$CZTC" describe tiles.czt
says out "amx-bf16 amx-tile"
if ! grep -q -w amx_bf16 /proc/cpuinfo; then
    exits 1 "$CZTC" run tiles.czt -n 1
    says err "amx-bf16, amx-tile, which this CPU"
fi
exits 2 "$CZTC" compile "$small" --target tpu
says err "there is no target 'tpu'"

# sizes and precision from outside; a bare name is one of let or of train
exits 0 "$CZTC" check "$SOURCE/graphs/bench/micro.yaml" --set batch=2 --set precision=f32 --json
says out '"batch": 2'
says out '"inputs": {'
says out '"image": "f32[2b, 3, 64, 64]"'
exits 1 "$CZTC" check "$SOURCE/graphs/bench/micro.yaml" --set precision=fp16
says err "there is no precision 'fp16'"
exits 0 "$CZTC" bench "$SOURCE/graphs/bench/micro.yaml" --set batch=2 --set precision=bf16 -n 1 --json
says out '"checked": "yes"'
exits 0 "$CZTC" bench "$SOURCE/graphs/bench/micro.yaml" --set batch=2 -n 1 --json
says out '"checked": "yes"'

# what depends on a frozen teacher's weights alone is derived: the same run, also after a resume
pictures train
cp "$SOURCE"/tests/cli/*.yaml .
exits 0 "$CZTC" compile taught.yaml -o taught.czt --dump-after=derive
says err 'state derived "$derived.0"'
exits 0 "$CZTC" compile taught.yaml -o plain.czt --skip=derive
exits 0 "$CZTC" train plain.czt --out plain --steps 6
exits 0 "$CZTC" train taught.czt --out taught --steps 3
exits 0 "$CZTC" train --resume taught --steps 6
for run in plain taught; do
    sed 's/, "pairs\/s".*/}/' $run/log.jsonl >$run.log
    cat $run/checkpoints/step-00000006/*.safetensors >$run.state
    exits 0 "$CZTC" eval $run --json
    cp out $run.eval
done
same plain.log taught.log
same plain.state taught.state
same plain.eval taught.eval

# in bf16 a resumed run has the shadows that it left; and f32 takes over from its checkpoint
exits 0 "$CZTC" compile taught.yaml --set precision=bf16 -o half.czt
exits 0 "$CZTC" train half.czt --out whole --steps 4
exits 0 "$CZTC" train half.czt --out parts --steps 2
exits 0 "$CZTC" train --resume parts --steps 4
for run in whole parts; do
    sed 's/, "pairs\/s".*/}/' $run/log.jsonl >$run.log
    cat $run/checkpoints/step-00000004/*.safetensors >$run.state
done
same whole.log parts.log
same whole.state parts.state
exits 0 "$CZTC" train taught.czt --resume parts --steps 5

exit $((failed > 0))
