"""The operations of a spec, expanded one by one. They are yielded, never collected in a list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from paramgen import limits
from paramgen.language.diagnostics import LimitExceededError, Problem
from paramgen.language.evaluation import NO_LOCALS, Evaluator
from paramgen.language.items import Expansion, Item, OperationInstance, make_items


class Tree:
    """The items of a spec's `operations`, read as far as they are visited."""

    def __init__(self, operations: list[Any], parameters: Any, evaluator: Evaluator, omits: bool):
        self._expansion = Expansion(evaluator, omits)
        self._operations, self._parameters = operations, parameters

    @property
    def omits(self) -> bool:
        """True if anything was omitted so far."""
        return self._expansion.omits

    def operations(self) -> Iterator[OperationInstance | Problem]:
        """Yield every operation of the model in order, and each error when its item is first visited."""
        self._expansion.count_distinct(len(self._operations), ("operations",))
        items = make_items(self._expansion, (), self._operations, self._parameters, is_repeated=False)
        _check_count(items)
        for item in items:
            yield from item.visit("", NO_LOCALS)


def _check_count(items: list[Item]) -> None:
    """Raise LimitExceededError if there are too many operations, before any is read."""
    total = 0
    for item in items:
        total += item.count(NO_LOCALS)
        if total > limits.MAX_OPERATIONS:
            message = f"expands to more than {limits.MAX_OPERATIONS:,} operations (the limit)"
            raise LimitExceededError((*item.path, "repeat"), message)
