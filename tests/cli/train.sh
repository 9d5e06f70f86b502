# Training from shards: a run cut off anywhere goes on bit for bit; SIGTERM leaves a checkpoint;
# evaluation.
. "$(dirname "$0")/common.sh"

pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
# what a run may not repeat: rates and waiting
plain() { sed 's/, "pairs\/s".*/}/' "$1"; }
last() { cat "$1"/checkpoints/step-00000008/*.safetensors; }

exits 0 "$CZTC" train small.yaml --out whole
says out "finished at step 8"
[ "$(grep -c '"loss"' whole/log.jsonl)" -eq 8 ] || miss "eight steps give eight lines of log"
[ "$(grep -c '"eval.held.loss.loss"' whole/log.jsonl)" -eq 2 ] || miss "two evaluations are in the log"

[ -n "$(ls whole/events)" ] || miss "no event files"

# a run that is complete is left as it is; more steps go on with it
cp -r whole more
listing() { find "$1" -type f ! -name lock -printf '%p %T@ ' -exec cksum {} \; | sort; }
listing more >before.list
exits 0 "$CZTC" train --resume more
says out "complete: step 8 of 8"
exits 0 "$CZTC" train --resume more --json
says out '"loss": null'
says out '"complete": true'
listing more >after.list
same before.list after.list
exits 0 "$CZTC" train --resume more --steps 9
says out "finished at step 9"

# one trainer a folder
"$CZTC" train --resume more --steps 1000000 2>/dev/null >/dev/null &
pid=$!
for _ in $(seq 100); do [ "$(wc -l <more/log.jsonl)" -gt 14 ] && break; sleep 0.1; done
exits 1 "$CZTC" train --resume more
says err "process $pid trains here"
exits 1 "$CZTC" train small.yaml --out more
says err "process $pid trains here"
kill -KILL $pid
wait $pid
exits 0 "$CZTC" train --resume more --steps 1
says out "complete"

# five steps with a checkpoint after three, then the last one is lost, as a killed process leaves it
exits 0 "$CZTC" train whole/step.czt --out parts --steps 5
rm -r parts/checkpoints/step-00000005
exits 1 "$CZTC" train whole/step.czt --out parts
says err "checkpoint is there"
exits 0 "$CZTC" train --resume parts --threads 1 --workers 3
plain whole/log.jsonl >whole.log
plain parts/log.jsonl >parts.log
same whole.log parts.log
last whole >whole.state
last parts >parts.state
same whole.state parts.state

# killed while running
"$CZTC" train whole/step.czt --out killed --steps 1000000 2>/dev/null >/dev/null &
pid=$!
for _ in $(seq 100); do [ -s killed/log.jsonl ] && break; sleep 0.1; done
kill -TERM $pid
wait $pid || miss "SIGTERM: exit code $?"
[ -n "$(ls killed/checkpoints 2>/dev/null)" ] || miss "SIGTERM left no checkpoint"

exits 2 "$CZTC" train small.yaml
exits 1 "$CZTC" train whole/step.czt --out other --data nothing.tar

# evaluation
echo '{"classes": ["chart", "drawing", "photo"], "templates": ["a {}.", "{}"]}' >classes.json
evaluate() { exits 0 "$CZTC" eval whole --classes classes.json --baselines --json "$@"; }
evaluate
says out '"samples": 12'
for name in loss.loss experts.edge retrieval.image_to_text@1 retrieval.text_to_image@5 zero_shot@1; do
    says out "\"$name"
done
cp out first.json
says out '"baselines": {"constant": 0.'
# a weight that follows the step has its value after 8 updates: loss = pair + 2 edge
value() { sed -n "s/.*\"$1\": {\"value\": \([^,]*\),.*/\1/p" first.json; }
awk -v l="$(value loss.loss)" -v p="$(value loss.pair)" -v e="$(value loss.experts.edge)" \
    'BEGIN { d = l - p - 2 * e; exit !(e > 0 && d < 1e-5 && d > -1e-5) }' || miss "eval is not at the run's step"
evaluate --threads 1 --workers 1 --data train-00000.tar
sed 's/, "set": "held"//' first.json >one_set.json
same out one_set.json
exits 0 "$CZTC" eval whole --samples 4
says out "4 samples"
grep -A1 '^experts.edge.mean_abs ' out | grep -q '^  constant  *[0-9.]*$' || miss "the baseline stands under its metric"
exits 1 "$CZTC" eval whole --data nothing.tar
# a run is used from any folder: its data is found where the graph said it
mkdir -p elsewhere
(cd elsewhere && "$CZTC" eval ../whole --samples 4 >/dev/null 2>&1) || miss "eval from another folder"
exits 1 "$CZTC" eval nowhere

exit $((failed != 0))
