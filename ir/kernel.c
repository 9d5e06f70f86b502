// Canonical text of kernels, and their verifier.
#include "ir/kernel.h"

#include <inttypes.h>

typedef struct Text {
    Arena *arena;
    VEC(char) out;
} Text;

static void put(Text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(Text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *s = str_vprintf(t->arena, fmt, ap);
    va_end(ap);
    for (; *s; s++) vec_push(t->arena, &t->out, *s);
}

static const char *const role_names[] = {"outer", "red", "inner"};
static const char *const kind_names[] = {
    "loop",  "pack",   "gemm", "attention", "attention_grad", "attention_bias_grad", "scatter",
    "lists", "cumsum", "topk", "nms",       "eigh",
};
static const char *const instr_names[] = {"const",  "load", "index",  "test",
                                          "random", "op",   "reduce", "acc"};
static const char *const order_names[] = {"row", "column", "chain"};

static void put_guards(Text *t, const KernelBody *b, const KernelGuard *guards, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        put(t, " if %" PRId64 " <= %s < %" PRId64, guards[i].lo,
            index_text(&b->index, t->arena, guards[i].index), guards[i].hi);
}

static void put_instr(Text *t, const KernelBody *b, uint32_t i)
{
    const KernelInstr *in = &b->code.at[i];
    put(t, "  v%u = %s", i, instr_names[in->kind]);
    switch (in->kind) {
    case KI_CONST: put(t, " %a", in->value); break;
    case KI_LOAD: put(t, " b%u[%s]", in->buffer, index_text(&b->index, t->arena, in->index)); break;
    case KI_INDEX: put(t, " %s", index_text(&b->index, t->arena, in->index)); break;
    case KI_RANDOM:
        put(t, " v%u v%u v%u %s %s", in->args[0], in->args[1], in->args[2],
            index_text(&b->index, t->arena, in->index),
            index_text(&b->index, t->arena, in->index2));
        break;
    case KI_OP:
        put(t, " %s", op_info(in->op)->name);
        for (int a = 0; a < op_info(in->op)->arity; a++) put(t, " v%u", in->args[a]);
        break;
    case KI_REDUCE:
        put(t, " %s v%u %s", op_info(in->op)->name, in->args[0], order_names[in->order]);
        break;
    case KI_TEST:
    case KI_ACC: break;
    }
    put_guards(t, b, in->guards, in->nguards);
    put(t, " : %s\n", dtype_name(in->dtype));
}

static void put_body(Text *t, const char *name, const KernelBody *b)
{
    put(t, " %s", name);
    for (uint32_t i = 0; i < b->axes.n; i++)
        put(t, " a%u %s %" PRId64, i, role_names[b->axes.at[i].role], b->axes.at[i].size);
    put(t, "\n");
    for (uint32_t i = 0; i < b->code.n; i++) put_instr(t, b, i);
    for (uint32_t i = 0; i < b->stores.n; i++) {
        const KernelStore *s = &b->stores.at[i];
        if (s->kind == STORE_COLUMN)
            put(t, "  column %s b%u = v%u", op_info(s->op)->name, s->buffer, s->value);
        else
            put(t, "  b%u[%s] = v%u", s->buffer, index_text(&b->index, t->arena, s->index),
                s->value);
        put_guards(t, b, s->guards, s->nguards);
        put(t, "\n");
    }
}

static void put_view(Text *t, const Kernel *k, const char *name, const StridedView *v)
{
    put(t, " %s b%u[%s + %" PRId64 " row + %" PRId64 " col]\n", name, v->buffer,
        index_text(&k->body.index, t->arena, v->base), v->row, v->col);
}

static void put_attention(Text *t, const Kernel *k)
{
    put(t, " queries %" PRId64 " keys %" PRId64 " dim %" PRId64 " vdim %" PRId64 " scale %a%s\n",
        k->attention.queries, k->attention.keys, k->attention.dim, k->attention.vdim,
        (double)k->attention.scale, k->attention.causal ? " causal" : "");
    put_view(t, k, "q", &k->attention.q);
    put_view(t, k, "k", &k->attention.k);
    put_view(t, k, "v", &k->attention.v);
    put_view(t, k, "out", &k->attention.out);
    put_view(t, k, "lse", &k->attention.lse);
    if (k->attention.segments) {
        put_view(t, k, "query segments", &k->attention.query_segments);
        put_view(t, k, "key segments", &k->attention.key_segments);
    }
    if (k->attention.biased) put_view(t, k, "bias", &k->attention.bias);
    if (k->kind == KERNEL_ATTENTION) return;
    put_view(t, k, "dout", &k->attention.dout);
    if (k->kind == KERNEL_ATTENTION_BIAS_GRAD) {
        put(t, " shared %" PRId64 "\n", k->attention.shared);
        put_view(t, k, "dbias", &k->attention.dbias);
        return;
    }
    put_view(t, k, "dq", &k->attention.dq);
    put_view(t, k, "dk", &k->attention.dk);
    put_view(t, k, "dv", &k->attention.dv);
}

bool kernel_attends(const Kernel *k)
{
    return k->kind == KERNEL_ATTENTION || k->kind == KERNEL_ATTENTION_GRAD ||
           k->kind == KERNEL_ATTENTION_BIAS_GRAD;
}

bool kernel_orders(const Kernel *k)
{
    return k->kind == KERNEL_CUMSUM || k->kind == KERNEL_TOPK || k->kind == KERNEL_NMS ||
           k->kind == KERNEL_EIGH;
}

bool kernel_masks(const Kernel *k)
{
    return k->attention.segments || k->attention.biased;
}

uint32_t kernel_exp_of_square(const KernelBody *body, const KernelInstr *in)
{
    if (in->kind != KI_OP || in->op != OP_EXP) return UINT32_MAX;
    const KernelInstr *minus = &body->code.at[in->args[0]];
    if (minus->kind != KI_OP || minus->op != OP_NEG) return UINT32_MAX;
    const KernelInstr *square = &body->code.at[minus->args[0]];
    bool is = square->kind == KI_OP && square->op == OP_MUL && square->args[0] == square->args[1];
    return is ? minus->args[0] : UINT32_MAX;
}

static void put_ordered(Text *t, const Kernel *k)
{
    put(t, " rows %" PRId64 " n %" PRId64 " size %" PRId64 " flag %d threshold %a", k->ordered.rows,
        k->ordered.n, k->ordered.size, k->ordered.flag, (double)k->ordered.threshold);
    put(t, " of b%u b%u to b%u b%u", k->ordered.args[0], k->ordered.args[1], k->ordered.results[0],
        k->ordered.results[1]);
    if (k->ordered.works) put(t, " work b%u", k->ordered.work);
    put(t, "\n");
}

const char *kernel_text(Arena *arena, const Kernel *k)
{
    Text t = {.arena = arena};
    put(&t, "kernel %s%s tasks %" PRId64 " grain %" PRId64 "\n", kind_names[k->kind],
        k->rest ? " rest" : "", k->tasks, k->grain);
    for (uint32_t i = 0; i < k->buffers.n; i++)
        put(&t, " b%u %s %" PRId64 "%s\n", i, dtype_name(k->buffers.at[i].dtype),
            k->buffers.at[i].count, k->buffers.at[i].written ? " written" : "");
    if (k->kind == KERNEL_GEMM || k->kind == KERNEL_PACK)
        put(&t, " batch %" PRId64 " m %" PRId64 " n %" PRId64 " k %" PRId64 "%s%s\n", k->gemm.batch,
            k->gemm.m, k->gemm.n, k->gemm.k, k->gemm.tf32 ? " tf32" : "",
            k->gemm.b.axes.n ? "" : str_printf(arena, " packed b%u", k->gemm.packed));
    if (k->kind == KERNEL_GEMM) put_body(&t, "a", &k->gemm.a);
    if (k->kind == KERNEL_GEMM && k->gemm.b.axes.n) put_body(&t, "b", &k->gemm.b);
    if (k->kind == KERNEL_LISTS)
        put(&t, " batch %" PRId64 " rows %" PRId64 " count %" PRId64 " index b%u lists b%u\n",
            k->scatter.batch, k->scatter.rows, k->scatter.count, k->scatter.index,
            k->scatter.lists);
    if (k->kind == KERNEL_SCATTER)
        put(&t,
            " batch %" PRId64 " rows %" PRId64 " count %" PRId64 " width %" PRId64
            " index b%u update b%u out b%u%s\n",
            k->scatter.batch, k->scatter.rows, k->scatter.count, k->scatter.width, k->scatter.index,
            k->scatter.update, k->scatter.out,
            k->scatter.listed ? str_printf(arena, " lists b%u", k->scatter.lists) : "");
    if (kernel_attends(k)) put_attention(&t, k);
    if (kernel_orders(k)) put_ordered(&t, k);
    put_body(&t, "body", &k->body);
    vec_push(arena, &t.out, 0);
    return t.out.at;
}

static bool verify_index(const KernelBody *b, IndexId e, const char *what, Error *err)
{
    const IndexNode *n = index_node(&b->index, e);
    if (n->op == IX_AXIS && n->a >= b->axes.n)
        return error_set(err, "%s: axis a%u does not exist", what, n->a);
    if (n->op == IX_VALUE && n->a >= b->code.n)
        return error_set(err, "%s: v%u does not exist", what, n->a);
    if (n->op == IX_ADD && !verify_index(b, n->b, what, err)) return false;
    return n->op < IX_ADD || n->op > IX_MOD || verify_index(b, n->a, what, err);
}

// An index must stay inside its buffer unless guards cut it.
static bool verify_access(const Kernel *k, const KernelBody *b, uint32_t buffer, IndexId index,
                          uint32_t nguards, const char *what, Error *err)
{
    if (buffer >= k->buffers.n)
        return error_set(err, "%s: buffer b%u does not exist", what, buffer);
    if (!verify_index(b, index, what, err)) return false;
    const IndexNode *n = index_node(&b->index, index);
    if (!nguards && (n->lo < 0 || n->hi >= k->buffers.at[buffer].count))
        return error_set(
            err, "%s: index in [%" PRId64 ", %" PRId64 "] outside b%u of %" PRId64 " elements",
            what, n->lo, n->hi, buffer, k->buffers.at[buffer].count);
    return true;
}

static uint32_t operand_count(const KernelInstr *in)
{
    if (in->kind == KI_OP) return (uint32_t)op_info(in->op)->arity;
    return in->kind == KI_REDUCE ? 1 : in->kind == KI_RANDOM ? 3 : 0;
}

static bool verify_body(const Kernel *k, const KernelBody *b, Error *err)
{
    char what[32];
    for (uint32_t i = 0; i < b->code.n; i++) {
        const KernelInstr *in = &b->code.at[i];
        snprintf(what, sizeof what, "v%u", i);
        for (uint32_t a = 0; a < operand_count(in); a++)
            if (in->args[a] >= i)
                return error_set(err, "%s: operand v%u comes later", what, in->args[a]);
        if (in->kind == KI_LOAD) {
            if (!verify_access(k, b, in->buffer, in->index, in->nguards, what, err)) return false;
            if (k->buffers.at[in->buffer].dtype != in->dtype)
                return error_set(err, "%s: loads %s as %s", what,
                                 dtype_name(k->buffers.at[in->buffer].dtype),
                                 dtype_name(in->dtype));
        }
        for (uint32_t g = 0; g < in->nguards; g++)
            if (!verify_index(b, in->guards[g].index, what, err)) return false;
    }
    for (uint32_t i = 0; i < b->stores.n; i++) {
        const KernelStore *s = &b->stores.at[i];
        snprintf(what, sizeof what, "store %u", i);
        if (s->value >= b->code.n) return error_set(err, "%s: v%u does not exist", what, s->value);
        if (!verify_access(k, b, s->buffer, s->index, s->nguards, what, err)) return false;
        if (!k->buffers.at[s->buffer].written)
            return error_set(err, "%s: b%u is not written", what, s->buffer);
        if (k->buffers.at[s->buffer].dtype != b->code.at[s->value].dtype)
            return error_set(err, "%s: dtype of v%u", what, s->value);
    }
    return true;
}

bool kernel_verify(const Kernel *k, Error *err)
{
    uint32_t reds = 0, inners = 0;
    for (uint32_t i = 0; i < k->body.axes.n; i++) {
        if (k->body.axes.at[i].size < 1) return error_set(err, "axis a%u is empty", i);
        reds += k->body.axes.at[i].role == ROLE_RED;
        inners += k->body.axes.at[i].role == ROLE_INNER;
    }
    if (reds > 1 || inners > 1) return error_set(err, "more than one reduced or vector axis");
    if (k->tasks < 1) return error_set(err, "no tasks");
    return verify_body(k, &k->body, err) &&
           (k->kind != KERNEL_GEMM ||
            (verify_body(k, &k->gemm.a, err) && verify_body(k, &k->gemm.b, err)));
}
