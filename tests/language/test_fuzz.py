"""Random specs: each gives a plan or a SpecError, and the schema accepts all that the models accept."""

import json
from typing import Any

import jsonschema
import pytest
from helpers import plan_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paramgen.catalog.initializers import INITIALIZERS
from paramgen.catalog.operations import OPERATIONS, OPERATIONS_BY_TYPE, CustomParameter
from paramgen.errors import SpecError
from paramgen.language.parsed_spec import SpecFields, interpret
from paramgen.language.schema import json_schema
from paramgen.language.yaml_reader import from_yaml

VALIDATOR = jsonschema.Draft7Validator(json_schema())

names = st.sampled_from(["a", "b", "層", "a.b", "-", "", "n${i}", "${v}"])
scalars = (
    st.none()
    | st.booleans()
    | st.sampled_from(["${v}", "${i + 1}", "${v // 2}", "${1 / 2}", "${v / 0}", "${w}", "${", "${}", "float${16}"])
    | st.sampled_from([0, 1, 2, 3, 7, -1, 2**63, 2**64, 0.5, 1.0, 1e39, float("inf"), "none", "shared", "channel-wise"])
    | st.sampled_from(["he", "glorot", "orthogonal", "unit_forget_gate", "ones", "float16", "x"])
    | names
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2), max_leaves=5
)
sizes = st.integers(1, 4) | st.sampled_from([1, 2, 3, "${v}", "${i + 1}"])
kinds = [name for model in INITIALIZERS for name in model.names()]
initializers = st.sampled_from(kinds) | st.fixed_dictionaries(
    {"type": st.sampled_from(kinds)},
    optional={"mean": anything, "std": st.floats(0, 2), "bound": st.floats(0.1, 2), "gain": sizes},
)
PARAMETERS = ["weights", "bias", "offset", "scale", "input_weights", "recurrent_weights", "qkv_weights", "alpha"]
by_parameter = st.dictionaries(
    st.sampled_from(PARAMETERS), st.sampled_from(["ones", "zeros", "gaussian"]) | initializers | anything, max_size=2
)
custom = st.fixed_dictionaries(
    {"shape": st.lists(sizes, max_size=3), "initializer": initializers},
    optional=dict.fromkeys(("fan_in", "fan_out"), sizes),
)
FIELDS = sorted({field for model in (*OPERATIONS, CustomParameter) for field in model.model_fields} - {"type", "name"})


@st.composite
def operations(draw: Any) -> Any:
    """Draw an example of a type, with some fields added, changed or omitted."""
    kind = draw(st.sampled_from(sorted(OPERATIONS_BY_TYPE)))
    operation: dict[str, Any] = {
        "name": draw(st.sampled_from("abcdef")),
        "type": kind,
        **OPERATIONS_BY_TYPE[kind].example,
    }
    for field in draw(st.lists(st.sampled_from([*FIELDS, "name", "type", "typo"]), max_size=3)):
        if field == "initializers":
            operation[field] = draw(by_parameter | anything)
        elif field == "parameters":
            operation[field] = draw(st.dictionaries(names, custom | anything, max_size=2))
        elif draw(st.booleans()):
            operation[field] = draw(sizes if draw(st.booleans()) else anything)
        else:
            operation.pop(field, None)
    return operation


@st.composite
def groups(draw: Any, inner: Any) -> Any:
    """Draw a group, with some fields changed or omitted."""
    group = {"name": draw(names), "operations": draw(st.lists(inner, min_size=1, max_size=2) | anything)}
    if draw(st.booleans()):
        group["repeat"] = draw(st.integers(1, 3) | st.sampled_from(["${v}", "${i}"]) | anything)
    if draw(st.booleans()):
        group["as"] = draw(st.sampled_from(["i", "j", "v"]) | anything)
    if draw(st.integers(0, 9)) == 0:
        group.pop(draw(st.sampled_from(sorted(group))))
    return group


items_ = st.recursive(operations(), groups, max_leaves=4)
override = st.fixed_dictionaries(
    {"match": st.sampled_from(["*", "a.*", "*weights", "[", "x"]) | anything},
    optional={"initializer": initializers | anything, "dtype": st.sampled_from(["float16", "bfloat16"]) | anything},
)

heads = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(SpecFields.model_fields, anything),
        "seed": st.integers(0, 2**64 - 1) | anything,
        "layout": st.sampled_from(["canonical", "torch", "keras", "flax"]) | anything,
        "conventions": st.sampled_from(["matlab", "torch", "keras", "flax"]) | anything,
        "variables": st.just({"v": 3}) | st.just({"w": 1, "v": "${w + 1}"}) | anything,
        "overrides": st.lists(override, max_size=2) | anything,
        "defaults": st.dictionaries(st.sampled_from([*OPERATIONS_BY_TYPE, "x"]), by_parameter, max_size=2) | anything,
    },
)


def has_omissions(text: str) -> bool:
    """Return True if an item of a valid spec repeats 0 times or its condition is false, which leaves it unchecked."""
    expander = interpret(from_yaml(text.encode(), "s")).expander()
    for _ in expander.operations():
        pass
    return expander.has_omissions


@pytest.mark.slow
@given(
    head=st.just({"variables": {"v": 3}}) | st.just({"variables": {"v": 3}, "layout": "torch"}) | heads,
    items=st.lists(items_, min_size=1, max_size=3) | st.lists(items_ | anything, max_size=3),
)
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_plan_or_a_spec_error(head: dict[str, Any], items: list[Any]) -> None:
    data = {**head, "operations": items}
    text = json.dumps(data, ensure_ascii=False).replace("Infinity", ".inf")
    try:
        plan = plan_text(text)
    except SpecError as error:
        assert error.total >= 1
        for problem in error.diagnostics:
            assert problem.line == 1
            assert problem.message
            assert "pydantic" not in problem.message
            assert "Input should" not in problem.message
    else:
        assert VALIDATOR.is_valid(data) or has_omissions(text)
        assert plan.total_bytes == sum(tensor.nbytes for tensor in plan.tensors)
        again = json.loads(json.loads(plan.files[0].header[8:])["__metadata__"]["paramgen_spec"])
        assert plan_text(json.dumps(again)).files[0].header == plan.files[0].header
