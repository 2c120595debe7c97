"""The GPT-2-like model that both paramgen and the PyTorch script build."""

from collections.abc import Iterator

# Parameter -> its shape and initial values: "normal" (standard deviation 0.02), "zeros" or "ones".
Parameters = dict[str, tuple[list[int], str]]


def operations(vocabulary: int, positions: int, width: int, layers: int) -> Iterator[tuple[str, Parameters]]:
    """Yield each operation's name and parameters."""
    norm: Parameters = {"scale": ([width], "ones"), "offset": ([width], "zeros")}
    yield "wte", {"weights": ([vocabulary, width], "normal")}
    yield "wpe", {"weights": ([positions, width], "normal")}
    for layer in range(layers):
        for name, inputs, outputs in (
            ("attention", width, 3 * width),
            ("projection", width, width),
            ("mlp_in", width, 4 * width),
            ("mlp_out", 4 * width, width),
        ):
            yield f"h{layer}_{name}", {"weights": ([inputs, outputs], "normal"), "bias": ([outputs], "zeros")}
        yield f"h{layer}_ln_1", norm
        yield f"h{layer}_ln_2", norm
    yield "ln_f", norm
