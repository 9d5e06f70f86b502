// Attention and its gradient on tensor cores, over the instructions of cuda_prelude.cuh: operands
// in bf16; scores, softmax and sums in f32, never in global memory. A warp owns rows of the
// result and adds to them in one fixed order, so that results do not depend on the order of blocks.
// Weights are rounded to bf16 next, so the hardware's 2^x will do: scores are powers of 2 here.
//
// Matrices: queries (N, D), keys (M, D), values (M, E). What a warp computes at a time is tiles of
// 16 x 16; g = lane / 4 and t = lane % 4 are a thread's place in a tile's fragment: rows g and
// g + 8, columns 2 t, 2 t + 1, 2 t + 8, 2 t + 9.

DEVICE float expand_log(float x);

// One power of e in powers of 2, and the other way round.
DEVICE float log2_of_e()
{
    return 0x1.715476p+0f;
}

DEVICE float log_of_2()
{
    return 0x1.62e43p-1f;
}

// ---- operands -----------------------------------------------------------------------------------

// A matrix of one head: element (r, c) at at[r * row + c * col]. wide: col is 1, row and the
// address are multiples of 8 elements.
template <class T> struct HeadRows {
    T *at;
    long long row, col;
    bool wide;
};

// A width in elements: whole steps of 16, tiles of 8, and elements from row to row in shared
// memory. 16 bytes of padding put the eight rows that ldmatrix reads into eight groups of banks.
template <int W> struct Width {
    enum { STEPS = (W + 15) / 16, TILES = W / 8, PITCH = STEPS * 16 + 8 };
};

// The score of a query and a key, and which of them count: all that a score depends on is here, as
// `of` sees each product once, in the forward and in all backward kernels. Where there are no
// segments or there is no bias, their address is 0, which is known when this is compiled.
struct AttentionScores {
    float scale;
    int queries, keys;
    bool causal;
    HeadRows<const int> query_segments, key_segments; // in one column
    HeadRows<const float> bias;

    // Keys before this one are all visible to this query, the others are not.
    METHOD int end_of_keys(int query) const
    {
        if (!causal) return keys;
        const int end = query + 1 + keys - queries;
        return end < 0 ? 0 : end < keys ? end : keys;
    }
    // Queries before this one do not see this key.
    METHOD int first_query(int key) const
    {
        const int first = key - (keys - queries);
        return causal && first > 0 ? first : 0;
    }
    // Do all queries from this one on see n keys from this one on?
    METHOD bool all_visible(int query, int key, int n) const
    {
        return key + n <= end_of_keys(query);
    }
    // May some of n keys from this one on be in the segment of some of these rows of queries? Asked by
    // a whole warp. What is unseen adds nothing to any sum and may be left out.
    METHOD bool may_see(int query, int rows, int key, int n) const
    {
        if (!query_segments.at) return true;
        const int lane = (int)thread() % 32, end = smaller<int>(query + rows, queries);
        bool some = false;
        for (int i = query + lane % 16; i < end; i += 16) {
            const int own = query_segments.at[i * query_segments.row];
            for (int j = key + lane / 16; j < smaller<int>(key + n, keys); j += 2)
                some = some || key_segments.at[j * key_segments.row] == own;
        }
        return any(some);
    }
    // As a power of 2, less what is to be subtracted; -inf where the query does not see the key. Of
    // those that do not exist any number.
    METHOD float of(float product, int query, int key, float less) const
    {
        const bool exist = query < queries && key < keys;
        if (bias.at && exist) {
            const float x = bias.at[query * bias.row + key * bias.col];
            less = fma_f32(x, -log2_of_e(), less);
        }
        const float score = fma_f32(product, scale * log2_of_e(), -less);
        if (!query_segments.at || !exist) return score;
        const bool seen = query_segments.at[query * query_segments.row] ==
                          key_segments.at[key * key_segments.row];
        return seen ? score : least<float>();
    }
};

DEVICE uint32_t pair_at(const HeadRows<const bf16> &x, int row, int col, int rows, int cols)
{
    if (row >= rows || col >= cols) return 0;
    const bf16 *p = x.at + row * x.row + col * x.col;
    if (x.wide) return *(const uint32_t *)p;
    return p[0].bits | (uint32_t)p[x.col].bits << 16;
}

DEVICE void put_pair(const HeadRows<bf16> &x, int row, int col, uint32_t pair)
{
    bf16 *p = x.at + row * x.row + col * x.col;
    if (x.wide) {
        *(uint32_t *)p = pair;
        return;
    }
    p[0].bits = (uint16_t)pair;
    p[x.col].bits = (uint16_t)(pair >> 16);
}

// x, of which the compiler does not know that it is: what is computed from it is not kept in
// registers from the beginning of a kernel on.
DEVICE int anew(int x)
{
    return (int)shfl_u32((uint32_t)x, thread() % 32);
}

// Rows first .. first + n - 1 of a matrix of width W to shared memory, zeros behind row `rows` and
// behind column W. Wide ones arrive with the thread's current group of copies. The block's threads
// share it, or those from `begin` on.
template <int W>
DEVICE void copy_rows(bf16 *to, const HeadRows<const bf16> &from, int first, int n, int rows,
                      int threads, int begin = 0)
{
    const int each = 2 * Width<W>::STEPS, step = threads - begin;
    for (int i = anew((int)thread()) - begin; i < n * each; i += step) {
        const int row = i / each, col = i % each * 8;
        const bool inside = first + row < rows && col < W;
        bf16 *p = to + row * Width<W>::PITCH + col;
        if (from.wide) {
            const bf16 *source = from.at + (inside ? (first + row) * from.row + col : 0);
            cp_async_16_fill(p, source, inside ? 16 : 0);
        } else {
            bf16x8 x = {};
            for (int c = 0; inside && c < 8; c++)
                x.at[c] = from.at[(first + row) * from.row + (col + c) * from.col];
            store_bf16x8(p, x);
        }
        if (step >= n * each) break; // known when this is compiled: no loop
    }
}

// ---- fragments ----------------------------------------------------------------------------------

// Where this lane's row lies in a tile of 16 x 16 for ldmatrix. down: the second matrix is rows 8
// to 15 (an operand a; b with k down, transposed). across: it is columns 8 to 15 (b with n down; a
// that lies transposed).
DEVICE int tile_down(int pitch)
{
    const int lane = (int)thread() % 32;
    return lane % 16 * pitch + lane / 16 * 8;
}

DEVICE int tile_across(int pitch)
{
    const int lane = (int)thread() % 32;
    return (lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8;
}

// Two neighbouring tiles of sums (16 x 8 each) as an operand a of 16 x 16.
DEVICE u32x4 fragment_of(const f32x4 &x, const f32x4 &y)
{
    return {{pack_bf16(x.at[0], x.at[1]), pack_bf16(x.at[2], x.at[3]), pack_bf16(y.at[0], y.at[1]),
             pack_bf16(y.at[2], y.at[3])}};
}

// Columns 16 step .. of 16 rows from `row` of a matrix (rows, W) as an operand a, from global
// memory.
template <int W>
DEVICE u32x4 fragment_at(const HeadRows<const bf16> &x, int row, int step, int rows)
{
    const int lane = (int)thread() % 32, r = row + lane / 4, c = step * 16 + lane % 4 * 2;
    return {{pair_at(x, r, c, rows, W), pair_at(x, r + 8, c, rows, W),
             pair_at(x, r, c + 8, rows, W), pair_at(x, r + 8, c + 8, rows, W)}};
}

template <int R, int T> DEVICE void clear_tiles(f32x4 (&sum)[R][T])
{
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int i = 0; i < T; i++) sum[r][i] = {{0, 0, 0, 0}};
}

// sum[r] (16, 8 T) += a[r] (16, 16) b' with b (8 T, 16) at rows of `pitch` in shared memory.
template <int R, int T>
DEVICE void multiply_rows(f32x4 (&sum)[R][T], const u32x4 (&a)[R], const bf16 *b, int pitch)
{
    b += tile_across(pitch);
#pragma unroll
    for (int i = 0; i < T / 2; i++) {
        const u32x4 x = ldmatrix_x4(b + i * 16 * pitch);
#pragma unroll
        for (int r = 0; r < R; r++) {
            sum[r][2 * i] = mma_bf16(a[r], x.at[0], x.at[1], sum[r][2 * i]);
            sum[r][2 * i + 1] = mma_bf16(a[r], x.at[2], x.at[3], sum[r][2 * i + 1]);
        }
    }
}

// sum[r] (16, 8 T) += a[r] (16, 16) b with b (16, 8 T) at rows of `pitch` in shared memory.
template <int R, int T>
DEVICE void multiply_columns(f32x4 (&sum)[R][T], const u32x4 (&a)[R], const bf16 *b, int pitch)
{
    b += tile_down(pitch);
#pragma unroll
    for (int i = 0; i < (T + 1) / 2; i++) {
        const u32x4 x = ldmatrix_x4_trans(b + i * 16);
#pragma unroll
        for (int r = 0; r < R; r++) {
            sum[r][2 * i] = mma_bf16(a[r], x.at[0], x.at[1], sum[r][2 * i]);
            if (2 * i + 1 < T)
                sum[r][2 * i + 1] = mma_bf16(a[r], x.at[2], x.at[3], sum[r][2 * i + 1]);
        }
    }
}

// A quad of lanes as a matrix of 4 x 4, a row a lane: transposed.
DEVICE u32x4 turn_quad(u32x4 x)
{
#pragma unroll
    for (int by = 1; by < 4; by *= 2) {
        const bool upper = thread() & by;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i & by) continue;
            uint32_t &low = x.at[i], &high = x.at[i + by];
            const uint32_t other = shfl_xor_u32(upper ? low : high, by);
            low = upper ? other : low;
            high = upper ? high : other;
        }
    }
    return x;
}

// 16 rows from `row` of a result, 8 T columns: sum * factor[0] (rows g), * factor[1] (rows g + 8).
// Four tiles at a time where a lane can write 16 bytes.
template <int T>
DEVICE void put_tiles(const HeadRows<bf16> &to, int row, int rows, const f32x4 (&sum)[T],
                      const float (&factor)[2])
{
    const int t = (int)thread() % 4;
    row += (int)thread() % 32 / 4;
#pragma unroll
    for (int r = 0; r < 2; r++, row += 8) {
        uint32_t pairs[T];
#pragma unroll
        for (int i = 0; i < T; i++)
            pairs[i] = pack_bf16(sum[i].at[2 * r] * factor[r], sum[i].at[2 * r + 1] * factor[r]);
#pragma unroll
        for (int i = 0; to.wide && i + 4 <= T; i += 4) {
            const u32x4 x = turn_quad({{pairs[i], pairs[i + 1], pairs[i + 2], pairs[i + 3]}});
            if (row < rows) store_global_u32x4(to.at + row * to.row + (i + t) * 8, x);
        }
#pragma unroll
        for (int i = to.wide ? T / 4 * 4 : 0; i < T; i++)
            if (row < rows) put_pair(to, row, i * 8 + t * 2, pairs[i]);
    }
}

DEVICE float quad_sum(float x)
{
    x = x + shfl_xor_f32(x, 1);
    return x + shfl_xor_f32(x, 2);
}

DEVICE float quad_max(float x)
{
    x = max_f32(x, shfl_xor_f32(x, 1));
    return max_f32(x, shfl_xor_f32(x, 2));
}

// ---- forward ------------------------------------------------------------------------------------

struct AttentionForward {
    HeadRows<const bf16> q, k, v;
    HeadRows<bf16> out;
    HeadRows<float> lse;
    AttentionScores scores;
};

// Of a thread's two rows of a tile: what is subtracted from scores, how far they may be above it,
// and its part of the sum.
struct QueryNumbers {
    float most[2], slack[2], sum[2];
};

// A warp's queries, R tiles of 16. query is the first row of the thread in the first tile.
template <int D, int E, int R> struct AttentionQueries {
    u32x4 q[Width<D>::STEPS][R];
    f32x4 out[R][Width<E>::TILES];
    QueryNumbers numbers[R];
    int query;
};

template <int D, int E, int R>
DEVICE void begin_queries(AttentionQueries<D, E, R> &w, const AttentionForward &a, int first)
{
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int i = 0; i < Width<D>::STEPS; i++)
            w.q[i][r] = fragment_at<D>(a.q, first + r * 16, i, a.scores.queries);
    clear_tiles(w.out);
    const float none = least<float>(); // the first score there is counts
    for (int r = 0; r < R; r++) w.numbers[r] = {{0, 0}, {none, none}, {0, 0}};
    w.query = first + (int)thread() % 32 / 4;
}

// The scores, less `less` of their row, of the products s of 16 queries with 8 T keys from `key`
// on; -inf where hidden. query is the thread's first row.
template <int T>
DEVICE void score_queries(f32x4 (&s)[T], const AttentionScores &scores, int query, int key,
                          const float (&less)[2])
{
    const int first = query - (int)thread() % 32 / 4, column = key + (int)thread() % 4 * 2;
#pragma unroll
    for (int i = 0; i < T; i++)
#pragma unroll
        for (int x = 0; x < 4; x++)
            s[i].at[x] =
                scores.of(s[i].at[x], query + x / 2 * 8, column + i * 8 + x % 2, less[x / 2]);
    if (scores.all_visible(first, key, 8 * T)) return;
    query = anew(query);
#pragma unroll
    for (int x = 0; x < 4; x++) {
        const int end = scores.end_of_keys(query + x / 2 * 8);
#pragma unroll
        for (int i = 0; i < T; i++)
            if (column + i * 8 + x % 2 >= end) s[i].at[x] = least<float>();
    }
}

// Make the rows' `most` follow the largest score; s is less `most`. Follow: for the two rows of a
// tile, whose results are rescaled.
template <int E, int T>
DEVICE void follow(QueryNumbers &row, f32x4 (&out)[E], f32x4 (&s)[T], const float (&largest)[2])
{
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const float x = quad_max(largest[r]), above = x > row.slack[r] ? x : 0.0f;
        // Before the first score there is nothing to rescale, and above may be very negative.
        const float factor = row.slack[r] == least<float>() ? 0.0f : exp2_approx(-above);
        if (x > row.slack[r]) row.slack[r] = 8;
        row.most[r] = row.most[r] + above;
        row.sum[r] = row.sum[r] * factor;
#pragma unroll
        for (int i = 0; i < E; i++) {
            out[i].at[2 * r] = out[i].at[2 * r] * factor;
            out[i].at[2 * r + 1] = out[i].at[2 * r + 1] * factor;
        }
#pragma unroll
        for (int i = 0; i < T; i++) {
            s[i].at[2 * r] = s[i].at[2 * r] - above;
            s[i].at[2 * r + 1] = s[i].at[2 * r + 1] - above;
        }
    }
}

// For all rows. `most` may stay behind by 8, which changes no result (2^8 times 4096 keys is far
// from infinity) and saves most of the rescaling.
template <int D, int E, int R, int T>
DEVICE void follow_most(AttentionQueries<D, E, R> &w, f32x4 (&s)[R][T])
{
    float largest[R][2];
    bool grew = false;
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
        for (int x = 0; x < 2; x++) {
            float most = s[r][0].at[2 * x];
#pragma unroll
            for (int i = 0; i < T; i++)
                most = max_f32(most, max_f32(s[r][i].at[2 * x], s[r][i].at[2 * x + 1]));
            largest[r][x] = most;
            grew = grew || most > w.numbers[r].slack[x];
        }
    if (!any(grew)) return;
#pragma unroll
    for (int r = 0; r < R; r++) follow(w.numbers[r], w.out[r], s[r], largest[r]);
}

// Add 16 G keys from `key` on, whose rows lie at k and v.
template <int G, int D, int E, int R>
DEVICE void add_keys(AttentionQueries<D, E, R> &w, const AttentionScores &scores, const bf16 *k,
                     const bf16 *v, int key)
{
    f32x4 s[R][2 * G];
    clear_tiles(s);
#pragma unroll
    for (int i = 0; i < Width<D>::STEPS; i++)
        multiply_rows(s, w.q[i], k + i * 16, Width<D>::PITCH);
#pragma unroll
    for (int r = 0; r < R; r++)
        score_queries(s[r], scores, w.query + r * 16, key, w.numbers[r].most);
    follow_most(w, s);
#pragma unroll
    for (int i = 0; i < G; i++) {
        u32x4 p[R];
#pragma unroll
        for (int r = 0; r < R; r++) {
#pragma unroll
            for (int x = 0; x < 8; x++) {
                float &p = s[r][2 * i + x / 4].at[x % 4], &sum = w.numbers[r].sum[x % 4 / 2];
                p = exp2_approx(p);
                sum = sum + p;
            }
            p[r] = fragment_of(s[r][2 * i], s[r][2 * i + 1]);
        }
        multiply_columns(w.out, p, v + i * 16 * Width<E>::PITCH, Width<E>::PITCH);
    }
}

// Add keys key .. end - 1, whose rows lie at k and v, zeros behind them up to a multiple of 16.
template <int D, int E, int R>
DEVICE void attend(AttentionQueries<D, E, R> &w, const AttentionScores &scores, const bf16 *k,
                   const bf16 *v, int key, int end)
{
    const int first = w.query - (int)thread() % 32 / 4;
    for (; R == 1 && end - key > 32;
         key += 48, k += 48 * Width<D>::PITCH, v += 48 * Width<E>::PITCH)
        if (scores.may_see(first, 16, key, 48))
            add_keys<R == 1 ? 3 : 1>(w, scores, k, v, key);
    for (; key < end; key += 16, k += 16 * Width<D>::PITCH, v += 16 * Width<E>::PITCH)
        if (scores.may_see(first, R * 16, key, 16)) add_keys<1>(w, scores, k, v, key);
}

// A quad has 2 R rows: each of its lanes takes the logarithm and the reciprocal for one.
template <int D, int E, int R>
DEVICE void end_queries(const AttentionQueries<D, E, R> &w, const AttentionForward &a)
{
    const int rows = a.scores.queries, first = anew(w.query - (int)thread() % 32 / 4);
    const int t = (int)thread() % 4;
    float sum = 0, most = 0;
#pragma unroll
    for (int n = 0; n < 2 * R; n++) {
        const float all = quad_sum(w.numbers[n / 2].sum[n % 2]);
        if (n == t) sum = all;
        if (n == t) most = w.numbers[n / 2].most[n % 2];
    }
    const int query = w.query + t * 8;
    if (t < 2 * R && query < rows)
        a.lse.at[query * a.lse.row] = fma_f32(most, log_of_2(), expand_log(sum));
    const float by = sum == 0 ? 0.0f : 1.0f / sum; // nothing visible: zeros
#pragma unroll
    for (int r = 0; r < R; r++) {
        const uint32_t lane = thread() % 32 / 4 * 4 + 2 * r;
        const float factor[2] = {shfl_f32(by, lane), shfl_f32(by, lane + 1)};
        put_tiles(a.out, first + r * 16, rows, w.out[r], factor);
    }
}

// The block's queries are tiles first .. end - 1 of 16, R at a time a warp. All keys and values lie
// in shared memory; a warp's first queries are fetched while they come.
template <int D, int E, int R>
DEVICE void attention_at_once(const AttentionForward &a, unsigned char *shared, int first, int end,
                              int warps)
{
    const int keys = a.scores.keys, n = (keys + 15) / 16 * 16;
    bf16 *k = (bf16 *)shared, *v = k + n * Width<D>::PITCH;
    int tile = first + (int)thread() / 32 * R;
    AttentionQueries<D, E, R> w;
    begin_queries(w, a, tile * 16);
    copy_rows<D>(k, a.k, 0, n, keys, warps * 32);
    copy_rows<E>(v, a.v, 0, n, keys, warps * 32);
    cp_async_commit();
    cp_async_wait_group<0>();
    sync();
    while (tile < end) {
        const int last = smaller<int>(tile * 16 + R * 16, a.scores.queries) - 1;
        attend(w, a.scores, k, v, 0, a.scores.end_of_keys(last));
        end_queries(w, a);
        tile += warps * R;
        if (tile < end) begin_queries(w, a, tile * 16);
    }
}

// A tile a warp, from `first` on. Keys and values pass through shared memory 48 at a time.
template <int D, int E>
DEVICE void attention_in_parts(const AttentionForward &a, unsigned char *shared, int first, int end,
                               int warps)
{
    enum { KEYS = 48, K = KEYS * Width<D>::PITCH, V = KEYS * Width<E>::PITCH };
    const int keys = a.scores.keys, tile = first + (int)thread() / 32;
    const int limit = a.scores.end_of_keys(smaller<int>(end * 16, a.scores.queries) - 1);
    const int last = smaller<int>(tile * 16 + 15, a.scores.queries - 1);
    const int own = tile < end ? a.scores.end_of_keys(last) : 0;
    bf16 *stage = (bf16 *)shared;
    for (int s = 0; s < 2; s++) {
        copy_rows<D>(stage + s * (K + V), a.k, s * KEYS, KEYS, keys, warps * 32);
        copy_rows<E>(stage + s * (K + V) + K, a.v, s * KEYS, KEYS, keys, warps * 32);
        cp_async_commit();
    }
    AttentionQueries<D, E, 1> w;
    begin_queries(w, a, tile * 16);
    for (int key = 0, s = 0; key < limit; key += KEYS, s ^= 1) {
        bf16 *k = stage + s * (K + V), *v = k + K;
        cp_async_wait_group<1>();
        sync();
        attend(w, a.scores, k, v, key, smaller<int>(own, key + KEYS));
        sync();
        if (key + 2 * KEYS < limit) {
            copy_rows<D>(k, a.k, key + 2 * KEYS, KEYS, keys, warps * 32);
            copy_rows<E>(v, a.v, key + 2 * KEYS, KEYS, keys, warps * 32);
        }
        cp_async_commit();
    }
    cp_async_wait_group<0>();
    end_queries(w, a);
}
