# What the program does with NVRTC, where that is installed (unit.cuda.nvrtc compiles all kernels).
. "$(dirname "$0")/common.sh"
# (NVRTC keeps memory when it is closed, which a sanitizer would call a leak)
ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
export ASAN_OPTIONS
steps=$XDG_CACHE_HOME/cztc/steps
tiny=tiny.yaml
cat >$tiny <<'EOT'
cztc: 1
import: [optim/adamw]
let: {batch: 4, width: 8}
data: {source: none.tar, fields: {x: {member: npy, as: array, shape: "[width]"}}}
params:
  w: {shape: "[width, 2]", init: random_normal(shape)}
losses:
  fit: {loss: "mean((x @ w) ** 2, axis=1)"}
train: {steps: 2, seed: 3, optimizer: {module: adamw, lr: 1e-3}}
EOT
gpu="$tiny --target cuda:sm_90a"
"$CZTC" compile $gpu --no-cache -o gpu.czt >out 2>err || {
    says err "NVRTC is not installed"
    [ $failed -ne 0 ] || echo "skipped: $(cat err)"
    exit $((failed != 0))
}

# registers are told, and what spills
exits 0 "$CZTC" compile "$SOURCE/graphs/demo.yaml" --check --target cuda:sm_90a -o demo.czt
grep -Eq '[0-9]+ functions in [0-9]+ units; at most [0-9]+ registers(, nothing spilled|; [0-9]+ spill)' out ||
    miss "nothing is said of registers: $(cat out)"

# images of a GPU's units: only units with other kernels are compiled, and a damaged one is replaced
rm -r "$steps"
. "$(dirname "$0")/cached.sh"
fresh $gpu -o again.czt
same again.czt gpu.czt
hit $gpu -o again.czt
same again.czt gpu.czt
ls -i "$steps" >images
[ "$(entries)" -eq 3 ] || miss "a step and the images of two units are not $(entries)"
fresh $gpu --set train.seed=4 # which is an input
ls -i "$steps" | grep -vxFf images >new
[ "$(wc -l <new)" -eq 1 ] || miss "another seed's step makes new images"
sed -i 's/fit: {loss: "/&0 * 3 + /' $tiny # the same kernels by other names
fresh $gpu
ls -i "$steps" | grep -vxFf images >new
[ "$(wc -l <new)" -eq 2 ] || miss "renamed kernels make new images"
sed -i 's/0 \* 3 + //' $tiny
rm $(grep -lF '"source_hash"' "$steps"/*)
[ "$(entries)" -eq 2 ] || miss "$(entries) images are left"
ls -i "$steps" >images
fresh $gpu -o again.czt
same again.czt gpu.czt
ls -i "$steps" | grep -cxFf images >kept
[ "$(cat kept)" -eq 2 ] || miss "images were compiled again"
rm $(grep -lF '"source_hash"' "$steps"/*)
for image in "$steps"/*; do
    printf '\377' | dd of="$image" bs=1 seek=5000 conv=notrunc 2>dd
done
fresh $gpu -o again.czt
same again.czt gpu.czt
exits 0 "$CZTC" compile $gpu --no-cache
grep registers out >told
exits 0 "$CZTC" compile $gpu
grep registers out >again
same told again
exit $((failed != 0))
