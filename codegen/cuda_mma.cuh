// Products of bf16 or tf32 on tensor cores, over the instructions of cuda_prelude.cuh: what a block
// of threads does with a tile of results.
//
//     sums (M, N) = sum over k of a (M, k) b (N, k), in f32
//
// Both operands come through shared memory in steps of K, STAGES steps at a time: while one is
// multiplied, the copies of the later ones are on their way. A step of an operand is a matrix of
// FREE x K elements; it lies in shared memory as it does in memory, k innermost or the free axis
// innermost, in chunks of 16 bytes (eight bf16, four f32 of no more bits than tf32) that are turned
// round by row, so that neither the copies nor the reads meet a bank twice. Who calls says where
// chunks come from: mma_copy has them copied, or a thread computes one and stores it at mma_place.
//
// The order of the sum is the tensor cores': a product of two such numbers is exact in f32,
// additions are not, and not even rounded to nearest.

#define INLINE __attribute__((always_inline))

// What an operand's step is: rows of chunks, one row for each free index (k innermost) or each k.
// E: bf16, or float for tf32.
template <class E, int FREE, int DEPTH, bool ALONG_K> struct MmaSide {
    typedef E Element;
    static constexpr bool along_k = ALONG_K, narrow = sizeof(E) == 2;
    static constexpr int free = FREE, depth = DEPTH, elements = FREE * DEPTH;
    static constexpr int each = 16 / sizeof(E); // elements of a chunk
    static constexpr int rows = ALONG_K ? FREE : DEPTH, chunks = elements / rows / each;
    static constexpr int turns = narrow || ALONG_K ? 8 : 4; // rows that are turned differently
    static_assert(chunks == 4 || chunks % 8 == 0, "a row is half of the banks or all of them");
};

// A block's tile: M x N x K by WARPS_M x WARPS_N warps, each M / WARPS_M x N / WARPS_N of it.
template <class E, int M, int N, int K, int WARPS_M, int WARPS_N, int STAGES, bool A_ALONG_K,
          bool B_ALONG_K>
struct MmaTile {
    typedef E Element;
    typedef MmaSide<E, M, K, A_ALONG_K> A;
    typedef MmaSide<E, N, K, B_ALONG_K> B;
    static constexpr int m = M, n = N, k = K, stages = STAGES, across = WARPS_N;
    static constexpr int threads = 32 * WARPS_M * WARPS_N;
    static constexpr int warp_m = M / WARPS_M, warp_n = N / WARPS_N; // what a warp has
    static constexpr int rows = warp_m / 16, columns = warp_n / 16;  // in parts of 16 x 16
    static constexpr int one = 2 * A::each;                          // k of a product of parts
    static constexpr int behind = sizeof(E) * A::elements;           // bytes of a step of a
    static constexpr int stage = behind + sizeof(E) * B::elements;   // of a step
    static constexpr int bytes = STAGES * stage;                     // of shared memory
    // On the way out the sums go through shared memory in slabs: so many parts of each warp at once
    // that they fit; rows are 8 floats longer than the tile, for the banks' sake.
    static constexpr int out_stride = N + 8, part_bytes = 4 * 16 * WARPS_M * out_stride;
    static constexpr int parts = rows % 4 == 0 && 4 * part_bytes <= bytes   ? 4
                                 : rows % 2 == 0 && 2 * part_bytes <= bytes ? 2
                                                                            : 1;
    static constexpr int slabs = rows / parts, slab_rows = 16 * parts * WARPS_M;
    static_assert(K % (4 * A::each) == 0 && STAGES >= 3, "");
    static_assert(warp_m % 16 == 0 && warp_n % 16 == 0, "");
    static_assert(A::rows * A::chunks % threads == 0 && B::rows * B::chunks % threads == 0, "");
    static_assert(part_bytes <= bytes, "");
};

template <class T> struct MmaSums {
    f32x4 at[T::rows][2 * T::columns];
};

// Where a chunk of an operand's row lies in its step, in elements. Eight rows are read at a time,
// one chunk of each; of tf32 with the free axis innermost four, two chunks of each.
template <class S> DEVICE uint32_t mma_place(uint32_t row, uint32_t chunk)
{
    const uint32_t turn = S::chunks == 4 ? row / 2 % 4 : S::turns == 8 ? row % 8 : row % 4 * 2;
    return (row * S::chunks + (chunk ^ turn)) * S::each;
}

// A chunk's elements, which lie side by side in memory, and how many bytes of them exist.
struct MmaChunk {
    const void *from;
    uint32_t bytes;
};

// Which chunk number u of a thread is. Its row lies u times as many rows below that of number 0 as
// the threads fill: places and addresses differ by constants.
template <class S, int THREADS> DEVICE int mma_chunk_row(int u)
{
    static_assert(THREADS % (S::turns * S::chunks) == 0, "rows are turned alike");
    return (int)(thread() / S::chunks) + u * (THREADS / S::chunks);
}

template <class S> DEVICE int mma_chunk()
{
    return (int)(thread() % S::chunks);
}

// Issue the copies of an operand's step. from(free, k) is the chunk whose first element is at this
// place of the tile; the others follow along S's inner axis.
template <class S, int THREADS, class F> DEVICE void mma_copy(typename S::Element *to, F from)
{
#pragma unroll
    for (int u = 0; u < S::rows * S::chunks / THREADS; u++) {
        const int row = mma_chunk_row<S, THREADS>(u), chunk = mma_chunk<S>();
        const MmaChunk c = S::along_k ? from(row, chunk * S::each) : from(chunk * S::each, row);
        cp_async_16_fill(to + mma_place<S>(row, chunk), c.from, c.bytes);
    }
}

// Eight numbers, rounded, or four that are rounded, as a chunk.
DEVICE u32x4 mma_pack(const float (&x)[8])
{
    return {{pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]),
             pack_bf16(x[6], x[7])}};
}

DEVICE u32x4 mma_pack(const float (&x)[4])
{
    return {{(uint32_t)bits_of(x[0]), (uint32_t)bits_of(x[1]), (uint32_t)bits_of(x[2]),
             (uint32_t)bits_of(x[3])}};
}

// The part of 16 free indices x 16 k (tf32: 8) that begins there, as mma_bf16 and mma_tf32 take it:
// as a, or as two b, registers 0 and 1 for the first eight columns, 2 and 3 for the others.
// ldmatrix turns pairs of 16 bits alone; numbers of 32 bits that lie the other way are read one by
// one.
template <class S, bool IS_B>
DEVICE u32x4 mma_part(const unsigned char *step, uint32_t free, uint32_t k)
{
    const uint32_t lane = thread() % 32, far = lane / 16, near = lane / 8 % 2;
    const uint32_t free_half = IS_B ? far : near, k_half = IS_B ? near : far;
    const typename S::Element *at = (const typename S::Element *)step;
    if constexpr (S::along_k) {
        return ldmatrix_x4(at +
                           mma_place<S>(free + free_half * 8 + lane % 8, k / S::each + k_half));
    } else if constexpr (S::narrow) {
        return ldmatrix_x4_trans(at +
                                 mma_place<S>(k + k_half * 8 + lane % 8, free / 8 + free_half));
    } else {
        u32x4 part;
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t column = free + (IS_B ? i / 2 : i % 2) * 8 + lane / 4;
            const uint32_t row = k + (IS_B ? i % 2 : i / 2) * 4 + lane % 4;
            part.at[i] = load_u32(at + mma_place<S>(row, column / 4) + column % 4);
        }
        return part;
    }
}

template <class T> struct MmaParts {
    u32x4 a[T::rows], b[T::columns];
};

template <class T> DEVICE void mma_fetch(MmaParts<T> &parts, const unsigned char *stage, uint32_t k)
{
    const uint32_t warp = thread() / 32;
    const uint32_t m = warp / T::across * T::warp_m, n = warp % T::across * T::warp_n;
#pragma unroll
    for (uint32_t i = 0; i < T::rows; i++)
        parts.a[i] = mma_part<typename T::A, false>(stage, m + 16 * i, k);
#pragma unroll
    for (uint32_t j = 0; j < T::columns; j++)
        parts.b[j] = mma_part<typename T::B, true>(stage + T::behind, n + 16 * j, k);
}

template <class T> DEVICE void mma_multiply(MmaSums<T> &sums, const MmaParts<T> &p)
{
#pragma unroll
    for (int i = 0; i < T::rows; i++)
#pragma unroll
        for (int j = 0; j < 2 * T::columns; j++) {
            const uint32_t b0 = p.b[j / 2].at[j % 2 * 2], b1 = p.b[j / 2].at[j % 2 * 2 + 1];
            sums.at[i][j] = T::A::narrow ? mma_bf16(p.a[i], b0, b1, sums.at[i][j])
                                         : mma_tf32(p.a[i], b0, b1, sums.at[i][j]);
        }
}

// The sums of a tile over `steps` steps. ahead(step, stage) begins to bring a step's operands to
// their stage (a at its begin, b behind it): copies are issued, numbers loaded. behind(step, stage)
// comes after a product and ends it: numbers loaded are stored. The parts of the next product are
// fetched while one runs, across steps too.
template <class T, class AHEAD, class BEHIND>
DEVICE void mma_loop(unsigned char *shared, int steps, MmaSums<T> &sums, AHEAD ahead, BEHIND behind)
{
    typedef typename T::Element E;
    constexpr int last = T::stages - 1, products = T::k / T::one;
    MmaParts<T> parts[2];
#pragma unroll
    for (int i = 0; i < T::rows; i++)
#pragma unroll
        for (int j = 0; j < 2 * T::columns; j++) sums.at[i][j] = {{0, 0, 0, 0}};
#pragma unroll 1
    for (int s = 0; s < last; s++) {
        if (s < steps) {
            ahead(s, (E *)(shared + s * T::stage));
            behind(s, (E *)(shared + s * T::stage));
        }
        cp_async_commit();
    }
    cp_async_wait_group<last - 1>();
    sync();
    int now = 0, later = last * T::stage; // later: what it held is multiplied
    mma_fetch<T>(parts[0], shared, 0);
#pragma unroll 1
    for (int s = 0; s < steps; s++) {
#pragma unroll
        for (int p = 0; p < products; p++) {
            int from = now;
            if (p == products - 1) { // from here on all have the step that is next
                cp_async_wait_group<last - 1>();
                sync();
                now = now == last * T::stage ? 0 : now + T::stage;
                from = now;
            }
            mma_fetch<T>(parts[(p + 1) % 2], shared + from, (p + 1) % products * T::one);
            if (p == 0) {
                if (s + last < steps) ahead(s + last, (E *)(shared + later));
                cp_async_commit();
            }
            mma_multiply<T>(sums, parts[p % 2]);
        }
        if (s + last < steps) behind(s + last, (E *)(shared + later));
        later = later == last * T::stage ? 0 : later + T::stage;
    }
    cp_async_wait_group<0>();
    sync();
}

// Slab number `slab` of the sums in shared memory, between barriers: row r of it is row
// mma_row<T>(slab, r) of the tile.
template <class T> DEVICE void mma_lay_out(float *to, const MmaSums<T> &sums, int slab)
{
    const uint32_t warp = thread() / 32, lane = thread() % 32;
    float *own = to + (warp / T::across * 16 * T::parts + lane / 4) * T::out_stride +
                 warp % T::across * T::warp_n + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < T::rows; i++) {
        if (i / T::parts != slab) continue;
#pragma unroll
        for (int j = 0; j < 2 * T::columns; j++) {
            float *at = own + i % T::parts * 16 * T::out_stride + j * 8;
            const f32x4 x = sums.at[i][j];
            const u32x2 upper = {{(uint32_t)bits_of(x.at[0]), (uint32_t)bits_of(x.at[1])}},
                        lower = {{(uint32_t)bits_of(x.at[2]), (uint32_t)bits_of(x.at[3])}};
            *(u32x2 *)at = upper;
            *(u32x2 *)(at + 8 * T::out_stride) = lower;
        }
    }
}

template <class T> DEVICE int mma_row(int slab, int row)
{
    constexpr int each = 16 * T::parts;
    return row / each * T::warp_m + slab * each + row % each;
}

// Which tile of down x across this block has: blocks that run side by side have eight rows of
// tiles, column by column, so that they read the same operands.
DEVICE void mma_tile(int down, int across, int &m, int &n)
{
    const int at = (int)block_x(), group = 8 * across, first = at / group * 8;
    const int high = smaller<int>(8, down - first), rest = at % group;
    m = first + rest % high;
    n = rest / high;
}
