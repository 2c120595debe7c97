"""Sources of any kind, and the spec that each gives."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paramgen.errors import FileError, UsageError, check_path
from paramgen.importing.files import is_header, read_model
from paramgen.importing.model import ImportedModel
from paramgen.importing.modules import import_module
from paramgen.importing.transformers_config import import_config
from paramgen.importing.writing import write_spec
from paramgen.messages import show_path
from paramgen.progress import BytesCallback
from paramgen.spec import stored_spec
from paramgen.storage.byte_source import is_url
from paramgen.storage.checkpoint import WEIGHTS_SUFFIX, Checkpoint

MAX_CONFIG_BYTES = 10_000_000
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


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """The options of an import. Some belong to one kind of source: its command-line names are in OPTION_KINDS."""

    fit: bool = False
    tiny: bool = False
    set_values: Mapping[str, Any] = field(default_factory=dict)
    class_name: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    trust_remote_code: bool = False


WEIGHTS, CONFIG, MODULE = "weights", "a config.json", "a module"
OPTION_KINDS = {
    "fit": ("--fit", WEIGHTS),
    "tiny": ("--tiny", CONFIG),
    "set_values": ("--set", CONFIG),
    "class_name": ("--class", CONFIG),
    "trust_remote_code": ("--trust-remote-code", CONFIG),
    "arguments": ("--arg", MODULE),
}
_REFERENCE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def import_source(source: str, options: ImportOptions, progress: BytesCallback | None = None) -> ImportedSpec:
    """Return the spec of weights, of a config.json, or of a module named `package.module:function`.

    Raises UsageError for an option that the source does not have.
    """
    kind = find_kind(source)
    for key, (option, needed) in OPTION_KINDS.items():
        if getattr(options, key) and needed != kind:
            raise UsageError(f"{option} is for {needed}, and {show_path(source)} is {kind}; remove it")
    if kind == WEIGHTS:
        return import_weights(source, fit=options.fit, progress=progress)
    if kind == MODULE:
        return describe_model(import_module(source, options.arguments))
    return describe_model(
        import_config(
            source,
            class_name=options.class_name,
            set_values=options.set_values,
            tiny=options.tiny,
            trust_remote_code=options.trust_remote_code,
        )
    )


def find_kind(source: str) -> str:
    """Return what a source is: WEIGHTS, CONFIG or MODULE. A folder with weights is WEIGHTS."""
    if not os.path.exists(source) and _REFERENCE.fullmatch(source):
        return MODULE
    path = check_path(source)
    if is_url(path):
        if os.path.basename(path) == "config.json":
            raise UsageError(f"{show_path(path)}: a configuration is read from a file; download it")
        return WEIGHTS
    if os.path.isdir(path):
        config = os.path.join(path, "config.json")
        has_weights = any(name.endswith(WEIGHTS_SUFFIX) for name in os.listdir(path))
        return CONFIG if os.path.isfile(config) and not has_weights else WEIGHTS
    return CONFIG if path.endswith(".json") and _is_config(path) else WEIGHTS


def _is_config(path: str) -> bool:
    """Return True if a JSON file is a configuration, not a header or an index; a header is of mappings only."""
    if os.path.basename(path) == "config.json":
        return True
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read(MAX_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and ("model_type" in document or "architectures" in document)


def import_weights(
    path: str | os.PathLike[str], *, fit: bool = False, progress: BytesCallback | None = None
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
            spec = stored_spec(checkpoint.files[0])
        except FileError:  # of another version
            return None
    if {tensor.name: (tensor.dtype, tensor.shape) for tensor in spec.plan.tensors} != entries:
        return None
    source = os.path.basename(os.path.abspath(path))
    patterns = len({_NUMBER.sub("*", name) for name in entries})
    return ImportedSpec(f"# The spec that {source} was built from.\n{spec.to_yaml()}", source, len(entries), patterns)
