// The gradient of attention on tensor cores, over cuda_attention.cuh. With p = exp(score - lse),
// dp = dout v', ds = p (dp - delta), delta = sum of dout * out over a row:
// dq = ds k scale, dk = ds' q scale, dv = p' dout.
//
// Where the queries of a head fit into a block, attention_gradient_head computes each score once. A
// warp owns queries (R tiles of 16) and keeps their dq; keys pass through S at a time; p and ds of
// all queries with these keys go to shared memory, from where the block takes dk and dv of the S
// keys: they are finished at once, with AHEAD by warps of their own. Else blocks of two kinds
// compute scores twice: attention_gradient_queries gives dq of a tile of queries a warp, keys
// passing through, and attention_gradient_keys gives dk and dv of a tile of keys a warp, queries
// passing through. The gradient of a bias is a kernel of its own: a warp has a tile of 16 queries
// by 64 keys and adds up ds of all heads that share the bias, one after the other.

struct AttentionGradient {
    HeadRows<const bf16> q, k, v, out, dout;
    HeadRows<const float> lse;
    HeadRows<bf16> dq, dk, dv;
    AttentionScores scores;
};

// What is subtracted from a query's scores, as a power of 2. One without keys gets a number: its
// scores are -inf anyway. So does one that does not exist: its operands are zeros.
DEVICE float lse_of(const AttentionGradient &a, int query)
{
    if (query >= a.scores.queries) return 0;
    const float x = a.lse.at[query * a.lse.row];
    return x == least<float>() ? 0.0f : x * log2_of_e();
}

DEVICE float dot_of_pairs(uint32_t x, uint32_t y, float sum)
{
    const bf16 x0 = {(uint16_t)x}, x1 = {(uint16_t)(x >> 16)};
    const bf16 y0 = {(uint16_t)y}, y1 = {(uint16_t)(y >> 16)};
    sum = fma_f32(bf16_to_f32(x0), bf16_to_f32(y0), sum);
    return fma_f32(bf16_to_f32(x1), bf16_to_f32(y1), sum);
}

// lse and delta of a thread's two rows of the 16 queries from `first` on.
template <int E> struct RowNumbers {
    float lse[2], delta[2];

    METHOD void find(const AttentionGradient &a, int first)
    {
        const int queries = a.scores.queries;
        delta[0] = delta[1] = 0;
#pragma unroll
        for (int i = 0; i < Width<E>::STEPS; i++) {
            const u32x4 x = fragment_at<E>(a.out, first, i, queries);
            const u32x4 y = fragment_at<E>(a.dout, first, i, queries);
            for (int n = 0; n < 4; n++) delta[n % 2] = dot_of_pairs(x.at[n], y.at[n], delta[n % 2]);
        }
        for (int r = 0; r < 2; r++) {
            delta[r] = quad_sum(delta[r]);
            lse[r] = lse_of(a, first + (int)thread() % 32 / 4 + 8 * r);
        }
    }
    // The same from shared memory: lse of all rows, then delta.
    METHOD void get(const float *from, int first, int rows)
    {
        first += (int)thread() % 32 / 4;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            lse[r] = from[first + 8 * r];
            delta[r] = from[rows + first + 8 * r];
        }
    }
};

// lse of a row, and every other eight elements of out, two lanes a row: they are fetched, and then
// multiplied by dout in shared memory.
template <int E> struct OutRow {
    u32x4 x[Width<E>::STEPS];
    float lse;

    METHOD void load(const AttentionGradient &a, int row)
    {
        const HeadRows<const bf16> &out = a.out;
        const int rows = a.scores.queries;
        lse = lse_of(a, row);
#pragma unroll
        for (int i = 0; i < Width<E>::STEPS; i++) {
            const int col = i * 16 + (int)thread() % 2 * 8;
            x[i] = {};
            if (row >= rows || col >= E) continue;
            if (out.wide)
                x[i] = load_u32x4(out.at + row * out.row + col);
            else
                for (int n = 0; n < 4; n++) x[i].at[n] = pair_at(out, row, col + 2 * n, rows, E);
        }
    }
    METHOD float dot(const bf16 *dout) const
    {
        float sum = 0;
#pragma unroll
        for (int i = 0; i < Width<E>::STEPS; i++) {
            const u32x4 y = load_u32x4(dout + i * 16 + thread() % 2 * 8);
#pragma unroll
            for (int n = 0; n < 4; n++) sum = dot_of_pairs(x[i].at[n], y.at[n], sum);
        }
        return sum + shfl_xor_f32(sum, 1);
    }
};

// Sums of products of 16 queries and 8 T keys become p and ds; key is the first, query the thread's
// first row.
template <int E, int T>
DEVICE void weigh_queries(f32x4 (&p)[T], f32x4 (&ds)[T], const RowNumbers<E> &row,
                          const AttentionScores &scores, int query, int key)
{
    score_queries(p, scores, query, key, row.lse);
#pragma unroll
    for (int i = 0; i < T; i++)
#pragma unroll
        for (int x = 0; x < 4; x++) {
            p[i].at[x] = exp2_approx(p[i].at[x]);
            ds[i].at[x] = p[i].at[x] * (ds[i].at[x] - row.delta[x / 2]);
        }
}

// ---- a head in one block ------------------------------------------------------------------------

// p and ds in shared memory: queries down, S keys a row. The eight rows of a matrix have different
// banks: 32 keys have ds beside p and padding, 16 their two parts in turns and no room for padding.
template <int S> struct Weights {
    enum { PITCH = S == 32 ? 72 : S };
};

template <int S> DEVICE int weight_at(int query, int key)
{
    const int part = S == 32 ? key / 8 : key / 8 ^ query / 4 % 2;
    return query * Weights<S>::PITCH + part * 8 + key % 8;
}

template <int S> DEVICE void put_weights(bf16 *to, int query, int key, const u32x4 &x)
{
    enum { DOWN = 8 * Weights<S>::PITCH };
    const int lane = (int)thread() % 32;
#pragma unroll
    for (int n = 0; n < 2; n++) {
        bf16 *p = to + weight_at<S>(query + lane / 4, key + n * 8 + lane % 4 * 2);
        *(uint32_t *)p = x.at[2 * n];
        *(uint32_t *)(p + DOWN) = x.at[2 * n + 1];
    }
}

// Shared memory of a head: queries and dout of `tiles` tiles of 16, S keys and values, p and ds.
// With AHEAD these four are there twice: while some warps compute p and ds of S keys, the others,
// from `own` on, take dk and dv from those of the S keys before. Else own is 0, and warps do both.
template <int D, int E, int S, bool AHEAD> struct HeadBlock {
    enum { V = S * Width<D>::PITCH, KEYS = V + S * Width<E>::PITCH };
    bf16 *q, *dout, *keys, *weights;
    int tiles, warps, own;

    METHOD HeadBlock(unsigned char *shared, int query_tiles, int block_warps, int query_warps)
    {
        tiles = query_tiles;
        warps = block_warps;
        own = AHEAD ? query_warps : 0;
        q = (bf16 *)shared;
        dout = q + tiles * 16 * Width<D>::PITCH;
        keys = dout + tiles * 16 * Width<E>::PITCH;
        weights = keys + (AHEAD ? 2 : 1) * KEYS;
    }
    METHOD bf16 *k_at(int s) const
    {
        return keys + s * KEYS;
    }
    METHOD bf16 *v_at(int s) const
    {
        return keys + s * KEYS + V;
    }
    METHOD bf16 *p_at(int s) const
    {
        return weights + s * tiles * 16 * (S == 32 ? Weights<S>::PITCH : 2 * S);
    }
    METHOD bf16 *ds_at(int s) const
    {
        return p_at(s) + (S == 32 ? S : tiles * 16 * S);
    }
    // With AHEAD: of all queries.
    METHOD float *numbers() const
    {
        return (float *)p_at(2);
    }
    // All copies that the thread knows of are done, and all threads are here.
    METHOD void meet() const
    {
        cp_async_wait_group<0>();
        sync();
    }
    METHOD void load_queries(const AttentionGradient &a) const
    {
        copy_rows<D>(q, a.q, 0, tiles * 16, a.scores.queries, warps * 32);
        copy_rows<E>(dout, a.dout, 0, tiles * 16, a.scores.queries, warps * 32);
        cp_async_commit();
    }
    // By the warps from `own` on.
    METHOD void load_keys(const AttentionGradient &a, int key, int s) const
    {
        copy_rows<D>(k_at(s), a.k, key, S, a.scores.keys, warps * 32, own * 32);
        copy_rows<E>(v_at(s), a.v, key, S, a.scores.keys, warps * 32, own * 32);
        cp_async_commit();
    }
    // With AHEAD, after out of the warp's queries was loaded and dout is there.
    METHOD void put_numbers(const AttentionGradient &a, const OutRow<E> &out, int row) const
    {
        if (row >= tiles * 16) return;
        const float delta = out.dot(dout + row * Width<E>::PITCH);
        numbers()[thread() % 2 * tiles * 16 + row] = thread() % 2 ? delta : out.lse;
    }
};

// A warp's queries: R tiles of 16 from row `row` on. With AHEAD they are in registers too, while
// their numbers come from shared memory each time. The second tile may not exist: then what is
// computed for it from the first one goes nowhere.
template <int D, int E, int R, bool AHEAD> struct HeadQueries {
    f32x4 dq[R][Width<D>::TILES];
    u32x4 q[AHEAD ? Width<D>::STEPS : 1][R];
    RowNumbers<E> numbers[R];
    int row;
};

// sum[r] (16, 8 T) = 16 rows from a + r * next times rows of b, both (.., W) in shared memory.
template <int W, int R, int T>
DEVICE void multiply_shared(f32x4 (&sum)[R][T], const bf16 *a, int next, const bf16 *b)
{
    clear_tiles(sum);
    a += tile_down(Width<W>::PITCH);
#pragma unroll
    for (int i = 0; i < Width<W>::STEPS; i++) {
        u32x4 x[R];
#pragma unroll
        for (int r = 0; r < R; r++) x[r] = ldmatrix_x4(a + r * next + i * 16);
        multiply_rows(sum, x, b + i * 16, Width<W>::PITCH);
    }
}

// Where the second tile from `row` on lies, in rows; where the first one does, if there is none.
template <int R, class B> DEVICE int next_tile(const B &block, int row)
{
    return R > 1 && row + 16 < block.tiles * 16 ? 16 : 0;
}

// A warp's queries with S keys from `key` on, in buffers s.
template <int D, int E, int R, int S, bool AHEAD>
DEVICE void add_keys(HeadQueries<D, E, R, AHEAD> &w, const AttentionGradient &a,
                     const HeadBlock<D, E, S, AHEAD> &block, int key, int s)
{
    const int next = next_tile<R>(block, w.row);
    if (!a.scores.may_see(w.row, R * 16, key, S)) {
#pragma unroll
        for (int i = 0; i < R * S / 16; i++) {
            if (i >= S / 16 && next == 0) continue;
            const int row = w.row + i / (S / 16) * 16, column = i % (S / 16) * 16;
            put_weights<S>(block.ds_at(s), row, column, {});
            put_weights<S>(block.p_at(s), row, column, {});
        }
        return;
    }
    const bf16 *k = block.k_at(s);
    f32x4 p[R][S / 8], ds[R][S / 8];
    if (AHEAD) {
        clear_tiles(p);
#pragma unroll
        for (int i = 0; i < Width<D>::STEPS; i++)
            multiply_rows(p, w.q[AHEAD ? i : 0], k + i * 16, Width<D>::PITCH);
    } else {
        multiply_shared<D>(p, block.q + w.row * Width<D>::PITCH, next * Width<D>::PITCH, k);
    }
    multiply_shared<E>(ds, block.dout + w.row * Width<E>::PITCH, next * Width<E>::PITCH,
                       block.v_at(s));
#pragma unroll
    for (int r = 0; r < R; r++) {
        if (AHEAD) w.numbers[r].get(block.numbers(), w.row + r * next, block.tiles * 16);
        weigh_queries(p[r], ds[r], w.numbers[r], a.scores, w.row + r * 16 + (int)thread() % 32 / 4,
                      key);
    }
#pragma unroll
    for (int i = 0; i < S / 16; i++) {
        u32x4 x[R];
#pragma unroll
        for (int r = 0; r < R; r++) {
            x[r] = fragment_of(ds[r][2 * i], ds[r][2 * i + 1]);
            if (r > 0 && next == 0) continue;
            put_weights<S>(block.ds_at(s), w.row + r * 16, i * 16, x[r]);
            put_weights<S>(block.p_at(s), w.row + r * 16, i * 16,
                           fragment_of(p[r][2 * i], p[r][2 * i + 1]));
        }
        multiply_columns(w.dq, x, k + i * 16 * Width<D>::PITCH, Width<D>::PITCH);
    }
}

// Weights of 16 queries with 16 keys, transposed, and 32 columns of the queries' rows (16 without
// `both`).
struct WeightedRows {
    u32x4 weights, left, right;

    METHOD WeightedRows(const bf16 *w, const bf16 *b, bool both)
    {
        weights = ldmatrix_x4_trans(w);
        left = ldmatrix_x4_trans(b);
        if (both) right = ldmatrix_x4_trans(b + 16);
    }
    METHOD void add_to(f32x4 (&sum)[4], bool both) const
    {
        sum[0] = mma_bf16(weights, left.at[0], left.at[1], sum[0]);
        sum[1] = mma_bf16(weights, left.at[2], left.at[3], sum[1]);
        if (!both) return;
        sum[2] = mma_bf16(weights, right.at[0], right.at[1], sum[2]);
        sum[3] = mma_bf16(weights, right.at[2], right.at[3], sum[3]);
    }
};

// Columns 32 n .. of 16 rows of dk or dv (rows of `to` from `key` on): column `at` of the weights,
// with rows of b (queries, W), both from tile `from` on. Even and odd tiles are summed apart, so
// that a warp has eight products under way. With AHEAD there are registers to fetch the next two
// meanwhile.
template <int W, int S, bool AHEAD>
DEVICE void key_tile(const HeadRows<bf16> &to, int key, int keys, const bf16 *weights, int at,
                     const bf16 *b, int from, int tiles, int n, float scale)
{
    enum {
        STEPS = Width<W>::STEPS,
        REST = W / 8 % 4,
        DOWN = 16 * Weights<S>::PITCH, // from tile to tile of weights, of b
        NEXT = 16 * Width<W>::PITCH
    };
    const int lane = (int)thread() % 32;
    const bool both = STEPS % 2 == 0 || 2 * n + 1 < STEPS;
    f32x4 sum[4] = {}, odd[4] = {};
    weights += weight_at<S>(from * 16 + lane % 8 + lane / 16 * 8, at + lane / 8 % 2 * 8);
    b += from * NEXT + n * 32 + tile_down(Width<W>::PITCH);
    const int last = tiles - 1 - from; // tiles behind the first; without a mask known when compiled
    if (AHEAD && last >= 0) {
        int at = 0, second = smaller<int>(1, last);
        WeightedRows x(weights, b, both), y(weights + second * DOWN, b + second * NEXT, both);
#pragma unroll
        for (; at < last; at += 2) {
            const int i = smaller<int>(at + 2, last), j = smaller<int>(at + 3, last);
            const WeightedRows next(weights + i * DOWN, b + i * NEXT, both);
            const WeightedRows next_odd(weights + j * DOWN, b + j * NEXT, both);
            x.add_to(sum, both);
            y.add_to(odd, both);
            x = next;
            y = next_odd;
        }
        if (at == last) x.add_to(sum, both);
    } else {
#pragma unroll 1
        for (int at = 0; at <= last; at += 2, weights += 2 * DOWN, b += 2 * NEXT) {
            WeightedRows(weights, b, both).add_to(sum, both);
            if (at < last) WeightedRows(weights + DOWN, b + NEXT, both).add_to(odd, both);
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
        for (int x = 0; x < 4; x++) sum[i].at[x] = sum[i].at[x] + odd[i].at[x];
    HeadRows<bf16> part = to;
    part.at += n * 32 * to.col;
    const float factor[2] = {scale, scale};
    f32x4 rest[REST ? REST : 1];
#pragma unroll
    for (int i = 0; i < REST; i++) rest[i] = sum[i];
    if (REST && n == W / 32)
        put_tiles(part, key, keys, rest, factor);
    else
        put_tiles(part, key, keys, sum, factor);
}

// dk and dv of the S keys from `key` on, in buffers s, shared out to the warps from block.own on.
template <int D, int E, int S, bool AHEAD>
DEVICE void finish_keys(const AttentionGradient &a, const HeadBlock<D, E, S, AHEAD> &block, int key,
                        int s)
{
    enum { KS = (Width<D>::STEPS + 1) / 2, VS = (Width<E>::STEPS + 1) / 2 };
    const int keys = a.scores.keys, first = a.scores.first_query(key) / 16;
    const int from = smaller<int>(first, block.tiles);
    for (int i = (int)thread() / 32 - block.own; i < S / 16 * (KS + VS);
         i += block.warps - block.own) {
        const int tile = i / (KS + VS) * 16, n = i % (KS + VS);
        if (n < KS)
            key_tile<D, S, AHEAD>(a.dk, key + tile, keys, block.ds_at(s), tile, block.q, from,
                                  block.tiles, n, a.scores.scale);
        else
            key_tile<E, S, AHEAD>(a.dv, key + tile, keys, block.p_at(s), tile, block.dout, from,
                                  block.tiles, n - KS, 1);
    }
}

// All keys pass through, S at a time. Keys before `end` are visible to some of the warp's queries.
template <int D, int E, int R, int S>
DEVICE void pass_keys(HeadQueries<D, E, R, false> &w, const AttentionGradient &a,
                      const HeadBlock<D, E, S, false> &block, int end)
{
    block.load_queries(a);
    block.load_keys(a, 0, 0);
#pragma unroll
    for (int r = 0; r < R; r++) w.numbers[r].find(a, w.row + r * 16);
    for (int key = 0; key < a.scores.keys; key += S) {
        cp_async_wait_group<0>();
        sync();
        if (key < end) add_keys(w, a, block, key, 0);
        sync();
        if (key + S < a.scores.keys) block.load_keys(a, key + S, 0);
        finish_keys(a, block, key, 0);
    }
}

template <int D, int E, int R, int S>
DEVICE void pass_keys(HeadQueries<D, E, R, true> &w, const AttentionGradient &a,
                      const HeadBlock<D, E, S, true> &block, int end)
{
    const int keys = a.scores.keys, warp = (int)thread() / 32, lane = (int)thread() % 32;
    OutRow<E> out[2]; // first of all, as it takes longest
#pragma unroll
    for (int r = 0; r < 2; r++)
        out[r].load(a, (warp + r * block.warps) * 16 + lane / 2);
    block.load_queries(a);
    if (warp >= block.own) block.load_keys(a, 0, 0);
    block.meet();
#pragma unroll
    for (int r = 0; r < 2; r++)
        block.put_numbers(a, out[r], (warp + r * block.warps) * 16 + lane / 2);
    // A step: S keys are there and their weights are made, those of the S keys before are used up,
    // and the next keys come.
    if (warp >= block.own) {
        for (int key = 0, s = 0; key < keys + S; key += S, s ^= 1) {
            block.meet();
            if (key + S < keys) block.load_keys(a, key + S, s ^ 1);
            if (key > 0) finish_keys(a, block, key - S, s ^ 1);
        }
        return;
    }
    const bf16 *q = block.q + w.row * Width<D>::PITCH + tile_down(Width<D>::PITCH);
    const int next = next_tile<R>(block, w.row) * Width<D>::PITCH;
#pragma unroll
    for (int i = 0; i < Width<D>::STEPS; i++)
#pragma unroll
        for (int r = 0; r < R; r++) w.q[i][r] = ldmatrix_x4(q + r * next + i * 16);
    for (int key = 0, s = 0; key < keys + S; key += S, s ^= 1) {
        block.meet();
        if (key < end) add_keys(w, a, block, key, s);
    }
}

// query_warps of the block's warps have queries.
template <int D, int E, int R, int S, bool AHEAD>
DEVICE void attention_gradient_head(const AttentionGradient &a, unsigned char *shared, int tiles,
                                    int warps, int query_warps)
{
    const HeadBlock<D, E, S, AHEAD> block(shared, tiles, warps, query_warps);
    const int queries = a.scores.queries;
    HeadQueries<D, E, R, AHEAD> w;
    clear_tiles(w.dq);
    w.row = (int)thread() / 32 * R * 16;
    const int last = smaller<int>(w.row + R * 16, queries) - 1;
    pass_keys(w, a, block, w.row < queries ? a.scores.end_of_keys(last) : 0);
    const int row = anew(w.row);
    const float scale[2] = {a.scores.scale, a.scores.scale};
#pragma unroll
    for (int r = 0; r < R; r++) put_tiles(a.dq, row + r * 16, queries, w.dq[r], scale);
}

// ---- blocks of queries --------------------------------------------------------------------------

// A warp's 16 queries.
template <int D, int E> struct GradientQueries {
    u32x4 q[Width<D>::STEPS], dout[Width<E>::STEPS];
    f32x4 dq[1][Width<D>::TILES];
    RowNumbers<E> numbers;
    int query; // the thread's first row
};

// p and ds with 16 G keys from `key` on, whose rows lie at k and v.
template <int G, int D, int E>
DEVICE void weigh_keys_of(f32x4 (&p)[1][2 * G], f32x4 (&ds)[1][2 * G],
                          const GradientQueries<D, E> &w, const AttentionScores &scores,
                          const bf16 *k, const bf16 *v, int key)
{
    clear_tiles(p);
    clear_tiles(ds);
#pragma unroll
    for (int i = 0; i < Width<D>::STEPS; i++) {
        const u32x4 q[1] = {w.q[i]};
        multiply_rows(p, q, k + i * 16, Width<D>::PITCH);
    }
#pragma unroll
    for (int i = 0; i < Width<E>::STEPS; i++) {
        const u32x4 dout[1] = {w.dout[i]};
        multiply_rows(ds, dout, v + i * 16, Width<E>::PITCH);
    }
    weigh_queries(p[0], ds[0], w.numbers, scores, w.query, key);
}

// Add these keys to dq.
template <int G, int D, int E>
DEVICE void add_keys(GradientQueries<D, E> &w, const AttentionScores &scores, const bf16 *k,
                     const bf16 *v, int key)
{
    f32x4 p[1][2 * G], ds[1][2 * G];
    weigh_keys_of<G>(p, ds, w, scores, k, v, key);
#pragma unroll
    for (int i = 0; i < G; i++) {
        const u32x4 x[1] = {fragment_of(ds[0][2 * i], ds[0][2 * i + 1])};
        multiply_columns(w.dq, x, k + i * 16 * Width<D>::PITCH, Width<D>::PITCH);
    }
}

template <int D, int E>
DEVICE void begin_queries(GradientQueries<D, E> &w, const AttentionGradient &a, int row)
{
    const int queries = a.scores.queries;
    w.query = row + (int)thread() % 32 / 4;
    w.numbers.find(a, row);
#pragma unroll
    for (int i = 0; i < Width<D>::STEPS; i++) w.q[i] = fragment_at<D>(a.q, row, i, queries);
#pragma unroll
    for (int i = 0; i < Width<E>::STEPS; i++) w.dout[i] = fragment_at<E>(a.dout, row, i, queries);
}

// dq of the block's queries, a tile of 16 a warp, from tile `first` on. Keys and values pass
// through shared memory 32 at a time.
template <int D, int E>
DEVICE void attention_gradient_queries(const AttentionGradient &a, unsigned char *shared, int first,
                                       int warps)
{
    enum { KEYS = 32, K = KEYS * Width<D>::PITCH, V = KEYS * Width<E>::PITCH };
    const int keys = a.scores.keys, queries = a.scores.queries;
    const int row = (first + (int)thread() / 32) * 16;
    const int limit = a.scores.end_of_keys(smaller<int>((first + warps) * 16, queries) - 1);
    const int end = row < queries ? a.scores.end_of_keys(smaller<int>(row + 16, queries) - 1) : 0;
    bf16 *stage = (bf16 *)shared;
    for (int s = 0; s < 2; s++) {
        copy_rows<D>(stage + s * (K + V), a.k, s * KEYS, KEYS, keys, warps * 32);
        copy_rows<E>(stage + s * (K + V) + K, a.v, s * KEYS, KEYS, keys, warps * 32);
        cp_async_commit();
    }
    GradientQueries<D, E> w;
    clear_tiles(w.dq);
    begin_queries(w, a, row);
    for (int key = 0, s = 0; key < limit; key += KEYS, s ^= 1) {
        bf16 *k = stage + s * (K + V), *v = k + K;
        cp_async_wait_group<1>();
        sync();
        if (key < end && a.scores.may_see(row, 16, key, KEYS))
            add_keys<2>(w, a.scores, k, v, key);
        sync();
        if (key + 2 * KEYS < limit) {
            copy_rows<D>(k, a.k, key + 2 * KEYS, KEYS, keys, warps * 32);
            copy_rows<E>(v, a.v, key + 2 * KEYS, KEYS, keys, warps * 32);
        }
        cp_async_commit();
    }
    cp_async_wait_group<0>();
    const float scale[2] = {a.scores.scale, a.scores.scale};
    put_tiles(a.dq, anew(row), queries, w.dq[0], scale);
}

// ---- blocks of keys -----------------------------------------------------------------------------

// Shared memory: keys and values of `warps` tiles of 16; twice Q queries with dout, lse and delta,
// once their out.
template <int D, int E, int Q> struct KeyBlock {
    enum { STAGE = Q * (Width<D>::PITCH + Width<E>::PITCH) };
    float *numbers;
    bf16 *k, *v, *stage, *out;
    int warps;

    METHOD KeyBlock(unsigned char *shared, int block_warps)
    {
        warps = block_warps;
        numbers = (float *)shared;
        k = (bf16 *)(numbers + 4 * Q);
        v = k + warps * 16 * Width<D>::PITCH;
        stage = v + warps * 16 * Width<E>::PITCH;
        out = stage + 2 * STAGE;
    }
    METHOD const bf16 *q_at(int s) const
    {
        return stage + s * STAGE;
    }
    METHOD const bf16 *dout_at(int s) const
    {
        return stage + s * STAGE + Q * Width<D>::PITCH;
    }
    METHOD void load(const AttentionGradient &a, int query, int s) const
    {
        bf16 *to = stage + s * STAGE;
        copy_rows<D>(to, a.q, query, Q, a.scores.queries, warps * 32);
        copy_rows<E>(to + Q * Width<D>::PITCH, a.dout, query, Q, a.scores.queries, warps * 32);
        copy_rows<E>(out, a.out, query, Q, a.scores.queries, warps * 32);
        cp_async_commit();
    }
    // lse and delta of the queries in buffers s, 16 a warp, two lanes a row.
    METHOD void find_numbers(const AttentionGradient &a, int query, int s) const
    {
        const int lane = (int)thread() % 32, row = (int)thread() / 32 * 16 + lane / 2;
        if (row >= Q) return;
        const bf16 *x = dout_at(s) + row * Width<E>::PITCH, *y = out + row * Width<E>::PITCH;
        const float lse = lse_of(a, query + row);
        float sum = 0;
        for (int c = lane % 2 * 8; c < E; c += 16) {
            const u32x4 p = load_u32x4(x + c), o = load_u32x4(y + c);
#pragma unroll
            for (int i = 0; i < 4; i++) sum = dot_of_pairs(p.at[i], o.at[i], sum);
        }
        sum = sum + shfl_xor_f32(sum, 1);
        numbers[s * 2 * Q + lane % 2 * Q + row] = lane % 2 ? sum : lse;
    }
};

template <int D, int E> struct AttentionKeys {
    f32x4 dk[1][Width<D>::TILES], dv[1][Width<E>::TILES];
};

// s (16 keys, 8 T queries): products become p = exp(score - lse), 0 where hidden. key and query are
// the first of the tile, lse is that of its queries.
template <int T>
DEVICE void weigh_keys(f32x4 (&s)[1][T], const AttentionScores &scores, int key, int query,
                       const float *lse)
{
    const int lane = (int)thread() % 32, row = key + lane / 4, column = lane % 4 * 2;
    const bool all = scores.all_visible(query, key, 16);
#pragma unroll
    for (int i = 0; i < T; i++) {
#pragma unroll
        for (int x = 0; x < 4; x++) {
            const int at = i * 8 + column + x % 2, own = row + x / 2 * 8;
            float score = scores.of(s[0][i].at[x], query + at, own, lse[at]);
            if (!all && own >= scores.end_of_keys(query + at)) score = least<float>();
            s[0][i].at[x] = exp2_approx(score);
        }
    }
}

// What Q queries from `query` on, in buffers s, give for a warp's 16 keys at `row` of the block.
template <int D, int E, int Q>
DEVICE void add_queries(AttentionKeys<D, E> &w, const AttentionScores &scores,
                        const KeyBlock<D, E, Q> &block, int key, int row, int query, int s)
{
    const int column = (int)thread() % 4 * 2;
    const float *lse = block.numbers + s * 2 * Q, *delta = lse + Q;
    f32x4 p[1][Q / 8], ds[1][Q / 8];
    multiply_shared<D>(p, block.k + row * Width<D>::PITCH, 0, block.q_at(s));
    weigh_keys(p, scores, key, query, lse);
#pragma unroll
    for (int i = 0; i < Q / 16; i++) {
        const u32x4 x[1] = {fragment_of(p[0][2 * i], p[0][2 * i + 1])};
        multiply_columns(w.dv, x, block.dout_at(s) + i * 16 * Width<E>::PITCH, Width<E>::PITCH);
    }
    multiply_shared<E>(ds, block.v + row * Width<E>::PITCH, 0, block.dout_at(s));
#pragma unroll
    for (int i = 0; i < Q / 8; i++)
#pragma unroll
        for (int x = 0; x < 4; x++)
            ds[0][i].at[x] = p[0][i].at[x] * (ds[0][i].at[x] - delta[i * 8 + column + x % 2]);
#pragma unroll
    for (int i = 0; i < Q / 16; i++) {
        const u32x4 x[1] = {fragment_of(ds[0][2 * i], ds[0][2 * i + 1])};
        multiply_columns(w.dk, x, block.q_at(s) + i * 16 * Width<D>::PITCH, Width<D>::PITCH);
    }
}

// dk and dv of the block's keys, a tile of 16 a warp, from tile `tile` on. Queries pass through
// shared memory 32 at a time, 16 where they are wide.
template <int D, int E>
DEVICE void attention_gradient_keys(const AttentionGradient &a, unsigned char *shared, int tile,
                                    int warps)
{
    enum { Q = D + E > 192 ? 16 : 32 };
    const KeyBlock<D, E, Q> block(shared, warps);
    const int first = tile * 16, row = (int)thread() / 32 * 16, key = first + row;
    const int queries = a.scores.queries, keys = a.scores.keys;
    const int from = a.scores.first_query(first) / Q * Q;
    AttentionKeys<D, E> w;
    clear_tiles(w.dk);
    clear_tiles(w.dv);
    copy_rows<D>(block.k, a.k, first, warps * 16, keys, warps * 32);
    copy_rows<E>(block.v, a.v, first, warps * 16, keys, warps * 32);
    block.load(a, from, 0);
    cp_async_wait_group<0>();
    sync();
    block.find_numbers(a, from, 0);
    for (int query = from, s = 0; query < queries; query += Q, s ^= 1) {
        sync();
        if (query + Q < queries) block.load(a, query + Q, s ^ 1);
        if (key < a.scores.end_of_keys(smaller<int>(query + Q, queries) - 1) &&
            a.scores.may_see(query, Q, key, 16))
            add_queries(w, a.scores, block, key, row, query, s);
        cp_async_wait_group<0>();
        sync();
        if (query + Q < queries) block.find_numbers(a, query + Q, s ^ 1);
    }
    const float scale[2] = {a.scores.scale, a.scores.scale}, one[2] = {1, 1};
    put_tiles(a.dk, anew(key), keys, w.dk[0], scale);
    put_tiles(a.dv, anew(key), keys, w.dv[0], one);
}

// ---- the gradient of a bias ---------------------------------------------------------------------

enum { BIAS_KEYS = 64 };

// Add ds of one head to a warp's 16 queries from `row` on and the block's keys from `key` on, which
// pass through shared memory.
template <int D, int E>
DEVICE void add_bias_gradient(f32x4 (&sum)[BIAS_KEYS / 8], const AttentionGradient &a,
                              unsigned char *shared, int row, int key, int warps)
{
    const int queries = a.scores.queries, keys = a.scores.keys;
    bf16 *k = (bf16 *)shared, *v = k + BIAS_KEYS * Width<D>::PITCH;
    sync(); // the keys of the head before are used up
    copy_rows<D>(k, a.k, key, BIAS_KEYS, keys, warps * 32);
    copy_rows<E>(v, a.v, key, BIAS_KEYS, keys, warps * 32);
    cp_async_commit();
    GradientQueries<D, E> w;
    begin_queries(w, a, row);
    cp_async_wait_group<0>();
    sync();
    const int end = row < queries ? a.scores.end_of_keys(smaller<int>(row + 16, queries) - 1) : 0;
#pragma unroll
    for (int n = 0; n < BIAS_KEYS / 32; n++) {
        if (key + n * 32 >= end) break;
        if (!a.scores.may_see(row, 16, key + n * 32, 32)) continue;
        f32x4 p[1][4], ds[1][4];
        weigh_keys_of<2>(p, ds, w, a.scores, k + n * 32 * Width<D>::PITCH,
                         v + n * 32 * Width<E>::PITCH, key + n * 32);
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int x = 0; x < 4; x++)
                sum[n * 4 + i].at[x] = sum[n * 4 + i].at[x] + ds[0][i].at[x];
    }
}

DEVICE void put_bias_gradient(const HeadRows<float> &to, const f32x4 (&sum)[BIAS_KEYS / 8], int row,
                              int key, int queries, int keys)
{
    const int lane = (int)thread() % 32;
    row += lane / 4;
    key += lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < BIAS_KEYS / 8; i++)
#pragma unroll
        for (int x = 0; x < 4; x++) {
            const int r = row + x / 2 * 8, c = key + i * 8 + x % 2;
            if (r < queries && c < keys) to.at[r * to.row + c * to.col] = sum[i].at[x];
        }
}
