// The graph file as a tree: `extends:` merges a file over another, `--set a.b=c` replaces or adds
// keys.
#include "frontend/mend.h"
#include "frontend/rewrite.h"

// ---- extends ----------------------------------------------------------------------------------

static void remove_key(Tree *map, const char *key)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < map->entries.n; i++)
        if (strcmp(map->entries.at[i].key->text, key) != 0)
            map->entries.at[n++] = map->entries.at[i];
    map->entries.n = n;
}

static Tree *merge(Elab *el, const Tree *base, const Tree *over);

// A value as it is written, ".." where that takes several lines.
static const char *value_written(Elab *el, const Tree *value)
{
    const char *s = diag_source_text(el->diag, value->loc.source, NULL);
    if (value->kind == TREE_NULL) return "null";
    bool flow =
        value->kind == TREE_SCALAR || s[value->loc.begin] == '{' || s[value->loc.begin] == '[';
    const char *text =
        str_slice(el->arena, s + value->loc.begin, value->loc.end - value->loc.begin);
    return flow && !strpbrk(text, "|>\n") ? text : "..";
}

// Take away "a.b.c: value" and write it into the mappings that are there, or over what they say.
static void mend_nested(Elab *el, const Tree *map, const Tree *key, const char *value)
{
    const char *name = key->text, *text = value, *dot;
    const Tree *t = map;
    uint32_t own = 0;
    while (own < map->entries.n && map->entries.at[own].key != key) own++;
    while ((dot = strchr(name, '.'))) {
        const Tree *next = tree_get(t, str_slice(el->arena, name, (size_t)(dot - name)));
        if (!next || next->kind != TREE_MAP || next->loc.source != key->loc.source) break;
        t = next;
        name = dot + 1;
    }
    const TreeEntry *old = dot ? NULL : tree_entry(t, name);
    const char *const end = name + strlen(name);
    for (const char *at = end; dot && at > dot;) { // the mappings that are not there
        const char *to = at;
        while (at[-1] != '.') at--;
        text = str_printf(el->arena, "{%.*s: %s}", (int)(to - at), at, text);
        at--;
    }
    const char *first = dot ? str_slice(el->arena, name, (size_t)(dot - name)) : name;
    const bool over = old && old->key->loc.source == key->loc.source;
    const Loc to = over ? old->value->loc : entry_added(el, t, first, text, &text);
    const Loc from = own < map->entries.n ? entry_place(el, map, own) : (Loc){0};
    if (!to.source || to.source != from.source) return;
    diag_mend(el->diag, from, "");
    diag_mend_also(el->diag, to, text);
}

void suggest_nested(Elab *el, const Tree *map, const Tree *key)
{
    const TreeEntry *e = tree_entry(map, key->text);
    const char *dot = strchr(key->text, '.');
    const char *value = e->value->kind == TREE_NULL ? "null" : value_written(el, e->value),
               *text = value;
    const char *first = str_slice(el->arena, key->text, (size_t)(dot - key->text));
    const TreeEntry *other = tree_entry(map, first);
    for (const char *end = key->text + strlen(key->text), *at = end; at > dot;) {
        while (at[-1] != '.') at--;
        text = str_printf(el->arena, *end ? "%.*s: {%s}" : "%.*s: %s", (int)(end - at), at, text);
        end = --at;
    }
    if (other && other->value->loc.source == key->loc.source) {
        diag_help(el->diag, "a path of keys is written as mappings: %s, under %s:", text, first);
        if (strcmp(value, "..") != 0) mend_nested(el, map, key, value);
        return;
    }
    text = str_printf(el->arena, "%s: {%s}", first, text);
    diag_help(el->diag, "a path of keys is written as mappings: %s", text);
    Loc at = key->loc, end = e->value->loc;
    const char *s = diag_source_text(el->diag, at.source, NULL);
    if (strcmp(value, "..") == 0 || !is_users(el, at) || end.source != at.source) return;
    if (end.end > at.end) at.end = end.end;
    if (s[at.end] == ':') at.end++;
    diag_mend(el->diag, at, text);
}

static void removes_nothing(Elab *el, const Tree *map, const Tree *over, const Tree *key)
{
    const Map names = keys_map(el, map);
    const char *best = nearest_key(&names, key->text, NULL);
    size_t first = strcspn(key->text, ".");
    const bool path = key->text[first] && tree_get(map, str_slice(el->arena, key->text, first));
    (path ? diag_error : diag_warning)(
        el->diag, key->loc, "'%s' removes nothing: there is none in what is extended", key->text);
    if (path)
        suggest_nested(el, over, key);
    else if (best)
        diag_did_you_mean(el->diag, key->text, best);
}

// What is appended to a list is not one.
static void appends_no_list(Elab *el, const TreeEntry *e)
{
    const Tree *v = e->value;
    const char *s = diag_source_text(el->diag, v->loc.source, NULL);
    el_error(el, v->kind == TREE_NULL ? e->key->loc : v->loc,
             "'%s' takes a list of what it appends", e->key->text);
    if (v->kind == TREE_SCALAR || s[v->loc.begin] == '{')
        suggest_list(el, 1);
    else if (v->kind == TREE_MAP)
        diag_help(el->diag, "'- ' before its first key makes a list of it");
}

static bool appends(const TreeEntry *e)
{
    const size_t n = strlen(e->key->text);
    return n > 1 && e->key->text[n - 1] == '+';
}

static void merge_key(Elab *el, Tree *to, const Tree *over, const TreeEntry *e)
{
    const char *name = e->key->text;
    const bool append = appends(e);
    if (append) name = str_slice(el->arena, name, strlen(name) - 1);
    TreeEntry *old = tree_entry(to, name);
    if (append && old && old->value->kind == TREE_LIST && e->value->kind == TREE_LIST) {
        Tree *both = arena_make(el->arena, Tree);
        *both = *e->value;
        memset(&both->items, 0, sizeof both->items);
        const Tree *parts[] = {old->value, e->value};
        for (int k = 0; k < 2; k++)
            for (uint32_t i = 0; i < parts[k]->items.n; i++)
                vec_push(el->arena, &both->items, parts[k]->items.at[i]);
        old->value = both;
    } else if (append && old && old->value->kind == TREE_LIST) {
        appends_no_list(el, e);
    } else if (append) {
        el_error(el, e->key->loc, "'%s' appends to a list, and there is none", e->key->text);
        bool list = !old && e->value->kind == TREE_LIST && is_users(el, e->key->loc);
        if (!old) diag_help(el->diag, "write %s: to begin one", name);
        if (list) diag_mend(el->diag, e->key->loc, name);
    } else if (e->value->kind == TREE_NULL) {
        if (!old) removes_nothing(el, to, over, e->key);
        remove_key(to, name);
    } else if (!old) {
        vec_push(el->arena, &to->entries, *e);
    } else if (old->value->kind == TREE_MAP && e->value->kind == TREE_MAP) {
        old->value = merge(el, old->value, e->value);
    } else {
        old->key = e->key;
        old->value = e->value;
    }
}

static Tree *copy_map(Elab *el, const Tree *t)
{
    Tree *to = arena_make(el->arena, Tree);
    *to = *t;
    memset(&to->entries, 0, sizeof to->entries);
    for (uint32_t i = 0; i < t->entries.n; i++) vec_push(el->arena, &to->entries, t->entries.at[i]);
    return to;
}

// What is appended comes behind what is replaced, wherever it stands.
static Tree *merge(Elab *el, const Tree *base, const Tree *over)
{
    Tree *to = copy_map(el, base);
    to->loc = over->loc;
    for (int last = 0; last < 2; last++)
        for (uint32_t i = 0; i < over->entries.n; i++)
            if (appends(&over->entries.at[i]) == last)
                merge_key(el, to, over, &over->entries.at[i]);
    return to;
}

static Tree *read_chain(Elab *el, const char *path, Loc from, Map *seen)
{
    if (!map_set(el->arena, seen, path, el)) {
        const Loc line = line_place(el, from);
        el_error(el, from, "'%s' extends itself", path);
        diag_help(el->diag, "leave out 'extends' in one of the files");
        if (line.source) diag_mend(el->diag, line, "");
        return NULL;
    }
    const TreeJudge judge = frontend_judge(el->arena, path, el->options);
    const bool judged = !from.source && el->options && !el->options->no_trials;
    Tree *t = tree_read_file(el->arena, el->diag, path, from, judged ? &judge : NULL);
    if (!t && from.source) suggest_file(el, path);
    if (!t) return NULL;
    if (from.source) vec_push(el->arena, &el->bases, t->loc.source);
    if (t->kind != TREE_MAP) {
        el_error(el, t->loc, "a graph file is a mapping");
        return NULL;
    }
    const Tree *extends = tree_get(t, "extends");
    if (!extends || extends->kind != TREE_SCALAR) return t;
    const char *dir = folder_of(el, path);
    const char *base_path = *dir && *extends->text != '/'
                                ? str_printf(el->arena, "%s/%s", dir, extends->text)
                                : extends->text;
    Tree *base = read_chain(el, base_path, extends->loc, seen);
    const TreeEntry *own = tree_entry(t, "import");
    const Tree *list = tree_get(base, "import");
    if (own && own->value->kind == TREE_LIST && list && list->kind == TREE_LIST)
        vec_push(el->arena, &el->dropped, (Dropped){own->key, list});
    return base ? merge(el, base, t) : NULL;
}

Tree *graph_read(Elab *el, const char *path)
{
    Map seen = {0};
    return read_chain(el, path, (Loc){0}, &seen);
}

// ---- --set ------------------------------------------------------------------------------------

// Set the key parts[0].parts[1].. of a map; counts what was set.
static void set_walk(Elab *el, Tree *map, char **parts, uint32_t n, const TreeEntry *row,
                     bool may_add, uint32_t *count)
{
    bool found = false;
    for (uint32_t i = 0; i < map->entries.n; i++) {
        TreeEntry *e = &map->entries.at[i];
        if (!glob_match(parts[0], e->key->text)) continue;
        found = true;
        if (n == 1) {
            e->value = row->value;
            ++*count;
        } else if (e->value->kind == TREE_MAP) {
            e->value = copy_map(el, e->value);
            set_walk(el, e->value, parts + 1, n - 1, row, true, count);
        }
    }
    uint32_t kept = 0; // nothing removes a key, as with extends
    for (uint32_t i = 0; i < map->entries.n; i++)
        if (map->entries.at[i].value != row->value || row->value->kind != TREE_NULL)
            map->entries.at[kept++] = map->entries.at[i];
    map->entries.n = kept;
    if (found || glob_any(parts[0]) || !may_add || row->value->kind == TREE_NULL) return;
    Tree *key = arena_make(el->arena, Tree);
    *key = *row->key;
    key->text = parts[0];
    Tree *value = row->value;
    if (n > 1) {
        value = arena_make(el->arena, Tree);
        *value = (Tree){.kind = TREE_MAP, .loc = row->key->loc};
        set_walk(el, value, parts + 1, n - 1, row, true, count);
    } else {
        ++*count;
    }
    vec_push(el->arena, &map->entries, (TreeEntry){key, value});
}

static bool set_path(Elab *el, Tree *root, const char *name, const TreeEntry *row)
{
    VEC(char *) parts = {0};
    for (const char *p = name;; p++) {
        const char *end = p;
        while (*end && *end != '.') end++;
        vec_push(el->arena, &parts, str_slice(el->arena, p, (size_t)(end - p)));
        p = end;
        if (!*p) break;
    }
    uint32_t count = 0;
    Tree *let = tree_get(root, "let"), *train = tree_get(root, "train");
    bool top = parts.n > 1 && (keys_reserved(MAPPING_GRAPH, parts.at[0]) || glob_any(parts.at[0]));
    if (top)
        set_walk(el, root, parts.at, parts.n, row, true, &count);
    else if (let && let->kind == TREE_MAP)
        set_walk(el, let, parts.at, parts.n, row, false, &count);
    bool of_train = !count && parts.n == 1 && keys_reserved(MAPPING_TRAIN, name); // `steps`, ..
    if (of_train && train && train->kind == TREE_MAP)
        set_walk(el, train, parts.at, parts.n, row, true, &count);
    bool section = !count && parts.n == 1 && keys_reserved(MAPPING_GRAPH, name); // eval=null
    if (section && tree_get(root, name)) set_walk(el, root, parts.at, parts.n, row, false, &count);
    if (count) return true;
    diag_error(el->diag, row->key->loc, "'%s' sets nothing", name);
    const Map names = keys_map(el, let);
    if (!suggest_near(el, name, &names))
        diag_help(el->diag,
                  "a name is one of let:, or a path such as train.steps or experts.*.enabled");
    return false;
}

bool set_row(Elab *el, Tree *root, const TreeEntry *row)
{
    return set_path(el, root, row->key->text, row);
}

bool set_apply(Elab *el, Tree *root, uint32_t i)
{
    const FrontendOptions *o = el->options;
    const char *assignment = o->set[i];
    const char *equal = strchr(assignment, '=');
    if (!equal || equal == assignment) {
        diag_error(el->diag, (Loc){0}, "--set takes name=value, not '%s'", assignment);
        return false;
    }
    const char *name = str_slice(el->arena, assignment, (size_t)(equal - assignment));
    const char *text = str_printf(el->arena, "\"%s\": %s\n", name, equal + 1);
    const char *path = i < o->nset_in ? str_printf(el->arena, "%s/--set", o->set_in[i]) : "--set";
    uint32_t source = diag_source(el->diag, path, text, strlen(text));
    Tree *t = tree_read(el->arena, el->diag, source);
    if (!t || t->kind != TREE_MAP || t->entries.n != 1) {
        if (t) diag_error(el->diag, (Loc){0}, "--set takes name=value, not '%s'", assignment);
        return false;
    }
    return set_path(el, root, name, &t->entries.at[0]);
}
