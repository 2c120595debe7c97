"""Differences of two specs: their plans are compared, and nothing is drawn."""

from typing import Any

import pytest

import paramgen
from paramgen.analysis.diff import Change, Differences
from paramgen.analysis.sources import PlanSource

SPEC: dict[str, Any] = {
    "seed": 3,
    "operations": [
        {"name": "embed", "type": "embedding", "vocabulary_size": 9, "embedding_dimension": 5, "padding_index": 2},
        {"name": "head", "type": "fully_connected", "input_size": 8, "output_size": 3},
    ],
}


@pytest.fixture(autouse=True)
def nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(PlanSource, "read_into")


def diff(*operations: dict[str, Any], ignore: tuple[str, ...] = (), **changes: Any) -> Differences:
    """Compare SPEC with itself after changes; `operations` update those of the same place."""
    changed = [{**old, **new} for old, new in zip(SPEC["operations"], operations, strict=False)]
    other = {**SPEC, "operations": [*changed, *SPEC["operations"][len(operations) :]], **changes}
    return paramgen.diff(paramgen.load_spec(SPEC), paramgen.load_spec(other), ignore=ignore)


def test_equal_specs() -> None:
    result = diff()
    assert result.equal and result.common == 3


def test_seeds_and_layouts() -> None:
    assert (diff(seed=4).seed, diff(seed=4).equal) == ((3, 4), False)
    result = diff(layout="torch")
    assert (result.layout, result.equal) == (("canonical", "torch"), False)
    assert (result.only_in_a[0], result.only_in_b[0]) == ("embed.weights", "embed.weight")


def test_shapes_and_what_follows_from_them() -> None:
    (change,) = diff({}, {"input_size": 9}).changed
    shapes, bounds = ((3, 8), (3, 9)), ("uniform ±0.738549", "uniform ±0.707107")
    assert change == Change("head.weights", ("float32", "float32"), shapes, distribution=bounds)


def test_initializers_dtypes_and_padding() -> None:
    (change,) = diff({"initializers": {"weights": "zeros"}}).changed
    assert change.distribution is not None and change.distribution[1] == "0, zero at 2"
    changes = diff({}, {"dtype": "float16"}).changed
    assert [(change.name, change.dtype, change.distribution) for change in changes] == [
        ("head.weights", ("float32", "float16"), None),
        ("head.bias", ("float32", "float16"), None),
    ]
    (change,) = diff({"padding_index": 3}).changed
    assert change.distribution is not None and change.distribution[0].endswith("zero at 2")


def test_tensors_of_one_spec_and_ignored_names() -> None:
    result = diff({}, {"bias": False})
    assert (result.only_in_a, result.only_in_b, result.common) == (("head.bias",), (), 2)
    assert diff({}, {"bias": False}, ignore=("*.bias",)).equal


def test_a_parameter_under_another_canonical_name_has_other_values() -> None:
    own = {"name": "e", "type": "embedding", "vocabulary_size": 9, "embedding_dimension": 5}
    shape = {"shape": [9, 5], "initializer": {"type": "gaussian", "std": 1}}
    custom = {"name": "e", "type": "custom", "parameters": {"weight": shape}}
    specs = [{"layout": "torch", "operations": [operation]} for operation in (own, custom)]
    (change,) = paramgen.diff(*map(paramgen.load_spec, specs)).changed
    assert change.canonical_name == ("e.weights", "e.weight")
