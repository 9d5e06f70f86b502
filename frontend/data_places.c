// Fields of roles boxes and points: records of places in the view that they follow. Their parts are
// inputs of their own, NAME.xyxy and so on; the type of the field is that of its coordinates. And
// how many classes a field of any role has.
#include "base/file.h"
#include "frontend/guess.h"
#include "frontend/json.h"
#include "frontend/rewrite.h"

bool field_is_places(const Field *f)
{
    return f->role == FIELD_BOXES || f->role == FIELD_POINTS;
}

static const char *coordinates(const Field *f)
{
    return f->role == FIELD_BOXES ? "xyxy" : "xy";
}

// A part of it that is a tensor, of what may be it.
static void parts_of(Elab *el, Loc at, const char *name, const void *how)
{
    const char *parts[] = {"score", "class", coordinates(how), "valid", "labelled"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        guess_word(el, at, str_printf(el->arena, "%s.%s", name, parts[i]));
}

Value places_value(Elab *el, const Field *f, Loc loc)
{
    el_error(el, loc, "'%s' is a record of %s, and no tensor", f->name, field_role(f));
    diag_help(el->diag, "its parts are %s, class, score, valid, labelled, size and classes",
              coordinates(f));
    Loc at;
    if (diag_last(el->diag, &at)) guess_each_name(el, at, parts_of, f);
    return value_error();
}

// What others call a part; NULL: as we do.
static const char *part_called(const Field *f, const char *name)
{
    static const struct {
        const char *other, *ours; // NULL: its coordinates
    } words[] = {{"xy", NULL},        {"xyxy", NULL},          {"boxes", NULL},
                 {"box", NULL},       {"bbox", NULL},          {"points", NULL},
                 {"labels", "class"}, {"label", "class"},      {"category", "class"},
                 {"scores", "score"}, {"confidence", "score"}, {"mask", "valid"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].other, name) == 0)
            return words[i].ours ? words[i].ours : coordinates(f);
    return NULL;
}

static void suggest_part(Elab *el, const Field *f, const char *name)
{
    const char *const parts[] = {coordinates(f), "class", "score",  "valid",
                                 "labelled",     "size",  "classes"};
    const char *ours = part_called(f, name);
    const Map names = words_map(el, parts, sizeof parts / sizeof *parts);
    diag_help(el->diag, "its parts are %s, class, score, valid, labelled, size and classes",
              parts[0]);
    if (ours)
        suggest(el, ours, NULL);
    else
        suggest_words(el, name, &names);
}

// Height and width of the view, as numbers.
static Value view_size(Elab *el, const int64_t size[2])
{
    ValueList *l = arena_make(el->arena, ValueList);
    for (int i = 0; i < 2; i++) vec_push(el->arena, &l->v, value_int(size[i]));
    return value_list(l);
}

static Value part(Elab *el, const Field *f, const char *name, DType dtype, uint32_t rank)
{
    const Type *t = type_new(el->arena, dtype, rank, f->type->axes);
    return value_node(el, graph_input(el->graph, str_printf(el->arena, "%s.%s", f->name, name), t));
}

Value places_member(Elab *el, const Field *f, const char *name, Loc loc)
{
    if (strcmp(name, coordinates(f)) == 0) return part(el, f, name, DT_F32, 3);
    if (strcmp(name, "class") == 0) return part(el, f, name, DT_I32, 2);
    if (strcmp(name, "score") == 0) return part(el, f, name, DT_F32, 2);
    if (strcmp(name, "valid") == 0) return part(el, f, name, DT_BOOL, 2);
    if (strcmp(name, "size") == 0) return view_size(el, f->view_size);
    el_error(el, loc, "'%s' has no part '%s'", f->name, name);
    suggest_part(el, f, name);
    return value_error();
}

// ---- names of classes ---------------------------------------------------------------------------

typedef VEC(const char *) List;

// A name a line, without the blanks around it; empty lines count for nothing.
static void read_lines(Elab *el, const char *text, List *to)
{
    while (*text) {
        const char *next = text + strcspn(text, "\n");
        const char *begin = text + strspn(text, " \t\r"), *end = next;
        while (end > begin && strchr(" \t\r", end[-1])) end--;
        if (end > begin)
            vec_push(el->arena, to, str_slice(el->arena, begin, (size_t)(end - begin)));
        text = *next ? next + 1 : next;
    }
}

static bool read_list(Elab *el, const Tree *list, Loc loc, List *to)
{
    if (!list || list->kind != TREE_LIST)
        return el_error(el, loc, "there is no list of names of classes here");
    for (uint32_t i = 0; i < list->items.n; i++) {
        const Tree *item = list->items.at[i];
        if (item->kind != TREE_SCALAR || !*item->text) {
            el_error(el, item->loc, "the name of a class is a text");
            suggest_item(el, item);
            return false;
        }
        vec_push(el->arena, to, item->text);
    }
    return true;
}

// JSON is YAML as well: a list of names, or an object that has one under "classes", which is what
// pack writes.
static bool read_json(Elab *el, const char *path, const char *text, Loc loc, List *to)
{
    uint32_t source = diag_source(el->diag, path, text, strlen(text));
    const Tree *t = tree_read(el->arena, el->diag, source);
    return t && read_list(el, t->kind == TREE_MAP ? tree_get(t, "classes") : t, loc, to);
}

static bool read_file(Elab *el, const Tree *t, List *to)
{
    const char *dir = said_in(el, t), *path = t->text;
    FileMap map;
    Error err = {0};
    if (*dir && *path != '/') path = str_printf(el->arena, "%s/%s", dir, path);
    if (!file_map(&map, path, &err)) {
        el_error(el, t->loc, "%s", err.text);
        suggest_file(el, path);
        return false;
    }
    const char *text = str_slice(el->arena, (const char *)map.data, map.size);
    file_unmap(&map);
    const char *first = text + strspn(text, " \t\r\n");
    if (*first == '[' || *first == '{') return read_json(el, path, text, t->loc, to);
    read_lines(el, text, to);
    return true;
}

static bool read_names(Elab *el, const Tree *t, const Field *f, List *names)
{
    const uint32_t before = diag_reports(el->diag);
    bool read = t->kind == TREE_SCALAR ? read_file(el, t, names) : read_list(el, t, t->loc, names);
    if (read && !names->n) el_error(el, t->loc, "there are no names of classes in it");
    const uint32_t error = diag_reports(el->diag) > before ? diag_last_error(el->diag) : 0;
    if (error && !diag_has_mend(el->diag, error))
        suggest_choices(el, without_key(el, f->tree, "names"), (Choice){.text = NULL});
    return read && names->n > 0;
}

Value field_classes(Elab *el, const Field *f, Loc loc)
{
    const Tree *said = tree_get(f->tree, "classes"), *names = tree_get(f->tree, "names");
    List list = {0};
    int64_t n;
    if (said) {
        Value v = tree_eval(el, el->scope, said, NULL);
        return value_to_int(el, v, said->loc, "classes", &n) ? value_int(n) : value_error();
    }
    if (names) return read_names(el, names, f, &list) ? value_int(list.n) : value_error();
    el_error(el, loc, "'%s' does not say how many classes it has", f->name);
    diag_note(el->diag, f->loc, "the field is here; a kind of expert may be told 'classes' itself");
    guess_entry(el, f->tree->loc, "classes", "2");
    guess_entry(el, f->tree->loc, "classes", "4");
    return value_error();
}

static void put_names(Elab *el, Json *j, const Field *f)
{
    const Tree *t = tree_get(f->tree, "names"), *classes = tree_get(f->tree, "classes");
    List names = {0};
    int64_t n;
    if (!t || !read_names(el, t, f, &names)) return;
    if (classes &&
        value_to_int(el, tree_eval(el, el->scope, classes, NULL), classes->loc, "classes", &n)) {
        if (n < names.n) {
            el_error(el, classes->loc, "'classes' is %lld, and there are %u names", (long long)n,
                     names.n);
            suggest_choices(el, instead(el, classes, str_printf(el->arena, "%u", names.n)),
                            without_key(el, f->tree, "classes"));
        }
    }
    json_open(j, "names", '[');
    for (uint32_t i = 0; i < names.n; i++) json_str(j, NULL, names.at[i]);
    json_close(j, ']');
}

void places_put(Elab *el, Json *j, const Field *f, const char *view)
{
    const Tree *format = tree_get(f->tree, "format");
    json_str(j, "follow", view);
    json_int(j, "max", f->type->axes[1].size);
    if (format) json_str(j, "format", format->text);
    put_names(el, j, f);
}
