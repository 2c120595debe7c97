"""Headers: byte for byte those of the official writer."""

from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from golden import Golden
from hypothesis import given, settings
from hypothesis import strategies as st

from paramgen.dtypes import DTYPES, DTYPES_BY_CODE, FILE_DTYPES
from paramgen.storage.header import encode_header, place_tensors

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda n: n != "__metadata__")
codes = ["F64", "F32", "F16", "I64", "I32", "I16", "I8", "U8", "U16", "U32", "U64", "BOOL"]


@given(
    tensors=st.dictionaries(
        names, st.tuples(st.sampled_from(codes), st.lists(st.integers(0, 3), max_size=3)), max_size=6
    ),
    metadata=st.none() | st.tuples(names, st.text(st.characters(exclude_categories=["Cs"]))),
)
@settings(deadline=None)
def test_headers_equal_the_official_writers(tensors: dict[str, Any], metadata: tuple[str, str] | None) -> None:
    ours = [(name, DTYPES_BY_CODE[code], tuple(shape)) for name, (code, shape) in tensors.items()]
    theirs = {name: np.zeros(shape, dtype.numpy_dtype()) for name, dtype, shape in ours}
    fields = dict([metadata]) if metadata else {}  # of several keys, the official writer's order is random
    header = encode_header(place_tensors(ours), fields)
    official = safetensors.numpy.save(theirs, fields or None)
    assert header == official[: len(header)]
    assert len(header) + sum(array.nbytes for array in theirs.values()) == len(official)


@pytest.mark.torch
def test_tensors_of_every_dtype_are_in_the_official_order() -> None:
    import safetensors.torch
    import torch

    header = encode_header(place_tensors([(name, dtype, (3,)) for name, dtype in sorted(DTYPES.items())]), {})
    official = safetensors.torch.save({name: torch.zeros(3).to(getattr(torch, name)) for name in sorted(DTYPES)})
    assert header == official[: len(header)]


def test_metadata_is_sorted_and_the_header_padded() -> None:
    header = encode_header([], {"b": "2", "a": "1"})
    assert header[8:].decode() == '{"__metadata__":{"a":"1","b":"2"}}'.ljust(len(header) - 8)
    assert len(header) % 8 == 0


def test_the_table_of_dtypes(golden: Golden) -> None:
    for dtype in FILE_DTYPES:
        if dtype.numpy_name is not None:
            assert dtype.numpy_dtype().itemsize * 8 == dtype.bits
    with pytest.raises(TypeError) as caught:
        DTYPES_BY_CODE["F4"].numpy_dtype()
    golden(caught.value)


def test_limits_of_every_dtype() -> None:
    import ml_dtypes

    for name, dtype in DTYPES.items():
        assert dtype.name == name
        if dtype.is_integer:
            limits = (0, 1) if name == "bool" else (np.iinfo(name).min, np.iinfo(name).max)
            assert (dtype.min, dtype.max) == limits
            continue
        found = ml_dtypes.finfo(dtype.numpy_dtype())
        assert dtype.max == float(found.max)
        assert dtype.significant_bits == found.nmant + 1
        assert dtype.min == (float(found.tiny) if name == "float8_e8m0fnu" else -dtype.max)
