// The kernel IR: what passes/fuse and passes/lower produce and the code generators consume.
//
// A kernel is a loop nest over axes with a straight-line scalar body. docs/internals.md has the
// picture. Axis roles, in loop order:
//   OUTER*        tasks are ranges of the flattened outer axes (row-major)
//   RED (<= 1)    the axis that REDUCE instructions run over
//   INNER (<= 1)  the vector axis
// Loop kernels come in these forms, told apart by the roles present:
//   pointwise     OUTER* INNER           vector along INNER
//   row           OUTER* RED             vector along RED, sums in lane order (ORDER_ROW)
//   column-wise   OUTER* RED INNER       vector along INNER, RED sequential (ORDER_CHAIN or
//   ORDER_COLUMN)
// Any of pointwise and row may have stores of kind STORE_COLUMN: sums over all OUTER axes, one
// partial a task of 64 outer points. An instruction depends on a set of axes; what does not depend
// on the vector axis is computed once a row as a scalar. A row is swept as often as its reductions
// depend on each other; instructions are recomputed in every sweep that needs them.
#ifndef CZT_IR_KERNEL_H
#define CZT_IR_KERNEL_H

#include "ir/graph.h"
#include "base/map.h"
#include "ir/index.h"

typedef enum { ROLE_OUTER, ROLE_RED, ROLE_INNER } AxisRole;

typedef struct KernelAxis {
    int64_t size;
    AxisRole role;
} KernelAxis;

typedef enum {
    ORDER_ROW,    // 64 lanes, segments of 4096: docs/ir.md, row stage
    ORDER_COLUMN, // chains of 64, then a chain of those: docs/ir.md, column stage
    ORDER_CHAIN   // one chain from the identity (adds up the partials of STORE_COLUMN)
} ReduceOrder;

typedef enum {
    KI_CONST,  // value, dtype
    KI_LOAD,   // buffer, index, guards: 0 where a guard fails (memory is not touched)
    KI_INDEX,  // the index expression as a number of dtype
    KI_TEST,   // bool: do all guards hold
    KI_RANDOM, // args: seed, step, stream (i64); index: element; index2: sample -> u32
    KI_OP,     // elementwise op `op` on args
    KI_REDUCE, // op OP_SUM, OP_REDUCE_MAX or OP_REDUCE_MIN of args[0] over RED, in `order`
    KI_ACC     // contraction kernels: the finished dot product at (batch, m, n), f32
} KernelInstrKind;

// lo <= index < hi.
typedef struct KernelGuard {
    IndexId index;
    int64_t lo, hi;
} KernelGuard;

// A value of a 16-bit float type is an f32 in its register that is exactly a number of the type:
// loads widen, ops compute in f32 and round, stores narrow exactly.
typedef struct KernelInstr {
    KernelInstrKind kind;
    OpCode op;
    DType dtype;
    uint32_t args[3]; // earlier instructions
    uint32_t buffer;
    IndexId index, index2;
    const KernelGuard *guards;
    uint32_t nguards;
    ReduceOrder order;
    double value;
    uint64_t axes; // bit i: depends on axis i (through operands and indices)
} KernelInstr;

typedef enum { STORE_PLAIN, STORE_COLUMN } StoreKind;

// PLAIN: buffer[index] = value, guards as for loads. index depends on every axis that value depends
// on; a value free of RED and INNER is stored once an outer point. COLUMN: op (OP_SUM, ...) of
// value over the 64 outer points of a task, in rising order from the identity, goes to buffer[task
// * length + v] with v the vector axis and length its size.
typedef struct KernelStore {
    StoreKind kind;
    uint32_t buffer, value;
    IndexId index;
    const KernelGuard *guards;
    uint32_t nguards;
    OpCode op;
} KernelStore;

typedef struct KernelBody {
    IndexPool index;
    VEC(KernelAxis) axes;
    VEC(KernelInstr) code;
    VEC(KernelStore) stores;
} KernelBody;

typedef enum {
    KERNEL_LOOP,
    KERNEL_PACK,
    KERNEL_GEMM,
    KERNEL_ATTENTION,
    KERNEL_ATTENTION_GRAD,
    KERNEL_ATTENTION_BIAS_GRAD,
    KERNEL_SCATTER,
    KERNEL_LISTS,
    KERNEL_CUMSUM,
    KERNEL_TOPK,
    KERNEL_NMS,
    KERNEL_EIGH
} KernelKind;

// A matrix operand with row r and column c at buffer[base + r * row + c * col]; base is an
// expression over the outer axes.
typedef struct StridedView {
    uint32_t buffer;
    IndexId base;
    int64_t row, col;
} StridedView;

// Element (b, r, c) of a batch of matrices is at buffer[offset + b * batch + r * row + c * col].
typedef struct MatrixView {
    uint32_t buffer;
    int64_t offset, batch, row, col;
} MatrixView;

// A product as a library takes it: c = sum over k of a (batch, m, k) times b (batch, n, k), summed
// as f32 in any order, with a bias where there is one, and rounded once to c's dtype, which is the
// bias's too; or (c of f32) plus a matrix that lies like c, elsewhere. With `rest` (number of a
// kernel, + 1, with the same buffers) that kernel comes next; c is one of the results or a
// workspace.
typedef struct LibraryProduct {
    MatrixView a, b, c;
    bool biased;
    MatrixView bias; // element n of its vector at buffer[offset + n]
    bool added;
    MatrixView sum; // what is added
    uint32_t rest;
    bool workspace; // c is one: the kernel's own code does not write it
} LibraryProduct;

typedef struct KernelBuffer {
    DType dtype;
    int64_t count; // elements
    bool written;
} KernelBuffer;

typedef struct Kernel {
    KernelKind kind;
    const char *name; // "row_12"; not part of its identity, nor are
    VEC(Loc) origins; // places in the source that it came from
    VEC(KernelBuffer) buffers;
    KernelBody body; // LOOP: all of it. GEMM: the epilogue, axes (batch, m, n) = (OUTER, OUTER,
                     // INNER), with KI_ACC. PACK: axes (batch, n, k), one store-less body whose
                     // last instruction is the element
    bool rest;       // LOOP: it does the rest of a product that a library did, on the same buffers
    int64_t tasks;   // task range [0, tasks) of one launch
    int64_t grain;   // LOOP: outer points of one task (64 when there are column stores)
    int64_t flops, bytes; // for the roofline

    // GEMM: c[b, m, n] = chain over k of a[b, m, k] * w[b, n, k], then the epilogue body.
    // `a` has axes (batch, m, k); its last instruction is the element. The other operand is `b`,
    // the same with axes (batch, n, k); or, where b has no axes, it was packed by a PACK kernel
    // into buffer `packed` in the target's own layout, as f32. Elements are f32 or 16-bit floats.
    struct {
        int64_t batch, m, n, k;
        KernelBody a, b;
        uint32_t packed;
        bool tf32;                     // elements have no more bits than tf32, sums may be its own
        const LibraryProduct *library; // another way to do all of it, or NULL
    } gemm;

    // ATTENTION (operands and results f32 or a 16-bit float, lse and biases f32, segments i32):
    // outer axes are body.axes (all OUTER); one task an outer point and block of queries (forward)
    // or an outer point (gradient). In the gradient of a bias the last axes, `shared` points, are
    // those that it is added up over; a task has one of the other points and a block of queries.
    struct {
        int64_t queries, keys, dim, vdim, shared;
        float scale;
        bool causal, segments, biased;
        StridedView q, k, v, out, dout, dq, dk, dv, bias, dbias;
        StridedView lse, query_segments, key_segments; // row stride only
    } attention;

    // SCATTER: out (batch, rows, width) = 0, then out[b, index[b, i], :] += update[b, i, :] in
    // rising i. LISTS writes, for each of the batch, rows + 1 places in what follows (where the
    // updates of each row begin, and the end), then the updates' numbers, row after row.
    struct {
        int64_t batch, rows, count, width;
        uint32_t index, update, out; // buffers, dense row-major
        uint32_t lists;              // buffer, where `listed` (and of LISTS itself)
        bool listed;
    } scatter;

    // CUMSUM, TOPK, NMS: the op of that name over rows of n elements; operands and results are
    // dense row-major buffers, in order. `flag` is CUMSUM's reverse and TOPK's rising. EIGH: over
    // matrices of (n, n), which `rows` counts.
    struct {
        int64_t rows, n, size; // size: taken of a row (TOPK, NMS)
        bool flag;
        float threshold;
        uint32_t args[2], results[2];
        bool works;    // `work`: memory that the target asked for
        uint32_t work; // buffer
    } ordered;
} Kernel;

// Where a buffer of a launch lies.
typedef enum { BLOCK_STATE, BLOCK_SCRATCH, BLOCK_INPUT, BLOCK_OUTPUT, BLOCK_CONST } Block;

typedef struct PlanBuffer {
    Block block;
    DType dtype;
    int64_t count;        // elements
    int64_t offset;       // bytes in the block, filled in by memplan
    const char *name;     // state, input or output name; else NULL
    uint32_t first, last; // launches that touch it first and last
} PlanBuffer;

typedef struct Segment {
    uint32_t kernel;       // into Plan.kernels
    VEC(uint32_t) buffers; // Plan buffers in the order of the kernel's
    VEC(int64_t) from; // for each the element that is the kernel's first; a multiple of 64 bytes
    bool late;         // no earlier than in the order of the source: it is run again to save memory
    bool frozen;       // of the stream that runs beside the others (passes/beside.h)
    VEC(Loc) origins;  // places in the source; the kernel's are those of its first use
} Segment;

// Segments of one launch run in one parallel region, without order between them.
typedef struct Launch {
    VEC(Segment) segments;
} Launch;

typedef struct PlanEntry {
    const char *name;
    VEC(PlanBuffer) buffers;
    VEC(Launch) launches;
    VEC(uint32_t) inputs, outputs; // buffers, with names
    int64_t scratch_bytes, input_bytes, output_bytes, unplanned_bytes;
    int64_t host_bytes; // of its inputs and, behind them, of those of what runs before it
    bool runs_before;   // another one
} PlanEntry;

// A compiled-but-not-emitted program: distinct kernels and one plan an entry.
typedef struct Plan {
    Arena *arena;
    VEC(Kernel *) kernels; // distinct by text
    Map kernel_index;      // text -> number + 1
    VEC(PlanEntry) entries;
    VEC(PlanBuffer) state; // one for each Program state, same order
    int64_t state_bytes;
    VEC(int64_t)
    constants; // numbers that kernels load, so that equal code serves unequal ones: block const
} Plan;

// Is it an ordered op?
bool kernel_orders(const Kernel *k);
// Is it attention or one of its gradients? Are scores changed by segments or a bias?
bool kernel_attends(const Kernel *k);
bool kernel_masks(const Kernel *k);
// Canonical text of a kernel without its name: equal text = equal code.
const char *kernel_text(Arena *arena, const Kernel *k);
// An exp of -(x * x), as in the gradient of erf: scalar_exp_minus of the product does. Gives the
// product's instruction, or UINT32_MAX.
uint32_t kernel_exp_of_square(const KernelBody *body, const KernelInstr *in);
// Check it: operands before users, dtypes, indices inside their buffers, guards, roles. First
// violation in err.
bool kernel_verify(const Kernel *k, Error *err);

#endif
