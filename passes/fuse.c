// Fusion: nodes -> groups, one kernel each.
//
// Nodes are taken in order. A pointwise node or a reduction joins the group of one of its operands
// when every operand inside that group is seen at the very point where it is computed (checked on
// index expressions, so any chain of reshapes and broadcasts is understood), the group's split into
// outer, reduced and inner points allows it, and no cycle between groups arises. Groups that meet
// in a node are merged under the same conditions. Last, a pointwise group over the result of a
// contraction becomes its epilogue. No op or function is known by name: layer norm, softmax or a
// loss are one group because their reductions share a split.
#include "passes/lower.h"

enum { MOST_MEMBERS = 256 };

static Group *group_at(const Grouping *gr, uint32_t k)
{
    return &gr->groups.at[k];
}

static uint32_t add_group(Grouping *gr, GroupKind kind, int64_t total)
{
    if (gr->groups.n == gr->graph->nodes.n) bug("more groups than nodes");
    gr->groups.at[gr->groups.n] =
        (Group){.kind = kind, .total = total, .outer = total, .red = 1, .inner = 1};
    return gr->groups.n++;
}

static void note_source(void *ctx, NodeId source, uint32_t operand, bool exact)
{
    (void)operand, (void)exact;
    Grouping *gr = ctx;
    vec_push(gr->arena, &gr->sources, source);
}

// The nodes that a node reads; good until the next call.
static const Nodes *node_reads(Grouping *gr, NodeId id)
{
    gr->sources.n = 0;
    visit_sources(gr, id, note_source, gr);
    return &gr->sources;
}

// ---- does a node fit at the points of a group?
// ---------------------------------------------------

typedef struct Fit {
    const Grouping *gr;
    IndexPool pool;
    const Group *shape;    // with the split to be tried
    uint32_t inside, also; // groups that count as inside
    IndexId a, r, c;
    NodeId node;
    Level level;
    bool ok;
} Fit;

void reduce_coordinates(IndexPool *pool, const Node *n, const Type *of, const IndexId *at,
                        IndexId red, IndexId *to)
{
    uint32_t count, kept = 0;
    const int64_t *axes = node_ints(n, ATTR_AXES, &count);
    int64_t *sizes = arena_array(pool->arena, int64_t, count + 1);
    IndexId *parts = arena_array(pool->arena, IndexId, count + 1);
    for (uint32_t i = 0; i < count; i++) sizes[i] = of->axes[axes[i]].size;
    index_split(pool, red, count, sizes, parts);
    for (uint32_t i = 0, next = 0; i < of->rank; i++) {
        bool reduced = next < count && axes[next] == (int64_t)i;
        to[i] = reduced ? parts[next++] : at[kept++];
    }
}

// Coordinates of the operands of a member at the point (a, r, c).
static const IndexId *operand_coordinates(Fit *fit)
{
    const Node *n = graph_node(fit->gr->graph, fit->node);
    Arena *arena = fit->pool.arena;
    IndexId linear = level_linear(&fit->pool, fit->shape, fit->level, fit->a, fit->r, fit->c);
    IndexId *at = arena_array(arena, IndexId, n->type->rank + 1);
    index_split(&fit->pool, linear, n->type->rank, type_sizes(arena, n->type), at);
    if (op_info(n->op)->class != CLASS_REDUCE) return at;
    const Type *of = graph_type(fit->gr->graph, n->args[0]);
    IndexId *to = arena_array(arena, IndexId, of->rank + 1);
    IndexId red = fit->level == LEVEL_COLUMN ? fit->a : fit->r;
    reduce_coordinates(&fit->pool, n, of, at, red, to);
    return to;
}

static bool inside(const Fit *fit, NodeId id)
{
    uint32_t k = fit->gr->group_of[id];
    return k && (k - 1 == fit->inside || k - 1 == fit->also);
}

// Nothing that the operand shows may lie inside: it is seen at other points.
static void fit_elsewhere(Fit *fit, NodeId operand)
{
    const Node *n = graph_node(fit->gr->graph, operand);
    if (!op_is_view(n->op)) {
        if (inside(fit, operand)) fit->ok = false;
        return;
    }
    for (uint32_t i = 0; i < n->nargs; i++) fit_elsewhere(fit, n->args[i]);
}

static void fit_operand(Fit *fit, NodeId operand, const IndexId *at)
{
    const Graph *g = fit->gr->graph;
    NodeId source = view_source(&fit->pool, g, operand, &at);
    const Node *n = graph_node(g, source);
    if (op_is_view(n->op)) fit_elsewhere(fit, source);
    if (op_is_view(n->op) || !inside(fit, source)) return;
    Level level = fit->gr->level[source];
    IndexId expected = level_linear(&fit->pool, fit->shape, level, fit->a, fit->r, fit->c);
    IndexId seen =
        index_linear(&fit->pool, n->type->rank, at, type_sizes(fit->pool.arena, n->type));
    bool reduces = op_info(graph_node(g, fit->node)->op)->class == CLASS_REDUCE;
    if (level == LEVEL_COLUMN || seen != expected || (reduces && level != LEVEL_FULL))
        fit->ok = false;
    if (fit->level == LEVEL_OUTER && !reduces && level != LEVEL_OUTER) fit->ok = false;
}

// Are the operands of node that lie in group `inside` (or `also`) seen where they are computed?
static bool fits(const Grouping *gr, const Group *shape, uint32_t inside, uint32_t also,
                 NodeId node, Level level)
{
    Arena *scratch = arena_new();
    Fit fit = {.gr = gr,
               .shape = shape,
               .inside = inside,
               .also = also,
               .node = node,
               .level = level,
               .ok = true};
    index_init(&fit.pool, scratch);
    fit.a = index_axis(&fit.pool, 0, shape->outer);
    fit.r = index_axis(&fit.pool, 1, shape->red);
    fit.c = index_axis(&fit.pool, 2, shape->inner);
    const Node *n = graph_node(gr->graph, node);
    const IndexId *at = operand_coordinates(&fit);
    for (uint32_t i = 0; i < n->nargs && fit.ok; i++)
        if (n->op == OP_RANDOM || n->op == OP_GATHER) // operands of other shapes
            fit_elsewhere(&fit, n->args[i]);
        else
            fit_operand(&fit, n->args[i], at);
    arena_free(scratch);
    return fit.ok;
}

// ---- splits ------------------------------------------------------------------------------------

// A reduction's operand as before * reduced * after points.
bool reduction_extent(const Graph *g, const Node *n, int64_t *before, int64_t *red, int64_t *after)
{
    const Type *of = graph_type(g, n->args[0]);
    uint32_t count, next = 0;
    const int64_t *axes = node_ints(n, ATTR_AXES, &count);
    *before = *red = *after = 1;
    bool past = false;
    for (uint32_t i = 0; i < of->rank; i++) {
        int64_t size = of->axes[i].size;
        if (next < count && axes[next] == (int64_t)i) {
            if (past && size > 1 && *after > 1) return false; // not one run of axes
            *red *= size;
            next++;
            past = true;
        } else if (past) {
            *after *= size;
        } else {
            *before *= size;
        }
    }
    return true;
}

static bool set_split(Group *gp, Split split, int64_t outer, int64_t red, int64_t inner)
{
    bool same = gp->outer == outer && gp->red == red && gp->inner == inner;
    if (gp->split == SPLIT_NONE || (gp->split == split && same)) {
    } else if (gp->split == SPLIT_COLUMN && split == SPLIT_ROW && gp->outer == outer &&
               gp->inner == red) {
    } else {
        return false;
    }
    gp->split = split;
    gp->outer = outer;
    gp->red = red;
    gp->inner = inner;
    return true;
}

enum { COLUMN_ROWS = 512 }; // sums over fewer leading points are not worth a second stage

// Give gp the split that reduction n asks for; false when it has another. gp is a copy to try on.
static bool split_for(const Graph *g, const Node *n, Group *gp, Level *level)
{
    int64_t before, red, after;
    *level = LEVEL_OUTER;
    if (!reduction_extent(g, n, &before, &red, &after)) bug("reduction over scattered axes");
    if (before * red * after != gp->total) return false;
    if (after == 1) return set_split(gp, SPLIT_ROW, before, red, 1);
    bool column = before == 1 && red >= COLUMN_ROWS;
    if (!column) return set_split(gp, SPLIT_MIDDLE, before, red, after);
    *level = LEVEL_COLUMN;
    gp->columns = true;
    if (gp->split == SPLIT_ROW) return gp->outer == red && gp->red == after;
    return set_split(gp, SPLIT_COLUMN, red, 1, after);
}

// Unify the splits of two groups over the same total, into `to`.
static bool unify(Group *to, const Group *from)
{
    to->columns |= from->columns;
    if (from->split == SPLIT_NONE) return true;
    if (to->split == SPLIT_ROW && from->split == SPLIT_COLUMN)
        return to->outer == from->outer && to->red == from->inner;
    return set_split(to, from->split, from->outer, from->red, from->inner);
}

// ---- joining -----------------------------------------------------------------------------------

static bool is_again(const Grouping *gr, NodeId id)
{
    return graph_node(gr->graph, id)->copy >= COPY_AGAIN;
}

// What is computed again to save memory would be kept after all in a kernel that runs early.
static bool apart(const Group *x, const Group *y)
{
    return (x->again && y->early) || (x->early && y->again);
}

static void put(Grouping *gr, uint32_t k, NodeId id, Level level)
{
    Group *gp = group_at(gr, k);
    if (!gp->members.n) gp->rank = (uint64_t)id << 32; // room for groups that rise
    vec_push(gr->arena, &gp->members, id);
    gp->again |= is_again(gr, id);
    gp->early |= id < gr->again;
    gr->group_of[id] = k + 1;
    gr->level[id] = (uint8_t)level;
    const Nodes *reads = node_reads(gr, id);
    for (uint32_t i = 0; i < reads->n; i++) group_read(gr, k, id, reads->at[i]);
}

static bool join(Grouping *gr, uint32_t k, NodeId id)
{
    Group tried = *group_at(gr, k);
    const Node *n = graph_node(gr->graph, id);
    const Nodes *reads = node_reads(gr, id);
    Level level = LEVEL_FULL;
    if (tried.kind != GROUP_LOOP || tried.gone || tried.members.n >= MOST_MEMBERS) return false;
    if (tried.early && is_again(gr, id)) return false;
    if (op_info(n->op)->class == CLASS_REDUCE) {
        if (!split_for(gr->graph, n, &tried, &level)) return false;
    } else if (type_count(n->type) != tried.total) {
        bool outer = (tried.split == SPLIT_ROW || tried.split == SPLIT_MIDDLE) &&
                     type_count(n->type) == tried.outer * tried.inner;
        if (!outer || !group_follows(gr, reads, k, k)) return false;
        level = LEVEL_OUTER;
    }
    if (!fits(gr, &tried, k, k, id, level)) return false;
    if (group_waits(gr, reads, k, k)) return false; // no operand may wait for k elsewhere
    *group_at(gr, k) = tried;
    put(gr, k, id, level);
    return true;
}

// Is there a way from one group to the other that leads through a third?
static bool detour(Grouping *gr, uint32_t from, uint32_t to)
{
    return group_waits(gr, &group_at(gr, to)->reads, to, from);
}

static void absorb(Grouping *gr, uint32_t k, uint32_t other)
{
    Group *from = group_at(gr, other);
    Nodes all = {0};
    const Group *to = group_at(gr, k);
    for (uint32_t i = 0, j = 0; i < to->members.n || j < from->members.n;) {
        bool first =
            j == from->members.n || (i < to->members.n && to->members.at[i] < from->members.at[j]);
        vec_push(gr->arena, &all, first ? to->members.at[i++] : from->members.at[j++]);
    }
    for (uint32_t j = 0; j < from->members.n; j++) gr->group_of[from->members.at[j]] = k + 1;
    group_at(gr, k)->members = all;
    group_at(gr, k)->again |= from->again;
    group_at(gr, k)->early |= from->early;
    from->gone = true;
    group_read_all(gr, k, other);
}

static bool merge(Grouping *gr, uint32_t k, uint32_t other)
{
    const Group *x = group_at(gr, k), *y = group_at(gr, other);
    if (y->kind != GROUP_LOOP || y->gone || x->total != y->total || apart(x, y)) return false;
    if (x->members.n + y->members.n > MOST_MEMBERS) return false;
    Group tried = *x;
    if (!unify(&tried, y) || detour(gr, k, other) || detour(gr, other, k)) return false;
    for (uint32_t i = 0; i < x->members.n; i++)
        if (!fits(gr, &tried, k, other, x->members.at[i], gr->level[x->members.at[i]]))
            return false;
    for (uint32_t i = 0; i < y->members.n; i++)
        if (!fits(gr, &tried, k, other, y->members.at[i], gr->level[y->members.at[i]]))
            return false;
    *group_at(gr, k) = tried;
    absorb(gr, k, other);
    return true;
}

typedef struct Candidates {
    const Grouping *gr;
    VEC(uint32_t) at; // falling, each once
} Candidates;

static void candidate(void *ctx, NodeId source, uint32_t operand, bool exact)
{
    (void)operand;
    Candidates *c = ctx;
    uint32_t k = c->gr->group_of[source], i = 0;
    if (!k || !exact) return;
    while (i < c->at.n && c->at.at[i] > k - 1) i++;
    if (i < c->at.n && c->at.at[i] == k - 1) return;
    vec_push(c->gr->arena, &c->at, 0);
    memmove(&c->at.at[i + 1], &c->at.at[i], (c->at.n - 1 - i) * sizeof(uint32_t));
    c->at.at[i] = k - 1;
}

// A pointwise group of one point a row that reads what group k of rows makes, and waits for nothing
// else that k does not wait for, becomes part of k: its values are of level OUTER there.
static bool take_rows(Grouping *gr, uint32_t k, uint32_t other)
{
    const Group *x = group_at(gr, k), *y = group_at(gr, other);
    bool rows = x->split == SPLIT_ROW || x->split == SPLIT_MIDDLE;
    if (x->kind != GROUP_LOOP || x->gone || y->kind != GROUP_LOOP || y->gone || !rows ||
        y->split != SPLIT_NONE || apart(x, y))
        return false;
    if (y->total != x->outer * x->inner || x->total == y->total) return false;
    if (x->members.n + y->members.n > MOST_MEMBERS || !group_follows(gr, &y->reads, other, k))
        return false;
    if (detour(gr, k, other) || detour(gr, other, k)) return false;
    bool ok = true;
    for (uint32_t i = 0; i < y->members.n; i++) gr->level[y->members.at[i]] = LEVEL_OUTER;
    for (uint32_t i = 0; i < y->members.n && ok; i++)
        ok = fits(gr, x, k, other, y->members.at[i], LEVEL_OUTER);
    for (uint32_t i = 0; i < x->members.n && ok; i++)
        ok = fits(gr, x, k, other, x->members.at[i], gr->level[x->members.at[i]]);
    for (uint32_t i = 0; i < y->members.n && !ok; i++) gr->level[y->members.at[i]] = LEVEL_FULL;
    if (ok) absorb(gr, k, other);
    return ok;
}

// A value of one point a row, over rows of several groups: the groups of its operands become one,
// which it joins. So the parts of a cosine or of a loss at a target, each a reduction of its own,
// share a kernel. Gives the group or UINT32_MAX.
static uint32_t join_rows(Grouping *gr, NodeId id, const Candidates *c)
{
    int64_t count = type_count(graph_type(gr->graph, id));
    for (uint32_t i = 0; i < c->at.n; i++) {
        uint32_t k = c->at.at[i];
        const Group *gp = group_at(gr, k);
        bool rows = gp->split == SPLIT_ROW || gp->split == SPLIT_MIDDLE;
        if (gp->gone || gp->kind != GROUP_LOOP || !rows || gp->outer * gp->inner != count ||
            gp->total == count)
            continue;
        bool merged = false;
        for (uint32_t j = 0; j < c->at.n; j++)
            if (j != i && !group_at(gr, c->at.at[j])->gone) merged |= merge(gr, k, c->at.at[j]);
        if (merged && join(gr, k, id)) return k;
    }
    return UINT32_MAX;
}

// A pointwise group over a contraction's result becomes its epilogue; the last such contraction is
// taken. One that rounds the result to 16 bits does so at once (early), before what follows can
// make a row of it: the f32 result is not stored then. Another may come behind that. So does the
// sum of pieces.
static void take_epilogue(Grouping *gr, uint32_t k, bool early)
{
    Candidates c = {.gr = gr};
    Group *gp = group_at(gr, k);
    if (gp->kind != GROUP_LOOP || gp->gone || gp->split != SPLIT_NONE) return;
    for (uint32_t i = 0; i < gp->members.n; i++)
        visit_sources(gr, gp->members.at[i], candidate, &c);
    for (uint32_t i = 0; i < c.at.n; i++) {
        uint32_t d = c.at.at[i];
        const Group *dot = group_at(gr, d);
        if (d == k || dot->kind != GROUP_DOT || dot->total != gp->total || apart(dot, gp)) continue;
        if (dot->members.n > 1 && !dot->rounds) continue;
        bool ok = !detour(gr, d, k);
        for (uint32_t m = 0; m < gp->members.n && ok; m++)
            ok = fits(gr, gp, k, d, gp->members.at[m], LEVEL_FULL);
        if (!ok) continue;
        group_at(gr, d)->rounds = early && dot->members.n == 1;
        absorb(gr, d, k);
        return;
    }
}

// The sum of two products that are pieces of one (pass stream): it is made as they come, so that
// they need not be kept until the last is there.
static bool adds_pieces(const Grouping *gr, const Node *n)
{
    bool all = n->op == OP_ADD;
    for (uint32_t i = 0; i < n->nargs && all; i++) {
        uint32_t k = gr->group_of[n->args[i]];
        const Group *gp = k ? group_at(gr, k - 1) : NULL;
        all = gp && gp->kind == GROUP_DOT && graph_node(gr->graph, gp->members.at[0])->copy;
    }
    return all;
}

static void place_loop_node(Grouping *gr, NodeId id, uint32_t mask)
{
    const Node *n = graph_node(gr->graph, id);
    bool reduces = op_info(n->op)->class == CLASS_REDUCE;
    Candidates c = {.gr = gr};
    visit_sources(gr, id, candidate, &c);
    uint32_t found = UINT32_MAX;
    for (uint32_t i = 0; i < c.at.n && found == UINT32_MAX; i++) {
        bool with_reduction = reduces || group_at(gr, c.at.at[i])->split != SPLIT_NONE;
        if ((mask & (with_reduction ? FUSE_REDUCE : FUSE_POINTWISE)) && join(gr, c.at.at[i], id))
            found = c.at.at[i];
    }
    if (found == UINT32_MAX && !reduces && (mask & FUSE_REDUCE)) found = join_rows(gr, id, &c);
    if (found == UINT32_MAX) {
        const Type *domain = reduces ? graph_type(gr->graph, n->args[0]) : n->type;
        found = add_group(gr, GROUP_LOOP, type_count(domain));
        Level level = LEVEL_FULL;
        if (reduces && !split_for(gr->graph, n, group_at(gr, found), &level)) bug("fresh group");
        put(gr, found, id, level);
    } else if (gr->level[id] == LEVEL_FULL && (mask & FUSE_POINTWISE)) {
        for (uint32_t i = 0; i < c.at.n; i++)
            if (c.at.at[i] != found) merge(gr, found, c.at.at[i]);
        for (uint32_t i = 0; i < c.at.n && (mask & FUSE_REDUCE); i++)
            if (c.at.at[i] != found && take_rows(gr, c.at.at[i], found)) break;
    }
    if ((mask & FUSE_EPILOGUE) && (op_narrows(gr->graph, n) || adds_pieces(gr, n)))
        take_epilogue(gr, found, true);
}

static void place_engine(Grouping *gr, NodeId id, GroupKind kind)
{
    const Type *type = graph_type(gr->graph, id);
    uint32_t k = add_group(gr, kind, type->nparts ? 0 : type_count(type));
    put(gr, k, id, LEVEL_FULL);
}

static GroupKind attention_kind(OpCode op)
{
    if (op == OP_ATTENTION) return GROUP_ATTENTION;
    return op == OP_ATTENTION_GRAD ? GROUP_ATTENTION_GRAD : GROUP_ATTENTION_BIAS_GRAD;
}

static void place(Grouping *gr, NodeId id, uint32_t mask)
{
    const Node *n = graph_node(gr->graph, id);
    switch (op_info(n->op)->class) {
    case CLASS_LEAF:
    case CLASS_VIEW: return;
    case CLASS_CONTRACT: place_engine(gr, id, GROUP_DOT); return;
    case CLASS_SCATTER: place_engine(gr, id, GROUP_SCATTER); return;
    case CLASS_ORDERED: place_engine(gr, id, GROUP_ORDERED); return;
    case CLASS_ATTENTION: place_engine(gr, id, attention_kind(n->op)); return;
    case CLASS_TUPLE: put(gr, gr->group_of[n->args[0]] - 1, id, LEVEL_FULL); return;
    case CLASS_GRADIENT: bug("grad reached fuse");
    default:
        if (n->op != OP_STOP_GRADIENT) place_loop_node(gr, id, mask);
    }
}

// What outputs and updates name must be a member: views and leaves get a group that copies them.
static void place_root(Grouping *gr, NodeId id)
{
    if (gr->group_of[id]) return;
    uint32_t k = add_group(gr, GROUP_LOOP, type_count(graph_type(gr->graph, id)));
    put(gr, k, id, LEVEL_FULL);
}

// Can operand id be read with fixed strides along its axes from number `outer` on (dense: in
// row-major order)?
static bool reads_in_place(const Grouping *gr, NodeId id, uint32_t outer, bool dense)
{
    Arena *scratch = arena_new();
    IndexPool pool;
    index_init(&pool, scratch);
    const Type *type = graph_type(gr->graph, id);
    IndexId *own = arena_array(scratch, IndexId, type->rank + 1), index = 0, rest;
    for (uint32_t i = 0; i < type->rank; i++) own[i] = index_axis(&pool, i, type->axes[i].size);
    const IndexId *at = own;
    NodeId source = view_source(&pool, gr->graph, id, &at);
    const Node *n = graph_node(gr->graph, source);
    bool ok = (!op_is_view(n->op) || gr->layout->assembled[source]) && n->op != OP_CONST &&
              n->op != OP_IOTA;
    const int64_t *stride = gr->layout->stride[source];
    for (uint32_t i = 0; ok && i < n->type->rank; i++)
        index = index_add(&pool, index, index_mul(&pool, at[i], stride[i]));
    if (ok && dense)
        ok = !gr->layout->part[source] &&
             index == index_linear(&pool, type->rank, own, type_sizes(scratch, type));
    for (uint32_t i = outer; ok && !dense && i < type->rank; i++) {
        int64_t stride_here;
        ok = index_affine(&pool, index, i, &stride_here, &rest);
        index = rest;
    }
    arena_free(scratch);
    return ok;
}

// Operands of attention, scatter and ordered ops that no stride can reach get a group that copies
// them.
static void place_operands(Grouping *gr, NodeId id)
{
    const Node *n = graph_node(gr->graph, id);
    OpClass class = op_info(n->op)->class;
    bool dense = class == CLASS_SCATTER || class == CLASS_ORDERED;
    if (class != CLASS_ATTENTION && !dense) return;
    uint32_t outer = dense ? 0 : graph_type(gr->graph, n->args[0])->rank - 2;
    for (uint32_t i = 0; i < n->nargs; i++) {
        NodeId x = n->args[i];
        if (gr->group_of[x] || reads_in_place(gr, x, outer, dense)) continue;
        place_root(gr, x);
        group_read(gr, gr->group_of[id] - 1, id, x);
    }
}

static Grouping *groups_form(Arena *arena, const Layout *layout, uint32_t mask)
{
    Grouping *gr = arena_make(arena, Grouping);
    const Graph *g = layout->graph;
    const Entry *entry = layout->entry;
    *gr = (Grouping){.arena = arena, .graph = g, .layout = layout};
    gr->groups.at = arena_array(arena, Group, g->nodes.n);
    gr->group_of = arena_array(arena, uint32_t, g->nodes.n);
    gr->level = arena_array(arena, uint8_t, g->nodes.n);
    for (gr->again = 1; gr->again < g->nodes.n && !is_again(gr, gr->again);) gr->again++;
    for (NodeId id = 1; id < g->nodes.n; id++)
        if (layout->live[id]) place(gr, id, mask);
    if (mask & FUSE_EPILOGUE)
        for (uint32_t k = 0; k < gr->groups.n; k++) take_epilogue(gr, k, false);
    for (NodeId id = 1; id < g->nodes.n; id++)
        if (layout->live[id]) place_operands(gr, id);
    for (uint32_t i = 0; i < entry->outputs.n; i++) place_root(gr, entry->outputs.at[i].node);
    for (uint32_t i = 0; i < entry->updates.n; i++) place_root(gr, entry->updates.at[i].node);
    return gr;
}

bool pass_fuse(Program *p, PassContext *ctx)
{
    Lowering *lowering = ctx->options->lowering;
    for (uint32_t i = 0; i < p->entries.n; i++) {
        Lower *e = &lowering->entries[i];
        e->gr = groups_form(lowering->arena, e->layout, lowering->mask);
        groups_store(e->gr, lowering->mask);
    }
    return true;
}
