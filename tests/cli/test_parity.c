// A whole method, stepped beside PyTorch in double precision: tests/parity/NAME.py recorded initial
// parameters, inputs and losses of 20 steps, and what parameters and slow copies were at the end.
// Losses are held to 1e-4 of their size, every element of a tensor to 1e-3 of the tensor's largest.
//
//     test_parity PROGRAM.czt FIXTURE.safetensors
#include "runtime/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double loss_limit = 1e-4, tensor_limit = 1e-3;

typedef struct Test {
    SafeTensors want;
    CztProgram *program;
    const char *phase; // begin of the present one, "" for the first
    uint32_t failed, compared;
    double worst_loss, worst_tensor;
    const char *worst; // the name of that tensor
} Test;

static bool check(Test *t, bool good, const char *what, const char *why)
{
    if (!good) printf("FAILED %s: %s\n", what, why);
    t->failed += !good;
    return good;
}

// The part of a tensor's name behind its kind, or NULL.
static const char *behind(const char *name, const char *kind)
{
    size_t n = strlen(kind);
    return strncmp(name, kind, n) == 0 ? name + n : NULL;
}

static void begin(Test *t)
{
    CztError err = {0};
    check(t, czt_init(t->program, 1, &err), "init", err.text);
    uint32_t params = 0, set = 0;
    for (uint32_t i = 0; i < czt_state_count(t->program); i++) {
        CztKind kind = czt_state(t->program, i)->kind;
        params += kind == CZT_PARAM || kind == CZT_FROZEN;
    }
    for (uint32_t i = 0; i < t->want.n; i++) {
        const CztTensor *w = &t->want.tensors[i];
        const char *name = behind(w->name, "init:");
        if (!name) continue;
        check(t, czt_set_state(t->program, name, t->want.data + w->offset, (size_t)w->bytes, &err),
              name, err.text);
        set++;
    }
    check(t, set == params, "parameters", "not all of them are recorded");
    check(t, czt_derive(t->program, &err), "derive", err.text);
}

// Recorded inputs have the step as their first axis; fewer batches than steps go round.
static void set_inputs(Test *t, uint32_t entry, int64_t step)
{
    for (uint32_t i = 0; i < czt_input_count(t->program, entry); i++) {
        const CztTensor *in = czt_input(t->program, entry, i);
        char name[256];
        CztError err = {0};
        if (in->name[0] == '$') continue;
        snprintf(name, sizeof name, "input:%s", in->name);
        const CztTensor *w = safetensors_find(&t->want, name);
        if (!check(t, w && w->rank > 0 && w->shape[0] > 0, name, "not recorded")) continue;
        const uint8_t *data =
            t->want.data + w->offset + step % w->shape[0] * (w->bytes / w->shape[0]);
        check(t,
              czt_set_input(t->program, entry, in->name, w->dtype, w->rank - 1, w->shape + 1, data,
                            &err),
              in->name, err.text);
    }
}

static float element(const Test *t, const CztTensor *w, int64_t i)
{
    float x;
    memcpy(&x, t->want.data + w->offset + i * (int64_t)sizeof x, sizeof x);
    return x;
}

static void compare_losses(Test *t, uint32_t entry, int64_t step)
{
    for (uint32_t i = 0; i < czt_output_count(t->program, entry); i++) {
        const CztTensor *out = czt_output(t->program, entry, i);
        char name[256], why[128];
        if (out->name[0] == '$') continue;
        snprintf(name, sizeof name, "loss:%s", out->name);
        const CztTensor *w = safetensors_find(&t->want, name);
        if (!check(t, w && step < w->shape[0], name, "not recorded")) continue;
        double want = element(t, w, step),
               got = *(const float *)czt_output_data(t->program, entry, i),
               error = fabs(got - want) / fabs(want);
        snprintf(why, sizeof why, "step %lld: %.9g, not %.9g", (long long)step, got, want);
        check(t, error <= loss_limit, out->name, why);
        t->compared++;
        if (error > t->worst_loss) t->worst_loss = error;
    }
}

// The entry of a step: the one of the phase that begins with it, or the last one; what a phase does
// before its first update is done.
static int32_t entry_of(Test *t, int64_t step, char phase[32])
{
    char name[64];
    CztError err = {0};
    snprintf(name, sizeof name, "step@%lld", (long long)step);
    if (czt_entry_find(t->program, name) >= 0) {
        snprintf(phase, 32, "@%lld", (long long)step);
        snprintf(name, sizeof name, "begin%s", phase);
        int32_t first = czt_entry_find(t->program, name);
        if (first >= 0)
            check(t, czt_run(t->program, (uint32_t)first, step, 1, &err), name, err.text);
    }
    snprintf(name, sizeof name, "step%s", phase);
    return czt_entry_find(t->program, name);
}

static void run_steps(Test *t)
{
    const CztTensor *loss = safetensors_find(&t->want, "loss:loss");
    char phase[32] = "";
    int64_t steps = loss ? loss->shape[0] : 0;
    check(t, steps > 0, "loss:loss", "not recorded");
    for (int64_t step = 0; step < steps && !t->failed; step++) {
        CztError err = {0};
        int32_t entry = entry_of(t, step, phase);
        if (!check(t, entry >= 0, "step", "no such entry")) return;
        set_inputs(t, (uint32_t)entry, step);
        if (check(t, czt_run(t->program, (uint32_t)entry, step, 1, &err), "run", err.text))
            compare_losses(t, (uint32_t)entry, step);
    }
}

static void compare_tensor(Test *t, const char *name, const CztTensor *w)
{
    size_t n = (size_t)w->bytes / sizeof(float);
    float *got = malloc((size_t)w->bytes);
    CztError err = {0};
    double largest = 0, apart = 0;
    if (check(t, got && czt_get_state(t->program, name, got, (size_t)w->bytes, &err), name,
              err.text)) {
        for (size_t i = 0; i < n; i++) {
            double want = element(t, w, (int64_t)i);
            largest = fmax(largest, fabs(want));
            // a value that is not a number is far from any
            apart = isnan(got[i]) ? INFINITY : fmax(apart, fabs(got[i] - want));
        }
        double error = largest > 0 ? apart / largest : apart;
        char why[128];
        snprintf(why, sizeof why, "off by %.3g of %.3g", apart, largest);
        check(t, error <= tensor_limit, name, why);
        if (error > t->worst_tensor) t->worst_tensor = error, t->worst = name;
    }
    free(got);
}

// Every parameter and slow copy of the program, and nothing that it has not.
static void compare_state(Test *t)
{
    uint32_t state = 0, recorded = 0;
    for (uint32_t i = 0; i < czt_state_count(t->program); i++) {
        CztKind kind = czt_state(t->program, i)->kind;
        state += kind == CZT_PARAM || kind == CZT_EMA;
    }
    for (uint32_t i = 0; i < t->want.n; i++) {
        const char *name = behind(t->want.tensors[i].name, "final:");
        if (!name) continue;
        recorded++;
        compare_tensor(t, name, &t->want.tensors[i]);
    }
    check(t, state == recorded, "parameters and copies", "not all of them are recorded");
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    Test t = {.failed = 0};
    Error err = {0};
    CztError czt = {0};
    if (check(&t, safetensors_open(&t.want, argv[2], &err), argv[2], err.text)) {
        t.program = czt_load(argv[1], &(CztOptions){.threads = 2}, &czt);
        if (check(&t, t.program, argv[1], czt.text)) {
            begin(&t);
            run_steps(&t);
            compare_state(&t);
        }
    }
    printf("%u losses: off by %.2g at most; parameters and slow copies: by %.2g (%s)\n", t.compared,
           t.worst_loss, t.worst_tensor, t.worst ? t.worst : "none");
    czt_free(t.program);
    safetensors_close(&t.want);
    return t.failed != 0;
}
