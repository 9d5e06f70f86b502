# export: parameters of parts, under other names, of a slow copy, in half the bytes; and watch:.
. "$(dirname "$0")/common.sh"

pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
cat >slow.yaml <<'END'
cztc: 1
extends: small.yaml
ema: {slow: {of: visual, momentum: 0.5}}
eval: {model: slow, every: 100}
watch:
  scale: losses.pair.weight
  embedding: visual.embedding
  late: {value: 2 * step, from: 2}
export:
  parts: [visual, "experts.*"]
  rename: {"visual.embed_image.weight": {to: visual.proj, transpose: true}, "visual.*": "tower.*", "experts.edge.bias": }
END
exits 0 "$CZTC" check slow.yaml
exits 0 "$CZTC" train slow.yaml --out run --steps 3
says run/log.jsonl '"watch.scale": 1'
says run/log.jsonl '"watch.embedding.std": '
[ "$(grep -c watch.late run/log.jsonl)" = 1 ] || miss "watch.late is logged $(grep -c watch.late run/log.jsonl) times"
says run/log.jsonl '"watch.late": 4'
exits 0 "$CZTC" export run -o out.safetensors
says out "out.safetensors: "
says err "parameters of run/checkpoints/step-00000003"
head -c 4000 out.safetensors | tr '{' '\n' >header
says header '"tower.cls"'
says header '"visual.proj"'
says header '"experts.edge.weight"'
grep -q 'textual\|losses.pair' header && miss "parts that are not asked for"
grep -q 'experts.edge.bias' header && miss "a tensor that is left out is there"

# what is written is the slow copy: a run that begins with it says what the copy says
cat >back.yaml <<'END'
cztc: 1
extends: small.yaml
init: [{file: out.safetensors, rename: {"visual.proj": {to: visual.embed_image.weight, transpose: true}, "tower.*": "visual.*"}}]
END
exits 0 "$CZTC" export run -o plain.safetensors --weights run/checkpoints/step-00000003/params.safetensors
cmp -s out.safetensors plain.safetensors && miss "the student was written in place of its copy"
exits 0 "$CZTC" train back.yaml --out back --steps 1 --set train.optimizer.lr=0
exits 0 "$CZTC" export back -o again.safetensors
cat >third.yaml <<'END'
cztc: 1
extends: back.yaml
export: {parts: [visual], rename: {"visual.embed_image.weight": {to: visual.proj, transpose: true}, "visual.*": "tower.*"}}
END
exits 0 "$CZTC" export third.yaml -o third.safetensors --weights back/checkpoints/step-00000001/params.safetensors
exits 0 "$CZTC" export run -o first.safetensors
tensors() { tail -c "$(($(stat -c %s "$1") - 8 - $(od -An -tu8 -N8 "$1")))" "$1"; }
tensors third.safetensors >a
tensors out.safetensors | head -c "$(stat -c %s a)" >b
same a b

# a run has no graph file to change, but other numbers can be wanted of it
exits 1 "$CZTC" export run -o half.safetensors --set export.dtype=bf16
says err "run: a run has its step and no graph file"
exits 0 "$CZTC" export run -o half.safetensors --dtype bf16
says out "tensors of bf16"
exits 2 "$CZTC" export run -o half.safetensors --dtype f8

# half the bytes; a graph without export: gives all parameters
exits 0 "$CZTC" export slow.yaml -o half.safetensors --set export.dtype=bf16
says err "untrained parameters"
says out "tensors of bf16"
exits 0 "$CZTC" export small.yaml -o all.safetensors --json
says out '"file": "all.safetensors", "tensors": '
exits 2 "$CZTC" export run
exits 1 "$CZTC" export slow.yaml -o x.safetensors --set export.dtype=f23
says err "an export has no numbers of 'f23'"
exits 1 "$CZTC" export slow.yaml -o x.safetensors --set 'export.parts=[visul]'
says err "did you mean 'visual'?"
exits 1 "$CZTC" export slow.yaml -o nowhere/x.safetensors
[ -e x.safetensors ] && miss "a file was written after an error"

exit $((failed != 0))
