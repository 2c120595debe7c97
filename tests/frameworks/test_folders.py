"""Folders that one spec describes: libraries load the weights and their configuration, without a network."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import SMALL
from loading import FRAMEWORK_WARNINGS
from model_cases import CASES, Variables, every, path_of, planned_shapes, read_claim, stored_shapes

import paramgen

pytestmark = FRAMEWORK_WARNINGS
# Lists in these configurations have entries for the published number of stages or convolutions.
SMALL_FOLDERS: dict[str, Variables] = {
    **SMALL,
    "unet": {"widths": [32, 64, 64, 64], "attends": [False, True, False, True], "blocks": 1},
    "wav2vec2": {**SMALL["wav2vec2"], "kernels": [5, 3, 3, 3, 3, 2, 2]},
}
GENERATING = [stem for stem in CASES if read_claim(stem).model.endswith(("CausalLM", "LMHeadModel"))]


def build_folder(stem: str, folder: Path, limit: int | None = None, **variables: Any) -> Path:
    spec = paramgen.load_spec(path_of(stem), variables={**SMALL_FOLDERS[stem], **variables})
    basename = read_claim(stem).basename
    paramgen.build(spec, f"{folder}/", device="cpu", basename=basename, max_shard_size=limit)
    return folder


def load_strictly(cls: Any, folder: Path) -> Any:
    """Load a folder by `from_pretrained`; check that its report has no missing, unexpected or mismatched tensor."""
    model, found = cls.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    assert found.keys() >= {"missing_keys", "unexpected_keys", "mismatched_keys"}
    assert not any(found.values())
    return model


def generate(model: Any) -> None:
    """Generate three tokens after five."""
    import torch

    tokens = model.generate(torch.arange(3, 8)[None], min_new_tokens=3, max_new_tokens=3, do_sample=False)
    assert tokens.shape == (1, 8) and tokens.max() < 100


@every(*CASES)
def test_the_published_size_has_the_names_and_shapes_of_its_configuration(stem: str, tmp_path: Path) -> None:
    """Make the model of the configuration on the meta device, which takes no memory."""
    import torch

    (companion,) = paramgen.load_spec(path_of(stem)).plan.companions
    assert companion.name == "config.json" and companion.content
    (tmp_path / "config.json").write_bytes(companion.content)
    claim = read_claim(stem)
    with torch.device("meta"):
        if claim.library == "diffusers":
            model = claim.cls.from_config(claim.cls.load_config(tmp_path, local_files_only=True))
        else:
            from transformers import AutoConfig

            config = AutoConfig.from_pretrained(tmp_path, local_files_only=True)
            assert config.architectures == [claim.model]
            model = claim.cls(config)
    assert stored_shapes(model, CASES[stem]) == planned_shapes(stem)
    assert sum(parameter.numel() for parameter in model.parameters()) == CASES[stem].parameters


@every(*CASES)
def test_the_small_folder_loads_strictly_and_runs(stem: str, tmp_path: Path) -> None:
    import torch

    folder = build_folder(stem, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", f"{read_claim(stem).basename}.safetensors"]
    model = load_strictly(read_claim(stem).cls, folder).eval()
    assert stored_shapes(model, CASES[stem]) == planned_shapes(stem, SMALL_FOLDERS[stem])
    inputs = {
        key: value.to(model.dtype) if value.is_floating_point() else value
        for key, value in CASES[stem].inputs().items()
    }
    with torch.no_grad():
        output = model(**inputs)[0]
    assert torch.isfinite(output).all() and output.std() > 0


# Variables that change fields of the configuration, besides the variants of all models.
OTHER_SIZES: dict[str, list[Variables]] = {
    "bert": [{"width": 128}],
    "clip": [{"text_width": 128, "vision_width": 192}],
    "deepseek_v3": [{"experts": 16}],
    "gpt2": [{"width": 128}],
    "mamba": [{"inner": 96}],
    "whisper": [{"width": 128}],
}


@every(*(stem for stem in CASES if CASES[stem].variants or stem in OTHER_SIZES))
def test_the_configuration_follows_the_variables(stem: str, tmp_path: Path) -> None:
    for number, variables in enumerate([*CASES[stem].variants, *OTHER_SIZES.get(stem, ())]):
        folder = build_folder(stem, tmp_path / str(number), **variables)
        model = load_strictly(read_claim(stem).cls, folder)
        expected = planned_shapes(stem, {**SMALL_FOLDERS[stem], **variables})
        assert stored_shapes(model, CASES[stem]) == expected
        if stem in GENERATING:
            generate(model)


@every(*GENERATING)
@pytest.mark.parametrize("limit", [None, 30_000])
def test_a_language_model_generates_from_a_file_or_from_shards(stem: str, limit: int | None, tmp_path: Path) -> None:
    """Choose the class by the configuration; with `limit`, the weights have an index."""
    from transformers import AutoModelForCausalLM

    folder = build_folder(stem, tmp_path, limit)
    assert (folder / "model.safetensors.index.json").exists() == (limit is not None)
    model = load_strictly(AutoModelForCausalLM, folder)
    assert type(model).__name__ == read_claim(stem).model
    generate(model)


@pytest.mark.frameworks("torch", "diffusers")
def test_diffusers_loads_shards(tmp_path: Path) -> None:
    import torch
    from diffusers import UNet2DModel

    whole = load_strictly(UNet2DModel, build_folder("unet", tmp_path / "whole"))
    split = load_strictly(UNet2DModel, build_folder("unet", tmp_path / "split", 1_000_000))
    assert (tmp_path / "split" / "diffusion_pytorch_model.safetensors.index.json").exists()
    expected = whole.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in split.state_dict().items())


@pytest.mark.frameworks("torch", "transformers")
def test_the_dtype_of_the_file_is_that_of_the_model(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    build_folder("llama", tmp_path / "as-written")
    spec = paramgen.load_spec(path_of("llama"), variables=SMALL["llama"], dtype="float32")
    paramgen.build(spec, f"{tmp_path}/wide/")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "as-written").dtype == torch.bfloat16
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "wide").dtype == torch.float32


@pytest.mark.frameworks("torch", "huggingface_hub")
def test_huggingface_hub_loads_shards(tmp_path: Path) -> None:
    import torch
    from huggingface_hub import load_state_dict_from_file, load_torch_model
    from safetensors.torch import load
    from torch import nn

    layers = [{"name": str(i), "type": "fully_connected", "input_size": 30, "output_size": 30} for i in range(4)]
    spec = {"layout": "torch", "operations": layers}
    paramgen.build(spec, f"{tmp_path}/", max_shard_size=5000)
    model = nn.Sequential(*(nn.Linear(30, 30) for _ in range(4)))
    report = load_torch_model(model, tmp_path, strict=True)
    assert (report.missing_keys, report.unexpected_keys) == ([], [])
    paramgen.build(spec, tmp_path / "whole.safetensors")
    expected = load((tmp_path / "whole.safetensors").read_bytes())
    assert model.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert len(files) > 1
    found = {name: file for file in files for name in load_state_dict_from_file(tmp_path / file)}
    assert found == index["weight_map"]


ADAPTER: dict[str, Any] = {
    "layout": "torch",
    "variables": {"rank": 4, "width": 32, "layers": 2},
    "files": {
        "adapter_config.json": {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "r": "${rank}",
            "target_modules": ["q_proj", "o_proj"],
        }
    },
    "operations": [
        {
            "name": "base_model.model.model.layers.${i}.self_attn",
            "repeat": "${layers}",
            "as": "i",
            "operations": [
                {
                    "name": "${p}_proj",
                    "repeat": ["q", "o"],
                    "as": "p",
                    "operations": [
                        {
                            "name": name,
                            "type": "fully_connected",
                            "input_size": inputs,
                            "output_size": outputs,
                            "bias": False,
                        }
                        for name, inputs, outputs in (
                            ("lora_A", "${width}", "${rank}"),
                            ("lora_B", "${rank}", "${width}"),
                        )
                    ],
                }
            ],
        }
    ],
}


@pytest.mark.frameworks("torch", "transformers", "peft")
def test_peft_loads_an_adapter(tmp_path: Path) -> None:
    import torch
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(build_folder("llama", tmp_path / "base"))
    paramgen.build(ADAPTER, f"{tmp_path}/adapter/", basename="adapter_model")
    written = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    loaded = get_peft_model_state_dict(PeftModel.from_pretrained(base, tmp_path / "adapter"))
    assert len(written) == 8 and loaded.keys() == written.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in written.items())
