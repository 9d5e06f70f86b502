// Rounds of reading and mending, in memory: mends are kept only where the file is read better with
// them, and it is written once, at the end.
#include "cli/graph_fix.h"

#include "base/file.h"
#include "cli/assets.h"
#include "frontend/frontend.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ROUNDS = 30,
    TRIALS = 100, // of one file
    AHEAD = 3     // mends of what a mend uncovers
};

typedef struct Fix {
    Arena *arena;
    const char *file, *real; // as named; behind links
    const char *text;        // what it holds by now; NULL: what it has held all along
    FrontendOptions options;
    mode_t mode;
    uint32_t trials;
    VEC(const char *) said; // of each mend
} Fix;

// What a round begins with.
typedef struct Round {
    const Diag *diag;
    uint32_t source;
    const char *text; // of the source
    size_t size;
    const Tree *root;  // of it; NULL where it cannot be read
    bool yaml;         // diag has the errors of the text as YAML alone, and no others
    const Diag *whole; // with all others
} Round;

static uint32_t source_of(const Diag *diag, const char *path)
{
    for (uint32_t i = 1; diag_source_path(diag, i); i++)
        if (strcmp(diag_source_path(diag, i), path) == 0) return i;
    return 0;
}

static Diag *read_graph(const Fix *f, Arena *arena, const char *text, bool trial)
{
    Diag *diag = diag_new(arena);
    FrontendOptions o = f->options;
    LibraryInfo info;
    o.trial = trial;
    if (text) diag_overlay(diag, f->file, text);
    if (frontend_is_library(arena, f->file))
        frontend_check_library(arena, diag, f->file, &o, &info);
    else
        frontend_load(arena, diag, f->file, &o);
    return diag;
}

// ---- is it better with a mend? -----------------------------------------------------------------

static uint32_t count_of(const Diag *diag, const char *text)
{
    uint32_t n = 0;
    const char *other;
    for (uint32_t i = 0; (other = diag_error_text(diag, i)); i++) n += !strcmp(text, other);
    return n;
}

typedef struct Fault { // an error, which may have a sure mend
    uint32_t number;
    const char *text;
    Loc at;
} Fault;
typedef VEC(Fault) Faults;

// Is an error gone in a text that is `grown` bytes longer? It may show again behind its place.
static bool is_gone(const Round *r, const Fault *e, const Diag *after, ptrdiff_t grown)
{
    const char *error;
    const ptrdiff_t end = (ptrdiff_t)e->at.begin + (grown > 0 ? grown : 0);
    bool behind = true;
    Loc at;
    for (uint32_t i = 0; (error = diag_error_at(after, i, &at)); i++)
        behind &= strcmp(error, e->text) || (ptrdiff_t)at.begin > end;
    return count_of(after, e->text) < count_of(r->whole, e->text) || behind;
}

// Does a text have fewer errors than before, and no new one? Where one is mended that hides
// others, it is enough that this one is gone.
static bool helps(Fix *f, const Round *r, const char *text, const Fault *hiding)
{
    Arena *arena = arena_new();
    const Diag *after = read_graph(f, arena, text, true);
    bool good = diag_errors(after) < diag_errors(r->whole);
    const char *error;
    for (uint32_t i = 0; good && (error = diag_error_text(after, i)); i++)
        good = count_of(after, error) <= count_of(r->whole, error);
    if (hiding && !good)
        good = is_gone(r, hiding, after, (ptrdiff_t)strlen(text) - (ptrdiff_t)strlen(r->text));
    arena_free(arena);
    f->trials++;
    return good;
}

static bool lies_in(const Tree *t, Loc at)
{
    bool in = at.begin >= t->loc.begin && at.end <= t->loc.end;
    for (uint32_t i = 0; !in && i < t->items.n; i++) in = lies_in(t->items.at[i], at);
    return in;
}

// Is a place in what says which files are read? What they define is missed where one is not.
static bool in_imports(const Tree *root, Loc at)
{
    for (uint32_t i = 0; root && i < root->entries.n; i++) {
        const TreeEntry *e = &root->entries.at[i];
        bool import = !strncmp(e->key->text, "import", 6) || !strncmp(e->key->text, "extend", 6);
        if (import && (lies_in(e->key, at) || lies_in(e->value, at))) return true;
    }
    return false;
}

// Does an error hide others? One of YAML that ends the reading does, and one of what is imported.
static bool hides(const Round *r, uint32_t number)
{
    uint32_t n;
    const Mend *m = diag_mends(r->diag, &n);
    bool import = false;
    for (uint32_t i = 0; i < n; i++)
        import |=
            m[i].error == number && m[i].at.source == r->source && in_imports(r->root, m[i].at);
    return r->yaml ? !r->root : import;
}

// ---- a round -----------------------------------------------------------------------------------

// A text without the blanks and line breaks around it.
static const char *trimmed(Arena *arena, const char *text, size_t n)
{
    while (n && strchr(" \t\r\n", *text)) text++, n--;
    while (n && strchr(" \t\r\n", text[n - 1])) n--;
    return str_slice(arena, text, n);
}

// Say what is written: of all errors, or of one.
static void say_mends(Fix *f, const Round *r, uint32_t error)
{
    uint32_t n;
    const Mend *m = diag_mends(r->diag, &n);
    const bool *applied = diag_mends_applied(r->diag, f->arena, r->source, MEND_SURE);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t line, column;
        if (error ? m[i].error != error : !applied[i]) continue;
        diag_position(r->diag, m[i].at, &line, &column);
        const char *said =
            str_printf(f->arena, "%s:%u: %s -> %s", f->file, line,
                       trimmed(f->arena, r->text + m[i].at.begin, m[i].at.end - m[i].at.begin),
                       trimmed(f->arena, m[i].text, strlen(m[i].text)));
        vec_push(f->arena, &f->said, said);
    }
}

static int by_place(const void *a, const void *b)
{
    const Fault *x = a, *y = b;
    if (x->at.begin != y->at.begin) return x->at.begin < y->at.begin ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

// The errors of the file in order of place.
static Faults faults_of(const Fix *f, const Round *r)
{
    Faults all = {0};
    Fault e;
    for (uint32_t i = 0; (e.text = diag_error_at(r->diag, i, &e.at)); i++) {
        e.number = diag_error_number(r->diag, i);
        vec_push(f->arena, &all, e);
    }
    if (all.n) qsort(all.at, all.n, sizeof *all.at, by_place);
    return all;
}

static bool begin_round(const Fix *f, Round *r, const char *text)
{
    *r = (Round){.diag = read_graph(f, f->arena, text, false)};
    r->whole = r->diag;
    r->source = source_of(r->diag, f->file);
    r->text = diag_source_text(r->diag, r->source, &r->size);
    return r->text && diag_errors(r->diag);
}

// Mend one error, or all that have sure mends. A key, or a name, that is wrong may hide what else
// is: what shows then is mended too before it is asked whether that helps.
static bool mend(Fix *f, const Round *r, const Fault *one, const char *text)
{
    const uint32_t said = f->said.n;
    const Fault *hiding = one && hides(r, one->number) ? one : NULL;
    say_mends(f, r, one ? one->number : 0);
    for (int i = 0; i < AHEAD && f->trials < TRIALS; i++) {
        Round next;
        uint32_t applied = 0;
        f->text = text;
        if (helps(f, r, text, hiding)) return true;
        if (r->yaml || !begin_round(f, &next, text)) break;
        text = diag_mended(next.diag, f->arena, next.source, MEND_SURE, &applied);
        if (!applied) break;
        say_mends(f, &next, 0);
    }
    f->said.n = said;
    return false;
}

// Is an error one of the file's sections, or of what it imports? Others may come of it alone.
static bool is_of_file(const Round *r, const Fault *e)
{
    bool key = false;
    for (uint32_t i = 0; !r->yaml && r->root && i < r->root->entries.n; i++)
        key |= lies_in(r->root->entries.at[i].key, e->at);
    return e->at.source == r->source && (key || (!r->yaml && in_imports(r->root, e->at)));
}

static bool any_of_file(const Round *r, const Faults *all)
{
    bool any = false;
    for (uint32_t i = 0; i < all->n; i++) any |= is_of_file(r, &all->at[i]);
    return any;
}

// Mend the first error for which that helps; of a text that is no YAML the first of all, as what
// follows may come of it alone. `file`: of those of the file as a whole.
static bool mend_one(Fix *f, const Round *r, const Faults *faults, bool file)
{
    const Faults all = *faults;
    const char *before = f->text;
    for (uint32_t i = 0; i < all.n && f->trials < TRIALS; i++) {
        if (file && !is_of_file(r, &all.at[i])) continue;
        const char *text = diag_mended_of(r->diag, f->arena, r->source, all.at[i].number);
        if (text && mend(f, r, &all.at[i], text)) return true;
        f->text = before;
        if (r->yaml) return false;
    }
    return false;
}

static bool mend_all(Fix *f, const Round *r)
{
    uint32_t applied = 0;
    const char *before = f->text;
    const char *text = diag_mended(r->diag, f->arena, r->source, MEND_SURE, &applied);
    if (applied && mend(f, r, NULL, text)) return true;
    f->text = before;
    return false;
}

// False where nothing more is mended.
static bool mend_round(Fix *f)
{
    Round r;
    if (!begin_round(f, &r, f->text)) return false;
    Diag *yaml = diag_new(f->arena);
    const uint32_t source = diag_source(yaml, f->file, r.text, r.size);
    const TreeJudge judge = frontend_judge(f->arena, f->file, &f->options);
    const bool library = frontend_is_library(f->arena, f->file);
    r.root = tree_read_judged(f->arena, yaml, source, library ? NULL : &judge);
    r.yaml = diag_errors(yaml) > 0;
    if (r.yaml) {
        r.diag = yaml;
        r.source = source;
    }
    const Faults all = faults_of(f, &r);
    const bool file = any_of_file(&r, &all);
    if (r.yaml || file) return mend_one(f, &r, &all, file);
    return mend_all(f, &r) || mend_one(f, &r, &all, false);
}

// ---- the file ----------------------------------------------------------------------------------

static bool write_text(const Fix *f, Error *err)
{
    FileWriter w;
    if (!file_create(&w, f->arena, f->real, (uint32_t)f->mode, err)) return false;
    if (!file_put(&w, f->text, strlen(f->text), err)) {
        file_cancel(&w);
        return false;
    }
    if (!file_commit(&w, err)) return false;
    return !chmod(f->real, f->mode) || error_set(err, "%s: its permissions cannot be set", f->real);
}

bool graph_fix(Arena *arena, const char *file, const char *lib, Error *err)
{
    struct stat st;
    char real[PATH_MAX];
    size_t n = strlen(file);
    if (n > 3 && strcmp(file + n - 3, ".ir") == 0) return true; // nothing offers mends for IR
    if (!realpath(file, real) || stat(real, &st) || !S_ISREG(st.st_mode)) return true;
    // (what cannot be read is reported by who reads it next)
    Fix f = {.arena = arena,
             .file = file,
             .real = real,
             .options = {.no_trials = true}, // none is sure
             .mode = st.st_mode & 07777};
    f.options.lib_dir = lib ? lib : assets_library(arena, err);
    for (int round = 0; !err->set && round < ROUNDS && mend_round(&f);) round++;
    if (err->set || (f.text && !write_text(&f, err))) return false;
    for (uint32_t i = 0; i < f.said.n; i++) fprintf(stderr, "%s\n", f.said.at[i]);
    return true;
}
