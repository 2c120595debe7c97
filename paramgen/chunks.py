"""How much is held at once: enough for NumPy's calls to be worth their cost, little enough to stay in cache."""

CHUNK_ELEMENTS = 2**18
