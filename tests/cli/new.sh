# cztc new: what it writes is right, whatever it is asked for, and it overwrites nothing.
. "$(dirname "$0")/common.sh"
make() { exits 0 "$CZTC" new "$@"; }
right() { # NAME TEXT...: check takes it, and says the texts
    file=$1
    shift
    exits 0 "$CZTC" check "$file"
    for text in "$@"; do says out "$text"; done
}

for model in tiny small base resnet50 mobileclip; do
    make $model.yaml --model $model
    right $model.yaml "part    visual"
    awk 'length > 100 { exit 1 }' $model.yaml || miss "$model.yaml has a line that is too long"
done
make plain.yaml --experts none
sed 's/plain.yaml/small.yaml/g' plain.yaml >renamed.yaml
same renamed.yaml small.yaml # what is written without options
make all.yaml --model tiny --experts seg,depth,normal,features,a:class,b:vector,c:class_map,d:map,e:normals
right all.yaml experts.seg experts.depth experts.normal experts.features experts.a experts.b experts.c \
    experts.d experts.e "batch 64"
[ "$(grep -c 'lab: size' all.yaml)" -eq 1 ] || miss "a constant stands there twice"
[ "$(grep -c 'losses/dense' all.yaml)" -eq 1 ] || miss "an import stands there twice"
make sized.yaml --model tiny --image-size 48 --patch 16 --batch 3 --context 20 --steps 50
right sized.yaml "batch 3" "u8[3b, 48, 48, 3]" "i32[3b, 20]"
says sized.yaml "  total: 50                      # updates"
says sized.yaml "warmup=6,"

# nothing is overwritten
cp plain.yaml before.yaml
exits 1 "$CZTC" new plain.yaml --experts seg
says err "plain.yaml is there already: --force replaces it"
same plain.yaml before.yaml
make plain.yaml --experts seg --force
right plain.yaml experts.seg

# wrong use writes nothing
wrong() { # TEXT ARGUMENTS...
    text=$1
    shift
    exits 2 "$CZTC" new wrong.yaml "$@"
    says err "$text"
    [ -e wrong.yaml ] && miss "$*: a file was written"
}
wrong "what label has 'foo'? Known are seg, depth" --experts foo
wrong "no expert is made of role 'tokens'" --experts a:tokens
wrong "'image' is the name of another part" --experts image:map
wrong "'seg' comes twice" --experts seg,seg
wrong "'a b' is no name" --experts "a b:map"
wrong "--model 'huge': tiny, small, base, resnet50, mobileclip" --model huge
wrong "--image-size 100 is no multiple of the patch, 16" --image-size 100
wrong "is no whole number from 1 up" --batch 0
exits 2 "$CZTC" new graph.yml
says err "'graph.yml' does not end in .yaml"

# a shard that is there: its members become fields and experts
make demo.yaml --model tiny --data "$SOURCE/graphs/demo/train-{0000..0004}.tar"
says out "  webp                 image      in 64"
says out "  seg.png              class_map  in 64"
says demo.yaml "image: {member: webp, "
says demo.yaml "    seg:                         # seg.png, in 64 of 64 samples: 0 to 1, and 255"
says demo.yaml '{as: class_map, member: seg.png, follow: image, size: lab, ignore: 255, classes: 2}'
right demo.yaml experts.seg
exits 0 "$CZTC" data demo.yaml --show 2 -o page.html
exits 2 "$CZTC" new apart.yaml --data a-0000.tar a-0001.tar
says err "'a-0001.tar' is one too many (a shell takes a range apart that is not quoted"
exits 0 "$CZTC" train demo.yaml --out run --steps 1 --set batch=4 --set encoders.textual.vocab=49408
make only.yaml --model tiny --data "$SOURCE/graphs/demo/train-0000.tar" --experts none
says only.yaml "    seg:   " # a field that nothing reads yet
exits 0 "$CZTC" check only.yaml
grep -q "experts.seg" out && miss "an expert that nobody asked for"

# arrays, by their shape; what some samples lack
npy() { # SHAPE BYTES: an array of zeros
    printf '\223NUMPY\001\000v\000'
    printf '%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': $1, }"
    head -c "$2" /dev/zero
}
mkdir few && cd few || exit 1
for n in 1 2 3; do
    cp "$SOURCE/tests/data/runtime/images/photo.jpg" $n.jpg
    echo "picture $n" >$n.txt
    npy "(16, 24)" 1536 >$n.depth.npy
    npy "(5,)" 20 >$n.some-vector.npy
    npy "(2, 3)" 24 >$n.grid.npy
    echo $((3 * n)) >$n.cls
    echo '{"a": 1}' >$n.meta.json
    echo '[1, 2.5]' >$n.pair2.json
    echo '[{"bbox": [1, 2, 30, 40], "category": "the cat"}, {"bbox": [5, 5, 9, 9], "category": "dog"}]' >$n.things.json
    echo '{"boxes": [[0.1, 0.1, 0.5, 0.6]], "classes": [4]}' >$n.parts.json
done
rm 2.grid.npy 3.some-vector.npy
tar -cf ../few.tar --sort=name ./*
cd ..
mkdir -p elsewhere
make elsewhere/few.yaml --model tiny --batch 2 --data few.tar
says out "  meta.json            not read   in 3"
says elsewhere/few.yaml "source: $PWD/few.tar"
says elsewhere/few.yaml '{as: map, member: depth.npy, follow: image, size: lab, invalid: 0}'
says elsewhere/few.yaml "    some_vector:                 # some-vector.npy, in 2 of 3 samples: 0 to 0"
says elsewhere/few.yaml "{as: vector, member: some-vector.npy, size: 5, optional: true}"
says elsewhere/few.yaml '{as: array, member: grid.npy, shape: "[2, 3]", dtype: f32, optional: true}'
says elsewhere/few.yaml "{as: class, member: cls, classes: 10}"
says elsewhere/few.yaml "{as: vector, member: pair2.json, size: 2}"
says elsewhere/few.yaml "    things:                      # things.json, in 3 of 3 samples: 0 to 1"
says elsewhere/few.yaml '{as: boxes, member: things.json, follow: image, format: coco, max: 64, min_area: 16, names: ["the cat", dog]}'
says elsewhere/few.yaml '{as: boxes, member: parts.json, follow: image, format: xyxy_unit, max: 64, min_area: 16}'
says elsewhere/few.yaml "    classes: 5"
right elsewhere/few.yaml experts.depth experts.some_vector experts.cls experts.pair2 experts.things experts.parts
exits 0 "$CZTC" data elsewhere/few.yaml --json
says out '"looked_at": 3, "skipped": 0'
make absent.yaml --data none.tar
says err "warning: --data: none.tar: "
says absent.yaml "source: none.tar"

# a terminal: questions, with answers that must be given again
if command -v script >/dev/null; then
    printf 'few.tar\nhuge\ntiny\n32\nmany\n2\n20\ndepth\n' >answers
    script -qec "$CZTC new asked.yaml" /dev/null <answers >out 2>err || miss "questions: $(cat out)"
    says out "Model: tiny, small, base, resnet50, mobileclip [small]:"
    says out "a whole number, please"
    says out "or none [cls,depth,pair2,parts,some_vector,things]:"
    right asked.yaml "batch 2" "u8[2b, 32, 32, 3]" experts.depth
    grep -q "experts.cls" out && miss "an expert that was not asked for"
    says asked.yaml "  total: 20 "
fi

exit $((failed != 0))
