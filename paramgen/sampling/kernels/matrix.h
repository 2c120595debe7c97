/* The matrix kernels of orthogonal.py, in double precision.

   Each element's sum runs over k in order, a multiply then an add (or subtract). Tiles, panels, threads and vectors only
   choose which elements are computed together. */

#ifndef PARAMGEN_MATRIX_H
#define PARAMGEN_MATRIX_H

#include "kernel.h"

/* PG_DEPTH keeps a packed strip in the first-level cache. PG_AHEAD covers the latency of the third-level cache. */
enum { PG_DEPTH = 132, PG_AHEAD = 16, PG_TILE = 264, PG_BLOCK_ROWS = 24, PG_MICRO_ROWS = 6, PG_WIDEST = 8 };

/* The size of the scratch memory for packed operands, in numbers. The caller provides it, because each new thread would
   have to page in its own. */
enum { PG_SCRATCH = 2 * PG_DEPTH * PG_TILE };

/* Add left[k, i]·right[k, j] to c[i, j], one k after another, for PG_MICRO_ROWS rows of two vectors. Then, unless the
   triangle t is NULL (it is upper, and PG_MICRO_ROWS wide), replace c by t⁻ᵀ·c. */
typedef void pg_micro_t(double *c, long c_step, const double *left, const double *right, long depth,
                        const double *triangle);

/* Pack panels of `width` numbers for each k: packed[i·PG_DEPTH + k·width + a] = sign·source[(i + a)·step + k·depth_step], for
   i in steps of `width`, with zeros where i + a is not below `count`. */
PG void pg_pack(double *packed, int width, double sign, const double *source, long step, long depth_step, int count,
                long depth)
{
    int whole = count - count % width;
    if (step == 1)
        for (long k = 0; k < depth; k++) {
            const double *row = source + k * depth_step, *next = k + PG_AHEAD < depth ? row + PG_AHEAD * depth_step : row;
            for (int i = 0; i < whole; i += width) {
                __builtin_prefetch(next + i, 0, 2);
                for (int a = 0; a < width; a++)
                    packed[i * PG_DEPTH + k * width + a] = sign * row[i + a];
            }
        }
    else
        for (int i = 0; i < whole; i += width)
            for (long k = 0; k < depth; k++)
                for (int a = 0; a < width; a++)
                    packed[i * PG_DEPTH + k * width + a] = sign * source[(i + a) * step + k * depth_step];
    if (whole < count)
        for (long k = 0; k < depth; k++)
            for (int a = 0; a < width; a++)
                packed[whole * PG_DEPTH + k * width + a] =
                    whole + a < count ? sign * source[(whole + a) * step + k * depth_step] : 0.0;
}

/* Add sign·left[k, i]·right[k, j] to c[i, j], one k after another, sign 1 or -1; c is at most PG_TILE × PG_TILE. With
   `upper`, entries below the diagonal of c are ignored. */
PG void pg_add_product(pg_micro_t *micro, int width, double *c, long c_step, const double *left, long left_step,
                       long left_depth_step, const double *right, long right_step, int rows, int columns, long depth,
                       double sign, int upper, double *scratch)
{
    double *packed_left = scratch, *packed_right = scratch + PG_DEPTH * PG_TILE;
    PG_ALIGNED double tile[PG_MICRO_ROWS * PG_WIDEST] = {0};
    for (long start = 0; start < depth; start += PG_DEPTH) {
        long here = depth - start < PG_DEPTH ? depth - start : PG_DEPTH;
        pg_pack(packed_left, PG_MICRO_ROWS, sign, left + start * left_depth_step, left_step, left_depth_step, rows,
                here);
        pg_pack(packed_right, width, 1.0, right + start * right_step, 1, right_step, columns, here);
        for (int i = 0; i < rows; i += PG_MICRO_ROWS)
            for (int j = 0; j < columns; j += width) {
                double *corner = c + i * c_step + j;
                const double *l = packed_left + i * PG_DEPTH, *r = packed_right + j * PG_DEPTH;
                int high = rows - i, wide = columns - j;
                if (upper && i >= j + width)
                    continue;
                if (high >= PG_MICRO_ROWS && wide >= width) {
                    micro(corner, c_step, l, r, here, NULL);
                    continue;
                }
                for (int a = 0; a < high && a < PG_MICRO_ROWS; a++)
                    for (int b = 0; b < wide && b < width; b++)
                        tile[a * width + b] = corner[a * c_step + b];
                micro(tile, width, l, r, here, NULL);
                for (int a = 0; a < high && a < PG_MICRO_ROWS; a++)
                    for (int b = 0; b < wide && b < width; b++)
                        corner[a * c_step + b] = tile[a * width + b];
            }
    }
}

/* Replace the upper triangle of a diagonal tile by its Cholesky factor r; `diagonal` is the tile's before add_product.
   Return 0 if an r[k, k]² is not above min_ratio·diagonal[k]. */
PG int pg_cholesky_tile(pg_micro_t *micro, int width, double *g, long step, const double *diagonal, int n,
                        double min_ratio, double *scratch)
{
    for (int start = 0; start < n; start += PG_BLOCK_ROWS) {
        int stop = start + PG_BLOCK_ROWS < n ? start + PG_BLOCK_ROWS : n;
        pg_add_product(micro, width, g + start * step + start, step, g + start, 1, step, g + start, step, stop - start,
                      n - start, start, -1.0, 1, scratch);
        for (int k = start; k < stop; k++) {
            double *row = g + k * step, rest = row[k];
            if (!(rest > min_ratio * diagonal[k]))
                return 0;
            double root = pg_sqrt64(rest);
            for (int j = k; j < n; j++)
                row[j] = j == k ? root : row[j] / root;
            for (int i = k + 1; i < stop; i++)
                for (int j = i; j < n; j++)
                    g[i * step + j] -= row[i] * row[j];
        }
    }
    return 1;
}

/* Replace x by r⁻ᵀ·x, for a tile r of n rows and n × count numbers x[k·k_step + j·j_step], two vectors of the j at a time.
   With exchanged steps, that is x·r⁻¹ of the transpose. */
PG void pg_solve_triangular(pg_micro_t *micro, int width, const double *r, long r_step, double *x, long k_step,
                            long j_step, int n, int count, double *scratch)
{
    PG_ALIGNED double panel[PG_TILE * PG_WIDEST];
    double triangles[PG_TILE * PG_MICRO_ROWS];
    for (int i = 0; i < n; i += PG_MICRO_ROWS) {
        int high = n - i < PG_MICRO_ROWS ? n - i : PG_MICRO_ROWS;
        pg_pack(scratch + i * PG_TILE, PG_MICRO_ROWS, -1.0, r + i, 1, r_step, high, i);
        for (int a = 0; a < PG_MICRO_ROWS; a++)
            for (int b = 0; b < PG_MICRO_ROWS; b++)
                triangles[(i + a) * PG_MICRO_ROWS + b] = a <= b && b < high ? r[(i + a) * r_step + i + b] : a == b;
    }
    for (int first = 0; first < count; first += width) {
        int wide = count - first < width ? count - first : width;
        double *corner = x + first * j_step;
        pg_pack(panel, width, 1.0, corner, j_step, k_step, wide, n);
        for (int k = n; k % PG_MICRO_ROWS; k++)
            for (int j = 0; j < width; j++)
                panel[k * width + j] = 0.0;
        for (int i = 0; i < n; i += PG_MICRO_ROWS)
            micro(panel + i * width, width, scratch + i * PG_TILE, panel, i, triangles + i * PG_MICRO_ROWS);
        for (int k = 0; k < n; k++)
            for (int j = 0; j < wide; j++)
                corner[k * k_step + j * j_step] = panel[k * width + j];
    }
}

/* Subtract v·(scale·vᵀa) from a, of m rows and n columns; sums run over the rows in order; `dot` is scratch memory. */
PG void pg_apply_reflector(double *a, long step, const double *v, double scale, long m, long n, double *dot)
{
    for (long j = 0; j < n; j++)
        dot[j] = 0.0;
    for (long i = 0; i < m; i++)
        for (long j = 0; j < n; j++)
            dot[j] += v[i] * a[i * step + j];
    for (long j = 0; j < n; j++)
        dot[j] *= scale;
    for (long i = 0; i < m; i++)
        for (long j = 0; j < n; j++)
            a[i * step + j] -= v[i] * dot[j];
}

#endif
