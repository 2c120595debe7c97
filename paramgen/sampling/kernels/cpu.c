/* The CPU kernels, built for each instruction set that the architecture has: one table, to choose from at run time. */

#include "loops.h"
#include "matrix.h"
#include "kernel_table.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "files are little-endian, and paramgen draws on little-endian machines only"
#endif

/* Words by VECTORS vectors of LANES blocks at a time: as many as the registers hold, since each of the rounds waits for the
   one before. MULTIPLY is as PG_PHILOX wants it; UNPACK stores the pairs (first, second) of each block in order. */
#define PG_DEFINE_WORDS(set, TARGET, LANES, VECTORS, MULTIPLY, UNPACK)                                                \
    typedef uint64_t pg_lanes_##set __attribute__((vector_size(8 * LANES)));                                          \
    TARGET static inline void pg_words_##set(const uint64_t *key, uint64_t stream, const uint64_t *block, int count,  \
                                             uint64_t *out)                                                           \
    {                                                                                                                 \
        pg_lanes_##set m0 = {0}, m1 = {0}, stream_low = {0}, stream_high = {0};                                       \
        m0 += PG_MULTIPLIER_0;                                                                                        \
        m1 += PG_MULTIPLIER_1;                                                                                        \
        stream_low += stream;                                                                                         \
        stream_high += stream >> 32;                                                                                  \
        for (int i = 0; i < count; i += VECTORS * LANES) {                                                            \
            pg_lanes_##set c0[VECTORS], c1[VECTORS], c2[VECTORS], c3[VECTORS];                                        \
            _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++) {                                               \
                memcpy(&c0[j], block + i + j * LANES, sizeof c0[j]);                                                  \
                c1[j] = c0[j] >> 32;                                                                                  \
                c2[j] = stream_low;                                                                                   \
                c3[j] = stream_high;                                                                                  \
            }                                                                                                         \
            _Pragma("GCC unroll 10") for (int r = 0; r < PG_ROUNDS; r++)                                              \
                _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++)                                             \
                    PG_PHILOX(pg_lanes_##set, MULTIPLY, key, r, m0, m1, c0[j], c1[j], c2[j], c3[j])                   \
            _Pragma("GCC unroll 4") for (int j = 0; j < VECTORS; j++) {                                               \
                c0[j] = (c0[j] & 0xFFFFFFFFu) | c1[j] << 32;                                                          \
                c2[j] = (c2[j] & 0xFFFFFFFFu) | c3[j] << 32;                                                          \
                UNPACK(out + 2 * (i + j * LANES), c0[j], c2[j]);                                                      \
            }                                                                                                         \
        }                                                                                                             \
    }

/* Whatever rounding and flushing of subnormals the thread is set to, here it is the default. */
#if defined(__x86_64__)
#include <immintrin.h>
#define PG_ENTER                                                                                                      \
    unsigned pg_mode = _mm_getcsr();                                                                                  \
    _mm_setcsr(0x1F80);
#define PG_LEAVE _mm_setcsr(pg_mode);
#elif defined(__aarch64__)
#define PG_ENTER                                                                                                      \
    uint64_t pg_mode;                                                                                                 \
    __asm__ volatile("mrs %0, fpcr\n\tmsr fpcr, xzr" : "=r"(pg_mode) : : "memory");
#define PG_LEAVE __asm__ volatile("msr fpcr, %0" : : "r"(pg_mode) : "memory");
#else
#define PG_ENTER
#define PG_LEAVE
#endif

/* The loops with the words of a set. */
#define PG_DEFINE_FILL(set, TARGET)                                                                                   \
    TARGET static __attribute__((noinline)) void pg_batch_##set(const pg_source *source, int dtype,                   \
                                                                const void *word, int count, void *out)               \
    {                                                                                                                 \
        pg_values(source, dtype, word, count, out);                                                                   \
    }                                                                                                                 \
    TARGET static void pg_fill_##set(int distribution, const double *n, int dtype, uint64_t seed, uint64_t stream,             \
                                     uint64_t start, uint64_t count, void *out)                                       \
    {                                                                                                                 \
        PG_ENTER                                                                                                      \
        pg_range(pg_words_##set, pg_batch_##set, distribution, n, dtype, seed, stream, start, count, out);                     \
        PG_LEAVE                                                                                                      \
    }                                                                                                                 \
    TARGET static void pg_fill_region_##set(int distribution, const double *n, int dtype, uint64_t seed, uint64_t stream,         \
                                         uint64_t first, const int64_t *sizes, const int64_t *strides,                \
                                         const int64_t *out_strides, void *out)                                            \
    {                                                                                                                 \
        PG_ENTER                                                                                                      \
        pg_region(pg_words_##set, pg_batch_##set, distribution, n, dtype, seed, stream, first, sizes, strides, out_strides, out);      \
        PG_LEAVE                                                                                                      \
    }

/* The matrix kernels, with tiles of PG_MICRO_ROWS × 2 vectors of LANES numbers in registers. */
#define PG_DEFINE_MATRIX(set, TARGET, LANES)                                                                          \
    typedef double pg_numbers_##set __attribute__((vector_size(8 * LANES), aligned(8), may_alias));                   \
    TARGET static __attribute__((noinline)) void pg_micro_##set(double *c, long c_step, const double *left,           \
                                                                const double *right, long depth,                      \
                                                                const double *triangle)                               \
    {                                                                                                                 \
        pg_numbers_##set sum[PG_MICRO_ROWS][2];                                                                       \
        _Pragma("GCC unroll 6") for (int i = 0; i < PG_MICRO_ROWS; i++) {                                             \
            sum[i][0] = *(pg_numbers_##set *)(c + i * c_step);                                                        \
            sum[i][1] = *(pg_numbers_##set *)(c + i * c_step + LANES);                                                \
        }                                                                                                             \
        for (; depth > 0; depth--, left += PG_MICRO_ROWS, right += 2 * LANES) {                                       \
            pg_numbers_##set first = *(const pg_numbers_##set *)right;                                                \
            pg_numbers_##set second = *(const pg_numbers_##set *)(right + LANES);                                     \
            _Pragma("GCC unroll 6") for (int i = 0; i < PG_MICRO_ROWS; i++) {                                         \
                sum[i][0] += left[i] * first;                                                                         \
                sum[i][1] += left[i] * second;                                                                        \
            }                                                                                                         \
        }                                                                                                             \
        if (triangle)                                                                                                 \
            _Pragma("GCC unroll 6") for (int k = 0; k < PG_MICRO_ROWS; k++, triangle += PG_MICRO_ROWS) {              \
                sum[k][0] /= triangle[k];                                                                             \
                sum[k][1] /= triangle[k];                                                                             \
                _Pragma("GCC unroll 6") for (int i = k + 1; i < PG_MICRO_ROWS; i++) {                                 \
                    sum[i][0] -= triangle[i] * sum[k][0];                                                             \
                    sum[i][1] -= triangle[i] * sum[k][1];                                                             \
                }                                                                                                     \
            }                                                                                                         \
        _Pragma("GCC unroll 6") for (int i = 0; i < PG_MICRO_ROWS; i++) {                                             \
            *(pg_numbers_##set *)(c + i * c_step) = sum[i][0];                                                        \
            *(pg_numbers_##set *)(c + i * c_step + LANES) = sum[i][1];                                                \
        }                                                                                                             \
    }                                                                                                                 \
    TARGET static void pg_accumulate_##set(double *c, long c_step, const double *left, long left_step,                \
                                           long left_depth_step, const double *right, long right_step, int rows,      \
                                           int columns, long depth, double sign, int upper, double *scratch)             \
    {                                                                                                                 \
        PG_ENTER                                                                                                      \
        pg_accumulate(pg_micro_##set, 2 * LANES, c, c_step, left, left_step, left_depth_step, right, right_step,      \
                      rows, columns, depth, sign, upper, scratch);                                                       \
        PG_LEAVE                                                                                                      \
    }                                                                                                                 \
    TARGET static int pg_factor_##set(double *g, long step, const double *diagonal, int n, double min_ratio,          \
                                      double *scratch)                                                                   \
    {                                                                                                                 \
        PG_ENTER                                                                                                      \
        int found = pg_factor(pg_micro_##set, 2 * LANES, g, step, diagonal, n, min_ratio, scratch);                      \
        PG_LEAVE                                                                                                      \
        return found;                                                                                                 \
    }                                                                                                                 \
    TARGET static void pg_solve_##set(const double *r, long r_step, double *x, long k_step, long j_step, int n,       \
                                      int count, double *scratch)                                                        \
    {                                                                                                                 \
        PG_ENTER                                                                                                      \
        pg_solve(pg_micro_##set, 2 * LANES, r, r_step, x, k_step, j_step, n, count, scratch);                            \
        PG_LEAVE                                                                                                      \
    }                                                                                                                 \
    TARGET static void pg_reflect_##set(double *a, long step, const double *v, double factor, long m, long n,         \
                                        double *dot)                                                                  \
    {                                                                                                                 \
        PG_ENTER                                                                                                      \
        pg_reflect(a, step, v, factor, m, n, dot);                                                                    \
        PG_LEAVE                                                                                                      \
    }

#define PG_ENTRY(set, available, matrix)                                                                              \
    {#set,                                                                                                            \
     available,                                                                                                       \
     pg_fill_##set,                                                                                                   \
     pg_fill_region_##set,                                                                                               \
     pg_accumulate_##matrix,                                                                                          \
     pg_factor_##matrix,                                                                                              \
     pg_solve_##matrix,                                                                                               \
     pg_reflect_##matrix}

static int pg_always(void) { return 1; }

static void pg_words_portable(const uint64_t *key, uint64_t stream, const uint64_t *block, int count, uint64_t *out)
{
    for (int i = 0; i < count; i++)
        pg_block(key, stream, block[i], out + 2 * i, out + 2 * i + 1);
}
PG_DEFINE_FILL(portable, )
PG_DEFINE_MATRIX(portable, , 2)

#if defined(__x86_64__)
#define PG_TARGET_AVX2 __attribute__((target("avx2")))
#ifdef __clang__
#define PG_TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), min_vector_width(512)))
#else
#define PG_TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#endif
#define PG_MULTIPLY_BASELINE(a, b) ((pg_lanes_baseline)_mm_mul_epu32((__m128i)(a), (__m128i)(b)))
#define PG_MULTIPLY_AVX2(a, b) ((pg_lanes_avx2)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))
#define PG_MULTIPLY_AVX512(a, b) ((pg_lanes_avx512)_mm512_mul_epu32((__m512i)(a), (__m512i)(b)))

#define PG_UNPACK_BASELINE(out, first, second)                                                                        \
    _mm_storeu_si128((__m128i *)(out), _mm_unpacklo_epi64((__m128i)(first), (__m128i)(second)));                      \
    _mm_storeu_si128((__m128i *)(out) + 1, _mm_unpackhi_epi64((__m128i)(first), (__m128i)(second)))
#define PG_UNPACK_AVX2(out, first, second)                                                                            \
    __m256i even = _mm256_unpacklo_epi64((__m256i)(first), (__m256i)(second));                                        \
    __m256i odd = _mm256_unpackhi_epi64((__m256i)(first), (__m256i)(second));                                         \
    _mm256_storeu_si256((__m256i *)(out), _mm256_permute2x128_si256(even, odd, 0x20));                                \
    _mm256_storeu_si256((__m256i *)(out) + 1, _mm256_permute2x128_si256(even, odd, 0x31))
#define PG_UNPACK_AVX512(out, first, second)                                                                          \
    __m512i low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);  \
    _mm512_storeu_si512(out, _mm512_permutex2var_epi64((__m512i)(first), low, (__m512i)(second)));                    \
    _mm512_storeu_si512((out) + 8, _mm512_permutex2var_epi64((__m512i)(first), high, (__m512i)(second)))

PG_DEFINE_WORDS(baseline, , 2, 4, PG_MULTIPLY_BASELINE, PG_UNPACK_BASELINE)
PG_DEFINE_FILL(baseline, )
PG_DEFINE_WORDS(avx2, PG_TARGET_AVX2, 4, 2, PG_MULTIPLY_AVX2, PG_UNPACK_AVX2)
PG_DEFINE_FILL(avx2, PG_TARGET_AVX2)
PG_DEFINE_MATRIX(avx2, PG_TARGET_AVX2, 4)
PG_DEFINE_WORDS(avx512, PG_TARGET_AVX512, 8, 4, PG_MULTIPLY_AVX512, PG_UNPACK_AVX512)
PG_DEFINE_FILL(avx512, PG_TARGET_AVX512)

static int pg_has_avx2(void) { return !!__builtin_cpu_supports("avx2"); }
static int pg_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

/* The last that is available is the fastest. Matrix tiles in wider vectors than AVX2's were measured to be slower. */
static const pg_kernels pg_kernel_sets[] = {
    PG_ENTRY(portable, pg_always, portable),
#if defined(__x86_64__)
    PG_ENTRY(baseline, pg_always, portable),
    PG_ENTRY(avx2, pg_has_avx2, avx2),
    PG_ENTRY(avx512, pg_has_avx512, avx2),
#endif
};
enum { PG_KERNEL_SETS = sizeof pg_kernel_sets / sizeof *pg_kernel_sets };
