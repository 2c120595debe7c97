"""The text of an imported spec, laid out as a person would write it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from textwrap import indent as indent_text
from textwrap import wrap
from typing import Any

from paramgen.importing.index_text import Frame, write_varying
from paramgen.importing.initial_values import GUESSED
from paramgen.importing.layout import Entry, lay_out
from paramgen.importing.structure import INDEX, Block, Parameter, Repeat, Varying, has_variation
from paramgen.importing.variables import Variables
from paramgen.importing.yaml_parts import WIDTH, fill, flow_mapping, scalar, value, with_comment
from paramgen.language.yaml_writer import to_yaml

# Shorter lists of parameters or operations are written again.
MIN_SHARED = 3

DEFAULT_STYLE = "parametrized"
_INDEX_NAMES = ("i", "j", "k", "l", "m", "n", *(f"index_{number}" for number in range(32)))
_ANCHOR_WORDS = {"gaussian": "normal"}


class SpecText:
    """The text of a spec with these tensors. `comments` come first."""

    def __init__(
        self, comments: Sequence[str], name: str, block: Block, sizes: Mapping[str, int], files: Mapping[str, Any]
    ):
        self._comments, self._name, self._files = comments, name, files
        self._parameters, self._entries = lay_out(block)
        self._variables = Variables(block, sizes)
        self._sizes = sizes
        self._dtype = _find_dtype(block)
        self._has_operation = _has_operation(block)
        self._bodies = Counter[Any](key for entry in self._entries for key in self._list_bodies(entry))
        self._initializers = Counter[str]()
        self._restart()

    def _restart(self) -> None:
        self._frames: list[Frame] = []
        self._anchors: dict[Any, str] = {}
        self._origins: set[tuple[Any, str]] = set()

    def render(self) -> str:
        """Return the text."""
        self._render_tensors()  # counts the uses of variables and initializers
        self._variables.count_uses(_list_sizes(self._files))
        self._variables.drop_unused()
        self._restart()
        tensors = self._render_tensors()
        lines = [
            line
            for text in self._comments
            for line in wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)
        ]
        lines += ["paramgen: 1", f"name: {scalar(self._name)}"]
        if self._dtype != "float32":
            lines.append(f"dtype: {self._dtype}")
        if self._has_operation:  # it gets PyTorch's names and order of axes
            lines.append("layout: torch")
        variables = self._variables.used()
        if variables:
            lines.append("variables:")
        for name, number in variables.items():
            lines += fill(f"  {name}: ", number if isinstance(number, str) else value(number))
        return "\n".join([*lines, *self._render_files(variables), *tensors]) + "\n"

    def _render_files(self, variables: Mapping[str, Any]) -> list[str]:
        """Return `files`, in which variables replace the sizes that they are named after."""
        if not self._files:
            return []
        written = {name: self._complete_file(name, content, variables) for name, content in self._files.items()}
        return ["files:", *indent_text(to_yaml(written), "  ").splitlines()]

    def _complete_file(self, name: str, content: Any, variables: Mapping[str, Any]) -> Any:
        """Return a file with variables for sizes; one that a configuration omits must change it, too."""
        if not isinstance(content, Mapping):
            return content
        omitted = [key for key in variables if name == "config.json" and self._is_omitted(key, content)]
        fields = {**content, **{key: self._sizes[key] for key in omitted}}
        return {key: _prefer_variable(key, item, variables) for key, item in fields.items()}

    def _is_omitted(self, name: str, content: Mapping[str, Any]) -> bool:
        """Return True if a configuration omits a field of its own; sizes of nested ones have a prefix."""
        return name in self._sizes and name not in content and not name.startswith("text_")

    def _render_tensors(self) -> list[str]:
        lines = []
        if self._parameters:
            lines += ["parameters:", *self._render_parameters(self._parameters, "", "  ")]
        if self._entries:
            lines += ["operations:", *chain.from_iterable(self._render_entry(entry, "  ") for entry in self._entries)]
        return lines

    def _render_entry(self, entry: Entry, margin: str) -> list[str]:
        when = self._render_condition(entry.when) if entry.when else None
        frame = None
        repeat = []
        if entry.indices is not None:
            frame = self._open_frame(entry, entry.indices)
            repeat = [("repeat", self._render_indices(frame))]
        single = entry.parameters[0] if len(entry.parameters) == 1 and not entry.operations else None
        fields = self._render_fields(single, entry.path) if single else []
        comment = self._find_comment(single) if single else None
        body = [] if single else self._render_body(entry, f"{margin}  ")
        name = entry.name
        if frame:
            self._frames.pop()
            frame.is_used |= INDEX in name
            name = name.replace(INDEX, f"${{{frame.variable}}}")
            repeat += [("as", frame.variable)] if frame.is_used else []
        keys = [("name", name), *repeat, *([("when", when)] if when else [])]
        keys += [("type", "custom")] if entry.is_tied else []
        if single and single.is_operation:
            return _render_operation(single, keys, fields, comment, margin)
        if single:
            return self._render_single(single, keys, fields, comment, margin)
        if len(body) == 1:  # an alias
            keys_in_flow = [f"{key}: {_flow_value(key, text)}" for key, text in keys]
            return fill(f"{margin}- ", flow_mapping([*keys_in_flow, body[0].strip()]))
        lines = [line for key, text in keys for line in fill(f"{margin}  {key}: ", _block_value(key, text))]
        return [f"{margin}- {lines[0].lstrip()}", *lines[1:], *body]

    def _render_single(
        self,
        parameter: Parameter,
        keys: Sequence[tuple[str, str]],
        fields: Sequence[str],
        comment: str | None,
        margin: str,
    ) -> list[str]:
        """Return an entry with one parameter: on one line, if it fits."""
        parts = [f"{key}: {_flow_value(key, text)}" for key, text in keys]
        parts.append(f"parameters: {{{scalar(parameter.name)}: {flow_mapping(fields)}}}")
        if parameter.tied_to:
            parts.append(f"tie: {{{scalar(parameter.name)}: {scalar(parameter.tied_to)}}}")
        line = f"{margin}- {flow_mapping(parts)}"
        if len(line) <= WIDTH:
            return with_comment([line], comment)
        lines = [line for key, text in keys for line in fill(f"{margin}  {key}: ", _block_value(key, text))]
        lines = [f"{margin}- {lines[0].lstrip()}", *lines[1:], f"{margin}  parameters:"]
        lines += with_comment(_place_fields(f"{margin}    ", parameter, fields), comment)
        return [*lines, *([f"{margin}  {parts[-1]}"] if parameter.tied_to else [])]

    def _render_body(self, entry: Entry, margin: str) -> list[str]:
        lines: list[str] = []
        if entry.parameters:
            note, is_alias = self._share_body(entry, entry.parameters)
            lines.append(f"{margin}parameters:{note}")
            lines += [] if is_alias else self._render_parameters(entry.parameters, entry.path, f"{margin}  ")
        ties = [f"{scalar(own.name)}: {scalar(own.tied_to)}" for own in entry.parameters if own.tied_to]
        lines += fill(f"{margin}tie: ", flow_mapping(ties)) if ties else []
        if entry.operations:
            note, is_alias = self._share_body(entry, entry.operations)
            lines.append(f"{margin}operations:{note}")
            for operation in () if is_alias else entry.operations:
                lines += self._render_entry(operation, f"{margin}  ")
        return lines

    def _share_body(self, entry: Entry, body: tuple[Any, ...]) -> tuple[str, bool]:
        """Return the anchor of a body that will be written again, or the alias of one that was, and if it is that."""
        key = self._body_key(entry, body)
        if self._bodies[key] < 2:
            return "", False
        if key in self._anchors:
            return f" *{self._anchors[key]}", True
        words = re.findall(r"[A-Za-z]+", entry.name.rpartition(".")[2])
        self._anchors[key] = anchor = self._choose_anchor("_".join(words) or "block")
        return f" &{anchor}", False

    def _list_bodies(self, entry: Entry) -> Iterable[Any]:
        for body in (entry.parameters, entry.operations):
            if len(body) >= MIN_SHARED and not any(map(_depends_on_index, body)):
                yield self._body_key(entry, body)
        for operation in entry.operations:
            yield from self._list_bodies(operation)

    def _body_key(self, entry: Entry, body: tuple[Any, ...]) -> Any:
        """Return a key that is equal for bodies with equal texts."""
        return self._variables.part_of(entry.path), tuple(map(_forget_path, body))

    def _choose_anchor(self, name: str) -> str:
        taken = set(self._anchors.values())
        numbered = (f"{name}_{number}" for number in range(2, len(taken) + 3))
        return next(candidate for candidate in chain([name], numbered) if candidate not in taken)

    def _render_parameters(self, parameters: Iterable[Parameter], path: str, margin: str) -> list[str]:
        lines: list[str] = []
        for parameter in parameters:
            fields = self._render_fields(parameter, path)
            lines += with_comment(_place_fields(margin, parameter, fields), self._find_comment(parameter))
        return lines

    def _render_fields(self, parameter: Parameter, path: str) -> list[str]:
        """Return the fields of a parameter in flow style."""
        full_path = f"{path}.{parameter.name}" if path else parameter.name
        fields = [f"when: {scalar(self._render_condition(parameter.when))}"] if parameter.when else []
        sizes = (self._render_size(size, full_path, axis) for axis, size in enumerate(parameter.shape))
        fields.append(f"shape: [{', '.join(sizes)}]")
        if parameter.dtype != self._dtype:
            fields.append(f"dtype: {parameter.dtype}")
        return [*fields, f"initializer: {self._render_initializer(parameter, full_path)}"]

    def _render_size(self, size: int | Varying, path: str, axis: int) -> str:
        if isinstance(size, Varying):
            expression: str | None = write_varying(size, self._frames, self._variables, path, "sizes", axis)
        else:
            expression = self._variables.size(path, size, axis)
        return scalar(f"${{{expression}}}") if expression else str(size)

    def _render_initializer(self, parameter: Parameter, path: str) -> str:
        fields = dict(parameter.initializer)
        if len(fields) == 1:
            return scalar(fields["type"])
        texts = []
        for key, item in fields.items():
            if isinstance(item, Varying):
                expression = write_varying(item, self._frames, self._variables, path, f"{key}s", None)
                texts.append(f"{key}: {scalar(f'${{{expression}}}')}")
            else:
                texts.append(f"{key}: {value(item)}")
        text = flow_mapping(texts)
        if text in self._anchors:
            return f"*{self._anchors[text]}"
        is_first_pass_done = self._initializers[text] > 1
        self._initializers[text] += 1
        if not is_first_pass_done:
            return text
        word = _ANCHOR_WORDS.get(fields["type"], fields["type"])
        self._anchors[text] = anchor = self._choose_anchor(word)
        return f"&{anchor} {text}"

    def _render_condition(self, condition: str) -> str:
        return f"${{{self._frames[-1].insert(condition, self._variables)}}}"

    def _open_frame(self, entry: Entry, indices: tuple[int, ...]) -> Frame:
        taken = {*self._variables.values, *(frame.variable for frame in self._frames)}
        variable = next(name for name in _INDEX_NAMES if name not in taken)
        path = entry.path if INDEX in entry.name and entry.name != INDEX else entry.path.removesuffix("*").rstrip(".")
        self._frames.append(Frame(variable, indices, path))
        return self._frames[-1]

    def _render_indices(self, frame: Frame) -> str:
        indices = frame.indices
        if indices == tuple(range(len(indices))):
            count = self._variables.count(frame.path, len(indices))
            return f"${{{count}}}" if count else str(len(indices))
        step = indices[1] - indices[0] if len(indices) > 1 else 1
        if len(indices) > 2 and step > 0 and indices == tuple(range(indices[0], indices[-1] + 1, step)):
            stepped = f", step: {step}" if step > 1 else ""
            return f"{{from: {indices[0]}, to: {indices[-1] + 1}{stepped}}}"
        return value(indices)

    def _find_comment(self, parameter: Parameter) -> str | None:
        """Return where an initializer comes from, if it appears for the first time; each guess says so."""
        key = parameter.initializer, parameter.origin or ""
        if not parameter.origin or (key in self._origins and parameter.origin != GUESSED):
            return None
        self._origins.add(key)
        return " ".join(parameter.origin.split())


def _render_operation(
    parameter: Parameter, keys: Sequence[tuple[str, str]], fields: Sequence[str], comment: str | None, margin: str
) -> list[str]:
    """Return the operation of a table with a padding row, or of weights with weight normalization."""
    texts = dict(field.split(": ", 1) for field in fields)
    parts = [f"{key}: {_flow_value(key, text)}" for key, text in keys]
    if "when" in texts:
        parts.append(f"when: {texts['when']}")
    parts += _list_operation_fields(parameter, texts["shape"][1:-1].split(", "))
    if "dtype" in texts:
        parts.append(f"dtype: {texts['dtype']}")
    parts.append(f"initializers: {{weights: {texts['initializer']}}}")
    line = f"{margin}- {flow_mapping(parts)}"
    lines = [line] if len(line) <= WIDTH else [f"{margin}- {parts[0]}", *(f"{margin}  {part}" for part in parts[1:])]
    return with_comment(lines, comment)


def _list_operation_fields(parameter: Parameter, sizes: Sequence[str]) -> list[str]:
    """Return the type and the sizes of an operation; a bias is a parameter of its own, which PyTorch puts first."""
    first, second, *kernel = sizes
    if parameter.weight_norm is None:
        table = [f"vocabulary_size: {first}", f"embedding_dimension: {second}"]
        return ["type: embedding", *table, f"padding_index: {parameter.padding_index}"]
    operation, axis, style = parameter.weight_norm
    if operation == "fully_connected":
        fields = [f"input_size: {second}", f"output_size: {first}"]
    else:
        filters, channels = (second, first) if operation == "transposed_conv" else (first, second)
        filter_size = kernel[0] if len(kernel) == 1 else f"[{', '.join(kernel)}]"
        fields = [f"filter_size: {filter_size}", f"num_channels: {channels}", f"num_filters: {filters}"]
    norm = [f"axis: {axis}", *([f"style: {style}"] if style != DEFAULT_STYLE else [])]
    return [f"type: {operation}", *fields, "bias: false", f"weight_norm: {flow_mapping(norm)}"]


def _has_operation(block: Block) -> bool:
    return any(
        _has_operation(element.block) if isinstance(element, Repeat) else element.is_operation for element in block
    )


def _place_fields(margin: str, parameter: Parameter, fields: Sequence[str]) -> list[str]:
    """Return the lines of a parameter: one, if its fields fit on it."""
    line = f"{margin}{scalar(parameter.name)}: {flow_mapping(fields)}"
    if len(line) <= WIDTH:
        return [line]
    lines = [f"{margin}{scalar(parameter.name)}:"]
    for field in fields:
        key, _, text = field.partition(": ")
        lines += fill(f"{margin}  {key}: ", text)
    return lines


def _flow_value(key: str, text: str) -> str:
    is_text = key in ("name", "when") or text.startswith("$")
    return scalar(text) if is_text else text


def _block_value(key: str, text: str) -> str:
    return scalar(text, in_flow=False) if key in ("name", "when") else text


def _list_sizes(files: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Return the integers of files with their keys."""
    contents = [content for content in files.values() if isinstance(content, Mapping)]
    return [(key, item) for content in contents for key, item in content.items() if type(item) is int]


def _prefer_variable(key: str, item: Any, variables: Mapping[str, Any]) -> Any:
    is_same = type(item) is int and variables.get(key) == item
    return f"${{{key}}}" if is_same else item


def _find_dtype(block: Block) -> str:
    """Return the dtype that most parameters have."""
    counts = Counter[str]()
    for element in block:
        if isinstance(element, Repeat):
            counts[_find_dtype(element.block)] += len(element.block)
        else:
            counts[element.dtype] += 1
    return counts.most_common(1)[0][0] if counts else "float32"


def _depends_on_index(item: Any) -> bool:
    if isinstance(item, Entry):
        return item.when is not None or any(map(_depends_on_index, [*item.parameters, *item.operations]))
    return item.when is not None or has_variation(item)


def _forget_path(item: Parameter | Entry) -> Any:
    if not isinstance(item, Entry):
        return item
    return replace(item, path="", operations=tuple(map(_forget_path, item.operations)))
