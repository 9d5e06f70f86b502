// The graph: nodes are immutable, found again by their key (op, copy, operands, attributes) in an
// open hash table, and numbered so that operands come before users. Adding a node checks it
// (shape.c), simplifies it (fold.c), then finds or appends it.
#include "ir/graph.h"

#include "base/map.h"
#include "ir/fold.h"
#include "ir/shape.h"

Graph *graph_new(Arena *arena, Diag *diag, int64_t batch)
{
    Graph *g = arena_make(arena, Graph);
    g->arena = arena;
    g->diag = diag;
    g->batch = batch;
    g->precision = PRECISION_NONE;
    g->nslots = 64;
    g->slots = arena_array(arena, uint32_t, g->nslots);
    vec_push(arena, &g->nodes, (Node){.op = OP_COUNT});
    return g;
}

// ---- attributes ---------------------------------------------------------------------------------

static uint64_t attr_hash(uint64_t h, const Attr *a)
{
    h = hash_u64(h, a->key);
    switch (attr_kind(a->key)) {
    case KIND_INT: return hash_u64(h, (uint64_t)a->i);
    case KIND_FLOAT: return hash_bytes(h, &a->f, sizeof a->f);
    case KIND_STR: return hash_str(h, a->s);
    case KIND_DTYPE: return hash_u64(h, a->dtype);
    case KIND_INTS: return a->ints.n ? hash_bytes(h, a->ints.at, a->ints.n * sizeof(int64_t)) : h;
    case KIND_AXES: return a->axes.n ? hash_bytes(h, a->axes.at, a->axes.n * sizeof(Axis)) : h;
    }
    return h;
}

static bool attr_equal(const Attr *a, const Attr *b)
{
    if (a->key != b->key) return false;
    switch (attr_kind(a->key)) {
    case KIND_INT: return a->i == b->i;
    case KIND_FLOAT: return memcmp(&a->f, &b->f, sizeof a->f) == 0;
    case KIND_STR: return strcmp(a->s, b->s) == 0;
    case KIND_DTYPE: return a->dtype == b->dtype;
    case KIND_INTS:
        return a->ints.n == b->ints.n &&
               (!a->ints.n || !memcmp(a->ints.at, b->ints.at, a->ints.n * sizeof(int64_t)));
    case KIND_AXES:
        return a->axes.n == b->axes.n &&
               (!a->axes.n || !memcmp(a->axes.at, b->axes.at, a->axes.n * sizeof(Axis)));
    }
    return false;
}

// A copy whose text and lists live in the arena.
static Attr attr_copy(Arena *arena, const Attr *a)
{
    Attr copy = *a;
    AttrKind kind = attr_kind(a->key);
    if (kind == KIND_STR) copy.s = str_copy(arena, a->s);
    if (kind == KIND_INTS && a->ints.n)
        copy.ints.at = arena_copy(arena, a->ints.at, a->ints.n * sizeof(int64_t));
    if (kind == KIND_AXES && a->axes.n)
        copy.axes.at = arena_copy(arena, a->axes.at, a->axes.n * sizeof(Axis));
    return copy;
}

const Attr *node_attr(const Node *n, AttrKey key)
{
    if (!(op_info(n->op)->attrs & (1u << key)))
        bug("%s has no attribute %s", op_info(n->op)->name, attr_name(key));
    for (uint32_t i = 0; i < n->nattrs; i++)
        if (n->attrs[i].key == key) return &n->attrs[i];
    return NULL;
}

int64_t node_int(const Node *n, AttrKey key)
{
    const Attr *a = node_attr(n, key);
    return a ? a->i : 0;
}

double node_float(const Node *n, AttrKey key)
{
    const Attr *a = node_attr(n, key);
    return a ? a->f : 0;
}

const char *node_str(const Node *n, AttrKey key)
{
    const Attr *a = node_attr(n, key);
    return a ? a->s : NULL;
}

const int64_t *node_ints(const Node *n, AttrKey key, uint32_t *count)
{
    const Attr *a = node_attr(n, key);
    *count = a ? a->ints.n : 0;
    return a ? a->ints.at : NULL;
}

Precision node_precision(const Node *n)
{
    if (!(op_info(n->op)->attrs & (1u << ATTR_PRECISION))) return PRECISION_NONE;
    return precision_find(node_str(n, ATTR_PRECISION));
}

// ---- hash-consing -------------------------------------------------------------------------------

uint64_t node_hash(const Node *n)
{
    uint64_t h = hash_u64(hash_u64(0, n->op), n->copy);
    for (uint32_t i = 0; i < n->nargs; i++) h = hash_u64(h, n->args[i]);
    for (uint32_t i = 0; i < n->nattrs; i++) h = attr_hash(h, &n->attrs[i]);
    return h;
}

bool node_equal(const Node *a, const Node *b)
{
    if (a->op != b->op || a->copy != b->copy || a->nargs != b->nargs || a->nattrs != b->nattrs)
        return false;
    for (uint32_t i = 0; i < a->nargs; i++)
        if (a->args[i] != b->args[i]) return false;
    for (uint32_t i = 0; i < a->nattrs; i++)
        if (!attr_equal(&a->attrs[i], &b->attrs[i])) return false;
    return true;
}

// The slot that holds an equal node, or the free one where it belongs.
static uint32_t *find_slot(Graph *g, const Node *n)
{
    uint32_t i = (uint32_t)node_hash(n) & (g->nslots - 1);
    while (g->slots[i] && !node_equal(&g->nodes.at[g->slots[i]], n)) i = (i + 1) & (g->nslots - 1);
    return &g->slots[i];
}

static void grow_slots(Graph *g)
{
    g->nslots *= 2;
    g->slots = arena_array(g->arena, uint32_t, g->nslots);
    for (NodeId id = 1; id < g->nodes.n; id++) *find_slot(g, &g->nodes.at[id]) = id;
}

void graph_add_origin(Graph *g, NodeId id, Loc loc)
{
    Node *n = &g->nodes.at[id];
    if (!loc.source) return;
    for (uint32_t i = 0; i < n->origins.n; i++) {
        Loc o = n->origins.at[i];
        if (o.source == loc.source && o.begin == loc.begin && o.end == loc.end) return;
    }
    vec_push(g->arena, &n->origins, loc);
}

// Find the node or append it; its operands are already in the arena, its attributes are not.
static NodeId intern(Graph *g, const Node *n)
{
    uint32_t *slot = find_slot(g, n);
    NodeId id = *slot;
    if (!id) {
        Attr *attrs = arena_array(g->arena, Attr, n->nattrs);
        for (uint32_t i = 0; i < n->nattrs; i++) attrs[i] = attr_copy(g->arena, &n->attrs[i]);
        id = *slot = g->nodes.n;
        vec_push(g->arena, &g->nodes, *n);
        g->nodes.at[id].attrs = attrs;
        if (id * 2 > g->nslots) grow_slots(g);
    }
    graph_add_origin(g, id, g->here);
    return id;
}

NodeId graph_add_copy(Graph *g, OpCode op, uint32_t copy, uint32_t nargs, const NodeId *args,
                      uint32_t nattrs, const Attr *attrs)
{
    const Type **types = arena_array(g->arena, const Type *, nargs + 1);
    for (uint32_t i = 0; i < nargs; i++) {
        if (!args[i]) return 0;
        if (args[i] >= g->nodes.n) bug("%s: operand %u is no node", op_info(op)->name, args[i]);
        types[i] = g->nodes.at[args[i]].type;
    }
    ShapeCall call = {g->arena, g->diag, g->here, g->batch,      op,
                      nargs,    types,   nattrs,  (Attr *)attrs, precision_name(g->precision)};
    const Type *type = shape_infer(&call);
    if (!type) return 0;
    NodeId *own = arena_array(g->arena, NodeId, nargs + 1);
    if (nargs) memcpy(own, args, nargs * sizeof *own);
    if ((op_info(op)->flags & OPF_COMMUTES) && own[0] > own[1]) {
        own[0] = args[1];
        own[1] = args[0];
    }
    Node n = {.op = op,
              .copy = copy,
              .nargs = nargs,
              .args = own,
              .nattrs = call.nattrs,
              .attrs = call.attrs,
              .type = type};
    NodeId folded = fold_node(g, &n);
    return folded ? folded : intern(g, &n);
}

NodeId graph_add(Graph *g, OpCode op, uint32_t nargs, const NodeId *args, uint32_t nattrs,
                 const Attr *attrs)
{
    return graph_add_copy(g, op, 0, nargs, args, nattrs, attrs);
}

NodeId graph_add_like(Graph *g, const Node *n, const NodeId *args)
{
    Loc here = g->here;
    g->here = n->origins.n ? n->origins.at[0] : (Loc){0};
    NodeId id = graph_add_copy(g, n->op, n->copy, n->nargs, args, n->nattrs, n->attrs);
    for (uint32_t i = 1; id && i < n->origins.n; i++) graph_add_origin(g, id, n->origins.at[i]);
    g->here = here;
    return id;
}

bool graph_is_const(const Graph *g, NodeId id, double *value)
{
    const Node *n = &g->nodes.at[id];
    if (n->op == OP_BROADCAST) n = &g->nodes.at[n->args[0]];
    if (n->op != OP_CONST || n->copy) return false;
    *value = node_float(n, ATTR_VALUE);
    return true;
}
