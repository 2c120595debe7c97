"""Weight normalization: directions keep their bytes, magnitudes follow them, mistakes are reported."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from golden import Golden
from helpers import plan_operations

import paramgen

CONV = {"name": "c", "type": "conv", "filter_size": 3, "num_channels": 4, "num_filters": 5}
DENSE = {"name": "d", "type": "fully_connected", "input_size": 6, "output_size": 5}
NORMED = {**CONV, "weight_norm": {"axis": "filters"}}
NORMED_DENSE = {**DENSE, "weight_norm": {"axis": "outputs"}}


def sampled(*operations: dict[str, Any], **head: Any) -> Any:
    return paramgen.sample({"seed": 3, **head, "operations": list(operations)}, flat=True)


def test_the_magnitude_is_planned_between_weights_and_bias() -> None:
    uniform = {"type": "uniform", "low": -0.4714045207910317, "high": 0.4714045207910317}
    weights, magnitude, bias = plan_operations(NORMED)
    assert (weights["name"], weights["distribution"]) == ("c.weights", uniform)
    assert bias["name"] == "c.bias"
    assert magnitude == {
        "name": "c.magnitude",
        "canonical_name": "c.magnitude",
        "shape": [1, 1, 5],
        "dtype": "float32",
        "fan_in": None,
        "fan_out": None,
        "bytes": 20,
        "initializer": {"type": "norm"},
        "distribution": {"type": "norm", "of": uniform, "elements": 12},
    }


@pytest.mark.parametrize("operation", [CONV, {**CONV, "type": "transposed_conv"}, DENSE], ids=lambda one: one["type"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_a_direction_has_the_bytes_of_plain_weights(operation: dict[str, Any], dtype: str) -> None:
    axes = (
        ("outputs", "inputs", "none") if operation["type"] == "fully_connected" else ("filters", "channels", "kernel")
    )
    name = operation["name"]
    plain = sampled(operation, dtype=dtype)
    for axis in axes:
        normed = sampled({**operation, "weight_norm": {"axis": axis}}, dtype=dtype)
        assert list(normed) == [f"{name}.weights", f"{name}.magnitude", f"{name}.bias"]
        direction = normed[f"{name}.weights"]
        assert direction.tobytes() == plain[f"{name}.weights"].tobytes()
        magnitude = normed[f"{name}.magnitude"].astype(np.float64)
        assert magnitude.ndim == direction.ndim
        over = tuple(axis for axis, size in enumerate(magnitude.shape) if size == 1)
        expected = np.sqrt(np.square(direction.astype(np.float64)).sum(axis=over, keepdims=True))
        np.testing.assert_allclose(
            magnitude, expected, rtol={"float64": 1e-14, "float32": 1e-7, "bfloat16": 4e-3}[dtype]
        )


def test_a_magnitude_follows_the_overrides_of_its_direction() -> None:
    group = {"name": "g", "repeat": 3, "operations": [NORMED]}
    overrides = [
        {"match": "g.1.c.weights", "dtype": "bfloat16"},
        {"match": "g.2.c.weights", "initializer": {"type": "constant", "value": 0.5}},
    ]
    plain, given = sampled(group), sampled(group, overrides=overrides)
    assert given["g.0.c.magnitude"].tobytes() == plain["g.0.c.magnitude"].tobytes()
    rounded = given["g.1.c.weights"]
    assert rounded.dtype == ml_dtypes.bfloat16
    exact = np.sqrt(np.square(rounded.astype(np.float64)).sum(axis=(0, 1), keepdims=True)).astype(np.float32)
    np.testing.assert_allclose(given["g.1.c.magnitude"], exact, rtol=1e-7)
    assert given["g.1.c.magnitude"].tobytes() != plain["g.1.c.magnitude"].tobytes()
    assert given["g.2.c.magnitude"].reshape(-1).tolist() == [3.0**0.5 // 2**-23 * 2**-23] * 5


@pytest.mark.parametrize(
    ("operation", "head"),
    [
        ({**NORMED, "initializers": {"magnitude": "ones"}}, {}),
        (NORMED, {"defaults": {"conv": {"magnitude": "ones"}}}),
        (NORMED, {"overrides": [{"match": "*.magnitude", "initializer": "ones"}]}),
    ],
    ids=["its own", "a default", "an override"],
)
def test_a_magnitude_takes_initializers(operation: dict[str, Any], head: dict[str, Any]) -> None:
    given = sampled(operation, **head)
    assert given["c.magnitude"].tolist() == [[[1.0] * 5]]
    assert given["c.weights"].tobytes() == sampled(CONV)["c.weights"].tobytes()


def test_a_random_magnitude_has_a_stream_of_its_own() -> None:
    gaussian = {"type": "gaussian", "std": 1.0}
    given = sampled({**NORMED, "initializers": {"magnitude": gaussian, "weights": gaussian}})
    assert not set(given["c.magnitude"].reshape(-1)) & set(given["c.weights"].reshape(-1))
    own = paramgen.initialize("gaussian", [1, 1, 5], std=1.0, seed=3, name="c.magnitude")
    assert given["c.magnitude"].tobytes() == own.tobytes()


def test_the_table_names_the_direction() -> None:
    spec = {"operations": [{**NORMED, "initializers": {"weights": {"type": "gaussian", "std": 0.02}}}]}
    (_, magnitude, _) = paramgen.plan(spec).tensors
    assert magnitude.sources[0].resolved.distribution.summary() == "norm of normal 0, std 0.02"


def test_conventions_of_torch_leave_the_magnitude_a_norm() -> None:
    weights, magnitude, bias = plan_operations(NORMED, conventions="torch")
    assert magnitude["distribution"]["of"] == weights["distribution"]
    assert bias["distribution"]["type"] == "uniform"


def test_both_parts_can_be_tied() -> None:
    tie = {"weights": "c.weights", "magnitude": "c.magnitude"}
    other = {**NORMED, "name": "t", "tie": tie}
    given = sampled(NORMED, other, ties="copy", layout="torch")
    for part in ("original0", "original1"):
        name = f"parametrizations.weight.{part}"
        assert given[f"t.{name}"].tobytes() == given[f"c.{name}"].tobytes()
    ones = {**NORMED, "name": "t", "tie": {"weights": "c.weights"}, "initializers": {"magnitude": "ones"}}
    assert list(sampled(NORMED, ones)) == ["c.weights", "c.magnitude", "c.bias", "t.magnitude", "t.bias"]


MISTAKES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no axis": ({**CONV, "weight_norm": {}}, {}),
    "an axis of matrices": ({**CONV, "weight_norm": {"axis": "outputs"}}, {}),
    "an axis of filters": ({**DENSE, "weight_norm": {"axis": "filters"}}, {}),
    "PyTorch's axis": ({**CONV, "weight_norm": {"dim": 2}}, {}),
    "a number for an axis": ({**CONV, "weight_norm": {"axis": 2}}, {}),
    "null for an axis": ({**CONV, "weight_norm": {"axis": None}}, {}),
    "a style misspelt": ({**CONV, "weight_norm": {"axis": "kernel", "style": "parametrised"}}, {}),
    "a text": ({**CONV, "weight_norm": "filters"}, {}),
    "true": ({**CONV, "weight_norm": True}, {}),
    "null": ({**CONV, "weight_norm": None}, {}),
    "the kernel of a 2-D filter": ({**CONV, "filter_size": [3, 3], "weight_norm": {"axis": "kernel"}}, {}),
    "a magnitude without weight_norm": ({**CONV, "initializers": {"magnitude": "ones"}}, {}),
    "an orthogonal magnitude": ({**NORMED, "initializers": {"magnitude": "orthogonal"}}, {}),
    "a Dirac magnitude": ({**CONV, "weight_norm": {"axis": "kernel"}, "initializers": {"magnitude": "dirac"}}, {}),
    "a glorot magnitude": ({**NORMED, "initializers": {"magnitude": "glorot"}}, {}),
    "norm for an initializer": ({**NORMED, "initializers": {"magnitude": "norm"}}, {}),
    "a magnitude as in PyTorch": ({**NORMED, "initializers": {"weight_g": "ones"}}, {}),
    "a tied direction": ({**NORMED, "tie": {"weights": "d.weights"}}, {}),
    "an error of the direction": ({**NORMED, "initializers": {"weights": "identity"}}, {}),
    "a norm beyond the dtype": (
        {**NORMED, "dtype": "float8_e4m3fn", "initializers": {"weights": {"type": "constant", "value": 400}}},
        {},
    ),
    "a norm of values that are rounded up": (  # to 18, without that the norm would be 447.8
        {
            "type": "fully_connected",
            "name": "d",
            "input_size": 77,
            "output_size": 9,
            "dtype": "float8_e4m3fn",
            "weight_norm": {"axis": "none"},
            "initializers": {"weights": {"type": "constant", "value": 17.01}},
        },
        {},
    ),
    "a square beyond float64": (
        {**NORMED, "dtype": "float64", "initializers": {"weights": {"type": "constant", "value": 1e200}}},
        {},
    ),
    "layout keras": (NORMED, {"layout": "keras"}),
    "layout flax": (NORMED_DENSE, {"layout": "flax"}),
    "conventions flax": (NORMED_DENSE, {"conventions": "flax"}),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_wrong_weight_norm_is_one_error(case: str, golden: Golden) -> None:
    operation, head = MISTAKES[case]
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({**head, "operations": [operation]})
    assert caught.value.total == 1
    golden(caught.value)
