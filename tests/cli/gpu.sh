# tests/gpu.sh against the stand-ins for a driver and cuBLASLt; the fourth argument is their folder.
FAKE=$4 BUILD=$(cd "$(dirname "$1")" && pwd)
. "$(dirname "$0")/common.sh"
export BUILD BENCH=$SOURCE/tests/cli/small.yaml STEPS=1 ROUNDS=1

ONLY=half_he exits 0 "$SOURCE/tests/gpu.sh" prepare kit text
CZT_CUDA_LIBS=$FAKE CZT_FAKE_CACHE=$PWD
export CZT_CUDA_LIBS CZT_FAKE_CACHE
exits 0 kit/gpu.sh check
says out "5 updates within 1e-5 of PyTorch's"
says out "5 updates within 1e-2 of PyTorch's"
grep -q '^[1-9][0-9]* cases, [1-9]' out || miss "no cases were run"
exits 0 kit/gpu.sh bench
says out "small    cztc"
exits 0 kit/gpu.sh autotune
says out "small    library"
says out "ms in kernels a step"

# it can fail: another loss, another result, no GPU
sed -i 's/7.4420/7.4430/' kit/losses.json
rm -r kit/cases && mkdir kit/cases && cp kit/losses-f32.czt kit/cases/micro.czt
exits 1 kit/gpu.sh check
says out "FAILED loss in f32: 7.44203"
CZT_FAKE_DEVICES=0 exits 1 kit/gpu.sh bench
says out "FAILED bench small"
exits 2 kit/gpu.sh
exits 2 "$SOURCE/tests/gpu.sh" check

exit $((failed != 0))
