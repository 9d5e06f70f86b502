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
exits 0 "$CZTC" compile "$SOURCE/tests/graphs/parity_$METHOD.yaml" --target $target -o step.czt
exits 0 "$STEPPER" step.czt "$SOURCE/tests/data/parity/$METHOD.safetensors"
cat out
