// Which products go to tensor cores, with which tile, and how their operands come there.
#include "codegen/cuda.h"
#include "passes/lower.h"
#include "shim_engine.h"

#include <criterion/criterion.h>

typedef struct Made {
    const char *text; // from the first kernel on
    CudaLaunch launch;
} Made;

static uint32_t count(const char *text, const char *what)
{
    uint32_t n = 0;
    for (; (text = strstr(text, what)); text++) n++;
    return n;
}

// The only product of a program whose entry has these statements, and if it is to be, its only
// kernel.
static Made make(Arena *arena, const char *statements, bool alone)
{
    const char *text = str_printf(
        arena, "program \"p\" batch=2 steps=1 seed=0\nentry \"step\" {\n%s}\n", statements);
    const Plan *plan = cuda_plan(arena, text);
    cr_assert(!alone || plan->kernels.n == 1, "%u kernels", plan->kernels.n);
    uint32_t k = 0;
    while (plan->kernels.at[k]->kind != KERNEL_GEMM) k++;
    Made made;
    made.text = strstr(cuda_text(arena, 1, &plan->kernels.at[k], &made.launch), "\nKERNEL(");
    return made;
}

// (m, k) times (n, k).
static Made product(Arena *arena, int m, int n, int k, const char *dtype)
{
    return make(arena,
                str_printf(arena,
                           "  %%x = input {name=\"x\"} : %s[%d, %d]\n"
                           "  %%y = input {name=\"y\"} : %s[%d, %d]\n"
                           "  %%z = dot %%x, %%y {lc=[1], rc=[1]} : f32[%d, %d]\n"
                           "  output \"z\" %%z\n",
                           dtype, m, k, dtype, n, k, m, n),
                true);
}

Test(products, take_tensor_cores_in_every_shape)
{
    static const int cases[][3] = {{64, 64, 64}, {512, 512, 17}, {1, 64, 64},
                                   {64, 3, 64},  {64, 64, 3},    {1, 1, 1}};
    Arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Made p = product(arena, cases[i][0], cases[i][1], cases[i][2], "bf16");
        cr_expect(p.launch.tensor_cores, "case %zu", i);
        cr_expect_eq(count(p.text, "mma_loop<T>"), 1, "case %zu", i);
        cr_expect(p.launch.shared_bytes > 0, "case %zu", i);
    }
    cr_expect_not(product(arena, 64, 64, 64, "f32").launch.tensor_cores);
    cr_expect_not(product(arena, 64, 64, 64, "f16").launch.tensor_cores);
    arena_free(arena);
}

// A tile for each size of product: enough blocks first, then large ones.
Test(products, choose_tiles_by_shape)
{
    static const struct {
        int m, n;
        const char *tile;
    } cases[] = {
        {12608, 3072, "<bf16, 128, 128, 32, 2, 2,"}, {512, 512, "<bf16, 64, 64, 32, 2, 2,"},
        {8448, 128, "<bf16, 128, 64, 32, 2, 2,"},    {64, 16896, "<bf16, 64, 128, 32, 2, 2,"},
        {50176, 3, "<bf16, 128, 32, 32, 4, 1,"},     {1, 50176, "<bf16, 32, 128, 32, 1, 4,"}};
    Arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Made p = product(arena, cases[i].m, cases[i].n, 768, "bf16");
        cr_expect(strstr(p.text, cases[i].tile), "%d x %d: %.60s", cases[i].m, cases[i].n,
                  strstr(p.text, "MmaTile"));
        cr_expect(p.launch.shared_bytes <= 48 << 10, "more is not had without asking");
    }
    arena_free(arena);
}

// Neighbours that lie side by side are copied, whatever the index looks like.
static const struct {
    const char *name, *statements;
    uint32_t copies;
} ways[] = {{"heads",
             "  %x = input {name=\"x\"} : bf16[2b, 24, 96]\n"
             "  %x1 = reshape %x : bf16[2b, 24, 6, 16]\n"
             "  %q = transpose %x1 {perm=[0, 2, 1, 3]} : bf16[2b, 6, 24, 16]\n"
             "  %z = dot %q, %q {lb=[0, 1], lc=[3], rb=[0, 1], rc=[3]} : f32[2b, 6, 24, 24]\n"
             "  output \"z\" %z\n",
             2},
            {"rows",
             "  %x = input {name=\"x\"} : bf16[2b, 24, 40]\n"
             "  %y = input {name=\"y\"} : bf16[2b, 24, 64]\n"
             "  %z = dot %x, %y {lc=[0, 1], rc=[0, 1]} : f32[40, 64]\n"
             "  output \"z\" %z\n",
             2},
            {"patches",
             "  %x = input {name=\"x\"} : bf16[2b, 64, 96, 3]\n"
             "  %w = input {name=\"w\"} : bf16[48, 768]\n"
             "  %x1 = reshape %x : bf16[2b, 4, 16, 6, 16, 3]\n"
             "  %x2 = transpose %x1 {perm=[0, 1, 3, 2, 4, 5]} : bf16[2b, 4, 6, 16, 16, 3]\n"
             "  %x3 = reshape %x2 : bf16[2b, 24, 768]\n"
             "  %z = dot %x3, %w {lc=[2], rc=[1]} : f32[2b, 24, 48]\n"
             "  output \"z\" %z\n",
             2},
            {"zeros around",
             "  %x = input {name=\"x\"} : bf16[50, 64]\n"
             "  %zero = const {value=0} : bf16[]\n"
             "  %p = pad %x, %zero {lo=[3, 8], hi=[3, 16]} : bf16[56, 88]\n"
             "  %z = dot %p, %p {lc=[1], rc=[1]} : f32[56, 56]\n"
             "  output \"z\" %z\n",
             2},
            {"zeros up to a length that is no multiple of eight",
             "  %x = input {name=\"x\"} : bf16[50, 64]\n"
             "  %zero = const {value=0} : bf16[]\n"
             "  %p = pad %x, %zero {lo=[0, 4], hi=[0, 12]} : bf16[50, 80]\n"
             "  %z = dot %p, %p {lc=[1], rc=[1]} : f32[50, 50]\n"
             "  output \"z\" %z\n",
             0},
            {"a row length that is no multiple of eight",
             "  %x = input {name=\"x\"} : bf16[24, 100]\n"
             "  %w = input {name=\"w\"} : bf16[48, 100]\n"
             "  %z = dot %x, %w {lc=[1], rc=[1]} : f32[24, 48]\n"
             "  output \"z\" %z\n",
             0},
            {"windows, as a convolution and the gradient of its input have them",
             "  %x = input {name=\"x\"} : bf16[2b, 9, 10, 16]\n"
             "  %w = input {name=\"w\"} : bf16[24, 3, 3, 16]\n"
             "  %zero = const {value=0} : bf16[]\n"
             "  %b = broadcast %x {axes=[0, 1, 2, 5]} : bf16[2b, 9, 10, 3, 3, 16]\n"
             "  %s = skew %b, %zero {axes=[1, 2], along=[3, 4], lo=[-1, 1], stride=[2, 1], "
             "step=[1, -1]} : bf16[2b, 5, 10, 3, 3, 16]\n"
             "  %z = dot %s, %w {lc=[3, 4, 5], rc=[1, 2, 3]} : f32[2b, 5, 10, 24]\n"
             "  output \"z\" %z\n",
             2},
            {"windows, as the gradient of weights has them",
             "  %x = input {name=\"x\"} : bf16[2b, 9, 10, 16]\n"
             "  %y = input {name=\"y\"} : bf16[2b, 9, 10, 24]\n"
             "  %zero = const {value=0} : bf16[]\n"
             "  %b = broadcast %x {axes=[0, 1, 2, 5]} : bf16[2b, 9, 10, 3, 3, 16]\n"
             "  %s = skew %b, %zero {axes=[1, 2], along=[3, 4], lo=[-1, -1]} : "
             "bf16[2b, 9, 10, 3, 3, 16]\n"
             "  %z = dot %s, %y {lc=[0, 1, 2], rc=[0, 1, 2]} : f32[3, 3, 16, 24]\n"
             "  output \"z\" %z\n",
             2},
            {"tf32, chunks of four numbers that are rounded in memory",
             "  %x = input {name=\"x\"} : f32[24, 100]\n"
             "  %w = input {name=\"w\"} : f32[100, 52]\n"
             "  %z = dot %x, %w {lc=[1], rc=[0], precision=\"tf32\"} : f32[24, 52]\n"
             "  output \"z\" %z\n",
             2},
            {"tf32 whose rows are no chunks",
             "  %x = input {name=\"x\"} : f32[24, 102]\n"
             "  %w = input {name=\"w\"} : f32[102, 52]\n"
             "  %z = dot %x, %w {lc=[1], rc=[0], precision=\"tf32\"} : f32[24, 52]\n"
             "  output \"z\" %z\n",
             1},
            {"an op",
             "  %x = input {name=\"x\"} : bf16[24, 96]\n"
             "  %w = input {name=\"w\"} : bf16[48, 96]\n"
             "  %c = neg %x\n"
             "  %z = dot %c, %w {lc=[1], rc=[1]} : f32[24, 48]\n"
             "  output \"z\" %z\n",
             1}};

Test(products, copy_operands_that_lie_in_chunks)
{
    Arena *arena = arena_new();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        Made p = make(arena, ways[i].statements, !strstr(ways[i].statements, "tf32"));
        cr_expect_eq(count(p.text, "mma_copy<"), ways[i].copies, "%s: %u copies", ways[i].name,
                     count(p.text, "mma_copy<"));
    }
    arena_free(arena);
}

// Of a product whose elements are these; tf32 lies in f32.
static int64_t parts(DType dt, bool tf32, int64_t m, int64_t n, int64_t k)
{
    KernelInstr element = {.kind = KI_LOAD, .dtype = dt};
    KernelAxis axis = {.size = 1};
    KernelBody body = {.code = {.at = &element, .n = 1}, .axes = {.at = &axis, .n = 1}};
    Kernel kernel = {.gemm = {1, m, n, k, body, body, .tf32 = tf32}};
    return cuda_target().parts(&kernel);
}

// A gradient of weights: as many parts as give all multiprocessors work, that divide k.
Test(products, are_cut_into_parts_over_a_long_k)
{
    int64_t small = parts(DT_BF16, false, 768, 768, 50432);
    cr_expect(small >= 4 && 50432 % small == 0, "%lld parts", (long long)small);
    cr_expect_eq(parts(DT_F32, false, 768, 768, 50432), 1);
    cr_expect_eq(parts(DT_BF16, false, 12608, 3072, 768), 1);
    cr_expect_eq(parts(DT_BF16, false, 768, 768, 50411), 1); // a prime
    // A head with three channels or one, or one whose rows are no whole chunks: more blocks yet.
    cr_expect_eq(parts(DT_BF16, false, 3, 768, 50176), 32);
    cr_expect_eq(parts(DT_BF16, false, 768, 1, 50176), 32);
    cr_expect_eq(parts(DT_BF16, false, 134, 768, 50176), 28);
    cr_expect_eq(parts(DT_F32, false, 3, 768, 50176), 1);
    cr_expect_eq(parts(DT_BF16, false, 3, 768, 900), 1);
    // tf32 is multiplied at half the rate, its chunks are of four.
    cr_expect_eq(parts(DT_F32, true, 3, 768, 50176), 32);
    cr_expect_geq(parts(DT_F32, true, 768, 768, 50432), small);
    cr_expect_lt(parts(DT_F32, true, 132, 768, 50176), parts(DT_F32, true, 134, 768, 50176));
}
