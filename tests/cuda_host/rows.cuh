// One kernel an instruction of the table, one warp (or one block), operands and results lane by
// lane. in and out are arrays of 32-bit words; test_rows.c holds the models.

KERNEL(96) row_place(const Buffers<2> b)
{
    uint32_t block = block_y() * blocks_x() + block_x();
    uint32_t *out = (uint32_t *)b.at[1] + (block * threads() + thread()) * 6;
    out[0] = thread();
    out[1] = threads();
    out[2] = block_x();
    out[3] = block_y();
    out[4] = blocks_x();
    out[5] = blocks_y();
}

KERNEL(32) row_shfl(const Buffers<2> b)
{
    const float *in = (const float *)b.at[0];
    const uint32_t *inu = (const uint32_t *)b.at[0] + 32;
    float *out = (float *)b.at[1];
    uint32_t *outu = (uint32_t *)b.at[1], t = thread();
    // Where from: the third row of the input, a lane's own choice for shfl, the same for all in a
    // row.
    out[t] = shfl_f32(in[t], inu[32 + t]);
    outu[32 + t] = shfl_u32(inu[t], inu[32 + t]);
    uint32_t n = 2;
    for (uint32_t d = 0; d < 32; d++, n += 4) {
        out[n * 32 + t] = shfl_down_f32(in[t], d);
        outu[(n + 1) * 32 + t] = shfl_down_u32(inu[t], d);
        out[(n + 2) * 32 + t] = shfl_xor_f32(in[t], d);
        outu[(n + 3) * 32 + t] = shfl_xor_u32(inu[t], d);
    }
}

// Row i of the input are the predicates; three results each.
KERNEL(32) row_vote(const Buffers<2> b)
{
    const uint32_t *in = (const uint32_t *)b.at[0];
    uint32_t *out = (uint32_t *)b.at[1], t = thread();
    for (uint32_t i = 0; i < 4; i++) {
        bool pred = in[i * 32 + t] != 0;
        out[(i * 3 + 0) * 32 + t] = ballot(pred);
        out[(i * 3 + 1) * 32 + t] = all(pred);
        out[(i * 3 + 2) * 32 + t] = any(pred);
    }
}

// 256 operands x; y and z are the next ones round.
KERNEL(256) row_float(const Buffers<2> b)
{
    const float *in = (const float *)b.at[0];
    float *out = (float *)b.at[1];
    uint32_t t = thread();
    float x = in[t], y = in[(t + 1) % 256], z = in[(t + 2) % 256];
    out[t] = fma_f32(x, y, z);
    out[256 + t] = sqrt_f32(x);
    out[512 + t] = floor_f32(x);
    out[768 + t] = rint_f32(x);
    out[1024 + t] = abs_f32(x);
    ((int *)out)[1280 + t] = bits_of(x);
    out[1536 + t] = from_bits(bits_of(x) ^ 1);
    ((uint32_t *)out)[1792 + t] = mul_high_u32((uint32_t)bits_of(x), (uint32_t)bits_of(y));
    out[2048 + t] = x * y + z;
    out[2304 + t] = x / y;
    out[2560 + t] = max_f32(x, y);
    out[2816 + t] = exp2_approx(x);
}

// 65536 x 34 words: conversions to 16 bits of all upper halves with 16 lower ones, and back; then
// pairs of bf16, of a number and the one with the next lower half.
KERNEL(256) row_halves(const Buffers<2> b)
{
    uint32_t *out = (uint32_t *)b.at[1];
    const uint32_t *low = (const uint32_t *)b.at[0];
    uint32_t upper = block_x() * 256 + thread();
    for (uint32_t i = 0; i < 16; i++) {
        float x = from_bits((int)(upper << 16 | low[i]));
        float y = from_bits((int)(upper << 16 | low[(i + 1) % 16]));
        out[upper * 34 + i] = f32_to_bf16(x).bits | (uint32_t)f32_to_f16(x).bits << 16;
        out[upper * 34 + 18 + i] = pack_bf16(x, y);
    }
    bf16 p = {(uint16_t)upper};
    f16 q = {(uint16_t)upper};
    out[upper * 34 + 16] = (uint32_t)bits_of(bf16_to_f32(p));
    out[upper * 34 + 17] = (uint32_t)bits_of(f16_to_f32(q));
}

// Totals of all blocks: added, added with signs, the largest; and who drew which number.
KERNEL(64) row_atomic(const Buffers<2> b)
{
    const uint32_t *in = (const uint32_t *)b.at[0];
    uint32_t *out = (uint32_t *)b.at[1], i = block_x() * 64 + thread();
    atomic_add_u32(out, in[i]);
    atomic_add_i32((int32_t *)out + 1, (int32_t)in[i] / 1000 - 900000);
    atomic_max_u32(out + 2, in[i]);
    fence();
    out[4 + atomic_add_u32(out + 3, 1)] = i;
}

KERNEL(32) row_vectors(const Buffers<2> b)
{
    const float *in = (const float *)b.at[0];
    float *out = (float *)b.at[1];
    uint32_t t = thread();
    f32x4 x = load_f32x4(in + 4 * (t ^ 5));
    store_f32x4(out + 4 * t, x);
    u32x4 y = load_u32x4(in + 4 * t);
    store_u32x4(out + 128 + 4 * (31 - t), y);
    bf16x8 z = load_bf16x8((const bf16 *)in + 8 * t), w;
    for (int i = 0; i < 8; i++) w.at[i] = z.at[7 - i];
    store_bf16x8((bf16 *)(out + 256) + 8 * t, w);
    store_global_u32x4(out + 384 + 4 * (t ^ 9), y);
    store_u32x2(out + 512 + 2 * (31 - t), load_u32x2(in + 2 * (t ^ 3)));
    store_u32(out + 576 + (31 - t), load_u32(in + (t ^ 6)));
}

// Three groups of copies, the third cut to 4 (t % 5) bytes; what is seen after waits for all but 2,
// 1 and 0 of them.
KERNEL(32) row_copy(const Buffers<2> b)
{
    const float *in = (const float *)b.at[0];
    float *out = (float *)b.at[1];
    uint32_t t = thread();
    SHARED(float, to, 3 * 128);
    cp_async_16(to + 4 * t, in + 4 * t);
    cp_async_commit();
    cp_async_16(to + 128 + 4 * t, in + 128 + 4 * t);
    cp_async_commit();
    cp_async_16_fill(to + 256 + 4 * t, in + 256 + 4 * t, 4 * (t % 5));
    cp_async_commit();
    cp_async_wait_group<2>();
    store_f32x4(out + 4 * t, load_f32x4(to + 4 * t));
    cp_async_wait_group<1>();
    store_f32x4(out + 128 + 4 * t, load_f32x4(to + 128 + 4 * t));
    cp_async_wait_group<0>();
    store_f32x4(out + 256 + 4 * t, load_f32x4(to + 256 + 4 * t));
}

// Four matrices at odd places: row r of matrix m at 16-byte unit (5 r + 3 m) % 64.
KERNEL(32) row_ldmatrix(const Buffers<2> b)
{
    const uint32_t *in = (const uint32_t *)b.at[0];
    uint32_t *out = (uint32_t *)b.at[1], t = thread();
    SHARED(uint32_t, units, 64 * 4);
    for (uint32_t i = t; i < 256; i += 32) units[i] = in[i];
    warp_sync();
    const uint32_t *row = units + (t % 8 * 5 + t / 8 * 3) % 64 * 4;
    store_u32x4(out + 4 * t, ldmatrix_x4(row));
    store_u32x4(out + 128 + 4 * t, ldmatrix_x4_trans(row));
}

// Fragments come and go as they are: a 4, b 2, c 4 words a lane.
KERNEL(32) row_mma_bf16(const Buffers<2> b)
{
    const uint32_t *in = (const uint32_t *)b.at[0];
    float *out = (float *)b.at[1];
    uint32_t t = thread();
    u32x4 a = load_u32x4(in + 4 * t);
    f32x4 c = load_f32x4((const float *)in + 128 + 64 + 4 * t);
    store_f32x4(out + 4 * t, mma_bf16(a, in[128 + 2 * t], in[128 + 2 * t + 1], c));
}

KERNEL(32) row_mma_tf32(const Buffers<2> b)
{
    const uint32_t *in = (const uint32_t *)b.at[0];
    float *out = (float *)b.at[1];
    uint32_t t = thread();
    u32x4 a = load_u32x4(in + 4 * t);
    f32x4 c = load_f32x4((const float *)in + 128 + 64 + 4 * t);
    store_f32x4(out + 4 * t, mma_tf32(a, in[128 + 2 * t], in[128 + 2 * t + 1], c));
}

// Each thread hands its number round the block eight times.
KERNEL(128) row_sync(const Buffers<2> b)
{
    uint32_t *out = (uint32_t *)b.at[1], t = thread(), x = t;
    SHARED(uint32_t, seats, 128);
    for (uint32_t i = 0; i < 8; i++) {
        seats[(t + 37) % 128] = x;
        sync();
        x = seats[t];
        sync();
    }
    out[t] = x;
    seats[t ^ 31] = x;
    warp_sync();
    out[128 + t] = seats[t];
}
