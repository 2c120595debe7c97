"""Differences between two plans: nothing is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from paramgen.analysis.diff import Change, Differences
from paramgen.analysis.sources import select_names
from paramgen.planning.plan import Plan
from paramgen.planning.tensors import Tensor


def compare_plans(a: Plan, b: Plan, *, ignore: Sequence[str] = ()) -> Differences:
    """Compare the tensors of two plans by name: dtype, shape, distribution, canonical name; and seeds, layouts.

    Names that match a glob of `ignore` are left out. Tensors without any difference have the same values.
    """
    tensors_a, tensors_b = ({tensor.name: tensor for tensor in plan.tensors} for plan in (a, b))
    names_a, names_b = (select_names(tensors, ignore) for tensors in (tensors_a, tensors_b))
    common = [name for name in names_a if name in tensors_b]
    changes = [_compare_tensors(tensors_a[name], tensors_b[name]) for name in common]
    return Differences(
        only_in_a=tuple(name for name in names_a if name not in tensors_b),
        only_in_b=tuple(name for name in names_b if name not in tensors_a),
        changed=tuple(change for change in changes if change),
        values=(),
        common=len(common),
        seed=(a.seed, b.seed) if a.seed != b.seed else None,
        layout=(a.layout, b.layout) if a.layout != b.layout else None,
    )


def _compare_tensors(a: Tensor, b: Tensor) -> Change | None:
    """Return how two tensors with the same name differ, None if they do not."""
    summaries = [", ".join(dict.fromkeys(part.summary() for part in tensor.resolved)) for tensor in (a, b)]
    distributions = [[(part.distribution, part.padding_index) for part in tensor.resolved] for tensor in (a, b)]
    names = [tensor.canonical_name for tensor in (a, b)]
    change = Change(
        a.name,
        dtype=(a.dtype.name, b.dtype.name),
        shape=(a.shape, b.shape),
        distribution=(summaries[0], summaries[1]) if distributions[0] != distributions[1] else None,
        canonical_name=(names[0], names[1]) if names[0] != names[1] else None,
    )
    is_equal = a.dtype == b.dtype and a.shape == b.shape and not (change.distribution or change.canonical_name)
    return None if is_equal else change
