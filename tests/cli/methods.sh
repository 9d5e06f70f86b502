# The graphs of whole methods, at the size of their check: block, trained some steps on a few
# pictures and labels, over all their phases. (unit.cuda.nvrtc compiles them for GPUs.)
. "$(dirname "$0")/common.sh"
images=$SOURCE/tests/data/runtime/images

for class in photo drawing; do
    mkdir -p "pictures/$class"
    for n in 1 2 3 4; do
        cp "$images/photo.jpg" "pictures/$class/$n.jpg"
        cp "$images/gray16.png" "pictures/$class/$n.depth.png"
        cp "$images/index4.png" "pictures/$class/$n.seg.png"
        cp "$images/rgb.png" "pictures/$class/$n.normal.png"
        echo "$class number $n" >"pictures/$class/$n.txt"
    done
done
exits 0 "$CZTC" pack pictures -o train
says out "8 samples in 1 shards, 2 classes"

# method NAME KEY STEPS SET..: the loss of that name is lower at the end than at first
method() {
    graph=$SOURCE/graphs/$1.yaml key=$2 steps=$3
    shift 3
    rm -rf run
    exits 0 "$CZTC" train "$graph" --check --root "$PWD" --data train-00000.tar --out run --steps "$steps" "$@"
    sed -n "s/.*\"$key\": \([^,}]*\).*/\1/p" run/log.jsonl >losses
    awk 'NR == 1 { first = $1 } { last = $1 } END { exit !(last < first) }' losses ||
        miss "$graph: $key: $(tr '\n' ' ' <losses)"
}
fast="--set train.optimizer.lr=3e-3 --set log.every=1"
method clip loss 8 $fast
method clip-ft-vit-b16 loss 8 $fast --set eval=null
method cliptex-vit-b16 loss 8 $fast --set eval=null --set data.series.seg=train-00000.tar \
    --set data.series.geom=train-00000.tar --set 'experts.*.weight=1'
says run/log.jsonl '"experts.normal"'
method siglip2-like pair 20 $fast
says run/log.jsonl '"experts.mim"'
method radio-like loss 8 $fast

exit $((failed != 0))
