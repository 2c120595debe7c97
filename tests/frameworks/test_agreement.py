"""The comparison of tensors finds each error that a spec of a model can have, and nothing else."""

from typing import Any

import numpy as np
import pytest
from agreement import differences
from helpers import SMALL
from model_cases import path_of, sample

import paramgen

THEIRS, OURS = range(10), range(10, 20)
WTE = "transformer.wte.weight"
EMBEDDING = {"name": "embed", "type": "embedding", "vocabulary_size": 50, "embedding_dimension": 9}
UNPADDED = {"layout": "torch", "operations": [EMBEDDING]}
PADDED = {"layout": "torch", "operations": [{**EMBEDDING, "padding_index": 3}]}


def compare(*overrides: dict[str, Any]) -> list[str]:
    """Compare the spec of GPT-2 with the same one with more overrides, from other seeds."""
    source = paramgen.load_spec(path_of("gpt2"), variables=SMALL["gpt2"]).source
    changed = {**source, "overrides": [*source["overrides"], *overrides]}
    return differences(sample(source, THEIRS), sample(changed, OURS))


def test_equal_distributions_agree() -> None:
    assert compare() == []
    assert differences(sample(PADDED, THEIRS), sample(PADDED, OURS)) == []


@pytest.mark.parametrize(
    ("initializer", "found"),
    [
        pytest.param({"type": "gaussian", "std": 0.021}, ["std"], id="std"),
        pytest.param({"type": "gaussian", "std": 0.02, "mean": 0.002}, ["mean", "Kolmogorov-Smirnov,"], id="mean"),
        pytest.param({"type": "uniform", "bound": 0.02 * 3**0.5}, ["bounds", "Kolmogorov-Smirnov,"], id="type"),
        pytest.param({"type": "truncated_normal", "std": 0.0228}, ["bounds"], id="bounds"),
        pytest.param("zeros", ["constant"], id="constant"),
    ],
)
def test_another_distribution_is_found(initializer: Any, found: list[str]) -> None:
    lines = compare({"match": "*.wte.weights", "initializer": initializer})
    assert [line.split(": ")[0] for line in lines] == [WTE] * len(found)
    assert [line.split(": ")[1].split()[0] for line in lines] == found


def test_another_constant_is_found() -> None:
    assert compare({"match": "*.ln_f.scale", "initializer": {"type": "constant", "value": 1.00001}}) == [
        "transformer.ln_f.weight: constants up to 1e-05 apart"
    ]


def test_a_missing_padding_row_is_found() -> None:
    assert differences(sample(PADDED, THEIRS), sample(UNPADDED, OURS)) == ["embed.weight: constant elements: 9 and 0"]


def test_another_padding_row_is_found() -> None:
    """Compare masks of constant elements, not their numbers."""
    theirs = sample(PADDED, THEIRS)
    ours = [{name: np.roll(array, 1, axis=0) for name, array in tensors.items()} for tensors in sample(PADDED, OURS)]
    assert differences(theirs, ours) == ["embed.weight: constant elements: 9 and 9"]


def test_other_names_and_shapes_are_found() -> None:
    one, other = {"a": np.zeros(3), "b": np.ones(2)}, {"a": np.zeros(4), "b": np.ones(2)}
    assert differences([one], [other]) == ["a: shape (3,) and (4,)"]
    assert differences([one], [{"a": one["a"]}]) == ["names: ['b']"]
