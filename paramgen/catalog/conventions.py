"""THE table of conventions: each framework's fan rules and default initializers.

`matlab` is the table of operations itself. A framework computes fans from the shape of a parameter in its own layout.
Its default initializers are those of its modules:

- torch: torch.nn.init._calculate_fan_in_and_fan_out, and the reset_parameters of each module; for a transposed fully
  connected operation transformers.pytorch_utils.Conv1D;
- keras: the fans of keras.initializers.VarianceScaling, and the default arguments of each layer (attention as since
  keras-team/keras#22789; before, the three axes of its kernels counted as a filter's);
- flax: the fans of jax.nn.initializers.variance_scaling, and the fields of each flax.linen module.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

from paramgen.catalog.frameworks import MATHWORKS
from paramgen.catalog.initializers import (
    Constant,
    Gaussian,
    Initializer,
    Lecun,
    Orthogonal,
    Uniform,
)
from paramgen.catalog.layouts import LAYOUTS, Layout
from paramgen.catalog.operations import (
    Convolution,
    Embedding,
    Experts,
    FullyConnected,
    MultiheadAttention,
    Operation,
    ParameterDef,
    PReLU,
    Recurrent,
    SeparableConv,
    StandardOperation,
)
from paramgen.catalog.operations.base import ZEROS

Shape = tuple[int, ...]
FanIn = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Convention:
    """A framework's rules for a parameter, by its operation and key.

    `fans` takes the shape in the framework's layout. `initializer` takes a function that returns the fan_in of any
    weights of the operation; None means the default of the table of operations.
    """

    fans: Callable[[Operation, str, Shape], tuple[int, int]]
    initializer: Callable[[Operation, str, FanIn], Initializer | None]

    def parameter_defs(self, operation: Operation, layout: Layout) -> list[ParameterDef]:
        """Return the operation's parameters with the framework's fans and default initializers.

        Raise UnsupportedError if the framework has no such operation.
        """
        found = list(operation.parameter_defs())
        rearrangements = layout.rearrangements(operation, found)
        shapes = {source: rearrangement.shape for rearrangement in rearrangements for source in rearrangement.sources}
        found = [self._with_fans(definition, operation, shapes.get(definition.name)) for definition in found]
        fan_in = {definition.key: definition.info.fan_in or 0 for definition in found}
        for number, definition in enumerate(found):
            if initializer := self.initializer(operation, definition.key, fan_in.__getitem__):
                found[number] = replace(definition, initializer=initializer)
        return found

    def _with_fans(self, definition: ParameterDef, operation: Operation, shape: Shape | None) -> ParameterDef:
        info = definition.info
        if info.fan_in is None or shape is None:
            return definition
        fan_in, fan_out = self.fans(operation, definition.key, shape)
        return replace(definition, info=replace(info, fan_in=fan_in, fan_out=fan_out))


def _first_axes_fans(operation: Operation, key: str, shape: Shape) -> tuple[int, int]:
    """Return the fans of a shape of outputs, inputs, then the receptive field; of experts, those of one."""
    if isinstance(operation, Experts):
        shape = shape[1:]
    return prod(shape[1:]), shape[0] * prod(shape[2:])


def _last_axes_fans(operation: Operation, key: str, shape: Shape) -> tuple[int, int]:
    """Return the fans of a shape of the receptive field, then inputs and outputs; attention projects by matrices."""
    if isinstance(operation, MultiheadAttention):
        inputs = 2 if key == "output_weights" else 1
        return prod(shape[:inputs]), prod(shape[inputs:])
    return prod(shape[:-1]), shape[-1] * prod(shape[:-2])


def _uniform_by_fan_in(fan_in: int) -> Initializer:
    return Uniform(type="uniform", bound=1 / math.sqrt(fan_in))


def _torch(operation: Operation, key: str, fan_in: FanIn) -> Initializer | None:
    match operation:
        case FullyConnected(transposed=True):
            return Gaussian(type="gaussian", mean=0.0, std=0.02) if key == "weights" else None
        case FullyConnected() | Convolution() if key != "magnitude":
            source = "weights"
        case SeparableConv():
            source = "depthwise_weights" if key == "depthwise_weights" else "pointwise_weights"
        case MultiheadAttention() if key == "output_weights":
            source = key
        case Experts():
            source = key
        case Recurrent():
            return _uniform_by_fan_in(operation.num_hidden_units)
        case Embedding():
            return Gaussian(type="gaussian", mean=0.0, std=1.0)
        case _:
            return None
    return _uniform_by_fan_in(fan_in(source))


def _keras(operation: Operation, key: str, fan_in: FanIn) -> Initializer | None:
    match operation:
        case Embedding():
            return Uniform(type="uniform", bound=0.05)
        case PReLU():
            return ZEROS
    return None


def _flax(operation: Operation, key: str, fan_in: FanIn) -> Initializer | None:
    match operation:
        case Embedding():
            return Gaussian(type="gaussian", mean=0.0, std=1 / math.sqrt(operation.embedding_dimension))
        case PReLU():
            return Constant(type="constant", value=0.01)
        case Recurrent() if key == "recurrent_weights":
            return Orthogonal(type="orthogonal", per_gate=True)
        case Recurrent() if key == "bias":
            return ZEROS
    return Lecun(type="lecun", distribution="truncated_normal") if key.endswith("weights") else None


CONVENTIONS: dict[str, Convention | None] = {
    MATHWORKS: None,
    "torch": Convention(_first_axes_fans, _torch),
    "keras": Convention(_last_axes_fans, _keras),
    "flax": Convention(_last_axes_fans, _flax),
}


def parameter_defs(convention: str, operation: Operation) -> list[ParameterDef]:
    """Return an operation's parameters by a convention; raise UnsupportedError if its framework lacks the operation."""
    rules = CONVENTIONS[convention]
    if rules and isinstance(operation, StandardOperation):
        return rules.parameter_defs(operation, LAYOUTS[convention])
    return list(operation.parameter_defs())
