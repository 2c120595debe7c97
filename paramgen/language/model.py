"""The model of a whole spec, and how a document becomes one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field, PlainValidator, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from paramgen import limits
from paramgen.arithmetic import default_mode
from paramgen.catalog.fields import Describe, DTypeName, ErrorKind, FieldError, Schema, choice
from paramgen.catalog.frameworks import CONVENTION_NAMES, LAYOUT_NAMES
from paramgen.catalog.initializers import EXPECTED as INITIALIZER_EXPECTED
from paramgen.catalog.initializers import AnyInitializer
from paramgen.catalog.models import Model, unknown_keys
from paramgen.catalog.operations import BY_TYPE, TABLE, Operation, Standard
from paramgen.catalog.schemas import closed, mapping
from paramgen.errors import FileError, UsageError
from paramgen.formatting import closest_match, counted, did_you_mean, escape, show
from paramgen.language.diagnostics import Diagnostics
from paramgen.language.evaluation import VALUE_EXPECTED, Evaluator, evaluator
from paramgen.language.expressions import (
    MAX_INTEGER,
    VARIABLE_EXPECTED,
    VARIABLE_SCHEMA,
    Number,
    has_expression,
    is_number,
    is_variable,
)
from paramgen.language.groups import OPERATIONS_SCHEMA, NamedOperation, Tree, add_errors, check_different, written
from paramgen.language.yaml_reader import Document, Path, from_mapping, from_yaml

AnyModel = TypeVar("AnyModel", bound=Model)

VALUE_SCHEMA: Schema = {"type": "number", "exclusiveMinimum": -MAX_INTEGER, "exclusiveMaximum": MAX_INTEGER}


def _variable(value: Any) -> Number:
    if is_number(value):
        number: Number = value
        return number
    raise PydanticCustomError(ErrorKind.WRONG, f"{show(value)} is not {VALUE_EXPECTED}")


PATTERN_EXPECTED = f"a pattern of names, with * ? and [], of at most {limits.MAX_PATTERN_LENGTH} characters"


class Override(Model):
    """Another initializer or dtype for the parameters whose canonical names match a pattern."""

    label = "an override"
    match: Annotated[
        str, Field(min_length=1, max_length=limits.MAX_PATTERN_LENGTH), Describe(value=PATTERN_EXPECTED)
    ] = Field(description="pattern of canonical names, with * ? and []; * matches dots, too.")
    initializer: AnyInitializer | None = Field(default=None, description="initializer of these parameters.")
    dtype: DTypeName | None = Field(default=None, description="element type of these parameters.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        if not data.keys() & {"initializer", "dtype"}:
            yield (), "says nothing of the parameters that it matches; give an initializer or a dtype", ErrorKind.WRONG

    @classmethod
    def schema_rules(cls) -> Schema:
        return {"anyOf": [{"required": ["initializer"]}, {"required": ["dtype"]}]}


class SpecFields(Model):
    """What a spec says besides its operations."""

    paramgen: Annotated[int, Field(ge=1, le=1), Describe(value="1, the version of the spec language")] = Field(
        default=1, description="version of the spec language."
    )
    name: Annotated[str, Field(min_length=1), Describe(value="a text")] = Field(
        default="model", description="name of the model; default: the file's name without its ending."
    )
    seed: Annotated[int, Field(ge=0, lt=2**64), Describe(value="an integer from 0 to 2^64 - 1")] = Field(
        default=0, description="seed of every parameter, 0 … 2^64 - 1."
    )
    dtype: DTypeName = Field(default="float32", description="element type of the parameters.")
    layout: Annotated[str, choice("a layout", LAYOUT_NAMES)] = Field(
        default="canonical", description="names and axis orders of the file."
    )
    conventions: Annotated[str, choice("conventions", CONVENTION_NAMES)] = Field(
        default="matlab", description="whose default initializers and fan rules."
    )
    defaults: Annotated[
        dict[str, dict[str, AnyInitializer]],
        Describe(value="a mapping of operation types to initializers by parameter", item=INITIALIZER_EXPECTED),
    ] = Field(default={}, description="initializers by operation type and parameter, for the whole spec.")
    variables: Annotated[
        dict[str, Annotated[Any, PlainValidator(_variable), WithJsonSchema(VALUE_SCHEMA)]],
        Field(max_length=limits.MAX_VARIABLES),
        Describe(value=f"a mapping of names to numbers, at most {limits.MAX_VARIABLES:,}"),
    ] = Field(default={}, description="numbers by name, for ${…}; each may use those before it.")
    overrides: Annotated[
        list[Override],
        Field(max_length=limits.MAX_OVERRIDES),
        Describe(
            value=f"a list of at most {limits.MAX_OVERRIDES:,} overrides",
            item="a mapping with match and initializer or dtype",
        ),
    ] = Field(default=[], description="initializers and dtypes by pattern of names; the last that matches wins.")

    @classmethod
    def field_names(cls) -> Iterable[str]:
        return (*cls.model_fields, "operations")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        variables = data.get("variables")
        for name in variables if isinstance(variables, dict) else ():
            if not is_variable(name):
                yield ("variables", name), f"{show(name)} is not {VARIABLE_EXPECTED}", ErrorKind.UNKNOWN
        defaults = data.get("defaults")
        if not isinstance(defaults, dict):
            return
        standard = {kind: model for kind, model in BY_TYPE.items() if issubclass(model, Standard)}
        yield from unknown_keys(("defaults",), defaults, list(standard), "no operation type with defaults")
        written: dict[type[Standard], str] = {}
        for kind in [kind for kind in defaults if kind in standard]:
            model = standard[kind]
            if model in written:
                message = f"{written[model]} and {kind} are one type; join their defaults"
                yield ("defaults", kind), message, ErrorKind.UNKNOWN
            written[model] = kind
            if isinstance(defaults[kind], dict):
                known, what = model.parameter_names, f"no parameter of {kind}"
                yield from unknown_keys(("defaults", kind), defaults[kind], known, what)

    @classmethod
    def schema_rules(cls) -> Schema:
        standard = [model for model in TABLE if issubclass(model, Standard)]
        initializers = {name: mapping(model.initializers_schema()) for model in standard for name in model.names()}
        aliases = [{"not": {"required": list(model.names())}} for model in standard if len(model.names()) > 1]
        return {
            "properties": {
                "operations": OPERATIONS_SCHEMA,
                "variables": {"propertyNames": VARIABLE_SCHEMA},
                "defaults": {**closed(initializers), "allOf": aliases},
            },
            "required": ["operations"],
        }

    def default_of(self, operation: Operation, parameter: str) -> tuple[AnyInitializer, Path] | None:
        """The initializer that `defaults` give a parameter, and its path."""
        for name in operation.names():
            if parameter in self.defaults.get(name, {}):
                return self.defaults[name][parameter], ("defaults", name, parameter)
        return None


class Spec:
    """A checked spec, made by `load_spec`.

    `source` is the spec as it was written, with the command line's values. Expressions outside of repetitions are
    evaluated.
    """

    head: SpecFields
    source: dict[str, Any]
    problems_found: Diagnostics  # those of all but the operations; the plan adds theirs and raises all of them
    _items: list[Any]
    _evaluator: Evaluator

    def __init__(self, *_: Any, **__: Any):
        raise TypeError("a Spec is made by paramgen.load_spec")

    @classmethod
    def of(
        cls, head: SpecFields, source: dict[str, Any], problems: Diagnostics, items: list[Any], evaluator: Evaluator
    ) -> Spec:
        spec = object.__new__(cls)
        spec.head, spec.source, spec.problems_found = head, source, problems
        spec._items, spec._evaluator = items, evaluator
        return spec

    def __repr__(self) -> str:
        return f"<Spec {self.name!r}: {counted(len(self._items), 'operation')} or groups, seed {self.seed}>"

    @property
    def name(self) -> str:
        return self.head.name

    @property
    def seed(self) -> int:
        return self.head.seed

    @property
    def dtype(self) -> str:
        return self.head.dtype

    @property
    def layout(self) -> str:
        return self.head.layout

    def instances(self, problems: Diagnostics) -> Iterator[NamedOperation]:
        """Its operations, one after another; what is wrong with them is added to the problems."""
        return Tree(self._items, self._evaluator.renewed(), problems).instances()


@default_mode()
def read_document(source: str | os.PathLike[str] | Mapping[str, Any]) -> tuple[Document, str]:
    """The document of a YAML file or a mapping, and the name that the spec has if it says none."""
    if isinstance(source, Mapping):
        return from_mapping(source), "model"
    path = os.fspath(source)
    try:
        with open(path, "rb") as file:
            raw = file.read(limits.MAX_FILE_BYTES + 1)
    except OSError as error:
        raise FileError(f"{escape(path) or repr(path)}: {error.strerror or error}") from None
    return from_yaml(raw, path), os.path.splitext(os.path.basename(path))[0] or "model"


@default_mode()
def interpret(document: Document, name: str, *, variables: Mapping[str, Number] | None = None, **replaced: Any) -> Spec:
    """The spec of a document: its valid parts, with the problems of the others, which the plan raises.

    `replaced` (seed, dtype, layout) take the place of the document's, where they are not None, and `variables` that of
    its variables of the same names; UsageError where it has none of that name.
    """
    problems = Diagnostics(document)
    data = document.data
    if not isinstance(data, dict):
        problems.add((), "a spec is a mapping; it needs at least operations")
        problems.raise_any()
    for key, value in replaced.items():
        if value is not None:
            document.put((key,), value)
    _set_variables(document, {} if variables is None else variables)
    scope = evaluator(data.get("variables"), document.has_expressions, problems)
    head, source = _head(data, name, scope, problems)
    items = _operation_items(data, problems)
    if "operations" in source:
        source["operations"] = written(items, ("operations",), scope, problems) if items else data["operations"]
    return Spec.of(head, source, problems, items, scope)


def _set_variables(document: Document, variables: Mapping[str, Number]) -> None:
    if not isinstance(variables, Mapping):
        raise UsageError(f"variables: {show(variables)} is not a mapping of names to numbers")
    known = document.value(("variables",))
    for name, value in variables.items():
        if not isinstance(known, dict) or name not in known:
            guess = did_you_mean(closest_match(str(name), known)) if isinstance(known, dict) else ""
            raise UsageError(f"variable {show(name)}: the spec has none of this name{guess}")
        document.put(("variables", name), value)


def validated(
    model: type[AnyModel], data: Any, problems: Diagnostics, bad: frozenset[Path] = frozenset()
) -> AnyModel | None:
    """The model of the data at the document's top, or None with its problems added, but for those of the bad paths."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        add_errors(problems, error, (), bad=bad)
        return None


def _head(
    data: dict[str, Any], name: str, scope: Evaluator, problems: Diagnostics
) -> tuple[SpecFields, dict[str, Any]]:
    """The valid fields of what a spec says besides its operations; and what it says, as its file is to say it."""
    evaluated, errors = scope.evaluated(data, (), problems, leave=("variables", "operations"))
    bad = scope.report(errors, (), problems)
    variables = data.get("variables")
    if isinstance(variables, dict):
        evaluated = {**evaluated, "variables": {key: scope.variables.get(key, variables[key]) for key in variables}}
        bad |= {("variables", key) for key in scope.broken if has_expression(variables[key])}
    fields = {key: value for key, value in evaluated.items() if key != "operations"}
    head = validated(SpecFields, fields, problems, bad)
    if head is None:
        apart = [{field: fields[field]} for field in SpecFields.model_fields if field in fields]
        sound = [part for part in apart if validated(SpecFields, part, Diagnostics(problems.document))]
        head = SpecFields.model_validate({field: value for part in sound for field, value in part.items()})
    as_written = {key: data[key] for key in ("defaults", "overrides") if key in data}
    return head if "name" in data else head.model_copy(update={"name": name}), {**evaluated, **as_written}


def _operation_items(data: dict[str, Any], problems: Diagnostics) -> list[Any]:
    items = data.get("operations")
    if isinstance(items, list) and items:
        check_different(len(items), ("operations",), problems)
        return items
    if "operations" not in data:
        if any(closest_match(key, ["operations"]) for key in data if key not in SpecFields.fields_by_key()):
            return []  # told as a misspelt key
        problems.add(("operations",), "missing; a spec needs it: a list of operations")
    else:
        problems.add(("operations",), f"{show(items)} is not a list of operations, at least one")
    return []
