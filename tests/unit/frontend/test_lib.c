// cztc lib NAME: everything a graph needs to know of a definition is there.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

#include "frontend/frontend.h"

static const char *described(Arena *a, const char *name)
{
    char *text = NULL;
    size_t size = 0;
    Error err = {0};
    cr_assert_eq(chdir(CZT_SOURCE_DIR), 0);
    FILE *out = open_memstream(&text, &size);
    cr_assert(frontend_lib(a, "graphs/lib", name, out, &err), "%s", err.text);
    fclose(out);
    const char *copy = str_copy(a, text);
    free(text);
    return copy;
}

static void has(const char *text, const char *part)
{
    cr_expect(strstr(text, part), "'%s' is not in\n%s", part, text);
}

Test(lib, constants_have_their_members)
{
    Arena *a = arena_new();
    const char *text = described(a, "norm");
    has(text, "constant norm (prelude)\n  always imported\n");
    has(text, "    norm.half      {mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}\n");
    arena_free(a);
}

Test(lib, definitions_say_what_to_import)
{
    Arena *a = arena_new();
    has(described(a, "vit"), "  import: [encoders/vit]\n");
    has(described(a, "gelu"), "function gelu(x) (prelude)\n  always imported\n  x * (0.5 + ");
    has(described(a, NULL), "  adamw                optim/adamw ");
    arena_free(a);
}

Test(lib, defaults_and_parts_are_written_out)
{
    Arena *a = arena_new();
    const char *text = described(a, "adamw");
    has(text, "    betas        list, from 0 to below 1 = [0.9, 0.999]\n");
    has(text, "    m            zeros\n");
    text = described(a, "vit");
    has(text, "    embed_image  projection(width, embed)\n");
    has(text, "    stem         {module: patch_embed, size: patch, width: width, path: patch}\n");
    text = described(a, "linear");
    has(text, "    weight       {shape: [out, width], init: \"uniform_init(shape, width)\"}\n");
    arena_free(a);
}

Test(lib, files_and_folders_list_what_they_have)
{
    Arena *a = arena_new();
    const char *text = described(a, "encoders/resnet");
    has(text, "Modules\n  basic_block          encoders/resnet      Two 3x3 ");
    has(text, "\nFunctions\n  shrunk(x, n) ");
    cr_expect(!strstr(text, "vit") && !strstr(text, "Built-in"));
    text = described(a, "losses/");
    has(text, "  info_nce             losses/contrastive   ");
    has(text, "  ssi_l1               losses/dense         ");
    cr_expect(!frontend_lib(a, "graphs/lib", "encoders/res", stdout, &(Error){0}));
    arena_free(a);
}
