"""A config.json of transformers → the model that its class initializes."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields, replace
from inspect import signature
from pathlib import Path
from typing import Any

from paramgen.errors import FileError, UsageError, check_path, file_errors
from paramgen.importing.model import ImportedModel, ImportedTensor
from paramgen.importing.tiny import Edits, Tree, edit, shrink
from paramgen.messages import closest_match, show, show_path, show_text

MISSING_EXTRA = "importing a configuration needs transformers and torch; install both"
SIZE_NAMES = (
    *("vocab_size", "hidden_size", "d_model", "n_embd", "embed_dim", "intermediate_size", "d_ff", "ffn_dim", "n_inner"),
    *("num_hidden_layers", "n_layer", "num_layers", "num_attention_heads", "n_head", "num_key_value_heads"),
    *("head_dim", "max_position_embeddings", "n_positions"),
)
"""Sizes that name equal numbers first."""
# The name of `dtype` in files of transformers before version 5, which later versions read.
OLD_DTYPE = "torch_dtype"


def import_config(
    path: str | os.PathLike[str],
    *,
    class_name: str | None = None,
    set_values: Mapping[str, Any] | None = None,
    tiny: bool = False,
    trust_remote_code: bool = False,
) -> ImportedModel:
    """Return the model that a config.json of transformers describes, as its class initializes it.

    `path` names the file or its folder. `class_name` replaces the class in `architectures`. `set_values` changes
    fields, those of nested configurations as `text_config.hidden_size`; `tiny` makes the other fields
    small. Raises UsageError if the configuration describes no model that constructs.
    """
    file = Path(check_path(path))
    if file.is_dir():
        file /= "config.json"
    written = _read(file)
    return import_written_config(
        written,
        str(file),
        class_name=class_name,
        set_values=set_values,
        tiny=tiny,
        trust_remote_code=trust_remote_code,
        name=file.resolve().parent.name if file.name == "config.json" else file.stem,
    )


def import_written_config(
    written: Mapping[str, Any],
    source: str,
    *,
    class_name: str | None = None,
    set_values: Mapping[str, Any] | None = None,
    tiny: bool = False,
    trust_remote_code: bool = False,
    name: str | None = None,
) -> ImportedModel:
    """Return the model that the contents of a config.json describe; `source` names them in errors."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        raise UsageError(f"{show_path(source)}: {MISSING_EXTRA}") from None
    content = deepcopy(dict(written))
    folder, source = str(Path(source).parent), show_path(source)
    with _quiet():
        config_class, model_class = _classes(content, source, folder if trust_remote_code else None, class_name)
        content["architectures"] = [model_class.__name__]
        config = _configure(config_class, content, source)
        if set_values or tiny:
            requested = _requested(config, set_values or {}, source)
            content = _independent(content, config)
            edits: Edits = {}
            if tiny:
                tree = _as_tree(_configure(config_class, content, source))
                edits = shrink(
                    tree, lambda edits: _constructs(model_class, config_class, content, {**edits, **requested})
                )
            content = edit(content, {**edits, **requested})
            config = _configure(config_class, content, source)
        return _import(model_class, config, content, source, name or str(content["model_type"]))


def _read(file: Path) -> dict[str, Any]:
    source = show_path(str(file))
    with file_errors(source):
        text = file.read_bytes()
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{source}: is not JSON: {show_text(str(error), 200)}") from None
    if not isinstance(content, dict):
        raise FileError(f"{source}: must be a JSON object, got {show(content)}")
    return content


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings and progress of transformers, which are about running models."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


def _classes(content: Tree, source: str, code_folder: str | None, class_name: str | None) -> tuple[Any, Any]:
    """Return the classes of the configuration and of the model; code in `code_folder` is trusted."""
    import transformers
    from transformers import CONFIG_MAPPING

    architectures = content.get("architectures")
    if class_name is None and not (isinstance(architectures, list) and architectures):
        raise UsageError(
            f"{source}: architectures: must name a class, got {show(architectures)}; choose one by --class"
        )
    wanted = class_name or str(architectures[0] if architectures else None)
    model_type = content.get("model_type")
    remote = content.get("auto_map")
    is_known = isinstance(model_type, str) and model_type in CONFIG_MAPPING
    if remote and not (hasattr(transformers, wanted) and is_known):
        if code_folder is None:
            raise UsageError(f"{source}: auto_map: needs code of its own; allow it by --trust-remote-code")
        return _remote_classes(remote, source, code_folder, wanted)
    if not is_known:
        known = closest_match(str(model_type), tuple(CONFIG_MAPPING.keys()))
        advice = f"; did you mean {show(known)}?" if known else ""
        raise UsageError(f"{source}: model_type: transformers has no model type {show(model_type)}{advice}")
    model_class = getattr(transformers, wanted, None)
    if not isinstance(model_class, type) or not issubclass(model_class, transformers.PreTrainedModel):
        raise UsageError(f"{source}: architectures: transformers has no model class {show(wanted)}")
    return CONFIG_MAPPING[model_type], model_class


def _remote_classes(remote: Any, source: str, folder: str, wanted: str) -> tuple[Any, Any]:
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    values = remote.values() if isinstance(remote, dict) else ()
    entries = (entry for value in values for entry in (value if isinstance(value, list) else [value]))
    references = [entry for entry in entries if isinstance(entry, str)]
    model = next((entry for entry in references if entry.split(".")[-1] == wanted), None)
    if model is None or not isinstance(remote.get("AutoConfig"), str):
        raise UsageError(f"{source}: auto_map: must name AutoConfig and {wanted}")
    try:
        return tuple(get_class_from_dynamic_module(entry, folder) for entry in (remote["AutoConfig"], model))
    except Exception as error:
        raise UsageError(f"{source}: auto_map: cannot be loaded: {_reason(error)}") from None


def _configure(config_class: Any, content: Tree, source: str) -> Any:
    try:
        config = config_class.from_dict(deepcopy(content))
    except Exception as error:
        raise UsageError(f"{source}: not a configuration of {config_class.__name__}: {_reason(error)}") from None
    config._attn_implementation = "eager"
    return config


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return show_text(f"{type(error).__name__}: {' '.join(lines[:2])}" if lines else type(error).__name__, 200)


def _as_tree(config: Any) -> Tree:
    """Return the fields of a configuration, with a mapping for each nested one."""
    from transformers import PreTrainedConfig

    tree: Tree = {"model_type": config.model_type}
    for name in _field_names(config):
        if not name.startswith("_"):
            value = vars(config).get(name)  # some raise an error of their own
            tree[name] = _as_tree(value) if isinstance(value, PreTrainedConfig) else value
    return tree


def _field_names(config: Any) -> list[str]:
    """Return the names of a configuration's own fields; a class without `dataclass` has those of its arguments."""
    arguments = (name for name in signature(type(config).__init__).parameters if name in vars(config))
    return list(dict.fromkeys([*(field.name for field in fields(config)), *arguments]))


def _independent(content: Tree, config: Any) -> Tree:
    """Return the contents of a config.json without values that the class derives from others, and without aliases."""
    names = set(_field_names(config))
    kept: Tree = {}
    for name, value in content.items():
        part = vars(config).get(name)
        stored = config.attribute_map.get(name, name)
        is_own = stored in names or f"_{stored}" in names or not hasattr(type(config)(), name)
        if isinstance(value, dict) and hasattr(part, "attribute_map"):
            kept[name] = _independent(value, part)
        elif is_own or name in ("model_type", OLD_DTYPE):
            kept[stored] = value
    return kept


def _without_infinite_defaults(content: Tree, config: Any) -> Tree:
    """Return the contents of a config.json without infinite numbers that are defaults: JSON has none."""
    defaults = vars(type(config)())
    kept: Tree = {}
    for name, value in content.items():
        part = vars(config).get(name)
        if isinstance(value, dict) and hasattr(part, "attribute_map"):
            kept[name] = _without_infinite_defaults(value, part)
        elif "Infinity" not in json.dumps(value) or _as_list(value) != _as_list(defaults.get(name)):
            kept[name] = value
    return kept


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _requested(config: Any, set_values: Mapping[str, Any], source: str) -> Edits:
    """Return the changes that a user asked for, by the names that the configuration stores."""
    edits: Edits = {}
    for key, value in set_values.items():
        *path, name = key.split(".")
        part = config
        for step in path:
            part = getattr(part, step, None)
        tree = _as_tree(part) if hasattr(part, "model_type") else {}
        stored = getattr(part, "attribute_map", {}).get(name, name)
        if stored not in tree:
            known = closest_match(name, tuple(tree))
            advice = f"; did you mean {show('.'.join([*path, known]))}?" if known else ""
            raise UsageError(f"{source}: the configuration has no field {show(key)}{advice}")
        edits[(*path, stored)] = value
    return edits


def _constructs(model_class: Any, config_class: Any, content: Tree, edits: Edits) -> bool:
    from paramgen.importing.tape import recording

    try:
        config = _configure(config_class, edit(content, edits), "")
        with recording():
            model_class._from_config(config)
    except Exception:
        return False
    return True


def _import(model_class: Any, config: Any, content: Tree, source: str, name: str) -> ImportedModel:
    from paramgen.importing.torch_recorder import record_module

    try:
        recorded = record_module(lambda: model_class._from_config(config), _names_not_saved)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{source}: {model_class.__name__} does not construct: {_reason(error)}") from None
    return ImportedModel(
        name,
        f"{model_class.__name__} of transformers",
        _tie(recorded.tensors, recorded.module.all_tied_weights_keys),
        _sizes(_as_tree(config)),
        {"config.json": _without_infinite_defaults(content, config)},
        recorded.uninitialized,
        recorded.notes(),
    )


def _names_not_saved(model: Any) -> Iterator[str]:
    import re

    patterns = [re.compile(pattern) for pattern in model._keys_to_ignore_on_save or ()]
    tied = model.all_tied_weights_keys
    return (
        name for name in model.state_dict() if name not in tied and any(pattern.search(name) for pattern in patterns)
    )


def _tie(tensors: tuple[ImportedTensor, ...], tied: Mapping[str, str]) -> tuple[ImportedTensor, ...]:
    """Return the tensors with ties in the direction that the class gives: to the one whose name files have."""
    by_name = {tensor.name: tensor for tensor in tensors}
    for target, source in tied.items():
        if target in by_name and source in by_name and by_name[source].tied_to == target:
            values = by_name[target]
            for name, tensor in by_name.items():
                if name == source:
                    by_name[name] = replace(values, name=source)
                elif target in (name, tensor.tied_to):
                    by_name[name] = replace(tensor, initializer=None, origin=None, padding_index=None, tied_to=source)
    return tuple(by_name.values())


def _sizes(tree: Tree) -> dict[str, int]:
    """Return the sizes of a configuration by name; those of a nested `text_config` begin with `text_`."""
    found: dict[str, int] = {}
    pending: list[tuple[str, Tree]] = [("", tree)]
    while pending:
        prefix, part = pending.pop(0)
        names = sorted(part, key=lambda name: SIZE_NAMES.index(name) if name in SIZE_NAMES else len(SIZE_NAMES))
        for name in names:
            value = part[name]
            if isinstance(value, dict) and "model_type" in value:
                pending.append((f"{prefix}{name.removesuffix('_config')}_", value))
            elif type(value) is int and value > 1 and not name.endswith(("_id", "_ids", "_index", "seed")):
                found.setdefault(prefix + name, value)
    return found
