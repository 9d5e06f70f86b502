// The pipeline: frontend or IR parser, passes, code. Errors of the user's file are
// printed here, so that callers only need to know whether it went well.
#include "cli/pipeline.h"

#include "base/container.h"
#include "base/file.h"
#include "cli/assets.h"
#include "cli/fit.h"
#include "cli/ranges.h"
#include "cli/weights.h"
#include "runtime/cuda_driver.h"

#include <unistd.h>

void pipeline_begin(Pipeline *p, Arena *arena, uint32_t threads)
{
    *p = (Pipeline){
        .arena = arena, .diag = diag_new(arena), .threads = threads, .since = seconds_now()};
    if (!threads) p->threads = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
}

void pipeline_phase(Pipeline *p, const char *name)
{
    double now = seconds_now();
    vec_push(p->arena, &p->phases, (Phase){name, now - p->since});
    p->since = now;
}

// Print warnings and errors, where there are new ones; false where there is an error.
static bool report(Pipeline *p, const Error *err)
{
    if (diag_messages(p->diag) > p->told) diag_print(p->diag, stderr);
    p->told = diag_messages(p->diag);
    if (err && err->set)
        fail(err);
    else if (!diag_errors(p->diag))
        return true;
    return false;
}

// What is to be compiled must be a regular file, and no step file, which is compiled.
static bool check_file(const char *file, Error *err)
{
    FileMap map;
    if (!file_map(&map, file, err)) return false;
    bool step = container_present(map.data, map.size);
    file_unmap(&map);
    return !step || error_set(err,
                              "%s: this is a step file, compiled already; run, train, bench, eval "
                              "and describe take it, other commands want its graph file",
                              file);
}

static Program *read_ir(Pipeline *p, const char *file, Error *err)
{
    FileMap map;
    if (!file_map(&map, file, err)) return NULL;
    const char *text = str_slice(p->arena, (const char *)map.data, map.size);
    Program *program = program_parse(p->arena, p->diag, diag_source(p->diag, file, text, map.size));
    file_unmap(&map);
    return program;
}

// Before the passes a step holds its forward part and grad nodes; the backward part does twice the
// work.
static int64_t step_flops(const Pipeline *p, const Entry *e)
{
    const bool *live = entry_live(e, p->arena);
    int64_t sum = 0, grads = 0;
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        if (!live[id]) continue;
        sum += node_flops(e->graph, graph_node(e->graph, id));
        grads += graph_node(e->graph, id)->op == OP_GRAD;
    }
    return grads ? 3 * sum : sum;
}

static uint32_t step_nodes(Pipeline *p)
{
    Entry *e = program_find_entry(p->program, "step");
    return e ? e->graph->nodes.n - 1 : 0;
}

FrontendOptions pipeline_options(const Source *source)
{
    return (FrontendOptions){.lib_dir = source->lib,
                             .set = source->set.at,
                             .nset = source->set.n,
                             .set_in = source->set_in.at,
                             .nset_in = source->set_in.n,
                             .use_check = source->check};
}

bool pipeline_read(Pipeline *p, const char *file, const FrontendOptions *options)
{
    Error err = {0};
    size_t n = strlen(file);
    if (!check_file(file, &err)) return report(p, &err);
    if (n > 3 && strcmp(file + n - 3, ".ir") == 0) {
        p->program = read_ir(p, file, &err);
    } else {
        FrontendOptions o = *options;
        if (!o.lib_dir) o.lib_dir = assets_library(p->arena, &err);
        p->frontend = err.set ? NULL : frontend_load(p->arena, p->diag, file, &o);
        p->program = p->frontend ? p->frontend->program : NULL;
        if (p->frontend) {
            p->tokenizers = tokenizers_read(p->arena, p->diag, p->frontend, !o.use_check);
            ranges_check(p->arena, p->diag, p->frontend);
            if (o.all) weights_check(p->arena, p->diag, p->frontend);
        }
    }
    if (!report(p, &err)) return false;
    if (!p->program) bug("%s: neither a program nor an error", file);
    if (p->memory) p->program->memory = p->memory;
    for (uint32_t i = 0; i < p->program->entries.n; i++) {
        const Entry *e = p->program->entries.at[i];
        if (strncmp(e->name, "step", 4) == 0)
            vec_push(p->arena, &p->work, (EntryWork){e->name, step_flops(p, e)});
    }
    p->flops = pipeline_flops(p, "step");
    p->before = step_nodes(p);
    pipeline_phase(p, "read");
    return true;
}

// "cuda" alone: the architecture of this machine's GPU, the one that will run it.
static const char *this_gpu(Pipeline *p, Error *err)
{
    CudaDriver driver;
    CudaDevice d;
    const char *name = NULL;
    if (!cuda_driver_open(&driver, err)) return NULL;
    if (cuda_device_open(&driver, p->device, &d, err))
        name = str_printf(p->arena, "cuda:%s", cuda_architecture(p->arena, &d));
    cuda_driver_close(&driver);
    return name;
}

static bool choose_target(Pipeline *p, Error *err)
{
    if (p->backend.target) return true;
    if (p->target && strcmp(p->target, "cuda") == 0) {
        Error none = {0}, list = {0};
        if (!(p->target = this_gpu(p, &none))) {
            backend_open(p->arena, "cuda", &p->backend, &list);
            return error_set(err,
                             "--target cuda is the GPU of this machine: %s. For a GPU elsewhere "
                             "%s",
                             none.text, list.text);
        }
    }
    return backend_open(p->arena, p->target, &p->backend, err);
}

bool pipeline_target(Pipeline *p)
{
    Error err = {0};
    return choose_target(p, &err) || report(p, &err);
}

static bool in_parts(const Program *p)
{
    for (uint32_t i = 0; i < p->entries.n; i++)
        if (p->entries.at[i]->before.n) return true;
    return false;
}

static const PlanEntry *largest_entry(const Plan *plan)
{
    const PlanEntry *most = &plan->entries.at[0];
    for (uint32_t i = 1; i < plan->entries.n; i++)
        if (plan->entries.at[i].scratch_bytes > most->scratch_bytes) most = &plan->entries.at[i];
    return most;
}

// What to do where a plan of so many bytes is too large.
static const char *memory_mend(const Pipeline *p, const PlanEntry *largest, int64_t bytes)
{
    int64_t limit = p->program->memory, state = p->plan->state_bytes;
    bool parts = in_parts(p->program);
    if (limit <= state) return "the state alone is too large";
    double share = (double)(limit - state) / (double)(bytes - state);
    const Graph *g = program_find_entry(p->program, largest->name)->graph;
    int64_t fits = (int64_t)((double)(parts ? p->program->batch : g->batch) * share);
    if (fits < 1) return "no batch would fit";
    return str_printf(p->arena,
                      "a batch of about %lld would fit, or this one in %sparts (accumulate)",
                      (long long)fits, parts ? "more " : "");
}

// A limit above so many bytes, in a few digits.
static const char *limit_above(Arena *a, int64_t bytes)
{
    const bool large = bytes > 10000000000;
    const double unit = large ? 1e9 : bytes > 10000000 ? 1e6 : 1e3;
    return str_printf(a, "%.0f %s", (double)(int64_t)((double)bytes / unit) + 1,
                      large        ? "GB"
                      : unit > 1e3 ? "MB"
                                   : "kB");
}

// That the plan does not keep to the limit: at the limit's place, where the graph file says it.
static bool too_large(Pipeline *p, const char *text, int64_t bytes, Error *err)
{
    const MemoryInfo said = p->frontend && !p->memory ? p->frontend->memory : (MemoryInfo){0};
    if (!said.value.source) return error_set(err, "train.memory: %s", text);
    const char *limit = limit_above(p->arena, bytes);
    diag_error(p->diag, said.value, "%s", text);
    diag_help(p->diag,
              said.entry.source ? "write memory: %s, or leave out 'memory'" : "write memory: %s",
              limit);
    diag_mend(p->diag, said.value, limit);
    if (said.entry.source) diag_mend(p->diag, said.entry, "");
    return false;
}

// Does the plan keep to the limit that the program has? `all`: all passes ran.
static bool check_memory(Pipeline *p, bool all, Error *err)
{
    int64_t bytes = plan_bytes(p->plan, p->backend.target), limit = p->program->memory,
            state = p->plan->state_bytes;
    const PlanEntry *e = largest_entry(p->plan);
    Arena *a = p->arena;
    if (!limit || bytes <= limit) return true;
    const char *text = str_printf(
        a,
        "a step takes %sB at least: state %sB, %s %sB, inputs and outputs %sB; the "
        "limit is %sB. %s: %s",
        short_number(a, (double)bytes), short_number(a, (double)state), e->name,
        short_number(a, (double)e->scratch_bytes),
        short_number(a, (double)(bytes - state - e->scratch_bytes)), short_number(a, (double)limit),
        !all           ? "A pass is left out"
        : p->recompute ? "All that can be is computed again already"
                       : "Nothing is smaller for being computed again",
        memory_mend(p, e, bytes));
    return too_large(p, text, bytes, err);
}

bool pipeline_passes(Pipeline *p, const PassOptions *options)
{
    Error err = {0};
    if (!choose_target(p, &err)) return report(p, &err);
    Lowering lowering = {.arena = p->arena, .target = p->backend.target, .mask = FUSE_ALL};
    PassOptions o = *options;
    o.lowering = &lowering;
    bool good = fit_passes(p->program, &o, &p->recompute, &err);
    if (!report(p, &err)) return false;
    if (!good) bug("passes failed without an error");
    p->plan = lowering.planned ? lowering.plan : NULL;
    bool all = !o.list && !o.stop_after && !o.skip;
    if (p->plan && !check_memory(p, all, &err)) return report(p, &err);
    p->after = step_nodes(p);
    pipeline_phase(p, "passes");
    return true;
}

bool pipeline_emit(Pipeline *p)
{
    Error err = {0};
    if (!p->plan) {
        error_set(&err, "there is no plan to make code of: pass memplan was left out");
        return report(p, &err);
    }
    if (!backend_takes(&p->backend, p->arena, p->program)) return report(p, &err);
    if (!backend_compile(&p->backend, p->arena, p->plan, p->threads, &p->code, &p->stats, &err))
        return report(p, &err);
    pipeline_phase(p, "code");
    return true;
}

uint32_t pipeline_sections(Pipeline *p, Section **sections)
{
    return step_sections(p->arena, p->program, p->plan, &p->code, sections);
}

int64_t pipeline_flops(const Pipeline *p, const char *name)
{
    for (uint32_t i = 0; i < p->work.n; i++)
        if (strcmp(p->work.at[i].name, name) == 0) return p->work.at[i].flops;
    return 0;
}

const PlanEntry *pipeline_entry(const Pipeline *p, const char *name)
{
    for (uint32_t i = 0; i < p->plan->entries.n; i++)
        if (strcmp(p->plan->entries.at[i].name, name) == 0) return &p->plan->entries.at[i];
    return NULL;
}

const PlanEntry *pipeline_before(const Pipeline *p, const PlanEntry *e, uint32_t i, int64_t *parts)
{
    const Entry *entry = program_find_entry(p->program, e->name);
    if (i >= entry->before.n) return NULL;
    *parts = entry->before.at[i].parts;
    return pipeline_entry(p, entry->before.at[i].entry);
}

int64_t pipeline_scratch(const Pipeline *p, const PlanEntry *e)
{
    int64_t most = e->scratch_bytes, parts;
    const PlanEntry *before;
    for (uint32_t i = 0; (before = pipeline_before(p, e, i, &parts)); i++)
        if (before->scratch_bytes > most) most = before->scratch_bytes;
    return most;
}

double pipeline_traffic(const Pipeline *p, const PlanEntry *e)
{
    double sum = 0;
    int64_t parts;
    const PlanEntry *before;
    for (uint32_t i = 0; (before = pipeline_before(p, e, i, &parts)); i++)
        sum += (double)parts * pipeline_traffic(p, before);
    for (uint32_t i = 0; i < e->launches.n; i++)
        for (uint32_t s = 0; s < e->launches.at[i].segments.n; s++)
            sum += (double)p->plan->kernels.at[e->launches.at[i].segments.at[s].kernel]->bytes;
    return sum;
}

int64_t pipeline_parameters(const Pipeline *p)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < p->program->states.n; i++)
        if (p->program->states.at[i].kind == STATE_PARAM)
            n += type_count(p->program->states.at[i].type);
    return n;
}
