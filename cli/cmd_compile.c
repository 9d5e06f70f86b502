// cztc compile: a graph file to a step file, or to an executable that carries it.
#include "cli/compiled.h"
#include "cli/output.h"
#include "runner/folders.h"

#include <errno.h>
#include <jansson.h>
#include <unistd.h>

typedef struct Values {
    const char *file, *out, *target, *dump_after, *dump_dir, *skip, *memory;
    Source source;
    int64_t threads, stream_above, stream_piece;
    bool json, time_passes, dump_kernels;
} Values;

static const Option options[] = {
    {"FILE", 0, OPTION_OPERAND, offsetof(Values, file), NULL,
     "a graph file (.yaml) or IR text (.ir)"},
    {"output", 'o', OPTION_TEXT, offsetof(Values, out), "OUT",
     "NAME.czt: a step file; other names: an executable; none: nothing"},
    SOURCE_OPTIONS(Values),
    CHECK_OPTION(Values),
    CACHE_OPTION(Values),
    {"target", 0, OPTION_TARGET, offsetof(Values, target), "T",
     "cpu (or cpu:x86-64-v3, -v4, -v4+amx: any of that level), cuda (this machine's GPU), "
     "cuda:sm_90a"},
    {"threads", 0, OPTION_THREADS, offsetof(Values, threads), "N", "that compile (one a core)"},
    {"skip", 0, OPTION_TEXT, offsetof(Values, skip), "A,B", "passes to leave out"},
    {"memory", 0, OPTION_TEXT, offsetof(Values, memory), "SIZE",
     "compute values again so that a step takes no more, such as 16GiB (train.memory)"},
    {"stream-above", 0, OPTION_NUMBER, offsetof(Values, stream_above), "BYTES",
     "pass stream: products of as many bytes are cut (64 MiB)"},
    {"stream-piece", 0, OPTION_NUMBER, offsetof(Values, stream_piece), "BYTES",
     "pass stream: bytes of a piece (16 MiB, or the largest that each piece walks over)"},
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

static void print_phases(const Pipeline *p, bool cached, double seconds)
{
    printf("time        ");
    for (uint32_t i = 0; i < p->phases.n; i++)
        printf("%s %.2f s, ", p->phases.at[i].name, p->phases.at[i].seconds);
    printf("in all %.2f s\n", seconds);
    if (cached) return;
    printf("  code      emit %.2f s, optimise %.2f s, generate %.2f s, link %.2f s (summed over %u "
           "threads)\n",
           p->stats.emit_s, p->stats.optimise_s, p->stats.codegen_s, p->stats.link_s, p->threads);
}

static void print_report(const Pipeline *p, const StepFile *step, double seconds)
{
    const StepFacts *f = &step->facts;
    Arena *a = p->arena;
    printf("parameters  %s\n", short_number(a, (double)f->parameters));
    printf("a step      %sFLOP\n", short_number(a, (double)p->flops));
    printf("nodes       %u, after the passes %lld\n", p->before, (long long)f->nodes);
    printf("kernels     %lld distinct in all entries; a step calls %lld in %lld launches\n",
           (long long)f->kernels, (long long)f->calls, (long long)f->launches);
    printf("memory      state %sB, scratch %sB (%sB unplanned), inputs %sB, outputs %sB\n",
           short_number(a, (double)f->state_bytes), short_number(a, (double)f->scratch_bytes),
           short_number(a, (double)f->unplanned_bytes), short_number(a, (double)f->input_bytes),
           short_number(a, (double)f->output_bytes));
    if (f->recompute)
        printf("            %lld of %d parts of what the backward part wants are computed again\n",
               (long long)f->recompute, RECOMPUTE_ALL);
    printf("code        %sB for %s%s\n", short_number(a, (double)f->code_bytes), f->label,
           step->cached ? " (from the cache)" : "");
    if (f->remark) printf("            %s\n", f->remark);
    print_phases(p, step->cached, seconds);
}

static void print_json(const Pipeline *p, const StepFile *step, double seconds)
{
    const StepFacts *f = &step->facts;
    json_t *phases = json_object();
    for (uint32_t i = 0; i < p->phases.n; i++)
        json_object_set_new(phases, p->phases.at[i].name, json_real(p->phases.at[i].seconds));
    json_t *o = json_pack(
        "{s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:f, s:o}", "parameters",
        (json_int_t)f->parameters, "flops", (json_int_t)p->flops, "nodes", (int)p->before,
        "nodes_after", (json_int_t)f->nodes, "kernels", (json_int_t)f->kernels, "calls",
        (json_int_t)f->calls, "launches", (json_int_t)f->launches, "state_bytes",
        (json_int_t)f->state_bytes, "scratch_bytes", (json_int_t)f->scratch_bytes,
        "unplanned_bytes", (json_int_t)f->unplanned_bytes, "code_bytes", (json_int_t)f->code_bytes,
        "recompute", (json_int_t)f->recompute, "cached", (int)step->cached, "seconds", seconds,
        "phases", phases);
    json_dumpf(o, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(o);
}

static bool write_step(Pipeline *p, const char *path, const StepFile *step, Error *err)
{
    Section *sections;
    uint32_t n;
    return container_read(p->arena, path, step->bytes, step->size, &sections, &n, err) &&
           output_write(path, sections, n, err);
}

// Before a compilation that may take minutes.
static bool may_write(Pipeline *p, const Values *v, Error *err)
{
    const char *slash = v->out ? strrchr(v->out, '/') : NULL,
               *folder = slash ? str_slice(p->arena, v->out, (size_t)(slash - v->out) + 1) : ".";
    if (v->out && access(folder, W_OK | X_OK) != 0)
        return error_set(err, "%s: cannot create it: %s", v->out, strerror(errno));
    return !v->dump_dir || make_folders(p->arena, v->dump_dir, err);
}

static int run(Cli *cli, const void *values)
{
    const Values *v = values;
    Pipeline p;
    Error err = {0};
    pipeline_begin(&p, cli->arena, (uint32_t)v->threads);
    p.target = v->target;
    if (v->memory && !bytes_read(v->memory, &p.memory))
        return fail_usage("compile", str_printf(p.arena,
                                                "--memory: '%s' is no size, such as 16GiB "
                                                "or 24e9",
                                                v->memory));
    if (!may_write(&p, v, &err)) return fail(&err);
    // A step from the cache has passed through no pass that could be shown.
    p.no_cache =
        v->source.no_cache || v->dump_after || v->dump_dir || v->time_passes || v->dump_kernels;
    FrontendOptions f = pipeline_options(&v->source);
    PassOptions passes = {.level = 1,
                          .skip = v->skip,
                          .stream_above = v->stream_above,
                          .stream_piece = v->stream_piece,
                          .dump_after = v->dump_after,
                          .dump_dir = v->dump_dir,
                          .time = v->time_passes};
    StepFile step;
    if (!compiled_step(&p, v->file, &f, &passes, &step)) return EXIT_INPUT;
    if (v->dump_kernels) dump_kernels(&p, v->json ? stderr : stdout);
    if (v->out && !write_step(&p, v->out, &step, &err)) return fail(&err);
    pipeline_phase(&p, "write");
    if (v->json)
        print_json(&p, &step, seconds_now() - cli->start);
    else
        print_report(&p, &step, seconds_now() - cli->start);
    return EXIT_OK;
}

const Command command_compile = {
    "compile",      "compile a graph file to a step file or an executable",
    options,        sizeof options / sizeof *options,
    sizeof(Values), run,
};
