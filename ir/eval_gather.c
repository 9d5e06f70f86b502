// Gather, scatter-add and random bits of the interpreter.

#include "ir/eval.h"

// Index number at of a tensor of indices, clamped to [0, n).
static int64_t index_at(const Value *indices, int64_t at, int64_t n)
{
    Block b;
    value_load(indices, at, 1, &b);
    return b.i[0] < 0 ? 0 : b.i[0] < n ? b.i[0] : n - 1;
}

// Product of the sizes of axes [from, to).
static int64_t count_axes(const Type *t, int64_t from, int64_t to)
{
    int64_t count = 1;
    for (int64_t a = from; a < to; a++) count *= t->axes[a].size;
    return count;
}

void eval_gather(Eval *ev, const Node *n, Value *r)
{
    const Value *x = eval_arg(ev, n, 0), *index = eval_arg(ev, n, 1);
    int64_t shared = node_int(n, ATTR_BATCH), batch = count_axes(x->type, 0, shared);
    int64_t picks = count_axes(index->type, shared, index->type->rank);
    int64_t size = x->type->axes[shared].size;
    int64_t row = count_axes(x->type, shared + 1, x->type->rank) * dtype_size(x->stored);
    for (int64_t b = 0; b < batch; b++)
        for (int64_t k = 0; k < picks; k++) {
            int64_t at = b * picks + k, from = b * size + index_at(index, at, size);
            memcpy((char *)r->data + at * row, (const char *)x->data + from * row, (size_t)row);
        }
}

// sum[i] = sum[i] + u[i] over one row of working form.
static void add_row(Work work, int64_t n, void *sum, const void *u)
{
    if (work == WORK_F32)
        for (int64_t i = 0; i < n; i++) ((float *)sum)[i] += ((const float *)u)[i];
    else if (work == WORK_F64)
        for (int64_t i = 0; i < n; i++) ((double *)sum)[i] += ((const double *)u)[i];
    else
        for (int64_t i = 0; i < n; i++) ((uint64_t *)sum)[i] += ((const uint64_t *)u)[i];
}

// Indices are clamped as gather clamps them, so that this is gather's adjoint.
void eval_scatter_add(Eval *ev, const Node *n, Value *r)
{
    const Value *index = eval_arg(ev, n, 0), *u = eval_arg(ev, n, 1);
    Work work = work_of(u->stored);
    int64_t shared = node_int(n, ATTR_BATCH), batch = count_axes(index->type, 0, shared);
    int64_t picks = count_axes(index->type, shared, index->type->rank);
    int64_t size = r->type->axes[shared].size;
    int64_t row = count_axes(u->type, index->type->rank, u->type->rank);
    int64_t width = row * (int64_t)work_size(work);
    const char *from = value_ordered(ev->scratch, u, NULL);
    char *sums = arena_alloc(ev->scratch, (size_t)(batch * size * width));
    for (int64_t b = 0; b < batch; b++)
        for (int64_t k = 0; k < picks; k++) {
            int64_t at = b * picks + k, to = b * size + index_at(index, at, size);
            add_row(work, row, sums + to * width, from + at * width);
        }
    value_fill(r, sums);
}

// ---- random -------------------------------------------------------------------------------------

void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4])
{
    uint32_t c[4], k0 = key[0], k1 = key[1];
    memcpy(c, counter, sizeof c);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)c[0] * 0xD2511F53u, p1 = (uint64_t)c[2] * 0xCD9E8D57u;
        uint32_t hi0 = (uint32_t)(p0 >> 32), hi1 = (uint32_t)(p1 >> 32);
        c[0] = hi1 ^ c[1] ^ k0;
        c[1] = (uint32_t)p1;
        c[2] = hi0 ^ c[3] ^ k1;
        c[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    memcpy(words, c, sizeof c);
}

// The number of the first sample, 0 where none is given; kept in its range as an index is.
static uint64_t first_sample(Eval *ev, const Node *n)
{
    if (n->nargs < 3) return 0;
    int64_t first = value_int(eval_arg(ev, n, 2));
    return (uint64_t)(first < 0 ? 0 : first > LAST_SAMPLE ? LAST_SAMPLE : first);
}

// One number is (sample, element of the sample). Around the batch axis of size B * per lie
// `before` and `after` elements; without one there is a single sample.
void eval_random(Eval *ev, const Node *n, Value *r)
{
    uint64_t seed = (uint64_t)value_int(eval_arg(ev, n, 0));
    uint64_t step = (uint64_t)value_int(eval_arg(ev, n, 1));
    uint64_t first = first_sample(ev, n);
    seed ^= (uint64_t)node_int(n, ATTR_STREAM);
    const uint32_t key[] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const Type *t = r->type;
    uint32_t axis = 0;
    while (axis < t->rank && !t->axes[axis].per) axis++;
    bool has = axis < t->rank;
    int64_t size = has ? t->axes[axis].size : 1, per = has ? t->axes[axis].per : 1;
    int64_t after = has ? count_axes(t, axis + 1, t->rank) : type_count(t);
    int64_t count = type_count(t);
    uint64_t last_sample = 0, last_block = UINT64_MAX;
    uint32_t words[4] = {0};
    for (int64_t i = 0; i < count; i++) {
        int64_t before = i / (size * after), at = i / after % size;
        uint64_t sample = first + (uint64_t)(at / per);
        uint64_t e = (uint64_t)((before * per + at % per) * after + i % after);
        if (e / 4 != last_block || sample != last_sample) {
            last_block = e / 4;
            last_sample = sample;
            const uint32_t counter[] = {(uint32_t)last_block, (uint32_t)sample, (uint32_t)step,
                                        (uint32_t)(step >> 32) ^ (uint32_t)(last_block >> 32)};
            philox(counter, key, words);
        }
        ((uint32_t *)r->data)[i] = words[e % 4];
    }
}
