"""The values of a document's expressions: those of its variables, and of whatever uses them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from paramgen.spec.document import Path
from paramgen.spec.expressions import (
    ExpressionError,
    Number,
    UndefinedError,
    has_expression,
    is_number,
    is_variable,
    names_in,
    parsed,
)
from paramgen.spec.problems import Problems
from paramgen.text import escape, shorten, show

MAX_VARIABLES = 1000
VALUE_EXPECTED = "a number below 2^128 in magnitude, or ${…} over the variables before it"
# Keys whose values are texts: an expression that is all of one is text, too.
TEXTS = ("name", "match")

Errors = dict[Path, ExpressionError]


@dataclass(frozen=True, slots=True)
class Evaluator:
    """The variables of a spec, and those that have no value, which has been told; `needed` if there are expressions."""

    variables: Mapping[str, Number]
    broken: frozenset[str]
    needed: bool

    def evaluated(
        self, value: Any, indices: Mapping[str, int] | None = None, leave: Collection[str] = ()
    ) -> tuple[Any, Errors]:
        """The value with its expressions evaluated, and what is wrong by path with those that are left as they are.

        Keys in `leave`, and what they hold, are left alone.
        """
        errors: Errors = {}
        if not self.needed:
            return value, errors
        environment = {**self.variables, **(indices or {})}

        def evaluate(value: Any, path: Path, is_text: bool = False) -> Any:
            if has_expression(value):
                try:
                    text = parsed(value)
                    return text.text(environment) if is_text else text.value(environment)
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

    def tell(self, errors: Errors, base: Path, problems: Problems, **context: Any) -> frozenset[Path]:
        """Add the errors to the problems; the paths of them all, told or not."""
        paths = frozenset((*base, *path) for path in errors)
        for path, error in errors.items():
            if not (isinstance(error, UndefinedError) and error.name in self.broken):
                whole = (*base, *path)
                if isinstance(error, UndefinedError) and problems.has_a_report:  # suggestions take long
                    message = f"{shorten(error.name)} is no variable"
                else:
                    message = str(error)
                problems.add(whole, f"{escape(shorten(problems.document.value(whole)))}: {message}", **context)
        return paths


def evaluator(variables: Any, needed: bool, problems: Problems) -> Evaluator:
    """The evaluator of a spec's `variables`, each over those before it."""
    values: dict[str, Number] = {}
    broken: set[str] = set()
    if not isinstance(variables, dict) or len(variables) > MAX_VARIABLES:
        return Evaluator(values, frozenset(variables if isinstance(variables, dict) else ()), needed)
    for name, written in variables.items():
        value, errors = Evaluator(values, frozenset(broken), has_expression(written)).evaluated(written)
        if error := errors.get(()):
            if isinstance(error, UndefinedError) and error.name in variables and error.name not in broken:
                errors = {(): ExpressionError(_too_early(name, error.name, variables))}
            Evaluator(values, frozenset(broken), needed).tell(errors, ("variables", name), problems)
        elif has_expression(written) and not is_number(value):
            problems.add(("variables", name), f"{show(value)} is not {VALUE_EXPECTED}")
        if is_variable(name) and is_number(value):
            values[name] = value
        else:
            broken.add(name)
    return Evaluator(values, frozenset(broken), needed)


def _too_early(name: str, used: str, variables: Mapping[str, Any]) -> str:
    """What is wrong where a variable uses one that does not stand before it."""
    reached, pending = set(), [used]
    while pending:
        other = pending.pop()
        if other in variables and other not in reached:
            reached.add(other)
            pending.extend(names_in(variables[other]))
    if name not in reached:
        return f"{used} stands after {name}; move it before"
    return f"{name} refers to itself" + (f" by way of {used}" if used != name else "")
