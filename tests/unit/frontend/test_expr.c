// The expression parser: structure (as a fully parenthesised text), canonical text, places, and
// every error.
#include "frontend/expr.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

typedef struct Parsed {
    Arena *arena;
    Diag *diag;
    const char *source;
    const Expr *e;
} Parsed;

// Parse the text as if it stood after `k: ` on the first line of a file.
static Parsed parse(const char *text)
{
    Parsed p = {.arena = arena_new()};
    p.diag = diag_new(p.arena);
    size_t n = strlen(text);
    Tree *t = arena_make(p.arena, Tree);
    uint32_t *place = arena_array(p.arena, uint32_t, n + 1);
    p.source = str_printf(p.arena, "k: %s\n", text);
    for (size_t i = 0; i <= n; i++) place[i] = (uint32_t)(i + 3);
    *t = (Tree){.kind = TREE_SCALAR, .text = str_copy(p.arena, text), .place = place};
    t->loc = loc_in(diag_source(p.diag, "e", p.source, n + 4), 3, (uint32_t)n + 3);
    p.e = expr_parse(p.arena, p.diag, t);
    return p;
}

static const char *const op_text[] = {
    [EOP_NEG] = "-",    [EOP_POS] = "+", [EOP_NOT] = "!",       [EOP_ADD] = "+", [EOP_SUB] = "-",
    [EOP_MUL] = "*",    [EOP_DIV] = "/", [EOP_FLOORDIV] = "//", [EOP_MOD] = "%", [EOP_POW] = "**",
    [EOP_MATMUL] = "@", [EOP_LT] = "<",  [EOP_LE] = "<=",       [EOP_GT] = ">",  [EOP_GE] = ">=",
    [EOP_EQ] = "==",    [EOP_NE] = "!=", [EOP_AND] = "&",       [EOP_OR] = "|",  [EOP_IN] = "in"};

// The tree as "(op a b)", one head a kind.
static const char *shape(Arena *a, const Expr *e)
{
    if (!e) return "_";
    const char *args = "";
    for (uint32_t i = 0; i < e->nargs; i++) {
        const char *name = e->names && e->names[i] ? e->names[i] : NULL;
        args = str_printf(a, "%s %s%s%s", args, name ? name : "", name ? "=" : "",
                          shape(a, e->args[i]));
    }
    switch (e->kind) {
    case EXPR_NUMBER: return str_printf(a, e->is_int ? "%.0f" : "%g.", e->number);
    case EXPR_STRING: return str_printf(a, "'%s'", e->text);
    case EXPR_NAME: return e->text;
    case EXPR_UNARY:
    case EXPR_BINARY: return str_printf(a, "(%s%s)", op_text[e->op], args);
    case EXPR_COND: return str_printf(a, "(if%s)", args);
    case EXPR_CALL: return str_printf(a, "(call%s)", args);
    case EXPR_INDEX: return str_printf(a, "(index%s)", args);
    case EXPR_SLICE: return str_printf(a, "(slice%s)", args);
    case EXPR_MEMBER: return str_printf(a, "(.%s%s)", e->text, args);
    case EXPR_LIST: return str_printf(a, "[%s]", *args ? args + 1 : "");
    case EXPR_COMP: return str_printf(a, "(for %s%s)", e->text, args);
    }
    return "?";
}

// The text has this structure, and its canonical text (`text` itself when NULL) has it too.
static void good(const char *text, const char *want, const char *canonical)
{
    Parsed p = parse(text);
    if (!p.e) diag_print(p.diag, stderr);
    cr_assert_not_null(p.e, "%s", text);
    cr_expect_str_eq(shape(p.arena, p.e), want, "%s: %s", text, shape(p.arena, p.e));
    const char *printed = expr_text(p.arena, p.e);
    cr_expect_str_eq(printed, canonical ? canonical : text, "%s: printed %s", text, printed);
    Parsed again = parse(printed);
    cr_expect(again.e && strcmp(shape(again.arena, again.e), want) == 0, "%s", printed);
    arena_free(again.arena);
    arena_free(p.arena);
}

// The text gives one error with this message; its caret stands under `^` of the line `caret`.
static void bad(const char *text, const char *caret, const char *message)
{
    Parsed p = parse(text);
    cr_expect_null(p.e, "%s", text);
    cr_expect_eq(diag_errors(p.diag), 1u, "%s: %u errors", text, diag_errors(p.diag));
    char *out;
    size_t n;
    FILE *f = open_memstream(&out, &n);
    diag_print(p.diag, f);
    fclose(f);
    const char *want = str_printf(p.arena, "e:1:%zu: error: %s\n", strlen(caret) + 3, message);
    cr_expect_eq(strncmp(out, want, strlen(want)), 0, "%s\n--- expected\n%s--- got\n%s", text, want,
                 out);
    free(out);
    arena_free(p.arena);
}

Test(expr, operators)
{
    good("a + b * c", "(+ a (* b c))", NULL);
    good("(a + b) * c", "(* (+ a b) c)", NULL);
    good("a - b - c", "(- (- a b) c)", NULL);
    good("a - (b - c)", "(- a (- b c))", NULL);
    good("a / b // c % d @ e", "(@ (% (// (/ a b) c) d) e)", NULL);
    good("a ** b ** c", "(** a (** b c))", NULL);
    good("(a ** b) ** c", "(** (** a b) c)", NULL);
    good("-a ** 2", "(- (** a 2))", NULL);
    good("(-a) ** 2", "(** (- a) 2)", NULL);
    good("2 ** -a", "(** 2 (- a))", NULL);
    good("2 ** -a * b", "(* (** 2 (- a)) b)", NULL);
    good("-a * +b", "(* (- a) (+ b))", NULL);
    good("a - -b", "(- a (- b))", NULL);
    good("a + b < c * d", "(< (+ a b) (* c d))", NULL);
    good("not a == b and c or d", "(| (& (! (== a b)) c) d)", NULL);
    good("a and (b or c)", "(& a (| b c))", NULL);
    good("(not a) == b", "(== (! a) b)", NULL);
    good("a in b", "(in a b)", NULL);
    good("a not in b", "(! (in a b))", NULL);
    good("not a in b", "(! (in a b))", "a not in b");
    good("not not a", "(! (! a))", NULL);
    good("a   +\tb", "(+ a b)", "a + b");
    good("1-1", "(- 1 1)", "1 - 1");
    good("a if b else c", "(if a b c)", NULL);
    good("a if b else c if d else e", "(if a b (if c d e))", NULL);
    good("(a if b else c) if d else e", "(if (if a b c) d e)", NULL);
    good("1 + (a if b else c)", "(+ 1 (if a b c))", NULL);
    good("x != y", "(!= x y)", NULL);
    good("x >= y and x <= z and w > 0", "(& (& (>= x y) (<= x z)) (> w 0))", NULL);
}

Test(expr, numbers)
{
    good("350_000", "350000", "350000");
    good("1e-3", "0.001.", "0.001");
    good("0x1F", "31", "31");
    good(".5", "0.5.", "0.5");
    good("2.", "2.", "2.0");
    good("1_0.2_5e1_0", "1.025e+11.", "102500000000.0");
    good("1e30", "1e+30.", "1e30");
    good("1.5E+2", "150.", "150.0");
    good("007", "7", "7");
    good("9007199254740992", "9007199254740992", NULL);
    good("0.1", "0.1.", NULL);
    good("1e-8", "1e-08.", NULL);
    good("2.5e-7", "2.5e-07.", NULL);
    good("0.0", "0.", NULL);
    good("1.7976931348623157e308", "1.79769e+308.", NULL);
}

Test(expr, postfix)
{
    good("f()", "(call f)", NULL);
    good("f(a, b)", "(call f a b)", NULL);
    good("f(a, b,)", "(call f a b)", "f(a, b)");
    good("f(a, x=1, y=b + c)", "(call f a x=1 y=(+ b c))", NULL);
    good("f(a)(b)", "(call (call f a) b)", NULL);
    good("x[0]", "(index x 0)", NULL);
    good("x[1, 2:3]", "(index x 1 (slice 2 3 _))", NULL);
    good("x[1: 3]", "(index x (slice 1 3 _))", "x[1:3]");
    good("x[:]", "(index x (slice _ _ _))", NULL);
    good("x[::2]", "(index x (slice _ _ 2))", NULL);
    good("x[:-1]", "(index x (slice _ (- 1) _))", NULL);
    good("x[a:b:c]", "(index x (slice a b c))", NULL);
    good("visual.blocks[2:12:3].map", "(.map (index (.blocks visual) (slice 2 12 3)))", NULL);
    good("blocks.8", "(.8 blocks)", NULL);
    good("blocks.8.x", "(.x (.8 blocks))", NULL);
    good("blocks.8.9", "(.9 (.8 blocks))", NULL);
    good("f(x).5 + .5", "(+ (.5 (call f x)) 0.5.)", "f(x).5 + 0.5");
    good("x[0].5", "(.5 (index x 0))", NULL);
    good("m.in.for", "(.for (.in m))", NULL);
    good("-x.y ** 2", "(- (** (.y x) 2))", NULL);
    good("(1).x", "(.x 1)", NULL);
    good("(a + b).x", "(.x (+ a b))", NULL);
    good("(-f)(x)", "(call (- f) x)", NULL);
    good("slow.dino(slow.visual(image=v).cls)",
         "(call (.dino slow) (.cls (call (.visual slow) image=v)))", NULL);
}

Test(expr, lists)
{
    good("[]", "[]", NULL);
    good("[a, 1, \"x\"]", "[a 1 'x']", NULL);
    good("[a,]", "[a]", "[a]");
    good("[[1, 2], [3]]", "[[1 2] [3]]", NULL);
    good("[x.y for x in z]", "(for x (.y x) z _)", NULL);
    good("[x for x in z if x > 1 and y]", "(for x x z (& (> x 1) y))", NULL);
    good("[a if b else c for x in z]", "(for x (if a b c) z _)", NULL);
    good("[x for x in (a if b else c)]", "(for x x (if a b c) _)", NULL);
    good("sum(e.x for e in s if e.t == t)", "(call sum (for e (.x e) s (== (.t e) t)))",
         "sum([e.x for e in s if e.t == t])");
    good("f([x for x in y], axis=0)", "(call f (for x x y _) axis=0)", NULL);
    good("f(all=x for x in y)", "(call f all=(for x x y _))", "f(all=[x for x in y])");
}

Test(expr, strings)
{
    good("einsum(\"b h q d -> b q\", q)", "(call einsum 'b h q d -> b q' q)", NULL);
    good("'a\"b'", "'a\"b'", "\"a\\\"b\"");
    good("\"a'b\"", "'a'b'", NULL);
    good("'a\\'b\\n\\\\'", "'a'b\n\\'", "\"a'b\\n\\\\\"");
    good("\"\"", "''", NULL);
    good("\"é, [ü]\"", "'é, [ü]'", NULL);
}

Test(expr, names)
{
    good("true", "true", NULL);
    good("_x1", "_x1", NULL);
    good("iffy + format + nothing", "(+ (+ iffy format) nothing)", NULL);
}

Test(expr, operand_errors)
{
    bad("", "^", "the expression is empty");
    bad("a +", "   ^", "expected an expression after '+'");
    bad("a + * b", "    ^", "expected an expression after '+', not '*'");
    bad("* b", "^", "an expression cannot begin with '*'");
    bad("f(a, , b)", "     ^", "expected an expression after ',', not ','");
    bad("x[]", "  ^", "expected an expression after '[', not ']'");
    bad("()", " ^", "expected an expression after '(', not ')'");
    bad("not", "   ^", "expected an expression after 'not'");
    bad("a.", "  ^", "expected the name of a member after '.'");
    bad("a.+", "  ^", "expected the name of a member after '.'");
    bad("[x for 1 in y]", "       ^", "expected a name after 'for'");
    bad("[x for x of y]", "         ^", "expected 'in' after the name");
    bad("[x for x in y for z in w]", "              ^", "a list has one 'for' and one 'if'");
    bad("a if b", "      ^", "expected 'else'");
    bad("a not b", "      ^", "expected 'in' after 'not'");
}

Test(expr, rest_errors)
{
    bad("a b", "  ^", "expected an operator before 'b'");
    bad("2 x", "  ^", "expected an operator before 'x'");
    bad("f(a b)", "    ^", "expected an operator before 'b'");
    bad("a)", " ^", "')' closes nothing");
    bad("a]", " ^", "']' closes nothing");
    bad("a, b", " ^", "the expression ends before ','");
    bad("a: b", " ^", "':' belongs between brackets");
    bad("a = b", "  ^", "'=' belongs before an argument");
    bad("f(a + 1=2)", "       ^", "'=' belongs before an argument");
    bad("a else b", "  ^", "'else' without 'if'");
    bad("x for x in y", "  ^", "'for' belongs inside brackets");
    bad("f(x=1, 2)", "       ^", "an argument without a name cannot follow one with a name");
    bad("f(x=1, x=2)", "       ^", "argument 'x' is given twice");
    bad("a < b < c", "      ^", "comparisons do not chain");
    bad("a == b in c", "       ^", "comparisons do not chain");
    bad("a + not b", "    ^", "'not' is weaker than the operator before it");
}

Test(expr, bracket_errors)
{
    bad("f(a", " ^", "'(' is not closed");
    bad("f(g(a)", " ^", "'(' is not closed");
    bad("x[1:2", " ^", "'[' is not closed");
    bad("[a, b", "^", "'[' is not closed");
    bad("(a + b]", "      ^", "']' does not close '('");
    bad("f(a]", "   ^", "']' does not close '('");
    bad("x[1)", "   ^", "')' does not close '['");
    bad("(a, b)", "  ^", "expected ')' before ','");
    bad("x[1:2:3:4]", "       ^", "expected ']' before ':'");
}

Test(expr, token_errors)
{
    bad("a $ b", "  ^", "unexpected character: '$'");
    bad("a && b", "  ^", "unexpected character: '&&'");
    bad("!a", "^", "unexpected character: '!'");
    bad("a ^ 2", "  ^", "unexpected character: '^'");
    bad("x[..., 0]", "  ^", "unexpected character: '...'");
    bad("a + é", "    ^", "unexpected character: 'é'");
    bad("3x", "^", "this is not a number: '3x'");
    bad("1__0", "^", "this is not a number: '1__0'");
    bad("1_", "^", "this is not a number: '1_'");
    bad("0x", "^", "this is not a number: '0x'");
    bad("1e999", "^", "the number is too large");
    bad("9007199254740993", "^", "a whole number is at most 2 ** 53");
    bad("99999999999999999999999", "^", "a whole number is at most 2 ** 53");
    bad("f(\"a)", "  ^", "the string is not closed: '\"a)'");
    bad("\"a\\q\"", "  ^", "unknown escape in a string: '\\q'");
    bad("x.8e3", "  ^", "a member's name begins with a letter or is a number: '8e3'");
}

static char *repeated(const char *s, int n, const char *middle, const char *end)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    for (int i = 0; i < n; i++) fputs(s, f);
    fputs(middle, f);
    for (int i = 0; i < n; i++) fputs(end, f);
    fclose(f);
    return text;
}

static void check_depth(const char *s, const char *middle, const char *end, int n, bool fits)
{
    char *text = repeated(s, n, middle, end);
    Parsed p = parse(text);
    cr_expect_eq(p.e != NULL, fits, "%d x '%s'", n, s);
    cr_expect_eq(diag_errors(p.diag), fits ? 0u : 1u);
    arena_free(p.arena);
    free(text);
}

Test(expr, depth)
{
    check_depth("(", "a", ")", 190, true);
    check_depth("(", "a", ")", 100000, false);
    check_depth("[", "a", "]", 100000, false);
    check_depth("-", "a", "", 100000, false);
    check_depth("not ", "a", "", 100000, false);
    check_depth("a + ", "a", "", 190, true);
    check_depth("a + ", "a", "", 100000, false);
    check_depth("2 ** ", "a", "", 100000, false);
    check_depth("f(", "a", ")", 100000, false);
    check_depth("a if b else ", "a", "", 100000, false);
    check_depth("x", "", ".y", 100000, false);
    check_depth("f(", "x", ", y)", 190, true);
}

Test(expr, long_lists_have_no_limit)
{
    char *text = repeated("a, ", 20000, "a", "");
    char *list;
    cr_assert_geq(asprintf(&list, "[%s]", text), 0);
    Parsed p = parse(list);
    cr_assert_not_null(p.e);
    cr_expect_eq(p.e->nargs, 20001u);
    arena_free(p.arena);
    free(list);
    free(text);
}

// The bytes that a place covers.
static const char *under(const Parsed *p, Loc loc)
{
    return str_slice(p->arena, p->source + loc.begin, loc.end - loc.begin);
}

Test(expr, places)
{
    Parsed p = parse("f(a + bc, name=x.yz)[1:2] ** (d if e else g)");
    const Expr *power = p.e, *index = power->args[0], *call = index->args[0];
    cr_expect_str_eq(under(&p, power->loc), "f(a + bc, name=x.yz)[1:2] ** (d if e else g)");
    cr_expect_str_eq(under(&p, power->at), "**");
    cr_expect_str_eq(under(&p, index->loc), "f(a + bc, name=x.yz)[1:2]");
    cr_expect_str_eq(under(&p, index->at), "[");
    cr_expect_str_eq(under(&p, index->args[1]->loc), "1:2");
    cr_expect_str_eq(under(&p, index->args[1]->at), ":");
    cr_expect_str_eq(under(&p, call->loc), "f(a + bc, name=x.yz)");
    cr_expect_str_eq(under(&p, call->at), "(");
    cr_expect_str_eq(under(&p, call->args[1]->loc), "a + bc");
    cr_expect_str_eq(under(&p, call->args[1]->at), "+");
    cr_expect_str_eq(under(&p, call->name_locs[2]), "name");
    cr_expect_null(call->names[1]);
    cr_expect_str_eq(under(&p, call->args[2]->loc), "x.yz");
    cr_expect_str_eq(under(&p, call->args[2]->at), "yz");
    cr_expect_str_eq(under(&p, power->args[1]->loc), "d if e else g");
    cr_expect_str_eq(under(&p, power->args[1]->at), "if");
    arena_free(p.arena);
    p = parse("[ab.c for ab in de] + [1]");
    cr_expect_str_eq(under(&p, p.e->args[0]->loc), "[ab.c for ab in de]");
    cr_expect_str_eq(under(&p, p.e->args[0]->at), "ab");
    cr_expect_eq(p.e->args[0]->at.begin, 3u + 10u);
    cr_expect_str_eq(under(&p, p.e->args[1]->loc), "[1]");
    arena_free(p.arena);
}

Test(expr, part)
{
    Parsed p = parse("x");
    static const char text[] = "k: \"float = 1 \\u002B y\"\n";
    Tree *root = tree_read(p.arena, p.diag, diag_source(p.diag, "t", text, sizeof text - 1));
    const Tree *t = tree_get(root, "k");
    const Expr *e = expr_parse_part(p.arena, p.diag, t, 7, strlen(t->text));
    cr_assert_not_null(e);
    cr_expect_str_eq(expr_text(p.arena, e), "1 + y");
    cr_expect_eq(e->at.begin, 14u); // the escape
    cr_expect_eq(e->at.end, 20u);
    cr_expect_null(expr_parse_part(p.arena, p.diag, t, 7, 7));
    cr_expect_eq(diag_errors(p.diag), 1u);
    arena_free(p.arena);
}

Test(expr, not_a_scalar)
{
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    static const char text[] = "a: [1]\nb: {c: 1}\nd:\n";
    const Tree *root = tree_read(arena, diag, diag_source(diag, "t", text, sizeof text - 1));
    for (uint32_t i = 0; i < 3; i++)
        cr_expect_null(expr_parse(arena, diag, root->entries.at[i].value));
    cr_expect_eq(diag_errors(diag), 3u);
    arena_free(arena);
}
