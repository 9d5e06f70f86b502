// What every kernel's text begins with: types, one table of single instructions, and what is
// written with them. NVRTC compiles it without any header; with CZT_HOST_SHIM defined a C++
// compiler does, and the shim (tests/cuda_host) defines the rows of the table, so that the same
// text runs on the CPU. Nothing outside of the table and the macros above it may depend on which of
// the two it is.

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;

struct bf16 { uint16_t bits; };
struct f16 { uint16_t bits; };
struct f8e4m3 { uint8_t bits; };
struct f8e5m2 { uint8_t bits; };
struct alignas(16) f32x4 { float at[4]; };
struct alignas(16) bf16x8 { bf16 at[8]; };
struct alignas(16) u32x4 { uint32_t at[4]; };
struct alignas(8) u32x2 { uint32_t at[2]; };

// A kernel's only parameter: addresses of its buffers.
template <int N> struct Buffers { void *at[N]; };
// Or, where one launch does many segments that differ in sizes and addresses, a table: a row a
// segment, whose blocks begin at `first`, and the row of each block.
template <int N> struct Row { void *at[N]; long long size[2], first; };
template <int N> struct Table { const Row<N> *rows; const uint32_t *row_of; };

// DEVICE, METHOD         open a function, a struct's function
// KERNEL(threads, blocks on one multiprocessor at least)   opens a kernel's definition
// SHARED(type, name, n)    an array in shared memory, aligned to 16 bytes
// SHARED_BYTES(name)       dynamic shared memory: unsigned char *name, as much as the launch gives
#ifndef CZT_HOST_SHIM
#define DEVICE __device__ __forceinline__
#define METHOD DEVICE
#define KERNEL(...) extern "C" __global__ void __launch_bounds__(__VA_ARGS__)
#define SHARED(type, name, n) __shared__ __align__(16) type name[n]
#define SHARED_BYTES(name) extern __shared__ __align__(16) unsigned char name[]
#define INSTRUCTION(type, name, parameters, ...) DEVICE type name parameters __VA_ARGS__
#else
#define DEVICE static inline
#define METHOD inline
#define INSTRUCTION(type, name, parameters, ...) DEVICE type name parameters;
#endif
#define INSTRUCTION_N(...) template <int N> INSTRUCTION(__VA_ARGS__)
#define FULL_MASK 0xffffffffu
#define SHARED_ADDRESS(p) ((uint32_t)__cvta_generic_to_shared(p))
#define GLOBAL_ADDRESS(p) __cvta_generic_to_global(p)

// ---- the table of instructions: type, name, parameters, body on the device

// Place: the thread in its block, the block in its grid.
INSTRUCTION(uint32_t, thread, (), { return threadIdx.x; })
INSTRUCTION(uint32_t, threads, (), { return blockDim.x; })
INSTRUCTION(uint32_t, block_x, (), { return blockIdx.x; })
INSTRUCTION(uint32_t, block_y, (), { return blockIdx.y; })
INSTRUCTION(uint32_t, blocks_x, (), { return gridDim.x; })
INSTRUCTION(uint32_t, blocks_y, (), { return gridDim.y; })

// Barriers of the block and of the warp.
INSTRUCTION(void, sync, (), { __syncthreads(); })
INSTRUCTION(void, warp_sync, (), { __syncwarp(FULL_MASK); })

// Exchange in the warp, all 32 lanes. Where down reaches past lane 31, a lane gets its own value.
INSTRUCTION(float, shfl_f32, (float x, uint32_t lane), { return __shfl_sync(FULL_MASK, x, lane); })
INSTRUCTION(float, shfl_down_f32, (float x, uint32_t delta),
            { return __shfl_down_sync(FULL_MASK, x, delta); })
INSTRUCTION(float, shfl_xor_f32, (float x, uint32_t mask),
            { return __shfl_xor_sync(FULL_MASK, x, mask); })
INSTRUCTION(uint32_t, shfl_u32, (uint32_t x, uint32_t lane),
            { return __shfl_sync(FULL_MASK, x, lane); })
INSTRUCTION(uint32_t, shfl_down_u32, (uint32_t x, uint32_t delta),
            { return __shfl_down_sync(FULL_MASK, x, delta); })
INSTRUCTION(uint32_t, shfl_xor_u32, (uint32_t x, uint32_t mask),
            { return __shfl_xor_sync(FULL_MASK, x, mask); })
INSTRUCTION(uint32_t, ballot, (bool pred), { return __ballot_sync(FULL_MASK, pred); })
INSTRUCTION(bool, all, (bool pred), { return __all_sync(FULL_MASK, pred); })
INSTRUCTION(bool, any, (bool pred), { return __any_sync(FULL_MASK, pred); })

// Arithmetic, each rounded once to nearest even; + - * / are themselves (--fmad=false).
INSTRUCTION(float, fma_f32, (float x, float y, float z), { return __fmaf_rn(x, y, z); })
INSTRUCTION(float, sqrt_f32, (float x), { return __fsqrt_rn(x); })
INSTRUCTION(float, floor_f32, (float x), { return floorf(x); })
INSTRUCTION(float, rint_f32, (float x), { return rintf(x); })
INSTRUCTION(float, abs_f32, (float x), { return fabsf(x); })
INSTRUCTION(int, bits_of, (float x), { return __float_as_int(x); })
INSTRUCTION(float, from_bits, (int x), { return __int_as_float(x); })
// The larger one; the other one where one is NaN.
INSTRUCTION(float, max_f32, (float x, float y), { return fmaxf(x, y); })
// 2^x by the hardware, off by 2^-22 of it at most; 0 where it is below 2^-126.
INSTRUCTION(float, exp2_approx, (float x),
            { float d;
              asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(d) : "f"(x));
              return d; })
INSTRUCTION(uint32_t, mul_high_u32, (uint32_t x, uint32_t y), { return __umulhi(x, y); })

// Two bf16 in one register, x in the lower half, rounded as f32_to_bf16; NaN becomes 0x7fff.
INSTRUCTION(uint32_t, pack_bf16, (float x, float y),
            { uint32_t d;
              asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(d) : "f"(y), "f"(x));
              return d; })

// Atomics on shared or global memory; the value before.
INSTRUCTION(uint32_t, atomic_add_u32, (uint32_t *p, uint32_t x), { return atomicAdd(p, x); })
INSTRUCTION(int32_t, atomic_add_i32, (int32_t *p, int32_t x), { return atomicAdd(p, x); })
INSTRUCTION(uint32_t, atomic_max_u32, (uint32_t *p, uint32_t x), { return atomicMax(p, x); })
// What this thread wrote before is seen by other blocks before what it writes after.
INSTRUCTION(void, fence, (), { __threadfence(); })

// 16 bytes at a multiple of 16.
INSTRUCTION(f32x4, load_f32x4, (const float *p),
            { float4 v = *(const float4 *)p; return {{v.x, v.y, v.z, v.w}}; })
INSTRUCTION(void, store_f32x4, (float *p, f32x4 x),
            { *(float4 *)p = make_float4(x.at[0], x.at[1], x.at[2], x.at[3]); })
INSTRUCTION(u32x4, load_u32x4, (const void *p),
            { uint4 v = *(const uint4 *)p; return {{v.x, v.y, v.z, v.w}}; })
INSTRUCTION(void, store_u32x4, (void *p, u32x4 x),
            { *(uint4 *)p = make_uint4(x.at[0], x.at[1], x.at[2], x.at[3]); })
// 8 bytes at a multiple of 8.
INSTRUCTION(u32x2, load_u32x2, (const void *p),
            { uint2 v = *(const uint2 *)p; return {{v.x, v.y}}; })
INSTRUCTION(void, store_u32x2, (void *p, u32x2 x),
            { *(uint2 *)p = make_uint2(x.at[0], x.at[1]); })
// 4 bytes at a multiple of 4.
INSTRUCTION(uint32_t, load_u32, (const void *p), { return *(const uint32_t *)p; })
INSTRUCTION(void, store_u32, (void *p, uint32_t x), { *(uint32_t *)p = x; })
// To global memory, and never as four stores, which the compiler makes of the one above where it
// likes to.
INSTRUCTION(void, store_global_u32x4, (void *p, u32x4 x),
            { asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};"
                           :: "l"(GLOBAL_ADDRESS(p)), "r"(x.at[0]), "r"(x.at[1]), "r"(x.at[2]),
                              "r"(x.at[3]) : "memory"); })

// Copies of 16 bytes from global to shared memory that run on by themselves: issued, put into a
// group, waited for. The second form takes `bytes` (0 to 16) of them and fills up with zeros. Data
// is there for its own thread after the wait for all groups but the latest N, for others after a
// barrier too.
INSTRUCTION(void, cp_async_16, (void *to, const void *from),
            { asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
                           :: "r"(SHARED_ADDRESS(to)), "l"(GLOBAL_ADDRESS(from)) : "memory"); })
INSTRUCTION(void, cp_async_16_fill, (void *to, const void *from, uint32_t bytes),
            { asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                           :: "r"(SHARED_ADDRESS(to)), "l"(GLOBAL_ADDRESS(from)), "r"(bytes)
                           : "memory"); })
INSTRUCTION(void, cp_async_commit, (), { asm volatile("cp.async.commit_group;" ::: "memory"); })
INSTRUCTION_N(void, cp_async_wait_group, (),
              { asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory"); })

// Four 8 x 8 matrices of 16-bit elements from shared memory: lane 8 m + r gives the address of row
// r of matrix m. Register m of lane l gets row l / 4, columns 2 (l % 4) and the next; with _trans
// the same of the transposed matrix.
INSTRUCTION(u32x4, ldmatrix_x4, (const void *row),
            { u32x4 d;
              asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                           : "=r"(d.at[0]), "=r"(d.at[1]), "=r"(d.at[2]), "=r"(d.at[3])
                           : "r"(SHARED_ADDRESS(row)) : "memory");
              return d; })
INSTRUCTION(u32x4, ldmatrix_x4_trans, (const void *row),
            { u32x4 d;
              asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                           : "=r"(d.at[0]), "=r"(d.at[1]), "=r"(d.at[2]), "=r"(d.at[3])
                           : "r"(SHARED_ADDRESS(row)) : "memory");
              return d; })

// d (16, 8) = a (16, k) b (k, 8) + c, in the PTX manual's fragments. With g = lane / 4, t = lane %
// 4: c, d: rows g, g, g + 8, g + 8, columns 2 t, 2 t + 1 of each. bf16, k = 16, two a register, the
// lower k in the lower half: a rows g, g + 8, g, g + 8, columns 2 t (registers 0, 1) and 2 t + 8
// (2, 3); b column g, rows 2 t (b0) and 2 t + 8 (b1). The order of the sum is not specified.
INSTRUCTION(f32x4, mma_bf16, (u32x4 a, uint32_t b0, uint32_t b1, f32x4 c),
            { f32x4 d;
              asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                           "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
                           : "=f"(d.at[0]), "=f"(d.at[1]), "=f"(d.at[2]), "=f"(d.at[3])
                           : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]),
                             "r"(b0), "r"(b1),
                             "f"(c.at[0]), "f"(c.at[1]), "f"(c.at[2]), "f"(c.at[3]));
              return d; })
// tf32, k = 8: a rows g, g + 8, g, g + 8, columns t (registers 0, 1) and t + 4 (2, 3); b column g,
// rows t (b0) and t + 4 (b1); of each operand the lower 13 bits do not count.
INSTRUCTION(f32x4, mma_tf32, (u32x4 a, uint32_t b0, uint32_t b1, f32x4 c),
            { f32x4 d;
              asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                           "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
                           : "=f"(d.at[0]), "=f"(d.at[1]), "=f"(d.at[2]), "=f"(d.at[3])
                           : "r"(a.at[0]), "r"(a.at[1]), "r"(a.at[2]), "r"(a.at[3]),
                             "r"(b0), "r"(b1),
                             "f"(c.at[0]), "f"(c.at[1]), "f"(c.at[2]), "f"(c.at[3]));
              return d; })

#ifdef CZT_HOST_SHIM
#include "shim.h"
#endif

// ---- rounding to 16 bits, 8 bits and tf32: nearest even, all but bf16 by integers; as the
// interpreter (ir/scalar.h, ir/eval_value.c) but for the bits of NaN

DEVICE bf16 f32_to_bf16(float x)
{
    return {(uint16_t)pack_bf16(x, 0)};
}

DEVICE float bf16_to_f32(bf16 x)
{
    return from_bits((int)((uint32_t)x.bits << 16));
}

DEVICE f16 f32_to_f16(float x)
{
    uint32_t u = (uint32_t)bits_of(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) return {(uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff))};
    if (a >= 0x477ff000) return {(uint16_t)(sign | 0x7c00)}; // 65520 and above: infinity
    // Below 2^-14: adding 0.5, whose unit in the last place is 2^-24, rounds to the denormals'
    // grid.
    if (a < 0x38800000)
        return {(uint16_t)(sign | (bits_of(from_bits((int)a) + 0.5f) - 0x3f000000))};
    a -= 112u << 23; // the bias, 127, becomes 15
    return {(uint16_t)(sign | (a + 0xfff + (a >> 13 & 1)) >> 13)};
}

DEVICE float f16_to_f32(f16 x)
{
    uint32_t sign = (uint32_t)(x.bits & 0x8000) << 16, a = x.bits & 0x7fff;
    if (a >= 0x7c00) return from_bits((int)(sign | 0x7f800000 | (a & 0x3ff) << 13));
    if (a >= 0x400) return from_bits((int)(sign | ((a << 13) + (112u << 23))));
    return from_bits((int)(sign | (uint32_t)bits_of((float)a * 5.9604644775390625e-8f))); // 2^-24
}

// No infinities: what rounds to more than 448, from 464 on, is NaN.
DEVICE f8e4m3 f32_to_f8e4m3(float x)
{
    uint32_t u = (uint32_t)bits_of(x), sign = u >> 24 & 0x80, a = u & 0x7fffffff;
    if (a > 0x43e80000) return {(uint8_t)(sign | 0x7f)};
    // Below 2^-6: 2^14 has a unit in the last place of 2^-9, that of the denormals.
    if (a < 0x3c800000)
        return {(uint8_t)(sign | (bits_of(from_bits((int)a) + 16384.0f) - 0x46800000))};
    a -= 120u << 23; // the bias, 127, becomes 7
    return {(uint8_t)(sign | (a + 0x7ffff + (a >> 20 & 1)) >> 20)};
}

DEVICE float f8e4m3_to_f32(f8e4m3 x)
{
    uint32_t sign = (uint32_t)(x.bits & 0x80) << 24, a = x.bits & 0x7f;
    if (a == 0x7f) return from_bits((int)(sign | 0x7fc00000));
    if (a >= 8) return from_bits((int)(sign | ((a << 20) + (120u << 23))));
    return from_bits((int)(sign | (uint32_t)bits_of((float)a * 0.001953125f))); // 2^-9
}

DEVICE f8e5m2 f32_to_f8e5m2(float x)
{
    uint32_t u = (uint32_t)bits_of(x), sign = u >> 24 & 0x80, a = u & 0x7fffffff;
    if (a > 0x7f800000) return {(uint8_t)(sign | 0x7f)};
    if (a >= 0x47700000) return {(uint8_t)(sign | 0x7c)}; // 61440 and above: infinity
    // Below 2^-14: 2^7 has a unit in the last place of 2^-16, that of the denormals.
    if (a < 0x38800000)
        return {(uint8_t)(sign | (bits_of(from_bits((int)a) + 128.0f) - 0x43000000))};
    a -= 112u << 23; // the bias, 127, becomes 15
    return {(uint8_t)(sign | (a + 0xfffff + (a >> 21 & 1)) >> 21)};
}

// The upper half of an f16.
DEVICE float f8e5m2_to_f32(f8e5m2 x)
{
    return f16_to_f32({(uint16_t)(x.bits << 8)});
}

// To 11 significant bits: the lower 13 are 0.
DEVICE float tf32_f32(float x)
{
    const uint32_t u = (uint32_t)bits_of(x);
    return x != x ? x : from_bits((int)((u + 0xfff + (u >> 13 & 1)) & ~0x1fffu));
}

// Eight bf16 are moved as they are, and taken apart in registers.
DEVICE bf16x8 load_bf16x8(const bf16 *p)
{
    u32x4 v = load_u32x4(p);
    bf16x8 x;
    for (int i = 0; i < 8; i++) x.at[i].bits = (uint16_t)(v.at[i / 2] >> i % 2 * 16);
    return x;
}

DEVICE void store_bf16x8(bf16 *p, bf16x8 x)
{
    u32x4 v;
    for (int i = 0; i < 4; i++) v.at[i] = x.at[2 * i].bits | (uint32_t)x.at[2 * i + 1].bits << 16;
    store_u32x4(p, v);
}

// ---- what kernels are written with
