// GPU manifests, and what an entry's launches become: segments that one function does by a table
// are one node, and nodes keep the order that their bytes ask for.
#include "runtime/order.h"
#include "tiny_step.h"

#include <criterion/criterion.h>
#include <string.h>

// Two kernels with one function, one with another, and one without a table; the second launch reads
// what the second segment of the first writes, the third writes elsewhere.
static const char manifest[] =
    "{\"cztc\": 1, \"name\": \"g\", \"source_hash\": \"x\", \"batch\": 0, \"seed\": 0, \"steps\": "
    "0,"
    " \"state_bytes\": 0, \"const_bytes\": 16, \"worker_bytes\": 0, \"state\": [],"
    " \"target\": {\"arch\": \"cuda\", \"units\": 1, \"images\": [\"text\"]}, \"kernels\": ["
    "{\"name\": \"a\", \"kind\": \"loop\", \"flops\": 0, \"bytes\": 0, \"symbol\": \"f\", "
    "\"unit\": 0,"
    " \"threads\": 256, \"blocks_x\": 3, \"blocks_y\": 1, \"shared_bytes\": 0,"
    " \"sizes\": [12, 0], \"buffers\": [[48, true, \"f32\"]]},"
    "{\"name\": \"b\", \"kind\": \"loop\", \"flops\": 0, \"bytes\": 0, \"symbol\": \"f\", "
    "\"unit\": 0,"
    " \"threads\": 256, \"blocks_x\": 2000000000, \"blocks_y\": 1, \"shared_bytes\": 0,"
    " \"sizes\": [8, 5], \"buffers\": [[32, true, \"f32\"]]},"
    "{\"name\": \"c\", \"kind\": \"loop\", \"flops\": 0, \"bytes\": 0, \"symbol\": \"h\", "
    "\"unit\": 0,"
    " \"threads\": 64, \"blocks_x\": 1, \"blocks_y\": 1, \"shared_bytes\": 0,"
    " \"sizes\": [1, 1], \"buffers\": [[16, true, \"f32\"]]},"
    "{\"name\": \"d\", \"kind\": \"loop\", \"flops\": 0, \"bytes\": 0, \"symbol\": \"k\", "
    "\"unit\": 0,"
    " \"threads\": 64, \"blocks_x\": 1, \"blocks_y\": 7, \"shared_bytes\": 0, \"numbers\": [-3, "
    "768],"
    " \"buffers\": [[32, false, \"f32\"], [16, true, \"f32\"]]}],"
    " \"entries\": [{\"name\": \"step\", \"input_bytes\": 0, \"output_bytes\": 0,"
    " \"scratch_bytes\": 4096, \"inputs\": [], \"outputs\": [], \"launches\": ["
    "{\"segments\": ["
    "{\"kernel\": 0, \"tasks\": 1, \"buffers\": [[\"scratch\", 0]]},"
    "{\"kernel\": 2, \"tasks\": 1, \"buffers\": [[\"scratch\", 512]]},"
    "{\"kernel\": 1, \"tasks\": 1, \"buffers\": [[\"scratch\", 64]]},"
    "{\"kernel\": 0, \"tasks\": 1, \"buffers\": [[\"scratch\", 256]]}]},"
    "{\"segments\": ["
    "{\"kernel\": 3, \"tasks\": 1, \"buffers\": [[\"scratch\", 80], [\"scratch\", 1024]]},"
    "{\"kernel\": 3, \"tasks\": 1, \"buffers\": [[\"scratch\", 128], [\"scratch\", 2048]]}]}]}]}";

static Step *load(Arena *arena, const char *text, Error *err)
{
    size_t size;
    const Section sections[] = {
        {"manifest", text, strlen(text)}, {"const", "0123456789abcdef", 16}, {"text.0", "//", 2}};
    uint8_t *bytes = container_build(arena, sections, 3, &size);
    return step_load_memory("gpu.czt", bytes, size, err);
}

Test(order, segments_of_one_function_are_one_node)
{
    Arena *arena = arena_new();
    Error err = {0};
    Order o;
    const bool alone[4] = {false};
    Step *step = load(arena, manifest, &err);
    cr_assert_not_null(step, "%s", err.text);
    cr_expect(step->kernels[0].table && step->kernels[0].size[0] == 12 &&
              step->kernels[1].size[1] == 5 && !step->kernels[3].table);
    cr_expect(step->kernels[3].nnumbers == 2 && step->kernels[3].numbers[0] == -3 &&
              step->kernels[3].numbers[1] == 768 && !step->kernels[0].nnumbers);
    order_find(arena, step, &step->entries[0], alone, true, &o);
    cr_assert_eq(o.n, 4);
    cr_expect_eq(o.nodes[0].n, 3); // a, b, a
    cr_expect_eq(o.nodes[1].n, 1);
    cr_expect_eq(o.nodes[0].segments[1], &step->entries[0].launches[0].segments[2]);
    cr_expect_eq(o.nodes[1].nafter, 0, "segments of a launch do not wait for each other");
    cr_expect_eq(o.nodes[2].launch, 1);
    cr_assert_eq(o.nodes[2].nafter, 1, "it reads what the node's second segment writes");
    cr_expect_eq(o.nodes[2].after[0], 0);
    cr_expect_eq(o.nodes[3].nafter, 0);
    step_free(step);
    arena_free(arena);
}

Test(order, a_launch_has_no_more_blocks_than_it_may)
{
    Arena *arena = arena_new();
    Error err = {0};
    Order o;
    const bool alone[4] = {false};
    const char *text = tiny_replace(arena, manifest, "\"blocks_x\": 3", "\"blocks_x\": 2000000000");
    Step *step = load(arena, text, &err);
    cr_assert_not_null(step, "%s", err.text);
    order_find(arena, step, &step->entries[0], alone, true, &o);
    cr_expect_eq(o.n, 6, "%u nodes", o.n); // a, c, b, a, d, d
    step_free(step);
    arena_free(arena);
}

// The library's products take turns at its workspace; frozen ones have another.
Test(order, a_frozen_product_runs_beside_another)
{
    for (int frozen = 0; frozen < 2; frozen++) {
        Arena *arena = arena_new();
        Error err = {0};
        Order o;
        const bool alone[4] = {false, false, false, true};
        const char *to = frozen ? "[\"scratch\", 2048]], \"frozen\": true" : "[\"scratch\", 2048]]";
        Step *step = load(arena, tiny_replace(arena, manifest, "[\"scratch\", 2048]]", to), &err);
        cr_assert_not_null(step, "%s", err.text);
        order_find(arena, step, &step->entries[0], alone, true, &o);
        cr_assert_eq(o.n, 4);
        cr_expect_eq(o.nodes[3].frozen, frozen);
        cr_expect_eq(o.nodes[3].nafter, !frozen);
        order_find(arena, step, &step->entries[0], alone, false, &o);
        cr_expect_eq(o.nodes[3].nafter, 1, "there is one workspace");
        step_free(step);
        arena_free(arena);
    }
}

static void refuse(const char *from, const char *to, const char *want)
{
    Arena *arena = arena_new();
    Error err = {0};
    Step *step = load(arena, tiny_replace(arena, manifest, from, to), &err);
    cr_expect_null(step, "'%s' -> '%s' was accepted", from, to);
    cr_expect(strstr(err.text, want), "'%s' -> '%s' says: %s", from, to, err.text);
    step_free(step);
    arena_free(arena);
}

Test(order, refuses_tables_and_places_that_are_none)
{
    refuse("[12, 0]", "[12]", "kernels[0].sizes");
    refuse("[12, 0]", "[12, -1]", "kernels[0].sizes");
    refuse("[12, 0]", "[12, 0.5]", "kernels[0].sizes");
    refuse("[12, 0]", "7", "kernels[0].sizes");
    refuse("[-3, 768]", "768", "kernels[3].numbers");
    refuse("[-3, 768]", "[-3, 0.5]", "must hold whole numbers of 32 bits");
    refuse("[-3, 768]", "[-3, 4294967296]", "must hold whole numbers of 32 bits");
    refuse("\"sizes\": [1, 1]", "\"sizes\": [1, 1], \"numbers\": [1]", "no place beside sizes");
    refuse("\"blocks_x\": 3, \"blocks_y\": 1", "\"blocks_x\": 3, \"blocks_y\": 2", "must be 1");
    refuse("[\"scratch\", 80]", "[\"scratch\", 88]", "multiples of 16");
    refuse("[\"scratch\", 64]", "[\"const\", 4]", "multiples of 16");
}
