// Before an expert begins, and in the updates in which one with every: rests, a step is that of the
// graph without it: the same kernels in the same launches, the same memory plan, on both targets;
// and the same bits (tests/cli/cuda.sh has those of the target cuda).
#include "codegen/cpu.h"
#include "codegen/cuda.h"
#include "steps.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct Case {
    const char *path, *late[2], *without[2]; // settings
    const char *later;                       // the entry that has the expert
    const char *rests;                       // the one in which it rests; NULL: "step", before it
} Case;

static const Case cases[] = {
    {.path = CZT_SOURCE_DIR "/graphs/demo.yaml",
     .late = {"experts.seg.from=0.8 * steps", "experts.edge.weight=0.5"},
     .without = {"experts.seg.enabled=false", "experts.edge.weight=0.5"},
     .later = "step@320"},
    {.path = CZT_SOURCE_DIR "/graphs/siglip2-like.yaml",
     .late = {"precision=f32", "dense=0.8 * steps"},
     .without = {"precision=f32", "experts.*.enabled=false"},
     .later = "step@16"},
    {.path = CZT_SOURCE_DIR "/graphs/siglip2-like.yaml",
     .late = {"eval=null", "dense=0.8 * steps"},
     .without = {"eval=null", "experts.*.enabled=false"},
     .later = "step@16"},
    // boxes, in parts of the batch
    {.path = CZT_SOURCE_DIR "/graphs/clip-det.yaml",
     .late = {"experts.det.from=0.8 * steps", "train.accumulate=2"},
     .without = {"experts.det.enabled=false", "train.accumulate=2"},
     .later = "step@280000"},
    // a teacher, and all that is for it alone
    {.path = CZT_SOURCE_DIR "/tests/graphs/dear.yaml",
     .late = {"experts.follow.every=3", "train.nonfinite=stop"},
     .without = {"experts.follow.enabled=false", "train.nonfinite=stop"},
     .later = "step",
     .rests = "step-3"},
};
enum { CASES = sizeof cases / sizeof *cases };

static Source source_of(const Case *c, const char *const *set)
{
    return (Source){.path = c->path, .set = set, .nset = 2, .check = true};
}

// ---- kernels, launches, memory ------------------------------------------------------------------

static const PlanEntry *entry_of(const Plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->entries.n; i++)
        if (strcmp(plan->entries.at[i].name, name) == 0) return &plan->entries.at[i];
    return NULL;
}

// Where state and constants lie depends on those of later phases; all else must be the same.
static void print_buffer(const PlanEntry *e, uint32_t i, int64_t from, FILE *out)
{
    const PlanBuffer *b = &e->buffers.at[i];
    bool shared = b->block == BLOCK_STATE || b->block == BLOCK_CONST;
    fprintf(out, "%d %d %" PRId64 " %s", b->block, b->dtype, b->count, b->name ? b->name : "");
    if (!shared) fprintf(out, " at %" PRId64 ", %u to %u", b->offset, b->first, b->last);
    fprintf(out, " from %" PRId64 "\n", from);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *segment_text(Arena *arena, const Plan *plan, const PlanEntry *e, const Segment *seg)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    fputs(kernel_text(arena, plan->kernels.at[seg->kernel]), out);
    for (uint32_t i = 0; i < seg->buffers.n; i++)
        print_buffer(e, seg->buffers.at[i], seg->from.at[i], out);
    fclose(out);
    return text;
}

// The segments of a launch have no order; they follow that of the parameters in the state.
static void print_plan(Arena *arena, const Plan *plan, const PlanEntry *e, FILE *out)
{
    for (uint32_t l = 0; l < e->launches.n; l++) {
        const Launch *launch = &e->launches.at[l];
        fprintf(out, "launch %u of %u segments\n", l, launch->segments.n);
        char **texts = arena_array(arena, char *, launch->segments.n + 1);
        for (uint32_t s = 0; s < launch->segments.n; s++)
            texts[s] = segment_text(arena, plan, e, &launch->segments.at[s]);
        qsort(texts, launch->segments.n, sizeof *texts, by_text);
        for (uint32_t s = 0; s < launch->segments.n; s++) {
            fputs(texts[s], out);
            free(texts[s]);
        }
    }
    fprintf(out, "scratch %" PRId64 ", inputs %" PRId64 ", outputs %" PRId64 "\n", e->scratch_bytes,
            e->input_bytes, e->output_bytes);
}

static const char *plan_text(Arena *arena, const Plan *plan, const char *entry)
{
    char *text = NULL;
    size_t size = 0;
    const PlanEntry *e = entry_of(plan, entry);
    if (!e) return NULL;
    FILE *out = open_memstream(&text, &size);
    print_plan(arena, plan, e, out);
    fclose(out);
    const char *kept = str_copy(arena, text);
    free(text);
    return kept;
}

static void same_plan(Arena *arena, const Case *c, const Target *target)
{
    Source with = source_of(c, c->late), none = source_of(c, c->without);
    const Plan *late = steps_plan(arena, &with, target),
               *without = steps_plan(arena, &none, target);
    static const char *const entries[] = {"step.features", "step.coupled", "step.backward", "step"};
    for (int i = 0; i < 4; i++) {
        bool whole = i == 3;
        const char *a = plan_text(arena, late, whole && c->rests ? c->rests : entries[i]),
                   *b = plan_text(arena, without, entries[i]);
        cr_assert_eq(!a, !b, "%s: one has no %s", c->path, entries[i]);
        size_t at = 0;
        while (a && a[at] && a[at] == b[at]) at++;
        while (at && a[at - 1] != '\n') at--;
        cr_expect(!a || a[at] == b[at],
                  "%s for %s: %s is another before the expert begins:\n%.60s\n%.60s", c->path,
                  target->name, entries[i], a + at, b + at);
    }
    const char *first = plan_text(arena, late, c->rests ? c->rests : "step"),
               *later = plan_text(arena, late, c->later);
    cr_assert(first && later, "%s: no %s", c->path, c->later);
    cr_expect_str_neq(first, later, "%s: the expert begins and nothing changes", c->path);
}

Test(before, plans_are_those_without_the_expert)
{
    for (int i = 0; i < CASES; i++) {
        Arena *arena = arena_new();
        Error err = {0};
        Cpu cpu;
        Target cuda = cuda_target();
        cr_assert(cpu_target(arena, NULL, &cpu, &err), "%s", err.text);
        same_plan(arena, &cases[i], &cpu.target);
        same_plan(arena, &cases[i], &cuda);
        arena_free(arena);
    }
}

// ---- bits ---------------------------------------------------------------------------------------

// Of `entry` of one, and of `other` of the other.
static void same_outputs(const Steps *late, const Steps *without, const char *other,
                         const char *entry, const Case *c)
{
    const Entry *e = program_find_entry((Program *)without->program, entry);
    for (uint32_t i = 0; i < e->outputs.n; i++) {
        const char *name = e->outputs.at[i].name;
        if (name[0] == '$') continue;
        double x = steps_output(without, entry, name), y = steps_output(late, other, name);
        cr_expect(memcmp(&x, &y, sizeof x) == 0, "%s: %s is %.9g, not %.9g", c->path, name, y, x);
    }
}

static void same_states(const Steps *late, const Steps *without, const Case *c)
{
    for (uint32_t i = 0; i < without->program->states.n; i++) {
        const StateVar *v = &without->program->states.at[i];
        size_t bytes = 0, others = 0;
        if (v->kind == STATE_TRANSIENT) continue;
        const void *x = steps_state(without, v->name, &bytes),
                   *y = steps_state(late, v->name, &others);
        cr_assert(x && y && bytes == others, "%s: %s", c->path, v->name);
        cr_expect(memcmp(x, y, bytes) == 0, "%s: %s has other bits", c->path, v->name);
    }
}

Test(before, bits_are_those_without_the_expert)
{
    for (int i = 0; i < CASES; i++) {
        Source with = source_of(&cases[i], cases[i].late),
               none = source_of(&cases[i], cases[i].without);
        Steps late = steps_open(&with), without = steps_open(&none);
        steps_init(&late);
        steps_init(&without);
        for (int64_t step = 0; step < 2; step++) {
            const char *before = cases[i].rests ? cases[i].rests : "step";
            steps_run(&late, before, step);
            steps_run(&without, "step", step);
            same_outputs(&late, &without, before, "step", &cases[i]);
        }
        same_states(&late, &without, &cases[i]);
        steps_close(&late);
        steps_close(&without);
    }
}

// ---- the first step with the expert -------------------------------------------------------------

static void derive(Steps *s)
{
    CztError err = {0};
    cr_assert(czt_derive(s->cpu, &err), "%s", err.text);
}

static void run_later(Steps *s, const Case *c, bool derives)
{
    const char *begin = str_printf(s->arena, "begin%s", strchr(c->later, '@'));
    steps_init(s);
    for (int64_t step = 5; step < 15; step += 5) steps_run(s, "step", step);
    if (czt_entry_find(s->cpu, begin) >= 0) steps_run(s, begin, 15);
    if (derives) derive(s);
    for (int64_t step = 15; step < 17; step++) steps_run(s, c->later, step);
}

// It reads parameters in bf16 that the entries before it changed and did not round: the runtime
// brings them up to date, as a load of that state would, which runs entry derive.
Test(before, the_expert_begins_as_after_a_load)
{
    for (int i = 0; i < CASES; i++) {
        if (cases[i].rests) continue; // has no beginning
        Source source = source_of(&cases[i], cases[i].late);
        Steps on = steps_open(&source), loaded = steps_open(&source);
        run_later(&on, &cases[i], false);
        run_later(&loaded, &cases[i], true);
        same_outputs(&on, &loaded, cases[i].later, cases[i].later, &cases[i]);
        same_states(&on, &loaded, &cases[i]);
        steps_close(&on);
        steps_close(&loaded);
    }
}
