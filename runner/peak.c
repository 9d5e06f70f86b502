// The peak of arithmetic: the register tile of a matrix product (in f32 12 x 2 vectors of AVX-512,
// 6 x 2 of AVX2 or of SSE, which has no fma; in bf16 2 x 2 tile registers), operands in the first
// cache, on all threads at once.
// Every operand is loaded as in a real product, so this is what a product can reach, not what the
// multipliers could do with nothing to load.
#include "runner/peak.h"

#include "runner/cli.h"

#include <math.h>

#include <immintrin.h>
#include <stdlib.h>

enum { DEPTH = 128, REPEAT = 200, RUNS = 5 };

typedef struct Tile {
    _Alignas(64) float a[DEPTH * 12], b[DEPTH * 32], c[12 * 32];
} Tile;

static inline __m128 multiply_add(__m128 a, __m128 b, __m128 c)
{
    return _mm_add_ps(_mm_mul_ps(a, b), c);
}

// Functions from one text: `lanes` wide vectors, `rows` of them by 2 held in registers.
#define TILE(name, isa, vector, rows, lanes, load, set1, fma, store)                               \
    __attribute__((target(isa))) static void name(Tile *t)                                         \
    {                                                                                              \
        vector acc[rows][2];                                                                       \
        _Pragma("GCC unroll 12") for (int r = 0; r < rows; r++) acc[r][0] = acc[r][1] = set1(0);   \
        for (int k = 0; k < DEPTH; k++) {                                                          \
            vector b0 = load(t->b + k * 2 * lanes), b1 = load(t->b + k * 2 * lanes + lanes);       \
            _Pragma("GCC unroll 12") for (int r = 0; r < rows; r++)                                \
            {                                                                                      \
                vector a = set1(t->a[k * rows + r]);                                               \
                acc[r][0] = fma(a, b0, acc[r][0]);                                                 \
                acc[r][1] = fma(a, b1, acc[r][1]);                                                 \
            }                                                                                      \
        }                                                                                          \
        _Pragma("GCC unroll 12") for (int r = 0; r < rows; r++)                                    \
        {                                                                                          \
            store(t->c + r * 2 * lanes, acc[r][0]);                                                \
            store(t->c + r * 2 * lanes + lanes, acc[r][1]);                                        \
        }                                                                                          \
    }

TILE(tile_512, "avx512f", __m512, 12, 16, _mm512_load_ps, _mm512_set1_ps, _mm512_fmadd_ps,
     _mm512_store_ps)
TILE(tile_256, "avx2,fma", __m256, 6, 8, _mm256_load_ps, _mm256_set1_ps, _mm256_fmadd_ps,
     _mm256_store_ps)
TILE(tile_128, "sse2", __m128, 6, 4, _mm_load_ps, _mm_set1_ps, multiply_add, _mm_store_ps)

// 32 x 32 sums over 16 times 32 steps.
__attribute__((target("amx-tile,amx-bf16"))) static void tile_matrix(Tile *t)
{
    struct {
        uint8_t palette, rest[15];
        uint16_t bytes[16];
        uint8_t rows[16];
    } shapes = {.palette = 1};
    const char *a = (const char *)t->a, *b = (const char *)t->b;
    for (int i = 0; i < 8; i++) shapes.bytes[i] = 64, shapes.rows[i] = 16;
    // All of it is read, whatever the intrinsic says.
    __asm__ volatile("" : : "r"(&shapes) : "memory");
    _tile_loadconfig(&shapes);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int i = 0; i < DEPTH / 8; i++) {
        _tile_loadd(4, a, 64);
        _tile_loadd(6, b + i % 2 * 2048, 128);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + i % 2 * 2048 + 64, 128);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + 1024, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, t->c, 64); // the sums are looked at by nobody
    _tile_release();
}

typedef struct Job {
    void (*tile)(Tile *);
    Tile *tiles; // one a thread
} Job;

static void work(void *arg, int64_t begin, int64_t end, uint32_t worker)
{
    const Job *job = arg;
    for (int64_t i = begin; i < end; i++)
        for (int n = 0; n < REPEAT; n++) job->tile(&job->tiles[worker]);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Operations a second, of which a call of `tile` does so many.
static double peak_with(Pool *pool, void (*tile)(Tile *), double operations)
{
    uint32_t threads = pool_threads(pool);
    Arena *arena = arena_new();
    Job job = {tile, arena_array(arena, Tile, threads)};
    int64_t tasks = 64 * (int64_t)threads;
    double runs[RUNS], work_done = (double)tasks * REPEAT * operations;
    for (uint32_t t = 0; t < threads; t++)
        for (int i = 0; i < DEPTH * 32; i++)
            job.tiles[t].b[i] = 1, job.tiles[t].a[i % (DEPTH * 12)] = 1;
    for (int i = 0; i < RUNS; i++) {
        double begin = seconds_now();
        pool_run(pool, work, &job, tasks);
        runs[i] = work_done / (seconds_now() - begin);
    }
    qsort(runs, RUNS, sizeof *runs, by_value);
    arena_free(arena);
    return runs[RUNS / 2];
}

double peak_f32(Pool *pool)
{
    bool wide = __builtin_cpu_supports("avx512f");
    bool half = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    int cells = wide ? 12 * 32 : half ? 6 * 16 : 6 * 8; // of a tile
    return peak_with(pool, wide ? tile_512 : half ? tile_256 : tile_128, 2.0 * DEPTH * cells);
}

double peak_tiles(Pool *pool)
{
    return peak_with(pool, tile_matrix, 2.0 * (DEPTH / 8 * 32) * 32 * 32);
}

double peak_of(Exec *exec)
{
    if (exec_device(exec).gpu) return exec_peak(exec);
    return exec_step(exec)->tiles ? peak_tiles(exec_pool(exec)) : peak_f32(exec_pool(exec));
}
