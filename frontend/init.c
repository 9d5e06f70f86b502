// init: rows of weights that a new run begins with, for the runtime: files, and how their tensors
// are called here.
#include "frontend/elab.h"
#include "frontend/json.h"

static uint32_t stars(const char *s)
{
    uint32_t n = 0;
    for (; *s; s++) n += *s == '*';
    return n;
}

// The name with n stars: without those at its end that are too many, or with more parts.
static const char *with_stars(Elab *el, const char *s, uint32_t n)
{
    const char *end = s + strlen(s);
    uint32_t have = stars(s);
    for (; have > n; have--) {
        while (*--end != '*') {}
        if (end > s && end[-1] == '.') end--;
    }
    const char *text = str_slice(el->arena, s, (size_t)(end - s));
    for (; have < n; have++) text = str_printf(el->arena, "%s%s*", text, *text ? "." : "");
    return text;
}

static bool is_parameter(const Elab *el, const char *pattern)
{
    for (uint32_t i = 0; i < el->program->states.n; i++)
        if (glob_match(pattern, el->program->states.at[i].name)) return true;
    return false;
}

// "from: to", "from: {to:, transpose:}", or "from:" with nothing: the tensor is left out.
static void put_rule(Elab *el, Json *j, const TreeEntry *e, const char *prefix)
{
    const Tree *to = e->value;
    bool turned = false;
    if (to->kind == TREE_MAP) {
        if (!keys_check(el, to, MAPPING_RENAME, false)) return;
        const Tree *t = tree_get(to, "transpose");
        if (t &&
            !value_to_bool(el, tree_eval(el, el->scope, t, NULL), t->loc, "transpose", &turned))
            return;
        to = tree_get(to, "to");
    }
    if (to->kind != TREE_SCALAR && to->kind != TREE_NULL) {
        el_error(el, to->loc, "a name is renamed to a name, or to {to:, transpose:}");
        return;
    }
    const char *text = to->kind == TREE_SCALAR ? to->text : "";
    if (*text && stars(text) != stars(e->key->text)) {
        el_error(el, to->loc, "'%s' has %u stars and '%s' has %u", text, stars(text), e->key->text,
                 stars(e->key->text));
        diag_help(el->diag, "each * of the new name stands for what that of the old one met");
        suggest(el, with_stars(el, text, stars(e->key->text)), e->key->text);
        return;
    }
    bool own = is_users(el, e->key->loc); // of a table of the library not every row is of use
    const char *here = !prefix ? e->key->text : str_printf(el->arena, "%s%s", prefix, text);
    if (own && (!prefix || *text) && !is_parameter(el, here))
        diag_warning(el->diag, prefix ? to->loc : e->key->loc, "no parameter is called '%s'", here);
    json_open(j, NULL, '{');
    json_str(j, "from", e->key->text);
    json_str(j, "to", text);
    json_bool(j, "transpose", turned);
    if (own) json_bool(j, "own", true);
    json_close(j, '}');
}

// The rules of a row: a mapping, or the name of one among the constants.
static const Tree *rules_of(Elab *el, const Tree *rename)
{
    if (rename->kind == TREE_MAP) return rename;
    const char *name = rename->kind == TREE_SCALAR ? rename->text : "";
    const Binding *b = map_get(&el->defs, name);
    if (b && b->kind == BIND_TREE && b->tree->kind == TREE_MAP) return b->tree;
    el_error(el, rename->loc, "there is no table of names '%s'", name);
    const char *file = lib_defining(el, name);
    if (file)
        suggest_import(el, file);
    else
        diag_help(el->diag, "write {name in the file: name here}, or the name of such a constant");
    return NULL;
}

void put_rename(Elab *el, Json *j, const Tree *rename, const char *prefix)
{
    const Tree *rules = rename ? rules_of(el, rename) : NULL;
    for (uint32_t i = 0; rules && i < rules->entries.n; i++)
        put_rule(el, j, &rules->entries.at[i], prefix);
}

void put_init(Elab *el, Json *j)
{
    const Tree *rows = tree_get(el->root, "init");
    if (!rows || rows->kind != TREE_LIST || !rows->items.n) return;
    json_str(j, "base_dir", folder_said_in(el, rows));
    json_open(j, "init", '[');
    for (uint32_t i = 0; i < rows->items.n; i++) {
        const Tree *row = rows->items.at[i];
        if (!keys_check(el, row, MAPPING_INIT, false)) continue;
        json_open(j, NULL, '{');
        json_str(j, "file", tree_get(row, "file")->text);
        json_open(j, "rename", '[');
        put_rename(el, j, tree_get(row, "rename"), "");
        json_close(j, ']');
        json_close(j, '}');
    }
    json_close(j, ']');
}
