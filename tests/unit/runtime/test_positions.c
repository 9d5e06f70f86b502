// Tables of positions resized, against what torch makes of them
// (tests/parity/positions_fixture.py), and which grids are clear.
#include "runtime/positions.h"

#include "base/file.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { WIDTH = 5 };

typedef struct Case {
    int64_t prefix, from[2], to[2]; // 0 rows high: a line
} Case;

static const Case cases[] = {
    {1, {4, 4}, {3, 3}}, {1, {3, 3}, {5, 5}},  {0, {7, 7}, {2, 2}},  {2, {4, 6}, {3, 5}},
    {0, {2, 9}, {6, 3}}, {0, {0, 10}, {0, 7}}, {0, {0, 7}, {0, 12}},
};

static int64_t rows_of(const Case *c, const int64_t *grid)
{
    return c->prefix + (grid[0] ? grid[0] * grid[1] : grid[1]);
}

static CztTensor tensor(int64_t rows, int64_t width, int64_t shape[3], bool leading)
{
    shape[0] = 1;
    shape[leading] = rows;
    shape[leading + 1] = width;
    return (CztTensor){.dtype = CZT_F32, .rank = 2 + leading, .shape = shape};
}

static bool plan(const PositionsRule *rule, int64_t n, int64_t m, Positions *p, Error *err)
{
    int64_t from[3], to[3];
    CztTensor f = tensor(n, WIDTH, from, true), t = tensor(m, WIDTH, to, false);
    return positions_alike(&f, &t) && positions_plan(rule, &f, &t, p, err);
}

Test(positions, as_torch_resizes_them)
{
    FileMap map;
    Error err = {0};
    cr_assert(file_map(&map, CZT_SOURCE_DIR "/tests/data/runtime/positions.bin", &err), "%s",
              err.text);
    const float *at = (const float *)(const void *)map.data;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const Case *c = &cases[i];
        int64_t n = rows_of(c, c->from), m = rows_of(c, c->to);
        bool line = !c->from[0], square = c->from[0] == c->from[1];
        PositionsRule rule = {"*", line ? POSITIONS_LINE : POSITIONS_GRID, -1, {0}, {0}};
        if (!square && !line) {
            memcpy(rule.from, c->from, sizeof rule.from);
            memcpy(rule.to, c->to, sizeof rule.to);
        }
        Positions p;
        cr_assert(plan(&rule, n, m, &p, &err), "case %zu: %s", i, err.text);
        cr_expect_eq(p.prefix, c->prefix);
        float got[64 * WIDTH];
        cr_assert_leq(m, 64);
        positions_resize(&p, at, got);
        const float *want = at + n * WIDTH;
        for (int64_t k = 0; k < m * WIDTH; k++)
            cr_expect(fabsf(got[k] - want[k]) < 1e-5f, "case %zu, element %lld: %g, not %g", i,
                      (long long)k, (double)got[k], (double)want[k]);
        at = want + m * WIDTH;
    }
    cr_expect_eq((const uint8_t *)at - map.data, (ptrdiff_t)map.size);
    file_unmap(&map);
}

static void refuses(PositionsRule rule, int64_t n, int64_t m, const char *part)
{
    Positions p;
    Error err = {0};
    cr_expect_not(plan(&rule, n, m, &p, &err));
    cr_expect(strstr(err.text, part), "%lld to %lld: %s", (long long)n, (long long)m, err.text);
}

Test(positions, unclear_grids_are_refused)
{
    PositionsRule grid = {"*", POSITIONS_GRID, -1, {0}, {0}};
    Positions p;
    Error err = {0};
    cr_expect(plan(&grid, 257, 197, &p, &err) && p.prefix == 1 && p.from[0] == 16 && p.to[1] == 14);
    cr_expect(plan(&grid, 196, 576, &p, &err) && p.prefix == 0 && p.to[0] == 24);
    refuses(grid, 60, 45, "not two grids");
    refuses(grid, 77, 64, "not two grids");
    for (int64_t n = 2; n < 700; n++) // no two numbers of rows in front leave squares
        for (int64_t m = 2, others = 0; m < n; m++, others = 0) {
            for (int64_t k = 0; k <= 16; k++) {
                int64_t a = llround(sqrt((double)(n - k))), b = llround(sqrt((double)(m - k)));
                others += m - k > 1 && a * a == n - k && b * b == m - k;
            }
            cr_expect_leq(others, 1, "%lld to %lld", (long long)n, (long long)m);
        }
    refuses((PositionsRule){"*", POSITIONS_GRID, 1, {0}, {0}}, 257, 198, "no square");
    refuses((PositionsRule){"*", POSITIONS_GRID, 1, {4, 5}, {0}}, 257, 197, "no grid of 4 x 5");
    refuses((PositionsRule){"*", POSITIONS_FIRST, -1, {0}, {0}}, 64, 77, "the first 77");
    refuses((PositionsRule){"*", POSITIONS_GRID, 0, {65536, 1}, {1, 65536}}, 65536, 65536,
            "there is one of 65536 x 65536 in between, and that has 1048576 rows at most");
    cr_expect(plan(&(PositionsRule){"*", POSITIONS_GRID, 0, {1, 65536}, {65536, 1}}, 65536, 65536,
                   &p, &err));
    PositionsRule first = {"*", POSITIONS_FIRST, -1, {0}, {0}};
    cr_expect(plan(&first, 77, 64, &p, &err) && p.to[0] == 64);
}
