// Pass schedule: results get their places (an update is made in the state's own buffer where nobody
// reads the old value later), and launches that need nothing of each other run side by side.
#include "passes/lower.h"

#include "base/map.h"

// ---- results
// ---------------------------------------------------------------------------------------

static bool segment_touches(const PlanEntry *e, const Plan *plan, uint32_t launch, uint32_t buffer,
                            bool *writes)
{
    bool touches = false;
    *writes = false;
    for (uint32_t s = 0; s < e->launches.at[launch].segments.n; s++) {
        const Segment *seg = &e->launches.at[launch].segments.at[s];
        for (uint32_t i = 0; i < seg->buffers.n; i++)
            if (seg->buffers.at[i] == buffer) {
                touches = true;
                *writes |= plan->kernels.at[seg->kernel]->buffers.at[i].written;
            }
    }
    return touches;
}

// How many sweeps of a row must be over before each instruction has a value; `last` is the number
// of the last sweep.
static const uint32_t *sweeps_before(Arena *arena, const KernelBody *body, uint32_t *last)
{
    uint32_t *depth = arena_array(arena, uint32_t, body->code.n + 1);
    *last = 0;
    for (uint32_t i = 0; i < body->code.n; i++) {
        const KernelInstr *in = &body->code.at[i];
        uint32_t n = in->kind == KI_OP       ? (uint32_t)op_info(in->op)->arity
                     : in->kind == KI_REDUCE ? 1
                     : in->kind == KI_RANDOM ? 3
                                             : 0;
        for (uint32_t a = 0; a < n; a++)
            if (depth[in->args[a]] > depth[i]) depth[i] = depth[in->args[a]];
        if (index_uses_value(&body->index, in->index)) return NULL; // not worth following
        if (in->kind == KI_REDUCE) {
            if (depth[i] > *last) *last = depth[i];
            depth[i]++;
        }
    }
    for (uint32_t i = 0; i < body->stores.n; i++)
        if (depth[body->stores.at[i].value] > *last) *last = depth[body->stores.at[i].value];
    return depth;
}

// In a loop kernel every load of slot `from` must be at the index of the store to slot `to`, which
// must be done in the last sweep, so that no load comes after it.
static bool same_points(Arena *arena, const Kernel *k, uint32_t from, uint32_t to)
{
    if (k->kind != KERNEL_LOOP) return false;
    uint32_t last;
    const uint32_t *depth = sweeps_before(arena, &k->body, &last);
    for (uint32_t s = 0; s < k->body.stores.n; s++) {
        const KernelStore *store = &k->body.stores.at[s];
        if (store->buffer != to) continue;
        if (store->kind != STORE_PLAIN || !depth || depth[store->value] != last) return false;
        for (uint32_t i = 0; i < k->body.code.n; i++) {
            const KernelInstr *in = &k->body.code.at[i];
            if (in->kind == KI_LOAD && in->buffer == from &&
                (in->index != store->index || in->nguards))
                return false;
        }
    }
    return true;
}

static uint32_t state_buffer(Lower *lo, const char *name, DType dtype, int64_t count, bool *known)
{
    for (uint32_t i = 0; i < lo->entry->buffers.n; i++) {
        const PlanBuffer *b = &lo->entry->buffers.at[i];
        if (b->block == BLOCK_STATE && strcmp(b->name, name) == 0) {
            *known = true;
            return i;
        }
    }
    *known = false;
    return lower_buffer(lo, BLOCK_STATE, dtype, count, name);
}

// May `made` (written by one launch) be the state buffer itself? Not when someone reads the old
// value afterwards.
static bool in_place(Lower *lo, uint32_t made, uint32_t state)
{
    const PlanEntry *e = lo->entry;
    uint32_t writer = UINT32_MAX;
    bool writes;
    for (uint32_t l = 0; l < e->launches.n; l++)
        if (segment_touches(e, lo->plan, l, made, &writes) && writes) writer = l;
    for (uint32_t l = writer + 1; l < e->launches.n; l++)
        if (segment_touches(e, lo->plan, l, state, &writes)) return false;
    const Segment *seg = &e->launches.at[writer].segments.at[0];
    const Kernel *k = lo->plan->kernels.at[seg->kernel];
    for (uint32_t i = 0; i < seg->buffers.n; i++)
        for (uint32_t j = 0; j < seg->buffers.n; j++)
            if (seg->buffers.at[i] == state && seg->buffers.at[j] == made &&
                !same_points(lo->arena, k, i, j))
                return false;
    return true;
}

static void rename_buffer(Lower *lo, uint32_t from, uint32_t to)
{
    for (uint32_t l = 0; l < lo->entry->launches.n; l++) {
        Segment *seg = &lo->entry->launches.at[l].segments.at[0];
        for (uint32_t i = 0; i < seg->buffers.n; i++)
            if (seg->buffers.at[i] == from) seg->buffers.at[i] = to;
    }
}

static void copy(Lower *lo, uint32_t from, uint32_t to)
{
    const PlanBuffer *b = &lo->entry->buffers.at[from];
    Kernel *k = lower_kernel(lo, KERNEL_LOOP, "copy", to);
    Segment segment = {0};
    Build build = {.lo = lo, .kernel = k, .body = &k->body, .segment = &segment};
    int64_t inner = b->count;
    while (inner > 8192 && inner % 2 == 0) inner /= 2;
    build_axis(&build, b->count / inner, ROLE_OUTER);
    build_axis(&build, inner, ROLE_INNER);
    IndexPool *pool = &k->body.index;
    IndexId at = index_add(pool, index_mul(pool, index_axis(pool, 0, b->count / inner), inner),
                           index_axis(pool, 1, inner));
    KernelInstr load = {.kind = KI_LOAD, .dtype = b->dtype, .index = at, .axes = 3};
    load.buffer = build_slot(&build, from, false);
    vec_push(lo->arena, &k->body.code, load);
    vec_push(
        lo->arena, &k->body.stores,
        (KernelStore){.kind = STORE_PLAIN, .index = at, .buffer = build_slot(&build, to, true)});
    k->grain = inner < 16384 ? 16384 / inner : 1;
    k->tasks = (b->count / inner + k->grain - 1) / k->grain;
    lower_launch(lo, k, &segment);
}

typedef struct Copies {
    VEC(uint32_t) from, to;
} Copies;

// Let updates and outputs live in their own space where no one reads the old value later; copies
// for the others.
static void place_results(Lower *lo)
{
    const Entry *e = lo->layout->entry;
    bool *taken = arena_array(lo->arena, bool, lo->gr->graph->nodes.n);
    Copies copies = {0};
    for (uint32_t i = 0; i < e->updates.n; i++) {
        NodeId id = e->updates.at[i].node;
        const Type *type = graph_type(lo->gr->graph, id);
        uint32_t made = lower_result_buffer(lo, id);
        bool known;
        uint32_t state =
            state_buffer(lo, e->updates.at[i].name, type->dtype, type_count(type), &known);
        if (!taken[id] && in_place(lo, made, state)) {
            rename_buffer(lo, made, state);
            lower_place_result(lo, id, state);
        } else {
            vec_push(lo->arena, &copies.from, made);
            vec_push(lo->arena, &copies.to, state);
        }
        taken[id] = true;
    }
    for (uint32_t i = 0; i < e->outputs.n; i++) {
        NodeId id = e->outputs.at[i].node;
        const Type *type = graph_type(lo->gr->graph, id);
        uint32_t out =
            lower_buffer(lo, BLOCK_OUTPUT, type->dtype, type_count(type), e->outputs.at[i].name);
        vec_push(lo->arena, &lo->entry->outputs, out);
        uint32_t made = lower_result_buffer(lo, id);
        if (!taken[id]) {
            rename_buffer(lo, made, out);
            lower_place_result(lo, id, out);
        } else {
            vec_push(lo->arena, &copies.from, made);
            vec_push(lo->arena, &copies.to, out);
        }
        taken[id] = true;
    }
    for (uint32_t i = 0; i < copies.from.n; i++) copy(lo, copies.from.at[i], copies.to.at[i]);
}

// ---- launches side by side
// -------------------------------------------------------------------------

enum { LOOK_BACK = 256 };

// Put every launch with the earliest one it may run beside: after the last launch that it conflicts
// with.
static void merge_launches(Lower *lo)
{
    PlanEntry *e = lo->entry;
    uint32_t *written =
                 arena_array(lo->arena, uint32_t, e->buffers.n), // last launch that writes, + 1
        *read = arena_array(lo->arena, uint32_t, e->buffers.n);
    VEC(Launch) out = {0};
    for (uint32_t l = 0; l < e->launches.n; l++) {
        const Segment *seg = &e->launches.at[l].segments.at[0];
        const Kernel *k = lo->plan->kernels.at[seg->kernel];
        uint32_t earliest = out.n > LOOK_BACK ? out.n - LOOK_BACK : 0;
        for (uint32_t i = 0; i < seg->buffers.n; i++) {
            uint32_t b = seg->buffers.at[i];
            if (written[b] > earliest) earliest = written[b];
            if (k->buffers.at[i].written && read[b] > earliest) earliest = read[b];
        }
        bool small = k->kind == KERNEL_LOOP || k->kind == KERNEL_PACK;
        uint32_t at = out.n;
        for (uint32_t o = out.n; small && o-- > earliest;) {
            const Kernel *other = lo->plan->kernels.at[out.at[o].segments.at[0].kernel];
            if (other->kind == KERNEL_LOOP || other->kind == KERNEL_PACK) at = o;
            if (k->kind == KERNEL_PACK) break; // panels are big: no earlier than needed
        }
        if (at == out.n) vec_push(lo->arena, &out, (Launch){0});
        vec_push(lo->arena, &out.at[at].segments, *seg);
        for (uint32_t i = 0; i < seg->buffers.n; i++) {
            uint32_t b = seg->buffers.at[i];
            if (at + 1 > read[b]) read[b] = at + 1;
            if (k->buffers.at[i].written && at + 1 > written[b]) written[b] = at + 1;
        }
    }
    memcpy(&e->launches, &out, sizeof out);
}

bool pass_schedule(Program *p, PassContext *ctx)
{
    for (uint32_t i = 0; i < p->entries.n; i++) {
        place_results(&ctx->options->lowering->entries[i]);
        merge_launches(&ctx->options->lowering->entries[i]);
    }
    return true;
}
