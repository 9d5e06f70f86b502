// Work of a node, for reports and estimates.
#include "ir/graph.h"

static int64_t axis_product(const Type *t, uint32_t from, uint32_t to)
{
    int64_t n = 1;
    for (uint32_t i = from; i < to; i++) n *= t->axes[i].size;
    return n;
}

int64_t node_flops(const Graph *g, const Node *n)
{
    if (n->op == OP_DOT) {
        const Type *left = graph_type(g, n->args[0]);
        uint32_t count;
        const int64_t *axes = node_ints(n, ATTR_LCONTRACT, &count);
        int64_t k = 1;
        for (uint32_t i = 0; i < count; i++) k *= left->axes[axes[i]].size;
        return 2 * type_count(n->type) * k;
    }
    if (n->op == OP_ATTENTION) {
        const Type *q = graph_type(g, n->args[0]), *v = graph_type(g, n->args[2]);
        int64_t keys = v->axes[v->rank - 2].size,
                width = q->axes[q->rank - 1].size + v->axes[v->rank - 1].size;
        return 2 * axis_product(q, 0, q->rank - 1) * keys * width;
    }
    return 0;
}
