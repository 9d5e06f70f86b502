// The expression language: syntax only. docs/language.md has the grammar.
#ifndef CZT_FRONTEND_EXPR_H
#define CZT_FRONTEND_EXPR_H

#include "frontend/tree.h"

typedef enum {
    EXPR_NUMBER, // number, is_int; 350_000, 1e-3, 0x10
    EXPR_STRING, // text: "b h q d" inside an expression
    EXPR_NAME,   // text
    EXPR_UNARY,  // op, args[0]
    EXPR_BINARY, // op, args[0], args[1]
    EXPR_COND,   // args[0] if args[1] else args[2]
    EXPR_CALL,   // args[0] is the callee, args[1..]: arguments; names[i] is set for a named one
    EXPR_INDEX,  // args[0] [ args[1..] ]; an element may be an EXPR_SLICE
    EXPR_SLICE,  // args[0] : args[1] : args[2], each may be NULL
    EXPR_MEMBER, // args[0] . text  (text may be a number: blocks.8)
    EXPR_LIST,   // [ args.. ]
    EXPR_COMP    // [args[0] for text in args[1] if args[2]]; args[2] may be NULL; also a bare
                 // generator argument
} ExprKind;

typedef enum {
    EOP_NEG,
    EOP_POS,
    EOP_NOT,
    EOP_ADD,
    EOP_SUB,
    EOP_MUL,
    EOP_DIV,
    EOP_FLOORDIV,
    EOP_MOD,
    EOP_POW,
    EOP_MATMUL,
    EOP_LT,
    EOP_LE,
    EOP_GT,
    EOP_GE,
    EOP_EQ,
    EOP_NE,
    EOP_AND,
    EOP_OR,
    EOP_IN
} ExprOp;

typedef struct Expr {
    ExprKind kind;
    Loc loc; // the whole expression; for NAME / MEMBER / CALL names the caret goes to at
    Loc at;  // the operator, member name or opening bracket
    ExprOp op;
    const char *text;
    double number;
    bool is_int;
    uint32_t nargs;
    struct Expr **args;
    const char **names; // EXPR_CALL: nargs entries, NULL for positional; else NULL
    Loc *name_locs;
} Expr;

// Parse a scalar as an expression (precedence as in Python: or, and, not, comparison, + -, * / // %
// @, unary, **, postfix; `b if a else c` lowest). Errors go to diag with a caret and NULL comes
// back.
Expr *expr_parse(Arena *arena, Diag *diag, const Tree *scalar);
// Parse bytes [begin, end) of a scalar's text only.
Expr *expr_parse_part(Arena *arena, Diag *diag, const Tree *scalar, size_t begin, size_t end);
// Canonical text, for messages and docs.
const char *expr_text(Arena *arena, const Expr *e);

#endif
