/* The CPU kernels, compiled for each instruction set of the architecture, and the table to choose from at run time. */

#include "loops.h"
#include "matrix.h"
#include "kernel_table.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "files are little-endian, and paramgen draws on little-endian machines only"
#endif

#define PG_SET portable
#define PG_TARGET
#define PG_WORD_LANES 0
#define PG_MATRIX_LANES 2
#include "instruction_set.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define PG_SET baseline
#define PG_TARGET
#define PG_WORD_LANES 2
#define PG_WORD_VECTORS 4
#define PG_MULTIPLY_LANES(a, b) ((pg_word_vector_baseline)_mm_mul_epu32((__m128i)(a), (__m128i)(b)))
#define PG_UNPACK(out, first, second)                                                                                 \
    _mm_storeu_si128((__m128i *)(out), _mm_unpacklo_epi64((__m128i)(first), (__m128i)(second)));                      \
    _mm_storeu_si128((__m128i *)(out) + 1, _mm_unpackhi_epi64((__m128i)(first), (__m128i)(second)))
#define PG_MATRIX_LANES 0
#include "instruction_set.h"

#define PG_SET avx2
#define PG_TARGET __attribute__((target("avx2")))
#define PG_WORD_LANES 4
#define PG_WORD_VECTORS 2
#define PG_MULTIPLY_LANES(a, b) ((pg_word_vector_avx2)_mm256_mul_epu32((__m256i)(a), (__m256i)(b)))
#define PG_UNPACK(out, first, second)                                                                                 \
    __m256i even = _mm256_unpacklo_epi64((__m256i)(first), (__m256i)(second));                                        \
    __m256i odd = _mm256_unpackhi_epi64((__m256i)(first), (__m256i)(second));                                         \
    _mm256_storeu_si256((__m256i *)(out), _mm256_permute2x128_si256(even, odd, 0x20));                                \
    _mm256_storeu_si256((__m256i *)(out) + 1, _mm256_permute2x128_si256(even, odd, 0x31))
#define PG_MATRIX_LANES 4
#include "instruction_set.h"

#define PG_SET avx512
#ifdef __clang__
#define PG_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"), min_vector_width(512)))
#else
#define PG_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#endif
#define PG_WORD_LANES 8
#define PG_WORD_VECTORS 4
#define PG_MULTIPLY_LANES(a, b) ((pg_word_vector_avx512)_mm512_mul_epu32((__m512i)(a), (__m512i)(b)))
#define PG_UNPACK(out, first, second)                                                                                 \
    __m512i low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);  \
    _mm512_storeu_si512(out, _mm512_permutex2var_epi64((__m512i)(first), low, (__m512i)(second)));                    \
    _mm512_storeu_si512((out) + 8, _mm512_permutex2var_epi64((__m512i)(first), high, (__m512i)(second)))
#define PG_MATRIX_LANES 0 /* wider vectors than AVX2's were measured to be slower */
#include "instruction_set.h"

static int pg_has_avx2(void) { return !!__builtin_cpu_supports("avx2"); }
static int pg_has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static int pg_always(void) { return 1; }

#define PG_ENTRY(set, available, matrix)                                                                              \
    {#set, pg_##available, pg_fill_##set, pg_fill_region_##set,                                                       \
     pg_add_product_##matrix, pg_cholesky_tile_##matrix, pg_solve_triangular_##matrix, pg_apply_reflector_##matrix}

/* The last available entry is the fastest. */
static const pg_kernels_t pg_kernel_sets[] = {
    PG_ENTRY(portable, always, portable),
#if defined(__x86_64__)
    PG_ENTRY(baseline, always, portable),
    PG_ENTRY(avx2, has_avx2, avx2),
    PG_ENTRY(avx512, has_avx512, avx2),
#endif
};
enum { PG_KERNEL_SETS = sizeof pg_kernel_sets / sizeof *pg_kernel_sets };
