// Under what a choice of who does a product is kept: whatever decides how fast the ways are.
#include "runtime/cuda_choices.h"

#include <criterion/criterion.h>

typedef struct Case {
    StepProduct product;
    StepKernel kernels[2]; // the product's, and the one that does the rest
    uint64_t sums[2];
    StepImage image;
    CudaDevice device;
    size_t library;
    uint32_t alignment;
} Case;

static Case plain(void)
{
    const StepMatrix m = {.batch = 64, .row = 8, .col = 1};
    return (Case){.product = {.batch = 2,
                              .m = 8,
                              .n = 8,
                              .k = 8,
                              .from = CZT_BF16,
                              .to = CZT_F32,
                              .a = m,
                              .b = m,
                              .c = m,
                              .rest = -1},
                  .kernels = {{.symbol = "k1", .unit = 0}, {.symbol = "k2", .unit = 1}},
                  .sums = {1, 2},
                  .image = {.arch = "sm_90"},
                  .device = {.name = "GPU", .version = 13000},
                  .library = 130100,
                  .alignment = 16};
}

static const char *key_of(Arena *arena, Case *c)
{
    Step step = {.kernels = c->kernels, .nkernels = 2};
    c->image.checksums = c->sums;
    c->kernels[0].product = &c->product;
    return str_printf(arena, "%s: %s",
                      cuda_choices_device(arena, &c->device, c->library, &c->image),
                      cuda_choice_key(arena, &step, &c->image, c->kernels, c->alignment));
}

#define CHANGES(change)                                                                            \
    do {                                                                                           \
        Case c = plain();                                                                          \
        c.change;                                                                                  \
        cr_expect(strcmp(key_of(arena, &c), before) != 0, "the key does not have " #change);       \
    } while (0)

Test(choices, the_key_has_all_that_decides)
{
    Arena *arena = arena_new();
    Case same = plain(), other = plain();
    const char *before = key_of(arena, &same);
    cr_expect_str_eq(key_of(arena, &other), before);
    CHANGES(device.name[0] = 'X');
    CHANGES(device.version = 13010);
    CHANGES(library = 130200);
    CHANGES(image.arch = "sm_90a");
    CHANGES(sums[0] = 3);
    CHANGES(kernels[0].symbol = "k3");
    CHANGES(alignment = 8);
    CHANGES(product.tf32 = true);
    CHANGES(product.batch = 3);
    CHANGES(product.m = 16);
    CHANGES(product.n = 16);
    CHANGES(product.k = 16);
    CHANGES(product.from = CZT_F16);
    CHANGES(product.to = CZT_BF16);
    CHANGES(product.a.row = 16);
    CHANGES(product.b.col = 2);
    CHANGES(product.c.batch = 128);
    CHANGES(product.biased = true);
    CHANGES(product.added = true);
    CHANGES(product.rest = 1);
    other.product.rest = same.product.rest = 1;
    before = key_of(arena, &same);
    other.sums[1] = 4;
    cr_expect_str_neq(key_of(arena, &other), before, "the rest's code is none of the key");
    arena_free(arena);
}
