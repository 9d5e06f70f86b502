// What a limit of memory counts (plan_bytes) is what the engines of the runtime allocate: held here
// against the step file that is made of the same plan, by the rules of runtime/engine_cpu.c and
// engine_cuda.c.
#include "codegen/backend.h"
#include "codegen/code.h"
#include "passes/lower.h"
#include "passes/pass.h"
#include "runtime/step.h"
#include "steps.h"

#include <criterion/criterion.h>
#include <inttypes.h>

static bool runs_before(const Step *step, uint32_t entry)
{
    for (uint32_t i = 0; i < step->nentries; i++)
        for (uint32_t k = 0; k < step->entries[i].nbefore; k++)
            if (step->entries[i].before[k].entry == entry) return true;
    return false;
}

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t allocated(const Step *step, bool gpu)
{
    int64_t scratch = 0, each = 0, own = 0, before = 0;
    for (uint32_t i = 0; i < step->nentries; i++) {
        const StepEntry *e = &step->entries[i];
        int64_t *inputs = runs_before(step, i) ? &before : &own;
        scratch = largest(scratch, e->scratch_bytes);
        *inputs = largest(*inputs, e->input_bytes);
        each += e->output_bytes + (gpu ? 0 : e->host_bytes);
    }
    if (gpu) each += own + before + largest(own, before);
    return step->state_bytes + step->const_bytes + scratch + each;
}

static void same_bytes(const char *target, const Source *source)
{
    Arena *arena = arena_new();
    Error err = {0};
    Backend backend;
    Code code;
    CompileStats stats;
    Section *sections;
    size_t size;
    cr_assert(backend_open(arena, target, &backend, &err), "%s", err.text);
    Program *p = steps_program(arena, source);
    const Plan *plan = plan_build(arena, p, backend.target, FUSE_ALL);
    cr_assert(backend_compile(&backend, arena, plan, 2, &code, &stats, &err), "%s", err.text);
    uint32_t n = step_sections(arena, p, plan, &code, &sections);
    const uint8_t *bytes = container_build(arena, sections, n, &size);
    Step *step = step_load_memory(p->name, bytes, size, &err);
    cr_assert(step, "%s", err.text);
    int64_t counted = plan_bytes(plan, backend.target),
            taken = allocated(step, strcmp(backend.target->name, "cuda") == 0);
    cr_expect_eq(counted, taken, "%s for %s: %" PRId64 " bytes are counted, %" PRId64 " taken",
                 source->path, target, counted, taken);
    step_free(step);
    arena_free(arena);
}

Test(memory, what_is_counted_is_allocated)
{
    static const char *const parts[] = {"train.accumulate=2"};
    static const Source sources[] = {
        {.path = CZT_SOURCE_DIR "/graphs/demo.yaml", .check = true},
        {.path = CZT_SOURCE_DIR "/graphs/clip-det.yaml", .set = parts, .nset = 1, .check = true},
    };
    for (int i = 0; i < 2; i++) {
        same_bytes("cpu", &sources[i]);
        same_bytes("cuda:text", &sources[i]);
    }
}
