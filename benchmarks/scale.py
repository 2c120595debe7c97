"""Builds by the workers of a Dask cluster on this machine: speed, overhead per unit, memory of a worker.

python benchmarks/scale.py
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from distributed import Client, LocalCluster
from measuring import measure_in_turn

import paramgen

# Drawing takes much longer than writing.
ORTHOGONAL = """
operations:
  - {name: x, repeat: 16, type: custom, parameters: {w: {shape: [1600, 1600], initializer: orthogonal}}}
"""
ELEMENTS = """
dtype: bfloat16
operations:
  - {{name: x, repeat: {count}, type: custom, parameters: {{w: {{shape: [{rows}, 1000], initializer: gaussian}}}}}}
"""
SETTINGS = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": ":0"}


@contextmanager
def start_cluster(workers: int, folder: Path) -> Iterator[Client]:
    with (
        LocalCluster(n_workers=workers, local_directory=str(folder), **SETTINGS) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def build_seconds(client: Client | None, spec: paramgen.Spec, path: Path, **options: str) -> float:
    return paramgen.build(spec, path, dask=client, threads=1, sync=False, **options).seconds


def read_peaks(client: Client) -> list[float]:
    """Return the peak memory of each worker, in MB."""
    return [peak / 1000 for peak in client.run(peak_memory).values()]


def peak_memory() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure_workers(scratch: Path, runs: int) -> list[str]:
    """Compare two workers with one, and one with a thread of this process."""
    rows = []
    with start_cluster(1, scratch) as one, start_cluster(2, scratch) as two:
        for name, text in (("orthogonal", ORTHOGONAL), ("bfloat16", ELEMENTS.format(count=10, rows=50_000))):
            spec = paramgen.load_spec(write_spec(scratch, text))
            local, first, _ = measure_in_turn(
                lambda spec=spec: build_seconds(None, spec, scratch / "x"),
                lambda spec=spec: build_seconds(one, spec, scratch / "x"),
                runs,
            )
            first, second, ratio = measure_in_turn(
                lambda spec=spec: build_seconds(one, spec, scratch / "x"),
                lambda spec=spec: build_seconds(two, spec, scratch / "x"),
                runs,
            )
            rows.append(f"| {name} | {local:.2f} | {first:.2f} | {second:.2f} | {ratio:.2f} × |")
    return [
        "| values | one thread | one worker | two workers | one : two |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def measure_units(scratch: Path, shards: int) -> list[str]:
    """Measure a plan of many small shards."""
    spec = paramgen.load_spec(write_spec(scratch, ELEMENTS.format(count=shards, rows=10)))
    with start_cluster(2, scratch) as client:
        build_seconds(client, spec, scratch / "warm")
        local = build_seconds(None, spec, f"{scratch}/local/", max_shard_size="20KB")
        seconds = build_seconds(client, spec, f"{scratch}/shards/", max_shard_size="20KB")
    per_unit = 1000 * (seconds - local) / shards
    return [
        f"A folder of {shards:,} shards: {seconds:.1f} s, {local:.1f} s without Dask; {per_unit:.1f} ms a unit more.",
        "",
    ]


def measure_memory(scratch: Path, sizes: tuple[float, ...]) -> list[str]:
    """Measure the peak memory of the workers for models of several sizes."""
    rows = []
    for size in sizes:
        count = int(size / 1e8)
        spec = paramgen.load_spec(write_spec(scratch, ELEMENTS.format(count=count, rows=50_000)))
        with start_cluster(2, scratch) as client:
            before = max(read_peaks(client))
            build_seconds(client, spec, scratch / "x")
            rows.append(f"| {size / 1e9:g} GB | {before:.0f} MB | {max(read_peaks(client)):.0f} MB |")
        os.unlink(scratch / "x")
    return ["| file | a worker before | its peak |", "|---|---|---|", *rows, ""]


def write_spec(scratch: Path, text: str) -> Path:
    path = scratch / "spec.yaml"
    path.write_text(text)
    return path


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        scratch = Path(folder)
        for measure in (
            partial(measure_workers, runs=3),
            partial(measure_units, shards=1000),
            partial(measure_memory, sizes=(0.5e9, 4e9)),
        ):
            print("\n".join(measure(scratch)), flush=True)


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr)
