// Checks the keys of every mapping against the table keys.def.
#include "frontend/guess.h"
#include "frontend/mend.h"
#include "frontend/rewrite.h"

typedef enum { K_NAME, K_TEXT, K_NUMBER, K_EXPR, K_LIST, K_MAP, K_ANY, K_LATER } KeyKind;

typedef struct KeyInfo {
    MappingId mapping;
    const char *name;
    KeyKind kind;
    bool required;
    const char *def, *doc;
} KeyInfo;

static const KeyInfo keys[] = {
#define MAPPING(e, text)
#define KEY(mapping, key, kind, required, def, doc)                                                \
    {MAPPING_##mapping, #key, K_##kind, required, def, doc},
#include "frontend/keys.def"
#undef KEY
#undef MAPPING
};

static const char *const mappings[] = {
#define MAPPING(e, text) text,
#define KEY(...)
#include "frontend/keys.def"
#undef KEY
#undef MAPPING
};

enum { KEYS = sizeof keys / sizeof *keys };

static const KeyInfo *find(MappingId id, const char *name)
{
    for (int i = 0; i < KEYS; i++)
        if (keys[i].mapping == id && strcmp(keys[i].name, name) == 0) return &keys[i];
    return NULL;
}

bool keys_reserved(MappingId id, const char *key)
{
    return find(id, key) != NULL;
}

const char *const *keys_names(Elab *el, MappingId id)
{
    VEC(const char *) v = {0};
    for (int i = 0; i < KEYS; i++)
        if (keys[i].mapping == id) vec_push(el->arena, &v, keys[i].name);
    vec_push(el->arena, &v, NULL);
    return v.at;
}

static Map names_of(Elab *el, MappingId id)
{
    Map names = {0};
    for (int i = 0; i < KEYS; i++)
        if (keys[i].mapping == id) map_set(el->arena, &names, keys[i].name, NULL);
    return names;
}

// Keys that others have, and how ours say it: the value between two texts.
static const struct Otherwise {
    MappingId id;
    const char *key, *ours, *before, *after;
} otherwise[] = {
    {MAPPING_FREEZE, "until", "while", "step < ", ""},
    {MAPPING_FREEZE, "from", "while", "step >= ", ""},
    {MAPPING_FREEZE, "for", "while", "phase_step < ", ""},
    {MAPPING_EMA, "decay", "momentum", "", ""},
    {MAPPING_EMA, "beta", "momentum", "", ""},
    {MAPPING_TRAIN, "max_steps", "steps", "", ""},
    {MAPPING_TRAIN, "total_steps", "steps", "", ""},
    {MAPPING_TRAIN, "iterations", "steps", "", ""},
    {MAPPING_TRAIN, "loss", "minimize", "", ""},
    {MAPPING_TRAIN, "maximize", "minimize", "-(", ")"},
    {MAPPING_GRAPH, "batch", "let", "{batch: ", "}"},
    {MAPPING_TRAIN, "grad_clip", "clip_grad", "{module: global_norm, limit: ", "}"},
    {MAPPING_TRAIN, "max_grad_norm", "clip_grad", "{module: global_norm, limit: ", "}"},
    {MAPPING_TRAIN, "accumulation_steps", "accumulate", "", ""},
    {MAPPING_CHECKPOINT, "interval", "every", "", ""},
    {MAPPING_LOG, "interval", "every", "", ""},
    {MAPPING_EVAL, "interval", "every", "", ""},
    {MAPPING_EXPERT, "start", "from", "", ""},
    {MAPPING_EXPERT, "end", "until", "", ""},
    {MAPPING_LOSS, "start", "from", "", ""},
    {MAPPING_PARAM, "value", "init", "", ""},
    {MAPPING_EXPERT, "module", "kind", "", ""},
    {MAPPING_GRAPH, "loss", "losses", "", ""},
    {MAPPING_GRAPH, "training", "train", "", ""},
    {MAPPING_GRAPH, "models", "encoders", "", ""},
    {MAPPING_GRAPH, "tasks", "experts", "", ""},
    {MAPPING_LOSS, "end", "until", "", ""},
};

// How ours say a key that is another's; NULL: nobody's, or the mapping has ours too.
static const struct Otherwise *as_ours(const Tree *map, const Tree *key, MappingId id)
{
    for (size_t i = 0; i < sizeof otherwise / sizeof *otherwise; i++) {
        const struct Otherwise *o = &otherwise[i];
        if (o->id == id && strcmp(o->key, key->text) == 0 && !tree_get(map, o->ours)) return o;
    }
    return NULL;
}

// Has the mapping an unknown key that is nearest to this one, or another's for it?
static const Tree *misspelt(Elab *el, const Tree *map, MappingId id, const char *name)
{
    const Map names = names_of(el, id);
    for (uint32_t i = 0; i < map->entries.n; i++) {
        const char *key = map->entries.at[i].key->text, *best = nearest_key(&names, key, NULL);
        const struct Otherwise *o = as_ours(map, map->entries.at[i].key, id);
        if (o) best = o->ours;
        if (!find(id, key) && best && strcmp(best, name) == 0) return map->entries.at[i].key;
    }
    return NULL;
}

bool keys_meant(Elab *el, const Tree *map, const Tree *key, MappingId id)
{
    const Map names = names_of(el, id);
    const char *best = nearest_key(&names, key->text, NULL);
    return as_ours(map, key, id) || (best && str_is_slip(key->text, best) && !tree_get(map, best));
}

// What stands in files of the other kind is not left out but moved. False where it is none of that.
static bool of_other_file(Elab *el, const Tree *map, const Tree *t, MappingId id)
{
    const char *key = t->text;
    if (id == MAPPING_GRAPH && find(MAPPING_LIBRARY, key))
        diag_help(el->diag, "%s: stands in a library file, a file of its own that import: names",
                  key);
    else if (id == MAPPING_LIBRARY && find(MAPPING_GRAPH, key))
        diag_help(el->diag, "%s: stands in a graph file, which imports this one", key);
    else
        return false;
    suggest_without(el, map, t);
    return true;
}

// "experts.seg", as --set takes it: in a file it is a key in a mapping.
static bool dotted(Elab *el, const Tree *map, const Tree *key, MappingId id)
{
    size_t n = strcspn(key->text, ".");
    const char *first = str_slice(el->arena, key->text, n);
    if (!key->text[n] || !find(id, first)) return false;
    suggest_nested(el, map, key);
    return true;
}

// What is said under another section is not one itself. False where it is none of that.
static bool of_section(Elab *el, const Tree *map, const Tree *key, MappingId id)
{
    const bool let = strcmp(key->text, "batch") == 0;
    const char *section = let ? "let" : "train";
    if (id != MAPPING_GRAPH || (!let && !find(MAPPING_TRAIN, key->text))) return false;
    diag_help(el->diag, "it is set under %s:, as %s: {%s: ..}", section, section, key->text);
    suggest_without(el, map, key);
    return true;
}

// `import +`: a key with blanks in it. False where it is none of that.
static bool has_blanks(Elab *el, const Tree *key, MappingId id)
{
    char *text = str_copy(el->arena, key->text), *to = text;
    for (const char *p = key->text; *p; p++)
        if (*p != ' ') *to++ = *p;
    *to = 0;
    const size_t n = strlen(text), plus = n && text[n - 1] == '+';
    if (!strchr(key->text, ' ') || !find(id, str_slice(el->arena, text, n - plus))) return false;
    return suggest_text(el, key->loc, text);
}

static bool said_otherwise(Elab *el, const Tree *map, const Tree *key, MappingId id)
{
    const Tree *value = tree_get(map, key->text);
    const struct Otherwise *o = as_ours(map, key, id);
    if (!o || (value->kind != TREE_SCALAR && *o->before)) return false;
    if (value->kind != TREE_SCALAR) return suggest_text(el, key->loc, o->ours);
    const char *text = str_printf(el->arena, "%s%s%s", o->before, value->text, o->after);
    if (*o->before != '{') text = quoted(el, value->loc, text);
    return suggest_text(el, loc_in(key->loc.source, key->loc.begin, value->loc.end),
                        str_printf(el->arena, "%s: %s", o->ours, text));
}

// ---- keys of other mappings ---------------------------------------------------------------------

// An entry of one mapping in another, which lacks it: where the other is known by a name.
static bool move_to(Elab *el, const Tree *from, uint32_t i, const Tree *to, const char *name,
                    const char *beside)
{
    const TreeEntry *e = &from->entries.at[i];
    const char *value = written(el, e->value), *text;
    if (!to || to == from || to->kind != TREE_MAP || !*value || tree_get(to, name)) return false;
    const Loc at = entry_place(el, from, i), also = entry_added(el, to, name, value, &text);
    if (!at.source || at.source != also.source) return false;
    guess_both(el, also, text, at, "", str_printf(el->arena, "%s: %s %s", name, value, beside));
    return true;
}

// May the module that a mapping names have such an input or setting? It may not be read yet.
static bool may_have(const Elab *el, const Tree *call, const char *name)
{
    const Tree *module = tree_get(call, "module");
    if (!module || module->kind != TREE_SCALAR) return false;
    const Binding *b = map_get(&el->defs, module->text);
    if (!b || b->value.kind != V_MODULE) return !b;
    return def_setting(b->value.module, name);
}

// The number of a root's section that a mapping is; the number of sections: it is none.
static uint32_t section_of(const Elab *el, const Tree *map)
{
    uint32_t i = 0;
    while (i < el->root->entries.n && el->root->entries.at[i].value != map) i++;
    return i;
}

bool guess_moved(Elab *el, const Tree *map, const Tree *key)
{
    static const char *const calls[] = {"optimizer", "clip_grad"};
    const Tree *train = tree_get(el->root, "train"), *call[2] = {NULL, NULL};
    const char *ours = str_our_word(key->text), *name = ours ? ours : key->text;
    const uint32_t section = section_of(el, map);
    uint32_t i = 0;
    bool any = false;
    MappingId id;
    while (i < map->entries.n && map->entries.at[i].key != key) i++;
    for (int k = 0; train && k < 2; k++) call[k] = tree_get(train, calls[k]);
    const bool near = map == el->root || section < el->root->entries.n;
    if (i == map->entries.n || !(near || map == call[0] || map == call[1])) return false;
    for (int k = 0; k < 2; k++) {
        const char *under = str_printf(el->arena, "under %s", calls[k]);
        if ((map == train || map == el->root) && may_have(el, call[k], name))
            any |= move_to(el, map, i, call[k], name, under);
    }
    for (uint32_t k = 0; k < el->root->entries.n; k++) {
        const TreeEntry *e = &el->root->entries.at[k];
        const bool known = schema_value(MAPPING_GRAPH, e->key->text, &id) && find(id, name);
        const char *under = str_printf(el->arena, "under %s", e->key->text);
        if (known && (near || e->value == train)) any |= move_to(el, map, i, e->value, name, under);
    }
    if (near && map != el->root && find(MAPPING_GRAPH, name))
        any |= move_to(el, map, i, el->root, name,
                       str_printf(el->arena, "beside %s", el->root->entries.at[section].key->text));
    if (!strcmp(name, "batch"))
        any |= move_to(el, map, i, tree_get(el->root, "let"), name, "under let");
    if (!any) return false;
    guess_without(el, map, key->text);
    guess_anyway(el, entry_place(el, map, i));
    return true;
}

static void unknown(Elab *el, const Tree *map, const Tree *key, MappingId id)
{
    const Map names = names_of(el, id);
    const char *list = "";
    for (int i = 0; i < KEYS; i++) {
        if (keys[i].mapping != id) continue;
        if (keys[i].kind == K_LATER) continue;
        list = str_printf(el->arena, "%s%s%s", list, *list ? ", " : "", keys[i].name);
    }
    el_error(el, key->loc, "%s has no key '%s'", mappings[id], key->text);
    if (of_other_file(el, map, key, id) || dotted(el, map, key, id) || has_blanks(el, key, id) ||
        said_otherwise(el, map, key, id) || of_section(el, map, key, id))
        return;
    const char *best = nearest_key(&names, key->text, NULL);
    if (best && tree_get(map, best))
        diag_help(el->diag, "'%s' stands there too", best);
    else if (best)
        diag_did_you_mean(el->diag, key->text, best);
    else
        diag_help(el->diag, "its keys are: %s", list);
    if ((!best || tree_get(map, best)) && !guess_moved(el, map, key)) suggest_without(el, map, key);
}

// True when the value's form suits the kind.
static bool kind_suits(KeyKind kind, const Tree *v)
{
    switch (kind) {
    case K_NAME:
    case K_TEXT:
    case K_NUMBER: return v->kind == TREE_SCALAR;
    case K_EXPR: return v->kind == TREE_SCALAR || v->kind == TREE_LIST;
    case K_LIST: return v->kind == TREE_LIST;
    case K_MAP: return v->kind == TREE_MAP || v->kind == TREE_NULL;
    default: return true;
    }
}

// The key that alone is required, where a text may be its value.
static const char *only_key(MappingId id)
{
    const KeyInfo *only = NULL;
    for (int i = 0; i < KEYS; i++) {
        if (keys[i].mapping != id || !keys[i].required) continue;
        if (only) return NULL;
        only = &keys[i];
    }
    bool text = only && only->kind != K_NUMBER && only->kind != K_LIST && only->kind != K_MAP;
    return text ? only->name : NULL;
}

// One text, where a mapping (or a list of these) is wanted that one key makes. Not where the text
// is a key itself, the value of which was forgotten.
static void suggest_mapping(Elab *el, const Tree *t, MappingId id, bool list)
{
    const char *form = list ? "[{%s: %s}]" : "{%s: %s}";
    if (t->kind != TREE_SCALAR) return;
    if (find(id, t->text)) {
        diag_help(el->diag, "'%s' is a key of %s: write its value too", t->text, mappings[id]);
        const char *values[2] = {usual_value(t->text, 0), usual_value(t->text, 1)};
        if (!values[0]) return;
        suggest_choices(el, instead(el, t, str_printf(el->arena, form, t->text, values[0])),
                        instead(el, t, str_printf(el->arena, form, t->text, values[1])));
    } else if (only_key(id)) {
        suggest_row(el, only_key(id), list);
    }
}

// A value where a list is wanted, of which it may be the only item.
static void suggest_only_item(Elab *el, MappingId id, const TreeEntry *e)
{
    MappingId item;
    bool described = schema_items(id, e->key->text, &item);
    bool rows = described && item < MAPPING_COUNT;
    const char *s = diag_source_text(el->diag, e->value->loc.source, NULL);
    if (e->value->kind == TREE_SCALAR && rows)
        suggest_mapping(el, e->value, item, true);
    else if (e->value->kind == TREE_SCALAR || (rows && s && s[e->value->loc.begin] == '{'))
        suggest_list(el, 1);
    else if (e->value->kind == TREE_MAP && rows)
        suggest_choices(el, as_list(el, e->value), (Choice){.text = NULL});
}

#define WORD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

// A list or a text where a mapping is wanted, of which it may be the value of some key.
static void guess_within(Elab *el, MappingId id, const TreeEntry *e)
{
    MappingId in;
    const char *text = text_at(el, e->value->loc);
    if (e->value->kind == TREE_NULL || strchr(text, '\n')) return;
    const size_t word = strspn(text, WORD), rest = word + strspn(text + word, " ");
    if (word && rest > word && text[rest]) { // `key value`
        guess_sure_word(el, e->value->loc,
                        str_printf(el->arena, "%.*s: %s", (int)word, text, text + rest));
    }
    if (!schema_value(id, e->key->text, &in)) return;
    for (int i = 0; i < KEYS; i++) {
        if (keys[i].mapping != in || !kind_suits(keys[i].kind, e->value)) continue;
        guess_sure_word(el, e->value->loc, str_printf(el->arena, "{%s: %s}", keys[i].name, text));
    }
}

// Is a key's mapping a module with its settings?
static bool is_call(const char *key)
{
    static const char *const keys_of_calls[] = {"optimizer", "clip_grad", "metric", NULL};
    return is_one_of(key, keys_of_calls);
}

bool keys_strange(Elab *el, const Tree *t, MappingId id)
{
    const Map names = names_of(el, id);
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++) {
        const Tree *key = t->entries.at[i].key;
        if (!find(id, key->text) && !nearest_key(&names, key->text, NULL) && !as_ours(t, key, id))
            return true;
    }
    return false;
}

void key_read_as(Elab *el, TreeEntry *e, const char *name)
{
    Tree *key = arena_make(el->arena, Tree);
    *key = (Tree){.kind = TREE_SCALAR, .loc = e->key->loc, .text = name};
    uint32_t *place = arena_array(el->arena, uint32_t, strlen(name) + 1);
    for (size_t i = 0; name[i]; i++) place[i] = key->loc.begin;
    place[strlen(name)] = key->loc.end;
    key->place = place;
    e->key = key;
}

// From here on an entry is read as if its key were the one that is probably meant, so that nothing
// else is reported of what it says; where that stands there too, or is of another form, by nobody.
static void read_as(Elab *el, const Tree *map, TreeEntry *e, MappingId id)
{
    const Map names = names_of(el, id);
    const struct Otherwise *o = as_ours(map, e->key, id);
    const char *best = nearest_key(&names, e->key->text, NULL);
    if (o) best = *o->before ? NULL : o->ours;
    const KeyInfo *k = best && !tree_get(map, best) ? find(id, best) : NULL;
    if (!k || k->kind == K_LATER || !kind_suits(k->kind, e->value)) return;
    key_read_as(el, e, k->name);
}

// A number where the clipping of gradients is wanted, or the call with one, may be the limit.
static bool suggest_limit(Elab *el, const Tree *map, const TreeEntry *e)
{
    static const char call[] = "global_norm(";
    const char *text = e->value->text;
    if (strcmp(e->key->text, "clip_grad") != 0) return false;
    if (!strncmp(text, call, strlen(call))) text += strlen(call);
    const size_t n = strspn(text, "0123456789.e-");
    if (!n || (text[n] && strcmp(text + n, ")"))) return false;
    const char *limit = str_printf(el->arena, "{module: global_norm, limit: %.*s}", (int)n, text);
    diag_help(el->diag, "write %s", limit);
    if (is_users(el, e->value->loc)) diag_guess(el->diag, e->value->loc, limit);
    suggest_without(el, map, e->key);
    return true;
}

// What is meant to take an entry away, as null does.
static bool says_none(const Tree *t)
{
    static const char *const words[] = {"none", "None", "false",   "False", "off",
                                        "no",   "nil",  "nothing", NULL};
    return t->kind == TREE_SCALAR && is_one_of(t->text, words);
}

// What is written where a mapping is wanted.
static void suggest_for_mapping(Elab *el, const Tree *map, const TreeEntry *e, MappingId id)
{
    static const char python[] = "dict(";
    const Tree *value = e->value;
    const bool scalar = value->kind == TREE_SCALAR, call = scalar && is_call(e->key->text);
    const KeyInfo *k = find(id, e->key->text);
    if (says_none(value) && !k->required)
        suggest_without(el, map, e->key);
    else if (scalar && !strncmp(value->text, python, strlen(python)))
        suggest_row(el, "module", false);
    else if (call && !says_none(value) && !suggest_limit(el, map, e))
        suggest_row(el, "module", false);
    else if (!call)
        guess_within(el, id, e);
}

// A key that is not known keeps nothing else of the mapping from being read.
static bool check_entry(Elab *el, const Tree *map, TreeEntry *e, MappingId id, bool open)
{
    static const char *const kinds[] = {"a word",        "a text", "a number",
                                        "an expression", "a list", "a mapping"};
    const KeyInfo *k = find(id, e->key->text);
    if (!k) {
        if (open) return true;
        unknown(el, map, e->key, id);
        read_as(el, map, e, id);
        return true;
    }
    if (k->kind == K_LATER) {
        el_error(el, e->key->loc, "'%s' is not supported yet", k->name);
        suggest_without(el, map, e->key);
        return false;
    }
    if (kind_suits(k->kind, e->value)) return true;
    el_error(el, e->value->kind == TREE_NULL ? e->key->loc : e->value->loc, "'%s' of %s is %s",
             k->name, mappings[id], kinds[k->kind]);
    if (*k->doc) diag_help(el->diag, "%s: %s", k->name, k->doc);
    if (k->kind == K_LIST) suggest_only_item(el, id, e);
    if (k->kind == K_MAP && e->value->kind == TREE_LIST && list_as_mapping(el, e)) return true;
    if (k->kind == K_MAP) suggest_for_mapping(el, map, e, id);
    if (k->kind <= K_NUMBER && e->value->kind == TREE_LIST) suggest_item(el, e->value);
    return false;
}

bool keys_check(Elab *el, const Tree *t, MappingId id, bool open)
{
    if (t->kind != TREE_MAP) {
        el_error(el, t->loc, "%s is a mapping", mappings[id]);
        if (says_none(t))
            suggest(el, "null", NULL);
        else
            suggest_mapping(el, t, id, false);
        if (id == MAPPING_INSTANCE && t->kind == TREE_LIST) guess_instance(el, t);
        return false;
    }
    bool ok = true;
    for (uint32_t i = 0; i < t->entries.n; i++)
        ok &= check_entry(el, t, &t->entries.at[i], id, open);
    for (int i = 0; i < KEYS; i++) {
        if (keys[i].mapping != id || !keys[i].required || tree_get(t, keys[i].name)) continue;
        const Tree *wrong = misspelt(el, t, id, keys[i].name);
        if (wrong && open) {
            el_error(el, wrong->loc, "%s needs '%s' and has '%s'", mappings[id], keys[i].name,
                     wrong->text);
            diag_did_you_mean(el->diag, wrong->text, keys[i].name);
            read_as(el, t, tree_entry(t, wrong->text), id);
        }
        ok &= tree_get(t, keys[i].name) != NULL;
        if (wrong) continue; // reported
        Loc head = t->loc;
        head.end = head.begin + 1;
        el_error(el, head, "%s needs '%s'", mappings[id], keys[i].name);
        if (*keys[i].doc) diag_help(el->diag, "%s: %s", keys[i].name, keys[i].doc);
        suggest_key(el, t->loc, keys[i].name);
        if (strcmp(keys[i].name, "optimizer") == 0) guess_optimizer(el, t);
    }
    return ok;
}
