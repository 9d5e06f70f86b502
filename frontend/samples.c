// Samples that are mixed: the rule of batch axes (ir/program.h), reported where the user wrote what
// breaks it, and guesses of what was meant: a batch function, the whole batch on one side, or two
// values one of which has an axis of one element that the other one has not.
#include "frontend/guess.h"
#include "frontend/mend.h"

#include <ctype.h>

// sum(x, axis=0), mean(x, axis=0): the batch function of that name.
static void batch_function(Elab *el, Loc at, const char *s)
{
    static const char *const names[] = {"sum", "mean"};
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(s + at.begin, names[i], n) || s[at.begin + n] != '(') continue;
        uint32_t begin = at.begin + (uint32_t)n + 1, end = at.end;
        while (end > begin && s[end] != ',') end--;
        const char *rest = str_slice(el->arena, s + end, at.end - end);
        bool first =
            !strcmp(rest, ", axis=0)") || !strcmp(rest, ", 0)") || !strcmp(rest, ", axis=[0])");
        if (!first) continue;
        guess_word(
            el, at,
            str_printf(el->arena, "batch_%s(%.*s)", names[i], (int)(end - begin), s + begin));
    }
}

// The other samples as they are: no gradient goes to them.
static void gathered_still(Elab *el, Loc at, const char *name, const void *how)
{
    (void)how;
    guess_word(el, at, str_printf(el->arena, "stop_gradient(batch_gather(%s))", name));
}

// The whole batch in the place of each name.
static void gathered(Elab *el, Loc at, const char *s)
{
    for (uint32_t i = at.begin, end; i < at.end; i = end + 1) {
        end = i;
        while (end < at.end && path_part(s[end])) end++;
        bool name = isalpha((unsigned char)s[i]) && end > i && !strchr("(=:", s[end]) &&
                    !(i && strchr("\"'", s[i - 1]));
        if (!name) continue;
        guess_word(el, loc_in(at.source, i, end),
                   str_printf(el->arena, "batch_gather(%.*s)", (int)(end - i), s + i));
    }
    guess_other_axes(el, at);
    guess_each_name(el, at, gathered_still, NULL);
}

static void unpaired(Elab *el, Loc at, const char *name, const void *how)
{
    (void)how;
    const char *first = str_printf(el->arena, "%s[:, 0]", name);
    const char *more = str_printf(el->arena, "insert_axis(%s, 1)", name);
    guess_add(el, at, first, first);
    guess_add(el, at, more, more);
}

void guess_unpaired(Elab *el, Loc at)
{
    guess_each_name(el, at, unpaired, NULL);
}

static void reduced(Elab *el, Loc call, const char *axis)
{
    const char *text = text_at(el, call);
    const char *more = str_printf(el->arena, "%.*s, %s)", (int)strlen(text) - 1, text, axis);
    guess_sure(el, call, quoted(el, call, more), axis);
}

void guess_axis_said(Elab *el, Loc call, const char *name, const Type *t)
{
    const char *text = text_at(el, call), *all = "";
    const size_t n = strlen(name), size = strlen(text);
    const bool sample = t->rank && t->axes[0].per;
    if (strncmp(text, name, n) || text[n] != '(' || text[size - 1] != ')') return;
    for (uint32_t i = sample; i < t->rank; i++)
        all = str_printf(el->arena, "%s%s%u", all, *all ? ", " : "", i);
    if (t->rank > 1u + sample) all = str_printf(el->arena, "[%s]", all);
    if (*all) reduced(el, call, str_printf(el->arena, "axis=%s", all));
    const bool batch = sample && (!strcmp(name, "sum") || !strcmp(name, "mean"));
    const char *whole = str_printf(el->arena, "batch_%s%s", name, text + n);
    if (batch && t->rank == 1) guess_sure_word(el, call, whole);
    el->turn = TURN_LATE;
    if (t->rank > 1u + sample) reduced(el, call, "axis=1");
    if (t->rank > 1u + sample) reduced(el, call, "axis=-1");
    el->turn = TURN_PLAIN;
}

// A number alone is an axis: another one.
static void other_number(Elab *el, Loc at)
{
    const char *text = text_at(el, at);
    if (!isdigit((unsigned char)*text) || text[1]) return;
    for (int k = 1; k <= 3; k++) {
        const char *number = str_printf(el->arena, "%d", (text[0] - '0' + k) % 4);
        guess_exchanged(el, at, number, text);
    }
}

// Does a node give samples paired with samples where its operand has each alone, without the user
// having asked for it by an axis more?
static bool pairs_by_rank(const Elab *el, NodeId id, Loc at)
{
    const Node *n = graph_node(el->graph, id);
    const char *text = text_at(el, at);
    return n->op == OP_BROADCAST && !strstr(text, "insert_axis(") && !strstr(text, "reshape(");
}

// Both sides of an operator between calls and names, each as the whole batch.
static void gathered_sides(Elab *el, Loc at)
{
    static const char *const operators[] = {" == ", " - ", " + ", " * ", " != ", " > ", " < "};
    const char *text = text_at(el, at);
    const int n = (int)strlen(text);
    for (size_t k = 0; k < sizeof operators / sizeof *operators; k++) {
        const size_t width = strlen(operators[k]);
        int depth = 0;
        for (int i = 0; i < n; i++) {
            depth += (strchr("([", text[i]) != NULL) - (strchr(")]", text[i]) != NULL);
            if (depth || strncmp(text + i, operators[k], width)) continue;
            const Loc sides[] = {loc_in(at.source, at.begin, at.begin + (uint32_t)i),
                                 loc_in(at.source, at.begin + (uint32_t)(i + (int)width), at.end)};
            for (int side = 0; side < 2; side++)
                guess_wrapped(el, sides[side], "batch_gather(", ")");
        }
    }
}

static void apart_at(Elab *el, NodeId id, Loc at)
{
    const char *s = diag_source_text(el->diag, at.source, NULL);
    const Turn turn = el->turn;
    if (!is_users(el, at) || !*text_at(el, at)) return;
    if (pairs_by_rank(el, id, at)) {
        guess_unpaired(el, at);
        el->turn = TURN_LAST; // each with all others is hardly meant
    }
    batch_function(el, at, s);
    other_number(el, at);
    gathered(el, at, s);
    gathered_sides(el, at);
    guess_all(el);
    el->turn = turn;
}

void guess_apart(Elab *el, NodeId id, Loc loc, const char *text)
{
    const Loc call = blame_call(el, loc), at = blame(el, loc, text);
    apart_at(el, id, at);
    if (call.begin != at.begin || call.source != at.source) apart_at(el, id, call);
}

// What mixes samples, told once for each place of the user's.
typedef struct Mixed {
    Elab *el;
    Map places;
} Mixed;

static void report(void *of, NodeId id, const char *text, const char *help)
{
    Mixed *m = of;
    Elab *el = m->el;
    const Node *n = graph_node(el->graph, id);
    const Loc loc = n->origins.n ? n->origins.at[0] : (Loc){0};
    Frame *frame = el->frame;
    if (id < el->makers.n) el->frame = el->makers.at[id];
    const Loc call = blame_call(el, loc);
    const char *key = str_printf(el->arena, "%u:%u", call.source, call.begin);
    if (map_set(el->arena, &m->places, key, el) || !is_users(el, call)) {
        if (loc.source)
            el_error(el, loc, "%s", text);
        else
            el_error(el, loc, "node %%%u, %s", id, text);
        diag_help(el->diag, "%s", help);
        guess_apart(el, id, loc, text);
    }
    el->frame = frame;
}

bool samples_apart(Elab *el, const Entry *e)
{
    return entry_each_mix(e, report, &(Mixed){.el = el});
}

// ---- pairs in the way -------------------------------------------------------------------------

static bool is_pair(const Graph *g, NodeId id)
{
    uint32_t axes = 0;
    const Type *t = graph_type(g, id);
    for (uint32_t i = 0; t && i < t->rank; i++) axes += t->axes[i].per > 0;
    return axes > 1;
}

bool guess_unpaired_below(Elab *el, NodeId node)
{
    const Graph *g = el->graph;
    Arena *scratch = arena_new();
    bool *below = arena_array(scratch, bool, node + 1);
    NodeId first = 0;
    below[node] = true;
    for (NodeId id = node; id; id--) {
        const Node *n = graph_node(g, id);
        for (uint32_t i = 0; below[id] && i < n->nargs; i++) below[n->args[i]] = true;
        if (below[id] && is_pair(g, id)) first = id;
    }
    arena_free(scratch);
    if (!first) return false;
    const Node *n = graph_node(g, first);
    Frame *frame = el->frame;
    if (first < el->makers.n) el->frame = el->makers.at[first];
    if (n->origins.n) guess_unpaired(el, blame_call(el, n->origins.at[0]));
    el->frame = frame;
    return true;
}

void guess_pairing(Elab *el, NodeId node)
{
    const Graph *g = el->graph;
    while (node && is_pair(g, node)) { // to where samples are first paired
        const Node *n = graph_node(g, node);
        NodeId of = 0;
        for (uint32_t i = 0; i < n->nargs && !of; i++)
            if (is_pair(g, n->args[i])) of = n->args[i];
        if (of) {
            node = of;
            continue;
        }
        el->turn = TURN_EARLY;
        for (uint32_t i = 0; i < n->origins.n; i++)
            if (is_users(el, n->origins.at[i])) gathered_sides(el, n->origins.at[i]);
        el->turn = TURN_PLAIN;
        return;
    }
}
