// The op and attribute tables, expanded from ops.def and attrs.def.
#include "ir/graph.h"

#define A(key) (1u << ATTR_##key)

_Static_assert(ATTR_COUNT <= 32, "an op's attributes are a set of 32 bits");

static const OpInfo ops[] = {
#define OP(e, text, class, operands, attrs, flags, rule, meaning)                                  \
    {text, meaning, CLASS_##class, operands, attrs, flags},
#include "ir/ops.def"
#undef OP
};

static const struct {
    const char *name;
    AttrKind kind;
} attrs[] = {
#define ATTR(e, text, kind) {text, KIND_##kind},
#include "ir/attrs.def"
#undef ATTR
};

const OpInfo *op_info(OpCode op)
{
    return &ops[op];
}

OpCode op_find(const char *name)
{
    OpCode op = 0;
    while (op < OP_COUNT && strcmp(ops[op].name, name) != 0) op++;
    return op;
}

const char *attr_name(AttrKey key)
{
    return attrs[key].name;
}

AttrKind attr_kind(AttrKey key)
{
    return attrs[key].kind;
}
