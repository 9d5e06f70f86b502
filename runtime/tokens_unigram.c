// The unigram model (Kudo 2018): the cut of a piece into texts of the vocabulary whose scores have
// the largest sum (Viterbi), in double precision and in the order of `tokenizers`.
#include "runtime/tokens.h"

#include <stdlib.h>

// A trie of bytes: the edges of all nodes in one hash table.
typedef struct Edge {
    uint32_t node, to; // to 0: free
    int32_t id;        // of the text that ends here, or -1
    uint8_t byte;
} Edge;

typedef struct Unigram {
    Edge *edges;
    uint32_t nslots, nodes;
    const double *scores;
    double unknown_score;
} Unigram;

static Edge *edge(const Unigram *u, uint32_t node, uint8_t byte)
{
    uint64_t h = ((uint64_t)node << 8 | byte) * 0x9E3779B97F4A7C15;
    uint32_t i = (uint32_t)(h >> 32) & (u->nslots - 1);
    while (u->edges[i].to && (u->edges[i].node != node || u->edges[i].byte != byte))
        i = (i + 1) & (u->nslots - 1);
    return &u->edges[i];
}

static void add_text(Unigram *u, const char *text, uint32_t n, int32_t id)
{
    uint32_t node = 0;
    for (uint32_t i = 0; i < n; i++) {
        Edge *e = edge(u, node, (uint8_t)text[i]);
        if (!e->to) *e = (Edge){node, ++u->nodes, -1, (uint8_t)text[i]};
        if (i + 1 == n) e->id = id;
        node = e->to;
    }
}

// ---- encoding -----------------------------------------------------------------------------------

// The best cut of the text up to here: what its last part is, and where it begins.
typedef struct Node {
    double score;
    int32_t id;
    uint32_t begin;
    bool reached;
} Node;

static void offer(Node *node, double score, int32_t id, size_t begin)
{
    if (node->reached && !(score > node->score)) return;
    *node = (Node){score, id, (uint32_t)begin, true};
}

static bool search(const Model *m, const char *text, size_t n, Node *nodes, Error *err)
{
    const Unigram *u = m->unigram;
    for (size_t begin = 0, next; begin < n; begin = next) {
        next = begin;
        char_next(text, &next);
        double here = nodes[begin].score;
        bool single = false;
        uint32_t node = 0;
        for (size_t i = begin; i < n; i++) {
            const Edge *e = edge(u, node, (uint8_t)text[i]);
            if (!e->to) break;
            node = e->to;
            if (e->id < 0) continue;
            offer(&nodes[i + 1], u->scores[e->id] + here, e->id, begin);
            single |= i + 1 == next;
        }
        if (single) continue;
        if (m->unknown < 0)
            return error_set(err, "a character is not in the vocabulary, which has no 'unk_id'");
        offer(&nodes[next], u->unknown_score + here, m->unknown, begin);
    }
    return true;
}

// The tokens of a part: its own, its bytes', or the unknown one.
static bool add_part(const Model *m, const char *text, size_t n, Ids *to)
{
    int32_t id = vocab_find(&m->vocab, text, n);
    bool bytes = id < 0 && m->byte_fallback, ok = true;
    for (size_t i = 0; bytes && i < n; i++) bytes = vocab_byte(&m->vocab, (uint8_t)text[i]) >= 0;
    if (!bytes) return ids_add(to, id < 0 ? m->unknown : id);
    for (size_t i = 0; ok && i < n; i++) ok = ids_add(to, vocab_byte(&m->vocab, (uint8_t)text[i]));
    return ok;
}

// The parts from the end to the beginning, linked the other way round by `begin`; unknown
// neighbours are one.
static bool add_parts(const Model *m, const char *text, size_t n, Node *nodes, Ids *to)
{
    uint32_t after = (uint32_t)n;
    for (uint32_t end = (uint32_t)n, begin; end > 0; end = begin) {
        begin = nodes[end].begin;
        nodes[end].begin = after; // where the part behind this one ends
        after = end;
    }
    bool ok = true, last = false;
    uint32_t begin = 0;
    for (uint32_t end = after; ok && !last; end = nodes[end].begin) {
        last = end == n;
        bool unknown = nodes[end].id == m->unknown;
        if (unknown && !last && nodes[nodes[end].begin].id == m->unknown) continue;
        ok = add_part(m, text + begin, end - begin, to);
        begin = end;
    }
    return ok;
}

static bool unigram_encode(const Model *m, const char *text, size_t n, Ids *to, Error *err)
{
    enum { NEAR = 256 };
    Node nearby[NEAR + 1], *nodes = nearby;
    if (n > NEAR && !(nodes = n < UINT32_MAX ? malloc((n + 1) * sizeof *nodes) : NULL))
        return error_set(err, "out of memory for a caption");
    memset(nodes, 0, (n + 1) * sizeof *nodes);
    bool ok = search(m, text, n, nodes, err) &&
              (add_parts(m, text, n, nodes, to) || error_set(err, "out of memory for a caption"));
    if (nodes != nearby) free(nodes);
    return ok;
}

// ---- reading ------------------------------------------------------------------------------------

static bool read_pieces(const TokenReader *r, const Jv *vocab, Model *m, Unigram *u)
{
    double *scores = arena_array(r->arena, double, vocab->n);
    uint64_t bytes = 0;
    double least = 0;
    for (uint32_t i = 0; i < vocab->n; i++) {
        const Jv *piece = &vocab->items[i];
        if (piece->kind != JV_LIST || piece->n != 2 || piece->items[0].kind != JV_TEXT ||
            piece->items[1].kind != JV_NUMBER)
            return reader_fail(r, "vocab[%u]: [\"text\", score] is wanted", i);
        scores[i] = piece->items[1].number;
        if (!i || scores[i] < least) least = scores[i];
        bytes += piece->items[0].n;
    }
    if (bytes > UINT32_MAX / 4) return reader_fail(r, "'vocab' is too large");
    u->scores = scores;
    u->unknown_score = least - 10;
    for (u->nslots = 16; u->nslots < 3 * bytes / 2 + 1;) u->nslots *= 2;
    u->edges = arena_array(r->arena, Edge, u->nslots);
    vocab_reserve(r->arena, &m->vocab, vocab->n);
    for (uint32_t i = 0; i < vocab->n; i++) {
        const Jv *text = &vocab->items[i].items[0];
        vocab_add(r->arena, &m->vocab, text->text, text->n, (int32_t)i, true);
        add_text(u, text->text, text->n, (int32_t)i);
    }
    vocab_index(r->arena, &m->vocab);
    return true;
}

bool unigram_read(const TokenReader *r, const Jv *json, Model *m)
{
    enum { MOST = 1 << 24 };
    Unigram *u = arena_make(r->arena, Unigram);
    const Jv *vocab = jv_get(json, "vocab");
    int64_t unknown = -1;
    if (!vocab || vocab->kind != JV_LIST || !vocab->n || vocab->n > MOST)
        return reader_fail(r, "'vocab' is a list of [\"text\", score]");
    if (!reader_int(r, json, "unk_id", vocab->n - 1, &unknown) ||
        !reader_bool(r, json, "byte_fallback", &m->byte_fallback) || !read_pieces(r, vocab, m, u))
        return false;
    m->unknown = (int32_t)unknown;
    m->unigram = u;
    m->encode = unigram_encode;
    return true;
}
