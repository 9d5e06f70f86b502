// One failing program for every numbered invariant of docs/ir.md, the rule of batch axes, and the
// tables of docs/ir.md held against ops.def.
#include "fixture.h"

typedef struct Sample {
    Arena *arena;
    Diag *diag;
    Program *p;
    Entry *e;
    Graph *g;
    NodeId x, w, exp, sum, pair;
} Sample;

// A correct program to spoil. The nodes: x (4b, 6), w (6), exp(x), sum(x), attention (tuple).
static Sample sample(void)
{
    Sample s = {.arena = test_arena()};
    s.diag = diag_new(s.arena);
    s.p = program_new(s.arena, s.diag, "p", 4);
    const Type *wt = type_new(s.arena, DT_F32, 1, AXES({6, 0}));
    program_state(s.p, "w", STATE_PARAM, wt, (Loc){0})->trainable = true;
    program_state(s.p, "n", STATE_STAT, type_new(s.arena, DT_I64, 0, NULL), (Loc){0});
    s.e = program_entry(s.p, "step");
    s.g = s.e->graph;
    s.x = graph_input(s.g, "x", type_new(s.arena, DT_F32, 2, AXES({4, 1}, {6, 0})));
    s.w = graph_state(s.g, "w", wt);
    s.exp = graph_unary(s.g, OP_EXP, s.x);
    s.sum = graph_reduce(s.g, OP_SUM, s.exp, (int64_t[]){0, 1}, 2, false, true);
    NodeId q = graph_reshape(s.g, s.x, 3, AXES({4, 0}, {2, 0}, {3, 0}));
    s.pair = graph_add(s.g, OP_ATTENTION, 3, (NodeId[]){q, q, q}, 1,
                       (Attr[]){attr_float(ATTR_SCALE, 1)});
    vec_push(s.arena, &s.e->outputs, (NamedNode){"loss", s.sum});
    NodeId two = graph_binary(s.g, OP_MUL, s.w, graph_const(s.g, DT_F32, 2));
    vec_push(s.arena, &s.e->updates, (NamedNode){"w", two});
    return s;
}

static Node *node(Sample *s, NodeId id)
{
    return &s->g->nodes.at[id];
}

#define assert_broken(s, want)                                                                     \
    do {                                                                                           \
        Error err = {0};                                                                           \
        cr_assert(!program_verify((s)->p, &err), "wanted %s", want);                               \
        cr_assert_str_eq(err.text, want);                                                          \
    } while (0)

Test(verify, a_correct_program_passes)
{
    Sample s = sample();
    Error err = {0};
    cr_assert(program_verify(s.p, &err), "%s", err.text);
    cr_assert(program_check_no_grad(s.p, &err));
    cr_assert(entry_check_batch(s.e, s.diag));
}

Test(verify, invariant_1)
{
    Sample s = sample();
    program_entry(s.p, "step");
    assert_broken(&s, "invariant 1: entry 'step', its name is not unique");
}

Test(verify, invariant_2)
{
    Sample s = sample();
    s.p->states.at[1].name = "w";
    assert_broken(&s, "invariant 2: state 'w' is declared twice or not in the index");
    s = sample();
    s.p->states.at[1].type = type_new(s.arena, DT_F32, 1, AXES({4, 1}));
    assert_broken(&s, "invariant 2: state 'n' of type f32[4b]");
}

Test(verify, invariant_3)
{
    Sample s = sample();
    node(&s, s.exp)->args = (NodeId[]){s.sum};
    assert_broken(&s,
                  "invariant 3: entry 'step', node %3 (exp), operand %4 does not come before it");
}

Test(verify, invariant_4)
{
    Sample s = sample();
    node(&s, s.exp)->nargs = 0;
    assert_broken(&s, "invariant 4: entry 'step', node %3 (exp), has 0 operands");
}

Test(verify, invariant_5)
{
    Sample s = sample();
    node(&s, s.sum)->nattrs = 1;
    assert_broken(&s, "invariant 5: entry 'step', node %4 (sum), lacks attribute cross");
    s = sample();
    node(&s, s.sum)->op = OP_LOGSUMEXP;
    assert_broken(&s,
                  "invariant 5: entry 'step', node %4 (logsumexp), may not have attribute cross");
}

Test(verify, invariant_6)
{
    Sample s = sample();
    node(&s, s.exp)->type = type_new(s.arena, DT_F32, 2, AXES({4, 1}, {5, 0}));
    assert_broken(&s, "invariant 6: entry 'step', node %3 (exp), its type is f32[4b, 5], but its "
                      "operands make f32[4b, 6]");
    s = sample();
    node(&s, s.exp)->op = OP_NOT;
    assert_broken(
        &s, "invariant 6: entry 'step', node %3 (not), error: not: takes bool, not f32[4b, 6]");
}

Test(verify, invariant_7)
{
    Sample s = sample();
    vec_push(s.arena, &s.g->nodes, *node(&s, s.exp));
    assert_broken(&s,
                  str_printf(s.arena, "invariant 7: entry 'step', node %%%u (exp), equals node %%3",
                             s.g->nodes.n - 1));
}

Test(verify, invariant_8)
{
    Sample s = sample();
    NodeId a = graph_binary(s.g, OP_ADD, s.x, s.exp);
    node(&s, a)->args = (NodeId[]){s.exp, s.x};
    assert_broken(&s, str_printf(s.arena,
                                 "invariant 8: entry 'step', node %%%u (add), operands %%3 and "
                                 "%%1 are not sorted",
                                 a));
}

Test(verify, invariant_9)
{
    Sample s = sample();
    s.g->batch = 2;
    assert_broken(&s,
                  "invariant 9: entry 'step', node %1 (input), axis 0 of f32[4b, 6] does not suit "
                  "the batch 2");
}

Test(verify, invariant_10)
{
    Sample s = sample();
    s.e->outputs.at[0].node = s.pair;
    assert_broken(&s, "invariant 10: entry 'step', output 'loss' is a tuple");
    s = sample();
    NodeId neg = graph_unary(s.g, OP_NEG, s.x);
    node(&s, neg)->args = (NodeId[]){s.pair};
    assert_broken(&s, str_printf(s.arena,
                                 "invariant 10: entry 'step', node %%%u (neg), operand %%%u is a "
                                 "tuple",
                                 neg, s.pair));
}

Test(verify, invariant_11)
{
    Sample s = sample();
    vec_push(s.arena, &s.e->outputs, (NamedNode){"loss", s.x});
    assert_broken(&s, "invariant 11: entry 'step', output 'loss' is there twice or has no name");
    s = sample();
    s.e->outputs.at[0].node = 1000;
    assert_broken(&s, "invariant 11: entry 'step', output 'loss' is no node");
}

Test(verify, invariant_12)
{
    Sample s = sample();
    s.e->updates.at[0].name = "v";
    assert_broken(&s, "invariant 12: entry 'step', update 'v' names no state");
    s = sample();
    s.e->updates.at[0].node = s.exp;
    assert_broken(&s, "invariant 12: entry 'step', update 'w' is f32[4b, 6], the state f32[6]");
}

Test(verify, invariant_13)
{
    Sample s = sample();
    graph_state(s.g, "v", type_new(s.arena, DT_F32, 0, NULL));
    assert_broken(&s, str_printf(s.arena,
                                 "invariant 13: entry 'step', node %%%u (state), there is no "
                                 "state 'v'",
                                 s.g->nodes.n - 1));
    s = sample();
    graph_state(s.g, "n", type_new(s.arena, DT_F32, 0, NULL));
    assert_broken(&s, str_printf(s.arena,
                                 "invariant 13: entry 'step', node %%%u (state), 'n' is i64[], "
                                 "not f32[]",
                                 s.g->nodes.n - 1));
}

Test(verify, invariant_14)
{
    Sample s = sample();
    graph_input(s.g, "x", type_new(s.arena, DT_F32, 2, AXES({4, 1}, {7, 0})));
    assert_broken(&s, str_printf(s.arena,
                                 "invariant 14: entry 'step', node %%%u (input), input 'x' is "
                                 "f32[4b, 6] and f32[4b, 7]",
                                 s.g->nodes.n - 1));
    s = sample();
    Entry *eval = program_entry(s.p, "eval");
    graph_input(eval->graph, "x", type_new(s.arena, DT_U8, 2, AXES({4, 1}, {6, 0})));
    assert_broken(&s,
                  "invariant 14: entry 'eval', node %1 (input), input 'x' is u8[4b, 6], in another "
                  "entry f32[4b, 6]");
}

Test(verify, invariant_15)
{
    Sample s = sample();
    graph_input(s.g, "$step", type_new(s.arena, DT_I32, 0, NULL));
    assert_broken(&s, str_printf(s.arena,
                                 "invariant 15: entry 'step', node %%%u (input), '$step' is "
                                 "i64[], not i32[]",
                                 s.g->nodes.n - 1));
}

Test(verify, invariant_16)
{
    Sample s = sample();
    s.p->states.at[1].trainable = true;
    assert_broken(&s, "invariant 16: state 'n' is trainable but no float parameter");
}

Test(verify, invariant_17)
{
    Sample s = sample();
    Error err = {0};
    NodeId g = graph_add(s.g, OP_GRAD, 2, (NodeId[]){s.sum, s.w}, 0, NULL);
    cr_assert(program_check_no_grad(s.p, &err), "a dead one does no harm");
    s.e->updates.at[0].node = g;
    cr_assert(program_verify(s.p, &err), "%s", err.text);
    cr_assert(!program_check_no_grad(s.p, &err));
    cr_assert_str_eq(err.text, str_printf(s.arena,
                                          "invariant 17: entry 'step', node %%%u (grad), a "
                                          "gradient is left",
                                          g));
}

static void before_step(Sample *s, const char *name, int64_t batch, int64_t parts)
{
    Entry *e = program_find_entry(s->p, name);
    if (!e && batch) (e = program_entry(s->p, name))->graph->batch = batch;
    s->e->before.n = 0;
    vec_push(s->arena, &s->e->before, ((PartRun){name, parts}));
}

Test(verify, invariant_18)
{
    Sample s = sample();
    Error none = {0};
    before_step(&s, "step.part", 2, 2);
    cr_assert(program_verify(s.p, &none), "%s", none.text);
    before_step(&s, "step.part", 2, 4);
    assert_broken(&s, "invariant 18: entry 'step', 4 parts of 'step.part' make no batch of 4");
    s = sample();
    before_step(&s, "step", 4, 1);
    assert_broken(&s, "invariant 18: entry 'step', 'step' is no entry that can run before it");
    s = sample();
    before_step(&s, "nothing", 0, 1);
    assert_broken(&s, "invariant 18: entry 'step', 'nothing' is no entry that can run before it");
}

// ---- liveness -----------------------------------------------------------------------------------

Test(program, compact_keeps_what_is_needed_in_order)
{
    Sample s = sample();
    uint32_t source = diag_source(s.diag, "g.yaml", "abc", 3);
    graph_add_origin(s.g, s.exp, loc_in(source, 0, 1));
    graph_add_origin(s.g, s.exp, loc_in(source, 1, 2));
    bool *live = entry_live(s.e, s.arena);
    cr_assert(live[s.x] && live[s.exp] && live[s.w] && !live[s.pair]);
    entry_compact(s.e);
    Error err = {0};
    cr_assert(program_verify(s.p, &err), "%s", err.text);
    cr_assert_eq(s.e->graph, s.g);
    cr_assert_eq(s.g->nodes.n, 1u + 4 + 3, "x w exp sum, 2 broadcast mul");
    const Node *sum = graph_node(s.g, s.e->outputs.at[0].node);
    cr_assert_eq(sum->op, OP_SUM);
    cr_assert_eq(graph_node(s.g, sum->args[0])->origins.n, 2u);
    cr_assert_eq(graph_node(s.g, s.e->updates.at[0].node)->op, OP_MUL);
    cr_assert_eq(graph_unary(s.g, OP_EXP, 1), 3u, "found again in the rebuilt table");
}

// ---- batch axes ---------------------------------------------------------------------------------

static void assert_mixes(Sample *s, NodeId id, const char *want)
{
    cr_assert(id);
    Fixture f = {s->arena, s->diag, s->g};
    cr_assert(!entry_check_batch(s->e, s->diag), "wanted '%s'", want);
    cr_assert(strstr(messages(&f), want), "wanted '%s' in:\n%s", want, messages(&f));
}

Test(batch, ops_that_mix_samples_are_reported)
{
    int64_t zero[] = {0}, lo[] = {0, 0}, hi[] = {2, 6}, one[] = {1, 0};
    Sample s = sample();
    assert_mixes(&s, graph_reduce(s.g, OP_SUM, s.x, zero, 1, false, false),
                 "sum: mixes samples: axis 0 of f32[4b, 6] is a batch axis");
    s = sample();
    assert_mixes(&s, graph_reduce(s.g, OP_ARGMAX, s.x, zero, 1, false, false),
                 "argmax: mixes samples: axis 0");
    s = sample();
    assert_mixes(&s, graph_reduce(s.g, OP_LOGSUMEXP, s.x, zero, 1, false, false),
                 "logsumexp: mixes samples: axis 0");
    s = sample();
    assert_mixes(&s, graph_dot(s.g, s.x, s.x, 0, NULL, NULL, 1, zero, zero),
                 "dot: mixes samples: axis 0 of f32[4b, 6]");
    s = sample();
    assert_mixes(&s, graph_dot(s.g, s.x, s.exp, 0, NULL, NULL, 1, one, one),
                 "dot: mixes samples: axis 1 of f32[4b, 4b]");
    s = sample();
    assert_mixes(&s, graph_slice(s.g, s.x, lo, hi, NULL), "slice: mixes samples");
    s = sample();
    assert_mixes(&s, graph_pad(s.g, s.x, graph_const(s.g, DT_F32, 0), one, lo),
                 "pad: mixes samples");
    s = sample();
    assert_mixes(&s, graph_concat(s.g, 2, (NodeId[]){s.x, s.x}, 0), "concat: mixes samples");
    s = sample();
    assert_mixes(&s,
                 graph_add(s.g, OP_REVERSE, 1, &s.x, 1, (Attr[]){attr_ints(ATTR_AXES, zero, 1)}),
                 "reverse: mixes samples");
    s = sample();
    NodeId at = graph_const(s.g, DT_I32, 0), is;
    assert_mixes(&s, graph_add(s.g, OP_GATHER, 2, (NodeId[]){s.x, at}, 0, NULL),
                 "gather: mixes samples");
    s = sample();
    is = graph_cast(s.g, s.x, DT_I32);
    assert_mixes(
        &s,
        graph_add(s.g, OP_SCATTER_ADD, 2, (NodeId[]){is, s.x}, 1, (Attr[]){attr_int(ATTR_SIZE, 9)}),
        "scatter_add: mixes samples");
    s = sample();
    int64_t turn[] = {1, 0};
    NodeId x = graph_transpose(s.g, s.x, turn);
    assert_mixes(&s, graph_add(s.g, OP_CUMSUM, 1, &x, 0, NULL), "cumsum: mixes samples");
    s = sample();
    x = graph_transpose(s.g, s.x, turn);
    x = graph_proj(s.g, graph_add(s.g, OP_TOPK, 1, &x, 1, (Attr[]){attr_int(ATTR_SIZE, 2)}), 0);
    assert_mixes(&s, x, "topk: mixes samples");
}

Test(batch, what_keeps_samples_apart_passes)
{
    Sample s = sample();
    int64_t lo[] = {0, 1}, hi[] = {4, 3}, one[] = {1}, zero[] = {0};
    cr_assert(graph_slice(s.g, s.x, lo, hi, NULL) && graph_concat(s.g, 2, (NodeId[]){s.x, s.x}, 1));
    cr_assert(graph_dot(s.g, s.x, s.x, 1, zero, zero, 1, one, one));
    NodeId all = graph_add(s.g, OP_BATCH_GATHER, 1, &s.x, 1, (Attr[]){attr_int(ATTR_AXIS, 0)});
    cr_assert(graph_dot(s.g, s.x, all, 0, NULL, NULL, 1, one, one));
    cr_assert(entry_check_batch(s.e, s.diag));
}

// ---- docs ---------------------------------------------------------------------------------------

static const char *attrs_text(Arena *arena, uint32_t attrs)
{
    const char *text = "";
    for (AttrKey key = 0; key < ATTR_COUNT; key++)
        if (attrs & (1u << key))
            text = str_printf(arena, "%s%s%s", text, *text ? ", " : "", attr_name(key));
    return text;
}

static const char *flags_text(Arena *arena, uint32_t flags)
{
    static const char *const names[] = {"number",   "float", "int",   "bool",
                                        "commutes", "flat",  "expand"};
    const char *text = "";
    for (uint32_t i = 0; i < 7; i++)
        if (flags & (1u << i))
            text = str_printf(arena, "%s%s%s", text, *text ? ", " : "", names[i]);
    return text;
}

// The table between the two markers of docs/ir.md is what ops.def says. CZT_BLESS=1 writes it.
Test(docs, the_op_table_is_ops_def)
{
    static const char *const classes[] = {"leaf",    "random",   "elementwise", "view",
                                          "reduce",  "contract", "attention",   "gather",
                                          "scatter", "ordered",  "tuple",       "gradient"};
    static const char begin[] = "<!-- ops -->\n", end[] = "<!-- end of ops -->\n";
    Arena *arena = arena_new();
    const char *path = CZT_SOURCE_DIR "/docs/ir.md";
    const char *table =
        "| op | class | operands | attributes | flags | meaning |\n|---|---|---|---|---|---|\n";
    for (OpCode op = 0; op < OP_COUNT; op++) {
        const OpInfo *o = op_info(op);
        table =
            str_printf(arena, "%s| `%s` | %s | %s | %s | %s | ", table, o->name, classes[o->class],
                       o->arity < 0 ? "any" : str_printf(arena, "%d", o->arity),
                       attrs_text(arena, o->attrs), flags_text(arena, o->flags));
        for (const char *c = o->meaning; *c; c++)
            table = str_printf(arena, "%s%s%c", table, *c == '|' ? "\\" : "", *c);
        table = str_printf(arena, "%s |\n", table);
    }
    char *doc = arena_alloc(arena, 1 << 20);
    FILE *in = fopen(path, "rb");
    cr_assert(in && fread(doc, 1, (1 << 20) - 1, in) > 0);
    fclose(in);
    char *from = strstr(doc, begin), *to = strstr(doc, end);
    cr_assert(from && to);
    from += strlen(begin);
    if (getenv("CZT_BLESS")) {
        FILE *out = fopen(path, "wb");
        cr_assert(out && fprintf(out, "%.*s%s%s", (int)(from - doc), doc, table, to) > 0 &&
                  !fclose(out));
    } else {
        cr_assert_eq((size_t)(to - from), strlen(table),
                     "run with CZT_BLESS=1 and read the difference");
        cr_assert_eq(strncmp(from, table, strlen(table)), 0);
    }
    arena_free(arena);
}
