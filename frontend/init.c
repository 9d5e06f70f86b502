// init: rows of weights that a new run begins with, for the runtime: files, and how their tensors
// are called here.
#include "frontend/elab.h"
#include "frontend/json.h"
#include "frontend/rewrite.h"

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

// The names of parameters below a prefix, without it, that a pattern matches; NULL: all.
static Map parameters(Elab *el, const char *prefix, const char *pattern)
{
    Map names = {0};
    const char *below = prefix ? prefix : "";
    const size_t n = strlen(below);
    for (uint32_t i = 0; i < el->program->states.n; i++) {
        const StateVar *v = &el->program->states.at[i];
        bool one = v->kind == (n ? STATE_FROZEN : STATE_PARAM) && !strncmp(v->name, below, n);
        if (one && (!pattern || glob_match(pattern, v->name + n)))
            map_set(el->arena, &names, str_copy(el->arena, v->name + n), NULL);
    }
    return names;
}

// The new name that an old one has no place for: what is called so here, or else the same name.
static void suggest_to(Elab *el, const TreeEntry *e, const char *prefix)
{
    const Map names = parameters(el, prefix, NULL);
    const char *old = e->key->text, *best = nearest_key(&names, old, NULL);
    if (tree_get(e->value, "to") || diag_has_mend(el->diag, diag_last_error(el->diag))) return;
    if (!best && names.n) best = names.at[0].key;
    suggest_choices(el, best ? with_entry(el, e->value, "to", best) : (Choice){.text = NULL},
                    with_entry(el, e->value, "to", quoted(el, (Loc){0}, old)));
}

// The name of one that a new name with a ? matches, or that without it.
static void suggest_no_marks(Elab *el, const char *text, const char *prefix)
{
    const Map names = parameters(el, prefix, text);
    char *without = str_copy(el->arena, text), *to = without;
    for (const char *c = text; *c; c++)
        if (*c != '?') *to++ = *c;
    *to = 0;
    const char *bare = *without ? without : NULL;
    if (names.n || bare) suggest(el, names.n ? names.at[0].key : bare, names.n ? bare : NULL);
}

// "from: to", "from: {to:, transpose:}", or "from:" with nothing: the tensor is left out.
static void put_rule(Elab *el, Json *j, const TreeEntry *e, const char *prefix)
{
    const Tree *to = e->value;
    bool turned = false;
    if (to->kind == TREE_MAP) {
        if (!keys_check(el, to, MAPPING_RENAME, false)) {
            suggest_to(el, e, prefix);
            return;
        }
        const Tree *t = tree_get(to, "transpose");
        if (t &&
            !value_to_bool(el, tree_eval(el, el->scope, t, NULL), t->loc, "transpose", &turned))
            return;
        to = tree_get(to, "to");
    }
    if (to->kind != TREE_SCALAR && to->kind != TREE_NULL) {
        el_error(el, to->loc, "a name is renamed to a name, or to {to:, transpose:}");
        suggest_item(el, to);
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
        suggest_no_marks(el, text, prefix);
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
    if (suggest_import(el, name)) return NULL;
    diag_help(el->diag, "write {name in the file: name here}, or the name of such a constant");
    const Map known = lib_names(el, "names");
    if (rename->kind == TREE_SCALAR)
        suggest_words(el, name, &known);
    else
        suggest_item(el, rename);
    return NULL;
}

void put_rename(Elab *el, Json *j, const Tree *rename, const char *prefix)
{
    if (rename && rename->kind == TREE_LIST) { // one table after the other
        for (uint32_t i = 0; i < rename->items.n; i++) {
            const Tree *t = rename->items.at[i];
            if (t->kind != TREE_LIST) {
                put_rename(el, j, t, prefix);
                continue;
            }
            el_error(el, t->loc, "a list of tables of names has no list in it");
            suggest_item(el, t);
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

// The grid that is meant by wrong sizes: the nearest, or a square one.
static void suggest_grid(Elab *el, const ValueList *items)
{
    int64_t size[2] = {0}, most = 1;
    for (uint32_t i = 0; i < items->v.n && i < 2; i++) {
        double x;
        if (!value_number(items->v.at[i], &x)) return;
        size[i] = x < 1 ? 1 : x > MOST_SIDE ? MOST_SIDE : (int64_t)x;
        if (size[i] > most) most = size[i];
    }
    if (!size[0]) return;
    suggest(el,
            str_printf(el->arena, "[%lld, %lld]", (long long)size[0],
                       (long long)(size[1] ? size[1] : size[0])),
            str_printf(el->arena, "[%lld, %lld]", (long long)most, (long long)most));
}

// [h, w] under from: or to:; false when reported, true also where there is none.
static bool grid_read(Elab *el, const Tree *how, const char *key, int64_t grid[2])
{
    const Tree *t = tree_get(how, key);
    const ValueList *items;
    if (!t) return true;
    const Value v = tree_eval(el, el->scope, t, NULL);
    if (!value_items(el, v, t->loc, &items)) {
        if (v.kind == V_INT) suggest_list(el, 2);
        return false;
    }
    bool ok = items->v.n == 2;
    for (uint32_t i = 0; ok && i < 2; i++)
        if (!value_to_int(el, items->v.at[i], t->loc, key, &grid[i])) return false;
    if (ok && grid[0] >= 1 && grid[1] >= 1 && grid[0] <= MOST_SIDE && grid[1] <= MOST_SIDE)
        return true;
    el_error(el, t->loc, "'%s' is a grid, [height, width], both from 1 to %d", key, MOST_SIDE);
    suggest_grid(el, items);
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
static bool small_middle(Elab *el, const Tree *how, const int64_t from[2], const int64_t to[2])
{
    const Tree *both[] = {tree_get(how, "from"), tree_get(how, "to")};
    const int64_t *grids[] = {from, to};
    Choice turned[2] = {{.text = NULL}, {.text = NULL}};
    int64_t rows = from[0] * to[1]; // 0 where one is not said
    if (rows <= MOST_MIDDLE) return true;
    el_error(el, how->loc,
             "from a grid of %lld x %lld to one of %lld x %lld there is one of %lld x %lld in "
             "between, and that has %d rows at most",
             (long long)from[0], (long long)from[1], (long long)to[0], (long long)to[1],
             (long long)from[0], (long long)to[1], MOST_MIDDLE);
    for (int i = 0; i < 2; i++) { // width and height were exchanged
        const char *text =
            str_printf(el->arena, "[%lld, %lld]", (long long)grids[i][1], (long long)grids[i][0]);
        turned[i] = instead(el, both[i], quoted(el, both[i]->loc, text));
        turned[i].said = str_printf(el->arena, "write %s: %s", i ? "to" : "from", text);
    }
    suggest_choices(el, turned[0], turned[1]);
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
        const char *key = prefix ? "prefix" : from[0] ? "from" : "to";
        const Tree *way = tree_get(how, "as");
        Choice grid = way ? instead(el, way, "grid") : (Choice){.text = NULL};
        if (grid.text) grid.said = "write as: grid";
        suggest_choices(el, grid, without_key(el, how, key));
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

// The mapping that a list of globs and of ways means; NULL where it is neither.
static const char *ways_of(Elab *el, const Tree *list)
{
    const char *text = "";
    for (uint32_t i = 0; i < list->items.n; i++) {
        const Tree *item = list->items.at[i];
        const char *way = written(el, item);
        if (item->kind == TREE_SCALAR)
            way = str_printf(el->arena, "%s: grid", way);
        else if (item->kind == TREE_MAP && *way == '{')
            way = str_slice(el->arena, way + 1, strlen(way) - 2);
        else
            return NULL;
        text = str_printf(el->arena, "%s%s%s", text, i ? ", " : "", way);
    }
    return str_printf(el->arena, "{%s}", text);
}

void put_resize(Elab *el, Json *j, const Tree *t, const char *below)
{
    if (!t || t->kind == TREE_NULL) return;
    json_open(j, "resize", '[');
    if (t->kind == TREE_SCALAR) put_resized(el, j, t, NULL, below);
    for (uint32_t i = 0; t->kind == TREE_LIST && i < t->items.n; i++) {
        const Tree *item = t->items.at[i];
        for (uint32_t k = 0; k < i && !warn_if_dead(el, t->items.at[k], item);) k++;
        if (item->kind == TREE_SCALAR) {
            put_resized(el, j, item, NULL, below);
            continue;
        }
        el_error(el, item->loc, "a list of resize: has globs; ways are {glob: how}");
        suggest_choices(el, instead(el, t, ways_of(el, t)), (Choice){.text = NULL});
    }
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++) {
        const TreeEntry *e = t->entries.at;
        for (uint32_t k = 0; k < i && !warn_if_dead(el, e[k].key, e[i].key);) k++;
        put_resized(el, j, e[i].key, e[i].value, below);
    }
    json_close(j, ']');
}

// Does the file begin as safetensors do, whatever it is called?
static bool is_safetensors(Elab *el, const Tree *file)
{
    const char *folder = said_in(el, file), *path = file->text;
    char head[9] = "";
    if (*path != '/' && *folder) path = str_printf(el->arena, "%s/%s", folder, path);
    FILE *f = fopen(path, "rb");
    const bool read = f && fread(head, 1, sizeof head, f) == sizeof head;
    if (f) fclose(f);
    return read && head[8] == '{';
}

void weights_format(Elab *el, const Tree *file)
{
    static const char *const others[] = {"pt", "pth", "bin", "ckpt", "pkl"};
    const char *dot = strrchr(file->text, '.');
    size_t i = 0, n = sizeof others / sizeof *others;
    while (i < n && !(dot && strcasecmp(dot + 1, others[i]) == 0)) i++;
    if (i == n || is_safetensors(el, file)) return;
    const char *ours =
        str_printf(el->arena, "%.*s.safetensors", (int)(dot - file->text), file->text);
    el_error(el, file->loc, "'%s' is a file of torch's, not of safetensors", file->text);
    diag_help(el->diag,
              "convert it once: python3 -c 'import torch, safetensors.torch as s; "
              "s.save_file(torch.load(\"%s\", map_location=\"cpu\", weights_only=True), \"%s\")'",
              file->text, ours);
    suggest(el, ours, NULL);
}

void put_init(Elab *el, Json *j)
{
    const Tree *rows = tree_get(el->root, "init");
    if (!rows || rows->kind != TREE_LIST || !rows->items.n) return;
    json_str(j, "base_dir", folder_said_in(el, rows));
    json_open(j, "init", '[');
    uint32_t put = 0;
    for (uint32_t i = 0; i < rows->items.n; i++) {
        const Tree *row = rows->items.at[i];
        if (!keys_check(el, row, MAPPING_INIT, false)) continue;
        json_open(j, NULL, '{');
        const Tree *file = tree_get(row, "file");
        weights_format(el, file);
        warn_near_file(el, file);
        vec_push(el->arena, &el->out->weights, ((WeightsInfo){NULL, put++, file->loc}));
        json_str(j, "file", file->text);
        put_checksum(el, j, row);
        json_open(j, "rename", '[');
        put_rename(el, j, tree_get(row, "rename"), "");
        json_close(j, ']');
        put_resize(el, j, tree_get(row, "resize"), "");
        json_close(j, '}');
    }
    json_close(j, ']');
}
