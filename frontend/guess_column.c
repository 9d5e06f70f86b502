// Entries that stand in the column of another mapping than the one that is meant: deeper or
// shallower by an accident that YAML can read. Their lines, indented otherwise, are guesses for the
// first errors of a file, as what is misplaced shows in errors elsewhere too.
#include "frontend/guess.h"
#include "frontend/mend.h"

#include "frontend/tree_text.h"

#include <ctype.h>

enum {
    ERRORS = 20,
    MOVES = 16,   // that are looked for in a file
    OF_ERROR = 4, // that are tried for one error
    DEEP = 12
};

// A mapping with fixed keys, or of things that the user names, of which each is `id`
// (MAPPING_COUNT: any).
typedef struct Level {
    const Tree *map;
    uint32_t i; // of the entry that the next level is the value of
    MappingId id;
    bool fixed, named;
    uint32_t may_go[DEEP]; // by level around: from which entry on all may stand there
} Level;

typedef struct Move {
    Loc at;
    const char *text, *said;
    const Tree *map;
    uint32_t first, last; // its entries
} Move;

typedef struct Columns {
    Elab *el;
    TreeText text;
    Level levels[DEEP];
    Move moves[MOVES];
    uint32_t n;
} Columns;

static size_t column_of(const Columns *c, const Tree *key)
{
    return key->loc.begin - line_at(&c->text, key->loc.begin).begin;
}

// Is it a mapping in block style, with each key in a line?
static bool is_block(const Columns *c, const Tree *map)
{
    for (uint32_t i = 0; map->kind == TREE_MAP && i < map->entries.n; i++) {
        const Loc key = map->entries.at[i].key->loc;
        const Line l = line_at(&c->text, key.begin);
        if (l.text != key.begin || strchr("{-?", c->text.text[l.text])) return false;
    }
    return map->kind == TREE_MAP && map->entries.n && c->text.text[map->loc.begin] != '{';
}

static bool has_key(const Level *l, const char *key)
{
    return l->fixed && keys_reserved(l->id, key);
}

// Does nothing that the mapping knows have an entry's key, nor one that is meant by it?
static bool is_strange(const Columns *c, const Level *l, uint32_t i)
{
    const TreeEntry *e = &l->map->entries.at[i];
    const Tree *key = e->key;
    if (l->fixed) return !has_key(l, key->text) && !keys_meant(c->el, l->map, key, l->id);
    return l->named && l->id != MAPPING_COUNT &&
           (e->value->kind == TREE_SCALAR || keys_reserved(l->id, key->text));
}

// "'a'", "'a' and 'b'", "'a' to 'd'"
static const char *names_of(const Columns *c, const Tree *map, uint32_t first, uint32_t last)
{
    const char *a = map->entries.at[first].key->text, *b = map->entries.at[last].key->text;
    if (first == last) return str_printf(c->el->arena, "'%s'", a);
    return str_printf(c->el->arena, "'%s' %s '%s'", a, last == first + 1 ? "and" : "to", b);
}

// Entries of a mapping, as far as a place, to a column.
static void add_until(Columns *c, const Tree *map, uint32_t first, uint32_t last, uint32_t end,
                      size_t to, const char *where)
{
    const Tree *key = map->entries.at[first].key;
    if (c->n == MOVES) return;
    const Loc at = loc_in(key->loc.source, (uint32_t)line_at(&c->text, key->loc.begin).begin, end);
    const char *text = tree_indented(&c->text, at.begin, at.end, column_of(c, key), to);
    const char *said = str_printf(c->el->arena, "%s %s", names_of(c, map, first, last), where);
    c->moves[c->n++] = (Move){at, text, said, map, first, last};
}

static void add(Columns *c, const Tree *map, uint32_t first, uint32_t last, size_t to,
                const char *where)
{
    const Loc from = entry_place(c->el, map, first), end = entry_place(c->el, map, last);
    if (from.source && end.source) add_until(c, map, first, last, end.end, to, where);
}

// Is a name written elsewhere too?
static bool is_read(const Columns *c, const Tree *key)
{
    const char *name = key->text, *s = c->text.text;
    const size_t n = strlen(name);
    for (const char *p = s; n && (p = strstr(p, name)); p += n)
        if (p != s + key->loc.begin && !word_part(p[n]) && (p == s || !word_part(p[-1])))
            return true;
    return false;
}

// What the value of an entry is.
static Level level_below(const Level *l, const char *key)
{
    Level below = {.id = MAPPING_COUNT};
    if (l->named) {
        below.id = l->id;
        below.fixed = l->id != MAPPING_COUNT;
    } else if (schema_value(l->id, key, &below.id)) {
        below.fixed = true;
    } else if (schema_each(l->id, key, &below.id)) {
        below.named = true;
    } else {
        below.id = MAPPING_COUNT;
    }
    return below;
}

// Where the part of an entry's value ends that the mapping knows which it is to stand in: at the
// first key of that one, in whose column they are; 0 where there is none.
static uint32_t part_end(const Columns *c, const Level *into, const Tree *value, size_t to)
{
    if (!is_block(c, value)) return 0;
    for (uint32_t i = 1; i < value->entries.n; i++) {
        const Tree *key = value->entries.at[i].key;
        const bool another =
            into->named && into->id != MAPPING_COUNT && !keys_reserved(into->id, key->text);
        if ((another || has_key(into, key->text)) && column_of(c, key) == to)
            return (uint32_t)line_at(&c->text, key->loc.begin).begin;
    }
    return 0;
}

// Below the entry before: from an entry to the last in a row that may belong there.
static void deeper(Columns *c, const Level *l, uint32_t i)
{
    const TreeEntry *before = &l->map->entries.at[i - 1];
    const Tree *into = before->value;
    const bool empty = into->kind == TREE_NULL;
    if (!empty && !is_block(c, into)) return;
    // any name would do there
    const Level level = level_below(l, before->key->text);
    if (level.id == MAPPING_COUNT && !is_read(c, l->map->entries.at[i].key)) return;
    size_t to = column_of(c, before->key) + 2;
    if (!empty) to = column_of(c, into->entries.at[0].key);
    const char *where = str_printf(c->el->arena, "under '%s', indented by %zu", before->key->text,
                                   to - column_of(c, before->key));
    uint32_t last = i;
    while (last + 1 < l->map->entries.n && is_strange(c, l, last + 1)) last++;
    add(c, l->map, i, last, to, where);
    if (last > i) add(c, l->map, i, i, to, where);
    const uint32_t end = part_end(c, &level, l->map->entries.at[i].value, to);
    if (end) add_until(c, l->map, i, i, end, to, where);
}

// May a mapping around have an entry? Either it has such a key, or it is one more of its things.
static bool may_take(const Level *to, const TreeEntry *e)
{
    const char *key = e->key->text;
    if (tree_get(to->map, key)) return false;
    return has_key(to, key) || (to->named && to->id != MAPPING_COUNT && e->value->kind == TREE_MAP);
}

// Out of the mapping that it is the end of, with what is behind it.
static void shallower(Columns *c, uint32_t depth, uint32_t i)
{
    const Level *l = &c->levels[depth];
    const uint32_t last = l->map->entries.n - 1;
    for (uint32_t k = depth; k--;) {
        const Level *to = &c->levels[k];
        const bool all = i >= l->may_go[k];
        const Tree *first = to->map->entries.at[0].key;
        const size_t column = column_of(c, first);
        const char *where = column ? str_printf(c->el->arena, "in the column of '%s'", first->text)
                                   : "in the first column";
        if (all) add(c, l->map, i, last, column, where);
        const TreeEntry *e = &l->map->entries.at[i]; // whose value stands beside it
        if (!all && e->value->kind == TREE_NULL && may_take(to, e))
            add(c, l->map, i, i, column, where);
        if (to->i + 1 < to->map->entries.n) return; // what is behind would go with it
    }
}

static void find_may_go(Columns *c, uint32_t depth)
{
    Level *l = &c->levels[depth];
    for (uint32_t k = 0; k < depth; k++) {
        uint32_t i = l->map->entries.n;
        while (i && may_take(&c->levels[k], &l->map->entries.at[i - 1]) &&
               !has_key(l, l->map->entries.at[i - 1].key->text))
            i--;
        l->may_go[k] = i;
    }
}

static void walk(Columns *c, uint32_t depth)
{
    Level *l = &c->levels[depth];
    find_may_go(c, depth);
    for (uint32_t i = 0; i < l->map->entries.n; i++) {
        const TreeEntry *e = &l->map->entries.at[i];
        bool begins = i && is_strange(c, l, i) && !(i > 1 && is_strange(c, l, i - 1));
        if (begins) deeper(c, l, i);
        if (depth) shallower(c, depth, i);
        l->i = i;
        if (depth + 1 == DEEP || !is_block(c, e->value)) continue;
        c->levels[depth + 1] = level_below(l, e->key->text);
        c->levels[depth + 1].map = e->value;
        walk(c, depth + 1);
    }
}

static bool meets(const Move *m, Loc at)
{
    return at.source == m->at.source && at.begin >= m->at.begin && at.begin < m->at.end;
}

// Of the last error: the move, and what is moved left out, with the key of it where that has
// nothing else. What an error elsewhere needs is not left out, so the move may be certain.
static void put(Elab *el, const Columns *c, const Move *m, bool here)
{
    el->turn = TURN_COLUMN;
    (here ? guess_add : guess_sure)(el, m->at, m->text, m->said);
    el->turn = TURN_EARLY;
    guess_add(el, m->at, "", names_of(c, m->map, m->first, m->last));
    const TreeEntry *before = m->first ? &m->map->entries.at[m->first - 1] : NULL;
    if (before && before->value->kind == TREE_NULL) {
        const Loc at = loc_in(m->at.source,
                              (uint32_t)line_at(&c->text, before->key->loc.begin).begin, m->at.end);
        guess_add(el, at, "", names_of(c, m->map, m->first - 1, m->last));
    }
    el->turn = TURN_PLAIN;
}

// Those of its place before the others.
static void put_all(Elab *el, const Columns *c, Loc at)
{
    uint32_t count = 0;
    for (int here = 1; here >= 0; here--)
        for (uint32_t i = 0; i < c->n && count < OF_ERROR; i++)
            if (meets(&c->moves[i], at) == here) put(el, c, &c->moves[i], here), count++;
}

// The file's own tree, without what it extends and what has been read for something else.
static Tree *read_again(Elab *el, uint32_t source)
{
    Diag *diag = diag_new(el->arena);
    for (uint32_t i = 1; i <= source; i++) { // so that it has its number
        size_t size;
        const char *text = diag_source_text(el->diag, i, &size);
        diag_source(diag, diag_source_path(el->diag, i), text, size);
    }
    return tree_read(el->arena, diag, source);
}

void guess_columns(Elab *el)
{
    Columns c = {.el = el};
    Loc at;
    if (!el->root || el->options->no_trials || !is_users(el, el->root->loc)) return;
    const uint32_t source = el->root->loc.source;
    c.text = (TreeText){.arena = el->arena, .diag = el->diag, .source = source};
    c.text.text = diag_source_text(el->diag, source, &c.text.size);
    const Tree *root = c.text.text ? read_again(el, source) : NULL;
    if (!root || !is_block(&c, root)) return;
    c.levels[0] = (Level){.map = root, .id = MAPPING_GRAPH, .fixed = true};
    walk(&c, 0);
    for (uint32_t i = 0; c.n && i < ERRORS && diag_error_at(el->diag, i, &at); i++) {
        diag_return_to(el->diag, diag_error_number(el->diag, i));
        put_all(el, &c, at);
    }
}
