// Large products that are reduced at once are never stored whole: the nodes around one are computed
// in pieces along one of its axes, with what is made of each piece before the next.
//
// A region (stream_region.c) is rebuilt sweep by sweep, a sweep piece by piece. Results that keep
// the axis are concatenated, sums along it added up in rising order. What a later sweep needs of
// something large it computes again, by nodes with another copy number. All nodes of pieces have
// one, so that no other pass joins them and no region is cut twice.
//
// Needs FACT_GRADLESS. Keeps it. Afterwards every node is live.
#include "passes/stream.h"

#include "passes/rewrite.h"

enum {
    ABOVE = 64 << 20, // bytes of a product that is cut
    PIECE = 16 << 20, // bytes of its pieces
    PIECES = 64,      // no more, where their size is free: each has launches of its own
    GRAIN = 64 // rows of a piece are a multiple of this where there are as many; fewer rows of
               // an operand are not worth walking over the other
};

// A region being rebuilt. Things to do are old nodes outside of it (by id) and sweeps (number of
// nodes + sweep).
typedef struct Build {
    const Region *r;
    const Graph *from;
    Graph *to;
    Arena *scratch;
    NodeId *map;    // old id -> whole value in the new graph
    NodeId *piece;  // old id -> its piece, in this round
    NodeId **parts; // old id -> pieces of what is put together
    uint32_t pieces;
    int64_t rows; // of a piece
    bool *done;   // by thing
    VEC(uint32_t) todo;
} Build;

// ---- pieces -------------------------------------------------------------------------------------

static Piece piece_at(const Build *b, uint32_t i, uint32_t sweep)
{
    int64_t lo = i * b->rows, left = b->r->rows - lo;
    return (Piece){lo, left < b->rows ? left : b->rows, sweep + 1};
}

// A piece of a value from outside. Views are taken of pieces, so that they stay what they are.
static NodeId window(Build *b, NodeId id, int64_t axis, Piece piece)
{
    const Node *n = graph_node(b->from, id);
    int64_t *at = arena_array(b->scratch, int64_t, n->nargs + 1);
    bool view = op_info(n->op)->class == CLASS_VIEW || n->op == OP_IOTA;
    if (!view || b->r->role[id] || !cut_operands(b->from, n, axis, at))
        return cut_window(b->to, b->map[id], axis, piece);
    NodeId *args = arena_array(b->scratch, NodeId, n->nargs + 1);
    for (uint32_t i = 0; i < n->nargs; i++)
        args[i] = at[i] < 0 ? b->map[n->args[i]] : window(b, n->args[i], at[i], piece);
    return cut_node(b->to, n, args, axis, piece);
}

static NodeId make_piece(Build *b, NodeId id, uint32_t sweep, Piece piece)
{
    const Region *r = b->r;
    const Node *n = graph_node(b->from, id);
    int64_t *at = arena_array(b->scratch, int64_t, n->nargs + 1);
    NodeId *args = arena_array(b->scratch, NodeId, n->nargs + 1);
    uint32_t before = b->to->nodes.n;
    region_operands(r, id, at);
    b->to->here = n->origins.n ? n->origins.at[0] : (Loc){0};
    for (uint32_t i = 0; i < n->nargs; i++) {
        NodeId x = n->args[i];
        bool here = region_has(r, x, at[i]) && r->need[sweep][x];
        args[i] = here ? b->piece[x] : at[i] < 0 ? b->map[x] : window(b, x, at[i], piece);
    }
    bool sums = r->role[id] == ROLE_SUM;
    NodeId made = cut_node(b->to, n, args, sums ? CUT_SUMS : r->axis[id], piece);
    if (!made) bug("stream: no piece of node %%%u (%s)", id, op_info(n->op)->name);
    for (NodeId k = before; k < b->to->nodes.n; k++) rewrite_origins(b->to, k, n);
    return made;
}

// ---- what pieces come to ------------------------------------------------------------------------

// The log of the sum of the exponentials of all is that of the log-sum-exps of pieces.
static NodeId logsumexp_of(Build *b, NodeId id)
{
    const Type *type = graph_node(b->from, id)->type;
    Axis *axes = arena_array(b->scratch, Axis, type->rank + 1);
    NodeId *rows = arena_array(b->scratch, NodeId, b->pieces);
    axes[0].size = 1;
    for (uint32_t i = 0; i < type->rank; i++) axes[i + 1].size = type->axes[i].size;
    for (uint32_t i = 0; i < b->pieces; i++)
        rows[i] = graph_reshape(b->to, b->parts[id][i], type->rank + 1, axes);
    int64_t first = 0;
    NodeId all = graph_concat(b->to, b->pieces, rows, 0);
    return graph_reduce(b->to, OP_LOGSUMEXP, all, &first, 1, false, false);
}

// The axes' kinds as they were.
static NodeId kinds_of(Build *b, NodeId id, NodeId made)
{
    const Type *want = graph_node(b->from, id)->type;
    for (uint32_t i = 0; i < want->rank; i++) {
        if (!want->axes[i].per == !graph_type(b->to, made)->axes[i].per) continue;
        Attr axis = attr_int(ATTR_AXIS, i);
        OpCode op = want->axes[i].per ? OP_BATCH_SPLIT : OP_BATCH_GATHER;
        made = graph_add(b->to, op, 1, &made, 1, &axis);
    }
    if (!type_equal(want, graph_type(b->to, made))) bug("stream: %%%u changes its type", id);
    return made;
}

// Sums are added up as their pieces come, so that these need not be kept.
static void keep_part(Build *b, NodeId id, uint32_t i)
{
    bool adds = b->r->role[id] == ROLE_SUM && graph_node(b->from, id)->op != OP_LOGSUMEXP;
    b->parts[id][i] = b->piece[id];
    if (adds && i > 0) {
        const Node *n = graph_node(b->from, id);
        OpCode by = n->op == OP_REDUCE_MAX ? OP_MAX : n->op == OP_REDUCE_MIN ? OP_MIN : OP_ADD;
        b->parts[id][i] = graph_binary(b->to, by, b->parts[id][i - 1], b->piece[id]);
    }
}

static void put_together(Build *b, NodeId id)
{
    const Node *n = graph_node(b->from, id);
    uint32_t before = b->to->nodes.n;
    NodeId made;
    b->to->here = n->origins.n ? n->origins.at[0] : (Loc){0};
    if (b->r->role[id] == ROLE_SMALL)
        made = graph_concat(b->to, b->pieces, b->parts[id], b->r->axis[id]);
    else if (n->op == OP_LOGSUMEXP)
        made = logsumexp_of(b, id);
    else
        made = graph_cast(b->to, b->parts[id][b->pieces - 1], n->type->dtype);
    b->map[id] = kinds_of(b, id, made);
    for (NodeId k = before; k < b->to->nodes.n; k++) rewrite_origins(b->to, k, n);
}

// Is it asked for whole?
static bool is_result(const Region *r, NodeId id)
{
    return r->role[id] == ROLE_SUM || (r->role[id] == ROLE_SMALL && r->whole[id]);
}

static void make_sweep(Build *b, uint32_t sweep)
{
    const Region *r = b->r;
    VEC(NodeId) ids = {0}, results = {0};
    for (NodeId id = 1; id < b->from->nodes.n; id++) {
        if (!r->need[sweep][id]) continue;
        vec_push(b->scratch, &ids, id);
        if (r->level[id] != sweep || !is_result(r, id)) continue;
        vec_push(b->scratch, &results, id);
        b->parts[id] = arena_array(b->scratch, NodeId, b->pieces);
    }
    for (uint32_t i = 0; i < b->pieces; i++) {
        for (uint32_t k = 0; k < ids.n; k++)
            b->piece[ids.at[k]] = make_piece(b, ids.at[k], sweep, piece_at(b, i, sweep));
        for (uint32_t k = 0; k < results.n; k++) keep_part(b, results.at[k], i);
    }
    for (uint32_t k = 0; k < results.n; k++) put_together(b, results.at[k]);
}

// ---- order --------------------------------------------------------------------------------------

// What must be done for a whole value to be there.
static uint32_t thing_of(const Build *b, NodeId id)
{
    return b->r->role[id] ? b->from->nodes.n + b->r->level[id] : id;
}

static void ask(Build *b, uint32_t thing)
{
    if (!b->done[thing]) vec_push(b->scratch, &b->todo, thing);
}

static void ask_for_operands(Build *b, uint32_t thing)
{
    const Region *r = b->r;
    if (thing < b->from->nodes.n) {
        const Node *n = graph_node(b->from, thing);
        for (uint32_t i = n->nargs; i-- > 0;) ask(b, thing_of(b, n->args[i]));
        return;
    }
    const bool *need = r->need[thing - b->from->nodes.n];
    for (NodeId id = b->from->nodes.n; id-- > 1;) {
        const Node *n = graph_node(b->from, id);
        if (!need[id]) continue;
        int64_t *at = arena_array(b->scratch, int64_t, n->nargs + 1);
        region_operands(r, id, at);
        for (uint32_t i = n->nargs; i-- > 0;)
            if (!region_has(r, n->args[i], at[i]) || !need[n->args[i]])
                ask(b, thing_of(b, n->args[i]));
    }
}

static void make_node(Build *b, NodeId id)
{
    const Node *n = graph_node(b->from, id);
    uint32_t before = b->to->nodes.n;
    NodeId *args = arena_array(b->scratch, NodeId, n->nargs + 1);
    for (uint32_t i = 0; i < n->nargs; i++) args[i] = b->map[n->args[i]];
    b->to->here = n->origins.n ? n->origins.at[0] : (Loc){0};
    b->map[id] = graph_add_copy(b->to, n->op, n->copy, n->nargs, args, n->nattrs, n->attrs);
    if (!b->map[id]) bug("stream: node %%%u (%s) cannot be added again", id, op_info(n->op)->name);
    for (NodeId k = before; k < b->to->nodes.n; k++) rewrite_origins(b->to, k, n);
    if (b->map[id] < before) rewrite_origins(b->to, b->map[id], n);
}

// Do a thing after all that it needs, as close to its place in the source as that goes.
static void finish(Build *b, uint32_t thing)
{
    ask(b, thing);
    while (b->todo.n) {
        uint32_t top = b->todo.at[b->todo.n - 1], waiting = b->todo.n;
        if (!b->done[top]) ask_for_operands(b, top);
        if (b->todo.n > waiting) continue;
        b->todo.n--;
        if (b->done[top]) continue;
        b->done[top] = true;
        if (top < b->from->nodes.n)
            make_node(b, top);
        else
            make_sweep(b, top - b->from->nodes.n);
    }
}

static void rebuild(Entry *e, const Region *r, uint32_t pieces, int64_t rows, Arena *scratch)
{
    const Graph *from = e->graph;
    Build b = {.r = r,
               .from = from,
               .to = graph_new(from->arena, from->diag, from->batch),
               .scratch = scratch,
               .map = arena_array(scratch, NodeId, from->nodes.n),
               .piece = arena_array(scratch, NodeId, from->nodes.n),
               .parts = arena_array(scratch, NodeId *, from->nodes.n),
               .done = arena_array(scratch, bool, from->nodes.n + r->levels + 1),
               .pieces = pieces,
               .rows = rows};
    for (NodeId id = 1; id < from->nodes.n; id++)
        if (r->live[id]) finish(&b, thing_of(&b, id));
    for (uint32_t i = 0; i < e->outputs.n; i++)
        e->outputs.at[i].node = b.map[e->outputs.at[i].node];
    for (uint32_t i = 0; i < e->updates.n; i++)
        e->updates.at[i].node = b.map[e->updates.at[i].node];
    b.to->here = from->here;
    *e->graph = *b.to; // who holds the graph sees the new one
    entry_compact(e);
}

// ---- sizes --------------------------------------------------------------------------------------

// The largest value that every piece walks over: an operand of a product that is whole, or a sum.
static int64_t walked_over(const Region *r)
{
    int64_t most = 0;
    for (NodeId id = 1; id < r->graph->nodes.n; id++) {
        const Node *n = graph_node(r->graph, id);
        if (!r->role[id]) continue;
        int64_t *at = arena_array(r->arena, int64_t, n->nargs + 1);
        region_operands(r, id, at);
        if (r->role[id] == ROLE_SUM && type_bytes(n->type) > most) most = type_bytes(n->type);
        for (uint32_t i = 0; n->op == OP_DOT && i < n->nargs; i++)
            if (at[i] < 0 && type_bytes(graph_type(r->graph, n->args[i])) > most)
                most = type_bytes(graph_type(r->graph, n->args[i]));
    }
    return most;
}

// Rows of a piece: as many as its bytes allow, in pieces of equal size where they can be.
static int64_t rows_of(const Region *r, const PassOptions *o)
{
    int64_t bytes = o->stream_piece ? o->stream_piece : PIECE, least = walked_over(r);
    if (!o->stream_piece && bytes < least) bytes = least;
    int64_t rows = bytes / r->row_bytes, fewest = (r->rows + PIECES - 1) / PIECES;
    if (rows < fewest && !o->stream_piece) rows = fewest;
    if (rows < 1) rows = 1;
    int64_t grain = rows >= GRAIN ? GRAIN : 1, pieces = (r->rows + rows - 1) / rows;
    for (int64_t k = pieces; k <= 2 * pieces && k <= r->rows; k++)
        if (r->rows % k == 0 && r->rows / k % grain == 0) return r->rows / k;
    return ((r->rows + pieces - 1) / pieces + grain - 1) / grain * grain;
}

// ---- choice -------------------------------------------------------------------------------------

static bool is_cheaper(const Region *r, const Region *than)
{
    return r->products < than->products || (r->products == than->products && r->sums < than->sums);
}

// The cheapest region around this product, over the axes that it may be cut along.
static Region *best_region(const Entry *e, const bool *live, const Users *users, NodeId seed,
                           Arena *arena)
{
    Region *best = NULL;
    for (uint32_t axis = 0; axis < graph_type(e->graph, seed)->rank; axis++) {
        Region *r = region_find(e, live, users, seed, axis, arena);
        if (r && (!best || is_cheaper(r, best))) best = r;
    }
    return best;
}

// Cut one region; false where there is none left.
static bool stream_one(Entry *e, const PassOptions *o, Arena *scratch)
{
    const Graph *g = e->graph;
    const bool *live = entry_live(e, scratch);
    Users users = {0};
    int64_t above = o->stream_above ? o->stream_above : ABOVE;
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        if (!live[id] || n->op != OP_DOT || n->copy || type_bytes(n->type) < above) continue;
        if (!users.at) users = users_of(e, live, scratch);
        Region *r = best_region(e, live, &users, id, scratch);
        int64_t rows = r ? rows_of(r, o) : 0;
        if (!r || rows >= r->rows || (!o->stream_piece && rows * r->beside < GRAIN)) continue;
        rebuild(e, r, (uint32_t)((r->rows + rows - 1) / rows), rows, scratch);
        return true;
    }
    return false;
}

bool pass_stream(Program *p, PassContext *ctx)
{
    for (uint32_t i = 0; i < p->entries.n; i++) {
        Entry *e = p->entries.at[i];
        entry_compact(e);
        while (stream_one(e, ctx->options, ctx->scratch)) continue;
    }
    return true;
}
