"""Drawing, transfers and builds on a GPU, compared with a plain fill, PyTorch, JAX and the CPU.

python benchmarks/gpu.py

Without a usable GPU it prints the reason.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from builds import MODELS, Model, make_spec
from kernels import DISTRIBUTIONS
from measuring import PARAMGEN, Measurement, is_installed, measure

import paramgen
from paramgen.dtypes import DTYPES
from paramgen.sampling.backend import ElementSource
from paramgen.sampling.devices import load_backend

TITLE = "## GPU"
CALLS = 10
ORTHOGONAL = [(1024, 1024), (4096, 1024), (4096, 4096), (8192, 8192)]
DTYPES_OF_INTEREST = ("float32", "float64", "bfloat16", "float8_e4m3fn")


def why_unusable() -> str | None:
    """Return why no GPU is usable, or None."""
    devices = load_backend("gpu").list_devices()
    return None if devices[0].usable else devices[0].description


def time_calls(begin: Callable[[], object], finish: Callable[[], object], runs: int) -> float:
    """Return the median seconds of one of CALLS consecutive calls, after a warm-up."""
    begin()
    finish()
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        for _ in range(CALLS):
            begin()
        finish()
        taken.append((time.perf_counter() - began) / CALLS)
    return statistics.median(taken)


def torch_calls(dtype: str, elements: int) -> dict[str, Callable[[], object]]:
    """Return PyTorch's call for each distribution, or none without PyTorch, its CUDA or the dtype."""
    if not is_installed("torch"):
        return {}
    import torch

    if not torch.cuda.is_available() or not hasattr(torch, dtype):
        return {}
    tensor = torch.empty(elements, dtype=getattr(torch, dtype), device="cuda")
    calls: dict[str, Callable[[], object]] = {
        "uniform": lambda: torch.nn.init.uniform_(tensor, -0.1, 0.1),
        "normal": lambda: torch.nn.init.normal_(tensor, 0, 0.02),
        "truncated normal": lambda: torch.nn.init.trunc_normal_(tensor, 0, 0.02, -0.04, 0.04),
        "constant": lambda: torch.nn.init.constant_(tensor, 1.0),
    }
    return calls if "float8" not in dtype else {}


def jax_calls(dtype: str, elements: int) -> dict[str, Callable[[], Any]]:
    if not is_installed("jax"):
        return {}
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the memory is the others', too
    import jax

    if jax.default_backend() != "gpu" or dtype not in ("float32", "bfloat16"):
        return {}
    key = jax.random.key(7)
    initializers = jax.nn.initializers
    made = {
        "uniform": initializers.uniform(0.1),
        "normal": initializers.normal(0.02),
        "truncated normal": initializers.truncated_normal(0.02),
        "constant": initializers.constant(1.0),
    }
    draw = {name: jax.jit(lambda key, f=f: f(key, (elements,), dtype)) for name, f in made.items()}
    return {name: lambda f=f: f(key) for name, f in draw.items()}


def measure_rates(elements: int, runs: int) -> list[str]:
    import cupy

    gpu = load_backend("gpu").open_backend([])
    rows = []
    with gpu.activate():
        for dtype in DTYPES_OF_INTEREST:
            out: Any = gpu.empty(DTYPES[dtype].nbytes(elements))
            stream = cupy.cuda.get_current_stream()

            def fill(out: Any = out, stream: Any = stream) -> None:
                cupy.cuda.runtime.memsetAsync(out.data.ptr, 0, out.nbytes, stream.ptr)

            torch_begins, jax_begins = torch_calls(dtype, elements), jax_calls(dtype, elements)
            for name, distribution in DISTRIBUTIONS.items():
                source = ElementSource(distribution, DTYPES[dtype], 7, 12345)

                def draw(out: Any = out, source: ElementSource = source) -> None:
                    gpu.fill(source, 0, out)

                plain, own = time_calls(fill, gpu.synchronize, runs), time_calls(draw, gpu.synchronize, runs)
                cells = [f"{own / elements * 1e9:.4f}", f"{out.nbytes / own / 1e9:.0f}", f"{plain / own:.0%}"]
                for begins in (torch_begins, jax_begins):
                    if name not in begins:
                        cells.append("-")
                        continue
                    if begins is torch_begins:
                        import torch

                        peer = time_calls(begins[name], torch.cuda.synchronize, runs)
                    else:
                        results: list[Any] = [None]
                        begin = begins[name]
                        peer = time_calls(
                            lambda begin=begin, results=results: results.__setitem__(0, begin()),
                            lambda results=results: results[0].block_until_ready(),
                            runs,
                        )
                    cells.append(f"{peer / elements * 1e9:.4f} ({peer / own:.1f} ×)")
                rows.append(f"| {name} | {dtype} | {' | '.join(cells)} |")
    return [
        f"Nanoseconds per element for {elements / 1e6:.0f} million elements in the GPU's memory, medians of {runs} runs of",
        f"{CALLS} calls. A plain fill is cudaMemsetAsync of as many bytes. The target is at least 80 % of its rate for float32",
        "uniform and normal values.",
        "",
        "| distribution | dtype | paramgen | GB/s | of a plain fill | PyTorch | JAX |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def measure_orthogonal(shapes: list[tuple[int, int]], runs: int) -> list[str]:
    rows = []
    for shape in shapes:
        document = {"w": {"shape": list(shape), "initializer": "orthogonal"}}
        model = paramgen.load_spec({"operations": [{"name": "x", "type": "custom", "parameters": document}]})
        seconds = {
            device: time_calls(
                lambda device=device, model=model: paramgen.sample(model, device=device), lambda: None, 1
            )
            for device in ("gpu", "cpu")
        }
        peer = "-"
        if is_installed("torch"):
            import torch

            if torch.cuda.is_available():
                tensor = torch.empty(shape, device="cuda")
                taken = time_calls(
                    lambda tensor=tensor: torch.nn.init.orthogonal_(tensor), torch.cuda.synchronize, runs
                )
                peer = f"{taken:.4f} ({taken / seconds['gpu']:.1f} ×)"
        rows.append(f"| {shape[0]} × {shape[1]} | {seconds['gpu']:.4f} | {seconds['cpu']:.4f} | {peer} |")
    return [
        "Orthogonal matrices, float32, seconds in memory. PyTorch's are torch.nn.init.orthogonal_ on the GPU:",
        "",
        "| size | GPU | CPU | PyTorch |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def measure_transfers(size: int, runs: int) -> list[str]:
    import cupy

    host = {"w": np.ones(size, np.uint8)}
    there = paramgen.to_gpu(host)
    calls: dict[str, Callable[[], object]] = {
        "`to_gpu`": lambda: paramgen.to_gpu(host),
        "`cupy.asarray`": lambda: cupy.asarray(host["w"]),
        "`to_cpu`": lambda: paramgen.to_cpu(there),
        "`cupy.asnumpy`": lambda: cupy.asnumpy(there["w"]),
    }
    wait = cupy.cuda.get_current_stream().synchronize
    rows = [f"| {name} | {size / time_calls(call, wait, runs) / 1e9:.1f} |" for name, call in calls.items()]
    return [f"Transfers of {size / 1e9:.1f} GB, GB/s:", "", "| call | GB/s |", "|---|---|", *rows, ""]


def measure_builds(scratch: Path, models: list[Model], runs: int) -> list[str]:
    rows = []
    target = scratch / "out.safetensors"
    for model in models:
        path = scratch / "model.yaml"
        path.write_text(make_spec(model))
        taken: dict[str, list[Measurement]] = {"gpu": [], "cpu": []}
        for _ in range(runs):
            for device, results in taken.items():
                target.unlink(missing_ok=True)
                results.append(measure(*PARAMGEN, "build", path, "--quiet", "--device", device, "-o", target))
        size = target.stat().st_size
        for device, results in taken.items():
            seconds, peaks = [result.seconds for result in results], [result.peak for result in results]
            median = statistics.median(seconds)
            rate = f"{size / median / 1e9:.2f} GB/s | {max(peaks) / 1e6:.0f} MB"
            rows.append(f"| {size / 1e9:.1f} GB | `--device {device}` | {median:.2f} | {rate} |")
    target.unlink(missing_ok=True)
    return [
        f"Whole builds, start-up included, the models of benchmarks/builds.py, medians of {runs} runs in turn:",
        "",
        "| file | device | seconds | rate | peak host memory |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def measure_gpu(scratch: Path, quick: bool) -> list[str]:
    """Return the lines of the section of docs/performance.md."""
    if reason := why_unusable():
        return [TITLE, "", f"Not run: {reason}.", ""]
    runs = 1 if quick else 5
    return [
        TITLE,
        "",
        *(f"- {device.name}: {device.description}" for device in load_backend("gpu").list_devices()),
        "",
        *measure_rates(2**22 if quick else 2**28, runs),
        *measure_orthogonal(ORTHOGONAL[:1] if quick else ORTHOGONAL, runs),
        *measure_transfers(2**24 if quick else 2**31, runs),
        *measure_builds(scratch, [(5000, 64, 256, 2)] if quick else MODELS, 1 if quick else 3),
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        print("\n".join(measure_gpu(Path(folder), "--quick" in sys.argv)))
