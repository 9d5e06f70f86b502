// The register tile as a function of its own, one for each shape in use.
#include "codegen/micro.h"

enum { UNROLL = 4, SHALLOW = 64 }; // steps of a trip; a depth that earns its own function

uint32_t micro_mr(uint32_t lanes)
{
    return lanes == 16 ? 12 : 6;
}

uint32_t micro_nr(uint32_t lanes)
{
    return 2 * lanes;
}

uint32_t micro_columns(uint32_t lanes, int64_t n)
{
    return n <= lanes / 2 ? lanes / 2 : n <= lanes ? lanes : micro_nr(lanes);
}

typedef struct Tile {
    Emit *e; // of the tile function: its own builder and function; its lanes are those of a
             // register in use
    Micro shape;
    uint32_t registers; // of a row: 1 or 2
    LLVMValueRef mask;  // of the last register, NULL: all of it
    LLVMValueRef a, b, c;
    LLVMTypeRef vector;
} Tile;

// One step: one or two registers of b, every row of a against them.
static void step(const Tile *t, LLVMValueRef k, LLVMValueRef *acc)
{
    Emit *e = t->e;
    LLVMValueRef b[2];
    LLVMValueRef row = LLVMBuildMul(e->builder, k, emit_i64(e, t->shape.columns), "");
    for (uint32_t j = 0; j < t->registers; j++) {
        LLVMValueRef at = LLVMBuildAdd(e->builder, row, emit_i64(e, (int64_t)j * e->lanes), "");
        b[j] = emit_load(e, t->vector, emit_at(e, e->t.f32, t->b, at), e->lanes * 4);
    }
    LLVMValueRef column = LLVMBuildMul(e->builder, k, emit_i64(e, t->shape.aks), "");
    for (uint32_t r = 0; r < t->shape.rows; r++) {
        LLVMValueRef at =
            LLVMBuildAdd(e->builder, column, emit_i64(e, (int64_t)r * t->shape.ars), "");
        LLVMValueRef x = emit_splat(e, emit_load(e, e->t.f32, emit_at(e, e->t.f32, t->a, at), 4));
        for (uint32_t j = 0; j < t->registers; j++) {
            LLVMValueRef *sum = &acc[t->registers * r + j], args[3] = {x, b[j], *sum};
            *sum = emit_intrinsic(e, "llvm.fma", t->vector, args, 3);
        }
    }
}

static LLVMValueRef c_at(const Tile *t, uint32_t i)
{
    int64_t offset =
        (int64_t)(i / t->registers) * t->shape.crs + (int64_t)(i % t->registers) * t->e->lanes;
    return emit_at(t->e, t->e->t.f32, t->c, emit_i64(t->e, offset));
}

static LLVMValueRef masked(const Tile *t, const char *name, LLVMValueRef *args)
{
    Emit *e = t->e;
    LLVMTypeRef types[2] = {t->vector, e->t.ptr};
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    return LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, types, 2),
                          LLVMGetIntrinsicDeclaration(e->module, id, types, 2), args, 4, "");
}

// Accumulator i from and to c; nothing past the columns in use is touched.
static LLVMValueRef load_c(const Tile *t, uint32_t i)
{
    LLVMValueRef args[4] = {c_at(t, i), LLVMConstInt(t->e->t.i32, 4, false), t->mask,
                            LLVMConstNull(t->vector)};
    if (t->mask && (i + 1) % t->registers == 0) return masked(t, "llvm.masked.load", args);
    return emit_load(t->e, t->vector, args[0], 4);
}

static void store_c(const Tile *t, uint32_t i, LLVMValueRef x)
{
    LLVMValueRef args[4] = {x, c_at(t, i), LLVMConstInt(t->e->t.i32, 4, false), t->mask};
    if (t->mask && (i + 1) % t->registers == 0)
        masked(t, "llvm.masked.store", args);
    else
        emit_store(t->e, x, args[1], 4);
}

// Ask for the lines of c before the steps.
static void prefetch_c(const Tile *t)
{
    Emit *e = t->e;
    LLVMValueRef near = LLVMConstInt(e->t.i32, 3, false), one = LLVMConstInt(e->t.i32, 1, false);
    for (uint32_t i = 0; i < t->registers * t->shape.rows; i++) {
        LLVMValueRef args[4] = {c_at(t, i), one, near, one};
        unsigned id = LLVMLookupIntrinsicID("llvm.prefetch", 13);
        LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, &e->t.ptr, 1),
                       LLVMGetIntrinsicDeclaration(e->module, id, &e->t.ptr, 1), args, 4, "");
    }
}

// The accumulators at the start: zero, or what c holds.
static void first_values(const Tile *t, LLVMValueRef add, LLVMValueRef *acc)
{
    Emit *e = t->e;
    uint32_t n = t->registers * t->shape.rows;
    for (uint32_t i = 0; i < n; i++) acc[i] = LLVMConstNull(t->vector);
    if (LLVMIsConstant(add)) return;
    LLVMBasicBlockRef from = LLVMGetInsertBlock(e->builder);
    LLVMBasicBlockRef load = LLVMAppendBasicBlockInContext(e->context, e->function, "load");
    LLVMBasicBlockRef start = LLVMAppendBasicBlockInContext(e->context, e->function, "start");
    LLVMBuildCondBr(e->builder, add, load, start);
    LLVMPositionBuilderAtEnd(e->builder, load);
    LLVMValueRef loaded[2 * 16];
    for (uint32_t i = 0; i < n; i++) loaded[i] = load_c(t, i);
    LLVMBuildBr(e->builder, start);
    LLVMPositionBuilderAtEnd(e->builder, start);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef phi = LLVMBuildPhi(e->builder, t->vector, "");
        LLVMAddIncoming(phi, &acc[i], &from, 1);
        LLVMAddIncoming(phi, &loaded[i], &load, 1);
        acc[i] = phi;
    }
}

static void tile_body(const Tile *t, LLVMValueRef depth, LLVMValueRef add)
{
    Emit *e = t->e;
    uint32_t n = t->registers * t->shape.rows;
    LLVMValueRef acc[2 * 16];
    if (t->shape.far) prefetch_c(t);
    first_values(t, add, acc);
    LLVMValueRef whole = LLVMBuildAnd(e->builder, depth, emit_i64(e, -UNROLL), "");
    EmitLoop loop = emit_loop_begin(e, emit_i64(e, 0), whole, UNROLL, acc, n);
    for (uint32_t u = 0; u < UNROLL; u++)
        step(t, LLVMBuildAdd(e->builder, loop.index, emit_i64(e, u), ""), acc);
    emit_loop_end(e, &loop);
    if (LLVMIsConstant(depth)) {
        int64_t steps = LLVMConstIntGetSExtValue(depth);
        for (int64_t k = steps - steps % UNROLL; k < steps; k++) step(t, emit_i64(e, k), acc);
    } else {
        loop = emit_loop_begin(e, whole, depth, 1, acc, n);
        step(t, loop.index, acc);
        emit_loop_end(e, &loop);
    }
    for (uint32_t i = 0; i < n; i++) store_c(t, i, acc[i]);
    LLVMBuildRetVoid(e->builder);
}

// depth and add are constants of the function where they are not NULL.
static LLVMValueRef tile_function(Emit *caller, Micro shape, LLVMValueRef depth, LLVMValueRef add)
{
    const char *name =
        str_printf(caller->arena, "tile_%u_%u_%u%s_%lld_%lld_%lld_%lld", shape.rows, shape.columns,
                   shape.used, shape.far ? "_far" : "", (long long)shape.ars, (long long)shape.aks,
                   (long long)shape.crs, depth ? (long long)LLVMConstIntGetSExtValue(depth) : -1);
    LLVMTypeRef parameters[5] = {caller->t.ptr, caller->t.ptr, caller->t.i64, caller->t.ptr,
                                 caller->t.i1};
    Emit e = emit_shared(caller, name, parameters, 5);
    if (!e.builder) return e.function;
    if (shape.columns < e.lanes) e.lanes = shape.columns;
    Tile t = {.e = &e,
              .shape = shape,
              .registers = (shape.used + e.lanes - 1) / e.lanes,
              .a = LLVMGetParam(e.function, 0),
              .b = LLVMGetParam(e.function, 1),
              .c = LLVMGetParam(e.function, 3),
              .vector = emit_vector_type(&e, e.t.f32)};
    if (shape.used % e.lanes) t.mask = emit_mask(&e, shape.used % e.lanes);
    tile_body(&t, depth ? depth : LLVMGetParam(e.function, 2),
              add ? add : LLVMGetParam(e.function, 4));
    LLVMDisposeBuilder(e.builder);
    return e.function;
}

void micro_call(Emit *e, Micro shape, LLVMValueRef a, LLVMValueRef b, LLVMValueRef depth,
                LLVMValueRef c, LLVMValueRef add)
{
    LLVMValueRef args[5] = {a, b, depth, c, add};
    bool shallow =
        LLVMIsAConstantInt(depth) && LLVMConstIntGetSExtValue(depth) <= SHALLOW && LLVMIsNull(add);
    LLVMValueRef tile = tile_function(e, shape, shallow ? depth : NULL, shallow ? add : NULL);
    LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(tile), tile, args, 5, "");
}

// By halving: step w swaps, in each pair of registers w apart, the lanes whose bit w differs from
// the register's.
void micro_transpose(Emit *e, LLVMValueRef *x)
{
    LLVMValueRef *low = arena_array(e->arena, LLVMValueRef, e->lanes),
                 *high = arena_array(e->arena, LLVMValueRef, e->lanes);
    for (uint32_t w = 1; w < e->lanes; w *= 2) {
        for (uint32_t l = 0; l < e->lanes; l++) {
            low[l] = LLVMConstInt(e->t.i32, l & w ? e->lanes + l - w : l, false);
            high[l] = LLVMConstInt(e->t.i32, l & w ? e->lanes + l : l + w, false);
        }
        LLVMValueRef pick_low = LLVMConstVector(low, e->lanes),
                     pick_high = LLVMConstVector(high, e->lanes);
        for (uint32_t i = 0; i < e->lanes; i++) {
            if (i & w) continue;
            LLVMValueRef a = x[i], b = x[i + w];
            x[i] = LLVMBuildShuffleVector(e->builder, a, b, pick_low, "");
            x[i + w] = LLVMBuildShuffleVector(e->builder, a, b, pick_high, "");
        }
    }
}
