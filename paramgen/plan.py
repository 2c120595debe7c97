"""Spec → Plan: every tensor of the file with its distribution's numbers and its bytes. Pure; nothing is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from paramgen.distributions import Distribution, describe
from paramgen.dtypes import DTYPES, DType
from paramgen.sampling.streams import STREAM_VERSION, stream_id
from paramgen.spec.document import Path
from paramgen.spec.expand import Parameter, expand
from paramgen.spec.initializers import Initializer
from paramgen.spec.model import Spec
from paramgen.storage.header import MAX_HEADER, Entry, arrange, compact, encode
from paramgen.text import number, shorten

MAX_DATA = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of the file: what it is, what it is drawn from, and by which stream."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    fan_in: int | None
    fan_out: int | None
    initializer: Initializer
    distribution: Distribution
    stream: int

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.dtype.nbytes(self.size)

    def excess(self) -> str | None:
        """What is wrong where its extreme values exceed its dtype, or None."""
        largest = self.distribution.largest(self.dtype.name)
        assert self.dtype.largest is not None
        if largest <= self.dtype.largest:
            return None
        limit = f"{number(self.dtype.largest)}, the largest {self.dtype.name}"
        found = f"{shorten(self.name)} has values up to {number(largest)}, beyond {limit}"
        return f"{found}; choose a wider dtype or smaller values"

    def described(self) -> dict[str, Any]:
        """The tensor as the plan's JSON has it."""
        return {
            "name": self.name,
            "canonical_name": self.name,
            "shape": list(self.shape),
            "dtype": self.dtype.name,
            "fan_in": self.fan_in,
            "fan_out": self.fan_out,
            "bytes": self.nbytes,
            "initializer": self.initializer.described(),
            "distribution": describe(self.distribution),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build writes: its tensors in the spec's order, and the file's header and order."""

    name: str
    seed: int
    layout: str
    tensors: tuple[Tensor, ...]
    entries: tuple[Entry, ...]
    header: bytes

    @property
    def total_parameters(self) -> int:
        return sum(tensor.size for tensor in self.tensors)

    @property
    def total_bytes(self) -> int:
        """Bytes of tensor data, the header not counted."""
        return self.entries[-1].end

    def described(self) -> dict[str, Any]:
        """The document of `plan --json`."""
        return {
            "name": self.name,
            "seed": self.seed,
            "layout": self.layout,
            "stream": STREAM_VERSION,
            "total_parameters": self.total_parameters,
            "total_bytes": self.total_bytes,
            "parameters": [tensor.described() for tensor in self.tensors],
        }


def make_plan(spec: Spec) -> Plan:
    """The plan of a spec; raises SpecError with every problem of the spec and of the plan."""
    problems = spec.problems_found.copy()
    tensors = []
    streams: dict[int, str] = {}
    exceeding: set[Path] = set()
    total = names = 0
    for parameter in expand(spec, problems):
        tensor = to_tensor(parameter)
        if parameter.path not in exceeding and (excess := tensor.excess()):
            exceeding.add(parameter.path)
            problems.add(parameter.path, excess)
        total += tensor.nbytes
        if total > MAX_DATA:
            problems.add(
                parameter.path, f"the file would pass 2^63 - 1 bytes with {shorten(tensor.name)}; choose smaller sizes"
            )
            break
        names += len(tensor.name)
        if names > MAX_HEADER:
            problems.add(parameter.path, f"the names alone exceed {MAX_HEADER:,} bytes, the format's limit of a header")
            break
        other = streams.setdefault(tensor.stream, tensor.name)
        if other != tensor.name:
            problems.add(parameter.path, f"{shorten(tensor.name)} has the stream id of {shorten(other)}; rename one")
        tensors.append(tensor)
    problems.raise_any()
    entries = arrange((tensor.name, tensor.dtype, tensor.shape) for tensor in tensors)
    header = encode(entries, metadata(spec))
    if len(header) - 8 > MAX_HEADER:
        size = f"{len(header) - 8:,} bytes; the format allows {MAX_HEADER:,}"
        problems.add((), f"the file's header, which holds every name and the spec, would have {size}")
    problems.raise_any()
    return Plan(spec.name, spec.seed, spec.layout, tuple(tensors), tuple(entries), header)


def metadata(spec: Spec) -> dict[str, str]:
    """The file's __metadata__: all that it takes to build the same file again, and nothing else."""
    return {
        "format": "pt",
        "paramgen_seed": str(spec.seed),
        "paramgen_spec": compact(spec.source),
        "paramgen_stream": STREAM_VERSION,
    }


def to_tensor(parameter: Parameter) -> Tensor:
    """The tensor of a parameter whose initializer fits it."""
    target = parameter.target
    return Tensor(
        parameter.name,
        target.shape,
        DTYPES[parameter.dtype],
        target.fan_in,
        target.fan_out,
        parameter.initializer,
        parameter.initializer.distribution(target),
        stream_id(parameter.name),
    )
