// Pre-tokenizers: steps that cut a caption's pieces into smaller ones, some of which rewrite the
// text too. A piece knows whether it begins where the caption does.
#include "runtime/tokens.h"

#include <stdlib.h>

bool flow_push(Flow *f, Piece piece)
{
    if (piece.begin == piece.end) return true;
    if (f->nnext == f->room_next) {
        uint32_t room = f->room_next ? 2 * f->room_next : 64;
        Piece *at = realloc(f->next, room * sizeof *at);
        if (!at) return error_set(f->err, "out of memory for a caption");
        f->next = at, f->room_next = room;
    }
    f->next[f->nnext++] = piece;
    return true;
}

void flow_turn(Flow *f)
{
    Flow old = *f;
    f->pieces = old.next, f->n = old.nnext, f->room = old.room_next;
    f->next = old.pieces, f->nnext = 0, f->room_next = old.room;
}

// ---- cutting ------------------------------------------------------------------------------------

// Stretches of one piece as they come: matches and what is between them.
typedef struct Cutter {
    const SplitStep *step;
    Flow *flow;
    Piece piece;          // that is cut
    bool before, pending; // the stretch before was a match; there is one that may grow
    size_t begin, end;    // that one
} Cutter;

static bool emit(Cutter *c, size_t begin, size_t end)
{
    Piece piece = {c->piece.begin + begin, c->piece.begin + end, -1, c->piece.start && !begin};
    return flow_push(c->flow, piece);
}

static bool finish(Cutter *c)
{
    bool ok = !c->pending || emit(c, c->begin, c->end);
    c->pending = false;
    return ok;
}

// Take in the stretch [begin, end). What may be joined with the next is kept back.
static bool take(Cutter *c, size_t begin, size_t end, bool match)
{
    match ^= c->step->invert;
    bool join = false, before = c->before;
    c->before = match;
    switch (c->step->keep) {
    case KEEP_APART: return emit(c, begin, end);
    case KEEP_REMOVED: return match || emit(c, begin, end);
    case KEEP_TOGETHER: join = match == before; break;
    case KEEP_PREVIOUS: join = match && !before; break;
    case KEEP_NEXT: join = before && !match; break;
    }
    if (join && c->pending) {
        c->end = end;
        return true;
    }
    if (!finish(c)) return false;
    c->pending = true, c->begin = begin, c->end = end;
    return true;
}

static bool cut(const SplitStep *step, Flow *f, Piece piece)
{
    Cutter c = {.step = step, .flow = f, .piece = piece};
    const char *text = f->text.at + piece.begin;
    size_t n = piece.end - piece.begin, done = 0;
    Span m;
    for (size_t at = 0; pattern_next(&step->pattern, text, n, &at, &m, f->err);) {
        if (m.begin > done && !take(&c, done, m.begin, false)) return false;
        if (!take(&c, m.begin, m.end, true)) return false;
        done = m.end;
    }
    return !f->err->set && (done == n || take(&c, done, n, false)) && finish(&c);
}

// ---- rewriting ----------------------------------------------------------------------------------

static bool begins_with(const Text *text, size_t at, const char *with, size_t n)
{
    return text->n - at >= n && memcmp(text->at + at, with, n) == 0;
}

// Blanks become the step's text.
static bool put_spaces(const SplitStep *s, const char *text, size_t n, Text *to)
{
    for (size_t at = 0; at < n;) {
        const char *blank = memchr(text + at, ' ', n - at);
        size_t end = blank ? (size_t)(blank - text) : n;
        if (!text_add(to, text + at, end - at) || (blank && !text_add(to, s->text, s->n)))
            return false;
        at = end + 1;
    }
    return true;
}

// Append the piece, rewritten, to flow->other.
static bool rewrite(const SplitStep *s, Flow *f, Piece piece)
{
    Text *to = &f->other;
    const char *text = f->text.at + piece.begin;
    size_t n = piece.end - piece.begin, begin = to->n;
    bool ok = true, blank_first = s->kind == SPLIT_SPACES && *text == ' ';
    if (piece.token >= 0) {
        ok = text_add(to, text, n);
    } else if (s->kind == SPLIT_BYTES) {
        for (size_t i = 0; ok && i < n; i++) ok = byte_letter((uint8_t)text[i], to);
    } else {
        bool wanted = s->prefix == PREFIX_ALWAYS || (s->prefix == PREFIX_FIRST && piece.start);
        if (wanted && !blank_first && !begins_with(&f->text, piece.begin, s->text, s->n))
            ok = text_add(to, s->text, s->n);
        ok = ok && (s->kind == SPLIT_SPACES ? put_spaces(s, text, n, to) : text_add(to, text, n));
    }
    if (!ok) return error_set(f->err, "out of memory for a caption");
    return flow_push(f, (Piece){begin, to->n, piece.token, piece.start});
}

bool split_run(const SplitSteps *steps, Flow *f)
{
    for (uint32_t i = 0; i < steps->n; i++) {
        const SplitStep *s = &steps->at[i];
        bool cuts = s->kind == SPLIT_PATTERN;
        f->other.n = 0;
        for (uint32_t k = 0; k < f->n; k++) {
            Piece piece = f->pieces[k];
            bool done = !cuts              ? rewrite(s, f, piece)
                        : piece.token >= 0 ? flow_push(f, piece)
                                           : cut(s, f, piece);
            if (!done) return false;
        }
        flow_turn(f);
        if (cuts) continue;
        Text text = f->text;
        f->text = f->other;
        f->other = text;
    }
    return true;
}

// ---- reading ------------------------------------------------------------------------------------

static void add(const TokenReader *r, SplitSteps *to, SplitStep step)
{
    vec_push(r->arena, to, step);
}

static void add_test(const TokenReader *r, SplitSteps *to, CharTest *test, int keep)
{
    SplitStep s = {.kind = SPLIT_PATTERN, .pattern = {.kind = PATTERN_CHAR, .test = test}};
    s.keep = keep;
    add(r, to, s);
}

static bool read_keep(const TokenReader *r, const Jv *part, SplitStep *s)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous"};
    const Jv *name = jv_get(part, "behavior");
    if (!name) return true;
    for (int i = 0; i < 5; i++)
        if (jv_is(name, names[i])) {
            s->keep = i;
            return true;
        }
    return reader_fail(r, "this 'behavior' is not known");
}

static bool read_byte_level(const TokenReader *r, const Jv *part, SplitSteps *to)
{
    static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
                               "\\s+(?!\\S)|\\s+";
    bool prefix = true, regex = true;
    if (!reader_bool(r, part, "add_prefix_space", &prefix) ||
        !reader_bool(r, part, "use_regex", &regex))
        return false;
    if (prefix)
        add(r, to, (SplitStep){.kind = SPLIT_PREFIX, .prefix = PREFIX_ALWAYS, .text = " ", .n = 1});
    if (regex) {
        SplitStep s = {.kind = SPLIT_PATTERN, .keep = KEEP_APART};
        s.pattern.kind = PATTERN_REGEX;
        s.pattern.regex = regex_compile(gpt2, sizeof gpt2 - 1, "ByteLevel", r->err);
        if (!s.pattern.regex) return false;
        vec_push(r->arena, r->regexes, s.pattern.regex);
        add(r, to, s);
    }
    add(r, to, (SplitStep){.kind = SPLIT_BYTES});
    return true;
}

static bool read_metaspace(const TokenReader *r, const Jv *part, SplitSteps *to)
{
    const Jv *replacement = NULL;
    const Jv *scheme = jv_get(part, "prepend_scheme");
    bool split = true, prefix = true;
    if (!reader_text(r, part, "replacement", &replacement) ||
        !reader_bool(r, part, "split", &split) ||
        !reader_bool(r, part, "add_prefix_space", &prefix))
        return false;
    if (scheme && !jv_is(scheme, "always") && !jv_is(scheme, "first") && !jv_is(scheme, "never"))
        return reader_fail(r, "'prepend_scheme' is always, first or never");
    SplitStep s = {.kind = SPLIT_SPACES, .text = "\xE2\x96\x81", .n = 3};
    if (replacement) s.text = replacement->text, s.n = replacement->n;
    if (!s.n) return reader_fail(r, "an empty 'replacement'");
    s.prefix = !scheme                   ? (prefix ? PREFIX_ALWAYS : PREFIX_NEVER)
               : jv_is(scheme, "always") ? PREFIX_ALWAYS
               : jv_is(scheme, "first")  ? PREFIX_FIRST
                                         : PREFIX_NEVER;
    add(r, to, s);
    SplitStep apart = {.kind = SPLIT_PATTERN, .keep = KEEP_NEXT};
    apart.pattern = (Pattern){.kind = PATTERN_TEXT, .text = s.text, .n = s.n};
    if (split) add(r, to, apart);
    return true;
}

static bool read_split(const TokenReader *r, const Jv *part, SplitSteps *to)
{
    SplitStep s = {.kind = SPLIT_PATTERN};
    if (!reader_pattern(r, part, &s.pattern) || !reader_bool(r, part, "invert", &s.invert) ||
        !read_keep(r, part, &s))
        return false;
    add(r, to, s);
    return true;
}

static bool read_tests(const TokenReader *r, const Jv *part, const Jv *type, SplitSteps *to)
{
    SplitStep s = {.keep = KEEP_APART};
    bool single = false;
    if (jv_is(type, "WhitespaceSplit")) {
        add_test(r, to, char_is_space, KEEP_REMOVED);
    } else if (jv_is(type, "BertPreTokenizer")) {
        add_test(r, to, char_is_space, KEEP_REMOVED);
        add_test(r, to, char_is_punctuation, KEEP_APART);
    } else if (jv_is(type, "Punctuation")) {
        if (!read_keep(r, part, &s)) return false;
        add_test(r, to, char_is_punctuation, s.keep);
    } else if (jv_is(type, "Digits")) {
        if (!reader_bool(r, part, "individual_digits", &single)) return false;
        add_test(r, to, char_is_number, single ? KEEP_APART : KEEP_TOGETHER);
    } else {
        return reader_fail(r, "the pre-tokenizer '%.40s' is not supported",
                           str_slice(r->arena, type->text, type->n));
    }
    return true;
}

bool split_read(const TokenReader *r, const Jv *part, const Jv *type, void *steps)
{
    SplitSteps *to = steps;
    if (jv_is(type, "ByteLevel")) return read_byte_level(r, part, to);
    if (jv_is(type, "Metaspace")) return read_metaspace(r, part, to);
    if (jv_is(type, "Split")) return read_split(r, part, to);
    if (jv_is(type, "Whitespace")) {
        SplitStep words = {.kind = SPLIT_PATTERN, .keep = KEEP_REMOVED, .invert = true};
        words.pattern.kind = PATTERN_WORDS;
        add(r, to, words);
        return true;
    }
    if (jv_is(type, "CharDelimiterSplit")) {
        const Jv *text = NULL;
        if (!reader_text(r, part, "delimiter", &text)) return false;
        if (!text || !text->n) return reader_fail(r, "'delimiter' is missing");
        SplitStep s = {.kind = SPLIT_PATTERN, .keep = KEEP_REMOVED};
        s.pattern = (Pattern){.kind = PATTERN_TEXT, .text = text->text, .n = text->n};
        add(r, to, s);
        return true;
    }
    return read_tests(r, part, type, to);
}
