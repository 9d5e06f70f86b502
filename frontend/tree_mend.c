// What may mend an error of YAML's syntax: candidates, which tree_try.c tries. They are found by
// lines and their indentation, as the text is no tree.
#include "frontend/tree_text.h"

#include <ctype.h>
#include <string.h>

// ---- lines ------------------------------------------------------------------------------------

// Where the comment of a line begins, or its end; a quote opens where a value does.
static size_t comment_at(const TreeText *t, size_t begin, size_t end)
{
    char quote = 0;
    for (size_t i = begin; i < end; i++) {
        char c = t->text[i];
        if (quote) {
            if (c == quote) quote = 0;
        } else if ((c == '"' || c == '\'') && (i == begin || strchr(" [{(,", t->text[i - 1]))) {
            quote = c;
        } else if (c == '#' && (i == begin || line_blank(t->text[i - 1]))) {
            return i;
        }
    }
    return end;
}

// A line break as libyaml has it, or the last byte of one.
static bool is_break(const TreeText *t, size_t i)
{
    return t->text[i] == '\n' || (t->text[i] == '\r' && text_byte(t, i + 1) != '\n');
}

Line line_at(const TreeText *t, size_t at)
{
    Line l = {.begin = at < t->size ? at : t->size};
    while (l.begin && !is_break(t, l.begin - 1)) l.begin--;
    for (l.text = l.begin; l.text < t->size && line_blank(t->text[l.text]);) {
        if (is_break(t, l.text)) break;
        l.text++;
    }
    for (l.end = l.text; l.end < t->size && !is_break(t, l.end);) l.end++;
    l.next = l.end < t->size ? l.end + 1 : l.end;
    l.end = comment_at(t, l.text, l.end);
    while (l.end > l.text && line_blank(t->text[l.end - 1])) l.end--;
    return l;
}

bool line_empty(const Line *l)
{
    return l->end <= l->text;
}

size_t line_indent(const Line *l)
{
    return l->text - l->begin;
}

bool line_before(const TreeText *t, Line *l)
{
    while (l->begin) {
        *l = line_at(t, l->begin - 1);
        if (!line_empty(l)) return true;
    }
    return false;
}

bool line_behind(const TreeText *t, Line *l)
{
    while (l->next < t->size) {
        *l = line_at(t, l->next);
        if (!line_empty(l)) return true;
    }
    return false;
}

const char *tree_indented(const TreeText *t, size_t begin, size_t end, size_t from, size_t to)
{
    VEC(char) out = {0};
    for (size_t at = begin; at < end;) {
        const Line l = line_at(t, at);
        const size_t have = line_indent(&l), less = from < have ? from : have;
        const bool blank = l.text >= l.next || t->text[l.text] == '\n';
        const size_t next = l.next < end ? l.next : end;
        for (size_t i = 0; !blank && i < have - less + to; i++) vec_push(t->arena, &out, ' ');
        for (size_t i = blank ? at : l.text; i < next; i++) vec_push(t->arena, &out, t->text[i]);
        at = next;
    }
    vec_push(t->arena, &out, '\0');
    return out.at;
}

const char *tree_slice(const TreeText *t, size_t begin, size_t end)
{
    return str_slice(t->arena, t->text + begin, end > begin ? end - begin : 0);
}

// The line of a place, or before it, that says something; false where there is none.
static bool saying(const TreeText *t, size_t at, Line *l)
{
    *l = line_at(t, at);
    return !line_empty(l) || line_before(t, l);
}

static bool is_item(const TreeText *t, const Line *l)
{
    return text_byte(t, l->text) == '-' && line_blank(text_byte(t, l->text + 1));
}

// Its key, or all of a line that has none; at most a few words of it.
static const char *name_of(const TreeText *t, const Line *l)
{
    size_t end = l->text;
    while (end < l->end && end < l->text + 30 && t->text[end] != ':') end++;
    return tree_slice(t, l->text, end);
}

static bool has_colon(const TreeText *t, const Line *l)
{
    for (size_t i = l->text; i < l->end; i++)
        if (t->text[i] == ':' && (i + 1 == l->end || line_blank(t->text[i + 1]))) return true;
    return false;
}

static const char *spaces(const TreeText *t, size_t n)
{
    return str_printf(t->arena, "%*s", (int)n, "");
}

// ---- quotes and brackets ----------------------------------------------------------------------

static const char *in_quotes(const TreeText *t, const char *text)
{
    const char *out = "";
    if (!strpbrk(text, "\"\\")) return str_printf(t->arena, "\"%s\"", text);
    for (const char *p = text; *p; p++)
        out = str_printf(t->arena, *p == '\'' ? "%s'%c" : "%s%c", out, *p);
    return str_printf(t->arena, "'%s'", out);
}

static char closing(char open)
{
    return (char)(open == '(' ? ')' : open == '[' ? ']' : '}');
}

// Brackets of [begin, end) that are not closed in it, as what closes them.
static const char *closers(const TreeText *t, size_t begin, size_t end)
{
    const char *out = "";
    for (size_t i = begin; i < end; i++) {
        if (strchr("([{", t->text[i])) out = str_printf(t->arena, "%c%s", closing(t->text[i]), out);
        if (*out && t->text[i] == *out) out++;
    }
    return out;
}

bool line_open(const TreeText *t, const Line *l)
{
    return *closers(t, l->text, l->end) != 0;
}

// Does a line end with the sign of a text over lines?
static bool opens_text(const TreeText *t, const Line *l)
{
    size_t end = l->end;
    while (end > l->text && strchr("+-0123456789", t->text[end - 1])) end--;
    return end > l->text + 1 && strchr("|>", t->text[end - 1]) && t->text[end - 2] == ' ';
}

bool line_inside(const TreeText *t, const Line *l)
{
    Line key = *l;
    while (line_before(t, &key) && line_indent(&key) >= line_indent(l)) {
        if (key.begin == 0) break;
    }
    const bool above = key.begin < l->begin && line_indent(&key) < line_indent(l);
    const size_t from = key.begin < l->begin ? key.text : l->text;
    return (above && opens_text(t, &key)) || *closers(t, from, l->begin);
}

static void close_quote(TreeText *t, size_t quote, size_t end)
{
    const char mark[] = {t->text[quote], 0};
    while (end > quote + 1 && line_blank(t->text[end - 1])) end--;
    const char *said = str_printf(t->arena, "write %s%s", tree_slice(t, quote, end), mark);
    if (end > quote + 1) try_edit(t, try_new(t, said), end, end, mark);
}

// "text': the other quote where a value may end.
static void mend_other_quote(TreeText *t, size_t at, size_t end)
{
    const char mark[] = {t->text[at], 0}, other = *mark == '"' ? '\'' : '"';
    size_t i = at + 1;
    while (i < end && t->text[i] != other) i++;
    if (i == end || !(i + 1 == end || strchr(" ,]}", t->text[i + 1]))) return;
    const char *said = str_printf(t->arena, "write %s%s", tree_slice(t, at, i), mark);
    try_edit(t, try_only(t, said), i, i + 1, mark);
}

void mend_quote(TreeText *t, size_t at, size_t from)
{
    (void)from;
    const Line l = line_at(t, at);
    size_t end = l.begin;
    while (end < t->size && t->text[end] != '\n') end++;
    mend_other_quote(t, at, end);
    bool flow = *closers(t, l.text, at) != 0;
    for (size_t i = at + 1; i < end; i++) {
        bool comment = t->text[i] == '#' && line_blank(t->text[i - 1]);
        if (!comment && !(flow && strchr(",]}", t->text[i]))) continue;
        close_quote(t, at, i);
        break;
    }
    close_quote(t, at, end);
    try_edit(t, try_new(t, "leave out the quote"), at, at + 1, "");
}

bool key_follows(const TreeText *t, size_t i)
{
    if (text_byte(t, i) != ',') return false;
    for (i++; line_blank(text_byte(t, i));) i++;
    size_t begin = i;
    while (word_part(text_byte(t, i))) i++;
    return i > begin && text_byte(t, i) == ':';
}

void mend_unclosed(TreeText *t, size_t value)
{
    size_t end = value;
    for (; end < t->size && t->text[end] != '\n' && !key_follows(t, end); end++) {
        const char *open = closers(t, value, end);
        bool close = strchr(")]}", t->text[end]) != NULL;
        if (close && *open != t->text[end]) break;
    }
    while (end > value && line_blank(t->text[end - 1])) end--;
    const char *text = tree_slice(t, value, end);
    const char *whole = str_printf(t->arena, "%s%s", text, closers(t, value, end));
    const char *forms[] = {in_quotes(t, whole), in_quotes(t, text)};
    for (int i = 0; i < 2; i++) try_write(t, value, end, forms[i]);
}

static void close_flow(TreeText *t, size_t from, size_t end)
{
    const char mark[] = {closing(t->text[from]), 0};
    uint32_t line, column;
    if (end <= from) return;
    diag_position(t->diag, tree_text_loc(t, end, end), &line, &column);
    const char *said = str_printf(t->arena, "write '%s' at the end of line %u", mark, line);
    try_edit(t, try_new(t, said), end, end, mark);
}

// A comma before the word that ends at `at`, or before what begins there.
static void comma_before(TreeText *t, size_t at, size_t from)
{
    size_t word = at, end;
    if (text_byte(t, at) == ':')
        while (word > from + 1 && !strchr(" \t\r\n,", t->text[word - 1])) word--;
    for (end = word; end > from + 1 && strchr(" \t\r\n", t->text[end - 1]);) end--;
    if (end <= from + 1 || t->text[end - 1] == ',') return;
    if (t->text[end - 1] == ';') {
        try_edit(t, try_only(t, "write ',' in place of ';'"), end - 1, end, ",");
        return;
    }
    const bool quoted = word < t->size && strchr("\"'", t->text[word]);
    size_t behind = at > word ? at : quoted ? span_quoted(t, at) : at + 1;
    const char *said =
        str_printf(t->arena, "write a comma before '%s'", tree_slice(t, word, behind));
    if (behind <= t->size) try_edit(t, try_new(t, said), end, end, ",");
}

// at: where a comma or the bracket should stand that closes the one at `from`.
void mend_flow(TreeText *t, size_t at, size_t from)
{
    if (from >= t->size || !strchr("[{", t->text[from])) return;
    const Line first = line_at(t, from);
    Line last = line_at(t, at);
    const char right[] = {closing(t->text[from]), 0};
    bool outside =
        at >= t->size || (last.begin > from && last.text - last.begin <= line_indent(&first));
    if (at < t->size && strchr(")]}", t->text[at])) {
        const char *said = str_printf(t->arena, "write '%s' in place of '%c'", right, t->text[at]);
        try_edit(t, try_new(t, said), at, at + 1, right);
    }
    if (!outside && at < t->size) comma_before(t, at, from);
    if (at < t->size ? line_before(t, &last) : saying(t, t->size, &last))
        close_flow(t, from, last.end);
    close_flow(t, from, first.end);
    const bool closed = !*closers(t, from, t->size); // farther below
    if (outside && closed && at < t->size) comma_before(t, at, from);
    const char *said = str_printf(t->arena, "leave out the '%c'", t->text[from]);
    try_edit(t, try_new(t, said), from, from + 1, "");
}

// ---- columns ----------------------------------------------------------------------------------

// Move a line to a column, with the lines below it that belong to it or stand beside it.
static void move_lines(TreeText *t, const Line *first, size_t column, const char *as)
{
    const size_t now = line_indent(first);
    const char *where =
        column ? str_printf(t->arena, "indent it by %zu", column) : "write it in the first column";
    const char *said = str_printf(t->arena, "%s, as '%s'", where, as);
    Try *try = try_new(t, said);
    for (Line l = *first; try;) {
        const size_t to = line_indent(&l) - now + column;
        try_edit(t, try, l.begin, l.text, spaces(t, to));
        if (!line_behind(t, &l) || line_indent(&l) < now) return;
        if (line_indent(&l) > now && line_indent(&l) <= column) return; // it stands right
    }
}

// Lines, up to a place, that are moved by as much as from one column to another.
static void shift_lines(TreeText *t, Try *try, Line l, size_t until, size_t from, size_t to)
{
    while (try && l.begin < until) {
        const size_t column = line_indent(&l) + to;
        try_edit(t, try, l.begin, l.text, spaces(t, column < from ? 0 : column - from));
        if (!line_behind(t, &l)) return;
    }
}

// Is it a key alone?
static bool opens(const TreeText *t, const Line *l)
{
    return l->end > l->text && t->text[l->end - 1] == ':';
}

// The lines right above one that stand in another column than it, moved to its column: early, where
// there are lines beside it in that one; else where they stand in the column of their own key.
static void move_above(TreeText *t, const Line *line, bool early)
{
    Line first = *line, above = *line, below = *line;
    if (!line_before(t, &above) || !has_colon(t, line) || is_item(t, line)) return;
    const size_t to = line_indent(line), now = line_indent(&above);
    if (now == to) return;
    do {
        first = above;
        if (!line_before(t, &above)) return;
    } while (now > to ? line_indent(&above) >= now
                      : line_indent(&above) == now && !opens(t, &above));
    const bool beside = now < to && line_indent(&above) == to;
    const bool plain = beside || (line_behind(t, &below) && line_indent(&below) == to);
    if (!beside && (!opens(t, &above) || line_indent(&above) >= to)) return;
    if (plain != early || (!plain && line_indent(&above) != now)) return;
    if (line_indent(&first) != now || is_item(t, &first)) return;
    const char *said = str_printf(t->arena, "indent '%s' by %zu, as '%s'", name_of(t, &first), to,
                                  name_of(t, line));
    shift_lines(t, try_new(t, said), first, line->begin, now, to);
}

// The nearest line above in a column before this one's, with deeper ones between them: they are its
// own, and it belongs beside this one.
static void move_outer(TreeText *t, const Line *line)
{
    Line above = *line;
    const size_t to = line_indent(line);
    bool deeper = true, any = false;
    while (deeper && line_before(t, &above)) {
        deeper = line_indent(&above) > to;
        any |= deeper;
    }
    if (!any || deeper || line_indent(&above) >= to || !opens(t, &above)) return;
    const char *said = str_printf(t->arena, "indent '%s' by %zu, as '%s'", name_of(t, &above), to,
                                  name_of(t, line));
    try_edit(t, try_new(t, said), above.begin, above.text, spaces(t, to));
}

enum { MOST_COLUMNS = 4 };

void mend_column(TreeText *t, size_t at, size_t from)
{
    (void)from;
    Line line;
    if (!saying(t, at, &line)) return;
    const char first = t->text[line.text], out[] = {text_byte(t, at), 0};
    if (first == ':')
        try_edit(t, try_only(t, "write its key before ':', or leave out the line"), line.begin,
                 line.next, "");
    if (*out && strchr(")]}", *out))
        try_edit(t, try_only(t, str_printf(t->arena, "leave out the '%s'", out)), at, at + 1, "");
    move_above(t, &line, true);
    size_t done[MOST_COLUMNS] = {line_indent(&line)}, n = 1, least = SIZE_MAX;
    const bool item = is_item(t, &line);
    for (Line l = line; n < MOST_COLUMNS && line_before(t, &l);) {
        const bool of_item = is_item(t, &l);
        size_t text = l.text;
        while (of_item && !item && (t->text[text] == '-' || line_blank(t->text[text]))) text++;
        const size_t column = text - l.begin;
        bool known = of_item != item && item;
        for (size_t i = 0; i < n; i++) known |= done[i] == column;
        if (known || column >= least || !(item || has_colon(t, &l))) continue;
        done[n++] = least = column;
        const Line name = {.text = text, .end = l.end};
        move_lines(t, &line, column, name_of(t, &name));
    }
    move_above(t, &line, false);
    move_outer(t, &line);
}

// Lines that go on with the brackets which the line above opens, but stand in its column.
static void mend_goes_on(TreeText *t, const Line *first, const Line *above)
{
    const size_t column = line_indent(above) + 4, now = line_indent(first);
    if (now > line_indent(above) || !has_colon(t, above)) return;
    if (!line_open(t, above)) return;
    const char *said =
        str_printf(t->arena, "indent it by %zu: it goes on with '%s'", column, name_of(t, above));
    Try *try = try_only(t, said);
    for (Line l = *first; try;) {
        const size_t more = line_indent(&l) > now ? line_indent(&l) - now : 0;
        try_edit(t, try, l.begin, l.text, spaces(t, column + more));
        if (!*closers(t, above->text, l.end) || !line_behind(t, &l)) return;
    }
}

// `key value`
static void mend_bare(TreeText *t, const Line *l)
{
    size_t word = l->text;
    while (word < l->end && (isalnum((unsigned char)t->text[word]) || strchr("_.*", t->text[word])))
        word++;
    if (word == l->text || !line_blank(text_byte(t, word)) || word >= l->end) return;
    const char *key = tree_slice(t, l->text, word), *said;
    said = str_printf(t->arena, "write '%s:%s'", key, tree_slice(t, word, l->end));
    try_edit(t, try_new(t, said), word, word, ":");
}

// The line of `at` has no colon, though it may be a key.
void mend_colon(TreeText *t, size_t at, size_t from)
{
    (void)from;
    Line l, above, below;
    if (!saying(t, at, &l) || has_colon(t, &l)) return;
    above = below = l;
    const char *name = tree_slice(t, l.text, l.end);
    const bool word = !strpbrk(name, " \t,()\"'");
    const bool key = word && line_behind(t, &below) && line_indent(&below) > line_indent(&l);
    const char *said = str_printf(t->arena, "write '%s:'", name);
    if (line_before(t, &above)) mend_goes_on(t, &l, &above);
    above = l;
    if (*name == '[' && name[strlen(name) - 1] == ']' && !strpbrk(name, " ,")) { // [section]
        const char *section = str_printf(t->arena, "%s:", tree_slice(t, l.text + 1, l.end - 1));
        try_edit(t, try_only(t, str_printf(t->arena, "write '%s'", section)), l.text, l.end,
                 section);
    }
    EntryText entry;
    if (slip_entry(t, l.text, l.end, &entry) && entry.plain)
        try_edit(t, try_only(t, str_printf(t->arena, "write '%s'", entry.said)), l.text, l.end,
                 entry.said);
    if (word) try_edit(t, (key ? try_only : try_new)(t, said), l.end, l.end, ":");
    if (line_before(t, &above)) {
        const size_t column = line_indent(&above) + 2;
        const char *deeper = str_printf(t->arena, "indent it by %zu: it goes on with '%s'", column,
                                        name_of(t, &above));
        try_edit(t, try_new(t, deeper), l.begin, l.text, spaces(t, column));
    }
    mend_bare(t, &l);
    const char *comment = str_printf(t->arena, "make '%s' a comment, with '# ' before it", name);
    try_edit(t, try_new(t, comment), l.text, l.text, "# ");
    if (!word) try_edit(t, try_new(t, said), l.end, l.end, ":");
}

// A key stands below a line to which it cannot belong.
void mend_below(TreeText *t, size_t at, size_t from)
{
    Line l = line_at(t, at);
    mend_column(t, at, from);
    if (line_before(t, &l)) mend_colon(t, l.text, from);
}

void mend_tabs(TreeText *t, size_t at, size_t from)
{
    (void)at, (void)from;
    bool mixed = false; // then it depends on their width below what a line stands
    for (Line l = line_at(t, 0); !mixed; l = line_at(t, l.next)) {
        mixed = l.text > l.begin && memchr(t->text + l.begin, ' ', l.text - l.begin);
        if (l.next >= t->size) break;
    }
    for (size_t width = 2; width <= 8; width *= 2) {
        const char *said = str_printf(t->arena, "write %zu spaces in place of each tab", width);
        Try *try = (mixed ? try_new : try_only)(t, said);
        for (Line l = line_at(t, 0); try; l = line_at(t, l.next)) {
            size_t n = 0;
            for (size_t i = l.begin; i < l.text; i++) n += t->text[i] == '\t';
            if (n) try_edit(t, try, l.begin, l.text, spaces(t, l.text - l.begin + n * (width - 1)));
            if (l.next >= t->size) break;
        }
    }
}

// ---- values -----------------------------------------------------------------------------------

// \d in a double-quoted text, which begins at `from`.
void mend_escape(TreeText *t, size_t at, size_t from)
{
    (void)at;
    const size_t end = span_quoted(t, from);
    const char *text = tree_slice(t, from + 1, end - 1), *doubled = "";
    if (end <= from + 1 || strchr(text, '\n')) return;
    for (const char *p = text; *p; p++) {
        const bool known = *p == '\\' && p[1] && strchr("0abtnvfre\"/\\N_LPxuU \t", p[1]);
        doubled = str_printf(t->arena, *p == '\\' && !known ? "%s\\%c" : "%s%c", doubled, *p);
        if (known) doubled = str_printf(t->arena, "%s%c", doubled, *++p);
    }
    const char *single = str_printf(t->arena, "'%s'", text);
    doubled = str_printf(t->arena, "\"%s\"", doubled);
    if (!strchr(text, '\'') && !strstr(text, "\\\""))
        try_edit(t, try_new(t, str_printf(t->arena, "write %s, as single quotes take it", single)),
                 from, end, single);
    try_write(t, from, end, doubled);
}

// The end of a value that begins on the line of `at`, with the deeper lines below.
static size_t value_end(const TreeText *t, size_t at)
{
    Line l = line_at(t, at);
    const size_t indent = line_indent(&l);
    size_t end = l.end;
    while (line_behind(t, &l) && line_indent(&l) > indent) end = l.end;
    return end;
}

// `key: |text`: `at` is behind the sign.
void mend_block_header(TreeText *t, size_t at, size_t from)
{
    Line below = line_at(t, at);
    const size_t indent = line_indent(&below), end = value_end(t, from);
    const bool deeper = line_behind(t, &below) && line_indent(&below) > indent;
    const char *line =
        str_printf(t->arena, "\n%s", spaces(t, deeper ? line_indent(&below) : indent + 2));
    try_edit(t, try_new(t, "begin the text on the next line"), at, at, line);
    try_quoted(t, from, end);
}

// All lines before this one moved to its column; or it to theirs.
static void one_column(TreeText *t, const Line *line)
{
    Line first = line_at(t, 0);
    if (line_empty(&first) && !line_behind(t, &first)) return;
    const size_t now = line_indent(&first), to = line_indent(line);
    if (first.begin >= line->begin || now <= to) return;
    const char *said = str_printf(t->arena, "indent the lines above it by %zu less", now - to);
    shift_lines(t, try_new(t, said), first, line->begin, now, to);
    move_lines(t, line, now, name_of(t, &first));
}

// The file goes on at `at` behind its value.
void mend_second_value(TreeText *t, size_t at, size_t from)
{
    const Line line = line_at(t, at);
    Line above = line;
    if (line_before(t, &above) && !strcmp(tree_slice(t, above.text, above.end), "..."))
        try_edit(t, try_only(t, "leave out '...'"), above.begin, above.next, "");
    one_column(t, &line);
    mend_column(t, at, from);
}

// A comma, or a bracket, where a value should be.
void mend_no_value(TreeText *t, size_t at, size_t from)
{
    (void)from;
    if (at >= t->size || !strchr(",)]}", t->text[at])) return;
    size_t end = at + 1;
    while (t->text[at] == ',' && line_blank(text_byte(t, end))) end++;
    const char *out = str_printf(t->arena, "leave out the '%c'", t->text[at]);
    try_edit(t, try_new(t, out), at, end, "");
    if (t->text[at] == ',') try_edit(t, try_new(t, "write null before it"), at, at, "null");
}

// `key: - item`
void mend_own_line(TreeText *t, size_t at, size_t from)
{
    (void)from;
    const Line l = line_at(t, at);
    Line below = l;
    size_t begin = at, indent = line_indent(&l) + 2;
    if (line_behind(t, &below) && is_item(t, &below) && line_indent(&below) >= indent)
        indent = line_indent(&below);
    while (begin > l.begin && line_blank(t->text[begin - 1])) begin--;
    if (l.end <= at + 1) {
        try_edit(t, try_new(t, "leave out the '-'"), begin, at + 1, "");
        return;
    }
    Try *try = try_new(t, "begin the list on a line of its own");
    try_edit(t, try, begin, at, str_printf(t->arena, "\n%s", spaces(t, indent)));
    if (l.end > at + 2)
        try_write(t, at, l.end, str_printf(t->arena, "[%s]", tree_slice(t, at + 2, l.end)));
}

// `%x: 1`, which begins a line.
void mend_directive(TreeText *t, size_t at, size_t from)
{
    (void)from;
    const Line l = line_at(t, at);
    size_t end = at;
    while (end < l.end && t->text[end] != ':') end++;
    try_quoted(t, at, end);
    try_edit(t, try_new(t, "make it a comment, with '# ' before it"), at, at, "# ");
}

void mend_line(TreeText *t, size_t at, size_t value)
{
    Line l;
    if (!saying(t, at, &l)) return;
    if (value < l.end && value > l.text) {
        const char *quoted = quoted_source(t, value, l.end);
        try_edit(t, try_last(t, str_printf(t->arena, "write %s", quoted)), value, l.end, quoted);
    }
    try_edit(t, try_last(t, "leave out the line"), l.begin, l.next, "");
}
