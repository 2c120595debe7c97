/* The CPU's loops around kernel.h: ranges of a stream, for every distribution and dtype.

   They are written once, for the compiler to vectorize, and built by cpu.c for each instruction set. A batch of words is
   drawn first, then each step runs over the batch; what few elements need (the far tails) is done for these alone. */

#ifndef PARAMGEN_LOOPS_H
#define PARAMGEN_LOOPS_H

#include "kernel.h"

static const int pg_itemsize[] = {8, 4, 2, 2, 1, 1};

#define PG_BLOCKS 256
#define PG_BATCH32 (4 * PG_BLOCKS)
#define PG_BATCH64 (2 * PG_BLOCKS)
#define PG_GROUP 64

/* Central values of all words, then anew those that lie in the tails. The dtype is a constant of each call. */
PG void pg_batch32(int law, const double *n, const uint32_t *word, int count, int dtype, void *out)
{
    PG_ALIGNED float distance[PG_BATCH32];
    if (law == PG_UNIFORM) {
        double scale = n[PG_BOUND] * 0x1p-31;
        for (int i = 0; i < count; i++)
            pg_store(dtype, out, i, pg_uniform32(word[i], scale));
        return;
    }
    if (law == PG_NORMAL) {
        for (int i = 0; i < count; i++) {
            distance[i] = pg_distance32(word[i]);
            float z = pg_signed32(pg_centre32(distance[i], pg_middle32(word[i])), word[i]);
            pg_store(dtype, out, i, pg_scaled32(n, z));
        }
    } else {
        for (int i = 0; i < count; i++) {
            double below = pg_below32(n, word[i]), above = pg_above32(n, word[i]), p = below < above ? below : above;
            distance[i] = (float)(2.0 * p);
            float magnitude = pg_centre32(distance[i], (float)(1.0 - 2.0 * p));
            pg_store(dtype, out, i, pg_truncate32(n, magnitude, below < above));
        }
    }
    for (int start = 0; start < count; start += PG_GROUP) {
        int stop = start + PG_GROUP < count ? start + PG_GROUP : count, far = 0;
        for (int i = start; i < stop; i++)
            far |= distance[i] < PG_FAR_DISTANCE;
        for (int i = start; far && i < stop; i++)
            if (distance[i] < PG_FAR_DISTANCE)
                pg_store(dtype, out, i, pg_value32(law, n, word[i]));
    }
}

/* Central values of all words; those beyond are gathered, done anew and put back; few of these lie farther yet. */
PG void pg_batch64(int law, const double *n, const uint64_t *word, int count, double *value)
{
    PG_ALIGNED double middle[PG_BATCH64], root[PG_BATCH64], tail[PG_BATCH64];
    PG_ALIGNED uint64_t outer[PG_BATCH64];
    int place[PG_BATCH64], outside = 0;
    if (law == PG_UNIFORM) {
        for (int i = 0; i < count; i++)
            value[i] = pg_uniform64(word[i], n[PG_BOUND]);
        return;
    }
    if (law == PG_NORMAL) {
        for (int i = 0; i < count; i++) {
            middle[i] = pg_middle64(word[i]);
            value[i] = pg_scaled64(n, pg_signed64(pg_centre64(middle[i]), word[i]));
        }
    } else {
        for (int i = 0; i < count; i++) {
            double below = pg_below64(n, word[i]), above = pg_above64(n, word[i]);
            middle[i] = 0.5 - (below < above ? below : above);
            value[i] = pg_truncate64(n, pg_centre64(middle[i]), below < above);
        }
    }
    for (int i = 0; i < count; i++) {
        outer[outside] = word[i];
        place[outside] = i;
        outside += middle[i] > PG_CENTRAL64;
    }
    if (law == PG_NORMAL) {
        for (int i = 0; i < outside; i++) {
            root[i] = pg_root64(pg_half64(outer[i]));
            tail[i] = pg_scaled64(n, pg_signed64(pg_tail64(root[i]), outer[i]));
        }
    } else {
        for (int i = 0; i < outside; i++) {
            double below = pg_below64(n, outer[i]), above = pg_above64(n, outer[i]);
            root[i] = pg_root64(below < above ? below : above);
            tail[i] = pg_truncate64(n, pg_tail64(root[i]), below < above);
        }
    }
    for (int i = 0; i < outside; i++)
        value[place[i]] = root[i] > 5.0 ? pg_value64(law, n, outer[i]) : tail[i];
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

typedef void pg_words(const uint64_t *key, uint64_t stream, uint64_t block, uint64_t *out);

/* Elements start … start + count - 1 of a parameter, into `out`, which is aligned to its elements. */
PG void pg_range(pg_words *words, int law, const double *n, int dtype, uint64_t seed, uint64_t stream, uint64_t start,
                 uint64_t count, void *out)
{
    PG_ALIGNED uint64_t pair[PG_BATCH64];
    PG_ALIGNED uint32_t word[PG_BATCH32];
    uint64_t key[2 * PG_ROUNDS];
    unsigned char *to = out;
    int per_block = dtype == PG_FLOAT64 ? 2 : 4, batch = per_block * PG_BLOCKS;
    int skipped = (int)(start % (uint64_t)per_block);
    if (law == PG_CONSTANT) {
        pg_constant(dtype, n[PG_VALUE], count, out);
        return;
    }
    pg_keys(seed, key);
    for (uint64_t block = start / (uint64_t)per_block; count; block += PG_BLOCKS) {
        int here = count < (uint64_t)(batch - skipped) ? (int)count : batch - skipped;
        words(key, stream, block, pair);
        if (dtype != PG_FLOAT64)
            memcpy(word, pair, sizeof word);
        switch (dtype) {
        case PG_FLOAT64: pg_batch64(law, n, pair + skipped, here, (double *)to); break;
        case PG_FLOAT32: pg_batch32(law, n, word + skipped, here, PG_FLOAT32, to); break;
        case PG_FLOAT16: pg_batch32(law, n, word + skipped, here, PG_FLOAT16, to); break;
        case PG_BFLOAT16: pg_batch32(law, n, word + skipped, here, PG_BFLOAT16, to); break;
        case PG_FLOAT8_E4M3FN: pg_batch32(law, n, word + skipped, here, PG_FLOAT8_E4M3FN, to); break;
        default: pg_batch32(law, n, word + skipped, here, PG_FLOAT8_E5M2, to);
        }
        to += here * pg_itemsize[dtype];
        count -= (uint64_t)here;
        skipped = 0;
    }
}

#endif
