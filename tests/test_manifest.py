"""Digests of a build: of files and tensors, in manifests, and of builds that nobody wrote."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import paramgen
from paramgen import engine
from paramgen.analysis.digest import compute_digests
from paramgen.analysis.manifest import verify_manifest
from paramgen.digests import Digests
from paramgen.errors import FileError, MalformedFileError, UsageError
from paramgen.folder_build import build_folder
from paramgen.planning.files import FolderLayout
from paramgen.planning.plan import Plan
from paramgen.storage.checkpoint import Checkpoint
from paramgen.storage.manifest import read_manifest

SPEC: dict[str, Any] = {
    "operations": [
        {"name": name, "type": "fully_connected", "input_size": 50, "output_size": 40} for name in ("b", "c", "a")
    ]
}


def shards() -> Plan:
    return paramgen.plan(SPEC).split(FolderLayout(limit=9000))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tensor_digests() -> dict[str, str]:
    return {name: sha256(np.asarray(array).tobytes()) for name, array in paramgen.sample(SPEC, flat=True).items()}


def file_digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()) for path in folder.iterdir()}


def test_the_manifest_of_a_file(tmp_path: Path) -> None:
    path, manifest = tmp_path / "weights", tmp_path / "manifest"
    engine.build(paramgen.plan(SPEC), str(path), manifest=str(manifest))
    expected = {"files": {"weights": sha256(path.read_bytes())}, "tensors": tensor_digests()}
    assert json.loads(manifest.read_text()) == expected
    assert manifest.read_text() == json.dumps(json.loads(manifest.read_text()), indent=2) + "\n"


def test_the_manifest_of_a_folder(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest"
    build_folder(shards(), str(tmp_path / "model"), manifest=str(manifest))
    document = json.loads(manifest.read_text())
    assert document == {"files": file_digests(tmp_path / "model"), "tensors": tensor_digests()}
    names = [file.name for file in shards().files]
    assert list(document["files"]) == [*names, "model.safetensors.index.json"]


@pytest.mark.parametrize("plan", [paramgen.plan(SPEC), shards()], ids=["file", "shards"])
def test_digests_are_those_of_a_build(plan: Plan, tmp_path: Path) -> None:
    result = build_folder(plan, str(tmp_path))
    assert compute_digests(plan) == Digests(str(result.sha256), file_digests(tmp_path), tensor_digests())


def test_a_manifest_is_replaced_and_other_files_are_kept(tmp_path: Path) -> None:
    path, manifest = str(tmp_path / "weights"), tmp_path / "manifest"
    manifest.write_text("{}")
    with pytest.raises(UsageError, match=r"manifest: exists and was not written by paramgen.*--force"):
        engine.build(paramgen.plan(SPEC), path, manifest=str(manifest))
    assert (os.listdir(tmp_path), manifest.read_text()) == (["manifest"], "{}")
    engine.build(paramgen.plan(SPEC), path, manifest=str(manifest), force=True)
    first = manifest.read_text()
    engine.build(paramgen.plan({**SPEC, "seed": 1}), path, manifest=str(manifest))
    assert first != manifest.read_text()


def test_a_failed_build_leaves_the_old_manifest(tmp_path: Path) -> None:
    path, manifest = str(tmp_path / "weights"), tmp_path / "manifest"
    engine.build(paramgen.plan(SPEC), path, manifest=str(manifest))
    before = manifest.read_bytes()
    with pytest.raises(ZeroDivisionError):
        engine.build(paramgen.plan({**SPEC, "seed": 1}), path, manifest=str(manifest), progress=lambda count: 1 // 0)
    assert manifest.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["manifest", "weights"]


def verify(path: Path, manifest: Path) -> Any:
    with Checkpoint(path) as checkpoint:
        return verify_manifest(checkpoint, read_manifest(str(manifest)))


def test_a_copy_holds_whatever_its_name(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest"
    engine.build(paramgen.plan(SPEC), str(tmp_path / "weights"), manifest=str(manifest))
    (tmp_path / "weights").rename(tmp_path / "other")
    result = verify(tmp_path / "other", manifest)
    assert result.holds and (result.tensors, result.files) == (6, (str(tmp_path / "other"),))


def test_differences_from_a_manifest(tmp_path: Path) -> None:
    folder, manifest = tmp_path / "model", tmp_path / "manifest"
    build_folder(shards(), str(folder), manifest=str(manifest))
    assert verify(folder, manifest).holds
    first, index = folder / shards().files[0].name, folder / "model.safetensors.index.json"
    whole = first.read_bytes()
    first.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    result = verify(folder, manifest)
    assert (result.differing, len(result.other), result.holds) == (1, 1, False)
    assert result.other[0].endswith(f"sha256 must be {sha256(whole)}, got {sha256(first.read_bytes())}")
    first.write_bytes(whole)
    index.write_text(index.read_text() + "\n")
    result = verify(folder, manifest)
    assert (result.differing, len(result.other), result.holds) == (0, 1, False)


def test_tensors_and_files_that_are_absent_or_new(tmp_path: Path) -> None:
    folder, manifest = tmp_path / "model", tmp_path / "manifest"
    build_folder(shards(), str(folder), manifest=str(manifest))
    other = tmp_path / "other.safetensors"
    safetensors.numpy.save_file({"x": np.ones(3)}, other)
    result = verify(other, manifest)
    assert (set(result.missing), result.extra) == (tensor_digests().keys(), ("x",))
    absent = [line for line in result.other if line.endswith(": absent")]
    assert (len(absent), result.other[-1]) == (len(os.listdir(folder)), f"{other}: not in the manifest")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must be valid JSON"),
        ("[" * 100_000, "must be valid JSON"),
        ("[]", "needs files, from names to digests"),
        ('{"files": {}}', "needs tensors, from names to digests"),
        ('{"files": {"a": "b"}, "tensors": {}}', "files: a: must be a SHA-256 in 64 hexadecimal digits, got 'b'"),
        ('{"files": {"../a": "%s"}, "tensors": {}}' % ("0" * 64), "files: must be the name of a file, got '../a'"),
    ],
)
def test_invalid_manifests(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "manifest").write_text(text)
    with pytest.raises(MalformedFileError) as caught:
        read_manifest(str(tmp_path / "manifest"))
    assert str(caught.value).endswith(problem)


def test_a_manifest_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        read_manifest(str(tmp_path / "manifest"))


@pytest.mark.parametrize("force", [False, True])
def test_a_manifest_is_not_one_of_the_weights(force: bool, tmp_path: Path) -> None:
    path = str(tmp_path / "weights")
    with pytest.raises(UsageError, match="the build itself writes this file; choose another one for the manifest"):
        engine.build(paramgen.plan(SPEC), path, manifest=path, force=force)
    manifest = str(tmp_path / "model" / shards().files[0].name)
    with pytest.raises(UsageError, match="the build itself writes this file; choose another one for the manifest"):
        build_folder(shards(), str(tmp_path / "model"), manifest=manifest, force=force)
    assert os.listdir(tmp_path) == []


def test_a_manifest_inside_the_folder(tmp_path: Path) -> None:
    build_folder(shards(), str(tmp_path), manifest=str(tmp_path / "manifest.json"))
    assert verify(tmp_path, tmp_path / "manifest.json").holds


def test_standard_output_cannot_be_withheld() -> None:
    with pytest.raises(UsageError, match="an expected digest needs a file"):
        engine.build(paramgen.plan(SPEC), "-", expect="0" * 64)


@pytest.mark.parametrize("text", ["0" * 63, "md5:" + "0" * 64, "sha256:" + "g" * 64, ""])
def test_an_invalid_expected_digest(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expect: must be 64 hexadecimal digits, with or without sha256: before them"):
        paramgen.build(SPEC, tmp_path / "x", expect=text)


def test_an_expected_digest_with_or_without_its_kind(tmp_path: Path) -> None:
    digest = paramgen.digest(SPEC).sha256
    for text in (digest, f"sha256:{digest}"):
        assert paramgen.build(SPEC, tmp_path / "x", expect=text).sha256 == digest


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, 1025])
def test_invalid_threads_are_refused_everywhere(threads: Any, tmp_path: Path) -> None:
    paramgen.build(SPEC, tmp_path / "x")
    path = tmp_path / "x"
    for call in (
        lambda: paramgen.digest(SPEC, threads=threads),
        lambda: paramgen.verify(path, threads=threads),
        lambda: paramgen.check(path, threads=threads),
        lambda: paramgen.diff(path, path, threads=threads),
    ):
        with pytest.raises(UsageError, match="threads: must be an integer from 1 to 1,024"):
            call()


def test_the_digests_of_a_file_have_its_name(tmp_path: Path) -> None:
    result = paramgen.build(SPEC, tmp_path / "weights", digest=True, manifest=tmp_path / "manifest")
    digests = paramgen.digest(SPEC, tmp_path / "weights")
    assert digests.files == read_manifest(str(tmp_path / "manifest")).files == {"weights": result.sha256}
