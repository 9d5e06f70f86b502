// The reference interpreter: the definition of every op, one plain loop each.
//
// Nodes are computed in order of their ids, live ones only. A value is dense and row-major and
// stays until the caller's arena goes; temporaries of a node go with the node. In f64 mode floats
// of all types are double and nothing is rounded; in bits mode floats are computed in f32 and
// rounded to their type where a node's result is stored, with the project's expansions and
// reduction orders, as all targets do.

#include "ir/eval.h"

#include <math.h>

const ScalarProgram *eval_expansion(Eval *ev, OpCode op)
{
    if (!ev->expansions[op]) ev->expansions[op] = scalar_expansion(ev->arena, op);
    return ev->expansions[op];
}

void eval_expand(Eval *ev, OpCode op, int64_t n, const float *x, float *y)
{
    const ScalarProgram *p = eval_expansion(ev, op);
    for (int64_t at = 0; at < n; at += SCALAR_BLOCK)
        scalar_run_block(p, (int)(n - at < SCALAR_BLOCK ? n - at : SCALAR_BLOCK),
                         (const float *[]){x + at}, y + at);
}

// ---- values and leaves --------------------------------------------------------------------------

// An empty value of the type, parts included.
static Value make_value(Eval *ev, const Type *type)
{
    Value v = {.type = type};
    if (type->nparts) {
        v.parts = arena_array(ev->arena, Value, type->nparts);
        for (uint32_t i = 0; i < type->nparts; i++) v.parts[i] = make_value(ev, type->parts[i]);
        return v;
    }
    bool wide = ev->mode == EVAL_F64 && dtype_is_float(type->dtype);
    v.stored = wide ? DT_F64 : type->dtype;
    v.data = arena_alloc(ev->arena, (size_t)(type_count(type) * dtype_size(v.stored)));
    return v;
}

// Copy what the caller bound; false with an error when it is absent or of another type.
static bool load_leaf(Eval *ev, const Node *n, Value *r)
{
    const char *kind = n->op == OP_INPUT ? "input" : "state", *name = node_str(n, ATTR_NAME);
    const Map *map = n->op == OP_INPUT ? ev->inputs : ev->state;
    const Tensor *t = map ? map_get(map, name) : NULL;
    if (!t)
        return error_set(ev->err, "entry %s: %s '%s' is missing, a %s", ev->entry->name, kind, name,
                         type_text(ev->scratch, n->type));
    if (t->type->dtype != n->type->dtype || type_count(t->type) != type_count(n->type))
        return error_set(ev->err, "entry %s: %s '%s' is %s and must be %s", ev->entry->name, kind,
                         name, type_text(ev->scratch, t->type), type_text(ev->scratch, n->type));
    memcpy(r->data, t->data, (size_t)(type_count(n->type) * dtype_size(r->stored)));
    return true;
}

static void fill_const(const Node *n, Value *r)
{
    double x = node_float(n, ATTR_VALUE);
    Block b;
    if (work_of(r->stored) == WORK_F32) b.f[0] = (float)x;
    else if (work_of(r->stored) == WORK_F64) b.d[0] = x;
    else b.i[0] = (int64_t)x;
    value_store(r, 0, 1, &b);
}

static void fill_iota(Eval *ev, const Node *n, Value *r)
{
    int64_t axis = node_int(n, ATTR_AXIS), after = 1, count = type_count(r->type);
    int64_t size = r->type->axes[axis].size;
    for (uint32_t a = (uint32_t)axis + 1; a < r->type->rank; a++) after *= r->type->axes[a].size;
    Work work = work_of(r->stored);
    char *out = arena_alloc(ev->scratch, work_size(work) * (size_t)count);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i / after % size;
        if (work == WORK_F32) ((float *)out)[i] = (float)at;
        else if (work == WORK_F64) ((double *)out)[i] = (double)at;
        else ((int64_t *)out)[i] = at;
    }
    value_fill(r, out);
}

// ---- nodes --------------------------------------------------------------------------------------

static void eval_indexed(Eval *ev, const Node *n, Value *r)
{
    (n->op == OP_GATHER ? eval_gather : eval_scatter_add)(ev, n, r);
}

static void eval_softmax(Eval *ev, const Node *n, Value *r)
{
    if (n->op == OP_ATTENTION) eval_attention(ev, n, r);
    else if (n->op == OP_ATTENTION_GRAD) eval_attention_grad(ev, n, r);
    else eval_attention_bias_grad(ev, n, r);
}

static bool eval_leaf(Eval *ev, const Node *n, Value *r)
{
    if (n->op == OP_INPUT || n->op == OP_STATE) return load_leaf(ev, n, r);
    if (n->op == OP_CONST) fill_const(n, r);
    else fill_iota(ev, n, r);
    return true;
}

static bool eval_node(Eval *ev, const Node *n, Value *r)
{
    if (n->op == OP_PROJ) {
        *r = eval_arg(ev, n, 0)->parts[node_int(n, ATTR_INDEX)];
        return true;
    }
    *r = make_value(ev, n->type);
    switch (op_info(n->op)->class) {
    case CLASS_LEAF: return eval_leaf(ev, n, r);
    case CLASS_RANDOM: eval_random(ev, n, r); break;
    case CLASS_ELEMENTWISE: eval_elementwise(ev, n, r); break;
    case CLASS_VIEW: eval_view(ev, n, r); break;
    case CLASS_REDUCE: eval_reduce(ev, n, r); break;
    case CLASS_CONTRACT: eval_dot(ev, n, r); break;
    case CLASS_ATTENTION: eval_softmax(ev, n, r); break;
    case CLASS_GATHER:
    case CLASS_SCATTER: eval_indexed(ev, n, r); break;
    case CLASS_ORDERED: (n->op == OP_EIGH ? eval_eigh : eval_ordered)(ev, n, r); break;
    default: bug("entry %s: the interpreter has no op %s", ev->entry->name, op_info(n->op)->name);
    }
    return true;
}

// Put a value under "kind:name"; values of state and inputs are the interpreter's own copies.
static void put(Eval *ev, Map *out, const char *kind, const NamedNode *named)
{
    Tensor *t = arena_make(ev->arena, Tensor);
    *t = (Tensor){ev->values[named->node].type, ev->values[named->node].data};
    map_set(ev->arena, out, str_printf(ev->arena, "%s:%s", kind, named->name), t);
}

bool entry_eval(const Entry *e, EvalMode mode, const Map *inputs, const Map *state, Arena *arena,
                Map *out, Error *err)
{
    Eval *ev = arena_make(arena, Eval);
    *ev = (Eval){.entry = e, .graph = e->graph, .mode = mode, .inputs = inputs, .state = state,
                 .arena = arena, .err = err};
    uint32_t n = e->graph->nodes.n;
    ev->values = arena_array(arena, Value, n);
    const bool *live = entry_live(e, arena);
    for (uint32_t id = 1; id < n; id++) {
        if (!live[id]) continue;
        ev->scratch = arena_new();
        bool ok = eval_node(ev, graph_node(e->graph, id), &ev->values[id]);
        arena_free(ev->scratch);
        if (!ok) return false;
    }
    for (uint32_t i = 0; i < e->outputs.n; i++) put(ev, out, "out", &e->outputs.at[i]);
    for (uint32_t i = 0; i < e->updates.n; i++) put(ev, out, "state", &e->updates.at[i]);
    return true;
}
