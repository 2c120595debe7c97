"""The page of initializers, docs/initializers.md, and its pictures: each draws the values of the page's example."""

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import fsum, sqrt
from textwrap import indent

import numpy as np
import yaml
from numpy.typing import NDArray
from operation_pages import format_names
from pages import render_table
from pictures import draw_bars, draw_heat_map, draw_histogram
from pydantic.fields import FieldInfo

import paramgen
from paramgen.catalog.distributions import Distribution
from paramgen.catalog.initializers import INITIALIZERS, Initializer

PICTURES = "docs/pictures/initializers"
LAYER = """\
type: fully_connected
input_size: 300
output_size: 100
initializers: {weights: INITIALIZER}
"""
FILTERS = """\
type: conv
filter_size: [3, 3]
num_channels: 8
num_filters: 8
initializers: {weights: INITIALIZER}
"""
GATES = """\
type: lstm
input_size: 8
num_hidden_units: 8
initializers: {bias: INITIALIZER}
"""
CUSTOM = """\
type: custom
parameters:
  w: {shape: SHAPE, initializer: INITIALIZER}
"""
LIST, MATRIX = CUSTOM.replace("SHAPE", "[32]"), CUSTOM.replace("SHAPE", "[24, 48]")


@dataclass(frozen=True)
class Example:
    """An initializer in a spec, without its name if that is all, and an operation that it fits."""

    initializer: str = ""
    operation: str = LAYER

    def spec(self, name: str) -> str:
        initializer = f"{{type: {name}, {self.initializer}}}" if self.initializer else name
        operation = f"name: example\n{self.operation.replace('INITIALIZER', initializer)}"
        return f"operations:\n{indent(operation, '    ').replace('    ', '  - ', 1)}"


# Of initializers that need a field, or fit only some parameters.
EXAMPLES = {
    "arange": Example("start: 1, step: 0.5", LIST),
    "bernoulli": Example("p: 0.3"),
    "constant": Example("value: 0.5", LIST),
    "delta_orthogonal": Example(operation=FILTERS),
    "dirac": Example(operation=FILTERS),
    "formula": Example('value: "${exp(-k / 8)}"', LIST),
    "identity": Example(operation=MATRIX),
    "integers": Example("low: -3, high: 4"),
    "log_uniform": Example("low: 0.01, high: 1"),
    "ones": Example(operation=LIST),
    "sinusoidal": Example("arrangement: concatenated, base: 100", MATRIX),
    "truncated_normal": Example("std: 0.02"),
    "uniform": Example("bound: 0.1"),
    "unit_forget_gate": Example(operation=GATES),
    "values": Example("values: [1, -1, 0.5, 2]", CUSTOM.replace("SHAPE", "[8, 4]")),
    "zeros": Example(operation=LIST),
}


def render_initializers() -> str:
    """Return a section per initializer: its formula, fields, and an example with its picture and numbers."""
    return "\n".join(part for model in INITIALIZERS for part in render_sections(model))


def render_sections(model: type[Initializer]) -> Iterator[str]:
    name, spec = find_example(model)
    yield f"## {format_names(model.names())}\n"
    yield f"{inspect.getdoc(model)}\n"
    yield f"**Values:** {model.formula}.\n"
    if model.reference:
        yield f"**Source:** {model.reference}.\n"
    if rows := list(list_fields(model)):
        yield render_table(["field", "default", "meaning"], rows)
    yield f"```yaml\n{spec}```\n"
    picture = f"{PICTURES.removeprefix('docs/')}/{name}.svg"
    yield f"![The values of the example with {name}]({picture})\n"
    yield render_table(["", "mean", "std", "smallest", "largest"], list_numbers(name, spec))


def list_fields(model: type[Initializer]) -> Iterator[tuple[str, str, str | None]]:
    for field, info in model.model_fields.items():
        if field != "type":
            yield f"`{field}`", format_default(info), info.description


def list_numbers(name: str, spec: str) -> Iterator[tuple[str, ...]]:
    """Yield the moments of the example's distribution, and those of its values."""
    distribution, array = draw(name, spec)
    if moments := distribution.moments():
        yield "distribution", f"{moments.mean:.3g}", f"{moments.std:.3g}", "", ""
    values = array.ravel().tolist()
    mean = fsum(values) / len(values)
    std = sqrt(fsum((value - mean) ** 2 for value in values) / len(values))
    numbers = (mean, std, min(values), max(values))
    yield f"{len(values):,} values", *(f"{number:.3g}" for number in numbers)


def render_picture(model: type[Initializer]) -> str:
    """Return the SVG of the example's values: a histogram of many, a heat map of a matrix, bars of a list."""
    name, spec = find_example(model)
    _, values = draw(name, spec)
    if values.size > 10_000:
        return draw_histogram(values.ravel().tolist())
    if values.ndim == 1 or values.shape[1:] == (1,):
        return draw_bars(values.ravel().tolist())
    if values.ndim == 4:  # a block of channels and filters for each element of the filter
        rows, columns, channels, filters = values.shape
        values = values.transpose(0, 2, 1, 3).reshape(rows * channels, columns * filters)
    return draw_heat_map(values.tolist())


def find_example(model: type[Initializer]) -> tuple[str, str]:
    """Return an initializer's name, and the text of a spec that uses it."""
    name = model.names()[0]
    return name, EXAMPLES.get(name, Example()).spec(name)


def draw(name: str, spec: str) -> tuple[Distribution, NDArray[np.float64]]:
    """Return the distribution and the values of the first parameter of a spec that has an initializer."""
    document = yaml.safe_load(spec)
    tensors = paramgen.plan(document).tensors
    (tensor, *_) = [tensor for tensor in tensors if tensor.resolved[0].initializer.type_name == name]
    return tensor.resolved[0].distribution, paramgen.sample(document, flat=True)[tensor.name].astype(np.float64)


def format_default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "-" if field.default is None else json.dumps(field.default).strip('"')
