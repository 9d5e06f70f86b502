# tests/gpu.sh against the stand-ins for a driver and cuBLASLt; the fourth argument is their folder.
# What else it looks for on a machine with a GPU, a sanitizer and PyTorch, are scripts here.
FAKE=$4 BUILD=$(cd "$(dirname "$1")" && pwd)
. "$(dirname "$0")/common.sh"
export BUILD BENCH=$SOURCE/tests/cli/small.yaml STEPS=1 ROUNDS=1

ONLY=half_he exits 0 "$SOURCE/tests/gpu.sh" prepare kit text
CZT_CUDA_LIBS=$FAKE CZT_FAKE_CACHE=$PWD
export CZT_CUDA_LIBS CZT_FAKE_CACHE
mkdir found
cat >found/compute-sanitizer <<'END'
#!/bin/sh
echo "$2" >>tools
[ "$1 $3 $4" = "--tool --error-exitcode 9" ] || exit 3
case $2 in memcheck) bad=$MEMCHECK ;; *) bad=$RACECHECK ;; esac
[ -z "$bad" ] || exit "$bad"
shift 4
exec "$@"
END
cat >found/python3 <<'END'
#!/bin/sh
[ "$1" = -c ] && exec expr "$2" : 'import torch' >/dev/null
[ -e "$1" ] && echo "$@" >>runs && echo '{"torch": "2", "step_s": 0.25, "peak_mib": 77}'
END
chmod +x found/*
PATH=$PWD/found:$PATH
exits 0 kit/gpu.sh check
[ "$(sort -u tools | tr '\n' ' ')" = "memcheck racecheck " ] || miss "tools of the sanitizer: $(cat tools)"
[ "$(grep -c '^[1-9][0-9]* cases, [1-9]' out)" -eq 4 ] || miss "not four rounds of cases: $(cat out)"
grep 'skipped' out && miss "something is skipped"
says out "5 updates within 1e-5 of PyTorch's"
says out "5 updates within 1e-2 of PyTorch's"
grep -q '^[1-9][0-9]* cases, [1-9]' out || miss "no cases were run"
exits 0 kit/gpu.sh bench
says out "small    cztc"
for mode in eager default max-autotune; do
    grep -q "^small    torch $mode  *250.000  *[0-9.]*  *77$" out || miss "no line of PyTorch $mode"
done
grep -q 'torch_step.py --config small --device cuda --dtype bfloat16 --steps 1 --compile max-autotune' runs ||
    miss "PyTorch was run otherwise: $(cat runs)"
# neither begins what it has no time for
SECONDS_MOST=0 exits 0 kit/gpu.sh bench
says out "no time is left for small"
says out "no time is left for PyTorch default on small"
SECONDS_MOST=0 exits 0 kit/gpu.sh autotune
says out "no time is left for small, products measured"
exits 0 kit/gpu.sh autotune
says out "small    library"
says out "ms in kernels a step"

# it can fail: another loss, another result, no GPU
sed -i 's/7.4420/7.4430/' kit/losses.json
rm -r kit/cases && mkdir kit/cases && cp kit/losses-f32.czt kit/cases/micro.czt
MEMCHECK=9 RACECHECK=124 exits 1 kit/gpu.sh check
says out "FAILED compute-sanitizer memcheck: exit code 9"
says out "it did not finish in its time"
says out "FAILED loss in f32: 7.44203"
CZT_FAKE_DEVICES=0 exits 1 kit/gpu.sh bench
says out "FAILED bench small"
exits 2 kit/gpu.sh
exits 2 "$SOURCE/tests/gpu.sh" check

exit $((failed != 0))
