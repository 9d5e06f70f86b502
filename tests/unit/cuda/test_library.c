// What a library is told of a product: its bias, where it may round, what is left for a kernel.
#include "codegen/cuda.h"
#include "passes/lower.h"
#include "shim_engine.h"

#include <criterion/criterion.h>

// (16, 32) times (8, 32) of bf16 in %p, biases %b (bf16, 8), %f (f32, 8) and %m (bf16, 16),
// matrices %g (f32, 16, 8) and %h (f32, 8, 16).
static const LibraryProduct *told(Arena *arena, const char *statements, const Plan **plan)
{
    const char *text = str_printf(arena,
                                  "program \"p\" batch=2 steps=1 seed=0\nentry \"step\" {\n"
                                  "  %%x = input {name=\"x\"} : bf16[16, 32]\n"
                                  "  %%y = input {name=\"y\"} : bf16[8, 32]\n"
                                  "  %%b = input {name=\"b\"} : bf16[8]\n"
                                  "  %%f = input {name=\"f\"} : f32[8]\n"
                                  "  %%m = input {name=\"m\"} : bf16[16]\n"
                                  "  %%g = input {name=\"g\"} : f32[16, 8]\n"
                                  "  %%h = input {name=\"h\"} : f32[8, 16]\n"
                                  "  %%p = dot %%x, %%y {lc=[1], rc=[1]} : f32[16, 8]\n%s}\n",
                                  statements);
    *plan = cuda_plan(arena, text);
    for (uint32_t i = 0; i < (*plan)->kernels.n; i++)
        if ((*plan)->kernels.at[i]->kind == KERNEL_GEMM)
            return (*plan)->kernels.at[i]->gemm.library;
    return NULL;
}

#define WIDE                                                                                       \
    "  %w = cast %b : f32[8]\n  %bb = broadcast %w {axes=[1]} : f32[16, 8]\n"                      \
    "  %s = add %p, %bb : f32[16, 8]\n"
#define SINGLE "  %bb = broadcast %f {axes=[1]} : f32[16, 8]\n  %s = add %p, %bb : f32[16, 8]\n"
#define DOWN                                                                                       \
    "  %w = cast %m : f32[16]\n  %bb = broadcast %w {axes=[0]} : f32[16, 8]\n"                     \
    "  %s = add %p, %bb : f32[16, 8]\n"
#define MATRIX "  %s = add %p, %g : f32[16, 8]\n"
#define TURNED "  %w = transpose %h {perm=[1, 0]} : f32[16, 8]\n  %s = add %p, %w : f32[16, 8]\n"
#define ROUND "  %r = cast %s : bf16[16, 8]\n"

Test(library, is_told_of_a_bias_and_what_is_left)
{
    static const struct {
        const char *statements;
        bool biased, rest, workspace;
        DType to;
        bool added;
    } cases[] = {
        {"  output \"p\" %p\n", false, false, false, DT_F32, false},
        {WIDE ROUND "  output \"r\" %r\n", true, false, false, DT_BF16, false},
        {SINGLE "  output \"s\" %s\n", true, false, false, DT_F32, false},
        // one of two results is the product
        {WIDE ROUND "  %t = tanh %r\n  output \"r\" %r\n  output \"t\" %t\n", true, true, false,
         DT_BF16, false},
        {WIDE ROUND "  %t = tanh %r\n  output \"t\" %t\n", true, true, true, DT_BF16, false},
        // a bias of another type, along the other axis, read before it is rounded
        {SINGLE ROUND "  output \"r\" %r\n", false, true, true, DT_F32, false},
        {DOWN ROUND "  output \"r\" %r\n", false, true, true, DT_F32, false},
        {WIDE ROUND "  output \"r\" %r\n  output \"s\" %s\n", false, true, true, DT_F32, false},
        {WIDE ROUND "  output \"r\" %r\n  output \"p\" %p\n", false, true, false, DT_F32, false},
        // a matrix that lies like the result, alone and with something left; rounded, turned
        {MATRIX "  output \"s\" %s\n", false, false, false, DT_F32, true},
        {MATRIX "  %t = tanh %s\n  output \"s\" %s\n  output \"t\" %t\n", false, true, false,
         DT_F32, true},
        {MATRIX ROUND "  output \"r\" %r\n", false, true, true, DT_F32, false},
        {TURNED "  output \"s\" %s\n", false, true, true, DT_F32, false},
    };
    Arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const Plan *plan;
        const LibraryProduct *p = told(arena, cases[i].statements, &plan);
        cr_assert(p, "case %zu", i);
        const Kernel *k = plan->kernels.at[0];
        for (uint32_t j = 0; k->kind != KERNEL_GEMM; j++) k = plan->kernels.at[j];
        bool stored = false;
        for (uint32_t s = 0; s < k->body.stores.n; s++)
            stored |= k->body.stores.at[s].buffer == p->c.buffer;
        cr_expect_eq(p->biased, cases[i].biased, "case %zu", i);
        cr_expect_eq(p->added, cases[i].added, "case %zu", i);
        cr_expect_eq(p->rest != 0, cases[i].rest, "case %zu", i);
        cr_expect_eq(!stored, cases[i].workspace, "case %zu", i);
        cr_expect_eq(k->buffers.at[p->c.buffer].dtype, cases[i].to, "case %zu", i);
    }
    arena_free(arena);
}

// The description of the only product of that entry, or NULL.
static const LibraryProduct *of_bytes(Arena *arena, const char *statements, DType *to)
{
    const char *text = str_printf(
        arena, "program \"p\" batch=2 steps=1 seed=0\nentry \"step\" {\n%s}\n", statements);
    const Plan *plan = cuda_plan(arena, text);
    for (uint32_t i = 0; i < plan->kernels.n; i++) {
        const Kernel *k = plan->kernels.at[i];
        if (k->kind != KERNEL_GEMM || !k->gemm.library) continue;
        *to = k->buffers.at[k->gemm.library->c.buffer].dtype;
        return k->gemm.library;
    }
    return NULL;
}

#define BYTES(dt, m, n, k)                                                                         \
    "  %x = input {name=\"x\"} : " dt "[" m ", " k "]\n"                                           \
    "  %y = input {name=\"y\"} : " dt "[" n ", " k "]\n"                                           \
    "  %p = dot %x, %y {lc=[1], rc=[1]} : f32[" m ", " n "]\n"
#define OUT "  output \"p\" %p\n"

// cuBLASLt's rules for 8-bit floats.
Test(library, is_told_of_few_products_of_8_bit_floats)
{
    static const struct {
        const char *statements;
        bool told, biased;
        DType to;
    } cases[] = {
        {BYTES("f8e4m3", "32", "48", "64") OUT, true, false, DT_F32},
        {BYTES("f8e4m3", "32", "48", "64") "  %r = cast %p : bf16[32, 48]\n  output \"r\" %r\n",
         true, false, DT_BF16},
        {BYTES("f8e4m3", "32", "48", "64") "  %r = cast %p : f16[32, 48]\n  output \"r\" %r\n",
         true, false, DT_F32},
        {BYTES("f8e4m3", "32", "48", "64") "  %r = cast %p : f8e4m3[32, 48]\n  output \"r\" %r\n",
         true, false, DT_F32},
        // a bias is of bf16
        {BYTES("f8e4m3", "32", "48", "64") "  %b = input {name=\"b\"} : bf16[48]\n"
                                           "  %w = cast %b : f32[48]\n"
                                           "  %bb = broadcast %w {axes=[1]} : f32[32, 48]\n"
                                           "  %s = add %p, %bb\n  %r = cast %s : bf16[32, 48]\n"
                                           "  output \"r\" %r\n",
         true, true, DT_BF16},
        {BYTES("f8e4m3", "32", "48", "64") "  %b = input {name=\"b\"} : f32[48]\n"
                                           "  %bb = broadcast %b {axes=[1]} : f32[32, 48]\n"
                                           "  %s = add %p, %bb\n  output \"s\" %s\n",
         true, false, DT_F32},
        {BYTES("f8e4m3", "24", "48", "64") OUT, false, false, DT_F32},
        {BYTES("f8e4m3", "32", "40", "64") OUT, false, false, DT_F32},
        {BYTES("f8e4m3", "32", "48", "72") OUT, false, false, DT_F32},
        {BYTES("f8e5m2", "32", "48", "64") OUT, false, false, DT_F32},
        // k is not dense, rows begin anywhere
        {"  %x = input {name=\"x\"} : f8e4m3[64, 32]\n  %y = input {name=\"y\"} : f8e4m3[48, 64]\n"
         "  %p = dot %x, %y {lc=[0], rc=[1]} : f32[32, 48]\n" OUT,
         false, false, DT_F32},
        {"  %l = input {name=\"l\"} : f8e4m3[32, 72]\n  %y = input {name=\"y\"} : f8e4m3[48, 64]\n"
         "  %x = slice %l {lo=[0, 0], hi=[32, 64]} : f8e4m3[32, 64]\n"
         "  %p = dot %x, %y {lc=[1], rc=[1]} : f32[32, 48]\n" OUT,
         false, false, DT_F32},
        // a product of f32 whose result is bf16 is one of f32 and a rest
        {BYTES("f32", "32", "48", "64") "  %r = cast %p : bf16[32, 48]\n  output \"r\" %r\n", true,
         false, DT_F32},
    };
    Arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        DType to = DT_NONE;
        const LibraryProduct *p = of_bytes(arena, cases[i].statements, &to);
        cr_expect_eq(p != NULL, cases[i].told, "case %zu", i);
        if (!p) continue;
        cr_expect_eq(p->biased, cases[i].biased, "case %zu", i);
        cr_expect_eq(to, cases[i].to, "case %zu: %s", i, dtype_name(to));
    }
    arena_free(arena);
}
