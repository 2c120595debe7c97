"""The one part of the build that pyproject.toml cannot say: the compiled kernels."""

from setuptools import setup

setup(cffi_modules=["paramgen/sampling/cpu_build.py:ffi"])
