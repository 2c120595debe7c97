"""A tape of the operations on tensors while a module is built, and their replay on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, cast

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

MAX_REPLAYED = 2**26
"""Elements of a storage that a replay allocates, at most."""
_META = torch.device("meta")
_IN_PLACE_RANDOM = ("normal_", "uniform_", "random_", "exponential_", "log_normal_", "cauchy_", "geometric_")
_OVERWRITES = frozenset({"zero_", "fill_", "copy_", *_IN_PLACE_RANDOM})
# These return at once on the meta device, but run there if is_meta says no.
_SKIPPED_ON_META = frozenset({"dirac_", "orthogonal_", "sparse_"})
_PLUMBING = (
    "torch.nn.init",
    "torch.nn.functional",
    "torch.nn.parameter",
    "torch.overrides",
    "torch.utils",
    "torch._",
    "contextlib",
    "paramgen.importing.tape",
    "transformers.initialization",
)


class ReplayError(Exception):
    """A value that cannot be computed: too large, or of a tensor that is not on the tape."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor on the tape: a view of a storage."""

    storage: int
    dtype: torch.dtype
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int

    @property
    def numel(self) -> int:
        return prod(self.size)


@dataclass(slots=True)
class Entry:
    """An operation: its arguments, with a Ref for each tensor, the tensors that it changes, and those that it makes."""

    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    reads: tuple[Ref, ...]
    writes: tuple[Ref, ...]
    made: tuple[Ref | None, ...]
    origin: str

    @property
    def name(self) -> str:
        """The operation's name without its overload."""
        schema = getattr(self.func, "_schema", None)
        return schema.name.partition("::")[2] if schema else self.func.__name__

    @property
    def is_random(self) -> bool:
        return self.func is trunc_normal_ or torch.Tag.nondeterministic_seeded in self.func.tags  # type: ignore[attr-defined]

    def argument(self, name: str) -> Any:
        """Return an argument by its name in the operation's schema."""
        if self.func is trunc_normal_:
            return self.args[("tensor", "mean", "std", "a", "b").index(name)]
        for index, argument in enumerate(self.func._schema.arguments):  # type: ignore[attr-defined]
            if argument.name == name:
                has_position = not argument.kwarg_only and index < len(self.args)
                return self.args[index] if has_position else self.kwargs.get(name, argument.default_value)
        return None

    def overwrites(self, storage: int, nbytes: int) -> bool:
        """Return True if the whole storage has new contents that do not depend on the old ones."""
        if any(ref and ref.storage == storage for ref in self.made):
            return True
        if not (self.name in _OVERWRITES or self.func is trunc_normal_ or "out" in self.kwargs):
            return False
        covers = any(ref.storage == storage and ref.numel * ref.dtype.itemsize == nbytes for ref in self.writes)
        return covers and storage not in {ref.storage for ref in self.reads if ref not in self.writes}


_original_trunc_normal = torch.nn.init._no_grad_trunc_normal_


def trunc_normal_(tensor: Any, mean: float, std: float, a: float, b: float) -> Any:
    """Fill a tensor on the CPU as `torch.nn.init.trunc_normal_` does."""
    return _original_trunc_normal(tensor, mean, std, a, b)


class Tape:
    """The operations in order, and for each storage the indices of those that make or change it."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.writers: dict[int, list[int]] = {}
        self.nbytes: dict[int, int] = {}
        self._storages: list[Any] = []  # kept, so that no address is used twice
        self._numbers: dict[int, int] = {}
        self._given: dict[int, Any] = {}  # contents of storages on the CPU that no operation made

    def ref(self, tensor: Any) -> Ref:
        """Return a tensor's place on the tape."""
        storage = tensor.untyped_storage()
        number = self._numbers.get(storage._cdata)
        if number is None:
            number = self._numbers[storage._cdata] = len(self._storages)
            self._storages.append(storage)
        self.nbytes[number] = storage.nbytes()
        return Ref(number, tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.storage_offset())

    def record(
        self, func: Callable[..., Any], args: Any, kwargs: Any, written: tuple[Any, ...], result: Callable[[], Any]
    ) -> Any:
        """Record a call whose result a function computes."""
        reads: list[Ref] = []

        def note(tensor: Any) -> Ref:
            ref = self.ref(tensor)
            reads.append(ref)
            if ref.storage not in self.writers and ref.storage not in self._given and not tensor.is_meta:
                self._given[ref.storage] = tensor.untyped_storage().clone()
            return ref

        held = (map_tensors(note, args), map_tensors(note, kwargs))
        writes = tuple(map(self.ref, written))
        out = result()
        inputs = {ref.storage for ref in reads}
        made = tuple(
            ref if ref and ref.storage not in inputs and ref.storage not in self.writers else None
            for ref in (self.ref(item) if isinstance(item, torch.Tensor) else None for item in as_sequence(out))
        )
        if writes or any(made):
            for storage in {ref.storage for ref in (*writes, *made) if ref}:
                self.writers.setdefault(storage, []).append(len(self.entries))
            self.entries.append(Entry(func, *held, tuple(reads), writes, made, _origin()))
        return out

    def history(self, storage: int, until: int | None = None) -> list[int]:
        """Return the indices of the operations that gave a storage its contents, from the last overwriting one on."""
        indices = [index for index in self.writers.get(storage, ()) if until is None or index < until]
        for position in reversed(range(len(indices))):
            if self.entries[indices[position]].overwrites(storage, self.nbytes[storage]):
                return indices[position:]
        return indices

    def slice(self, storage: int, until: int | None = None) -> list[int]:
        """Return the indices of all operations that a storage's contents depend on, in order."""
        found: set[int] = set()
        pending = [(storage, until)]
        while pending:
            for index in self.history(*pending.pop()):
                if index not in found:
                    found.add(index)
                    entry = self.entries[index]
                    pending += {
                        (ref.storage, index)
                        for ref in entry.reads
                        if not entry.overwrites(ref.storage, self.nbytes[ref.storage])
                    }
        return sorted(found)

    def is_given(self, storage: int) -> bool:
        """Return True if a storage on the CPU was made outside the tape, so that its contents are known."""
        return storage in self._given

    def signature(self, ref: Ref) -> tuple[Any, ...]:
        """Return a key that is equal for tensors that equal operations computed."""
        numbers: dict[int, int] = {}

        def label(found: Ref) -> tuple[Any, ...]:
            number = numbers.setdefault(found.storage, len(numbers))
            given = self._given.get(found.storage)
            contents = None if given is None else bytes(given.tolist())
            return (number, contents, found.dtype, found.size, found.stride, found.offset)

        steps = [(entry.name, repr(map_refs(label, (entry.args, entry.kwargs)))) for entry in self._entries_of(ref)]
        return (label(ref), *steps)

    def _entries_of(self, ref: Ref) -> Iterator[Entry]:
        return (self.entries[index] for index in self.slice(ref.storage))

    def replay(self, *wanted: Ref, until: int | None = None) -> list[Any]:
        """Compute tensors on the CPU. Raises ReplayError if that is impossible."""
        storages: dict[int, Any] = {}

        def view(ref: Ref) -> Any:
            if ref.storage not in storages:
                if self.nbytes[ref.storage] > MAX_REPLAYED * ref.dtype.itemsize:
                    raise ReplayError("too large to compute")
                given = self._given.get(ref.storage)
                if given is None and ref.storage not in self.writers:
                    raise ReplayError("a tensor that was made before")
                storages[ref.storage] = (
                    torch.UntypedStorage(self.nbytes[ref.storage]) if given is None else given.clone()
                )
            return torch.empty(0, dtype=ref.dtype).set_(storages[ref.storage], ref.offset, ref.size, ref.stride)

        with torch._C.DisableTorchFunction(), torch.no_grad():
            for index in sorted({index for ref in wanted for index in self.slice(ref.storage, until)}):
                entry = self.entries[index]
                if any(ref and ref.numel > MAX_REPLAYED for ref in entry.made):
                    raise ReplayError("too large to compute")
                out = entry.func(*_on_cpu(map_refs(view, entry.args)), **_on_cpu(map_refs(view, entry.kwargs)))
                for ref, tensor in zip(entry.made, as_sequence(out), strict=True):
                    if ref is not None:
                        same = tensor.stride() == ref.stride and tensor.storage_offset() == ref.offset
                        fresh = torch.empty_strided(ref.size, ref.stride, dtype=ref.dtype) if not same else tensor
                        storages[ref.storage] = (fresh if same else fresh.copy_(tensor)).untyped_storage()
            return [view(ref).clone() for ref in wanted]


def map_tensors(function: Callable[[Any], Any], tree: Any) -> Any:
    return _map(function, tree, torch.Tensor)


def map_refs(function: Callable[[Ref], Any], tree: Any) -> Any:
    return _map(function, tree, Ref)


def _map(function: Callable[[Any], Any], tree: Any, leaf: type) -> Any:
    if isinstance(tree, leaf):
        return function(tree)
    if isinstance(tree, dict):
        return {key: _map(function, value, leaf) for key, value in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(_map(function, value, leaf) for value in tree)
    return tree


def as_sequence(out: Any) -> tuple[Any, ...]:
    return tuple(out) if isinstance(out, tuple | list) else (out,)


def _on_cpu(tree: Any) -> Any:
    return _map(lambda device: torch.device("cpu"), tree, torch.device)


def _origin() -> str:
    """Return the function that called the operation, and the function of torch.nn.init that it used."""
    frame, used = sys._getframe(1), ""
    while frame.f_back:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(_PLUMBING):
            return f"{frame.f_code.co_qualname}{used}"
        if module == "torch.nn.init" and not frame.f_code.co_name.startswith("_"):
            used = f", {frame.f_code.co_name}"
        frame = frame.f_back
    return ""


@lru_cache(4096)
def _written_arguments(func: Any) -> tuple[tuple[int, str], ...]:
    return tuple(
        (index, argument.name)
        for index, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    )


class _Operations(TorchDispatchMode):  # type: ignore[misc]
    """Records each operation of tensors. If the meta device cannot run one, its inputs are computed."""

    def __init__(self, tape: Tape):
        super().__init__()
        self.tape = tape

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        written = [args[index] if index < len(args) else kwargs.get(name) for index, name in _written_arguments(func)]
        tensors = tuple(item for value in written for item in as_sequence(value) if isinstance(item, torch.Tensor))
        with torch._C.DisableTorchFunction():
            return self.tape.record(func, args, kwargs, tensors, lambda: self._run(func, args, kwargs))

    def _run(self, func: Any, args: Any, kwargs: Any) -> Any:
        try:
            return func(*args, **kwargs)
        except (NotImplementedError, RuntimeError):
            found: list[Any] = []
            map_tensors(found.append, (args, kwargs))
            if not any(tensor.is_meta for tensor in found):
                raise
            try:
                compute = lambda tensor: self.tape.replay(self.tape.ref(tensor))[0] if tensor.is_meta else tensor  # noqa: E731
                out = func(*map_tensors(compute, args), **map_tensors(compute, kwargs))
            except ReplayError:
                out = None
            if out is None:
                raise
            if kwargs.get("device") is not None:  # a copy to the CPU
                return out
            return map_tensors(lambda tensor: tensor.to(_META), out)


class _Functions(TorchFunctionMode):  # type: ignore[misc]
    """Makes numbers visible that PyTorch does not dispatch: tensors of given values are made on the CPU and copied."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and not isinstance((*args, *kwargs.values())[0], torch.Tensor):
            if torch.device(kwargs.get("device") or _META) == _META:
                return self._copy(func, args, kwargs)
        elif func is torch.Tensor.new_tensor and args[0].is_meta and not kwargs.get("device"):
            return self._copy(torch.tensor, args[1:], {"dtype": args[0].dtype, **kwargs})
        elif getattr(func, "__self__", None) is torch.Tensor.is_meta:
            caller = sys._getframe(1)
            if caller.f_globals.get("__name__") == "torch.nn.init" and caller.f_code.co_name in _SKIPPED_ON_META:
                return False
        return func(*args, **kwargs)

    @staticmethod
    def _copy(func: Any, args: Any, kwargs: Any) -> Any:
        needs_grad = kwargs.get("requires_grad", False)
        value = func(*args, **{**kwargs, "device": "cpu", **({"requires_grad": False} if needs_grad else {})})
        return value.to(_META).requires_grad_(needs_grad)


@contextmanager
def recording(on_meta: bool = True) -> Iterator[Tape]:
    """Record all operations of the block. Tensors that it makes are on the meta device, unless it chooses another."""
    tape = Tape()

    def record_trunc_normal(tensor: Any, mean: float, std: float, a: float, b: float, generator: Any = None) -> Any:
        with torch._C.DisableTorchFunction():
            run = lambda: tensor if tensor.is_meta else _original_trunc_normal(tensor, mean, std, a, b, generator)  # noqa: E731
            return tape.record(trunc_normal_, (tensor, mean, std, a, b), {}, (tensor,), run)

    init = cast(Any, torch.nn.init)
    with ExitStack() as stack:
        if on_meta:
            stack.enter_context(_META)
        stack.enter_context(_Functions())
        stack.enter_context(_Operations(tape))
        init._no_grad_trunc_normal_ = record_trunc_normal
        stack.callback(setattr, init, "_no_grad_trunc_normal_", _original_trunc_normal)
        yield tape
