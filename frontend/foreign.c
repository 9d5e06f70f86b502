// What other tools write: modules and functions under their names and prefixes, nn.Conv2d for conv;
// methods of tensors, x.mean(dim=1) for mean(x, axis=1); types that are called, f32(x). Said of the
// last error, with what to write here.
#include "frontend/guess.h"

#include <ctype.h>

// Is the name known: there, or in a file that may be imported?
static bool is_known(Elab *el, const Scope *s, const char *name)
{
    return scope_find(s, name) || builtin_find(name) || map_find(&el->defs, name) ||
           dtype_find(name) != DT_NONE || lib_defining(el, name);
}

// What is called so here; NULL where nothing is. prefix: it is another tool's function.
static const char *ours(Elab *el, const Scope *s, const char *name, bool prefix)
{
    const char *word = prefix && !strcmp(name, "normalize") ? "l2_normalize" : str_our_word(name);
    if (word && is_known(el, s, word)) return word;
    char *low = str_copy(el->arena, name);
    for (char *p = low; *p; p++) *p = (char)tolower((unsigned char)*p);
    return is_known(el, s, low) ? low : NULL;
}

static bool is_prefix(const char *name)
{
    static const char *const all[] = {"torch", "nn", "F",     "np",   "numpy", "jnp", "jax",
                                      "flax",  "tf", "keras", "math", "optim", NULL};
    return is_one_of(name, all);
}

// The arguments behind a name: *end is behind the closing bracket. NULL where there are none.
static const char *arguments(Elab *el, const char *s, uint32_t *end)
{
    const uint32_t at = s[*end] == '(' ? bracket_end(s, *end) : 0;
    if (!at) return NULL;
    const char *text = str_slice(el->arena, s + *end + 1, at - *end - 2);
    *end = at;
    return text;
}

// ---- functions that are none here -------------------------------------------------------------

// What calls of other tools' functions are here: $1 and $2 stand for their arguments.
static const struct {
    const char *name, *text;
} calls[] = {
    {"log10", "(log($1) / log(10))"},
    {"log2", "(log($1) / log(2))"},
    {"log1p", "log(1 + $1)"},
    {"expm1", "(exp($1) - 1)"},
    {"rsqrt", "(1 / sqrt($1))"},
    {"mse", "mean(($1 - $2) ** 2, axis=sample_axes($1))"},
    {"mse_loss", "mean(($1 - $2) ** 2, axis=sample_axes($1))"},
    {"l1_loss", "mean(abs($1 - $2), axis=sample_axes($1))"},
    {"var", "mean(($1 - mean($1, $2, keep=true)) ** 2, $2)"},
    {"std", "sqrt(mean(($1 - mean($1, $2, keep=true)) ** 2, $2))"},
};

// The arguments between the outer commas; how many there are.
static uint32_t split(Elab *el, const char *args, const char **out, uint32_t most)
{
    uint32_t n = 0;
    int depth = 0;
    const char *from = args;
    for (const char *p = args;; p++) {
        depth += *p && strchr("([", *p) ? 1 : *p && strchr(")]", *p) ? -1 : 0;
        if (*p && (*p != ',' || depth)) continue;
        while (*from == ' ') from++;
        if (n < most && p > from) out[n] = str_slice(el->arena, from, (size_t)(p - from));
        n += p > from;
        if (!*p) return n;
        from = p + 1;
    }
}

// Whole arguments stand as they are, others in brackets where they have operators.
static const char *filled(Elab *el, const char *text, const char *const *args)
{
    const char *out = "";
    for (const char *p = text; *p; p++) {
        if (*p != '$') {
            out = str_printf(el->arena, "%s%c", out, *p);
            continue;
        }
        const char *arg = args[*++p - '1'];
        const bool first = p - text < 2 || p[-2] == '(' || (p - text > 2 && p[-3] == ',');
        const bool whole = (first && strchr(",)", p[1])) || !strchr(arg, ' ');
        out = str_printf(el->arena, whole ? "%s%s" : "%s(%s)", out, arg);
    }
    return out;
}

// at: the name, with its prefix; its call is written otherwise.
static bool suggest_call(Elab *el, const char *name, Loc at)
{
    const char *given[2] = {0}, *args = arguments(el, source_of(el, at), &at.end);
    const uint32_t n = args ? split(el, args, given, 2) : 0;
    for (size_t i = 0; n && i < sizeof calls / sizeof *calls; i++) {
        const uint32_t takes = strstr(calls[i].text, "$2") ? 2 : 1;
        if (strcmp(calls[i].name, name) || n != takes) continue;
        return suggest_text(el, at, filled(el, calls[i].text, given));
    }
    return false;
}

bool suggest_foreign(Elab *el, const Scope *s, const char *name, Loc loc)
{
    const char *text = source_of(el, loc), *word = name;
    if (!text || !is_users(el, loc)) return false;
    bool prefix = is_prefix(name) && text[loc.end] == '.';
    while (prefix && path_part(text[loc.end])) loc.end++;
    if (prefix) word = strrchr(text_at(el, loc), '.') + 1;
    if (suggest_call(el, word, loc)) return true;
    const char *here = ours(el, s, word, prefix);
    bool near = here && !prefix && // as "did you mean" finds it
                (scope_find(s, here) || builtin_find(here) || !strcmp(here, name));
    if (!here || near) return false;
    diag_help(el->diag, prefix ? "write %s" : "here it is called '%s'", here);
    diag_mend(el->diag, loc, here);
    return true;
}

// ---- methods ----------------------------------------------------------------------------------

// Where the value begins whose member is read at `end`.
static uint32_t value_begin(const char *s, uint32_t end)
{
    uint32_t at = end;
    while (at) {
        int depth = 0;
        const uint32_t from = at;
        while (at && (depth || strchr(")]", s[at - 1])) && s[at - 1] != '\n') {
            depth += !!strchr(")]", s[at - 1]) - !!strchr("([", s[at - 1]);
            at--;
        }
        while (at && (word_part(s[at - 1]) || s[at - 1] == '.')) at--;
        if (at == from) break;
    }
    return at;
}

// The arguments with our words for their names: axis= for dim=.
static const char *our_arguments(Elab *el, const char *args)
{
    const char *out = "";
    for (const char *p = args; *p;) {
        size_t n = 0;
        while (word_part(p[n])) n++;
        const char *word = n ? str_slice(el->arena, p, n) : NULL;
        const char *ours = word && p[n] == '=' && p[n + 1] != '=' ? str_our_word(word) : NULL;
        if (!n) n = 1;
        out = ours ? str_printf(el->arena, "%s%s", out, ours)
                   : str_printf(el->arena, "%s%.*s", out, (int)n, p);
        p += n;
    }
    return out;
}

// What a method of that name is here; NULL where that is not known.
static const char *method_text(Elab *el, const char *of, const char *name, const char *args)
{
    static const char *const casts[] = {"to", "type", "astype", "view_as", NULL};
    static const char *const nothing[] = {"contiguous", "clone", "cuda", "cpu",
                                          "item",       "numpy", "data", NULL};
    static const char *const lists[] = {"reshape", "permute", "broadcast_to", NULL};
    const char *word = ours(el, el->scope, name, false);
    if (is_one_of(name, nothing)) return of;
    if (!strcmp(name, "T") || !strcmp(name, "t")) return str_printf(el->arena, "transpose(%s)", of);
    if (!strcmp(name, "ndim")) return str_printf(el->arena, "%s.rank", of);
    if (!strcmp(name, "size"))
        return str_printf(el->arena, args && *args ? "%s.shape[%s]" : "%s.shape", of, args);
    if (!args) return NULL;
    if (is_one_of(name, casts)) {
        const char *dot = strrchr(args, '.'),
                   *to = ours(el, el->scope, dot ? dot + 1 : args, false);
        bool type = to && dtype_find(to) != DT_NONE;
        return type ? str_printf(el->arena, "cast(%s, %s)", of, to) : NULL;
    }
    if (!word) return NULL;
    args = our_arguments(el, args);
    const DType dtype = dtype_find(word);
    const Binding *b = dtype != DT_NONE ? scope_find(el->scope, of) : NULL;
    if (b && b->forced && b->value.kind == V_FIELD && !dtype_is_float(dtype) &&
        b->value.field->type && !dtype_is_float(b->value.field->type->dtype))
        return of; // whose classes are whole numbers; cast, it would lose its validity
    if (dtype != DT_NONE) return str_printf(el->arena, "cast(%s, %s)", of, word);
    bool list = is_one_of(word, lists) && *args != '[' && *args != '(';
    if (list) return str_printf(el->arena, "%s(%s, [%s])", word, of, args);
    return str_printf(el->arena, *args ? "%s(%s, %s)" : "%s(%s)", word, of, args);
}

bool suggest_method(Elab *el, const char *name, Loc loc)
{
    const char *s = source_of(el, loc);
    if (!s || !loc.begin || s[loc.begin - 1] != '.' || !is_users(el, loc)) return false;
    Loc at = loc_in(loc.source, value_begin(s, loc.begin - 1), loc.end);
    const char *args = arguments(el, s, &at.end);
    const char *of = str_slice(el->arena, s + at.begin, loc.begin - 1 - at.begin);
    const char *text = *of && el->scope ? method_text(el, of, name, args) : NULL;
    if (!text) return false;
    text = quoted_in(el, &at, text);
    return suggest_text(el, at, text);
}

void suggest_cast_of(Elab *el, Loc call, DType dtype)
{
    const char *s = source_of(el, call), *args;
    const char *name = dtype_name(dtype);
    if (!s || !is_users(el, call) || strncmp(s + call.begin, name, strlen(name))) return;
    Loc at = loc_in(call.source, call.begin, call.begin + (uint32_t)strlen(name));
    if (!(args = arguments(el, s, &at.end)) || !*args) return;
    const char *text = quoted_in(el, &at, str_printf(el->arena, "cast(%s, %s)", args, name));
    suggest_text(el, at, text);
}
