"""Builds: the same bytes for any blocks and threads; memory that does not grow with the model."""

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import COMPILED_BACKENDS, CONFIGS, ROOT, SMALL
from measuring import measure

import paramgen
from paramgen import engine
from paramgen.blocks import split_into_blocks
from paramgen.drawing import EXTRA_BUFFERS, draw_blocks
from paramgen.language.parsed_spec import Replacements, interpret, read_document
from paramgen.planning.plan import Plan, make_plan
from paramgen.sampling.backend import Backend
from paramgen.sampling.cpu import devices
from paramgen.sampling.matrix_drawer import MatrixDrawer
from paramgen.sampling.reference.backend import NumpyBackend


def make_plan_of(path: Path | str | dict[str, Any]) -> Plan:
    small = SMALL.get(path.stem, {}) if isinstance(path, Path) else {}
    return make_plan(interpret(read_document(path), Replacements(variables=small)))


def build_bytes(plan: Plan, path: Path, **options: Any) -> bytes:
    engine.build(plan, str(path), **options)
    return path.read_bytes()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize(("threads", "block"), [(1, 4096), (2, 8192), (3, 2**16), (7, 2**22)])
def test_threads_and_blocks_do_not_change_a_byte(path: Path, threads: int, block: int, tmp_path: Path) -> None:
    whole = build_bytes(make_plan_of(path), tmp_path / "a")
    assert build_bytes(make_plan_of(path), tmp_path / "b", threads=threads, block_bytes=block) == whole


@pytest.mark.parametrize("backend", [NumpyBackend(), *COMPILED_BACKENDS], ids=lambda backend: backend.name)
def test_instruction_sets_do_not_change_a_byte(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan_of(ROOT / "configs" / "layers.yaml")
    whole = build_bytes(plan, tmp_path / "a")
    monkeypatch.setattr(devices, "cpu_backend", lambda: backend)
    assert build_bytes(plan, tmp_path / "b") == whole


@pytest.mark.parametrize("size", [4096, 12288, 2**22])
def test_blocks_cover_the_file(size: int) -> None:
    plan = make_plan_of(ROOT / "configs" / "source_examples.yaml")
    position = 0
    parts: dict[str, list[tuple[int, int]]] = {}
    begins = {entry.name: len(plan.files[0].header) + entry.start for entry in plan.files[0].entries}
    blocks = list(split_into_blocks(plan.files[0], size))
    for number, block in enumerate(blocks):
        assert block.size == size or number == len(blocks) - 1
        assert block.header == plan.files[0].header[position : position + size]
        used = len(block.header)
        for part in block.slices:
            assert part.offset == used
            assert position + used == begins[part.tensor.name] + part.tensor.dtype.nbytes(part.start)
            used += part.tensor.dtype.nbytes(part.stop - part.start)
            parts.setdefault(part.tensor.name, []).append((part.start, part.stop))
        assert used == block.size
        position += size
    assert sum(block.size for block in blocks) == len(plan.files[0].header) + plan.total_bytes
    for tensor in plan.tensors:
        edges = parts[tensor.name]
        assert [start for start, _ in edges] == [0, *(stop for _, stop in edges[:-1])]
        assert edges[-1][1] == tensor.size


class Failing(NumpyBackend):
    def fill(self, *arguments: Any) -> None:
        raise ZeroDivisionError("in a thread")


def test_an_error_in_a_thread_ends_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    monkeypatch.setattr(devices, "cpu_backend", Failing)
    with pytest.raises(ZeroDivisionError, match="in a thread"):
        build_bytes(make_plan_of(ROOT / "configs" / "layers.yaml"), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == before


def test_a_stream_yields_the_file_in_order(tmp_path: Path) -> None:
    plan = make_plan_of(ROOT / "configs" / "layers.yaml")
    whole = build_bytes(plan, tmp_path / "a")
    with draw_blocks(plan, device="cpu", threads=3, block_bytes=4096) as (device, blocks):
        pairs = [(block, bytes(data)) for block, data in blocks]
    assert device == "cpu"
    assert [block for block, _ in pairs] == list(split_into_blocks(plan.files[0], 4096))
    assert [len(data) for _, data in pairs] == [block.size for block, _ in pairs]
    assert b"".join(data for _, data in pairs) == whole


def test_a_stream_draws_ahead_of_its_consumer_within_its_buffers_only() -> None:
    plan = make_plan_of(
        {"operations": [{"name": "x", "type": "embedding", "vocabulary_size": 4096, "embedding_dimension": 64}]}
    )
    threads, total = 3, len(plan.files[0].header) + plan.total_bytes
    taken = drawn = 0

    def progress(count: int) -> None:
        nonlocal drawn
        drawn += count
        assert drawn <= (taken + threads + EXTRA_BUFFERS) * 4096

    with draw_blocks(plan, threads=threads, block_bytes=4096, progress=progress) as (_, blocks):
        addresses = set()
        for _block, data in blocks:
            addresses.add(np.frombuffer(data, np.uint8).ctypes.data)
            taken += 1
    assert (drawn, taken) == (plan.total_bytes, -(-total // 4096))
    assert len(addresses) <= threads + EXTRA_BUFFERS


def test_a_stream_that_is_left_ends_its_threads() -> None:
    before = threading.active_count()
    with (
        pytest.raises(ZeroDivisionError, match="the consumer's"),
        draw_blocks(make_plan_of(ROOT / "configs" / "layers.yaml"), threads=3, block_bytes=4096) as (_, blocks),
    ):
        next(blocks)
        raise ZeroDivisionError("the consumer's")
    assert threading.active_count() == before


def test_an_interrupted_build_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_bytes(
            make_plan_of(ROOT / "configs" / "layers.yaml"), tmp_path / "a", block_bytes=4096, progress=interrupt
        )
    assert list(tmp_path.iterdir()) == []
    assert threading.active_count() == before


def test_the_result_describes_the_file(tmp_path: Path) -> None:
    counts: list[int] = []
    plan = make_plan_of(ROOT / "configs" / "lenet_batchnorm.yaml")
    result = engine.build(plan, str(tmp_path / "x"), digest=True, progress=counts.append)
    assert result.sha256 == hashlib.sha256((tmp_path / "x").read_bytes()).hexdigest()
    assert sum(counts) == result.total_bytes == plan.total_bytes == 4 * result.total_parameters
    assert result.files == (str(tmp_path / "x"),)
    assert engine.build(plan, str(tmp_path / "x")).sha256 is None


def test_a_parameter_is_the_same_alone_and_among_others(tmp_path: Path) -> None:
    operations = [
        {"name": "a", "type": "fully_connected", "input_size": 30, "output_size": 20},
        {"name": "b", "type": "lstm", "input_size": 3, "num_hidden_units": 5},
    ]
    together = paramgen.sample({"seed": 5, "operations": operations[::-1]})
    for operation in operations:
        alone = paramgen.sample({"seed": 5, "operations": [operation]})
        for name, array in alone[operation["name"]].items():
            assert array.tobytes() == together[operation["name"]][name].tobytes()


def test_a_matrix_whose_drawing_fails_is_not_drawn_again_by_every_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def fail(*arguments: object) -> None:
        begun.append(1)
        raise MemoryError("a matrix")

    monkeypatch.setattr(MatrixDrawer, "_draw_orthogonal", fail)
    parameters = {"w": {"shape": [200, 200], "initializer": "orthogonal"}}
    plan = make_plan_of({"operations": [{"name": "x", "type": "custom", "parameters": parameters}]})
    with pytest.raises(MemoryError, match="a matrix"):
        build_bytes(plan, tmp_path / "x", threads=7, block_bytes=4096)
    assert len(begun) == 1


@pytest.mark.slow
def test_memory_of_an_orthogonal_matrix_is_that_of_a_few_copies(tmp_path: Path) -> None:
    for shape in ([20_000_000, 1], [2, 10_000_000], [5000, 4000]):
        peak = peak_of_build(tmp_path, {"w": {"shape": shape, "initializer": "orthogonal"}}, 80_000_000)
        assert peak < 80e6 + 7 * 80e6, shape


@pytest.mark.slow
def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    """Build 4 GB within 150 MB of RSS; most are constants, which are fast and use the same blocks as the rest."""
    big = {"shape": [480, 1_000_000], "initializer": "ones"}
    drawn = {"shape": [20, 1_000_000], "initializer": "gaussian"}
    assert peak_of_build(tmp_path, {"a": big, "b": big, "c": drawn}, 3_900_000_000) < 150e6


def peak_of_build(tmp_path: Path, parameters: dict[str, Any], size: int) -> float:
    """Return the peak memory, in bytes, of a build of custom parameters of at least `size` bytes."""
    spec = tmp_path / "big.yaml"
    spec.write_text(str({"operations": [{"name": "x", "type": "custom", "parameters": parameters}]}))
    target = tmp_path / "big.safetensors"
    command = [sys.executable, "-m", "paramgen", "build", spec, "--quiet", "-o", target]
    measured = measure(*command)
    assert measured.stderr == ""
    assert target.stat().st_size > size
    target.unlink()
    return measured.peak


def test_numpys_instruction_sets_do_not_change_a_byte(tmp_path: Path) -> None:
    """Compare with a build in which NumPy uses only its baseline, without vector code chosen at run time."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    chosen = [feature for feature in __cpu_dispatch__ if __cpu_features__[feature]]
    if not chosen:
        pytest.skip("NumPy chooses no instruction set at run time on this machine")
    path = ROOT / "configs" / "layers.yaml"
    command = [sys.executable, "-m", "paramgen", "build", path, "--quiet", "-o", tmp_path / "baseline"]
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(chosen)}
    subprocess.run(command, env=environment, check=True)
    assert (tmp_path / "baseline").read_bytes() == build_bytes(make_plan_of(path), tmp_path / "usual")
