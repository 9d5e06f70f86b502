#include "executors.h"

#include "passes/pass.h"
#include "runtime/cztc.h"

#include <criterion/criterion.h>
#include <math.h>

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

// Values that show errors of place and order: floats in [-2, 2), small integers.
static void draw(const Type *type, void *data, uint64_t *seed)
{
    int64_t n = type_count(type);
    for (int64_t i = 0; i < n; i++) {
        uint64_t r = next(seed);
        switch (type->dtype) {
        case DT_F32: ((float *)data)[i] = (float)(r % 4096) / 1024.0f - 2.0f; break;
        case DT_I32: ((int32_t *)data)[i] = (int32_t)(r % 7) - 1; break;
        case DT_I64: ((int64_t *)data)[i] = (int64_t)(r % 5); break;
        case DT_U8: ((uint8_t *)data)[i] = (uint8_t)r; break;
        case DT_BOOL: ((uint8_t *)data)[i] = r & 1; break;
        default: cr_assert_fail("draw %s", dtype_name(type->dtype));
        }
    }
}

static Tensor *tensor(Arena *arena, const Type *type)
{
    Tensor *t = arena_make(arena, Tensor);
    *t = (Tensor){type, arena_alloc(arena, (size_t)type_bytes(type) + 64)};
    return t;
}

static void leaves(Arena *arena, const Program *p, const Entry *e, Map *inputs, Map *state, uint64_t *seed)
{
    for (uint32_t i = 0; i < p->states.n; i++) {
        Tensor *t = tensor(arena, p->states.at[i].type);
        draw(t->type, t->data, seed);
        map_set(arena, state, p->states.at[i].name, t);
    }
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op != OP_INPUT || map_get(inputs, node_str(n, ATTR_NAME))) continue;
        Tensor *t = tensor(arena, n->type);
        draw(n->type, t->data, seed);
        if (strcmp(node_str(n, ATTR_NAME), "$step") == 0) *(int64_t *)t->data = 3;
        if (strcmp(node_str(n, ATTR_NAME), "$seed") == 0) *(int64_t *)t->data = 7;
        map_set(arena, inputs, node_str(n, ATTR_NAME), t);
    }
}

static void compare(const char *name, const char *what, const Tensor *want, const void *got)
{
    int64_t n = type_count(want->type), size = dtype_size(want->type->dtype), wrong = 0, first = -1;
    for (int64_t i = 0; i < n; i++) {
        const char *x = (const char *)want->data + i * size, *y = (const char *)got + i * size;
        bool same = memcmp(x, y, (size_t)size) == 0;
        if (!same && want->type->dtype == DT_F32) same = isnan(*(const float *)x) && isnan(*(const float *)y);
        if (same) continue;
        if (first < 0) first = i;
        wrong++;
    }
    if (!wrong) return;
    if (want->type->dtype == DT_F32)
        cr_assert_fail("%s: %s: %lld of %lld elements differ, first %lld: %.9g and %.9g", name, what, (long long)wrong,
                       (long long)n, (long long)first, (double)((const float *)want->data)[first],
                       (double)((const float *)got)[first]);
    cr_assert_fail("%s: %s: %lld of %lld elements differ, first %lld", name, what, (long long)wrong, (long long)n, (long long)first);
}

static CztProgram *load(Arena *arena, const char *name, const Program *p, uint32_t mask, uint32_t threads)
{
    Cpu cpu;
    Error err = {0};
    Blob blob;
    CompileStats stats;
    cr_assert(cpu_host(arena, &cpu, &err), "%s", err.text);
    Plan *plan = plan_build(arena, p, &cpu.target, mask);
    for (uint32_t i = 0; i < plan->kernels.n; i++)
        cr_assert(kernel_verify(plan->kernels.at[i], &err), "%s: %s\n%s", name, err.text, kernel_text(arena, plan->kernels.at[i]));
    if (getenv("CZT_KERNELS"))
        for (uint32_t i = 0; i < plan->kernels.n; i++) fprintf(stderr, "%s\n", kernel_text(arena, plan->kernels.at[i]));
    cr_assert(cpu_compile(arena, plan, &cpu, 1, &blob, &stats, &err), "%s: %s", name, err.text);
    Section *sections;
    uint32_t n = step_sections(arena, p, plan, &blob, &cpu, &sections);
    size_t size;
    uint8_t *bytes = container_build(arena, sections, n, &size);
    CztError czt = {0};
    CztProgram *program = czt_load_memory(name, bytes, size, &(CztOptions){.threads = threads}, &czt);
    cr_assert(program, "%s: %s", name, czt.text);
    return program;
}

static void run_entry(Arena *arena, const char *name, const Program *p, CztProgram *program, uint32_t which)
{
    const Entry *e = p->entries.at[which];
    Map inputs = {0}, state = {0}, out = {0};
    uint64_t seed = 11 + which;
    Error err = {0};
    CztError czt = {0};
    leaves(arena, p, e, &inputs, &state, &seed);
    cr_assert(entry_eval(e, EVAL_BITS, &inputs, &state, arena, &out, &err), "%s: %s", name, err.text);
    for (uint32_t i = 0; i < state.n; i++) {
        const Tensor *t = state.at[i].value;
        cr_assert(czt_set_state(program, state.at[i].key, t->data, (size_t)type_bytes(t->type), &czt), "%s", czt.text);
    }
    int32_t entry = czt_entry_find(program, e->name);
    for (uint32_t i = 0; i < czt_input_count(program, (uint32_t)entry); i++) {
        const CztTensor *t = czt_input(program, (uint32_t)entry, i);
        const Tensor *from = map_get(&inputs, t->name);
        memcpy(czt_input_data(program, (uint32_t)entry, i), from->data, (size_t)t->bytes);
    }
    cr_assert(czt_run(program, (uint32_t)entry, 3, 7, &czt), "%s: %s", name, czt.text);
    for (uint32_t i = 0; i < czt_output_count(program, (uint32_t)entry); i++) {
        const CztTensor *t = czt_output(program, (uint32_t)entry, i);
        const char *key = str_printf(arena, "out:%s", t->name);
        compare(name, key, map_get(&out, key), czt_output_data(program, (uint32_t)entry, i));
    }
    for (uint32_t i = 0; i < e->updates.n; i++) {
        const char *key = str_printf(arena, "state:%s", e->updates.at[i].name);
        const Tensor *want = map_get(&out, key);
        void *got = arena_alloc(arena, (size_t)type_bytes(want->type));
        cr_assert(czt_get_state(program, e->updates.at[i].name, got, (size_t)type_bytes(want->type), &czt), "%s", czt.text);
        compare(name, key, want, got);
    }
}

static Program *prepared(Arena *arena, const char *name, const char *text)
{
    Diag *diag = diag_new(arena);
    Program *p = program_parse(arena, diag, diag_source(diag, name, text, strlen(text)));
    if (!p) diag_print(diag, stderr);
    cr_assert(p, "%s does not parse", name);
    return p;
}

static void run_passes(const char *name, Program *p)
{
    Error err = {0};
    bool ok = passes_run(p, &(PassOptions){.level = 1}, &err);
    if (!ok) diag_print(p->diag, stderr);
    cr_assert(ok, "%s: %s", name, err.text);
}

void same_program_on_both(const char *name, Program *p, uint32_t mask, uint32_t threads)
{
    Arena *arena = arena_new();
    run_passes(name, p);
    CztProgram *program = load(arena, name, p, mask, threads);
    for (uint32_t i = 0; i < p->entries.n; i++) run_entry(arena, name, p, program, i);
    czt_free(program);
    arena_free(arena);
}

void same_on_both(const char *name, const char *text, uint32_t mask, uint32_t threads)
{
    Arena *arena = arena_new();
    same_program_on_both(name, prepared(arena, name, text), mask, threads);
    arena_free(arena);
}

uint32_t count_kernels(const char *name, const char *text, const char *entry)
{
    Arena *arena = arena_new();
    Program *p = prepared(arena, name, text);
    run_passes(name, p);
    Cpu cpu;
    Error err = {0};
    cr_assert(cpu_host(arena, &cpu, &err));
    const Plan *plan = plan_build(arena, p, &cpu.target, FUSE_ALL);
    uint32_t n = 0;
    for (uint32_t i = 0; i < plan->entries.n; i++) {
        if (strcmp(plan->entries.at[i].name, entry)) continue;
        for (uint32_t l = 0; l < plan->entries.at[i].launches.n; l++)
            for (uint32_t s = 0; s < plan->entries.at[i].launches.at[l].segments.n; s++) {
                const Kernel *k = plan->kernels.at[plan->entries.at[i].launches.at[l].segments.at[s].kernel];
                n += !strstr(k->name, "_finish_");
            }
    }
    arena_free(arena);
    return n;
}
