// What depends only on constants and on state that no entry changes (a frozen teacher's weights) is
// computed once, by entry "derive", which the runtime runs after every load of state. The values
// are kept as derived state; checkpoints leave them out.
//
// A node is *fixed* when all its operands are, or it is a constant, or such state. Of the fixed
// nodes that others see (directly or through views) those are taken that cost something to compute
// and are no bigger than what they are made from, or small.
//
// Needs FACT_GRADLESS. Afterwards every node is live.
#include "passes/pass.h"
#include "passes/rewrite.h"

enum { SMALL = 1 << 20 }; // bytes that a derived value may have in any case

typedef struct Fixed {
    const Graph *g;
    bool *fixed, *dear, *seen, *taken;
    int64_t *bytes; // of the state that a fixed node is made from
} Fixed;

static bool is_entry(const Entry *e, const char *name)
{
    return !strcmp(e->name, name);
}

// Names of state that some entry other than init and derive changes.
static Map changed_state(const Program *p, Arena *scratch)
{
    Map changed = {0};
    for (uint32_t i = 0; i < p->entries.n; i++) {
        const Entry *e = p->entries.at[i];
        for (uint32_t u = 0; u < e->updates.n && !is_entry(e, "init") && !is_entry(e, "derive");
             u++)
            map_set(scratch, &changed, e->updates.at[u].name, p->entries.at[i]);
    }
    return changed;
}

static bool is_view(const Node *n)
{
    return op_info(n->op)->class == CLASS_VIEW || n->op == OP_STOP_GRADIENT;
}

static bool costs(const Node *n)
{
    const OpInfo *info = op_info(n->op);
    bool free = info->class == CLASS_LEAF || info->class == CLASS_ELEMENTWISE || is_view(n);
    return !free || (info->flags & OPF_EXPAND);
}

static bool has_batch(const Type *type)
{
    for (uint32_t i = 0; i < type->rank; i++)
        if (type->axes[i].per) return true;
    return type->nparts > 0;
}

// batch: of entry derive, in which nothing with another batch can be computed.
static void find_fixed(Fixed *f, const Map *changed, int64_t batch)
{
    for (NodeId id = 1; id < f->g->nodes.n; id++) {
        const Node *n = graph_node(f->g, id);
        bool other = f->g->batch != batch && has_batch(n->type);
        bool state = n->op == OP_STATE && !map_get(changed, node_str(n, ATTR_NAME));
        f->fixed[id] = !other && (n->nargs || state || n->op == OP_CONST || n->op == OP_IOTA);
        if (state) f->bytes[id] = type_bytes(n->type);
        f->dear[id] = costs(n);
        for (uint32_t i = 0; i < n->nargs; i++) {
            f->fixed[id] &= f->fixed[n->args[i]];
            f->dear[id] |= f->dear[n->args[i]];
            f->bytes[id] += f->bytes[n->args[i]];
        }
    }
}

// False when there is nothing to take.
static bool choose(Fixed *f, const Entry *e)
{
    bool any = false;
    for (uint32_t i = 0; i < e->outputs.n; i++) f->seen[e->outputs.at[i].node] = true;
    for (uint32_t i = 0; i < e->updates.n; i++) f->seen[e->updates.at[i].node] = true;
    for (NodeId id = f->g->nodes.n; id-- > 1;) {
        const Node *n = graph_node(f->g, id);
        bool shows = !f->fixed[id] || (f->seen[id] && is_view(n));
        for (uint32_t i = 0; shows && i < n->nargs; i++) f->seen[n->args[i]] = true;
    }
    for (NodeId id = 1; id < f->g->nodes.n; id++) {
        const Node *n = graph_node(f->g, id);
        if (!f->fixed[id] || !f->seen[id] || !f->dear[id] || is_view(n) || has_batch(n->type))
            continue;
        int64_t bytes = type_bytes(n->type);
        f->taken[id] = bytes <= SMALL || bytes <= f->bytes[id];
        any |= f->taken[id];
    }
    return any;
}

// The value that `derive` itself gives the state that `n` reads (a shadow), 0 where it gives none.
static NodeId made_here(const Entry *derive, const Node *n)
{
    for (uint32_t i = 0; n->op == OP_STATE && i < derive->updates.n; i++)
        if (!strcmp(derive->updates.at[i].name, node_str(n, ATTR_NAME)))
            return derive->updates.at[i].node;
    return 0;
}

// Copy taken nodes, with all that they need, into the graph of `derive`; its ids by those of f->g.
static NodeId *copy_fixed(const Fixed *f, const Entry *derive, Arena *scratch)
{
    Graph *to = derive->graph;
    uint32_t n = f->g->nodes.n;
    NodeId *map = arena_array(scratch, NodeId, n);
    bool *needed = arena_copy(scratch, f->taken, n * sizeof *needed);
    for (NodeId id = n; id-- > 1;)
        for (uint32_t i = 0; needed[id] && i < graph_node(f->g, id)->nargs; i++)
            needed[graph_node(f->g, id)->args[i]] = true;
    for (NodeId id = 1; id < n; id++) {
        const Node *node = graph_node(f->g, id);
        if (!needed[id]) continue;
        map[id] = made_here(derive, node);
        if (map[id]) continue;
        NodeId *args = arena_array(scratch, NodeId, node->nargs + 1);
        for (uint32_t i = 0; i < node->nargs; i++) args[i] = map[node->args[i]];
        map[id] =
            graph_add_copy(to, node->op, node->copy, node->nargs, args, node->nattrs, node->attrs);
        rewrite_origins(to, map[id], node);
    }
    return map;
}

// The state that holds a node of `derive`, new or known.
static const char *derived_name(Program *p, Entry *derive, NodeId id)
{
    for (uint32_t i = 0; i < derive->updates.n; i++)
        if (derive->updates.at[i].node == id) return derive->updates.at[i].name;
    const Node *n = graph_node(derive->graph, id);
    const char *name = str_printf(p->arena, "$derived.%u", derive->updates.n);
    program_state(p, name, STATE_DERIVED, n->type, n->origins.n ? n->origins.at[0] : (Loc){0});
    vec_push(p->arena, &derive->updates, (NamedNode){name, id});
    return name;
}

typedef struct Replace {
    const Fixed *fixed;
    const char **name;
} Replace;

static NodeId replace(Rewrite *r, NodeId id)
{
    const Replace *with = r->user;
    return with->name[id] ? graph_state(r->to, with->name[id], graph_type(r->from, id)) : 0;
}

static void derive_entry(Program *p, Entry *e, const Map *changed, Arena *scratch)
{
    uint32_t n = e->graph->nodes.n;
    Fixed f = {.g = e->graph,
               .fixed = arena_array(scratch, bool, n),
               .dear = arena_array(scratch, bool, n),
               .seen = arena_array(scratch, bool, n),
               .taken = arena_array(scratch, bool, n),
               .bytes = arena_array(scratch, int64_t, n)};
    find_fixed(&f, changed, p->batch);
    if (!choose(&f, e)) return;
    Entry *derive = program_find_entry(p, "derive");
    if (!derive) derive = program_entry(p, "derive");
    const NodeId *in_derive = copy_fixed(&f, derive, scratch);
    Replace with = {&f, arena_array(scratch, const char *, n)};
    for (NodeId id = 1; id < n; id++)
        if (f.taken[id]) with.name[id] = derived_name(p, derive, in_derive[id]);
    rewrite_entry(e, scratch, replace, &with);
    entry_compact(e);
}

bool pass_derive(Program *p, PassContext *ctx)
{
    Map changed = changed_state(p, ctx->scratch);
    for (uint32_t i = 0, n = p->entries.n; i < n; i++) {
        Entry *e = p->entries.at[i];
        if (!is_entry(e, "init") && !is_entry(e, "derive"))
            derive_entry(p, e, &changed, ctx->scratch);
    }
    return true;
}
