// libyaml's errors in the user's words, at the place where the mend goes. Those that come from an
// expression written without quotes are repaired, so that reading goes on.
#include "frontend/tree_text.h"

#include <ctype.h>

#include <string.h>

static bool says(const char *text, const char *part)
{
    return text && strstr(text, part) != NULL;
}

// ---- what can be repaired ----------------------------------------------------------------------

static bool quote_value(TreeText *t, size_t begin, bool flow, size_t caret, const char *message)
{
    Span s = span_scan(t, begin, flow);
    Patch p = {begin, s.end, caret, message};
    if (s.open != SIZE_MAX || s.end <= begin || caret >= s.end) return false;
    for (uint32_t i = 0; i < t->patches.n; i++) // it has been tried
        if (t->patches.at[i].begin <= begin && begin < t->patches.at[i].end) return false;
    accidents_add(t, &p, 1);
    return true;
}

// Where the value begins that holds the byte `at`: after "key: " or "- " on its line; SIZE_MAX
// where none does.
static size_t value_begin(const TreeText *t, size_t at)
{
    size_t line = line_begin(t->fed, (uint32_t)at), begin = SIZE_MAX;
    size_t i = line;
    while (tree_blank(t->fed[i])) i++;
    while (t->fed[i] == '-' && i + 1 < at && tree_blank(t->fed[i + 1])) {
        for (i++; tree_blank(t->fed[i]);) i++;
        begin = i;
    }
    for (; i + 1 < at; i++) {
        if (t->fed[i] == '"' || t->fed[i] == '\'')
            i = span_quoted(t, i) - 1;
        else if (t->fed[i] == ':' && tree_blank(t->fed[i + 1])) {
            for (i++; tree_blank(t->fed[i]);) i++;
            return i < at ? i : SIZE_MAX;
        }
    }
    return begin < at ? begin : SIZE_MAX;
}

// `key: x[1: 3]`
static bool colon_inside(TreeText *t, size_t at)
{
    size_t begin = value_begin(t, at);
    if (slip_opening(t, line_at(t, at).text)) return true;
    if (begin == SIZE_MAX || strchr("\"'[{|>&*!", t->fed[begin])) return false;
    if (slip_argument(t, begin, at) || slip_round(t, begin) || slip_nested(t, begin, at) ||
        slip_line(t, begin, at))
        return true;
    return quote_value(t, begin, false, at, "': ' ends a key: quote the expression");
}

// `key: "a" + b`: libyaml's mark is behind the closing quote.
static bool after_quote(TreeText *t, size_t at)
{
    size_t begin = value_begin(t, at);
    if (begin == SIZE_MAX || (t->fed[begin] != '"' && t->fed[begin] != '\'')) return false;
    size_t end = span_quoted(t, begin);
    if (end >= t->size || end > at) return false;
    if (slip_behind(t, end)) return true;
    Span s = span_scan(t, at, false);
    Patch p = {begin, s.end, at, "the value goes on after its closing quote: quote the whole"};
    if (s.open == SIZE_MAX) accidents_add(t, &p, 1);
    return s.open == SIZE_MAX;
}

static bool first_character(TreeText *t, size_t at, bool flow)
{
    char c = at < t->size ? t->fed[at] : '\0';
    if (!c || !strchr("@`%*&!|>?", c)) return false;
    if (slip_sign(t, at)) return true;
    const char *is = c == '*'   ? "is an alias"
                     : c == '&' ? "is an anchor"
                     : c == '!' ? "is a tag"
                                : NULL;
    return quote_value(
        t, at, flow, at,
        is ? str_printf(t->arena, "a leading '%c' %s of YAML: quote the text", c, is)
           : str_printf(t->arena, "a text cannot begin with '%c' in YAML: quote it", c));
}

// Is it an entry without its sign, on the line of a place or above it?
static bool entries_above(TreeText *t, size_t at)
{
    Line l = line_at(t, at);
    const size_t column = line_indent(&l);
    return slip_entries(t, at) ||
           (line_before(t, &l) && line_indent(&l) == column && slip_entries(t, l.text));
}

void syntax_repair(TreeText *t, const yaml_parser_t *p)
{
    size_t at = tree_text_byte(t, &p->problem_mark), from = tree_text_byte(t, &p->context_mark);
    bool flow = p->flow_level > 0, done = !flow && slip_comment(t, at);
    const bool colon = says(p->problem, "mapping values are not allowed");
    if (done) return;
    if (colon || says(p->problem, "could not find expected ':'"))
        done = entries_above(t, colon ? at : from);
    if (done) return;
    if (colon)
        done = colon_inside(t, at);
    else if (says(p->problem, "cannot start any token"))
        done = first_character(t, at, flow);
    else if (says(p->context, "scanning an alias"))
        done = first_character(t, from, flow);
    else if (says(p->context, "scanning an anchor"))
        done = first_character(t, from, flow);
    else if (says(p->context, "scanning a tag"))
        done = first_character(t, from, flow);
    else if (says(p->context, "scanning a block scalar") && flow)
        done = first_character(t, from, flow);
    else if (says(p->problem, "did not find expected key") ||
             says(p->problem, "did not find expected '-' indicator"))
        done = after_quote(t, at);
    if (!done) syntax_error(t, p);
}

// ---- what cannot -------------------------------------------------------------------------------

typedef struct Row {
    const char *problem, *context; // parts of libyaml's texts; NULL fits all
    const char *message;           // NULL: libyaml's
    const char *note;              // at the context's mark; NULL for none
    const char *help;
    bool at_context; // the caret goes there
    MendFn *mend;
} Row;

static const Row rows[] = {
    {"found unexpected end of stream", "quoted scalar", "the quote is not closed", NULL, NULL, true,
     mend_quote},
    {"found unexpected document indicator", "quoted scalar", "the quote is not closed", NULL, NULL,
     true, mend_quote},
    {"expected ',' or ']'", NULL, "expected ',' or ']'", "the list begins here", NULL, false,
     mend_flow},
    {"expected ',' or '}'", NULL, "expected ',' or '}'", "the mapping begins here", NULL, false,
     mend_flow},
    {"could not find expected ':'", NULL, "expected ': ' and a value after this key", NULL,
     "a text over several lines is indented deeper than its key", true, mend_colon},
    {"mapping values are not allowed", NULL, "a key cannot stand here", NULL,
     "compare its indentation with the keys above it", false, mend_below},
    {"did not find expected key", NULL, "expected a key here", "the mapping begins here",
     "the keys of a mapping stand in one column", false, mend_column},
    {"did not find expected '-' indicator", NULL, "expected '- ' here", "the list begins here",
     "the items of a list stand in one column", false, mend_column},
    {"block sequence entries are not allowed", NULL, "a list cannot begin here", NULL,
     "begin it on a line of its own", false, mend_own_line},
    {"found a tab character", NULL, "a tab cannot indent: use spaces", NULL, NULL, false,
     mend_tabs},
    {"found character that cannot start", NULL, "a text cannot begin with this character in YAML",
     NULL, "quote the text", false, NULL},
    {"unknown escape character", NULL, "unknown escape in a double-quoted text", NULL,
     "single quotes take a backslash as it is", false, mend_escape},
    {"did not find expected node content", NULL, "expected a value here", NULL, NULL, false,
     mend_no_value},
    {"comment or line break", NULL, "expected a line break here", NULL,
     "quote a text that begins with '|' or '>'", false, mend_block_header},
    {"undefined tag handle", NULL, "tags are not part of the language", NULL,
     "quote a text that begins with '!'", true, NULL},
    {"did not find expected <document start>", NULL, "the file goes on after its value", NULL,
     "quote the whole value, or check the indentation", false, mend_second_value},
    {NULL, "scanning an alias", "a leading '*' is an alias of YAML: quote the text", NULL, NULL,
     true, NULL},
    {NULL, "scanning an anchor", "a leading '&' is an anchor of YAML: quote the text", NULL, NULL,
     true, NULL},
    {NULL, "scanning a tag", "a leading '!' is a tag of YAML: quote the text", NULL, NULL, true,
     NULL},
    {NULL, "scanning a directive", "a line cannot begin with '%'", NULL, "quote the text", true,
     mend_directive},
};

static const Row *row_of(const yaml_parser_t *p)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool problem = !rows[i].problem || says(p->problem, rows[i].problem);
        if (problem && (!rows[i].context || says(p->context, rows[i].context))) return &rows[i];
    }
    return NULL;
}

// One byte from `at`; at the end of the text the last line that has something on it.
static Loc error_loc(const TreeText *t, size_t at)
{
    while (at > 0 && at >= t->size && strchr(" \t\r\n", t->fed[at - 1])) {
        at--;
        if (at > 0 && !strchr(" \t\r\n", t->fed[at - 1])) break;
    }
    return tree_text_loc(t, at, at + 1);
}

// The end of a quoted text that begins at `open`: behind its closing quote, or the file's end.
static size_t quote_end(const TreeText *t, size_t open)
{
    size_t i = open + 1;
    for (; i < t->size; i++) {
        if (t->fed[open] == '"' && t->fed[i] == '\\')
            i++;
        else if (t->fed[i] == t->fed[open] && t->fed[open] == '\'' && t->fed[i + 1] == '\'')
            i++;
        else if (t->fed[i] == t->fed[open])
            return i + 1;
    }
    return t->size;
}

// The quote that goes on from an earlier line and ends on the line of `at`, before it; SIZE_MAX
// when there is none.
static size_t runaway_quote(const TreeText *t, size_t at)
{
    size_t line = line_begin(t->fed, (uint32_t)at), i = 0;
    char before = '\n'; // the last character that is no blank
    while (i < line) {
        char c = t->fed[i];
        bool spaced = i == 0 || strchr(" \n", t->fed[i - 1]) != NULL;
        if (c == '#' && spaced) {
            while (i < line && t->fed[i] != '\n') i++;
        } else if ((c == '"' || c == '\'') && strchr(":,[{-\n", before)) {
            size_t end = quote_end(t, i);
            if (end > line) return end <= at ? i : SIZE_MAX;
            i = end;
            before = c;
        } else {
            if (c != ' ') before = c;
            i++;
        }
    }
    return SIZE_MAX;
}

// "visual" alone on the line above a deeper key: its colon is missing. SIZE_MAX when it is not so.
static size_t bare_key(const TreeText *t, size_t at)
{
    size_t line = line_begin(t->fed, (uint32_t)at), indent, begin, end;
    for (indent = 0; t->fed[line + indent] == ' '; indent++) {
    }
    if (!line) return SIZE_MAX;
    for (begin = line - 1; begin > 0 && t->fed[begin - 1] != '\n'; begin--) {
    }
    size_t first = begin;
    while (t->fed[first] == ' ') first++;
    for (end = first; end < t->size && word_part(t->fed[end]);) end++;
    bool alone = end > first && t->fed[end] == '\n' && first - begin < indent;
    return alone ? end - 1 : SIZE_MAX;
}

// Mistakes that libyaml meets lines after they were made. True when reported.
static bool reported_late(TreeText *t, const yaml_parser_t *p, size_t at)
{
    size_t quote = runaway_quote(t, at), key = bare_key(t, at);
    if (quote != SIZE_MAX) {
        tree_error(t, quote, quote + 1, "the quote is not closed");
        diag_note(t->diag, error_loc(t, at), "it ends at the next quote, before this");
        mend_quote(t, quote, at);
        accidents_drop(t, quote);
        return true;
    }
    if (key == SIZE_MAX || !says(p->problem, "mapping values are not allowed")) return false;
    tree_error(t, key, key + 1, "expected ':' after this key");
    diag_note(t->diag, error_loc(t, at), "this key stands below it");
    mend_colon(t, key, at);
    return true;
}

// What may mend it; the row's help where nothing does.
static void add_mends(TreeText *t, const Row *row, size_t at, size_t from)
{
    const size_t begin = row && row->at_context ? from : at;
    if (row && row->mend) row->mend(t, begin, from);
    mend_line(t, begin, value_begin(t, begin < t->size ? begin : t->size));
    if (row && row->help) try_last(t, row->help);
}

// What one character tells that stands where it cannot. True when reported.
static bool reported_by_sign(TreeText *t, const yaml_parser_t *p, size_t at)
{
    const char c = at < t->size ? t->fed[at] : '\0';
    if (c == '\t' && says(p->problem, "cannot start any token")) {
        diag_error(t->diag, error_loc(t, at), "a tab cannot indent: use spaces");
        mend_tabs(t, at, at);
        return true;
    }
    if (c != ':' || !says(p->problem, "expected node content")) return false;
    diag_error(t->diag, error_loc(t, at), "there is no key before ':'");
    mend_no_key(t, at);
    return true;
}

void syntax_error(TreeText *t, const yaml_parser_t *p)
{
    size_t at = tree_text_byte(t, &p->problem_mark), from = tree_text_byte(t, &p->context_mark);
    if (p->error == YAML_MEMORY_ERROR) bug("libyaml has no memory");
    if (p->error == YAML_READER_ERROR) at = p->problem_offset;
    const Row *row = row_of(p);
    if (p->error != YAML_READER_ERROR && reported_late(t, p, at)) return;
    if (reported_by_sign(t, p, at)) return;
    if (!row) {
        diag_error(t->diag, error_loc(t, at), "YAML: %s%s%s",
                   p->problem ? p->problem : "syntax error", p->context ? " " : "",
                   p->context ? p->context : "");
        add_mends(t, NULL, at, at);
        return;
    }
    if (!p->context) from = at;
    diag_error(t->diag, error_loc(t, row->at_context ? from : at), "%s", row->message);
    if (row->note && p->context) diag_note(t->diag, error_loc(t, from), "%s", row->note);
    add_mends(t, row, at, from);
}
