// State <-> safetensors. Loading goes in two rounds: compare all names, shapes and dtypes, then
// copy.
#include "runtime/weights.h"

#include "runtime/values.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 8 };

typedef struct Complaints {
    Arena *arena;
    const char *text;
    uint32_t n;
    bool count; // of updates, which a program with train.nonfinite: skip has
} Complaints;

static void complain(Complaints *c, const char *text)
{
    if (c->n++ < SHOWN) c->text = str_printf(c->arena, "%s; %s", c->text, text);
}

static bool is_count(const char *name)
{
    return strncmp(name, "$opt.", 5) == 0 && strstr(name, ".@");
}

static bool same_shape(const CztTensor *a, const CztTensor *b)
{
    return a->rank == b->rank &&
           (!a->rank || memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0);
}

static bool takes(CztDtype to, CztDtype from)
{
    return to == from || (to == CZT_F32 && value_is_float(from));
}

static const char *text_of(Arena *arena, const CztTensor *t)
{
    return tensor_text(arena, t->dtype, t->rank, t->shape);
}

// ---- one tensor ---------------------------------------------------------------------------------

static const char *sizes(Arena *arena, const CztTensor *t)
{
    const char *text = "";
    for (uint32_t i = 0; i < t->rank; i++)
        text = str_printf(arena, "%s%s%lld", text, i ? ", " : "", (long long)t->shape[i]);
    return text;
}

bool weights_resize(WeightsResize *r, const PositionsRule *rule, const CztTensor *f,
                    const CztTensor *t, TensorPlan *plan, Error *err)
{
    if (t->dtype != CZT_F32 || !value_is_float(f->dtype))
        return error_set(err, "only floats are resized");
    if (!positions_plan(rule, f, t, &plan->positions, err)) return false;
    plan->resize = true;
    r->text = str_printf(r->arena, "%s%s%s (%s) from (%s)", r->text, r->n++ ? ", " : "", t->name,
                         sizes(r->arena, t), sizes(r->arena, f));
    return true;
}

static void turn(float *to, const float *from, int64_t rows, int64_t columns)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) to[c * rows + r] = from[r * columns + c];
}

bool weights_put(Exec *exec, const SafeTensors *file, uint32_t i, const TensorPlan *p, Error *err)
{
    const CztTensor *t = &exec_step(exec)->state[i];
    Arena *arena = arena_new();
    const void *from = file->data + p->from->offset;
    if (t->dtype != p->from->dtype && t->dtype != CZT_F32) {
        void *made = arena_alloc(arena, (size_t)t->bytes);
        int64_t n = t->bytes / czt_dtype_size(t->dtype);
        Error why = {0};
        if (!values_to_integer(t->dtype, made, p->from->dtype, from, n, t->name, &why)) {
            arena_free(arena);
            return error_set(err, "%s: %s", file->file, why.text);
        }
        from = made;
    } else if (t->dtype != p->from->dtype || p->transpose || p->resize) {
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

// ---- all of a file ------------------------------------------------------------------------------

// A rule of resize: is of files of another size; what fits is as the program has it.
static void compare_one(Complaints *c, const CztTensor *t, const CztTensor *f,
                        WeightsResize *resize, TensorPlan *plan)
{
    const PositionsRule *rule = resize ? positions_rule(&resize->rules, t->name) : NULL;
    Error why = {0};
    plan->from = f;
    if (same_shape(t, f) && takes(t->dtype, f->dtype)) return;
    bool may = !same_shape(t, f) && positions_alike(f, t);
    if (rule && may && weights_resize(resize, rule, f, t, plan, &why)) return;
    const char *help = rule && may ? str_printf(c->arena, ": %s", why.text)
                       : may       ? " (positions of other sizes are taken where resize: in a row "
                                     "of init: says how)"
                                   : "";
    complain(c, str_printf(c->arena, "'%s' is %s, the program wants %s%s", t->name,
                           text_of(c->arena, f), text_of(c->arena, t), help));
}

bool weights_off(const Step *step, const char *name)
{
    const json_t *off = json_object_get(json_object_get(step->manifest, "train"), "off");
    for (size_t i = 0; i < json_array_size(off); i++) {
        const char *path = json_string_value(json_array_get(off, i));
        size_t n = path ? strlen(path) : 0;
        if (n && strncmp(name, path, n) == 0 && (!name[n] || name[n] == '.')) return true;
    }
    return false;
}

// An accumulator of a metric, which older checkpoints have.
static bool is_metric(const char *name)
{
    return strncmp(name, "$metric.", 8) == 0;
}

// Compare the file with the wanted tensors.
static void compare(Complaints *c, const Step *step, const SafeTensors *file, uint32_t kinds,
                    uint32_t flags, WeightsResize *resize, TensorPlan *plan)
{
    Map wanted = {0};
    for (uint32_t i = 0; i < step->nstate; i++) {
        const CztTensor *t = &step->state[i], *f = safetensors_find(file, t->name);
        if (!(kinds & KIND_BIT(t->kind))) continue;
        map_set(c->arena, &wanted, t->name, (void *)(uintptr_t)t);
        c->count |= !f && is_count(t->name);
        if (f)
            compare_one(c, t, f, resize, &plan[i]);
        else if (!(flags & WEIGHTS_ALLOW_MISSING))
            complain(c, str_printf(c->arena, "'%s' %s is missing", t->name, text_of(c->arena, t)));
    }
    for (uint32_t i = 0; i < file->n && !(flags & WEIGHTS_ALLOW_EXTRA); i++) {
        const char *name = file->tensors[i].name;
        bool off = (flags & WEIGHTS_ALLOW_OFF) && weights_off(step, name);
        if (map_find(&wanted, name) || off || is_metric(name)) continue;
        c->count |= is_count(name);
        complain(c, str_printf(c->arena, "'%s' is unknown to the program", name));
    }
}

bool weights_load(Exec *exec, const SafeTensors *file, uint32_t kinds, uint32_t flags,
                  WeightsResize *resize, Error *err)
{
    const Step *step = exec_step(exec);
    Complaints c = {.arena = arena_new(), .text = ""};
    TensorPlan *plan = arena_array(c.arena, TensorPlan, step->nstate + 1);
    compare(&c, step, file, kinds, flags, resize, plan);
    bool ok = !c.n;
    for (uint32_t i = 0; ok && i < step->nstate; i++)
        if (plan[i].from) ok = weights_put(exec, file, i, &plan[i], err);
    const char *more = c.n > SHOWN ? str_printf(c.arena, "; and %u more", c.n - SHOWN) : "";
    const char *why = c.count ? " (nonfinite: skip counts the updates that are made: a run that "
                                "was begun without, or by an earlier version, goes on with its "
                                "own step)"
                              : "";
    if (c.n)
        error_set(err, "%s: %u tensors do not fit: %s%s%s", file->file, c.n, c.text + 2, more, why);
    arena_free(c.arena);
    return ok;
}

// Larger elements first, so that every tensor is aligned in the file; else the program's order.
static int by_size(const void *a, const void *b)
{
    const CztTensor *x = a, *y = b;
    int64_t p = czt_dtype_size(x->dtype), q = czt_dtype_size(y->dtype);
    if (p != q) return p > q ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

bool weights_save(Exec *exec, const uint8_t *snapshot, const char *path, uint32_t kinds,
                  const json_t *metadata, uint64_t *sum, Error *err)
{
    const Step *step = exec_step(exec);
    Arena *arena = arena_new();
    CztTensor *tensors = arena_array(arena, CztTensor, step->nstate + 1);
    uint32_t n = 0;
    for (uint32_t i = 0; i < step->nstate; i++) {
        if (!(kinds & KIND_BIT(step->state[i].kind))) continue;
        tensors[n++] = step->state[i];
    }
    qsort(tensors, n, sizeof *tensors, by_size);
    SafeWriter w;
    bool ok = safetensors_begin(&w, path, tensors, n, metadata, err);
    if (ok) {
        for (uint32_t i = 0; ok && i < n; i++) {
            int32_t at = tensor_find(step->state, step->nstate, tensors[i].name);
            const void *data =
                snapshot ? snapshot + tensors[i].offset : exec_state(exec, (uint32_t)at, err);
            ok = data && safetensors_put(&w, data, tensors[i].bytes, err);
        }
        if (ok)
            ok = safetensors_end(&w, sum, err);
        else
            safetensors_cancel(&w);
    }
    arena_free(arena);
    return ok;
}
