"""Weight normalization among a model's tensors: a magnitude and a direction, which one operation describes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from paramgen.catalog.frameworks.torch import WEIGHT_NORM_NAMES
from paramgen.importing.model import ImportedTensor, WeightNorm

APPROXIMATE = "norms of a direction, approximated"

# The axes of directions, by the type of the operation. Beyond one dimension, a kernel is not one axis.
_AXES = {
    "fully_connected": ("outputs", "inputs"),
    "conv": ("filters", "channels", "kernel"),
    "transposed_conv": ("channels", "filters", "kernel"),
}


def find_direction(name: str) -> str | None:
    """Return the name of the direction if a tensor's name is that of a magnitude."""
    for magnitude, direction in (("original0", "original1"), *WEIGHT_NORM_NAMES.values()):
        if name.endswith(magnitude):
            return name.removesuffix(magnitude) + direction
    return None


def join_norms(tensors: Sequence[ImportedTensor]) -> Iterator[ImportedTensor]:
    """Yield the tensors; a direction with `weight_norm` replaces each magnitude and direction that an operation has.

    Other magnitudes keep their initializer, and a comment says that it is approximate.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    shared = {tensor.tied_to for tensor in tensors}
    skipped = None
    for tensor, following in pairwise((*tensors, None)):
        if tensor is None or tensor is skipped:
            continue
        joined = None
        if following and not shared.intersection((tensor.name, following.name)):
            joined = _join(tensor, following, by_name)
        skipped = following if joined else None
        yield joined or (replace(tensor, origin=APPROXIMATE) if tensor.norm_of else tensor)


def _join(
    magnitude: ImportedTensor, direction: ImportedTensor, by_name: Mapping[str, ImportedTensor]
) -> ImportedTensor | None:
    """Return a direction named as the operation's weight, None if the two are not those of one."""
    if magnitude.norm_of != direction.name or magnitude.dtype != direction.dtype:
        return None
    if magnitude.tied_to or direction.tied_to:
        return None
    for style, (suffix, _) in WEIGHT_NORM_NAMES.items():
        path = magnitude.name.removesuffix(f".{suffix}")
        if path != magnitude.name and find_direction(magnitude.name) == direction.name:
            bias = by_name.get(f"{path}.bias")
            operation = _find_operation(direction.shape, bias.shape if bias else None)
            axis = _find_axis(operation, magnitude.shape, direction.shape) if operation else None
            if operation and axis:
                return replace(direction, name=f"{path}.weight", weight_norm=WeightNorm(operation, axis, style))
    return None


def _find_operation(shape: Sequence[int], bias: Sequence[int] | None) -> str | None:
    """Return the type of the operation with such weights; the filters of `transposed_conv` are its second axis."""
    if len(shape) == 2:
        return "fully_connected"
    if len(shape) not in (3, 4, 5) or 0 in shape:
        return None
    return "transposed_conv" if bias and bias[0] != shape[0] else "conv"


def _find_axis(operation: str, magnitude: Sequence[int], direction: Sequence[int]) -> str | None:
    """Return the axis of a direction that its magnitude keeps."""
    if not magnitude:
        return "none"
    for number, axis in enumerate(_AXES[operation]):
        kept = [size if position == number else 1 for position, size in enumerate(direction)]
        if kept == list(magnitude) and (axis != "kernel" or len(direction) == 3):
            return axis
    return None
