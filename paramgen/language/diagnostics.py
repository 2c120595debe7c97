"""Errors of a spec: problems at paths of its document, and the report that gives each its line and column."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from paramgen import limits
from paramgen.catalog.fields import ErrorSubject, KeyPath
from paramgen.errors import MAX_SHOWN_ERRORS, Diagnostic, SpecError
from paramgen.language import values
from paramgen.language.document import Document, clip_path, path_text
from paramgen.language.expressions import has_expression, names_in
from paramgen.messages import shorten


@dataclass(frozen=True, slots=True)
class RepeatLocation:
    """The repetition in which an error arises: the operation's full name, and the indices around it."""

    name: str
    indices: Mapping[str, Any]


class Problem(NamedTuple):
    """An error at a path of the document, in its value or, with `of_key`, in its key.

    A warning does not make the spec invalid. `suggest` returns the end of the message. It is called only for errors
    that are shown, as searching for similar names takes long.
    """

    path: KeyPath
    message: str
    of_key: bool = False
    location: RepeatLocation | None = None
    suggest: Callable[[], str] | None = None
    is_warning: bool = False


class LimitExceededError(Exception):
    """A limit of a spec that ends the search for further errors."""

    def __init__(self, path: KeyPath, message: str, location: RepeatLocation | None = None):
        super().__init__(message)
        self.problem = Problem(path, message, location=location)


class InvalidItemError(Exception):
    """An item of a spec that is wrong, with all its errors."""

    def __init__(self, problems: list[Problem]):
        super().__init__()
        self.problems = problems


def explain_errors(error: ValidationError, data: Any, base: KeyPath, unknown: Collection[KeyPath]) -> list[Problem]:
    """Return pydantic's errors of the data at a path, without those of `unknown` paths, which have no value."""
    found = []
    for item in error.errors(include_url=False):
        path = item["loc"]
        if unknown and (*base, *clip_path(data, path)) in unknown:
            continue
        found.append(Problem((*base, *path), item["msg"], of_key=item["type"] == ErrorSubject.KEY))
    return found


class ProblemCollector:
    """The problems of a spec: the first for each path, up to a limit."""

    def __init__(self, problems: Iterable[Problem] = ()):
        self._by_path: dict[tuple[KeyPath, bool], Problem] = {}
        self.total = 0
        for problem in problems:
            self.add(problem)

    @property
    def is_full(self) -> bool:
        """True if the limit of reported problems is reached."""
        return self.total >= limits.MAX_DIAGNOSTICS

    def add(self, problem: Problem) -> None:
        """Add a problem, unless its path already has one, as for operations that repeat."""
        key = problem.path, problem.of_key
        if key not in self._by_path:
            self.total += 1
            if len(self._by_path) < limits.MAX_DIAGNOSTICS:
                self._by_path[key] = problem

    def error(self, document: Document) -> SpecError:
        """Return the error of all problems, in the order of the document."""
        ordered = sorted(self._by_path.values(), key=lambda problem: _place(problem, document) or (0, 0))
        located = [describe(problem, document, index < MAX_SHOWN_ERRORS) for index, problem in enumerate(ordered)]
        return SpecError(document.source, located, self.total, is_lower_bound=self.is_full)

    def raise_if_any(self, document: Document) -> None:
        """Raise the error of all problems, if there are any."""
        if self.total:
            raise self.error(document)

    def lines(self, document: Document) -> Iterator[str]:
        """Yield each problem as a line."""
        for problem in self._by_path.values():
            yield describe(problem, document, with_suggestion=True).text(document.source)


def describe(problem: Problem, document: Document, with_suggestion: bool) -> Diagnostic:
    """Return a problem as a diagnostic, with its line, its column and notes on where its value comes from."""
    message = problem.message
    if with_suggestion and problem.suggest:
        message += problem.suggest()
    path = document.clip_path(problem.path)
    if notes := list(_notes(problem, path, document)):
        message = f"{message} ({', '.join(notes)})"
    return Diagnostic(message, path_text(path), *(_place(problem, document) or (None, None)))


def _place(problem: Problem, document: Document) -> tuple[int, int] | None:
    return document.locate(document.clip_path(problem.path), problem.of_key)


def _notes(problem: Problem, path: KeyPath, document: Document) -> Iterator[str]:
    """Yield the expression that gave the value, the indices that it uses, and the operation's name."""
    location = problem.location if path[:1] == ("operations",) else None
    value = None if problem.of_key else document.value(path)
    if isinstance(value, str) and has_expression(value):
        if shorten(value) not in problem.message:
            yield shorten(value)
        if location:
            used = names_in(value)
            yield from (
                f"{name} = {values.show_value(value)}" for name, value in location.indices.items() if name in used
            )
    if location:
        yield f"in {shorten(location.name)}"
