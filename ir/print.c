// The text form of programs (grammar in docs/ir.md). Attributes that the result's type repeats
// (shape, dtype) and those with their default value are left out; places in the source are
// comments.
#include "ir/fold.h"
#include "ir/program.h"
#include "ir/shape.h"

#include <math.h>
#include <stdlib.h>

// What goes to the file, by blocks: a program is some ten thousand lines, and the cache of steps
// has it printed on every start.
typedef struct Out {
    FILE *to;
    size_t n;
    char at[1 << 14];
} Out;

static void flush(Out *out)
{
    fwrite(out->at, 1, out->n, out->to);
    out->n = 0;
}

static void put_char(Out *out, char c)
{
    if (out->n == sizeof out->at) flush(out);
    out->at[out->n++] = c;
}

static void put_text(Out *out, const char *s)
{
    while (*s) put_char(out, *s++);
}

static void put_unsigned(Out *out, uint64_t x)
{
    char digits[20];
    int n = 0;
    do digits[n++] = (char)('0' + x % 10);
    while (x /= 10);
    while (n) put_char(out, digits[--n]);
}

static void put_number(Out *out, int64_t x)
{
    if (x < 0) put_char(out, '-');
    put_unsigned(out, x < 0 ? -(uint64_t)x : (uint64_t)x);
}

static void print_string(Out *out, const char *s)
{
    static const char hex[] = "0123456789abcdef";
    put_char(out, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\' || c == '\n') {
            put_char(out, '\\');
            put_char(out, c == '\n' ? 'n' : *s);
        } else if (c < 0x20 || c == 0x7f) {
            put_text(out, "\\x");
            put_char(out, hex[c >> 4]);
            put_char(out, hex[c & 15]);
        } else {
            put_char(out, *s);
        }
    }
    put_char(out, '"');
}

// The shortest text that reads back as x, where reading rounds to dt.
static void print_float(Out *out, DType dt, double x)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (fold_round(dt, strtod(text, NULL)) == x) break;
    }
    put_text(out, isnan(x) ? "nan" : text);
}

// As type_text has it.
static void print_type(Out *out, const Type *type)
{
    uint32_t n = type->nparts ? type->nparts : type->rank;
    if (!type->nparts) put_text(out, dtype_name(type->dtype));
    put_char(out, type->nparts ? '(' : '[');
    for (uint32_t i = 0; i < n; i++) {
        if (i) put_text(out, ", ");
        if (type->nparts) {
            print_type(out, type->parts[i]);
            continue;
        }
        put_number(out, type->axes[i].size);
        if (type->axes[i].per) put_char(out, 'b');
        if (type->axes[i].per > 1) put_number(out, type->axes[i].per);
    }
    put_char(out, type->nparts ? ')' : ']');
}

static void print_attr(Out *out, const Node *n, const Attr *a)
{
    put_text(out, attr_name(a->key));
    put_char(out, '=');
    switch (attr_kind(a->key)) {
    case KIND_INT: put_number(out, a->i); break;
    case KIND_FLOAT: print_float(out, n->op == OP_CONST ? n->type->dtype : DT_F64, a->f); break;
    case KIND_STR: print_string(out, a->s); break;
    case KIND_INTS:
        put_char(out, '[');
        for (uint32_t i = 0; i < a->ints.n; i++) {
            if (i) put_text(out, ", ");
            put_number(out, a->ints.at[i]);
        }
        put_char(out, ']');
        break;
    case KIND_AXES:
    case KIND_DTYPE: bug("attribute %s has no text of its own", attr_name(a->key));
    }
}

static void print_attrs(Out *out, const Node *n)
{
    uint32_t printed = 0;
    for (uint32_t i = 0; i < n->nattrs; i++) {
        const Attr *a = &n->attrs[i];
        AttrKind kind = attr_kind(a->key);
        if (kind == KIND_AXES || kind == KIND_DTYPE || attr_is_default(a)) continue;
        put_text(out, printed++ ? ", " : " {");
        print_attr(out, n, a);
    }
    if (printed) put_char(out, '}');
}

// "# file:line:column", the first place and how many more there are.
static void print_origins(Out *out, const Graph *g, const Node *n)
{
    uint32_t line, column;
    if (!n->origins.n) return;
    const Loc at = n->origins.at[0];
    const char *path = diag_source_path(g->diag, at.source);
    put_text(out, "  # ");
    for (const char *s = path ? path : "?"; *s; s++)
        put_char(out, (unsigned char)*s < 0x20 ? '?' : *s);
    if (path) {
        diag_position(g->diag, at, &line, &column);
        put_char(out, ':');
        put_unsigned(out, line);
        put_char(out, ':');
        put_unsigned(out, column);
    }
    if (n->origins.n == 1) return;
    put_text(out, " and ");
    put_unsigned(out, n->origins.n - 1);
    put_text(out, " more");
}

static void print_id(Out *out, NodeId id)
{
    put_char(out, '%');
    put_unsigned(out, id);
}

static void print_node(Out *out, const Graph *g, NodeId id)
{
    const Node *n = graph_node(g, id);
    put_text(out, "  ");
    print_id(out, id);
    put_text(out, " = ");
    put_text(out, op_info(n->op)->name);
    for (uint32_t i = 0; i < n->nargs; i++) {
        put_text(out, i ? ", " : " ");
        print_id(out, n->args[i]);
    }
    print_attrs(out, n);
    if (n->copy) {
        put_text(out, " copy=");
        put_unsigned(out, n->copy);
    }
    put_text(out, " : ");
    print_type(out, n->type);
    print_origins(out, g, n);
    put_char(out, '\n');
}

static void print_named(Out *out, const char *what, const NamedNode *named)
{
    put_text(out, "  ");
    put_text(out, what);
    put_char(out, ' ');
    print_string(out, named->name);
    put_char(out, ' ');
    print_id(out, named->node);
    put_char(out, '\n');
}

// " name=number"
static void print_setting(Out *out, const char *name, int64_t x)
{
    put_char(out, ' ');
    put_text(out, name);
    put_char(out, '=');
    put_number(out, x);
}

// batch: printed where the graph's differs.
static void print_entry(Out *out, const Entry *e, int64_t batch)
{
    put_text(out, "entry ");
    print_string(out, e->name);
    if (e->graph->batch != batch) print_setting(out, "batch", e->graph->batch);
    put_text(out, " {\n");
    for (NodeId id = 1; id < e->graph->nodes.n; id++) print_node(out, e->graph, id);
    for (uint32_t i = 0; i < e->outputs.n; i++) print_named(out, "output", &e->outputs.at[i]);
    for (uint32_t i = 0; i < e->updates.n; i++) print_named(out, "update", &e->updates.at[i]);
    for (uint32_t i = 0; i < e->before.n; i++) {
        put_text(out, "  before ");
        print_string(out, e->before.at[i].entry);
        print_setting(out, "parts", e->before.at[i].parts);
        put_char(out, '\n');
    }
    put_text(out, "}\n");
}

void entry_print(const Entry *e, FILE *to)
{
    Out out = {.to = to};
    print_entry(&out, e, -1);
    flush(&out);
}

static void print_json(Out *out, const char *what, const char *text)
{
    if (!text) return;
    put_text(out, what);
    put_char(out, ' ');
    print_string(out, text);
    put_char(out, '\n');
}

static void print_state(Out *out, const StateVar *s)
{
    put_text(out, "state ");
    put_text(out, state_kind_name(s->kind));
    put_char(out, ' ');
    print_string(out, s->name);
    put_char(out, ' ');
    print_type(out, s->type);
    put_text(out, s->trainable ? " trainable\n" : "\n");
}

void program_print(const Program *p, FILE *to)
{
    Out out = {.to = to};
    put_text(&out, "program ");
    print_string(&out, p->name);
    print_setting(&out, "batch", p->batch);
    print_setting(&out, "steps", p->steps);
    print_setting(&out, "seed", p->seed);
    if (p->precision != PRECISION_F32) {
        put_text(&out, " precision=");
        put_text(&out, precision_name(p->precision));
    }
    if (p->accumulate != 1) print_setting(&out, "accumulate", p->accumulate);
    if (p->memory) print_setting(&out, "memory", p->memory);
    put_char(&out, '\n');
    print_json(&out, "data", p->data_json);
    print_json(&out, "train", p->train_json);
    print_json(&out, "eval", p->eval_json);
    for (uint32_t i = 0; i < p->states.n; i++) print_state(&out, &p->states.at[i]);
    for (uint32_t i = 0; i < p->entries.n; i++) {
        put_char(&out, '\n');
        print_entry(&out, p->entries.at[i], p->batch);
    }
    flush(&out);
}
