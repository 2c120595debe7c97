"""Helpers of several test modules: plans and errors of short specs, tensors, sizes that make configs small."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from paramgen.catalog.axes import identity_rearrangement
from paramgen.catalog.distributions import Distribution
from paramgen.catalog.initializers import Zeros
from paramgen.dtypes import DTYPES
from paramgen.errors import SpecError
from paramgen.language.parsed_spec import Replacements, interpret, read_document
from paramgen.language.yaml_reader import from_yaml
from paramgen.planning.plan import Plan, make_plan
from paramgen.planning.streams import stream_id
from paramgen.planning.tensors import Parameter, ResolvedParameter, Tensor
from paramgen.sampling.backend import Backend
from paramgen.sampling.reference.backend import NumpyBackend
from paramgen.sampling.sampler import Sampler

try:
    from paramgen.sampling.cpu.backend import COMPILED_BACKENDS
except ImportError:  # without a C compiler only the reference is tested
    COMPILED_BACKENDS = ()

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
SMALL_MIXTRAL = {
    "vocabulary": 100,
    "width": 32,
    "layers": 2,
    "heads": 4,
    "key_value_heads": 2,
    "experts": 3,
    "inner": 40,
}
# Variables that make large models small.
SMALL: dict[str, dict[str, Any]] = {
    "ast": {"width": 24, "layers": 2, "mels": 32, "frames": 48, "labels": 10},
    "bert": {"vocabulary": 100, "positions": 20, "width": 24, "layers": 2},
    "clip": {
        "vocabulary": 100,
        "positions": 20,
        "text_width": 24,
        "text_layers": 2,
        "image": 32,
        "patch": 8,
        "vision_width": 32,
        "vision_layers": 3,
        "projection": 16,
    },
    "convnext": {"depths": [1, 2, 1, 1], "widths": [8, 16, 24, 32], "labels": 10},
    "deepseek_v3": {
        "vocabulary": 100,
        "width": 32,
        "layers": 3,
        "dense_layers": 1,
        "inner": 40,
        "experts": 6,
        "expert_inner": 16,
        "heads": 4,
        "query_rank": 12,
        "key_value_rank": 16,
        "nope_size": 8,
        "rope_size": 4,
        "value_size": 6,
    },
    "gpt2": {"vocabulary": 100, "positions": 20, "width": 24, "layers": 3},
    "llama": {"vocabulary": 100, "width": 32, "layers": 2, "heads": 4, "key_value_heads": 2, "inner": 40},
    "mamba": {"vocabulary": 100, "width": 32, "layers": 2, "states": 6},
    "mamba2": {"vocabulary": 100, "width": 32, "layers": 2, "heads": 16, "states": 6, "groups": 2},
    "mixtral": SMALL_MIXTRAL,
    "mixtral_separate": SMALL_MIXTRAL,
    "qwen3": {
        "vocabulary": 100,
        "width": 32,
        "layers": 2,
        "heads": 4,
        "key_value_heads": 2,
        "head_size": 12,
        "inner": 40,
    },
    "resnet50": {"width": 8, "depths": [1, 2, 2, 1], "labels": 10},
    "t5": {"vocabulary": 100, "width": 24, "inner": 40, "layers": 2, "heads": 3, "head_size": 8},
    "unet": {"widths": [32, 64], "attends": [False, True], "blocks": 1},
    "vit": {"width": 24, "layers": 2, "image": 32, "patch": 8, "labels": 10},
    "wav2vec2": {"width": 32, "layers": 2, "channels": 16, "kernels": [5, 3], "span": 8, "groups": 4, "labels": 10},
    "whisper": {
        "vocabulary": 100,
        "padding": 7,
        "width": 24,
        "layers": 2,
        "mels": 8,
        "frames": 20,
        "positions": 30,
    },
}
# Texts that configs/ held before. The metadata of a file hold its spec, so these keep their digests.
FORMER = DATA / "specs"
# Variables that make the former texts small.
LLAMA = {"vocabulary": 100, "width": 32, "layers": 2, "heads": 4, "key_value_heads": 2, "inner": 40}
FORMER_SMALL = {
    "llama": LLAMA,
    "llama_untied": LLAMA,
    "resnet50": {"width": 8, "first": 1, "second": 2, "third": 2, "fourth": 1, "labels": 10},
}
SPECS = [*CONFIGS, *sorted(FORMER.glob("*.yaml"))]
# The dtypes of the first version, in the order of the recorded digests.
FIRST_DTYPES = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")

Run = Callable[..., subprocess.CompletedProcess[str]]

# Marker -> the extra that its tests need, and the packages that they import if the marker does not name them.
NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cupy": ("cuda12", ("cupy",)),
    "dask": ("dask", ("distributed",)),
    "docs": ("docs", ("material", "mkdocs")),
    "frameworks": ("frameworks", ()),
    "remote": ("remote", ("fsspec", "s3fs")),
    "torch": ("torch", ("torch",)),
}

TINY = """\
seed: 3
operations:
  - {name: dense, type: fully_connected, input_size: 5, output_size: 4}
"""


def make_tensor(
    distribution: Distribution, dtype: str, shape: tuple[int, ...], name: str = "x", stream: int | None = None
) -> Tensor:
    """Return a tensor of one parameter in canonical order; `stream` replaces the one of its name."""
    resolved = ResolvedParameter(shape, DTYPES[dtype], None, None, Zeros(type="zeros"), distribution)
    source = Parameter(name, resolved, stream_id(name) if stream is None else stream)
    return Tensor(name, identity_rearrangement("", shape, name), (source,))


def draw(tensor: Tensor, seed: int, start: int, stop: int, backend: Backend | None = None, threads: int = 1) -> Any:
    """Draw elements start … stop - 1 of a tensor, by default with the reference."""
    backend = backend or NumpyBackend()
    with backend.activate():
        out = backend.empty(tensor.dtype.nbytes(stop - start))
        Sampler(seed, threads).draw(backend, tensor, start, stop, out)
        backend.synchronize()
        return backend.download(out).view(tensor.dtype.numpy_dtype())


def find_digest_key(path: Path) -> str:
    """Return the key of a spec in digests.json; a config that replaced a former text has a key of its own."""
    replaces = path.parent != FORMER and (FORMER / path.name).exists()
    return f"{path.stem}, second text" if replaces else path.stem


def find_small_variables(path: Path) -> dict[str, Any]:
    """Return the variables that make a spec small."""
    return (FORMER_SMALL if path.parent == FORMER else SMALL).get(path.stem, {})


def read_without_files(path: Path) -> dict[str, Any]:
    """Return a spec without its `files`, which are part of the metadata but of no tensor.

    The recorded digests are of the configs without them, so that `files` can be changed.
    """
    data = from_yaml(path.read_bytes(), path.name).data
    return {key: value for key, value in data.items() if key != "files"}


def read_plan_json(plan: Plan) -> dict[str, Any]:
    """Return the document of `plan --json`."""
    return json.loads("".join(plan.iter_json()))  # type: ignore[no-any-return]


def plan_operations(*operations: dict[str, Any], **head: Any) -> list[dict[str, Any]]:
    """Return the tensors of `plan --json` for operations, named a, b, … unless they have names."""
    named = [{"name": chr(97 + index), **operation} for index, operation in enumerate(operations)]
    plan = make_plan(interpret(read_document({**head, "operations": named})))
    return read_plan_json(plan)["parameters"]  # type: ignore[no-any-return]


def list_problems(text: str) -> list[str]:
    """Return the error lines of a spec's text, without the file's name."""
    try:
        plan_text(text)
    except SpecError as error:
        return [line.removeprefix("s:") for line in str(error).splitlines()]
    return []


def expect_spec_error(text: str) -> Any:
    """Return the SpecError of a spec's text, whose file is named s."""
    with pytest.raises(SpecError) as caught:
        plan_text(text)
    return caught.value


def list_locations(error: Any) -> list[str]:
    """Return the line, the column and the path of each problem of a SpecError."""
    return [f"{problem.line}:{problem.column}: {problem.path}".removesuffix(": ") for problem in error.diagnostics]


def plan_text(text: str, **replaced: Any) -> Plan:
    """Return the plan of a spec's text, whose file is named s; keywords are Replacements."""
    return make_plan(interpret(from_yaml(text.encode(), "s"), Replacements(**replaced)))


def on_terminal(
    stream: str,
    command: list[str | Path],
    *,
    columns: int = 80,
    interrupt: tuple[str, int] = ("", 0),
    status: int = 0,
    **keywords: Any,
) -> str:
    """Return a command's output on a terminal, read while it runs: an unread terminal blocks its writer.

    `interrupt` is a text, and a signal that is sent as soon as the text was shown.
    """
    expected, number = interrupt
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(command, **{stream: slave}, **keywords) as process:
        os.close(slave)
        shown = b""
        with suppress(OSError):  # EIO: the command has closed its end
            while part := os.read(master, 65536):
                shown += part
                if number and expected.encode() in shown:
                    process.send_signal(number)
                    number = 0
        os.close(master)
    assert process.returncode == status
    return shown.decode()


def refuse(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error of a command line that is refused, and prints nothing else."""
    from paramgen.cli import commands

    monkeypatch.setattr(sys, "argv", ["paramgen", *arguments])
    assert commands.run() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err
