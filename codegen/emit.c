// Builder helpers: types, vectors, memory access, counted loops.
#include "codegen/emit.h"

#include "base/diag.h"

LLVMValueRef emit_i64(const Emit *e, int64_t x)
{
    return LLVMConstInt(e->t.i64, (unsigned long long)x, true);
}

LLVMValueRef emit_f32(const Emit *e, double x)
{
    return LLVMConstReal(e->t.f32, x);
}

LLVMTypeRef emit_type(const Emit *e, DType dt)
{
    if (dtype_is_narrow(dt)) return e->t.f32;
    switch (dt) {
    case DT_F32: return e->t.f32;
    case DT_F64: return e->t.f64;
    case DT_BOOL: return e->t.i1;
    default: return emit_memory_type(e, dt);
    }
}

LLVMTypeRef emit_memory_type(const Emit *e, DType dt)
{
    switch (dtype_size(dt)) {
    case 1: return e->t.i8;
    case 2: return e->t.i16;
    case 4: return dtype_is_float(dt) ? e->t.f32 : e->t.i32;
    default: return dtype_is_float(dt) ? e->t.f64 : e->t.i64;
    }
}

LLVMTypeRef emit_vector_type(const Emit *e, LLVMTypeRef element)
{
    return LLVMVectorType(element, e->lanes);
}

bool emit_is_vector(LLVMValueRef x)
{
    return LLVMGetTypeKind(LLVMTypeOf(x)) == LLVMVectorTypeKind;
}

LLVMValueRef emit_splat(const Emit *e, LLVMValueRef x)
{
    if (emit_is_vector(x)) return x;
    LLVMTypeRef type = emit_vector_type(e, LLVMTypeOf(x));
    LLVMValueRef one =
        LLVMBuildInsertElement(e->builder, LLVMGetPoison(type), x, emit_i64(e, 0), "");
    LLVMValueRef zero = LLVMConstNull(emit_vector_type(e, e->t.i32));
    return LLVMBuildShuffleVector(e->builder, one, LLVMGetPoison(type), zero, "");
}

LLVMValueRef emit_iota(const Emit *e)
{
    LLVMValueRef *at = arena_array(e->arena, LLVMValueRef, e->lanes);
    for (uint32_t i = 0; i < e->lanes; i++) at[i] = emit_i64(e, i);
    return LLVMConstVector(at, e->lanes);
}

LLVMValueRef emit_mask(const Emit *e, uint32_t n)
{
    LLVMValueRef *at = arena_array(e->arena, LLVMValueRef, e->lanes);
    for (uint32_t i = 0; i < e->lanes; i++) at[i] = LLVMConstInt(e->t.i1, i < n, false);
    return LLVMConstVector(at, e->lanes);
}

LLVMValueRef emit_intrinsic(const Emit *e, const char *name, LLVMTypeRef type, LLVMValueRef *args,
                            uint32_t n)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    if (!id) bug("no intrinsic %s", name);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->module, id, &type, 1);
    return LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, &type, 1), fn, args, n,
                          "");
}

LLVMValueRef emit_at(const Emit *e, LLVMTypeRef type, LLVMValueRef base, LLVMValueRef index)
{
    return LLVMBuildInBoundsGEP2(e->builder, type, base, &index, 1, "");
}

LLVMValueRef emit_load(const Emit *e, LLVMTypeRef type, LLVMValueRef at, uint32_t align)
{
    LLVMValueRef x = LLVMBuildLoad2(e->builder, type, at, "");
    LLVMSetAlignment(x, align);
    return x;
}

void emit_store(const Emit *e, LLVMValueRef x, LLVMValueRef at, uint32_t align)
{
    LLVMSetAlignment(LLVMBuildStore(e->builder, x, at), align);
}

static void copy_attributes(const Emit *e, LLVMValueRef to)
{
    unsigned n = LLVMGetAttributeCountAtIndex(e->function, LLVMAttributeFunctionIndex);
    LLVMAttributeRef *at = arena_array(e->arena, LLVMAttributeRef, n + 1);
    LLVMGetAttributesAtIndex(e->function, LLVMAttributeFunctionIndex, at);
    for (unsigned i = 0; i < n; i++) LLVMAddAttributeAtIndex(to, LLVMAttributeFunctionIndex, at[i]);
}

Emit emit_shared(const Emit *caller, const char *name, LLVMTypeRef *parameters, uint32_t n)
{
    Emit e = *caller;
    e.builder = NULL;
    e.function = LLVMGetNamedFunction(e.module, name);
    if (e.function) return e;
    e.function = LLVMAddFunction(e.module, name, LLVMFunctionType(e.t.void_, parameters, n, false));
    LLVMSetLinkage(e.function, LLVMInternalLinkage);
    copy_attributes(caller, e.function);
    e.builder = LLVMCreateBuilderInContext(e.context);
    LLVMPositionBuilderAtEnd(e.builder,
                             LLVMAppendBasicBlockInContext(e.context, e.function, "entry"));
    return e;
}

EmitLoop emit_loop_begin(Emit *e, LLVMValueRef from, LLVMValueRef to, int64_t step,
                         LLVMValueRef *carry, uint32_t n)
{
    EmitLoop loop = {.carry = carry, .ncarry = n};
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->builder);
    loop.head = LLVMAppendBasicBlockInContext(e->context, e->function, "head");
    loop.body = LLVMAppendBasicBlockInContext(e->context, e->function, "body");
    loop.after = LLVMAppendBasicBlockInContext(e->context, e->function, "after");
    loop.phi = arena_array(e->arena, LLVMValueRef, n + 1);
    LLVMBuildBr(e->builder, loop.head);
    LLVMPositionBuilderAtEnd(e->builder, loop.head);
    loop.index = LLVMBuildPhi(e->builder, e->t.i64, "i");
    LLVMAddIncoming(loop.index, &from, &before, 1);
    for (uint32_t i = 0; i < n; i++) {
        loop.phi[i] = LLVMBuildPhi(e->builder, LLVMTypeOf(carry[i]), "");
        LLVMAddIncoming(loop.phi[i], &carry[i], &before, 1);
        carry[i] = loop.phi[i];
    }
    LLVMValueRef more = LLVMBuildICmp(e->builder, LLVMIntSLT, loop.index, to, "");
    LLVMBuildCondBr(e->builder, more, loop.body, loop.after);
    LLVMPositionBuilderAtEnd(e->builder, loop.body);
    loop.next = LLVMBuildAdd(e->builder, loop.index, emit_i64(e, step), "");
    return loop;
}

void emit_loop_end(Emit *e, EmitLoop *loop)
{
    LLVMBasicBlockRef last = LLVMGetInsertBlock(e->builder);
    LLVMBuildBr(e->builder, loop->head);
    LLVMAddIncoming(loop->index, &loop->next, &last, 1);
    for (uint32_t i = 0; i < loop->ncarry; i++) {
        LLVMAddIncoming(loop->phi[i], &loop->carry[i], &last, 1);
        loop->carry[i] = loop->phi[i];
    }
    LLVMPositionBuilderAtEnd(e->builder, loop->after);
}
