// Reverse-mode differentiation: replaces every node grad(loss, x). Runs before all other passes.
//
// The entry is rebuilt in rising id. At the first grad node of a loss one backward sweep runs over
// the nodes built so far, from the loss down, for all x of that loss at once; grad nodes of grad
// nodes come later in the rebuild and see the first gradient as plain nodes. Only nodes that lie
// between the loss and a requested x take part. A node's contributions are added in rising id of
// the consumers, so the sum does not depend on anything else. x that the loss does not reach has
// gradient zero.
//
// Needs nothing. Keeps nothing. Afterwards no grad node is left and every node is live.
#include "passes/grad.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

typedef struct Contribution {
    NodeId value;
    int64_t part; // of a tuple; 0 otherwise
    struct Contribution *next;
} Contribution;

struct GradSweep {
    Graph *g;
    Arena *scratch;
    bool *wanted;           // a requested x, or leads to one
    Contribution **pending; // by node, newest (lowest consumer) first
    NodeId *total;          // finished gradients of requested nodes
    NodeId end;             // one past the loss
    bool failed;
};

// The state of one entry.
typedef struct Autodiff {
    GradSweep **sweeps; // by old id of the loss
} Autodiff;

GradRule *grad_rule(OpCode op)
{
    static GradRule *const rules[OP_COUNT] = {
#define GRAD_RULE(op, function) [OP_##op] = function,
#include "passes/grad_rules.def"
#undef GRAD_RULE
    };
    return rules[op];
}

bool grad_wants(const GradSite *s, uint32_t i)
{
    return s->sweep->wanted[grad_arg(s, i)];
}

// Views along a batch axis may make it plain (a concatenation, a window); their adjoint goes back.
static NodeId split_plain_axes(Graph *g, NodeId value, const Type *want)
{
    const Type *have = graph_type(g, value);
    for (uint32_t a = 0; a < want->rank && have->rank == want->rank; a++) {
        if (!want->axes[a].per || have->axes[a].per) continue;
        Attr axis = attr_int(ATTR_AXIS, a);
        value = graph_add(g, OP_BATCH_SPLIT, 1, &value, 1, &axis);
    }
    return value;
}

void grad_add_part(const GradSite *s, uint32_t i, int64_t part, NodeId value)
{
    if (!value) bug("autodiff: the gradient of %s cannot be built", op_info(s->n->op)->name);
    if (!grad_wants(s, i)) return;
    NodeId to = grad_arg(s, i);
    const Type *want = graph_type(s->g, to);
    if (want->nparts) want = want->parts[part];
    value = split_plain_axes(s->g, value, want);
    const Type *have = graph_type(s->g, value);
    if (!type_equal(want, have))
        bug("autodiff: %s gives a gradient of type %s for an operand of type %s",
            op_info(s->n->op)->name, type_text(s->sweep->scratch, have),
            type_text(s->sweep->scratch, want));
    Contribution *c = arena_make(s->sweep->scratch, Contribution);
    *c = (Contribution){value, part, s->sweep->pending[to]};
    s->sweep->pending[to] = c;
}

void grad_add(const GradSite *s, uint32_t i, NodeId value)
{
    grad_add_part(s, i, 0, value);
}

void grad_error(const GradSite *s, const char *what)
{
    Loc loc = s->n->origins.n ? s->n->origins.at[0] : (Loc){0};
    diag_error(s->g->diag, loc, "%s", what);
    diag_help(s->g->diag,
              "put stop_gradient(..) around it where its gradient is not meant to be used");
    s->sweep->failed = true;
}

NodeId grad_fill(Graph *g, double v, NodeId x)
{
    const Type *t = graph_type(g, x);
    return graph_broadcast_to(g, graph_const(g, t->dtype, v), t->rank, t->axes);
}

// True when a gradient can pass through n: a float result (or a tuple) of an op that is not flat.
static bool passes_gradient(const Node *n)
{
    if (op_info(n->op)->flags & OPF_FLAT) return false;
    return n->nargs && (n->type->nparts || dtype_is_float(n->type->dtype));
}

static bool any_arg(const GradSweep *w, const Node *n)
{
    for (uint32_t i = 0; i < n->nargs; i++)
        if (w->wanted[n->args[i]]) return true;
    return false;
}

// The gradient of one part: its contributions added one after the other; 0 where there is none.
static NodeId add_up(GradSweep *w, NodeId id, int64_t part)
{
    NodeId sum = 0;
    for (const Contribution *c = w->pending[id]; c; c = c->next)
        if (c->part == part) sum = sum ? graph_binary(w->g, OP_ADD, sum, c->value) : c->value;
    return sum;
}

// Finish the gradient of node id and hand it to the operands.
static void sweep_node(GradSweep *w, NodeId id)
{
    Node n = *graph_node(w->g, id); // adding nodes moves the table
    uint32_t before = w->g->nodes.n;
    w->g->here = n.origins.n ? n.origins.at[0] : (Loc){0};
    NodeId *parts = arena_array(w->scratch, NodeId, n.type->nparts);
    for (uint32_t i = 0; i < n.type->nparts; i++) parts[i] = add_up(w, id, i);
    NodeId dy = n.type->nparts ? 0 : add_up(w, id, 0);
    w->total[id] = dy;
    if (passes_gradient(&n) && any_arg(w, &n)) {
        GradSite site = {w, w->g, &n, id, dy, parts};
        GradRule *rule = grad_rule(n.op);
        w->g->precision = node_precision(&n); // the products of its gradient have it too
        if (rule)
            rule(&site);
        else
            grad_error(&site, str_printf(w->scratch, "%s has no gradient", op_info(n.op)->name));
        w->g->precision = PRECISION_NONE;
    }
    for (NodeId k = before; k < w->g->nodes.n; k++) rewrite_origins(w->g, k, &n);
}

// The x of all grad nodes of this loss that exist by now; a later one cannot be below the loss.
static void mark_wanted(GradSweep *w, const Rewrite *r, NodeId loss)
{
    for (NodeId id = 1; id < r->from->nodes.n; id++) {
        const Node *n = graph_node(r->from, id);
        if (!r->live[id] || n->op != OP_GRAD || n->args[0] != loss) continue;
        NodeId x = n->args[1] <= loss ? r->map[n->args[1]] : 0;
        if (x < w->end) w->wanted[x] = true;
    }
    w->wanted[0] = false;
    for (NodeId id = 1; id < w->end; id++) {
        const Node *n = graph_node(w->g, id);
        w->wanted[id] = w->wanted[id] || (passes_gradient(n) && any_arg(w, n));
    }
}

static GradSweep *sweep(Rewrite *r, NodeId loss)
{
    NodeId top = r->map[loss];
    GradSweep *w = arena_make(r->scratch, GradSweep);
    *w = (GradSweep){.g = r->to, .scratch = r->scratch, .end = top + 1};
    w->wanted = arena_array(r->scratch, bool, w->end);
    w->pending = arena_array(r->scratch, Contribution *, w->end);
    w->total = arena_array(r->scratch, NodeId, w->end);
    mark_wanted(w, r, loss);
    if (!w->wanted[top]) return w;
    Contribution one = {.value = grad_fill(r->to, 1, top)};
    w->pending[top] = &one;
    for (NodeId id = top; id; id--)
        if (w->wanted[id] && w->pending[id]) sweep_node(w, id);
    r->failed = r->failed || w->failed;
    return w;
}

static NodeId replace_grad(Rewrite *r, NodeId id)
{
    const Node *n = graph_node(r->from, id);
    if (n->op != OP_GRAD) return 0;
    Autodiff *all = r->user;
    NodeId loss = n->args[0], x = r->map[n->args[1]];
    Loc here = r->to->here;
    if (!all->sweeps[loss]) all->sweeps[loss] = sweep(r, loss);
    r->to->here = here;
    const GradSweep *w = all->sweeps[loss];
    if (r->failed) return 0;
    NodeId dx = x < w->end ? w->total[x] : 0;
    return dx ? dx : grad_fill(r->to, 0, x);
}

bool autodiff_entry(Entry *e, Arena *scratch)
{
    Autodiff all = {arena_array(scratch, GradSweep *, e->graph->nodes.n)};
    if (!rewrite_entry(e, scratch, replace_grad, &all)) return false;
    entry_compact(e);
    return true;
}

bool pass_autodiff(Program *p, PassContext *ctx)
{
    bool good = true;
    for (uint32_t i = 0; i < p->entries.n; i++)
        good = autodiff_entry(p->entries.at[i], ctx->scratch) && good;
    return good;
}
