// Metrics over rows of a whole set (metrics/collected), held against loops over all pairs. Some
// samples do not count, some find no room, some vectors are equal.
#include <criterion/criterion.h>
#include <math.h>

#include "frontend/frontend.h"

enum { BATCH = 4, ROUNDS = 3, SAMPLES = BATCH * ROUNDS, MOST = 9, WIDTH = 3 };

typedef struct Set {
    double a[SAMPLES][WIDTH], b[SAMPLES][WIDTH];
    bool seen[SAMPLES];
} Set;

static uint32_t draw(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

// Few different numbers, so that some answers are equally good; no vector of zeros.
static void set_draw(Set *s)
{
    uint32_t state = 11;
    for (int i = 0; i < SAMPLES; i++) {
        for (int k = 0; k < WIDTH; k++) {
            s->a[i][k] = (int)draw(&state, 4) - (k > 0);
            s->b[i][k] = (int)draw(&state, 4) - (k > 0);
        }
        s->a[i][0] += 1;
        s->b[i][0] += 1;
        s->seen[i] = i % 6 != 1;
    }
}

// ---- the program on the same samples ------------------------------------------------------------

static Map inputs_of(Arena *a, const Entry *e, const Set *s, int round)
{
    Map inputs = {0};
    for (uint32_t i = 1; i < e->graph->nodes.n; i++) {
        const Node *n = graph_node(e->graph, i);
        if (n->op != OP_INPUT) continue;
        const char *name = node_str(n, ATTR_NAME);
        Tensor *t = arena_make(a, Tensor);
        *t = (Tensor){n->type, arena_alloc(a, (size_t)type_count(n->type) * 8 + 8)};
        for (int64_t k = 0; name[0] != '$' && k < type_count(t->type); k++) {
            int64_t p = round * BATCH + k / (type_count(t->type) / BATCH);
            if (strcmp(name, "a") == 0) ((double *)t->data)[k] = s->a[p][k % WIDTH];
            if (strcmp(name, "b") == 0) ((double *)t->data)[k] = s->b[p][k % WIDTH];
            if (strcmp(name, "seen") == 0) ((int32_t *)t->data)[k] = s->seen[p];
            if (strstr(name, ".valid")) ((uint8_t *)t->data)[k] = 1;
        }
        map_set(a, &inputs, name, t);
    }
    return inputs;
}

static Map run_entry(Arena *a, Program *p, const char *name, const Set *s, int round, Map *state)
{
    const Entry *e = program_find_entry(p, name);
    Error err = {0};
    cr_assert(e, "no entry %s", name);
    Map inputs = inputs_of(a, e, s, round), out = {0};
    cr_assert(entry_eval(e, EVAL_F64, &inputs, state, a, &out, &err), "%s", err.text);
    for (uint32_t i = 0; i < out.n; i++)
        if (strncmp(out.at[i].key, "state:", 6) == 0)
            map_set(a, state, out.at[i].key + 6, out.at[i].value);
    return out;
}

static Map results(Arena *a, const Set *s)
{
    Diag *diag = diag_new(a);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib"};
    Frontend *f = frontend_load(a, diag, CZT_SOURCE_DIR "/tests/graphs/rows.yaml", &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f);
    Map state = {0};
    run_entry(a, f->program, "init", s, 0, &state);
    run_entry(a, f->program, "metrics_reset", s, 0, &state);
    for (int round = 0; round < ROUNDS; round++) run_entry(a, f->program, "eval", s, round, &state);
    return run_entry(a, f->program, "metrics", s, 0, &state);
}

static void expect(Arena *a, const Map *out, const char *name, double want)
{
    const Tensor *t = map_get(out, str_printf(a, "out:%s", name));
    cr_assert(t, "no output %s", name);
    double got = *(const double *)t->data;
    cr_expect(fabs(got - want) <= 1e-6, "%s is %.9g, not %.9g", name, got, want);
}

// ---- the same by loops --------------------------------------------------------------------------

// The samples that count, in order, at most so many.
static int kept(const Set *s, bool all, int most, int *at)
{
    int n = 0;
    for (int i = 0; i < SAMPLES && n < most; i++)
        if (all || s->seen[i]) at[n++] = i;
    return n;
}

static double cosine(const double *x, const double *y)
{
    double xy = 0, xx = 0, yy = 0;
    for (int k = 0; k < WIDTH; k++) xy += x[k] * y[k], xx += x[k] * x[k], yy += y[k] * y[k];
    return xy / sqrt(xx) / sqrt(yy);
}

static double recall(const double (*x)[WIDTH], const double (*y)[WIDTH], int n, const int *at,
                     int k)
{
    int within = 0;
    for (int i = 0; i < n; i++) {
        int before = 0;
        double own = cosine(x[at[i]], y[at[i]]);
        for (int j = 0; j < n; j++) {
            double other = cosine(x[at[i]], y[at[j]]);
            bool equal = fabs(other - own) < 1e-12;
            before += j != i && (equal ? j < i : other > own);
        }
        within += before < k;
    }
    return (double)within / n;
}

static double precision(const Set *s, int n, const int *at)
{
    double sum = 0;
    int classes = 0;
    for (int c = 0; c < WIDTH; c++) {
        double area = 0;
        int labels = 0;
        for (int i = 0; i < n; i++) {
            int said = 1, right = 1;
            if (s->b[at[i]][c] <= 0.5) continue;
            for (int j = 0; j < n; j++) {
                double x = s->a[at[j]][c], y = s->a[at[i]][c];
                bool before = x > y || (x == y && j < i);
                said += before;
                right += before && s->b[at[j]][c] > 0.5;
            }
            area += (double)right / said;
            labels++;
        }
        if (labels) sum += area / labels, classes++;
    }
    return sum / classes;
}

Test(rows, are_ranked_over_the_whole_set)
{
    static const int ks[] = {1, 5, 10};
    Arena *arena = arena_new();
    Set s;
    int at[SAMPLES];
    set_draw(&s);
    Map out = results(arena, &s);
    for (int all = 0; all < 2; all++) {
        int n = kept(&s, all, all ? SAMPLES : MOST, at);
        const char *task = all ? "every" : "pair";
        cr_assert_eq(n, all ? SAMPLES : MOST);
        for (int k = 0; k < 3; k++) {
            double there = recall(s.a, s.b, n, at, ks[k]), back = recall(s.b, s.a, n, at, ks[k]);
            expect(arena, &out, str_printf(arena, "%s.r%d", task, ks[k]), there);
            expect(arena, &out, str_printf(arena, "%s.back_r%d", task, ks[k]), back);
            if (k == 0) cr_expect(there > 0 && there < 1 && back < 1, "nothing to rank");
        }
    }
    expect(arena, &out, "pair.left_out", 1);
    expect(arena, &out, "every.left_out", 0);
    expect(arena, &out, "ranked.exact_precision", precision(&s, kept(&s, false, MOST, at), at));
    arena_free(arena);
}
