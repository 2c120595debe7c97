"""The README and docs show what the commands print."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Run

README = (ROOT / "README.md").read_text()
SPEC = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)[0]


def test_the_session_is_real(run: Run, tmp_path: Path) -> None:
    assert len(SPEC.splitlines()) == 8
    (tmp_path / "model.yaml").write_text(SPEC)
    (session,) = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for command, expected in re.findall(r"\$ (.*)\n((?:(?!\$ ).*\n)*)", session):
        if command.startswith("paramgen "):
            done = run(*command.split()[1:])
            assert (done.returncode, done.stderr) == (0, "")
            shown = re.sub(r"in \d+\.\d\d s", "in 0.01 s", done.stdout)
        else:
            assert command == "sha256sum params.safetensors"
            digest = hashlib.sha256((tmp_path / "params.safetensors").read_bytes()).hexdigest()
            shown = f"{digest}  params.safetensors\n"
            assert README.count(digest) == 2
        assert shown == expected


def test_the_python_example_runs(tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text(SPEC)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True)
    assert sorted(os.listdir(tmp_path)) == ["model.yaml", "params.safetensors"]


def test_the_example_of_the_docs(run: Run, tmp_path: Path) -> None:
    docs = (ROOT / "docs" / "spec.md").read_text()
    (tmp_path / "model.yaml").write_text(re.findall(r"```yaml\n(.*?)```", docs, re.DOTALL)[0])
    assert run("build", "model.yaml").returncode == 0
    (code,) = re.findall(r"```python\n(.*?)```", docs, re.DOTALL)
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, check=True)


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.stem
)
def test_every_spec_is_one(path: Path, run: Run, tmp_path: Path) -> None:
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)):
        if "operations:" in text:
            (tmp_path / f"{number}.yaml").write_text(text)
            done = run("plan", f"{number}.yaml")
            assert (done.returncode, done.stderr) == (0, "")


def test_the_commands_on_configs_run(run: Run, tmp_path: Path) -> None:
    (block,) = [block for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "configs/gpt2.yaml" in block]
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for line in block.splitlines():
        command, *arguments = line.partition("#")[0].split()
        if command == "mkdir":
            for name in arguments:
                (tmp_path / name).mkdir()
            continue
        assert command == "paramgen"
        if "-o" in arguments:
            assert (tmp_path / arguments[arguments.index("-o") + 1]).parent.is_dir()
        done = run(
            "plan", *(argument for argument in arguments[1:] if "safetensors" not in argument and argument != "-o")
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))], ids=str
)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target
