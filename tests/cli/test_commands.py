"""The command line as users and scripts see it: output, exit statuses, files, signals."""

import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import typer
from golden import Golden
from helpers import COMPILED_BACKENDS, FIRST_DTYPES, ROOT, Run, on_terminal

import paramgen
from paramgen.cli.commands import app
from paramgen.cli.examples import EXAMPLES
from paramgen.language.schema import json_schema

pytestmark = pytest.mark.slow

PARAMGEN = [sys.executable, "-m", "paramgen"]
ENDLESS = "operations: [{name: x, type: custom, parameters: {w: {shape: [2000, 1000000], initializer: gaussian}}}]\n"


def one_line(done: subprocess.CompletedProcess[str], status: int) -> str:
    """Return the only line of an error; check that stdout is empty and the exit status is right."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_build_reports_its_result(run: Run, tiny: Path, tmp_path: Path, golden: Golden) -> None:
    done = run("build", "tiny.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["params.safetensors", "tiny.yaml"]
    arrays = safetensors.numpy.load_file(tmp_path / "params.safetensors")
    assert {name: array.shape for name, array in arrays.items()} == {"dense.weights": (4, 5), "dense.bias": (4, 1)}
    golden(done.stdout)


def test_build_json(run: Run, tiny: Path, tmp_path: Path) -> None:
    done = run("build", "tiny.yaml", "-o", "out.safetensors", "--json")
    document = json.loads(done.stdout)
    assert isinstance(document.pop("seconds"), float)
    assert document == {
        "files": ["out.safetensors"],
        "total_parameters": 24,
        "total_bytes": 96,
        "sha256": hashlib.sha256((tmp_path / "out.safetensors").read_bytes()).hexdigest(),
        "device": "cpu",
    }
    assert done.stderr == ""


def test_build_quiet_overwrites_its_own_file(run: Run, tiny: Path, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        done = run("build", "tiny.yaml", "--quiet", "--seed", seed)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with safetensors.safe_open(tmp_path / "params.safetensors", "numpy") as file:  # type: ignore[no-untyped-call]
        assert file.metadata()["paramgen_seed"] == "2"


@pytest.mark.parametrize("name", ["x.pt", "x.bin", "x.H5", "x.ckpt", "x.npz"])
def test_a_wrong_ending_is_a_warning(run: Run, tiny: Path, tmp_path: Path, name: str) -> None:
    done = run("build", "tiny.yaml", "-o", name, env={"PYTHONWARNINGS": "default"})
    (line,) = done.stderr.splitlines()
    assert line == (f"warning: {name}: a safetensors file should not end in {name[1:]}; choose x.safetensors")
    assert done.returncode == 0 and done.stdout.startswith(f"{name}: 2 tensors")
    assert len(safetensors.numpy.load_file(tmp_path / name)) == 2
    done = run("build", "tiny.yaml", "-o", name, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["x", "x.safetensors", "x.pt.safetensors", "x.st"])
def test_other_endings_give_no_warning(run: Run, tiny: Path, name: str) -> None:
    done = run("build", "tiny.yaml", "-o", name)
    assert (done.returncode, done.stderr) == (0, "")


def test_build_to_standard_output(run: Run, tiny: Path, tmp_path: Path, golden: Golden) -> None:
    run("build", "tiny.yaml")
    done = run("build", "tiny.yaml", "-o", "-", text=False)
    assert done.stdout == (tmp_path / "params.safetensors").read_bytes()  # type: ignore[comparison-overlap]
    said = done.stderr.decode()  # type: ignore[attr-defined]
    assert run("build", "tiny.yaml", "-o", "-", "--quiet", text=False).stderr == b""  # type: ignore[comparison-overlap]
    golden(said, one_line(run("build", "tiny.yaml", "-o", "-", "--json"), 2))


def test_build_does_not_write_bytes_to_a_terminal(tiny: Path, golden: Golden) -> None:
    master, slave = pty.openpty()
    done = subprocess.run([*PARAMGEN, "build", tiny, "-o", "-"], stdout=slave, stderr=subprocess.PIPE, check=False)
    os.close(slave)
    os.close(master)
    assert done.returncode == 2
    golden(done.stderr.decode())


MODEL = """\
variables: {width: 5, depth: 2}
operations:
- name: block
  repeat: ${depth}
  operations:
  - {name: dense, type: fully_connected, input_size: 3, output_size: "${width}"}
"""


def test_variables_and_layout(run: Run, tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "model.yaml").write_text(MODEL)
    arguments = ["model.yaml", "--set", "width=2**3", "--set", "depth=1", "--layout", "keras", "--json"]
    document = json.loads(run("plan", *arguments).stdout)
    assert document["layout"] == "keras"
    assert [(tensor["name"], tensor["canonical_name"], tensor["shape"]) for tensor in document["parameters"]] == [
        ("block.0.dense.kernel", "block.0.dense.weights", [3, 8]),
        ("block.0.dense.bias", "block.0.dense.bias", [8]),
    ]
    built = json.loads(run("build", *arguments).stdout)
    assert built["total_bytes"] == document["total_bytes"]
    assert sorted(paramgen.load(tmp_path / "params.safetensors")["block"]["0"]["dense"]) == ["bias", "kernel"]
    done = run("plan", "model.yaml", "--set", "widht=3")
    assert (done.returncode, done.stdout) == (2, "")
    golden(done.stderr)


@pytest.mark.parametrize("dtype", FIRST_DTYPES)
def test_seed_and_dtype(run: Run, tiny: Path, dtype: str) -> None:
    largest = str(2**64 - 1)
    document = json.loads(run("plan", "tiny.yaml", "--seed", largest, "--dtype", dtype, "--json").stdout)
    assert document["seed"] == 2**64 - 1
    assert {tensor["dtype"] for tensor in document["parameters"]} == {dtype}


@pytest.mark.parametrize(
    "arguments",
    [
        ["build"],
        ["build", "a", "b"],
        ["nothing"],
        ["build", "tiny.yaml", "--sed", "1"],
        ["build", "tiny.yaml", "--seed", "-1"],
        ["build", "tiny.yaml", "--seed", str(2**64)],
        ["build", "tiny.yaml", "--seed", "1.0"],
        pytest.param(["build", "tiny.yaml", "--seed", "9" * 5000], id="build tiny.yaml --seed of 5,000 digits"),
        ["build", "tiny.yaml", "--threads", "0"],
        ["build", "tiny.yaml", "--threads", "1025"],
        ["build", "tiny.yaml", "--threads", "two"],
        ["build", "tiny.yaml", "--dtype", "float31"],
        ["build", "tiny.yaml", "--dtype", "flaot32"],
        ["plan", "tiny.yaml", "--layout", "pytorch"],
        ["plan", "tiny.yaml", "--set", "a"],
        ["plan", "tiny.yaml", "--set", "=3"],
        ["plan", "tiny.yaml", "--set", "a="],
        ["plan", "tiny.yaml", "--set", "a=b"],
        ["plan", "tiny.yaml", "--set", "a=1/0"],
        ["plan", "tiny.yaml", "--force"],
        ["inspect", "tiny.yaml", "--threads", "2"],
    ],
    ids=" ".join,
)
def test_wrong_command_lines(run: Run, tiny: Path, arguments: list[str], golden: Golden) -> None:
    golden(one_line(run(*arguments), 2).replace("9" * 5000, "<digits>"))


def test_errors_of_a_spec_have_lines_and_columns(run: Run, tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "model.yaml").write_text(
        "operations:\n  - name: conv\n    type: conv\n    filter_size: [5, 5]\n    num_channels: 3\n    num_filters: -5\n"
        "  - name: other\n    type: conv\n    filter_size: 5\n    num_channels: 3\n    num_filter: 5\n"
    )
    planned, built = run("plan", "model.yaml"), run("build", "model.yaml")
    for done in (planned, built):
        assert (done.returncode, done.stdout) == (2, "")
        lines = done.stderr.splitlines()
        assert [line.split(": ")[:2] for line in lines] == [
            ["model.yaml:6:18", "operations[0].num_filters"],
            ["model.yaml:11:5", "operations[1].num_filter"],
        ]
    assert built.stderr == planned.stderr
    assert os.listdir(tmp_path) == ["model.yaml"]
    golden(planned.stderr)


def test_files_that_the_system_refuses(run: Run, tiny: Path, tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "text").write_text("no tensors")
    os.mkfifo(tmp_path / "pipe")
    lines = []
    for status, place, *arguments in (
        (3, "none.yaml", "build", "none.yaml"),
        (3, ".", "plan", "."),
        (3, "''", "plan", ""),
        (3, "none", "inspect", "none"),
        (3, "/dev/null", "inspect", "/dev/null"),
        (3, "text", "inspect", "text"),
        (3, "pipe", "inspect", "pipe"),
        (3, "none/x", "build", "tiny.yaml", "-o", "none/x"),
        (3, "none/x", "build", "tiny.yaml", "-o", "none/x/"),
        (2, "text", "build", "tiny.yaml", "-o", "text/"),
        (2, "''", "build", "tiny.yaml", "-o", ""),
        (2, "text", "build", "tiny.yaml", "-o", "text"),
    ):
        lines.append(one_line(run(*map(str, arguments)), int(status)))
        assert lines[-1].startswith(f"{place}: ")
    if os.path.exists("/proc/self/mem"):
        assert one_line(run("inspect", "/proc/self/mem"), 3) == "/proc/self/mem: Input/output error"
    assert (tmp_path / "text").read_text() == "no tensors"
    assert run("build", "tiny.yaml", "-o", "text", "--force").returncode == 0
    golden(*lines)


@pytest.mark.skipif(not os.path.exists("/dev/fd/1"), reason="this system has no /dev/fd")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_other_names_of_standard_output(run: Run, tiny: Path, tmp_path: Path, name: str, golden: Golden) -> None:
    plain, named = (run("build", "tiny.yaml", "-o", output, text=False) for output in ("-", name))
    assert named.stdout == plain.stdout != b""
    line = one_line(run("build", "tiny.yaml", "-o", name, "--json"), 2)
    assert os.listdir(tmp_path) == ["tiny.yaml"]
    golden(named.stderr.decode(), line)  # type: ignore[attr-defined]


def test_a_model_larger_than_the_disk(run: Run, tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "huge.yaml").write_text(ENDLESS.replace("2000", "200000000000"))
    line = one_line(run("build", "huge.yaml"), 3)
    assert "800 PB" in line
    assert os.listdir(tmp_path) == ["huge.yaml"]
    golden(re.sub(r"[\d.]+ [kMGTP]?B\b", "<size>", line))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_build_keeps_the_old_file(tiny: Path, tmp_path: Path, number: int, status: int) -> None:
    subprocess.run([*PARAMGEN, "build", tiny, "--quiet"], cwd=tmp_path, check=True)
    before = (tmp_path / "params.safetensors").read_bytes()
    (tmp_path / "endless.yaml").write_text(ENDLESS)
    process = subprocess.Popen([*PARAMGEN, "build", "endless.yaml"], cwd=tmp_path, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".paramgen-*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (status, b"")
    assert (tmp_path / "params.safetensors").read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["endless.yaml", "params.safetensors", "tiny.yaml"]


def test_an_interrupt_while_starting_prints_no_traceback(tiny: Path, tmp_path: Path) -> None:
    """Start after 0.05 s: before that, Python itself is starting and dies by the signal."""
    for delay in (0.05, 0.07, 0.1, 0.15, 0.2, 0.22, 0.24, 0.26):
        process = subprocess.Popen([*PARAMGEN, "plan", tiny], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode in (0, 143, -signal.SIGTERM)
        assert stderr == b""


@pytest.mark.parametrize("arguments", [["plan", "layers.yaml"], ["plan", "layers.yaml", "--json"], ["schema"]])
def test_a_reader_that_leaves_early(arguments: list[str]) -> None:
    with subprocess.Popen(
        [*PARAMGEN, *arguments], cwd=ROOT / "configs", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 3


def test_a_pipe_that_closes_during_a_build(tmp_path: Path) -> None:
    (tmp_path / "endless.yaml").write_text(ENDLESS)
    with subprocess.Popen(
        [*PARAMGEN, "build", "endless.yaml", "-o", "-"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.read(1000)
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b"standard output: Broken pipe\n"
    assert process.returncode == 3


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_standard_output(run: Run, tiny: Path) -> None:
    for arguments in (["plan", "tiny.yaml"], ["plan", "tiny.yaml", "--json"], ["build", "tiny.yaml", "-o", "-"]):
        with open("/dev/full", "w") as full:
            done = run(*arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 3
        assert done.stderr == "standard output: No space left on device\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_full_streams_print_no_traceback(run: Run, tiny: Path) -> None:
    with open("/dev/full", "w") as full:
        for option in ("--help", "--version"):
            done = run(option, capture_output=False, stdout=full, stderr=subprocess.PIPE)
            assert (done.returncode, done.stderr) == (3, "standard output: No space left on device\n")
        assert run("plan", "none.yaml", capture_output=False, stdout=full, stderr=full).returncode == 3
        assert run("plan", "-x", capture_output=False, stderr=full).returncode in (2, 3)


def test_standard_output_by_its_device(tiny: Path, tmp_path: Path) -> None:
    subprocess.run([*PARAMGEN, "build", tiny, "--quiet"], cwd=tmp_path, check=True)
    command = f"{sys.executable} -m paramgen build {tiny} -o /dev/stdout --quiet | cat"
    done = subprocess.run(command, shell=True, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == ((tmp_path / "params.safetensors").read_bytes(), b"")


def test_a_closed_standard_output(tiny: Path, golden: Golden) -> None:
    done = subprocess.run(
        f"{sys.executable} -m paramgen plan {tiny} >&-", shell=True, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 3
    golden(done.stderr)


def test_plan_as_text(run: Run, tiny: Path, golden: Golden) -> None:
    golden(run("plan", "tiny.yaml").stdout)


def test_plan_draws_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "huge.yaml").write_text(ENDLESS.replace("2000", "200000000000"))
    done = run("plan", "huge.yaml")
    assert "800 PB" in done.stdout
    assert os.listdir(tmp_path) == ["huge.yaml"]


def test_plan_on_a_terminal_is_a_table(tiny: Path) -> None:
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm"}
    text = on_terminal("stdout", [*PARAMGEN, "plan", tiny], env=environment)
    assert "─" in text
    assert "  weights  [4, 5]     glorot       ±0.816" in text


def test_a_matrix_larger_than_any_memory_is_refused(run: Run, tmp_path: Path, golden: Golden) -> None:
    shape = "[2147483648, 1073741824]"
    spec = f"dtype: float8_e5m2\noperations: [{{name: q, type: custom, parameters: {{w: {{shape: {shape}, initializer: orthogonal}}}}}}]\n"
    (tmp_path / "huge.yaml").write_text(spec)
    golden(one_line(run("build", "huge.yaml", "-o", "/dev/null"), 3))


def test_inspect_shows_the_file_or_the_filtered_tensors(run: Run, tiny: Path, golden: Golden) -> None:
    run("build", "tiny.yaml")
    whole = run("inspect", "params.safetensors").stdout
    filtered = run("inspect", "params.safetensors", "--filter", "*.bias", "--stats").stdout
    assert filtered.splitlines()[:4] == whole.splitlines()[:4]
    golden(whole, "", *filtered.splitlines()[5:])


def test_inspect_json(run: Run, tiny: Path) -> None:
    run("build", "tiny.yaml")
    document = json.loads(run("inspect", "params.safetensors", "--json", "--filter", "*.bias", "--stats").stdout)
    assert document.pop("metadata")["paramgen_seed"] == "3"
    assert document == {
        "files": ["params.safetensors"],
        "total_parameters": 4,
        "total_bytes": 16,
        "tensors": [
            {
                "name": "dense.bias",
                "dtype": "float32",
                "shape": [4, 1],
                "parameters": 4,
                "bytes": 16,
                "file": "params.safetensors",
                "stats": {"mean": 0.0, "std": 0.0, "min": 0.0, "max": 0.0, "zeros": 4, "nan": 0, "inf": 0},
            }
        ],
    }
    assert "stats" not in json.loads(run("inspect", "params.safetensors", "--json").stdout)["tensors"][0]


def test_inspect_escapes_the_names_of_a_foreign_file(run: Run, tmp_path: Path) -> None:
    arrays = {"\x1b[2J\u202eevil": np.array([np.nan, 1.0]), "[red]markup": np.zeros(0, np.float32)}
    safetensors.numpy.save_file(arrays, tmp_path / "foreign", {"by\x07": "some\none"})
    done = run("inspect", "foreign", "--stats")
    assert done.returncode == 0
    assert "by\\x07: some\\none" in done.stdout
    assert "\\x1b[2J\\u202eevil" in done.stdout
    assert "[red]markup" in done.stdout
    assert done.stdout.replace("\n", "").isprintable()
    document: dict[str, Any] = json.loads(run("inspect", "foreign", "--stats", "--json").stdout)
    assert document["metadata"] == {"by\x07": "some\none"}


def test_names_in_any_encoding(run: Run, tmp_path: Path) -> None:
    (tmp_path / "層.yaml").write_text("operations: [{name: 層, type: batchnorm, num_channels: 2}]\n", encoding="utf-8")
    done = run("plan", "層.yaml", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u5c64  " in done.stdout
    assert "層.offset" in json.loads(run("plan", "層.yaml", "--json").stdout)["parameters"][0]["name"]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has only file names that are text")
def test_file_names_that_are_not_utf_8(run: Run, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.yaml")
    assert one_line(run("plan", name), 3) == "\\udcff.yaml: No such file or directory"
    (tmp_path / name).write_text("operations: [{name: a, type: batchnorm, num_channels: 2}]\n")
    assert "\\udcff: 2 tensors" in run("plan", name).stdout
    assert json.loads(run("plan", name, "--json").stdout)["total_parameters"] == 4


def test_schema_prints_the_schema(run: Run) -> None:
    assert json.loads(run("schema").stdout) == json_schema()


def test_help_and_version(run: Run) -> None:
    import paramgen

    kernels = COMPILED_BACKENDS[-1].name if COMPILED_BACKENDS else "reference"
    version = f"paramgen {paramgen.__version__}, stream philox4x32-v1, CPU kernels {kernels}\n"
    assert run("--version", env={"PYTHONWARNINGS": "ignore"}).stdout == version
    for command in ("build", "plan", "inspect", "schema"):
        assert command in run("--help").stdout
        assert run(command, "--help").returncode == 0


def test_every_command_has_examples_in_its_help(run: Run) -> None:
    """Check that they are shown; test_readme runs them, as they are in docs/command-line.md."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [*commands] == [*EXAMPLES]
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    for name, examples in EXAMPLES.items():
        assert examples and all(f"paramgen {name}" in example and f"\n{example}\n" in page for example in examples)
    shown = run("plan", "--help").stdout
    assert shown.endswith("\n  Examples:\n    " + "\n    ".join(EXAMPLES["plan"]) + "\n")


@pytest.mark.parametrize("arguments", [["--help"], ["plan", "--help"], ["explain", "--help"], ["init", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Check a command's help, too, for which typer itself imports pydantic."""
    code = f"import sys; sys.argv = {['paramgen', *arguments]}\nfrom paramgen.__main__ import main\ntry: main()\nexcept SystemExit: pass\n"
    heavy = ["numpy", "yaml", "rich", "paramgen.spec", *(["pydantic"] if len(arguments) == 1 else [])]
    check = f"print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_wrong_command_line_names_its_help(run: Run, golden: Golden) -> None:
    unknown = one_line(run("bild"), 2)
    unprintable = one_line(run("inspect", "a", "b\x1b[31m\u202e"), 2)
    assert r"b\x1b[31m\u202e" in unprintable
    golden(unknown, unprintable)


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    done = run()
    assert done.returncode == 2
    assert "Commands:" in done.stderr


def test_every_command_reads_a_spec_from_standard_input(run: Run, tiny: Path) -> None:
    run("build", "tiny.yaml", "-o", "a")
    commands = [
        ["plan", "SPEC"],
        ["digest", "SPEC"],
        ["explain", "SPEC", "dense.weights"],
        ["verify", "a", "--spec", "SPEC"],
        ["diff", "SPEC", "a"],
        ["diff", "a", "SPEC"],
        ["build", "SPEC", "-o", "-", "--quiet"],
    ]
    for command in commands:
        by_name, by_input = (
            run(*[name if word == "SPEC" else word for word in command], input=tiny.read_text(), errors="replace")
            for name in ("tiny.yaml", "-")
        )
        assert (by_input.returncode, by_input.stderr) == (0, ""), command
        output = by_input.stdout.replace("<stdin>", "tiny.yaml").replace("-:", "tiny.yaml:")
        assert output.replace("model: 2 tensors", "tiny: 2 tensors") == by_name.stdout, command


def test_a_spec_from_standard_input(run: Run, tiny: Path, tmp_path: Path) -> None:
    run("build", "tiny.yaml", "-o", "a")
    text = tiny.read_text()
    done = run("build", "-", "-o", "b", input=text)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert run("plan", "-", input=text).stdout.splitlines()[-1].startswith("model: 2 tensors")
    line = one_line(run("plan", "-", input="operations: 3\n"), 2)
    assert line == "<stdin>:1:13: operations: must be a non-empty list of operations, got 3"
    line = one_line(run("build", "-", "-o", "new/", input=f"files: {{a: b}}\n{text}"), 2)
    assert line.startswith("<stdin>:1:12: files.a: cannot be copied, as the spec does not come from a file")
