// Expression text to a syntax tree: precedence climbing over the tokens of expr_lex.c. The first
// error of an expression is reported and ends its parsing. Trees are never deeper than MAX_DEPTH,
// also those that grow to the left without recursion here, so that whoever walks them may recurse.
#include "frontend/expr_lex.h"

#include <string.h>

enum { MAX_DEPTH = 200 };

// Binding strengths, weakest first.
enum {
    LEVEL_OR = 1,
    LEVEL_AND,
    LEVEL_NOT,
    LEVEL_COMPARE,
    LEVEL_SUM,
    LEVEL_TERM,
    LEVEL_UNARY,
    LEVEL_POWER
};

typedef struct Parser {
    Arena *arena;
    Diag *diag;
    const Tree *scalar;
    Lexer lex;
    Token tok, last; // the next token; the one before it
    uint32_t depth;
    bool failed;
} Parser;

typedef struct Node { // every Expr made here lies at the front of one
    Expr expr;
    uint32_t depth;
} Node;

typedef VEC(Expr *) Exprs;

static Expr *parse_any(Parser *p);
static Expr *parse_level(Parser *p, int level);

// ---- tokens and errors -------------------------------------------------------------------------

static Loc token_loc(const Parser *p, const Token *t)
{
    return tree_place(p->scalar, t->begin, t->end);
}

static void advance(Parser *p)
{
    p->last = p->tok;
    p->tok = lex_next(&p->lex);
    p->failed |= p->tok.kind == TOK_BAD;
}

static bool accept(Parser *p, TokenKind kind)
{
    if (p->tok.kind != kind) return false;
    advance(p);
    return true;
}

// Report unless an error was reported before; NULL, so that `return fail(...)` reads well.
__attribute__((format(printf, 3, 4))) static Expr *fail(Parser *p, Loc loc, const char *fmt, ...)
{
    if (!p->failed) {
        va_list ap;
        va_start(ap, fmt);
        diag_error(p->diag, loc, "%s", str_vprintf(p->arena, fmt, ap));
        va_end(ap);
    }
    p->failed = true;
    return NULL;
}

// Report at a token; the help is for the reader of this error only.
static Expr *fail_help(Parser *p, Loc loc, const char *message, const char *help)
{
    bool first = !p->failed;
    fail(p, loc, "%s", message);
    if (first) diag_help(p->diag, "%s", help);
    return NULL;
}

static const char *token_text(const Parser *p, const Token *t)
{
    return str_slice(p->arena, p->scalar->text + t->begin, t->end - t->begin);
}

static Expr *fail_operand(Parser *p)
{
    const char *before = p->last.end ? token_text(p, &p->last) : NULL;
    Loc loc = token_loc(p, &p->tok);
    if (p->tok.kind == TOK_END && !before)
        return fail(p, p->scalar->loc, "the expression is empty");
    if (p->tok.kind == TOK_END) return fail(p, loc, "expected an expression after '%s'", before);
    const char *here = token_text(p, &p->tok);
    if (before) return fail(p, loc, "expected an expression after '%s', not '%s'", before, here);
    return fail(p, loc, "an expression cannot begin with '%s'", here);
}

// A comma outside of brackets, which may be nothing but the last character.
static Expr *fail_comma(Parser *p, Loc loc)
{
    const char *s = p->scalar->text;
    size_t last = p->tok.begin;
    const bool first = !p->failed, ends = !s[p->tok.end + strspn(s + p->tok.end, " \n")];
    while (last && s[last - 1] == ' ') last--;
    fail_help(p, loc, "the expression ends before ','",
              ends ? "leave out the ','" : "a list is written [a, b]");
    if (first && ends && last)
        diag_mend(p->diag, tree_place(p->scalar, last - 1, p->tok.end), (char[]){s[last - 1], 0});
    return NULL;
}

// What stands where an operator, a comma or the end should be.
static Expr *fail_rest(Parser *p)
{
    Loc loc = token_loc(p, &p->tok);
    const char *here = token_text(p, &p->tok);
    switch (p->tok.kind) {
    case TOK_CLOSE:
    case TOK_CLOSE_LIST: return fail(p, loc, "'%s' closes nothing", here);
    case TOK_COLON:
        return fail_help(p, loc, "':' belongs between brackets", "a slice is written x[1:3]");
    case TOK_COMMA: return fail_comma(p, loc);
    case TOK_ASSIGN:
        return fail_help(p, loc, "'=' belongs before an argument",
                         "a comparison is written a == b");
    case TOK_NAME:
    case TOK_NUMBER:
    case TOK_STRING:
    case TOK_NOT: return fail(p, loc, "expected an operator before '%s'", here);
    case TOK_ELSE: return fail(p, loc, "'else' without 'if'");
    case TOK_FOR:
        return fail_help(p, loc, "'for' belongs inside brackets",
                         "a list is written [f(x) for x in list]");
    default: return fail(p, loc, "unexpected '%s'", here);
    }
}

// Take the bracket that closes `open`.
static bool close_bracket(Parser *p, TokenKind kind, const Token *open)
{
    if (accept(p, kind)) return true;
    if (p->failed) return false;
    const char *was = token_text(p, open);
    if (p->tok.kind == TOK_END) {
        fail(p, token_loc(p, open), "'%s' is not closed", was);
    } else if (p->tok.kind == TOK_CLOSE || p->tok.kind == TOK_CLOSE_LIST) {
        fail(p, token_loc(p, &p->tok), "'%s' does not close '%s'", token_text(p, &p->tok), was);
        diag_note(p->diag, token_loc(p, open), "opened here");
    } else if (p->tok.kind == TOK_COMMA || p->tok.kind == TOK_COLON) {
        fail(p, token_loc(p, &p->tok), "expected '%s' before '%s'", kind == TOK_CLOSE ? ")" : "]",
             token_text(p, &p->tok));
        if (kind == TOK_CLOSE && p->tok.kind == TOK_COMMA)
            diag_help(p->diag, "a list is written [a, b]");
    } else {
        fail_rest(p);
    }
    return false;
}

// ---- nodes -------------------------------------------------------------------------------------

static Expr *new_expr(Parser *p, ExprKind kind, size_t begin)
{
    Expr *e = &arena_make(p->arena, Node)->expr;
    e->kind = kind;
    e->loc = e->at = tree_place(p->scalar, begin, p->last.end);
    return e;
}

// Set the arguments and the place of the operator; fails where the tree becomes too deep.
static Expr *with_args(Parser *p, Expr *e, Expr *const *args, uint32_t n, Loc at)
{
    e->nargs = n;
    e->args = n ? arena_copy(p->arena, args, n * sizeof *args) : NULL;
    e->at = at;
    uint32_t depth = 0;
    for (uint32_t i = 0; i < n; i++)
        if (args[i] && ((Node *)args[i])->depth > depth) depth = ((Node *)args[i])->depth;
    ((Node *)e)->depth = depth + 1;
    if (depth < MAX_DEPTH) return e;
    return fail_help(p, at, "the expression is nested deeper than 200", "give a part of it a name");
}

static size_t begin_of(const Parser *p)
{
    return p->tok.begin;
}

// ---- operands ----------------------------------------------------------------------------------

// `for NAME in list [if condition]` after an element that began at `begin`.
static Expr *parse_for(Parser *p, Expr *element, size_t begin)
{
    advance(p);
    if (p->tok.kind != TOK_NAME)
        return fail(p, token_loc(p, &p->tok), "expected a name after 'for'");
    Token var = p->tok;
    advance(p);
    if (p->tok.kind != TOK_IN)
        return fail_help(p, token_loc(p, &p->tok), "expected 'in' after the name",
                         "a list is written [f(x) for x in list if condition]");
    advance(p);
    Expr *args[3] = {element, parse_level(p, LEVEL_OR), NULL};
    if (args[1] && accept(p, TOK_IF)) args[2] = parse_level(p, LEVEL_OR);
    if (p->failed) return NULL;
    if (p->tok.kind == TOK_FOR || p->tok.kind == TOK_IF)
        return fail(p, token_loc(p, &p->tok), "a list has one 'for' and one 'if'");
    Expr *e = new_expr(p, EXPR_COMP, begin);
    e->text = var.text;
    return with_args(p, e, args, 3, token_loc(p, &var));
}

static Expr *parse_list(Parser *p)
{
    Token open = p->tok;
    Exprs items = {0};
    Expr *comp = NULL;
    advance(p);
    while (!p->failed && p->tok.kind != TOK_CLOSE_LIST && p->tok.kind != TOK_END) {
        size_t begin = begin_of(p);
        Expr *item = parse_any(p);
        if (item && p->tok.kind == TOK_FOR && !items.n) comp = parse_for(p, item, begin);
        if (!item || (comp && !p->failed)) break;
        vec_push(p->arena, &items, item);
        if (!accept(p, TOK_COMMA)) break;
    }
    if (p->failed || !close_bracket(p, TOK_CLOSE_LIST, &open)) return NULL;
    if (comp) {
        comp->loc = tree_place(p->scalar, open.begin, p->last.end);
        return comp;
    }
    Expr *e = new_expr(p, EXPR_LIST, open.begin);
    return with_args(p, e, items.at, items.n, token_loc(p, &open));
}

static Expr *parse_group(Parser *p)
{
    Token open = p->tok;
    advance(p);
    Expr *e = parse_any(p);
    if (!e || !close_bracket(p, TOK_CLOSE, &open)) return NULL;
    return e;
}

static Expr *parse_atom(Parser *p)
{
    Token t = p->tok;
    ExprKind kind;
    switch (t.kind) {
    case TOK_NUMBER: kind = EXPR_NUMBER; break;
    case TOK_STRING: kind = EXPR_STRING; break;
    case TOK_NAME: kind = EXPR_NAME; break;
    case TOK_OPEN: return parse_group(p);
    case TOK_OPEN_LIST: return parse_list(p);
    default: return fail_operand(p);
    }
    advance(p);
    Expr *e = new_expr(p, kind, t.begin);
    e->text = t.text;
    e->number = t.number;
    e->is_int = t.is_int;
    return with_args(p, e, NULL, 0, e->loc);
}

// ---- what follows an operand -------------------------------------------------------------------

typedef struct CallArgs {
    Exprs values; // the callee first
    VEC(const char *) names;
    VEC(Loc) locs;
    bool named;
} CallArgs;

static bool name_argument(Parser *p, CallArgs *args, const Expr *e)
{
    if (e->kind != EXPR_NAME) {
        fail_rest(p);
        return false;
    }
    for (uint32_t i = 1; i < args->names.n; i++) {
        if (!args->names.at[i] || strcmp(args->names.at[i], e->text) != 0) continue;
        fail(p, e->loc, "argument '%s' is given twice", e->text);
        diag_note(p->diag, args->locs.at[i], "the first one is here");
        return false;
    }
    args->named = true;
    advance(p);
    return true;
}

static bool parse_argument(Parser *p, CallArgs *args)
{
    size_t begin = begin_of(p);
    const char *name = NULL;
    Expr *e = parse_any(p);
    if (!e) return false;
    Loc loc = e->loc;
    if (p->tok.kind == TOK_ASSIGN) {
        if (!name_argument(p, args, e)) return false;
        name = e->text;
        begin = begin_of(p);
        e = parse_any(p);
    }
    if (e && p->tok.kind == TOK_FOR) e = parse_for(p, e, begin);
    if (!e) return false;
    if (!name && args->named) {
        fail(p, e->loc, "an argument without a name cannot follow one with a name");
        return false;
    }
    vec_push(p->arena, &args->values, e);
    vec_push(p->arena, &args->names, name);
    vec_push(p->arena, &args->locs, loc);
    return true;
}

static Expr *parse_call(Parser *p, Expr *callee, size_t begin)
{
    Token open = p->tok;
    CallArgs args = {0};
    vec_push(p->arena, &args.values, callee);
    vec_push(p->arena, &args.names, NULL);
    vec_push(p->arena, &args.locs, callee->loc);
    advance(p);
    while (p->tok.kind != TOK_CLOSE && p->tok.kind != TOK_END) {
        if (!parse_argument(p, &args)) return NULL;
        if (!accept(p, TOK_COMMA)) break;
    }
    if (!close_bracket(p, TOK_CLOSE, &open)) return NULL;
    Expr *e = new_expr(p, EXPR_CALL, begin);
    if (args.named) {
        e->names = args.names.at;
        e->name_locs = args.locs.at;
    }
    return with_args(p, e, args.values.at, args.values.n, token_loc(p, &open));
}

// One element between the brackets of an index: an expression, or a slice with up to two colons.
static Expr *parse_subscript(Parser *p)
{
    size_t begin = begin_of(p);
    Expr *parts[3] = {NULL, NULL, NULL};
    Loc at = {0};
    uint32_t colons = 0;
    for (;; advance(p)) {
        bool absent =
            p->tok.kind == TOK_COLON || p->tok.kind == TOK_COMMA || p->tok.kind == TOK_CLOSE_LIST;
        if (!absent || (p->tok.kind != TOK_COLON && !colons)) parts[colons] = parse_any(p);
        if (p->failed) return NULL;
        if (p->tok.kind != TOK_COLON || colons == 2) break;
        if (!colons++) at = token_loc(p, &p->tok);
    }
    if (!colons) return parts[0];
    return with_args(p, new_expr(p, EXPR_SLICE, begin), parts, 3, at);
}

static Expr *parse_index(Parser *p, Expr *base, size_t begin)
{
    Token open = p->tok;
    Exprs args = {0};
    vec_push(p->arena, &args, base);
    advance(p);
    while (args.n == 1 || (p->tok.kind != TOK_CLOSE_LIST && p->tok.kind != TOK_END)) {
        if (p->tok.kind == TOK_END) break;
        Expr *e = parse_subscript(p);
        if (!e) return NULL;
        vec_push(p->arena, &args, e);
        if (!accept(p, TOK_COMMA)) break;
    }
    if (!close_bracket(p, TOK_CLOSE_LIST, &open)) return NULL;
    return with_args(p, new_expr(p, EXPR_INDEX, begin), args.at, args.n, token_loc(p, &open));
}

static Expr *parse_member(Parser *p, Expr *base, size_t begin)
{
    advance(p);
    if (p->tok.kind != TOK_NAME)
        return fail(p, token_loc(p, &p->tok), "expected the name of a member after '.'");
    Token name = p->tok;
    advance(p);
    Expr *e = new_expr(p, EXPR_MEMBER, begin);
    e->text = name.text;
    return with_args(p, e, &base, 1, token_loc(p, &name));
}

static Expr *parse_postfix(Parser *p)
{
    size_t begin = begin_of(p);
    Expr *e = parse_atom(p);
    while (e && !p->failed) {
        if (p->tok.kind == TOK_OPEN)
            e = parse_call(p, e, begin);
        else if (p->tok.kind == TOK_OPEN_LIST)
            e = parse_index(p, e, begin);
        else if (p->tok.kind == TOK_DOT)
            e = parse_member(p, e, begin);
        else
            break;
    }
    return p->failed ? NULL : e;
}

// ---- operators ---------------------------------------------------------------------------------

typedef struct Binary {
    int level;
    ExprOp op;
} Binary;

// Row of a token that joins two operands; level 0 where it joins none.
static Binary binary_of(TokenKind kind)
{
    static const Binary table[] = {[TOK_OR] = {LEVEL_OR, EOP_OR},
                                   [TOK_AND] = {LEVEL_AND, EOP_AND},
                                   [TOK_LT] = {LEVEL_COMPARE, EOP_LT},
                                   [TOK_LE] = {LEVEL_COMPARE, EOP_LE},
                                   [TOK_GT] = {LEVEL_COMPARE, EOP_GT},
                                   [TOK_GE] = {LEVEL_COMPARE, EOP_GE},
                                   [TOK_EQ] = {LEVEL_COMPARE, EOP_EQ},
                                   [TOK_NE] = {LEVEL_COMPARE, EOP_NE},
                                   [TOK_IN] = {LEVEL_COMPARE, EOP_IN},
                                   [TOK_NOT] = {LEVEL_COMPARE, EOP_IN},
                                   [TOK_PLUS] = {LEVEL_SUM, EOP_ADD},
                                   [TOK_MINUS] = {LEVEL_SUM, EOP_SUB},
                                   [TOK_STAR] = {LEVEL_TERM, EOP_MUL},
                                   [TOK_SLASH] = {LEVEL_TERM, EOP_DIV},
                                   [TOK_FLOORDIV] = {LEVEL_TERM, EOP_FLOORDIV},
                                   [TOK_PERCENT] = {LEVEL_TERM, EOP_MOD},
                                   [TOK_AT] = {LEVEL_TERM, EOP_MATMUL},
                                   [TOK_POWER] = {LEVEL_POWER, EOP_POW},
                                   [TOK_ASSIGN] = {0, EOP_NEG}};
    return table[kind];
}

static Expr *unary(Parser *p, ExprOp op, Expr *x, size_t begin, Loc at)
{
    Expr *e = new_expr(p, EXPR_UNARY, begin);
    e->op = op;
    return with_args(p, e, &x, 1, at);
}

// A prefix operator and its operand; what is weaker than the sign (`-a + b`) is left to the caller.
static Expr *parse_prefix(Parser *p, int level)
{
    Token t = p->tok;
    ExprOp op = t.kind == TOK_MINUS ? EOP_NEG : t.kind == TOK_PLUS ? EOP_POS : EOP_NOT;
    bool negation = t.kind == TOK_NOT;
    if (!negation && op == EOP_NOT) return parse_postfix(p);
    if (negation && level > LEVEL_NOT)
        return fail_help(p, token_loc(p, &t), "'not' is weaker than the operator before it",
                         "put it in parentheses: (not x)");
    advance(p);
    Expr *x = parse_level(p, negation ? LEVEL_NOT : LEVEL_UNARY);
    return x ? unary(p, op, x, t.begin, token_loc(p, &t)) : NULL;
}

// `op right` after `left`; the operator is the next token.
static Expr *parse_right(Parser *p, Expr *left, size_t begin, Binary b)
{
    Token t = p->tok;
    advance(p);
    if (t.kind == TOK_NOT && !accept(p, TOK_IN))
        return fail(p, token_loc(p, &p->tok), "expected 'in' after 'not'");
    // ** groups to the right and its exponent may have a sign
    Expr *args[2] = {left, parse_level(p, b.level == LEVEL_POWER ? LEVEL_UNARY : b.level + 1)};
    if (!args[1]) return NULL;
    Expr *e = new_expr(p, EXPR_BINARY, begin);
    e->op = b.op;
    e = with_args(p, e, args, 2, token_loc(p, &t));
    if (e && t.kind == TOK_NOT) e = unary(p, EOP_NOT, e, begin, token_loc(p, &t));
    if (e && b.level == LEVEL_COMPARE && binary_of(p->tok.kind).level == LEVEL_COMPARE)
        return fail_help(p, token_loc(p, &p->tok), "comparisons do not chain",
                         "join two of them: a < b and b < c");
    return e;
}

static Expr *parse_operators(Parser *p, int level)
{
    size_t begin = begin_of(p);
    Expr *e = parse_prefix(p, level);
    // after `-x` or `not x` the loop may only take weaker operators: the operand has taken the
    // stronger
    while (e && !p->failed) {
        Binary b = binary_of(p->tok.kind);
        if (!b.level || b.level < level) break;
        e = parse_right(p, e, begin, b);
    }
    return p->failed ? NULL : e;
}

static Expr *parse_level(Parser *p, int level)
{
    if (++p->depth > MAX_DEPTH)
        return fail_help(p, token_loc(p, &p->tok), "the expression is nested deeper than 200",
                         "give a part of it a name");
    Expr *e = parse_operators(p, level);
    p->depth--;
    return e;
}

static Expr *parse_any(Parser *p)
{
    size_t begin = begin_of(p);
    Expr *value = parse_level(p, LEVEL_OR);
    if (!value || p->tok.kind != TOK_IF) return value;
    Token t = p->tok;
    advance(p);
    Expr *args[3] = {value, parse_level(p, LEVEL_OR), NULL};
    if (!args[1]) return NULL;
    if (p->tok.kind != TOK_ELSE)
        return fail_help(p, token_loc(p, &p->tok), "expected 'else'",
                         "a choice is written a if condition else b");
    advance(p);
    if (++p->depth > MAX_DEPTH)
        return fail_help(p, token_loc(p, &t), "the expression is nested deeper than 200",
                         "give a part of it a name");
    args[2] = parse_any(p);
    p->depth--;
    if (!args[2]) return NULL;
    return with_args(p, new_expr(p, EXPR_COND, begin), args, 3, token_loc(p, &t));
}

// ---- the whole ---------------------------------------------------------------------------------

static const char *kind_text(const Tree *t)
{
    return t->kind == TREE_LIST ? "a list" : t->kind == TREE_MAP ? "a mapping" : "nothing";
}

Expr *expr_parse_part(Arena *arena, Diag *diag, const Tree *scalar, size_t begin, size_t end)
{
    if (scalar->kind != TREE_SCALAR) {
        diag_error(diag, scalar->loc, "an expression is needed here, not %s", kind_text(scalar));
        return NULL;
    }
    Parser p = {.arena = arena, .diag = diag, .scalar = scalar};
    p.lex = (Lexer){.arena = arena, .diag = diag, .scalar = scalar, .at = begin, .end = end};
    advance(&p);
    p.last = (Token){0};
    Expr *e = p.failed ? NULL : parse_any(&p);
    if (e && p.tok.kind != TOK_END) fail_rest(&p);
    return p.failed ? NULL : e;
}

Expr *expr_parse(Arena *arena, Diag *diag, const Tree *scalar)
{
    return expr_parse_part(arena, diag, scalar, 0, scalar->text ? strlen(scalar->text) : 0);
}
