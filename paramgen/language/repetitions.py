"""Repetitions of a spec's entries: their indices, local variables and conditions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from paramgen.catalog.entries import CONDITION, ENTRY_KEYS, REPEAT, RepeatIndex, SpecEntry
from paramgen.catalog.fields import ErrorSubject, FieldType, KeyPath
from paramgen.language.diagnostics import InvalidItemError, Problem, explain_errors
from paramgen.language.evaluation import VALUE, Evaluator
from paramgen.language.expressions import has_expression
from paramgen.language.values import Value

Scope = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Repetitions:
    """The repetition of an entry, as written; `repeat` is None if it does not repeat."""

    path: KeyPath = ()
    repeat: Any = None
    index: str | None = None
    local: Mapping[str, Any] = field(default_factory=dict)
    when: Any = True

    @property
    def declared_names(self) -> set[str]:
        """The names of the variables that it declares."""
        return {*self.local, *([self.index] if self.index else [])}

    def indices(self, evaluator: Evaluator, scope: Scope) -> Sequence[RepeatIndex | None]:
        """Return the indices; (None,) without repetition. Raises InvalidItemError if they are wrong."""
        if self.repeat is None:
            return (None,)
        indices: Sequence[RepeatIndex] = _evaluate(evaluator, self.repeat, (*self.path, "repeat"), scope, REPEAT)
        return indices

    def scope_of(self, evaluator: Evaluator, index: RepeatIndex | None, scope: Scope) -> Scope:
        """Return the local variables of a repetition within `scope`. Raises InvalidItemError if they are wrong."""
        outer = {**scope, self.index: index} if self.index and index is not None else scope
        if not self.local:
            return outer
        path = (*self.path, "with")
        values = {name: _evaluate(evaluator, value, (*path, name), outer, VALUE) for name, value in self.local.items()}
        return {**outer, **values}

    def condition_holds(self, evaluator: Evaluator, scope: Scope) -> bool:
        """Return True if the condition holds. Raises InvalidItemError if it is wrong."""
        return self.when is True or check_condition(evaluator, self.when, (*self.path, "when"), scope)


NOT_REPEATED = Repetitions()


def read_repetitions(item: Any, path: KeyPath, evaluator: Evaluator, outer_variables: Collection[str]) -> Repetitions:
    """Return how an item repeats; `outer_variables` are the local variables outside of it.

    Raises InvalidItemError if it is wrong.
    """
    if not isinstance(item, dict) or item.keys().isdisjoint(ENTRY_KEYS):
        return NOT_REPEATED
    written = {key: value for key, value in item.items() if key in ENTRY_KEYS}
    literal = {key: value for key, value in written.items() if key in ("as", "with") or not _uses_expressions(value)}
    if "repeat" in written:
        literal.setdefault("repeat", 1)
    try:
        SpecEntry.model_validate(literal)
    except ValidationError as error:
        raise InvalidItemError(explain_errors(error, literal, path, ())) from None
    index = written.get("as")
    if isinstance(index, str) and (index in outer_variables or index in evaluator.variables):
        taken = "a local variable" if index in outer_variables else "a variable of the spec"
        raise InvalidItemError([Problem((*path, "as"), f"{index} is already {taken}; choose another name")])
    return Repetitions(path, written.get("repeat"), index, written.get("with", {}), written.get("when", True))


def check_condition(evaluator: Evaluator, written: Any, path: KeyPath, scope: Scope) -> bool:
    """Return True if a condition holds. Raises InvalidItemError if it is not a boolean."""
    holds: bool = _evaluate(evaluator, written, path, scope, CONDITION)
    return holds


def _evaluate(evaluator: Evaluator, written: Any, path: KeyPath, scope: Scope, expected: FieldType) -> Any:
    value, failures = evaluator.evaluate(written, path, scope)
    problems = list(evaluator.explain(failures))
    if not failures:
        problems = [
            Problem((*path, *at), message, of_key=subject is ErrorSubject.KEY)
            for at, message, subject in expected.errors(value)
        ]
    if problems or failures:
        raise InvalidItemError(problems)
    return expected.convert(value)


def _uses_expressions(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_uses_expressions, value.values() if isinstance(value, dict) else value))
    return has_expression(value)
