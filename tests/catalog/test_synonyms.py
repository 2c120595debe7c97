"""Words of PyTorch, Keras and Flax in specs: each is refused with its counterpart, which is accepted."""

from typing import Any

import pytest
import yaml
from helpers import list_problems

import paramgen
from paramgen.catalog import initializers, operations
from paramgen.catalog.initializers import read_initializer
from paramgen.catalog.operations import CustomParameter, FilterNorm, StandardOperation
from paramgen.catalog.spec_model import SpecModel
from paramgen.catalog.synonyms import (
    FIELD_SYNONYMS,
    INITIALIZER_SYNONYMS,
    OPERATION_SYNONYMS,
    PARAMETER_SYNONYMS,
)
from paramgen.language.groups import Group
from paramgen.language.parsed_spec import SpecFields

MODELS: dict[str, type[SpecModel]] = {
    model.label: model
    for model in (*operations.OPERATIONS, *initializers.INITIALIZERS, CustomParameter, FilterNorm, Group, SpecFields)
}
FIELDS = [(label, word, field) for label, words in FIELD_SYNONYMS.items() for word, field in words.items()]
PARAMETERS = [(kind, word, name) for kind, words in PARAMETER_SYNONYMS.items() for word, name in words.items()]


def example_of(kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": "a", "type": kind, **operations.OPERATIONS_BY_TYPE[kind].example, **fields}


def problem_of(operation: dict[str, Any]) -> str:
    with pytest.raises(paramgen.SpecError) as caught:
        paramgen.load_spec({"operations": [operation]})
    (problem,) = caught.value.diagnostics
    return problem.message


@pytest.mark.parametrize(("word", "kind"), OPERATION_SYNONYMS.items())
def test_types_of_operations(word: str, kind: str) -> None:
    assert word == word.lower() and word not in operations.OPERATIONS_BY_TYPE
    assert paramgen.load_spec({"operations": [example_of(kind)]})
    assert problem_of({**example_of(kind), "type": word.title()}).endswith(f"; did you mean {kind}?")


@pytest.mark.parametrize(("label", "word", "field"), FIELDS)
def test_a_synonym_of_a_field_suggests_it(label: str, word: str, field: str) -> None:
    fields = set(MODELS[label].field_names())
    assert field in fields and word not in fields
    if label in operations.OPERATIONS_BY_TYPE:
        operation = example_of(label)
        value = operation.pop(field, 1)
        message = problem_of({**operation, word: value})
        assert message == f"unknown field of {label}; did you mean {field}?"


@pytest.mark.parametrize(("kind", "word", "name"), PARAMETERS)
def test_a_synonym_of_a_parameter_suggests_it(kind: str, word: str, name: str) -> None:
    model = operations.OPERATIONS_BY_TYPE[kind]
    assert issubclass(model, StandardOperation)
    assert name in model.parameter_names() and word not in model.parameter_names()
    assert problem_of(example_of(kind, initializers={word: "zeros"})).endswith(f"; did you mean {name}?")
    with pytest.raises(paramgen.SpecError, match=rf"; did you mean {name}\?"):
        paramgen.load_spec({"defaults": {kind: {word: "zeros"}}, "operations": [example_of(kind)]})


@pytest.mark.parametrize(("word", "text"), INITIALIZER_SYNONYMS.items())
def test_a_synonym_of_an_initializer_suggests_it(word: str, text: str) -> None:
    assert word == word.lower() and word not in initializers.INITIALIZERS_BY_TYPE
    assert read_initializer(yaml.safe_load(text))
    custom = {"name": "c", "type": "custom", "parameters": {"w": {"shape": [2, 2], "initializer": word}}}
    assert problem_of(custom).endswith(f"; did you mean {text}?")


@pytest.mark.parametrize(
    ("operation", "messages"),
    [
        ("type: Linear, in_features: 3, out_features: 4", ["did you mean fully_connected?"]),
        (
            "type: conv, in_channels: 3, out_channels: 8, kernel_size: 3",
            ["did you mean num_channels?", "did you mean num_filters?", "did you mean filter_size?"],
        ),
        (
            "type: lstm, input_size: 3, hidden_size: 8",
            ["unknown field of lstm; did you mean num_hidden_units?"],
        ),
        (
            "type: fully_connected, input_size: 3, output_size: 3, initializers: {weight: kaiming_uniform_}",
            ["did you mean weights?", "did you mean {type: he, distribution: uniform}?"],
        ),
    ],
)
def test_an_operation_in_anothers_words_gets_these_suggestions(operation: str, messages: list[str]) -> None:
    lines = list_problems(f"operations: [{{name: a, {operation}}}]\n")
    assert len(lines) == len(messages)
    for line, message in zip(lines, messages, strict=True):
        assert line.endswith(message)
