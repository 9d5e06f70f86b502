// Guesses where a module of another role is said, or a module for a value: others of the role that
// is wanted, and what is around it left out.
#include "frontend/mend.h"

static bool contains(Loc a, Loc b)
{
    return a.source == b.source && a.begin <= b.begin && b.end <= a.end;
}

// From the innermost entry outwards; a mapping without its `module:` says nothing.
static void leave_out_around(Elab *el, const Tree *t, Loc at, uint32_t depth)
{
    enum { DEEPEST = 3 }; // as experts.seg.metric
    for (uint32_t i = 0; t->kind == TREE_MAP && i < t->entries.n; i++) {
        const TreeEntry *e = &t->entries.at[i];
        const Loc lines = entry_place(el, t, i);
        const bool inside = contains(lines, at);
        if (!inside && !is_inherited(el, e->key->loc)) continue; // to which the file's own may come
        if (depth < DEEPEST) leave_out_around(el, e->value, at, depth + 1);
        if (!inside) continue;
        const char *text, *said;
        const bool task = depth > 0 && strcmp(e->key->text, "module") != 0;
        const Loc to = task ? entry_left_out(el, t, i, &text, &said) : (Loc){0};
        if (to.source) guess_add(el, to, text, said);
    }
}

void guess_no_entry_around(Elab *el, Loc at)
{
    if (el->root) leave_out_around(el, el->root, at, 0);
}

// How many inputs and settings of one module the other has too.
static uint32_t alike(const ModuleDef *a, const ModuleDef *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->in.n; i++) n += decl_find(&b->in, a->in.at[i].name) != NULL;
    return n;
}

// Another module's name; an optimiser says nothing without lr.
static void guess_module(Elab *el, Loc at, const ModuleDef *def)
{
    static const char *const usual[] = {"1e-3", "1e-4"};
    const bool lr = def->role == ROLE_OPTIMIZER && decl_find(&def->in, "lr");
    if (!lr) guess_word(el, at, def->name);
    for (int i = 0; lr && i < 2; i++)
        guess_word(el, at, str_printf(el->arena, "%s, lr: %s", def->name, usual[i]));
}

void guess_modules(Elab *el, ModuleRole role, const ModuleDef *wrong, Loc at)
{
    enum { MOST_ALIKE = 8 };
    const bool word = !strcmp(text_at(el, at), wrong->name);
    for (uint32_t same = MOST_ALIKE + 1; word && same--;)
        for (uint32_t i = 0; i < el->defs.n; i++) {
            const ModuleDef *def = def_at(el, i, role);
            if (!def || alike(wrong, def) != same) continue;
            if (same || role != ROLE_MODULE) guess_module(el, at, def);
        }
    guess_no_entry_around(el, at);
}

void guess_metrics(Elab *el, const ModuleDef *baseline, Loc at)
{
    for (uint32_t i = 0; i < el->defs.n; i++) {
        const ModuleDef *def = def_at(el, i, ROLE_METRIC);
        if (!def || def == baseline) continue;
        uint32_t has = 0;
        for (uint32_t k = 0; k < baseline->out.n; k++)
            for (uint32_t j = 0; j < def->out.n; j++)
                has += strcmp(def->out.at[j].name, baseline->out.at[k].name) == 0;
        if (has == baseline->out.n) guess_word(el, at, def->name);
    }
}

// Before definitions are read: the files that are imported have the names of optimisers.
void guess_optimizer(Elab *el, const Tree *train)
{
    static const char *const usual[] = {"1e-3", "1e-4"};
    const Tree *list = tree_get(el->root, "import"), *last = NULL;
    for (uint32_t i = 0; list && list->kind == TREE_LIST && i < list->items.n; i++) {
        last = list->items.at[i];
        if (last->kind != TREE_SCALAR || strncmp(last->text, "optim/", 6) != 0) continue;
        for (int k = 0; k < 2; k++)
            guess_added(el, train, "optimizer",
                        str_printf(el->arena, "{module: %s, lr: %s}", last->text + 6, usual[k]));
    }
    const char *s = list ? diag_source_text(el->diag, list->loc.source, NULL) : NULL;
    for (int k = 0; k < 2 && last && s && s[list->loc.begin] == '['; k++) { // none is imported
        const char *text, *row = str_printf(el->arena, "{module: adamw, lr: %s}", usual[k]);
        const Loc at = entry_added(el, train, "optimizer", row, &text);
        const Loc also = loc_in(last->loc.source, last->loc.end, last->loc.end);
        if (at.source && at.source == also.source)
            guess_both(el, at, text, also, ", optim/adamw",
                       str_printf(el->arena, "optimizer: %s, and import optim/adamw", row));
    }
}

static void guess_valid_of(Elab *el, const Tree *task, const Tree *fields)
{
    const Tree *target = tree_get(task, "target");
    for (int of_target = 1; of_target >= 0; of_target--)
        for (uint32_t i = 0; fields && i < fields->entries.n; i++) {
            const char *name = fields->entries.at[i].key->text;
            const bool said =
                target && target->kind == TREE_SCALAR && strstr(target->text, name) != NULL;
            if (said != of_target) continue;
            guess_added(el, task, "valid", str_printf(el->arena, "%s.valid", name));
            if (said) guess_key_as(el, target->loc, "target", name);
        }
}

void guess_valid(Elab *el, Loc task)
{
    static const char *const sections[] = {"experts", "losses"};
    for (int k = 0; k < 2; k++) {
        const Tree *section = tree_get(el->root, sections[k]);
        for (uint32_t i = 0; section && i < section->entries.n; i++) {
            const TreeEntry *e = &section->entries.at[i];
            if (e->key->loc.source == task.source && e->key->loc.begin == task.begin)
                guess_valid_of(el, e->value, data_section(el, "fields"));
        }
    }
}

// The sum of all tasks but one, as minimize: is where it is not said.
static const char *other_tasks(Elab *el, const Tree *but)
{
    const char *sum = "";
    for (uint32_t i = 0; i < el->tasks.n; i++) {
        const Task *t = el->tasks.at[i].value;
        if (t->tree != but) sum = str_printf(el->arena, "%s%s + ", sum, el->tasks.at[i].key);
    }
    return sum;
}

void guess_minimized(Elab *el, const Tree *task, const Tree *loss)
{
    uint32_t i;
    const Tree *section = parent_map(el->root, task, &i), *train = tree_get(el->root, "train");
    const Tree *old = tree_get(train, "minimize");
    if (!section || !train || loss->kind != TREE_SCALAR) return;
    const char *text, *sum = old && old->kind == TREE_SCALAR
                                 ? str_printf(el->arena, "%s + ", old->text)
                                 : other_tasks(el, task);
    sum = str_printf(el->arena, "\"%s%s\"", sum, loss->text);
    const Loc also = old ? old->loc : entry_added(el, train, "minimize", sum, &text);
    const Loc at = entry_place(el, section, i);
    if (!at.source || at.source != also.source || strchr(loss->text, '"')) return;
    guess_both(el, also, old ? sum : text, at, "",
               str_printf(el->arena, "minimize: %s, without this loss", sum));
}

// [linear, 3] where an instance is wanted: {module: linear, x: FIELD, out: 3}.
void guess_instance(Elab *el, const Tree *t)
{
    const Tree *fields = data_section(el, "fields");
    const Tree *name = t->kind == TREE_LIST && t->items.n == 2 ? t->items.at[0] : NULL;
    const Tree *setting = name ? t->items.at[1] : NULL;
    const bool words = name && name->kind == TREE_SCALAR && setting->kind == TREE_SCALAR;
    const ModuleDef *def = words ? def_named(el, name->text) : NULL;
    for (uint32_t i = 0; def && def->in.n == 1 && fields && i < fields->entries.n; i++)
        for (uint32_t k = def->let.n; k--;) {
            guess_word(el, t->loc,
                       str_printf(el->arena, "{module: %s, %s: %s, %s: %s}", name->text,
                                  def->in.at[0].name, fields->entries.at[i].key->text,
                                  def->let.at[k].name, setting->text));
        }
    guess_no_entry_around(el, t->loc);
}

// What a parameter of the graph may begin with whose name is in a place.
void guess_init(Elab *el, Loc name)
{
    static const char *const usual[] = {"0.02 * random_normal(shape)", "0", "1"};
    const Tree *params = tree_get(el->root, "params");
    for (uint32_t i = 0; params && i < params->entries.n; i++) {
        const TreeEntry *e = &params->entries.at[i];
        const Tree *init = tree_get(e->value, "init");
        if (!init || e->key->loc.source != name.source || e->key->loc.begin != name.begin) continue;
        for (int k = 0; k < 3; k++) {
            const char *text = quoted(el, init->loc, usual[k]);
            guess_key_as(el, init->loc, "init", text);
        }
    }
}
