// A file that begins with '{' is JSON; any other is lines.
#include "runner/classes.h"

#include "base/file.h"
#include "base/vec.h"

#include <jansson.h>

typedef VEC(const char *) List;

// The non-empty strings of a JSON list; false where it is there and holds anything else.
static bool add_strings(Arena *arena, const json_t *list, List *to)
{
    bool ok = !list || json_is_array(list);
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        const char *s = json_string_value(json_array_get(list, i));
        ok = s && *s;
        if (ok) vec_push(arena, to, str_copy(arena, s));
    }
    return ok;
}

static bool read_json(Arena *arena, const char *file, const FileMap *map, List *names,
                      List *templates, Error *err)
{
    json_error_t where;
    json_t *json = json_loadb((const char *)map->data, map->size, 0, &where);
    if (!json) return error_set(err, "%s:%d: %s", file, where.line, where.text);
    bool ok = (!names || add_strings(arena, json_object_get(json, "classes"), names)) &&
              add_strings(arena, json_object_get(json, "templates"), templates);
    json_decref(json);
    return ok || error_set(err, "%s: 'classes' and 'templates' are lists of texts", file);
}

// Lines without the blanks around them; empty ones are passed over.
static bool read_lines(Arena *arena, const char *file, const FileMap *map, List *to, Error *err)
{
    const char *text = (const char *)map->data;
    for (size_t at = 0; at < map->size;) {
        size_t end = at, next;
        while (end < map->size && text[end] != '\n') end++;
        next = end + 1;
        while (at < end && strchr(" \t\r", text[at])) at++;
        while (end > at && strchr(" \t\r", text[end - 1])) end--;
        if (memchr(text + at, 0, end - at)) return error_set(err, "%s: not a text", file);
        if (end > at) vec_push(arena, to, str_slice(arena, text + at, end - at));
        at = next;
    }
    return true;
}

// names is NULL where only templates are wanted.
static bool read_file(Arena *arena, const char *file, List *names, List *templates, Error *err)
{
    FileMap map;
    size_t i = 0;
    if (!file_map(&map, file, err)) return false;
    while (i < map.size && strchr(" \t\r\n", map.data[i])) i++;
    bool json = i < map.size && map.data[i] == '{';
    bool ok = json ? read_json(arena, file, &map, names, templates, err)
                   : read_lines(arena, file, &map, names ? names : templates, err);
    file_unmap(&map);
    return ok;
}

bool classes_read(Arena *arena, const char *file, const char *prompts, Classes *out, Error *err)
{
    List names = {0}, templates = {0}, own = {0};
    if (!read_file(arena, file, &names, &templates, err)) return false;
    if (!names.n)
        return error_set(err, "%s: no class names: {\"classes\": [..]} or a name a line is wanted",
                         file);
    if (prompts) {
        if (!read_file(arena, prompts, NULL, &own, err)) return false;
        if (!own.n)
            return error_set(err, "%s: no templates: {\"templates\": [..]} or one a line is wanted",
                             prompts);
        templates.at = own.at, templates.n = own.n;
    }
    if (!templates.n) vec_push(arena, &templates, "a photo of a {}.");
    for (uint32_t i = 0; i < templates.n; i++)
        if (!strstr(templates.at[i], "{}"))
            return error_set(err, "%s: template '%s' has no {} for the class",
                             prompts ? prompts : file, templates.at[i]);
    *out = (Classes){names.at, templates.at, names.n, templates.n};
    return true;
}
