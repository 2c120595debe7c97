"""A PyTorch module that is built under a recorder → its tensors with their initial distributions."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from paramgen.dtypes import DTYPES
from paramgen.errors import UsageError
from paramgen.importing.initial_states import UNSET, Contents, Evaluator, State
from paramgen.importing.model import ImportedTensor
from paramgen.importing.recognition import Tolerance, constant, recognize, shortest
from paramgen.importing.tape import Ref, ReplayError, Tape, recording
from paramgen.importing.weight_norm import find_direction

Array = NDArray[Any]

SAMPLES = 2**17
"""Values from which the mean and standard deviation of a distribution without a name are measured."""
MAX_REPLAYS = 64
MAX_COMPUTED = 2**24
"""Elements of a tensor whose values are computed, at most."""
APPROXIMATE = Tolerance(0.005)


@dataclass(frozen=True, slots=True)
class Finding:
    """The initial values of a tensor; `problem` says why they are unknown or approximate."""

    initializer: Mapping[str, Any] | None = None
    origin: str | None = None
    padding_index: int | None = None
    norm_of: str | None = None
    is_unset: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedModule:
    """A module built under a recorder: the module, its tensors, those never initialized, and problems by tensor."""

    module: Any
    tensors: tuple[ImportedTensor, ...]
    uninitialized: tuple[str, ...]
    problems: Mapping[str, str]

    def notes(self) -> tuple[str, ...]:
        """Return a line for each kind of problem, with the tensors that have it."""
        names: dict[str, list[str]] = {}
        for name, problem in self.problems.items():
            names.setdefault(problem, []).append(name)
        return tuple(
            f"{problem}: {found[0]}{f' and {len(found) - 1:,} more' if len(found) > 1 else ''}"
            for problem, found in names.items()
        )


def record_module(
    build: Callable[[], Any], ignored: Callable[[Any], Iterable[str]] = lambda module: ()
) -> RecordedModule:
    """Build a module on the meta device, and return its tensors with their initial distributions.

    `build` returns the module; `ignored` the names of its state dict that are not imported. Raises what `build` raises.
    """
    with initializing_on_meta(), recording() as tape:
        module = build()
    if not isinstance(module, torch.nn.Module):
        raise UsageError(f"must return a torch.nn.Module, got {type(module).__name__}")
    reader = _Reader(tape)
    skipped = frozenset(ignored(module))
    state = {
        name: value
        for name, value in module.state_dict(keep_vars=True).items()
        if isinstance(value, torch.Tensor) and name not in skipped
    }
    refs = {name: tape.ref(value) for name, value in state.items()}
    owners: dict[Ref, str] = {}
    tensors, unset, problems = [], [], {}
    for name, ref in refs.items():
        tensor = ImportedTensor(name, dtype_name(name, ref.dtype), ref.size)
        owner = owners.setdefault(ref, name)
        if owner != name:
            tensors.append(replace(tensor, tied_to=owner))
            continue
        finding = reader.find(ref) if ref.numel else Finding({"type": "zeros"})
        if (direction := find_direction(name)) and direction in refs:
            finding = reader.find_norm(ref, refs[direction], direction, finding)
        if finding.is_unset:
            unset.append(name)
        if finding.problem:
            problems[name] = finding.problem
        tensors.append(
            replace(
                tensor,
                initializer=shorten_numbers(finding.initializer, ref.dtype),
                origin=finding.origin,
                padding_index=finding.padding_index,
                norm_of=finding.norm_of,
            )
        )
    return RecordedModule(module, tuple(tensors), tuple(unset), problems)


@contextmanager
def initializing_on_meta() -> Iterator[None]:
    """Make transformers initialize models in the order that it has on the CPU; it skips this on the meta device.

    The order matters: an embedding and a tied head are initialized before they are tied.
    """
    if "transformers" not in sys.modules:
        yield
        return
    from transformers import modeling_utils

    name = "get_torch_context_manager_or_global_device"
    with patch.object(modeling_utils, name, lambda: torch.device("cpu")):
        yield


def shorten_numbers(tree: Any, dtype: torch.dtype) -> Any:
    """Return an initializer whose numbers have the fewest digits that float32 does not distinguish."""
    if isinstance(tree, dict):
        return {key: shorten_numbers(value, dtype) for key, value in tree.items()}
    if isinstance(tree, list):
        return [shorten_numbers(value, dtype) for value in tree]
    if not isinstance(tree, float) or dtype == torch.float64:
        return tree
    digits = (f"{tree:.{count}g}" for count in range(1, 17))
    return next((float(text) for text in digits if np.float32(text) == np.float32(tree)), tree)


def dtype_name(name: str, dtype: torch.dtype) -> str:
    """Return the name of a dtype in specs."""
    found = str(dtype).removeprefix("torch.")
    if found not in DTYPES:
        raise UsageError(f"{name}: must have a dtype of safetensors, got {found}")
    return found


class _Reader:
    """Finds the initial values of tensors on a tape. Tensors that equal operations computed share their finding."""

    def __init__(self, tape: Tape):
        self.tape = tape
        self.evaluator = Evaluator(tape)
        self._known: dict[tuple[Any, ...], Finding] = {}

    def find(self, ref: Ref) -> Finding:
        """Return what the operations say about a tensor's values."""
        contents = self.evaluator.contents(ref.storage)
        nbytes = ref.numel * ref.dtype.itemsize
        if nbytes == self.tape.nbytes[ref.storage]:
            if finding := self._from_states(ref, contents):
                return replace(finding, origin=contents.origin or None)
            covered = sum(part.numel for part in contents.parts) * ref.dtype.itemsize
            if contents.state == UNSET and covered < nbytes and ref.storage in self.tape.writers:
                return Finding(None, contents.origin or None, is_unset=True)
        if ref.storage not in self.tape.writers and not self.tape.is_given(ref.storage):
            return Finding(problem="made before the function was called")
        signature = self.tape.signature(ref)
        if signature not in self._known:
            self._known[signature] = self._compute(ref)
        return replace(self._known[signature], origin=contents.origin or None)

    def find_norm(self, ref: Ref, direction: Ref, name: str, finding: Finding) -> Finding:
        """Add the name of the direction to a finding if the tensor has its norms."""
        try:
            (norms, vectors) = self.tape.replay(ref, direction)
        except (ReplayError, RuntimeError):
            return finding
        axes = [axis for axis, size in enumerate(norms.shape) if size == 1]
        expected = (
            torch.linalg.vector_norm(vectors.float(), dim=axes, keepdim=True) if norms.ndim else vectors.float().norm()
        )
        if expected.shape != norms.shape or not torch.allclose(expected, norms.float(), rtol=1e-3):
            return finding
        return replace(finding, norm_of=name, problem=None)

    def _from_states(self, ref: Ref, contents: Contents) -> Finding | None:
        state, parts = contents.state, contents.parts
        if not parts:
            return Finding(initializer) if (initializer := state.initializer()) else None
        if (shared := self.evaluator.state(ref)) and (initializer := shared.initializer()):
            return Finding(initializer)
        initializer = state.initializer()
        if len(parts) == 1 and initializer and state.kind != "constant":
            ((part, value),) = parts.items()
            if value == State("constant", 0.0) and len(ref.size) == 2 and part.numel == ref.size[1]:
                row, rest = divmod(part.offset - ref.offset, ref.stride[0])
                if rest == 0 and part.stride[-1] == ref.stride[1]:
                    return Finding(initializer, padding_index=row)
        return None

    def _compute(self, ref: Ref) -> Finding:
        """Compute a tensor's values, and recognize them or the distribution that they are from."""
        if ref.numel > MAX_COMPUTED:
            return Finding(problem=f"{ref.numel:,} computed values are too many to evaluate")
        try:
            if self.evaluator.is_random(ref.storage) and (finding := self._random(ref)):
                return finding
            (values,) = self.tape.replay(ref)
        except ReplayError as error:
            return Finding(problem=str(error))
        except RuntimeError as error:
            return Finding(problem=f"cannot be computed on the CPU: {str(error).splitlines()[0]}")
        bits = DTYPES[str(ref.dtype).removeprefix("torch.")].significant_bits
        if initializer := recognize(to_numpy(values), Tolerance.of_bits(bits)):
            return Finding(initializer)
        is_finite = bool(torch.isfinite(values).all())
        unknown = f"{ref.numel:,} computed values have no formula that is known"
        return Finding(problem=unknown if is_finite else "values that are not finite, which a spec cannot have")

    def _random(self, ref: Ref) -> Finding | None:
        """Return the distribution of a tensor, None if it has none: something overwrote all random numbers."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            if torch.equal(self.tape.replay(ref)[0], self.tape.replay(ref)[0]):
                return None
            if found := self._orthogonal(ref) or self._of_uniform(ref):
                return Finding(found)
            count = min(MAX_REPLAYS, -(-SAMPLES // ref.numel))
            samples = np.concatenate([to_numpy(self.tape.replay(ref)[0]).ravel() for _ in range(count)])
        measured = "mean and standard deviation" if samples.dtype.kind in "fc" else "bounds or mean"
        return Finding(fit(samples), problem=f"a distribution without a name; measured {measured}")

    def _orthogonal(self, ref: Ref) -> dict[str, Any] | None:
        names = {self.tape.entries[index].name for index in self.tape.slice(ref.storage)}
        if "linalg_qr" not in names or len(ref.size) < 2:
            return None
        (values,) = self.tape.replay(ref)
        matrix = values.reshape(ref.size[0], -1).double()
        gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
        gain = math.sqrt(float(gram[0, 0]))
        if not gain or not torch.allclose(gram / gain**2, torch.eye(len(gram), dtype=gram.dtype), atol=1e-2):
            return None
        gain_number = shortest(gain, Tolerance(1e-4))
        return {"type": "orthogonal", **({"gain": gain_number} if gain_number != 1 else {})}

    def _of_uniform(self, ref: Ref) -> dict[str, Any] | None:
        """Return the initializer of exp of a uniform variable, or of Mamba's bias of time steps."""
        steps: list[Ref] = []
        floor = 0.0
        bounds: tuple[float, float] | None = None
        for index in self.tape.slice(ref.storage):
            entry = self.tape.entries[index]
            made = entry.made[0] if entry.made else None
            if entry.name == "exp" and made and bounds is None:
                source = self.evaluator.state(entry.args[0], index)
                if source.kind == "uniform":
                    bounds, steps = (math.exp(source.a), math.exp(source.b)), [made]
            elif entry.name in ("clamp", "clamp_min") and made and bounds and entry.args[0] in steps:
                floor = float(entry.argument("min") or 0)
                steps = [made]
        if bounds is None:
            return None
        low, high = (float(shortest(number, Tolerance(2e-6))) for number in bounds)
        steps_values, values = (tensor.double() for tensor in self.tape.replay(steps[0], ref))
        if steps_values.shape != values.shape:
            return None
        if torch.allclose(torch.log(torch.expm1(steps_values)), values, rtol=1e-3, atol=1e-3):
            numbers = {"min": (low, 0.001), "max": (high, 0.1), "floor": (floor or low / 10, 1e-4)}
            return {"type": "ssm_dt_bias", **{key: value for key, (value, usual) in numbers.items() if value != usual}}
        if floor <= low and torch.allclose(steps_values, values, rtol=1e-5):
            return {"type": "log_uniform", "low": low, "high": high}
        return None


def fit(samples: Array) -> dict[str, Any] | None:
    """Return a uniform or normal initializer with the mean and standard deviation of samples, in three digits.

    Integers get their bounds, booleans their mean.
    """
    if samples.dtype.kind in "biu" and samples.size:
        return _fit_integers(samples)
    if samples.dtype.kind == "c":
        samples = np.stack([samples.real, samples.imag])
    finite = samples[np.isfinite(samples)].astype(np.float64)
    if not finite.size:
        return None
    mean, std = float(finite.mean()), float(finite.std())
    if abs(mean) < 4 * std / math.sqrt(finite.size):
        mean = 0.0
    if std == 0:
        return recognize(finite, Tolerance())
    if finite.size > 1000 and abs(float(((finite - mean) ** 4).mean()) / std**4 - 1.8) < 0.02:
        low, high = (shortest(float(end), APPROXIMATE) for end in (finite.min(), finite.max()))
        return {"type": "uniform", "bound": high} if low == -high else {"type": "uniform", "low": low, "high": high}
    mean_number, std_number = (shortest(number, APPROXIMATE) for number in (mean, std))
    return {"type": "gaussian", **({"mean": mean_number} if mean else {}), "std": std_number}


def _fit_integers(samples: Array) -> dict[str, Any]:
    low, high = int(samples.min()), int(samples.max())
    if low == high:
        return constant(float(low))
    if samples.dtype.kind == "b":
        return {"type": "bernoulli", "p": shortest(float(samples.mean()), APPROXIMATE)}
    return {"type": "integers", "low": low, "high": high}


def describe_values(tensor: Any) -> dict[str, Any] | None:
    """Return an initializer for the values of a tensor: the computed ones that it has, else a fit."""
    bits = DTYPES[str(tensor.dtype).removeprefix("torch.")].significant_bits
    array = to_numpy(tensor)
    found = recognize(array, Tolerance.of_bits(bits)) if array.size <= MAX_COMPUTED else None
    return found if found and found["type"] != "values" else fit(array)


def to_numpy(tensor: Any) -> Array:
    """Return a tensor's values; dtypes that NumPy lacks become float32."""
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float64, torch.float32, torch.float16):
        tensor = tensor.float()
    return np.asarray(tensor.numpy())
