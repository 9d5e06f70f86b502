// Who does a product: its kernel, or cuBLASLt by one of a few algorithms and then the rest of the
// kernel. Where that is to be measured, both are timed when the program is opened, on blocks of
// whatever numbers, unless a file has the choice (cuda_choices.h); otherwise it is the algorithm
// that the library names first, always the same one.
#include "runtime/cuda_choices.h"
#include "runtime/cuda_engine.h"

enum { TIMES = 3 };

bool cuda_products_run(CudaEngine *c, uint32_t kernel, bool frozen, void *addresses,
                       CuStream stream, Error *err)
{
    const CudaProduct *p = &c->products[kernel];
    int32_t rest = c->step->kernels[kernel].product->rest;
    CuPtr workspace = c->workspace + (frozen && c->workspaces > 1 ? BLAS_WORKSPACE : 0);
    return cuda_blas_run(&c->blas, &p->blas, p->algo, addresses, workspace, stream, err) &&
           (rest < 0 || cuda_engine_launch(c, (uint32_t)rest, addresses, stream, err));
}

// The least of a few runs in ms, the first not counted; algo -1: the kernel's own code.
static bool time_one(CudaEngine *c, uint32_t kernel, int algo, void *addresses, float *least,
                     Error *err)
{
    const char *what = c->what[kernel];
    c->products[kernel].algo = algo;
    *least = 0;
    for (int i = 0; i <= TIMES; i++) {
        float ms;
        if (!cuda_engine_check(c, c->driver.event_record(c->from, c->main), what, err) ||
            !(algo < 0 ? cuda_engine_launch(c, kernel, addresses, c->main, err)
                       : cuda_products_run(c, kernel, false, addresses, c->main, err)) ||
            !cuda_engine_check(c, c->driver.event_record(c->to, c->main), what, err) ||
            !cuda_engine_check(c, c->driver.event_synchronize(c->to), what, err) ||
            !cuda_engine_check(c, c->driver.event_elapsed(&ms, c->from, c->to), what, err))
            return false;
        if (i == 1 || (i && ms < *least)) *least = ms;
    }
    return true;
}

// An algorithm that is refused is none; a GPU that fails with one takes no work any more, and is
// told of here, where it is known with which product.
static bool measure(CudaEngine *c, uint32_t kernel, void *addresses, Error *err)
{
    int best = -1;
    float least, ms;
    if (!time_one(c, kernel, -1, addresses, &least, err)) return false;
    for (int a = 0; a < c->products[kernel].blas.nalgos; a++) {
        Error refused = {0};
        if (time_one(c, kernel, a, addresses, &ms, &refused)) {
            if (ms < least) least = ms, best = a;
        } else if (!cuda_engine_check(c, c->driver.stream_synchronize(c->main), c->what[kernel],
                                      err)) {
            return false;
        }
    }
    c->products[kernel].algo = best;
    return true;
}

// The largest power of two, 256 at most, that divides where all the operands' matrices begin.
static uint32_t alignment_of(const StepProduct *p, const CuPtr *buffers)
{
    const StepMatrix *all[] = {&p->a, &p->b, &p->c, p->added ? &p->sum : &p->bias};
    CuPtr bits = 256;
    for (int i = 0; i < 3 + (p->biased || p->added); i++) {
        int64_t size = czt_dtype_size(i >= 2 ? p->to : p->from);
        bits |= buffers[all[i]->buffer] + (CuPtr)(all[i]->offset * size);
    }
    return (uint32_t)(bits & -bits);
}

// Each use of a kernel may lie on other addresses; the description takes what all of them have.
// How many workspaces they need: a frozen product may run beside another one.
static uint32_t find_uses(CudaEngine *c, void **use, uint32_t *alignment)
{
    uint32_t workspaces = 1;
    for (uint32_t e = 0; e < c->step->nentries; e++) {
        const StepEntry *s = &c->step->entries[e];
        for (uint32_t l = 0, at = 0; l < s->nlaunches; l++)
            for (uint32_t i = 0; i < s->launches[l].n; i++, at++) {
                uint32_t kernel = s->launches[l].segments[i].kernel;
                const StepProduct *p = c->step->kernels[kernel].product;
                if (!p) continue;
                use[kernel] = c->entries[e].parameters[at];
                if (s->launches[l].segments[i].frozen) workspaces = 2;
                uint32_t a = alignment_of(p, use[kernel]);
                if (!alignment[kernel] || a < alignment[kernel]) alignment[kernel] = a;
            }
    }
    return workspaces;
}

typedef struct Chooser {
    CudaEngine *c;
    CudaChoices kept;
    ExecProducts how;
    bool keeps; // there are files
} Chooser;

// Does the library multiply these on this GPU? 8-bit floats from 8.9 on, in whole chunks of 16
// bytes (the fake GPU, 0.0, is like a new one).
static bool is_offered(const CudaDevice *device, const StepProduct *p, uint32_t alignment)
{
    bool bytes = czt_dtype_size(p->from) == 1;
    return !bytes ||
           ((!device->major || 10 * device->major + device->minor >= 89) && alignment >= 16);
}

static bool choose(Chooser *ch, uint32_t kernel, void *addresses, uint32_t alignment, Error *err)
{
    CudaEngine *c = ch->c;
    CudaProduct *p = &c->products[kernel];
    const StepKernel *k = &c->step->kernels[kernel];
    const char *key = cuda_choice_key(c->arena, c->step, c->image, k, alignment);
    Error refused = {0};
    if (ch->how == PRODUCTS_OWN) {
        cuda_choices_keep(&ch->kept, key, NULL, CHOICE_OWN, 1);
        return true;
    }
    if (is_offered(&c->device, k->product, alignment) &&
        !cuda_blas_prepare(&c->blas, k->product, alignment, &p->blas, &refused))
        return ch->how != PRODUCTS_LIBRARY || error_set(err, "%s", refused.text);
    p->algo = p->blas.nalgos ? 0 : -1;
    if (ch->how == PRODUCTS_LIBRARY) cuda_choices_keep(&ch->kept, key, &p->blas, p->algo, 1);
    if (ch->how == PRODUCTS_LIBRARY || !p->blas.nalgos || (ch->how == PRODUCTS_AUTO && !ch->keeps))
        return true;
    int kept =
        ch->how == PRODUCTS_AUTO ? cuda_choices_find(&ch->kept, key, &p->blas) : CHOICE_UNKNOWN;
    if (kept != CHOICE_UNKNOWN) p->algo = kept;
    if (kept == CHOICE_UNKNOWN && !measure(c, kernel, addresses, err)) return false;
    cuda_choices_keep(&ch->kept, key, &p->blas, p->algo, kept == CHOICE_UNKNOWN ? CHOICE_FILES : 1);
    return true;
}

// As many as there is room for: they come on top of what the plan takes, and may be done without.
static bool take_workspaces(CudaEngine *c, uint32_t most, Error *missing)
{
    for (c->workspaces = most; c->workspaces; c->workspaces--) {
        int64_t bytes = (int64_t)c->workspaces * BLAS_WORKSPACE;
        if (!cuda_memory_has(c, bytes) || c->driver.memory_alloc(&c->workspace, (size_t)bytes))
            continue;
        c->base.device.bytes += bytes;
        return true;
    }
    return error_set(missing,
                     "%s: GPU %d (%s) has no %d MiB free beside the plan's memory, which cuBLASLt "
                     "wants to work in",
                     c->step->file, c->base.device.number, c->device.name, BLAS_WORKSPACE >> 20);
}

// The kernels can do all products; where they may, it is told why they do.
static bool without_library(CudaEngine *c, const ExecOptions *options, const Error *missing,
                            Error *err)
{
    if (options->products == PRODUCTS_LIBRARY)
        return error_set(err, "%s; --products own does without", missing->text);
    if (options->products != PRODUCTS_OWN)
        c->base.device.remark =
            str_printf(c->arena,
                       "%s: the program's own kernels do all products (--products own says so "
                       "without this warning); in a run that the library was used for, results "
                       "may differ in their last bits",
                       missing->text);
    return true;
}

bool cuda_products_choose(CudaEngine *c, const ExecOptions *options, Error *err)
{
    Error missing = {0};
    void **use = arena_array(c->arena, void *, c->step->nkernels + 1);
    uint32_t *alignment = arena_array(c->arena, uint32_t, c->step->nkernels + 1);
    for (uint32_t i = 0; i < c->step->nkernels; i++) c->products[i].algo = -1;
    uint32_t n = 0, workspaces = find_uses(c, use, alignment);
    for (uint32_t i = 0; i < c->step->nkernels; i++) n += use[i] != NULL;
    bool own = options->products == PRODUCTS_OWN;
    if (!n || (own && !options->choices[0])) return true; // else that is kept too, for a resume
    if (!cuda_blas_open(&c->blas, &missing) || (!own && !take_workspaces(c, workspaces, &missing)))
        return without_library(c, options, &missing, err);
    Chooser ch = {.c = c, .how = options->products};
    for (int i = 0; i < CHOICE_FILES; i++) ch.keeps |= options->choices[i] != NULL;
    cuda_choices_open(&ch.kept, options->choices,
                      cuda_choices_device(c->arena, &c->device, c->blas.version, c->image));
    ch.kept.stay = options->choices_stay;
    bool ok = true;
    for (uint32_t i = 0; ok && i < c->step->nkernels; i++)
        if (use[i]) ok = choose(&ch, i, use[i], alignment[i], err);
    if (ch.kept.lost)
        c->base.device.remark = "products.json does not say who did which product on this GPU with "
                                "this cuBLASLt: that is "
                                "chosen anew, and results may differ in their last bits";
    return cuda_choices_close(&ch.kept, err) && ok;
}

void cuda_products_free(CudaEngine *c)
{
    for (uint32_t i = 0; c->blas.library && i < c->step->nkernels; i++)
        cuda_blas_release(&c->blas, &c->products[i].blas);
    cuda_blas_close(&c->blas);
}
