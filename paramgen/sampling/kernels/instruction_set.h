/* The kernels of one instruction set: a template that cpu.c includes once per set, after defining

   PG_SET               the suffix of their names
   PG_TARGET            the attribute that enables the instructions
   PG_WORD_LANES        blocks in a vector of words; 0: no vectors
   PG_WORD_VECTORS      vectors of words computed at once, as many as fit in registers, because each round of Philox waits
                        for the one before
   PG_MULTIPLY_LANES    the product that PG_PHILOX needs, of vectors
   PG_UNPACK            store the pairs (first, second) of each block in order
   PG_MATRIX_LANES      numbers in a vector of a matrix; 0: no matrix kernels. */

#define PG_JOIN(name, set) name##_##set
#define PG_EXPAND(name, set) PG_JOIN(name, set)
#define PG_NAME(name) PG_EXPAND(name, PG_SET)

#if PG_WORD_LANES
typedef uint64_t PG_NAME(pg_word_vector) __attribute__((vector_size(8 * PG_WORD_LANES)));

PG_TARGET static inline void PG_NAME(pg_draw_words)(const uint64_t *key, uint64_t stream, const uint64_t *block,
                                                    int count, uint64_t *out)
{
    PG_NAME(pg_word_vector) m0 = {0}, m1 = {0}, stream_low = {0}, stream_high = {0};
    m0 += PG_MULTIPLIER_0;
    m1 += PG_MULTIPLIER_1;
    stream_low += stream;
    stream_high += stream >> 32;
    for (int i = 0; i < count; i += PG_WORD_VECTORS * PG_WORD_LANES) {
        PG_NAME(pg_word_vector) c0[PG_WORD_VECTORS], c1[PG_WORD_VECTORS], c2[PG_WORD_VECTORS], c3[PG_WORD_VECTORS];
        _Pragma("GCC unroll 4") for (int j = 0; j < PG_WORD_VECTORS; j++) {
            memcpy(&c0[j], block + i + j * PG_WORD_LANES, sizeof c0[j]);
            c1[j] = c0[j] >> 32;
            c2[j] = stream_low;
            c3[j] = stream_high;
        }
        _Pragma("GCC unroll 10") for (int r = 0; r < PG_ROUNDS; r++)
            _Pragma("GCC unroll 4") for (int j = 0; j < PG_WORD_VECTORS; j++)
                PG_PHILOX(PG_NAME(pg_word_vector), PG_MULTIPLY_LANES, key, r, m0, m1, c0[j], c1[j], c2[j], c3[j])
        _Pragma("GCC unroll 4") for (int j = 0; j < PG_WORD_VECTORS; j++) {
            c0[j] = (c0[j] & 0xFFFFFFFFu) | c1[j] << 32;
            c2[j] = (c2[j] & 0xFFFFFFFFu) | c3[j] << 32;
            PG_UNPACK(out + 2 * (i + j * PG_WORD_LANES), c0[j], c2[j]);
        }
    }
}
#else
static void PG_NAME(pg_draw_words)(const uint64_t *key, uint64_t stream, const uint64_t *block, int count, uint64_t *out)
{
    for (int i = 0; i < count; i++)
        pg_block(key, stream, block[i], out + 2 * i, out + 2 * i + 1);
}
#endif

PG_TARGET static __attribute__((noinline)) void PG_NAME(pg_draw_batch)(const pg_source_t *source, int dtype,
                                                                       const void *word, int count, void *out)
{
    pg_compute_values(source, dtype, word, count, out);
}

PG_TARGET static void PG_NAME(pg_fill)(int distribution, const double *numbers, int dtype, uint64_t seed,
                                       uint64_t stream, uint64_t start, uint64_t count, void *out)
{
    pg_draw_range(PG_NAME(pg_draw_words), PG_NAME(pg_draw_batch), distribution, numbers, dtype, seed, stream, start,
                  count, out);
}

PG_TARGET static void PG_NAME(pg_fill_region)(int distribution, const double *numbers, int dtype, uint64_t seed,
                                              uint64_t stream, uint64_t offset, const int64_t *sizes,
                                              const int64_t *strides, const int64_t *out_strides, void *out)
{
    pg_draw_region(PG_NAME(pg_draw_words), PG_NAME(pg_draw_batch), distribution, numbers, dtype, seed, stream, offset,
                   sizes, strides, out_strides, out);
}

#if PG_MATRIX_LANES
typedef double PG_NAME(pg_number_vector) __attribute__((vector_size(8 * PG_MATRIX_LANES), aligned(8), may_alias));

/* A tile of PG_MICRO_ROWS × 2 vectors stays in registers. */
PG_TARGET static __attribute__((noinline)) void PG_NAME(pg_micro)(double *c, long c_step, const double *left,
                                                                  const double *right, long depth,
                                                                  const double *triangle)
{
    PG_NAME(pg_number_vector) sum[PG_MICRO_ROWS][2];
    _Pragma("GCC unroll 6") for (int i = 0; i < PG_MICRO_ROWS; i++) {
        sum[i][0] = *(PG_NAME(pg_number_vector) *)(c + i * c_step);
        sum[i][1] = *(PG_NAME(pg_number_vector) *)(c + i * c_step + PG_MATRIX_LANES);
    }
    for (; depth > 0; depth--, left += PG_MICRO_ROWS, right += 2 * PG_MATRIX_LANES) {
        PG_NAME(pg_number_vector) first = *(const PG_NAME(pg_number_vector) *)right;
        PG_NAME(pg_number_vector) second = *(const PG_NAME(pg_number_vector) *)(right + PG_MATRIX_LANES);
        _Pragma("GCC unroll 6") for (int i = 0; i < PG_MICRO_ROWS; i++) {
            sum[i][0] += left[i] * first;
            sum[i][1] += left[i] * second;
        }
    }
    if (triangle)
        _Pragma("GCC unroll 6") for (int k = 0; k < PG_MICRO_ROWS; k++, triangle += PG_MICRO_ROWS) {
            sum[k][0] /= triangle[k];
            sum[k][1] /= triangle[k];
            _Pragma("GCC unroll 6") for (int i = k + 1; i < PG_MICRO_ROWS; i++) {
                sum[i][0] -= triangle[i] * sum[k][0];
                sum[i][1] -= triangle[i] * sum[k][1];
            }
        }
    _Pragma("GCC unroll 6") for (int i = 0; i < PG_MICRO_ROWS; i++) {
        *(PG_NAME(pg_number_vector) *)(c + i * c_step) = sum[i][0];
        *(PG_NAME(pg_number_vector) *)(c + i * c_step + PG_MATRIX_LANES) = sum[i][1];
    }
}

PG_TARGET static void PG_NAME(pg_add_product)(double *c, long c_step, const double *left, long left_step,
                                              long left_depth_step, const double *right, long right_step, int rows,
                                              int columns, long depth, double sign, int upper, double *scratch)
{
    pg_add_product(PG_NAME(pg_micro), 2 * PG_MATRIX_LANES, c, c_step, left, left_step, left_depth_step, right,
                   right_step, rows, columns, depth, sign, upper, scratch);
}

PG_TARGET static int PG_NAME(pg_cholesky_tile)(double *g, long step, const double *diagonal, int n, double min_ratio,
                                               double *scratch)
{
    return pg_cholesky_tile(PG_NAME(pg_micro), 2 * PG_MATRIX_LANES, g, step, diagonal, n, min_ratio, scratch);
}

PG_TARGET static void PG_NAME(pg_solve_triangular)(const double *r, long r_step, double *x, long k_step, long j_step,
                                                   int n, int count, double *scratch)
{
    pg_solve_triangular(PG_NAME(pg_micro), 2 * PG_MATRIX_LANES, r, r_step, x, k_step, j_step, n, count, scratch);
}

PG_TARGET static void PG_NAME(pg_apply_reflector)(double *a, long step, const double *v, double scale, long m, long n,
                                                  double *dot)
{
    pg_apply_reflector(a, step, v, scale, m, n, dot);
}
#endif

#undef PG_JOIN
#undef PG_EXPAND
#undef PG_NAME
#undef PG_SET
#undef PG_TARGET
#undef PG_WORD_LANES
#undef PG_WORD_VECTORS
#undef PG_MULTIPLY_LANES
#undef PG_UNPACK
#undef PG_MATRIX_LANES
