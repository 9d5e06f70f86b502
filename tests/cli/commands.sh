# Usage, exit codes, and what each command prints.
. "$(dirname "$0")/common.sh"

exits 2 "$CZTC"
exits 2 "$CZTC" chek
says err "did you mean check?"
exits 0 "$CZTC" --help
says out "compile"
for command in check compile run bench train eval describe lib pack opt schema data new; do
    exits 0 "$CZTC" $command --help
    says out "usage: cztc $command"
    awk 'length > 100' out >wide
    [ -s wide ] && miss "$command --help is wider than 100 columns: $(cat wide)"
done
# what several commands have says the same in all of them, and is read alike
for option in set lib no-cache target products device threads workers data root; do
    for command in check run bench train eval describe export data stats opt; do
        "$CZTC" $command --help | grep -e "--$option "
    done | sort -u >said
    [ "$(wc -l <said)" -eq 1 ] || miss "--$option is said in several ways: $(cat said)"
done
exits 2 "$CZTC" check --sett x
says err "did you mean --set?"
"$CZTC" train --help >train.help
exits 0 "$CZTC" help train
same out train.help
exits 2 "$CZTC" help trian
says err "unknown command 'trian'; did you mean train?"
exits 2 "$CZTC" check
says err "FILE is missing"
exits 2 "$CZTC" check a.yaml b.yaml
exits 2 "$CZTC" run a.yaml --steps many
exits 2 "$CZTC" run a.yaml --steps
# numbers: one error that says the option and what it may be
number() {
    exits 2 "$CZTC" "$@"
    [ "$(wc -l <err)" -eq 1 ] || miss "$*: not one line: $(cat err)"
    says err "is no whole number from"
}
for n in 0 -1 x '' 1.5 +3 ' 3' 99999999999999999999; do
    number run a.yaml --steps "$n"
    says err "--steps: '$n'"
    number bench a.yaml -n "$n"
    number train a.yaml --out o --checkpoint-every "$n"
    for command in compile run bench train eval; do
        number $command a.yaml --threads "$n"
        says err "from 1 to 4096"
    done
done
number train a.yaml --out o --threads 99999
number train a.yaml --out o --workers 99999
number run a.yaml --seed -1
number train a.yaml --out o --seed 9007199254740993
says err "from 0 to 9007199254740992"
exits 2 "$CZTC" compile a.yaml --memory zwei
# a word that is none of those that an option takes
for command in compile run bench train eval; do
    exits 2 "$CZTC" $command a.yaml --target tpu
    says err "cztc $command: --target: there is no target 'tpu': cpu, cpu:x86-64-v3"
    exits 2 "$CZTC" $command a.yaml --target cpu:x86-64-v9
    says err "there is no CPU level 'x86-64-v9'"
done
exits 2 "$CZTC" compile a.yaml --target cuda:h100
says err "'h100' is no GPU architecture"
for command in run bench train eval; do
    exits 2 "$CZTC" $command a.yaml --products mine
    says err "cztc $command: --products 'mine': auto, own, library or measured"
    exits 2 "$4" $command a.czt --products mine
done
exits 0 "$CZTC" --version
grep -qE '^cztc [0-9.]+, LLVM 19[0-9.]*, [A-Z][A-Za-z ]* build$' out || miss "--version: $(cat out)"
exits 0 "$4" --version
grep -qE '^cztc-run [0-9.]+, [A-Z][A-Za-z ]* build$' out || miss "--version: $(cat out)"
for setting in train.steps=0 train.steps=-1 train.seed=-1 train.seed=9007199254740993 log.every=0 \
    checkpoint.every=-1 checkpoint.keep=0 checkpoint.keep=-2 eval.every=-1 eval.samples=-1; do
    exits 1 "$CZTC" check "$SOURCE/tests/cli/small.yaml" --set $setting
    says err "set:1:"
    says err " | \"${setting%=*}\": ${setting#*=}"
    [ "$(grep -c error: err)" -eq 1 ] || miss "$setting: not one error: $(cat err)"
done
exits 0 "$CZTC" check "$SOURCE/tests/cli/small.yaml" --set train.seed=9007199254740992
exits 1 "$CZTC" check nothing.yaml
says err "nothing.yaml"

# the user's errors: all of them, with places
sed -e 's/tokens: text, width/tokens: text, widht/' -e 's/loss: {module: l1}/loss: {module: l2}/' \
    "$SOURCE/tests/cli/small.yaml" >wrong.yaml
exits 1 "$CZTC" check wrong.yaml
says err "wrong.yaml:2"
says err "wrong.yaml:3"
says err "widht"
says err "l2"
says err "^"

exits 0 "$CZTC" check "$SOURCE/tests/cli/small.yaml"
says out "batch 4"
says out "visual"
exits 0 "$CZTC" check "$SOURCE/tests/cli/small.yaml" --set batch=8 --json
says out '"batch": 8'
# the precision of each part's products, where not all are f32
grep -q "products in" out && miss "all products are f32, and it is said"
# fewer outputs than a field has classes
cat >classes.yaml <<END
cztc: 1
import: [encoders/vit, experts/dense, losses/dense, optim/sgd]
let: {batch: 4, told: 5}
data:
  source: none.tar
  views: {image: {size: 32}}
  fields: {seg: {as: class_map, follow: image, size: 32, classes: 5}}
encoders:
  visual: {module: vit, image: unit(views.image), patch: 8, width: 16, layers: 1, heads: 2, embed: 8}
experts:
  seg: {output: "patch_head(visual.map, out=told, up=8)", target: seg, loss: {module: cross_entropy_map}}
train: {steps: 1, optimizer: {module: sgd, lr: 0.1}}
END
exits 0 "$CZTC" check classes.yaml
grep -q warning err && miss "warned of as many outputs as classes: $(cat err)"
exits 0 "$CZTC" check classes.yaml --set told=4
says err "classes.yaml:7:67: warning: 'seg' has 5 classes, and the graph tells 4 apart"

exits 0 "$CZTC" check "$SOURCE/tests/graphs/precisions.yaml"
for line in "frozen  teachers.old             208      products in f32, bf16" \
    "part    whole                    208      products in f32" \
    "part    experts.e                72       products in bf16" \
    "part    losses.alike                      products in f32"; do
    grep -qxF "  $line" out || miss "no line '$line': $(cat out)"
done
exits 0 "$CZTC" check "$SOURCE/tests/graphs/precisions.yaml" --json
says out '"whole": "f32", "losses.alike": "f32", "head": "f32", "experts.e": "bf16"}'
exits 0 "$CZTC" check "$SOURCE/tests/cli/small.yaml" --set precision=bf16
says out "visual                   19.7 k   products in bf16"
exits 0 "$CZTC" check "$SOURCE/tests/cli/small.yaml" --json
says out '"visual": "f32"'
exits 0 "$CZTC" lib
says out "vit"
exits 0 "$CZTC" lib vit
says out "patch"
exits 1 "$CZTC" lib no_such_module

# the library was unpacked, and is mended
file=$(find cache -name prelude.yaml)
echo "damaged: 1" >"$file"
exits 0 "$CZTC" check "$SOURCE/tests/cli/small.yaml"
cmp -s "$file" "$SOURCE/graphs/lib/prelude.yaml" || miss "the library in the cache was not mended"

# streams that are closed or that nobody reads: no file takes their place, and a run goes on
pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
"$CZTC" train small.yaml --out dumb 2>&- >out || miss "a run without a standard error"
grep -q step dumb/lock && miss "progress is in a file: $(cat dumb/lock)"
"$CZTC" train small.yaml --out mute >&- 2>err
[ $? -eq 1 ] || miss "a run without a standard output says that it is well"
says err "standard output: write failed"
"$CZTC" train small.yaml --out alone 2>&1 | head -1 >out
[ -d alone/checkpoints/step-00000008 ] || miss "a run ends with who reads its progress"
"$CZTC" check small.yaml >/dev/full 2>err
[ $? -eq 1 ] || miss "a full disk is no error"
# a folder of train stands for its step; what is not there is said before anything is made
exits 0 "$CZTC" describe alone --json
cp out whole.json
exits 0 "$CZTC" describe alone/step.czt --json
same out whole.json
exits 0 "$CZTC" run alone
exits 0 "$CZTC" bench alone -n 1
exits 1 "$CZTC" run alone --set batch=8
says err "this is a step file"
exits 1 "$CZTC" train nothing.yaml --out never
says err "error: nothing.yaml: No such file"
[ -e never ] && miss "a folder for a graph file that is not there"
mkdir other
exits 1 "$CZTC" train --resume other
says err "error: other/checkpoints: no checkpoint is there; --out begins a run"
[ -e other/lock ] && miss "a lock in a folder that is no run's"
exits 1 "$CZTC" compile small.yaml -o nowhere/small.czt
says err "error: nowhere/small.czt: cannot create it: No such file"
exits 1 "$CZTC" run small.yaml --grads nowhere/g.safetensors
says err "error: nowhere/g.safetensors: cannot create it: No such file"
exits 0 "$CZTC" opt small.yaml --passes dce --dump-dir dumps/all
[ -s dumps/all/00-input.ir ] || miss "no folder of dumps"
exits 2 "$CZTC" compile small.yaml --memory zwei
says err "--memory: 'zwei' is no size, such as 16GiB or 24e9; see cztc compile --help"

# IR text: what opt prints, opt reads; only the places in comments are others
exits 0 "$CZTC" opt "$SOURCE/tests/cli/small.yaml"
cp out once.ir
exits 0 "$CZTC" opt --passes=dce once.ir
sed 's/  #.*//' once.ir >plain.ir
sed 's/  #.*//' out >again.ir
same plain.ir again.ir
exits 1 "$CZTC" opt --passes=no_such_pass once.ir

# a graph and its step file are the same program; threads change no bit
exits 0 "$CZTC" compile "$SOURCE/tests/cli/small.yaml" -o small.czt
says out "kernels"
exits 0 "$CZTC" run small.czt -n 3 --json --threads 1
cp out one.json
[ "$(wc -l <one.json)" -eq 3 ] || miss "three steps give three lines"
exits 0 "$CZTC" run small.czt -n 3 --json --threads 2
same out one.json
exits 0 "$CZTC" run "$SOURCE/tests/cli/small.yaml" -n 3 --json --print visual.map --threads 3
says out '"shape": [4, 32, 2, 2]'
sed 's/, "print".*/}/' out >printed.json
same printed.json one.json

# the box around a mask, and around none
cat >box.yaml <<END
cztc: 1
import: [targets/mask_box, optim/sgd]
let: {batch: 2}
data: {source: none.tar, fields: {x: {as: array, shape: [1]}}}
params: {w: {shape: []}}
values:
  row: iota([2, 6, 9], 1)
  column: iota([2, 6, 9], 2)
  marked: mask_box(row >= 2 and row < 5 and column >= 1 and column < 7)
  none_marked: mask_box(row > 9)
losses: {one: {loss: "sum(x * w, axis=1)"}}
train: {steps: 1, optimizer: {module: sgd, lr: 0.1}}
END
exits 0 "$CZTC" run box.yaml -n 1 --print marked.xyxy --print "cast(none_marked.valid, i32)" --print "cast(marked.valid, i32)"
says out 'marked.xyxy: {"dtype": "f32", "shape": [2, 1, 4], "min": 1.0, "max": 7.0, "mean": 3.75, "values": [1.0, 2.0, 7.0, 5.0, 1.0'
says out '"values": [0.0, 0.0]'
says out '"values": [1.0, 1.0]'

# a text that is shorter than what its encoder has positions for: the first of them
cat >short.yaml <<END
cztc: 1
import: [encoders/text, optim/sgd]
let: {batch: 2}
data: {source: none.tar, fields: {text: {as: tokens, length: 9}}}
encoders:
  textual: {module: text, tokens: text, width: 16, layers: 2, heads: 2, embed: 8, vocab: 50, length: 9}
losses:
  words: {loss: "mean(square(textual - textual(tokens=text[:, :5])), axis=1)"}
train: {steps: 1, optimizer: {module: sgd, lr: 0.1}}
END
shorter="textual(tokens=text[:, :5]).states"
exits 0 "$CZTC" run short.yaml --print "sum(abs(textual.states[:, :5] - $shorter), axis=[1, 2])"
says out '"min": 0.0, "max": 0.0'
exits 0 "$CZTC" run short.yaml --print "sum(abs($shorter), axis=[1, 2])"
grep -q '"min": 0.0' out && miss "the states are 0"
exits 0 "$CZTC" describe small.czt --json
cp out small.json
exits 0 "$CZTC" describe "$SOURCE/tests/cli/small.yaml" --json
same out small.json
exits 1 "$CZTC" describe cztc.png
exits 1 "$CZTC" run small.czt --set batch=8
other=$SOURCE/tests/data/micro/grads.safetensors
exits 1 "$CZTC" run small.czt --inputs "$other"
says err "is no input"
exits 1 "$CZTC" run small.czt --weights "$other"
says err "missing"
head -c 5000 small.czt >cut.czt
exits 1 "$CZTC" run cut.czt

exits 0 "$CZTC" bench small.czt -n 3 --json
says out '"checked": "no"'
says out '"share_of_peak"'

exits 0 "$CZTC" bench small.czt -n 1 --profile --json
says out '"kernels": [{"kernel": "'
# values whole, in a file: of an expression, of all that a path with * meets, of any entry; the run stays as it was
first() { tail -c "$2" "$1" | od -A n -t f4 | awk 'NR == 1 { printf "%.6g", $1 }'; }
exits 0 "$CZTC" run "$SOURCE/tests/cli/small.yaml" -n 3 --json --threads 3 --tap visual.embedding --print '*.embedding'
says err "tap: taps.safetensors: 1 values"
says out '"textual.embedding": {'
sed 's/, "print".*/}/' out >printed.json
same printed.json one.json
printed=$(sed -n '$s/.*"visual.embedding": {[^}]*"values": \[\([^,]*\),.*/\1/p' out | awk '{ printf "%.6g", $1 }')
[ "$(first taps.safetensors 256)" = "$printed" ] || miss "$(first taps.safetensors 256) is written, $printed printed"
exits 0 "$CZTC" run "$SOURCE/tests/cli/small.yaml" --tap 'visual.blocks.*.x' --tap 'visual.blocks.0.*' \
    --tap 'sum(visual.map, axis=1)' --tap-file blocks.safetensors
for name in x q mixed y z out map; do
    grep -qaF "\"visual.blocks.0.$name\":" blocks.safetensors || miss "no visual.blocks.0.$name"
done
grep -qaF '"sum(visual.map, axis=1)":{"dtype":"F32","shape":[4,2,2]' blocks.safetensors || miss "no sum"
exits 0 "$CZTC" run "$SOURCE/tests/cli/small.yaml" --entry eval --tap '*.embedding'
says err "2 values"
exits 0 "$CZTC" run "$SOURCE/tests/cli/small.yaml" --tap 'visual.blocks.*.?' # x, q, k, ..
says err "5 values"
exits 0 "$CZTC" run "$SOURCE/tests/cli/small.yaml" --entry encode_visual --tap visual.map --print 2*visual.map
says err "1 values"
exits 0 "$CZTC" run small.czt --tap 'experts.*' --threads 1
says err "1 values"
# of the state too, as a step finds it: before the first one as initialised
exits 0 "$CZTC" run small.czt -n 2 --json --print visual.patch.weight --print '$opt.m.visual.patch.*'
says out '"visual.patch.weight": {"dtype": "f32", "shape": [32, 3, 8, 8]'
[ "$(grep -c '"$opt.m.visual.patch.weight": {"dtype": "f32", "shape": .*"min": 0.0, "max": 0.0' out)" = 1 ] ||
    miss "moments are zero in front of the first step alone: $(cat out)"
exits 1 "$CZTC" run small.czt --print visual.patch
exits 1 "$CZTC" run small.czt --tap visual.map
says err "--tap: entry 'step' has no output 'visual.map'"
exits 1 "$CZTC" run "$SOURCE/tests/cli/small.yaml" --tap 'visual.blokcs.*.x'
says err "no value is called 'visual.blokcs.*.x'"
# random integers are drawn over the range that the graph gives them: all of the tokenizer's words here
exits 0 "$CZTC" run "$SOURCE/tests/cli/small.yaml" --print text --json
largest=$(sed 's/.*"print": {"text".*"max": \([0-9]*\).*/\1/' out)
[ "$largest" -gt 10000 ] && [ "$largest" -lt 49408 ] || miss "the largest token is $largest: $(cat out)"
# and draws over what they draw from
cat >drawn.yaml <<END
cztc: 1
extends: $SOURCE/tests/cli/small.yaml
data: {draw: {d: uniform_int(5), one: uniform_int(1)}}
let: {batch: 64}
losses: {drawn: {loss: "cast(d + one, f32) * sum(visual.embedding, axis=1)", weight: 0.1}}
END
exits 0 "$CZTC" run drawn.yaml --print d --json
grep -q '"min": 0.0, "max": 4.0' out || miss "uniform_int(5) is not 0 to 4: $(cat out)"
# with --json, standard output has the object alone
exits 0 "$CZTC" compile "$SOURCE/tests/corpus/dot.ir" --dump-kernels --time-passes --json
[ "$(wc -l <out)" -eq 1 ] || miss "compile --json prints more than one line"

# bench prints no time for a step that computes something else
micro=$SOURCE/tests/data/micro
case_graph() {
    cat <<EOF
cztc: 1
extends: $SOURCE/graphs/bench/micro.yaml
let: {width: 96, text_width: 32, text_heads: 2}
check: {set: {batch: 4}, fixture: $micro/case.safetensors, loss: $1}
EOF
}
case_graph 7.442037947 >right.yaml
case_graph 7.4425 >wrong.yaml
exits 1 "$CZTC" bench wrong.yaml -n 1 --json
says err "no time is printed"
[ -s out ] && miss "bench printed a time"
exits 0 "$CZTC" bench right.yaml -n 1 --json
says out '"checked": "yes"'

# a case that compares nothing is told, and what is wrong in its rows
for half in "loss: 5" "fixture: $micro/case.safetensors"; do
    printf 'cztc: 1\nextends: %s/tests/cli/small.yaml\ncheck: {set: {batch: 4}, %s}\n' "$SOURCE" "$half" >half.yaml
    exits 0 "$CZTC" check half.yaml
    says err "half.yaml:3:"
    case $half in loss*) says err "warning: this loss is compared with nothing" ;;
        *) says err "warning: this fixture is not used" ;; esac
done
for row in "steqs: 3" "train.stepz: 3" "encoders.visual.layerz: 1" "batch: 1.5"; do
    printf 'cztc: 1\nextends: %s/tests/cli/small.yaml\ncheck: {set: {%s}}\n' "$SOURCE" "$row" >rows.yaml
    exits 1 "$CZTC" check rows.yaml
    says err "rows.yaml:3:"
    says err "these errors are at the reduced size of check:"
    exits 0 "$CZTC" check rows.yaml --set check=null
done

exit $((failed != 0))
