// Mends of a text that is no expression: candidates around the place where its parsing ended, of
// which those are guesses that are expressions.
#include "frontend/guess.h"
#include "frontend/rewrite.h"

#include <ctype.h>

typedef struct Text {
    Elab *el;
    const Tree *scalar;
    const char *s;
    size_t n, begin, end; // its length; where what is wrong stands
} Text;

static bool parses(const char *text)
{
    Arena *arena = arena_new();
    const size_t n = strlen(text);
    Tree scalar = {.kind = TREE_SCALAR, .text = text, .place = arena_array(arena, uint32_t, n + 1)};
    const bool ok = expr_parse(arena, diag_new(arena), &scalar);
    arena_free(arena);
    return ok;
}

// Without the blanks that something has left which stood between them.
static const char *tidy(Arena *arena, const char *text)
{
    char *out = str_copy(arena, text), *to = out;
    for (const char *p = text; *p; p++) {
        const bool blank =
            *p == ' ' && (to == out || to[-1] == ' ' || !p[1] || strchr(" ,)]", p[1]));
        if (!blank) *to++ = *p;
    }
    while (to > out && to[-1] == ' ') to--;
    *to = 0;
    return out;
}

// The whole text is written again, but where it stands in lines of its own.
static void put(const Text *t, size_t begin, size_t end, const char *text)
{
    Elab *el = t->el;
    const char *whole = str_printf(el->arena, "%.*s%s%s", (int)begin, t->s, text, t->s + end);
    if (begin > end || !parses(whole)) return;
    if (!strpbrk(whole, "\"'")) whole = tidy(el->arena, whole);
    const char *source = diag_source_text(el->diag, t->scalar->loc.source, NULL);
    const bool block = t->n && strchr("|>", source[t->scalar->loc.begin]);
    const Loc at = block ? tree_place(t->scalar, begin, end) : t->scalar->loc;
    const char *piece = *text ? text : str_slice(el->arena, t->s + begin, end - begin);
    const char *said = block ? str_printf(el->arena, "'%s'", piece) : whole;
    guess_sure(el, at, block ? text : quoted(el, at, whole), said);
}

// ---- candidates -------------------------------------------------------------------------------

// What stands for it in other languages, and what here.
static void put_word(const Text *t)
{
    static const char *const words[][2] = {
        {"...", ":"}, {"..", "."}, {"->", "."}, {"=", "=="},
        {";", ","},   {"\\", "/"}, {")", "]"},  {"]", ")"},
    };
    const char *tok = str_slice(t->el->arena, t->s + t->begin, t->end - t->begin);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i][0], tok) == 0) put(t, t->begin, t->end, words[i][1]);
    if (*tok == ':') put(t, t->begin, t->end + (t->s[t->end] == ' '), "=");
}

// c ? a : b
static void put_choice(const Text *t)
{
    const char *colon = strchr(t->s + t->end, ':');
    if (t->s[t->begin] != '?' || !colon) return;
    const char *text =
        str_printf(t->el->arena, "%.*s if %.*s else %s", (int)(colon - t->s - (ptrdiff_t)t->end),
                   t->s + t->end, (int)t->begin, t->s, colon + 1);
    while (*text == ' ') text++;
    put(t, 0, t->n, text);
}

// {a, b}
static void put_list(const Text *t)
{
    char *text = str_copy(t->el->arena, t->s);
    for (char *p = text; *p; p++) *p = *p == '{' ? '[' : *p == '}' ? ']' : *p;
    if (t->s[t->begin] == '{') put(t, 0, t->n, text);
    if (t->s[t->begin] == ',') put(t, 0, t->n, str_printf(t->el->arena, "[%s]", t->s));
}

// (a, b): each pair of brackets that calls nothing and has a comma of its own.
static void put_tuples(const Text *t)
{
    char *text = str_copy(t->el->arena, t->s);
    VEC(size_t) open = {0};
    VEC(bool) comma = {0};
    for (size_t i = 0; i < t->n && !strchr("\"'", t->s[i]); i++) {
        const char c = t->s[i];
        if (strchr("([{", c)) {
            vec_push(t->el->arena, &open, i);
            vec_push(t->el->arena, &comma, false);
        }
        if (!open.n) continue;
        const size_t begin = open.at[open.n - 1];
        const bool call = t->s[begin] != '(' || (begin && word_part(t->s[begin - 1]));
        if (c == ',') comma.at[comma.n - 1] = true;
        if (!strchr(")]}", c)) continue;
        if (!call && c == ')' && comma.at[comma.n - 1]) text[begin] = '[', text[i] = ']';
        open.n--, comma.n--;
    }
    if (strcmp(text, t->s)) put(t, 0, t->n, text);
}

// f(x, width: 3): each name before a colon in round brackets is an argument's.
static void put_arguments(const Text *t)
{
    char *text = arena_alloc(t->el->arena, t->n + 1), *to = text;
    int round = 0;
    for (size_t i = 0; i < t->n; i++) {
        const char c = t->s[i];
        if (strchr("\"'[{", c)) return;
        round += (c == '(') - (c == ')');
        const bool names = c == ':' && round > 0 && i && word_part(t->s[i - 1]);
        *to++ = names ? '=' : c;
        if (names && t->s[i + 1] == ' ') i++;
    }
    *to = '\0';
    if (strcmp(text, t->s)) put(t, 0, t->n, text);
}

// May a name be called?
static bool is_callee(const Elab *el, const char *name)
{
    const Binding *b = map_get(&el->defs, name);
    return builtin_find(name) || (b && (b->value.kind == V_FUNCTION || b->value.kind == V_MODULE));
}

// fx, 3): where a name begins with that of a function, and a bracket is not opened.
static void put_call(const Text *t)
{
    int open = 0;
    for (size_t i = 0; i < t->n; i++) open += (t->s[i] == '(') - (t->s[i] == ')');
    for (size_t i = 0; open < 0 && i < t->begin; i++) {
        if (!isalpha((unsigned char)t->s[i]) || (i && word_part(t->s[i - 1]))) continue;
        size_t end = i;
        while (word_part(t->s[end])) end++;
        for (; end > i; end--)
            if (is_callee(t->el, str_slice(t->el->arena, t->s + i, end - i))) put(t, end, end, "(");
    }
}

// A bracket or a quote that has no other one, which may be missing at an end, or be too much.
static void put_other_end(const Text *t)
{
    static const char opening[] = "([{\"'", closing[] = ")]}\"'";
    const char c = t->s[t->begin], *open = c ? strchr(opening, c) : NULL;
    const char *close = c && !open ? strchr(closing, c) : NULL;
    if (open) put(t, t->n, t->n, (char[]){closing[open - opening], 0});
    if (close) put(t, t->begin, t->end, "");
    if (close) put(t, 0, 0, (char[]){opening[close - closing], 0});
    if (open) put(t, t->begin, t->begin + 1, "");
}

// What may be missing before an operand: as between arguments, or between factors.
static void put_between(const Text *t)
{
    static const char *const signs[] = {"=", ", ", " * ", " + "};
    const char c = t->s[t->begin];
    size_t before = t->begin;
    while (before && t->s[before - 1] == ' ') before--;
    if (!isalnum((unsigned char)c) && !strchr("_\"'.", c ? c : '(')) return;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) put(t, before, t->begin, signs[i]);
}

// What may be missing at the end, and what may be too much there or here.
static void put_rest(const Text *t)
{
    size_t before = t->begin;
    while (before && t->s[before - 1] == ' ') before--;
    size_t sign = before;
    while (sign && strchr("+-*/%@<>=,.", t->s[sign - 1])) sign--;
    const char *choice = strstr(t->s, " if ");
    if (t->begin == t->n && choice)
        put(t, t->n, t->n, str_printf(t->el->arena, " else %.*s", (int)(choice - t->s), t->s));
    if (t->begin == t->n) put(t, t->n, t->n, " else 0");
    put(t, sign, t->begin, sign ? " " : "");
    put(t, sign, t->n, "");
    put(t, t->begin, t->end, "");
    if (t->begin < t->n) put(t, t->begin, t->begin + 1, "");
    put(t, before, t->n, "");
    size_t digits = t->begin; // of 1e
    while (digits < t->end && strchr("0123456789._", t->s[digits])) digits++;
    if (digits > t->begin) put(t, digits, t->end, "");
    if (digits > t->begin) put(t, t->end, t->end, "-3");
}

// Where a comment as other languages write it begins in a line: behind a value, all of which stands
// there, before a place. SIZE_MAX: nowhere.
static size_t comment_before(const char *s, size_t line, size_t at)
{
    int depth = 0;
    for (size_t i = line; i < at && s[i] && !strchr("\n\"'#{", s[i]); i++) {
        depth += (strchr("([", s[i]) != NULL) - (strchr(")]", s[i]) != NULL);
        if (!depth && i > line && s[i - 1] == ' ' && !strncmp(s + i, "//", 2)) return i;
    }
    return SIZE_MAX;
}

void guess_comment(Elab *el, Loc at)
{
    const char *s = diag_source_text(el->diag, at.source, NULL);
    if (!s || !is_users(el, at)) return;
    size_t line = at.begin, end = at.begin, value;
    while (line && s[line - 1] != '\n') line--;
    while (s[end] && s[end] != '\n') end++;
    const size_t comment = comment_before(s, line, at.end > at.begin ? at.end : end);
    if (comment == SIZE_MAX) return;
    for (value = line; s[value] == ' ';) value++;
    const char *said = str_printf(el->arena, "%.*s#%.*s", (int)(comment - value), s + value,
                                  (int)(end - comment - 2), s + comment + 2);
    const Turn turn = el->turn;
    el->turn = TURN_FIRST;
    guess_sure(el, loc_in(at.source, (uint32_t)comment, (uint32_t)comment + 2), "#", said);
    el->turn = turn;
}

void guess_syntax(Elab *el, const Tree *scalar)
{
    Loc at;
    Text t = {.el = el, .scalar = scalar, .s = scalar->text};
    if (el->options->no_trials || scalar->kind != TREE_SCALAR || !diag_last(el->diag, &at)) return;
    if (!is_users(el, at) || at.source != scalar->loc.source) return;
    t.n = strlen(t.s);
    while (t.begin < t.n && tree_place(scalar, t.begin, t.begin).begin < at.begin) t.begin++;
    for (t.end = t.begin; t.end < t.n && tree_place(scalar, t.end, t.end).begin < at.end;) t.end++;
    put_tuples(&t);
    guess_anyway(el, (Loc){0}); // what is wrong behind it may be the same
    put_arguments(&t);
    put_word(&t);
    put_call(&t);
    put_choice(&t);
    put_list(&t);
    guess_comment(el, at);
    put_other_end(&t);
    put_between(&t);
    put_rest(&t);
}
