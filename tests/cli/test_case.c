// A step of graphs/bench/NAME.yaml, at the size of its check:, against PyTorch in double precision,
// recorded in tests/data/NAME by tests/bench/torch_step.py or torch_resnet.py: five losses, and
// every gradient of the first step. In f32, and with products in bf16, where the bounds hold the
// step against mistakes, not against another rounding.
//
//     test_case CZTC SOURCE_DIR NAME
#include "runtime/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 5 };
// The loss does not depend on this parameter: what is left is rounding, held against all gradients
// together.
static const char free_parameter[] = "depth.bias";

// Relative. In bf16 an operand is off by 2^-9 at most: a gradient that went through a dozen
// products by some per cent of its norm, a loss by less, as it is a mean. (Not where batch norm
// divides by what it knows of 16 places, so rn50 is held in f32 alone.)
typedef struct Limits {
    const char *name, *precision;
    double first_loss, later_loss, gradient, free_gradient;
} Limits;

static const Limits limits[] = {{"micro", "f32", 2e-6, 1e-5, 1e-4, 1e-6},
                                {"micro", "bf16", 3e-3, 5e-3, 0.1, 1e-3},
                                {"rn50", "f32", 2e-6, 1e-5, 1e-4, 1e-6}};

typedef struct Test {
    const Limits *limits;
    uint32_t failed;
    double global; // norm of all recorded gradients
} Test;

static void expect(Test *t, bool good, const char *what, double error, double limit)
{
    if (good) return;
    t->failed++;
    printf("FAILED %s, %s: off by %.3g, %.3g is allowed\n", t->limits->precision, what, error,
           limit);
}

// A loss of the program's JSON lines, and the recorded one.
static void compare_losses(Test *t, FILE *lines, const json_t *recorded)
{
    char line[4096], what[64];
    int n = 0;
    for (; fgets(line, sizeof line, lines); n++) {
        json_t *object = json_loads(line, 0, NULL), *loss = json_object_get(object, "loss");
        double want = json_number_value(json_array_get(recorded, (size_t)n));
        double limit = n ? t->limits->later_loss : t->limits->first_loss,
               error = fabs(json_number_value(loss) - want) / want;
        snprintf(what, sizeof what, "loss %d", n);
        expect(t, json_is_number(loss) && error <= limit, what, error, limit);
        if (n == 0) printf("%s: first loss off by %.2g\n", t->limits->precision, error);
        json_decref(object);
    }
    expect(t, n == STEPS, "number of steps", n, STEPS);
}

static float element(const SafeTensors *st, const CztTensor *t, int64_t i)
{
    float x;
    memcpy(&x, st->data + t->offset + i * (int64_t)sizeof x, sizeof x);
    return x;
}

static double norm_of(const SafeTensors *st, const CztTensor *t)
{
    double sum = 0;
    for (int64_t i = 0; i < t->bytes / 4; i++) sum += pow(element(st, t, i), 2);
    return sqrt(sum);
}

static void compare_gradient(Test *t, const SafeTensors *want, const CztTensor *w,
                             const SafeTensors *got, double *worst)
{
    const CztTensor *g = safetensors_find(got, w->name);
    if (!g || g->bytes != w->bytes || g->dtype != CZT_F32) {
        expect(t, false, w->name, NAN, 0);
        return;
    }
    double sum = 0, norm = norm_of(want, w), limit = t->limits->gradient;
    for (int64_t i = 0; i < w->bytes / 4; i++)
        sum += pow((double)element(want, w, i) - element(got, g, i), 2);
    if (strcmp(w->name, free_parameter) == 0) norm = t->global, limit = t->limits->free_gradient;
    double error = sqrt(sum) / norm;
    expect(t, error <= limit, w->name, error, limit);
    if (error > *worst) *worst = error;
}

static void compare_gradients(Test *t, const char *want_file, const char *got_file)
{
    SafeTensors want = {0}, got = {0};
    Error err = {0};
    double worst = 0, sum = 0;
    if (!safetensors_open(&want, want_file, &err) || !safetensors_open(&got, got_file, &err)) {
        printf("FAILED %s\n", err.text);
        t->failed++;
    } else {
        for (uint32_t i = 0; i < want.n; i++) sum += pow(norm_of(&want, &want.tensors[i]), 2);
        t->global = sqrt(sum);
        for (uint32_t i = 0; i < want.n; i++)
            compare_gradient(t, &want, &want.tensors[i], &got, &worst);
        expect(t, got.n == want.n, "number of gradients", got.n, want.n);
        printf("%u gradients: off by %.2g at most\n", want.n, worst);
    }
    safetensors_close(&want);
    safetensors_close(&got);
}

static bool step(Test *t, Arena *arena, const char *program, const char *source)
{
    const char *data = str_printf(arena, "%s/tests/data/%s", source, t->limits->name);
    char grads[] = "/tmp/cztc-case-XXXXXX";
    int fd = mkstemp(grads);
    if (fd < 0) return false;
    close(fd);
    const char *command = str_printf(
        arena,
        "'%s' run '%s/graphs/bench/%s.yaml' --check --no-cache --set precision=%s "
        "--weights '%s/case.safetensors' --inputs '%s/case.safetensors' --steps %d --json "
        "--grads %s",
        program, source, t->limits->name, t->limits->precision, data, data, STEPS, grads);
    json_t *recorded = json_load_file(str_printf(arena, "%s/losses.json", data), 0, NULL);
    FILE *lines = popen(command, "r");
    if (!lines || json_array_size(recorded) != STEPS) return false;
    compare_losses(t, lines, recorded);
    expect(t, pclose(lines) == 0, "exit code", 1, 0);
    compare_gradients(t, str_printf(arena, "%s/grads.safetensors", data), grads);
    unlink(grads);
    json_decref(recorded);
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 4) return 2;
    Test t = {0};
    Arena *arena = arena_new();
    bool ran = true;
    uint32_t steps = 0;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (strcmp(limits[i].name, argv[3]) != 0) continue;
        t.limits = &limits[i];
        ran = ran && step(&t, arena, argv[1], argv[2]);
        steps++;
    }
    arena_free(arena);
    return !ran || !steps || t.failed != 0;
}
