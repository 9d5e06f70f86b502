#include "cli/template.h"

#include "base/diag.h"
#include "runner/assets.h"

#include <ctype.h>

typedef struct Filling {
    Arena *arena;
    VEC(char) out;
    const Parts *parts;
    Map once; // lines of @set
} Filling;

const char *template_text(Arena *arena, const char *name)
{
    for (const Asset *a = assets; a->name; a++)
        if (strcmp(a->name, name) == 0)
            return str_slice(arena, (const char *)a->data, asset_size(a));
    return NULL;
}

// The line at *at, which moves behind it; NULL at the end.
static const char *next_line(Arena *arena, const char **at)
{
    if (!**at) return NULL;
    size_t n = strcspn(*at, "\n");
    const char *line = str_slice(arena, *at, n);
    *at += n + ((*at)[n] == '\n');
    return line;
}

static void put(Filling *f, const char *text)
{
    for (; *text; text++) vec_push(f->arena, &f->out, *text);
}

// A comment behind values that are longer or shorter than their names goes to its column.
static const char *align_comment(Arena *arena, const char *line)
{
    enum { COLUMN = 33 };
    const char *comment = strstr(line, " # ");
    size_t n = comment ? (size_t)(comment - line) : 0;
    while (n && line[n - 1] == ' ') n--;
    if (!n) return line;
    int room = n + 2 > COLUMN ? (int)n + 2 : COLUMN;
    return str_printf(arena, "%-*.*s%s", room, (int)n, line, comment + 1);
}

// A line with its values.
static const char *fill_line(Filling *f, const char *line, const Map *values)
{
    const char *text = "", *open;
    while ((open = strstr(line, "{{"))) {
        const char *close = strstr(open, "}}");
        if (!close) bug("a template has {{ without }}");
        const char *name = str_slice(f->arena, open + 2, (size_t)(close - open) - 2);
        const char *value = map_get(values, name);
        if (!value) bug("a template has {{%s}}, which has no value", name);
        text = str_printf(f->arena, "%s%.*s%s", text, (int)(open - line), line, value);
        line = close + 2;
    }
    if (!*text) return line;
    return align_comment(f->arena, str_printf(f->arena, "%s%s", text, line));
}

// The lines of a part's section, below its line "@KEY"; NULL where it has none.
static const char *section(Arena *arena, const Part *part, const char *key)
{
    const char *at = part->text, *line;
    if (part->leave && strcmp(part->leave, key) == 0) return NULL;
    while ((line = next_line(arena, &at)))
        if (*line == '@' && strcmp(line + 1, key) == 0) return at;
    return NULL;
}

static void put_section(Filling *f, const Part *part, const char *at, bool once)
{
    const char *line;
    while ((line = next_line(f->arena, &at)) && *line != '@') {
        line = fill_line(f, line, &part->values);
        if (once && !map_set(f->arena, &f->once, line, f)) continue;
        put(f, line);
        put(f, "\n");
    }
}

static void put_sections(Filling *f, const char *key, bool once)
{
    for (uint32_t i = 0; i < f->parts->n; i++) {
        const char *at = section(f->arena, &f->parts->at[i], key);
        if (at) put_section(f, &f->parts->at[i], at, once);
    }
}

static bool any_section(Filling *f, const char *key)
{
    for (uint32_t i = 0; i < f->parts->n; i++)
        if (section(f->arena, &f->parts->at[i], key)) return true;
    return false;
}

const char *template_fill(Arena *arena, const char *text, const Map *values, const Parts *parts)
{
    static const char set[] = "@set ", each[] = "@each ", under[] = "@under ";
    Filling f = {.arena = arena, .parts = parts};
    const char *line;
    while ((line = next_line(arena, &text))) {
        if (strncmp(line, set, strlen(set)) == 0) {
            put_sections(&f, line + strlen(set), true);
        } else if (strncmp(line, each, strlen(each)) == 0) {
            put_sections(&f, line + strlen(each), false);
        } else if (strncmp(line, under, strlen(under)) == 0) {
            const char *key = line + strlen(under);
            if (!any_section(&f, key)) continue;
            put(&f, str_printf(arena, "\n%s:\n", key));
            put_sections(&f, key, false);
        } else {
            put(&f, fill_line(&f, line, values));
            put(&f, "\n");
        }
    }
    vec_push(arena, &f.out, '\0');
    return f.out.at;
}

static bool is_plain(const char *text)
{
    if (!*text || *text == '-' || *text == '_') return false;
    while (isalnum((unsigned char)*text) || (*text && strchr("._-/", *text))) text++;
    return !*text;
}

const char *yaml_text(Arena *arena, const char *text)
{
    const char *out = "\"";
    if (is_plain(text)) return text;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 32)
            out = str_printf(arena, "%s\\x%02x", out, c);
        else
            out = str_printf(arena, "%s%s%c", out, c == '"' || c == '\\' ? "\\" : "", c);
    }
    return str_printf(arena, "%s\"", out);
}

WordRows template_rows(Arena *arena, const char *text)
{
    WordRows rows = {0};
    const char *line;
    while ((line = next_line(arena, &text))) {
        Words words = {0};
        if (*line == '#') continue;
        for (const char *p = line; *(p += strspn(p, " "));) {
            size_t n = strcspn(p, " ");
            vec_push(arena, &words, str_slice(arena, p, n));
            p += n;
        }
        if (words.n) vec_push(arena, &rows, words);
    }
    return rows;
}
