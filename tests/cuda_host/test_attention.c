// Attention and its gradient in bf16 (codegen/cuda_attention*.cuh) as codegen writes them, against
// sums in double over the same inputs. Allowed: the roundings to bf16 on the way (weights and their
// gradients before the second product, results) relative to the sums of absolute values.
//
// test_attention FOLDER: every form of the kernels once, in three orders of blocks, and with races
// watched. test_attention FOLDER grid: all widths, with all masks, and lengths up to 4096.
#include "attention_case.h"

#include "ir/scalar.h"

#include <string.h>

typedef struct Heads {
    const AttentionCase *c;
    Operand at[OPERANDS];
    int64_t rows[OPERANDS], cols[OPERANDS];
    void *data[OPERANDS];
} Heads;

static size_t bytes_of(const Heads *h, int i)
{
    return (size_t)h->at[i].count * dtype_size(dtype_of(i));
}

static int64_t place_of(const Heads *h, int i, int64_t head, int64_t r, int64_t x)
{
    const Operand *o = &h->at[i];
    return o->first + head * o->head + r * o->row + x * o->col;
}

// Scores are to be far apart, and to grow along the keys: what was summed up is rescaled then. Of
// one query in four they are so far apart that powers of them leave the range of f32; not of the
// last one, which may be alone with a key: what that gets would be too small to compare.
static float growth(const Heads *h, int i, int64_t row)
{
    if (i == Q) return row % 4 || row + 1 == h->rows[Q] ? 4 : 100;
    return i == K ? 0.5f + 2.5f * (float)row / (float)h->rows[K] : 1;
}

static void draw(Heads *h, int i)
{
    for (int64_t head = 0; head < HEADS; head++)
        for (int64_t r = 0; r < h->rows[i]; r++)
            for (int64_t x = 0; x < h->cols[i]; x++) {
                uint64_t n = (uint64_t)(((i * HEADS + head) * 5000 + r) * 128 + x);
                ((uint16_t *)h->data[i])[place_of(h, i, head, r, x)] =
                    f32_to_bf16(growth(h, i, r) * check_number(n));
            }
}

// Three segments of queries, the last of which no key has; runs of keys, so that whole tiles are
// not seen. Biases that matter, a few of them -inf.
static void draw_masks(Heads *h)
{
    for (int64_t head = 0; head < HEADS; head++) {
        for (int64_t i = 0; i < h->rows[Q]; i++)
            ((int32_t *)h->data[QUERY_SEGMENTS])[place_of(h, QUERY_SEGMENTS, head, i, 0)] =
                (int32_t)((i + head) % 7 == 6 ? 9 : (i / 40 + head) % 2);
        for (int64_t j = 0; j < h->rows[K]; j++)
            ((int32_t *)h->data[KEY_SEGMENTS])[place_of(h, KEY_SEGMENTS, head, j, 0)] =
                (int32_t)(j / 37 % 2);
    }
    for (int64_t i = 0; i < h->rows[BIAS]; i++)
        for (int64_t j = 0; j < h->cols[BIAS]; j++)
            ((float *)h->data[BIAS])[place_of(h, BIAS, 0, i, j)] =
                (i * 31 + j * 17) % 23 == 5 && j ? -INFINITY
                                                 : 3 * check_number((uint64_t)(i * 4099 + j));
}

// Inputs are drawn, results are all ones: NaN. What belongs to no matrix stays NaN too.
static Heads heads_new(const AttentionCase *c)
{
    Heads h = {.c = c};
    operands_of(c, h.at, h.rows, h.cols);
    for (int i = 0; i < OPERANDS; i++) h.data[i] = shim_guarded(bytes_of(&h, i));
    for (int i = 0; i <= DOUT; i++)
        if (i != OUT && i != LSE) draw(&h, i);
    draw_masks(&h);
    return h;
}

static void heads_free(Heads *h)
{
    for (int i = 0; i < OPERANDS; i++) shim_guarded_free(h->data[i], bytes_of(h, i));
}

// ---- the reference ------------------------------------------------------------------------------

// The operands of one head as dense matrices, and what results should be with the sums of absolute
// values behind them.
typedef struct Reference {
    const AttentionCase *c;
    int64_t head;
    double *x[OPERANDS];
    double *value[OPERANDS], *size[OPERANDS];
} Reference;

static Reference reference_new(Check *c, const Heads *h, int64_t head)
{
    Reference r = {.c = h->c, .head = head};
    for (int i = 0; i < OPERANDS; i++) {
        size_t n = (size_t)(h->rows[i] * h->cols[i]);
        r.x[i] = arena_array(c->arena, double, n);
        r.value[i] = arena_array(c->arena, double, n);
        r.size[i] = arena_array(c->arena, double, n);
        for (size_t at = 0; at < n; at++) {
            int64_t place =
                place_of(h, i, head, (int64_t)at / h->cols[i], (int64_t)at % h->cols[i]);
            if (dtype_of(i) == DT_I32)
                r.x[i][at] = (double)((const int32_t *)h->data[i])[place];
            else if (dtype_of(i) == DT_F32)
                r.x[i][at] = (double)((const float *)h->data[i])[place];
            else
                r.x[i][at] = (double)bf16_to_f32(((const uint16_t *)h->data[i])[place]);
        }
    }
    return r;
}

static int64_t keys_of(const AttentionCase *c, int64_t query)
{
    int64_t n = c->causal ? query + 1 + c->keys - c->queries : c->keys;
    return n < 0 ? 0 : n < c->keys ? n : c->keys;
}

static double dot(const double *x, const double *y, int64_t n, double *size)
{
    double sum = 0;
    *size = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i] * y[i];
        *size += fabs(x[i] * y[i]);
    }
    return sum;
}

static void add_row(Reference *r, int to, int64_t row, int from, int64_t from_row, int64_t width,
                    double weight, double size)
{
    double *value = r->value[to] + row * width, *sizes = r->size[to] + row * width;
    const double *x = r->x[from] + from_row * width;
    for (int64_t i = 0; i < width; i++) {
        value[i] += weight * x[i];
        sizes[i] += size * fabs(x[i]);
    }
}

// A rounding to bf16 of each weight, relative to the sum of absolute values, and one of the result;
// a little for what is rounded in f32.
static const double BOUND = 0x1.1p-8;
// Weights below the range of f32 are 0.
static const double NOTHING = 0x1p-120;

static void compare(Check *c, const Reference *r, int which, const char *name, int64_t n)
{
    double worst = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        double off = fabs(r->x[which][i] - r->value[which][i]);
        double part = off / (BOUND * (r->size[which][i] + fabs(r->value[which][i])));
        if (off <= NOTHING || part <= worst) continue;
        worst = isnan(part) ? (double)INFINITY : part;
        at = i;
    }
    const AttentionCase *k = r->c;
    CHECK(c, worst <= 1,
          "%s, %lld x %lld, %lld, %lld%s, lie %d, masks %d, head %lld: element %lld is %g, not %g; "
          "off by %g "
          "of what is allowed",
          name, (long long)k->queries, (long long)k->keys, (long long)k->dim, (long long)k->vdim,
          k->causal ? " causal" : "", (int)k->lie, k->masks, (long long)r->head, (long long)at,
          r->x[which][at], r->value[which][at], worst);
}

// The score of a query and a key, -inf where it is not seen.
static double score(const Reference *r, int64_t i, int64_t j)
{
    const AttentionCase *k = r->c;
    double size, s = dot(r->x[Q] + i * k->dim, r->x[K] + j * k->dim, k->dim, &size);
    s *= (double)(1 / sqrtf((float)k->dim));
    if (k->masks & BIASED) s += r->x[BIAS][i * k->keys + j];
    bool seen = !(k->masks & SEGMENTS) || r->x[QUERY_SEGMENTS][i] == r->x[KEY_SEGMENTS][j];
    return seen ? s : (double)-INFINITY;
}

static void compare_forward(Check *c, Reference *r)
{
    const AttentionCase *k = r->c;
    double *p = arena_array(c->arena, double, (size_t)k->keys);
    for (int64_t i = 0; i < k->queries; i++) {
        double most = (double)-INFINITY, l = 0;
        int64_t keys = keys_of(k, i);
        for (int64_t j = 0; j < keys; j++) {
            p[j] = score(r, i, j);
            most = fmax(most, p[j]);
        }
        if (most == (double)-INFINITY) keys = 0;
        for (int64_t j = 0; j < keys; j++) l += p[j] = exp(p[j] - most);
        for (int64_t j = 0; j < keys; j++) add_row(r, OUT, i, V, j, k->vdim, p[j] / l, p[j] / l);
        double lse = r->x[LSE][i], want = most + log(l);
        bool good = keys ? fabs(lse - want) <= 1e-5 * (1 + fabs(want)) : lse == (double)-INFINITY;
        CHECK(c, good, "lse of query %lld: %g, not %g", (long long)i, lse, want);
    }
    compare(c, r, OUT, "out", k->queries * k->vdim);
}

static void compare_gradient(Check *c, Reference *r)
{
    const AttentionCase *k = r->c;
    int64_t d = k->dim, e = k->vdim;
    double scale = (double)(1 / sqrtf((float)k->dim));
    for (int64_t i = 0; i < k->queries; i++) {
        double size, delta_size, lse = r->x[LSE][i];
        double delta = dot(r->x[DOUT] + i * e, r->x[OUT] + i * e, e, &delta_size);
        for (int64_t j = 0; j < keys_of(k, i); j++) {
            double s = score(r, i, j), p = s == (double)-INFINITY ? 0 : exp(s - lse);
            double dp = dot(r->x[DOUT] + i * e, r->x[V] + j * e, e, &size);
            double ds = p * (dp - delta) * scale;
            // What cancels in dp - delta was rounded in f32, up to 128 times each.
            double from = fabs(ds) + p * (size + delta_size) * scale * 0x1p-10;
            add_row(r, DQ, i, K, j, d, ds, from);
            add_row(r, DK, j, Q, i, d, ds, from);
            add_row(r, DV, j, DOUT, i, e, p, p);
            if (!(k->masks & BIASED)) continue;
            r->value[DBIAS][i * k->keys + j] += ds / scale;
            r->size[DBIAS][i * k->keys + j] += from / scale;
        }
    }
    compare(c, r, DQ, "dq", k->queries * d);
    compare(c, r, DK, "dk", k->keys * d);
    compare(c, r, DV, "dv", k->keys * e);
}

// ---- runs ---------------------------------------------------------------------------------------

static const ShimOptions orders[] = {
    {1, SHIM_FORWARD, 0}, {1, SHIM_REVERSE, 0}, {2, SHIM_RANDOM, 7}};

// All cases as one unit: the kernels of each.
typedef struct Unit {
    const AttentionCase *cases;
    uint32_t n;
    CudaLaunch *launches;
    const char *text;
    ShimModule *module;
} Unit;

static Unit unit_new(Check *c, const AttentionCase *cases, uint32_t n)
{
    Unit u = {cases, n, arena_array(c->arena, CudaLaunch, KERNELS * n + 1), NULL, NULL};
    Kernel **kernels = arena_array(c->arena, Kernel *, KERNELS * n + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        for (Which which = FORWARD; which < KERNELS; which++)
            if (has_kernel(&cases[i], which))
                kernels[count++] = attention_kernel(c->arena, &cases[i], which);
    CudaLaunch *launches = arena_array(c->arena, CudaLaunch, count + 1);
    u.text = cuda_text(c->arena, count, kernels, launches);
    count = 0;
    for (uint32_t i = 0; i < n; i++)
        for (Which which = FORWARD; which < KERNELS; which++)
            if (has_kernel(&cases[i], which)) u.launches[i * KERNELS + which] = launches[count++];
    return u;
}

static bool unit_compile(Check *c, Unit *u, const char *name, bool races)
{
    u->module = check_compile(c, u->text, name, races);
    CHECK(c, u->module, "%s does not compile", name);
    return u->module;
}

static void launch(Check *c, const Unit *u, uint32_t i, Which which, const ShimOptions *options,
                   Heads *h)
{
    if (!has_kernel(&u->cases[i], which)) return;
    const CudaLaunch *l = &u->launches[i * KERNELS + which];
    Error err = {0};
    bool good = check_launch(c, options, u->module, l->symbol, h->data, (uint32_t)l->blocks[0],
                             (uint32_t)l->blocks[1], l->threads, l->shared_bytes, &err);
    CHECK(c, good, "%s", err.text);
}

static Heads run_case(Check *c, const Unit *u, uint32_t i, const ShimOptions *options)
{
    Heads h = heads_new(&u->cases[i]);
    for (Which which = FORWARD; which < KERNELS; which++) launch(c, u, i, which, options, &h);
    return h;
}

// Results are written where they belong and nowhere else: the rest still is all ones.
static void only_own(Check *c, const Heads *h)
{
    for (int i = OUT; i < OPERANDS; i++) {
        if (i > DV && i != DBIAS) continue;
        int64_t written = 0, want = HEADS * h->rows[i] * h->cols[i];
        if (i == DBIAS) want = h->c->masks & BIASED ? h->rows[i] * h->cols[i] : 0;
        for (int64_t x = 0; x < h->at[i].count; x++)
            written += dtype_of(i) == DT_F32 ? ((const uint32_t *)h->data[i])[x] != UINT32_MAX
                                             : ((const uint16_t *)h->data[i])[x] != UINT16_MAX;
        CHECK(c, written == want, "operand %d has %lld elements written, not %lld", i,
              (long long)written, (long long)want);
    }
}

static void check_case(Check *c, const Unit *u, uint32_t i, uint32_t norders)
{
    Heads first = run_case(c, u, i, &orders[0]);
    Reference all = reference_new(c, &first, 0); // for the sums over heads
    for (int64_t head = 0; head < HEADS; head++) {
        Reference r = reference_new(c, &first, head);
        r.value[DBIAS] = all.value[DBIAS];
        r.size[DBIAS] = all.size[DBIAS];
        compare_forward(c, &r);
        compare_gradient(c, &r);
    }
    const AttentionCase *k = &u->cases[i];
    if (k->masks & BIASED) compare(c, &all, DBIAS, "dbias", k->queries * k->keys);
    only_own(c, &first);
    for (uint32_t o = 1; o < norders; o++) {
        Heads again = run_case(c, u, i, &orders[o]);
        for (int x = OUT; x < OPERANDS; x++)
            CHECK(c, memcmp(first.data[x], again.data[x], bytes_of(&first, x)) == 0,
                  "case %u: order %u changes operand %d", i, o, x);
        heads_free(&again);
    }
    heads_free(&first);
}

// A NaN in a query makes its row NaN and changes no other.
static void nan_stays(Check *c, const Unit *u, uint32_t i)
{
    const AttentionCase *k = &u->cases[i];
    Heads clean = run_case(c, u, i, &orders[0]), h = heads_new(k);
    int64_t at = k->queries / 2;
    ((uint16_t *)h.data[Q])[place_of(&h, Q, 0, at, 3)] = 0x7fc0;
    launch(c, u, i, FORWARD, &orders[0], &h);
    Reference want = reference_new(c, &clean, 0), got = reference_new(c, &h, 0);
    for (int64_t x = 0; x < k->queries * k->vdim; x++) {
        bool own = x / k->vdim == at;
        CHECK(c, own ? isnan(got.x[OUT][x]) : got.x[OUT][x] == want.x[OUT][x],
              "a NaN in query %lld: element %lld is %g", (long long)at, (long long)x,
              got.x[OUT][x]);
    }
    CHECK(c, isnan(got.x[LSE][at]), "lse of a query with a NaN");
    heads_free(&clean);
    heads_free(&h);
}

// The first query of a causal case sees one key: that has all of the weight, however low its score.
static void lone_key_counts(Check *c, const Unit *u, uint32_t i)
{
    Heads h = heads_new(&u->cases[i]);
    for (int64_t x = 0; x < h.cols[Q]; x++) {
        uint16_t k = ((const uint16_t *)h.data[K])[place_of(&h, K, 0, 0, x)];
        ((uint16_t *)h.data[Q])[place_of(&h, Q, 0, 0, x)] = f32_to_bf16(-1000 * bf16_to_f32(k));
    }
    launch(c, u, i, FORWARD, &orders[0], &h);
    Reference got = reference_new(c, &h, 0);
    CHECK(c, got.x[LSE][0] < -200, "lse of a low score is %g", got.x[LSE][0]);
    for (int64_t x = 0; x < h.cols[OUT]; x++)
        CHECK(c, got.x[OUT][x] == got.x[V][x], "a lone key: element %lld is %g, not %g",
              (long long)x, got.x[OUT][x], got.x[V][x]);
    heads_free(&h);
}

// ---- programs -----------------------------------------------------------------------------------

// What each is for: the form of the forward and of the gradient kernel.
static const AttentionCase forms[] = {
    {77, 77, 64, 64, true, LIE_BETWEEN, 0},   // at once; a head, 32 keys
    {16, 16, 32, 32, false, LIE_DENSE, 0},    // one tile
    {200, 41, 72, 96, true, LIE_ACROSS, 0},   // queries without keys; steps that are cut; scalar
    {35, 420, 64, 64, true, LIE_BETWEEN, 0},  // in parts; keys pass through a head's block
    {197, 50, 64, 64, false, LIE_BETWEEN, 0}, // work ahead, an odd number of tiles
    {150, 130, 40, 72, true, LIE_DENSE, 0},   // work ahead, queries without keys
    {528, 33, 64, 64, false, LIE_DENSE, 0},   // two blocks, of 17 tiles and 16
    {257, 33, 64, 64, false, LIE_DENSE, 0},   // rounds of queries; two tiles a warp, 16 keys
    {290, 150, 80, 40, true, LIE_BETWEEN, 0}, // blocks of keys and of queries
    {1, 70, 128, 128, false, LIE_ODD, 0},     // a single query
    {150, 130, 128, 128, true, LIE_DENSE, 0}, // two kinds of blocks of four warps
    {77, 90, 64, 64, true, LIE_BETWEEN, SEGMENTS | BIASED}, // each form once with both masks
    {20, 420, 32, 40, false, LIE_DENSE, SEGMENTS | BIASED},
    {197, 50, 64, 64, false, LIE_ACROSS, SEGMENTS | BIASED},
    {257, 33, 64, 64, false, LIE_ODD, SEGMENTS | BIASED},
    {150, 130, 128, 128, true, LIE_DENSE, SEGMENTS | BIASED},
};

static void quick(Check *c)
{
    enum { N = sizeof forms / sizeof *forms };
    Unit u = unit_new(c, forms, N);
    if (!unit_compile(c, &u, "attention", false)) return;
    for (uint32_t i = 0; i < N; i++) check_case(c, &u, i, sizeof orders / sizeof *orders);
    nan_stays(c, &u, 0);
    lone_key_counts(c, &u, 0);
    shim_unload(u.module);
    if (!unit_compile(c, &u, "attention_races", true)) return;
    for (uint32_t i = 0; i < N; i++) {
        Heads h = run_case(c, &u, i, &orders[1]);
        heads_free(&h);
    }
    shim_unload(u.module);
}

typedef VEC(AttentionCase) Cases;

static void add_case(Check *c, Cases *cases, int64_t queries, int64_t keys, int64_t dim,
                     int64_t vdim, bool causal, int masks)
{
    AttentionCase k = {queries, keys, dim, vdim, causal, (Lie)(cases->n % LIE_KINDS), masks};
    vec_push(c->arena, cases, k);
}

// Every width, alone and with each of the masks; at 64, both with what comes later and without.
static void add_widths(Check *c, Cases *cases)
{
    static const int64_t lengths[] = {1, 16, 77, 197, 257};
    for (int64_t w = 32; w <= 128; w += 8) {
        for (int l = 0; l < 5; l++) {
            bool causal = (w / 8 + l) % 2;
            add_case(c, cases, lengths[l], lengths[l], w, w, causal, 0);
            if (w == 64) add_case(c, cases, lengths[l], lengths[l], w, w, !causal, 0);
        }
        for (int masks = SEGMENTS; masks <= (SEGMENTS | BIASED); masks++) {
            bool large = (w / 8 + masks) % 2, causal = (w / 16 + masks) % 2;
            int64_t e = masks == BIASED ? 160 - w : w; // not as wide as the scores' operands
            add_case(c, cases, large ? 150 : 77, large ? 140 : 83, w, e, causal, masks);
        }
    }
}

// Many more keys than queries, and the other way; both many.
static void add_lengths(Check *c, Cases *cases)
{
    for (int causal = 0; causal < 2; causal++) {
        add_case(c, cases, 600, 600, 64, 64, causal, 0);
        add_case(c, cases, 40, 4096, 32, 40, causal, causal ? SEGMENTS | BIASED : 0);
        add_case(c, cases, 4096, 40, 40, 32, causal, causal ? 0 : SEGMENTS | BIASED);
    }
    add_case(c, cases, 4096, 4096, 32, 32, true, 0);
}

static void grid(Check *c)
{
    Cases cases = {0};
    add_widths(c, &cases);
    add_lengths(c, &cases);
    Unit u = unit_new(c, cases.at, cases.n);
    if (!unit_compile(c, &u, "attention_grid", false)) return;
    Arena *kept = c->arena;
    for (uint32_t i = 0; i < cases.n; i++) { // what is compared takes much room
        c->arena = arena_new();
        check_case(c, &u, i, 1);
        arena_free(c->arena);
    }
    c->arena = kept;
    shim_unload(u.module);
}

int main(int argc, char **argv)
{
    Check c = check_begin(argc, argv);
    (argc > 2 && strcmp(argv[2], "grid") == 0 ? grid : quick)(&c);
    return check_end(&c);
}
