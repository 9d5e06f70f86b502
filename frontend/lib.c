// cztc lib: what the library has, in the terminal. All library files are read; one definition is
// described with inputs, settings, parameters, taps and outputs.
#include "frontend/rewrite.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// Names of library files below dir ("encoders/vit"), sorted.
static bool list_files(Arena *arena, const char *dir, const char *prefix, Map *names, Error *err)
{
    DIR *d = opendir(dir);
    if (!d) return error_set(err, "library folder %s: %s", dir, strerror(errno));
    VEC(const char *) found = {0};
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') vec_push(arena, &found, str_copy(arena, e->d_name));
    closedir(d);
    if (found.n) qsort(found.at, found.n, sizeof *found.at, by_name);
    bool ok = true;
    for (uint32_t i = 0; i < found.n && ok; i++) {
        const char *path = str_printf(arena, "%s/%s", dir, found.at[i]);
        struct stat st;
        size_t n = strlen(found.at[i]);
        if (stat(path, &st) != 0) continue;
        if (S_ISDIR(st.st_mode))
            ok = list_files(arena, path, str_printf(arena, "%s%s/", prefix, found.at[i]), names,
                            err);
        else if (n > 5 && strcmp(found.at[i] + n - 5, ".yaml") == 0)
            map_set(arena, names, str_printf(arena, "%s%.*s", prefix, (int)(n - 5), found.at[i]),
                    names);
    }
    return ok;
}

// ---- what is not imported ---------------------------------------------------------------------

static bool defines(const Tree *file, const char *name)
{
    static const char *const sections[] = {"modules", "functions", "optimizers", "metrics",
                                           "experts", "constants", "names"};
    size_t n = strlen(name);
    for (int k = 0; k < 7; k++) {
        const Tree *t = tree_get(file, sections[k]);
        for (uint32_t i = 0; t && i < t->entries.n; i++) {
            const char *key = t->entries.at[i].key->text;
            if (strncmp(key, name, n) == 0 && (!key[n] || key[n] == '(')) return true;
        }
    }
    return false;
}

const char *lib_nearest(Elab *el, const char *name)
{
    const char *dir = lib_folder(el->options);
    Error err = {0};
    Map names = {0};
    if (!dir || !list_files(el->arena, dir, "", &names, &err)) return NULL;
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".yaml") == 0) name = str_slice(el->arena, name, n - 5);
    if (map_find(&names, name)) return name;
    for (uint32_t i = 0; i < names.n; i++) { // "vit" for encoders/vit
        const char *slash = strrchr(names.at[i].key, '/');
        if (slash && strcmp(slash + 1, name) == 0) return names.at[i].key;
    }
    return nearest_key(&names, name, NULL);
}

// The files of the library, read once: name -> Tree *.
static const Map *lib_trees(Elab *el)
{
    const char *dir = lib_folder(el->options);
    Error err = {0};
    Map names = {0};
    if (el->lib_trees) return el->lib_trees;
    Map *trees = arena_make(el->arena, Map);
    Diag *quiet = diag_new(el->arena);
    if (dir && list_files(el->arena, dir, "", &names, &err))
        for (uint32_t i = 0; i < names.n; i++) {
            const char *path = lib_path(el->arena, el->options, names.at[i].key);
            Tree *t = path ? tree_read_file(el->arena, quiet, path, (Loc){0}, NULL) : NULL;
            if (t) map_set(el->arena, trees, names.at[i].key, t);
        }
    return el->lib_trees = trees;
}

// The library file, imported or not, that defines a name ("losses/dense"); NULL when none does, and
// where nobody reads what would be said of it.
const char *lib_defining(Elab *el, const char *name)
{
    const Map *trees = el->options->trial ? NULL : lib_trees(el);
    for (uint32_t i = 0; trees && i < trees->n; i++)
        if (defines(trees->at[i].value, name)) return trees->at[i].key;
    return NULL;
}

Map lib_names(Elab *el, const char *section)
{
    const Map *trees = lib_trees(el);
    Map names = {0};
    for (uint32_t i = 0; i < trees->n; i++) {
        const Tree *t = tree_get(trees->at[i].value, section);
        for (uint32_t k = 0; t && k < t->entries.n; k++)
            map_set(el->arena, &names, t->entries.at[k].key->text, NULL);
    }
    return names;
}

// The mend that puts a file into the list of import:, before one of its items.
static void mend_import(Elab *el, Loc at, const char *file)
{
    const char *text = diag_source_text(el->diag, at.source, NULL);
    uint32_t line = line_begin(text, at.end = at.begin);
    const char *before = str_slice(el->arena, text + line, at.begin - line); // "  - "
    diag_mend(el->diag, at,
              strchr(before, '[') ? str_printf(el->arena, "%s, ", file)
                                  : str_printf(el->arena, "%s\n%s", file, before));
}

// The first item of a list that a file says itself: not what it extends. NULL: there is none.
static const Tree *own_item(const Tree *list, uint32_t source)
{
    for (uint32_t i = 0; list && list->kind == TREE_LIST && i < list->items.n; i++)
        if (list->items.at[i]->loc.source == source) return list->items.at[i];
    return NULL;
}

// Does a file of a list, or one that it imports, define the name?
static bool list_defines(Elab *el, const Tree *list, const char *dir, const char *name, Map *seen)
{
    Diag *quiet = diag_new(el->arena);
    for (uint32_t i = 0; list && list->kind == TREE_LIST && i < list->items.n; i++) {
        const Tree *item = list->items.at[i];
        const char *path = item->kind == TREE_SCALAR ? library_path(el, item->text, dir) : NULL;
        if (!path || !map_set(el->arena, seen, path, seen)) continue;
        const Tree *file = tree_read_file(el->arena, quiet, path, (Loc){0}, NULL);
        if (!file || file->kind != TREE_MAP) continue;
        bool found = defines(file, name) ||
                     list_defines(el, tree_get(file, "import"), folder_of(el, path), name, seen);
        if (found) return true;
    }
    return false;
}

// A file with extends: has replaced the list that brought the name.
static bool suggest_append(Elab *el, const char *name)
{
    for (uint32_t i = 0; i < el->dropped.n; i++) {
        const Dropped *d = &el->dropped.at[i];
        Map seen = {0};
        if (!list_defines(el, d->list, said_in(el, d->list), name, &seen)) continue;
        diag_note(el->diag, d->key->loc, "this list replaces that of %s, which brings '%s'",
                  diag_source_path(el->diag, d->list->loc.source), name);
        diag_help(el->diag, "write import+: to append to it");
        if (is_users(el, d->key->loc)) diag_mend(el->diag, d->key->loc, "import+");
        return true;
    }
    return false;
}

static void suggest_library(Elab *el, const char *file)
{
    Loc at;
    const Tree *list = tree_get(el->root, "import"), *version = tree_get(el->root, "cztc");
    if (!diag_last(el->diag, &at)) return;
    const Tree *item = own_item(list, at.source);
    bool appended =
        list && list->kind == TREE_LIST && !item && version && version->loc.source == at.source;
    const bool more = appended || (item && list->items.at[0]->loc.source != at.source);
    diag_help(el->diag, "it is in the library: add %s to import%s:", file, more ? "+" : "");
    if (item)
        mend_import(el, item->loc, file);
    else if (version && version->loc.source == at.source && (!list || list->kind == TREE_LIST))
        diag_mend(el->diag, loc_in(at.source, version->loc.end, version->loc.end),
                  str_printf(el->arena, "\nimport%s: [%s]", appended ? "+" : "", file));
}

bool suggest_import(Elab *el, const char *name)
{
    if (suggest_append(el, name)) return true;
    const char *file = lib_defining(el, name);
    if (file) suggest_library(el, file);
    return file != NULL;
}

// ---- printing ---------------------------------------------------------------------------------

static const char *kind_of(Value v)
{
    static const char *const roles[] = {"module", "optimizer", "metric", "expert kind"};
    return v.kind == V_MODULE     ? roles[v.module->role]
           : v.kind == V_FUNCTION ? "function"
                                  : "constant";
}

// A value as YAML in flow style; a text inside of another value is quoted where it must be.
static const char *flow_text(Arena *arena, const Tree *t, bool inside)
{
    if (t->kind == TREE_NULL) return "null";
    if (t->kind == TREE_SCALAR) {
        bool quote = inside && strpbrk(t->text, ",[]{}") != NULL;
        return quote ? str_printf(arena, strchr(t->text, '"') ? "'%s'" : "\"%s\"", t->text)
                     : t->text;
    }
    bool list = t->kind == TREE_LIST;
    uint32_t n = list ? t->items.n : t->entries.n;
    const char *text = list ? "[" : "{";
    for (uint32_t i = 0; i < n; i++) {
        const char *comma = i ? ", " : "";
        text =
            list ? str_printf(arena, "%s%s%s", text, comma, flow_text(arena, t->items.at[i], true))
                 : str_printf(arena, "%s%s%s: %s", text, comma, t->entries.at[i].key->text,
                              flow_text(arena, t->entries.at[i].value, true));
    }
    return str_printf(arena, "%s%s", text, list ? "]" : "}");
}

static void print_decls(Arena *arena, const char *title, const Decls *decls, FILE *out)
{
    static const char *const words[] = {
        [WORD_ANY] = "",          [WORD_INT] = "int",      [WORD_FLOAT] = "float",
        [WORD_BOOL] = "bool",     [WORD_NAME] = "name",    [WORD_LIST] = "list",
        [WORD_PARAM] = "param",   [WORD_GRAD] = "grad",    [WORD_COUNT] = "count",
        [WORD_TENSOR] = "tensor", [WORD_MODULE] = "module"};
    if (decls->n) fprintf(out, "  %s\n", title);
    for (uint32_t i = 0; i < decls->n; i++) {
        const Decl *d = &decls->at[i];
        fprintf(out, "    %-12s %s%s", d->name,
                d->is_shape ? d->shape
                : d->role   ? d->role
                            : words[d->word],
                d->optional ? "?" : "");
        if (d->dtype != DT_NONE) fprintf(out, " %s", dtype_name(d->dtype));
        if (d->range) fprintf(out, ", %s", d->range->text);
        if (d->def)
            fprintf(out, "%s= %s", d->word == WORD_ANY ? "" : " ", expr_text(arena, d->def));
        if (d->def_tree) fprintf(out, "= %s", flow_text(arena, d->def_tree, false));
        fputc('\n', out);
    }
}

static void print_items(const char *title, const Items *items, FILE *out)
{
    if (items->n) fprintf(out, "  %s\n   ", title);
    for (uint32_t i = 0; i < items->n; i++)
        fprintf(out, " %s%s", items->at[i].name, i + 1 < items->n ? "," : "\n");
}

static void print_rows(Arena *arena, const char *title, const Items *items, FILE *out)
{
    if (items->n) fprintf(out, "  %s\n", title);
    for (uint32_t i = 0; i < items->n; i++)
        fprintf(out, "    %-12s %s\n", items->at[i].name,
                flow_text(arena, items->at[i].value, false));
}

// What a graph writes to have a definition.
static void print_import(const char *file, FILE *out)
{
    if (strcmp(file, "prelude") == 0)
        fprintf(out, "  always imported\n");
    else
        fprintf(out, "  import: [%s]\n", file);
}

// What a kind says for its experts.
static void print_kind(Arena *arena, const Tree *kind, FILE *out)
{
    static const char *const not_said[] = {"doc", "needs", "params", NULL};
    Items rows = {0};
    for (uint32_t i = 0; i < kind->entries.n; i++) {
        const TreeEntry *e = &kind->entries.at[i];
        if (!is_one_of(e->key->text, not_said))
            vec_push(arena, &rows, (Item){e->key->text, e->key->loc, e->value});
    }
    print_rows(arena, "says", &rows, out);
}

static void print_module(Arena *arena, const ModuleDef *m, FILE *out)
{
    fprintf(out, "%s %s (%s)\n", kind_of((Value){.kind = V_MODULE, .module = m}), m->name, m->file);
    if (m->doc) fprintf(out, "  %.*s\n", (int)strcspn(m->doc, "\n"), m->doc);
    print_import(m->file, out);
    print_decls(arena, m->role == ROLE_KIND ? "needs" : "inputs", &m->in, out);
    print_decls(arena, "settings", &m->let, out);
    print_rows(arena, "parameters and parts", &m->params, out);
    print_rows(arena, "state", &m->state, out);
    print_items("taps", &m->body, out);
    print_items("outputs", &m->out, out);
    if (m->role == ROLE_KIND) print_kind(arena, m->tree, out);
}

static void print_constant(Arena *arena, const Binding *b, const char *file, FILE *out)
{
    fprintf(out, "constant %s (%s)\n", b->name, file);
    print_import(file, out);
    if (b->tree->kind != TREE_MAP) fprintf(out, "  %s\n", flow_text(arena, b->tree, false));
    for (uint32_t i = 0; b->tree->kind == TREE_MAP && i < b->tree->entries.n; i++) {
        const TreeEntry *e = &b->tree->entries.at[i];
        const char *name = str_printf(arena, "%s.%s", b->name, e->key->text);
        fprintf(out, "    %-14s %s\n", name, flow_text(arena, e->value, false));
    }
}

static void print_one(Arena *arena, const Binding *b, const char *file, FILE *out)
{
    if (b->value.kind == V_MODULE) {
        print_module(arena, b->value.module, out);
    } else if (b->value.kind == V_FUNCTION) {
        const FunctionDef *f = b->value.function;
        fprintf(out, "function %s (%s)\n", f->text, f->file);
        print_import(f->file, out);
        fprintf(out, "  %s\n", flow_text(arena, f->body, false));
    } else {
        print_constant(arena, b, file, out);
    }
}

// The file of a definition, as import: names it.
static const char *file_of(const Elab *el, const Binding *b, const char *dir)
{
    const char *path = diag_source_path(el->diag, b->loc.source) + strlen(dir) + 1;
    return str_slice(el->arena, path, strlen(path) - strlen(".yaml"));
}

// The first sentence of a text.
static const char *sentence(Arena *arena, const char *doc)
{
    const char *end = doc ? strstr(doc, ". ") : NULL;
    size_t n = end ? (size_t)(end - doc) + 1 : doc ? strcspn(doc, "\n") : 0;
    return str_slice(arena, doc ? doc : "", n);
}

// Is a file that, or of that folder?
static bool is_of(const char *file, const char *only)
{
    size_t n = strlen(only);
    return !n ||
           (strncmp(file, only, n) == 0 && (!file[n] || file[n] == '/' || only[n - 1] == '/'));
}

// The definitions of one file or folder; "" for all. False where there are none.
static bool print_list(const Elab *el, const char *dir, const char *only, FILE *out)
{
    const Map *defs = &el->defs;
    static const char *const kinds[] = {"module",      "optimizer", "metric",
                                        "expert kind", "function",  "constant"};
    static const char *const titles[] = {"Modules",      "Optimisers", "Metrics",
                                         "Expert kinds", "Functions",  "Constants"};
    bool any = false;
    for (int k = 0; k < 6; k++) {
        bool titled = false;
        for (uint32_t i = 0; i < defs->n; i++) {
            const Binding *b = defs->at[i].value;
            const char *file = file_of(el, b, dir);
            if (strcmp(kind_of(b->value), kinds[k]) != 0 || !is_of(file, only)) continue;
            if (!titled) fprintf(out, "%s%s\n", any ? "\n" : "", titles[k]);
            any = titled = true;
            if (b->value.kind == V_MODULE)
                fprintf(out, "  %-20s %-20s %s\n", b->name, file,
                        sentence(el->arena, b->value.module->doc));
            else
                fprintf(out, "  %-41s %s\n",
                        b->value.kind == V_FUNCTION ? b->value.function->text : b->name, file);
        }
    }
    return any;
}

static void print_builtins(FILE *out)
{
    uint32_t n;
    const Builtin *table = builtin_table(&n);
    fprintf(out, "\nBuilt-in functions\n");
    for (uint32_t i = 0; i < n; i++)
        fprintf(out, "  %s(%s): %s\n", table[i].name, table[i].signature, table[i].doc);
}

bool frontend_lib(Arena *arena, const char *lib_dir, const char *name, FILE *out, Error *err)
{
    FrontendOptions options = {.lib_dir = lib_dir};
    Diag *diag = diag_new(arena);
    Elab *el = arena_make(arena, Elab);
    Map names = {0};
    Loc none = {0};
    *el = (Elab){.arena = arena, .diag = diag, .options = &options, .base_dir = ""};
    const char *dir = lib_folder(&options);
    if (!dir) return error_set(err, "no library folder is known; give one with --lib");
    if (!list_files(arena, dir, "", &names, err)) return false;
    for (uint32_t i = 0; i < names.n; i++) library_file(el, names.at[i].key, dir, none);
    if (diag_errors(diag)) {
        diag_print(diag, stderr);
        return error_set(err, "the library in %s has errors", dir);
    }
    if (!name) {
        print_list(el, dir, "", out);
        print_builtins(out);
        return true;
    }
    const Binding *b = map_get(&el->defs, name);
    const Builtin *f = builtin_find(name);
    if (b)
        print_one(arena, b, file_of(el, b, dir), out);
    else if (f)
        fprintf(out, "built-in function %s(%s)\n  %s\n", f->name, f->signature, f->doc);
    else if (!print_list(el, dir, name, out)) {
        const char *best = nearest_key(&el->defs, name, NULL);
        return error_set(err, "the library has no '%s'%s%s%s", name, best ? "; did you mean '" : "",
                         best ? best : "", best ? "'?" : "");
    }
    return true;
}
