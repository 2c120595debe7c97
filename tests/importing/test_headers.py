"""The headers of published checkpoints: each imports exactly, and as a spec that people would read."""

import json
import re
from pathlib import Path

import pytest
from golden import Golden
from helpers import ROOT, plan_text

from paramgen.importing.files import read_model
from paramgen.importing.writing import write_spec

HEADERS = sorted((ROOT / "tests" / "data" / "headers").glob("*.header.json"))
DECODERS = ("falcon", "gemma", "gpt-oss", "medgemma", "mimo", "mixtral", "qwen2-vl", "qwen3")
# Sorted by name, as files are; here their order is restored.
SORTED = ("flux", "medgemma", "mimo", "qwen3", "sd3.5", "sdxl")


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: path.name)
def test_headers_import_exactly(path: Path) -> None:
    """Compare names, shapes, dtypes and order; those sorted by name count 0, 1, 2, … instead of 0, 1, 10."""
    entries = {name: entry for name, entry in json.loads(path.read_text()).items() if name != "__metadata__"}
    text = write_spec(read_model(path))
    planned = {
        tensor.name: {"dtype": tensor.dtype.code, "shape": list(tensor.shape)} for tensor in plan_text(text).tensors
    }
    assert planned == entries
    is_sorted = path.name.startswith(SORTED)
    assert (list(planned) == list(entries)) is not is_sorted
    assert ("sorted by name" in text) is is_sorted
    if is_sorted:
        for pattern, indices in find_indices(planned).items():
            assert indices == sorted(indices), pattern


def find_indices(names: dict[str, object]) -> dict[str, list[int]]:
    """Return the first indices of names in their order, by the rest of the name."""
    found: dict[str, list[int]] = {}
    for name in names:
        if match := re.search(r"(?<=\.)\d+(?=\.)", name):
            found.setdefault(name[: match.start()] + "*" + name[match.end() :], []).append(int(match[0]))
    return found


@pytest.mark.parametrize("path", HEADERS, ids=lambda path: path.name)
def test_specs_are_short(path: Path) -> None:
    model = read_model(path)
    text = write_spec(model)
    patterns = {re.sub(r"\d+", "*", tensor.name) for tensor in model.tensors}
    lines = len(text.splitlines())
    assert max(map(len, text.splitlines())) <= 120
    if path.name.startswith(DECODERS):
        assert lines <= 3 * len(patterns) + 30
    else:
        assert lines <= len(model.tensors)


@pytest.mark.parametrize("name", ["gemma-2b", "mixtral-8x22b-wizardlm2", "peft-lora-distilbert"])
def test_specs_read_as_written_by_hand(name: str, golden: Golden) -> None:
    golden(write_spec(read_model(ROOT / "tests" / "data" / "headers" / f"{name}.header.json")))
