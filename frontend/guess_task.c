// Guesses of what an expert or loss lacks: the name of a family's items, a loss, a kind.
#include "frontend/guess.h"

// ---- families ---------------------------------------------------------------------------------

typedef VEC(const char *) Words;

typedef struct Search {
    Words *found;
} Search;

// A name that nothing has: the items may be meant.
static void unknown_word(Elab *el, Loc at, const char *name, const void *how)
{
    (void)at;
    Words *w = ((const Search *)how)->found;
    bool known = strchr(name, '.') || scope_find(el->scope, name) || map_find(&el->defs, name) ||
                 builtin_find(name) || name_reserved(name);
    static const char *const own[] = {"output", "target", "valid", "decoded", NULL};
    known |= is_one_of(name, own);
    for (uint32_t i = 0; !known && i < w->n; i++) known = !strcmp(w->at[i], name);
    if (!known) vec_push(el->arena, w, name);
}

static void search(Elab *el, const Tree *t, Words *found)
{
    if (t->kind == TREE_SCALAR) guess_each_name(el, t->loc, unknown_word, &(Search){found});
    for (uint32_t i = 0; t->kind == TREE_LIST && i < t->items.n; i++)
        search(el, t->items.at[i], found);
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++)
        if (strcmp(t->entries.at[i].key->text, "for")) search(el, t->entries.at[i].value, found);
}

// What the entry of a family may call an item.
static Words item_words(Elab *el, const Tree *entry)
{
    Words found = {0};
    if (el->scope) search(el, entry, &found);
    if (!found.n) {
        vec_push(el->arena, &found, "t");
        vec_push(el->arena, &found, "item");
    }
    return found;
}

void guess_item_word(Elab *el, const Tree *entry, Loc at)
{
    const Words words = item_words(el, entry);
    for (uint32_t i = 0; i < words.n; i++)
        guess_sure(el, at, words.at[i],
                   str_printf(el->arena, "%s in place of %s", words.at[i], text_at(el, at)));
}

void suggest_items(Elab *el, const Tree *entry)
{
    const Words words = item_words(el, entry);
    const Loc at = tree_get(entry, "for")->loc;
    const char *text = str_printf(el->arena, "{%s: %s}", words.at[0], text_at(el, at));
    diag_help(el->diag, "write for: %s, and %s in the other keys", text, words.at[0]);
    if (is_users(el, at) && diag_last_error(el->diag)) diag_mend(el->diag, at, text);
}

// ---- what a task needs ------------------------------------------------------------------------

void guess_loss(Elab *el, const Tree *task, bool expert)
{
    const Tree *output = tree_get(task, "output"), *target = tree_get(task, "target");
    for (uint32_t i = 0; output && target && i < el->defs.n; i++) {
        const ModuleDef *def = def_at(el, i, ROLE_MODULE);
        if (!def || !decl_find(&def->in, "output") || !decl_find(&def->in, "target")) continue;
        const char *row = str_printf(el->arena, "{module: %s}", def->name);
        if (expert)
            guess_entry(el, task->loc, "loss", row);
        else
            guess_entry(el, task->loc, "module", def->name);
    }
    if (output && target)
        guess_entry(el, task->loc, "loss",
                    "\"mean(square(output - target), axis=sample_axes(output))\"");
    else if (output)
        guess_entry(el, task->loc, "loss", "\"mean(square(output), axis=sample_axes(output))\"");
}

void guess_kinds(Elab *el, Loc at, const ModuleDef *metric)
{
    for (int with = metric != NULL; with >= 0; with--)
        for (uint32_t i = 0; i < el->defs.n; i++) {
            const ModuleDef *def = def_at(el, i, ROLE_KIND);
            if (!def) continue;
            const char *more =
                with ? str_printf(el->arena, ", metric: {module: %s}", metric->name) : "";
            guess_word(el, at, str_printf(el->arena, "%s%s", def->name, more));
        }
}
