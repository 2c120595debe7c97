"""What Python users call: the commands' work on specs, and arrays where no file is wanted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from paramgen import engine
from paramgen.engine import BuildResult
from paramgen.errors import FileError, UsageError
from paramgen.plan import make_plan, to_tensor
from paramgen.spec.document import Problems, from_mapping
from paramgen.spec.expand import Parameter
from paramgen.spec.initializers import Target
from paramgen.spec.model import Head, Spec, interpret, read_document, validated
from paramgen.spec.operations import CustomParameter
from paramgen.storage.reader import TensorFile
from paramgen.text import escape

if TYPE_CHECKING:
    from numpy.typing import NDArray

Nested = dict[str, Any]
SpecSource = Spec | str | os.PathLike[str] | Mapping[str, Any]


def load_spec(
    source: str | os.PathLike[str] | Mapping[str, Any], *, seed: int | None = None, dtype: str | None = None
) -> Spec:
    """Read and check a spec: the path of a YAML file, or a mapping of the same form.

    `seed` and `dtype` take the place of the spec's own, as on the command line. Raises SpecError with every mistake
    and its place, FileError for a file that cannot be read.
    """
    found = read_document(source if isinstance(source, Mapping) else _path(source))
    spec = interpret(*found, seed=seed, dtype=dtype)
    make_plan(spec)
    return spec


def build(
    spec: SpecSource,
    path: str | os.PathLike[str] = "params.safetensors",
    *,
    threads: int | None = None,
    force: bool = False,
    digest: bool = False,
) -> BuildResult:
    """Draw a spec's parameters and write them to a safetensors file, as `paramgen build` does.

    The file appears under its name only when it is whole; "-" is standard output. One that paramgen did not write is
    replaced only with `force` (else UsageError); FileError says what the system refused. With `digest` the result
    holds the file's SHA-256. `threads` draw; by default one for each CPU that the process may use.
    """
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise UsageError(f"build: threads={threads!r} is not a positive integer")
    return engine.build(make_plan(_spec(spec)), _path(path), threads=threads, force=force, digest=digest)


def sample(spec: SpecSource) -> Nested:
    """A spec's parameters as nested dicts of NumPy arrays, nothing written: sample(spec)["conv"]["weights"].

    Narrow dtypes that NumPy lacks are ml_dtypes'.
    """
    plan = make_plan(_spec(spec))
    return nest({tensor.name: engine.draw_array(tensor, plan.seed) for tensor in plan.tensors})


def initialize(
    initializer: str | Mapping[str, Any],
    shape: Sequence[int],
    *,
    fan_in: int | None = None,
    fan_out: int | None = None,
    seed: int = 0,
    name: str = "parameter",
    dtype: str = "float32",
    **fields: Any,
) -> NDArray[Any]:
    """One array of the given shape, equal to the tensor of that name, seed and size in a file.

    `initializer` is a name, with its fields as further arguments (initialize("uniform", [100, 100], bound=0.1)), or a
    mapping as in a spec. fan_in and fan_out are needed by glorot (both) and he (fan_in). Two calls with the same seed
    and name draw from the same stream. `unit_forget_gate` takes a shape of [4H] or [4H, 1]. Raises SpecError or
    UsageError for what is not valid.
    """
    chosen: Any = {"type": initializer} if isinstance(initializer, str) else initializer
    if fields:
        twice = fields.keys() & chosen.keys() if isinstance(chosen, Mapping) else fields.keys()
        if twice:
            raise UsageError(f"initialize: {', '.join(sorted(twice))}: no field to give beside {chosen!r}")
        chosen = {**chosen, **fields}
    given = {"fan_in": fan_in, "fan_out": fan_out}
    document = from_mapping(
        {
            "seed": seed,
            "name": name,
            "shape": list(shape) if isinstance(shape, Iterable) else shape,
            "initializer": chosen,
            "dtype": dtype,
            **{key: value for key, value in given.items() if value is not None},
        },
        "initialize",
    )
    problems = Problems(document)
    data = dict(document.data)
    head = validated(Head, {key: data.pop(key) for key in ("seed", "name")}, problems)
    parameter = validated(CustomParameter, data, problems)
    problems.raise_any()
    assert head is not None and parameter is not None
    size = parameter.shape
    is_gates = size[1:] in ((), (1,)) and size[:1] and size[0] % 4 == 0
    target = Target(size, parameter.fan_in, parameter.fan_out, num_hidden_units=size[0] // 4 if is_gates else None)
    if misfit := parameter.initializer.misfit(target):
        raise UsageError(f"initialize: {parameter.initializer.kind} {misfit}")
    tensor = to_tensor(Parameter(head.name, target, parameter.initializer, document.data["dtype"], ()))
    if excess := tensor.excess():
        raise UsageError(f"initialize: {excess}")
    return engine.draw_array(tensor, head.seed)


def load(path: str | os.PathLike[str], *, device: str = "cpu") -> Nested:
    """A safetensors file as nested dicts of NumPy arrays, its names split at dots.

    Dtypes that NumPy lacks (bfloat16, 8-bit floats) are ml_dtypes'. `device` is "cpu". Raises FileError for what is
    no safetensors file, or whose names do not nest.
    """
    if device != "cpu":
        raise UsageError(f"load: device {device!r} is not supported; this version loads to 'cpu'")
    with TensorFile(_path(path)) as file:
        for entry in file.entries:
            if entry.dtype.array is None:
                raise FileError(f"{file.shown}: {escape(entry.name)}: NumPy has no type for {entry.dtype.name}")
        try:
            arrays = {entry.name: file.read(entry, 0, entry.size).reshape(entry.shape) for entry in file.entries}
            return nest(arrays)
        except ValueError as error:
            raise FileError(f"{file.shown}: {error}") from None


def nest(tensors: Mapping[str, Any]) -> Nested:
    """Tensors by dotted name as nested dicts; ValueError where one's name is another's followed by a dot."""
    root: Nested = {}
    for name, tensor in sorted(tensors.items()):
        *groups, last = name.split(".")
        node = root
        for depth, group in enumerate(groups, 1):
            node = node.setdefault(group, {})
            if not isinstance(node, dict):
                raise ValueError(f"tensor {escape('.'.join(groups[:depth]))} is in the way of {escape(name)}")
        if last in node:
            raise ValueError(f"tensor {escape(name)} is in the way of others")
        node[last] = tensor
    return root


def _path(path: str | os.PathLike[str]) -> str:
    text = os.fsdecode(path)
    if "\0" in text:
        raise FileError(f"{escape(text)}: no file has such a name")
    return text


def _spec(spec: SpecSource) -> Spec:
    return spec if isinstance(spec, Spec) else load_spec(spec)
