// Random programs on the interpreter and on compiled code, bit for bit. Every seed runs in a
// process of its own, so that a crash of generated code or a defect of the compiler is a failure of
// that seed. CZT_FUZZ=FIRST:COUNT runs other seeds and prints every failure, shrunk.
#include "fuzz.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { QUICK_SEEDS = 100, SECONDS = 60 };

typedef struct Attempt {
    const char *name;
    Trial trial;
    int how;   // its exit code
    bool loud; // errors go to standard error
} Attempt;

static int outcome(const Attempt *a, const char *text)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (!a->loud && !freopen("/dev/null", "w", stderr)) _exit(99);
        alarm(SECONDS);
        Arena *arena = arena_new();
        Error err = {0};
        TrialResult r = trial_run(arena, a->name, text, &a->trial, &err);
        if (r != TRIAL_SAME) fprintf(stderr, "%s\n", err.text);
        fflush(stderr);
        _exit((int)r);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool fails_so(void *ctx, const char *text)
{
    const Attempt *a = ctx;
    return outcome(a, text) == a->how;
}

// 0: same; 1: failed; 2: the passes refused the program.
static int run_seed(uint64_t seed)
{
    Arena *arena = arena_new();
    const char *text = fuzz_program(arena, seed);
    Attempt a = {.name = str_printf(arena, "seed %llu", (unsigned long long)seed),
                 .trial = fuzz_trial(seed)};
    a.how = outcome(&a, text);
    bool bad = a.how != TRIAL_SAME && a.how != TRIAL_INVALID;
    if (bad) {
        const char *small = fuzz_shrink(arena, text, fails_so, &a);
        fprintf(stderr, "---- %s: mask %u level %d special %d exit %d\n%s", a.name, a.trial.mask,
                a.trial.level, a.trial.special, a.how, small);
        a.loud = true;
        outcome(&a, small);
    }
    int result = bad ? 1 : a.how == TRIAL_INVALID ? 2 : 0;
    arena_free(arena);
    return result;
}

Test(fuzz, executors_agree)
{
    const char *range = getenv("CZT_FUZZ");
    uint64_t first = 0, count = QUICK_SEEDS, failed = 0, refused = 0;
    if (range) {
        char *end;
        first = strtoull(range, &end, 10);
        count = *end == ':' ? strtoull(end + 1, NULL, 10) : 1;
    }
    for (uint64_t i = first; i < first + count; i++) {
        int r = run_seed(i);
        failed += r == 1;
        refused += r == 2;
    }
    if (range)
        fprintf(stderr, "%llu seeds, %llu failed, %llu refused\n", (unsigned long long)count,
                (unsigned long long)failed, (unsigned long long)refused);
    cr_assert(failed == 0, "%llu of %llu seeds failed", (unsigned long long)failed,
              (unsigned long long)count);
    cr_assert(refused * 10 <= count, "%llu of %llu programs were refused",
              (unsigned long long)refused, (unsigned long long)count);
}
