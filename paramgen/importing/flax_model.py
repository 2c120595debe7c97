"""A Flax module, applied abstractly → its variables, with the initializers that jax.nn.initializers made."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

from paramgen.errors import UsageError
from paramgen.importing.model import ImportedModel, ImportedTensor
from paramgen.importing.recognition import constant
from paramgen.importing.scaling import round_number, scale_variance
from paramgen.messages import show_text

# Variables with more elements are not computed to see whether they are constant.
MAX_COMPUTED = 2**20
MAX_REASON_CHARS = 200

Path = tuple[str, ...]


def import_flax(module: Any, inputs: Sequence[Any]) -> ImportedModel:
    """Return the model of a Flax linen module for these inputs: arrays, or what jax.eval_shape accepts.

    No array is computed. The names are those of the variables without their collection. Raises UsageError if the
    module cannot be applied to the inputs.
    """
    import jax
    from flax.traverse_util import flatten_dict

    recorded: dict[Path, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
    try:
        with _recording(recorded):
            variables = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    except Exception as error:
        reason = show_text(str(error).strip().splitlines()[0], MAX_REASON_CHARS)
        raise UsageError(f"{type(module).__name__}: cannot be applied to the inputs: {reason}") from None
    flat = flatten_dict(variables)
    shapes = {path[1:]: value for path, value in flat.items()}
    tensors = []
    for path in [*recorded, *(path for path in shapes if path not in recorded)]:
        if path not in shapes:
            continue
        shape, dtype = tuple(shapes[path].shape), str(shapes[path].dtype)
        fields = _describe(*recorded[path], shape) if path in recorded else None
        origin = getattr(recorded[path][0], "__qualname__", "").partition(".")[0] if fields else None
        tensors.append(ImportedTensor(".".join(path), dtype, shape, fields, origin or None))
    name = type(module).__name__
    return ImportedModel(module.name or name, f"a Flax module, {name}", tuple(tensors))


@contextmanager
def _recording(recorded: dict[Path, tuple[Callable[..., Any], tuple[Any, ...]]]) -> Iterator[None]:
    """Record the initializer, and its arguments, of each parameter and variable that is created."""
    from flax import linen

    param, variable = linen.Module.param, linen.Module.variable

    def record_param(self: Any, name: str, init_fn: Any, *arguments: Any, **keywords: Any) -> Any:
        recorded.setdefault((*self.scope.path, name), (init_fn, arguments))
        return param(self, name, init_fn, *arguments, **keywords)

    def record_variable(
        self: Any, collection: str, name: str, init_fn: Any = None, *arguments: Any, **keywords: Any
    ) -> Any:
        if init_fn is not None:
            recorded.setdefault((*self.scope.path, name), (init_fn, arguments))
        return variable(self, collection, name, init_fn, *arguments, **keywords)

    with patch.object(linen.Module, "param", record_param), patch.object(linen.Module, "variable", record_variable):
        yield


def _describe(init_fn: Callable[..., Any], arguments: tuple[Any, ...], shape: tuple[int, ...]) -> dict[str, Any] | None:
    """Return an initializer of jax.nn.initializers as in a spec; None for any other that is not constant."""
    made = dict(inspect.getclosurevars(init_fn).nonlocals) if inspect.isfunction(init_fn) else {}
    fields: dict[str, Any] | None = None
    match getattr(init_fn, "__qualname__", "").partition(".")[0]:
        case "zeros" | "ones" as name:
            fields = constant(float(name == "ones"))
        case "constant" if np.ndim(made["value"]) == 0:
            fields = constant(float(made["value"]))
        case "normal":
            fields = {"type": "gaussian", "std": round_number(made["stddev"])}
        case "truncated_normal":
            limits = {"low": round_number(made["lower"]), "high": round_number(made["upper"])}
            bounds = {} if limits == {"low": -2, "high": 2} else limits
            fields = {"type": "truncated_normal", "std": round_number(made["stddev"]), **bounds}
        case "uniform":
            fields = {"type": "uniform", "low": 0, "high": round_number(made["scale"])}
        case "orthogonal" if made["column_axis"] in (-1, len(shape) - 1):
            gain = {"gain": round_number(made["scale"])} if made["scale"] != 1 else {}
            fields = {"type": "orthogonal", **gain}
        case "variance_scaling":
            fans = _compute_fans(shape, made["in_axis"], made["out_axis"], made["batch_axis"])
            fields = scale_variance(made["scale"], made["mode"], made["distribution"], *fans)
        case _:
            fields = _describe_values(init_fn, arguments, shape)
    return fields


def _compute_fans(shape: tuple[int, ...], in_axis: Any, out_axis: Any, batch_axis: Any) -> tuple[float, float]:
    """Return the fans that jax.nn.initializers computes from a shape and the kinds of its axes."""
    in_size, out_size, batch_size = (
        math.prod(shape[axis] for axis in ((axes,) if isinstance(axes, int) else axes))
        for axes in (in_axis, out_axis, batch_axis)
    )
    receptive = math.prod(shape) / in_size / out_size / batch_size
    return in_size * receptive, out_size * receptive


def _describe_values(
    init_fn: Callable[..., Any], arguments: tuple[Any, ...], shape: tuple[int, ...]
) -> dict[str, Any] | None:
    """Return the constant that a function without a random key returns, None if it is not one."""
    import jax

    is_abstract = any(isinstance(argument, jax.core.Tracer) for argument in arguments)
    if is_abstract or math.prod(shape) > MAX_COMPUTED:
        return None
    try:
        values = np.asarray(init_fn(*arguments))
    except Exception:  # it needs a key, or what only the module has
        return None
    is_constant = values.size and values.dtype.kind in "fiub" and (values == values.flat[0]).all()
    return constant(float(values.flat[0])) if is_constant else None
