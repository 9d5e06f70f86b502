// cztc compile: a graph file to a step file, or to an executable that carries it.
#include "cli/output.h"
#include "cli/ranges.h"

#include <jansson.h>

typedef struct Values {
    const char *file, *lib, *out, *target, *dump_after, *dump_dir, *skip;
    Texts set;
    int64_t threads, level;
    bool json, time_passes, dump_kernels;
} Values;

static const Option options[] = {
    {"FILE", 0, OPTION_OPERAND, offsetof(Values, file), NULL,
     "a graph file (.yaml) or IR text (.ir)"},
    {"output", 'o', OPTION_TEXT, offsetof(Values, out), "OUT",
     "NAME.czt: a step file; other names: an executable; none: nothing"},
    {"set", 0, OPTION_TEXTS, offsetof(Values, set), "K=V",
     "change a value of the file; globs allowed"},
    {"lib", 0, OPTION_TEXT, offsetof(Values, lib), "DIR",
     "library files instead of the built-in ones"},
    {"target", 0, OPTION_TEXT, offsetof(Values, target), "T",
     "cpu (or cpu:x86-64-v3, cpu:x86-64-v4: any of that level), cuda (this machine's GPU), "
     "cuda:sm_90a"},
    {"threads", 0, OPTION_THREADS, offsetof(Values, threads), "N", "that compile (one a core)"},
    {"skip", 0, OPTION_TEXT, offsetof(Values, skip), "A,B", "passes to leave out"},
    {"memory", 0, OPTION_COUNT, offsetof(Values, level), "0|1",
     "1: recompute cheap values to save memory"},
    {"dump-after", 0, OPTION_TEXT, offsetof(Values, dump_after), "A,B",
     "print what these passes made on stderr: program, groups, plan"},
    {"dump-dir", 0, OPTION_TEXT, offsetof(Values, dump_dir), "DIR",
     "write the same after every pass, in numbered files"},
    {"time-passes", 0, OPTION_FLAG, offsetof(Values, time_passes), NULL,
     "print each pass's time and what it made (on stderr)"},
    {"dump-kernels", 0, OPTION_FLAG, offsetof(Values, dump_kernels), NULL, "print every kernel"},
    {"json", 0, OPTION_FLAG, offsetof(Values, json), NULL, "print one JSON object"},
};

static void dump_kernels(const Pipeline *p, FILE *out)
{
    for (uint32_t i = 0; i < p->plan->kernels.n; i++) {
        const Kernel *k = p->plan->kernels.at[i];
        fprintf(out, "# kernel %u %s: %lld tasks, %sFLOP, %sB\n%s\n", i, k->name,
                (long long)k->tasks, short_number(p->arena, (double)k->flops),
                short_number(p->arena, (double)k->bytes), kernel_text(p->arena, k));
    }
}

static uint32_t segments(const PlanEntry *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->launches.n; i++) n += e->launches.at[i].segments.n;
    return n;
}

static void print_phases(const Pipeline *p, double seconds)
{
    printf("time        ");
    for (uint32_t i = 0; i < p->phases.n; i++)
        printf("%s %.2f s, ", p->phases.at[i].name, p->phases.at[i].seconds);
    printf("in all %.2f s\n", seconds);
    printf("  code      emit %.2f s, optimise %.2f s, generate %.2f s, link %.2f s (summed over %u "
           "threads)\n",
           p->stats.emit_s, p->stats.optimise_s, p->stats.codegen_s, p->stats.link_s, p->threads);
}

static void print_report(const Pipeline *p, double seconds)
{
    static const PlanEntry none;
    const PlanEntry *e = pipeline_entry(p, "step");
    if (!e) e = &none;
    Arena *a = p->arena;
    printf("parameters  %s\n", short_number(a, (double)pipeline_parameters(p)));
    printf("a step      %sFLOP\n", short_number(a, (double)p->flops));
    printf("nodes       %u, after the passes %u\n", p->before, p->after);
    printf("kernels     %u distinct in all entries; a step calls %u in %u launches\n",
           p->plan->kernels.n, segments(e), e->launches.n);
    printf("memory      state %sB, scratch %sB (%sB unplanned), inputs %sB, outputs %sB\n",
           short_number(a, (double)p->plan->state_bytes), short_number(a, (double)e->scratch_bytes),
           short_number(a, (double)e->unplanned_bytes), short_number(a, (double)e->input_bytes),
           short_number(a, (double)e->output_bytes));
    printf("code        %sB for %s\n", short_number(a, (double)p->code.size), p->code.label);
    if (p->code.remark) printf("            %s\n", p->code.remark);
    print_phases(p, seconds);
}

static void print_json(const Pipeline *p, double seconds)
{
    static const PlanEntry none;
    const PlanEntry *e = pipeline_entry(p, "step");
    if (!e) e = &none;
    json_t *phases = json_object();
    for (uint32_t i = 0; i < p->phases.n; i++)
        json_object_set_new(phases, p->phases.at[i].name, json_real(p->phases.at[i].seconds));
    json_t *o =
        json_pack("{s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:f, s:o}", "parameters",
                  (json_int_t)pipeline_parameters(p), "flops", (json_int_t)p->flops, "nodes",
                  (int)p->before, "nodes_after", (int)p->after, "kernels", (int)p->plan->kernels.n,
                  "calls", (int)segments(e), "launches", (int)e->launches.n, "state_bytes",
                  (json_int_t)p->plan->state_bytes, "scratch_bytes", (json_int_t)e->scratch_bytes,
                  "unplanned_bytes", (json_int_t)e->unplanned_bytes, "code_bytes",
                  (json_int_t)p->code.size, "seconds", seconds, "phases", phases);
    json_dumpf(o, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(o);
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Pipeline p;
    Error err = {0};
    if (v->level > 1) {
        fprintf(stderr, "cztc compile: --memory: '%lld' is neither 0 nor 1\n", (long long)v->level);
        return EXIT_USAGE;
    }
    pipeline_begin(&p, cli->arena, (uint32_t)v->threads);
    p.target = v->target;
    FrontendOptions f = {.lib_dir = v->lib, .set = v->set.at, .nset = v->set.n};
    PassOptions passes = {.level = v->level ? 2 : 1,
                          .skip = v->skip,
                          .dump_after = v->dump_after,
                          .dump_dir = v->dump_dir,
                          .time = v->time_passes};
    if (!pipeline_all(&p, v->file, &f, &passes)) return EXIT_INPUT;
    if (v->dump_kernels) dump_kernels(&p, v->json ? stderr : stdout);
    Section *sections;
    uint32_t n = pipeline_sections(&p, &sections);
    ranges_add(p.arena, p.program, sections, n);
    if (v->out && !output_write(v->out, sections, n, &err)) return fail(&err);
    pipeline_phase(&p, "write");
    if (v->json)
        print_json(&p, seconds_now() - cli->start);
    else
        print_report(&p, seconds_now() - cli->start);
    return EXIT_OK;
}

const Command command_compile = {
    "compile",      "compile a graph file to a step file or an executable",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
