// Scalars have the types of YAML 1.2's core schema, as an editor sees them.
#include "json_schema.h"

#include <stdlib.h>
#include <string.h>

typedef struct Check {
    Arena *arena;
    const json_t *root;
    const char *why; // the first refusal
    uint32_t depth;
} Check;

static bool allows(Check *c, const json_t *schema, const Tree *t, const char *path);

static bool refuse(Check *c, const char *path, const char *keyword, const char *what)
{
    if (!c->why) c->why = str_printf(c->arena, "%s: %s %s", path, keyword, what);
    return false;
}

static const char *join(Check *c, const char *path, const char *name)
{
    return *path ? str_printf(c->arena, "%s.%s", path, name) : name;
}

static const char *type_of(const Tree *t)
{
    static const char *const kinds[] = {
        [TREE_NULL] = "null", [TREE_LIST] = "array", [TREE_MAP] = "object"};
    if (t->kind != TREE_SCALAR) return kinds[t->kind];
    if (t->quoted || !*t->text) return "string";
    if (strcmp(t->text, "true") == 0 || strcmp(t->text, "false") == 0) return "boolean";
    char *end;
    strtod(t->text, &end);
    return *end ? "string" : "number";
}

// ---- keywords -----------------------------------------------------------------------------------

static bool check_type(Check *c, const json_t *types, const Tree *t, const char *path)
{
    const char *type = type_of(t);
    if (json_is_string(types) && strcmp(json_string_value(types), type) == 0) return true;
    for (size_t i = 0; i < json_array_size(types); i++)
        if (strcmp(json_string_value(json_array_get(types, i)), type) == 0) return true;
    return refuse(c, path, "type", type);
}

static bool check_required(Check *c, const json_t *names, const Tree *t, const char *path)
{
    for (size_t i = 0; t->kind == TREE_MAP && i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (!tree_get(t, name)) return refuse(c, path, "required", name);
    }
    return true;
}

static bool check_keys(Check *c, const json_t *schema, const Tree *t, const char *path)
{
    const json_t *properties = json_object_get(schema, "properties"),
                 *others = json_object_get(schema, "additionalProperties");
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        const json_t *known = json_object_get(properties, e->key->text);
        if (!known) known = others;
        if (json_is_false(known)) return refuse(c, path, "additionalProperties", e->key->text);
        if (known && !allows(c, known, e->value, join(c, path, e->key->text))) return false;
    }
    return true;
}

static bool check_items(Check *c, const json_t *schema, const Tree *t, const char *path)
{
    for (uint32_t i = 0; t->kind == TREE_LIST && i < t->items.n; i++)
        if (!allows(c, schema, t->items.at[i], str_printf(c->arena, "%s[%u]", path, i)))
            return false;
    return true;
}

static bool check_condition(Check *c, const json_t *schema, const Tree *t, const char *path)
{
    const char *before = c->why;
    bool yes = allows(c, json_object_get(schema, "if"), t, path);
    c->why = before;
    const json_t *then = json_object_get(schema, yes ? "then" : "else");
    return !then || allows(c, then, t, path);
}

static bool check_ref(Check *c, const json_t *ref, const Tree *t, const char *path)
{
    static const char prefix[] = "#/definitions/";
    const char *name = json_string_value(ref);
    const json_t *to =
        strncmp(name, prefix, strlen(prefix)) != 0
            ? NULL
            : json_object_get(json_object_get(c->root, "definitions"), name + strlen(prefix));
    return to ? allows(c, to, t, path) : refuse(c, path, "no definition", name);
}

static bool check_keyword(Check *c, const json_t *schema, const char *key, const json_t *value,
                          const Tree *t, const char *path)
{
    static const char *const others[] = {"$schema",    "title", "description", "definitions",
                                         "properties", "then",  "else",        NULL};
    if (strcmp(key, "$ref") == 0) return check_ref(c, value, t, path);
    if (strcmp(key, "type") == 0) return check_type(c, value, t, path);
    if (strcmp(key, "required") == 0) return check_required(c, value, t, path);
    if (strcmp(key, "items") == 0) return check_items(c, value, t, path);
    if (strcmp(key, "additionalProperties") == 0) return true; // check_keys
    if (strcmp(key, "if") == 0) return check_condition(c, schema, t, path);
    if (strcmp(key, "allOf") == 0) {
        for (size_t i = 0; i < json_array_size(value); i++)
            if (!allows(c, json_array_get(value, i), t, path)) return false;
        return true;
    }
    for (const char *const *o = others; *o; o++)
        if (strcmp(*o, key) == 0) return true;
    return refuse(c, path, "unknown keyword", key);
}

static bool allows(Check *c, const json_t *schema, const Tree *t, const char *path)
{
    if (json_is_boolean(schema)) return json_is_true(schema) || refuse(c, path, "never", "");
    if (c->depth++ > 1000) return refuse(c, path, "endless", "");
    bool ok = json_is_object(schema);
    for (void *i = json_object_iter((json_t *)schema); ok && i;
         i = json_object_iter_next((json_t *)schema, i))
        ok = check_keyword(c, schema, json_object_iter_key(i), json_object_iter_value(i), t, path);
    ok = ok && check_keys(c, schema, t, path);
    c->depth--;
    return ok || refuse(c, path, "no schema", "");
}

const char *schema_refuses(Arena *arena, const json_t *schema, const Tree *file)
{
    Check c = {.arena = arena, .root = schema};
    return allows(&c, schema, file, "") ? NULL : c.why;
}
