// Gradient rules of dot, attention, gather, scatter_add, ordered ops and projections.
#include "passes/grad.h"

// One operand of a dot: its batch, contracting and free axes; where its free axes lie in the
// result.
typedef struct DotSide {
    NodeId node;
    const Type *type;
    const int64_t *batch, *contract;
    int64_t *free;
    uint32_t nfree;
    uint32_t at;
} DotSide;

static bool has(const int64_t *list, uint32_t n, int64_t x)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i] == x) return true;
    return false;
}

static DotSide dot_side(const GradSite *s, uint32_t i, uint32_t *nb, uint32_t *nc)
{
    DotSide d = {.node = grad_arg(s, i)};
    d.type = graph_type(s->g, d.node);
    d.batch = node_ints(s->n, i ? ATTR_RBATCH : ATTR_LBATCH, nb);
    d.contract = node_ints(s->n, i ? ATTR_RCONTRACT : ATTR_LCONTRACT, nc);
    d.free = arena_array(s->g->arena, int64_t, d.type->rank);
    for (uint32_t a = 0; a < d.type->rank; a++)
        if (!has(d.batch, *nb, a) && !has(d.contract, *nc, a)) d.free[d.nfree++] = a;
    return d;
}

// Operand axis of `me` at each axis of the gradient's dot: batch, then the two groups in the order
// asked. False when that is not the order of `me` itself; perm then puts it right.
static bool dot_order(const DotSide *me, const DotSide *other, uint32_t nb, uint32_t nc,
                      bool contract_first, int64_t *perm)
{
    uint32_t at = 0;
    bool straight = true;
    for (uint32_t i = 0; i < nb; i++, at++) perm[me->batch[i]] = at;
    for (int group = 0; group < 2; group++) {
        if ((group == 0) != contract_first) {
            for (uint32_t i = 0; i < me->nfree; i++, at++) perm[me->free[i]] = at;
            continue;
        }
        for (uint32_t a = 0; a < other->type->rank; a++)
            for (uint32_t i = 0; i < nc; i++)
                if (other->contract[i] == a) perm[me->contract[i]] = at++;
    }
    for (uint32_t i = 0; i < me->type->rank; i++) straight = straight && perm[i] == i;
    return straight;
}

// d(me) = dot of g with the other operand over the other's free axes. Of g . other and other . g
// the one whose result has the axes in me's order is taken; where neither has, a transpose follows.
static NodeId dot_towards(const GradSite *s, const DotSide *me, const DotSide *other, uint32_t nb,
                          uint32_t nc)
{
    Graph *g = s->g;
    int64_t *perm = arena_array(g->arena, int64_t, me->type->rank);
    int64_t *gb = arena_array(g->arena, int64_t, nb);
    int64_t *gc = arena_array(g->arena, int64_t, other->nfree);
    for (uint32_t i = 0; i < nb; i++) gb[i] = i;
    for (uint32_t i = 0; i < other->nfree; i++) gc[i] = other->at + i;
    bool swap =
        !dot_order(me, other, nb, nc, false, perm) && dot_order(me, other, nb, nc, true, perm);
    bool straight = dot_order(me, other, nb, nc, swap, perm);
    NodeId dy = graph_cast(g, s->dy, other->type->dtype);
    NodeId v =
        swap ? graph_dot(g, other->node, dy, nb, other->batch, gb, other->nfree, other->free, gc)
             : graph_dot(g, dy, other->node, nb, gb, other->batch, other->nfree, gc, other->free);
    if (!straight) v = graph_transpose(g, v, perm);
    return graph_cast(g, v, me->type->dtype);
}

// y = x . w: da = g . w over w's free axes, dw = g . x over x's
void grad_dot(const GradSite *s)
{
    uint32_t nb, nc;
    DotSide left = dot_side(s, 0, &nb, &nc), right = dot_side(s, 1, &nb, &nc);
    left.at = nb;
    right.at = nb + left.nfree;
    if (grad_wants(s, 0)) grad_add(s, 0, dot_towards(s, &left, &right, nb, nc));
    if (grad_wants(s, 1)) grad_add(s, 1, dot_towards(s, &right, &left, nb, nc));
}

// (out, lse) = attention(q, k, v, beside): attention_grad and attention_bias_grad on the saved out
// and lse
void grad_attention(const GradSite *s)
{
    if (s->dpart[1]) {
        grad_error(s, "the log-sum-exp of attention cannot be differentiated");
        return;
    }
    Graph *g = s->g;
    const Node *n = s->n;
    NodeId args[9] = {
        n->args[0], n->args[1], n->args[2], graph_proj(g, s->y, 0), graph_proj(g, s->y, 1),
        s->dpart[0]};
    uint32_t nargs = 6, bias = attention_beside(n->op, n->nargs).bias;
    for (uint32_t i = 3; i < n->nargs; i++) args[nargs++] = n->args[i];
    bool inner = grad_wants(s, 0) || grad_wants(s, 1) || grad_wants(s, 2);
    NodeId d = inner ? graph_add(g, OP_ATTENTION_GRAD, nargs, args, n->nattrs, n->attrs) : 0;
    for (uint32_t i = 0; i < 3; i++)
        if (grad_wants(s, i)) grad_add(s, i, graph_proj(g, d, i));
    if (bias && grad_wants(s, bias))
        grad_add(s, bias, graph_add(g, OP_ATTENTION_BIAS_GRAD, nargs, args, n->nattrs, n->attrs));
}

// y = x[i]: g added up where it was taken
void grad_gather(const GradSite *s)
{
    Graph *g = s->g;
    int64_t batch = node_int(s->n, ATTR_BATCH);
    int64_t size = graph_type(g, grad_arg(s, 0))->axes[batch].size;
    Attr attrs[] = {attr_int(ATTR_BATCH, batch), attr_int(ATTR_SIZE, size)};
    grad_add(s, 0, graph_add(g, OP_SCATTER_ADD, 2, (NodeId[]){grad_arg(s, 1), s->dy}, 2, attrs));
}

// y = zeros plus u at i: g[i] to u
void grad_scatter_add(const GradSite *s)
{
    Attr batch = attr_int(ATTR_BATCH, node_int(s->n, ATTR_BATCH));
    NodeId args[] = {s->dy, grad_arg(s, 0)};
    grad_add(s, 1, graph_add(s->g, OP_GATHER, 2, args, 1, &batch));
}

// y[i] = sum of x[j], j <= i: the sum of g[i], i >= j
void grad_cumsum(const GradSite *s)
{
    Attr back = attr_int(ATTR_REVERSE, !node_int(s->n, ATTR_REVERSE));
    grad_add(s, 0, graph_add(s->g, OP_CUMSUM, 1, &s->dy, 1, &back));
}

// (y, i) = the elements of x at i: g goes to where they were taken
void grad_topk(const GradSite *s)
{
    Graph *g = s->g;
    const Type *x = graph_type(g, grad_arg(s, 0));
    if (!s->dpart[0]) return;
    Attr attrs[] = {attr_int(ATTR_BATCH, x->rank - 1),
                    attr_int(ATTR_SIZE, x->axes[x->rank - 1].size)};
    NodeId args[] = {graph_proj(g, s->y, 1), s->dpart[0]};
    grad_add(s, 0, graph_add(g, OP_SCATTER_ADD, 2, args, 2, attrs));
}

// y = one part of a tuple: g to that part
void grad_proj(const GradSite *s)
{
    grad_add_part(s, 0, node_int(s->n, ATTR_INDEX), s->dy);
}
