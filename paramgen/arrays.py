"""Arrays of files, and their copies on GPUs, on the host and in PyTorch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from paramgen.errors import FileError, UsageError
from paramgen.messages import must_be, must_be_array, shorten, show_path, show_text
from paramgen.nested import Nested, map_arrays, nest
from paramgen.sampling.devices import parse_device
from paramgen.storage.byte_source import use_storage_options
from paramgen.storage.checkpoint import Checkpoint, StoredTensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from paramgen.sampling.cuda.transfer import Transfer


def load(
    path: str | os.PathLike[str], *, device: str = "cpu", storage_options: Mapping[str, Any] | None = None
) -> Nested:
    """Return the tensors of a safetensors file, an index or a folder as nested dicts of arrays, names split at dots.

        params = paramgen.load("params.safetensors")

    On "cpu" the arrays are NumPy's. Dtypes that NumPy lacks (bfloat16, 8-bit floats) are those of `ml_dtypes`. On
    "gpu", the current GPU, or "gpu:N" the arrays are CuPy's. 8-bit floats, which CuPy lacks, are unsigned integers with
    the same bits. `storage_options` are those of a URL, as for `build`.

    Raises FileError if a file is not a valid safetensors file, or contradicts the index. Names that do not nest (`a`
    beside `a.b`) and arrays that do not fit into memory raise it too. DeviceError means that a GPU cannot be used.
    """
    transfer = None if device == "cpu" else _open_transfer(device)
    try:
        with use_storage_options(storage_options), Checkpoint(path) as checkpoint:
            return _load(checkpoint, transfer)
    except MemoryError as error:
        raise FileError(f"{show_path(os.fsdecode(path))}: does not fit into memory{_reason_suffix(error)}") from None


def _load(checkpoint: Checkpoint, transfer: Transfer | None) -> Nested:
    """Load all arrays; errors that the headers show are raised before any data is read."""
    for entry, file in checkpoint.tensors.values():
        if entry.dtype.numpy_name is None:
            raise FileError(f"{file.display_path}: {show_text(entry.name)}: NumPy has no type for {entry.dtype.name}")
    try:
        nest(dict.fromkeys(checkpoint.tensors))
    except ValueError as error:
        raise FileError(f"{checkpoint.display_path}: {error}") from None
    return nest({name: _read(checkpoint, tensor, transfer) for name, tensor in checkpoint.tensors.items()})


def _read(checkpoint: Checkpoint, tensor: StoredTensor, transfer: Transfer | None) -> Any:
    entry = tensor.entry

    def read_part(position: int, buffer: NDArray[np.uint8]) -> None:
        checkpoint.read_into(tensor, position, buffer.data)

    try:
        if transfer is None:
            return checkpoint.read(tensor, 0, entry.size).reshape(entry.shape)
        return transfer.upload_parts(read_part, entry.dtype.numpy_dtype(), entry.shape)
    except (MemoryError, OverflowError, ValueError) as error:
        array = f"{entry.dtype.name} of shape {shorten(str(list(entry.shape)))}"
        place = f"memory{_reason_suffix(error)}" if isinstance(error, MemoryError) else "an array"
        where = f"{tensor.file.display_path}: {show_text(entry.name)}"
        raise FileError(f"{where}: {array} does not fit into {place}") from None


def _reason_suffix(error: Exception) -> str:
    return f": {show_text(str(error), 200)}" if str(error) else ""


def to_gpu(params: Any, *, device: str = "gpu") -> Any:
    """Copy arrays in nested dicts, lists or tuples to a GPU, and return CuPy arrays in the same structure.

        params = paramgen.to_gpu(params)

    `device` is "gpu", the current GPU, or "gpu:N". Copies are in C order. A CuPy array on that GPU is returned as
    it is. 8-bit floats, which CuPy lacks, become unsigned integers with the same bits. Raises DeviceError if a GPU
    cannot be used, and UsageError for a value that is not an array of numbers.
    """
    return map_arrays(params, _open_transfer(device).to_gpu)


def to_cpu(params: Any) -> Any:
    """Copy arrays in nested dicts, lists or tuples to host memory, and return NumPy arrays in the same structure.

        params = paramgen.to_cpu(params)

    Copies are in C order and keep their dtype. A NumPy array is returned as it is, and needs no GPU.
    """
    import numpy as np

    transfer: Transfer | None = None

    def move(array: Any) -> Any:
        nonlocal transfer
        if hasattr(array, "__cuda_array_interface__"):
            transfer = transfer or _open_transfer("gpu")
            return transfer.to_cpu(array)
        if isinstance(array, np.ndarray | np.generic):
            return array
        raise TypeError(must_be_array(array))

    return map_arrays(params, move)


def to_torch(params: Any) -> Any:
    """Convert arrays in nested dicts, lists or tuples to PyTorch tensors in the same structure, whatever their dtype.

        model.load_state_dict(paramgen.to_torch(paramgen.sample(spec, flat=True)))

    Tensors share the memory of contiguous arrays. CuPy arrays become tensors on their GPU. Raises UsageError if PyTorch
    is not installed, and for a value that is not an array of a dtype that PyTorch has.
    """
    try:
        import torch
    except ImportError:
        raise UsageError("to_torch: PyTorch is not installed; run pip install torch") from None
    import numpy as np

    def convert(array: Any) -> Any:
        is_on_gpu = hasattr(array, "__cuda_array_interface__")
        if not is_on_gpu and not isinstance(array, np.ndarray | np.generic):
            raise TypeError(must_be_array(array))
        dtype = getattr(torch, array.dtype.name, None)
        if not isinstance(dtype, torch.dtype):
            raise TypeError(f"must have a dtype of PyTorch, got {array.dtype.name}")
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        data = native.reshape(-1).view("uint8")  # neither NumPy nor DLPack passes on the narrow types
        if is_on_gpu:
            tensor = torch.utils.dlpack.from_dlpack(data)
        else:
            tensor = torch.from_numpy(data if data.flags.writeable else data.copy())
        return tensor.view(dtype).reshape(array.shape)

    return map_arrays(params, convert)


def _open_transfer(device: str) -> Transfer:
    backend, numbers = parse_device(device)
    if backend != "gpu" or len(numbers) > 1:
        raise UsageError(f"device: {must_be('one GPU (gpu or gpu:N)', device)}")
    from paramgen.sampling.cuda.transfer import Transfer

    return Transfer(numbers)
