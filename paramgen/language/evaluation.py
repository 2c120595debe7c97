"""Evaluation of a document's variables and of the expressions that use them."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from pydantic.fields import FieldInfo

from paramgen import limits
from paramgen.catalog.entries import is_variable
from paramgen.catalog.fields import FieldType, KeyPath, Schema
from paramgen.catalog.initializers import INITIALIZERS
from paramgen.language import values
from paramgen.language.diagnostics import LimitExceededError, Problem
from paramgen.language.expressions import KEYWORDS, Expression, TemplateString, UndefinedError, names_in
from paramgen.language.values import Environment, ExpressionError, Value
from paramgen.language.yaml_reader import from_yaml
from paramgen.messages import shorten

_SCALAR: Final[Schema] = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": -values.MAX_INTEGER, "exclusiveMaximum": values.MAX_INTEGER},
        {"type": "boolean"},
        {"type": "string"},
    ]
}
VALUE: Final = FieldType(
    value=f"a number below 2^128, a boolean, a string, or a list of at most {limits.MAX_LIST_LENGTH:,} of these",
    accepts=values.is_value,
    schema={"anyOf": [*_SCALAR["anyOf"], {"type": "array", "items": _SCALAR, "maxItems": limits.MAX_LIST_LENGTH}]},
    convert=values.freeze,
)


def _is_deferred(field: FieldInfo) -> bool:
    return any(isinstance(part, FieldType) and part.is_deferred for part in field.metadata)


# Keys whose values are strings, even if they are a single expression.
TEXT_KEYS: Final = ("name", "match")
# Keys whose expressions may use an index, by the type of the mapping that they are in. These are evaluated later.
_DEFERRED_KEYS: Final = {
    name: keys
    for model in INITIALIZERS
    if (keys := [key for key, field in model.fields_by_key().items() if _is_deferred(field)])
    for name in model.names()
}
# The variables of these: the index along the axis, and the axis's size.
INDEX_VARIABLES: Final = frozenset({"k", "n"})
# Numbers and operators, which are not meant as a string even if they cannot be parsed.
_ARITHMETIC: Final = re.compile(r"(?=.*[0-9])[0-9.\s]*[-+*/%()][-+*/%().0-9\s]*")
EMPTY_SCOPE: Final[Mapping[str, Value]] = {}


def deferred_keys(mapping: Mapping[str, Any]) -> Collection[str]:
    """Return the keys of a mapping whose expressions may use an index."""
    type_name = mapping.get("type")
    return _DEFERRED_KEYS.get(type_name, ()) if isinstance(type_name, str) else ()


class EvaluationFailure(NamedTuple):
    """A text whose expressions have no value, and why."""

    text: str
    error: ExpressionError


@dataclass(frozen=True, eq=False)
class DeferredExpression:
    """An expression with its variables, to be evaluated once per index `k` of an axis with `n` entries.

    `count_evaluation` counts the terms of one evaluation.
    """

    text: str
    variables: Mapping[str, Value]
    template: TemplateString = field(repr=False)
    count_evaluation: Callable[[], None] = field(repr=False)

    def __call__(self, k: int, n: int) -> float:
        """Return the value at an index, rounded to float64. Raises ValueError if there is none."""
        self.count_evaluation()
        value = self.template.value({**self.variables, "k": k, "n": n})
        if type(value) not in (int, float):
            raise ExpressionError(f"a formula must give numbers, got {values.show_value(value)}")
        return float(value)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.text


class _Constant(NamedTuple):
    """The value of a string that uses no local variables."""

    value: Value
    names: frozenset[str]


def _is_independent(names: frozenset[str], local: Mapping[str, Value]) -> bool:
    """Return True if local variables cannot change the value of a text with these names, nor how it is parsed."""
    return not local or (names.isdisjoint(local) and KEYWORDS.isdisjoint(local))


class Evaluator:
    """Evaluates the expressions of a spec over its `variables`; `is_enabled` is False if it has none.

    `broken` are variables without a value, whose errors are known. Each text is parsed once, and evaluated once if it
    uses no local variables: the indices of repetitions, and those of `with`.
    """

    def __init__(self, is_enabled: bool):
        self.is_enabled = is_enabled
        self.variables: dict[str, Value] = {}
        self.broken: set[str] = set()
        self._terms = 0
        self._templates: dict[tuple[str, frozenset[str]], TemplateString] = {}
        self._constants: dict[str, _Constant] = {}

    def parse(self, text: str, path: KeyPath, local: Collection[str] = ()) -> TemplateString:
        """Parse a string that has '${' in it. Raises ExpressionError if that fails."""
        declared = (name for name in KEYWORDS if name in self.variables or name in self.broken or name in local)
        key = text, frozenset(declared)
        template = self._templates.get(key)
        if template is None:
            template = TemplateString(*key)
            self.count_terms(template.terms, path)
            self._templates[key] = template
        return template

    def names(self, value: Any, path: KeyPath, local: Collection[str]) -> frozenset[str]:
        """Return the local variables in a value's expressions."""
        if not self.is_enabled:
            return frozenset()

        def names(text: str) -> frozenset[str]:
            constant = self._constants.get(text) if KEYWORDS.isdisjoint(local) else None
            return constant.names if constant else self.parse(text, path, local).names

        return names_in(value, names).intersection(local)

    def value(self, text: str, local: Mapping[str, Value], path: KeyPath) -> Value:
        """Return the value of a string that has '${' in it. Raises ExpressionError if it has none."""
        constant = self._constants.get(text)
        if constant and _is_independent(constant.names, local):
            if type(constant.value) is tuple:
                self.count_terms(len(constant.value), path)
            return constant.value
        template = self.parse(text, path, local)
        environment = self._environment(local)
        self.count_terms(template.cost(environment), path)
        value = template.value(environment)
        if _is_independent(template.names, local):
            self._constants[text] = _Constant(value, template.names)
        return value

    def evaluate(
        self,
        value: Any,
        base: KeyPath,
        local: Mapping[str, Value] = EMPTY_SCOPE,
        skip_keys: Collection[str] = (),
        defer: bool = True,
    ) -> tuple[Any, dict[KeyPath, EvaluationFailure]]:
        """Evaluate the expressions in a value as far as they have values; return it, and the failures by path.

        `base` is the value's own path. Keys in `skip_keys`, and what they hold, are left alone. Without `defer`, so are
        keys whose expressions may use an index: files store them as written.
        """
        failures: dict[KeyPath, EvaluationFailure] = {}
        if not self.is_enabled:
            return value, failures

        def evaluate(value: Any, path: KeyPath, key: str = "", bound: Collection[str] = ()) -> Any:
            if isinstance(value, str):
                if "${" not in value or (key in bound and not defer):
                    return value
                try:
                    if key in bound and not INDEX_VARIABLES.isdisjoint(self.parse(value, path, local).names):
                        return self._defer(value, path, local)
                    return _as_data(self.value(value, local, path), key)
                except ExpressionError as error:
                    failures[path] = EvaluationFailure(value, error)
            elif isinstance(value, dict):
                deferred = deferred_keys(value)
                new = {
                    key: entry if key in skip_keys else evaluate(entry, (*path, key), key, deferred)
                    for key, entry in value.items()
                }
                return new if any(new[key] is not entry for key, entry in value.items()) else value
            elif isinstance(value, list):
                entries = [evaluate(entry, (*path, number)) for number, entry in enumerate(value)]
                return entries if any(new is not old for new, old in zip(entries, value, strict=True)) else value
            return value

        return evaluate(value, base), failures

    def explain(self, failures: Mapping[KeyPath, EvaluationFailure]) -> Iterator[Problem]:
        """Yield an error for each failure that no broken variable explains."""
        for path, (text, error) in failures.items():
            if not isinstance(error, UndefinedError):
                yield Problem(path, f"{shorten(text)}: {error}")
            elif error.name not in self.broken:
                yield Problem(path, f"{shorten(text)}: {error.problem}", suggest=error.hint)

    def _defer(self, text: str, path: KeyPath, local: Mapping[str, Value]) -> DeferredExpression:
        template = self.parse(text, path, local)
        environment = self._environment(local)
        used = sorted(template.names - INDEX_VARIABLES)
        for name in used:
            if name not in environment:
                raise UndefinedError(name, [*sorted(INDEX_VARIABLES), *environment])
        terms = template.cost({**environment, **dict.fromkeys(INDEX_VARIABLES, 0)})
        variables = {name: environment[name] for name in used}
        return DeferredExpression(text, variables, template, lambda: self.count_terms(terms, path))

    def _environment(self, local: Mapping[str, Value]) -> Environment:
        if not local:
            return self.variables
        return ChainMap(local, self.variables) if self.variables else local  # type: ignore[arg-type]

    def count_terms(self, terms: int, path: KeyPath) -> None:
        """Count terms that are parsed or evaluated. Raises LimitExceededError if there are too many."""
        self._terms += terms
        if self._terms > limits.MAX_TERMS:
            limit = f"more than {limits.MAX_TERMS:,} numbers, variables and operators in all (the limit)"
            raise LimitExceededError(path, f"expressions are too many or repeat too often: {limit}")


def _as_data(value: Value, key: str) -> Any:
    """Return a value as a document has it under a key."""
    if key in TEXT_KEYS:
        return values.render(value)
    return list(value) if type(value) is tuple else value


def parse_value(text: str) -> Value:
    """Return a variable's value from text: YAML for lists, booleans and strings, or arithmetic.

    Text that is neither is a string. Raises ValueError for values of other types and for arithmetic without a value.
    """
    value = from_yaml(text.encode(), "value").data
    if value == text.strip():  # not in quotes
        return _parse_unquoted(value)
    for _, message, _ in VALUE.errors(value):
        raise ExpressionError(message)
    frozen: Value = values.freeze(value)
    return frozen


def _parse_unquoted(text: str) -> Value:
    is_arithmetic = bool(_ARITHMETIC.fullmatch(text))
    try:
        expression = Expression(text)
        is_arithmetic = not expression.names
        return expression.value({}) if is_arithmetic else text
    except ExpressionError as error:
        if is_arithmetic:
            raise ExpressionError(f"{shorten(text)}: {error}") from None
        return text


def evaluate_variables(variables: Any, is_enabled: bool) -> tuple[Evaluator, list[Problem]]:
    """Return the evaluator of a spec's `variables`, each over those before it, and the errors in them."""
    evaluator = Evaluator(is_enabled)
    problems: list[Problem] = []
    if not isinstance(variables, dict) or len(variables) > limits.MAX_VARIABLES:
        evaluator.broken.update(variables if isinstance(variables, dict) else ())
        return evaluator, problems
    for name, written in variables.items():
        path = ("variables", name)
        value, failures = evaluator.evaluate(written, path)
        problems += evaluator.explain(
            {at: _explain_order(failure, name, variables, evaluator) for at, failure in failures.items()}
        )
        if not failures and value is not written:
            problems += [Problem((*path, *at), message) for at, message, _ in VALUE.errors(value)]
        if is_variable(name) and not failures and values.is_value(value):
            evaluator.variables[name] = values.freeze(value)
        else:
            evaluator.broken.add(name)
    return evaluator, problems


def _explain_order(
    failure: EvaluationFailure, name: str, variables: Mapping[str, Any], evaluator: Evaluator
) -> EvaluationFailure:
    """Return the failure of a variable, with the reason if it uses one that is not before it."""
    used = failure.error.name if isinstance(failure.error, UndefinedError) else None
    if used is None or used not in variables or used in evaluator.broken:
        return failure
    reached, pending = set(), [used]
    while pending:
        other = pending.pop()
        if other in variables and other not in reached:
            reached.add(other)
            pending.extend(evaluator.names(variables[other], ("variables", other), variables))
    if name not in reached:
        reason = f"{used} is defined after {name}; move it before"
    else:
        reason = f"{name} refers to itself" + (f" by way of {used}" if used != name else "")
    return EvaluationFailure(failure.text, ExpressionError(reason))
