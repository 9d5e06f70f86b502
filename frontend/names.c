// The names that a file gives to things, looked at where they are given: what a name may be made
// of, and which are taken. So no name is bound that an expression could not say, that would hide a
// reserved one, or that is an output's beside it. Runs once, before anything is built.
#include "frontend/advice.h"

#include "frontend/expr_lex.h"
#include "frontend/guess.h"

#include <ctype.h>

// ---- reserved ---------------------------------------------------------------------------------

static const struct {
    const char *name, *is;
} reserved[] = {
    {"step", "the number of finished updates"},
    {"phase_step", "the number of finished updates since the phase began"},
    {"steps", "the number of updates of the training"},
    {"seed", "the seed of all random numbers"},
    {"batch", "the number of samples of a step"},
    {"world", "the number of devices"},
    {"training", "whether a step is trained"},
    {"none", "no value"},
    {"true", "the truth value"},
    {"false", "the truth value"},
    {"pi", "3.14159.."},
    {"inf", "infinity"},
    {"views", "where views.NAME is found"},
    {"experts", "where experts.NAME is found"},
    {"losses", "where losses.NAME is found"},
    {"teachers", "where teachers.NAME is found"},
    {"stats", "where stats.NAME is found"},
};

const char *name_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(reserved[i].name, name) == 0) return reserved[i].is;
    return dtype_find(name) != DT_NONE ? "an element type" : NULL;
}

// Another name in the place of one, or a second.
static void guess_name(Elab *el, Loc at, const char *name, const char *better, const char *other)
{
    guess_exchanged(el, at, better, *name ? name : text_at(el, at));
    guess_word(el, at, other);
}

// The same for a name that is taken.
static void guess_free(Elab *el, Loc at, const char *name)
{
    guess_name(el, at, name, str_printf(el->arena, "%s_2", name),
               str_printf(el->arena, "my_%s", name));
}

static bool name_free(Elab *el, const char *name, Loc loc)
{
    const char *is = name_reserved(name);
    if (!is) return true;
    el_error(el, loc, "'%s' is a reserved name: %s", name, is);
    const char *section = keys_reserved(MAPPING_TRAIN, name) ? "train"
                          : strcmp(name, "batch") == 0       ? "let"
                                                             : NULL;
    if (section)
        diag_help(el->diag, "it is set under %s:, as %s: {%s: ..}", section, section, name);
    if (section) guess_left_out(el, loc);
    guess_free(el, loc, name);
    return false;
}

// ---- what a name is made of -------------------------------------------------------------------

static bool is_letter(char c)
{
    return isascii((unsigned char)c) && (isalpha((unsigned char)c) || c == '_');
}

static bool well_formed(const char *s)
{
    if (!is_letter(*s)) return false;
    while (is_letter(*s) || (*s >= '0' && *s <= '9')) s++;
    return !*s;
}

// The letter without its marks, of U+00C0 to U+00FF; else _.
static char plain_letter(const char *s)
{
    static const char plain[] = "AAAAAAACEEEEIIIIDNOOOOO_OUUUUYTsaaaaaaaceeeeiiiidnooooo_ouuuuyty";
    return (unsigned char)s[0] == 0xc3 ? plain[(unsigned char)s[1] & 63] : '_';
}

// Two letters where the marks of one say so, as oe; "" for all others.
static const char *two_letters(const char *s)
{
    static const struct {
        const char *letter, *two;
    } marked[] = {{"\u00e4", "ae"}, {"\u00f6", "oe"}, {"\u00fc", "ue"}, {"\u00df", "ss"},
                  {"\u00c4", "Ae"}, {"\u00d6", "Oe"}, {"\u00dc", "Ue"}, {"\u00e6", "ae"},
                  {"\u00f8", "oe"}, {"\u00e5", "aa"}};
    for (size_t i = 0; i < sizeof marked / sizeof *marked; i++)
        if (strncmp(s, marked[i].letter, 2) == 0) return marked[i].two;
    return "";
}

// Another name that is one: with nothing in the place of what none can have. "" where it is none.
static const char *joined(Elab *el, const char *s)
{
    const char *text = isdigit((unsigned char)*s) ? "_" : "";
    for (; *s; s++) {
        bool part = is_letter(*s) || isdigit((unsigned char)*s);
        text = str_printf(el->arena, "%s%.*s%s", text, part, s, two_letters(s));
    }
    return lex_keyword(text) ? "" : text;
}

// The nearest name that is one; "" where nothing is left of it.
static const char *formed(Elab *el, const char *s)
{
    char *text = arena_alloc(el->arena, strlen(s) + 2), *to = text;
    bool any = false;
    for (; *s; s++) {
        if (((unsigned char)*s & 0xc0) == 0x80) continue; // of the character before
        char c = is_letter(*s) || isdigit((unsigned char)*s) ? *s : plain_letter(s);
        if (to == text && isdigit((unsigned char)c)) *to++ = 'n';
        if (c == '_' && (to == text || to[-1] == '_') && *s != '_') continue;
        any |= c != '_';
        *to++ = c;
    }
    while (to > text && to[-1] == '_' && any) to--;
    *to = 0;
    if (lex_keyword(text)) return str_printf(el->arena, "%s_2", text);
    return any ? text : "";
}

bool suggest_formed(Elab *el, const Scope *s, const char *name)
{
    for (; s; s = s->parent)
        for (uint32_t i = 0; i < s->names.n; i++) {
            const char *key = s->names.at[i].key;
            const Binding *b = s->names.at[i].value;
            if (well_formed(key) ||
                (strcmp(formed(el, key), name) && strcmp(joined(el, key), name)))
                continue;
            diag_help(el->diag, "'%s' is no name; write %s there", key, name);
            diag_mend(el->diag, b->loc, name);
            return true;
        }
    return false;
}

// Has what a name stands for a member of that name? Nothing is evaluated for that.
static bool owns(const Elab *el, const Binding *b, const char *name)
{
    const Tree *views = data_section(el, "views");
    const Tree *t = b->kind == BIND_TREE && b->tree ? b->tree : NULL;
    if (b->forced && b->value.kind == V_RECORD) return map_find(b->value.record, name);
    if (b->forced && b->value.kind == V_SPACE)
        t = b->value.space == SPACE_EXPERTS ? tree_get(el->root, "experts")
            : b->value.space == SPACE_VIEWS ? views
                                            : NULL;
    return t && t->kind == TREE_MAP && tree_get(t, name);
}

bool guess_owned(Elab *el, const Scope *s, const char *name, Loc loc)
{
    const char *text = source_of(el, loc), *word = str_our_word(name);
    bool found = false;
    if (!text || text[loc.end] == '(') return false; // no function is a member
    for (; s; s = s->parent)
        for (uint32_t i = 0; i < s->names.n; i++) {
            if (!owns(el, s->names.at[i].value, name)) continue;
            guess_sure_word(el, loc, str_printf(el->arena, "%s.%s", s->names.at[i].key, name));
            found = true;
        }
    if (found && word && dtype_find(word) != DT_NONE) guess_sure_word(el, loc, word);
    return found;
}

// What is called something under a section: "loss", "param".
static const char *one_of(Elab *el, const char *section)
{
    size_t n = strlen(section), end = n > 4 && !strcmp(section + n - 4, "sses") ? 2 : 1;
    return section[n - 1] == 's' ? str_slice(el->arena, section, n - end) : section;
}

// A name that is formed well in the place of one that is not, of a thing of that section.
static void guess_formed(Elab *el, const char *name, Loc loc, const char *section)
{
    const char *one = one_of(el, section), *better = formed(el, name), *other = joined(el, name);
    const char *mine = well_formed(name) ? name : *better ? better : one;
    if (!*better) better = str_printf(el->arena, "%s_1", one);
    if (!well_formed(other) || strcmp(other, better) == 0)
        other = str_printf(el->arena, "my_%s", mine);
    guess_name(el, loc, name, better, other);
}

// alone: said without a dot before it, where `in` is no name.
static bool name_formed(Elab *el, const char *name, Loc loc, bool alone, const char *section)
{
    bool word = well_formed(name);
    if (word && !(alone && lex_keyword(name))) return true;
    if (!*name)
        el_error(el, loc, "a name is empty");
    else if (word)
        el_error(el, loc, "'%s' is a word of expressions, and no name", name);
    else
        el_error(el, loc, "'%s' is no name: expressions could not say it", name);
    if (!word)
        diag_help(el->diag,
                  "a name has letters from a to z, digits and _, and begins with no digit");
    guess_formed(el, name, loc, section);
    return false;
}

// ---- a graph's --------------------------------------------------------------------------------

// Names are said alone in expressions, or behind a dot.
typedef enum { ALONE, BEHIND } Said;

static void check_keys(Elab *el, const Tree *t, const char *section, Said said, const char *allowed)
{
    for (uint32_t i = 0; t && t->kind == TREE_MAP && i < t->entries.n; i++) {
        const Tree *key = t->entries.at[i].key;
        if (!name_formed(el, key->text, key->loc, said == ALONE, section) || said == BEHIND)
            continue;
        if (!allowed || strcmp(key->text, allowed)) name_free(el, key->text, key->loc);
    }
}

// What a step gives beside the losses, under their names.
static void check_loss(Elab *el, const Tree *key)
{
    if (strcmp(key->text, "loss") != 0) return;
    el_error(el, key->loc, "a loss cannot be called 'loss': so the log calls what is minimised");
    guess_free(el, key->loc, key->text);
}

static void check_tasks(Elab *el, const Tree *t, bool losses)
{
    check_keys(el, t, losses ? "losses" : "experts", losses ? ALONE : BEHIND, NULL);
    for (uint32_t i = 0; t && t->kind == TREE_MAP && i < t->entries.n; i++) {
        const Tree *task = t->entries.at[i].value;
        if (losses) check_loss(el, t->entries.at[i].key);
        check_keys(el, tree_get(task, "for"), "items", ALONE, NULL);
        check_keys(el, tree_get(task, "params"), "params", ALONE, NULL);
        check_keys(el, tree_get(task, "baselines"), "baselines", BEHIND, NULL);
    }
}

void names_check(Elab *el)
{
    static const struct {
        const char *section;
        Said said;
        const char *allowed;
    } sections[] = {{"let", ALONE, "batch"}, {"params", ALONE, NULL}, {"encoders", ALONE, NULL},
                    {"heads", ALONE, NULL},  {"values", ALONE, NULL}, {"teachers", ALONE, NULL},
                    {"ema", ALONE, NULL},    {"stats", BEHIND, NULL}, {"watch", BEHIND, NULL}},
      of_data[] = {{"fields", ALONE, NULL}, {"draw", ALONE, NULL}, {"views", BEHIND, NULL}};
    const Tree *data = tree_get(el->root, "data"), *teachers = tree_get(el->root, "teachers");
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        check_keys(el, tree_get(el->root, sections[i].section), sections[i].section,
                   sections[i].said, sections[i].allowed);
    for (size_t i = 0; i < sizeof of_data / sizeof *of_data; i++)
        check_keys(el, tree_get(data, of_data[i].section), of_data[i].section, of_data[i].said,
                   NULL);
    for (uint32_t i = 0; teachers && i < teachers->entries.n; i++)
        check_keys(el, tree_get(teachers->entries.at[i].value, "outputs"), "outputs", BEHIND, NULL);
    check_tasks(el, tree_get(el->root, "losses"), true);
    check_tasks(el, tree_get(el->root, "experts"), false);
}

// ---- a library's ------------------------------------------------------------------------------

bool name_definable(Elab *el, const char *name, Loc loc)
{
    if (!name_formed(el, name, loc, true, "names") || !name_free(el, name, loc)) return false;
    if (!builtin_find(name)) return true;
    el_error(el, loc, "'%s' is a built-in function", name);
    diag_help(el->diag,
              "a library's functions and modules have names of their own; cztc lib %s "
              "shows the built-in one",
              name);
    guess_free(el, loc, name);
    return false;
}

// "q, k, v" are several.
static void names_formed(Elab *el, const char *names, Loc loc, bool alone)
{
    if (!strchr(names, ',')) {
        name_formed(el, names, loc, alone, "names");
        return;
    }
    for (const char *p = names; *p;) {
        while (*p == ' ' || *p == ',') p++;
        size_t n = strcspn(p, ", ");
        if (n) name_formed(el, str_slice(el->arena, p, n), loc, alone, "names");
        p += n;
    }
}

static void check_items(Elab *el, const Items *items, bool alone)
{
    for (uint32_t i = 0; i < items->n; i++)
        names_formed(el, items->at[i].name, items->at[i].loc, alone);
}

void names_of_module(Elab *el, const ModuleDef *m)
{
    const Decls *decls[] = {&m->in, &m->let};
    const Items *items[] = {&m->params, &m->body, &m->out, &m->state, &m->update};
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < decls[k]->n; i++)
            name_formed(el, decls[k]->at[i].name, decls[k]->at[i].loc, true, "names");
    for (int k = 0; k < 5; k++) check_items(el, items[k], items[k] != &m->out);
}
