// A translation unit of kernels: prelude, library, the expansions they call, then one __global__
// function each.
#include "codegen/cuda.h"

#include "base/diag.h"
#include "codegen/cuda_emit.h"

#include <string.h>

extern const char czt_cuda_prelude[], czt_cuda_library[], czt_cuda_mma[], czt_cuda_attention[],
    czt_cuda_attention_grad[], czt_cuda_scatter[], czt_cuda_ordered[];

// The two texts that every unit begins with and those that some need, as they lie in the sources.
__asm__(".section .rodata\nczt_cuda_prelude: .incbin \"" CZT_CUDA_TEXTS
        "/cuda_prelude.cuh\"\n.byte 0\n"
        "czt_cuda_library: .incbin \"" CZT_CUDA_TEXTS "/cuda_library.cuh\"\n.byte 0\n"
        "czt_cuda_mma: .incbin \"" CZT_CUDA_TEXTS "/cuda_mma.cuh\"\n.byte 0\n"
        "czt_cuda_attention: .incbin \"" CZT_CUDA_TEXTS "/cuda_attention.cuh\"\n.byte 0\n"
        "czt_cuda_attention_grad: .incbin \"" CZT_CUDA_TEXTS "/cuda_attention_grad.cuh\"\n.byte 0\n"
        "czt_cuda_scatter: .incbin \"" CZT_CUDA_TEXTS "/cuda_scatter.cuh\"\n.byte 0\n"
        "czt_cuda_ordered: .incbin \"" CZT_CUDA_TEXTS "/cuda_ordered.cuh\"\n.byte 0\n.text\n");

static int64_t no_panels(const Target *t, const Kernel *pack)
{
    (void)t;
    return pack->gemm.batch * pack->gemm.n * pack->gemm.k;
}

static int64_t one_task(const Target *t, const Kernel *k)
{
    (void)t, (void)k;
    return 1;
}

static bool any_size(const Kernel *k)
{
    Arena *arena = arena_new();
    bool flat = k->kind == KERNEL_LOOP && cuda_any_size(arena, k);
    arena_free(arena);
    return flat;
}

enum { LISTS_FROM = 65 }; // a warp that owns a row sees fewer in two looks

static bool has(OpCode op, DType from, DType to)
{
    (void)op;
    return from != DT_F64 && to != DT_F64;
}

Target cuda_target(void)
{
    return (Target){.name = "cuda",
                    .lanes = 32,
                    .library = true,
                    .staged = true,
                    .has = has,
                    .packs = false,
                    .packed_count = no_panels,
                    .tasks = one_task,
                    .any_size = any_size,
                    .lists_from = LISTS_FROM,
                    .workspace = cuda_workspace,
                    .parts = cuda_mma_parts};
}

static void put_text(CudaText *t, const char *s)
{
    cuda_put(t, s);
    cuda_put(t, "\n");
}

// Addresses and sizes of a segment, from the parameter or from the block's row of it.
static void put_parameters(CudaText *t, const Kernel *k, const CudaLaunch *launch)
{
    if (launch->table) {
        cuda_line(t, "const Row<%u> *const its = table.rows + table.row_of[block_x()];",
                  k->buffers.n);
        cuda_line(t, "const int block = (int)(block_x() - its->first);");
        cuda_line(t, "const long long size0 = its->size[0], size1 = its->size[1];");
    }
    for (uint32_t i = 0; i < k->buffers.n; i++) {
        const KernelBuffer *b = &k->buffers.at[i];
        const char *type = cuda_memory_type(b->dtype), *fixed = b->written ? "" : "const ";
        cuda_line(t, "%s%s *__restrict__ b%u = (%s%s *)%s[%u];", fixed, type, i, fixed, type,
                  launch->table ? "its->at" : "buffers.at", i);
    }
}

CudaFunction cuda_function(Arena *arena, const Kernel *k, CudaLaunch *launch)
{
    CudaText body = {.arena = arena, .kernel = k, .indent = 1}, t = {.arena = arena};
    switch (k->kind) {
    case KERNEL_LOOP: cuda_loop_kernel(&body, launch); break;
    case KERNEL_GEMM:
        (cuda_mma_takes(k) ? cuda_mma_kernel : cuda_gemm_kernel)(&body, launch);
        break;
    default: (cuda_attention_takes(k) ? cuda_attention_kernel : cuda_engine_kernel)(&body, launch);
    }
    vec_push(arena, &body.out, 0);
    t.indent = 1;
    put_parameters(&t, k, launch);
    cuda_put(&t, body.out.at);
    vec_push(arena, &t.out, 0);
    const char *residents = launch->residents ? str_printf(arena, ", %u", launch->residents) : "";
    return (CudaFunction){.bounds = str_printf(arena, "%u%s", launch->threads, residents),
                          .buffers = k->buffers.n,
                          .table = launch->table,
                          .body = t.out.at};
}

// The libraries of products, attention, scatter and ordered ops, where a function of the unit needs
// them.
static void put_engines(CudaText *t, const CudaProgram *p, uint32_t first, uint32_t end)
{
    bool attends = false, multiplies = false, scatters = false, orders = false;
    for (uint32_t i = first; i < end; i++) {
        const Kernel *k = p->kernels[i];
        attends = attends || cuda_attention_takes(k);
        multiplies = multiplies || (k->kind == KERNEL_GEMM && cuda_mma_takes(k));
        scatters = scatters || k->kind == KERNEL_LISTS || k->kind == KERNEL_SCATTER;
        orders = orders || kernel_orders(k);
    }
    if (multiplies) put_text(t, czt_cuda_mma);
    if (attends) put_text(t, czt_cuda_attention);
    if (attends) put_text(t, czt_cuda_attention_grad);
    if (scatters) put_text(t, czt_cuda_scatter);
    if (orders) put_text(t, czt_cuda_ordered);
}

const char *cuda_unit(Arena *arena, const CudaProgram *p, uint32_t first, uint32_t end)
{
    CudaText t = {.arena = arena};
    put_text(&t, czt_cuda_prelude);
    put_text(&t, czt_cuda_library);
    put_engines(&t, p, first, end);
    for (uint32_t i = first; i < end; i++) cuda_functions(&t, p->kernels[i]);
    for (uint32_t i = first; i < end; i++) {
        int threads = (int)strcspn(p->texts[i], "(");
        cuda_line(&t, "// %s", p->kernels[i]->name);
        cuda_line(&t, "KERNEL(%.*s) k%u%s", threads, p->texts[i], i, p->texts[i] + threads);
    }
    vec_push(arena, &t.out, 0);
    return t.out.at;
}

const char *cuda_text(Arena *arena, uint32_t n, Kernel *const *kernels, CudaLaunch *launches)
{
    CudaProgram p = cuda_program(arena, n, kernels);
    if (n) memcpy(launches, p.launches, n * sizeof *launches);
    return cuda_unit(arena, &p, 0, p.n);
}
