// Rows. A warp takes a row: each thread has two neighbouring lanes of the 64 of a sum (docs/ir.md),
// so that it moves two elements at once; what several sweeps need stays on the chip (cuda_keep.c).
// Rows of more than 4096 elements are a block's, whose warps take the segments of a sum. With sums
// over the rows (columns) the warps of a block take rows of its task, and then all its threads add
// them up, each its columns, row after row: the order of the definition.
#include "codegen/cuda_row.h"

#include "base/diag.h"

#include <inttypes.h>

enum {
    SHARED_MOST = 48 << 10, // bytes of a block
    AHEAD_MOST = 99 << 10,  // where rows are fetched ahead: what every GPU has
    COLUMNS_MOST = 48,      // that a thread adds up
    COLUMNS_AHEAD = 80,     // the same where few warps are at work
    FLAT_ROW_WARPS = 8,
    LONG_ROW_WARPS = 32,
    MANY_ROWS = 1024,
    // Of the GPU that the number of warps is chosen for:
    MULTIPROCESSORS = 132,
    MULTIPROCESSOR_SHARED = 228 << 10,
    MULTIPROCESSOR_WARPS = 20, // with the registers that these rows take
    BLOCK_SHARED = 1 << 10,    // that a block takes beside its own
    BYTES_A_NS = 24,           // that a multiprocessor loads
    ROW_NS = 3000,             // of a row from its start to its end
    LOADS = 1 // of one step, up to which four steps have theirs on their way at once, else two
};

typedef struct Rows {
    CudaLoop *l;
    Keep kept;
    const Keep *keep;    // &kept, or NULL
    const Ahead *ahead;  // or NULL
    bool block;          // all warps on one row
    bool global_columns; // column sums stand in memory
    uint32_t warps;
    int64_t length, pitch, segments;
} Rows;

static const char *length_text(const Rows *r)
{
    return r->l->flat.on ? "length" : str_printf(r->l->t->arena, "%" PRId64, r->length);
}

static bool exact(const Rows *r)
{
    return !r->l->flat.on && r->length % ROW_LANES == 0;
}

static bool even(const Rows *r)
{
    return r->length % 2 == 0;
}

static const char *op_name(OpCode op)
{
    return op == OP_SUM ? "Sum" : op == OP_REDUCE_MAX ? "Largest" : "Smallest";
}

// ---- the elements of a sweep --------------------------------------------------------------------

static const char *kept_at(const Rows *r, uint32_t instr, const char *element)
{
    return str_printf(r->l->t->arena, "kept + (%u + warp) * %" PRId64 " + %s",
                      (r->keep->place[instr] - 1) * r->warps, r->pitch, element);
}

// What is kept is moved as pairs too, but for rows that end with half a pair.
static void kept_use(const Rows *r, uint32_t instr)
{
    CudaText *t = r->l->t;
    if (even(r)) {
        cuda_line(t, "const Pack<float, 2> k%u = load_pack<2>(%s);", instr,
                  kept_at(r, instr, "pair"));
        t->known[instr] = str_printf(t->arena, "k%u.at[h]", instr);
    } else {
        t->known[instr] = str_printf(t->arena, "*(%s)", kept_at(r, instr, "pair + h"));
    }
}

static bool kept_now(const Rows *r, uint32_t instr, uint32_t sweep)
{
    return r->keep && r->keep->place[instr] && r->keep->sweep[instr] == sweep;
}

// Keep this element's values of the sweep; they stand in "z3" until the pair is whole.
static void keep_element(const Rows *r, uint32_t sweep)
{
    CudaText *t = r->l->t;
    for (uint32_t i = 0; i < r->l->body->code.n; i++) {
        if (!kept_now(r, i, sweep)) continue;
        if (even(r))
            cuda_line(t, "z%u.at[h] = %s;", i, cuda_value(t, i));
        else
            cuda_line(t, "*(%s) = %s;", kept_at(r, i, "pair + h"), cuda_value(t, i));
    }
}

// With `store`: write the pairs; else declare them.
static void keep_pairs(const Rows *r, uint32_t sweep, bool store)
{
    for (uint32_t i = 0; even(r) && i < r->l->body->code.n; i++) {
        if (!kept_now(r, i, sweep)) continue;
        if (store)
            cuda_line(r->l->t, "store_pack<2>(%s, z%u);", kept_at(r, i, "pair"), i);
        else
            cuda_line(r->l->t, "Pack<float, 2> z%u;", i);
    }
}

static bool flat_load(const Rows *r, uint32_t instr)
{
    return r->l->flat.on && r->l->flat.both[instr];
}

static bool fetched(const Rows *r, uint32_t instr)
{
    return r->ahead && r->ahead->load[instr];
}

static void flat_pack(const Rows *r, uint32_t instr)
{
    CudaText *t = r->l->t;
    const KernelInstr *in = &r->l->body->code.at[instr];
    const char *type = in->dtype == DT_BOOL ? "unsigned char" : cuda_type(in->dtype);
    cuda_line(t, "const Pack<%s, 2> x%u = load_pack<2>(b%u + begin + pair);", type, instr,
              in->buffer);
}

// Pairs of elements, before the loop over the two.
static void open_pairs(const Rows *r, uint32_t sweep, const bool *needed)
{
    CudaLoop *l = r->l;
    CudaText *t = l->t;
    const KernelBody *b = l->body;
    t->axis[l->s.red] = "pair";
    for (uint32_t i = 0; i < b->code.n; i++) {
        if (!needed[i] || b->code.at[i].kind != KI_LOAD) continue;
        if (fetched(r, i)) {
            cuda_line(t, "const Pack<float, 2> x%u = load_pack<2>(%s);", i,
                      ahead_at(l, r->ahead, i, r->warps, "warp", "pair"));
            vector_use(l, i, NULL, "h");
        } else if (flat_load(r, i) && even(r)) {
            flat_pack(r, i);
            vector_use(l, i, NULL, "h");
        } else if (flat_load(r, i)) {
            t->known[i] =
                str_printf(t->arena, "number(b%u[begin + pair + h])", b->code.at[i].buffer);
        } else if (even(r) && vector_fits_load(l, &b->code.at[i], l->s.red, 2)) {
            vector_load(l, i, 2, NULL, NULL);
            vector_use(l, i, NULL, "h");
        }
    }
    cuda_forget(t, axis_bit(l->s.red));
    for (uint32_t i = 0; r->keep && i < b->code.n; i++)
        if (keep_has(r->keep, i, sweep)) kept_use(r, i);
}

static bool paired_store(const Rows *r, const KernelStore *s, uint32_t sweep)
{
    return even(r) && loop_store_now(r->l, s, sweep, true) &&
           vector_fits(r->l, s->index, r->l->s.red, 2);
}

// A column sum in the partials: the first row starts it.
static void add_to_partials(const Rows *r, uint32_t sweep)
{
    const CudaLoop *l = r->l;
    CudaText *t = l->t;
    for (uint32_t c = 0; c < l->s.columns.n; c++) {
        const KernelStore *s = loop_column(l, c);
        if (l->s.depth[s->value] != sweep) continue;
        DType dt = loop_column_dtype(l, c);
        const char *x = cuda_value(t, s->value),
                   *at = str_printf(t->arena, "b%u[(long long)block_x() * %" PRId64 " + %s]",
                                    s->buffer, r->length, t->axis[l->s.red]);
        const char *old =
            str_printf(t->arena, "(row == first ? %s : %s)", cuda_identity(t, s->op, dt), at);
        cuda_line(t, "%s = %s;", at, cuda_combine(t, s->op, dt, old, x));
    }
}

// One element: sums, stores, what is kept. Values come before the writes: a write may change what
// another value reads.
static void element(const Rows *r, uint32_t sweep, const Reduction *red, uint32_t n)
{
    CudaLoop *l = r->l;
    CudaText *t = l->t;
    const KernelBody *b = l->body;
    for (uint32_t i = 0; i < n; i++) {
        const char *sum = str_printf(t->arena, "lanes%u[h]", red[i].instr);
        const char *x = cuda_value(t, red[i].arg);
        cuda_line(t, "%s = %s;", sum, cuda_combine(t, red[i].op, red[i].dtype, sum, x));
    }
    for (uint32_t i = 0; i < b->stores.n; i++)
        if (loop_store_now(l, &b->stores.at[i], sweep, true)) cuda_value(t, b->stores.at[i].value);
    for (uint32_t i = 0; i < b->code.n; i++)
        if (kept_now(r, i, sweep)) cuda_value(t, i);
    if (r->global_columns) add_to_partials(r, sweep);
    for (uint32_t i = 0; i < b->stores.n; i++) {
        const KernelStore *s = &b->stores.at[i];
        if (paired_store(r, s, sweep))
            vector_put(l, i, "h");
        else if (loop_store_now(l, s, sweep, true))
            cuda_store(t, s);
    }
    keep_element(r, sweep);
}

// The elements [from, to) of the row, each warp 64 of `step`.
static void elements(const Rows *r, uint32_t sweep, const char *from, const char *to, uint32_t step,
                     const Reduction *red, uint32_t n)
{
    CudaLoop *l = r->l;
    CudaText *t = l->t;
    bool *needed = arena_array(t->arena, bool, l->body->code.n + 1);
    uint32_t loads = 0;
    keep_needs(l, r->keep, sweep, needed);
    for (uint32_t i = 0; i < l->body->code.n; i++)
        loads += needed[i] && l->body->code.at[i].kind == KI_LOAD && !fetched(r, i);
    cuda_line(t, "#pragma unroll %d", loads > LOADS ? 2 : 4);
    cuda_open(t, "for (int start = %s; start < %s; start += %u)", from, to, step);
    cuda_line(t, "const int pair = start + 2 * lane;");
    if (!exact(r)) cuda_open(t, "if (pair < %s)", to);
    open_pairs(r, sweep, needed);
    for (uint32_t i = 0; i < l->body->stores.n; i++)
        if (paired_store(r, &l->body->stores.at[i], sweep)) vector_declare(l, i, 2);
    keep_pairs(r, sweep, false);
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int h = 0; h < 2; h++)");
    cuda_line(t, "const int %s = pair + h;", loop_axis(l, l->s.red));
    if (!even(r)) cuda_open(t, "if (%s < %s)", t->axis[l->s.red], to);
    element(r, sweep, red, n);
    if (!even(r)) cuda_close(t);
    cuda_close(t);
    cuda_forget(t, axis_bit(l->s.red));
    vector_forget(l);
    t->axis[l->s.red] = "pair";
    for (uint32_t i = 0; i < l->body->stores.n; i++)
        if (paired_store(r, &l->body->stores.at[i], sweep)) vector_store(l, i, 2, NULL);
    keep_pairs(r, sweep, true);
    if (!exact(r)) cuda_close(t);
    cuda_close(t);
}

// ---- sums ---------------------------------------------------------------------------------------

static void declare_lanes(const Rows *r, const char *stem, const Reduction *red, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const char *id = cuda_identity(r->l->t, red[i].op, red[i].dtype);
        cuda_line(r->l->t, "%s %s%u[] = {%s, %s};", cuda_type(red[i].dtype), stem, red[i].instr, id,
                  id);
    }
}

static const char *tree(const Rows *r, const char *stem, const Reduction *red)
{
    CudaText *t = r->l->t;
    return str_printf(t->arena, "row_tree(%s{}, %s%u[0], %s%u[1])", op_name(red->op), stem,
                      red->instr, stem, red->instr);
}

static void whole_row(const Rows *r, uint32_t sweep, const Reduction *red, uint32_t n)
{
    CudaText *t = r->l->t;
    declare_lanes(r, "lanes", red, n);
    elements(r, sweep, "0", length_text(r), ROW_LANES, red, n);
    if (r->ahead) ahead_fetch(r->l, r->ahead, sweep, r->warps);
    for (uint32_t i = 0; i < n; i++)
        cuda_line(t, "const %s sum%u = %s;", cuda_type(red[i].dtype), red[i].instr,
                  tree(r, "lanes", &red[i]));
}

// The segments' results, by the rule for a row; of one segment it is the result.
static void sum_segments(const Rows *r, const Reduction *red, const char *segments)
{
    CudaText *t = r->l->t;
    const char *type = cuda_type(red->dtype);
    if (r->segments == 1) {
        cuda_line(t, "const %s sum%u = segment%u[0];", type, red->instr, red->instr);
        return;
    }
    declare_lanes(r, "lanes", red, 1);
    cuda_open(t, "for (int i = 0; i < %s; i += %d)", segments, ROW_LANES);
    cuda_open(t, "for (int h = 0; h < 2; h++)");
    const char *lane = str_printf(t->arena, "lanes%u[h]", red->instr),
               *x = str_printf(t->arena, "segment%u[i + 2 * lane + h]", red->instr);
    cuda_line(t, "if (i + 2 * lane + h < %s) %s = %s;", segments, lane,
              cuda_combine(t, red->op, red->dtype, lane, x));
    cuda_close(t);
    cuda_close(t);
    cuda_line(t, "const %s sum%u = %s;", type, red->instr, tree(r, "lanes", red));
}

// The warps of a block take segments of the row.
static void segmented_row(const Rows *r, uint32_t sweep, const Reduction *red, uint32_t n)
{
    CudaText *t = r->l->t;
    const char *length = length_text(r);
    const char *segments =
        str_printf(t->arena, "((%s + %d) / %d)", length, ROW_SEGMENT - 1, ROW_SEGMENT);
    if (r->segments > ROW_SEGMENT) bug("a row of %lld elements", (long long)r->length);
    for (uint32_t i = 0; i < n; i++)
        cuda_line(t, "SHARED(%s, segment%u, %" PRId64 ");", cuda_type(red[i].dtype), red[i].instr,
                  r->l->flat.on ? ROW_SEGMENT : r->segments);
    cuda_open(t, "for (int s = warp; s < %s; s += %u)", segments, r->warps);
    declare_lanes(r, "lanes", red, n);
    cuda_line(t, "const int end = smaller<int>((s + 1) * %d, %s);", ROW_SEGMENT, length);
    elements(r, sweep, str_printf(t->arena, "s * %d", ROW_SEGMENT), "end", ROW_LANES, red, n);
    for (uint32_t i = 0; i < n; i++) {
        cuda_line(t, "const %s sum%u = %s;", cuda_type(red[i].dtype), red[i].instr,
                  tree(r, "lanes", &red[i]));
        cuda_line(t, "if (lane == 0) segment%u[s] = sum%u;", red[i].instr, red[i].instr);
    }
    cuda_close(t);
    cuda_line(t, "sync();");
    for (uint32_t i = 0; i < n; i++) sum_segments(r, &red[i], segments);
}

static void sweep_row(const Rows *r, uint32_t sweep)
{
    CudaLoop *l = r->l;
    CudaText *t = l->t;
    Reduction *red = arena_array(t->arena, Reduction, l->s.reductions.n + 1);
    uint32_t n = loop_reductions(l, sweep, red);
    cuda_hoist(t, &l->s, axis_bit(l->s.red), sweep);
    if (r->ahead) ahead_wait(l, r->ahead, sweep);
    if (r->block && n)
        segmented_row(r, sweep, red, n);
    else if (r->block)
        elements(r, sweep, str_printf(t->arena, "warp * %d", ROW_LANES), length_text(r),
                 ROW_LANES * r->warps, red, 0);
    else
        whole_row(r, sweep, red, n);
    for (uint32_t i = 0; i < n; i++)
        t->memo[red[i].instr] = str_printf(t->arena, "sum%u", red[i].instr);
}

static void one_row(const Rows *r)
{
    CudaLoop *l = r->l;
    CudaText *t = l->t;
    loop_outer_axes(l, "row");
    cuda_hoist(t, &l->s, axis_bit(l->s.red), 0);
    for (uint32_t sweep = 0; sweep < l->s.n; sweep++) sweep_row(r, sweep);
    cuda_hoist(t, &l->s, axis_bit(l->s.red), l->s.n);
    cuda_open(t, r->block ? "if (thread() == 0)" : "if (lane == 0)");
    loop_stores(l, l->s.n, false);
    cuda_close(t);
}

// ---- launches -----------------------------------------------------------------------------------

static void begin(const Rows *r, CudaLaunch *launch)
{
    CudaText *t = r->l->t;
    launch->threads = r->warps * WARP;
    if (r->keep && !launch->shared_bytes)
        cuda_line(t, "SHARED(float, kept, %" PRId64 ");", r->keep->places * r->warps * r->pitch);
    cuda_line(t, "const int lane = (int)thread() %% %d, warp = (int)thread() / %d;", WARP, WARP);
    cuda_line(t, "(void)lane, (void)warp;");
}

static int64_t kept_bytes(const Rows *r)
{
    return r->kept.places * r->pitch * (int64_t)sizeof(float);
}

// Of a block with column sums.
static int64_t column_bytes(const Rows *r, uint32_t warps)
{
    return warps * (kept_bytes(r) + (r->ahead ? ahead_bytes(r->l, r->ahead, true) : 0));
}

static void flat_rows(Rows *r, CudaLaunch *launch)
{
    CudaLoop *l = r->l;
    CudaText *t = l->t;
    r->block = r->segments > 1;
    r->warps = r->block ? LONG_ROW_WARPS : FLAT_ROW_WARPS;
    launch->table = true;
    launch->size[0] = l->rows;
    launch->size[1] = r->length;
    launch->blocks[0] = r->block ? l->rows : loop_blocks(l->rows, r->warps);
    begin(r, launch);
    cuda_line(t, "const int length = (int)size1;");
    if (r->block)
        cuda_line(t, "const int row = block;");
    else
        cuda_line(t, "const int row = block * %u + warp;", r->warps);
    cuda_line(t, "const long long begin = row * size1;");
    if (!r->block) cuda_open(t, "if (row < size0)");
    one_row(r);
    if (!r->block) cuda_close(t);
}

// Few rows go to few warps a block, so that more multiprocessors take part.
static void plain_rows(Rows *r, CudaLaunch *launch)
{
    CudaLoop *l = r->l;
    CudaText *t = l->t;
    bool reduces = l->s.reductions.n != 0;
    r->block = reduces && r->segments > 1;
    if (r->block) {
        r->warps = 4;
        while (r->warps < (l->rows < MANY_ROWS ? LONG_ROW_WARPS : 8) && r->warps < r->segments)
            r->warps *= 2;
        launch->blocks[0] = l->rows;
    } else {
        r->warps = 8;
        while (r->warps > 1 && l->rows / r->warps < MANY_ROWS / 4) r->warps /= 2;
        while (r->warps > 1 && r->warps * kept_bytes(r) > SHARED_MOST) r->warps /= 2;
        if (r->kept.places && r->warps * kept_bytes(r) <= SHARED_MOST) r->keep = &r->kept;
        launch->blocks[0] = loop_blocks(l->rows, r->warps);
    }
    begin(r, launch);
    const char *type = loop_point_type(l->rows);
    if (r->block)
        cuda_line(t, "const %s row = (%s)block_x();", type, type);
    else
        cuda_line(t, "const %s row = (%s)block_x() * %u + warp;", type, type, r->warps);
    if (!r->block) cuda_open(t, "if (row < %" PRId64 ")", l->rows);
    one_row(r);
    if (!r->block) cuda_close(t);
}

// ---- with column sums ---------------------------------------------------------------------------

// Where the column sums do not fit on the chip: the block takes row after row.
static void rows_partials(Rows *r, CudaLaunch *launch)
{
    CudaText *t = r->l->t;
    r->block = r->global_columns = true;
    r->warps = 8;
    begin(r, launch);
    loop_open_task(r->l);
    cuda_open(t, "for (%s row = first; row < last; row++)",
              loop_point_type(r->l->rows + r->l->k->grain));
    one_row(r);
    cuda_line(t, "sync();");
    cuda_close(t);
}

// Element c of row w of the block, to be added to the column.
static const char *column_element(const Rows *r, const KernelStore *s)
{
    CudaText *t = r->l->t;
    if (r->keep->place[s->value])
        return str_printf(t->arena, "kept[(%u + w) * %" PRId64 " + c]",
                          (r->keep->place[s->value] - 1) * r->warps, r->pitch);
    return str_printf(
        t->arena, "number(*(%s))",
        ahead_at(r->l, r->ahead, ahead_source(r->l, r->ahead, s->value), r->warps, "w", "c"));
}

// Rows [base, base + warps) of the task to the columns of this thread.
static void add_columns(const Rows *r, int64_t each)
{
    CudaLoop *l = r->l;
    CudaText *t = l->t;
    cuda_open(t, "for (int w = 0; w < %u && base + w < last; w++)", r->warps);
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int q = 0; q < %" PRId64 "; q++)", each);
    cuda_line(t, "const int c = q * %u + (int)thread();", r->warps * WARP);
    cuda_open(t, "if (c < %" PRId64 ")", r->length);
    for (uint32_t c = 0; c < l->s.columns.n; c++) {
        const KernelStore *s = loop_column(l, c);
        const char *sum = str_printf(t->arena, "column%u[q]", c), *x = column_element(r, s);
        cuda_line(t, "%s = %s;", sum, cuda_combine(t, s->op, loop_column_dtype(l, c), sum, x));
    }
    cuda_close(t);
    cuda_close(t);
    cuda_close(t);
}

static void begin_columns(const Rows *r, CudaLaunch *launch, int64_t each)
{
    CudaLoop *l = r->l;
    CudaText *t = l->t;
    launch->shared_bytes = (uint32_t)column_bytes(r, r->warps);
    cuda_line(t, "SHARED_BYTES(shared);");
    cuda_line(t, "float *const kept = (float *)shared;");
    begin(r, launch);
    loop_open_task(l);
    for (uint32_t c = 0; c < l->s.columns.n; c++) {
        cuda_line(t, "%s column%u[%" PRId64 "];", cuda_type(loop_column_dtype(l, c)), c, each);
        cuda_line(t, "#pragma unroll");
        cuda_line(t, "for (int q = 0; q < %" PRId64 "; q++) column%u[q] = %s;", each, c,
                  cuda_identity(t, loop_column(l, c)->op, loop_column_dtype(l, c)));
    }
    if (r->ahead) ahead_begin(l, r->ahead, r->warps, kept_bytes(r) * r->warps);
}

static void rows_columns(Rows *r, CudaLaunch *launch)
{
    CudaLoop *l = r->l;
    CudaText *t = l->t;
    int64_t each = loop_blocks(r->length, r->warps * WARP);
    begin_columns(r, launch, each);
    const char *type = loop_point_type(l->rows + l->k->grain);
    cuda_open(t, "for (%s base = first; base < last; base += %u)", type, r->warps);
    cuda_line(t, "const %s row = base + warp;", type);
    cuda_open(t, "if (row < last)");
    one_row(r);
    cuda_close(t);
    cuda_line(t, "sync();");
    add_columns(r, each);
    cuda_line(t, "sync();");
    if (r->ahead) cuda_line(t, "turn = 1 - turn;");
    cuda_close(t);
    cuda_line(t, "#pragma unroll");
    cuda_open(t, "for (int q = 0; q < %" PRId64 "; q++)", each);
    cuda_line(t, "const int c = q * %u + (int)thread();", r->warps * WARP);
    for (uint32_t c = 0; c < l->s.columns.n; c++)
        cuda_line(t,
                  "if (c < %" PRId64 ") b%u[(long long)block_x() * %" PRId64 " + c] = column%u[q];",
                  r->length, loop_column(l, c)->buffer, r->length, c);
    cuda_close(t);
}

// About how long all tasks take with so many warps a block, in ns; -1: there is no room for them.
// A round, a row a warp, takes as long as a multiprocessor's share of the memory takes for the rows
// of its blocks, but not less than a row does by itself.
static int64_t time_of(const Rows *r, uint32_t warps)
{
    const CudaLoop *l = r->l;
    int64_t bytes = column_bytes(r, warps), each = loop_blocks(r->length, warps * WARP);
    if (bytes > (r->ahead ? AHEAD_MOST : SHARED_MOST) || each * l->s.columns.n > COLUMNS_AHEAD)
        return -1;
    int64_t residents = MULTIPROCESSOR_SHARED / (bytes + BLOCK_SHARED), n = l->k->tasks;
    if (residents * warps > MULTIPROCESSOR_WARPS) residents = MULTIPROCESSOR_WARPS / warps;
    int64_t waves = loop_blocks(n, residents * MULTIPROCESSORS),
            blocks = loop_blocks(n, waves * MULTIPROCESSORS);
    int64_t round = blocks * warps * ahead_bytes(l, r->ahead, false) / BYTES_A_NS;
    return waves * loop_blocks(l->k->grain, warps) * (round > ROW_NS ? round : ROW_NS);
}

// Rows that are fetched ahead.
static bool columns_ahead(Rows *r, CudaLaunch *launch)
{
    Ahead ahead = ahead_find(r->l);
    Keep kept = r->kept;
    r->ahead = &ahead;
    r->kept = keep_find(r->l, r->ahead);
    r->keep = &r->kept;
    int64_t best = -1;
    for (uint32_t warps = 8; ahead_bytes(r->l, &ahead, false) && warps > 1; warps /= 2) {
        int64_t time = time_of(r, warps);
        if (time < 0 || (best >= 0 && time >= best)) continue;
        best = time;
        r->warps = warps;
    }
    if (best >= 0) {
        rows_columns(r, launch);
        return true;
    }
    r->kept = kept;
    r->ahead = NULL;
    return false;
}

static void columns(Rows *r, CudaLaunch *launch)
{
    CudaLoop *l = r->l;
    bool fits = r->segments == 1;
    launch->blocks[0] = l->k->tasks;
    for (uint32_t c = 0; c < l->s.columns.n; c++)
        fits &= dtype_is_float(loop_column_dtype(l, c)) &&
                loop_column(l, c)->op == OP_SUM; // its parts are held as f32
    if (fits && columns_ahead(r, launch)) return;
    for (r->warps = 8; fits && r->warps > 1; r->warps /= 2) {
        int64_t each = loop_blocks(r->length, r->warps * WARP);
        if (r->warps * kept_bytes(r) > SHARED_MOST) continue;
        if (each * l->s.columns.n > COLUMNS_MOST) break;
        r->keep = &r->kept;
        rows_columns(r, launch);
        return;
    }
    r->keep = NULL;
    rows_partials(r, launch);
}

void cuda_rows(CudaLoop *l, CudaLaunch *launch)
{
    Rows r = {.l = l, .length = loop_axis_size(l, l->s.red)};
    r.segments = loop_blocks(r.length, ROW_SEGMENT);
    r.pitch = loop_blocks(r.length, ROW_LANES) * ROW_LANES;
    r.kept = keep_find(l, NULL);
    if (l->flat.on)
        flat_rows(&r, launch);
    else if (l->s.columns.n)
        columns(&r, launch);
    else
        plain_rows(&r, launch);
}
