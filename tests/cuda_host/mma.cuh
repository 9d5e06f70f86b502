// Products written with codegen/cuda_mma.cuh alone, copied by chunks or element by element. The
// test adds a kernel for each tile and layout of the operands.

// Buffers: a, b, c (f32, dense (batch, m, n)), sizes: m, n, k, lda, ldb, strides of the batch in a
// and b, 1 where every chunk can be copied.
template <class E> struct Product {
    const E *a, *b;
    float *c;
    int m, n, k, lda, ldb;
    bool whole;
};

template <class E> DEVICE Product<E> product(const Buffers<4> &buffers)
{
    const int *size = (const int *)buffers.at[3];
    const long batch = block_y();
    return {(const E *)buffers.at[0] + batch * size[5],
            (const E *)buffers.at[1] + batch * size[6],
            (float *)buffers.at[2] + batch * size[0] * size[1],
            size[0],
            size[1],
            size[2],
            size[3],
            size[4],
            size[7] != 0};
}

// A chunk's elements from (free, k) on, as many as there are.
template <class S, class E>
DEVICE MmaChunk chunk(const E *x, int ld, int free, int most, int k, int depth)
{
    const int left = smaller<int>(S::each, S::along_k ? depth - k : most - free);
    const bool outside = free >= most || k >= depth;
    return {x + (S::along_k ? (long)free * ld + k : (long)k * ld + free),
            outside ? 0 : (uint32_t)sizeof(E) * (uint32_t)left};
}

template <class S, int THREADS, class E>
DEVICE void bring(E *to, const E *x, int ld, int free0, int most, int k0, int depth)
{
    mma_copy<S, THREADS>(
        to, [&](int free, int k) { return chunk<S>(x, ld, free0 + free, most, k0 + k, depth); });
}

// One by one, where chunks do not begin at multiples of 16 bytes.
template <class S, int THREADS, class E>
DEVICE void compute(E *to, const E *x, int ld, int free0, int most, int k0, int depth)
{
    for (uint32_t at = thread(); at < S::rows * S::chunks; at += THREADS) {
        const uint32_t row = at / S::chunks, column = at % S::chunks;
        float value[S::each];
        for (uint32_t j = 0; j < S::each; j++) {
            const int free = free0 + (int)(S::along_k ? row : column * S::each + j);
            const int k = k0 + (int)(S::along_k ? column * S::each + j : row);
            value[j] = 0;
            if (free < most && k < depth)
                value[j] =
                    number(S::along_k ? x[(long)free * ld + k] : x[(long)k * ld + free]);
        }
        store_u32x4(to + mma_place<S>(row, column), mma_pack(value));
    }
}

template <class T> DEVICE void multiply(const Buffers<4> &buffers)
{
    SHARED_BYTES(shared);
    typedef typename T::Element E;
    const Product<E> p = product<E>(buffers);
    MmaSums<T> sums;
    int m0, n0;
    mma_tile((p.m + T::m - 1) / T::m, (p.n + T::n - 1) / T::n, m0, n0);
    m0 *= T::m;
    n0 *= T::n;
    mma_loop<T>(
        shared, (p.k + T::k - 1) / T::k, sums,
        [&](int s, E *stage) {
            if (!p.whole) return;
            bring<typename T::A, T::threads>(stage, p.a, p.lda, m0, p.m, s * T::k, p.k);
            bring<typename T::B, T::threads>(stage + T::A::elements, p.b, p.ldb, n0, p.n, s * T::k,
                                             p.k);
        },
        [&](int s, E *stage) {
            if (p.whole) return;
            compute<typename T::A, T::threads>(stage, p.a, p.lda, m0, p.m, s * T::k, p.k);
            compute<typename T::B, T::threads>(stage + T::A::elements, p.b, p.ldb, n0, p.n,
                                               s * T::k, p.k);
        });
#pragma unroll 1
    for (int slab = 0; slab < T::slabs; slab++) {
        if (slab) sync();
        mma_lay_out<T>((float *)shared, sums, slab);
        sync();
        for (int i = (int)thread(); i < T::slab_rows * T::n; i += T::threads) {
            const int row = i / T::n, m = m0 + mma_row<T>(slab, row), n = n0 + i % T::n;
            if (m < p.m && n < p.n)
                p.c[(long)m * p.n + n] = ((float *)shared)[row * T::out_stride + i % T::n];
        }
    }
}
