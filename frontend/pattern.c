// einsum("b h q d, b h k d -> b h q k", q, k) and rearrange("b n (h d) -> b h n d", ...): patterns
// of axis names. An einsum is folded from the left into dots; what only one operand has and nobody
// needs is summed away first. A rearrange is a reshape, a transpose, a broadcast for new axes and a
// reshape.
#include "frontend/builtin.h"
#include "frontend/mend.h"
#include "frontend/guess.h"

#include <ctype.h>

typedef struct Term { // one operand: axis names, "..." expanded, and groups
    VEC(const char *) names;
    VEC(uint32_t) group; // rearrange: number of the group of each name
    uint32_t ngroups;
} Term;

static const char *skip(const char *p)
{
    while (*p == ' ') p++;
    return p;
}

// Parse names up to `stop` ("," or "->" or the end); `lead` axes stand for "...".
static bool term_parse(Elab *el, Loc loc, const char **text, uint32_t lead, Term *t)
{
    const char *p = skip(*text);
    bool open = false;
    while (*p && *p != ',' && strncmp(p, "->", 2) != 0) {
        if (*p == '(' || *p == ')') {
            if (open == (*p == '(')) break;
            open = *p == '(';
            if (!open) t->ngroups++;
            p = skip(p + 1);
            continue;
        }
        if (strncmp(p, "...", 3) == 0) {
            for (uint32_t i = 0; i < lead; i++) {
                vec_push(el->arena, &t->names, str_printf(el->arena, "...%u", i));
                vec_push(el->arena, &t->group, open ? t->ngroups : t->ngroups++);
            }
            p = skip(p + 3);
            continue;
        }
        const char *end = p;
        while (word_part(*end)) end++;
        if (end == p) break;
        vec_push(el->arena, &t->names, str_slice(el->arena, p, (size_t)(end - p)));
        vec_push(el->arena, &t->group, open ? t->ngroups : t->ngroups++);
        p = skip(end);
    }
    if ((*p && *p != ',' && strncmp(p, "->", 2) != 0) || open)
        return el_error(el, loc, "the pattern goes wrong at '%s'", *p ? p : "its end");
    *text = p;
    return true;
}

static bool has_lead(const char *p)
{
    for (; *p && *p != ',' && strncmp(p, "->", 2) != 0; p++)
        if (strncmp(p, "...", 3) == 0) return true;
    return false;
}

static uint32_t plain_names(const char *p)
{
    uint32_t n = 0;
    while (*p && *p != ',' && strncmp(p, "->", 2) != 0) {
        if (word_part(*p)) {
            n++;
            while (word_part(*p)) p++;
        } else {
            p++;
        }
    }
    return n;
}

static int64_t find(const Term *t, const char *name)
{
    for (uint32_t i = 0; i < t->names.n; i++)
        if (strcmp(t->names.at[i], name) == 0) return i;
    return -1;
}

// ---- einsum -----------------------------------------------------------------------------------

typedef struct Operand {
    Term term;
    NodeId node;
} Operand;

// Sum away the axes that no other operand and not the result has.
static void sum_private(Elab *el, Operand *x, const Operand *others, uint32_t n, const Term *out)
{
    int64_t *axes = arena_array(el->arena, int64_t, x->term.names.n + 1);
    uint32_t count = 0;
    Term kept = {0};
    for (uint32_t i = 0; i < x->term.names.n; i++) {
        const char *name = x->term.names.at[i];
        bool wanted = find(out, name) >= 0;
        for (uint32_t k = 0; k < n && !wanted; k++) wanted = find(&others[k].term, name) >= 0;
        if (wanted)
            vec_push(el->arena, &kept.names, name);
        else
            axes[count++] = i;
    }
    if (!count) return;
    x->node = graph_reduce(el->graph, OP_SUM, x->node, axes, count, false, false);
    x->term = kept;
}

static void dot_pair(Elab *el, Operand *x, const Operand *y, const Operand *others, uint32_t n,
                     const Term *out)
{
    uint32_t most = x->term.names.n + y->term.names.n + 1, nb = 0, nc = 0;
    int64_t *lb = arena_array(el->arena, int64_t, most),
            *rb = arena_array(el->arena, int64_t, most);
    int64_t *lc = arena_array(el->arena, int64_t, most),
            *rc = arena_array(el->arena, int64_t, most);
    Term batch = {0}, left = {0}, right = {0};
    for (uint32_t i = 0; i < x->term.names.n; i++) {
        const char *name = x->term.names.at[i];
        int64_t at = find(&y->term, name);
        bool wanted = find(out, name) >= 0;
        for (uint32_t k = 0; k < n && !wanted; k++) wanted = find(&others[k].term, name) >= 0;
        if (at < 0) {
            vec_push(el->arena, &left.names, name);
        } else if (wanted) {
            lb[nb] = i;
            rb[nb++] = at;
            vec_push(el->arena, &batch.names, name);
        } else {
            lc[nc] = i;
            rc[nc++] = at;
        }
    }
    for (uint32_t i = 0; i < y->term.names.n; i++)
        if (find(&x->term, y->term.names.at[i]) < 0)
            vec_push(el->arena, &right.names, y->term.names.at[i]);
    el_precise(el);
    x->node = graph_dot(el->graph, x->node, y->node, nb, lb, rb, nc, lc, rc);
    el_plain(el);
    for (uint32_t i = 0; i < left.names.n; i++) vec_push(el->arena, &batch.names, left.names.at[i]);
    for (uint32_t i = 0; i < right.names.n; i++)
        vec_push(el->arena, &batch.names, right.names.at[i]);
    x->term = batch;
}

// An axis has two sizes: either, or another value.
static void guess_operands(Elab *el, const Type *t, uint32_t axis, int64_t a)
{
    Loc at;
    const int64_t b = t->axes[axis].size;
    guess_exact_sizes(el, a, b);
    if (diag_last(el->diag, &at)) guess_values(el, at, 0, 0);
    guess_sizes(el, a, b);
    if (diag_last(el->diag, &at))
        guess_fitting(el, at, (Wanted){t->rank, t->rank, axis, b, a, DT_NONE});
}

static bool operand_check(Elab *el, const Call *c, const char *pattern, Operand *x, uint32_t i,
                          Map *sizes)
{
    const Type *t = graph_type(el->graph, x->node);
    if (t->rank != x->term.names.n) {
        el_error(el, c->locs[1], "operand %u is %s, but the pattern \"%s\" gives it %u axes", i + 1,
                 type_text(el->arena, t), pattern, x->term.names.n);
        Loc at;
        if (diag_last(el->diag, &at)) guess_values(el, at, t->rank, x->term.names.n);
        return false;
    }
    for (uint32_t a = 0; a < t->rank; a++) {
        const char *name = x->term.names.at[a];
        if (find(&x->term, name) != (int64_t)a)
            return el_error(el, c->locs[0], "axis '%s' stands twice in operand %u", name, i + 1);
        const Axis *old = map_get(sizes, name);
        if (old && old->size != t->axes[a].size) {
            el_error(el, c->loc, "axis '%s' is %lld and %lld", name, (long long)old->size,
                     (long long)t->axes[a].size);
            diag_help(el->diag, "operand %u is %s in \"%s\"", i + 1, type_text(el->arena, t),
                      pattern);
            guess_operands(el, t, a, old->size);
            return false;
        }
        map_set(el->arena, sizes, name, (void *)&t->axes[a]);
    }
    return true;
}

static bool operands_read(const Call *c, const char **p, Operand *ops, uint32_t n, Map *sizes)
{
    Elab *el = c->el;
    const char *pattern = *p;
    DType dt = DT_NONE;
    for (uint32_t i = 0; i < n; i++) {
        ops[i].node = value_tensor(el, c->rest->v.at[i], DT_NONE, c->loc);
        if (!ops[i].node) return false;
        DType mine = graph_type(el->graph, ops[i].node)->dtype;
        dt = dt == DT_NONE ? mine : dtype_promote(dt, mine);
    }
    if (!dtype_is_float(dt)) dt = DT_F32;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t rank = graph_type(el->graph, ops[i].node)->rank, names = plain_names(*p);
        uint32_t lead = has_lead(*p) && rank > names ? rank - names : 0;
        if (!term_parse(el, c->locs[0], p, lead, &ops[i].term)) return false;
        if ((**p == ',') != (i + 1 < n))
            return el_error(el, c->locs[0], "%u operands do not fit the pattern \"%s\"", n,
                            pattern);
        if (**p == ',') ++*p;
        if (!operand_check(el, c, pattern, &ops[i], i, sizes)) return false;
        ops[i].node = node_cast(el, ops[i].node, dt);
    }
    return true;
}

// Axes into the order of the result.
static NodeId order(Elab *el, Operand *x, const Term *out, Loc loc)
{
    if (!x->node) return 0;
    int64_t *perm = arena_array(el->arena, int64_t, out->names.n + 1);
    for (uint32_t i = 0; i < out->names.n; i++) {
        perm[i] = find(&x->term, out->names.at[i]);
        if (perm[i] < 0) {
            el_error(el, loc, "no operand has the result's axis '%s'", out->names.at[i]);
            return 0;
        }
    }
    return graph_transpose(el->graph, x->node, perm);
}

Value builtin_einsum(const Call *c)
{
    Elab *el = c->el;
    if (c->args[0].kind != V_STR)
        return el_fail(el, c->locs[0],
                       "the first argument is a pattern such as \"b i d, o d -> b i o\"");
    uint32_t n = c->rest->v.n, lead = 0;
    Operand *ops = arena_array(el->arena, Operand, n + 1);
    Map sizes = {0};
    const char *p = c->args[0].s;
    if (!n || !operands_read(c, &p, ops, n, &sizes)) return value_error();
    while (map_find(&sizes, str_printf(el->arena, "...%u", lead))) lead++;
    Term out = {0};
    if (strncmp(p, "->", 2) != 0) return el_fail(el, c->locs[0], "the pattern has no '->'");
    p += 2;
    if (!term_parse(el, c->locs[0], &p, lead, &out)) return value_error();
    el->graph->here = c->loc;
    for (uint32_t i = 0; i < n; i++) {
        // the operands left, without this one
        Operand *rest = arena_array(el->arena, Operand, n);
        uint32_t count = 0;
        for (uint32_t k = 0; k < n; k++)
            if (k != i) rest[count++] = ops[k];
        sum_private(el, &ops[i], rest, count, &out);
    }
    for (uint32_t i = 1; i < n && ops[0].node; i++)
        dot_pair(el, &ops[0], &ops[i], &ops[i + 1], n - i - 1, &out);
    return call_node(c, order(el, &ops[0], &out, c->locs[0]));
}

// ---- rearrange --------------------------------------------------------------------------------

// The sizes of the names of one group: at most one unknown, from the axis.
static bool split_axis(const Call *c, const Term *t, uint32_t group, Axis axis, Map *sizes)
{
    Elab *el = c->el;
    int64_t known = 1;
    bool batch = axis.per > 0; // the unknown one takes it, where no other does
    const char *unknown = NULL;
    for (uint32_t i = 0; i < t->names.n; i++) {
        if (t->group.at[i] != group) continue;
        const char *name = t->names.at[i];
        const Axis *a = map_get(sizes, name);
        if (!a && strcmp(name, "1") == 0) continue;
        if (a) {
            known *= a->size;
            batch &= !a->per;
        } else if (unknown) {
            el_error(el, c->loc, "the sizes of '%s' and '%s' are both unknown", unknown, name);
            diag_help(el->diag, "name one: rearrange(x, \"..\", %s=..)", name);
            return false;
        } else {
            unknown = name;
        }
    }
    if (axis.size % known || (!unknown && axis.size != known)) {
        el_error(el, c->loc,
                 unknown ? "axis %u of %s is not a multiple of %lld, as \"%s\" needs"
                         : "axis %u of %s is not %lld, as \"%s\" needs",
                 group,
                 type_text(el->arena,
                           graph_type(el->graph, value_tensor(el, c->args[0], DT_NONE, c->loc))),
                 (long long)known, c->args[1].s);
        suggest_factor(el, axis.size, known);
        if (!diag_has_mend(el->diag, diag_last_error(el->diag)))
            guess_multiples(el, axis.size, known);
        return false;
    }
    if (!unknown) return true;
    Axis *made = arena_make(el->arena, Axis);
    *made = (Axis){axis.size / known, batch && axis.per % known == 0 ? axis.per / known : 0};
    map_set(el->arena, sizes, unknown, made);
    return true;
}

static Axis size_of(const Map *sizes, const char *name)
{
    const Axis *a = map_get(sizes, name);
    return a ? *a : (Axis){1, 0};
}

// Merge the names of each group to one axis; the first batch share is kept.
static NodeId merge_groups(Elab *el, NodeId x, const Term *t)
{
    if (!x) return 0;
    const Type *type = graph_type(el->graph, x);
    Axis *axes = arena_array(el->arena, Axis, t->ngroups + 1);
    for (uint32_t g = 0; g < t->ngroups; g++) axes[g] = (Axis){1, 0};
    for (uint32_t i = 0; i < t->names.n; i++) {
        Axis *a = &axes[t->group.at[i]], b = type->axes[i];
        if (a->per)
            a->per *= b.size;
        else if (a->size == 1)
            a->per = b.per;
        a->size *= b.size;
    }
    return graph_reshape(el->graph, x, t->ngroups, axes);
}

// Transpose to the right side's order, names missing on the left repeated.
static NodeId reorder(const Call *c, NodeId x, const Term *left, const Term *right,
                      const Map *sizes)
{
    Elab *el = c->el;
    uint32_t rank = graph_type(el->graph, x)->rank, n = 0;
    int64_t *perm = arena_array(el->arena, int64_t, rank + 1),
            *map = arena_array(el->arena, int64_t, rank + 1);
    Axis *axes = arena_array(el->arena, Axis, right->names.n + 1);
    for (uint32_t i = 0; i < right->names.n; i++) {
        int64_t at = strcmp(right->names.at[i], "1") == 0 ? -1 : find(left, right->names.at[i]);
        axes[i] = size_of(sizes, right->names.at[i]);
        if (at < 0) continue;
        axes[i] = graph_type(el->graph, x)->axes[at];
        perm[n] = at;
        map[n++] = i;
    }
    // axes of size 1 written as 1 on the left fall away
    Axis *kept = arena_array(el->arena, Axis, rank + 1);
    int64_t *renumber = arena_array(el->arena, int64_t, rank + 1), count = 0;
    for (uint32_t i = 0; i < rank; i++) {
        bool used = false;
        for (uint32_t k = 0; k < n; k++) used |= perm[k] == i;
        renumber[i] = count;
        if (used) {
            kept[count++] = graph_type(el->graph, x)->axes[i];
        } else if (graph_type(el->graph, x)->axes[i].size != 1) {
            el_error(el, c->loc, "axis '%s' is missing on the right of the pattern",
                     left->names.at[i]);
            return 0;
        }
    }
    for (uint32_t k = 0; k < n; k++) perm[k] = renumber[perm[k]];
    x = graph_reshape(el->graph, x, n, kept);
    if (x) x = graph_transpose(el->graph, x, perm);
    return x ? graph_broadcast(el->graph, x, right->names.n, axes, map) : 0;
}

Value builtin_rearrange(const Call *c)
{
    Elab *el = c->el;
    NodeId x = call_tensor(c, 0);
    if (!x) return value_error();
    if (c->args[1].kind != V_STR)
        return el_fail(el, c->locs[1],
                       "the second argument is a pattern such as \"b n (h d) -> b h n d\"");
    const Type *type = graph_type(el->graph, x);
    Map sizes = {0};
    for (uint32_t i = 0; i < c->named->n; i++) {
        Axis *a = arena_make(el->arena, Axis);
        const Arg *arg = &c->named->at[i];
        if (!value_to_int(el, arg->value, arg->loc, "a size", &a->size)) return value_error();
        if (a->size < 1)
            return el_fail(el, arg->loc, "size %lld of '%s' is below 1", (long long)a->size,
                           arg->name);
        a->per = arg->value.kind == V_INT ? arg->value.per : 0;
        map_set(el->arena, &sizes, arg->name, a);
    }
    const char *p = c->args[1].s;
    Term left = {0}, right = {0}, count = {0};
    const char *q = p;
    if (!term_parse(el, c->locs[1], &q, 0, &count)) return value_error();
    uint32_t lead = has_lead(p) && type->rank > count.ngroups ? type->rank - count.ngroups : 0;
    if (!term_parse(el, c->locs[1], &p, lead, &left)) return value_error();
    if (strncmp(p, "->", 2) != 0 || left.ngroups != type->rank)
        return el_fail(el, c->loc, "the pattern \"%s\" does not fit %s", c->args[1].s,
                       type_text(el->arena, type));
    p += 2;
    if (!term_parse(el, c->locs[1], &p, lead, &right)) return value_error();
    for (uint32_t g = 0; g < left.ngroups; g++)
        if (!split_axis(c, &left, g, type->axes[g], &sizes)) return value_error();
    Axis *axes = arena_array(el->arena, Axis, left.names.n + 1);
    for (uint32_t i = 0; i < left.names.n; i++) axes[i] = size_of(&sizes, left.names.at[i]);
    el->graph->here = c->loc;
    x = graph_reshape(el->graph, x, left.names.n, axes);
    if (x) x = reorder(c, x, &left, &right, &sizes);
    return call_node(c, merge_groups(el, x, &right));
}
