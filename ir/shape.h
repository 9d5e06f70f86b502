// Shape rules: from an op, its operands' types and its attributes to the type of its result.
// Internal to ir/: graph.c calls it for new nodes, verify.c to check old ones.
#ifndef CZT_IR_SHAPE_H
#define CZT_IR_SHAPE_H

#include "ir/graph.h"

// One question. attrs: sorted by key, one slot for every attribute the op's row allows; a rule may
// complete them (axes of a SHAPE whose per was left open).
typedef struct ShapeCall {
    Arena *arena;
    Diag *diag;
    Loc here;
    int64_t batch; // 0: the graph has no batch axis
    OpCode op;
    uint32_t nargs;
    const Type *const *args;
    uint32_t nattrs;
    Attr *attrs;
    const char *precision; // of a product that does not say it; "": the program's
} ShapeCall;

// The result's type, or NULL after reporting to diag at here.
const Type *shape_infer(ShapeCall *c);
// Bring attributes into the one form nodes hold them in: sorted, optional ones completed by their
// defaults. False after reporting. The array c->attrs is replaced.
bool shape_attrs(ShapeCall *c);
// True when a node may lack the attribute, or when it has a default.
bool attr_optional(OpCode op, AttrKey key);
// True when the text form leaves the attribute out, because its value is the default.
bool attr_is_default(const Attr *attr);

// ---- for the rules ------------------------------------------------------------------------------

// Report "op: text"; returns NULL, so that `return shape_fail(...)` reads well.
const Type *shape_fail(ShapeCall *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// Text of a type, of axes, for messages.
const char *shape_text(ShapeCall *c, const Type *type);
const char *shape_axes_text(ShapeCall *c, uint32_t rank, const Axis *axes);
// The attribute, NULL when absent.
Attr *shape_attr(ShapeCall *c, AttrKey key);
int64_t shape_int(ShapeCall *c, AttrKey key);
const int64_t *shape_ints(ShapeCall *c, AttrKey key, uint32_t *n);
// Check sizes, batch axes and the number of elements of a shape.
bool shape_check_axes(ShapeCall *c, uint32_t rank, const Axis *axes);
// The largest number of elements of a tensor.
#define SHAPE_LIMIT ((int64_t)1 << 48)
// The same axis list: rising, within the rank.
bool shape_check_rising(ShapeCall *c, AttrKey key, uint32_t rank);
// Axis number a of a type, checked.
bool shape_check_axis(ShapeCall *c, int64_t a, const Type *type);
// One entry an axis of the type.
bool shape_check_length(ShapeCall *c, AttrKey key, const Type *type);
// Axis i of x and axis j of y have the same size and kind.
bool shape_check_pair(ShapeCall *c, uint32_t x, int64_t i, uint32_t y, int64_t j);
// Operands x and y have equal shapes; equal element types.
bool shape_check_same(ShapeCall *c, uint32_t x, uint32_t y);
bool shape_check_dtype(ShapeCall *c, uint32_t x, uint32_t y);

// The rules: one function a name in the rule column of ops.def; shape.c, shape_view.c, shape_ops.c.
#define OP(e, text, class, operands, attrs, flags, rule, meaning)                                  \
    const Type *shape_##rule(ShapeCall *c);
#include "ir/ops.def"
#undef OP

#endif
