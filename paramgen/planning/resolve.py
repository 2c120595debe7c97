"""Resolve a spec's parameters: name, shape, fans, dtype, and the initializer with the highest precedence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from paramgen import limits
from paramgen.catalog.axes import Rearrangement
from paramgen.catalog.distributions import Direction
from paramgen.catalog.fields import KeyPath
from paramgen.catalog.frameworks.tables import parameter_defs_by_convention
from paramgen.catalog.initializers import Initializer, Norm
from paramgen.catalog.layouts import UnsupportedError
from paramgen.catalog.operations import OPERATIONS_BY_TYPE, ZEROS, ParameterDef
from paramgen.language.diagnostics import LimitExceededError, Problem
from paramgen.language.document import path_text
from paramgen.language.items import OperationInstance
from paramgen.language.parsed_spec import Override, ParsedSpec
from paramgen.messages import closest_match, did_you_mean, join_or, shorten
from paramgen.planning.overrides import Overrides
from paramgen.planning.streams import stream_id
from paramgen.planning.tensors import Parameter, ResolvedParameter, resolve_parameter


@dataclass(slots=True)
class ParameterChoice:
    """A parameter's definition with the dtype and the initializer that the spec chooses before overrides.

    `path` is the initializer's. `resolved` is the result for all instances that no override changes, once known.
    """

    definition: ParameterDef
    dtype: str
    initializer: Initializer
    path: KeyPath
    tied_to: str | None
    resolved: ResolvedParameter | None = None


@dataclass(slots=True)
class OperationChoices:
    """The choices for an operation's parameters, shared by its instances, and the errors among them.

    `rearrangements` are its tensors in the layout, once known.
    """

    definitions: list[ParameterDef]
    parameters: list[ParameterChoice]
    problems: list[Problem]
    rearrangements: list[Rearrangement] | None = None


@dataclass(slots=True)
class ResolvedOperation:
    """An operation of the model, the choices for it, and its parameters by name."""

    instance: OperationInstance
    choices: OperationChoices
    parameters: dict[str, Parameter]


def resolve_operations(spec: ParsedSpec) -> Iterator[ResolvedOperation | Problem]:
    """Yield the operations of a spec in order with their parameters, and every error.

    Precedence of initializers, last wins: the operation's default, the spec's `defaults`, the operation's own, and
    `overrides`, in order.
    """
    yield from _check_defaults(spec)
    yield from _Resolver(spec).operations()


class _InvalidParameterError(Exception):
    """The error of a parameter; the operation's other parameters are still checked."""

    def __init__(self, path: KeyPath, message: str, instance: OperationInstance | None = None):
        super().__init__(message)
        self.problem = Problem(path, message, location=instance.location if instance else None)


class _Resolver:
    """Resolves the operations of a spec.

    `owners` has each parameter's name and its operation's path by the id of its stream. Equal names have equal ids, so
    that one look-up finds both.
    """

    def __init__(self, spec: ParsedSpec):
        self.spec = spec
        self.has_overrides = bool(spec.fields.overrides)
        self.owners: dict[int, tuple[str, KeyPath]] = {}
        self.overrides = Overrides(spec.fields.overrides)
        self.num_distinct = 0
        self.num_table_numbers = 0

    def operations(self) -> Iterator[ResolvedOperation | Problem]:
        is_complete = not self.spec.problems
        expander = self.spec.expander()
        for instance in expander.operations():
            if isinstance(instance, Problem):
                is_complete = False
                yield instance
                continue
            choices: OperationChoices | None = instance.checked.choices
            if choices is None:
                choices = instance.checked.choices = self._choose(instance)
            parameters, problems = self._resolve_instance(instance, choices)
            if problems:
                is_complete = False
                yield from problems
            else:
                yield ResolvedOperation(instance, choices, parameters)
        if is_complete:  # otherwise they may match an operation that failed
            yield from self.overrides.find_unused(self._suggest_name, is_warning=expander.has_omissions)

    def _choose(self, instance: OperationInstance) -> OperationChoices:
        """Return the choices for an operation; its instances differ only in name."""
        operation = instance.operation
        try:
            definitions = parameter_defs_by_convention(self.spec.fields.conventions, operation)
        except UnsupportedError as error:
            problem = Problem((*instance.path, "type"), str(error), location=instance.location)
            return OperationChoices([], [], [problem])
        self.num_distinct += len(definitions)
        if self.num_distinct > limits.MAX_DISTINCT_TENSORS:
            limit = f"more than {limits.MAX_DISTINCT_TENSORS:,} different tensors (the limit)"
            raise LimitExceededError(instance.path, f"{limit}, counting those that an index makes different")
        dtype = operation.dtype or self.spec.fields.dtype
        choices = []
        for definition in definitions:
            initializer, path = self._initializer_before_overrides(instance, definition)
            tied_to = operation.tie.get(definition.name)
            choices.append(ParameterChoice(definition, definition.dtype or dtype, initializer, path, tied_to))
        return OperationChoices(definitions, choices, list(_check_parameter_names(instance, definitions)))

    def _initializer_before_overrides(
        self, instance: OperationInstance, definition: ParameterDef
    ) -> tuple[Initializer, KeyPath]:
        """Return a parameter's initializer, and its path in the spec."""
        operation = instance.operation
        if explicit := operation.explicit_initializers().get(definition.initializer_key):
            return explicit, (*instance.path, "initializers", definition.initializer_key)
        if self.spec.fields.defaults and (
            default := self.spec.fields.default_initializer(operation, definition.initializer_key)
        ):
            return default
        return definition.initializer, (*instance.path, *definition.initializer_path)

    def _resolve_instance(
        self, instance: OperationInstance, choices: OperationChoices
    ) -> tuple[dict[str, Parameter], list[Problem]]:
        """Return an operation's valid parameters by name, and its errors."""
        if self.has_overrides:
            self.overrides.count_names(len(choices.parameters))
        prefix = f"{instance.name}." if instance.name else ""
        path = instance.path
        parameters: dict[str, Parameter] = {}
        problems = choices.problems.copy()
        for choice in choices.parameters:
            definition = choice.definition
            direction = definition.direction
            name = prefix + definition.name
            stream = stream_id(name)
            claim = name, path
            owner = self.owners.setdefault(stream, claim)
            try:
                if owner is not claim:
                    raise _InvalidParameterError((*path, "name"), _explain_conflict(name, *owner), instance)
                if direction and direction not in parameters:
                    continue  # the direction's error is reported
                resolved = choice.resolved
                if resolved is None or self.has_overrides:
                    resolved = self._resolve(name, instance, choice, parameters[direction] if direction else None)
                if choice.tied_to:
                    stream = stream_id(choice.tied_to)
                elif direction and resolved.is_norm:
                    stream = parameters[direction].stream
                parameters[definition.name] = Parameter(name, resolved, stream, choice.tied_to)
            except _InvalidParameterError as error:
                problems.append(error.problem)
        return parameters, problems

    def _suggest_name(self, pattern: str) -> str:
        """Return the end of the error of a pattern that matches no name."""
        names = [name for name, _ in islice(self.owners.values(), 1000)]
        return did_you_mean(closest_match(pattern, names)) or "; paramgen plan --layout canonical lists the names"

    def _resolve(
        self, name: str, instance: OperationInstance, choice: ParameterChoice, direction: Parameter | None
    ) -> ResolvedParameter:
        """Return a resolved parameter; `direction` is set if it may be the norm of another one.

        Raises _InvalidParameterError if its initializer or dtype does not fit it.
        """
        overrides = self.overrides.matching(name)
        if choice.tied_to and overrides:
            message = f"{shorten(name)} is tied to {shorten(choice.tied_to)}; override that one"
            raise _InvalidParameterError(("overrides", overrides[0][0], "match"), message)
        if choice.resolved and not overrides:
            return choice.resolved
        resolved = self._resolve_choice(name, instance, choice, overrides, direction)
        if not overrides and not (direction and self.has_overrides):  # the direction may have some
            choice.resolved = resolved
        return resolved

    def _resolve_choice(
        self,
        name: str,
        instance: OperationInstance,
        choice: ParameterChoice,
        overrides: list[tuple[int, Override]],
        direction: Parameter | None,
    ) -> ResolvedParameter:
        if choice.tied_to:
            return resolve_parameter(choice.definition.traits, ZEROS, choice.dtype)
        definition, initializer, dtype, path = choice.definition, choice.initializer, choice.dtype, choice.path
        for index, override in overrides:
            if override.initializer:
                initializer, path = override.initializer, ("overrides", index, "initializer")
            dtype = override.dtype or dtype
        traits = definition.traits
        if direction and isinstance(initializer, Norm):
            source = str(definition.direction)
            if direction.tied_to is not None:
                fix = f"tie {definition.name} too, or give it an initializer"
                message = f"{shorten(name)} is the norm of {source}; {fix}"
                raise _InvalidParameterError((*instance.path, "tie", source), message, instance)
            norm_of = direction.resolved
            traits = replace(traits, direction=Direction(norm_of.distribution, norm_of.dtype, norm_of.shape))
        if reason := initializer.why_unfit(traits):
            subject = "" if path[0] == "operations" else f"{shorten(name)}: "
            raise _InvalidParameterError(path, f"{subject}{initializer.type_name} {reason}", instance)
        self.num_table_numbers += initializer.table_length(traits)
        if self.num_table_numbers > limits.MAX_TABLE_NUMBERS:
            limit = f"more than {limits.MAX_TABLE_NUMBERS:,} numbers of values, formula and arange in all (the limit)"
            raise LimitExceededError(path, limit, instance.location)
        resolved = resolve_parameter(traits, initializer, dtype)
        if reason := resolved.dtype_error(name):
            raise _InvalidParameterError(path, reason, instance)
        return resolved


def duplicate_message(name: str, owner: KeyPath, note: str = "") -> str:
    """Return the error of a name that the operation at `owner` has, with a note on its layout."""
    return f"duplicate tensor {shorten(name)}{note}, also in {path_text(owner)}; rename one of the operations"


def _explain_conflict(name: str, other: str, owner: KeyPath) -> str:
    """Return the error of a parameter whose stream the parameter `other` of the operation at `owner` has."""
    if name == other:
        return duplicate_message(name, owner)
    return f"{shorten(name)} and {shorten(other)} have the same stream id; rename one"


def _check_parameter_names(instance: OperationInstance, definitions: list[ParameterDef]) -> Iterator[Problem]:
    """Yield an error for each initializer or tie of an unknown parameter, and each initializer of a tied one."""
    operation = instance.operation
    explicit = operation.explicit_initializers()
    if not explicit and not operation.tie:
        return
    keys = {definition.initializer_key for definition in definitions}
    names = [definition.name for definition in definitions]
    for key in explicit:
        if key not in keys:
            message = f"this {operation.type_name} has no {key}; remove its initializer"
            yield Problem((*instance.path, "initializers", key), message, of_key=True, location=instance.location)
        elif all(definition.name in operation.tie for definition in definitions if definition.initializer_key == key):
            message = f"has no effect, because {key} is tied; remove the initializer or the tie"
            yield Problem((*instance.path, "initializers", key), message, of_key=True, location=instance.location)
    for name in operation.tie:
        if name not in names:
            message = f"this {operation.type_name} has no {name}; tie {join_or(names)}"
            yield Problem((*instance.path, "tie", name), message, of_key=True, location=instance.location)


def _check_defaults(spec: ParsedSpec) -> Iterator[Problem]:
    """Yield an error for each default that fits no operation of its type, even if the spec does not have one."""
    for type_name, initializers in spec.fields.defaults.items():
        examples = OPERATIONS_BY_TYPE[type_name].example_traits()
        for name, initializer in initializers.items():
            traits = examples[name]
            reason = None if initializer.fits_dimensions(traits) else initializer.why_unsupported(traits)
            if reason:
                yield Problem(("defaults", type_name, name), f"{initializer.type_name} {reason}")
