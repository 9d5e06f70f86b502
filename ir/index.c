// Index expressions in canonical form. Every expression is a sum: constant + sum of coefficient *
// atom, where an atom is an axis, a loaded value, or a DIV or MOD node that could not be
// simplified. Constructors take sums apart, work on the terms and put them together again in the
// order of atom ids, so equal expressions get equal ids.
#include "ir/index.h"

#include "base/diag.h"
#include "base/map.h"

typedef struct Term {
    IndexId atom;
    int64_t coefficient;
} Term;

typedef struct Sum {
    int64_t constant;
    VEC(Term) terms;
} Sum;

static int64_t floor_div(int64_t a, int64_t c)
{
    int64_t q = a / c;
    return q - (a % c < 0);
}

static int64_t floor_mod(int64_t a, int64_t c)
{
    return a - c * floor_div(a, c);
}

static int64_t gcd(int64_t a, int64_t b)
{
    if (a < 0) a = -a;
    while (b) {
        int64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

static uint64_t node_hash(const IndexNode *n)
{
    uint64_t h = hash_u64((uint64_t)n->op, ((uint64_t)n->a << 32) | n->b);
    h = hash_u64(h, (uint64_t)n->c);
    return hash_u64(hash_u64(h, (uint64_t)n->lo), (uint64_t)n->hi);
}

static bool node_equal(const IndexNode *x, const IndexNode *y)
{
    return x->op == y->op && x->a == y->a && x->b == y->b && x->c == y->c && x->lo == y->lo &&
           x->hi == y->hi;
}

static uint32_t *find_slot(const IndexPool *pool, const IndexNode *n)
{
    uint32_t mask = pool->nslots - 1;
    for (uint32_t i = (uint32_t)node_hash(n) & mask;; i = (i + 1) & mask)
        if (!pool->slots[i] || node_equal(&pool->nodes.at[pool->slots[i] - 1], n))
            return &pool->slots[i];
}

static IndexId intern(IndexPool *pool, IndexNode n)
{
    if (pool->nodes.n * 2 >= pool->nslots) {
        pool->nslots = pool->nslots ? pool->nslots * 2 : 64;
        pool->slots = arena_array(pool->arena, uint32_t, pool->nslots);
        for (uint32_t i = 0; i < pool->nodes.n; i++) *find_slot(pool, &pool->nodes.at[i]) = i + 1;
    }
    uint32_t *slot = find_slot(pool, &n);
    if (!*slot) {
        vec_push(pool->arena, &pool->nodes, n);
        *slot = pool->nodes.n;
    }
    return *slot - 1;
}

void index_init(IndexPool *pool, Arena *arena)
{
    *pool = (IndexPool){.arena = arena};
    index_const(pool, 0);
}

void index_copy(IndexPool *to, const IndexPool *from, Arena *arena)
{
    *to = (IndexPool){.arena = arena, .nslots = from->nslots};
    to->slots = arena_copy(arena, from->slots, from->nslots * sizeof *from->slots);
    for (uint32_t i = 0; i < from->nodes.n; i++) vec_push(arena, &to->nodes, from->nodes.at[i]);
}

IndexId index_const(IndexPool *pool, int64_t c)
{
    return intern(pool, (IndexNode){.op = IX_CONST, .c = c, .lo = c, .hi = c});
}

IndexId index_axis(IndexPool *pool, uint32_t axis, int64_t size)
{
    if (size == 1) return index_const(pool, 0);
    return intern(pool, (IndexNode){.op = IX_AXIS, .a = axis, .hi = size - 1});
}

IndexId index_value(IndexPool *pool, uint32_t instr, int64_t lo, int64_t hi)
{
    return intern(pool, (IndexNode){.op = IX_VALUE, .a = instr, .lo = lo, .hi = hi});
}

static void add_term(IndexPool *pool, Sum *sum, IndexId atom, int64_t coefficient)
{
    uint32_t i = 0;
    while (i < sum->terms.n && sum->terms.at[i].atom < atom) i++;
    if (i < sum->terms.n && sum->terms.at[i].atom == atom) {
        sum->terms.at[i].coefficient += coefficient;
        if (sum->terms.at[i].coefficient) return;
        sum->terms.n--;
        memmove(&sum->terms.at[i], &sum->terms.at[i + 1], (sum->terms.n - i) * sizeof(Term));
    } else if (coefficient) {
        vec_push(pool->arena, &sum->terms, (Term){0});
        memmove(&sum->terms.at[i + 1], &sum->terms.at[i], (sum->terms.n - 1 - i) * sizeof(Term));
        sum->terms.at[i] = (Term){atom, coefficient};
    }
}

// sum += factor * e
static void add_scaled(IndexPool *pool, Sum *sum, IndexId e, int64_t factor)
{
    IndexNode n = pool->nodes.at[e];
    switch (n.op) {
    case IX_CONST: sum->constant += factor * n.c; break;
    case IX_ADD:
        add_scaled(pool, sum, n.a, factor);
        add_scaled(pool, sum, n.b, factor);
        break;
    case IX_MUL: add_scaled(pool, sum, n.a, factor * n.c); break;
    default: add_term(pool, sum, e, factor);
    }
}

static int64_t coefficient_of(const Sum *sum, IndexId atom)
{
    for (uint32_t i = 0; i < sum->terms.n; i++)
        if (sum->terms.at[i].atom == atom) return sum->terms.at[i].coefficient;
    return 0;
}

// k * m * (y / m) + k * (y % m) = k * y
static bool join_division(IndexPool *pool, Sum *sum)
{
    for (uint32_t i = 0; i < sum->terms.n; i++) {
        IndexNode mod = pool->nodes.at[sum->terms.at[i].atom];
        if (mod.op != IX_MOD) continue;
        int64_t k = sum->terms.at[i].coefficient;
        IndexId quotient = index_div(pool, mod.a, mod.c);
        if (coefficient_of(sum, quotient) != k * mod.c) continue;
        add_term(pool, sum, sum->terms.at[i].atom, -k);
        add_term(pool, sum, quotient, -k * mod.c);
        add_scaled(pool, sum, mod.a, k);
        return true;
    }
    return false;
}

// k * m * (z / m) + k * (y % m) = k * z where z % m is y % m, as for z = y % (m q)
static bool join_quotient(IndexPool *pool, Sum *sum)
{
    for (uint32_t i = 0; i < sum->terms.n; i++) {
        Term high = sum->terms.at[i];
        IndexNode division = pool->nodes.at[high.atom];
        if (division.op != IX_DIV || high.coefficient % division.c) continue;
        IndexId low = index_mod(pool, division.a, division.c);
        int64_t k = high.coefficient / division.c;
        if (pool->nodes.at[low].op != IX_MOD || coefficient_of(sum, low) != k) continue;
        add_term(pool, sum, low, -k);
        add_term(pool, sum, high.atom, -high.coefficient);
        add_scaled(pool, sum, division.a, k);
        return true;
    }
    return false;
}

// k * m * ((y / m) % q) + k * (y % m) = k * (y % (m q))
static bool join_remainders(IndexPool *pool, Sum *sum)
{
    for (uint32_t i = 0; i < sum->terms.n; i++) {
        Term low = sum->terms.at[i];
        IndexNode mod = pool->nodes.at[low.atom];
        if (mod.op != IX_MOD) continue;
        IndexId quotient = index_div(pool, mod.a, mod.c);
        for (uint32_t j = 0; j < sum->terms.n; j++) {
            Term high = sum->terms.at[j];
            IndexNode upper = pool->nodes.at[high.atom];
            if (upper.op != IX_MOD || upper.a != quotient) continue;
            if (high.coefficient != low.coefficient * mod.c) continue;
            add_term(pool, sum, low.atom, -low.coefficient);
            add_term(pool, sum, high.atom, -high.coefficient);
            add_scaled(pool, sum, index_mod(pool, mod.a, mod.c * upper.c), low.coefficient);
            return true;
        }
    }
    return false;
}

static IndexId scaled(IndexPool *pool, IndexId atom, int64_t c)
{
    if (c == 1) return atom;
    IndexNode n = pool->nodes.at[atom];
    int64_t x = n.lo * c, y = n.hi * c;
    return intern(
        pool,
        (IndexNode){.op = IX_MUL, .a = atom, .c = c, .lo = x < y ? x : y, .hi = x < y ? y : x});
}

static IndexId from_sum(IndexPool *pool, Sum *sum)
{
    while (join_division(pool, sum) || join_quotient(pool, sum) || join_remainders(pool, sum)) {
    }
    IndexId e = index_const(pool, sum->constant);
    for (uint32_t i = 0; i < sum->terms.n; i++) {
        IndexId t = scaled(pool, sum->terms.at[i].atom, sum->terms.at[i].coefficient);
        IndexNode x = pool->nodes.at[e], y = pool->nodes.at[t];
        if (x.op == IX_CONST && x.c == 0)
            e = t;
        else
            e = intern(
                pool,
                (IndexNode){.op = IX_ADD, .a = e, .b = t, .lo = x.lo + y.lo, .hi = x.hi + y.hi});
    }
    return e;
}

IndexId index_add(IndexPool *pool, IndexId a, IndexId b)
{
    Sum sum = {0};
    add_scaled(pool, &sum, a, 1);
    add_scaled(pool, &sum, b, 1);
    return from_sum(pool, &sum);
}

IndexId index_mul(IndexPool *pool, IndexId a, int64_t c)
{
    Sum sum = {0};
    if (c) add_scaled(pool, &sum, a, c);
    return from_sum(pool, &sum);
}

// Split e into multiple * c + rest: terms whose coefficient c divides, and the others (constant:
// its quotient and remainder).
static void divide_terms(IndexPool *pool, IndexId e, int64_t c, Sum *multiple, Sum *rest)
{
    Sum sum = {0};
    add_scaled(pool, &sum, e, 1);
    multiple->constant = floor_div(sum.constant, c);
    rest->constant = floor_mod(sum.constant, c);
    for (uint32_t i = 0; i < sum.terms.n; i++) {
        Term t = sum.terms.at[i];
        if (t.coefficient % c == 0)
            add_term(pool, multiple, t.atom, t.coefficient / c);
        else
            add_term(pool, rest, t.atom, t.coefficient);
    }
}

// The greatest number that divides c and every coefficient of the sum (not its constant).
static int64_t common_factor(const Sum *sum, int64_t c)
{
    for (uint32_t i = 0; i < sum->terms.n; i++) c = gcd(sum->terms.at[i].coefficient, c);
    return c;
}

static IndexId divided(IndexPool *pool, const Sum *sum, int64_t factor)
{
    Sum small = {.constant = floor_div(sum->constant, factor)};
    for (uint32_t i = 0; i < sum->terms.n; i++)
        add_term(pool, &small, sum->terms.at[i].atom, sum->terms.at[i].coefficient / factor);
    return from_sum(pool, &small);
}

// Write a sum as g * large + small with g > 1 a divisor of c, 0 <= small < g and large not
// constant: then sum / c = large / (c / g), and sum % c = g * (large % (c / g)) + small.
static bool split_small(IndexPool *pool, const Sum *sum, int64_t c, int64_t *g, IndexId *large,
                        IndexId *small)
{
    for (uint32_t i = 0; i < sum->terms.n; i++) {
        int64_t least = sum->terms.at[i].coefficient;
        if (least < 0) least = -least;
        *g = c;
        for (uint32_t k = 0; k < sum->terms.n; k++) {
            int64_t size = sum->terms.at[k].coefficient;
            if (size >= least || -size >= least) *g = gcd(size, *g);
        }
        if (*g == 1) continue;
        Sum big = {.constant = floor_div(sum->constant, *g)};
        Sum rest = {.constant = floor_mod(sum->constant, *g)};
        for (uint32_t k = 0; k < sum->terms.n; k++) {
            Term t = sum->terms.at[k];
            if (t.coefficient >= least || -t.coefficient >= least)
                add_term(pool, &big, t.atom, t.coefficient / *g);
            else
                add_term(pool, &rest, t.atom, t.coefficient);
        }
        *small = from_sum(pool, &rest);
        const IndexNode *n = &pool->nodes.at[*small];
        if (n->lo < 0 || n->hi >= *g || !rest.terms.n) continue;
        *large = from_sum(pool, &big);
        return true;
    }
    return false;
}

IndexId index_div(IndexPool *pool, IndexId a, int64_t c)
{
    if (c == 1) return a;
    Sum multiple = {0}, rest = {0};
    divide_terms(pool, a, c, &multiple, &rest);
    int64_t g;
    IndexId large, small;
    if (split_small(pool, &rest, c, &g, &large, &small)) {
        add_scaled(pool, &multiple, index_div(pool, large, c / g), 1);
        return from_sum(pool, &multiple);
    }
    int64_t factor =
        common_factor(&rest, c); // floor((g x + k) / (g c)) = floor((x + floor(k / g)) / c)
    IndexId r = divided(pool, &rest, factor);
    c /= factor;
    IndexNode n = pool->nodes.at[r];
    if (floor_div(n.lo, c) == floor_div(n.hi, c)) {
        multiple.constant += floor_div(n.lo, c);
    } else if (c == 1) {
        add_scaled(pool, &multiple, r, 1);
    } else {
        if (n.op == IX_DIV) { // (x / p) / c = x / (p c)
            add_scaled(pool, &multiple, index_div(pool, n.a, c * n.c), 1);
            return from_sum(pool, &multiple);
        }
        IndexId d = intern(
            pool,
            (IndexNode){
                .op = IX_DIV, .a = r, .c = c, .lo = floor_div(n.lo, c), .hi = floor_div(n.hi, c)});
        add_term(pool, &multiple, d, 1);
    }
    return from_sum(pool, &multiple);
}

IndexId index_mod(IndexPool *pool, IndexId a, int64_t c)
{
    if (c == 1) return index_const(pool, 0);
    Sum multiple = {0}, rest = {0}, result = {0};
    divide_terms(pool, a, c, &multiple, &rest);
    int64_t g;
    IndexId large, small;
    if (split_small(pool, &rest, c, &g, &large, &small)) {
        add_scaled(pool, &result, small, 1);
        add_scaled(pool, &result, index_mod(pool, large, c / g), g);
        return from_sum(pool, &result);
    }
    int64_t factor =
        common_factor(&rest, c); // (g x + k) mod (g c) = g ((x + floor(k / g)) mod c) + k mod g
    result.constant = floor_mod(rest.constant, factor);
    IndexId r = divided(pool, &rest, factor);
    c /= factor;
    IndexNode n = pool->nodes.at[r];
    if (floor_div(n.lo, c) == floor_div(n.hi, c)) {
        add_scaled(pool, &result, r, factor);
        result.constant -= factor * c * floor_div(n.lo, c);
    } else if (c > 1) {
        if (n.op == IX_MOD && n.c % c == 0) r = n.a; // (x mod p c) mod c = x mod c
        IndexId m = intern(pool, (IndexNode){.op = IX_MOD, .a = r, .c = c, .lo = 0, .hi = c - 1});
        add_term(pool, &result, m, factor);
    }
    return from_sum(pool, &result);
}

IndexId index_linear(IndexPool *pool, uint32_t rank, const IndexId *at, const int64_t *sizes)
{
    Sum sum = {0};
    int64_t stride = 1;
    for (uint32_t i = rank; i-- > 0; stride *= sizes[i]) add_scaled(pool, &sum, at[i], stride);
    return from_sum(pool, &sum);
}

void index_split(IndexPool *pool, IndexId linear, uint32_t rank, const int64_t *sizes, IndexId *at)
{
    int64_t stride = 1;
    for (uint32_t i = rank; i-- > 0; stride *= sizes[i]) {
        at[i] = index_div(pool, linear, stride);
        if (i > 0) at[i] = index_mod(pool, at[i], sizes[i]);
    }
}

bool index_uses(const IndexPool *pool, IndexId e, uint32_t axis)
{
    const IndexNode *n = &pool->nodes.at[e];
    switch (n->op) {
    case IX_CONST: return false;
    case IX_AXIS: return n->a == axis;
    case IX_VALUE: return true;
    case IX_ADD: return index_uses(pool, n->a, axis) || index_uses(pool, n->b, axis);
    default: return index_uses(pool, n->a, axis);
    }
}

bool index_uses_value(const IndexPool *pool, IndexId e)
{
    const IndexNode *n = &pool->nodes.at[e];
    switch (n->op) {
    case IX_CONST:
    case IX_AXIS: return false;
    case IX_VALUE: return true;
    case IX_ADD: return index_uses_value(pool, n->a) || index_uses_value(pool, n->b);
    default: return index_uses_value(pool, n->a);
    }
}

bool index_affine(IndexPool *pool, IndexId e, uint32_t axis, int64_t *coefficient, IndexId *rest)
{
    Sum sum = {0}, others = {0};
    add_scaled(pool, &sum, e, 1);
    others.constant = sum.constant;
    *coefficient = 0;
    for (uint32_t i = 0; i < sum.terms.n; i++) {
        Term t = sum.terms.at[i];
        const IndexNode *n = &pool->nodes.at[t.atom];
        if (n->op == IX_AXIS && n->a == axis)
            *coefficient = t.coefficient;
        else if (index_uses(pool, t.atom, axis))
            return false;
        else
            add_term(pool, &others, t.atom, t.coefficient);
    }
    *rest = from_sum(pool, &others);
    return true;
}

IndexId index_substitute(IndexPool *to, const IndexPool *from, IndexId e, const IndexId *map)
{
    IndexNode n = from->nodes.at[e];
    switch (n.op) {
    case IX_CONST: return index_const(to, n.c);
    case IX_AXIS: return map[n.a];
    case IX_VALUE: return index_value(to, n.a, n.lo, n.hi);
    case IX_ADD: {
        IndexId a = index_substitute(to, from, n.a, map);
        return index_add(to, a, index_substitute(to, from, n.b, map));
    }
    case IX_MUL: return index_mul(to, index_substitute(to, from, n.a, map), n.c);
    case IX_DIV: return index_div(to, index_substitute(to, from, n.a, map), n.c);
    case IX_MOD: return index_mod(to, index_substitute(to, from, n.a, map), n.c);
    }
    bug("index op %d", (int)n.op);
}

const char *index_text(const IndexPool *pool, Arena *arena, IndexId e)
{
    IndexNode n = pool->nodes.at[e];
    const char *a = n.op >= IX_ADD && n.op <= IX_MOD ? index_text(pool, arena, n.a) : NULL;
    long long c = (long long)n.c;
    bool sum = a && pool->nodes.at[n.a].op == IX_ADD;
    switch (n.op) {
    case IX_CONST: return str_printf(arena, "%lld", c);
    case IX_AXIS: return str_printf(arena, "a%u", n.a);
    case IX_VALUE:
        return str_printf(arena, "v%u{%lld,%lld}", n.a, (long long)n.lo, (long long)n.hi);
    case IX_ADD: return str_printf(arena, "%s + %s", a, index_text(pool, arena, n.b));
    case IX_MUL:
        return str_printf(arena, pool->nodes.at[n.a].op == IX_AXIS ? "%lld*%s" : "%lld*(%s)", c, a);
    case IX_DIV: return str_printf(arena, sum ? "(%s)/%lld" : "%s/%lld", a, c);
    case IX_MOD: return str_printf(arena, sum ? "(%s)%%%lld" : "%s%%%lld", a, c);
    }
    bug("index op %d", (int)n.op);
}
