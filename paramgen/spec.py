"""The public `Spec`: a checked spec with its plan."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paramgen.errors import MalformedFileError, SpecError
from paramgen.float_mode import default_float_mode
from paramgen.language.parsed_spec import ParsedSpec, Replacements, read_spec
from paramgen.messages import must_be, show_text
from paramgen.planning.files import ShardMetadataError, read_shard_metadata
from paramgen.planning.plan import Plan, make_plan
from paramgen.planning.streams import STREAM_VERSION
from paramgen.storage.byte_source import use_storage_options
from paramgen.units import pluralize

if TYPE_CHECKING:
    from paramgen.storage.reader import TensorFile


@dataclass(frozen=True, repr=False, eq=False)
class Spec:
    """A checked spec and its plan, made by `load_spec` or from a file that paramgen wrote.

        spec = paramgen.Spec.from_file("params.safetensors")
        print(spec.to_yaml())

    It has the properties `name`, `seed`, `dtype`, `layout` and `source`, the spec as a mapping.
    """

    _parsed: ParsedSpec
    plan: Plan

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, storage_options: Mapping[str, Any] | None = None) -> Spec:
        """Return the spec that is stored in the metadata of a file or a folder; a build of it gives the same files.

        `storage_options` are those of a URL, as for `build`. Raises FileError if a file cannot be read, or has no spec
        of this version.
        """
        from paramgen.storage.checkpoint import Checkpoint

        with use_storage_options(storage_options), Checkpoint(path) as checkpoint:
            return stored_spec(checkpoint.files[0])

    def to_yaml(self) -> str:
        """Return the spec as YAML; a build of that text gives the same file."""
        from paramgen.language.yaml_writer import to_yaml

        return to_yaml(self.source)

    def __repr__(self) -> str:
        return f"<Spec {self.name!r}: {pluralize(self._parsed.num_items, 'item')}, seed {self.seed}>"

    def _repr_html_(self) -> str:
        from paramgen.notebook_html import render_block, render_details, render_text

        facts = f"{self.plan.summary()}, seed {self.seed}, {self.dtype}, layout {self.layout}"
        tensors = render_details("tensors", self.plan.render_tree(), is_open=True)
        return render_block(self.name, facts, tensors, render_details("spec", render_text(self.to_yaml())))

    @property
    def name(self) -> str:
        return self._parsed.fields.name

    @property
    def seed(self) -> int:
        return self._parsed.fields.seed

    @property
    def dtype(self) -> str:
        return self._parsed.fields.dtype

    @property
    def layout(self) -> str:
        return self._parsed.fields.layout

    @property
    def source(self) -> dict[str, Any]:
        """The spec as it was written, with the values of the command line."""
        return self._parsed.source


def stored_spec(file: TensorFile) -> Spec:
    """Return the spec in the metadata of a file. Raises MalformedFileError if it has none of this version."""
    text, stream = file.metadata.get("paramgen_spec"), file.metadata.get("paramgen_stream")
    shard = file.metadata.get("paramgen_shard")
    if text is None or stream is None:
        raise MalformedFileError(f"{file.display_path}: has no spec in its metadata; choose a file that paramgen wrote")
    if stream != STREAM_VERSION:
        raise MalformedFileError(
            f"{file.display_path}: paramgen_stream must be {STREAM_VERSION}, got {show_text(stream)}"
        )
    try:
        stored = json.loads(text)
        if isinstance(stored, dict):  # read_and_plan would open a string as a path
            spec = read_and_plan(stored)
            return spec if shard is None else Spec(spec._parsed, spec.plan.split(read_shard_metadata(shard)))
        message = f"paramgen_spec {must_be('a mapping', stored)}"
    except SpecError as error:
        message = error.diagnostics[0].text("paramgen_spec")
    except ShardMetadataError as error:
        message = str(error)
    except (RecursionError, ValueError):
        message = "paramgen_spec must be valid JSON"
    raise MalformedFileError(f"{file.display_path}: {message}")


SpecSource = Spec | str | os.PathLike[str] | Mapping[str, Any]


def as_spec(source: SpecSource) -> Spec:
    """Return a spec as it is, and read any other source."""
    return source if isinstance(source, Spec) else read_and_plan(source)


@default_float_mode()
def read_and_plan(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    seed: int | None = None,
    dtype: str | None = None,
    layout: str | None = None,
    variables: Mapping[str, Any] | None = None,
) -> Spec:
    """Read, check and plan a spec. `seed`, `dtype` and `layout` replace the spec's, if given."""
    parsed = read_spec(source, Replacements(seed, dtype, layout, {} if variables is None else variables))
    plan = make_plan(parsed)
    for warning in plan.warnings:
        warnings.warn(warning, stacklevel=2)
    return Spec(parsed, plan)
