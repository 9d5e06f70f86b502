// What makes a value: a sum over the nodes below it, by which a file made of the value says of what
// it is, and the frozen state that it is computed from. It is the same in every program of the
// value, whatever else they have, for any size of the batch and precision: sizes of a node's result
// are left out, but those of inputs and state, and places along axes of the batch, and so are views
// that move elements alone, which the builder folds here and there.
#include "frontend/elab.h"

#include <stdlib.h>

static const char *relative(const char *name, const char *below)
{
    size_t n = strlen(below);
    return strncmp(name, below, n) == 0 && name[n] == '.' ? name + n : name;
}

static uint64_t leaf_sum(const Node *n, const char *below)
{
    uint64_t sum = hash_str(hash_u64(0, n->type->dtype), relative(node_str(n, ATTR_NAME), below));
    for (uint32_t i = 0; i < n->type->rank; i++) {
        const Axis *a = &n->type->axes[i];
        sum = hash_u64(hash_u64(sum, (uint64_t)a->per), a->per ? 0 : (uint64_t)a->size);
    }
    return sum;
}

static uint64_t attr_sum(uint64_t sum, const Attr *a)
{
    switch (attr_kind(a->key)) {
    case KIND_INT: return hash_u64(sum, (uint64_t)a->i);
    case KIND_FLOAT: return hash_bytes(sum, &a->f, sizeof a->f);
    case KIND_STR: return hash_str(sum, a->s);
    case KIND_DTYPE: return hash_u64(sum, a->dtype);
    case KIND_INTS:
        for (uint32_t i = 0; i < a->ints.n; i++) sum = hash_u64(sum, (uint64_t)a->ints.at[i]);
        return sum;
    case KIND_AXES: return sum;
    }
    return sum;
}

// Where a slice, a pad or a skew begins and ends, an axis of the operand each: along those of the
// batch it says how large that is.
static bool is_by_axis(AttrKey key)
{
    return key == ATTR_LO || key == ATTR_HI || key == ATTR_STRIDE;
}

static uint64_t by_axis_sum(uint64_t sum, const Node *n, const Attr *a, const Type *operand)
{
    uint32_t count;
    const int64_t *moved = n->op == OP_SKEW ? node_ints(n, ATTR_AXES, &count) : NULL;
    for (uint32_t i = 0; i < a->ints.n; i++)
        if (!operand->axes[moved ? moved[i] : i].per) sum = hash_u64(sum, (uint64_t)a->ints.at[i]);
    return sum;
}

// How exactly a product is computed does not count.
static uint64_t attrs_sum(uint64_t sum, const Graph *g, const Node *n)
{
    for (uint32_t i = 0; i < n->nattrs; i++) {
        const Attr *a = &n->attrs[i];
        if (a->key == ATTR_PRECISION) continue;
        sum = hash_u64(sum, a->key);
        sum = is_by_axis(a->key) ? by_axis_sum(sum, n, a, graph_type(g, n->args[0]))
                                 : attr_sum(sum, a);
    }
    return sum;
}

static bool moves_alone(OpCode op)
{
    return op == OP_RESHAPE || op == OP_TRANSPOSE || op == OP_BROADCAST;
}

static uint64_t node_sum(const Graph *g, const Node *n, const uint64_t *sums, const char *below)
{
    if (n->op == OP_INPUT || n->op == OP_STATE) return hash_u64(leaf_sum(n, below), n->op);
    if (moves_alone(n->op)) return sums[n->args[0]];
    bool any = op_info(n->op)->flags & OPF_COMMUTES; // sorted by ids, which are a program's own
    uint64_t sum = attrs_sum(hash_str(0, op_info(n->op)->name), g, n), operands = 0;
    for (uint32_t i = 0; i < n->nargs; i++)
        operands = any ? operands + sums[n->args[i]] : hash_u64(operands, sums[n->args[i]]);
    return hash_u64(sum, operands);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_state(Elab *el, const Node *n, Identity *id)
{
    const StateVar *v = program_find_state(el->program, node_str(n, ATTR_NAME));
    if (v && v->kind == STATE_FROZEN) vec_push(el->arena, &id->states, v->name);
}

Identity identity_of(Elab *el, NodeId node, const char *below)
{
    const Graph *g = el->graph;
    Arena *scratch = arena_new();
    bool *used = arena_array(scratch, bool, node + 1);
    uint64_t *sums = arena_array(scratch, uint64_t, node + 1);
    Identity id = {0};
    used[node] = true;
    for (NodeId i = node; i; i--)
        for (uint32_t k = 0; used[i] && k < graph_node(g, i)->nargs; k++)
            used[graph_node(g, i)->args[k]] = true;
    for (NodeId i = 1; i <= node; i++) {
        if (!used[i]) continue;
        const Node *n = graph_node(g, i);
        sums[i] = node_sum(g, n, sums, below);
        if (n->op == OP_STATE) add_state(el, n, &id);
    }
    id.sum = sums[node];
    arena_free(scratch);
    if (id.states.n) qsort(id.states.at, id.states.n, sizeof *id.states.at, by_name);
    return id;
}
