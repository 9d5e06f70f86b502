// Products in bf16 or tf32, where the program asks for it (precision=bf16), or a product itself
// does: what its own attribute says, precision="f32", "tf32" or "bf16", goes before the program's.
// Operands are rounded, sums are f32. In bf16:
//
// - Every such product and attention (forward and gradient) of f32 operands takes them as bf16, but
//   for the bias of attention. A product still gives f32, and so does the gradient of that bias;
//   attention gives bf16, which is widened for whoever wants f32.
// - The result of a product with a parameter that has a batch axis, an activation or its gradient,
//   is rounded to bf16 and widened again, after its bias where it has one: what is kept between
//   kernels is bf16. The bias, a vector, is rounded too, so that a library's epilogue can add it.
//   Gradients of parameters, products of activations with each other (the logits of a contrastive
//   loss), sums, norms and updates stay f32.
// - A parameter that is an operand or such a bias gets a shadow: derived state in bf16. Products
//   read the shadow, updates the f32 master. Entry derive writes all shadows; an entry that changes
//   the parameter and reads its shadow writes it too. One that only changes it leaves the shadow as
//   it was: entry refresh, which the runtime runs before whoever reads it next, rounds it anew. So
//   an entry is the same whatever other entries there are.
//
// In tf32 the operands of products alone are rounded (op tf32), to the same 32 bits a number, and
// products keep their attribute, which says that the operands are. Parameters have shadows like
// those in bf16, so that a library may read operands as they lie in memory. Attention stays f32.
//
// A rounded operand is rounded where its elements come from, below the views that lie between, so
// that all its users share one value. Entry init stays f32, and so does stats_result, what a
// statistic is at last.
//
// Needs nothing, keeps all but FACT_SIMPLE. What is rounded is left alone: a second run changes
// nothing.
#include "ir/fold.h"
#include "passes/pass.h"
#include "passes/rewrite.h"

typedef struct Shadow {
    const char *name, *parameter;
    Precision precision;
} Shadow;

typedef struct Rounding {
    Program *program;
    const Entry *entry;
    bool *weight;    // by old id: a parameter, seen through views
    bool *vector;    // by old id: the same with one axis at most
    bool *rounded;   // by old id: to be rounded to bf16 and widened again
    VEC(Shadow) new; // those made in this run
    Map order; // parameter -> int64_t *: axes of its shadows, where not in the order of its own
} Rounding;

#define SHADOWS "$derived.%s."

static const char *shadow_name(const Rounding *p, const char *parameter, Precision precision)
{
    return str_printf(p->program->arena, SHADOWS "%s", precision_name(precision), parameter);
}

// To what operands of this product, or attention, are to be rounded, which are f32; none: to
// nothing.
static Precision asked(const Rounding *p, const Graph *g, const Node *n)
{
    OpClass class = op_info(n->op)->class;
    if (class != CLASS_CONTRACT && class != CLASS_ATTENTION) return PRECISION_NONE;
    if (graph_type(g, n->args[0])->dtype != DT_F32) return PRECISION_NONE;
    Precision own = node_precision(n), to = own ? own : p->program->precision;
    if (to == PRECISION_TF32 && class == CLASS_ATTENTION) to = PRECISION_F32;
    return to == PRECISION_F32 ? PRECISION_NONE : to;
}

static bool is_parameter(const Rounding *p, const Node *n)
{
    if (n->op != OP_STATE) return false;
    const StateVar *s = program_find_state(p->program, node_str(n, ATTR_NAME));
    return s->kind == STATE_PARAM || s->kind == STATE_EMA || s->kind == STATE_FROZEN;
}

static bool is_view(const Node *n)
{
    return op_info(n->op)->class == CLASS_VIEW || n->op == OP_STOP_GRADIENT;
}

static bool stays_exact(const Entry *e)
{
    return !strcmp(e->name, "init") || !strcmp(e->name, "stats_result");
}

// ---- operands -----------------------------------------------------------------------------------

// A product runs along what it contracts in the order that it says. Where that is another than the
// parameter's (channels last, of weights that have them in front of the places of a window), the
// shadow is stored so that what is next to each other there is next to each other in memory. The
// first product decides.
static void find_order(Rounding *p, const Graph *g, const Node *n, uint32_t operand, Arena *scratch)
{
    const Node *x = graph_node(g, n->args[operand]);
    uint32_t count, rank = x->type->rank, free = 0;
    const int64_t *k = node_ints(n, operand ? ATTR_RCONTRACT : ATTR_LCONTRACT, &count);
    bool rising = true;
    if (!is_parameter(p, x) || map_find(&p->order, node_str(x, ATTR_NAME))) return;
    int64_t *order = arena_array(scratch, int64_t, rank + 1);
    bool *taken = arena_array(scratch, bool, rank + 1);
    for (uint32_t i = 0; i < count; i++) {
        rising = rising && (!i || k[i] > k[i - 1]);
        order[rank - count + i] = k[i];
        taken[k[i]] = true;
    }
    for (uint32_t i = 0; i < rank; i++)
        if (!taken[i]) order[free++] = i;
    map_set(scratch, &p->order, node_str(x, ATTR_NAME), rising ? NULL : order);
}

static void find_orders(Rounding *p, Arena *scratch)
{
    for (uint32_t i = 0; i < p->program->entries.n; i++) {
        const Entry *e = p->program->entries.at[i];
        for (NodeId id = 1; id < e->graph->nodes.n; id++) {
            const Node *n = graph_node(e->graph, id);
            if (n->op != OP_DOT || stays_exact(e) || !asked(p, e->graph, n)) continue;
            for (uint32_t k = 0; k < 2; k++) find_order(p, e->graph, n, k, scratch);
        }
    }
}

static NodeId shadow(Rewrite *r, const Node *n, Precision to)
{
    Rounding *p = r->user;
    const char *parameter = node_str(n, ATTR_NAME), *name = shadow_name(p, parameter, to);
    const int64_t *order = map_get(&p->order, parameter);
    Axis *axes = arena_array(r->scratch, Axis, n->type->rank + 1);
    int64_t *back = arena_array(r->scratch, int64_t, n->type->rank + 1);
    for (uint32_t i = 0; i < n->type->rank; i++) {
        axes[i] = n->type->axes[order ? order[i] : i];
        back[order ? order[i] : i] = i;
    }
    DType dt = to == PRECISION_BF16 ? DT_BF16 : DT_F32;
    const Type *type = type_new(p->program->arena, dt, n->type->rank, axes);
    if (!program_find_state(p->program, name)) {
        program_state(p->program, name, STATE_DERIVED, type,
                      n->origins.n ? n->origins.at[0] : (Loc){0});
        vec_push(p->program->arena, &p->new, ((Shadow){name, parameter, to}));
    }
    NodeId x = graph_state(r->to, name, type);
    return order ? graph_transpose(r->to, x, back) : x;
}

static NodeId rounded(Graph *g, NodeId x, Precision to)
{
    return to == PRECISION_BF16 ? graph_cast(g, x, DT_BF16) : graph_unary(g, OP_TF32, x);
}

// Has a node elements that are of this precision, as f32 or a 16-bit float?
static bool is_rounded(const Rounding *p, const Node *n, Precision to)
{
    if (to == PRECISION_BF16 || n->type->dtype == DT_BF16) return n->type->dtype == DT_BF16;
    const char *shadows = str_printf(p->program->arena, SHADOWS, precision_name(to));
    return n->op == OP_TF32 ||
           (n->op == OP_STATE && !strncmp(node_str(n, ATTR_NAME), shadows, strlen(shadows)));
}

// The value in bf16 that a node widens, or 0.
static NodeId widens(const Graph *g, const Node *n)
{
    bool does = n->op == OP_CAST && graph_type(g, n->args[0])->dtype == DT_BF16;
    return does ? n->args[0] : 0;
}

// Can the elements be had in that precision without rounding anything here?
static bool is_narrow(const Rewrite *r, NodeId x, Precision to)
{
    const Node *n = graph_node(r->to, x);
    if (is_rounded(r->user, n, to) || n->op == OP_CONST || is_parameter(r->user, n)) return true;
    if (n->op == OP_CAST) return widens(r->to, n);
    bool all = is_view(n);
    for (uint32_t i = 0; all && i < n->nargs; i++) all = is_narrow(r, n->args[i], to);
    return all;
}

// Node x of the new graph in that precision: bf16, or f32 that was rounded to tf32. A window is
// rounded by itself, unless it shows what is rounded already.
static NodeId narrow(Rewrite *r, NodeId x, Precision to)
{
    const Node n = *graph_node(r->to, x); // adding nodes moves the table
    if (is_rounded(r->user, &n, to)) return x;
    if (is_parameter(r->user, &n)) return shadow(r, &n, to);
    if (widens(r->to, &n)) return to == PRECISION_BF16 ? n.args[0] : x;
    if (!is_view(&n) || (n.op == OP_SLICE && !is_narrow(r, x, to))) return rounded(r->to, x, to);
    NodeId *args = arena_array(r->scratch, NodeId, n.nargs + 1);
    for (uint32_t i = 0; i < n.nargs; i++) args[i] = narrow(r, n.args[i], to);
    return graph_add_copy(r->to, n.op, n.copy, n.nargs, args, n.nattrs, n.attrs);
}

// The bf16 value that node x of the new graph widens, or a constant that is one; 0 for other nodes.
static NodeId widened(Rewrite *r, NodeId x)
{
    const Node *n = graph_node(r->to, x);
    double value;
    if (widens(r->to, n)) return n->args[0];
    bool exact = graph_is_const(r->to, x, &value) && fold_round(DT_BF16, value) == value;
    return exact && n->type->dtype == DT_F32 ? graph_cast(r->to, x, DT_BF16) : 0;
}

// A view of what was widened is widened itself, so that users see one value in bf16; 0 for others.
static NodeId view(Rewrite *r, const Node *n)
{
    NodeId *args = arena_array(r->scratch, NodeId, n->nargs + 1);
    for (uint32_t i = 0; i < n->nargs; i++) {
        args[i] = widened(r, r->map[n->args[i]]);
        if (!args[i]) return 0;
    }
    NodeId y = graph_add_copy(r->to, n->op, n->copy, n->nargs, args, n->nattrs, n->attrs);
    return graph_cast(r->to, y, DT_F32);
}

// The node's attributes with that precision; one more may follow.
static Attr *settled(Rewrite *r, const Node *n, Precision precision)
{
    Attr *attrs = arena_array(r->scratch, Attr, n->nattrs + 1);
    for (uint32_t i = 0; i < n->nattrs; i++) {
        attrs[i] = n->attrs[i];
        if (attrs[i].key == ATTR_PRECISION) attrs[i].s = precision_name(precision);
    }
    return attrs;
}

// Operands in bf16 tell what they are, rounded f32 does not.
static NodeId product(Rewrite *r, const Node *n, Precision to)
{
    NodeId args[2] = {narrow(r, r->map[n->args[0]], to), narrow(r, r->map[n->args[1]], to)};
    Attr *attrs = settled(r, n, to == PRECISION_TF32 ? to : PRECISION_NONE);
    attrs[n->nattrs] = attr_dtype(ATTR_DTYPE, DT_F32);
    return graph_add_copy(r->to, n->op, n->copy, 2, args, n->nattrs + 1, attrs);
}

// The sum of a product and its bias, a vector as bf16.
static NodeId biased(Rewrite *r, const Node *n)
{
    const Rounding *p = r->user;
    NodeId args[2];
    for (uint32_t i = 0; i < 2; i++) {
        args[i] = r->map[n->args[i]];
        if (p->vector[n->args[i]])
            args[i] = graph_cast(r->to, narrow(r, args[i], PRECISION_BF16), DT_F32);
    }
    return graph_add_copy(r->to, n->op, n->copy, 2, args, n->nattrs, n->attrs);
}

static NodeId attention(Rewrite *r, const Node *n)
{
    // q, k, v, out, dout; the log-sum-exp and a bias are f32 at any precision
    enum { FORWARD = 3, LSE = 4, GRADIENT = 6 };
    uint32_t matrices = n->op == OP_ATTENTION ? FORWARD : GRADIENT;
    NodeId *args = arena_array(r->scratch, NodeId, n->nargs);
    for (uint32_t i = 0; i < n->nargs; i++) {
        bool kept = i == LSE || i >= matrices;
        args[i] = kept ? r->map[n->args[i]] : narrow(r, r->map[n->args[i]], PRECISION_BF16);
    }
    return graph_add_copy(r->to, n->op, n->copy, n->nargs, args, n->nattrs,
                          settled(r, n, PRECISION_NONE));
}

// What is not rounded does not say that it is.
static NodeId exact(Rewrite *r, NodeId id)
{
    const Node *n = graph_node(r->from, id);
    if (node_precision(n) <= PRECISION_F32) return 0;
    const Node like = *n;
    NodeId *args = arena_array(r->scratch, NodeId, n->nargs);
    for (uint32_t i = 0; i < n->nargs; i++) args[i] = r->map[n->args[i]];
    return graph_add_copy(r->to, like.op, like.copy, like.nargs, args, like.nattrs,
                          settled(r, &like, PRECISION_F32));
}

static NodeId replace(Rewrite *r, NodeId id)
{
    const Rounding *p = r->user;
    const Node *n = graph_node(r->from, id);
    OpClass class = op_info(n->op)->class;
    bool f32 = n->nargs && graph_type(r->from, n->args[0])->dtype == DT_F32;
    Precision to = asked(p, r->from, n);
    NodeId y = 0;
    if (to) y = class == CLASS_CONTRACT ? product(r, n, to) : attention(r, n);
    if (class == CLASS_VIEW && n->op != OP_BROADCAST && f32) y = view(r, n);
    if (p->rounded[id] && n->op == OP_ADD) y = biased(r, n);
    if (class == CLASS_TUPLE) y = graph_cast(r->to, rewrite_keep(r, id), n->type->dtype);
    if (!p->rounded[id]) return y;
    if (!y) y = rewrite_keep(r, id);
    return graph_cast(r->to, graph_cast(r->to, y, DT_BF16), DT_F32);
}

// ---- results ------------------------------------------------------------------------------------

static bool has_batch(const Type *type)
{
    for (uint32_t i = 0; i < type->rank; i++)
        if (type->axes[i].per) return true;
    return false;
}

// A product with a parameter over the batch, before this pass.
static bool is_activation(const Rounding *p, const Node *n)
{
    const Graph *g = p->entry->graph;
    return n->op == OP_DOT && asked(p, g, n) == PRECISION_BF16 && has_batch(n->type) &&
           (p->weight[n->args[0]] || p->weight[n->args[1]]);
}

// The product that `id` shows through reshapes and transposes, all without other use; 0: none.
static NodeId only_product(const Rounding *p, const uint32_t *uses, NodeId id)
{
    const Node *n = graph_node(p->entry->graph, id);
    for (; uses[id] == 1 && (n->op == OP_RESHAPE || n->op == OP_TRANSPOSE);
         n = graph_node(p->entry->graph, id))
        id = n->args[0];
    return uses[id] == 1 && is_activation(p, n) ? id : 0;
}

// Which values are rounded: products, or their sums with a bias that nothing else reads.
static void find_rounded(Rounding *p, Arena *scratch)
{
    const Graph *g = p->entry->graph;
    const uint32_t *uses = rewrite_uses(p->entry, scratch);
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        p->weight[id] = is_parameter(p, n);
        p->vector[id] = p->weight[id] && n->type->rank <= 1;
        for (uint32_t i = 0; is_view(n) && i < n->nargs; i++) {
            p->weight[id] = p->weight[n->args[i]] && (i == 0 || p->weight[id]);
            p->vector[id] = p->vector[n->args[i]] && (i == 0 || p->vector[id]);
        }
        p->rounded[id] = is_activation(p, n);
        for (uint32_t i = 0; n->op == OP_ADD && i < 2; i++) {
            NodeId of = p->weight[n->args[1 - i]] ? only_product(p, uses, n->args[i]) : 0;
            if (!of) continue;
            p->rounded[of] = false;
            p->rounded[id] = true;
        }
    }
}

// ---- shadows ------------------------------------------------------------------------------------

static void write_shadow(const Rounding *p, Entry *e, const Shadow *s, NodeId value)
{
    const int64_t *order = map_get(&p->order, s->parameter);
    NodeId x = rounded(e->graph, value, s->precision);
    if (order) x = graph_transpose(e->graph, x, order);
    rewrite_origins(e->graph, x, graph_node(e->graph, value));
    vec_push(p->program->arena, &e->updates, (NamedNode){s->name, x});
}

// By name of state: the number of its update in the entry + 1.
static Map updates_of(const Entry *e, Arena *scratch)
{
    Map updates = {0};
    for (uint32_t u = 0; u < e->updates.n; u++)
        map_set(scratch, &updates, e->updates.at[u].name, (void *)(uintptr_t)(u + 1));
    return updates;
}

static void add_reads(const Graph *g, Map *reads, Arena *scratch)
{
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        if (n->op == OP_STATE) map_set(scratch, reads, node_str(n, ATTR_NAME), (void *)n);
    }
}

// The names of state that a run of the entry reads, itself or in what runs before it.
static Map reads_of(Program *program, const Entry *e, Arena *scratch)
{
    Map reads = {0};
    add_reads(e->graph, &reads, scratch);
    for (uint32_t i = 0; i < e->before.n; i++)
        add_reads(program_find_entry(program, e->before.at[i].entry)->graph, &reads, scratch);
    return reads;
}

static Entry *entry_named(Program *program, const char *name)
{
    Entry *e = program_find_entry(program, name);
    return e ? e : program_entry(program, name);
}

// In an entry that has nothing but shadows.
static void write_from_state(const Rounding *p, Entry *e, const Shadow *s)
{
    const StateVar *master = program_find_state(p->program, s->parameter);
    write_shadow(p, e, s, graph_state(e->graph, s->parameter, master->type));
}

// The new shadows of what the entry changes: those that it reads it writes too; `late` becomes true
// of the others.
static void write_in(const Rounding *p, Entry *e, bool *late, Arena *scratch)
{
    const Map updates = updates_of(e, scratch), reads = reads_of(p->program, e, scratch);
    for (uint32_t s = 0; s < p->new.n; s++) {
        const Shadow *new = &p->new.at[s];
        uintptr_t update = (uintptr_t)map_get(&updates, new->parameter);
        if (!update) continue;
        if (map_get(&reads, new->name))
            write_shadow(p, e, new, e->updates.at[update - 1].node);
        else
            late[s] = true;
    }
}

// By derive (init is followed by it), by the entries that change and read them, and by refresh
// where an entry changes the parameter alone.
static void write_shadows(const Rounding *p, Arena *scratch)
{
    Program *program = p->program;
    if (!p->new.n) return;
    bool *late = arena_array(scratch, bool, p->new.n);
    Entry *derive = entry_named(program, "derive");
    for (uint32_t i = 0; i < program->entries.n; i++) {
        Entry *e = program->entries.at[i];
        if (e != derive && !stays_exact(e)) write_in(p, e, late, scratch);
    }
    for (uint32_t s = 0; s < p->new.n; s++) {
        write_from_state(p, derive, &p->new.at[s]);
        if (late[s]) write_from_state(p, entry_named(program, "refresh"), &p->new.at[s]);
    }
}

bool pass_precision(Program *p, PassContext *ctx)
{
    Rounding all = {.program = p};
    if (program_coarsest(p) == PRECISION_F32) return true;
    find_orders(&all, ctx->scratch);
    for (uint32_t i = 0; i < p->entries.n; i++) {
        Entry *e = p->entries.at[i];
        if (!strcmp(e->name, "derive")) continue;
        if (stays_exact(e)) {
            if (!rewrite_entry(e, ctx->scratch, exact, &all)) return false;
            continue;
        }
        all.entry = e;
        all.weight = arena_array(ctx->scratch, bool, e->graph->nodes.n);
        all.vector = arena_array(ctx->scratch, bool, e->graph->nodes.n);
        all.rounded = arena_array(ctx->scratch, bool, e->graph->nodes.n);
        find_rounded(&all, ctx->scratch);
        if (!rewrite_entry(e, ctx->scratch, replace, &all)) return false;
        entry_compact(e);
    }
    write_shadows(&all, ctx->scratch);
    return true;
}
