"""Refusals by the command line: words of other tools, with a suggestion of ours, and errors of any command."""

import sys

import pytest
import typer
from helpers import CONFIGS, list_problems

from paramgen.catalog.frameworks import CONVENTION_NAMES, LAYOUT_NAMES
from paramgen.catalog.synonyms import DEVICE_SYNONYMS, DTYPE_SYNONYMS, FRAMEWORK_SYNONYMS
from paramgen.cli import commands
from paramgen.dtypes import DTYPES
from paramgen.errors import FileError
from paramgen.sampling.devices import BACKEND_MODULES

CHOICES = [
    ("--dtype", "fp16", "float16"),
    ("--dtype", "half", "float16"),
    ("--dtype", "BF16", "bfloat16"),
    ("--layout", "pytorch", "torch"),
    ("--layout", "tensorflow", "keras"),
    ("--layout", "jax", "flax"),
    ("--device", "cuda", "gpu"),
    ("--device", "cuda:1", "gpu:1"),
    ("--device", "cuda:0,cuda:1", "gpu:0,gpu:1"),
]


@pytest.mark.parametrize(("option", "word", "meant"), CHOICES)
def test_a_choice_is_suggested_in_our_words(
    option: str, word: str, meant: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["paramgen", "build", str(CONFIGS[0]), option, word])
    assert commands.run() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"; did you mean {meant}?" in line


@pytest.mark.parametrize(
    ("field", "word", "meant"),
    [
        ("dtype", "fp16", "float16"),
        ("layout", "pytorch", "torch"),
        ("conventions", "jax", "flax"),
        ("conventions", "mathworks", "matlab"),
    ],
)
def test_a_spec_gets_the_same_suggestions(field: str, word: str, meant: str) -> None:
    (problem,) = list_problems(f"{field}: {word}\noperations: [{{name: a, type: prelu}}]\n")
    assert problem.endswith(f"; did you mean {meant}?")


def test_a_synonym_of_a_word_that_does_not_fit_is_not_suggested() -> None:
    (problem,) = list_problems("layout: mathworks\noperations: [{name: a, type: prelu}]\n")
    assert "did you mean" not in problem


@pytest.mark.parametrize(
    ("synonyms", "known"),
    [
        (DTYPE_SYNONYMS, set(DTYPES)),
        (FRAMEWORK_SYNONYMS, {*LAYOUT_NAMES, *CONVENTION_NAMES}),
        (DEVICE_SYNONYMS, set(BACKEND_MODULES)),
    ],
    ids=["dtypes", "frameworks", "devices"],
)
def test_synonyms_lead_to_words_that_exist(synonyms: dict[str, str], known: set[str]) -> None:
    assert set(synonyms.values()) <= known
    assert not synonyms.keys() & known


def test_errors_and_statuses_of_a_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Add a command, as a subcommand would be: a function that raises its errors or returns its exit status."""

    def check(name: str) -> int:
        if name == "disk":
            raise OSError("full")
        if name == "file":
            raise FileError("x: not a safetensors file")
        if name == "memory":
            raise MemoryError("1 PB")
        return 1

    app = typer.Typer(add_completion=False)
    app.callback()(lambda: None)
    app.command()(check)
    monkeypatch.setattr(commands, "app", app)
    reported = []
    for name in ("disk", "file", "memory", "other"):
        monkeypatch.setattr(sys, "argv", ["paramgen", "check", name])
        reported.append((commands.run(), capsys.readouterr().err))
    assert reported == [
        (3, "standard output: full\n"),
        (3, "x: not a safetensors file\n"),
        (3, "out of memory: 1 PB\n"),
        (1, ""),
    ]
