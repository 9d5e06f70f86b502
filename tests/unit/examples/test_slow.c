// Slow copies, stepped as compiled code: they begin as the student, follow it by their momentum,
// and are what is evaluated where the graph says so.
#include "steps.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const char graph[] = CZT_SOURCE_DIR "/tests/graphs/slow.yaml";

typedef struct Values {
    float at[64];
    size_t n;
} Values;

static Values state(const Steps *s, const char *name)
{
    Values v = {.n = 0};
    size_t bytes = 0;
    const void *data = steps_state(s, name, &bytes);
    cr_assert(data && bytes <= sizeof v.at, "no state %s", name);
    memcpy(v.at, data, bytes);
    v.n = bytes / sizeof(float);
    return v;
}

static bool equal(const Values *a, const Values *b)
{
    return a->n == b->n && memcmp(a->at, b->at, a->n * sizeof(float)) == 0;
}

Test(slow, copies_follow_their_students)
{
    static const char *const names[] = {"enc.layers.first.weight", "enc.layers.turns.0.scale",
                                        "head.layers.second.bias"};
    Steps s = steps_open(&(Source){.path = graph});
    steps_init(&s);
    for (int i = 0; i < 2; i++) steps_run(&s, "step", i);
    steps_run(&s, "begin@2", 2);
    for (int i = 2; i < 5; i++) {
        double m = 0.25 + 0.5 * fmin(i - 2, 1);
        Values before[3];
        for (int k = 0; k < 3; k++) {
            before[k] = state(&s, str_printf(s.arena, "slow.%s", names[k]));
            Values student = state(&s, names[k]);
            cr_expect_eq(equal(&before[k], &student), i == 2, "%s before update %d", names[k], i);
        }
        steps_run(&s, "step@2", i);
        for (int k = 0; k < 3; k++) {
            Values after = state(&s, str_printf(s.arena, "slow.%s", names[k]));
            Values student = state(&s, names[k]);
            for (size_t e = 0; e < after.n; e++) {
                double want = m * before[k].at[e] + (1 - m) * student.at[e];
                cr_expect(fabs(after.at[e] - want) <= 1e-6 * (1 + fabs(want)), "%s %zu: %g, not %g",
                          names[k], e, after.at[e], want);
            }
        }
    }
    steps_close(&s);
}

// Initial values of a copy are its student's, so that it can be used before an update.
Test(slow, copies_begin_with_the_initial_values)
{
    Steps s = steps_open(&(Source){.path = graph});
    steps_init(&s);
    Values slow = state(&s, "slow.enc.layers.first.weight"),
           student = state(&s, "enc.layers.first.weight");
    cr_expect(equal(&slow, &student) && slow.n == 48);
    cr_expect(steps_has_output(&s, "step@2", "experts.self") &&
              !steps_has_output(&s, "step", "experts.self"));
    steps_close(&s);
}

// The bits of the interpreter, with a copy from the first update on.
Test(slow, executors_agree)
{
    static const char *const set[] = {"ema.slow.from=0", "experts.self.from=0"};
    Error err = {0};
    cr_assert(steps_agree(&(Source){.path = graph, .set = set, .nset = 2}, &err), "%s", err.text);
}

// Two updates on, the copy is behind: with it the loss of an evaluation is another, and where it
// stands still that of the beginning.
Test(slow, copies_are_evaluated)
{
    static const char *const still[] = {"ema.slow.from=0", "ema.slow.momentum=1",
                                        "experts.self.from=0", "eval.model=slow"};
    double fit[2][2];
    for (int k = 0; k < 2; k++) {
        Steps s = steps_open(&(Source){.path = graph, .set = still, .nset = k ? 3 : 4});
        steps_init(&s);
        for (int i = 0; i < 2; i++) {
            steps_run(&s, "eval", i);
            fit[k][i] = steps_output(&s, "eval", "fit");
            steps_run(&s, "step", i);
        }
        steps_close(&s);
    }
    cr_expect_eq(fit[0][0], fit[0][1]);
    cr_expect_eq(fit[0][0], fit[1][0]);
    cr_expect_neq(fit[1][0], fit[1][1]);
}

// Frozen for good, for two updates, and not.
Test(slow, frozen_parameters_stay)
{
    static const char *const set[] = {
        "train.freeze=[{match: 'enc.*'}, {match: 'head.*first.*', while: phase_step < 2}]"};
    static const char *const names[] = {"enc.layers.first.weight", "head.layers.first.weight",
                                        "head.layers.second.weight"};
    static const bool moves[3][3] = {
        {false, false, true}, {false, false, true}, {false, true, true}};
    Steps s = steps_open(&(Source){.path = graph, .set = set, .nset = 1});
    steps_init(&s);
    for (int i = 0; i < 3; i++) {
        Values before[3];
        for (int k = 0; k < 3; k++) before[k] = state(&s, names[k]);
        steps_run(&s, "step", i);
        for (int k = 0; k < 3; k++) {
            Values after = state(&s, names[k]);
            cr_expect_eq(equal(&before[k], &after), !moves[i][k], "%s in update %d", names[k], i);
        }
    }
    steps_close(&s);
}
