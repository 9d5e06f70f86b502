// Added tokens: texts that are found whole in a caption, before everything else. Of those that
// begin at a place the longest counts, and the first place counts first.
#include "runtime/tokens.h"

#include <stdlib.h>

// ---- finding ------------------------------------------------------------------------------------

static const Added *longest_at(const AddedTokens *a, bool normalized, const char *text, size_t n)
{
    uint8_t first = (uint8_t)*text;
    for (uint32_t i = 0; i < a->nrows[normalized][first]; i++) {
        const Added *t = &a->all.at[a->rows[normalized][first][i]];
        if (t->npattern <= n && memcmp(t->pattern, text, t->npattern) == 0) return t;
    }
    return NULL;
}

// Where the character before `at` begins.
static size_t char_before(const char *text, size_t at)
{
    do at--;
    while (at && (text[at] & 0xC0) == 0x80);
    return at;
}

static bool stands_alone(const char *text, size_t n, size_t begin, size_t end)
{
    size_t before = begin ? char_before(text, begin) : 0, after = end;
    return (!begin || !char_is_word(char_next(text, &before))) &&
           (end == n || !char_is_word(char_next(text, &after)));
}

static void widen(const Added *t, const char *text, size_t n, size_t done, Span *m)
{
    size_t at;
    while (t->left && m->begin > done) {
        at = char_before(text, m->begin);
        size_t begin = at;
        if (!char_is_space(char_next(text, &at))) break;
        m->begin = begin;
    }
    if (t->left && m->begin < done) m->begin = done;
    for (at = m->end; t->right && at < n && char_is_space(char_next(text, &at));) m->end = at;
}

bool added_split(const AddedTokens *a, bool normalized, const char *text, Piece piece, Flow *to)
{
    text += piece.begin;
    size_t n = piece.end - piece.begin, done = 0;
    for (size_t at = 0; at < n;) {
        const Added *t = longest_at(a, normalized, text + at, n - at);
        Span m = {at, at + (t ? t->npattern : 0)};
        at += t ? t->npattern : 1;
        if (!t || (t->single_word && !stands_alone(text, n, m.begin, m.end))) continue;
        widen(t, text, n, done, &m);
        if (m.end <= m.begin) continue; // what another one took with its blanks may be one again
        if (m.begin > done && !flow_push(to, (Piece){piece.begin + done, piece.begin + m.begin, -1,
                                                     piece.start && !done}))
            return false;
        if (!flow_push(to, (Piece){piece.begin + m.begin, piece.begin + m.end, t->id, false}))
            return false;
        done = m.end;
    }
    return flow_push(to, (Piece){piece.begin + done, piece.end, -1, piece.start && !done});
}

int32_t added_find(const AddedTokens *a, const Vocab *vocab, const char *text, size_t n)
{
    for (uint32_t i = 0; i < a->all.n; i++)
        if (a->all.at[i].n == n && memcmp(a->all.at[i].text, text, n) == 0) return a->all.at[i].id;
    return vocab_find(vocab, text, n);
}

// ---- reading ------------------------------------------------------------------------------------

static bool read_one(const TokenReader *r, const Jv *json, Added *t)
{
    const Jv *content = NULL;
    if (json->kind != JV_MAP) return reader_fail(r, "an object is wanted");
    if (!reader_text(r, json, "content", &content) ||
        !reader_bool(r, json, "single_word", &t->single_word) ||
        !reader_bool(r, json, "lstrip", &t->left) || !reader_bool(r, json, "rstrip", &t->right) ||
        !reader_bool(r, json, "normalized", &t->normalized) ||
        !reader_bool(r, json, "special", &t->special))
        return false;
    if (!content) return reader_fail(r, "'content' is missing");
    t->text = t->pattern = content->text;
    t->n = t->npattern = content->n;
    return true;
}

// What a normalized token is looked for as.
static bool normalize(const TokenReader *r, const NormalSteps *normal, Added *t)
{
    Text text = {0}, other = {0};
    bool start = true;
    bool ok =
        (text_add(&text, t->text, t->n) && normal_run(normal, &text, &other, &start, r->err)) ||
        reader_fail(r, "out of memory");
    if (ok) t->pattern = str_slice(r->arena, text.at, text.n), t->npattern = text.n;
    free(text.at);
    free(other.at);
    return ok;
}

// The rows of one first byte, longest first; among equals the order of the file.
static void sort_rows(const AddedTokens *a, uint32_t *rows, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t k = i; k && a->all.at[rows[k - 1]].npattern < a->all.at[rows[k]].npattern;
             k--) {
            uint32_t row = rows[k];
            rows[k] = rows[k - 1], rows[k - 1] = row;
        }
}

static void index_rows(Arena *arena, AddedTokens *a)
{
    uint32_t *rows[2][256] = {0};
    for (uint32_t i = 0; i < a->all.n; i++)
        if (a->all.at[i].npattern)
            a->nrows[a->all.at[i].normalized][(uint8_t)*a->all.at[i].pattern]++;
    for (int s = 0; s < 2; s++)
        for (int b = 0; b < 256; b++) {
            rows[s][b] = arena_array(arena, uint32_t, a->nrows[s][b] + 1);
            a->rows[s][b] = rows[s][b];
            a->nrows[s][b] = 0;
        }
    for (uint32_t i = 0; i < a->all.n; i++) {
        const Added *t = &a->all.at[i];
        uint8_t first = t->npattern ? (uint8_t)*t->pattern : 0;
        if (t->npattern) rows[t->normalized][first][a->nrows[t->normalized][first]++] = i;
    }
    for (int s = 0; s < 2; s++)
        for (int b = 0; b < 256; b++) sort_rows(a, rows[s][b], a->nrows[s][b]);
}

// Ids as `tokenizers` gives them: the vocabulary's, else the next after all so far, in the order of
// the file, whatever id the file says.
bool added_read(const TokenReader *r, const Jv *list, const Vocab *vocab, const NormalSteps *normal,
                AddedTokens *to)
{
    enum { MOST = 1 << 16 };
    int32_t next = (int32_t)vocab->n;
    to->size = vocab->size;
    if (list && (list->kind != JV_LIST || list->n > MOST))
        return reader_fail(r, "a list is wanted");
    for (uint32_t i = 0; list && i < list->n; i++) {
        TokenReader in = reader_item(r, "", i);
        in.place = str_printf(r->arena, "%s[%u]", r->place, i);
        Added t = {0};
        if (!read_one(&in, &list->items[i], &t)) return false;
        if (!t.n) continue;
        bool again = false;
        for (uint32_t k = 0; k < to->all.n && !again; k++)
            again = to->all.at[k].n == t.n && memcmp(to->all.at[k].text, t.text, t.n) == 0;
        if (again) continue;
        t.id = vocab_find(vocab, t.text, t.n);
        if (t.id < 0) t.id = next;
        if (t.id >= next) next = t.id + 1;
        if (t.id >= to->size) to->size = t.id + 1;
        if (t.normalized && !normalize(&in, normal, &t)) return false;
        vec_push(r->arena, &to->all, t);
    }
    index_rows(r->arena, to);
    return true;
}
