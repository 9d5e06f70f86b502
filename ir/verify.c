// The verifier: the numbered invariants of docs/ir.md, each one function or one check that names
// its number; and the rule of batch axes for what the source says.
#include "ir/program.h"
#include "ir/shape.h"

#include <stdlib.h>

typedef struct Verifier {
    const Program *program;
    Arena *arena; // scratch
    const Entry *entry;
    const Graph *g;
    NodeId id; // the node looked at; 0 where it is none
    Error *err;
} Verifier;

// Report a broken invariant; returns false.
static bool broken(Verifier *v, int number, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static bool broken(Verifier *v, int number, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = str_vprintf(v->arena, fmt, ap), *where = "";
    va_end(ap);
    if (v->entry) where = str_printf(v->arena, "entry '%s', ", v->entry->name);
    if (v->id)
        where = str_printf(v->arena, "%snode %%%u (%s), ", where, v->id,
                           op_info(graph_node(v->g, v->id)->op)->name);
    return error_set(v->err, "invariant %d: %s%s", number, where, text);
}

// ---- one node -----------------------------------------------------------------------------------

// 3, 4, 8
static bool check_operands(Verifier *v, const Node *n)
{
    int arity = op_info(n->op)->arity;
    if (arity < 0 ? n->nargs == 0 : n->nargs != (uint32_t)arity)
        return broken(v, 4, "has %u operands", n->nargs);
    for (uint32_t i = 0; i < n->nargs; i++)
        if (n->args[i] == 0 || n->args[i] >= v->id)
            return broken(v, 3, "operand %%%u does not come before it", n->args[i]);
    if ((op_info(n->op)->flags & OPF_COMMUTES) && n->args[0] > n->args[1])
        return broken(v, 8, "operands %%%u and %%%u are not sorted", n->args[0], n->args[1]);
    return true;
}

// 5
static bool check_attrs(Verifier *v, const Node *n)
{
    uint32_t seen = 0, row = op_info(n->op)->attrs;
    for (uint32_t i = 0; i < n->nattrs; i++) {
        if (n->attrs[i].key >= ATTR_COUNT || (i && n->attrs[i].key <= n->attrs[i - 1].key))
            return broken(v, 5, "attributes are not sorted by key");
        if (!(row & (1u << n->attrs[i].key)))
            return broken(v, 5, "may not have attribute %s", attr_name(n->attrs[i].key));
        seen |= 1u << n->attrs[i].key;
    }
    for (AttrKey key = 0; key < ATTR_COUNT; key++)
        if ((row & ~seen & (1u << key)) && !(n->op == OP_DOT && key == ATTR_DTYPE))
            return broken(v, 5, "lacks attribute %s", attr_name(key));
    return true;
}

// 9
static bool check_axes(Verifier *v, const Type *type)
{
    for (uint32_t i = 0; i < type->rank; i++) {
        Axis a = type->axes[i];
        if (a.size < 1 || a.per < 0 || (a.per && a.size != v->g->batch * a.per))
            return broken(v, 9, "axis %u of %s does not suit the batch %lld", i,
                          type_text(v->arena, type), (long long)v->g->batch);
    }
    for (uint32_t i = 0; i < type->nparts; i++)
        if (!check_axes(v, type->parts[i])) return false;
    return true;
}

// 10
static bool check_tuples(Verifier *v, const Node *n)
{
    for (uint32_t i = 0; i < n->nargs; i++) {
        const Type *type = graph_type(v->g, n->args[i]);
        if (type->nparts && n->op != OP_PROJ)
            return broken(v, 10, "operand %%%u is a tuple", n->args[i]);
        if (n->op == OP_PROJ && (uint64_t)node_int(n, ATTR_INDEX) >= type->nparts)
            return broken(v, 10, "%s has no part %lld", type_text(v->arena, type),
                          (long long)node_int(n, ATTR_INDEX));
    }
    return true;
}

// The messages of a diag as one line.
static const char *messages(Verifier *v, const Diag *diag)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return "no memory for the message";
    diag_print(diag, out);
    fclose(out);
    const char *copy = str_slice(v->arena, text, strcspn(text, "\n"));
    free(text);
    return copy;
}

// 6
static bool check_type(Verifier *v, const Node *n)
{
    const Type **types = arena_array(v->arena, const Type *, n->nargs + 1);
    for (uint32_t i = 0; i < n->nargs; i++) types[i] = graph_type(v->g, n->args[i]);
    ShapeCall call = {.arena = v->arena,
                      .diag = diag_new(v->arena),
                      .batch = v->g->batch,
                      .op = n->op,
                      .nargs = n->nargs,
                      .args = types,
                      .nattrs = n->nattrs,
                      .attrs = (Attr *)n->attrs};
    const Type *type = shape_infer(&call);
    if (!type) return broken(v, 6, "%s", messages(v, call.diag));
    if (!type_equal(type, n->type))
        return broken(v, 6, "its type is %s, but its operands make %s",
                      type_text(v->arena, n->type), type_text(v->arena, type));
    Node again = *n;
    again.attrs = call.attrs;
    again.nattrs = call.nattrs;
    return node_equal(&again, n) || broken(v, 6, "its attributes are not in their complete form");
}

// 13
static bool check_state_node(Verifier *v, const Node *n)
{
    if (n->op != OP_STATE) return true;
    const StateVar *s = program_find_state(v->program, node_str(n, ATTR_NAME));
    if (!s) return broken(v, 13, "there is no state '%s'", node_str(n, ATTR_NAME));
    return type_equal(s->type, n->type) ||
           broken(v, 13, "'%s' is %s, not %s", s->name, type_text(v->arena, s->type),
                  type_text(v->arena, n->type));
}

// 14, 15. inputs: of this entry; all: of every entry so far; name -> Type.
static bool check_input(Verifier *v, const Node *n, Map *inputs, Map *all)
{
    if (n->op != OP_INPUT) return true;
    const char *name = node_str(n, ATTR_NAME);
    if (name[0] == '$' && (n->type->dtype != DT_I64 || n->type->rank))
        return broken(v, 15, "'%s' is i64[], not %s", name, type_text(v->arena, n->type));
    const Type *other = map_get(inputs, name);
    if (other && !type_equal(other, n->type))
        return broken(v, 14, "input '%s' is %s and %s", name, type_text(v->arena, other),
                      type_text(v->arena, n->type));
    other = map_get(all, name);
    if (other && (other->dtype != n->type->dtype || other->rank != n->type->rank))
        return broken(v, 14, "input '%s' is %s, in another entry %s", name,
                      type_text(v->arena, n->type), type_text(v->arena, other));
    map_set(v->arena, inputs, name, (void *)n->type);
    map_set(v->arena, all, name, (void *)n->type);
    return true;
}

// ---- one entry ----------------------------------------------------------------------------------

// 7: sorted by hash, equal nodes are neighbours.
typedef struct Hashed {
    uint64_t hash;
    NodeId id;
} Hashed;

static int by_hash(const void *a, const void *b)
{
    const Hashed *x = a, *y = b;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

static bool check_unique(Verifier *v)
{
    uint32_t n = v->g->nodes.n;
    Hashed *all = arena_array(v->arena, Hashed, n);
    for (NodeId id = 1; id < n; id++) all[id] = (Hashed){node_hash(graph_node(v->g, id)), id};
    qsort(all + 1, n - 1, sizeof *all, by_hash);
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t j = i + 1; j < n && all[j].hash == all[i].hash; j++) {
            v->id = all[j].id > all[i].id ? all[j].id : all[i].id;
            if (node_equal(graph_node(v->g, all[i].id), graph_node(v->g, all[j].id)))
                return broken(v, 7, "equals node %%%u", all[i].id + all[j].id - v->id);
        }
    v->id = 0;
    return true;
}

// 10, 11, 12: the named results.
static bool check_named(Verifier *v, const NamedNode *named, uint32_t n, bool updates)
{
    int number = updates ? 12 : 11;
    const char *what = updates ? "update" : "output";
    Map seen = {0};
    for (uint32_t i = 0; i < n; i++) {
        const char *name = named[i].name;
        if (!*name || !map_set(v->arena, &seen, name, v))
            return broken(v, number, "%s '%s' is there twice or has no name", what, name);
        if (named[i].node == 0 || named[i].node >= v->g->nodes.n)
            return broken(v, number, "%s '%s' is no node", what, name);
        const Type *type = graph_type(v->g, named[i].node);
        if (type->nparts) return broken(v, 10, "%s '%s' is a tuple", what, name);
        if (!updates) continue;
        const StateVar *s = program_find_state(v->program, name);
        if (!s) return broken(v, 12, "update '%s' names no state", name);
        if (!type_equal(s->type, type))
            return broken(v, 12, "update '%s' is %s, the state %s", name, type_text(v->arena, type),
                          type_text(v->arena, s->type));
    }
    return true;
}

static bool check_entry(Verifier *v, Map *all)
{
    Map inputs = {0};
    for (v->id = 1; v->id < v->g->nodes.n; v->id++) {
        const Node *n = graph_node(v->g, v->id);
        if (n->op >= OP_COUNT || !n->type)
            bug("entry '%s': node %u is empty", v->entry->name, v->id);
        if (!check_operands(v, n) || !check_attrs(v, n) || !check_axes(v, n->type) ||
            !check_tuples(v, n) || !check_type(v, n) || !check_state_node(v, n) ||
            !check_input(v, n, &inputs, all))
            return false;
    }
    v->id = 0;
    return check_unique(v) && check_named(v, v->entry->outputs.at, v->entry->outputs.n, false) &&
           check_named(v, v->entry->updates.at, v->entry->updates.n, true);
}

// 18
static bool check_before(Verifier *v)
{
    for (uint32_t i = 0; i < v->entry->before.n; i++) {
        const PartRun *run = &v->entry->before.at[i];
        const Entry *e = program_find_entry((Program *)v->program, run->entry);
        if (!e || e == v->entry || e->before.n)
            return broken(v, 18, "'%s' is no entry that can run before it", run->entry);
        if (run->parts < 1 || e->graph->batch * run->parts != v->g->batch)
            return broken(v, 18, "%lld parts of '%s' make no batch of %lld", (long long)run->parts,
                          run->entry, (long long)v->g->batch);
    }
    return true;
}

// ---- the program --------------------------------------------------------------------------------

// 2, 16
static bool check_states(Verifier *v)
{
    for (uint32_t i = 0; i < v->program->states.n; i++) {
        const StateVar *s = &v->program->states.at[i];
        if (!*s->name || program_find_state(v->program, s->name) != s)
            return broken(v, 2, "state '%s' is declared twice or not in the index", s->name);
        if (s->type->nparts) return broken(v, 2, "state '%s' is a tuple", s->name);
        for (uint32_t a = 0; a < s->type->rank; a++)
            if (s->type->axes[a].per || s->type->axes[a].size < 1)
                return broken(v, 2, "state '%s' of type %s", s->name, type_text(v->arena, s->type));
        if (s->trainable && (s->kind != STATE_PARAM || !dtype_is_float(s->type->dtype)))
            return broken(v, 16, "state '%s' is trainable but no float parameter", s->name);
    }
    return true;
}

bool program_verify(const Program *p, Error *err)
{
    Verifier v = {.program = p, .arena = arena_new(), .err = err};
    Map names = {0}, inputs = {0};
    bool ok = check_states(&v);
    for (uint32_t i = 0; ok && i < p->entries.n; i++) {
        v.entry = p->entries.at[i];
        v.g = v.entry->graph;
        if (!map_set(v.arena, &names, v.entry->name, &v))
            ok = broken(&v, 1, "its name is not unique");
        ok = ok && check_entry(&v, &inputs) && check_before(&v);
    }
    arena_free(v.arena);
    return ok;
}

bool program_check_no_grad(const Program *p, Error *err)
{
    Verifier v = {.program = p, .arena = arena_new(), .err = err};
    for (uint32_t i = 0; i < p->entries.n; i++) {
        v.entry = p->entries.at[i];
        v.g = v.entry->graph;
        const bool *live = entry_live(v.entry, v.arena);
        for (v.id = 1; v.id < v.g->nodes.n; v.id++)
            if (live[v.id] && graph_node(v.g, v.id)->op == OP_GRAD)
                broken(&v, 17, "a gradient is left");
    }
    arena_free(v.arena);
    return !err->set;
}
