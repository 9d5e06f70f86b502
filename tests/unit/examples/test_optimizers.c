// Optimisers by rows of groups, stepped as compiled code on a fixed batch.
#include "steps.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const char graph[] = CZT_SOURCE_DIR "/tests/graphs/optimizers.yaml";

static void read_state(const Steps *s, const char *name, float *to, size_t n)
{
    size_t bytes = 0;
    const void *data = steps_state(s, name, &bytes);
    cr_assert(data && bytes == n * sizeof *to, "no state %s", name);
    memcpy(to, data, bytes);
}

Test(optimizers, each_parameter_has_that_of_its_last_row)
{
    float a0[6], a1[6], a12[6], b[6], old[24], w[24];
    Steps s = steps_open(&(Source){.path = graph});
    steps_init(&s);
    read_state(&s, "w", old, 24);
    steps_run(&s, "step", 0);
    read_state(&s, "a0", a0, 6);
    read_state(&s, "a1", a1, 6);
    read_state(&s, "a12", a12, 6);
    read_state(&s, "b", b, 6);
    read_state(&s, "w", w, 24);
    for (int i = 0; i < 6; i++) {
        double g = (1 - a0[i]) / 0.5; // the gradient that all of them have
        cr_expect(fabs(1 - a1[i] - 0.25 * g) < 1e-6, "a1: the number in its path halves lr");
        cr_expect(fabs(1 - a12[i] - 0.5 / 4096 * g) < 1e-6, "a12: all digits count");
        cr_expect(fabs(b[i] - (g > 0 ? 0.75 : 1.25)) < 1e-6, "b: lion, and no decay: %g", b[i]);
    }
    for (int r = 0; r < 4; r++) // muon's step has nearly equal singular values
        for (int c = 0; c <= r; c++) {
            double dot = 0;
            for (int i = 0; i < 6; i++)
                dot += (old[r * 6 + i] - w[r * 6 + i]) * (old[c * 6 + i] - w[c * 6 + i]);
            cr_expect(r == c ? dot > 0.4 && dot < 1.6 : fabs(dot) < 0.4, "%d %d: %g", r, c, dot);
        }
    cr_expect(!steps_state(&s, "$opt.v.w", &(size_t){0}), "w has sgd's state");
    steps_close(&s);
}

Test(optimizers, agree_on_both_executors)
{
    Error err = {0};
    cr_assert(steps_agree(&(Source){.path = graph}, &err), "%s", err.text);
}

// Each update adds one to every element.
Test(optimizers, an_update_stops_at_max)
{
    static const struct {
        const char *name;
        float after[3];
    } rows[] = {{"held", {1.5f, 1.5f, 1.5f}},
                {"free", {1.75f, 2.75f, 3.75f}},
                {"far", {1.75f, 2.75f, 3.75f}},
                {"above", {3, 3, 3}}};
    Steps s = steps_open(&(Source){.path = CZT_SOURCE_DIR "/tests/graphs/limits.yaml"});
    steps_init(&s);
    for (int step = 0; step < 3; step++) {
        steps_run(&s, "step", step);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            float x[2];
            read_state(&s, rows[i].name, x, 2);
            cr_expect(x[0] == rows[i].after[step] && x[1] == rows[i].after[step],
                      "%s after update %d: %g, %g", rows[i].name, step + 1, x[0], x[1]);
        }
    }
    steps_close(&s);
}
