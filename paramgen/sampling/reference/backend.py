"""The reference as a backend: the oracle of the kernels, and their replacement if none could be compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from paramgen.buffers import CHUNK_ELEMENTS
from paramgen.catalog.distributions import Sinusoidal
from paramgen.sampling.host import HostBackend, view_of_region
from paramgen.sampling.reference import matrix
from paramgen.sampling.reference.distributions import sinusoidal_elements, values_of_words
from paramgen.sampling.reference.philox import Words, draw_words, draw_words64, draw_words_at, join_halves

if TYPE_CHECKING:
    from paramgen.sampling.backend import Bytes, ElementSource
    from paramgen.sampling.regions import StridedRegion


class NumpyBackend(HostBackend):
    """NumPy as a backend, readable before fast."""

    name = "reference"

    add_product = staticmethod(matrix.add_product)
    cholesky_tile = staticmethod(matrix.cholesky_tile)
    solve_triangular = staticmethod(matrix.solve_triangular)
    apply_reflector = staticmethod(matrix.apply_reflector)

    def fill(self, source: ElementSource, offset: int, out: Bytes) -> None:
        draw = draw_words64 if source.dtype.bits == 64 else draw_words
        values = out.view(source.dtype.numpy_dtype())
        for start in range(0, len(values), CHUNK_ELEMENTS):
            part, first = values[start : start + CHUNK_ELEMENTS], offset + start
            if isinstance(source.distribution, Sinusoidal):
                element = np.uint64(first) + np.arange(len(part), dtype=np.uint64)
                part[...] = sinusoidal_elements(source.distribution, element, source.dtype)
            else:
                words = draw(source.seed, source.stream, first, len(part))
                part[...] = values_of_words(source.distribution, source.dtype, words)

    def fill_region(self, source: ElementSource, region: StridedRegion, out: Bytes) -> None:
        element = region.element_numbers()
        target = view_of_region(out.view(source.dtype.numpy_dtype()), region)
        if isinstance(source.distribution, Sinusoidal):
            target[...] = sinusoidal_elements(source.distribution, element, source.dtype)
            return
        if source.dtype.bits == 64:
            pairs: NDArray[Any] = np.uint64(2) * element[..., None] + np.arange(2, dtype=np.uint64)
            words: Words = join_halves(draw_words_at(source.seed, source.stream, pairs))
        else:
            words = draw_words_at(source.seed, source.stream, element)
        target[...] = values_of_words(source.distribution, source.dtype, words.reshape(-1)).reshape(region.sizes)
