// The YAML reader: kinds, texts, and the source byte of every byte of a scalar in every style.
#include "frontend/tree.h"

#include <criterion/criterion.h>

#include <string.h>

typedef struct Read {
    Arena *arena;
    Diag *diag;
    const char *source;
    Tree *root;
} Read;

static Read read_bytes(const char *text, size_t size)
{
    Read r = {.arena = arena_new(), .source = text};
    r.diag = diag_new(r.arena);
    r.root = tree_read(r.arena, r.diag, diag_source(r.diag, "t.yaml", text, size));
    return r;
}

static Read read_good(const char *text)
{
    Read r = read_bytes(text, strlen(text));
    if (diag_errors(r.diag)) diag_print(r.diag, stderr);
    cr_assert(r.root && !diag_errors(r.diag), "%s", text);
    return r;
}

// The scalar under "k" of the text has this value, and its byte i comes from byte places[i] behind
// `anchor`'s first occurrence in the source.
static void check_places(const char *text, const char *value, const char *anchor, const int *places)
{
    Read r = read_good(text);
    const Tree *t = tree_get(r.root, "k");
    cr_assert(t && t->kind == TREE_SCALAR, "%s", text);
    cr_assert_str_eq(t->text, value, "%s: got '%s'", text, t->text);
    size_t base = (size_t)(strstr(text, anchor) - text), n = strlen(value);
    for (size_t i = 0; i <= n; i++)
        cr_expect_eq(t->place[i], base + (size_t)places[i], "%s: byte %zu is at %u, not %zu", text,
                     i, t->place[i], base + (size_t)places[i]);
    arena_free(r.arena);
}

#define PLACES(text, value, anchor, ...)                                                           \
    check_places(text, value, anchor, (const int[]){__VA_ARGS__})

Test(tree, kinds)
{
    Read r = read_good(
        "a: 1\nb: {c: x, d: [1, two, \"3\"]}\ne:\nf: ~\ng: null\nh: 'null'\ni: on\nj: ''\n");
    cr_expect_eq(r.root->kind, TREE_MAP);
    cr_expect_eq(r.root->entries.n, 8u);
    const Tree *d = tree_get(tree_get(r.root, "b"), "d");
    cr_assert_eq(d->kind, TREE_LIST);
    cr_expect_eq(d->items.n, 3u);
    cr_expect_str_eq(d->items.at[1]->text, "two");
    cr_expect(!d->items.at[1]->quoted && d->items.at[2]->quoted);
    cr_expect_eq(tree_get(r.root, "e")->kind, TREE_NULL);
    cr_expect_eq(tree_get(r.root, "f")->kind, TREE_NULL);
    cr_expect_eq(tree_get(r.root, "g")->kind, TREE_NULL);
    cr_expect_eq(tree_get(r.root, "h")->kind, TREE_SCALAR);
    cr_expect_str_eq(tree_get(r.root, "i")->text, "on");
    cr_expect_eq(tree_get(r.root, "j")->kind, TREE_SCALAR);
    cr_expect_null(tree_get(r.root, "z"));
    cr_expect_null(tree_get(d, "a"));
    cr_expect_str_eq(tree_entry(r.root, "a")->key->text, "a");
    arena_free(r.arena);
}

Test(tree, places_plain)
{
    PLACES("k: a + b\n", "a + b", "a", 0, 1, 2, 3, 4, 5);
    PLACES("é: ü\nk: x\n", "x", "x", 0, 1);
    PLACES("k: ab  \n   cd\n", "ab cd", "ab", 0, 1, 2, 8, 9, 10);
    PLACES("k: a\n\n\n  b\n", "a\n\nb", "a", 0, 2, 3, 6, 7);
    PLACES("k: a\r\n  b\r\n", "a b", "a", 0, 1, 5, 6);
    PLACES("k: é.x # c\n", "é.x", "é", 0, 1, 2, 3, 4);
}

Test(tree, places_quoted)
{
    PLACES("k: 'it''s'\n", "it's", "it", 0, 1, 2, 4, 5);
    PLACES("k: \"a\\tb\"\n", "a\tb", "a", 0, 1, 3, 4);
    PLACES("k: \"a\\u00e9b\"\n", "aéb", "a", 0, 1, 1, 7, 8);
    PLACES("k: \"\\x41\\U0001F600\"\n", "A\xf0\x9f\x98\x80", "\\x41", 0, 4, 4, 4, 4, 14);
    PLACES("k: \"a \\\n   b\"\n", "a b", "a", 0, 1, 7, 8);
    PLACES("k: \"a  \n\n  b\"\n", "a\nb", "a", 0, 4, 7, 8);
    PLACES("k: 'a\n  b'\n", "a b", "a", 0, 1, 4, 5);
    PLACES("k: \"\\n\\\\\\\"\"\n", "\n\\\"", "\\n", 0, 2, 4, 6);
}

Test(tree, places_block)
{
    PLACES("k: |\n  ab\n   c\n\n  d\n", "ab\n c\n\nd\n", "ab", 0, 1, 2, 5, 6, 7, 8, 11, 12, 13);
    PLACES("k: >-\n  ab\n  cd\n\n  ef\n", "ab cd\nef", "ab", 0, 1, 2, 5, 6, 8, 11, 12, 13);
    PLACES("k: >\n  a\n\n   b\n  c\n", "a\n\n b\nc\n", "a", 0, 1, 2, 5, 6, 7, 10, 11, 12);
    PLACES("k: |2-  # note\n    é\n", "  é", "  é", 0, 1, 2, 3, 4);
    PLACES("k: |+\n  a\n\nj: 1\n", "a\n\n", "a", 0, 1, 2, 3);
    PLACES("k: |\n\n\n  a\n", "\n\na\n", "\n\n\n", 1, 2, 5, 6, 7);
}

Test(tree, place_of_a_part)
{
    Read r = read_good("a: é\nk: \"x \\u00e9 + foo\"\n");
    const Tree *t = tree_get(r.root, "k");
    size_t at = (size_t)(strstr(t->text, "foo") - t->text);
    Loc loc = tree_place(t, at, at + 3);
    cr_expect_eq(strncmp(r.source + loc.begin, "foo", 3), 0);
    cr_expect_eq(loc.end - loc.begin, 3u);
    uint32_t line, column;
    diag_position(r.diag, loc, &line, &column);
    cr_expect(line == 2 && column == 16, "%u:%u", line, column);
    loc = tree_place(t, 2, 4); // the escape is marked whole
    cr_expect_eq(loc.end - loc.begin, 6u);
    arena_free(r.arena);
}

Test(tree, aliases_share)
{
    Read r = read_good("a: &x # note\n  {b: [1, 2]}\nc: *x\nd: &y f(1, 2)\ne: *y\nf: &z\ng: *z\n");
    cr_expect_eq(tree_get(r.root, "a"), tree_get(r.root, "c"));
    cr_expect_str_eq(tree_get(r.root, "e")->text, "f(1, 2)");
    cr_expect_eq(r.source[tree_get(r.root, "d")->place[0]], 'f');
    cr_expect_eq(tree_get(r.root, "g")->kind, TREE_NULL);
    cr_expect_eq(r.source[tree_get(r.root, "a")->loc.begin], '{');
    arena_free(r.arena);
}

Test(tree, locations)
{
    Read r = read_good("a:\n  b: {c: 1}\n  d: [x,\n    y]\n  e:\n    - 'q'\n");
    const Tree *a = tree_get(r.root, "a");
    cr_expect_eq(a->loc.begin, 5u);
    cr_expect_eq(strncmp(r.source + tree_get(a, "b")->loc.begin, "{c: 1}\n", 7), 0);
    cr_expect_eq(tree_get(a, "b")->loc.end - tree_get(a, "b")->loc.begin, 6u);
    cr_expect_eq(r.source[tree_get(a, "d")->loc.end - 1], ']');
    cr_expect_eq(r.source[tree_get(a, "e")->loc.begin], '-');
    const Tree *q = tree_get(a, "e")->items.at[0];
    cr_expect(q->loc.end - q->loc.begin == 3 && r.source[q->loc.begin] == '\'');
    arena_free(r.arena);
}

// What an accident did not mean to say is not in the tree: the elaborator sees the value as it was
// meant.
Test(tree, accidents_are_repaired)
{
    static const char text[] =
        "a: {lr: f(step, 1e-3), d: x[8].y}\nb: [*.bias, g(1, 2)]\nc: [x for x in y]\n"
        "d: f(1, # note\n  2)\ne: {p: h(1,\n     2)}\n";
    Read r = read_bytes(text, strlen(text));
    cr_assert_not_null(r.root);
    cr_expect_eq(diag_errors(r.diag), 7u);
    const Tree *a = tree_get(r.root, "a"), *b = tree_get(r.root, "b");
    cr_expect_eq(a->entries.n, 2u);
    cr_expect_str_eq(tree_get(a, "lr")->text, "f(step, 1e-3)");
    cr_expect_str_eq(tree_get(a, "d")->text, "x[8].y");
    cr_expect_eq(strncmp(r.source + tree_get(a, "d")->place[3], "].y", 2), 0);
    cr_expect_eq(b->items.n, 2u);
    cr_expect_str_eq(b->items.at[0]->text, "*.bias");
    cr_expect_str_eq(b->items.at[1]->text, "g(1, 2)");
    cr_expect_str_eq(tree_get(r.root, "c")->text, "[x for x in y]");
    cr_expect_str_eq(tree_get(r.root, "d")->text, "f(1, 2)");
    cr_expect_str_eq(tree_get(tree_get(r.root, "e"), "p")->text, "h(1, 2)");
    arena_free(r.arena);
}

// Nothing of this is an accident.
Test(tree, good_flow)
{
    Read r = read_good("a: {x: f(1), y: g(h()), 'k, l': \"m, [n]\", z: (1 + 2) * 3} # f(1, 2)\n"
                       "b: [a, [b, {c: d}], \"x[0]\", 'it''s, so']\n"
                       "c: {d: [1, 2], \"e\":1, f: {}, g: []}\n"
                       "d: f(a, b)[1:3].x\n"
                       "e: don't (do this, ever)\n"
                       "f: [don't, can't]\n"
                       "g: {doc: a note for all, in: x}\n"
                       "h: [a, # first\n    b]\n"
                       "i: [a for b]\n"
                       "q, k, v: split(x, 3)\n"
                       "j: {a: \"f(x, y)\" , b: 1}\n");
    arena_free(r.arena);
}

Test(tree, empty_key_list_is_an_error)
{
    static const char text[] = "a: 1\n? [l]\n: x\n";
    Read r = read_bytes(text, strlen(text));
    cr_expect_eq(diag_errors(r.diag), 1u);
    arena_free(r.arena);
}

Test(tree, byte_order_mark)
{
    Read r = read_good("\xef\xbb\xbf"
                       "k: é x\n");
    const Tree *t = tree_get(r.root, "k");
    cr_expect_eq(t->place[3], 9u); // 3 bytes of mark, "k: ", 2 of é, the blank
    arena_free(r.arena);
}

Test(tree, too_big)
{
    size_t size = (16u << 20) + 1;
    char *text = malloc(size);
    memset(text, ' ', size);
    Read r = read_bytes(text, size);
    cr_expect_null(r.root);
    cr_expect_eq(diag_errors(r.diag), 1u);
    arena_free(r.arena);
    free(text);
}

Test(tree, depth_limit)
{
    char text[300] = "";
    for (int i = 0; i < 100; i++) text[i] = '[', text[100 + i] = ']';
    Read r = read_good(text);
    arena_free(r.arena);
    for (int i = 0; i < 101; i++) text[i] = '[', text[101 + i] = ']';
    r = read_bytes(text, strlen(text));
    cr_expect_null(r.root);
    cr_expect_eq(diag_errors(r.diag), 1u);
    arena_free(r.arena);
}

Test(tree, missing_file)
{
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    cr_expect_null(tree_read_file(arena, diag, "/nonexistent/x.yaml", (Loc){0}, NULL));
    cr_expect_null(tree_read_file(arena, diag, "/", (Loc){0}, NULL));
    cr_expect_eq(diag_errors(diag), 2u);
    arena_free(arena);
}
