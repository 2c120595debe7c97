"""The peer of the builds: the same GPT-2-like stack by PyTorch and safetensors, as a script would.

python benchmarks/torch_build.py FILE VOCABULARY POSITIONS WIDTH LAYERS
"""

import sys

import torch
from safetensors.torch import save_file

vocabulary, positions, width, layers = map(int, sys.argv[2:])
torch.manual_seed(1)


def normal(*shape: int) -> torch.Tensor:
    return torch.empty(shape).normal_(0, 0.02)


parameters = {"wte.weights": normal(vocabulary, width), "wpe.weights": normal(positions, width)}
for layer in range(layers):
    for name, inputs, outputs in (
        ("attention", width, 3 * width),
        ("projection", width, width),
        ("mlp_in", width, 4 * width),
        ("mlp_out", 4 * width, width),
    ):
        parameters[f"h{layer}_{name}.weights"] = normal(inputs, outputs)
        parameters[f"h{layer}_{name}.bias"] = torch.zeros(outputs)
    for name in ("ln_1", "ln_2"):
        parameters[f"h{layer}_{name}.scale"] = torch.ones(width)
        parameters[f"h{layer}_{name}.offset"] = torch.zeros(width)
parameters["ln_f.scale"], parameters["ln_f.offset"] = torch.ones(width), torch.zeros(width)
save_file(parameters, sys.argv[1])
