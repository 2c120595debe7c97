"""Tensors to compare: those of weights on disk, or those that a spec's build would have."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from math import prod
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from paramgen.dtypes import DType
from paramgen.engine import make_array_sampler
from paramgen.planning.plan import Plan
from paramgen.sampling.devices import open_backend
from paramgen.storage.checkpoint import Checkpoint


class TensorType(NamedTuple):
    """The dtype and shape of a tensor."""

    dtype: DType
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.dtype.nbytes(self.size)


class TensorSource(Protocol):
    """Named tensors whose bytes can be read in parts, by several threads."""

    @property
    def tensors(self) -> Mapping[str, TensorType]: ...

    def read_into(self, name: str, start: int, out: NDArray[np.uint8]) -> None:
        """Fill `out` with a tensor's bytes, from byte `start` on."""

    def raise_if_changed(self) -> None:
        """Raise FileError if the tensors changed meanwhile."""


class CheckpointSource:
    """The tensors of weights on disk."""

    def __init__(self, checkpoint: Checkpoint):
        self._checkpoint = checkpoint
        self._lock = threading.Lock()
        self.tensors = {
            name: TensorType(stored.entry.dtype, stored.entry.shape) for name, stored in checkpoint.tensors.items()
        }

    def read_into(self, name: str, start: int, out: NDArray[np.uint8]) -> None:
        """Fill `out` with a tensor's bytes, from byte `start` on."""
        with self._lock:
            self._checkpoint.read_into(self._checkpoint.tensors[name], start, out.data)

    def raise_if_changed(self) -> None:
        """Raise FileError if a file changed since it was opened."""
        self._checkpoint.raise_if_changed()


class PlanSource:
    """The tensors that a plan's build would have; each part may be read once."""

    def __init__(self, plan: Plan):
        self._planned = {tensor.name: tensor for tensor in plan.tensors}
        self._sampler = make_array_sampler(plan.seed)
        self._backend = open_backend("cpu")
        self.tensors = {
            name: TensorType(tensor.dtype, tensor.rearrangement.shape) for name, tensor in self._planned.items()
        }

    def read_into(self, name: str, start: int, out: NDArray[np.uint8]) -> None:
        """Draw a tensor's bytes from byte `start` on."""
        tensor = self._planned[name]
        width = tensor.dtype.nbytes(1)
        with self._backend.activate():
            self._sampler.draw(self._backend, tensor, start // width, (start + len(out)) // width, out)

    def raise_if_changed(self) -> None:
        """Do nothing: a plan does not change."""


def select_names(names: Iterable[str], ignore: Sequence[str]) -> list[str]:
    """Return the names that match none of the globs."""
    return [name for name in names if not any(fnmatchcase(name, pattern) for pattern in ignore)]
