"""Arithmetic over a spec's variables, as in `${…}`. It reaches nothing else, and its cost is bounded.

Integers are exact, other numbers are float64. Every operation is one that IEEE 754 rounds correctly, so an expression
has the same value on every machine.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from itertools import islice
from typing import Any

from paramgen import limits
from paramgen.formatting import is_word, one_of, pluralize, shorten, suggestion

Number = int | float
Environment = Mapping[str, Number]
# A number; a variable's name; (function, operand, …); or [operand, function, operand, …], from left to right.
_Node = Any

MAX_INTEGER = 2**128
MAX_EXPONENT = 64

VARIABLE_EXPECTED = (
    "a name of a variable: letters, decimal digits and _, not beginning with a digit, and no function's name"
)

_HOLE = re.compile(r"\$\{([^{}]*)\}")
_TOKEN = re.compile(r"\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[^\W\d]\w*|\*\*|//|[-+*/%(),])")


class ExpressionError(ValueError):
    """An invalid expression, or one without a value."""


class UndefinedError(ExpressionError):
    """A variable that does not exist."""

    def __init__(self, name: str, known: Collection[str]):
        self.name = name
        self.known = known

    @property
    def problem(self) -> str:
        return f"{shorten(self.name)} is no variable"

    def hint(self) -> str:
        """Return the variable that may be meant, or else those that there are."""
        known = f"; there is {one_of(list(islice(self.known, 20)))}" if self.known else "; the spec has no variables"
        return suggestion(self.name, self.known) or known

    def __str__(self) -> str:
        return self.problem + self.hint()


class Expression:
    """A parsed expression: `names` are its variables, `terms` count its numbers, variables, operators and brackets."""

    __slots__ = ("_node", "names", "terms")

    def __init__(self, text: str):
        parser = _Parser(text)
        self._node = parser.parse()
        self.names = frozenset(parser.names)
        self.terms = len(parser.tokens)

    def value(self, environment: Environment) -> Number:
        try:
            return _evaluate(self._node, environment)
        except ZeroDivisionError:
            raise ExpressionError("divides by zero") from None


class TemplateString:
    """A string with expressions in it; `whole` if it is a single expression and nothing else."""

    __slots__ = ("expressions", "literals", "names", "terms", "whole")

    def __init__(self, text: str):
        pieces = _HOLE.split(text)
        if any("${" in piece for piece in pieces[::2]):
            raise ExpressionError("'${' has no '}' after it, with an expression between them")
        self.literals = pieces[::2]
        self.expressions = [Expression(piece) for piece in pieces[1::2]]
        self.whole = self.literals == ["", ""]
        self.names = frozenset().union(*(expression.names for expression in self.expressions))
        self.terms = sum(expression.terms for expression in self.expressions)

    def value(self, environment: Environment) -> Number | str:
        """Return the number of a whole expression, else the rendered text."""
        if self.whole:
            return self.expressions[0].value(environment)
        return self.render(environment)

    def render(self, environment: Environment) -> str:
        """Return the text with each expression replaced by its value."""
        values = (str(expression.value(environment)) for expression in self.expressions)
        return self.literals[0] + "".join(v + literal for v, literal in zip(values, self.literals[1:], strict=True))


def has_expression(value: object) -> bool:
    return isinstance(value, str) and "${" in value


def names_in(value: object, names: Callable[[str], frozenset[str]] | None = None) -> frozenset[str]:
    """Return the variables that the expressions in a document's value use, as far as they can be parsed.

    `names` returns those of one text; without it, the text is parsed.
    """
    if isinstance(value, str):
        if not has_expression(value):
            return frozenset()
        try:
            return names(value) if names else TemplateString(value).names
        except ExpressionError:
            return frozenset()
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return frozenset().union(*(names_in(entry, names) for entry in inner))


def is_number(value: object) -> bool:
    """Return whether a value can be a variable's: finite, and below 2^128 in magnitude."""
    return type(value) in (int, float) and -MAX_INTEGER < value < MAX_INTEGER  # type: ignore[operator]


def is_variable(name: str) -> bool:
    """Return whether an expression can have a variable of this name."""
    return is_word(name) and bool(name) and not name[0].isdecimal() and name not in FUNCTIONS


class _Parser:
    """Recursive descent: + and - bind least, then * / // %, then signs, then **, which takes a sign on its right."""

    def __init__(self, text: str):
        if len(text) > limits.MAX_EXPRESSION_LENGTH:
            most = limits.MAX_EXPRESSION_LENGTH
            raise ExpressionError(f"an expression of {len(text):,} characters; at most {most:,} are allowed")
        self.tokens = _split(text)
        self.at = 0
        self.depth = 0
        self.names: set[str] = set()

    def parse(self) -> _Node:
        node = self.sum()
        if self.tokens[self.at]:
            raise ExpressionError(f"{self.tokens[self.at]!r} is not expected here; an operator is missing before it")
        return node

    def skip(self, wanted: str) -> bool:
        """Skip the next token if it is the wanted one; return whether it was."""
        found = self.tokens[self.at] == wanted
        self.at += found
        return found

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > limits.MAX_EXPRESSION_DEPTH:
            raise ExpressionError(f"nested more than {limits.MAX_EXPRESSION_DEPTH} levels deep")

    def sum(self) -> _Node:
        self.deeper()
        chain = [self.product()]
        while function := _SUMS.get(self.tokens[self.at]):
            self.at += 1
            chain += function, self.product()
        self.depth -= 1
        return chain if len(chain) > 1 else chain[0]

    def product(self) -> _Node:
        chain = [self.signed()]
        while function := _PRODUCTS.get(self.tokens[self.at]):
            self.at += 1
            chain += function, self.signed()
        return chain if len(chain) > 1 else chain[0]

    def signed(self) -> _Node:
        negative = False
        while (sign := self.tokens[self.at]) in _SUMS:
            negative ^= sign == "-"
            self.at += 1
        node = self.power()
        return (operator.neg, node) if negative else node

    def power(self) -> _Node:
        node = self.atom()
        if self.skip("**"):
            self.deeper()
            node = (_power, node, self.signed())
            self.depth -= 1
        return node

    def atom(self) -> _Node:
        token = self.tokens[self.at]
        if not token:
            raise ExpressionError(
                "ends where a number, a variable or a bracket is to follow" if self.at else "is empty"
            )
        self.at += 1
        if token[0] in "0123456789.":
            return _checked(int(token) if token.isdecimal() else float(token))
        if token == "(":
            node = self.sum()
            if not self.skip(")"):
                raise ExpressionError("'(' has no ')'")
            return node
        if token[0] == "_" or token[0].isalpha():
            if self.skip("("):
                return self.call(token)
            self.names.add(token)
            return token
        raise ExpressionError(f"{token!r} stands where a number, a variable or a bracket is expected")

    def call(self, name: str) -> _Node:
        if name not in FUNCTIONS:
            guess = suggestion(name, FUNCTIONS)
            raise ExpressionError(f"{shorten(name)} is no function; one of {', '.join(FUNCTIONS)}{guess}")
        arguments = [self.sum()]
        while self.skip(","):
            arguments.append(self.sum())
        if not self.skip(")"):
            raise ExpressionError(f"{name}( has no ')'")
        function, most = FUNCTIONS[name]
        if most and len(arguments) > most:
            raise ExpressionError(f"{name} takes {pluralize(most, 'number')}, not {len(arguments)}")
        return (function, *arguments)


def _split(text: str) -> list[str]:
    """Return the tokens, followed by an empty one."""
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        bad = "" if match else text[at:].lstrip()[0]
        if match and not match[1].isascii():
            bad = next((c for c in match[1] if not is_word(c)), "")
        if bad or not match:
            raise ExpressionError(f"{bad!r} is not arithmetic; numbers, variables, + - * / // % ** and brackets are")
        at = match.end()
        tokens.append(match[1])
    return [*tokens, ""]


def _evaluate(node: _Node, environment: Environment) -> Number:
    if node.__class__ is list:
        value = _evaluate(node[0], environment)
        for at in range(1, len(node), 2):
            value = _checked(node[at](value, _evaluate(node[at + 1], environment)))
        return value
    if node.__class__ is str:
        if node not in environment:
            raise UndefinedError(node, environment)
        return environment[node]
    if node.__class__ is tuple:
        function, *operands = node
        return _checked(function(*(_evaluate(operand, environment) for operand in operands)))
    number: Number = node
    return number


def _checked(value: Number) -> Number:
    if isinstance(value, int) and abs(value) >= MAX_INTEGER:
        raise ExpressionError("has an integer of 2^128 or more on its way")
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError("is beyond the numbers of float64")
    return value


def _power(base: Number, exponent: Number) -> Number:
    """Multiply repeatedly, which gives the same value everywhere."""
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


# Each function with its maximum number of arguments; 0 means any number.
FUNCTIONS: dict[str, tuple[Callable[..., Number], int]] = {
    "min": (lambda *values: min(values), 0),
    "max": (lambda *values: max(values), 0),
    "sqrt": (_sqrt, 1),
    "int": (int, 1),
    "round": (round, 1),
}

_SUMS: dict[str, Callable[[Number, Number], Number]] = {"+": operator.add, "-": operator.sub}
_PRODUCTS: dict[str, Callable[[Number, Number], Number]] = {
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
