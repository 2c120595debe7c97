"""Sampling: from a range of a stream to values. Only this package and those above it import NumPy at the top."""
