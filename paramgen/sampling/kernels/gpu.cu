/* The GPU's kernels around kernel.h, for NVRTC. If PG_DISTRIBUTION, PG_DTYPE and PG_ELEMENT (its C type) are defined, they
   draw that distribution in that dtype; else they are the kernels of matrices.

   Indices have 64 bits. Each matrix element's sum runs over k in order, a multiply then an add (or subtract), as in
   matrix.h. Tiles, blocks and threads only choose which elements are computed together. */

#include "kernel.h"

enum { PG_THREADS = 256 };

#ifdef __CUDACC_RTC__
#define PG_KERNEL extern "C" __global__ void __launch_bounds__(PG_THREADS)
#define PG_SHARED __shared__
#define PG_BARRIER __syncthreads()
#endif
#define PG_THREAD (blockIdx.x * (uint64_t)blockDim.x + threadIdx.x)
#define PG_GRID (gridDim.x * (uint64_t)blockDim.x)

enum { PG_AXES = 4 };

/* For i below the sizes, element offset + Σ i·strides goes to out[Σ i·out_strides]. */
typedef struct {
    int64_t offset, sizes[PG_AXES], strides[PG_AXES], out_strides[PG_AXES];
} pg_region_t;

PG uint64_t pg_region_size(const pg_region_t *region)
{
    uint64_t size = 1;
    for (int axis = 0; axis < PG_AXES; axis++)
        size *= (uint64_t)region->sizes[axis];
    return size;
}

/* Find element number e of a region, the last axis fastest, in its source and in the output. */
PG void pg_locate(const pg_region_t *region, uint64_t e, int64_t *element, int64_t *position)
{
    *element = region->offset;
    *position = 0;
    for (int axis = PG_AXES - 1; axis >= 0; axis--) {
        int64_t i = (int64_t)(e % (uint64_t)region->sizes[axis]);
        *element += i * region->strides[axis];
        *position += i * region->out_strides[axis];
        e /= (uint64_t)region->sizes[axis];
    }
}

#ifdef PG_DISTRIBUTION

typedef struct {
    double numbers[PG_NUMBERS];
} pg_numbers_t;

enum { PG_PER_BLOCK = sizeof(PG_ELEMENT) == 8 ? 2 : 4 };
typedef struct __attribute__((aligned(PG_PER_BLOCK * sizeof(PG_ELEMENT)))) {
    PG_ELEMENT at[PG_PER_BLOCK];
} pg_block_values_t;

/* Return element i of those that a block of random words makes, which is number `element` of the stream. */
PG PG_ELEMENT pg_element(const double *numbers, const uint64_t pair[2], int i, uint64_t element)
{
    uint64_t wide = pair[i & 1];
    uint32_t word = (uint32_t)(pair[i / 2] >> 32 * (i % 2));
    PG_ELEMENT value;
    if (PG_DISTRIBUTION == PG_SINUSOIDAL) {
        if (PG_DTYPE == PG_FLOAT64)
            return (PG_ELEMENT)pg_sinusoidal(numbers, element);
        pg_store(PG_DTYPE, &value, 0, (float)pg_sinusoidal(numbers, element));
        return value;
    }
    if (PG_IS_INTEGER(PG_DTYPE))
        return (PG_ELEMENT)(PG_IS_WIDE(PG_DTYPE) ? pg_integer64(PG_DISTRIBUTION, numbers, wide)
                                                 : pg_integer32(PG_DISTRIBUTION, numbers, word));
    if (PG_DTYPE == PG_COMPLEX64)
        return (PG_ELEMENT)pg_complex64(PG_DISTRIBUTION, numbers, wide);
    if (PG_DTYPE == PG_FLOAT64)
        return (PG_ELEMENT)pg_value64(PG_DISTRIBUTION, numbers, wide);
    pg_store(PG_DTYPE, &value, 0, pg_value32(PG_DISTRIBUTION, numbers, word));
    return value;
}

/* Draw elements start … start + count - 1 of a stream. A thread draws all values of a block of random words, and stores
   them at once, except at the ends of the range. */
PG_KERNEL pg_draw(pg_numbers_t distribution, uint64_t seed, uint64_t stream, uint64_t start, uint64_t count,
                  PG_ELEMENT *out)
{
    const double *numbers = distribution.numbers;
    uint64_t key[2 * PG_ROUNDS], skipped = start % PG_PER_BLOCK, end = skipped + count, first = start / PG_PER_BLOCK;
    PG_ELEMENT *origin = out - skipped;
    int aligned = (uint64_t)origin % sizeof(pg_block_values_t) == 0;
    pg_keys(seed, key);
    for (uint64_t block = PG_THREAD; block * PG_PER_BLOCK < end; block += PG_GRID) {
        uint64_t pair[2], at = block * PG_PER_BLOCK;
        pg_block_values_t values;
        pg_block(key, stream, first + block, &pair[0], &pair[1]);
        for (int i = 0; i < PG_PER_BLOCK; i++)
            values.at[i] = pg_element(numbers, pair, i, (first + block) * PG_PER_BLOCK + (uint64_t)i);
        if (aligned && at >= skipped && at + PG_PER_BLOCK <= end)
            *(pg_block_values_t *)(origin + at) = values;
        else
            for (int i = 0; i < PG_PER_BLOCK; i++)
                if (at + i >= skipped && at + i < end)
                    origin[at + i] = values.at[i];
    }
}

/* Draw a region of a stream; a thread draws one element after another. */
PG_KERNEL pg_draw_region(pg_numbers_t distribution, uint64_t seed, uint64_t stream, pg_region_t region,
                         PG_ELEMENT *out)
{
    const double *numbers = distribution.numbers;
    uint64_t key[2 * PG_ROUNDS], count = pg_region_size(&region);
    pg_keys(seed, key);
    for (uint64_t e = PG_THREAD; e < count; e += PG_GRID) {
        int64_t element, position;
        pg_locate(&region, e, &element, &position);
        uint64_t pair[2];
        pg_block(key, stream, (uint64_t)element / PG_PER_BLOCK, &pair[0], &pair[1]);
        out[position] = pg_element(numbers, pair, (int)(element % PG_PER_BLOCK), (uint64_t)element);
    }
}

#else

PG void pg_copy(int width, const void *source, int64_t element, void *out, int64_t position)
{
    switch (width) {
    case 8: ((uint64_t *)out)[position] = ((const uint64_t *)source)[element]; break;
    case 4: ((uint32_t *)out)[position] = ((const uint32_t *)source)[element]; break;
    case 2: ((uint16_t *)out)[position] = ((const uint16_t *)source)[element]; break;
    default: ((uint8_t *)out)[position] = ((const uint8_t *)source)[element];
    }
}

/* Copy a region of an array, whose elements are `width` bytes wide. */
PG_KERNEL pg_copy_region(const void *source, int width, pg_region_t region, void *out)
{
    uint64_t count = pg_region_size(&region);
    for (uint64_t e = PG_THREAD; e < count; e += PG_GRID) {
        int64_t element, position;
        pg_locate(&region, e, &element, &position);
        pg_copy(width, source, element, out, position);
    }
}

/* Copy a region of the array whose element i is element (i / run) mod `length` of a table. */
PG_KERNEL pg_fill_region_from_table(const void *table, uint64_t run, uint64_t length, int width, pg_region_t region,
                                    void *out)
{
    uint64_t count = pg_region_size(&region);
    for (uint64_t e = PG_THREAD; e < count; e += PG_GRID) {
        int64_t element, position;
        pg_locate(&region, e, &element, &position);
        pg_copy(width, table, (int64_t)((uint64_t)element / run % length), out, position);
    }
}

/* Element (i, j) of a matrix is number i·row_step + j·column_step. */
typedef struct {
    int64_t rows, columns, row_step, column_step;
} pg_layout_t;

/* PG_SIDE is the side of a tile; in pg_add_product each thread of a tile has PG_PER_THREAD² elements. */
enum { PG_SIDE = 64, PG_PER_THREAD = 4, PG_DEPTH_SLICE = 16, PG_PANEL = 16, PG_THREADS_ACROSS = PG_SIDE / PG_PER_THREAD };

/* Add sign·left[k, i]·right[k, j] to c[i, j], one k after another, sign 1 or -1; each block has a tile of c. With `upper`,
   entries below the diagonal of c are ignored. */
PG_KERNEL pg_add_product(double *c, pg_layout_t of_c, const double *left, pg_layout_t of_left, const double *right,
                         pg_layout_t of_right, double sign, int upper)
{
    int64_t rows = of_c.rows, columns = of_c.columns, depth = of_left.rows;
    PG_SHARED double l[PG_DEPTH_SLICE][PG_SIDE + 1], r[PG_DEPTH_SLICE][PG_SIDE + 1];
    int64_t across = (columns + PG_SIDE - 1) / PG_SIDE;
    int64_t top = blockIdx.x / across * PG_SIDE, side = blockIdx.x % across * PG_SIDE;
    int t = (int)threadIdx.x, x = t % PG_THREADS_ACROSS, y = t / PG_THREADS_ACROSS;
    double sum[PG_PER_THREAD][PG_PER_THREAD];
    if (upper && top >= side + PG_SIDE)
        return;
    for (int a = 0; a < PG_PER_THREAD; a++)
        for (int b = 0; b < PG_PER_THREAD; b++) {
            int64_t i = top + y + a * PG_THREADS_ACROSS, j = side + x + b * PG_THREADS_ACROSS;
            sum[a][b] = i < rows && j < columns ? c[i * of_c.row_step + j] : 0.0;
        }
    for (int64_t start = 0; start < depth; start += PG_DEPTH_SLICE) {
        int here = depth - start < PG_DEPTH_SLICE ? (int)(depth - start) : PG_DEPTH_SLICE;
        PG_BARRIER;
        for (int e = t; e < PG_DEPTH_SLICE * PG_SIDE; e += PG_THREADS) {
            /* Neighbouring threads read neighbouring numbers. */
            int down = of_left.row_step == 1;
            int k = down ? e % PG_DEPTH_SLICE : e / PG_SIDE, i = down ? e / PG_DEPTH_SLICE : e % PG_SIDE;
            if (k < here && top + i < rows)
                l[k][i] = sign * left[(start + k) * of_left.row_step + (top + i) * of_left.column_step];
            k = e / PG_SIDE, i = e % PG_SIDE;
            if (k < here && side + i < columns)
                r[k][i] = right[(start + k) * of_right.row_step + side + i];
        }
        PG_BARRIER;
        for (int k = 0; k < here; k++) {
            double p[PG_PER_THREAD], q[PG_PER_THREAD];
            for (int a = 0; a < PG_PER_THREAD; a++) {
                p[a] = l[k][y + a * PG_THREADS_ACROSS];
                q[a] = r[k][x + a * PG_THREADS_ACROSS];
            }
            for (int a = 0; a < PG_PER_THREAD; a++)
                for (int b = 0; b < PG_PER_THREAD; b++)
                    sum[a][b] += p[a] * q[b];
        }
    }
    for (int a = 0; a < PG_PER_THREAD; a++)
        for (int b = 0; b < PG_PER_THREAD; b++) {
            int64_t i = top + y + a * PG_THREADS_ACROSS, j = side + x + b * PG_THREADS_ACROSS;
            if (i < rows && j < columns)
                c[i * of_c.row_step + j] = sum[a][b];
        }
}

/* Replace the upper triangle of a diagonal tile by its Cholesky factor r, in one block; `diagonal` is the tile's before
   add_product. Set *succeeded to 0 if an r[k, k]² is not above min_ratio·diagonal[k], else to 1. */
PG_KERNEL pg_cholesky_tile(double *g, pg_layout_t of_g, const double *diagonal, double min_ratio, int *succeeded)
{
    int64_t step = of_g.row_step;
    int n = (int)of_g.rows;
    PG_SHARED double a[PG_SIDE][PG_SIDE];
    int x = (int)threadIdx.x % PG_SIDE, y = (int)threadIdx.x / PG_SIDE, high = PG_THREADS / PG_SIDE;
    for (int i = y; i < n; i += high)
        if (x >= i && x < n)
            a[i][x] = g[i * step + x];
    PG_BARRIER;
    for (int k = 0; k < n; k++) {
        double rest = a[k][k], pivot = pg_sqrt64(rest);
        if (!(rest > min_ratio * diagonal[k])) {
            *succeeded = 0;
            return;
        }
        PG_BARRIER;
        if (y == 0 && x >= k && x < n)
            a[k][x] = x > k ? a[k][x] / pivot : pivot;
        PG_BARRIER;
        for (int i = k + 1 + y; i < n; i += high)
            if (x >= i && x < n)
                a[i][x] -= a[k][i] * a[k][x];
        PG_BARRIER;
    }
    for (int i = y; i < n; i += high)
        if (x >= i && x < n)
            g[i * step + x] = a[i][x];
    *succeeded = 1;
}

/* Replace x by r⁻ᵀ·x, for a tile r; a block has PG_PANEL columns of x. */
PG_KERNEL pg_solve_triangular(const double *r, pg_layout_t of_r, double *x, pg_layout_t of_x)
{
    int64_t count = of_x.columns, k_step = of_x.row_step, j_step = of_x.column_step;
    int n = (int)of_x.rows;
    PG_SHARED double a[PG_SIDE][PG_SIDE], panel[PG_SIDE][PG_PANEL + 1];
    int t = (int)threadIdx.x, column = t % PG_PANEL, first = t / PG_PANEL;
    int64_t side = blockIdx.x * (int64_t)PG_PANEL;
    int contiguous = k_step == 1;
    for (int e = t; e < PG_SIDE * PG_SIDE; e += PG_THREADS)
        if (e / PG_SIDE <= e % PG_SIDE && e % PG_SIDE < n)
            a[e / PG_SIDE][e % PG_SIDE] = r[e / PG_SIDE * of_r.row_step + e % PG_SIDE];
    for (int e = t; e < PG_SIDE * PG_PANEL; e += PG_THREADS) {
        int k = contiguous ? e % PG_SIDE : e / PG_PANEL, j = contiguous ? e / PG_SIDE : e % PG_PANEL;
        if (k < n && side + j < count)
            panel[k][j] = x[k * k_step + (side + j) * j_step];
    }
    PG_BARRIER;
    for (int k = 0; k < n; k++) {
        if (first == 0 && side + column < count)
            panel[k][column] /= a[k][k];
        PG_BARRIER;
        for (int i = k + 1 + first; i < n; i += PG_THREADS / PG_PANEL)
            if (side + column < count)
                panel[i][column] -= a[k][i] * panel[k][column];
        PG_BARRIER;
    }
    for (int e = t; e < PG_SIDE * PG_PANEL; e += PG_THREADS) {
        int k = contiguous ? e % PG_SIDE : e / PG_PANEL, j = contiguous ? e / PG_SIDE : e % PG_PANEL;
        if (k < n && side + j < count)
            x[k * k_step + (side + j) * j_step] = panel[k][j];
    }
}

/* Draw standard normal values from element `start` of a stream into a matrix, of 32-bit or (wide) 64-bit words. */
PG_KERNEL pg_fill_normal(uint64_t seed, uint64_t stream, uint64_t start, int wide, double *z, pg_layout_t of_z)
{
    const double numbers[] = {0.0, 1.0};
    uint64_t key[2 * PG_ROUNDS], per_block = wide ? 2 : 4, skipped = start % per_block;
    uint64_t end = skipped + (uint64_t)(of_z.rows * of_z.columns);
    pg_keys(seed, key);
    for (uint64_t block = PG_THREAD; block * per_block < end; block += PG_GRID) {
        uint64_t pair[2], at = block * per_block;
        pg_block(key, stream, start / per_block + block, &pair[0], &pair[1]);
        for (uint64_t i = 0; i < per_block; i++) {
            int64_t element = (int64_t)(at + i - skipped);
            if (at + i < skipped || at + i >= end)
                continue;
            z[element / of_z.columns * of_z.row_step + element % of_z.columns * of_z.column_step] =
                wide ? pg_value64(PG_NORMAL, numbers, pair[i & 1])
                     : (double)pg_value32(PG_NORMAL, numbers, (uint32_t)(pair[i / 2] >> 32 * (i % 2)));
        }
    }
}

/* Store gain·q in C order, in float64, or rounded to float32 and then to the dtype. */
PG_KERNEL pg_store_scaled(const double *q, pg_layout_t of_q, double gain, int dtype, void *out)
{
    for (uint64_t e = PG_THREAD; e < (uint64_t)(of_q.rows * of_q.columns); e += PG_GRID) {
        int64_t i = (int64_t)e / of_q.columns, j = (int64_t)e % of_q.columns;
        double value = gain * q[i * of_q.row_step + j * of_q.column_step];
        if (dtype == PG_FLOAT64)
            ((double *)out)[e] = value;
        else
            pg_store(dtype, out, e, (float)value);
    }
}

#endif
