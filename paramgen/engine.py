"""Plan → chunks → buffers → file, in memory bounded by a chunk (an orthogonal matrix is one unit of work)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from paramgen.chunks import CHUNK_ELEMENTS
from paramgen.distributions import Orthogonal
from paramgen.plan import Plan, Tensor
from paramgen.sampling.reference import draw
from paramgen.storage.writer import output
from paramgen.text import human_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Chunk:
    """Elements start … stop - 1 of a tensor; it needs nothing but itself and the seed to be drawn."""

    tensor: Tensor
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build wrote; `total_bytes` counts tensor data, `sha256` is of the whole file (None if not asked for)."""

    files: tuple[str, ...]
    total_parameters: int
    total_bytes: int
    sha256: str | None
    device: str
    seconds: float


def split(tensor: Tensor) -> Iterator[Chunk]:
    """The chunks of a tensor, in order."""
    step = tensor.size if isinstance(tensor.distribution, Orthogonal) else CHUNK_ELEMENTS
    for start in range(0, tensor.size, step):
        yield Chunk(tensor, start, min(start + step, tensor.size))


def build(
    plan: Plan,
    path: str,
    *,
    force: bool = False,
    digest: bool = False,
    progress: Callable[[int], None] = lambda count: None,
) -> BuildResult:
    """Draw every tensor of a plan and write the file. `progress` is told the bytes of each chunk written."""
    began = time.perf_counter()
    sha256 = hashlib.sha256() if digest else None
    tensors = {tensor.name: tensor for tensor in plan.tensors}
    with output(path, len(plan.header) + plan.total_bytes, force) as write:

        def put(data: memoryview) -> None:
            write(data)
            if sha256:
                sha256.update(data)

        put(memoryview(plan.header))
        for entry in plan.entries:
            for chunk in split(tensors[entry.name]):
                data = draw(chunk.tensor, plan.seed, chunk.start, chunk.stop).view(np.uint8).data
                put(data)
                progress(len(data))
    return BuildResult(
        (path,),
        plan.total_parameters,
        plan.total_bytes,
        sha256.hexdigest() if sha256 else None,
        "cpu",
        time.perf_counter() - began,
    )


def draw_array(tensor: Tensor, seed: int) -> NDArray[Any]:
    """The whole of a tensor, in its shape; MemoryError where it does not fit."""
    try:
        array = np.empty(tensor.size, tensor.dtype.numpy())
    except (MemoryError, ValueError):
        raise MemoryError(f"{tensor.name} of {human_bytes(tensor.nbytes)}") from None
    for chunk in split(tensor):
        array[chunk.start : chunk.stop] = draw(tensor, seed, chunk.start, chunk.stop)
    return array.reshape(tensor.shape)
