// Ordered ops to kernels: rows along the last axis, operands and results dense in row-major order.
#include "passes/lower.h"

static KernelKind kind_of(OpCode op)
{
    switch (op) {
    case OP_CUMSUM: return KERNEL_CUMSUM;
    case OP_TOPK: return KERNEL_TOPK;
    case OP_NMS: return KERNEL_NMS;
    default: return KERNEL_EIGH;
    }
}

// The buffer of part number `index` of a tuple; where nobody reads the part it gets one all the
// same.
static uint32_t part_buffer(Lower *lo, const Group *gp, const Type *type, int64_t index)
{
    for (uint32_t i = 0; i < gp->members.n; i++) {
        const Node *n = graph_node(lo->gr->graph, gp->members.at[i]);
        if (n->op == OP_PROJ && node_int(n, ATTR_INDEX) == index)
            return lower_node_buffer(lo, gp->members.at[i]);
    }
    const Type *part = type->parts[index];
    return lower_buffer(lo, BLOCK_SCRATCH, part->dtype, type_count(part), NULL);
}

static void results(Build *b, const Group *gp, NodeId id)
{
    const Type *type = graph_type(b->lo->gr->graph, id);
    uint32_t *to = b->kernel->ordered.results;
    if (!type->nparts) {
        to[0] = to[1] = build_slot(b, lower_node_buffer(b->lo, id), true);
        return;
    }
    for (uint32_t i = 0; i < 2; i++) to[i] = build_slot(b, part_buffer(b->lo, gp, type, i), true);
}

static void workspace(Build *b)
{
    const Target *target = b->lo->target;
    DType dt = DT_NONE;
    int64_t count = target->workspace ? target->workspace(b->kernel, &dt) : 0;
    if (!count) return;
    b->kernel->ordered.works = true;
    b->kernel->ordered.work =
        build_slot(b, lower_buffer(b->lo, BLOCK_SCRATCH, dt, count, NULL), true);
}

static int64_t optional_int(const Node *n, AttrKey key)
{
    return op_info(n->op)->attrs & (1u << key) ? node_int(n, key) : 0;
}

void lower_ordered(Lower *lo, uint32_t group)
{
    const Group *gp = &lo->gr->groups.at[group];
    NodeId id = gp->members.at[0];
    const Node *n = graph_node(lo->gr->graph, id);
    const Type *rows = graph_type(lo->gr->graph, n->args[n->nargs - 1]);
    Kernel *k = lower_kernel(lo, kind_of(n->op), op_info(n->op)->name, id);
    lower_origins(lo, k, gp);
    Segment segment = {0};
    Build b = {.lo = lo, .kernel = k, .body = &k->body, .segment = &segment};
    k->ordered.n = rows->axes[rows->rank - 1].size;
    k->ordered.rows = type_count(rows) / k->ordered.n / (n->op == OP_EIGH ? k->ordered.n : 1);
    k->ordered.size = optional_int(n, ATTR_SIZE);
    k->ordered.flag = optional_int(n, ATTR_REVERSE) || optional_int(n, ATTR_RISING);
    if (n->op == OP_NMS) k->ordered.threshold = (float)node_float(n, ATTR_THRESHOLD);
    for (uint32_t i = 0; i < n->nargs; i++) k->ordered.args[i] = lower_dense(&b, n->args[i]);
    results(&b, gp, id);
    workspace(&b);
    k->tasks = lo->target->tasks(lo->target, k);
    lower_launch(lo, k, &segment);
}
