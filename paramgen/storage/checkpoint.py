"""Weights to read: a file, an index, or a folder, with the tensors of all its files."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from paramgen.errors import FileError, MalformedFileError, check_path, describe_os_error
from paramgen.messages import escape, join_first, show_path, show_text
from paramgen.storage.byte_source import is_url
from paramgen.storage.header import TensorEntry
from paramgen.storage.index import INDEX_SUFFIX, SHARD_NAME, Index, read_index
from paramgen.storage.locations import exists, is_directory, list_names
from paramgen.storage.reader import TensorFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTS_SUFFIX = ".safetensors"
# Files kept open at once: many systems allow a process 256.
MAX_OPEN_FILES = 64


class StoredTensor(NamedTuple):
    """A tensor and the file that holds it."""

    entry: TensorEntry
    file: TensorFile


class Inconsistency(NamedTuple):
    """A file that is malformed or contradicts the index; `file` is its name."""

    file: str
    tensor: str | None
    finding: str


class Checkpoint:
    """The open files of a model's weights; with `index` None a single file.

    `tensors` has every tensor by name, in the order of files and data. `inconsistencies` has what contradicts the
    index, and malformed shards: unless `allow_inconsistencies` is set, the first one is raised.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        allow_inconsistencies: bool = False,
        max_open_files: int = MAX_OPEN_FILES,
    ):
        self.path = check_path(path)
        self.display_path = show_path(self.path)
        weights = find_weights(self.path)
        self.index: Index | None = read_index(weights) if weights.endswith(".json") else None
        self.inconsistencies: list[Inconsistency] = []
        self._stack = ExitStack()
        self._max_open_files = max_open_files
        self._open: OrderedDict[str, TensorFile] = OrderedDict()
        try:
            self.files = tuple(self._open_files(weights))
            self.tensors = self._collect_tensors()
            if self.index:
                self.inconsistencies += find_inconsistencies(self.index, self.files, self.tensors)
            if self.inconsistencies and not allow_inconsistencies:
                file, tensor, finding = self.inconsistencies[0]
                place = f"{file}: {show_text(tensor)}" if tensor is not None else escape(file)
                raise MalformedFileError(f"{self.display_path}: {place}: {finding}")
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """The name of the file or folder without those of the folders around it."""
        return os.path.basename(os.path.abspath(self.path))

    @property
    def folder(self) -> str:
        """The folder of the weight files."""
        return os.path.dirname(self.files[0].path)

    @property
    def paths(self) -> list[str]:
        """The paths of the weight files."""
        return [file.path for file in self.files]

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata that all files share, sorted; shards differ in their numbers."""
        first, *others = (file.metadata for file in self.files)
        return {key: first[key] for key in sorted(first) if all(other.get(key) == first[key] for other in others)}

    def _open_files(self, weights: str) -> Iterator[TensorFile]:
        if not self.index:
            yield self._stack.enter_context(TensorFile(weights))
            return
        folder = os.path.dirname(weights)
        for name in self.index.files:
            path = os.path.join(folder, name)
            if not exists(path):
                self.inconsistencies.append(Inconsistency(name, None, "listed in the index, but absent"))
                continue
            try:
                file = self._stack.enter_context(TensorFile(path))
            except MalformedFileError as error:
                problem = str(error).removeprefix(f"{show_path(path)}: ")
                self.inconsistencies.append(Inconsistency(name, None, problem))
                continue
            if len(self.index.files) > self._max_open_files:
                file.suspend()
            yield file

    def _collect_tensors(self) -> dict[str, StoredTensor]:
        tensors: dict[str, StoredTensor] = {}
        for file in self.files:
            for entry in file.entries:
                if entry.name in tensors:
                    first = os.path.basename(tensors[entry.name].file.path)
                    self.inconsistencies.append(
                        Inconsistency(os.path.basename(file.path), entry.name, f"also in {escape(first)}")
                    )
                else:
                    tensors[entry.name] = StoredTensor(entry, file)
        return tensors

    def read(self, tensor: StoredTensor, start: int, stop: int) -> NDArray[Any]:
        """Return elements start … stop - 1 of a tensor as a one-dimensional array (for dtypes of at least a byte)."""
        self._suspend_others(tensor.file)
        return tensor.file.read(tensor.entry, start, stop)

    def read_into(self, tensor: StoredTensor, position: int, view: memoryview) -> None:
        """Fill a view with a tensor's bytes from a position on."""
        self._suspend_others(tensor.file)
        tensor.file.read_into(tensor.entry, position, view)

    def _suspend_others(self, file: TensorFile) -> None:
        """Suspend the file that was not read for the longest time, if too many would be open with this one."""
        if len(self.files) <= self._max_open_files:
            return
        self._open[file.path] = file
        self._open.move_to_end(file.path)
        if len(self._open) > self._max_open_files:
            self._open.popitem(last=False)[1].suspend()

    def raise_if_changed(self) -> None:
        """Raise FileError if a file changed since it was opened."""
        for file in self.files:
            file.raise_if_changed()

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def find_weights(path: str) -> str:
    """Return the path of the weight file or index that a path means: itself, unless it is a folder.

    In a folder a file without shards is preferred over an index, as transformers does. Raises FileError if it has no
    weights, or several.
    """
    # A URL that ends like a file is not looked up, which saves a request.
    if (is_url(path) and path.endswith((WEIGHTS_SUFFIX, ".json"))) or not is_directory(path):
        return path
    try:
        names = list_names(path)
    except OSError as error:
        raise FileError(f"{show_path(path)}: {describe_os_error(error)}") from None
    found = {name.removesuffix(INDEX_SUFFIX): name for name in names if name.endswith(INDEX_SUFFIX)}
    shards = [name for name in names if SHARD_NAME.fullmatch(name)]
    single = [name for name in names if name.endswith(WEIGHTS_SUFFIX) and name not in shards and name[0] != "."]
    found |= {name.removesuffix(WEIGHTS_SUFFIX): name for name in single}
    if not found:
        problem = "has shards, but no index" if shards else f"has no {WEIGHTS_SUFFIX} file"
        raise FileError(f"{show_path(path)}: {problem}; choose a folder of weights, or a file")
    if len(found) > 1:
        choices = join_first(escape(name) for name in found.values())
        raise FileError(f"{show_path(path)}: has the weights of several models; choose one of {choices}")
    return os.path.join(path, *found.values())


def find_inconsistencies(
    index: Index, files: Sequence[TensorFile], tensors: dict[str, StoredTensor]
) -> Iterator[Inconsistency]:
    """Yield what contradicts an index: tensors that it omits or that are absent or elsewhere, wrong totals."""
    present = {os.path.basename(file.path) for file in files}
    for name, file_name in index.weight_map.items():
        if file_name not in present:
            continue
        tensor = tensors.get(name)
        if tensor is None:
            yield Inconsistency(file_name, name, "listed in the index, but absent")
        elif os.path.basename(tensor.file.path) != file_name:
            other = os.path.basename(tensor.file.path)
            yield Inconsistency(file_name, name, f"listed in the index, but in {escape(other)}")
    for name, tensor in tensors.items():
        if name not in index.weight_map:
            yield Inconsistency(os.path.basename(tensor.file.path), name, "not listed in the index")
    if present != set(index.files):
        return  # the totals would be wrong, too
    total = sum(tensor.entry.nbytes for tensor in tensors.values())
    if index.total_size is not None and index.total_size != total:
        finding = f"total_size must be {total:,}, got {index.total_size:,}"
        yield Inconsistency(os.path.basename(index.path), None, finding)
