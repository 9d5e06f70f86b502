// The text form of programs (grammar in docs/ir.md). Attributes that the result's type repeats
// (shape, dtype) and those with their default value are left out; places in the source are
// comments.
#include "ir/fold.h"
#include "ir/program.h"
#include "ir/shape.h"

#include <math.h>
#include <stdlib.h>

static void print_string(FILE *out, const char *s)
{
    fputc('"', out);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

// The shortest text that reads back as x, where reading rounds to dt.
static void print_float(FILE *out, DType dt, double x)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (fold_round(dt, strtod(text, NULL)) == x) break;
    }
    fputs(isnan(x) ? "nan" : text, out);
}

static void print_attr(FILE *out, const Node *n, const Attr *a)
{
    fprintf(out, "%s=", attr_name(a->key));
    switch (attr_kind(a->key)) {
    case KIND_INT: fprintf(out, "%lld", (long long)a->i); break;
    case KIND_FLOAT: print_float(out, n->op == OP_CONST ? n->type->dtype : DT_F64, a->f); break;
    case KIND_STR: print_string(out, a->s); break;
    case KIND_INTS:
        fputc('[', out);
        for (uint32_t i = 0; i < a->ints.n; i++)
            fprintf(out, "%s%lld", i ? ", " : "", (long long)a->ints.at[i]);
        fputc(']', out);
        break;
    case KIND_AXES:
    case KIND_DTYPE: bug("attribute %s has no text of its own", attr_name(a->key));
    }
}

static void print_attrs(FILE *out, const Node *n)
{
    uint32_t printed = 0;
    for (uint32_t i = 0; i < n->nattrs; i++) {
        const Attr *a = &n->attrs[i];
        AttrKind kind = attr_kind(a->key);
        if (kind == KIND_AXES || kind == KIND_DTYPE || attr_is_default(a)) continue;
        fputs(printed++ ? ", " : " {", out);
        print_attr(out, n, a);
    }
    if (printed) fputc('}', out);
}

// "# file:line:column", the first place and how many more there are.
static void print_origins(FILE *out, const Graph *g, const Node *n)
{
    if (!n->origins.n) return;
    fputs("  # ", out);
    for (const char *s = diag_where(g->diag, n->origins.at[0]); *s; s++)
        fputc((unsigned char)*s < 0x20 ? '?' : *s, out);
    if (n->origins.n > 1) fprintf(out, " and %u more", n->origins.n - 1);
}

static void print_node(FILE *out, Arena *scratch, const Graph *g, NodeId id)
{
    const Node *n = graph_node(g, id);
    fprintf(out, "  %%%u = %s", id, op_info(n->op)->name);
    for (uint32_t i = 0; i < n->nargs; i++) fprintf(out, "%s%%%u", i ? ", " : " ", n->args[i]);
    print_attrs(out, n);
    if (n->copy) fprintf(out, " copy=%u", n->copy);
    fprintf(out, " : %s", type_text(scratch, n->type));
    print_origins(out, g, n);
    fputc('\n', out);
}

static void print_named(FILE *out, const char *what, const NamedNode *named)
{
    fprintf(out, "  %s ", what);
    print_string(out, named->name);
    fprintf(out, " %%%u\n", named->node);
}

// batch: printed where the graph's differs.
static void print_entry(FILE *out, const Entry *e, int64_t batch)
{
    Arena *scratch = arena_new();
    fputs("entry ", out);
    print_string(out, e->name);
    if (e->graph->batch != batch) fprintf(out, " batch=%lld", (long long)e->graph->batch);
    fputs(" {\n", out);
    for (NodeId id = 1; id < e->graph->nodes.n; id++) print_node(out, scratch, e->graph, id);
    for (uint32_t i = 0; i < e->outputs.n; i++) print_named(out, "output", &e->outputs.at[i]);
    for (uint32_t i = 0; i < e->updates.n; i++) print_named(out, "update", &e->updates.at[i]);
    for (uint32_t i = 0; i < e->before.n; i++) {
        fputs("  before ", out);
        print_string(out, e->before.at[i].entry);
        fprintf(out, " parts=%lld\n", (long long)e->before.at[i].parts);
    }
    fputs("}\n", out);
    arena_free(scratch);
}

void entry_print(const Entry *e, FILE *out)
{
    print_entry(out, e, -1);
}

static void print_text(FILE *out, const char *what, const char *text)
{
    if (!text) return;
    fprintf(out, "%s ", what);
    print_string(out, text);
    fputc('\n', out);
}

void program_print(const Program *p, FILE *out)
{
    Arena *scratch = arena_new();
    fputs("program ", out);
    print_string(out, p->name);
    fprintf(out, " batch=%lld steps=%lld seed=%lld", (long long)p->batch, (long long)p->steps,
            (long long)p->seed);
    if (p->precision != DT_F32) fprintf(out, " precision=%s", dtype_name(p->precision));
    if (p->accumulate != 1) fprintf(out, " accumulate=%lld", (long long)p->accumulate);
    if (p->memory) fprintf(out, " memory=%lld", (long long)p->memory);
    fputc('\n', out);
    print_text(out, "data", p->data_json);
    print_text(out, "train", p->train_json);
    print_text(out, "eval", p->eval_json);
    for (uint32_t i = 0; i < p->states.n; i++) {
        const StateVar *s = &p->states.at[i];
        fprintf(out, "state %s ", state_kind_name(s->kind));
        print_string(out, s->name);
        fprintf(out, " %s%s\n", type_text(scratch, s->type), s->trainable ? " trainable" : "");
    }
    for (uint32_t i = 0; i < p->entries.n; i++) {
        fputc('\n', out);
        print_entry(out, p->entries.at[i], p->batch);
    }
    arena_free(scratch);
}
