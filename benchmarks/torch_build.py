"""A PyTorch script that builds the GPT-2-like model of the builds.

python benchmarks/torch_build.py FILE VOCABULARY POSITIONS WIDTH LAYERS
"""

import sys

import torch
from gpt2 import operations
from safetensors.torch import save_file

torch.manual_seed(1)
draws = {"normal": lambda *size: torch.empty(size).normal_(0, 0.02), "zeros": torch.zeros, "ones": torch.ones}
save_file(
    {
        f"{name}.{key}": draws[how](*shape)
        for name, parameters in operations(*map(int, sys.argv[2:]))
        for key, (shape, how) in parameters.items()
    },
    sys.argv[1],
)
