// Library files: functions, modules, optimisers, metrics and constants, all in one namespace. A
// file is found beside the one that imports it, else in the library.
#include "frontend/mend.h"
#include "frontend/rewrite.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef CZT_LIB_DIR
#define CZT_LIB_DIR NULL
#endif

typedef struct LibFile {
    const char *path;
    const Tree *tree;
    bool done;
} LibFile;

static bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

const char *lib_folder(const FrontendOptions *o)
{
    return o && o->lib_dir ? o->lib_dir : CZT_LIB_DIR;
}

const char *lib_path(Arena *arena, const FrontendOptions *o, const char *name)
{
    const char *dir = lib_folder(o);
    if (!dir) return NULL;
    const char *path = str_printf(arena, "%s/%s.yaml", dir, name);
    return file_exists(path) ? path : NULL;
}

// ---- definitions ------------------------------------------------------------------------------

// Define a name that stands at loc; NULL when reported.
static Binding *define(Elab *el, const char *name, Loc loc)
{
    Binding *old = map_get(&el->defs, name);
    if (!name_definable(el, name, loc)) return NULL;
    if (old) {
        el_error(el, loc, "'%s' is defined twice; functions and modules share one namespace", name);
        diag_note(el->diag, old->loc, "it is defined here too");
        return NULL;
    }
    Binding *b = arena_make(el->arena, Binding);
    *b = (Binding){.name = name, .loc = loc, .forced = true};
    map_set(el->arena, &el->defs, name, b);
    return b;
}

const ModuleDef *def_named(const Elab *el, const char *name)
{
    const Binding *b = map_get(&el->defs, name);
    return b && b->value.kind == V_MODULE ? b->value.module : NULL;
}

const ModuleDef *def_at(const Elab *el, uint32_t i, ModuleRole role)
{
    const ModuleDef *def = def_named(el, el->defs.at[i].key);
    return def && def->role == role ? def : NULL;
}

const Decl *def_setting(const ModuleDef *def, const char *name)
{
    const Decl *d = decl_find(&def->let, name);
    return d ? d : decl_find(&def->in, name);
}

static void read_decls(Elab *el, const Tree *map, Decls *out)
{
    for (uint32_t i = 0; map && i < map->entries.n; i++) {
        Decl d;
        if (!decl_parse(el, &map->entries.at[i], &d))
            d = (Decl){.name = d.name, .loc = d.loc, .wrong = true, .optional = true};
        decl_check_default(el, &d);
        vec_push(el->arena, out, d);
    }
}

static const char *scalar_text(const Tree *t)
{
    return t && t->kind == TREE_SCALAR ? t->text : NULL;
}

static bool has_item(const Items *list, const char *name)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (strcmp(list->at[i].name, name) == 0) return true;
    return false;
}

// Does an optimiser write the parameter, and is each state updated?
static void check_updates(Elab *el, const ModuleDef *m)
{
    const char *param = NULL;
    const Items *rows = &m->update;
    for (uint32_t i = 0; m->role == ROLE_OPTIMIZER && i < m->in.n; i++)
        if (m->in.at[i].word == WORD_PARAM) param = m->in.at[i].name;
    if (param && rows->n && !has_item(rows, param)) {
        el_error(el, m->loc, "no row of update: writes '%s', so %s would train nothing", param,
                 m->name);
        diag_help(el->diag, "write %s: as the key of the row that has its new value", param);
        uint32_t others = 0;
        for (uint32_t i = 0; i < rows->n; i++) others += !has_item(&m->state, rows->at[i].name);
        for (uint32_t i = rows->n; i-- > 0;)
            if (!has_item(&m->state, rows->at[i].name) && is_users(el, rows->at[i].loc))
                (others == 1 ? diag_mend : diag_guess)(el->diag, rows->at[i].loc, param);
    }
    for (uint32_t i = 0; rows->n && i < m->state.n; i++)
        if ((param || m->role == ROLE_METRIC) && !has_item(rows, m->state.at[i].name))
            diag_warning(el->diag, m->state.at[i].loc, "no row of update: writes '%s'",
                         m->state.at[i].name);
}

static void read_module(Elab *el, const TreeEntry *e, ModuleRole role, const char *file)
{
    static const MappingId ids[] = {MAPPING_MODULE, MAPPING_OPTIMIZER, MAPPING_METRIC,
                                    MAPPING_KIND};
    const Tree *t = e->value;
    if (t->kind != TREE_MAP) {
        el_error(el, e->key->loc, "module '%s' is a mapping", e->key->text);
        return;
    }
    keys_check(el, t, ids[role], false);
    ModuleDef *m = arena_make(el->arena, ModuleDef);
    *m = (ModuleDef){.name = e->key->text,
                     .loc = e->key->loc,
                     .role = role,
                     .file = file,
                     .tree = t,
                     .doc = scalar_text(tree_get(t, "doc"))};
    read_decls(el, tree_get(t, role == ROLE_KIND ? "needs" : "in"), &m->in);
    read_decls(el, tree_get(t, "let"), &m->let);
    m->params = items_read(el, tree_get(t, "params"));
    m->body = items_read(el, tree_get(t, "body"));
    m->out = items_read(el, tree_get(t, "out"));
    m->state = items_read(el, tree_get(t, "state"));
    m->update = items_read(el, tree_get(t, "update"));
    check_updates(el, m);
    Binding *b = define(el, m->name, m->loc);
    names_of_module(el, m);
    if (b) b->value = (Value){.kind = V_MODULE, .module = m};
}

// "softmax(x, axis=-1)": the key is parsed as a call.
static void read_function(Elab *el, const TreeEntry *e, const char *file)
{
    const Expr *head = el_parse(el, e->key);
    if (!head) return;
    if (head->kind != EXPR_CALL || head->args[0]->kind != EXPR_NAME) {
        el_error(el, e->key->loc, "a function is written name(arguments): expression");
        return;
    }
    FunctionDef *f = arena_make(el->arena, FunctionDef);
    *f = (FunctionDef){.name = head->args[0]->text,
                       .loc = e->key->loc,
                       .file = file,
                       .text = e->key->text,
                       .body = e->value};
    for (uint32_t i = 1; i < head->nargs; i++) {
        const char *name = head->names ? head->names[i] : NULL;
        if (!name && head->args[i]->kind != EXPR_NAME) {
            el_error(el, head->args[i]->loc, "an argument is a name, or name=default");
            return;
        }
        vec_push(el->arena, &f->params, name ? name : head->args[i]->text);
        vec_push(el->arena, &f->defaults, name ? head->args[i] : NULL);
    }
    Binding *b = define(el, f->name, head->args[0]->loc);
    if (b) b->value = (Value){.kind = V_FUNCTION, .function = f};
}

static void read_constants(Elab *el, const Tree *t)
{
    for (uint32_t i = 0; t && i < t->entries.n; i++) {
        Binding *b = define(el, t->entries.at[i].key->text, t->entries.at[i].key->loc);
        if (!b) continue;
        b->kind = BIND_TREE; // evaluated in every build's own scope
        b->tree = t->entries.at[i].value;
        b->forced = false;
    }
}

static void read_section(Elab *el, const Tree *root, const char *name, ModuleRole role,
                         const char *file)
{
    const Tree *t = tree_get(root, name);
    for (uint32_t i = 0; t && t->kind == TREE_MAP && i < t->entries.n; i++)
        read_module(el, &t->entries.at[i], role, file);
}

void version_check(Elab *el, const Tree *file)
{
    const Tree *version = tree_get(file, "cztc");
    if (!version || (version->kind == TREE_SCALAR && strcmp(version->text, "1") == 0)) return;
    el_error(el, version->loc, "this version of the language is not known");
    diag_help(el->diag, "write `cztc: 1`");
    if (is_users(el, version->loc) && version->kind == TREE_SCALAR)
        diag_mend(el->diag, version->loc, "1");
}

static bool read_definitions(Elab *el, const Tree *root, const char *name)
{
    if (!keys_check(el, root, MAPPING_LIBRARY, false)) return false;
    version_check(el, root);
    const Tree *imports = tree_get(root, "import"), *functions = tree_get(root, "functions");
    bool ok = !imports || library_import(el, imports);
    read_constants(el, tree_get(root, "constants"));
    read_constants(el, tree_get(root, "names"));
    for (uint32_t i = 0; functions && i < functions->entries.n; i++)
        read_function(el, &functions->entries.at[i], name);
    read_section(el, root, "modules", ROLE_MODULE, name);
    read_section(el, root, "optimizers", ROLE_OPTIMIZER, name);
    read_section(el, root, "metrics", ROLE_METRIC, name);
    read_section(el, root, "experts", ROLE_KIND, name);
    return ok;
}

// ---- files ------------------------------------------------------------------------------------

const char *folder_of(Elab *el, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? str_slice(el->arena, path, (size_t)(slash - path)) : "";
}

const char *said_in(Elab *el, const Tree *t)
{
    return t ? folder_of(el, diag_source_path(el->diag, t->loc.source)) : el->base_dir;
}

const char *folder_said_in(Elab *el, const Tree *t)
{
    const char *folder = said_in(el, t);
    char full[PATH_MAX];
    return realpath(*folder ? folder : ".", full) ? str_copy(el->arena, full) : folder;
}

const char *library_path(Elab *el, const char *name, const char *dir)
{
    const char *path = *dir ? str_printf(el->arena, "%s/%s.yaml", dir, name)
                            : str_printf(el->arena, "%s.yaml", name);
    return file_exists(path) ? path : lib_path(el->arena, el->options, name);
}

// One file is read once, under whatever names it is imported.
static const char *file_key(Elab *el, const char *path)
{
    char full[PATH_MAX];
    return realpath(path, full) ? str_copy(el->arena, full) : path;
}

const Tree *library_read(Elab *el, const char *path, const char *name, Loc from)
{
    LibFile *file = map_get(&el->files, file_key(el, path));
    if (file) return file->tree;
    file = arena_make(el->arena, LibFile);
    file->path = path;
    map_set(el->arena, &el->files, file_key(el, path), file);
    file->tree = tree_read_file(el->arena, el->diag, path, from, NULL);
    bool ok = file->tree && read_definitions(el, file->tree, name);
    el->lost_import |= !file->tree;
    file->done = true;
    return ok ? file->tree : NULL;
}

// `a b` in a list, a comma forgotten: all of them are read. False where one is no file.
static bool import_several(Elab *el, const char *name, const char *dir, Loc from)
{
    VEC(const char *) names = {0};
    const char *said = "";
    for (const char *p = name; *p; p += strspn(p, " ")) {
        const size_t n = strcspn(p, " ");
        vec_push(el->arena, &names, str_slice(el->arena, p, n));
        if (!library_path(el, names.at[names.n - 1], dir)) return false;
        said = str_printf(el->arena, "%s%s%.*s", said, *said ? ", " : "", (int)n, p);
        p += n;
    }
    diag_help(el->diag, "write %s", said);
    const char *s = diag_source_text(el->diag, from.source, NULL), *text = said;
    uint32_t line = line_begin(s, from.begin);
    const size_t dash = strspn(s + line, " ");
    if (s[line + dash] == '-') { // a line each
        text = "";
        for (uint32_t i = 0; i < names.n; i++)
            text = str_printf(el->arena, "%s%s%.*s%s", text, i ? "\n" : "",
                              i ? (int)(from.begin - line) : 0, s + line, names.at[i]);
    }
    if (is_users(el, from)) diag_mend(el->diag, from, text);
    for (uint32_t i = 0; i < names.n; i++) library_file(el, names.at[i], dir, from);
    return true;
}

// The name of a file beside that is called almost so; NULL where there is none.
static const char *near_library(Elab *el, const char *name, const char *dir)
{
    static const char ends[] = ".yaml";
    const char *path = str_printf(el->arena, *dir ? "%s/%s%s" : "%s%s%s", dir, name, ends);
    const char *best = near_file(el, path), *slash = strrchr(name, '/');
    const size_t n = best ? strlen(best) : 0;
    if (n <= strlen(ends) || strcmp(best + n - strlen(ends), ends)) return NULL;
    return str_printf(el->arena, "%.*s%.*s", slash ? (int)(slash + 1 - name) : 0, name,
                      (int)(n - strlen(ends)), best);
}

bool library_file(Elab *el, const char *name, const char *dir, Loc from)
{
    const char *path = library_path(el, name, dir);
    if (!path) {
        el_error(el, from, "there is no library file '%s'", name);
        const char *best = lib_nearest(el, name);
        if (!best) best = near_library(el, name, dir);
        if (strchr(name, ' ') && import_several(el, name, dir, from)) return false;
        if (best)
            diag_did_you_mean(el->diag, name, best);
        else
            diag_help(el->diag, "it is looked for beside this file, then in the library");
        // from here on it is the one that is probably meant, whose names are not missing then
        if (best && library_path(el, best, dir)) library_file(el, best, dir, from);
        el->lost_import |= !best;
        return false;
    }
    const LibFile *file = map_get(&el->files, file_key(el, path));
    if (file && !file->done) return el_error(el, from, "'%s' imports itself", name);
    return file || library_read(el, path, name, from);
}

// An item that cannot be imported, and has no other name: it is left out.
static void leave_out(Elab *el, const Tree *names, uint32_t i)
{
    Loc at;
    const Tree *t = names->items.at[i];
    if (diag_has_mend(el->diag, diag_last_error(el->diag)) || !diag_last(el->diag, &at)) return;
    const Loc item = item_place(el, names, i);
    if (at.source != t->loc.source || at.begin != t->loc.begin || !item.source) return;
    diag_help(el->diag, "leave out '%s'", t->text);
    diag_mend(el->diag, item, "");
}

bool library_import(Elab *el, const Tree *names)
{
    bool ok = true;
    if (names->kind == TREE_SCALAR) { // one where a list is wanted, or several, which is reported
        for (const char *p = names->text + strspn(names->text, " ,[]"); *p;) {
            const size_t n = strcspn(p, " ,[]");
            ok &= library_file(el, str_slice(el->arena, p, n), said_in(el, names), names->loc);
            p += n;
            p += strspn(p, " ,[]");
        }
        return ok;
    }
    for (uint32_t i = 0; i < names->items.n; i++) {
        const Tree *t = names->items.at[i];
        const uint32_t errors = diag_errors(el->diag);
        if (t->kind == TREE_SCALAR) ok &= library_file(el, t->text, said_in(el, t), t->loc);
        if (diag_errors(el->diag) > errors) leave_out(el, names, i);
    }
    return ok;
}
