// Operands and results of attention for CPUs: rows as vectors, panels for the register tile, and
// back.
#include "codegen/attention.h"
#include "codegen/matrix.h"
#include "codegen/micro.h"
#include "codegen/panel.h"

enum { SET_STRIDE = 1024 }; // rows so many floats apart fall on one set of the first cache

// Operands and results lie as f32 or in 16 bits; all else is f32.
static DType dtype_of(const Heads *h, const StridedView *v)
{
    return h->k->buffers.at[v->buffer].dtype;
}

static LLVMTypeRef memory_of(const Heads *h, const StridedView *v)
{
    return emit_memory_type(h->e, dtype_of(h, v));
}

static uint32_t align_of(const Heads *h, const StridedView *v)
{
    return (uint32_t)dtype_size(dtype_of(h, v));
}

LLVMValueRef heads_base(Heads *h, const StridedView *v)
{
    return emit_at(h->e, memory_of(h, v), h->e->base[v->buffer], emit_index(h->e, v->base));
}

static LLVMValueRef element(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                            LLVMValueRef col)
{
    Emit *e = h->e;
    return emit_at(e, memory_of(h, v), base, add(e, mul(e, row, v->row), mul(e, col, v->col)));
}

// A call of llvm.masked.load, .store, .gather or .scatter of one vector as it lies in memory; x is
// NULL for the first and the third.
static LLVMValueRef masked(Heads *h, const StridedView *v, const char *name, LLVMValueRef x,
                           LLVMValueRef where, LLVMValueRef mask)
{
    Emit *e = h->e;
    LLVMTypeRef type = emit_vector_type(e, memory_of(h, v)), types[2] = {type, LLVMTypeOf(where)};
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef align = LLVMConstInt(e->t.i32, align_of(h, v), false), zero = LLVMConstNull(type);
    LLVMValueRef load[4] = {where, align, mask, zero}, store[4] = {x, where, align, mask};
    return LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, types, 2),
                          LLVMGetIntrinsicDeclaration(e->module, id, types, 2), x ? store : load, 4,
                          "");
}

// Where lanes of elements (row, col ..) of an operand lie: one address, or one a lane.
static LLVMValueRef lanes_at(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                             LLVMValueRef col)
{
    Emit *e = h->e;
    LLVMValueRef from = element(h, v, base, row, col);
    if (v->col == 1) return from;
    LLVMValueRef index =
        LLVMBuildMul(e->builder, emit_iota(e), emit_splat(e, emit_i64(e, v->col)), "");
    return LLVMBuildGEP2(e->builder, memory_of(h, v), from, &index, 1, "");
}

// Elements (row, col + lane) for the first n lanes, 0 elsewhere.
LLVMValueRef heads_row(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                       LLVMValueRef col, int64_t n)
{
    Emit *e = h->e;
    LLVMValueRef from = lanes_at(h, v, base, row, col), x;
    const char *name = v->col == 1 ? "llvm.masked.load" : "llvm.masked.gather";
    if (v->col == 1 && n >= e->lanes)
        x = emit_load(e, emit_vector_type(e, memory_of(h, v)), from, align_of(h, v));
    else
        x = masked(h, v, name, NULL, from, emit_mask(e, n < e->lanes ? (uint32_t)n : e->lanes));
    return emit_widen(e, dtype_of(h, v), x);
}

// The first n lanes of x, rounded to the result's type, to elements (row, col + lane).
void heads_store_row(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                     int64_t col, int64_t n, LLVMValueRef x)
{
    Emit *e = h->e;
    LLVMValueRef to = lanes_at(h, v, base, row, emit_i64(e, col));
    x = emit_narrow(e, dtype_of(h, v), emit_round(e, dtype_of(h, v), x));
    if (v->col == 1 && n >= e->lanes) {
        emit_store(e, x, to, align_of(h, v));
        return;
    }
    const char *name = v->col == 1 ? "llvm.masked.store" : "llvm.masked.scatter";
    masked(h, v, name, x, to, emit_mask(e, n < e->lanes ? (uint32_t)n : e->lanes));
}

void heads_clear(Heads *h, LLVMValueRef to, int64_t floats)
{
    Emit *e = h->e;
    EmitLoop i =
        emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, up(floats, e->lanes)), e->lanes, NULL, 0);
    emit_store(e, LLVMConstNull(vector(e)), at(e, to, i.index), 4);
    emit_loop_end(e, &i);
}

// Rows are read in place where they lie densely as f32 and not all on one set of the first cache.
static bool in_place(const Heads *h, const StridedView *v)
{
    return dtype_of(h, v) == DT_F32 && v->col == 1 && v->row % SET_STRIDE;
}

// From row to row of a copy.
static int64_t rows_stride(const Heads *h, int64_t cols)
{
    return h->matrix ? up(cols, MATRIX_DEPTH) + MATRIX_DEPTH : up(cols, h->nr) + 16;
}

// Rows [first, first + rows) of an operand: in place, or copied to `to`.
Rows heads_rows(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows, int64_t cols,
                LLVMValueRef to)
{
    Emit *e = h->e;
    LLVMValueRef base = heads_base(h, v);
    int64_t stride = rows_stride(h, cols);
    if (in_place(h, v)) return (Rows){element(h, v, base, first, emit_i64(e, 0)), v->row};
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), rows, 1, NULL, 0);
    for (int64_t c = 0; c < (h->matrix ? up(cols, MATRIX_DEPTH) : cols); c += e->lanes) {
        LLVMValueRef x = LLVMConstNull(vector(e)),
                     place = add(e, mul(e, r.index, stride), emit_i64(e, c));
        if (c < cols) x = heads_row(h, v, base, add(e, first, r.index), emit_i64(e, c), cols - c);
        if (h->matrix)
            emit_store(e, emit_narrow(e, DT_BF16, x), emit_at(e, e->t.i16, to, place), 32);
        else
            emit_store(e, x, at(e, to, place), 4);
    }
    emit_loop_end(e, &r);
    return (Rows){to, stride};
}

int64_t heads_rows_floats(const Heads *h, const StridedView *v, int64_t cols)
{
    if (h->matrix) return h->block * rows_stride(h, cols) / 2;
    return in_place(h, v) ? 0 : h->block * rows_stride(h, cols);
}

// Units of a panel of this depth: steps, or pairs of them with 0 up to whole tile registers.
static int64_t units_of(const Heads *h, int64_t depth)
{
    return h->matrix ? up(depth, MATRIX_DEPTH) / 2 : depth;
}

int64_t heads_panel_floats(const Heads *h, int64_t depth, int64_t cols)
{
    return units_of(h, depth) * up(cols, h->nr);
}

// Row `row` of so many (0 beyond), columns from c on.
static LLVMValueRef row_or_zero(Heads *h, const StridedView *v, LLVMValueRef base,
                                LLVMValueRef first, LLVMValueRef row, LLVMValueRef rows, int64_t c,
                                int64_t cols)
{
    Emit *e = h->e;
    LLVMValueRef there = LLVMBuildICmp(e->builder, LLVMIntSLT, row, rows, ""),
                 zero = emit_i64(e, 0);
    row = add(e, first, LLVMBuildSelect(e->builder, there, row, zero, ""));
    LLVMValueRef x = heads_row(h, v, base, row, emit_i64(e, c), cols - c);
    return LLVMBuildSelect(e->builder, there, x, LLVMConstNull(vector(e)), "");
}

// Pairs of rows as panels [col / nr][pair][nr].
static void panels_of_pairs(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows,
                            int64_t most_rows, int64_t cols, LLVMValueRef to)
{
    Emit *e = h->e;
    LLVMValueRef base = heads_base(h, v);
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), heads_whole(h, rows), 2, NULL, 0);
    LLVMValueRef next = add(e, r.index, emit_i64(e, 1)),
                 to_row = at(e, to, mul(e, r.index, h->nr / 2));
    for (int64_t c = 0; c < up(cols, h->nr); c += e->lanes) {
        LLVMValueRef x = LLVMConstNull(vector(e));
        if (c < cols)
            x = panel_pair(e, row_or_zero(h, v, base, first, r.index, rows, c, cols),
                           row_or_zero(h, v, base, first, next, rows, c, cols));
        int64_t place = c / h->nr * units_of(h, most_rows) * h->nr + c % h->nr;
        emit_store(e, x, at(e, to_row, emit_i64(e, place)), 4);
    }
    emit_loop_end(e, &r);
}

// A rows x cols operand as panels [col / nr][row][nr], for products along its rows.
void heads_panels(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows,
                  int64_t most_rows, int64_t cols, LLVMValueRef to)
{
    Emit *e = h->e;
    if (h->matrix) {
        panels_of_pairs(h, v, first, rows, most_rows, cols, to);
        return;
    }
    LLVMValueRef base = heads_base(h, v);
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), rows, 1, NULL, 0);
    LLVMValueRef row = add(e, first, r.index), to_row = at(e, to, mul(e, r.index, h->nr));
    for (int64_t c = 0; c < up(cols, h->nr); c += e->lanes) {
        LLVMValueRef x = c < cols ? heads_row(h, v, base, row, emit_i64(e, c), cols - c)
                                  : LLVMConstNull(vector(e));
        emit_store(e, x, at(e, to_row, emit_i64(e, c / h->nr * most_rows * h->nr + c % h->nr)), 4);
    }
    emit_loop_end(e, &r);
}

// A square of the transposed panels: `rows` rows (others are 0) from row, `cols` columns from col,
// at most a register of units; base is the operand's.
static void square(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                   int64_t rows, LLVMValueRef col, int64_t cols, int64_t depth, LLVMValueRef to)
{
    Emit *e = h->e;
    int64_t lanes = e->lanes, each = h->matrix ? 2 : 1;
    LLVMValueRef nr = emit_i64(e, h->nr), *x = arena_array(e->arena, LLVMValueRef, e->lanes),
                 next = add(e, col, emit_i64(e, lanes)), zero = LLVMConstNull(vector(e));
    for (int64_t i = 0; i < lanes; i++) {
        LLVMValueRef at_row = add(e, row, emit_i64(e, i));
        x[i] = i < rows ? heads_row(h, v, base, at_row, col, cols) : zero;
        if (!h->matrix || i >= rows) continue;
        x[i] = panel_join(e, x[i],
                          cols > lanes ? heads_row(h, v, base, at_row, next, cols - lanes) : zero);
    }
    micro_transpose(e, x);
    LLVMValueRef panel = mul(e, LLVMBuildUDiv(e->builder, row, nr, ""), units_of(h, depth) * h->nr);
    LLVMValueRef first =
        add(e, add(e, panel, LLVMBuildURem(e->builder, row, nr, "")), mul(e, col, h->nr / each));
    for (int64_t i = 0; i < lanes && (h->matrix || i < cols); i++)
        emit_store(e, x[i], at(e, to, add(e, first, emit_i64(e, i * h->nr))), 4);
}

static void squares(Heads *h, const StridedView *v, LLVMValueRef base, LLVMValueRef row,
                    int64_t rows, int64_t cols, LLVMValueRef to)
{
    Emit *e = h->e;
    int64_t step = h->matrix ? 2 * e->lanes : e->lanes, whole = cols / step * step;
    EmitLoop c = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, whole), step, NULL, 0);
    square(h, v, base, row, rows, c.index, step, cols, to);
    emit_loop_end(e, &c);
    if (cols > whole) square(h, v, base, row, rows, emit_i64(e, whole), cols - whole, cols, to);
}

// A rows x cols operand transposed: panels [row / nr][col][nr], 0 in the last panel's columns past
// the rows.
void heads_panels_transposed(Heads *h, const StridedView *v, int64_t rows, int64_t cols,
                             LLVMValueRef to)
{
    Emit *e = h->e;
    LLVMValueRef base = heads_base(h, v);
    int64_t whole = rows / e->lanes * e->lanes;
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), emit_i64(e, whole), e->lanes, NULL, 0);
    squares(h, v, base, r.index, e->lanes, cols, to);
    emit_loop_end(e, &r);
    for (int64_t row = whole; row < up(rows, h->nr); row += e->lanes)
        squares(h, v, base, emit_i64(e, row), rows - row, cols, to);
}

// rows x cols of scratch [row][stride] to an operand, each element times factor (NULL: as it is).
void heads_write_back(Heads *h, const StridedView *v, LLVMValueRef first, LLVMValueRef rows,
                      int64_t cols, LLVMValueRef from, int64_t stride, LLVMValueRef factor)
{
    Emit *e = h->e;
    LLVMValueRef base = heads_base(h, v);
    EmitLoop r = emit_loop_begin(e, emit_i64(e, 0), rows, 1, NULL, 0);
    for (int64_t c = 0; c < cols; c += e->lanes) {
        LLVMValueRef x = emit_load(e, vector(e),
                                   at(e, from, add(e, mul(e, r.index, stride), emit_i64(e, c))), 4);
        if (factor) x = LLVMBuildFMul(e->builder, x, emit_splat(e, factor), "");
        heads_store_row(h, v, base, add(e, first, r.index), c, cols - c, x);
    }
    emit_loop_end(e, &r);
}
