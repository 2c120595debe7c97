"""Evaluation of a document's variables and of the expressions that use them."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from paramgen import limits
from paramgen.formatting import shorten, show
from paramgen.language.diagnostics import Finding, LimitExceededError
from paramgen.language.expressions import (
    Environment,
    ExpressionError,
    Number,
    TemplateString,
    UndefinedError,
    has_expression,
    is_number,
    is_variable,
    names_in,
)
from paramgen.language.yaml_reader import Path

VALUE_EXPECTED = "a number below 2^128 in magnitude, or ${…} over the variables before it"
# Keys whose values are texts, even if they are a single expression.
TEXTS = ("name", "match")


class Evaluated(NamedTuple):
    """A value with its expressions evaluated; `failed` are the paths of those that have no value."""

    value: Any
    failed: frozenset[Path]
    findings: list[Finding]


class Evaluator:
    """Evaluates the expressions of a spec over its `variables`; `needed` is False if it has none.

    `broken` are variables without a value, whose errors are known. Each text is parsed once, and evaluated once if it
    depends on no index.
    """

    def __init__(self, needed: bool):
        self.needed = needed
        self.variables: dict[str, Number] = {}
        self.broken: set[str] = set()
        self._terms = 0
        self._texts: dict[str, TemplateString] = {}
        self._values: dict[str, Number | str] = {}

    def renew(self) -> Evaluator:
        """Return an evaluator for the same variables that counts terms from zero."""
        other = Evaluator(self.needed)
        other.variables, other.broken = self.variables, self.broken
        other._texts, other._values = self._texts, self._values
        return other

    def parse(self, text: str, path: Path) -> TemplateString:
        """Parse a text that has '${' in it. ExpressionError if that fails."""
        parsed = self._texts.get(text)
        if parsed is None:
            parsed = TemplateString(text)
            self._spend(parsed.terms, path)
            self._texts[text] = parsed
        return parsed

    def names(self, value: Any, path: Path) -> frozenset[str]:
        """Return the variables in a value's expressions, without those of cached results."""

        def names(text: str) -> frozenset[str]:
            return frozenset() if text in self._values else self.parse(text, path).names

        return names_in(value, names)

    def value(self, text: str, indices: Mapping[str, int], path: Path) -> Number | str:
        """Return the value of a text that has '${' in it. ExpressionError if it has none."""
        if text in self._values:
            return self._values[text]
        parsed = self.parse(text, path)
        self._spend(parsed.terms, path)
        value = parsed.value(self._environment(indices))
        if parsed.names.isdisjoint(indices):
            self._values[text] = value
            del self._texts[text]
        return value

    def evaluate(
        self, value: Any, base: Path, indices: Mapping[str, int] | None = None, leave: Collection[str] = ()
    ) -> Evaluated:
        """Evaluate the expressions in a value, as far as they have values.

        `base` is the value's own path. Keys in `leave`, and what they hold, are left alone.
        """
        if not self.needed:
            return Evaluated(value, frozenset(), [])
        failed: set[Path] = set()
        findings: list[Finding] = []

        def evaluate(value: Any, path: Path, is_text: bool = False) -> Any:
            if isinstance(value, str):
                if "${" not in value:
                    return value
                try:
                    found = self.value(value, indices or {}, path)
                    return str(found) if is_text else found
                except ExpressionError as error:
                    failed.add(path)
                    findings.extend(self.explain(value, path, error))
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

        return Evaluated(evaluate(value, base), frozenset(failed), findings)

    def explain(self, text: str, path: Path, error: ExpressionError) -> Iterator[Finding]:
        """Yield the finding of a text without a value, unless a broken variable explains it."""
        if not isinstance(error, UndefinedError):
            yield Finding(path, f"{shorten(text)}: {error}")
        elif error.name not in self.broken:
            yield Finding(path, f"{shorten(text)}: {error.problem}", suggest=error.hint)

    def _environment(self, indices: Mapping[str, int]) -> Environment:
        if not indices:
            return self.variables
        return ChainMap(indices, self.variables) if self.variables else indices  # type: ignore[arg-type]

    def _spend(self, terms: int, path: Path) -> None:
        self._terms += terms
        if self._terms > limits.MAX_TERMS:
            limit = f"more than {limits.MAX_TERMS:,} numbers, variables and operators in all (the limit)"
            raise LimitExceededError(path, f"expressions are too many or repeat too often: {limit}")


def evaluate_variables(variables: Any, needed: bool) -> tuple[Evaluator, list[Finding]]:
    """Return the evaluator of a spec's `variables`, each over those before it, and what is wrong with them."""
    evaluator = Evaluator(needed)
    findings: list[Finding] = []
    if not isinstance(variables, dict) or len(variables) > limits.MAX_VARIABLES:
        evaluator.broken.update(variables if isinstance(variables, dict) else ())
        return evaluator, findings
    for name, text in variables.items():
        path = ("variables", name)
        value = text
        try:
            if has_expression(text):
                value = evaluator.value(text, {}, path)
                if not is_number(value):
                    findings.append(Finding(path, f"{show(value)} is not {VALUE_EXPECTED}"))
        except ExpressionError as error:
            if isinstance(error, UndefinedError) and error.name in variables and error.name not in evaluator.broken:
                error = ExpressionError(_explain_order(name, error.name, variables, evaluator))
            findings += evaluator.explain(text, path, error)
        if is_variable(name) and is_number(value):
            evaluator.variables[name] = value
        else:
            evaluator.broken.add(name)
    return evaluator, findings


def _explain_order(name: str, used: str, variables: Mapping[str, Any], evaluator: Evaluator) -> str:
    """Return why a variable cannot use one that is not before it."""
    reached, pending = set(), [used]
    while pending:
        other = pending.pop()
        if other in variables and other not in reached:
            reached.add(other)
            pending.extend(evaluator.names(variables[other], ("variables", other)))
    if name not in reached:
        return f"{used} stands after {name}; move it before"
    return f"{name} refers to itself" + (f" by way of {used}" if used != name else "")
