"""Digests: the SHA-256 of a file and of each tensor in it, from the blocks of a build."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from paramgen.engine import FileBlock, draw_blocks
from paramgen.planning.plan import Plan
from paramgen.sampling.devices import AUTO

if TYPE_CHECKING:
    from hashlib import _Hash


@dataclass(slots=True)
class Digester:
    """The digests of the blocks that were added, in the file's order."""

    _file: _Hash = field(default_factory=hashlib.sha256)
    _tensors: dict[str, _Hash] = field(default_factory=dict)

    def add(self, block: FileBlock, data: memoryview) -> None:
        """Add a block's bytes."""
        self._file.update(data)
        for part in block.slices:
            nbytes = part.tensor.dtype.nbytes
            tensor = self._tensors.get(part.tensor.name)
            if tensor is None:
                tensor = self._tensors[part.tensor.name] = hashlib.sha256()
            tensor.update(data[part.offset : part.offset + nbytes(part.stop - part.start)])

    @property
    def file(self) -> str:
        """The file's digest in hexadecimal."""
        return self._file.hexdigest()

    @property
    def tensors(self) -> dict[str, str]:
        """The digest of each tensor's bytes, in the file's order."""
        return {name: tensor.hexdigest() for name, tensor in self._tensors.items()}


def digest(
    plan: Plan,
    *,
    device: str = AUTO,
    threads: int | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Digester:
    """Return the digests that a build of the plan would have; nothing is written."""
    digester = Digester()
    with draw_blocks(plan, device=device, threads=threads, progress=progress) as drawn:
        for block, data in drawn.blocks:
            digester.add(block, data)
    return digester
