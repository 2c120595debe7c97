"""Weights whose names and metadata would be markup, scripts or reordered text in a careless page."""

from pathlib import Path

import numpy as np
import safetensors.numpy

OWNED = "document.title='owned'"
HOSTILE_NAMES = (
    f"</script><script>{OWNED}</script>",
    f'<img src=x onerror="{OWNED}">',
    "a\"b'c&amp;<b>bold</b>",
    "\u202egnp.exe",
    "مرحبا.weight",
    "{{data}}",
    "$x^2$",
    "x" * 300,
    "a..b",
    "",
    "\x00nul\nline",
    "layers.0.<i>.w",
    "layers.1.<i>.w",
)
HOSTILE_METADATA = {"</td><script>": f"<script>{OWNED}</script>{{{{title}}}}", 'k"': "v'"}


def write_hostile(path: Path) -> None:
    """Write a file of hostile names and metadata."""
    random = np.random.default_rng(0)
    tensors = {name: random.normal(0, 1 + i, (40, 1 + i // 2)) for i, name in enumerate(HOSTILE_NAMES)}
    safetensors.numpy.save_file(tensors, path, HOSTILE_METADATA)
