"""The command `validate`, and the hook for pre-commit that runs it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from golden import Golden
from helpers import CONFIGS, ROOT, TINY, Run

from paramgen.cli import commands

HOOK = "paramgen-validate"
WRONG = "operations:\n- {name: a, type: conv, filter_size: 3, num_filter: 4}\n- {name: b, type: cnv}\n"
COPIES = "files: {a.txt: absent.txt}\noperations: [{name: a, type: prelu}]\n"
OFFLINE = r"NewConnectionError|Temporary failure in name resolution|Network is unreachable|timed out"

Validate = Callable[..., tuple[int, str, str]]


@pytest.fixture
def validate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Validate:
    """Run `validate` in tmp_path, which has specs with and without errors."""
    monkeypatch.chdir(tmp_path)
    specs = {"tiny": TINY, "wrong": WRONG, "copies": COPIES, "no-yaml": "a: [\n"}
    for name, text in specs.items():
        Path(f"{name}.yaml").write_text(text)

    def run(*paths: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["paramgen", "validate", *paths])
        return commands.run(), *capsys.readouterr()

    return run


def test_errors_of_all_specs_are_reported(validate: Validate, golden: Golden) -> None:
    status, out, err = validate("wrong.yaml", "tiny.yaml", "no-yaml.yaml", "copies.yaml")
    assert (status, out) == (2, "")
    missing = validate("tiny.yaml", "absent.yaml", "wrong.yaml")
    assert missing[0] == 3
    golden(err, missing[2])


def test_valid_specs(validate: Validate) -> None:
    assert validate("tiny.yaml") == (0, "1 spec: valid\n", "")
    assert validate(*map(str, CONFIGS)) == (0, f"{len(CONFIGS)} specs: valid\n", "")


def test_a_spec_is_needed(run: Run) -> None:
    done = run("validate")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "paramgen validate: missing argument 'SPEC'; see paramgen validate --help\n"


def test_the_hook_runs_a_command_that_exists() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["id"] == HOOK
    assert hook["entry"] in [f"paramgen {command.__name__}" for command in commands.COMMANDS]


@pytest.mark.slow
def test_pre_commit_installs_and_runs_the_hook(tmp_path: Path) -> None:
    if subprocess.run([sys.executable, "-m", "pre_commit", "--version"], capture_output=True, check=False).returncode:
        pytest.skip("pre-commit is not installed (the test extra)")
    hooks, project = tmp_path / "hooks", tmp_path / "project"
    environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "home"), "GIT_CONFIG_GLOBAL": os.devnull}
    environment["CC"] = "false"  # a compiler is not needed to validate

    def run_git(folder: Path, *arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout

    def commit(folder: Path) -> str:
        for arguments in (["init"], ["add", "--all"], ["commit", "--message=first"]):
            run_git(folder, *arguments)
        return run_git(folder, "rev-parse", "HEAD").strip()

    def run_hook(*files: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pre_commit", "run", "--files", *files]
        return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)

    shutil.copytree(
        ROOT, hooks, ignore=shutil.ignore_patterns(".*_cache", ".git", ".venv", "*.so", "*.egg-info", "build", "tests")
    )
    project.mkdir()
    use = {"repo": str(hooks), "rev": commit(hooks), "hooks": [{"id": HOOK, "files": "^specs/"}]}
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [use]}))
    (project / "specs").mkdir()
    for name, text in {
        "specs/tiny.yaml": TINY,
        "specs/wrong.yaml": WRONG,
        "others.yaml": "a: 1",
        "specs/a.txt": ":",
    }.items():
        (project / name).write_text(text)
    commit(project)

    done = run_hook("specs/tiny.yaml", "others.yaml", "specs/a.txt")
    if done.returncode and re.search(OFFLINE, done.stdout):
        pytest.skip("the package index cannot be reached")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Passed" in done.stdout
    done = run_hook("specs/tiny.yaml", "specs/wrong.yaml")
    assert done.returncode == 1
    assert "exit code: 2" in done.stdout
    assert (
        "specs/wrong.yaml:2:41: operations[0].num_filter: unknown field of conv; did you mean num_filters?"
        in done.stdout
    )
    assert "specs/wrong.yaml:3:19: operations[1].type: unknown type" in done.stdout
