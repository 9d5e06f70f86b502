// The batch of a step in parts (program's accumulate), exact for every loss. An entry that takes
// gradients of parameters becomes the end of four, which run in this order:
//
//   NAME.features  once a part: the values at the cuts that gradients depend on
//   NAME.coupled   once: the loss's gradients towards the cuts, and those of parameters that the
//                  loss depends on beside them: the accumulators' first values
//   NAME.backward  once a part: the local values again, with the same random numbers, and the
//                  gradient of sum(cut * its gradient), which is added to the accumulators; and
//                  the other cuts, counts by what is known of the whole batch among them
//   NAME           once: the loss and all that is done with gradients
//
// By the chain rule the gradient is that of the whole batch. A sum of losses over a sum of weights
// needs no network in the first pass, since its gradient depends on the weights alone; then
// features has none, or is not there. Which cuts a gradient depends on is read off the gradient.
//
// Needs nothing. Keeps FACT_GRADLESS. Afterwards every node of what it made is live.
#include "passes/accumulate.h"
#include "passes/grad.h"
#include "passes/pass.h"

// ---- state --------------------------------------------------------------------------------------

typedef struct Names {
    Program *program;
    Arena *scratch;
    Map used; // in this step
} Names;

// Transient state of that type that this step does not use yet; steps of other phases share it.
static const char *new_state(Names *names, const Type *type)
{
    for (uint32_t i = 0;; i++) {
        const char *name = str_printf(names->program->arena, "$part.%u", i);
        const StateVar *known = program_find_state(names->program, name);
        if (map_get(&names->used, name) || (known && !type_equal(known->type, type))) continue;
        if (!known) program_state(names->program, name, STATE_TRANSIENT, type, (Loc){0});
        map_set(names->scratch, &names->used, name, names);
        return name;
    }
}

static const char *accumulator(const Split *s, const Trainee *t)
{
    const char *name = str_printf(s->program->arena, "$grad.%s", t->name);
    if (!program_find_state(s->program, name))
        program_state(s->program, name, STATE_TRANSIENT, graph_type(s->g, t->param), (Loc){0});
    return name;
}

static void update(const Split *s, Entry *e, const char *name, NodeId node)
{
    vec_push(s->program->arena, &e->updates, (NamedNode){name, node});
}

static Entry *new_entry(const Split *s, const char *what, int64_t batch)
{
    Entry *e = program_entry(s->program, str_printf(s->scratch, "%s.%s", s->step->name, what));
    e->graph->batch = batch;
    return e;
}

// ---- what gradients depend on -------------------------------------------------------------------

static bool is_smooth(const Node *n)
{
    return !(op_info(n->op)->flags & OPF_FLAT) &&
           (n->type->nparts || dtype_is_float(n->type->dtype));
}

// Give the cuts that lead to trained parameters state for their gradients, and say which parameters
// they lead to.
static void find_paths(Split *s, Names *names)
{
    const Graph *g = s->g;
    bool *leads = arena_array(s->scratch, bool, g->nodes.n),
         *reached = arena_array(s->scratch, bool, g->nodes.n);
    for (uint32_t i = 0; i < s->trainees.n; i++) leads[s->trainees.at[i].param] = true;
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        for (uint32_t i = 0; i < n->nargs && is_smooth(n); i++) leads[id] |= leads[n->args[i]];
    }
    for (uint32_t i = 0; i < s->cuts.n; i++) {
        Cut *cut = &s->cuts.at[i];
        const Type *type = cut_type(s, cut);
        cut->name = new_state(names, type);
        if (!leads[cut->node]) continue;
        cut->grad = new_state(names, type);
        reached[cut->node] = true;
    }
    for (NodeId id = g->nodes.n; id-- > 1;) {
        const Node *n = graph_node(g, id);
        for (uint32_t i = 0; i < n->nargs && reached[id] && is_smooth(n); i++)
            reached[n->args[i]] = true;
    }
    for (uint32_t i = 0; i < s->trainees.n; i++)
        s->trainees.at[i].local = reached[s->trainees.at[i].param];
}

// Cuts, by number, that a node of the coupled entry depends on.
static bool *cuts_below(const Split *s, const Graph *g, NodeId top)
{
    bool *below = arena_array(s->scratch, bool, g->nodes.n),
         *cuts = arena_array(s->scratch, bool, s->cuts.n + 1);
    below[top] = true;
    for (NodeId id = top; id > 0; id--) {
        const Node *n = graph_node(g, id);
        for (uint32_t i = 0; i < n->nargs && below[id]; i++) below[n->args[i]] = true;
        for (uint32_t i = 0; i < s->cuts.n && below[id] && n->op == OP_STATE; i++)
            if (strcmp(s->cuts.at[i].name, node_str(n, ATTR_NAME)) == 0) cuts[i] = true;
    }
    return cuts;
}

static bool is_early(const Split *s, const Graph *g, NodeId node)
{
    const bool *cuts = cuts_below(s, g, node);
    for (uint32_t i = 0; i < s->cuts.n; i++)
        if (cuts[i] && !s->cuts.at[i].early) return false;
    return true;
}

static bool is_zero(const Graph *g, NodeId node)
{
    double x;
    return graph_is_const(g, node, &x) && x == 0;
}

// ---- coupled ------------------------------------------------------------------------------------

// What the coupled entry can give: gradients of the cuts and of the trainees, and values.
typedef struct Wanted {
    Entry *e;
    NodeId *cuts, *trainees, *values, *knowns; // nodes, or 0
} Wanted;

static NodeId gradient(Graph *g, NodeId loss, NodeId x)
{
    return graph_add(g, OP_GRAD, 2, (NodeId[]){loss, x}, 0, NULL);
}

static bool differentiate(const Split *s, Entry *e)
{
    Copy c = copy_new(s, e->graph, false);
    c.needed[s->loss] = true;
    for (uint32_t i = 0; i < s->values.n; i++) c.needed[s->values.at[i]] = true;
    for (uint32_t i = 0; i < s->knowns.n; i++) c.needed[s->knowns.at[i].node] = true;
    copy_run(&c);
    NodeId loss = c.map[s->loss];
    for (uint32_t i = 0; i < s->cuts.n; i++)
        if (s->cuts.at[i].grad)
            update(s, e, s->cuts.at[i].grad,
                   gradient(e->graph, loss, part_state(s, e->graph, s->cuts.at[i].name)));
    for (uint32_t i = 0; i < s->trainees.n; i++)
        if (c.map[s->trainees.at[i].param])
            update(s, e, s->trainees.at[i].name,
                   gradient(e->graph, loss, c.map[s->trainees.at[i].param]));
    for (uint32_t i = 0; i < s->values.n; i++)
        update(s, e, str_printf(s->scratch, "%u", i), c.map[s->values.at[i]]);
    for (uint32_t i = 0; i < s->knowns.n; i++)
        update(s, e, str_printf(s->scratch, "known %u", i), c.map[s->knowns.at[i].node]);
    return autodiff_entry(e, s->scratch);
}

// Take the results apart again, by the order of their making.
static Wanted collect(const Split *s, Entry *e)
{
    Wanted w = {e, arena_array(s->scratch, NodeId, s->cuts.n + 1),
                arena_array(s->scratch, NodeId, s->trainees.n + 1),
                arena_array(s->scratch, NodeId, s->values.n + 1),
                arena_array(s->scratch, NodeId, s->knowns.n + 1)};
    uint32_t at = 0;
    for (uint32_t i = 0; i < s->cuts.n; i++)
        if (s->cuts.at[i].grad) w.cuts[i] = e->updates.at[at++].node;
    for (uint32_t i = 0; i < s->trainees.n; i++) {
        bool there =
            at < e->updates.n && strcmp(e->updates.at[at].name, s->trainees.at[i].name) == 0;
        if (there) w.trainees[i] = e->updates.at[at++].node;
        if (there && is_zero(e->graph, w.trainees[i])) w.trainees[i] = 0;
    }
    for (uint32_t i = 0; i < s->values.n; i++) w.values[i] = e->updates.at[at++].node;
    for (uint32_t i = 0; i < s->knowns.n; i++) w.knowns[i] = e->updates.at[at++].node;
    e->updates.n = 0;
    return w;
}

// A node of the coupled entry is wanted before the parts run again.
static void want_early(Split *s, const Graph *g, NodeId node)
{
    const bool *cuts = cuts_below(s, g, node);
    for (uint32_t i = 0; i < s->cuts.n; i++) s->cuts.at[i].early |= cuts[i];
}

static void put_knowns(Split *s, const Wanted *w, Names *names)
{
    for (uint32_t i = 0; i < s->knowns.n; i++) {
        Known *known = &s->knowns.at[i];
        known->name = new_state(names, graph_type(w->e->graph, w->knowns[i]));
        update(s, w->e, known->name, w->knowns[i]);
        want_early(s, w->e->graph, w->knowns[i]);
    }
}

static void put_cut_gradients(Split *s, const Wanted *w)
{
    for (uint32_t i = 0; i < s->cuts.n; i++) {
        Cut *cut = &s->cuts.at[i];
        if (cut->grad && is_zero(w->e->graph, w->cuts[i])) cut->grad = NULL;
        if (!cut->grad) continue;
        update(s, w->e, cut->grad, w->cuts[i]);
        want_early(s, w->e->graph, w->cuts[i]);
    }
}

// First values of the accumulators.
static void put_accumulators(Split *s, const Wanted *w)
{
    Graph *g = w->e->graph;
    for (uint32_t i = 0; i < s->trainees.n; i++) {
        Trainee *t = &s->trainees.at[i];
        t->direct = w->trainees[i] != 0;
        t->late = t->direct && !is_early(s, g, w->trainees[i]);
        bool begins = t->direct && !t->late;
        const Type *type = graph_type(s->g, t->param);
        NodeId zero = graph_broadcast_to(g, graph_const(g, type->dtype, 0), type->rank, type->axes);
        if (begins || t->local) update(s, w->e, accumulator(s, t), begins ? w->trainees[i] : zero);
    }
}

// Values that depend on early cuts alone are kept, so that the end of the update need not compute
// them again; not where it differentiates once more.
static const char **put_values(const Split *s, const Wanted *w, Names *names)
{
    const char **kept = arena_array(s->scratch, const char *, s->values.n + 1);
    for (uint32_t i = 0; i < s->trainees.n; i++)
        if (s->trainees.at[i].late) return kept;
    for (uint32_t i = 0; i < s->values.n; i++) {
        NodeId x = w->values[i];
        if (!is_early(s, w->e->graph, x)) continue;
        kept[i] = new_state(names, graph_type(w->e->graph, x));
        update(s, w->e, kept[i], x);
    }
    return kept;
}

// ---- the end of the update ----------------------------------------------------------------------

static NodeId whole_gradient(const Split *s, const Copy *c, const Trainee *t)
{
    Graph *g = c->to;
    NodeId sum = 0, late = t->late ? gradient(g, c->map[s->loss], c->map[t->param]) : 0;
    if (t->local || (t->direct && !t->late)) sum = part_state(s, g, accumulator(s, t));
    if (sum && late) return graph_binary(g, OP_ADD, sum, late);
    const Type *type = graph_type(s->g, t->param);
    if (!sum && !late)
        return graph_broadcast_to(g, graph_const(g, type->dtype, 0), type->rank, type->axes);
    return sum ? sum : late;
}

static void end_step(Split *s, const char *const *kept)
{
    Graph *to = graph_new(s->g->arena, s->g->diag, s->g->batch);
    Copy c = copy_new(s, to, false);
    Entry *e = s->step;
    for (uint32_t i = 0; i < s->values.n; i++)
        if (kept[i]) c.map[s->values.at[i]] = part_state(s, to, kept[i]);
    for (uint32_t i = 0; i < s->trainees.n; i++)
        if (s->trainees.at[i].late) c.needed[s->loss] = c.needed[s->trainees.at[i].param] = true;
    copy_run(&c);
    for (uint32_t i = 0; i < s->trainees.n; i++) {
        const Node *n = graph_node(s->g, s->trainees.at[i].grad);
        to->here = n->origins.n ? n->origins.at[0] : (Loc){0};
        c.map[s->trainees.at[i].grad] = whole_gradient(s, &c, &s->trainees.at[i]);
    }
    for (uint32_t i = 0; i < e->outputs.n; i++) c.needed[e->outputs.at[i].node] = true;
    for (uint32_t i = 0; i < e->updates.n; i++) c.needed[e->updates.at[i].node] = true;
    copy_run(&c);
    for (uint32_t i = 0; i < e->outputs.n; i++)
        e->outputs.at[i].node = c.map[e->outputs.at[i].node];
    for (uint32_t i = 0; i < e->updates.n; i++)
        e->updates.at[i].node = c.map[e->updates.at[i].node];
    e->graph = to;
    entry_compact(e);
}

static bool reads(const Entry *e, const char *state)
{
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op == OP_STATE && strcmp(node_str(n, ATTR_NAME), state) == 0) return true;
    }
    return false;
}

// ---- parts --------------------------------------------------------------------------------------

// The gradient of sum(cut * its gradient), over all cuts.
static NodeId surrogate(const Split *s, const Copy *c)
{
    Graph *g = c->to;
    NodeId all = 0;
    for (uint32_t i = 0; i < s->cuts.n; i++) {
        const Cut *cut = &s->cuts.at[i];
        if (!cut->grad) continue;
        NodeId x = c->map[cut->node];
        const Type *type = graph_type(g, x);
        NodeId dx = graph_cast(g, part_row(s, g, cut->grad, type), DT_F32);
        x = graph_binary(g, OP_MUL, graph_cast(g, x, DT_F32), dx);
        int64_t *axes = arena_array(s->scratch, int64_t, type->rank + 1);
        for (uint32_t a = 0; a < type->rank; a++) axes[a] = a;
        if (type->rank) x = graph_reduce(g, OP_SUM, x, axes, type->rank, false, true);
        all = all ? graph_binary(g, OP_ADD, all, x) : x;
    }
    return all;
}

static void put_cuts(const Split *s, const Copy *c, Entry *e, bool early)
{
    for (uint32_t i = 0; i < s->cuts.n; i++) {
        const Cut *cut = &s->cuts.at[i];
        if (cut->early == early && (early || reads(s->step, cut->name)))
            update(s, e, cut->name, part_put(s, e->graph, cut, c->map[cut->node]));
    }
}

// The values at early cuts; NULL where there are none.
static Entry *features(const Split *s)
{
    Entry *e = NULL;
    for (uint32_t i = 0; i < s->cuts.n && !e; i++)
        if (s->cuts.at[i].early) e = new_entry(s, "features", s->g->batch / s->parts);
    if (!e) return NULL;
    Copy c = copy_new(s, e->graph, true);
    for (uint32_t i = 0; i < s->cuts.n; i++) c.needed[s->cuts.at[i].node] = s->cuts.at[i].early;
    copy_run(&c);
    put_cuts(s, &c, e, true);
    entry_compact(e);
    return e;
}

static Entry *backward(const Split *s)
{
    Entry *e = new_entry(s, "backward", s->g->batch / s->parts);
    Copy c = copy_new(s, e->graph, true);
    for (uint32_t i = 0; i < s->cuts.n; i++)
        c.needed[s->cuts.at[i].node] = s->cuts.at[i].grad || !s->cuts.at[i].early;
    for (uint32_t i = 0; i < s->trainees.n; i++)
        if (s->trainees.at[i].local) c.needed[s->trainees.at[i].param] = true;
    for (uint32_t i = 0; i < s->knowns.n; i++)
        c.map[s->knowns.at[i].node] = part_state(s, e->graph, s->knowns.at[i].name);
    copy_run(&c);
    put_cuts(s, &c, e, false);
    NodeId sum = surrogate(s, &c);
    if (sum && s->program->memory) // pass save will ask what the forward part is
        vec_push(s->program->arena, &e->outputs, (NamedNode){"loss", sum});
    for (uint32_t i = 0; i < s->trainees.n && sum; i++) {
        const Trainee *t = &s->trainees.at[i];
        if (!t->local) continue;
        const char *name = accumulator(s, t);
        NodeId x = gradient(e->graph, sum, c.map[t->param]);
        update(s, e, name, graph_binary(e->graph, OP_ADD, part_state(s, e->graph, name), x));
    }
    entry_compact(e);
    return e;
}

// ---- steps --------------------------------------------------------------------------------------

static void run_before(const Split *s, const Entry *e, int64_t parts)
{
    if (e && e->updates.n) vec_push(s->program->arena, &s->step->before, (PartRun){e->name, parts});
}

static bool cut_step(Split *s)
{
    Names names = {s->program, s->scratch, {0}};
    find_paths(s, &names);
    Entry *coupled = new_entry(s, "coupled", s->g->batch);
    if (!differentiate(s, coupled)) return false;
    Wanted w = collect(s, coupled);
    put_cut_gradients(s, &w);
    put_knowns(s, &w, &names);
    put_accumulators(s, &w);
    end_step(s, put_values(s, &w, &names));
    entry_compact(coupled);
    run_before(s, features(s), s->parts);
    run_before(s, coupled, 1);
    run_before(s, backward(s), s->parts);
    return true;
}

// The host hands a part its rows of the whole batch.
static bool check_inputs(const Split *s)
{
    bool good = true;
    for (NodeId id = 1; id < s->g->nodes.n; id++) {
        const Node *n = graph_node(s->g, id);
        uint32_t axis = 0;
        if (!s->live[id] || n->op != OP_INPUT || !part_axis(n->type, &axis) || !axis) continue;
        diag_error(s->g->diag, n->origins.n ? n->origins.at[0] : (Loc){0},
                   "input '%s' has its batch axis at place %u; parts of a batch need it first",
                   node_str(n, ATTR_NAME), axis);
        good = false;
    }
    return good;
}

// Steps of several shapes have each their own batch.
static bool check_parts(Program *p, const Entry *e)
{
    if (e->graph->batch % p->accumulate == 0) return true;
    diag_error(p->diag, (Loc){0}, "a batch of %lld is not %lld equal parts",
               (long long)e->graph->batch, (long long)p->accumulate);
    return false;
}

bool pass_accumulate(Program *p, PassContext *ctx)
{
    if (p->accumulate == 1) return true;
    bool good = true;
    for (uint32_t i = 0, n = p->entries.n; good && i < n; i++) {
        Entry *e = p->entries.at[i];
        Split s = {.program = p,
                   .step = e,
                   .g = e->graph,
                   .scratch = ctx->scratch,
                   .parts = p->accumulate,
                   .live = entry_live(e, ctx->scratch)};
        if (!accumulate_find(&s) || !s.cuts.n) continue; // eval has no gradient
        good =
            check_parts(p, e) && check_inputs(&s) && entry_check_batch(e, p->diag) && cut_step(&s);
    }
    p->accumulate = 1;
    return good;
}
