"""Every code block of the README and the docs runs and gives the output it shows.

`pytest -n 0 --update-golden tests/test_readme.py` writes the output of the shown commands to the pages.
"""

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
from helpers import ROOT
from snippets import Snippet, snippets

import paramgen
from paramgen import limits

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FIRST_SPEC = next(snippet.text for snippet in snippets(ROOT / "README.md") if snippet.language == "yaml")


@dataclass(frozen=True)
class Place:
    """A folder with configs/ and the README's first spec as model.yaml, where snippets run."""

    folder: Path
    simulated_gpus: Callable[[], dict[str, str]]
    page_to_update: Path | None = None

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
    """Compare a command's output, errors included, with what the page shows; ignore times."""
    for command, expected in re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", snippet.text, re.MULTILINE):
        done = place.shell(command)
        shown = re.sub(r"in \d+\.\d\d s", "in 0.01 s", done.stdout + done.stderr)
        if page := place.page_to_update:
            text = page.read_text(encoding="utf-8")
            page.write_text(text.replace(f"$ {command}\n{expected}", f"$ {command}\n{shown}", 1), encoding="utf-8")
        elif expected:
            assert shown == expected
        else:
            assert (done.returncode, done.stderr) == (0, "")


def run_devices(snippet: Snippet, place: Place) -> None:
    """Compare the columns and the names of devices; the rest depends on the machine."""
    command, *expected = snippet.text.splitlines()
    shown = place.shell(command.removeprefix("$ ")).stdout.splitlines()
    assert shown[0].split() == expected[0].split()
    assert [line.split()[0].partition(":")[0] for line in shown[1:3]] == [line.split()[0] for line in expected[1:]]


def run_python(snippet: Snippet, place: Place) -> None:
    run_code(snippet.text, place)


START = """\
import paramgen
spec = paramgen.load_spec("model.yaml")
paramgen.build(spec, "params.safetensors")
params = paramgen.sample(spec)
"""


def run_excerpt(snippet: Snippet, place: Place) -> None:
    run_code(START + snippet.text, place)


def run_excerpt_with_gpus(snippet: Snippet, place: Place) -> None:
    run_code(START + snippet.text, place, **place.simulated_gpus())


def run_code(code: str, place: Place, **environment: str) -> None:
    done = place.shell('python -W error -c "$CODE"', CODE=code, **environment)
    assert (done.returncode, done.stderr) == (0, "")


def run_framework(snippet: Snippet, place: Place) -> None:
    """Run Python that may warn and show progress, as frameworks do."""
    done = place.shell('python -c "$CODE"', CODE=snippet.text, PYTHONWARNINGS="ignore", KERAS_BACKEND="jax")
    assert done.returncode == 0, done.stderr


def plan_spec(snippet: Snippet, place: Place) -> None:
    """Plan a spec. A first comment `# NAME.yaml` names its file for the rest of the page."""
    named = re.match(r"# (\S+\.yaml)\n", snippet.text)
    file = named[1] if named else "snippet.yaml"
    (place.folder / file).write_text(snippet.text)
    assert paramgen.plan(place.folder / file).tensors


def save_wrong_spec(snippet: Snippet, place: Place) -> None:
    """Save an invalid spec. The page shows its errors next."""
    (place.folder / snippet.text.splitlines()[0].removeprefix("# ")).write_text(snippet.text)


def run_pipeline(snippet: Snippet, place: Place) -> None:
    """Run the commands of a CI job, except the installation."""
    ((_, job),) = yaml.safe_load(snippet.text).items()
    install = "pip install ./paramgen"
    assert install in job["script"]
    for command in job["script"]:
        if command != install:
            done = place.shell(command)
            assert (done.returncode, done.stderr) == (0, "")


def run_tests(snippet: Snippet, place: Place) -> None:
    """Run a module of tests."""
    (place.folder / "test_snippet.py").write_text(snippet.text)
    done = place.shell("python -m pytest -q -p no:xdist test_snippet.py")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def fits_workflow_schema(snippet: Snippet, place: Place) -> None:
    """Check a workflow against GitHub's schema, and its use of the action against the action's inputs and outputs."""
    (place.folder / "workflow.yaml").write_text(snippet.text)
    done = place.shell("python -m check_jsonschema --builtin-schema vendor.github-workflows workflow.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    ((_, job),) = yaml.safe_load(snippet.text)["jobs"].items()
    (use,) = (step for step in job["steps"] if "/paramgen@" in step.get("uses", ""))
    assert set(use["with"]) <= set(action["inputs"])
    assert set(re.findall(r"outputs\.(\w+)", snippet.text)) <= set(action["outputs"])


def names_a_hook(snippet: Snippet, place: Place) -> None:
    """Compare the hooks of a configuration of pre-commit with those of this repository."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    (repository,) = yaml.safe_load(snippet.text)["repos"]
    assert {hook["id"] for hook in repository["hooks"]} == {hook["id"] for hook in hooks}


def is_a_formula(snippet: Snippet, place: Place) -> None:
    """Do nothing: the answers of tests/test_frozen.py come from the page's formulas."""


def is_a_drawing(snippet: Snippet, place: Place) -> None:
    """Do nothing: a block without a language is a drawing."""


def names_what_exists(snippet: Snippet, place: Place) -> None:
    """Check the names of extras, markers and scripts; the commands install packages or need a GPU."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    markers = {re.split(r"\W", marker)[0] for marker in project["tool"]["pytest"]["ini_options"]["markers"]}
    extras = [extra for found in re.findall(r"\.\[(.*?)\]", snippet.text) for extra in found.split(",")]
    scripts = re.findall(r"python (\S+\.py)", snippet.text)
    assert extras or scripts
    assert set(extras) <= set(project["project"]["optional-dependencies"])
    assert set(re.findall(r"pytest -m (\w+)", snippet.text)) <= markers
    assert all((ROOT / script).exists() for script in scripts)


def names_packages(snippet: Snippet, place: Place) -> None:
    """Compare packages with the README's; installing them needs the system's package manager."""
    (packages,) = re.findall(r"apt-get install -y (.*)", snippet.text)
    assert packages in (ROOT / "README.md").read_text(encoding="utf-8")


def is_run_by_ci(snippet: Snippet, place: Place) -> None:
    """Check that CI runs all tools; the commands themselves change files of the checkout."""
    tools = re.findall(r"\.venv/bin/(?:python )?\S+", snippet.text)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert tools and all(tool in script for tool in tools)


Runner = Callable[[Snippet, Place], None]

BY_LANGUAGE: dict[str, Runner] = {
    "": is_a_drawing,
    "console": run_session,
    "python": run_python,
    "sh": run_shell,
    "yaml": plan_spec,
}
# Exceptions by page, section and language: a function, or the file that runs the snippet.
SPECIAL: dict[tuple[str, str, str], Runner | str] = {
    ("README.md", "Install", "sh"): ".ci/run",
    ("README.md", "Load it", "python"): "tests/frameworks/test_documented_loading.py",
    ("README.md", "Tests", "sh"): ".ci/run",
    ("CONTRIBUTING.md", "Before a commit", "sh"): is_run_by_ci,
    ("docs/gpu.md", "Python", "python"): run_excerpt_with_gpus,
    ("docs/gpu.md", "GPUs", "console"): run_devices,
    ("docs/gpu.md", "Set up", "sh"): names_what_exists,
    ("docs/gpu.md", "How it is tested", "sh"): names_what_exists,
    ("docs/how-to/shell.md", "Install completion", "sh"): "tests/cli/test_completion.py",
    ("docs/how-to/remote.md", "Set up", "sh"): names_what_exists,
    ("docs/how-to/remote.md", "Build and check", "console"): "tests/test_s3.py",
    ("docs/how-to/remote.md", "Credentials and options", "console"): "tests/test_s3.py",
    ("docs/how-to/remote.md", "Python", "python"): "tests/storage/test_remote.py",
    ("docs/how-to/ci.md", "GitHub Actions", "yaml"): fits_workflow_schema,
    ("docs/how-to/ci.md", "GitLab CI", "yaml"): run_pipeline,
    ("docs/how-to/ci.md", "In a test suite", "python"): run_tests,
    ("docs/how-to/ci.md", "A model from its configuration", "python"): run_tests,
    ("docs/how-to/ci.md", "Replace a downloaded checkpoint", "python"): "tests/frameworks/test_ci_page.py",
    ("docs/how-to/ci.md", "Validate specs before a commit", "yaml"): names_a_hook,
    ("docs/how-to/editors.md", "Neovim", "lua"): "tests/editors/test_editors.py",
    ("docs/how-to/editors.md", "VS Code", "json"): "tests/editors/test_editors.py",
    **{
        ("docs/how-to/scale.md", snippet.section, snippet.language): "tests/distributed/test_documented_scale.py"
        for snippet in snippets(ROOT / "docs" / "how-to" / "scale.md")
    },
    ("docs/layouts.md", "Loading", "python"): "tests/frameworks/test_documented_loading.py",
    **{
        ("docs/python.md", name, "python"): run_excerpt
        for name in (
            "build",
            "check",
            "diff",
            "digest",
            "explain",
            "import_file",
            "verify",
            "initialize",
            "inspect",
            "load",
            "load_spec",
            "plan",
            "sample",
            "Spec",
        )
    },
    ("docs/python.md", "import_model", "python"): "tests/importing/test_keras_and_flax.py",
    ("docs/python.md", "to_torch", "python"): "tests/test_torch.py",
    ("docs/python.md", "to_cpu", "python"): run_excerpt_with_gpus,
    ("docs/python.md", "to_gpu", "python"): run_excerpt_with_gpus,
    **{
        ("docs/stream.md", section, "text"): is_a_formula
        for section in (
            "From words to values",
            "Logarithm",
            "Norms",
            "Orthogonal matrices",
            "Random words",
            "The numbers of the plan",
        )
    },
    ("docs/stream.md", "Coefficients", "text"): "tools/generate.py",
    **{
        ("docs/troubleshooting.md", snippet.section, "yaml"): save_wrong_spec
        for snippet in snippets(ROOT / "docs" / "troubleshooting.md")
        if snippet.language == "yaml"
    },
    ("docs/troubleshooting.md", "Builds are slow, and a warning mentions NumPy", "sh"): names_packages,
    ("docs/tutorial.md", "1. Install", "sh"): names_what_exists,
}


def key(page: Path, snippet: Snippet) -> tuple[str, str, str]:
    return page.relative_to(ROOT).as_posix(), snippet.section, snippet.language


def frameworks_of(snippet: Snippet) -> tuple[str, ...]:
    """Return the frameworks that a snippet of Python imports, or that an import of a model needs."""
    if re.search(r"paramgen import ([\w-]+/config\.json|\w+:\w+)", snippet.text):
        return "torch", "transformers"
    found = re.findall(
        r"^(?:import|from) (diffusers|flax|jax|keras|peft|safetensors\.torch|torch|transformers)\b", snippet.text, re.M
    )
    return tuple(dict.fromkeys("torch" if "torch" in name else name for name in found))


def run_snippets(page: Path, chosen: list[Snippet], place: Place) -> None:
    (place.folder / "model.yaml").write_text(FIRST_SPEC)
    (place.folder / "configs").symlink_to(ROOT / "configs")
    for snippet in chosen:
        runner = SPECIAL.get(key(page, snippet)) or BY_LANGUAGE[snippet.language]
        if isinstance(runner, str):
            continue
        if snippet.language == "python" and runner is not run_tests and frameworks_of(snippet):
            runner = run_framework
        try:
            runner(snippet, place)
        except AssertionError as error:
            raise AssertionError(f"{page.relative_to(ROOT)}:{snippet.line}: {error}") from error


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    page = request.node.callspec.params["page"] if request.config.getoption("--update-golden") else None
    return Place(tmp_path, lambda: request.getfixturevalue("simulated_gpus"), page)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_snippets_of_a_page_run_as_shown(page: Path, place: Place) -> None:
    """Run the page's snippets in order in one folder, except those that need a framework."""
    run_snippets(page, [snippet for snippet in snippets(page) if not frameworks_of(snippet)], place)


WITH_FRAMEWORKS = [
    pytest.param(
        page,
        snippet,
        id=f"{page.stem}:{snippet.line}",
        marks=pytest.mark.frameworks(*frameworks_of(snippet)),
    )
    for page in PAGES
    for snippet in snippets(page)
    if frameworks_of(snippet) and SPECIAL.get(key(page, snippet)) in (None, run_tests)
]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "snippet"), WITH_FRAMEWORKS)
def test_a_snippet_with_frameworks_runs(page: Path, snippet: Snippet, place: Place) -> None:
    before = [
        other
        for other in snippets(page)
        if other.line < snippet.line and not (other.language == "python" and frameworks_of(other))
    ]
    run_snippets(page, [*before, snippet], place)


def test_special_snippets_exist() -> None:
    assert set(SPECIAL) <= {key(page, snippet) for page in PAGES for snippet in snippets(page)}
    for (page, section, _), runner in SPECIAL.items():
        if isinstance(runner, str):
            text = (ROOT / runner).read_text(encoding="utf-8")
            assert section.casefold() in text.casefold() and Path(page).name in text


def test_the_readme_is_short_and_starts_with_what_readers_need() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 700
    assert len(FIRST_SPEC.splitlines()) == 8
    first_screen = text[: text.index("## Install")]
    assert FIRST_SPEC in first_screen and "model.safetensors: 7 tensors" in first_screen
    assert first_screen.count("\n") < 40


def test_the_index_of_the_docs_links_every_page_in_one_line() -> None:
    index = ROOT / "docs" / "README.md"
    linked = re.findall(r"^- \[.*?\]\(([^)#]*)\): .*\.$", index.read_text(encoding="utf-8"), re.MULTILINE)
    pages = {*PAGES} - {index}
    assert {(index.parent / target).resolve() for target in linked} == pages
    assert len(linked) == len(pages)


def test_digests_of_the_first_spec_agree() -> None:
    """Compare the digests of all pages, except those of another seed, which errors show."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    digests = [digest for text in texts for digest in re.findall(r"(?<!got )\b[0-9a-f]{64}\b", text)]
    assert len(digests) >= 2 and len(set(digests)) == 1


def test_limits_of_the_page_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8").partition("## Limits")[2]
    values = {
        name: value for name, value in vars(limits).items() if name.startswith("MAX_") and name != "MAX_DIAGNOSTICS"
    }
    values["MAX_FILE_BYTES"] //= 2**20
    assert len(values) > 10
    assert [name for name, value in values.items() if not re.search(rf"\b{value:,}\b", text)] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_named_files_exist(path: Path) -> None:
    for name in re.findall(r"`((?:benchmarks|configs|schemas|tests|tools)/[^` *]*)`", path.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", path.read_text(encoding="utf-8")):
        page = path.parent / target if target else path
        assert page.exists(), target
        headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in [
            re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
        ]
