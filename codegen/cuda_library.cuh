// What kernels are written with, over the instructions of cuda_prelude.cuh: plain C++, the same
// text on a GPU and on the host. Integers wrap, comparisons with NaN and conversions are as
// docs/ir.md says.

// ---- integers -----------------------------------------------------------------------------------

template <class T> struct Unsigned {
    typedef T type;
};
template <> struct Unsigned<int> {
    typedef unsigned type;
};
template <> struct Unsigned<signed char> {
    typedef unsigned char type;
};
template <> struct Unsigned<long long> {
    typedef unsigned long long type;
};

template <class T> DEVICE T add_wrap(T x, T y)
{
    typedef typename Unsigned<T>::type U;
    return (T)(U)((U)x + (U)y);
}

template <class T> DEVICE T sub_wrap(T x, T y)
{
    typedef typename Unsigned<T>::type U;
    return (T)(U)((U)x - (U)y);
}

template <class T> DEVICE T mul_wrap(T x, T y)
{
    typedef typename Unsigned<T>::type U;
    return (T)(U)((unsigned long long)(U)x * (unsigned long long)(U)y);
}

template <class T> DEVICE T neg_wrap(T x)
{
    return sub_wrap<T>(0, x);
}

template <class T> DEVICE T abs_wrap(T x)
{
    return x < 0 ? neg_wrap<T>(x) : x;
}

// floor(x / y), 0 where y is 0; x / -1 wraps.
template <class T> DEVICE T div_whole(T x, T y)
{
    if (y == 0) return 0;
    if ((T)-1 < 0 && y == (T)-1) return neg_wrap<T>(x);
    T q = (T)(x / y), rest = (T)(x - q * y);
    return rest != 0 && (rest < 0) != (y < 0) ? (T)(q - 1) : q;
}

template <class T> DEVICE T rem_whole(T x, T y)
{
    return y == 0 ? (T)0 : sub_wrap<T>(x, mul_wrap<T>(div_whole<T>(x, y), y));
}

// Of indices, by a positive constant.
template <class T> DEVICE T div_floor(T x, T c)
{
    return x >= 0 ? x / c : -((c - 1 - x) / c);
}

template <class T> DEVICE T rem_floor(T x, T c)
{
    return x - c * div_floor<T>(x, c);
}

template <class T, class X> DEVICE T clamp_index(X x, T lo, T hi)
{
    return (long long)x < lo ? lo : (long long)x > hi ? hi : (T)x;
}

DEVICE bool within(long long x, long long lo, long long hi)
{
    return lo <= x && x < hi;
}

// ---- comparisons --------------------------------------------------------------------------------

// A NaN on the left stays; on the right it loses.
template <class T> DEVICE T larger(T x, T y)
{
    return x > y || x != x ? x : y;
}

template <class T> DEVICE T smaller(T x, T y)
{
    return x < y || x != x ? x : y;
}

template <class T> DEVICE T sign(T x)
{
    return x > 0 ? (T)1 : x < 0 ? (T)-1 : x;
}

// Of a type, told apart by a null pointer to it.
template <class T> DEVICE T least_of(T *)
{
    return (T)-1 < 0 ? (T)(1ull << (8 * sizeof(T) - 1)) : (T)0;
}

template <class T> DEVICE T greatest_of(T *)
{
    return (T)-1 < 0 ? (T)((1ull << (8 * sizeof(T) - 1)) - 1) : (T)-1;
}

DEVICE float least_of(float *)
{
    return from_bits((int)0xff800000u);
}

DEVICE float greatest_of(float *)
{
    return from_bits(0x7f800000);
}

template <class T> DEVICE T least()
{
    return least_of((T *)0);
}

template <class T> DEVICE T greatest()
{
    return greatest_of((T *)0);
}

// ---- conversions --------------------------------------------------------------------------------

// Towards zero, to the nearest end where it does not fit, NaN to 0.
template <class T> DEVICE T to_integer(float x)
{
    const float top = 2 * (float)(1ull << (8 * sizeof(T) - ((T)-1 < 0 ? 2 : 1)));
    if (!(x == x)) return 0;
    if (x >= top) return greatest<T>();
    if (x <= ((T)-1 < 0 ? -top : 0.0f)) return least<T>();
    return (T)x;
}

// An element in memory as a number in a register, and back, rounded.
DEVICE float number(float x)
{
    return x;
}

DEVICE float number(bf16 x)
{
    return bf16_to_f32(x);
}

DEVICE float number(f16 x)
{
    return f16_to_f32(x);
}

DEVICE float number(f8e4m3 x)
{
    return f8e4m3_to_f32(x);
}

DEVICE float number(f8e5m2 x)
{
    return f8e5m2_to_f32(x);
}

template <class T> DEVICE T number(T x)
{
    return x;
}

DEVICE void put(float &to, float x)
{
    to = x;
}

DEVICE void put(bf16 &to, float x)
{
    to = f32_to_bf16(x);
}

DEVICE void put(f16 &to, float x)
{
    to = f32_to_f16(x);
}

DEVICE void put(f8e4m3 &to, float x)
{
    to = f32_to_f8e4m3(x);
}

DEVICE void put(f8e5m2 &to, float x)
{
    to = f32_to_f8e5m2(x);
}

template <class T> DEVICE unsigned long long word_of(T x)
{
    return (unsigned long long)(typename Unsigned<T>::type)x;
}

DEVICE unsigned long long word_of(float x)
{
    return (unsigned)bits_of(x);
}

template <class T> DEVICE T of_word(unsigned long long x, T *)
{
    return (T)x;
}

DEVICE float of_word(unsigned long long x, float *)
{
    return from_bits((int)(unsigned)x);
}

template <class T> DEVICE T of_word(unsigned long long x)
{
    return of_word(x, (T *)0);
}

// ---- several elements at once -------------------------------------------------------------------

// As numbers in registers.
template <class T> struct Held {
    typedef T type;
};
template <> struct Held<bf16> {
    typedef float type;
};
template <> struct Held<f16> {
    typedef float type;
};
template <> struct Held<f8e4m3> {
    typedef float type;
};
template <> struct Held<f8e5m2> {
    typedef float type;
};

template <class T, int N> struct Pack {
    T at[N];
};

template <class T> DEVICE T element_of(uint32_t word, uint32_t, T *)
{
    return (T)word;
}

DEVICE float element_of(uint32_t word, uint32_t, float *)
{
    return from_bits((int)word);
}

DEVICE bf16 element_of(uint32_t word, uint32_t, bf16 *)
{
    return {(uint16_t)word};
}

DEVICE f16 element_of(uint32_t word, uint32_t, f16 *)
{
    return {(uint16_t)word};
}

DEVICE f8e4m3 element_of(uint32_t word, uint32_t, f8e4m3 *)
{
    return {(uint8_t)word};
}

DEVICE f8e5m2 element_of(uint32_t word, uint32_t, f8e5m2 *)
{
    return {(uint8_t)word};
}

DEVICE long long element_of(uint32_t word, uint32_t high, long long *)
{
    return (long long)((unsigned long long)high << 32 | word);
}

// Element i of those that lie in these words.
template <class T> DEVICE T element_in(const uint32_t *words, int i)
{
    const int each = sizeof(T) < 4 ? 4 / (int)sizeof(T) : 1, wide = sizeof(T) < 8 ? 1 : 2;
    const uint32_t low = words[i / each * wide] >> i % each * (8 * (int)sizeof(T) % 32);
    return element_of(low, wide == 2 ? words[i * 2 + 1] : 0, (T *)0);
}

DEVICE unsigned long long bits_held(bf16 x)
{
    return x.bits;
}

DEVICE unsigned long long bits_held(f16 x)
{
    return x.bits;
}

DEVICE unsigned long long bits_held(f8e4m3 x)
{
    return x.bits;
}

DEVICE unsigned long long bits_held(f8e5m2 x)
{
    return x.bits;
}

DEVICE unsigned long long bits_held(float x)
{
    return (uint32_t)bits_of(x);
}

template <class T> DEVICE unsigned long long bits_held(T x)
{
    return (unsigned long long)(typename Unsigned<T>::type)x;
}

template <class T, class X> DEVICE void put(T &to, X x)
{
    to = (T)x;
}

// N elements that lie side by side, the first at a multiple of their bytes or of 16.
template <int N, class T> DEVICE Pack<typename Held<T>::type, N> load_pack(const T *p)
{
    Pack<typename Held<T>::type, N> x;
    constexpr int bytes = N * (int)sizeof(T);
    if constexpr (bytes % 16 == 0) {
        for (int c = 0; c < bytes / 16; c++) {
            const u32x4 words = load_u32x4((const char *)p + 16 * c);
            constexpr int n = 16 / (int)sizeof(T);
            for (int i = 0; i < n; i++) x.at[c * n + i] = number(element_in<T>(words.at, i));
        }
    } else if constexpr (bytes == 8) {
        const u32x2 words = load_u32x2(p);
        for (int i = 0; i < N; i++) x.at[i] = number(element_in<T>(words.at, i));
    } else if constexpr (bytes == 4 && N > 1) {
        const uint32_t word = load_u32(p);
        for (int i = 0; i < N; i++) x.at[i] = number(element_in<T>(&word, i));
    } else {
        for (int i = 0; i < N; i++) x.at[i] = number(p[i]);
    }
    return x;
}

template <class T> constexpr bool IS_BF16 = false;
template <> constexpr bool IS_BF16<bf16> = true;

template <int N, class T> DEVICE void store_pack(T *p, const Pack<typename Held<T>::type, N> &x)
{
    constexpr int bytes = N * (int)sizeof(T), words = (bytes + 3) / 4;
    if constexpr (bytes % 16 == 0 || bytes == 8 || (bytes == 4 && N > 1)) {
        uint32_t word[words] = {};
        for (int i = 0; i < N; i++) {
            if constexpr (IS_BF16<T>) { // two by one instruction
                if (i % 2 == 0) word[i / 2] = pack_bf16(x.at[i], x.at[i + 1]);
                continue;
            }
            T element;
            put(element, x.at[i]);
            const unsigned long long bits = bits_held(element);
            const int at = i * (int)sizeof(T);
            word[at / 4] |= (uint32_t)bits << at % 4 * 8;
            if constexpr (sizeof(T) == 8) word[at / 4 + 1] = (uint32_t)(bits >> 32);
        }
        if constexpr (bytes == 4)
            store_u32(p, word[0]);
        else if constexpr (bytes == 8)
            store_u32x2(p, {{word[0], word[1]}});
        else
            for (int c = 0; c < bytes / 16; c++)
                store_u32x4((char *)p + 16 * c, {{word[4 * c], word[4 * c + 1], word[4 * c + 2],
                                                  word[4 * c + 3]}});
    } else {
        for (int i = 0; i < N; i++) put(p[i], x.at[i]);
    }
}

// The same of the first `left` elements; what is not there is 0 and not touched.
template <int N, class T>
DEVICE Pack<typename Held<T>::type, N> load_pack(const T *p, long long left)
{
    if (left >= N) return load_pack<N>(p);
    Pack<typename Held<T>::type, N> x;
    for (int i = 0; i < N; i++) x.at[i] = i < left ? number(p[i]) : typename Held<T>::type(0);
    return x;
}

template <int N, class T>
DEVICE void store_pack(T *p, const Pack<typename Held<T>::type, N> &x, long long left)
{
    if (left >= N) return store_pack<N>(p, x);
    for (int i = 0; i < N; i++)
        if (i < left) put(p[i], x.at[i]);
}

// ---- neighbours in memory -----------------------------------------------------------------------

// N elements that lie side by side, moved by instructions of 16 bytes, or one of 8 or 4; they begin
// at a multiple of that.
template <class T, int N> struct Neighbours {
    uint32_t word[N * sizeof(T) / 4];
};

template <int N, class T> DEVICE Neighbours<T, N> load_neighbours(const T *from)
{
    constexpr int words = N * sizeof(T) / 4;
    const uint32_t *p = (const uint32_t *)from;
    Neighbours<T, N> x;
    if (words == 1) x.word[0] = *p;
    if (words == 2) {
        const u32x2 v = *(const u32x2 *)p;
        for (int i = 0; i < 2; i++) x.word[i] = v.at[i];
    }
    for (int w = 0; w + 4 <= words; w += 4) {
        const u32x4 v = load_u32x4(p + w);
        for (int i = 0; i < 4; i++) x.word[w + i] = v.at[i];
    }
    return x;
}

template <int N> DEVICE float number(const Neighbours<float, N> &x, int i)
{
    return from_bits((int)x.word[i]);
}

template <int N> DEVICE float number(const Neighbours<bf16, N> &x, int i)
{
    return from_bits((int)(i % 2 ? x.word[i / 2] & 0xffff0000u : x.word[i / 2] << 16));
}

template <int N> DEVICE uint8_t number(const Neighbours<uint8_t, N> &x, int i)
{
    return (uint8_t)(x.word[i / 4] >> i % 4 * 8);
}

template <int N> DEVICE float number(const Neighbours<f8e4m3, N> &x, int i)
{
    return f8e4m3_to_f32({(uint8_t)(x.word[i / 4] >> i % 4 * 8)});
}

template <int N> DEVICE float number(const Neighbours<f8e5m2, N> &x, int i)
{
    return f8e5m2_to_f32({(uint8_t)(x.word[i / 4] >> i % 4 * 8)});
}

template <int N> DEVICE void store_neighbours(float *to, const float *x)
{
    static_assert(N == 2 || N % 4 == 0, "");
    if (N == 2) *(u32x2 *)to = {{(uint32_t)bits_of(x[0]), (uint32_t)bits_of(x[1])}};
    for (int i = 0; i + 4 <= N; i += 4) store_f32x4(to + i, {{x[i], x[i + 1], x[i + 2], x[i + 3]}});
}

template <int N> DEVICE void store_neighbours(bf16 *to, const float *x)
{
    static_assert(N == 2 || N == 4, "");
    if (N == 2) *(uint32_t *)to = pack_bf16(x[0], x[1]);
    if (N == 4) *(u32x2 *)to = {{pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3])}};
}

// ---- warps --------------------------------------------------------------------------------------

template <class T> DEVICE T shuffle_down(T x, int by)
{
    unsigned long long word = word_of(x), high = 0;
    if (sizeof(T) > 4) high = shfl_down_u32((unsigned)(word >> 32), by);
    return of_word<T>(high << 32 | shfl_down_u32((unsigned)word, by));
}

template <class T> DEVICE T shuffle(T x, int lane)
{
    unsigned long long word = word_of(x), high = 0;
    if (sizeof(T) > 4) high = shfl_u32((unsigned)(word >> 32), lane);
    return of_word<T>(high << 32 | shfl_u32((unsigned)word, lane));
}

DEVICE float shuffle_xor(float x, uint32_t by)
{
    return shfl_xor_f32(x, by);
}

template <class T> DEVICE T shuffle_xor(T x, uint32_t by)
{
    unsigned long long word = word_of(x), high = 0;
    if (sizeof(T) > 4) high = shfl_xor_u32((unsigned)(word >> 32), by);
    return of_word<T>(high << 32 | shfl_xor_u32((unsigned)word, by));
}

// What a reduction does with two values.
struct Sum {};
struct Largest {};
struct Smallest {};

DEVICE float combine(Sum, float x, float y)
{
    return x + y;
}

template <class T> DEVICE T combine(Sum, T x, T y)
{
    return add_wrap<T>(x, y);
}

template <class T> DEVICE T combine(Largest, T x, T y)
{
    return larger<T>(x, y);
}

template <class T> DEVICE T combine(Smallest, T x, T y)
{
    return smaller<T>(x, y);
}

// The 64 lanes of a row's sum to their result, for all threads of the warp: thread t has lanes 2 t
// and 2 t + 1. After the first step it has lane 2 (t mod 16) + t / 16 of 32; the others are xors by
// 8, 4, 2, 1, and the last puts the even together with the odd. The lower lane is always the left
// operand.
template <class Op, class T> DEVICE T row_tree(Op op, T low, T high)
{
    const uint32_t lane = thread() % 32;
    const bool odd = lane & 16;
    T mine = odd ? high : low, other = shuffle_xor(odd ? low : high, 16);
    T x = odd ? combine(op, other, mine) : combine(op, mine, other);
#pragma unroll
    for (uint32_t w = 8; w; w /= 2) {
        other = shuffle_xor(x, w);
        x = lane & w ? combine(op, other, x) : combine(op, x, other);
    }
    other = shuffle_xor(x, 16);
    return odd ? combine(op, other, x) : combine(op, x, other);
}

// BYTES, a multiple of 16, to shared memory by the warp, in copies that run on by themselves.
template <int BYTES> DEVICE void copy_row(void *to, const void *from)
{
#pragma unroll
    for (int at = 0; at < BYTES; at += 16 * 32) {
        const int mine = at + 16 * (int)(thread() % 32);
        if (mine < BYTES) cp_async_16((char *)to + mine, (const char *)from + mine);
    }
}

// ---- Philox4x32-10 (Salmon et al. 2011) ---------------------------------------------------------

DEVICE unsigned random_u32(long long seed, long long step, long long stream, long long element,
                           long long sample)
{
    typedef unsigned long long Wide;
    const Wide quarter = (Wide)element >> 2;
    unsigned k0 = (unsigned)seed ^ (unsigned)stream;
    unsigned k1 = (unsigned)((Wide)seed >> 32) ^ (unsigned)((Wide)stream >> 32);
    unsigned c0 = (unsigned)quarter, c1 = (unsigned)sample, c2 = (unsigned)step;
    unsigned c3 = (unsigned)((Wide)step >> 32) ^ (unsigned)(quarter >> 32);
    for (int round = 0; round < 10; round++) {
        const Wide p = (Wide)c0 * 0xD2511F53u, q = (Wide)c2 * 0xCD9E8D57u;
        const unsigned x = (unsigned)(q >> 32) ^ c1 ^ k0, y = (unsigned)(p >> 32) ^ c3 ^ k1;
        c0 = x, c1 = (unsigned)q, c2 = y, c3 = (unsigned)p;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    const int word = (int)(element & 3);
    return word == 0 ? c0 : word == 1 ? c1 : word == 2 ? c2 : c3;
}

// ---- the row stage of a sum (docs/ir.md) --------------------------------------------------------

// One value a thread of a block of 64, its lane; `shared` has 64 places. All threads get the
// result.
DEVICE float block_sum(float x, float *shared)
{
    const int lane = (int)thread();
    sync();
    shared[lane] = x;
    sync();
    x = shared[lane & 31] + shared[32 + (lane & 31)];
    for (int w = 16; w; w /= 2) x = x + shuffle_down(x, w);
    return shuffle(x, 0);
}

DEVICE float block_max(float x, float *shared)
{
    const int lane = (int)thread();
    sync();
    shared[lane] = x;
    sync();
    x = larger(shared[lane & 31], shared[32 + (lane & 31)]);
    for (int w = 16; w; w /= 2) x = larger(x, shuffle_down(x, w));
    return shuffle(x, 0);
}

// By one thread, of the products x[i * xs] * y[i * ys], i < n <= 4096.
template <class X, class Y>
DEVICE float row_sum_of_products(const X *x, int xs, const Y *y, int ys, int n)
{
    float lanes[64];
    for (int l = 0; l < 64; l++) {
        lanes[l] = 0;
        for (int i = l; i < n; i += 64) lanes[l] = lanes[l] + number(x[i * xs]) * number(y[i * ys]);
    }
    for (int w = 32; w; w /= 2)
        for (int l = 0; l < w; l++) lanes[l] = lanes[l] + lanes[l + w];
    return lanes[0];
}

// A chain of fma from 0 in rising i.
template <class X, class Y>
DEVICE float chain_of_products(const X *x, long long xs, const Y *y, long long ys, int from, int to)
{
    float sum = 0;
    for (int i = from; i < to; i++) sum = fma_f32(number(x[i * xs]), number(y[i * ys]), sum);
    return sum;
}
