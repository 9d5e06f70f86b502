// Parts that say their precision: which products have it, what the passes make of them, and the
// same bits on both executors.
#include "passes/pass.h"
#include "steps.h"

#include <criterion/criterion.h>
#include <string.h>

static const char graph[] = CZT_SOURCE_DIR "/tests/graphs/precisions.yaml";
static const char *const in_bf16[] = {"precision=bf16"};

static Program *load(Arena *arena, bool bf16)
{
    Diag *diag = diag_new(arena);
    FrontendOptions o = {
        .lib_dir = CZT_SOURCE_DIR "/graphs/lib", .set = in_bf16, .nset = bf16 ? 1 : 0};
    Frontend *f = frontend_load(arena, diag, graph, &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f);
    return f->program;
}

// The state variable that a node shows through views, or NULL.
static const char *state_of(const Graph *g, NodeId id)
{
    const Node *n = graph_node(g, id);
    while (op_info(n->op)->class == CLASS_VIEW) n = graph_node(g, n->args[0]);
    return n->op == OP_STATE ? node_str(n, ATTR_NAME) : NULL;
}

// All products of an entry with the weight say this.
static void says(Program *p, const char *entry, const char *weight, Precision precision)
{
    const Graph *g = program_find_entry(p, entry)->graph;
    int found = 0;
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        const char *name = n->op == OP_DOT ? state_of(g, n->args[1]) : NULL;
        if (!name || strcmp(name, weight) != 0) continue;
        found++;
        cr_expect_eq(node_precision(n), precision, "%s: %s says %d", entry, weight,
                     node_precision(n));
    }
    cr_expect(found, "%s has no product with %s", entry, weight);
}

static int attentions(Program *p, const char *entry, Precision precision)
{
    const Graph *g = program_find_entry(p, entry)->graph;
    int n = 0;
    for (NodeId id = 1; id < g->nodes.n; id++)
        n +=
            graph_node(g, id)->op == OP_ATTENTION && node_precision(graph_node(g, id)) == precision;
    return n;
}

// What is the program's anyway is not said again.
Test(graphs, parts_say_their_precision)
{
    static const char *const entries[] = {"step", "eval"};
    static const char *const halves[] = {"half.own",         "half.plain.weight",
                                         "teachers.old.own", "teachers.old.plain.weight",
                                         "slow.half.own",    "experts.e.own.weight"};
    static const char *const inner[] = {"half.inner.weight", "slow.half.inner.weight",
                                        "teachers.old.inner.weight", "whole.inner.weight"};
    static const char *const silent[] = {"whole.own", "whole.plain.weight", "head.weight"};
    for (int bf16 = 0; bf16 < 2; bf16++) {
        Arena *arena = arena_new();
        Program *p = load(arena, bf16);
        for (int e = 0; e < 2; e++) {
            for (int i = 0; i < 6; i++)
                says(p, entries[e], halves[i], bf16 ? PRECISION_NONE : PRECISION_BF16);
            for (int i = 0; i < 4; i++)
                says(p, entries[e], inner[i], bf16 ? PRECISION_F32 : PRECISION_NONE);
            for (int i = 0; i < 3; i++) says(p, entries[e], silent[i], PRECISION_NONE);
            // one input, so that those of teacher, copy and student are one
            cr_expect_eq(attentions(p, entries[e], PRECISION_BF16), bf16 ? 0 : 1);
        }
        says(p, "encode_half", "half.own", bf16 ? PRECISION_NONE : PRECISION_BF16);
        says(p, "encode_half", "half.inner.weight", bf16 ? PRECISION_F32 : PRECISION_NONE);
        arena_free(arena);
    }
}

// A step reads a teacher's weights as its products want them and rounds none; weights that no
// product wants in bf16 have no shadow.
Test(graphs, weights_of_a_part_in_bf16_are_rounded_once)
{
    Arena *arena = arena_new();
    Program *p = load(arena, false);
    Error err = {0};
    cr_assert(passes_run(p, &(PassOptions){.level = 1, .stop_after = "derive"}, &err), "%s",
              err.text);
    const Graph *g = program_find_entry(p, "step")->graph;
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        if (n->op != OP_STATE || strncmp(node_str(n, ATTR_NAME), "teachers.", 9) != 0) continue;
        cr_expect(strstr(node_str(n, ATTR_NAME), ".inner."), "%s is read", node_str(n, ATTR_NAME));
    }
    cr_expect(program_find_state(p, "$derived.bf16.teachers.old.own"));
    cr_expect(program_find_state(p, "$derived.bf16.half.plain.weight"));
    cr_expect_not(program_find_state(p, "$derived.bf16.teachers.old.inner.weight"));
    cr_expect_not(program_find_state(p, "$derived.bf16.whole.plain.weight"));
    arena_free(arena);
}

Test(graphs, precisions_agree_on_both_executors)
{
    Error err = {0};
    cr_assert(steps_agree(&(Source){.path = graph}, &err), "%s", err.text);
    Source half = {.path = graph, .set = in_bf16, .nset = 1};
    cr_assert(steps_agree(&half, &err), "%s", err.text);
    static const char *const in_parts[] = {"accumulate=2"};
    Source parts = {.path = graph, .set = in_parts, .nset = 1};
    cr_assert(steps_agree(&parts, &err), "%s", err.text);
}
