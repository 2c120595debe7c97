/* The CPU's loops around kernel.h: ranges and regions of a stream, for every distribution and dtype.

   cpu.c compiles them for each instruction set, and the compiler vectorizes them. Every step runs over a batch of words.
   A processor looks ahead a few hundred instructions, so loops with long bodies do not overlap elements: more than ten
   operations are split into several loops, whose arrays stay in the first-level cache. Far tails are rare, so they are
   computed only for the elements that need them. */

#ifndef PARAMGEN_LOOPS_H
#define PARAMGEN_LOOPS_H

#include "kernel.h"

static const int pg_itemsize[] = {PG_ITEMSIZES};

#define PG_BATCH_BLOCKS 256
#define PG_BATCH32 (4 * PG_BATCH_BLOCKS)
#define PG_BATCH64 (2 * PG_BATCH_BLOCKS)
#define PG_TAIL_GROUP 64
/* Consecutive elements that a region takes at once, if they are not consecutive in the buffer. */
#define PG_MAX_RUN 64
#define PG_SHORT_RUN 16

/* A distribution and its numbers. Words of a truncated one are below the middle if less than `first_above`; `all_below` is
   all ones if every word is. */
typedef struct {
    int distribution;
    const double *numbers;
    uint64_t first_above, all_below;
} pg_source_t;

PG int pg_is_below(const double *numbers, int dtype, uint64_t word)
{
    if (dtype == PG_FLOAT64)
        return pg_below64(numbers, word) < pg_above64(numbers, word);
    return pg_below32(numbers, (uint32_t)word) < pg_above32(numbers, (uint32_t)word);
}

/* Find the words below the middle by bisection, which works because rounding is monotonic: the tail below grows with the
   word, and the tail above shrinks. Comparing words saves each batch one of the two tails. */
PG pg_source_t pg_make_source(int distribution, const double *numbers, int dtype)
{
    pg_source_t source = {distribution, numbers, 0, 0};
    if (distribution != PG_TRUNCATED_NORMAL)
        return source;
    uint64_t last = dtype == PG_FLOAT64 ? UINT64_MAX : UINT32_MAX, above = last;
    while (source.first_above < above) {
        uint64_t word = source.first_above + (above - source.first_above) / 2;
        if (pg_is_below(numbers, dtype, word))
            source.first_above = word + 1;
        else
            above = word;
    }
    source.all_below = pg_is_below(numbers, dtype, last) ? UINT64_MAX : 0;
    return source;
}

/* Return the tail beyond the nearer limit: the lower if `below` is all ones, else the upper. */
PG double pg_outside(const double *numbers, uint64_t below)
{
    uint64_t above = pg_bits64(numbers[PG_ABOVE]);
    return pg_float64(above ^ ((above ^ pg_bits64(numbers[PG_BELOW])) & below));
}

/* Compute |quantiles| outside the far tails: `value` holds the middles, and receives the magnitudes. */
PG void pg_compute_centres32(const float *distance, int count, float *value)
{
    PG_ALIGNED float power[PG_BATCH32], level[PG_BATCH32];
    for (int i = 0; i < count; i++) {
        float t = pg_tail_product32(distance[i]);
        power[i] = (float)pg_exponent32(t);
        level[i] = pg_log_argument32(t);
    }
    for (int i = 0; i < count; i++)
        level[i] = -pg_log_from_parts32(power[i], level[i]) - 3.0f;
    for (int i = 0; i < count; i++)
        power[i] = pg_centre_begin(level[i]);
    for (int i = 0; i < count; i++)
        value[i] = value[i] * pg_centre_end(level[i], power[i]);
}

PG void pg_compute_integers32(int distribution, const double *numbers, const uint32_t *word, int count, uint32_t *value)
{
    for (int i = 0; i < count; i++)
        value[i] = pg_integer32(distribution, numbers, word[i]);
}

PG void pg_compute_integers64(int distribution, const double *numbers, const uint64_t *word, int count, uint64_t *value)
{
    for (int i = 0; i < count; i++)
        value[i] = pg_integer64(distribution, numbers, word[i]);
}

/* Reduce the arguments t of exp: `value` receives exp(r) - 1. */
PG void pg_compute_exp_rests(int count, double *value, double *shifted)
{
    PG_ALIGNED double part[PG_BATCH32];
    for (int i = 0; i < count; i++) {
        shifted[i] = pg_exp_shifted(value[i]);
        value[i] = pg_exp_reduced(value[i], shifted[i]);
    }
    for (int i = 0; i < count; i++)
        part[i] = pg_exp_begin(value[i]);
    for (int i = 0; i < count; i++)
        value[i] = pg_exp_rest(value[i], pg_exp_end(value[i], part[i]));
}

/* Compute values of a distribution made of an interval; `value` holds numbers of the interval. */
PG void pg_compute_interval_values(int distribution, const double *numbers, int count, double *value)
{
    PG_ALIGNED double shifted[PG_BATCH32], part[PG_BATCH32];
    if (distribution == PG_UNIFORM_INTERVAL)
        return;
    pg_compute_exp_rests(count, value, shifted);
    for (int i = 0; i < count; i++)
        value[i] = pg_clamp(numbers, pg_scale_by_power(1.0 + value[i], shifted[i]));
    if (distribution == PG_LOG_UNIFORM)
        return;
    for (int i = 0; i < count; i++)
        part[i] = pg_softplus_argument(value[i]);
    pg_compute_exp_rests(count, part, shifted);
    for (int i = 0; i < count; i++)
        part[i] = -pg_expm1_of(part[i], shifted[i]);
    for (int i = 0; i < count; i++) {
        shifted[i] = (double)pg_exponent64(part[i]);
        part[i] = pg_log_argument64(part[i]);
    }
    for (int i = 0; i < count; i++)
        value[i] = value[i] + pg_log_from_parts64(shifted[i], part[i]);
}

/* Compute sinusoids of elements; consecutive ones need no division. */
PG void pg_compute_sinusoids(const double *numbers, const uint64_t *element, int count, double *value)
{
    PG_ALIGNED uint64_t quarters[PG_BATCH32];
    PG_ALIGNED int32_t channel[PG_BATCH32];
    PG_ALIGNED double r[PG_BATCH32], shifted[PG_BATCH32], sine[PG_BATCH32], cosine[PG_BATCH32];
    uint64_t channels = (uint64_t)numbers[PG_CHANNELS], row = 0, column = 0;
    for (int i = 0; i < count; i++) {
        if (i && element[i] == element[i - 1] + 1) {
            column++;
            if (column == channels) {
                column = 0;
                row++;
            }
        } else {
            row = element[i] / channels;
            column = element[i] % channels;
        }
        value[i] = (double)(int32_t)(row & PG_ROW_MASK) + numbers[PG_FIRST_POSITION];
        channel[i] = (int32_t)column;
    }
    for (int i = 0; i < count; i++)
        r[i] = pg_log_frequency(numbers, channel[i], &quarters[i]);
    pg_compute_exp_rests(count, r, shifted);
    for (int i = 0; i < count; i++) {
        double angle = value[i] * pg_scale_by_power(1.0 + r[i], shifted[i]);
        shifted[i] = pg_sine_shifted(angle);
        r[i] = pg_sine_reduced(angle, shifted[i]);
    }
    for (int i = 0; i < count; i++)
        sine[i] = pg_sine_of(r[i], pg_sin(r[i] * r[i]));
    for (int i = 0; i < count; i++)
        cosine[i] = pg_cosine_of(r[i] * r[i], pg_cos(r[i] * r[i]));
    for (int i = 0; i < count; i++)
        value[i] = pg_quadrant(sine[i], cosine[i], shifted[i], quarters[i]);
}

/* Compute the central value of every word, then again those in the tails. */
PG void pg_compute_batch32(const pg_source_t *source, const uint32_t *word, int count, float *value)
{
    PG_ALIGNED float distance[PG_BATCH32], middle[PG_BATCH32];
    PG_ALIGNED uint32_t below[PG_BATCH32];
    const double *numbers = source->numbers;
    if (source->distribution == PG_UNIFORM) {
        double scale = numbers[PG_BOUND] * 0x1p-31;
        for (int i = 0; i < count; i++)
            value[i] = pg_uniform32(word[i], scale);
        return;
    }
    if (PG_IS_DISCRETE(source->distribution)) {
        pg_compute_integers32(source->distribution, numbers, word, count, below);
        for (int i = 0; i < count; i++)
            value[i] = (float)(int32_t)below[i];
        return;
    }
    if (PG_USES_INTERVAL(source->distribution)) {
        PG_ALIGNED double wide[PG_BATCH32];
        for (int i = 0; i < count; i++)
            wide[i] = pg_interval32(numbers, word[i]);
        pg_compute_interval_values(source->distribution, numbers, count, wide);
        for (int i = 0; i < count; i++)
            value[i] = (float)wide[i];
        return;
    }
    if (source->distribution == PG_NORMAL) {
        for (int i = 0; i < count; i++) {
            distance[i] = pg_double_tail32(word[i]);
            middle[i] = pg_middle32(word[i]);
        }
        pg_compute_centres32(distance, count, middle);
        for (int i = 0; i < count; i++)
            value[i] = pg_scale_and_shift32(numbers, pg_give_sign32(middle[i], word[i]));
    } else {
        uint32_t first_above = (uint32_t)source->first_above, all_below = (uint32_t)source->all_below;
        for (int i = 0; i < count; i++)
            below[i] = (word[i] < first_above ? UINT32_MAX : 0) | all_below;
        for (int i = 0; i < count; i++) {
            double p = pg_tail_of32(numbers, pg_outside(numbers, (uint64_t)(int32_t)below[i]), word[i] ^ ~below[i]);
            distance[i] = (float)(2.0 * p);
            middle[i] = (float)(1.0 - 2.0 * p);
        }
        pg_compute_centres32(distance, count, middle);
        for (int i = 0; i < count; i++)
            value[i] = pg_clamp_and_scale32(numbers, pg_float32(pg_bits32(middle[i]) ^ (below[i] & 0x80000000u)));
    }
    for (int start = 0; start < count; start += PG_TAIL_GROUP) {
        int stop = start + PG_TAIL_GROUP < count ? start + PG_TAIL_GROUP : count, far = 0;
        for (int i = start; i < stop; i++)
            far |= distance[i] < PG_TAIL_DISTANCE;
        for (int i = start; far && i < stop; i++)
            if (distance[i] < PG_TAIL_DISTANCE)
                value[i] = pg_value32(source->distribution, numbers, word[i]);
    }
}

/* Compute |quantiles| of tails p beyond the centre; few are so far out that they need the last polynomial. */
PG void pg_compute_tails64(const double *p, int count, double *value)
{
    PG_ALIGNED double power[PG_BATCH64], root[PG_BATCH64];
    for (int i = 0; i < count; i++) {
        power[i] = (double)pg_exponent64(p[i]);
        root[i] = pg_log_argument64(p[i]);
    }
    for (int i = 0; i < count; i++)
        root[i] = pg_sqrt64(-pg_log_from_parts64(power[i], root[i]));
    for (int i = 0; i < count; i++)
        value[i] = pg_tail64(root[i]);
    for (int i = 0; i < count; i++)
        if (root[i] > 5.0)
            value[i] = pg_far_tail64(root[i]);
}

/* Compute |quantiles| within the centre: `value` holds the middles, and receives the magnitudes. */
PG void pg_compute_centres64(int count, double *value)
{
    PG_ALIGNED double above[PG_BATCH64], below[PG_BATCH64];
    for (int i = 0; i < count; i++) {
        double r = pg_square64(value[i]);
        above[i] = pg_a_begin(r);
        below[i] = pg_b_begin(r);
    }
    for (int i = 0; i < count; i++) {
        double r = pg_square64(value[i]);
        above[i] = value[i] * pg_a_end(r, above[i]);
        below[i] = pg_b_end(r, below[i]);
    }
    for (int i = 0; i < count; i++)
        value[i] = above[i] / below[i];
}

/* Compute the central value of every word; gather those beyond the centre, compute them again, and put them back. */
PG void pg_compute_batch64(const pg_source_t *source, const uint64_t *word, int count, double *value)
{
    PG_ALIGNED double middle[PG_BATCH64], p[PG_BATCH64], tail[PG_BATCH64];
    PG_ALIGNED uint64_t below[PG_BATCH64];
    const double *numbers = source->numbers;
    uint64_t first_above = source->first_above, all_below = source->all_below;
    int position[PG_BATCH64], outside = 0;
    if (source->distribution == PG_UNIFORM) {
        for (int i = 0; i < count; i++)
            value[i] = pg_uniform64(word[i], numbers[PG_BOUND]);
        return;
    }
    if (PG_IS_DISCRETE(source->distribution)) {
        pg_compute_integers64(source->distribution, numbers, word, count, below);
        for (int i = 0; i < count; i++)
            value[i] = pg_from_int64(below[i]);
        return;
    }
    if (PG_USES_INTERVAL(source->distribution)) {
        for (int i = 0; i < count; i++)
            value[i] = pg_interval64(numbers, word[i]);
        pg_compute_interval_values(source->distribution, numbers, count, value);
        return;
    }
    if (source->distribution == PG_NORMAL) {
        for (int i = 0; i < count; i++)
            middle[i] = pg_middle64(word[i]);
    } else {
        for (int i = 0; i < count; i++)
            below[i] = (word[i] < first_above ? UINT64_MAX : 0) | all_below;
        for (int i = 0; i < count; i++) {
            p[i] = pg_tail_of64(numbers, pg_outside(numbers, below[i]), word[i] ^ ~below[i]);
            middle[i] = 0.5 - p[i];
        }
    }
    /* Comparing integers avoids a detour of doubles through the flags. */
    for (int i = 0; i < count; i++) {
        position[outside] = i;
        outside += (int64_t)pg_bits64(middle[i]) > (int64_t)pg_bits64(PG_CENTRAL64);
    }
    for (int i = 0; i < outside; i++)
        p[i] = source->distribution == PG_NORMAL ? pg_tail_probability64(word[position[i]]) : p[position[i]];
    pg_compute_centres64(count, middle);
    pg_compute_tails64(p, outside, tail);
    for (int i = 0; i < outside; i++)
        middle[position[i]] = tail[i];
    if (source->distribution == PG_NORMAL) {
        for (int i = 0; i < count; i++)
            value[i] = pg_scale_and_shift64(numbers, pg_give_sign64(middle[i], word[i]));
    } else {
        for (int i = 0; i < count; i++)
            value[i] = pg_clamp_and_scale64(numbers, pg_float64(pg_bits64(middle[i]) ^ (below[i] & 0x8000000000000000u)));
    }
}

#define PG_FILL_CASE(dtype, type, round)                                                                              \
    case dtype:                                                                                                       \
        for (uint64_t i = 0; i < count; i++)                                                                          \
            ((type *)out)[i] = (type)round((float)number);                                                            \
        break;

PG void pg_fill_constant(int dtype, double number, uint64_t count, void *out)
{
    switch (dtype) {
    case PG_FLOAT64:
        for (uint64_t i = 0; i < count; i++)
            ((double *)out)[i] = number;
        break;
    case PG_COMPLEX64:
        for (uint64_t i = 0; i < count; i++)
            ((uint64_t *)out)[i] = pg_bits32((float)number);
        break;
    case PG_FLOAT32:
        for (uint64_t i = 0; i < count; i++)
            ((float *)out)[i] = (float)number;
        break;
    PG_NARROW_DTYPES(PG_FILL_CASE)
    }
}

/* Store the low bits of integers. */
#define PG_KEEP_LOW(type)                                                                                             \
    for (int i = 0; i < count; i++)                                                                                   \
        ((type *)out)[i] = (type)bits[i];

PG void pg_compute_integer_values(const pg_source_t *source, int dtype, const void *word, int count, void *out)
{
    PG_ALIGNED uint32_t bits[PG_BATCH32];
    if (PG_IS_WIDE(dtype)) {
        pg_compute_integers64(source->distribution, source->numbers, word, count, out);
        return;
    }
    pg_compute_integers32(source->distribution, source->numbers, word, count, bits);
    switch (pg_itemsize[dtype]) {
    case 4: PG_KEEP_LOW(uint32_t) break;
    case 2: PG_KEEP_LOW(uint16_t) break;
    default: PG_KEEP_LOW(uint8_t)
    }
}

#define PG_ROUND_CASE(dtype, type, round)                                                                             \
    case dtype:                                                                                                       \
        for (int i = 0; i < count; i++)                                                                               \
            ((type *)out)[i] = (type)round(value[i]);                                                                 \
        break;

/* Compute `count` values: of 64-bit words for dtypes of 8 bytes, else of 32-bit words; sinusoids of 64-bit numbers of
   elements. */
PG void pg_compute_values(const pg_source_t *source, int dtype, const void *word, int count, void *out)
{
    PG_ALIGNED float value[PG_BATCH32];
    if (PG_IS_INTEGER(dtype)) {
        pg_compute_integer_values(source, dtype, word, count, out);
        return;
    }
    if (source->distribution == PG_SINUSOIDAL) {
        PG_ALIGNED double wide[PG_BATCH32];
        pg_compute_sinusoids(source->numbers, word, count, dtype == PG_FLOAT64 ? out : wide);
        for (int i = 0; dtype != PG_FLOAT64 && i < count; i++)
            (dtype == PG_FLOAT32 ? (float *)out : value)[i] = (float)wide[i];
    } else if (dtype == PG_COMPLEX64) { /* the words and the values of two parts */
        pg_compute_batch32(source, word, 2 * count, out);
    } else if (dtype == PG_FLOAT64) {
        pg_compute_batch64(source, word, count, out);
    } else {
        pg_compute_batch32(source, word, count, dtype == PG_FLOAT32 ? out : value);
    }
    switch (dtype) {
    PG_NARROW_DTYPES(PG_ROUND_CASE)
    }
}

/* Compute the words of `count` blocks; `out` has space for PG_BATCH_BLOCKS, whose ends may be overwritten. */
typedef void pg_draw_words_t(const uint64_t *key, uint64_t stream, const uint64_t *block, int count, uint64_t *out);
/* Compute values as pg_compute_values does, with an instruction set. */
typedef void pg_draw_batch_t(const pg_source_t *source, int dtype, const void *word, int count, void *out);

/* Draw elements start … start + count - 1 of a parameter; `out` is aligned to its elements. */
PG void pg_draw_range(pg_draw_words_t *draw_words, pg_draw_batch_t *draw_batch, int distribution, const double *numbers,
                      int dtype, uint64_t seed, uint64_t stream, uint64_t start, uint64_t count, void *out)
{
    PG_ALIGNED uint64_t pair[PG_BATCH64], block[PG_BATCH_BLOCKS];
    uint64_t key[2 * PG_ROUNDS];
    unsigned char *to = out;
    int size = PG_IS_WIDE(dtype) ? 8 : 4, per_block = 16 / size;
    int skipped = (int)(start % (uint64_t)per_block);
    if (distribution == PG_CONSTANT) {
        pg_fill_constant(dtype, numbers[PG_VALUE], count, out);
        return;
    }
    pg_source_t source = pg_make_source(distribution, numbers, dtype);
    if (distribution == PG_SINUSOIDAL) {
        for (uint64_t here; count; count -= here) {
            here = count < PG_BATCH64 ? count : PG_BATCH64;
            for (uint64_t i = 0; i < here; i++)
                pair[i] = start++;
            draw_batch(&source, dtype, pair, (int)here, to);
            to += (int)here * pg_itemsize[dtype];
        }
        return;
    }
    pg_keys(seed, key);
    for (uint64_t first = start / (uint64_t)per_block; count; first += PG_BATCH_BLOCKS) {
        int most = per_block * PG_BATCH_BLOCKS - skipped, here = count < (uint64_t)most ? (int)count : most;
        for (int i = 0; i < PG_BATCH_BLOCKS; i++)
            block[i] = first + (uint64_t)i;
        draw_words(key, stream, block, (skipped + here + per_block - 1) / per_block, pair);
        draw_batch(&source, dtype, (unsigned char *)pair + skipped * size, here, to);
        to += here * pg_itemsize[dtype];
        count -= (uint64_t)here;
        skipped = 0;
    }
}

/* Store `rows` runs of `length` values: run j starts at position[j], and advances by `step`. */
#define PG_SCATTER(type)                                                                                                  \
    for (int i = 0; i < length; i++)                                                                                  \
        for (int j = 0; j < rows; j++)                                                                                \
            ((type *)out)[position[j] + i * step] = ((const type *)value)[j * length + i];

PG void pg_scatter(int width, const void *value, int rows, int length, const int64_t *position, int64_t step, void *out)
{
    if (step == 1) {
        for (int j = 0; j < rows; j++)
            memcpy((unsigned char *)out + position[j] * width, (const unsigned char *)value + j * length * width,
                   (size_t)(length * width));
        return;
    }
    switch (width) {
    case 8: PG_SCATTER(uint64_t) break;
    case 4: PG_SCATTER(uint32_t) break;
    case 2: PG_SCATTER(uint16_t) break;
    default: PG_SCATTER(uint8_t)
    }
}

/* Gather `rows` runs of `length` words, each beginning at its `start`. Single words have a loop without an inner one, up
   to a tenth faster. The other indices are long, because gcc warns of ints that -fwrapv lets wrap. */
#define PG_GATHER(type)                                                                                                 \
    for (int j = 0; length == 1 && j < rows; j++)                                                                     \
        ((type *)out)[j] = ((const type *)word)[start[j]];                                                            \
    for (long j = 0; length > 1 && j < rows; j++)                                                                     \
        for (long i = 0; i < length; i++)                                                                             \
            ((type *)out)[j * length + i] = ((const type *)word)[start[j] + i];

PG void pg_gather(int size, const void *word, const int *start, int rows, int length, void *out)
{
    if (length > PG_SHORT_RUN)
        for (int j = 0; j < rows; j++)
            memcpy((unsigned char *)out + j * length * size, (const unsigned char *)word + start[j] * size,
                   (size_t)(length * size));
    else if (size == 8) {
        PG_GATHER(uint64_t)
    } else {
        PG_GATHER(uint32_t)
    }
}

/* Draw a region of a parameter: for i below the sizes, element offset + Σ i·strides goes to out[Σ i·out_strides]. There are
   four axes, and elements along the last one are consecutive (its stride or its size is 1). A batch is a tile of runs
   along the last axis, for many indices of the third, so that it writes whole lines of memory if the third axis is
   contiguous in `out`. */
PG void pg_draw_region(pg_draw_words_t *draw_words, pg_draw_batch_t *draw_batch, int distribution,
                       const double *numbers, int dtype, uint64_t seed, uint64_t stream, uint64_t offset,
                       const int64_t *sizes, const int64_t *strides, const int64_t *out_strides, void *out)
{
    PG_ALIGNED uint64_t pair[PG_BATCH64], wanted[PG_BATCH64], value[PG_BATCH64], block[PG_BATCH_BLOCKS];
    uint64_t key[2 * PG_ROUNDS];
    int64_t position[PG_BATCH_BLOCKS];
    int start[PG_BATCH_BLOCKS], width = pg_itemsize[dtype];
    int shift = PG_IS_WIDE(dtype) ? 1 : 2, per_block = 1 << shift;
    int64_t longest = out_strides[3] == 1 ? per_block * (PG_BATCH_BLOCKS - 1) : PG_MAX_RUN;
    int64_t length = sizes[3] < longest ? sizes[3] : longest, all = sizes[0] * sizes[1] * sizes[2];
    int most = (int)(PG_BATCH_BLOCKS / ((length + per_block - 2) / per_block + 1));
    pg_source_t source = pg_make_source(distribution, numbers, dtype);
    pg_keys(seed, key);
    if (distribution == PG_CONSTANT)
        pg_fill_constant(dtype, numbers[PG_VALUE], (uint64_t)(most * length), value);
    for (int64_t index3 = 0; index3 < sizes[3]; index3 += length) {
        int here = (int)(sizes[3] - index3 < length ? sizes[3] - index3 : length);
        int64_t index0 = 0, index1 = 0, index2 = 0;
        for (int64_t row = 0; row < all; row += most) {
            int rows = (int)(all - row < most ? all - row : most), used = 0;
            for (int j = 0, side; j < rows; j += side) {
                uint64_t element =
                    offset + (uint64_t)(index0 * strides[0] + index1 * strides[1] + index2 * strides[2] + index3);
                int64_t target = index0 * out_strides[0] + index1 * out_strides[1] + index2 * out_strides[2] +
                                 index3 * out_strides[3];
                side = (int)(rows - j < sizes[2] - index2 ? rows - j : sizes[2] - index2);
                for (int i = 0; i < side; i++)
                    position[j + i] = target + i * out_strides[2];
                for (int i = 0; here == 1 && i < side; i++) {
                    uint64_t word = element + (uint64_t)(i * strides[2]);
                    block[j + i] = word >> shift;
                    start[j + i] = ((j + i) << shift) + (int)(word & (uint64_t)(per_block - 1));
                }
                for (int i = 0; here > 1 && i < side; i++) {
                    uint64_t word = element + (uint64_t)(i * strides[2]), number = word >> shift;
                    int skipped = (int)(word & (uint64_t)(per_block - 1));
                    start[j + i] = (used << shift) + skipped;
                    for (int k = (skipped + here + per_block - 1) >> shift; k; k--)
                        block[used++] = number++;
                }
                index2 += side;
                if (index2 == sizes[2]) {
                    index2 = 0;
                    index0 += ++index1 == sizes[1];
                    index1 %= sizes[1];
                }
            }
            if (distribution == PG_SINUSOIDAL) {
                PG_ALIGNED uint64_t element[PG_BATCH32];
                for (int j = 0; j < rows; j++)
                    for (int i = 0; i < here; i++)
                        element[j * here + i] =
                            (block[start[j] >> shift] << shift) + (uint64_t)((start[j] & (per_block - 1)) + i);
                draw_batch(&source, dtype, element, rows * here, value);
            } else if (distribution != PG_CONSTANT) {
                draw_words(key, stream, block, here == 1 ? rows : used, pair);
                pg_gather(PG_IS_WIDE(dtype) ? 8 : 4, pair, start, rows, here, wanted);
                draw_batch(&source, dtype, wanted, rows * here, value);
            }
            pg_scatter(width, value, rows, here, position, out_strides[3], out);
        }
    }
}

#endif
