// Pass lower: the groups of an entry, in order, become kernels and launches over buffers.
#include "passes/lower.h"

#include "base/map.h"

uint32_t lower_buffer(Lower *lo, Block block, DType dtype, int64_t count, const char *name)
{
    PlanBuffer b = {.block = block, .dtype = dtype, .count = count, .name = name};
    vec_push(lo->arena, &lo->entry->buffers, b);
    return lo->entry->buffers.n - 1;
}

uint32_t lower_constant(Lower *lo, int64_t x)
{
    uint32_t i = 0;
    while (i < lo->plan->constants.n && lo->plan->constants.at[i] != x) i++;
    if (i == lo->plan->constants.n) vec_push(lo->arena, &lo->plan->constants, x);
    while (lo->constant_of.n <= i) vec_push(lo->arena, &lo->constant_of, 0);
    if (lo->constant_of.at[i]) return lo->constant_of.at[i] - 1;
    uint32_t b = lower_buffer(lo, BLOCK_CONST, DT_I64, 1, NULL);
    lo->constant_of.at[i] = b + 1;
    lo->entry->buffers.at[b].offset = (int64_t)sizeof x * i;
    return b;
}

uint32_t lower_node_buffer(Lower *lo, NodeId id)
{
    if (lo->gr->layout->part[id]) return lower_node_buffer(lo, lo->gr->layout->part[id]->whole);
    if (lo->buffer_of[id]) return lo->buffer_of[id] - 1;
    const Node *n = graph_node(lo->gr->graph, id);
    Block block = n->op == OP_INPUT ? BLOCK_INPUT : n->op == OP_STATE ? BLOCK_STATE : BLOCK_SCRATCH;
    if (n->op != OP_INPUT && n->op != OP_STATE && !lo->gr->layout->assembled[id] &&
        !(lo->gr->group_of[id] && lo->gr->stored[id]))
        bug("%s %%%u has no buffer", op_info(n->op)->name, id);
    const char *name = block == BLOCK_SCRATCH ? NULL : node_str(n, ATTR_NAME);
    uint32_t buffer = lower_buffer(lo, block, n->type->dtype, type_count(n->type), name);
    if (block == BLOCK_INPUT) vec_push(lo->arena, &lo->entry->inputs, buffer);
    lo->buffer_of[id] = buffer + 1;
    return buffer;
}

static bool is_copied(const Lower *lo, NodeId id)
{
    OpCode op = graph_node(lo->gr->graph, id)->op;
    return op == OP_INPUT || op == OP_STATE;
}

uint32_t lower_result_buffer(Lower *lo, NodeId id)
{
    const Node *n = graph_node(lo->gr->graph, id);
    if (!is_copied(lo, id)) return lower_node_buffer(lo, id);
    if (!lo->copy_of[id])
        lo->copy_of[id] =
            lower_buffer(lo, BLOCK_SCRATCH, n->type->dtype, type_count(n->type), NULL) + 1;
    return lo->copy_of[id] - 1;
}

void lower_place_result(Lower *lo, NodeId id, uint32_t buffer)
{
    *(is_copied(lo, id) ? &lo->copy_of[id] : &lo->buffer_of[id]) = buffer + 1;
}

int64_t lower_offset(const Lower *lo, NodeId id)
{
    return lo->gr->layout->part[id] ? lo->gr->layout->part[id]->offset : 0;
}

Kernel *lower_kernel(Lower *lo, KernelKind kind, const char *stem, NodeId node)
{
    Kernel *k = arena_make(lo->work, Kernel);
    k->kind = kind;
    k->name = str_printf(lo->work, "%s_%s_%u", lo->entry->name, stem, node);
    index_init(&k->body.index, lo->work);
    index_init(&k->gemm.a.index, lo->work);
    return k;
}

void lower_origins(Lower *lo, Kernel *k, const Group *gp)
{
    for (uint32_t m = 0; m < gp->members.n; m++) {
        const Node *n = graph_node(lo->gr->graph, gp->members.at[m]);
        if (!n->origins.n) continue;
        Loc loc = n->origins.at[0];
        uint32_t i = 0;
        while (i < k->origins.n && memcmp(&k->origins.at[i], &loc, sizeof loc) != 0) i++;
        if (i == k->origins.n && loc.source) vec_push(lo->work, &k->origins, loc);
    }
}

uint32_t lower_intern(Lower *lo, Kernel *k)
{
    const char *text = kernel_text(lo->work, k);
    void *known = map_get(&lo->plan->kernel_index, text);
    if (known) return (uint32_t)((uintptr_t)known - 1);
    lo->keep = true;
    vec_push(lo->arena, &lo->plan->kernels, k);
    map_set(lo->arena, &lo->plan->kernel_index, text, (void *)(uintptr_t)lo->plan->kernels.n);
    return lo->plan->kernels.n - 1;
}

static int64_t traffic(const Kernel *k)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < k->buffers.n; i++)
        bytes += k->buffers.at[i].count * dtype_size(k->buffers.at[i].dtype);
    return bytes;
}

void lower_launch(Lower *lo, Kernel *k, Segment *segment)
{
    lower_windows(lo, k, segment);
    if (k->kind == KERNEL_LOOP) lower_canonical(lo->work, k, segment);
    k->bytes = traffic(k);
    Segment s = *segment;
    memcpy(&s.origins, &k->origins, sizeof k->origins);
    s.kernel = lower_intern(lo, k);
    s.late = lo->late;
    s.buffers.at = arena_copy(lo->arena, s.buffers.at, s.buffers.n * sizeof *s.buffers.at);
    s.from.at = arena_copy(lo->arena, s.from.at, s.from.n * sizeof *s.from.at);
    s.origins.at = arena_copy(lo->arena, s.origins.at, s.origins.n * sizeof *s.origins.at);
    s.buffers.cap = s.buffers.n;
    s.from.cap = s.from.n;
    s.origins.cap = s.origins.n;
    Launch launch = {0};
    vec_push(lo->arena, &launch.segments, s);
    vec_push(lo->arena, &lo->entry->launches, launch);
}

static void lower_entry(Lower *lo)
{
    const Grouping *gr = lo->gr;
    lo->buffer_of = arena_array(lo->arena, uint32_t, gr->graph->nodes.n);
    lo->copy_of = arena_array(lo->arena, uint32_t, gr->graph->nodes.n);
    for (NodeId id = 1; id < gr->graph->nodes.n; id++) // inputs in the order of the graph
        if (lo->layout->live[id] && graph_node(gr->graph, id)->op == OP_INPUT)
            lower_node_buffer(lo, id);
    uint32_t *order, n = groups_order(gr, lo->arena, &order);
    for (uint32_t i = 0; i < n; i++) {
        lo->late = gr->groups.at[order[i]].again;
        lo->work = arena_new();
        lo->keep = false;
        if (gr->groups.at[order[i]].kind == GROUP_LOOP)
            lower_loop(lo, order[i]);
        else
            lower_engine(lo, order[i]);
        if (lo->keep)
            arena_keep(lo->arena, lo->work);
        else
            arena_free(lo->work);
    }
    lo->late = false;
    lo->work = lo->arena;
}

bool pass_lower(Program *p, PassContext *ctx)
{
    for (uint32_t i = 0; i < p->entries.n; i++) lower_entry(&ctx->options->lowering->entries[i]);
    return true;
}

static void plan_state(Plan *plan, const Program *p)
{
    for (uint32_t i = 0; i < p->states.n; i++) {
        const StateVar *s = &p->states.at[i];
        PlanBuffer b = {.block = BLOCK_STATE,
                        .dtype = s->type->dtype,
                        .count = type_count(s->type),
                        .offset = plan->state_bytes,
                        .name = s->name};
        vec_push(plan->arena, &plan->state, b);
        plan->state_bytes += (type_bytes(s->type) + 63) / 64 * 64;
    }
}

void lowering_start(Lowering *l, const Program *p)
{
    Plan *plan = l->plan = arena_make(l->arena, Plan);
    l->planned = false;
    plan->arena = l->arena;
    plan_state(plan, p);
    for (uint32_t i = 0; i < p->entries.n; i++)
        vec_push(l->arena, &plan->entries, (PlanEntry){.name = p->entries.at[i]->name});
    l->entries = arena_array(l->arena, Lower, p->entries.n + 1);
    for (uint32_t i = 0; i < p->entries.n; i++)
        l->entries[i] = (Lower){.arena = l->arena,
                                .plan = plan,
                                .entry = &plan->entries.at[i],
                                .program = p,
                                .target = l->target};
}
