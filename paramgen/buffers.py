"""How much is held at once: enough to be worth each call and write, little enough to stay in cache."""

# A file is drawn and written in blocks of so many bytes, a multiple of PAGE.
BLOCK_BYTES = 2**22
# The same, where a layout takes fewer than SHORT_RUN elements that follow one another into such a block: as each random
# block has four of them, the others would be drawn for nothing.
WIDE_BLOCK_BYTES = 2**24
SHORT_RUN = 16
# What direct writes are aligned to.
PAGE = 4096
# Elements that NumPy draws or reads at once.
CHUNK_ELEMENTS = 2**18
