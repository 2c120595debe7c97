"""The GPT-2-like stack of the builds, once for paramgen's spec and for PyTorch's script."""

from collections.abc import Iterator

# Parameter -> its size and how it begins: "normal" (standard deviation 0.02), "zeros" or "ones".
Parameters = dict[str, tuple[list[int], str]]


def operations(vocabulary: int, positions: int, width: int, layers: int) -> Iterator[tuple[str, Parameters]]:
    """Each operation's name and parameters: every matrix normal, biases zero, layer norms one and zero."""
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
