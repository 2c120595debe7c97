"""Sizes of buffers: large enough to be worth each call and write, small enough to stay in cache."""

# A file is drawn and written in blocks of this size, a multiple of PAGE_BYTES.
BLOCK_BYTES = 2**22
# If a transposing layout uses fewer than SHORT_RUN_ELEMENTS neighbours per block, blocks grow by WIDE_BLOCK_FACTOR.
# Random words come in fours, and unused ones are wasted.
WIDE_BLOCK_FACTOR = 4
SHORT_RUN_ELEMENTS = 16
# The alignment of direct writes.
PAGE_BYTES = 4096
# Elements that NumPy draws or reads at once.
CHUNK_ELEMENTS = 2**18
