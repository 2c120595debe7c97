"""Spec → parameters: name, shape, fans, dtype and the initializer with the highest precedence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from paramgen import limits
from paramgen.catalog.distributions import Direction
from paramgen.catalog.frameworks.tables import parameter_defs_by_convention
from paramgen.catalog.initializers import Initializer, Norm
from paramgen.catalog.layouts import UnsupportedError
from paramgen.catalog.operations import OPERATIONS_BY_TYPE, ZEROS, ParameterDef
from paramgen.formatting import closest_match, did_you_mean, one_of, shorten
from paramgen.language.diagnostics import LimitExceededError, Problem
from paramgen.language.items import OperationInstance
from paramgen.language.model import Override, ParsedSpec
from paramgen.language.yaml_reader import KeyPath, path_text
from paramgen.planning.overrides import Overrides
from paramgen.planning.streams import stream_id
from paramgen.planning.tensors import Parameter, ResolvedParameter, resolve_parameter


def _name_defined(name: str, prefix: str, definition: ParameterDef, spec: ResolvedParameter) -> Parameter:
    """Return the parameter of a definition; `prefix` is that of its operation's parameters."""
    return Parameter(name, spec, stream_id(f"{prefix}{definition.direction}" if spec.is_norm else name))


class ResolvedOperation(NamedTuple):
    """An operation of the model, its definitions, and its parameters by name."""

    instance: OperationInstance
    definitions: list[ParameterDef]
    parameters: dict[str, Parameter]


def resolve_operations(spec: ParsedSpec) -> Iterator[ResolvedOperation | Problem]:
    """Yield the operations of a spec in order with their parameters, and every error.

    Precedence of initializers, last wins: the operation's default, the spec's `defaults`, the operation's own, and
    `overrides`, in order.
    """
    yield from _check_defaults(spec)
    yield from _Resolver(spec).operations()


class NameRegistry:
    """The names of tensors, each with the path of its operation. None repeats."""

    def __init__(self) -> None:
        self._owners: dict[str, KeyPath] = {}

    def claim(self, name: str, owner: KeyPath) -> bool:
        """Take a name; return whether it was free."""
        is_free = name not in self._owners
        if is_free:
            self._owners[name] = owner
        return is_free

    def explain(self, name: str, note: str = "") -> str:
        """Return the error of a name that was not free, with a note on its layout."""
        other = path_text(self._owners[name])
        return f"duplicate tensor {shorten(name)}{note}, also in {other}; rename one of the operations"

    def suggest(self, pattern: str) -> str:
        """Return the end of the error of a pattern that matches no name."""
        closest = did_you_mean(closest_match(pattern, list(islice(self._owners, 1000))))
        return closest or "; paramgen plan --layout canonical lists the names"


Result = TypeVar("Result")


class OperationCache(Generic[Result]):
    """A function of an operation, called once for all instances that differ in name only."""

    def __init__(self, function: Callable[..., Result]):
        self._function = function

    def __call__(self, instance: OperationInstance, *more: object) -> Result:
        result: Result | None = instance.results.get(self)
        if result is None:
            result = instance.results[self] = self._function(instance, *more)
        return result


@dataclass(slots=True)
class _ParameterChoice:
    """A definition, what the spec chooses for it, and the path that does; `spec` is the result without overrides."""

    definition: ParameterDef
    dtype: str
    initializer: Initializer
    path: KeyPath
    resolved: ResolvedParameter | None = None


class _OperationChoices(NamedTuple):
    """A spec's choices for the parameters of an operation before overrides, and the errors among them."""

    definitions: list[ParameterDef]
    resolved: list[_ParameterChoice]
    problems: list[Problem]


class _Resolver:
    def __init__(self, spec: ParsedSpec):
        self.spec = spec
        self.names = NameRegistry()
        self.overrides = Overrides(spec.fields.overrides)
        self.choices = OperationCache(self._choose)
        self.different = 0

    def operations(self) -> Iterator[ResolvedOperation | Problem]:
        is_complete = not self.spec.problems
        tree = self.spec.tree()
        for instance in tree.operations():
            if isinstance(instance, Problem):
                is_complete = False
                yield instance
                continue
            definitions, resolved, problems = self.choices(instance)
            self.overrides.count(len(resolved))
            parameters: dict[str, Parameter] = {}
            prefix = f"{instance.name}." if instance.name else ""
            for one in resolved:
                name = prefix + one.definition.name
                if not self.names.claim(name, instance.path):
                    message = self.names.explain(name)
                    problems = [*problems, Problem((*instance.path, "name"), message, location=instance.location)]
                    continue
                if one.resolved and not self.spec.fields.overrides:
                    parameters[one.definition.name] = _name_defined(name, prefix, one.definition, one.resolved)
                    continue
                if one.definition.direction and one.definition.direction not in parameters:
                    continue  # the direction's error is reported
                found = self._resolve(prefix, instance, one, parameters)
                if isinstance(found, Problem):
                    problems = [*problems, found]
                else:
                    parameters[one.definition.name] = found
            if problems:
                is_complete = False
                yield from problems
            else:
                yield ResolvedOperation(instance, definitions, parameters)
        if is_complete:  # else they may be meant for what is missing
            yield from self.overrides.find_unused(self.names.suggest, is_warning=tree.omits)

    def _choose(self, instance: OperationInstance) -> _OperationChoices:
        operation = instance.operation
        try:
            found = parameter_defs_by_convention(self.spec.fields.conventions, operation)
        except UnsupportedError as error:
            return _OperationChoices(
                [], [], [Problem((*instance.path, "type"), str(error), location=instance.location)]
            )
        self.different += len(found)
        if self.different > limits.MAX_DISTINCT_TENSORS:
            limit = f"more than {limits.MAX_DISTINCT_TENSORS:,} different tensors (the limit)"
            raise LimitExceededError(instance.path, f"{limit}, counting those that an index makes different")
        dtype = operation.dtype or self.spec.fields.dtype
        resolved = [_ParameterChoice(one, one.dtype or dtype, *self._prevailing(instance, one)) for one in found]
        keys = {definition.initializer_key for definition in found}
        problems = []
        for parameter in [name for name in operation.explicit_initializers() if name not in keys]:
            message = f"this {operation.type_name} has no {parameter}; remove its initializer"
            path = (*instance.path, "initializers", parameter)
            problems.append(Problem(path, message, of_key=True, location=instance.location))
        for parameter in [name for name in operation.tie if name not in {one.name for one in found}]:
            message = f"this {operation.type_name} has no {parameter}; tie {one_of([one.name for one in found])}"
            problems.append(Problem((*instance.path, "tie", parameter), message, True, instance.location))
        return _OperationChoices(found, resolved, problems)

    def _prevailing(self, instance: OperationInstance, definition: ParameterDef) -> tuple[Initializer, KeyPath]:
        """Return a parameter's initializer, overrides apart, and the path that chooses it."""
        operation, base = instance.operation, instance.path
        if own := operation.explicit_initializers().get(definition.initializer_key):
            return own, (*base, "initializers", definition.initializer_key)
        if self.spec.fields.defaults and (
            default := self.spec.fields.default_of(operation, definition.initializer_key)
        ):
            return default
        return definition.initializer, (*base, *definition.initializer_path)

    def _resolve(
        self, prefix: str, instance: OperationInstance, choice: _ParameterChoice, before: Mapping[str, Parameter]
    ) -> Parameter | Problem:
        """Return a parameter or its error; `before` are those before it in its operation."""
        definition = choice.definition
        name = prefix + definition.name
        overrides = self.overrides.matching(name) if self.spec.fields.overrides else []
        if tied_to := instance.operation.tie.get(definition.name):
            return _tie(name, tied_to, choice, overrides)
        if not overrides and choice.resolved:
            return _name_defined(name, prefix, definition, choice.resolved)
        initializer, dtype, path = choice.initializer, choice.dtype, choice.path
        for index, override in overrides:
            if override.initializer:
                initializer, path = override.initializer, ("overrides", index, "initializer")
            dtype = override.dtype or dtype
        info = definition.info
        if isinstance(initializer, Norm):
            direction = before[str(definition.direction)]
            if direction.tied_to is not None:
                message = f"{shorten(name)} is the norm of these; tie {definition.name} too, or give it an initializer"
                return Problem((*instance.path, "tie", str(definition.direction)), message, location=instance.location)
            of = direction.resolved
            info = replace(info, direction=Direction(of.distribution, of.dtype, of.shape))
        if reason := initializer.why_unsupported(info):
            subject = "" if path[0] == "operations" else f"{shorten(name)}: "
            return Problem(path, f"{subject}{initializer.type_name} {reason}", location=instance.location)
        spec = resolve_parameter(info, initializer, dtype)
        if reason := spec.dtype_error(name):
            return Problem(path, reason, location=instance.location)
        if not overrides and not (info.direction and self.spec.fields.overrides):  # the direction may have some
            choice.resolved = spec
        return _name_defined(name, prefix, definition, spec)


def _tie(
    name: str, target: str, choice: _ParameterChoice, overrides: list[tuple[int, Override]]
) -> Parameter | Problem:
    """Return a parameter that is another one."""
    if overrides:
        message = f"{shorten(name)} is tied to {shorten(target)}; override that one"
        return Problem(("overrides", overrides[0][0], "match"), message)
    return Parameter(name, resolve_parameter(choice.definition.info, ZEROS, choice.dtype), stream_id(target), target)


def _check_defaults(spec: ParsedSpec) -> Iterator[Problem]:
    """Yield an error for each default that fits no operation of its type, even if the spec does not have one."""
    for type_name, initializers in spec.fields.defaults.items():
        shapes = OPERATIONS_BY_TYPE[type_name].example_shapes()
        for name, initializer in initializers.items():
            if reason := initializer.why_unsupported(shapes[name]):
                yield Problem(("defaults", type_name, name), f"{initializer.type_name} {reason}")
