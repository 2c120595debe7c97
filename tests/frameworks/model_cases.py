"""Specs of published models: the configuration that each spec's variables describe, and how to run the model."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from helpers import ROOT, read_plan_json
from model_pages import CLAIM, first_comment

import paramgen

Variables = Mapping[str, Any]
Tensors = dict[str, Any]


def path_of(stem: str) -> Path:
    return ROOT / "configs" / f"{stem}.yaml"


def token_inputs() -> dict[str, Any]:
    import torch

    return {"input_ids": torch.arange(5)[None]}


def random_inputs(**shapes: tuple[int, ...]) -> Callable[[], dict[str, Any]]:
    def inputs() -> dict[str, Any]:
        import torch

        return {name: torch.rand(shape) for name, shape in shapes.items()}

    return inputs


@dataclass(frozen=True)
class ModelCase:
    """A model of a library and its spec.

    `fields` maps the spec's variables to fields of the configuration. `parameters` counts them at the published size.
    `inputs` makes what the small model takes. `stored` maps the class's tensors to those of the file, where they differ.
    `variants` are variables with which the spec also describes the class.
    """

    parameters: int
    fields: Callable[[Variables], dict[str, Any]]
    inputs: Callable[[], dict[str, Any]] = token_inputs
    stored: Callable[[Tensors], Tensors] | None = None
    variants: tuple[Variables, ...] = ()


def decoder(own: Variables) -> dict[str, Any]:
    return {
        "vocab_size": own["vocabulary"],
        "hidden_size": own["width"],
        "intermediate_size": own["inner"],
        "num_hidden_layers": own["layers"],
        "num_attention_heads": own["heads"],
        "num_key_value_heads": own["key_value_heads"],
    }


def llama(own: Variables) -> dict[str, Any]:
    return {**decoder(own), "tie_word_embeddings": own["tie"]}


def clip(own: Variables) -> dict[str, Any]:
    text = {
        "vocab_size": own["vocabulary"],
        "max_position_embeddings": own["positions"],
        "hidden_size": own["text_width"],
        "intermediate_size": 4 * own["text_width"],
        "num_hidden_layers": own["text_layers"],
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    vision = {
        "image_size": own["image"],
        "patch_size": own["patch"],
        "hidden_size": own["vision_width"],
        "intermediate_size": 4 * own["vision_width"],
        "num_hidden_layers": own["vision_layers"],
    }
    heads = {"num_attention_heads": 4}
    return {"text_config": text | heads, "vision_config": vision | heads, "projection_dim": own["projection"]}


def unet(own: Variables) -> dict[str, Any]:
    down = [f"{'Attn' if attends else ''}DownBlock2D" for attends in own["attends"]]
    return {
        "in_channels": own["channels"],
        "out_channels": own["channels"],
        "block_out_channels": own["widths"],
        "layers_per_block": own["blocks"],
        "down_block_types": down,
        "up_block_types": [block.replace("Down", "Up") for block in reversed(down)],
    }


def whisper(own: Variables) -> dict[str, Any]:
    return {
        "vocab_size": own["vocabulary"],
        **{f"{token}_token_id": own["padding"] for token in ("pad", "bos", "eos", "decoder_start")},
        "d_model": own["width"],
        **{f"{side}_layers": own["layers"] for side in ("encoder", "decoder")},
        **{f"{side}_attention_heads": 4 for side in ("encoder", "decoder")},
        **{f"{side}_ffn_dim": own["inner"] for side in ("encoder", "decoder")},
        "num_mel_bins": own["mels"],
        "max_source_positions": own["frames"],
        "max_target_positions": own["positions"],
    }


def mixtral(own: Variables) -> dict[str, Any]:
    return {**decoder(own), "num_local_experts": own["experts"]}


def separate_experts(tensors: Tensors) -> Tensors:
    """Return the tensors of Mixtral's class under the names and in the shapes of the published files."""
    found = {}
    for stacked, tensor in tensors.items():
        name = stacked.replace(".mlp.", ".block_sparse_moe.")
        group, _, kind = name.rpartition(".")
        parts = {"gate_up_proj": ("w1", "w3"), "down_proj": ("w2",)}.get(kind)
        if parts is None:
            found[name] = tensor
            continue
        for expert, matrix in enumerate(tensor):
            for part, half in zip(parts, matrix.chunk(len(parts)), strict=True):
                found[f"{group}.{expert}.{part}.weight"] = half
    return found


CASES = {
    "ast": ModelCase(
        86_594_063,
        lambda own: {
            "hidden_size": own["width"],
            "intermediate_size": own["inner"],
            "num_hidden_layers": own["layers"],
            "num_mel_bins": own["mels"],
            "max_length": own["frames"],
            "num_labels": own["labels"],
        },
        inputs=random_inputs(input_values=(1, 48, 32)),
    ),
    "bert": ModelCase(
        109_514_298,
        lambda own: {
            "vocab_size": own["vocabulary"],
            "max_position_embeddings": own["positions"],
            "hidden_size": own["width"],
            "intermediate_size": own["inner"],
            "num_hidden_layers": own["layers"],
        },
    ),
    "clip": ModelCase(
        151_277_313,
        clip,
        inputs=lambda: {**token_inputs(), **random_inputs(pixel_values=(2, 3, 32, 32))()},
    ),
    "convnext": ModelCase(
        28_589_128,
        lambda own: {
            "depths": own["depths"],
            "hidden_sizes": own["widths"],
            "patch_size": own["patch"],
            "num_labels": own["labels"],
        },
        inputs=random_inputs(pixel_values=(1, 3, 32, 32)),
    ),
    "deepseek_v3": ModelCase(
        671_026_404_352,
        lambda own: {
            "vocab_size": own["vocabulary"],
            "hidden_size": own["width"],
            "num_hidden_layers": own["layers"],
            "first_k_dense_replace": own["dense_layers"],
            "intermediate_size": own["inner"],
            "n_routed_experts": own["experts"],
            "n_shared_experts": own["shared_experts"],
            "moe_intermediate_size": own["expert_inner"],
            "num_attention_heads": own["heads"],
            "num_key_value_heads": own["heads"],
            "q_lora_rank": own["query_rank"],
            "kv_lora_rank": own["key_value_rank"],
            "qk_nope_head_dim": own["nope_size"],
            "qk_rope_head_dim": own["rope_size"],
            "v_head_dim": own["value_size"],
            # Of the routing, which has no parameters; they fit all sizes.
            "n_group": 2,
            "topk_group": 1,
            "num_experts_per_tok": 2,
        },
        variants=({"shared_experts": 2},),
    ),
    "gpt2": ModelCase(
        124_439_808,
        lambda own: {
            "vocab_size": own["vocabulary"],
            "n_positions": own["positions"],
            "n_embd": own["width"],
            "n_layer": own["layers"],
        },
    ),
    "llama": ModelCase(1_235_814_400, llama, variants=({"tie": False},)),
    "mamba": ModelCase(
        129_135_360,
        lambda own: {
            "vocab_size": own["vocabulary"],
            "hidden_size": own["width"],
            "num_hidden_layers": own["layers"],
            "state_size": own["states"],
            "conv_kernel": own["kernel"],
        },
        variants=({"width": 100},),  # not a multiple of 16
    ),
    "mamba2": ModelCase(
        7_285_403_648,
        lambda own: {
            "vocab_size": own["vocabulary"],
            "hidden_size": own["width"],
            "num_hidden_layers": own["layers"],
            "num_heads": own["heads"],
            "head_dim": own["inner"] // own["heads"],
            "state_size": own["states"],
            "n_groups": own["groups"],
            "conv_kernel": own["kernel"],
        },
    ),
    "mixtral": ModelCase(46_702_792_704, mixtral),
    "mixtral_separate": ModelCase(46_702_792_704, mixtral, stored=separate_experts),
    "qwen3": ModelCase(
        596_049_920,
        lambda own: {**llama(own), "head_dim": own["head_size"]},
        variants=({"tie": False},),
    ),
    "resnet50": ModelCase(
        25_557_032,
        lambda own: {
            "embedding_size": own["width"],
            "hidden_sizes": [4 * own["width"] * 2**stage for stage in range(4)],
            "depths": own["depths"],
            "num_labels": own["labels"],
        },
        inputs=random_inputs(pixel_values=(1, 3, 32, 32)),
    ),
    "t5": ModelCase(
        60_506_624,
        lambda own: {
            "vocab_size": own["vocabulary"],
            "d_model": own["width"],
            "d_ff": own["inner"],
            "num_layers": own["layers"],
            "num_heads": own["heads"],
            "d_kv": own["head_size"],
        },
        inputs=lambda: {**token_inputs(), "decoder_input_ids": token_inputs()["input_ids"]},
    ),
    "unet": ModelCase(
        35_746_307,
        unet,
        inputs=random_inputs(sample=(1, 3, 32, 32), timestep=(1,)),
    ),
    "vit": ModelCase(
        86_567_656,
        lambda own: {
            "hidden_size": own["width"],
            "intermediate_size": own["inner"],
            "num_hidden_layers": own["layers"],
            "image_size": own["image"],
            "patch_size": own["patch"],
            "num_labels": own["labels"],
        },
        inputs=random_inputs(pixel_values=(1, 3, 32, 32)),
    ),
    "wav2vec2": ModelCase(
        94_396_320,
        lambda own: {
            "vocab_size": own["labels"],
            "hidden_size": own["width"],
            "num_hidden_layers": own["layers"],
            "num_attention_heads": 4,
            "intermediate_size": own["inner"],
            "conv_dim": [own["channels"]] * len(own["kernels"]),
            "conv_kernel": own["kernels"],
            "conv_stride": [5] + [2] * (len(own["kernels"]) - 1),
            "num_conv_pos_embeddings": own["span"],
            "num_conv_pos_embedding_groups": own["groups"],
        },
        inputs=random_inputs(input_values=(1, 400)),
    ),
    "whisper": ModelCase(
        37_760_640,
        whisper,
        inputs=lambda: {
            **random_inputs(input_features=(1, 8, 40))(),
            "decoder_input_ids": token_inputs()["input_ids"],
        },
    ),
}


@dataclass(frozen=True)
class Claim:
    """The class and its configuration in a spec's first comment; a model of diffusers takes the fields itself."""

    library: str
    model: str
    configuration: str | None
    fields: dict[str, Any]

    @property
    def basename(self) -> str:
        """The name of the library's weights."""
        return {"transformers": "model", "diffusers": "diffusion_pytorch_model"}[self.library]

    @property
    def cls(self) -> Any:
        return getattr(import_module(self.library), self.model)

    def arguments(self, **fields: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the class's arguments; `fields` replaces some of the comment's."""
        fields = {**self.fields, **fields}
        if self.configuration is None:
            return (), fields
        return (getattr(import_module(self.library), self.configuration)(**fields),), {}

    def build(self, **fields: Any) -> Any:
        positional, keywords = self.arguments(**fields)
        return self.cls(*positional, **keywords)


def read_claim(stem: str) -> Claim:
    """Return the class and its configuration in a spec's first comment."""
    found = CLAIM.search(first_comment(path_of(stem)))
    assert found, stem
    model, configuration, inner, direct, library = found.groups()
    return Claim(library.split()[0], model, configuration, eval(f"dict({inner or direct or ''})"))


def every(*stems: str) -> Callable[[Any], Any]:
    """Run a test for specs of models, where the library of their class is installed."""
    return pytest.mark.parametrize(
        "stem", [pytest.param(stem, marks=pytest.mark.frameworks("torch", read_claim(stem).library)) for stem in stems]
    )


def variables_of(stem: str, small: Variables | None = None) -> Variables:
    """Return a spec's variables with their values."""
    return paramgen.load_spec(path_of(stem), variables=small).source["variables"]  # type: ignore[no-any-return]


def tied_names(model: Any) -> set[str]:
    """Return the names of tied parameters, which the file omits."""
    return set(getattr(model, "all_tied_weights_keys", None) or {})


def stored_tensors(model: Any, case: ModelCase) -> Tensors:
    """Return the tensors that a file of this model holds."""
    tied = tied_names(model)
    own = {name: tensor for name, tensor in model.state_dict().items() if name not in tied}
    return case.stored(own) if case.stored else own


def stored_shapes(model: Any, case: ModelCase) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in stored_tensors(model, case).items()}


def planned_shapes(stem: str, variables: Variables | None = None) -> dict[str, list[int]]:
    plan = paramgen.load_spec(path_of(stem), variables=variables).plan
    return {tensor["name"]: tensor["shape"] for tensor in read_plan_json(plan)["parameters"]}


def sample(source: Mapping[str, Any], seeds: Iterable[int]) -> list[Tensors]:
    """Return the tensors of a spec for some seeds."""
    return [paramgen.sample({**source, "seed": seed}, flat=True) for seed in seeds]
