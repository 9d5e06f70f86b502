// WordPiece (Schuster and Nakajima 2012, as BERT reads it: the longest text first, from the left)
// and models that know whole words alone.
#include "runtime/tokens.h"

#include <stdlib.h>

// The longest text of the vocabulary that begins text[begin]; *end is where it ends, the id or -1.
static int32_t longest(const Model *m, const char *text, size_t begin, size_t n, size_t *end)
{
    char name[1024];
    size_t prefix = begin ? m->nprefix : 0;
    *end = n;
    while (*end > begin && *end - begin + prefix > sizeof name) // not inside a character
        do --*end;
        while (*end > begin && (text[*end] & 0xC0) == 0x80);
    if (prefix) memcpy(name, m->prefix, prefix);
    memcpy(name + prefix, text + begin, *end - begin);
    while (*end > begin) {
        int32_t id = vocab_find(&m->vocab, name, prefix + *end - begin);
        if (id >= 0) return id;
        do --*end;
        while (*end > begin && (text[*end] & 0xC0) == 0x80);
    }
    return -1;
}

static bool wordpiece_encode(const Model *m, const char *text, size_t n, Ids *to, Error *err)
{
    size_t chars = 0, before = to->n, end;
    for (size_t i = 0; i < n; i++) chars += (text[i] & 0xC0) != 0x80;
    bool ok = true, known = chars <= m->longest;
    for (size_t begin = 0; ok && known && begin < n; begin = end) {
        int32_t id = longest(m, text, begin, n, &end);
        known = id >= 0;
        ok = !known || ids_add(to, id);
    }
    if (!known) {
        to->n = before;
        ok = ids_add(to, m->unknown);
    }
    return ok || error_set(err, "out of memory for a caption");
}

static bool wordlevel_encode(const Model *m, const char *text, size_t n, Ids *to, Error *err)
{
    int32_t id = vocab_find(&m->vocab, text, n);
    if (id < 0) id = m->unknown;
    return ids_add(to, id) || error_set(err, "out of memory for a caption");
}

static bool read_unknown(const TokenReader *r, const Jv *json, Model *m, const char *usual)
{
    const Jv *unknown = NULL;
    if (!model_vocab(r, json, m) || !reader_text(r, json, "unk_token", &unknown)) return false;
    m->unknown = unknown ? vocab_find(&m->vocab, unknown->text, unknown->n)
                         : vocab_find(&m->vocab, usual, strlen(usual));
    return m->unknown >= 0 || reader_fail(r, "'unk_token' is not in the vocabulary");
}

bool wordpiece_read(const TokenReader *r, const Jv *json, Model *m)
{
    const Jv *prefix = NULL;
    int64_t most = 100;
    if (!read_unknown(r, json, m, "[UNK]") ||
        !reader_text(r, json, "continuing_subword_prefix", &prefix) ||
        !reader_int(r, json, "max_input_chars_per_word", INT32_MAX, &most))
        return false;
    m->prefix = prefix ? prefix->text : "##";
    m->nprefix = prefix ? prefix->n : 2;
    m->longest = (size_t)most;
    m->encode = wordpiece_encode;
    return m->nprefix < 100 ||
           reader_fail(r, "'continuing_subword_prefix' is longer than 100 bytes");
}

bool wordlevel_read(const TokenReader *r, const Jv *json, Model *m)
{
    m->encode = wordlevel_encode;
    return read_unknown(r, json, m, "<unk>");
}
