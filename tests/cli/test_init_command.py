"""The command `init`: the starter spec, and the specs of published models."""

import json
import os
import re
from pathlib import Path

import jsonschema
import pytest
from golden import Golden
from helpers import CONFIGS, ROOT, Run

import paramgen
from paramgen.cli.init import SCHEMA, SCHEMA_OF_CONFIGS, STARTER, list_models
from paramgen.language.schema import json_schema
from paramgen.language.yaml_reader import from_yaml

pytestmark = pytest.mark.slow


def test_the_starter_builds_at_once(run: Run, tmp_path: Path) -> None:
    written = run("init", "-o", "model.yaml")
    assert (written.returncode, written.stderr) == (0, "")
    assert written.stdout == "model.yaml: written; see its tensors with paramgen plan model.yaml\n"
    text = (tmp_path / "model.yaml").read_text()
    assert run("init").stdout == text == STARTER.read_text()
    built = run("build", "model.yaml", "-o", "model.safetensors")
    assert (built.returncode, built.stderr) == (0, "")
    assert built.stdout.startswith("model.safetensors: 43 tensors, 264,074 parameters")
    piped = run("build", "-", "-o", "piped.safetensors", "--set", "layers=1", input=text)
    assert piped.stdout.startswith("piped.safetensors: 13 tensors")


def test_the_starter_is_short_and_shows_the_language() -> None:
    text = STARTER.read_text()
    lines = text.splitlines()
    assert lines[0] == f"# yaml-language-server: $schema={SCHEMA}"
    assert len(lines) <= 32 and max(map(len, lines)) <= 120
    for key in ("variables", "defaults", "operations", "repeat", "initializers", "overrides"):
        assert re.search(rf"^ *{key}: +\S+|^ *{key}:$", text, re.MULTILINE), key
    jsonschema.validate(from_yaml(text.encode(), "s").data, json_schema())
    plan = paramgen.load_spec(STARTER).plan
    assert {row["initializer"]["type"] for row in plan.rows()} >= {"gaussian", "zeros", "uniform"}


def test_models_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert [*list_models()] == sorted(set(re.findall(r"\(\.\./configs/(\w+)\.yaml\)", page)))


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.stem in list_models()], ids=lambda path: path.stem)
def test_a_model_is_its_config(path: Path, run: Run) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(SCHEMA_OF_CONFIGS) == 1
    done = run("init", "--model", path.stem)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == text.replace(SCHEMA_OF_CONFIGS, SCHEMA)


def test_a_written_model_has_the_tensors_of_its_config(run: Run, tmp_path: Path) -> None:
    assert run("init", "--model", "gpt2", "-o", "gpt2.yaml").returncode == 0
    plans = [json.loads(run("plan", spec, "--json").stdout) for spec in ("gpt2.yaml", ROOT / "configs" / "gpt2.yaml")]
    assert plans[0] == plans[1]


def test_files_are_never_overwritten(run: Run, tmp_path: Path, golden: Golden) -> None:
    (tmp_path / "file").write_text("mine")
    os.symlink("nowhere", tmp_path / "link")
    texts = []
    for output, status in (("file", 2), ("link", 2), (".", 2), ("missing/file", 3)):
        done = run("init", "-o", output)
        assert (done.returncode, done.stdout) == (status, "")
        texts.append(done.stderr)
    assert (tmp_path / "file").read_text() == "mine" and not (tmp_path / "nowhere").exists()
    golden(*texts)


def test_an_unknown_model_lists_the_known_ones(run: Run, golden: Golden) -> None:
    texts = []
    for name in ("lama", "initializers", "zzz"):
        done = run("init", "--model", name)
        assert (done.returncode, done.stdout) == (2, "")
        texts.append(done.stderr)
    golden(*texts)
