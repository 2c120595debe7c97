"""The model of a whole spec, and how a document becomes one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, PrivateAttr, TypeAdapter, ValidationError

from paramgen.errors import FileError
from paramgen.spec.base import MISSING, UNKNOWN, WRONG, Complaint, DTypeName, Expected, Model, explained, unknown_keys
from paramgen.spec.document import MAX_BYTES, Document, Path, Problems, from_mapping, from_yaml, plain
from paramgen.spec.initializers import EXPECTED as INITIALIZER_EXPECTED
from paramgen.spec.initializers import AnyInitializer
from paramgen.spec.operations import BY_TYPE, AnyOperation, Operation, Standard
from paramgen.text import escape, near, show

AnyModel = TypeVar("AnyModel", bound=Model)

OPERATION_EXPECTED = "an operation: a mapping with name and type"


class Head(Model):
    """What a spec says besides its operations."""

    paramgen: Annotated[int, Field(ge=1, le=1), Expected("1, the version of the spec language")] = Field(
        default=1, description="version of the spec language."
    )
    name: Annotated[str, Field(min_length=1), Expected("a text")] = Field(
        default="model", description="name of the model; default: the file's name without its ending."
    )
    seed: Annotated[int, Field(ge=0, lt=2**64), Expected("an integer from 0 to 2^64 - 1")] = Field(
        default=0, description="seed of every parameter, 0 … 2^64 - 1."
    )
    dtype: DTypeName = Field(default="float32", description="element type of the parameters.")
    layout: Annotated[Literal["canonical"], Expected("canonical, the layout that this version writes")] = Field(
        default="canonical", description="names and axis orders of the file."
    )
    conventions: Annotated[Literal["matlab"], Expected("matlab, the conventions that this version knows")] = Field(
        default="matlab", description="whose default initializers and fan rules."
    )
    defaults: Annotated[
        dict[str, dict[str, AnyInitializer]],
        Expected("a mapping of operation types to initializers by parameter", INITIALIZER_EXPECTED),
    ] = Field(default={}, description="initializers by operation type and parameter, for the whole spec.")

    @classmethod
    def field_names(cls) -> Iterable[str]:
        return (*cls.model_fields, "operations")

    @classmethod
    def key_problems(cls, data: dict[str, Any]) -> Iterator[Complaint]:
        defaults = data.get("defaults")
        if not isinstance(defaults, dict):
            return
        standard = {kind: model for kind, model in BY_TYPE.items() if issubclass(model, Standard)}
        yield from unknown_keys(("defaults",), defaults, list(standard), "no operation type with defaults")
        written: dict[type[Standard], str] = {}
        for kind in [kind for kind in defaults if kind in standard]:
            model = standard[kind]
            if model in written:
                yield ("defaults", kind), f"{written[model]} and {kind} are one type; join their defaults", UNKNOWN
            written[model] = kind
            if isinstance(defaults[kind], dict):
                known, what = model.parameter_names, f"no parameter of {kind}"
                yield from unknown_keys(("defaults", kind), defaults[kind], known, what)

    def default_of(self, operation: Operation, parameter: str) -> tuple[AnyInitializer, Path] | None:
        """The initializer that `defaults` give a parameter, and its path."""
        for name in operation.names():
            if parameter in self.defaults.get(name, {}):
                return self.defaults[name][parameter], ("defaults", name, parameter)
        return None


class Spec(Head):
    """A model's parameters, as its author wrote them: made by load_spec from YAML or a mapping."""

    operations: Annotated[
        list[AnyOperation], Field(min_length=1), Expected("a list of operations, at least one", OPERATION_EXPECTED)
    ] = Field(description="the operations, each with a name, a type and its sizes.")

    def __init__(self, **data: Any):
        raise TypeError("a Spec is made by paramgen.load_spec")

    _problems: Problems = PrivateAttr()
    _places: list[Path] = PrivateAttr()

    @property
    def problems_found(self) -> Problems:
        """What is wrong with its text; the plan adds what is wrong with its numbers, and raises all of it."""
        return self._problems

    @property
    def source(self) -> dict[str, Any]:
        """What its author wrote, with the command line's values put in."""
        data: dict[str, Any] = self._problems.document.data
        return data

    def placed_operations(self) -> Iterator[tuple[Path, Operation]]:
        """Its operations, each with its path in the document."""
        return zip(self._places, self.operations, strict=True)


@cache
def _adapter() -> TypeAdapter[Operation]:
    return TypeAdapter(AnyOperation)


def read_document(source: str | os.PathLike[str] | Mapping[str, Any]) -> tuple[Document, str]:
    """The document of a YAML file or a mapping, and the name that the spec has if it says none."""
    if isinstance(source, Mapping):
        return from_mapping(source), "model"
    path = os.fspath(source)
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FileError(f"{escape(path) or repr(path)}: {error.strerror or error}") from None
    return from_yaml(raw, escape(path)), os.path.splitext(os.path.basename(path))[0] or "model"


def interpret(document: Document, name: str, seed: int | None = None, dtype: str | None = None) -> Spec:
    """The spec of a document: its valid parts, with the problems of the others, which the plan raises.

    seed and dtype take the place of the document's.
    """
    problems = Problems(document)
    data = document.data
    if not isinstance(data, dict):
        problems.add((), "a spec is a mapping; it needs at least operations")
        problems.raise_any()
    data.update({key: plain(value) for key, value in {"seed": seed, "dtype": dtype}.items() if value is not None})
    head = _head({key: value for key, value in data.items() if key != "operations"}, name, problems)
    places: list[Path] = []
    operations = []
    for index, item in enumerate(_operation_items(data, problems)):
        try:
            operation = _adapter().validate_python(item)
        except ValidationError as error:
            add_errors(problems, error, ("operations", index))
            if problems.enough:
                break
        else:
            places.append(("operations", index))
            operations.append(operation)
    spec = Spec.model_construct(**{field: getattr(head, field) for field in Head.model_fields}, operations=operations)
    spec._problems, spec._places = problems, places
    return spec


def validated(model: type[AnyModel], data: Any, problems: Problems) -> AnyModel | None:
    """The model of the data at the document's top, or None with its problems added."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        add_errors(problems, error, ())
        return None


def _head(data: dict[str, Any], name: str, problems: Problems) -> Head:
    head = validated(Head, data, problems)
    if head is None:
        apart = [{field: data[field]} for field in Head.model_fields if field in data]
        sound = [part for part in apart if validated(Head, part, Problems(problems.document))]
        head = Head.model_validate({field: value for part in sound for field, value in part.items()})
    return head if "name" in data else head.model_copy(update={"name": name})


def _operation_items(data: dict[str, Any], problems: Problems) -> list[Any]:
    items = data.get("operations")
    if isinstance(items, list) and items:
        return items
    if "operations" not in data:
        if any(near(key, ["operations"]) for key in data):
            return []  # told as a misspelt key
        problems.add(("operations",), "missing; a spec needs it: a list of operations")
    else:
        problems.add(("operations",), f"{show(items)} is not a list of operations, at least one")
    return []


def add_errors(problems: Problems, error: ValidationError, base: Path) -> None:
    """Add pydantic's errors of what stands at `base`, as long as they are to be kept; count them all."""
    if len(problems.kept) >= problems.KEPT:
        problems.total += error.error_count()
        return
    for item in error.errors(include_url=False):
        path = (*base, *item["loc"])
        if item["type"] in (WRONG, UNKNOWN, MISSING):
            problems.add(path, item["msg"], of_key=item["type"] == UNKNOWN)
        else:
            path = (*path, "type") if item["type"] == "union_tag_invalid" else path
            problems.add(path, explained(item, OPERATION_EXPECTED))
