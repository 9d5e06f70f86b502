# From a folder of pictures to figures: pack, train and evaluate with what pack wrote; and what is
# said when data, or what a command wants of a file, is missing or bad.
. "$(dirname "$0")/common.sh"

pictures shards/train # packs, and says what it did
exits 1 "$CZTC" pack pictures -o shards/train
says err "shards/train-00000.tar is there already (2 files of this prefix): --force replaces them"
exits 0 "$CZTC" pack pictures -o shards/train --per-shard 5 --force --json
says out '{"samples": 12, "skipped": 0, "shards": 3, "bytes": '
says out '"classes": 3, "classes_file": "shards/train-classes.json"}'
bytes=$(cat shards/*.tar | wc -c)
says out "\"bytes\": $bytes,"
exits 0 "$CZTC" pack pictures -o shards/train --per-shard 6 --force --seed 1
[ "$(cd shards && echo *)" = "train-00000.tar train-00001.tar train-classes.json" ] ||
    miss "an old shard was left: $(ls shards)"
# the classes are spread over the shards
[ "$(tar -xOf shards/train-00000.tar --wildcards '*.cls' | fold -w1 | sort -u | wc -l)" -eq 3 ] ||
    miss "a shard without a class"

# a graph that names folders, and the classes that pack wrote
sed -e 's|source: .*|source: shards|' \
    -e 's|^eval: .*|eval: {every: 4, sets: {held: shards, again: shards/train-00001.tar}, classes: shards/train-classes.json}|' \
    "$SOURCE/tests/cli/small.yaml" >graph.yaml
exits 0 "$CZTC" train graph.yaml --out run
says run/log.jsonl '"eval.held.zero_shot@1"'
says run/log.jsonl '"eval.again.zero_shot@1"'
exits 0 "$CZTC" eval run --json
says out '"samples": 12'
says out '"set": "held"'
says out '"samples": 6'
says out '"set": "again"'
head -1 out >held.json
printf 'chart\n\n drawing \nphoto' >names.txt # the same names, the same template by default
exits 0 "$CZTC" eval run --json --data shards/ --classes names.txt
sed 's/, "set": "held"//' held.json >plain.json
same out plain.json
echo 'a {}, drawn' >prompts.txt
sed 's|classes.json}|classes.json, prompts: prompts.txt}|' graph.yaml >prompted.yaml
exits 0 "$CZTC" eval prompted.yaml --json --data shards
exits 0 "$CZTC" train run/step.czt --data shards --out other --steps 1

# what is missing is found before the first step; a graph that is compiled at once
cat >tiny.yaml <<END
cztc: 1
import: [optim/adamw]
let: {batch: 4}
data:
  source: shards
  views: {image: {size: "[8, 8]"}}
params: {w: {shape: []}}
losses: {one: {loss: "mean(unit(views.image), axis=[1, 2, 3]) * w"}}
train: {steps: 6, optimizer: {module: adamw, lr: 1e-3}}
eval: {every: 4, sets: {held: shards}, classes: shards/train-classes.json}
END
exits 0 "$CZTC" train tiny.yaml --out tiny
mkdir none
missing() {
    sed "$1" tiny.yaml >missing.yaml
    rm -rf lost
    exits 1 "$CZTC" train missing.yaml --out lost
    says err "$2"
    says err "$3"
    [ -s lost/log.jsonl ] && miss "$2: a step was taken"
}
missing 's|source: .*|source: "shards/train-{00000..00003}.tar"|' "data.source: " \
    "train-00002.tar: cannot read the shard: No such file or directory (and 1 more of 4 shards)"
missing 's|source: .*|source: none|' "data.source: " "/none: the folder has no *.tar"
missing 's|held: shards|held: shards/test.tar|' "eval.sets.held: " "shards/test.tar: cannot read"
missing 's|train-classes.json|test-classes.json|' "eval.classes: " "shards/test-classes.json: No such"
missing 's|train-classes.json|train-00000.tar|' "eval.classes: " "train-00000.tar: not a text"
missing 's|train-classes.json|train-classes.json, prompts: pictures/chart/1.txt|' "eval.classes: " \
    "1.txt: template 'chart number 1' has no {} for the class"
exits 1 "$CZTC" eval run --data none
says err "--data: none: the folder has no *.tar"
echo '{"classes": ["one"]' >broken.json
exits 1 "$CZTC" eval run --classes broken.json
says err "broken.json:2: "
echo '{"classes": ["one"]}' >few.json
exits 1 "$CZTC" eval run --classes few.json
says err "few.json: a sample has class "
says err ", there are 1"

# bad samples: named, counted, and counted on by a run that goes on
mkdir -p bad
(cd bad && tar -xf ../shards/train-00000.tar && tar -xf ../shards/train-00001.tar &&
    ls 00000003.[jpw]* 00000007.[jpw]* >../pictures.txt && rm 00000003.[jpw]* &&
    for f in 00000007.[jpw]*; do head -c 300 "$f" >cut && mv cut "$f"; done &&
    tar -cf ../bad.tar --sort=name *)
sed 's|^data:|data:\n  max_bad: 0.2|' tiny.yaml >bad.yaml
exits 0 "$CZTC" train bad.yaml --out all --data bad.tar --steps 6
says err "warning: bad.tar: sample 00000003: member .jpg: the sample has no member .jpg; left out"
says err "warning: bad.tar: sample 00000007: member .$(sed -n 's/00000007.//p' pictures.txt): "
"$CZTC" train bad.yaml --out halves --data bad.tar --steps 3 2>err || miss "three steps"
exits 0 "$CZTC" train --resume halves --data bad.tar --steps 6 --json
says out '"skipped": 6'
position() { sed 's/.*"position"/"position"/' "$1"/checkpoints/step-00000006/position.json; }
position all | grep -q '"bad": *[1-9]' || miss "no bad samples in $(position all)"
[ "$(position all)" = "$(position halves)" ] || miss "$(position all) became $(position halves)"
sed 's/max_bad: 0.2/max_bad: 0.1/' bad.yaml >strict.yaml
exits 1 "$CZTC" train strict.yaml --out strict --data bad.tar
says err "samples are corrupt or incomplete (max_bad is 0.1); the last: bad.tar, sample 0000000"

# a shard that is cut off behind a member is named
head -c 20480 shards/train-00000.tar >short.tar
while ! tar -tf short.tar >/dev/null 2>&1; do # at a header: behind the end of a member's padding
    head -c $(($(wc -c <short.tar) - 512)) short.tar >shorter.tar && mv shorter.tar short.tar
done
exits 0 "$CZTC" eval run --data short.tar
says err "warning: short.tar: short.tar: cut off at byte $(wc -c <short.tar): the two zero blocks"

# losses and metrics are of whole batches; what they leave out is said
exits 0 "$CZTC" eval run --data shards/train-00000.tar --json
says out '"samples": 6, "batches": 1, "left_out": 2,'
says out '"loss.pair"'
says err "warning: --data: 2 samples of the last batch are left out of losses and metrics"
exits 0 "$CZTC" eval run --data shards --json
says out '"left_out": 0,'
[ "$(grep -c warning: err)" -eq 0 ] || miss "a warning for whole batches: $(cat err)"
mkdir three && (cd three && tar -xf ../shards/train-00000.tar && tar -cf ../three.tar --sort=name \
    $(ls | sed 's/[.].*//' | sort -u | head -3 | sed 's/$/.*/'))
exits 0 "$CZTC" eval run --data three.tar --json # the encoders still give retrieval
says out '"samples": 3, "batches": 0, "left_out": 3,'
says err "warning: --data: there are no losses and metrics: 3 samples are fewer than a batch of 4"
exits 1 "$CZTC" eval tiny --data three.tar
says err "--data: 3 samples give no figure: there must be a batch of 4"
[ -s out ] && miss "a table without figures"
sed 's|held: shards|held: three.tar, most: shards/train-00000.tar|' graph.yaml >sets.yaml
exits 0 "$CZTC" train sets.yaml --out sets --steps 1
says err "warning: eval.sets.held: there are no losses and metrics: 3 samples"
says err "warning: eval.sets.most: 2 samples of the last batch"
exits 0 "$CZTC" train sets.yaml --out sets1 --steps 1 --set eval.samples=4
[ "$(grep -c 'samples of the last batch' err)" -eq 0 ] || miss "eval.samples: $(cat err)"

# run: what is not finite is printed, counted, and no part of the range
cat >nan.ir <<END
program "nan" batch=4 steps=1 seed=0
state param "w" f32[2] trainable
entry "step" {
  %x = input {name="x"} : f32[4b, 2]
  %logs = log %x
  %sum = sum %logs {axes=[0, 1], cross=1} : f32[]
  %big = const {value=1000} : f32[]
  %most = exp %big
  %least = neg %most
  output "logs" %logs
  output "sum" %sum
  output "most" %most
  output "least" %least
}
END
exits 0 "$CZTC" run nan.ir --print logs
says out "step 0  sum nan  most inf  least -inf"
exits 0 "$CZTC" run nan.ir --print logs --json
says out '"sum": "nan", "most": "inf", "least": "-inf"'
sed 's/.*"values": .//; s/].*//; s/, /\n/g' out >values.txt # all eight
grep -v nan values.txt | sort -g >numbers.txt
nans=$(grep -c nan values.txt)
[ "$nans" -gt 0 ] && [ "$nans" -lt 8 ] || miss "$nans NaNs: $(cat out)"
says out "\"nan\": $nans}"
says out "\"min\": $(head -1 numbers.txt), \"max\": $(tail -1 numbers.txt), \"mean\": \"nan\""

# what a file cannot give is an error before a step is run
exits 0 "$CZTC" compile nan.ir -o nan.czt
for file in nan.ir nan.czt; do
    exits 1 "$CZTC" run $file --print nothere
    says err "$file: --print: entry 'step' has no output 'nothere'"
    exits 1 "$CZTC" run $file --grads grads.safetensors
    says err "$file: --grads: entry 'step' gives no gradients"
    [ -s out ] && miss "run $file --grads took a step"
done
exits 0 "$CZTC" run nan.czt --print logs
says out '"shape": [4, 2]'
for command in check opt compile; do
    exits 1 "$CZTC" $command nan.czt
    says err "nan.czt: this is a step file, compiled already; run, train, bench, eval and describe take it"
done
mkfifo pipe.yaml
for command in check opt compile run bench eval; do
    exits 1 timeout 5 "$CZTC" $command pipe.yaml
    says err "pipe.yaml: not a regular file, but a pipe"
done
printf 'cztc: 1\nextends: pipe.yaml\n' >over.yaml
exits 1 timeout 5 "$CZTC" check over.yaml
says err "over.yaml:2:10: error: cannot read 'pipe.yaml': not a regular file"
exits 1 timeout 5 "$CZTC" eval run --data pipe.yaml
says err "--data: pipe.yaml: cannot read the shard: not a regular file"
exits 2 "$CZTC" pack pictures -o packed/b --threads 1000000
says err "--threads: '1000000' is no whole number from 1 to 4096"
exits 2 "$CZTC" pack pictures -o packed/b --per-shard 0
says err "--per-shard: '0' is no whole number from 1 up"

# packing: bad pictures, a full disk, signals
head -c 300 pictures/photo/1.jpg >pictures/photo/cut.jpg
exits 1 "$CZTC" pack pictures -o packed/a --caption x
says err "pictures/photo/cut.jpg: JPEG: "
[ -z "$(ls packed)" ] || miss "a failed packing left $(ls packed)"
exits 0 "$CZTC" pack pictures -o packed/a --caption x --skip-bad
says out "12 samples in 1 shards, 3 classes, "
says out " 1 skipped"
says err "cut.jpg: JPEG: "
says err "; left out"
rm pictures/photo/cut.jpg
(ulimit -f 8 && exec "$CZTC" pack pictures -o packed/a --force) >out 2>err && miss "no full disk"
says err "packed/a-00000.tar.tmp: cannot "
[ "$(cd packed && echo *)" = "a-00000.tar a-classes.json" ] || miss "a full disk left $(ls packed)"
for n in $(seq 100 2600); do ln pictures/photo/1.jpg "pictures/photo/$n.jpg"; done
"$CZTC" pack pictures -o packed/a --force --caption x --per-shard 50 2>err &
pid=$!
for _ in $(seq 200); do [ -e packed/a-00003.tar.tmp ] && break; sleep 0.02; done
kill -TERM $pid
wait $pid
code=$?
[ $code -eq 143 ] || miss "SIGTERM while packing: exit code $code"
says err "stopped by a signal"
[ "$(cd packed && echo *)" = "a-00000.tar a-classes.json" ] || miss "SIGTERM left $(ls packed)"
exits 2 "$CZTC" pack pictures
exits 1 "$CZTC" pack nowhere -o packed/b

exit $((failed != 0))
