"""Spec → Plan: every tensor of the file with its distribution and byte range. Pure; nothing is drawn."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from paramgen.catalog.axes import Rearrangement, plain
from paramgen.catalog.distributions import describe
from paramgen.catalog.frameworks import CANONICAL, is_buffer
from paramgen.catalog.initializers import ParameterShape
from paramgen.catalog.layouts import CONSTANTS, LAYOUTS, UnsupportedError
from paramgen.catalog.operations import ParameterDef
from paramgen.dtypes import DType
from paramgen.formatting import shorten, summarize
from paramgen.language.diagnostics import Diagnostics, Finding, LimitExceededError
from paramgen.language.groups import NamedOperation
from paramgen.language.model import ParsedSpec
from paramgen.language.yaml_reader import escape_refused
from paramgen.planning.resolve import (
    Expanded,
    NameRegistry,
    OperationCache,
    Parameter,
    ParameterSpec,
    expand,
    name_parameter,
    resolve_parameter,
)
from paramgen.planning.streams import STREAM_VERSION
from paramgen.storage.header import MAX_HEADER, Entry, compact, encode, order_tensors

MAX_DATA = 2**63 - 1
# Bytes of the shortest entry of a header, without its name.
MIN_ENTRY_BYTES = len('"":{"dtype":"F32","shape":[],"data_offsets":[0,4]},')


class Tensor(NamedTuple):
    """A tensor of the output file, made of the parameters in `sources`. A buffer's parameters have no name."""

    name: str
    rearrangement: Rearrangement
    sources: tuple[Parameter, ...]

    @property
    def dtype(self) -> DType:
        return self.sources[0].spec.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rearrangement.shape

    @property
    def size(self) -> int:
        return self.rearrangement.size

    @property
    def nbytes(self) -> int:
        return self.dtype.nbytes(self.size)

    @property
    def specs(self) -> list[ParameterSpec]:
        """The specs of its parameters."""
        return [source.spec for source in self.sources]

    @property
    def canonical_name(self) -> str | None:
        """The names of its parameters, joined by " + "; None for a buffer."""
        return " + ".join(source.name for source in self.sources if source.name) or None

    @property
    def key(self) -> tuple[int, ...]:
        """A cache key: equal for tensors that differ only in name. Valid while the plan lives."""
        return id(self.rearrangement), *(id(source.spec) for source in self.sources)


def as_tensor(name: str, spec: ParameterSpec) -> Tensor:
    """Return a tensor that is one parameter, unchanged."""
    return Tensor(name, plain("", spec.shape, name), (name_parameter(name, spec),))


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """A build's output: tensors in the spec's order, and the file's entries and header."""

    name: str
    seed: int
    layout: str
    tensors: tuple[Tensor, ...]
    entries: tuple[Entry, ...]
    header: bytes

    @property
    def total_parameters(self) -> int:
        """Elements of all tensors but buffers, as `sum(p.numel() for p in model.parameters())` counts them."""
        return sum(tensor.size for tensor in self.tensors if not is_buffer(tensor.name))

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
        return [{**_describe(tensor), **named} for tensor, named in zip(self.tensors, names, strict=True)]

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
    diagnostics = Diagnostics(spec.findings)
    tensors: list[Tensor] = []
    try:
        for item in _Layouter(spec).tensors():
            if isinstance(item, Tensor):
                tensors.append(item)
                continue
            diagnostics.add(item)
            if diagnostics.is_full:
                break
    except LimitExceededError as error:
        diagnostics.add(error.finding)
    diagnostics.raise_any(spec.document)
    entries = order_tensors((tensor.name, tensor.dtype, tensor.rearrangement.shape) for tensor in tensors)
    header = encode(entries, metadata(spec))
    if len(header) - 8 > MAX_HEADER:
        size = f"{len(header) - 8:,} bytes; the format allows {MAX_HEADER:,}"
        message = f"the file's header, which holds every name and the spec, would have {size}"
        Diagnostics([Finding((), message)]).raise_any(spec.document)
    return Plan(spec.head.name, spec.head.seed, spec.head.layout, tuple(tensors), tuple(entries), header)


class _Layouter:
    """Makes the tensors of a layout from the parameters of a spec."""

    def __init__(self, spec: ParsedSpec):
        self.spec = spec
        self.layout_name = spec.head.layout
        self.layout = LAYOUTS[self.layout_name]
        self.names = NameRegistry()
        self.rearrangements = OperationCache(self._rearrangements)

    def tensors(self) -> Iterator[Tensor | Finding]:
        """Yield the tensors in the spec's order, and every error."""
        total = header_size = 0
        streams = array("Q")
        for item in expand(self.spec):
            if isinstance(item, Finding):
                yield item
                continue
            streams.extend([parameter.stream for parameter in item.parameters.values()])
            for tensor in self._place(item):
                yield tensor
                if isinstance(tensor, Tensor):
                    total += tensor.nbytes
                    header_size += len(tensor.name) + MIN_ENTRY_BYTES
                    if total > MAX_DATA or header_size > MAX_HEADER:
                        message = f"{_size_limit_error(total)} with {shorten(tensor.name)}"
                        raise LimitExceededError(item.instance.path, message, item.instance.location)
        yield from self.names.nested(self._note())
        if repeated := {one for one, other in pairwise(sorted(streams)) if one == other}:
            yield from _explain_streams(self.spec, repeated)

    def _note(self) -> str:
        return f", in layout {self.layout_name}"

    def _place(self, item: Expanded) -> Iterable[Tensor | Finding]:
        """Return the tensors of an operation."""
        rearrangements = self.rearrangements(item.instance, item.definitions)
        if isinstance(rearrangements, Finding):
            return [rearrangements]
        if self.layout_name == CANONICAL:  # each parameter as it is, by its name, which is known to be free
            return map(_as_it_is, rearrangements, item.parameters.values())
        return [self._join(item, rearrangement) for rearrangement in rearrangements]

    def _rearrangements(
        self, instance: NamedOperation, definitions: list[ParameterDef]
    ) -> list[Rearrangement] | Finding:
        try:
            return self.layout.rearrangements(instance.operation, definitions)
        except UnsupportedError as error:
            message = f"layout: {self.layout_name}: {error}"
            return Finding((*instance.path, "type"), message, location=instance.location)

    def _join(self, item: Expanded, rearrangement: Rearrangement) -> Tensor | Finding:
        """Return a tensor of an operation, joined from its parameters."""
        instance, _, parameters = item
        found = [parameters.get(source) for source in rearrangement.sources]
        drawn = [one for one in found if one]
        if len({one.spec.dtype.name for one in drawn}) > 1:
            parts = [f"{shorten(one.name)} ({one.spec.dtype.name})" for one in drawn]
            message = f"layout: {self.layout_name} joins {', '.join(parts)} in one tensor; give them the same dtype"
            return Finding((*instance.path, "name"), message, location=instance.location)
        if len(drawn) < len(found):
            first = drawn[0] if drawn else next(iter(parameters.values()))
            dtype = rearrangement.dtype or first.spec.dtype.name
            drawn = [
                one or _constant(source, rearrangement.shape, dtype)
                for source, one in zip(rearrangement.sources, found, strict=True)
            ]
        name = self.layout.name(instance.name, rearrangement)
        if clash := self.names.add(name, instance.path):
            return Finding((*instance.path, "name"), clash + self._note(), location=instance.location)
        return Tensor(name, rearrangement, tuple(drawn))


def _as_it_is(rearrangement: Rearrangement, parameter: Parameter) -> Tensor:
    return Tensor(parameter.name, rearrangement, (parameter,))


def _explain_streams(spec: ParsedSpec, repeated: set[int]) -> Iterator[Finding]:
    """Yield an error for each parameter whose stream id is that of one before it."""
    first: dict[int, str] = {}
    for item in expand(spec):
        if isinstance(item, Finding):
            continue
        for parameter in item.parameters.values():
            if parameter.stream in repeated:
                other = first.setdefault(parameter.stream, parameter.name)
                if other != parameter.name:
                    message = f"{shorten(parameter.name)} has the stream id of {shorten(other)}; rename one"
                    yield Finding((*item.instance.path, "name"), message, location=item.instance.location)


def _size_limit_error(total: int) -> str:
    if total > MAX_DATA:
        return "choose smaller sizes: the file would pass 2^63 - 1 bytes"
    return f"choose fewer tensors: the file's header would pass {MAX_HEADER:,} bytes, the format's limit,"


@cache
def _constant(name: str, shape: tuple[int, ...], dtype: str) -> Parameter:
    """Return a buffer's values: a parameter without a name."""
    return Parameter("", resolve_parameter(ParameterShape(shape), CONSTANTS[name], dtype), 0)


class _Descriptions:
    """Formats tensors for the plan's JSON; caches the text of those that differ only in name."""

    def __init__(self) -> None:
        self._texts: dict[tuple[int, ...], str] = {}
        self._names = json.encoder.JSONEncoder(ensure_ascii=False).encode

    def __call__(self, tensor: Tensor) -> str:
        text = self._texts.get(tensor.key)
        if text is None:
            described = json.dumps(_describe(tensor), indent=2, ensure_ascii=False)
            text = self._texts[tensor.key] = "\n    " + described.replace("\n", "\n    ")
        named = text.replace(_NAME, self._names(tensor.name), 1)
        return named.replace(_CANONICAL, json.dumps(tensor.canonical_name, ensure_ascii=False), 1)


_NAME, _CANONICAL = '"\\u0000name"', '"\\u0000canonical"'


def _describe(tensor: Tensor) -> dict[str, Any]:
    """Return a tensor's entry in the plan's JSON, with marks in the place of its names."""
    specs = tensor.specs
    initializers = [spec.initializer.describe() for spec in specs]
    distributions = [_describe_distribution(spec) for spec in specs]
    alike = all(part == (initializers[0], distributions[0]) for part in zip(initializers, distributions, strict=True))
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


def _describe_distribution(spec: ParameterSpec) -> dict[str, Any]:
    padding = {} if spec.padding_index is None else {"padding_index": spec.padding_index}
    return {**describe(spec.distribution), **padding}


def metadata(spec: ParsedSpec) -> dict[str, str]:
    """Return the file's __metadata__: all that it takes to build the same file again, and nothing else.

    Characters that YAML does not allow are escaped.
    """
    return {
        "format": "pt",
        "paramgen_seed": str(spec.head.seed),
        "paramgen_spec": escape_refused(compact(spec.source)),
        "paramgen_stream": STREAM_VERSION,
    }
