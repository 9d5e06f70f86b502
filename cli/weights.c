// Files of weights that a graph names, held against its parameters before anything is run.
#include "cli/weights.h"

#include "base/map.h"
#include "runtime/frozen.h"

#include <string.h>
#include <unistd.h>

static CztDtype dtype_of(DType dtype)
{
    for (int i = 0; i < CZT_DTYPE_COUNT; i++)
        if (strcmp(czt_dtype_name((CztDtype)i), dtype_name(dtype)) == 0) return (CztDtype)i;
    bug("no such dtype in step files");
}

// What files may give, as a loaded step has it.
static Step state_of(Arena *arena, const Program *program, const char *file)
{
    CztTensor *all = arena_array(arena, CztTensor, program->states.n + 1);
    Step step = {.file = file, .state = all};
    for (uint32_t i = 0; i < program->states.n; i++) {
        const StateVar *v = &program->states.at[i];
        if (v->kind != STATE_PARAM && v->kind != STATE_FROZEN) continue;
        int64_t *shape = arena_array(arena, int64_t, v->type->rank + 1);
        for (uint32_t k = 0; k < v->type->rank; k++) shape[k] = v->type->axes[k].size;
        all[step.nstate++] = (CztTensor){.name = v->name,
                                         .kind = v->kind == STATE_PARAM ? CZT_PARAM : CZT_FROZEN,
                                         .dtype = dtype_of(v->type->dtype),
                                         .rank = v->type->rank,
                                         .shape = shape};
    }
    return step;
}

// The row of the manifest that is about a file.
static const json_t *row_of(const json_t *train, const WeightsInfo *info)
{
    if (!info->owns) return json_array_get(json_object_get(train, "init"), info->row);
    size_t i;
    const json_t *row;
    json_array_foreach(json_object_get(train, "frozen"), i, row)
    {
        const char *owns = json_string_value(json_object_get(row, "owns"));
        if (owns && strcmp(owns, info->owns) == 0) return row;
    }
    return NULL;
}

typedef struct Check {
    Arena *arena;
    Diag *diag;
    Step step;
    const json_t *train;
} Check;

// ---- names that are others throughout -----------------------------------------------------------

// How many bytes of dotted parts two names share at their ends.
static size_t shared_end(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), same = 0, k = 0;
    while (k < n && k < m && a[n - k - 1] == b[m - k - 1])
        if (a[n - ++k] == '.') same = k - 1;
    return (k == n && (k == m || b[m - k - 1] == '.')) || (k == m && a[n - k - 1] == '.') ? k
                                                                                          : same;
}

static bool same_shape(const CztTensor *a, const CztTensor *b)
{
    return a->rank == b->rank && !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

// "model.*": "visual.*" for two names that have the same end.
static const char *rule_of(Arena *arena, const char *from, const char *to)
{
    const size_t end = shared_end(from, to), n = strlen(from) - end, m = strlen(to) - end;
    return end ? str_printf(arena, "\"%.*s*\": \"%.*s*\"", (int)n, from, (int)m, to) : NULL;
}

// The rule by which most tensors of a file are the program's; NULL where it is not half of them.
static const char *best_rule(const Check *c, const WeightsRow *row, const SafeTensors *file)
{
    Map votes = {0};
    const size_t below = *row->prefix ? strlen(row->prefix) + 1 : 0;
    const MapEntry *best = NULL;
    for (uint32_t k = 0; k < file->n; k++)
        for (uint32_t i = 0; i < c->step.nstate; i++) {
            const CztTensor *t = &c->step.state[i], *f = &file->tensors[k];
            if (t->kind != row->kind || strncmp(t->name, row->prefix, below ? below - 1 : 0) ||
                !same_shape(t, f))
                continue;
            const char *rule = rule_of(c->arena, f->name, t->name + below);
            if (!rule) continue;
            MapEntry *e = map_find(&votes, rule);
            map_set(c->arena, &votes, rule, (void *)((uintptr_t)(e ? e->value : 0) + 1));
        }
    for (uint32_t i = 0; i < votes.n; i++)
        if (!best || (uintptr_t)votes.at[i].value > (uintptr_t)best->value) best = &votes.at[i];
    return best && 2 * (uintptr_t)best->value >= file->n ? best->key : NULL;
}

static void suggest_rename(const Check *c, const WeightsRow *row)
{
    Error err = {0};
    SafeTensors file = {0};
    const char *rule = NULL;
    if (safetensors_open(&file, row->path, &err)) rule = best_rule(c, row, &file);
    if (rule) diag_help(c->diag, "write rename: {%s} beside file:", rule);
    safetensors_close(&file);
}

static void check_one(Check *c, const WeightsInfo *info)
{
    Error err = {0};
    WeightsRow row;
    WeightsTaken taken;
    bool *given = arena_array(c->arena, bool, c->step.nstate + 1);
    const json_t *json = row_of(c->train, info);
    const char *base = json_string_value(json_object_get(info->owns ? json : c->train, "base_dir"));
    const CztKind kind = info->owns ? CZT_FROZEN : CZT_PARAM;
    if (!json || !weights_row(&c->step, json, base ? base : "", kind, c->arena, &row, &err)) return;
    if (access(row.path, F_OK) != 0) return; // told when a run begins
    if (info->owns ? frozen_fits(&c->step, json, &taken, c->arena, &err)
                   : weights_fit(&c->step, &row, given, c->arena, &taken, &err))
        return;
    diag_error(c->diag, info->loc, "%s", err.text);
    if (!taken.taken) suggest_rename(c, &row);
}

void weights_check(Arena *arena, Diag *diag, const Frontend *frontend)
{
    const Program *program = frontend->program;
    if (!frontend->weights.n) return;
    json_t *train = json_loads(program->train_json, 0, NULL);
    Check c = {arena, diag, state_of(arena, program, program->name), train};
    for (uint32_t i = 0; i < frontend->weights.n; i++) check_one(&c, &frontend->weights.at[i]);
    json_decref(train);
}
