"""A PyTorch module, or a function that returns one → the model that it initializes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from paramgen.errors import UsageError
from paramgen.importing.flax_model import import_flax
from paramgen.importing.keras_model import import_keras
from paramgen.importing.model import ImportedModel, ImportedTensor
from paramgen.messages import show, show_text

if TYPE_CHECKING:
    import torch

MISSING_EXTRA = "importing a module needs torch; install it"
MAX_REASON_CHARS = 200


def import_any_module(source: Any, arguments: Mapping[str, Any] | None, inputs: Sequence[Any] | None) -> ImportedModel:
    """Return the model of a Keras model, of a Flax module with inputs, or of anything that import_module takes."""
    keras, linen = (sys.modules.get(name) for name in ("keras", "flax.linen"))
    if keras and isinstance(source, keras.Model):
        return import_keras(source)
    if linen and isinstance(source, linen.Module):
        if inputs is None:
            raise UsageError(f"{type(source).__name__}: a Flax module needs inputs; pass inputs=[…]")
        return import_flax(source, inputs)
    return import_module(source, arguments)


def import_module(
    source: torch.nn.Module | Callable[..., Any] | str,
    arguments: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
) -> ImportedModel:
    """Return the model of a PyTorch module, as its own code initializes it.

        import_module("torchvision.models:resnet18", {"num_classes": 10})
        import_module(lambda: MyModel(width=64))
        import_module(model)

    A function, a class, or a reference to one (`package.module:function`) is called with `arguments` on the meta
    device, while its initialization is recorded. This runs its code. A module that exists has values, but the
    distributions that they are from are not known: its tensors get the constant, or the mean and standard deviation,
    that they have. Raises UsageError if nothing can be imported.
    """
    try:
        import torch
    except ImportError:
        raise UsageError(f"{name or 'import_module'}: {MISSING_EXTRA}") from None
    if isinstance(source, torch.nn.Module):
        if arguments:
            raise UsageError(f"{type(source).__name__}: is a module already and takes no arguments; pass a function")
        return _import_values(source, name or type(source).__name__)
    text = source if isinstance(source, str) else getattr(source, "__qualname__", type(source).__name__)
    function = _resolve(source) if isinstance(source, str) else source
    if not callable(function):
        raise UsageError(f"{show_text(text)}: must be a function, a class or a torch.nn.Module, got {show(function)}")
    return _record(function, dict(arguments or {}), text, name)


def _resolve(reference: str) -> Any:
    """Return what `package.module:name` refers to; the name may have attributes."""
    module_name, colon, attributes = reference.partition(":")
    if not (colon and module_name and attributes):
        raise UsageError(f"{show_text(reference)}: must be a reference such as package.module:function")
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise UsageError(f"{show_text(reference)}: {module_name} cannot be imported: {_reason(error)}") from None
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            raise UsageError(f"{show_text(reference)}: {module_name} has no {show(attributes)}")
        found = getattr(found, attribute)
    return found


def _record(function: Callable[..., Any], arguments: dict[str, Any], text: str, name: str | None) -> ImportedModel:
    from paramgen.importing.torch_recorder import record_module

    source = show_text(text)
    try:
        recorded = record_module(lambda: function(**arguments))
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    except (Exception, SystemExit) as error:
        raise UsageError(f"{source}: cannot be built on the meta device: {_reason(error)}") from None
    return ImportedModel(
        name or text.rpartition(":")[2].rpartition(".")[2],
        source,
        recorded.tensors,
        {key: value for key, value in arguments.items() if type(value) is int and value > 1},
        uninitialized=recorded.uninitialized,
        notes=recorded.notes(),
    )


def _import_values(module: torch.nn.Module, name: str) -> ImportedModel:
    """Return a module that exists: its tensors, with initializers that fit their values."""
    import torch

    from paramgen.importing.torch_recorder import describe_values, dtype_name

    tensors: list[ImportedTensor] = []
    owners: dict[tuple[Any, ...], str] = {}
    for key, value in module.state_dict(keep_vars=True).items():
        if not isinstance(value, torch.Tensor):
            continue
        place = (value.untyped_storage()._cdata, value.storage_offset(), value.shape, value.stride())
        owner = owners.setdefault(place, key)
        is_known = owner == key and not value.is_meta
        tensors.append(
            ImportedTensor(
                key,
                dtype_name(key, value.dtype),
                tuple(value.shape),
                describe_values(value) if is_known else None,
                "measured" if is_known else None,
                owner if owner != key else None,
            )
        )
    return ImportedModel(name, f"a module of {type(module).__name__}", tuple(tensors))


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return show_text(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__, MAX_REASON_CHARS)
