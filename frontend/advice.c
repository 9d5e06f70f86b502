// Guesses (see trial.c) for a value that a key has: what is usual there, its default, no such entry
// at all; and for a name that nothing has.
#include "frontend/advice.h"

#include "frontend/mend.h"

#include <ctype.h>
#include <stdlib.h>

// ---- places -----------------------------------------------------------------------------------

const char *key_before(Elab *el, const char *s, uint32_t i)
{
    if (i && strchr("\"'", s[i - 1])) i--;
    while (i && s[i - 1] == ' ') i--;
    if (!i || !strchr(":=", s[i - 1])) return "";
    uint32_t end = i - 1, begin = end;
    while (begin && word_part(s[begin - 1])) begin--;
    return str_slice(el->arena, s + begin, end - begin);
}

uint32_t tree_end(const Tree *t)
{
    uint32_t end = t->loc.end;
    for (uint32_t i = 0; t->kind == TREE_LIST && i < t->items.n; i++)
        if (tree_end(t->items.at[i]) > end) end = tree_end(t->items.at[i]);
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        if (e->key->loc.end > end) end = e->key->loc.end;
        if (tree_end(e->value) > end) end = tree_end(e->value);
    }
    return end;
}

// The innermost entry that a place is in; `many`: of mappings with others beside it.
static const Tree *entry_at(const Elab *el, const Tree *t, Loc at, bool many, uint32_t *number)
{
    const Tree *found = NULL;
    for (uint32_t i = 0; !found && t->kind == TREE_LIST && i < t->items.n; i++)
        found = entry_at(el, t->items.at[i], at, many, number);
    for (uint32_t i = 0; !found && t->kind == TREE_MAP && i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        const Loc key = e->key->loc;
        const bool inside =
            key.source == at.source && at.begin >= key.begin && at.end <= tree_end(e->value) + 1;
        if (!inside && !is_inherited(el, key)) continue; // to which the file's own may come
        if ((found = entry_at(el, e->value, at, many, number))) return found;
        if (!inside || (many && t->entries.n == 1)) continue;
        *number = i;
        return t;
    }
    return found;
}

// ---- values -----------------------------------------------------------------------------------

// quoted where it must be; a number loses the quotes of what was there
static void guess_written(Elab *el, Loc at, const char *text)
{
    const char *s = diag_source_text(el->diag, at.source, NULL);
    bool number = is_number_text(text);
    if (!number || !strchr("\"'", s[at.begin])) text = quoted(el, at, text);
    guess_add(el, at, text, with_key(el, s, at, text));
}

static void guess_for_key(Elab *el, Loc at, const char *key)
{
    static const char *const numbers[] = {"1", "2", "8", "64"};
    char *end;
    const char *old = text_at(el, at);
    double x = strtod(old, &end);
    if (!*old) return;
    if (x < 0 && !*end) guess_written(el, at, str_printf(el->arena, "%.10g", -x));
    for (int i = 0; i < 2 && usual_value(key, i); i++) guess_written(el, at, usual_value(key, i));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) guess_written(el, at, numbers[i]);
}

void guess_usual(Elab *el, Loc at)
{
    const char *s = diag_source_text(el->diag, at.source, NULL);
    if (s) guess_for_key(el, at, key_before(el, s, at.begin));
}

Loc constant_place(Elab *el, Loc at)
{
    const Binding *b = map_get(&el->scope->names, text_at(el, at));
    if (b && b->tree && b->tree->kind == TREE_SCALAR) return b->tree->loc;
    return b && b->expr ? b->expr->loc : (Loc){0};
}

// What a module's setting is where nobody says it.
static void guess_default(Elab *el, Loc at)
{
    uint32_t i;
    const Tree *map = entry_at(el, el->root, at, false, &i), *name = tree_get(map, "module");
    const ModuleDef *def = name && name->kind == TREE_SCALAR ? def_named(el, name->text) : NULL;
    const Decl *d = def ? def_setting(def, map->entries.at[i].key->text) : NULL;
    if (!d || (!d->def && !d->def_tree)) return;
    guess_written(el, map->entries.at[i].value->loc,
                  text_at(el, d->def_tree ? d->def_tree->loc : d->def->loc));
    guess_left_out(el, at);
}

void guess_blamed(Elab *el, Loc at)
{
    const char *s = diag_source_text(el->diag, at.source, NULL);
    if (!s || !is_users(el, at) || !el->scope) return;
    const char *key = key_before(el, s, at.begin);
    Loc constant = constant_place(el, at);
    el->turn = TURN_LATE;
    if (constant.source)
        guess_for_key(el, constant, key);
    else if (*key && usual_value(key, 0))
        guess_for_key(el, at, key);
    guess_default(el, at);
    el->turn = TURN_PLAIN;
}

// ---- entries ----------------------------------------------------------------------------------

void guess_left_out(Elab *el, Loc at)
{
    uint32_t i;
    const Tree *map = entry_at(el, el->root, at, true, &i);
    const Loc place = map ? entry_place(el, map, i) : (Loc){0};
    if (place.source)
        guess_add(el, place, "", str_printf(el->arena, "'%s'", map->entries.at[i].key->text));
}

// An entry before the first that a mapping has in a file; others are of what that extends.
static bool guess_first(Elab *el, const Tree *map, uint32_t source, const char *entry,
                        const char *said)
{
    const char *s = diag_source_text(el->diag, source, NULL);
    uint32_t i = 0;
    while (i < map->entries.n && map->entries.at[i].key->loc.source != source) i++;
    if (!s || map->kind != TREE_MAP || i == map->entries.n) return false;
    Loc at = map->entries.at[i].key->loc;
    uint32_t line = line_begin(s, at.end = at.begin);
    bool flow = memchr(s + line, '{', at.begin - line) != NULL;
    guess_add(el, at,
              flow ? str_printf(el->arena, "%s, ", entry)
                   : str_printf(el->arena, "%s\n%*s", entry, (int)(at.begin - line), ""),
              said);
    return true;
}

// let: {name: value} in a graph's file or in a module's mapping.
static void guess_let(Elab *el, const Tree *map, uint32_t source, const char *name,
                      const char *value)
{
    const char *entry = str_printf(el->arena, "%s: %s", name, value),
               *whole = str_printf(el->arena, "let: {%s}", entry);
    const Tree *let = tree_get(map, "let"), *version = tree_get(map, "cztc");
    if (let && guess_first(el, let, source, entry, whole)) return;
    if (version && version->loc.source == source)
        guess_add(el, loc_in(source, version->loc.end, version->loc.end),
                  str_printf(el->arena, "\n%s", whole), whole);
    else if (!version && !let)
        guess_first(el, map, source, whole, whole);
}

// The mapping of the file's own that may have a let: for a place: the graph, or the module.
static const Tree *let_owner(const Elab *el, Loc at)
{
    if (at.source == el->root->loc.source) return el->root;
    for (const Frame *f = el->frame; f; f = f->parent)
        if (f->instance && f->instance->def->loc.source == at.source) return f->instance->def->tree;
    return NULL;
}

void guess_definition(Elab *el, const char *name, Loc at)
{
    static const char *const numbers[] = {"1", "2", "8"};
    const char *s = source_of(el, at), *values[6];
    if (!s || !s[at.end] || s[at.end] == '(' || !is_users(el, at)) return;
    const char *key = key_before(el, s, at.begin);
    if (strcmp(key, "module") == 0 || strcmp(key, "kind") == 0) return;
    const Tree *owner = let_owner(el, at);
    const Binding *b = map_get(&el->scope->names, name);
    uint32_t n = 0;
    double x;
    if (b && value_number(b->value, &x)) values[n++] = str_printf(el->arena, "%.10g", x);
    for (int i = 0; i < 2; i++)
        if (usual_value(name, i) || usual_value(key, i))
            values[n++] = usual_value(usual_value(name, i) ? name : key, i);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) values[n++] = numbers[i];
    for (uint32_t i = 0; i < n; i++) {
        if (owner) guess_let(el, owner, at.source, name, values[i]);
        guess_written(el, at, values[i]);
    }
}

void guess_circle(Elab *el, const Binding *b, Loc read)
{
    const Loc at = b->expr ? b->expr->loc : b->tree ? b->tree->loc : (Loc){0};
    const char *s = source_of(el, at);
    el->turn = TURN_EARLY;
    guess_as_mapping(el, at, b->name);
    el->turn = TURN_PLAIN;
    guess_written(el, read, "1");
    for (uint32_t i = at.begin, end; s && i < at.end; i = end + 1) {
        end = i;
        while (end < at.end && word_part(s[end])) end++;
        const Binding *x = scope_find(b->scope, str_slice(el->arena, s + i, end - i));
        bool name = end > i && (!i || (s[i - 1] != '.' && !word_part(s[i - 1])));
        if (name && x && x->forcing) guess_written(el, loc_in(at.source, i, end), "1");
    }
    guess_left_out(el, b->loc);
}

// ---- training ---------------------------------------------------------------------------------

void guess_any(Elab *el, const Map *names)
{
    Loc at;
    if (!diag_last(el->diag, &at)) return;
    for (uint32_t i = 0; i < names->n; i++) guess_written(el, at, names->at[i].key);
}

// A row that begins late and ends early: neither.
static void guess_unbounded(Elab *el, const Tree *row)
{
    const char *s = diag_source_text(el->diag, row->loc.source, NULL);
    for (uint32_t i = 0; row->kind == TREE_MAP && i + 1 < row->entries.n; i++) {
        const TreeEntry *from = &row->entries.at[i], *until = from + 1;
        if (strcmp(from->key->text, "from") || strcmp(until->key->text, "until")) continue;
        Loc at = from->value->loc, between = loc_in(at.source, at.end, until->value->loc.begin);
        at.end = until->value->loc.end;
        guess_add(el, at, str_printf(el->arena, "0%ssteps", text_at(el, between)),
                  "from: 0 and until: steps");
        at.begin = entry_place(el, row, i).begin;
        at.end = entry_place(el, row, i + 1).end;
        bool last = i && i + 2 == row->entries.n && s[row->loc.begin] == '{';
        while (last && strchr(" ,", s[at.begin - 1])) at.begin--;
        guess_add(el, at, "", "'from' and 'until'");
    }
}

void guess_always(Elab *el)
{
    static const char *const sections[] = {"losses", "experts"};
    static const struct {
        const char *key, *value;
    } wide[] = {{"from", "0"}, {"until", "steps"}, {"every", "1"}};
    for (int s = 0; s < 2; s++) {
        const Tree *t = tree_get(el->root, sections[s]);
        for (uint32_t i = 0; t && t->kind == TREE_MAP && i < t->entries.n; i++) {
            const Tree *row = t->entries.at[i].value;
            for (size_t k = 0; k < sizeof wide / sizeof *wide; k++) {
                const Tree *x = tree_get(row, wide[k].key);
                if (!x) continue;
                guess_written(el, x->loc, wide[k].value);
                guess_left_out(el, x->loc);
            }
            guess_unbounded(el, row);
        }
    }
}

void guess_trained(Elab *el)
{
    const TreeEntry *freeze = tree_entry(tree_get(el->root, "train"), "freeze");
    const Tree *rows = freeze ? freeze->value : NULL;
    for (uint32_t i = 0; rows && rows->kind == TREE_LIST && i < rows->items.n; i++)
        if (!tree_get(rows->items.at[i], "while"))
            guess_entry(el, rows->items.at[i]->loc, "while", "step < 100");
    if (freeze) guess_left_out(el, freeze->key->loc);
}

void guess_match(Elab *el, const TreeEntry *match)
{
    Loc at = match->key->loc;
    const Tree *value = match->value;
    bool none = value->kind == TREE_NULL;
    at = none ? loc_in(at.source, at.end + 1, at.end + 1) : value->loc;
    for (int dots = 1; dots <= 2; dots++)
        for (uint32_t i = 0; i < el->program->states.n; i++) {
            const StateVar *v = &el->program->states.at[i];
            const char *end = strchr(v->name, '.');
            if (end && dots > 1) end = strchr(end + 1, '.');
            if (v->kind != STATE_PARAM || !v->trainable || !end) continue;
            const char *glob = str_printf(el->arena, "\"%.*s.*\"", (int)(end - v->name), v->name);
            guess_add(el, at, none ? str_printf(el->arena, " %s", glob) : glob,
                      str_printf(el->arena, "match: %s", glob));
        }
    guess_left_out(el, tree_entry(tree_get(el->root, "train"), "freeze")->key->loc);
}

void guess_condition(Elab *el, Loc at, bool number)
{
    const char *old = text_at(el, at);
    if (number && *old && !strchr("\"'", *old)) {
        guess_written(el, at, str_printf(el->arena, "%s < 100", old));
        guess_written(el, at, str_printf(el->arena, "%s > 0", old));
    }
    guess_written(el, at, "step < 100");
    guess_written(el, at, "step < 1000");
}
