// Slips in YAML's own signs, of which it is plain what is meant: they are reported, and what
// libyaml is fed is set right, so that reading goes on.
#include "frontend/tree_text.h"

#include <ctype.h>
#include <string.h>

static bool ends_line(char c)
{
    return !c || c == '\n' || c == '\r';
}

static size_t word_end(const TreeText *t, size_t i)
{
    return i < t->size ? i + word_size(t->fed + i) : i;
}

static void write_sign(TreeText *t, size_t i, char sign)
{
    if (t->fed[i] != sign) t->repairs++;
    t->fed[i] = sign;
}

// `key: "text",`
bool slip_behind(TreeText *t, size_t end)
{
    const size_t sign = fed_skip(t, end);
    size_t i = sign;
    while (fed_at(t, i) == ',' || fed_at(t, i) == ';') i++;
    const size_t rest = fed_skip(t, i);
    if (i == sign || !(ends_line(fed_at(t, rest)) || (fed_at(t, rest) == '#' && rest > i)))
        return false;
    const char last[] = {t->fed[end - 1], 0}; // so that the mend is one that writes
    const char *signs = tree_slice(t, sign, i);
    tree_error(t, sign, i, "'%s' stands behind the value", signs);
    diag_help(t->diag, "leave out the '%s'", signs);
    diag_mend(t->diag, tree_text_loc(t, end - 1, i), last);
    for (size_t k = sign; k < i; k++) write_sign(t, k, ' ');
    return true;
}

bool slip_between(TreeText *t, size_t sign)
{
    if (fed_at(t, sign) != ';') return false;
    tree_error(t, sign, sign + 1, "';' separates nothing: write ','");
    diag_help(t->diag, "write ',' in place of ';'");
    diag_mend(t->diag, tree_text_loc(t, sign, sign + 1), ",");
    write_sign(t, sign, ',');
    return true;
}

// `(key: value, key: value)`
bool slip_round(TreeText *t, size_t begin)
{
    const size_t key = fed_skip(t, begin + 1), word = word_end(t, key);
    if (fed_at(t, begin) != '(' || word == key || fed_at(t, word) != ':' ||
        !tree_blank(fed_at(t, word + 1)))
        return false;
    const char *source = diag_source_text(t->diag, t->source, NULL);
    size_t line = begin, end;
    while (line < t->size && !ends_line(source[line])) line++;
    for (end = line; end > word && tree_blank(source[end - 1]);) end--;
    if (source[end - 1] != ')' && source[end - 1] != '}') return false;
    accidents_drop(t, begin);
    memcpy(t->fed + begin, source + begin, line - begin);
    tree_error(t, begin, begin + 1, "a mapping stands in { }");
    diag_help(t->diag, "write '{' in place of '('%s",
              source[end - 1] == ')' ? ", and '}' in place of ')'" : "");
    diag_mend(t->diag, tree_text_loc(t, begin, begin + 1), "{");
    if (source[end - 1] == ')') diag_mend_also(t->diag, tree_text_loc(t, end - 1, end), "}");
    write_sign(t, begin, '{');
    write_sign(t, end - 1, '}');
    return true;
}

// `-{key: value}`
bool slip_dash(TreeText *t, size_t begin)
{
    size_t line = begin;
    while (line > 0 && tree_blank(t->fed[line - 1])) line--;
    if (fed_at(t, begin) != '-' || (line && t->fed[line - 1] != '\n')) return false;
    if (fed_at(t, begin + 1) != '{' && fed_at(t, begin + 1) != '[') return false;
    accidents_drop(t, begin);
    tree_error(t, begin, begin + 1, "a blank is missing behind '-'");
    const char *said = str_printf(t->arena, "write '- %c'", t->fed[begin + 1]);
    try_edit(t, try_only(t, said), begin + 1, begin + 1, " ");
    return t->hopeless = true;
}

// `key: a: 1, b: 2`, the second colon at `colon`.
bool slip_nested(TreeText *t, size_t begin, size_t colon)
{
    const Line l = line_at(t, begin);
    if (!isalpha((unsigned char)fed_at(t, begin)) || word_end(t, begin) != colon || l.end <= colon)
        return false;
    int open = 0;
    for (size_t i = begin; i < l.end; i++) open += (t->text[i] == '{') - (t->text[i] == '}');
    const bool closed = open < 0;
    const char *whole = str_printf(t->arena, closed ? "{%s" : "{%s}", tree_slice(t, begin, l.end));
    tree_error(t, colon, colon + 1, "a mapping on one line stands in { }");
    const char *said = str_printf(t->arena, "write %s", whole);
    bool several = false;
    for (size_t i = colon; i < l.end; i++) several |= key_follows(t, i);
    try_edit(t, (several ? try_only : try_new)(t, said), begin, l.end, whole);
    try_quoted(t, begin, l.end);
    mend_line(t, begin, begin);
    return t->hopeless = true;
}

bool slip_entry(const TreeText *t, size_t begin, size_t end, EntryText *e)
{
    const size_t word = word_end(t, begin);
    size_t value = fed_skip(t, word);
    const bool wide = !strncmp(t->fed + value, "\xef\xbc\x9a", 3); // U+FF1A, a colon
    const bool sign = wide || fed_at(t, value) == '=' || fed_at(t, value) == ':';
    if (sign && fed_at(t, value + 1) == '=') return false;
    if (sign) value = fed_skip(t, value + (wide ? 3 : 1));
    while (!strncmp(t->fed + value, "\xc2\xa0", 2)) value += 2; // a blank that does not break
    if (word == begin || value >= end || value == word || isdigit((unsigned char)t->fed[begin]))
        return false;
    if (!sign && !isdigit((unsigned char)t->fed[value]) && word_end(t, value) != end) return false;
    e->plain = sign || isdigit((unsigned char)t->fed[value]);
    e->key = tree_slice(t, begin, word);
    e->value = tree_slice(t, value, end);
    e->at = value;
    e->said = str_printf(t->arena, "%s: %s", e->key, e->value);
    return true;
}

static const char *number_end(const char *s)
{
    const char *p = s + (*s == '-' || *s == '+');
    if (!isdigit((unsigned char)*p) && *p != '.') return NULL;
    while (isalnum((unsigned char)*p) || *p == '.' || *p == '_' ||
           ((*p == '-' || *p == '+') && strchr("eE", p[-1])))
        p++;
    return p;
}

// `[0.9 0.98]`: numbers with blanks between them, as items.
bool slip_numbers(TreeText *t, Tree *list, const Tree *item)
{
    VEC(Tree *) items = {0};
    const char *said = "", *end;
    if (item->kind != TREE_SCALAR || item->quoted) return false;
    for (const char *p = item->text; *p; p = end) {
        while (*p == ' ') p++;
        end = number_end(p);
        if (!end || (*end && *end != ' ')) return false;
        Tree *part = arena_copy(t->arena, item, sizeof *item);
        part->text = str_slice(t->arena, p, (size_t)(end - p));
        part->place = item->place + (p - item->text);
        part->loc = tree_place(item, (size_t)(p - item->text), (size_t)(end - item->text));
        said = str_printf(t->arena, "%s%s%s", said, *said ? ", " : "", part->text);
        vec_push(t->arena, &items, part);
    }
    if (items.n < 2) return false;
    diag_error(t->diag, items.at[1]->loc, "expected ',' between two items");
    diag_help(t->diag, "write %s", said);
    for (uint32_t i = 0; i < items.n; i++) {
        const uint32_t end_of = items.at[i]->loc.end;
        if (i + 1 < items.n)
            (i ? diag_mend_also : diag_mend)(t->diag, tree_text_loc(t, end_of, end_of), ",");
        vec_push(t->arena, &list->items, items.at[i]);
    }
    return true;
}
