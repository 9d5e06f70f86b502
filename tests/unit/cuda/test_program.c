// Kernels that differ in sizes alone share a function, and their segments meet in one launch.
#include "codegen/cuda.h"
#include "executors.h"

#include <criterion/criterion.h>

static const Plan *plan_text(Arena *arena, const char *name, const char *text)
{
    Target *target = arena_make(arena, Target);
    Error err = {0};
    Diag *diag = diag_new(arena);
    *target = cuda_target();
    Program *p = program_parse(arena, diag, diag_source(diag, name, text, strlen(text)));
    cr_assert(p && passes_run(p, &(PassOptions){.level = 1}, &err), "%s", err.text);
    return plan_build(arena, p, target, FUSE_ALL);
}

// The plan of a corpus file.
static const Plan *plan_of(Arena *arena, const char *name)
{
    return plan_text(arena, name, corpus_text(arena, name));
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

// Products of three sizes each: the numbers that differ come with the launch, equal ones once.
static void share_functions(const char *corpus)
{
    Arena *arena = arena_new();
    const Plan *plan = plan_of(arena, corpus);
    CudaProgram p = cuda_program(arena, plan->kernels.n, plan->kernels.at);
    cr_assert_eq(plan->kernels.n, 6);
    cr_expect_eq(p.n, 2, "%u functions", p.n);
    for (uint32_t i = 0; i < 6; i++) {
        const CudaLaunch *l = &p.launches[i], *first = &p.launches[l->function ? 3 : 0];
        cr_expect(l->nnumbers > 2 && l->nnumbers < 9, "%u numbers", l->nnumbers);
        cr_expect_eq(l->nnumbers, first->nnumbers);
        for (uint32_t a = 0; a < l->nnumbers; a++)
            for (uint32_t b = 0; b < a; b++) {
                bool same = true;
                for (uint32_t k = 0; k < 6; k++)
                    same &= p.launches[k].function != l->function ||
                            p.launches[k].numbers[a] == p.launches[k].numbers[b];
                cr_expect(!same, "numbers %u and %u are the same", a, b);
            }
    }
    for (uint32_t u = 0; u < p.n; u++)
        cr_expect(!strchr(p.texts[u], 1) && !strchr(p.texts[u], 2), "a mark is left in %s",
                  p.texts[u]);
    arena_free(arena);
}

Test(program, products_share_functions)
{
    share_functions("half_sizes.ir");
    share_functions("f32_sizes.ir");
}

// A product of its own has its numbers in its text.
Test(program, lone_products_have_their_numbers)
{
    Arena *arena = arena_new();
    const Plan *plan = plan_of(arena, "half_dot.ir");
    CudaProgram p = cuda_program(arena, plan->kernels.n, plan->kernels.at);
    for (uint32_t i = 0; i < plan->kernels.n; i++) cr_expect_eq(p.launches[i].nnumbers, 0);
    arena_free(arena);
}

// The second stages of column sums wait for each other, though their parts take 112 KB.
Test(program, column_sums_end_in_one_launch)
{
    static const char text[] = "program \"sums\" batch=1 steps=1 seed=0\n"
                               "entry \"step\" {\n"
                               "  %x = input {name=\"x\"} : f32[9000, 200]\n"
                               "  %y = input {name=\"y\"} : f32[9000, 200]\n"
                               "  %a = sum %x {axes=[0]} : f32[200]\n"
                               "  %t = sum %y {axes=[0, 1]} : f32[]\n"
                               "  %tb = broadcast %t {axes=[]} : f32[9000, 200]\n"
                               "  %z = max %y, %tb\n"
                               "  %b = sum %z {axes=[0]} : f32[200]\n"
                               "  output \"a\" %a\n"
                               "  output \"b\" %b\n"
                               "}\n";
    Arena *arena = arena_new();
    const Plan *plan = plan_text(arena, "sums", text);
    const PlanEntry *e = &plan->entries.at[0];
    uint32_t most = 0, all = 0;
    for (uint32_t l = 0; l < e->launches.n; l++) {
        uint32_t here = 0;
        for (uint32_t s = 0; s < e->launches.at[l].segments.n; s++) {
            const Kernel *k = plan->kernels.at[e->launches.at[l].segments.at[s].kernel];
            here += strstr(k->name, "finish") && k->buffers.at[0].count == 141 * 200;
        }
        all += here;
        most = here > most ? here : most;
    }
    cr_expect(all == 2 && most == 2, "%u of %u together", most, all);
    arena_free(arena);
}
