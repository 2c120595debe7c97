"""Nested dicts of arrays, as models hold them, made from the dotted names of files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from paramgen.errors import UsageError
from paramgen.messages import escape, show_text

Nested = dict[str, Any]


def nest(tensors: Mapping[str, Any]) -> Nested:
    """Nest tensors by their dotted names. Raises ValueError for names that cannot be nested, such as `a` and `a.b`."""
    root: Nested = {}
    for name, tensor in sorted(tensors.items()):
        *groups, last = name.split(".")
        node = root
        for depth, group in enumerate(groups, 1):
            node = node.setdefault(group, {})
            if not isinstance(node, dict):
                raise ValueError(_conflict_message(".".join(groups[:depth]), name))
        if last in node:
            raise ValueError(_conflict_message(name, f"{name}.…"))
        node[last] = tensor
    return root


def map_arrays(params: Any, function: Callable[[Any], Any], path: str = "") -> Any:
    """Apply a function to each array of nested dicts, lists and tuples; turn its TypeError into a UsageError."""
    if isinstance(params, Mapping):
        return {key: map_arrays(value, function, f"{path}.{key}") for key, value in params.items()}
    if isinstance(params, list | tuple):
        values = [map_arrays(value, function, f"{path}.{number}") for number, value in enumerate(params)]
        return values if isinstance(params, list) else tuple(values)
    try:
        return function(params)
    except TypeError as error:
        raise UsageError(f"{escape(path.removeprefix('.')) or 'params'}: {error}") from None


def _conflict_message(name: str, nested_name: str) -> str:
    return f"tensors {show_text(name)} and {show_text(nested_name)} cannot be nested; rename one"
