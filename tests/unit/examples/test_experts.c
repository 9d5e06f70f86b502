// What an expert costs everybody else: nothing. And an expert written outside of the source tree,
// in YAML alone, trains.
#include "folder.h"
#include "steps.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define MICRO CZT_SOURCE_DIR "/graphs/bench/micro.yaml"
#define OUTSIDE CZT_SOURCE_DIR "/tests/data/outside/"

// ---- an expert from outside -------------------------------------------------------------------

typedef struct Outside {
    Arena *arena;
    const char *folder;
    Source source;
} Outside;

static Outside outside_make(void)
{
    Outside o = {.arena = arena_new()};
    o.folder = folder_make(o.arena);
    folder_copy(o.arena, o.folder, "libs/two_taps.yaml", OUTSIDE "libs/two_taps.yaml");
    o.source.path = folder_copy(o.arena, o.folder, "run/graph.yaml", OUTSIDE "run/graph.yaml");
    return o;
}

static void outside_free(Outside *o)
{
    folder_remove(o->folder);
    arena_free(o->arena);
}

static float number(const Steps *s, const char *name)
{
    size_t bytes;
    const float *x = steps_state(s, name, &bytes);
    cr_assert(x && bytes == sizeof *x, "%s", name);
    return *x;
}

static double metric(Steps *s, const char *name)
{
    steps_run(s, "metrics_reset", 0);
    steps_run(s, "eval", 0);
    steps_run(s, "metrics", 0);
    return steps_output(s, "metrics", name);
}

Test(experts, one_from_outside_trains)
{
    enum { STEPS = 30 };
    Outside o = outside_make();
    Steps s = steps_open(&o.source);
    steps_init(&s);
    double first[2] = {0}, last[2] = {0};
    double error = metric(&s, "experts.depth.relative_error");
    for (int i = 0; i < STEPS; i++) {
        steps_run(&s, "step", i);
        double *x = i ? last : first;
        x[0] = steps_output(&s, "step", "pair");
        x[1] = steps_output(&s, "step", "experts.depth");
    }
    cr_expect(last[0] < 0.5 * first[0], "pair: %g, %g", first[0], last[0]);
    cr_expect(last[1] < 0.5 * first[1], "depth: %g, %g", first[1], last[1]);
    double after = metric(&s, "experts.depth.relative_error");
    cr_expect(after < error && isfinite(error), "relative error: %g, %g", error, after);
    cr_expect(fabsf(number(&s, "experts.depth.spread")) > 1e-3f, "the weight is not learned");
    size_t bytes;
    cr_expect(steps_state(&s, "experts.depth.from_low.weight", &bytes));
    steps_close(&s);
    outside_free(&o);
}

Test(experts, one_from_outside_has_the_interpreters_bits)
{
    Outside o = outside_make();
    Error err = {0};
    cr_assert(steps_agree(&o.source, &err), "%s", err.text);
    outside_free(&o);
}

// ---- experts that are off, or added -----------------------------------------------------------

typedef struct Pair {
    Steps a, b;
} Pair;

// The states of b have the same bits in a; returns how many there are.
static uint32_t same_states(const Pair *p)
{
    uint32_t n = czt_state_count(p->b.cpu);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = czt_state(p->b.cpu, i)->name;
        size_t size[2];
        const void *a = steps_state(&p->a, name, &size[0]), *b = steps_state(&p->b, name, &size[1]);
        cr_assert(a && size[0] == size[1], "no %s, or of another size", name);
        cr_assert(memcmp(a, b, size[0]) == 0, "%s differs", name);
    }
    return n;
}

// Random numbers of the step are part of it: a rate of drop_path makes some.
static const char drop[] = "encoders.visual.drop=0.2";

// micro.yaml without the expert seg.
static Steps open_removed(Arena *arena, const char *folder)
{
    const char *text = str_printf(arena, "cztc: 1\nextends: %s\nexperts: {seg: null}\n", MICRO);
    const char *path = folder_write(arena, folder, "removed.yaml", text);
    return steps_open(&(Source){.path = path, .set = (const char *[]){drop}, .nset = 1});
}

static Steps open_set(const char *set)
{
    return steps_open(&(Source){.path = MICRO, .set = (const char *[]){drop, set}, .nset = 2});
}

static void off_changes_nothing(const char *set)
{
    Arena *arena = arena_new();
    const char *folder = folder_make(arena);
    Pair p = {open_set(set), open_removed(arena, folder)};
    steps_init(&p.a);
    steps_init(&p.b);
    for (int i = 0; i < 3; i++) {
        steps_run(&p.a, "step", i);
        steps_run(&p.b, "step", i);
        const char *const losses[] = {"loss", "pair", "experts.depth", "experts.normal"};
        for (int k = 0; k < 4; k++) {
            double x = steps_output(&p.a, "step", losses[k]);
            double y = steps_output(&p.b, "step", losses[k]);
            cr_expect(x == y, "%s of step %d: %.9g, %.9g", losses[k], i, x, y);
        }
    }
    cr_assert_eq(czt_state_count(p.a.cpu), czt_state_count(p.b.cpu));
    cr_assert_gt(same_states(&p), 150);
    cr_assert_not(steps_has_output(&p.a, "step", "experts.seg"));
    for (uint32_t i = 0; i < czt_input_count(p.a.cpu, 1); i++)
        cr_assert_str_neq(czt_input(p.a.cpu, 1, i)->name, "seg");
    steps_close(&p.a);
    steps_close(&p.b);
    folder_remove(folder);
    arena_free(arena);
}

Test(experts, weight_0_is_as_if_it_were_not_there)
{
    off_changes_nothing("experts.seg.weight=0");
}
Test(experts, disabled_is_as_if_it_were_not_there)
{
    off_changes_nothing("experts.seg.enabled=false");
}

Test(experts, adding_one_leaves_the_initial_values_of_the_others)
{
    Arena *arena = arena_new();
    const char *folder = folder_make(arena);
    Pair p = {open_set("experts.seg.weight=0.5"), open_removed(arena, folder)};
    steps_init(&p.a);
    steps_init(&p.b);
    uint32_t same = same_states(&p);
    cr_assert_eq(czt_state_count(p.a.cpu), same + 6); // weight, bias, and AdamW's two of each
    size_t bytes;
    cr_assert(steps_state(&p.a, "seg.weight", &bytes));
    steps_close(&p.a);
    steps_close(&p.b);
    folder_remove(folder);
    arena_free(arena);
}
