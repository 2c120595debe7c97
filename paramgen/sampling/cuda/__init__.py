"""NVIDIA GPUs, through CuPy."""
