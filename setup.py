"""What pyproject.toml cannot describe: the compiled kernels for Python's stable ABI, and a package beside the others.

`configs/` is the package `paramgen.configs`, so that distributions have the specs of published models.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["paramgen*"]), "paramgen.configs"],
    package_dir={"paramgen.configs": "configs"},
    cffi_modules=["paramgen/sampling/cpu/extension.py:ffi"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
