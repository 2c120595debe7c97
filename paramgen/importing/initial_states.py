"""Abstract values of the tensors on a tape: unset, a constant, or independent draws of a distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from paramgen.importing.recognition import constant, plain
from paramgen.importing.tape import Entry, Ref, ReplayError, Tape, trunc_normal_

WIDE = 8.0
"""Limits of a truncated normal in standard deviations, from which on they cut off less than 1e-15."""


@dataclass(frozen=True, slots=True)
class State:
    """A distribution of independent elements, in numbers.

    constant: `a`. normal: mean `a`, std `b`. truncated_normal: also the limits `low` and `high`, in standard
    deviations. uniform: from `a` to `b`. unset: what memory holds. unknown: anything else.
    """

    kind: str
    a: float = 0.0
    b: float = 0.0
    low: float = -math.inf
    high: float = math.inf

    def scale(self, factor: float) -> State:
        """Return the state of the elements times a factor."""
        if self.kind == "uniform":
            a, b = sorted((self.a * factor, self.b * factor))
            return replace(self, a=a, b=b)
        low, high = (self.low, self.high) if factor >= 0 else (-self.high, -self.low)
        return replace(self, a=self.a * factor, b=self.b * abs(factor), low=low, high=high)

    def shift(self, number: float) -> State:
        """Return the state of the elements plus a number."""
        return replace(self, a=self.a + number, b=self.b + number if self.kind == "uniform" else self.b)

    def initializer(self) -> dict[str, Any] | None:
        """Return the initializer as a mapping of a spec, None if there is none."""
        if self.kind not in ("constant", "normal", "truncated_normal", "uniform") or not math.isfinite(self.a):
            return None
        if self.kind == "uniform":
            return _uniform(self.a, self.b)
        if self.b == 0:
            return constant(self.a)
        numbers = {**({"mean": plain(self.a)} if self.a else {}), "std": plain(self.b)}
        if self.kind == "normal" or min(-self.low, self.high) >= WIDE:
            return {"type": "gaussian", **numbers}
        limits = {"low": (self.low, -2), "high": (self.high, 2)}
        numbers.update({name: plain(value) for name, (value, usual) in limits.items() if value != usual})
        return {"type": "truncated_normal", **numbers}


def _uniform(low: float, high: float) -> dict[str, Any]:
    if low == high:
        return constant(low)
    ends = {"bound": plain(high)} if low == -high else {"low": plain(low), "high": plain(high)}
    return {"type": "uniform", **ends}


UNSET, UNKNOWN = State("unset"), State("unknown")


@dataclass(slots=True)
class Contents:
    """The state of a storage, and those of parts that were changed after that."""

    state: State = UNSET
    parts: dict[Ref, State] = field(default_factory=dict)
    origin: str = ""


class Evaluator:
    """Evaluates the contents of storages on a tape."""

    def __init__(self, tape: Tape):
        self.tape = tape

    def contents(self, storage: int, until: int | None = None) -> Contents:
        """Return the contents of a storage, after all operations or those before an index."""
        found = Contents(UNSET if storage in self.tape.writers else UNKNOWN)
        for index in self.tape.history(storage, until):
            entry = self.tape.entries[index]
            made = next((ref for ref in entry.made if ref and ref.storage == storage), None)
            if made:
                found.origin = entry.origin
                found.state = self._made(entry, index)
                continue
            target = next(ref for ref in entry.writes if ref.storage == storage)
            if target.numel * target.dtype.itemsize != self.tape.nbytes[storage]:
                before = found.parts.get(target, UNKNOWN if found.parts else found.state)
                found.parts[target] = self._changed(entry, index, target, before)
                continue
            found.origin = entry.origin
            if entry.overwrites(storage, self.tape.nbytes[storage]):
                found.state, found.parts = self._changed(entry, index, target, found.state), {}
            else:
                found.state = self._changed(entry, index, target, found.state)
                found.parts = {part: self._changed(entry, index, target, state) for part, state in found.parts.items()}
        return found

    def state(self, ref: Ref, until: int | None = None) -> State:
        """Return the state of a tensor; unknown if its parts differ."""
        contents = self.contents(ref.storage, until)
        states = {*contents.parts.values(), contents.state}
        if len(states) == 1:
            return states.pop()
        if sum(part.numel for part in contents.parts) * ref.dtype.itemsize == self.tape.nbytes[ref.storage]:
            covering = set(contents.parts.values())
            return covering.pop() if len(covering) == 1 else UNKNOWN
        return UNKNOWN

    def is_random(self, storage: int) -> bool:
        """Return True if the contents of a storage depend on random numbers."""
        return any(self.tape.entries[index].is_random for index in self.tape.slice(storage))

    def number(self, value: Any, until: int) -> float | None:
        """Return an argument that is a number or a tensor with one, None if it is not known."""
        if not isinstance(value, Ref):
            return float(value) if isinstance(value, int | float) else None
        if value.numel != 1 or any(
            self.tape.entries[index].is_random for index in self.tape.slice(value.storage, until)
        ):
            return None
        try:
            return float(self.tape.replay(value, until=until)[0])
        except (ReplayError, RuntimeError):
            return None

    def _changed(self, entry: Entry, index: int, target: Ref, before: State) -> State:
        """Return the state of a tensor after an operation in place."""
        name = entry.name
        if entry.func is trunc_normal_:
            mean, std, a, b = map(float, entry.args[1:])
            low, high = ((limit - mean) / std if std else 0.0 for limit in (a, b))
            return State("truncated_normal", mean, std, low, high)
        if name in ("normal_", "uniform_"):
            first, second = ("mean", "std") if name == "normal_" else ("from", "to")
            return State(name[:-1], float(entry.argument(first)), float(entry.argument(second)))
        if name == "zero_":
            return State("constant", 0.0)
        if name == "fill_":
            value = self.number(entry.argument("value"), index)
            return UNKNOWN if value is None else State("constant", value)
        if name == "copy_":
            return self._copied(entry.argument("src"), index, target)
        return self._computed(entry, index, name.removesuffix("_"), before)

    def _copied(self, source: Ref, index: int, target: Ref) -> State:
        state = self.state(source, index)
        is_expanded = source.numel < target.numel or 0 in source.stride
        return UNKNOWN if is_expanded and state.kind != "constant" else state

    def _made(self, entry: Entry, index: int) -> State:
        """Return the state of the tensor that an operation makes."""
        name = entry.name.removesuffix("_like").removeprefix("new_").removesuffix("_strided").removesuffix("_permuted")
        state = _MADE.get(name, UNKNOWN)
        first = entry.args[0] if entry.args else None
        if name == "full":
            value = self.number(entry.argument("fill_value"), index)
            state = UNKNOWN if value is None else State("constant", value)
        elif name in ("normal", "normal_functional"):
            mean, std = entry.argument("mean"), entry.argument("std")
            state = UNKNOWN if Ref in (type(mean), type(std)) else State("normal", float(mean), float(std))
        elif name in ("cat", "stack"):
            states = {self.state(ref, index) for ref in entry.args[0]}
            state = states.pop() if len(states) == 1 else UNKNOWN
        elif name in _COPIES:
            state = self.state(entry.args[0], index)
        elif name not in _MADE and isinstance(first, Ref):
            state = self._computed(entry, index, name, self.state(first, index))
        return state

    def _computed(self, entry: Entry, index: int, name: str, before: State) -> State:
        """Return the state of elements after arithmetic with a number."""
        if before.kind in ("unset", "unknown"):
            return UNKNOWN
        if name == "neg":
            return before.scale(-1.0)
        change = _ARITHMETIC.get(name)
        other = self.number(entry.argument("other"), index) if change else None
        if change is None or other is None or entry.argument("rounding_mode") is not None:
            return UNKNOWN
        return change(before, other, float(entry.argument("alpha") or 1))


_MADE = {
    "empty": UNSET,
    "zeros": State("constant", 0.0),
    "ones": State("constant", 1.0),
    "rand": State("uniform", 0.0, 1.0),
    "randn": State("normal", 0.0, 1.0),
}
_COPIES = frozenset({"clone", "_to_copy", "detach", "lift_fresh_copy", "lift_fresh"})
_ARITHMETIC: dict[str, Callable[[State, float, float], State]] = {
    "mul": lambda state, other, alpha: state.scale(other),
    "div": lambda state, other, alpha: state.scale(1 / other) if other else UNKNOWN,
    "add": lambda state, other, alpha: state.shift(other * alpha),
    "sub": lambda state, other, alpha: state.shift(-other * alpha),
    "rsub": lambda state, other, alpha: state.scale(-alpha).shift(other),
}
