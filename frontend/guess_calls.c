// Guesses about calls: one that calls what it is in, and two that need names of their own.
#include "frontend/advice.h"
#include "frontend/guess.h"
#include "frontend/mend.h"

#include <ctype.h>

// A call as it is written: name(arguments).
typedef struct Written {
    Loc at;
    const char *name;
    VEC(const char *) args;
} Written;

static const char *trimmed(Arena *arena, const char *s, size_t n)
{
    while (n && (*s == ' ' || *s == '\n')) s++, n--;
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\n')) n--;
    return str_slice(arena, s, n);
}

// False where the place is not one call, or holds strings.
static bool read_call(Elab *el, Loc at, Written *call)
{
    const char *text = text_at(el, at);
    if (!*text || !is_users(el, at)) return false;
    const char *open = strchr(text, '('), *end = text + strlen(text) - 1;
    if (!open || *end != ')' || strpbrk(text, "\"'")) return false;
    *call = (Written){.at = at, .name = trimmed(el->arena, text, (size_t)(open - text))};
    int depth = 0;
    for (const char *p = open + 1, *arg = p; p <= end; p++) {
        depth += (strchr("([{", *p) != NULL) - (strchr(")]}", *p) != NULL);
        if (depth < 0 && p != end) return false; // f(x) + g(y)
        if (depth > 0 || (depth == 0 && *p != ',')) continue;
        vec_push(el->arena, &call->args, trimmed(el->arena, arg, (size_t)(p - arg)));
        arg = p + 1;
    }
    return *call->args.at[0] != 0;
}

static bool is_number(const char *text)
{
    return *text && is_number_text(text);
}

// What a call means whose first argument is the update: another schedule, through the number that
// is its second one or a usual one. Which, is told by the key that it is the value of.
static bool guess_schedule(Elab *el, Loc at, const Written *call)
{
    const char *s = diag_source_text(el->diag, at.source, NULL), *t = call->args.at[0];
    const char *key = key_before(el, s, at.begin), *one, *two;
    const bool lr = strcmp(key, "lr") == 0, momentum = strcmp(key, "momentum") == 0;
    const bool told = call->args.n > 1 && is_number(call->args.at[1]);
    const char *x = told ? call->args.at[1] : lr || momentum ? usual_value(key, 0) : "1";
    if (strcmp(t, "step") && strcmp(t, "phase_step")) return false;
    one = str_printf(el->arena, "cosine_between(%s, %s, %d, steps)", t, x, momentum);
    two = momentum ? x
          : lr     ? str_printf(el->arena, "warmup_cosine(%s, %s, 100, steps)", t, x)
                   : str_printf(el->arena, "ramp(%s, 0, 100)", t);
    guess_word(el, at, quoted(el, at, momentum ? one : two));
    guess_word(el, at, quoted(el, at, momentum ? two : one));
    return true;
}

void guess_end(Elab *el, Loc at, const char *counted)
{
    Written call;
    if (!read_call(el, at, &call)) return;
    const char *first = call.args.at[0];
    if (!counted && guess_schedule(el, at, &call)) return;
    guess_word(el, at, first);
    if (counted) {
        const char *text = diag_source_text(el->diag, at.source, NULL) + at.begin;
        guess_word(el, at,
                   str_printf(el->arena, "%s if %s >= 8 else %.*s", counted, counted,
                              (int)(at.end - at.begin), text));
    }
    guess_word(el, at, str_printf(el->arena, "gelu(%s)", first));
}

void guess_uncalled(Elab *el, Loc name)
{
    const char *s = source_of(el, name);
    const uint32_t end = s && s[name.end] == '(' ? bracket_end(s, name.end) : 0;
    if (end) guess_end(el, loc_in(name.source, name.begin, end), NULL);
}

// ---- parts ------------------------------------------------------------------------------------

const Tree *task_around(const Elab *el, Loc at)
{
    static const char *const sections[] = {"losses", "experts"};
    for (int k = 0; k < 2; k++) {
        const Tree *section = tree_get(el->root, sections[k]);
        for (uint32_t i = 0; section && i < section->entries.n; i++) {
            const Loc lines = entry_place(el, section, i);
            const Tree *task = section->entries.at[i].value;
            bool in = lines.source == at.source && lines.begin <= at.begin && at.end <= lines.end;
            for (uint32_t e = 0; task->kind == TREE_MAP && e < task->entries.n; e++) {
                const Loc value = task->entries.at[e].value->loc; // which may be of another file
                in |= value.source == at.source && value.begin == at.begin;
            }
            if (in) return task;
        }
    }
    return NULL;
}

// What a module is given by position: inputs, then settings; NULL where there are not so many.
static const char *name_at(const ModuleDef *def, uint32_t position)
{
    if (!def || position >= def->in.n + def->let.n) return NULL;
    return position < def->in.n ? def->in.at[position].name
                                : def->let.at[position - def->in.n].name;
}

// {module: projection, width: 8, out: 1}: what the call says from an argument on.
static const char *as_mapping(Elab *el, const Written *call, const ModuleDef *def, uint32_t first,
                              uint32_t position)
{
    const bool plain = strcmp(call->name, "dict") == 0; // Python's mapping
    const char *text = plain ? "{" : str_printf(el->arena, "{module: %s", call->name);
    const bool number = isdigit((unsigned char)*call->args.at[0]); // which no input is
    if (def && number && position < def->in.n) position = def->in.n;
    for (uint32_t i = first; i < call->args.n; i++) {
        const char *arg = call->args.at[i], *equals = strchr(arg, '=');
        const bool named =
            equals && equals[1] != '=' && equals > arg && !strchr("!<>=", equals[-1]);
        const char *key =
            named ? trimmed(el->arena, arg, (size_t)(equals - arg)) : name_at(def, position++);
        if (!key) return NULL;
        const char *value = named ? trimmed(el->arena, equals + 1, strlen(equals + 1)) : arg;
        if (strpbrk(value, ",[]{}:#")) value = str_printf(el->arena, "\"%s\"", value);
        text = str_printf(el->arena, "%s%s%s: %s", text, text[1] ? ", " : "", key, value);
    }
    return str_printf(el->arena, "%s}", text);
}

const char *call_as_mapping(Elab *el, Loc at)
{
    Written call;
    if (!read_call(el, at, &call)) return NULL;
    return as_mapping(el, &call, def_named(el, call.name), 0, 0);
}

void guess_as_mapping(Elab *el, Loc at, const char *name)
{
    Written call;
    const ModuleDef *def = def_named(el, name);
    const char *text = text_at(el, at);
    const bool quotes = *text == '"' || *text == '\'';
    const Loc inside = loc_in(at.source, at.begin + quotes, at.end - quotes);
    if (!def || !read_call(el, inside, &call)) return;
    const char *part = strcmp(call.name, name) ? NULL : as_mapping(el, &call, def, 0, def->in.n);
    if (part) guess_sure_word(el, at, part);
}

void guess_part(Elab *el, const ModuleDef *def, Loc at)
{
    Written call;
    const char *text = NULL;
    const Tree *task = task_around(el, at), *params = tree_get(task, "params");
    if (!task || def->in.n != 1 || !read_call(el, at, &call)) return;
    const char *part = as_mapping(el, &call, def, 1, 1),
               *name = str_printf(el->arena, "%s_2", call.name);
    if (!part) return;
    const Loc to = params ? entry_added(el, params, name, part, &text)
                          : entry_added(el, task, "params",
                                        str_printf(el->arena, "{%s: %s}", name, part), &text);
    const char *use = str_printf(el->arena, "%s(%s)", name, call.args.at[0]);
    const char *said = str_printf(el->arena, "%s, and under params: %s: %s", use, name, part);
    if (to.source == at.source) guess_both(el, at, use, to, text, said);
}
