"""Plans as trees and as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from paramgen.cli.tables import Column, print_table, show_shape
from paramgen.messages import escape
from paramgen.units import human_bytes, pluralize

if TYPE_CHECKING:
    from paramgen.planning.plan import Plan
    from paramgen.planning.tensors import Tensor

COUNTS = {"fan_in", "fan_out", "parameters", "bytes"}

Cells = TypeVar("Cells")


def print_plan_tree(plan: Plan, tensors: Sequence[Tensor], *, depth: int | None, by_bytes: bool) -> None:
    """Print tensors of a plan as a tree in which equal layers are folded, and their totals."""
    from paramgen.cli.tree_tables import print_tree
    from paramgen.name_tree import TreeTensor, fold

    numbers = {file.name: number for number, file in enumerate(plan.files, 1)}
    files = {name: numbers[file] for name, file in plan.files_of_tensors().items()}
    notes = _cache_cells(_notes)
    dtypes = {tensor.dtype.name for tensor in tensors}
    nodes = fold(
        TreeTensor(tensor.name, tensor.dtype, tensor.shape, notes(tensor), files.get(tensor.name)) for tensor in tensors
    )
    print_tree(
        nodes,
        plan.total_bytes,
        notes=("initializer", "values"),
        with_dtype=len(dtypes) > 1,
        depth=depth,
        by_bytes=by_bytes,
    )
    _print_totals(plan, tensors, [f"all {dtypes.pop()}"] if len(dtypes) == 1 else [])


def print_plan(plan: Plan, tensors: Sequence[Tensor]) -> None:
    """Print tensors of a plan as a table, and their totals."""
    titles = ("shape", "dtype", "initializer", "values", "fan_in", "fan_out", "parameters", "bytes")
    cells = _cache_cells(_cells)
    rows = [cells(tensor) for tensor in tensors]
    by_title = zip(titles, zip(*rows, strict=True) if rows else [()] * len(titles), strict=True)
    columns = [Column("name", [escape(tensor.name) for tensor in tensors])]
    columns += (Column(title, column, title in COUNTS) for title, column in by_title)
    if files := plan.files_of_tensors():
        columns.append(Column("file", [files[tensor.name] for tensor in tensors]))
    print_table(columns)
    _print_totals(plan, tensors)


def _print_totals(plan: Plan, tensors: Sequence[Tensor], notes: Sequence[str] = ()) -> None:
    """Print the last lines: the counts of the tensors, and what they have in common."""
    count = len(plan.tensors)
    of_all = f" (of {pluralize(count, 'tensor')})" if len(tensors) < count else ""
    parts = [f"{escape(plan.name)}: {plan.summary(tensors)}{of_all}"]
    if len(plan.files) > 1:
        parts.append(f"in {pluralize(len(plan.files), 'file')}")
    text = ", ".join([*parts, f"seed {plan.seed}", f"layout {plan.layout}", *notes])
    print(f"\n{text}")  # one line, also for `tail`


def _cache_cells(describe: Callable[[Tensor], Cells]) -> Callable[[Tensor], Cells]:
    """Return a function that describes tensors, those that differ only in name once."""
    known: dict[tuple[int, ...], Cells] = {}

    def cached(tensor: Tensor) -> Cells:
        key = tensor.cache_key
        if key not in known:
            known[key] = describe(tensor)
        return known[key]

    return cached


def _notes(tensor: Tensor) -> tuple[str, ...]:
    """Return the notes of a tensor in a tree: its initializers and values."""
    return (
        ", ".join(dict.fromkeys(parameter.initializer.type_name for parameter in tensor.resolved)),
        ", ".join(dict.fromkeys(parameter.distribution.brief() for parameter in tensor.resolved)),
    )


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
