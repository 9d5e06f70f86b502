// Phases: what is off in a phase is not in its entry, and its beginning changes nothing before.
#include <criterion/criterion.h>
#include <stdlib.h>

#include "frontend/frontend.h"

#define DEMO CZT_SOURCE_DIR "/graphs/demo.yaml"

static const Program *load(Arena *arena, const char *const *set, uint32_t nset)
{
    Diag *diag = diag_new(arena);
    FrontendOptions o = {
        .lib_dir = CZT_SOURCE_DIR "/graphs/lib", .set = set, .nset = nset, .use_check = true};
    Frontend *f = frontend_load(arena, diag, DEMO, &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f);
    return f->program;
}

static const Entry *entry_of(const Program *p, const char *name)
{
    const Entry *e = program_find_entry((Program *)p, name);
    cr_assert(e, "no entry %s", name);
    return e;
}

// Without the places, which tell of a file that is another.
static char *text_of(const Entry *e)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    entry_print(e, out);
    fclose(out);
    char *to = text;
    for (const char *at = text; *at;) {
        if (strncmp(at, "  # ", 4) == 0) at += strcspn(at, "\n");
        *to++ = *at++;
    }
    *to = 0;
    return text;
}

static bool updates(const Entry *e, const char *state)
{
    for (uint32_t i = 0; i < e->updates.n; i++)
        if (strcmp(e->updates.at[i].name, state) == 0) return true;
    return false;
}

Test(phases, before_its_beginning_an_expert_is_not_there)
{
    static const char *const late[] = {"experts.seg.from=100"}, *const none[] = {
                                                                    "experts.seg.enabled=false"};
    Arena *arena = arena_new();
    const Program *with = load(arena, late, 1), *without = load(arena, none, 1);
    char *a = text_of(entry_of(with, "step")), *b = text_of(entry_of(without, "step"));
    cr_expect_str_eq(a, b);
    const Entry *later = entry_of(with, "step@100");
    cr_expect(!updates(entry_of(with, "step"), "experts.seg.cells.weight"));
    cr_expect(updates(later, "experts.seg.cells.weight"));
    free(a);
    free(b);
    arena_free(arena);
}

Test(phases, begin_where_something_is_switched)
{
    static const char *const set[] = {"experts.seg.from=0.1 * steps", "experts.seg.until=200",
                                      "experts.edge.until=200", "losses.pair.from=60", "steps=600"};
    Arena *arena = arena_new();
    const Program *p = load(arena, set, 5);
    static const char *const entries[] = {"init", "step", "step@60", "step@200", "eval"};
    for (uint32_t i = 0; i < 5; i++) cr_expect_str_eq(p->entries.at[i]->name, entries[i]);
    static const char seg[] = "experts.seg.cells.weight", edge[] = "experts.edge.cells.weight";
    cr_expect(!updates(p->entries.at[1], seg) && updates(p->entries.at[1], edge));
    cr_expect(updates(p->entries.at[2], seg) && updates(p->entries.at[2], edge));
    cr_expect(!updates(p->entries.at[3], seg) && !updates(p->entries.at[3], edge));
    cr_expect(!updates(p->entries.at[1], "losses.pair.scale"));
    cr_expect(strstr(p->train_json, "{\"from\":60,\"entry\":\"step@60\"},{\"from\":200,"));
    arena_free(arena);
}

Test(phases, frozen_parameters_are_not_updated)
{
    static const char *const set[] = {
        "train.freeze=[{match: '*pos*'}, {match: '*token*', while: phase_step < 3}]"};
    Arena *arena = arena_new();
    const Program *free_ = load(arena, NULL, 0), *p = load(arena, set, 1);
    uint32_t less = 0;
    for (uint32_t i = 0; i < entry_of(free_, "step")->updates.n; i++) {
        const char *name = entry_of(free_, "step")->updates.at[i].name;
        bool frozen = strstr(name, "pos") != NULL;
        cr_expect_eq(updates(entry_of(p, "step"), name), !frozen, "%s", name);
        less += frozen;
    }
    cr_expect(less > 0);
    arena_free(arena);
}

// A correction by the number of updates knows those that were made, where some are not.
Test(phases, frozen_parameters_count_their_own_updates)
{
    static const char *const set[] = {"train.freeze=[{match: '*token*', while: phase_step < 3}]"};
    Arena *arena = arena_new();
    const Program *free_ = load(arena, NULL, 0), *p = load(arena, set, 1);
    static const char counted[] = "$opt.t.textual.token.weight";
    cr_expect(updates(entry_of(p, "step"), counted));
    cr_expect(!updates(entry_of(p, "step"), "$opt.t.textual.tpos"));
    cr_expect(!updates(entry_of(free_, "step"), counted));
    arena_free(arena);
}
