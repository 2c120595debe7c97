"""Sources of any kind, and the spec that each gives."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from paramgen.errors import FileError
from paramgen.importing.files import is_header, read_model
from paramgen.importing.model import ImportedModel
from paramgen.importing.writing import write_spec
from paramgen.spec import Spec
from paramgen.storage.checkpoint import Checkpoint

_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class ImportedSpec:
    """The text of an imported spec, and what it describes.

    `patterns` counts names that differ in more than numbers. `uninitialized` lists tensors that the model's own code
    never initializes.
    """

    text: str
    source: str
    tensors: int
    patterns: int
    uninitialized: tuple[str, ...] = ()

    @property
    def lines(self) -> int:
        return self.text.count("\n")


def import_weights(
    path: str | os.PathLike[str], *, fit: bool = False, progress: Callable[[int], None] = lambda count: None
) -> ImportedSpec:
    """Return the spec of a safetensors file, a folder, an index or a header.

    If paramgen wrote the file, it is the stored spec, unless `fit` asks for the values.
    """
    if not fit and (stored := _read_stored(path)):
        return stored
    return describe_model(read_model(path, fit=fit, progress=progress))


def describe_model(model: ImportedModel) -> ImportedSpec:
    """Return the spec of a model."""
    patterns = len({_NUMBER.sub("*", tensor.name) for tensor in model.tensors})
    return ImportedSpec(write_spec(model), model.source, len(model.tensors), patterns, model.uninitialized)


def _read_stored(path: str | os.PathLike[str]) -> ImportedSpec | None:
    """Return the spec in the metadata of a file, if it describes the file's tensors."""
    if is_header(os.fsdecode(path)):
        return None
    with Checkpoint(path) as checkpoint:
        if "paramgen_spec" not in checkpoint.metadata:
            return None
        entries = {name: (stored.entry.dtype, stored.entry.shape) for name, stored in checkpoint.tensors.items()}
    try:
        spec = Spec.from_file(path)
    except FileError:  # of another version
        return None
    if {tensor.name: (tensor.dtype, tensor.shape) for tensor in spec.plan.tensors} != entries:
        return None
    source = os.path.basename(os.path.abspath(path))
    patterns = len({_NUMBER.sub("*", name) for name in entries})
    return ImportedSpec(f"# The spec that {source} was built from.\n{spec.to_yaml()}", source, len(entries), patterns)
