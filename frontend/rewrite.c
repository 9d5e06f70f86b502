// Choices of what to write instead in a mapping or a list. A choice is made of a tree's place; a
// place that is not the user's, or that is wholly something else, makes none.
#include "frontend/rewrite.h"
#include "frontend/mend.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static const Choice no_choice = {.text = NULL};

static const char *users_text(Elab *el, Loc at)
{
    return is_users(el, at) ? source_of(el, at) : NULL;
}

// The length of the verb that two choices begin with, and of the key behind it: said once.
static size_t shared_verb(const char *a, const char *b)
{
    static const char *const verbs[] = {"write ", "leave out "};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        const size_t n = strlen(verbs[i]);
        const size_t key = n + strcspn(a + n, " (\"{") + 1;
        if (strncmp(a, verbs[i], n) || strncmp(b, verbs[i], n)) continue;
        return a[key - 2] == ':' && !strncmp(a, b, key) ? key : n;
    }
    return 0;
}

void suggest_choices(Elab *el, Choice a, Choice b)
{
    if (!a.text) a = b, b.text = NULL;
    if (!a.text) return;
    if (b.text)
        diag_help(el->diag, "%s, or %s", a.said, b.said + shared_verb(a.said, b.said));
    else
        diag_help(el->diag, "%s", a.said);
    diag_mend(el->diag, a.at, a.text);
    if (b.text) diag_mend(el->diag, b.at, b.text);
}

bool has_lone_guess(const Elab *el)
{
    const uint32_t error = diag_last_error(el->diag);
    uint32_t n, mends = 0, guesses = 0;
    const Mend *m = diag_mends(el->diag, &n);
    for (uint32_t i = 0; i < n; i++) {
        mends += m[i].error == error;
        guesses += m[i].error == error && m[i].guess;
    }
    return error && mends == 1 && guesses == 1;
}

// ---- entries ----------------------------------------------------------------------------------

static bool in_flow(const char *s, const Tree *t)
{
    return s[t->loc.begin] == '{' || s[t->loc.begin] == '[';
}

Loc entry_span(Elab *el, const Tree *map, const char *key)
{
    const char *s = users_text(el, map->loc);
    uint32_t i = 0, n = map->entries.n;
    while (i < n && strcmp(map->entries.at[i].key->text, key)) i++;
    if (!s || i == n || (n == 1 && !in_flow(s, map))) return (Loc){0};
    return entry_place(el, map, i);
}

Choice without_key(Elab *el, const Tree *map, const char *key)
{
    const Loc at = entry_span(el, map, key);
    if (!at.source) return no_choice;
    return (Choice){at, "", str_printf(el->arena, "leave out '%s'", key)};
}

Choice with_entry(Elab *el, const Tree *map, const char *key, const char *value)
{
    const char *text;
    const Loc at = entry_added(el, map, key, value, &text);
    if (!at.source) return no_choice;
    return (Choice){at, text, str_printf(el->arena, "write %s: %s", key, value)};
}

Choice as_list(Elab *el, const Tree *map)
{
    const char *s = users_text(el, map->loc), *text = "- ";
    if (!s || map->kind != TREE_MAP || in_flow(s, map)) return no_choice;
    uint32_t line = map->loc.begin;
    while (line && s[line - 1] == ' ') line--;
    if (line && s[line - 1] != '\n') return no_choice;
    Loc at = map->loc;
    at.end = entry_place(el, map, map->entries.n - 1).end;
    for (uint32_t i = at.begin, n; i < at.end; i += n) {
        const char *end = memchr(s + i, '\n', at.end - i);
        n = end ? (uint32_t)(end - (s + i)) + 1 : at.end - i;
        text = str_printf(el->arena, "%s%s%.*s", text,
                          i == at.begin || *(s + i) == '\n' ? "" : "  ", (int)n, s + i);
    }
    return (Choice){at, text, "write '- ' before its first key, and the others under that"};
}

Choice with_setting(Elab *el, Loc at, const char *key, const char *value)
{
    const char *s = users_text(el, at);
    if (!s || at.begin >= at.end) return no_choice;
    uint32_t end = at.end;
    if (s[at.begin] == '{') {
        const char *text = str_printf(el->arena, "%s: %s, ", key, value);
        const char *said = str_printf(el->arena, "write %s: %s", key, value);
        return (Choice){loc_in(at.source, at.begin + 1, at.begin + 1), text, said};
    }
    if (end > at.begin && (s[end - 1] == '"' || s[end - 1] == '\'')) end--;
    if (s[end - 1] != ')') return no_choice;
    const char *text = str_printf(el->arena, "%s=%s", key, value);
    return (Choice){loc_in(at.source, end - 1, end - 1), str_printf(el->arena, ", %s", text),
                    str_printf(el->arena, "write %s before the closing bracket", text)};
}

// ---- items and values -------------------------------------------------------------------------

const char *written(Elab *el, const Tree *t)
{
    const char *s = users_text(el, t->loc);
    if (!s || t->kind == TREE_NULL || (t->kind != TREE_SCALAR && !in_flow(s, t))) return "";
    if (t->kind == TREE_SCALAR && strchr("|>", s[t->loc.begin])) return ""; // a text in lines
    return str_slice(el->arena, s + t->loc.begin, t->loc.end - t->loc.begin);
}

Choice instead(Elab *el, const Tree *t, const char *text)
{
    if (!text || !*written(el, t) || !strcmp(written(el, t), text)) return no_choice;
    return (Choice){t->loc, text, str_printf(el->arena, "write %s", text)};
}

void suggest_item(Elab *el, const Tree *list)
{
    const uint32_t n = list->kind == TREE_LIST ? list->items.n : 0;
    const char *first = n ? written(el, list->items.at[0]) : "",
               *last = n ? written(el, list->items.at[n - 1]) : "";
    if (!*first || !*last) return;
    suggest_choices(el, instead(el, list, first),
                    strcmp(first, last) ? instead(el, list, last) : no_choice);
}

void suggest_word(Elab *el, const Tree *t, const char *a, const char *b)
{
    if (!*written(el, t)) return;
    suggest_choices(el, instead(el, t, quoted(el, t->loc, a)),
                    b ? instead(el, t, quoted(el, t->loc, b)) : no_choice);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *near_file(Elab *el, const char *path)
{
    const char *folder = folder_of(el, path), *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    DIR *d = access(path, F_OK) == 0 ? NULL : opendir(*folder ? folder : slash ? "/" : ".");
    VEC(const char *) there = {0};
    Map names = {0};
    if (!d) return NULL;
    for (struct dirent *e; (e = readdir(d));)
        if (*e->d_name != '.') vec_push(el->arena, &there, str_copy(el->arena, e->d_name));
    closedir(d);
    if (there.n) qsort(there.at, there.n, sizeof *there.at, by_name);
    for (uint32_t i = 0; i < there.n; i++) map_set(el->arena, &names, there.at[i], NULL);
    return nearest_key(&names, name, NULL);
}

bool suggest_file(Elab *el, const char *path)
{
    const char *slash = strrchr(path, '/'), *best = near_file(el, path);
    if (best) diag_did_you_mean(el->diag, slash ? slash + 1 : path, best);
    return best != NULL;
}
