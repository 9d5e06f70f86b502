// The runner: lists, order, needs, files; and what passes promise beside the results.
#include "base/file.h"
#include "gradcheck.h"
#include "passes/lower.h"
#include "passes/simplify.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

// A program whose entry "f" has a function of its input, and its gradient.
static Program *program_of(NodeId (*function)(Graph *, NodeId))
{
    Program *p = case_program();
    Entry *e = program_entry(p, "f");
    Axis axes[] = {{CASE_BATCH, 1}, {4, 0}};
    NodeId x = graph_input(e->graph, "x", type_new(p->arena, DT_F32, 2, axes));
    NodeId y = function(e->graph, x);
    NodeId loss = graph_reduce(e->graph, OP_SUM, y, INTS(0, 1), 2, false, true);
    NodeId dx = graph_add(e->graph, OP_GRAD, 2, (NodeId[]){loss, x}, 0, NULL);
    vec_push(p->arena, &e->outputs, (NamedNode){"loss", loss});
    vec_push(p->arena, &e->outputs, (NamedNode){"dx", dx});
    return p;
}

static NodeId exponential(Graph *g, NodeId x)
{
    return graph_unary(g, OP_EXP, x);
}

// Its gradient reads the absolute value, which is cheap: pass save has it computed again.
static NodeId square_of_abs(Graph *g, NodeId x)
{
    NodeId y = graph_unary(g, OP_ABS, exponential(g, x));
    return graph_binary(g, OP_MUL, y, graph_unary(g, OP_EXP, y));
}

static Program *small_program(void)
{
    return program_of(exponential);
}

static void refuses(const PassOptions *o, const char *want)
{
    Error err = {0};
    Program *p = small_program();
    cr_expect(!passes_run(p, o, &err));
    cr_expect_str_eq(err.text, want);
    arena_free(p->arena);
}

static uint32_t count_op(const Program *p, OpCode op)
{
    uint32_t count = 0;
    const Graph *g = p->entries.at[0]->graph;
    for (NodeId id = 1; id < g->nodes.n; id++) count += graph_node(g, id)->op == op;
    return count;
}

Test(run, tables_agree)
{
    Error err = {0};
    cr_assert(passes_check_tables(&err), "%s", err.text);
    for (uint32_t i = 0; pass_at(i); i++) cr_expect_eq(pass_find(pass_at(i)->name), pass_at(i));
}

Test(run, wrong_lists_are_refused)
{
    refuses(&(PassOptions){.list = "autodif"},
            "there is no pass 'autodif'; did you mean 'autodiff'?");
    refuses(&(PassOptions){.skip = "nothing_like_it"}, "there is no pass 'nothing_like_it'");
    refuses(&(PassOptions){.stop_after = "x"}, "there is no pass 'x'");
    refuses(
        &(PassOptions){.list = "simplify,autodiff"},
        "pass autodiff cannot run after simplify: stop_gradient may go only when no gradient is "
        "left to stop, and gradients of slices and broadcasts need simplifying");
    refuses(&(PassOptions){.list = "save"}, "pass save needs that no grad node is left (autodiff)");
    refuses(&(PassOptions){.list = "autodiff,expand,layout"},
            "pass layout needs that there is a target");
    refuses(&(PassOptions){.dump_dir = "/nonexistent/folder"},
            "/nonexistent/folder/00-input.ir: cannot write: No such file or directory");
}

static int64_t one(const Target *t, const Kernel *k)
{
    (void)t, (void)k;
    return 1;
}

// Each pass that makes kernels works on what the one before has just made, once.
Test(run, kernel_passes_follow_each_other)
{
    const char *lists[][2] = {
        {"layout,fuse,schedule", "pass schedule needs that kernels have just been made (lower)"},
        {"layout,fuse,lower,lower", "pass lower needs that groups have just been formed (fuse)"},
        {"layout,layout,fuse,lower,schedule,memplan", NULL},
        {"fuse,layout", "pass layout cannot run after fuse: a value may join a kernel only where "
                        "that finds its operands"}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        Program *p = small_program();
        Target target = {.name = "made up", .lanes = 4, .tasks = one};
        Lowering lowering = {.arena = p->arena, .target = &target, .mask = FUSE_ALL};
        Error err = {0};
        cr_assert(passes_run(p, &(PassOptions){.lowering = &lowering, .stop_after = "dce"}, &err));
        PassOptions o = {.list = lists[i][0], .lowering = &lowering};
        cr_expect_eq(passes_run(p, &o, &err), !lists[i][1]);
        cr_expect_eq(lowering.planned, !lists[i][1]);
        if (lists[i][1]) cr_expect_str_eq(err.text, lists[i][1]);
        arena_free(p->arena);
    }
}

// So many residual layers, the gradients of their weights clipped by their norm, and an update.
static Program *deep_program(Arena *arena, uint32_t layers)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    fputs("program \"deep\" batch=8 steps=1 seed=0\n", f);
    for (uint32_t i = 0; i < layers; i++)
        fprintf(f, "state param \"w%u\" f32[4, 4] trainable\n", i);
    fputs("entry \"step\" {\n  %x0 = input {name=\"x\"} : f32[8b, 4]\n", f);
    for (uint32_t i = 0; i < layers; i++)
        fprintf(f,
                "  %%w%u = state {name=\"w%u\"} : f32[4, 4]\n"
                "  %%p%u = dot %%x%u, %%w%u {lc=[1], rc=[1]} : f32[8b, 4]\n"
                "  %%t%u = tanh %%p%u\n  %%x%u = add %%x%u, %%t%u\n",
                i, i, i, i, i, i, i, i + 1, i, i);
    fprintf(f,
            "  %%l = sum %%x%u {axes=[0, 1], cross=1} : f32[]\n"
            "  %%n0 = const {value=1} : f32[]\n",
            layers);
    for (uint32_t i = 0; i < layers; i++)
        fprintf(f,
                "  %%g%u = grad %%l, %%w%u : f32[4, 4]\n  %%q%u = mul %%g%u, %%g%u\n"
                "  %%s%u = sum %%q%u {axes=[0, 1]} : f32[]\n  %%n%u = add %%n%u, %%s%u\n",
                i, i, i, i, i, i, i, i + 1, i, i);
    fprintf(f, "  %%n = broadcast %%n%u {axes=[]} : f32[4, 4]\n", layers);
    for (uint32_t i = 0; i < layers; i++)
        fprintf(f, "  %%d%u = div %%g%u, %%n\n  %%v%u = sub %%w%u, %%d%u\n", i, i, i, i, i);
    fputs("  output \"loss\" %l\n", f);
    for (uint32_t i = 0; i < layers; i++) fprintf(f, "  update \"w%u\" %%v%u\n", i, i);
    fputs("}\n", f);
    fclose(f);
    Diag *diag = diag_new(arena);
    Program *p = program_parse(arena, diag, diag_source(diag, "deep", text, size));
    if (!p) diag_print(diag, stderr);
    cr_assert(p);
    return p;
}

typedef struct Work {
    uint64_t steps, bytes; // of fuse's searches; of all that passes with a target make
} Work;

static Work work_of(uint32_t layers)
{
    Arena *arena = arena_new(), *made = arena_new();
    Target target = {.name = "made up", .lanes = 4, .tasks = one};
    Lowering lowering = {.arena = made, .target = &target, .mask = FUSE_ALL};
    Error err = {0};
    bool good =
        passes_run(deep_program(arena, layers), &(PassOptions){.lowering = &lowering}, &err);
    cr_assert(good, "%s", err.text);
    Work work = {lowering.entries[0].gr->search.steps, arena_used(made)};
    arena_free(made);
    arena_free(arena);
    return work;
}

// Twice the layers, twice the work.
Test(run, work_grows_with_the_layers)
{
    Work once = work_of(200), twice = work_of(400);
    cr_expect(twice.steps * 2 < once.steps * 5, "%lu steps, then %lu", (unsigned long)once.steps,
              (unsigned long)twice.steps);
    cr_expect(twice.bytes * 2 < once.bytes * 5, "%lu bytes, then %lu", (unsigned long)once.bytes,
              (unsigned long)twice.bytes);
}

static char *printed(const Program *p)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    program_print(p, out);
    fclose(out);
    return text;
}

static uint32_t count_casts(const Program *p)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->entries.n; i++)
        for (NodeId id = 1; id < p->entries.at[i]->graph->nodes.n; id++)
            count += graph_node(p->entries.at[i]->graph, id)->op == OP_CAST;
    return count;
}

// What the pass made is left alone; simplify does not take back what precision did.
static void precision_again(const char *path, uint32_t least)
{
    FileMap map;
    Error err = {0};
    cr_assert(file_map(&map, path, &err));
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    uint32_t source = diag_source(diag, "p", (const char *)map.data, map.size);
    Program *p = program_parse(arena, diag, source);
    char *before = printed(p);
    cr_assert(passes_run(p, &(PassOptions){.list = "precision"}, &err), "%s", err.text);
    cr_expect_str_eq(printed(p), before);
    uint32_t casts = count_casts(p);
    cr_expect_geq(casts, least);
    cr_assert(passes_run(p, &(PassOptions){.list = "simplify"}, &err), "%s", err.text);
    cr_expect_eq(count_casts(p), casts);
    arena_free(arena);
}

Test(run, precision_twice_is_precision)
{
    precision_again(CZT_SOURCE_DIR "/tests/passes/precision.expected", 20);
    precision_again(CZT_SOURCE_DIR "/tests/passes/precision_parts.expected", 15);
    precision_again(CZT_SOURCE_DIR "/tests/passes/precision_f32.expected", 5);
}

Test(run, skip_and_stop)
{
    Error err = {0};
    Program *p = small_program();
    cr_assert(passes_run(p, &(PassOptions){.skip = "autodiff,expand,save"}, &err), "%s", err.text);
    cr_expect_eq(count_op(p, OP_GRAD), 1);
    arena_free(p->arena);
    p = small_program();
    cr_assert(passes_run(p, &(PassOptions){.level = 2, .stop_after = "autodiff"}, &err));
    cr_expect_eq(count_op(p, OP_GRAD), 0);
    cr_expect_eq(count_op(p, OP_MUL), 0);
    arena_free(p->arena);
}

// The passes in two runs, with a copy in between: nothing is run twice, and the result is the same.
Test(run, in_two_parts)
{
    Error err = {0};
    Program *whole = program_of(square_of_abs), *parts = program_of(square_of_abs);
    PassOptions first = {.level = 2, .before = "save"}, rest = {.level = 2, .from = "save"};
    cr_assert(passes_run(whole, &(PassOptions){.level = 2}, &err), "%s", err.text);
    cr_assert(passes_run(parts, &first, &err), "%s", err.text);
    char *before = printed(parts);
    Program *kept = program_keep(parts);
    for (int i = 0; i < 2; i++) {
        program_restore(parts, kept);
        cr_expect_str_eq(printed(parts), before);
        cr_assert(passes_run(parts, &rest, &err), "%s", err.text);
        cr_expect_str_eq(printed(parts), printed(whole));
    }
    cr_expect_str_neq(printed(whole), before, "pass save did nothing");
    refuses(&(PassOptions){.from = "sve"}, "there is no pass 'sve'; did you mean 'save'?");
}

Test(run, dumps_are_numbered_and_timed)
{
    char folder[] = "/tmp/czt-passes-XXXXXX", *text = NULL;
    size_t size;
    cr_assert(mkdtemp(folder));
    Program *p = small_program();
    FILE *out = open_memstream(&text, &size);
    PassOptions o = {
        .list = "autodiff,dce", .dump_dir = folder, .dump_after = "dce", .time = true, .out = out};
    Error err = {0};
    cr_assert(passes_run(p, &o, &err), "%s", err.text);
    fclose(out);
    cr_expect(strstr(text, "autodiff  ") && strstr(text, "# after dce\nprogram \"case\""), "%s",
              text);
    cr_expect(!strstr(text, "# after autodiff"));
    free(text);
    const char *names[] = {"00-input.ir", "01-autodiff.ir", "02-dce.ir"};
    for (int i = 0; i < 3; i++)
        cr_expect_eq(unlink(str_printf(p->arena, "%s/%s", folder, names[i])), 0, "%s", names[i]);
    cr_expect_eq(rmdir(folder), 0);
    arena_free(p->arena);
}

Test(run, what_has_no_gradient_is_an_error_at_its_place)
{
    Program *p = case_program();
    static const char text[] = "first line\nattention(q, k, v).lse\n";
    uint32_t source = diag_source(p->diag, "graph.yaml", text, sizeof text - 1);
    Graph *g = program_entry(p, "f")->graph;
    Axis axes[] = {{CASE_BATCH, 1}, {4, 0}, {8, 0}};
    NodeId q = graph_input(g, "q", type_new(p->arena, DT_F32, 3, axes));
    g->here = loc_in(source, 11, 20);
    Attr scale = attr_float(ATTR_SCALE, 1);
    NodeId lse = graph_proj(g, graph_add(g, OP_ATTENTION, 3, (NodeId[]){q, q, q}, 1, &scale), 1);
    NodeId loss = graph_reduce(g, OP_SUM, lse, INTS(0, 1), 2, false, true);
    NodeId dq = graph_add(g, OP_GRAD, 2, (NodeId[]){loss, q}, 0, NULL);
    vec_push(p->arena, &p->entries.at[0]->outputs, (NamedNode){"dq", dq});
    Error err = {0};
    cr_expect(!passes_run(p, &(PassOptions){.list = "autodiff"}, &err));
    cr_expect(!err.set, "%s", err.text);
    char *printed = NULL;
    size_t size;
    FILE *out = open_memstream(&printed, &size);
    diag_print(p->diag, out);
    fclose(out);
    cr_expect(strstr(printed, "graph.yaml:2:1: error: the log-sum-exp of attention"), "%s",
              printed);
    free(printed);
    arena_free(p->arena);
}

// Every gradient node names the place of the node it is the gradient of.
Test(run, origins_are_carried_over)
{
    Program *p = case_program();
    static const char text[] = "tanh(x) exp(x)";
    uint32_t source = diag_source(p->diag, "graph.yaml", text, sizeof text - 1);
    Entry *e = program_entry(p, "f");
    Graph *g = e->graph;
    Loc place[] = {loc_in(source, 0, 7), loc_in(source, 8, 14)};
    NodeId x = graph_input(g, "x", type_new(p->arena, DT_F32, 1, (Axis[]){{4, 0}}));
    g->here = place[0];
    NodeId t = graph_unary(g, OP_TANH, x);
    graph_add_origin(g, t, place[1]);
    g->here = (Loc){0};
    NodeId loss = graph_reduce(g, OP_SUM, t, INTS(0), 1, false, false);
    NodeId dx = graph_add(g, OP_GRAD, 2, (NodeId[]){loss, x}, 0, NULL);
    vec_push(p->arena, &e->outputs, (NamedNode){"dx", dx});
    case_run(p, "autodiff,simplify,dce");
    uint32_t seen = 0;
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        if (n->op != OP_FMA && n->op != OP_MUL && n->op != OP_SUB) continue;
        seen++;
        cr_assert_eq(n->origins.n, 2);
        for (int i = 0; i < 2; i++) cr_expect(!memcmp(&n->origins.at[i], &place[i], sizeof(Loc)));
    }
    cr_expect(seen > 0);
    arena_free(p->arena);
}

// Ties share the gradient of a maximum; a row of -inf has gradient 0 through logsumexp.
Test(run, gradients_at_corners)
{
    Program *p = case_program();
    Entry *e = program_entry(p, "f");
    Graph *g = e->graph;
    NodeId x = graph_input(g, "x", type_new(p->arena, DT_F32, 1, (Axis[]){{4, 0}}));
    OpCode ops[] = {OP_REDUCE_MAX, OP_LOGSUMEXP};
    const char *names[] = {"max", "lse"};
    for (int i = 0; i < 2; i++) {
        NodeId loss = graph_reduce(g, ops[i], x, INTS(0), 1, false, false);
        NodeId dx = graph_add(g, OP_GRAD, 2, (NodeId[]){loss, x}, 0, NULL);
        vec_push(p->arena, &e->outputs, (NamedNode){names[i], dx});
    }
    case_run(p, "autodiff,simplify");
    double values[2][4] = {{1, 3, 3, 2}, {-INFINITY, -INFINITY, -INFINITY, -INFINITY}};
    double want[2][4] = {{0, 0.5, 0.5, 0}, {0, 0, 0, 0}};
    for (int i = 0; i < 2; i++) {
        Map inputs = {0}, out = {0};
        Error err = {0};
        Tensor t = {graph_type(g, 1), values[i]};
        map_set(p->arena, &inputs, "x", &t);
        cr_assert(entry_eval(e, EVAL_F64, &inputs, NULL, p->arena, &out, &err), "%s", err.text);
        const Tensor *dx = map_get(&out, i ? "out:lse" : "out:max");
        for (int k = 0; k < 4; k++) cr_expect_eq(((double *)dx->data)[k], want[i][k]);
    }
    arena_free(p->arena);
}

// simplify comes to rest: a second run changes nothing.
Test(run, simplify_twice_is_simplify)
{
    Program *p = small_program();
    case_run(p, "autodiff,simplify");
    uint32_t nodes = p->entries.at[0]->graph->nodes.n;
    case_run(p, "simplify,simplify");
    cr_expect_eq(p->entries.at[0]->graph->nodes.n, nodes);
    arena_free(p->arena);
}

static void documented(const char *docs, const char *what)
{
    cr_expect(strstr(docs, what), "docs/passes.md lacks: %s", what);
}

Test(run, docs_list_passes_orders_and_rules)
{
    Arena *arena = arena_new();
    FileMap map;
    Error err = {0};
    cr_assert(file_map(&map, CZT_SOURCE_DIR "/docs/passes.md", &err), "%s", err.text);
    const char *docs = str_slice(arena, (const char *)map.data, map.size);
    file_unmap(&map);
    for (uint32_t i = 0; pass_at(i); i++)
        documented(docs, str_printf(arena, "| %s | %d | %s |", pass_at(i)->name, pass_at(i)->level,
                                    pass_at(i)->doc));
    for (uint32_t i = 0; simplify_row(i); i++)
        documented(docs, str_printf(arena, "| %s | `%s` |",
                                    simplify_row(i)->bits == BITS ? "bits" : "exact",
                                    simplify_row(i)->equation));
#define BEFORE(a, b, because) documented(docs, "| " #a " | " #b " | " because " |");
#include "passes/order.def"
#undef BEFORE
    arena_free(arena);
}
