"""Explanations: the printed numbers give the plan's distributions, and the drawn values agree with these."""

import json
import math
from typing import Any

import numpy as np
import pytest
from helpers import ROOT

import paramgen
from paramgen.analysis.explain import Explanation, ParameterExplanation, explain
from paramgen.catalog.initializers import INITIALIZERS

FUNCTIONS = {"sqrt": math.sqrt, "log": math.log, "exp": math.exp, "min": min, "max": max, "abs": abs}
NAMES = ("initializers", "computed_values", "dtypes")


def explained_parameters() -> dict[str, ParameterExplanation]:
    """Return an explanation for each initializer of some specs, by its JSON and the distribution's."""
    found: dict[str, ParameterExplanation] = {}
    for name in NAMES:
        spec = paramgen.load_spec(ROOT / "configs" / f"{name}.yaml")
        wanted = {}
        for row in spec.plan.rows():
            wanted.setdefault(json.dumps([row["initializer"], row["distribution"]]), row["name"])
        for key, tensor in wanted.items():
            found.setdefault(key, explain(spec, tensor).parameters[0])
    return found


PARAMETERS = explained_parameters()
CASES = [
    pytest.param(case, id=f"{number}-{case.initializer['type']}") for number, case in enumerate(PARAMETERS.values())
]


def test_every_initializer_is_explained() -> None:
    explained = {case.initializer["type"] for case in PARAMETERS.values()}
    assert {model.names()[0] for model in INITIALIZERS} - explained == set()
    assert all(case.rule and case.equations for case in PARAMETERS.values())


@pytest.mark.parametrize("case", CASES)
def test_printed_numbers_give_the_distribution(case: ParameterExplanation) -> None:
    """Evaluate each formula as printed, and find the numbers of the plan among the results."""
    for equation in case.equations:
        text = str(equation)
        assert text.startswith(f"{equation.name} = ")
        for part in text.split(" = ")[1:] if case.initializer["type"] != "formula" else text.split(" = ")[-1:]:
            if part == equation.formula and equation.numbers:
                continue  # with names
            assert eval(part, FUNCTIONS) == pytest.approx(equation.value, rel=2e-5), text
    numbers = [abs(equation.value) for equation in case.equations]
    for key, number in case.distribution.items():
        if (
            isinstance(number, int | float)
            and case.distribution["type"] != "table"
            and key not in ("interleaved", "padding_index")
        ):
            assert any(abs(number) == pytest.approx(other) for other in numbers), (key, number, case.equations)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.values[0].values and case.values[0].values.expected_counts]
)
def test_drawn_values_agree_with_the_distribution(case: Any) -> None:
    """Compare histograms; a bin's count is within six standard deviations of a Poisson distribution."""
    values = case.values
    assert sum(values.counts) == values.count
    assert sum(values.expected_counts) == pytest.approx(values.count)
    for count, expected in zip(values.counts, values.expected_counts, strict=True):
        assert abs(count - expected) <= 6 * math.sqrt(expected) + 6
    if values.expected_mean is not None:
        assert values.mean == pytest.approx(values.expected_mean, abs=6 * values.std / math.sqrt(values.count))


SPEC = {
    "seed": 7,
    "layout": "torch",
    "operations": [
        {"name": "conv", "type": "conv", "filter_size": [5, 5], "num_channels": 3, "num_filters": 128},
        {"name": "att", "type": "multihead_attention", "input_size": 8, "num_heads": 2},
        {"name": "norm", "type": "batchnorm", "num_channels": 4},
        {"name": "large", "type": "fully_connected", "input_size": 3000, "output_size": 3000, "bias": False},
    ],
    "overrides": [{"match": "large.*", "initializer": "orthogonal"}],
}


@pytest.mark.parametrize("name", ["conv.weight", "att.in_proj_weight", "norm.num_batches_tracked"])
def test_first_values_are_those_of_the_file(name: str) -> None:
    expected = paramgen.sample(SPEC, flat=True)[name].reshape(-1)[:5]
    assert explain(SPEC, name).first_values == tuple(expected.tolist())


def test_fans_are_products() -> None:
    (conv,) = explain(SPEC, "conv.weights").parameters
    assert (conv.fan_in, conv.fan_out) == (75, 3200)
    assert conv.fan_factors == ((5, 5, 3), (5, 5, 128))
    torch = explain({**SPEC, "conventions": "torch"}, "conv.weights").parameters[0]
    assert (torch.fan_in, torch.fan_out, torch.fan_factors) == (75, 3200, ((3, 5, 5), (128, 5, 5)))


def test_a_canonical_name_selects_one_of_the_joined_parameters() -> None:
    whole, part = explain(SPEC, "att.in_proj_weight"), explain(SPEC, "att.key_weights")
    assert [parameter.name for parameter in whole.parameters] == [
        "att.query_weights",
        "att.key_weights",
        "att.value_weights",
    ]
    assert part.parameters == whole.parameters[1:2] and part.name == whole.name


def test_large_matrices_are_not_drawn() -> None:
    explanation = explain(SPEC, "large.weight")
    assert explanation.first_values is None and explanation.parameters[0].values is None


def test_values_are_those_of_the_stream() -> None:
    (conv,) = explain(SPEC, "conv.weight").parameters
    array = paramgen.initialize("glorot", [5, 5, 3, 128], fan_in=75, fan_out=3200, seed=7, name="conv.weights")
    assert conv.values is not None
    assert conv.values.mean == pytest.approx(float(array.mean(dtype=np.float64)))
    assert sum(conv.values.counts) == array.size
    # Fine bins are summed, so that values beside an edge may be in the next bin.
    np.testing.assert_allclose(conv.values.counts, np.histogram(array.astype(np.float64), 32)[0], atol=3)


def test_a_description_is_json() -> None:
    explanation = explain(SPEC, "conv.weight")
    assert isinstance(explanation, Explanation)
    assert repr(explanation) == "<Explanation 'conv.weight': conv.weights, glorot>"
    described = json.loads(json.dumps(explanation.describe(), allow_nan=False))
    assert described["parameters"][0]["equations"][-1]["text"].endswith("= sqrt(6 / (75 + 3200)) = 0.0428026")
    assert {setting["setting"]: setting["line"] for setting in described["settings"]} == {"layout": None, "seed": None}
