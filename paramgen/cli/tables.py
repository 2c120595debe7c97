"""Plans and files as tables that a person reads."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from paramgen.catalog.distributions import (
    Constant,
    DeltaOrthogonal,
    Distribution,
    Normal,
    Orthogonal,
    PeriodicConstant,
    TruncatedNormal,
    Uniform,
)
from paramgen.formatting import counted, escape, human_bytes, human_parameters, number, print_table, shorten

if TYPE_CHECKING:
    from paramgen.analysis.inspect import Statistics
    from paramgen.planning.plan import Plan, Tensor
    from paramgen.sampling.devices import Device
    from paramgen.storage.header import Entry
    from paramgen.storage.reader import TensorFile

LONGEST_METADATA = 100


def print_plan(plan: Plan) -> None:
    """The tensors of a plan in the spec's order, and their totals."""
    titles = ("name", "shape", "dtype", "initializer", "values", ">fan_in", ">fan_out", ">parameters", ">bytes")
    cells: dict[tuple[int, ...], tuple[str, ...]] = {}
    rows = []
    for tensor in plan.tensors:
        if tensor.key not in cells:
            cells[tensor.key] = _cells(tensor)
        rows.append((escape(tensor.name), *cells[tensor.key]))
    print_table(titles, list(zip(*rows, strict=True)))
    totals = _totals(len(rows), plan.total_parameters, plan.total_bytes)
    print(f"\n{escape(plan.name)}: {totals}, seed {plan.seed}, layout {plan.layout}")


def _cells(tensor: Tensor) -> tuple[str, ...]:
    """The cells of a tensor's row but for its name."""
    specs = tensor.specs
    fans = ("" if fan is None else f"{fan:,}" for fan in (specs[0].fan_in, specs[0].fan_out))
    return (
        _shape(tensor.rearrangement.shape),
        tensor.dtype.name,
        ", ".join(dict.fromkeys(spec.initializer.type_name for spec in specs)),
        ", ".join(dict.fromkeys(values(spec.distribution) for spec in specs)),
        *fans,
        f"{tensor.size:,}",
        human_bytes(tensor.nbytes),
    )


def values(distribution: Distribution) -> str:
    """A distribution with its numbers, in a few characters."""
    match distribution:
        case Constant(value):
            text = number(value)
        case Uniform(bound):
            text = f"uniform ±{number(bound)}"
        case Normal(mean, std):
            text = f"normal {number(mean)}, std {number(std)}"
        case TruncatedNormal(mean, std):
            low, high = (number(distribution.fields()[limit]) for limit in ("low", "high"))
            text = f"normal {number(mean)}, std {number(std)}, in {low} … {high}"
        case Orthogonal(gain) | DeltaOrthogonal(gain):
            text = "orthonormal" if gain == 1 else f"orthonormal × {number(gain)}"
        case PeriodicConstant("unit_forget_gate"):
            text = "ones for the forget gate"
        case PeriodicConstant(_, value):
            text = f"{number(value)} in zeros"
    return text


def print_inspection(file: TensorFile, entries: Sequence[Entry], statistics: Sequence[Statistics] | None) -> None:
    """Print tensors of a file as a table, with their totals."""
    for key, value in sorted(file.metadata.items()):
        print(f"{escape(key)}: {escape(shorten(value, LONGEST_METADATA))}")
    if file.metadata:
        print()
    sizes = [prod(entry.shape) for entry in entries]
    # Columns, not rows: a tuple for each of a million tensors costs half a second.
    columns = {
        "name": [escape(entry.name) for entry in entries],
        "shape": [_shape(entry.shape) for entry in entries],
        "dtype": [entry.dtype.name for entry in entries],
        ">parameters": [f"{size:,}" for size in sizes],
        ">bytes": [human_bytes(entry.end - entry.begin) for entry in entries],
    }
    if statistics:
        for key in ("mean", "std", "min", "max", "zeros", "nan", "inf"):
            columns[f">{key}"] = [_statistic(found, key) for found in statistics]
    print_table(list(columns), list(columns.values()))
    size = sum(entry.end - entry.begin for entry in entries)
    of_all = f" (of {counted(len(file.entries), 'tensor')})" if len(entries) < len(file.entries) else ""
    print(f"\n{file.shown}: {_totals(len(entries), sum(sizes), size)}{of_all}")


def print_devices(devices: Sequence[Device]) -> None:
    """What can draw, and what cannot, with the reason."""
    rows = [(device.name, "yes" if device.usable else "no", escape(device.description)) for device in devices]
    print_table(("device", "usable", "what it is, or what is missing"), list(zip(*rows, strict=True)))


def _statistic(stats: dict[str, Any] | None, key: str) -> str:
    value = None if stats is None else stats[key]
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else number(value)


def _shape(shape: Sequence[int]) -> str:
    return str(list(shape))


def _totals(tensors: int, parameters: int, size: int) -> str:
    return f"{counted(tensors, 'tensor')}, {human_parameters(parameters)}, {human_bytes(size)}"
