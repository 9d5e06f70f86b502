// Byte-pair encoding (Sennrich et al. 2016): a piece's characters, of which the neighbours that
// come first in the list of merges are joined until none is left. Pairs wait in a heap by their
// place in the list, then by their place in the text.
#include "runtime/tokens.h"

#include <stdlib.h>

typedef struct Merge {
    int32_t left, right, rank, id; // rank -1: free
} Merge;

enum { DIRECT = 0x400 };

typedef struct Bpe {
    Merge *merges;
    uint32_t nslots;
    int32_t direct[DIRECT]; // ids of characters, where words have neither prefix nor suffix
    int32_t bytes[256];     // of "<0x..>"
    bool fuse_unknown, whole_first, plain;
} Bpe;

static uint32_t slot_of(const Bpe *b, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15;
    return (uint32_t)(h >> 36) & (b->nslots - 1);
}

static Merge *merge_of(const Bpe *b, int32_t left, int32_t right)
{
    uint32_t i = slot_of(b, left, right);
    while (b->merges[i].rank >= 0 && (b->merges[i].left != left || b->merges[i].right != right))
        i = (i + 1) & (b->nslots - 1);
    return &b->merges[i];
}

// ---- encoding -----------------------------------------------------------------------------------

typedef struct Symbol {
    int32_t id, before, after; // -1 at the ends
    bool gone;
} Symbol;

typedef struct Pair {
    uint64_t order; // rank, then place
    int32_t id;
} Pair;

typedef struct Joiner {
    const Bpe *bpe;
    Symbol *symbols;
    Pair *heap;
    uint32_t n, waiting;
} Joiner;

static void wait_for(Joiner *j, int32_t at)
{
    int32_t after = at < 0 ? -1 : j->symbols[at].after;
    if (after < 0) return;
    const Merge *m = merge_of(j->bpe, j->symbols[at].id, j->symbols[after].id);
    if (m->rank < 0) return;
    Pair pair = {(uint64_t)m->rank << 32 | (uint32_t)at, m->id};
    uint32_t i = j->waiting++;
    for (; i && j->heap[(i - 1) / 2].order > pair.order; i = (i - 1) / 2)
        j->heap[i] = j->heap[(i - 1) / 2];
    j->heap[i] = pair;
}

static Pair first_waiting(Joiner *j)
{
    Pair first = j->heap[0], last = j->heap[--j->waiting];
    uint32_t i = 0;
    for (uint32_t child; (child = 2 * i + 1) < j->waiting; i = child) {
        if (child + 1 < j->waiting && j->heap[child + 1].order < j->heap[child].order) child++;
        if (j->heap[child].order >= last.order) break;
        j->heap[i] = j->heap[child];
    }
    j->heap[i] = last;
    return first;
}

static void join(Joiner *j)
{
    for (uint32_t i = 0; i + 1 < j->n; i++) wait_for(j, (int32_t)i);
    while (j->waiting) {
        Pair pair = first_waiting(j);
        int32_t at = (int32_t)(uint32_t)pair.order;
        Symbol *left = &j->symbols[at];
        if (left->gone || left->after < 0) continue;
        Symbol *right = &j->symbols[left->after];
        const Merge *m = merge_of(j->bpe, left->id, right->id);
        if (m->rank < 0 || m->id != pair.id) continue; // one of the two has changed since
        left->id = pair.id;
        left->after = right->after;
        right->gone = true;
        if (left->after >= 0) j->symbols[left->after].before = at;
        wait_for(j, left->before);
        wait_for(j, at);
    }
}

static void add_symbol(Joiner *j, int32_t id)
{
    int32_t at = (int32_t)j->n++;
    if (at) j->symbols[at - 1].after = at;
    j->symbols[at] = (Symbol){id, at - 1, -1, false};
}

// The id of a character with what words have around theirs; -1: none.
static int32_t letter_id(const Model *m, const char *c, size_t n, bool first, bool last)
{
    if (m->bpe->plain) {
        size_t at = 0;
        int32_t code = char_next(c, &at);
        return code < DIRECT ? m->bpe->direct[code] : vocab_find(&m->vocab, c, n);
    }
    char name[512];
    size_t used = 0;
    if (!first) memcpy(name, m->prefix, used = m->nprefix);
    memcpy(name + used, c, n);
    used += n;
    if (last) memcpy(name + used, m->suffix, m->nsuffix), used += m->nsuffix;
    return vocab_find(&m->vocab, name, used);
}

// The bytes of a character, with what words have around theirs, as tokens of their own; false where
// one is missing.
static bool add_bytes(const Model *m, const char *c, size_t n, bool first, bool last, Joiner *j)
{
    uint8_t bytes[512];
    size_t used = 0;
    if (!first && m->nprefix) memcpy(bytes, m->prefix, used = m->nprefix);
    memcpy(bytes + used, c, n);
    used += n;
    if (last && m->nsuffix) memcpy(bytes + used, m->suffix, m->nsuffix), used += m->nsuffix;
    for (size_t i = 0; i < used; i++)
        if (m->bpe->bytes[bytes[i]] < 0) return false;
    for (size_t i = 0; i < used; i++) add_symbol(j, m->bpe->bytes[bytes[i]]);
    return true;
}

static void add_letters(const Model *m, const char *text, size_t n, Joiner *j)
{
    bool unknown = false; // one waits
    for (size_t at = 0; at < n;) {
        size_t begin = at;
        char_next(text, &at);
        int32_t id = letter_id(m, text + begin, at - begin, !begin, at == n);
        if (id >= 0) {
            if (unknown) add_symbol(j, m->unknown);
            unknown = false;
            add_symbol(j, id);
            continue;
        }
        if (m->byte_fallback && add_bytes(m, text + begin, at - begin, !begin, at == n, j))
            continue;
        if (m->unknown < 0) continue;
        if (unknown && !m->bpe->fuse_unknown) add_symbol(j, m->unknown);
        unknown = true;
    }
    if (unknown) add_symbol(j, m->unknown);
}

static bool bpe_encode(const Model *m, const char *text, size_t n, Ids *to, Error *err)
{
    enum { NEAR = 128 };
    Symbol symbols[NEAR];
    Pair heap[3 * NEAR];
    int32_t whole = m->bpe->whole_first ? vocab_find(&m->vocab, text, n) : -1;
    if (whole >= 0) return ids_add(to, whole) || error_set(err, "out of memory for a caption");
    size_t most = n + m->nprefix * n + m->nsuffix;
    Joiner j = {.bpe = m->bpe, .symbols = symbols, .heap = heap};
    void *room = NULL;
    if (most > NEAR) {
        room = most < INT32_MAX / 4 ? malloc(most * (sizeof *symbols + 3 * sizeof *heap)) : NULL;
        if (!room) return error_set(err, "out of memory for a caption");
        j.heap = room, j.symbols = (Symbol *)(void *)(j.heap + 3 * most);
    }
    add_letters(m, text, n, &j);
    join(&j);
    bool ok = true;
    for (uint32_t i = 0; ok && i < j.n; i++) ok = j.symbols[i].gone || ids_add(to, j.symbols[i].id);
    free(room);
    return ok || error_set(err, "out of memory for a caption");
}

// ---- reading ------------------------------------------------------------------------------------

// The two texts of a merge: "a b", or ["a", "b"].
static bool pair_of(const Jv *merge, Jv *left, Jv *right)
{
    if (merge->kind == JV_LIST && merge->n == 2 && merge->items[0].kind == JV_TEXT &&
        merge->items[1].kind == JV_TEXT) {
        *left = merge->items[0], *right = merge->items[1];
        return true;
    }
    const char *blank = merge->kind == JV_TEXT ? memchr(merge->text, ' ', merge->n) : NULL;
    if (!blank) return false;
    left->text = merge->text, left->n = (uint32_t)(blank - merge->text);
    right->text = blank + 1, right->n = merge->n - left->n - 1;
    return !memchr(right->text, ' ', right->n);
}

static bool add_merge(const TokenReader *r, const Model *m, Bpe *b, const Jv *merge, int32_t rank,
                      Text *both)
{
    Jv left, right;
    if (!pair_of(merge, &left, &right))
        return reader_fail(r, "merges[%d]: \"a b\" or [\"a\", \"b\"] is wanted", rank);
    int32_t ids[2] = {vocab_find(&m->vocab, left.text, left.n),
                      vocab_find(&m->vocab, right.text, right.n)};
    size_t skip = m->nprefix < right.n ? m->nprefix : right.n;
    both->n = 0;
    if (!text_add(both, left.text, left.n) || !text_add(both, right.text + skip, right.n - skip))
        return reader_fail(r, "out of memory");
    int32_t id = vocab_find(&m->vocab, both->at, both->n);
    if (ids[0] < 0 || ids[1] < 0 || id < 0)
        return reader_fail(r, "merges[%d]: '%.40s' is not in the vocabulary", rank,
                           ids[0] < 0   ? str_slice(r->arena, left.text, left.n)
                           : ids[1] < 0 ? str_slice(r->arena, right.text, right.n)
                                        : str_slice(r->arena, both->at, both->n));
    *merge_of(b, ids[0], ids[1]) = (Merge){ids[0], ids[1], rank, id};
    return true;
}

static bool read_merges(const TokenReader *r, const Jv *json, const Model *m, Bpe *b)
{
    enum { MOST_MERGES = 1 << 25 };
    const Jv *merges = jv_get(json, "merges");
    if (!merges || merges->kind != JV_LIST || merges->n > MOST_MERGES)
        return reader_fail(r, "'merges' is a list");
    b->nslots = 16;
    while (b->nslots < 3 * (uint64_t)merges->n / 2) b->nslots *= 2;
    b->merges = arena_array(r->arena, Merge, b->nslots);
    for (uint32_t i = 0; i < b->nslots; i++) b->merges[i].rank = -1;
    Text both = {0};
    bool ok = true;
    for (uint32_t i = 0; ok && i < merges->n; i++)
        ok = add_merge(r, m, b, &merges->items[i], (int32_t)i, &both);
    free(both.at);
    return ok;
}

static bool read_affix(const TokenReader *r, const Jv *json, const char *key, const char **to,
                       size_t *n)
{
    const Jv *text = NULL;
    if (!reader_text(r, json, key, &text)) return false;
    *to = text ? text->text : "";
    *n = text ? text->n : 0;
    return *n < 100 || reader_fail(r, "'%s' is longer than 100 bytes", key);
}

bool bpe_read(const TokenReader *r, const Jv *json, Model *m)
{
    Bpe *b = arena_make(r->arena, Bpe);
    const Jv *unknown = NULL, *dropout = jv_get(json, "dropout");
    if (dropout && !(dropout->kind == JV_NUMBER && dropout->number == 0))
        return reader_fail(r, "'dropout' is not supported");
    if (!model_vocab(r, json, m) ||
        !read_affix(r, json, "continuing_subword_prefix", &m->prefix, &m->nprefix) ||
        !read_affix(r, json, "end_of_word_suffix", &m->suffix, &m->nsuffix) ||
        !reader_text(r, json, "unk_token", &unknown) ||
        !reader_bool(r, json, "fuse_unk", &b->fuse_unknown) ||
        !reader_bool(r, json, "byte_fallback", &m->byte_fallback) ||
        !reader_bool(r, json, "ignore_merges", &b->whole_first) || !read_merges(r, json, m, b))
        return false;
    m->unknown = unknown ? vocab_find(&m->vocab, unknown->text, unknown->n) : -1;
    b->plain = !m->nprefix && !m->nsuffix;
    for (int32_t c = 0; c < DIRECT; c++) {
        char text[4] = {(char)c};
        if (c >= 0x80) text[0] = (char)(0xC0 | c >> 6), text[1] = (char)(0x80 | (c & 0x3F));
        b->direct[c] = vocab_find(&m->vocab, text, c < 0x80 ? 1 : 2);
    }
    for (int i = 0; i < 256; i++) b->bytes[i] = vocab_byte(&m->vocab, (uint8_t)i);
    m->bpe = b;
    m->encode = bpe_encode;
    return true;
}
