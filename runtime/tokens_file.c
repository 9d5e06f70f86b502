// A tokenizer.json: read, and run on captions as `tokenizers` runs it with truncation and padding
// to a length: added tokens are cut out, the rest normalized, cut into pieces, and given to the
// model; then come the tokens that stand around every text.
#include "runtime/tokens.h"

#include <stdlib.h>

typedef VEC(int32_t) IdList;

// Tokens around a text: of the inner processors first.
typedef struct Around {
    IdList before, after; // `before` backwards
    const AddedTokens *added;
    const Vocab *vocab;
} Around;

struct TokenFile {
    Arena *arena;
    const char *name;
    NormalSteps normal;
    SplitSteps split;
    Model model;
    AddedTokens added;
    Around around;
    int32_t pad;       // -1: none
    bool byte_letters; // tokens are written in letters for bytes
    Regexes regexes;
};

// ---- post-processors ----------------------------------------------------------------------------

// ["[SEP]", 102]
static bool read_pair(const TokenReader *r, const Jv *part, const char *key, IdList *to)
{
    const Jv *pair = jv_get(part, key);
    if (!pair || pair->kind != JV_LIST || pair->n != 2 || pair->items[1].kind != JV_NUMBER ||
        !(pair->items[1].number >= 0 && pair->items[1].number < INT32_MAX))
        return reader_fail(r, "'%s' is [\"token\", id]", key);
    vec_push(r->arena, to, (int32_t)pair->items[1].number);
    return true;
}

// The ids of a special token of a template.
static bool template_ids(const TokenReader *r, const Jv *part, const Jv *token, IdList *to)
{
    const Jv *name = jv_get(token, "id");
    if (!name || name->kind != JV_TEXT) return reader_fail(r, "'id' of a special token is a text");
    const char *text = str_slice(r->arena, name->text, name->n);
    const Jv *ids = jv_get(jv_get(jv_get(part, "special_tokens"), text), "ids");
    if (!ids || ids->kind != JV_LIST)
        return reader_fail(r, "'special_tokens' has no '%.40s'", text);
    for (uint32_t i = 0; i < ids->n; i++) {
        double id = ids->items[i].kind == JV_NUMBER ? ids->items[i].number : -1;
        if (!(id >= 0 && id < INT32_MAX)) return reader_fail(r, "a wrong id of '%.40s'", text);
        vec_push(r->arena, to, (int32_t)id);
    }
    return true;
}

static bool read_template(const TokenReader *r, const Jv *part, Around *to)
{
    const Jv *single = jv_get(part, "single");
    IdList before = {0}, after = {0};
    bool seen = false;
    if (!single || single->kind != JV_LIST) return reader_fail(r, "'single' is a list");
    for (uint32_t i = 0; i < single->n; i++) {
        const Jv *token = jv_get(&single->items[i], "SpecialToken"),
                 *text = jv_get(&single->items[i], "Sequence");
        if (text && (seen || !jv_is(jv_get(text, "id"), "A")))
            return reader_fail(r, "'single' has one Sequence, A");
        if (!text && !token) return reader_fail(r, "single[%u] is not supported", i);
        if (token && !template_ids(r, part, token, seen ? &after : &before)) return false;
        seen |= text != NULL;
    }
    if (!seen) return reader_fail(r, "'single' has no Sequence");
    for (uint32_t i = before.n; i-- > 0;) vec_push(r->arena, &to->before, before.at[i]);
    for (uint32_t i = 0; i < after.n; i++) vec_push(r->arena, &to->after, after.at[i]);
    return true;
}

static bool around_read(const TokenReader *r, const Jv *part, const Jv *type, void *to)
{
    Around *around = to;
    if (jv_is(type, "TemplateProcessing")) return read_template(r, part, around);
    if (jv_is(type, "ByteLevel")) return true;
    if (jv_is(type, "BertProcessing") || jv_is(type, "RobertaProcessing"))
        return read_pair(r, part, "cls", &around->before) &&
               read_pair(r, part, "sep", &around->after);
    return reader_fail(r, "the post-processor '%.40s' is not supported",
                       str_slice(r->arena, type->text, type->n));
}

// ---- opening ------------------------------------------------------------------------------------

static bool read_model(const TokenReader *r, const Jv *json, Model *m)
{
    static const struct {
        const char *name, *key; // that only it has, where older files do not say the type
        ModelRead *read;
    } rows[] = {{"BPE", "merges", bpe_read},
                {"Unigram", "unk_id", unigram_read},
                {"WordPiece", "continuing_subword_prefix", wordpiece_read},
                {"WordLevel", "unk_token", wordlevel_read}};
    const Jv *type = jv_get(json, "type");
    *m = (Model){.unknown = -1, .prefix = "", .suffix = ""};
    if (!json || json->kind != JV_MAP) return reader_fail(r, "is missing");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (type ? jv_is(type, rows[i].name) : jv_get(json, rows[i].key) != NULL) {
            m->type = rows[i].name;
            return rows[i].read(r, json, m);
        }
    const char *name =
        type && type->kind == JV_TEXT ? str_slice(r->arena, type->text, type->n) : "?";
    return reader_fail(r,
                       "the model '%.40s' is not supported (BPE, Unigram, WordPiece and WordLevel "
                       "are)",
                       name);
}

static bool read_pad(const TokenReader *r, const Jv *json, TokenFile *t)
{
    static const char *const usual[] = {"<pad>", "[PAD]", "<|pad|>", "<|padding|>"};
    const Jv *padding = jv_get(json, "padding");
    int64_t pad = -1;
    if (!reader_int(r, padding, "pad_id", INT32_MAX - 1, &pad)) return false;
    for (size_t i = 0; pad < 0 && i < sizeof usual / sizeof *usual; i++)
        pad = added_find(&t->added, &t->model.vocab, usual[i], strlen(usual[i]));
    t->pad = (int32_t)pad;
    return true;
}

static bool has_byte_letters(const TokenFile *t)
{
    bool yes = false;
    for (uint32_t i = 0; i < t->split.n; i++) yes |= t->split.at[i].kind == SPLIT_BYTES;
    for (uint32_t i = 0; i < t->normal.n; i++) yes |= t->normal.at[i].kind == NORMAL_BYTES;
    return yes;
}

static bool check_ids(const TokenReader *r, const TokenFile *t)
{
    const IdList *lists[] = {&t->around.before, &t->around.after};
    for (int l = 0; l < 2; l++)
        for (uint32_t i = 0; i < lists[l]->n; i++)
            if (lists[l]->at[i] >= t->added.size)
                return reader_fail(r, "the id %d is beyond the vocabulary of %d", lists[l]->at[i],
                                   t->added.size);
    return t->pad < t->added.size ||
           reader_fail(r, "the padding's id %d is beyond the vocabulary of %d", t->pad,
                       t->added.size);
}

static bool read_file(TokenFile *t, const Jv *json, Error *err)
{
    TokenReader top = {t->arena, &t->regexes, t->name, "", err};
    TokenReader normal = reader_at(&top, "normalizer"), split = reader_at(&top, "pre_tokenizer"),
                model = reader_at(&top, "model"), added = reader_at(&top, "added_tokens"),
                post = reader_at(&top, "post_processor"), padding = reader_at(&top, "padding");
    t->around.added = &t->added, t->around.vocab = &t->model.vocab;
    return reader_parts(&normal, jv_get(json, "normalizer"), "normalizers", normal_read,
                        &t->normal) &&
           reader_parts(&split, jv_get(json, "pre_tokenizer"), "pretokenizers", split_read,
                        &t->split) &&
           read_model(&model, jv_get(json, "model"), &t->model) &&
           added_read(&added, jv_get(json, "added_tokens"), &t->model.vocab, &t->normal,
                      &t->added) &&
           reader_parts(&post, jv_get(json, "post_processor"), "processors", around_read,
                        &t->around) &&
           read_pad(&padding, json, t) && check_ids(&post, t);
}

TokenFile *token_file_open(const char *text, size_t n, const char *name, Error *err)
{
    Arena *arena = arena_new(), *scratch = arena_new();
    TokenFile *t = arena_make(arena, TokenFile);
    t->arena = arena;
    t->name = str_copy(arena, name);
    size_t bad = text_valid(text, n);
    bool ok = bad == n || error_set(err, "%s: invalid UTF-8 at byte %zu of %zu", name, bad, n);
    const Jv *json = ok ? jv_parse(scratch, text, n, name, err) : NULL;
    ok = json && read_file(t, json, err);
    t->byte_letters = ok && has_byte_letters(t);
    arena_free(scratch);
    if (ok) return t;
    token_file_close(t);
    return NULL;
}

void token_file_close(TokenFile *t)
{
    if (!t) return;
    for (uint32_t i = 0; i < t->regexes.n; i++) regex_free(t->regexes.at[i]);
    arena_free(t->arena);
}

int32_t token_file_size(const TokenFile *t)
{
    return t->added.size;
}

int32_t token_file_pad(const TokenFile *t, const char *text)
{
    return text ? added_find(&t->added, &t->model.vocab, text, strlen(text)) : t->pad;
}

int64_t token_file_around(const TokenFile *t)
{
    return t->around.before.n + t->around.after.n;
}

int32_t token_file_end(const TokenFile *t)
{
    return t->around.after.n ? t->around.after.at[t->around.after.n - 1] : -1;
}

// ---- encoding -----------------------------------------------------------------------------------

// Cut out the tokens that are looked for in the raw text, normalize the rest piece by piece, and
// cut out those that are looked for in that.
static bool cut_added(const TokenFile *t, const char *text, size_t n, Flow *f)
{
    Text one = {0}, other = {0};
    bool ok = added_split(&t->added, false, text, (Piece){0, n, -1, true}, f);
    flow_turn(f);
    for (uint32_t i = 0; ok && i < f->n; i++) {
        Piece p = f->pieces[i];
        size_t begin = f->text.n;
        one.n = 0;
        ok = text_add(&one, text + p.begin, p.end - p.begin) || error_set(f->err, "out of memory");
        ok = ok && (p.token >= 0 || normal_run(&t->normal, &one, &other, &p.start, f->err));
        ok = ok && (text_add(&f->text, one.at, one.n) || error_set(f->err, "out of memory"));
        p = (Piece){begin, f->text.n, p.token, p.start};
        ok =
            ok && (p.token >= 0 ? flow_push(f, p) : added_split(&t->added, true, f->text.at, p, f));
    }
    flow_turn(f);
    free(one.at);
    free(other.at);
    return ok;
}

static bool model_run(const TokenFile *t, const Flow *f, size_t enough, Ids *ids)
{
    for (uint32_t i = 0; i < f->n && ids->n < enough; i++) {
        Piece p = f->pieces[i];
        if (p.token >= 0
                ? !ids_add(ids, p.token)
                : !t->model.encode(&t->model, f->text.at + p.begin, p.end - p.begin, ids, f->err))
            return error_set(f->err, "out of memory for a caption");
    }
    return true;
}

static void put(const TokenFile *t, const Ids *ids, int32_t *out, int64_t length, int32_t pad)
{
    const IdList *before = &t->around.before, *after = &t->around.after;
    int64_t room = length - token_file_around(t),
            n = (int64_t)ids->n < room ? (int64_t)ids->n : room;
    for (uint32_t i = before->n; i-- > 0;) *out++ = before->at[i];
    if (n) memcpy(out, ids->at, (size_t)n * sizeof *out);
    out += n;
    for (uint32_t i = 0; i < after->n; i++) *out++ = after->at[i];
    for (int64_t i = n; i < room; i++) *out++ = pad;
}

bool token_file_encode(const TokenFile *t, const char *text, size_t n, int32_t *out, int64_t length,
                       int32_t pad, Error *err)
{
    Flow f = {.err = err};
    Ids ids = {0};
    size_t bad = text_valid(text, n);
    if (bad < n) return error_set(err, "invalid UTF-8 at byte %zu of %zu", bad, n);
    if (length < token_file_around(t))
        return error_set(err, "a length of %lld has no room for the %lld tokens around a text",
                         (long long)length, (long long)token_file_around(t));
    bool ok = cut_added(t, text, n, &f) && split_run(&t->split, &f) &&
              model_run(t, &f, (size_t)length, &ids);
    if (ok) put(t, &ids, out, length, pad);
    free(ids.at);
    free(f.text.at);
    free(f.other.at);
    free(f.pieces);
    free(f.next);
    return ok;
}

// ---- decoding, for people -----------------------------------------------------------------------

// The text of a token of the vocabulary: its bytes, with blanks for the signs that stand for them.
static bool decode_one(const TokenFile *t, const char *text, size_t n, Text *to)
{
    unsigned byte;
    bool ok = true;
    if (n == 6 && memcmp(text, "<0x", 3) == 0 && sscanf(text + 3, "%2x", &byte) == 1)
        return text_add(to, (const char *)&(char){(char)byte}, 1);
    if (t->model.nprefix && n > t->model.nprefix &&
        memcmp(text, t->model.prefix, t->model.nprefix) == 0)
        return text_add(to, text + t->model.nprefix, n - t->model.nprefix);
    if (strcmp(t->model.type, "BPE") != 0 && strcmp(t->model.type, "Unigram") != 0 && to->n)
        ok = text_add(to, " ", 1);
    for (size_t at = 0; ok && at < n;) {
        size_t begin = at;
        int32_t c = char_next(text, &at);
        int byte_ = t->byte_letters ? byte_of_letter(c) : -1;
        if (byte_ >= 0)
            ok = text_add(to, (const char *)&(char){(char)byte_}, 1);
        else if (c == 0x2581)
            ok = text_add(to, " ", 1);
        else
            ok = text_add(to, text + begin, at - begin);
    }
    return ok;
}

static const Added *added_of(const TokenFile *t, int32_t id)
{
    for (uint32_t i = 0; i < t->added.all.n; i++)
        if (t->added.all.at[i].id == id) return &t->added.all.at[i];
    return NULL;
}

char *token_file_decode(const TokenFile *t, const int32_t *tokens, int64_t n)
{
    Text to = {0};
    bool ok = true;
    for (int64_t i = 0; ok && i < n; i++) {
        const Added *added = added_of(t, tokens[i]);
        bool known = tokens[i] >= 0 && tokens[i] < t->model.vocab.size;
        const Word *w = known ? t->model.vocab.of_id[tokens[i]] : NULL;
        if (added && !added->special)
            ok = text_add(&to, added->text, added->n);
        else if (!added && w)
            ok = decode_one(t, w->text, w->n, &to);
    }
    ok = ok && text_add(&to, "", 1);
    size_t blank = ok && to.at[0] == ' ';
    if (blank) memmove(to.at, to.at + 1, to.n - 1);
    if (!ok) free(to.at);
    return ok ? to.at : NULL;
}
