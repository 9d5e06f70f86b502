# A limit of memory: values are computed again to keep to it, and no bit changes. Arguments: CZTC
# SOURCE FOLDER.
. "$(dirname "$0")/common.sh"
pictures train
cp "$SOURCE/tests/cli/small.yaml" .
small=small.yaml
number() { sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" "$2"; }
# step NAME LIMIT OPTIONS: compile, and run three steps to NAME.run
step() {
    name=$1 limit=$2
    shift 2
    exits 0 "$CZTC" compile "$small" --set 'encoders.*.layers=6' --set encoders.textual.vocab=512 --set batch=32 \
        --set "train.memory=$limit" "$@" -o "$name.czt" --json
    mv out "$name.json"
    exits 0 "$CZTC" run "$name.czt" -n 3 --json
    mv out "$name.run"
}

# halves PRECISION SHARE OPTIONS: a limit of so many percent of the scratch memory
halves() {
    precision=$1 share=$2
    shift 2
    step whole 1TB --set train.precision=$precision "$@"
    whole=$(number scratch_bytes whole.json) allowed=$((whole * share / 100))
    [ "$(number recompute whole.json)" -eq 0 ] || miss "values are computed again where there is room"
    step part $(($(number state_bytes whole.json) + allowed)) --set train.precision=$precision "$@"
    [ "$(number scratch_bytes part.json)" -le $allowed ] ||
        miss "$precision: scratch of $(number scratch_bytes part.json), allowed are $share % of $whole"
    [ "$(number recompute part.json)" -gt 0 ] || miss "nothing is computed again"
    same whole.run part.run
}
halves f32 60
halves bf16 40
halves f32 80 --set accumulate=4

# sizes, here and as an option; a limit that is kept anyway changes nothing
exits 0 "$CZTC" compile "$small" --memory 2GiB
grep -q 'computed again' out && miss "values are computed again where there is room"
exits 0 "$CZTC" compile "$small" --set train.memory='1.5 GB'
exits 0 "$CZTC" compile "$small" --set train.memory='2 ** 30'
sed 's/^train:/&\n  memory: 7MB/' "$small" > tight.yaml
exits 1 "$CZTC" check tight.yaml
says err "tight.yaml:35:11: error: a step takes 25.9 MB at least"
says err "help: write memory: 26 MB, or leave out 'memory'"
exits 1 "$CZTC" compile "$small" --memory 300kB
says err "the limit is 300 kB"
says err "the state alone is too large"
exits 1 "$CZTC" compile "$small" --set batch=64 --memory 24MB
says err "would fit, or this one in parts (accumulate)"
exits 1 "$CZTC" compile "$small" --memory 300kB --set train.accumulate=2
says err "All that can be is computed again already"
exits 1 "$CZTC" compile "$small" --memory 300kB --skip stream
says err "A pass is left out"
exits 0 "$CZTC" check "$small" --set 'train.memory=26.5 MB'
says out "memory: "
says out "of 26.5 MB, 19.4 MB of it state"
exits 1 "$CZTC" check "$small" --set 'train.memory=20 MB'
says err "the limit is 20.0 MB"
exits 2 "$CZTC" compile "$small" --memory much
says err "'much' is no size"
exits 1 "$CZTC" check "$small" --set train.memory='8 Gigs'
says err "'8 Gigs' is no size"
says err "8 GiB"

# training with values that are computed again gives the same weights
six="--set encoders.*.layers=6 --set batch=12"
exits 0 "$CZTC" check "$small" $six --set 'train.memory=28.2 MB'
says out "are computed again"
exits 0 "$CZTC" train "$small" $six --out plain
exits 0 "$CZTC" train "$small" $six --out tight --set 'train.memory=28.2 MB'
for run in plain tight; do exits 0 "$CZTC" export $run -o $run.safetensors; done
same plain.safetensors tight.safetensors
