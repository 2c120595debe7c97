"""A Keras model → its weights, with the initializers of its layers."""

from __future__ import annotations

import math
from typing import Any

from paramgen.importing.model import ImportedModel, ImportedTensor
from paramgen.importing.recognition import constant
from paramgen.importing.scaling import round_number, scale_variance


def import_keras(model: Any) -> ImportedModel:
    """Return the model of a built Keras model: weights in its order, by the names of their paths.

    An initializer is known if the layer has it as an attribute, as Keras's own layers do.
    """
    tensors = []
    for layer in model._flatten_layers():
        for weight in [*layer._trainable_variables, *layer._non_trainable_variables]:
            path = [part for part in weight.path.split("/") if part != model.name or weight.path.count("/") == 0]
            initializer = _find_initializer(layer, weight.name)
            shape = tuple(weight.shape)
            fields = _forget_gate_bias(layer, weight.name, shape) or _describe(initializer, shape)
            origin = f"{type(layer).__name__}, {type(initializer).__name__}" if fields else None
            tensors.append(ImportedTensor(".".join(path), str(weight.dtype), shape, fields, origin))
    return ImportedModel(model.name, f"a Keras model, {type(model).__name__}", tuple(tensors))


def _find_initializer(layer: Any, name: str) -> Any:
    """Return the initializer of a layer's weight: kernel_initializer of kernel, recurrent_… of recurrent_kernel."""
    for prefix in (name, name.removesuffix("_kernel"), "depthwise" if name == "kernel" else name):
        if (initializer := getattr(layer, f"{prefix}_initializer", None)) is not None:
            return initializer
    return None


def _forget_gate_bias(layer: Any, name: str, shape: tuple[int, ...]) -> dict[str, Any] | None:
    """Return the initial bias of an LSTM, which is one for the forget gate, the second of four."""
    if name != "bias" or not getattr(layer, "unit_forget_bias", False) or len(shape) != 1:
        return None
    units = shape[0] // 4
    return {"type": "formula", "value": f"${{1 if k >= {units} and k < {2 * units} else 0}}"}


def _describe(initializer: Any, shape: tuple[int, ...]) -> dict[str, Any] | None:
    """Return an initializer of Keras as in a spec, None if a spec has no such initializer."""
    config = initializer.get_config() if hasattr(initializer, "get_config") else {}
    fields: dict[str, Any] | None = None
    match type(initializer).__name__:
        case "Zeros" | "Ones" as name:
            fields = constant(float(name == "Ones"))
        case "Constant" if isinstance(config["value"], int | float):
            fields = constant(float(config["value"]))
        case "RandomNormal" | "TruncatedNormal" as name:
            mean = {"mean": round_number(config["mean"])} if config["mean"] else {}
            spec_type = "gaussian" if name == "RandomNormal" else "truncated_normal"
            fields = {"type": spec_type, **mean, "std": round_number(config["stddev"])}
        case "RandomUniform":
            low, high = round_number(config["minval"]), round_number(config["maxval"])
            bounds = {"bound": high} if low == -high else {"low": low, "high": high}
            fields = {"type": "uniform", **bounds}
        case "Orthogonal":
            gain = {"gain": round_number(config["gain"])} if config["gain"] != 1 else {}
            fields = {"type": "orthogonal", **gain}
        case _ if hasattr(initializer, "distribution") and not config.get("input_axes"):
            fans = _compute_fans(shape)
            fields = scale_variance(initializer.scale, initializer.mode, initializer.distribution, *fans)
    return fields


def _compute_fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the fans that Keras computes from a shape."""
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    receptive = math.prod(shape[:-2])
    return shape[-2] * receptive, shape[-1] * receptive
