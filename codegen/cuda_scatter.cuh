// scatter_add with many updates. Two kernels: one lists the updates of each row of the result, by a
// counting sort; the other adds them up, in the order of the list, which is that of docs/ir.md.
//
// Lists of one of the batch: rows + 1 numbers, where the updates of each row begin and the last
// one's end, then the updates, row after row, rising in each.

// Lanes of the warp that have this row too, among those of `hits`; rows below ROWS, a power of two.
template <int ROWS> DEVICE uint32_t scatter_peers(uint32_t row, uint32_t hits)
{
#pragma unroll
    for (uint32_t bit = 1; bit < ROWS; bit *= 2) {
        const uint32_t set = ballot((row & bit) != 0);
        hits &= row & bit ? set : ~set;
    }
    return hits;
}

DEVICE int scatter_count(uint32_t x)
{
    x -= x >> 1 & 0x55555555u;
    x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
    return (int)(((x + (x >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24);
}

// What a block of WARPS warps lists: ROWS rows. Each warp looks through a part of the updates,
// first to count, then, when it is known where its first one of each row goes, to put them there.
template <int ROWS, int WARPS> struct ScatterLister {
    static constexpr int threads = 32 * WARPS, ahead = 8;
    const int *index;
    int rows, count, first, from, to;
    int row[ahead];

    // The rows of the next updates, counted from the block's first; ROWS where there is none.
    METHOD void load(int at)
    {
#pragma unroll
        for (int u = 0; u < ahead; u++) {
            const int i = at + u * 32 + (int)thread() % 32;
            row[u] = i < to ? clamp_index<int>(index[i], 0, rows - 1) - first : ROWS;
        }
    }

    METHOD bool has(int u)
    {
        return row[u] >= 0 && row[u] < ROWS;
    }

    // Count each row's into own[]; gives how many this thread saw of rows before the block's.
    METHOD int tally(int *own)
    {
        int below = 0;
        for (int at = from; at < to; at += 32 * ahead) {
            load(at);
#pragma unroll
            for (int u = 0; u < ahead; u++) {
                below += row[u] < 0;
                if (has(u)) atomic_add_i32(own + row[u], 1);
            }
        }
        return below;
    }

    // own[]: where this warp's next update of each row goes.
    METHOD void put(int *own, int *order)
    {
        for (int at = from; at < to; at += 32 * ahead) {
            load(at);
#pragma unroll
            for (int u = 0; u < ahead; u++) {
                const uint32_t hits = ballot(has(u)), lane = thread() % 32;
                if (!hits) continue;
                const uint32_t peers = scatter_peers<ROWS>((uint32_t)row[u], hits);
                const int rank = scatter_count(peers & ((1u << lane) - 1));
                int place = 0;
                if (has(u)) place = own[row[u]];
                if (has(u)) order[place + rank] = at + u * 32 + (int)lane;
                warp_sync();
                if (has(u) && rank == 0) own[row[u]] = place + scatter_count(peers);
                warp_sync();
            }
        }
    }
};

// Shared memory: hits, WARPS * ROWS; totals, ROWS + 1.
template <int ROWS, int WARPS>
DEVICE void scatter_lists(const int *index, int rows, int count, int *lists, int *hits, int *totals)
{
    const int warp = (int)thread() / 32, r = (int)thread();
    const int each = (count + 32 * WARPS - 1) / (32 * WARPS) * 32;
    const int from = smaller<int>(warp * each, count), to = smaller<int>(from + each, count);
    ScatterLister<ROWS, WARPS> l = {index, rows, count, (int)block_x() * ROWS, from, to, {}};
    for (int i = r; i < WARPS * ROWS; i += 32 * WARPS) hits[i] = 0;
    if (r == 0) totals[ROWS] = 0;
    sync();
    uint32_t below = (uint32_t)l.tally(hits + warp * ROWS);
    for (uint32_t by = 16; by; by /= 2) below += shfl_xor_u32(below, by);
    if (thread() % 32 == 0) atomic_add_i32(totals + ROWS, (int)below);
    sync();
    if (r < ROWS) {
        int total = 0;
        for (int w = 0; w < WARPS; w++) total += hits[w * ROWS + r];
        totals[r] = total;
    }
    sync();
    if (r < ROWS) {
        int place = totals[ROWS];
        for (int i = 0; i < r; i++) place += totals[i];
        if (l.first + r < rows) lists[l.first + r] = place;
        for (int w = 0; w < WARPS; w++) {
            const int n = hits[w * ROWS + r];
            hits[w * ROWS + r] = place;
            place += n;
        }
        if (l.first + r == rows - 1) lists[rows] = place;
    }
    sync();
    l.put(hits + warp * ROWS, lists + rows + 1);
}

// A row with at most `most` updates, by a warp: 32 lanes with CHUNKS packs of WIDTH elements each.
template <int WIDTH, int CHUNKS, class T, class ADD>
DEVICE void scatter_row(const T *update, const int *order, int from, int to, int width, T *out,
                        ADD add)
{
    constexpr int ahead = 2, step = 32 * WIDTH;
    for (int x = (int)thread() % 32 * WIDTH; x < width; x += CHUNKS * step) {
        Pack<T, WIDTH> sum[CHUNKS] = {}, value[ahead][CHUNKS];
        for (int n = from; n < to; n += ahead) {
#pragma unroll
            for (int u = 0; u < ahead; u++) {
                const T *its = update + (long long)order[smaller<int>(n + u, to - 1)] * width;
#pragma unroll
                for (int c = 0; c < CHUNKS; c++)
                    value[u][c] = load_pack<WIDTH>(its + smaller<int>(x + c * step, width - WIDTH));
            }
#pragma unroll
            for (int u = 0; u < ahead; u++)
#pragma unroll
                for (int c = 0; c < CHUNKS; c++)
#pragma unroll
                    for (int e = 0; e < WIDTH; e++)
                        if (n + u < to) sum[c].at[e] = add(sum[c].at[e], value[u][c].at[e]);
        }
#pragma unroll
        for (int c = 0; c < CHUNKS; c++)
            if (x + c * step < width) store_pack<WIDTH>(out + x + c * step, sum[c]);
    }
}

// POINTS elements from `first` on of a row with many updates, by a block of SIDES * POINTS threads:
// they bring EACH * SIDES updates to shared memory (kept) while one thread an element adds up those
// that came before.
template <int POINTS, int SIDES, int EACH, class T, class ADD>
DEVICE void scatter_long_row(const T *update, const int *order, int from, int to, int width,
                             int first, T *out, T *kept, ADD add)
{
    constexpr int many = EACH * SIDES;
    const int column = (int)thread() % POINTS, side = (int)thread() / POINTS;
    const T *its = update + smaller<int>(first + column, width - 1);
    int which[EACH];
    T value[EACH], sum = 0;
#pragma unroll
    for (int u = 0; u < EACH; u++) which[u] = order[smaller<int>(from + u * SIDES + side, to - 1)];
#pragma unroll 1
    for (int begin = from - many; begin < to; begin += many) {
        const int next = begin + many;
        if (next < to) {
#pragma unroll
            for (int u = 0; u < EACH; u++) value[u] = its[(long long)which[u] * width];
#pragma unroll
            for (int u = 0; u < EACH; u++)
                which[u] = order[smaller<int>(next + many + u * SIDES + side, to - 1)];
        }
        if (begin >= from && side == 0) {
            const int n = smaller<int>(many, to - begin);
#pragma unroll 16
            for (int i = 0; i < n; i++) sum = add(sum, kept[i * POINTS + column]);
        }
        sync();
        if (next < to) {
#pragma unroll
            for (int u = 0; u < EACH; u++)
                kept[u * (SIDES * POINTS) + (int)thread()] = value[u];
        }
        sync();
    }
    if (side == 0 && first + column < width) out[first + column] = sum;
}
