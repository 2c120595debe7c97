"""Every row of MathWorks' table of parameters: sizes, fans and distributions, in numbers computed by hand."""

import math
from typing import Any

import pytest
from golden import Golden
from helpers import plan_operations

from paramgen.catalog import operations
from paramgen.catalog.operations import OPERATIONS_BY_TYPE, Convolution

Row = tuple[list[int], int | None, int | None, str]


def glorot(total: int) -> dict[str, Any]:
    return {"type": "uniform", "low": -math.sqrt(6 / total), "high": math.sqrt(6 / total)}


def logarithms(count: int) -> dict[str, Any]:
    """Return the logarithms of 1 … count, repeated."""
    return {"type": "table", "low": 0.0, "high": math.log(count), "length": count, "run": 1}


def norm(of: dict[str, Any], elements: int) -> dict[str, Any]:
    return {"type": "norm", "of": of, "elements": elements}


ZEROS = {"type": "constant", "value": 0.0}
ONES = {"type": "constant", "value": 1.0}
ORTHOGONAL = {"type": "orthogonal", "gain": 1.0}
GAUSSIAN = {"type": "normal", "mean": 0.0, "std": 0.01}
QUARTER = {"type": "constant", "value": 0.25}
FORGET = {"type": "unit_forget_gate"}
NORM = {"offset": ([12, 1], None, None, ZEROS), "scale": ([12, 1], None, None, ONES)}

CONV = {"num_channels": 3, "num_filters": 8}
GROUPED = {"num_groups": 4, "num_channels_per_group": 2, "num_filters_per_group": 5}
WISE = {"num_groups": "channel-wise", "num_channels": 6}

# type and fields → parameter: (size, fan_in, fan_out, distribution)
TABLE: list[tuple[dict[str, Any], dict[str, tuple[list[int], int | None, int | None, dict[str, Any]]]]] = [
    (
        {"type": "batchnorm", "num_channels": 128},
        {"offset": ([128, 1], None, None, ZEROS), "scale": ([128, 1], None, None, ONES)},
    ),
    ({"type": "layer_norm", "num_channels": 12}, NORM),
    ({"type": "layernorm", "num_channels": 12}, NORM),
    ({"type": "layer_norm", "num_channels": 12, "offset": False}, {"scale": ([12, 1], None, None, ONES)}),
    ({"type": "instance_norm", "num_channels": 12}, NORM),
    ({"type": "instancenorm", "num_channels": 12}, NORM),
    ({"type": "group_norm", "num_channels": 12, "num_groups": 4}, NORM),
    ({"type": "groupnorm", "num_channels": 12}, NORM),
    ({"type": "rms_norm", "num_channels": 12}, {"scale": ([12, 1], None, None, ONES)}),
    ({"type": "rmsnorm", "num_channels": 1}, {"scale": ([1, 1], None, None, ONES)}),
    ({"type": "prelu"}, {"alpha": ([1, 1], None, None, QUARTER)}),
    ({"type": "prelu", "num_channels": 7}, {"alpha": ([7, 1], None, None, QUARTER)}),
    (
        {"type": "conv", "filter_size": 7, **CONV},
        {"weights": ([7, 3, 8], 21, 56, glorot(77)), "bias": ([8, 1], None, None, ZEROS)},
    ),
    (
        {"type": "conv", "filter_size": [7], **CONV, "bias": True},
        {"weights": ([7, 3, 8], 21, 56, glorot(77)), "bias": ([8, 1], None, None, ZEROS)},
    ),
    (
        {"type": "dlconv", "filter_size": [2, 5], **CONV, "bias": "shared"},
        {"weights": ([2, 5, 3, 8], 30, 80, glorot(110)), "bias": ([1, 1], None, None, ZEROS)},
    ),
    (
        {"type": "conv", "filter_size": [2, 5, 3], **CONV, "bias": "none"},
        {"weights": ([2, 5, 3, 3, 8], 90, 240, glorot(330))},
    ),
    (
        {"type": "conv", "filter_size": [2, 5, 3], **CONV, "bias": False},
        {"weights": ([2, 5, 3, 3, 8], 90, 240, glorot(330))},
    ),
    (
        {"type": "conv", "filter_size": [3, 3], **GROUPED, "bias": "per_filter"},
        {"weights": ([3, 3, 2, 5, 4], 18, 45, glorot(63)), "bias": ([20, 1], None, None, ZEROS)},
    ),
    (
        {"type": "conv", "filter_size": [3, 3], **GROUPED, "bias": "shared"},
        {"weights": ([3, 3, 2, 5, 4], 18, 45, glorot(63)), "bias": ([1, 1], None, None, ZEROS)},
    ),
    (
        {"type": "conv", "filter_size": 3, **WISE},
        {"weights": ([3, 1, 1, 6], 3, 3, glorot(6)), "bias": ([6, 1], None, None, ZEROS)},
    ),
    (
        {"type": "conv", "filter_size": [3, 3], **WISE, "num_filters_per_group": 2},
        {"weights": ([3, 3, 1, 2, 6], 9, 18, glorot(27)), "bias": ([12, 1], None, None, ZEROS)},
    ),
    (
        {"type": "transposed_conv", "filter_size": 4, **CONV},
        {"weights": ([4, 8, 3], 12, 32, glorot(44)), "bias": ([8, 1], None, None, ZEROS)},
    ),
    (
        {"type": "dltranspconv", "filter_size": [4, 4], **CONV, "bias": "shared"},
        {"weights": ([4, 4, 8, 3], 48, 128, glorot(176)), "bias": ([1, 1], None, None, ZEROS)},
    ),
    (
        {"type": "transposed_conv", "filter_size": [2, 3, 4], **CONV, "bias": "none"},
        {"weights": ([2, 3, 4, 8, 3], 72, 192, glorot(264))},
    ),
    (
        {"type": "transposed_conv", "filter_size": [3, 3], **GROUPED},
        {"weights": ([3, 3, 5, 2, 4], 18, 45, glorot(63)), "bias": ([20, 1], None, None, ZEROS)},
    ),
    (
        {"type": "transposed_conv", "filter_size": 3, **WISE, "num_filters_per_group": 2},
        {"weights": ([3, 2, 1, 6], 3, 6, glorot(9)), "bias": ([12, 1], None, None, ZEROS)},
    ),
    (
        {"type": "fully_connected", "input_size": 7, "output_size": 10},
        {"weights": ([10, 7], 7, 10, glorot(17)), "bias": ([10, 1], None, None, ZEROS)},
    ),
    (
        {"type": "fullyconnect", "input_size": 7, "output_size": 10, "bias": False},
        {"weights": ([10, 7], 7, 10, glorot(17))},
    ),
    (
        {"type": "fully_connected", "input_size": 7, "output_size": 10, "transposed": True},
        {"weights": ([10, 7], 7, 10, glorot(17)), "bias": ([10, 1], None, None, ZEROS)},
    ),
    (
        {"type": "conv", "filter_size": [3, 3], **GROUPED, "weight_norm": {"axis": "filters"}},
        {
            "weights": ([3, 3, 2, 5, 4], 18, 45, glorot(63)),
            "magnitude": ([1, 1, 1, 5, 4], None, None, norm(glorot(63), 18)),
            "bias": ([20, 1], None, None, ZEROS),
        },
    ),
    (
        {"type": "conv", "filter_size": 7, **GROUPED, "bias": False, "weight_norm": {"axis": "kernel"}},
        {
            "weights": ([7, 2, 5, 4], 14, 35, glorot(49)),
            "magnitude": ([7, 1, 1, 1], None, None, norm(glorot(49), 40)),
        },
    ),
    (
        {"type": "transposed_conv", "filter_size": 4, **CONV, "bias": False, "weight_norm": {"axis": "channels"}},
        {"weights": ([4, 8, 3], 12, 32, glorot(44)), "magnitude": ([1, 1, 3], None, None, norm(glorot(44), 32))},
    ),
    (
        {"type": "fully_connected", "input_size": 7, "output_size": 10, "weight_norm": {"axis": "outputs"}},
        {
            "weights": ([10, 7], 7, 10, glorot(17)),
            "magnitude": ([10, 1], None, None, norm(glorot(17), 7)),
            "bias": ([10, 1], None, None, ZEROS),
        },
    ),
    (
        {"type": "fullyconnect", "input_size": 7, "output_size": 10, "bias": False, "weight_norm": {"axis": "none"}},
        {"weights": ([10, 7], 7, 10, glorot(17)), "magnitude": ([1, 1], None, None, norm(glorot(17), 70))},
    ),
    (
        {"type": "gru", "input_size": 7, "num_hidden_units": 10},
        {
            "input_weights": ([30, 7], 7, 30, glorot(37)),
            "recurrent_weights": ([30, 10], 10, 30, ORTHOGONAL),
            "bias": ([30, 1], None, None, ZEROS),
        },
    ),
    (
        {"type": "gru", "input_size": 7, "num_hidden_units": 10, "reset_gate_mode": "before-multiplication"},
        {
            "input_weights": ([30, 7], 7, 30, glorot(37)),
            "recurrent_weights": ([30, 10], 10, 30, ORTHOGONAL),
            "bias": ([30, 1], None, None, ZEROS),
        },
    ),
    (
        {
            "type": "gru",
            "input_size": 7,
            "num_hidden_units": 10,
            "reset_gate_mode": "recurrent-bias-after-multiplication",
        },
        {
            "input_weights": ([30, 7], 7, 30, glorot(37)),
            "recurrent_weights": ([30, 10], 10, 30, ORTHOGONAL),
            "bias": ([60, 1], None, None, ZEROS),
        },
    ),
    (
        {"type": "lstm", "input_size": 7, "num_hidden_units": 10},
        {
            "input_weights": ([40, 7], 7, 40, glorot(47)),
            "recurrent_weights": ([40, 10], 10, 40, ORTHOGONAL),
            "bias": ([40, 1], None, None, FORGET),
        },
    ),
    (
        {"type": "separable_conv", "filter_size": [3, 5], "num_channels": 4, "num_filters": 9, "depth_multiplier": 2},
        {
            "depthwise_weights": ([3, 5, 1, 2, 4], 15, 30, glorot(45)),
            "pointwise_weights": ([1, 1, 8, 9], 8, 9, glorot(17)),
            "bias": ([9, 1], None, None, ZEROS),
        },
    ),
    (
        {"type": "separable_conv", "filter_size": 3, "num_channels": 4, "num_filters": 9, "bias": False},
        {
            "depthwise_weights": ([3, 1, 1, 4], 3, 3, glorot(6)),
            "pointwise_weights": ([1, 4, 9], 4, 9, glorot(13)),
        },
    ),
    (
        {"type": "rnn", "input_size": 7, "num_hidden_units": 10},
        {
            "input_weights": ([10, 7], 7, 10, glorot(17)),
            "recurrent_weights": ([10, 10], 10, 10, ORTHOGONAL),
            "bias": ([10, 1], None, None, ZEROS),
        },
    ),
    (
        {"type": "gru", "input_size": 7, "num_hidden_units": 10, "num_layers": 2},
        {
            "input_weights": ([30, 7], 7, 30, glorot(37)),
            "recurrent_weights": ([30, 10], 10, 30, ORTHOGONAL),
            "bias": ([30, 1], None, None, ZEROS),
            "input_weights_l1": ([30, 10], 10, 30, glorot(40)),
            "recurrent_weights_l1": ([30, 10], 10, 30, ORTHOGONAL),
            "bias_l1": ([30, 1], None, None, ZEROS),
        },
    ),
    (
        {
            "type": "lstm",
            "input_size": 7,
            "num_hidden_units": 10,
            "projection_size": 4,
            "num_layers": 2,
            "bidirectional": True,
        },
        {
            f"{kind}{suffix}": row
            for suffix, inputs in (("", 7), ("_reverse", 7), ("_l1", 8), ("_l1_reverse", 8))
            for kind, row in {
                "input_weights": ([40, inputs], inputs, 40, glorot(40 + inputs)),
                "recurrent_weights": ([40, 4], 4, 40, ORTHOGONAL),
                "bias": ([40, 1], None, None, FORGET),
                "projection_weights": ([4, 10], 10, 4, glorot(14)),
            }.items()
        },
    ),
    (
        {"type": "multihead_attention", "input_size": 12, "num_heads": 3},
        {
            **{f"{kind}_weights": ([12, 12], 12, 12, glorot(24)) for kind in ("query", "key", "value", "output")},
            **{f"{kind}_bias": ([12, 1], None, None, ZEROS) for kind in ("query", "key", "value", "output")},
        },
    ),
    (
        {
            "type": "multihead_attention",
            "input_size": 12,
            "num_heads": 3,
            "num_key_channels": 6,
            "num_value_channels": 9,
            "output_size": 5,
            "bias": False,
        },
        {
            "query_weights": ([6, 12], 12, 6, glorot(18)),
            "key_weights": ([6, 12], 12, 6, glorot(18)),
            "value_weights": ([9, 12], 12, 9, glorot(21)),
            "output_weights": ([5, 9], 9, 5, glorot(14)),
        },
    ),
    (
        {"type": "multihead_attention", "input_size": 12, "num_heads": 3, "projections": "fused"},
        {
            "qkv_weights": ([36, 12], 12, 36, glorot(48)),
            "output_weights": ([12, 12], 12, 12, glorot(24)),
            "qkv_bias": ([36, 1], None, None, ZEROS),
            "output_bias": ([12, 1], None, None, ZEROS),
        },
    ),
    (
        {"type": "embedding", "embedding_dimension": 300, "vocabulary_size": 5000},
        {"weights": ([300, 5000], 5000, 300, GAUSSIAN)},
    ),
    (
        {"type": "embedding", "embedding_dimension": 3, "vocabulary_size": 5, "padding_index": 0},
        {"weights": ([3, 5], 5, 3, {**GAUSSIAN, "padding_index": 0})},
    ),
    ({"type": "embed", "embedding_dimension": 3, "vocabulary_size": 5}, {"weights": ([3, 5], 5, 3, GAUSSIAN)}),
    # The fans are those of one expert, whose matrices are [10, 7] (gate over up) and [7, 5].
    (
        {"type": "experts", "num_experts": 4, "input_size": 7, "num_hidden_units": 5},
        {"gate_up_weights": ([4, 10, 7], 7, 10, glorot(17)), "down_weights": ([4, 7, 5], 5, 7, glorot(12))},
    ),
    (
        {
            "type": "experts",
            "num_experts": 4,
            "input_size": 7,
            "num_hidden_units": 5,
            "initializers": {
                "gate_up_weights": {"type": "orthogonal", "per_gate": True},
                "down_weights": "orthogonal",
            },
        },
        {
            "gate_up_weights": ([4, 10, 7], 7, 10, {**ORTHOGONAL, "matrices": 8}),
            "down_weights": ([4, 7, 5], 5, 7, {**ORTHOGONAL, "matrices": 4}),
        },
    ),
    (
        {"type": "state_space", "num_channels": 6, "state_size": 4},
        {"a_log": ([6, 4], None, None, logarithms(4)), "d": ([6, 1], None, None, ONES)},
    ),
    (
        {"type": "state_space", "num_channels": 6, "dt_bias": True},
        {
            "a_log": ([6, 1], None, None, logarithms(6)),
            "d": ([6, 1], None, None, ONES),
            "dt_bias": ([6, 1], None, None, {"type": "ssm_dt_bias", "min": 0.001, "max": 0.1, "floor": 0.0001}),
        },
    ),
    (
        {"type": "custom", "parameters": {"w": {"shape": [2, 3], "initializer": "he", "fan_in": 8}}},
        {"w": ([2, 3], 8, None, {"type": "normal", "mean": 0.0, "std": 0.5})},
    ),
]


@pytest.mark.parametrize(("operation", "expected"), TABLE, ids=lambda value: " ".join(map(str, value.values()))[:60])
def test_parameters_equal_the_table(operation: dict[str, Any], expected: dict[str, Any]) -> None:
    tensors = plan_operations({"name": "n", **operation})
    assert [tensor["name"] for tensor in tensors] == [f"n.{name}" for name in expected]
    for tensor, (shape, fan_in, fan_out, distribution) in zip(tensors, expected.values(), strict=True):
        assert tensor["shape"] == shape
        assert (tensor["fan_in"], tensor["fan_out"]) == (fan_in, fan_out)
        assert tensor["distribution"] == distribution
        assert tensor["bytes"] == 4 * math.prod(shape)
        assert (tensor["dtype"], tensor["canonical_name"]) == ("float32", tensor["name"])


def test_every_type_and_alias_has_a_row() -> None:
    assert {operation["type"] for operation, _ in TABLE} == set(OPERATIONS_BY_TYPE)


@pytest.mark.parametrize("model", operations.OPERATIONS, ids=lambda model: model.label)
def test_examples_are_valid(model: type[operations.Operation]) -> None:
    assert plan_operations({"type": model.names()[0], **model.example})


WISE_NEEDS = {"filter_size": 3, "num_groups": "channel-wise"}


@pytest.mark.parametrize("kind", ["conv", "transposed_conv"])
@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        pytest.param({"filter_size": 3}, {"num_channels", "num_filters"}, id="without sizes"),
        pytest.param({"filter_size": 3, "num_channels": 2}, {"num_filters"}, id="without filters"),
        pytest.param(
            {"filter_size": 3, **CONV, "num_filters_per_group": 2}, {"num_filters_per_group"}, id="filters per group"
        ),
        pytest.param(
            {"filter_size": 3, "num_groups": 2},
            {"num_channels_per_group", "num_filters_per_group"},
            id="grouped, without sizes",
        ),
        pytest.param({"filter_size": 3, **GROUPED, "num_channels": 8}, {"num_channels"}, id="grouped, all channels"),
        pytest.param(WISE_NEEDS, {"num_channels"}, id="channel-wise, without channels"),
        pytest.param({**WISE_NEEDS, "num_channels": 4, "num_filters": 4}, {"num_filters"}, id="channel-wise, filters"),
        pytest.param(
            {**WISE_NEEDS, "num_channels": 4, "num_channels_per_group": 1},
            {"num_channels_per_group"},
            id="channel-wise, channels per group",
        ),
    ],
)
def test_invalid_groupings_are_refused(kind: str, fields: dict[str, Any], wrong: set[str], golden: Golden) -> None:
    from paramgen.errors import SpecError

    with pytest.raises(SpecError) as caught:
        plan_operations({"name": "n", "type": kind, **fields})
    assert {problem.path.removeprefix("operations[0].") for problem in caught.value.diagnostics} == wrong
    golden(caught.value)


@pytest.mark.parametrize("index", [5, -1, True, "0"])
def test_a_padding_index_that_is_not_in_the_vocabulary(index: object, golden: Golden) -> None:
    from paramgen.errors import SpecError

    with pytest.raises(SpecError) as caught:
        plan_operations({"type": "embedding", "embedding_dimension": 3, "vocabulary_size": 5, "padding_index": index})
    assert [problem.path for problem in caught.value.diagnostics] == ["operations[0].padding_index"]
    golden(caught.value)


def test_convolutions_share_all_but_the_order_of_sizes() -> None:
    assert all(
        issubclass(OPERATIONS_BY_TYPE[name], Convolution)
        for name in ("conv", "dlconv", "transposed_conv", "dltranspconv")
    )
