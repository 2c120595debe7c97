"""The mistakes of a spec: each with its place in the document, the expression of its value, its place in the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from paramgen import limits
from paramgen.errors import LARGEST_REPORT, Problem, SpecError
from paramgen.formatting import shorten
from paramgen.language.expressions import has_expression, names_in
from paramgen.language.yaml_reader import Document, Path, path_text


@dataclass(frozen=True, slots=True)
class Context:
    """Where in the model something stands that a document says once: its whole name, and the indices around it."""

    name: str
    indices: Mapping[str, Any]


class Problems:
    """Collects a spec's mistakes with their places: keeps so many as the limit says, and counts the others."""

    def __init__(self, document: Document):
        self.document = document
        self.kept: list[Problem] = []
        self.total = 0
        self._told: set[Path] = set()

    def copy(self) -> Problems:
        """The same problems, to which others are added without changing these."""
        other = Problems(self.document)
        other.kept, other.total, other._told = list(self.kept), self.total, set(self._told)
        return other

    @property
    def enough(self) -> bool:
        """Whether so many are known that looking for more is of no use."""
        return self.total >= limits.MAX_PROBLEMS

    @property
    def has_a_report(self) -> bool:
        """Whether as many are known as a report shows."""
        return self.total >= LARGEST_REPORT

    def add(
        self, path: Iterable[str | int], message: str, of_key: bool = False, context: Context | None = None
    ) -> None:
        """A mistake at a path, of its value or of its key; told with the expression of the value, and the context."""
        self.total += 1
        if len(self.kept) < limits.MAX_PROBLEMS:
            path = self.document.normalize(path)
            place = self.document.place(path, of_key)
            if notes := list(self._notes(None if of_key else self.document.value(path), message, context)):
                message = f"{message} ({', '.join(notes)})"
            self.kept.append(Problem(message, path_text(path), *(place or (None, None))))

    def once(self, path: Path, message: str, of_key: bool = False, context: Context | None = None) -> None:
        """A mistake, unless one was told once of its path: of what repeats in the model and stands in one place."""
        if path not in self._told:
            self._told.add(path)
            self.add(path, message, of_key, context if path[:1] == ("operations",) else None)

    def _notes(self, value: Any, message: str, context: Context | None) -> Iterator[str]:
        if has_expression(value):
            if shorten(value) not in message:
                yield shorten(value)
            if context:
                yield from (f"{name} = {context.indices[name]}" for name in context.indices if name in names_in(value))
        if context:
            yield f"in {shorten(context.name)}"

    def stop(self, path: Iterable[str | int], message: str) -> NoReturn:
        """Raise all mistakes with a last one: a limit that ends the search for more."""
        self.add(path, message)
        self.raise_any()
        raise AssertionError

    def raise_any(self) -> None:
        if self.total:
            ordered = sorted(self.kept, key=lambda problem: (problem.line or 0, problem.column or 0))
            raise SpecError(self.document.source, ordered, self.total, at_least=self.enough)
