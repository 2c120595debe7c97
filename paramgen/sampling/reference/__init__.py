"""The reference, in NumPy: what every kernel has to draw, bit by bit."""
