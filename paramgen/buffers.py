"""Sizes of buffers: large enough to amortize each call and write, small enough for the cache."""

# The size of the blocks in which a file is drawn and written, a multiple of PAGE.
BLOCK_BYTES = 2**22
# The block size if a layout takes fewer than SHORT_RUN consecutive elements into a smaller one: each random block gives
# four of them, and the unused ones would be wasted.
WIDE_BLOCK_BYTES = 2**24
SHORT_RUN = 16
# The alignment of direct writes.
PAGE = 4096
# Elements that NumPy draws or reads at once.
CHUNK_ELEMENTS = 2**18
