"""Spec → Plan: every tensor of the file with its distribution's numbers and its bytes. Pure; nothing is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from paramgen.distributions import describe
from paramgen.sampling.streams import STREAM_VERSION
from paramgen.spec.expand import Parameter, expand
from paramgen.spec.model import Spec
from paramgen.storage.header import MAX_HEADER, Entry, arrange, compact, encode
from paramgen.text import shorten

MAX_DATA = 2**63 - 1
# Bytes of the shortest entry of a header, but for its name.
LEAST_ENTRY = len('"":{"dtype":"F32","shape":[],"data_offsets":[0,4]},')


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build writes: its tensors in the spec's order, and the file's header and order."""

    name: str
    seed: int
    layout: str
    tensors: tuple[Parameter, ...]
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
            "parameters": [described(tensor) for tensor in self.tensors],
        }


_made: WeakKeyDictionary[Spec, Plan] = WeakKeyDictionary()


def make_plan(spec: Spec) -> Plan:
    """The plan of a spec, made once; raises SpecError with every problem of the spec and of the plan."""
    if spec not in _made:
        _made[spec] = _plan(spec)
    return _made[spec]


def _plan(spec: Spec) -> Plan:
    problems = spec.problems_found.copy()
    tensors: list[Parameter] = []
    streams: dict[int, str] = {}
    total = header_size = 0
    for instance, parameters in expand(spec, problems):
        for parameter in parameters:
            other = streams.setdefault(parameter.stream, parameter.name)
            if other != parameter.name:
                clash = f"{shorten(parameter.name)} has the stream id of {shorten(other)}; rename one"
                problems.add(instance.path, clash, context=instance.context)
            tensors.append(parameter)
            total += parameter.nbytes
            header_size += len(parameter.name) + LEAST_ENTRY
        if total > MAX_DATA or header_size > MAX_HEADER:
            name = shorten(parameters[-1].name)
            excess = (
                f"the file would pass 2^63 - 1 bytes with {name}; choose smaller sizes"
                if total > MAX_DATA
                else f"the file's header would pass {MAX_HEADER:,} bytes, the format's limit, with {name}"
            )
            problems.add(instance.path, excess, context=instance.context)
            break
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


def described(parameter: Parameter) -> dict[str, Any]:
    """A tensor as the plan's JSON has it."""
    return {
        "name": parameter.name,
        "canonical_name": parameter.name,
        "shape": list(parameter.shape),
        "dtype": parameter.dtype.name,
        "fan_in": parameter.fan_in,
        "fan_out": parameter.fan_out,
        "bytes": parameter.nbytes,
        "initializer": parameter.initializer.described(),
        "distribution": describe(parameter.distribution),
    }
