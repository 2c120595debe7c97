"""Specs of transformers models load strictly as their first comments claim, in published and tiny sizes."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, SMALL, document_of, first_comment
from loading import FRAMEWORK_WARNINGS, leaves
from scipy.stats import ks_2samp

import paramgen

pytestmark = FRAMEWORK_WARNINGS
transformers_models = pytest.mark.frameworks("torch", "transformers")


def llama(own: Mapping[str, int]) -> dict[str, Any]:
    return {
        "vocab_size": own["vocabulary"],
        "hidden_size": own["width"],
        "intermediate_size": own["inner"],
        "num_hidden_layers": own["layers"],
        "num_attention_heads": own["heads"],
        "num_key_value_heads": own["key_value_heads"],
    }


# Each spec's variables -> fields of the configuration in its comment.
FIELDS: dict[str, Callable[[Mapping[str, int]], dict[str, Any]]] = {
    "ast": lambda own: {
        "hidden_size": own["width"],
        "intermediate_size": 4 * own["width"],
        "num_hidden_layers": own["layers"],
        "num_mel_bins": own["mels"],
        "max_length": own["frames"],
        "num_labels": own["labels"],
    },
    "bert": lambda own: {
        "vocab_size": own["vocabulary"],
        "max_position_embeddings": own["positions"],
        "hidden_size": own["width"],
        "intermediate_size": 4 * own["width"],
        "num_hidden_layers": own["layers"],
    },
    "gpt2": lambda own: {
        "vocab_size": own["vocabulary"],
        "n_positions": own["positions"],
        "n_embd": own["width"],
        "n_layer": own["layers"],
    },
    "llama": llama,
    "llama_untied": llama,
    "resnet50": lambda own: {
        "embedding_size": own["width"],
        "hidden_sizes": [4 * own["width"] * 2**stage for stage in range(4)],
        "depths": [own[stage] for stage in ("first", "second", "third", "fourth")],
        "num_labels": own["labels"],
    },
    "t5": lambda own: {
        "vocab_size": own["vocabulary"],
        "d_model": own["width"],
        "d_ff": own["inner"],
        "num_layers": own["layers"],
        "num_heads": own["heads"],
        "d_kv": own["head_size"],
    },
    "vit": lambda own: {
        "hidden_size": own["width"],
        "intermediate_size": 4 * own["width"],
        "num_hidden_layers": own["layers"],
        "image_size": own["image"],
        "patch_size": own["patch"],
        "num_labels": own["labels"],
    },
}
PUBLISHED = {
    "ast": 86_594_063,
    "bert": 109_514_298,
    "gpt2": 124_439_808,
    "llama": 1_235_814_400,
    "llama_untied": 6_738_415_616,
    "resnet50": 25_557_032,
    "t5": 60_506_624,
    "vit": 86_567_656,
}


def path_of(stem: str) -> Path:
    return ROOT / "configs" / f"{stem}.yaml"


def read_claim(stem: str, **fields: Any) -> tuple[type, Any]:
    """Return the class and the configuration in a spec's first comment; `fields` replaces some."""
    import transformers

    comment = first_comment(path_of(stem))
    found = re.search(r"Loads strictly as (\w+)\((\w+)\((.*?)\)\) of transformers 5", comment)
    assert found
    model, config, keywords = found.groups()
    return getattr(transformers, model), getattr(transformers, config)(**{**eval(f"dict({keywords})"), **fields})


def tied_names(model: Any, stem: str) -> set[str]:
    """Return the names of tied parameters, which the file omits; check that the comment mentions them."""
    tied = set(getattr(model, "all_tied_weights_keys", {}))
    assert bool(tied) == (" tied to " in first_comment(path_of(stem)))
    return tied


def test_every_claim_is_tested() -> None:
    claims = {path.stem for path in (ROOT / "configs").glob("*.yaml") if "transformers" in first_comment(path)}
    assert claims == set(FIELDS) == set(PUBLISHED)


@transformers_models
@pytest.mark.parametrize("stem", FIELDS)
def test_the_published_size_has_the_names_and_shapes_of_the_class(stem: str) -> None:
    """Load strictly on the meta device, which compares names and shapes without memory."""
    import torch

    cls, config = read_claim(stem)
    with torch.device("meta"):
        model = cls(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED[stem]
    tied = tied_names(model, stem)
    expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items() if name not in tied}
    planned = document_of(paramgen.load_spec(path_of(stem)).plan)["parameters"]
    assert {tensor["name"]: tensor["shape"] for tensor in planned} == expected


@transformers_models
@pytest.mark.parametrize("stem", FIELDS)
def test_the_tiny_model_loads_strictly_and_runs(stem: str, tmp_path: Path) -> None:
    """Check that `from_pretrained` reports no missing, unexpected or mismatched tensors."""
    import torch
    from safetensors.torch import load_file, load_model

    cls, config = read_claim(stem, **FIELDS[stem](SMALL[stem]))
    spec = paramgen.load_spec(path_of(stem), variables=SMALL[stem])
    paramgen.build(spec, tmp_path / "model.safetensors", device="cpu")
    config.save_pretrained(tmp_path)
    model, found = cls.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(found[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    fresh = cls(config)
    load_model(fresh, tmp_path / "model.safetensors", strict=True)
    tied = tied_names(model, stem)
    assert set(load_file(tmp_path / "model.safetensors")) == {name for name in model.state_dict() if name not in tied}
    for own, other in zip(model.state_dict().values(), fresh.state_dict().values(), strict=True):
        assert torch.equal(own, other.to(own.dtype))
    values = {"vit": (3, 32, 32), "resnet50": (3, 32, 32), "ast": (48, 32)}.get(stem)
    inputs = torch.rand(1, *values) if values else torch.arange(5)[None]
    more = {"decoder_input_ids": inputs} if stem == "t5" else {}
    with torch.no_grad():
        logits = model.eval()(inputs.to(model.dtype) if values else inputs, **more).logits
    assert torch.isfinite(logits).all() and logits.std() > 0


@transformers_models
@pytest.mark.parametrize(
    "stem", [stem for stem in FIELDS if "initialized as in transformers" in first_comment(path_of(stem))]
)
def test_values_are_initialized_as_in_transformers(stem: str) -> None:
    """Require equal constants, and the same distribution of all other tensors."""
    import torch

    torch.manual_seed(1)
    cls, config = read_claim(stem, **FIELDS[stem](SMALL[stem]))
    theirs = cls(config).state_dict()
    ours = paramgen.sample(paramgen.load_spec(path_of(stem), variables=SMALL[stem], dtype="float32"))
    compared = 0
    for name, array in leaves(ours):
        own, other = array.reshape(-1), theirs[name].float().numpy().reshape(-1)
        if len(np.unique(other)) == 1 or len(np.unique(own)) == 1:
            np.testing.assert_array_equal(own, other, err_msg=name)
        elif own.size >= 60:
            assert ks_2samp(own, other).pvalue > 1e-4, name
            compared += 1
    assert compared >= 5


# Part of a parameter's name -> mean and standard deviation in the model's code.
INITIAL: dict[str, dict[str, tuple[float, float]]] = {
    "gpt2": {
        ".wte.": (0, 0.02),
        ".h.0.attn.c_attn.weight": (0, 0.02),
        ".h.5.mlp.c_fc.weight": (0, 0.02),
        ".h.5.mlp.c_proj.weight": (0, 0.02 / np.sqrt(24)),
        ".h.11.attn.c_proj.weight": (0, 0.02 / np.sqrt(24)),
        ".ln_f.weight": (1, 0),
        ".h.3.attn.c_attn.bias": (0, 0),
    },
    "bert": {".word_embeddings.": (0, 0.02 * 0.8796), ".0.attention.self.query.weight": (0, 0.02 * 0.8796)},
    "t5": {
        "shared.": (0, 1.0),
        "encoder.block.0.layer.0.SelfAttention.q.": (0, 1 / np.sqrt(512 * 64)),
        "decoder.block.2.layer.1.EncDecAttention.k.": (0, 1 / np.sqrt(512)),
        "decoder.block.2.layer.2.DenseReluDense.wo.": (0, 1 / np.sqrt(2048)),
        "encoder.block.0.layer.0.SelfAttention.o.": (0, 1 / np.sqrt(512)),
    },
    "resnet50": {
        ".embedder.embedder.convolution.": (0, np.sqrt(2 / (64 * 49))),
        ".stages.3.layers.0.shortcut.convolution.": (0, np.sqrt(2 / 2048)),
        ".running_var": (1, 0),
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("stem", INITIAL)
def test_values_are_as_the_models_code_initializes_them(stem: str, tmp_path: Path) -> None:
    paramgen.build(ROOT / "configs" / f"{stem}.yaml", tmp_path / "p", device="cpu")
    from safetensors import safe_open

    with safe_open(tmp_path / "p", "numpy") as file:
        for part, (mean, std) in INITIAL[stem].items():
            found = [name for name in file.keys() if part in name]  # noqa: SIM118 (it has no other)
            assert found, part
            values = file.get_tensor(found[0]).astype(np.float64)
            assert values.mean() == pytest.approx(mean, abs=6 * std / np.sqrt(values.size))
            assert values.std() == pytest.approx(std, rel=0.02)
