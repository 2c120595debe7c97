"""Every code block of the README and the docs does what it shows."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))

from snippets import Snippet, snippets

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FIRST_SPEC = next(snippet.text for snippet in snippets(ROOT / "README.md") if snippet.language == "yaml")


@dataclass(frozen=True)
class Place:
    """A folder with configs/, the page's first spec as model.yaml, and the commands of this Python."""

    folder: Path
    simulated_gpus: Callable[[], dict[str, str]]

    def shell(self, command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONWARNINGS": "error", **environment}
        return subprocess.run(
            ["sh", "-ec", command], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )


def run_shell(snippet: Snippet, place: Place) -> None:
    done = place.shell(snippet.text)
    assert (done.returncode, done.stderr) == (0, "")


def run_session(snippet: Snippet, place: Place) -> None:
    """What a command prints is compared if the page shows it; times are not."""
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", snippet.text, re.MULTILINE):
        done = place.shell(command)
        assert (done.returncode, done.stderr) == (0, "")
        if expected:
            assert re.sub(r"in \d+\.\d\d s", "in 0.01 s", done.stdout) == expected


def run_devices(snippet: Snippet, place: Place) -> None:
    """The names and columns; the rest depends on the machine."""
    command, *expected = snippet.text.splitlines()
    shown = place.shell(command.removeprefix("$ ")).stdout.splitlines()
    assert shown[0].split() == expected[0].split()
    assert [line.split()[0].partition(":")[0] for line in shown[1:3]] == [line.split()[0] for line in expected[1:]]


def run_python(snippet: Snippet, place: Place) -> None:
    run_code(snippet.text, place)


def run_python_with_gpus(snippet: Snippet, place: Place) -> None:
    start = 'import paramgen\nspec = paramgen.load_spec("model.yaml")\nparamgen.build(spec, "params.safetensors")\n'
    run_code(start + snippet.text, place, **place.simulated_gpus())


def run_code(code: str, place: Place, **environment: str) -> None:
    done = place.shell('python -W error -c "$CODE"', CODE=code, **environment)
    assert (done.returncode, done.stderr) == (0, "")


def plan_spec(snippet: Snippet, place: Place) -> None:
    (place.folder / "snippet.yaml").write_text(snippet.text)
    done = place.shell("paramgen plan snippet.yaml")
    assert (done.returncode, done.stderr) == (0, "")


def run_pipeline(snippet: Snippet, place: Place) -> None:
    """The script of the job, in an environment that has paramgen already."""
    ((_, job),) = yaml.safe_load(snippet.text).items()
    install = "pip install ./paramgen && "
    assert job["script"][0].startswith(install)
    for command in job["script"]:
        done = place.shell(command.removeprefix(install))
        assert (done.returncode, done.stderr) == (0, "")


WRONG = """\
seed: 42
operations:
  - name: conv1
    type: conv
    filter_size: [5, 5]
    num_filters: -5
    num_channels: 3
  - name: conv2
    type: conv
    filter_size: 5
    num_filter: 6
    num_channels: 3
"""
WRONG_IN_GROUP = """\
operations:
  - {name: norm, type: layer_norm, num_channels: 4}
  - name: encoder
    repeat: 3
    as: i
    operations:
      - name: dense
        input_size: ${2 - i}
        type: fully_connected
        output_size: 4
"""


def report_errors(snippet: Snippet, place: Place) -> None:
    spec = WRONG_IN_GROUP if "encoder" in snippet.text else WRONG
    (place.folder / "model.yaml").write_text(spec)
    done = place.shell("paramgen plan model.yaml")
    assert (done.returncode, done.stderr) == (2, snippet.text)


def names_what_exists(snippet: Snippet, place: Place) -> None:
    """Extras, markers and scripts; the commands themselves install packages or need a GPU."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    markers = {re.split(r"\W", marker)[0] for marker in project["tool"]["pytest"]["ini_options"]["markers"]}
    extras = [extra for found in re.findall(r"\.\[(.*?)\]", snippet.text) for extra in found.split(",")]
    scripts = re.findall(r"python (\S+\.py)", snippet.text)
    assert extras or scripts
    assert set(extras) <= set(project["project"]["optional-dependencies"])
    assert set(re.findall(r"pytest -m (\w+)", snippet.text)) <= markers
    assert all((ROOT / script).exists() for script in scripts)


def is_run_by_ci(snippet: Snippet, place: Place) -> None:
    """All its tools; the commands themselves change files of the checkout."""
    tools = re.findall(r"\.venv/bin/(?:python )?\S+", snippet.text)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert tools and all(tool in script for tool in tools)


Runner = Callable[[Snippet, Place], None]

BY_LANGUAGE: dict[str, Runner] = {
    "console": run_session,
    "python": run_python,
    "sh": run_shell,
    "text": report_errors,
    "yaml": plan_spec,
}
# What is not run by its language alone: by page, section and language, what runs it, or the file that does.
SPECIAL: dict[tuple[str, str, str], Runner | str] = {
    ("README.md", "In CI", "yaml"): run_pipeline,
    ("README.md", "Set up", "sh"): ".ci/run",
    ("README.md", "Tests", "sh"): ".ci/run",
    ("README.md", "Whole models", "python"): "tests/frameworks/test_documented_loading.py",
    ("CONTRIBUTING.md", "Before a commit", "sh"): is_run_by_ci,
    ("docs/gpu.md", "Python", "python"): run_python_with_gpus,
    ("docs/gpu.md", "Set up", "console"): run_devices,
    ("docs/gpu.md", "Set up", "sh"): names_what_exists,
    ("docs/gpu.md", "What has been tried where", "sh"): names_what_exists,
    ("docs/layouts.md", "Loading", "python"): "tests/frameworks/test_documented_loading.py",
}


def key(page: Path, snippet: Snippet) -> tuple[str, str, str]:
    return page.relative_to(ROOT).as_posix(), snippet.section, snippet.language


# A block without a language is a drawing.
ALL = [(page, snippet) for page in PAGES for snippet in snippets(page) if snippet.language]
HERE = [
    pytest.param(page, snippet, id=f"{key(page, snippet)[0]}:{snippet.line}")
    for page, snippet in ALL
    if not isinstance(SPECIAL.get(key(page, snippet)), str)
]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "snippet"), HERE)
def test_snippet(page: Path, snippet: Snippet, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    specs = [other.text for other in snippets(page) if other.language == "yaml"]
    (tmp_path / "model.yaml").write_text(specs[0] if specs else FIRST_SPEC)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    runner = SPECIAL.get(key(page, snippet)) or BY_LANGUAGE[snippet.language]
    assert callable(runner)
    runner(snippet, Place(tmp_path, lambda: request.getfixturevalue("simulated_gpus")))


def test_special_snippets_exist() -> None:
    assert set(SPECIAL) <= {key(page, snippet) for page, snippet in ALL}
    for (page, section, _), runner in SPECIAL.items():
        if isinstance(runner, str):
            text = (ROOT / runner).read_text(encoding="utf-8")
            assert section in text and Path(page).name in text


def test_the_digest_in_ci_is_that_of_the_session() -> None:
    assert len(FIRST_SPEC.splitlines()) == 8
    digests = re.findall(r"\b[0-9a-f]{64}\b", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(digests) == 2 and len(set(digests)) == 1


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target
