# graphs/clip-det.yaml at a small size, on pictures of coloured boxes that make_boxes (the fourth
# argument) draws. The fifth is the folder of the stand-in for CUDA's driver.
BOXES=$4 FAKE=$5
. "$(dirname "$0")/common.sh"

exits 0 "$BOXES" train.tar 256 1
exits 0 "$BOXES" held.tar 64 2
cat >det.yaml <<END
cztc: 1
extends: $SOURCE/graphs/clip-det.yaml
let: {batch: 16, size: 64, embed: 16}
data:
  source: train.tar
  views: {image: {member: png, crop: {scale: [0.6, 1]}}}
  fields: {boxes: {max: 4}, text: {length: 16}}
encoders:
  visual: {patch: 8, width: 64, layers: 2, heads: 2}
  textual: {width: 16, layers: 1, heads: 1}
experts:
  det: {taps: "visual.blocks[0:2].map", width: 32, depth: 1}
init: null
train:
  steps: 200
  optimizer: {lr: "warmup_cosine(step, peak=3e-3, warmup=10, total=steps)", decay: 0.05}
  groups+: [{match: "experts.*", lr_scale: 1}]
  precision: f32
eval: {every: null, sets: {imagenet: null, coco: null, held: held.tar}}
log: {every: 1}
END

exits 0 "$CZTC" data det.yaml
says out "boxes      f32 (4, 4)         0 to 3 boxes, mean "
says out "3 classes: "
says out "missing in 25 (9.77 %)"
exits 0 "$CZTC" run det.yaml -n 1 --print boxes.xyxy --print experts.det.decoded.score --json
says out '"boxes.xyxy"'
says out '"shape": [16, 4, 4]'

# it learns to find them
exits 0 "$CZTC" train det.yaml --out run
loss() { sed -n "s/.*\"step\": $1, .*\"experts.det\": \([0-9.e+-]*\).*/\1/p" run/log.jsonl | head -1; }
awk -v a="$(loss 1)" -v b="$(loss 200)" 'BEGIN {exit !(a > 1 && b > 0 && b < 0.5 * a)}' ||
    miss "the loss goes from $(loss 1) to $(loss 200)"
exits 0 "$CZTC" eval run
ap() { awk -v n="experts.det.$1" '$1 == n {print $2}' out; }
awk -v a="$(ap ap50)" -v b="$(ap ap)" 'BEGIN {exit !(a > 0.4 && a <= 1 && b > 0.12 && b < a)}' ||
    miss "ap50 is $(ap ap50), ap $(ap ap)"

# more boxes than there is room for are counted
exits 0 "$CZTC" train det.yaml --out few --steps 1 --set data.fields.boxes.max=1
says out " boxes or points were more than their fields' max, and dropped"
exits 0 "$CZTC" train det.yaml --out few_json --steps 1 --set data.fields.boxes.max=1 --json
grep -q '"dropped": [1-9]' out || miss "no count of dropped boxes"

[ -n "$FAKE" ] || exit $((failed != 0))

# for GPUs: the same bits by the stand-in for their driver
exits 0 "$CZTC" train det.yaml --out cpu --steps 2 --set batch=4 --set accumulate=2
CZT_CUDA_LIBS=$FAKE CZT_FAKE_CACHE=$PWD exits 0 "$CZTC" train det.yaml --out cuda --target cuda \
    --steps 2 --set batch=4 --set accumulate=2
cat cpu/checkpoints/step-00000002/*.safetensors >cpu.state
cat cuda/checkpoints/step-00000002/*.safetensors >cuda.state
same cpu.state cuda.state
exit $((failed != 0))
