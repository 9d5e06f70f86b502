// Rows that are fetched ahead. A warp that takes row after row copies what it loads of its next row
// to shared memory while it works on this one (cp.async, 16 bytes a lane), so that loads are under
// way all the time: a load's place is filled again as soon as the last sweep that reads it is over.
// A load that a column sum is made of is read once more when the rows of the block are over; it has
// two places that take turns. Values of such loads need no place of their own (cuda_keep.c).
#include "codegen/cuda_row.h"

#include <inttypes.h>

enum { COPY = 16, MOST_AGAIN = 3 }; // bytes; operations that are repeated rather than kept

static bool may_fetch(const CudaLoop *l, const KernelInstr *in)
{
    int64_t size = dtype_size(in->dtype);
    uint64_t red = axis_bit(l->s.red);
    return in->kind == KI_LOAD && dtype_is_float(in->dtype) && (size == 2 || size == 4) &&
           in->axes & red && in->axes & ~red && !in->nguards &&
           loop_axis_size(l, l->s.red) * size % COPY == 0 &&
           !index_uses_value(&l->body->index, in->index) &&
           vector_fits(l, in->index, l->s.red, (uint32_t)(COPY / size)) &&
           !l->k->buffers.at[in->buffer].written;
}

// The fetched load that the value is, itself or made f32; UINT32_MAX: none.
uint32_t ahead_source(const CudaLoop *l, const Ahead *a, uint32_t instr)
{
    const KernelInstr *in = &l->body->code.at[instr];
    if (a->load[instr]) return instr;
    if (in->kind == KI_OP && in->op == OP_CAST && in->dtype == DT_F32 && a->load[in->args[0]])
        return in->args[0];
    return UINT32_MAX;
}

static bool cheap(const KernelInstr *in)
{
    return in->kind == KI_OP &&
           (in->op == OP_ADD || in->op == OP_SUB || in->op == OP_MUL || in->op == OP_NEG ||
            in->op == OP_FMA || (in->op == OP_CAST && in->dtype == DT_F32));
}

// 1 + how many operations it takes to have the value again while the row's held loads are there; 0:
// too many, or it needs more than those.
static uint32_t again(const CudaLoop *l, const Ahead *a, uint32_t instr)
{
    const KernelInstr *in = &l->body->code.at[instr];
    uint64_t red = axis_bit(l->s.red);
    if (a->held[instr]) return 1;
    if (in->kind == KI_LOAD) // the same for all rows
        return in->axes == red && vector_fits_load(l, in, l->s.red, 2) &&
                       !index_uses_value(&l->body->index, in->index)
                   ? 2
                   : 0;
    if (!cheap(in)) return 0;
    uint32_t n = in->op == OP_CAST ? 1 : 2;
    for (uint32_t i = 0; i < (uint32_t)op_info(in->op)->arity; i++) {
        uint32_t arg = in->args[i];
        if (!(l->body->code.at[arg].axes & red)) continue;
        if (!a->again[arg]) return 0;
        n += a->again[arg] - 1u;
    }
    return n > MOST_AGAIN + 1 ? 0 : n;
}

Ahead ahead_find(const CudaLoop *l)
{
    Arena *arena = l->t->arena;
    uint32_t n = l->body->code.n + 1;
    Ahead a = {.load = arena_array(arena, bool, n),
               .held = arena_array(arena, bool, n),
               .again = arena_array(arena, uint8_t, n),
               .first = arena_array(arena, uint32_t, n),
               .last = arena_array(arena, uint32_t, n)};
    for (uint32_t i = 0; i + 1 < n; i++) a.load[i] = may_fetch(l, &l->body->code.at[i]);
    for (uint32_t c = 0; c < l->s.columns.n; c++) {
        uint32_t source = ahead_source(l, &a, loop_column(l, c)->value);
        if (source != UINT32_MAX) a.held[source] = true;
    }
    for (uint32_t i = 0; i + 1 < n; i++) a.again[i] = (uint8_t)again(l, &a, i);
    return a;
}

static int64_t row_bytes(const CudaLoop *l, uint32_t load)
{
    return loop_axis_size(l, l->s.red) * (int64_t)dtype_size(l->body->code.at[load].dtype);
}

int64_t ahead_bytes(const CudaLoop *l, const Ahead *a, bool places)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < l->body->code.n; i++)
        if (a->load[i] && a->first[i]) bytes += row_bytes(l, i) * (places && a->held[i] ? 2 : 1);
    return bytes;
}

// ---- text ---------------------------------------------------------------------------------------

// The sweep after which the load's place is filled with the next row's; UINT32_MAX: not fetched.
static uint32_t turn_of(const Ahead *a, uint32_t load)
{
    if (!a->load[load] || !a->first[load]) return UINT32_MAX;
    return a->held[load] ? a->first[load] - 1 : a->last[load];
}

static bool any_turn(const CudaLoop *l, const Ahead *a, uint32_t sweep)
{
    for (uint32_t i = 0; i < l->body->code.n; i++)
        if (turn_of(a, i) == sweep) return true;
    return false;
}

const char *ahead_at(const CudaLoop *l, const Ahead *a, uint32_t load, uint32_t warps,
                     const char *warp, const char *element)
{
    const char *turn = a->held[load] ? str_printf(l->t->arena, "turn * %u + ", warps) : "";
    return str_printf(l->t->arena, "ahead%u + (%s%s) * %" PRId64 " + %s", load, turn, warp,
                      loop_axis_size(l, l->s.red), element);
}

// "fetch2(row)" fetches what has its turn after sweep 2, as one group of copies, which is empty
// where the task has no such row.
static void declare_fetch(CudaLoop *l, const Ahead *a, uint32_t sweep, uint32_t warps)
{
    CudaText *t = l->t;
    cuda_open(t, "const auto fetch%u = [&](const %s row, const int turn)", sweep,
              loop_point_type(l->rows + l->k->grain));
    cuda_line(t, "(void)turn;");
    cuda_open(t, "if (row < last)");
    loop_outer_axes(l, "row");
    t->axis[l->s.red] = "0";
    for (uint32_t i = 0; i < l->body->code.n; i++)
        if (turn_of(a, i) == sweep)
            cuda_line(t, "copy_row<%" PRId64 ">(%s, b%u + %s);", row_bytes(l, i),
                      ahead_at(l, a, i, warps, "warp", "0"), l->body->code.at[i].buffer,
                      cuda_index(t, l->body->code.at[i].index));
    cuda_close(t);
    cuda_line(t, "cp_async_commit();");
    cuda_close(t);
    cuda_line(t, ";");
}

// Declare the places, which begin at byte `at` of the shared memory, and fetch the first rows.
void ahead_begin(CudaLoop *l, const Ahead *a, uint32_t warps, int64_t at)
{
    CudaText *t = l->t;
    for (uint32_t i = 0; i < l->body->code.n; i++) {
        if (turn_of(a, i) == UINT32_MAX) continue;
        const char *type = cuda_memory_type(l->body->code.at[i].dtype);
        cuda_line(t, "%s *const ahead%u = (%s *)(shared + %" PRId64 ");", type, i, type, at);
        at += row_bytes(l, i) * (a->held[i] ? 2 : 1) * warps;
    }
    cuda_line(t, "int turn = 0;");
    for (uint32_t sweep = 0; sweep < l->s.n; sweep++)
        if (any_turn(l, a, sweep)) declare_fetch(l, a, sweep, warps);
    for (uint32_t sweep = 0; sweep < l->s.n; sweep++)
        if (any_turn(l, a, sweep)) cuda_line(t, "fetch%u(first + warp, turn);", sweep);
}

// Wait for what the sweep is the first to read. Groups are over in the order of their making:
// later ones are those whose turn in the row before came later, and those of this row's sweeps.
void ahead_wait(const CudaLoop *l, const Ahead *a, uint32_t sweep)
{
    uint32_t most = UINT32_MAX;
    for (uint32_t i = 0; i < l->body->code.n; i++) {
        uint32_t turn = turn_of(a, i), later = 0;
        if (turn == UINT32_MAX || a->first[i] != sweep + 1) continue;
        for (uint32_t s = 0; s < l->s.n; s++) later += any_turn(l, a, s) && (s > turn || s < sweep);
        if (later < most) most = later;
    }
    if (most == UINT32_MAX) return;
    cuda_line(l->t, "cp_async_wait_group<%u>();", most);
    cuda_line(l->t, "warp_sync();");
}

void ahead_fetch(const CudaLoop *l, const Ahead *a, uint32_t sweep, uint32_t warps)
{
    if (!any_turn(l, a, sweep)) return;
    cuda_line(l->t, "warp_sync();");
    cuda_line(l->t, "fetch%u(row + %u, 1 - turn);", sweep, warps);
}
