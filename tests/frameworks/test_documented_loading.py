"""The loading snippets of the README and of docs/layouts.md, run as written."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers import ROOT
from loading import FRAMEWORK_WARNINGS, leaves, load_torch
from snippets import snippets

import paramgen

pytestmark = FRAMEWORK_WARNINGS

CONVOLUTIONAL = [
    {"name": "conv", "type": "conv", "filter_size": [3, 3], "num_channels": 3, "num_filters": 8},
    {"name": "norm", "type": "batchnorm", "num_channels": 8},
    {"name": "head", "type": "fully_connected", "input_size": 8, "output_size": 5},
]


def snippet_of(page: str, section: str, language: str, part: str = "") -> str:
    """Return the code block of a section that contains `part`."""
    (found,) = [
        snippet.text
        for snippet in snippets(ROOT / page)
        if (snippet.section, snippet.language) == (section, language) and part in snippet.text
    ]
    return found


def run_lines(part: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **names: Any) -> None:
    """Run the snippet of docs/layouts.md that contains `part` in the file's folder."""
    monkeypatch.chdir(folder)
    exec(snippet_of("docs/layouts.md", "Loading", "python", part), names)


@pytest.mark.frameworks("torch")
def test_first_model_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = yaml.safe_load(snippet_of("README.md", "paramgen", "yaml"))
    paramgen.build(spec, tmp_path / "model.safetensors")
    check_lines_of_the_readme("nn.ModuleDict", tmp_path, tmp_path / "model.safetensors", monkeypatch)


@pytest.mark.frameworks("torch", "transformers")
def test_llama_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check names here: `from_pretrained` itself only warns about missing ones."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    commands = snippet_of("README.md", "Load it", "sh")
    subprocess.run(["sh", "-ec", commands], cwd=tmp_path, env={**os.environ, "PATH": path}, check=True)
    check_lines_of_the_readme("transformers", tmp_path, tmp_path / "tiny-llama" / "model.safetensors", monkeypatch)


def check_lines_of_the_readme(part: str, folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from safetensors.torch import load_file

    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(snippet_of("README.md", "Load it", "python", part), names)
    loaded, written = names["model"].state_dict(), load_file(file)
    assert set(loaded) - set(written) == set(getattr(names["model"], "all_tied_weights_keys", ()))
    assert all(torch.equal(loaded[name], tensor) for name, tensor in written.items())


@pytest.mark.frameworks("torch")
def test_encoder_of_the_readme() -> None:
    from torch import nn

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (module,) = re.findall(r"`(nn\.TransformerEncoder\(.*\))`", text)
    encoder = eval(module, {"nn": nn})
    load_torch(encoder, dict(leaves(paramgen.sample(yaml.safe_load(snippet_of("README.md", "Whole models", "yaml"))))))


@pytest.mark.frameworks("torch")
def test_documented_loading_in_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import nn

    paramgen.build({"layout": "torch", "operations": CONVOLUTIONAL}, tmp_path / "model.safetensors")
    model = nn.ModuleDict({"conv": nn.Conv2d(3, 8, 3), "norm": nn.BatchNorm2d(8), "head": nn.Linear(8, 5)})
    run_lines("model.load_state_dict(", tmp_path, monkeypatch, model=model)
    written = paramgen.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(model["head"].weight.detach().numpy(), written["head"]["weight"])


@pytest.mark.frameworks("jax", "keras")
def test_documented_loading_in_keras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exclude an LSTM's states of random generators, which the file lacks."""
    from keras import Model, layers

    paramgen.build(ROOT / "configs" / "keras_tagger.yaml", tmp_path / "model.safetensors")
    inputs = layers.Input((7,), dtype="int32")
    y = layers.Embedding(300, 32, name="embedding")(inputs)
    y = layers.Bidirectional(layers.LSTM(24, return_sequences=True, name="lstm"), name="encoder")(y)
    y = layers.LayerNormalization(name="norm")(layers.MultiHeadAttention(4, 12, name="attention")(y, y))
    model = Model(inputs, layers.Dense(9, name="tags")(y))
    assert len(model.variables) > len(model.weights)
    run_lines("model.weights", tmp_path, monkeypatch, model=model)
    written = paramgen.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(np.asarray(model.get_layer("tags").kernel), written["tags"]["kernel"])


@pytest.mark.frameworks("flax")
def test_documented_loading_in_flax(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flax import linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            x = nn.BatchNorm(use_running_average=True, name="norm")(nn.Conv(8, (3, 3), name="conv")(x))
            return nn.Dense(5, name="head")(x.mean((1, 2)))

    class Recording:
        def apply(self, variables: Any, x: Any) -> None:
            self.y = Net().apply(variables, x)

    paramgen.build({"layout": "flax", "operations": CONVOLUTIONAL}, tmp_path / "model.safetensors")
    model, x = Recording(), np.ones((2, 6, 6, 3), np.float32)
    run_lines("model.apply(", tmp_path, monkeypatch, model=model, x=x)
    np.testing.assert_array_equal(np.asarray(model.y), Net().apply(paramgen.load(tmp_path / "model.safetensors"), x))
