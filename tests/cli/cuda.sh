# The target cuda through a stand-in for the driver (tests/cuda_fake), which runs CUDA text on the
# CPU: the same bits as the target cpu, one graph a step, nothing allocated once it runs, and clear
# errors. The fourth argument is the stand-in's folder.
FAKE=$4
. "$(dirname "$0")/common.sh"
CZT_CUDA_LIBS=$FAKE CZT_FAKE_CACHE=$PWD
export CZT_CUDA_LIBS CZT_FAKE_CACHE

pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
plain() { sed 's/, "pairs\/s".*/}/' "$1"; }
# the program and its log differ in the target's name only
state() { cat "$1"/checkpoints/step-00000008/*.safetensors; }

# a whole run: losses, parameters and optimiser state have the bits of the target cpu
exits 0 "$CZTC" train small.yaml --out cpu
CZT_FAKE_LOG=$PWD/calls exits 0 "$CZTC" train small.yaml --out cuda --target cuda
says out "finished at step 8"
plain cpu/log.jsonl >cpu.log
plain cuda/log.jsonl >cuda.log
same cpu.log cuda.log
state cpu >cpu.state
state cuda >cuda.state
same cpu.state cuda.state

# statistics of teachers, and a run with them
cp "$SOURCE/tests/cli/phi.yaml" phi.yaml
exits 0 "$CZTC" stats phi.yaml
mv phi phi_cpu
exits 0 "$CZTC" stats phi.yaml --target cuda --force
for f in phi_cpu/*; do same "$f" "phi/${f#phi_cpu/}"; done
exits 0 "$CZTC" train phi.yaml --out phi_run --steps 2 --target cuda

# checkpoints that are written while updates go on, each begun behind the one before
exits 0 "$CZTC" train small.yaml --out often --target cuda --checkpoint-every 1
state often >often.state
same cpu.state often.state
[ "$(ls often/checkpoints | tr '\n' ' ')" = "step-00000006 step-00000007 step-00000008 " ] ||
    miss "other checkpoints than the newest three are there: $(ls often/checkpoints)"

# after the first launch nothing is allocated; a step is one graph launch
sed '1,/^graph_launch/d' calls >running
grep alloc running && miss "memory was allocated in a run"
grep '^launch' running && miss "kernels were launched outside of graphs"
kernels=$(sed -n 's/^graph_launch //p' calls | sort | uniq -c | awk '$1 == 8 {print $2}')
[ "${kernels:-0}" -gt 50 ] || miss "no graph of many kernels was launched once for each of 8 steps"

# a step in parts of its batch: the same bits again, and of its inputs the GPU has a part alone
exits 0 "$CZTC" train small.yaml --set train.accumulate=2 --out parts_cpu
CZT_FAKE_LOG=$PWD/calls_of_parts exits 0 "$CZTC" train small.yaml --set train.accumulate=2 --out parts_cuda --target cuda
state parts_cpu >parts_cpu.state
state parts_cuda >parts_cuda.state
same parts_cpu.state parts_cuda.state
plain parts_cpu/log.jsonl >parts_cpu.log
plain parts_cuda/log.jsonl >parts_cuda.log
same cpu.log cuda.log
sed '1,/^graph_launch/d' calls_of_parts >running
grep alloc running && miss "memory was allocated in a run of parts"
[ "$(sed -n 's/^graph_launch //p' calls_of_parts | sort | uniq -c | awk '$1 == 16' | wc -l)" -eq 2 ] ||
    miss "features and backward were not launched twice for each of 8 steps"

# before an expert begins: the bits of the run without it
for run in late without; do
    when=experts.edge.from=5
    [ $run = late ] || when=experts.edge.enabled=false
    exits 0 "$CZTC" train small.yaml --set $when --set "export.parts=[visual, textual, losses.*]" \
        --out $run --target cuda --steps 3
    plain $run/log.jsonl >$run.log
    exits 0 "$CZTC" export $run -o $run.safetensors
done
grep -q '"step": 3' late.log || miss "late has no three updates"
same late.log without.log
same late.safetensors without.safetensors

# products by the library and the rest by a kernel: the stand-in sums in the same order
CZT_FAKE_LOG=$PWD/library exits 0 "$CZTC" train small.yaml --out blas --target cuda --products library
grep -q '^host ' library || miss "the library did no product"
state blas >blas.state
same cpu.state blas.state
# products in pieces, whose sums the library adds up
pieces="$SOURCE/tests/passes/stream.ir --stream-above=1024 --stream-piece=300"
exits 0 "$CZTC" compile $pieces -o pieces.czt
exits 0 "$CZTC" run pieces.czt -n 3
mv out pieces.cpu
exits 0 "$CZTC" compile $pieces --target cuda -o pieces.czt
grep -qa '"sum"' pieces.czt || miss "the library is told of no sum"
CZT_FAKE_LOG=$PWD/sums exits 0 "$CZTC" run pieces.czt -n 3 --products library
same pieces.cpu out
grep -q '^host ' sums || miss "the library did no product in pieces"
# in tf32 it is told so, and has numbers of no more bits: the stand-in makes NaN of others
exits 0 "$CZTC" run small.yaml --set precision=tf32 -n 2
mv out tf32.cpu
exits 0 "$CZTC" compile small.yaml --set precision=tf32 --target cuda -o tf32.czt
grep -qa '"from": *"tf32"' tf32.czt || miss "no product is in tf32"
CZT_FAKE_LOG=$PWD/tf32 exits 0 "$CZTC" run tf32.czt -n 2 --products library
grep -q '^host ' tf32 || miss "the library did no product in tf32"
same tf32.cpu out
# products of two precisions, one of which rounds what the other gives
cat >two.ir <<END
program "two" batch=2 steps=1 seed=0
state param "w" f32[64, 64] trainable
entry "step" {
  %x = input {name="x"} : f32[32b16, 64]
  %w = state {name="w"} : f32[64, 64]
  %y = dot %x, %w {lc=[1], rc=[1], precision="tf32"} : f32[32b16, 64]
  %z = dot %y, %w {lc=[1], rc=[1], precision="bf16"} : f32[32b16, 64]
  output "z" %z
}
END
exits 0 "$CZTC" run two.ir
mv out two.cpu
exits 0 "$CZTC" compile two.ir --target cuda -o two.czt
for products in own library; do
    exits 0 "$CZTC" run two.czt --products $products
    same two.cpu out
done
# the peak is the library's: of a product of 8192 in 1 ms here
exits 0 "$CZTC" bench tf32.czt -n 1 --json
says out '"peak_gflops": 1099511.6'
# of 8-bit floats, which the stand-in takes by cuBLASLt's rules
cat >bytes.ir <<'END'
program "bytes" batch=2 steps=1 seed=0
entry "step" {
  %xf = input {name="x"} : f32[32, 64]
  %x = cast %xf : f8e4m3[32, 64]
  %yf = input {name="y"} : f32[48, 64]
  %y = cast %yf : f8e4m3[48, 64]
  %bf = input {name="b"} : f32[48]
  %b = cast %bf : bf16[48]
  %p = dot %x, %y {lc=[1], rc=[1]} : f32[32, 48]
  %w = cast %b : f32[48]
  %v = broadcast %w {axes=[1]} : f32[32, 48]
  %s = add %p, %v
  %r = cast %s : bf16[32, 48]
  %d = dot %y, %x {lc=[1], rc=[1]} : f32[48, 32]
  output "r" %r
  output "d" %d
}
END
exits 0 "$CZTC" compile bytes.ir -o bytes.czt
exits 0 "$CZTC" run bytes.czt --print r --print d
mv out bytes.cpu
exits 0 "$CZTC" compile bytes.ir --target cuda -o bytes.czt
CZT_FAKE_LOG=$PWD/of_bytes exits 0 "$CZTC" run bytes.czt --print r --print d --products library
same bytes.cpu out
[ "$(grep -c '^host ' of_bytes)" -gt 1 ] || miss "the library did no products of 8-bit floats"
# measured, plain ones go to the library (1 ms on the stand-in), those with a rest (1 + 2) do not:
# after the last kernel that was timed only products of the library are put into graphs
MICRO=$SOURCE/graphs/bench/micro.yaml
exits 0 "$CZTC" run "$MICRO" -n 5
mv out micro.cpu
CZT_FAKE_LOG=$PWD/measured exits 0 "$CZTC" run "$MICRO" -n 5 --target cuda --products measured
same micro.cpu out
[ "$(tac measured | sed '/^launch/,$d' | grep -c '^host ')" -gt 10 ] ||
    miss "no product was left to the library after measuring"
# the choices are kept: for whatever runs here, and with a run, which goes on with its own
cached=$XDG_CACHE_HOME/cztc/products.json
grep -q '"own"' "$cached" || miss "no choice of a kernel's own code is kept"
CZT_FAKE_LOG=$PWD/again exits 0 "$CZTC" run "$MICRO" --target cuda
head -n 1 micro.cpu | cmp -s - out || miss "the choices that are kept give another loss"
grep '^launch' again && miss "products were measured again"
rm "$cached"
CZT_FAKE_LOG=$PWD/first exits 0 "$CZTC" train cuda/step.czt --out kept --steps 1
cp kept/products.json kept.json
grep -q '^launch' first || miss "products were not measured"
echo '{"not": ' >"$cached"
cp "$cached" damaged
CZT_FAKE_LOG=$PWD/resumed exits 0 "$CZTC" train --resume kept --steps 2
grep '^launch' resumed && miss "a resumed run measured its products again"
same kept.json kept/products.json
same damaged "$cached"
echo '{"not": ' >kept/products.json
exits 0 "$CZTC" train --resume kept --steps 3
says err "warning: products.json does not say who did which product"
rm "$cached"
# a run that has all products by its own kernels goes on so
exits 0 "$CZTC" train cuda/step.czt --out own --steps 1 --products own
CZT_FAKE_LOG=$PWD/owned exits 0 "$CZTC" train --resume own --steps 2
# (five are the peak's)
[ "$(grep -c '^host ' owned)" -le 5 ] || miss "a resumed run left products to the library"
[ -e "$cached" ] && miss "what a run was told is kept for others"
exits 2 "$CZTC" train small.yaml --out none --target cuda --products mine
says err "--products 'mine': auto, own, library or measured"

# the run's program goes on, and evaluates
exits 0 "$CZTC" train cuda/step.czt --out parts --steps 5
exits 0 "$CZTC" train --resume parts
plain parts/log.jsonl >parts.log
same cuda.log parts.log
exits 0 "$CZTC" eval cpu --json
mv out cpu.eval
exits 0 "$CZTC" eval cuda --json
sed 's/"run": "[^"]*"//; s/"seconds.*//' out >cuda.eval
sed 's/"run": "[^"]*"//; s/"seconds.*//' cpu.eval >cpu.eval2
same cpu.eval2 cuda.eval

# more blocks than a GPU launches are told at once
cat >many.ir <<'END'
program "many" batch=2 steps=1 seed=0
entry "step" {
  %x = input {name="x"} : f32[70000, 1, 8]
  %z = dot %x, %x {lb=[0], rb=[0], lc=[2], rc=[2]} : f32[70000, 1, 1]
  output "z" %z
}
END
exits 1 "$CZTC" compile many.ir --target cuda:text -o many.czt
says err "1 x 70000 blocks are more than a GPU launches at once"

# kernels one by one, with their times
exits 0 "$CZTC" bench small.yaml --target cuda --steps 2 --profile
says err "ms in kernels a step"
says out "on GPU 0 (a CPU that runs CUDA text)"

# updates that are not finite are skipped, and looked into, while the next batch is there already
for target in cpu cuda; do
    exits 0 "$CZTC" train small.yaml --out hot-$target --target $target --steps 4 \
        --set 'train.optimizer.lr=1e30' --set train.nonfinite=skip
    state_of() { cat "$1"/checkpoints/step-00000004/*.safetensors; }
    state_of hot-$target >hot-$target.state
    [ "$(grep -c '"skipped": "the loss is' hot-$target/log.jsonl)" -eq 3 ] ||
        miss "three updates are skipped on $target"
    grep -q 'the first NaN is element [0-9]* of [0-9]* of kernel step_[a-z]*_[0-9]* from [^ ]*/lib-[^ ]*.yaml:[0-9:]* of small.yaml:[0-9]*:' \
        hot-$target/log.jsonl || miss "the kernel, its line and the line of the graph are not named on $target"
    says hot-$target/log.jsonl "; see update 2, the first of these"
    exits 1 "$CZTC" train small.yaml --out stop-$target --target $target --steps 4 \
        --set 'train.optimizer.lr=1e30'
    says err "cztc: error: update 2: the loss is not a number; the first NaN is element "
    says err " of small.yaml:"
done
same hot-cpu.state hot-cuda.state

# what can be wrong with the machine
exits 0 "$CZTC" compile "$MICRO" --target cuda -o micro.czt
CZT_CUDA_LIBS=$PWD exits 1 "$CZTC" run micro.czt
says err "there is no NVIDIA driver"
CZT_FAKE_DEVICES=0 exits 1 "$CZTC" run micro.czt
says err "sees no GPU"
exits 1 "$CZTC" run micro.czt --device 3
says err "there is no GPU 3: the driver sees 1"
CZT_FAKE_CAPABILITY=8.0 exits 1 "$CZTC" run micro.czt
says err "made for text; GPU 0 (a CPU that runs CUDA text) has compute capability 8.0: compile it with --target cuda:sm_80"
CZT_FAKE_CAPABILITY=7.5 exits 1 "$CZTC" run micro.czt
says err "has compute capability 7.5, and 8.0 (A100, RTX 30) or later is needed"
CZT_FAKE_DEVICES=0 exits 1 "$CZTC" compile "$MICRO" --target cuda -o none.czt
says err "For a GPU elsewhere the target cuda wants the GPU's architecture behind a colon, as in cuda:sm_90a: "
exits 2 "$CZTC" compile "$MICRO" --target cuda: -o none.czt
says err "as in cuda:sm_90a: sm_80 (A100), "
# the GPU that will run it is the one whose code is made
CZT_FAKE_DEVICES=2 CZT_FAKE_CAPABILITIES="7.5 0.0" exits 0 "$CZTC" run small.yaml --target cuda --device 1
exits 0 "$CZTC" run small.yaml --products own
says err "warning: --products and --device are for a GPU; small.yaml runs on the CPU"
CZT_FAKE_REFUSES=222 exits 1 "$CZTC" run micro.czt
says err "the driver (for CUDA 13.0) does not take the step's code for text: a newer driver is needed"
mkdir old
if echo | c++ -shared -fPIC -x c++ - -o old/libcuda.so.1 2>/dev/null; then
    CZT_CUDA_LIBS=$PWD/old exits 1 "$CZTC" run micro.czt
    says err "lacks cuInit: it is too old; one for CUDA 12.0 or later is needed (525.60 or later)"
fi
# without NVRTC; a machine may have one elsewhere
CZT_FAKE_CAPABILITY=9.0 "$CZTC" compile "$MICRO" --target cuda -o none.czt --no-cache >out 2>err ||
    says err "NVRTC is not installed: no libnvrtc.so in CZT_CUDA_LIBS"
CZT_FAKE_MEMORY=10 exits 1 "$CZTC" run micro.czt
says err "free are 10 of 10: there is not even room for the state"
# what is proposed where memory is short is what compile takes, and it fits; the library's workspace
# is no part of that
short="small.yaml --target cuda --set encoders.*.layers=3 --set encoders.textual.vocab=512
    --set encoders.*.width=16 --set batch=96"
CZT_FAKE_MEMORY=9 exits 1 "$CZTC" run $short
says err "free are 9 of 9: with this batch it can be made to take 7 MiB; compile it with a batch of "
CZT_FAKE_MEMORY=10 exits 1 "$CZTC" run $short
memory=$(sed -n 's/.*compile it with train.memory: \([0-9]*\) MiB.*/\1/p' err)
batch=$(sed -n 's/.* a batch of \([0-9]*\)$/\1/p' err)
CZT_FAKE_MEMORY=10 exits 0 "$CZTC" run $short --set "batch=${batch:-none}"
CZT_FAKE_MEMORY=10 exits 0 "$CZTC" run $short --set "train.memory=${memory:-none} MiB"
CZT_FAKE_MEMORY=12 exits 1 "$CZTC" run $short --products library
says err "has no 32 MiB free beside the plan's memory, which cuBLASLt wants to work in; --products own does without"
CZT_FAKE_MEMORY=12 exits 0 "$CZTC" run $short
says err "warning: small.yaml: GPU 0 (a CPU that runs CUDA text) has no 32 MiB free beside"
# without the library the kernels do all products, which is told once
mkdir alone
ln -s "$FAKE/libcuda.so.1" alone
CZT_CUDA_LIBS=$PWD/alone exits 0 "$CZTC" run small.yaml --target cuda
says err "warning: cuBLASLt is not installed: no libcublasLt.so.13 or .12 in CZT_CUDA_LIBS"
says err "the program's own kernels do all products (--products own says so without this warning)"
[ "$(grep -c cuBLASLt err)" -eq 1 ] || miss "the missing library is told more than once"
CZT_CUDA_LIBS=$PWD/alone exits 0 "$CZTC" run small.yaml --target cuda --products own
grep cuBLASLt err && miss "a library that is not wanted is missed"
CZT_CUDA_LIBS=$PWD/alone exits 1 "$CZTC" run small.yaml --target cuda --products library
says err "error: cuBLASLt is not installed"
CZT_FAKE_MEMORY=22 CZT_FAKE_TAKEN=15 exits 1 "$CZTC" run $short
says err "bytes for scratch: CUDA_ERROR_OUT_OF_MEMORY"
says err "free are 6 of 22 (nvidia-smi tells who has the rest): with this batch it can be made to take"
exits 2 "$CZTC" compile "$MICRO" --target cuda:h100
says err "'h100' is no GPU architecture that cztc knows; did you mean sm_90a?: sm_80 (A100), "
for slip in SM_90a:sm_90a 9.0:sm_90 sm103:sm_103 ptx:compute_80; do
    exits 2 "$CZTC" compile "$MICRO" --target "cuda:${slip%:*}"
    says err "did you mean ${slip#*:}?"
done
exits 2 "$CZTC" compile "$MICRO" --target cuda:sm_75
says err "'sm_75' is no GPU architecture"
exits 1 "$CZTC" run micro.czt --target cuda
says err "--target is for a graph file"

# a kernel that fails ends the run with the last checkpoint as it was; what is done once more, from
# there, writes nothing
CZT_FAKE_FAIL=700 exits 1 "$CZTC" train small.yaml --out broken --target cuda --checkpoint-every 1 \
    --products own
says err "CUDA_ERROR_ILLEGAL_ADDRESS, an illegal memory access was encountered, after update 5; the newest checkpoint is of update 5"
says err "once more, kernel by kernel, to see which one it is"
says err "kernel by kernel nothing fails"
grep '"step": 6' broken/log.jsonl && miss "what is done once more writes to the log"
exits 0 "$CZTC" train --resume broken
state broken >broken.state
same cuda.state broken.state
# the one that fails again is named with its line, in one command (of tiny.yaml in its check case)
cp -r parts longer
rm -r longer/checkpoints/step-00000008
for command in "run small.yaml --target cuda" "eval parts" "bench small.yaml --target cuda" \
    "bench $SOURCE/graphs/bench/tiny.yaml --target cuda" \
    "train small.yaml --target cuda --out failed" "train --resume longer --steps 9"; do
    CZT_FAKE_FAIL=90 exits 1 "$CZTC" $command --products own
    says err "once more, kernel by kernel, to see which one it is"
    grep -q 'GPU 0 (a CPU that runs CUDA text): kernel [a-z]*_.* (.*\.yaml:[0-9:]*.*): CUDA_ERROR_ILLEGAL' err ||
        { miss "$command does not name the kernel"; cat err; }
done
[ -e failed/checkpoints ] && miss "a run that is done again writes checkpoints"
# with the line of this use of it, where several launches share a kernel
cat >twins.yaml <<'END'
cztc: 1
extends: small.yaml
experts:
  again:
    output: "resize(conv_head(visual.map, 1), lab, lab)"
    target: sobel(views.image, h=lab, w=lab)
    loss: {module: l1}
END
for launch in 42 43 44 45 46 47 48 49 50; do
    CZT_FAKE_FAIL=$launch exits 1 "$CZTC" run twins.yaml --target cuda --products own
    sed -n 's/.*: kernel \([a-z0-9_]*\) (.* of \([a-z]*\)\.yaml:.*CUDA_ERROR.*/\1 \2/p' err
done | sort -u >uses
[ "$(cut -d ' ' -f 1 uses | uniq -d | wc -l)" -ge 1 ] ||
    miss "a kernel that two experts share has one line: $(cat uses)"
# and in the commands that only read a run or a teacher, which write no file then
mkdir reads
cp "$SOURCE/tests/cli/phi.yaml" small.yaml train-*.tar reads
cd reads || exit 1
CZT_FAKE_FAIL=150 exits 1 "$CZTC" stats phi.yaml --target cuda --products own
says err "once more, kernel by kernel, to see which one it is"
grep -q 'kernel stats[a-z]*_.* (.*\.yaml:[0-9:]*.*): CUDA_ERROR_ILLEGAL' err ||
    { miss "stats does not name the kernel"; cat err; }
exits 1 sh -c 'CZT_AGAIN=$$:0 exec "$@"' - "$CZTC" stats phi.yaml --target cuda
says err "kernel by kernel nothing fails"
[ -e phi ] && miss "stats that is done once more writes files"
cat >exported.yaml <<'END'
cztc: 1
extends: small.yaml
export: {parts: [visual]}
END
exits 0 "$CZTC" train exported.yaml --out exported --steps 1 --target cuda --products own
exits 0 "$CZTC" export exported --out first.safetensors
CZT_FAKE_FAIL=1 exits 1 "$CZTC" export exported --out exported.safetensors
says err "once more, kernel by kernel, to see which one it is"
grep -q 'kernel [a-z]*_.* (.*\.yaml:[0-9:]*.*): CUDA_ERROR_ILLEGAL' err ||
    { miss "export does not name the kernel"; cat err; }
exits 1 sh -c 'CZT_AGAIN=$$:0 exec "$@"' - "$CZTC" export exported --out exported.safetensors
says err "kernel by kernel nothing fails"
cd ..
[ -e reads/exported.safetensors ] && miss "an export that is done once more writes its file"
# while products are measured: that which is
XDG_CACHE_HOME=$PWD/unmeasured CZT_FAKE_FAIL=6 exits 1 "$CZTC" run small.yaml --target cuda
grep -q 'kernel step_gemm_[0-9]* (.*\.yaml:[0-9:]*.*): CUDA_ERROR_ILLEGAL' err ||
    { miss "a failure while products are measured names none"; cat err; }
# that nothing fails is said only where the update that failed was done once more: not by a run that
# has no more to do, nor by one that is stopped before
exits 1 sh -c 'CZT_AGAIN=$$:3 exec "$@"' - "$CZTC" train --resume cuda
says err "what failed after update 3 was not done once more"
grep "nothing fails" err && miss "a run that had nothing to do says that nothing fails"
exits 1 env --block-signal=TERM sh -c 'kill -TERM $$; CZT_AGAIN=$$:2 exec "$@"' - \
    "$CZTC" train small.yaml --target cuda --out stopped
says err "what failed after update 2 was not done once more"
grep "nothing fails" err && miss "a run that was stopped says that nothing fails"
# it can be stopped as it begins, here where the driver hangs: a pipe that nobody writes to
mkdir hangs
ln -s "$FAKE"/*.so.* hangs
mkfifo pipe
CZT_CUDA_LIBS=$PWD/hangs CZT_FAKE_FAIL=700 timeout -s KILL 120 \
    "$CZTC" train small.yaml --target cuda --out waits 2>waits.err &
until [ -e waits/log.jsonl ] || ! kill -0 $!; do sleep 0.1; done
mv pipe hangs/libcuda.so.1
until grep -q "once more" waits.err || ! kill -0 $!; do sleep 0.1; done
kill $!
wait $!
[ $? -eq 143 ] || miss "SIGTERM does not end what is done once more"
# who does which product is read there, and not written
XDG_CACHE_HOME=$PWD/unkept exits 1 sh -c 'CZT_AGAIN=$$:0 exec "$@"' - "$CZTC" run micro.czt
says err "kernel by kernel nothing fails"
[ -e unkept/cztc/products.json ] && miss "what is done once more keeps choices"
# the variable counts for the process that it names
CZT_AGAIN=1 exits 0 "$CZTC" run small.yaml --target cuda
CZT_AGAIN=1:1 exits 0 "$CZTC" train small.yaml --target cuda --out unnamed --steps 3
says out "finished at step 3"
CZT_FAKE_FAIL=600 exits 1 "$CZTC" bench micro.czt --profile
says err "CUDA_ERROR_ILLEGAL_ADDRESS"
says err "kernel step_"
says err ".yaml:"

# teachers' embeddings, replayed views, draws: what the loader makes goes in, the same bits come out
cp "$SOURCE"/tests/data/reinforced/*.tar .
cat >taught.yaml <<END
cztc: 1
extends: $SOURCE/graphs/mobileclip-dr.yaml
let: {batch: 4, size: 32, embed: 32, augs: 3, syns: 2, teacher: 8, texts: 12}
data: {source: $PWD/images-0.tar, series: {dr: {shards: $PWD/dr-0.tar}}}
encoders: {visual: {width: 8, layers: [1, 1, 1]}, textual: {width: 32, layers: 1, heads: 2}}
train: {steps: 3, precision: f32}
END
for target in cpu cuda; do
    exits 0 "$CZTC" train taught.yaml --out taught-$target --target $target
    cat taught-$target/checkpoints/step-00000003/*.safetensors >taught-$target.state
done
same taught-cpu.state taught-cuda.state

exit $((failed != 0))
