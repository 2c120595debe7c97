"""The packages of a release: reproducible archives, a clean extension, versions, and the files that GitHub reads."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml
from check_version import VERSIONS, find_problems
from helpers import COMPILED_BACKENDS, ROOT

import paramgen

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BUILD = (
    "import os, sys; os.umask(int(sys.argv[1], 8)); from setuptools import build_meta; build_meta.build_sdist('dist')"
)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Copy what a source distribution is made of; all files are new."""
    folder = tmp_path / "sources"
    shutil.copytree(ROOT / "paramgen", folder / "paramgen", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=lambda *_: ["data", "__pycache__"])
    shutil.copytree(ROOT / "configs", folder / "configs")
    for name in ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def build_sdist(folder: Path, umask: str) -> Path:
    command = [sys.executable, "-W", "ignore", "-c", BUILD, umask]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (archive,) = (folder / "dist").glob("*.tar.gz")
    return archive


@pytest.mark.slow
def test_a_source_distribution_has_the_same_bytes_in_any_folder_and_at_any_time(sources: Path, tmp_path: Path) -> None:
    other = tmp_path / "deeper" / "in" / "a" / "tree"
    shutil.copytree(sources, other)
    for number, path in enumerate(sorted(other.rglob("*"), reverse=True)):
        path.chmod(0o700)
        os.utime(path, (1_000_000_000 + number,) * 2)
    assert build_sdist(sources, "022").read_bytes() == build_sdist(other, "077").read_bytes()


@pytest.mark.slow
def test_a_source_distribution_has_sources_only(sources: Path) -> None:
    with tarfile.open(build_sdist(sources, "022")) as archive:
        members = archive.getmembers()
    names = {member.name.partition("/")[2] for member in members}
    assert {"paramgen/sampling/kernels/kernel.h", "paramgen/py.typed", "PKG-INFO", "setup.py"} <= names
    assert {name.partition("/")[0] for name in names if "/" in name} == {"configs", "paramgen", "paramgen.egg-info"}
    assert {(member.uid, member.uname, member.mode) for member in members} == {(0, "", 0o644)}


def test_the_compiled_kernels_have_no_run_path_and_need_libc_only() -> None:
    if not COMPILED_BACKENDS or not (readelf := shutil.which("readelf")):
        pytest.skip("needs compiled kernels and readelf")
    kernels = importlib.import_module("paramgen.sampling.cpu._kernels").__file__
    dynamic = subprocess.run([readelf, "-d", str(kernels)], capture_output=True, text=True, check=True).stdout
    assert "RUNPATH" not in dynamic and "RPATH" not in dynamic
    assert all(name.startswith("libc.") for name in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("custom.github-workflows-require-timeout", WORKFLOWS),
        (
            "vendor.github-issue-forms",
            [ROOT / ".github" / "ISSUE_TEMPLATE" / name for name in ("bug.yml", "feature.yml")],
        ),
        ("vendor.github-issue-config", [ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml"]),
        ("vendor.citation-file-format", [ROOT / "CITATION.cff"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_for_github_are_valid(schema: str, files: list[Path]) -> None:
    assert files
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows_run_the_script_and_pin_actions_and_tools_by_major_version() -> None:
    texts = [path.read_text(encoding="utf-8") for path in WORKFLOWS]
    used = [name for text in texts for name in re.findall(r"uses: (\S+)", text)]
    tools = [name for text in texts for name in re.findall(r"pipx run (\S+)", text)]
    assert used and tools
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", name)] == []
    assert [name for name in tools if not re.fullmatch(r"'\w+==\d+\.\*'", name)] == []
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]["all"]["steps"]
    assert steps[-1] == {"run": ".ci/run"}


def test_ci_on_github_has_all_versions_of_python_that_the_classifiers_name() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert sorted(re.findall(r"^ {12}(3\.\d+)$", text, re.MULTILINE)) == named


def test_wheels_are_built_once_for_the_oldest_python() -> None:
    settings = PROJECT["tool"]["cibuildwheel"]
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=").replace(".", "")
    assert settings["build"] == f"cp{oldest}-*"
    assert f'"py_limited_api": "cp{oldest}"' in (ROOT / "setup.py").read_text(encoding="utf-8")
    assert any("_kernels" in command for command in settings["test-command"])


def test_versions_agree_except_for_the_changelog_between_releases() -> None:
    assert [line for line in find_problems(paramgen.__version__) if not line.startswith("CHANGELOG.md")] == []
    assert [line.partition(":")[0] for line in find_problems("0.0.0")] == list(VERSIONS)
