"""Types of fields: each value is valid for the type if and only if it is for the type's JSON Schema."""

from typing import Any

import jsonschema
import pytest
from helpers import list_problems
from pydantic import ValidationError

from paramgen.catalog import fields
from paramgen.catalog.fields import FieldType
from paramgen.catalog.operations.convolution import GROUPS

TYPES = {
    "size": fields.SIZE,
    "a limited size": fields.bounded_size_type(4),
    "filter size": fields.FILTER_SIZE,
    "shape": fields.SHAPE,
    "name": fields.NAME,
    "groups": GROUPS,
    "choice": fields.choice_type(("a", "b"), {}),
    "number": fields.FiniteNumber.__metadata__[0],  # type: ignore[attr-defined]
    "a positive number": fields.Positive.__metadata__[0],  # type: ignore[attr-defined]
    "a number of at least 0": fields.NonNegative.__metadata__[0],  # type: ignore[attr-defined]
}
VALUES = [1, 5, 0, -1, 2**63 - 1, 2**63, 0.5, -0.5, True, False, None, "a", "c", "a.b", "-", "", "channel-wise", {}]
LISTS = [[], [1], [1, 2, 3], [1, 2, 3, 4], [1, 0], ["a"], [1] * 33, [[1]]]


@pytest.mark.parametrize("value", [*VALUES, *LISTS], ids=str)
@pytest.mark.parametrize("field_type", TYPES.values(), ids=list(TYPES))
def test_the_check_and_the_schema_agree(field_type: FieldType, value: Any) -> None:
    try:
        field_type.read(value)
        valid = True
    except ValidationError:
        valid = False
    assert valid == jsonschema.Draft7Validator(field_type.schema).is_valid(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_numbers_are_finite(value: Any) -> None:
    with pytest.raises(ValidationError, match="must be a finite number"):
        TYPES["number"].read(value)


def test_errors_of_items_have_their_own_paths() -> None:
    assert [path for path, _, _ in fields.SHAPE.errors([1, -1, "2"])] == [(1,), (2,)]


def test_errors_state_the_limit_of_layers() -> None:
    rnn = "operations: [{name: r, type: rnn, input_size: 1, num_hidden_units: 1, num_layers: 100000}]"
    assert list_problems(rnn) == ["1:83: operations[0].num_layers: must be an integer from 1 to 1,000, got 100000"]
