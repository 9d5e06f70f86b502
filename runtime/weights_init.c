#include "runtime/weights_init.h"

#include "runtime/values.h"

#include <string.h>

enum { SHOWN = 5, STARS = 8 };

typedef struct Part { // of a name, that a star met
    const char *at;
    size_t n;
} Part;

// Each star takes as little as it can.
static bool match(const char *pattern, const char *name, Part *parts, uint32_t n)
{
    for (; *pattern && *pattern != '*'; pattern++, name++)
        if (*pattern != *name) return false;
    if (!*pattern) return !*name;
    if (n == STARS) return false;
    for (size_t length = 0;; length++) {
        parts[n] = (Part){name, length};
        if (match(pattern + 1, name + length, parts, n + 1)) return true;
        if (!name[length]) return false;
    }
}

const char *weights_rename(Arena *arena, const WeightsRule *rule, const char *name)
{
    Part parts[STARS] = {{0}};
    const char *to = "";
    uint32_t star = 0;
    if (!match(rule->from, name, parts, 0)) return NULL;
    for (const char *at = rule->to; *at; at++) {
        if (*at != '*')
            to = str_printf(arena, "%s%c", to, *at);
        else if (star < STARS && parts[star].at)
            to = str_printf(arena, "%s%.*s", to, (int)parts[star].n, parts[star].at), star++;
    }
    return to;
}

typedef struct Plan { // by state tensor
    const CztTensor *from;
    bool transpose, resize;
    Positions positions;
} Plan;

static bool fits(const CztTensor *to, const CztTensor *from, bool transpose)
{
    if (to->rank != from->rank || (transpose && to->rank != 2)) return false;
    for (uint32_t i = 0; i < to->rank; i++)
        if (to->shape[i] != from->shape[transpose ? 1 - i : i]) return false;
    return to->dtype == from->dtype || (to->dtype == CZT_F32 && value_is_float(from->dtype));
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
    row->resize = rules;
    row->nresize = n;
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
    return true;
}

static const char *without_prefix(const WeightsRow *row, const char *name)
{
    return *row->prefix ? name + strlen(row->prefix) + 1 : name;
}

// The first rule for a name; NULL: none.
static const PositionsRule *find_resize(const WeightsRow *row, const char *name)
{
    name = without_prefix(row, name);
    for (uint32_t i = 0; i < row->nresize; i++) {
        Part parts[STARS] = {{0}};
        if (match(row->resize[i].match, name, parts, 0)) return &row->resize[i];
    }
    return NULL;
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

static const char *sizes(Arena *arena, const CztTensor *t)
{
    const char *text = "";
    for (uint32_t i = 0; i < t->rank; i++)
        text = str_printf(arena, "%s%s%lld", text, i ? ", " : "", (long long)t->shape[i]);
    return text;
}

static bool plan_resize(const SafeTensors *file, const CztTensor *f, const CztTensor *t,
                        const PositionsRule *rule, Plan *plan, Arena *arena, WeightsTaken *taken,
                        Error *err)
{
    Error why = {0};
    if (t->dtype != CZT_F32 || !value_is_float(f->dtype))
        error_set(&why, "only floats are resized");
    else
        positions_plan(rule, f, t, &plan->positions, &why);
    if (*why.text)
        return error_set(err, "%s: '%s' is (%s), '%s' of the program is (%s): %s", file->file,
                         f->name, sizes(arena, f), t->name, sizes(arena, t), why.text);
    plan->resize = true;
    taken->resized_text =
        str_printf(arena, "%s%s%s (%s) from (%s)", taken->resized_text,
                   taken->resized++ ? ", " : "", t->name, sizes(arena, t), sizes(arena, f));
    return true;
}

static bool plan_tensor(const Step *step, const SafeTensors *file, const WeightsRow *row,
                        const CztTensor *f, int32_t i, bool transpose, Plan *plan, Arena *arena,
                        WeightsTaken *taken, Error *err)
{
    const CztTensor *t = &step->state[i];
    const PositionsRule *rule = transpose ? NULL : find_resize(row, t->name);
    if (plan[i].from)
        return error_set(err, "%s: '%s' and '%s' are both '%s'", file->file, plan[i].from->name,
                         f->name, t->name);
    plan[i] = (Plan){.from = f, .transpose = transpose};
    if (fits(t, f, transpose) && !(rule && positions_reshape(rule))) return true;
    if (rule) return plan_resize(file, f, t, rule, &plan[i], arena, taken, err);
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

static const char *idle_rules(const SafeTensors *file, const WeightsRow *row, Arena *arena)
{
    const char *text = "";
    Part parts[STARS];
    for (uint32_t r = 0; r < row->nrules; r++) {
        bool met = !row->rules[r].own;
        for (uint32_t k = 0; !met && k < file->n; k++)
            met = match(row->rules[r].from, file->tensors[k].name, parts, 0);
        if (!met) text = str_printf(arena, "%s%s%s", text, *text ? ", " : "", row->rules[r].from);
    }
    return text;
}

static bool plan_file(const Step *step, const SafeTensors *file, const WeightsRow *row, Plan *plan,
                      Arena *arena, WeightsTaken *taken, Error *err)
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

static void turn(float *to, const float *from, int64_t rows, int64_t columns)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) to[c * rows + r] = from[r * columns + c];
}

static bool copy_tensor(Exec *exec, const SafeTensors *file, uint32_t i, const Plan *p, Error *err)
{
    const CztTensor *t = &exec_step(exec)->state[i];
    Arena *arena = arena_new();
    const void *from = file->data + p->from->offset;
    if (t->dtype != p->from->dtype || p->transpose || p->resize) {
        int64_t bytes = p->from->bytes, n = bytes / czt_dtype_size(p->from->dtype);
        float *wide = arena_alloc(arena, (size_t)n * 4);
        if (t->dtype != p->from->dtype)
            values_to_f32(wide, p->from->dtype, from, n);
        else
            memcpy(wide, from, (size_t)bytes);
        from = wide;
    }
    if (p->transpose || p->resize) {
        float *made = arena_alloc(arena, (size_t)t->bytes);
        if (p->transpose)
            turn(made, from, p->from->shape[0], p->from->shape[1]);
        else
            positions_resize(&p->positions, from, made);
        from = made;
    }
    bool ok = exec_put_state(exec, i, from, err);
    arena_free(arena);
    return ok;
}

bool weights_init(Exec *exec, const WeightsRow *row, bool *given, Arena *arena, WeightsTaken *taken,
                  Error *err)
{
    const Step *step = exec_step(exec);
    SafeTensors file = {0};
    Plan *plan = arena_array(arena, Plan, step->nstate + 1);
    *taken = (WeightsTaken){.unused_text = "", .idle = "", .resized_text = ""};
    if (!safetensors_open(&file, row->path, err)) return false;
    taken->idle = idle_rules(&file, row, arena);
    bool ok = plan_file(step, &file, row, plan, arena, taken, err);
    for (uint32_t i = 0; ok && i < step->nstate; i++) {
        if (!plan[i].from) continue;
        ok = copy_tensor(exec, &file, i, &plan[i], err);
        given[i] = true;
    }
    safetensors_close(&file);
    return ok;
}
