// Whole graphs through the frontend: the bench graphs, their parameters, entries and losses.
#include <criterion/criterion.h>
#include <glob.h>
#include <math.h>
#include <stdlib.h>

#include "frontend/frontend.h"

#define LIB CZT_SOURCE_DIR "/graphs/lib"

typedef struct Loaded {
    Arena *arena;
    Diag *diag;
    Frontend *f;
} Loaded;

static Loaded load(const char *path, const char *const *set, uint32_t nset)
{
    Loaded l = {arena_new(), NULL, NULL};
    l.diag = diag_new(l.arena);
    FrontendOptions o = {.lib_dir = LIB, .set = set, .nset = nset, .grads = true};
    l.f = frontend_load(l.arena, l.diag, path, &o);
    if (!l.f) diag_print(l.diag, stderr);
    return l;
}

static bool has_output(const Entry *e, const char *name)
{
    for (uint32_t i = 0; i < e->outputs.n; i++)
        if (strcmp(e->outputs.at[i].name, name) == 0) return true;
    return false;
}

static void check_type(const Program *p, const char *name, const char *type)
{
    Arena *a = arena_new();
    const StateVar *v = program_find_state(p, name);
    cr_assert(v, "no state %s", name);
    cr_assert_str_eq(type_text(a, v->type), type, "%s is %s", name, type_text(a, v->type));
    arena_free(a);
}

Test(elab, micro_has_the_paths_of_torch)
{
    Loaded l = load(CZT_SOURCE_DIR "/graphs/bench/micro.yaml", NULL, 0);
    cr_assert(l.f);
    const Program *p = l.f->program;
    check_type(p, "patch.weight", "f32[192, 3, 8, 8]");
    check_type(p, "cls", "f32[192]");
    check_type(p, "pos", "f32[65, 192]");
    check_type(p, "blocks.1.qkv.weight", "f32[576, 192]");
    check_type(p, "blocks.0.ln_2.bias", "f32[192]");
    check_type(p, "embed_image.weight", "f32[128, 192]");
    check_type(p, "token.weight", "f32[512, 128]");
    check_type(p, "tpos", "f32[32, 128]");
    check_type(p, "tblocks.1.proj.weight", "f32[128, 512]");
    check_type(p, "embed_text.weight", "f32[128, 128]");
    check_type(p, "scale", "f32[]");
    check_type(p, "seg.weight", "f32[21, 192]");
    check_type(p, "normal.bias", "f32[3]");
    check_type(p, "$opt.m.depth.weight", "f32[1, 192]");
    const Entry *step = program_find_entry((Program *)p, "step");
    cr_assert(step);
    const char *const outputs[] = {"loss",          "pair",           "experts.seg",
                                   "experts.depth", "experts.normal", "grad.scale"};
    for (int i = 0; i < 6; i++) cr_assert(has_output(step, outputs[i]), "no output %s", outputs[i]);
    uint32_t params = 0;
    for (uint32_t i = 0; i < p->states.n; i++) params += p->states.at[i].kind == STATE_PARAM;
    cr_assert_eq(params, 68, "%u parameters", params);
    cr_assert_eq(step->updates.n, 3 * params);
    arena_free(l.arena);
}

Test(elab, switched_off_leaves_nothing)
{
    const char *set[] = {"experts.*.enabled=false"};
    Loaded l = load(CZT_SOURCE_DIR "/graphs/bench/micro.yaml", set, 1);
    cr_assert(l.f);
    cr_assert_null(program_find_state(l.f->program, "seg.weight"));
    cr_assert(program_find_state(l.f->program, "patch.weight"));
    cr_assert_null(strstr(l.f->program->data_json, "\"seg\""));
    cr_assert(strstr(l.f->program->data_json, "\"text\""));
    cr_assert_not(has_output(program_find_entry(l.f->program, "step"), "experts.seg"));
    arena_free(l.arena);
}

// ---- values, by the reference interpreter -----------------------------------------------------

static Tensor *tensor(Arena *a, const Type *type)
{
    Tensor *t = arena_make(a, Tensor);
    t->type = type;
    t->data = arena_alloc(a, (size_t)type_count(type) * 8 + 8);
    return t;
}

static double next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

// Inputs of every kind: floats in [-1, 1), class numbers below `classes`, truth.
static void fill_inputs(Arena *a, const Entry *e, Map *inputs, int classes)
{
    uint64_t seed = 1;
    for (uint32_t i = 1; i < e->graph->nodes.n; i++) {
        const Node *n = graph_node(e->graph, i);
        if (n->op != OP_INPUT) continue;
        Tensor *t = tensor(a, n->type);
        for (int64_t k = 0; k < type_count(n->type); k++) {
            double x = next_random(&seed);
            switch (n->type->dtype) {
            case DT_F32: ((double *)t->data)[k] = 2 * x - 1; break;
            case DT_I32: ((int32_t *)t->data)[k] = (int32_t)(x * classes); break;
            case DT_U8: ((uint8_t *)t->data)[k] = (uint8_t)(x * 256); break;
            case DT_BOOL: ((uint8_t *)t->data)[k] = x < 0.9; break;
            default: break; // $step and $seed are 0
            }
        }
        map_set(a, inputs, node_str(n, ATTR_NAME), t);
    }
}

static void run_init(Arena *a, const Program *p, Map *state)
{
    const Entry *init = program_find_entry((Program *)p, "init");
    Map inputs = {0}, none = {0}, out = {0};
    Error err = {0};
    fill_inputs(a, init, &inputs, 2);
    cr_assert(entry_eval(init, EVAL_F64, &inputs, &none, a, &out, &err), "%s", err.text);
    for (uint32_t i = 0; i < p->states.n; i++) {
        Tensor *t = map_get(&out, str_printf(a, "state:%s", p->states.at[i].name));
        cr_assert(t, "init leaves %s", p->states.at[i].name);
        map_set(a, state, p->states.at[i].name, t);
    }
}

static double output_value(Arena *a, const Map *out, const char *name)
{
    const Tensor *t = map_get(out, str_printf(a, "out:%s", name));
    cr_assert(t, "no output %s", name);
    return *(const double *)t->data;
}

static double deviation(const Map *state, const char *name)
{
    const Tensor *t = map_get(state, name);
    double sum = 0;
    for (int64_t i = 0; i < type_count(t->type); i++)
        sum += ((double *)t->data)[i] * ((double *)t->data)[i];
    return sqrt(sum / (double)type_count(t->type));
}

Test(elab, micro_starts_at_the_expected_losses)
{
    Loaded l = load(CZT_SOURCE_DIR "/graphs/bench/micro.yaml", NULL, 0);
    cr_assert(l.f);
    Arena *a = l.arena;
    const Program *p = l.f->program;
    Map state = {0}, inputs = {0}, out = {0};
    Error err = {0};
    run_init(a, p, &state);
    // normal numbers of deviation 1 / sqrt(192), uniform ones within 1 / sqrt(192)
    cr_assert_float_eq(deviation(&state, "pos"), 0.0722, 0.002);
    cr_assert_float_eq(deviation(&state, "blocks.0.qkv.weight"), 0.0722 / sqrt(3), 0.001);
    cr_assert_float_eq(deviation(&state, "token.weight"), 1, 0.02);
    cr_assert_float_eq(deviation(&state, "blocks.0.ln_1.weight"), 1, 0);
    cr_assert_float_eq(deviation(&state, "scale"), log(1 / 0.07), 1e-6);
    const Entry *eval = program_find_entry((Program *)p, "eval");
    fill_inputs(a, eval, &inputs, 21);
    cr_assert(entry_eval(eval, EVAL_F64, &inputs, &state, a, &out, &err), "%s", err.text);
    double pair = output_value(a, &out, "pair"), seg = output_value(a, &out, "experts.seg");
    double depth = output_value(a, &out, "experts.depth"),
           normal = output_value(a, &out, "experts.normal");
    printf("pair %g seg %g depth %g normal %g\n", pair, seg, depth, normal);
    cr_assert_float_eq(pair, log(4), 1.5);
    cr_assert_float_eq(seg, log(21), 0.5); // classes are guessed
    cr_assert(depth > 0.8 && depth < 1.6);
    cr_assert_float_eq(normal, 1, 0.1);
    cr_assert_float_eq(output_value(a, &out, "loss"), pair + seg + depth + normal, 1e-9);
    arena_free(a);
}

static void put(Arena *a, Map *inputs, const Entry *e, const char *name,
                double (*value)(int64_t sample, int64_t k))
{
    for (uint32_t i = 1; i < e->graph->nodes.n; i++) {
        const Node *n = graph_node(e->graph, i);
        if (n->op != OP_INPUT || strcmp(node_str(n, ATTR_NAME), name) != 0) continue;
        Tensor *t = tensor(a, n->type);
        int64_t count = type_count(n->type),
                each = n->type->rank ? count / n->type->axes[0].size : 1;
        for (int64_t k = 0; k < count; k++) {
            double x = value(k / each, k % each);
            if (n->type->dtype == DT_F32)
                ((double *)t->data)[k] = x;
            else if (n->type->dtype == DT_I64)
                ((int64_t *)t->data)[k] = (int64_t)x;
            else if (n->type->dtype == DT_I32)
                ((int32_t *)t->data)[k] = (int32_t)x;
            else
                ((uint8_t *)t->data)[k] = x != 0;
        }
        map_set(a, inputs, name, t);
    }
}

static double one(int64_t s, int64_t k)
{
    return (void)s, (void)k, 1;
}
static double five(int64_t s, int64_t k)
{
    return (void)s, (void)k, 5;
}
static double sample(int64_t s, int64_t k)
{
    return (void)k, (double)s;
}
static double not_first(int64_t s, int64_t k)
{
    return (void)k, s != 0;
}

Test(elab, features_have_the_values_of_their_definition)
{
    Loaded l = load(CZT_SOURCE_DIR "/tests/graphs/features.yaml", NULL, 0);
    cr_assert(l.f);
    Arena *a = l.arena;
    const Program *p = l.f->program;
    Map state = {0}, inputs = {0}, out = {0};
    Error err = {0};
    run_init(a, p, &state);
    const Entry *eval = program_find_entry((Program *)p, "eval");
    put(a, &inputs, eval, "x", one);
    put(a, &inputs, eval, "y", sample);
    put(a, &inputs, eval, "y.valid", not_first);
    put(a, &inputs, eval, "$step", five);
    put(a, &inputs, eval, "$seed", five);
    cr_assert(entry_eval(eval, EVAL_F64, &inputs, &state, a, &out, &err), "%s", err.text);
    double e = (49 + 36 + 25) / 3.0;
    cr_expect_float_eq(output_value(a, &out, "a"), 18, 1e-9);
    cr_expect_float_eq(output_value(a, &out, "b"), 3, 1e-9);
    cr_expect_float_eq(output_value(a, &out, "c_"), 111, 1e-9);
    cr_expect_float_eq(output_value(a, &out, "bias_"), 1.5, 1e-9);
    cr_expect_float_eq(output_value(a, &out, "experts.e"), e, 1e-9);
    cr_expect_float_eq(output_value(a, &out, "loss"), 18 + 2 * 3 + 0.5 * 111 - 1.5 + 0.5 * e, 1e-9);
    check_type(p, "shared.head.weight", "f32[3]");
    check_type(p, "enc.blocks.2.weight", "f32[3]");
    check_type(p, "experts.e.weight", "f32[3]");
    cr_assert_null(program_find_state(p, "enc.side.weight"));
    cr_assert(l.f->has_check && l.f->check.has_loss && l.f->check.loss == 1.5);
    cr_assert_str_eq(l.f->check.set[0], "d=2");
    arena_free(a);
}

Test(elab, set_reaches_lets_and_paths)
{
    const char *set[] = {"extra=true", "d=5", "train.optimizer.lr=0.5", "losses.b.enabled=false"};
    Loaded l = load(CZT_SOURCE_DIR "/tests/graphs/features.yaml", set, 4);
    cr_assert(l.f);
    check_type(l.f->program, "enc.side.weight", "f32[5]");
    cr_assert_not(has_output(program_find_entry(l.f->program, "step"), "b"));
    arena_free(l.arena);
    const char *wrong[] = {"extr=true"};
    l = (Loaded){arena_new(), NULL, NULL};
    l.diag = diag_new(l.arena);
    FrontendOptions o = {.lib_dir = LIB, .set = wrong, .nset = 1};
    cr_assert_null(
        frontend_load(l.arena, l.diag, CZT_SOURCE_DIR "/tests/graphs/features.yaml", &o));
    cr_assert_eq(diag_errors(l.diag), 1);
    arena_free(l.arena);
}

// A size of one number is height and width: of views, of labels with pixels, of what boxes lie in.
Test(elab, a_number_is_both_sides)
{
    static const struct {
        const char *path, *set[2][2], *want;
        uint32_t n;
    } cases[] = {{CZT_SOURCE_DIR "/tests/graphs/masks.yaml",
                  {{"data.views.image.size=size", "data.fields.seg.size=size + 0"},
                   {"data.views.image.size=[size, size]", "data.fields.seg.size=[size, size]"}},
                  "\"role\":\"class_map\",\"size\":[3,3]",
                  2},
                 {CZT_SOURCE_DIR "/tests/graphs/boxes.yaml",
                  {{"data.views.image.size=24"}, {"data.views.image.size=[24, 24]"}},
                  "\"name\":\"image\",\"size\":[24,24]",
                  1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Loaded one = load(cases[i].path, cases[i].set[0], cases[i].n),
               two = load(cases[i].path, cases[i].set[1], cases[i].n);
        cr_assert(one.f && two.f);
        const char *data = one.f->program->data_json;
        cr_expect_str_eq(data, two.f->program->data_json);
        cr_expect(strstr(data, cases[i].want), "%s", data);
        const Entry *e = program_find_entry(one.f->program, "eval"),
                    *f = program_find_entry(two.f->program, "eval");
        cr_expect_eq(e->graph->nodes.n, f->graph->nodes.n);
        arena_free(one.arena);
        arena_free(two.arena);
    }
}

// Adding a task changes nobody's random numbers: the initial state of the others stays.
Test(elab, random_numbers_stay_with_their_path)
{
    const char *set[] = {"experts.depth.enabled=false", "experts.seg.enabled=false"};
    Loaded x = load(CZT_SOURCE_DIR "/graphs/bench/micro.yaml", NULL, 0);
    Loaded y = load(CZT_SOURCE_DIR "/graphs/bench/micro.yaml", set, 2);
    cr_assert(x.f && y.f);
    Map sx = {0}, sy = {0};
    run_init(x.arena, x.f->program, &sx);
    run_init(y.arena, y.f->program, &sy);
    uint32_t same = 0;
    for (uint32_t i = 0; i < sy.n; i++) {
        const Tensor *a = sy.at[i].value, *b = map_get(&sx, sy.at[i].key);
        cr_assert(b);
        cr_assert(memcmp(a->data, b->data, (size_t)type_count(a->type) * 8) == 0, "%s",
                  sy.at[i].key);
        same++;
    }
    cr_assert_gt(same, 100);
    const Tensor *q0 = map_get(&sx, "blocks.0.qkv.weight"),
                 *q1 = map_get(&sx, "blocks.1.qkv.weight");
    cr_assert(memcmp(q0->data, q1->data, 64) != 0);
    arena_free(x.arena);
    arena_free(y.arena);
}

Test(elab, other_graphs_elaborate)
{
    const char *const graphs[] = {"bench/tiny", "bench/small", "bench/base", "clip", "demo"};
    for (int i = 0; i < 5; i++) {
        Arena *a = arena_new();
        Diag *diag = diag_new(a);
        FrontendOptions o = {.lib_dir = LIB, .use_check = true};
        Frontend *f =
            frontend_load(a, diag, str_printf(a, CZT_SOURCE_DIR "/graphs/%s.yaml", graphs[i]), &o);
        if (!f) diag_print(diag, stderr);
        cr_assert(f, "%s", graphs[i]);
        arena_free(a);
    }
}

static char *step_of(const char *path, const char *set)
{
    Arena *a = arena_new();
    FrontendOptions o = {.lib_dir = LIB, .set = &set, .nset = 1};
    Diag *diag = diag_new(a);
    Frontend *f = frontend_load(a, diag, path, &o);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (f)
        entry_print(program_find_entry(f->program, "step"), out);
    else
        diag_print(diag, stderr);
    fclose(out);
    cr_assert(f, "%s", path);
    arena_free(a);
    return text;
}

// Another number of updates is another schedule.
Test(elab, schedules_of_the_graphs_follow_steps)
{
    glob_t g;
    cr_assert_eq(glob(CZT_SOURCE_DIR "/graphs/*.yaml", 0, NULL, &g), 0);
    cr_assert_geq(g.gl_pathc, 8);
    for (size_t i = 0; i < g.gl_pathc; i++) {
        char *few = step_of(g.gl_pathv[i], "steps=60000"),
             *many = step_of(g.gl_pathv[i], "steps=70000");
        cr_expect(strcmp(few, many) != 0, "%s: its schedule does not depend on steps",
                  g.gl_pathv[i]);
        free(few);
        free(many);
    }
    globfree(&g);
}

// The metrics of the demo: counts of pixels and a mean, over two batches.
Test(elab, metrics_accumulate_and_reset)
{
    const char *set[] = {"batch=2"};
    Loaded l = load(CZT_SOURCE_DIR "/graphs/demo.yaml", set, 1);
    cr_assert(l.f);
    Arena *a = l.arena;
    Program *p = l.f->program;
    Map state = {0}, inputs = {0}, out = {0}, results = {0};
    Error err = {0};
    run_init(a, p, &state);
    const Entry *eval = program_find_entry(p, "eval");
    fill_inputs(a, eval, &inputs, 2);
    for (int batch = 0; batch < 2; batch++) {
        out = (Map){0};
        cr_assert(entry_eval(eval, EVAL_F64, &inputs, &state, a, &out, &err), "%s", err.text);
        for (uint32_t i = 0; i < out.n; i++)
            if (strncmp(out.at[i].key, "state:", 6) == 0)
                map_set(a, &state, out.at[i].key + 6, out.at[i].value);
    }
    const Tensor *c = map_get(&state, "$metric.experts.seg.constant_mask.all");
    int64_t total = 0, valid = 0;
    for (int64_t i = 0; i < type_count(c->type); i++) total += ((int64_t *)c->data)[i];
    const Tensor *v = map_get(&inputs, "seg.valid");
    for (int64_t i = 0; i < type_count(v->type); i++) valid += ((uint8_t *)v->data)[i];
    cr_assert_eq(total, 2 * valid);
    Map none = {0};
    cr_assert(
        entry_eval(program_find_entry(p, "metrics"), EVAL_F64, &none, &state, a, &results, &err),
        "%s", err.text);
    double iou = output_value(a, &results, "experts.seg.iou");
    double mean = output_value(a, &results, "experts.edge.mean_abs");
    cr_assert(iou > 0.1 && iou < 0.6, "%g", iou); // labels are noise
    cr_assert_float_eq(mean, output_value(a, &out, "experts.edge"), 1e-9);
    arena_free(a);
}

// Texts of 5 tokens, the last of which is the largest; other padding, another word.
static double words(int64_t s, int64_t k)
{
    return k < 4 ? (double)(s + 3 * k) : k == 4 ? 31 : 0;
}
static double words_padded(int64_t s, int64_t k)
{
    return k < 5 ? words(s, k) : (double)k;
}
static double words_changed(int64_t s, int64_t k)
{
    return k == 1 ? 20 : words(s, k);
}

Test(elab, padding_of_texts_is_not_seen)
{
    Loaded l = load(CZT_SOURCE_DIR "/tests/graphs/padded_text.yaml", NULL, 0);
    cr_assert(l.f);
    Arena *a = l.arena;
    Map state = {0};
    Error err = {0};
    run_init(a, l.f->program, &state);
    const Entry *encode = program_find_entry(l.f->program, "encode_textual");
    double (*const texts[])(int64_t, int64_t) = {words, words_padded, words_changed};
    const Tensor *results[3];
    for (int i = 0; i < 3; i++) {
        Map inputs = {0}, out = {0};
        put(a, &inputs, encode, "text", texts[i]);
        cr_assert(entry_eval(encode, EVAL_F64, &inputs, &state, a, &out, &err), "%s", err.text);
        results[i] = out.at[0].value;
    }
    size_t bytes = (size_t)type_count(results[0]->type) * sizeof(double);
    cr_assert_eq(memcmp(results[0]->data, results[1]->data, bytes), 0);
    cr_assert_neq(memcmp(results[0]->data, results[2]->data, bytes), 0);
    arena_free(a);
}

// Every loss of the graph must be 0.
static void all_zero(const char *path, uint32_t least)
{
    Loaded l = load(path, NULL, 0);
    cr_assert(l.f);
    Arena *a = l.arena;
    Map state = {0}, inputs = {0}, out = {0};
    Error err = {0};
    run_init(a, l.f->program, &state);
    const Entry *eval = program_find_entry(l.f->program, "eval");
    put(a, &inputs, eval, "x", one);
    put(a, &inputs, eval, "$step", five);
    put(a, &inputs, eval, "$seed", five);
    cr_assert(entry_eval(eval, EVAL_F64, &inputs, &state, a, &out, &err), "%s", err.text);
    uint32_t cases = 0;
    for (uint32_t i = 0; i < eval->outputs.n; i++) {
        const char *name = eval->outputs.at[i].name;
        if (strcmp(name, "loss") == 0 || strchr(name, '.')) continue;
        double x = output_value(a, &out, name);
        cr_expect(x < 1e-6, "%s is off by %g", name, x);
        cases++;
    }
    cr_assert_gt(cases, least);
    arena_free(a);
}

Test(elab, builtins_have_the_values_known_by_hand)
{
    all_zero(CZT_SOURCE_DIR "/tests/graphs/builtins.yaml", 40);
}

Test(elab, library_modules_have_the_values_known_by_hand)
{
    all_zero(CZT_SOURCE_DIR "/tests/graphs/library.yaml", 8);
}

Test(elab, losses_of_distillation_have_the_values_known_by_hand)
{
    all_zero(CZT_SOURCE_DIR "/tests/graphs/distill.yaml", 6);
}

Test(elab, whitening_does_what_it_says)
{
    all_zero(CZT_SOURCE_DIR "/tests/graphs/whiten.yaml", 8);
}

// The loader knows no expressions: an index is a number and multiples of draws.
Test(elab, keys_are_compiled)
{
    static const char *const sets[] = {
        "data.fields.t_txt.key=text_emb.deep[3 - 2][2 * (s + a) + augs, 1]",
        "data.fields.syn.key=[s, 1]", "data.views.image.series=dr",
        "data.views.image.colour={hue: 0.5, grey: 1 / 4}"};
    Loaded l = load(CZT_SOURCE_DIR "/graphs/mobileclip-dr.yaml", sets, 4);
    cr_assert(l.f);
    static const char *const parts[] = {
        "\"series\":\"dr\",\"colour\":{\"hue\":0.5,\"grey\":0.25},\"replay\":",
        "\"draws\":[{\"name\":\"a\",\"below\":30},{\"name\":\"s\",\"below\":5}]",
        "\"replay\":{\"member\":[\"paug.json\"],\"series\":\"dr\",\"key\":[\"param_aug\","
        "{\"base\":0,\"draws\":{\"a\":1}}],\"ops\":true}",
        "\"key\":[\"text_emb\",{\"base\":1,\"draws\":{\"s\":1}}]",
        "\"key\":[\"text_emb\",\"deep\",1,{\"base\":30,\"draws\":{\"a\":2,\"s\":2}},1]",
        "\"key\":[{\"base\":0,\"draws\":{\"s\":1}},1],\"required\":true"};
    const char *json = l.f->program->data_json;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_expect(strstr(json, parts[i]), "%s is not in %s", parts[i], json);
    arena_free(l.arena);
}

// Whether samples may lack members of a series says the field, else the series, else they may.
Test(elab, a_series_says_what_may_be_missing)
{
    static const struct {
        const char *set[2];
        int required; // of the four fields that are in the series
    } cases[] = {
        {{"data.series.dr.optional=false", "name=same"}, 4},
        {{"data.series.dr.optional=1 > 0", "name=same"}, 0},
        {{"data.series.dr.optional=null", "data.series.dr.shards=[a.tar, b.tar]"}, 0},
        {{"data.series.dr=a.tar", "data.fields.syn.optional=false"}, 1},
        {{"data.series.dr.optional=false", "data.fields.t_*.optional=true"}, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Loaded l = load(CZT_SOURCE_DIR "/graphs/mobileclip-dr.yaml", cases[i].set, 2);
        cr_assert(l.f);
        int required = -1; // `text`, which is of the source
        for (const char *p = l.f->program->data_json; (p = strstr(p, "\"required\":true")); p++)
            required++;
        cr_expect_eq(required, cases[i].required, "%s: %d", cases[i].set[0], required);
        arena_free(l.arena);
    }
}

// How many classes a head has says the expert, else its field, else the names of the field's
// classes.
Test(elab, heads_have_the_classes_of_their_field)
{
    static const struct {
        const char *graph, *set[2], *weight, *type;
    } cases[] = {
        {"clip-det", {"name=names", "batch=64"}, "det.head.class", "f32[80, 256]"},
        {"clip-det",
         {"data.fields.boxes.names=[a, b, c]", "batch=64"},
         "det.head.class",
         "f32[3, 256]"},
        {"clip-det",
         {"data.fields.boxes.classes=90", "batch=64"},
         "det.head.class",
         "f32[90, 256]"},
        {"clip-det",
         {"data.fields.boxes.classes=90", "experts.det.classes=91"},
         "det.head.class",
         "f32[91, 256]"},
        {"cliptex-vit-b16",
         {"data.fields.seg.classes=12 + 7", "experts.seg.classes=null"},
         "seg.head",
         "f32[19, 768]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Arena *a = arena_new();
        Loaded l =
            load(str_printf(a, CZT_SOURCE_DIR "/graphs/%s.yaml", cases[i].graph), cases[i].set, 2);
        cr_assert(l.f);
        check_type(l.f->program, str_printf(a, "experts.%s.weight", cases[i].weight),
                   cases[i].type);
        arena_free(l.arena);
        arena_free(a);
    }
}

Test(elab, taps_are_outputs)
{
    Arena *a = arena_new();
    Diag *diag = diag_new(a);
    const char *taps[] = {"visual.blocks[0:2].map[1]", "experts.seg.per_sample", "pair.loss * 2"};
    FrontendOptions o = {.lib_dir = LIB, .taps = taps, .ntaps = 3};
    Frontend *f = frontend_load(a, diag, CZT_SOURCE_DIR "/graphs/bench/micro.yaml", &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f);
    const Entry *step = program_find_entry(f->program, "step");
    for (int i = 0; i < 3; i++) cr_assert(has_output(step, taps[i]), "%s", taps[i]);
    arena_free(a);
}

// A slow copy that begins later is there for the step that has it.
Test(elab, taps_of_what_begins_later)
{
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const char *taps[] = {"slow.enc.out"};
    FrontendOptions o = {.lib_dir = LIB, .taps = taps, .ntaps = 1};
    Frontend *f = frontend_load(arena, diag, CZT_SOURCE_DIR "/tests/graphs/slow.yaml", &o);
    if (!f) diag_print(diag, stderr);
    cr_assert(f);
    cr_expect(!has_output(program_find_entry(f->program, "step"), taps[0]));
    cr_expect(has_output(program_find_entry(f->program, "step@2"), taps[0]));
    arena_free(arena);
}

Test(elab, the_library_describes_itself)
{
    Arena *a = arena_new();
    Error err = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    cr_assert(frontend_lib(a, LIB, NULL, out, &err), "%s", err.text);
    cr_assert(frontend_lib(a, LIB, "vit", out, &err), "%s", err.text);
    fclose(out);
    const char *const parts[] = {"info_nce",
                                 "adamw",
                                 "mean_iou",
                                 "gelu(x)",
                                 "einsum(pattern, *x)",
                                 "module vit (encoders/vit)",
                                 "heads        int",
                                 "blocks, tokens"};
    for (int i = 0; i < 8; i++) cr_expect(strstr(text, parts[i]), "no '%s' in\n%s", parts[i], text);
    cr_assert_not(frontend_lib(a, LIB, "vitt", stdout, &err));
    cr_assert(strstr(err.text, "did you mean 'vit'?"));
    free(text);
    arena_free(a);
}

// A bare name is one of let, else a key of train; the check case keeps its own sizes.
Test(elab, set_finds_let_then_train_and_check_comes_last)
{
    const char *set[] = {"precision=f32", "steps=7", "batch=2"};
    for (int check = 0; check < 2; check++) {
        Arena *arena = arena_new();
        Diag *diag = diag_new(arena);
        FrontendOptions o = {.lib_dir = LIB, .set = set, .nset = 3, .use_check = check};
        Frontend *f = frontend_load(arena, diag, CZT_SOURCE_DIR "/graphs/bench/tiny.yaml", &o);
        if (!f) diag_print(diag, stderr);
        cr_assert(f);
        cr_expect_eq(f->program->steps, 7);
        cr_expect_eq(f->program->batch, check ? 4 : 2);
        arena_free(arena);
    }
}
