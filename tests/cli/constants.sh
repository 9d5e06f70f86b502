# Constants of files: safetensors and .npy, types and shapes, checksums; a run that goes on with
# another file is refused.
. "$(dirname "$0")/common.sh"

pictures train
cp "$SOURCE/tests/cli/small.yaml" small.yaml
cat >constant.yaml <<'END_OF_GRAPH'
cztc: 1
extends: small.yaml
params:
  c: {file: two.npy}
losses:
  still: {loss: "c[0] + 10 * c[1] + 0 * sum(visual.embedding, axis=1)", weight: 0.001}
eval: null
END_OF_GRAPH

# npy FILE DESCR FORTRAN SHAPE BYTES: an array whose bytes printf knows
npy() {
    { printf '\223NUMPY\001\000\166\000'
      printf '%-117s\n' "{'descr': '$2', 'fortran_order': $3, 'shape': $4, }"
      printf "$5"; } >"$1"
}
f32='\000\000\200\077\000\000\000\100'                                  # 1 2
f64='\000\000\000\000\000\000\360\077\000\000\000\000\000\000\000\100' # 1 2
i64='\001\000\000\000\000\000\000\000\002\000\000\000\000\000\000\000'
i32='\001\000\000\000\002\000\000\000'
i16='\001\000\002\000'
large='\001\000\000\000\000\000\000\000\000\000\000\000\000\001\000\000' # 1 2^40
still() { grep -o '"still": [0-9.e+-]*' "$1/log.jsonl"; }

# every type, the shape of the file or of the graph, as f32 and as whole numbers
n=0
for row in "<f4 $f32" "<f8 $f64" "<i8 $i64" "<i4 $i32" "<u8 $i64" "<i2 $i16"; do
    npy two.npy "${row%% *}" False '(2,)' "${row#* }"
    n=$((n + 1))
    more=$([ $n = 1 ] && echo ", shape: [2]")
    exits 0 "$CZTC" train constant.yaml --set "params.c={file: two.npy$more}" --out run$n --steps 1
    [ "$(still run$n)" = '"still": 21' ] || miss "$row: $(still run$n)"
done
for row in "i32 <i8 $i64" "i64 <i4 $i32" "i32 <u8 $i64" "i64 <i2 $i16"; do
    set -- $row
    npy two.npy "$2" False '(2,)' "$3"
    n=$((n + 1))
    exits 0 "$CZTC" train constant.yaml --out run$n --steps 1 \
        --set "params.c={file: two.npy, dtype: $1}"
    [ "$(still run$n)" = '"still": 21' ] || miss "$row: $(still run$n)"
done
npy two.npy '<i8' False '(2,)' "$large"
exits 1 "$CZTC" train constant.yaml --set "params.c={file: two.npy, dtype: i32}" --out large
says err "two.npy: c: element 1 is 1099511627776, which i32 cannot hold"
npy two.npy '<f8' False '(2,)' "$f64"
exits 1 "$CZTC" train constant.yaml --set "params.c={file: two.npy, dtype: i32}" --out float
says err "'two' is f64 [2], 'c' of the program is i32 [2]"
exits 1 "$CZTC" train constant.yaml --set "params.c={file: two.npy, shape: [2, 1]}" --out shape \
    --set losses.still.loss="sum(c, axis=[0, 1]) + 0 * sum(visual.embedding, axis=1)"
says err "'two' is f64 [2], 'c' of the program is f32 [2, 1]"

# what is not read
npy two.npy '<f8' True '(2,)' "$f64"
exits 1 "$CZTC" check constant.yaml
says err "npy: the array must be in C order"
npy two.npy '>f8' False '(2,)' "$f64"
exits 1 "$CZTC" train constant.yaml --set params.c.shape='[2]' --out big
says err "npy: little-endian floats, integers or bools are wanted"
rm two.npy
exits 1 "$CZTC" check constant.yaml
says err "two.npy: No such file"
says err "with shape: [..] it is when a run begins"
exits 0 "$CZTC" check constant.yaml --set params.c.shape='[2]'

# of safetensors the shape of the tensor asked for
exits 0 "$CZTC" train small.yaml --out base --steps 1
cp base/checkpoints/step-00000001/params.safetensors w.safetensors
exits 0 "$CZTC" check constant.yaml \
    --set "params.c={file: w.safetensors, tensor: visual.embed_image.weight}" \
    --set losses.still.loss='einsum("b d, e d -> b", visual.cls, c)'
exits 1 "$CZTC" check constant.yaml --set "params.c={file: w.safetensors, tensor: nobody}"
says err "w.safetensors: it has no tensor 'nobody'"
# names in JSON, whose escapes mean what they stand for; the lengths are those of the headers
escaped() { # NAME
    header=$(printf '{"x\\"":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"%s":%s}' "$1" \
        '{"dtype":"F32","shape":[2],"data_offsets":[12,20]}')
    { printf "\\$(printf '%03o' ${#header})\000\000\000\000\000\000\000%s" ""
      printf '%s' "$header"
      printf "\000\000\000\000\000\000\000\000\000\000\000\000$f32"; } >escaped.safetensors
}
for name in 'caf\u00E9' 'ca\u0066\u00e9' 'café'; do
    LC_ALL=C escaped "$name"
    rm -rf escaped
    exits 0 "$CZTC" train constant.yaml --out escaped --steps 1 \
        --set "params.c={file: escaped.safetensors, tensor: café}"
    [ "$(still escaped)" = '"still": 21' ] || miss "$name: $(still escaped)"
done
for row in '\ud83d\ude00 😀' 'a\n\"\\\/ "a\n\"\\/"'; do
    escaped "${row%% *}"
    exits 0 "$CZTC" check constant.yaml \
        --set "params.c={file: escaped.safetensors, tensor: ${row#* }}"
done
for name in 'caf\u00e' 'caf\ud800' 'caf\u00g9' 'caf\x' 'caf\u0000'; do
    escaped "$name"
    exits 1 "$CZTC" check constant.yaml \
        --set "params.c={file: escaped.safetensors, tensor: caf}"
    says err "escaped.safetensors: it has no tensor 'caf'"
done
echo no >w.npy
exits 1 "$CZTC" check constant.yaml --set "params.c={file: w.npy}"
says err "w.npy: neither a safetensors file nor an .npy"

# the checksum is that of the whole file, of weights too
npy two.npy '<f4' False '(2,)' "$f32"
sum=$(sha256sum two.npy | cut -d' ' -f1)
upper=$(echo "$sum" | tr a-f A-F)
exits 0 "$CZTC" train constant.yaml --set "params.c.checksum=$upper" --out sum --steps 1
exits 0 "$CZTC" train constant.yaml --out free --steps 1
printf ' ' >>two.npy
exits 1 "$CZTC" train --resume sum --steps 2
says err "two.npy: this is another file than the graph means: checksum: is $sum, the file's SHA-256"
exits 0 "$CZTC" train --resume free --steps 2 # the numbers are those of then
npy two.npy '<f4' False '(2,)' '\000\000\200\077\000\000\200\077'
exits 1 "$CZTC" train --resume free --steps 3
says err "the frozen weights of its run were others"
npy two.npy '<f4' False '(2,)' "$f32"
exits 0 "$CZTC" train --resume free --steps 3
exits 0 "$CZTC" train --resume sum --steps 2
cat >init.yaml <<'END_OF_GRAPH'
cztc: 1
extends: small.yaml
init: [{file: w.safetensors}]
END_OF_GRAPH
wrong=$(printf '%064d' 0)
exits 1 "$CZTC" train init.yaml --set "init=[{file: w.safetensors, checksum: '$wrong'}]" --out init
says err "w.safetensors: this is another file than the graph means"
exits 0 "$CZTC" train init.yaml --out init --steps 1 \
    --set "init=[{file: w.safetensors, checksum: $(sha256sum w.safetensors | cut -d' ' -f1)}]"
