// Ordered ops (docs/ir.md) in rows: cumulative sums, the largest elements, suppression of boxes;
// and the eigenvectors of matrices.

// ---- cumulative sums ----------------------------------------------------------------------------

// Blocks of ROWS rows, of each a segment of CHUNKS chunks at a time in shared memory; a thread adds
// up a chunk, and then one a row goes over the ends of the chunks. Chunks are 65 elements apart, so
// that threads meet in no bank. tile: ROWS * CHUNKS * 65, before: ROWS * CHUNKS, carry: ROWS.
template <int ROWS, int CHUNKS, int THREADS, bool REVERSE, class T, class Add>
DEVICE void cumsum_rows(const T *x, T *y, long long rows, long long n, T start, T *tile, T *before,
                        T *carry, Add add)
{
    constexpr int width = CHUNKS * 64, all = ROWS * width;
    const int t = (int)thread();
    const long long first = (long long)block_x() * ROWS;
    auto place = [&](int i, long long from) {
        const long long at = from + i % width, row = first + i / width;
        return row >= rows || at >= n ? -1ll : row * n + (REVERSE ? n - 1 - at : at);
    };
    if (t < ROWS) carry[t] = start;
    for (long long from = 0; from < n; from += width) {
        for (int i = t; i < all; i += THREADS) {
            const long long at = place(i, from);
            tile[i + i / 64] = at < 0 ? start : x[at];
        }
        sync();
        if (t < ROWS * CHUNKS) {
            T sum = start;
            for (int i = t * 65; i < t * 65 + 64; i++) tile[i] = sum = add(sum, tile[i]);
        }
        sync();
        T sum = start;
        if (t < ROWS) {
            for (int c = t * CHUNKS; c < (t + 1) * CHUNKS; c++) {
                before[c] = sum;
                sum = add(sum, tile[c * 65 + 63]);
            }
            sum = add(carry[t], sum);
        }
        sync();
        for (int i = t; i < all; i += THREADS) {
            const long long at = place(i, from);
            if (at >= 0) y[at] = add(carry[i / width], add(before[i / 64], tile[i + i / 64]));
        }
        sync();
        if (t < ROWS) carry[t] = sum;
    }
}

// ---- order --------------------------------------------------------------------------------------

// A number that rises with x; of all NaN it is the largest, of both zeros the same.
DEVICE uint32_t order_key(float x)
{
    const int bits = bits_of(x + 0.0f);
    return x != x ? 0xffffffffu : (uint32_t)bits ^ ((uint32_t)(bits >> 31) | 0x80000000u);
}

DEVICE uint32_t order_key(int x)
{
    return (uint32_t)x ^ 0x80000000u;
}

DEVICE uint32_t order_key(unsigned x)
{
    return x;
}

// The key above, the index below: no two are equal, so every way to sort gives the same.
DEVICE uint64_t order_pair(uint32_t key, long long i)
{
    return (uint64_t)key << 32 | (uint32_t)i;
}

// Sort every run of RUN of ALL pairs, powers of two, by a bitonic network. In steps of up to 32 a
// warp sees 64 pairs of its own, so that it need not wait for the others until a longer one comes.
template <int RUN, int ALL, int THREADS> DEVICE void sort_runs(uint64_t *at)
{
    for (int size = 2; size <= RUN; size *= 2)
        for (int step = size / 2; step > 0; step /= 2) {
            for (int i = (int)thread(); i < ALL / 2; i += THREADS) {
                const int low = i / step * (2 * step) + i % step;
                const int high = step == size / 2 ? low ^ (size - 1) : low + step;
                const uint64_t x = at[low], y = at[high];
                if (x > y) at[low] = y, at[high] = x;
            }
            const bool own = step <= 32 && (step > 1 || (size <= 32 && size < RUN));
            if (own)
                warp_sync();
            else
                sync();
        }
}

// Rows of up to RUN elements, ROWS of them in a block. pair(row, i) and put(row, place, i) are the
// row's elements and what is made of them.
template <int RUN, int ROWS, int THREADS, class Pair, class Put>
DEVICE void topk_short(long long rows, int n, int size, uint64_t *tile, Pair pair, Put put)
{
    const long long first = (long long)block_x() * ROWS;
    for (int e = (int)thread(); e < RUN * ROWS; e += THREADS) {
        const long long row = first + e / RUN;
        tile[e] = row < rows && e % RUN < n ? pair(row, e % RUN) : ~(uint64_t)0;
    }
    sync();
    sort_runs<RUN, RUN * ROWS, THREADS>(tile);
    for (int e = (int)thread(); e < RUN * ROWS; e += THREADS) {
        const long long row = first + e / RUN;
        if (row < rows && e % RUN < size) put(row, e % RUN, (uint32_t)tile[e]);
    }
}

// Elements [from, to) of two sorted lists in one.
DEVICE void merge_part(const uint64_t *a, int na, const uint64_t *b, int nb, uint64_t *out,
                       int from, int to)
{
    const int begin = smaller<int>(from, na + nb);
    int low = larger<int>(0, begin - nb), high = smaller<int>(begin, na);
    while (low < high) { // how many of the first `begin` are a's
        const int middle = (low + high) / 2;
        if (a[middle] <= b[begin - 1 - middle])
            low = middle + 1;
        else
            high = middle;
    }
    int i = low, j = begin - low;
    for (int at = from; at < to; at++) {
        const bool left = i < na && (j >= nb || a[i] <= b[j]);
        out[at] = left ? a[i++] : j < nb ? b[j++] : ~(uint64_t)0;
    }
}

// Longer rows, a block a row: tiles are sorted, the first `size` of each kept in `work`, and those
// merged two by two. A block's part of `work` is 2 (tiles + 1) min(size, TILE).
template <int TILE, int EACH, int THREADS, class Pair, class Put>
DEVICE void topk_long(long long rows, int n, int size, uint64_t *tile, uint64_t *work, Pair pair,
                      Put put)
{
    const int tiles = (n + TILE - 1) / TILE, kept = smaller<int>(size, TILE);
    const long long half = (long long)(tiles + 1) * kept;
    for (long long row = block_x(); row < rows; row += blocks_x()) {
        uint64_t *from = work + block_x() * 2 * half, *to = from + half;
        for (int t = 0; t < tiles; t++) {
            for (int e = (int)thread(); e < TILE; e += THREADS) {
                const int i = t * TILE + e;
                tile[e] = i < n ? pair(row, i) : ~(uint64_t)0;
            }
            sync();
            sort_runs<TILE, TILE, THREADS>(tile);
            for (int e = (int)thread(); e < kept; e += THREADS)
                from[(long long)t * kept + e] = tile[e];
            sync();
        }
        int length = kept;
        for (int runs = tiles; runs > 1; runs = (runs + 1) / 2) {
            const int next = smaller<int>(size, 2 * length), parts = (next + EACH - 1) / EACH;
            for (int u = (int)thread(); u < (runs + 1) / 2 * parts; u += THREADS) {
                const int run = u / parts, at = u % parts * EACH;
                const uint64_t *a = from + (long long)2 * run * length;
                merge_part(a, length, a + length, 2 * run + 1 < runs ? length : 0,
                           to + (long long)run * next, at, smaller<int>(at + EACH, next));
            }
            sync();
            uint64_t *const old = from;
            from = to;
            to = old;
            length = next;
        }
        for (int k = (int)thread(); k < size; k += THREADS) put(row, k, (uint32_t)from[k]);
        sync();
    }
}

// ---- suppression --------------------------------------------------------------------------------

struct Corners {
    float left, top, right, bottom;
};

DEVICE Corners corners_at(const float *box, int i)
{
    const f32x4 c = load_f32x4(box + (long long)i * 4);
    return {c.at[0], c.at[1], c.at[2], c.at[3]};
}

DEVICE float area_of(Corners a)
{
    return larger(a.right - a.left, 0.0f) * larger(a.bottom - a.top, 0.0f);
}

DEVICE bool overlaps(Corners a, Corners b, float threshold)
{
    const float w = larger(smaller(a.right, b.right) - larger(a.left, b.left), 0.0f);
    const float h = larger(smaller(a.bottom, b.bottom) - larger(a.top, b.top), 0.0f);
    const float both = w * h;
    return both > threshold * (area_of(a) + area_of(b) - both);
}

// The largest of all threads' x; shared: a number a warp, none that another thread still reads.
template <int WARPS> DEVICE uint64_t block_largest(uint64_t x, uint64_t *shared)
{
    for (int round = 0; round < 2; round++) {
        for (uint32_t by = 16; by; by /= 2) {
            const uint64_t high = shfl_xor_u32((uint32_t)(x >> 32), by);
            x = larger<uint64_t>(x, high << 32 | shfl_xor_u32((uint32_t)x, by));
        }
        if (round) break;
        if (thread() % 32 == 0) shared[thread() / 32] = x;
        sync();
        x = thread() % 32 < WARPS ? shared[thread() % 32] : 0;
    }
    return x;
}

// A block a row of n boxes. live[i]: the key of score i, 0 when the box is gone. A thread always
// sees the same boxes. shared: 2 * WARPS.
template <int WARPS>
DEVICE void nms_row(const float *box, const float *score, int n, int size, float threshold,
                    uint32_t *live, int *to, int *count, uint64_t *shared)
{
    constexpr int threads = 32 * WARPS;
    uint64_t best = 0;
    for (int i = (int)thread(); i < n; i += threads) {
        const uint32_t key = score[i] > least<float>() ? order_key(score[i]) : 0;
        live[i] = key;
        if (key) best = larger<uint64_t>(best, order_pair(key, ~i));
    }
    int k = 0;
    for (; k < size; k++) {
        best = block_largest<WARPS>(best, shared + k % 2 * WARPS);
        if (!best) break;
        const int chosen = (int)~(uint32_t)best;
        const Corners a = corners_at(box, chosen);
        if (thread() == 0) to[k] = chosen;
        best = 0;
        for (int i = (int)thread(); i < n; i += threads) {
            const uint32_t key = live[i];
            if (!key) continue;
            if (i == chosen || overlaps(a, corners_at(box, i), threshold))
                live[i] = 0;
            else
                best = larger<uint64_t>(best, order_pair(key, ~i));
        }
    }
    for (int i = k + (int)thread(); i < size; i += threads) to[i] = -1;
    if (thread() == 0) *count = k;
}

// ---- eigenvalues of symmetric matrices ----------------------------------------------------------

// The product of two rows by the row stage, one warp: each of its lanes has two of the 64. n is at
// most 4096.
DEVICE float rows_product(const float *x, const float *y, int n)
{
    float low = 0, high = 0;
    for (int i = (int)thread() % 32; i < n; i += 64) {
        low = fma_f32(x[i], y[i], low);
        if (i + 32 < n) high = fma_f32(x[i + 32], y[i + 32], high);
    }
    low = low + high;
    for (uint32_t by = 16; by; by /= 2) low = low + shfl_xor_f32(low, by);
    return low;
}

// norms[i] = the product of row i with itself; a warp a row.
template <int WARPS> DEVICE void rows_norms(const float *rows, float *norms, int n)
{
    sync();
    for (int i = (int)thread() / 32; i < n; i += WARPS) {
        const float *const row = rows + (long long)i * n;
        const float d = rows_product(row, row, n);
        if (thread() % 32 == 0) norms[i] = d;
    }
    sync();
}

// Rows p < q by one warp: make them orthogonal. False where they are.
DEVICE bool rows_rotate(float *rows, float *norms, int n, int p, int q, float cosine2)
{
    float *const x = rows + (long long)p * n, *const y = rows + (long long)q * n;
    const float d = rows_product(x, y, n), a = norms[p], b = norms[q];
    if (!(d * d > cosine2 * (a * b))) return false;
    const float z = (b - a) / (d + d);
    const float less = 1.0f / (abs_f32(z) + sqrt_f32(fma_f32(z, z, 1.0f)));
    const float t = z < 0 ? -less : less;
    const float c = 1.0f / sqrt_f32(fma_f32(t, t, 1.0f)), s = c * t;
    const float half = s / (1.0f + c); // c u - s v = u - s (v + half u)
    for (int i = (int)thread() % 32; i < n; i += 32) {
        const float u = x[i], v = y[i];
        x[i] = fma_f32(-s, fma_f32(half, u, v), u);
        y[i] = fma_f32(s, fma_f32(-half, v, u), v);
    }
    warp_sync();
    if (thread() % 32 == 0) {
        norms[p] = fma_f32(-t, d, a);
        norms[q] = fma_f32(t, d, b);
    }
    return true;
}

// Every pair of rows once; a warp a pair, all pairs of a round have different rows.
template <int WARPS> DEVICE bool rows_sweep(float *rows, float *norms, int n, float cosine2)
{
    const int last = n + n % 2 - 1;
    bool turned = false;
    for (int round = 0; round < last; round++) {
        for (int k = (int)thread() / 32; k < (last + 1) / 2; k += WARPS) {
            const int a = k ? (round + k) % last : last, b = (round - k + last) % last;
            const int p = a < b ? a : b, q = a < b ? b : a;
            if (q < n && rows_rotate(rows, norms, n, p, q, cosine2)) turned = true;
        }
        sync();
    }
    return turned;
}

// rows: x by its lower triangle / most / length, plus 2 on the diagonal. Gives `length`.
template <int WARPS>
DEVICE float rows_scaled(const float *x, float *rows, float *norms, int n, float most)
{
    for (int i = (int)thread() / 32; i < n; i += WARPS)
        for (int j = (int)thread() % 32; j < n; j += 32)
            rows[(long long)i * n + j] =
                x[j <= i ? (long long)i * n + j : (long long)j * n + i] / most;
    rows_norms<WARPS>(rows, norms, n);
    float sum = 0;
    for (int i = 0; i < n; i++) sum = sum + norms[i];
    float length = sqrt_f32(sum);
    if (length == 0) length = 1;
    for (int i = (int)thread() / 32; i < n; i += WARPS)
        for (int j = (int)thread() % 32; j < n; j += 32) {
            const float a = rows[(long long)i * n + j] / length;
            rows[(long long)i * n + j] = i == j ? a + 2.0f : a;
        }
    return length;
}

// The largest of all |x| of the lower triangle, 1 where all are 0. shared: 2 * WARPS.
template <int WARPS> DEVICE float rows_most(const float *x, int n, uint64_t *shared)
{
    uint64_t most = 0;
    for (int i = (int)thread() / 32; i < n; i += WARPS)
        for (int j = (int)thread() % 32; j <= i; j += 32)
            most = larger<uint64_t>(most, (uint32_t)bits_of(abs_f32(x[(long long)i * n + j])));
    most = block_largest<WARPS>(most, shared);
    return most ? from_bits((int)most) : 1.0f;
}

// Row i of the result: by its length, its largest component positive, where it belongs.
DEVICE void rows_put(const float *rows, const float *norms, int n, int i, float most, float length,
                     float *values, float *vectors)
{
    const float *const row = rows + (long long)i * n;
    const float norm = sqrt_f32(norms[i]);
    int place = 0;
    for (int j = 0; j < n; j++) {
        const float other = sqrt_f32(norms[j]);
        place += other < norm || (j < i && !(norm < other));
    }
    uint64_t big = 0;
    for (int j = (int)thread() % 32; j < n; j += 32)
        big = larger<uint64_t>(big, order_pair((uint32_t)bits_of(abs_f32(row[j])), ~j));
    for (uint32_t by = 16; by; by /= 2) {
        const uint64_t high = shfl_xor_u32((uint32_t)(big >> 32), by);
        big = larger<uint64_t>(big, high << 32 | shfl_xor_u32((uint32_t)big, by));
    }
    const float divisor = row[~(uint32_t)big] < 0 ? -norm : norm;
    for (int j = (int)thread() % 32; j < n; j += 32)
        vectors[(long long)place * n + j] = row[j] / divisor;
    if (thread() % 32 == 0) values[place] = (norm - 2.0f) * length * most;
}

// A block a matrix (n, n). work: n * n + n. shared: 2 * WARPS, turned: WARPS.
template <int WARPS>
DEVICE void eigh_matrix(const float *x, int n, int sweeps, float cosine2, float *work,
                        float *values, float *vectors, uint64_t *shared, int *turned)
{
    float *const norms = work + (long long)n * n;
    const float most = rows_most<WARPS>(x, n, shared);
    const float length = rows_scaled<WARPS>(x, work, norms, n, most);
    bool more = true;
    for (int s = 0; s < sweeps && more; s++) {
        rows_norms<WARPS>(work, norms, n);
        const bool mine = rows_sweep<WARPS>(work, norms, n, cosine2);
        if (thread() % 32 == 0) turned[thread() / 32] = mine;
        sync();
        more = false;
        for (int w = 0; w < WARPS; w++) more = more || turned[w];
        sync();
    }
    rows_norms<WARPS>(work, norms, n);
    for (int i = (int)thread() / 32; i < n; i += WARPS)
        rows_put(work, norms, n, i, most, length, values, vectors);
}
