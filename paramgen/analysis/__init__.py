"""Findings about files: their tensors and statistics."""
