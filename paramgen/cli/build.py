"""The command `build`."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated

import typer

from paramgen.cli import signals
from paramgen.cli.options import (
    DeviceOption,
    DTypeOption,
    JsonOption,
    LayoutOption,
    SeedOption,
    SpecArgument,
    ThreadsOption,
    VariablesOption,
    plan_spec,
)
from paramgen.cli.output import print_json
from paramgen.errors import UsageError
from paramgen.messages import escape
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

OutputOption = Annotated[
    str, typer.Option("--output", "-o", metavar="OUT", help="The file to write; - is standard output.")
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
    force: ForceOption = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw a spec's parameters and write them to a safetensors file."""
    from paramgen.storage.writer import STDOUT_NAMES

    to_stdout = output in STDOUT_NAMES
    if as_json and to_stdout:
        raise UsageError(f"--json and -o {output} both write to standard output; choose one")
    if quiet:
        warnings.simplefilter("ignore")
    _warn_about_extension(output)
    plan = plan_spec(spec, variables, seed=seed, dtype=dtype, layout=layout)

    from paramgen import engine
    from paramgen.cli.progress import ProgressBar

    _raise_malloc_threshold()
    with ProgressBar(plan.total_bytes, shown=not quiet) as progress:

        def advance(count: int) -> None:
            signals.check()
            progress.advance(count)

        result = engine.build(
            plan, output, device=device, threads=threads, force=force, digest=as_json, progress=advance
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
        place = "standard output" if to_stdout else escape(output)
        text = f"{place}: {plan.summary()}, seed {plan.seed}, in {result.seconds:.2f} s"
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
