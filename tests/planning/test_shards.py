"""Shards are those of huggingface_hub, and of published models."""

import json

import pytest
from helpers import DATA, read_plan_json
from hypothesis import given
from hypothesis import strategies as st

import paramgen
from paramgen.planning.files import make_folder_layout
from paramgen.planning.shards import parse_size, shard_names, split_into_shards
from paramgen.storage.index import index_text


@pytest.mark.parametrize(
    ("text", "size"),
    [("5GB", 5 * 10**9), ("1kb", 1000), (" 12 MB ", 12 * 10**6), ("1.5GB", 15 * 10**8), ("3TB", 3 * 10**12)],
)
def test_sizes_have_decimal_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "5", "GB", "5GiB", "-5GB", "0GB", "0.0000001KB", "1.5", "5 G B", "٥GB", "9" * 400 + "GB"]
)
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 5GB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("sizes", "shards"),
    [
        ([4, 6], [[0, 1]]),  # an exact fit stays
        ([6, 6, 2, 6, 2, 2], [[0], [1, 2], [3, 4, 5]]),
        ([2, 11, 3], [[1], [0, 2]]),  # before the one that is open
        ([11], [[0]]),
        ([10, 10], [[0], [1]]),
    ],
)
def test_shards_of_ten_bytes(sizes: list[int], shards: list[list[int]]) -> None:
    assert split_into_shards(sizes, 10) == shards


def test_names_of_files() -> None:
    assert shard_names("model", 1) == ["model.safetensors"]
    assert shard_names("adapter_model", 2) == [f"adapter_model-0000{n}-of-00002.safetensors" for n in (1, 2)]


def test_an_index_is_sorted_and_ends_with_a_line_break() -> None:
    text = index_text({"b": "2", "a": "1"}, 20, 5)
    assert json.loads(text) == {
        "metadata": {"total_size": 20, "total_parameters": 5},
        "weight_map": {"a": "1", "b": "2"},
    }
    assert text.index('"a"') < text.index('"b"')
    assert text.startswith('{\n  "metadata": {\n') and text.endswith("}\n")


@pytest.mark.parametrize("model", sorted(json.loads((DATA / "shard-maps.json").read_text())))
def test_published_models(model: str) -> None:
    """Plan a spec of constants with a published model's names and sizes, and compare each tensor's file."""
    published = json.loads((DATA / "shard-maps.json").read_text())[model]
    parameters = {
        name: {"shape": [size // 2], "dtype": "bfloat16", "initializer": "zeros"}
        for name, (size, _) in published["tensors"].items()
    }
    plan = paramgen.plan({"parameters": parameters}).split(make_folder_layout(None, published["max_shard_size"]))
    assert [entry["name"] for entry in read_plan_json(plan)["parameters"]] == list(published["tensors"])
    count = max(number for _, number in published["tensors"].values())
    assert {entry["name"]: entry["file"] for entry in read_plan_json(plan)["parameters"]} == {
        name: f"model-{number:05d}-of-{count:05d}.safetensors" for name, (_, number) in published["tensors"].items()
    }


@pytest.mark.frameworks("huggingface_hub")
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=40))
def test_random_sizes_are_split_as_huggingface_hub_does(sizes: list[int]) -> None:
    from huggingface_hub import split_state_dict_into_shards_factory

    split = split_state_dict_into_shards_factory(
        {str(number): size for number, size in enumerate(sizes)},
        get_storage_size=lambda size: size,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size="1KB",
    )
    shards = split_into_shards(sizes, 1000)
    expected = [[int(name) for name in names] for names in split.filename_to_tensors.values()]
    assert (shards, shard_names("model", len(shards))) == (expected, list(split.filename_to_tensors))
