"""Sizes of buffers: large enough to be worth each call and write, small enough to stay in cache."""

# A file is drawn and written in blocks of this size, a multiple of PAGE_BYTES.
BLOCK_BYTES = 2**22
# Blocks are WIDE_BLOCK_FACTOR times as large if a layout takes fewer than SHORT_RUN_ELEMENTS neighbouring elements into
# such a block: random words come in blocks of four, and those of elements elsewhere would be drawn for nothing.
WIDE_BLOCK_FACTOR = 4
SHORT_RUN_ELEMENTS = 16
# The alignment of direct writes.
PAGE_BYTES = 4096
# Elements that NumPy draws or reads at once.
CHUNK_ELEMENTS = 2**18
