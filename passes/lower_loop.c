// Loop groups to kernels. The vector axis of a group without a fixed split is chosen by trying: the
// candidate with the cheapest body wins, where an access that is not affine in the vector axis
// counts as one load a lane.
#include "passes/lower.h"

enum {
    LONGEST_INNER = 8192, // points of a vector row, so that there are rows to share out
    TASK_POINTS = 16384,  // points of a task
    COLUMN_CHUNK =
        64, // outer points of a task with column sums: part of their definition (docs/ir.md)
    FINISH_INNER = 256
};

static int64_t largest_divisor(int64_t n, int64_t limit)
{
    if (n <= limit) return n;
    for (int64_t d = limit; d > 1; d--)
        if (n % d == 0) return d;
    return 1;
}

int64_t lower_inner(int64_t count)
{
    return largest_divisor(count, LONGEST_INNER);
}

static void set_points(Build *b, int64_t inner)
{
    const Group *gp = b->group;
    IndexPool *pool = &b->body->index;
    switch (gp->split) {
    case SPLIT_NONE: {
        build_axis(b, gp->total / inner, ROLE_OUTER);
        build_axis(b, inner, ROLE_INNER);
        IndexId row = index_mul(pool, index_axis(pool, 0, gp->total / inner), inner);
        b->a =
            index_add(pool, row, index_axis(pool, 1, inner)); // outer = total: a is the whole index
        break;
    }
    case SPLIT_ROW:
        build_axis(b, gp->outer, ROLE_OUTER);
        build_axis(b, gp->red, ROLE_RED);
        b->a = index_axis(pool, 0, gp->outer);
        b->r = index_axis(pool, 1, gp->red);
        break;
    case SPLIT_COLUMN:
        build_axis(b, gp->outer, ROLE_OUTER);
        build_axis(b, gp->inner, ROLE_INNER);
        b->a = index_axis(pool, 0, gp->outer);
        b->c = index_axis(pool, 1, gp->inner);
        break;
    case SPLIT_MIDDLE:
        build_axis(b, gp->outer, ROLE_OUTER);
        build_axis(b, gp->inner / inner, ROLE_OUTER);
        build_axis(b, gp->red, ROLE_RED);
        build_axis(b, inner, ROLE_INNER);
        b->a = index_axis(pool, 0, gp->outer);
        b->r = index_axis(pool, 2, gp->red);
        b->c = index_add(pool, index_mul(pool, index_axis(pool, 1, gp->inner / inner), inner),
                         index_axis(pool, 3, inner));
    }
}

static uint32_t vector_axis(const KernelBody *body)
{
    return body->axes.n - 1;
}

static bool awkward(KernelBody *body, IndexId e)
{
    int64_t coefficient;
    IndexId rest;
    if (index_uses_value(&body->index, e)) return true;
    return !index_affine(&body->index, e, vector_axis(body), &coefficient, &rest) ||
           (coefficient != 0 && coefficient != 1);
}

// Estimated cycles of a body: vector iterations times instructions, plus a little a row.
static double body_cost(const Build *b, int64_t lanes)
{
    KernelBody *body = b->body;
    double per_vector = 1, rows = 1;
    for (uint32_t i = 0; i < body->code.n; i++) {
        const KernelInstr *in = &body->code.at[i];
        per_vector += 1;
        if (in->kind == KI_LOAD || in->kind == KI_INDEX || in->kind == KI_RANDOM)
            per_vector += awkward(body, in->index) ? 2.0 * (double)lanes : 0;
        for (uint32_t g = 0; g < in->nguards; g++)
            per_vector += awkward(body, in->guards[g].index) ? 2.0 * (double)lanes : 1;
    }
    for (uint32_t i = 0; i < body->stores.n; i++)
        per_vector += awkward(body, body->stores.at[i].index) ? 2.0 * (double)lanes : 1;
    for (uint32_t i = 0; i < body->axes.n - 1; i++) rows *= (double)body->axes.at[i].size;
    int64_t inner = body->axes.at[vector_axis(body)].size;
    return rows * ((double)((inner + lanes - 1) / lanes) * per_vector + 8);
}

static void column_partial(Build *b, NodeId id, uint32_t value)
{
    Lower *lo = b->lo;
    const Node *n = graph_node(lo->gr->graph, id);
    int64_t chunks = (b->group->outer + COLUMN_CHUNK - 1) / COLUMN_CHUNK;
    uint32_t partial = lower_node_buffer(lo, id);
    if (chunks > 1)
        partial =
            lower_buffer(lo, BLOCK_SCRATCH, n->type->dtype, chunks * type_count(n->type), NULL);
    KernelStore s = {.kind = STORE_COLUMN, .value = value, .op = n->op};
    s.buffer = build_slot(b, partial, true);
    vec_push(lo->work, &b->body->stores, s);
}

static void build_body(Build *b, int64_t inner)
{
    const Grouping *gr = b->lo->gr;
    set_points(b, inner);
    for (uint32_t i = 0; i < b->group->members.n; i++) {
        NodeId id = b->group->members.at[i];
        if (!gr->stored[id]) continue;
        const Type *type = graph_type(gr->graph, id);
        IndexId *at = arena_array(b->lo->work, IndexId, type->rank + 1);
        IndexId linear = level_linear(&b->body->index, b->group, gr->level[id], b->a, b->r, b->c);
        index_split(&b->body->index, linear, type->rank, type_sizes(b->lo->work, type), at);
        uint32_t value = build_value(b, id, at);
        if (gr->level[id] == LEVEL_COLUMN)
            column_partial(b, id, value);
        else
            build_store(b, id, value);
    }
}

static Build start(Lower *lo, uint32_t group, Kernel *kernel, Segment *segment)
{
    Build b = {.lo = lo, .kernel = kernel, .body = &kernel->body, .segment = segment};
    b.group = &lo->gr->groups.at[group];
    b.group_id = group + 1;
    index_init(&kernel->body.index, lo->work);
    return b;
}

static double try_inner(Lower *lo, uint32_t group, int64_t inner)
{
    Kernel kernel = {0};
    Segment segment = {0};
    Build b = start(lo, group, &kernel, &segment);
    build_body(&b, inner);
    return body_cost(&b, lo->target->lanes);
}

// The vector axis: a run of trailing axes of the group's points, or a divisor of one.
static int64_t choose_inner(Lower *lo, uint32_t group)
{
    const Group *gp = &lo->gr->groups.at[group];
    if (gp->split == SPLIT_ROW || gp->split == SPLIT_COLUMN) return 1;
    int64_t within = gp->split == SPLIT_MIDDLE ? gp->inner : gp->total, best = 0;
    double least = 0;
    for (uint32_t m = 0; m < gp->members.n; m++) {
        const Type *type = graph_type(lo->gr->graph, gp->members.at[m]);
        if (m > 0 && m + 1 < gp->members.n)
            continue; // the shapes of the first and last member will do
        int64_t suffix = 1;
        for (uint32_t i = type->rank + 1; i-- > 0;) {
            if (within % suffix == 0) {
                int64_t inner = largest_divisor(suffix, LONGEST_INNER);
                double cost = try_inner(lo, group, inner);
                if (!best || cost < least || (cost == least && inner > best)) {
                    best = inner;
                    least = cost;
                }
            }
            if (i > 0) suffix *= type->axes[i - 1].size;
        }
    }
    return best ? best : 1;
}

void lower_tasks(Kernel *k, bool columns)
{
    int64_t points = 1, rows = 1;
    for (uint32_t i = 0; i < k->body.axes.n; i++) {
        if (k->body.axes.at[i].role == ROLE_OUTER)
            rows *= k->body.axes.at[i].size;
        else
            points *= k->body.axes.at[i].size;
    }
    k->grain = columns ? COLUMN_CHUNK : points < TASK_POINTS ? TASK_POINTS / points : 1;
    k->tasks = (rows + k->grain - 1) / k->grain;
}

// The second stage of a column sum: add up the partials in rising order.
static void finish_column(Lower *lo, NodeId id, uint32_t partial, int64_t chunks)
{
    const Type *type = graph_type(lo->gr->graph, id);
    int64_t count = type_count(type), inner = largest_divisor(count, FINISH_INNER);
    Kernel *k = lower_kernel(lo, KERNEL_LOOP, "finish", id);
    Segment segment = {0};
    Build b = {.lo = lo, .kernel = k, .body = &k->body, .segment = &segment};
    IndexPool *pool = &k->body.index;
    build_axis(&b, count / inner, ROLE_OUTER);
    build_axis(&b, chunks, ROLE_RED);
    build_axis(&b, inner, ROLE_INNER);
    IndexId at = index_add(pool, index_mul(pool, index_axis(pool, 0, count / inner), inner),
                           index_axis(pool, 2, inner));
    IndexId from = index_add(pool, at, index_mul(pool, index_axis(pool, 1, chunks), count));
    KernelInstr load = {.kind = KI_LOAD, .dtype = type->dtype, .index = from, .axes = 7};
    load.buffer = build_slot(&b, partial, false);
    KernelInstr sum = {.kind = KI_REDUCE,
                       .op = graph_node(lo->gr->graph, id)->op,
                       .dtype = type->dtype,
                       .order = ORDER_CHAIN,
                       .axes = 5};
    vec_push(lo->work, &k->body.code, load);
    vec_push(lo->work, &k->body.code, sum);
    KernelStore s = {.kind = STORE_PLAIN, .value = 1, .index = at};
    s.buffer = build_slot(&b, lower_node_buffer(lo, id), true);
    vec_push(lo->work, &k->body.stores, s);
    lower_tasks(k, false);
    lower_launch(lo, k, &segment);
}

static const char *const stems[] = {"point", "row", "middle", "column"};

void lower_loop(Lower *lo, uint32_t group)
{
    const Group *gp = &lo->gr->groups.at[group];
    bool any = false;
    for (uint32_t i = 0; i < gp->members.n; i++) any |= lo->gr->stored[gp->members.at[i]];
    if (!any) return; // everything is computed again by its users
    int64_t inner = choose_inner(lo, group);
    Kernel *k = lower_kernel(lo, KERNEL_LOOP, stems[gp->split], gp->members.at[0]);
    Segment segment = {0};
    Build b = start(lo, group, k, &segment);
    build_body(&b, inner);
    bool columns = false;
    for (uint32_t i = 0; i < k->body.stores.n; i++)
        columns |= k->body.stores.at[i].kind == STORE_COLUMN;
    lower_tasks(k, columns);
    lower_origins(lo, k, gp);
    lower_launch(lo, k, &segment);
    for (uint32_t i = 0, s = 0; i < gp->members.n; i++) {
        NodeId id = gp->members.at[i];
        if (!lo->gr->stored[id]) continue;
        uint32_t slot = k->body.stores.at[s++].buffer;
        if (lo->gr->level[id] != LEVEL_COLUMN || k->tasks == 1) continue;
        finish_column(lo, id, segment.buffers.at[slot], k->tasks);
    }
}
