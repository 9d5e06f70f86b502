# Stored embeddings, augmentations and captions: graphs/mobileclip-dr.yaml trains on small reinforced
# shards, the same whoever decodes them, and says what is wrong with a record.
. "$(dirname "$0")/common.sh"

cp "$SOURCE"/tests/data/reinforced/*.tar .
cp "$SOURCE/graphs/mobileclip-dr.yaml" whole.yaml
cat >small.yaml <<END
cztc: 1
extends: whole.yaml
let: {batch: 4, size: 32, embed: 32, augs: 3, syns: 2, teacher: 8, texts: 12}
data: {source: images-0.tar, series: {dr: {shards: dr-0.tar}}}
encoders:
  visual: {width: 8, layers: [1, 1, 1]}
  textual: {width: 32, layers: 1, heads: 2}
train: {steps: 40, precision: f32, optimizer: {lr: 3e-3}}
END
losses() { sed 's/, "pairs\/s".*/}/' "$1"; }
loss() { sed -n "s/.*\"step\": $2, \"loss\": \([0-9.]*\).*/\1/p" "$1"; }

# two teachers are learned from, nothing of weight 0 is computed
exits 0 "$CZTC" train small.yaml --out run --workers 1
awk "BEGIN {exit !($(loss run/log.jsonl 40) < 0.9 * $(loss run/log.jsonl 10))}" || miss "the loss does not fall"
grep -q '"clip' run/log.jsonl && miss "a loss of weight 0 is computed"

# draws are of the sample alone: other workers, and a run that goes on, see the same
exits 0 "$CZTC" train small.yaml --out parts --steps 17 --workers 3
exits 0 "$CZTC" train --resume parts --steps 40 --workers 2
losses run/log.jsonl | tail -2 >a
losses parts/log.jsonl | tail -2 >b
same a b
exits 0 "$CZTC" train small.yaml --out seed --seed 3 --steps 10
losses run/log.jsonl | head -1 >a
losses seed/log.jsonl | head -1 >b
cmp -s a b && miss "another seed changes nothing"

# another augmentation than the teacher's is seen as one: what is replayed changes the loss
exits 0 "$CZTC" train small.yaml --out centre --steps 10 --set data.views.image.replay=null
losses centre/log.jsonl | head -1 >b
cmp -s a b && miss "replaying changes nothing"

# what is evaluated needs no series: retrieval among pictures that have none
pictures held
exits 0 "$CZTC" eval run --data held-00000.tar
says out "retrieval.image_to_text@1"
grep -q "^loss.kd  *0.0000 " out || miss "no loss of nothing"
exits 0 "$CZTC" data small.yaml --json
says out '"t_img"'

# what is wrong is said, with the sample, the member and what there is
broken() { exits 1 "$CZTC" train small.yaml --out broken --steps 1 "$@"; rm -rf broken; }
broken --set 'data.fields.t_img.key="images[a]"'
says err "dr-0.tar: zip: there is no 'images.npy' (there are: image_emb.npy, text_emb.npy)"
broken --set augs=9
says err "key: index"
says err "of 3 items"
broken --set 'data.fields.syn.key="text[s]"'
says err "key: the record has no 'text'"
broken --set teacher=6
says err "npy: 16 elements where 12 are wanted"
mkdir members && tar -xf dr-0.tar -C members
for npz in members/*.npz; do echo pickle | gzip >"${npz%.npz}.pth.gz"; done
tar -cf dr-0.tar -C members $(ls members)
broken --set 'data.fields.t_img.member=[pth.gz, npz]'
says err "a gzip file, such as .pth.gz; records are .npz, .npy or JSON"
rm members/0003.syn.json && tar -cf dr-0.tar -C members $(ls members)
exits 0 "$CZTC" train small.yaml --out lack --steps 1 --set data.max_bad=0.5
says err "sample 0003: member .syn.json: series 'dr' has no member .syn.json of this key; left out"

exit $((failed != 0))
