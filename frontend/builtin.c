// Built-in functions: the table, the binding of arguments to a signature, and the elementwise
// functions.
#include "frontend/builtin.h"
#include "frontend/guess.h"

#include <ctype.h>
#include <math.h>

static const Builtin table[] = {
#define BUILTIN(name, run, op, signature, doc) {#name, signature, doc, builtin_##run, op},
#include "frontend/builtin.def"
#undef BUILTIN
};

const Builtin *builtin_table(uint32_t *n)
{
    *n = sizeof table / sizeof *table;
    return table;
}

const Builtin *builtin_find(const char *name)
{
    for (uint32_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}

// ---- signatures -------------------------------------------------------------------------------

typedef struct Param {
    const char *name;
    bool optional, rest, any;
} Param;

typedef struct Binder {
    Param params[8]; // no row of builtin.def has more
    uint32_t n;
    Value values[8];
    Loc locs[8];
    bool given[8];
    ValueList *rest;
    Args named;
} Binder;

static void signature_read(Elab *el, const char *text, Binder *b)
{
    for (const char *p = text; *p;) {
        if (b->n == sizeof b->params / sizeof *b->params) bug("too many arguments: %s", text);
        Param *q = &b->params[b->n];
        while (*p == ' ' || *p == ',') p++;
        if (*p == '*') q->rest = true, p++;
        if (*p == '*') q->any = true, p++;
        const char *end = p;
        while (word_part(*end)) end++;
        q->name = str_slice(el->arena, p, (size_t)(end - p));
        p = end;
        int depth = 0;
        for (; *p && (depth || *p != ','); p++) {
            if (*p == '?' || *p == '=') q->optional = true;
            depth += (*p == '[' || *p == '(') - (*p == ']' || *p == ')');
        }
        if (q->rest) q->optional = true;
        b->n++;
    }
}

static void usage(Elab *el, const Builtin *f)
{
    diag_help(el->diag, "%s(%s): %s", f->name, f->signature, f->doc);
}

static bool bind_named(Elab *el, const Builtin *f, const Arg *a, Binder *b)
{
    for (uint32_t k = 0; k < b->n; k++) {
        if (b->params[k].rest || strcmp(b->params[k].name, a->name) != 0) continue;
        if (b->given[k])
            return el_error(el, a->name_loc, "argument '%s' of %s is given twice", a->name,
                            f->name);
        b->values[k] = a->value;
        b->locs[k] = a->loc;
        return b->given[k] = true;
    }
    if (b->params[b->n - 1].any) {
        vec_push(el->arena, &b->named, *a);
        return true;
    }
    el_error(el, a->name_loc, "%s has no argument '%s'", f->name, a->name);
    usage(el, f);
    Map names = {0};
    for (uint32_t i = 0; i < b->n; i++) map_set(el->arena, &names, b->params[i].name, NULL);
    suggest_near(el, a->name, &names);
    return false;
}

static bool bind_positional(Elab *el, const Builtin *f, const Arg *a, uint32_t position, Binder *b)
{
    for (uint32_t k = 0; k < b->n && k <= position; k++) {
        if (b->params[k].rest && !b->params[k].any) {
            vec_push(el->arena, &b->rest->v, a->value);
            b->locs[k] = a->loc;
            return true;
        }
        if (k == position && !b->params[k].any) {
            b->values[k] = a->value;
            b->locs[k] = a->loc;
            return b->given[k] = true;
        }
    }
    el_error(el, a->loc, "%s has no argument %u", f->name, position + 1);
    usage(el, f);
    return false;
}

// Does every element come of those at its own place?
static bool is_elementwise(const Builtin *f, const Binder *b)
{
    bool pair = f->run == builtin_extreme && b->values[2].kind == V_NONE; // over no axis
    return pair || f->run == builtin_unary || f->run == builtin_select || f->run == builtin_cast ||
           f->run == builtin_fma;
}

static void missing_axis(Elab *el, const Builtin *f, const char *missing, Value x, Loc loc)
{
    if (strcmp(missing, "axis") || x.kind == V_NONE) return;
    const uint32_t before = diag_errors(el->diag);
    const Value v = value_plain(el, x, loc);
    if (v.kind == V_TENSOR && v.build == el->build && diag_errors(el->diag) == before)
        guess_axis_said(el, loc, f->name, graph_type(el->graph, v.node));
}

Value builtin_call(Elab *el, const Builtin *f, const Args *args, Scope *scope, Loc loc)
{
    Binder b = {0};
    b.rest = arena_make(el->arena, ValueList);
    signature_read(el, f->signature, &b);
    for (uint32_t i = 0; i < b.n; i++) {
        b.values[i] = value_none();
        b.locs[i] = loc;
    }
    uint32_t position = 0;
    for (uint32_t i = 0; i < args->n; i++) {
        const Arg *a = &args->at[i];
        if (a->value.kind == V_ERROR) return a->value;
        if (a->name ? !bind_named(el, f, a, &b) : !bind_positional(el, f, a, position++, &b))
            return value_error();
    }
    for (uint32_t i = 0; i < b.n; i++) {
        if (b.given[i] || b.params[i].optional) continue;
        el_error(el, loc, "argument '%s' of %s is missing", b.params[i].name, f->name);
        usage(el, f);
        missing_axis(el, f, b.params[i].name, b.values[0], loc);
        return value_error();
    }
    Call c = {f, el, scope, loc, b.n, b.values, b.locs, b.rest, &b.named, diag_errors(el->diag)};
    if (el->graph) el->graph->here = loc;
    Value out = unmixed(el, f->run(&c));
    if (is_elementwise(f, &b)) out.names = names_met(el, b.values, b.n, out);
    return out;
}

NodeId call_tensor(const Call *c, uint32_t i)
{
    return value_tensor(c->el, c->args[i], DT_NONE, c->locs[i]);
}

const Type *call_type(const Call *c, NodeId x)
{
    return graph_type(c->el->graph, x);
}

bool call_int(const Call *c, uint32_t i, const char *what, int64_t *out)
{
    return c->args[i].kind == V_NONE || value_to_int(c->el, c->args[i], c->locs[i], what, out);
}

bool call_float(const Call *c, uint32_t i, const char *what, double *out)
{
    return c->args[i].kind == V_NONE || value_to_float(c->el, c->args[i], c->locs[i], what, out);
}

bool call_flag(const Call *c, uint32_t i, const char *what, bool *out)
{
    return c->args[i].kind == V_NONE || value_to_bool(c->el, c->args[i], c->locs[i], what, out);
}

Graph *call_graph(const Call *c)
{
    c->el->graph->here = c->loc;
    return c->el->graph;
}

Value call_node(const Call *c, NodeId node)
{
    return el_node(c->el, node, c->before);
}

NodeId call_integers(const Call *c, Value v, Loc loc, const char *what)
{
    NodeId x = value_tensor(c->el, v, DT_NONE, loc);
    if (x && dtype_is_float(call_type(c, x)->dtype)) {
        el_error(c->el, loc, "%s are integers, not %s", what,
                 type_text(c->el->arena, call_type(c, x)));
        suggest_cast(c->el, DT_I32);
        return 0;
    }
    return x ? node_cast(c->el, x, DT_I32) : 0;
}

// A name of an axis as its number; V_ERROR when reported.
static Value axis_named(const Call *c, Value v, Loc loc, uint32_t rank)
{
    const Decl *names = c->args[0].names;
    if (v.kind != V_STR) return v;
    if (names) {
        int64_t axis = decl_axis(c->el, names, v.s, rank, loc);
        return axis < 0 ? value_error() : value_int(axis);
    }
    el_error(c->el, loc, "the axes have no names here, and '%s' is none of them", v.s);
    diag_help(c->el->diag,
              "an input that a module or kind declares with a shape has names, and what "
              "is computed of it element by element; write the axis's number");
    const Value *x = &c->args[0];
    if (x->kind == V_LIST && x->list->v.n) x = &x->list->v.at[0];
    const char *text = text_at(c->el, loc);
    NodeId node = x->kind == V_FIELD || (x->kind == V_TENSOR && x->build == c->el->build)
                      ? value_tensor(c->el, *x, DT_NONE, loc)
                      : 0;
    if (node && (*text == '"' || *text == '\''))
        guess_axes(c->el, loc, graph_type(c->el->graph, node));
    return value_error();
}

bool call_axes(const Call *c, uint32_t i, uint32_t rank, int64_t **axes, uint32_t *n)
{
    Value v = axis_named(c, c->args[i], c->locs[i], rank);
    if (v.kind == V_LIST) {
        ValueList *l = arena_make(c->el->arena, ValueList);
        for (uint32_t k = 0; k < v.list->v.n; k++)
            vec_push(c->el->arena, &l->v, axis_named(c, v.list->v.at[k], c->locs[i], rank));
        v = value_list(l);
    }
    return value_to_axis_list(c->el, v, c->locs[i], rank, axes, n);
}

// ---- elementwise ------------------------------------------------------------------------------

static bool fold_unary(int op, double x, double *y)
{
    switch (op) {
    case OP_ABS: *y = fabs(x); return true;
    case OP_SIGN: *y = x > 0 ? 1 : x < 0 ? -1 : 0; return true;
    case OP_FLOOR: *y = floor(x); return true;
    case OP_ROUND: *y = nearbyint(x); return true;
    case OP_SQRT: *y = sqrt(x); return true;
    case OP_EXP: *y = exp(x); return true;
    case OP_LOG: *y = log(x); return true;
    case OP_SIN: *y = sin(x); return true;
    case OP_COS: *y = cos(x); return true;
    case OP_ATAN: *y = atan(x); return true;
    case OP_TANH: *y = tanh(x); return true;
    case OP_ERF: *y = erf(x); return true;
    case OP_STOP_GRADIENT: *y = x; return true;
    default: return false;
    }
}

Value builtin_unary(const Call *c)
{
    Elab *el = c->el;
    Value v = value_plain(el, c->args[0], c->locs[0]);
    double x, y;
    int op = c->builtin->op;
    if (v.kind == V_NONE && op == OP_STOP_GRADIENT) return v;
    if (value_number(v, &x) && fold_unary(op, x, &y)) {
        if (!isfinite(y)) return el_fail(el, c->loc, "%s(%g) is not a number", c->builtin->name, x);
        bool whole = op == OP_FLOOR || op == OP_ROUND || (v.kind == V_INT && floor(y) == y);
        return whole && fabs(y) < 9e15 ? value_int((int64_t)y) : value_float(y);
    }
    NodeId n = value_tensor(el, v, DT_NONE, c->locs[0]);
    if (!n) return value_error();
    if ((op_info((OpCode)op)->flags & OPF_FLOAT) &&
        !dtype_is_float(graph_type(el->graph, n)->dtype))
        n = node_cast(el, n, DT_F32);
    if (op == OP_STOP_GRADIENT && !dtype_is_float(graph_type(el->graph, n)->dtype)) return v;
    return call_node(c, graph_unary(el->graph, (OpCode)op, n));
}

// The types of two sides in one; a number takes the other's.
static bool same_type(const Call *c, Value a, Value b, NodeId *x, NodeId *y)
{
    Elab *el = c->el;
    bool ta = a.kind == V_TENSOR, tb = b.kind == V_TENSOR;
    DType dt = DT_F32;
    if (ta) dt = graph_type(el->graph, value_tensor(el, a, DT_NONE, c->loc))->dtype;
    if (tb) {
        DType other = graph_type(el->graph, value_tensor(el, b, DT_NONE, c->loc))->dtype;
        dt = ta ? dtype_promote(dt, other) : other;
    }
    if (ta !=
        tb) { // a fraction beside an integer tensor makes both floats; bool takes true and false
        Value number = ta ? b : a;
        if (!dtype_is_float(dt) && number.kind == V_FLOAT) dt = DT_F32;
        if (dt == DT_BOOL && number.kind != V_BOOL) dt = DT_I32;
    }
    *x = value_tensor(el, a, dt, c->locs[0]);
    *y = value_tensor(el, b, dt, c->loc);
    return *x && *y;
}

Value builtin_select(const Call *c)
{
    Elab *el = c->el;
    Value cond = value_plain(el, c->args[0], c->locs[0]);
    if (cond.kind == V_BOOL) return c->args[cond.b ? 1 : 2];
    Value a = value_plain(el, c->args[1], c->locs[1]), b = value_plain(el, c->args[2], c->locs[2]);
    if (cond.kind == V_TENSOR && cond.build == el->build &&
        dtype_is_float(graph_type(el->graph, cond.node)->dtype)) {
        el_error(el, c->locs[0], "select chooses by truth values, not by %s", value_text(el, cond));
        Loc at;
        if (diag_last(el->diag, &at)) guess_truth(el, at);
        return value_error();
    }
    NodeId k = value_tensor(el, cond, DT_BOOL, c->locs[0]), x, y;
    if (!k || a.kind == V_ERROR || b.kind == V_ERROR || !same_type(c, a, b, &x, &y))
        return value_error();
    return call_node(c, graph_select(call_graph(c), k, x, y));
}

bool call_dtype(const Call *c, uint32_t i, DType *dtype)
{
    if (c->args[i].kind != V_DTYPE) {
        el_error(c->el, c->locs[i], "a type such as f32, i32 or bool is needed here, not %s",
                 value_text(c->el, c->args[i]));
        suggest_type(c->el, c->args[i]);
        return false;
    }
    *dtype = c->args[i].dtype;
    return true;
}

Value builtin_cast(const Call *c)
{
    Elab *el = c->el;
    DType dtype;
    if (!call_dtype(c, 1, &dtype)) return value_error();
    NodeId x = call_tensor(c, 0);
    el->graph->here = c->loc;
    return call_node(c, x ? node_cast(el, x, dtype) : 0);
}

Value builtin_fma(const Call *c)
{
    Elab *el = c->el;
    NodeId x[3];
    for (int i = 0; i < 3; i++) {
        x[i] = value_tensor(el, c->args[i], DT_F32, c->locs[i]);
        if (!x[i]) return value_error();
    }
    return call_node(c, graph_add(call_graph(c), OP_FMA, 3, x, 0, NULL));
}

// max(a, b, ..), of numbers and tensors alike.
static Value extreme_pair(const Call *c, Value a, Value b)
{
    Elab *el = c->el;
    a = value_plain(el, a, c->loc);
    b = value_plain(el, b, c->loc);
    if (a.kind == V_ERROR || b.kind == V_ERROR) return value_error();
    double x, y;
    bool max = c->builtin->op == OP_MAX;
    if (value_number(a, &x) && value_number(b, &y)) return (max ? x >= y : x <= y) ? a : b;
    NodeId p, q;
    if (!same_type(c, a, b, &p, &q)) return value_error();
    return call_node(c, graph_binary(el->graph, (OpCode)c->builtin->op, p, q));
}

Value builtin_extreme(const Call *c)
{
    Elab *el = c->el;
    if (c->args[2].kind != V_NONE) {
        static const uint32_t at[] = {0, 2, 3}; // x, axis, keep
        Value args[3];
        Loc locs[3];
        for (int i = 0; i < 3; i++) {
            args[i] = c->args[at[i]];
            locs[i] = c->locs[at[i]];
        }
        Builtin f = *c->builtin;
        f.op = f.op == OP_MAX ? OP_REDUCE_MAX : OP_REDUCE_MIN;
        Call reduce = {&f, el, c->scope, c->loc, 3, args, locs, c->rest, c->named, c->before};
        return builtin_reduce(&reduce);
    }
    const ValueList *items = c->rest;
    Value v = c->args[0];
    uint32_t i = 0;
    if (!items->v.n) {
        if (v.kind != V_LIST && v.kind != V_SPACE && v.kind != V_RECORD) {
            el_error(el, c->loc, "%s of one tensor needs an axis", c->builtin->name);
            diag_help(el->diag, "%s(x, axis=-1), or two arguments to compare", c->builtin->name);
            v = value_plain(el, v, c->locs[0]);
            if (v.kind == V_TENSOR && v.build == el->build)
                guess_axis_said(el, c->loc, c->builtin->name, graph_type(el->graph, v.node));
            return value_error();
        }
        if (!value_items(el, v, c->locs[0], &items)) return value_error();
        if (!items->v.n) return el_fail(el, c->locs[0], "%s of an empty list", c->builtin->name);
        v = items->v.at[i++];
    }
    for (; i < items->v.n; i++) v = extreme_pair(c, v, items->v.at[i]);
    return v;
}

// ---- compile-time lists -----------------------------------------------------------------------

Value builtin_range(const Call *c)
{
    Elab *el = c->el;
    int64_t a, b, step = 1;
    if (!value_to_int(el, c->args[0], c->locs[0], "the bound", &a)) return value_error();
    if (c->args[1].kind == V_NONE) {
        b = a;
        a = 0;
    } else if (!value_to_int(el, c->args[1], c->locs[1], "the bound", &b)) {
        return value_error();
    }
    if (!call_int(c, 2, "the step", &step)) return value_error();
    if (step == 0 || (b - a) / step > 1000000)
        return el_fail(el, c->loc, "a range of step %lld is too long", (long long)step);
    ValueList *l = arena_make(el->arena, ValueList);
    for (int64_t i = a; step > 0 ? i < b : i > b; i += step)
        vec_push(el->arena, &l->v, value_int(i));
    return value_list(l);
}

// What a library's error tells of: a size that is another one; another word of the same kind.
static void guess_told(const Call *c, const char *text)
{
    Elab *el = c->el;
    Loc at;
    int64_t last = -1;
    if (!diag_last(el->diag, &at)) return;
    for (uint32_t i = c->rest->v.n; i--;) {
        const Value v = c->rest->v.at[i];
        if (v.kind != V_INT) continue;
        if (last > 0 && v.i > 0) guess_word(el, at, str_printf(el->arena, "%lld", (long long)v.i));
        if (last > 0 && v.i > 0) guess_exact_sizes(el, last, v.i);
        last = v.i;
    }
    if (has_word(text, "integers")) guess_wrapped(el, at, "cast(", ", i32)");
    if (has_word(text, "integers")) guess_cast_names(el, at);
    const Binding *old = map_get(&el->defs, text_at(el, at));
    bool module = old && old->value.kind == V_MODULE;
    for (uint32_t i = 0; module && i < el->defs.n; i++) {
        const Binding *b = el->defs.at[i].value;
        if (b == old || b->value.kind != V_MODULE || !has_word(text, b->name)) continue;
        if (b->value.module->role == old->value.module->role) guess_word(el, at, b->name);
    }
    for (uint32_t i = 0; i < c->rest->v.n; i++) { // the powers of 2 around a size
        const Value v = c->rest->v.at[i];
        int64_t up = 1;
        while (v.kind == V_INT && up < v.i && up < 1 << 24) up *= 2;
        if (up > 2 && up > v.i) guess_size_to(el, v.i, up);
        if (up > 2 && up > v.i) guess_size_to(el, v.i, up / 2);
    }
}

// `first` and the rest of the arguments as one text; NULL where one has none.
static const char *joined(const Call *c, Value first)
{
    const char *text = "";
    for (uint32_t i = 0; i <= c->rest->v.n; i++) {
        Value v = value_plain(c->el, i ? c->rest->v.at[i - 1] : first, c->loc);
        if (v.kind == V_ERROR) return NULL;
        text = str_printf(c->el->arena, "%s%s", text, v.kind == V_STR ? v.s : value_text(c->el, v));
    }
    return text;
}

// fail("no matrix of ", n): for the library, where it is asked for what it cannot do.
Value builtin_fail(const Call *c)
{
    const char *text = joined(c, c->args[0]);
    if (!text) return value_error();
    el_error(c->el, c->loc, "%s", text);
    guess_told(c, text);
    return value_error();
}

// warn(x, "a rate of ", n): for the library, where it is asked for what is hardly meant.
Value builtin_warn(const Call *c)
{
    Elab *el = c->el;
    const char *text = joined(c, c->args[1]);
    if (!text) return value_error();
    Loc at = blame(el, c->loc, text);
    const char *key = str_printf(el->arena, "%u %u %s", at.source, at.begin, text);
    if (!map_find(&el->warned, key)) diag_warning(el->diag, at, "%s", text);
    map_set(el->arena, &el->warned, key, el);
    return c->args[0];
}

Value builtin_len(const Call *c)
{
    const ValueList *items;
    if (!value_items(c->el, c->args[0], c->locs[0], &items)) return value_error();
    return value_int(items->v.n);
}

Value builtin_to_int(const Call *c)
{
    double x;
    if (!value_to_float(c->el, c->args[0], c->locs[0], "x", &x)) return value_error();
    return value_int((int64_t)x);
}
