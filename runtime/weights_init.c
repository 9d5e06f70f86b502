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
    bool transpose;
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

bool weights_row(const Step *step, const json_t *json, const char *base, CztKind kind, Arena *arena,
                 WeightsRow *row, Error *err)
{
    const char *file = json_string_value(json_object_get(json, "file")),
               *prefix = json_string_value(json_object_get(json, "prefix"));
    if (!file) return damaged(step, err);
    if (!weights_rules(step, json, arena, row, err)) return false;
    row->path = *file == '/' || !*base ? file : str_printf(arena, "%s/%s", base, file);
    if (prefix) row->prefix = prefix;
    row->kind = kind;
    return true;
}

static bool plan_tensor(const Step *step, const SafeTensors *file, const CztTensor *f,
                        const char *name, bool transpose, Plan *plan, Arena *arena, Error *err)
{
    int32_t i = tensor_find(step->state, step->nstate, name);
    const CztTensor *t = &step->state[i];
    if (plan[i].from)
        return error_set(err, "%s: '%s' and '%s' are both '%s'", file->file, plan[i].from->name,
                         f->name, name);
    if (!fits(t, f, transpose))
        return error_set(err, "%s: '%s' is %s%s, '%s' of the program is %s", file->file, f->name,
                         tensor_text(arena, f->dtype, f->rank, f->shape),
                         transpose ? " and transposed" : "", name,
                         tensor_text(arena, t->dtype, t->rank, t->shape));
    plan[i] = (Plan){f, transpose};
    return true;
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
        if (!plan_tensor(step, file, f, name, transpose, plan, arena, err)) return false;
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
    if (t->dtype != p->from->dtype || p->transpose) {
        float *wide = arena_alloc(arena, (size_t)t->bytes);
        if (t->dtype != p->from->dtype)
            values_to_f32(wide, p->from->dtype, from, t->bytes / 4);
        else
            memcpy(wide, from, (size_t)t->bytes);
        from = wide;
    }
    if (p->transpose) {
        float *turned = arena_alloc(arena, (size_t)t->bytes);
        turn(turned, from, p->from->shape[0], p->from->shape[1]);
        from = turned;
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
    *taken = (WeightsTaken){.unused_text = "", .idle = ""};
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
