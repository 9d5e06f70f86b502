// Every loss of the library in one step (tests/graphs/accumulate.yaml), as compiled code: in parts
// of its batch it gives the losses of the whole step, and parameters to a millionth of their
// tensor's largest, over two updates, the second of which sees what the first did.
#include "steps.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static Steps open_parts(int parts)
{
    char text[32];
    const char *set[] = {text};
    snprintf(text, sizeof text, "train.accumulate=%d", parts);
    return steps_open(
        &(Source){.path = CZT_SOURCE_DIR "/tests/graphs/accumulate.yaml", .set = set, .nset = 1});
}

static void same_losses(const Steps *whole, const Steps *parts, int n, int update)
{
    const Entry *e = program_find_entry((Program *)whole->program, "step");
    cr_assert_eq(e->outputs.n, 13, "the loss, four losses, seven experts, $finite");
    for (uint32_t i = 0; i < e->outputs.n; i++) {
        const char *name = e->outputs.at[i].name;
        if (name[0] == '$') continue;
        double x = steps_output(whole, "step", name), y = steps_output(parts, "step", name);
        cr_expect(x != 0 && isfinite(x), "%s is %g", name, x);
        cr_expect(fabs(x - y) <= 1e-6 * fmax(1, fabs(x)),
                  "%d parts, update %d: %s is %.9g, not %.9g", n, update, name, y, x);
    }
}

// In the first update, by how much a parameter changed is its clipped gradient.
static void same_parameters(const Steps *whole, const Steps *parts, int n)
{
    uint32_t compared = 0;
    for (uint32_t k = 0; k < whole->program->states.n; k++) {
        const StateVar *v = &whole->program->states.at[k];
        size_t bytes, others;
        if (v->kind != STATE_PARAM && v->kind != STATE_OPT) continue;
        const float *x = steps_state(whole, v->name, &bytes),
                    *y = steps_state(parts, v->name, &others);
        cr_assert(x && y && bytes == others, "%s", v->name);
        double most = 0, apart = 0;
        for (size_t i = 0; i < bytes / sizeof *x; i++) {
            most = fmax(most, fabs((double)x[i]));
            apart = fmax(apart, fabs((double)x[i] - (double)y[i]));
        }
        cr_expect(apart <= 1e-6 * most + 1e-15, "%d parts: %s is %g off, its largest is %g", n, v->name,
                  apart, most);
        compared += most > 0;
    }
    cr_expect_gt(compared, 100);
}

static void check_parts(int n)
{
    Steps whole = open_parts(1), parts = open_parts(n);
    steps_init(&whole);
    steps_init(&parts);
    for (int update = 0; update < 2; update++) {
        steps_run(&whole, "step", update);
        steps_run(&parts, "step", update);
        same_losses(&whole, &parts, n, update);
        if (update == 0) same_parameters(&whole, &parts, n);
    }
    steps_close(&parts);
    steps_close(&whole);
}

Test(accumulate, two_parts)
{
    check_parts(2);
}

Test(accumulate, parts_of_one_sample)
{
    check_parts(8);
}

Test(accumulate, four_parts)
{
    check_parts(4);
}
