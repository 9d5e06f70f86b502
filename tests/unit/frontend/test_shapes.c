// Several input shapes: the entries of each are those of a graph with its values, over one state.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "frontend/frontend.h"

#define GRAPH CZT_SOURCE_DIR "/tests/graphs/shapes.yaml"

enum { SHAPES = 3 };

static const char *const of_shape[SHAPES][5] = {
    {"shapes=null", "size=16", "batch=4", "side=8", "lab=4"},
    {"shapes=null", "size=24", "batch=side // 2", "side=8", "lab=4"},
    {"shapes=null", "size=16", "batch=6", "side=16", "lab=8"}};

static Frontend *load(Arena *arena, const char *const *set, uint32_t nset)
{
    Diag *diag = diag_new(arena);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib", .set = set, .nset = nset};
    Frontend *f = frontend_load(arena, diag, GRAPH, &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f);
    return f;
}

static const char *text_of(Arena *arena, const Entry *e)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    entry_print(e, out);
    fclose(out);
    const char *body = str_copy(arena, strchr(text, '{')); // behind the name
    free(text);
    return body;
}

static const Entry *entry_of(const Program *p, const char *name)
{
    const Entry *e = program_find_entry((Program *)p, name);
    cr_assert(e, "no entry %s", name);
    return e;
}

// What a trial of a mend reads: the first shape, and the one with the errors.
Test(shapes, one_alone_is_read_with_the_first)
{
    for (uint32_t only = 1; only <= SHAPES; only++) {
        Arena *arena = arena_new();
        Diag *diag = diag_new(arena);
        FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib", .only_shape = only};
        Frontend *f = frontend_load(arena, diag, GRAPH, &o);
        cr_assert(f);
        for (uint32_t s = 2; s <= SHAPES; s++) {
            const Entry *e = program_find_entry(f->program, str_printf(arena, "step/%u", s));
            cr_expect_eq(e != NULL, s == only, "step/%u of shape %u alone", s, only);
        }
        cr_expect(program_find_entry(f->program, "step"));
        cr_expect(program_find_entry(f->program, "eval"));
        arena_free(arena);
    }
}

Test(shapes, each_is_the_graph_with_its_values)
{
    static const char *const phases[] = {"step", "step-2", "step@3", "step@3-2"};
    static const char *const suffixes[SHAPES] = {"", "/2", "/3"};
    static const int64_t batches[SHAPES] = {4, 4, 6};
    Arena *arena = arena_new();
    const Program *all = load(arena, NULL, 0)->program;
    cr_expect_eq(all->batch, 4);
    for (int s = 0; s < SHAPES; s++) {
        const Program *alone = load(arena, of_shape[s], 5)->program;
        for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
            const Entry *e = entry_of(all, str_printf(arena, "%s%s", phases[i], suffixes[s]));
            cr_expect_eq(e->graph->batch, batches[s]);
            cr_expect_str_eq(text_of(arena, e), text_of(arena, entry_of(alone, phases[i])));
        }
        cr_expect_eq(all->states.n, alone->states.n);
        for (uint32_t i = 0; i < alone->states.n; i++)
            cr_expect_str_eq(all->states.at[i].name, alone->states.at[i].name);
    }
    // all that is not of an update is of the first
    const Program *first = load(arena, of_shape[0], 5)->program;
    static const char *const others[] = {"init", "eval", "encode_visual", "encode_textual"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect_str_eq(text_of(arena, entry_of(all, others[i])),
                         text_of(arena, entry_of(first, others[i])));
    cr_expect_eq(all->entries.n, first->entries.n + (SHAPES - 1) * 4);
    arena_free(arena);
}

Test(shapes, the_runtime_is_told)
{
    static const char *const train =
        "\"shapes\":[{\"text\":\"size: 16, batch: 4, lab: 4, side: 8\",\"suffix\":\"\","
        "\"weight\":1,\"batch\":4},{\"text\":\"size: 24, batch: 4, lab: 4, side: 8\","
        "\"suffix\":\"/2\",\"weight\":0.5,\"batch\":4},{\"text\":\"size: 16, batch: 6, "
        "lab: 8, side: 16\",\"suffix\":\"/3\",\"weight\":1,\"batch\":6}]";
    Arena *arena = arena_new();
    const Frontend *f = load(arena, NULL, 0);
    cr_expect(strstr(f->program->train_json, train), "%s", f->program->train_json);
    const char *data = strstr(f->program->data_json, "\"shapes\":[{\"batch\":4,");
    cr_assert(data, "%s", f->program->data_json);
    cr_expect(strstr(data, "\"name\":\"image\",\"size\":[24,24]"));
    const char *third = strstr(data, "{\"batch\":6,");
    cr_expect(third && strstr(third, "\"name\":\"image\",\"size\":[16,16]") &&
                  strstr(third, "\"name\":\"small\",\"size\":[16,16]") &&
                  strstr(third, "\"role\":\"class_map\",\"size\":[8,8]"),
              "%s", data);
    cr_expect_eq(f->shapes.n, SHAPES);
    // one shape: as if nothing was said
    static const char *const one[] = {"shapes=[{size: 24, batch: 4}]"};
    const Frontend *single = load(arena, one, 1), *set = load(arena, of_shape[1], 5);
    cr_expect_str_eq(single->program->train_json, set->program->train_json);
    cr_expect_str_eq(single->program->data_json, set->program->data_json);
    cr_expect_eq(single->shapes.n, 0);
    arena_free(arena);
}

// A row's values stand where those of let: stood, for other constants too.
Test(shapes, rows_reach_other_constants)
{
    static const char *const set[] = {"shapes=[{batch: 4}, {side: 16}]", "let.batch=side // 2"};
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib", .set = set, .nset = 2};
    cr_expect(!frontend_load(arena, diag, GRAPH, &o), "batch is set twice");
    const Frontend *f = load(arena, (const char *const[]){"shapes=[{side: 8}, {side: 16}]"}, 1);
    cr_expect_eq(f->shapes.at[1].batch, 4);
    f = load(arena, (const char *const[]){"let.batch=side // 2", "shapes=[{side: 8}, {side: 16}]"},
             2);
    cr_expect_eq(f->shapes.at[1].batch, 8);
    cr_expect_str_eq(f->shapes.at[1].text, "side: 16");
    arena_free(arena);
}

static bool reports(Arena *arena, const char *path, const FrontendOptions *o, const char *text)
{
    char *out = NULL;
    size_t size = 0;
    Diag *diag = diag_new(arena);
    cr_expect(!frontend_load(arena, diag, path, o));
    FILE *to = open_memstream(&out, &size);
    diag_print(diag, to);
    fclose(to);
    bool there = strstr(out, text);
    if (!there) fprintf(stderr, "%s", out);
    free(out);
    return there;
}

Test(shapes, what_is_set_is_not_in_rows)
{
    static const char *const sets[] = {"size=32", "let.size=32", "si*=32"};
    Arena *arena = arena_new();
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib", .set = &sets[i], .nset = 1};
        cr_expect(reports(arena, GRAPH, &o, "'size' is set by --set and by this row"), "%s",
                  sets[i]);
    }
    arena_free(arena);
}

// The case of check: has shapes of its own, or none.
Test(shapes, a_check_case_says_its_shapes)
{
    static const char *const radio = CZT_SOURCE_DIR "/graphs/radio-like.yaml";
    static const char *const without[] = {"check.set.shapes=null"}, *const one[] = {"shapes=null"};
    Arena *arena = arena_new();
    FrontendOptions o = {
        .lib_dir = CZT_SOURCE_DIR "/graphs/lib", .set = without, .nset = 1, .use_check = true};
    cr_expect(reports(arena, radio, &o, "'batch' is set here and by the rows of shapes:"));
    o.set = one;
    const Frontend *f = frontend_load(arena, diag_new(arena), radio, &o);
    cr_assert(f);
    cr_expect_eq(f->program->batch, 2);
    cr_expect(!program_find_entry(f->program, "step/2"));
    o.nset = 0;
    f = frontend_load(arena, diag_new(arena), radio, &o);
    cr_assert(f && f->shapes.n == 2);
    cr_expect_str_eq(f->shapes.at[1].text, "size: 48, batch: 1");
    arena_free(arena);
}
