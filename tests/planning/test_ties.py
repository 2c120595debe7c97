"""Tied parameters: omitted, or written with the values of the tensor that they are tied to."""

from typing import Any

import numpy as np
import pytest
from golden import Golden

import paramgen

EMBEDDING = {"name": "embed", "type": "embedding", "embedding_dimension": 4, "vocabulary_size": 6}
HEAD = {"name": "head", "type": "fully_connected", "input_size": 4, "output_size": 6, "bias": False}
ATTENTION = {"name": "attention", "type": "multihead_attention", "input_size": 4, "num_heads": 2}
TIED = {**HEAD, "tie": {"weights": "embed.weights"}}


def spec(*operations: dict[str, Any], **head: Any) -> dict[str, Any]:
    return {"layout": "torch", **head, "operations": list(operations)}


def test_a_tied_parameter_is_omitted() -> None:
    plan = paramgen.plan(spec(EMBEDDING, TIED))
    assert [tensor.name for tensor in plan.tensors] == ["embed.weight"]
    assert plan.total_parameters == 24


@pytest.mark.parametrize("operations", [(EMBEDDING, TIED), (TIED, EMBEDDING)])
def test_a_copy_has_the_values_of_its_target(operations: tuple[dict[str, Any], ...]) -> None:
    tied = spec(*operations, ties="copy")
    arrays = paramgen.sample(tied, flat=True)
    assert list(arrays) == [f"{operation['name']}.weight" for operation in operations]
    assert np.array_equal(arrays["head.weight"], arrays["embed.weight"])
    plan = paramgen.plan(tied)
    assert (plan.total_parameters, plan.total_bytes) == (24, 192)
    assert np.array_equal(arrays["embed.weight"], paramgen.sample(spec(EMBEDDING), flat=True)["embed.weight"])


def test_a_copy_follows_overrides_of_its_target() -> None:
    overrides = [{"match": "embed.*", "initializer": "ones", "dtype": "float16"}]
    arrays = paramgen.sample(spec(EMBEDDING, TIED, ties="copy", overrides=overrides), flat=True)
    assert arrays["head.weight"].dtype == np.float16
    assert (arrays["head.weight"] == 1).all()


def test_the_canonical_layout_lists_a_model_whose_ties_match_in_its_own() -> None:
    plan = paramgen.plan(spec(EMBEDDING, TIED, layout="canonical"))
    assert [tensor.name for tensor in plan.tensors] == ["embed.weights"]


MISTAKES: dict[str, dict[str, Any]] = {
    "an unknown parameter": spec(EMBEDDING, {**HEAD, "tie": {"weight": "embed.weights"}}),
    "an unknown target": spec(EMBEDDING, {**HEAD, "tie": {"weights": "embed.weight"}}),
    "an unknown target like no other": spec(EMBEDDING, {**HEAD, "tie": {"weights": "decoder.kernel"}}),
    "a target that the layout joins": spec(ATTENTION, {**HEAD, "tie": {"weights": "attention.query_weights"}}),
    "another size": spec(EMBEDDING, {**TIED, "input_size": 5}),
    "another shape": spec(EMBEDDING, TIED, layout="canonical", ties="copy"),
    "a transposed shape": spec(EMBEDDING, {**TIED, "input_size": 6, "output_size": 4}),
    "an omitted target": spec({**EMBEDDING, "when": False}, TIED),
    "a tied target": spec(EMBEDDING, TIED, {**TIED, "name": "again", "tie": {"weights": "head.weights"}}),
    "itself": spec({**HEAD, "tie": {"weights": "head.weights"}}),
    "an override": spec(EMBEDDING, TIED, overrides=[{"match": "head.*", "dtype": "float16"}]),
    "an initializer": spec(EMBEDDING, {**TIED, "initializers": {"weights": "ones"}}),
    "a list": spec(EMBEDDING, {**HEAD, "tie": ["weights"]}),
    "a number": spec(EMBEDDING, {**HEAD, "tie": {"weights": 3}}),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_wrong_tie_is_one_error(case: str, golden: Golden) -> None:
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec(MISTAKES[case])
    assert caught.value.total == 1
    golden(caught.value)


CYCLES: dict[str, dict[str, Any]] = {
    "two parameters": spec(
        {**HEAD, "name": "a", "tie": {"weights": "b.weights"}}, {**HEAD, "name": "b", "tie": {"weights": "a.weights"}}
    ),
    "a repetition's first": spec({**HEAD, "name": "l", "repeat": 2, "tie": {"weights": "l.0.weights"}}),
}


@pytest.mark.parametrize("case", CYCLES)
def test_no_tie_in_a_cycle_is_offered_as_a_fix(case: str, golden: Golden) -> None:
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec(CYCLES[case])
    assert not any("tie to a.weights" in line or "tie to l.0" in line for line in str(caught.value).splitlines())
    golden(caught.value)
