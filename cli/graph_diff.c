// Both graphs go through the frontend and the passes, as for `check`, and the step's figures are
// those that `check` prints. A graph that is made to be extended may be no whole one; then its keys
// are compared alone.
#include "cli/graph_diff.h"

#include "cli/assets.h"
#include "frontend/diff.h"

#include <jansson.h>

enum { WIDTH = 100 };

// A row of the table of steps.
typedef struct Row {
    const char *name, *old, *now;
} Row;

typedef VEC(Row) Rows;

// What is compared of a step.
typedef struct StepSide {
    Pipeline p;
    double bytes;
    const PlanEntry *plan;
} StepSide;

// Is the graph whole? Nothing is printed.
static bool is_whole(Cli *cli, const char *file, const FrontendOptions *given)
{
    FrontendOptions o = *given;
    Error err = {0};
    if (!o.lib_dir) o.lib_dir = assets_library(cli->arena, &err);
    return o.lib_dir && frontend_load(cli->arena, diag_new(cli->arena), file, &o);
}

static bool read_side(Cli *cli, StepSide *side, const char *file, const FrontendOptions *o)
{
    pipeline_begin(&side->p, cli->arena, 1);
    if (!pipeline_read(&side->p, file, o)) return false;
    if (!side->p.frontend) {
        fail_text("%s: --diff compares graph files", file);
        return false;
    }
    if (!pipeline_passes(&side->p, &(PassOptions){.level = 1})) return false;
    side->plan = pipeline_entry(&side->p, "step");
    side->bytes = side->plan ? pipeline_traffic(&side->p, side->plan) : 0;
    return true;
}

// ---- the table ----------------------------------------------------------------------------------

static const char *entries_text(Arena *arena, const Program *p)
{
    const char *text = "";
    for (uint32_t i = 0; i < p->entries.n; i++)
        text = str_printf(arena, "%s%s%s", text, i ? ", " : "", p->entries.at[i]->name);
    return text;
}

// The step's outputs that begin with a prefix ("experts."), without it; or all others.
static const char *tasks_text(Arena *arena, Program *p, bool experts)
{
    static const char prefix[] = "experts.";
    const Entry *step = program_find_entry(p, "step");
    const char *text = "";
    for (uint32_t i = 0; step && i < step->outputs.n; i++) {
        const char *name = step->outputs.at[i].name;
        bool expert = strncmp(name, prefix, sizeof prefix - 1) == 0;
        if (expert != experts || strcmp(name, "loss") == 0 || *name == '$') continue;
        text = str_printf(arena, "%s%s%s", text, *text ? ", " : "",
                          name + (expert ? sizeof prefix - 1 : 0));
    }
    return *text ? text : "-";
}

static const char *inputs_text(Arena *arena, Program *p)
{
    const Entry *step = program_find_entry(p, "step");
    const char *text = "";
    const EntryInputs inputs = step ? entry_inputs(p, step, arena) : (EntryInputs){0};
    for (uint32_t i = 0; i < inputs.n; i++)
        text = str_printf(arena, "%s%s%s", text, *text ? ", " : "", inputs.at[i].name);
    return *text ? text : "-";
}

static int64_t part_parameters(const Frontend *f, const char *name)
{
    for (uint32_t i = 0; i < f->parts.n; i++)
        if (strcmp(f->parts.at[i].name, name) == 0) return f->parts.at[i].parameters;
    return -1;
}

static void add_number(Arena *arena, Rows *rows, const char *name, double old, double now)
{
    vec_push(arena, rows,
             (Row){name, old < 0 ? "-" : short_number(arena, old),
                   now < 0 ? "-" : short_number(arena, now)});
}

static void add_parts(Arena *arena, Rows *rows, const StepSide *from, const StepSide *to)
{
    const Frontend *a = from->p.frontend, *b = to->p.frontend;
    for (uint32_t i = 0; i < a->parts.n; i++) {
        const char *name = a->parts.at[i].name;
        add_number(arena, rows, str_printf(arena, "  %s", name), (double)a->parts.at[i].parameters,
                   (double)part_parameters(b, name));
    }
    for (uint32_t i = 0; i < b->parts.n; i++) {
        const char *name = b->parts.at[i].name;
        if (part_parameters(a, name) < 0)
            add_number(arena, rows, str_printf(arena, "  %s", name), -1,
                       (double)b->parts.at[i].parameters);
    }
}

static Rows table(Arena *arena, const StepSide *from, const StepSide *to)
{
    Rows rows = {0};
    Program *a = from->p.program, *b = to->p.program;
    add_number(arena, &rows, "batch", (double)a->batch, (double)b->batch);
    add_number(arena, &rows, "parameters", (double)pipeline_parameters(&from->p),
               (double)pipeline_parameters(&to->p));
    add_parts(arena, &rows, from, to);
    vec_push(arena, &rows,
             (Row){"losses", tasks_text(arena, a, false), tasks_text(arena, b, false)});
    vec_push(arena, &rows,
             (Row){"experts", tasks_text(arena, a, true), tasks_text(arena, b, true)});
    vec_push(arena, &rows, (Row){"inputs", inputs_text(arena, a), inputs_text(arena, b)});
    vec_push(arena, &rows, (Row){"entries", entries_text(arena, a), entries_text(arena, b)});
    add_number(arena, &rows, "FLOP a step", (double)from->p.flops, (double)to->p.flops);
    add_number(arena, &rows, "bytes moved a step", from->bytes, to->bytes);
    add_number(arena, &rows, "scratch bytes",
               from->plan ? (double)pipeline_scratch(&from->p, from->plan) : 0,
               to->plan ? (double)pipeline_scratch(&to->p, to->plan) : 0);
    return rows;
}

static bool differs(const Row *row)
{
    return strcmp(row->old, row->now) != 0;
}

// ---- output -------------------------------------------------------------------------------------

static bool inside_character(const char *p)
{
    return ((unsigned char)*p & 0xC0) == 0x80;
}

// As much of a text from a byte on as there is room for.
static const char *cut(Arena *arena, const char *text, size_t from, size_t room)
{
    size_t n = strlen(text);
    if (n <= room) return text;
    if (from > n - room) from = n - room; // its end is shown whole
    if (from < 3) from = 0;
    while (from && inside_character(text + from)) from--;
    const char *before = from ? ".." : "";
    room -= strlen(before);
    if (n - from <= room) return str_printf(arena, "%s%s", before, text + from);
    size_t end = from + room - 2;
    while (end > from && inside_character(text + end)) end--;
    return str_printf(arena, "%s%.*s..", before, (int)(end - from), text + from);
}

// Where two texts part, with some of what they share.
static size_t parting(const char *a, const char *b)
{
    enum { SHARED = 8 };
    size_t n = 0;
    while (a[n] && a[n] == b[n]) n++;
    return n < SHARED ? 0 : n - SHARED;
}

static void print_change(Arena *arena, const GraphChange *c)
{
    size_t used = strlen(c->path) + 4, room = used + 40 < WIDTH ? WIDTH - used : 40;
    if (!c->old || !c->now) {
        printf("%c %s: %s\n", c->old ? '-' : '+', c->path,
               cut(arena, c->old ? c->old : c->now, 0, room));
        return;
    }
    bool wide = strlen(c->old) + strlen(c->now) + 4 > room;
    size_t from = wide ? parting(c->old, c->now) : 0, half = wide ? (room - 4) / 2 : room;
    printf("  %s: %s -> %s\n", c->path, cut(arena, c->old, from, half),
           cut(arena, c->now, from, half));
}

static void print_rows(const Rows *rows)
{
    uint32_t differences = 0;
    int old = 12;
    for (uint32_t i = 0; i < rows->n; i++) {
        if (!differs(&rows->at[i])) continue;
        differences++;
        int n = (int)strlen(rows->at[i].old);
        old = n > old && n < 48 ? n : old;
    }
    printf(differences ? "\nthe step\n" : "\nthe step has the same figures\n");
    for (uint32_t i = 0; i < rows->n; i++)
        if (differs(&rows->at[i]))
            printf("  %-24s %-*s  %s\n", rows->at[i].name, old, rows->at[i].old, rows->at[i].now);
}

static void print(Arena *arena, const GraphDiff *d, const GraphChanges *changes, const Rows *rows)
{
    printf("%s -> %s\n", d->from, d->to);
    for (uint32_t i = 0; i < changes->n; i++) print_change(arena, &changes->at[i]);
    if (!changes->n) printf("no key is changed\n");
    if (rows)
        print_rows(rows);
    else
        printf("\n%s is no whole graph, so steps are not compared\n", d->from);
}

static json_t *step_json(const StepSide *from, const StepSide *to, const Rows *rows)
{
    json_t *step = json_object();
    for (uint32_t i = 0; i < rows->n; i++) {
        const Row *r = &rows->at[i];
        if (differs(r))
            json_object_set_new(step, r->name + strspn(r->name, " "),
                                json_pack("[s, s]", r->old, r->now));
    }
    json_object_set_new(step, "parameters",
                        json_pack("[I, I]", (json_int_t)pipeline_parameters(&from->p),
                                  (json_int_t)pipeline_parameters(&to->p)));
    return step;
}

static void print_json(const GraphDiff *d, const GraphChanges *changes, json_t *step)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < changes->n; i++) {
        const GraphChange *c = &changes->at[i];
        json_array_append_new(
            list, json_pack("{s:s, s:s?, s:s?}", "key", c->path, "old", c->old, "new", c->now));
    }
    json_t *o = json_pack("{s:s, s:s, s:o, s:o}", "from", d->from, "to", d->to, "changes", list,
                          "step", step);
    json_dumpf(o, stdout, 0);
    putchar('\n');
    json_decref(o);
}

int graph_diff(Cli *cli, const GraphDiff *given)
{
    GraphDiff d = *given;
    Diag *diag = diag_new(cli->arena);
    GraphChanges changes = {0};
    StepSide from = {0}, to = {0};
    FrontendOptions plain = {.lib_dir = d.options->lib_dir};
    if (!read_side(cli, &to, d.to, d.options)) return EXIT_INPUT;
    if (!d.from) d.from = graph_extends(cli->arena, diag, d.to);
    if (!d.from)
        return fail_text("%s: extends no file; name the one to compare with: --diff OTHER.yaml",
                         d.to);
    if (!graph_changes(cli->arena, diag, d.from, d.to, d.options, &changes)) {
        diag_print(diag, stderr);
        return EXIT_INPUT;
    }
    bool whole = is_whole(cli, d.from, &plain);
    if (whole && !read_side(cli, &from, d.from, &plain)) return EXIT_INPUT;
    Rows rows = {0};
    if (whole) rows = table(cli->arena, &from, &to);
    if (d.json)
        print_json(&d, &changes, whole ? step_json(&from, &to, &rows) : json_null());
    else
        print(cli->arena, &d, &changes, whole ? &rows : NULL);
    return EXIT_OK;
}
