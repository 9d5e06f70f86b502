"""Train small tokenizers of every kind and record what the library `tokenizers` makes of texts.

Needs the Python packages tokenizers, sentencepiece and protobuf:

    python tests/parity/tokens_fixture.py CAPTIONS tests/data/runtime/tokens

CAPTIONS is a text file, one caption a line (the demo's: the members *.txt of graphs/demo/*.tar). The
folder gets NAME.json, a tokenizer.json, for every row of `make`, and ids.json: the texts, and for each
tokenizer the ids at two lengths without the padding, and the size of its vocabulary.
"""

import json
import os
import sys
import tempfile

import sentencepiece
import sentencepiece.sentencepiece_model_pb2 as model_pb2
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

MULTILINGUAL = """A photograph of an old fishing boat, 3 gulls above it.
Ein großes Haus mit grünem Dach; daneben zwei Äpfel.
Une échelle posée contre l'arbre près de la forêt.
Большая собака бежит по берегу моря.
大きな犬が海辺を走っています。
一只猫坐在窗台上看雨。
كلب كبير يركض على الشاطئ.
कुत्ता समुद्र तट पर दौड़ रहा है।
바닷가를 달리는 큰 개.
Ένας μεγάλος σκύλος τρέχει στην παραλία.
Một con chó lớn chạy trên bãi biển."""

TEXTS = [
    "", " ", "a", "  a photo  of   a dog ", "A Photo of THE Dog's 12345 toys!!!",
    "they're we've I'll he'd I'm it's THEY'RE 'S", "tabs\tand\nnew\r\nlines\n\n\nend \n",
    "Größe: 猫 & 3 dogs", "大きな犬が海辺を走っています。一只猫坐在窗台上", "كلب كبير يركض على الشاطئ",
    "कुत्ता दौड़ रहा है", "👍🏽 👩‍👩‍👧‍👦 family, flag 🇩🇪 and ❤️", "cafe\u0301 café ﬁne ½ ² Ⅷ ㌔ ｱｲ",
    "zero\u200bwidth\u200djoin\u00adsoft\ufeffbom", "nbsp\u00a0and\u3000ideographic\u2003em\u0085nel",
    "supercalifragilisticexpialidocious" * 3, "x" * 150, "a b c d e f g h i j k l m n o p q r s t u v w x y z " * 3,
    "<s>a dog</s><pad> <unk>", "a<|endoftext|>b <|endoftext|> c", "the [MASK] dog [SEP] [CLS]x", "<mask>  dog <mask>.",
    "dogdog dog Dog dogs", "the special thing, SPECIAL specials", "▁a ▁▁ b▁c", "\u0000null\u0007bell\u007fdel\u009f",
    "ΑΣ ΣΑΣ İstanbul ß ẞ Ǆ", "ｆｕｌｌ ｗｉｄｔｈ １２３", "한국어 바닷가 \u1112\u1161\u11ab", "price: $3.50 (50% off) #tag @user a_b-c",
    "http://example.org/a?b=c&d=%20", "e\u0301\u0302\u0323 \u0301start", "\U0001F600\U0001F9D1\U0001F3FF\u200D\U0001F680 𝒳𝓎𝔷 𠀋",
    "…—–“”‘’«»¡¿", "១២៣ ٣٤٥ 123 ௰", "\u2028line\u2029para", " leading", "trailing ", "\n", "\t\t", "ſ'ſ K", "a\u180eb \u200c\u2060",
    "<0x0A> <0x41>", "xx  xx   xx    xx", "Ä\u0308 ﷺ ŀ ŉ", "﹏＿_‿⁀", "日本\u3099か\u3099", "\u0915\u094d\u0937\u093f",
    "word" + "\u0301" * 20, "naïve façade coöperate Ångström", "1,234,567.89 and 0x7F", "don't can't DON'T y'all",
]


def trained(model, trainer, captions, normalizer=None, pre=None, **more):
    t = Tokenizer(model)
    if normalizer is not None:
        t.normalizer = normalizer
    if pre is not None:
        t.pre_tokenizer = pre
    t.train_from_iterator(captions, trainer)
    for key, value in more.items():
        setattr(t, key, value)
    return t


def bpe(captions, specials, size, normalizer=None, pre=None, alphabet=(), **how):
    model = {k: v for k, v in how.items() if k in ("unk_token", "byte_fallback", "fuse_unk", "end_of_word_suffix")}
    trainer = {k: v for k, v in how.items() if k in ("end_of_word_suffix", "continuing_subword_prefix")}
    return trained(models.BPE(**model),
                   trainers.BpeTrainer(vocab_size=size, special_tokens=specials, show_progress=False,
                                       initial_alphabet=list(alphabet),
                                       limit_alphabet=256 if alphabet else 180, **trainer),
                   captions, normalizer, pre)


def edit(t, change):
    """The tokenizer with its JSON changed in place by a function."""
    j = json.loads(t.to_str())
    change(j)
    return Tokenizer.from_str(json.dumps(j))


def bytes_of():
    return pre_tokenizers.ByteLevel.alphabet()


def gpt2(captions):
    t = bpe(captions, ["<|endoftext|>"], 420, None, pre_tokenizers.ByteLevel(add_prefix_space=False), bytes_of())
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.decoder = decoders.ByteLevel()
    return t


def llama3(captions):
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3), "isolated"),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t = bpe(captions, [], 420, None, pre, bytes_of())
    t.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>"])
    begin, end = t.token_to_id("<|begin_of_text|>"), t.token_to_id("<|end_of_text|>")
    t.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=True),
         processors.TemplateProcessing("<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", begin)])])
    t.enable_padding(pad_id=end, pad_token="<|end_of_text|>")
    return edit(t, lambda j: j["model"].update(ignore_merges=True))


def qwen2(captions):
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2), "isolated"),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t = bpe(captions, [], 420, normalizers.NFC(), pre, bytes_of())
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>"])
    # as older files have them: merges as texts
    return edit(t, lambda j: j["model"].update(merges=[" ".join(m) for m in j["model"]["merges"]]))


def with_bytes(j):
    """Byte tokens behind the vocabulary, as converted SentencePiece models have them."""
    vocab = j["model"]["vocab"]
    for b in range(256):
        vocab.setdefault("<0x%02X>" % b, len(vocab))


def gemma(captions):
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"]
    t = bpe(captions, specials, 400, normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"),
            unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    t = edit(t, with_bytes)
    t.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("▁▁", normalized=False), "▁▁▁"])
    t.post_processor = processors.TemplateProcessing("<bos> $A <eos>", "<bos> $A <bos> $B",
                                                     [("<bos>", t.token_to_id("<bos>")), ("<eos>", t.token_to_id("<eos>"))])
    return t


def llama2(captions):
    t = bpe(captions, ["<unk>", "<s>", "</s>"], 400,
            normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
            unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    t = edit(t, with_bytes)
    t.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", t.token_to_id("<s>"))])
    return t


def no_fallback(captions):
    t = bpe(captions, ["<unk>", "<pad>"], 300, normalizers.NFKD(), pre_tokenizers.Metaspace(prepend_scheme="first"),
            unk_token="<unk>", fuse_unk=False)
    t.add_tokens(["dog"])
    return t


def fused(captions):
    """Unknown characters are one token; some bytes have tokens of their own."""
    t = bpe(captions, ["<unk>", "<pad>"], 300, None, pre_tokenizers.Metaspace(), unk_token="<unk>", fuse_unk=True,
            byte_fallback=True)

    def some_bytes(j):
        vocab = j["model"]["vocab"]
        for b in (0x0A, 0x09, 0xE2, 0x80, 0x9C, 0x9D, 0x99, 0xC3, 0xA9):
            vocab.setdefault("<0x%02X>" % b, len(vocab))
    return edit(t, some_bytes)


def clip(captions):
    t = bpe(captions, ["<|startoftext|>", "<|endoftext|>"], 800,
            normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
            pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), "removed", invert=True),
                                     pre_tokenizers.ByteLevel(add_prefix_space=False)]),
            bytes_of(), end_of_word_suffix="</w>")
    start, end = t.token_to_id("<|startoftext|>"), t.token_to_id("<|endoftext|>")
    t.post_processor = processors.RobertaProcessing(("<|endoftext|>", end), ("<|startoftext|>", start),
                                                    add_prefix_space=False, trim_offsets=False)
    t.enable_padding(pad_id=end, pad_token="<|endoftext|>")
    return t


def roberta(captions):
    t = bpe(captions, ["<s>", "<pad>", "</s>", "<unk>"], 420, None, pre_tokenizers.ByteLevel(add_prefix_space=True), bytes_of())
    t.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")))
    return t


def charsmap():
    """A table of replacements as SentencePiece compiles them, from a few rules."""
    rules = [("ﬁ", "fi"), ("½", "1/2"), ("²", "2"), ("\t", " "), ("\u00a0", " "), ("\u3000", " "), ("\u200b", ""), ("e\u0301", "é"),
             ("ｆ", "f"), ("ｕ", "u"), ("ｌ", "l"), ("１", "1"), ("㌔", "キロ"), ("\u0007", ""), ("a\u0301", "á"), ("…", "...")]
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/rules.tsv", "w") as f:
            for a, b in rules:
                f.write(" ".join("%X" % ord(c) for c in a) + "\t" + " ".join("%X" % ord(c) for c in b) + "\n")
        with open(folder + "/text", "w") as f:
            f.write("a b c\n" * 50)
        sentencepiece.SentencePieceTrainer.train(input=folder + "/text", model_prefix=folder + "/m", vocab_size=7,
                                                 normalization_rule_tsv=folder + "/rules.tsv", model_type="char", minloglevel=2)
        proto = model_pb2.ModelProto()
        with open(folder + "/m.model", "rb") as f:
            proto.ParseFromString(f.read())
    return proto.normalizer_spec.precompiled_charsmap


def unigram(captions, specials, size, normalizer, pre, unk="<unk>"):
    return trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=size, special_tokens=specials, unk_token=unk,
                                                             show_progress=False), captions, normalizer, pre)


def t5(captions):
    t = unigram(captions, ["<pad>", "</s>", "<unk>"], 300,
                normalizers.Sequence([normalizers.Precompiled(charsmap()), normalizers.Strip(left=False, right=True),
                                      normalizers.Replace(Regex(" {2,}"), "▁")]),
                pre_tokenizers.Metaspace(prepend_scheme="always"))
    t.add_special_tokens(["<extra_id_0>"])
    t.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", t.token_to_id("</s>"))])
    t.enable_padding(pad_id=0, pad_token="<pad>")
    return t


def unigram_bytes(captions):
    t = unigram(captions, ["<unk>", "<s>", "</s>", "<pad>"], 300, normalizers.Nmt(),
                pre_tokenizers.Metaspace(prepend_scheme="first", split=False))

    def change(j):
        vocab = j["model"]["vocab"]
        vocab += [["<0x%02X>" % b, -20.0] for b in range(256)]
        j["model"]["byte_fallback"] = True
    t = edit(t, change)
    t.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 1), ("</s>", 2)])
    return t


def bert(captions, **how):
    t = trained(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100),
                trainers.WordPieceTrainer(vocab_size=500, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
                                          show_progress=False),
                captions, normalizers.BertNormalizer(**how), pre_tokenizers.BertPreTokenizer())
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return t


def bert_cased(captions):
    t = bert(captions, lowercase=False, strip_accents=None, clean_text=True, handle_chinese_chars=False)
    t.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)])
    return t


def words(captions):
    t = trained(models.WordLevel(unk_token="[UNK]"),
                trainers.WordLevelTrainer(vocab_size=400, special_tokens=["[UNK]", "[PAD]"], show_progress=False), captions,
                normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Strip()]),
                pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Digits(individual_digits=True),
                                         pre_tokenizers.Punctuation("isolated")]))
    t.add_tokens([AddedToken("special", single_word=True), AddedToken("Dog", single_word=True, rstrip=True, normalized=True)])
    return t


def pieces(captions):
    """Splits of the other ways."""
    t = trained(models.WordLevel(unk_token="[UNK]"),
                trainers.WordLevelTrainer(vocab_size=400, special_tokens=["[UNK]", "[PAD]"], show_progress=False), captions,
                normalizers.NFKC(),
                pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(individual_digits=False),
                                         pre_tokenizers.Split(Regex(r"\w"), "contiguous"), pre_tokenizers.Split("a", "merged_with_next"),
                                         pre_tokenizers.Split(Regex("[oe]"), "merged_with_previous"),
                                         pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.CharDelimiterSplit("x")]))
    return t


make = [gpt2, llama3, qwen2, gemma, llama2, no_fallback, fused, clip, roberta, t5, unigram_bytes, bert, bert_cased, words, pieces]
LENGTHS = [64, 12]


def main():
    with open(sys.argv[1]) as f:
        captions = [line.strip() for line in f if line.strip()]
    captions += MULTILINGUAL.split("\n") * 4
    folder = sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    out = {"texts": TEXTS, "tokenizers": {}}
    for one in make:
        t = one(captions)
        text = t.to_str(pretty=False)
        with open(folder + "/" + one.__name__ + ".json", "w") as f:
            f.write(text + "\n")
        t = Tokenizer.from_str(text)
        vocab = t.get_vocab(with_added_tokens=True)
        rows = {"size": max(vocab.values()) + 1}
        t.no_padding()
        for length in LENGTHS:
            t.enable_truncation(length)
            rows[str(length)] = [t.encode(text).ids for text in TEXTS]
        out["tokenizers"][one.__name__] = rows
    with open(folder + "/ids.json", "w") as f:
        json.dump(out, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")


main()
