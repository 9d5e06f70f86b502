// Contractions, attention and scatter to kernels with their operands, panels and epilogues.
#include "passes/lower.h"

// Coordinates of one operand of a dot: batch axes from `batch`, free axes from `free`, contracting
// axes from `k`.
static const IndexId *dot_coordinates(Build *b, const Node *n, uint32_t operand, IndexId batch,
                                      IndexId free, IndexId k)
{
    IndexPool *pool = &b->body->index;
    Arena *arena = b->lo->work;
    const Type *of = graph_type(b->lo->gr->graph, n->args[operand]);
    uint32_t nb, nc, nf = 0;
    const int64_t *ab = node_ints(n, operand ? ATTR_RBATCH : ATTR_LBATCH, &nb);
    const int64_t *ac = node_ints(n, operand ? ATTR_RCONTRACT : ATTR_LCONTRACT, &nc);
    int64_t *axes = arena_array(arena, int64_t, of->rank + 1); // batch, contract, free
    bool *used = arena_array(arena, bool, of->rank + 1);
    for (uint32_t i = 0; i < nb; i++) used[axes[i] = ab[i]] = true;
    for (uint32_t i = 0; i < nc; i++) used[axes[nb + i] = ac[i]] = true;
    for (uint32_t i = 0; i < of->rank; i++)
        if (!used[i]) axes[nb + nc + nf++] = i;
    int64_t *sizes = arena_array(arena, int64_t, of->rank + 1);
    for (uint32_t i = 0; i < of->rank; i++) sizes[i] = of->axes[axes[i]].size;
    IndexId *parts = arena_array(arena, IndexId, of->rank + 1);
    index_split(pool, batch, nb, sizes, parts);
    index_split(pool, k, nc, sizes + nb, parts + nb);
    index_split(pool, free, nf, sizes + nb + nc, parts + nb + nc);
    IndexId *at = arena_array(arena, IndexId, of->rank + 1);
    for (uint32_t i = 0; i < of->rank; i++) at[axes[i]] = parts[i];
    return at;
}

static int64_t axes_product(const Type *t, const int64_t *axes, uint32_t n)
{
    int64_t product = 1;
    for (uint32_t i = 0; i < n; i++) product *= t->axes[axes[i]].size;
    return product;
}

// Sizes of a product. Its sum over k may be cut into parts, each a product of its own:
// products[batch * parts + part] over k / parts.
typedef struct Dot {
    const Node *node;
    int64_t batch, rows, cols, depth, parts;
} Dot;

// Body of an operand over (batch and part, free, k).
static void operand_body(Build *b, const Dot *d, uint32_t operand)
{
    int64_t free = operand ? d->cols : d->rows, each = d->depth / d->parts;
    index_init(&b->body->index, b->lo->work);
    build_axis(b, d->batch * d->parts, ROLE_OUTER);
    build_axis(b, free, ROLE_OUTER);
    build_axis(b, each, ROLE_INNER);
    IndexPool *pool = &b->body->index;
    IndexId k = index_axis(pool, 2, each), at_free = index_axis(pool, 1, free);
    IndexId outer = index_axis(pool, 0, d->batch * d->parts);
    IndexId batch = index_div(pool, outer, d->parts), part = index_mod(pool, outer, d->parts);
    k = index_add(pool, index_mul(pool, part, each), k);
    const IndexId *at = dot_coordinates(b, d->node, operand, batch, at_free, k);
    uint32_t value = build_value(b, d->node->args[operand], at);
    if (value + 1 != b->body->code.n) // the element is the last instruction
        vec_push(b->lo->work, &b->body->code, b->body->code.at[value]);
}

// Launch the kernel that packs the right operand; its buffer comes back.
static uint32_t pack(Lower *lo, NodeId id, const Dot *d)
{
    Kernel *k = lower_kernel(lo, KERNEL_PACK, "pack", id);
    Segment segment = {0};
    Build b = {.lo = lo, .kernel = k, .body = &k->body, .segment = &segment};
    operand_body(&b, d, 1);
    k->gemm.batch = d->batch;
    k->gemm.n = d->cols;
    k->gemm.k = d->depth;
    int64_t count = lo->target->packed_count(lo->target, k);
    uint32_t packed = lower_buffer(lo, BLOCK_SCRATCH, DT_F32, count, NULL);
    k->gemm.packed = build_slot(&b, packed, true);
    k->tasks = lo->target->tasks(lo->target, k);
    lower_launch(lo, k, &segment);
    return packed;
}

// The epilogue on the finished product `acc`, f32, in the group's own coordinates (batch, m, n). As
// the epilogue sees it, it is rounded once to the dot's type.
static void epilogue(Build *b, const Dot *d, KernelInstr acc)
{
    const Grouping *gr = b->lo->gr;
    DType dt = d->node->type->dtype;
    KernelInstr cast = {.kind = KI_OP, .op = OP_CAST, .dtype = dt, .axes = acc.axes};
    vec_push(b->lo->work, &b->body->code, acc);
    cast.args[0] = b->body->code.n - 1;
    if (dt != DT_F32) vec_push(b->lo->work, &b->body->code, cast);
    b->acc = b->body->code.n;
    for (uint32_t i = 0; i < b->group->members.n; i++)
        if (gr->stored[b->group->members.at[i]])
            build_store(b, b->group->members.at[i], build_value(b, b->group->members.at[i], NULL));
}

static IndexId product_index(IndexPool *pool, IndexId batch, IndexId m, IndexId n, const Dot *d)
{
    return index_linear(pool, 3, (IndexId[]){batch, m, n},
                        (int64_t[]){d->batch * d->parts, d->rows, d->cols});
}

// The product's kernel, all but its epilogue.
static Build product(Lower *lo, NodeId id, const Dot *d, const Group *gp, Segment *segment)
{
    bool packs = lo->target->packs;
    uint32_t packed = packs ? pack(lo, id, d) : 0;
    Kernel *k = lower_kernel(lo, KERNEL_GEMM, "gemm", id);
    lower_origins(lo, k, gp);
    Build a = {.lo = lo, .kernel = k, .body = &k->gemm.a, .segment = segment};
    if (packs) k->gemm.packed = build_slot(&a, packed, false);
    operand_body(&a, d, 0);
    Build right = {.lo = lo, .kernel = k, .body = &k->gemm.b, .segment = segment};
    if (!packs) operand_body(&right, d, 1);
    Build b = {.lo = lo, .kernel = k, .body = &k->body, .segment = segment};
    build_axis(&b, d->batch * d->parts, ROLE_OUTER);
    build_axis(&b, d->rows, ROLE_OUTER);
    build_axis(&b, d->cols, ROLE_INNER);
    IndexPool *pool = &k->body.index;
    IndexId outer = index_axis(pool, 0, d->batch * d->parts), m = index_axis(pool, 1, d->rows),
            n = index_axis(pool, 2, d->cols);
    b.a = product_index(pool, outer, m, n, d);
    k->gemm.batch = d->batch * d->parts;
    k->gemm.m = d->rows;
    k->gemm.n = d->cols;
    k->gemm.k = d->depth / d->parts;
    k->gemm.tf32 = node_precision(d->node) == PRECISION_TF32;
    k->flops = 2 * d->batch * d->rows * d->cols * d->depth;
    k->tasks = lo->target->tasks(lo->target, k);
    return b;
}

static const KernelInstr finished = {.kind = KI_ACC, .dtype = DT_F32, .axes = 7};

// Launch the products of the parts; their buffer comes back.
static uint32_t products_of_parts(Lower *lo, NodeId id, const Dot *d, const Group *gp)
{
    Segment segment = {0};
    int64_t count = d->batch * d->parts * d->rows * d->cols;
    uint32_t sums = lower_buffer(lo, BLOCK_SCRATCH, DT_F32, count, NULL);
    Build b = product(lo, id, d, gp, &segment);
    KernelStore store = {.kind = STORE_PLAIN, .index = b.a};
    store.buffer = build_slot(&b, sums, true);
    vec_push(lo->work, &b.body->code, finished);
    vec_push(lo->work, &b.body->stores, store);
    lower_launch(lo, b.kernel, &segment);
    return sums;
}

// Products of the parts, then a kernel that adds them up in rising order and has the epilogue.
static void lower_parts(Lower *lo, uint32_t group, NodeId id, const Dot *d)
{
    const Group *gp = &lo->gr->groups.at[group];
    uint32_t sums = products_of_parts(lo, id, d, gp);
    Kernel *k = lower_kernel(lo, KERNEL_LOOP, "parts", id);
    lower_origins(lo, k, gp);
    Segment segment = {0};
    Build b = {.lo = lo,
               .kernel = k,
               .body = &k->body,
               .segment = &segment,
               .group = gp,
               .group_id = group + 1};
    IndexPool *pool = &k->body.index;
    build_axis(&b, d->batch, ROLE_OUTER);
    build_axis(&b, d->rows, ROLE_OUTER);
    build_axis(&b, d->parts, ROLE_RED);
    build_axis(&b, d->cols, ROLE_INNER);
    IndexId batch = index_axis(pool, 0, d->batch), m = index_axis(pool, 1, d->rows),
            n = index_axis(pool, 3, d->cols);
    IndexId part = index_axis(pool, 2, d->parts);
    part = index_add(pool, index_mul(pool, batch, d->parts), part);
    b.a = product_index(pool, batch, m, n, d);
    KernelInstr load = {.kind = KI_LOAD, .dtype = DT_F32, .axes = 15};
    load.index = product_index(pool, part, m, n, d);
    load.buffer = build_slot(&b, sums, false);
    vec_push(lo->work, &k->body.code, load);
    KernelInstr sum = {.kind = KI_REDUCE, .op = OP_SUM, .dtype = DT_F32, .axes = 11};
    sum.order = ORDER_CHAIN;
    epilogue(&b, d, sum);
    lower_tasks(k, false);
    lower_launch(lo, k, &segment);
}

static void lower_dot(Lower *lo, uint32_t group)
{
    const Grouping *gr = lo->gr;
    const Group *gp = &gr->groups.at[group];
    NodeId id = gp->members.at[0];
    for (uint32_t i = 0; i < gp->members.n; i++)
        if (graph_node(gr->graph, gp->members.at[i])->op == OP_DOT) id = gp->members.at[i];
    Dot d = {.node = graph_node(gr->graph, id), .parts = 1};
    const Type *x = graph_type(gr->graph, d.node->args[0]),
               *y = graph_type(gr->graph, d.node->args[1]);
    uint32_t nb, nc;
    const int64_t *lb = node_ints(d.node, ATTR_LBATCH, &nb),
                  *lc = node_ints(d.node, ATTR_LCONTRACT, &nc);
    d.batch = axes_product(x, lb, nb);
    d.depth = axes_product(x, lc, nc);
    d.rows = type_count(x) / d.batch / d.depth;
    d.cols = type_count(y) / d.batch / d.depth;
    Segment segment = {0};
    Build b = product(lo, id, &d, gp, &segment);
    b.group = gp;
    b.group_id = group + 1;
    epilogue(&b, &d, finished);
    lower_windows(lo, b.kernel, &segment); // a library takes them too
    lower_product(lo, b.kernel, &b);
    if (lo->target->parts && !b.kernel->gemm.library) // a library cuts sums by itself
        d.parts = lo->target->parts(b.kernel);
    if (d.parts > 1)
        lower_parts(lo, group, id, &d);
    else
        lower_launch(lo, b.kernel, &segment);
}

// The outer axes of attention: operands' axis i is the kernel's axis at[i].
typedef struct Outer {
    uint32_t n;
    const uint32_t *at;
} Outer;

// An operand over the outer axes: a matrix, or a vector, which has no columns.
static StridedView strided(Build *b, const Outer *outer, NodeId id, bool written)
{
    IndexPool *pool = &b->body->index;
    const Graph *g = b->lo->gr->graph;
    const Type *type = graph_type(g, id);
    IndexId *own = arena_array(b->lo->work, IndexId, type->rank + 1);
    for (uint32_t i = 0; i < type->rank; i++)
        own[i] = index_axis(pool, i < outer->n ? outer->at[i] : i, type->axes[i].size);
    const IndexId *at = own;
    bool placed = b->lo->gr->group_of[id] && b->lo->gr->stored[id],
         matrix = type->rank > outer->n + 1;
    if (!placed) id = view_source(pool, g, id, &at);
    const int64_t *stride = b->lo->layout->stride[id];
    IndexId index = index_const(pool, lower_offset(b->lo, id));
    for (uint32_t i = 0; i < graph_type(g, id)->rank; i++)
        index = index_add(pool, index, index_mul(pool, at[i], stride[i]));
    StridedView v = {.buffer = build_slot(b, lower_node_buffer(b->lo, id), written), .base = index};
    bool ok = (!matrix || index_affine(pool, v.base, outer->n + 1, &v.col, &v.base)) &&
              index_affine(pool, v.base, outer->n, &v.row, &v.base);
    if (!ok) bug("attention operand %%%u is not strided", id);
    return v;
}

// The stored projections of a tuple; where one is not used it gets a buffer all the same.
static NodeId projection(const Grouping *gr, const Group *gp, int64_t index)
{
    for (uint32_t i = 0; i < gp->members.n; i++) {
        const Node *n = graph_node(gr->graph, gp->members.at[i]);
        if (n->op == OP_PROJ && node_int(n, ATTR_INDEX) == index) return gp->members.at[i];
    }
    return 0;
}

static StridedView result(Build *b, const Outer *outer, const Group *gp, const Type *type,
                          int64_t index)
{
    NodeId id = projection(b->lo->gr, gp, index);
    const Type *part = type->parts[index];
    if (id) return strided(b, outer, id, true);
    uint32_t buffer = lower_buffer(b->lo, BLOCK_SCRATCH, part->dtype, type_count(part), NULL);
    IndexPool *pool = &b->body->index;
    StridedView v = {.buffer = build_slot(b, buffer, true), .row = 1, .col = 1};
    int64_t size = part->axes[outer->n].size;
    if (part->rank == outer->n + 2) v.row = part->axes[part->rank - 1].size;
    size *= part->rank == outer->n + 2 ? v.row : 1;
    for (uint32_t i = outer->n; i-- > 0; size *= part->axes[i].size)
        v.base =
            index_add(pool, v.base,
                      index_mul(pool, index_axis(pool, outer->at[i], part->axes[i].size), size));
    return v;
}

// The kernel's outer axes are those of q; for the gradient of a bias those that it does not have
// come last.
static Outer outer_axes(Build *b, const Node *n)
{
    const Graph *g = b->lo->gr->graph;
    const Type *q = graph_type(g, n->args[0]), *bias = n->type;
    uint32_t *at = arena_array(b->lo->work, uint32_t, q->rank);
    Outer outer = {q->rank - 2, at};
    b->kernel->attention.shared = 1;
    for (uint32_t last = 0, next = 0; last < 2; last++)
        for (uint32_t i = 0; i < outer.n; i++) {
            int64_t size = q->axes[i].size;
            bool shared = n->op == OP_ATTENTION_BIAS_GRAD && bias->axes[i].size < size;
            if (shared != last) continue;
            at[i] = next++;
            build_axis(b, size, ROLE_OUTER);
            if (shared) b->kernel->attention.shared *= size;
        }
    return outer;
}

static void attention_operands(Build *b, const Outer *outer, const Node *n)
{
    Kernel *k = b->kernel;
    AttentionBeside beside = attention_beside(n->op, n->nargs);
    k->attention.q = strided(b, outer, n->args[0], false);
    k->attention.k = strided(b, outer, n->args[1], false);
    k->attention.v = strided(b, outer, n->args[2], false);
    if (n->op != OP_ATTENTION) {
        k->attention.out = strided(b, outer, n->args[3], false);
        k->attention.lse = strided(b, outer, n->args[4], false);
        k->attention.dout = strided(b, outer, n->args[5], false);
    }
    k->attention.segments = beside.segments;
    k->attention.biased = beside.bias;
    if (beside.segments) {
        k->attention.query_segments = strided(b, outer, n->args[beside.segments], false);
        k->attention.key_segments = strided(b, outer, n->args[beside.segments + 1], false);
    }
    if (beside.bias) k->attention.bias = strided(b, outer, n->args[beside.bias], false);
}

static void attention_results(Build *b, const Outer *outer, const Group *gp, NodeId id)
{
    Kernel *k = b->kernel;
    const Type *type = graph_type(b->lo->gr->graph, id);
    switch (k->kind) {
    case KERNEL_ATTENTION:
        k->attention.out = result(b, outer, gp, type, 0);
        k->attention.lse = result(b, outer, gp, type, 1);
        return;
    case KERNEL_ATTENTION_GRAD:
        k->attention.dq = result(b, outer, gp, type, 0);
        k->attention.dk = result(b, outer, gp, type, 1);
        k->attention.dv = result(b, outer, gp, type, 2);
        return;
    default: k->attention.dbias = strided(b, outer, id, true);
    }
}

// Multiplications of a query and a key, with their heads' sizes.
static int64_t attention_products(const Kernel *k)
{
    int64_t once = k->attention.dim + k->attention.vdim;
    return k->kind == KERNEL_ATTENTION_GRAD ? 2 * once + k->attention.dim : once;
}

static void lower_attention(Lower *lo, uint32_t group)
{
    static const KernelKind kinds[] = {[GROUP_ATTENTION] = KERNEL_ATTENTION,
                                       [GROUP_ATTENTION_GRAD] = KERNEL_ATTENTION_GRAD,
                                       [GROUP_ATTENTION_BIAS_GRAD] = KERNEL_ATTENTION_BIAS_GRAD};
    const Group *gp = &lo->gr->groups.at[group];
    const Graph *g = lo->gr->graph;
    NodeId id = gp->members.at[0];
    const Node *n = graph_node(g, id);
    Kernel *k = lower_kernel(lo, kinds[gp->kind], op_info(n->op)->name, id);
    lower_origins(lo, k, gp);
    Segment segment = {0};
    Build b = {.lo = lo, .kernel = k, .body = &k->body, .segment = &segment};
    const Type *q = graph_type(g, n->args[0]), *v = graph_type(g, n->args[2]);
    Outer outer = outer_axes(&b, n);
    k->attention.queries = q->axes[q->rank - 2].size;
    k->attention.dim = q->axes[q->rank - 1].size;
    k->attention.keys = v->axes[v->rank - 2].size;
    k->attention.vdim = v->axes[v->rank - 1].size;
    k->attention.scale = (float)node_float(n, ATTR_SCALE);
    k->attention.causal = strcmp(node_str(n, ATTR_MASK), "causal") == 0;
    attention_operands(&b, &outer, n);
    attention_results(&b, &outer, gp, id);
    k->flops = 2 * (type_count(q) / k->attention.dim) * k->attention.keys * attention_products(k);
    k->tasks = lo->target->tasks(lo->target, k);
    lower_launch(lo, k, &segment);
}

uint32_t lower_dense(Build *b, NodeId id)
{
    const Grouping *gr = b->lo->gr;
    const Type *type = graph_type(gr->graph, id);
    bool placed = gr->group_of[id] && gr->stored[id];
    IndexId *own = arena_array(b->lo->work, IndexId, type->rank + 1);
    for (uint32_t i = 0; i < type->rank; i++)
        own[i] = index_axis(&b->body->index, i, type->axes[i].size);
    const IndexId *at = own;
    if (!placed) id = view_source(&b->body->index, gr->graph, id, &at);
    return build_slot(b, lower_node_buffer(b->lo, id), false);
}

static void scatter_sizes(Kernel *k, const Graph *g, const Node *n)
{
    const Type *by = graph_type(g, n->args[0]), *of = graph_type(g, n->args[1]);
    k->scatter.batch = 1;
    for (int64_t i = 0; i < node_int(n, ATTR_BATCH); i++) k->scatter.batch *= by->axes[i].size;
    k->scatter.count = type_count(by) / k->scatter.batch;
    k->scatter.width = type_count(of) / type_count(by);
    k->scatter.rows = node_int(n, ATTR_SIZE);
}

// Launch the kernel that lists the updates by row, where the target wants it; has it?
static bool lists(Lower *lo, const Group *gp, NodeId id, uint32_t *buffer)
{
    const Node *n = graph_node(lo->gr->graph, id);
    Kernel sizes = {0};
    scatter_sizes(&sizes, lo->gr->graph, n);
    int64_t each = sizes.scatter.rows + 1 + sizes.scatter.count, from = lo->target->lists_from;
    if (!from || sizes.scatter.count < from || dtype_size(n->type->dtype) > 4 ||
        each > INT32_MAX / 2 || sizes.scatter.batch > UINT16_MAX)
        return false;
    Kernel *k = lower_kernel(lo, KERNEL_LISTS, "lists", id);
    lower_origins(lo, k, gp);
    Segment segment = {0};
    Build b = {.lo = lo, .kernel = k, .body = &k->body, .segment = &segment};
    k->scatter = sizes.scatter;
    k->scatter.index = lower_dense(&b, n->args[0]);
    *buffer = lower_buffer(lo, BLOCK_SCRATCH, DT_I32, sizes.scatter.batch * each, NULL);
    k->scatter.lists = build_slot(&b, *buffer, true);
    k->tasks = lo->target->tasks(lo->target, k);
    lower_launch(lo, k, &segment);
    return true;
}

static void lower_scatter(Lower *lo, uint32_t group)
{
    const Graph *g = lo->gr->graph;
    NodeId id = lo->gr->groups.at[group].members.at[0];
    const Node *n = graph_node(g, id);
    uint32_t listed = 0;
    bool has_lists = lists(lo, &lo->gr->groups.at[group], id, &listed);
    Kernel *k = lower_kernel(lo, KERNEL_SCATTER, "scatter", id);
    lower_origins(lo, k, &lo->gr->groups.at[group]);
    Segment segment = {0};
    Build b = {.lo = lo, .kernel = k, .body = &k->body, .segment = &segment};
    scatter_sizes(k, g, n);
    k->scatter.index = lower_dense(&b, n->args[0]);
    k->scatter.listed = has_lists;
    if (has_lists) k->scatter.lists = build_slot(&b, listed, false);
    k->scatter.update = lower_dense(&b, n->args[1]);
    k->scatter.out = build_slot(&b, lower_node_buffer(lo, id), true);
    k->tasks = lo->target->tasks(lo->target, k);
    lower_launch(lo, k, &segment);
}

void lower_engine(Lower *lo, uint32_t group)
{
    switch (lo->gr->groups.at[group].kind) {
    case GROUP_DOT: lower_dot(lo, group); return;
    case GROUP_ATTENTION:
    case GROUP_ATTENTION_GRAD:
    case GROUP_ATTENTION_BIAS_GRAD: lower_attention(lo, group); return;
    case GROUP_SCATTER: lower_scatter(lo, group); return;
    case GROUP_ORDERED: lower_ordered(lo, group); return;
    case GROUP_LOOP: bug("loop group");
    }
}
