"""The GitHub Action: its schema, and its steps as a runner executes them."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import ROOT, TINY

pytestmark = pytest.mark.slow

ACTION = ROOT / "action.yml"
DATA: dict[str, Any] = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = DATA["runs"]["steps"]
EXPRESSION = re.compile(r"\$\{\{ (.*?) \}\}")
OFFLINE = r"NewConnectionError|Temporary failure in name resolution|Network is unreachable|timed out"

SPEC = TINY.replace("seed: 3", "seed: 3\nvariables: {width: 5, text: a}").replace(
    "input_size: 5", 'input_size: "${width}"'
)


@dataclass
class Runner:
    """A runner with the folder of a job, its inputs, and the outputs of its steps."""

    folder: Path
    inputs: dict[str, str]
    outputs: dict[str, str] = field(default_factory=dict)

    def run(self, step: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
        """Run a step's script as GitHub does, and read its outputs."""
        output_file = self.folder / "output"
        output_file.write_text("")
        environment = {
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(output_file),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "RUNNER_ARCH": "X64",
            "RUNNER_OS": "Linux",
            "RUNNER_TEMP": str(self.folder / "temp"),
            **{name: EXPRESSION.sub(self._evaluate, value) for name, value in step.get("env", {}).items()},
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        self.outputs |= {
            f"steps.{step.get('id')}.outputs.{name}": value for name, value in read_outputs(output_file.read_text())
        }
        return done

    def _evaluate(self, expression: "re.Match[str]") -> str:
        name = expression[1]
        return self.inputs[name.removeprefix("inputs.")] if name.startswith("inputs.") else self.outputs[name]


def read_outputs(text: str) -> list[tuple[str, str]]:
    """Return the names and values that a step wrote to GITHUB_OUTPUT, in either form."""
    return [
        (name, value or block)
        for name, value, _, block in re.findall(r"^(\w+)(?:=(.*)|<<(\w+)\n((?:.*\n)*?.*)\n\3)$", text, re.MULTILINE)
    ]


StartRunner = Callable[..., Runner]


@pytest.fixture
def start_runner(tmp_path: Path) -> StartRunner:
    """Return a runner whose cache has the installed paramgen, so that only `run` steps with a cache remain."""

    def start(**inputs: str) -> Runner:
        defaults = {name: item.get("default", "") for name, item in DATA["inputs"].items()}
        runner = Runner(tmp_path, {**defaults, "spec": "model.yaml", **inputs})
        (tmp_path / "model.yaml").write_text(SPEC)
        programs = tmp_path / "temp" / "paramgen-action" / "bin"
        programs.mkdir(parents=True)
        for name, module in {"paramgen": '-m paramgen "$@"', "python": '"$@"'}.items():
            (programs / name).write_text(f"#!/bin/sh\nexec {sys.executable} {module}\n")
            (programs / name).chmod(0o755)
        assert runner.run(find_step("environment")).returncode == 0
        return runner

    return start


def find_step(step_id: str) -> dict[str, Any]:
    return next(step for step in STEPS if step.get("id") == step_id)


def test_the_action_fits_githubs_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions", str(ACTION)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_input_becomes_part_of_a_command() -> None:
    scripts = [step["run"] for step in STEPS if "run" in step]
    assert len(scripts) == 3
    assert not any("${{" in script for script in scripts)
    assert {"spec", "output", "set"} == {
        name for step in STEPS for text in step.get("env", {}).values() for name in re.findall(r"inputs\.(\w+)", text)
    }


def test_a_build_reports_its_path_and_digest(start_runner: StartRunner) -> None:
    runner = start_runner()
    done = runner.run(find_step("build"))
    assert (done.returncode, done.stderr) == (0, "")
    data = (runner.folder / "params.safetensors").read_bytes()
    outputs = {name: EXPRESSION.sub(runner._evaluate, item["value"]) for name, item in DATA["outputs"].items()}
    assert outputs == {"path": "params.safetensors", "sha256": hashlib.sha256(data).hexdigest()}


def test_variables_are_set_one_in_a_line(start_runner: StartRunner) -> None:
    runner = start_runner(set="width=7\n\ntext=two words\n", output="a folder/")
    done = runner.run(find_step("build"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (runner.folder / "a folder" / "model.safetensors").exists()
    assert '"total_parameters": 32' in done.stdout


HOSTILE = [
    "$(touch hacked)",
    "`touch hacked`",
    "; touch hacked",
    '"; touch hacked; "',
    "'; touch hacked; '",
    "a\nkey=1",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_inputs_are_not_run(start_runner: StartRunner, text: str) -> None:
    output = text.replace("/", "")
    runner = start_runner(spec=f"{output}.yaml", output=output, set=f"text={text}")
    (runner.folder / f"{output}.yaml").write_text(SPEC)
    assert runner.run(find_step("build")).returncode in (0, 2)  # some are not values of a variable
    runner.inputs["set"] = ""
    done = runner.run(find_step("build"))
    assert (done.returncode, done.stderr) == (0, "")
    assert runner.outputs["steps.build.outputs.path"] == output
    assert {name for name in runner.outputs if name.startswith("steps.build.")} == {
        "steps.build.outputs.path",
        "steps.build.outputs.sha256",
    }
    assert not (runner.folder / "hacked").exists()


def test_an_option_as_a_spec_is_a_file_name(start_runner: StartRunner) -> None:
    runner = start_runner(spec="--version")
    done = runner.run(find_step("build"))
    assert (done.returncode, done.stderr) == (3, "--version: No such file or directory\n")


def test_an_error_of_the_spec_fails_the_step(start_runner: StartRunner) -> None:
    runner = start_runner(set="width=-1")
    done = runner.run(find_step("build"))
    assert done.returncode == 2
    assert done.stderr == "model.yaml:4:54: operations[0].input_size: must be a positive integer, got -1 (${width})\n"
    assert not [name for name in runner.outputs if name.startswith("steps.build.")]


def test_the_key_of_the_cache_changes_with_the_code(start_runner: StartRunner, tmp_path: Path) -> None:
    runner = start_runner()
    key = runner.outputs["steps.environment.outputs.key"]
    assert re.fullmatch(r"paramgen-Linux-X64-[0-9a-f]{64}", key)
    action = tmp_path / "action"
    (action / "paramgen").mkdir(parents=True)
    keys = set()
    for text in ("a", "b", "a"):
        for name in ("pyproject.toml", "setup.py"):
            (action / name).write_text("")
        (action / "paramgen" / "a.py").write_text(text)
        step = {**find_step("environment"), "env": {"GITHUB_ACTION_PATH": str(action)}}
        assert runner.run(step).returncode == 0
        keys.add(runner.outputs["steps.environment.outputs.key"])
    assert len(keys | {key}) == 3


def test_the_action_installs_itself(tmp_path: Path) -> None:
    """Run all scripts with an empty cache. Without a compiler, which a build of a few numbers does not need."""
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    runner = Runner(folder, {"spec": "model.yaml", "output": "a.safetensors", "set": "", "cache": "false"})
    (folder / "model.yaml").write_text(SPEC)
    sources = tmp_path / "sources"
    shutil.copytree(ROOT, sources, ignore=shutil.ignore_patterns(".*", "*.so", "*.egg-info", "build", "tests"))
    for step in STEPS:
        if "run" in step:
            environment = {"GITHUB_ACTION_PATH": str(sources), "CC": "false", "PYTHONPATH": ""}
            done = runner.run({**step, "env": {**step.get("env", {}), **environment}})
            if done.returncode and re.search(OFFLINE, done.stderr):
                pytest.skip("the package index cannot be reached")
            assert done.returncode == 0, done.stderr
    assert (folder / "a.safetensors").exists()
    assert len(runner.outputs["steps.build.outputs.sha256"]) == 64
