"""The pytest fixtures `paramgen_file` and `paramgen_model`: weights for tests, kept in pytest's cache.

pytest imports this module in every run, so it imports the rest of paramgen only when a test asks for weights.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from paramgen.planning.plan import Plan
    from paramgen.spec import Spec, SpecSource

# The modification time of everything in the cache. Another time means that a test has written there.
BUILT = 2**30


@pytest.fixture(scope="session")
def paramgen_file(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Build a safetensors file and return its path.

        weights = load_file(paramgen_file("specs/tiny.yaml", layers=2, seed=7))

    The spec is a path below pytest's root folder, a mapping or a Spec. `seed`, `dtype` and `layout` replace those of
    the spec, and other keywords its variables. The file is built once, and read-only: copy it to change it.
    """

    def build_file(spec: SpecSource, **replacements: Any) -> Path:
        return _provide(pytestconfig, tmp_path_factory, spec, replacements, None) / "model.safetensors"

    return build_file


@pytest.fixture(scope="session")
def paramgen_model(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Build a folder that from_pretrained loads, and return its path.

        model = AutoModel.from_pretrained(paramgen_model("specs/tiny.yaml", layers=2, seed=7))

    It has the weights and the spec's `files`, such as a config.json. `max_shard_size` and `basename` are those of
    `paramgen build`, and the rest is as in `paramgen_file`. The files are read-only: copy the folder to change them.
    """

    def build_model(
        spec: SpecSource, *, max_shard_size: int | str | None = None, basename: str | None = None, **replacements: Any
    ) -> Path:
        return _provide(pytestconfig, tmp_path_factory, spec, replacements, (basename, max_shard_size))

    return build_model


def _provide(
    config: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
    source: SpecSource,
    replacements: dict[str, Any],
    layout: tuple[str | None, int | str | None] | None,
) -> Path:
    """Return the folder of a build, with a folder's layout if given. An error fails the test with its message."""
    from paramgen.errors import ParamgenError, describe_os_error
    from paramgen.planning.files import make_folder_layout

    try:
        spec = _load(config.rootpath, source, replacements)
        plan = spec.plan.split(make_folder_layout(*layout)) if layout else spec.plan
        return _build_once(spec, plan, _find_cache(config, tmp_path_factory))
    except ParamgenError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {describe_os_error(error)}"
    pytest.fail(message, pytrace=False)


def _load(root: Path, source: SpecSource, replacements: dict[str, Any]) -> Spec:
    from paramgen.api import load_spec
    from paramgen.errors import UsageError
    from paramgen.spec import Spec

    if isinstance(source, Spec):
        if replacements:
            raise UsageError(f"{', '.join(replacements)}: a Spec is used as it is; pass them to load_spec")
        return source
    fields = {name: replacements.pop(name, None) for name in ("seed", "dtype", "layout")}
    return load_spec(source if isinstance(source, Mapping) else root / source, variables=replacements, **fields)


def _find_cache(config: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the cache's folder: pytest's, or that of this run with `-p no:cacheprovider`."""
    if hasattr(config, "cache"):
        return config.cache.mkdir("paramgen")
    folder = tmp_path_factory.getbasetemp() / "paramgen"
    folder.mkdir(exist_ok=True)
    return folder


def _build_once(spec: Spec, plan: Plan, cache: Path) -> Path:
    """Return the folder of a build in the cache; make it if it is missing, or if a test has changed it.

    The workers of xdist share the cache. A lock makes them wait for a build instead of repeating it; it ends with the
    process that holds it.
    """
    import fcntl

    from paramgen.api import build

    folder, unfinished = cache / _compute_key(plan), cache / "unfinished"
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_unchanged(folder):
            return folder
        for old in (folder, unfinished):
            shutil.rmtree(old, ignore_errors=True)
        unfinished.mkdir()
        if plan.folder:
            layout = plan.folder
            build(spec, f"{unfinished}/", device="cpu", basename=layout.basename, max_shard_size=layout.limit)
        else:
            build(spec, unfinished / "model.safetensors", device="cpu")
        for file in unfinished.iterdir():
            file.chmod(0o444)
            os.utime(file, (BUILT, BUILT))
        os.utime(unfinished, (BUILT, BUILT))
        return unfinished.rename(folder)


def _is_unchanged(folder: Path) -> bool:
    """Return True if a build is there as it was made. Its times show this faster than digests, and to root as well."""
    return folder.is_dir() and all(path.stat().st_mtime == BUILT for path in (folder, *folder.iterdir()))


def _compute_key(plan: Plan) -> str:
    """Return the digest of what determines a build: its headers, which name spec and stream, and copied files."""
    from paramgen import __version__
    from paramgen.digests import hash_companion, sha256_of
    from paramgen.planning.companions import check_companions

    companions = plan.companions if plan.folder else ()
    check_companions(companions)
    parts = [__version__, str(plan.folder), *(sha256_of(file.header) for file in plan.files)]
    parts += [f"{companion.name} {hash_companion(companion)}" for companion in companions]
    return sha256_of("\n".join(parts).encode())[:32]
