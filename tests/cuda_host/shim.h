// The host's bodies of the instruction table of codegen/cuda_prelude.cuh, included by it behind the
// table. One row here is one instruction there and nothing more; meaning is defined by the PTX
// manual. A CUDA thread is a fiber (shim_run.c); what waits for other threads is a call into its
// runtime.
#include "shim_lane.h"

// Fibers stay on their system thread, which sets this before each switch.
static __thread ShimLane *shim_lane __attribute__((tls_model("initial-exec")));

extern "C" __attribute__((visibility("default"))) ShimLane **shim_lane_slot()
{
    return &shim_lane;
}

#define KERNEL(...) extern "C" void
#define SHARED(type, name, n)                                                                      \
    type(&name)[n] =                                                                               \
        *(type(*)[n])shim_lane->calls->shared(shim_lane, __COUNTER__, #name, sizeof(type[n]))
#define SHARED_BYTES(name)                                                                         \
    unsigned char *name = (unsigned char *)shim_lane->calls->dynamic(shim_lane)
#define SHIM_INLINE static inline __attribute__((always_inline))

SHIM_INLINE void shim_site(uint32_t line, uint32_t site)
{
    shim_lane->line = line;
    shim_lane->site = site;
}

// ---- place, barriers

uint32_t thread()
{
    return shim_lane->thread;
}
uint32_t threads()
{
    return shim_lane->threads;
}
uint32_t block_x()
{
    return shim_lane->block_x;
}
uint32_t block_y()
{
    return shim_lane->block_y;
}
uint32_t blocks_x()
{
    return shim_lane->blocks_x;
}
uint32_t blocks_y()
{
    return shim_lane->blocks_y;
}
void sync()
{
    shim_lane->calls->block_meet(shim_lane);
}
void warp_sync()
{
    shim_lane->calls->warp_sync(shim_lane);
}

// ---- exchange in the warp

template <typename T> static inline T shim_take(T x, uint32_t from)
{
    unsigned char *slots = shim_lane->calls->warp_meet(shim_lane, &x, sizeof x, 0);
    __builtin_memcpy(&x, slots + from * SHIM_SLOT, sizeof x);
    return x;
}

static inline uint32_t shim_down(uint32_t delta)
{
    uint32_t own = shim_lane->thread % SHIM_WARP;
    return delta < SHIM_WARP - own ? own + delta : own;
}

static inline uint32_t shim_xor(uint32_t mask)
{
    return (shim_lane->thread ^ mask) % SHIM_WARP;
}

float shfl_f32(float x, uint32_t lane)
{
    return shim_take(x, lane % SHIM_WARP);
}
float shfl_down_f32(float x, uint32_t delta)
{
    return shim_take(x, shim_down(delta));
}
float shfl_xor_f32(float x, uint32_t mask)
{
    return shim_take(x, shim_xor(mask));
}
uint32_t shfl_u32(uint32_t x, uint32_t lane)
{
    return shim_take(x, lane % SHIM_WARP);
}
uint32_t shfl_down_u32(uint32_t x, uint32_t delta)
{
    return shim_take(x, shim_down(delta));
}
uint32_t shfl_xor_u32(uint32_t x, uint32_t mask)
{
    return shim_take(x, shim_xor(mask));
}

// Bit l is lane l's predicate; left in slot 0.
static inline void shim_gather_bits(void *slots)
{
    uint32_t bits = 0;
    for (uint32_t l = 0; l < SHIM_WARP; l++) bits |= (uint32_t)((bool *)slots)[l * SHIM_SLOT] << l;
    __builtin_memcpy(slots, &bits, sizeof bits);
}

uint32_t ballot(bool pred)
{
    uint32_t bits;
    void *slots = shim_lane->calls->warp_meet(shim_lane, &pred, sizeof pred, shim_gather_bits);
    __builtin_memcpy(&bits, slots, sizeof bits);
    return bits;
}

bool all(bool pred)
{
    return ballot(pred) == 0xffffffffu;
}
bool any(bool pred)
{
    return ballot(pred) != 0;
}

// ---- arithmetic, atomics

float fma_f32(float x, float y, float z)
{
    return __builtin_fmaf(x, y, z);
}
float sqrt_f32(float x)
{
    return __builtin_sqrtf(x);
}
float floor_f32(float x)
{
    return __builtin_floorf(x);
}
float rint_f32(float x)
{
    return __builtin_rintf(x);
}
float abs_f32(float x)
{
    return __builtin_fabsf(x);
}

int bits_of(float x)
{
    int bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    return bits;
}

float from_bits(int x)
{
    float value;
    __builtin_memcpy(&value, &x, sizeof value);
    return value;
}

float max_f32(float x, float y)
{
    return __builtin_fmaxf(x, y);
}

float exp2_approx(float x)
{
    float y = __builtin_exp2f(x);
    return y < 0x1p-126f ? 0 : y;
}

static inline uint32_t shim_round_bf16(float x)
{
    uint32_t u = (uint32_t)bits_of(x);
    return x != x ? 0x7fffu : (u + 0x7fff + (u >> 16 & 1)) >> 16;
}

uint32_t pack_bf16(float x, float y)
{
    return shim_round_bf16(x) | shim_round_bf16(y) << 16;
}

uint32_t mul_high_u32(uint32_t x, uint32_t y)
{
    return (uint32_t)((uint64_t)x * y >> 32);
}

uint32_t atomic_add_u32(uint32_t *p, uint32_t x)
{
    return __atomic_fetch_add(p, x, __ATOMIC_RELAXED);
}

int32_t atomic_add_i32(int32_t *p, int32_t x)
{
    return __atomic_fetch_add(p, x, __ATOMIC_RELAXED);
}

uint32_t atomic_max_u32(uint32_t *p, uint32_t x)
{
    uint32_t old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (old < x &&
           !__atomic_compare_exchange_n(p, &old, x, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return old;
}

void fence()
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

// ---- 16 and 8 bytes, asynchronous copies

template <typename T> static inline T shim_load(const void *p, const char *instruction)
{
    if ((uint64_t)p % sizeof(T)) shim_lane->calls->check16(shim_lane, p, instruction, 0);
    shim_lane->calls->access(shim_lane, p, sizeof(T), 0);
    T x;
    __builtin_memcpy(&x, p, sizeof(T));
    return x;
}

template <typename T> static inline void shim_store(void *p, const T &x, const char *instruction)
{
    if ((uint64_t)p % sizeof(T)) shim_lane->calls->check16(shim_lane, p, instruction, 0);
    shim_lane->calls->access(shim_lane, p, sizeof(T), 1);
    __builtin_memcpy(p, &x, sizeof(T));
}

f32x4 load_f32x4(const float *p)
{
    return shim_load<f32x4>(p, "load_f32x4");
}
void store_f32x4(float *p, f32x4 x)
{
    shim_store(p, x, "store_f32x4");
}
u32x4 load_u32x4(const void *p)
{
    return shim_load<u32x4>(p, "load_u32x4");
}
void store_u32x4(void *p, u32x4 x)
{
    shim_store(p, x, "store_u32x4");
}
u32x2 load_u32x2(const void *p)
{
    return shim_load<u32x2>(p, "load_u32x2");
}
void store_u32x2(void *p, u32x2 x)
{
    shim_store(p, x, "store_u32x2");
}
uint32_t load_u32(const void *p)
{
    return shim_load<uint32_t>(p, "load_u32");
}
void store_u32(void *p, uint32_t x)
{
    shim_store(p, x, "store_u32");
}
void store_global_u32x4(void *p, u32x4 x)
{
    shim_store(p, x, "store_global_u32x4");
}

void cp_async_16_fill(void *to, const void *from, uint32_t bytes)
{
    shim_lane->calls->check16(shim_lane, to, "cp.async", 1);
    shim_lane->calls->check16(shim_lane, from, "cp.async", 0);
    shim_lane->calls->access(shim_lane, to, 16, 1);
    shim_lane->calls->copy_issue(shim_lane, to, from, bytes);
}

void cp_async_16(void *to, const void *from)
{
    cp_async_16_fill(to, from, 16);
}
void cp_async_commit()
{
    shim_lane->calls->copy_commit(shim_lane);
}
template <int N> void cp_async_wait_group()
{
    shim_lane->calls->copy_wait(shim_lane, N);
}

// ---- matrices

static inline uint16_t shim_half(const u32x4 &x, uint32_t i)
{
    return (uint16_t)(x.at[i / 2] >> i % 2 * 16);
}

// Slots hold the lanes' row addresses.
static inline u32x4 shim_ldmatrix(const void *row, bool transposed)
{
    shim_lane->calls->check16(shim_lane, row, "ldmatrix", 1);
    shim_lane->calls->access(shim_lane, row, 16, 0);
    unsigned char *slots = shim_lane->calls->warp_meet(shim_lane, &row, sizeof row, 0);
    uint32_t l = shim_lane->thread % SHIM_WARP;
    u32x4 d;
    for (uint32_t m = 0; m < 4; m++) {
        uint16_t pair[2];
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t r = transposed ? l % 4 * 2 + i : l / 4, c = transposed ? l / 4 : l % 4 * 2 + i;
            const uint16_t *from;
            __builtin_memcpy(&from, slots + (m * 8 + r) * SHIM_SLOT, sizeof from);
            pair[i] = from[c];
        }
        d.at[m] = pair[0] | (uint32_t)pair[1] << 16;
    }
    return d;
}

u32x4 ldmatrix_x4(const void *row)
{
    return shim_ldmatrix(row, false);
}
u32x4 ldmatrix_x4_trans(const void *row)
{
    return shim_ldmatrix(row, true);
}

// A lane's part of a product: operands in, result left in c.
struct ShimMma {
    u32x4 a;
    f32x4 c;
    uint32_t b[2];
};
static_assert(sizeof(ShimMma) <= SHIM_SLOT, "a slot holds a lane's fragments");

static inline float shim_tf32(uint32_t bits)
{
    return from_bits((int)(bits & 0xffffe000u));
}
static inline float shim_bf16(uint32_t bits)
{
    return from_bits((int)(bits << 16));
}

// d = a b + c over whole matrices, one chain of fused multiply-adds in rising k: the hardware's
// order is not specified, so kernels' results are compared with a tolerance.
static inline void shim_multiply(void *slots, const float *a, const float *b, uint32_t k)
{
    for (uint32_t l = 0; l < SHIM_WARP; l++) {
        ShimMma *m = (ShimMma *)((unsigned char *)slots + l * SHIM_SLOT);
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t row = l / 4 + i / 2 * 8, column = l % 4 * 2 + i % 2;
            float sum = m->c.at[i];
            for (uint32_t j = 0; j < k; j++)
                sum = __builtin_fmaf(a[row * k + j], b[j * 8 + column], sum);
            m->c.at[i] = sum;
        }
    }
}

static inline void shim_mma_bf16(void *slots)
{
    float a[16 * 16], b[16 * 8];
    for (uint32_t l = 0; l < SHIM_WARP; l++) {
        const ShimMma *m = (const ShimMma *)((unsigned char *)slots + l * SHIM_SLOT);
        uint32_t g = l / 4, t = l % 4;
        for (uint32_t i = 0; i < 8; i++)
            a[(g + i / 2 % 2 * 8) * 16 + t * 2 + i % 2 + i / 4 * 8] = shim_bf16(shim_half(m->a, i));
        for (uint32_t i = 0; i < 4; i++)
            b[(t * 2 + i % 2 + i / 2 * 8) * 8 + g] =
                shim_bf16((uint16_t)(m->b[i / 2] >> i % 2 * 16));
    }
    shim_multiply(slots, a, b, 16);
}

static inline void shim_mma_tf32(void *slots)
{
    float a[16 * 8], b[8 * 8];
    for (uint32_t l = 0; l < SHIM_WARP; l++) {
        const ShimMma *m = (const ShimMma *)((unsigned char *)slots + l * SHIM_SLOT);
        uint32_t g = l / 4, t = l % 4;
        for (uint32_t i = 0; i < 4; i++)
            a[(g + i % 2 * 8) * 8 + t + i / 2 * 4] = shim_tf32(m->a.at[i]);
        for (uint32_t i = 0; i < 2; i++) b[(t + i * 4) * 8 + g] = shim_tf32(m->b[i]);
    }
    shim_multiply(slots, a, b, 8);
}

static inline f32x4 shim_mma(const ShimMma &in, void (*combine)(void *))
{
    unsigned char *slots = shim_lane->calls->warp_meet(shim_lane, &in, sizeof in, combine);
    return ((const ShimMma *)(slots + shim_lane->thread % SHIM_WARP * SHIM_SLOT))->c;
}

f32x4 mma_bf16(u32x4 a, uint32_t b0, uint32_t b1, f32x4 c)
{
    return shim_mma({a, c, {b0, b1}}, shim_mma_bf16);
}

f32x4 mma_tf32(u32x4 a, uint32_t b0, uint32_t b1, f32x4 c)
{
    return shim_mma({a, c, {b0, b1}}, shim_mma_tf32);
}

// ---- the table of kernels behind the text

template <typename T> struct ShimPlain {
    typedef T type;
};
template <typename T> struct ShimPlain<const T> {
    typedef T type;
};

// Calls a kernel with parameters given by address, as cuLaunchKernel takes them.
template <auto kernel> struct ShimThunk;
template <typename... P, void (*kernel)(P...)> struct ShimThunk<kernel> {
    static constexpr uint32_t parameters = sizeof...(P);
    static constexpr uint32_t bytes = (0 + ... + (uint32_t)sizeof(P));

    static void call(void *const *at)
    {
        uint32_t i = 0;
        struct Call { // braces evaluate from left to right
            Call(P... p)
            {
                kernel(p...);
            }
        };
        Call{*(typename ShimPlain<P>::type *)at[i++]...};
    }
};

#define SHIM_FIRST(first, ...) (first)
#define SHIM_ENTRY(name, bounds)                                                                   \
    {                                                                                              \
#name, ShimThunk < name> ::call, SHIM_FIRST bounds, ShimThunk < name> ::parameters,        \
            ShimThunk < name> ::bytes                                                              \
    }

// ---- meetings tell their place in the text

#define sync() (shim_site(__LINE__, __COUNTER__), sync())
#define warp_sync() (shim_site(__LINE__, __COUNTER__), warp_sync())
#define shfl_f32(...) (shim_site(__LINE__, __COUNTER__), shfl_f32(__VA_ARGS__))
#define shfl_down_f32(...) (shim_site(__LINE__, __COUNTER__), shfl_down_f32(__VA_ARGS__))
#define shfl_xor_f32(...) (shim_site(__LINE__, __COUNTER__), shfl_xor_f32(__VA_ARGS__))
#define shfl_u32(...) (shim_site(__LINE__, __COUNTER__), shfl_u32(__VA_ARGS__))
#define shfl_down_u32(...) (shim_site(__LINE__, __COUNTER__), shfl_down_u32(__VA_ARGS__))
#define shfl_xor_u32(...) (shim_site(__LINE__, __COUNTER__), shfl_xor_u32(__VA_ARGS__))
#define ballot(...) (shim_site(__LINE__, __COUNTER__), ballot(__VA_ARGS__))
#define all(...) (shim_site(__LINE__, __COUNTER__), all(__VA_ARGS__))
#define any(...) (shim_site(__LINE__, __COUNTER__), any(__VA_ARGS__))
#define ldmatrix_x4(...) (shim_site(__LINE__, __COUNTER__), ldmatrix_x4(__VA_ARGS__))
#define ldmatrix_x4_trans(...) (shim_site(__LINE__, __COUNTER__), ldmatrix_x4_trans(__VA_ARGS__))
#define mma_bf16(...) (shim_site(__LINE__, __COUNTER__), mma_bf16(__VA_ARGS__))
#define mma_tf32(...) (shim_site(__LINE__, __COUNTER__), mma_tf32(__VA_ARGS__))
