"""The page on many machines: its commands run on one machine, and its table is the script's."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from helpers import ROOT
from snippets import Snippet, snippets

PAGE = ROOT / "docs" / "how-to" / "scale.md"
SNIPPETS = {(snippet.section, snippet.language): snippet for snippet in snippets(PAGE)}

# The programs that the page names, from this environment; srun starts two workers.
PROGRAMS = {
    "dask": 'kind=$1; shift; exec "{python}" -m distributed.cli.dask_$kind "$@"',
    "paramgen": 'exec "{python}" -m paramgen "$@"',
    "python": 'exec "{python}" "$@"',
    "srun": '"$@" & "$@" & trap "kill %1 %2" TERM; wait',
}
SPEC = "operations: [{name: x, type: custom, parameters: {w: {shape: [1000, 1000], initializer: gaussian}}}]"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with configs/, a spec, and the programs in bin/."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    (tmp_path / "model.yaml").write_text(SPEC)
    (tmp_path / "bin").mkdir()
    for name, text in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/bash\n{text.format(python=sys.executable)}\n")
        program.chmod(0o755)
    return tmp_path


def run_script(text: str, place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script, and end what it started in the background."""
    environment = {**os.environ, "PATH": f"{place / 'bin'}:{os.environ['PATH']}", **environment}
    output = place / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            ["bash", "-ec", text], cwd=place, env=environment, stdout=file, stderr=file, start_new_session=True
        )
        try:
            status = process.wait(120)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
    return subprocess.CompletedProcess([], status, output.read_text())


@pytest.mark.dask
@pytest.mark.slow
def test_the_session_on_one_machine(place: Path) -> None:
    text = SNIPPETS["Two processes on one machine", "console"].text
    commands = re.findall(r"^\$ (.*)", text, re.MULTILINE)
    done = run_script("\n".join(commands), place)
    expected = re.sub(r"^\$ .*\n", "", text, flags=re.MULTILINE)
    assert re.sub(r"in \d+\.\d\d s", "in 0.01 s", done.stdout) == expected


@pytest.mark.dask
@pytest.mark.slow
@pytest.mark.parametrize(("section", "output"), [("A cluster", "params.safetensors"), ("Slurm", "model")])
def test_the_scripts_of_clusters(section: str, output: str, place: Path) -> None:
    environment = {"SLURM_CPUS_PER_TASK": "1", "SLURM_NNODES": "2"}
    done = run_script(SNIPPETS[section, "sh"].text, place, **environment)
    assert done.returncode == 0, done.stdout
    assert (place / output).exists()


def test_kubernetes_documents_name_what_exists(place: Path) -> None:
    documents = list(yaml.safe_load_all(SNIPPETS["Kubernetes", "yaml"].text))
    assert [document["kind"] for document in documents] == ["Service", "Deployment", "Deployment", "Job"]
    commands = [
        [*container["command"], *container.get("args", ())]
        for document in documents[1:]
        for container in document["spec"]["template"]["spec"]["containers"]
    ]
    assert [command[0] for command in commands] == ["dask", "dask", "paramgen"]
    options = set(re.findall(r"--[\w-]+", " ".join(commands[2])))
    known = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert options and all(f"`{option}" in known for option in options)


def test_the_simulated_schedule(place: Path) -> None:
    command, expected = SNIPPETS["A terabyte on 64 machines", "console"].text.split("\n", 1)
    done = run_script(command.removeprefix("$ "), place)
    assert done.stdout == expected


def test_snippets_are_all_run() -> None:
    sections = {"Two processes on one machine", "A cluster", "Slurm", "Kubernetes", "A terabyte on 64 machines"}
    assert {section for section, _ in SNIPPETS} == sections
    assert all(isinstance(snippet, Snippet) for snippet in SNIPPETS.values())
