"""Sampling: from a range of a stream to values. NumPy is imported here and above, but not below."""
