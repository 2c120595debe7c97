"""The model of a whole spec, and its construction from a document."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from paramgen import limits
from paramgen.catalog.entries import VARIABLE, Condition, is_variable
from paramgen.catalog.fields import DTypeName, ErrorSubject, Expectation, FieldError, KeyPath, Schema, choice_type
from paramgen.catalog.frameworks import CONVENTION_NAMES, LAYOUT_NAMES
from paramgen.catalog.initializers import INITIALIZER_EXPECTED, AnyInitializer
from paramgen.catalog.operations import (
    OPERATIONS,
    OPERATIONS_BY_TYPE,
    PARAMETERS_SCHEMA,
    Operation,
    ParametersByName,
    StandardOperation,
)
from paramgen.catalog.schemas import closed_schema, object_schema
from paramgen.catalog.spec_model import SpecModel, unknown_key_errors
from paramgen.catalog.synonyms import FRAMEWORK_SYNONYMS, OPERATION_SYNONYMS
from paramgen.errors import UsageError, check_path, file_errors
from paramgen.language.companion_files import FILES, evaluate_files
from paramgen.language.diagnostics import LimitExceededError, Problem, ProblemCollector, explain_errors
from paramgen.language.document import Document, clip_path, from_mapping
from paramgen.language.evaluation import VALUE, Evaluator, evaluate_variables
from paramgen.language.expansion import ABSENT, OperationExpander
from paramgen.language.expressions import names_in
from paramgen.language.groups import OPERATIONS_SCHEMA, evaluate_outside_repeats
from paramgen.language.items import check_distinct_limit
from paramgen.language.values import Value
from paramgen.language.yaml_reader import from_yaml
from paramgen.messages import closest_match, did_you_mean, escape, join_first, must_be, show, show_path

AnyModel = TypeVar("AnyModel", bound=SpecModel)

STDIN, STDIN_SOURCE = "-", "<stdin>"
PATTERN_EXPECTED = "a pattern of names, with * ? and []"


class Override(SpecModel):
    """Another initializer or dtype for the parameters whose canonical names match a pattern."""

    label = "an override"
    match: Annotated[
        str, Field(min_length=1, max_length=limits.MAX_PATTERN_LENGTH), Expectation(value=PATTERN_EXPECTED)
    ] = Field(description="pattern of canonical names, with * ? and []; * matches dots, too.")
    initializer: AnyInitializer | None = Field(default=None, description="initializer of these parameters.")
    dtype: DTypeName | None = Field(default=None, description="element type of these parameters.")
    when: Condition = Field(default=True, description="condition; if false, the override is omitted.")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        if not data.keys() & {"initializer", "dtype"}:
            yield FieldError((), "has no effect; add an initializer or a dtype")

    @classmethod
    def schema_rules(cls) -> Schema:
        return {"anyOf": [{"required": ["initializer"]}, {"required": ["dtype"]}]}


class SpecFields(SpecModel):
    """The fields of a spec besides its operations."""

    paramgen: Annotated[int, Field(ge=1, le=1), Expectation(value="1 (the version of the spec language)")] = Field(
        default=1, description="version of the spec language."
    )
    name: Annotated[str, Field(min_length=1), Expectation(value="a string")] = Field(
        default="model", description="name of the model; default: the file's name without its ending."
    )
    seed: Annotated[int, Field(ge=0, lt=2**64), Expectation(value="an integer from 0 to 2^64 - 1")] = Field(
        default=0, description="seed of every parameter, 0 … 2^64 - 1."
    )
    dtype: DTypeName = Field(default="float32", description="element type of the parameters.")
    layout: Annotated[str, choice_type(LAYOUT_NAMES, FRAMEWORK_SYNONYMS)] = Field(
        default="canonical", description="names and axis orders of the file."
    )
    conventions: Annotated[str, choice_type(CONVENTION_NAMES, FRAMEWORK_SYNONYMS)] = Field(
        default="matlab", description="whose default initializers and fan rules."
    )
    defaults: Annotated[
        dict[str, dict[str, AnyInitializer]],
        Expectation(value="a mapping of operation types to initializers by parameter", item=INITIALIZER_EXPECTED),
    ] = Field(default={}, description="initializers by operation type and parameter, for the whole spec.")
    variables: Annotated[
        dict[str, Annotated[Any, VALUE]],
        Field(max_length=limits.MAX_VARIABLES),
        Expectation(value="a mapping of names to values"),
    ] = Field(default={}, description="values by name, for ${…}; each may use those before it.")
    parameters: ParametersByName = Field(default={}, description="parameters of the model itself, by name.")
    ties: Annotated[str, choice_type(("omit", "copy"), {})] = Field(
        default="omit", description="tied parameters: omitted from the file, or written again."
    )
    files: Annotated[dict[str, Any], FILES] = Field(
        default={}, description="files added to a folder, by name: a mapping, written as JSON, or a path to copy."
    )
    overrides: Annotated[
        list[Override],
        Field(max_length=limits.MAX_OVERRIDES),
        Expectation(value="a list of overrides", item="a mapping with match and initializer or dtype"),
    ] = Field(default=[], description="initializers and dtypes by pattern of names; the last that matches wins.")

    @classmethod
    def field_names(cls) -> Iterable[str]:
        return (*cls.model_fields, "operations")

    @classmethod
    def check_keys(cls, data: dict[str, Any]) -> Iterator[FieldError]:
        variables = data.get("variables")
        for name in variables if isinstance(variables, dict) else ():
            if not is_variable(name):
                yield FieldError(("variables", name), must_be(VARIABLE.value, name), ErrorSubject.KEY)
        defaults = data.get("defaults")
        if not isinstance(defaults, dict):
            return
        standard = {
            type_name: model for type_name, model in OPERATIONS_BY_TYPE.items() if issubclass(model, StandardOperation)
        }
        yield from unknown_key_errors(
            ("defaults",), defaults, list(standard), "not an operation type with defaults", OPERATION_SYNONYMS
        )
        written: dict[type[StandardOperation], str] = {}
        for type_name in [type_name for type_name in defaults if type_name in standard]:
            model = standard[type_name]
            if model in written:
                message = f"'{type_name}' is the same type as '{written[model]}'; merge the two entries"
                yield FieldError(("defaults", type_name), message, ErrorSubject.KEY)
            written[model] = type_name
            if isinstance(defaults[type_name], dict):
                known, message = model.parameter_names(), f"unknown parameter of {type_name}"
                yield from unknown_key_errors(
                    ("defaults", type_name), defaults[type_name], known, message, model.parameter_synonyms()
                )

    @classmethod
    def schema_rules(cls) -> Schema:
        standard = [model for model in OPERATIONS if issubclass(model, StandardOperation)]
        initializers = {
            name: object_schema(model.initializers_schema()) for model in standard for name in model.names()
        }
        aliases = [{"not": {"required": list(model.names())}} for model in standard if len(model.names()) > 1]
        return {
            "properties": {
                "operations": OPERATIONS_SCHEMA,
                "parameters": PARAMETERS_SCHEMA,
                "variables": {"propertyNames": {"pattern": VARIABLE.schema["pattern"]}},
                "defaults": {**closed_schema(initializers), "allOf": aliases},
            },
            "anyOf": [{"required": ["operations"]}, {"required": ["parameters"]}],
        }

    def default_initializer(self, operation: Operation, parameter: str) -> tuple[AnyInitializer, KeyPath] | None:
        """Return the initializer that `defaults` set for a parameter, and its path; None if they do not."""
        for name in operation.names():
            if parameter in self.defaults.get(name, {}):
                return self.defaults[name][parameter], ("defaults", name, parameter)
        return None


@dataclass(frozen=True, slots=True)
class ParsedSpec:
    """A spec whose fields are checked and whose operations are read when they are visited.

    `source` is the spec as it was written, with the command line's values and with the expressions outside of
    repetitions evaluated. `problems` are the errors of all but the operations.
    """

    document: Document
    fields: SpecFields
    source: dict[str, Any]
    problems: tuple[Problem, ...]
    _items: list[Any]
    _evaluator: Evaluator

    @property
    def num_items(self) -> int:
        """The number of items in the spec's list of operations."""
        return len(self._items)

    def expander(self) -> OperationExpander:
        """Return the expander of its operations; none is read yet."""
        has_omissions = not all(override.when for override in self.fields.overrides)
        parameters = self.document.data.get("parameters", ABSENT)
        return OperationExpander(self._items, parameters, self._evaluator, has_omissions)


@dataclass(frozen=True, slots=True)
class Replacements:
    """Values that replace those of a document; None keeps the document's. `variables` replace single variables."""

    seed: int | None = None
    dtype: str | None = None
    layout: str | None = None
    variables: Mapping[str, Value] = field(default_factory=dict)


def read_spec(
    source: str | os.PathLike[str] | Mapping[str, Any], replacements: Replacements = Replacements()
) -> ParsedSpec:
    """Read a YAML file or a mapping as a spec. Raises UsageError for a variable that it does not have."""
    return interpret(read_document(source), replacements)


def read_document(source: str | os.PathLike[str] | Mapping[str, Any]) -> Document:
    """Read a YAML file, standard input or a mapping."""
    if isinstance(source, Mapping):
        return from_mapping(source)
    path = check_path(source)
    if path == STDIN:
        with file_errors("standard input"):
            return from_yaml(sys.stdin.buffer.read(limits.MAX_FILE_BYTES + 1), STDIN_SOURCE)
    with file_errors(show_path(path)), open(path, "rb") as file:
        raw = file.read(limits.MAX_FILE_BYTES + 1)
        is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        folder = os.path.dirname(os.path.abspath(path))
    document = from_yaml(raw, path)
    if is_regular:  # a pipe is in no folder
        document.folder = folder
    return document


def interpret(document: Document, replacements: Replacements = Replacements()) -> ParsedSpec:
    """Check a document. Return the valid parts, and the errors. Raises UsageError as `read_spec` does."""
    if not isinstance(document.data, dict):
        raise ProblemCollector([Problem((), must_be("a mapping with operations", document.data))]).error(document)
    for key in ("seed", "dtype", "layout"):
        if (value := getattr(replacements, key)) is not None:
            document.replace((key,), value)
    _replace_variables(document, replacements.variables)
    try:
        return _check(document)
    except LimitExceededError as error:
        raise ProblemCollector([error.problem]).error(document) from None


def _check(document: Document) -> ParsedSpec:
    evaluator, variable_problems = evaluate_variables(document.data.get("variables"), document.has_expressions)
    fields, source, field_problems = _read_fields(document, evaluator)
    items, item_problems = _read_items(document.data)
    if items:
        source["operations"] = evaluate_outside_repeats(items, ("operations",), evaluator)
    if "parameters" in source:
        source["parameters"], _ = evaluator.evaluate(source["parameters"], ("parameters",), defer=False)
    problems = (*variable_problems, *field_problems, *item_problems)
    return ParsedSpec(document, fields, source, problems, items, evaluator)


def _replace_variables(document: Document, variables: Mapping[str, Value]) -> None:
    if not isinstance(variables, Mapping):
        raise UsageError(f"variables: {must_be('a mapping of names to values', variables)}")
    known = document.value(("variables",))
    for name, value in variables.items():
        if not isinstance(known, dict) or name not in known:
            names = [*map(str, known)] if isinstance(known, dict) else []
            listed = f"; known: {join_first(map(escape, names))}" if names else ""
            guess = did_you_mean(closest_match(str(name), names))
            raise UsageError(f"the spec has no variable {show(name)}{guess or listed}")
        document.replace(("variables", name), value)


def validate(
    model: type[AnyModel], data: Any, unknown: Collection[KeyPath] = ()
) -> tuple[AnyModel | None, list[Problem]]:
    """Return the model of data at the document's top, or None and its errors, without those of `unknown` paths."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, explain_errors(error, data, (), unknown)


def _read_fields(document: Document, evaluator: Evaluator) -> tuple[SpecFields, dict[str, Any], list[Problem]]:
    """Return the valid fields of a spec besides its operations, its source for the file, and its errors."""
    data = document.data
    selected = {**data, **_select_overrides(data.get("overrides"), evaluator)}
    evaluated, failures = evaluator.evaluate(selected, (), skip_keys=("variables", "operations", "parameters", "files"))
    if "files" in data:
        files, of_files = evaluate_files(data["files"], evaluator)
        evaluated, failures = {**evaluated, "files": files}, {**failures, **of_files}
    problems = list(evaluator.explain(failures))
    unknown = set(failures)
    variables = data.get("variables")
    if isinstance(variables, dict):
        evaluated = {**evaluated, "variables": {key: evaluator.variables.get(key, variables[key]) for key in variables}}
        unknown |= {("variables", key) for key in evaluator.broken if names_in(variables[key])}
    written = {key: value for key, value in evaluated.items() if key not in ("operations", "parameters")}
    fields, errors = validate(SpecFields, written)
    problems += [error for error in errors if clip_path(written, error.path) not in unknown]
    if fields is None:
        wrong = {error.path[0] for error in errors}
        fields = SpecFields.model_validate({key: value for key, value in written.items() if key not in wrong})
    if "name" not in data:
        fields = fields.model_copy(update={"name": document.default_name})
    as_written = {key: data[key] for key in ("defaults", "overrides") if key in data}
    return fields, {**evaluated, **as_written}, problems


# Placeholder for an omitted override, which keeps the indices of those after it.
_OMITTED = {"match": "*", "dtype": "float32", "when": False}


def _select_overrides(overrides: Any, evaluator: Evaluator) -> dict[str, Any]:
    """Return the overrides with those replaced whose conditions do not hold, as an item of a spec."""
    if not isinstance(overrides, list):
        return {}
    selected = []
    for number, override in enumerate(overrides):
        holds: Any = True
        if isinstance(override, dict) and "when" in override:
            holds, _ = evaluator.evaluate(override["when"], ("overrides", number, "when"))
        selected.append(_OMITTED if holds is False else override)
    return {"overrides": selected}


def _read_items(data: dict[str, Any]) -> tuple[list[Any], list[Problem]]:
    items = data.get("operations")
    if isinstance(items, list) and items:
        check_distinct_limit(len(items), ("operations",))  # before anything in them is evaluated
        return items, []
    if "operations" in data:
        return [], [Problem(("operations",), must_be("a non-empty list of operations", items))]
    if "parameters" in data or any(
        closest_match(key, ["operations"]) for key in data if key not in SpecFields.fields_by_key()
    ):
        return [], []  # not needed, or reported as a misspelt key
    return [], [Problem(("operations",), "missing field of the spec; add operations (a list)")]
