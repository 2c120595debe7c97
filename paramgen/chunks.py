"""How much is held at once: enough to be worth each call and write, little enough to stay in cache."""

# A file is drawn and written in blocks of so many bytes, a multiple of PAGE.
BLOCK_BYTES = 2**22
# What direct writes are aligned to.
PAGE = 4096
# Elements that NumPy draws or reads at once.
CHUNK_ELEMENTS = 2**18
