// Ranges of integer inputs. One pass forwards follows each input through views and casts to where
// it is an index: of a gather, whose table has so many rows, or one side of a comparison with an
// iota, which is how a class is picked. Of several such places the smallest counts.
#include "cli/ranges.h"

#include <stdlib.h>

// What a node's elements are: those of an integer input, or of an iota.
typedef struct Follow {
    const char *input;
    int64_t iota; // its numbers: 0 to iota - 1
} Follow;

static void limit(json_t *ranges, const char *name, int64_t size)
{
    const json_t *known = json_object_get(ranges, name);
    if (!known || size < json_integer_value(known))
        json_object_set_new(ranges, name, json_integer(size));
}

static Follow follow(const Node *n, const Follow *known)
{
    if (!dtype_is_int(n->type->dtype)) return (Follow){0};
    if (n->op == OP_INPUT) return (Follow){.input = node_str(n, ATTR_NAME)};
    if (n->op == OP_IOTA) return (Follow){.iota = n->type->axes[node_int(n, ATTR_AXIS)].size};
    bool view = op_info(n->op)->class == CLASS_VIEW && n->nargs == 1;
    return view || n->op == OP_CAST ? known[n->args[0]] : (Follow){0};
}

// What is found out about an input: the numbers it may have; whether its largest are looked for.
typedef struct Found {
    json_t *ranges, *largest;
} Found;

static void find(Arena *arena, const Graph *g, const Found *to)
{
    json_t *ranges = to->ranges;
    Follow *known = arena_array(arena, Follow, g->nodes.n + 1);
    for (NodeId id = 1; id < g->nodes.n; id++) {
        const Node *n = graph_node(g, id);
        known[id] = follow(n, known);
        if (n->op == OP_ARGMAX && known[n->args[0]].input)
            json_object_set_new(to->largest, known[n->args[0]].input, json_true());
        if (n->nargs != 2) continue;
        const Follow *a = &known[n->args[0]], *b = &known[n->args[1]];
        if (n->op == OP_GATHER && b->input)
            limit(ranges, b->input, graph_type(g, n->args[0])->axes[node_int(n, ATTR_BATCH)].size);
        if (n->op == OP_EQ && a->input && b->iota) limit(ranges, a->input, b->iota);
        if (n->op == OP_EQ && b->input && a->iota) limit(ranges, b->input, a->iota);
    }
}

static Found find_all(Arena *arena, Program *program)
{
    const Found found = {json_object(), json_object()};
    for (uint32_t i = 0; i < program->entries.n; i++) {
        const Entry *e = program->entries.at[i]; // one a phase: step, step@800, step-4
        if (strncmp(e->name, "step", 4) != 0 || strchr(e->name, '.')) continue;
        find(arena, e->graph, &found);
        for (uint32_t k = 0; k < e->before.n; k++)
            find(arena, program_find_entry(program, e->before.at[k].entry)->graph, &found);
    }
    return found;
}

json_t *ranges_find(Arena *arena, Program *program)
{
    const Found found = find_all(arena, program);
    json_decref(found.largest);
    return found.ranges;
}

void ranges_check(Arena *arena, Diag *diag, const Frontend *frontend)
{
    if (!frontend->classes.n) return;
    json_t *ranges = ranges_find(arena, frontend->program);
    for (uint32_t i = 0; i < frontend->classes.n; i++) {
        const ClassesInfo *info = &frontend->classes.at[i];
        const long long n = json_integer_value(json_object_get(ranges, info->input));
        if (!n || n >= info->classes) continue;
        diag_warning(diag, info->loc,
                     "'%s' has %lld classes, and the graph tells %lld apart: from %lld on they "
                     "match none",
                     info->input, (long long)info->classes, n, n);
        diag_help(diag, "give what is compared with it an output for each class: %lld",
                  (long long)info->classes);
    }
    json_decref(ranges);
}

bool ranges_largest(Arena *arena, Program *program, const char *input)
{
    const Found found = find_all(arena, program);
    bool yes = json_object_get(found.largest, input);
    json_decref(found.largest);
    json_decref(found.ranges);
    return yes;
}

void manifest_add(Arena *arena, Section *sections, uint32_t n, const char *key, const json_t *value)
{
    char *added = json_dumps(value, JSON_SORT_KEYS);
    for (uint32_t s = 0; added && s < n; s++) {
        if (strcmp(sections[s].name, "manifest") != 0) continue;
        const char *text = sections[s].data;
        size_t end = sections[s].size;
        while (text[end - 1] != '}') end--;
        sections[s].data = str_printf(arena, "%.*s, \"%s\": %s}", (int)(end - 1), text, key, added);
        sections[s].size = strlen(sections[s].data);
    }
    free(added);
}

void ranges_add(Arena *arena, Program *program, Section *sections, uint32_t n)
{
    json_t *ranges = ranges_find(arena, program);
    manifest_add(arena, sections, n, "ranges", ranges);
    json_decref(ranges);
}
