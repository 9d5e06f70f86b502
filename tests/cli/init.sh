# init: a new run begins with another model's weights, under other names.
. "$(dirname "$0")/common.sh"

pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
still="--set train.optimizer.lr=0"
loss() { grep '"step": 1,' "$1/log.jsonl" | sed 's/, "pairs\/s".*//'; }

exits 0 "$CZTC" train small.yaml --out before --steps 3
weights=before/checkpoints/step-00000003/params.safetensors
exits 0 "$CZTC" train small.yaml $still --out strict --steps 1 --weights $weights
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
exits 1 "$CZTC" train row.yaml --out none --steps 1
says err "nothing.safetensors: No such file"
row "{file: $weights, rename: {'*': 'x.*'}}" optim/sgd
exits 1 "$CZTC" train row.yaml --out none2 --steps 1
says err "none of its"
row "{file: $weights, rename: openclip}" weights/openclip
exits 0 "$CZTC" check row.yaml
exits 0 "$CZTC" train row.yaml --out open --steps 1
says err "tensors taken"

exit $((failed != 0))
