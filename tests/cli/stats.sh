# stats: statistics of teachers' outputs, from computing them to training on whitened targets.
. "$(dirname "$0")/common.sh"

pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
cp "$SOURCE/tests/cli/phi.yaml" phi.yaml

# no file yet: the command that writes it is named, and writes what is needed
exits 0 "$CZTC" check phi.yaml
says out "frozen  stats.phi "
exits 0 "$CZTC" check "$SOURCE/graphs/radio-like.yaml"
grep -q "nothing reads" err && miss "a family over all teachers reads them: $(cat err)"
exits 1 "$CZTC" train phi.yaml --out early
says err "phi/big.summary.safetensors: there is no such file; \`cztc stats phi.yaml phi\` writes it"
exits 0 "$CZTC" stats phi.yaml phi
says out "phi/other.spatial.safetensors: stats.phi.other.spatial of 12 samples"
[ -e "each tokens" ] && miss "what was not asked for was written"
exits 1 "$CZTC" stats phi.yaml
says err "it is there already; --force replaces it"
cp phi/big.spatial.safetensors before
exits 0 "$CZTC" stats phi.yaml --force --json --threads 1
says out '"statistic": "stats.each.big.tokens"'
says out '"tensors": {"mean": "f32 [20]", "deviation": "f32 [20]"}'
same before phi/big.spatial.safetensors
[ -e "big/summary of big" ] || miss "a name is put in once only"
says phi/big.spatial.safetensors '"samples":"12"'
says phi/big.spatial.safetensors '"teacher":"big"'

# every channel has mean 0 and variance 1: a batch of the whole data, which the statistics saw in
# three
exits 0 "$CZTC" train phi.yaml --out run --steps 2 --set batch=12
line=$(grep '"step": 1,' run/log.jsonl)
# within NAME LEAST MOST: what was watched
within() {
    x=$(printf '%s' "$line" | sed "s/.*\"watch\\.$1\": \\([-0-9.e]*\\).*/\\1/")
    awk -v x="$x" -v a="$2" -v b="$3" 'BEGIN { exit !(x != "" && x >= a && x <= b) }' ||
        miss "watch.$1 is '$x', not from $2 to $3"
}
within mean 0 1e-5
within least 0.9999 1.0001
within most 0.9999 1.0001
within one_least 0.999 1.001
within one_most 0.999 1.001
within back 0 1e-5
within alike 0 1e-3
for f in run/checkpoints/step-00000002/*.safetensors; do
    grep -q "stats.phi" "$f" && miss "$f has the statistics"
done

# products in bf16 are of the teachers, not of what is made of their outputs; a batch in parts
cp phi/big.spatial.safetensors exact
exits 0 "$CZTC" stats phi.yaml phi --force --set precision=bf16
cmp -s exact phi/big.spatial.safetensors && miss "the teachers were not rounded"
exits 0 "$CZTC" train phi.yaml --out half --steps 1 --set batch=12 --set precision=bf16
line=$(grep '"step": 1,' half/log.jsonl)
within least 0.97 1.03
within most 0.97 1.03
exits 0 "$CZTC" stats phi.yaml phi --force --set batch=12 --set train.accumulate=3
same exact phi/big.spatial.safetensors

# fewer samples; other shards; a batch that is not whole
exits 0 "$CZTC" stats phi.yaml phi --force --samples 5
says out "of 8 samples"
exits 0 "$CZTC" stats phi.yaml phi --force --set batch=5
says out "of 10 samples"
says err "note: the last 2 samples are no whole batch of 5, and left out"
exits 1 "$CZTC" stats phi.yaml phi --force --set batch=13
says err "12 samples are less than a batch of 13"
exits 1 "$CZTC" train phi.yaml --resume run --steps 6 --set batch=12
says err "the frozen weights of its run were others"

# of several shapes the first is looked at; a limit is one of a step
exits 0 "$CZTC" stats phi.yaml phi --force --set train.memory=100kB
same exact phi/big.spatial.safetensors
cat >shapes.yaml <<'END'
cztc: 1
extends: phi.yaml
shapes: [{size: 16, batch: 4}, {size: 24, batch: 6}]
encoders: {visual: {size: 16}}
teachers: {big: {size: 16}, other: {size: 16}}
END
exits 0 "$CZTC" stats shapes.yaml phi --force
same exact phi/big.spatial.safetensors
exits 0 "$CZTC" train shapes.yaml --out shapes --steps 3

# of the teacher that the program has: neither the batch nor the precision makes another one, nor
# what its file and it are called; other weights do, and so does what is done with them
exits 0 "$CZTC" train small.yaml --out early --steps 1
weights=early/checkpoints/step-00000001/params.safetensors
exits 0 "$CZTC" train small.yaml --out later --steps 1 --seed 4
cp $weights old.safetensors
cp later/checkpoints/step-00000001/params.safetensors new.safetensors
of() { # NAME FILE NORM [SUMMARY]
    cat >of.yaml <<END
cztc: 1
extends: small.yaml
import+: [targets/phi_s]
data: {views: {image: {crop: centre, flip: 0}}}
teachers:
  $1:
    {module: vit, image: "normalize(views.image, norm.$3)", patch: 8, width: 32, layers: 1,
     heads: 2, embed: 16, outputs: {summary: "${4:-embedding}", spatial: map},
     weights: {file: $2, rename: {"visual.*": "*", "textual.*":}}}
stats:
  phi: {of: teachers, method: phi_s, file: "of/{output}.safetensors"}
values: {centred: "teachers.$1.summary - stats.phi.$1.summary.mean"}
losses:
  near: {loss: "abs(mean(visual.embedding, axis=1) - mean(stop_gradient(centred), axis=1))"}
END
}
of big old.safetensors half
exits 0 "$CZTC" stats of.yaml
[ -s err ] && grep -q warning err && miss "parts of a teacher are warned of: $(cat err)"
says of/summary.safetensors '"weights_file":"old.safetensors"'
exits 0 "$CZTC" train of.yaml --out of1 --steps 1
exits 0 "$CZTC" train of.yaml --out of2 --steps 1 --set batch=1 --set losses.pair=null \
    --set precision=bf16
exits 0 "$CZTC" train of.yaml --out of3 --steps 1 --set batch=6 --set train.accumulate=3 --seed 9
cp old.safetensors same.safetensors
of vit same.safetensors half
exits 0 "$CZTC" train of.yaml --out of4 --steps 1
of vit new.safetensors half
exits 1 "$CZTC" train of.yaml --out none --steps 1
says err "of/summary.safetensors: statistics of another teacher, 'big' of old.safetensors (weights "
says err "): this one is 'vit' of new.safetensors (weights "
says err "; \`cztc stats of.yaml phi --force\` writes it anew"
exits 1 "$CZTC" train of.yaml --resume of1 --steps 2
exits 0 "$CZTC" compile of.yaml -o of.czt
exits 1 "$CZTC" run of.czt
says err "statistics of another teacher"
of big old.safetensors clip
exits 1 "$CZTC" train of.yaml --out none --steps 1
says err "statistics of another teacher, 'big' of old.safetensors (weights "
of big old.safetensors half "2 * embedding"
exits 1 "$CZTC" train of.yaml --out none --steps 1
says err ", of the same weights, with which something else is computed; \`cztc stats"
exits 0 "$CZTC" stats of.yaml --force
exits 0 "$CZTC" train of.yaml --out of5 --steps 1

# nor of other places of it: where a slice begins, how it steps, where a pad stands
places() { # SUMMARY
    of big old.safetensors half "$1"
    exits 1 "$CZTC" train of.yaml --out none --steps 1
    says err ", of the same weights, with which something else is computed; \`cztc stats"
}
of big old.safetensors half "embedding[:, 0:4]"
exits 0 "$CZTC" stats of.yaml --force
exits 0 "$CZTC" train of.yaml --out of6 --steps 1 --set batch=2
places "embedding[:, 8:12]"
places "embedding[:, 0:8:2]"
of big old.safetensors half "pad(embedding[:, 4:16], [0, 4], [0, 0])"
exits 0 "$CZTC" stats of.yaml --force
exits 0 "$CZTC" train of.yaml --out of7 --steps 1
places "pad(embedding[:, 4:16], [0, 0], [0, 4])"

# other sizes than the file's; a damaged file; nothing without a file
exits 1 "$CZTC" train phi.yaml --out wide --set teachers.big.embed=20
says err "phi/big.summary.safetensors: 'mean' is f32 [12], 'stats.phi.big.summary.mean' of the "
says err " of the program is f32 [20]; \`cztc stats phi.yaml phi --force\` writes it anew"
cp "each tokens" phi/big.spatial.safetensors
exits 1 "$CZTC" train phi.yaml --out lack
says err "it lacks 2 tensors of stats.phi.big.spatial: "
says err ": 'stats.phi.big.spatial.matrix' f32 [24, 24], "
exits 0 "$CZTC" check phi.yaml --set stats.phi.file=null
says out "frozen  stats.phi (of nothing) "
exits 1 "$CZTC" stats phi.yaml --set stats.phi.file=null
says err "stats.phi has no file to be written to"
exits 1 "$CZTC" stats phi.yaml phy
says err "the graph has no statistic 'phy' under stats:"
says err "did you mean 'phi'?"
exits 1 "$CZTC" stats small.yaml
says err "the graph has no statistics: there is no stats:"
exits 0 "$CZTC" compile phi.yaml -o phi.czt
exits 1 "$CZTC" stats phi.czt
says err "a step file has no statistics to compute"

# of several input shapes they are of the first
cat >several.yaml <<'END'
cztc: 1
extends: phi.yaml
shapes: [{batch: 4}, {batch: 2}]
END
exits 0 "$CZTC" stats several.yaml --force
says out "stats.phi.big.spatial of"

# a gradient does not go through what has none
cat >grad.yaml <<'END'
cztc: 1
import: [optim/sgd]
let: {batch: 4}
data: {source: train-00000.tar, fields: {x: {as: vector, size: 3, member: x.json}}}
params: {w: {shape: "[3, 3]", init: "random_normal(shape)"}}
losses:
  fixed: {loss: "sum(x @ w + eigh(stop_gradient(w)).values, axis=1)"}
  moving: {loss: "sum(x @ w + eigh(w).values, axis=1)"}
train: {steps: 10, optimizer: {module: sgd, lr: 1}}
END
exits 1 "$CZTC" check grad.yaml
says err "grad.yaml:8:31: error: eigh has no gradient"
grep -q ":7:" err && miss "the gradient was stopped there"
exits 0 "$CZTC" check grad.yaml --set losses.moving=null
