"""The functions of the Python API that look at what was built: tensors, digests, verification, damage, differences."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from paramgen.analysis.check import Check
from paramgen.analysis.check import check as check_weights
from paramgen.analysis.diff import Differences, compare
from paramgen.analysis.digest import compute_digests
from paramgen.analysis.inspection import Inspection
from paramgen.analysis.inspection import inspect as inspect_weights
from paramgen.analysis.manifest import verify_manifest
from paramgen.analysis.plan_diff import compare_plans
from paramgen.analysis.sources import CheckpointSource, PlanSource
from paramgen.analysis.verify import Verification
from paramgen.analysis.verify import verify as verify_weights
from paramgen.digests import Digests
from paramgen.distributed.connection import connect_executor
from paramgen.errors import UsageError, check_path
from paramgen.folder_build import plan_output
from paramgen.messages import must_be
from paramgen.progress import BytesCallback
from paramgen.sampling.devices import AUTO
from paramgen.spec import Spec, SpecSource, as_spec, stored_spec
from paramgen.storage.byte_source import use_storage_options
from paramgen.storage.checkpoint import Checkpoint
from paramgen.storage.manifest import read_manifest

if TYPE_CHECKING:
    from distributed import Client

    from paramgen.analysis.sources import TensorSource

Path = str | os.PathLike[str]


def digest(
    spec: SpecSource,
    path: Path = "params.safetensors",
    *,
    max_shard_size: int | str | None = None,
    basename: str | None = None,
    device: str = AUTO,
    threads: int | None = None,
    progress: BytesCallback | None = None,
) -> Digests:
    """Return the SHA-256 of each file and tensor that a build would write; nothing is written.

        digests = paramgen.digest("model.yaml")
        digests.sha256  # 64 hexadecimal digits
        paramgen.digest("model.yaml", "model/", max_shard_size="5GB").files

    The arguments are those of `build`.
    """
    plan = plan_output(spec, path, max_shard_size, basename)
    digests = compute_digests(plan, device=device, threads=threads, progress=progress)
    return digests if plan.folder else replace(digests, files={os.path.basename(path): digests.sha256})


def verify(
    path: Path,
    spec: SpecSource | None = None,
    *,
    manifest: Path | None = None,
    device: str = AUTO,
    threads: int | None = None,
    dask: str | Client | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: BytesCallback | None = None,
) -> Verification:
    """Draw the weights of a file, a folder or an index again, and compare every byte, as `paramgen verify` does.

        assert paramgen.verify("params.safetensors").holds

    They are drawn from the spec in the file's metadata, or from `spec`; then headers and names of files may differ.
    With `manifest`, a file of digests, nothing is drawn. Raises FileError if a file cannot be read, or changes
    meanwhile. `dask` lets the workers of a cluster draw, as in `build`. `storage_options` are those of URLs, as for
    `build`. `progress(count)` is called with the bytes that were drawn or read meanwhile.
    """
    if dask is not None and manifest is not None:
        raise UsageError("verify: manifest draws nothing, so dask has no effect; choose one")
    if spec is not None and manifest is not None:
        raise UsageError("verify: manifest compares digests, and spec draws again; choose one")
    with use_storage_options(storage_options), Checkpoint(path) as checkpoint:
        if manifest is not None:
            digests = read_manifest(check_path(manifest))
            return verify_manifest(checkpoint, digests, threads=threads, progress=progress)
        plan = (stored_spec(checkpoint.files[0]) if spec is None else as_spec(spec)).plan
        with connect_executor(dask) as open_executor:
            return verify_weights(
                checkpoint,
                plan,
                only_tensors=spec is not None,
                device=device,
                threads=threads,
                open_executor=open_executor,
                progress=progress,
            )


def check(
    path: Path,
    *,
    threads: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: BytesCallback | None = None,
) -> Check:
    """Look for damage in a file, a folder or an index, as `paramgen check` does.

        paramgen.check("params.safetensors").findings  # () if it is sound

    Findings are: a malformed file; an index that its files contradict; NaN, infinity; a matrix of zeros; a mean or std
    that the spec in the metadata does not promise. Raises FileError if a file cannot be read.
    """
    with use_storage_options(storage_options):
        return check_weights(check_path(path), threads=threads, progress=progress)


def inspect(
    path: Path,
    pattern: str | None = None,
    *,
    stats: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    progress: BytesCallback | None = None,
) -> Inspection:
    """Return the tensors of a file, a folder or an index, as `paramgen inspect` shows them.

        inspection = paramgen.inspect("params.safetensors", "dense.*", stats=True)
        inspection.rows()  # for a DataFrame

    With `pattern` only the tensors whose names match this glob. With `stats` the data are read, and `progress(count)`
    is called with the bytes read meanwhile. Raises FileError if a file cannot be read.
    """
    with use_storage_options(storage_options), Checkpoint(path) as checkpoint:
        return inspect_weights(checkpoint, pattern, stats=stats, progress=progress)


def diff(
    a: Path | Spec,
    b: Path | Spec,
    *,
    ignore: str | Sequence[str] = (),
    tolerance: float = 0.0,
    threads: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: BytesCallback | None = None,
) -> Differences:
    """Compare tensors by name, as `paramgen diff` does: those of files, folders and indexes, or those that a spec has.

    Of two specs the plans are compared, and nothing is drawn.

        paramgen.diff("params.safetensors", paramgen.load_spec("model.yaml", seed=7)).values

    Names that match a glob of `ignore` are left out. Two values are equal if they differ by at most `tolerance` times
    the larger magnitude, or if both are NaN. Raises FileError if a file cannot be read.
    """
    ignore = [ignore] if isinstance(ignore, str) else ignore
    if not 0 <= tolerance < math.inf:
        raise UsageError(f"diff: tolerance: {must_be('a finite number of at least 0', tolerance)}")
    if isinstance(a, Spec) and isinstance(b, Spec):
        return compare_plans(a.plan, b.plan, ignore=ignore)
    with use_storage_options(storage_options), ExitStack() as stack:
        sources = [_open_source(source, stack) for source in (a, b)]
        return compare(*sources, ignore=ignore, tolerance=tolerance, threads=threads, progress=progress)


def _open_source(source: Path | Spec, stack: ExitStack) -> TensorSource:
    """Return the tensors of a spec, or of weights, which the stack closes."""
    if isinstance(source, Spec):
        return PlanSource(source.plan)
    return CheckpointSource(stack.enter_context(Checkpoint(source)))
