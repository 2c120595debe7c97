"""How much is held at once: enough to be worth each call and write, little enough to stay in cache."""

# A file is drawn and written in blocks of so many bytes, a multiple of PAGE.
BLOCK_BYTES = 2**22
# And of WIDE_BLOCKS times as many if a layout takes fewer than SHORT_RUN neighbouring elements into such a block:
# random words come in blocks of four, and those of elements elsewhere would be drawn for nothing.
WIDE_BLOCKS = 4
SHORT_RUN = 16
# What direct writes are aligned to.
PAGE = 4096
# Elements that NumPy draws or reads at once.
CHUNK_ELEMENTS = 2**18
