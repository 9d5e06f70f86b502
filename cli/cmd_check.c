// cztc check: is a graph file right, and what would its step be.
#include "cli/graph_diff.h"
#include "cli/graph_fix.h"

#include <jansson.h>

typedef struct Values {
    const char *file, *other, *lib;
    Texts set;
    bool diff, fix, json;
} Values;

static const Option options[] = {
    {"FILE", 0, OPTION_OPERAND, offsetof(Values, file), NULL,
     "a graph file (.yaml) or IR text (.ir)"},
    {"OTHER", 0, OPTION_MAYBE, offsetof(Values, other), NULL,
     "with --diff: a graph file to compare with; default: the one that FILE extends"},
    {"diff", 0, OPTION_FLAG, offsetof(Values, diff), NULL,
     "what FILE changes of another graph: keys, and figures of the step"},
    {"fix", 0, OPTION_FLAG, offsetof(Values, fix), NULL,
     "write the mends of errors that have just one into FILE; others are printed"},
    {"set", 0, OPTION_TEXTS, offsetof(Values, set), "K=V",
     "change a value of the file; globs allowed"},
    {"lib", 0, OPTION_TEXT, offsetof(Values, lib), "DIR",
     "library files instead of the built-in ones"},
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "print one JSON object"},
};

// Of a step that is not the first; passes add other entries.
static bool is_phase(const char *entry)
{
    return strncmp(entry, "step@", strlen("step@")) == 0;
}

static void print_inputs(const Pipeline *p, const Entry *e)
{
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op == OP_INPUT && node_str(n, ATTR_NAME)[0] != '$')
            printf("  input   %-24s %s\n", node_str(n, ATTR_NAME), type_text(p->arena, n->type));
    }
}

static void print_summary(Pipeline *p)
{
    const char *parameters = short_number(p->arena, (double)pipeline_parameters(p));
    printf("%s: batch %lld, %s parameters\n", p->program->name, (long long)p->program->batch,
           parameters);
    for (uint32_t i = 0; p->frontend && i < p->frontend->parts.n; i++) {
        const PartInfo *part = &p->frontend->parts.at[i];
        printf("  %-7s %-24s %s\n", part->frozen ? "frozen" : "part", part->name,
               short_number(p->arena, (double)part->parameters));
    }
    Entry *e = program_find_entry(p->program, "step");
    const PlanEntry *plan = pipeline_entry(p, "step");
    if (!e || !plan) return;
    print_inputs(p, e);
    for (uint32_t i = 0; i < e->outputs.n; i++)
        printf("  output  %-24s %s\n", e->outputs.at[i].name,
               type_text(p->arena, graph_type(e->graph, e->outputs.at[i].node)));
    printf("  a step: %sFLOP, %sB of memory traffic, %sB of scratch memory\n",
           short_number(p->arena, (double)p->flops),
           short_number(p->arena, pipeline_traffic(p, plan)),
           short_number(p->arena, (double)plan->scratch_bytes));
    for (uint32_t i = 1; i < p->program->entries.n; i++) {
        const char *name = p->program->entries.at[i]->name;
        if (!is_phase(name)) continue;
        const PlanEntry *later = pipeline_entry(p, name);
        printf("  from update %s on (%s): %sB of memory traffic, %sB of scratch memory\n",
               name + strlen("step@"), name, short_number(p->arena, pipeline_traffic(p, later)),
               short_number(p->arena, (double)later->scratch_bytes));
    }
}

// The phases behind the first: {"step@24": {..}}.
static json_t *phases_json(Pipeline *p)
{
    json_t *phases = json_object();
    for (uint32_t i = 1; i < p->program->entries.n; i++) {
        const char *name = p->program->entries.at[i]->name;
        const PlanEntry *plan = pipeline_entry(p, name);
        if (!is_phase(name)) continue;
        json_object_set_new(phases, name,
                            json_pack("{s:f, s:I}", "bytes", pipeline_traffic(p, plan),
                                      "scratch_bytes", (json_int_t)plan->scratch_bytes));
    }
    return phases;
}

static void add_tensor(Pipeline *p, json_t *to, const char *name, const Type *type)
{
    json_object_set_new(to, name, json_string(type_text(p->arena, type)));
}

static void print_json(Pipeline *p)
{
    const PlanEntry *plan = pipeline_entry(p, "step");
    const Entry *e = program_find_entry(p->program, "step");
    json_t *inputs = json_object(), *outputs = json_object();
    for (NodeId id = 1; e && id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op == OP_INPUT && node_str(n, ATTR_NAME)[0] != '$')
            add_tensor(p, inputs, node_str(n, ATTR_NAME), n->type);
    }
    for (uint32_t i = 0; e && i < e->outputs.n; i++)
        add_tensor(p, outputs, e->outputs.at[i].name, graph_type(e->graph, e->outputs.at[i].node));
    json_t *parts = json_object(), *frozen = json_object();
    for (uint32_t i = 0; p->frontend && i < p->frontend->parts.n; i++) {
        const PartInfo *part = &p->frontend->parts.at[i];
        json_object_set_new(part->frozen ? frozen : parts, part->name,
                            json_integer(part->parameters));
    }
    json_t *o = json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:I, s:f, s:I}", "name",
                          p->program->name, "batch", (json_int_t)p->program->batch, "parameters",
                          (json_int_t)pipeline_parameters(p), "parts", parts, "frozen", frozen,
                          "inputs", inputs, "outputs", outputs, "flops", (json_int_t)p->flops,
                          "bytes", plan ? pipeline_traffic(p, plan) : 0.0, "scratch_bytes",
                          (json_int_t)(plan ? plan->scratch_bytes : 0));
    json_t *phases = phases_json(p);
    if (json_object_size(phases)) json_object_set(o, "phases", phases);
    json_decref(phases);
    json_dumpf(o, stdout, 0);
    putchar('\n');
    json_decref(o);
}

// Reading has looked at every entry; what is printed is of the step alone, and of its later phases.
static void keep_step(Program *p)
{
    uint32_t n = 0;
    if (!program_find_entry(p, "step")) return;
    for (uint32_t i = 0; i < p->entries.n; i++) {
        const char *name = p->entries.at[i]->name;
        if (strcmp(name, "step") == 0 || is_phase(name)) p->entries.at[n++] = p->entries.at[i];
    }
    p->entries.n = n;
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Pipeline p;
    FrontendOptions o = {.lib_dir = v->lib, .set = v->set.at, .nset = v->set.n};
    if (v->other && !v->diff)
        return fail_usage("check",
                          str_printf(cli->arena, "'%s' is one too many, but for --diff", v->other));
    if (v->diff) return graph_diff(cli, &(GraphDiff){v->other, v->file, &o, v->json});
    Error err = {0};
    if (v->fix && v->set.n)
        return fail_usage("check", "--fix mends what is written; it goes without --set");
    if (v->fix && !graph_fix(cli->arena, v->file, v->lib, &err)) return fail(&err);
    pipeline_begin(&p, cli->arena, 1);
    if (!pipeline_read(&p, v->file, &o)) return EXIT_INPUT;
    keep_step(p.program);
    if (!pipeline_passes(&p, &(PassOptions){.level = 1})) return EXIT_INPUT;
    if (v->json)
        print_json(&p);
    else
        print_summary(&p);
    return EXIT_OK;
}

const Command command_check = {
    "check",
    "report every error of a graph file, sum up its step, or compare it with another",
    options,
    sizeof options / sizeof *options,
    sizeof(Values),
    run,
};
