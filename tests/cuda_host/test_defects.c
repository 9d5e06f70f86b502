// Planted defects (defects.cuh) are found, and told with kernel, block and thread.
#include "check.h"

#include <string.h>

enum { WORDS = 64 };

// What must be in the launch's error; NULL: none, but a NaN or a wrong number in the result.
typedef struct Defect {
    const char *kernel, *text;
    uint32_t threads;
    size_t dynamic;
} Defect;

static const Defect defects[] = {
    {"ended_before_barrier", "waits for the block in line", 64, 0},
    {"ended_before_barrier", "but thread 40 has ended", 64, 0},
    {"two_barriers", "diverged: it meets others in line", 64, 0},
    {"ended_before_shuffle", "waits for its warp in line", 64, 0},
    {"ended_before_shuffle", "has ended", 64, 0},
    {"two_shuffles", "diverged: it meets others in line", 64, 0},
    {"shuffle_against_barrier", "thread 33 waits for the block", 64, 0},
    {"read_behind", "thread 31: access 128 bytes behind the start of shared array 'tile'", 32, 0},
    {"write_before", "something was written before shared array 'tile'", 32, 0},
    {"write_behind_a_little", "something was written behind shared array 'tile'", 32, 0},
    {"dynamic_behind", "behind the start of shared array 'dynamic', which has 112 bytes", 32, 112},
    {"never_written", NULL, 32, 0},
    {"missing_wait", NULL, 32, 0},
    {"wait_for_too_few", NULL, 32, 0},
    {"wait_without_commit", NULL, 32, 0},
    {"copy_to_global", "cp.async of address", 32, 0},
    {"misaligned", "store_f32x4 of address", 32, 0},
    {"matrix_behind", "thread 31: ldmatrix of 16 bytes at 512 in shared array 'tile'", 32, 0},
    {"behind_buffer", "which is not mapped", 32, 0},
    {"divides_by_zero", "integer division by zero", 32, 0},
    {"too_much_shared", "makes more than 49152 bytes of static shared memory", 32, 0},
    {"too_much_shared", "threads; it takes multiples of 32 up to 32", 64, 0},
    {"too_much_shared", "threads; it takes multiples of 32 up to 32", 31, 0},
    {"too_much_shared", "bytes of dynamic shared memory", 32, 1 << 20},
};

typedef struct Run {
    Error err;
    float out[WORDS];
} Run;

static Run run(Check *c, const ShimModule *m, const Defect *d, const ShimOptions *o)
{
    Run r = {0};
    float *out = shim_guarded(WORDS * 4), *in = shim_guarded(128 * 4);
    for (int i = 0; i < 128; i++) in[i] = (float)i;
    bool good =
        check_launch(c, o, m, d->kernel, (void *[]){out, in}, 1, 1, d->threads, d->dynamic, &r.err);
    CHECK(c, good == !r.err.set, "%s: result and error disagree", d->kernel);
    memcpy(r.out, out, sizeof r.out);
    shim_guarded_free(out, WORDS * 4);
    shim_guarded_free(in, 128 * 4);
    return r;
}

static void told(Check *c, const ShimModule *m, const ShimOptions *o)
{
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        const Defect *d = &defects[i];
        Run r = run(c, m, d, o);
        if (d->text) {
            CHECK(c, strstr(r.err.text, d->text), "%s: '%s' has no '%s'", d->kernel, r.err.text,
                  d->text);
            CHECK(c, strstr(r.err.text, d->kernel), "'%s' does not name its kernel", r.err.text);
        } else {
            CHECK(c, !r.err.set, "%s: %s", d->kernel, r.err.text);
            int nans = 0;
            for (uint32_t t = 0; t < d->threads; t++) nans += isnan(r.out[t]);
            CHECK(c, nans, "%s: no NaN in the result", d->kernel);
        }
    }
}

// Some schedule gives a wrong result, and the race build tells in each.
static void races(Check *c, const ShimModule *plain, const ShimModule *watched)
{
    static const Defect racing[] = {{"missing_barrier", "no barrier between", 64, 0},
                                    {"missing_second_barrier", "no barrier between", 64, 0},
                                    {"missing_warp_sync", "no barrier between", 32, 0},
                                    {"atomic_then_read", "changes atomically", 64, 0}};
    static const ShimOptions orders[] = {
        {1, SHIM_FORWARD, 0}, {1, SHIM_REVERSE, 0}, {1, SHIM_RANDOM, 3}};
    for (int i = 0; i < 4; i++) {
        const Defect *d = &racing[i];
        int wrong = 0;
        for (int o = 0; o < 3; o++) {
            Run r = run(c, plain, d, &orders[o]);
            for (uint32_t t = 0; t < d->threads; t++) {
                uint32_t want = i == 1 ? 127 - 2 * t : d->threads - 1 - t;
                wrong += !(r.out[t] == (float)want);
            }
            r = run(c, watched, d, &orders[o]);
            CHECK(c, strstr(r.err.text, "race: ") && (strstr(r.err.text, d->text) || i == 3),
                  "%s, order %d: '%s'", d->kernel, o, r.err.text);
        }
        CHECK(c, wrong, "%s gives right results in every order", d->kernel);
    }
}

int main(int argc, char **argv)
{
    Check c = check_begin(argc, argv);
    ShimModule *m = check_compile(&c, check_text(&c, "defects.cuh"), "defects", false);
    ShimModule *watched = check_compile(&c, check_text(&c, "defects.cuh"), "defects_races", true);
    CHECK(&c, m && watched, "defects.cuh does not compile");
    if (m && watched) {
        told(&c, m, &(ShimOptions){1, SHIM_FORWARD, 0});
        told(&c, m, &(ShimOptions){2, SHIM_RANDOM, 5});
        races(&c, m, watched);
    }
    Error err = {0};
    ShimModule *bad = shim_compile("KERNEL(32) broken(\n",
                                   str_printf(c.arena, "%s/bad.so", c.folder), false, &err);
    CHECK(&c, !bad && strstr(err.text, "error:"), "a broken text: '%s'", err.text);
    shim_unload(m);
    shim_unload(watched);
    return check_end(&c);
}
