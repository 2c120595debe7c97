"""The build of the compiled kernels for Python's stable ABI, which pyproject.toml cannot describe."""

from setuptools import setup

setup(
    cffi_modules=["paramgen/sampling/cpu/extension.py:ffi"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
