// Flow collections read as their author meant them: a plain value with brackets inside is one
// expression. Where YAML would split it, that is an accident, found here before libyaml's events
// are believed.
#include "frontend/tree_text.h"

#include <ctype.h>
#include <string.h>

static char at(const TreeText *t, size_t i)
{
    return i < t->size ? t->fed[i] : '\n';
}
static bool opens(char c)
{
    return c == '(' || c == '[' || c == '{';
}
static bool closes(char c)
{
    return c == ')' || c == ']' || c == '}';
}
static bool flow_end(char c)
{
    return c == ',' || c == ']' || c == '}';
}

static bool comment_at(const TreeText *t, size_t i)
{
    return at(t, i) == '#' && (i == 0 || tree_space(t->fed[i - 1]));
}

static size_t skip_line(const TreeText *t, size_t i)
{
    while (i < t->size && t->fed[i] != '\n' && t->fed[i] != '\r') i++;
    return i;
}

// Over blanks, line breaks and comments.
static size_t skip_space(const TreeText *t, size_t i)
{
    while (i < t->size && (tree_space(t->fed[i]) || comment_at(t, i)))
        i = t->fed[i] == '#' ? skip_line(t, i) : i + 1;
    return i;
}

size_t span_quoted(const TreeText *t, size_t begin)
{
    char quote = t->fed[begin];
    for (size_t i = begin + 1; i < t->size; i++) {
        if (quote == '"' && t->fed[i] == '\\')
            i++;
        else if (t->fed[i] == quote && quote == '\'' && at(t, i + 1) == quote)
            i++;
        else if (t->fed[i] == quote)
            return i + 1;
    }
    return t->size;
}

// ---- one value ---------------------------------------------------------------------------------

typedef VEC(size_t) Opened;

// The string of an expression that begins at i inside brackets; i + 1 where the quote is an
// apostrophe.
static size_t skip_string(const TreeText *t, size_t i)
{
    for (size_t k = i + 1; k < t->size && t->fed[k] != '\n'; k++)
        if (t->fed[k] == t->fed[i]) return k + 1;
    return i + 1;
}

static bool value_ends(const TreeText *t, size_t i, bool flow)
{
    char c = at(t, i), next = at(t, i + 1);
    if (comment_at(t, i)) return true;
    if (flow) return flow_end(c) || (c == ':' && (tree_space(next) || flow_end(next)));
    return c == '\n' || c == '\r';
}

// A sign that YAML takes for its own, seen at i of an expression.
static bool misread(const TreeText *t, size_t i, bool flow, bool nested)
{
    char c = at(t, i);
    if (flow && (c == '[' || c == '{' || c == ']' || c == '}' || (c == ',' && nested))) return true;
    if (comment_at(t, i)) return true;
    return c == ':' && (tree_space(at(t, i + 1)) || (flow && flow_end(at(t, i + 1))));
}

static bool matches(char open, char close)
{
    return (open == '(' && close == ')') || (open == '[' && close == ']') ||
           (open == '{' && close == '}');
}

Span span_scan(const TreeText *t, size_t begin, bool flow)
{
    Span s = {begin, SIZE_MAX, SIZE_MAX};
    Opened open = {0};
    size_t i = begin, last = begin; // last: after the last byte that is no blank
    while (i < t->size && (open.n || i == begin || !value_ends(t, i, flow))) {
        char c = t->fed[i];
        bool string = open.n && (c == '"' || c == '\'');
        if (open.n && closes(c) && !matches(t->fed[open.at[open.n - 1]], c)) break;
        if (s.caret == SIZE_MAX && misread(t, i, flow, open.n > 0)) s.caret = i;
        if (opens(c))
            vec_push(t->arena, &open, i);
        else if (closes(c) && open.n)
            open.n--;
        i = string ? skip_string(t, i) : i + 1;
        if (!tree_space(c)) last = i;
    }
    s.end = last;
    if (open.n) s.open = open.at[open.n - 1];
    return s;
}

// ---- flow collections --------------------------------------------------------------------------

enum { MOST_ARGUMENTS = 50 }; // with a colon, of one value

typedef struct Flow {
    TreeText *t;
    Patches *found;
    size_t at;
    bool stop; // the text is not a flow collection after all; libyaml says what is wrong
} Flow;

static const char *message_at(const Flow *f, size_t i, char within)
{
    Arena *a = f->t->arena;
    const char *pair = within == '{' ? "{ }" : "[ ]";
    switch (at(f->t, i)) {
    case ',': return str_printf(a, "a comma inside %s ends the value: quote the expression", pair);
    case '[':
    case ']': return str_printf(a, "'[' inside %s begins a list: quote the expression", pair);
    case '{':
    case '}': return str_printf(a, "'{' inside %s begins a mapping: quote the text", pair);
    case '#': return "' #' begins a comment: quote the expression";
    default: return "': ' ends a key: quote the expression";
    }
}

static void add_found(Flow *f, size_t begin, size_t end, size_t caret, const char *message)
{
    vec_push(f->t->arena, f->found, (Patch){begin, end, caret, message});
    f->at = end;
}

static void plain(Flow *f, char within)
{
    size_t begin = f->at;
    Span s = span_scan(f->t, begin, true);
    for (int n = 0; n < MOST_ARGUMENTS && s.caret != SIZE_MAX && at(f->t, s.caret) == ':'; n++) {
        if (!slip_argument(f->t, begin, s.caret)) break;
        s = span_scan(f->t, begin, true);
    }
    const bool opens_value = s.caret != SIZE_MAX && strchr("[{", at(f->t, s.caret));
    size_t before = begin;
    while (before && tree_space(f->t->fed[before - 1])) before--;
    const bool key = within == '{' && before && strchr("{,", f->t->fed[before - 1]);
    if (key && opens_value && slip_opening(f->t, begin)) {
        f->stop = true;
    } else if (s.open != SIZE_MAX && s.caret == SIZE_MAX) { // `f(x`: one value for YAML too
        f->at = s.end > begin ? s.end : begin + 1;
    } else if (s.open != SIZE_MAX) {
        diag_error(f->t->diag, tree_text_loc(f->t, s.open, s.open + 1), "'%c' is not closed",
                   f->t->fed[s.open]);
        mend_unclosed(f->t, begin);
        f->t->hopeless = f->stop = true;
    } else if (s.caret != SIZE_MAX) {
        add_found(f, begin, s.end, s.caret, message_at(f, s.caret, within));
    } else {
        f->at = s.end > begin ? s.end : begin + 1;
    }
}

// True when `word` stands at i, blanks around it.
static bool word_at(const TreeText *t, size_t i, const char *word)
{
    size_t n = strlen(word);
    return i + n < t->size && strncmp(t->fed + i, word, n) == 0 && tree_space(t->fed[i + n]) &&
           i > 0 && tree_space(t->fed[i - 1]);
}

// The place of `for` in "[x for x in y" that begins at `open`; SIZE_MAX where it is no such list.
static size_t comprehension_at(const TreeText *t, size_t open)
{
    size_t begin = skip_space(t, open + 1), found = SIZE_MAX;
    if (begin >= t->size || strchr("\"'{]", t->fed[begin])) return SIZE_MAX;
    Span s = span_scan(t, begin, true);
    uint32_t depth = 0;
    for (size_t i = begin; i < s.end && s.open == SIZE_MAX; i++) {
        if (opens(t->fed[i])) depth++;
        if (closes(t->fed[i]) && depth) depth--;
        if (depth) continue;
        if (found == SIZE_MAX && word_at(t, i, "for"))
            found = i;
        else if (found != SIZE_MAX && word_at(t, i, "in"))
            return found;
    }
    return SIZE_MAX;
}

// "{00000..00331}"
static bool brace_range(const TreeText *t, size_t i)
{
    size_t digits = 0;
    for (i++; at(t, i) >= '0' && at(t, i) <= '9'; i++) digits++;
    if (!digits || at(t, i) != '.' || at(t, i + 1) != '.') return false;
    for (i += 2, digits = 0; at(t, i) >= '0' && at(t, i) <= '9'; i++) digits++;
    return digits && at(t, i) == '}';
}

static void collection(Flow *f, uint32_t depth);

// "one, "two": a quote that was meant to be closed before the comma, and closes where the next text
// begins.
static bool closes_next(const TreeText *t, size_t begin, size_t end)
{
    const char quote = t->fed[begin];
    size_t comma = end - 1;
    while (comma > begin + 1 && tree_space(t->fed[comma - 1])) comma--;
    return end > begin + 2 && t->fed[end - 1] == quote && comma > begin + 1 &&
           t->fed[comma - 1] == ',';
}

// A value that begins like a quoted scalar or a collection and ends behind it. `within`: the
// bracket around it, 0 in block style; `keep`: the accidents found before it, which stay.
static void goes_on(Flow *f, size_t begin, char within, uint32_t keep)
{
    TreeText *t = f->t;
    size_t i = f->at;
    while (at(t, i) == ' ' || at(t, i) == '\t') i++;
    char c = at(t, i), first = t->fed[begin];
    if (tree_space(c) || comment_at(t, i) || closes(c) || (within && c == ',')) return;
    if (c == ':' && (tree_space(at(t, i + 1)) || within)) return;
    bool quoted = first == '"' || first == '\'';
    bool comma = within && quoted && (c == '"' || c == '\''); // is missing, between two texts
    if (comma || (within && quoted && memchr(t->fed + begin, '\n', f->at - begin))) return;
    if (within ? slip_between(t, i) : slip_behind(t, f->at) || slip_early(t, begin, f->at)) return;
    if (!within && slip_line(t, begin, SIZE_MAX)) {
        f->stop = true;
        return;
    }
    if (quoted && within && closes_next(t, begin, f->at)) {
        tree_error(t, begin, begin + 1, "the quote is not closed");
        mend_quote(f->t, begin, begin);
        accidents_drop(f->t, begin);
        f->t->hopeless = f->stop = true;
        return;
    }
    Span s = span_scan(t, quoted ? i : begin, within != 0);
    if (s.open != SIZE_MAX) return;
    f->found->n = keep; // one accident, not one for each of its parts
    add_found(f, begin, s.end, quoted ? i : begin,
              first == '['   ? "a value that begins with '[' is a list: quote the expression"
              : first == '{' ? "a value that begins with '{' is a mapping: quote the text"
                             : "the value goes on after its closing quote: quote the whole");
}

static void node(Flow *f, char within, uint32_t depth)
{
    size_t begin = f->at;
    uint32_t keep = f->found->n;
    char c = at(f->t, begin);
    if (c == '"' || c == '\'') {
        f->at = span_quoted(f->t, begin);
    } else if (c == '[' || c == '{') {
        size_t loop = c == '[' ? comprehension_at(f->t, begin) : SIZE_MAX;
        Span s = loop != SIZE_MAX || brace_range(f->t, begin) ? span_scan(f->t, begin, within != 0)
                                                              : (Span){0, SIZE_MAX, 0};
        if (s.open == SIZE_MAX) {
            add_found(f, begin, s.end, loop != SIZE_MAX ? loop : begin,
                      loop != SIZE_MAX ? "a list comprehension is an expression: quote it"
                                       : "a brace range begins like a mapping: quote the text");
            return;
        }
        collection(f, depth + 1);
    } else {
        plain(f, within);
        return;
    }
    if (!f->stop) goes_on(f, begin, within, keep);
}

// '[' or '{' is next.
static void collection(Flow *f, uint32_t depth)
{
    const TreeText *t = f->t;
    char open = t->fed[f->at++];
    f->stop |= depth > TREE_DEPTH;
    while (!f->stop) {
        f->at = skip_space(t, f->at);
        char c = at(t, f->at);
        if (f->at >= t->size || (closes(c) && c != ')' && !matches(open, c))) {
            f->stop = true;
        } else if (matches(open, c)) {
            f->at++;
            return;
        } else if (c == ',' ||
                   ((c == ':' || c == '?') && (tree_space(at(t, f->at + 1)) || c == ':'))) {
            f->at++;
        } else if (c == '&') { // an anchor stands before its node
            do f->at++;
            while (isalnum((unsigned char)at(t, f->at)) || strchr("_-", at(t, f->at)));
        } else {
            node(f, open, depth);
        }
    }
}

void flow_accidents(TreeText *t, size_t begin, Patches *found)
{
    Flow f = {.t = t, .found = found, .at = begin};
    if (begin < t->size && (t->fed[begin] == '[' || t->fed[begin] == '{')) node(&f, 0, 0);
    // what was found may lie behind where it should have ended
    if (f.stop && !t->hopeless) found->n = 0;
}
