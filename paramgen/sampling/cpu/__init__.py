"""The CPU: its compiled kernels, or the NumPy reference."""
