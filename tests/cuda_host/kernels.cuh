// A small set of kernels as the emitter writes them: pointwise, row sums, a product on matrix
// instructions with asynchronous copies. Compiled by NVRTC and by the shim.

// y = fma(a, x, y) over n4 groups of four; n4 lies in the third buffer.
KERNEL(256) axpy(const Buffers<3> b)
{
    const float *x = (const float *)b.at[0];
    float *y = (float *)b.at[1];
    const uint32_t *n4 = (const uint32_t *)b.at[2];
    uint32_t i = block_x() * threads() + thread();
    if (i >= *n4) return;
    f32x4 p = load_f32x4(x + 4 * i), q = load_f32x4(y + 4 * i);
#pragma unroll
    for (int j = 0; j < 4; j++) q.at[j] = fma_f32(1.5f, p.at[j], q.at[j]);
    store_f32x4(y + 4 * i, q);
}

// One block a row of 1000: out[row] = sum over the row, out[rows + row] = its rounded mean.
KERNEL(128) row_sum(const Buffers<2> b)
{
    const float *x = (const float *)b.at[0] + 1000ul * block_x();
    float *out = (float *)b.at[1];
    SHARED(float, sums, 4);
    float sum = 0;
    for (uint32_t i = thread(); i < 1000; i += 128) sum = sum + x[i];
#pragma unroll
    for (uint32_t d = 16; d; d /= 2) sum = sum + shfl_xor_f32(sum, d);
    if (thread() % 32 == 0) sums[thread() / 32] = sum;
    sync();
    float total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    if (thread() == 0) out[block_x()] = total;
    if (thread() == 1) out[blocks_x() + block_x()] = bf16_to_f32(f32_to_bf16(total / 1000.0f));
}

// c (M, N) = a (M, K) b (K, N), bf16 to f32; a tile of 64 x 64 a block, K in steps of 32, two
// buffers. The fourth buffer has K and N. Four warps, 32 x 32 each; rows of a and b are padded by
// 8.
KERNEL(128) gemm_bf16(const Buffers<4> b)
{
    const bf16 *ga = (const bf16 *)b.at[0], *gb = (const bf16 *)b.at[1];
    float *gc = (float *)b.at[2];
    const uint32_t k = ((const uint32_t *)b.at[3])[0], n = ((const uint32_t *)b.at[3])[1];
    SHARED(bf16, sa, 2 * 64 * 40);
    SHARED(bf16, sb, 2 * 32 * 72);
    const uint32_t t = thread(), lane = t % 32, wm = t / 64 * 32, wn = t / 32 % 2 * 32;
    const uint32_t m0 = block_y() * 64, n0 = block_x() * 64, steps = k / 32;
    f32x4 sums[2][4];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 4; j++) sums[i][j] = {{0, 0, 0, 0}};
    for (uint32_t s = 0; s <= steps; s++) {
        if (s < steps) {
            uint32_t half = s % 2;
            for (uint32_t i = t; i < 256; i += 128) {
                cp_async_16(sa + half * 2560 + i / 4 * 40 + i % 4 * 8,
                            ga + (uint64_t)(m0 + i / 4) * k + s * 32 + i % 4 * 8);
                cp_async_16(sb + half * 2304 + i / 8 * 72 + i % 8 * 8,
                            gb + (uint64_t)(s * 32 + i / 8) * n + n0 + i % 8 * 8);
            }
        }
        cp_async_commit();
        if (s == 0) continue;
        cp_async_wait_group<1>();
        sync();
        const bf16 *ha = sa + (s - 1) % 2 * 2560, *hb = sb + (s - 1) % 2 * 2304;
#pragma unroll
        for (uint32_t kk = 0; kk < 32; kk += 16) {
            u32x4 fa[2], fb[2];
            for (uint32_t i = 0; i < 2; i++) {
                fa[i] = ldmatrix_x4(ha + (wm + i * 16 + lane % 16) * 40 + kk + lane / 16 * 8);
                fb[i] = ldmatrix_x4_trans(hb + (kk + lane % 16) * 72 + wn + i * 16 + lane / 16 * 8);
            }
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 4; j++)
                    sums[i][j] = mma_bf16(fa[i], fb[j / 2].at[j % 2 * 2],
                                          fb[j / 2].at[j % 2 * 2 + 1], sums[i][j]);
        }
        sync();
    }
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t j = 0; j < 4; j++)
            for (uint32_t r = 0; r < 4; r++)
                gc[(uint64_t)(m0 + wm + i * 16 + lane / 4 + r / 2 * 8) * n + n0 + wn + j * 8 +
                   lane % 4 * 2 + r % 2] = sums[i][j].at[r];
}

// Counts bytes by value: shared counters, then global ones.
KERNEL(256) histogram(const Buffers<3> b)
{
    const uint8_t *x = (const uint8_t *)b.at[0];
    uint32_t *counts = (uint32_t *)b.at[1], n = *(const uint32_t *)b.at[2];
    SHARED_BYTES(bytes);
    uint32_t *own = (uint32_t *)bytes;
    own[thread()] = 0;
    sync();
    for (uint32_t i = block_x() * 256 + thread(); i < n; i += blocks_x() * 256)
        atomic_add_u32(&own[x[i]], 1);
    sync();
    atomic_add_u32(&counts[thread()], own[thread()]);
}
