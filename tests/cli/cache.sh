# Steps from the cache: when one is taken and when not, its bytes, and what can be wrong with it.
#     sh cache.sh CZTC SOURCE FOLDER
. "$(dirname "$0")/common.sh"
steps=$XDG_CACHE_HOME/cztc/steps
mkdir graphs
cat >graphs/tiny.yaml <<'EOT'
cztc: 1
import: [optim/adamw, ./half]
let: {batch: 4, width: 8}
data:
  source: none.tar
  fields:
    x: {member: npy, as: array, shape: "[width]"}
    seg: {member: png, as: class_map, size: "[4, 4]", remap: remap.json}
params:
  w: {shape: "[width, 2]", init: random_normal(shape)}
losses:
  fit: {loss: "mean(half(x @ w) ** 2, axis=1) + mean(cast(seg, f32), axis=[1, 2])"}
train:
  steps: 2
  seed: 3
  optimizer: {module: adamw, lr: 1e-3}
EOT
echo '{"1": 2}' >graphs/remap.json
printf 'cztc: 1\nfunctions:\n  half(x): x / 2\n' >graphs/half.yaml
tiny=graphs/tiny.yaml

. "$(dirname "$0")/cached.sh"

# the second one has the same bytes, as a file, as an executable, and as one compiled without a cache
fresh $tiny -o first.czt
hit $tiny -o second.czt
same first.czt second.czt
fresh $tiny --no-cache -o third.czt
same first.czt third.czt
[ "$(entries)" -eq 1 ] || miss "--no-cache leaves something in the cache"
hit $tiny -o second
fresh $tiny --no-cache -o third
same second third
exits 0 "$CZTC" compile $tiny
says out " (from the cache)"
exits 0 "$CZTC" compile $tiny --no-cache
grep -q "from the cache" out && miss "--no-cache says that the step is from the cache"

# what people are told is the same
exits 0 "$CZTC" compile $tiny --no-cache
grep -v "^time\|^  code" out >told
exits 0 "$CZTC" compile $tiny
grep -v "^time" out | sed 's/ (from the cache)//' >again
same told again

# the other commands take it too: the whole run is the same
exits 0 "$CZTC" run $tiny -n 2 --json
cp out first
touch -d 2020-01-01 "$steps"/*
exits 0 "$CZTC" run $tiny -n 2 --json
same first out
[ -z "$(find "$steps" -type f ! -newermt 2021-01-01)" ] || miss "run did not use the cache"
exits 0 "$CZTC" run $tiny -n 2 --json --no-cache
same first out
[ "$(entries)" -eq 1 ] || miss "run has a step of its own"

# every kind of change
fresh $tiny --set width=6
hit $tiny --set width=6
hit $tiny
fresh $tiny --target cpu:x86-64-v3
hit $tiny --target cpu:x86-64-v3
fresh $tiny --target cuda:text
hit $tiny --target cuda:text
fresh $tiny --threads 1
fresh $tiny --memory 1TB
fresh $tiny --skip=derive
hit $tiny --skip=derive
fresh ./$tiny # its lines have another name
cp -r graphs moved
fresh moved/tiny.yaml
n=$(entries)
exits 0 "$CZTC" run $tiny -n 1 --print 'half(x)'
[ "$(entries)" -eq $((n + 1)) ] || miss "an output more is no step of its own"
exits 0 "$CZTC" run $tiny -n 1 --grads grads.safetensors
[ "$(entries)" -eq $((n + 2)) ] || miss "gradients as outputs are no step of their own"
cp -r "$SOURCE/graphs/lib" lib
fresh $tiny --lib lib # the same library, elsewhere
hit $tiny --lib lib
echo "# one line more" >>lib/optim/adamw.yaml
fresh $tiny --lib lib
echo "# one line more" >>lib/optim/clip.yaml
hit $tiny --lib lib # which it does not import
mkdir graphs/optim
cp lib/optim/adamw.yaml graphs/optim
fresh $tiny # a file beside the graph comes before the library's
rm -r graphs/optim
hit $tiny
cp graphs/half.yaml half
echo "# one line more" >>graphs/half.yaml
fresh $tiny
mv half graphs/half.yaml
hit $tiny
sed -i 's/^  seed: 3/  seed: 4/' $tiny
fresh $tiny -o seed.czt
exits 0 "$CZTC" describe seed.czt --json
says out '"seed": 4'
sed -i 's/^  seed: 4/  seed: 3/' $tiny
hit $tiny
echo '{"1": 3}' >graphs/remap.json
fresh $tiny -o remap.czt
grep -qF '"remap":{"1":3}' remap.czt || miss "the step has another remap"
echo '{"1": 2}' >graphs/remap.json
hit $tiny

# another program: one byte more at its end
cp "$CZTC" other
echo >>other
this=$CZTC CZTC=./other
fresh $tiny
hit $tiny
CZTC=$this
hit $tiny

# warnings are said again, and once; mistakes are mistakes
warns="train.groups=[{match: nothing.*, lr_scale: 2}]"
fresh $tiny --set "$warns"
mv err warned
says warned "no trained parameter matches this row"
[ "$(grep -c warning warned)" -eq 1 ] || miss "one warning became $(grep -c warning warned)"
hit $tiny --set "$warns"
same err warned
exits 1 "$CZTC" compile $tiny --set batch=0
says err "batch is 0; it is at least 1"
exits 2 "$CZTC" compile $tiny --target tpu
says err "there is no target 'tpu'"

# what shows passes has passed through them
exits 0 "$CZTC" compile $tiny --dump-after=fuse
says err "# after fuse"
exits 0 "$CZTC" compile $tiny --time-passes
says err "memplan"
exits 0 "$CZTC" compile $tiny --dump-kernels
says out "# kernel 0"

# an entry that is damaged, cut off, empty, another key's or no file is made anew, and then taken again
rm -r "$steps"
fresh $tiny
entry=$steps/$(ls "$steps")
cp "$entry" whole
size=$(wc -c <whole)
replaced() {
    fresh $tiny -o again.czt
    [ ! -s err ] || miss "$1: $(cat err)"
    same again.czt first.czt
    hit $tiny -o again.czt
    same again.czt first.czt
}
for at in 3 30 200 $((size / 2)) $((size - 1)); do
    printf '\377\252' | dd of="$entry" bs=1 seek="$at" conv=notrunc 2>dd
    cmp -s "$entry" whole && miss "byte $at was not changed"
    replaced "byte $at"
done
head -c $((size / 2)) whole >"$entry"
replaced "cut off"
: >"$entry"
replaced "empty"
cp first.czt "$entry"
replaced "a step file"
fresh $tiny --set width=6
for other in "$steps"/*; do [ "$other" = "$entry" ] || cp "$other" "$entry"; done
replaced "another key's"
rm "$entry"
mkdir "$entry" # cannot be replaced
fresh $tiny -o again.czt
[ ! -s err ] || miss "a folder in place of the entry: $(cat err)"
same again.czt first.czt
rmdir "$entry"

# what lies there longest goes when there is too much
truncate -s 3G "$steps/large"
touch -d 2020-01-01 "$steps/large"
fresh $tiny
[ -e "$steps/large" ] && miss "the cache has no limit"
hit $tiny

# two at once
rm -r "$steps"
"$CZTC" compile $tiny -o one.czt >one 2>&1 &
one=$!
exits 0 "$CZTC" compile $tiny -o two.czt
wait $one || miss "the first of two at once: $(cat one)"
same one.czt first.czt
same two.czt first.czt
hit $tiny

# no place for it: nothing is said, and all works
quiet() {
    fresh "$@" -o again.czt
    [ ! -s err ] || miss "$(cat err)"
    fresh "$@"
}
dot=$SOURCE/tests/corpus/dot.ir
chmod 770 "$steps" # others could write there
quiet $tiny
chmod 700 "$steps"
hit $tiny
if [ "$(id -u)" -ne 0 ]; then
    chmod 500 "$steps"
    quiet $tiny --set width=6
    chmod 700 "$steps"
fi
rm -r "$steps"
: >"$steps"
quiet $tiny
XDG_CACHE_HOME=/dev/null/nowhere
quiet "$dot"
quiet $tiny --lib lib
unset XDG_CACHE_HOME HOME
quiet "$dot"
exit $((failed != 0))
