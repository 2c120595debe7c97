"""Expressions in `${…}`: parsing, and evaluation over variables. They reach nothing else, and their cost is bounded."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from itertools import islice
from typing import Final

from paramgen import limits
from paramgen.catalog.fields import is_identifier_text
from paramgen.language import values
from paramgen.language.values import FUNCTIONS, Environment, ExpressionError, Value
from paramgen.messages import closest_match, did_you_mean, join_or, shorten

# Extra terms that a call or an operator counts. A logarithm takes 40 µs, a power 10 µs, the others below 1 µs.
EXTRA_TERMS: Final = {"log": 20, "exp": 20, "**": 10}

# Evaluates a part of an expression.
_Node = Callable[[Environment], Value]

KEYWORDS: Final = frozenset({"if", "else", "and", "or", "not", "true", "false"})

_HOLE = re.compile(r"\$\{([^{}]*)\}")
_TOKEN = re.compile(
    r"\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[^\W\d]\w*|'[^']*'|\*\*|//|[=!<>]=|[-+*/%(),<>\[\]])"
)


class UndefinedError(ExpressionError):
    """A variable that does not exist."""

    def __init__(self, name: str, known: Collection[str]):
        self.name = name
        self.known = known

    @property
    def problem(self) -> str:
        return f"unknown variable {shorten(self.name)}"

    def hint(self) -> str:
        """Return the variable that may be meant, or else those that there are."""
        if self.name in FUNCTIONS:
            return f"; it is a function, {self.name}(…)"
        known = f"; there is {join_or(list(islice(self.known, 20)))}" if self.known else "; the spec has no variables"
        return did_you_mean(closest_match(self.name, self.known)) or known

    def __str__(self) -> str:
        return self.problem + self.hint()


class Expression:
    """A parsed expression.

    `names` are its variables. `wholes` has those without an index, which may be whole lists, once per use. `terms`
    counts its numbers, variables, operators and brackets. Variables in `shadowing` are not keywords.
    """

    __slots__ = ("_evaluate", "names", "terms", "wholes")

    def __init__(self, text: str, shadowing: frozenset[str] = frozenset()):
        parser = _Parser(text, shadowing)
        self._evaluate = parser.parse()
        self.names = frozenset(parser.names)
        self.wholes = tuple(parser.wholes)
        self.terms = len(parser.tokens) + sum(EXTRA_TERMS.get(token, 0) for token in parser.tokens)

    def value(self, environment: Environment) -> Value:
        try:
            return self._evaluate(environment)
        except ZeroDivisionError:
            raise ExpressionError("division by zero") from None


class TemplateString:
    """A string with expressions in it; `whole` if it is a single expression and nothing else."""

    __slots__ = ("expressions", "literals", "names", "terms", "whole", "wholes")

    def __init__(self, text: str, shadowing: frozenset[str] = frozenset()):
        pieces = _HOLE.split(text)
        if any("${" in piece for piece in pieces[::2]):
            raise ExpressionError("'${' must be followed by an expression and '}'")
        self.literals = pieces[::2]
        self.expressions = [Expression(piece, shadowing) for piece in pieces[1::2]]
        self.whole = self.literals == ["", ""]
        self.names = frozenset().union(*(expression.names for expression in self.expressions))
        self.wholes = [name for expression in self.expressions for name in expression.wholes]
        self.terms = sum(expression.terms for expression in self.expressions)

    def value(self, environment: Environment) -> Value:
        """Return the value of a whole expression, else the rendered text."""
        return self.expressions[0].value(environment) if self.whole else self.render(environment)

    def render(self, environment: Environment) -> str:
        """Return the text with each expression replaced by its value."""
        rendered = (values.render(expression.value(environment)) for expression in self.expressions)
        return self.literals[0] + "".join(v + literal for v, literal in zip(rendered, self.literals[1:], strict=True))

    def cost(self, environment: Environment) -> int:
        """Return the number of terms that an evaluation counts for, those of lists included."""
        found = (environment.get(name) for name in self.wholes)
        return self.terms + sum(len(value) for value in found if isinstance(value, tuple))


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


class _Parser:
    """Recursive descent with the precedence of Python's operators."""

    def __init__(self, text: str, shadowing: frozenset[str]):
        if len(text) > limits.MAX_EXPRESSION_LENGTH:
            most = limits.MAX_EXPRESSION_LENGTH
            raise ExpressionError(f"an expression must have at most {most:,} characters, got {len(text):,}")
        self.tokens = _split(text)
        self.at = 0
        self.depth = 0
        self.keywords = KEYWORDS - shadowing
        self.names: set[str] = set()
        self.wholes: list[str] = []

    def parse(self) -> _Node:
        node = self.conditional()
        if self.tokens[self.at]:
            raise ExpressionError(f"unexpected {self.tokens[self.at]!r}; an operator is missing before it")
        return node

    def skip(self, *wanted: str) -> str:
        """Skip the next token if it is a wanted one; return it, or else ''."""
        token = self.tokens[self.at]
        if token not in wanted or (token in KEYWORDS and token not in self.keywords):
            return ""
        self.at += 1
        return token

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > limits.MAX_EXPRESSION_DEPTH:
            raise ExpressionError(f"an expression must be at most {limits.MAX_EXPRESSION_DEPTH} levels deep")

    def conditional(self) -> _Node:
        self.deeper()
        node = self.alternative()
        if self.skip("if"):
            condition = self.alternative()
            if not self.skip("else"):
                raise ExpressionError("'if' needs an 'else': a if condition else b")
            node = _choose(condition, node, self.conditional())
        self.depth -= 1
        return node

    def alternative(self) -> _Node:
        node = self.conjunction()
        while self.skip("or"):
            node = _either(node, self.conjunction())
        return node

    def conjunction(self) -> _Node:
        node = self.negation()
        while self.skip("and"):
            node = _both(node, self.negation())
        return node

    def negation(self) -> _Node:
        count = 0
        while self.skip("not"):
            count += 1
        node = self.comparison()
        return _invert(node, count % 2 == 1) if count else node

    def comparison(self) -> _Node:
        node = self.sum()
        if symbol := self.skip(*values.COMPARISONS):
            node = _binary(values.compare, symbol, node, self.sum())
            if other := self.skip(*values.COMPARISONS):
                raise ExpressionError(f"comparisons cannot be chained, got {symbol} … {other}; join two with 'and'")
        return node

    def sum(self) -> _Node:
        node = self.product()
        while symbol := self.skip("+", "-"):
            node = _binary(values.calculate, symbol, node, self.product())
        return node

    def product(self) -> _Node:
        node = self.signed()
        while symbol := self.skip("*", "/", "//", "%"):
            node = _binary(values.calculate, symbol, node, self.signed())
        return node

    def signed(self) -> _Node:
        signs = []
        while sign := self.skip("+", "-"):
            signs.append(sign)
        node = self.power()
        return _sign(signs, node) if signs else node

    def power(self) -> _Node:
        node = self.entry()
        if self.skip("**"):
            self.deeper()
            node = _binary(values.calculate, "**", node, self.signed())
            self.depth -= 1
        return node

    def entry(self) -> _Node:
        node = self.atom()
        while self.skip("["):
            node = _take(node, self.conditional())
            if not self.skip("]"):
                raise ExpressionError("'[' has no ']'")
        return node

    def atom(self) -> _Node:
        token = self.tokens[self.at]
        if not token:
            raise ExpressionError(
                "expected a number, a variable or a bracket, got the end" if self.at else "the expression is empty"
            )
        self.at += 1
        if token[0] in "0123456789.":
            return _constant(values.check(int(token) if token.isdecimal() else float(token)))
        if token[0] == "'":
            return _constant(token[1:-1])
        if token == "(":
            node = self.conditional()
            if not self.skip(")"):
                raise ExpressionError("'(' has no ')'")
            return node
        if token in self.keywords and token in ("true", "false"):
            return _constant(token == "true")
        if (token[0] == "_" or token[0].isalpha()) and token not in self.keywords:
            if self.skip("("):
                return self.call(token)
            self.names.add(token)
            if self.tokens[self.at] != "[":
                self.wholes.append(token)
            return _variable(token)
        raise ExpressionError(f"expected a number, a variable or a bracket, got {token!r}")

    def call(self, name: str) -> _Node:
        if name not in FUNCTIONS:
            guess = did_you_mean(closest_match(name, FUNCTIONS))
            raise ExpressionError(f"unknown function {shorten(name)}; use {join_or(list(FUNCTIONS))}{guess}")
        arguments = [self.conditional()]
        while self.skip(","):
            arguments.append(self.conditional())
        if not self.skip(")"):
            raise ExpressionError(f"'{name}(' has no ')'")
        values.check_arguments(name, len(arguments))
        return lambda environment: values.call(name, [argument(environment) for argument in arguments])


def _constant(value: Value) -> _Node:
    return lambda environment: value


def _variable(name: str) -> _Node:
    def look_up(environment: Environment) -> Value:
        if name not in environment:
            raise UndefinedError(name, environment)
        return environment[name]

    return look_up


def _binary(function: Callable[[str, Value, Value], Value], symbol: str, left: _Node, right: _Node) -> _Node:
    return lambda environment: function(symbol, left(environment), right(environment))


def _sign(signs: list[str], node: _Node) -> _Node:
    sign = -1 if signs.count("-") % 2 else 1
    return lambda environment: values.apply_sign(signs[-1], sign, node(environment))


def _take(node: _Node, index: _Node) -> _Node:
    return lambda environment: values.take(node(environment), index(environment))


def _choose(condition: _Node, this: _Node, other: _Node) -> _Node:
    return lambda environment: (
        this(environment) if values.expect_bool(condition(environment), "a condition") else other(environment)
    )


def _either(left: _Node, right: _Node) -> _Node:
    return lambda environment: (
        values.expect_bool(left(environment), "an operand of 'or'")
        or values.expect_bool(right(environment), "an operand of 'or'")
    )


def _both(left: _Node, right: _Node) -> _Node:
    return lambda environment: (
        values.expect_bool(left(environment), "an operand of 'and'")
        and values.expect_bool(right(environment), "an operand of 'and'")
    )


def _invert(node: _Node, odd: bool) -> _Node:
    return lambda environment: values.expect_bool(node(environment), "the operand of 'not'") != odd


def _split(text: str) -> list[str]:
    """Return the tokens, followed by an empty one."""
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        bad = "" if match else text[at:].lstrip()[0]
        if match and match[1][0] != "'" and not match[1].isascii():
            bad = next((c for c in match[1] if not is_identifier_text(c)), "")
        if bad == "'":
            raise ExpressionError("a string has no closing '")
        if bad or not match:
            raise ExpressionError(f"unexpected character {bad!r}; see docs/spec.md for what an expression may contain")
        at = match.end()
        tokens.append(match[1])
    return [*tokens, ""]
