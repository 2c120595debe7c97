"""Drawing in memory with each instruction set, compared with PyTorch, NumPy and JAX.

python benchmarks/kernels.py
"""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from measuring import is_installed

from paramgen.catalog.distributions import (
    Constant,
    Distribution,
    LogUniform,
    Normal,
    Sinusoidal,
    SsmDtBias,
    Table,
    TruncatedNormal,
    Uniform,
    UniformInterval,
)
from paramgen.catalog.initializers import Zeros
from paramgen.dtypes import DTYPES
from paramgen.engine import draw_into
from paramgen.planning.tensors import ResolvedParameter, as_tensor
from paramgen.sampling.backend import Backend
from paramgen.sampling.cpu.devices import cpu_backend
from paramgen.sampling.sampler import Sampler

DISTRIBUTIONS: dict[str, Distribution] = {
    "uniform": Uniform(0.1),
    "normal": Normal(0.0, 0.02),
    "truncated normal": TruncatedNormal(0.0, 0.02, -2.0, 2.0),
    "constant": Constant(1.0),
    "uniform (low, high)": UniformInterval(0.0, 1.0),
    "log-uniform": LogUniform(0.001, 0.1),
    "ssm_dt_bias": SsmDtBias(0.001, 0.1, 1e-4),
    "sinusoidal": Sinusoidal(1024, False, 0.0, 0.018),
    "table": Table.of(range(1024)),
}
ALL_DTYPES = ("uniform", "normal")
Call = Callable[[], object]
PEERS = ("PyTorch", "JAX")

# Seconds of rest before each call: PyTorch's second thread spins for about 5 ms after its own calls.
REST = 0.02


def list_instruction_sets() -> list[Backend]:
    """Return the kernels that this CPU can run, the fastest last; the NumPy reference if none were built."""
    try:
        from paramgen.sampling.cpu.backend import COMPILED_BACKENDS
    except ImportError:
        return [cpu_backend()]
    return list(COMPILED_BACKENDS)


def paramgen(distribution: Distribution, dtype: str, elements: int, threads: int, kernels: Backend) -> Call:
    tensor = as_tensor(
        "x", ResolvedParameter((elements,), DTYPES[dtype], None, None, Zeros(type="zeros"), distribution)
    )
    out = np.empty(tensor.nbytes, np.uint8)
    sampler = Sampler(7, threads)
    return lambda: draw_into(out, tensor, sampler, kernels)


def pytorch(distribution: str, dtype: str, elements: int, threads: int) -> Call | None:
    if not is_installed("torch") or not hasattr(__import__("torch"), dtype):
        return None
    import torch

    tensor = torch.empty(elements, dtype=getattr(torch, dtype))
    calls: dict[str, Call] = {
        "uniform": lambda: tensor.uniform_(-0.1, 0.1),
        "normal": lambda: tensor.normal_(0, 0.02),
        "truncated normal": lambda: torch.nn.init.trunc_normal_(tensor, 0, 0.02, -0.04, 0.04),
        "constant": lambda: tensor.fill_(1.0),
        "uniform (low, high)": lambda: tensor.uniform_(0, 1),
        "log-uniform": lambda: tensor.uniform_(math.log(0.001), math.log(0.1)).exp_(),
    }
    if distribution not in calls:
        return None

    def call() -> None:
        torch.set_num_threads(threads)
        calls[distribution]()

    try:
        call()
    except (NotImplementedError, RuntimeError):  # not for this dtype
        return None
    return call


def numpy(distribution: str, dtype: str, elements: int) -> Call | None:
    if dtype not in ("float32", "float64"):
        return None
    rng, out = np.random.default_rng(7), np.empty(elements, dtype)
    calls: dict[str, Call] = {
        "uniform": lambda: rng.random(dtype=dtype, out=out),  # type: ignore[call-overload]
        "normal": lambda: rng.standard_normal(dtype=dtype, out=out),  # type: ignore[call-overload]
        "constant": lambda: out.fill(1.0),
    }
    return calls.get(distribution)


def jax(distribution: str, dtype: str, elements: int) -> Call | None:
    """Return a call of JAX, which always uses all threads."""
    if not is_installed("jax") or dtype not in ("float32", "bfloat16"):
        return None
    import jax

    draws: dict[str, Any] = {
        "uniform": lambda key: jax.random.uniform(key, (elements,), dtype, -0.1, 0.1),
        "normal": lambda key: 0.02 * jax.random.normal(key, (elements,), dtype),
        "truncated normal": lambda key: 0.02 * jax.random.truncated_normal(key, -2.0, 2.0, (elements,), dtype),
    }
    if distribution not in draws:
        return None
    draw, key = jax.jit(draws[distribution]), jax.random.key(7)
    return lambda: draw(key).block_until_ready()


def time_call(call: Call) -> float:
    time.sleep(REST)
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure_medians(calls: dict[str, Call | None], elements: int, runs: int) -> dict[str, float]:
    """Return each call's nanoseconds per element. The calls take turns after a warm-up."""
    given = {name: call for name, call in calls.items() if call}
    for call in given.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in given}
    for _ in range(runs):
        for name, call in given.items():
            times[name].append(time_call(call) / elements * 1e9)
    return {name: statistics.median(values) for name, values in times.items()}


def format_cell(own: float, peer: float | None) -> str:
    return f"{own:.2f} ({peer / own:.1f} ×)" if peer else f"{own:.2f}"


def measure_one_thread(distribution: str, dtype: str, elements: int, runs: int) -> str:
    sets = list_instruction_sets()
    calls = {kernels.name: paramgen(DISTRIBUTIONS[distribution], dtype, elements, 1, kernels) for kernels in sets}
    peers = {"PyTorch": pytorch(distribution, dtype, elements, 1), "NumPy": numpy(distribution, dtype, elements)}
    times = measure_medians({**calls, **peers}, elements, runs)
    cells = [format_cell(times[kernels.name], times.get("PyTorch")) for kernels in sets]
    cells += [f"{times[name]:.2f}" if name in times else "-" for name in peers]
    return f"| {distribution} | {dtype} | {' | '.join(cells)} |"


def measure_two_threads(distribution: str, dtype: str, elements: int, runs: int) -> str:
    own = {"paramgen": paramgen(DISTRIBUTIONS[distribution], dtype, elements, 2, list_instruction_sets()[-1])}
    times = measure_medians({**own, "PyTorch": pytorch(distribution, dtype, elements, 2)}, elements, runs)
    times |= measure_medians({"JAX": jax(distribution, dtype, elements)}, elements, runs)
    cells = [f"{times[name]:.2f} ({times[name] / times['paramgen']:.1f} ×)" if name in times else "-" for name in PEERS]
    return f"| {distribution} | {dtype} | {times['paramgen']:.2f} | {' | '.join(cells)} |"


def measure_kernels(elements: int, runs: int) -> list[str]:
    cases = [
        (distribution, dtype)
        for distribution in DISTRIBUTIONS
        for dtype in DTYPES
        if distribution in ALL_DTYPES or dtype in ("float64", "float32", "bfloat16")
    ]
    names = [kernels.name for kernels in list_instruction_sets()]
    return [
        "## Drawing in memory",
        "",
        f"Nanoseconds per element for {elements / 1e6:.0f} million elements, in memory allocated before, medians of {runs}",
        "runs in turn. Parentheses: PyTorch's time divided by ours; PyTorch chooses its instruction set.",
        "",
        "One thread, with the kernels of each instruction set of this CPU:",
        "",
        f"| distribution | dtype | {' | '.join(names)} | PyTorch | NumPy |",
        f"|---|---|{'---|' * len(names)}---|---|",
        *(measure_one_thread(distribution, dtype, elements, runs) for distribution, dtype in cases),
        "",
        f"Two threads, with the kernels for {names[-1]}. Parentheses: PyTorch's and JAX's times divided by ours. JAX",
        "allocates its own memory, and runs after the others:",
        "",
        "| distribution | dtype | paramgen | PyTorch | JAX |",
        "|---|---|---|---|---|",
        *(measure_two_threads(distribution, dtype, elements, runs) for distribution, dtype in cases),
        "",
        "| target on two threads | at least |",
        "|---|---|",
        "| float32 uniform | 6 times PyTorch's rate |",
        "| float32 normal | 3 times PyTorch's rate |",
        "| bfloat16 | the rate of float32, per element |",
        "",
        "- PyTorch draws on one thread, whatever the setting.",
        "- NumPy's normal distribution is a ziggurat. It uses an unpredictable number of random words, so no part of an",
        "  array can be drawn by itself.",
        "- Memory limits constants, on one thread as on two.",
        "",
    ]


if __name__ == "__main__":
    print("\n".join(measure_kernels(2**25, runs=7)))
