# Killed at any moment, a checkpoint's writing included, a run goes on bit for bit; SIGTERM leaves a checkpoint
# of the update that was done last.
. "$(dirname "$0")/common.sh"

STEPS=14
pictures train
sed 's/^data:/data:\n  max_bad: 0.5/' "$SOURCE/tests/cli/small.yaml" >small.yaml
exits 0 "$CZTC" compile small.yaml -o small.czt
# one sample is bad: each log names it once
mkdir bad && (cd bad && tar -xf ../train-00000.tar && for f in 00000005.[jpw]*; do echo x >"$f"; done &&
    tar -cf ../train-00000.tar --sort=name *)
plain() { sed 's/, "pairs\/s".*/}/' "$1/log.jsonl"; }
last() { cat "$1"/checkpoints/step-000000$STEPS/*.safetensors; }
exits 0 "$CZTC" train small.czt --out whole --steps $STEPS --checkpoint-every 100
plain whole >whole.log
[ "$(grep -c '"skipped_sample"' whole.log)" -eq 1 ] || miss "one bad sample: $(cat whole.log)"
last whole >whole.state
same_run() {
    plain "$1" >part.log
    last "$1" >part.state
    same whole.log part.log
    same whole.state part.state
}
checkpoints() { ls "$1/checkpoints" 2>/dev/null | grep -cv tmp; }
begin() {
    how="--out $1"
    [ "$(checkpoints "$1")" -gt 0 ] && how="--resume $1"
    [ "$how" = "--out $1" ] && rm -rf "$1/checkpoints"
    # shellcheck disable=SC2086
    "$CZTC" train small.czt $how --steps $STEPS --checkpoint-every 2 >out 2>err &
    pid=$!
}
running() { kill -0 $pid 2>/dev/null; }
# wait until a checkpoint is half-written (or the run has ended)
half_written() {
    while running; do
        for tmp in killed/checkpoints/*.tmp.*/$1; do [ -e "$tmp" ] && return; done
    done
}

# while a checkpoint is written: before its first file is whole, and before its second, and after a while
writing=0 kills=0
for file in '' params.safetensors 'state.safetensors*' manifest.json; do
    begin killed
    half_written "$file"
    kill -KILL $pid 2>/dev/null && kills=$((kills + 1))
    wait $pid 2>/dev/null
    for tmp in killed/checkpoints/*.tmp.*; do [ -e "$tmp" ] && writing=$((writing + 1)) && break; done
done
[ $writing -ge 1 ] || miss "no kill came while a checkpoint was written"
# at other moments
for pause in 0.05 0.11 0.02 0.17 0.29 0.07; do
    begin killed
    sleep $pause
    kill -KILL $pid 2>/dev/null && kills=$((kills + 1))
    wait $pid 2>/dev/null
done
touch killed/step.czt.tmp.1 killed/log.jsonl.tmp.1
[ $kills -ge 4 ] || miss "$kills kills only; the others came too late"
begin killed
wait $pid || miss "$(cat err)"
same_run killed
[ -z "$(find killed -name '*.tmp*')" ] || miss "left: $(find killed -name '*.tmp*')"

# SIGTERM: a checkpoint first, of the last update in the log; then the rest
"$CZTC" train small.czt --out asked --steps $STEPS --checkpoint-every 1 --json >out 2>err &
pid=$!
while running && ! grep -q '"step": 2' asked/log.jsonl 2>/dev/null; do :; done
kill -TERM $pid
wait $pid || miss "SIGTERM: exit code $?: $(cat err)"
if grep -q '"stopped": true' out; then
    step=$(sed -n '$s/.*"step": \([0-9]*\).*/\1/p' asked/log.jsonl)
    says out "\"step\": $step,"
    [ -d "asked/checkpoints/step-$(printf %08d "$step")" ] || miss "no checkpoint of step $step"
    [ "$step" -lt $STEPS ] || miss "SIGTERM came too late to say anything"
else
    miss "SIGTERM did not stop it: $(cat out)"
fi
exits 0 "$CZTC" train --resume asked --steps $STEPS
same_run asked

exit $((failed != 0))
