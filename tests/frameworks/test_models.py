"""Specs of configs/ for models of transformers: each file loads strictly into the class of that name, in its published size
and, by variables, in a tiny one; what is tied is in the file once.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, SMALL
from loading import FRAMEWORK_WARNINGS

import paramgen

pytestmark = FRAMEWORK_WARNINGS


def renamed(sizes: dict[str, int], **fields: tuple[str, int]) -> dict[str, Any]:
    """A spec's variables as a configuration has them: for each its field, and its published size, unless it is given."""
    return {field: sizes.get(name, published) for name, (field, published) in fields.items()}


def gpt2(**sizes: int) -> tuple[str, Any]:
    from transformers import GPT2Config

    own = renamed(
        sizes,
        vocabulary=("vocab_size", 50257),
        positions=("n_positions", 1024),
        width=("n_embd", 768),
        layers=("n_layer", 12),
    )
    return "GPT2LMHeadModel", GPT2Config(n_head=12, **own)


def bert(**sizes: int) -> tuple[str, Any]:
    from transformers import BertConfig

    own = renamed(
        sizes,
        vocabulary=("vocab_size", 30522),
        positions=("max_position_embeddings", 512),
        width=("hidden_size", 768),
        layers=("num_hidden_layers", 12),
    )
    return "BertForMaskedLM", BertConfig(**own, intermediate_size=4 * own["hidden_size"])


def llama(**sizes: int) -> tuple[str, Any]:
    from transformers import LlamaConfig

    own = renamed(
        sizes,
        vocabulary=("vocab_size", 128256),
        width=("hidden_size", 2048),
        layers=("num_hidden_layers", 16),
        heads=("num_attention_heads", 32),
        key_value_heads=("num_key_value_heads", 8),
        inner=("intermediate_size", 8192),
    )
    return "LlamaForCausalLM", LlamaConfig(**own, tie_word_embeddings=True, dtype="bfloat16")


def vit(**sizes: int) -> tuple[str, Any]:
    from transformers import ViTConfig

    own = renamed(
        sizes,
        width=("hidden_size", 768),
        layers=("num_hidden_layers", 12),
        image=("image_size", 224),
        patch=("patch_size", 16),
        labels=("num_labels", 1000),
    )
    return "ViTForImageClassification", ViTConfig(**own, intermediate_size=4 * own["hidden_size"])


def resnet50(**sizes: int) -> tuple[str, Any]:
    from transformers import ResNetConfig

    own = {"width": 64, "first": 3, "second": 4, "third": 6, "fourth": 3, "labels": 1000, **sizes}
    return "ResNetForImageClassification", ResNetConfig(
        embedding_size=own["width"],
        hidden_sizes=[4 * own["width"] * 2**stage for stage in range(4)],
        depths=[own[stage] for stage in ("first", "second", "third", "fourth")],
        num_labels=own["labels"],
    )


def t5(**sizes: int) -> tuple[str, Any]:
    from transformers import T5Config

    own = renamed(
        sizes,
        vocabulary=("vocab_size", 32128),
        width=("d_model", 512),
        inner=("d_ff", 2048),
        layers=("num_layers", 6),
        heads=("num_heads", 8),
        head_size=("d_kv", 64),
    )
    return "T5ForConditionalGeneration", T5Config(**own)


def ast(**sizes: int) -> tuple[str, Any]:
    from transformers import ASTConfig

    own = renamed(
        sizes,
        width=("hidden_size", 768),
        layers=("num_hidden_layers", 12),
        mels=("num_mel_bins", 128),
        frames=("max_length", 1024),
        labels=("num_labels", 527),
    )
    return "ASTForAudioClassification", ASTConfig(**own, intermediate_size=4 * own["hidden_size"])


MODELS: dict[str, Callable[..., tuple[str, Any]]] = {
    "ast": ast,
    "bert": bert,
    "gpt2": gpt2,
    "llama": llama,
    "resnet50": resnet50,
    "t5": t5,
    "vit": vit,
}
PUBLISHED = {
    "ast": 86_594_063,
    "bert": 109_514_298,
    "gpt2": 124_439_808,
    "llama": 1_235_814_400,
    "resnet50": 25_557_032,
    "t5": 60_506_624,
    "vit": 86_567_656,
}


def loaded(stem: str, folder: Path, **sizes: int) -> Any:
    """The model with the file's parameters, as users load it; nothing is missing, left over or of another size."""
    import transformers

    name, config = MODELS[stem](**sizes)
    spec = paramgen.load_spec(ROOT / "configs" / f"{stem}.yaml", variables=sizes)
    paramgen.build(spec, folder / "model.safetensors", device="cpu")
    config.save_pretrained(folder)
    model, found = getattr(transformers, name).from_pretrained(folder, output_loading_info=True)
    assert not any(found[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model


@pytest.mark.frameworks("torch", "transformers")
@pytest.mark.parametrize("stem", MODELS)
def test_the_tiny_model_loads_strictly_and_runs(stem: str, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, load_model

    model = loaded(stem, tmp_path, **SMALL[stem])
    fresh = type(model)(model.config)
    load_model(fresh, tmp_path / "model.safetensors", strict=True)
    names = {name for name, _ in load_file(tmp_path / "model.safetensors").items()}
    tied = {name for names in [getattr(model, "all_tied_weights_keys", {})] for name in names}
    assert names == {name for name in model.state_dict() if name not in tied}
    for own, other in zip(model.state_dict().values(), fresh.state_dict().values(), strict=True):
        assert torch.equal(own, other.to(own.dtype))
    values = {"vit": (3, 32, 32), "resnet50": (3, 32, 32), "ast": (48, 32)}.get(stem)
    inputs = torch.rand(1, *values) if values else torch.arange(5)[None]
    more = {"decoder_input_ids": inputs} if stem == "t5" else {}
    with torch.no_grad():
        logits = model.eval()(inputs.to(model.dtype) if values else inputs, **more).logits
    assert torch.isfinite(logits).all() and logits.std() > 0


@pytest.mark.slow
@pytest.mark.frameworks("torch", "transformers")
@pytest.mark.parametrize("stem", MODELS)
def test_the_published_size_loads_strictly(stem: str, tmp_path: Path) -> None:
    model = loaded(stem, tmp_path)
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED[stem]


# Of parameters by a part of their names: mean and standard deviation, as the model's code initializes them.
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
