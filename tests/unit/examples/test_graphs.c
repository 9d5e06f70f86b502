// Every complete graph of graphs/, at the size of its check: block, on both executors: the bits of
// two steps, of an evaluation and of its metrics.
#include "steps.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <math.h>
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
Test(graphs, mobileclip_dr)
{
    agree(CZT_SOURCE_DIR "/graphs/mobileclip-dr.yaml");
}
Test(graphs, clip_det)
{
    agree(CZT_SOURCE_DIR "/graphs/clip-det.yaml");
}
Test(graphs, demo)
{
    agree(CZT_SOURCE_DIR "/graphs/demo.yaml");
}
Test(graphs, clip_ft)
{
    agree(CZT_SOURCE_DIR "/graphs/clip-ft-vit-b16.yaml");
}
Test(graphs, cliptex)
{
    agree(CZT_SOURCE_DIR "/graphs/cliptex-vit-b16.yaml");
}
Test(graphs, radio_like)
{
    agree(CZT_SOURCE_DIR "/graphs/radio-like.yaml");
}
Test(graphs, siglip2_like)
{
    agree(CZT_SOURCE_DIR "/graphs/siglip2-like.yaml");
}
Test(graphs, bench_rn50)
{
    agree(CZT_SOURCE_DIR "/graphs/bench/rn50.yaml");
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

Test(graphs, builtins)
{
    agree(CZT_SOURCE_DIR "/tests/graphs/builtins.yaml");
}

Test(graphs, shapes)
{
    agree(CZT_SOURCE_DIR "/tests/graphs/shapes.yaml");
}

Test(graphs, convolutions)
{
    agree(CZT_SOURCE_DIR "/tests/graphs/convolutions.yaml");
}

Test(graphs, whiten)
{
    agree(CZT_SOURCE_DIR "/tests/graphs/whiten.yaml");
}

Test(graphs, boxes)
{
    agree(CZT_SOURCE_DIR "/tests/graphs/boxes.yaml");
}

// Each loss is a share by which something is off: rounding, and nothing else.
Test(graphs, convolutions_are_those_of_their_parts)
{
    static const char *const names[] = {"same",   "to_input", "to_weight", "edges",
                                        "halves", "between",  "largest",   "shares"};
    Steps s = steps_open(&(Source){.path = CZT_SOURCE_DIR "/tests/graphs/convolutions.yaml"});
    steps_init(&s);
    steps_run(&s, "step", 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double off = steps_output(&s, "step", names[i]);
        cr_expect(off >= 0 && off < 3e-6, "%s is off by %g", names[i], off);
    }
    steps_close(&s);
}

// ---- products in bf16 ---------------------------------------------------------------------------

static const char *const in_bf16[] = {"precision=bf16"};

Test(graphs, bench_micro_in_bf16)
{
    Error err = {0};
    Source source = {.path = CZT_SOURCE_DIR "/graphs/bench/micro.yaml",
                     .set = in_bf16,
                     .nset = 1,
                     .check = true};
    cr_assert(steps_agree(&source, &err), "%s", err.text);
}

enum { LOSSES = 12 };

static void losses(bool bf16, double *loss)
{
    Steps s = steps_open(&(Source){.path = CZT_SOURCE_DIR "/graphs/bench/micro.yaml",
                                   .set = in_bf16,
                                   .nset = bf16,
                                   .check = true});
    steps_init(&s);
    for (int i = 0; i < LOSSES; i++) {
        steps_run(&s, "step", i);
        loss[i] = steps_output(&s, "step", "loss");
    }
    steps_close(&s);
}

// An operand in bf16 is off by 2^-9 = 0.2 % at most, to either side; a loss is a mean over sums of
// thousands of products, so that most of it cancels. Half a per cent is a tenth of what the
// parameters learn in these steps: shadows that are not written with them would show.
Test(graphs, losses_in_bf16_stay_near_those_in_f32)
{
    double f32[LOSSES], bf16[LOSSES];
    losses(false, f32);
    losses(true, bf16);
    cr_expect(f32[LOSSES - 1] < 0.95 * f32[0], "%g to %g", f32[0], f32[LOSSES - 1]);
    cr_expect(f32[0] != bf16[0], "nothing was rounded");
    for (int i = 0; i < LOSSES; i++)
        cr_expect(fabs(bf16[i] - f32[i]) < 0.005 * f32[i], "step %d: %g, not %g", i, bf16[i],
                  f32[i]);
}

// ---- length -------------------------------------------------------------------------------------

// Lines of a graph, without those that are empty, comments, or of check:.
static int lines_of(const char *path)
{
    enum { COLUMNS = 100 };
    char line[512];
    int lines = 0;
    bool check = false;
    FILE *f = fopen(path, "r");
    cr_assert(f, "%s", path);
    while (fgets(line, sizeof line, f)) {
        const char *text = line + strspn(line, " \n");
        cr_expect_leq(strcspn(line, "\n"), COLUMNS, "%s is too wide: %s", path, line);
        if (!*text || *text == '#') continue;
        if (text == line) check = strncmp(line, "check:", 6) == 0;
        lines += !check;
    }
    fclose(f);
    return lines;
}

// What is said of a method is said in so many lines.
Test(graphs, methods_are_short)
{
    static const struct {
        const char *path;
        int most;
    } methods[] = {{CZT_SOURCE_DIR "/graphs/clip-det.yaml", 23},
                   {CZT_SOURCE_DIR "/graphs/clip-ft-vit-b16.yaml", 45},
                   {CZT_SOURCE_DIR "/graphs/cliptex-vit-b16.yaml", 30},
                   {CZT_SOURCE_DIR "/graphs/mobileclip-dr.yaml", 49},
                   {CZT_SOURCE_DIR "/graphs/radio-like.yaml", 61},
                   {CZT_SOURCE_DIR "/graphs/siglip2-like.yaml", 49}};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        int lines = lines_of(methods[i].path);
        cr_expect(lines > 10 && lines <= methods[i].most, "%s has %d lines, not %d",
                  methods[i].path, lines, methods[i].most);
    }
}

// ---- all of them --------------------------------------------------------------------------------

// A graph added to the folders must be added above.
Test(graphs, none_is_left_out)
{
    static const char *const known[] = {"clip",          "demo",  "siglip2-like", "radio-like",
                                        "mobileclip-dr", "micro", "tiny",         "small",
                                        "base",          "rn50"};
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
