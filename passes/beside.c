// What frozen teachers compute waits for nobody but the batch: it is a stream of its own beside the
// student's forward pass. A segment is of it that reads state which is not trained, nor made of
// what is, or what such a segment wrote, and nothing that depends on trained state; and what
// depends on inputs alone, where all who read it are of it.
#include "passes/beside.h"

typedef struct Use {
    uint32_t segment;
    int64_t from, to; // elements
    bool written;
} Use;

typedef VEC(Use) Uses;
typedef VEC(uint32_t) Numbers;

struct Sequence {
    uint32_t words;
    uint64_t *before; // segment, numbered in the plan's order -> bits of those that come before it
    uint64_t *all;    // buffer -> bits of those that come before all that touch it
    Numbers *users;   // buffer -> segments that touch it
};

typedef enum { FROM_INPUTS, FROM_FROZEN, FROM_TRAINED } Source;

// ---- streams ------------------------------------------------------------------------------------

// What a state variable is made from; "$derived.bf16.NAME" (or tf32) is made from NAME.
static Source state_source(const Program *p, const char *name)
{
    static const char shadow[] = "$derived.";
    const StateVar *s = program_find_state(p, name);
    if (s && s->kind == STATE_DERIVED && !strncmp(name, shadow, sizeof shadow - 1)) {
        const char *of = strchr(name + sizeof shadow - 1, '.');
        const StateVar *master = of ? program_find_state(p, of + 1) : NULL;
        if (master) s = master;
    }
    if (!s) return FROM_TRAINED;
    bool constant = s->kind == STATE_PARAM || s->kind == STATE_FROZEN || s->kind == STATE_DERIVED;
    return (constant && !s->trainable) || s->kind == STATE_EMA ? FROM_FROZEN : FROM_TRAINED;
}

typedef struct Frozen {
    Lower *lo;
    Source *source; // by buffer: what its elements depend on so far
    bool *others;   // by buffer: somebody reads it who is not frozen
    uint32_t n;     // segments that are frozen
} Frozen;

static bool reads(const Frozen *f, const Segment *seg, uint32_t i)
{
    const Kernel *k = f->lo->plan->kernels.at[seg->kernel];
    return !k->buffers.at[i].written ||
           f->lo->entry->buffers.at[seg->buffers.at[i]].block == BLOCK_STATE;
}

static void mark(Frozen *f, Segment *seg)
{
    const Kernel *k = f->lo->plan->kernels.at[seg->kernel];
    Source all = FROM_INPUTS;
    for (uint32_t i = 0; i < seg->buffers.n; i++)
        if (reads(f, seg, i) && f->source[seg->buffers.at[i]] > all)
            all = f->source[seg->buffers.at[i]];
    for (uint32_t i = 0; i < seg->buffers.n; i++)
        if (k->buffers.at[i].written && f->source[seg->buffers.at[i]] < all)
            f->source[seg->buffers.at[i]] = all;
    seg->frozen = all == FROM_FROZEN;
    for (uint32_t i = 0; i < seg->buffers.n; i++)
        if (all == FROM_TRAINED && reads(f, seg, i)) f->others[seg->buffers.at[i]] = true;
}

// From the last segment on: what depends on inputs and is read by frozen segments alone.
static void mark_inputs(Frozen *f, Segment *seg)
{
    const Kernel *k = f->lo->plan->kernels.at[seg->kernel];
    bool plain = true, others = false;
    for (uint32_t i = 0; i < seg->buffers.n; i++) {
        uint32_t b = seg->buffers.at[i];
        plain &= !reads(f, seg, i) || f->source[b] == FROM_INPUTS;
        others |= k->buffers.at[i].written &&
                  (f->others[b] || f->lo->entry->buffers.at[b].block != BLOCK_SCRATCH);
    }
    if (plain) seg->frozen = !others;
    for (uint32_t i = 0; i < seg->buffers.n; i++)
        if (!seg->frozen && reads(f, seg, i)) f->others[seg->buffers.at[i]] = true;
    f->n += seg->frozen;
}

// Mark frozen segments; how many there are.
static uint32_t find_frozen(Lower *lo)
{
    const PlanEntry *e = lo->entry;
    Frozen f = {.lo = lo};
    bool any = false;
    f.source = arena_array(lo->arena, Source, e->buffers.n + 1);
    f.others = arena_array(lo->arena, bool, e->buffers.n + 1);
    for (uint32_t i = 0; i < e->buffers.n; i++)
        if (e->buffers.at[i].block == BLOCK_STATE)
            f.source[i] = state_source(lo->program, e->buffers.at[i].name);
    for (uint32_t l = 0; l < e->launches.n; l++)
        for (uint32_t s = 0; s < e->launches.at[l].segments.n; s++) {
            mark(&f, &e->launches.at[l].segments.at[s]);
            any |= e->launches.at[l].segments.at[s].frozen;
        }
    for (uint32_t l = e->launches.n; any && l-- > 0;)
        for (uint32_t s = 0; s < e->launches.at[l].segments.n; s++)
            mark_inputs(&f, &e->launches.at[l].segments.at[s]);
    return f.n;
}

// ---- order --------------------------------------------------------------------------------------

static void join(const Sequence *q, uint64_t *mine, uint32_t segment)
{
    const uint64_t *theirs = q->before + (size_t)segment * q->words;
    for (uint32_t w = 0; w < q->words; w++) mine[w] |= theirs[w];
    mine[segment / 64] |= UINT64_C(1) << segment % 64;
}

static void follow(const Sequence *q, const Use *use, const Uses *earlier)
{
    uint64_t *mine = q->before + (size_t)use->segment * q->words;
    for (uint32_t i = 0; i < earlier->n; i++) {
        const Use *u = &earlier->at[i];
        bool known = mine[u->segment / 64] >> u->segment % 64 & 1;
        if (known || (!u->written && !use->written) || u->from >= use->to || use->from >= u->to)
            continue;
        join(q, mine, u->segment);
    }
}

static void find_all(Sequence *q, uint32_t buffers, Arena *arena)
{
    q->all = arena_array(arena, uint64_t, (size_t)buffers * q->words + 1);
    for (uint32_t b = 0; b < buffers; b++)
        for (uint32_t i = 0; i < q->users[b].n; i++) {
            const uint64_t *before = q->before + (size_t)q->users[b].at[i] * q->words;
            uint64_t *all = q->all + (size_t)b * q->words;
            for (uint32_t w = 0; w < q->words; w++) all[w] = i ? all[w] & before[w] : before[w];
        }
}

Sequence *sequence_of(Lower *lo)
{
    const PlanEntry *e = lo->entry;
    uint32_t n = 0, s = 0, frozen = find_frozen(lo);
    for (uint32_t l = 0; l < e->launches.n; l++) n += e->launches.at[l].segments.n;
    if (!frozen || frozen == n) return NULL;
    Sequence *q = arena_make(lo->arena, Sequence);
    q->words = n / 64 + 1;
    q->before = arena_array(lo->arena, uint64_t, (size_t)n * q->words);
    q->users = arena_array(lo->arena, Numbers, e->buffers.n + 1);
    Uses *uses = arena_array(lo->arena, Uses, e->buffers.n + 1);
    uint64_t *stream = arena_array(lo->arena, uint64_t, 2 * (size_t)q->words); // all of it so far
    for (uint32_t l = 0; l < e->launches.n; l++) {
        const Launch *launch = &e->launches.at[l];
        for (uint32_t i = 0; i < launch->segments.n; i++, s++) {
            const Segment *seg = &launch->segments.at[i];
            const Kernel *k = lo->plan->kernels.at[seg->kernel];
            memcpy(q->before + (size_t)s * q->words, stream + seg->frozen * q->words,
                   q->words * sizeof *stream);
            for (uint32_t b = 0; b < seg->buffers.n; b++) {
                const KernelBuffer *slot = &k->buffers.at[b];
                Use use = {s, seg->from.at[b], seg->from.at[b] + slot->count, slot->written};
                follow(q, &use, &uses[seg->buffers.at[b]]);
                vec_push(lo->arena, &uses[seg->buffers.at[b]], use);
                vec_push(lo->arena, &q->users[seg->buffers.at[b]], s);
            }
        }
        for (uint32_t i = 0; i < launch->segments.n; i++)
            join(q, stream + launch->segments.at[i].frozen * q->words, s - launch->segments.n + i);
    }
    find_all(q, e->buffers.n, lo->arena);
    return q;
}

bool sequence_after(const Sequence *q, uint32_t x, uint32_t y)
{
    const uint64_t *before = q->all + (size_t)y * q->words;
    for (uint32_t i = 0; i < q->users[x].n; i++) {
        uint32_t s = q->users[x].at[i];
        if (!(before[s / 64] >> s % 64 & 1)) return false;
    }
    return true;
}
