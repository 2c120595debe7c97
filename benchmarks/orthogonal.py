"""Orthogonal matrices in memory beside torch.nn.init.orthogonal_.

python benchmarks/orthogonal.py
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from measuring import found

import paramgen

SHAPES = [(1024, 1024), (4096, 1024), (1024, 4096), (8192, 2048), (4096, 4096)]


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def loss(q: np.ndarray) -> float:
    wide = q.shape[0] < q.shape[1]
    q = (q.T if wide else q).astype(np.float64)
    return float(np.abs(q.T @ q - np.eye(q.shape[1])).max())


def pair(shape: tuple[int, int], dtype: str, seed: int) -> tuple[float, float]:
    """Seconds of paramgen and of PyTorch (NaN where it is not installed), one after the other."""
    own = seconds(lambda: paramgen.initialize("orthogonal", shape, seed=seed, dtype=dtype))
    if not found("torch"):
        return own, float("nan")
    import torch

    tensor = torch.empty(shape, dtype=getattr(torch, dtype))
    return own, seconds(lambda: torch.nn.init.orthogonal_(tensor))


def orthogonal(shapes: list[tuple[int, int]], runs: int) -> list[str]:
    rows = []
    for shape in shapes:
        for dtype in ("float32", "float64"):
            pairs = [pair(shape, dtype, seed) for seed in range(runs + 1)][1:]
            own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            q = paramgen.initialize("orthogonal", shape, seed=1, dtype=dtype)
            size = " × ".join(map(str, shape))
            rows.append(f"| {size} | {dtype} | {own:.3f} | {other:.3f} | {ratio:.2f} × | {loss(q):.0e} |")
    return [
        "## Orthogonal matrices",
        "",
        f"In memory, all cores, medians of {runs} runs in turn, each with another seed, after a warm-up. The aim, for",
        "float32: no slower than PyTorch for 4096 × 1024, within 1.5 times for 8192 × 2048 and 4096 × 4096.",
        "",
        "| size | dtype | paramgen, s | PyTorch, s | ratio | max abs(QᵀQ - I) |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "Every sum runs in one order, whatever the threads and the instruction set; PyTorch's, by LAPACK, do not. Most",
        "float32 matrices need one pass of Cholesky; what it loses is measured, and some square ones (and most float64",
        "ones of these sizes) need a second, which doubles the time.",
        "",
    ]


if __name__ == "__main__":
    print("\n".join(orthogonal(SHAPES, runs=3)))
