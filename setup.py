"""The build of the packages, as far as pyproject.toml cannot describe it.

The kernels are compiled for Python's stable ABI. `configs/` is the package `paramgen.configs`, so that distributions
have the specs of published models. The same files give the same archives, in any folder and at any time.
"""

import gzip
import os
import tarfile
from pathlib import Path
from typing import Any

from setuptools import find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

# The time of all members: by default the first one that a wheel, a zip archive, can hold.
TIME = os.environ.setdefault("SOURCE_DATE_EPOCH", "315532800")
os.umask(0o022)  # the modes of files are in archives, too


class BuildExtension(build_ext):
    """Link without a run path: some Pythons add the folder of their own libraries, which the kernels don't need."""

    def build_extensions(self) -> None:
        linker = self.compiler.linker_so
        self.compiler.linker_so = [argument for argument in linker if not argument.startswith("-Wl,-rpath")]
        super().build_extensions()


class SourceDistribution(sdist):
    """Write an archive in the order of names, without the owners and times of files."""

    def make_archive(self, base_name: str, _format: str, *, base_dir: str, **_: Any) -> str:
        path = f"{base_name}.tar.gz"
        members = sorted(str(member) for member in Path(base_dir).rglob("*") if member.is_file())
        with (
            open(path, "wb") as file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for member in members:
                archive.add(member, filter=_normalize)
        return path


def _normalize(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    member.mtime = int(TIME)
    return member


setup(
    packages=[*find_packages(include=["paramgen*"]), "paramgen.configs"],
    package_dir={"paramgen.configs": "configs"},
    cffi_modules=["paramgen/sampling/cpu/extension.py:ffi"],
    cmdclass={"build_ext": BuildExtension, "sdist": SourceDistribution},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
