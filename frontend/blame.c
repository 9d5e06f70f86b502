// Whose line an error belongs to. An error that shows inside a library module or function is
// reported at the line of the user's that led there: the names in the failing expression are
// followed, through settings and arguments of modules and functions, to the values the user wrote.
// Only names of compile-time values are followed; a value that the message names comes first. Where
// no value is found, the place is the innermost call that the user wrote.
#include "frontend/elab.h"

#include <ctype.h>

enum { CHAIN_LIMIT = 64 }; // of names that lead from the failing line to the user's

typedef struct Blame {
    Elab *el;
    const char *text; // of the error
    Map seen;         // bindings
    Loc first, named; // values of the user's: the first met, the first that the text names
    uint32_t depth;
} Blame;

bool is_users(const Elab *el, Loc loc)
{
    const char *path = diag_source_path(el->diag, loc.source), *lib = lib_folder(el->options);
    if (!path || !lib) return path != NULL;
    size_t n = strlen(lib);
    return strncmp(path, lib, n) != 0 || path[n] != '/';
}

// Does the error's text name the value at this place?
static bool names_value(const Blame *b, Loc loc)
{
    size_t size, n = loc.end - loc.begin;
    const char *source = diag_source_text(b->el->diag, loc.source, &size);
    if (!n || loc.end > size) return false;
    const char *value = str_slice(b->el->arena, source + loc.begin, n);
    for (const char *at = b->text; (at = strstr(at, value)); at++)
        if ((at == b->text || !path_part(at[-1])) && !path_part(at[n])) return true;
    return false;
}

static void follow(Blame *b, const Frame *f, Loc loc);

// The frame in whose words an argument of f is written.
static const Frame *giver(const Frame *f)
{
    return f->instance && f->owner == f ? f->instance->frame : f->parent;
}

static void follow_binding(Blame *b, const Frame *f, const Binding *x)
{
    ValueKind k = x->value.kind;
    bool constant = k == V_ERROR || k == V_INT || k == V_FLOAT || k == V_BOOL || k == V_STR ||
                    k == V_LIST || k == V_RECORD;
    bool dimension = x->kind == BIND_VALUE && !x->decl && f->instance && f->what;
    const char *key = str_printf(b->el->arena, "%p", (const void *)x);
    if ((x->forced && !constant) || dimension || map_find(&b->seen, key)) return;
    map_set(b->el->arena, &b->seen, key, b);
    const Frame *at = x->scope && x->kind != BIND_VALUE ? x->scope->frame : giver(f);
    if (x->kind == BIND_VALUE) {
        follow(b, at, x->loc);
    } else if (x->expr) {
        follow(b, at, x->expr->loc);
    } else if (x->tree) {
        const Tree *count = tree_get(x->tree, "repeat");
        if (x->tree->kind != TREE_MAP || count) follow(b, at, count ? count->loc : x->tree->loc);
    }
}

// Names of the graph and of the library are no arguments of anybody.
static const Binding *find_name(const Elab *el, const Frame *f, const char *name)
{
    for (const Scope *s = f->scope; s && s != el->globals && s != el->scope; s = s->parent) {
        const Binding *x = map_get(&s->names, name);
        if (x) return x;
    }
    return NULL;
}

// Follow the names of an expression: words that stand alone, outside of strings.
static void follow(Blame *b, const Frame *f, Loc loc)
{
    size_t size;
    const char *s = diag_source_text(b->el->diag, loc.source, &size);
    if (!s || !f || b->depth >= CHAIN_LIMIT || loc.end > size) return;
    if (is_users(b->el, loc)) {
        if (!b->first.source) b->first = loc;
        if (!b->named.source && names_value(b, loc)) b->named = loc;
        return;
    }
    b->depth++;
    char quote = 0;
    for (uint32_t i = loc.begin; i < loc.end; i++) {
        bool begins = !quote && (isalpha((unsigned char)s[i]) || s[i] == '_') &&
                      (i == loc.begin || !path_part(s[i - 1]));
        if (quote ? s[i] == quote : (s[i] == '"' || s[i] == '\'') && i > loc.begin)
            quote = quote ? 0 : s[i];
        if (!begins) continue;
        uint32_t end = i;
        while (end < loc.end && word_part(s[end])) end++;
        const Binding *x = find_name(b->el, f, str_slice(b->el->arena, s + i, end - i));
        if (x) follow_binding(b, f, x);
        i = end - 1;
    }
    b->depth--;
}

static Loc whole_line(const Elab *el, Loc loc)
{
    size_t size;
    const char *s = diag_source_text(el->diag, loc.source, &size);
    while (loc.begin && s[loc.begin - 1] != '\n') loc.begin--;
    while (loc.end < size && s[loc.end] != '\n') loc.end++;
    return loc;
}

Loc blame_call(const Elab *el, Loc loc)
{
    if (is_users(el, loc)) return loc;
    for (const Frame *f = el->frame; f; f = f->parent)
        if (f->call.source && is_users(el, f->call)) return f->call;
    return loc;
}

Loc blame(Elab *el, Loc loc, const char *text)
{
    if (!loc.source || is_users(el, loc)) return loc;
    Blame b = {.el = el, .text = text};
    if (el->frame) follow(&b, el->frame, loc);
    if (el->frame && !b.first.source) follow(&b, el->frame, whole_line(el, loc));
    if (b.named.source) return b.named;
    return b.first.source ? b.first : blame_call(el, loc);
}
