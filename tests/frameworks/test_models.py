"""Specs of published models agree with the classes in their first comments: names, shapes, loading and initial values."""

from pathlib import Path

import numpy as np
import pytest
from agreement import differences
from helpers import ROOT, SMALL
from loading import FRAMEWORK_WARNINGS
from model_cases import (
    CASES,
    Variables,
    every,
    path_of,
    planned_shapes,
    read_claim,
    sample,
    stored_shapes,
    stored_tensors,
    tied_names,
    variables_of,
)
from model_pages import first_comment

import paramgen

pytestmark = FRAMEWORK_WARNINGS
# Of most matrices of the small models, 20 seeds show a std that is 5 % off: 10,000 values on each side.
SEEDS = range(20)


def test_every_claim_is_tested() -> None:
    claims = {path.stem for path in (ROOT / "configs").glob("*.yaml") if "oads strictly" in first_comment(path)}
    assert claims == set(CASES)


@every(*CASES)
def test_the_published_size_has_the_names_and_shapes_of_the_class(stem: str) -> None:
    """Build the class on the meta device, which takes no memory: as in the comment, and as the variables say."""
    import torch

    case, claim = CASES[stem], read_claim(stem)
    with torch.device("meta"):
        claimed = claim.build()
    assert sum(parameter.numel() for parameter in claimed.parameters()) == case.parameters
    assert bool(tied_names(claimed)) == (" tied to " in first_comment(path_of(stem)))
    assert stored_shapes(claimed, case) == planned_shapes(stem)
    for variables in ({}, *case.variants):
        with torch.device("meta"):
            model = claim.build(**case.fields(variables_of(stem, variables)))
        assert stored_shapes(model, case) == planned_shapes(stem, variables)


@every(*CASES)
def test_the_small_model_loads_strictly_and_runs(stem: str, tmp_path: Path) -> None:
    """Load by the library, which reports no missing, unexpected or mismatched tensors, and by PyTorch."""
    import torch
    from safetensors.torch import load_file, load_model

    case, claim = CASES[stem], read_claim(stem)
    fields = case.fields(variables_of(stem, SMALL[stem]))
    name = f"{claim.basename}.safetensors"
    claim.build(**fields).save_pretrained(tmp_path)  # writes the configuration
    paramgen.build(paramgen.load_spec(path_of(stem), variables=SMALL[stem]), tmp_path / name, device="cpu", force=True)
    model, found = claim.cls.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(found[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tensors, own = load_file(tmp_path / name), stored_tensors(model, case)
    assert tensors.keys() == own.keys()
    for key, tensor in tensors.items():
        assert torch.equal(tensor.to(own[key].dtype), own[key]), key
    if not case.stored:
        load_model(claim.build(**fields), tmp_path / name, strict=True)
    inputs = {
        key: value.to(model.dtype) if value.is_floating_point() else value for key, value in case.inputs().items()
    }
    with torch.no_grad():
        output = model.eval()(**inputs)[0]
    assert torch.isfinite(output).all() and output.std() > 0


def compare_values(stem: str, variables: Variables) -> list[str]:
    """Compare a spec's tensors with the class's own initialization, over several seeds of both."""
    import torch

    case, claim = CASES[stem], read_claim(stem)
    fields = case.fields(variables_of(stem, variables))
    theirs = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        tensors = stored_tensors(claim.build(**fields), case)
        theirs.append({name: tensor.float().numpy() for name, tensor in tensors.items()})
    spec = paramgen.load_spec(path_of(stem), variables=variables, dtype="float32")
    return differences(theirs, sample(spec.source, SEEDS))


@every(*CASES)
def test_values_are_distributed_as_in_the_library(stem: str) -> None:
    """Compare the values of the small model.

    A spec whose comment does not claim the same initialization has another one.
    """
    for variant in ({}, *CASES[stem].variants):
        found = compare_values(stem, {**SMALL[stem], **variant})
        if f"nitialized as in {read_claim(stem).library}" in first_comment(path_of(stem)):
            assert found == []
        else:
            assert found


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
