// Inside of the loop kernels of the CUDA target: cuda_loop.c chooses the form, the others write it.
#ifndef CZT_CODEGEN_CUDA_LOOP_H
#define CZT_CODEGEN_CUDA_LOOP_H

#include "codegen/cuda_emit.h"

enum { BLOCK = 256, WARP = 32 };

// Sizes that are numbers in a table's row rather than in the text (cuda_flat.c).
typedef struct Flat {
    bool on;
    const bool *both; // by load: at the point and the reduced element, in the layout of the form
} Flat;

typedef struct CudaLoop {
    CudaText *t;
    const Kernel *k;
    const KernelBody *body; // the kernel's, or flat
    Sweeps s;
    int64_t rows; // outer points
    Flat flat;
} CudaLoop;

// ---- helpers (cuda_loop.c)

int64_t loop_axis_size(const CudaLoop *l, uint32_t axis);
int64_t loop_blocks(int64_t n, int64_t each);
// "int", or "long long" where n points and a grid's rest do not fit.
const char *loop_point_type(int64_t n);
// Declare the outer axes from the flattened outer point.
void loop_outer_axes(CudaLoop *l, const char *point);
// Name an axis a0, a1, .. from here on; gives the name.
const char *loop_axis(CudaLoop *l, uint32_t axis);
// The reductions of a sweep; `out` has room for all.
uint32_t loop_reductions(const CudaLoop *l, uint32_t sweep, Reduction *out);
// Is the plain store done inside (or after) its row once `sweep` sweeps are over?
bool loop_store_now(const CudaLoop *l, const KernelStore *s, uint32_t sweep, bool inside);
// Values of the plain stores ready after `sweep` sweeps, then the stores: one may change what
// another loads.
void loop_stores(CudaLoop *l, uint32_t sweep, bool inside);
const KernelStore *loop_column(const CudaLoop *l, uint32_t c);
DType loop_column_dtype(const CudaLoop *l, uint32_t c);
// first and last: the rows of the block's task.
void loop_open_task(CudaLoop *l);

// ---- several elements at once (cuda_vector.c)

// May `width` elements from a multiple of `width` on along the axis be moved at once: do they lie
// side by side, the first at a multiple of `width`?
bool vector_fits(const CudaLoop *l, IndexId index, uint32_t axis, uint32_t width);
// Does the index change along the axis?
bool vector_depends(const CudaLoop *l, IndexId index, uint32_t axis);
bool vector_fits_load(const CudaLoop *l, const KernelInstr *in, uint32_t axis, uint32_t width);
// Of loads that change along the axis: how many fit `width`.
uint32_t vector_loads(const CudaLoop *l, uint32_t axis, uint32_t width);
// Declare "x3" (with `many`: fill x3[u]) for load 3 and have values read element `each` of it. The
// axis' value is that of the first element. `left` elements are there; NULL: all.
void vector_load(CudaLoop *l, uint32_t instr, uint32_t width, const char *many, const char *left);
void vector_use(CudaLoop *l, uint32_t instr, const char *many, const char *each);
void vector_forget(CudaLoop *l);
// Declare "y2" for store 2, put its value there, write it.
void vector_declare(CudaLoop *l, uint32_t store, uint32_t width);
void vector_put(CudaLoop *l, uint32_t store, const char *each);
void vector_store(CudaLoop *l, uint32_t store, uint32_t width, const char *left);

// ---- forms

void cuda_points(CudaLoop *l, CudaLaunch *launch);  // cuda_point.c
void cuda_columns(CudaLoop *l, CudaLaunch *launch); // the same with sums over the outer axes
void cuda_rows(CudaLoop *l, CudaLaunch *launch);    // cuda_row.c
void cuda_middle(CudaLoop *l, CudaLaunch *launch);  // cuda_middle.c

// Where every access is at the same point, make the body one of run-time sizes (cuda_flat.c).
void flat_try(CudaLoop *l);

#endif
