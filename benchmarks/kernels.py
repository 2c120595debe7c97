"""Drawing in memory: nanoseconds an element beside PyTorch, NumPy and JAX, on one thread and on two.

python benchmarks/kernels.py
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from measuring import found

from paramgen.distributions import Constant, Distribution, Normal, TruncatedNormal, Uniform
from paramgen.dtypes import DTYPES
from paramgen.engine import draw_into
from paramgen.plan import as_tensor
from paramgen.sampling import cpu
from paramgen.sampling.sampler import Sampler
from paramgen.spec.expand import ParameterKind
from paramgen.spec.initializers import Zeros
from paramgen.team import Team

LAWS: dict[str, Distribution] = {
    "uniform": Uniform(0.1),
    "normal": Normal(0.0, 0.02),
    "truncated normal": TruncatedNormal(0.0, 0.02, -2.0, 2.0),
    "constant": Constant(1.0),
}
Call = Callable[[], object]


def paramgen(law: Distribution, dtype: str, elements: int, threads: int) -> Call:
    tensor = as_tensor("x", ParameterKind((elements,), DTYPES[dtype], None, None, Zeros(type="zeros"), law))
    out = np.empty(tensor.nbytes, np.uint8)
    sampler = Sampler(7, Team(threads))
    return lambda: draw_into(out, tensor, sampler, cpu.kernels())


def pytorch(law: str, dtype: str, elements: int, threads: int) -> Call | None:
    if not found("torch") or not hasattr(__import__("torch"), dtype):
        return None
    import torch

    tensor = torch.empty(elements, dtype=getattr(torch, dtype))
    calls: dict[str, Call] = {
        "uniform": lambda: tensor.uniform_(-0.1, 0.1),
        "normal": lambda: tensor.normal_(0, 0.02),
        "truncated normal": lambda: torch.nn.init.trunc_normal_(tensor, 0, 0.02, -0.04, 0.04),
        "constant": lambda: tensor.fill_(1.0),
    }

    def call() -> None:
        torch.set_num_threads(threads)
        calls[law]()

    try:
        call()
    except (NotImplementedError, RuntimeError):  # not for this dtype
        return None
    return call


def numpy(law: str, dtype: str, elements: int, threads: int) -> Call | None:
    if threads > 1 or dtype not in ("float32", "float64"):
        return None
    rng, out = np.random.default_rng(7), np.empty(elements, dtype)
    calls: dict[str, Call] = {
        "uniform": lambda: rng.random(dtype=dtype, out=out),  # type: ignore[call-overload]
        "normal": lambda: rng.standard_normal(dtype=dtype, out=out),  # type: ignore[call-overload]
        "constant": lambda: out.fill(1.0),
    }
    return calls.get(law)


def jax(law: str, dtype: str, elements: int, threads: int) -> Call | None:
    """JAX takes all the threads there are."""
    if threads == 1 or not found("jax") or dtype not in ("float32", "bfloat16"):
        return None
    import jax

    draws: dict[str, Any] = {
        "uniform": lambda key: jax.random.uniform(key, (elements,), dtype, -0.1, 0.1),
        "normal": lambda key: 0.02 * jax.random.normal(key, (elements,), dtype),
        "truncated normal": lambda key: 0.02 * jax.random.truncated_normal(key, -2.0, 2.0, (elements,), dtype),
    }
    if law not in draws:
        return None
    draw, key = jax.jit(draws[law]), jax.random.key(7)
    return lambda: draw(key).block_until_ready()


def timed(call: Call | None) -> float:
    assert call
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def kernels(elements: int, runs: int) -> list[str]:
    rows = []
    for law, distribution in LAWS.items():
        for dtype in DTYPES:
            if law in ("truncated normal", "constant") and dtype not in ("float64", "float32", "bfloat16"):
                continue
            for threads in (1, 2):
                calls = {
                    "paramgen": paramgen(distribution, dtype, elements, threads),
                    "PyTorch": pytorch(law, dtype, elements, threads),
                    "NumPy": numpy(law, dtype, elements, threads),
                    "JAX": jax(law, dtype, elements, threads),
                }
                times: dict[str, list[float]] = {name: [] for name, call in calls.items() if call}
                for group in (times.keys() - {"JAX"}, times.keys() & {"JAX"}):
                    for run in range(runs + 1):
                        for name in sorted(group):
                            seconds = timed(calls[name])
                            if run:  # the first is a warm-up
                                times[name].append(seconds / elements * 1e9)
                own = statistics.median(times.pop("paramgen"))
                cells = []
                for name in ("PyTorch", "NumPy", "JAX"):
                    other = statistics.median(times[name]) if name in times else None
                    cells.append(f"{other:.2f} ({other / own:.1f} ×)" if other else "-")
                rows.append(f"| {law} | {dtype} | {threads} | {own:.2f} | {' | '.join(cells)} |")
    return [
        "## Drawing in memory",
        "",
        f"Nanoseconds an element for {elements / 1e6:.0f} million elements, into memory that is there already (JAX makes",
        f"its own); medians of {runs} runs in turn, JAX's after the others', as its threads spin on. In brackets how many",
        f"times as long the peer takes. The kernels used: {cpu.kernels().name}.",
        "",
        "| distribution | dtype | threads | paramgen | PyTorch | NumPy | JAX |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        "The aims: float32 uniform at least 6 times and normal at least 3 times PyTorch's rate, on two cores each;",
        "bfloat16 no slower per element than float32. PyTorch draws on one thread whatever it is given. NumPy's normal",
        "is a ziggurat, which takes an unpredictable number of random words: no range of it can be drawn alone.",
        "",
    ]


if __name__ == "__main__":
    print("\n".join(kernels(2**25, runs=7)))
