// CLIP's tokenizer (Radford et al. 2021, after Sennrich et al. 2016): clean, split into words,
// write each word as its bytes, the last one marked as the end of a word, and merge neighbours in
// the order of the published list until no pair of it is left.
//
// Tokens 0-255 are bytes (printable ones first, as the list's alphabet orders them), 256-511 bytes
// that end a word, 512 + i is what merge i makes, then start and end. Merges are kept as pairs of
// tokens in a hash table, so no strings are needed after loading.
#include "runtime/clip_tokens.h"

#include "base/map.h"
#include "runtime/caption.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { MERGES = 48894, START = 512 + MERGES, END, TABLE = 1 << 17, NO_MERGE = INT32_MAX };

typedef struct Slot {
    int32_t left, right, merge; // merge + 1; 0: free
} Slot;

struct ClipTokens {
    Slot table[TABLE];
    int32_t pair[MERGES][2];
    int32_t of_byte[256];
    uint8_t byte_of[256];
};

static uint32_t slot_of(int32_t left, int32_t right)
{
    return (uint32_t)hash_u64((uint64_t)left << 32, (uint64_t)right) % TABLE;
}

// The merge of two tokens, NO_MERGE when there is none.
static int32_t merge_of(const ClipTokens *t, int32_t left, int32_t right)
{
    for (uint32_t i = slot_of(left, right);; i = (i + 1) % TABLE) {
        const Slot *s = &t->table[i];
        if (!s->merge) return NO_MERGE;
        if (s->left == left && s->right == right) return s->merge - 1;
    }
}

// The list writes a byte as a character: printable bytes of Latin-1 as themselves, the others as
// U+0100 on.
static void make_alphabet(ClipTokens *t, Arena *arena, Map *ids)
{
    int32_t next = 0, shifted = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int b = 0; b < 256; b++) {
            bool printable = (b >= 33 && b <= 126) || (b >= 161 && b != 173);
            if (printable != (pass == 0)) continue;
            uint8_t utf8[4];
            int n = (int)utf8proc_encode_char(printable ? b : 256 + shifted++, utf8);
            t->of_byte[b] = next;
            t->byte_of[next] = (uint8_t)b;
            const char *name = str_slice(arena, (char *)utf8, (size_t)n);
            map_set(arena, ids, name, (void *)(intptr_t)(next + 1));
            map_set(arena, ids, str_printf(arena, "%s</w>", name), (void *)(intptr_t)(next + 257));
            next++;
        }
}

static bool add_merge(ClipTokens *t, Arena *arena, Map *ids, char *line, int32_t merge)
{
    char *blank = strchr(line, ' ');
    if (!blank) return false;
    *blank = 0;
    int32_t left = (int32_t)(intptr_t)map_get(ids, line) - 1;
    int32_t right = (int32_t)(intptr_t)map_get(ids, blank + 1) - 1;
    if (left < 0 || right < 0 || merge_of(t, left, right) != NO_MERGE) return false;
    uint32_t i = slot_of(left, right);
    while (t->table[i].merge) i = (i + 1) % TABLE;
    t->table[i] = (Slot){left, right, merge + 1};
    t->pair[merge][0] = left, t->pair[merge][1] = right;
    map_set(arena, ids, str_printf(arena, "%s%s", line, blank + 1),
            (void *)(intptr_t)(merge + 513));
    return true;
}

// text is NUL-terminated: a version line, then one merge a line.
static bool read_merges(ClipTokens *t, char *text, const char *name, Error *err)
{
    Arena *arena = arena_new();
    Map ids = {0};
    make_alphabet(t, arena, &ids);
    bool ok = true;
    char *line = strchr(text, '\n');
    for (int32_t merge = 0; ok && merge < MERGES; merge++) {
        char *end = line ? strchr(++line, '\n') : NULL;
        if (!end)
            ok = error_set(err, "%s: %d merges, CLIP's list has %d", name, merge, MERGES);
        else if (*end = 0, !add_merge(t, arena, &ids, line, merge))
            ok = error_set(err, "%s:%d: not a merge of two known tokens", name, merge + 2);
        line = end;
    }
    arena_free(arena);
    return ok;
}

ClipTokens *clip_tokens_open(char *text, const char *name, Error *err)
{
    ClipTokens *t = calloc(1, sizeof *t);
    if (!t) error_set(err, "%s: out of memory", name);
    if (t && !read_merges(t, text, name, err)) {
        free(t);
        t = NULL;
    }
    return t;
}

void clip_tokens_close(ClipTokens *t)
{
    free(t);
}

int32_t clip_tokens_size(void)
{
    return END + 1;
}

typedef enum { KIND_SPACE, KIND_LETTER, KIND_NUMBER, KIND_OTHER } Kind;

static Kind kind_of(int32_t c)
{
    utf8proc_category_t g = utf8proc_category(c);
    if (g >= UTF8PROC_CATEGORY_LU && g <= UTF8PROC_CATEGORY_LO) return KIND_LETTER;
    if (g >= UTF8PROC_CATEGORY_ND && g <= UTF8PROC_CATEGORY_NO) return KIND_NUMBER;
    return c == ' ' ? KIND_SPACE : KIND_OTHER; // cleaning left no other white space
}

// Bytes of a contraction ('s 't 're 've 'm 'll 'd) at p, 0 when there is none. The pattern ignores
// case, which makes the long s an s.
static size_t contraction(const char *p, size_t n)
{
    static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'\xC5\xBF"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t length = strlen(endings[i]);
        if (length <= n && memcmp(p, endings[i], length) == 0) return length;
    }
    return 0;
}

// End of the word that begins at `at`: a contraction, a run of letters, one digit, or a run of all
// else.
static size_t word_end(const char *text, size_t n, size_t at)
{
    size_t length = contraction(text + at, n - at);
    if (length) return at + length;
    Kind kind = kind_of(text_next(text, n, &at));
    if (kind == KIND_NUMBER) return at;
    for (size_t next = at; next < n && kind_of(text_next(text, n, &next)) == kind;) at = next;
    return at;
}

// The special tokens may be written out in a caption.
static int32_t special_at(const char *p, size_t n, size_t *length)
{
    static const char *const names[2] = {"<start_of_text>", "<end_of_text>"};
    for (int i = 0; i < 2; i++) {
        *length = strlen(names[i]);
        if (*length <= n && memcmp(p, names[i], *length) == 0) return START + i;
    }
    return -1;
}

// Merge a word's tokens in place: the pair that stands first in the list, at all its places from
// left to right, then the next. merge[i] belongs to tokens i and i + 1. Returns how many tokens are
// left.
static size_t merge_word(const ClipTokens *t, int32_t *token, int32_t *merge, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) merge[i] = merge_of(t, token[i], token[i + 1]);
    while (n > 1) {
        int32_t best = NO_MERGE;
        for (size_t i = 0; i + 1 < n; i++)
            if (merge[i] < best) best = merge[i];
        if (best == NO_MERGE) break;
        size_t to = 0;
        bool before = false; // whether the token before came out of this merge
        for (size_t i = 0; i < n; to++) {
            bool hit = i + 1 < n && merge[i] == best;
            token[to] = hit ? 512 + best : token[i];
            if (to && (hit || before))
                merge[to - 1] = merge_of(t, token[to - 1], token[to]);
            else if (to)
                merge[to - 1] = merge[i - 1];
            before = hit;
            i += hit ? 2 : 1;
        }
        n = to;
    }
    return n;
}

static size_t encode_word(const ClipTokens *t, const char *word, size_t n, int32_t *token,
                          int32_t *merge)
{
    for (size_t i = 0; i < n; i++) token[i] = t->of_byte[(uint8_t)word[i]];
    token[n - 1] += 256;
    return merge_word(t, token, merge, n);
}

// Encode cleaned text behind out[0]; returns the tokens in out, at most length + 1 (one more than
// fits).
static int64_t encode_text(const ClipTokens *t, const char *text, size_t n, int32_t *scratch,
                           int32_t *out, int64_t length)
{
    int64_t used = 1;
    for (size_t at = 0; at < n && used < length;) {
        if (text[at] == ' ') {
            at++;
            continue;
        }
        size_t bytes;
        int32_t special = special_at(text + at, n - at, &bytes);
        if (special >= 0) {
            out[used++] = special;
            at += bytes;
            continue;
        }
        size_t end = word_end(text, n, at);
        size_t count = encode_word(t, text + at, end - at, scratch, scratch + n);
        for (size_t i = 0; i < count && used < length; i++) out[used++] = scratch[i];
        at = end;
    }
    return used;
}

bool clip_tokens_encode(const ClipTokens *t, const char *text, size_t n, int32_t *out,
                        int64_t length, Error *err)
{
    Text clean = {0};
    int32_t *scratch = NULL;
    bool ok = length > 0 || error_set(err, "a token sequence of length %lld", (long long)length);
    ok = ok && caption_clean(text, n, &clean, err);
    if (ok && !(scratch = malloc((2 * clean.n + 1) * sizeof *scratch)))
        ok = error_set(err, "out of memory for a caption");
    if (ok) {
        memset(out, 0, (size_t)length * sizeof *out);
        out[0] = START;
        int64_t used = encode_text(t, clean.at, clean.n, scratch, out, length);
        out[used < length ? used : length - 1] = END;
    }
    free(scratch);
    free(clean.at);
    return ok;
}

// Append the bytes of a token, a blank behind a word's last one.
static bool decode_token(const ClipTokens *t, int32_t token, Text *to)
{
    if (token < 512) {
        char bytes[2] = {(char)t->byte_of[token % 256], ' '};
        return text_add(to, bytes, token < 256 ? 1 : 2);
    }
    const int32_t *pair = t->pair[token - 512];
    return decode_token(t, pair[0], to) && decode_token(t, pair[1], to);
}

char *clip_tokens_decode(const ClipTokens *t, const int32_t *tokens, int64_t n)
{
    Text to = {0};
    bool ok = true;
    for (int64_t i = 0; ok && i < n && tokens[i] != END; i++)
        if (tokens[i] >= 0 && tokens[i] < START) ok = decode_token(t, tokens[i], &to);
    if (ok && to.n && to.at[to.n - 1] == ' ') to.n--;
    ok = ok && text_add(&to, "", 1);
    if (!ok) free(to.at);
    return ok ? to.at : NULL;
}
