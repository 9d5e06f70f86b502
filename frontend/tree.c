// The YAML reader. The bytes are checked, accidents are repaired (tree_accidents.c) until libyaml
// reads the text, then its events become a tree whose scalars know the source byte of each of
// theirs (tree_place.c).
#include "frontend/tree_text.h"

#include "base/map.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_SIZE = 16 << 20, MAX_EXPANDED = 100000 };

typedef struct Anchor {
    Tree *tree;     // NULL while its node is being read
    uint64_t nodes; // with what aliases in it stand for
} Anchor;

typedef struct Builder {
    TreeText *t;
    yaml_parser_t *parser;
    Map anchors;       // name -> Anchor
    uint64_t nodes;    // read so far, aliases counted with all that they stand for
    uint64_t expanded; // the part that comes from aliases
    uint32_t patch;    // patches are in order of place: the next one
    size_t end;        // of the last event
    bool stop;
} Builder;

// ---- places ------------------------------------------------------------------------------------

Loc tree_text_loc(const TreeText *t, size_t begin, size_t end)
{
    return loc_in(t->source, (uint32_t)begin, (uint32_t)end);
}

void tree_text_map(TreeText *t)
{
    uint32_t n = 0;
    for (size_t i = 0; i < t->size; i++) n += ((unsigned char)t->fed[i] & 0xc0) != 0x80;
    if (n == t->size && !t->byte_of) return;
    if (!t->byte_of) t->byte_of = arena_array(t->arena, uint32_t, t->size + 1);
    n = 0;
    for (size_t i = 0; i < t->size; i++)
        if (((unsigned char)t->fed[i] & 0xc0) != 0x80) t->byte_of[n++] = (uint32_t)i;
    for (size_t i = n; i <= t->size; i++) t->byte_of[i] = (uint32_t)t->size;
}

size_t tree_text_byte(const TreeText *t, const yaml_mark_t *mark)
{
    if (mark->index >= t->size) return t->size;
    return t->byte_of ? t->byte_of[mark->index] : mark->index;
}

// ---- nodes -------------------------------------------------------------------------------------

static Tree *build_node(Builder *b, yaml_event_t *event, uint32_t depth);

static bool next_event(Builder *b, yaml_event_t *event)
{
    if (b->stop) return false;
    if (yaml_parser_parse(b->parser, event)) {
        b->end = tree_text_byte(b->t, &event->end_mark);
        return true;
    }
    syntax_error(b->t, b->parser);
    b->stop = true;
    return false;
}

static Tree *new_tree(Builder *b, TreeKind kind, size_t begin, size_t end)
{
    Tree *tree = arena_make(b->t->arena, Tree);
    tree->kind = kind;
    tree->loc = tree_text_loc(b->t, begin, end);
    b->nodes++;
    return tree;
}

// Where a node begins that has an anchor: libyaml's mark is that of the anchor.
static size_t after_anchor(const TreeText *t, size_t at, size_t end)
{
    if (at >= end || t->fed[at] != '&') return at;
    for (at++; at < end && (isalnum((unsigned char)t->fed[at]) || strchr("_-", t->fed[at]));) at++;
    for (bool comment = false; at < end;) {
        size_t n = break_size(t->fed, end, at);
        comment = (comment && !n) || t->fed[at] == '#';
        if (!n && !comment && t->fed[at] != ' ' && t->fed[at] != '\t') break;
        at += n ? n : 1;
    }
    return at;
}

static bool is_null_text(const char *s)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    return is_one_of(s, words);
}

// The first repaired value that begins in [begin, end); scalars come in order of place.
static const Patch *patch_in(Builder *b, size_t begin, size_t end)
{
    const TreeText *t = b->t;
    while (b->patch < t->patches.n && t->patches.at[b->patch].begin < begin) b->patch++;
    const Patch *p = b->patch < t->patches.n ? &t->patches.at[b->patch] : NULL;
    return p && p->begin < end ? p : NULL;
}

static Tree *build_scalar(Builder *b, const yaml_event_t *event)
{
    TreeText *t = b->t;
    size_t end = tree_text_byte(t, &event->end_mark);
    size_t begin = after_anchor(t, tree_text_byte(t, &event->start_mark), end);
    if (event->data.scalar.tag) { // inside of what was taken for another value
        tree_error(t, begin, begin + 1, "tags are not part of the language");
        mend_line(t, begin, begin);
        b->stop = true;
        return NULL;
    }
    Tree *tree = new_tree(b, TREE_SCALAR, begin, end);
    yaml_scalar_style_t style = event->data.scalar.style;
    tree->quoted =
        style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    if (patch_in(b, begin, end) && style == YAML_PLAIN_SCALAR_STYLE) {
        scalar_patched(t, tree, begin, end);
        return tree;
    }
    scalar_place(t, tree, event, begin, end);
    if (strlen(tree->text) != event->data.scalar.length) {
        diag_error(t->diag, tree->loc, "a text cannot hold a NUL character");
        mend_nul(t, tree, (const char *)event->data.scalar.value, event->data.scalar.length);
    }
    if (style == YAML_PLAIN_SCALAR_STYLE && is_null_text(tree->text)) tree->kind = TREE_NULL;
    if (style == YAML_LITERAL_SCALAR_STYLE || style == YAML_FOLDED_SCALAR_STYLE)
        tree->loc.end = tree->loc.begin + 1;
    return tree;
}

static Tree *build_alias(Builder *b, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    Anchor *anchor = map_get(&b->anchors, name);
    Loc loc = tree_text_loc(b->t, tree_text_byte(b->t, &event->start_mark),
                            tree_text_byte(b->t, &event->end_mark));
    if (!anchor || !anchor->tree) {
        diag_error(b->t->diag, loc, "the alias '*%s' stands inside its own anchor", name);
        mend_alias(b->t, loc.begin, loc.end);
        b->stop = true;
        return NULL;
    }
    b->nodes += anchor->nodes;
    b->expanded += anchor->nodes;
    if (b->expanded <= MAX_EXPANDED) return anchor->tree;
    diag_error(b->t->diag, loc, "the aliases of this file stand for more than %d values",
               MAX_EXPANDED);
    b->stop = true;
    return NULL;
}

static Tree *build_list(Builder *b, const yaml_event_t *start, uint32_t depth)
{
    size_t begin = tree_text_byte(b->t, &start->start_mark);
    size_t end = tree_text_byte(b->t, &start->end_mark);
    bool flow = start->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    Tree *list = new_tree(b, TREE_LIST, after_anchor(b->t, begin, b->t->size), end), *item;
    yaml_event_t event;
    while (next_event(b, &event)) {
        bool done = event.type == YAML_SEQUENCE_END_EVENT;
        if (done && flow) list->loc.end = (uint32_t)tree_text_byte(b->t, &event.end_mark);
        item = done ? NULL : build_node(b, &event, depth);
        yaml_event_delete(&event);
        if (!item) break;
        if (!flow || !slip_numbers(b->t, list, item)) vec_push(b->t->arena, &list->items, item);
    }
    if (!flow) list->loc.end = list->loc.begin + 1;
    return b->stop ? NULL : list;
}

// An entry while its map is read.
typedef struct Entry {
    Tree *key, *value;
    EntrySpan span;
    bool flow;
} Entry;

// A key is a text; a key given twice is reported and the first one stays.
static bool check_key(Builder *b, Map *seen, const Entry *e)
{
    Diag *diag = b->t->diag;
    const Tree *key = e->key;
    const Entry *first = map_get(seen, key->text ? key->text : "");
    if (key->kind == TREE_LIST || key->kind == TREE_MAP) {
        diag_error(diag, key->loc, "a key is a text, not a %s",
                   key->kind == TREE_LIST ? "list" : "mapping");
        mend_key(b->t, key, e->span, e->flow);
        b->stop = true;
        return false;
    }
    if (!key->text[0] && !key->quoted) {
        diag_error(diag, key->loc, "there is no key before ':'");
        mend_key(b->t, key, e->span, e->flow);
        return false;
    }
    if (strcmp(key->text, "<<") == 0 && !key->quoted) return false; // merges reports them
    if (first) {
        diag_error(diag, key->loc, "the key '%s' is given twice", key->text);
        diag_note(diag, first->key->loc, "the first one is here");
        mend_twice(b->t, first->span, e->span, e->flow, first->value->kind == TREE_NULL);
        if (first->value->kind == TREE_NULL) *first->value = *e->value; // for what else is wrong
        return false;
    }
    map_set(b->t->arena, seen, key->text, arena_copy(b->t->arena, e, sizeof *e));
    return true;
}

// {width 128}: a key that holds its value. The entry becomes what was meant.
static void check_entry(Builder *b, Entry *e)
{
    Arena *arena = b->t->arena;
    const Tree *key = e->key;
    EntryText entry;
    const bool alone = e->flow && e->value->kind == TREE_NULL && !*e->value->text;
    if (!alone || key->kind != TREE_SCALAR || key->quoted) return;
    const size_t size = key->loc.end - key->loc.begin;
    if (strlen(key->text) != size || !slip_entry(b->t, key->loc.begin, key->loc.end, &entry))
        return;
    diag_error(b->t->diag, key->loc, "expected ': ' between a key and its value");
    diag_help(b->t->diag, "write %s", entry.said);
    diag_mend(b->t->diag, key->loc, entry.said);
    Tree *value = e->value = arena_copy(arena, key, sizeof *key);
    value->text = entry.value;
    value->place = key->place + (entry.at - key->loc.begin);
    value->loc.begin = (uint32_t)entry.at;
    Tree *word = e->key = arena_copy(arena, key, sizeof *key);
    word->text = entry.key;
    word->loc.end = word->loc.begin + (uint32_t)strlen(entry.key);
}

// The merge keys of a map that is read: they are reported last, as they give way to its keys.
static void merges(Builder *b, const Tree *map, const Entry *entries, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const Entry *e = &entries[i];
        diag_error(b->t->diag, e->key->loc, "merge keys are not part of the language");
        mend_merge(b->t, map, e->value, e->span, e->flow);
    }
}

// A key of kind NULL (`~: 1`) is the text it is written as; a shared node must not change.
static Tree *as_key(Builder *b, Tree *key)
{
    if (key->kind != TREE_NULL) return key;
    Tree *copy = arena_copy(b->t->arena, key, sizeof *key);
    copy->kind = TREE_SCALAR;
    return copy;
}

static Tree *build_map(Builder *b, const yaml_event_t *start, uint32_t depth)
{
    size_t begin = after_anchor(b->t, tree_text_byte(b->t, &start->start_mark), b->t->size);
    bool flow = start->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
    Tree *map = new_tree(b, TREE_MAP, begin, begin + 1);
    Map seen = {0};
    VEC(Entry) merged = {0};
    yaml_event_t event;
    while (next_event(b, &event)) {
        bool done = event.type == YAML_MAPPING_END_EVENT;
        size_t from = tree_text_byte(b->t, &event.start_mark);
        if (done && flow) map->loc.end = (uint32_t)tree_text_byte(b->t, &event.end_mark);
        Tree *key = done ? NULL : build_node(b, &event, depth);
        yaml_event_delete(&event);
        if (!key || !next_event(b, &event)) break;
        if (!flow && !map->entries.n) map->loc = key->loc;
        Tree *value = build_node(b, &event, depth);
        yaml_event_delete(&event);
        if (!value) break;
        Entry e = {key, value, {from, b->end}, flow};
        check_entry(b, &e);
        if (check_key(b, &seen, &e))
            vec_push(b->t->arena, &map->entries, ((TreeEntry){as_key(b, e.key), e.value}));
        else if (key->text && strcmp(key->text, "<<") == 0 && !key->quoted)
            vec_push(b->t->arena, &merged, e);
    }
    merges(b, map, merged.at, merged.n);
    return b->stop ? NULL : map;
}

static Tree *build_kind(Builder *b, const yaml_event_t *event, uint32_t depth)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT: return build_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT: return build_list(b, event, depth + 1);
    case YAML_MAPPING_START_EVENT: return build_map(b, event, depth + 1);
    case YAML_ALIAS_EVENT: return build_alias(b, event);
    default: bug("event %d of libyaml where a node belongs", (int)event->type);
    }
}

static const char *anchor_of(const yaml_event_t *event)
{
    const yaml_char_t *name = NULL;
    if (event->type == YAML_SCALAR_EVENT) name = event->data.scalar.anchor;
    if (event->type == YAML_SEQUENCE_START_EVENT) name = event->data.sequence_start.anchor;
    if (event->type == YAML_MAPPING_START_EVENT) name = event->data.mapping_start.anchor;
    return (const char *)name;
}

// The node that begins with this event; NULL after b->stop.
static Tree *build_node(Builder *b, yaml_event_t *event, uint32_t depth)
{
    const char *name = anchor_of(event);
    uint64_t before = b->nodes;
    Anchor *anchor = NULL;
    if (name) {
        anchor = arena_make(b->t->arena, Anchor);
        map_set(b->t->arena, &b->anchors, name, anchor);
    }
    Tree *tree = build_kind(b, event, depth);
    if (anchor) *anchor = (Anchor){tree, b->nodes - before};
    return tree;
}

// ---- the whole ---------------------------------------------------------------------------------

static Tree *build_document(Builder *b)
{
    Tree *root = NULL;
    yaml_event_t event;
    for (bool done = false; !done && next_event(b, &event);) {
        if (event.type == YAML_SCALAR_EVENT || event.type == YAML_SEQUENCE_START_EVENT ||
            event.type == YAML_MAPPING_START_EVENT || event.type == YAML_ALIAS_EVENT) {
            root = build_node(b, &event, 0);
        }
        done |= event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return b->stop ? NULL : root;
}

static Tree *build(TreeText *t)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) bug("libyaml has no memory");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)t->fed, t->size);
    Builder b = {.t = t, .parser = &parser};
    Tree *root = build_document(&b);
    yaml_parser_delete(&parser);
    if (b.stop || (root && root->kind != TREE_NULL)) return root;
    tree_error(t, 0, 0, "the file is empty");
    mend_empty(t);
    return NULL;
}

static int by_begin(const void *a, const void *b)
{
    const Patch *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static Tree *read_text(TreeText *t)
{
    t->text = diag_source_text(t->diag, t->source, &t->size);
    if (!bytes_check(t)) return NULL;
    t->fed = str_slice(t->arena, t->text, t->size);
    tree_text_map(t);
    if (!accidents_repair(t)) return NULL;
    if (t->patches.n) qsort(t->patches.at, t->patches.n, sizeof *t->patches.at, by_begin);
    return build(t);
}

Tree *tree_read_judged(Arena *arena, Diag *diag, uint32_t source, const TreeJudge *judge)
{
    TreeText t = {.arena = arena, .diag = diag, .source = source, .judge = judge};
    Tree *root = read_text(&t);
    tries_offer(&t);
    return root;
}

Tree *tree_read(Arena *arena, Diag *diag, uint32_t source)
{
    return tree_read_judged(arena, diag, source, NULL);
}

void tree_read_trial(Arena *arena, Diag *diag, uint32_t source)
{
    read_text(&(TreeText){.arena = arena, .diag = diag, .source = source, .trial = true});
}

static bool read_all(Arena *arena, FILE *f, char **text, size_t *size)
{
    size_t cap = 1 << 14, n = 0;
    *text = arena_alloc(arena, cap);
    for (size_t got; (got = fread(*text + n, 1, cap - n, f)) > 0;) {
        n += got;
        if (n > MAX_SIZE) break; // tree_read says so
        if (n < cap) continue;
        char *more = arena_alloc(arena, cap * 2);
        memcpy(more, *text, n);
        *text = more;
        cap *= 2;
    }
    *size = n;
    return !ferror(f);
}

Tree *tree_read_file(Arena *arena, Diag *diag, const char *path, Loc from, const TreeJudge *judge)
{
    char *text;
    size_t size;
    const char *overlaid = diag_overlaid(diag, path);
    if (overlaid)
        return tree_read_judged(arena, diag, diag_source(diag, path, overlaid, strlen(overlaid)),
                                judge);
    struct stat st; // a pipe would wait for its writer
    bool odd = stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
    FILE *f = odd ? NULL : fopen(path, "rb");
    if (!f || !read_all(arena, f, &text, &size)) {
        const char *why = odd ? "not a regular file" : strerror(errno);
        diag_error(diag, from, "cannot read '%s': %s", path, why);
        if (f) fclose(f);
        return NULL;
    }
    fclose(f);
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3, size -= 3; // a byte order mark
    return tree_read_judged(arena, diag, diag_source(diag, path, text, size), judge);
}

Tree *tree_get(const Tree *t, const char *key)
{
    TreeEntry *e = tree_entry(t, key);
    return e ? e->value : NULL;
}

TreeEntry *tree_entry(const Tree *t, const char *key)
{
    if (!t || t->kind != TREE_MAP) return NULL;
    for (uint32_t i = 0; i < t->entries.n; i++)
        if (strcmp(t->entries.at[i].key->text, key) == 0) return &t->entries.at[i];
    return NULL;
}

Loc tree_place(const Tree *t, size_t begin, size_t end)
{
    Loc loc = loc_in(t->loc.source, t->place[begin], t->place[end]);
    if (loc.end < loc.begin) loc.end = loc.begin;
    return loc;
}
