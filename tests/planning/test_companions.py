"""The companions of a plan: the content of mappings, and the files to copy."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from golden import Golden

import paramgen
from paramgen.errors import SpecError
from paramgen.planning.companions import Companion, check_companions

SPEC = "files:\n  config.json: {b: 1.0, a: [é, 1]}\n  tokens.json: words/tokens.json\noperations: [{name: a, type: prelu}]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "specs"
    (folder / "words").mkdir(parents=True)
    (folder / "words" / "tokens.json").write_text("{}")
    (folder / "model.yaml").write_text(SPEC)
    return folder


def companions_of(files: str, folder: Path) -> tuple[Companion, ...]:
    (folder / "other.yaml").write_text(f"files: {files}\noperations: [{{name: a, type: prelu}}]\n")
    return paramgen.load_spec(folder / "other.yaml").plan.companions


def test_a_mapping_is_json_and_a_path_is_relative_to_the_spec(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    config, tokens = paramgen.load_spec(Path("specs/model.yaml")).plan.companions
    assert (config.name, tokens.name) == ("config.json", "tokens.json")
    assert config.content == '{\n  "a": [\n    "é",\n    1\n  ],\n  "b": 1.0\n}\n'.encode()
    monkeypatch.chdir("/")
    assert tokens.copied and tokens.copied.path == str(folder / "words" / "tokens.json")
    check_companions((config, tokens))


def test_a_file_without_a_folder_is_built_whatever_can_be_copied(folder: Path) -> None:
    (folder / "words" / "tokens.json").unlink()
    spec = paramgen.load_spec(folder / "model.yaml")
    paramgen.build(spec, folder / "p.safetensors")
    stored = paramgen.Spec.from_file(folder / "p.safetensors")
    assert stored.plan.files == spec.plan.files
    assert [companion.name for companion in stored.plan.companions] == ["config.json", "tokens.json"]


def test_links_may_stay_in_the_folder(folder: Path) -> None:
    (folder / "link.json").symlink_to("words/tokens.json")
    (folder / "linked").symlink_to(folder / "words")
    check_companions(companions_of("{a.json: link.json, b.json: linked/tokens.json}", folder))


def test_errors_of_files_to_copy(folder: Path, golden: Golden) -> None:
    (folder / "outside").symlink_to(folder.parent)
    (folder.parent / "secret.json").write_text("{}")
    (folder / "loop.json").symlink_to("loop.json")
    os.mkfifo(folder / "pipe.json")
    files = "{a.json: absent.json, b.json: words, c.json: outside/secret.json, d.json: loop.json, e.json: pipe.json}"
    with pytest.raises(SpecError) as caught:
        check_companions(companions_of(files, folder))
    mapping = paramgen.load_spec({"files": {"a.json": "b.json"}, "operations": [{"name": "a", "type": "prelu"}]})
    with pytest.raises(SpecError) as of_mapping:
        check_companions(mapping.plan.companions)
    golden(caught.value, of_mapping.value)


def test_a_pipe_has_no_folder(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")
    with ThreadPoolExecutor(1) as pool:
        pool.submit((folder / "pipe.yaml").write_text, SPEC)
        companions = paramgen.load_spec(folder / "pipe.yaml").plan.companions
    with pytest.raises(SpecError, match=r"files.tokens.json: cannot be copied, as the spec does not come from a file"):
        check_companions(companions)
