#include "steps.h"

#include "codegen/cpu.h"
#include "passes/lower.h"
#include "passes/pass.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SEED = 7, THREADS = 2 };

// ---- reading ----------------------------------------------------------------------------------

static Program *read_graph(Arena *arena, const Source *source, Error *err)
{
    Diag *diag = diag_new(arena);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib",
                         .set = source->set,
                         .nset = source->nset,
                         .use_check = source->check};
    Frontend *f = frontend_load(arena, diag, source->path, &o);
    if (f) return f->program;
    diag_print(diag, stderr);
    error_set(err, "%s is refused", source->path);
    return NULL;
}

static bool run_passes(Program *p, const PassOptions *options, Error *err)
{
    if (passes_run(p, options, err)) return true;
    diag_print(p->diag, stderr);
    return error_set(err, "%s: the passes refuse it", p->name);
}

// What comes out of the passes up to precision defines the results; the others keep them to the
// bit.
static bool first_passes(Program *p, Error *err)
{
    return run_passes(p, &(PassOptions){.level = 1, .stop_after = "precision"}, err);
}

// exact: sums in the order of docs/ir.md, so no products in matrix registers.
static CztProgram *compile(Arena *arena, Program *p, bool exact, Error *err)
{
    Cpu cpu;
    Blob blob;
    CompileStats stats;
    Section *sections;
    size_t size;
    CztError czt = {0};
    if (!run_passes(p, &(PassOptions){.list = "expand,dce,derive"}, err)) return NULL;
    if (!cpu_target(arena, NULL, &cpu, err)) return NULL;
    if (exact && cpu.target.matrix && !cpu_target(arena, cpu.level, &cpu, err)) return NULL;
    Plan *plan = plan_build(arena, p, &cpu.target, FUSE_ALL);
    if (!cpu_compile(arena, plan, &cpu, THREADS, &blob, &stats, err)) return NULL;
    Code code = cpu_code(arena, &cpu, plan, &blob);
    uint32_t n = step_sections(arena, p, plan, &code, &sections);
    const uint8_t *bytes = container_build(arena, sections, n, &size);
    CztOptions options = {.threads = THREADS};
    CztProgram *program = czt_load_memory(p->name, bytes, size, &options, &czt);
    if (!program) error_set(err, "%s: %s", p->name, czt.text);
    return program;
}

// ---- inputs -----------------------------------------------------------------------------------

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

// Boxes of 2 to 11 pixels a side, some of them outside of the view.
static void draw_boxes(uint64_t seed, int64_t n, float *data)
{
    for (int64_t i = 0; i + 4 <= n; i += 4) {
        for (int64_t k = 0; k < 2; k++) {
            data[i + k] = (float)(next(&seed) % 48) / 2.0f - 6.0f;
            data[i + k + 2] = data[i + k] + (float)(next(&seed) % 20) / 2.0f + 2.0f;
        }
    }
}

// Floats in [-1, 1), whole numbers that most tables of classes and tokens have, truth mostly true.
// They depend on the input's name alone, so they stay when other parts of a graph go.
static bool draw(const char *name, CztDtype dtype, int64_t bytes, void *data)
{
    uint64_t seed = hash_str(3, name);
    int64_t n = bytes / czt_dtype_size(dtype);
    const char *member = strrchr(name, '.');
    if (member && strcmp(member, ".xyxy") == 0) return draw_boxes(seed, n, data), true;
    for (int64_t i = 0; i < n; i++) {
        uint64_t r = next(&seed);
        switch (dtype) {
        case CZT_F32: ((float *)data)[i] = (float)(r % 4096) / 2048.0f - 1.0f; break;
        case CZT_I32: ((int32_t *)data)[i] = (int32_t)(r % 7); break;
        case CZT_I64: ((int64_t *)data)[i] = (int64_t)(r % 7); break;
        case CZT_U8: ((uint8_t *)data)[i] = (uint8_t)r; break;
        case CZT_BOOL: ((uint8_t *)data)[i] = r % 8 != 0; break;
        default: return false;
        }
    }
    return true;
}

static CztDtype dtype_of(DType dt)
{
    switch (dt) {
    case DT_F32: return CZT_F32;
    case DT_I32: return CZT_I32;
    case DT_I64: return CZT_I64;
    case DT_U8: return CZT_U8;
    case DT_BOOL: return CZT_BOOL;
    default: return CZT_DTYPE_COUNT;
    }
}

// The inputs of an entry, which sees one of so many parts of the rows that are drawn.
static bool draw_for_interpreter(Arena *arena, const Entry *e, int64_t step, int64_t parts,
                                 int64_t part, Map *inputs, Error *err)
{
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op != OP_INPUT) continue;
        const char *name = node_str(n, ATTR_NAME);
        int64_t bytes = type_bytes(n->type), whole = name[0] == '$' ? bytes : bytes * parts;
        char *data = arena_alloc(arena, (size_t)whole + 64);
        Tensor *t = arena_make(arena, Tensor);
        if (!draw(name, dtype_of(n->type->dtype), whole, data))
            return error_set(err, "cannot draw %s for %s", type_text(arena, n->type), name);
        *t = (Tensor){n->type, name[0] == '$' ? data : data + part * bytes};
        if (strcmp(name, "$step") == 0) *(int64_t *)t->data = step;
        if (strcmp(name, "$seed") == 0) *(int64_t *)t->data = SEED;
        if (strcmp(name, "$part") == 0) *(int64_t *)t->data = part;
        map_set(arena, inputs, name, t);
    }
    return true;
}

static void draw_for_cpu(Arena *arena, CztProgram *cpu, uint32_t entry, int64_t parts, int64_t part)
{
    for (uint32_t i = 0; i < czt_input_count(cpu, entry); i++) {
        const CztTensor *t = czt_input(cpu, entry, i);
        char *data = arena_alloc(arena, (size_t)(t->bytes * parts));
        draw(t->name, t->dtype, t->bytes * parts, data);
        memcpy(czt_input_data(cpu, entry, i), data + part * t->bytes, (size_t)t->bytes);
    }
}

// ---- both executors ---------------------------------------------------------------------------

typedef struct Round {
    const char *entry;
    int64_t step;
} Round;
enum { ROUNDS = 16 };
typedef struct Rounds {
    Round at[ROUNDS];
    int n;
} Rounds;

static void add_round(Rounds *r, const Program *p, const char *entry, int64_t step)
{
    if (r->n < ROUNDS && program_find_entry((Program *)p, entry))
        r->at[r->n++] = (Round){entry, step};
}

// Init, two steps, one of each other shape, the first of each later phase, evaluation: what of
// these the program has.
static Rounds rounds_of(Arena *arena, const Program *p)
{
    Rounds r = {.n = 0};
    add_round(&r, p, "init", 0);
    add_round(&r, p, "derive", 0);
    add_round(&r, p, "step", 0);
    add_round(&r, p, "step", 1);
    for (uint32_t i = 0; i < p->entries.n; i++) {
        const char *name = p->entries.at[i]->name, *at = strchr(name, '@');
        if (strncmp(name, "step/", 5) == 0 && !strchr(name, '.')) add_round(&r, p, name, 2);
        if (!at || strncmp(name, "step@", 5) != 0 || strchr(at, '.')) continue;
        add_round(&r, p, str_printf(arena, "begin%s", at), strtoll(at + 1, NULL, 10));
        add_round(&r, p, "refresh", 0);
        add_round(&r, p, name, strtoll(at + 1, NULL, 10));
    }
    add_round(&r, p, "refresh", 0);
    add_round(&r, p, "eval", 2);
    add_round(&r, p, "metrics", 2);
    return r;
}

// What the interpreter left after each round: "out:NAME" and "state:NAME" of what it changed.
typedef struct Record {
    Rounds rounds;
    Map results[ROUNDS];
} Record;

static Tensor *kept(Arena *arena, const Tensor *t)
{
    Tensor *copy = arena_make(arena, Tensor);
    *copy = (Tensor){t->type, arena_copy(arena, t->data, (size_t)type_bytes(t->type))};
    return copy;
}

// Results go to `arena`, those of `record` (which may be NULL) and the new state; what an entry
// needs on its way dies with it.
static bool interpret_entry(Arena *arena, const Entry *e, int64_t step, int64_t parts, int64_t part,
                            Map *state, Map *record, Error *err)
{
    Arena *scratch = arena_new();
    Map inputs = {0}, out = {0};
    bool ok = draw_for_interpreter(scratch, e, step, parts, part, &inputs, err) &&
              entry_eval(e, EVAL_BITS, &inputs, state, scratch, &out, err);
    for (uint32_t i = 0; ok && i < out.n; i++) {
        const char *key = str_copy(arena, out.at[i].key);
        Tensor *t = kept(arena, out.at[i].value);
        if (record) map_set(arena, record, key, t);
        if (strncmp(key, "state:", 6) == 0) map_set(arena, state, key + 6, t);
    }
    arena_free(scratch);
    return ok;
}

// Frozen state may come from files, which the runtime alone reads.
static bool take_frozen(Arena *arena, const Program *p, CztProgram *cpu, Map *state, Map *record,
                        Error *err)
{
    CztError czt = {0};
    bool ok = czt_init(cpu, SEED, &czt);
    for (uint32_t i = 0; ok && i < p->states.n; i++) {
        const StateVar *v = &p->states.at[i];
        size_t bytes = (size_t)type_bytes(v->type);
        if (v->kind != STATE_FROZEN) continue;
        Tensor *t = arena_make(arena, Tensor);
        *t = (Tensor){v->type, arena_alloc(arena, bytes + 1)};
        ok = czt_get_state(cpu, v->name, t->data, bytes, &czt);
        map_set(arena, state, v->name, t);
        map_set(arena, record, str_printf(arena, "state:%s", v->name), t);
    }
    return ok || error_set(err, "%s: %s", p->name, czt.text);
}

static bool interpret(Arena *arena, const Program *p, CztProgram *cpu, Record *record, Error *err)
{
    Map state = {0};
    for (uint32_t i = 0; i < p->states.n; i++) {
        const StateVar *v = &p->states.at[i];
        Tensor *zeros = arena_make(arena, Tensor);
        if (v->kind != STATE_TRANSIENT) continue;
        *zeros = (Tensor){v->type, arena_alloc(arena, (size_t)type_bytes(v->type) + 1)};
        memset(zeros->data, 0, (size_t)type_bytes(v->type));
        map_set(arena, &state, v->name, zeros);
    }
    record->rounds = rounds_of(arena, p);
    for (int r = 0; r < record->rounds.n; r++) {
        const Round *round = &record->rounds.at[r];
        const Entry *e = program_find_entry((Program *)p, round->entry);
        for (uint32_t i = 0; i < e->before.n; i++) {
            const Entry *first = program_find_entry((Program *)p, e->before.at[i].entry);
            int64_t parts = e->before.at[i].parts;
            for (int64_t part = 0; part < parts; part++)
                if (!interpret_entry(arena, first, round->step, parts, part, &state, NULL, err))
                    return false;
        }
        if (!interpret_entry(arena, e, round->step, 1, 0, &state, &record->results[r], err))
            return false;
        if (!r && !take_frozen(arena, p, cpu, &state, &record->results[r], err)) return false;
    }
    return true;
}

static bool same(const Tensor *want, const void *got, int64_t *first)
{
    int64_t n = type_count(want->type), size = dtype_size(want->type->dtype);
    for (int64_t i = 0; i < n; i++) {
        const char *x = (const char *)want->data + i * size, *y = (const char *)got + i * size;
        if (memcmp(x, y, (size_t)size) == 0) continue;
        bool f32 = want->type->dtype == DT_F32;
        if (f32 && isnan(*(const float *)x) && isnan(*(const float *)y)) continue;
        *first = i;
        return false;
    }
    return true;
}

static bool differs(const char *graph, const char *entry, const char *key, const Tensor *want,
                    const void *got, int64_t i, Error *err)
{
    double x = 0, y = 0;
    if (want->type->dtype == DT_F32)
        x = ((const float *)want->data)[i], y = ((const float *)got)[i];
    return error_set(err, "%s: %s: %s differs at element %lld: %.9g and %.9g", graph, entry, key,
                     (long long)i, x, y);
}

static const void *cpu_output(const CztProgram *cpu, uint32_t entry, const char *name)
{
    for (uint32_t i = 0; i < czt_output_count(cpu, entry); i++)
        if (strcmp(czt_output(cpu, entry, i)->name, name) == 0)
            return czt_output_data(cpu, entry, i);
    return NULL;
}

static bool compare_round(CztProgram *cpu, const char *graph, uint32_t entry, const Map *results,
                          Error *err)
{
    Arena *arena = arena_new();
    bool ok = true;
    for (uint32_t i = 0; ok && i < results->n; i++) {
        const char *key = results->at[i].key, *name = strchr(key, ':') + 1;
        const Tensor *want = results->at[i].value;
        const void *got = NULL;
        CztError czt = {0};
        int64_t at = 0;
        if (strncmp(key, "out:", 4) == 0) {
            got = cpu_output(cpu, entry, name);
            if (!got) ok = error_set(err, "%s: no output %s", graph, name);
        } else {
            size_t bytes = (size_t)type_bytes(want->type);
            void *copy = arena_alloc(arena, bytes + 1);
            if (!czt_get_state(cpu, name, copy, bytes, &czt)) ok = error_set(err, "%s", czt.text);
            got = copy;
        }
        if (ok && !same(want, got, &at))
            ok = differs(graph, czt_entry_name(cpu, entry), key, want, got, at, err);
    }
    arena_free(arena);
    return ok;
}

static bool compare(Arena *arena, CztProgram *cpu, const char *graph, const Record *record,
                    Error *err)
{
    CztError czt = {0};
    bool ok = true;
    for (int r = 0; ok && r < record->rounds.n; r++) {
        const Round *round = &record->rounds.at[r];
        int32_t entry = czt_entry_find(cpu, round->entry);
        if (entry < 0) return error_set(err, "%s: no entry %s", graph, round->entry);
        draw_for_cpu(arena, cpu, (uint32_t)entry, 1, 0);
        ok = r ? czt_run(cpu, (uint32_t)entry, round->step, SEED, &czt) : czt_init(cpu, SEED, &czt);
        if (!ok) error_set(err, "%s: %s", graph, czt.text);
        ok = ok && compare_round(cpu, graph, (uint32_t)entry, &record->results[r], err);
    }
    return ok;
}

bool steps_agree(const Source *source, Error *err)
{
    Arena *arena = arena_new();
    Record *record = arena_make(arena, Record);
    Program *p = read_graph(arena, source, err);
    Program *again = p ? read_graph(arena, source, err) : NULL; // compiling changes it
    CztProgram *cpu = again && first_passes(again, err) ? compile(arena, again, true, err) : NULL;
    bool ok = cpu && first_passes(p, err) && interpret(arena, p, cpu, record, err) &&
              compare(arena, cpu, source->path, record, err);
    czt_free(cpu);
    arena_free(arena);
    return ok;
}

Program *steps_program(Arena *arena, const Source *source)
{
    Error err = {0};
    Program *p = read_graph(arena, source, &err);
    bool ok = p && first_passes(p, &err) &&
              run_passes(p, &(PassOptions){.list = "expand,dce,derive"}, &err);
    cr_assert(ok, "%s", err.text);
    return p;
}

const Plan *steps_plan(Arena *arena, const Source *source, const Target *target)
{
    return plan_build(arena, steps_program(arena, source), target, FUSE_ALL);
}

// ---- the compiled one alone -------------------------------------------------------------------

Steps steps_open(const Source *source)
{
    Error err = {0};
    Steps s = {.arena = arena_new()};
    Program *p = read_graph(s.arena, source, &err);
    if (p && first_passes(p, &err)) s.cpu = compile(s.arena, p, false, &err);
    cr_assert(s.cpu, "%s", err.text);
    s.program = p;
    return s;
}

void steps_close(Steps *s)
{
    czt_free(s->cpu);
    arena_free(s->arena);
}

void steps_init(Steps *s)
{
    CztError err = {0};
    cr_assert(czt_init(s->cpu, SEED, &err), "%s", err.text);
}

void steps_run_part(Steps *s, const char *entry, int64_t i, int64_t parts, int64_t part)
{
    CztError err = {0};
    int32_t e = czt_entry_find(s->cpu, entry);
    cr_assert(e >= 0, "no entry %s", entry);
    draw_for_cpu(s->arena, s->cpu, (uint32_t)e, parts, part);
    cr_assert(czt_run(s->cpu, (uint32_t)e, i, SEED, &err), "%s", err.text);
}

void steps_run(Steps *s, const char *entry, int64_t i)
{
    steps_run_part(s, entry, i, 1, 0);
}

bool steps_has_output(const Steps *s, const char *entry, const char *name)
{
    int32_t e = czt_entry_find(s->cpu, entry);
    return e >= 0 && cpu_output(s->cpu, (uint32_t)e, name);
}

double steps_output(const Steps *s, const char *entry, const char *name)
{
    cr_assert(steps_has_output(s, entry, name), "no output %s", name);
    return *(const float *)cpu_output(s->cpu, (uint32_t)czt_entry_find(s->cpu, entry), name);
}

const void *steps_state(const Steps *s, const char *name, size_t *bytes)
{
    for (uint32_t i = 0; i < czt_state_count(s->cpu); i++) {
        const CztTensor *t = czt_state(s->cpu, i);
        if (strcmp(t->name, name) != 0) continue;
        CztError err = {0};
        *bytes = (size_t)t->bytes;
        void *copy = arena_alloc(s->arena, *bytes + 1);
        cr_assert(czt_get_state(s->cpu, name, copy, *bytes, &err), "%s", err.text);
        return copy;
    }
    return NULL;
}
