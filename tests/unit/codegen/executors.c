#include "executors.h"

#include "base/file.h"
#include "base/processor.h"
#include "fence.h"
#include "ir/scalar.h"
#include "passes/pass.h"
#include "runtime/cztc.h"
#include "runtime/safetensors.h"
#include "runtime/step.h"

#include "tests/support/asked.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>

// Of bf16 in matrix registers, see Trial.tolerance.
#define MATRIX_PRODUCT 0x1p-18
#define MATRIX_ATTENTION 0x1p-7

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

// ---- inputs
// ----------------------------------------------------------------------------------------------

// A narrow float: any bits at all in one of 16 places (denormals, infinities, NaNs), else as f32.
static uint16_t narrow_number(DType dt, uint64_t r, bool odd)
{
    float x = (float)(r % 4096) / 1024.0f - 2.0f;
    if (odd) return (uint16_t)(r >> 8);
    switch (dt) {
    case DT_BF16: return f32_to_bf16(x);
    case DT_F16: return f32_to_f16(x);
    case DT_F8E4M3: return f32_to_f8e4m3(x);
    default: return f32_to_f8e5m2(x);
    }
}

static float special_number(uint64_t r)
{
    static const uint32_t low_nan = 0x7f800001; // without its low half it would be an infinity
    float x, at[] = {NAN, INFINITY, -INFINITY, -0.0f, 0.0f, 1e30f, -3e38f, 1e-40f, 88.9f, -104.0f};
    memcpy(&x, &low_nan, sizeof x);
    uint64_t i = r % (sizeof at / sizeof *at + 1);
    return i ? at[i - 1] : x;
}

// Values that show errors of place and order: floats in [-2, 2), small integers.
static bool draw(const Type *type, void *data, uint64_t seed, bool special, Error *err)
{
    int64_t n = type_count(type);
    for (int64_t i = 0; i < n; i++) {
        uint64_t r = next(&seed);
        bool odd = special && next(&seed) % 16 == 0;
        switch (type->dtype) {
        case DT_F32:
            ((float *)data)[i] = odd ? special_number(r) : (float)(r % 4096) / 1024.0f - 2.0f;
            break;
        case DT_BF16:
        case DT_F16: ((uint16_t *)data)[i] = narrow_number(type->dtype, r, odd); break;
        case DT_F8E4M3:
        case DT_F8E5M2: ((uint8_t *)data)[i] = (uint8_t)narrow_number(type->dtype, r, odd); break;
        case DT_I32:
            ((int32_t *)data)[i] = odd ? (r % 2 ? INT32_MAX : INT32_MIN) : (int32_t)(r % 7) - 1;
            break;
        case DT_I64:
            ((int64_t *)data)[i] = odd ? (r % 2 ? INT64_MAX : INT64_MIN) : (int64_t)(r % 5);
            break;
        case DT_U32: ((uint32_t *)data)[i] = (uint32_t)r; break;
        case DT_I8:
        case DT_U8: ((uint8_t *)data)[i] = (uint8_t)r; break;
        case DT_BOOL: ((uint8_t *)data)[i] = r & 1; break;
        default: return error_set(err, "cannot draw %s", dtype_name(type->dtype));
        }
    }
    return true;
}

// Values depend on the name alone, so that they stay when other parts of a program go.
static bool draw_into(Arena *arena, Map *map, const char *name, const Type *type, bool special,
                      Error *err)
{
    Tensor *t = arena_make(arena, Tensor);
    *t = (Tensor){type, arena_alloc(arena, (size_t)type_bytes(type) + 64)};
    if (!draw(type, t->data, hash_str(11, name), special, err)) return false;
    if (strcmp(name, "$step") == 0) *(int64_t *)t->data = 3;
    if (strcmp(name, "$seed") == 0) *(int64_t *)t->data = 7;
    map_set(arena, map, name, t);
    return true;
}

// Between neighbouring numbers, relative.
static double step_of(DType dt)
{
    switch (dt) {
    case DT_BF16: return 0x1p-7;
    case DT_F16: return 0x1p-10;
    case DT_F8E4M3: return 0x1p-3;
    case DT_F8E5M2: return 0x1p-2;
    default: return 0;
    }
}

// ---- one entry: what it is given and what must come out
// ---------------------------------------------------

typedef struct Case {
    Arena *arena;
    const char *name;
    const Program *program;
    const Entry *entry;
    uint32_t which;
    double tolerance; // of results, see Trial; 0: to the bit
    Map inputs, state, out;
    Map first; // results of the first run of this code: all of its runs give the same bits
} Case;

static bool is_derived(const char *state)
{
    return strncmp(state, "$derived.", 9) == 0;
}

// Put in what entry "derive", made by a pass, gives from the state of the case.
static bool add_derived(Case *c, Error *err)
{
    const Entry *derive = program_find_entry((Program *)c->program, "derive");
    Map out = {0};
    if (!derive) return true;
    if (!entry_eval(derive, EVAL_BITS, &c->inputs, &c->state, c->arena, &out, err)) return false;
    for (uint32_t i = 0; i < out.n; i++)
        map_set(c->arena, &c->state, out.at[i].key + strlen("state:"), out.at[i].value);
    return true;
}

static bool prepare(Case *c, bool special, Error *err)
{
    const Program *p = c->program;
    for (uint32_t i = 0; i < p->states.n; i++)
        if (!draw_into(c->arena, &c->state, p->states.at[i].name, p->states.at[i].type, special,
                       err))
            return false;
    for (NodeId id = 1; id < c->entry->graph->nodes.n; id++) {
        const Node *n = graph_node(c->entry->graph, id);
        if (n->op != OP_INPUT || map_get(&c->inputs, node_str(n, ATTR_NAME))) continue;
        if (!draw_into(c->arena, &c->inputs, node_str(n, ATTR_NAME), n->type, special, err))
            return false;
    }
    return add_derived(c, err) &&
           entry_eval(c->entry, EVAL_BITS, &c->inputs, &c->state, c->arena, &c->out, err);
}

// The result of that name; of entry "derive" also what pass derive added to it later.
static const Tensor *wanted(const Case *c, const char *what)
{
    const Tensor *want = map_get(&c->out, what);
    return want ? want : map_get(&c->state, what + strlen("state:"));
}

static double number_at(DType dt, const void *data, int64_t i)
{
    switch (dt) {
    case DT_F32: return ((const float *)data)[i];
    case DT_BF16: return bf16_to_f32(((const uint16_t *)data)[i]);
    case DT_F16: return f16_to_f32(((const uint16_t *)data)[i]);
    case DT_F8E4M3: return f8e4m3_to_f32(((const uint8_t *)data)[i]);
    case DT_F8E5M2: return f8e5m2_to_f32(((const uint8_t *)data)[i]);
    case DT_I32: return ((const int32_t *)data)[i];
    default: return 0;
    }
}

// Does the case's entry multiply bf16, or with `tf32` numbers rounded to that?
static bool multiplies(const Entry *e, bool tf32)
{
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op == OP_DOT && (tf32 ? node_precision(n) == PRECISION_TF32
                                     : graph_type(e->graph, n->args[0])->dtype == DT_BF16))
            return true;
    }
    return false;
}

// Does it attend in bf16, with heads of that size or more?
static bool attends_bf16(const Entry *e, int64_t least)
{
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (op_info(n->op)->class != CLASS_ATTENTION) continue;
        const Type *q = graph_type(e->graph, n->args[0]);
        if (q->dtype == DT_BF16 && q->axes[q->rank - 1].size >= least) return true;
    }
    return false;
}

// By how much elements of the tensor may be off, but for the rounding of a narrow float.
static double allowance(const Case *c, const Tensor *want)
{
    double largest = 0;
    if (isinf(c->tolerance)) return INFINITY;
    if (!c->tolerance || !dtype_is_float(want->type->dtype)) return 0;
    for (int64_t i = 0; i < type_count(want->type); i++) {
        double x = fabs(number_at(want->type->dtype, want->data, i));
        if (isfinite(x) && x > largest) largest = x;
    }
    return largest * c->tolerance;
}

static bool agree(DType dt, const void *want, const void *got, int64_t i, double allowed)
{
    int64_t size = dtype_size(dt);
    if (memcmp((const char *)want + i * size, (const char *)got + i * size, (size_t)size) == 0 ||
        isinf(allowed))
        return true;
    if (dt != DT_F32 && !dtype_is_narrow(dt)) return false;
    double x = number_at(dt, want, i), y = number_at(dt, got, i);
    if (isnan(x) && isnan(y)) return true;
    if (!allowed) return false;
    allowed += fabs(x) * step_of(dt);
    return fabs(x - y) <= allowed;
}

static bool same_again(Case *c, const char *how, const char *what, const void *got, int64_t bytes,
                       Error *err)
{
    const void *first = map_get(&c->first, what);
    if (!first) map_set(c->arena, &c->first, what, arena_copy(c->arena, got, (size_t)bytes));
    if (!first || !c->tolerance || memcmp(first, got, (size_t)bytes) == 0) return true;
    return error_set(err, "%s: %s: %s: not the bits of the run before", c->name, how, what);
}

static bool compare(Case *c, const char *how, const char *what, const void *got, Error *err)
{
    const Tensor *want = wanted(c, what);
    DType dt = want->type->dtype;
    int64_t n = type_count(want->type), wrong = 0, first = -1;
    double allowed = allowance(c, want);
    for (int64_t i = 0; i < n; i++) {
        if (agree(dt, want->data, got, i, allowed)) continue;
        if (first < 0) first = i;
        wrong++;
    }
    if (!wrong) return same_again(c, how, what, got, type_bytes(want->type), err);
    return error_set(err, "%s: %s: %s: %lld of %lld elements differ, first %lld: %.9g and %.9g",
                     c->name, how, what, (long long)wrong, (long long)n, (long long)first,
                     number_at(dt, want->data, first), number_at(dt, got, first));
}

// ---- the runtime
// ------------------------------------------------------------------------------------------

static bool run_loaded(Case *c, const char *how, CztProgram *program, Error *err)
{
    CztError czt = {0};
    for (uint32_t i = 0; i < c->state.n; i++) {
        const Tensor *t = c->state.at[i].value;
        if (is_derived(c->state.at[i].key)) continue;
        if (!czt_set_state(program, c->state.at[i].key, t->data, (size_t)type_bytes(t->type), &czt))
            return error_set(err, "%s", czt.text);
    }
    if (!czt_derive(program, &czt)) return error_set(err, "%s: %s", c->name, czt.text);
    uint32_t entry = (uint32_t)czt_entry_find(program, c->entry->name);
    for (uint32_t i = 0; i < czt_input_count(program, entry); i++) {
        const CztTensor *t = czt_input(program, entry, i);
        const Tensor *from = map_get(&c->inputs, t->name);
        memcpy(czt_input_data(program, entry, i), from->data, (size_t)t->bytes);
    }
    if (!czt_run(program, entry, 3, 7, &czt)) return error_set(err, "%s: %s", c->name, czt.text);
    for (uint32_t i = 0; i < czt_output_count(program, entry); i++) {
        const char *key = str_printf(c->arena, "out:%s", czt_output(program, entry, i)->name);
        if (!compare(c, how, key, czt_output_data(program, entry, i), err)) return false;
    }
    for (uint32_t i = 0; i < c->entry->updates.n; i++) {
        const char *key = str_printf(c->arena, "state:%s", c->entry->updates.at[i].name);
        const Tensor *want = wanted(c, key);
        void *got = arena_alloc(c->arena, (size_t)type_bytes(want->type) + 1);
        if (!czt_get_state(program, c->entry->updates.at[i].name, got,
                           (size_t)type_bytes(want->type), &czt))
            return error_set(err, "%s", czt.text);
        if (!compare(c, how, key, got, err)) return false;
    }
    return true;
}

static bool run_threads(Case *cases, uint32_t ncases, const uint8_t *bytes, size_t size,
                        uint32_t threads, Error *err)
{
    CztError czt = {0};
    CztProgram *program =
        czt_load_memory(cases->name, bytes, size, &(CztOptions){.threads = threads}, &czt);
    if (!program) return error_set(err, "%s: %s", cases->name, czt.text);
    const char *how = str_printf(cases->arena, "%u threads", threads);
    bool ok = true;
    for (uint32_t i = 0; ok && i < ncases; i++) ok = run_loaded(&cases[i], how, program, err);
    czt_free(program);
    return ok;
}

// ---- fences
// -----------------------------------------------------------------------------------------------

static bool run_fenced(Case *c, const Plan *plan, const Blob *blob, const Engine *engine,
                       void *unit, bool at_end, Error *err)
{
    const char *how = engine ? engine->name : at_end ? "fence behind" : "fence before";
    Fence *f = fence_new(plan, c->which, blob, at_end);
    for (uint32_t i = 0; i < c->state.n; i++) {
        const Tensor *t = c->state.at[i].value;
        memcpy(fence_find(f, BLOCK_STATE, c->state.at[i].key), t->data,
               (size_t)type_bytes(t->type));
    }
    for (uint32_t i = 0; i < c->inputs.n; i++) {
        const Tensor *t = c->inputs.at[i].value;
        void *to = fence_find(f, BLOCK_INPUT, c->inputs.at[i].key);
        if (to) memcpy(to, t->data, (size_t)type_bytes(t->type));
    }
    bool ok = fence_run_on(f, engine, unit, err);
    for (uint32_t i = 0; ok && i < c->entry->outputs.n; i++) {
        const char *name = c->entry->outputs.at[i].name;
        ok = compare(c, how, str_printf(c->arena, "out:%s", name),
                     fence_find(f, BLOCK_OUTPUT, name), err);
    }
    for (uint32_t i = 0; ok && i < c->entry->updates.n; i++) {
        const char *name = c->entry->updates.at[i].name;
        ok = compare(c, how, str_printf(c->arena, "state:%s", name),
                     fence_find(f, BLOCK_STATE, name), err);
    }
    fence_free(f);
    return ok;
}

// ---- a trial
// ----------------------------------------------------------------------------------------------

// The passes in two halves: what comes out of the first defines the results, which the second must
// keep to the bit.
static bool run_passes(const char *name, Program *p, int level, bool first, Error *err)
{
    Error why = {0};
    PassOptions options = {.level = level, .stop_after = "stream"};
    size_t size;
    asked_for(diag_source_text(p->diag, 1, &size), &options);
    if (!first)
        options = (PassOptions){.list = level > 1 ? "expand,dce,derive,save" : "expand,dce,derive"};
    if (passes_run(p, &options, &why)) return true;
    if (!why.set) diag_print(p->diag, stderr);
    return error_set(err, "%s: %s", name, why.set ? why.text : "the passes refuse it");
}

static bool run_on(Arena *arena, Program *p, Case *cases, uint32_t ncases, const Trial *trial,
                   const Cpu *cpu, Error *err)
{
    Blob blob;
    CompileStats stats;
    Section *sections;
    size_t size;
    if (cpu->target.matrix && !processor_lends_tiles())
        return error_set(err, "there are no tile registers here");
    Plan *plan = plan_build(arena, p, &cpu->target, trial->mask);
    if (getenv("CZT_KERNELS"))
        for (uint32_t i = 0; i < plan->kernels.n; i++)
            fprintf(stderr, "%s\n", kernel_text(arena, plan->kernels.at[i]));
    if (!cpu_compile(arena, plan, cpu, 4, &blob, &stats, err)) return false;
    for (uint32_t i = 0; i < ncases; i++) cases[i].first = (Map){0};
    for (uint32_t i = 0; trial->fenced && i < ncases; i++)
        if (!run_fenced(&cases[i], plan, &blob, NULL, NULL, true, err) ||
            !run_fenced(&cases[i], plan, &blob, NULL, NULL, false, err))
            return false;
    Code code = cpu_code(arena, cpu, plan, &blob);
    uint32_t n = step_sections(arena, p, plan, &code, &sections);
    const uint8_t *bytes = container_build(arena, sections, n, &size);
    for (const uint32_t *t = trial->threads; *t; t++)
        if (!run_threads(cases, ncases, bytes, size, *t, err)) return false;
    return true;
}

// On what this CPU has; where that has an order of its own for products of bf16, also without.
static bool run_compiled(Arena *arena, Program *p, Case *cases, uint32_t ncases, const Trial *trial,
                         Error *err)
{
    Cpu cpu;
    bool matrix = false;
    if (!cpu_target(arena, getenv("CZT_CPU"), &cpu, err)) return false;
    for (uint32_t i = 0; cpu.target.matrix && i < ncases; i++) {
        bool attends = attends_bf16(cases[i].entry, 1),
             products = multiplies(cases[i].entry, false);
        cases[i].tolerance = attends ? MATRIX_ATTENTION : products ? MATRIX_PRODUCT : 0;
        if (trial->exact && cases[i].tolerance) cases[i].tolerance = INFINITY;
        matrix |= attends || products;
    }
    if (matrix) {
        if (!run_on(arena, p, cases, ncases, trial, &cpu, err)) return false;
        if (!cpu_target(arena, cpu.level, &cpu, err)) return false;
    }
    for (uint32_t i = 0; i < ncases; i++) cases[i].tolerance = 0;
    return run_on(arena, p, cases, ncases, trial, &cpu, err);
}

static bool run_engine(Arena *arena, Program *p, Case *cases, uint32_t ncases, const Trial *trial,
                       Error *err)
{
    const Engine *engine = trial->engine;
    const Plan *plan = plan_build(arena, p, &engine->target, trial->mask);
    void *unit = engine->compile(arena, plan, err);
    bool good = unit != NULL;
    for (uint32_t i = 0; good && i < ncases; i++)
        good = run_fenced(&cases[i], plan, NULL, engine, unit, true, err);
    if (unit) engine->close(unit);
    return good;
}

// ---- records
// -----------------------------------------------------------------------------------------------

typedef struct Record {
    VEC(CztTensor) tensors;
    VEC(const void *) data;
} Record;

static void add_record(Arena *arena, Record *r, const char *kind, const char *name, const Tensor *t)
{
    int64_t *shape = arena_array(arena, int64_t, t->type->rank + 1);
    for (uint32_t i = 0; i < t->type->rank; i++) shape[i] = t->type->axes[i].size;
    CztTensor row = {.name = str_printf(arena, "%s:%s", kind, name),
                     .rank = t->type->rank,
                     .shape = shape,
                     .bytes = type_bytes(t->type)};
    dtype_parse(dtype_name(t->type->dtype), &row.dtype);
    vec_push(arena, &r->tensors, row);
    vec_push(arena, &r->data, t->data);
}

static bool write_record(const Case *c, const char *path, Error *err)
{
    Record r = {0};
    for (uint32_t i = 0; i < c->inputs.n; i++)
        add_record(c->arena, &r, "in", c->inputs.at[i].key, c->inputs.at[i].value);
    for (uint32_t i = 0; i < c->state.n; i++)
        add_record(c->arena, &r, "state", c->state.at[i].key, c->state.at[i].value);
    for (uint32_t i = 0; i < c->entry->outputs.n; i++) {
        const char *name = c->entry->outputs.at[i].name;
        add_record(c->arena, &r, "out", name, wanted(c, str_printf(c->arena, "out:%s", name)));
    }
    for (uint32_t i = 0; i < c->entry->updates.n; i++) {
        const char *name = c->entry->updates.at[i].name;
        add_record(c->arena, &r, "new", name, wanted(c, str_printf(c->arena, "state:%s", name)));
    }
    json_t *meta =
        json_pack("{s:o}", "tolerance", json_string(str_printf(c->arena, "%.17g", c->tolerance)));
    SafeWriter w;
    bool ok = safetensors_begin(&w, path, r.tensors.at, r.tensors.n, meta, err);
    for (uint32_t i = 0; ok && i < r.tensors.n; i++)
        ok = safetensors_put(&w, r.data.at[i], r.tensors.at[i].bytes, err);
    if (ok) ok = safetensors_end(&w, NULL, err);
    json_decref(meta);
    return ok;
}

static bool record(Arena *arena, Program *p, Case *cases, uint32_t ncases, const Trial *trial,
                   Error *err)
{
    Backend backend;
    Code code;
    CompileStats stats;
    Section *sections;
    if (!backend_open(arena, trial->target, &backend, err)) return false;
    const Plan *plan = plan_build(arena, p, backend.target, trial->mask);
    if (!backend_compile(&backend, arena, plan, 1, &code, &stats, err)) return false;
    uint32_t n = step_sections(arena, p, plan, &code, &sections);
    bool ok =
        container_write(str_printf(arena, "%s.czt", trial->record), NULL, 0, sections, n, err);
    for (uint32_t i = 0; ok && i < ncases; i++)
        ok = write_record(
            &cases[i], str_printf(arena, "%s.%s.safetensors", trial->record, cases[i].entry->name),
            err);
    return ok;
}

static TrialResult run_program(Arena *arena, const char *name, Program *p, const Trial *trial,
                               Error *err)
{
    if (!run_passes(name, p, trial->level, true, err)) return TRIAL_INVALID;
    uint32_t n = p->entries.n;
    Case *cases = arena_array(arena, Case, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        cases[i] = (Case){
            .arena = arena, .name = name, .program = p, .entry = p->entries.at[i], .which = i};
        if (multiplies(cases[i].entry, false) || multiplies(cases[i].entry, true))
            cases[i].tolerance = trial->tolerance;
        if (attends_bf16(cases[i].entry, 32)) cases[i].tolerance = trial->attention_tolerance;
        if (!prepare(&cases[i], trial->special, err)) return TRIAL_DIFFERS;
    }
    bool same = run_passes(name, p, trial->level, false, err);
    for (uint32_t i = 0; same && i < n; i++) same = add_derived(&cases[i], err);
    same = same && (trial->record   ? record
                    : trial->engine ? run_engine
                                    : run_compiled)(arena, p, cases, n, trial, err);
    return same ? TRIAL_SAME : TRIAL_DIFFERS;
}

static Program *parsed(Arena *arena, const char *name, const char *text)
{
    Diag *diag = diag_new(arena);
    Program *p = program_parse(arena, diag, diag_source(diag, name, text, strlen(text)));
    if (!p) diag_print(diag, stderr);
    return p;
}

TrialResult trial_run(Arena *arena, const char *name, const char *text, const Trial *trial,
                      Error *err)
{
    Program *p = parsed(arena, name, text);
    if (!p) {
        error_set(err, "%s does not parse", name);
        return TRIAL_INVALID;
    }
    return run_program(arena, name, p, trial, err);
}

void same_program_on_both(const char *name, Program *p, uint32_t mask, const uint32_t *threads)
{
    Arena *arena = arena_new();
    Error err = {0};
    Trial trial = {.mask = mask, .threads = threads, .level = 1, .fenced = true};
    cr_assert(run_program(arena, name, p, &trial, &err) == TRIAL_SAME, "%s", err.text);
    arena_free(arena);
}

void same_on_both(const char *name, const char *text, uint32_t mask, const uint32_t *threads)
{
    Arena *arena = arena_new();
    Program *p = parsed(arena, name, text);
    cr_assert(p, "%s does not parse", name);
    same_program_on_both(name, p, mask, threads);
    arena_free(arena);
}

// ---- the corpus
// ---------------------------------------------------------------------------------------------

#define CORPUS CZT_SOURCE_DIR "/tests/corpus"

size_t corpus_names(char names[CORPUS_MOST][CORPUS_NAME])
{
    size_t n = 0;
    DIR *dir = opendir(CORPUS);
    cr_assert(dir, "no folder %s", CORPUS);
    for (struct dirent *d; (d = readdir(dir)) && n < CORPUS_MOST;) {
        size_t length = strlen(d->d_name);
        if (length > 3 && length < CORPUS_NAME && strcmp(d->d_name + length - 3, ".ir") == 0)
            strcpy(names[n++], d->d_name);
    }
    closedir(dir);
    return n;
}

const char *corpus_text(Arena *arena, const char *name)
{
    FileMap map;
    Error err = {0};
    cr_assert(file_map(&map, str_printf(arena, CORPUS "/%s", name), &err), "%s", err.text);
    const char *text = str_slice(arena, (const char *)map.data, map.size);
    file_unmap(&map);
    return text;
}

const char *corpus_in(Arena *arena, const char *name, Precision precision)
{
    const char *text = corpus_text(arena, name), *header = strstr(text, "\nprogram ");
    header = header ? header + 1 : text;
    size_t n = (size_t)(header - text) + strcspn(header, "\n");
    bool attends = precision == PRECISION_BF16 && strstr(text, " = attention ");
    if (!strstr(text, " = dot ") && !attends) return NULL;
    return str_printf(arena, "%.*s precision=%s%s", (int)n, text, precision_name(precision),
                      text + n);
}

// ---- counting
// ---------------------------------------------------------------------------------------------

// Does the kernel only make single numbers, or partials of one?
static bool makes_scalars(const Plan *plan, const PlanEntry *e, const Segment *seg)
{
    const Kernel *k = plan->kernels.at[seg->kernel];
    if (k->kind != KERNEL_LOOP) return false;
    for (uint32_t i = 0; i < k->buffers.n; i++)
        if (k->buffers.at[i].written && e->buffers.at[seg->buffers.at[i]].count != 1) return false;
    return true;
}

KernelCount kernels_counted(const char *name, const char *text, const char *entry)
{
    Arena *arena = arena_new();
    Program *p = parsed(arena, name, text);
    Cpu cpu;
    Error err = {0};
    cr_assert(p, "%s does not parse", name);
    cr_assert(run_passes(name, p, 1, true, &err) && run_passes(name, p, 1, false, &err), "%s",
              err.text);
    cr_assert(cpu_target(arena, getenv("CZT_CPU"), &cpu, &err), "%s", err.text);
    const Plan *plan = plan_build(arena, p, &cpu.target, FUSE_ALL);
    KernelCount count = {0};
    for (uint32_t i = 0; i < plan->entries.n; i++) {
        const PlanEntry *e = &plan->entries.at[i];
        for (uint32_t l = 0; strcmp(e->name, entry) == 0 && l < e->launches.n; l++)
            for (uint32_t s = 0; s < e->launches.at[l].segments.n; s++) {
                const Segment *seg = &e->launches.at[l].segments.at[s];
                const Kernel *k = plan->kernels.at[seg->kernel];
                bool finish = strstr(k->name, "_finish_"), scalar = makes_scalars(plan, e, seg);
                *(finish ? &count.finish : scalar ? &count.scalars : &count.kernels) += 1;
            }
    }
    arena_free(arena);
    return count;
}

uint32_t count_kernels(const char *name, const char *text, const char *entry)
{
    return kernels_counted(name, text, entry).kernels;
}
