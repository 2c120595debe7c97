"""Folding: random trees of names come back exactly; layers that differ get conditions and lists."""

from typing import Any

import hypothesis.strategies as st
import pytest
from golden import Golden
from helpers import CONFIGS, find_small_variables, plan_text
from hypothesis import given, settings

import paramgen
from paramgen.importing.folding import fold, list_flat
from paramgen.importing.model import ImportedModel, ImportedTensor
from paramgen.importing.writing import write_spec

Shape = tuple[int, ...]
SEGMENTS = st.sampled_from(["a", "b", "layers", "0", "1", "2", "3", "10", "01", "block_0_x", "block_1_x", "b2_1"])
NAMES = st.lists(SEGMENTS, min_size=1, max_size=5).map(".".join)
TENSORS = st.tuples(
    st.sampled_from(["float32", "bfloat16", "int64"]), st.sampled_from([(), (3,), (64,), (64, 128), (128, 64), (0,)])
)


def make_model(tensors: dict[str, Shape], **fields: Any) -> ImportedModel:
    return ImportedModel(
        "m", "m", tuple(ImportedTensor(name, "float32", shape) for name, shape in tensors.items()), **fields
    )


def list_planned(text: str) -> list[tuple[str, str, Shape]]:
    return [(tensor.name, tensor.dtype.name, tensor.shape) for tensor in plan_text(text).tensors]


def list_own(model: ImportedModel) -> list[tuple[str, str, Shape]]:
    return [(tensor.name, tensor.dtype, tensor.shape) for tensor in model.tensors]


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(NAMES, TENSORS, min_size=1, max_size=40))
def test_random_names_come_back_exactly(tensors: dict[str, tuple[str, Shape]]) -> None:
    model = ImportedModel(
        "m", "m", tuple(ImportedTensor(name, dtype, shape) for name, (dtype, shape) in tensors.items())
    )
    assert list_planned(write_spec(model)) == list_own(model)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from("xyz"), min_size=2, max_size=9),
    st.lists(st.sampled_from([64, 96, 128]), min_size=9, max_size=9),
)
def test_folded_layers_are_never_wrong(kinds: list[str], sizes: list[int]) -> None:
    """The first form must hold: the fallback without conditions would hide an error."""
    tensors = {}
    for layer, kind in enumerate(kinds):
        for name in ("norm", "in", f"mixer_{kind}", "out"):
            tensors[f"m.layers.{layer}.{name}.weight"] = (sizes[layer], 64)
    model = make_model(tensors)
    from paramgen.importing.spec_text import SpecText
    from paramgen.importing.writing import _complete

    text = SpecText([], "m", fold(_complete(model)), {}, {}).render()
    assert list_planned(text) == list_own(model)


CASES: dict[str, dict[str, Shape]] = {
    "last layer differs": {
        f"h.{i}.{name}.weight": (64, 64)
        for i in range(6)
        for name in ("q", "k", "v", "o", "extra")
        if name != "extra" or i < 5
    },
    "every fourth layer": {
        f"h.{i}.{name}.weight": (64, 64)
        for i in range(12)
        for name in ("norm", "full.q", "full.k", "linear.a", "linear.b", "linear.c", "up", "down")
        if name in ("norm", "up", "down") or name.startswith("full") is (i % 4 == 3)
    },
    "widths by stage": {
        f"stages.{i}.{name}": shape
        for i, size in enumerate((64, 128, 256, 320))
        for name, shape in {
            "norm.weight": (size,),
            "gate.weight": (4 * size, size),
            "up.weight": (4 * size, size),
            "down.weight": (size, 4 * size),
        }.items()
    },
    "gaps and steps": {f"net.{i}.{name}": (64, 64) for i in (0, 3, 6) for name in ("a", "b", "c")},
    "index in a segment": {f"block_{i}_img.{name}": (64, 64) for i in range(4) for name in ("a", "b", "c")},
    "own parameters last": {**{f"layers.{i}.w": (64,) for i in range(4)}, "scale": ()},
}


@pytest.mark.parametrize("name", CASES)
def test_folds_look_like_a_persons(name: str, golden: Golden) -> None:
    golden(write_spec(make_model(CASES[name])).partition("paramgen: 1\n")[2])


def test_names_come_from_the_configuration(golden: Golden) -> None:
    tensors = {"embed.weight": (500, 64)}
    for i in range(3):
        tensors |= {
            f"layers.{i}.q.weight": (96, 64),
            f"layers.{i}.k.weight": (48, 64),
            f"layers.{i}.up.weight": (256, 64),
        }
    sizes = {"vocab_size": 500, "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 3}
    sizes |= {"num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 16}
    files = {"config.json": {**sizes, "architectures": ["Model"]}}
    golden(write_spec(make_model(tensors, sizes=sizes, files=files)))


def test_ties_and_origins_are_written(golden: Golden) -> None:
    normal = {"type": "gaussian", "std": 0.02}
    origin = "Model._init_weights"
    tensors = (
        ImportedTensor("embed.weight", "float32", (500, 64), normal, origin),
        ImportedTensor("head.weight", "float32", (500, 64), normal, origin, tied_to="embed.weight"),
        ImportedTensor("head.bias", "float32", (500,), {"type": "zeros"}, origin),
    )
    text = write_spec(ImportedModel("m", "m", tensors))
    assert [tensor.name for tensor in plan_text(text).tensors] == ["embed.weight", "head.bias"]
    golden(text)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_built_configs_come_back(path: Any) -> None:
    plan = paramgen.load_spec(path, variables=find_small_variables(path)).plan
    tensors = tuple(ImportedTensor(tensor.name, tensor.dtype.name, tensor.shape) for tensor in plan.tensors)
    imported = plan_text(write_spec(ImportedModel(path.stem, path.name, tensors)))
    assert [(t.name, t.dtype, t.shape) for t in imported.tensors] == [(t.name, t.dtype, t.shape) for t in plan.tensors]
    assert [file.entries for file in imported.files] == [file.entries for file in plan.files]


def test_large_models_are_folded_in_one_pass() -> None:
    tensors = {
        f"model.layers.{i}.mlp.experts.{j}.{p}.weight": (64, 128) for i in range(48) for j in range(128) for p in "abc"
    }
    text = write_spec(make_model(tensors))
    assert len(tensors) == 18432
    assert len(text.splitlines()) < 20
    assert len(list_flat(make_model({"a": ()}).tensors)) == 1
