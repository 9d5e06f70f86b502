// The manifest of a step file: JSON text -> tables. docs/step-format.md is the specification. Every
// number is checked against what it counts or points into before anything uses it, and every
// complaint names the place as a path ("entries[2].launches[0].segments[1]").
#include "runtime/step.h"

#include "base/vec.h"

#include <string.h>

// Larger blocks than this exist on no machine; sums of such numbers cannot overflow.
static const int64_t LARGEST = INT64_C(1) << 47;
enum { NUMBERS = 64 }; // of a launch, at most

typedef struct Reader {
    Step *step;
    Arena *arena;
    Error *err;
} Reader;

static bool fail(Reader *r, const char *where, const char *key, const char *what)
{
    return error_set(r->err, "%s: manifest: %s%s%s %s", r->step->file, where, *where ? "." : "",
                     key, what);
}

static bool get_int(Reader *r, json_t *object, const char *where, const char *key, int64_t low,
                    int64_t high, int64_t *out)
{
    json_t *value = json_object_get(object, key);
    *out = json_integer_value(value);
    if (json_is_integer(value) && *out >= low && *out <= high) return true;
    return fail(r, where, key,
                str_printf(r->arena, "must be an integer from %lld to %lld", (long long)low,
                           (long long)high));
}

static bool get_text(Reader *r, json_t *object, const char *where, const char *key,
                     const char **out)
{
    *out = json_string_value(json_object_get(object, key));
    return *out ? true : fail(r, where, key, "must be a text");
}

// An array, with its length; missing is an error.
static bool get_array(Reader *r, json_t *object, const char *where, const char *key, json_t **out,
                      uint32_t *n)
{
    *out = json_object_get(object, key);
    if (!json_is_array(*out) || json_array_size(*out) > UINT32_MAX / 2)
        return fail(r, where, key, "must be an array");
    *n = (uint32_t)json_array_size(*out);
    return true;
}

static bool read_shape(Reader *r, json_t *object, const char *where, CztTensor *t)
{
    json_t *array;
    if (!get_array(r, object, where, "shape", &array, &t->rank)) return false;
    int64_t *shape = arena_array(r->arena, int64_t, t->rank + 1), bytes = czt_dtype_size(t->dtype);
    for (uint32_t i = 0; i < t->rank; i++) {
        json_t *value = json_array_get(array, i);
        shape[i] = json_integer_value(value);
        if (!json_is_integer(value) || shape[i] < 0 || shape[i] > LARGEST ||
            __builtin_mul_overflow(bytes, shape[i], &bytes) || bytes > LARGEST)
            return fail(r, where, "shape", "must hold sizes whose product is a size");
    }
    t->shape = shape;
    if (bytes != t->bytes) return fail(r, where, "bytes", "is not what shape and dtype take");
    return true;
}

// A tensor of a block of block_bytes.
static bool read_tensor(Reader *r, json_t *object, const char *where, int64_t block_bytes,
                        CztTensor *t)
{
    const char *dtype;
    if (!get_text(r, object, where, "name", &t->name) ||
        !get_text(r, object, where, "dtype", &dtype))
        return false;
    if (!dtype_parse(dtype, &t->dtype)) return fail(r, where, "dtype", "is none of this version's");
    if (!get_int(r, object, where, "offset", 0, block_bytes, &t->offset) ||
        !get_int(r, object, where, "bytes", 0, block_bytes - t->offset, &t->bytes))
        return false;
    if (t->offset % czt_dtype_size(t->dtype)) return fail(r, where, "offset", "is not aligned");
    return read_shape(r, object, where, t);
}

static bool read_kind(Reader *r, json_t *object, const char *where, CztKind *kind)
{
    const char *name;
    if (!get_text(r, object, where, "kind", &name)) return false;
    for (*kind = 0; *kind < CZT_KIND_COUNT; ++*kind)
        if (strcmp(kind_name(*kind), name) == 0) return true;
    return fail(r, where, "kind", "is none of this version's");
}

static bool read_tensors(Reader *r, json_t *object, const char *parent, const char *key,
                         int64_t block_bytes, bool kinds, const CztTensor **out, uint32_t *n)
{
    json_t *array;
    Map names = {0};
    if (!get_array(r, object, parent, key, &array, n)) return false;
    CztTensor *tensors = arena_array(r->arena, CztTensor, *n + 1);
    for (uint32_t i = 0; i < *n; i++) {
        const char *where = str_printf(r->arena, "%s%s%s[%u]", parent, *parent ? "." : "", key, i);
        json_t *row = json_array_get(array, i);
        if (!read_tensor(r, row, where, block_bytes, &tensors[i])) return false;
        if (kinds && !read_kind(r, row, where, &tensors[i].kind)) return false;
        if (!map_set(r->arena, &names, tensors[i].name, &tensors[i]))
            return fail(r, where, "name", "stands there twice");
    }
    *out = tensors;
    return true;
}

// "lines" may be missing: a kernel of the compiler's own (a copy) has none.
static bool read_lines(Reader *r, json_t *row, const char *where, const char *const **to,
                       uint32_t *n)
{
    json_t *array = json_object_get(row, "lines");
    if (!array) return true;
    if (!get_array(r, row, where, "lines", &array, n)) return false;
    const char **lines = arena_array(r->arena, const char *, *n + 1);
    for (uint32_t i = 0; i < *n; i++) {
        lines[i] = json_string_value(json_array_get(array, i));
        if (!lines[i]) return fail(r, where, "lines", "must hold texts");
    }
    *to = lines;
    return true;
}

// "buffers": [[bytes, written, dtype], ..] says how far a kernel reaches. A CPU's file may lack it.
static bool read_extents(Reader *r, json_t *row, const char *where, StepKernel *k)
{
    json_t *array = json_object_get(row, "buffers");
    if (!array && !r->step->cuda) return true;
    if (!get_array(r, row, where, "buffers", &array, &k->nextents)) return false;
    StepExtent *extents = arena_array(r->arena, StepExtent, k->nextents + 1);
    for (uint32_t i = 0; i < k->nextents; i++) {
        json_t *pair = json_array_get(array, i), *bytes = json_array_get(pair, 0);
        json_t *written = json_array_get(pair, 1);
        const char *dtype = json_string_value(json_array_get(pair, 2));
        extents[i] = (StepExtent){json_integer_value(bytes), json_is_true(written), CZT_F32};
        if (!json_is_integer(bytes) || !json_is_boolean(written) || extents[i].bytes < 0 ||
            extents[i].bytes > LARGEST || !dtype || !dtype_parse(dtype, &extents[i].dtype))
            return fail(r, where, "buffers", "must hold [bytes, written, dtype]");
    }
    k->extents = extents;
    return true;
}

// "sizes": [x, y] of a kernel whose function takes a table of segments.
static bool read_sizes(Reader *r, json_t *row, const char *where, StepKernel *k)
{
    json_t *array = json_object_get(row, "sizes");
    uint32_t n;
    if (!array) return true;
    if (!get_array(r, row, where, "sizes", &array, &n)) return false;
    for (uint32_t i = 0; i < 2; i++) {
        json_t *size = json_array_get(array, i);
        k->size[i] = json_integer_value(size);
        if (n != 2 || !json_is_integer(size) || k->size[i] < 0 || k->size[i] > LARGEST)
            return fail(r, where, "sizes", "must be two sizes");
    }
    if (k->blocks[1] != 1) return fail(r, where, "blocks_y", "must be 1 with a table");
    return k->table = true;
}

// "numbers": [x, ..] that a function takes beside the addresses.
static bool read_numbers(Reader *r, json_t *row, const char *where, StepKernel *k)
{
    json_t *array = json_object_get(row, "numbers");
    if (!array) return true;
    if (!get_array(r, row, where, "numbers", &array, &k->nnumbers)) return false;
    if (k->table || k->nnumbers > NUMBERS)
        return fail(r, where, "numbers", k->table ? "has no place beside sizes" : "is too long");
    int64_t *numbers = arena_array(r->arena, int64_t, k->nnumbers + 1);
    for (uint32_t i = 0; i < k->nnumbers; i++) {
        json_t *number = json_array_get(array, i);
        numbers[i] = json_integer_value(number);
        if (!json_is_integer(number) || numbers[i] < INT32_MIN || numbers[i] > INT32_MAX)
            return fail(r, where, "numbers", "must hold whole numbers of 32 bits");
    }
    k->numbers = numbers;
    return true;
}

// A GPU's kernel: its name and launch.
static bool read_launch_shape(Reader *r, json_t *row, const char *where, StepKernel *k)
{
    int64_t unit, threads, x, y, shared;
    if (!get_text(r, row, where, "symbol", &k->symbol) ||
        !get_int(r, row, where, "unit", 0, (int64_t)r->step->nunits - 1, &unit) ||
        !get_int(r, row, where, "threads", 1, 1024, &threads) ||
        !get_int(r, row, where, "blocks_x", 1, INT32_MAX, &x) ||
        !get_int(r, row, where, "blocks_y", 1, UINT16_MAX, &y) ||
        !get_int(r, row, where, "shared_bytes", 0, 1 << 20, &shared))
        return false;
    k->unit = (uint32_t)unit;
    k->threads = (uint32_t)threads;
    k->blocks[0] = (uint32_t)x;
    k->blocks[1] = (uint32_t)y;
    k->shared_bytes = (uint32_t)shared;
    return read_sizes(r, row, where, k) && read_numbers(r, row, where, k);
}

// [buffer, offset, batch, row, col] of rows x cols elements, which must lie in the buffer.
static bool read_matrix(Reader *r, json_t *product, const char *where, const char *key,
                        const StepKernel *k, const int64_t size[3], CztDtype dtype, StepMatrix *m)
{
    json_t *array = json_object_get(product, key);
    int64_t v[5], last;
    for (size_t i = 0; i < 5; i++) {
        json_t *x = json_array_get(array, i);
        v[i] = json_integer_value(x);
        if (!json_is_integer(x) || v[i] < 0 || v[i] > LARGEST)
            return fail(r, where, key, "must be [buffer, offset, batch, row, col]");
    }
    *m = (StepMatrix){(uint32_t)v[0], v[1], v[2], v[3], v[4]};
    bool rows = m->col == 1 && (size[1] == 1 || m->row >= size[2]);
    bool cols = m->row == 1 && (size[2] == 1 || m->col >= size[1]);
    if (v[0] >= k->nextents || !(rows || cols) || k->extents[v[0]].dtype != dtype)
        return fail(r, where, key, "is no dense matrix of the kernel's buffers");
    last = m->offset;
    int64_t strides[3] = {m->batch, m->row, m->col}, way;
    for (int i = 0; i < 3; i++)
        if (__builtin_mul_overflow(size[i] - 1, strides[i], &way) || way > LARGEST ||
            (last += way) > LARGEST)
            return fail(r, where, key, "leaves its buffer");
    return (last + 1) * czt_dtype_size(dtype) <= k->extents[v[0]].bytes ||
           fail(r, where, key, "leaves its buffer");
}

// The bias is added along the axis of the result that is dense.
static bool read_bias(Reader *r, json_t *product, const char *where, const StepKernel *k,
                      StepProduct *p)
{
    p->biased = json_object_get(product, "bias") != NULL;
    if (!p->biased) return true;
    if (p->c.col != 1) return fail(r, where, "bias", "needs a result with dense rows");
    return read_matrix(r, product, where, "bias", k, (int64_t[]){1, 1, p->n}, p->to, &p->bias) &&
           (p->bias.col == 1 || fail(r, where, "bias", "is not dense"));
}

// What is added lies like the result.
static bool read_sum(Reader *r, json_t *product, const char *where, const StepKernel *k,
                     StepProduct *p)
{
    int64_t sizes[3] = {p->batch, p->m, p->n};
    p->added = json_object_get(product, "sum") != NULL;
    if (!p->added) return true;
    if (p->biased || p->to != CZT_F32) return fail(r, where, "sum", "is for products of f32");
    if (!read_matrix(r, product, where, "sum", k, sizes, p->to, &p->sum)) return false;
    bool same = p->sum.batch == p->c.batch && p->sum.row == p->c.row && p->sum.col == p->c.col;
    return (same && p->sum.buffer != p->c.buffer) ||
           fail(r, where, "sum", "does not lie like the result");
}

// Of 8-bit floats the results are f32 or bf16, else f32 or as the operands.
static bool are_multiplied(CztDtype from, CztDtype to)
{
    bool bytes = from == CZT_F8E4M3 || from == CZT_F8E5M2;
    bool known = bytes || from == CZT_F32 || from == CZT_BF16 || from == CZT_F16;
    return known && (to == CZT_F32 || to == (bytes ? CZT_BF16 : from));
}

static bool read_product(Reader *r, json_t *row, const char *where, StepKernel *k)
{
    json_t *o = json_object_get(row, "product");
    if (!o) return true;
    StepProduct *p = arena_make(r->arena, StepProduct);
    const char *from, *to, *at = str_printf(r->arena, "%s.product", where);
    int64_t rest = -1;
    if (!get_int(r, o, at, "batch", 1, INT32_MAX, &p->batch) ||
        !get_int(r, o, at, "m", 1, INT32_MAX, &p->m) ||
        !get_int(r, o, at, "n", 1, INT32_MAX, &p->n) ||
        !get_int(r, o, at, "k", 1, INT32_MAX, &p->k) || !get_text(r, o, at, "from", &from) ||
        !get_text(r, o, at, "to", &to))
        return false;
    p->tf32 = strcmp(from, "tf32") == 0;
    if (!dtype_parse(p->tf32 ? "f32" : from, &p->from) || !dtype_parse(to, &p->to) ||
        !are_multiplied(p->from, p->to))
        return fail(r, at, "from", "and to are no dtypes of products");
    if (json_object_get(o, "rest") &&
        !get_int(r, o, at, "rest", 0, (int64_t)r->step->nkernels - 1, &rest))
        return false;
    p->rest = (int32_t)rest;
    p->workspace = json_is_true(json_object_get(o, "workspace"));
    k->product = p;
    return read_matrix(r, o, at, "a", k, (int64_t[]){p->batch, p->m, p->k}, p->from, &p->a) &&
           read_matrix(r, o, at, "b", k, (int64_t[]){p->batch, p->n, p->k}, p->from, &p->b) &&
           read_matrix(r, o, at, "c", k, (int64_t[]){p->batch, p->m, p->n}, p->to, &p->c) &&
           read_bias(r, o, at, k, p) && read_sum(r, o, at, k, p) &&
           ((p->a.buffer != p->c.buffer && p->b.buffer != p->c.buffer &&
             (!p->biased || p->bias.buffer != p->c.buffer)) ||
            fail(r, at, "c", "is what the product is made of"));
}

static bool read_kernel(Reader *r, json_t *row, const char *where, StepKernel *k)
{
    // An offset at the end would run off the section; a file without code has no kernels but those
    // its loader brings (tests), so then any offset of 0 will do.
    int64_t last = r->step->code_size ? (int64_t)r->step->code_size - 1 : 0;
    return get_text(r, row, where, "name", &k->name) && get_text(r, row, where, "kind", &k->kind) &&
           get_int(r, row, where, "flops", 0, INT64_MAX, &k->flops) &&
           get_int(r, row, where, "bytes", 0, INT64_MAX, &k->bytes) &&
           (r->step->cuda ? read_launch_shape(r, row, where, k)
                          : get_int(r, row, where, "offset", 0, last, &k->offset)) &&
           read_extents(r, row, where, k) && read_lines(r, row, where, &k->lines, &k->nlines) &&
           read_product(r, row, where, k);
}

// The kernel that does the rest of a product touches what that does, and is launched as it is.
static bool check_rests(Reader *r)
{
    for (uint32_t i = 0; i < r->step->nkernels; i++) {
        const StepKernel *k = &r->step->kernels[i], *rest;
        const char *where = str_printf(r->arena, "kernels[%u].product", i);
        if (!k->product) continue;
        if (k->table) return fail(r, where, "sizes", "has no place beside a product");
        if (!k->extents[k->product->c.buffer].written) return fail(r, where, "c", "is not written");
        if (k->product->rest < 0) continue;
        rest = &r->step->kernels[k->product->rest];
        bool same = rest->nextents == k->nextents && !rest->product && !rest->table;
        for (uint32_t b = 0; same && b < k->nextents; b++)
            same = rest->extents[b].bytes == k->extents[b].bytes &&
                   (!rest->extents[b].written || k->extents[b].written);
        if (!same) return fail(r, where, "rest", "is no kernel on the same buffers");
    }
    return true;
}

// Kernels that are one function are launched alike.
static bool check_functions(Reader *r)
{
    Map known = {0};
    for (uint32_t i = 0; r->step->cuda && i < r->step->nkernels; i++) {
        const StepKernel *k = &r->step->kernels[i], *first;
        const char *name = str_printf(r->arena, "%u %s", k->unit, k->symbol);
        first = map_get(&known, name);
        if (!first) map_set(r->arena, &known, name, (void *)(uintptr_t)k);
        if (first && (first->table != k->table || first->nextents != k->nextents ||
                      first->threads != k->threads || first->shared_bytes != k->shared_bytes))
            return fail(r, str_printf(r->arena, "kernels[%u]", i), "symbol",
                        "is another kernel's, which is launched otherwise");
    }
    return true;
}

static bool read_kernels(Reader *r)
{
    json_t *array;
    uint32_t n;
    if (!get_array(r, r->step->manifest, "", "kernels", &array, &n)) return false;
    StepKernel *kernels = arena_array(r->arena, StepKernel, n + 1);
    r->step->nkernels = n;
    for (uint32_t i = 0; i < n; i++) {
        const char *where = str_printf(r->arena, "kernels[%u]", i);
        if (!read_kernel(r, json_array_get(array, i), where, &kernels[i])) return false;
    }
    r->step->kernels = kernels;
    return check_rests(r) && check_functions(r);
}

static int64_t space_bytes(const Step *step, const StepEntry *entry, StepSpace space)
{
    switch (space) {
    case SPACE_STATE: return step->state_bytes;
    case SPACE_SCRATCH: return entry->scratch_bytes;
    case SPACE_INPUT: return entry->input_bytes;
    case SPACE_OUTPUT: return entry->output_bytes;
    case SPACE_CONST: return step->const_bytes;
    case SPACES: break;
    }
    return -1;
}

// `reach`: bytes that the kernel takes from there.
static bool read_buffer(Reader *r, json_t *pair, const char *where, const StepEntry *entry,
                        int64_t reach, StepBuffer *out)
{
    static const char names[SPACES][8] = {"state", "scratch", "input", "output", "const"};
    const char *name = json_string_value(json_array_get(pair, 0));
    json_t *offset = json_array_get(pair, 1);
    if (!name || !json_is_integer(offset) || json_array_size(pair) != 2)
        return fail(r, where, "buffers", "must hold pairs [block, offset]");
    for (out->space = 0; out->space < SPACES; out->space++)
        if (strcmp(names[out->space], name) == 0) break;
    out->offset = json_integer_value(offset);
    int64_t bytes = space_bytes(r->step, entry, out->space);
    if (r->step->cuda && out->offset % (out->space == SPACE_CONST ? 8 : 16))
        return fail(r, where, "buffers", "must begin at multiples of 16");
    if (bytes < 0) return fail(r, where, "buffers", "names a block that is none");
    if (out->offset < 0 || out->offset > bytes - reach)
        return fail(r, where, "buffers",
                    str_printf(r->arena, "leave the block '%s': %lld of %lld bytes", name,
                               (long long)out->offset + (long long)reach, (long long)bytes));
    return true;
}

static bool read_segment(Reader *r, json_t *row, const char *where, const StepEntry *entry,
                         StepSegment *s)
{
    json_t *array;
    int64_t kernel;
    if (!get_int(r, row, where, "kernel", 0, (int64_t)r->step->nkernels - 1, &kernel) ||
        !get_int(r, row, where, "tasks", 0, LARGEST, &s->tasks) ||
        !get_array(r, row, where, "buffers", &array, &s->nbuffers))
        return false;
    s->kernel = (uint32_t)kernel;
    s->frozen = json_is_true(json_object_get(row, "frozen"));
    const StepKernel *k = &r->step->kernels[kernel];
    s->lines = k->lines;
    s->nlines = k->nlines;
    if (!read_lines(r, row, where, &s->lines, &s->nlines)) return false;
    if (k->extents && s->nbuffers != k->nextents)
        return fail(r, where, "buffers", "are not as many as the kernel's");
    StepBuffer *buffers = arena_array(r->arena, StepBuffer, s->nbuffers + 1);
    for (uint32_t i = 0; i < s->nbuffers; i++)
        if (!read_buffer(r, json_array_get(array, i), where, entry,
                         k->extents ? k->extents[i].bytes : 0, &buffers[i]))
            return false;
    s->buffers = buffers;
    return true;
}

static bool read_launch(Reader *r, json_t *row, const char *where, const StepEntry *entry,
                        StepLaunch *launch)
{
    json_t *array;
    if (!get_array(r, row, where, "segments", &array, &launch->n)) return false;
    StepSegment *segments = arena_array(r->arena, StepSegment, launch->n + 1);
    for (uint32_t i = 0; i < launch->n; i++) {
        const char *at = str_printf(r->arena, "%s.segments[%u]", where, i);
        if (!read_segment(r, json_array_get(array, i), at, entry, &segments[i])) return false;
        if (__builtin_add_overflow(launch->tasks, segments[i].tasks, &launch->tasks))
            return fail(r, at, "tasks", "are too many together");
    }
    launch->segments = segments;
    return true;
}

// An integer that may be missing.
static bool get_optional(Reader *r, json_t *object, const char *where, const char *key, int64_t low,
                         int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    return !json_object_get(object, key) || get_int(r, object, where, key, low, LARGEST, out);
}

// A truth value that may be missing.
static bool get_flag(Reader *r, json_t *object, const char *where, const char *key, bool *out)
{
    const json_t *value = json_object_get(object, key);
    *out = json_is_true(value);
    return !value || json_is_boolean(value) || fail(r, where, key, "is neither true nor false");
}

static bool read_entry(Reader *r, json_t *row, const char *where, StepEntry *e)
{
    json_t *array;
    if (!get_text(r, row, where, "name", &e->name) ||
        !get_optional(r, row, where, "batch", 0, r->step->batch, &e->batch) ||
        !get_int(r, row, where, "input_bytes", 0, LARGEST, &e->input_bytes) ||
        !get_optional(r, row, where, "host_bytes", e->input_bytes, e->input_bytes,
                      &e->host_bytes) ||
        !get_int(r, row, where, "output_bytes", 0, LARGEST, &e->output_bytes) ||
        !get_int(r, row, where, "scratch_bytes", 0, LARGEST, &e->scratch_bytes) ||
        !get_flag(r, row, where, "outdates", &e->outdates) ||
        !get_flag(r, row, where, "refresh", &e->refresh) ||
        !read_tensors(r, row, where, "inputs", e->host_bytes, false, &e->inputs, &e->ninputs) ||
        !read_tensors(r, row, where, "outputs", e->output_bytes, false, &e->outputs,
                      &e->noutputs) ||
        !get_array(r, row, where, "launches", &array, &e->nlaunches))
        return false;
    StepLaunch *launches = arena_array(r->arena, StepLaunch, e->nlaunches + 1);
    for (uint32_t i = 0; i < e->nlaunches; i++) {
        const char *at = str_printf(r->arena, "%s.launches[%u]", where, i);
        if (!read_launch(r, json_array_get(array, i), at, e, &launches[i])) return false;
    }
    e->launches = launches;
    return true;
}

// A part's input is as large as the whole one, or holds its rows.
static bool check_part_inputs(Reader *r, const char *where, const StepEntry *e,
                              const StepBefore *run)
{
    const StepEntry *part = &r->step->entries[run->entry];
    for (uint32_t i = 0; i < part->ninputs; i++) {
        const CztTensor *t = &part->inputs[i];
        int32_t k = tensor_find(e->inputs, e->ninputs, t->name);
        if (t->name[0] == '$') continue;
        if (k < 0 || e->inputs[k].dtype != t->dtype ||
            (e->inputs[k].bytes != t->bytes &&
             (e->inputs[k].bytes % run->parts || e->inputs[k].bytes / run->parts != t->bytes)))
            return fail(
                r, where, "before",
                str_printf(r->arena, "takes '%s', of which the entry has no parts", t->name));
    }
    return true;
}

// "before": [{"entry": NAME, "parts": N}, ..]; when all entries are known.
static bool read_before(Reader *r, json_t *row, const char *where, StepEntry *e)
{
    json_t *array = json_object_get(row, "before");
    if (!array) return true;
    if (!get_array(r, row, where, "before", &array, &e->nbefore)) return false;
    StepBefore *before = arena_array(r->arena, StepBefore, e->nbefore + 1);
    for (uint32_t i = 0; i < e->nbefore; i++) {
        const char *name, *at = str_printf(r->arena, "%s.before[%u]", where, i);
        json_t *run = json_array_get(array, i);
        if (!get_text(r, run, at, "entry", &name) ||
            !get_int(r, run, at, "parts", 1, LARGEST, &before[i].parts))
            return false;
        int32_t entry = step_entry(r->step, name);
        if (entry < 0 ||
            json_object_get(
                json_array_get(json_object_get(r->step->manifest, "entries"), (size_t)entry),
                "before"))
            return fail(r, at, "entry", "is no entry that can run before another");
        before[i].entry = (uint32_t)entry;
        if (!check_part_inputs(r, at, e, &before[i])) return false;
    }
    e->before = before;
    return true;
}

static bool read_entries(Reader *r)
{
    json_t *array;
    uint32_t n;
    if (!get_array(r, r->step->manifest, "", "entries", &array, &n)) return false;
    StepEntry *entries = arena_array(r->arena, StepEntry, n + 1);
    r->step->entries = entries;
    for (uint32_t i = 0; i < n; i++) {
        const char *where = str_printf(r->arena, "entries[%u]", i);
        if (!read_entry(r, json_array_get(array, i), where, &entries[i])) return false;
        if (step_entry(r->step, entries[i].name) >= 0)
            return fail(r, where, "name", "stands there twice");
        r->step->nentries = i + 1;
    }
    for (uint32_t i = 0; i < n; i++)
        if (!read_before(r, json_array_get(array, i), str_printf(r->arena, "entries[%u]", i),
                         &entries[i]))
            return false;
    return true;
}

bool manifest_read(Step *step, const char *text, size_t size, Error *err)
{
    Reader r = {.step = step, .arena = step->arena, .err = err};
    json_error_t where;
    int64_t version, const_bytes;
    step->manifest = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    json_t *m = step->manifest;
    if (!m)
        return error_set(err, "%s: manifest: byte %d: %s", step->file, where.position, where.text);
    if (!get_int(&r, m, "", "cztc", 1, INT32_MAX, &version)) return false;
    if (version != 1)
        return error_set(err, "%s: manifest version %lld, this cztc reads 1: use a newer cztc",
                         step->file, (long long)version);
    if (!get_int(&r, m, "", "const_bytes", 0, LARGEST, &const_bytes)) return false;
    if (!target_check(step, err)) return false;
    if (const_bytes != step->const_bytes)
        return fail(&r, "", "const_bytes", "is not the size of section 'const'");
    return get_text(&r, m, "", "name", &step->name) &&
           get_text(&r, m, "", "source_hash", &step->source_hash) &&
           get_int(&r, m, "", "batch", 0, LARGEST, &step->batch) &&
           get_int(&r, m, "", "seed", INT64_MIN, INT64_MAX, &step->seed) &&
           get_int(&r, m, "", "steps", 0, INT64_MAX, &step->steps) &&
           get_int(&r, m, "", "state_bytes", 0, LARGEST, &step->state_bytes) &&
           get_int(&r, m, "", "worker_bytes", 0, LARGEST, &step->worker_bytes) &&
           get_optional(&r, m, "", "least_bytes", 0, 0, &step->least_bytes) &&
           get_optional(&r, m, "", "limit_bytes", 0, 0, &step->limit_bytes) &&
           read_tensors(&r, m, "", "state", step->state_bytes, true, &step->state, &step->nstate) &&
           read_kernels(&r) && read_entries(&r);
}
