// Mends of data:. Patterns of shards are mended brace by brace: what was meant is told from the
// numbers or words in it, whatever is between them.
#include "frontend/data_mends.h"
#include "base/brace.h"
#include "frontend/rewrite.h"

#include <ctype.h>
#include <stdlib.h>

static const char digits[] = "0123456789";
static const Choice no_choice = {.text = NULL};

static Choice part_of(Elab *el, const Tree *t, size_t begin, size_t end, const char *text)
{
    const Loc at = tree_place(t, begin, end);
    if (!text || !is_users(el, at)) return no_choice;
    const char *said = *text ? str_printf(el->arena, "write %s", text) : "leave it out";
    return (Choice){at, text, said};
}

// ---- shards -----------------------------------------------------------------------------------

// {lo..hi}, in rising order, of two texts of digits.
static const char *range_text(Elab *el, const char *lo, const char *hi)
{
    if (strtoll(hi, NULL, 10) < strtoll(lo, NULL, 10))
        return str_printf(el->arena, "{%s..%s}", hi, lo);
    return str_printf(el->arena, "{%s..%s}", lo, hi);
}

// The number without its last digit; NULL where that is below another.
static const char *shorter(Elab *el, const char *hi, const char *lo)
{
    size_t n = strlen(hi);
    const char *text = n > 1 ? str_slice(el->arena, hi, n - 1) : NULL;
    return text && strtoll(text, NULL, 10) >= strtoll(lo, NULL, 10) ? text : NULL;
}

// {a,b} of the words that dots, or something else, are between; {a..d} counts letters.
static const char *words_text(Elab *el, const char *s)
{
    const char *between = strstr(s, "..") ? "." : "-:;|/ ", *text = "", *word = s;
    uint32_t n = 0;
    for (size_t k; *(word += strspn(word, between)); word += k, n++) {
        k = strcspn(word, between);
        text = str_printf(el->arena, "%s%s%.*s", text, n ? "," : "", (int)k, word);
    }
    if (n < 2) return text; // one file needs no braces
    const char from = text[0], to = text[2];
    if (n == 2 && strlen(text) == 3 && isalpha((unsigned char)from) && from < to) {
        text = "";
        for (char c = from; c <= to; c++)
            text = str_printf(el->arena, "%s%s%c", text, c > from ? "," : "", c);
    }
    return str_printf(el->arena, "{%s}", text);
}

void suggest_range(Elab *el, const Tree *t, size_t begin, size_t end)
{
    const char *s = str_slice(el->arena, t->text + begin + 1, end - begin - 2);
    const size_t first = strspn(s, digits);
    const char *second = s + first + strspn(s + first, ".-:_ ");
    const size_t last = strspn(second, digits);
    if (!first || !last || second == s + first || first > 15 || last > 15) {
        suggest_choices(el, part_of(el, t, begin, end, words_text(el, s)), no_choice);
        return;
    }
    const char *lo = str_slice(el->arena, s, first), *hi = str_slice(el->arena, second, last),
               *other = NULL;
    if (second[last]) other = str_printf(el->arena, "{%s,%s}", lo, second);
    while (hi && strtoll(hi, NULL, 10) - strtoll(lo, NULL, 10) >= BRACE_MOST) {
        hi = shorter(el, hi, lo);
        const char *less = hi ? shorter(el, hi, lo) : NULL;
        other = less ? range_text(el, lo, less) : NULL;
    }
    if (hi)
        suggest_choices(el, part_of(el, t, begin, end, range_text(el, lo, hi)),
                        part_of(el, t, begin, end, other));
}

void suggest_closed(Elab *el, const Tree *t, size_t begin)
{
    const char *s = t->text + begin + 1, *a = s, *b = NULL;
    const size_t end = strlen(t->text), first = strspn(s, digits);
    size_t last = first && !strncmp(s + first, "..", 2) ? strspn(s + first + 2, digits) : 0;
    if (last) { // a range
        last += first + 2;
        a = str_printf(el->arena, "{%.*s}%s", (int)last, s, s + last);
    } else if (strchr(s, ',')) { // choices, up to the end of the name
        last = strcspn(s, "./");
        a = str_printf(el->arena, "{%.*s}%s", (int)last, s, s + last);
    } else if (first) {
        b = str_printf(el->arena, "{%.*s..%.*s9}%s", (int)first, s, (int)first - 1, s, s + first);
    }
    suggest_choices(el, part_of(el, t, begin, end, a), part_of(el, t, begin, end, b));
}

void suggest_fewer(Elab *el, const Tree *t)
{
    Choice found[2] = {no_choice, no_choice};
    uint32_t n = 0;
    Brace b;
    for (const char *s = t->text; n < 2 && brace_first(s, &b) && b.open; s = b.close + 1) {
        if (!b.width) continue;
        const size_t begin = (size_t)(b.open - t->text), end = (size_t)(b.close - t->text) + 1;
        const char *lo = str_slice(el->arena, b.open + 1, (size_t)b.width),
                   *hi = b.open + 1 + b.width + 2, *text = "";
        hi = str_slice(el->arena, hi, (size_t)(b.close - hi));
        while ((hi = shorter(el, hi, lo))) {
            text = range_text(el, lo, hi);
            const char *whole =
                str_printf(el->arena, "%.*s%s%s", (int)begin, t->text, text, t->text + end);
            if (brace_count(whole) <= BRACE_MOST) break;
        }
        if (!hi) continue;
        found[n] = part_of(el, t, begin, end, text);
        found[n++].said =
            str_printf(el->arena, "write %s in place of %.*s", text, (int)(end - begin), b.open);
    }
    suggest_choices(el, found[0], found[1]);
}

// ---- views and fields ---------------------------------------------------------------------------

void suggest_member(Elab *el, const Tree *t)
{
    const char *last = strrchr(t->text, '/') + 1;
    char *dotted = str_copy(el->arena, t->text + strspn(t->text, "./"));
    for (char *c = dotted; *c; c++)
        if (*c == '/') *c = '.';
    if (!*last || strchr(last, '.') == last) last = "jpg", dotted = str_copy(el->arena, "png");
    suggest_word(el, t, last, dotted);
}

void suggest_crop(Elab *el, const Tree *t)
{
    const char *text = written(el, t);
    double x[2] = {0, 0};
    for (uint32_t i = 0; t->kind == TREE_LIST && t->items.n == 2 && i < 2; i++)
        if (t->items.at[i]->kind == TREE_SCALAR) x[i] = strtod(t->items.at[i]->text, NULL);
    bool ratio = x[0] >= 1e-3 && x[0] <= x[1] && x[1] <= 1e3, scale = ratio && x[1] <= 1;
    const Choice centre = instead(el, t, "centre"),
                 as_ratio = instead(el, t, str_printf(el->arena, "{ratio: %s}", text)),
                 as_scale = instead(el, t, str_printf(el->arena, "{scale: %s}", text));
    if (scale)
        suggest_choices(el, as_scale, as_ratio);
    else
        suggest_choices(el, ratio ? as_ratio : centre, ratio ? centre : instead(el, t, "stretch"));
}

const char *table_of(Elab *el, const Tree *list)
{
    const char *text = "";
    for (uint32_t i = 0; i < list->items.n; i++) {
        if (list->items.at[i]->kind != TREE_SCALAR) return NULL;
        text = str_printf(el->arena, "%s%s%u: %s", text, i ? ", " : "", i, list->items.at[i]->text);
    }
    return str_printf(el->arena, "{%s}", text);
}

void suggest_section(Elab *el, const Tree *item, const char *key)
{
    const Tree *data = tree_get(el->root, "data"), *t = tree_get(item, key);
    bool series = strcmp(key, "series") == 0;
    const char *section = series ? "series" : "views";
    const char *value = series ? str_printf(el->arena, "%s.tar", t->text) : "{size: [224, 224]}";
    const char *whole = str_printf(el->arena, "{%s: %s}", t->text, value);
    const Tree *there = tree_get(data, section);
    Choice entry = no_choice;
    if (!there)
        entry = with_entry(el, data, section, whole);
    else if (there->kind == TREE_MAP)
        entry = with_entry(el, there, t->text, value);
    if (entry.text) entry.said = str_printf(el->arena, "write %s: %s", section, whole);
    suggest_choices(el, entry, has_lone_guess(el) ? no_choice : without_key(el, item, key));
}

void suggest_view(Elab *el, const Tree *field, const Tree *views)
{
    const Tree *follow = tree_get(field, "follow");
    Choice found[2] = {no_choice, no_choice};
    uint32_t n = 0;
    for (uint32_t i = 0; n < 2 && i < views->entries.n; i++) {
        const Tree *view = views->entries.at[i].value, *replay = tree_get(view, "replay");
        const char *name = views->entries.at[i].key->text;
        if (replay && tree_get(replay, "ops")) continue;
        found[n++] = follow ? instead(el, follow, name) : with_entry(el, field, "follow", name);
    }
    suggest_choices(el, found[0], found[1]);
}

void suggest_some(Elab *el, const Tree *t, double lo, double hi)
{
    Loc at;
    const uint32_t error = diag_last_error(el->diag);
    bool here = error && !diag_has_mend(el->diag, error) && diag_last(el->diag, &at) &&
                at.source == t->loc.source && at.begin == t->loc.begin && at.end == t->loc.end;
    if (!here) return;
    if (lo == 0 && hi == 1)
        suggest_word(el, t, "0.5", "1");
    else if (lo >= 0)
        suggest_word(el, t, str_printf(el->arena, "%.10g", lo),
                     str_printf(el->arena, "%.10g", lo + 1));
    else
        suggest_word(el, t, "0", "1");
}

void suggest_inside(Elab *el, double x, double lo, double hi)
{
    static const double usual[] = {1, 0.1, 10};
    const uint32_t error = diag_last_error(el->diag);
    const char *text[2] = {NULL, NULL};
    Loc at;
    char *end;
    if (!error || diag_has_mend(el->diag, error) || !diag_last(el->diag, &at)) return;
    const char *s = diag_source_text(el->diag, at.source, NULL);
    if (!s || strtod(s + at.begin, &end) != x || end != s + at.end) return;
    for (size_t i = 0, n = 0; n < 2 && i < sizeof usual / sizeof *usual; i++)
        if (usual[i] >= lo && usual[i] <= hi) text[n++] = str_printf(el->arena, "%.10g", usual[i]);
    if (text[0]) suggest(el, text[0], text[1]);
}

void suggest_legal(Elab *el, const Tree *t, const ValueList *items, double lo, double hi)
{
    const char *text[2] = {"", ""};
    if (t->kind != TREE_SCALAR) return;
    for (uint32_t i = 0; i < items->v.n; i++) {
        double x, y;
        if (!value_number(items->v.at[i], &x)) return;
        y = x < lo ? lo : x > hi ? hi : x;
        x = x < lo && -x >= lo && -x <= hi ? -x : y;
        text[0] = str_printf(el->arena, "%s%s%.10g", text[0], i ? ", " : "", x);
        text[1] = str_printf(el->arena, "%s%s%.10g", text[1], i ? ", " : "", y);
    }
    suggest(el, str_printf(el->arena, "[%s]", text[0]), str_printf(el->arena, "[%s]", text[1]));
}

void suggest_needed(Elab *el, const Field *f, const char *key)
{
    static const struct {
        FieldRole role;
        const char *first, *second;
    } rows[] = {{FIELD_CLASS_MAP, "[224, 224]", "[56, 56]"},
                {FIELD_MAP, "[224, 224]", "[56, 56]"},
                {FIELD_NORMALS, "[224, 224]", "[56, 56]"},
                {FIELD_VECTOR, "512", "768"},
                {FIELD_TOKENS, "77", "64"},
                {FIELD_ARRAY, "[512]", "[16, 512]"},
                {FIELD_BOXES, "100", "16"},
                {FIELD_POINTS, "100", "16"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].role == f->role)
            suggest_choices(el, with_entry(el, f->tree, key, rows[i].first),
                            with_entry(el, f->tree, key, rows[i].second));
}
