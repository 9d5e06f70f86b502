// Transcendental functions and rounding as the project's own expansions: short programs over exact
// scalar operations, so that the interpreter, LLVM code and CUDA text compute the same bits.
#ifndef CZT_IR_SCALAR_H
#define CZT_IR_SCALAR_H

#include "ir/graph.h"

// Exact scalar operations, each the same on every target (IEEE f32, round to nearest even; i32
// wraps).
typedef enum {
    SC_ARG,     // operand number imm.i of the function
    SC_F32,     // constant imm.f
    SC_I32,     // constant imm.i
    SC_ADD, SC_SUB, SC_MUL, SC_DIV, SC_FMA, SC_SQRT, SC_NEG, SC_ABS, SC_FLOOR, SC_ROUND, // f32
    SC_LT, SC_LE, SC_EQ,                    // f32 -> bool (ordered: false with NaN)
    SC_SELECT,                              // bool, x, y
    SC_IADD, SC_ISUB, SC_IMUL, SC_IAND, SC_IOR, SC_IXOR, // i32
    SC_ISHL, SC_ISHR, SC_IASR,                           // i32, shift by imm.i
    SC_ILT, SC_IEQ,                         // i32 -> bool
    SC_TO_INT,  // f32 holding an integer in range -> i32
    SC_TO_F32,  // i32 -> f32, nearest even
    SC_BITS,    // f32 -> i32, the same bits
    SC_FROM_BITS // i32 -> f32
} ScalarOp;

typedef struct ScalarInstr {
    ScalarOp op;
    uint32_t a, b, c; // earlier instructions
    union { float f; int32_t i; } imm;
} ScalarInstr;

typedef struct ScalarProgram {
    VEC(ScalarInstr) code; // the last instruction is the result
} ScalarProgram;

// The f32 expansion of an OPF_EXPAND op, at most 2 ulp from the true value over all f32 inputs
// (pow: 2 ulp of exp(y log x) evaluated in extended precision is not promised; see docs/ir.md).
const ScalarProgram *scalar_expansion(Arena *arena, OpCode op);
// e^-x for all x >= -43 and NaN, the bits of exp's expansion of -x in fewer instructions: for code
// that knows its argument. Below, the result is not defined.
const ScalarProgram *scalar_exp_minus(Arena *arena);
// Run a program on f32 operands.
float scalar_run(const ScalarProgram *p, const float *args);
// f32 -> bf16 / f16 bits, nearest even, NaN quiet; and back (exact).
uint16_t f32_to_bf16(float x);
float bf16_to_f32(uint16_t x);
uint16_t f32_to_f16(float x);
float f16_to_f32(uint16_t x);
// The same of 8-bit floats. f8e4m3 has no infinities: what rounds to more than 448 is NaN.
uint8_t f32_to_f8e4m3(float x);
float f8e4m3_to_f32(uint8_t x);
uint8_t f32_to_f8e5m2(float x);
float f8e5m2_to_f32(uint8_t x);

#endif
