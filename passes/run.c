// The pass runner: chooses rows of passes.def, checks their order and needs, runs them, verifies
// after each, dumps and times. Scratch memory lives for one pass.
#include "passes/lower.h"

#include "base/clock.h"

#include <errno.h>
#include <time.h>

static const PassInfo passes[] = {
#define PASS(name, function, level, needs, keeps, gives, doc)                                      \
    {name, function, level, needs, keeps, gives, doc},
#include "passes/passes.def"
#undef PASS
};

enum { PASS_COUNT = sizeof passes / sizeof *passes };

typedef struct Order {
    const char *before, *after, *because;
} Order;

static const Order orders[] = {
#define BEFORE(a, b, because) {#a, #b, because},
#include "passes/order.def"
#undef BEFORE
};

enum { ORDER_COUNT = sizeof orders / sizeof *orders };

typedef VEC(const PassInfo *) PassList;

const PassInfo *pass_at(uint32_t i)
{
    return i < PASS_COUNT ? &passes[i] : NULL;
}

const PassInfo *pass_find(const char *name)
{
    for (uint32_t i = 0; i < PASS_COUNT; i++)
        if (!strcmp(passes[i].name, name)) return &passes[i];
    return NULL;
}

// ---- lists --------------------------------------------------------------------------------------

// The next name of a comma list in the arena, NULL at its end; *list moves on.
static char *next_name(Arena *arena, const char **list)
{
    if (!*list || !**list) return NULL;
    size_t n = strcspn(*list, ",");
    char *name = str_slice(arena, *list, n);
    *list += n + ((*list)[n] == ',');
    return name;
}

static bool named(Arena *arena, const char *list, const char *name)
{
    for (char *item; (item = next_name(arena, &list));)
        if (!strcmp(item, name)) return true;
    return false;
}

static bool unknown(Arena *arena, const char *name, Error *err)
{
    const char *near = "";
    uint32_t best = 3;
    for (uint32_t i = 0; i < PASS_COUNT; i++) {
        uint32_t d = str_distance(name, passes[i].name, best);
        if (d >= best) continue;
        best = d;
        near = str_printf(arena, "; did you mean '%s'?", passes[i].name);
    }
    return error_set(err, "there is no pass '%s'%s", name, near);
}

static bool check_names(Arena *arena, const char *list, Error *err)
{
    for (char *name; (name = next_name(arena, &list));)
        if (!pass_find(name)) return unknown(arena, name, err);
    return true;
}

static bool choose(Arena *arena, const PassOptions *o, PassList *run, Error *err)
{
    if (!check_names(arena, o->list, err) || !check_names(arena, o->skip, err) ||
        !check_names(arena, o->stop_after, err) || !check_names(arena, o->before, err) ||
        !check_names(arena, o->from, err) || !check_names(arena, o->dump_after, err))
        return false;
    if (o->list) {
        const char *list = o->list;
        for (char *name; (name = next_name(arena, &list));) {
            const PassInfo *pass = pass_find(name);
            if (!named(arena, o->skip, name)) vec_push(arena, run, pass);
        }
        return true;
    }
    for (uint32_t i = 0; i < PASS_COUNT; i++) {
        if (o->before && &passes[i] >= pass_find(o->before)) break;
        bool wanted = passes[i].level >= 0 && passes[i].level <= o->level &&
                      (o->lowering || !(passes[i].needs & FACT_TARGET));
        if (wanted && !named(arena, o->skip, passes[i].name)) vec_push(arena, run, &passes[i]);
    }
    return true;
}

// The last place of a name in the list, -1 when it is not there.
static int64_t last_place(const PassList *run, const char *name)
{
    for (int64_t i = run->n; i-- > 0;)
        if (!strcmp(run->at[i]->name, name)) return i;
    return -1;
}

static bool check_order(const PassList *run, Error *err)
{
    for (uint32_t k = 0; k < ORDER_COUNT; k++)
        for (uint32_t i = 0; i < run->n; i++)
            if (!strcmp(run->at[i]->name, orders[k].after) &&
                last_place(run, orders[k].before) > (int64_t)i)
                return error_set(err, "pass %s cannot run after %s: %s", orders[k].before,
                                 orders[k].after, orders[k].because);
    return true;
}

bool passes_check_tables(Error *err)
{
    for (uint32_t k = 0; k < ORDER_COUNT; k++)
        if (!pass_find(orders[k].before) || !pass_find(orders[k].after))
            return error_set(err, "order.def: no pass named %s or %s", orders[k].before,
                             orders[k].after);
    Arena *arena = arena_new();
    PassList all = {0};
    for (uint32_t i = 0; i < PASS_COUNT; i++) vec_push(arena, &all, &passes[i]);
    bool good = check_order(&all, err);
    arena_free(arena);
    return good;
}

// ---- facts --------------------------------------------------------------------------------------

static const char *fact_name(uint32_t fact)
{
    switch (fact) {
    case FACT_GRADLESS: return "no grad node is left (autodiff)";
    case FACT_COMPACT: return "every node is live (dce)";
    case FACT_SIMPLE: return "no rule of simplify applies (simplify)";
    case FACT_EXPANDED: return "reductions run over one run of axes (expand)";
    case FACT_TARGET: return "there is a target";
    case FACT_LAYOUT: return "layouts have just been chosen (layout)";
    case FACT_GROUPED: return "groups have just been formed (fuse)";
    case FACT_LOWERED: return "kernels have just been made (lower)";
    case FACT_SCHEDULED: return "results have just been placed (schedule)";
    default: return "memory has just been planned (memplan)";
    }
}

// What holds of a node by itself.
static uint32_t node_facts(const Graph *g, NodeId id)
{
    const Node *n = graph_node(g, id);
    int64_t before, red, after;
    if (n->op == OP_GRAD) return 0;
    if (op_info(n->op)->class != CLASS_REDUCE) return FACT_GRADLESS | FACT_EXPANDED;
    bool whole = n->op == OP_LOGSUMEXP || n->op == OP_ARGMAX;
    return FACT_GRADLESS |
           (!whole && reduction_extent(g, n, &before, &red, &after) ? FACT_EXPANDED : 0);
}

static uint32_t facts_of(const Program *p, const PassOptions *o)
{
    uint32_t facts = FACT_GRADLESS | FACT_EXPANDED;
    for (uint32_t i = 0; i < p->entries.n; i++) {
        const Graph *g = p->entries.at[i]->graph;
        for (NodeId id = 1; id < g->nodes.n; id++) facts &= node_facts(g, id);
    }
    return facts | (o->lowering ? FACT_TARGET : 0);
}

static uint32_t facts_after(uint32_t facts, const PassInfo *pass)
{
    return (facts & (pass->keeps | FACT_TARGET)) | pass->gives;
}

static bool check_needs(const PassInfo *pass, uint32_t facts, Error *err)
{
    for (uint32_t fact = 1; fact <= FACT_LAST; fact <<= 1)
        if ((pass->needs & fact) && !(facts & fact))
            return error_set(err, "pass %s needs that %s", pass->name, fact_name(fact));
    return true;
}

// ---- running ------------------------------------------------------------------------------------

static uint32_t count_nodes(const Program *p)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->entries.n; i++) count += p->entries.at[i]->graph->nodes.n - 1;
    return count;
}

// A pass that makes kernels prints what it made, the others the program.
static void dump(const Program *p, const PassInfo *pass, const PassOptions *o, FILE *out)
{
    if (pass && pass->needs & FACT_TARGET)
        lowering_print(o->lowering, pass->gives, out);
    else
        program_print(p, out);
}

// The file of the dump folder for the state after `pass` (NULL: before the first).
static bool dump_file(Arena *arena, const Program *p, const PassOptions *o, uint32_t number,
                      const PassInfo *pass, Error *err)
{
    if (!o->dump_dir) return true;
    const char *path =
        str_printf(arena, "%s/%02u-%s.%s", o->dump_dir, number, pass ? pass->name : "input",
                   pass && pass->needs & FACT_TARGET ? "txt" : "ir");
    FILE *f = fopen(path, "w");
    if (!f) return error_set(err, "%s: cannot write: %s", path, strerror(errno));
    dump(p, pass, o, f);
    bool good = !ferror(f);
    if (fclose(f) || !good) return error_set(err, "%s: cannot write: %s", path, strerror(errno));
    return true;
}

static void check_result(const Program *p, const PassInfo *pass, const PassOptions *o)
{
    Error broken = {0};
    bool planned = pass->gives & FACT_PLANNED,
         plan = planned || pass->gives & (FACT_LOWERED | FACT_SCHEDULED);
    bool good = plan ? plan_verify(o->lowering->plan, planned, &broken)
                     : pass->needs & FACT_TARGET || program_verify(p, &broken);
    if (!good) bug("after pass %s: %s", pass->name, broken.text);
}

static void print_time(const Program *p, const PassInfo *pass, const PassOptions *o, FILE *out,
                       double took, uint32_t before)
{
    char made[64];
    snprintf(made, sizeof made, "%7u -> %u nodes", before, count_nodes(p));
    if (pass->needs & FACT_TARGET) lowering_count(o->lowering, pass->gives, made, sizeof made);
    fprintf(out, "%-10s %8.3f ms  %s\n", pass->name, took * 1e3, made);
}

// One pass with its checks and reports; facts are brought up to date.
static bool run_pass(Program *p, const PassInfo *pass, const PassOptions *o, uint32_t number,
                     uint32_t *facts, Error *err)
{
    if (!check_needs(pass, *facts, err)) return false;
    FILE *out = o->out ? o->out : stderr;
    Arena *scratch = arena_new();
    PassContext ctx = {scratch, o};
    uint32_t before = count_nodes(p);
    double start = seconds_now();
    bool good = pass->run(p, &ctx);
    double took = seconds_now() - start;
    if (good) {
        if (!o->discarded) check_result(p, pass, o);
        *facts = facts_after(*facts, pass);
        if (o->time) print_time(p, pass, o, out, took, before);
        if (named(scratch, o->dump_after, pass->name)) {
            fprintf(out, "# after %s\n", pass->name);
            dump(p, pass, o, out);
        }
        good = dump_file(scratch, p, o, number, pass, err);
    }
    arena_free(scratch);
    return good;
}

bool passes_run(Program *p, const PassOptions *options, Error *err)
{
    Arena *arena = arena_new();
    PassList run = {0};
    bool good = passes_check_tables(err) && choose(arena, options, &run, err) &&
                check_order(&run, err) && (options->discarded || program_verify(p, err)) &&
                (options->from || dump_file(arena, p, options, 0, NULL, err));
    uint32_t facts = facts_of(p, options);
    uint32_t i = 0;
    for (; good && options->from && i < run.n && run.at[i] < pass_find(options->from); i++)
        facts = facts_after(facts, run.at[i]); // it has run
    for (; good && i < run.n; i++) {
        good = run_pass(p, run.at[i], options, i + 1, &facts, err);
        if (options->stop_after && !strcmp(options->stop_after, run.at[i]->name)) break;
    }
    arena_free(arena);
    return good;
}

Plan *plan_build(Arena *arena, Program *p, const Target *target, uint32_t mask)
{
    Lowering lowering = {.arena = arena, .target = target, .mask = mask};
    Error err = {0};
    PassOptions o = {.list = "layout,fuse,lower,schedule,memplan", .lowering = &lowering};
    if (!passes_run(p, &o, &err)) bug("no plan: %s", err.text);
    return lowering.plan;
}
