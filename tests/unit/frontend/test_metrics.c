// The library's per-pixel metrics and baselines, against every mask and every threshold tried.
#include <criterion/criterion.h>
#include <math.h>

#include "frontend/frontend.h"

enum { BATCH = 3, ROUNDS = 2, PICTURES = BATCH * ROUNDS, PIXELS = 9, GREYS = 16 };

// All pictures of the test: grey values are multiples of 16, depths of 0.1.
typedef struct Set {
    int grey[PICTURES][PIXELS], truth[PICTURES][PIXELS], said[PICTURES][PIXELS],
        depth[PICTURES][PIXELS];
    bool valid[PICTURES][PIXELS];
} Set;

static uint32_t draw(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

// The last picture has nothing of the class.
static void set_draw(Set *s)
{
    uint32_t state = 5;
    for (int p = 0; p < PICTURES; p++)
        for (int k = 0; k < PIXELS; k++) {
            s->truth[p][k] =
                p < PICTURES - 1 && (k % 3 == 1 ? draw(&state, 4) > 0 : draw(&state, 3) == 0);
            s->grey[p][k] = (int)draw(&state, GREYS) * 16;
            s->said[p][k] = draw(&state, 2);
            s->depth[p][k] = (int)draw(&state, 11);
            s->valid[p][k] = draw(&state, 6) > 0;
        }
}

typedef struct Iou {
    double pooled, mean; // over all pixels; over the pictures that have the class
} Iou;

// Of masks by picture: each[p](k) is pixel k of picture p.
static Iou iou_of(const Set *s, bool mask[PICTURES][PIXELS])
{
    int both = 0, either = 0, pictures = 0;
    double sum = 0;
    for (int p = 0; p < PICTURES; p++) {
        int b = 0, e = 0, has = 0;
        for (int k = 0; k < PIXELS; k++) {
            if (!s->valid[p][k]) continue;
            b += s->truth[p][k] && mask[p][k];
            e += s->truth[p][k] || mask[p][k];
            has += s->truth[p][k];
        }
        both += b, either += e;
        if (has) sum += e ? (double)b / e : 0, pictures++;
    }
    return (Iou){(double)both / (either ? either : 1), sum / pictures};
}

// ---- the program on the same pictures ---------------------------------------------------------

static void fill(Tensor *t, const char *name, const Set *s, int round)
{
    for (int64_t i = 0; i < type_count(t->type); i++) {
        int64_t each = type_count(t->type) / BATCH, p = round * BATCH + i / each, k = i % each;
        if (strcmp(name, "image") == 0) ((uint8_t *)t->data)[i] = (uint8_t)s->grey[p][k / 3];
        if (strcmp(name, "seg") == 0) ((int32_t *)t->data)[i] = s->truth[p][k] && s->valid[p][k];
        if (strcmp(name, "said") == 0)
            ((double *)t->data)[i] = k < PIXELS ? 0.5 : s->said[p][k - PIXELS];
        if (strcmp(name, "depth") == 0) ((double *)t->data)[i] = s->depth[p][k] / 10.0;
        if (strstr(name, ".valid")) ((uint8_t *)t->data)[i] = s->valid[p][k];
    }
}

static void inputs_put(Arena *a, const Entry *e, const Set *s, int round, Map *inputs)
{
    for (uint32_t i = 1; i < e->graph->nodes.n; i++) {
        const Node *n = graph_node(e->graph, i);
        if (n->op != OP_INPUT) continue;
        Tensor *t = arena_make(a, Tensor);
        t->type = n->type;
        t->data = arena_alloc(a, (size_t)type_count(n->type) * 8 + 8);
        const char *name = node_str(n, ATTR_NAME);
        if (name[0] != '$') fill(t, name, s, round);
        map_set(a, inputs, name, t);
    }
}

static void run_entry(Arena *a, Program *p, const char *name, const Set *s, int round, Map *state,
                      Map *out)
{
    const Entry *e = program_find_entry(p, name);
    Map inputs = {0};
    Error err = {0};
    cr_assert(e, "no entry %s", name);
    inputs_put(a, e, s, round, &inputs);
    *out = (Map){0};
    cr_assert(entry_eval(e, EVAL_F64, &inputs, state, a, out, &err), "%s", err.text);
    for (uint32_t i = 0; i < out->n; i++)
        if (strncmp(out->at[i].key, "state:", 6) == 0)
            map_set(a, state, out->at[i].key + 6, out->at[i].value);
}

static double result(Arena *a, const Map *out, const char *name)
{
    const Tensor *t = map_get(out, str_printf(a, "out:%s", name));
    cr_assert(t, "no output %s", name);
    return *(const double *)t->data;
}

static Map results(Arena *a, const Set *s)
{
    Diag *diag = diag_new(a);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib"};
    Frontend *f = frontend_load(a, diag, CZT_SOURCE_DIR "/tests/graphs/masks.yaml", &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f);
    Map state = {0}, out;
    run_entry(a, f->program, "init", s, 0, &state, &out);
    run_entry(a, f->program, "metrics_reset", s, 0, &state, &out);
    for (int round = 0; round < ROUNDS; round++)
        run_entry(a, f->program, "eval", s, round, &state, &out);
    run_entry(a, f->program, "metrics", s, 0, &state, &out);
    return out;
}

// ---- the same by trying -----------------------------------------------------------------------

static double best_constant(const Set *s)
{
    double best = 0;
    for (int bits = 0; bits < 1 << PIXELS; bits++) {
        bool mask[PICTURES][PIXELS];
        for (int i = 0; i < PICTURES * PIXELS; i++)
            mask[i / PIXELS][i % PIXELS] = bits >> i % PIXELS & 1;
        best = fmax(best, iou_of(s, mask).pooled);
    }
    return best;
}

static void masks_at(const Set *s, int cut, bool light, bool mask[PICTURES][PIXELS])
{
    for (int i = 0; i < PICTURES * PIXELS; i++)
        mask[i / PIXELS][i % PIXELS] = (s->grey[i / PIXELS][i % PIXELS] >= cut) == light;
}

static Iou best_threshold(const Set *s)
{
    Iou best = {0, 0};
    for (int t = 0; t < 2 * (GREYS + 1); t++) {
        bool mask[PICTURES][PIXELS];
        masks_at(s, t / 2 * 16, t % 2, mask);
        Iou x = iou_of(s, mask);
        best = (Iou){fmax(best.pooled, x.pooled), fmax(best.mean, x.mean)};
    }
    return best;
}

// Each picture that has the class alone in a set, its best threshold.
static double own_thresholds(const Set *s)
{
    double sum = 0, pictures = 0;
    for (int p = 0; p < PICTURES; p++) {
        Set one = *s;
        for (int i = 0; i < PICTURES * PIXELS; i++)
            one.truth[i / PIXELS][i % PIXELS] &= i / PIXELS == p;
        Iou x = best_threshold(&one);
        if (x.pooled > 0) sum += x.mean, pictures++;
    }
    return sum / pictures;
}

static double best_value(const Set *s)
{
    double best = 1e9;
    for (int v = 0; v <= 10; v++) {
        double sum = 0, n = 0;
        for (int i = 0; i < PICTURES * PIXELS; i++)
            if (s->valid[i / PIXELS][i % PIXELS])
                sum += abs(s->depth[i / PIXELS][i % PIXELS] - v), n++;
        best = fmin(best, sum / n / 10);
    }
    return best;
}

// Of both classes, over the pixels that are valid.
static double mean_iou(const Set *s)
{
    double both[2] = {0}, either[2] = {0};
    for (int i = 0; i < PICTURES * PIXELS; i++) {
        int p = i / PIXELS, k = i % PIXELS;
        for (int c = 0; c < 2 && s->valid[p][k]; c++) {
            both[c] += s->truth[p][k] == c && s->said[p][k] == c;
            either[c] += s->truth[p][k] == c || s->said[p][k] == c;
        }
    }
    return (both[0] / either[0] + both[1] / either[1]) / 2;
}

// Of one pixel in all pictures, a positive's precision: among those at least as light.
static double pixel_precision(const Set *s, int k, bool *has)
{
    double sum = 0, positives = 0;
    for (int p = 0; p < PICTURES; p++) {
        double hits = 0, all = 0;
        if (!s->truth[p][k] || !s->valid[p][k]) continue;
        for (int q = 0; q < PICTURES; q++)
            if (s->valid[q][k] && s->grey[q][k] >= s->grey[p][k]) hits += s->truth[q][k], all++;
        sum += hits / all;
        positives++;
    }
    *has = positives > 0;
    return *has ? sum / positives : 0;
}

// Of one picture, the same among the lighter ones and those before it that are as light.
static double picture_precision(const Set *s, int p, bool *has)
{
    double sum = 0, positives = 0;
    for (int k = 0; k < PIXELS; k++) {
        double hits = 0, all = 0;
        if (!s->truth[p][k] || !s->valid[p][k]) continue;
        for (int i = 0; i < PIXELS; i++) {
            bool before =
                s->grey[p][i] > s->grey[p][k] || (s->grey[p][i] == s->grey[p][k] && i <= k);
            if (before) hits += s->truth[p][i] && s->valid[p][i], all++;
        }
        sum += hits / all;
        positives++;
    }
    *has = positives > 0;
    return *has ? sum / positives : 0;
}

static double mean_precision(const Set *s, int n, double (*one)(const Set *s, int i, bool *has))
{
    double sum = 0, count = 0;
    for (int i = 0; i < n; i++) {
        bool has;
        sum += one(s, i, &has);
        count += has;
    }
    return sum / count;
}

Test(metrics, counts_and_ranks)
{
    Arena *a = arena_new();
    Set s;
    set_draw(&s);
    Map out = results(a, &s);
    cr_expect_float_eq(result(a, &out, "experts.classes.mean_iou"), mean_iou(&s), 1e-9);
    cr_expect_float_eq(result(a, &out, "experts.ranked.average_precision"),
                       mean_precision(&s, PIXELS, pixel_precision), 1e-9);
    cr_expect_float_eq(result(a, &out, "experts.labels.label_ranking"),
                       mean_precision(&s, PICTURES, picture_precision), 1e-9);
    arena_free(a);
}

Test(metrics, baselines_are_the_best_there_is)
{
    Arena *a = arena_new();
    Set s;
    set_draw(&s);
    Map out = results(a, &s);
    bool said[PICTURES][PIXELS];
    for (int i = 0; i < PICTURES * PIXELS; i++)
        said[i / PIXELS][i % PIXELS] = s.said[i / PIXELS][i % PIXELS];
    Iou model = iou_of(&s, said), grey = best_threshold(&s);
    cr_expect_float_eq(result(a, &out, "experts.seg.iou"), model.pooled, 1e-9);
    cr_expect_float_eq(result(a, &out, "experts.seg.picture_iou"), model.mean, 1e-9);
    cr_expect_float_eq(result(a, &out, "experts.seg.iou.constant"), best_constant(&s), 1e-9);
    cr_expect_float_eq(result(a, &out, "experts.seg.iou.grey"), grey.pooled, 1e-9);
    cr_expect_float_eq(result(a, &out, "experts.seg.picture_iou.grey"), grey.mean, 1e-9);
    cr_expect_float_eq(result(a, &out, "experts.seg.picture_iou.own"), own_thresholds(&s), 1e-9);
    cr_expect_float_eq(result(a, &out, "experts.depth.mean_abs.value"), best_value(&s), 1e-9);
    cr_expect_float_eq(result(a, &out, "experts.unnamed.depth_sum.ones"), PICTURES, 1e-9);
    arena_free(a);
}
