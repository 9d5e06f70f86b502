# From a folder of pictures to figures: pack, train and evaluate with what pack wrote; and what is
# said when data is missing or bad.
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
