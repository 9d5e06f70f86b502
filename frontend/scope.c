// Scopes, frames and lazily evaluated names. A binding is evaluated when it is first read; reading
// it while it is being evaluated is a cycle. Frames remember who asked, so an error can name the
// chain of modules.
#include "frontend/advice.h"

#include <strings.h>
#include "frontend/guess.h"
#include "frontend/mend.h"

#include <ctype.h>

Scope *scope_new(Elab *el, Scope *parent, Frame *frame)
{
    Scope *s = arena_make(el->arena, Scope);
    s->parent = parent;
    s->frame = frame;
    if (frame && !frame->scope) frame->scope = s;
    return s;
}

Frame *frame_new(Elab *el, Frame *parent, const char *what, const char *path, Loc call)
{
    Frame *f = arena_make(el->arena, Frame);
    f->parent = parent;
    f->owner = f;
    f->what = what;
    f->path = path;
    f->call = call;
    f->precision = PRECISION_NONE;
    f->stream = hash_str(0, path);
    f->site = hash_u64(hash_u64(parent ? parent->site : 0, call.source), call.begin);
    return f;
}

// For those who ask which part computes in what.
static void note_products(Elab *el, Precision precision)
{
    Frontend *out = el->out;
    const char *part = part_frame(el->frame->owner)->part;
    uint32_t i = 0;
    if (!part) part = "params";
    while (i < out->products.n && strcmp(out->products.at[i].part, part) != 0) i++;
    if (i == out->products.n) vec_push(el->arena, &out->products, ((PartProducts){part, 0}));
    out->products.at[i].precisions |= 1u << precision;
}

// What the program has anyway is not said again, so that equal products are one node.
void el_precise(Elab *el)
{
    Precision own = el->frame->owner->precision;
    if (!el->initialising) note_products(el, own ? own : el->precision);
    el->graph->precision = own == el->precision || el->initialising ? PRECISION_NONE : own;
}

void el_plain(Elab *el)
{
    el->graph->precision = PRECISION_NONE;
}

Binding *scope_add(Elab *el, Scope *s, const char *name, Loc loc, BindKind kind)
{
    Binding *old = map_get(&s->names, name);
    bool taken = s == el->scope && name_reserved(name); // which names_check reports
    if (old && !taken) {
        diag_error(el->diag, loc, "'%s' is defined twice", name);
        diag_note(el->diag, old->loc, "it is defined here too");
        guess_names(el, loc, old->loc, name);
    }
    Binding *b = arena_make(el->arena, Binding);
    b->name = name;
    b->loc = loc;
    b->kind = kind;
    b->scope = s;
    if (!old) map_set(el->arena, &s->names, name, b);
    return b;
}

Binding *binding_value(Elab *el, const char *name, Loc loc, Value v)
{
    Binding *b = arena_make(el->arena, Binding);
    *b = (Binding){.name = name, .loc = loc, .kind = BIND_VALUE, .forced = true, .value = v};
    return b;
}

Binding *binding_tree(Elab *el, const char *name, const Tree *t, Scope *scope)
{
    Binding *b = arena_make(el->arena, Binding);
    *b = (Binding){.name = name, .loc = t->loc, .kind = BIND_TREE, .tree = t, .scope = scope};
    return b;
}

void scope_value(Elab *el, Scope *s, const char *name, Loc loc, Value v)
{
    Binding *b = scope_add(el, s, name, loc, BIND_VALUE);
    b->value = v;
    b->forced = true;
}

Binding *scope_find(const Scope *s, const char *name)
{
    for (; s; s = s->parent) {
        Binding *b = map_get(&s->names, name);
        if (b) return b;
    }
    return NULL;
}

static Value unpack(Elab *el, Binding *b)
{
    Value v = binding_force(el, b->pack);
    if (v.kind == V_ERROR) return v;
    const ValueList *items;
    if (!value_items(el, v, b->loc, &items)) return value_error();
    if (items->v.n != b->npack)
        return el_fail(el, b->pack->loc, "%u names for a list of %u values", b->npack, items->v.n);
    return items->v.at[b->index];
}

static Value evaluate(Elab *el, Binding *b)
{
    if (b->pack) return unpack(el, b);
    switch (b->kind) {
    case BIND_PARAM: return param_eval(el, b);
    case BIND_BODY: return body_eval(el, b);
    case BIND_EXPR: return b->expr ? expr_eval(el, b->scope, b->expr) : value_error();
    case BIND_TREE: return tree_eval(el, b->scope, b->tree, NULL);
    default: return b->value;
    }
}

Value binding_force(Elab *el, Binding *b)
{
    if (b->forced) return b->value;
    if (b->forcing) {
        el_error(el, b->loc, "'%s' depends on itself", b->name);
        b->forced = true;
        return b->value = value_error();
    }
    if (el->depth > DEPTH_LIMIT) return el_fail(el, b->loc, "'%s' nests too deep", b->name);
    Frame *frame = el->frame;
    const Binding *naming = b->scope ? b->scope->naming : NULL;
    if (b->scope) {
        el->frame = b->scope->frame;
        b->scope->naming = b;
    }
    b->forcing = true;
    el->depth++;
    Value v = evaluate(el, b);
    if (b->decl) v = decl_check(el, b->decl, v, b->loc);
    el->depth--;
    b->forcing = false;
    el->frame = frame;
    if (b->scope) b->scope->naming = naming;
    if (!b->forced) b->value = v; // a cycle has set it to an error
    b->forced = true;
    return b->value;
}

// True when a name of the graph is asked for in a place that does not see the graph.
static bool hidden_name(const Elab *el, const Scope *s, const char *name)
{
    for (; s; s = s->parent)
        if (s == el->scope) return false;
    return el->scope && scope_find(el->scope, name);
}

// Is it the graph's, or outside of it?
static bool sees_all(const Elab *el, const Scope *s)
{
    return s == el->scope || s == el->globals || s == el->still;
}

// Where no name is near: another one of the module's, or what the optimiser has under that key.
static void guess_own_names(Elab *el, const Scope *s, const char *name, Loc loc)
{
    const Tree *train = tree_get(el->root, "train");
    const Tree *with = tree_get(train, "optimizer");
    const Tree *set = tree_get(train, name);
    if (!set && with) set = tree_get(with, name);
    if (set && set->kind == TREE_SCALAR)
        guess_add(el, loc, quoted(el, loc, set->text),
                  str_printf(el->arena, "%s in place of %s", set->text, name));
    const bool module = s && s->frame && s->frame->instance;
    for (int body = module; module && body >= 0; body--)
        for (const Scope *at = s; at && !sees_all(el, at); at = at->parent)
            for (uint32_t i = 0; i < at->names.n; i++) {
                const Binding *b = at->names.at[i].value;
                if ((b->kind == BIND_BODY) != body || b->value.kind == V_INT) continue;
                guess_exchanged(el, loc, b->name, name);
            }
}

static bool is_section(const char *name)
{
    static const char *const sections[] = {"ema",    "encoders", "heads", "values", "params",
                                           "fields", "data",     "let",   NULL};
    return is_one_of(name, sections);
}

// A section's name before that of what is in it, ema.slow for slow; B for the samples of a step.
static bool suggest_unnamed(Elab *el, const Scope *s, const char *name, Loc loc)
{
    const char *text = source_of(el, loc), *own = name;
    uint32_t begin = loc.begin, end = loc.end;
    if (!text || !is_users(el, loc)) return false;
    while (is_section(own) && text[end] == '.') {
        begin = ++end;
        end += (uint32_t)word_size(text + end);
        own = str_slice(el->arena, text + begin, end - begin);
    }
    const Tree *ema = tree_get(el->root, "ema");
    if (begin > loc.begin && !strcmp(name, "ema") && !tree_get(ema, own) && ema) {
        const char *slow =
            ema->kind == TREE_MAP && ema->entries.n ? ema->entries.at[0].key->text : "slow";
        diag_help(el->diag, "write %s.%s, as the copy is called", slow, own);
        (ema->entries.n == 1 ? diag_mend : diag_guess)(el->diag, loc, slow);
        return true;
    }
    if (begin > loc.begin && scope_find(s, own)) {
        diag_help(el->diag, "write %s: what is under %s: is called by its own name", own, name);
        diag_mend(el->diag, loc_in(loc.source, loc.begin, begin), "");
        return true;
    }
    if (begin > loc.begin || strcmp(name, "B")) return false;
    diag_help(el->diag, "write batch, the number of samples of a step");
    diag_mend(el->diag, loc, "batch");
    return true;
}

// Does a place hold the module of an instance, or a name that is called?
typedef enum { AS_VALUE, AS_CALLEE, AS_MODULE } Use;

static Use use_at(Elab *el, Loc at)
{
    const char *s = source_of(el, at);
    if (!s) return AS_VALUE;
    if (s[at.end] == '(') return AS_CALLEE;
    uint32_t i = at.begin;
    while (i && strchr(" \"'", s[i - 1])) i--;
    const bool module = i >= 7 && (!strncmp(s + i - 7, "module:", 7) || // or that of stats:
                                   !strncmp(s + i - 7, "method:", 7));
    return module ? AS_MODULE : AS_VALUE;
}

// Can a name be used so? What is not read yet may be anything.
static bool may_be(const Binding *b, Use use)
{
    const ValueKind kind = b->value.kind;
    if (!b->forced) return use != AS_MODULE;
    if (use == AS_MODULE) return kind == V_MODULE;
    if (use == AS_VALUE) return kind != V_MODULE && kind != V_FUNCTION;
    return kind == V_NONE || kind == V_MODULE || kind == V_FUNCTION || kind == V_INSTANCE;
}

// Names are many, so that a short word is near another of them by chance: but where a letter is
// missing in it, or one too much at its end.
static bool is_near(const char *name, const char *best)
{
    const size_t n = strlen(name);
    const size_t k = strlen(best);
    return n > 3 || (n < k ? *name == *best : n > k && !strncmp(name, best, k)) ||
           str_swapped(name, best) || str_our_word(name) || !strcasecmp(name, best);
}

// The name near a wrong one that fits its place.
static const char *near_name(Elab *el, const Scope *s, const char *name, Use use)
{
    Map names = {0};
    uint32_t n;
    const Builtin *table = builtin_table(&n);
    for (; s; s = s->parent)
        for (uint32_t i = 0; i < s->names.n; i++) {
            const Binding *b = s->names.at[i].value;
            if (may_be(b, use)) map_set(el->arena, &names, s->names.at[i].key, NULL);
        }
    for (uint32_t i = 0; use == AS_CALLEE && i < n; i++)
        map_set(el->arena, &names, table[i].name, NULL);
    const char *best = nearest_key(&names, name, NULL);
    return best && is_near(name, best) ? best : NULL;
}

static void unknown_name(Elab *el, const Scope *s, const char *name, Loc loc)
{
    // it may be what a file defines that was not read
    if (el->lost_import && !lib_defining(el, name) && !near_name(el, s, name, use_at(el, loc)))
        return;
    el_error(el, loc, "there is no '%s' here", name);
    guess_comment(el, loc);
    if (hidden_name(el, s, name)) {
        diag_help(el->diag,
                  "modules and functions do not see the graph's names; give '%s' as an input",
                  name);
        guess_definition(el, name, loc);
        return;
    }
    if (guess_owned(el, s, name, loc) || suggest_unnamed(el, s, name, loc)) return;
    if (suggest_import(el, name) || suggest_formed(el, s, name)) return;
    if (suggest_foreign(el, s, name, loc)) return;
    const char *best = near_name(el, s, name, use_at(el, loc));
    if (best) {
        diag_did_you_mean(el->diag, name, best);
    } else {
        guess_uncalled(el, loc);
        guess_own_names(el, s, name, loc);
        guess_definition(el, name, loc);
    }
}

// A name that is read while it is being evaluated.
static Value circle(Elab *el, Binding *b, Loc loc)
{
    Value v = binding_force(el, b);
    diag_note(el->diag, loc, "it is read here");
    guess_circle(el, b, loc);
    return v;
}

Value scope_read(Elab *el, Scope *s, const char *name, Loc loc)
{
    Binding *b = scope_find(s, name);
    if (b && b->forcing && !b->forced) return circle(el, b, loc);
    if (b) return binding_force(el, b);
    const Builtin *f = builtin_find(name);
    if (f) return (Value){.kind = V_BUILTIN, .builtin = f};
    unknown_name(el, s, name, loc);
    return value_error();
}

Value callee_read(Elab *el, Scope *s, const char *name, Loc loc)
{
    Binding *b = scope_find(s, name), *def = map_get(&el->defs, name);
    bool data = b && b->forced && (b->value.kind == V_FIELD || b->value.kind == V_TASK);
    if (data && def && def->kind == BIND_VALUE) return def->value;
    const Builtin *f = data ? builtin_find(name) : NULL;
    if (f) return (Value){.kind = V_BUILTIN, .builtin = f};
    return scope_read(el, s, name, loc);
}

// ---- errors -----------------------------------------------------------------------------------

static void chain_notes(Elab *el)
{
    uint32_t shown = 0;
    Map done = {0};
    for (const Frame *f = el->frame; f; f = f->parent) {
        if (!f->what) continue;
        const char *text = f->owner == f && *f->path && !f->part
                               ? str_printf(el->arena, "in %s, at %s", f->what, f->path)
                               : str_printf(el->arena, "in %s", f->what);
        const char *place = str_printf(el->arena, "%u:%u %s", f->call.source, f->call.begin, text);
        if (!map_set(el->arena, &done, place, el)) continue;
        if (++shown > 12 && !f->part) continue; // a chain that long repeats itself
        diag_note(el->diag, f->call, "%s", text);
    }
    el->noted = diag_errors(el->diag);
}

static const char fails_here[] = "this is what fails";

void el_notes(Elab *el)
{
    Loc at;
    const char *text = diag_last(el->diag, &at);
    Loc to = text ? blame(el, at, text) : at;
    if (text && (to.source != at.source || to.begin != at.begin)) {
        diag_move_last(el->diag, to);
        diag_note(el->diag, at, "%s", fails_here);
        guess_blamed(el, to);
    }
    if (text && !diag_has_mend(el->diag, diag_last_error(el->diag))) guess_from_text(el, text);
    chain_notes(el);
}

// A wrong value of the user's may fail in several places of the library; the first of them says
// enough, and the others are dropped as its repetitions.
static const char *first_of(Elab *el, Loc at, const char *text)
{
    const char *key = str_printf(el->arena, "%u:%u:%u", at.source, at.begin, at.end);
    const char *first = map_get(&el->blamed, key);
    if (!first) map_set(el->arena, &el->blamed, key, (void *)text);
    return first ? first : text;
}

bool el_error(Elab *el, Loc loc, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = str_vprintf(el->arena, fmt, ap);
    va_end(ap);
    Loc at = blame(el, loc, text);
    bool moved = at.source != loc.source || at.begin != loc.begin;
    if (moved && at.begin != blame_call(el, loc).begin) text = first_of(el, at, text);
    diag_error(el->diag, at, "%s", text);
    if (moved) {
        diag_note(el->diag, loc, "%s", fails_here);
        guess_blamed(el, at);
    }
    chain_notes(el);
    return false;
}

Value el_node(Elab *el, NodeId node, uint32_t before)
{
    uint32_t errors = diag_errors(el->diag);
    while (el->makers.n < el->graph->nodes.n) vec_push(el->arena, &el->makers, el->frame);
    if (!node && errors > before && errors != el->noted) el_notes(el);
    return unmixed(el, value_node(el, node));
}
