"""Units of files: they cover the file, cut no matrix, and each can be drawn alone."""

from itertools import pairwise
from pathlib import Path

import pytest
from helpers import CONFIGS, find_small_variables, plan_text

from paramgen.blocks import FileRange, find_entries, split_into_blocks
from paramgen.distributed import splitting
from paramgen.distributed.splitting import UNIT_BYTES, UNIT_STEP, order_units, split_file, unit_size
from paramgen.drawing import draw_blocks
from paramgen.planning.plan import Plan
from paramgen.spec import read_and_plan

MIXED = """
operations:
  - {name: a, type: custom, parameters: {w: {shape: [500, 100], initializer: gaussian}}}
  - {name: b, repeat: 3, type: custom, parameters: {w: {shape: [60, 50], initializer: orthogonal}, x: {shape: [9], initializer: ones}}}
  - {name: c, type: custom, parameters: {w: {shape: [300, 100], initializer: gaussian}}}
  - {name: d, type: custom, parameters: {w: {shape: [90, 90], initializer: orthogonal}}}
"""


def draw_range(plan: Plan, unit: FileRange) -> bytes:
    with draw_blocks(plan, ranges=[unit], threads=2, block_bytes=4096) as drawn:
        return b"".join(bytes(data) for _, data in drawn.blocks)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_ranges_drawn_alone_give_the_file(path: Path) -> None:
    plan = read_and_plan(path, variables=find_small_variables(path)).plan
    (file,) = plan.files
    whole = draw_range(plan, FileRange(file.name, 0, file.size))
    units = split_file(file, max(4096, file.size // 5 // 4096 * 4096))
    assert len(units) > 2
    assert [unit.start for unit in units] == [0, *(unit.stop for unit in units[:-1])]
    assert b"".join(draw_range(plan, unit) for unit in units) == whole


@pytest.mark.parametrize("start", [0, 8, 4000, 4096, 50_000])
@pytest.mark.parametrize("length", [8, 4096, 100_000])
def test_blocks_of_a_range_are_aligned_in_the_file(start: int, length: int) -> None:
    (file,) = plan_text(MIXED).files
    blocks = list(split_into_blocks(file, 4096, start, start + length))
    assert sum(block.size for block in blocks) == length
    position = start
    for block in blocks:
        assert position == start or position % 4096 == 0
        position += block.size
    whole = draw_range(plan_text(MIXED), FileRange(file.name, 0, file.size))
    assert draw_range(plan_text(MIXED), FileRange(file.name, start, start + length)) == whole[start : start + length]


@pytest.mark.parametrize("size", [4096, 12288, 2**16])
@pytest.mark.parametrize("own_seconds", [0.0, 1.0])
def test_no_matrix_is_cut(size: int, own_seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "OWN_UNIT_SECONDS", own_seconds)
    monkeypatch.setattr(splitting, "SHORT_BYTES", 0)
    plan = plan_text(MIXED)
    (file,) = plan.files
    units = split_file(file, size)
    assert (units[0].start, units[-1].stop) == (0, file.size)
    assert all(before.stop == after.start for before, after in pairwise(units))
    matrices = [entry for entry in file.entries if entry.name[0] in "bd" and entry.name.endswith("w")]
    assert len(matrices) == 4
    cuts = {unit.start - len(file.header) for unit in units}
    assert not any(entry.start < cut < entry.stop for cut in cuts for entry in matrices)
    if not own_seconds:
        assert cuts >= {entry.start for entry in matrices} | {entry.stop for entry in matrices[:-1]}


def test_matrices_start_first() -> None:
    plan = plan_text(
        """
operations:
  - {name: a, type: custom, parameters: {w: {shape: [4000, 1000], initializer: gaussian}}}
  - {name: b, type: custom, parameters: {w: {shape: [1800, 1800], initializer: orthogonal}}}
"""
    )
    (file,) = plan.files
    units = split_file(file, 2**22)
    first = order_units({file.name: file}, units)[0]
    assert [entry.name for entry in find_entries(file, first.start, first.stop)] == ["b.w"]
    assert len(units) == 5


@pytest.mark.parametrize(
    ("rows", "workers", "size"), [(250_000, 2, 8 * UNIT_STEP), (250_000, 100, UNIT_STEP), (10**9, 2, UNIT_BYTES)]
)
def test_each_worker_gets_several_units(rows: int, workers: int, size: int) -> None:
    (file,) = plan_text(
        f"operations: [{{name: x, type: custom, parameters: {{w: {{shape: [{rows}, 1000], initializer: ones}}}}}}]"
    ).files
    assert unit_size(file, workers) == size
