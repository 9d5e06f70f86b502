// What is written by the mends of YAML: the text that they leave, for the first choice and the
// second.
#include "frontend/tree.h"

#include <criterion/criterion.h>
#include <string.h>

static void check(const char *text, size_t size, uint32_t choice, const char *want)
{
    Arena *a = arena_new();
    Diag *diag = diag_new(a);
    uint32_t source = diag_source(diag, "x.yaml", text, size), n;
    tree_read(a, diag, source);
    cr_expect_gt(diag_errors(diag), 0u, "%s", text);
    cr_expect_str_eq(diag_mended(diag, a, source, choice, &n), want, "%s\nis mended to\n%s", text,
                     diag_mended(diag, a, source, choice, &n));
    arena_free(a);
}

static void both(const char *text, const char *first, const char *second)
{
    check(text, strlen(text), 0, first);
    check(text, strlen(text), 1, second);
}

Test(tree_mends, merge_keys)
{
    both("base: &base\n  lr: 1\n  groups:\n  - {x: 1}\na:\n    <<: *base\n    lr: 4\n",
         "base: &base\n  lr: 1\n  groups:\n  - {x: 1}\na:\n    groups:\n    - {x: 1}\n    lr: 4\n",
         "base: &base\n  lr: 1\n  groups:\n  - {x: 1}\na:\n    groups:\n    - {x: 1}\n    lr: 4\n");
    both("a: &a {x: 1, y: [2, 3]}\nb: {<<: *a, x: 4}\n",
         "a: &a {x: 1, y: [2, 3]}\nb: {y: [2, 3], x: 4}\n",
         "a: &a {x: 1, y: [2, 3]}\nb: {y: [2, 3], x: 4}\n");
}

Test(tree_mends, given_twice)
{
    both("a:\n  x: 1\n# of b\nb: 3\na: # again\n  z: 5\n# of c\nc: 6\n",
         "a:\n  x: 1\n# of b\nb: 3\n# of c\nc: 6\n",
         "# of b\nb: 3\na: # again\n  z: 5\n# of c\nc: 6\n");
    both("- b: 1\n  b: 2\n", "- b: 1\n", "- b: 2\n");
    both("{a: 1, a: 2}\n", "{a: 1}\n", "{a: 2}\n");
    both("{a: 1, a: 2, c: 3}\n", "{a: 1, c: 3}\n", "{a: 2, c: 3}\n");
}

Test(tree_mends, indentation)
{
    both("a:\n  b: 1\n    c:\n      d: 2\n    e: 3\nf: 4\n",
         "a:\n  b: 1\n  c:\n    d: 2\n  e: 3\nf: 4\n", "a:\n  b: 1\nc:\n  d: 2\ne: 3\nf: 4\n");
    both("  a:\n    b: 1\nc: 2\n", "a:\n  b: 1\nc: 2\n", "  a:\n    b: 1\n  c: 2\n");
    both("a:\n\tb:\n\t\tc: 1\n", "a:\n  b:\n    c: 1\n", "a:\n  b:\n    c: 1\n");
    both("a:\n  b:\n\tc: 1\n", "a:\n  b:\n  c: 1\n", "a:\n  b:\n    c: 1\n");
    both("a:\n   b: 1\n  c: 2\n  d: 3\n", "a:\n  b: 1\n  c: 2\n  d: 3\n",
         "a:\n   b: 1\n   c: 2\n   d: 3\n");
    both("a:\n  b\n    c: 1\n", "a:\n  b:\n    c: 1\n", "a:\n  b:\n    c: 1\n");
}

Test(tree_mends, quotes_and_brackets)
{
    both("a: {x: \"one, y: 2}\nb: \"three\"\n", "a: {x: \"one\", y: 2}\nb: \"three\"\n",
         "a: {x: \"one, y: 2}\"\nb: \"three\"\n");
    both("a: \"b # c\n", "a: \"b\" # c\n", "a: \"b # c\"\n");
    both("a: {x: f(1, 2, y: 3}\n", "a: {x: \"f(1, 2)\", y: 3}\n", "a: {x: \"f(1, 2\", y: 3}\n");
    both("a: {x: 1\n  y: 2}\n", "a: {x: 1,\n  y: 2}\n", "a: {x: 1,\n  y: 2}\n");
    both("a: [1, 2\nb: 3\n", "a: [1, 2]\nb: 3\n", "a: 1, 2\nb: 3\n");
    both("a: [1,\n2\n3]\n", "a: [1,\n2,\n3]\n", "a: [1,\n2,\n3]\n");
}

static void only(const char *text, const char *want)
{
    both(text, want, want);
}

Test(tree_mends, open_ends)
{
    only("a: {x: 1, y: 2\nb: 3\nc: {d: f(1, 2)}\n", "a: {x: 1, y: 2}\nb: 3\nc: {d: f(1, 2)}\n");
    only("a: [\"*.b, \"*c\", \"*d\"]\n", "a: [\"*.b\", \"*c\", \"*d\"]\n");
    both("a: \"b\nc: [\"*d\", \"*e\"]\n", "a: \"b\"\nc: [\"*d\", \"*e\"]\n",
         "a: b\nc: [\"*d\", \"*e\"]\n");
}

Test(tree_mends, slips)
{
    only("a: {x: 1},\n", "a: {x: 1}\n");
    only("- 'x', # y\n- [1, f(2)];\n", "- 'x' # y\n- [1, f(2)]\n");
    only("a: (x: 1, y: 2)\n", "a: {x: 1, y: 2}\n");
    only("- (x: \"*y\", z: 2}\n", "- {x: \"*y\", z: 2}\n");
    only("a:\n  -{x: 1}\n", "a:\n  - {x: 1}\n");
    only("a: {x: \"y\"; z: 1}\n", "a: {x: \"y\", z: 1}\n");
    only("a: {x: y; z: 1}\n", "a: {x: y, z: 1}\n");
    only("a: {x 1, y:2, z = 3}\n", "a: {x: 1, y: 2, z: 3}\n");
    only("a: [0.9 0.98]\n", "a: [0.9, 0.98]\n");
    only("a: 1\nb = 1e-6\n", "a: 1\nb: 1e-6\n");
    only("a: x: 1, y: 2\n", "a: {x: 1, y: 2}\n");
    both("a: x: 1\n", "a: {x: 1}\n", "a: \"x: 1\"\n");
}

// In other encodings, and with what no editor shows.
Test(tree_mends, bytes)
{
    both("a: caf\xe9 \x93x\x94\n", "a: caf\xc3\xa9 \xe2\x80\x9cx\xe2\x80\x9d\n", "a: caf x\n");
    both("a: \x07x\x1b\n", "a: x\n", "a: x\n");
    check("a: x\0y\0\n", 8, 0, "a: xy\n");
    check("\xff\xfe"
          "a\0:\0 \0\xe9\0\x3d\xd8\x00\xde\n\0",
          16, 0, "a: \xc3\xa9\xf0\x9f\x98\x80\n");
    check("\xfe\xff\0a\0:\0 \0x\0\n", 12, 0, "a: x\n");
}
