# accumulate: a run in parts of its batch learns what a whole one does, draws the same random
# numbers, resumes to the bit across phases, and says what it takes.
. "$(dirname "$0")/common.sh"

pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
cat >parts.yaml <<'END'
cztc: 1
extends: small.yaml
import: [encoders/vit, encoders/text, experts/dense, losses/contrastive, losses/dense, metrics/dense, optim/sgd, optim/clip]
experts:
  holes:
    output: "dropout(conv_head(visual.map, 1), 0.3)"
    target: "views_grey"
    valid: "views_grey > 0.1"
    loss: {module: l1}
values:
  views_grey: "sobel(views.image, h=size // 8, w=size // 8)"
losses:
  late: {from: 5, loss: "1 - cosine_similarity(visual.embedding, stop_gradient(textual.embedding))"}
train:
  accumulate: 1
  optimizer: {module: sgd, lr: 0.01}
END

# every number of every update, but for the last digits
numbers() { grep -v eval "$1/log.jsonl" | sed 's/, "pairs\/s".*//; s/[{}",:a-z.$]*: / /g'; }
near() {
    numbers "$1" >a && numbers "$2" >b
    [ "$(wc -l <a)" = 8 ] || miss "$1 has no 8 updates"
    paste -d ' ' a b | awk '{
        n = NF / 2
        for (i = 1; i <= n; i++) {
            x = $i + 0; d = x - $(n + i); if (d < 0) d = -d
            s = x < 0 ? -x : x; if (s < 1) s = 1
            if (d > 1e-6 * s) { print "update " NR ": " $i " and " $(n + i); bad = 1 }
        }
        if (n < 4) bad = 1
    } END { exit bad }' || miss "$1 and $2 differ"
}
exits 0 "$CZTC" train parts.yaml --out whole
for k in 2 4; do
    exits 0 "$CZTC" train parts.yaml --set train.accumulate=$k --out parts$k
    near whole parts$k
done

# killed and resumed, before and after a phase begins: the same bits
exits 0 "$CZTC" train parts.yaml --set train.accumulate=2 --out again --steps 4
exits 0 "$CZTC" train --resume again --steps 6
exits 0 "$CZTC" train --resume again
for file in params.safetensors state.safetensors; do
    same parts2/checkpoints/step-00000008/$file again/checkpoints/step-00000008/$file
done
grep -q '\$part\|\$grad' again/checkpoints/step-00000008/state.safetensors &&
    miss "what is of one update is in a checkpoint"

# what is watched: the same numbers and counts, and no more than numbers of a sample pass between
# the parts, of a loss that needs one look at the samples and of one that needs two
cat >watched.yaml <<'END'
cztc: 1
extends: small.yaml
watch:
  map: {value: visual.map, bins: 6}
  edge: {value: experts.edge.output, bins: 5}
  both: textual.embedding
END
for also in experts.edge.weight=1 losses.pair.weight=0; do
    for k in 1 2 4; do
        exits 0 "$CZTC" train watched.yaml --set $also --set train.accumulate=$k --out watched$k --steps 1 --json
        grep '"watch' watched$k/log.jsonl | sed 's/"[a-z.]*": //g; s/[][{},]/ /g; s/"pairs.*//' >watched$k.log
        [ "$(wc -l <watched$k.log)" = 3 ] || miss "$also: not a line of numbers and two of histograms"
        [ $k = 1 ] || paste -d ' ' watched1.log watched$k.log | awk '{
            for (i = 1; i <= NF / 2; i++) {
                d = $i - $(NF / 2 + i)
                if (d > 2e-6 || d < -2e-6) { print $i " and " $(NF / 2 + i); bad = 1 }
            }
        } END { exit bad }' || miss "$also: watched in $k parts"
        exits 0 "$CZTC" describe watched$k/step.czt --json
        tr '{' '\n' <out | grep '"name": "$part' | sed 's/.*"bytes": \([0-9]*\).*/\1/' >sizes
        [ "$(sort -n sizes | tail -1)" -le 256 ] 2>/dev/null || [ $k = 1 ] || miss "$also: $(sort -n sizes | tail -1) bytes cross"
        rm -r watched$k
    done
done

# slow copies and frozen parameters
cat >slow.yaml <<'END'
cztc: 1
extends: parts.yaml
import: [encoders/vit, encoders/text, experts/dense, losses/contrastive, losses/dense, metrics/dense, optim/sgd, optim/clip]
ema:
  slow: {of: visual, momentum: 0.5}
losses:
  follow: {from: 2, loss: "1 - cosine_similarity(visual.embedding, stop_gradient(slow.visual.embedding))"}
train:
  freeze: [{match: 'textual.*', while: 'step < 3'}]
eval: {model: slow}
END
for k in 1 4; do
    exits 0 "$CZTC" train slow.yaml --set train.accumulate=$k --out slow$k
done
near slow1 slow4

# one batch: losses and gradients of a run, and any value of the graph
exits 0 "$CZTC" run parts.yaml --grads one.safetensors --print visual.embedding --print batch
cp out one
exits 0 "$CZTC" run parts.yaml --set train.accumulate=4 --grads four.safetensors \
    --print visual.embedding --print batch
same one out
od -An -v -tf4 -w4 one.safetensors >a && od -An -v -tf4 -w4 four.safetensors >b
paste -d ' ' a b | awk '{ # each element to a millionth of the largest: it is a sum of such terms
    x = $1 + 0; d = x - $2; if (d < 0) d = -d; if (x < 0) x = -x
    if (x > large && x < 100) large = x # not the bytes of the head
    if (d > most) most = d
} END { if (most > 1e-6 * large) print most " of " large; exit most > 1e-6 * large || large < 0.1 }' ||
    miss "gradients differ"

# what check, describe and bench say
exits 0 "$CZTC" check parts.yaml --set train.accumulate=4
says out "image                    u8[4b, 16, 16, 3]"
says out "step.features, 4 times"
says out "step.coupled, 1 time:"
says out "step@5.backward, 4 times"
exits 0 "$CZTC" check parts.yaml --set train.accumulate=4 --json
says out '"step.backward": {"runs": 4'
exits 0 "$CZTC" describe parts4/step.czt
says out "step.backward                    in 4 parts"
says out "u8 [4, 16, 16, 3]"
exits 0 "$CZTC" bench parts.yaml --set train.accumulate=4 --steps 2 --profile

# losses of single samples need no network before the backward pass
exits 0 "$CZTC" check parts.yaml --set train.accumulate=2 --set losses.pair.enabled=false
grep "step.features" out | grep -q " [0-9.]*kB of memory" || miss "there is a network in features"

# an update that is not finite is skipped, and found
exits 1 "$CZTC" train parts.yaml --set train.accumulate=2 --out bad \
    --set "train.minimize=pair.loss / (step - 2)"
says err "the loss is infinite"
exits 0 "$CZTC" train parts.yaml --set train.accumulate=2 --out skip \
    --set "train.minimize=pair.loss / (step - 2)" --set train.nonfinite=skip
says out "1 updates were skipped"

exits 1 "$CZTC" check parts.yaml --set train.accumulate=3
says err "a batch of 4 cannot be cut into 3 equal parts"
exit $failed
