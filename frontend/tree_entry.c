// What may mend a tree that can be read and means nothing: candidates, which tree_try.c tries.
#include "frontend/tree_text.h"

#include <ctype.h>
#include <string.h>

// ---- entries ----------------------------------------------------------------------------------

// What goes with an entry, or an item, of flow style: its comma.
EntrySpan span_comma(const TreeText *t, EntrySpan e)
{
    size_t end = e.end, begin = e.begin;
    while (line_blank(text_byte(t, end))) end++;
    if (text_byte(t, end) == ',') {
        for (end++; line_blank(text_byte(t, end));) end++;
        return (EntrySpan){e.begin, end};
    }
    while (begin && strchr(" \t\r\n", t->text[begin - 1])) begin--;
    return begin && t->text[begin - 1] == ',' ? (EntrySpan){begin - 1, e.end} : e;
}

// The lines of an entry of block style; behind '- ' it ends where the next entry begins.
EntrySpan span_lines(const TreeText *t, EntrySpan e)
{
    const Line first = line_at(t, e.begin);
    Line last = line_at(t, e.end > e.begin ? e.end - 1 : e.end);
    while (last.begin > first.begin && (line_empty(&last) || last.text >= e.end))
        line_before(t, &last);
    size_t at = first.begin;
    while (at < e.begin && (line_blank(t->text[at]) || t->text[at] == '?')) at++;
    if (at == e.begin) return (EntrySpan){first.begin, last.next};
    Line next = last;
    bool beside = line_behind(t, &next) && next.text - next.begin == e.begin - first.begin;
    return (EntrySpan){e.begin, beside ? next.text : last.end};
}

static void leave_out(TreeText *t, EntrySpan e, bool flow, const char *said)
{
    const EntrySpan span = flow ? span_comma(t, e) : span_lines(t, e);
    try_edit(t, try_new(t, said), span.begin, span.end, "");
}

// no_first: the first one has no value.
void mend_twice(TreeText *t, EntrySpan first, EntrySpan second, bool flow, bool no_first)
{
    if (!no_first) leave_out(t, second, flow, "leave out this one");
    leave_out(t, first, flow, "leave out the first one");
}

void mend_key(TreeText *t, const Tree *key, EntrySpan entry, bool flow)
{
    const size_t begin = key->loc.begin, end = key->loc.end;
    const char *text = tree_slice(t, begin, end);
    if (begin && t->text[begin - 1] == '{' && *text == '{' && text_byte(t, end) == '}') {
        size_t from = begin + 1, to = end - 1; // {{ name }}
        while (line_blank(t->text[from])) from++;
        while (to > from && line_blank(t->text[to - 1])) to--;
        try_write_only(t, begin - 1, end + 1, tree_slice(t, from, to));
    }
    if (end > begin + 1 && !strchr(text, '\n')) try_quoted(t, begin, end);
    leave_out(t, entry, flow, "leave out the entry");
}

// {: 1}, a colon without a key before it
void mend_no_key(TreeText *t, size_t at)
{
    size_t value = at + 1;
    while (line_blank(text_byte(t, value))) value++;
    const Span s = span_scan(t, value, true);
    const size_t end = s.open == SIZE_MAX && s.end > value ? s.end : at + 1;
    leave_out(t, (EntrySpan){at, end}, true, "write its key, or leave it out");
}

// ---- merge keys -------------------------------------------------------------------------------

typedef struct Merge {
    TreeText *t;
    const char *text;   // what is written in place of the merge key
    const char *break_; // between two entries
    Tree given;         // the keys there already
    size_t column;
    bool flow, fails;
} Merge;

// An entry of a map of block style, its lines moved to another column.
static const char *moved_lines(const Merge *m, const TreeEntry *e)
{
    TreeText *t = m->t;
    Line l = line_at(t, e->key->loc.begin);
    const size_t column = e->key->loc.begin - l.begin;
    const char *out = tree_slice(t, e->key->loc.begin, l.end);
    while (line_behind(t, &l)) {
        const size_t indent = line_indent(&l);
        const bool item = indent == column && t->text[l.text] == '-' && e->value->kind == TREE_LIST;
        if (indent <= column && !item) break;
        out = str_printf(t->arena, "%s\n%*s%s", out, (int)(indent - column + m->column), "",
                         tree_slice(t, l.text, l.end));
    }
    return out;
}

static void merge_entry(Merge *m, const TreeEntry *e, bool flow)
{
    TreeText *t = m->t;
    const Loc key = e->key->loc, value = e->value->loc;
    const bool inside = value.begin >= key.end; // not an alias, whose tree lies elsewhere
    if (tree_get(&m->given, e->key->text)) return;
    if (m->flow && (!flow || !inside)) m->fails = true;
    const char *text = flow ? tree_slice(t, key.begin, value.end) : moved_lines(m, e);
    m->fails |= flow && !inside;
    m->text = str_printf(t->arena, "%s%s%s", m->text, *m->text ? m->break_ : "", text);
    vec_push(t->arena, &m->given.entries, *e);
}

static void merge_map(Merge *m, const Tree *from)
{
    if (from->kind != TREE_MAP) m->fails = true;
    const bool flow = text_byte(m->t, from->loc.begin) == '{';
    for (uint32_t i = 0; i < from->entries.n; i++) merge_entry(m, &from->entries.at[i], flow);
}

// Write out what a merge key takes over: the entries whose keys are not given beside it.
void mend_merge(TreeText *t, const Tree *map, const Tree *value, EntrySpan entry, bool flow)
{
    const Line l = line_at(t, entry.begin);
    Merge m = {.t = t, .text = "", .flow = flow, .column = entry.begin - l.begin};
    m.break_ = flow ? ", " : str_printf(t->arena, "\n%*s", (int)m.column, "");
    m.given.kind = TREE_MAP;
    for (uint32_t i = 0; i < map->entries.n; i++)
        vec_push(t->arena, &m.given.entries, map->entries.at[i]);
    if (value->kind != TREE_LIST) merge_map(&m, value);
    for (uint32_t i = 0; i < value->items.n; i++) merge_map(&m, value->items.at[i]);
    if (!m.fails && *m.text)
        try_edit(t,
                 try_only(t, strchr(m.text, '\n')
                                 ? "write out what it takes over"
                                 : str_printf(t->arena, "write what it takes over: %s", m.text)),
                 entry.begin, entry.end, m.text);
    leave_out(t, entry, flow, "leave out '<<'");
}

// ---- values -----------------------------------------------------------------------------------

void mend_nul(TreeText *t, const Tree *scalar, const char *value, size_t length)
{
    static const char *const said[] = {"leave it out", "write \\\\0 for a backslash and a 0"};
    for (int doubled = 0; doubled < 2; doubled++) {
        Try *try = try_new(t, said[doubled]);
        for (size_t i = 0; i < length; i++) {
            const size_t at = scalar->place[i];
            const char c = text_byte(t, at + 1);
            const size_t n = c == 'x' ? 4 : c == 'u' ? 6 : c == 'U' ? 10 : 2;
            if (value[i]) continue;
            if (doubled)
                try_edit(t, try, at, at, "\\");
            else
                try_edit(t, try, at, at + n, "");
        }
    }
}

void mend_tag(TreeText *t, size_t begin, size_t end, bool plain, bool flow)
{
    size_t value = end;
    while (line_blank(text_byte(t, value))) value++;
    const Span s = span_scan(t, value, flow);
    if (plain && s.open == SIZE_MAX && s.end > value && !strcmp(tree_slice(t, begin, end), "!!str"))
        try_write_only(t, begin, s.end, quoted_source(t, value, s.end));
    try_edit(t, try_new(t, "leave out the tag"), begin, value, "");
}

void mend_documents(TreeText *t, size_t at)
{
    const Line l = line_at(t, at);
    try_edit(t, try_new(t, "leave out '---'"), l.begin, l.next, "");
    try_edit(t, try_new(t, "write what is below it to a file of its own"), l.begin, t->size, "");
}

void mend_empty(TreeText *t)
{
    static const char said[] = "write cztc: 1, with which a file begins";
    const bool ends = !t->size || t->text[t->size - 1] == '\n';
    Line l = line_at(t, 0);
    try_edit(t, try_only(t, said), t->size, t->size, ends ? "cztc: 1\n" : "\ncztc: 1\n");
    if (!line_empty(&l) || line_behind(t, &l))
        try_edit(t, try_only(t, said), l.text, l.end, "cztc: 1");
}

void mend_alias(TreeText *t, size_t begin, size_t end)
{
    const EntrySpan item = span_comma(t, (EntrySpan){begin, end});
    try_quoted(t, begin, end);
    try_edit(t, try_new(t, "leave it out"), item.begin, item.end, "");
}

void mend_nesting(TreeText *t, size_t at)
{
    uint32_t depth = 0;
    for (size_t i = at; i < t->size; i++) {
        depth += strchr("[{", t->text[i]) != NULL;
        depth -= depth && strchr("]}", t->text[i]);
        if (depth) continue;
        if (i > at) try_edit(t, try_new(t, "leave out what is nested deeper"), at, i + 1, "");
        return;
    }
}
