// The graph IR: immutable, hash-consed nodes with dense ids, operands before users.
// docs/ir.md is the specification; ops.def has one row an op.
#ifndef CZT_IR_GRAPH_H
#define CZT_IR_GRAPH_H

#include "base/diag.h"
#include "base/vec.h"
#include "ir/type.h"

typedef enum {
#define OP(e, ...) OP_##e,
#include "ir/ops.def"
#undef OP
    OP_COUNT
} OpCode;

typedef enum {
    CLASS_LEAF,
    CLASS_RANDOM,
    CLASS_ELEMENTWISE,
    CLASS_VIEW,
    CLASS_REDUCE,
    CLASS_CONTRACT,
    CLASS_ATTENTION,
    CLASS_GATHER,
    CLASS_SCATTER,
    CLASS_ORDERED,
    CLASS_TUPLE,
    CLASS_GRADIENT
} OpClass;

typedef enum {
#define ATTR(e, text, kind) ATTR_##e,
#include "ir/attrs.def"
#undef ATTR
    ATTR_COUNT
} AttrKey;

typedef enum { KIND_INT, KIND_INTS, KIND_FLOAT, KIND_STR, KIND_AXES, KIND_DTYPE } AttrKind;

enum {
    OPF_NUMBER = 1,    // any dtype but bool
    OPF_FLOAT = 2,     // float operands
    OPF_INT = 4,       // integer operands
    OPF_BOOL = 8,      // bool operands
    OPF_COMMUTES = 16, // operands are sorted by id
    OPF_FLAT = 32,     // its gradient is zero everywhere: a gradient ends here silently
    OPF_EXPAND = 64    // computed by the expansion in ir/scalar.c, never by libm
};

// eigh: rows of a matrix at most (the row stage has one segment), sweeps at most, the square of the
// cosine below which two rows count as orthogonal (in f64, of interpreted references, its square
// again). docs/ir.md, "Ordered ops".
enum { EIGH_MOST = 4096, EIGH_SWEEPS = 30 };
#define EIGH_COSINE2 0x1p-42

typedef struct OpInfo {
    const char *name, *meaning;
    OpClass class;
    int arity; // -1: any
    uint32_t attrs, flags;
} OpInfo;

const OpInfo *op_info(OpCode op);
// The op of that name, or OP_COUNT.
OpCode op_find(const char *name);
const char *attr_name(AttrKey key);
AttrKind attr_kind(AttrKey key);

typedef struct Attr {
    AttrKey key;
    union {
        int64_t i;
        double f;
        const char *s;
        DType dtype;
        struct {
            const int64_t *at;
            uint32_t n;
        } ints;
        struct {
            const Axis *at;
            uint32_t n;
        } axes;
    };
} Attr;

// Attribute values for calls: graph_add(g, OP_SUM, 1, &x, 1, (Attr[]){attr_ints(ATTR_AXES, axes,
// n)}).
static inline Attr attr_int(AttrKey k, int64_t i)
{
    return (Attr){.key = k, .i = i};
}
static inline Attr attr_float(AttrKey k, double f)
{
    return (Attr){.key = k, .f = f};
}
static inline Attr attr_str(AttrKey k, const char *s)
{
    return (Attr){.key = k, .s = s};
}
static inline Attr attr_dtype(AttrKey k, DType d)
{
    return (Attr){.key = k, .dtype = d};
}
static inline Attr attr_ints(AttrKey k, const int64_t *at, uint32_t n)
{
    return (Attr){.key = k, .ints = {at, n}};
}
static inline Attr attr_axes(AttrKey k, const Axis *at, uint32_t n)
{
    return (Attr){.key = k, .axes = {at, n}};
}

enum { LAST_SAMPLE = 1 << 30 }; // that `random` may begin with

// Copy numbers from here on: what is computed again in the backward part, and not before it is
// needed there.
enum { COPY_AGAIN = 1 << 16 };

typedef uint32_t NodeId; // 0: none (an error was reported, or an absent operand)

typedef struct Node {
    OpCode op;
    uint32_t
        copy; // 0; a recomputed copy of a node has another number, so that it is not merged back
    uint32_t nargs, nattrs;
    const NodeId *args;
    const Attr *attrs; // sorted by key
    const Type *type;
    VEC(Loc) origins; // places in the source that made this node, not part of its key
} Node;

typedef struct Graph {
    Arena *arena;
    Diag *diag;
    int64_t batch;       // the global batch; sizes of batch axes are multiples of it
    Loc here;            // origin given to nodes added now; set freely
    Precision precision; // given to products added now without one; at first none
    VEC(Node) nodes;     // nodes.at[0] is unused
    uint32_t *slots;     // hash-consing table
    uint32_t nslots;
} Graph;

Graph *graph_new(Arena *arena, Diag *diag, int64_t batch);
// Add a node, or find the equal one (its origins grow). Checks arity, attributes and shapes; a
// violation is reported at g->here naming both shapes, and 0 is returned. An operand 0 gives 0
// silently. Simplifies what docs/ir.md lists under "Nodes" (constants, identities, views), so that
// the result may be an operand or another op.
NodeId graph_add(Graph *g, OpCode op, uint32_t nargs, const NodeId *args, uint32_t nattrs,
                 const Attr *attrs);
// The same with a copy number (for recomputation).
NodeId graph_add_copy(Graph *g, OpCode op, uint32_t copy, uint32_t nargs, const NodeId *args,
                      uint32_t nattrs, const Attr *attrs);
// Add a node like n, which may be of another graph, with other operands; its origins come along.
NodeId graph_add_like(Graph *g, const Node *n, const NodeId *args);
// Note one more place a node comes from; loc {0} is ignored.
void graph_add_origin(Graph *g, NodeId id, Loc loc);
static inline const Node *graph_node(const Graph *g, NodeId id)
{
    return &g->nodes.at[id];
}
static inline const Type *graph_type(const Graph *g, NodeId id)
{
    return g->nodes.at[id].type;
}
// Key of a node: op, copy, operands, attributes.
bool node_equal(const Node *a, const Node *b);
uint64_t node_hash(const Node *n);
// The attribute of a node; the op's row must allow it (else bug). Nodes hold all attributes of
// their row, defaults included, but for the dtype of a dot that gives its operands' element type.
const Attr *node_attr(const Node *n, AttrKey key); // NULL when absent (the others then give 0)
int64_t node_int(const Node *n, AttrKey key);
double node_float(const Node *n, AttrKey key);
const char *node_str(const Node *n, AttrKey key);
const int64_t *node_ints(const Node *n, AttrKey key, uint32_t *count);
// Floating-point operations of a product or of attention; 0 of anything else.
int64_t node_flops(const Graph *g, const Node *n);
// Where the operands beside q, k and v of attention and its gradients are: numbers of operands, 0
// where there is none. The segments of the keys come after those of the queries.
typedef struct AttentionBeside {
    uint32_t segments, bias;
} AttentionBeside;
AttentionBeside attention_beside(OpCode op, uint32_t nargs);
// What a product or attention says of its operands' precision; PRECISION_NONE: it is the program's,
// or another op.
Precision node_precision(const Node *n);
// True and its value when the node is a constant of rank 0, or a broadcast of one. Not where it has
// a copy number: then it is a number that kernels load, and nothing is folded into it.
bool graph_is_const(const Graph *g, NodeId id, double *value);

// ---- builder shorthands; all give 0 on error or when an operand is 0
// -------------------------------

NodeId graph_const(Graph *g, DType dt, double value);
NodeId graph_input(Graph *g, const char *name, const Type *type);
NodeId graph_state(Graph *g, const char *name, const Type *type);
NodeId graph_iota(Graph *g, DType dt, uint32_t rank, const Axis *axes, int64_t axis);
// One-operand ops without attributes.
NodeId graph_unary(Graph *g, OpCode op, NodeId x);
// Two operands, broadcast against each other as NumPy does (trailing axes aligned); equal dtypes
// needed.
NodeId graph_binary(Graph *g, OpCode op, NodeId x, NodeId y);
NodeId graph_select(Graph *g, NodeId c, NodeId x, NodeId y); // broadcasts all three
NodeId graph_cast(Graph *g, NodeId x, DType dt);
NodeId graph_reshape(Graph *g, NodeId x, uint32_t rank, const Axis *axes);
NodeId graph_transpose(Graph *g, NodeId x, const int64_t *perm);
// Repeat to the shape; map[i] is the result axis of operand axis i.
NodeId graph_broadcast(Graph *g, NodeId x, uint32_t rank, const Axis *axes, const int64_t *map);
// Repeat to the shape with trailing axes aligned (NumPy).
NodeId graph_broadcast_to(Graph *g, NodeId x, uint32_t rank, const Axis *axes);
NodeId graph_slice(Graph *g, NodeId x, const int64_t *lo, const int64_t *hi, const int64_t *stride);
NodeId graph_pad(Graph *g, NodeId x, NodeId fill, const int64_t *lo, const int64_t *hi);
// One axis that op skew moves: at i along it and j along axis `along` the result is the operand's
// element (i * stride + j * step + lo) / up, or the fill where there is none; `size` elements.
typedef struct Skew {
    int64_t axis, along, lo, stride, step, up, size;
} Skew;
NodeId graph_skew(Graph *g, NodeId x, NodeId fill, uint32_t n, const Skew *at); // at: rising axes
uint32_t skew_count(const Node *n);
Skew skew_at(const Node *n, uint32_t k);
NodeId graph_concat(Graph *g, uint32_t n, const NodeId *xs, int64_t axis);
// op is one of the REDUCE class with axes; keep = true leaves axes of size 1.
NodeId graph_reduce(Graph *g, OpCode op, NodeId x, const int64_t *axes, uint32_t n, bool keep,
                    bool cross);
NodeId graph_dot(Graph *g, NodeId x, NodeId y, uint32_t nb, const int64_t *lb, const int64_t *rb,
                 uint32_t nc, const int64_t *lc, const int64_t *rc);
NodeId graph_proj(Graph *g, NodeId x, int64_t index);

#endif
