"""Variables of an imported spec: sizes that a model uses several times, named by its configuration or by role."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

from paramgen.catalog.entries import is_variable
from paramgen.importing.structure import INDEX, Block, Parameter, Repeat, join_names

# Smaller sizes, such as those of kernels, equal too many others by chance.
MIN_SIZE = 32
MAX_MULTIPLE = 12

# Roles of sizes: name, pattern of tensors' names, number of dimensions, axis. The first match names a size.
_EMBEDDING = r"(embed_tokens|word_embeddings?|wte|tok(en)?_embed\w*|embed_in|shared|lm_head)\.weight"
ROLES: tuple[tuple[str, str, int, int], ...] = (
    ("vocabulary", _EMBEDDING, 2, 0),
    ("width", _EMBEDDING, 2, 1),
    ("head_size", r"(q_norm|k_norm|norm_q|norm_k|query_norm|key_norm|norm_added_[qk])\.(weight|scale)", 1, 0),
    ("query", r"(q_proj|query)\.weight", 2, 0),
    ("key_value", r"(k_proj|key)\.weight", 2, 0),
    ("experts", r"(gate|router)\.weight", 2, 0),
    (
        "inner",
        r"(gate_proj|up_proj|fc1|c_fc|w1|wi|wi_0|lin1|linear_fc1|intermediate\.dense|dense_h_to_4h|net\.0\.proj)\.weight",
        2,
        0,
    ),
)
_HEADS = {"query": "heads", "key_value": "key_value_heads"}
_ROLE_ORDER = tuple(dict.fromkeys(role for role, *_ in ROLES))
_COUNT_NAME = re.compile(r"layer|block|depth|expert|stage")
_DIMENSION_EXCEPTION = re.compile(r"layer|block|depth|_id$|_ids$")
_PROJECTION = re.compile(r"\b([qkvo])_proj\.(?:weight|bias)$")
_NAME = re.compile(r"[^\W\d]\w*")


class _Place(NamedTuple):
    """A tensor's full name with `*` for indices, its parameter, and the number of tensors that it stands for."""

    path: str
    parameter: Parameter
    number: int


class Variables:
    """The variables of a spec, and the expressions for sizes of its parts.

    A part is a tower of the model, such as a vision encoder. Each has its own sizes.
    """

    def __init__(self, block: Block, sizes: Mapping[str, int]):
        self.values: dict[str, int | str | list[int | float]] = {}
        self._knobs: set[str] = set()
        self._dropped: set[str] = set()
        self._used: Counter[str] = Counter()
        self._lists: dict[tuple[int | float, ...], str] = {}
        self._sizes = {name: size for name, size in sizes.items() if is_variable(name)}
        places = list(_walk(block))
        stacks = list(_find_stacks(block))
        self._parts = _find_parts(path for path, _ in stacks)
        weights = Counter[tuple[str, ...]]()
        for path, parameter, count in places:
            weights[self.part_of(path)] += count * prod(size for size in parameter.shape if isinstance(size, int))
        ordered = [part for part, _ in weights.most_common()]
        self._expressions: dict[tuple[str, ...], dict[int, str]] = {part: {} for part in ordered}
        self._counts: dict[str, str] = {}
        for part in ordered:
            own = [place for place in places if self.part_of(place.path) == part]
            self._name_by_configuration(part, own)
            self._name_by_role(part, own, is_first=part == ordered[0])
            own_stacks = [
                (path, len(indices))
                for path, indices in stacks
                if self.part_of(path) == part and indices == tuple(range(len(indices)))
            ]
            self._name_counts(part, own_stacks, is_first=part == ordered[0])
        self._order = ordered

    def size(self, path: str, size: int, axis: int) -> str | None:
        """Return an expression for a size of a tensor, None if it has no name; `path` has `*` for indices."""
        part = self.part_of(path)
        expression = self._find_expression(part, path, size, axis)
        if expression is None or self._dropped.intersection(_NAME.findall(expression)):
            return None
        self._used.update(_NAME.findall(expression))
        return expression

    def _find_expression(self, part: tuple[str, ...], path: str, size: int, axis: int) -> str | None:
        own = self._expressions.get(part, {})
        if heads := self._find_heads(path, size, axis):
            return heads
        if size in own and (size >= MIN_SIZE or (axis == 0 and "expert" in own[size])):
            is_chance = own[size].endswith("head_size") and "*" not in own[size] and "norm" not in path
            return None if is_chance else own[size]
        if size < MIN_SIZE:
            return None
        if multiple := self._find_multiple(own, size):
            return multiple
        others = (self._expressions[other] for other in self._order)
        return next((expressions[size] for expressions in others if size in expressions), None)

    def _find_heads(self, path: str, size: int, axis: int) -> str | None:
        """Return the product of a projection's heads and their size, which may be equal to another size by chance."""
        match = _PROJECTION.search(path)
        if not match or axis != (1 if match[1] == "o" else 0):
            return None
        heads = "num_key_value_heads" if match[1] in "kv" else "num_attention_heads"
        number, head_size = (self._sizes.get(name, 0) for name in (heads, "head_dim"))
        if number * head_size != size or min(number, head_size) < 2:
            return None
        self.values.setdefault(heads, number)
        self.values.setdefault("head_dim", head_size)
        return f"{heads} * head_dim"

    def _find_multiple(self, own: Mapping[int, str], size: int) -> str | None:
        """Return a product of the first size of a part."""
        if size < 2 * MIN_SIZE:
            return None
        widths = (value for value, name in own.items() if value >= MIN_SIZE and _is_width(name))
        width = next(widths, 0)
        if width and size % width == 0 and 1 < size // width <= MAX_MULTIPLE:
            return f"{size // width} * {own[width]}"
        return None

    def count(self, path: str, count: int) -> str | None:
        """Return the variable for the repetitions of a group, None if it has none."""
        name = self._counts.get(path)
        if name is None or self.values[name] != count or name in self._dropped:
            return None
        self._used[name] += 1
        return name

    def list_of(self, numbers: Sequence[int | float], hint: str) -> tuple[int, str]:
        """Return a factor and the variable of a list, whose products are these numbers; `hint` names a new one."""
        factor, key = 1, tuple(numbers)
        if key not in self._lists:
            factor, key = self._find_factor(key)
        if key not in self._lists:
            self._lists[key] = name = self._unused_name(hint if is_variable(hint) else f"list_{hint}")
            self.values[name] = list(numbers)
        name = self._lists[key]
        self._used[name] += 2
        return factor, name

    def _find_factor(self, numbers: tuple[int | float, ...]) -> tuple[int, tuple[int | float, ...]]:
        """Return an integer and the list of which all these sizes are that multiple; 1 and the numbers without one."""
        if all(isinstance(number, int) for number in numbers):
            for factor in range(2, MAX_MULTIPLE + 1):
                quotients = tuple(number // factor for number in numbers)
                if quotients in self._lists and all(number % factor == 0 for number in numbers):
                    return factor, quotients
        return 1, numbers

    def count_uses(self, sizes: Iterable[tuple[str, int]]) -> None:
        """Count uses outside of shapes, for variables of these names and values."""
        self._used.update(name for name, size in sizes if self.values.get(name) == size)

    def drop_unused(self) -> None:
        """Drop the variables that were used at most once, and count again."""
        for value in self.values.values():
            self._used.update(_NAME.findall(value) if isinstance(value, str) else ())
        self._dropped = {name for name in self.values if self._used[name] < (1 if name in self._knobs else 2)}
        self._used.clear()

    def used(self) -> dict[str, int | str | list[int | float]]:
        """Return the variables that were used since the last reset, with those in their values."""
        names = {name for name in self.values if self._used[name]}
        for name in list(names):
            value = self.values[name]
            names.update(_NAME.findall(value) if isinstance(value, str) else ())
        return {name: value for name, value in self.values.items() if name in names}

    def part_of(self, path: str) -> tuple[str, ...]:
        """Return the part of the model that a tensor belongs to."""
        segments = tuple(path.split("."))
        return next((part for part in self._parts if segments[: len(part)] == part), ())

    def _name_by_configuration(self, part: tuple[str, ...], places: Sequence[_Place]) -> None:
        found = {size for _, parameter, _ in places for size in parameter.shape if isinstance(size, int)}
        expressions = self._expressions[part]
        heads = [name for name in self._sizes if "head" in name]
        for name, size in self._sizes.items():
            if size in found and size not in expressions and not _DIMENSION_EXCEPTION.search(name):
                expressions[size] = name
                self.values.setdefault(name, size)
        for number, first in enumerate(heads):
            for second in heads[number + 1 :]:
                size = self._sizes[first] * self._sizes[second]
                if size in found and size not in expressions and 1 not in (self._sizes[first], self._sizes[second]):
                    expressions[size] = f"{first} * {second}"
                    self.values.setdefault(first, self._sizes[first])
                    self.values.setdefault(second, self._sizes[second])

    def _name_by_role(self, part: tuple[str, ...], places: Sequence[_Place], *, is_first: bool) -> None:
        expressions = self._expressions[part]
        roles = _find_roles(places)
        head_size = roles.pop("head_size", 0)
        for role, size in roles.items():
            if size in expressions:
                continue
            multiple = self._find_multiple(expressions, size) if role != "vocabulary" else None
            has_heads = role in _HEADS and head_size and size % head_size == 0 and size > head_size
            if multiple and role == "inner":
                expressions[size] = self._declare(role, f"${{{multiple}}}", part, is_first)
            elif multiple:
                continue
            elif has_heads:
                heads = self._declare(_HEADS[role], size // head_size, part, is_first)
                expressions[size] = f"{heads} * {self._declare('head_size', head_size, part, is_first)}"
            else:
                name = f"{role}_width" if role in _HEADS else role
                expressions[size] = self._declare(name, size, part, is_first)
        if head_size >= MIN_SIZE and head_size not in expressions:
            expressions[head_size] = self._declare("head_size", head_size, part, is_first)

    def _name_counts(self, part: tuple[str, ...], stacks: Sequence[tuple[str, int]], *, is_first: bool) -> None:
        outer = [path for path, _ in stacks if "*" not in path]
        for path, count in stacks:
            words = set(re.findall(r"[a-z]+", path.lower()))
            named = [name for name, size in self._sizes.items() if size == count and _COUNT_NAME.search(name)]
            is_experts = path.endswith("experts")
            named = [name for name in named if ("expert" in name) == is_experts]
            if named:
                best = max(named, key=lambda name: len(words.intersection(re.findall(r"[a-z]+", name))))
                self.values.setdefault(best, count)
                self._counts[path] = best
                self._knobs.add(best)
            elif is_experts:
                self._counts[path] = name = self._declare("experts", count, part, is_first)
                self._knobs.add(name)
                self._expressions[part].setdefault(count, name)
            elif path in outer and count > 2:
                role = "layers" if len(outer) == 1 else _as_variable(path.rpartition(".")[2])
                self._counts[path] = name = self._declare(role, count, part, is_first)
                self._knobs.add(name)

    def _declare(self, role: str, value: int | str, part: tuple[str, ...], is_first: bool) -> str:
        """Return the variable of a role in a part; parts with equal values share it."""
        if self.values.get(role) == value:
            return role
        word = re.sub(r"_(tower|model|encoder)$", "", part[-1]) if part else ""
        name = role if is_first or role not in self.values or not word else _as_variable(f"{word}_{role}")
        if self.values.get(name) != value:
            name = self._unused_name(name)
            self.values[name] = value
        if role == "vocabulary":
            self._knobs.add(name)
        return name

    def _unused_name(self, name: str) -> str:
        candidate, number = name, 2
        while candidate in self.values or candidate in self._sizes:
            candidate, number = f"{name}_{number}", number + 1
        return candidate


def _is_width(expression: str) -> bool:
    return bool(_NAME.fullmatch(expression)) and bool(
        re.search(r"(^|_)(width|hidden_size|d_model|n_embd|embed_dim|hidden_dim|dim)$", expression)
    )


def _as_variable(text: str) -> str:
    """Return a text as the name of a variable."""
    name = re.sub(r"\W", "_", text)
    return name if is_variable(name) else f"n_{name}"


def _find_roles(places: Sequence[_Place]) -> dict[str, int]:
    """Return sizes by role, in the order of ROLES. Without an embedding, the width is the most frequent size."""
    roles: dict[str, int] = {}
    for role, pattern, rank, axis in ROLES:
        compiled = re.compile(rf"(?:.*\.)?{pattern}")
        for path, parameter, _ in places:
            size = parameter.shape[axis] if len(parameter.shape) == rank else None
            if isinstance(size, int) and compiled.fullmatch(path):
                roles.setdefault(role, size)
    sizes = Counter(size for _, parameter, _ in places for size in parameter.shape if isinstance(size, int))
    frequent = [(size, count) for size, count in sizes.most_common() if size >= MIN_SIZE and count > 2]
    if "width" not in roles and frequent:
        roles["width"] = frequent[0][0]
    return {role: roles[role] for role in _ROLE_ORDER if role in roles}


def _walk(block: Block, prefix: str = "", count: int = 1) -> Iterator[_Place]:
    """Yield every parameter of a block."""
    for element in block:
        path = join_names(prefix, element.name)
        if isinstance(element, Parameter):
            yield _Place(path, element, count)
        else:
            yield from _walk(element.block, indexed_path(path), count * len(element.indices))


def _find_stacks(block: Block, prefix: str = "") -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the path and the indices of each repetition."""
    for element in block:
        if isinstance(element, Repeat):
            path = join_names(prefix, element.name.replace(INDEX, "*"))
            yield path, element.indices
            yield from _find_stacks(element.block, indexed_path(join_names(prefix, element.name)))


def indexed_path(path: str) -> str:
    """Return the path of a repetition's contents, with `*` for its index."""
    return path.replace(INDEX, "*") if INDEX in path else join_names(path, "*")


def _find_parts(paths: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the prefixes of names that are parts of the model with layers of their own, longest first."""
    parents = {tuple(path.split("."))[:-1] for path in paths if not re.search(r"\*|(^|\.)[0-9]", path)}
    return sorted(_split_parents(parents, ()), key=len, reverse=True)


def _split_parents(parents: set[tuple[str, ...]], base: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if len(parents) < 2:
        if base:
            yield base
        return
    common = 0
    first = min(parents, key=len)
    while common < len(first) and all(parent[common] == first[common] for parent in parents):
        common += 1
    groups: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for parent in parents:
        groups.setdefault(parent[common : common + 1], set()).add(parent[common + 1 :])
    for segment, inner in groups.items():
        prefix = (*base, *first[:common], *segment)
        if segment:
            yield from _split_parents(inner, prefix)
        elif prefix:
            yield prefix
