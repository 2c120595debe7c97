/* The CPU's loops around kernel.h: ranges of a stream, for every distribution and dtype.

   They are written once, for the compiler to vectorize, and built by cpu.c for each instruction set. A batch of words is
   drawn first, then each step runs over the batch. A processor looks ahead some hundred instructions, so a loop overlaps
   elements only if each needs few: a chain of more than ten operations is split into several loops, whose arrays stay in
   the first-level cache. What few elements need (the far tails) is done for these alone. */

#ifndef PARAMGEN_LOOPS_H
#define PARAMGEN_LOOPS_H

#include "kernel.h"

static const int pg_itemsize[] = {8, 4, 2, 2, 1, 1};

#define PG_BLOCKS 256
#define PG_BATCH32 (4 * PG_BLOCKS)
#define PG_BATCH64 (2 * PG_BLOCKS)
#define PG_GROUP 64
/* Elements that a box takes at once along the axis in which they follow one another, where they are not to stay so. */
#define PG_RUN 64
#define PG_SHORT_RUN 16

/* A distribution and its numbers. Of a truncated one, the words below the middle: those less than `split`, or all. */
typedef struct {
    int law;
    const double *n;
    uint64_t split, all;
} pg_source;

PG int pg_is_below(const double *n, int dtype, uint64_t word)
{
    if (dtype == PG_FLOAT64)
        return pg_below64(n, word) < pg_above64(n, word);
    return pg_below32(n, (uint32_t)word) < pg_above32(n, (uint32_t)word);
}

/* Find the words below the middle by bisection: the tail below grows with the word, and the tail above shrinks, however
   they are rounded. Comparing words saves the batches one of the two tails. */
PG pg_source pg_source_of(int law, const double *n, int dtype)
{
    pg_source source = {law, n, 0, 0};
    if (law != PG_TRUNCATED)
        return source;
    uint64_t last = dtype == PG_FLOAT64 ? UINT64_MAX : UINT32_MAX, above = last;
    while (source.split < above) {
        uint64_t word = source.split + (above - source.split) / 2;
        if (pg_is_below(n, dtype, word))
            source.split = word + 1;
        else
            above = word;
    }
    source.all = pg_is_below(n, dtype, last) ? UINT64_MAX : 0;
    return source;
}

/* The tail beyond the nearer limit: below the lower where `below` is all ones, else above the upper. */
PG double pg_outside(const double *n, uint64_t below)
{
    uint64_t above = pg_bits64(n[PG_ABOVE]);
    return pg_float64(above ^ ((above ^ pg_bits64(n[PG_BELOW])) & below));
}

/* |Quantiles| within the far tails' limits: `value` holds the middles, and gets the magnitudes. */
PG void pg_centres32(const float *distance, int count, float *value)
{
    PG_ALIGNED float power[PG_BATCH32], level[PG_BATCH32];
    for (int i = 0; i < count; i++) {
        float t = pg_product32(distance[i]);
        power[i] = (float)pg_power32(t);
        level[i] = pg_ratio32(t);
    }
    for (int i = 0; i < count; i++)
        level[i] = -pg_log_of32(power[i], level[i]) - 3.0f;
    for (int i = 0; i < count; i++)
        power[i] = pg_centre_begin(level[i]);
    for (int i = 0; i < count; i++)
        value[i] = value[i] * pg_centre_end(level[i], power[i]);
}

/* Central values of all words, then anew those that lie in the tails. */
PG void pg_batch32(const pg_source *source, const uint32_t *word, int count, float *value)
{
    PG_ALIGNED float distance[PG_BATCH32], middle[PG_BATCH32];
    PG_ALIGNED uint32_t below[PG_BATCH32];
    const double *n = source->n;
    if (source->law == PG_UNIFORM) {
        double scale = n[PG_BOUND] * 0x1p-31;
        for (int i = 0; i < count; i++)
            value[i] = pg_uniform32(word[i], scale);
        return;
    }
    if (source->law == PG_NORMAL) {
        for (int i = 0; i < count; i++) {
            distance[i] = pg_distance32(word[i]);
            middle[i] = pg_middle32(word[i]);
        }
        pg_centres32(distance, count, middle);
        for (int i = 0; i < count; i++)
            value[i] = pg_scaled32(n, pg_signed32(middle[i], word[i]));
    } else {
        uint32_t split = (uint32_t)source->split, all = (uint32_t)source->all;
        for (int i = 0; i < count; i++)
            below[i] = (word[i] < split ? UINT32_MAX : 0) | all;
        for (int i = 0; i < count; i++) {
            double p = pg_tail_of32(n, pg_outside(n, (uint64_t)(int32_t)below[i]), word[i] ^ ~below[i]);
            distance[i] = (float)(2.0 * p);
            middle[i] = (float)(1.0 - 2.0 * p);
        }
        pg_centres32(distance, count, middle);
        for (int i = 0; i < count; i++)
            value[i] = pg_truncate32(n, pg_float32(pg_bits32(middle[i]) ^ (below[i] & 0x80000000u)));
    }
    for (int start = 0; start < count; start += PG_GROUP) {
        int stop = start + PG_GROUP < count ? start + PG_GROUP : count, far = 0;
        for (int i = start; i < stop; i++)
            far |= distance[i] < PG_FAR_DISTANCE;
        for (int i = start; far && i < stop; i++)
            if (distance[i] < PG_FAR_DISTANCE)
                value[i] = pg_value32(source->law, n, word[i]);
    }
}

/* |Quantiles| of tails p beyond the centre; those that lie farther yet are few. */
PG void pg_tails64(const double *p, int count, double *value)
{
    PG_ALIGNED double power[PG_BATCH64], root[PG_BATCH64];
    for (int i = 0; i < count; i++) {
        power[i] = (double)pg_power64(p[i]);
        root[i] = pg_ratio64(p[i]);
    }
    for (int i = 0; i < count; i++)
        root[i] = pg_sqrt64(-pg_log_of64(power[i], root[i]));
    for (int i = 0; i < count; i++)
        value[i] = pg_tail64(root[i]);
    for (int i = 0; i < count; i++)
        if (root[i] > 5.0)
            value[i] = pg_far64(root[i]);
}

/* |Quantiles| within the centre: `value` holds the middles, and gets the magnitudes. */
PG void pg_centres64(int count, double *value)
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

/* Central values of all words; those beyond are gathered, done anew and put back. */
PG void pg_batch64(const pg_source *source, const uint64_t *word, int count, double *value)
{
    PG_ALIGNED double middle[PG_BATCH64], p[PG_BATCH64], tail[PG_BATCH64];
    PG_ALIGNED uint64_t below[PG_BATCH64];
    const double *n = source->n;
    uint64_t split = source->split, all = source->all;
    int place[PG_BATCH64], outside = 0;
    if (source->law == PG_UNIFORM) {
        for (int i = 0; i < count; i++)
            value[i] = pg_uniform64(word[i], n[PG_BOUND]);
        return;
    }
    if (source->law == PG_NORMAL) {
        for (int i = 0; i < count; i++)
            middle[i] = pg_middle64(word[i]);
    } else {
        for (int i = 0; i < count; i++)
            below[i] = (word[i] < split ? UINT64_MAX : 0) | all;
        for (int i = 0; i < count; i++) {
            p[i] = pg_tail_of64(n, pg_outside(n, below[i]), word[i] ^ ~below[i]);
            middle[i] = 0.5 - p[i];
        }
    }
    /* As integers, which spares a comparison of doubles its trip through the flags. */
    for (int i = 0; i < count; i++) {
        place[outside] = i;
        outside += (int64_t)pg_bits64(middle[i]) > (int64_t)pg_bits64(PG_CENTRAL64);
    }
    for (int i = 0; i < outside; i++)
        p[i] = source->law == PG_NORMAL ? pg_half64(word[place[i]]) : p[place[i]];
    pg_centres64(count, middle);
    pg_tails64(p, outside, tail);
    for (int i = 0; i < outside; i++)
        middle[place[i]] = tail[i];
    if (source->law == PG_NORMAL) {
        for (int i = 0; i < count; i++)
            value[i] = pg_scaled64(n, pg_signed64(middle[i], word[i]));
    } else {
        for (int i = 0; i < count; i++)
            value[i] = pg_truncate64(n, pg_float64(pg_bits64(middle[i]) ^ (below[i] & 0x8000000000000000u)));
    }
}

PG void pg_constant(int dtype, double number, uint64_t count, void *out)
{
    switch (dtype) {
    case PG_FLOAT64:
        for (uint64_t i = 0; i < count; i++)
            ((double *)out)[i] = number;
        break;
#define PG_CASE(dtype)                                                                                                \
    case dtype:                                                                                                       \
        for (uint64_t i = 0; i < count; i++)                                                                          \
            pg_store(dtype, out, i, (float)number);                                                                   \
        break;
    PG_CASE(PG_FLOAT32)
    PG_CASE(PG_FLOAT16)
    PG_CASE(PG_BFLOAT16)
    PG_CASE(PG_FLOAT8_E4M3FN)
    PG_CASE(PG_FLOAT8_E5M2)
#undef PG_CASE
    }
}

/* `count` values of words: of 64-bit words for float64, else of 32-bit words. */
PG void pg_values(const pg_source *source, int dtype, const void *word, int count, void *out)
{
    PG_ALIGNED float value[PG_BATCH32];
    if (dtype == PG_FLOAT64) {
        pg_batch64(source, word, count, out);
        return;
    }
    pg_batch32(source, word, count, dtype == PG_FLOAT32 ? out : value);
    switch (dtype) {
#define PG_CASE(dtype)                                                                                                \
    case dtype:                                                                                                       \
        for (int i = 0; i < count; i++)                                                                               \
            pg_store(dtype, out, i, value[i]);                                                                        \
        break;
    PG_CASE(PG_FLOAT16)
    PG_CASE(PG_BFLOAT16)
    PG_CASE(PG_FLOAT8_E4M3FN)
    PG_CASE(PG_FLOAT8_E5M2)
#undef PG_CASE
    }
}

/* The words of the blocks with these numbers, `count` of them, of which `out` has room for PG_BLOCKS. */
typedef void pg_words(const uint64_t *key, uint64_t stream, const uint64_t *block, int count, uint64_t *out);
/* pg_values of an instruction set. */
typedef void pg_batch(const pg_source *source, int dtype, const void *word, int count, void *out);

/* Elements start … start + count - 1 of a parameter, into `out`, which is aligned to its elements. */
PG void pg_range(pg_words *words, pg_batch *batch, int law, const double *n, int dtype, uint64_t seed, uint64_t stream,
                 uint64_t start, uint64_t count, void *out)
{
    PG_ALIGNED uint64_t pair[PG_BATCH64], block[PG_BLOCKS];
    uint64_t key[2 * PG_ROUNDS];
    unsigned char *to = out;
    int per_block = dtype == PG_FLOAT64 ? 2 : 4, size = dtype == PG_FLOAT64 ? 8 : 4;
    int skipped = (int)(start % (uint64_t)per_block);
    if (law == PG_CONSTANT) {
        pg_constant(dtype, n[PG_VALUE], count, out);
        return;
    }
    pg_source source = pg_source_of(law, n, dtype);
    pg_keys(seed, key);
    for (uint64_t first = start / (uint64_t)per_block; count; first += PG_BLOCKS) {
        int room = per_block * PG_BLOCKS - skipped, here = count < (uint64_t)room ? (int)count : room;
        for (int i = 0; i < PG_BLOCKS; i++)
            block[i] = first + (uint64_t)i;
        words(key, stream, block, (skipped + here + per_block - 1) / per_block, pair);
        batch(&source, dtype, (unsigned char *)pair + skipped * size, here, to);
        to += here * pg_itemsize[dtype];
        count -= (uint64_t)here;
        skipped = 0;
    }
}

/* `rows` runs of `length` values, one run after another: the first of each to its place, the others each `step` on. */
#define PG_PUT(type)                                                                                                  \
    for (int i = 0; i < length; i++)                                                                                  \
        for (int j = 0; j < rows; j++)                                                                                \
            ((type *)out)[place[j] + i * step] = ((const type *)value)[j * length + i];

PG void pg_put(int width, const void *value, int rows, int length, const int64_t *place, int64_t step, void *out)
{
    if (step == 1) {
        for (int j = 0; j < rows; j++)
            memcpy((unsigned char *)out + place[j] * width, (const unsigned char *)value + j * length * width,
                   (size_t)(length * width));
        return;
    }
    switch (width) {
    case 8: PG_PUT(uint64_t) break;
    case 4: PG_PUT(uint32_t) break;
    case 2: PG_PUT(uint16_t) break;
    default: PG_PUT(uint8_t)
    }
}

/* Those words of blocks that are wanted, of runs that begin at `start`: one run after another. Single words have a loop
   without an inner one, up to a tenth faster; the others' indices are long, as gcc warns of ints that -fwrapv lets wrap. */
#define PG_PICK(type)                                                                                                 \
    for (int j = 0; length == 1 && j < rows; j++)                                                                     \
        ((type *)out)[j] = ((const type *)word)[start[j]];                                                            \
    for (long j = 0; length > 1 && j < rows; j++)                                                                     \
        for (long i = 0; i < length; i++)                                                                             \
            ((type *)out)[j * length + i] = ((const type *)word)[start[j] + i];

PG void pg_pick(int size, const void *word, const int *start, int rows, int length, void *out)
{
    if (length > PG_SHORT_RUN)
        for (int j = 0; j < rows; j++)
            memcpy((unsigned char *)out + j * length * size, (const unsigned char *)word + start[j] * size,
                   (size_t)(length * size));
    else if (size == 8) {
        PG_PICK(uint64_t)
    } else {
        PG_PICK(uint32_t)
    }
}

/* Elements first + Σ i·strides of a parameter, for i below the sizes, to the places Σ i·places of `out`: four axes, along
   the last of which the elements follow one another (its stride is 1, or its size). A batch is a tile of runs along it,
   for so many indices of the other axes, the third fastest: whole lines of memory are written where its places are next
   to each other. */
PG void pg_box(pg_words *words, pg_batch *batch, int law, const double *n, int dtype, uint64_t seed, uint64_t stream,
               uint64_t first, const int64_t *sizes, const int64_t *strides, const int64_t *places, void *out)
{
    PG_ALIGNED uint64_t pair[PG_BATCH64], wanted[PG_BATCH64], value[PG_BATCH64], block[PG_BLOCKS];
    uint64_t key[2 * PG_ROUNDS];
    int64_t place[PG_BLOCKS];
    int start[PG_BLOCKS], width = pg_itemsize[dtype];
    int shift = dtype == PG_FLOAT64 ? 1 : 2, per_block = 1 << shift;
    int64_t longest = places[3] == 1 ? per_block * (PG_BLOCKS - 1) : PG_RUN;
    int64_t length = sizes[3] < longest ? sizes[3] : longest, all = sizes[0] * sizes[1] * sizes[2];
    int most = (int)(PG_BLOCKS / ((length + per_block - 2) / per_block + 1));
    pg_source source = pg_source_of(law, n, dtype);
    pg_keys(seed, key);
    if (law == PG_CONSTANT)
        pg_constant(dtype, n[PG_VALUE], (uint64_t)(most * length), value);
    for (int64_t u = 0; u < sizes[3]; u += length) {
        int here = (int)(sizes[3] - u < length ? sizes[3] - u : length);
        int64_t a = 0, b = 0, v = 0;
        for (int64_t row = 0; row < all; row += most) {
            int rows = (int)(all - row < most ? all - row : most), used = 0;
            for (int j = 0, side; j < rows; j += side) {
                uint64_t element = first + (uint64_t)(a * strides[0] + b * strides[1] + v * strides[2] + u);
                int64_t at = a * places[0] + b * places[1] + v * places[2] + u * places[3];
                side = (int)(rows - j < sizes[2] - v ? rows - j : sizes[2] - v);
                for (int i = 0; i < side; i++)
                    place[j + i] = at + i * places[2];
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
                v += side;
                if (v == sizes[2]) {
                    v = 0;
                    a += ++b == sizes[1];
                    b %= sizes[1];
                }
            }
            if (law != PG_CONSTANT) {
                words(key, stream, block, here == 1 ? rows : used, pair);
                pg_pick(dtype == PG_FLOAT64 ? 8 : 4, pair, start, rows, here, wanted);
                batch(&source, dtype, wanted, rows * here, value);
            }
            pg_put(width, value, rows, here, place, places[3], out);
        }
    }
}

#endif
