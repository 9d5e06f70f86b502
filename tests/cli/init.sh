# init: a new run begins with another model's weights, under other names.
. "$(dirname "$0")/common.sh"

pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
still="--set train.optimizer.lr=0"
loss() { grep '"step": 1,' "$1/log.jsonl" | sed 's/, "pairs\/s".*//'; }

exits 0 "$CZTC" train small.yaml --out before --steps 3
weights=before/checkpoints/step-00000003/params.safetensors
exits 0 "$CZTC" train small.yaml $still --out strict --steps 1 --weights $weights
# what is of a part that is off is listed, by the path of the part; what nobody knows is refused
exits 0 "$CZTC" train small.yaml $still --out off --steps 1 --weights $weights --set experts.edge.enabled=false
says err "not used, of parts that are off: experts.edge.weight, experts.edge.bias"
exits 0 "$CZTC" train small.yaml $still --out moved --steps 1 --set experts.edge.path=other
moved=moved/checkpoints/step-00000001/params.safetensors
exits 1 "$CZTC" train small.yaml $still --out off2 --weights $moved --set experts.edge.enabled=false
says err "2 tensors do not fit: 'other."
exits 0 "$CZTC" train small.yaml $still --out off2 --steps 1 --weights $moved \
    --set experts.edge.enabled=false --set experts.edge.path=other
says err "of parts that are off: other."
exits 1 "$CZTC" train small.yaml $still --out off3 --weights $weights --set experts.edge=null
says err "2 tensors do not fit: 'experts.edge."
cat >named.yaml <<END
cztc: 1
extends: small.yaml
init:
  - {file: $weights, rename: {"visual.*": "tower.*", "textual.*": "words.*"}}
encoders: {visual: {path: tower}, textual: {path: words}}
END
exits 0 "$CZTC" train named.yaml $still --out named --steps 1
says err "$weights: "
says err "tensors taken"
loss strict >a
loss named >b
same a b

# check looks into the files that are there
exits 0 "$CZTC" check named.yaml
grep -q "warning\|error" err && miss "check complains of what fits: $(cat err)"
exits 1 "$CZTC" check named.yaml --set encoders.visual.width=64
says err "named.yaml:4:12: error: $PWD/$weights: 'visual."
says err "' of the program is f32 [64"
sed '/^init:/,/file:/d' named.yaml >towers.yaml
printf 'init:\n  - file: %s\n' $weights >>towers.yaml
exits 1 "$CZTC" check towers.yaml --set encoders.visual.path=module.visual --set encoders.textual.path=module.textual \
    --set 'losses.pair.path="module.losses.pair"' --set experts.edge.path=module.experts.edge
says err "towers.yaml:5:11: error: $PWD/$weights: none of its"
says err 'help: write rename: {"*": "module.*"} beside file:'

# a resumed run keeps what it has; the table of a library; what is left is told
exits 0 "$CZTC" train --resume named --steps 2
grep -q "init:" err && miss "a resumed run takes weights again"
cat >part.yaml <<END
cztc: 1
extends: small.yaml
init:
  - {file: $weights, rename: {"textual.*": , "losses.*": }}
END
exits 0 "$CZTC" train part.yaml --out part --steps 1
says err "not used: "
says err "init: as initialised: "

row() { # of init:, with the library's imports and more
    cat >row.yaml <<END
cztc: 1
extends: small.yaml
import+: [$2]
init: [$1]
END
}
row '{file: nothing.safetensors}' optim/sgd
exits 0 "$CZTC" check row.yaml
exits 1 "$CZTC" train row.yaml --out none --steps 1
says err "nothing.safetensors: No such file"
row "{file: $weights, rename: {'*': 'x.*'}}" optim/sgd
exits 1 "$CZTC" train row.yaml --out none2 --steps 1
says err "none of its"
row "{file: $weights, rename: openclip}" weights/openclip
exits 0 "$CZTC" check row.yaml
exits 0 "$CZTC" train row.yaml --out open --steps 1
says err "tensors taken"

# positions of other sizes: of patches (1 + 4 to 1 + 9), of text (12 to 9)
sized() { # the rows of resize:
    cat >sized.yaml <<END
cztc: 1
extends: small.yaml
let: {size: 24}
data: {fields: {text: {length: 9}}}
init: [{file: $weights, resize: $1}]
END
}
sized null
exits 1 "$CZTC" train sized.yaml --out none3 --steps 1
says err "'visual.pos' is f32 [5, 32], 'visual.pos' of the program is f32 [10, 32]; positions fit with resize: 'visual.pos'"
sized '{"*.pos": grid, "*.tpos": line}'
exits 0 "$CZTC" train sized.yaml --out sized --steps 1 --seed 3
says err "params.safetensors: resized visual.pos (10, 32) from (5, 32), textual.tpos (9, 32) from (12, 32)"
sized '["*pos"]' # of grids alone
exits 1 "$CZTC" train sized.yaml --out none4 --steps 1
says err "'textual.tpos' is f32 [12, 32], 'textual.tpos' of the program is f32 [9, 32]: 12 and 9 rows are not two grids"
sized '[visual.pso]'
exits 1 "$CZTC" check sized.yaml
says err "warning: no parameter is called 'visual.pso'"
sized '{"*.pos": grid, visual.pos: line}'
exits 1 "$CZTC" check sized.yaml
says err "warning: this row is never used: '*.pos' before it takes all that it matches"
sized '{visual.pos: line, "*.pos": grid}'
exits 1 "$CZTC" check sized.yaml
grep -q "never used" err && miss "a row before a wider one is called dead"
sized '{visual.pos: {prefix: 1, to: "[3, 3]"}, textual.tpos: first}'
exits 0 "$CZTC" train sized.yaml --out first --steps 1

# ? stands for one character wherever a pattern is read; more stars than eight; what meets nothing is told
sized '{"visual.po?": grid, "t?xtual.tp*": line, "*.blocks.?.pos": grid}'
exits 0 "$CZTC" check sized.yaml
says err "warning: no parameter is called '*.blocks.?.pos'"
exits 0 "$CZTC" train sized.yaml --out one --steps 1
says err "resized visual.pos (10, 32) from (5, 32), textual.tpos (9, 32) from (12, 32)"
says err "; resize: nothing taken is *.blocks.?.pos"
sized '{"*i*s*u*a*l*.*p*o*s*": grid, textual.tpos: line}'
exits 0 "$CZTC" train sized.yaml --out stars --steps 1
says err "resized visual.pos (10, 32) from (5, 32), "
cat >marks.yaml <<END
cztc: 1
extends: small.yaml
init: [{file: $weights, rename: {"te??ual.*": "words.*", "visual.*": "towe?.*"}}]
encoders: {textual: {path: words}}
END
exits 1 "$CZTC" check marks.yaml
says err "a new name has stars, and no '?'"
exits 0 "$CZTC" train marks.yaml --out marks --steps 1 --set 'init=[{file: '$weights', rename: {"te??ual.*": "words.*"}}]'
grep -q "as initialised: .*words" err && miss "what ? met has no new name"

# the same rows hold for --weights, but where tables fit
sized '{visual.pos: grid, textual.tpos: line}'
exits 0 "$CZTC" train sized.yaml --out given --steps 1 --weights $weights
says err "weights: $weights: resized visual.pos (10, 32) from (5, 32), textual.tpos (9, 32) from (12, 32)"
exits 0 "$CZTC" train sized.yaml $still --out begun --steps 1
exits 0 "$CZTC" train sized.yaml $still --out again --steps 1 \
    --weights begun/checkpoints/step-00000001/params.safetensors
grep -q "weights: .*resized" err && miss "what fits is resized"
loss begun >a
loss again >b
same a b
sized '[visual.pos]'
exits 1 "$CZTC" run sized.yaml --weights $weights
says err "'textual.tpos' is f32 [12, 32], the program wants f32 [9, 32] (positions of other sizes are taken where resize: in a row of init: says how)"
sized '[visual.pos, textual.tpos]'
exits 1 "$CZTC" run sized.yaml --weights $weights
says err "the program wants f32 [9, 32]: 12 and 9 rows are not two grids"

# grids that would be too large on the way from one to the other
sized '{visual.pos: {from: "[65536, 1]", to: "[1, 65536]"}}'
exits 1 "$CZTC" check sized.yaml
says err "sized.yaml:5:"
says err "from a grid of 65536 x 1 to one of 1 x 65536 there is one of 65536 x 65536 in between, and that has 1048576 rows at most"

# a teacher's, below its path
cat >taught.yaml <<END
cztc: 1
extends: small.yaml
teachers:
  old:
    module: vit
    weights: {file: $weights, rename: {"visual.*": "*"}, resize: pos}
    image: "normalize(resize_view(views.image, 24), norm.clip)"
    patch: 8
    width: 32
    layers: 1
    heads: 2
    embed: embed
experts:
  near: {output: visual.embedding, target: teachers.old.embedding, loss: "mean(abs(output - target), axis=1)"}
END
exits 0 "$CZTC" train taught.yaml --out taught --steps 1
says err "frozen: $PWD/$weights: resized teachers.old.pos (10, 32) from (5, 32)"
exits 0 "$CZTC" eval taught
says err "frozen: $PWD/$weights: resized teachers.old.pos (10, 32) from (5, 32)"
exits 0 "$CZTC" train taught.yaml --out other --steps 1 \
    --set 'teachers.old.weights.resize=[pos, "nothing.*"]' --set 'teachers.old.weights.rename={"visual.*": "*", "vis": ""}'
says err "frozen: $PWD/$weights: rename: it has no vis"
says err "frozen: $PWD/$weights: resize: nothing taken is nothing.*"
exits 1 "$CZTC" train taught.yaml --out none5 --steps 1 --set teachers.old.weights.resize=null
says err "positions fit with resize: 'pos' in the row of the file"

exit $((failed != 0))
