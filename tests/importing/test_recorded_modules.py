"""Modules built under the recorder: each operation, views, computed values, ties, and functions that fail."""

import math
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from golden import Golden
from helpers import Run

from paramgen.errors import FileError, UsageError
from paramgen.importing.model import ImportedModel, ImportedTensor
from paramgen.importing.modules import import_module
from paramgen.importing.writing import write_spec

pytestmark = [pytest.mark.frameworks("torch"), pytest.mark.filterwarnings("ignore")]


def tensors_of(model: ImportedModel) -> dict[str, ImportedTensor]:
    return {tensor.name: tensor for tensor in model.tensors}


def initializer_of(fill: Any, *shape: int) -> Any:
    """Return what is imported of a parameter that a function initializes."""
    import torch
    from torch import nn

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.empty(shape))
            with torch.no_grad():
                fill(self.x)

    return import_module(Module).tensors[0].initializer


INIT = {
    "normal_": ({"mean": 1, "std": 0.5}, {"type": "gaussian", "mean": 1, "std": 0.5}),
    "uniform_": ({"a": -1, "b": 2}, {"type": "uniform", "low": -1, "high": 2}),
    "constant_": ({"val": 3}, {"type": "constant", "value": 3}),
    "ones_": ({}, {"type": "ones"}),
    "zeros_": ({}, {"type": "zeros"}),
    "eye_": ({}, {"type": "identity"}),
    "trunc_normal_": ({"std": 0.5, "a": -1, "b": 2}, {"type": "truncated_normal", "std": 0.5, "high": 4}),
    "xavier_normal_": ({}, {"type": "gaussian", "std": 0.2}),
    "xavier_uniform_": ({}, {"type": "uniform", "bound": 0.34641016}),
    "kaiming_normal_": ({"nonlinearity": "linear"}, {"type": "gaussian", "std": 0.176776695}),
    "kaiming_uniform_": ({"a": math.sqrt(5)}, {"type": "uniform", "bound": 0.176776695}),
    "orthogonal_": ({"gain": 1.5}, {"type": "orthogonal", "gain": 1.5}),
}


@pytest.mark.parametrize("name", INIT)
def test_functions_of_torch_nn_init(name: str) -> None:
    from torch.nn import init

    fields, expected = INIT[name]
    assert initializer_of(lambda x: getattr(init, name)(x, **fields), 18, 32) == expected


def test_integer_settings_of_a_truncated_normal() -> None:
    from torch.nn import init

    expected = {"type": "truncated_normal", "std": 1}
    assert initializer_of(lambda x: init.trunc_normal_(x, 0, 1, -2, 2), 18, 32) == expected


def test_random_integers_and_booleans_have_specs() -> None:
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("codes", torch.randint(2, 9, (40, 40)))
            self.register_buffer("order", torch.randperm(9))
            self.register_buffer("mask", torch.rand(40, 40) < 0.25)

    model = import_module(Module)
    write_spec(model)
    tensors = tensors_of(model)
    assert tensors["codes"].initializer == {"type": "integers", "low": 2, "high": 8}
    assert tensors["order"].initializer == {"type": "integers", "low": 0, "high": 8}
    mask = tensors["mask"].initializer
    assert mask and mask["type"] == "bernoulli" and mask["p"] == pytest.approx(0.25, abs=0.01)
    write_spec(import_module(Module()))


def test_imaginary_parts_are_not_dropped() -> None:
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("w", torch.full((3, 4), 1 + 2j))
            self.register_buffer("real", torch.arange(4).to(torch.complex64))

    model = import_module(Module)
    assert [tensor.initializer for tensor in model.tensors] == [None, {"type": "arange"}]
    assert "no formula" in model.notes[0]


def test_dirac() -> None:
    from torch.nn import init

    assert initializer_of(init.dirac_, 8, 6, 3, 3) == {"type": "dirac"}


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        (lambda x: x.normal_().mul_(0.02).add_(1), {"type": "gaussian", "mean": 1, "std": 0.02}),
        (lambda x: x.uniform_().sub_(0.5).div_(2), {"type": "uniform", "bound": 0.25}),
        (lambda x: x.copy_(0.1 * x.new_ones(18, 32)), {"type": "constant", "value": 0.1}),
        (lambda x: [row.normal_(0, 0.3) for row in x], {"type": "gaussian", "std": 0.3}),
        (lambda x: x.normal_().zero_(), {"type": "zeros"}),
        (
            lambda x: x.uniform_(math.log(0.1), math.log(2)).copy_(x.exp()),
            {"type": "log_uniform", "low": 0.1, "high": 2},
        ),
    ],
)
def test_arithmetic_and_views(fill: Any, expected: Any) -> None:
    assert initializer_of(fill, 18, 32) == expected


def test_computed_values() -> None:
    import torch
    from torch import nn

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(2.65))
            self.A_log = nn.Parameter(torch.log(torch.arange(1, 17).float()).repeat(4, 1))
            step = torch.exp(torch.rand(64) * (math.log(0.1) - math.log(0.001)) + math.log(0.001)).clamp(min=1e-4)
            self.dt_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))
            self.register_buffer("positions", torch.arange(20)[None])
            self.register_buffer("scratch", torch.ones(3), persistent=False)
            self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]
            self.missing = nn.Parameter(torch.empty(5))

    model = import_module(Module)
    found = {tensor.name: (tensor.dtype, tensor.shape, tensor.initializer) for tensor in model.tensors}
    assert found == {
        "scale": ("float32", (), {"type": "constant", "value": 2.65}),
        "A_log": ("float32", (4, 16), {"type": "formula", "value": "${log(k + 1)}"}),
        "dt_bias": ("float32", (64,), {"type": "ssm_dt_bias"}),
        "missing": ("float32", (5,), None),
        "positions": ("int64", (1, 20), {"type": "arange"}),
    }
    assert model.uninitialized == ("missing",)


def test_layers_have_padding_ties_and_norms() -> None:
    import torch
    from torch import nn

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 4, padding_idx=2)
            self.head = nn.Linear(4, 10, bias=False)
            self.head.weight = self.embed.weight
            self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 6, 3))
            self.norm = nn.BatchNorm1d(4)

    found = tensors_of(import_module(Module))
    assert (
        found["embed.weight"].initializer == {"type": "gaussian", "std": 1} and found["embed.weight"].padding_index == 2
    )
    assert found["head.weight"].tied_to == "embed.weight" and found["head.weight"].initializer is None
    norm, direction = (f"conv.parametrizations.weight.original{number}" for number in (0, 1))
    assert found[norm].norm_of == direction and found[norm].shape == (6, 1, 1)
    assert found[direction].initializer == {"type": "uniform", "bound": 0.28867513}
    assert found["conv.bias"].origin == "_ConvNd.reset_parameters, uniform_"
    assert found["norm.num_batches_tracked"].dtype == "int64"
    assert [*found] == [*Module().state_dict()] and isinstance(torch.ones(1).sum().item(), float)


def test_a_distribution_without_a_name_is_measured() -> None:
    import torch

    model = import_module(lambda: _holder(torch.log(torch.empty(50).uniform_(1, 16))))
    initializer = model.tensors[0].initializer
    assert initializer is not None and initializer["type"] == "gaussian"
    # E log X = (16 log 16 - 15) / 15, and so on
    assert initializer["mean"] == pytest.approx(1.957, abs=0.01) and initializer["std"] == pytest.approx(0.68, abs=0.01)
    assert model.notes == ("a distribution without a name; measured mean and standard deviation: x",)


def test_overwritten_random_numbers_are_not_measured() -> None:
    import torch

    def fill(x: Any) -> None:
        x.normal_().index_fill_(0, torch.arange(18), 3)

    assert initializer_of(fill, 18, 32) == {"type": "constant", "value": 3}


def test_infinite_values_are_guesses_with_a_note() -> None:
    import torch

    model = import_module(lambda: _holder(torch.full((), -math.inf)))
    assert model.tensors[0].initializer is None
    assert model.notes == ("values that are not finite, which a spec cannot have: x",)


def test_guesses_are_marked_if_others_are_known() -> None:
    import torch
    from torch import nn

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = (nn.Parameter(torch.empty(size)) for size in (5, 7))
            self.norm = nn.LayerNorm(5)
            self.tied = nn.Module()
            self.tied.weight = self.norm.weight

    text = write_spec(import_module(Module))
    assert "other weights normal with std 0.02 (2 tensors)." in text
    lines = [line.strip() for line in text.splitlines() if line.endswith("# guess")]
    assert [line[:3] for line in lines] == ["one", "two"]


def _holder(value: Any) -> Any:
    from torch import nn

    module = nn.Module()
    module.x = nn.Parameter(value)
    return module


def test_a_large_model_takes_no_memory() -> None:
    from torch import nn

    model = import_module(lambda: nn.Linear(2**20, 2**20))
    assert model.tensors[0].initializer == {"type": "uniform", "bound": 0.0009765625}


def test_functions_are_imported_with_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch import nn

    library = types.ModuleType("library")
    library.net = lambda width, layers=2: nn.Sequential(*(nn.Linear(width, width) for _ in range(layers)))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "library", library)
    model = import_module("library:net", {"width": 6, "layers": 3})
    assert [tensor.shape for tensor in model.tensors] == [(6, 6), (6,)] * 3
    assert model.sizes == {"width": 6, "layers": 3} and model.name == "net" and model.source == "library:net"


@pytest.mark.frameworks("transformers")
def test_functions_that_make_models_of_transformers() -> None:
    from transformers import AutoModelForCausalLM, Qwen3Config

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = Qwen3Config(num_hidden_layers=1, head_dim=16, vocab_size=50, **sizes)
    found = tensors_of(import_module(lambda: AutoModelForCausalLM.from_config(config)))
    assert found["model.embed_tokens.weight"].initializer == {"type": "gaussian", "std": 0.02}


def test_modules_that_exist_have_measured_values() -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(300, 200), nn.LayerNorm(200))
    nn.init.normal_(module[0].weight, 1, 0.25)
    model = import_module(module)
    weight, _, scale, offset = model.tensors
    assert weight.initializer is not None and weight.initializer["type"] == "gaussian"
    assert weight.initializer["mean"] == pytest.approx(1, abs=0.01)
    assert weight.initializer["std"] == pytest.approx(0.25, rel=0.02)
    assert (scale.initializer, offset.initializer) == ({"type": "ones"}, {"type": "zeros"})


def test_errors(golden: Golden) -> None:
    from torch import nn

    texts = []
    for source, arguments in [
        ("builtins:dict", {}),
        ("math:sqrt", {}),
        ("math:no.thing", {}),
        ("no_such_package:function", {}),
        ("math", {}),
        ("math:pi", {}),
        (lambda: 3, {}),
        (lambda: sys.exit(5), {}),
        (nn.Linear(2, 3), {"bias": False}),
    ]:
        with pytest.raises(UsageError) as caught:
            import_module(source, arguments)  # type: ignore[arg-type]
        texts.append(str(caught.value))
    assert all("\n" not in text for text in texts)
    golden(*texts)


def test_output_of_a_function_is_not_in_the_spec(tmp_path: Path, run: Run) -> None:
    code = "import torch\n\ndef net():\n    print('loading')\n    return torch.nn.Linear(4, 2)\n"
    (tmp_path / "nets.py").write_text(code)
    printed = run("import", "nets:net")
    refused = run("import", "nets:net", "--fit")
    assert printed.returncode == 0 and printed.stderr == "loading\n"
    assert printed.stdout.startswith("# Imported from nets:net: 2 tensors")
    assert refused.returncode == 2 and refused.stderr.startswith("--fit is for weights")


def test_a_padding_row_that_a_spec_cannot_have_is_reported() -> None:
    from torch import nn

    model = import_module(lambda: nn.Embedding(5, 3, padding_idx=-1))
    assert "# weight: row 4 is zero in the source, but not here.\n" in write_spec(model)


def test_a_module_without_tensors_is_refused() -> None:
    from torch import nn

    with pytest.raises(FileError, match="has no tensors to import"):
        write_spec(import_module(nn.Module))
