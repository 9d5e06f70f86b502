// Signs of other languages where YAML has its own: comments, quotes, arguments, entries. Those that
// take as many bytes as ours are reported and set right in what is read; of the others a candidate
// is tried, and the reading ends.
#include "frontend/tree_text.h"

#include <ctype.h>
#include <string.h>

// Of a key, which --set and check: have as a path with stars.
static bool is_key(char c)
{
    return word_part(c) || c == '.' || c == '*';
}

static size_t before_blanks(const TreeText *t, size_t begin, size_t i)
{
    while (i > begin && tree_blank(t->fed[i - 1])) i--;
    return i;
}

// Bytes in the place of as many, in what is fed and in what the tree is made of.
static void write_over(TreeText *t, size_t i, const char *bytes)
{
    if (!t->cleaned) t->text = t->cleaned = arena_copy(t->arena, t->text, t->size);
    memcpy(t->cleaned + i, bytes, strlen(bytes));
    memcpy(t->fed + i, bytes, strlen(bytes));
    t->repairs++;
}

// ---- signs before a value ----------------------------------------------------------------------

bool slip_sign(TreeText *t, size_t begin)
{
    const char c = fed_at(t, begin);
    size_t end = begin + 1;
    if (!(c == '@' || c == '`') || !word_part(fed_at(t, end))) return false;
    while (c == '`' && end < t->size && t->fed[end] != '\n' && t->fed[end] != '`') end++;
    if (c == '`' && fed_at(t, end) != '`') return false;
    tree_error(t, begin, begin + 1,
               c == '`' ? "'`' quotes nothing here" : "a name stands without '@'");
    diag_help(t->diag, c == '`' ? "leave out both" : "leave out the '@'");
    diag_mend(t->diag, tree_text_loc(t, begin, begin + 1), "");
    if (c == '`') diag_mend_also(t->diag, tree_text_loc(t, end, end + 1), "");
    write_over(t, begin, " ");
    if (c == '`') write_over(t, end, " ");
    return true;
}

// A typographic quotation mark: U+2018 to U+201F.
static bool is_mark(const TreeText *t, size_t i)
{
    return i + 2 < t->size && !memcmp(t->fed + i, "\xe2\x80", 2) &&
           (unsigned char)t->fed[i + 2] >= 0x98 && (unsigned char)t->fed[i + 2] <= 0x9f;
}

// Is it the value of a key that is a text for people?
static bool is_prose(const TreeText *t, size_t begin)
{
    const Line l = line_at(t, begin);
    const char *line = tree_slice(t, l.text, begin);
    return !strcmp(line, "doc: ") || !strcmp(line, "name: ");
}

bool slip_marks(TreeText *t, size_t begin, size_t last)
{
    size_t end = begin + 3;
    if (!is_mark(t, begin) || is_prose(t, begin)) return false;
    while (end < last && !strchr("\n\"\\", t->fed[end]) && !is_mark(t, end)) end++;
    if (!is_mark(t, end) || end + 3 != last) return false;
    const char *text = str_printf(t->arena, "\"%s\"", tree_slice(t, begin + 3, end));
    tree_error(t, begin, begin + 3, "this is no quote of YAML");
    diag_help(t->diag, "write %s", text);
    diag_mend(t->diag, tree_text_loc(t, begin, end + 3), text);
    write_over(t, begin, "  \"");
    write_over(t, end, "\"  ");
    return true;
}

// ---- comments ----------------------------------------------------------------------------------

// The size of the sign with which other languages begin a comment; 0 where a line begins with none.
static size_t comment_sign(const TreeText *t, const Line *l)
{
    static const char *const signs[] = {"//", "/*", "<!--", "; ", "% ", "-- "};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        const size_t n = strlen(signs[i]);
        if (l->text + n <= t->size && !memcmp(t->fed + l->text, signs[i], n))
            return n - (signs[i][n - 1] == ' ');
    }
    return 0;
}

bool slip_comment(TreeText *t, size_t place)
{
    Line l = line_at(t, place);
    const size_t column = line_indent(&l);
    size_t n = comment_sign(t, &l);
    if (!n && line_before(t, &l) && line_indent(&l) == column) n = comment_sign(t, &l);
    if (!n || line_empty(&l) || line_inside(t, &l)) return false;
    accidents_drop(t, l.text);
    tree_error(t, l.text, l.text + n, "a comment begins with '#'");
    diag_help(t->diag, "write '#' in place of '%s'", tree_slice(t, l.text, l.text + n));
    diag_mend(t->diag, tree_text_loc(t, l.text, l.text + n), "#");
    write_over(t, l.text, "#");
    return true;
}

// ---- calls -------------------------------------------------------------------------------------

// f(x, name: value)
bool slip_argument(TreeText *t, size_t begin, size_t colon)
{
    size_t word = colon, depth = 0;
    while (word > begin && word_part(t->fed[word - 1])) word--;
    size_t i = before_blanks(t, begin, word);
    if (word == colon || i == begin || !strchr("(,", t->fed[i - 1])) return false;
    for (; i > begin; i--) {
        const char c = t->fed[i - 1];
        if (!depth && strchr("([{", c)) break;
        depth += strchr(")]}", c) != NULL;
        depth -= strchr("([{", c) != NULL;
    }
    if (i < begin + 2 || t->fed[i - 1] != '(' || !word_part(t->fed[i - 2])) return false;
    tree_error(t, word, colon + 1, "an argument of a call is written name=value");
    diag_help(t->diag, "write %s=", tree_slice(t, word, colon));
    diag_mend(t->diag, tree_text_loc(t, colon, fed_skip(t, colon + 1)), "=");
    write_over(t, colon, "=");
    return true;
}

// ---- entries -----------------------------------------------------------------------------------

// An entry `key:value` or `key = value`: where its sign and what goes with it lie.
typedef struct KeySign {
    size_t begin, end;
    bool colon;
} KeySign;

static bool key_sign(const TreeText *t, const Line *l, KeySign *s)
{
    size_t word = l->text;
    while (is_key(fed_at(t, word))) word++;
    const size_t sign = fed_skip(t, word);
    size_t value = fed_skip(t, sign + 1);
    *s = (KeySign){word, value, fed_at(t, sign) == ':'};
    if (word == l->text || isdigit((unsigned char)t->fed[l->text]) || value >= l->end) return false;
    const bool apart = value > sign + 1;
    while (!strncmp(t->fed + value, "\xc2\xa0", 2)) value += 2; // a blank that does not break
    s->end = value;
    if (s->colon) return sign == word && !apart && !strchr(":/\\", t->fed[value]);
    return fed_at(t, sign) == '=' && t->fed[value] != '=';
}

// `key:,`
static bool comma_behind(TreeText *t, const Line *l, const KeySign *s)
{
    if (!s->colon || s->end + 1 != l->end || !strchr(",;", t->fed[s->end])) return false;
    tree_error(t, s->end, l->end, "'%c' stands behind the key", t->fed[s->end]);
    diag_help(t->diag, "leave out the '%c'", t->fed[s->end]);
    diag_mend(t->diag, tree_text_loc(t, s->end - 1, l->end), ":");
    write_over(t, s->end, " ");
    return true;
}

// `key {..}`, `key [..]`
bool slip_opening(TreeText *t, size_t begin)
{
    const size_t word = begin + word_size(t->fed + begin);
    const size_t open = fed_skip(t, word);
    if (word == begin || open == word || !strchr("{[", fed_at(t, open)) || !fed_at(t, open))
        return false;
    tree_error(t, word, word + 1, "a key ends with ':'");
    const char *said =
        str_printf(t->arena, "write '%s: %c'", tree_slice(t, begin, word), fed_at(t, open));
    try_edit(t, try_only(t, said), word, word, ":");
    return t->hopeless = true;
}

bool slip_entries(TreeText *t, size_t place)
{
    const Line l = line_at(t, place);
    Line first = l, next = l;
    KeySign s;
    if (line_empty(&l) || !key_sign(t, &l, &s)) return false;
    if (comma_behind(t, &l, &s)) return true;
    if (line_inside(t, &l)) return false; // f(x,\n y=1)
    while (line_before(t, &next) && line_indent(&next) == line_indent(&l) && key_sign(t, &next, &s))
        first = next;
    key_sign(t, &first, &s);
    const size_t sign = fed_skip(t, s.begin);
    tree_error(t, sign, sign + 1,
               s.colon ? "a blank is missing behind ':'" : "a key ends with ':'");
    next = first;
    const bool one = !line_behind(t, &next) || line_indent(&next) != line_indent(&first) ||
                     !key_sign(t, &next, &s);
    key_sign(t, &first, &s);
    const char *key = tree_slice(t, first.text, s.begin);
    const char *said =
        one ? str_printf(t->arena, "write '%s: %s'", key, tree_slice(t, s.end, first.end))
            : str_printf(t->arena, "write '%s: ', and ': ' on the lines below", key);
    Try *try = try_only(t, said);
    for (next = first; line_indent(&next) == line_indent(&first) && key_sign(t, &next, &s);) {
        try_edit(t, try, s.begin, s.end, ": ");
        if (!line_behind(t, &next)) break;
    }
    accidents_drop(t, first.text);
    return t->hopeless = true;
}

// Where a key begins on the line that has a value already, behind a comma or a blank at i; 0: none.
static size_t next_key(const TreeText *t, size_t begin, size_t i)
{
    if (key_follows(t, i)) return fed_skip(t, i + 1);
    size_t word = fed_skip(t, i), end = word;
    while (is_key(fed_at(t, end))) end++;
    const bool key = end > word && fed_at(t, end) == ':' && tree_blank(fed_at(t, end + 1));
    return i > begin && word > i && !tree_blank(t->fed[i - 1]) && key ? word : 0;
}

// `key: value, other: value`, `key: value other: value`
bool slip_line(TreeText *t, size_t begin, size_t colon)
{
    const Line l = line_at(t, begin);
    size_t depth = 0, key = l.text;
    while (fed_at(t, key) == '-' && tree_blank(fed_at(t, key + 1))) key = fed_skip(t, key + 1);
    const char *column = str_printf(t->arena, "\n%*s", (int)(key - l.begin), "");
    Try *try = NULL;
    bool any = false;
    if (begin >= l.end) return false;
    for (size_t i = begin, next; i < l.end; i++) {
        depth += strchr("([{", t->fed[i]) != NULL;
        depth -= depth && strchr(")]}", t->fed[i]);
        if (depth || !(next = next_key(t, begin, i))) continue;
        if (!any && next > colon) return false;
        if (!any) {
            tree_error(t, next, next + 1, "this would be a second key on the line");
            const char *said =
                str_printf(t->arena, "begin a line before '%s'", tree_slice(t, next, l.end));
            try = try_new(t, said);
        }
        any = true;
        try_edit(t, try, i, next, column);
        i = next - 1;
    }
    if (!any) return false;
    try_quoted(t, begin, l.end);
    return t->hopeless = true;
}

// `key: {a: 1}, b: 2}`: the bracket closes too early, before `end`.
bool slip_early(TreeText *t, size_t begin, size_t end)
{
    const Line l = line_at(t, end);
    const size_t sign = end - 1;
    if (fed_at(t, begin) != '{' || !key_follows(t, fed_skip(t, end)) || t->fed[l.end - 1] != '}')
        return false;
    tree_error(t, sign, end, "the mapping goes on behind its '}'");
    diag_help(t->diag, "leave out the '}'");
    diag_mend(t->diag, tree_text_loc(t, sign, end), "");
    write_over(t, sign, " ");
    return true;
}
