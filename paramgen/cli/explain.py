"""The command `explain`, and its text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Annotated

import typer

from paramgen.cli import completion
from paramgen.cli.options import (
    DTypeOption,
    JsonOption,
    LayoutOption,
    SeedOption,
    SpecArgument,
    VariablesOption,
    load_spec,
)
from paramgen.cli.output import print_json
from paramgen.cli.tables import show_shape, terminal_width
from paramgen.messages import escape
from paramgen.units import format_number, human_bytes

if TYPE_CHECKING:
    from paramgen.analysis.explain import Explanation, ParameterExplanation, SampledValues, Setting

LABEL_WIDTH = 14

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The tensor's name in the layout, or a canonical name.",
        autocompletion=completion.complete_name,
    ),
]

Line = tuple[str, str]


def explain(
    spec: SpecArgument,
    name: NameArgument,
    seed: SeedOption = None,
    dtype: DTypeOption = None,
    layout: LayoutOption = None,
    variables: VariablesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a tensor: formula, source of each setting, some values."""
    checked = load_spec(spec, variables, seed=seed, dtype=dtype, layout=layout)
    from paramgen.analysis.explain import explain as explain_tensor

    explanation = explain_tensor(checked, name)
    if as_json:
        print_json(explanation.describe())
        return
    width = max(terminal_width(), 2 * LABEL_WIDTH)
    for label, text in _lines(explanation):
        line = f"{label:{LABEL_WIDTH}}{escape(text)}".rstrip()
        if len(line) > width:
            line = textwrap.fill(line, width, subsequent_indent=" " * LABEL_WIDTH)
        print(line)


def _lines(explanation: Explanation) -> Iterator[Line]:
    """Yield the lines of an explanation, each with its label."""
    yield (
        "tensor",
        f"{explanation.name}, {show_shape(explanation.shape)} {explanation.dtype}, " + human_bytes(explanation.nbytes),
    )
    if explanation.tied_to:
        written = "written again" if explanation.is_written else "not in the file"
        yield "", f"shares the values of {explanation.tied_to}, {written}"
    elif explanation.canonical_name is None:
        yield "", f"added by layout {explanation.layout}, no parameter of the model"
    axes = f", axes {explanation.layout_axes}" if explanation.layout_axes else ""
    for setting in explanation.settings:
        yield setting.name, _show_setting(setting, explanation.source) + (axes if setting.name == "layout" else "")
    if explanation.first_values is not None:
        yield "first values", " ".join(map(_show_value, explanation.first_values))
    for parameter in explanation.parameters:
        if parameter.name:
            yield "", ""
            yield from _parameter_lines(parameter, explanation.source)


def _show_setting(setting: Setting, file: str) -> str:
    """Return a setting with its place in the spec: 'he (model.yaml:4: defaults.conv.weights)'."""
    place = f"{file}:{setting.line}" if setting.line else ""
    path = setting.source if setting.source != setting.name or not place else ""
    return f"{setting.value} ({': '.join(filter(None, (place, path)))})"


def _show_value(value: object) -> str:
    return format_number(value) if isinstance(value, float) else str(value)


def _parameter_lines(parameter: ParameterExplanation, file: str) -> Iterator[Line]:
    sizes = "; ".join(f"{axis} = {_product(size)}" for axis, size in parameter.axis_sizes.items())
    axes = f", axes {parameter.axes}: {sizes}" if parameter.axes else ""
    yield "parameter", f"{parameter.name}, {show_shape(parameter.shape)}{axes}"
    for setting in parameter.settings:
        yield setting.name, _show_setting(setting, file)
    yield "stream", f"id {parameter.stream:#018x}"
    for index, label in enumerate(("fan_in", "fan_out")):
        if (fan := getattr(parameter, label)) is not None:
            factors = parameter.fan_factors[index] if parameter.fan_factors else (fan,)
            yield label, f"{_product(factors)} = {fan}" if len(factors) > 1 else str(fan)
    yield "rule", parameter.rule
    for number, equation in enumerate(parameter.equations):
        yield "" if number else "numbers", str(equation)
    if parameter.padding_index is not None:
        yield "", f"zero at index {parameter.padding_index} of the last axis"
    if parameter.values:
        yield from _value_lines(parameter.values, prod(parameter.shape))


def _product(factors: list[int] | tuple[int, ...]) -> str:
    return "·".join(map(str, factors))


def _value_lines(values: SampledValues, size: int) -> Iterator[Line]:
    """Yield the statistics of drawn values and of the distribution, and their histograms."""
    from paramgen.cli.file_tables import draw_histogram

    some = "all" if values.count == size else f"the first {values.count:,} of"
    if values.low == values.high:
        yield "drawn", f"{some} {size:,} values: {format_number(values.low)}"
        return
    yield "drawn", f"{some} {size:,} values: mean {values.mean:.3g}, std {values.std:.3g}"
    highest = max(*values.counts, *(values.expected_counts or ()))
    yield "", f"{draw_histogram(values.counts, highest)} {values.low:.3g} … {values.high:.3g}"
    expected = []
    if values.expected_mean is not None and values.expected_std is not None:
        expected.append(f"mean {values.expected_mean:.3g}, std {values.expected_std:.3g}")
    if values.expected_counts:
        expected.append(draw_histogram(values.expected_counts, highest))
    for number, text in enumerate(expected):
        yield "" if number else "expected", text
