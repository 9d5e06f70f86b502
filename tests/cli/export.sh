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
  temperature: pair.scale
  patches: visual.patch.weight
export:
  parts: [visual, "experts.*"]
  rename: {"visual.embed_image.weight": {to: visual.proj, transpose: true}, "visual.*": "tower.*", "experts.edge.bias": }
END
exits 0 "$CZTC" check slow.yaml
exits 0 "$CZTC" train slow.yaml --out run --steps 3
says run/log.jsonl '"watch.scale": 1'
says run/log.jsonl '"watch.embedding.std": '
late=$(grep -c watch.late run/log.jsonl)
[ "$late" = 1 ] || miss "watch.late is logged $late times"
says run/log.jsonl '"watch.late": 4'
says run/log.jsonl '"watch.temperature": 14.28'
says run/log.jsonl '"watch.patches.std": '
# a parameter by its path, also below a part; what is a value of the graph stays that
exits 0 "$CZTC" run slow.yaml --json --print visual.patch.weight --print visual.blocks.0.qkv.bias \
    --print losses.pair.scale
says out '"visual.patch.weight": {"dtype": "f32", "shape": [32, 3, 8, 8]'
says out '"visual.blocks.0.qkv.bias": {"dtype": "f32", "shape": [96]'
says out '"losses.pair.scale": {"dtype": "f32", "shape": [], "min": 14.28'
exits 0 "$CZTC" run slow.yaml --json --print slow.visual.patch.weight
says out '"slow.visual.patch.weight": {"dtype": "f32", "shape": [32, 3, 8, 8]'
exits 1 "$CZTC" run slow.yaml --json --print slow.visual.patch.wieght
says err "did you mean 'slow.visual.patch.weight'?"
exits 0 "$CZTC" run slow.yaml --json --entry encode_textual --print visual.patch.weight
says out '"visual.patch.weight": {"dtype": "f32"'
# histograms: counted in the step, drawn by TensorBoard
cat >bins.yaml <<'END'
cztc: 1
extends: small.yaml
watch:
  four: {value: "stack([0, 0, 0.5, 2]) + 0 * pair", bins: 4}
  embedding: {value: visual.embedding, bins: 8}
  flat: {value: 0 * visual.embedding + 3, bins: 2}
END
exits 0 "$CZTC" compile bins.yaml -o bins.czt
exits 0 "$CZTC" run bins.czt --json --print 'watch.*.histogram'
says out '"watch.four.histogram": {"dtype": "i32", "shape": [4], "min": 0.0, "max": 2.0, "mean": 1.0, "values": [2.0, 1.0, 0.0, 1.0]}'
says out '"watch.flat.histogram": {"dtype": "i32", "shape": [2], "min": 0.0, "max": 64.0, "mean": 32.0, "values": [64.0, 0.0]}'
says out '"watch.embedding.histogram": {"dtype": "i32", "shape": [8]'
grep -q 'embedding.histogram": {[^}]*"mean": 8.0,' out || miss "not all 64 elements are counted"
exits 0 "$CZTC" train bins.yaml --out bins --steps 2
[ "$(cat bins/events/* | grep -ao 'watch.embedding\*' | wc -l)" = 2 ] || miss "no histogram in the events"
says bins/log.jsonl '"watch.four.max": 2'
for step in 1 2; do
    says bins/log.jsonl "{\"step\": $step, \"watch.four.histogram\": {\"edges\": [0, 0.5, 1, 1.5, 2], \"counts\": [2, 1, 0, 1]}}"
done
[ "$(grep -c '"watch.embedding.histogram": {"edges": \[' bins/log.jsonl)" = 2 ] || miss "histograms are missing in the log"
# between two lines too, where an update is the last to have one
sed 's/bins: 4/bins: 4, until: 2/' bins.yaml >early.yaml
exits 0 "$CZTC" train early.yaml --set log.every=4 --out early --steps 4
[ "$(grep -c 'watch.four.histogram' early/log.jsonl)" = 1 ] || miss "not one histogram of a watch that ends"
says early/log.jsonl '{"step": 2, "watch.four.histogram": '
exits 1 "$CZTC" check bins.yaml --set watch.four.bins=1
says err "bins is 1; it is from 2 to 1000"

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
exits 0 "$CZTC" export run -o plain.safetensors \
    --weights run/checkpoints/step-00000003/params.safetensors
cmp -s out.safetensors plain.safetensors && miss "the student was written in place of its copy"
exits 0 "$CZTC" train back.yaml --out back --steps 1 --set train.optimizer.lr=0
exits 0 "$CZTC" export back -o again.safetensors
cat >third.yaml <<'END'
cztc: 1
extends: back.yaml
export: {parts: [visual], rename: {"visual.embed_image.weight": {to: visual.proj, transpose: true}, "visual.*": "tower.*"}}
END
exits 0 "$CZTC" export third.yaml -o third.safetensors \
    --weights back/checkpoints/step-00000001/params.safetensors
exits 0 "$CZTC" export run -o first.safetensors
tensors() { tail -c "$(($(stat -c %s "$1") - 8 - $(od -An -tu8 -N8 "$1")))" "$1"; }
tensors third.safetensors >a
tensors out.safetensors | head -c "$(stat -c %s a)" >b
same a b

# other numbers of a run: by its graph file, or by the option
exits 0 "$CZTC" export run -o set.safetensors --set export.dtype=bf16
exits 0 "$CZTC" export run -o half.safetensors --dtype bf16
says out "tensors of bf16"
tensors() { tail -c +$((9 + $(head -c 8 "$1" | od -An -tu8))) "$1"; }
tensors half.safetensors >half.tensors
tensors set.safetensors >set.tensors
same half.tensors set.tensors
exits 2 "$CZTC" export run -o half.safetensors --dtype f8

# half the bytes; a graph without export: gives all parameters
cp half.safetensors kept.safetensors
exits 1 "$CZTC" export slow.yaml -o half.safetensors --set export.dtype=bf16
says err "half.safetensors is there already: --force replaces it"
same half.safetensors kept.safetensors
exits 0 "$CZTC" export slow.yaml -o half.safetensors --set export.dtype=bf16 --force
cmp -s half.safetensors kept.safetensors && miss "--force replaces nothing"
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
