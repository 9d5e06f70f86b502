// Kernels that differ in sizes alone share a function, and their segments meet in one launch.
#include "codegen/cuda.h"
#include "executors.h"

#include <criterion/criterion.h>

// The plan of a corpus file.
static const Plan *plan_of(Arena *arena, const char *name)
{
    Target *target = arena_make(arena, Target);
    Error err = {0};
    Diag *diag = diag_new(arena);
    const char *text = corpus_text(arena, name);
    *target = cuda_target();
    Program *p = program_parse(arena, diag, diag_source(diag, name, text, strlen(text)));
    cr_assert(p && passes_run(p, &(PassOptions){.level = 1}, &err), "%s", err.text);
    return plan_build(arena, p, target, FUSE_ALL);
}

// Launches that the engine makes of an entry: segments of one launch and one function of any size
// are one.
static uint32_t count_nodes(const PlanEntry *e, const CudaProgram *p, uint32_t *segments)
{
    uint32_t n = 0;
    *segments = 0;
    for (uint32_t l = 0; l < e->launches.n; l++) {
        const Launch *launch = &e->launches.at[l];
        *segments += launch->segments.n;
        for (uint32_t s = 0; s < launch->segments.n; s++) {
            const CudaLaunch *mine = &p->launches[launch->segments.at[s].kernel];
            bool first = true;
            for (uint32_t o = 0; o < s; o++) {
                const CudaLaunch *other = &p->launches[launch->segments.at[o].kernel];
                first &= !(mine->table && other->function == mine->function);
            }
            n += first;
        }
    }
    return n;
}

Test(program, sizes_share_functions_and_launches)
{
    Arena *arena = arena_new();
    uint32_t segments;
    const Plan *plan = plan_of(arena, "flat_sizes.ir");
    CudaProgram p = cuda_program(arena, plan->kernels.n, plan->kernels.at);
    uint32_t nodes = count_nodes(&plan->entries.at[0], &p, &segments);
    cr_expect(plan->kernels.n > 30, "only %u kernels", plan->kernels.n);
    // updates of one and of several elements; sums and maxima by even, odd and long rows
    cr_expect(p.n <= 12, "%u functions of %u kernels", p.n, plan->kernels.n);
    cr_expect(segments > 40 && nodes <= 14, "%u launches of %u segments", nodes, segments);
    for (uint32_t i = 0; i < plan->kernels.n; i++) {
        const CudaLaunch *l = &p.launches[i];
        if (l->table) cr_expect(l->size[0] > 0 && l->blocks[0] > 0 && l->blocks[1] == 1);
    }
    arena_free(arena);
}

Test(program, sizes_stay_where_an_index_has_them)
{
    Arena *arena = arena_new();
    const Plan *plan = plan_of(arena, "vectors.ir");
    CudaProgram p = cuda_program(arena, plan->kernels.n, plan->kernels.at);
    uint32_t tables = 0;
    for (uint32_t i = 0; i < plan->kernels.n; i++) tables += p.launches[i].table;
    cr_expect(tables < plan->kernels.n, "windows have no sizes");
    arena_free(arena);
}
