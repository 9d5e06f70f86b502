// cztc lib: what the library has, in the terminal. All library files are read; one definition is
// described with inputs, settings, parameters, taps and outputs.
#include "frontend/elab.h"

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

// ---- printing ---------------------------------------------------------------------------------

static const char *kind_of(Value v)
{
    static const char *const roles[] = {"module", "optimizer", "metric"};
    return v.kind == V_MODULE     ? roles[v.module->role]
           : v.kind == V_FUNCTION ? "function"
                                  : "constant";
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
        fprintf(out, "    %-12s %s%s", d->name, d->is_shape ? d->shape : words[d->word],
                d->optional ? "?" : "");
        if (d->dtype != DT_NONE) fprintf(out, " %s", dtype_name(d->dtype));
        if (d->def)
            fprintf(out, "%s= %s", d->word == WORD_ANY ? "" : " ", expr_text(arena, d->def));
        if (d->def_tree) fprintf(out, "= a list or mapping");
        fputc('\n', out);
    }
}

static void print_items(const char *title, const Items *items, FILE *out)
{
    if (items->n) fprintf(out, "  %s\n   ", title);
    for (uint32_t i = 0; i < items->n; i++)
        fprintf(out, " %s%s", items->at[i].name, i + 1 < items->n ? "," : "\n");
}

static void print_module(Arena *arena, const ModuleDef *m, FILE *out)
{
    fprintf(out, "%s %s (%s)\n", kind_of((Value){.kind = V_MODULE, .module = m}), m->name, m->file);
    if (m->doc) fprintf(out, "  %s\n", m->doc);
    print_decls(arena, "inputs", &m->in, out);
    print_decls(arena, "settings", &m->let, out);
    print_items("parameters and parts", &m->params, out);
    print_items("state", &m->state, out);
    print_items("taps", &m->body, out);
    print_items("outputs", &m->out, out);
}

static void print_one(Arena *arena, const Binding *b, FILE *out)
{
    if (b->value.kind == V_MODULE) {
        print_module(arena, b->value.module, out);
    } else if (b->value.kind == V_FUNCTION) {
        const FunctionDef *f = b->value.function;
        fprintf(out, "function %s (%s)\n", f->text, f->file);
        if (f->body->kind == TREE_SCALAR) fprintf(out, "  %s\n", f->body->text);
    } else {
        fprintf(out, "constant %s\n", b->name);
    }
}

static void print_list(const Map *defs, FILE *out)
{
    static const char *const kinds[] = {"module", "optimizer", "metric", "function", "constant"};
    static const char *const titles[] = {"Modules", "Optimisers", "Metrics", "Functions",
                                         "Constants"};
    for (int k = 0; k < 5; k++) {
        fprintf(out, "%s%s\n", k ? "\n" : "", titles[k]);
        for (uint32_t i = 0; i < defs->n; i++) {
            const Binding *b = defs->at[i].value;
            if (strcmp(kind_of(b->value), kinds[k]) != 0) continue;
            if (b->value.kind == V_MODULE)
                fprintf(out, "  %-20s %s\n", b->name,
                        b->value.module->doc ? b->value.module->doc : "");
            else
                fprintf(out, "  %s\n",
                        b->value.kind == V_FUNCTION ? b->value.function->text : b->name);
        }
    }
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
        print_list(&el->defs, out);
        return true;
    }
    const Binding *b = map_get(&el->defs, name);
    const Builtin *f = builtin_find(name);
    if (b)
        print_one(arena, b, out);
    else if (f)
        fprintf(out, "built-in function %s(%s)\n  %s\n", f->name, f->signature, f->doc);
    else {
        const char *best = nearest_key(&el->defs, name, NULL);
        return error_set(err, "the library has no '%s'%s%s%s", name, best ? "; did you mean '" : "",
                         best ? best : "", best ? "'?" : "");
    }
    return true;
}
