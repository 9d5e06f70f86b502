// What to write instead: helps of the last error, with the mends that write it. A mend that is a
// guess comes with a second one, or with its reason. Nothing is said where the place is not one of
// the user's that is wholly such a value: an error may have been moved to a line which is wrong in
// another way.
#include "frontend/mend.h"

#include "frontend/advice.h"
#include "frontend/guess.h"
#include "frontend/rewrite.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

enum { MOST_WORDS = 8 }; // that are all offered

// A row of shapes: what else the file says suits the shapes before it.
static bool is_of_row(const Elab *el, Loc at)
{
    if (!el->shape) return true;
    const Tree *row = el->shape->row;
    for (uint32_t i = 0; i < row->entries.n; i++) {
        const Loc value = row->entries.at[i].value->loc;
        if (at.source == value.source && at.begin >= value.begin && at.end <= value.end)
            return true;
    }
    return false;
}

// The place of the last error, where it is the user's.
static bool error_place(const Elab *el, Loc *at, const char **text)
{
    if (!diag_last(el->diag, at) || !is_users(el, *at) || !is_of_row(el, *at)) return false;
    *text = text_at(el, *at); // of a text in lines of its own there is but the head
    return **text;
}

// Does the place lie inside of quotes that were opened on its line?
static bool in_quotes(const Elab *el, Loc at)
{
    const char *s = diag_source_text(el->diag, at.source, NULL);
    char quote = 0;
    for (uint32_t i = line_begin(s, at.begin); i < at.begin; i++) {
        if (quote ? s[i] == quote : s[i] == '"' || s[i] == '\'') quote = quote ? 0 : s[i];
    }
    return quote != 0;
}

// The plain scalar of the graph that a place is in; *flow: it stands between braces or brackets.
// NULL where it is in none.
static const Tree *plain_at(const Elab *el, const Tree *t, Loc at, bool *flow)
{
    const Tree *found = NULL;
    if (!t) return NULL;
    if (t->kind == TREE_SCALAR) {
        const Loc l = t->loc;
        bool inside = l.source == at.source && l.begin <= at.begin && at.end <= l.end;
        return inside && !t->quoted ? t : NULL;
    }
    for (uint32_t i = 0; !found && i < t->items.n; i++)
        found = plain_at(el, t->items.at[i], at, flow);
    for (uint32_t i = 0; !found && i < t->entries.n; i++)
        found = plain_at(el, t->entries.at[i].value, at, flow);
    const char *s = diag_source_text(el->diag, t->loc.source, NULL);
    if (found && strchr("{[", s[t->loc.begin])) *flow = true;
    return found;
}

static bool is_part(const Tree *plain, Loc at)
{
    return plain && plain->loc.end - plain->loc.begin > at.end - at.begin;
}

// Is a text a plain scalar of block style?
static bool is_plain(const char *text)
{
    const size_t n = strlen(text);
    return n && isalnum((unsigned char)*text) && text[n - 1] != ':' && !strstr(text, ": ") &&
           !strstr(text, " #") && !strchr(text, '\n');
}

const char *quoted_in(Elab *el, Loc *at, const char *text)
{
    bool flow = false;
    const Tree *whole = plain_at(el, el->root, *at, &flow);
    const char *s = diag_source_text(el->diag, at->source, NULL);
    if (is_part(whole, *at) && flow && strpbrk(text, ",[]{}\"'")) {
        text = str_printf(el->arena, "%.*s%s%.*s", (int)(at->begin - whole->loc.begin),
                          s + whole->loc.begin, text, (int)(whole->loc.end - at->end), s + at->end);
        *at = whole->loc;
    }
    return quoted(el, *at, text);
}

const char *quoted(Elab *el, Loc at, const char *text)
{
    bool flow = false;
    const char *s = diag_source_text(el->diag, at.source, NULL);
    const Tree *whole = plain_at(el, el->root, at, &flow);
    if (in_quotes(el, at) || is_part(whole, at)) return text;
    if (whole && !flow && is_plain(text)) return text;
    bool list = *text == '[' && text[strlen(text) - 1] == ']' && !strpbrk(text, "(\"':");
    char had = at.begin < at.end ? s[at.begin] : 0;
    if (had == '"' || had == '\'' || (!list && strpbrk(text, ",[]{}:#*\"")))
        return str_printf(el->arena, strchr(text, '"') ? "'%s'" : "\"%s\"", text);
    return text;
}

// guess: though it is the only one
static void suggest_either(Elab *el, const char *a, const char *b, bool guess)
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old)) return;
    Loc other = at;
    a = quoted_in(el, &at, a);
    b = b ? quoted_in(el, &other, b) : NULL;
    if (b && strcmp(a, b) == 0) b = NULL;
    if (b)
        diag_help(el->diag, "write %s, or %s", a, b);
    else
        diag_help(el->diag, "write %s", a);
    (guess ? diag_guess : diag_mend)(el->diag, at, a);
    if (b) (guess ? diag_guess : diag_mend)(el->diag, other, b);
}

void suggest(Elab *el, const char *a, const char *b)
{
    suggest_either(el, a, b, false);
}

void suggest_guess(Elab *el, const char *a, const char *b)
{
    suggest_either(el, a, b, true);
}

bool suggest_text(Elab *el, Loc at, const char *text)
{
    diag_help(el->diag, "write %s", text);
    if (is_users(el, at)) diag_mend(el->diag, at, text);
    return true;
}

static const char *bare(Elab *el, const char *text)
{
    size_t n = strlen(text);
    bool quote = n > 1 && (*text == '"' || *text == '\'') && text[n - 1] == *text;
    return quote ? str_slice(el->arena, text + 1, n - 2) : text;
}

static bool is_number(const char *text)
{
    char *end = NULL;
    while (*text && *text != '_') { // 350_000
        strtod(text, &end);
        if (end == text) return false;
        text = *end == '_' ? end + 1 : end;
    }
    return end && !*text;
}

void suggest_because(Elab *el, const char *text, const char *why, const char *other)
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old)) return;
    text = quoted(el, at, text);
    other = quoted(el, at, other);
    diag_help(el->diag, "write %s, %s, or %s", text, why, other);
    diag_guess(el->diag, at, text);
    diag_guess(el->diag, at, other);
}

enum { NO_LIMIT = 1000000 }; // numbers so large are a limit of ours, which nobody means

// What a number may be that is below the least: without its sign, the least, a little more.
static const char *below_least(double x, double lo, double hi, bool whole, double *a, double *b)
{
    bool sign = x < 0 && x != -1 && -x >= lo && -x <= hi; // -1 says "none"
    *a = lo;
    *b = sign ? -x : lo ? lo * 10 : 1;
    if (fabs(lo) >= NO_LIMIT || (!whole && lo > 0) || *b > hi || *b < lo) return NULL;
    return "the least";
}

// Above the most: the most, or with some digits less.
static const char *above_most(double x, double hi, double *a, double *b)
{
    bool share = hi == 1 && x >= 10 && x <= 100;
    *b = x;
    while (*b > hi) *b /= share ? 100 : 10;
    *a = hi < NO_LIMIT ? hi : *b / 10;
    if (!share) return hi < NO_LIMIT ? "the most" : "";
    *a = *b, *b = hi;
    return "as a share of 1";
}

// 0 and 1 are what C means by them; of other values both are offered.
void suggest_bool(Elab *el, Value v)
{
    if (v.kind == V_INT && (v.i == 0 || v.i == 1))
        suggest(el, v.i ? "true" : "false", NULL);
    else
        suggest_guess(el, "true", "false");
}

void suggest_number(Elab *el, double x, double lo, double hi, bool whole)
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old) || !is_number(bare(el, old)) || isnan(x)) return;
    double a = round(x), b = a > x ? a - 1 : a + 1; // of a fraction
    const char *why = "";
    if (x < lo)
        why = below_least(x, lo, hi, whole, &a, &b);
    else if (x > hi)
        why = hi > 0 && hi < 1e15 ? above_most(x, hi, &a, &b) : NULL;
    if (whole) a = floor(a), b = floor(b);
    if (!why || a == b || fmin(a, b) < lo || fmax(a, b) > hi) return;
    const char *one = str_printf(el->arena, "%.10g", a), *other = str_printf(el->arena, "%.10g", b);
    if (*why)
        suggest_because(el, one, why, other);
    else
        suggest_guess(el, one, other);
}

// Another one of the words than the one that is said to be meant.
static void suggest_another(Elab *el, const char *wrong, const Map *names, const char *best)
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old) || strcmp(bare(el, old), wrong)) return;
    for (uint32_t i = 0; i < names->n; i++) {
        if (strcmp(names->at[i].key, best) == 0) continue;
        diag_help(el->diag, "or '%s'", names->at[i].key);
        diag_guess(el->diag, at, quoted(el, at, names->at[i].key));
        return;
    }
}

void suggest_words(Elab *el, const char *wrong, const Map *names)
{
    Loc at;
    const char *old, *list = "", *best = nearest_key(names, wrong, NULL);
    if (best) {
        diag_did_you_mean(el->diag, wrong, best);
        if (!str_is_slip(wrong, best)) suggest_another(el, wrong, names, best);
        return;
    }
    for (uint32_t i = 0; i < names->n; i++)
        list = str_printf(el->arena, "%s%s%s", list, *list ? ", " : "", names->at[i].key);
    if (!names->n) return;
    diag_help(el->diag, names->n > 1 ? "there are: %s" : "%s is the only one", list);
    if (!error_place(el, &at, &old) || strcmp(bare(el, old), wrong)) return;
    for (uint32_t i = 0; i < names->n && i < MOST_WORDS; i++)
        diag_mend(el->diag, at, quoted(el, at, names->at[i].key));
}

bool suggest_near(Elab *el, const char *wrong, const Map *names)
{
    const char *best = nearest_key(names, wrong, NULL);
    if (best) diag_did_you_mean(el->diag, wrong, best);
    return best != NULL;
}

Map words_map(const Elab *el, const char *const *words, size_t n)
{
    Map names = {0};
    for (size_t i = 0; i < n; i++) map_set(el->arena, &names, words[i], NULL);
    return names;
}

Map keys_map(const Elab *el, const Tree *map)
{
    Map names = {0};
    for (uint32_t i = 0; map && i < map->entries.n; i++)
        map_set(el->arena, &names, map->entries.at[i].key->text, NULL);
    return names;
}

Map items_map(const Elab *el, const Items *items)
{
    Map names = {0};
    for (uint32_t i = 0; i < items->n; i++) map_set(el->arena, &names, items->at[i].name, NULL);
    return names;
}

void suggest_list(Elab *el, uint32_t n)
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old) || *old == '[' || strchr(old, '\n')) return;
    const char *one = *old == '{' ? old : bare(el, old), *text = one;
    while (--n) text = str_printf(el->arena, "%s, %s", text, one);
    const bool closed = !n && text[strlen(text) - 1] == ']' && !strchr(text, '[');
    text = str_printf(el->arena, closed ? "[%s" : "[%s]", text);
    if (*old == '{')
        suggest_text(el, at, text);
    else
        suggest(el, text, NULL);
}

void suggest_row(Elab *el, const char *key, bool list)
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old) || strchr(old, '\n')) return;
    const bool quotes = *old == '"' || *old == '\'';
    const Loc inside = loc_in(at.source, at.begin + quotes, at.end - quotes);
    const bool module = strcmp(key, "module") == 0;
    const char *row = module ? call_as_mapping(el, inside) : NULL, *text = bare(el, old);
    if (!row && module && (!isalpha((unsigned char)*text) || strpbrk(text, " (),"))) return;
    if (!row) row = str_printf(el->arena, "{%s: %s}", key, quoted(el, at, bare(el, old)));
    if (list) row = str_printf(el->arena, "[%s]", row);
    if (!strcmp(key, "match") && !strcmp(text, "true")) { // all, or the biases
        static const char *const lists[] = {"[{match: \"*\"}]", "[{match: \"*.b\"}]"},
                                 *const maps[] = {"{match: \"*\"}", "{match: \"*.b\"}"};
        const char *const *rows = list ? lists : maps;
        diag_help(el->diag, "write %s, or %s", rows[0], rows[1]);
        for (int i = 0; i < 2; i++) diag_guess(el->diag, at, rows[i]);
        return;
    }
    suggest_text(el, at, row);
}

// What is usual for settings that have no default, to begin with: two guesses each.
static const struct {
    const char *key, *first, *second;
} usual[] = {
    {"lr", "1e-3", "1e-4"},
    {"steps", "1000", "10000"},
    {"momentum", "0.996", "0.999"},
    {"total", "steps", "1000"},
    {"warmup", "100", "1000"},
    {"peak", "1e-3", "1e-4"},
    {"match", "\"*\"", "\"*.b\""},
    {"patch", "8", "16"},
    {"layers", "1", "12"},
    {"heads", "1", "2"},
    {"width", "64", "512"},
    {"embed", "64", "512"},
    {"vocab", "49408", "50000"},
    {"size", "224", "256"},
    {"length", "77", "64"},
    {"batch", "64", "256"},
    {"from", "0", "100"},
    {"every", "10", "100"},
    {"max", "100", "16"},
    {"shards", "train.tar", "\"train-{0000..0009}.tar\""},
    {"member", "json", "paug.json"},
    {"file", "weights.safetensors", "model.safetensors"},
    {"shape", "[8]", "[512]"},
    {"limit", "1", "10"},
};

const char *usual_value(const char *key, int which)
{
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strcmp(usual[i].key, key) == 0) return which ? usual[i].second : usual[i].first;
    return NULL;
}

// Another number for a constant of the graph, where it is this one.
static void guess_constant(Elab *el, Loc at, const char *number, int64_t x)
{
    const char *text = str_printf(el->arena, "%lld", (long long)x);
    if (!strcmp(text_at(el, at), number))
        guess_add(el, at, text, with_key(el, source_of(el, at), at, text));
}

void suggest_factor(Elab *el, int64_t whole, int64_t wrong)
{
    Loc at;
    const char *old;
    int64_t below = wrong < whole ? wrong : whole, above = below;
    if (whole < 1 || wrong < 1 || whole > 1 << 24 || !error_place(el, &at, &old)) return;
    const char *number = str_printf(el->arena, "%lld", (long long)wrong);
    const Loc constant = constant_place(el, at);
    bool there = !strcmp(bare(el, old), number);
    if (!there && !constant.source) return;
    while (below > 1 && whole % below) below--;
    while (above < whole && whole % above) above++;
    if (whole % above) above = below;
    for (int64_t x = below / 2; above == below && x; x--)
        if (whole % x == 0) above = x;
    if (!there) {
        guess_constant(el, constant, number, below);
        guess_constant(el, constant, number, above);
        return;
    }
    suggest_guess(el, str_printf(el->arena, "%lld", (long long)below),
                  str_printf(el->arena, "%lld", (long long)above));
}

void suggest_argument(Elab *el, const char *key)
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old) || !strchr(old, '(')) return;
    size_t n = strlen(bare(el, old));
    at.begin = at.end -= bare(el, old) != old;
    if (bare(el, old)[n - 1] != ')') return;
    at.begin = --at.end;
    const char *text[2] = {usual_value(key, 0), usual_value(key, 1)};
    if (!text[0]) return;
    diag_help(el->diag, "write %s=%s, or %s=%s, before the closing bracket", key, text[0], key,
              text[1]);
    for (int k = 0; k < 2; k++)
        diag_mend(el->diag, at, str_printf(el->arena, ", %s=%s", key, text[k]));
}

void suggest_wrapped(Elab *el, const char *const a[2], const char *const b[2])
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old) || *old == '{' || strchr(old, '\n')) return;
    suggest_guess(el, str_printf(el->arena, "%s%s%s", a[0], bare(el, old), a[1]),
                  str_printf(el->arena, "%s%s%s", b[0], bare(el, old), b[1]));
}

// cast(x, i32) for x, and for cast(x, f32) too.
static const char *cast_text(Elab *el, const char *text, DType dtype)
{
    const size_t n = strlen(text);
    const char *last = strrchr(text, ','), *type = dtype_name(dtype);
    const char *word = last && last[1] ? str_slice(el->arena, last + 1, strlen(last) - 2) : "";
    while (*word == ' ') word++;
    bool cast = n > 6 && strncmp(text, "cast(", 5) == 0 && dtype_find(word) != DT_NONE;
    int depth = 0;
    for (size_t i = 0; cast && i + 1 < n; i++) {
        depth += (text[i] == '(') - (text[i] == ')');
        cast = depth > 0 || i < 4;
    }
    if (cast) return str_printf(el->arena, "%.*s, %s)", (int)(last - text), text, type);
    return str_printf(el->arena, "cast(%s, %s)", text, type);
}

// What a value has been made of that has another type than is wanted: NULL where that is not seen.
static const char *made_of(Elab *el, const char *text)
{
    static const char valid[] = ".valid";
    const size_t n = strlen(text), k = strlen(valid);
    const char *last = strrchr(text, ',');
    const bool cast = last && !strncmp(text, "cast(", 5) &&
                      strncmp(cast_text(el, text, DT_F32), "cast(cast(", 10);
    if (cast) return str_slice(el->arena, text + 5, (size_t)(last - text) - 5);
    if (!strncmp(text, "not ", 4)) return text + 4;
    return n > k && !strcmp(text + n - k, valid) ? str_slice(el->arena, text, n - k) : NULL;
}

void suggest_casts(Elab *el, DType a, DType b)
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old) || *old == '{' || strchr(old, '\n')) return;
    const char *of = made_of(el, bare(el, old));
    const Binding *is = el->scope ? scope_find(el->scope, bare(el, old)) : NULL;
    if (!of && is && is->forced && is->value.kind == V_FIELD) of = bare(el, old);
    if (of) { // a field that is cast loses its validity
        const char *texts[] = {quoted(el, at, of), quoted(el, at, cast_text(el, bare(el, old), a))};
        for (int i = 0; i < 2; i++) guess_add(el, at, texts[i], texts[i]);
        return;
    }
    suggest(el, cast_text(el, bare(el, old), a), cast_text(el, bare(el, old), b));
}

void suggest_cast(Elab *el, DType dtype)
{
    suggest_casts(el, dtype, dtype);
}

void suggest_type(Elab *el, Value v)
{
    Map names = {0};
    const char *word = v.kind == V_STR ? str_our_word(v.s) : NULL;
    if (v.kind == V_STR && !word) word = v.s;
    Loc at;
    if (word && dtype_find(word) != DT_NONE && diag_last(el->diag, &at) && is_users(el, at)) {
        suggest_text(el, at, word);
        return;
    }
    for (int i = 0; i < DT_COUNT; i++) map_set(el->arena, &names, dtype_name((DType)i), NULL);
    const char *best = v.kind == V_STR ? nearest_key(&names, v.s, NULL) : NULL;
    if (best)
        suggest(el, best, NULL);
    else
        suggest(el, "f32", "i32");
}

// ---- keys -------------------------------------------------------------------------------------

void suggest_without(Elab *el, const Tree *map, const Tree *key)
{
    uint32_t i = 0;
    while (i < map->entries.n && map->entries.at[i].key != key) i++;
    while (map && map->entries.n == 1 && map != el->root) map = parent_map(el->root, map, &i);
    const bool known = map && i < map->entries.n;
    const char *text = "", *said = str_printf(el->arena, "'%s'", key->text);
    const Loc at = known ? entry_left_out(el, map, i, &text, &said) : (Loc){0};
    if (*text)
        diag_help(el->diag, "write %s in %s", said, diag_where(el->diag, at));
    else
        diag_help(el->diag, "leave out %s", said);
    if (at.source) diag_mend(el->diag, at, text);
}

void suggest_key(Elab *el, Loc map, const char *key)
{
    const char *s = source_of(el, map);
    if (!s || !is_users(el, map)) return;
    uint32_t line = line_begin(s, map.begin);
    bool flow = s[map.begin] == '{';
    if (flow) map.begin++;
    Loc at = loc_in(map.source, map.begin, map.begin);
    const char *text[2] = {usual_value(key, 0), usual_value(key, 1)};
    if (!text[0]) return;
    diag_help(el->diag, "write %s: %s, or %s", key, text[0], text[1]);
    for (int k = 0; k < 2; k++)
        diag_mend(
            el->diag, at,
            flow ? str_printf(el->arena, "%s: %s, ", key, text[k])
                 : str_printf(el->arena, "%s: %s\n%*s", key, text[k], (int)(map.begin - line), ""));
}
