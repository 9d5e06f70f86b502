// A syntax tree back to text with the fewest parentheses; parsing it again gives the same tree.
#include "frontend/expr.h"

#include <stdlib.h>
#include <string.h>

// How tightly an expression holds together, as in the grammar.
enum { P_COND, P_OR, P_AND, P_NOT, P_COMPARE, P_SUM, P_TERM, P_UNARY, P_POWER, P_ATOM };

typedef struct Out {
    Arena *arena;
    VEC(char) text;
} Out;

static const struct {
    const char *text;
    int level;
} ops[] = {
    [EOP_NEG] = {"-", P_UNARY},     [EOP_POS] = {"+", P_UNARY},
    [EOP_NOT] = {"not ", P_NOT},    [EOP_ADD] = {" + ", P_SUM},
    [EOP_SUB] = {" - ", P_SUM},     [EOP_MUL] = {" * ", P_TERM},
    [EOP_DIV] = {" / ", P_TERM},    [EOP_FLOORDIV] = {" // ", P_TERM},
    [EOP_MOD] = {" % ", P_TERM},    [EOP_POW] = {" ** ", P_POWER},
    [EOP_MATMUL] = {" @ ", P_TERM}, [EOP_LT] = {" < ", P_COMPARE},
    [EOP_LE] = {" <= ", P_COMPARE}, [EOP_GT] = {" > ", P_COMPARE},
    [EOP_GE] = {" >= ", P_COMPARE}, [EOP_EQ] = {" == ", P_COMPARE},
    [EOP_NE] = {" != ", P_COMPARE}, [EOP_AND] = {" and ", P_AND},
    [EOP_OR] = {" or ", P_OR},      [EOP_IN] = {" in ", P_COMPARE},
};

static void put(Out *out, const char *s)
{
    for (; *s; s++) vec_push(out->arena, &out->text, *s);
}

static int level_of(const Expr *e)
{
    if (e->kind == EXPR_COND) return P_COND;
    return e->kind == EXPR_UNARY || e->kind == EXPR_BINARY ? ops[e->op].level : P_ATOM;
}

// The shortest text that reads back the same: 0.001, 150.0, 1e-8, 1e30.
static void put_float(Out *out, double x)
{
    char text[40];
    int digits = 1;
    do snprintf(text, sizeof text, "%.*e", digits - 1, x);
    while (strtod(text, NULL) != x && ++digits <= 17);
    char *e = strchr(text, 'e');
    int power = atoi(e + 1), after = digits - 1 - power;
    if (power >= -5 && power < 16)
        snprintf(text, sizeof text, "%.*f", after > 1 ? after : 1, x);
    else
        snprintf(e, sizeof text - (size_t)(e - text), "e%d", power);
    put(out, text);
}

static void put_number(Out *out, const Expr *e)
{
    if (e->is_int)
        put(out, str_printf(out->arena, "%lld", (long long)e->number));
    else
        put_float(out, e->number);
}

static void put_string(Out *out, const char *s)
{
    put(out, "\"");
    for (; *s; s++) {
        char c[3] = {*s, 0, 0};
        if (*s == '"' || *s == '\\') c[0] = '\\', c[1] = *s;
        if (*s == '\n') c[0] = '\\', c[1] = 'n';
        if (*s == '\t') c[0] = '\\', c[1] = 't';
        put(out, c);
    }
    put(out, "\"");
}

static void put_expr(Out *out, const Expr *e, int level);

static void put_args(Out *out, const Expr *e, uint32_t from)
{
    for (uint32_t i = from; i < e->nargs; i++) {
        if (i > from) put(out, ", ");
        if (e->names && e->names[i]) {
            put(out, e->names[i]);
            put(out, "=");
        }
        put_expr(out, e->args[i], P_COND);
    }
}

static void put_slice(Out *out, const Expr *e)
{
    if (e->args[0]) put_expr(out, e->args[0], P_COND);
    put(out, ":");
    if (e->args[1]) put_expr(out, e->args[1], P_COND);
    if (!e->args[2]) return;
    put(out, ":");
    put_expr(out, e->args[2], P_COND);
}

static void put_comp(Out *out, const Expr *e)
{
    put(out, "[");
    put_expr(out, e->args[0], P_COND);
    put(out, " for ");
    put(out, e->text);
    put(out, " in ");
    put_expr(out, e->args[1], P_OR);
    if (e->args[2]) {
        put(out, " if ");
        put_expr(out, e->args[2], P_OR);
    }
    put(out, "]");
}

static void put_unary(Out *out, const Expr *e)
{
    const Expr *x = e->args[0];
    if (e->op == EOP_NOT && x->kind == EXPR_BINARY && x->op == EOP_IN) {
        put_expr(out, x->args[0], P_SUM);
        put(out, " not in ");
        put_expr(out, x->args[1], P_SUM);
        return;
    }
    put(out, ops[e->op].text);
    put_expr(out, x, ops[e->op].level);
}

// Operators of one level group to the left, ** to the right, comparisons not at all.
static void put_binary(Out *out, const Expr *e)
{
    int level = ops[e->op].level;
    bool power = e->op == EOP_POW;
    put_expr(out, e->args[0], power || level == P_COMPARE ? level + 1 : level);
    put(out, ops[e->op].text);
    put_expr(out, e->args[1], power ? P_UNARY : level + 1);
}

static void put_plain(Out *out, const Expr *e)
{
    switch (e->kind) {
    case EXPR_NUMBER:
        put_number(out, e);
        break;
    case EXPR_STRING:
        put_string(out, e->text);
        break;
    case EXPR_NAME:
        put(out, e->text);
        break;
    case EXPR_UNARY:
        put_unary(out, e);
        break;
    case EXPR_BINARY:
        put_binary(out, e);
        break;
    case EXPR_SLICE:
        put_slice(out, e);
        break;
    case EXPR_COMP:
        put_comp(out, e);
        break;
    case EXPR_COND:
        put_expr(out, e->args[0], P_OR);
        put(out, " if ");
        put_expr(out, e->args[1], P_OR);
        put(out, " else ");
        put_expr(out, e->args[2], P_COND);
        break;
    case EXPR_CALL:
        put_expr(out, e->args[0], P_ATOM);
        put(out, "(");
        put_args(out, e, 1);
        put(out, ")");
        break;
    case EXPR_INDEX:
        put_expr(out, e->args[0], P_ATOM);
        put(out, "[");
        put_args(out, e, 1);
        put(out, "]");
        break;
    case EXPR_MEMBER: // a number and a dot would read as a fraction
        put_expr(out, e->args[0], e->args[0]->kind == EXPR_NUMBER ? P_ATOM + 1 : P_ATOM);
        put(out, ".");
        put(out, e->text);
        break;
    case EXPR_LIST:
        put(out, "[");
        put_args(out, e, 0);
        put(out, "]");
        break;
    }
}

// In parentheses when it holds together less than `level` asks for.
static void put_expr(Out *out, const Expr *e, int level)
{
    int own = level_of(e);
    if (e->kind == EXPR_UNARY && e->op == EOP_NOT && e->args[0]->kind == EXPR_BINARY &&
        e->args[0]->op == EOP_IN)
        own = P_COMPARE;
    bool wrap = own < level;
    if (wrap) put(out, "(");
    put_plain(out, e);
    if (wrap) put(out, ")");
}

const char *expr_text(Arena *arena, const Expr *e)
{
    Out out = {.arena = arena};
    put_expr(&out, e, P_COND);
    vec_push(arena, &out.text, '\0');
    return out.text.at;
}
