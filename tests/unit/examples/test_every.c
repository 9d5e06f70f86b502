// Tasks in one update of some: the entries there are, what they have, and that an optimiser's count
// is that of a parameter's own updates.
#include "steps.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const char graph[] = CZT_SOURCE_DIR "/tests/graphs/every.yaml";

static float first(const Steps *s, const char *name)
{
    size_t bytes = 0;
    float x;
    const void *data = steps_state(s, name, &bytes);
    cr_assert(data && bytes >= sizeof x, "no state %s", name);
    memcpy(&x, data, sizeof x);
    return x;
}

Test(every, tasks_rest_between_their_updates)
{
    Steps s = steps_open(&(Source){.path = graph});
    steps_init(&s);
    cr_expect(steps_has_output(&s, "step", "second") && !steps_has_output(&s, "step", "third"));
    cr_expect(!steps_has_output(&s, "step-2", "second"));
    cr_expect(steps_has_output(&s, "step@2-2", "third") &&
              steps_has_output(&s, "step@2-3", "second"));
    double a = 0, b = 0, c = 0, d = 0; // updates so far
    for (int i = 0; i < 12; i++) {
        bool second = i % 2 == 0, third = i >= 2 && i % 3 == 0;
        const char *entry = str_printf(s.arena, "step%s%s%s", i < 2 ? "" : "@2", second ? "" : "-2",
                                       i % 3 ? "-3" : "");
        steps_run(&s, entry, i);
        a++, b += second, c += third, d += i < 2 || second;
        cr_expect_eq(first(&s, "$opt.n.a"), a, "a after %d: %s", i, entry);
        cr_expect_eq(first(&s, "$opt.n.b"), b, "b after %d: %s", i, entry);
        cr_expect_eq(first(&s, "$opt.n.d"), d, "d after %d: %s", i, entry);
        if (c > 0) cr_expect_eq(first(&s, "$opt.n.c"), c, "c after %d: %s", i, entry);
    }
    // an optimiser that is told another count than that of its updates moves by 1000 and more
    cr_expect(fabsf(first(&s, "a")) < 100 && fabsf(first(&s, "b")) < 100 &&
                  fabsf(first(&s, "d")) < 100 && fabsf(first(&s, "c")) < 100,
              "%g %g %g", first(&s, "a"), first(&s, "b"), first(&s, "c"));
    steps_close(&s);
}

Test(every, agrees_on_both_executors)
{
    Error err = {0};
    cr_assert(steps_agree(&(Source){.path = graph}, &err), "%s", err.text);
}
