"""The commands that check files (exit status 1 if a check does not hold), and `digest`."""

from __future__ import annotations

import math
import os
from dataclasses import asdict
from typing import Annotated, Any

import typer

from paramgen.cli import completion
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
    WeightsArgument,
    check_folder_options,
    load_spec,
    nest_storage_options,
    silence_dask,
)
from paramgen.cli.output import print_json
from paramgen.cli.progress import show_progress
from paramgen.errors import UsageError
from paramgen.messages import must_be
from paramgen.sampling.devices import AUTO


def _parse_tolerance(text: str) -> float:
    try:
        tolerance = float(text)
    except ValueError:
        tolerance = -1.0
    if not 0 <= tolerance < math.inf:
        raise typer.BadParameter(must_be("a finite number of at least 0", text))
    return tolerance


SpecOption = Annotated[
    str | None,
    typer.Option(
        "--spec",
        metavar="SPEC",
        help="Compare with this spec, not with the one in the file.",
        autocompletion=completion.complete_spec,
    ),
]
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="GLOB", help="Leave out tensors whose name matches (repeatable)."),
]
ManifestOption = Annotated[
    str | None,
    typer.Option("--manifest", metavar="FILE", help="Compare with the digests in this file; draw nothing."),
]
ToleranceOption = Annotated[
    float,
    typer.Option(
        "--tolerance",
        parser=_parse_tolerance,
        metavar="X",
        help="Values are equal if they differ by at most X times the larger.",
    ),
]


def verify(
    path: WeightsArgument,
    spec: SpecOption = None,
    seed: SeedOption = None,
    dtype: DTypeOption = None,
    layout: LayoutOption = None,
    variables: VariablesOption = None,
    manifest: ManifestOption = None,
    device: DeviceOption = AUTO,
    threads: ThreadsOption = None,
    dask: DaskOption = None,
    storage_options: StorageOptions = None,
    as_json: JsonOption = False,
) -> int:
    """Draw weights again and compare every byte."""
    from paramgen import checks

    replacements = {"--seed": seed, "--dtype": dtype, "--layout": layout, "--set": variables}
    misplaced = next((name for name, value in replacements.items() if value is not None), None)
    if spec is None and misplaced:
        raise UsageError(f"{misplaced} needs --spec; without it, the spec in the file is used as it is")
    if spec is not None and manifest is not None:
        raise UsageError("--manifest compares digests, and --spec draws again; choose one")
    if dask is not None and manifest is not None:
        raise UsageError("--manifest draws nothing, so --dask has no effect; choose one")
    silence_dask(dask)
    options = nest_storage_options(storage_options)
    with show_progress(as_json=as_json) as progress:
        progress.phase("planning")
        loaded = None if spec is None else load_spec(spec, variables, seed=seed, dtype=dtype, layout=layout)
        result = checks.verify(
            path,
            loaded,
            manifest=manifest,
            device=device,
            threads=threads,
            dask=dask,
            storage_options=options,
            progress=progress,
        )
    if as_json:
        print_json({"holds": result.holds, **asdict(result)})
    else:
        from paramgen.cli.check_tables import print_verification

        print_verification(path, result)
    return 0 if result.holds else 1


def check(
    path: WeightsArgument,
    threads: ThreadsOption = None,
    storage_options: StorageOptions = None,
    as_json: JsonOption = False,
) -> int:
    """Look for damage: files, index, NaN, zeros, statistics."""
    from paramgen import checks

    options = nest_storage_options(storage_options)
    with show_progress(as_json=as_json) as progress:
        result = checks.check(path, threads=threads, storage_options=options, progress=progress)
    if as_json:
        findings = [finding._asdict() for finding in result.findings]
        print_json({"sound": result.sound, "files": list(result.files), "findings": findings})
    else:
        from paramgen.cli.check_tables import print_check

        print_check(path, result)
    return 0 if result.sound else 1


def digest(
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
    as_json: JsonOption = False,
) -> None:
    """Print a build's SHA-256 without writing it."""
    from paramgen import checks
    from paramgen.storage.folder import is_folder

    check_folder_options(output, {"--max-shard-size": max_shard_size, "--basename": basename})
    with show_progress(as_json=as_json) as progress:
        progress.phase("planning")
        digests = checks.digest(
            load_spec(spec, variables, seed=seed, dtype=dtype, layout=layout),
            output,
            max_shard_size=max_shard_size,
            basename=basename,
            device=device,
            threads=threads,
            progress=progress,
        )
    in_folder = is_folder(output)
    names = {name: os.path.join(output, name) if in_folder else output for name in digests.files}
    if as_json:
        files = [{"file": names[name], "sha256": sha256} for name, sha256 in digests.files.items()]
        tensors = [{"name": name, "sha256": sha256} for name, sha256 in digests.tensors.items()]
        print_json({"sha256": digests.sha256, "files": files, "tensors": tensors})
        return
    for name, sha256 in digests.files.items():
        print(_checksum_line(sha256, names[name]))


def _checksum_line(sha256: str, name: str) -> str:
    """Return a line as `sha256sum` prints it: a backslash at its start says that the name is escaped."""
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == name else chr(92)}{sha256}  {escaped}"


AArgument = Annotated[
    str,
    typer.Argument(
        metavar="A",
        help="A file, folder, index or spec; - is a spec on standard input.",
        autocompletion=completion.complete_weights_or_spec,
    ),
]
BArgument = Annotated[
    str,
    typer.Argument(metavar="B", help="What to compare it with.", autocompletion=completion.complete_weights_or_spec),
]


def diff(
    a: AArgument,
    b: BArgument,
    ignore: IgnoreOption = None,
    tolerance: ToleranceOption = 0.0,
    threads: ThreadsOption = None,
    storage_options: StorageOptions = None,
    as_json: JsonOption = False,
) -> int:
    """Compare tensors by name."""
    from paramgen import checks

    options = nest_storage_options(storage_options)
    with show_progress(as_json=as_json) as progress:
        progress.phase("planning")
        sources = [load_spec(path, None) if _is_spec(path) else path for path in (a, b)]
        differences = checks.diff(
            *sources,
            ignore=ignore or (),
            tolerance=tolerance,
            threads=threads,
            storage_options=options,
            progress=progress,
        )
    if as_json:
        document: dict[str, Any] = {"equal": differences.equal, **asdict(differences)}
        del document["common"]
        document["changed"] = [_without_none(change) for change in document["changed"]]
        print_json(_without_none(document))
    else:
        from paramgen.cli.check_tables import print_differences

        print_differences(differences)
    return 0 if differences.equal else 1


def _is_spec(path: str) -> bool:
    """Return True if a path of diff is a spec, and not weights: standard input, or a YAML file."""
    return path == "-" or path.lower().endswith(completion.SPEC_SUFFIXES)


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
