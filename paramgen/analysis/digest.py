"""The digests that a build would have, without writing it."""

from __future__ import annotations

from paramgen.digests import Digests, hash_companion, sha256_of
from paramgen.engine import hash_files
from paramgen.planning.companions import check_companions
from paramgen.planning.plan import Plan
from paramgen.progress import BytesCallback, as_progress
from paramgen.sampling.devices import AUTO


def compute_digests(
    plan: Plan,
    *,
    device: str = AUTO,
    threads: int | None = None,
    progress: BytesCallback | None = None,
) -> Digests:
    """Return the digests of all files of a build, in the order of a manifest, and of its tensors.

    Raises SpecError if a companion of a folder cannot be copied.
    """
    companions = plan.companions if plan.folder else ()
    check_companions(companions)
    report = as_progress(progress)
    report.phase("hashing", plan.total_bytes)
    digests = hash_files(plan, device=device, threads=threads, progress=report)
    index = {plan.index_name: sha256_of(plan.index_text().encode())} if plan.index_name else {}
    copies = {companion.name: hash_companion(companion) for companion in companions}
    return Digests(digests.sha256, {**digests.files, **index, **copies}, digests.tensors)
