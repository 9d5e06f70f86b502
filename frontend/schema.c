// A JSON Schema made of the table of keys, so that an editor completes, explains and refuses what
// the frontend does. The table says which keys a mapping has and of what kind they are; the rows of
// `links` say which mapping a key's value is, or the values below it are. A key without a row there
// is open below its kind. Definitions are written when something first refers to them.
//
// A file with `extends:` holds changes: no key is required, null removes, and `key+` appends to a
// list. It has definitions of its own, which know this ("changed_expert").
#include "frontend/schema.h"

#include "frontend/guess.h"
#include "frontend/json.h"

#include <ctype.h>

typedef enum { K_NAME, K_TEXT, K_NUMBER, K_EXPR, K_LIST, K_MAP, K_ANY, K_LATER } KeyKind;

static const struct {
    MappingId mapping;
    const char *name;
    KeyKind kind;
    bool required;
    const char *def, *doc;
} keys[] = {
#define MAPPING(e, text)
#define KEY(mapping, key, kind, required, def, doc)                                                \
    {MAPPING_##mapping, #key, K_##kind, required, def, doc},
#include "frontend/keys.def"
#undef KEY
#undef MAPPING
};

static const struct {
    const char *name, *text;
} mappings[] = {
#define MAPPING(e, text) {#e, text},
#define KEY(...)
#include "frontend/keys.def"
#undef KEY
#undef MAPPING
};

enum { KEYS = sizeof keys / sizeof *keys };

// What a definition describes beside the mappings of the table.
enum {
    OF_TEXT = MAPPING_COUNT, // a scalar
    OF_TEXTS,                // or a list of them
    OF_VALUE,                // an expression, a list, a call, a repetition, or a record
    OF_CALL,                 // {module: m, ..}
    OF_ROW                   // of params: an expression, a call or a parameter
};

typedef enum { SELF, EACH, ITEMS } Form;

// The value of the key is `what`, or each value of that mapping is, or each item of that list.
static const struct {
    MappingId mapping;
    const char *key;
    Form form;
    int what;
    bool or_text; // an expression may stand there instead
} links[] = {
    {MAPPING_GRAPH, "import", ITEMS, OF_TEXT, false},
    {MAPPING_GRAPH, "data", SELF, MAPPING_DATA, false},
    {MAPPING_GRAPH, "encoders", EACH, MAPPING_INSTANCE, false},
    {MAPPING_GRAPH, "heads", EACH, MAPPING_INSTANCE, false},
    {MAPPING_GRAPH, "watch", EACH, MAPPING_WATCH, true},
    {MAPPING_GRAPH, "export", SELF, MAPPING_EXPORT, false},
    {MAPPING_EXPORT, "parts", ITEMS, OF_TEXT, false},
    {MAPPING_EXPORT, "rename", EACH, MAPPING_RENAME, true},
    {MAPPING_GRAPH, "teachers", EACH, MAPPING_TEACHER, false},
    {MAPPING_GRAPH, "stats", EACH, MAPPING_STATS, false},
    {MAPPING_TEACHER, "weights", SELF, MAPPING_INIT, true},
    {MAPPING_TEACHER, "outputs", EACH, OF_VALUE, true},
    {MAPPING_GRAPH, "init", ITEMS, MAPPING_INIT, false},
    {MAPPING_INIT, "rename", EACH, MAPPING_RENAME, true},
    {MAPPING_INIT, "resize", EACH, MAPPING_RESIZE, true},
    {MAPPING_GRAPH, "ema", EACH, MAPPING_EMA, false},
    {MAPPING_GRAPH, "params", EACH, OF_ROW, true},
    {MAPPING_GRAPH, "values", EACH, OF_VALUE, true},
    {MAPPING_GRAPH, "experts", EACH, MAPPING_EXPERT, false},
    {MAPPING_GRAPH, "losses", EACH, MAPPING_LOSS, false},
    {MAPPING_GRAPH, "train", SELF, MAPPING_TRAIN, false},
    {MAPPING_GRAPH, "eval", SELF, MAPPING_EVAL, false},
    {MAPPING_GRAPH, "checkpoint", SELF, MAPPING_CHECKPOINT, false},
    {MAPPING_GRAPH, "log", SELF, MAPPING_LOG, false},
    {MAPPING_GRAPH, "check", SELF, MAPPING_CHECK, false},
    {MAPPING_LIBRARY, "import", ITEMS, OF_TEXT, false},
    {MAPPING_LIBRARY, "functions", EACH, OF_VALUE, true},
    {MAPPING_LIBRARY, "modules", EACH, MAPPING_MODULE, false},
    {MAPPING_LIBRARY, "optimizers", EACH, MAPPING_OPTIMIZER, false},
    {MAPPING_LIBRARY, "metrics", EACH, MAPPING_METRIC, false},
    {MAPPING_LIBRARY, "experts", EACH, MAPPING_KIND, false},
    {MAPPING_MODULE, "params", EACH, OF_ROW, true},
    {MAPPING_MODULE, "body", EACH, OF_VALUE, true},
    {MAPPING_MODULE, "out", EACH, OF_VALUE, true},
    {MAPPING_OPTIMIZER, "state", EACH, MAPPING_ACCUMULATOR, true},
    {MAPPING_OPTIMIZER, "update", EACH, OF_VALUE, true},
    {MAPPING_METRIC, "body", EACH, OF_VALUE, true},
    {MAPPING_METRIC, "state", EACH, MAPPING_ACCUMULATOR, false},
    {MAPPING_METRIC, "update", EACH, OF_VALUE, true},
    {MAPPING_METRIC, "out", EACH, OF_VALUE, true},
    {MAPPING_KIND, "output", SELF, OF_VALUE, true},
    {MAPPING_KIND, "target", SELF, OF_VALUE, true},
    {MAPPING_KIND, "loss", SELF, OF_VALUE, true},
    {MAPPING_KIND, "metric", SELF, OF_CALL, false},
    {MAPPING_KIND, "baselines", EACH, OF_CALL, false},
    {MAPPING_KIND, "params", EACH, OF_ROW, true},
    {MAPPING_REPEAT, "carry", EACH, OF_VALUE, true},
    {MAPPING_REPEAT, "body", EACH, OF_VALUE, true},
    {MAPPING_REPEAT, "next", EACH, OF_VALUE, true},
    {MAPPING_EXPERT, "output", SELF, OF_VALUE, true},
    {MAPPING_EXPERT, "target", SELF, OF_VALUE, true},
    {MAPPING_EXPERT, "loss", SELF, OF_VALUE, true},
    {MAPPING_EXPERT, "metric", SELF, OF_CALL, false},
    {MAPPING_EXPERT, "baselines", EACH, OF_CALL, false},
    {MAPPING_EXPERT, "params", EACH, OF_ROW, true},
    {MAPPING_LOSS, "output", SELF, OF_VALUE, true},
    {MAPPING_LOSS, "target", SELF, OF_VALUE, true},
    {MAPPING_LOSS, "loss", SELF, OF_VALUE, true},
    {MAPPING_LOSS, "params", EACH, OF_ROW, true},
    {MAPPING_LOSS, "metric", SELF, OF_CALL, false},
    {MAPPING_LOSS, "baselines", EACH, OF_CALL, false},
    {MAPPING_DATA, "source", ITEMS, MAPPING_SOURCE, true},
    {MAPPING_SOURCE, "shards", SELF, OF_TEXTS, true},
    {MAPPING_DATA, "series", EACH, MAPPING_SERIES, true},
    {MAPPING_SERIES, "shards", SELF, OF_TEXTS, true},
    {MAPPING_DATA, "views", EACH, MAPPING_VIEW, false},
    {MAPPING_DATA, "fields", EACH, MAPPING_FIELD, false},
    {MAPPING_DATA, "draw", EACH, OF_TEXT, true},
    {MAPPING_VIEW, "member", SELF, OF_TEXTS, true},
    {MAPPING_VIEW, "replay", SELF, MAPPING_REPLAY, false},
    {MAPPING_VIEW, "colour", SELF, MAPPING_COLOUR, false},
    {MAPPING_REPLAY, "member", SELF, OF_TEXTS, true},
    {MAPPING_VIEW, "crop", SELF, MAPPING_CROP, true},
    {MAPPING_FIELD, "member", SELF, OF_TEXTS, true},
    {MAPPING_TRAIN, "optimizer", SELF, OF_CALL, false},
    {MAPPING_TRAIN, "clip_grad", SELF, OF_CALL, false},
    {MAPPING_TRAIN, "groups", ITEMS, MAPPING_GROUP, false},
    {MAPPING_FREEZE, "match", SELF, OF_TEXTS, false},
    {MAPPING_EMA, "of", SELF, OF_TEXTS, false},
    {MAPPING_TRAIN, "freeze", ITEMS, MAPPING_FREEZE, false},
    {MAPPING_GROUP, "match", SELF, OF_TEXTS, true},
    {MAPPING_GROUP, "optimizer", SELF, OF_CALL, false},
    {MAPPING_EVAL, "sets", EACH, OF_TEXT, true},
    {MAPPING_CHECK, "set", EACH, OF_VALUE, true},
    {MAPPING_GRAPH, "shapes", ITEMS, MAPPING_SHAPE, false},
};

// Mappings that have further keys: those of the module, the kind or the optimiser that is meant.
// Where a key is named, only with that key (and only when the language has it).
static const struct {
    MappingId mapping;
    const char *with;
} openers[] = {
    {MAPPING_STATS, NULL},      {MAPPING_INSTANCE, NULL}, {MAPPING_GROUP, NULL},
    {MAPPING_LOSS, "module"},   {MAPPING_TEACHER, NULL},  {MAPPING_SHAPE, NULL},
    {MAPPING_REPEAT, "module"}, {MAPPING_EXPERT, "kind"}, {MAPPING_LOSS, "kind"},
};

typedef struct Definition {
    int what;
    bool changed, open;
} Definition;

typedef struct Schema {
    Arena *arena;
    Json json;
    VEC(Definition) definitions; // in the order of the first reference
} Schema;

bool schema_items(MappingId id, const char *key, MappingId *item)
{
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        if (links[i].mapping != id || links[i].form != ITEMS || strcmp(links[i].key, key)) continue;
        *item = links[i].what < MAPPING_COUNT ? (MappingId)links[i].what : MAPPING_COUNT;
        return true;
    }
    return false;
}

bool schema_each(MappingId id, const char *key, MappingId *item)
{
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        if (links[i].mapping != id || links[i].form != EACH || strcmp(links[i].key, key)) continue;
        const bool mapping = links[i].what < MAPPING_COUNT && !links[i].or_text;
        *item = mapping ? (MappingId)links[i].what : MAPPING_COUNT;
        return true;
    }
    return false;
}

bool schema_value(MappingId id, const char *key, MappingId *value)
{
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        if (links[i].mapping != id || links[i].form != SELF || strcmp(links[i].key, key)) continue;
        *value = (MappingId)links[i].what;
        return links[i].what < MAPPING_COUNT;
    }
    return false;
}

// ---- references ---------------------------------------------------------------------------------

static const char *name_of(Schema *s, const Definition *d)
{
    static const char *const others[] = {"text", "texts", "value", "call", "row_of_params"};
    const char *name =
        d->what >= MAPPING_COUNT ? others[d->what - MAPPING_COUNT] : mappings[d->what].name;
    char *text =
        str_printf(s->arena, "%s%s%s", d->changed ? "changed_" : "", d->open ? "open_" : "", name);
    for (char *p = text; *p; p++) *p = (char)tolower((unsigned char)*p);
    return text;
}

static void put_ref(Schema *s, const char *key, Definition d)
{
    bool known = false;
    for (uint32_t i = 0; i < s->definitions.n && !known; i++) {
        const Definition *other = &s->definitions.at[i];
        known = other->what == d.what && other->changed == d.changed && other->open == d.open;
    }
    if (!known) vec_push(s->arena, &s->definitions, d);
    json_open(&s->json, key, '{');
    json_str(&s->json, "$ref", str_printf(s->arena, "#/definitions/%s", name_of(s, &d)));
    json_close(&s->json, '}');
}

// "if": it has the key.
static void put_if_has(Schema *s, const char *key)
{
    json_open(&s->json, "if", '{');
    json_str(&s->json, "type", "object");
    json_open(&s->json, "required", '[');
    json_str(&s->json, NULL, key);
    json_close(&s->json, ']');
    json_close(&s->json, '}');
}

static bool in_language(MappingId id, const char *key)
{
    for (int i = 0; i < KEYS; i++)
        if (keys[i].mapping == id && strcmp(keys[i].name, key) == 0) return keys[i].kind != K_LATER;
    return false;
}

// A reference to what, by the rows of openers from number i on; a mapping that a key opens is one
// of two. A change may be of one that is open in the file that is extended.
static void put_opened(Schema *s, const char *key, int what, bool changed, size_t i)
{
    for (; i < sizeof openers / sizeof *openers; i++) {
        if ((int)openers[i].mapping != what) continue;
        const char *with = openers[i].with;
        if (with && !in_language(openers[i].mapping, with)) continue;
        if (!with || changed) {
            put_ref(s, key, (Definition){what, changed, true});
            return;
        }
        json_open(&s->json, key, '{');
        put_if_has(s, with);
        put_ref(s, "then", (Definition){what, false, true});
        put_opened(s, "else", what, false, i + 1);
        json_close(&s->json, '}');
        return;
    }
    put_ref(s, key, (Definition){what, changed, false});
}

static void put_what(Schema *s, const char *key, int what, bool changed)
{
    put_opened(s, key, what, changed, 0);
}

// ---- properties ---------------------------------------------------------------------------------

static void put_types(Schema *s, const char *const *types, bool null)
{
    json_open(&s->json, "type", '[');
    for (; *types; types++) json_str(&s->json, NULL, *types);
    if (null) json_str(&s->json, NULL, "null");
    json_close(&s->json, ']');
}

// A mapping counts as absent where it is null; else null stands for what a change removes.
static void put_kind(Schema *s, KeyKind kind, bool changed)
{
    static const char *const list[] = {"array", NULL}, *const map[] = {"object", NULL},
                             *const scalar[] = {"string", "number", "boolean", NULL},
                             *const expression[] = {"string", "number", "boolean", "array", NULL};
    if (kind == K_LIST) put_types(s, list, changed);
    if (kind == K_MAP) put_types(s, map, true);
    if (kind == K_EXPR) put_types(s, expression, changed);
    if (kind == K_NAME || kind == K_TEXT || kind == K_NUMBER) put_types(s, scalar, changed);
}

// What stands below a key, by its link.
static void put_link(Schema *s, Form form, int what, bool or_text, bool changed)
{
    static const char *const mapping[] = {"object", NULL};
    static const char *const below[] = {
        [SELF] = NULL, [EACH] = "additionalProperties", [ITEMS] = "items"};
    if (below[form]) json_open(&s->json, below[form], '{');
    if (below[form] && !or_text && what != OF_TEXT) put_types(s, mapping, changed);
    json_open(&s->json, "allOf", '[');
    put_what(s, NULL, what, changed);
    json_close(&s->json, ']');
    if (below[form]) json_close(&s->json, '}');
}

static void put_description(Schema *s, int key)
{
    const char *text = str_printf(s->arena, "%s.", keys[key].doc), *def = keys[key].def;
    if (*def) text = str_printf(s->arena, "%s Default: %s.", text, def);
    json_str(&s->json, "description", text);
}

static void put_property(Schema *s, int key, bool changed)
{
    json_open(&s->json, keys[key].name, '{');
    put_description(s, key);
    put_kind(s, keys[key].kind, changed);
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (links[i].mapping == keys[key].mapping && strcmp(links[i].key, keys[key].name) == 0)
            put_link(s, links[i].form, links[i].what, links[i].or_text, changed);
    json_close(&s->json, '}');
}

// `key+`, of a key that may be a list.
static void put_append(Schema *s, int key)
{
    KeyKind kind = keys[key].kind;
    if (kind != K_LIST && kind != K_EXPR && kind != K_ANY) return;
    json_open(&s->json, str_printf(s->arena, "%s+", keys[key].name), '{');
    json_str(
        &s->json, "description",
        str_printf(s->arena, "Appends to the list '%s' of the extended file.", keys[key].name));
    json_str(&s->json, "type", "array");
    json_close(&s->json, '}');
}

// ---- definitions --------------------------------------------------------------------------------

static void put_mapping(Schema *s, const Definition *d)
{
    json_open(&s->json, "properties", '{');
    for (int i = 0; i < KEYS; i++) {
        if ((int)keys[i].mapping != d->what) continue;
        if (keys[i].kind != K_LATER) put_property(s, i, d->changed);
        if (keys[i].kind == K_LATER && d->open) json_bool(&s->json, keys[i].name, false);
        if (d->changed) put_append(s, i);
    }
    json_close(&s->json, '}');
    if (!d->open) json_bool(&s->json, "additionalProperties", false);
    if (d->changed) return;
    json_open(&s->json, "required", '[');
    for (int i = 0; i < KEYS; i++)
        if ((int)keys[i].mapping == d->what && keys[i].required)
            json_str(&s->json, NULL, keys[i].name);
    json_close(&s->json, ']');
}

// {module: m, ..} has the keys of an instance, and those of the module.
static void put_call(Schema *s, const Definition *d)
{
    json_open(&s->json, "properties", '{');
    for (int i = 0; i < KEYS; i++)
        if (keys[i].mapping == MAPPING_INSTANCE && keys[i].kind != K_LATER)
            put_property(s, i, d->changed);
    json_close(&s->json, '}');
    if (d->changed) return;
    json_open(&s->json, "required", '[');
    json_str(&s->json, NULL, "module");
    json_close(&s->json, ']');
}

static void put_value(Schema *s)
{
    put_if_has(s, "repeat");
    put_what(s, "then", MAPPING_REPEAT, false);
    json_open(&s->json, "else", '{');
    put_if_has(s, "module");
    put_what(s, "then", OF_CALL, false);
    json_close(&s->json, '}');
}

static void put_row_of_params(Schema *s)
{
    static const char *const types[] = {"string", "number", "boolean", "object", NULL};
    put_types(s, types, false);
    put_if_has(s, "module");
    put_what(s, "then", OF_CALL, false);
    put_what(s, "else", MAPPING_PARAM, false);
}

static void put_texts(Schema *s, bool changed)
{
    static const char *const texts[] = {"string", "number", "boolean", "array", NULL};
    put_types(s, texts, changed);
    json_open(&s->json, "items", '{');
    put_kind(s, K_TEXT, false);
    json_close(&s->json, '}');
}

static void put_definition(Schema *s, const Definition *d)
{
    json_open(&s->json, name_of(s, d), '{');
    if (d->what < MAPPING_COUNT) put_mapping(s, d);
    if (d->what == OF_CALL) put_call(s, d);
    if (d->what == OF_TEXT) put_kind(s, K_TEXT, d->changed);
    if (d->what == OF_TEXTS) put_texts(s, d->changed);
    // What a change is of, the extended file alone says.
    if (d->what == OF_VALUE && !d->changed) put_value(s);
    if (d->what == OF_ROW && !d->changed) put_row_of_params(s);
    json_close(&s->json, '}');
}

const char *schema_json(Arena *arena, SchemaOf of)
{
    Schema s = {.arena = arena, .json = {.arena = arena}};
    MappingId id = of == SCHEMA_GRAPH ? MAPPING_GRAPH : MAPPING_LIBRARY;
    json_open(&s.json, NULL, '{');
    json_str(&s.json, "$schema", "http://json-schema.org/draft-07/schema#");
    json_str(&s.json, "title", str_printf(arena, "%s of cztc", mappings[id].text));
    json_str(&s.json, "type", "object");
    if (of == SCHEMA_GRAPH) {
        put_if_has(&s, "extends");
        put_what(&s, "then", MAPPING_GRAPH, true);
        put_what(&s, "else", MAPPING_GRAPH, false);
    } else {
        json_open(&s.json, "allOf", '[');
        put_what(&s, NULL, MAPPING_LIBRARY, false);
        json_close(&s.json, ']');
    }
    json_open(&s.json, "definitions", '{');
    for (uint32_t i = 0; i < s.definitions.n; i++) {
        Definition d = s.definitions.at[i]; // the vector may move
        put_definition(&s, &d);
    }
    json_close(&s.json, '}');
    json_close(&s.json, '}');
    return json_text(&s.json);
}
