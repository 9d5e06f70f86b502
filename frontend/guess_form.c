// Guesses of the form of a value: another one that the graph has a name for, a part of it, a map of
// it, and calls and lists with less in them.
#include "frontend/guess.h"
#include "frontend/mend.h"

#include <ctype.h>

const char *source_of(const Elab *el, Loc at)
{
    size_t size;
    const char *s = diag_source_text(el->diag, at.source, &size);
    return s && at.begin <= at.end && at.end <= size ? s : NULL;
}

const char *text_at(const Elab *el, Loc at)
{
    const char *s = source_of(el, at);
    if (!s || at.begin == at.end || strchr("|>", s[at.begin])) return "";
    return str_slice(el->arena, s + at.begin, at.end - at.begin);
}

void guess_wrapped(Elab *el, Loc at, const char *before, const char *after)
{
    const char *text = text_at(el, at), quote = *text;
    size_t n = strlen(text);
    bool scalar = n > 1 && (quote == '"' || quote == '\'') && text[n - 1] == quote;
    if (!n || quote == '{' || strchr(text, '\n')) return;
    if (scalar) text = str_slice(el->arena, text + 1, n - 2);
    guess_word(el, at, quoted(el, at, str_printf(el->arena, "%s%s%s", before, text, after)));
}

void guess_unindexed(Elab *el, Loc at)
{
    const char *text = text_at(el, at);
    size_t n = strlen(text), open = n;
    int depth = 0;
    while (open && (depth || open == n)) {
        depth += (text[open - 1] == ']') - (text[open - 1] == '[');
        if (!depth && text[open - 1] != '[') return; // it ends with no index
        open--;
    }
    if (open) guess_word(el, at, str_slice(el->arena, text, open));
}

// A name of a list.
static void stack_name(Elab *el, Loc at, const char *name, const void *how)
{
    (void)how;
    const Binding *b = el->scope ? scope_find(el->scope, name) : NULL;
    if (!b || !b->forced || b->value.kind != V_LIST) return;
    guess_sure_word(el, at, str_printf(el->arena, "stack(%s)", name));
}

void guess_stacked(Elab *el, Loc at)
{
    const char *text = text_at(el, at);
    int depth = 0;
    for (const char *p = text, *open = text; *p; p++) {
        const bool index = p > text && (word_part(p[-1]) || strchr("])", p[-1]));
        if (*p == '[' && !depth++) open = index ? NULL : p;
        if (*p == '(' && depth) depth++;
        const bool closes = (*p == ']' || *p == ')') && depth && !--depth;
        if (!closes || !open || p - open < 2) continue;
        const uint32_t begin = at.begin + (uint32_t)(open - text);
        const char *list = str_slice(el->arena, open, (size_t)(p + 1 - open));
        guess_sure_word(el, loc_in(at.source, begin, begin + (uint32_t)(p + 1 - open)),
                        str_printf(el->arena, "stack(%s)", list));
    }
    guess_each_name(el, at, stack_name, NULL);
}

void guess_products(Elab *el, Loc at)
{
    const char *text = text_at(el, at), *sign = NULL;
    int depth = 0;
    for (const char *p = text; *p; p++) {
        depth += !!strchr("([", *p) - !!strchr(")]", *p);
        if (*p == '@' && !depth) sign = p;
    }
    if (!sign || strpbrk(text, "\"'\n")) return;
    const char *a = text, *b = sign + 1;
    while (*b == ' ') b++;
    int n = (int)(sign - a);
    while (n && a[n - 1] == ' ') n--;
    guess_word(el, at, quoted(el, at, str_printf(el->arena, "sum(%.*s * %s, axis=-1)", n, a, b)));
    guess_word(el, at, str_printf(el->arena, "%.*s @ transpose(%s)", n, a, b));
    guess_word(el, at, str_printf(el->arena, "%.*s @ transpose(batch_gather(%s))", n, a, b));
    guess_word(el, at, str_printf(el->arena, "transpose(%.*s) @ %s", n, a, b));
}

// ---- what has a name --------------------------------------------------------------------------

// The type of what has a name, where that is known.
static const Type *type_of(const Elab *el, const Binding *b)
{
    if (!b || !b->forced) return NULL;
    if (b->value.kind == V_FIELD) return b->value.field->type;
    const bool tensor = b->value.kind == V_TENSOR && b->value.build == el->build;
    return tensor ? graph_type(el->graph, b->value.node) : NULL;
}

// Can it be a tensor, of a type that is as wanted where that is known?
static bool is_tensor(const Elab *el, const Binding *b, const Wanted *w)
{
    const Type *t = type_of(el, b);
    const Tree *constants = tree_get(el->root, "let");
    if (!t && b->forced) return b->value.kind == V_INSTANCE || b->value.kind == V_APP;
    if (!t)
        return b->kind == BIND_PARAM ||
               (b->kind == BIND_TREE && !(constants && tree_get(constants, b->name)));
    if (!t || !w) return t != NULL;
    if (!t->rank || (w->wanted && t->rank != w->wanted)) return false;
    if (w->dtype != DT_NONE && w->dtype != t->dtype) return false;
    const Axis *axis = w->wanted ? &t->axes[w->axis < 0 ? 0 : w->axis] : &t->axes[t->rank - 1];
    return w->axis < 0 || !w->other || axis->size == w->other;
}

// The brackets on its line that a place stands in; the line where there are none.
static Loc around(const Elab *el, Loc at)
{
    const char *s = source_of(el, at);
    int depth = 0;
    for (; at.begin && s[at.begin - 1] != '\n' && depth < 1; at.begin--)
        depth += !!strchr("{([", s[at.begin - 1]) - !!strchr("])}", s[at.begin - 1]);
    depth = 0;
    for (; s[at.end] && s[at.end] != '\n' && depth < 1; at.end++)
        depth += !!strchr("])}", s[at.end]) - !!strchr("{([", s[at.end]);
    return at;
}

// Is the name, or a part of it, read beside a place? Not where it is a key.
static bool read_beside(const Elab *el, Loc at, const char *name)
{
    const size_t n = strlen(name);
    const char *s = source_of(el, at);
    const Loc all = around(el, at);
    for (uint32_t i = all.begin; i + n < all.end; i++) {
        bool begins = !i || !(word_part(s[i - 1]) || s[i - 1] == '.');
        if (!begins || strncmp(s + i, name, n) || (i >= at.begin && i < at.end)) continue;
        if (i >= 8 && !strncmp(s + i - 8, "module: ", 8)) continue;
        if (!word_part(s[i + n]) && s[i + n] != ':' && s[i + n] != '=') return true;
    }
    return false;
}

static void tensors_for(Elab *el, Loc at, const Wanted *w, const char *but)
{
    const Map *names = &el->scope->names;
    const Type *old = type_of(el, map_get(names, but));
    for (uint32_t i = 0; i < names->n; i++) {
        const Binding *b = names->at[i].value;
        const Type *t = type_of(el, b);
        if (old && t && dtype_is_float(old->dtype) && !dtype_is_float(t->dtype)) continue;
        if (!strcmp(b->name, but) || strchr(b->name, '.') || name_reserved(b->name)) continue;
        if (is_tensor(el, b, w) && !read_beside(el, at, b->name))
            (w && w->dtype != DT_NONE ? guess_sure : guess_add)(
                el, at, quoted(el, at, b->name),
                str_printf(el->arena, "%s in place of %s", b->name, but));
    }
}

void guess_tensors(Elab *el, Loc at)
{
    if (el->scope) tensors_for(el, at, NULL, text_at(el, at));
}

static void without_index(Elab *el, Loc at, const char *name, const void *how)
{
    (void)how;
    const char *s = source_of(el, at);
    const uint32_t end = s[at.end] == '[' ? bracket_end(s, at.end) : 0;
    const Loc whole = loc_in(at.source, at.begin, end);
    if (end) guess_exchanged(el, whole, name, text_at(el, whole));
}

static void instead(Elab *el, Loc at, const char *name, const void *how)
{
    const char *of = how;
    size_t n = strlen(of);
    if (!strncmp(name, of, n) && (!name[n] || name[n] == '.')) tensors_for(el, at, NULL, of);
}

void guess_whole(Elab *el, Loc at)
{
    guess_each_name(el, at, without_index, NULL);
}

void guess_instead(Elab *el, Loc at, const char *name)
{
    if (el->scope) guess_each_name(el, at, instead, name);
}

void guess_views(Elab *el, Loc at)
{
    const Tree *views = data_section(el, "views");
    for (uint32_t i = 0; views && views->kind == TREE_MAP && i < views->entries.n; i++) {
        const char *name = views->entries.at[i].key->text;
        const char *text = str_printf(el->arena, "normalize(views.%s, norm.clip)", name);
        guess_word(el, at, quoted(el, at, text));
        guess_word(el, at, quoted(el, at, str_printf(el->arena, "unit(views.%s)", name)));
    }
}

static void fit_name(Elab *el, Loc at, const char *name, const void *how)
{
    const Wanted *w = how;
    tensors_for(el, at, w, name);
    if (w->axis < 1 || w->size < 1 || w->other < 1) return;
    if (w->size > w->other) { // the first of what there is
        const char *text = str_printf(el->arena, "%s[:", name);
        for (int64_t i = 1; i < w->axis; i++) text = str_printf(el->arena, "%s, :", text);
        text = str_printf(el->arena, "%s, :%lld]", text, (long long)w->other);
        guess_word(el, at, quoted(el, at, text));
    }
    if (w->axis + 1 != w->rank) return;
    const char *map = str_printf(el->arena, "linear(%s, width=%lld, out=%lld)", name,
                                 (long long)w->size, (long long)w->other);
    guess_word(el, at, quoted(el, at, map));
}

void guess_fitting(Elab *el, Loc at, Wanted w)
{
    const uint32_t graph = el->root->loc.source;
    if (!el->scope) return;
    if (at.source == graph) guess_each_name(el, at, fit_name, &w);
    for (const Frame *f = el->frame; f; f = f->parent)
        if (f->call.source == graph) guess_each_name(el, f->call, fit_name, &w);
    if (at.source != graph) guess_each_name(el, at, fit_name, &w);
}

void guess_last_part(Elab *el, Loc at, const Map *names)
{
    const char *text = text_at(el, at), *dot = strrchr(text, '.');
    for (uint32_t i = 0; *text && i < names->n; i++) {
        guess_sure_word(el, at,
                        str_printf(el->arena, "%.*s%s", dot ? (int)(dot - text) + 1 : 0, text,
                                   names->at[i].key));
    }
}

typedef struct Members {
    Map names;
} Members;

static void members_of(Elab *el, Loc at, const char *name, const void *how)
{
    const Members *m = how;
    for (uint32_t i = 0; i < m->names.n; i++)
        guess_word(el, at, str_printf(el->arena, "%s.%s", name, m->names.at[i].key));
}

void guess_members(Elab *el, Loc at, Value record)
{
    Members m = {0};
    if (record.kind == V_STATS) m.names = stats_results(el, record.stats);
    if (record.kind == V_RECORD) m.names = *record.record;
    guess_each_name(el, at, members_of, &m);
}

void guess_tensor_of(Elab *el, Loc at, Value v)
{
    guess_members(el, at, v);
    if (v.kind == V_LIST) guess_wrapped(el, at, "stack(", ")");
    if (v.kind != V_STR) return;
    if (scope_find(el->scope, v.s))
        guess_sure_word(el, at, v.s);
    else
        guess_tensors(el, at);
}

// ---- less -------------------------------------------------------------------------------------

void guess_less(Elab *el, Loc at)
{
    const char *s = source_of(el, at);
    if (!s || at.begin == at.end) return;
    uint32_t begin = at.begin, end = at.end;
    if (begin && s[begin - 1] == '=') { // bias=x
        begin--;
        while (begin && word_part(s[begin - 1])) begin--;
    }
    const uint32_t first = begin, last = end;
    while (begin && (s[begin - 1] == ' ' || s[begin - 1] == '\n')) begin--;
    if (begin && s[begin - 1] == ',') {
        begin--;
    } else { // the first one: the comma behind it goes too
        begin = first;
        end += (uint32_t)strspn(s + end, " ");
        if (s[end] != ',') return;
        end += 1 + (uint32_t)strspn(s + end + 1, " ");
    }
    const char *said = str_printf(el->arena, "'%.*s'", (int)(last - first), s + first);
    guess_sure(el, loc_in(at.source, begin, end), "", said);
}

void guess_axes(Elab *el, Loc at, const Type *t)
{
    uint32_t plain = 0;
    for (uint32_t i = 0; i < t->rank; i++) plain += !t->axes[i].per;
    for (uint32_t i = 0; i < t->rank; i++) {
        if (t->axes[i].per) continue;
        const char *number = str_printf(el->arena, "%u", i), *text = text_at(el, at);
        const char *said = str_printf(el->arena, "%s in place of %s", number, text);
        (plain == 1 ? guess_sure : guess_add)(el, at, number, said);
    }
}

void guess_without_key(Elab *el, const Tree *map, const char *key)
{
    for (uint32_t i = 0; map->entries.n == 1 && i < el->root->entries.n; i++) {
        if (el->root->entries.at[i].value != map) continue;
        key = el->root->entries.at[i].key->text;
        map = el->root;
    }
    for (uint32_t i = 0; i < map->entries.n; i++)
        if (!strcmp(map->entries.at[i].key->text, key))
            guess_sure(el, entry_place(el, map, i), "", str_printf(el->arena, "'%s'", key));
}

void guess_shorter(Elab *el, Loc at, uint32_t n)
{
    const char *text = text_at(el, at), *end = text + 1;
    int depth = 0;
    uint32_t items = 0;
    if (*text != '[') return;
    for (; *end && (depth || *end != ']'); end++) {
        depth += (*end == '[' || *end == '(') - (*end == ']' || *end == ')');
        if (*end == ',' && !depth && ++items == (n ? n : 1)) break;
    }
    const char *first = str_slice(el->arena, text + 1, (size_t)(end - text - 1));
    guess_word(el, at, n ? str_printf(el->arena, "[%s]", first) : first);
}

void guess_renamed(Elab *el, Loc at, const char *name)
{
    const char *s = source_of(el, at), *value = text_at(el, at);
    const char *text = str_printf(el->arena, "%s=%s", name, value);
    if (!*value) return;
    if (at.begin && s[at.begin - 1] == '=') {
        at.begin--;
        while (at.begin && word_part(s[at.begin - 1])) at.begin--;
    }
    guess_word(el, at, text);
}

void guess_slice(Elab *el, Loc at, int64_t end, int64_t other)
{
    const char *text = text_at(el, at);
    const char *old = str_printf(el->arena, ":%lld", (long long)end), *found = strstr(text, old);
    size_t n = strlen(old);
    if (!found || isdigit((unsigned char)found[n])) return;
    const char *more = str_printf(el->arena, "%.*s:%lld%s", (int)(found - text), text,
                                  (long long)other, found + n);
    guess_word(el, at, more);
}
