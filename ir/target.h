// What passes ask of a target: limits and sizes. Filled by codegen; core code never names a target.
#ifndef CZT_IR_TARGET_H
#define CZT_IR_TARGET_H

#include "ir/kernel.h"

typedef struct Target {
    const char *name;
    uint32_t lanes; // f32 lanes of a vector register
    bool matrix;    // products of bf16 are done in matrix registers, in the hardware's order
    bool library;   // a library may do plain products instead of their kernels
    bool staged;    // entries share a block of inputs, and a batch waits in another one while one
                    // is worked on; else each entry has its own, also for what runs before it
    // Is there code for this op, after the passes, of operands of dtype `from` (DT_NONE: it has
    // none) with a result of dtype `to`? The ops it has it has of all dtypes but f64.
    bool (*has)(OpCode op, DType from, DType to);
    bool packs;     // the right operand of a product is packed by a kernel of its own
    // With `packs`: f32 elements of the buffer that the target's PACK kernel writes, from its sizes
    // and its body.
    int64_t (*packed_count)(const struct Target *t, const Kernel *pack);
    // Tasks of a kernel that is no LOOP; from the kernel alone, never from the number of threads.
    int64_t (*tasks)(const struct Target *t, const Kernel *k);
    // Is the kernel done by a function for all sizes, many segments in one launch? NULL: none is.
    bool (*any_size)(const Kernel *k);
    // A scatter of so many updates or more, of at most four bytes each, has a LISTS kernel before
    // it; 0: none has.
    int64_t lists_from;
    // Memory beside operands and results that the kernel of an ordered op works in: how many
    // elements of type *dt. NULL or 0: none.
    int64_t (*workspace)(const Kernel *k, DType *dt);
    // Into how many equal parts the sum over k of a product is cut, each a product of its own,
    // added up in rising order by a second kernel; it divides k. 1: one sum. NULL: always.
    int64_t (*parts)(const Kernel *k);
} Target;

#endif
