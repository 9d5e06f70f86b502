#include "accidents.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FOLDER CZT_SOURCE_DIR "/tests/errors/accidents"

static char *read_text(Arena *a, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = fopen(path, "rb");
    cr_assert(f, "%s", path);
    ssize_t n = getdelim(&text, &size, '\0', f);
    fclose(f);
    const char *copy = str_slice(a, text, n > 0 ? (size_t)n : 0);
    free(text);
    return (char *)copy;
}

// The lines from *edit on that begin with a sign, without it.
static const char *lines_of(Arena *a, const char **edit, char sign)
{
    const char *out = "";
    while (**edit == sign) {
        const size_t n = strcspn(*edit, "\n") + 1;
        out = str_printf(a, "%s%.*s", out, (int)n - 1, *edit + 1);
        *edit += n;
    }
    return out;
}

static const char *edited(Arena *a, const char *graph, const char *name, const char *edit)
{
    const size_t comment = strcspn(edit, "\n") + 1;
    const char *text = graph, *rest = edit + comment;
    while (*rest) {
        const char *from = lines_of(a, &rest, '-'), *to = lines_of(a, &rest, '+');
        const char *at = *from ? strstr(text, from) : NULL;
        cr_assert(at && !strstr(at + 1, from), "%s: not once in the graph:\n%s", name, from);
        text = str_printf(a, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    }
    return str_printf(a, "%.*s%s", (int)comment, edit, text);
}

const char *accidents_graph(Arena *a)
{
    return read_text(a, FOLDER "/graph.yaml");
}

const char *accidents_write(Arena *a)
{
    char template[] = "/tmp/cztc-accidents-XXXXXX";
    cr_assert(mkdtemp(template));
    const char *folder = str_copy(a, template), *graph = accidents_graph(a);
    cr_assert_eq(symlink(CZT_SOURCE_DIR "/graphs", str_printf(a, "%s/graphs", folder)), 0);
    glob_t g;
    cr_assert_eq(glob(FOLDER "/*.edit", 0, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        const char *path = g.gl_pathv[i], *name = strrchr(path, '/') + 1;
        const char *out = str_printf(a, "%s/%.*s.yaml", folder, (int)strlen(name) - 5, name);
        FILE *f = fopen(out, "wb");
        cr_assert(f && fputs(edited(a, graph, name, read_text(a, path)), f) >= 0 && !fclose(f));
    }
    globfree(&g);
    return folder;
}

void accidents_remove(Arena *a, const char *folder)
{
    DIR *d = opendir(folder);
    cr_assert(d, "%s", folder);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') unlink(str_printf(a, "%s/%s", folder, e->d_name));
    closedir(d);
    rmdir(folder);
}
