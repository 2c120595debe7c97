"""The explanation of one tensor: where its settings come from, the numbers of its formula, and values drawn from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from math import prod
from typing import TYPE_CHECKING, Any

from paramgen.catalog.axes import parse_row
from paramgen.catalog.distributions import Distribution, Norm, WholeDistribution
from paramgen.catalog.fields import KeyPath
from paramgen.catalog.frameworks.tables import LAYOUTS
from paramgen.catalog.initializers import Equation, FanFactors
from paramgen.catalog.operations import Custom
from paramgen.engine import make_array_sampler
from paramgen.errors import UsageError
from paramgen.float_mode import default_float_mode
from paramgen.language.document import path_text
from paramgen.language.parsed_spec import ParsedSpec
from paramgen.messages import closest_match, did_you_mean, show, show_text
from paramgen.planning.overrides import Overrides
from paramgen.planning.plan import iter_resolved
from paramgen.planning.resolve import ParameterChoice, ResolvedOperation
from paramgen.planning.streams import STREAM_VERSION
from paramgen.planning.tensors import Parameter, Tensor, as_tensor
from paramgen.planning.ties import Tie
from paramgen.sampling.devices import open_backend
from paramgen.spec import SpecSource, as_spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_ELEMENTS = 100_000
FIRST_ELEMENTS = 5
# Larger matrices, which are drawn as a whole, are not drawn for an explanation.
MAX_WHOLE_ELEMENTS = 2**18
BINS = 32
# Comparing more names with an unknown one takes long.
MAX_COMPARED_NAMES = 5000


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a parameter, and its source in the spec: a path with its line, or a default."""

    name: str
    value: str
    source: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class SampledValues:
    """The first values of a parameter's stream: their statistics, their histogram, and the one of the distribution.

    `expected_mean`, `expected_std` and `expected_counts` are None if the distribution does not state them.
    """

    count: int
    mean: float
    std: float
    low: float
    high: float
    counts: tuple[int, ...]
    expected_mean: float | None
    expected_std: float | None
    expected_counts: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class ParameterExplanation:
    """A parameter of a tensor: its stream, fans, initializer, and the source of each setting. A buffer has no name."""

    name: str
    shape: tuple[int, ...]
    axes: str | None
    axis_sizes: dict[str, list[int]]
    stream: int
    fan_in: int | None
    fan_out: int | None
    fan_factors: FanFactors | None
    initializer: dict[str, Any]
    distribution: dict[str, Any]
    rule: str
    equations: tuple[Equation, ...]
    padding_index: int | None
    settings: tuple[Setting, ...]
    values: SampledValues | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A tensor of a spec's output: what it consists of, and how its values come about.

    `source` is the spec's file, in which settings have lines.
    `tied_to` names the parameter that it shares; then it is in the file only if `is_written`. `layout_axes` are the
    tensor's axes, in the notation of the tables of layouts. `first_values` are in the file's order; None if the tensor
    would have to be drawn as a whole.
    """

    source: str
    name: str
    canonical_name: str | None
    layout: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    seed: int
    layout_axes: str | None
    tied_to: str | None
    is_written: bool
    parameters: tuple[ParameterExplanation, ...]
    settings: tuple[Setting, ...]
    first_values: tuple[Any, ...] | None

    def describe(self) -> dict[str, Any]:
        """Return the explanation as `paramgen explain --json` prints it."""
        return {
            "source": self.source,
            "name": self.name,
            "canonical_name": self.canonical_name,
            "layout": self.layout,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "bytes": self.nbytes,
            "axes": self.layout_axes,
            "tied_to": self.tied_to,
            "written": self.is_written,
            "first_values": None if self.first_values is None else list(self.first_values),
            "settings": [_describe_setting(setting) for setting in self.settings],
            "parameters": [_describe_parameter(parameter, self.seed) for parameter in self.parameters],
        }


def _describe_setting(setting: Setting) -> dict[str, Any]:
    return {"setting": setting.name, "value": setting.value, "source": setting.source, "line": setting.line}


def _describe_parameter(parameter: ParameterExplanation, seed: int) -> dict[str, Any]:
    values, factors = parameter.values, parameter.fan_factors
    return {
        "name": parameter.name or None,
        "shape": list(parameter.shape),
        "axes": parameter.axes,
        "axis_sizes": parameter.axis_sizes,
        "stream": {"version": STREAM_VERSION, "seed": seed, "name": parameter.name or None, "id": parameter.stream},
        "fan_in": parameter.fan_in,
        "fan_out": parameter.fan_out,
        "fan_factors": None if factors is None else {"fan_in": list(factors[0]), "fan_out": list(factors[1])},
        "initializer": parameter.initializer,
        "distribution": parameter.distribution,
        "rule": parameter.rule,
        "equations": [
            {
                "name": equation.name,
                "value": equation.value,
                "formula": equation.formula,
                "text": str(equation),
            }
            for equation in parameter.equations
        ],
        "padding_index": parameter.padding_index,
        "settings": [_describe_setting(setting) for setting in parameter.settings],
        "values": values and {name: getattr(values, name) for name in SampledValues.__slots__},
    }


@default_float_mode()
def explain(spec: SpecSource, name: str) -> Explanation:
    """Return where the values of one tensor come from, with its numbers and some values.

        explanation = paramgen.explain("model.yaml", "head.weight")
        print(explanation.parameters[0].equations[-1])  # std = sqrt(2 / fan_in) = sqrt(2 / 100) = 0.141421

    `name` is the tensor's name in the layout, or the canonical name of a parameter. At most 100,000 values are drawn.
    Raises UsageError if the spec has no such tensor.
    """
    checked = as_spec(spec)
    return _Explainer(checked._parsed).explain(name)


class _Explainer:
    """Explains the tensors of a spec."""

    def __init__(self, spec: ParsedSpec):
        self.spec = spec

    def explain(self, name: str) -> Explanation:
        resolved, found = self._find(name)
        if isinstance(found, Tie):
            target = self.explain(str(found.parameter.tied_to))
            setting = self._setting("tie", str(found.parameter.tied_to), found.path)
            return replace(
                target,
                name=found.name,
                canonical_name=found.parameter.name,
                tied_to=found.parameter.tied_to,
                is_written=self.spec.fields.ties == "copy",
                settings=(setting, *target.settings),
            )
        fields = self.spec.fields
        sources = [source for source in found.sources if source.name == name != found.name] or found.sources
        return Explanation(
            source=self.spec.document.source,
            name=found.name,
            canonical_name=found.canonical_name,
            layout=fields.layout,
            shape=found.shape,
            dtype=found.dtype.name,
            nbytes=found.nbytes,
            seed=fields.seed,
            layout_axes=self._layout_axes(resolved, found),
            tied_to=None,
            is_written=True,
            parameters=tuple(self._explain_parameter(resolved, source) for source in sources),
            settings=tuple(self._setting(key, str(getattr(fields, key)), (key,)) for key in ("layout", "seed")),
            first_values=_first_values(found, fields.seed),
        )

    def _find(self, name: str) -> tuple[ResolvedOperation, Tensor | Tie]:
        """Return the tensor of this name, or else the first with a parameter of this canonical name."""
        by_canonical_name = None
        names: list[str] = []
        for resolved, tensors in iter_resolved(self.spec):
            for tensor in tensors:
                if tensor.name == name:
                    return resolved, tensor
                sources = [tensor.parameter] if isinstance(tensor, Tie) else tensor.sources
                canonical_names = [source.name for source in sources if source.name]
                if name in canonical_names:
                    by_canonical_name = by_canonical_name or (resolved, tensor)
                names += [tensor.name, *canonical_names]
        if by_canonical_name:
            return by_canonical_name
        self._raise_if_omitted(name)
        guess = did_you_mean(closest_match(name, tuple(islice(dict.fromkeys(names), MAX_COMPARED_NAMES))))
        raise UsageError(f"the spec has no tensor {show_text(name)}{guess or '; paramgen plan --flat lists them'}")

    def _raise_if_omitted(self, name: str) -> None:
        """Raise UsageError if a condition of the spec omits the tensor."""
        own_name = name.removeprefix(LAYOUTS[self.spec.fields.layout].collection)
        expander = self.spec.expander()
        for _ in expander.operations():
            pass
        if not expander.has_omissions:  # listing what is omitted takes longer
            return
        for omitted, path in self.spec.expander().omitted_items().items():
            if own_name.startswith(f"{omitted}."):
                place = self.spec.document.locate(path)
                where = f"{self.spec.document.source}:{place[0]}:{place[1]}: " if place else ""
                condition = show(self.spec.document.value(path))
                raise UsageError(f"{where}{path_text(path)}: {show_text(name)} is omitted, as {condition} is false")

    def _layout_axes(self, resolved: ResolvedOperation, tensor: Tensor) -> str | None:
        """Return a tensor's axes in the layout's own notation; None if it keeps those of its parameter."""
        operation, layout = resolved.instance.operation, LAYOUTS[self.spec.fields.layout]
        if isinstance(operation, Custom) or not layout.rows:
            return None
        rows = map(parse_row, layout.applicable_rows(operation, resolved.choices.definitions))
        terms = next(row.terms for row in rows if row.name == tensor.rearrangement.name)
        return " + ".join(dict.fromkeys(" ".join(axes) for _, axes in terms)) or None

    def _explain_parameter(self, resolved: ResolvedOperation, parameter: Parameter) -> ParameterExplanation:
        part = parameter.resolved
        choice = self._choice(resolved, parameter)
        traits = choice.definition.traits if choice else None
        if traits and isinstance(part.distribution, Norm):
            traits = replace(traits, direction=part.distribution.direction)
        axes = traits.axes if traits else None
        sizes = axes.sizes.items() if axes else ()
        return ParameterExplanation(
            name=parameter.name,
            shape=part.shape,
            axes=axes.pattern if axes else None,
            axis_sizes={key: list(size) if isinstance(size, tuple | list) else [size] for key, size in sizes},
            stream=parameter.stream,
            fan_in=part.fan_in,
            fan_out=part.fan_out,
            fan_factors=traits.fan_factors if traits else None,
            initializer=part.initializer.describe(),
            distribution=part.distribution.describe(),
            rule=part.initializer.formula.replace("`", ""),
            equations=tuple(part.initializer.equations(traits)) if traits else (),
            padding_index=part.padding_index,
            settings=tuple(self._settings(resolved, parameter, choice)) if choice else (),
            values=_sample(parameter, self.spec.fields.seed),
        )

    def _choice(self, resolved: ResolvedOperation, parameter: Parameter) -> ParameterChoice | None:
        """Return the choice that a parameter comes from; None for a buffer."""
        names = {id(found): name for name, found in resolved.parameters.items()}
        name = names.get(id(parameter))
        return next((choice for choice in resolved.choices.parameters if choice.definition.name == name), None)

    def _settings(
        self, resolved: ResolvedOperation, parameter: Parameter, choice: ParameterChoice
    ) -> Iterator[Setting]:
        """Yield the operation, the initializer and the dtype of a parameter, each with its source."""
        instance, part, fields = resolved.instance, parameter.resolved, self.spec.fields
        operation = instance.operation
        yield self._setting("operation", operation.type_name, instance.path)
        initializer = part.initializer.type_name
        overrides = Overrides(fields.overrides).matching(parameter.name)
        index = next((index for index, override in reversed(overrides) if override.initializer), None)
        if index is not None:
            yield self._setting("initializer", initializer, ("overrides", index, "initializer"))
        elif choice.path != instance.path:
            yield self._setting("initializer", initializer, choice.path)
        else:
            default = f"default of {operation.type_name} by conventions {fields.conventions}"
            yield Setting("initializer", initializer, default)
        index = next((index for index, override in reversed(overrides) if override.dtype), None)
        own = (*instance.path, "parameters", choice.definition.name, "dtype")
        if index is not None:
            yield self._setting("dtype", part.dtype.name, ("overrides", index, "dtype"))
        elif choice.definition.dtype:
            yield self._setting("dtype", part.dtype.name, own)
        else:
            yield self._setting("dtype", part.dtype.name, (*instance.path, "dtype") if operation.dtype else ("dtype",))

    def _setting(self, name: str, value: str, path: KeyPath) -> Setting:
        """Return a setting whose value is at a path of the spec, or a default if nothing is there."""
        document = self.spec.document
        if document.is_replaced(path):
            return Setting(name, value, "an argument, instead of the spec's")
        if path and document.value(path) is None:
            return Setting(name, value, "the default")
        source = path_text(path) or "the spec"
        if path[:1] == ("overrides",):
            source += f", match {self.spec.fields.overrides[int(path[1])].match!r}"
        place = document.locate(path)
        return Setting(name, value, source, place[0] if place else None)


def _is_small(distribution: Distribution, size: int) -> bool:
    """Return True if a few values can be drawn at once."""
    if isinstance(distribution, Norm):
        size = prod(distribution.direction.shape)
    return not isinstance(distribution, WholeDistribution) or size <= MAX_WHOLE_ELEMENTS


def _draw(tensor: Tensor, seed: int, count: int) -> NDArray[Any]:
    """Return the first elements of a tensor."""
    backend = open_backend("cpu")
    with backend.activate():
        out = backend.empty(tensor.dtype.nbytes(count))
        make_array_sampler(seed).draw(backend, tensor, 0, count, out)
        backend.synchronize()
        drawn: NDArray[Any] = backend.as_array(out, tensor.dtype, (count,))
        return drawn


def _first_values(tensor: Tensor, seed: int) -> tuple[Any, ...] | None:
    """Return the first elements of a tensor as numbers of Python; complex ones as text."""
    if not all(_is_small(part.distribution, part.size) for part in tensor.resolved):
        return None
    drawn = _draw(tensor, seed, min(FIRST_ELEMENTS, tensor.size))
    if tensor.dtype.is_complex:
        return tuple(map(str, drawn.tolist()))
    return tuple(drawn.tolist()) if tensor.dtype.is_integer else tuple(map(float, drawn))


def _sample(parameter: Parameter, seed: int) -> SampledValues | None:
    """Return statistics of the first values of a parameter, in canonical order; None if it takes too long."""
    from paramgen.analysis.file_report import RunningMoments, has_statistics
    from paramgen.analysis.histograms import histogram

    part = parameter.resolved
    count = min(part.size, SAMPLE_ELEMENTS)
    if not count or not has_statistics(part.dtype) or not _is_small(part.distribution, part.size):
        return None
    drawn = _draw(as_tensor(parameter), seed, count)
    moments = RunningMoments()
    moments.add(drawn)
    found = moments.statistics()
    mean, std, low, high = (found[key] for key in ("mean", "std", "min", "max"))
    assert mean is not None and std is not None and low is not None and high is not None
    expected = part.distribution.moments()
    return SampledValues(
        count=count,
        mean=mean,
        std=std,
        low=low,
        high=high,
        counts=histogram([drawn], float(low), float(high), BINS).counts,
        expected_mean=expected.mean if expected else None,
        expected_std=expected.std if expected else None,
        expected_counts=_expected_counts(part.distribution, float(low), float(high), count) if low < high else None,
    )


def _expected_counts(distribution: Distribution, low: float, high: float, count: int) -> tuple[float, ...] | None:
    """Return how many of `count` values the distribution has in each bin from `low` to `high`; ends count as inside."""
    inner = [distribution.cumulative(low + (high - low) * number / BINS) for number in range(1, BINS)]
    below = [0.0, *(probability for probability in inner if probability is not None), 1.0]
    return tuple(count * (b - a) for a, b in pairwise(below)) if len(below) > BINS else None
