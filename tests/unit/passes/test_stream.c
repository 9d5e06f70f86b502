// Pass stream: results stay what they were, nothing large is left, plans need less memory, and what
// is no region stays as it is.
#include "gradcheck.h"
#include "passes/lower.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#define FOLDER CZT_SOURCE_DIR "/tests/passes"

// %u(M, K) and %v(N, K) are the operands of the product %z(M, N).
#define HEAD(M, N, K)                                                                              \
    "program \"p\" batch=" #M " steps=1 seed=0\n"                                                  \
    "entry \"step\" {\n"                                                                           \
    "%u = input {name=\"u\"} : f32[" #M "b, " #K "]\n"                                             \
    "%v = input {name=\"v\"} : f32[" #N ", " #K "]\n"                                              \
    "%z = dot %u, %v {lc=[1], rc=[1]} : f32[" #M "b, " #N "]\n"
#define TAIL                                                                                       \
    "%du = grad %loss, %u\n%dv = grad %loss, %v\n"                                                 \
    "output \"loss\" %loss\noutput \"du\" %du\noutput \"dv\" %dv\n}\n"

#define ATTENTION                                                                                  \
    HEAD(12, 16, 2)                                                                                \
    "%m = reduce_max %z {axes=[1]} : f32[12b]\n"                                                   \
    "%mb = broadcast %m {axes=[0]} : f32[12b, 16]\n"                                               \
    "%x = sub %z, %mb\n%e = exp %x\n"                                                              \
    "%s = sum %e {axes=[1]} : f32[12b]\n"                                                          \
    "%sb = broadcast %s {axes=[0]} : f32[12b, 16]\n"                                               \
    "%p = div %e, %sb\n"                                                                           \
    "%o = dot %p, %v {lc=[1], rc=[0]} : f32[12b, 2]\n"
#define ATTENDED "%tt = mul %t, %t\n%loss = sum %tt {axes=[0, 1], cross=1} : f32[]\n" TAIL

typedef struct Region {
    const char *name;
    int64_t piece;  // bytes
    int64_t most;   // elements of the largest product afterwards
    uint32_t times; // how often a product of pieces, first of all rows, is computed; 0: not cut
    const char *text;
} Region;

static const Region regions[] = {
    // cross-entropy over a vocabulary, the target found by its index, with a bias; 7 rows in 3
    {"vocabulary", 3 * 80, 3 * 20, 1,
     HEAD(7, 20, 2) "%t = input {name=\"t\"} : i32[7b]\n"
                    "%b = input {name=\"b\"} : f32[20]\n"
                    "%bb = broadcast %b {axes=[1]} : f32[7b, 20]\n"
                    "%y = add %z, %bb\n"
                    "%l = logsumexp %y {axes=[1]} : f32[7b]\n"
                    "%i = iota {axis=1} : i32[7b, 20]\n"
                    "%tb = broadcast %t {axes=[0]} : i32[7b, 20]\n"
                    "%hit = eq %i, %tb\n"
                    "%zero = const {value=0} : f32[]\n"
                    "%zb = broadcast %zero {axes=[]} : f32[7b, 20]\n"
                    "%s = select %hit, %y, %zb\n"
                    "%p = sum %s {axes=[1]} : f32[7b]\n"
                    "%nll = sub %l, %p\n"
                    "%loss = sum %nll {axes=[0], cross=1} : f32[]\n"
                    "%db = grad %loss, %b\n"
                    "output \"db\" %db\noutput \"nll\" %nll\n" TAIL},
    // the target by a gather, whose gradient is a scatter
    {"gathered", 2 * 80, 2 * 20, 1,
     HEAD(6, 20, 2) "%t = input {name=\"t\"} : i32[6b, 1]\n"
                    "%l = logsumexp %z {axes=[1]} : f32[6b]\n"
                    "%g = gather %z, %t {batch=1} : f32[6b, 1]\n"
                    "%gs = reshape %g : f32[6b]\n"
                    "%nll = sub %l, %gs\n"
                    "%loss = sum %nll {axes=[0], cross=1} : f32[]\n" TAIL},
    // both ways of a contrastive loss from one product: columns need a sweep of their own
    {"both ways", 4 * 64, 4 * 16, 2,
     HEAD(16, 16, 2) "%l = logsumexp %z {axes=[1]} : f32[16b]\n"
                     "%zz = batch_gather %z {axis=0} : f32[16, 16]\n"
                     "%c = logsumexp %zz {axes=[0]} : f32[16]\n"
                     "%i = iota {axis=0} : i32[16, 16]\n"
                     "%j = iota {axis=1} : i32[16, 16]\n"
                     "%hit = eq %i, %j\n"
                     "%zero = const {value=0} : f32[]\n"
                     "%zb = broadcast %zero {axes=[]} : f32[16, 16]\n"
                     "%s = select %hit, %zz, %zb\n"
                     "%own = sum %s {axes=[0, 1]} : f32[]\n"
                     "%ls = sum %l {axes=[0], cross=1} : f32[]\n"
                     "%cs = sum %c {axes=[0]} : f32[]\n"
                     "%both = add %ls, %cs\n"
                     "%loss = sub %both, %own\n"
                     "output \"columns\" %c\n" TAIL},
    // pairs under a sigmoid: rows are never looked at as such
    {"pairs", 5 * 64, 5 * 16, 1,
     HEAD(17, 16, 2) "%m = neg %z\n%e = exp %m\n"
                     "%one = const {value=1} : f32[]\n"
                     "%ob = broadcast %one {axes=[]} : f32[17b, 16]\n"
                     "%o = add %e, %ob\n%q = log %o\n"
                     "%loss = sum %q {axes=[0, 1], cross=1} : f32[]\n" TAIL},
    // assignments whose columns and rows are scaled in turn (Sinkhorn), then compared
    {"in turn", 4 * 64, 4 * 16, 2,
     HEAD(16, 16, 2) "%y = batch_gather %z {axis=0} : f32[16, 16]\n"
                     "%e = exp %y\n"
                     "%c = sum %e {axes=[0]} : f32[16]\n"
                     "%cb = broadcast %c {axes=[1]} : f32[16, 16]\n"
                     "%q = div %e, %cb\n"
                     "%r = sum %q {axes=[1]} : f32[16]\n"
                     "%rb = broadcast %r {axes=[0]} : f32[16, 16]\n"
                     "%q2 = div %q, %rb\n"
                     "%c2 = sum %q2 {axes=[0]} : f32[16]\n"
                     "%c2b = broadcast %c2 {axes=[1]} : f32[16, 16]\n"
                     "%q3 = div %q2, %c2b\n"
                     "%st = stop_gradient %q3\n"
                     "%sz = mul %st, %y\n"
                     "%own = sum %sz {axes=[0, 1]} : f32[]\n"
                     "%l = logsumexp %y {axes=[1]} : f32[16]\n"
                     "%ls = sum %l {axes=[0]} : f32[]\n"
                     "%loss = sub %ls, %own\n" TAIL},
    // a student's distribution over prototypes against a teacher's, which is centred (DINO): two
    // products, one sweep
    {"prototypes", 4 * 80, 4 * 20, 2,
     HEAD(12, 20, 2) "%tu = input {name=\"tu\"} : f32[12b, 2]\n"
                     "%tv = input {name=\"tv\"} : f32[20, 2]\n"
                     "%c = input {name=\"c\"} : f32[20]\n"
                     "%tz = dot %tu, %tv {lc=[1], rc=[1]} : f32[12b, 20]\n"
                     "%cb = broadcast %c {axes=[1]} : f32[12b, 20]\n"
                     "%tc = sub %tz, %cb\n"
                     "%tl = logsumexp %tc {axes=[1]} : f32[12b]\n"
                     "%tlb = broadcast %tl {axes=[0]} : f32[12b, 20]\n"
                     "%tlog = sub %tc, %tlb\n%te = exp %tlog\n%tp = stop_gradient %te\n"
                     "%l = logsumexp %z {axes=[1]} : f32[12b]\n"
                     "%lb = broadcast %l {axes=[0]} : f32[12b, 20]\n"
                     "%log = sub %z, %lb\n%cross = mul %tp, %log\n%minus = neg %cross\n"
                     "%each = sum %minus {axes=[1]} : f32[12b]\n"
                     "%loss = sum %each {axes=[0], cross=1} : f32[]\n"
                     "%mean = sum %tz {axes=[0], cross=1} : f32[20]\n"
                     "output \"mean\" %mean\n" TAIL},
    // attention by its parts; what comes of it stays a row's own, so one sweep does it all
    {"attention", 4 * 64, 4 * 16, 1, ATTENTION "%t = tanh %o\n" ATTENDED},
    // the same before a layer, from which the gradient comes back
    {"attention and a layer", 4 * 64, 4 * 16, 2,
     ATTENTION "%w = input {name=\"w\"} : f32[2, 2]\n"
               "%t = dot %o, %w {lc=[1], rc=[0]} : f32[12b, 2]\n" ATTENDED},
    // retrieval: how many are nearer than the right one, and which is the nearest
    {"ranks", 3 * 64, 2 * 16, 1,
     HEAD(8, 16, 2) "%best = argmax %z {axis=1} : i32[8b]\n"
                    "%top = reduce_max %z {axes=[1]} : f32[8b]\n"
                    "%all = batch_gather %z {axis=0} : f32[8, 16]\n"
                    "%low = reduce_min %all {axes=[0]} : f32[16]\n"
                    "%half = const {value=0.5} : f32[]\n"
                    "%hb = broadcast %half {axes=[]} : f32[8b, 16]\n"
                    "%near = lt %hb, %z\n%n = cast %near : f32[8b, 16]\n"
                    "%rank = sum %n {axes=[1]} : f32[8b]\n"
                    "output \"best\" %best\noutput \"top\" %top\noutput \"low\" %low\n"
                    "output \"rank\" %rank\n}\n"},
    // a layer that widens what it is given: large, but never reduced to something small
    {"wide layer", 64, 8 * 16, 0,
     HEAD(8, 16, 2) "%h = tanh %z\n"
                    "%o = dot %h, %v {lc=[1], rc=[0]} : f32[8b, 2]\n"
                    "%loss = sum %o {axes=[0, 1], cross=1} : f32[]\n" TAIL},
    // the same over positions, with a bias, whose gradient is a sum over rows and positions
    {"wide layer over positions", 64, 6 * 3 * 16, 0,
     "program \"p\" batch=6 steps=1 seed=0\n"
     "entry \"step\" {\n"
     "%u = input {name=\"u\"} : f32[6b, 3, 2]\n"
     "%v = input {name=\"v\"} : f32[16, 2]\n"
     "%b = input {name=\"b\"} : f32[16]\n"
     "%z = dot %u, %v {lc=[2], rc=[1]} : f32[6b, 3, 16]\n"
     "%bb = broadcast %b {axes=[2]} : f32[6b, 3, 16]\n"
     "%y = add %z, %bb\n%h = tanh %y\n"
     "%o = dot %h, %v {lc=[2], rc=[0]} : f32[6b, 3, 2]\n"
     "%oo = mul %o, %o\n"
     "%loss = sum %oo {axes=[0, 1, 2], cross=1} : f32[]\n"
     "%db = grad %loss, %b\noutput \"db\" %db\n" TAIL},
    // logits over positions: the same shapes, but reduced
    {"logits over positions", 2 * 3 * 64, 2 * 3 * 16, 1,
     "program \"p\" batch=6 steps=1 seed=0\n"
     "entry \"step\" {\n"
     "%u = input {name=\"u\"} : f32[6b, 3, 2]\n"
     "%v = input {name=\"v\"} : f32[16, 2]\n"
     "%z = dot %u, %v {lc=[2], rc=[1]} : f32[6b, 3, 16]\n"
     "%l = logsumexp %z {axes=[2]} : f32[6b, 3]\n"
     "%loss = sum %l {axes=[0, 1], cross=1} : f32[]\n" TAIL},
    // the product is asked for
    {"output", 64, 8 * 16, 0,
     HEAD(8, 16, 2) "%l = logsumexp %z {axes=[1]} : f32[8b]\n"
                    "%loss = sum %l {axes=[0], cross=1} : f32[]\n"
                    "output \"z\" %z\n" TAIL},
    // dropped out at random: numbers belong to elements of the whole
    {"random", 64, 8 * 16, 0,
     HEAD(8, 16, 2) "%seed = input {name=\"$seed\"} : i64[]\n"
                    "%step = input {name=\"$step\"} : i64[]\n"
                    "%r = random %seed, %step {stream=5} : u32[8b, 16]\n"
                    "%f = cast %r : f32[8b, 16]\n"
                    "%y = mul %z, %f\n"
                    "%l = reduce_max %y {axes=[1]} : f32[8b]\n"
                    "%loss = sum %l {axes=[0], cross=1} : f32[]\n" TAIL},
};

static Program *parsed(Arena *arena, const char *name, const char *text)
{
    Diag *diag = diag_new(arena);
    Program *p = program_parse(arena, diag, diag_source(diag, name, text, strlen(text)));
    if (!p) diag_print(diag, stderr);
    cr_assert(p, "%s does not parse", name);
    return p;
}

static Map results(Arena *arena, const Entry *e, const char *name)
{
    Map inputs = {0}, out = {0};
    Error err = {0};
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op != OP_INPUT) continue;
        Tensor *t = arena_make(arena, Tensor);
        uint64_t seed = hash_str(3, node_str(n, ATTR_NAME));
        *t = (Tensor){n->type, arena_alloc(arena, (size_t)type_count(n->type) * 8)};
        for (int64_t i = 0; i < type_count(n->type); i++)
            if (n->type->dtype == DT_F32)
                ((double *)t->data)[i] = 4 * case_random(&seed) - 2;
            else
                ((int32_t *)t->data)[i] = (int32_t)(case_random(&seed) * 20);
        map_set(arena, &inputs, node_str(n, ATTR_NAME), t);
    }
    cr_assert(entry_eval(e, EVAL_F64, &inputs, NULL, arena, &out, &err), "%s: %s", name, err.text);
    return out;
}

static void same_results(const char *name, const Map *a, const Map *b)
{
    for (uint32_t i = 0; i < a->n; i++) {
        const Tensor *x = a->at[i].value, *y = map_get(b, a->at[i].key);
        cr_assert(y && type_equal(x->type, y->type), "%s: %s", name, a->at[i].key);
        for (int64_t k = 0; k < type_count(x->type); k++) {
            bool whole = x->type->dtype == DT_I32;
            double u = whole ? ((int32_t *)x->data)[k] : ((double *)x->data)[k],
                   v = whole ? ((int32_t *)y->data)[k] : ((double *)y->data)[k];
            cr_assert(fabs(u - v) <= 1e-12 * fmax(1, fabs(u)), "%s: %s[%lld] was %.17g, is %.17g",
                      name, a->at[i].key, (long long)k, u, v);
        }
    }
}

// Elements of the largest product.
static int64_t largest(const Entry *e)
{
    int64_t most = 0;
    for (NodeId id = 1; id < e->graph->nodes.n; id++) {
        const Node *n = graph_node(e->graph, id);
        if (n->op == OP_DOT && type_count(n->type) > most) most = type_count(n->type);
    }
    return most;
}

static bool is_input(const Graph *g, NodeId id)
{
    const Node *n = graph_node(g, id);
    return n->op == OP_INPUT || (n->op == OP_BATCH_GATHER && is_input(g, n->args[0]));
}

// Is it the first piece of an input?
static bool is_first(const Graph *g, NodeId id)
{
    const Node *n = graph_node(g, id);
    uint32_t count;
    return n->op == OP_SLICE && is_input(g, n->args[0]) && node_ints(n, ATTR_LO, &count)[0] == 0;
}

// How often the first piece of the product of the two inputs is computed.
static uint32_t first_pieces(const Entry *e)
{
    const Graph *g = e->graph;
    uint32_t times = 0, count;
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        if (n->op != OP_DOT || !n->copy || node_ints(n, ATTR_RCONTRACT, &count)[0] != 1) continue;
        times += (is_first(g, n->args[0]) && is_input(g, n->args[1])) ||
                 (is_input(g, n->args[0]) && is_first(g, n->args[1]));
    }
    return times;
}

static void run(Program *p, const char *list, int64_t above, int64_t piece)
{
    Error err = {0};
    PassOptions o = {.list = list, .stream_above = above, .stream_piece = piece};
    bool good = passes_run(p, &o, &err);
    if (!good) diag_print(p->diag, stderr);
    cr_assert(good, "%s: %s", list, err.text);
}

Test(stream, results_stay_and_nothing_large_is_left)
{
    for (size_t i = 0; i < sizeof regions / sizeof *regions; i++) {
        const Region *r = &regions[i];
        Arena *arena = arena_new();
        Program *p = parsed(arena, r->name, r->text), *q = parsed(arena, r->name, r->text);
        run(p, "autodiff,simplify,dce", 0, 0);
        run(q, "autodiff,simplify,stream", 400, r->piece);
        const Entry *e = p->entries.at[0], *s = q->entries.at[0];
        cr_expect_eq(largest(s), r->most, "%s: a product of %lld elements is left", r->name,
                     (long long)largest(s));
        cr_expect_eq(first_pieces(s), r->times, "%s: first rows are computed %u times", r->name,
                     first_pieces(s));
        if (!r->times) cr_expect_eq(e->graph->nodes.n, s->graph->nodes.n, "%s is cut", r->name);
        Map want = results(arena, e, r->name), have = results(arena, s, r->name);
        same_results(r->name, &want, &have);
        uint32_t nodes = s->graph->nodes.n;
        run(q, "stream", 100, 1); // what is cut is not cut again
        cr_expect(!r->times || s->graph->nodes.n == nodes, "%s is cut again", r->name);
        run(q, "expand,dce,derive", 0, 0);
        have = results(arena, s, r->name);
        same_results(r->name, &want, &have);
        arena_free(arena);
    }
}

// ---- memory -------------------------------------------------------------------------------------

static const char vocabulary[] = "program \"v\" batch=4096 steps=1 seed=0\n"
                                 "state param \"w\" f32[50000, 512] trainable\n"
                                 "state param \"p\" f32[512, 512] trainable\n"
                                 "entry \"step\" {\n"
                                 "%a = input {name=\"a\"} : f32[4096b, 512]\n"
                                 "%t = input {name=\"t\"} : i32[4096b]\n"
                                 "%w = state {name=\"w\"} : f32[50000, 512]\n"
                                 "%p = state {name=\"p\"} : f32[512, 512]\n"
                                 "%x = dot %a, %p {lc=[1], rc=[1]} : f32[4096b, 512]\n"
                                 "%z = dot %x, %w {lc=[1], rc=[1]} : f32[4096b, 50000]\n"
                                 "%l = logsumexp %z {axes=[1]} : f32[4096b]\n"
                                 "%i = iota {axis=1} : i32[4096b, 50000]\n"
                                 "%tb = broadcast %t {axes=[0]} : i32[4096b, 50000]\n"
                                 "%hit = eq %i, %tb\n"
                                 "%zero = const {value=0} : f32[]\n"
                                 "%zb = broadcast %zero {axes=[]} : f32[4096b, 50000]\n"
                                 "%s = select %hit, %z, %zb\n"
                                 "%o = sum %s {axes=[1]} : f32[4096b]\n"
                                 "%nll = sub %l, %o\n"
                                 "%loss = sum %nll {axes=[0], cross=1} : f32[]\n"
                                 "%dw = grad %loss, %w\n%dp = grad %loss, %p\n"
                                 "%wn = sub %w, %dw\n%pn = sub %p, %dp\n"
                                 "output \"loss\" %loss\nupdate \"w\" %wn\nupdate \"p\" %pn\n}\n";

static const char contrastive[] = "program \"c\" batch=8192 steps=1 seed=0\n"
                                  "state param \"p\" f32[512, 512] trainable\n"
                                  "entry \"step\" {\n"
                                  "%a = input {name=\"a\"} : f32[8192b, 512]\n"
                                  "%b = input {name=\"b\"} : f32[8192b, 512]\n"
                                  "%p = state {name=\"p\"} : f32[512, 512]\n"
                                  "%u = dot %a, %p {lc=[1], rc=[1]} : f32[8192b, 512]\n"
                                  "%v = dot %b, %p {lc=[1], rc=[1]} : f32[8192b, 512]\n"
                                  "%ua = batch_gather %u {axis=0} : f32[8192, 512]\n"
                                  "%va = batch_gather %v {axis=0} : f32[8192, 512]\n"
                                  "%x = dot %u, %va {lc=[1], rc=[1]} : f32[8192b, 8192]\n"
                                  "%y = dot %v, %ua {lc=[1], rc=[1]} : f32[8192b, 8192]\n"
                                  "%lx = logsumexp %x {axes=[1]} : f32[8192b]\n"
                                  "%ly = logsumexp %y {axes=[1]} : f32[8192b]\n"
                                  "%uv = mul %u, %v\n"
                                  "%own = sum %uv {axes=[1]} : f32[8192b]\n"
                                  "%both = add %lx, %ly\n"
                                  "%each = sub %both, %own\n"
                                  "%loss = sum %each {axes=[0], cross=1} : f32[]\n"
                                  "%dp = grad %loss, %p\n%pn = sub %p, %dp\n"
                                  "output \"loss\" %loss\nupdate \"p\" %pn\n}\n";

static int64_t one_task(const Target *target, const Kernel *k)
{
    (void)target, (void)k;
    return 1;
}

typedef struct Plans {
    int64_t scratch;           // bytes
    uint32_t kernels, buffers; // how many; of the one that has most
} Plans;

static Plans planned(Arena *arena, const char *text, const char *skip)
{
    Program *p = parsed(arena, "memory", text);
    Target target = {.name = "made up", .lanes = 4, .tasks = one_task};
    Lowering lowering = {.arena = arena, .target = &target, .mask = FUSE_ALL};
    Error err = {0};
    PassOptions o = {.level = 1, .skip = skip, .lowering = &lowering};
    cr_assert(passes_run(p, &o, &err), "%s", err.text);
    Plans plans = {lowering.plan->entries.at[0].scratch_bytes, lowering.plan->kernels.n, 0};
    for (uint32_t i = 0; i < plans.kernels; i++)
        if (lowering.plan->kernels.at[i]->buffers.n > plans.buffers)
            plans.buffers = lowering.plan->kernels.at[i]->buffers.n;
    return plans;
}

// Pieces, operands, sums and results in place of the whole; all pieces by the same kernels.
Test(stream, plans_need_less_memory)
{
    Arena *arena = arena_new();
    Plans v = planned(arena, vocabulary, NULL), v0 = planned(arena, vocabulary, "stream");
    Plans c = planned(arena, contrastive, NULL), c0 = planned(arena, contrastive, "stream");
    int64_t row = 512 * 4, large = 4096 * INT64_C(50000) * 4, square = 8192 * INT64_C(8192) * 4;
    cr_expect_geq(v0.scratch, 2 * large);
    cr_expect_leq(v.scratch, (3 * 50000 + 5 * 4096) * row, "%lld", (long long)v.scratch);
    cr_expect_geq(c0.scratch, 4 * square);
    cr_expect_leq(c.scratch, 4 * (16 << 20) + 6 * 8192 * row, "%lld", (long long)c.scratch);
    cr_expect_leq(v.kernels, v0.kernels + 3);
    cr_expect_leq(c.kernels, c0.kernels + 3);
    // 16 pieces of both log-sum-exps lie in one buffer each: nobody reads them one by one
    cr_expect_leq(c.buffers, 16, "a kernel has %u buffers", c.buffers);
    arena_free(arena);
}

// Left to its own choice the pass cuts nothing into pieces of a few rows: maps that are widened by
// a product over one of their axes, say.
Test(stream, few_rows_stay_whole)
{
    static const char text[] =
        "program \"w\" batch=%d steps=1 seed=0\n"
        "entry \"step\" {\n"
        "%%x = input {name=\"x\"} : f32[%db, 128, 56, 7]\n"
        "%%up = input {name=\"up\"} : f32[%d, 7]\n"
        "%%z = dot %%x, %%up {lc=[3], rc=[1]} : f32[%db, 128, 56, %d]\n"
        "%%l = logsumexp %%z {axes=[1]} : f32[%db, 56, %d]\n"
        "%%loss = sum %%l {axes=[0, 1, 2], cross=1} : f32[]\n"
        "%%dx = grad %%loss, %%x\noutput \"loss\" %%loss\noutput \"dx\" %%dx\n}\n";
    const struct {
        int batch, rows;
        bool cut;
    } cases[] = {{64, 48, false}, {8, 2048, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Arena *arena = arena_new();
        int b = cases[i].batch, n = cases[i].rows;
        Program *p = parsed(arena, "few rows", str_printf(arena, text, b, b, n, b, n, b, n));
        run(p, "autodiff,simplify,stream", 0, 0);
        bool cut = false;
        const Graph *g = p->entries.at[0]->graph;
        for (NodeId id = 1; id < g->nodes.n; id++)
            cut |= graph_node(g, id)->op == OP_DOT && graph_node(g, id)->copy;
        cr_expect_eq(cut, cases[i].cut, "%d rows", n);
        arena_free(arena);
    }
}
