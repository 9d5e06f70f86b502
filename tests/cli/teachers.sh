# teachers: frozen networks with weights of files, or of the seed; constants of files.
. "$(dirname "$0")/common.sh"

pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
exits 0 "$CZTC" train small.yaml --out before --steps 3
weights=before/checkpoints/step-00000003/params.safetensors
cp $weights model.safetensors

# the student begins as its teacher is: the two say the same, and only the student is updated
cat >taught.yaml <<'END'
cztc: 1
extends: small.yaml
init: [{file: model.safetensors, rename: {"visual.*": "visual.*", "*": }}]
teachers:
  old:
    module: vit
    weights: {file: model.safetensors, rename: {"visual.*": "*"}}
    outputs: {summary: embedding, wide: "concat([summary, summary], axis=1)"}
    image: normalize(views.image, norm.clip)
    patch: 8
    width: 32
    layers: 1
    heads: 2
    embed: 16
  strange:
    module: vit
    image: normalize(views.image, norm.half)
    patch: 8
    width: 16
    layers: 1
    heads: 2
    embed: 8
experts:
  near:
    output: visual.embedding
    target: teachers.old.summary
    loss: "mean(abs(output - target), axis=1)"
  learned:
    for: {t: [old, strange]}
    output: linear(visual.cls, width=32, out=t.cls.shape[-1])
    target: t.cls
    loss: "mean(abs(output - target), axis=1)"
  all:
    for: {t: teachers}
    output: linear(visual.cls, width=32, out=t.cls.shape[-1])
    target: t.cls
    loss: 1 - cosine_similarity(output, target)
    weight: "0.5 if t == teachers.old else 2 * len([e for e in experts.learned if e.t == t])"
END
exits 0 "$CZTC" check taught.yaml
says out "experts.learned.strange"
exits 0 "$CZTC" run taught.yaml --entry step --print 'sum(teachers.old.wide, axis=1)'
exits 0 "$CZTC" train taught.yaml --out taught --steps 5
says taught/log.jsonl '"experts.near": 0.0'
grep '"step": 2,' taught/log.jsonl | grep -q '"experts.near": 0.0,' && miss "nothing was learned"
for f in taught/checkpoints/step-00000005/*.safetensors; do
    grep -q "teachers.old" "$f" && miss "$f has the teacher"
done
exits 0 "$CZTC" train taught.yaml --out whole --steps 7
exits 0 "$CZTC" train --resume taught --steps 7
line() { grep '"step": 7,' "$1/log.jsonl" | sed 's/, "pairs\/s".*//'; }
line taught >a
line whole >b
same a b
exits 0 "$CZTC" eval taught --data train-00000.tar

# another teacher is not taken unseen; one that is not there, or does not fit
cp before/checkpoints/step-00000003/params.safetensors other.safetensors
exits 0 "$CZTC" train small.yaml --out other --steps 1
cp other/checkpoints/step-00000001/params.safetensors model.safetensors
exits 1 "$CZTC" train --resume taught --steps 8
says err "the frozen weights of its run were others: teachers.old (model.safetensors); bring"
rm model.safetensors
exits 0 "$CZTC" export taught -o taught.safetensors # which nothing frozen is in
exits 1 "$CZTC" train taught.yaml --out none --steps 1
says err "model.safetensors: No such file"
cat >wrong.yaml <<'END'
cztc: 1
extends: taught.yaml
init: null
teachers: {old: {weights: {file: other.safetensors, rename: {"visual.*": null, "visual.blocks.*": "blocks.*"}}}}
END
exits 1 "$CZTC" train wrong.yaml --out none --steps 1
says err "other.safetensors: it lacks"
says err "of teachers.old: 'teachers.old."
cp other.safetensors model.safetensors
exits 0 "$CZTC" train taught.yaml --set teachers.old.weights=null --out random --steps 1

# a constant of a file
cat >constant.yaml <<'END'
cztc: 1
extends: small.yaml
params:
  first: {shape: [16, 32], file: other.safetensors, tensor: visual.embed_image.weight}
losses:
  still: {loss: 'mean(abs(einsum("b d, e d -> b e", visual.cls, first) - visual.embedding), axis=1)'}
END
exits 0 "$CZTC" check constant.yaml
exits 0 "$CZTC" train constant.yaml --out constant --steps 1
