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
mkdir -p elsewhere
plain whole/log.jsonl >whole.log
plain parts/log.jsonl >parts.log
same whole.log parts.log
last whole >whole.state
last parts >parts.state
same whole.state parts.state

# a resume that is refused leaves the run's program as it was; one that goes on may bring another
refused() {
    cksum <parts/step.czt >before.sum
    exits 1 "$CZTC" train "$@" --resume parts --steps 9
    cksum <parts/step.czt >after.sum
    same before.sum after.sum
}
refused small.yaml --set encoders.visual.width=16
refused small.yaml --set log.every=2 --data nothing.tar
refused small.yaml --set eval.sets.held=nothing.tar
says err "eval.sets.held: "
head -c 4000 whole/step.czt >cut.czt
refused cut.czt
refused small.yaml --set log.every=2 --seed 4
says err "--seed 4: the run in parts has seed 3"
exits 2 "$CZTC" train --resume parts --weights whole/checkpoints/step-00000008/params.safetensors
says err "--weights begins a new run"
exits 0 "$CZTC" train small.yaml --set log.every=2 --resume parts --steps 9 --seed 3
cmp -s whole/step.czt parts/step.czt && miss "a resume with another program did not keep it"
exits 0 "$CZTC" train --resume parts --steps 10

# --set alone has the run's graph file compiled again, from any folder: as if the file said so
exits 0 "$CZTC" train small.yaml --set eval.every=100 --set data.source=train-00000.tar --out three --steps 3
for folder in by_set by_file; do cp -r three $folder; done
sed 's/weight: 0.25 \* step/weight: 0.5/' small.yaml >other.yaml
cd elsewhere || exit 1 # no subshell: what is missed there would not count
exits 0 "$CZTC" train --resume ../by_set --set experts.edge.weight=0.5 --set log.every=2
cd .. || exit 1
exits 0 "$CZTC" train other.yaml --set eval.every=100 --set log.every=2 --resume by_file
last by_set >by_set.state
last by_file >by_file.state
same by_set.state by_file.state
cmp -s by_set.state whole.state && miss "another weight changed nothing"
plain by_set/log.jsonl >by_set.log
plain by_file/log.jsonl >by_file.log
same by_set.log by_file.log
[ "$(grep -c eval.held by_set/log.jsonl)" -eq 0 ] || miss "the run's own --set is forgotten"
says by_set/graph.json '"experts.edge.weight=0.5"'
# what has no place in the run's state is refused, and changes nothing
kept() {
    cksum three/*.* >before.sum
    exits 1 "$CZTC" train --resume three "$@"
    cksum three/*.* >after.sum
    same before.sum after.sum
}
kept --set encoders.visual.width=16
says err "note: --set encoders.visual.width=16 has come since this run was compiled"
says err "the run keeps its parameters"
kept --set experts.edge.enabled=false
kept --set seed=4
says err "train.seed: it is 4 now; the run in three was begun with seed 3, and keeps it"
exits 0 "$CZTC" eval three --set eval.samples=4 --set batch=2
says out "losses and metrics over 6 whole batches"
exits 1 "$CZTC" eval three --set embed=8
says err "the run keeps its parameters"
exits 0 "$CZTC" data three --set size=24
exits 0 "$CZTC" export three --set 'export.parts=[visual]' -o visual.safetensors
# not of another text than the run's, and not where nobody knows
cp small.yaml kept.yaml
echo "# later" >>small.yaml
kept --set log.every=2
says err "small.yaml: it has changed since the run was compiled of it; name a graph file"
cp -r three changed
exits 0 "$CZTC" train small.yaml --resume changed --steps 4
says err "small.yaml has changed since this run was compiled"
grep -q "note: --target" err && miss "a target that is the same is noted"
says err "note: --set eval.every=100 has gone since this run was compiled"
mv kept.yaml small.yaml
exits 0 "$CZTC" train three/step.czt --resume by_set --steps 9
exits 1 "$CZTC" train --resume by_set --set log.every=1
says err "by_set does not say which graph file it was compiled of"

# nor of a step that another graph.json is beside, as a kill between the two files leaves it
cp -r three between
cp by_file/step.czt between/step.czt
exits 1 "$CZTC" train --resume between --set log.every=2
says err "between/graph.json: of another step than step.czt beside it"
exits 1 "$CZTC" eval between --set eval.samples=4
says err "between/graph.json: of another step than step.czt beside it"

# a graph file that is a link stands where it is named, and is of these files alone
mkdir named target
cp small.yaml named/base.yaml
cp train-00000.tar named
sed 's/steps: 8/steps: 80/' small.yaml >target/base.yaml
printf 'cztc: 1\nextends: base.yaml\n' >target/linked.yaml
ln -s ../target/linked.yaml named/linked.yaml
exits 0 "$CZTC" train named/linked.yaml --out linked --steps 1
cd elsewhere || exit 1
exits 0 "$CZTC" train --resume ../linked --set log.every=2 --steps 2
cd .. || exit 1
says linked/graph.json '/named/base.yaml"'
grep -q /target/ linked/graph.json && miss "the file behind a link was taken for it: $(cat linked/graph.json)"
cp "$SOURCE/graphs/lib/prelude.yaml" named
for command in 'train --resume linked' 'eval linked' 'data linked'; do
    exits 1 "$CZTC" $command --set log.every=1
    says err "named/prelude.yaml: the run was not compiled of it; name a graph file"
done

# killed between a checkpoint and its evaluation, a complete run evaluates still, and once
cp -r whole late
grep -v '"step": 8, "eval' whole/log.jsonl >late/log.jsonl
exits 0 "$CZTC" train --resume late
says out "its evaluation was missing"
exits 0 "$CZTC" train --resume late
says out "nothing was written"
same whole/log.jsonl late/log.jsonl
# the state does not depend on what is evaluated
exits 0 "$CZTC" train small.yaml --set eval.every=100 --out a/new/run
last a/new/run >unseen.state
same whole.state unseen.state

# no checkpoint that can be read
cp -r whole broken
for file in broken/checkpoints/*/params.safetensors; do echo >>"$file"; done
exits 1 "$CZTC" train --resume broken
says err "none of its"
says err "put back a copy of one, or begin anew in another folder (--out)"

# bad samples: told of once each, on stderr and in the log; counted in its lines
mkdir bad && (cd bad && tar -xf ../train-00000.tar)
spoil() { for f in bad/*"$1".[jpw]*; do echo x >"$f"; done; }
spoil 02
spoil 07
(cd bad && tar -cf ../bad.tar --sort=name *)
sed 's/^data:/data:\n  max_bad: 1/' small.yaml >bad.yaml
exits 0 "$CZTC" train bad.yaml --data bad.tar --out spoiled --steps 26
[ "$(grep -c 'bad.tar: sample .*left out' err)" -eq 2 ] || miss "two bad samples: $(cat err)"
grep -q "not named" err && miss "a bad sample took the place of others"
[ "$(grep -c '"skipped_sample": "bad.tar: sample 0000000[27]", "reason": "member' spoiled/log.jsonl)" -eq 2 ] ||
    miss "two bad samples in the log: $(grep skipped_sample spoiled/log.jsonl)"
tail -1 spoiled/log.jsonl | grep -q '"skipped": 2[46], "pairs/s"' || miss "26 steps of 10 good samples an epoch"
grep -q '"skipped"' whole/log.jsonl && miss "nothing was skipped"
rm spoiled/checkpoints/*26 -r
exits 1 "$CZTC" train --resume spoiled --steps 30
says err "this run is trained on --data 'bad.tar': give it again"
exits 0 "$CZTC" train --resume spoiled --data bad.tar --steps 26
[ "$(grep -c skipped_sample spoiled/log.jsonl)" -eq 2 ] || miss "told again after a resume"
for n in 00 01 03 04 05 06 08; do spoil $n; done
(cd bad && tar -cf ../bad.tar --sort=name *)
exits 1 "$CZTC" train bad.yaml --data bad.tar --out spoiled-all
says err "error: --data: bad.tar: a whole epoch of 12 samples gave no batch of 4"

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
# metrics are no state of the run: others may be asked for, and a run goes on without or with more
exits 0 "$CZTC" eval whole --set experts.edge.metric=null --set experts.edge.baselines=null
grep -q "mean_abs" out && miss "a metric that is gone"
cat >more.yaml <<END
cztc: 1
extends: small.yaml
import+: [metrics/collected]
losses: {pair: {metric: {module: retrieval, a: visual.embedding, b: textual.embedding, most: 8}}}
END
exits 0 "$CZTC" train small.yaml --out ranked --steps 1
exits 0 "$CZTC" train more.yaml --resume ranked --steps 2
exits 0 "$CZTC" eval ranked --set losses.pair.metric.most=12
says out "pair.back_r1"
exits 1 "$CZTC" eval whole --data nothing.tar
# a run is used from any folder: its data is found where the graph said it
mkdir -p elsewhere
(cd elsewhere && "$CZTC" eval ../whole --samples 4 >/dev/null 2>&1) || miss "eval from another folder"
exits 1 "$CZTC" eval nowhere
exits 1 "$CZTC" eval whole --series foo
says err "--series: 'foo' is no NAME=SHARDS"
exits 1 "$CZTC" eval whole --series foo=train-00000.tar
says err "--series: nothing of the graph is in a series 'foo' (there are: none)"

# a loss that is not finite: the state stays as it was, the message says which kernel and which line
exits 1 "$CZTC" train small.yaml --out hot --set 'train.optimizer.lr=1e30'
says err "the loss is "
says err "of kernel step_"
says err ".yaml:"
exits 0 "$CZTC" train small.yaml --out skips --set 'train.optimizer.lr=1e30' --set train.nonfinite=skip
says out "7 updates were skipped"
[ "$(grep -c '"skipped": "the loss is' skips/log.jsonl)" -eq 7 ] || miss "seven updates are skipped"
cmp -s skips/checkpoints/step-00000003/params.safetensors skips/checkpoints/step-00000008/params.safetensors ||
    miss "a skipped update changed parameters"
# the optimiser counts the updates that were made: one of eight
state=skips/checkpoints/step-00000008/state.safetensors
header=$(head -c 8 $state | od -An -tu8 | tr -d ' ')
at=$(tail -c +9 $state | head -c "$header" |
    sed 's/.*"$opt.t.@0":{[^}]*"data_offsets":\[\([0-9]*\),.*/\1/')
count=$(tail -c +$((9 + header + at)) $state | head -c 8 | od -An -td8 | tr -d ' ')
[ "$count" = 1 ] || miss "the optimiser counts $count updates, of eight of which seven were skipped"
exits 1 "$CZTC" train small.yaml --out endless --set 'train.optimizer.lr=1e30' --set train.nonfinite=skip --steps 90
says err "20 updates in a row were skipped"
exits 1 "$CZTC" check small.yaml --set train.nonfinite=ignore
says err "nonfinite is stop or skip, not 'ignore'"

exit $((failed != 0))
