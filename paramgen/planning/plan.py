"""Spec → Plan: every tensor of the file with its distribution and byte range. Pure; nothing is drawn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from json.encoder import encode_basestring as quote
from typing import Any

from paramgen.catalog.axes import Rearrangement
from paramgen.catalog.frameworks import CANONICAL, is_buffer
from paramgen.catalog.frameworks.tables import LAYOUTS
from paramgen.catalog.initializers import Initializer, ParameterShape
from paramgen.catalog.layouts import CONSTANTS, UnsupportedError
from paramgen.catalog.operations import ParameterDef
from paramgen.formatting import dump_json, shorten, summarize
from paramgen.language.diagnostics import LimitExceededError, Problem, ProblemCollector
from paramgen.language.items import OperationInstance
from paramgen.language.model import ParsedSpec
from paramgen.language.yaml_reader import escape_refused
from paramgen.planning.resolve import NameRegistry, OperationCache, ResolvedOperation, resolve_operations
from paramgen.planning.streams import STREAM_VERSION
from paramgen.planning.tensors import Parameter, ResolvedParameter, Tensor, resolve_parameter
from paramgen.planning.ties import Tie, resolve_ties
from paramgen.storage.header import MAX_HEADER_BYTES, TensorEntry, compact, encode, order_tensors

MAX_DATA_BYTES = 2**63 - 1
# Bytes of the shortest entry of a header, without its name.
MIN_ENTRY_BYTES = len('"":{"dtype":"F32","shape":[],"data_offsets":[0,4]},')


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """A build's output: tensors in the spec's order, and the file's entries and header."""

    name: str
    seed: int
    layout: str
    tensors: tuple[Tensor, ...]
    entries: tuple[TensorEntry, ...]
    header: bytes
    warnings: tuple[str, ...] = ()

    @property
    def total_parameters(self) -> int:
        """Elements of all tensors but buffers, as `sum(p.numel() for p in model.parameters())` counts them."""
        return sum(tensor.size for tensor in self.tensors if not (tensor.is_copy or is_buffer(tensor.name)))

    @property
    def buffer_elements(self) -> int:
        """Elements of the buffers that the layout adds, such as running means."""
        return sum(tensor.size for tensor in self.tensors if is_buffer(tensor.name))

    @property
    def total_bytes(self) -> int:
        """Bytes of tensor data, without the header."""
        return self.entries[-1].end

    def __repr__(self) -> str:
        return f"<Plan {self.name!r}: {self.summary()}, seed {self.seed}>"

    def summary(self) -> str:
        """Return the counts of tensors, parameters, buffer elements and bytes in words."""
        return summarize(len(self.tensors), self.total_parameters, self.buffer_elements, self.total_bytes)

    def rows(self) -> list[dict[str, Any]]:
        """Return a mapping per tensor, with the keys of `plan --json`: `pandas.DataFrame(plan.rows())`."""
        names = ({"name": tensor.name, "canonical_name": tensor.canonical_name} for tensor in self.tensors)
        describe = _Descriptions().describe
        return [{**describe(tensor), **named} for tensor, named in zip(self.tensors, names, strict=True)]

    def document(self) -> Iterator[str]:
        """Yield the document of `plan --json`, in parts."""
        head = {
            "name": self.name,
            "seed": self.seed,
            "layout": self.layout,
            "stream": STREAM_VERSION,
            "total_parameters": self.total_parameters,
            "total_bytes": self.total_bytes,
        }
        yield json.dumps(head, indent=2, ensure_ascii=False)[:-2] + ',\n  "parameters": ['
        described = _Descriptions()
        for number, tensor in enumerate(self.tensors):
            yield ("," if number else "") + described(tensor)
        yield "\n  ]\n}"


def make_plan(spec: ParsedSpec) -> Plan:
    """Plan a spec; SpecError with all errors of the spec and of the plan."""
    diagnostics, warnings = ProblemCollector(spec.problems), ProblemCollector()
    placed: list[Tensor | Tie] = []
    try:
        for item in _TensorPlanner(spec).tensors():
            if not isinstance(item, Problem):
                placed.append(item)
                continue
            (warnings if item.is_warning else diagnostics).add(item)
            if diagnostics.is_full:
                break
    except LimitExceededError as error:
        diagnostics.add(error.problem)
    tensors: list[Tensor] = []
    errors_of_ties: list[Problem] = []
    for resolved in resolve_ties(placed, spec.fields.layout, spec.fields.ties == "copy"):
        if isinstance(resolved, Tensor):
            tensors.append(resolved)
        else:
            errors_of_ties.append(resolved)
    if not diagnostics.total:  # else a target may be missing because of another error
        diagnostics = ProblemCollector(errors_of_ties)
    if not tensors and not diagnostics.total:
        diagnostics.add(Problem(("operations",), "the spec has no tensors: every operation is omitted; keep one"))
    diagnostics.raise_if_any(spec.document)
    entries = order_tensors((tensor.name, tensor.dtype, tensor.rearrangement.shape) for tensor in tensors)
    header = encode(entries, metadata(spec))
    if len(header) - 8 > MAX_HEADER_BYTES:
        limit = f"must have at most {MAX_HEADER_BYTES:,} bytes (the format's limit), got {len(header) - 8:,}"
        message = f"the file's header {limit}; use fewer or shorter names"
        ProblemCollector([Problem((), message)]).raise_if_any(spec.document)
    lines = tuple(warnings.lines(spec.document))
    return Plan(spec.fields.name, spec.fields.seed, spec.fields.layout, tuple(tensors), tuple(entries), header, lines)


class _TensorPlanner:
    """Makes the tensors of a layout from the parameters of a spec."""

    def __init__(self, spec: ParsedSpec):
        self.spec = spec
        self.layout_name = spec.fields.layout
        self.layout = LAYOUTS[self.layout_name]
        self.names = NameRegistry()
        self.rearrangements = OperationCache(self._rearrangements)

    def tensors(self) -> Iterator[Tensor | Tie | Problem]:
        """Yield the tensors in the spec's order, and every error."""
        total = header_size = 0
        streams: set[int] = set()
        count = 0
        for item in resolve_operations(self.spec):
            if isinstance(item, Problem):
                yield item
                continue
            for one in item.parameters.values():
                if one.has_own_stream:
                    streams.add(one.stream)
                    count += 1
            for tensor in self._place(item):
                yield tensor
                if isinstance(tensor, Tensor):
                    total += tensor.nbytes
                    header_size += len(tensor.name) + MIN_ENTRY_BYTES
                    if total > MAX_DATA_BYTES or header_size > MAX_HEADER_BYTES:
                        message = _size_limit_error(total, shorten(tensor.name))
                        raise LimitExceededError(item.instance.path, message, item.instance.location)
        if len(streams) < count:
            yield from _explain_streams(self.spec)

    def _place(self, item: ResolvedOperation) -> Iterable[Tensor | Tie | Problem]:
        """Return the tensors of an operation."""
        rearrangements = self.rearrangements(item.instance, item.definitions)
        if isinstance(rearrangements, Problem):
            return [rearrangements]
        if self.layout_name == CANONICAL and not item.instance.operation.tie:  # by its name, which is known to be free
            return map(_as_it_is, rearrangements, item.parameters.values())
        return [self._join(item, rearrangement) for rearrangement in rearrangements]

    def _rearrangements(
        self, instance: OperationInstance, definitions: list[ParameterDef]
    ) -> list[Rearrangement] | Problem:
        try:
            return self.layout.rearrangements(instance.operation, definitions)
        except UnsupportedError as error:
            return Problem((*instance.path, "type"), str(error), location=instance.location)

    def _join(self, item: ResolvedOperation, rearrangement: Rearrangement) -> Tensor | Tie | Problem:
        """Return a tensor of an operation, joined from its parameters."""
        instance, _, parameters = item
        found = [parameters.get(source) for source in rearrangement.sources]
        drawn = [one for one in found if one]
        tied = next((one for one in drawn if one.tied_to), None)
        if tied and len(found) > 1:
            message = f"layout {self.layout_name} joins {shorten(tied.name)} with others; remove its tie"
            return Problem((*instance.path, "tie"), message, location=instance.location)
        if len({one.resolved.dtype.name for one in drawn}) > 1:
            parts = [f"{shorten(one.name)} ({one.resolved.dtype.name})" for one in drawn]
            message = f"layout {self.layout_name} joins {', '.join(parts)} in one tensor; give them the same dtype"
            return Problem((*instance.path, "name"), message, location=instance.location)
        if len(drawn) < len(found):
            first = drawn[0] if drawn else next(iter(parameters.values()))
            dtype = rearrangement.dtype or first.resolved.dtype.name
            drawn = [
                one or _constant(source, rearrangement.shape, dtype)
                for source, one in zip(rearrangement.sources, found, strict=True)
            ]
            added = self.layout.tensor_name(instance.name, rearrangement)
            for problem in (one.resolved.dtype_error(added) for one in drawn if not one.name):
                if problem:
                    return Problem((*instance.path, "name"), f"layout: {problem}", location=instance.location)
        name = self.layout.tensor_name(instance.name, rearrangement)
        if not self.names.claim(name, instance.path):
            message = self.names.explain(name, f" in layout {self.layout_name}")
            return Problem((*instance.path, "name"), message, location=instance.location)
        if tied:
            path = (*instance.path, "tie", rearrangement.sources[0])
            return Tie(name, rearrangement, tied, path, instance.location)
        return Tensor(name, rearrangement, tuple(drawn))


def _as_it_is(rearrangement: Rearrangement, parameter: Parameter) -> Tensor:
    return Tensor(parameter.name, rearrangement, (parameter,))


def _explain_streams(spec: ParsedSpec) -> Iterator[Problem]:
    """Yield an error for each parameter whose stream id is that of one before it."""
    first: dict[int, str] = {}
    for item in resolve_operations(spec):
        if isinstance(item, Problem):
            continue
        for parameter in item.parameters.values():
            if not parameter.has_own_stream:
                continue
            other = first.setdefault(parameter.stream, parameter.name)
            if other != parameter.name:
                message = f"{shorten(parameter.name)} and {shorten(other)} have the same stream id; rename one"
                yield Problem((*item.instance.path, "name"), message, location=item.instance.location)


def _size_limit_error(total: int, name: str) -> str:
    if total > MAX_DATA_BYTES:
        return f"the file would exceed 2^63 - 1 bytes at {name}; use smaller sizes"
    return (
        f"the file's header would exceed {MAX_HEADER_BYTES:,} bytes (the format's limit) at {name}; use fewer tensors"
    )


@cache
def _constant(name: str, shape: tuple[int, ...], dtype: str) -> Parameter:
    """Return a buffer's values: a parameter without a name."""
    return Parameter("", resolve_parameter(ParameterShape(shape), CONSTANTS[name], dtype), 0)


class _Descriptions:
    """Formats tensors for the plan's JSON; caches the text of those that differ only in name."""

    def __init__(self) -> None:
        self._texts: dict[tuple[int, ...], list[str]] = {}
        self._initializers: dict[int, dict[str, Any]] = {}  # by id: the plan keeps them alive

    def __call__(self, tensor: Tensor) -> str:
        parts = self._texts.get(tensor.key)
        if parts is None:
            parts = self._texts[tensor.key] = _MARK.split("\n    " + dump_json(self.describe(tensor), "\n    "))
        before, between, after = parts
        name, canonical = tensor.name, tensor.canonical_name
        quoted = quote(name)
        other = quoted if name == canonical else "null" if canonical is None else quote(canonical)
        return before + quoted + between + other + after

    def describe(self, tensor: Tensor) -> dict[str, Any]:
        """Return a tensor's entry in the plan's JSON, with marks in the place of its names."""
        specs = tensor.resolved
        initializers = [self._describe(spec.initializer) for spec in specs]
        distributions = [_describe_distribution(spec) for spec in specs]
        first = initializers[0], distributions[0]
        alike = all(part == first for part in zip(initializers, distributions, strict=True))
        return {
            "name": "\0name",
            "canonical_name": "\0canonical",
            "shape": list(tensor.rearrangement.shape),
            "dtype": tensor.dtype.name,
            "fan_in": specs[0].fan_in,
            "fan_out": specs[0].fan_out,
            "bytes": tensor.nbytes,
            "initializer": initializers[0] if alike else {"type": "joined", "parts": initializers},
            "distribution": distributions[0] if alike else {"type": "joined", "parts": distributions},
        }

    def _describe(self, initializer: Initializer) -> dict[str, Any]:
        found = self._initializers.get(id(initializer))
        if found is None:
            found = self._initializers[id(initializer)] = initializer.describe()
        return found


_MARK = re.compile(r'"\\u0000\w+"')


def _describe_distribution(spec: ResolvedParameter) -> dict[str, Any]:
    padding = {} if spec.padding_index is None else {"padding_index": spec.padding_index}
    return {**spec.distribution.describe(), **padding}


def metadata(spec: ParsedSpec) -> dict[str, str]:
    """Return the file's __metadata__: all that it takes to build the same file again, and nothing else.

    Characters that YAML does not allow are escaped.
    """
    return {
        "format": "pt",
        "paramgen_seed": str(spec.fields.seed),
        "paramgen_spec": escape_refused(compact(spec.source)),
        "paramgen_stream": STREAM_VERSION,
    }
