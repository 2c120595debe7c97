"""The check of weights without drawing them: well-formed, consistent, finite and plausible."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from paramgen.errors import MalformedFileError
from paramgen.planning.tensors import Tensor
from paramgen.spec import Spec
from paramgen.storage.checkpoint import Checkpoint, Inconsistency, StoredTensor
from paramgen.storage.index import SHARD_NAME
from paramgen.threads import available_cpus, parallel_for

# A mean or std of a sound tensor is farther than this from its promise once in 10^9 tensors.
MAX_STANDARD_ERRORS = 6.0


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a check: the files, and what was found in them."""

    files: tuple[str, ...]
    findings: tuple[Inconsistency, ...]

    @property
    def sound(self) -> bool:
        return not self.findings


def check(path: str, *, threads: int | None = None, progress: Callable[[int], None] = lambda count: None) -> Check:
    """Check a file, an index or a folder, in bounded memory.

    Findings are: a malformed file; an index that its files contradict; NaN, infinity; a matrix of zeros; a mean or std
    that the spec in the metadata does not promise. Raises FileError if a file cannot be read.
    """
    try:
        with Checkpoint(path, allow_inconsistencies=True) as checkpoint:
            findings = [*checkpoint.inconsistencies, *_find_unlisted(checkpoint)]
            findings += _check_values(checkpoint, threads or available_cpus(), progress)
            checkpoint.raise_if_changed()
            return Check(tuple(checkpoint.paths), tuple(findings))
    except MalformedFileError as error:
        return Check((path,), (Inconsistency(os.path.basename(path), None, str(error)),))


def _find_unlisted(checkpoint: Checkpoint) -> Iterator[Inconsistency]:
    """Yield the shards beside an index that it does not list."""
    if checkpoint.index is None:
        return
    listed = set(checkpoint.index.files)
    basenames = {match["basename"] for name in listed if (match := SHARD_NAME.fullmatch(name))}
    for name in sorted(os.listdir(os.path.dirname(checkpoint.index.path) or ".")):
        match = SHARD_NAME.fullmatch(name)
        if match and match["basename"] in basenames and name not in listed:
            yield Inconsistency(name, None, "not listed in the index")


def _check_values(checkpoint: Checkpoint, threads: int, progress: Callable[[int], None]) -> list[Inconsistency]:
    planned = _planned_tensors(checkpoint)
    findings: dict[str, str] = {}
    lock = threading.Lock()

    def check_tensor(stored: StoredTensor) -> None: ...

    parallel_for(threads, check_tensor, checkpoint.tensors.values())
    return [
        Inconsistency(os.path.basename(stored.file.path), name, findings[name])
        for name, stored in checkpoint.tensors.items()
        if name in findings
    ]


def _planned_tensors(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the tensors of the spec in the metadata; none if this version cannot plan it."""
    if not checkpoint.files:
        return {}
    try:
        plan = Spec.from_file(checkpoint.files[0].path).plan
    except MalformedFileError:
        return {}
    return {tensor.name: tensor for tensor in plan.tensors}


def _judge(statistics: dict[str, Any], shape: tuple[int, ...], tensor: Tensor | None) -> str | None:
    """Return what is wrong with a tensor's statistics, None if nothing is."""
    if statistics["nan"]:
        return f"has {statistics['nan']:,} NaN"
    if statistics["inf"]:
        return f"has {statistics['inf']:,} infinite values"
    promise = None if tensor is None else _promise(tensor)
    if promise is None:
        if len(shape) > 1 and prod(shape) > 1 and statistics["zeros"] == prod(shape) and tensor is None:
            return "all values are zero"
        return None
    mean, std = promise


def _promise(tensor: Tensor) -> tuple[float, float] | None:
    """Return the mean and std of a tensor's values by its spec; None if they are not those of one distribution."""
