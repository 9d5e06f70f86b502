// Checks gradients against central differences: a case builds a tensor from inputs; the loss is its
// sum under random weights; every element of every float input is moved, in f64.
#ifndef CZT_TESTS_GRADCHECK_H
#define CZT_TESTS_GRADCHECK_H

#include "passes/pass.h"

typedef struct GradInput {
    const char *name;
    NodeId node;
    double lo, hi; // range of the values, drawn at random; of indices the range of integers
} GradInput;

typedef struct GradCase {
    Arena *arena;
    Diag *diag;
    Graph *g;
    VEC(GradInput) inputs;
} GradCase;

typedef NodeId GradBuild(GradCase *c);

// Batch size of the graphs that cases build.
enum { CASE_BATCH = 3 };

// An f32 input with values in [lo, hi); axes: {size, per}, ...
NodeId case_float(GradCase *c, double lo, double hi, uint32_t rank, const Axis *axes);
// An i32 input with values in [lo, hi).
NodeId case_int(GradCase *c, int64_t lo, int64_t hi, uint32_t rank, const Axis *axes);
#define SHAPE(...)                                                                                 \
    (uint32_t)(sizeof((Axis[]){__VA_ARGS__}) / sizeof(Axis)), (Axis[])                             \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define INTS(...)                                                                                  \
    (int64_t[])                                                                                    \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

// Compare all gradients after the given passes with differences; fails the Criterion test by name.
void check_gradient(const char *name, GradBuild *build, const char *passes);

// A deterministic number in [0, 1).
double case_random(uint64_t *state);
// An empty program on a fresh arena, batch CASE_BATCH.
Program *case_program(void);
// Run passes; prints diagnostics and fails the test when they fail.
void case_run(Program *p, const char *passes);

#endif
