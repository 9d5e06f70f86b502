// The text form: files under tests/ir/text print as they are; files under tests/ir/bad give the
// messages beside them (CZT_BLESS=1 writes both); damaged text is refused, never worse.
#include "fixture.h"

#include <glob.h>

typedef struct Text {
    char *at;
    size_t size;
} Text;

static Text read_file(Arena *arena, const char *path)
{
    FILE *in = fopen(path, "rb");
    cr_assert(in, "cannot open %s", path);
    fseek(in, 0, SEEK_END);
    Text t = {.size = (size_t)ftell(in)};
    rewind(in);
    t.at = arena_alloc(arena, t.size + 1);
    cr_assert_eq(fread(t.at, 1, t.size, in), t.size);
    fclose(in);
    return t;
}

static void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "wb");
    cr_assert(out && fputs(text, out) >= 0 && fclose(out) == 0);
}

static Program *parse(const Fixture *f, const char *name, const char *text, size_t size)
{
    return program_parse(f->arena, f->diag, diag_source(f->diag, name, text, size));
}

// In the program's arena.
static Text print(const Program *p)
{
    Text t = {0};
    FILE *out = open_memstream(&t.at, &t.size);
    program_print(p, out);
    fclose(out);
    char *from = t.at;
    t.at = arena_copy(p->arena, from, t.size + 1);
    free(from);
    return t;
}

static bool bless(void)
{
    return getenv("CZT_BLESS") != NULL;
}

Test(text, files_print_as_they_are)
{
    glob_t files;
    cr_assert_eq(glob(CZT_SOURCE_DIR "/tests/ir/text/*.ir", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        Fixture f = fixture(0);
        Error err = {0};
        Text given = read_file(f.arena, files.gl_pathv[i]);
        Program *p = parse(&f, files.gl_pathv[i], given.at, given.size);
        cr_assert(p, "%s", messages(&f));
        cr_assert(program_verify(p, &err), "%s: %s", files.gl_pathv[i], err.text);
        Text printed = print(p);
        if (bless())
            write_file(files.gl_pathv[i], printed.at);
        else
            cr_expect_str_eq(printed.at, given.at, "%s prints as\n%s", files.gl_pathv[i],
                             printed.at);
        Program *again = parse(&f, "again", printed.at, printed.size);
        cr_assert(again, "%s", messages(&f));
        cr_expect_str_eq(print(again).at, printed.at);
    }
    globfree(&files);
}

Test(text, all_ops_are_in_a_file)
{
    Fixture f = fixture(0);
    Text t = read_file(f.arena, CZT_SOURCE_DIR "/tests/ir/text/ops.ir");
    Program *p = parse(&f, "ops.ir", t.at, t.size);
    cr_assert(p);
    const Graph *g = program_find_entry(p, "step")->graph;
    for (OpCode op = 0; op < OP_COUNT; op++) {
        bool found = false;
        for (NodeId id = 1; id < g->nodes.n; id++) found |= graph_node(g, id)->op == op;
        cr_expect(found, "%s", op_info(op)->name);
    }
}

Test(text, bad_files_give_their_messages)
{
    glob_t files;
    cr_assert_eq(glob(CZT_SOURCE_DIR "/tests/ir/bad/*.ir", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        Fixture f = fixture(0);
        Text given = read_file(f.arena, files.gl_pathv[i]);
        const char *want_path =
            str_printf(f.arena, "%.*s.err", (int)strlen(files.gl_pathv[i]) - 3, files.gl_pathv[i]);
        cr_expect(!parse(&f, strrchr(files.gl_pathv[i], '/') + 1, given.at, given.size));
        if (bless())
            write_file(want_path, messages(&f));
        else
            cr_expect_str_eq(messages(&f), read_file(f.arena, want_path).at, "%s:\n%s",
                             files.gl_pathv[i], messages(&f));
    }
    globfree(&files);
}

Test(text, statements_may_leave_out_what_is_inferred)
{
    Fixture f = fixture(0);
    static const char text[] = "program \"p\" batch=2 steps=1 seed=0\nentry \"e\" {\n"
                               "%a.b = input {name=\"x\"} : f32[2b]\n%b = exp %a\n}\n";
    cr_assert(!parse(&f, "p", text, strlen(text)), "a dot is no letter");
    static const char good[] =
        "program \"p\" batch=2 steps=1 seed=0\nentry \"e\" {\n"
        "%a = input {name=\"x\"} : f32[2b]\n%b = exp %a\noutput \"y\" %b\n}\n";
    Program *p = parse(&f, "p", good, strlen(good));
    cr_assert(p);
    cr_assert(strstr(print(p).at, "  %2 = exp %1 : f32[2b]\n"));
}

Test(text, places_in_the_source_are_comments)
{
    Fixture f = fixture(2);
    Program *p = program_new(f.arena, f.diag, "p", 2);
    Entry *e = program_entry(p, "e");
    e->graph->here = loc_in(diag_source(f.diag, "g.yaml", "abc\ndef\n", 8), 5, 6);
    NodeId x = graph_input(e->graph, "x", type_new(f.arena, DT_F32, 0, NULL));
    e->graph->here.begin = 0;
    graph_input(e->graph, "x", type_new(f.arena, DT_F32, 0, NULL));
    cr_assert_eq(x, 1u);
    Text t = print(p);
    cr_assert(strstr(t.at, "  %1 = input {name=\"x\"} : f32[]  # g.yaml:2:2 and 1 more\n"), "%s",
              t.at);
    cr_assert(parse(&f, "again", t.at, t.size), "%s", messages(&f));
}

// Damage copies of a file: flip bytes, cut, repeat. What still parses must verify and round-trip.
Test(text, damaged_text_never_crashes)
{
    Text whole = read_file(test_arena(), CZT_SOURCE_DIR "/tests/ir/text/ops.ir");
    static const char letters[] = "%[]{}(),:=\"b0123456789-. \n#\\x";
    uint64_t seed = 1;
    uint32_t accepted = 0;
    for (int round = 0; round < 1500; round++) {
        Fixture f = fixture(0);
        char *text = arena_copy(f.arena, whole.at, whole.size + 1);
        size_t size = whole.size;
        for (int k = 0; k <= round % 4; k++) {
            seed = hash_u64(seed, (uint64_t)k);
            size_t at = (seed >> 8) % size;
            if (seed % 16 == 0)
                size = at + 1;
            else if (seed % 3)
                text[at] = letters[(seed >> 40) % (sizeof letters - 1)];
            else
                text[at] = (char)(seed >> 40);
        }
        Program *p = parse(&f, "damaged", text, size);
        Error err = {0};
        if (p) {
            accepted++;
            // Names that clash or point nowhere are the verifier's to find.
            bool ok = program_verify(p, &err);
            Text printed = print(p);
            Program *again = parse(&f, "again", printed.at, printed.size);
            cr_assert(again, "%s\n%s", messages(&f), printed.at);
            cr_assert_str_eq(print(again).at, printed.at);
            cr_assert(ok || strstr(err.text, "invariant 1"), "%s", err.text);
        }
        arena_free(f.arena);
    }
    cr_assert(accepted > 10, "%u", accepted);
}
