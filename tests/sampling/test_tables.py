"""Tests that C's numbers of distributions and dtypes are those of Python's tables."""

import pytest
from helpers import COMPILED_BACKENDS

from paramgen.catalog.distributions import ELEMENTWISE
from paramgen.dtypes import DTYPES
from paramgen.sampling.backend import c_name


@pytest.mark.skipif(not COMPILED_BACKENDS, reason="needs the compiled kernels")
def test_the_extension_numbers_entries_in_the_order_of_the_tables() -> None:
    from paramgen.sampling.cpu._kernels import lib

    distributions = list(map(c_name, ELEMENTWISE))
    dtypes = [f"PG_{name.upper()}" for name in DTYPES]
    assert [getattr(lib, name) for name in distributions] == list(range(len(distributions)))
    assert [getattr(lib, name) for name in dtypes] == list(range(len(dtypes)))
    for model in ELEMENTWISE:
        numbers = [getattr(lib, f"PG_{field.upper()}") for field in model.kernel_fields]
        assert numbers == list(range(len(numbers)))
