// Phases: where a task begins (`from:`) or ends (`until:`), the step becomes another one. Each
// phase is an entry over the same state, "step" the first and "step@800" the one from update 800
// on, with nothing in it of what is off. The host takes the entry of the update.
#include "frontend/elab.h"
#include "frontend/json.h"

#include <math.h>
#include <stdlib.h>

static const char *bound_key(Elab *el, const Tree *row, const char *key)
{
    return str_printf(el->arena, "%p %s", (const void *)row, key);
}

int64_t phase_bound(Elab *el, const Tree *row, const char *key, int64_t def)
{
    const int64_t *x = map_get(&el->bounds, bound_key(el, row, key));
    return x ? *x : def;
}

static void add_phase(Elab *el, int64_t at)
{
    for (uint32_t i = 0; i < el->phases.n; i++)
        if (el->phases.at[i] == at) return;
    vec_push(el->arena, &el->phases, at);
}

// A number of updates known at compile time, rounded: 0.8 * total is meant to be one.
static bool read_bound(Elab *el, const Tree *row, const char *key)
{
    const Tree *t = tree_get(row, key);
    double x;
    if (!t || !value_to_float(el, tree_eval(el, el->scope, t, NULL), t->loc, key, &x)) return false;
    if (!(x >= 0 && x < 1e15)) {
        el_error(el, t->loc, "%s is %g; it is a number of updates", key, x);
        suggest_number(el, x, 0, 1e15, false);
        return false;
    }
    warn_share(el, t, key, x);
    int64_t *bound = arena_make(el->arena, int64_t);
    *bound = llround(x);
    map_set(el->arena, &el->bounds, bound_key(el, row, key), bound);
    if (*bound > 0 && *bound < el->steps) add_phase(el, *bound);
    return true;
}

enum { PERIODS = 4, PERIOD_LIMIT = 10000 };

// every: k, a task that is computed in one update of k.
static void read_period(Elab *el, const Tree *row)
{
    const Tree *t = tree_get(row, "every");
    int64_t k;
    if (!t || !value_to_int(el, tree_eval(el, el->scope, t, NULL), t->loc, "every", &k)) return;
    if (k < 1 || k > PERIOD_LIMIT) {
        el_error(el, t->loc, "every is %lld; it is a number of updates from 1 to %d", (long long)k,
                 PERIOD_LIMIT);
        suggest_number(el, (double)k, 1, PERIOD_LIMIT, true);
        return;
    }
    for (uint32_t i = 0; i < el->periods.n; i++)
        if (el->periods.at[i] == k) k = 1;
    if (k == 1) return;
    if (el->periods.n == PERIODS)
        el_error(el, t->loc, "there are more than %d different numbers under every:", PERIODS);
    else
        vec_push(el->arena, &el->periods, k);
}

static bool switched_off(const Tree *row)
{
    const Tree *t = tree_get(row, "enabled");
    return t && t->kind == TREE_SCALAR && strcmp(t->text, "false") == 0;
}

// A row whose bounds are wrong counts as always on: so nothing else fails for them.
static void forget_bounds(Elab *el, const Tree *row)
{
    int64_t *from = map_get(&el->bounds, bound_key(el, row, "from")),
            *until = map_get(&el->bounds, bound_key(el, row, "until"));
    if (from) *from = 0;
    if (until) *until = INT64_MAX;
}

// Of losses: and experts: further keys may be those of a module or kind.
static void read_row(Elab *el, const TreeEntry *e, MappingId id)
{
    if (e->value->kind != TREE_MAP) return;
    const bool task = id == MAPPING_EXPERT || id == MAPPING_LOSS;
    const bool module = id == MAPPING_LOSS && tree_get(e->value, "module");
    if (!tree_get(e->value, "for")) // a family's are looked at when its members are made
        keys_check(el, e->value, id, task && (module || tree_get(e->value, "kind")));
    if (switched_off(e->value)) return;
    bool from = read_bound(el, e->value, "from"), until = read_bound(el, e->value, "until");
    read_period(el, e->value);
    int64_t begin = phase_bound(el, e->value, "from", 0),
            end = phase_bound(el, e->value, "until", INT64_MAX);
    if (until && end <= begin) {
        el_error(el, tree_get(e->value, "until")->loc,
                 "'%s' ends at update %lld and begins at %lld", e->key->text, (long long)end,
                 (long long)begin);
        diag_help(el->diag, "`until` is the first update without it, not how many there are");
        suggest_guess(el, str_printf(el->arena, "%lld", (long long)(begin + (end ? end : 1))),
                      NULL);
        suggest_without(el, e->value, tree_entry(e->value, "until")->key);
        forget_bounds(el, e->value);
    }
    if (from && el->steps && begin >= el->steps)
        diag_warning(el->diag, tree_get(e->value, "from")->loc,
                     "'%s' never begins: training has %lld updates", e->key->text,
                     (long long)el->steps);
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void phases_read(Elab *el)
{
    static const struct {
        const char *name;
        MappingId id;
    } sections[] = {{"experts", MAPPING_EXPERT},
                    {"losses", MAPPING_LOSS},
                    {"ema", MAPPING_EMA},
                    {"watch", MAPPING_WATCH}};
    build_begin(el, true); // names of the graph's constants, with the number of steps
    add_phase(el, 0);
    for (size_t s = 0; s < sizeof sections / sizeof *sections; s++) {
        const Tree *t = tree_get(el->root, sections[s].name);
        for (uint32_t i = 0; t && t->kind == TREE_MAP && i < t->entries.n; i++)
            read_row(el, &t->entries.at[i], sections[s].id);
    }
    qsort(el->phases.at, el->phases.n, sizeof *el->phases.at, by_number);
    if (el->periods.n) qsort(el->periods.at, el->periods.n, sizeof *el->periods.at, by_number);
}

bool phase_has(const Elab *el, int64_t from, int64_t until)
{
    return el->phase == PHASE_ALL || (from <= el->phase && el->phase < until);
}

bool phase_works(Elab *el, const Tree *row)
{
    const Tree *t = tree_get(row, "every");
    int64_t k;
    if (!t || el->phase == PHASE_ALL ||
        !value_to_int(el, tree_eval(el, el->scope, t, NULL), t->loc, "every", &k))
        return true;
    for (uint32_t i = 0; i < el->periods.n; i++)
        if (el->periods.at[i] == k) return !(el->resting & 1u << i);
    return true;
}

// Which periods rest after so many updates.
static uint32_t resting_at(const Elab *el, int64_t step)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < el->periods.n; i++)
        bits |= (uint32_t)(step % el->periods.at[i] > 0) << i;
    return bits;
}

static int64_t common_multiple(int64_t a, int64_t b)
{
    int64_t x = a, y = b;
    while (y) {
        int64_t rest = x % y;
        x = y, y = rest;
    }
    return a / x * b;
}

// The first update, beside 0, after which all periods of a set work.
static int64_t first_of(const Elab *el, uint32_t set)
{
    int64_t step = 1;
    for (uint32_t i = 0; i < el->periods.n; i++)
        if (set & 1u << i) step = common_multiple(step, el->periods.at[i]);
    return step;
}

static int by_resting(const void *a, const void *b)
{
    int x = __builtin_popcount(*(const uint32_t *)a), y = __builtin_popcount(*(const uint32_t *)b);
    return x != y ? x - y : *(const uint32_t *)a < *(const uint32_t *)b ? -1 : 1;
}

// What works together after n updates does so after the least common multiple of its periods too,
// with nothing else; so these are all the sets there are.
Rests phase_rests(Elab *el)
{
    Rests sets = {0};
    bool seen[1 << PERIODS] = {false};
    for (uint32_t set = 0; set < 1u << el->periods.n; set++) {
        uint32_t bits = resting_at(el, first_of(el, set));
        if (seen[bits]) continue;
        seen[bits] = true;
        vec_push(el->arena, &sets, bits);
    }
    if (!seen[0]) vec_push(el->arena, &sets, 0); // after 0 updates
    qsort(sets.at, sets.n, sizeof *sets.at, by_resting);
    return sets;
}

const char *phase_entry(Elab *el, uint32_t i, uint32_t resting)
{
    const char *name = i ? str_printf(el->arena, "step@%lld", (long long)el->phases.at[i]) : "step";
    for (uint32_t k = 0; k < el->periods.n; k++)
        if (resting & 1u << k)
            name = str_printf(el->arena, "%s-%lld", name, (long long)el->periods.at[k]);
    return name;
}

// Which entry an update is, by the finished ones and by which periods do not divide them.
void put_phases(Elab *el, Json *j)
{
    const Rests rests = phase_rests(el);
    json_open(j, "phases", '[');
    for (uint32_t i = 0; i < el->phases.n; i++) {
        json_open(j, NULL, '{');
        json_int(j, "from", el->phases.at[i]);
        json_str(j, "entry", phase_entry(el, i, 0));
        const char *begin = emas_begin(el, el->phases.at[i]);
        if (begin) json_str(j, "begin", begin);
        if (rests.n > 1) json_open(j, "resting", '{');
        for (uint32_t k = 1; k < rests.n; k++)
            json_str(j, str_printf(el->arena, "%u", rests.at[k]), phase_entry(el, i, rests.at[k]));
        if (rests.n > 1) json_close(j, '}');
        json_close(j, '}');
    }
    json_close(j, ']');
    if (!el->periods.n) return;
    json_open(j, "periods", '[');
    for (uint32_t i = 0; i < el->periods.n; i++) json_int(j, NULL, el->periods.at[i]);
    json_close(j, ']');
}

Value updates_since(Elab *el, int64_t begin)
{
    if (el->initialising) return value_int(0);
    NodeId step = graph_input(el->graph, "$step", type_new(el->arena, DT_I64, 0, NULL));
    if (begin <= 0) return value_node(el, step);
    NodeId first = graph_const(el->graph, DT_I64, (double)begin);
    return value_node(el, graph_binary(el->graph, OP_SUB, step, first));
}
