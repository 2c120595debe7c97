"""Conventions: a framework's fan rules and default initializers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod

from paramgen.catalog.initializers import FanFactors, Initializer
from paramgen.catalog.layouts import Layout
from paramgen.catalog.operations import Experts, MultiheadAttention, Operation, ParameterDef


@dataclass(frozen=True, slots=True)
class Convention:
    """A framework's rules for a parameter, by its operation and key.

    `compute_fans` takes the shape in the framework's layout, and returns the factors of the fans.
    `default_initializer` takes the fan_in of the operation's weights by their keys; None keeps the operation's own
    default.
    """

    compute_fans: Callable[[Operation, str, tuple[int, ...]], FanFactors]
    default_initializer: Callable[[Operation, str, Mapping[str, int]], Initializer | None]

    def parameter_defs(self, operation: Operation, layout: Layout) -> list[ParameterDef]:
        """Return the operation's parameters with the framework's fans and default initializers.

        Raises UnsupportedError if the framework has no such operation.
        """
        own_definitions = list(operation.parameter_defs())
        rearrangements = layout.rearrangements(operation, own_definitions)
        shapes = {source: rearrangement.shape for rearrangement in rearrangements for source in rearrangement.sources}
        definitions = [
            self._with_fans(definition, operation, shapes.get(definition.name)) for definition in own_definitions
        ]
        fan_ins = {definition.initializer_key: definition.traits.fan_in or 0 for definition in definitions}
        return [self._with_initializer(definition, operation, fan_ins) for definition in definitions]

    def _with_fans(self, definition: ParameterDef, operation: Operation, shape: tuple[int, ...] | None) -> ParameterDef:
        traits = definition.traits
        if traits.fan_in is None or shape is None:
            return definition
        factors = self.compute_fans(operation, definition.initializer_key, shape)
        fan_in, fan_out = map(prod, factors)
        return replace(definition, traits=replace(traits, fan_in=fan_in, fan_out=fan_out, fan_factors=factors))

    def _with_initializer(
        self, definition: ParameterDef, operation: Operation, fan_ins: Mapping[str, int]
    ) -> ParameterDef:
        initializer = self.default_initializer(operation, definition.initializer_key, fan_ins)
        return replace(definition, initializer=initializer) if initializer else definition


def first_axes_fans(operation: Operation, key: str, shape: tuple[int, ...]) -> FanFactors:
    """Return the fans of a shape of outputs, inputs, then the receptive field; of experts, those of one."""
    if isinstance(operation, Experts):
        shape = shape[1:]
    return shape[1:], (shape[0], *shape[2:])


def last_axes_fans(operation: Operation, key: str, shape: tuple[int, ...]) -> FanFactors:
    """Return the fans of a shape of the receptive field, then inputs and outputs.

    Attention kernels keep heads and channels apart, so their inputs or their outputs are two axes.
    """
    if isinstance(operation, MultiheadAttention):
        inputs = 2 if key == "output_weights" else 1
        return shape[:inputs], shape[inputs:]
    return shape[:-1], (*shape[:-2], shape[-1])
