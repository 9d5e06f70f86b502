// Kernels with one defect each; test_defects.c says what must be told about it.

// Without the barrier a thread reads what its neighbour has perhaps not written.
KERNEL(64) missing_barrier(const Buffers<1> b)
{
    float *out = (float *)b.at[0];
    SHARED(float, tile, 64);
    tile[thread()] = (float)thread();
    out[thread()] = tile[63 - thread()];
}

// The second round's write meets the first round's reads.
KERNEL(64) missing_second_barrier(const Buffers<1> b)
{
    float *out = (float *)b.at[0];
    SHARED(float, tile, 64);
    float sum = 0;
    for (int i = 0; i < 2; i++) {
        tile[thread()] = (float)(thread() + i);
        sync();
        sum += tile[63 - thread()];
    }
    out[thread()] = sum;
}

KERNEL(32) missing_warp_sync(const Buffers<1> b)
{
    float *out = (float *)b.at[0];
    SHARED(float, tile, 32);
    tile[thread()] = (float)thread();
    out[thread()] = tile[31 - thread()];
}

KERNEL(64) atomic_then_read(const Buffers<1> b)
{
    SHARED(uint32_t, count, 1);
    if (thread() == 0) count[0] = 0;
    sync();
    atomic_add_u32(count, 1);
    ((uint32_t *)b.at[0])[thread()] = count[0];
}

KERNEL(64) ended_before_barrier(const Buffers<1> b)
{
    if (thread() == 40) return;
    sync();
    ((float *)b.at[0])[thread()] = 1;
}

KERNEL(64) two_barriers(const Buffers<1> b)
{
    if (thread() < 32) sync();
    else sync();
    ((float *)b.at[0])[thread()] = 1;
}

KERNEL(64) ended_before_shuffle(const Buffers<1> b)
{
    if (thread() % 32 >= 16) return;
    ((float *)b.at[0])[thread()] = shfl_xor_f32(1.0f, 1);
}

KERNEL(64) two_shuffles(const Buffers<1> b)
{
    float x = 1;
    if (thread() % 2) x = shfl_f32(x, 0);
    else x = shfl_down_f32(x, 1);
    ((float *)b.at[0])[thread()] = x;
}

KERNEL(64) shuffle_against_barrier(const Buffers<1> b)
{
    if (thread() == 33) sync();
    ((float *)b.at[0])[thread()] = any(true);
}

KERNEL(32) read_behind(const Buffers<1> b)
{
    SHARED(float, tile, 32);
    SHARED(float, other, 32);
    other[thread()] = 0;
    tile[thread()] = 1;
    ((float *)b.at[0])[thread()] = tile[thread() + 1];
}

KERNEL(32) write_before(const Buffers<1> b)
{
    SHARED(float, tile, 32);
    tile[(int)thread() - 1] = 1;
    warp_sync();
    ((float *)b.at[0])[thread()] = tile[thread()];
}

KERNEL(32) write_behind_a_little(const Buffers<1> b)
{
    SHARED(float, tile, 30);
    tile[thread()] = 1;
    ((float *)b.at[0])[thread()] = 1;
}

KERNEL(32) dynamic_behind(const Buffers<1> b)
{
    SHARED_BYTES(bytes);
    ((float *)bytes)[thread()] = 1;
    ((float *)b.at[0])[thread()] = 1;
}

KERNEL(32) never_written(const Buffers<1> b)
{
    SHARED(float, tile, 64);
    tile[thread()] = 1;
    ((float *)b.at[0])[thread()] = tile[thread() * 2];
}

KERNEL(32) missing_wait(const Buffers<2> b)
{
    SHARED(float, tile, 128);
    cp_async_16(tile + 4 * thread(), (const float *)b.at[1] + 4 * thread());
    cp_async_commit();
    warp_sync();
    ((float *)b.at[0])[thread()] = tile[thread()];
}

KERNEL(32) wait_for_too_few(const Buffers<2> b)
{
    SHARED(float, tile, 128);
    cp_async_16(tile + 4 * thread(), (const float *)b.at[1] + 4 * thread());
    cp_async_commit();
    cp_async_wait_group<1>();
    warp_sync();
    ((float *)b.at[0])[thread()] = tile[thread()];
}

KERNEL(32) wait_without_commit(const Buffers<2> b)
{
    SHARED(float, tile, 128);
    cp_async_16(tile + 4 * thread(), (const float *)b.at[1] + 4 * thread());
    cp_async_wait_group<0>();
    warp_sync();
    ((float *)b.at[0])[thread()] = tile[thread()];
}

KERNEL(32) copy_to_global(const Buffers<2> b)
{
    cp_async_16((float *)b.at[0] + 4 * thread(), b.at[1]);
}

KERNEL(32) misaligned(const Buffers<1> b)
{
    store_f32x4((float *)b.at[0] + 1, {{1, 2, 3, 4}});
}

KERNEL(32) matrix_behind(const Buffers<1> b)
{
    SHARED(bf16, tile, 32 * 8);
    tile[thread()] = f32_to_bf16(1.0f);
    ((uint32_t *)b.at[0])[thread()] = ldmatrix_x4(tile + 8 * thread() + 8).at[0];
}

KERNEL(32) behind_buffer(const Buffers<1> b)
{
    ((float *)b.at[0])[64 + thread()] = 1;
}

KERNEL(32) divides_by_zero(const Buffers<1> b)
{
    uint32_t *out = (uint32_t *)b.at[0];
    out[thread()] = 0;
    out[thread()] = 7 / out[thread()];
}

KERNEL(32) too_much_shared(const Buffers<1> b)
{
    SHARED(float, first, 12000);
    SHARED(float, second, 300);
    first[thread()] = second[thread()] = 1;
    ((float *)b.at[0])[thread()] = first[thread()];
}
