"""The part of the build that pyproject.toml cannot say: the compiled kernels, by Python's stable interface."""

from setuptools import setup

setup(
    cffi_modules=["paramgen/sampling/cpu_build.py:ffi"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
