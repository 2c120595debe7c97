"""Values of expressions: numbers, booleans, strings and lists of these, with the operators and functions on them.

Integers are exact, other numbers are float64. Every result is correctly rounded, so an expression has the same value on
every machine.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from paramgen import exact_math, limits
from paramgen.messages import show
from paramgen.units import pluralize

Number = int | float
Scalar = int | float | bool | str
Value = Scalar | tuple[Scalar, ...]
Environment = Mapping[str, Value]

MAX_INTEGER: Final = 2**128
MAX_EXPONENT: Final = 64


class ExpressionError(ValueError):
    """An invalid expression, or one without a value."""


def is_number(value: object) -> bool:
    """Return True if a value can be a variable's number: finite, and below 2^128 in magnitude."""
    return type(value) in (int, float) and -MAX_INTEGER < value < MAX_INTEGER  # type: ignore[operator]


def is_scalar(value: object) -> bool:
    """Return True if a value can be a variable's and is not a list."""
    return type(value) in (bool, str) or is_number(value)


def is_value(value: object) -> bool:
    """Return True if a value can be a variable's."""
    if isinstance(value, (list, tuple)):
        return len(value) <= limits.MAX_LIST_LENGTH and all(map(is_scalar, value))
    return is_scalar(value)


def freeze(value: Any) -> Value:
    """Return a variable's value, a list as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def render(value: Value) -> str:
    """Return a value as a part of a string. Raises ExpressionError for a list."""
    if isinstance(value, tuple):
        raise ExpressionError(f"a string cannot contain a list, got {show_value(value)}")
    return str(value).lower() if isinstance(value, bool) else str(value)


def show_value(value: Value) -> str:
    """Return a value for a message, on one line."""
    return show(list(value)) if isinstance(value, tuple) else show(value)


def expect_bool(value: Value, subject: str) -> bool:
    """Return a boolean. Raises ExpressionError for other values."""
    if isinstance(value, bool):
        return value
    raise ExpressionError(f"{subject} must be true or false, got {show_value(value)}")


def check(value: Value) -> Value:
    """Return a result. Raises ExpressionError if it is out of range."""
    if type(value) is int and abs(value) >= MAX_INTEGER:
        raise ExpressionError("an intermediate integer must be below 2^128 in magnitude")
    if type(value) is float and not math.isfinite(value):
        raise ExpressionError("a result must be finite in float64")
    return value


def calculate(symbol: str, left: Value, right: Value) -> Value:
    """Apply an arithmetic operator."""
    if type(left) not in (int, float) or type(right) not in (int, float):
        wrong = right if type(left) in (int, float) else left
        raise ExpressionError(f"{symbol} needs numbers, got {show_value(wrong)}")
    return check(ARITHMETIC[symbol](left, right))


def apply_sign(symbol: str, sign: int, value: Value) -> Value:
    """Return a number, negated if `sign` is -1; `symbol` is its innermost sign as written."""
    if type(value) not in (int, float):
        raise ExpressionError(f"{symbol} needs a number, got {show_value(value)}")
    return -value if sign < 0 else value  # type: ignore[operator]


def compare(symbol: str, left: Value, right: Value) -> bool:
    """Apply a comparison: values of different types are unequal, and only numbers have an order."""
    if symbol in ("==", "!="):
        return _are_equal(left, right) == (symbol == "==")
    if not (type(left) in (int, float) and type(right) in (int, float)):
        wrong = right if type(left) in (int, float) else left
        raise ExpressionError(f"{symbol} needs numbers, got {show_value(wrong)}")
    found: bool = COMPARISONS[symbol](left, right)
    return found


def _are_equal(left: Value, right: Value) -> bool:
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(_are_equal, left, right))
    has_numbers = type(left) in (int, float) and type(right) in (int, float)
    return (has_numbers or type(left) is type(right)) and left == right


def take(values: Value, index: Value) -> Value:
    """Return an entry of a list, counted from the end for a negative index."""
    if not isinstance(values, tuple):
        raise ExpressionError(f"only a list has an index, got {show_value(values)}")
    if type(index) is not int:
        raise ExpressionError(f"an index must be an integer, got {show_value(index)}")
    if not -len(values) <= index < len(values):
        raise ExpressionError(f"index {index} is outside of the list, which has {pluralize(len(values), 'value')}")
    return values[index]


def _power(base: Number, exponent: Number) -> Number:
    """Multiply repeatedly, which gives the same value everywhere."""
    if not isinstance(exponent, int) or abs(exponent) > MAX_EXPONENT:
        raise ExpressionError(f"an exponent must be an integer from -64 to 64, got {exponent}; use sqrt for roots")
    value: Any = 1
    for _ in range(abs(exponent)):
        value *= base
        if exponent > 0 or type(value) is int:
            check(value)
    if exponent >= 0:
        return value  # type: ignore[no-any-return]
    if value == 0 and base != 0:
        return math.inf  # the result is too large
    return 1 / value  # type: ignore[no-any-return]


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _sqrt(value: Number) -> float:
    if value < 0:
        raise ExpressionError(f"sqrt needs a number of at least 0, got {value}")
    return exact_math.sqrt(value)


def _log(value: Number) -> float:
    if value <= 0:
        raise ExpressionError(f"log needs a number above 0, got {value}")
    return exact_math.log(value)


def _exp(value: Number) -> float:
    try:
        return exact_math.exp(value)
    except OverflowError:
        raise ExpressionError("a result must be finite in float64") from None


def _spread(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function take either some numbers or a list of numbers."""

    def spread(*arguments: Value) -> Any:
        values = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], tuple) else arguments
        if not values:
            raise ExpressionError(f"{name} needs at least one number, got an empty list")
        return function([_number(name, value) for value in values])

    return spread


def _total(values: list[Number]) -> Value:
    total: Value = 0
    for value in values:
        total = check(total + value)  # type: ignore[operator]
    return total


def _of_number(name: str, function: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda value: function(_number(name, value))


def _number(name: str, value: Value) -> Number:
    if type(value) not in (int, float):
        raise ExpressionError(f"{name} needs numbers, got {show_value(value)}")
    return value  # type: ignore[return-value]


def _length(value: Value) -> int:
    if not isinstance(value, tuple):
        raise ExpressionError(f"len needs a list, got {show_value(value)}")
    return len(value)


def _sum(values: Value) -> Value:
    if not isinstance(values, tuple):
        raise ExpressionError(f"sum needs a list, got {show_value(values)}")
    return _total([_number("sum", value) for value in values])


# Each function with its maximum number of arguments; 0 means any number.
FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "min": (_spread("min", min), 0),
    "max": (_spread("max", max), 0),
    "sqrt": (_of_number("sqrt", _sqrt), 1),
    "int": (_of_number("int", int), 1),
    "round": (_of_number("round", round), 1),
    "abs": (_of_number("abs", abs), 1),
    "log": (_of_number("log", _log), 1),
    "exp": (_of_number("exp", _exp), 1),
    "len": (_length, 1),
    "sum": (_sum, 1),
}


def check_arguments(name: str, count: int) -> None:
    """Raise ExpressionError if a function does not take this number of arguments."""
    most = FUNCTIONS[name][1]
    if most and count > most:
        raise ExpressionError(f"{name} takes {pluralize(most, 'argument')}, got {count}")


def call(name: str, arguments: list[Value]) -> Value:
    return check(FUNCTIONS[name][0](*arguments))
