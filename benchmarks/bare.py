"""A script with NumPy and safetensors alone that draws the five layers of the start-up benchmark."""

import sys

import numpy as np
from safetensors.numpy import save_file

rng = np.random.default_rng(0)


def glorot(shape: tuple[int, ...], fan_in: int, fan_out: int) -> np.ndarray:
    bound = np.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, shape).astype(np.float32)


parameters = {
    "conv1.weights": glorot((3, 3, 1, 8), 9, 72),
    "conv1.bias": np.zeros((8, 1), np.float32),
    "bn1.offset": np.zeros((8, 1), np.float32),
    "bn1.scale": np.ones((8, 1), np.float32),
    "conv2.weights": glorot((3, 3, 8, 16), 72, 144),
    "conv2.bias": np.zeros((16, 1), np.float32),
    "fc1.weights": glorot((32, 256), 256, 32),
    "fc1.bias": np.zeros((32, 1), np.float32),
    "fc2.weights": glorot((10, 32), 32, 10),
    "fc2.bias": np.zeros((10, 1), np.float32),
}
save_file(parameters, sys.argv[1])
