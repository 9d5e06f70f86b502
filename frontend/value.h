// Values of the expression language while a graph is elaborated: compile-time numbers, names and
// lists, run-time tensors (nodes of the graph being built), and the things that can be called or
// looked into.
#ifndef CZT_FRONTEND_VALUE_H
#define CZT_FRONTEND_VALUE_H

#include "base/map.h"
#include "frontend/expr.h"
#include "ir/graph.h"

typedef struct Elab Elab;
typedef struct Scope Scope;
typedef struct Frame Frame;
typedef struct Binding Binding;
typedef struct ModuleDef ModuleDef;
typedef struct FunctionDef FunctionDef;
typedef struct Builtin Builtin;
typedef struct Instance Instance;
typedef struct App App;
typedef struct Field Field;
typedef struct Task Task;
typedef struct StatsAt StatsAt;

typedef enum {
    V_ERROR, // an error was reported; every operation on it gives V_ERROR silently
    V_NONE,  // none: an optional input that is absent
    V_INT,
    V_FLOAT,
    V_BOOL,
    V_STR,
    V_DTYPE,
    V_LIST,
    V_TENSOR,
    V_RECORD,   // members by name
    V_APP,      // a module applied: outputs, body names and parts are members
    V_INSTANCE, // parameters and default inputs
    V_MODULE,
    V_FUNCTION,
    V_BUILTIN,
    V_FIELD, // a field of the data
    V_TASK,  // a loss or an expert
    V_STATS, // a row of stats:, of a teacher, of an output of it
    V_SPACE  // views, experts, losses
} ValueKind;

typedef enum { SPACE_VIEWS, SPACE_EXPERTS, SPACE_LOSSES } Space;

typedef struct ValueList ValueList;

typedef struct Value {
    ValueKind kind;
    uint32_t build;           // V_TENSOR: the build whose graph holds the node
    int64_t per;              // V_INT: k when it is the size of a batch axis with k values a sample
    const struct Decl *names; // V_TENSOR: the declaration whose axes it has, or NULL
    union {
        int64_t i;
        double f;
        bool b;
        const char *s;
        DType dtype;
        const ValueList *list;
        NodeId node;
        Map *record; // name -> Value *
        App *app;
        Instance *instance;
        const ModuleDef *module;
        const FunctionDef *function;
        const Builtin *builtin;
        Field *field;
        Task *task;
        const StatsAt *stats;
        Space space;
    };
} Value;

struct ValueList {
    VEC(Value) v;
};

static inline Value value_error(void)
{
    return (Value){.kind = V_ERROR};
}
static inline Value value_none(void)
{
    return (Value){.kind = V_NONE};
}
static inline Value value_int(int64_t i)
{
    return (Value){.kind = V_INT, .i = i};
}
static inline Value value_dim(int64_t i, int64_t per)
{
    return (Value){.kind = V_INT, .i = i, .per = per};
}
static inline Value value_float(double f)
{
    return (Value){.kind = V_FLOAT, .f = f};
}
static inline Value value_bool(bool b)
{
    return (Value){.kind = V_BOOL, .b = b};
}
static inline Value value_str(const char *s)
{
    return (Value){.kind = V_STR, .s = s};
}
static inline Value value_list(const ValueList *l)
{
    return (Value){.kind = V_LIST, .list = l};
}
// A node of the graph being built; node 0 gives V_ERROR.
// Records: a member more; the value.
void record_put(const Elab *el, Map *record, const char *name, Value v);
Value value_record(Map *record);
Value value_node(const Elab *el, NodeId node);

// True for int and float; the number comes back.
bool value_number(Value v, double *x);
// Equality of compile-time values; tensors are never equal.
bool value_equal(Value a, Value b);
// What a value is, for messages: "3", "f32[64b, 17, 192]", "module vit".
const char *value_text(const Elab *el, Value v);

// What a value stands for in arithmetic: an application, an instance, a field or a task becomes its
// main tensor; everything else stays.
Value value_plain(Elab *el, Value v, Loc loc);
// The items of a list or collection. False (reported) when v is neither.
bool value_items(Elab *el, Value v, Loc loc, const ValueList **items);
// A tensor of this dtype (numbers become constants; DT_NONE keeps, numbers become f32). 0 when
// reported.
NodeId value_tensor(Elab *el, Value v, DType want, Loc loc);
// Compile-time conversions; false when reported. `what` names the thing in the message ("axis").
bool value_to_int(Elab *el, Value v, Loc loc, const char *what, int64_t *out);
bool value_to_float(Elab *el, Value v, Loc loc, const char *what, double *out);
bool value_to_bool(Elab *el, Value v, Loc loc, const char *what, bool *out);
// A list of sizes to axes in the arena.
bool value_to_axes(Elab *el, Value v, Loc loc, Axis **axes, uint32_t *rank);
// One axis number or a list of them, negative ones counted from the end, sorted; in the arena.
bool value_to_axis_list(Elab *el, Value v, Loc loc, uint32_t rank, int64_t **axes, uint32_t *n);

#endif
