# An executable that carries its step: alone in a folder, with an empty environment, it does what cztc does with the
# same step, to the bit. Damage and wrong use are errors. cztc-run does the same with step files.
. "$(dirname "$0")/common.sh"
RUNNER=$4

mkdir made alone
cd made || exit 1 # no subshell: what is missed there would not count
pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
cd .. || exit 1
exits 0 "$CZTC" compile made/small.yaml -o small.czt
exits 0 "$CZTC" compile made/small.yaml -o small
[ -s err ] && ! grep -q "^note: small needs shared libraries" err && miss "compile says: $(cat err)"
[ "$(stat -c %a small)" = "$(printf '%o' $((0777 & ~0$(umask))))" ] || miss "mode $(stat -c %a small)"
[ "$(stat -c %a small.czt)" = "$(printf '%o' $((0666 & ~0$(umask))))" ] || miss "mode $(stat -c %a small.czt)"

# the program, zeros up to a multiple of 64, the step file's bytes, the trailer
size=$(wc -c <small) step=$(wc -c <small.czt)
start=$((size - step - 16))
tail -c +$((start + 1)) small | head -c "$step" >inside.czt
same inside.czt small.czt
[ $((start % 64)) -eq 0 ] || miss "the step begins at $start"
[ "$(tail -c 16 small | od -An -t u8 -N 8 | tr -d ' ')" = $start ] || miss "the trailer does not say $start"
[ "$(tail -c 8 small | head -c 7)" = CZTTAIL ] || miss "no trailer"

# nothing is left of the place where it was made
mv small alone/small && mv made/*.tar made/*.json alone && rm -r made
cd alone || exit 1
small() { want=$1 && shift && exits "$want" env -i ./small "$@"; }
plain() { sed 's/, "pairs\/s".*/}/' "$1"; }
last() { cat "$1"/checkpoints/step-00000008/*.safetensors; }

small 2
says err "usage: small COMMAND"
small 0 --help
says out "describe"
for command in run bench train eval describe data; do
    small 0 $command --help
    says out "usage: small $command"
    grep -qE -e '--set|--lib|^  (STEP|FILE)' out && miss "help of $command speaks of files it does not take: $(cat out)"
done
small 2 compile
small 2 trian
says err "did you mean train?"
small 2 run ../small.czt
says err "one too many"
small 2 run --set batch=8
small 2 train
says err "one of --out DIR and --resume DIR is needed"
small 1 train --out run
says err "/made/train-00000.tar: cannot read the shard"
small 2 run --steps 0
says err "small run: --steps: '0' is no whole number from 1 up"

# training, resumed
small 0 train --out run --root . --steps 5
rm -r run/checkpoints/step-00000005
small 1 train --out run --root .
says err "checkpoint is there"
small 0 train --resume run --root .
says out "finished at step 8"
exits 0 "$CZTC" train ../small.czt --out whole --root .
last run >run.state
last whole >whole.state
same run.state whole.state
plain run/log.jsonl >run.log
plain whole/log.jsonl >whole.log
same run.log whole.log
same run/step.czt ../small.czt
small 1 train --out other --root nowhere --data train-00000.tar --steps 1
says err "eval.sets.held: "

# evaluation, text prompts too
echo '{"classes": ["chart", "drawing", "photo"], "templates": ["a {}.", "{}"]}' >classes.json
small 0 eval run --root . --classes classes.json --baselines --json
says out '"zero_shot@1"'
cp out run.eval
exits 0 "$CZTC" eval whole --root . --classes classes.json --baselines --json
same out run.eval
small 0 eval --root . --weights run/checkpoints/step-00000008/params.safetensors --json
small 1 eval ../small.czt
says err "no folder of train"

# values, time, description
small 0 run -n 3 --json --print loss
cp out run.json
exits 0 "$CZTC" run ../small.czt -n 3 --json --print loss
same out run.json
small 0 run --entry encode_visual --print embedding
says out 'embedding: {"dtype": "f32", "shape": [4, 16]'
small 1 run --print visual.map
says err "--print: entry 'step' has no output 'visual.map'"
small 0 bench -n 2 --json
says out '"checked": "no"'
small 0 describe
says out "entry encode_textual"
says out "  output    embedding                        f32 [4, 16]"
small 0 describe --json
[ "$(wc -l <out)" -eq 1 ] || miss "describe --json prints more than a line"
for text in '"name": "small"' '"batch": 4' '"seed": 3' '"kind": "param"' '"arch"' '"name": "text", "dtype": "i32"'; do
    says out "$text"
done
cp out describe.json
exits 0 "$CZTC" describe ../small.czt --json
same out describe.json

# the step behind the program: damaged, cut off, gone
damaged() {
    chmod +x wrong
    exits 1 env -i ./wrong describe
    says err "$1"
    [ "$(wc -l <err)" -eq 1 ] || miss "not one line: $(cat err)"
}
flipped() { # OFFSET: a copy with another byte there
    byte=$(tail -c +$(($1 + 1)) small | head -c 1 | od -An -t u1)
    { head -c "$1" small && printf "\\$(printf '%o' $((byte ^ 1)))" && tail -c +$(($1 + 2)) small; } >wrong
}
flipped $((start + step / 2))
damaged "is damaged"
flipped $((start + 20))
damaged "the table is damaged"
flipped $((size - 1))
damaged "the step that it carried is damaged or cut off"
flipped $((size - 16))
damaged "the step that it carried is damaged or cut off"
for left in $((size - 1)) $((size - step)) $((start + 1)); do
    head -c $left small >wrong
    damaged "the step that it carried is damaged or cut off"
done

# cztc-run without a step takes step files, and executables that carry one
cp "$RUNNER" cztc-run
runner() { want=$1 && shift && exits "$want" env -i ./cztc-run "$@"; }
runner 2
runner 2 run
says err "STEP is missing"
runner 2 train --out bare
says err "STEP is missing"
runner 1 run nothing.czt
says err "nothing.czt: No such file"
runner 1 run classes.json
says err "classes.json: not a step file of cztc"
runner 1 run ./cztc-run
says err "not a step file of cztc"
for step in ../small.czt ./small; do
    runner 0 run $step -n 3 --json --print loss
    same out run.json
    runner 0 describe $step --json
    same out describe.json
done
runner 0 train ../small.czt --out bare --root . --steps 5
runner 0 train --resume bare --root .
last bare >bare.state
same bare.state whole.state
runner 0 eval bare --root . --classes classes.json --baselines --json
same out run.eval

# compiled anew over a program that runs: that one goes on
sed "s/^name: small/name: other/" "$SOURCE/tests/cli/small.yaml" >small.yaml
env -i ./small train --out long --root . --steps 1000000 2>/dev/null >/dev/null &
pid=$!
for _ in $(seq 100); do [ -s long/log.jsonl ] && break; sleep 0.1; done
exits 0 "$CZTC" compile small.yaml -o small
small 0 describe
says out "name        other"
lines=$(wc -l <long/log.jsonl)
for _ in $(seq 100); do [ "$(wc -l <long/log.jsonl)" -gt "$lines" ] && break; sleep 0.1; done
[ "$(wc -l <long/log.jsonl)" -gt "$lines" ] || miss "the program that ran has stopped"
kill -TERM $pid
wait $pid || miss "SIGTERM: exit code $?"

# the output is a file of its own, or an error
mkfifo pipe
exits 1 "$CZTC" compile small.yaml -o pipe
says err "pipe: not a regular file, but a pipe"
[ -p pipe ] || miss "the pipe is gone"
exits 1 "$CZTC" compile small.yaml -o nowhere/small
says err "nowhere/small"

exit $((failed != 0))
