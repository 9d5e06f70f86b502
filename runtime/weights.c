// State <-> safetensors. Loading goes in two rounds: compare all names, shapes and dtypes, then
// copy.
#include "runtime/weights.h"

#include "runtime/positions.h"
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

// Compare the file with the wanted tensors.
static void compare(Complaints *c, const Step *step, const SafeTensors *file, uint32_t kinds,
                    uint32_t flags)
{
    Map wanted = {0};
    for (uint32_t i = 0; i < step->nstate; i++) {
        const CztTensor *t = &step->state[i], *f = safetensors_find(file, t->name);
        if (!(kinds & KIND_BIT(t->kind))) continue;
        map_set(c->arena, &wanted, t->name, (void *)(uintptr_t)t);
        c->count |= !f && is_count(t->name);
        if (!f && !(flags & WEIGHTS_ALLOW_MISSING))
            complain(c, str_printf(c->arena, "'%s' %s is missing", t->name, text_of(c->arena, t)));
        if (f && (!same_shape(t, f) || !takes(t->dtype, f->dtype)))
            complain(c, str_printf(c->arena, "'%s' is %s, the program wants %s%s", t->name,
                                   text_of(c->arena, f), text_of(c->arena, t),
                                   positions_alike(f, t) && !same_shape(t, f)
                                       ? " (init: takes positions of other sizes, with resize:)"
                                       : ""));
    }
    for (uint32_t i = 0; i < file->n && !(flags & WEIGHTS_ALLOW_EXTRA); i++)
        if (!map_find(&wanted, file->tensors[i].name)) {
            c->count |= is_count(file->tensors[i].name);
            complain(c,
                     str_printf(c->arena, "'%s' is unknown to the program", file->tensors[i].name));
        }
}

static bool copy_in(Exec *exec, const SafeTensors *file, uint32_t kinds, Error *err)
{
    const Step *step = exec_step(exec);
    Arena *arena = arena_new(); // of floats of another width
    bool ok = true;
    for (uint32_t i = 0; ok && i < step->nstate; i++) {
        const CztTensor *t = &step->state[i], *f = safetensors_find(file, t->name);
        if (!f || !(kinds & KIND_BIT(t->kind))) continue;
        const void *from = file->data + f->offset;
        if (t->dtype != f->dtype) {
            float *wide = arena_alloc(arena, (size_t)t->bytes);
            values_to_f32(wide, f->dtype, from, t->bytes / 4);
            from = wide;
        }
        ok = exec_put_state(exec, i, from, err);
    }
    arena_free(arena);
    return ok;
}

bool weights_load(Exec *exec, const SafeTensors *file, uint32_t kinds, uint32_t flags, Error *err)
{
    Complaints c = {.arena = arena_new(), .text = ""};
    compare(&c, exec_step(exec), file, kinds, flags);
    bool ok = !c.n && copy_in(exec, file, kinds, err);
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
