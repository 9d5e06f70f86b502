// Rounds of reading and mending. A candidate beside the file, where what it imports is found, is
// read first; it replaces the file only when it has no more errors than that.
#include "cli/graph_fix.h"

#include "base/file.h"
#include "cli/assets.h"
#include "frontend/frontend.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROUNDS = 10 };

typedef struct Fix {
    Arena *arena;
    const char *file, *real, *candidate; // as named; behind links; beside that
    FrontendOptions options;
    mode_t mode;
} Fix;

static uint32_t source_of(const Diag *diag, const char *path)
{
    for (uint32_t i = 1; diag_source_path(diag, i); i++)
        if (strcmp(diag_source_path(diag, i), path) == 0) return i;
    return 0;
}

static Diag *read_graph(const Fix *f, const char *path)
{
    Diag *diag = diag_new(f->arena);
    frontend_load(f->arena, diag, path, &f->options);
    return diag;
}

static bool write_text(const Fix *f, const char *path, const char *text, Error *err)
{
    FileWriter w;
    if (!file_create(&w, f->arena, path, (uint32_t)f->mode, err)) return false;
    if (!file_put(&w, text, strlen(text), err)) {
        file_cancel(&w);
        return false;
    }
    if (!file_commit(&w, err)) return false;
    return !chmod(path, f->mode) || error_set(err, "%s: its permissions cannot be set", path);
}

// A text without the blanks and line breaks around it.
static const char *trimmed(Arena *arena, const char *text, size_t n)
{
    while (n && strchr(" \t\r\n", *text)) text++, n--;
    while (n && strchr(" \t\r\n", text[n - 1])) n--;
    return str_slice(arena, text, n);
}

static void print_mends(const Fix *f, const Diag *diag, uint32_t source)
{
    uint32_t n;
    const Mend *m = diag_mends(diag, &n);
    const char *text = diag_source_text(diag, source, NULL);
    const bool *applied = diag_mends_applied(diag, f->arena, source, MEND_SURE);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t line, column;
        if (!applied[i]) continue;
        diag_position(diag, m[i].at, &line, &column);
        fprintf(stderr, "%s:%u: %s -> %s\n", f->file, line,
                trimmed(f->arena, text + m[i].at.begin, m[i].at.end - m[i].at.begin),
                trimmed(f->arena, m[i].text, strlen(m[i].text)));
    }
}

// Do the mends leave no more errors than there are? One that hid another may give way to it.
static bool helps(const Fix *f, const char *text, uint32_t errors, Error *err)
{
    if (!write_text(f, f->candidate, text, err)) return false;
    uint32_t left = diag_errors(read_graph(f, f->candidate));
    unlink(f->candidate);
    return left <= errors;
}

bool graph_fix(Arena *arena, const char *file, const char *lib, Error *err)
{
    struct stat st;
    char real[PATH_MAX];
    size_t n = strlen(file);
    if (n > 3 && strcmp(file + n - 3, ".ir") == 0) return true; // nothing offers mends for IR
    if (!realpath(file, real) || stat(real, &st) || !S_ISREG(st.st_mode)) return true;
    // (what cannot be read is reported by who reads it next)
    Fix f = {arena,
             file,
             real,
             str_printf(arena, "%s.fix-%ld", real, (long)getpid()),
             {.lib_dir = lib ? lib : assets_library(arena, err), .no_trials = true}, // none is sure
             st.st_mode & 07777};
    for (int round = 0; !err->set && round < ROUNDS; round++) {
        const Diag *diag = read_graph(&f, file);
        uint32_t source = source_of(diag, file), applied = 0;
        if (!diag_errors(diag) || !source) break;
        const char *text = diag_mended(diag, arena, source, MEND_SURE, &applied);
        if (!applied || !helps(&f, text, diag_errors(diag), err)) break;
        if (!write_text(&f, real, text, err)) break;
        print_mends(&f, diag, source);
    }
    return !err->set;
}
