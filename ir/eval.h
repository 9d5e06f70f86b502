// Inside of the reference interpreter (eval.c, eval_*.c); program.h has its public entry.
#ifndef CZT_IR_EVAL_H
#define CZT_IR_EVAL_H

#include "ir/program.h"
#include "ir/scalar.h"

// Loops of fma need the instruction to be quick; every machine that cztc supports has it.
#if defined(__x86_64__)
#define EVAL_FAST __attribute__((target("avx2,fma")))
#else
#define EVAL_FAST
#endif

enum { SCALAR_BLOCK = 64, SCALAR_LIMIT = 128 };

// Run a program of at most SCALAR_LIMIT instructions on n <= SCALAR_BLOCK values: args[j] is
// operand j.
void scalar_run_block(const ScalarProgram *p, int n, const float *const *args, float *result);

// What arithmetic is done in. WORK_F32 follows the bits rules (expansions, reduction orders),
// WORK_F64 is plain: libm, rising order.
typedef enum { WORK_F32, WORK_F64, WORK_INT } Work;

// A tensor during evaluation, dense and row-major, as `stored`: in f64 mode floats are DT_F64.
typedef struct Value {
    const Type *type;
    DType stored;
    void *data;          // NULL for a tuple
    struct Value *parts; // of a tuple
} Value;

typedef struct Eval {
    const Entry *entry;
    const Graph *graph;
    EvalMode mode;
    const Map *inputs, *state;
    Arena *arena;   // values
    Arena *scratch; // temporaries of one node
    Error *err;
    Value *values; // by node id
    const ScalarProgram *expansions[OP_COUNT];
} Eval;

// The value of operand number i.
static inline const Value *eval_arg(const Eval *ev, const Node *n, uint32_t i)
{
    return &ev->values[n->args[i]];
}
// The expansion of an op, made when first asked for.
const ScalarProgram *eval_expansion(Eval *ev, OpCode op);
// y = op(x) over n values by the expansion of op, in place allowed.
void eval_expand(Eval *ev, OpCode op, int64_t n, const float *x, float *y);

// ---- values (eval_value.c) ----------------------------------------------------------------------

// Up to SCALAR_BLOCK values in working form.
typedef union Block {
    float f[SCALAR_BLOCK];
    double d[SCALAR_BLOCK];
    int64_t i[SCALAR_BLOCK];
} Block;

Work work_of(DType stored);
size_t work_size(Work work);
// Elements at .. at + n - 1 to working form; and back, rounded or wrapped to the stored type.
void value_load(const Value *v, int64_t at, int n, Block *block);
void value_store(Value *v, int64_t at, int n, const Block *block);
// The first element of an integer tensor.
int64_t value_int(const Value *v);
// The whole value in working form, in fresh memory unless it lies so already; axis i of the
// result is axis order[i] (order NULL: as it lies). Elements are float, double or int64_t.
const void *value_ordered(Arena *scratch, const Value *v, const int64_t *order);
// Store a whole array of working form.
void value_fill(Value *v, const void *work);
// Smallest and largest value of an integer type or bool.
void int_range(DType dt, int64_t *lo, int64_t *hi);

// Byte strides of a row-major tensor whose elements are width bytes.
int64_t *strides_of(Arena *arena, const Type *type, int64_t width);
// Copy an array of elements of width bytes between two strided arrangements (byte strides).
void copy_strided(uint32_t rank, const int64_t *sizes, char *to, const int64_t *to_strides,
                  const char *from, const int64_t *from_strides, size_t width);

// ---- one function a class: fill in r, whose memory is made --------------------------------------

void eval_elementwise(Eval *ev, const Node *n, Value *r);
void eval_view(Eval *ev, const Node *n, Value *r);
void eval_reduce(Eval *ev, const Node *n, Value *r);
void eval_dot(Eval *ev, const Node *n, Value *r);
void eval_attention(Eval *ev, const Node *n, Value *r);
void eval_attention_grad(Eval *ev, const Node *n, Value *r);
void eval_attention_bias_grad(Eval *ev, const Node *n, Value *r);
void eval_gather(Eval *ev, const Node *n, Value *r);
void eval_scatter_add(Eval *ev, const Node *n, Value *r);
void eval_ordered(Eval *ev, const Node *n, Value *r); // cumsum, topk, nms
void eval_eigh(Eval *ev, const Node *n, Value *r);
void eval_random(Eval *ev, const Node *n, Value *r);

// Four words of Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]);

// Sum in the row order of docs/ir.md; the same order for maximum and minimum.
float row_sum(const float *x, int64_t n);
float row_max(const float *x, int64_t n);
// The column order over n row results.
float column_sum(const float *x, int64_t n);

#endif
