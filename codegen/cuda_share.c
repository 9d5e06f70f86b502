// Which kernels share a function. Texts that are equal do; so do texts that differ in loose numbers
// alone (cuda_number): those that differ become numbers of the launch, which lie behind the
// buffers' addresses, and numbers that differ alike are one.
#include "codegen/cuda_emit.h"

#include "base/diag.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef VEC(int64_t) Numbers;

enum { LAUNCH_NUMBERS = 64 }; // of a launch at most, as a step file has them

// Kernels of one text up to their loose numbers.
typedef struct Family {
    CudaFunction function; // of the first of them
    VEC(uint32_t) kernels;
    uint32_t all;        // loose numbers of each
    uint32_t *parameter; // by loose number: which of the launch's it is, UINT32_MAX: none
    uint32_t parameters;
} Family;

typedef VEC(Family *) Families;

// A text without its loose numbers, which are put into numbers.
static const char *skeleton(Arena *arena, const CudaFunction *f, Numbers *numbers)
{
    char *text = str_printf(arena, "%s %u %d %s", f->bounds, f->buffers, f->table, f->body);
    char *to = text;
    for (const char *at = text; *at;) {
        *to++ = *at;
        if (*at++ != LOOSE_BEGIN) continue;
        char *end;
        vec_push(arena, numbers, strtoll(at, &end, 10));
        at = end + 1;
    }
    *to = '\0';
    return text;
}

static bool same_everywhere(const Family *f, const Numbers *numbers, uint32_t a, uint32_t b)
{
    for (uint32_t i = 0; i < f->kernels.n; i++) {
        const int64_t *x = numbers[f->kernels.at[i]].at;
        if (x[a] != x[b]) return false;
    }
    return true;
}

static bool constant(const Family *f, const Numbers *numbers, uint32_t a)
{
    for (uint32_t i = 1; i < f->kernels.n; i++)
        if (numbers[f->kernels.at[i]].at[a] != numbers[f->kernels.at[0]].at[a]) return false;
    return true;
}

static void find_parameters(Arena *arena, Family *f, const Numbers *numbers)
{
    f->parameters = 0;
    f->all = numbers[f->kernels.at[0]].n;
    f->parameter = arena_array(arena, uint32_t, f->all + 1);
    for (uint32_t a = 0; a < f->all; a++) {
        f->parameter[a] = UINT32_MAX;
        if (constant(f, numbers, a)) continue;
        for (uint32_t b = 0; b < a && f->parameter[a] == UINT32_MAX; b++)
            if (f->parameter[b] != UINT32_MAX && same_everywhere(f, numbers, a, b))
                f->parameter[a] = f->parameter[b];
        if (f->parameter[a] == UINT32_MAX) f->parameter[a] = f->parameters++;
    }
}

// The body with its numbers: those of the launch by name.
static void put_body(CudaText *t, const Family *f, const int64_t *numbers)
{
    uint32_t next = 0;
    for (const char *at = f->function.body; *at; at++) {
        if (*at != LOOSE_BEGIN) {
            vec_push(t->arena, &t->out, *at);
            continue;
        }
        uint32_t a = next++, p = f->parameter[a];
        cuda_put(t, p == UINT32_MAX ? str_printf(t->arena, "%" PRId64, numbers[a])
                                    : str_printf(t->arena, "launch%u", p));
        at = strchr(at, LOOSE_END);
    }
}

static const char *final_text(Arena *arena, const Family *f, const Numbers *numbers)
{
    CudaText t = {.arena = arena};
    uint32_t n = f->function.buffers;
    if (f->function.table && f->parameters) bug("a table and numbers of the launch");
    if (f->function.table)
        cuda_open(&t, "(const Table<%u> table)", n);
    else
        cuda_open(&t, "(const Buffers<%u> buffers)", n + f->parameters);
    for (uint32_t p = 0; p < f->parameters; p++)
        cuda_line(&t, "const int launch%u = (int)(long long)buffers.at[%u];", p, n + p);
    put_body(&t, f, numbers[f->kernels.at[0]].at);
    cuda_close(&t);
    vec_push(arena, &t.out, 0);
    return str_printf(arena, "%s%s", f->function.bounds, t.out.at);
}

static void give_numbers(Arena *arena, const Family *f, const Numbers *numbers,
                         CudaLaunch *launches)
{
    for (uint32_t i = 0; f->parameters && i < f->kernels.n; i++) {
        CudaLaunch *launch = &launches[f->kernels.at[i]];
        int64_t *own = arena_array(arena, int64_t, f->parameters);
        for (uint32_t a = 0; a < f->all; a++)
            if (f->parameter[a] != UINT32_MAX)
                own[f->parameter[a]] = numbers[f->kernels.at[i]].at[a];
        launch->numbers = own;
        launch->nnumbers = f->parameters;
    }
}

// Find the numbers of each family's launches; where they are too many, its kernels share nothing.
static void settle(Arena *arena, Families *families, const Numbers *numbers)
{
    for (uint32_t u = 0; u < families->n; u++) { // the list grows
        Family *f = families->at[u];
        find_parameters(arena, f, numbers);
        if (f->parameters <= LAUNCH_NUMBERS) continue;
        for (; f->kernels.n > 1; f->kernels.n--) {
            Family *own = arena_make(arena, Family);
            own->function = f->function;
            vec_push(arena, &own->kernels, f->kernels.at[f->kernels.n - 1]);
            vec_push(arena, families, own);
        }
        find_parameters(arena, f, numbers);
    }
}

CudaProgram cuda_program(Arena *arena, uint32_t n, Kernel *const *kernels)
{
    Families families = {0};
    Map known = {0}; // skeleton -> Family *
    Numbers *numbers = arena_array(arena, Numbers, n + 1);
    CudaProgram p = {.launches = arena_array(arena, CudaLaunch, n + 1)};
    for (uint32_t i = 0; i < n; i++) {
        CudaFunction function = cuda_function(arena, kernels[i], &p.launches[i]);
        const char *text = skeleton(arena, &function, &numbers[i]);
        Family *f = map_get(&known, text);
        if (!f) {
            f = arena_make(arena, Family);
            f->function = function;
            map_set(arena, &known, text, f);
            vec_push(arena, &families, f);
        }
        vec_push(arena, &f->kernels, i);
    }
    settle(arena, &families, numbers);
    const char **texts = arena_array(arena, const char *, families.n + 1);
    const Kernel **of = arena_array(arena, const Kernel *, families.n + 1);
    for (uint32_t u = 0; u < families.n; u++) {
        Family *f = families.at[u];
        texts[u] = final_text(arena, f, numbers);
        of[u] = kernels[f->kernels.at[0]];
        give_numbers(arena, f, numbers, p.launches);
        for (uint32_t i = 0; i < f->kernels.n; i++) {
            p.launches[f->kernels.at[i]].function = u;
            p.launches[f->kernels.at[i]].symbol = str_printf(arena, "k%u", u);
        }
    }
    p.n = families.n;
    p.texts = texts;
    p.kernels = of;
    return p;
}
