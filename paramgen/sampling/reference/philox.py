"""The counter-based random generator Philox4x32-10, in NumPy.

J. Salmon, M. Moraes, R. Dror, D. Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

import numpy as np
from numpy.typing import NDArray

# Random123's constants for philox4x32; the key increments are the golden ratio and sqrt(3) - 1.
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

Words = NDArray[np.uint32] | NDArray[np.uint64]

LOW = np.uint64(0xFFFFFFFF)
SHIFT = np.uint64(32)

Counter = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint64]]


def philox(counter: Counter, seed: int) -> Counter:
    """Run ten rounds of Philox4x32 over lanes of 32-bit values in 64 bits; the key is the 64-bit seed.

    A round: (c0, c1, c2, c3) -> (hi(M1·c2) ^ c1 ^ k0, lo(M1·c2), hi(M0·c0) ^ c3 ^ k1, lo(M0·c0)).
    """
    c0, c1, c2, c3 = counter
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(ROUNDS):
        p0, p1 = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (p1 >> SHIFT) ^ (c1 ^ np.uint64(k0)), p1 & LOW, (p0 >> SHIFT) ^ (c3 ^ np.uint64(k1)), p0 & LOW
        k0, k1 = (k0 + KEY_INCREMENTS[0]) & 0xFFFFFFFF, (k1 + KEY_INCREMENTS[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def draw_words(seed: int, stream: int, first: int, count: int) -> NDArray[np.uint32]:
    """Return words first … first + count - 1 of a stream; word j is output j mod 4 of block j div 4."""
    first_block, last_block = first // 4, (first + count + 3) // 4
    block = np.arange(first_block, last_block, dtype=np.uint64)
    return _block_outputs(seed, stream, block).reshape(-1)[first - 4 * first_block :][:count]


def draw_words_at(seed: int, stream: int, positions: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return the words of a stream at any positions."""
    outputs = _block_outputs(seed, stream, positions >> np.uint64(2))
    return np.take_along_axis(outputs, (positions & np.uint64(3)).astype(np.int64)[..., None], axis=-1)[..., 0]


def _block_outputs(seed: int, stream: int, block: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Return the four outputs of each block, along a last axis.

    The counter's low half is the block's number, its high half the stream id.
    """
    c2, c3 = (np.full_like(block, half) for half in (stream & 0xFFFFFFFF, stream >> 32))
    outputs = np.empty((*block.shape, 4), np.uint32)
    for lane, output in enumerate(philox((block & LOW, block >> SHIFT, c2, c3), seed)):
        outputs[..., lane] = output
    return outputs


def draw_words64(seed: int, stream: int, first: int, count: int) -> NDArray[np.uint64]:
    """Return 64-bit words; word i consists of the 32-bit words 2i (low half) and 2i + 1 (high half)."""
    return join_halves(draw_words(seed, stream, 2 * first, 2 * count).reshape(-1, 2))


def join_halves(halves: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return 64-bit words of pairs of 32-bit words, the low one first."""
    wide = halves.astype(np.uint64)
    joined: NDArray[np.uint64] = wide[..., 0] | (wide[..., 1] << SHIFT)
    return joined
