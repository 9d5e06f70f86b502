// Pass schedule: results get their places (an update is made in the state's own buffer where nobody
// reads the old value later), and launches that need nothing of each other run side by side; where
// a target does kernels of any size by one function, these are brought together.
#include "passes/lower.h"

#include "base/map.h"

// ---- results
// ---------------------------------------------------------------------------------------

typedef VEC(uint32_t) Launches; // rising

// Binding results to their places, while every launch has one segment.
typedef struct Results {
    Lower *lo;
    Map states;         // name -> its buffer + 1
    Launches *touching; // buffer -> launches that read or write it
} Results;

static const Segment *segment_of(const PlanEntry *e, uint32_t launch)
{
    return &e->launches.at[launch].segments.at[0];
}

static Results results_begin(Lower *lo)
{
    const PlanEntry *e = lo->entry;
    const Entry *from = lo->layout->entry;
    uint32_t most = e->buffers.n + 2 * (from->updates.n + from->outputs.n); // places and copies
    Results r = {.lo = lo, .touching = arena_array(lo->arena, Launches, most + 1)};
    for (uint32_t i = 0; i < e->buffers.n; i++)
        if (e->buffers.at[i].block == BLOCK_STATE)
            map_set(lo->arena, &r.states, e->buffers.at[i].name, (void *)(uintptr_t)(i + 1));
    for (uint32_t l = 0; l < e->launches.n; l++) {
        const Segment *seg = segment_of(e, l);
        for (uint32_t i = 0; i < seg->buffers.n; i++) {
            Launches *all = &r.touching[seg->buffers.at[i]];
            if (!all->n || all->at[all->n - 1] != l) vec_push(lo->arena, all, l);
        }
    }
    return r;
}

static bool launch_writes(const Lower *lo, uint32_t launch, uint32_t buffer)
{
    const Segment *seg = segment_of(lo->entry, launch);
    for (uint32_t i = 0; i < seg->buffers.n; i++)
        if (seg->buffers.at[i] == buffer &&
            lo->plan->kernels.at[seg->kernel]->buffers.at[i].written)
            return true;
    return false;
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

static uint32_t state_buffer(Results *r, const char *name, const Type *type)
{
    uintptr_t known = (uintptr_t)map_get(&r->states, name);
    if (known) return (uint32_t)known - 1;
    uint32_t b = lower_buffer(r->lo, BLOCK_STATE, type->dtype, type_count(type), name);
    map_set(r->lo->arena, &r->states, name, (void *)(uintptr_t)(b + 1));
    return b;
}

// May `made` (written by one launch) be the state buffer itself? Not when someone reads the old
// value afterwards.
static bool in_place(const Results *r, uint32_t made, uint32_t state)
{
    const Launches *makers = &r->touching[made], *users = &r->touching[state];
    uint32_t i = makers->n;
    while (i && !launch_writes(r->lo, makers->at[i - 1], made)) i--;
    if (!i) bug("no launch writes a result");
    uint32_t writer = makers->at[i - 1];
    if (users->n && users->at[users->n - 1] > writer) return false;
    const Segment *seg = segment_of(r->lo->entry, writer);
    const Kernel *k = r->lo->plan->kernels.at[seg->kernel];
    for (uint32_t a = 0; a < seg->buffers.n; a++)
        for (uint32_t b = 0; b < seg->buffers.n; b++)
            if (seg->buffers.at[a] == state && seg->buffers.at[b] == made &&
                (seg->from.at[a] != seg->from.at[b] || !same_points(r->lo->arena, k, a, b)))
                return false;
    return true;
}

static void rename_buffer(Results *r, uint32_t from, uint32_t to)
{
    const Launches x = r->touching[from], y = r->touching[to];
    Launches both = {0};
    for (uint32_t k = 0; k < x.n; k++) {
        const Segment *seg = segment_of(r->lo->entry, x.at[k]);
        for (uint32_t i = 0; i < seg->buffers.n; i++)
            if (seg->buffers.at[i] == from) seg->buffers.at[i] = to;
    }
    for (uint32_t i = 0, j = 0; i < x.n || j < y.n;) {
        uint32_t a = i < x.n ? x.at[i] : UINT32_MAX, b = j < y.n ? y.at[j] : UINT32_MAX;
        vec_push(r->lo->arena, &both, a < b ? a : b);
        i += a <= b;
        j += b <= a;
    }
    r->touching[to] = both;
    r->touching[from] = (Launches){0};
}

static void copy(Lower *lo, uint32_t from, uint32_t to)
{
    const PlanBuffer *b = &lo->entry->buffers.at[from];
    Kernel *k = lower_kernel(lo, KERNEL_LOOP, "copy", to);
    Segment segment = {0};
    Build build = {.lo = lo, .kernel = k, .body = &k->body, .segment = &segment};
    int64_t inner = lower_inner(b->count);
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
    Results r = results_begin(lo);
    for (uint32_t i = 0; i < e->updates.n; i++) {
        NodeId id = e->updates.at[i].node;
        uint32_t made = lower_result_buffer(lo, id);
        uint32_t state = state_buffer(&r, e->updates.at[i].name, graph_type(lo->gr->graph, id));
        if (!taken[id] && in_place(&r, made, state)) {
            rename_buffer(&r, made, state);
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
            rename_buffer(&r, made, out);
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
        if (seg->late && out.n > earliest + 1) earliest = out.n - 1;
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

// ---- like launches together ---------------------------------------------------------------------

// What may live on so that its reader can go later: a column sum of partials of a wide matrix, say.
enum { SMALL_BYTES = 1 << 24 };

// Of a buffer: the launches behind the one looked at that touch it, and those that write it.
typedef struct Later {
    Launches touch, write; // falling
} Later;

static void note_launch(Lower *lo, Launches *all, uint32_t launch)
{
    uint32_t i = all->n;
    vec_push(lo->arena, all, launch);
    for (; i && all->at[i - 1] < launch; i--) all->at[i] = all->at[i - 1];
    all->at[i] = launch;
}

static void note_segment(Lower *lo, Later *later, const Segment *seg, uint32_t launch)
{
    const Kernel *k = lo->plan->kernels.at[seg->kernel];
    for (uint32_t i = 0; i < seg->buffers.n; i++) {
        note_launch(lo, &later[seg->buffers.at[i]].touch, launch);
        if (k->buffers.at[i].written) note_launch(lo, &later[seg->buffers.at[i]].write, launch);
    }
}

// The latest launch that the segment of launch l may be in: before the first that needs it over,
// and no later than the last other use of what it reads, which would have to be kept for it.
static uint32_t latest_launch(const Lower *lo, uint32_t l, const Segment *seg, const Later *later)
{
    const PlanEntry *e = lo->entry;
    const Kernel *k = lo->plan->kernels.at[seg->kernel];
    uint32_t latest = e->launches.n - 1;
    for (uint32_t i = 0; i < seg->buffers.n; i++) {
        const Later *of = &later[seg->buffers.at[i]];
        const Launches *against = k->buffers.at[i].written ? &of->touch : &of->write;
        if (against->n && against->at[against->n - 1] <= latest)
            latest = against->at[against->n - 1] - 1;
    }
    for (uint32_t i = 0; i < seg->buffers.n && latest > l; i++) {
        const PlanBuffer *b = &e->buffers.at[seg->buffers.at[i]];
        if (b->block != BLOCK_SCRATCH || b->count * dtype_size(b->dtype) <= SMALL_BYTES) continue;
        if (k->buffers.at[i].written) continue;
        const Launches *uses = &later[seg->buffers.at[i]].touch;
        uint32_t use = uses->n ? uses->at[0] : l;
        if (use < latest) latest = use;
    }
    return latest;
}

// Kernels of one function for all sizes go as late as they may, where they meet: the sums of
// squares of all gradients, say.
static void gather_launches(Lower *lo)
{
    PlanEntry *e = lo->entry;
    if (!lo->target->any_size) return;
    Later *later = arena_array(lo->arena, Later, e->buffers.n + 1);
    for (uint32_t l = e->launches.n; l-- > 0;) {
        Launch *launch = &e->launches.at[l], stay = {0};
        for (uint32_t s = 0; s < launch->segments.n; s++) {
            Segment seg = launch->segments.at[s];
            bool moves = lo->target->any_size(lo->plan->kernels.at[seg.kernel]);
            uint32_t to = moves ? latest_launch(lo, l, &seg, later) : l;
            vec_push(lo->arena, to == l ? &stay.segments : &e->launches.at[to].segments, seg);
            if (to > l) note_segment(lo, later, &seg, to);
        }
        launch->segments.n = 0;
        for (uint32_t s = 0; s < stay.segments.n; s++)
            vec_push(lo->arena, &launch->segments, stay.segments.at[s]);
        for (uint32_t s = 0; s < stay.segments.n; s++)
            note_segment(lo, later, &stay.segments.at[s], l);
    }
    uint32_t n = 0;
    for (uint32_t l = 0; l < e->launches.n; l++)
        if (e->launches.at[l].segments.n) e->launches.at[n++] = e->launches.at[l];
    e->launches.n = n;
}

bool pass_schedule(Program *p, PassContext *ctx)
{
    for (uint32_t i = 0; i < p->entries.n; i++) {
        place_results(&ctx->options->lowering->entries[i]);
        merge_launches(&ctx->options->lowering->entries[i]);
        gather_launches(&ctx->options->lowering->entries[i]);
    }
    return true;
}
