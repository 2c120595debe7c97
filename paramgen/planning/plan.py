"""Plan the file: each tensor's distribution and byte range. Nothing is drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from paramgen.catalog.axes import Rearrangement
from paramgen.catalog.fields import KeyPath
from paramgen.catalog.frameworks import CANONICAL
from paramgen.catalog.frameworks.tables import LAYOUTS
from paramgen.catalog.initializers import ParameterTraits
from paramgen.catalog.layouts import CONSTANTS, UnsupportedError
from paramgen.errors import UsageError
from paramgen.json_text import dump_json, quote_json, stream_json
from paramgen.language.diagnostics import LimitExceededError, Problem, ProblemCollector
from paramgen.language.items import OperationInstance
from paramgen.language.parsed_spec import ParsedSpec
from paramgen.language.yaml_reader import escape_forbidden
from paramgen.messages import shorten
from paramgen.name_tree import TreeTensor, fold
from paramgen.notebook_html import render_block, render_tree
from paramgen.planning.companions import Companion, plan_companions
from paramgen.planning.files import (
    FileMetadata,
    FolderLayout,
    HeaderSizeError,
    PlannedFile,
    plan_files,
)
from paramgen.planning.resolve import ResolvedOperation, duplicate_message, resolve_operations
from paramgen.planning.streams import STREAM_VERSION
from paramgen.planning.tensors import Parameter, ResolvedParameter, Tensor, resolve_parameter
from paramgen.planning.ties import Tie, resolve_ties
from paramgen.storage.header import MAX_HEADER_BYTES, compact_json
from paramgen.storage.index import INDEX_SUFFIX, index_text
from paramgen.units import summarize

MAX_DATA_BYTES = 2**63 - 1
# Bytes of the shortest entry of a header, without its name.
MIN_ENTRY_BYTES = len('"":{"dtype":"F32","shape":[],"data_offsets":[0,4]},')
# Comes before each line of a tensor's fields in the plan's JSON.
_LINE_BREAK = "\n      "


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """A build's output: tensors in the spec's order, the files that hold them, and a folder's companions.

    `folder` is None if the output is a single file.
    """

    name: str
    seed: int
    layout: str
    tensors: tuple[Tensor, ...]
    files: tuple[PlannedFile, ...]
    folder: FolderLayout | None
    metadata: FileMetadata
    companions: tuple[Companion, ...]
    warnings: tuple[str, ...] = ()

    @property
    def total_parameters(self) -> int:
        """Elements of all tensors but buffers, as `sum(p.numel() for p in model.parameters())` counts them."""
        return _count_parameters(self.tensors)

    @property
    def buffer_elements(self) -> int:
        """Elements of the buffers that the layout adds, such as running means."""
        return _count_buffer_elements(self.tensors)

    @property
    def total_bytes(self) -> int:
        """Bytes of tensor data, without headers."""
        return sum(file.data_bytes for file in self.files)

    @property
    def file_bytes(self) -> int:
        """Bytes of all files, with their headers."""
        return sum(file.size for file in self.files)

    def split(self, folder: FolderLayout) -> Plan:
        """Return this plan with the files of a folder. Raises UsageError if the limit of shards is too small."""
        try:
            return replace(self, folder=folder, files=plan_files(self.tensors, folder, self.metadata))
        except HeaderSizeError as error:
            raise UsageError(str(error)) from None

    @property
    def index_name(self) -> str | None:
        """The name of the folder's index, None if there is one file."""
        return f"{self.folder.basename}{INDEX_SUFFIX}" if self.folder and len(self.files) > 1 else None

    @property
    def file_names(self) -> list[str]:
        """The names of a folder's files: the weights in the order of the shards, the index, the companions."""
        companions = [companion.name for companion in self.companions]
        return [*(file.name for file in self.files), *filter(None, [self.index_name]), *companions]

    def index_text(self) -> str:
        """Return the index of the files, in JSON."""
        weight_map = {entry.name: file.name for file in self.files for entry in file.entries}
        return index_text(weight_map, self.total_bytes, self.total_parameters)

    def __repr__(self) -> str:
        return f"<Plan {self.name!r}: {self.summary()}, seed {self.seed}>"

    def _repr_html_(self) -> str:
        facts = f"{self.summary()}, seed {self.seed}, layout {self.layout}"
        return render_block(self.name, facts, self.render_tree())

    def render_tree(self) -> str:
        """Return the tensors as a tree in HTML, for notebooks."""
        tensors = []
        for tensor in self.tensors:
            initializers = ", ".join(dict.fromkeys(parameter.initializer.type_name for parameter in tensor.resolved))
            tensors.append(TreeTensor(tensor.name, tensor.dtype, tensor.shape, (initializers,)))
        return render_tree(fold(tensors), notes=True)

    def summary(self, tensors: Sequence[Tensor] | None = None) -> str:
        """Return the counts of tensors, parameters, buffer elements and bytes in words, of all or the given tensors."""
        tensors = self.tensors if tensors is None else tensors
        size = sum(tensor.nbytes for tensor in tensors)
        return summarize(len(tensors), _count_parameters(tensors), _count_buffer_elements(tensors), size)

    def select(self, pattern: str | None) -> Sequence[Tensor]:
        """Return the tensors whose names match a glob, or all."""
        return self.tensors if pattern is None else [x for x in self.tensors if fnmatchcase(x.name, pattern)]

    def rows(self) -> list[dict[str, Any]]:
        """Return a mapping per tensor, with the keys of `plan --json`: `pandas.DataFrame(plan.rows())`."""
        shared: dict[tuple[int, ...], dict[str, Any]] = {}
        files = self.files_of_tensors()
        rows = []
        for tensor in self.tensors:
            key = tensor.cache_key
            if key not in shared:
                shared[key] = json.loads(f"{{{_encode_fields(tensor)}}}")
            names = {"name": tensor.name, "canonical_name": tensor.canonical_name}
            file = {"file": files[tensor.name]} if files else {}
            rows.append({**names, **file, **shared[key]})
        return rows

    def files_of_tensors(self) -> dict[str, str]:
        """Return the name of each tensor's file; nothing if there is one file."""
        if len(self.files) == 1:
            return {}
        return {tensor.name: file.name for file in self.files for tensor in file.tensors}

    def iter_json(self, tensors: Sequence[Tensor] | None = None) -> Iterator[str]:
        """Yield the JSON of `plan --json`, in parts, of all or the given tensors."""
        tensors = self.tensors if tensors is None else tensors
        head = {
            "name": self.name,
            "seed": self.seed,
            "layout": self.layout,
            "stream": STREAM_VERSION,
            "total_parameters": _count_parameters(tensors),
            "total_bytes": sum(tensor.nbytes for tensor in tensors),
        }
        return stream_json(head, "parameters", self._iter_tensor_json(tensors))

    def _iter_tensor_json(self, tensors: Sequence[Tensor]) -> Iterator[str]:
        files = self.files_of_tensors()
        texts: dict[tuple[int, ...], str] = {}  # JSON after the names, shared by tensors that differ only in name
        for tensor in tensors:
            key = tensor.cache_key
            rest = texts.get(key)
            if rest is None:
                rest = texts[key] = _encode_fields(tensor)
            name, canonical_name = tensor.name, tensor.canonical_name
            canonical = "null" if canonical_name is None else quote_json(canonical_name)
            file = f'\n      "file": {quote_json(files[name])},' if files else ""
            names = f'"name": {quote_json(name)},\n      "canonical_name": {canonical},{file}'
            yield f"{{\n      {names}{rest}\n    }}"


def _count_parameters(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.size for tensor in tensors if not (tensor.is_copy or tensor.is_buffer))


def _count_buffer_elements(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.size for tensor in tensors if tensor.is_buffer)


def make_plan(spec: ParsedSpec) -> Plan:
    """Plan a spec as one file. Raises SpecError with all errors of the spec and of the plan."""
    problems, warnings = ProblemCollector(spec.problems), ProblemCollector()
    planned: list[Tensor | Tie] = []
    try:
        for item in _TensorPlanner(spec).operations():
            if not isinstance(item, Problem):
                planned += item
                continue
            (warnings if item.is_warning else problems).add(item)
            if problems.is_full:
                break
    except LimitExceededError as error:
        problems.add(error.problem)
    tensors, problems_of_ties = resolve_ties(planned, spec.fields.layout, spec.fields.ties == "copy")
    if not problems.total:  # otherwise a target may be missing because of another error
        for problem in problems_of_ties:
            problems.add(problem)
    if not tensors and not problems.total:
        field = "operations" if spec.num_items else "parameters"
        problems.add(Problem((field,), f"the spec has no tensors: all {field} are omitted; keep one"))
    problems.raise_if_any(spec.document)
    try:
        file_metadata = FileMetadata(metadata(spec), metadata(spec, sort_keys=False))
        files = plan_files(tensors, FolderLayout(), file_metadata)
    except HeaderSizeError as error:
        ProblemCollector([Problem((), str(error))]).raise_if_any(spec.document)
        raise
    fields = spec.fields
    return Plan(
        name=fields.name,
        seed=fields.seed,
        layout=fields.layout,
        tensors=tuple(tensors),
        files=files,
        folder=None,
        metadata=file_metadata,
        companions=plan_companions(spec),
        warnings=tuple(warnings.lines(spec.document)),
    )


def iter_resolved(spec: ParsedSpec) -> Iterator[tuple[ResolvedOperation, list[Tensor | Tie]]]:
    """Yield the operations of a valid spec with their tensors, before ties are left out or copied."""
    planner = _TensorPlanner(spec)
    for resolved in resolve_operations(spec):
        if not isinstance(resolved, Problem):
            yield resolved, planner.tensors_of(resolved)[0]


class _InvalidTensorError(Exception):
    """The error of a tensor; the operation's other tensors are still checked."""

    def __init__(self, instance: OperationInstance, field: tuple[str, ...], message: str):
        super().__init__(message)
        self.problem = Problem((*instance.path, *field), message, location=instance.location)


class _TensorPlanner:
    """Makes the tensors of a layout from the parameters of a spec."""

    def __init__(self, spec: ParsedSpec):
        self.spec = spec
        self.layout_name = spec.fields.layout
        self.layout = LAYOUTS[self.layout_name]
        self.owners: dict[str, KeyPath] = {}
        self.constants: dict[tuple[str, tuple[int, ...], str], Parameter] = {}

    def operations(self) -> Iterator[list[Tensor | Tie] | Problem]:
        """Yield the tensors of each operation in the spec's order, and every error."""
        total = header_size = 0
        for resolved in resolve_operations(self.spec):
            if isinstance(resolved, Problem):
                yield resolved
                continue
            tensors, problems = self.tensors_of(resolved)
            yield tensors
            yield from problems
            for tensor in tensors:
                if isinstance(tensor, Tensor):
                    total += tensor.nbytes
                    header_size += len(tensor.name) + MIN_ENTRY_BYTES
                    if total > MAX_DATA_BYTES or header_size > MAX_HEADER_BYTES:
                        message = _size_limit_error(total, shorten(tensor.name))
                        instance = resolved.instance
                        raise LimitExceededError(instance.path, message, instance.location)

    def tensors_of(self, resolved: ResolvedOperation) -> tuple[list[Tensor | Tie], list[Problem]]:
        """Return an operation's tensors in order, and their errors."""
        instance, choices, parameters = resolved.instance, resolved.choices, resolved.parameters
        try:
            if choices.rearrangements is None:
                choices.rearrangements = self.layout.rearrangements(instance.operation, choices.definitions)
        except UnsupportedError as error:
            return [], [Problem((*instance.path, "type"), str(error), location=instance.location)]
        if self.layout_name == CANONICAL and not instance.operation.tie:
            # Each tensor is a parameter, whose name is known to be unique.
            pairs = zip(choices.rearrangements, parameters.values(), strict=True)
            return [Tensor(parameter.name, rearrangement, (parameter,)) for rearrangement, parameter in pairs], []
        tensors: list[Tensor | Tie] = []
        problems: list[Problem] = []
        for rearrangement in choices.rearrangements:
            try:
                tensors.append(self._tensor_of(instance, parameters, rearrangement))
            except _InvalidTensorError as error:
                problems.append(error.problem)
        return tensors, problems

    def _tensor_of(
        self, instance: OperationInstance, parameters: Mapping[str, Parameter], rearrangement: Rearrangement
    ) -> Tensor | Tie:
        """Return a tensor made of an operation's parameters. Raises _InvalidTensorError if it is not valid."""
        name = self.layout.tensor_name(instance.name, rearrangement)
        drawn = [parameters[source] for source in rearrangement.sources if source in parameters]
        tied = next((parameter for parameter in drawn if parameter.tied_to), None)
        if tied and len(rearrangement.sources) > 1:
            message = f"layout {self.layout_name} joins {shorten(tied.name)} with others; remove its tie"
            raise _InvalidTensorError(instance, ("tie",), message)
        if len({parameter.resolved.dtype.name for parameter in drawn}) > 1:
            parts = [f"{shorten(parameter.name)} ({parameter.resolved.dtype.name})" for parameter in drawn]
            message = f"layout {self.layout_name} joins {', '.join(parts)} in one tensor; give them the same dtype"
            raise _InvalidTensorError(instance, ("name",), message)
        sources = tuple(drawn)
        if len(drawn) < len(rearrangement.sources):
            first = drawn[0] if drawn else next(iter(parameters.values()))
            dtype = rearrangement.dtype or first.resolved.dtype.name
            sources = tuple(
                parameters.get(source) or self._constant_parameter(source, rearrangement.shape, dtype)
                for source in rearrangement.sources
            )
            for source in sources:
                if not source.name and (reason := source.resolved.dtype_error(name)):
                    raise _InvalidTensorError(instance, ("name",), f"layout: {reason}")
        if name in self.owners:
            message = duplicate_message(name, self.owners[name], f" in layout {self.layout_name}")
            raise _InvalidTensorError(instance, ("name",), message)
        self.owners[name] = instance.path
        if tied:
            path = (*instance.path, "tie", rearrangement.sources[0])
            return Tie(name, rearrangement, tied, path, instance.location)
        return Tensor(name, rearrangement, sources)

    def _constant_parameter(self, name: str, shape: tuple[int, ...], dtype: str) -> Parameter:
        """Return a buffer's values: a parameter without a name."""
        key = name, shape, dtype
        if key not in self.constants:
            self.constants[key] = Parameter("", resolve_parameter(ParameterTraits(shape), CONSTANTS[name], dtype), 0)
        return self.constants[key]


def _size_limit_error(total: int, name: str) -> str:
    if total > MAX_DATA_BYTES:
        return f"the file would exceed 2^63 - 1 bytes at {name}; use smaller sizes"
    return (
        f"the file's header would exceed {MAX_HEADER_BYTES:,} bytes (the format's limit) at {name}; use fewer tensors"
    )


def _encode_fields(tensor: Tensor) -> str:
    """Return the JSON of a tensor's fields, as the plan's JSON indents them, without its names, which come first."""
    parameters = tensor.resolved
    first = parameters[0]
    initializers = [parameter.initializer.json_text.replace("\n", _LINE_BREAK) for parameter in parameters]
    distributions = [dump_json(_describe_distribution(parameter), _LINE_BREAK) for parameter in parameters]
    initializer, distribution = initializers[0], distributions[0]
    if len(parameters) > 1 and len(set(zip(initializers, distributions, strict=True))) > 1:
        initializer, distribution = map(_join_parts, (initializers, distributions))
    return f"""
      "shape": {dump_json(list(tensor.shape), _LINE_BREAK)},
      "dtype": "{tensor.dtype.name}",
      "fan_in": {dump_json(first.fan_in)},
      "fan_out": {dump_json(first.fan_out)},
      "bytes": {tensor.nbytes},
      "initializer": {initializer},
      "distribution": {distribution}"""


def _join_parts(texts: list[str]) -> str:
    """Return the JSON of a tensor's initializer or distribution that differs between its parameters."""
    return dump_json({"type": "joined", "parts": list(map(json.loads, texts))}, _LINE_BREAK)


def _describe_distribution(parameter: ResolvedParameter) -> dict[str, Any]:
    description = parameter.distribution.describe()
    if parameter.padding_index is not None:
        description["padding_index"] = parameter.padding_index
    return description


def metadata(spec: ParsedSpec, sort_keys: bool = True) -> dict[str, str]:
    """Return a file's __metadata__: all that it takes to build the same file again, and nothing else.

    Characters that YAML does not allow are escaped. Shards keep the order of the spec's keys, which decides how tensors
    are split over files.
    """
    return {
        "format": "pt",
        "paramgen_seed": str(spec.fields.seed),
        "paramgen_spec": escape_forbidden(compact_json(spec.source, sort_keys)),
        "paramgen_stream": STREAM_VERSION,
    }
