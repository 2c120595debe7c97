"""Fixtures and helpers: the command as a process, short specs, simulated and real GPUs."""

import importlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from paramgen.catalog.axes import identity_rearrangement
from paramgen.catalog.distributions import Distribution
from paramgen.catalog.initializers import Zeros
from paramgen.dtypes import DTYPES
from paramgen.planning.plan import Plan
from paramgen.planning.streams import stream_id
from paramgen.planning.tensors import Parameter, ResolvedParameter, Tensor
from paramgen.sampling.backend import Backend
from paramgen.sampling.reference import NumpyBackend
from paramgen.sampling.sampler import Sampler

try:
    from paramgen.sampling.compiled import KERNELS
except ImportError:  # without a C compiler only the reference is tested
    KERNELS = ()

pytest_plugins = ["golden", "pytester"]

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
DATA = ROOT / "tests" / "data"
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
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
    "mixtral": {
        "vocabulary": 100,
        "width": 32,
        "layers": 2,
        "heads": 4,
        "key_value_heads": 2,
        "experts": 3,
        "inner": 40,
    },
    "mixtral_separate": {
        "vocabulary": 100,
        "width": 32,
        "layers": 2,
        "heads": 4,
        "key_value_heads": 2,
        "experts": 3,
        "inner": 40,
    },
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

# A process's peak memory includes that of its parent at the fork, so a small process starts the measured command.
LAUNCHER = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""

Run = Callable[..., subprocess.CompletedProcess[str]]

# Marker -> the extra that its tests need, and the packages that they import if the marker does not name them.
NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cupy": ("cuda12", ("cupy",)),
    "frameworks": ("frameworks", ()),
    "torch": ("torch", ("torch",)),
}

TINY = """\
seed: 3
operations:
  - {name: dense, type: fully_connected, input_size: 5, output_size: 4}
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests as quick that need no extra, start no command, simulate no GPU and are not slow."""
    costly_markers, costly_fixtures = {*NEEDS, "gpu", "slow"}, {"gpu", "run", "simulated_gpus"}
    for item in items:
        markers = {mark.name for mark in item.iter_markers()}
        if not costly_markers & markers and not costly_fixtures.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("quick")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test if a package of its marker is not installed.

    Only markers skip for a package, so `-m "cupy or frameworks or torch"` selects all tests that a run without them skipped.
    """
    for name, (extra, packages) in NEEDS.items():
        if mark := item.get_closest_marker(name):
            for package in mark.args or packages:
                if not importlib.util.find_spec(package):
                    pytest.skip(f"{package} is not installed (the {extra} extra)")


@pytest.fixture(scope="session", autouse=True)
def default_signals() -> Iterator[None]:
    """Give child processes default signal dispositions, even under nohup or in a shell's background.

    An ignored signal stays ignored in a child; one with a handler does not.
    """
    ignored = [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN]
    inherited = [number for number in ignored if number not in (signal.SIGPIPE, signal.SIGXFSZ)]  # ignored by Python
    for number in inherited:
        signal.signal(number, lambda number, frame: None)
    yield
    for number in inherited:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run `paramgen ARGUMENTS` in tmp_path; stdout and stderr are text. Keywords go to subprocess.run."""

    def call(*arguments: str | Path, **keywords: Any) -> subprocess.CompletedProcess[str]:
        keywords = {"capture_output": True, "text": True, "cwd": tmp_path, "timeout": 120, **keywords}
        keywords["env"] = {**os.environ, "PYTHONWARNINGS": "error", **keywords.get("env", {})}
        return subprocess.run([sys.executable, "-m", "paramgen", *map(str, arguments)], check=False, **keywords)

    return call


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Write a spec of one dense layer, and return its path."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def tensor_of(
    distribution: Distribution, dtype: str, shape: tuple[int, ...], name: str = "x", stream: int | None = None
) -> Tensor:
    """Return a tensor of one parameter in canonical order; `stream` replaces the one of its name."""
    kind = ResolvedParameter(shape, DTYPES[dtype], None, None, Zeros(type="zeros"), distribution)
    source = Parameter(name, kind, stream_id(name) if stream is None else stream)
    return Tensor(name, identity_rearrangement("", shape, name), (source,))


def draw(tensor: Tensor, seed: int, start: int, stop: int, backend: Backend | None = None, threads: int = 1) -> Any:
    """Draw elements start … stop - 1 of a tensor, by default with the reference."""
    backend = backend or NumpyBackend()
    with backend.current():
        out = backend.empty(tensor.dtype.nbytes(stop - start))
        Sampler(seed, threads).draw(backend, tensor, start, stop, out)
        backend.finish()
        return backend.download(out).view(tensor.dtype.numpy_dtype())


SIMULATED = ROOT / "tests" / "simulated"


@pytest.fixture(scope="session")
def simulated_gpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return environment variables with which `import cupy` finds two simulated GPUs."""
    if not shutil.which("gcc"):
        pytest.skip("simulated GPUs need gcc")
    return {"PYTHONPATH": str(SIMULATED), "SIMULATED_FOLDER": str(tmp_path_factory.mktemp("simulated"))}


@pytest.fixture
def simulated(simulated_gpus: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Yield paramgen.sampling.gpu with simulated GPUs."""
    monkeypatch.setenv("SIMULATED_FOLDER", simulated_gpus["SIMULATED_FOLDER"])
    monkeypatch.syspath_prepend(SIMULATED)
    with fresh("cupy", "cupyx", "paramgen.sampling.gpu", "paramgen.sampling.transfer"):
        yield importlib.import_module("paramgen.sampling.gpu")


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Yield paramgen.sampling.gpu with simulated GPUs and, if available, with real ones."""
    if request.param == "simulated":
        yield request.getfixturevalue("simulated")
        return
    module = importlib.import_module("paramgen.sampling.gpu")
    if problem := module.why_unusable():
        pytest.skip(problem)
    yield module


@contextmanager
def fresh(*names: str) -> Iterator[None]:
    """Import these modules again inside the block, and restore the old ones after it."""
    within = lambda module: any(module == name or module.startswith(name + ".") for name in names)  # noqa: E731
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if within(name)}
    try:
        yield
    finally:
        for name in list(sys.modules):
            if within(name):
                del sys.modules[name]
        sys.modules.update(before)


def digest_key(path: Path) -> str:
    """Return the key of a spec in digests.json; a config that replaced a former text has a key of its own."""
    replaces = path.parent != FORMER and (FORMER / path.name).exists()
    return f"{path.stem}, second text" if replaces else path.stem


def small_variables(path: Path) -> dict[str, Any]:
    """Return the variables that make a spec small."""
    return (FORMER_SMALL if path.parent == FORMER else SMALL).get(path.stem, {})


def document_of(plan: Plan) -> dict[str, Any]:
    """Return the document of `plan --json`."""
    return json.loads("".join(plan.document()))  # type: ignore[no-any-return]


def plan_of(*operations: dict[str, Any], **head: Any) -> list[dict[str, Any]]:
    """Return the tensors of `plan --json` for operations, named a, b, … unless they have names."""
    from paramgen.language.model import interpret, read_document
    from paramgen.planning.plan import make_plan

    named = [{"name": chr(97 + index), **operation} for index, operation in enumerate(operations)]
    plan = make_plan(interpret(*read_document({**head, "operations": named})))
    return document_of(plan)["parameters"]  # type: ignore[no-any-return]


def problems_of(text: str) -> list[str]:
    """Return the error lines of a spec's text, without the file's name."""
    from paramgen.errors import SpecError

    try:
        plan_of_text(text)
    except SpecError as error:
        return [line.removeprefix("s:") for line in str(error).splitlines()]
    return []


def error_of(text: str) -> Any:
    """Return the SpecError of a spec's text, whose file is named s."""
    from paramgen.errors import SpecError

    with pytest.raises(SpecError) as caught:
        plan_of_text(text)
    return caught.value


def places_of(error: Any) -> list[str]:
    """Return the line, the column and the path of each problem of a SpecError."""
    return [f"{problem.line}:{problem.column}: {problem.path}".removesuffix(": ") for problem in error.diagnostics]


def plan_of_text(text: str, **replaced: Any) -> Plan:
    """Return the plan of a spec's text, whose file is named s; keywords replace values, as `interpret` takes them."""
    from paramgen.language.model import interpret
    from paramgen.language.yaml_reader import from_yaml
    from paramgen.planning.plan import make_plan

    return make_plan(interpret(from_yaml(text.encode(), "s"), "s", **replaced))
