"""The spec of an imported model, checked against the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

from paramgen import limits
from paramgen.catalog.fields import RESERVED_NAME, is_name
from paramgen.dtypes import DTYPES
from paramgen.errors import FileError, SpecError
from paramgen.importing.folding import fold, list_flat
from paramgen.importing.initial_values import GUESS, GUESSED, guess_initializer
from paramgen.importing.model import ImportedModel, ImportedTensor
from paramgen.importing.spec_text import SpecText
from paramgen.importing.structure import Block
from paramgen.importing.weight_norm import find_direction, join_norms
from paramgen.language.parsed_spec import Replacements, interpret
from paramgen.language.yaml_reader import from_yaml
from paramgen.messages import must_be, show_text
from paramgen.planning.plan import Plan, make_plan
from paramgen.units import human_count, pluralize


def write_spec(model: ImportedModel) -> str:
    """Return the YAML of a spec with a model's tensors, folded; it has been planned and compared with the model.

    Tensors without an initializer get one that their names suggest. Raises FileError if a spec cannot describe a
    tensor.
    """
    if not model.tensors:
        raise FileError(f"{model.source}: has no tensors to import")
    for tensor in model.tensors:
        if reason := why_unsupported(tensor):
            raise FileError(f"{model.source}: {show_text(tensor.name, 200)}: {reason}")
    known = replace(model, tensors=tuple(_complete(model)))
    comments = _write_comments(model)
    failure = None
    for block in _find_forms(tuple(join_norms(known.tensors))):
        text = SpecText(comments, model.name, block, model.sizes, model.files).render()
        try:
            if matches(text, known):
                return text
        except SpecError as error:
            failure = error
    raise failure or AssertionError(f"{model.source}: no form of the spec matches the model")


def why_unsupported(tensor: ImportedTensor) -> str | None:
    """Return why a spec cannot have a tensor, or None."""
    if tensor.dtype not in DTYPES:
        return f"a spec has no dtype {tensor.dtype}; leave this tensor out"
    if not is_name(tensor.name) or tensor.name == RESERVED_NAME:
        return "a spec's names have letters, digits, _, - and dots; rename the tensor"
    if tensor.tied_to and "." not in tensor.name:
        return "a tied tensor needs a group in its name; import it untied"
    if len(tensor.shape) > limits.MAX_DIMENSIONS or not all(0 <= size < 2**63 for size in tensor.shape):
        return f"its shape {must_be(f'at most {limits.MAX_DIMENSIONS} integers of at least 0', list(tensor.shape))}"
    return None


def _complete(model: ImportedModel) -> Iterator[ImportedTensor]:
    """Yield the tensors, each with an initializer, and ties that lead to the canonical name of a tensor of the file."""
    embeddings = {tensor.name for tensor in model.tensors if tensor.padding_index is not None and can_pad(tensor)}
    ties = {tensor.name: tensor.tied_to for tensor in model.tensors if tensor.tied_to}
    names = {tensor.name for tensor in model.tensors}
    origin = GUESSED if any(tensor.initializer for tensor in model.tensors) else None
    for tensor in model.tensors:
        target = tensor.tied_to
        while target in ties:
            target = ties[target]
        known = tensor if tensor.initializer else _guess(tensor, names, None if target else origin)
        if target in embeddings:
            target = f"{target}s"  # the operation calls it weights
        padding_index = tensor.padding_index if tensor.name in embeddings else None
        yield replace(known, tied_to=target, padding_index=padding_index)


def _guess(tensor: ImportedTensor, names: Set[str], origin: str | None) -> ImportedTensor:
    """Return a tensor with the initializer that its name suggests."""
    initializer = guess_initializer(tensor.name, tensor.dtype, tensor.shape)
    direction = find_direction(tensor.name)
    return replace(tensor, initializer=initializer, origin=origin, norm_of=direction if direction in names else None)


def can_pad(tensor: ImportedTensor) -> bool:
    """Return True if the operation `embedding` has such a tensor."""
    return tensor.name.endswith(".weight") and len(tensor.shape) == 2


def _write_comments(model: ImportedModel) -> list[str]:
    elements = sum(_count_elements(tensor) for tensor in model.tensors if not tensor.tied_to)
    tensors = pluralize(len(model.tensors), "tensor")
    comments = [f"Imported from {model.source}: {tensors}, {human_count(elements)} parameters."]
    own = [tensor for tensor in model.tensors if not tensor.tied_to]
    unknown = sum(tensor.initializer is None for tensor in own)
    if unknown == len(own):
        comments.append(GUESS)
    elif unknown:
        comments.append(f"{GUESS.removesuffix('.')} ({pluralize(unknown, 'tensor')}).")
    lost = [tensor for tensor in own if tensor.padding_index is not None and not can_pad(tensor)]
    comments += [f"{tensor.name}: row {tensor.padding_index} is zero in the source, but not here." for tensor in lost]
    return [*comments, *model.notes]


def _count_elements(tensor: ImportedTensor) -> int:
    count = 1
    for size in tensor.shape:
        count *= size
    return count


def _find_forms(tensors: Sequence[ImportedTensor]) -> Iterator[Block]:
    """Yield the forms to try, the shortest first."""
    yield fold(tensors)
    yield fold(tensors, merges=False)
    yield list_flat(tensors)


def matches(text: str, model: ImportedModel) -> bool:
    """Return True if the plan of a spec has a model's tensors: names, shapes, dtypes, order and ties."""
    plan = _plan(text, model)
    planned = [
        (tensor.name, tensor.dtype.name, tensor.shape, tensor.sources[0].resolved.padding_index)
        for tensor in plan.tensors
    ]
    own = [
        (tensor.name, tensor.dtype, tuple(tensor.shape), tensor.padding_index)
        for tensor in model.tensors
        if not tensor.tied_to
    ]
    if planned != own:
        return False
    ties = {tensor.name: tensor.tied_to for tensor in model.tensors if tensor.tied_to}
    if not ties:
        return True
    copies = _plan(f"{text}ties: copy\n", model).tensors
    return {tensor.name: tensor.sources[0].name for tensor in copies if tensor.is_copy} == ties


def _plan(text: str, model: ImportedModel) -> Plan:
    return make_plan(interpret(from_yaml(text.encode(), model.source), Replacements()))
