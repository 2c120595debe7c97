"""What Python users call: the commands' work on specs, and arrays where no file is wanted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from paramgen import engine
from paramgen.arithmetic import default_mode
from paramgen.catalog.initializers import ParameterShape
from paramgen.catalog.operations import CustomParameter
from paramgen.engine import BuildResult
from paramgen.errors import FileError, UsageError
from paramgen.formatting import escape, shorten, show
from paramgen.language.diagnostics import Diagnostics
from paramgen.language.model import Spec, SpecFields, interpret, read_document, validated
from paramgen.language.yaml_reader import from_mapping
from paramgen.nested import Nested, mapped, nest
from paramgen.planning.plan import as_tensor, make_plan
from paramgen.planning.resolve import resolve_parameter
from paramgen.sampling.devices import AUTO, open_backend, parsed
from paramgen.storage.header import Entry
from paramgen.storage.reader import TensorFile
from paramgen.threads import MAX_THREADS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from paramgen.sampling.transfer import Transfer

SpecSource = Spec | str | os.PathLike[str] | Mapping[str, Any]


def load_spec(
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    seed: int | None = None,
    dtype: str | None = None,
    layout: str | None = None,
    variables: Mapping[str, float] | None = None,
) -> Spec:
    """Read and check a spec: the path of a YAML file, or a mapping of the same form.

    `seed`, `dtype` and `layout` take the place of the spec's own, and `variables` that of its variables of the same
    names, as on the command line. Raises SpecError with every mistake and its place, UsageError for a variable that the
    spec does not have, FileError for a file that cannot be read.
    """
    found = read_document(source if isinstance(source, Mapping) else _path(source))
    spec = interpret(*found, variables=variables, seed=seed, dtype=dtype, layout=layout)
    make_plan(spec)
    return spec


def build(
    spec: SpecSource,
    path: str | os.PathLike[str] = "params.safetensors",
    *,
    device: str = "auto",
    threads: int | None = None,
    force: bool = False,
    digest: bool = False,
) -> BuildResult:
    """Draw a spec's parameters and write them to a safetensors file, as `paramgen build` does.

    The file appears under its name only when it is whole; "-" is standard output. One that paramgen did not write is
    replaced only with `force` (else UsageError); FileError says what the system refused. With `digest` the result
    holds the file's SHA-256.

    `device` draws, the same bytes on each: "cpu", "gpu" (all there are), "gpu:0", "gpu:0,gpu:1", or "auto": the first
    GPU where there is one and the CPU would take much longer than starting it. DeviceError says why a GPU cannot be
    used. On the CPU so many `threads` draw; by default one for each that the process may use.
    """
    if device != AUTO:
        parsed(device)
    if threads is not None and not (isinstance(threads, int) and 1 <= threads <= MAX_THREADS):
        raise UsageError(f"build: threads={threads!r} is not an integer from 1 to {MAX_THREADS}")
    return engine.build(make_plan(_spec(spec)), _path(path), device=device, threads=threads, force=force, digest=digest)


def sample(spec: SpecSource, *, device: str = "cpu") -> Nested:
    """A spec's parameters as nested dicts of arrays, nothing written: sample(spec)["conv"]["weights"].

    They are NumPy's, or drawn on "gpu" (the current GPU) or "gpu:N" and CuPy's; of which dtypes, see load.
    """
    plan = make_plan(_spec(spec))
    backend, sampler = open_backend(device), engine.sampler(plan.seed)
    return nest({tensor.name: engine.draw_array(tensor, sampler, backend) for tensor in plan.tensors})


@default_mode()
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
    mapping as in a spec. Those that scale need the fans of their mode: glorot fan_in and fan_out, he fan_in. Two calls
    with the same seed and name draw from the same stream. `unit_forget_gate` takes a shape of [4H] or [4H, 1].
    Raises SpecError or UsageError for what is not valid.
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
    problems = Diagnostics(document)
    data = dict(document.data)
    head = validated(SpecFields, {key: data.pop(key) for key in ("seed", "name")}, problems)
    parameter = validated(CustomParameter, data, problems)
    problems.raise_any()
    assert head is not None and parameter is not None
    size = parameter.shape
    is_gates = size[1:] in ((), (1,)) and size[:1] and size[0] % 4 == 0
    target = ParameterShape(
        size, parameter.fan_in, parameter.fan_out, num_hidden_units=size[0] // 4 if is_gates else None
    )
    if reason := parameter.initializer.why_unsupported(target):
        raise UsageError(f"initialize: {parameter.initializer.type_name} {reason}")
    resolved = resolve_parameter(target, parameter.initializer, document.data["dtype"])
    if problem := resolved.dtype_overflow(head.name):
        raise UsageError(f"initialize: {problem}")
    return engine.draw_array(as_tensor(head.name, resolved), engine.sampler(head.seed), open_backend("cpu"))


def load(path: str | os.PathLike[str], *, device: str = "cpu") -> Nested:
    """A safetensors file as nested dicts of arrays, its names split at dots.

    On "cpu" they are NumPy's; dtypes that NumPy lacks (bfloat16, 8-bit floats) are ml_dtypes'. On "gpu", the current
    GPU, or "gpu:N" they are CuPy's, read through two pinned buffers of a few megabytes; of a dtype that CuPy lacks
    (8-bit floats) they are unsigned integers with the same bits. Raises FileError for a file that is not a safetensors
    file, whose names do not nest, or whose arrays do not fit into memory or NumPy's types and limits; DeviceError for a
    GPU that cannot be used.
    """
    transfer = None if device == "cpu" else _transfer(device)
    try:
        with TensorFile(_path(path)) as file:
            return _load(file, transfer)
    except MemoryError as error:
        raise FileError(f"{escape(_path(path))}: does not fit into memory{_because(error)}") from None


def _load(file: TensorFile, transfer: Transfer | None) -> Nested:
    """Load a file's arrays; what the header alone shows to be impossible is refused before anything large is read."""
    for entry in file.entries:
        if entry.dtype.array is None:
            raise FileError(f"{file.shown}: {escape(shorten(entry.name))}: NumPy has no type for {entry.dtype.name}")
    try:
        nest(dict.fromkeys(entry.name for entry in file.entries))
    except ValueError as error:
        raise FileError(f"{file.shown}: {error}") from None
    return nest({entry.name: _read(file, entry, transfer) for entry in file.entries})


def _read(file: TensorFile, entry: Entry, transfer: Transfer | None) -> Any:
    def read_part(position: int, buffer: NDArray[np.uint8]) -> None:
        file.read_into(entry, position, buffer.data)

    try:
        if transfer is None:
            return file.read(entry, 0, entry.size).reshape(entry.shape)
        return transfer.send(read_part, entry.dtype.numpy(), entry.shape)
    except (MemoryError, OverflowError, ValueError) as error:
        where = f"{file.shown}: {escape(shorten(entry.name))}"
        what = f"{entry.dtype.name} of shape {show(list(entry.shape))} does not fit into an array"
        raise FileError(f"{where}: {what}{_because(error)}") from None


def _because(error: Exception) -> str:
    return f": {escape(shorten(str(error), 200))}" if str(error) else ""


def to_gpu(params: Any, *, device: str = "gpu") -> Any:
    """Arrays, in dicts (lists, tuples) however nested, on a GPU: CuPy arrays in the same nest.

    `device` is "gpu", the current GPU, or "gpu:N". NumPy arrays are copied through two pinned buffers of a few
    megabytes, in C order; CuPy arrays on another GPU are copied, those on this one taken as they are. Elements of a
    dtype that CuPy lacks (8-bit floats) become unsigned integers with the same bits. Raises DeviceError for a GPU that
    cannot be used, UsageError for what is no array of numbers.
    """
    return mapped(params, _transfer(device).to_gpu)


def to_cpu(params: Any) -> Any:
    """Arrays, in dicts (lists, tuples) however nested, in host memory: NumPy arrays in the same nest.

    CuPy arrays are copied, in C order, in their dtype; NumPy arrays are taken as they are, and need no GPU.
    """
    import numpy as np

    transfer: Transfer | None = None

    def moved(array: Any) -> Any:
        nonlocal transfer
        if hasattr(array, "__cuda_array_interface__"):
            transfer = transfer or _transfer("gpu")
            return transfer.to_cpu(array)
        if isinstance(array, np.ndarray | np.generic):
            return array
        raise TypeError("is no array of NumPy's or CuPy's")

    return mapped(params, moved)


def _transfer(device: str) -> Transfer:
    kind, numbers = parsed(device)
    if kind != "gpu" or len(numbers) > 1:
        raise UsageError(f"{device!r} is not one GPU: gpu or gpu:N")
    from paramgen.sampling.transfer import Transfer

    return Transfer(numbers)


def _path(path: str | os.PathLike[str]) -> str:
    text = os.fsdecode(path)
    try:
        is_a_name = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        is_a_name = False
    if not is_a_name:
        raise FileError(f"{escape(text)}: no file has such a name")
    return text


def _spec(spec: SpecSource) -> Spec:
    return spec if isinstance(spec, Spec) else load_spec(spec)
