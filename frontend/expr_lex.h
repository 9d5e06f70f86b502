// Tokens of the expression language; private to expr_lex.c and expr.c.
#ifndef CZT_FRONTEND_EXPR_LEX_H
#define CZT_FRONTEND_EXPR_LEX_H

#include "frontend/expr.h"

typedef enum {
    TOK_END,
    TOK_BAD, // BAD: an error was reported
    TOK_NUMBER,
    TOK_STRING,
    TOK_NAME,
    TOK_AND,
    TOK_OR,
    TOK_NOT,
    TOK_IN,
    TOK_IF,
    TOK_ELSE,
    TOK_FOR,
    TOK_PLUS,
    TOK_MINUS,
    TOK_STAR,
    TOK_POWER,
    TOK_SLASH,
    TOK_FLOORDIV,
    TOK_PERCENT,
    TOK_AT,
    TOK_LT,
    TOK_LE,
    TOK_GT,
    TOK_GE,
    TOK_EQ,
    TOK_NE,
    TOK_OPEN,
    TOK_CLOSE,
    TOK_OPEN_LIST,
    TOK_CLOSE_LIST,
    TOK_COMMA,
    TOK_COLON,
    TOK_DOT,
    TOK_ASSIGN
} TokenKind;

typedef struct Token {
    TokenKind kind;
    size_t begin, end; // bytes of the scalar's text
    const char *text;  // NAME: the name; STRING: the value without quotes
    double number;
    bool is_int;
} Token;

typedef struct Lexer {
    Arena *arena;
    Diag *diag;
    const Tree *scalar;
    size_t at, end; // what is left of scalar->text
    TokenKind last; // decides whether `.5` is a number or a member
} Lexer;

// Read the next token; after TOK_END it stays TOK_END.
Token lex_next(Lexer *lex);
// Is it a word of the language: and or not in if else for?
bool lex_keyword(const char *text);

#endif
