// The register tile as a function of its own, one for each shape in use.
#include "codegen/micro.h"

enum { UNROLL = 4 };

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
    Emit *e; // of the tile function: its own builder and function; its lanes are those of a register in use
    Micro shape;
    uint32_t registers; // of a row: 1 or 2
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
        LLVMValueRef at = LLVMBuildAdd(e->builder, column, emit_i64(e, (int64_t)r * t->shape.ars), "");
        LLVMValueRef x = emit_splat(e, emit_load(e, e->t.f32, emit_at(e, e->t.f32, t->a, at), 4));
        for (uint32_t j = 0; j < t->registers; j++) {
            LLVMValueRef *sum = &acc[t->registers * r + j], args[3] = {x, b[j], *sum};
            *sum = emit_intrinsic(e, "llvm.fma", t->vector, args, 3);
        }
    }
}

static LLVMValueRef c_at(const Tile *t, uint32_t i)
{
    int64_t offset = (int64_t)(i / t->registers) * t->shape.crs + (int64_t)(i % t->registers) * t->e->lanes;
    return emit_at(t->e, t->e->t.f32, t->c, emit_i64(t->e, offset));
}

// The accumulators at the start: zero, or what c holds.
static void first_values(const Tile *t, LLVMValueRef add, LLVMValueRef *acc)
{
    Emit *e = t->e;
    uint32_t n = t->registers * t->shape.rows;
    LLVMBasicBlockRef from = LLVMGetInsertBlock(e->builder);
    LLVMBasicBlockRef load = LLVMAppendBasicBlockInContext(e->context, e->function, "load");
    LLVMBasicBlockRef start = LLVMAppendBasicBlockInContext(e->context, e->function, "start");
    LLVMBuildCondBr(e->builder, add, load, start);
    LLVMPositionBuilderAtEnd(e->builder, load);
    for (uint32_t i = 0; i < n; i++) acc[i] = emit_load(e, t->vector, c_at(t, i), 4);
    LLVMBuildBr(e->builder, start);
    LLVMPositionBuilderAtEnd(e->builder, start);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef phi = LLVMBuildPhi(e->builder, t->vector, ""), zero = LLVMConstNull(t->vector);
        LLVMAddIncoming(phi, &zero, &from, 1);
        LLVMAddIncoming(phi, &acc[i], &load, 1);
        acc[i] = phi;
    }
}

static void tile_body(const Tile *t, LLVMValueRef depth, LLVMValueRef add)
{
    Emit *e = t->e;
    uint32_t n = t->registers * t->shape.rows;
    LLVMValueRef acc[2 * 16];
    first_values(t, add, acc);
    LLVMValueRef whole = LLVMBuildAnd(e->builder, depth, emit_i64(e, -UNROLL), "");
    EmitLoop loop = emit_loop_begin(e, emit_i64(e, 0), whole, UNROLL, acc, n);
    for (uint32_t u = 0; u < UNROLL; u++)
        step(t, LLVMBuildAdd(e->builder, loop.index, emit_i64(e, u), ""), acc);
    emit_loop_end(e, &loop);
    loop = emit_loop_begin(e, whole, depth, 1, acc, n);
    step(t, loop.index, acc);
    emit_loop_end(e, &loop);
    for (uint32_t i = 0; i < n; i++) emit_store(e, acc[i], c_at(t, i), 4);
    LLVMBuildRetVoid(e->builder);
}

static LLVMTypeRef tile_type(const Emit *e)
{
    LLVMTypeRef args[5] = {e->t.ptr, e->t.ptr, e->t.i64, e->t.ptr, e->t.i1};
    return LLVMFunctionType(e->t.void_, args, 5, false);
}

// The tile function takes the attributes of the kernel that first calls it.
static void copy_attributes(const Emit *e, LLVMValueRef to)
{
    unsigned n = LLVMGetAttributeCountAtIndex(e->function, LLVMAttributeFunctionIndex);
    LLVMAttributeRef *at = arena_array(e->arena, LLVMAttributeRef, n + 1);
    LLVMGetAttributesAtIndex(e->function, LLVMAttributeFunctionIndex, at);
    for (unsigned i = 0; i < n; i++) LLVMAddAttributeAtIndex(to, LLVMAttributeFunctionIndex, at[i]);
}

static LLVMValueRef tile_function(Emit *caller, Micro shape)
{
    const char *name = str_printf(caller->arena, "tile_%u_%u_%lld_%lld_%lld", shape.rows, shape.columns, (long long)shape.ars,
                                  (long long)shape.aks, (long long)shape.crs);
    LLVMValueRef known = LLVMGetNamedFunction(caller->module, name);
    if (known) return known;
    Emit e = *caller;
    e.function = LLVMAddFunction(e.module, name, tile_type(&e));
    LLVMSetLinkage(e.function, LLVMInternalLinkage);
    copy_attributes(caller, e.function);
    e.builder = LLVMCreateBuilderInContext(e.context);
    LLVMPositionBuilderAtEnd(e.builder, LLVMAppendBasicBlockInContext(e.context, e.function, "entry"));
    uint32_t registers = shape.columns > e.lanes ? 2 : 1;
    e.lanes = shape.columns / registers;
    Tile t = {.e = &e, .shape = shape, .registers = registers, .a = LLVMGetParam(e.function, 0), .b = LLVMGetParam(e.function, 1),
              .c = LLVMGetParam(e.function, 3), .vector = emit_vector_type(&e, e.t.f32)};
    tile_body(&t, LLVMGetParam(e.function, 2), LLVMGetParam(e.function, 4));
    LLVMDisposeBuilder(e.builder);
    return e.function;
}

void micro_call(Emit *e, Micro shape, LLVMValueRef a, LLVMValueRef b, LLVMValueRef depth, LLVMValueRef c, LLVMValueRef add)
{
    LLVMValueRef args[5] = {a, b, depth, c, add};
    LLVMBuildCall2(e->builder, tile_type(e), tile_function(e, shape), args, 5, "");
}
