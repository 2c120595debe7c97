"""Folders of shards: their files, what they replace, and builds that were interrupted."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import paramgen
from paramgen.errors import DigestError, FileError, SpecError, UsageError
from paramgen.folder_build import build_folder
from paramgen.planning.files import FolderLayout
from paramgen.planning.plan import Plan

INDEX = "model.safetensors.index.json"
SHARDS = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]


def spec_of(rows: int) -> dict[str, Any]:
    """Return the spec of three matrices of 200 bytes a row, in an order that is not that of their names."""
    matrix = {"shape": [rows, 50], "initializer": "gaussian"}
    return {"operations": [{"name": name, "type": "custom", "parameters": {"w": matrix}} for name in ("b", "c", "a")]}


def plan_of(rows: int = 50) -> Plan:
    return paramgen.plan(spec_of(rows))


def shards_of(rows: int = 50) -> Plan:
    return plan_of(rows).split(FolderLayout(limit=200 * rows))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_has_the_tensors_of_a_file(tmp_path: Path) -> None:
    result = build_folder(shards_of(), str(tmp_path / "model"))
    assert sorted(os.listdir(tmp_path / "model")) == [*SHARDS, INDEX]
    expected = paramgen.sample(spec_of(50), flat=True)
    shards = [safetensors.numpy.load_file(path) for path in result.files]
    assert [list(shard) for shard in shards] == [["b.w"], ["c.w"], ["a.w"]]
    assert all(np.array_equal(array, expected[name]) for shard in shards for name, array in shard.items())
    digests = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in result.files]
    assert result.sha256 == hashlib.sha256("".join(digests).encode()).hexdigest()
    index = json.loads((tmp_path / "model" / INDEX).read_text())
    assert index["metadata"] == {"total_parameters": 7500, "total_size": 30000}
    assert index["weight_map"] == {"b.w": SHARDS[0], "c.w": SHARDS[1], "a.w": SHARDS[2]}


def test_any_shard_gives_the_whole_folder_again(tmp_path: Path) -> None:
    build_folder(shards_of(), str(tmp_path / "first"))
    for name in SHARDS:
        plan = paramgen.Spec.from_file(tmp_path / "first" / name).plan
        build_folder(plan, str(tmp_path / name))
        assert contents(tmp_path / name) == contents(tmp_path / "first")


def test_a_single_file_replaces_shards_and_their_index(tmp_path: Path) -> None:
    build_folder(shards_of(), str(tmp_path))
    build_folder(plan_of().split(FolderLayout()), str(tmp_path))
    assert os.listdir(tmp_path) == ["model.safetensors"]
    build_folder(shards_of(), str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [*SHARDS, INDEX]


def test_weights_of_others_are_kept(tmp_path: Path) -> None:
    foreign = tmp_path / "model.safetensors"
    safetensors.numpy.save_file({"x": np.ones(3)}, foreign)
    before = foreign.read_bytes()
    with pytest.raises(UsageError, match=r"was not written by paramgen.*--force"):
        build_folder(shards_of(), str(tmp_path))
    assert contents(tmp_path) == {"model.safetensors": before}
    build_folder(shards_of(), str(tmp_path), force=True)
    assert sorted(os.listdir(tmp_path)) == [*SHARDS, INDEX]


def test_an_interrupted_build_leaves_the_old_folder(tmp_path: Path) -> None:
    build_folder(shards_of(), str(tmp_path))
    before = contents(tmp_path)
    with pytest.raises(ZeroDivisionError):
        build_folder(shards_of(60), str(tmp_path), progress=lambda count: 1 // 0)
    assert contents(tmp_path) == before


def test_a_limit_below_a_header_is_refused() -> None:
    with pytest.raises(UsageError, match="smaller than a header"):
        plan_of().split(FolderLayout(limit=100))


def test_a_file_where_a_folder_is_meant(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("x")
    with pytest.raises(UsageError, match="must be a folder, got a file"):
        build_folder(shards_of(), str(tmp_path / "model"))


def test_a_parent_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="its parent folder does not exist; create it first"):
        build_folder(shards_of(), str(tmp_path / "a" / "b"))


def test_an_unexpected_digest_leaves_nothing(tmp_path: Path) -> None:
    expected = build_folder(shards_of(), str(tmp_path / "a")).sha256
    build_folder(shards_of(), str(tmp_path / "b"), expect=expected)
    with pytest.raises(DigestError, match="sha256 must be 0000"):
        build_folder(shards_of(), str(tmp_path / "c"), expect="0" * 64)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


class StopBuildError(Exception):
    """It ends a build in the middle."""


def interrupt_after(count: int) -> Any:
    """Return a progress function that raises StopBuildError after `count` drawn bytes."""
    drawn = 0

    def progress(more: int) -> None:
        nonlocal drawn
        drawn += more
        if drawn > count:
            raise StopBuildError

    return progress


def interrupt(folder: Path, rows: int = 50_000) -> tuple[Plan, dict[str, bytes]]:
    """Interrupt a build in its second shard; return its plan, and the contents that the finished folder will have."""
    plan = shards_of(rows)
    build_folder(plan, str(folder.parent / "whole"))
    with pytest.raises(StopBuildError) as caught:
        build_folder(plan, str(folder), threads=1, progress=interrupt_after(15_000_000))
    (note,) = caught.value.__notes__
    assert note.endswith("1 finished shard kept; build again with --resume to continue")
    assert os.listdir(folder) == [".paramgen-resume"]
    return plan, contents(folder.parent / "whole")


def forge(staging: Path) -> None:
    """Damage a finished shard, and record the digest that it has then."""
    damaged = bytearray((staging / SHARDS[0]).read_bytes())
    damaged[-1] ^= 1
    (staging / SHARDS[0]).write_bytes(damaged)
    (staging / "digests").write_text(f"{hashlib.sha256(damaged).hexdigest()}  {SHARDS[0]}\n")


@pytest.mark.parametrize("redraw", [False, True])
def test_a_resumed_build_draws_only_what_is_missing(redraw: bool, tmp_path: Path) -> None:
    plan, expected = interrupt(tmp_path / "model")
    staged = tmp_path / "model" / ".paramgen-resume" / SHARDS[0]
    number = staged.stat().st_ino
    build_folder(plan, str(tmp_path / "model"), resume=True, redraw=redraw, manifest=str(tmp_path / "manifest"))
    assert contents(tmp_path / "model") == expected
    assert (tmp_path / "model" / SHARDS[0]).stat().st_ino == number
    digests = json.loads((tmp_path / "manifest").read_text())["files"]
    assert digests == {name: hashlib.sha256(data).hexdigest() for name, data in expected.items()}


def test_a_damaged_shard_is_drawn_again(tmp_path: Path) -> None:
    plan, expected = interrupt(tmp_path / "model")
    staged = tmp_path / "model" / ".paramgen-resume" / SHARDS[0]
    damaged = bytearray(staged.read_bytes())
    damaged[-1] ^= 1
    staged.write_bytes(damaged)
    build_folder(plan, str(tmp_path / "model"), resume=True)
    assert contents(tmp_path / "model") == expected


def test_a_shard_with_a_forged_digest_is_found_by_drawing(tmp_path: Path) -> None:
    plan, expected = interrupt(tmp_path / "model")
    forge(tmp_path / "model" / ".paramgen-resume")
    build_folder(plan, str(tmp_path / "model"), resume=True, redraw=True)
    assert contents(tmp_path / "model") == expected


def test_another_spec_does_not_continue_from_old_shards(tmp_path: Path) -> None:
    interrupt(tmp_path / "model")
    other = paramgen.plan({**spec_of(50_000), "seed": 1}).split(FolderLayout(limit=10_000_000))
    build_folder(other, str(tmp_path / "model"), resume=True)
    build_folder(other, str(tmp_path / "other"))
    assert contents(tmp_path / "model") == contents(tmp_path / "other")


def test_a_build_without_resume_begins_again(tmp_path: Path) -> None:
    plan, expected = interrupt(tmp_path / "model")
    forge(tmp_path / "model" / ".paramgen-resume")
    build_folder(plan, str(tmp_path / "model"))
    assert contents(tmp_path / "model") == expected


def test_two_builds_into_one_folder(tmp_path: Path) -> None:
    def build_another(count: int) -> None:
        with pytest.raises(UsageError, match="another build is writing into this folder; wait until it ends"):
            build_folder(shards_of(), str(tmp_path))

    build_folder(shards_of(), str(tmp_path), progress=build_another)
    assert sorted(os.listdir(tmp_path)) == [*SHARDS, INDEX]


CONFIG = {"model_type": "none", "hidden": "${n}", "layers": [1, 2]}


def companion_spec(folder: Path, **changes: Any) -> Path:
    """Write a spec with a config.json and a copied file, and return its path."""
    (folder / "tokenizer.txt").write_text("a b c\n")
    files = {"config.json": CONFIG, "vocabulary": "tokenizer.txt"}
    path = folder / "spec.yaml"
    path.write_text(json.dumps({"variables": {"n": 50}, "files": files, **spec_of(50), **changes}))
    return path


@pytest.mark.parametrize("limit", [None, 10_000])
def test_companions_appear_beside_the_weights(limit: int | None, tmp_path: Path) -> None:
    spec, folder, manifest = companion_spec(tmp_path), tmp_path / "model", tmp_path / "manifest"
    paramgen.build(spec, f"{folder}/", max_shard_size=limit, manifest=manifest)
    expected = '{\n  "hidden": 50,\n  "layers": [\n    1,\n    2\n  ],\n  "model_type": "none"\n}\n'
    assert (folder / "config.json").read_text() == expected
    assert (folder / "vocabulary").read_text() == "a b c\n"
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert (
        json.loads(manifest.read_text())["files"]
        == digests
        == paramgen.digest(spec, f"{folder}/", max_shard_size=limit).files
    )
    assert paramgen.verify(folder).holds and paramgen.verify(folder, manifest=manifest).holds


def test_companions_of_the_old_weights_are_replaced_and_others_kept(tmp_path: Path) -> None:
    spec, folder = companion_spec(tmp_path), tmp_path / "model"
    paramgen.build(spec, f"{folder}/")
    companion_spec(tmp_path, variables={"n": 51})
    paramgen.build(spec, f"{folder}/")
    assert json.loads((folder / "config.json").read_text())["hidden"] == 51
    (folder / "config.json").write_text("{}")
    before = contents(folder)
    companion_spec(tmp_path, seed=1)
    with pytest.raises(UsageError, match=r"config\.json: exists and was not written by paramgen.*--force"):
        paramgen.build(spec, f"{folder}/")
    assert contents(folder) == before
    paramgen.build(spec, f"{folder}/", force=True)
    assert json.loads((folder / "config.json").read_text())["hidden"] == 50


def test_a_companion_that_changed_does_not_verify(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    paramgen.build(companion_spec(tmp_path), f"{folder}/")
    (folder / "vocabulary").write_text("copied files are not verified")
    assert paramgen.verify(folder).holds
    (folder / "config.json").write_text("{}")
    assert paramgen.verify(folder).other == (f"{folder}/config.json: not what the spec describes",)
    (folder / "config.json").unlink()
    assert paramgen.verify(folder).other == (f"{folder}/config.json: absent",)
    assert paramgen.verify(folder / "model.safetensors").holds


def test_a_file_to_copy_is_found_before_anything_is_drawn(tmp_path: Path) -> None:
    spec = companion_spec(tmp_path)
    (tmp_path / "tokenizer.txt").unlink()
    with pytest.raises(SpecError, match=r"files\.vocabulary: must be a regular file below the spec's folder"):
        paramgen.build(spec, f"{tmp_path}/model/")
    assert os.listdir(tmp_path) == ["spec.yaml"]
    paramgen.build(spec, tmp_path / "weights")  # a single file has no companions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_shard_size": "5 things"}, "max_shard_size: must be a number with a unit of KB, MB, GB, TB"),
        ({"max_shard_size": 0}, "max_shard_size: must be a positive number of bytes"),
        ({"max_shard_size": True}, "max_shard_size: must be a positive number of bytes"),
        ({"basename": "../x"}, "basename: must be a file name of letters, digits, _, . and -"),
    ],
)
def test_invalid_options_of_a_folder(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        paramgen.build(spec_of(50), f"{tmp_path}/model/", **options)
    assert str(caught.value).startswith(message)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("option", ["max_shard_size", "basename", "resume"])
def test_options_of_a_folder_for_a_file(option: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_shard_size": 10_000, "basename": "x", "resume": True}
    with pytest.raises(UsageError, match=f"{option}: needs a folder; end the path in a slash"):
        paramgen.build(spec_of(50), tmp_path / "weights", **{option: options[option]})


@pytest.mark.slow
def test_a_header_above_the_limit_of_the_hub_is_a_warning(tmp_path: Path) -> None:
    group = {
        "name": "n" * 200,
        "repeat": 100_000,
        "operations": [{"name": "p", "type": "prelu", "num_channels": 100}],
    }
    plan = paramgen.plan({"operations": [group]})
    with pytest.warns(match=r"model\.safetensors: the header should have at most 25,000,000 bytes"):
        build_folder(plan.split(FolderLayout()), str(tmp_path))
    build_folder(plan.split(FolderLayout(limit=25_000_000)), str(tmp_path))  # two shards have shorter headers


def test_too_little_space_is_known_before_anything_is_drawn(tmp_path: Path) -> None:
    plan = paramgen.plan(spec_of(2**40)).split(FolderLayout(limit=2**48))
    with pytest.raises(FileError, match=r"needs 660 TB of free space"):
        build_folder(plan, str(tmp_path / "model"), progress=lambda count: 1 // 0)
    assert os.listdir(tmp_path) == []
