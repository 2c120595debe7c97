"""Completion of the command line, by real shells: files, variables, names of tensors, choices.

`test_installation` runs "Install completion" of docs/how-to/shell.md.
"""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from golden import Golden
from helpers import Run

SPEC = """\
variables: {width: 64, with_bias: true, depths: [1, 2], text: "$(touch hacked)"}
operations:
  - {name: dense, type: fully_connected, input_size: "${width}", output_size: 4}
  - name: layers
    repeat: 12
    operations: [{name: norm, type: layer_norm, num_channels: 4}]
"""
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
# zsh lists completions at the second key, when it has inserted what they share.
KEYS = {"bash": "\t", "zsh": "\t\t"}
PREPARE = {
    "bash": 'bind "set show-all-if-ambiguous on"; bind "set bell-style none"; eval "$(_PARAMGEN_COMPLETE=source_bash paramgen)"',
    "zsh": 'autoload -Uz compinit; compinit -u -D; eval "$(_PARAMGEN_COMPLETE=source_zsh paramgen)"',
    "fish": "_PARAMGEN_COMPLETE=source_fish paramgen | source",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.yaml").write_text(SPEC)
    (tmp_path / "model.encoder").touch()  # the glob model.* matches it
    (tmp_path / "broken.yaml").write_text("variables: {width: [\n")
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "a.yaml").write_text(SPEC)
    (tmp_path / "specs" / "with space.yaml").write_text(SPEC)
    names = ["model.encoder.0.w", "model.encoder.1.w", "model.head.w", "scale", "$(touch hacked).w", "a\nb"]
    safetensors.numpy.save_file({name: np.zeros(2, np.float32) for name in names}, tmp_path / "w.safetensors")
    return tmp_path


def environment(**variables: str) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONWARNINGS": "error", **variables}


def complete(line: str, folder: Path) -> dict[str, str]:
    """Return what fish's function would be given for a command line: completions with their descriptions."""
    variables = {"_PARAMGEN_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [sys.executable, "-m", "paramgen"],
        env=environment(**variables, _TYPER_COMPLETE_ARGS=line),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return dict(item.partition("\t")[::2] for item in done.stdout.splitlines() if item)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("paramgen build ", ["broken.yaml", "model.yaml", "specs/"]),
        ("paramgen build m", ["model.yaml"]),
        ("paramgen build sp", ["specs/a.yaml"]),
        ("paramgen build /nowhere/", []),
        ("paramgen plan ", ["broken.yaml", "model.yaml", "specs/"]),
        ("paramgen inspect ", ["specs/", "w.safetensors"]),
        ("paramgen diff m", ["model.yaml"]),
        ("paramgen diff w.safetensors w", ["w.safetensors"]),
        ("paramgen verify w.safetensors --spec m", ["model.yaml"]),
        ("paramgen build model.yaml --set wid", ["width=", "width=64"]),
        ("paramgen build model.yaml --seed 1 --set with", ["with_bias=", "with_bias=true"]),
        ("paramgen build model.yaml --set te", ["text="]),
        ("paramgen build model.yaml --set depths", ["depths="]),
        ("paramgen verify w.safetensors --spec model.yaml --set wid", ["width=", "width=64"]),
        ("paramgen build broken.yaml --set ", []),
        ("paramgen build absent.yaml --set ", []),
        ("paramgen build - --set ", []),
        ("paramgen build --set ", []),
        ("paramgen inspect w.safetensors --filter ", ["model.*", "scale"]),
        ("paramgen inspect w.safetensors --filter mo", ["model.encoder.*", "model.head.*"]),
        ("paramgen inspect w.safetensors --filter model.h", ["model.head.w"]),
        ("paramgen inspect model.yaml --filter ", []),
        ("paramgen build model.yaml --dtype bf", ["bfloat16"]),
        ("paramgen build model.yaml --layout ", ["canonical", "torch", "keras", "flax"]),
        ("paramgen ver", ["verify"]),
        ("paramgen plan model.yaml --filter d", ["dense.weights", "dense.bias"]),
        ("paramgen explain model.yaml d", ["dense.weights", "dense.bias"]),
        ("paramgen explain model.yaml layers.1", ["layers.1.", "layers.10.", "layers.11."]),
        ("paramgen explain broken.yaml ", []),
    ],
)
def test_completions(line: str, expected: list[str], folder: Path) -> None:
    assert list(complete(line, folder)) == expected
    assert not (folder / "hacked").exists()


def test_descriptions_of_completions(folder: Path) -> None:
    assert complete("paramgen build model.yaml --set wid", folder) == {"width=": "now 64", "width=64": "as in the spec"}
    assert complete("paramgen build model.yaml --set te", folder) == {"text=": ""}  # its value is not plain
    assert complete("paramgen build model.yaml --device ", folder)["auto"] == "a GPU if it is faster"


def test_every_argument_and_option_of_files_has_completions(folder: Path) -> None:
    """Find commands that take SPEC or FILE, and complete it."""
    from typer.main import get_command

    from paramgen.cli.commands import app

    found = 0
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        for parameter in command.params:
            if parameter.metavar in ("SPEC", "FILE") and parameter.param_type_name == "argument":
                found += 1
                assert "specs/" in complete(f"paramgen {name} ", folder), name
    assert found >= 6


def type_in_shell(shell: str, line: str, expected: str, folder: Path) -> str:
    """Return what a shell shows after a line is typed, and the tab key is pressed, until it is as expected."""
    master, slave = pty.openpty()
    keywords = {"stdin": slave, "stdout": slave, "stderr": slave, "start_new_session": True}
    variables = environment(TERM="dumb", PS1="> ", HOME=str(folder))
    with subprocess.Popen(START[shell], cwd=folder, env=variables, **keywords) as process:  # type: ignore[call-overload]
        os.close(slave)
        try:
            os.write(master, f"{PREPARE[shell]}; echo rea''dy\n".encode())
            read_until(master, r"\nready")
            read_until(master, "never", 1.0)  # the prompt, after which the shell reads keys itself
            os.write(master, f"{line}{KEYS[shell]}".encode())
            return read_until(master, expected)
        finally:
            process.kill()
            os.close(master)


def read_until(master: int, pattern: str, seconds: float = 60.0) -> str:
    """Return what a terminal shows until a pattern appears, or the time is over."""
    shown, deadline = "", time.monotonic() + seconds
    while time.monotonic() < deadline and not re.search(pattern, shown):
        if select.select([master], [], [], 0.1)[0]:
            shown += os.read(master, 65536).decode(errors="replace")
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("shell", START)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("paramgen build mode", r"paramgen build model\.yaml "),
        ("paramgen build model.yaml --set wid", r"(?s)(?=.*width=64).*--set width=(?! )"),
        ("paramgen inspect w.safetensors --filter model.h", r"--filter model\.head\.w "),
        ("paramgen inspect w.safetensors --filter mod", r"(?s)(?=.*encoder\.\\?\*).*--filter model\.(?! )"),
    ],
)
def test_a_real_shell_completes(shell: str, line: str, expected: str, folder: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    assert re.search(expected, type_in_shell(shell, line, expected, folder))
    assert not (folder / "hacked").exists()


@pytest.mark.slow
def test_fish_completes(folder: Path) -> None:
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    code = f"{PREPARE['fish']}; complete -C 'paramgen build model.yaml --set wid'; complete -C 'paramgen plan mode'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", code],
        cwd=folder,
        env=environment(HOME=str(folder)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "width=\tnow 64\nwidth=64\tas in the spec\nmodel.yaml\n"


@pytest.mark.slow
def test_installation(folder: Path, run: Run, golden: Golden) -> None:
    """Install completion from within bash, which is then detected, into a home that holds nothing else."""
    home = folder / "home"
    home.mkdir()
    code = "paramgen --install-completion; true"
    command = ["bash", "--norc", "-c", code]
    done = subprocess.run(command, env=environment(HOME=str(home)), capture_output=True, text=True, check=True)
    assert "bash completion installed in" in done.stdout
    assert (
        "complete -o default -F _paramgen_completion paramgen"
        in (home / ".bash_completions" / "paramgen.sh").read_text()
    )
    shutil.rmtree(home)
    home.touch()
    done = subprocess.run(command, env=environment(HOME=str(home)), capture_output=True, text=True, check=True)
    golden(done.stderr.replace(str(folder), "…"))
