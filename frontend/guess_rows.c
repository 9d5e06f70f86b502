// What errors between several shapes may come from: guesses about the rows of shapes:, and about
// what depends on the constants that they set.
#include "frontend/mend.h"

static const char *number_text(const Elab *el, Value v)
{
    double x;
    return value_number(v, &x) ? str_printf(el->arena, "%.10g", x) : NULL;
}

// A constant in the shape of the first row.
static const char *first_value(const Elab *own, const char *key)
{
    Elab *first = own->shapes.at[0]->el;
    if (!scope_find(first->scope, key)) return NULL;
    return number_text(own, scope_read(first, first->scope, key, (Loc){0}));
}

static uint32_t differences(const Shape *a, const Shape *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < a->values.n && i < b->values.n; i++)
        n += !value_equal(a->values.at[i], b->values.at[i]);
    return n;
}

static bool is_constant(const TreeEntry *e)
{
    return strcmp(e->key->text, "weight") != 0 && e->value->kind == TREE_SCALAR;
}

void guess_rows(Elab *own)
{
    const Shape *s = own->shape, *first = s ? own->shapes.at[0] : NULL;
    if (!s) return;
    const bool several = differences(s, first) > 1; // else it would be the first one's shape
    for (uint32_t i = 0; several && i < s->row->entries.n; i++) {
        const TreeEntry *e = &s->row->entries.at[i];
        const char *text = is_constant(e) ? first_value(own, e->key->text) : NULL;
        if (text) guess_key_as(own, e->value->loc, e->key->text, text);
        if (text && s->row->entries.n > 1) guess_without(own, s->row, e->key->text);
    }
    for (uint32_t i = 0; several && i < first->row->entries.n; i++) {
        const TreeEntry *e = &first->row->entries.at[i];
        if (is_constant(e) && first->row->entries.n > 1)
            guess_without(own, first->row, e->key->text);
    }
    const char *said = str_printf(own->arena, "the row %s", s->text);
    guess_without_item(own, tree_get(own->root, "shapes"), s->number - 1, said);
}

// Settings of the modules around a frame that have the name of a constant of the rows: what the
// first row says, as a number.
void guess_settings(Elab *own, const Frame *f)
{
    for (; f; f = f->parent) {
        if (!f->instance || !is_users(own, f->call)) continue;
        const Decls *let = &f->instance->def->let;
        for (uint32_t i = 0; i < let->n; i++) {
            const char *name = let->at[i].name;
            const char *text = tree_get(own->shape->row, name) ? first_value(own, name) : NULL;
            if (text) guess_entry(own, f->call, name, text);
        }
    }
}

// From, until and every of an entry that are others in this shape than in the first: one of both.
static void other_times(Elab *own, const Tree *t)
{
    static const char *const keys[] = {"from", "until", "every"};
    Elab *first = own->shapes.at[0]->el;
    for (int i = 0; i < 3; i++) {
        const Tree *x = tree_get(t, keys[i]);
        if (!x) continue;
        const char *a = number_text(own, tree_eval(first, first->scope, x, NULL));
        const char *b = number_text(own, tree_eval(own, own->scope, x, NULL));
        if (!a || !b || strcmp(a, b) == 0) continue;
        guess_key_as(own, x->loc, keys[i], a);
        guess_key_as(own, x->loc, keys[i], b);
    }
}

void guess_times(Elab *own)
{
    static const char *const sections[] = {"losses", "experts", "ema", "watch"};
    for (int i = 0; i < 4; i++) {
        const Tree *section = tree_get(own->root, sections[i]);
        for (uint32_t k = 0; section && k < section->entries.n; k++)
            other_times(own, section->entries.at[k].value);
    }
    guess_rows(own);
}

// What a row of shapes that is no mapping may mean: a value of a constant.
void guess_row(Elab *el, const Tree *row, const Tree *list, uint32_t number)
{
    const Tree *let = tree_get(el->root, "let");
    for (uint32_t i = 0; let && row->kind == TREE_SCALAR && i < let->entries.n; i++) {
        const char *key = let->entries.at[i].key->text;
        bool set = false; // by another row, which is more likely
        for (uint32_t k = 0; k < list->items.n; k++)
            set |= tree_get(list->items.at[k], key) != NULL;
        if (!set) continue;
        guess_word(el, row->loc, str_printf(el->arena, "{%s: %s}", key, row->text));
    }
    guess_without_item(el, list, number, "the row");
}
