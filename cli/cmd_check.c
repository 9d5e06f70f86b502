// cztc check: is a graph file right, and what would its step be.
#include "cli/assets.h"
#include "cli/graph_diff.h"
#include "cli/graph_fix.h"
#include "cli/graph_params.h"
#include "passes/lower.h"

#include <jansson.h>

typedef struct Values {
    const char *file, *other;
    Source source;
    bool diff, fix, params, json;
} Values;

static const Option options[] = {
    {"FILE", 0, OPTION_OPERAND, offsetof(Values, file), NULL,
     "a graph file or library file (.yaml), or IR text (.ir)"},
    {"OTHER", 0, OPTION_MAYBE, offsetof(Values, other), NULL,
     "with --diff: a graph file to compare with; default: the one that FILE extends"},
    {"diff", 0, OPTION_FLAG, offsetof(Values, diff), NULL,
     "what FILE changes of another graph: keys, and figures of the step"},
    {"fix", 0, OPTION_FLAG, offsetof(Values, fix), NULL,
     "write the mends of errors that have just one into FILE; others are printed"},
    {"params", 0, OPTION_FLAG, offsetof(Values, params), NULL,
     "what each parameter gets: its optimiser and settings, rows of groups:, when it rests"},
    SOURCE_OPTIONS(Values),
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "print one JSON object"},
};

// ", of 256000 tokens", where a tokenizer's file says so.
static const char *vocabulary(const Pipeline *p, const char *input)
{
    int32_t n = tokenizers_size(p->frontend, &p->tokenizers, input);
    return n ? str_printf(p->arena, ", of %d tokens", n) : "";
}

static void print_inputs(const Pipeline *p, const Entry *e)
{
    const EntryInputs inputs = entry_inputs(p->program, e, p->arena);
    for (uint32_t i = 0; i < inputs.n; i++)
        printf("  input   %-24s %s%s\n", inputs.at[i].name, type_text(p->arena, inputs.at[i].type),
               vocabulary(p, inputs.at[i].name));
}

// An update's entry, of any phase and shape (step, step@800, step-4, step@800/2), and no part of
// one (step.backward).
static bool is_update(const Entry *e)
{
    return !strncmp(e->name, "step", 4) && strchr("@-/", e->name[4]) && !strchr(e->name, '.');
}

// Of a later phase, or with less.
static bool is_phase(const Entry *e)
{
    return is_update(e) && (e->name[4] == '@' || e->name[4] == '-');
}

// Of that shape? The first one's names have no suffix.
static bool is_of_shape(const Entry *e, const char *suffix)
{
    const char *own = strchr(e->name, '/');
    return strcmp(own ? own : "", suffix) == 0;
}

// What a step in parts of its batch runs, and how much of that has to see the whole batch.
static void print_parts(const Pipeline *p, const PlanEntry *step)
{
    int64_t parts, of_parts = 0, of_batch = step->scratch_bytes;
    const PlanEntry *e;
    for (uint32_t i = 0; (e = pipeline_before(p, step, i, &parts)); i++) {
        int64_t *most = parts > 1 ? &of_parts : &of_batch;
        if (e->scratch_bytes > *most) *most = e->scratch_bytes;
        printf("    %s, %lld time%s: %sB of memory traffic, %sB of scratch memory\n", e->name,
               (long long)parts, parts == 1 ? "" : "s",
               short_number(p->arena, pipeline_traffic(p, e)),
               short_number(p->arena, (double)e->scratch_bytes));
    }
    if (of_parts && of_batch > of_parts)
        printf(
            "    note: what depends on more than one sample takes more memory than a part, as it "
            "is of the whole batch\n");
}

static void print_memory(Pipeline *p, const PlanEntry *e)
{
    printf("%sB of memory traffic, %sB of scratch memory\n",
           short_number(p->arena, pipeline_traffic(p, e)),
           short_number(p->arena, (double)pipeline_scratch(p, e)));
    print_parts(p, e);
}

static void print_phases(Pipeline *p, const char *suffix)
{
    for (uint32_t i = 0; i < p->program->entries.n; i++) {
        const Entry *e = p->program->entries.at[i];
        if (!is_phase(e) || !is_of_shape(e, suffix)) continue;
        size_t n = strlen(e->name) - strlen(suffix);
        const char *name = str_slice(p->arena, e->name, n), *rest = strchr(name, '-');
        if (rest)
            printf("  without what is of every %s (%s): ", rest + 1, e->name);
        else
            printf("  from update %s on (%s): ", name + strlen("step@"), e->name);
        print_memory(p, pipeline_entry(p, e->name));
    }
}

static void print_shape(Pipeline *p, const ShapeInfo *s)
{
    const char *name = str_printf(p->arena, "step%s", s->suffix);
    printf("  shape   %s", s->text);
    if (s->weight != 1) printf(", weight %g", s->weight);
    printf(" (%s)", name);
    if (!*s->suffix) {
        printf(": the step above\n");
        return;
    }
    printf(": %sFLOP, ", short_number(p->arena, (double)pipeline_flops(p, name)));
    print_memory(p, pipeline_entry(p, name));
    print_phases(p, s->suffix);
}

// What the limit of memory counts.
static void print_limit(const Pipeline *p)
{
    if (!p->program->memory) return;
    printf("  memory: %sB of %sB, %sB of it state",
           short_number(p->arena, (double)plan_bytes(p->plan, p->backend.target)),
           short_number(p->arena, (double)p->program->memory),
           short_number(p->arena, (double)p->plan->state_bytes));
    if (p->recompute)
        printf("; %lld of %d parts of what the backward part wants are computed again",
               (long long)p->recompute, RECOMPUTE_ALL);
    printf("\n");
}

// "bf16", or "f32, bf16" where parts of the part say their own.
static const char *precisions_text(Arena *arena, uint32_t precisions)
{
    const char *text = "";
    for (int p = PRECISION_F32; p < PRECISIONS; p++)
        if (precisions >> p & 1)
            text =
                str_printf(arena, "%s%s%s", text, *text ? ", " : "", precision_name((Precision)p));
    return text;
}

// Of a part's products; "" where it has none, or where all products of the graph are f32.
static const char *part_precision(const Pipeline *p, const char *part)
{
    const Frontend *f = p->frontend;
    const char *own = "";
    uint32_t all = 0;
    for (uint32_t i = 0; i < f->products.n; i++) {
        const PartProducts *of = &f->products.at[i];
        all |= of->precisions;
        if (strcmp(of->part, part) == 0) own = precisions_text(p->arena, of->precisions);
    }
    return all == 1u << PRECISION_F32 ? "" : own;
}

static bool has_parameters(const Frontend *f, const char *part)
{
    for (uint32_t i = 0; i < f->parts.n; i++)
        if (strcmp(f->parts.at[i].name, part) == 0) return true;
    return false;
}

static void print_entry(const char *kind, const char *name, const char *count,
                        const char *precision)
{
    if (*precision)
        printf("  %-7s %-24s %-8s products in %s\n", kind, name, count, precision);
    else
        printf("  %-7s %-24s %s\n", kind, name, count);
}

// Parts by their parameters and the precision of their products; those that have the latter alone
// come behind.
static void print_entries(const Pipeline *p)
{
    const Frontend *f = p->frontend;
    for (uint32_t i = 0; i < f->parts.n; i++) {
        const PartInfo *part = &f->parts.at[i];
        print_entry(part->frozen ? "frozen" : "part", part->name,
                    short_number(p->arena, (double)part->parameters),
                    part_precision(p, part->name));
    }
    for (uint32_t i = 0; i < f->products.n; i++) {
        const char *name = f->products.at[i].part, *precision = part_precision(p, name);
        if (*precision && !has_parameters(f, name)) print_entry("part", name, "", precision);
    }
}

static void print_summary(Pipeline *p)
{
    const char *parameters = short_number(p->arena, (double)pipeline_parameters(p));
    printf("%s: batch %lld, %s parameters\n", p->program->name, (long long)p->program->batch,
           parameters);
    if (p->frontend) print_entries(p);
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
           short_number(p->arena, (double)pipeline_scratch(p, plan)));
    print_parts(p, plan);
    print_phases(p, "");
    for (uint32_t i = 0; p->frontend && i < p->frontend->shapes.n; i++)
        print_shape(p, &p->frontend->shapes.at[i]);
    print_limit(p);
}

// The phases behind the first: {"step@24": {..}}.
static json_t *phases_json(Pipeline *p)
{
    json_t *phases = json_object();
    for (uint32_t i = 0; i < p->program->entries.n; i++) {
        const char *name = p->program->entries.at[i]->name;
        const PlanEntry *plan = pipeline_entry(p, name);
        if (!is_phase(p->program->entries.at[i])) continue;
        json_object_set_new(phases, name,
                            json_pack("{s:f, s:I}", "bytes", pipeline_traffic(p, plan),
                                      "scratch_bytes", (json_int_t)pipeline_scratch(p, plan)));
    }
    return phases;
}

// Null where there is one shape.
static json_t *shapes_json(Pipeline *p)
{
    uint32_t n = p->frontend ? p->frontend->shapes.n : 0;
    json_t *shapes = n ? json_array() : NULL;
    for (uint32_t i = 0; i < n; i++) {
        const ShapeInfo *s = &p->frontend->shapes.at[i];
        const char *name = str_printf(p->arena, "step%s", s->suffix);
        const PlanEntry *plan = pipeline_entry(p, name);
        json_array_append_new(shapes,
                              json_pack("{s:s, s:s, s:I, s:f, s:I, s:f, s:I}", "shape", s->text,
                                        "entry", name, "batch", (json_int_t)s->batch, "weight",
                                        s->weight, "flops", (json_int_t)pipeline_flops(p, name),
                                        "bytes", pipeline_traffic(p, plan), "scratch_bytes",
                                        (json_int_t)pipeline_scratch(p, plan)));
    }
    return shapes;
}

static void add_tensor(Pipeline *p, json_t *to, const char *name, const Type *type)
{
    json_object_set_new(to, name, json_string(type_text(p->arena, type)));
}

// {"step.backward": {"runs": 8, ..}}
static void add_parts(const Pipeline *p, json_t *to, const PlanEntry *step)
{
    int64_t parts;
    json_t *all = json_object();
    const PlanEntry *e;
    for (uint32_t i = 0; (e = pipeline_before(p, step, i, &parts)); i++)
        json_object_set_new(all, e->name,
                            json_pack("{s:I, s:f, s:I}", "runs", (json_int_t)parts, "bytes",
                                      pipeline_traffic(p, e), "scratch_bytes",
                                      (json_int_t)e->scratch_bytes));
    if (json_object_size(all)) json_object_set(to, "before", all);
    json_decref(all);
}

// {"visual": "bf16", "losses.pair": "f32"}: of every part that has products.
static json_t *precision_json(const Pipeline *p)
{
    json_t *all = json_object();
    for (uint32_t i = 0; i < p->frontend->products.n; i++) {
        const PartProducts *of = &p->frontend->products.at[i];
        json_object_set_new(all, of->part, json_string(precisions_text(p->arena, of->precisions)));
    }
    return all;
}

static void print_json(Pipeline *p)
{
    const PlanEntry *plan = pipeline_entry(p, "step");
    const Entry *e = program_find_entry(p->program, "step");
    json_t *inputs = json_object(), *outputs = json_object();
    const EntryInputs given = e ? entry_inputs(p->program, e, p->arena) : (EntryInputs){0};
    for (uint32_t i = 0; i < given.n; i++)
        add_tensor(p, inputs, given.at[i].name, given.at[i].type);
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
                          (json_int_t)(plan ? pipeline_scratch(p, plan) : 0));
    if (p->frontend) json_object_set_new(o, "precision", precision_json(p));
    json_t *phases = phases_json(p);
    if (json_object_size(phases)) json_object_set(o, "phases", phases);
    json_decref(phases);
    json_t *shapes = shapes_json(p);
    if (shapes) json_object_set_new(o, "shapes", shapes);
    if (plan) add_parts(p, o, plan);
    json_dumpf(o, stdout, 0);
    putchar('\n');
    json_decref(o);
}

// Reading has looked at every entry; what is printed is of the step alone, in its phases and
// shapes. A limit of memory is of all.
static void keep_step(Program *p)
{
    uint32_t n = 0;
    if (p->memory || !program_find_entry(p, "step")) return;
    for (uint32_t i = 0; i < p->entries.n; i++) {
        if (is_update(p->entries.at[i])) p->entries.at[n++] = p->entries.at[i];
    }
    p->entries.n = n;
}

// A library file alone: its own errors, and what it defines.
static int check_library(Cli *cli, const Values *v)
{
    Error err = {0};
    Diag *diag = diag_new(cli->arena);
    FrontendOptions o = {.lib_dir = v->source.lib};
    LibraryInfo info;
    if (v->params || v->diff || v->source.set.n)
        return fail_usage("check", "a library file goes without --set, --diff and --params");
    if (v->fix && !graph_fix(cli->arena, v->file, v->source.lib, &err)) return fail(&err);
    if (!o.lib_dir) o.lib_dir = assets_library(cli->arena, &err);
    if (err.set) return fail(&err);
    bool good = frontend_check_library(cli->arena, diag, v->file, &o, &info);
    diag_print(diag, stderr);
    if (!good) return EXIT_INPUT;
    if (v->json)
        printf("{\"modules\": %u, \"functions\": %u, \"constants\": %u}\n", info.modules,
               info.functions, info.constants);
    else
        printf("%s, a library file: modules %u, functions %u, constants %u\n", v->file,
               info.modules, info.functions, info.constants);
    return EXIT_OK;
}

// The reduced size of check: is read too, so that what is wrong in its rows is told before a test
// wants it. Changes of --set are of the whole, and may take away what the rows are about; so may a
// file that extends the one with the rows.
static bool reads_reduced(const Pipeline *p, const Values *v, const FrontendOptions *whole)
{
    FrontendOptions o = *whole;
    Error err = {0};
    if (!p->frontend || !p->frontend->has_check || !p->frontend->check.own || v->source.set.n)
        return true;
    Diag *diag = diag_new(p->arena);
    o.use_check = true;
    if (!o.lib_dir) o.lib_dir = assets_library(p->arena, &err);
    if (frontend_load(p->arena, diag, v->file, &o)) return true;
    diag_print(diag, stderr);
    fail_text("%s: these errors are at the reduced size of check:", v->file);
    return false;
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    if (frontend_is_library(cli->arena, v->file)) return check_library(cli, v);
    Pipeline p;
    FrontendOptions o = pipeline_options(&v->source);
    o.all = true;
    if (v->other && !v->diff)
        return fail_usage("check",
                          str_printf(cli->arena, "'%s' is one too many, but for --diff", v->other));
    if (v->diff) return graph_diff(cli, &(GraphDiff){v->other, v->file, &o, v->json});
    Error err = {0};
    if (v->fix && v->source.set.n)
        return fail_usage("check", "--fix mends what is written; it goes without --set");
    if (v->fix && !graph_fix(cli->arena, v->file, v->source.lib, &err)) return fail(&err);
    pipeline_begin(&p, cli->arena, 1);
    if (!pipeline_read(&p, v->file, &o) || !reads_reduced(&p, v, &o)) return EXIT_INPUT;
    if (v->params) {
        if (!p.frontend) return fail_usage("check", "--params is of graph files");
        graph_params(p.arena, p.frontend, v->json);
        return EXIT_OK;
    }
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
