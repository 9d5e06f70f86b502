// What a wrong shape may come from: guesses that trial.c tries. A size is looked for among the
// numbers the user wrote, first in the calls that lead to the error, then in the whole file: the
// number itself, the other side's, and then what is as many times larger or smaller. A value is
// exchanged for the other values of its module, or brought into the form that is wanted.
#include "frontend/guess.h"
#include "frontend/advice.h"
#include "frontend/mend.h"
#include "frontend/rewrite.h"

#include <ctype.h>
#include <stdlib.h>

static bool part_of_number(char c)
{
    return path_part(c) || c == '-';
}

// Numbers that have no part in shapes.
static bool is_other(const char *s, uint32_t i)
{
    static const char *const keys[] = {"batch: ", "steps: ", "seed: ", "cztc: ", "every: ", "lr: "};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        size_t n = strlen(keys[k]);
        if (i >= n && memcmp(s + i - n, keys[k], n) == 0) return true;
    }
    return false;
}

// Does no more of a value follow?
static bool value_ends(const char *s)
{
    if (*s == ' ') return s[1] == '#' || value_ends(s + 1);
    return !*s || strchr(",)}]\n\"'", *s);
}

const char *with_key(Elab *el, const char *s, Loc at, const char *number)
{
    uint32_t i = at.begin;
    while (i && s[i - 1] == ' ') i--;
    const bool key = i > 1 && strchr(":=", s[i - 1]) && !strchr("!<>= ", s[i - 2]);
    if (!key || !value_ends(s + at.end))
        return str_printf(el->arena, "%s in place of %.*s", number, (int)(at.end - at.begin),
                          s + at.begin);
    uint32_t end = i - 1, begin = end;
    while (begin && word_part(s[begin - 1])) begin--;
    const char *space = s[end] == ':' ? " " : "";
    return str_printf(el->arena, "%.*s%s%s", (int)(end + 1 - begin), s + begin, space, number);
}

// How one size becomes another: x of the user's, times `to` over `from`, where x is `only` or that
// is 0.
typedef VEC(Loc) Places;
typedef struct Change {
    int64_t from, to, only;
    Places *found; // takes the places, of which no guess is made; or NULL
} Change;

// Guess the change of every number in a place.
static void change_numbers(Elab *el, Loc at, Change c)
{
    const char *s = source_of(el, at);
    bool comment = false;
    if (!s || !is_users(el, at)) return;
    for (uint32_t i = at.begin; i < at.end; i++) {
        comment = s[i] == '\n' ? false : comment || (s[i] == '#' && (!i || s[i - 1] == ' '));
        bool begins = isdigit((unsigned char)s[i]) && i && !part_of_number(s[i - 1]) &&
                      s[i - 1] != ':'; // of a slice
        if (comment || !begins) continue;
        uint32_t end = i;
        while (end < at.end && part_of_number(s[end])) end++;
        char *stop;
        int64_t x = strtoll(s + i, &stop, 10);
        bool whole = stop == s + end && x > 0 && x < 1 << 24 && x * c.to % c.from == 0;
        int64_t y = whole ? x * c.to / c.from : 0;
        if (y > 0 && (!c.only || c.only == x) && !is_other(s, i)) {
            const char *number = str_printf(el->arena, "%lld", (long long)y);
            const Loc place = loc_in(at.source, i, end);
            if (c.found)
                vec_push(el->arena, c.found, place);
            else
                guess_add(el, place, number, with_key(el, s, place, number));
        }
        i = end - 1;
    }
}

// The same in the calls that lead here, and then in the whole file and in those it extends.
static void change_everywhere(Elab *el, Change c)
{
    size_t size = 0;
    for (const Frame *f = el->frame; f; f = f->parent)
        if (f->call.source == el->root->loc.source) change_numbers(el, f->call, c);
    diag_source_text(el->diag, el->root->loc.source, &size);
    change_numbers(el, loc_in(el->root->loc.source, 0, (uint32_t)size), c);
    for (uint32_t i = 1; diag_source_text(el->diag, i, &size); i++)
        if (is_inherited(el, loc_in(i, 0, 0))) change_numbers(el, loc_in(i, 0, (uint32_t)size), c);
    for (const Frame *f = el->frame; f; f = f->parent)
        if (f->call.source) change_numbers(el, f->call, c); // of libraries beside the file
}

static bool can_differ(int64_t a, int64_t b)
{
    return a > 0 && b > 0 && a != b && a < 1 << 24 && b < 1 << 24;
}

void guess_size_to(Elab *el, int64_t from, int64_t to)
{
    if (can_differ(from, to)) change_everywhere(el, (Change){from, to, from, NULL});
}

void guess_exact_sizes(Elab *el, int64_t a, int64_t b)
{
    if (!can_differ(a, b)) return;
    change_everywhere(el, (Change){a, b, a, NULL});
    change_everywhere(el, (Change){b, a, b, NULL});
}

enum { MOST_PLACES = 3 }; // of a size that may be changed in two of them

// Another size in two places of the graph: of which one alone only moves the error.
static void change_pairs(Elab *el, int64_t from, int64_t to)
{
    Places p = {0};
    size_t size = 0;
    const char *s = diag_source_text(el->diag, el->root->loc.source, &size);
    const char *number = str_printf(el->arena, "%lld", (long long)to);
    change_numbers(el, loc_in(el->root->loc.source, 0, (uint32_t)size),
                   (Change){from, to, from, &p});
    for (uint32_t i = 0; p.n <= MOST_PLACES && i < p.n; i++)
        for (uint32_t k = i + 1; k < p.n; k++)
            guess_both(el, p.at[i], number, p.at[k], number,
                       str_printf(el->arena, "%s and %s", with_key(el, s, p.at[i], number),
                                  with_key(el, s, p.at[k], number)));
}

void guess_sizes(Elab *el, int64_t a, int64_t b)
{
    const Turn turn = el->turn;
    if (!can_differ(a, b)) return;
    guess_exact_sizes(el, a, b);
    el->turn = TURN_LATE;
    change_pairs(el, a, b);
    change_pairs(el, b, a);
    el->turn = turn;
    change_everywhere(el, (Change){a, b, 0, NULL});
    change_everywhere(el, (Change){b, a, 0, NULL});
}

void guess_multiples(Elab *el, int64_t size, int64_t factor)
{
    const int64_t above = factor > 0 ? (size / factor + 1) * factor : 0, below = above - factor;
    if (size < 1 || size > 1 << 24 || !above) return;
    change_everywhere(el, (Change){size, above, size, NULL});
    if (below) change_everywhere(el, (Change){size, below, size, NULL});
    guess_rows(el);
}

// ---- values -----------------------------------------------------------------------------------

// stats.phi.big.out of another teacher.
static void other_teachers(Elab *el, Loc at, const char *name)
{
    const char *row = strchr(name, '.') + 1, *teacher = strchr(row, '.');
    const char *rest = teacher ? strchr(teacher + 1, '.') : NULL;
    const Binding *b = scope_find(el->scope, "teachers");
    if (!rest || !b || !b->forced || b->value.kind != V_RECORD) return;
    for (uint32_t i = 0; i < b->value.record->n; i++) {
        guess_word(el, at,
                   str_printf(el->arena, "%.*s.%s%s", (int)(teacher - name), name,
                              b->value.record->at[i].key, rest));
    }
}

// The other values of the instance that a name such as visual.tokens is one of.
static void other_members(Elab *el, Loc at, const char *name)
{
    const char *dot = strchr(name, '.');
    if (!strncmp(name, "stats.", 6)) other_teachers(el, at, name);
    const char *first = dot ? str_slice(el->arena, name, (size_t)(dot - name)) : name;
    const Binding *b = scope_find(el->scope, first);
    if (!b || !b->forced || b->value.kind != V_INSTANCE) return;
    const ModuleDef *def = b->value.instance->def;
    const Items *both[] = {&def->out, &def->body};
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 0; i < both[k]->n; i++) {
            const char *text = str_printf(el->arena, "%s.%s", first, both[k]->at[i].name);
            if (!strchr(text, ',')) guess_add(el, at, text, text);
        }
}

// Forms of a value of `rank` axes (0: not known) that may be what is wanted.
static void other_forms(Elab *el, Loc at, const char *text, uint32_t rank, uint32_t wanted)
{
    static const struct {
        uint32_t rank, wanted;
        const char *before, *after;
    } forms[] = {{4, 3, "features(", ")"},
                 {4, 2, "mean(", ", axis=[2, 3])"},
                 {3, 2, "mean(", ", axis=1)"},
                 {3, 2, "", "[:, 0]"},
                 {4, 2, "max(", ", axis=[2, 3])"},
                 {3, 2, "max(", ", axis=1)"},
                 {2, 3, "insert_axis(", ", 1)"},
                 {3, 4, "insert_axis(", ", 1)"},
                 {2, 1, "", "[:, 0]"},
                 {0, 0, "transpose(", ")"},
                 {4, 4, "channels_last(", ")"},
                 {4, 4, "features(", ")"},
                 {4, 4, "normalize(", ", norm.clip)"}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        bool fits =
            forms[i].rank ? forms[i].rank == rank && forms[i].wanted == wanted : rank == wanted;
        if (!fits) continue;
        const bool last = !strcmp(forms[i].before, "channels_last("); // of a file
        if (last && !map_find(&el->defs, "channels_last")) continue;
        const char *x = str_printf(el->arena, "%s%s%s", forms[i].before, text, forms[i].after);
        guess_word(el, at, quoted(el, at, x));
    }
}

// The digit of an axis that is said here, "axis=0", or may be, an argument behind another one: 0
// where there is none.
static uint32_t axis_at(const char *s, uint32_t i, uint32_t end)
{
    uint32_t digit = 0;
    if (s[i] == ',' && i + 3 < end && s[i + 1] == ' ' && strchr("),", s[i + 3]))
        digit = i + 2;
    else if (i + 5 < end && memcmp(s + i, "axis", 4) == 0 && strchr("=:", s[i + 4]))
        digit = i + 5 + (s[i + 4] == ':');
    return digit && isdigit((unsigned char)s[digit]) && !path_part(s[digit + 1]) ? digit : 0;
}

void guess_other_axes(Elab *el, Loc at)
{
    const char *s = diag_source_text(el->diag, at.source, NULL);
    for (uint32_t i = at.begin; i < at.end; i++) {
        const uint32_t digit = axis_at(s, i, at.end);
        if (!digit) continue;
        int now = s[digit] - '0';
        const Loc place = loc_in(at.source, digit, digit + 1);
        for (int k = 1; k <= 3; k++) {
            const char *number = str_printf(el->arena, "%d", (now + k) % 4);
            guess_add(el, place, number, with_key(el, s, place, number));
        }
    }
}

// Is it a place of the user's, with something in it, all in one line?
static bool in_line(const Elab *el, Loc at)
{
    const char *s = is_users(el, at) ? source_of(el, at) : NULL;
    return s && at.begin < at.end && !memchr(s + at.begin, '\n', at.end - at.begin);
}

uint32_t guess_each_name(Elab *el, Loc at, NameGuess *fn, const void *how)
{
    const char *s = source_of(el, at);
    if (!in_line(el, at)) return 0;
    char quote = 0;
    uint32_t names = 0;
    for (uint32_t i = at.begin; i < at.end; i++) {
        bool begins = isalpha((unsigned char)s[i]) && !(i && path_part(s[i - 1]));
        bool string = (s[i] == '"' || s[i] == '\'') && i > at.begin && strchr("(, ", s[i - 1]) &&
                      memchr(s + i, ',', at.end - i); // a pattern, not a quoted scalar
        if (quote ? s[i] == quote : string) quote = quote ? 0 : s[i];
        if (quote || !begins) continue;
        uint32_t end = i;
        while (end < at.end && path_part(s[end])) end++;
        const Loc place = loc_in(at.source, i, end);
        const char *name = str_slice(el->arena, s + i, end - i);
        const uint32_t begin = i;
        i = end - 1;
        if (s[end] && strchr("(:=", s[end])) continue; // a function, or a key
        if (begin >= 8 && !strncmp(s + begin - 8, "module: ", 8)) continue;
        fn(el, place, name, how);
        names++;
    }
    return names;
}

static void other_layout(Elab *el, Loc at, const char *name, const void *how)
{
    static const char *const layouts[] = {"channels_last", "channels_first"};
    (void)how;
    for (int i = 0; i < 2; i++) {
        const char *text = str_printf(el->arena, "%s(%s)", layouts[i], name);
        if (map_find(&el->defs, layouts[i])) guess_add(el, at, text, text);
    }
}

void guess_layouts(Elab *el, Loc at)
{
    guess_each_name(el, at, other_layout, NULL);
}

typedef struct Ranks {
    uint32_t rank, wanted;
} Ranks;

static void value_of_name(Elab *el, Loc at, const char *name, const void *how)
{
    const Ranks *r = how;
    bool grid = r->rank == 4 && r->wanted == 3; // as features(x), more likely than another value
    if (grid) other_forms(el, at, name, r->rank, r->wanted);
    other_members(el, at, name);
    if (!grid) other_forms(el, at, name, r->rank, r->wanted);
}

static void values_of(Elab *el, Loc at, uint32_t rank, uint32_t wanted)
{
    const char *s = source_of(el, at);
    if (!in_line(el, at)) return;
    guess_other_axes(el, at);
    uint32_t names = guess_each_name(el, at, value_of_name, &(Ranks){rank, wanted});
    bool whole = s[at.begin] == '{' || s[at.begin] == '"' || s[at.begin] == '\'';
    if (!whole && names != 1)
        other_forms(el, at, str_slice(el->arena, s + at.begin, at.end - at.begin), rank, wanted);
}

void guess_values(Elab *el, Loc at, uint32_t rank, uint32_t wanted)
{
    uint32_t graph = el->root->loc.source; // is more likely wrong than a library
    if (at.source == graph) values_of(el, at, rank, wanted);
    for (int own = 1; own >= 0; own--)
        for (const Frame *f = el->frame; f; f = f->parent)
            if (f->call.source && (f->call.source == graph) == own)
                values_of(el, f->call, rank, wanted);
    values_of(el, at, rank, wanted);
}

// ---- words and entries ------------------------------------------------------------------------

void guess_word(Elab *el, Loc at, const char *word)
{
    guess_add(el, at, word, word);
}

void guess_sure_word(Elab *el, Loc at, const char *text)
{
    guess_sure(el, at, text, text);
}

void guess_exchanged(Elab *el, Loc at, const char *text, const char *old)
{
    guess_add(el, at, text, str_printf(el->arena, "%s in place of %s", text, old));
}

void guess_key_as(Elab *el, Loc value, const char *key, const char *text)
{
    guess_add(el, value, text, str_printf(el->arena, "%s: %s", key, text));
}

typedef void GuessFn(Elab *el, Loc at, const char *text, const char *said);

// Where the value of a key belongs that has none, or null, in a place: that, or the key itself.
// False where the place is of something else.
static bool no_value(const char *s, Loc *at, const char *key)
{
    static const char *const nulls[] = {"null", "~"};
    const size_t n = strlen(key);
    uint32_t p = at->begin, end;
    if (!strncmp(s + p, key, n)) p += (uint32_t)n;
    while (p && s[p] != ':' && strchr(" :", s[p - 1])) p--;
    if (s[p] != ':' || p < n || strncmp(s + p - n, key, n)) return false;
    for (end = ++p; s[end] == ' ';) end++;
    for (int i = 0; i < 2; i++)
        if (!strncmp(s + end, nulls[i], strlen(nulls[i]))) end += (uint32_t)strlen(nulls[i]);
    if (s[end] && !strchr("\n,} #", s[end])) return false;
    while (end > p && s[end - 1] == ' ') end--;
    *at = loc_in(at->source, p, end);
    return true;
}

static void new_entry(Elab *el, Loc map, const char *key, const char *value, GuessFn *guess)
{
    const char *s = source_of(el, map);
    if (!s || !s[map.begin]) return;
    const char *said = str_printf(el->arena, "%s: %s", key, value);
    Loc there = map;
    if (no_value(s, &there, key)) {
        guess(el, there, str_printf(el->arena, " %s", value), said);
        return;
    }
    if (s[map.begin] == '{') { // {module: x, ..}
        const Loc at = loc_in(map.source, map.begin + 1, map.begin + 1);
        guess(el, at, str_printf(el->arena, "%s, ", said), said);
        return;
    }
    const uint32_t end = map.end + (uint32_t)strspn(s + map.end, " ");
    const uint32_t line = line_begin(s, map.begin);
    const Loc at = loc_in(map.source, map.end, map.end);
    if (s[end] == ':') // its first key
        guess(el, loc_in(map.source, map.begin, map.begin),
              str_printf(el->arena, "%s\n%*s", said, (int)(map.begin - line), ""), said);
    else if (s[end] == ',' || s[end] == '}')
        guess(el, at, str_printf(el->arena, ", %s", said), said);
    else if (s[end] == '\n')
        guess(el, at, str_printf(el->arena, "\n%*s%s", (int)strspn(s + line, " "), "", said), said);
}

void guess_entry(Elab *el, Loc map, const char *key, const char *value)
{
    new_entry(el, map, key, value, guess_add);
}

void guess_setting(Elab *el, Loc map, const char *key, const char *value)
{
    new_entry(el, map, key, value, guess_sure);
}

void guess_names(Elab *el, Loc one, Loc other, const char *name)
{
    const char *better = str_printf(el->arena, "%s_2", name);
    const Loc places[] = {one, other};
    for (int i = 0; i < 2; i++)
        if (!strcmp(text_at(el, places[i]), name)) guess_exchanged(el, places[i], better, name);
    el->turn = TURN_LATE;
    for (int i = 0; i < 2; i++) guess_left_out(el, places[i]);
    el->turn = TURN_PLAIN;
}

void guess_item(Elab *el, Loc at, uint32_t n)
{
    const char *list = text_at(el, at);
    const size_t size = strlen(list);
    if (size < 3 || *list != '[' || list[size - 1] != ']') return;
    if (n == 1)
        suggest(el, str_slice(el->arena, list + 1, size - 2), NULL);
    else
        guess_word(el, at, quoted(el, at, str_printf(el->arena, "sum(%s)", list)));
}

void guess_number(Elab *el)
{
    Loc at;
    if (!diag_last(el->diag, &at)) return;
    guess_usual(el, at);
    guess_left_out(el, at);
}

// Guess another value wherever entries of a section say a key so.
static void other_values(Elab *el, const char *section, const char *key, const char *said,
                         const char *other)
{
    const Tree *t = tree_get(el->root, section);
    for (uint32_t i = 0; t && i < t->entries.n; i++) {
        const Tree *x = tree_get(t->entries.at[i].value, key);
        if (!x || x->kind != TREE_SCALAR || (said && strcmp(x->text, said))) continue;
        const char *text = other ? other : t->entries.at[i].key->text;
        guess_key_as(el, x->loc, key, text);
        el->turn = TURN_LATE;
        if (!said) guess_left_out(el, x->loc);
        el->turn = TURN_PLAIN;
    }
}

void guess_paths(Elab *el)
{
    static const char *const sections[] = {"heads", "encoders", "experts", "losses"};
    for (int i = 0; i < 4; i++) other_values(el, sections[i], "path", NULL, NULL);
}

void guess_weights(Elab *el)
{
    static const char *const sections[] = {"losses", "experts"};
    for (int i = 0; i < 2; i++) {
        const Tree *t = tree_get(el->root, sections[i]);
        other_values(el, sections[i], "weight", "0", "1");
        other_values(el, sections[i], "enabled", "false", "true");
        for (uint32_t k = 0; t && k < t->entries.n; k++) {
            guess_without(el, t->entries.at[k].value, "weight");
            guess_without(el, t->entries.at[k].value, "enabled");
        }
    }
}

// Fields whose role is this; any role where that is NULL.
static const Tree *next_field(const Elab *el, uint32_t *i, const char *role, const char **name)
{
    const Tree *fields = data_section(el, "fields");
    while (fields && *i < fields->entries.n) {
        const TreeEntry *e = &fields->entries.at[(*i)++];
        const Tree *as = tree_get(e->value, "as");
        *name = e->key->text;
        if (!role || (as && as->kind == TREE_SCALAR && strcmp(as->text, role) == 0))
            return e->value;
    }
    return NULL;
}

void guess_role(Elab *el, const char *role, const Field *f, Loc at)
{
    const char *name;
    for (uint32_t i = 0; next_field(el, &i, role, &name);) guess_sure_word(el, at, name);
    const Tree *as = tree_get(f->tree, "as");
    if (as && as->kind == TREE_SCALAR) guess_key_as(el, as->loc, "as", role);
}

// Is a field of integers, which a value of numbers is not made of?
static bool counts(const Elab *el, const char *field, const Decl *d)
{
    const Binding *b = scope_find(el->scope, field);
    const bool known = b && b->forced && b->value.kind == V_FIELD && b->value.field->type;
    return known && d->dtype == DT_NONE && !d->role && !dtype_is_float(b->value.field->type->dtype);
}

static void guess_fields(Elab *el, const Decl *d, Loc loc)
{
    const char *name;
    for (uint32_t i = 0; next_field(el, &i, d->role, &name);) {
        const Turn turn = el->turn;
        if (counts(el, name, d)) el->turn = TURN_LAST;
        (d->role ? guess_setting : guess_entry)(el, loc, d->name, name);
        el->turn = turn;
    }
}

// What the task around a mapping gives to an input of that name: itself, or its loss.
static void guess_beside(Elab *el, const Decl *d, Loc loc)
{
    const Tree *task = task_around(el, loc), *loss = tree_get(task, "loss");
    const Tree *x = task ? tree_get(task, d->name) : NULL;
    if (!x && loss) x = tree_get(loss, d->name);
    if (!x || x->kind != TREE_SCALAR) return;
    const bool plain = !strpbrk(x->text, ",[]{}:#\"'");
    const char *value = plain ? x->text : str_printf(el->arena, "\"%s\"", x->text);
    const Choice row = with_setting(el, loc, d->name, value);
    el->turn = TURN_EARLY;
    if (row.text && is_users(el, loc))
        suggest_choices(el, row, (Choice){0});
    else
        guess_setting(el, loc, d->name, value);
    el->turn = TURN_PLAIN;
}

// Views as images of an encoder.
static void guess_images(Elab *el, const Decl *d, Loc loc)
{
    const Tree *views = data_section(el, "views");
    for (uint32_t i = 0; views && views->kind == TREE_MAP && i < views->entries.n; i++)
        for (int k = 0; k < 2; k++) {
            const char *name = views->entries.at[i].key->text;
            const char *text = k ? str_printf(el->arena, "unit(views.%s)", name)
                                 : str_printf(el->arena, "normalize(views.%s, norm.clip)", name);
            guess_entry(el, loc, d->name, quoted(el, loc, text));
        }
}

void guess_input(Elab *el, const Decl *d, Loc loc)
{
    if (d->word == WORD_INT)
        for (int x = 2; x <= 4; x += 2)
            guess_entry(el, loc, d->name, str_printf(el->arena, "%d", x));
    guess_beside(el, d, loc);
    if (d->is_shape || d->role) guess_fields(el, d, loc);
    if (d->is_shape) guess_images(el, d, loc);
    for (int body = 0; d->is_shape && body < 2; body++) {
        for (uint32_t k = 0; k < el->instances.n; k++) {
            const Instance *inst = el->instances.at[k].value;
            const Items *items = body ? &inst->def->body : &inst->def->out;
            for (uint32_t i = 0; i < items->n; i++)
                guess_entry(
                    el, loc, d->name,
                    str_printf(el->arena, "%s.%s", el->instances.at[k].key, items->at[i].name));
        }
    }
    if (d->is_shape || d->role) guess_all(el); // that there is
}

// ---- from the text of an error ----------------------------------------------------------------

enum { MOST_AXES = 8 };

// The plain axes of the next shape, such as f32[4b, 8]; a batch axis is 0.
static const char *next_shape(const char *p, int64_t *axes, uint32_t *rank)
{
    while (p && (p = strchr(p, '['))) {
        char *end;
        *rank = 0;
        if (!isdigit((unsigned char)*++p)) continue;
        while (*rank < MOST_AXES) {
            int64_t x = strtoll(p, &end, 10);
            bool batch = *end == 'b';
            axes[(*rank)++] = batch ? 0 : x;
            while (isalnum((unsigned char)*end)) end++;
            if (*end != ',') break;
            p = end + 1;
        }
        if (*end == ']') return end;
    }
    return NULL;
}

// The calls in a place that reduce a value, with its axes kept.
static void guess_kept(Elab *el, Loc at)
{
    static const char *const names[] = {"sum(", "mean(", "max(", "min(", "logsumexp("};
    const char *text = text_at(el, at);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        for (const char *p = text; (p = strstr(p, names[k])); p++) {
            const char *end = p + strlen(names[k]);
            if (p > text && path_part(p[-1])) continue;
            for (int depth = 1; *end && depth; end++)
                depth += (strchr("([", *end) != NULL) - (strchr(")]", *end) != NULL);
            const char *call = str_slice(el->arena, p, (size_t)(end - p));
            if (end[-1] != ')' || !strchr(call, ',') || strstr(call, "keep")) continue;
            const uint32_t to = at.begin + (uint32_t)(end - text) - 1;
            guess_add(el, loc_in(at.source, to, to), ", keep=true",
                      str_printf(el->arena, "keep=true in %s", call));
        }
}

void guess_from_text(Elab *el, const char *text)
{
    int64_t a[MOST_AXES], b[MOST_AXES];
    uint32_t na, nb;
    Loc at;
    const char *p = next_shape(text, a, &na);
    if (!p || !next_shape(p, b, &nb) || !diag_last(el->diag, &at)) return;
    for (uint32_t i = 1; i <= na && i <= nb; i++) {
        int64_t x = a[na - i], y = b[nb - i];
        if (x == y || x <= 1 || y <= 1) continue;
        guess_exact_sizes(el, x, y);
        break;
    }
    guess_rows(el);
    guess_whole(el, at);
    if (na != nb) guess_kept(el, at);
    guess_values(el, at, na, nb);
    for (uint32_t i = 1; i <= na && i <= nb; i++)
        if (a[na - i] != b[nb - i]) guess_sizes(el, a[na - i], b[nb - i]);
    for (uint32_t i = 1; i <= na && na == nb; i++) {
        const int64_t axis = na - i, x = a[axis], y = b[axis];
        if (x == y) continue;
        guess_fitting(el, at, (Wanted){na, na, axis, x, y, DT_NONE});
        guess_fitting(el, at, (Wanted){na, na, axis, y, x, DT_NONE});
    }
}
