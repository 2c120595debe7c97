/* The scalar functions of stream philox4x32-v1, from counters to values, for C99 compilers and for NVRTC.

   docs/stream.md is the specification, and sampling/reference/ the oracle: every build of this file gives the same
   bits. Only integer operations and correctly rounded +, -, ×, ÷ and sqrt, in the order written here. Compile without
   contraction (-ffp-contract=off, --fmad=false) and without fast-math. */

#ifndef PARAMGEN_KERNEL_H
#define PARAMGEN_KERNEL_H

#ifdef __CUDACC_RTC__
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;
#define PG static __device__ __forceinline__
#define pg_sqrt32 __fsqrt_rn
#define pg_sqrt64 __dsqrt_rn
#else
#include <stdint.h>
#include <string.h>
#if defined(__FAST_MATH__) || (defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0)
#error "paramgen needs IEEE arithmetic: remove -ffast-math and -mfpmath=387, or install without a compiler"
#endif
#define PG static inline __attribute__((always_inline))
#define PG_ALIGNED __attribute__((aligned(64)))
#define pg_sqrt32 __builtin_sqrtf
#define pg_sqrt64 __builtin_sqrt
#endif

PG uint32_t pg_bits32(float value) { uint32_t bits; memcpy(&bits, &value, sizeof bits); return bits; }
PG uint64_t pg_bits64(double value) { uint64_t bits; memcpy(&bits, &value, sizeof bits); return bits; }
PG float pg_float32(uint32_t bits) { float value; memcpy(&value, &bits, sizeof value); return value; }
PG double pg_float64(uint64_t bits) { double value; memcpy(&value, &bits, sizeof value); return value; }

#include "polynomials.h"
#include "tables.h"

/* ---- Random words: Philox4x32-10 (Salmon et al., SC 2011), with Random123's constants ---- */

#define PG_ROUNDS 10
#define PG_MULTIPLIER_0 0xD2511F53u
#define PG_MULTIPLIER_1 0xCD9E8D57u
#define PG_INCREMENT_0 0x9E3779B9u
#define PG_INCREMENT_1 0xBB67AE85u

/* Compute the keys of all rounds from the seed: key[2r] and key[2r + 1] of round r. */
PG void pg_keys(uint64_t seed, uint64_t key[2 * PG_ROUNDS])
{
    for (uint32_t r = 0; r < PG_ROUNDS; r++) {
        key[2 * r] = (uint32_t)((uint32_t)seed + r * PG_INCREMENT_0);
        key[2 * r + 1] = (uint32_t)((uint32_t)(seed >> 32) + r * PG_INCREMENT_1);
    }
}

/* Round r over c0 … c3. Each is in the low half of a 64-bit LANE (an integer or a vector of integers); the high half is
   ignored. MULTIPLY is the 64-bit product of two low halves:
   (c0, c1, c2, c3) -> (hi(M1·c2) ^ c1 ^ k0, lo(M1·c2), hi(M0·c0) ^ c3 ^ k1, lo(M0·c0)). */
#define PG_PHILOX(LANE, MULTIPLY, key, r, m0, m1, c0, c1, c2, c3)                                                     \
    {                                                                                                                 \
        LANE p0 = MULTIPLY(c0, m0), p1 = MULTIPLY(c2, m1);                                                            \
        c0 = (p1 >> 32) ^ c1 ^ key[2 * r];                                                                            \
        c2 = (p0 >> 32) ^ c3 ^ key[2 * r + 1];                                                                        \
        c1 = p1;                                                                                                      \
        c3 = p0;                                                                                                      \
    }

#define PG_MULTIPLY(a, b) ((uint64_t)(uint32_t)(a) * (uint32_t)(b))

/* Compute the four words of a block, as two 64-bit words: words 0 (low) and 1, words 2 (low) and 3. */
PG void pg_block(const uint64_t *key, uint64_t stream, uint64_t block, uint64_t *first, uint64_t *second)
{
    uint64_t c0 = block, c1 = block >> 32, c2 = stream, c3 = stream >> 32;
    for (int r = 0; r < PG_ROUNDS; r++)
        PG_PHILOX(uint64_t, PG_MULTIPLY, key, r, PG_MULTIPLIER_0, PG_MULTIPLIER_1, c0, c1, c2, c3)
    *first = (uint32_t)c0 | c1 << 32;
    *second = (uint32_t)c2 | c3 << 32;
}

/* ---- Words to numbers ---- */

/* Return a word's distance from the nearer end of its range. */
PG uint32_t pg_nearer32(uint32_t word) { return word ^ (0 - (word >> 31)); }
PG uint64_t pg_nearer64(uint64_t word) { return word ^ (0 - (word >> 63)); }

/* Return the low half of an integer, exactly. */
PG double pg_from_low(uint64_t i) { return (double)(int32_t)((uint32_t)i ^ 0x80000000u) + 2147483648.0; }
/* Round a 64-bit integer to the nearest double, by operations that every instruction set has for vectors. The halves are
   the low bits of 2^84 and 2^52; subtracting `base` removes these, and only the last addition rounds. */
PG double pg_from_halves(uint64_t i, double base)
{
    double high = pg_float64(i >> 32 | 0x4530000000000000u), low = pg_float64((i & 0xFFFFFFFFu) | 0x4330000000000000u);
    return (high - base) + low;
}
PG double pg_from_uint64(uint64_t i) { return pg_from_halves(i, 0x1.00000001p84); }
PG double pg_from_int64(uint64_t i) { return pg_from_halves(i ^ 0x8000000000000000u, 0x1.00000801p84); }

/* ---- Uniform on (-bound, bound): bound·(2u - 1) = (i + 1/2)·bound/2^31 (2^63), i the signed word about the middle ---- */

/* `scale` is bound·2^-31. */
PG float pg_uniform32(uint32_t word, double scale)
{
    return (float)(((double)(int32_t)(word ^ 0x80000000u) + 0.5) * scale);
}

PG double pg_uniform64(uint64_t word, double bound)
{
    return bound * ((pg_from_int64(word ^ 0x8000000000000000u) + 0.5) * 0x1p-63);
}

/* ---- Natural logarithm of a positive normal number: t = 2^k·f, f in [sqrt(1/2), sqrt(2)) by its bits,
        log t = k·ln 2 + s·LOG(s²), s = (f - 1)/(f + 1) ---- */

PG int32_t pg_exponent32(float t) { return ((int32_t)pg_bits32(t) - 0x3F3504F3) >> 23; }
PG float pg_log_argument32(float t)
{
    float f = pg_float32(pg_bits32(t) - ((uint32_t)pg_exponent32(t) << 23));
    return (f - 1.0f) / (f + 1.0f);
}
PG float pg_log_from_parts32(float k, float s) { return k * 0.693147182464599609375f + s * pg_log_float32(s * s); }
PG float pg_log32(float t) { return pg_log_from_parts32((float)pg_exponent32(t), pg_log_argument32(t)); }

/* Counting from 2^-1022 avoids a signed shift of 64 bits, which few instruction sets have for vectors. */
PG int32_t pg_exponent64(double t)
{
    return (int32_t)((pg_bits64(t) - 0x3FE6A09E667F3BCDu + 0x4000000000000000u) >> 52) - 1024;
}
PG double pg_log_argument64(double t)
{
    double f = pg_float64(pg_bits64(t) - ((uint64_t)(int64_t)pg_exponent64(t) << 52));
    return (f - 1.0) / (f + 1.0);
}
PG double pg_log_from_parts64(double k, double s) { return k * 0.6931471805599453 + s * pg_log_float64(s * s); }
PG double pg_log64(double t) { return pg_log_from_parts64((double)pg_exponent64(t), pg_log_argument64(t)); }

/* ---- |Quantile| of the normal distribution, in float32: of distance = 2p and x = 1 - 2p, p the nearer tail ---- */

PG float pg_tail_product32(float distance) { return distance * (2.0f - distance); }
PG float pg_minus_log32(float distance) { return -pg_log32(pg_tail_product32(distance)); }

/* Below this distance the level may be 6 or more, and the tail's polynomial applies. */
#define PG_TAIL_DISTANCE 0.00126f

PG float pg_quantile32(float distance, float x)
{
    float level = pg_minus_log32(distance);
    return level < 6.0f ? x * pg_centre(level - 3.0f) : x * pg_tail(pg_sqrt32(level) - 3.5f);
}

/* Return 2p and 1 - 2p of a word. */
PG float pg_double_tail32(uint32_t word) { return ((float)(int32_t)pg_nearer32(word) + 0.5f) * 0x1p-31f; }
PG float pg_middle32(uint32_t word)
{
    return ((float)(int32_t)(0x7FFFFFFFu - pg_nearer32(word)) + 0.5f) * 0x1p-31f;
}

/* Give a magnitude the word's sign: minus below the middle. */
PG float pg_give_sign32(float magnitude, uint32_t word)
{
    return pg_float32(pg_bits32(magnitude) ^ (~word & 0x80000000u));
}

PG float pg_normal32(uint32_t word)
{
    return pg_give_sign32(pg_quantile32(pg_double_tail32(word), pg_middle32(word)), word);
}

/* ---- The same in float64 (AS 241): from the middle, q = 1/2 - p, and from the tail p ---- */

#define PG_CENTRAL64 0.425

PG double pg_square64(double q) { return 0.180625 - q * q; }
PG double pg_centre64(double q) { return q * pg_a(pg_square64(q)) / pg_b(pg_square64(q)); }

PG double pg_root64(double p) { return pg_sqrt64(-pg_log64(p)); }
PG double pg_tail64(double root) { return pg_c(root - 1.6) / pg_d(root - 1.6); }
PG double pg_far_tail64(double root) { return pg_e(root - 5.0) / pg_f(root - 5.0); }

PG double pg_quantile64(double p, double q)
{
    if (!(q > PG_CENTRAL64))
        return pg_centre64(q);
    double root = pg_root64(p);
    return root > 5.0 ? pg_far_tail64(root) : pg_tail64(root);
}

PG double pg_tail_probability64(uint64_t word) { return (pg_from_uint64(pg_nearer64(word)) + 0.5) * 0x1p-64; }
PG double pg_middle64(uint64_t word)
{
    return (pg_from_uint64(0x7FFFFFFFFFFFFFFFu - pg_nearer64(word)) + 0.5) * 0x1p-64;
}

PG double pg_give_sign64(double magnitude, uint64_t word)
{
    return pg_float64(pg_bits64(magnitude) ^ (~word & 0x8000000000000000u));
}

PG double pg_normal64(uint64_t word)
{
    return pg_give_sign64(pg_quantile64(pg_tail_probability64(word), pg_middle64(word)), word);
}

#include "elementary.h"

/* ---- Distributions: the value of one word; `numbers` holds the distribution's numbers ---- */

/* Of a truncated normal distribution, PG_LOW and PG_HIGH are in standard deviations, and PG_BELOW, PG_ABOVE and PG_WITHIN
   are P(Z < low), P(Z > high) and P(low < Z < high). */

/* Return a tail of a truncated value, P(Z < z) or P(Z > z): `outside` is the tail beyond the limit where words begin. */
PG double pg_tail_of32(const double *numbers, double outside, uint32_t word)
{
    return outside + (pg_from_low(word) + 0.5) * 0x1p-32 * numbers[PG_WITHIN];
}
PG double pg_tail_of64(const double *numbers, double outside, uint64_t word)
{
    return outside + (pg_from_uint64(word) + 0.5) * 0x1p-64 * numbers[PG_WITHIN];
}
PG double pg_below32(const double *numbers, uint32_t word) { return pg_tail_of32(numbers, numbers[PG_BELOW], word); }
PG double pg_above32(const double *numbers, uint32_t word) { return pg_tail_of32(numbers, numbers[PG_ABOVE], ~word); }
PG double pg_below64(const double *numbers, uint64_t word) { return pg_tail_of64(numbers, numbers[PG_BELOW], word); }
PG double pg_above64(const double *numbers, uint64_t word) { return pg_tail_of64(numbers, numbers[PG_ABOVE], ~word); }

PG float pg_scale_and_shift32(const double *numbers, float z)
{
    return (float)numbers[PG_STD] * z + (float)numbers[PG_MEAN];
}
PG double pg_scale_and_shift64(const double *numbers, double z) { return numbers[PG_STD] * z + numbers[PG_MEAN]; }

/* Clamp z to the limits and scale it. */
PG float pg_clamp_and_scale32(const double *numbers, float z)
{
    float low = (float)numbers[PG_LOW], high = (float)numbers[PG_HIGH];
    z = z < low ? low : z;
    z = z > high ? high : z;
    return pg_scale_and_shift32(numbers, z);
}

PG double pg_clamp_and_scale64(const double *numbers, double z)
{
    double low = numbers[PG_LOW], high = numbers[PG_HIGH];
    z = z < low ? low : z;
    z = z > high ? high : z;
    return pg_scale_and_shift64(numbers, z);
}

PG float pg_truncated_normal32(const double *numbers, uint32_t word)
{
    double below = pg_below32(numbers, word), above = pg_above32(numbers, word), p = below < above ? below : above;
    float distance = (float)(2.0 * p), magnitude;
    if (distance < 0x1p-32f) { /* the tail's polynomial is fitted only as far as the words of the normal distribution */
        double root = pg_root64(p);
        magnitude = (float)(root > 5.0 ? pg_far_tail64(root) : pg_tail64(root));
    } else {
        magnitude = pg_quantile32(distance, (float)(1.0 - 2.0 * p));
    }
    return pg_clamp_and_scale32(numbers, below < above ? -magnitude : magnitude);
}

PG double pg_truncated_normal64(const double *numbers, uint64_t word)
{
    double below = pg_below64(numbers, word), above = pg_above64(numbers, word), p = below < above ? below : above;
    double magnitude = pg_quantile64(p, 0.5 - p);
    return pg_clamp_and_scale64(numbers, below < above ? -magnitude : magnitude);
}

/* ---- Integers and Bernoulli: modulo 2^32 or 2^64, so that integers of every dtype are their low bits ---- */

/* Return the upper half of word·span + word: ⌊word·(span + 1)/2^64⌋ in parts that never overflow. */
PG uint64_t pg_scale_word64(uint64_t word, uint64_t span)
{
    uint64_t low = word & 0xFFFFFFFFu, high = word >> 32, span_low = span & 0xFFFFFFFFu, span_high = span >> 32;
    uint64_t first = high * span_low + high + ((low * span_low + low) >> 32);
    uint64_t second = low * span_high + (first & 0xFFFFFFFFu);
    return high * span_high + (first >> 32) + (second >> 32);
}

PG uint64_t pg_join_halves(double low, double high) { return (uint32_t)low | (uint64_t)(uint32_t)high << 32; }

PG uint32_t pg_integer32(int distribution, const double *numbers, uint32_t word)
{
    if (distribution == PG_BERNOULLI)
        return (uint64_t)word >= (uint64_t)numbers[PG_ZEROS];
    return (uint32_t)numbers[PG_START_LOW] + (uint32_t)(((uint64_t)word * (uint32_t)numbers[PG_SPAN_LOW] + word) >> 32);
}

PG uint64_t pg_integer64(int distribution, const double *numbers, uint64_t word)
{
    if (distribution == PG_BERNOULLI)
        return pg_integer32(distribution, numbers, (uint32_t)(word >> 32));
    uint64_t span = pg_join_halves(numbers[PG_SPAN_LOW], numbers[PG_SPAN_HIGH]);
    return pg_join_halves(numbers[PG_START_LOW], numbers[PG_START_HIGH]) + pg_scale_word64(word, span);
}

/* The switches have no default, so that compilers warn of a distribution without a case. Neither constants nor sinusoids
   depend on words; callers draw sinusoids by pg_sinusoidal. */
PG float pg_value32(int distribution, const double *numbers, uint32_t word)
{
    switch ((pg_distribution_t)distribution) {
    case PG_INTEGERS:
    case PG_BERNOULLI: return (float)(int32_t)pg_integer32(distribution, numbers, word);
    case PG_UNIFORM: return pg_uniform32(word, numbers[PG_BOUND] * 0x1p-31);
    case PG_NORMAL: return pg_scale_and_shift32(numbers, pg_normal32(word));
    case PG_TRUNCATED_NORMAL: return pg_truncated_normal32(numbers, word);
    case PG_UNIFORM_INTERVAL:
    case PG_LOG_UNIFORM:
    case PG_SSM_DT_BIAS: return (float)pg_value_of_interval(distribution, numbers, pg_interval32(numbers, word));
    case PG_CONSTANT:
    case PG_SINUSOIDAL: break;
    }
    return (float)numbers[PG_VALUE];
}

PG double pg_value64(int distribution, const double *numbers, uint64_t word)
{
    switch ((pg_distribution_t)distribution) {
    case PG_INTEGERS:
    case PG_BERNOULLI: return pg_from_int64(pg_integer64(distribution, numbers, word));
    case PG_UNIFORM: return pg_uniform64(word, numbers[PG_BOUND]);
    case PG_NORMAL: return pg_scale_and_shift64(numbers, pg_normal64(word));
    case PG_TRUNCATED_NORMAL: return pg_truncated_normal64(numbers, word);
    case PG_UNIFORM_INTERVAL:
    case PG_LOG_UNIFORM:
    case PG_SSM_DT_BIAS: return pg_value_of_interval(distribution, numbers, pg_interval64(numbers, word));
    case PG_CONSTANT:
    case PG_SINUSOIDAL: break;
    }
    return numbers[PG_VALUE];
}

/* ---- Dtypes: the narrow ones round the float32 value to nearest, ties to even ---- */

/* Return the bits of |value| with `mantissa` bits of mantissa, and an exponent with this bias. */
PG uint32_t pg_round_mantissa(float value, int bias, int mantissa)
{
    uint32_t magnitude = pg_bits32(value) & 0x7FFFFFFFu;
    int drop = 23 - mantissa;
    uint32_t rebias = (uint32_t)(127 - bias) << 23;
    uint32_t normal = (magnitude - rebias + (1u << (drop - 1)) - 1 + (magnitude >> drop & 1)) >> drop;
    /* Adding a number whose last bit is the unit of subnormals rounds the value to that unit. */
    uint32_t unit = (uint32_t)(127 + 1 - bias + drop) << 23;
    uint32_t subnormal = pg_bits32(pg_float32(magnitude) + pg_float32(unit)) - unit;
    return magnitude < rebias + (1u << 23) ? subnormal : normal;
}

/* Round to `exponent` bits of exponent and `mantissa` of mantissa; values beyond the range become `overflow`. */
PG uint32_t pg_round_to_narrow(float value, int exponent, int mantissa, uint32_t overflow)
{
    uint32_t rounded = pg_round_mantissa(value, (1 << (exponent - 1)) - 1, mantissa);
    rounded = rounded < overflow ? rounded : overflow;
    return rounded | pg_bits32(value) >> 31 << (exponent + mantissa);
}

/* Round to a type whose bias is larger by one, and whose negative zero is NaN, as are values beyond the
   range. */
PG uint32_t pg_round_to_fnuz(float value, int exponent, int mantissa)
{
    uint32_t rounded = pg_round_mantissa(value, 1 << (exponent - 1), mantissa);
    uint32_t negative = rounded ? pg_bits32(value) >> 31 << 7 : 0;
    return rounded < 0x80u ? rounded | negative : 0x80u;
}

PG uint32_t pg_float16(float value) { return pg_round_to_narrow(value, 5, 10, 0x7C00u); }
PG uint32_t pg_float8_e4m3fn(float value) { return pg_round_to_narrow(value, 4, 3, 0x7Fu); }
PG uint32_t pg_float8_e5m2(float value) { return pg_round_to_narrow(value, 5, 2, 0x7Cu); }
PG uint32_t pg_bfloat16(float value)
{
    uint32_t bits = pg_bits32(value);
    return (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16;
}

PG uint32_t pg_float8_e4m3fnuz(float value) { return pg_round_to_fnuz(value, 4, 3); }
PG uint32_t pg_float8_e5m2fnuz(float value) { return pg_round_to_fnuz(value, 5, 2); }

/* Round a number of at least 2^-127 to the nearest power of two, the larger of two equally near. Below 2^-126 a float32 has
   no implicit bit, and its mantissa counts in steps of half the size. */
PG uint32_t pg_float8_e8m0fnu(float value)
{
    uint32_t bits = pg_bits32(value);
    return (bits + (bits < 1u << 23 ? 1u << 21 : 1u << 22)) >> 23;
}

/* Return the bits of a complex number: the parts are two draws, unless it is constant. */
PG uint64_t pg_complex64(int distribution, const double *numbers, uint64_t word)
{
    float real = pg_value32(distribution, numbers, (uint32_t)word);
    float imaginary = distribution == PG_CONSTANT ? 0.0f : pg_value32(distribution, numbers, (uint32_t)(word >> 32));
    return pg_bits32(real) | (uint64_t)pg_bits32(imaginary) << 32;
}

/* Store element i of a real dtype other than float64. */
#define PG_STORE_CASE(dtype, type, round)                                                                             \
    case dtype: ((type *)out)[i] = (type)round(value); break;

PG void pg_store(int dtype, void *out, uint64_t i, float value)
{
    switch (dtype) {
    case PG_FLOAT32: ((float *)out)[i] = value; break;
    PG_NARROW_DTYPES(PG_STORE_CASE)
    }
}

#endif
