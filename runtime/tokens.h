// Tokenizers of tokenizer.json files (the format of the library `tokenizers`): what the parts of
// the reader and of the encoder share. runtime/tokenizer.h is the door.
#ifndef CZT_RUNTIME_TOKENS_H
#define CZT_RUNTIME_TOKENS_H

#include "base/map.h"
#include "base/vec.h"
#include "runtime/caption.h"
#include "runtime/textjson.h"

// ---- characters (tokens_text.c) ----------------------------------------------------------------

// The character at text[*at], which must be whole; steps over it.
static inline int32_t char_next(const char *text, size_t *at)
{
    const uint8_t *p = (const uint8_t *)text + *at;
    if (p[0] < 0x80) return *at += 1, p[0];
    if (p[0] < 0xE0) return *at += 2, (p[0] & 0x1F) << 6 | (p[1] & 0x3F);
    if (p[0] < 0xF0) return *at += 3, (p[0] & 0x0F) << 12 | (p[1] & 0x3F) << 6 | (p[2] & 0x3F);
    return *at += 4, (p[0] & 7) << 18 | (p[1] & 0x3F) << 12 | (p[2] & 0x3F) << 6 | (p[3] & 0x3F);
}

typedef bool CharTest(int32_t c);
CharTest char_is_space, char_is_number, char_is_punctuation, char_is_word;
// Whether a character, other than in our tables, is none of its kind in those of the library, which
// are older (tokens_later.c).
typedef enum { TABLE_FORMS, TABLE_ACCENTS, TABLE_FORMATS, TABLE_PUNCTUATION } CharTable;
bool char_is_later(int32_t c, CharTable table);
// Append a character; false when memory is out.
bool text_char(Text *to, int32_t c);

// ---- patterns ----------------------------------------------------------------------------------

struct Regex; // a compiled pattern of PCRE2

typedef struct Pattern {
    enum { PATTERN_REGEX, PATTERN_TEXT, PATTERN_CHAR, PATTERN_WORDS } kind;
    struct Regex *regex;
    const char *text; // n bytes
    size_t n;
    CharTest *test; // every character that passes is a match
} Pattern;

// Compile a pattern in the syntax of Oniguruma as far as PCRE2 means the same by it. NULL with err.
struct Regex *regex_compile(const char *text, size_t n, const char *place, Error *err);
void regex_free(struct Regex *regex);

typedef struct Span {
    size_t begin, end;
} Span;

// The next match at or behind *at; false when there is none, or with err. *at is moved on.
bool pattern_next(const Pattern *p, const char *text, size_t n, size_t *at, Span *match,
                  Error *err);

// ---- the reader's hand -------------------------------------------------------------------------

typedef VEC(struct Regex *) Regexes;

// What is read, where it stands in the file, and where errors go.
typedef struct TokenReader {
    Arena *arena; // of the tokenizer
    Regexes *regexes;
    const char *name;  // of the file
    const char *place; // "normalizer.normalizers[2]"
    Error *err;
} TokenReader;

// "NAME: PLACE: text"; false.
bool reader_fail(const TokenReader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// The same reader at a key, or at an item of a list.
TokenReader reader_at(const TokenReader *r, const char *key);
TokenReader reader_item(const TokenReader *r, const char *key, uint32_t i);
// The value of a key; false with err where it has another kind. What is not there keeps *to.
bool reader_bool(const TokenReader *r, const Jv *map, const char *key, bool *to);
bool reader_text(const TokenReader *r, const Jv *map, const char *key, const Jv **to);
bool reader_int(const TokenReader *r, const Jv *map, const char *key, int64_t most, int64_t *to);
// {"String": ..} or {"Regex": ..} at key "pattern".
bool reader_pattern(const TokenReader *r, const Jv *map, Pattern *to);
// Read a part and, where it is a Sequence, its parts under `list`, with `one`.
typedef bool PartReader(const TokenReader *r, const Jv *part, const Jv *type, void *to);
bool reader_parts(const TokenReader *r, const Jv *part, const char *list, PartReader *one,
                  void *to);

// ---- normalizers (tokens_normal.c) -------------------------------------------------------------

struct Charsmap;

typedef bool CharMap(int32_t c, Text *to);

typedef struct NormalStep {
    enum {
        NORMAL_FORM,
        NORMAL_MAP,
        NORMAL_REPLACE,
        NORMAL_PREPEND,
        NORMAL_STRIP,
        NORMAL_CHARSMAP,
        NORMAL_BYTES
    } kind;
    int form;     // options of utf8proc
    CharMap *map; // appends what becomes of a character
    Pattern pattern;
    const char *text; // that replaces, or is prepended
    size_t n;
    bool left, right;
    const struct Charsmap *charsmap;
} NormalStep;

typedef VEC(NormalStep) NormalSteps;
PartReader normal_read; // to: NormalSteps
// Change `text` by all steps; `other` is room. *start becomes false where what stood at its
// beginning is gone.
bool normal_run(const NormalSteps *steps, Text *text, Text *other, bool *start, Error *err);
// Append the letter that stands for a byte in byte-level vocabularies.
bool byte_letter(uint8_t byte, Text *to);
// The byte a letter stands for; -1 for none.
int byte_of_letter(int32_t c);

// SentencePiece's table of replacements.
const struct Charsmap *charsmap_read(Arena *arena, const char *base64, size_t n);
bool charsmap_run(const struct Charsmap *map, const char *text, size_t n, Text *to);

// ---- splitting (tokens_split.c) ----------------------------------------------------------------

typedef struct Piece {
    size_t begin, end;
    int32_t token; // an added one, or -1: text
    bool start;    // it begins where the caption does
} Piece;

// A caption on its way.
typedef struct Flow {
    Text text, other;
    Piece *pieces, *next;
    uint32_t n, room, nnext, room_next;
    Error *err;
} Flow;

// Append a piece to the next ones; nothing where it is empty.
bool flow_push(Flow *f, Piece piece);
// The next pieces become the pieces.
void flow_turn(Flow *f);

typedef struct SplitStep {
    enum { SPLIT_PATTERN, SPLIT_PREFIX, SPLIT_BYTES, SPLIT_SPACES } kind;
    Pattern pattern;
    enum { KEEP_APART, KEEP_REMOVED, KEEP_PREVIOUS, KEEP_NEXT, KEEP_TOGETHER } keep;
    bool invert;
    const char *text; // in place of a blank, or before a text that does not begin with it
    size_t n;
    enum { PREFIX_NEVER, PREFIX_FIRST, PREFIX_ALWAYS } prefix;
} SplitStep;

typedef VEC(SplitStep) SplitSteps;
PartReader split_read; // to: SplitSteps
bool split_run(const SplitSteps *steps, Flow *flow);

// ---- the vocabulary (tokens_vocab.c) -----------------------------------------------------------

typedef struct Word {
    const char *text;
    uint32_t n;
    int32_t id;
} Word;

typedef struct Vocab {
    Word *slots; // free where text is NULL
    uint32_t nslots, n;
    const Word **of_id; // NULL where an id has no text
    int32_t size;       // the largest id + 1
} Vocab;

// Make room for n words.
void vocab_reserve(Arena *arena, Vocab *v, uint32_t n);
// Add a text, which is copied; what is there already keeps its id, but when `replace`.
void vocab_add(Arena *arena, Vocab *v, const char *text, uint32_t n, int32_t id, bool replace);
// When all are added: of_id.
void vocab_index(Arena *arena, Vocab *v);
// The id, or -1.
int32_t vocab_find(const Vocab *v, const char *text, size_t n);
// The id of "<0x0A>", or -1.
int32_t vocab_byte(const Vocab *v, uint8_t byte);

// ---- models (tokens_bpe.c, tokens_unigram.c, tokens_words.c) ----------------------------------

typedef struct Ids {
    int32_t *at;
    size_t n, room;
} Ids;

bool ids_add(Ids *to, int32_t id);

struct Model;
typedef bool ModelEncode(const struct Model *m, const char *text, size_t n, Ids *to, Error *err);

typedef struct Model {
    const char *type;
    Vocab vocab;
    int32_t unknown; // -1: none
    bool byte_fallback;
    const char *prefix, *suffix; // of what continues a word; of what ends one
    size_t nprefix, nsuffix, longest;
    const struct Bpe *bpe;
    const struct Unigram *unigram;
    ModelEncode *encode;
} Model;

typedef bool ModelRead(const TokenReader *r, const Jv *json, Model *m);
ModelRead bpe_read, unigram_read, wordpiece_read, wordlevel_read;
// vocab: {"text": id}.
bool model_vocab(const TokenReader *r, const Jv *json, Model *m);

// ---- added tokens (tokens_added.c) -------------------------------------------------------------

typedef struct Added {
    const char *text, *pattern; // as written, and as it is looked for
    size_t n, npattern;
    int32_t id;
    bool single_word, left, right, normalized, special;
} Added;

typedef struct AddedTokens {
    VEC(Added) all;
    int32_t size; // the largest id + 1 of them and of the vocabulary
    // Rows of `all` by the first byte of their pattern, the longest first; for raw text and for
    // normalized.
    const uint32_t *rows[2][256];
    uint32_t nrows[2][256];
} AddedTokens;

bool added_read(const TokenReader *r, const Jv *list, const Vocab *vocab, const NormalSteps *normal,
                AddedTokens *to);
// Cut a stretch of the flow's text into pieces of text and added tokens.
bool added_split(const AddedTokens *added, bool normalized, const char *text, Piece piece,
                 Flow *to);
// The id of a token by its text: an added one, or of the vocabulary; -1: none.
int32_t added_find(const AddedTokens *added, const Vocab *vocab, const char *text, size_t n);

// ---- all of a file (tokens_file.c) -------------------------------------------------------------

typedef struct TokenFile TokenFile;

TokenFile *token_file_open(const char *text, size_t n, const char *name, Error *err);
void token_file_close(TokenFile *t);
int32_t token_file_size(const TokenFile *t);
// The token that fills a sequence up: that of a text, or NULL: what the file has. -1: none.
int32_t token_file_pad(const TokenFile *t, const char *text);
// How many tokens go around every text.
int64_t token_file_around(const TokenFile *t);
// The last of those behind a text; -1: there are none.
int32_t token_file_end(const TokenFile *t);
bool token_file_encode(const TokenFile *t, const char *text, size_t n, int32_t *out, int64_t length,
                       int32_t pad, Error *err);
char *token_file_decode(const TokenFile *t, const int32_t *tokens, int64_t n);

#endif
