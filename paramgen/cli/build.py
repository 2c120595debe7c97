"""The command `build`."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from paramgen.cli.options import (
    BasenameOption,
    DaskOption,
    DeviceOption,
    DTypeOption,
    JsonOption,
    LayoutOption,
    OutputOption,
    SeedOption,
    ShardSizeOption,
    SpecArgument,
    StorageOptions,
    ThreadsOption,
    VariablesOption,
    check_folder_options,
    load_spec,
    nest_storage_options,
    silence_dask,
)
from paramgen.cli.output import print_json
from paramgen.cli.progress import show_progress
from paramgen.errors import UsageError
from paramgen.messages import escape, show_path
from paramgen.sampling.devices import AUTO

# Extensions by which other tools choose another format; a safetensors file with such a name is not found or misread.
FOREIGN_EXTENSIONS = {
    ".bin",
    ".ckpt",
    ".h5",
    ".hdf5",
    ".keras",
    ".msgpack",
    ".npy",
    ".npz",
    ".onnx",
    ".pkl",
    ".pt",
    ".pth",
}


def _parse_digest(text: str) -> str:
    from paramgen.digests import parse_digest

    try:
        return parse_digest(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


ExpectOption = Annotated[
    str | None,
    typer.Option(
        "--expect",
        parser=_parse_digest,
        metavar="sha256:HEX",
        help="Write nothing unless the build has this digest, as `paramgen digest` prints it.",
    ),
]
ManifestOption = Annotated[
    str | None,
    typer.Option("--manifest", metavar="FILE", help="Write the digests of all files and tensors to this file, too."),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="In a folder, continue an interrupted build from its finished shards.")
]
ResumeVerifyOption = Annotated[
    bool, typer.Option("--resume-verify", help="As --resume, and draw the finished shards again to compare them.")
]
NoSyncOption = Annotated[
    bool, typer.Option("--no-sync", help="Do not wait for the disk; for files that are read at once.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that paramgen did not write.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print only errors.")]


def build(
    spec: SpecArgument,
    output: OutputOption = "params.safetensors",
    seed: SeedOption = None,
    dtype: DTypeOption = None,
    layout: LayoutOption = None,
    variables: VariablesOption = None,
    device: DeviceOption = AUTO,
    threads: ThreadsOption = None,
    max_shard_size: ShardSizeOption = None,
    basename: BasenameOption = None,
    expect: ExpectOption = None,
    manifest: ManifestOption = None,
    resume: ResumeOption = False,
    resume_verify: ResumeVerifyOption = False,
    no_sync: NoSyncOption = False,
    dask: DaskOption = None,
    force: ForceOption = False,
    storage_options: StorageOptions = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw a spec's parameters into safetensors files."""
    from paramgen.storage.writer import STDOUT_NAMES

    check_folder_options(output, {"--max-shard-size": max_shard_size, "--basename": basename})
    check_folder_options(output, {"--resume": resume, "--resume-verify": resume_verify})
    if resume and resume_verify:
        raise UsageError("--resume-verify does what --resume does, and more; choose one")
    to_stdout = output in STDOUT_NAMES
    if as_json and to_stdout:
        raise UsageError(f"--json and -o {output} both write to standard output; choose one")
    silence_dask(dask)
    if quiet:
        warnings.simplefilter("ignore")
    _warn_about_extension(output)
    with show_progress(quiet=quiet, as_json=as_json) as progress:
        progress.phase("planning")
        loaded = load_spec(spec, variables, seed=seed, dtype=dtype, layout=layout)

        from paramgen import api

        _raise_malloc_threshold()
        result = api.build(
            loaded,
            output,
            device=device,
            threads=threads,
            max_shard_size=max_shard_size,
            basename=basename,
            force=force,
            digest=as_json,
            expect=expect,
            manifest=manifest,
            resume=resume,
            resume_verify=resume_verify,
            sync=not no_sync,
            dask=dask,
            storage_options=nest_storage_options(storage_options),
            progress=progress,
        )
    if as_json:
        print_json(
            {
                "files": list(result.files),
                "total_parameters": result.total_parameters,
                "total_bytes": result.total_bytes,
                "sha256": result.sha256,
                "device": result.device,
                "seconds": round(result.seconds, 6),
            }
        )
    elif not quiet:
        place = "standard output" if to_stdout else show_path(output)
        text = f"{place}: {loaded.plan.summary()}, seed {loaded.seed}, in {result.seconds:.2f} s"
        print(text, file=sys.stderr if to_stdout else sys.stdout)


def _warn_about_extension(output: str) -> None:
    stem, extension = os.path.splitext(output)
    if extension.lower() in FOREIGN_EXTENSIONS:
        name = escape(output)
        message = f"{name}: a safetensors file should not end in {extension}; choose {escape(stem)}.safetensors"
        warnings.warn(message, stacklevel=2)


def _raise_malloc_threshold() -> None:
    """Make glibc reuse large freed blocks, without which a build by NumPy takes half as long again.

    Above a threshold, glibc returns them to the system, and each large temporary array has to be paged in. Freeing one
    larger block, which is never touched, raises this threshold for the process.
    """
    import numpy as np

    np.empty(2**24, np.uint8)
