// A graph file goes through the whole pipeline into the bytes of a step file.
#include "cli/graph.h"

#include "base/file.h"
#include "cli/assets.h"
#include "cli/compiled.h"

static FrontendOptions frontend_options(const GraphOptions *g)
{
    FrontendOptions f = pipeline_options(&g->source);
    f.taps = g->taps;
    f.ntaps = g->ntaps;
    f.nprints = g->nprints;
    f.tap_entry = g->tap_entry;
    f.stats = g->stats;
    f.stats_names = g->stats_names;
    f.nstats = g->nstats;
    f.grads = g->grads;
    return f;
}

static bool is_below(const char *path, const char *folder)
{
    size_t n = folder ? strlen(folder) : 0;
    return n && strncmp(path, folder, n) == 0 && path[n] == '/';
}

// Is it a text of --set: that alone, or in the folder that it was given in?
static bool is_set(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash ? slash + 1 : path, "--set") == 0;
}

// What was read but the library inside the program, and but --set.
static SourceFiles sources_of(const Pipeline *p, const char *lib)
{
    Error none = {0};
    SourceFiles all = {0};
    const char *path, *own = lib ? NULL : assets_library(p->arena, &none);
    for (uint32_t i = 1; (path = diag_source_path(p->diag, i)); i++) {
        size_t size;
        const char *text = diag_source_text(p->diag, i, &size);
        if (is_set(path) || is_below(path, own)) continue;
        path = path_whole(p->arena, path);
        vec_push(p->arena, &all, ((SourceFile){path, checksum_bytes(text, size)}));
    }
    return all;
}

// A run that is compiled again is so of the same files: one that has come since, such as one beside
// the graph with the name of a library file, would change it unseen.
static bool is_known(const SourceFile *read, const LoadOptions *o)
{
    for (uint32_t i = 0; i < o->of.n; i++)
        if (strcmp(o->of.at[i].path, read->path) == 0 && o->of.at[i].sum == read->sum) return true;
    fail_text("%s: the run was not compiled of it; %s", read->path, o->instead);
    return false;
}

static bool are_known(const SourceFiles *read, const LoadOptions *o)
{
    for (uint32_t i = 0; o->instead && i < read->n; i++)
        if (!is_known(&read->at[i], o)) return false;
    return true;
}

static bool compile(Compiled *out, Arena *arena, const LoadOptions *o)
{
    Pipeline p;
    FrontendOptions f = frontend_options(&o->graph);
    pipeline_begin(&p, arena, (uint32_t)o->place.threads);
    p.target = o->place.target;
    p.device = (int)o->place.device;
    p.no_cache = o->graph.source.no_cache;
    StepFile step;
    if (!compiled_step(&p, o->file, &f, &(PassOptions){.level = 1}, &step)) return false;
    *out = (Compiled){.bytes = step.bytes,
                      .size = step.size,
                      .flops = (double)p.flops,
                      .sources = sources_of(&p, f.lib_dir)};
    return are_known(&out->sources, o);
}

// Relative, of the first loss, which was recorded in f64. Operands in bf16 are off by 2^-9 at most,
// those in tf32 by 2^-12, and the loss is a mean over many of them.
static double check_tolerance(const Program *p)
{
    Precision coarsest = program_coarsest(p);
    return coarsest == PRECISION_BF16 ? 1e-2 : coarsest == PRECISION_TF32 ? 1e-3 : 1e-5;
}

static bool check(LoadCheck *out, Arena *arena, const LoadOptions *o)
{
    Pipeline p;
    FrontendOptions f = frontend_options(&o->graph);
    pipeline_begin(&p, arena, 1);
    if (!pipeline_read(&p, o->file, &f)) return false;
    const Frontend *read = p.frontend;
    *out = (LoadCheck){0};
    if (read && read->has_check && read->check.has_loss)
        *out = (LoadCheck){read->check.fixture, read->check.loss, check_tolerance(p.program)};
    return true;
}

static bool data(const char **json, Arena *arena, const LoadOptions *o)
{
    Pipeline p;
    FrontendOptions f = frontend_options(&o->graph);
    pipeline_begin(&p, arena, 1);
    if (!pipeline_read(&p, o->file, &f)) return false;
    *json = p.program->data_json;
    SourceFiles read = sources_of(&p, f.lib_dir);
    return are_known(&read, o);
}

const Compiler graph_compiler = {compile, check, data, backend_named};
