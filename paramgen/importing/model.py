"""A model that is imported: its tensors in order, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class WeightNorm(NamedTuple):
    """Weight normalization: the type of an operation, and its `axis` and `style`."""

    operation: str
    axis: str
    style: str


@dataclass(frozen=True, slots=True)
class ImportedTensor:
    """A tensor of a model.

    `dtype` is a name used in specs. `initializer` is a mapping as in a spec, None if unknown. `origin` says in a few
    words where the initializer comes from. `tied_to` names an earlier or later tensor that it shares. The row
    `padding_index` is zero, whatever the initializer. `norm_of` names the direction whose norms weight normalization
    stores here; the initializer is then an approximation. With `weight_norm`, the tensor is a direction, and stands for
    its magnitude, too.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    initializer: Mapping[str, Any] | None = None
    origin: str | None = None
    tied_to: str | None = None
    padding_index: int | None = None
    norm_of: str | None = None
    weight_norm: WeightNorm | None = None


@dataclass(frozen=True, slots=True)
class ImportedModel:
    """A model: `tensors` in the order of registration, files for its folder, and sizes that have names.

    `sizes` names numbers as the configuration does (`hidden_size`), in order of preference. `uninitialized` lists the
    tensors that the model's own code never initializes. `notes` are comments for the head of the spec.
    """

    name: str
    source: str
    tensors: tuple[ImportedTensor, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)
    uninitialized: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
