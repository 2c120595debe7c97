"""Plans as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paramgen.cli.tables import Column, print_table, show_shape
from paramgen.messages import escape
from paramgen.units import human_bytes

if TYPE_CHECKING:
    from paramgen.planning.plan import Plan
    from paramgen.planning.tensors import Tensor

COUNTS = {"fan_in", "fan_out", "parameters", "bytes"}


def print_plan(plan: Plan) -> None:
    """Print the tensors of a plan in the spec's order, and their totals."""
    titles = ("shape", "dtype", "initializer", "values", "fan_in", "fan_out", "parameters", "bytes")
    cells: dict[tuple[int, ...], tuple[str, ...]] = {}
    for tensor in plan.tensors:
        if tensor.cache_key not in cells:
            cells[tensor.cache_key] = _cells(tensor)
    by_title = zip(titles, zip(*(cells[tensor.cache_key] for tensor in plan.tensors), strict=True), strict=True)
    names = Column("name", [escape(tensor.name) for tensor in plan.tensors])
    print_table([names, *(Column(title, column, title in COUNTS) for title, column in by_title)])
    print(f"\n{escape(plan.name)}: {plan.summary()}, seed {plan.seed}, layout {plan.layout}")


def _cells(tensor: Tensor) -> tuple[str, ...]:
    """Return the cells of a tensor's row after its name."""
    parameters = tensor.resolved
    fans = ("" if fan is None else f"{fan:,}" for fan in (parameters[0].fan_in, parameters[0].fan_out))
    return (
        show_shape(tensor.rearrangement.shape),
        tensor.dtype.name,
        ", ".join(dict.fromkeys(parameter.initializer.type_name for parameter in parameters)),
        ", ".join(dict.fromkeys(parameter.summary() for parameter in parameters)),
        *fans,
        f"{tensor.size:,}",
        human_bytes(tensor.nbytes),
    )
