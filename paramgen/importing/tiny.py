"""A small variant of a configuration: few layers and experts, small widths, with divisibility kept."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

Tree = dict[str, Any]
Edits = dict[tuple[str, ...], Any]

LAYERS = re.compile(
    r"^(n|num)_?(\w+_)?(layers?|blocks)$|^(\w+_)?(layers|depth|n_layer|num_blocks)$|^num_hidden_layers$"
)
NOT_LAYERS = re.compile(
    r"feature_layer|skip|adapter|fpn|conv_layers|feat_extract|per_layer|dense_layers|norm|from|every"
)
DEPTHS = re.compile(r"^(\w+_)?depths$|^(num_)?(encoder_|decoder_)?(blocks|layers)_per_stage$")
HEADS = re.compile(r"heads?(_list|_dim_num)?$|^n_kv$|^num_key_value_groups$")
HEAD_SIZES = re.compile(
    r"(^|_)(head_dim|head_size|d_kv|d_head|dim_head|kv_channels|rotary_dim)$|^(qk|v)_(\w+_)?head_dim$"
)
WIDTHS = re.compile(
    r"hidden_sizes?$|_size_per_layer_input$|intermediate_size|embed(ding)?_(dim|size)s?$|^d_model$|^n_embd$|^n_inner$"
    r"|^d_ff$|ffn_dim$|ffn_hidden|^dim$|^ffn_dim|projection_(dim|size)$|_width$|^width$|^d_inner$|_rank$|(^|_)hidden_dims?$"
    r"|^emb_dim$|^mlp_dim$|intermediate_dim$|^conv_dim$|^lru_width$|^embed_dims?$|^channels$|(^|_)d_ssm$|^base_dim$|^hidden_channels$"
    r"|feed_?forward_(size|dim|proj)?$|_hidden_dim$|out_hidden_size$|dim_feedforward$|^inner_dim$|^proj_codevector_dim$"
)
NOT_WIDTHS = re.compile(r"vocab|patch|image|window|chunk|kernel|dt_rank|time_step")
INNER = re.compile("intermediate|ffn|d_ff|inner|rank$")
VOCABULARIES = re.compile(r"vocab_size$|(^|_)vocab$|vocabulary_size$")
POSITIONS = re.compile(
    r"position_embeddings$|^n_positions$|^n_ctx$|max_(source|target)_positions$|^max_seq(uence)?_len(gth)?$"
)
EXPANSIONS = re.compile(r"(^|_)expand$")
EXPERTS = re.compile(r"^(num|n)_(\w+_)?experts$|^moe_num_experts$")
TOKENS = re.compile(r"token_ids?$|token_index$|_id$|^(pad|bos|eos|sep|cls|mask)_index$")
VOCABULARY, LENGTH, EXPERT_COUNT, HEAD_SIZE, SMALL_WIDTH, MOST_LAYERS = 128, 64, 4, 8, 16, 4


def shrink(tree: Tree, constructs: Callable[[Edits], bool]) -> Edits:
    """Return the changes that make a configuration small.

    `tree` has the fields, with a mapping for each nested configuration. Each kind of change is kept if the model
    still constructs. Widths are divided by the largest power of two with which it does.
    """
    edits: Edits = {}

    def make(candidates: Iterable[Edits]) -> bool:
        """Make the first change with which the model constructs; return True if there is one."""
        for candidate in candidates:
            if candidate and constructs({**edits, **candidate}):
                edits.update(candidate)
                return True
        return False

    make([_with_parts(tree, _fewer_layers), _with_parts(tree, _only_layer_numbers)])
    make([_with_parts(tree, _fewer_experts)])
    parts = list(_parts(edit(tree, edits)))
    if not make(_scale(parts, 2**power) for power in range(7, 3, -1)):
        # Nested configurations seldom share widths that must be equal.
        made = [make(_scale([part], 2**power) for power in range(7, 0, -1)) for part in parts]
        if not any(made):
            make(_scale(parts, 2**power) for power in range(3, 0, -1))
    make([_vocabulary(tree)])
    make([_with_parts(tree, _fewer_positions)])
    return edits


def edit(content: Tree, edits: Edits) -> Tree:
    """Return the contents of a config.json with changes."""
    content = deepcopy(content)
    for path, value in edits.items():
        part = content
        for step in path[:-1]:
            if not isinstance(part.get(step), dict):
                part[step] = {}
            part = part[step]
        part[path[-1]] = value
    return content


def _parts(tree: Tree, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Tree]]:
    """Yield a configuration and its nested ones, with their paths."""
    yield path, tree
    for name, value in tree.items():
        if isinstance(value, dict) and value.get("model_type"):
            yield from _parts(value, (*path, name))


def _with_parts(tree: Tree, change: Callable[[Tree], Mapping[str, Any]]) -> Edits:
    return {(*path, name): value for path, part in _parts(tree) for name, value in change(part).items()}


def _is_size(value: Any) -> bool:
    return type(value) is int and value > 1


def _is_sizes(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(type(item) is int and item > 0 for item in value)


def _only_layer_numbers(part: Tree) -> dict[str, Any]:
    return {
        name: 2
        for name, value in part.items()
        if _is_size(value) and value > 2 and LAYERS.search(name) and not NOT_LAYERS.search(name)
    }


def _fewer_layers(part: Tree) -> dict[str, Any]:
    """Return two layers or, if lists describe each layer, the first one of each kind."""
    numbers = _only_layer_numbers(part)
    changes: dict[str, Any] = {}
    for count in {part[name] for name in numbers}:
        lists = {
            name: value
            for name, value in part.items()
            if isinstance(value, list | tuple)
            and len(value) == count
            and not DEPTHS.search(name)
            and count > MOST_LAYERS
        }
        kinds = [str([values[index] for values in lists.values()]) for index in range(count)]
        chosen = sorted({kinds.index(kind) for kind in kinds})[:MOST_LAYERS]
        if len(chosen) < 2:
            chosen = [0, 1]
        changes.update({name: [values[index] for index in chosen] for name, values in lists.items()})
        changes.update({name: len(chosen) if lists else 2 for name in numbers if part[name] == count})
    for name, value in part.items():
        if DEPTHS.search(name) and _is_sizes(value) and max(value) > 1:
            changes[name] = [min(item, 2 if index == 0 else 1) for index, item in enumerate(value)]
    if _is_size(part.get("first_k_dense_replace")):
        changes["first_k_dense_replace"] = 1
    return changes


def _fewer_experts(part: Tree) -> dict[str, Any]:
    groups = part.get("n_group") or 1
    used = max(
        (value for name, value in part.items() if re.search(r"experts_per_tok|top_k|topk", name) and _is_size(value)),
        default=1,
    )
    changes: dict[str, Any] = {}
    for name, value in part.items():
        if EXPERTS.search(name) and _is_size(value) and "shared" not in name and "_per_" not in name:
            needed = max(EXPERT_COUNT, 2 * groups if groups > 1 else 1)
            least = -(-needed // groups) * groups
            if least < value:
                changes[name] = least
                if used > least:
                    changes.update(
                        {key: 2 for key, number in part.items() if "experts_per_tok" in key and _is_size(number)}
                    )
    return changes


def _heads(part: Tree) -> dict[str, Any]:
    return {
        name: value
        for name, value in part.items()
        if HEADS.search(name) and not HEAD_SIZES.search(name) and (_is_size(value) or _is_sizes(value))
    }


def _widths(part: Tree) -> dict[str, Any]:
    """Return the sizes of vectors by field, except heads. Fields that equal one of them are such sizes, too."""
    possible = {
        name: value
        for name, value in part.items()
        if not any(
            kind.search(name)
            for kind in (NOT_WIDTHS, VOCABULARIES, POSITIONS, HEAD_SIZES, HEADS, LAYERS, EXPERTS, TOKENS)
        )
        and (_is_size(value) or _is_sizes(value))
    }
    named = {name: value for name, value in possible.items() if WIDTHS.search(name)}
    numbers = {number for value in named.values() for number in _as_list(value) if number >= LENGTH}
    return {name: value for name, value in possible.items() if name in named or numbers.issuperset(_as_list(value))}


def _scale(parts: Iterable[tuple[tuple[str, ...], Tree]], factor: int) -> Edits:
    """Return all widths divided by a factor, and as few heads as divide them; nothing if that is impossible."""
    edits: Edits = {}
    for path, part in parts:
        widths, heads = _widths(part), _heads(part)
        exact = [value for name, value in widths.items() if not INNER.search(name)]
        numbers = [number for value in exact for number in _as_list(value) if number > SMALL_WIDTH]
        if any(number % factor or number // factor < SMALL_WIDTH for number in numbers):
            return {}
        counts = [number for value in heads.values() for number in _as_list(value) if number > 1]
        common = math.gcd(*counts) if counts else 1
        fewer = common // 2 if common % 2 == 0 else common
        changes = {
            name: max(value // factor, SMALL_WIDTH)
            if INNER.search(name) and type(value) is int
            else _divide(value, factor, SMALL_WIDTH)
            for name, value in widths.items()
        }
        changes.update({name: _divide(value, fewer, 1) for name, value in heads.items()})
        for name, value in part.items():
            if HEAD_SIZES.search(name) and _is_size(value):
                changes[name] = _head_size(value, part, changes)
        if not _is_divisible(part, {**part, **changes}):
            return {}
        edits.update({(*path, name): value for name, value in changes.items()})
    return edits


def _head_size(size: int, part: Tree, changes: Mapping[str, Any]) -> int:
    """Return a smaller size of heads: the width (or its multiple inside) by their number if it was that, or a part."""
    multiples = [1, *(value for name, value in part.items() if EXPANSIONS.search(name) and type(value) is int)]
    for width in changes:
        for heads in _heads(part):
            both = (part[width], part[heads], changes[width], changes[heads])
            if not all(type(number) is int for number in both) or width in _heads(part):
                continue
            for multiple in multiples:
                if size * both[1] == both[0] * multiple:
                    return max(int(both[2] * multiple // both[3]), 1)
    while size % 2 == 0 and size > HEAD_SIZE:
        size //= 2
    return size


def _is_divisible(before: Tree, after: Tree) -> bool:
    """Return True if heads divide the widths that they divided before, into at least `HEAD_SIZE` / 2 channels."""
    for name, count in _heads(before).items():
        for other, width in _widths(before).items():
            if type(count) is not type(width) or name == other or INNER.search(other):
                continue
            numbers = zip(*(map(_as_list, (width, count, after[other], after[name]))), strict=False)
            for old_width, old_count, new_width, new_count in numbers:
                was_divisible = old_width % old_count == 0 and old_width // old_count >= HEAD_SIZE
                if was_divisible and (new_width % new_count or new_width // new_count % 2):
                    return False
    return True


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _divide(value: Any, factor: int, least: int) -> Any:
    """Return a number, or each number of a list, divided by a factor; those that would be less than `least` stay."""
    if isinstance(value, list | tuple):
        return [_divide(item, factor, least) for item in value]
    return value // factor if value % factor == 0 and value // factor >= least else value


def _vocabulary(tree: Tree) -> Edits:
    """Return small vocabularies, with the numbers of special tokens inside."""
    edits: Edits = {}
    for path, part in _parts(tree):
        for name, value in part.items():
            if VOCABULARIES.search(name) and _is_size(value) and value > VOCABULARY:
                edits[(*path, name)] = VOCABULARY
    if not edits:
        return {}
    moved: dict[int, int] = {}
    for path, part in _parts(tree):
        for name, value in part.items():
            if TOKENS.search(name):
                numbers = [item for item in _as_list(value) if type(item) is int and item >= VOCABULARY]
                for number in numbers:
                    moved.setdefault(number, VOCABULARY - 1 - len(moved) % (VOCABULARY // 2))
                if numbers:
                    is_list = isinstance(value, list | tuple)
                    edits[(*path, name)] = [moved.get(item, item) for item in value] if is_list else moved[value]
    return edits


def _fewer_positions(part: Tree) -> dict[str, Any]:
    return {
        name: LENGTH for name, value in part.items() if POSITIONS.search(name) and _is_size(value) and value > LENGTH
    }
