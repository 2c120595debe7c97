"""Orthogonal matrices in memory, compared with torch.nn.init.orthogonal_.

python benchmarks/orthogonal.py
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import numpy as np
from measuring import is_installed

import paramgen
from paramgen.sampling.orthogonal import Orthonormalizer
from paramgen.threads import available_cpus

SHAPES = [(256, 256), (512, 512), (1024, 1024), (2048, 2048), (1024, 256), (4096, 1024), (1024, 4096)]


def time_call(call: Callable[[], object]) -> tuple[float, float]:
    """Return the wall-clock time of a call and the CPU time of all its threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


def compute_loss(q: np.ndarray) -> float:
    wide = q.shape[0] < q.shape[1]
    q = (q.T if wide else q).astype(np.float64)
    return float(np.abs(q.T @ q - np.eye(q.shape[1])).max())


def count_passes(draw: Callable[[], object]) -> int:
    """Return the number of Cholesky passes of a call."""
    with patch.object(
        Orthonormalizer, "divide_by_cholesky", autospec=True, side_effect=Orthonormalizer.divide_by_cholesky
    ) as divide:
        draw()
    return divide.call_count


def find_peer(shape: tuple[int, int], dtype: str, threads: int) -> Callable[[], object] | None:
    """Return PyTorch's call on `threads` threads, or None if it is not installed."""
    if not is_installed("torch"):
        return None
    import torch

    torch.set_num_threads(threads)
    tensor = torch.empty(shape, dtype=getattr(torch, dtype))
    return lambda: torch.nn.init.orthogonal_(tensor)


def measure_shape(shape: tuple[int, int], dtype: str, threads: int, runs: int) -> str:
    def draw(seed: int) -> np.ndarray:
        with patch("paramgen.engine.available_cpus", lambda: threads):
            return paramgen.initialize("orthogonal", shape, seed=seed, dtype=dtype)

    call = find_peer(shape, dtype, threads)
    own, other = [], []
    for seed in (0, *range(runs)):  # the first warms up
        own.append(time_call(partial(draw, seed)))
        other.append(time_call(call) if call else (float("nan"), float("nan")))
    (wall, cpu), (torch_wall, torch_cpu) = (
        [statistics.median(column) for column in zip(*times[1:], strict=True)] for times in (own, other)
    )
    ratio = statistics.median(a / b for (_, a), (_, b) in zip(own[1:], other[1:], strict=True))
    mean = statistics.mean(count_passes(partial(draw, seed)) for seed in range(runs))
    size = " × ".join(map(str, shape))
    numbers = f"{1e3 * wall:.1f} ({1e3 * cpu:.1f}) | {1e3 * torch_wall:.1f} ({1e3 * torch_cpu:.1f})"
    return f"| {size} | {dtype} | {threads} | {mean:.1f} | {numbers} | {ratio:.2f} × | {compute_loss(draw(1)):.0e} |"


def measure_orthogonal(shapes: list[tuple[int, int]], runs: int) -> list[str]:
    rows = [
        measure_shape(shape, dtype, threads, runs)
        for threads in sorted({1, available_cpus()})
        for dtype in ("float32", "float64")
        for shape in shapes
    ]
    return [
        "## Orthogonal matrices",
        "",
        "Milliseconds of wall-clock time and, in parentheses, of CPU time, in memory. Figures are medians of",
        f"{runs} runs in turn, each with another seed, after a warm-up. The ratio is of CPU time.",
        "",
        "| size | dtype | threads | passes | paramgen | PyTorch | ratio | max abs(QᵀQ - I) |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        "- The target is a ratio of at most 1.5 for float32 matrices that need one pass, on one thread.",
        "- Compare ratios on one thread. On several, PyTorch's CPU time includes spinning, much of it on a busy machine.",
        "- Every sum runs in one order, with any threads and instruction set. LAPACK, which PyTorch uses, has no such order.",
        "- A Cholesky pass loses orthogonality with the square of the matrix's condition number. paramgen measures the loss.",
        "- Most float32 matrices need one pass. Some square ones of 1024 and 2048, and most float64 ones, need a second,",
        "  which doubles the time.",
        "",
    ]


if __name__ == "__main__":
    print("\n".join(measure_orthogonal(SHAPES, runs=5)))
