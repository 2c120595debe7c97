"""Sizes as symbols: an operation's formulas for shapes and fans, computed by its own code."""

from collections.abc import Iterator
from typing import Any

from paramgen.catalog.operations import Operation, ParameterDef


class Symbol:
    """A symbolic size: arithmetic on it gives a formula."""

    def __init__(self, name: str, factor: object = 1):
        self.name = name
        self.factor = factor

    def __rmul__(self, other: object) -> "Symbol":
        return self if other == 1 else Symbol(self.name, other)

    def __mul__(self, other: object) -> "Symbol":
        if isinstance(other, Quotient) and other.divisor.name == self.name:
            return Symbol(other.dividend.name, self.factor)
        return self if other == 1 else Symbol(f"{self}·{other}")

    def __floordiv__(self, other: "Symbol") -> "Quotient":
        return Quotient(self, other)

    def __str__(self) -> str:
        return self.name if self.factor == 1 else f"{self.factor}·{self.name}"


class Quotient(Symbol):
    """A quotient of two sizes. Multiplied by its divisor, it is its dividend."""

    def __init__(self, dividend: Symbol, divisor: Symbol):
        super().__init__(f"{dividend}/{divisor}")
        self.dividend, self.divisor = dividend, divisor


class FilterSize:
    """All sizes of a filter: one entry in a shape, and their product in a formula."""

    class Sizes(Symbol):
        def __rmul__(self, other: object) -> Symbol:
            return Symbol("prod(filter_size)")

    def __iter__(self) -> Iterator[Symbol]:
        yield self.Sizes("*filter_size")

    def __len__(self) -> int:
        return 1


def make_symbolic(model: type[Operation], fields: dict[str, Any], operation: Operation) -> list[ParameterDef]:
    """Return the parameters of an operation with symbolic sizes."""
    sizes = {"num_hidden_units": Symbol("H"), "filter_size": FilterSize()}
    values = {
        name: sizes.get(name, Symbol(name)) if isinstance(value, int | list) else getattr(operation, name)
        for name, value in {**model.example, **fields}.items()
    }
    return list(model.model_construct(**values).parameter_defs())
