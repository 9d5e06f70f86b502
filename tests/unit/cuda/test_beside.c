// What a frozen teacher computes has bytes of its own where it could run beside the student, unless
// a limit of memory or the price forbids it.
#include "codegen/cuda.h"
#include "passes/lower.h"
#include "shim_engine.h"

#include <criterion/criterion.h>

// Two chains of products over %x, by weights that are trained and by weights that are not, then a
// loss; the chains stand one behind the other. `size` of the teacher's.
static const Plan *planned(Arena *arena, int64_t memory, int size, const char *kind, bool trained)
{
    const char *limit = memory ? str_printf(arena, " memory=%lld", (long long)memory) : "";
    const char *text = str_printf(
        arena,
        "program \"p\" batch=64 steps=1 seed=0%s\n"
        "state param \"w\" f32[256, 256] trainable\nstate %s \"t\" f32[%d, %d]%s\n"
        "entry \"step\" {\n"
        "  %%x = input {name=\"x\"} : f32[64b, 256]\n"
        "  %%y = input {name=\"y\"} : f32[64b, %d]\n"
        "  %%w = state {name=\"w\"} : f32[256, 256]\n"
        "  %%t = state {name=\"t\"} : f32[%d, %d]\n"
        "  %%t1 = dot %%y, %%t {lc=[1], rc=[0]} : f32[64b, %d]\n"
        "  %%t2 = dot %%t1, %%t {lc=[1], rc=[0]} : f32[64b, %d]\n"
        "  %%t3 = dot %%t2, %%t {lc=[1], rc=[0]} : f32[64b, %d]\n"
        "  %%s1 = dot %%x, %%w {lc=[1], rc=[0]} : f32[64b, 256]\n"
        "  %%s2 = dot %%s1, %%w {lc=[1], rc=[0]} : f32[64b, 256]\n"
        "  %%s3 = dot %%s2, %%w {lc=[1], rc=[0]} : f32[64b, 256]\n"
        "  %%a = sum %%t3 {axes=[0, 1], cross=1} : f32[]\n"
        "  %%b = sum %%s3 {axes=[0, 1], cross=1} : f32[]\n"
        "  %%l = mul %%a, %%b : f32[]\n"
        "  output \"l\" %%l\n"
        "}\n",
        limit, kind, size, size, trained ? " trainable" : "", size, size, size, size, size, size);
    return cuda_plan(arena, text);
}

// How many pairs of scratch buffers of segments that are frozen and that are not share bytes, other
// than because one reads what the other wrote.
static uint32_t shared(const Plan *plan, uint32_t *frozen)
{
    const PlanEntry *e = &plan->entries.at[0];
    bool side[64][2] = {0};
    uint32_t n = 0;
    *frozen = 0;
    cr_assert_lt(e->buffers.n, 64);
    for (uint32_t l = 0; l < e->launches.n; l++)
        for (uint32_t s = 0; s < e->launches.at[l].segments.n; s++) {
            const Segment *seg = &e->launches.at[l].segments.at[s];
            *frozen += seg->frozen;
            for (uint32_t i = 0; i < seg->buffers.n; i++)
                side[seg->buffers.at[i]][seg->frozen] = true;
        }
    for (uint32_t i = 0; i < e->buffers.n; i++)
        for (uint32_t k = 0; k < e->buffers.n; k++) {
            const PlanBuffer *x = &e->buffers.at[i], *y = &e->buffers.at[k];
            bool apart = x->block != BLOCK_SCRATCH || y->block != BLOCK_SCRATCH || !side[i][1] ||
                         side[i][0] || side[k][1] || !side[k][0];
            int64_t end = x->offset + x->count * 4, other = y->offset + y->count * 4;
            n += !apart && x->offset < other && y->offset < end;
        }
    return n;
}

Test(beside, a_frozen_teacher_has_bytes_of_its_own)
{
    static const char *const kinds[] = {"param", "frozen", "ema"};
    for (int i = 0; i < 3; i++) {
        Arena *arena = arena_new();
        uint32_t frozen;
        const Plan *plan = planned(arena, 0, 16, kinds[i], false);
        cr_expect_eq(shared(plan, &frozen), 0, "%s", kinds[i]);
        cr_expect_geq(frozen, 3, "%s: %u", kinds[i], frozen);
        arena_free(arena);
    }
}

Test(beside, not_where_it_is_trained_or_there_is_no_room)
{
    Arena *arena = arena_new();
    uint32_t frozen;
    const Plan *both = planned(arena, 0, 16, "param", false);
    shared(planned(arena, 0, 16, "param", true), &frozen);
    cr_expect_eq(frozen, 0);
    Target target = cuda_target();
    int64_t bytes = plan_bytes(both, &target);
    const Plan *limited = planned(arena, bytes - 1, 16, "param", false);
    cr_expect_lt(limited->entries.at[0].scratch_bytes, both->entries.at[0].scratch_bytes);
    cr_expect_gt(shared(limited, &frozen), 0);
    cr_expect_eq(planned(arena, bytes, 16, "param", false)->entries.at[0].scratch_bytes,
                 both->entries.at[0].scratch_bytes);
    // as large as the student, which is too much where nobody says what there is
    const Plan *large = planned(arena, 0, 256, "param", false);
    cr_expect_gt(shared(large, &frozen), 0);
    cr_expect_geq(frozen, 3);
    cr_expect_eq(shared(planned(arena, 1 << 30, 256, "param", false), &frozen), 0);
    arena_free(arena);
}
