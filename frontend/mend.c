// What to write instead: helps of the last error, with the mends that write it. A mend that is a
// guess comes with a second one. Nothing is said where the place is not one of the user's that is
// wholly such a value: an error may have been moved to a line which is wrong in another way.
#include "frontend/elab.h"

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
    size_t size;
    if (!diag_last(el->diag, at) || !is_users(el, *at) || !is_of_row(el, *at)) return false;
    const char *s = diag_source_text(el->diag, at->source, &size);
    if (!s || at->end > size || at->begin >= at->end) return false;
    *text = str_slice(el->arena, s + at->begin, at->end - at->begin);
    return true;
}

// Does the place lie inside of quotes that were opened on its line?
static bool in_quotes(const Elab *el, Loc at)
{
    size_t size;
    const char *s = diag_source_text(el->diag, at.source, &size);
    uint32_t i = at.begin;
    char quote = 0;
    while (i && s[i - 1] != '\n') i--;
    for (; i < at.begin; i++) {
        if (quote ? s[i] == quote : s[i] == '"' || s[i] == '\'') quote = quote ? 0 : s[i];
    }
    return quote != 0;
}

// The text as it is to be written in the place: with the quotes that were there, or that it needs.
static const char *quoted(Elab *el, Loc at, const char *text)
{
    size_t size;
    const char *s = diag_source_text(el->diag, at.source, &size);
    if (in_quotes(el, at)) return text;
    bool list = *text == '[' && text[strlen(text) - 1] == ']' && !strpbrk(text, "(\"':");
    char had = at.begin < at.end ? s[at.begin] : 0;
    if (had == '"' || had == '\'' || (!list && strpbrk(text, ",[]{}:#*\"")))
        return str_printf(el->arena, strchr(text, '"') ? "'%s'" : "\"%s\"", text);
    return text;
}

void suggest(Elab *el, const char *a, const char *b)
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old)) return;
    a = quoted(el, at, a);
    b = b ? quoted(el, at, b) : NULL;
    if (b && strcmp(a, b) == 0) b = NULL;
    if (b)
        diag_help(el->diag, "write %s, or %s", a, b);
    else
        diag_help(el->diag, "write %s", a);
    diag_mend(el->diag, at, a);
    if (b) diag_mend(el->diag, at, b);
}

static const char *bare(Elab *el, const char *text)
{
    size_t n = strlen(text);
    bool quote = n > 1 && (*text == '"' || *text == '\'') && text[n - 1] == *text;
    return quote ? str_slice(el->arena, text + 1, n - 2) : text;
}

static bool is_number(const char *text)
{
    char *end;
    if (!*text) return false;
    strtod(text, &end);
    return !*end;
}

void suggest_number(Elab *el, double x, double lo, double hi, bool whole)
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old) || !is_number(bare(el, old)) || isnan(x)) return;
    double near = x < lo ? lo : x > hi ? hi : x, other = x < lo ? -x : x / 100;
    if (whole && floor(x) != x && x > lo && x < hi) near = floor(x), other = ceil(x);
    bool good = other >= lo && other <= hi && (!whole || floor(other) == other);
    if (!good) other = near == lo ? lo + 1 : lo;
    if (other > hi) other = near;
    suggest(el, str_printf(el->arena, "%.10g", near), str_printf(el->arena, "%.10g", other));
}

void suggest_words(Elab *el, const char *wrong, const Map *names)
{
    Loc at;
    const char *old, *list = "", *best = nearest_key(names, wrong, NULL);
    if (best) {
        diag_did_you_mean(el->diag, wrong, best);
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

void suggest_list(Elab *el, uint32_t n)
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old) || *old == '[' || strchr(old, '\n')) return;
    const char *one = *old == '{' ? old : bare(el, old), *text = one;
    while (--n) text = str_printf(el->arena, "%s, %s", text, one);
    text = str_printf(el->arena, "[%s]", text);
    if (*old != '{') {
        suggest(el, text, NULL);
        return;
    }
    diag_help(el->diag, "write %s", text);
    diag_mend(el->diag, at, text);
}

// What is usual for settings that have no default, to begin with: two guesses each.
static const struct {
    const char *key, *first, *second;
} usual[] = {
    {"lr", "1e-3", "1e-4"},         {"steps", "1000", "10000"},
    {"momentum", "0.996", "0.999"}, {"total", "steps", "1000"},
    {"warmup", "100", "1000"},      {"peak", "1e-3", "1e-4"},
    {"match", "\"*\"", "\"*.b\""},  {"patch", "8", "16"},
    {"layers", "1", "12"},          {"heads", "1", "2"},
    {"width", "64", "512"},         {"embed", "64", "512"},
    {"vocab", "49408", "50000"},    {"size", "[224, 224]", "[256, 256]"},
    {"length", "77", "64"},         {"batch", "64", "256"},
};

void suggest_factor(Elab *el, int64_t whole, int64_t wrong)
{
    Loc at;
    const char *old;
    int64_t below = wrong < whole ? wrong : whole, above = below;
    if (whole < 1 || wrong < 1 || whole > 1 << 24 || !error_place(el, &at, &old)) return;
    if (strcmp(bare(el, old), str_printf(el->arena, "%lld", (long long)wrong))) return;
    while (below > 1 && whole % below) below--;
    while (above < whole && whole % above) above++;
    if (whole % above) above = below;
    suggest(el, str_printf(el->arena, "%lld", (long long)below),
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
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        if (strcmp(usual[i].key, key)) continue;
        diag_help(el->diag, "write %s=%s, or %s=%s, before the closing bracket", key,
                  usual[i].first, key, usual[i].second);
        diag_mend(el->diag, at, str_printf(el->arena, ", %s=%s", key, usual[i].first));
        diag_mend(el->diag, at, str_printf(el->arena, ", %s=%s", key, usual[i].second));
    }
}

void suggest_wrapped(Elab *el, const char *before, const char *after)
{
    Loc at;
    const char *old;
    if (!error_place(el, &at, &old) || *old == '{' || strchr(old, '\n')) return;
    suggest(el, str_printf(el->arena, "%s%s%s", before, bare(el, old), after), NULL);
}

// ---- keys -------------------------------------------------------------------------------------

static Loc entry_place(const Tree *map, uint32_t i, const char *s, size_t size)
{
    Loc at = map->entries.at[i].key->loc;
    const Loc value = map->entries.at[i].value->loc;
    bool flow = s[map->loc.begin] == '{';
    if (value.end > at.end) at.end = value.end;
    if (at.end < size && s[at.end] == ':') at.end++;
    if (flow) {
        while (at.end < size && (s[at.end] == ' ' || s[at.end] == ',')) at.end++;
        if (i && i + 1 == map->entries.n)
            while (at.begin && (s[at.begin - 1] == ' ' || s[at.begin - 1] == ',')) at.begin--;
        return at;
    }
    while (at.end < size && s[at.end] == ' ') at.end++;
    uint32_t line = at.begin;
    while (line && s[line - 1] == ' ') line--;
    bool alone = (!line || s[line - 1] == '\n') && at.end < size && s[at.end] == '\n';
    if (alone) at.begin = line, at.end++;
    return at;
}

void suggest_without(Elab *el, const Tree *map, const Tree *key)
{
    size_t size;
    const char *s = diag_source_text(el->diag, map->loc.source, &size);
    diag_help(el->diag, "leave out '%s'", key->text);
    for (uint32_t i = 0; s && i < map->entries.n; i++)
        if (map->entries.at[i].key == key && map->entries.n > 1 && is_users(el, key->loc))
            diag_mend(el->diag, entry_place(map, i, s, size), "");
}

void suggest_key(Elab *el, Loc map, const char *key)
{
    size_t size;
    const char *s = diag_source_text(el->diag, map.source, &size);
    if (!s || !is_users(el, map) || map.begin >= size) return;
    uint32_t line = map.begin;
    while (line && s[line - 1] != '\n') line--;
    bool flow = s[map.begin] == '{';
    if (flow) map.begin++;
    Loc at = {map.source, map.begin, map.begin};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        if (strcmp(usual[i].key, key)) continue;
        const char *text[2] = {usual[i].first, usual[i].second};
        diag_help(el->diag, "write %s: %s, or %s", key, text[0], text[1]);
        for (int k = 0; k < 2; k++)
            diag_mend(el->diag, at,
                      flow ? str_printf(el->arena, "%s: %s, ", key, text[k])
                           : str_printf(el->arena, "%s: %s\n%*s", key, text[k],
                                        (int)(map.begin - line), ""));
        return;
    }
}

// ---- sizes ------------------------------------------------------------------------------------

static bool part_of_number(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-';
}

// The only place of a number in another place, but for the batch, which is of no axis that is
// compared; false where there is none, or several.
static bool find_number(const char *s, Loc *at, const char *number)
{
    size_t n = strlen(number);
    bool found = false, comment = false;
    uint32_t place = 0;
    for (uint32_t i = at->begin; i + n <= at->end; i++) {
        comment = s[i] == '\n' ? false : comment || (s[i] == '#' && i && s[i - 1] == ' ');
        bool batch = i >= at->begin + 7 && memcmp(s + i - 7, "batch: ", 7) == 0;
        if (batch || comment || memcmp(s + i, number, n) || (i && part_of_number(s[i - 1])) ||
            part_of_number(s[i + n]))
            continue;
        if (found) return false;
        found = true;
        place = i;
    }
    if (found) *at = (Loc){at->source, place, place + (uint32_t)n};
    return found;
}

// "width: 5" of the number's place, or the number alone.
static const char *with_key(Elab *el, const char *s, Loc at, const char *number)
{
    uint32_t i = at.begin;
    while (i && s[i - 1] == ' ') i--;
    if (!i || (s[i - 1] != ':' && s[i - 1] != '=')) return number;
    uint32_t end = i - 1, begin = end;
    while (begin && (isalnum((unsigned char)s[begin - 1]) || s[begin - 1] == '_')) begin--;
    const char *space = s[end] == ':' ? " " : "";
    return str_printf(el->arena, "%.*s%s%s", (int)(end + 1 - begin), s + begin, space, number);
}

// The wrong number's place: in the innermost call of the user's that has it, else in the file.
static bool users_number(Elab *el, const char *number, Loc *at)
{
    size_t size;
    for (const Frame *f = el->frame; f; f = f->parent) {
        const char *s = diag_source_text(el->diag, f->call.source, &size);
        if (!s || f->call.end > size || !is_users(el, f->call)) continue;
        *at = f->call;
        if (find_number(s, at, number)) return true;
    }
    const char *s = diag_source_text(el->diag, el->root->loc.source, &size);
    *at = (Loc){el->root->loc.source, 0, (uint32_t)size};
    return s && find_number(s, at, number);
}

void suggest_size(Elab *el, int64_t wrong, int64_t right)
{
    const char *number[2] = {str_printf(el->arena, "%lld", (long long)wrong),
                             str_printf(el->arena, "%lld", (long long)right)};
    Loc at[2];
    const char *text[2], *said = "";
    bool found[2];
    Loc error;
    if (!diag_last(el->diag, &error) || error.source != el->root->loc.source) return;
    for (int i = 0; i < 2; i++) {
        found[i] = users_number(el, number[i], &at[i]);
        if (!found[i]) continue;
        const char *s = diag_source_text(el->diag, at[i].source, NULL);
        text[i] = with_key(el, s, at[i], number[1 - i]);
        uint32_t line, column;
        diag_position(el->diag, at[i], &line, &column);
        said = str_printf(el->arena, "%s%s%s (line %u)", said, *said ? ", or " : "", text[i], line);
    }
    if (*said) diag_help(el->diag, "write %s", said);
    for (int i = 0; i < 2; i++)
        if (found[i]) diag_mend(el->diag, at[i], number[1 - i]);
}
