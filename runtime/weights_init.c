#include "runtime/weights_init.h"

#include "base/glob.h"
#include "base/vec.h"
#include "runtime/tensor_file.h"
#include "runtime/values.h"

#include <string.h>

enum { SHOWN = 5 };

const char *weights_rename(Arena *arena, const WeightsRule *rule, const char *name)
{
    uint32_t n = glob_stars(rule->from), star = 0;
    GlobPart *parts = arena_array(arena, GlobPart, n + 1);
    const char *to = "";
    if (!glob_parts(rule->from, name, parts)) return NULL;
    for (const char *at = rule->to; *at; at++) {
        if (*at != '*')
            to = str_printf(arena, "%s%c", to, *at);
        else if (star < n)
            to = str_printf(arena, "%s%.*s", to, (int)parts[star].n, parts[star].at), star++;
    }
    return to;
}

static bool fits(const CztTensor *to, const CztTensor *from, bool transpose, bool constant)
{
    if (to->rank != from->rank || (transpose && to->rank != 2)) return false;
    for (uint32_t i = 0; i < to->rank; i++)
        if (to->shape[i] != from->shape[transpose ? 1 - i : i]) return false;
    bool numbers = dtype_is_integer(from->dtype) || from->dtype == CZT_BOOL;
    return to->dtype == from->dtype || (to->dtype == CZT_F32 && value_is_float(from->dtype)) ||
           (constant && numbers && (to->dtype == CZT_F32 || dtype_is_integer(to->dtype)));
}

static void leave_out(WeightsTaken *taken, const char *name, Arena *arena)
{
    if (taken->unused++ < SHOWN)
        taken->unused_text =
            str_printf(arena, "%s%s%s", taken->unused_text, taken->unused > 1 ? ", " : "", name);
}

static bool damaged(const Step *step, Error *err)
{
    return error_set(err, "%s: damaged rows of weights", step->file);
}

bool weights_rules(const Step *step, const json_t *json, Arena *arena, WeightsRow *row, Error *err)
{
    const json_t *rename = json_object_get(json, "rename");
    uint32_t n = (uint32_t)json_array_size(rename);
    WeightsRule *rules = arena_array(arena, WeightsRule, n + 1);
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        const json_t *rule = json_array_get(rename, i);
        rules[i] = (WeightsRule){json_string_value(json_object_get(rule, "from")),
                                 json_string_value(json_object_get(rule, "to")),
                                 json_is_true(json_object_get(rule, "transpose")),
                                 json_is_true(json_object_get(rule, "own"))};
        ok &= rules[i].from && rules[i].to;
    }
    *row = (WeightsRow){.prefix = "", .rules = rules, .nrules = n};
    return ok || damaged(step, err);
}

// [h, w], or nothing.
static bool read_grid(const json_t *json, int64_t grid[2])
{
    grid[0] = json_integer_value(json_array_get(json, 0));
    grid[1] = json_integer_value(json_array_get(json, 1));
    return !json || (json_array_size(json) == 2 && grid[0] > 0 && grid[1] > 0 &&
                     grid[0] <= POSITIONS_SIDE && grid[1] <= POSITIONS_SIDE);
}

static bool read_resize(const Step *step, const json_t *json, Arena *arena, WeightsRow *row,
                        Error *err)
{
    const json_t *list = json_object_get(json, "resize");
    uint32_t n = (uint32_t)json_array_size(list);
    PositionsRule *rules = arena_array(arena, PositionsRule, n + 1);
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        const json_t *r = json_array_get(list, i), *prefix = json_object_get(r, "prefix");
        const char *as = json_string_value(json_object_get(r, "as"));
        rules[i].match = json_string_value(json_object_get(r, "match"));
        rules[i].prefix = prefix ? json_integer_value(prefix) : -1;
        ok = ok && rules[i].match && as && positions_way(as, &rules[i].way) &&
             (!prefix || rules[i].prefix >= 0) &&
             read_grid(json_object_get(r, "from"), rules[i].from) &&
             read_grid(json_object_get(r, "to"), rules[i].to);
    }
    row->resize = (PositionsRules){rules, n};
    return ok || damaged(step, err);
}

bool weights_row(const Step *step, const json_t *json, const char *base, CztKind kind, Arena *arena,
                 WeightsRow *row, Error *err)
{
    const char *file = json_string_value(json_object_get(json, "file")),
               *prefix = json_string_value(json_object_get(json, "prefix"));
    if (!file) return damaged(step, err);
    if (!weights_rules(step, json, arena, row, err) || !read_resize(step, json, arena, row, err))
        return false;
    row->path = *file == '/' || !*base ? file : str_printf(arena, "%s/%s", base, file);
    if (prefix) row->prefix = prefix;
    row->kind = kind;
    row->constant = json_is_true(json_object_get(json, "constant"));
    row->checksum = json_string_value(json_object_get(json, "checksum"));
    return true;
}

static const char *without_prefix(const WeightsRow *row, const char *name)
{
    return *row->prefix ? name + strlen(row->prefix) + 1 : name;
}

static bool misfit(const SafeTensors *file, const WeightsRow *row, const CztTensor *f,
                   const CztTensor *t, bool transpose, Arena *arena, Error *err)
{
    const char *help = "", *name = without_prefix(row, t->name);
    const PositionsRule grid = {.way = POSITIONS_GRID, .prefix = -1};
    Positions plan;
    Error unclear = {0};
    if (!transpose && positions_plan(&grid, f, t, &plan, &unclear))
        help = str_printf(arena, "; positions fit with resize: '%s' in the row of the file", name);
    else if (!transpose && positions_alike(f, t))
        help = str_printf(arena,
                          "; if they are positions of tokens, they fit with resize: {'%s': line}, "
                          "or first, in the row of the file",
                          name);
    return error_set(err, "%s: '%s' is %s%s, '%s' of the program is %s%s", file->file, f->name,
                     tensor_text(arena, f->dtype, f->rank, f->shape),
                     transpose ? " and transposed" : "", t->name,
                     tensor_text(arena, t->dtype, t->rank, t->shape), help);
}

static bool plan_resize(const SafeTensors *file, const CztTensor *f, const CztTensor *t,
                        const PositionsRule *rule, TensorPlan *plan, WeightsTaken *taken,
                        Error *err)
{
    Error why = {0};
    Arena *arena = taken->resized.arena;
    if (weights_resize(&taken->resized, rule, f, t, plan, &why)) return true;
    return error_set(err, "%s: '%s' is %s, '%s' of the program is %s: %s", file->file, f->name,
                     tensor_text(arena, f->dtype, f->rank, f->shape), t->name,
                     tensor_text(arena, t->dtype, t->rank, t->shape), why.text);
}

static bool plan_tensor(const Step *step, const SafeTensors *file, const WeightsRow *row,
                        const CztTensor *f, int32_t i, bool transpose, TensorPlan *plan,
                        Arena *arena, WeightsTaken *taken, Error *err)
{
    const CztTensor *t = &step->state[i];
    const PositionsRule *rule =
        transpose ? NULL : positions_rule(&row->resize, without_prefix(row, t->name));
    if (plan[i].from)
        return error_set(err, "%s: '%s' and '%s' are both '%s'", file->file, plan[i].from->name,
                         f->name, t->name);
    plan[i] = (TensorPlan){.from = f, .transpose = transpose};
    if (fits(t, f, transpose, row->constant) && !(rule && positions_reshape(rule))) return true;
    if (rule) return plan_resize(file, f, t, rule, &plan[i], taken, err);
    return misfit(file, row, f, t, transpose, arena, err);
}

const char *weights_name(const WeightsRow *row, const char *name, bool *transpose, Arena *arena)
{
    const char *to = NULL;
    *transpose = false;
    for (uint32_t r = 0; r < row->nrules && !to; r++) {
        to = weights_rename(arena, &row->rules[r], name);
        *transpose = to && row->rules[r].transpose;
    }
    if (!to) to = name;
    return *row->prefix && *to ? str_printf(arena, "%s.%s", row->prefix, to) : to;
}

static const char *add_idle(Arena *arena, const char *text, const char *name)
{
    return str_printf(arena, "%s%s%s", text, *text ? ", " : "", name);
}

static const char *idle_rules(const SafeTensors *file, const WeightsRow *row, Arena *arena)
{
    const char *text = "";
    for (uint32_t r = 0; r < row->nrules; r++) {
        bool met = !row->rules[r].own;
        for (uint32_t k = 0; !met && k < file->n; k++)
            met = glob_match(row->rules[r].from, file->tensors[k].name);
        if (!met) text = add_idle(arena, text, row->rules[r].from);
    }
    return text;
}

// Rules of resize: that match nothing that is taken.
static const char *idle_resize(const Step *step, const WeightsRow *row, const TensorPlan *plan,
                               Arena *arena)
{
    const char *text = "";
    for (uint32_t r = 0; r < row->resize.n; r++) {
        const char *match = row->resize.at[r].match;
        bool met = false;
        for (uint32_t i = 0; !met && i < step->nstate; i++)
            met = plan[i].from && glob_match(match, without_prefix(row, step->state[i].name));
        if (!met) text = add_idle(arena, text, match);
    }
    return text;
}

static bool plan_file(const Step *step, const SafeTensors *file, const WeightsRow *row,
                      TensorPlan *plan, Arena *arena, WeightsTaken *taken, Error *err)
{
    for (uint32_t k = 0; k < file->n; k++) {
        const CztTensor *f = &file->tensors[k];
        bool transpose;
        const char *name = weights_name(row, f->name, &transpose, arena);
        int32_t i = tensor_find(step->state, step->nstate, name);
        if (i < 0 || step->state[i].kind != row->kind) {
            leave_out(taken, f->name, arena);
            continue;
        }
        if (!plan_tensor(step, file, row, f, i, transpose, plan, arena, taken, err)) return false;
        taken->taken++;
    }
    if (taken->taken) return true;
    return error_set(err,
                     "%s: none of its %u tensors is one of the program's%s%s (%s): rename: says "
                     "how they are called",
                     file->file, file->n, *row->prefix ? " under " : "", row->prefix,
                     taken->unused_text);
}

// Open the file of a row and plan what it gives; *plan has a row for each state tensor.
static bool plan_row(const Step *step, const WeightsRow *row, SafeTensors *file, TensorPlan **plan,
                     bool *given, Arena *arena, WeightsTaken *taken, Error *err)
{
    *plan = arena_array(arena, TensorPlan, step->nstate + 1);
    *taken = (WeightsTaken){
        .unused_text = "", .idle = "", .idle_resize = "", .resized = {.arena = arena, .text = ""}};
    if (row->checksum && !tensor_file_check(row->path, row->checksum, err)) return false;
    if (row->constant ? !tensor_file_open(file, row->path, err)
                      : !safetensors_open(file, row->path, err))
        return false;
    taken->idle = idle_rules(file, row, arena);
    if (!plan_file(step, file, row, *plan, arena, taken, err)) return false;
    taken->idle_resize = idle_resize(step, row, *plan, arena);
    for (uint32_t i = 0; i < step->nstate; i++) given[i] |= (*plan)[i].from != NULL;
    return true;
}

bool weights_init(Exec *exec, const WeightsRow *row, bool *given, Arena *arena, WeightsTaken *taken,
                  Error *err)
{
    const Step *step = exec_step(exec);
    SafeTensors file = {0};
    TensorPlan *plan;
    bool ok = plan_row(step, row, &file, &plan, given, arena, taken, err);
    for (uint32_t i = 0; ok && i < step->nstate; i++)
        ok = !plan[i].from || weights_put(exec, &file, i, &plan[i], err);
    safetensors_close(&file);
    return ok;
}

bool weights_fit(const Step *step, const WeightsRow *row, bool *given, Arena *arena,
                 WeightsTaken *taken, Error *err)
{
    SafeTensors file = {0};
    TensorPlan *plan;
    bool ok = plan_row(step, row, &file, &plan, given, arena, taken, err);
    safetensors_close(&file);
    return ok;
}

// Rules of the graph's rows, those of later rows first.
static bool all_resize(const Step *step, Arena *arena, PositionsRules *to, Error *err)
{
    const json_t *rows = json_object_get(json_object_get(step->manifest, "train"), "init");
    VEC(PositionsRule) all = {0};
    for (size_t i = json_array_size(rows); i--;) {
        WeightsRow row;
        if (!read_resize(step, json_array_get(rows, i), arena, &row, err)) return false;
        for (uint32_t r = 0; r < row.resize.n; r++) vec_push(arena, &all, row.resize.at[r]);
    }
    *to = (PositionsRules){all.at, all.n};
    return true;
}

static const char *all_off(const Step *step, const SafeTensors *file, Arena *arena)
{
    uint32_t n = 0;
    const char *text = "";
    for (uint32_t i = 0; i < file->n; i++) {
        const char *name = file->tensors[i].name;
        if (!weights_off(step, name)) continue;
        if (n++ < SHOWN) text = add_idle(arena, text, name);
    }
    return n > SHOWN ? str_printf(arena, "%s and %u more", text, n - SHOWN) : text;
}

bool weights_whole(Exec *exec, const SafeTensors *file, uint32_t flags, Arena *arena,
                   WeightsTold *told, Error *err)
{
    WeightsResize resize = {.arena = arena, .text = ""};
    flags |= WEIGHTS_ALLOW_OFF;
    bool ok = all_resize(exec_step(exec), arena, &resize.rules, err) &&
              weights_load(exec, file, KINDS_PARAMS, flags, &resize, err);
    *told = (WeightsTold){resize.text, all_off(exec_step(exec), file, arena)};
    return ok;
}
