// The rule of batch axes (docs/ir.md): before autodiff, only batch_gather and reductions that say
// so (cross) may mix samples. Shape rules let these ops through, because gradients need them.
#include "ir/program.h"

typedef struct BatchCheck {
    const Graph *g;
    NodeId id;
    bool ok, alone; // alone: what pairs samples though no operand has any
    MixFn *fn;
    void *of;
} BatchCheck;

static void report(BatchCheck *c, const Type *type, uint32_t axis, const char *help)
{
    Arena *scratch = arena_new();
    const char *op = op_info(graph_node(c->g, c->id)->op)->name;
    c->fn(c->of, c->id,
          str_printf(scratch, "%s: mixes samples: axis %u of %s is a batch axis", op, axis,
                     type_text(scratch, type)),
          help);
    arena_free(scratch);
    c->ok = false;
}

static const char sum_help[] = "batch_sum and batch_mean add over the whole batch";
static const char gather_help[] = "batch_gather makes the whole batch a plain axis";

static uint32_t batch_axes(const Type *type)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < type->rank; i++) count += type->axes[i].per > 0;
    return count;
}

// Axes of operand `arg` listed by the attribute. Where that pairs samples it was reported.
static void check_list(BatchCheck *c, const Node *n, uint32_t arg, AttrKey key, const char *help)
{
    uint32_t count;
    const Type *x = graph_type(c->g, n->args[arg]);
    const int64_t *axes = node_ints(n, key, &count);
    if (batch_axes(x) > 1) return;
    for (uint32_t i = 0; i < count; i++)
        if (x->axes[axes[i]].per) report(c, x, (uint32_t)axes[i], help);
}

static void check_one(BatchCheck *c, const Node *n, uint32_t arg, int64_t axis, const char *help)
{
    const Type *x = graph_type(c->g, n->args[arg]);
    if (x->axes[axis].per) report(c, x, (uint32_t)axis, help);
}

// Batch axes of the operand that the result no longer has at the same place.
static void check_kept(BatchCheck *c, const Node *n)
{
    const Type *x = graph_type(c->g, n->args[0]);
    for (uint32_t i = 0; i < x->rank; i++)
        if (x->axes[i].per && !n->type->axes[i].per) report(c, x, i, gather_help);
}

static void check_indexed(BatchCheck *c, const Node *n)
{
    int64_t shared = node_int(n, ATTR_BATCH);
    if (n->op == OP_GATHER) {
        check_one(c, n, 0, shared, gather_help);
        return;
    }
    for (int64_t i = shared; i < graph_type(c->g, n->args[0])->rank; i++)
        check_one(c, n, 0, i, gather_help);
}

// Two batch axes in one tensor pair samples with samples; reported where they first meet. What is
// of no sample itself, as a constant of that shape, takes the shape from elsewhere.
static void check_pairs(BatchCheck *c, const Node *n)
{
    uint32_t last = n->type->rank, most = 0;
    if (batch_axes(n->type) < 2) return;
    for (uint32_t i = 0; i < n->nargs; i++) {
        const uint32_t axes = batch_axes(graph_type(c->g, n->args[i]));
        if (axes > most) most = axes;
    }
    if (most > 1 || (most == 0) != c->alone) return;
    while (!n->type->axes[last - 1].per) last--;
    report(c, n->type, last - 1, "use batch_gather on one side of what pairs samples with samples");
}

static void check_node(BatchCheck *c, const Node *n)
{
    switch (n->op) {
    case OP_SUM:
    case OP_REDUCE_MAX:
    case OP_REDUCE_MIN:
        if (!node_int(n, ATTR_CROSS)) check_list(c, n, 0, ATTR_AXES, sum_help);
        break;
    case OP_LOGSUMEXP: check_list(c, n, 0, ATTR_AXES, gather_help); break;
    case OP_REVERSE: check_list(c, n, 0, ATTR_AXES, gather_help); break;
    case OP_ARGMAX: check_one(c, n, 0, node_int(n, ATTR_AXIS), gather_help); break;
    case OP_DOT: check_list(c, n, 0, ATTR_LCONTRACT, sum_help); break;
    case OP_CUMSUM:
    case OP_TOPK: check_one(c, n, 0, graph_type(c->g, n->args[0])->rank - 1, gather_help); break;
    case OP_NMS: check_one(c, n, 1, graph_type(c->g, n->args[1])->rank - 1, gather_help); break;
    case OP_CONCAT:
        for (uint32_t i = 0; i < n->nargs; i++)
            check_one(c, n, i, node_int(n, ATTR_AXIS), gather_help);
        break;
    case OP_SLICE:
    case OP_PAD: check_kept(c, n); break;
    case OP_GATHER:
    case OP_SCATTER_ADD: check_indexed(c, n); break;
    default: break;
    }
    check_pairs(c, n);
}

bool entry_each_mix(const Entry *e, MixFn *fn, void *of)
{
    BatchCheck c = {.g = e->graph, .ok = true, .fn = fn, .of = of};
    for (c.id = 1; c.id < c.g->nodes.n; c.id++) check_node(&c, graph_node(c.g, c.id));
    c.alone = true;
    for (c.id = 1; c.ok && c.id < c.g->nodes.n; c.id++) check_pairs(&c, graph_node(c.g, c.id));
    return c.ok;
}

bool node_each_mix(const Graph *g, NodeId id, MixFn *fn, void *of)
{
    BatchCheck c = {.g = g, .id = id, .ok = true, .fn = fn, .of = of};
    check_node(&c, graph_node(g, id));
    return c.ok;
}

typedef struct Report {
    const Graph *g;
    Diag *diag;
} Report;

static void to_diag(void *of, NodeId id, const char *text, const char *help)
{
    const Report *r = of;
    const Node *n = graph_node(r->g, id);
    const Loc loc = n->origins.n ? n->origins.at[0] : (Loc){0};
    if (loc.source)
        diag_error(r->diag, loc, "%s", text);
    else
        diag_error(r->diag, loc, "node %%%u, %s", id, text);
    diag_help(r->diag, "%s", help);
}

bool entry_check_batch(const Entry *e, Diag *diag)
{
    return entry_each_mix(e, to_diag, &(Report){e->graph, diag});
}
