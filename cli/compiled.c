// A graph is always read: that is quick, finds its errors, and prints its warnings. All that comes
// after depends on what was read and on who compiles for what, so the cache's key is
//   this program and the libraries it is linked with, the target (codegen/backend.h), the passes;
//   every source by name and contents, because a step names its lines;
//   the program's text, which parses back to the same program, and the places of all its nodes.
// Options of the frontend, and files that it reads beside sources, are in the key by what they did.
// A step that passes warn of is not kept, since one from the cache is not warned of.
#include "cli/compiled.h"

#include "cli/cache.h"
#include "cli/ranges.h"

#include <jansson.h>
#include <stdlib.h>

static void put_bytes(FILE *to, const void *bytes, size_t size)
{
    fprintf(to, "%zu:", size);
    if (size) fwrite(bytes, 1, size, to);
}

static void put_text(FILE *to, const char *text)
{
    put_bytes(to, text ? text : "", text ? strlen(text) : 0);
}

static void put_sources(FILE *to, const Diag *diag)
{
    for (uint32_t i = 1; diag_source_path(diag, i); i++) {
        size_t size;
        const char *text = diag_source_text(diag, i, &size);
        put_text(to, diag_source_path(diag, i));
        put_bytes(to, text, size);
    }
}

static void put_places(FILE *to, const Program *program)
{
    for (uint32_t e = 0; e < program->entries.n; e++) {
        const Graph *g = program->entries.at[e]->graph;
        for (NodeId id = 1; id < g->nodes.n; id++) {
            const Node *n = graph_node(g, id);
            put_bytes(to, n->origins.at, n->origins.n * sizeof *n->origins.at);
        }
    }
}

// In the arena; NULL where the code cannot be made or the key not be written.
static const char *step_key(Pipeline *p, const PassOptions *passes, uint64_t program, size_t *size)
{
    const char *target = backend_identity(&p->backend, p->arena, p->threads);
    char *text = NULL;
    FILE *to = target ? open_memstream(&text, size) : NULL;
    if (!to) return NULL;
    fprintf(to, "step of a graph\n%016llx\nlevel %d\nstream %lld %lld\n",
            (unsigned long long)program, passes->level, (long long)passes->stream_above,
            (long long)passes->stream_piece);
    put_text(to, passes->skip);
    put_text(to, target);
    put_sources(to, p->diag);
    put_places(to, p->program);
    for (uint32_t i = 0; i < p->tokenizers.n; i++)
        fprintf(to, "%016llx\n", (unsigned long long)p->tokenizers.at[i].checksum);
    program_print(p->program, to);
    bool ok = !ferror(to);
    ok = fclose(to) == 0 && ok;
    const char *key = ok ? arena_copy(p->arena, text, *size) : NULL;
    free(text); // the stream's own allocation
    return key;
}

// ---- facts --------------------------------------------------------------------------------------

static int64_t segments(const PlanEntry *e)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < e->launches.n; i++) n += e->launches.at[i].segments.n;
    return n;
}

// Add what runs before the step in parts.
static void add_before(const Pipeline *p, const PlanEntry *e, StepFacts *f)
{
    int64_t parts;
    const PlanEntry *before;
    for (uint32_t i = 0; (before = pipeline_before(p, e, i, &parts)); i++) {
        f->calls += parts * segments(before);
        f->launches += parts * before->launches.n;
        f->input_bytes += before->input_bytes;
        if (before->unplanned_bytes > f->unplanned_bytes)
            f->unplanned_bytes = before->unplanned_bytes;
    }
    f->scratch_bytes = pipeline_scratch(p, e);
}

static StepFacts facts_of(const Pipeline *p)
{
    static const PlanEntry none;
    const PlanEntry *step = pipeline_entry(p, "step"), *e = step ? step : &none;
    StepFacts f = {.parameters = pipeline_parameters(p),
                   .nodes = p->after,
                   .kernels = p->plan->kernels.n,
                   .calls = segments(e),
                   .launches = e->launches.n,
                   .state_bytes = p->plan->state_bytes,
                   .scratch_bytes = e->scratch_bytes,
                   .unplanned_bytes = e->unplanned_bytes,
                   .input_bytes = e->input_bytes,
                   .output_bytes = e->output_bytes,
                   .code_bytes = (int64_t)p->code.size,
                   .recompute = p->recompute,
                   .label = p->code.label,
                   .remark = p->code.remark};
    if (step) add_before(p, step, &f);
    return f;
}

// As numbers in the order of the struct, then the texts.
enum { NUMBERS = offsetof(StepFacts, label) / sizeof(int64_t) };

static const char *facts_text(Arena *arena, const StepFacts *f)
{
    json_t *all = json_array();
    int64_t numbers[NUMBERS];
    memcpy(numbers, f, sizeof numbers);
    for (int i = 0; i < NUMBERS; i++) json_array_append_new(all, json_integer(numbers[i]));
    json_array_append_new(all, json_string(f->label));
    json_array_append_new(all, json_string(f->remark ? f->remark : ""));
    char *text = json_dumps(all, JSON_COMPACT);
    const char *copy = str_copy(arena, text ? text : "");
    free(text); // jansson's own allocation
    json_decref(all);
    return copy;
}

static bool facts_read(Arena *arena, const Section *s, StepFacts *f)
{
    json_error_t error;
    json_t *all = json_loadb(s->data, s->size, 0, &error);
    int64_t numbers[NUMBERS];
    bool ok = json_array_size(all) == NUMBERS + 2;
    for (int i = 0; ok && i < NUMBERS; i++)
        numbers[i] = json_integer_value(json_array_get(all, (size_t)i));
    if (ok) {
        const char *remark = json_string_value(json_array_get(all, NUMBERS + 1));
        memcpy(f, numbers, sizeof numbers);
        f->label = str_copy(arena, json_string_value(json_array_get(all, NUMBERS)));
        f->remark = *remark ? str_copy(arena, remark) : NULL;
    }
    json_decref(all);
    return ok;
}

// ---- steps --------------------------------------------------------------------------------------

static bool from_store(Pipeline *p, const CodeStore *store, const char *key, size_t key_size,
                       StepFile *out)
{
    Section *sections;
    uint32_t n;
    if (!store->get(store->ctx, p->arena, key, key_size, &sections, &n)) return false;
    const Section *step = container_find(sections, n, "step"),
                  *facts = container_find(sections, n, "facts");
    if (!step || !facts || !facts_read(p->arena, facts, &out->facts)) return false;
    out->bytes = step->data;
    out->size = step->size;
    return out->cached = true;
}

static bool make(Pipeline *p, const PassOptions *passes, StepFile *out)
{
    Section *sections;
    if (!pipeline_passes(p, passes) || !pipeline_emit(p)) return false;
    uint32_t n = pipeline_sections(p, &sections);
    ranges_add(p->arena, p->program, sections, n);
    tokenizers_add(p->arena, &p->tokenizers, &sections, &n);
    out->bytes = container_build(p->arena, sections, n, &out->size);
    out->facts = facts_of(p);
    return true;
}

bool compiled_step(Pipeline *p, const char *file, const FrontendOptions *options,
                   const PassOptions *passes, StepFile *out)
{
    Cache cache = {0};
    size_t key_size = 0;
    *out = (StepFile){0};
    if (!p->no_cache) cache_open(&cache, p->arena); // before libraries are loaded for the target
    const CodeStore store = cache_store(&cache);
    if (!pipeline_read(p, file, options) || !pipeline_target(p)) return false;
    const char *key = cache.folder ? step_key(p, passes, cache.program, &key_size) : NULL;
    if (key && from_store(p, &store, key, key_size, out)) {
        pipeline_phase(p, "cache");
        return true;
    }
    uint32_t told = p->told;
    p->backend.store = &store;
    if (!make(p, passes, out)) return false;
    p->backend.store = NULL;
    const char *text = facts_text(p->arena, &out->facts);
    const Section sections[] = {{"step", out->bytes, out->size}, {"facts", text, strlen(text)}};
    if (key && p->told == told) store.put(store.ctx, key, key_size, sections, 2);
    return true;
}
