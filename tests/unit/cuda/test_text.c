// What the host shim runs is what NVRTC compiles: preprocessed both ways, the unit of all kernels
// of the corpus, libraries and all, differs in the bodies of the instruction table alone.
#include "shim_engine.h"
#include "text_compare.h"

#include <criterion/criterion.h>
#include <unistd.h>

Test(cuda, text_is_the_same_for_both)
{
    Check c = {.arena = arena_new()};
    char folder[] = P_tmpdir "/czt-text-XXXXXX";
    cr_assert(mkdtemp(folder));
    c.folder = folder;
    uint32_t rows = 0;
    const CudaProgram program = corpus_program(c.arena);
    const char *text = cuda_unit(c.arena, &program, 0, program.n);
    static const char *const parts[] = {"mma_loop<T>",
                                        "attention_at_once<64",
                                        "attention_gradient_",
                                        "scatter_lists(",
                                        "topk_long(",
                                        "eigh_matrix(",
                                        " k0("};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect(strstr(text, parts[i]), "'%s' is not among the kernels", parts[i]);
    const char *stub = text_stub(&c, check_read(&c, "codegen/cuda_prelude.cuh"));
    const char *difference = text_compare(&c, stub, "corpus", text, &rows);
    cr_expect(!difference, "%s", difference ? difference : "");
    cr_expect(program.n > 100 && rows > 40 && !c.failures, "%u functions, %u rows", program.n,
              rows);
    remove(str_printf(c.arena, "%s/shim.h", stub));
    rmdir(stub);
    rmdir(folder);
    arena_free(c.arena);
}
