// A translation unit of kernels: prelude, library, the expansions they call, then one __global__
// function each.
#include "codegen/cuda.h"

#include "base/diag.h"
#include "codegen/cuda_emit.h"

extern const char czt_cuda_prelude[], czt_cuda_library[], czt_cuda_mma[], czt_cuda_attention[],
    czt_cuda_attention_grad[];

// The two texts that every unit begins with and those that some need, as they lie in the sources.
__asm__(".section .rodata\nczt_cuda_prelude: .incbin \"" CZT_CUDA_TEXTS
        "/cuda_prelude.cuh\"\n.byte 0\n"
        "czt_cuda_library: .incbin \"" CZT_CUDA_TEXTS "/cuda_library.cuh\"\n.byte 0\n"
        "czt_cuda_mma: .incbin \"" CZT_CUDA_TEXTS "/cuda_mma.cuh\"\n.byte 0\n"
        "czt_cuda_attention: .incbin \"" CZT_CUDA_TEXTS "/cuda_attention.cuh\"\n.byte 0\n"
        "czt_cuda_attention_grad: .incbin \"" CZT_CUDA_TEXTS
        "/cuda_attention_grad.cuh\"\n.byte 0\n.text\n");

static int64_t no_panels(const Target *t, int64_t batch, int64_t n, int64_t k)
{
    (void)t;
    return batch * n * k;
}

static int64_t one_task(const Target *t, const Kernel *k)
{
    (void)t, (void)k;
    return 1;
}

Target cuda_target(void)
{
    return (Target){.name = "cuda",
                    .lanes = 32,
                    .library = true,
                    .packs = false,
                    .packed_count = no_panels,
                    .tasks = one_task,
                    .parts = cuda_mma_parts};
}

static void put_text(CudaText *t, const char *s)
{
    for (; *s; s++) vec_push(t->arena, &t->out, *s);
    vec_push(t->arena, &t->out, '\n');
}

static void put_kernel(CudaText *t, const Kernel *k, uint32_t number, CudaLaunch *launch)
{
    CudaText saved = *t, body = {.arena = t->arena, .kernel = k, .indent = 1};
    *launch = (CudaLaunch){.symbol = str_printf(t->arena, "k%u", number)};
    switch (k->kind) {
    case KERNEL_LOOP: cuda_loop_kernel(&body, launch); break;
    case KERNEL_GEMM:
        (cuda_mma_takes(k) ? cuda_mma_kernel : cuda_gemm_kernel)(&body, launch);
        break;
    default: (cuda_attention_takes(k) ? cuda_attention_kernel : cuda_engine_kernel)(&body, launch);
    }
    vec_push(t->arena, &body.out, 0);
    *t = saved;
    cuda_line(t, "// %s", k->name);
    const char *residents =
        launch->residents ? str_printf(t->arena, ", %u", launch->residents) : "";
    cuda_open(t, "KERNEL(%u%s) k%u(const Buffers<%u> buffers)", launch->threads, residents, number,
              k->buffers.n);
    for (uint32_t i = 0; i < k->buffers.n; i++) {
        const KernelBuffer *b = &k->buffers.at[i];
        const char *type = cuda_memory_type(b->dtype), *fixed = b->written ? "" : "const ";
        cuda_line(t, "%s%s *__restrict__ b%u = (%s%s *)buffers.at[%u];", fixed, type, i, fixed,
                  type, i);
    }
    put_text(t, body.out.at);
    cuda_close(t);
}

const char *cuda_text(Arena *arena, uint32_t n, Kernel *const *kernels, CudaLaunch *launches)
{
    CudaText t = {.arena = arena};
    put_text(&t, czt_cuda_prelude);
    put_text(&t, czt_cuda_library);
    bool attends = false, multiplies = false;
    for (uint32_t i = 0; i < n; i++) {
        attends = attends || cuda_attention_takes(kernels[i]);
        multiplies =
            multiplies || (kernels[i]->kind == KERNEL_GEMM && cuda_mma_takes(kernels[i]));
    }
    if (multiplies) put_text(&t, czt_cuda_mma);
    if (attends) put_text(&t, czt_cuda_attention);
    if (attends) put_text(&t, czt_cuda_attention_grad);
    for (uint32_t i = 0; i < n; i++) cuda_functions(&t, kernels[i]);
    for (uint32_t i = 0; i < n; i++) put_kernel(&t, kernels[i], i, &launches[i]);
    vec_push(arena, &t.out, 0);
    return t.out.at;
}
