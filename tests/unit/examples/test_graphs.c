// Every complete graph of graphs/, at the size of its check: block, on both executors: the bits of
// two steps, of an evaluation and of its metrics.
#include "steps.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <string.h>

// ---- one test a graph, so that they run side by side ------------------------------------------

static void agree(const char *path)
{
    Error err = {0};
    Source source = {.path = path, .check = true};
    cr_assert(steps_agree(&source, &err), "%s", err.text);
}

Test(graphs, clip)
{
    agree(CZT_SOURCE_DIR "/graphs/clip.yaml");
}
Test(graphs, demo)
{
    agree(CZT_SOURCE_DIR "/graphs/demo.yaml");
}
Test(graphs, bench_micro)
{
    agree(CZT_SOURCE_DIR "/graphs/bench/micro.yaml");
}
Test(graphs, bench_tiny)
{
    agree(CZT_SOURCE_DIR "/graphs/bench/tiny.yaml");
}
Test(graphs, bench_small)
{
    agree(CZT_SOURCE_DIR "/graphs/bench/small.yaml");
}
Test(graphs, bench_base)
{
    agree(CZT_SOURCE_DIR "/graphs/bench/base.yaml");
}
Test(graphs, features)
{
    agree(CZT_SOURCE_DIR "/tests/graphs/features.yaml");
}

// A graph added to the folders must be added above.
Test(graphs, none_is_left_out)
{
    static const char *const known[] = {"clip", "demo", "micro", "tiny", "small", "base"};
    static const char *const patterns[] = {CZT_SOURCE_DIR "/graphs/*.yaml",
                                           CZT_SOURCE_DIR "/graphs/bench/*.yaml"};
    for (int p = 0; p < 2; p++) {
        glob_t g;
        cr_assert_eq(glob(patterns[p], 0, NULL, &g), 0);
        for (size_t i = 0; i < g.gl_pathc; i++) {
            const char *name = strrchr(g.gl_pathv[i], '/') + 1;
            bool found = false;
            for (size_t k = 0; k < sizeof known / sizeof *known; k++)
                found |= strncmp(name, known[k], strlen(known[k])) == 0;
            cr_expect(found, "%s is stepped by no test", g.gl_pathv[i]);
        }
        globfree(&g);
    }
}
