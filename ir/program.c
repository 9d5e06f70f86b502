// Programs: state variables, entries, and what of an entry's graph is alive.
#include "ir/program.h"

static const char *const kinds[] = {"param",  "opt",    "ema",     "stat",
                                    "metric", "frozen", "derived", "transient"};

const char *state_kind_name(StateKind kind)
{
    return kinds[kind];
}

Program *program_new(Arena *arena, Diag *diag, const char *name, int64_t batch)
{
    Program *p = arena_make(arena, Program);
    p->arena = arena;
    p->diag = diag;
    p->name = str_copy(arena, name);
    p->batch = batch;
    p->accumulate = 1;
    p->precision = PRECISION_F32;
    return p;
}

StateVar *program_state(Program *p, const char *name, StateKind kind, const Type *type, Loc loc)
{
    if (map_get(&p->state_index, name)) bug("state '%s' is declared twice", name);
    vec_push(p->arena, &p->states,
             (StateVar){.name = str_copy(p->arena, name), .kind = kind, .type = type, .loc = loc});
    map_set(p->arena, &p->state_index, name, (void *)(uintptr_t)p->states.n);
    return &p->states.at[p->states.n - 1];
}

const StateVar *program_find_state(const Program *p, const char *name)
{
    uintptr_t index = (uintptr_t)map_get(&p->state_index, name);
    return index ? &p->states.at[index - 1] : NULL;
}

Entry *program_entry(Program *p, const char *name)
{
    Entry *e = arena_make(p->arena, Entry);
    e->name = str_copy(p->arena, name);
    e->graph = graph_new(p->arena, p->diag, p->batch);
    vec_push(p->arena, &p->entries, e);
    return e;
}

Entry *program_find_entry(Program *p, const char *name)
{
    for (uint32_t i = 0; i < p->entries.n; i++)
        if (strcmp(p->entries.at[i]->name, name) == 0) return p->entries.at[i];
    return NULL;
}

static void add_inputs(EntryInputs *list, Map *seen, const Entry *e, int64_t parts, Arena *arena)
{
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op != OP_INPUT || node_str(n, ATTR_NAME)[0] == '$') continue;
        EntryInput in = {node_str(n, ATTR_NAME), n->type, parts == 0};
        if (!map_set(arena, seen, in.name, seen)) continue;
        Axis *axes = arena_copy(arena, n->type->axes, n->type->rank * sizeof *axes);
        for (uint32_t a = 0; a < n->type->rank && parts; a++)
            if (axes[a].per) axes[a].size *= parts;
        if (parts) in.type = type_new(arena, n->type->dtype, n->type->rank, axes);
        vec_push(arena, list, in);
    }
}

EntryInputs entry_inputs(const Program *p, const Entry *e, Arena *arena)
{
    EntryInputs list = {0};
    Map seen = {0};
    add_inputs(&list, &seen, e, 0, arena);
    for (uint32_t i = 0; i < e->before.n; i++)
        add_inputs(&list, &seen, program_find_entry((Program *)p, e->before.at[i].entry),
                   e->before.at[i].parts, arena);
    return list;
}

Precision program_coarsest(const Program *p)
{
    Precision coarsest = p->precision > PRECISION_F32 ? p->precision : PRECISION_F32;
    for (uint32_t i = 0; i < p->entries.n; i++) {
        const Graph *g = p->entries.at[i]->graph;
        for (NodeId id = 1; id < g->nodes.n; id++) {
            Precision own = node_precision(graph_node(g, id));
            if (own > coarsest) coarsest = own;
        }
    }
    return coarsest;
}

bool *entry_live(const Entry *e, Arena *arena)
{
    const Graph *g = e->graph;
    bool *keep = arena_array(arena, bool, g->nodes.n);
    for (uint32_t i = 0; i < e->outputs.n; i++) keep[e->outputs.at[i].node] = true;
    for (uint32_t i = 0; i < e->updates.n; i++) keep[e->updates.at[i].node] = true;
    keep[0] = false;
    for (NodeId id = g->nodes.n; --id > 0;) {
        const Node *n = graph_node(g, id);
        for (uint32_t i = 0; keep[id] && i < n->nargs; i++) keep[n->args[i]] = true;
    }
    return keep;
}

void entry_compact(Entry *e)
{
    Graph *g = e->graph, *to = graph_new(g->arena, g->diag, g->batch);
    const bool *keep = entry_live(e, g->arena);
    NodeId *map = arena_array(g->arena, NodeId, g->nodes.n);
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        if (!keep[id]) continue;
        NodeId *args = arena_array(g->arena, NodeId, n->nargs + 1);
        for (uint32_t i = 0; i < n->nargs; i++) args[i] = map[n->args[i]];
        map[id] = graph_add_like(to, n, args);
    }
    for (uint32_t i = 0; i < e->outputs.n; i++) e->outputs.at[i].node = map[e->outputs.at[i].node];
    for (uint32_t i = 0; i < e->updates.n; i++) e->updates.at[i].node = map[e->updates.at[i].node];
    to->here = g->here;
    *g = *to;
}

// ---- copies -------------------------------------------------------------------------------------

static Graph graph_twin(const Graph *g)
{
    Graph to = *g;
    to.nodes.at = arena_copy(g->arena, g->nodes.at, g->nodes.n * sizeof *g->nodes.at);
    to.nodes.cap = g->nodes.n;
    to.slots = arena_copy(g->arena, g->slots, g->nslots * sizeof *g->slots);
    for (NodeId id = 1; id < to.nodes.n; id++) {
        Node *n = &to.nodes.at[id];
        n->origins.at = arena_copy(g->arena, n->origins.at, n->origins.n * sizeof *n->origins.at);
        n->origins.cap = n->origins.n;
    }
    return to;
}

// Into entry `to`, which has a graph.
static void entry_assign(Arena *arena, Entry *to, const Entry *from)
{
    *to->graph = graph_twin(from->graph);
    to->outputs.n = to->updates.n = to->before.n = 0;
    for (uint32_t i = 0; i < from->outputs.n; i++)
        vec_push(arena, &to->outputs, from->outputs.at[i]);
    for (uint32_t i = 0; i < from->updates.n; i++)
        vec_push(arena, &to->updates, from->updates.at[i]);
    for (uint32_t i = 0; i < from->before.n; i++) vec_push(arena, &to->before, from->before.at[i]);
}

Program *program_keep(const Program *p)
{
    Program *kept = program_new(p->arena, p->diag, p->name, p->batch);
    for (uint32_t i = 0; i < p->entries.n; i++) {
        const Entry *e = p->entries.at[i];
        entry_assign(p->arena, program_entry(kept, e->name), e);
    }
    for (uint32_t i = 0; i < p->states.n; i++) vec_push(p->arena, &kept->states, p->states.at[i]);
    kept->accumulate = p->accumulate;
    kept->precision = p->precision;
    return kept;
}

void program_restore(Program *p, const Program *kept)
{
    p->accumulate = kept->accumulate;
    p->precision = kept->precision;
    p->entries.n = kept->entries.n;
    for (uint32_t i = 0; i < p->entries.n; i++)
        entry_assign(p->arena, p->entries.at[i], kept->entries.at[i]);
    p->states.n = 0;
    p->state_index = (Map){0};
    for (uint32_t i = 0; i < kept->states.n; i++) {
        vec_push(p->arena, &p->states, kept->states.at[i]);
        map_set(p->arena, &p->state_index, kept->states.at[i].name, (void *)(uintptr_t)p->states.n);
    }
}
