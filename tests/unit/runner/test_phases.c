// The shape of an update: a function of the run's seed and its number, as often as the weights say.
#include "runner/phases.h"

#include <criterion/criterion.h>

static PhaseShape three[] = {{"a", "", 1}, {"b", "/2", 0.5}, {"c", "/3", 2.5}};
static const Phases phases = {.shapes = three, .nshapes = 3, .weights = 4};

Test(phases, shapes_come_as_often_as_their_weights_say)
{
    enum { UPDATES = 40000 };
    int64_t seen[3] = {0};
    for (int64_t step = 0; step < UPDATES; step++) {
        uint32_t shape = phases_shape(&phases, 7, step);
        cr_assert_lt(shape, 3);
        seen[shape]++;
    }
    for (int i = 0; i < 3; i++) { // four standard deviations are less than 0.01
        double share = (double)seen[i] / UPDATES, want = three[i].weight / 4;
        cr_expect(share > want - 0.01 && share < want + 0.01, "shape %d: %g", i, share);
    }
}

// A run that was begun by an earlier program goes on with the same shapes.
Test(phases, draws_stay_what_they_are)
{
    char drawn[33] = "";
    for (int64_t step = 0; step < 32; step++)
        drawn[step] = (char)('1' + phases_shape(&phases, 3, step));
    cr_expect_str_eq(drawn, "33113323133133333223132131332313");
    uint32_t apart = 0;
    for (int64_t step = 0; step < 1000; step++)
        apart += phases_shape(&phases, 3, step) != phases_shape(&phases, 4, step);
    cr_expect_gt(apart, 300);
}

Test(phases, one_shape_is_always_it)
{
    const Phases one = {.shapes = three, .nshapes = 1, .weights = 1};
    for (int64_t step = 0; step < 100; step++) cr_assert_eq(phases_shape(&one, 3, step), 0);
}
