// init: rows of weights that a new run begins with, for the runtime: files, and how their tensors
// are called here.
#include "frontend/elab.h"
#include "frontend/json.h"

// The name with n stars: without those at its end that are too many, or with more parts.
static const char *with_stars(Elab *el, const char *s, uint32_t n)
{
    const char *end = s + strlen(s);
    uint32_t have = glob_stars(s);
    for (; have > n; have--) {
        while (*--end != '*') {
        }
        if (end > s && end[-1] == '.') end--;
    }
    const char *text = str_slice(el->arena, s, (size_t)(end - s));
    for (; have < n; have++) text = str_printf(el->arena, "%s%s*", text, *text ? "." : "");
    return text;
}

// Does one pattern match whatever another one does? A star of that only a star can take, its ? not
// a letter.
static bool takes_all(const char *wide, const char *narrow)
{
    for (; *wide && *wide != '*'; wide++, narrow++)
        if (*wide == '?' ? !*narrow || *narrow == '*' : *wide != *narrow) return false;
    if (!*wide) return !*narrow;
    for (;; narrow++) {
        if (takes_all(wide + 1, narrow)) return true;
        if (!*narrow) return false;
    }
}

// The first row that matches is taken: behind a wider one a row of the user's is dead.
static bool warn_if_dead(Elab *el, const Tree *earlier, const Tree *row)
{
    if (earlier->kind != TREE_SCALAR || row->kind != TREE_SCALAR || !is_users(el, row->loc) ||
        !takes_all(earlier->text, row->text))
        return false;
    diag_warning(el->diag, row->loc,
                 "this row is never used: '%s' before it takes all that it matches", earlier->text);
    diag_note(el->diag, earlier->loc, "it is taken first");
    if (strcmp(earlier->text, row->text) != 0) diag_help(el->diag, "put the narrower row first");
    return true;
}

// Of the step, or of the teacher that `below` is the path of.
static bool is_parameter(const Elab *el, const char *pattern, const char *below)
{
    if (el->partial) return true;
    StateKind kind = below && *below ? STATE_FROZEN : STATE_PARAM;
    for (uint32_t i = 0; i < el->program->states.n; i++) {
        const StateVar *v = &el->program->states.at[i];
        if (v->kind == kind && glob_match(pattern, v->name)) return true;
    }
    return false;
}

// In the program of `cztc stats` only parts of teachers are there; check warns of what it says.
static void warn_unknown(Elab *el, Loc at, const char *pattern, const char *below)
{
    if (!el->options->stats && !is_parameter(el, pattern, below))
        diag_warning(el->diag, at, "no parameter is called '%s'", pattern);
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
    if (*text && glob_stars(text) != glob_stars(e->key->text)) {
        el_error(el, to->loc, "'%s' has %u stars and '%s' has %u", text, glob_stars(text),
                 e->key->text, glob_stars(e->key->text));
        diag_help(el->diag, "each * of the new name stands for what that of the old one met");
        suggest(el, with_stars(el, text, glob_stars(e->key->text)), e->key->text);
        return;
    }
    if (strchr(text, '?')) {
        el_error(el, to->loc, "a new name has stars, and no '?'");
        return;
    }
    bool own = is_users(el, e->key->loc); // of a table of the library not every row is of use
    const char *here = !prefix ? e->key->text : str_printf(el->arena, "%s%s", prefix, text);
    if (own && (!prefix || *text)) warn_unknown(el, prefix ? to->loc : e->key->loc, here, prefix);
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
    if (!suggest_import(el, name))
        diag_help(el->diag, "write {name in the file: name here}, or the name of such a constant");
    return NULL;
}

void put_rename(Elab *el, Json *j, const Tree *rename, const char *prefix)
{
    if (rename && rename->kind == TREE_LIST) { // one table after the other
        for (uint32_t i = 0; i < rename->items.n; i++) {
            const Tree *t = rename->items.at[i];
            if (t->kind == TREE_LIST)
                el_error(el, t->loc, "a list of tables of names has no list in it");
            else
                put_rename(el, j, t, prefix);
        }
        return;
    }
    const Tree *rules = rename ? rules_of(el, rename) : NULL;
    for (uint32_t i = 0; rules && i < rules->entries.n; i++) {
        const TreeEntry *e = rules->entries.at;
        for (uint32_t k = 0; k < i && !warn_if_dead(el, e[k].key, e[i].key);) k++;
        put_rule(el, j, &e[i], prefix);
    }
}

// ---- resize -----------------------------------------------------------------------------------

enum { MOST_SIDE = 1 << 16, MOST_MIDDLE = 1 << 20 }; // as the runtime's

// [h, w] under from: or to:; false when reported, true also where there is none.
static bool grid_read(Elab *el, const Tree *how, const char *key, int64_t grid[2])
{
    const Tree *t = tree_get(how, key);
    const ValueList *items;
    if (!t) return true;
    if (!value_items(el, tree_eval(el, el->scope, t, NULL), t->loc, &items)) return false;
    bool ok = items->v.n == 2;
    for (uint32_t i = 0; ok && i < 2; i++)
        if (!value_to_int(el, items->v.at[i], t->loc, key, &grid[i])) return false;
    if (ok && grid[0] >= 1 && grid[1] >= 1 && grid[0] <= MOST_SIDE && grid[1] <= MOST_SIDE)
        return true;
    el_error(el, t->loc, "'%s' is a grid, [height, width], both from 1 to %d", key, MOST_SIDE);
    return false;
}

// grid, line or first; NULL when reported.
static const char *way_read(Elab *el, const Tree *t)
{
    static const char *const known[] = {"grid", "line", "first"};
    Map names = {0};
    if (!t) return known[0];
    for (int i = 0; i < 3; i++) {
        map_set(el->arena, &names, known[i], NULL);
        if (t->kind == TREE_SCALAR && strcmp(t->text, known[i]) == 0) return known[i];
    }
    el_error(el, t->loc, "tables of positions are resized as grid, line or first%s%s%s",
             t->kind == TREE_SCALAR ? ", not '" : "", t->kind == TREE_SCALAR ? t->text : "",
             t->kind == TREE_SCALAR ? "'" : "");
    if (t->kind == TREE_SCALAR) suggest_words(el, t->text, &names);
    return NULL;
}

// Of two grids the one that is as high as the first and as wide as the second is made in between.
static bool small_middle(Elab *el, const Tree *at, const int64_t from[2], const int64_t to[2])
{
    int64_t rows = from[0] * to[1]; // 0 where one is not said
    if (rows <= MOST_MIDDLE) return true;
    el_error(el, at->loc,
             "from a grid of %lld x %lld to one of %lld x %lld there is one of %lld x %lld in "
             "between, and that has %d rows at most",
             (long long)from[0], (long long)from[1], (long long)to[0], (long long)to[1],
             (long long)from[0], (long long)to[1], MOST_MIDDLE);
    return false;
}

static void put_grid(Json *j, const char *key, const int64_t grid[2])
{
    if (!grid[0]) return;
    json_open(j, key, '[');
    json_int(j, NULL, grid[0]);
    json_int(j, NULL, grid[1]);
    json_close(j, ']');
}

// One glob; how: NULL, a word, or {as:, prefix:, from:, to:}.
static void put_resized(Elab *el, Json *j, const Tree *glob, const Tree *how, const char *below)
{
    bool map = how && how->kind == TREE_MAP;
    if (map && !keys_check(el, how, MAPPING_RESIZE, false)) return;
    const char *as = way_read(el, map ? tree_get(how, "as") : how);
    int64_t from[2] = {0}, to[2] = {0}, rows = -1;
    const Tree *prefix = map ? tree_get(how, "prefix") : NULL;
    if (!as || (map && (!grid_read(el, how, "from", from) || !grid_read(el, how, "to", to))))
        return;
    if (prefix &&
        !value_to_int(el, tree_eval(el, el->scope, prefix, NULL), prefix->loc, "prefix", &rows))
        return;
    if (prefix && rows < 0) {
        el_error(el, prefix->loc, "prefix is %lld; it is at least 0", (long long)rows);
        suggest_number(el, (double)rows, 0, 1e15, true);
        return;
    }
    if (strcmp(as, "grid") != 0 && (prefix || from[0] || to[0])) {
        el_error(el, how->loc, "prefix, from and to are of a grid, not of '%s'", as);
        return;
    }
    if (from[0] && !small_middle(el, how, from, to)) return;
    const char *here = str_printf(el->arena, "%s%s", below, glob->text);
    warn_unknown(el, glob->loc, here, below);
    json_open(j, NULL, '{');
    json_str(j, "match", glob->text);
    json_str(j, "as", as);
    if (prefix) json_int(j, "prefix", rows);
    put_grid(j, "from", from);
    put_grid(j, "to", to);
    json_close(j, '}');
}

void put_resize(Elab *el, Json *j, const Tree *t, const char *below)
{
    if (!t || t->kind == TREE_NULL) return;
    json_open(j, "resize", '[');
    if (t->kind == TREE_SCALAR) put_resized(el, j, t, NULL, below);
    for (uint32_t i = 0; t->kind == TREE_LIST && i < t->items.n; i++) {
        const Tree *item = t->items.at[i];
        for (uint32_t k = 0; k < i && !warn_if_dead(el, t->items.at[k], item);) k++;
        if (item->kind == TREE_SCALAR)
            put_resized(el, j, item, NULL, below);
        else
            el_error(el, item->loc, "a list of resize: has globs; ways are {glob: how}");
    }
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++) {
        const TreeEntry *e = t->entries.at;
        for (uint32_t k = 0; k < i && !warn_if_dead(el, e[k].key, e[i].key);) k++;
        put_resized(el, j, e[i].key, e[i].value, below);
    }
    json_close(j, ']');
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
        put_checksum(el, j, tree_get(row, "checksum"));
        json_open(j, "rename", '[');
        put_rename(el, j, tree_get(row, "rename"), "");
        json_close(j, ']');
        put_resize(el, j, tree_get(row, "resize"), "");
        json_close(j, '}');
    }
    json_close(j, ']');
}
