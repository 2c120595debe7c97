"""Conventions: fans and default initializers by each framework's rules, in numbers computed by hand from its documentation."""

import math
from typing import Any

import pytest
from golden import Golden
from helpers import plan_operations

import paramgen
from paramgen.catalog.frameworks.tables import CONVENTIONS, LAYOUTS, parameter_defs_by_convention
from paramgen.catalog.operations import OPERATIONS, OPERATIONS_BY_TYPE

TRUNCATED = 0.87962566103423978  # of Keras and JAX: the standard deviation of a standard normal truncated at ±2


def uniform(bound: float) -> dict[str, Any]:
    return {"type": "uniform", "low": -bound, "high": bound}


def normal(std: float) -> dict[str, Any]:
    return {"type": "normal", "mean": 0.0, "std": std}


def lecun(fan_in: int) -> dict[str, Any]:
    std = math.sqrt(1 / fan_in) / TRUNCATED
    return {"type": "truncated_normal", "mean": 0.0, "std": std, "low": -2 * std, "high": 2 * std}


def glorot(total: int) -> dict[str, Any]:
    return uniform(math.sqrt(6 / total))


def constant(value: float) -> dict[str, Any]:
    return {"type": "constant", "value": value}


ZEROS, ONES = constant(0.0), constant(1.0)
ORTHOGONAL = {"type": "orthogonal", "gain": 1.0}

DENSE = {"type": "fully_connected", "input_size": 50, "output_size": 20}
CONV = {"type": "conv", "filter_size": [3, 5], "num_channels": 4, "num_filters": 10}
GROUPED = {
    "type": "conv",
    "filter_size": [3, 5],
    "num_groups": 2,
    "num_channels_per_group": 4,
    "num_filters_per_group": 10,
}
WISE = {
    "type": "conv",
    "filter_size": [3, 5],
    "num_groups": "channel-wise",
    "num_channels": 6,
    "num_filters_per_group": 2,
}
TRANSPOSED = {**CONV, "type": "transposed_conv"}
SEPARABLE = {
    "type": "separable_conv",
    "filter_size": [3, 5],
    "num_channels": 4,
    "num_filters": 10,
    "depth_multiplier": 2,
}
RNN = {"type": "rnn", "input_size": 5, "num_hidden_units": 16}
GRU = {"type": "gru", "input_size": 5, "num_hidden_units": 16}
LSTM = {"type": "lstm", "input_size": 5, "num_hidden_units": 16}
ATTENTION = {"type": "multihead_attention", "input_size": 12, "num_heads": 3}
EMBEDDING = {"type": "embedding", "embedding_dimension": 25, "vocabulary_size": 100}
EXPERTS = {"type": "experts", "num_experts": 4, "input_size": 7, "num_hidden_units": 5}
STATE_SPACE = {"type": "state_space", "num_channels": 6, "state_size": 4}
LOGARITHMS = {"type": "table", "low": 0.0, "high": math.log(4), "length": 4, "run": 1}

Rows = dict[str, tuple[int | None, int | None, dict[str, Any]]]

# A convention, an operation, and each parameter's fan_in, fan_out and distribution.
ROWS: list[tuple[str, dict[str, Any], Rows]] = [
    # PyTorch: kaiming_uniform_(a=√5), which is ±1/√fan_in, and biases ±1/√fan_in of the weights.
    (
        "torch",
        DENSE,
        {"weights": (50, 20, uniform(1 / math.sqrt(50))), "bias": (None, None, uniform(1 / math.sqrt(50)))},
    ),
    # transformers.pytorch_utils.Conv1D: its weight is [50, 20], so fan_in is the outputs.
    (
        "torch",
        {**DENSE, "transposed": True},
        {"weights": (20, 50, normal(0.02)), "bias": (None, None, ZEROS)},
    ),
    (
        "torch",
        CONV,
        {"weights": (60, 150, uniform(1 / math.sqrt(60))), "bias": (None, None, uniform(1 / math.sqrt(60)))},
    ),
    # Its weight is [20, 4, 3, 5]: all filters count, the channels of a group only.
    (
        "torch",
        GROUPED,
        {"weights": (60, 300, uniform(1 / math.sqrt(60))), "bias": (None, None, uniform(1 / math.sqrt(60)))},
    ),
    # Its weight is [4, 10, 3, 5]; the second axis, the filters, gives fan_in.
    (
        "torch",
        TRANSPOSED,
        {"weights": (150, 60, uniform(1 / math.sqrt(150))), "bias": (None, None, uniform(1 / math.sqrt(150)))},
    ),
    (
        "torch",
        SEPARABLE,
        {
            "depthwise_weights": (15, 120, uniform(1 / math.sqrt(15))),
            "pointwise_weights": (8, 10, uniform(1 / math.sqrt(8))),
            "bias": (None, None, uniform(1 / math.sqrt(8))),
        },
    ),
    *(
        (
            "torch",
            operation,
            {
                "input_weights": (5, gates * 16, uniform(0.25)),
                "recurrent_weights": (16, gates * 16, uniform(0.25)),
                "bias": (None, None, uniform(0.25)),
            },
        )
        for operation, gates in ((RNN, 1), (GRU, 3), (LSTM, 4))
    ),
    # xavier_uniform_ of the fused in_proj_weight, [36, 12]; out_proj as any linear layer.
    (
        "torch",
        ATTENTION,
        {
            **{f"{kind}_weights": (12, 36, glorot(48)) for kind in ("query", "key", "value")},
            "output_weights": (12, 12, uniform(1 / math.sqrt(12))),
            **{f"{kind}_bias": (None, None, ZEROS) for kind in ("query", "key", "value", "output")},
        },
    ),
    ("torch", EMBEDDING, {"weights": (25, 100, normal(1.0))}),
    ("torch", {"type": "prelu"}, {"alpha": (None, None, constant(0.25))}),
    # As linear layers, one per expert: transformers' MixtralExperts has [4, 10, 7] and [4, 7, 5].
    (
        "torch",
        EXPERTS,
        {
            "gate_up_weights": (7, 10, uniform(1 / math.sqrt(7))),
            "down_weights": (5, 7, uniform(1 / math.sqrt(5))),
        },
    ),
    ("torch", STATE_SPACE, {"a_log": (None, None, LOGARITHMS), "d": (None, None, ONES)}),
    # Keras: glorot_uniform and zeros, fans of the last two axes and all before them.
    ("keras", DENSE, {"weights": (50, 20, glorot(70)), "bias": (None, None, ZEROS)}),
    ("keras", CONV, {"weights": (60, 150, glorot(210)), "bias": (None, None, ZEROS)}),
    ("keras", GROUPED, {"weights": (60, 300, glorot(360)), "bias": (None, None, ZEROS)}),
    # A depthwise kernel is [3, 5, 6, 2].
    ("keras", WISE, {"weights": (90, 30, glorot(120)), "bias": (None, None, ZEROS)}),
    # A transposed kernel is [3, 5, 10, 4]: the axis for fan_in holds the filters.
    ("keras", TRANSPOSED, {"weights": (150, 60, glorot(210)), "bias": (None, None, ZEROS)}),
    (
        "keras",
        SEPARABLE,
        {
            "depthwise_weights": (60, 30, glorot(90)),
            "pointwise_weights": (8, 10, glorot(18)),
            "bias": (None, None, ZEROS),
        },
    ),
    *(
        (
            "keras",
            operation,
            {
                "input_weights": (5, gates * 16, glorot(5 + gates * 16)),
                "recurrent_weights": (16, gates * 16, ORTHOGONAL),
                "bias": (None, None, bias),
            },
        )
        for operation, gates, bias in ((RNN, 1, ZEROS), (GRU, 3, ZEROS), (LSTM, 4, {"type": "unit_forget_gate"}))
    ),
    # Kernels [12, 3, 4] and [3, 4, 12] count as matrices.
    (
        "keras",
        ATTENTION,
        {
            **{f"{kind}_weights": (12, 12, glorot(24)) for kind in ("query", "key", "value", "output")},
            **{f"{kind}_bias": (None, None, ZEROS) for kind in ("query", "key", "value", "output")},
        },
    ),
    ("keras", EMBEDDING, {"weights": (100, 25, uniform(0.05))}),
    ("keras", {"type": "prelu"}, {"alpha": (None, None, ZEROS)}),
    # Flax: lecun_normal (truncated and widened), and zeros.
    ("flax", DENSE, {"weights": (50, 20, lecun(50)), "bias": (None, None, ZEROS)}),
    ("flax", CONV, {"weights": (60, 150, lecun(60)), "bias": (None, None, ZEROS)}),
    ("flax", GROUPED, {"weights": (60, 300, lecun(60)), "bias": (None, None, ZEROS)}),
    ("flax", WISE, {"weights": (15, 180, lecun(15)), "bias": (None, None, ZEROS)}),
    ("flax", TRANSPOSED, {"weights": (60, 150, lecun(60)), "bias": (None, None, ZEROS)}),
    (
        "flax",
        SEPARABLE,
        {
            "depthwise_weights": (15, 120, lecun(15)),
            "pointwise_weights": (8, 10, lecun(8)),
            "bias": (None, None, ZEROS),
        },
    ),
    # A kernel for each gate; each recurrent kernel is orthogonal.
    *(
        (
            "flax",
            operation,
            {
                "input_weights": (5, 16, lecun(5)),
                "recurrent_weights": (16, 16, {**ORTHOGONAL, **({"matrices": gates} if gates > 1 else {})}),
                "bias": (None, None, ZEROS),
            },
        )
        for operation, gates in ((RNN, 1), (GRU, 3), (LSTM, 4))
    ),
    (
        "flax",
        ATTENTION,
        {
            **{f"{kind}_weights": (12, 12, lecun(12)) for kind in ("query", "key", "value", "output")},
            **{f"{kind}_bias": (None, None, ZEROS) for kind in ("query", "key", "value", "output")},
        },
    ),
    # variance_scaling(1, fan_in, normal, out_axis=0) of [100, 25] comes to a variance of 1/25.
    ("flax", EMBEDDING, {"weights": (100, 25, normal(0.2))}),
    ("flax", {"type": "prelu"}, {"alpha": (None, None, constant(0.01))}),
    *(
        (convention, {"type": kind, "num_channels": 6}, {"offset": (None, None, ZEROS), "scale": (None, None, ONES)})
        for convention in ("torch", "keras", "flax")
        for kind in ("batchnorm", "layer_norm", "group_norm", "instance_norm")
    ),
    *(
        (convention, {"type": "rms_norm", "num_channels": 6}, {"scale": (None, None, ONES)})
        for convention in ("torch", "keras", "flax")
    ),
]


@pytest.mark.parametrize(("convention", "operation", "expected"), ROWS, ids=lambda value: str(value)[:50])
def test_default_initializers_equal_the_table(convention: str, operation: dict[str, Any], expected: Rows) -> None:
    tensors = plan_operations({"name": "n", **operation}, conventions=convention)
    assert [tensor["name"] for tensor in tensors] == [f"n.{name}" for name in expected]
    for tensor, (fan_in, fan_out, distribution) in zip(tensors, expected.values(), strict=True):
        assert (tensor["fan_in"], tensor["fan_out"]) == (fan_in, fan_out), tensor["name"]
        assert tensor["distribution"].keys() == distribution.keys()
        for field, value in distribution.items():
            assert tensor["distribution"][field] == (pytest.approx(value, rel=1e-15) if field != "type" else value)


def test_every_operation_has_its_rows() -> None:
    for convention in ("torch", "keras", "flax"):
        there = {OPERATIONS_BY_TYPE[operation["type"]] for name, operation, _ in ROWS if name == convention}
        assert there == set(LAYOUTS[convention].rows)


def test_fans_are_the_conventions_for_any_initializer() -> None:
    for convention, fan_in in [("matlab", 60), ("torch", 150), ("keras", 150), ("flax", 60)]:
        (weights, _) = plan_operations({**TRANSPOSED, "initializers": {"weights": "he"}}, conventions=convention)
        assert weights["distribution"] == normal(math.sqrt(2 / fan_in))


def test_defaults_of_the_spec_override_those_of_the_convention() -> None:
    (weights, bias) = plan_operations(DENSE, conventions="torch", defaults={"fully_connected": {"bias": "ones"}})
    assert weights["initializer"] == {"type": "uniform", "bound": 1 / math.sqrt(50)}
    assert bias["initializer"] == {"type": "ones"}


def test_the_layout_changes_no_distribution() -> None:
    for layout in ("canonical", "torch", "keras", "flax"):
        weights = next(t for t in plan_operations(DENSE, conventions="torch", layout=layout) if len(t["shape"]) == 2)
        assert (weights["fan_in"], weights["distribution"]) == (50, uniform(1 / math.sqrt(50)))


def test_custom_parameters_have_the_fans_that_they_state() -> None:
    custom = {"type": "custom", "parameters": {"w": {"shape": [4, 9], "fan_in": 8, "initializer": "he"}}}
    for convention in CONVENTIONS:
        assert plan_operations(custom, conventions=convention)[0]["distribution"] == normal(0.5)


@pytest.mark.parametrize("convention", ["keras", "flax"])
def test_operations_that_a_framework_lacks_are_reported_once(convention: str, golden: Golden) -> None:
    operation = {**GROUPED, "type": "transposed_conv", "name": "up"}
    group = {"name": "g", "repeat": 3, "operations": [operation]}
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({"conventions": convention, "operations": [group]})
    assert [problem.path for problem in caught.value.diagnostics] == ["operations[0].operations[0].type"]
    golden(caught.value)


def test_parameters_have_the_names_of_the_table() -> None:
    for model in OPERATIONS:
        operation = model.model_validate({"name": "n", "type": model.names()[0], **model.example})
        for convention in [name for name in CONVENTIONS if name == "matlab" or model in LAYOUTS[name].rows]:
            assert [t.name for t in parameter_defs_by_convention(convention, operation)] == [
                t.name for t in operation.parameter_defs()
            ]
