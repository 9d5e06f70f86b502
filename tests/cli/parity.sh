# A whole method against PyTorch (tests/parity): its graph compiled, and stepped by the program
# that is the fourth argument. The fifth is the method; with a sixth, the stand-ins' folder, on
# the target cuda.
STEPPER=$4 METHOD=$5 FAKE=$6
. "$(dirname "$0")/common.sh"
target=cpu
if [ -n "$FAKE" ]; then
    CZT_CUDA_LIBS=$FAKE CZT_FAKE_CACHE=$PWD target=cuda:text
    export CZT_CUDA_LIBS CZT_FAKE_CACHE
fi
graph=$SOURCE/tests/graphs/parity_$METHOD.yaml
agrees() {
    exits 0 "$CZTC" compile "$graph" --target $target -o step.czt "$@"
    exits 0 "$STEPPER" step.czt "$SOURCE/tests/data/parity/$METHOD.safetensors"
    cat out
}
agrees
# a method that takes its batch in parts: the whole batch at once too
if [ -z "$FAKE" ] && grep -q accumulate: "$graph"; then agrees --set train.accumulate=1; fi
