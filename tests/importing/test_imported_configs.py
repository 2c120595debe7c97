"""Configurations of transformers: the class's own initialization, tiny variants that load, changes, and errors."""

import json
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import Golden
from sweep_transformers import build, compare, load

from paramgen.errors import FileError, UsageError
from paramgen.importing.transformers_config import import_config, import_written_config

pytestmark = [pytest.mark.frameworks("torch", "transformers"), pytest.mark.filterwarnings("ignore")]

SEEDS = 8
CLASSES = {
    "gpt2": "GPT2LMHeadModel",
    "bert": "BertForPreTraining",
    "vit": "ViTModel",
    "clip": "CLIPModel",
    "mamba": "MambaForCausalLM",
    "whisper": "WhisperForConditionalGeneration",
    "wav2vec2": "Wav2Vec2ForPreTraining",
    "t5": "T5ForConditionalGeneration",
    "qwen3_next": "Qwen3NextForCausalLM",
}
LLAMA_70B = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "dtype": "bfloat16",
}
# The file of a released model has values that its class derives (Mamba's intermediate size) and aliases.
MAMBA = {
    "model_type": "mamba",
    "architectures": ["MambaForCausalLM"],
    "intermediate_size": 1536,
    "hidden_size": 768,
    "num_hidden_layers": 24,
}


def write(folder: Path, content: Mapping[str, Any]) -> Path:
    (folder / "config.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("model_type", CLASSES)
def test_the_tiny_model_loads_and_has_the_distributions_of_its_class(model_type: str, tmp_path: Path) -> None:
    """Compare several seeds of the class's initialization on the CPU with as many of paramgen."""
    import torch
    import transformers
    from transformers import CONFIG_MAPPING

    cls = getattr(transformers, CLASSES[model_type])
    config = CONFIG_MAPPING[model_type]()
    content = {**config.to_diff_dict(), "model_type": model_type}
    imported = import_written_config(content, model_type, class_name=CLASSES[model_type], tiny=True)
    written = imported.files["config.json"]
    theirs = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        model = cls._from_config(type(config).from_dict(dict(written)))
        theirs.append({name: value.numpy() for name, value in model.state_dict().items()})
    ours = build(imported, tmp_path, SEEDS)
    assert [tensor.name for tensor in imported.tensors] == [*theirs[0]]
    assert sum(values.size for values in theirs[0].values()) < 500_000
    differences = {
        tensor.name: difference
        for tensor in imported.tensors
        if not tensor.tied_to
        and (difference := compare([side[tensor.name] for side in theirs], [side[tensor.name] for side in ours]))
    }
    assert differences == {}
    assert load(cls, tmp_path) == {"loads": True}


def test_comparing_finds_a_wrong_deviation() -> None:
    numbers = np.random.default_rng(0)
    one, other = ([numbers.normal(0, std, (40, 30)) for _ in range(SEEDS)] for std in (0.02, 0.022))
    assert (compare(one, other) or "").startswith("std")


def test_a_large_model_takes_no_memory(tmp_path: Path) -> None:
    write(tmp_path, LLAMA_70B)
    import_config(tmp_path, tiny=True)  # loads the library
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    imported = import_config(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
    assert len(imported.tensors) == 723 and sum(np.prod(tensor.shape) for tensor in imported.tensors) == 70_553_706_496
    assert {tensor.dtype for tensor in imported.tensors} == {"bfloat16"}
    assert {str(tensor.initializer) for tensor in imported.tensors} == {
        "{'type': 'gaussian', 'std': 0.02}",
        "{'type': 'ones'}",
    }
    assert imported.files["config.json"] == LLAMA_70B
    assert list(imported.sizes.items())[:2] == [("vocab_size", 128256), ("hidden_size", 8192)]


def test_ties_and_origins() -> None:
    found = {
        tensor.name: tensor
        for tensor in import_written_config({"model_type": "gpt2"}, "x", class_name="GPT2LMHeadModel").tensors
    }
    assert found["lm_head.weight"].tied_to == "transformer.wte.weight"
    assert found["transformer.h.0.attn.c_proj.weight"].initializer == {"type": "gaussian", "std": 0.004082483}
    assert found["transformer.h.0.attn.c_proj.weight"].origin == "GPT2PreTrainedModel._init_weights, normal_"


def test_changes_replace_what_depends_on_them() -> None:
    imported = import_written_config(MAMBA, "x", set_values={"hidden_size": 64, "num_hidden_layers": 2})
    shapes = {tensor.name: tensor.shape for tensor in imported.tensors}
    assert shapes["backbone.layers.0.mixer.D"] == (128,) and len(shapes) == 23
    assert imported.files["config.json"] == {
        "model_type": "mamba",
        "architectures": ["MambaForCausalLM"],
        "hidden_size": 64,
        "num_hidden_layers": 2,
    }


def test_aliases_and_nested_fields_are_changed() -> None:
    gpt2 = import_written_config({"model_type": "gpt2"}, "x", class_name="GPT2Model", set_values={"hidden_size": 48})
    assert gpt2.files["config.json"]["n_embd"] == 48 and gpt2.sizes["n_embd"] == 48
    content = {"model_type": "clip", "architectures": ["CLIPModel"]}
    clip = import_written_config(content, "x", set_values={"text_config.num_hidden_layers": 3})
    assert clip.files["config.json"]["text_config"] == {"num_hidden_layers": 3}
    assert {
        name.split(".")[3] for name in (tensor.name for tensor in clip.tensors) if name.startswith("text_model.encoder")
    } == set("012")


def test_infinite_defaults_are_left_out_of_the_file() -> None:
    content = {"model_type": "mamba2", "architectures": ["Mamba2ForCausalLM"], "time_step_limit": [0.0, float("inf")]}
    imported = import_written_config(content, "x", set_values={"num_hidden_layers": 1})
    assert "time_step_limit" not in imported.files["config.json"]


def test_tiny_keeps_kinds_of_layers_and_divisibility() -> None:
    imported = import_written_config(
        {"model_type": "qwen3_next", "architectures": ["Qwen3NextForCausalLM"]}, "x", tiny=True
    )
    config = imported.files["config.json"]
    assert config["layer_types"] == ["linear_attention", "full_attention"]
    assert config["num_attention_heads"] % config["num_key_value_heads"] == 0
    assert config["num_experts"] >= config["num_experts_per_tok"]


def test_tiny_keeps_fields_that_are_set() -> None:
    content = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}
    wanted = {"hidden_size": 64, "num_attention_heads": 8, "num_hidden_layers": 6}
    config = import_written_config(content, "x", set_values=wanted, tiny=True).files["config.json"]
    assert {name: config[name] for name in wanted} == wanted
    assert "layer_types" not in config and config["intermediate_size"] < 1000


@pytest.mark.parametrize("field", ["dtype", "torch_dtype"])
def test_tiny_keeps_the_dtype(field: str) -> None:
    content = {"model_type": "gpt2", "architectures": ["GPT2Model"], field: "bfloat16"}
    imported = import_written_config(content, "x", tiny=True)
    assert {tensor.dtype for tensor in imported.tensors} == {"bfloat16"}
    assert imported.files["config.json"][field] == "bfloat16"


def test_errors(tmp_path: Path, golden: Golden) -> None:
    cases: list[tuple[Any, dict[str, Any]]] = [
        ({"model_type": "gpt2"}, {}),
        ({"model_type": "gpt3", "architectures": ["GPT2Model"]}, {}),
        ({"architectures": ["GPT2Model"]}, {}),
        ({"model_type": "gpt2", "architectures": ["GPT2Molde"]}, {}),
        ({"model_type": "gpt2", "architectures": ["GPT2Config"]}, {}),
        ({"model_type": "gpt2", "architectures": ["GPT2Model"], "n_embd": "wide"}, {}),
        ({"model_type": "gpt2", "architectures": ["GPT2Model"], "n_embd": 7}, {}),
        ({"model_type": "own", "architectures": ["Own"], "auto_map": {"AutoConfig": "own.OwnConfig"}}, {}),
        ({"model_type": "gpt2", "architectures": ["GPT2Model"]}, {"set_values": {"n_emb": 8}}),
        ([1, 2], {}),
    ]
    texts = []
    for content, options in cases:
        write(tmp_path, content)
        with pytest.raises((UsageError, FileError)) as caught:
            import_config(tmp_path, **options)
        texts.append(str(caught.value))
    (tmp_path / "config.json").write_text("{")
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileError) as caught:
            import_config(path)
        texts.append(str(caught.value))
    assert all("\n" not in text for text in texts)
    golden(*texts)


def test_malformed_configurations_have_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "a\nb"
    folder.mkdir()
    own = {"model_type": "own", "architectures": ["Own"]}
    maps = [[1], "x", {"AutoConfig": 1}, {"AutoConfig": ["x.Own"], "AutoModel": "x.Own"}]
    contents = [json.dumps({**own, "auto_map": auto_map}) for auto_map in maps]
    contents += [json.dumps({**own, "model_type": ["own"], "auto_map": {"AutoConfig": None}}), "[" * 100_000, "{"]
    for content in contents:
        (folder / "config.json").write_text(content)
        with pytest.raises((UsageError, FileError)) as caught:
            import_config(folder, trust_remote_code=True)
        assert "a\\nb/config.json: " in str(caught.value) and "\n" not in str(caught.value)


OWN_CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel


class OwnConfig(PretrainedConfig):
    model_type = "own"

    def __init__(self, width=8, **options):
        self.width = width
        super().__init__(**options)


class Own(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.scale = torch.nn.Parameter(torch.full((config.width,), 0.5))
        self.post_init()
"""


def test_code_beside_a_configuration_runs_if_it_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "cache"))
    auto_map = {"AutoConfig": "own_code.OwnConfig", "AutoModel": "own_code.Own"}
    write(tmp_path, {"model_type": "own", "architectures": ["Own"], "auto_map": auto_map, "width": 16})
    (tmp_path / "own_code.py").write_text("raise SystemExit('this code must not run')")
    with pytest.raises(UsageError, match="--trust-remote-code"):
        import_config(tmp_path)
    (tmp_path / "own_code.py").write_text(OWN_CODE)
    imported = import_config(tmp_path, trust_remote_code=True, set_values={"width": 12})
    (tensor,) = imported.tensors
    assert (tensor.name, tensor.shape) == ("scale", (12,)) and tensor.initializer == {"type": "constant", "value": 0.5}
    (tmp_path / "own_code.py").unlink()
    with pytest.raises(UsageError, match="auto_map: cannot be loaded: OSError"):
        import_config(tmp_path, trust_remote_code=True)


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_extra_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=r"^x: .*install both$"):
        import_written_config(LLAMA_70B, "x")
