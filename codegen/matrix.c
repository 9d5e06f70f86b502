// 2 x 2 registers of c, two of a and two of b: each of these is used twice when it is there.
#include "codegen/matrix.h"

#include "base/diag.h"
#include "codegen/micro.h"

enum { C = 0, A = 4, B = 6, REGISTERS = 8, LINE = 64 };

static LLVMValueRef call(const Emit *e, const char *name, LLVMValueRef *args, unsigned n)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    if (!id) bug("no intrinsic %s", name);
    LLVMTypeRef type = LLVMIntrinsicGetType(e->context, id, NULL, 0);
    LLVMValueRef fn = LLVMGetIntrinsicDeclaration(e->module, id, NULL, 0);
    return LLVMBuildCall2(e->builder, type, fn, args, n, "");
}

static LLVMValueRef number(const Emit *e, uint32_t of_register)
{
    return LLVMConstInt(e->t.i8, of_register, false);
}

void matrix_begin(const Emit *e)
{
    uint8_t shape[LINE] = {[0] = 1}; // palette 1; bytes of a row from 16 on, rows from 48 on
    LLVMValueRef byte[LINE];
    for (uint32_t i = 0; i < REGISTERS; i++) shape[16 + 2 * i] = LINE, shape[48 + i] = MATRIX_ROWS;
    for (uint32_t i = 0; i < LINE; i++) byte[i] = LLVMConstInt(e->t.i8, shape[i], false);
    LLVMValueRef bytes = LLVMConstVector(byte, LINE),
                 at = LLVMBuildAlloca(e->builder, LLVMTypeOf(bytes), "");
    emit_store(e, bytes, at, LINE);
    call(e, "llvm.x86.ldtilecfg", &at, 1);
}

void matrix_end(const Emit *e)
{
    call(e, "llvm.x86.tilerelease", NULL, 0);
}

typedef struct Function {
    Emit *e; // of the function: its own builder
    Matrix shape;
    LLVMValueRef a, b, trips, c, add;
} Function;

static void load(const Emit *e, uint32_t to, LLVMValueRef at, int64_t stride)
{
    LLVMValueRef args[3] = {number(e, to), at, emit_i64(e, stride)};
    call(e, "llvm.x86.tileloadd64", args, 3);
}

static LLVMValueRef c_at(const Function *f, uint32_t row, uint32_t column)
{
    int64_t offset = (int64_t)(row * MATRIX_ROWS) * f->shape.crs + column * MATRIX_ROWS;
    return emit_at(f->e, f->e->t.f32, f->c, emit_i64(f->e, offset));
}

// Zero, or what c holds.
static void first_values(const Function *f)
{
    Emit *e = f->e;
    uint32_t n = f->shape.rows * f->shape.columns;
    LLVMBasicBlockRef held = LLVMAppendBasicBlockInContext(e->context, e->function, "held");
    LLVMBasicBlockRef zero = LLVMAppendBasicBlockInContext(e->context, e->function, "zero");
    LLVMBasicBlockRef start = LLVMAppendBasicBlockInContext(e->context, e->function, "start");
    LLVMBuildCondBr(e->builder, f->add, held, zero);
    LLVMPositionBuilderAtEnd(e->builder, held);
    for (uint32_t i = 0; i < n; i++)
        load(e, C + i, c_at(f, i / f->shape.columns, i % f->shape.columns), 4 * f->shape.crs);
    LLVMBuildBr(e->builder, start);
    LLVMPositionBuilderAtEnd(e->builder, zero);
    for (uint32_t i = 0; i < n; i++)
        call(e, "llvm.x86.tilezero", (LLVMValueRef[]){number(e, C + i)}, 1);
    LLVMBuildBr(e->builder, start);
    LLVMPositionBuilderAtEnd(e->builder, start);
}

static void trip(const Function *f, LLVMValueRef index)
{
    Emit *e = f->e;
    const Matrix *s = &f->shape;
    LLVMValueRef k = LLVMBuildMul(e->builder, index, emit_i64(e, MATRIX_DEPTH), "");
    LLVMValueRef lines = LLVMBuildMul(
        e->builder, index, emit_i64(e, (int64_t)s->columns * MATRIX_ROWS * MATRIX_DEPTH / 2), "");
    for (uint32_t r = 0; r < s->rows; r++) {
        LLVMValueRef row =
            LLVMBuildAdd(e->builder, k, emit_i64(e, (int64_t)r * MATRIX_ROWS * s->ars), "");
        load(e, A + r, emit_at(e, e->t.i16, f->a, row), 2 * s->ars);
        for (uint32_t j = 0; j < s->columns; j++) {
            LLVMValueRef at =
                LLVMBuildAdd(e->builder, lines, emit_i64(e, (int64_t)j * MATRIX_ROWS), "");
            if (!r) load(e, B + j, emit_at(e, e->t.f32, f->b, at), (int64_t)LINE * s->columns);
            LLVMValueRef args[3] = {number(e, C + r * s->columns + j), number(e, A + r),
                                    number(e, B + j)};
            call(e, "llvm.x86.tdpbf16ps", args, 3);
        }
    }
}

static void body(const Function *f)
{
    Emit *e = f->e;
    first_values(f);
    EmitLoop loop = emit_loop_begin(e, emit_i64(e, 0), f->trips, 1, NULL, 0);
    trip(f, loop.index);
    emit_loop_end(e, &loop);
    for (uint32_t i = 0; i < f->shape.rows * f->shape.columns; i++) {
        LLVMValueRef args[3] = {number(e, C + i),
                                c_at(f, i / f->shape.columns, i % f->shape.columns),
                                emit_i64(e, 4 * f->shape.crs)};
        call(e, "llvm.x86.tilestored64", args, 3);
    }
    LLVMBuildRetVoid(e->builder);
}

void matrix_call(Emit *e, Matrix shape, LLVMValueRef a, LLVMValueRef b, LLVMValueRef trips,
                 LLVMValueRef c, LLVMValueRef add)
{
    const char *name = str_printf(e->arena, "matrix_%u_%u_%lld_%lld", shape.rows, shape.columns,
                                  (long long)shape.ars, (long long)shape.crs);
    LLVMTypeRef parameters[5] = {e->t.ptr, e->t.ptr, e->t.i64, e->t.ptr, e->t.i1};
    Emit own = emit_shared(e, name, parameters, 5);
    LLVMValueRef args[5] = {a, b, trips, c, add};
    if (own.builder) {
        Function f = {.e = &own, .shape = shape};
        LLVMValueRef *into[5] = {&f.a, &f.b, &f.trips, &f.c, &f.add};
        for (unsigned i = 0; i < 5; i++) *into[i] = LLVMGetParam(own.function, i);
        body(&f);
        LLVMDisposeBuilder(own.builder);
    }
    LLVMBuildCall2(e->builder, LLVMGlobalGetValueType(own.function), own.function, args, 5, "");
}
