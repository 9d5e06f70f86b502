// Kernel bodies: a node's value at given coordinates becomes scalar instructions, by following its
// operands down to what is stored. Members of the group are computed once at the group's point;
// values of other groups are loaded where they are stored and computed again where they are not.
#include "passes/lower.h"

uint32_t build_slot(Build *b, uint32_t buffer, bool written)
{
    for (uint32_t i = 0; i < b->segment->buffers.n; i++)
        if (b->segment->buffers.at[i] == buffer) {
            b->kernel->buffers.at[i].written |= written;
            return i;
        }
    const PlanBuffer *pb = &b->lo->entry->buffers.at[buffer];
    vec_push(b->lo->work, &b->segment->buffers, buffer);
    vec_push(b->lo->work, &b->segment->from, 0);
    vec_push(b->lo->work, &b->kernel->buffers, (KernelBuffer){pb->dtype, pb->count, written});
    return b->segment->buffers.n - 1;
}

void build_axis(Build *b, int64_t size, AxisRole role)
{
    vec_push(b->lo->work, &b->body->axes, (KernelAxis){size, role});
}

static uint64_t index_axes(const KernelBody *body, IndexId e)
{
    const IndexNode *n = index_node(&body->index, e);
    switch (n->op) {
    case IX_CONST: return 0;
    case IX_AXIS: return UINT64_C(1) << n->a;
    case IX_VALUE: return body->code.at[n->a].axes;
    case IX_ADD: return index_axes(body, n->a) | index_axes(body, n->b);
    default: return index_axes(body, n->a);
    }
}

static bool same_instr(const KernelInstr *x, const KernelInstr *y)
{
    if (x->kind != y->kind || x->op != y->op || x->dtype != y->dtype || x->buffer != y->buffer ||
        x->index != y->index || x->index2 != y->index2 || x->nguards != y->nguards ||
        x->order != y->order)
        return false;
    if (memcmp(&x->value, &y->value, sizeof x->value) || memcmp(x->args, y->args, sizeof x->args))
        return false;
    for (uint32_t i = 0; i < x->nguards; i++)
        if (x->guards[i].index != y->guards[i].index || x->guards[i].lo != y->guards[i].lo ||
            x->guards[i].hi != y->guards[i].hi)
            return false;
    return true;
}

// Add an instruction with `nargs` operands, or find the equal one.
static uint32_t push(Build *b, KernelInstr in, uint32_t nargs)
{
    KernelBody *body = b->body;
    for (uint32_t i = 0; i < nargs; i++) in.axes |= body->code.at[in.args[i]].axes;
    in.axes |= index_axes(body, in.index) | index_axes(body, in.index2);
    for (uint32_t i = 0; i < in.nguards; i++) in.axes |= index_axes(body, in.guards[i].index);
    if (in.kind == KI_REDUCE)
        for (uint32_t i = 0; i < body->axes.n; i++)
            if (body->axes.at[i].role == ROLE_RED) in.axes &= ~(UINT64_C(1) << i);
    if (in.kind == KI_ACC) in.axes = 7; // (batch, m, n)
    for (uint32_t i = 0; i < body->code.n; i++)
        if (same_instr(&body->code.at[i], &in)) return i;
    vec_push(b->lo->work, &body->code, in);
    return body->code.n - 1;
}

// The guards in force as an array, without those that always hold.
static const KernelGuard *guard_array(Build *b, uint32_t *count)
{
    uint32_t n = 0;
    for (const GuardList *g = b->guards; g; g = g->next) n++;
    KernelGuard *at = arena_array(b->lo->work, KernelGuard, n + 1);
    *count = 0;
    for (const GuardList *g = b->guards; g; g = g->next) {
        const IndexNode *i = index_node(&b->body->index, g->guard.index);
        if (i->lo < g->guard.lo || i->hi >= g->guard.hi) at[(*count)++] = g->guard;
    }
    return at;
}

static uint32_t load(Build *b, NodeId id, const IndexId *at)
{
    IndexPool *pool = &b->body->index;
    const Type *type = graph_type(b->lo->gr->graph, id);
    const int64_t *stride = b->lo->layout->stride[id];
    IndexId index = index_const(pool, lower_offset(b->lo, id));
    for (uint32_t i = 0; i < type->rank; i++)
        index = index_add(pool, index, index_mul(pool, at[i], stride[i]));
    uint32_t slot = build_slot(b, lower_node_buffer(b->lo, id), false);
    KernelInstr in = {.kind = KI_LOAD, .dtype = type->dtype, .buffer = slot, .index = index};
    in.guards = guard_array(b, &in.nguards);
    return push(b, in, 0);
}

static void guard(Build *b, IndexId index, int64_t lo, int64_t hi)
{
    const IndexNode *i = index_node(&b->body->index, index);
    if (i->lo >= lo && i->hi < hi) return;
    GuardList *g = arena_make(b->lo->work, GuardList);
    *g = (GuardList){{index, lo, hi}, b->guards};
    b->guards = g;
}

// bool: do the guards from b->guards down to `outer` hold?
static uint32_t test(Build *b, const GuardList *outer)
{
    uint32_t n = 0;
    for (const GuardList *g = b->guards; g != outer; g = g->next) n++;
    KernelGuard *at = arena_array(b->lo->work, KernelGuard, n + 1);
    n = 0;
    for (const GuardList *g = b->guards; g != outer; g = g->next) at[n++] = g->guard;
    return push(b, (KernelInstr){.kind = KI_TEST, .dtype = DT_BOOL, .guards = at, .nguards = n}, 0);
}

static uint32_t choose(Build *b, uint32_t c, uint32_t x, uint32_t y, DType dt)
{
    return push(b, (KernelInstr){.kind = KI_OP, .op = OP_SELECT, .dtype = dt, .args = {c, x, y}},
                3);
}

static uint32_t pad_value(Build *b, const Node *n, const IndexId *at)
{
    IndexPool *pool = &b->body->index;
    const Type *of = graph_type(b->lo->gr->graph, n->args[0]);
    const GuardList *outer = b->guards;
    uint32_t count;
    const int64_t *lo = node_ints(n, ATTR_LO, &count);
    IndexId *to = arena_array(b->lo->work, IndexId, of->rank + 1);
    for (uint32_t i = 0; i < of->rank; i++) {
        to[i] = index_add(pool, at[i], index_const(pool, -lo[i]));
        if (n->type->axes[i].size != of->axes[i].size) guard(b, to[i], 0, of->axes[i].size);
    }
    uint32_t c = test(b, outer), x = build_value(b, n->args[0], to);
    b->guards = outer;
    return choose(b, c, x, build_value(b, n->args[1], NULL), n->type->dtype);
}

static uint32_t skew_value(Build *b, const Node *n, const IndexId *at)
{
    IndexPool *pool = &b->body->index;
    const Type *of = graph_type(b->lo->gr->graph, n->args[0]);
    const GuardList *outer = b->guards;
    IndexId *to = arena_array(b->lo->work, IndexId, of->rank + 1);
    memcpy(to, at, of->rank * sizeof *to);
    for (uint32_t k = 0; k < skew_count(n); k++) {
        Skew s = skew_at(n, k);
        IndexId place = skew_place(pool, &s, at);
        to[s.axis] = index_div(pool, place, s.up);
        if (s.up > 1) guard(b, index_mod(pool, place, s.up), 0, 1);
        guard(b, to[s.axis], 0, of->axes[s.axis].size);
    }
    uint32_t c = test(b, outer), x = build_value(b, n->args[0], to);
    b->guards = outer;
    return choose(b, c, x, build_value(b, n->args[1], NULL), n->type->dtype);
}

static uint32_t concat_value(Build *b, const Node *n, const IndexId *at)
{
    IndexPool *pool = &b->body->index;
    int64_t axis = node_int(n, ATTR_AXIS), start = n->type->axes[axis].size;
    const GuardList *outer = b->guards;
    IndexId *to = arena_array(b->lo->work, IndexId, n->type->rank + 1);
    uint32_t value = 0;
    for (uint32_t i = n->nargs; i-- > 0;) {
        int64_t size = graph_type(b->lo->gr->graph, n->args[i])->axes[axis].size;
        start -= size;
        memcpy(to, at, n->type->rank * sizeof *to);
        to[axis] = index_add(pool, at[axis], index_const(pool, -start));
        guard(b, to[axis], 0, size);
        uint32_t c = test(b, outer), x = build_value(b, n->args[i], to);
        b->guards = outer;
        value = i == n->nargs - 1 ? x : choose(b, c, x, value, n->type->dtype);
    }
    return value;
}

// A number from the constant block, so that it is not part of the kernel's text.
static uint32_t loaded_constant(Build *b, int64_t x)
{
    uint32_t slot = build_slot(b, lower_constant(b->lo, x), false);
    return push(b, (KernelInstr){.kind = KI_LOAD, .dtype = DT_I64, .buffer = slot}, 0);
}

// A constant with a copy number: the text has no place for it.
static uint32_t own_constant(Build *b, const Node *n)
{
    uint32_t loaded = loaded_constant(b, (int64_t)node_float(n, ATTR_VALUE));
    if (n->type->dtype == DT_I64) return loaded;
    KernelInstr cast = {.kind = KI_OP, .op = OP_CAST, .dtype = n->type->dtype, .args = {loaded}};
    return push(b, cast, 1);
}

static uint32_t random_value(Build *b, const Node *n, const IndexId *at)
{
    IndexPool *pool = &b->body->index;
    int64_t *sizes = arena_array(b->lo->work, int64_t, n->type->rank + 1);
    IndexId *rest = arena_array(b->lo->work, IndexId, n->type->rank + 1), sample = 0;
    for (uint32_t i = 0; i < n->type->rank; i++) {
        Axis axis = n->type->axes[i];
        sizes[i] = axis.per ? axis.per : axis.size;
        rest[i] = axis.per ? index_mod(pool, at[i], axis.per) : at[i];
        if (axis.per) sample = index_div(pool, at[i], axis.per);
    }
    KernelInstr in = {.kind = KI_RANDOM, .dtype = DT_U32};
    in.index = index_linear(pool, n->type->rank, rest, sizes);
    if (n->nargs > 2)
        sample = index_add(pool, sample,
                           index_value(pool, build_value(b, n->args[2], NULL), 0, LAST_SAMPLE));
    in.index2 = sample;
    in.args[0] = build_value(b, n->args[0], NULL);
    in.args[1] = build_value(b, n->args[1], NULL);
    in.args[2] = loaded_constant(b, node_int(n, ATTR_STREAM));
    return push(b, in, 3);
}

static uint32_t gather_value(Build *b, const Node *n, const IndexId *at)
{
    const Graph *g = b->lo->gr->graph;
    const Type *of = graph_type(g, n->args[0]), *by = graph_type(g, n->args[1]);
    uint32_t batch = (uint32_t)node_int(n, ATTR_BATCH);
    uint32_t which =
        build_value(b, n->args[1], at); // the first axes of the result are those of the indices
    IndexId *to = arena_array(b->lo->work, IndexId, of->rank + 1);
    memcpy(to, at, batch * sizeof *to);
    to[batch] = index_value(&b->body->index, which, 0, of->axes[batch].size - 1);
    for (uint32_t i = batch + 1; i < of->rank; i++) to[i] = at[by->rank + i - batch - 1];
    return build_value(b, n->args[0], to);
}

static uint32_t reduce_value(Build *b, const Node *n, const IndexId *at, bool column)
{
    const Type *of = graph_type(b->lo->gr->graph, n->args[0]);
    IndexId *to = arena_array(b->lo->work, IndexId, of->rank + 1);
    reduce_coordinates(&b->body->index, n, of, at, column ? b->a : b->r, to);
    uint32_t arg = build_value(b, n->args[0], to);
    if (column) return arg;
    KernelInstr in = {.kind = KI_REDUCE, .op = n->op, .dtype = n->type->dtype, .args = {arg}};
    in.order = b->group->split == SPLIT_ROW ? ORDER_ROW : ORDER_COLUMN;
    return push(b, in, 1);
}

static uint32_t op_value(Build *b, const Node *n, const IndexId *at)
{
    KernelInstr in = {.kind = KI_OP, .op = n->op, .dtype = n->type->dtype};
    if (n->nargs > 3) bug("%s has %u operands", op_info(n->op)->name, n->nargs);
    for (uint32_t i = 0; i < n->nargs; i++) in.args[i] = build_value(b, n->args[i], at);
    return push(b, in, n->nargs);
}

// The node's own op at these coordinates.
static uint32_t compute(Build *b, NodeId id, const IndexId *at)
{
    const Node *n = graph_node(b->lo->gr->graph, id);
    switch (n->op) {
    case OP_CONST:
        if (n->copy) return own_constant(b, n);
        return push(b,
                    (KernelInstr){.kind = KI_CONST,
                                  .dtype = n->type->dtype,
                                  .value = node_float(n, ATTR_VALUE)},
                    0);
    case OP_IOTA:
        return push(b,
                    (KernelInstr){.kind = KI_INDEX,
                                  .dtype = n->type->dtype,
                                  .index = at[node_int(n, ATTR_AXIS)]},
                    0);
    case OP_INPUT:
    case OP_STATE: return load(b, id, at);
    case OP_PAD: return pad_value(b, n, at);
    case OP_SKEW: return skew_value(b, n, at);
    case OP_CONCAT: return concat_value(b, n, at);
    case OP_RANDOM: return random_value(b, n, at);
    case OP_GATHER: return gather_value(b, n, at);
    default: break;
    }
    OpClass class = op_info(n->op)->class;
    if (class == CLASS_REDUCE) return reduce_value(b, n, at, false);
    if (class == CLASS_CONTRACT && b->acc) return b->acc - 1;
    if (class != CLASS_ELEMENTWISE) bug("%s inside a kernel body", op_info(n->op)->name);
    return op_value(b, n, at);
}

static uint32_t remembered(Build *b, NodeId id, const IndexId *at, IndexId linear)
{
    for (uint32_t i = 0; i < b->emitted.n; i++) {
        const Emitted *e = &b->emitted.at[i];
        if (e->node == id && e->linear == linear && e->guards == b->guards) return e->instr;
    }
    uint32_t instr = compute(b, id, at);
    vec_push(b->lo->work, &b->emitted, (Emitted){id, linear, b->guards, instr});
    return instr;
}

uint32_t build_value(Build *b, NodeId id, const IndexId *at)
{
    const Grouping *gr = b->lo->gr;
    IndexPool *pool = &b->body->index;
    bool mine = b->group_id && gr->group_of[id] == b->group_id;
    if (!mine || op_is_view(graph_node(gr->graph, id)->op)) {
        id = view_source(pool, gr->graph, id, &at);
        mine = b->group_id && gr->group_of[id] == b->group_id;
    }
    const Type *type = graph_type(gr->graph, id);
    if (mine &&
        !op_is_view(graph_node(gr->graph, id)->op)) { // at its canonical coordinates, in no guard
        IndexId linear = level_linear(pool, b->group, gr->level[id], b->a, b->r, b->c);
        IndexId *own = arena_array(b->lo->work, IndexId, type->rank + 1);
        index_split(pool, linear, type->rank, type_sizes(b->lo->work, type), own);
        if (gr->level[id] == LEVEL_COLUMN)
            return reduce_value(b, graph_node(gr->graph, id), own, true);
        return remembered(b, id, own, linear);
    }
    OpCode op = graph_node(gr->graph, id)->op;
    bool copied =
        op_is_view(op) || op_info(op)->class == CLASS_LEAF; // for a result: nobody waits for it
    if (!mine && !copied && gr->group_of[id] && gr->stored[id]) return load(b, id, at);
    if (gr->layout->assembled[id]) return load(b, id, at);
    IndexId linear =
        type->rank ? index_linear(pool, type->rank, at, type_sizes(b->lo->work, type)) : 0;
    return remembered(b, id, at, linear);
}

void build_store(Build *b, NodeId id, uint32_t value)
{
    const Grouping *gr = b->lo->gr;
    IndexPool *pool = &b->body->index;
    const Type *type = graph_type(gr->graph, id);
    IndexId linear = level_linear(pool, b->group, gr->level[id], b->a, b->r, b->c),
            index = index_const(pool, lower_offset(b->lo, id));
    IndexId *at = arena_array(b->lo->work, IndexId, type->rank + 1);
    index_split(pool, linear, type->rank, type_sizes(b->lo->work, type), at);
    const int64_t *stride = b->lo->layout->stride[id];
    for (uint32_t i = 0; i < type->rank; i++)
        index = index_add(pool, index, index_mul(pool, at[i], stride[i]));
    KernelStore s = {.kind = STORE_PLAIN, .value = value, .index = index};
    s.buffer = build_slot(b, lower_result_buffer(b->lo, id), true);
    vec_push(b->lo->work, &b->body->stores, s);
}
