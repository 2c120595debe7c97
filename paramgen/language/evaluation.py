"""The values of a document's expressions: those of its variables, and of whatever uses them."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Mapping
from typing import Any

from paramgen import limits
from paramgen.formatting import shorten, show
from paramgen.language.diagnostics import Problems
from paramgen.language.expressions import (
    Environment,
    ExpressionError,
    Number,
    Text,
    UndefinedError,
    has_expression,
    is_number,
    is_variable,
    names_in,
)
from paramgen.language.yaml_reader import Path

VALUE_EXPECTED = "a number below 2^128 in magnitude, or ${…} over the variables before it"
# Keys whose values are texts: an expression that is all of one is text, too.
TEXTS = ("name", "match")

Errors = dict[Path, ExpressionError]


class Evaluator:
    """Evaluates the expressions of a spec over its `variables`; `needed` if there are any.

    `broken` are variables without a value, whose problem is known. Each text is parsed once. What depends on no index
    is evaluated once, unless the same spec is planned again.
    """

    def __init__(self, needed: bool):
        self.needed = needed
        self.variables: dict[str, Number] = {}
        self.broken: set[str] = set()
        self._terms = 0
        self._texts: dict[str, Text] = {}
        self._values: dict[str, Number | str] = {}

    def renewed(self) -> Evaluator:
        """Return one for the same variables that counts terms from zero."""
        other = Evaluator(self.needed)
        other.variables, other.broken = self.variables, self.broken
        other._texts, other._values = self._texts, self._values
        return other

    def parse(self, text: str, path: Path, problems: Problems) -> Text:
        """Return a text that has '${' in it, parsed. ExpressionError if that cannot be."""
        parsed = self._texts.get(text)
        if parsed is None:
            parsed = Text(text)
            self._spend(parsed.terms, path, problems)
            self._texts[text] = parsed
        return parsed

    def names(self, value: Any, path: Path, problems: Problems) -> frozenset[str]:
        """Return the variables that the expressions in a value use, but for those evaluated once and for all."""

        def names(text: str) -> frozenset[str]:
            return frozenset() if text in self._values else self.parse(text, path, problems).names

        return names_in(value, names)

    def value(self, text: str, indices: Mapping[str, int], path: Path, problems: Problems) -> Number | str:
        """Return the value of a text that has '${' in it. ExpressionError if it has none."""
        if text in self._values:
            return self._values[text]
        parsed = self.parse(text, path, problems)
        self._spend(parsed.terms, path, problems)
        value = parsed.value(self._environment(indices))
        if parsed.names.isdisjoint(indices):
            self._values[text] = value
            del self._texts[text]
        return value

    def evaluated(
        self,
        value: Any,
        base: Path,
        problems: Problems,
        indices: Mapping[str, int] | None = None,
        leave: Collection[str] = (),
    ) -> tuple[Any, Errors]:
        """Return the value with its expressions evaluated, and by path the errors of those that are left as they are.

        `base` is the value's own path. Keys in `leave`, and what they hold, are left alone.
        """
        errors: Errors = {}
        if not self.needed:
            return value, errors

        def evaluate(value: Any, path: Path, is_text: bool = False) -> Any:
            if isinstance(value, str):
                if "${" not in value:
                    return value
                try:
                    found = self.value(value, indices or {}, (*base, *path), problems)
                    return str(found) if is_text else found
                except ExpressionError as error:
                    errors[path] = error
            elif isinstance(value, dict):
                new = {
                    key: entry if key in leave else evaluate(entry, (*path, key), key in TEXTS)
                    for key, entry in value.items()
                }
                return new if any(new[key] is not entry for key, entry in value.items()) else value
            elif isinstance(value, list):
                entries = [evaluate(entry, (*path, number)) for number, entry in enumerate(value)]
                return entries if any(new is not old for new, old in zip(entries, value, strict=True)) else value
            return value

        return evaluate(value, ()), errors

    def report(self, errors: Errors, base: Path, problems: Problems, **context: Any) -> frozenset[Path]:
        """Add the errors to the problems, but for those of broken variables; return the paths of all of them."""
        paths = frozenset((*base, *path) for path in errors)
        for path, error in errors.items():
            if not (isinstance(error, UndefinedError) and error.name in self.broken):
                whole = (*base, *path)
                if isinstance(error, UndefinedError) and problems.has_a_report:  # suggestions take long
                    message = f"{shorten(error.name)} is no variable"
                else:
                    message = str(error)
                problems.add(whole, f"{shorten(problems.document.value(whole))}: {message}", **context)
        return paths

    def _environment(self, indices: Mapping[str, int]) -> Environment:
        if not indices:
            return self.variables
        return ChainMap(indices, self.variables) if self.variables else indices  # type: ignore[arg-type]

    def _spend(self, terms: int, path: Path, problems: Problems) -> None:
        self._terms += terms
        if self._terms > limits.MAX_TERMS:
            limit = f"more than {limits.MAX_TERMS:,} numbers, variables and operators in all (the limit)"
            problems.stop(path, f"expressions are too many or repeat too often: {limit}")


def evaluator(variables: Any, needed: bool, problems: Problems) -> Evaluator:
    """Return the evaluator of a spec's `variables`, each over those before it."""
    scope = Evaluator(needed)
    if not isinstance(variables, dict) or len(variables) > limits.MAX_VARIABLES:
        scope.broken.update(variables if isinstance(variables, dict) else ())
        return scope
    for name, written in variables.items():
        path = ("variables", name)
        value, errors = scope.evaluated(written, path, problems)
        if error := errors.get(()):
            if isinstance(error, UndefinedError) and error.name in variables and error.name not in scope.broken:
                errors = {(): ExpressionError(_too_early(name, error.name, variables, scope, problems))}
            scope.report(errors, path, problems)
        elif has_expression(written) and not is_number(value):
            problems.add(path, f"{show(value)} is not {VALUE_EXPECTED}")
        if is_variable(name) and is_number(value):
            scope.variables[name] = value
        else:
            scope.broken.add(name)
    return scope


def _too_early(name: str, used: str, variables: Mapping[str, Any], scope: Evaluator, problems: Problems) -> str:
    """Return what is wrong with a variable that uses one that does not stand before it."""
    reached, pending = set(), [used]
    while pending:
        other = pending.pop()
        if other in variables and other not in reached:
            reached.add(other)
            pending.extend(scope.names(variables[other], ("variables", other), problems))
    if name not in reached:
        return f"{used} stands after {name}; move it before"
    return f"{name} refers to itself" + (f" by way of {used}" if used != name else "")
