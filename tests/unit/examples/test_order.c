// The edges of a GPU's graph are all that keeps its kernels in order, and memory is used again and
// again: over the step files of all graphs, who wrote a byte last, and who has read it since, must
// come before whoever touches it next. Found here byte range by byte range in the plan's order,
// without what runtime/order.c makes its edges of.
#include "codegen/backend.h"
#include "passes/lower.h"
#include "runtime/order.h"
#include "steps.h"

#include <criterion/criterion.h>
#include <glob.h>
#include <string.h>

// Bytes that a node wrote, or read since they were written.
typedef struct Range {
    int64_t begin, end;
    uint32_t node;
    const StepSegment *segment;
} Range;
typedef VEC(Range) Ranges;

typedef struct Walk {
    Arena *arena;
    const Step *step;
    const StepEntry *entry;
    const Order *order;
    bool *before; // n x n: does node j come before node i
    Ranges written[SPACES], read[SPACES];
    uint32_t pairs, failures;
    int64_t reused; // bytes written over
} Walk;

// Every node that is reached through edges.
static void close_edges(Walk *w)
{
    uint32_t n = w->order->n;
    w->before = arena_array(w->arena, bool, (size_t)n *n + 1);
    for (uint32_t i = 0; i < n; i++) {
        const OrderNode *node = &w->order->nodes[i];
        for (uint32_t a = 0; a < node->nafter; a++) {
            uint32_t from = node->after[a];
            cr_assert(from < i, "an edge leads back");
            w->before[(size_t)i * n + from] = true;
            for (uint32_t j = 0; j < from; j++)
                w->before[(size_t)i * n + j] |= w->before[(size_t)from * n + j];
        }
    }
}

static const char *name_of(const Walk *w, const StepSegment *s)
{
    return w->step->kernels[s->kernel].name;
}

// A kernel alone may read where it writes; segments of one node go on at the same time.
static void expect_before(Walk *w, const Range *first, const Range *then, const char *what)
{
    if (first->segment == then->segment) return;
    w->pairs++;
    bool good = w->before[(size_t)then->node * w->order->n + first->node];
    if (good || w->failures++ > 3) return;
    cr_expect(good, "%s, %s: bytes %lld to %lld: %s (node %u) does not wait for %s (node %u), %s",
              w->step->file, w->entry->name, (long long)then->begin, (long long)then->end,
              name_of(w, then->segment), then->node, name_of(w, first->segment), first->node, what);
}

// Every range in the list that meets X must be before it; with CUT, what of it X covers is gone.
// How many bytes of X are covered.
static int64_t meet(Walk *w, Ranges *list, const Range *x, bool cut, const char *what)
{
    int64_t covered = 0;
    for (uint32_t i = 0; i < list->n;) {
        Range r = list->at[i];
        if (r.end <= x->begin || x->end <= r.begin) {
            i++;
            continue;
        }
        expect_before(w, &r, x, what);
        covered += (r.end < x->end ? r.end : x->end) - (r.begin > x->begin ? r.begin : x->begin);
        if (!cut) {
            i++;
            continue;
        }
        Range left = r, right = r;
        left.end = x->begin;
        right.begin = x->end;
        list->at[i] = list->at[--list->n];
        // Pieces lie outside of X: that they are seen again does no harm.
        if (left.begin < left.end) vec_push(w->arena, list, left);
        if (right.begin < right.end) vec_push(w->arena, list, right);
    }
    return covered;
}

static void touch(Walk *w, uint32_t node, const StepSegment *s, uint32_t buffer, bool writes)
{
    const StepBuffer *b = &s->buffers[buffer];
    const StepExtent *e = &w->step->kernels[s->kernel].extents[buffer];
    if (b->space == SPACE_CONST || !e->bytes || e->written != writes) return;
    Range x = {b->offset, b->offset + e->bytes, node, s};
    int64_t covered = meet(w, &w->written[b->space], &x, writes, "which wrote them");
    if (!writes) {
        cr_expect(b->space != SPACE_SCRATCH || covered == e->bytes,
                  "%s, %s: %s reads bytes from %lld on that nobody wrote", w->step->file,
                  w->entry->name, name_of(w, s), (long long)b->offset);
        vec_push(w->arena, &w->read[b->space], x);
        return;
    }
    meet(w, &w->read[b->space], &x, true, "which reads them");
    vec_push(w->arena, &w->written[b->space], x);
    w->reused += covered;
}

// Segments in the order of the plan, each within the node that it was put into.
static void walk(Walk *w)
{
    close_edges(w);
    uint32_t number = 0, found = 0;
    for (uint32_t l = 0; l < w->entry->nlaunches; l++)
        for (uint32_t i = 0; i < w->entry->launches[l].n; i++, number++) {
            const StepSegment *s = &w->entry->launches[l].segments[i];
            for (uint32_t n = 0; n < w->order->n; n++)
                for (uint32_t k = 0; k < w->order->nodes[n].n; k++) {
                    if (w->order->nodes[n].segments[k] != s) continue;
                    cr_expect_eq(w->order->nodes[n].numbers[k], number);
                    found++;
                    for (uint32_t b = 0; b < s->nbuffers; b++) touch(w, n, s, b, false);
                    for (uint32_t b = 0; b < s->nbuffers; b++) touch(w, n, s, b, true);
                }
        }
    cr_expect_eq(found, number, "%s: %u of %u segments are in nodes", w->step->file, found, number);
}

// Nodes of a library's kernels, which share its workspace, one after the other; frozen ones have a
// workspace of their own, and most of them wait for no other.
static void one_at_a_time(const Walk *w, const bool *alone)
{
    uint32_t last[2] = {UINT32_MAX, UINT32_MAX}, frozen = 0, waiting = 0;
    for (uint32_t i = 0; i < w->order->n; i++) {
        const OrderNode *n = &w->order->nodes[i];
        if (!alone[n->segments[0]->kernel]) continue;
        uint32_t before = last[n->frozen], other = last[!n->frozen];
        cr_expect(before == UINT32_MAX || w->before[(size_t)i * w->order->n + before],
                  "%s: two products of the library at once", w->step->file);
        frozen += n->frozen;
        waiting += n->frozen && other != UINT32_MAX && w->before[(size_t)i * w->order->n + other];
        last[n->frozen] = i;
    }
    cr_expect_leq(4 * waiting, frozen, "%s: of %u frozen products %u wait for others",
                  w->step->file, frozen, waiting);
}

// A step file for GPUs, without their code.
static Step *compile(Arena *arena, const Source *source)
{
    Backend backend;
    Code code;
    CompileStats stats;
    Error err = {0};
    Section *sections;
    size_t size;
    cr_assert(backend_open(arena, "cuda:text", &backend, &err), "%s", err.text);
    Program *p = steps_program(arena, source);
    const Plan *plan = plan_build(arena, p, backend.target, FUSE_ALL);
    cr_assert(backend_compile(&backend, arena, plan, 1, &code, &stats, &err), "%s", err.text);
    uint32_t n = step_sections(arena, p, plan, &code, &sections);
    const uint8_t *bytes = container_build(arena, sections, n, &size);
    Step *step = step_load_memory(strrchr(source->path, '/') + 1, bytes, size, &err);
    cr_assert(step, "%s", err.text);
    return step;
}

// How many pairs of accesses were held to their order.
static uint32_t check_graph(const Source *source)
{
    Arena *arena = arena_new();
    Step *step = compile(arena, source);
    uint32_t pairs = 0;
    for (int library = 0; library < 2; library++) {
        bool *alone = arena_array(arena, bool, step->nkernels + 1);
        for (uint32_t i = 0; i < step->nkernels; i++)
            alone[i] = library && step->kernels[i].product;
        int64_t reused = 0;
        for (uint32_t i = 0; i < step->nentries; i++) {
            Order order;
            order_find(arena, step, &step->entries[i], alone, true, &order);
            Walk w = {.arena = arena, .step = step, .entry = &step->entries[i], .order = &order};
            walk(&w);
            one_at_a_time(&w, alone);
            pairs += w.pairs;
            reused += w.reused;
        }
        cr_expect(reused > 0, "%s: no memory is used again", step->file);
    }
    step_free(step);
    arena_free(arena);
    return pairs;
}

static void check_graphs(const char *pattern, bool check, const char *set, uint32_t nset)
{
    glob_t g;
    cr_assert_eq(glob(pattern, 0, NULL, &g), 0);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        uint32_t pairs = check_graph(&(Source){g.gl_pathv[i], &set, nset, check});
        cr_expect(pairs > 500, "%s: only %u pairs", g.gl_pathv[i], pairs);
    }
    globfree(&g);
}

Test(order, complete_graphs)
{
    check_graphs(CZT_SOURCE_DIR "/graphs/*.yaml", true, NULL, 0);
}

Test(order, benchmarks)
{
    check_graphs(CZT_SOURCE_DIR "/graphs/bench/*.yaml", false, "precision=bf16", 1);
}
