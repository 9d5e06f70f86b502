// Pass tests as files: tests/passes/NAME.ir beside NAME.expected. The first line of the input names
// the passes ("# passes: a,b"; see also tests/support/asked.h). CZT_BLESS=1 in the environment
// rewrites the answers; review the diff. Outputs and updates are also evaluated before and after
// the last pass: they agree in f64, and to the bit where the pass promises that, or the file says
// so ("# the same bits"). Passes that make kernels work for a small made-up target, and the answer
// is what the last one made.
#include "base/file.h"
#include "gradcheck.h"
#include "passes/lower.h"
#include "tests/support/asked.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdlib.h>

#define FOLDER CZT_SOURCE_DIR "/tests/passes"

typedef struct Golden {
    Arena *arena;
    const char *name, *text, *passes;
    Program *p;
} Golden;

static const char *read_text(Arena *arena, const char *path)
{
    FileMap map;
    Error err = {0};
    if (!file_map(&map, path, &err)) return NULL;
    const char *text = str_slice(arena, (const char *)map.data, map.size);
    file_unmap(&map);
    return text;
}

static Program *parse(Arena *arena, const char *name, const char *text)
{
    Diag *diag = diag_new(arena);
    Program *p = program_parse(arena, diag, diag_source(diag, name, text, strlen(text)));
    if (!p) diag_print(diag, stderr);
    cr_assert(p, "%s does not parse", name);
    return p;
}

static Golden load(Arena *arena, const char *file)
{
    Golden t = {.arena = arena, .name = str_slice(arena, file, strlen(file) - 3)};
    t.text = read_text(arena, str_printf(arena, FOLDER "/%s", file));
    cr_assert(t.text && !strncmp(t.text, "# passes: ", 10), "%s names no passes", file);
    t.passes = str_slice(arena, t.text + 10, strcspn(t.text + 10, "\n"));
    t.p = parse(arena, file, t.text);
    return t;
}

static char *printed(Arena *arena, const Program *p)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    program_print(p, out);
    fclose(out);
    char *copy = str_copy(arena, text);
    free(text);
    return copy;
}

// As case_run, with what the file asks of the passes.
static void run_passes(const Golden *t, Program *p, const char *passes)
{
    PassOptions o = {.list = passes};
    Error err = {0};
    asked_for(t->text, &o);
    bool good = passes_run(p, &o, &err);
    if (!good) diag_print(p->diag, stderr);
    cr_assert(good, "%s: %s", passes, err.text);
}

// ---- the same numbers before and after ----------------------------------------------------------

static void put_value(EvalMode mode, DType dt, void *data, int64_t i, double v)
{
    if (dt == DT_U8)
        ((uint8_t *)data)[i] = (uint8_t)(100 * v + 100);
    else if (mode == EVAL_F64)
        ((double *)data)[i] = v;
    else if (dt == DT_F32)
        ((float *)data)[i] = (float)v;
    else
        cr_assert(false, "no leaves of type %s", dtype_name(dt));
}

// A leaf's values depend on its name alone. Derived state is left to entry derive.
static void draw_leaves(Arena *arena, EvalMode mode, const Entry *e, Map *inputs, Map *state)
{
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op != OP_INPUT && n->op != OP_STATE) continue;
        if (!strncmp(node_str(n, ATTR_NAME), "$derived.", 9)) continue;
        int64_t count = type_count(n->type);
        uint64_t seed = hash_str(3, node_str(n, ATTR_NAME));
        Tensor *t = arena_make(arena, Tensor);
        *t = (Tensor){n->type, arena_alloc(arena, (size_t)count * 8)};
        for (int64_t i = 0; i < count; i++)
            put_value(mode, n->type->dtype, t->data, i, 2 * case_random(&seed) - 1);
        map_set(arena, n->op == OP_INPUT ? inputs : state, node_str(n, ATTR_NAME), t);
    }
}

// The leaves are those of `leaves`, which is e before the pass; state that the pass made is what
// its entry derives.
static Map evaluate(const Golden *t, EvalMode mode, const Entry *e, const Entry *leaves,
                    const Entry *derive)
{
    Map inputs = {0}, state = {0}, out = {0}, derived = {0};
    Error err = {0};
    draw_leaves(t->arena, mode, leaves, &inputs, &state);
    if (derive) draw_leaves(t->arena, mode, derive, &inputs, &state);
    cr_assert(!derive || entry_eval(derive, mode, NULL, &state, t->arena, &derived, &err), "%s: %s",
              t->name, err.text);
    for (uint32_t i = 0; i < derived.n; i++)
        map_set(t->arena, &state, derived.at[i].key + strlen("state:"), derived.at[i].value);
    cr_assert(entry_eval(e, mode, &inputs, &state, t->arena, &out, &err), "%s: %s", t->name,
              err.text);
    return out;
}

static double value_at(const Tensor *t, int64_t i)
{
    return dtype_is_float(t->type->dtype) ? ((double *)t->data)[i] : ((uint8_t *)t->data)[i];
}

static void same_values(const Golden *t, EvalMode mode, const char *name, const Tensor *a,
                        const Tensor *b)
{
    cr_assert(b && type_equal(a->type, b->type), "%s: %s changed its type", t->name, name);
    if (mode == EVAL_BITS) {
        cr_assert(!memcmp(a->data, b->data, (size_t)type_bytes(a->type)), "%s: %s changed its bits",
                  t->name, name);
        return;
    }
    for (int64_t i = 0; i < type_count(a->type); i++) {
        double x = value_at(a, i), y = value_at(b, i);
        cr_assert(fabs(x - y) <= 1e-6 * fmax(1, fabs(x)), "%s: %s[%lld] was %g, is %g", t->name,
                  name, (long long)i, x, y);
    }
}

// The program before the last pass and after it give the same: to the bit where the pass promises
// it.
static void check_values(const Golden *t)
{
    Program *before = parse(t->arena, t->name, t->text);
    const char *comma = strrchr(t->passes, ','), *last = comma ? comma + 1 : t->passes;
    if (comma) run_passes(t, before, str_slice(t->arena, t->passes, (size_t)(comma - t->passes)));
    if (!strcmp(last, "autodiff") || !strcmp(last, "accumulate")) return; // other tests do it
    bool rounds =
        !strcmp(last, "simplify") || !strcmp(last, "precision") || !strcmp(last, "stream");
    bool exact = !rounds || strstr(t->text, "# the same bits");
    EvalMode mode = exact ? EVAL_BITS : EVAL_F64;
    const Entry *derived = program_find_entry(before, "derive"),
                *derive = program_find_entry(t->p, "derive");
    for (uint32_t i = 0; i < before->entries.n; i++) {
        const Entry *from = before->entries.at[i];
        Map old = evaluate(t, mode, from, from, derived),
            now = evaluate(t, mode, t->p->entries.at[i], from, derive);
        for (uint32_t k = 0; k < old.n; k++)
            same_values(t, mode, old.at[k].key, old.at[k].value, map_get(&now, old.at[k].key));
    }
}

// ---- the files ----------------------------------------------------------------------------------

static int64_t packed_count(const Target *target, const Kernel *pack)
{
    int64_t columns = (pack->gemm.n + target->lanes - 1) / target->lanes * target->lanes;
    return pack->gemm.batch * pack->gemm.k * columns;
}

static int64_t count_tasks(const Target *target, const Kernel *k)
{
    (void)target, (void)k;
    return 1;
}

// Run passes of which the last makes kernels; what it made, as text.
static char *lowered(const Golden *t)
{
    Target target = {.name = "made up",
                     .lanes = 4,
                     .packs = true,
                     .packed_count = packed_count,
                     .tasks = count_tasks};
    Lowering lowering = {.arena = t->arena, .target = &target, .mask = FUSE_ALL};
    char *text = NULL;
    size_t size;
    Error err = {0};
    FILE *out = open_memstream(&text, &size);
    PassOptions o = {.list = t->passes,
                     .dump_after = strrchr(t->passes, ',') + 1,
                     .out = out,
                     .lowering = &lowering};
    cr_assert(passes_run(t->p, &o, &err), "%s: %s", t->name, err.text);
    fclose(out);
    char *copy = str_copy(t->arena, text);
    free(text);
    return copy;
}

// The result as text; checked as far as a program can be.
static char *result(Golden *t)
{
    const char *comma = strrchr(t->passes, ',');
    if (comma && pass_find(comma + 1)->needs & FACT_TARGET) return lowered(t);
    run_passes(t, t->p, t->passes);
    check_values(t);
    char *have = printed(t->arena, t->p);
    cr_expect_str_eq(printed(t->arena, parse(t->arena, "printed", have)), have);
    return have;
}

static void check_file(Arena *arena, const char *file)
{
    Golden t = load(arena, file);
    char *have = result(&t);
    const char *path = str_printf(arena, FOLDER "/%s.expected", t.name);
    if (getenv("CZT_BLESS")) {
        FILE *out = fopen(path, "w");
        cr_assert(out && fputs(have, out) >= 0 && !fclose(out), "cannot write %s", path);
        return;
    }
    const char *want = read_text(arena, path);
    cr_expect(want && !strcmp(want, have), "%s: wanted\n%s\ngot\n%s", file,
              want ? want : "(no file)", have);
}

Test(golden, files)
{
    DIR *folder = opendir(FOLDER);
    cr_assert(folder, "no folder %s", FOLDER);
    uint32_t count = 0;
    for (struct dirent *d; (d = readdir(folder));) {
        size_t n = strlen(d->d_name);
        if (n < 4 || strcmp(d->d_name + n - 3, ".ir")) continue;
        Arena *arena = arena_new();
        check_file(arena, d->d_name);
        arena_free(arena);
        count++;
    }
    closedir(folder);
    cr_expect(count >= 15, "only %u files found", count);
}
