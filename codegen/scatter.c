// scatter_add: each task owns a range of result rows, clears it, and adds the updates whose index
// falls into it in rising order. So the result is that of one sequential loop for any number of
// threads.
#include "codegen/emit.h"

#include "base/diag.h"

enum { TASK_ROWS = 1024 }; // as in gemm_tasks

static LLVMValueRef least(Emit *e, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildSelect(e->builder, LLVMBuildICmp(e->builder, LLVMIntSLT, x, y, ""), x, y, "");
}

// out[i] (+)= update[i] for i in [0, n), by vectors and a scalar rest; update NULL clears.
static void add_row(Emit *e, LLVMValueRef out, LLVMValueRef update, LLVMValueRef n, DType dt)
{
    LLVMTypeRef type = emit_type(e, dt), vector = emit_vector_type(e, type);
    LLVMValueRef whole = LLVMBuildAnd(e->builder, n, emit_i64(e, -(int64_t)e->lanes), "");
    for (int rest = 0; rest < 2; rest++) {
        LLVMTypeRef of = rest ? type : vector;
        EmitLoop i = emit_loop_begin(e, rest ? whole : emit_i64(e, 0), rest ? n : whole,
                                     rest ? 1 : e->lanes, NULL, 0);
        LLVMValueRef to = emit_at(e, type, out, i.index), x = LLVMConstNull(of);
        if (update)
            x = emit_combine(e, OP_SUM, dt, emit_load(e, of, to, 4),
                             emit_load(e, of, emit_at(e, type, update, i.index), 4));
        emit_store(e, x, to, 4);
        emit_loop_end(e, &i);
    }
}

void emit_scatter_kernel(Emit *e)
{
    const Kernel *k = e->kernel;
    DType dt = k->buffers.at[k->scatter.out].dtype;
    LLVMTypeRef type = emit_type(e, dt);
    if (k->buffers.at[k->scatter.index].dtype != DT_I32)
        bug("scatter by %s", dtype_name(k->buffers.at[k->scatter.index].dtype));
    int64_t ranges = (k->scatter.rows + TASK_ROWS - 1) / TASK_ROWS;
    LLVMBuilderRef b = e->builder;
    EmitLoop task = emit_loop_begin(e, e->begin, e->end, 1, NULL, 0);
    LLVMValueRef batch = LLVMBuildUDiv(b, task.index, emit_i64(e, ranges), "");
    LLVMValueRef first = LLVMBuildMul(b, LLVMBuildURem(b, task.index, emit_i64(e, ranges), ""),
                                      emit_i64(e, TASK_ROWS), "");
    LLVMValueRef last =
        least(e, LLVMBuildAdd(b, first, emit_i64(e, TASK_ROWS), ""), emit_i64(e, k->scatter.rows));
    LLVMValueRef width = emit_i64(e, k->scatter.width), count = emit_i64(e, k->scatter.count);
    LLVMValueRef rows = LLVMBuildMul(b, batch, emit_i64(e, k->scatter.rows), "");
    LLVMValueRef out = emit_at(e, type, e->base[k->scatter.out], LLVMBuildMul(b, rows, width, ""));
    add_row(e, emit_at(e, type, out, LLVMBuildMul(b, first, width, "")), NULL,
            LLVMBuildMul(b, LLVMBuildSub(b, last, first, ""), width, ""), dt);
    LLVMValueRef start = LLVMBuildMul(b, batch, count, "");
    EmitLoop i = emit_loop_begin(e, emit_i64(e, 0), count, 1, NULL, 0);
    LLVMValueRef at = LLVMBuildAdd(b, start, i.index, "");
    LLVMValueRef which =
        emit_load(e, e->t.i32, emit_at(e, e->t.i32, e->base[k->scatter.index], at), 4);
    which = LLVMBuildSExt(b, which, e->t.i64, "");
    LLVMValueRef zero = emit_i64(e, 0),
                 top = emit_i64(e, k->scatter.rows - 1); // clamped, as gather clamps
    which = LLVMBuildSelect(b, LLVMBuildICmp(b, LLVMIntSLT, which, zero, ""), zero,
                            least(e, which, top), "");
    LLVMValueRef in = LLVMBuildAnd(b, LLVMBuildICmp(b, LLVMIntSGE, which, first, ""),
                                   LLVMBuildICmp(b, LLVMIntSLT, which, last, ""), "");
    LLVMBasicBlockRef mine = LLVMAppendBasicBlockInContext(e->context, e->function, "mine");
    LLVMBasicBlockRef next = LLVMAppendBasicBlockInContext(e->context, e->function, "next");
    LLVMBuildCondBr(b, in, mine, next);
    LLVMPositionBuilderAtEnd(b, mine);
    add_row(e, emit_at(e, type, out, LLVMBuildMul(b, which, width, "")),
            emit_at(e, type, e->base[k->scatter.update], LLVMBuildMul(b, at, width, "")), width,
            dt);
    LLVMBuildBr(b, next);
    LLVMPositionBuilderAtEnd(b, next);
    emit_loop_end(e, &i);
    emit_loop_end(e, &task);
}
