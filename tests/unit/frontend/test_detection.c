// Losses and average precision of detection, held against numbers that
// tests/parity/detection_values.py computes by loops over boxes. Both draw the same pictures.
#include <criterion/criterion.h>
#include <math.h>

#include "frontend/frontend.h"

enum {
    BATCH = 3,
    PICTURES = 6,
    LABELS = 4,
    ANSWERS = 8,
    CLASSES = 3,
    WIDTH = 32,
    HEIGHT = 24,
    ACROSS = 4,
    DOWN = 3,
    PLACES = ACROSS * DOWN,
    STEP = 8
};

typedef struct Picture {
    bool labelled, there[LABELS];
    double box[LABELS][4], grid[4 + CLASSES][PLACES];
    double answer[ANSWERS][4], score[ANSWERS];
    int kind[LABELS], said[ANSWERS], answers;
} Picture;

static uint32_t draw(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

static int number(uint32_t *state, uint32_t below)
{
    return (int)draw(state, below);
}

static void draw_label(Picture *p, int m, bool there, uint32_t *s)
{
    int w = 4 + number(s, 18), h = 4 + number(s, 16);
    int x = number(s, (uint32_t)(WIDTH + 1 - w)), y = number(s, (uint32_t)(HEIGHT + 1 - h));
    int kind = number(s, CLASSES);
    p->there[m] = there;
    if (!there) return; // the loader leaves zeros
    const double box[4] = {x, y, x + w, y + h};
    memcpy(p->box[m], box, sizeof box);
    p->kind[m] = kind;
}

// The place in which a label's centre lies says it, about.
static void tell(Picture *p, int m, uint32_t *s)
{
    const double *b = p->box[m];
    double x = (b[0] + b[2]) / 2, y = (b[1] + b[3]) / 2;
    int column = (int)(x / STEP), row = (int)(y / STEP), i = row * ACROSS + column;
    p->grid[0][i] = x / STEP - column - 0.5 + (number(s, 3) - 1) / 8.0;
    p->grid[1][i] = y / STEP - row - 0.5;
    for (int k = 0; k < 2; k++) p->grid[2 + k][i] = round(log((b[k + 2] - b[k]) / STEP) * 4) / 4;
    p->grid[4 + p->kind[m]][i] += 1;
}

static void draw_answer(Picture *p, int i, uint32_t *s)
{
    int m = number(s, LABELS), near = number(s, 4), other = number(s, 8);
    int x0 = number(s, 16), y0 = number(s, 12), x1 = 17 + number(s, 16), y1 = 13 + number(s, 12);
    const double anywhere[4] = {x0, y0, x1, y1};
    memcpy(p->answer[i], anywhere, sizeof anywhere);
    p->said[i] = number(s, CLASSES);
    if (p->there[m] && near) {
        for (int k = 0; k < 4; k++) p->answer[i][k] = p->box[m][k] + (number(s, 9) - 4) / 2.0;
        if (other) p->said[i] = p->kind[m];
    }
    p->score[i] = (1000 - 120 * i - number(s, 100)) / 1024.0;
}

static void draw_picture(Picture *p, int which, uint32_t *s)
{
    p->labelled = draw(s, 5) > 0;
    int n = which == 3 ? 0 : 1 + number(s, 4);
    for (int m = 0; m < LABELS; m++) draw_label(p, m, p->labelled && m < n, s);
    for (int k = 0; k < 4 + CLASSES; k++)
        for (int i = 0; i < PLACES; i++)
            p->grid[k][i] = k < 2   ? (number(s, 17) - 8) / 8.0
                            : k < 4 ? number(s, 17) / 16.0
                                    : (number(s, 129) - 96) / 32.0;
    for (int m = 0; m < LABELS; m++)
        if (p->there[m]) tell(p, m, s);
    for (int i = 0; i < ANSWERS; i++) draw_answer(p, i, s);
    p->answers = 5 + number(s, 4);
}

// ---- the program on the same pictures -----------------------------------------------------------

static void fill_one(Tensor *t, const char *name, const Picture *p, int64_t at, int64_t k)
{
    double *x = (double *)t->data + at;
    int32_t *n = (int32_t *)t->data + at;
    uint8_t *yes = (uint8_t *)t->data + at;
    if (strcmp(name, "boxes.present") == 0) *yes = p->labelled;
    if (strcmp(name, "boxes.valid") == 0) *yes = p->there[k];
    if (strcmp(name, "boxes.class") == 0) *n = p->kind[k];
    if (strcmp(name, "boxes.xyxy") == 0) *x = p->box[k / 4][k % 4];
    if (strcmp(name, "grid") == 0) *x = p->grid[k / PLACES][k % PLACES];
    if (strcmp(name, "xyxy") == 0) *x = p->answer[k / 4][k % 4];
    if (strcmp(name, "kind") == 0) *n = p->said[k];
    if (strcmp(name, "score") == 0) *x = p->score[k];
    if (strcmp(name, "sure") == 0) *n = k < p->answers;
}

static Map inputs(Arena *a, const Entry *e, const Picture *all, int round)
{
    Map inputs = {0};
    for (uint32_t i = 1; i < e->graph->nodes.n; i++) {
        const Node *n = graph_node(e->graph, i);
        if (n->op != OP_INPUT) continue;
        Tensor *t = arena_make(a, Tensor);
        t->type = n->type;
        t->data = arena_alloc(a, (size_t)type_count(n->type) * 8 + 8);
        const char *name = node_str(n, ATTR_NAME);
        int64_t each = type_count(t->type) / BATCH;
        for (int64_t k = 0; name[0] != '$' && k < BATCH * each; k++)
            fill_one(t, name, &all[round * BATCH + k / each], k, k % each);
        map_set(a, &inputs, name, t);
    }
    return inputs;
}

static Map run_entry(Arena *a, Program *p, const char *name, const Picture *all, int round,
                     Map *state)
{
    const Entry *e = program_find_entry(p, name);
    Error err = {0};
    cr_assert(e, "no entry %s", name);
    Map given = inputs(a, e, all, round), out = {0};
    cr_assert(entry_eval(e, EVAL_F64, &given, state, a, &out, &err), "%s", err.text);
    for (uint32_t i = 0; i < out.n; i++)
        if (strncmp(out.at[i].key, "state:", 6) == 0)
            map_set(a, state, out.at[i].key + 6, out.at[i].value);
    return out;
}

static double number_of(const Map *m, const char *name)
{
    const Tensor *t = map_get(m, name);
    cr_assert(t, "no %s", name);
    return *(const double *)t->data;
}

static void near(const char *what, double got, double want, double allowed)
{
    cr_expect(fabs(got - want) <= allowed, "%s is %.9f, not %.9f", what, got, want);
}

static const double *state_of(const Map *state, const char *name)
{
    const Tensor *t = map_get(state, name);
    cr_assert(t, "no %s", name);
    return t->data;
}

// The mean over three pictures of the sum of a 3x3 convolution times the first two channels.
static double convolved(const Picture *all, const double *weight, const double *bias)
{
    double sum = 0;
    for (int i = 0; i < BATCH * 2 * PLACES; i++) {
        int o = i / PLACES % 2, y = i % PLACES / ACROSS, x = i % ACROSS;
        const Picture *p = &all[i / (2 * PLACES)];
        double each = bias[o];
        for (int k = 0; k < CLASSES * 9; k++) {
            int v = y + k % 9 / 3 - 1, u = x + k % 3 - 1;
            if (v >= 0 && v < DOWN && u >= 0 && u < ACROSS)
                each += weight[o * CLASSES * 9 + k] * p->grid[4 + k / 9][v * ACROSS + u];
        }
        sum += each * p->grid[o][y * ACROSS + x];
    }
    return sum / BATCH;
}

// Everything is computed in f64; the script divides exactly where boxes overlap.
Test(detection, losses_and_metrics_are_those_of_the_script)
{
    static const double loss[] = {1.591835327, 1.346241204};
    Arena *a = arena_new();
    Diag *diag = diag_new(a);
    FrontendOptions o = {.lib_dir = CZT_SOURCE_DIR "/graphs/lib"};
    Frontend *f = frontend_load(a, diag, CZT_SOURCE_DIR "/tests/graphs/boxes.yaml", &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f);
    Picture all[PICTURES] = {0};
    uint32_t state = 123;
    for (int p = 0; p < PICTURES; p++) draw_picture(&all[p], p, &state);
    Map kept = {0};
    run_entry(a, f->program, "init", all, 0, &kept);
    run_entry(a, f->program, "metrics_reset", all, 0, &kept);
    for (int round = 0; round < 2; round++) {
        Map out = run_entry(a, f->program, "eval", all, round, &kept);
        near("loss", number_of(&out, "out:experts.det"), loss[round], 1e-6);
        near("loss", number_of(&out, "out:experts.stored"), loss[round], 1e-6);
        const double *weight = state_of(&kept, "losses.conv.weight"),
                     *bias = state_of(&kept, "losses.conv.bias");
        near("conv", number_of(&out, "out:conv"), convolved(all + BATCH * round, weight, bias),
             1e-12);
    }
    Map out = run_entry(a, f->program, "metrics", all, 0, &kept);
    near("ap50", number_of(&out, "out:experts.det.ap50"), 0.641678454, 1e-6);
    near("ap", number_of(&out, "out:experts.det.ap"), 0.480374823, 1e-6);
    near("ap50", number_of(&out, "out:experts.stored.ap50"), 0.526952695, 1e-6);
    near("ap", number_of(&out, "out:experts.stored.ap"), 0.233140814, 1e-6);
    arena_free(a);
}
