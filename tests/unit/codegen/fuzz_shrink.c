// A failing program is made smaller line by line, from its end: results are left out, and values
// become inputs, as long as it fails so; what nothing reads any more goes with them.
#include "fuzz.h"

#include <string.h>

typedef VEC(const char *) Lines;

static Lines split(Arena *arena, const char *text)
{
    Lines lines = {0};
    for (const char *end; (end = strchr(text, '\n')); text = end + 1)
        vec_push(arena, &lines, str_slice(arena, text, (size_t)(end - text)));
    return lines;
}

static const char *joined(Arena *arena, const Lines *lines)
{
    VEC(char) out = {0};
    for (uint32_t i = 0; i < lines->n; i++) {
        for (const char *s = lines->at[i]; s && *s; s++) vec_push(arena, &out, *s);
        if (lines->at[i]) vec_push(arena, &out, '\n');
    }
    vec_push(arena, &out, 0);
    return out.at;
}

// "  %12 = add %3, %4 : f32[2]" as an input of that type; NULL where that makes no sense.
static const char *as_input(Arena *arena, const char *line)
{
    const char *equals = strstr(line, " = "), *type = strstr(line, " : ");
    if (!equals || !type || type[3] == '(' || strstr(line, "= input") || strstr(line, "= state"))
        return NULL;
    while (strstr(type + 1, " : ")) type = strstr(type + 1, " : ");
    int digits = (int)strcspn(line + 3, " ");
    return str_printf(arena, "  %%%.*s = input {name=\"s%.*s\"}%s", digits, line + 3, digits,
                      line + 3, type);
}

static bool is_used(const Lines *lines, uint32_t of)
{
    size_t n = strcspn(lines->at[of] + 2, " ");
    for (uint32_t i = of + 1; i < lines->n; i++)
        for (const char *s = lines->at[i]; s && (s = strstr(s, "%")); s++)
            if (!strncmp(s, lines->at[of] + 2, n) && strchr(", \n", s[n])) return true;
    return false;
}

static void drop_unused(Lines *lines)
{
    for (uint32_t i = lines->n; i-- > 0;)
        if (lines->at[i] && !strncmp(lines->at[i], "  %", 3) && !is_used(lines, i))
            lines->at[i] = NULL;
}

const char *fuzz_shrink(Arena *arena, const char *text, bool (*fails)(void *ctx, const char *text),
                        void *ctx)
{
    Lines lines = split(arena, text);
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = lines.n; i-- > 0;) {
            const char *line = lines.at[i];
            if (!line) continue;
            bool result = !strncmp(line, "  output", 8) || !strncmp(line, "  update", 8) ||
                          !strncmp(line, "state", 5);
            const char *other = result ? NULL : as_input(arena, line);
            if (!result && !other) continue;
            Lines tried = {0};
            for (uint32_t j = 0; j < lines.n; j++)
                vec_push(arena, &tried, j == i ? other : lines.at[j]);
            drop_unused(&tried);
            const char *shorter = joined(arena, &tried);
            if (!fails(ctx, shorter)) continue;
            lines = tried;
            again = true;
        }
    }
    return joined(arena, &lines);
}
