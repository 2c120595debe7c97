"""Whole builds of gigabytes in each layout, compared with the canonical layout.

python benchmarks/layouts.py
"""

import statistics
import sys
import tempfile
from pathlib import Path

from measuring import PARAMGEN, measure

GIGABYTE = 1_500_000_000
LAYOUTS = ("canonical", "torch", "keras", "flax")
# An operation, and the number of elements of its weights.
OPERATIONS = {
    "fully connected, 4096 × 4096": ("fully_connected, input_size: 4096, output_size: 4096", 4096 * 4096),
    "fully connected, 4096 inputs, 128,256 outputs": (
        "fully_connected, input_size: 4096, output_size: 128256",
        4096 * 128256,
    ),
    "convolution, 3 × 3, 512 channels, 512 filters": (
        "conv, filter_size: [3, 3], num_channels: 512, num_filters: 512",
        9 * 512 * 512,
    ),
    "the same, transposed": (
        "transposed_conv, filter_size: [3, 3], num_channels: 512, num_filters: 512",
        9 * 512 * 512,
    ),
    "LSTM, 2048 units": ("lstm, input_size: 2048, num_hidden_units: 2048", 4 * 2048 * 2048 * 2),
    "attention, 2048, 16 heads": ("multihead_attention, input_size: 2048, num_heads: 16", 4 * 2048 * 2048),
    "embedding, 50,257 × 768": ("embedding, embedding_dimension: 768, vocabulary_size: 50257", 50257 * 768),
}


def make_spec(operation: str, elements: int, dtype: str, size: int) -> str:
    repeat = max(1, size // (elements * (2 if dtype == "bfloat16" else 4)))
    return (
        f"dtype: {dtype}\noperations:\n- name: g\n  repeat: {repeat}\n  operations:\n  - {{name: x, type: {operation}}}\n"
        "overrides: [{match: '*', initializer: {type: gaussian, std: 0.02}}]\n"
    )


def measure_layouts(scratch: Path, size: int, runs: int) -> list[str]:
    rows = []
    path, target = scratch / "model.yaml", scratch / "out.safetensors"
    for name, (operation, elements) in OPERATIONS.items():
        for dtype in ("float32", "bfloat16"):
            path.write_text(make_spec(operation, elements, dtype, size))
            taken: dict[str, list[float]] = {layout: [] for layout in LAYOUTS}
            for _ in range(runs):
                for layout, seconds in taken.items():
                    target.unlink(missing_ok=True)
                    options = ("--layout", layout, "--device", "cpu", "--quiet", "-o", target)
                    seconds.append(measure(*PARAMGEN, "build", path, *options).seconds)
            medians = {layout: statistics.median(seconds) for layout, seconds in taken.items()}
            cells = [
                f"{medians[layout]:.2f} ({medians[layout] / medians['canonical']:.2f} ×)" for layout in LAYOUTS[1:]
            ]
            rows.append(f"| {name} | {dtype} | {medians['canonical']:.2f} | {' | '.join(cells)} |")
    target.unlink(missing_ok=True)
    return [
        "## Layouts",
        "",
        f"Seconds for builds of about {size / 1e9:.1f} GB of normal values, start-up included, medians of {runs} runs in turn.",
        "Parentheses: the time divided by the canonical layout's. The target is at most 1.5.",
        "",
        "| operation | dtype | canonical | torch | keras | flax |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


if __name__ == "__main__":
    quick = "--quick" in sys.argv
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        print("\n".join(measure_layouts(Path(folder), 10**7 if quick else GIGABYTE, 1 if quick else 3)))
