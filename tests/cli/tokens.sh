# A tokenizer.json: what check says of it, that a step carries it, and what is said where it does not
# fit, is not there, or has what is not supported.
. "$(dirname "$0")/common.sh"

pictures shards/train
cp "$SOURCE/tests/data/runtime/tokens/gpt2.json" tokenizer.json
sed -e 's|source: .*|source: shards|' -e 's|^eval: .*||' \
    -e 's|tokenizer: clip, length: 12|tokenizer: tokenizer.json, length: 12, pad: "<\|endoftext\|>"|' \
    -e 's|embed: embed}|embed: embed, end: 0, vocab: 420}|' "$SOURCE/tests/cli/small.yaml" >graph.yaml
exits 0 "$CZTC" check graph.yaml
says out 'text                     i32[4b, 12], of 420 tokens'
grep -q warning err && miss "there is nothing to warn of: $(cat err)"
exits 1 "$CZTC" check graph.yaml --set encoders.textual.vocab=419
says err "graph.yaml:13:36: error: this tokenizer has 420 tokens, and 'text' is an index of 419 rows"
says err "help: give the text encoder the size of the vocabulary: vocab: 420"
exits 1 "$CZTC" check graph.yaml --set data.fields.text.pad=max_length
says err "the tokenizer's file names no token to pad with"
exits 1 "$CZTC" check graph.yaml --set 'data.fields.text.pad="<none>"'
says err "the tokenizer has no token '<none>' to pad with"

# read at the largest token, where the end is another one, or there is none
ends() { # FILE VOCAB [SETTINGS]: check it, read as they say
    cp "$SOURCE/tests/data/runtime/tokens/$1" ends.json
    sed -e 's|tokenizer: tokenizer.json|tokenizer: ends.json|' -e 's|, pad: "[^"]*"|, pad: "<s>"|' \
        -e "s|end: 0, vocab: 420|$3vocab: $2|" graph.yaml >ends.yaml
    exits 0 "$CZTC" check ends.yaml
}
ends roberta.json 421
says err "ends.yaml:13:36: warning: 'text' is read at its largest token; this tokenizer ends a text with 2, and has tokens up to 420"
says err "help: give the text encoder the token of the end: end: 2"
ends roberta.json 421 "end: 2, "
grep -q warning err && miss "warned of an end that is said: $(cat err)"
ends roberta.json 421 "pool: last, "
grep -q warning err && miss "warned of what is read at the last place: $(cat err)"
ends llama2.json 656
says err "warning: 'text' is read at its largest token, and this tokenizer puts none behind a text"
sed -e 's|tokenizer: tokenizer.json, length: 12, pad: "[^"]*"|tokenizer: clip, length: 12|' -e 's|end: 0, vocab: 420|vocab: 49408|' graph.yaml >clip.yaml
exits 0 "$CZTC" check clip.yaml
grep -q warning err && miss "warned of CLIP's own: $(cat err)"
exits 0 "$CZTC" check clip.yaml --set encoders.textual.vocab=49407
says err "clip.yaml:13:36: warning: CLIP's tokenizer has 49408 tokens, and 'text' is an index of 49407 rows"
says err "help: give the text encoder the size of the vocabulary: vocab: 49408"

# the step has all that it needs of it
exits 0 "$CZTC" compile graph.yaml --set train.steps=2 --set checkpoint=null -o step.czt
exits 0 "$CZTC" data step.czt --show 1 -o before.html
mv tokenizer.json away.json
exits 0 "$CZTC" data step.czt --show 1 -o after.html
cmp before.html after.html || miss "the step does not carry its tokenizer"
says after.html " of 12 tokens"
exits 0 "$CZTC" train step.czt --out run

# without the file
exits 0 "$CZTC" check graph.yaml
says err "tokenizer.json: No such file or directory"
says err "help: its vocabulary is not checked, and the step does not carry it"
exits 1 "$CZTC" data graph.yaml -o page.html
says err "data.fields.text.tokenizer: "

# a step from the cache is not one of another tokenizer
exits 0 "$CZTC" compile graph.yaml --set train.steps=2 --set checkpoint=null -o other.czt
cmp -s step.czt other.czt && miss "a step without the tokenizer has it"
sed 's|"dropout":null|"dropout":0.1|' away.json >tokenizer.json
exits 1 "$CZTC" compile graph.yaml -o other.czt
says err "tokenizer.json: model: 'dropout' is not supported"
echo '{"model": {"type": "BPE", ]' >tokenizer.json
exits 1 "$CZTC" check graph.yaml
says err "tokenizer.json:1:27: JSON: a key is wanted"

exit $((failed != 0))
