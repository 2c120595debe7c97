"""Arithmetic over a spec's variables: what stands in `${…}`. Nothing else can be reached, and its cost is bounded.

Integers are exact, floating-point numbers are float64; each operation is one that IEEE 754 rounds correctly, so that an
expression has the same value on every machine.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import lru_cache
from itertools import islice

from paramgen.text import counted, one_of, shorten, suggestion

Number = int | float
Environment = Mapping[str, Number]

MAX_LENGTH = 1000
MAX_DEPTH = 32
MAX_INTEGER = 2**128
MAX_EXPONENT = 64

VARIABLE_EXPECTED = "a name of a variable: letters, digits and _, not beginning with a digit, and no function's name"

VARIABLE = re.compile(r"[^\W\d]\w*")
_HOLE = re.compile(r"\$\{([^{}]*)\}")
_TOKEN = re.compile(r"\s*(?:((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)|([^\W\d]\w*)|(\*\*|//|[-+*/%(),]))")


class ExpressionError(ValueError):
    """What is wrong with an expression, or with its value."""


class UndefinedError(ExpressionError):
    """A variable that is not there."""

    def __init__(self, name: str, known: Collection[str]):
        self.name = name
        self.known = known

    def __str__(self) -> str:
        known = f"; there is {one_of(list(islice(self.known, 20)))}" if self.known else "; the spec has no variables"
        return f"{shorten(self.name)} is no variable{suggestion(self.name, self.known) or known}"


class Expression:
    """A parsed expression: `names` are the variables that it uses, `value` computes it."""

    def __init__(self, text: str):
        self.text = text
        parser = _Parser(text)
        self.value: Callable[[Environment], Number] = parser.parsed()
        self.names = frozenset(parser.names)


class Text:
    """A string with expressions in it: `whole` where it is one expression and nothing else."""

    def __init__(self, text: str):
        pieces = _HOLE.split(text)
        if any("${" in piece for piece in pieces[::2]):
            raise ExpressionError("'${' has no '}' after it, with an expression between them")
        self.literals = pieces[::2]
        self.expressions = [Expression(piece) for piece in pieces[1::2]]
        self.whole = self.literals == ["", ""]
        self.names = frozenset().union(*(expression.names for expression in self.expressions))

    def value(self, environment: Environment) -> Number | str:
        """The number of a whole expression; else the text with each expression's number in its place."""
        if self.whole:
            return self.expressions[0].value(environment)
        return self.text(environment)

    def text(self, environment: Environment) -> str:
        values = (str(expression.value(environment)) for expression in self.expressions)
        return self.literals[0] + "".join(v + literal for v, literal in zip(values, self.literals[1:], strict=True))


@lru_cache(4096)
def parsed(text: str) -> Text:
    """A string that has '${' in it, parsed. ExpressionError if that cannot be."""
    return Text(text)


def has_expression(value: object) -> bool:
    return isinstance(value, str) and "${" in value


def characters_in(value: object) -> int:
    """How long the texts with expressions in it are, all together."""
    if has_expression(value):
        return len(str(value))
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(characters_in, inner))


def names_in(value: object) -> frozenset[str]:
    """The variables that the expressions in a document's value use, as far as they can be parsed."""
    if has_expression(value):
        try:
            return parsed(str(value)).names
        except ExpressionError:
            return frozenset()
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return frozenset().union(*map(names_in, inner))


def is_number(value: object) -> bool:
    """Whether a value is what a variable can be: finite, and below 2^128 in magnitude."""
    return type(value) in (int, float) and -MAX_INTEGER < value < MAX_INTEGER  # type: ignore[operator]


def is_variable(name: str) -> bool:
    """Whether an expression can have a variable of this name."""
    return VARIABLE.fullmatch(name) is not None and name not in FUNCTIONS


class _Parser:
    """Recursive descent: + and - bind least, then * / // %, then signs, then **, which takes a sign on its right."""

    def __init__(self, text: str):
        if len(text) > MAX_LENGTH:
            raise ExpressionError(f"an expression of {len(text):,} characters; at most {MAX_LENGTH:,} are allowed")
        self.tokens = list(_tokens(text))
        self.at = 0
        self.depth = 0
        self.names: set[str] = set()

    def parsed(self) -> Callable[[Environment], Number]:
        value = self.sum()
        if self.at < len(self.tokens):
            raise ExpressionError(f"{self.tokens[self.at]!r} is not expected here; an operator is missing before it")
        return value

    def next(self, *wanted: str) -> str | None:
        """The next token, if it is one of those."""
        if self.at < len(self.tokens) and self.tokens[self.at] in wanted:
            self.at += 1
            return self.tokens[self.at - 1]
        return None

    def sum(self) -> Callable[[Environment], Number]:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(f"nested more than {MAX_DEPTH} levels deep")
        value = self.product()
        while symbol := self.next("+", "-"):
            value = _binary(symbol, value, self.product())
        self.depth -= 1
        return value

    def product(self) -> Callable[[Environment], Number]:
        value = self.signed()
        while symbol := self.next("*", "/", "//", "%"):
            value = _binary(symbol, value, self.signed())
        return value

    def signed(self) -> Callable[[Environment], Number]:
        signs = list(iter(lambda: self.next("-", "+"), None))
        value = self.power()
        return (lambda env: -value(env)) if signs.count("-") % 2 else value

    def power(self) -> Callable[[Environment], Number]:
        value = self.atom()
        if self.next("**"):
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise ExpressionError(f"nested more than {MAX_DEPTH} levels deep")
            exponent = self.signed()
            self.depth -= 1
            return _binary("**", value, exponent)
        return value

    def atom(self) -> Callable[[Environment], Number]:
        if self.at == len(self.tokens):
            raise ExpressionError(
                "ends where a number, a variable or a bracket is to follow" if self.at else "is empty"
            )
        token = self.tokens[self.at]
        self.at += 1
        if token[0].isdigit() or token[0] == ".":
            number = _checked(int(token) if token.isdecimal() else float(token))
            return lambda env: number
        if token == "(":
            value = self.sum()
            if not self.next(")"):
                raise ExpressionError("'(' has no ')'")
            return value
        if VARIABLE.fullmatch(token):
            return self.call(token) if self.next("(") else self.variable(token)
        raise ExpressionError(f"{token!r} stands where a number, a variable or a bracket is expected")

    def variable(self, name: str) -> Callable[[Environment], Number]:
        self.names.add(name)

        def value(env: Environment) -> Number:
            try:
                return env[name]
            except KeyError:
                raise UndefinedError(name, env) from None

        return value

    def call(self, name: str) -> Callable[[Environment], Number]:
        if name not in FUNCTIONS:
            guess = suggestion(name, FUNCTIONS)
            raise ExpressionError(f"{shorten(name)} is no function; one of {', '.join(FUNCTIONS)}{guess}")
        arguments = [self.sum()]
        while self.next(","):
            arguments.append(self.sum())
        if not self.next(")"):
            raise ExpressionError(f"{name}( has no ')'")
        function, most = FUNCTIONS[name]
        if most and len(arguments) > most:
            raise ExpressionError(f"{name} takes {counted(most, 'number')}, not {len(arguments)}")
        return lambda env: _checked(function(*(argument(env) for argument in arguments)))


def _tokens(text: str) -> Iterator[str]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if not match:
            bad = text[at:].lstrip()[0]
            raise ExpressionError(f"{bad!r} is not arithmetic; numbers, variables, + - * / // % ** and brackets are")
        at = match.end()
        yield match[1] or match[2] or match[3]


def _checked(value: Number) -> Number:
    if isinstance(value, int) and abs(value) >= MAX_INTEGER:
        raise ExpressionError("has an integer of 2^128 or more on its way")
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError("is beyond the numbers of float64")
    return value


def _power(base: Number, exponent: Number) -> Number:
    """By repeated multiplication, so that it is the same everywhere."""
    if not isinstance(exponent, int) or abs(exponent) > MAX_EXPONENT:
        raise ExpressionError(f"exponent {exponent} is not an integer from -64 to 64; sqrt takes roots")
    value: Number = 1
    for _ in range(abs(exponent)):
        value = _checked(value * base)
    return 1 / value if exponent < 0 else value


def _sqrt(value: Number) -> Number:
    if value < 0:
        raise ExpressionError(f"sqrt of {value}, which is below 0")
    return math.sqrt(value)


OPERATORS: dict[str, Callable[[Number, Number], Number]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
}
# Each with the most arguments that it takes; 0 is any number of them.
FUNCTIONS: dict[str, tuple[Callable[..., Number], int]] = {
    "min": (lambda *values: min(values), 0),
    "max": (lambda *values: max(values), 0),
    "sqrt": (_sqrt, 1),
    "int": (int, 1),
    "round": (round, 1),
}


def _binary(
    symbol: str, left: Callable[[Environment], Number], right: Callable[[Environment], Number]
) -> Callable[[Environment], Number]:
    function = OPERATORS[symbol]

    def value(env: Environment) -> Number:
        try:
            return _checked(function(left(env), right(env)))
        except ZeroDivisionError:
            raise ExpressionError("divides by zero") from None

    return value
