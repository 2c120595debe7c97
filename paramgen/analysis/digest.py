"""The digests that a build would have, without writing it."""

from __future__ import annotations

from collections.abc import Callable

from paramgen.digests import Digests, sha256_of
from paramgen.engine import hash_files
from paramgen.planning.plan import Plan
from paramgen.sampling.devices import AUTO


def compute_digests(
    plan: Plan,
    *,
    device: str = AUTO,
    threads: int | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Digests:
    """Return the digests of all files of a build, in the order of a manifest, and of its tensors."""
    digests = hash_files(plan, device=device, threads=threads, progress=progress)
    if not plan.index_name:
        return digests
    return Digests({**digests.files, plan.index_name: sha256_of(plan.index_text().encode())}, digests.tensors)
