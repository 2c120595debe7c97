"""The commands that only print: `plan`, `inspect`, `devices`, `schema`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from paramgen.cli import completion
from paramgen.cli.options import (
    DTypeOption,
    JsonOption,
    LayoutOption,
    SeedOption,
    ShardSizeOption,
    SpecArgument,
    VariablesOption,
    WeightsArgument,
    integer_parser,
    load_spec,
)
from paramgen.cli.output import print_json, print_json_parts, print_yaml
from paramgen.cli.progress import show_progress
from paramgen.errors import UsageError
from paramgen.messages import escape, must_be

if TYPE_CHECKING:
    from paramgen.analysis.file_report import Statistics
    from paramgen.analysis.histograms import Histogram
    from paramgen.progress import Progress
    from paramgen.storage.checkpoint import Checkpoint, StoredTensor

MAX_DEPTH = 1000


def _parse_sort(text: str) -> str:
    if text != "bytes":
        raise typer.BadParameter(must_be("bytes", text))
    return text


StatsOption = Annotated[
    bool, typer.Option("--stats", help="Read the data: mean, std, min, max, zeros, NaNs, infinities.")
]
TreeOption = Annotated[bool, typer.Option("--tree", help="Show a tree of names in which equal layers are folded.")]
HistOption = Annotated[bool, typer.Option("--hist", help="Read the data: percentiles and a small histogram.")]
StoredSpecOption = Annotated[bool, typer.Option("--spec", help="Print the stored spec as YAML, and nothing else.")]
FilterOption = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="GLOB",
        help="Show only tensors whose name matches a glob.",
        autocompletion=completion.complete_pattern,
    ),
]


FlatOption = Annotated[bool, typer.Option("--flat", help="Show a row per tensor, with fans, instead of a tree.")]
DepthOption = Annotated[
    int | None,
    typer.Option(
        "--depth", parser=integer_parser(1, MAX_DEPTH), metavar="N", help="Show only the first N levels of the tree."
    ),
]
SortOption = Annotated[
    str | None, typer.Option("--sort", parser=_parse_sort, metavar="bytes", help="Show the largest first.")
]

# Options that exclude others, by command.
PLAN_CONFLICTS = {"--json": ("--flat", "--depth", "--sort"), "--flat": ("--depth",)}
INSPECT_CONFLICTS = {
    "--spec": ("--tree", "--stats", "--hist", "--filter", "--json"),
    "--tree": ("--stats", "--hist", "--json"),
    "--hist": ("--json",),
}


def _check_conflicts(given: Mapping[str, bool], conflicts: Mapping[str, Sequence[str]]) -> None:
    """Raise UsageError if two given options exclude each other."""
    for option, others in conflicts.items():
        if given[option] and (other := next((name for name in others if given[name]), None)):
            raise UsageError(f"{option} and {other} exclude each other; choose one")


def plan(
    spec: SpecArgument,
    seed: SeedOption = None,
    dtype: DTypeOption = None,
    layout: LayoutOption = None,
    variables: VariablesOption = None,
    max_shard_size: ShardSizeOption = None,
    flat: FlatOption = False,
    pattern: FilterOption = None,
    depth: DepthOption = None,
    sort: SortOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a build would write, without drawing it."""
    given = {"--flat": flat, "--depth": depth is not None, "--sort": sort is not None, "--json": as_json}
    _check_conflicts(given, PLAN_CONFLICTS)
    spec_plan = load_spec(spec, variables, seed=seed, dtype=dtype, layout=layout).plan
    if max_shard_size is not None:
        from paramgen.planning.files import FolderLayout

        spec_plan = spec_plan.split(FolderLayout(limit=max_shard_size))
    tensors = spec_plan.select(pattern)
    if as_json:
        print_json_parts(spec_plan.iter_json(tensors))
        return
    from paramgen.cli.plan_tables import print_plan, print_plan_tree

    if flat:
        print_plan(spec_plan, sorted(tensors, key=lambda tensor: -tensor.nbytes) if sort else tensors)
    else:
        print_plan_tree(spec_plan, tensors, depth=depth, by_bytes=sort is not None)


def inspect(
    path: WeightsArgument,
    tree: TreeOption = False,
    stats: StatsOption = False,
    hist: HistOption = False,
    spec: StoredSpecOption = False,
    pattern: FilterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the tensors of a file, an index or a folder."""
    given = {"--tree": tree, "--stats": stats, "--hist": hist, "--spec": spec, "--json": as_json}
    given["--filter"] = pattern is not None
    _check_conflicts(given, INSPECT_CONFLICTS)
    if spec:
        from paramgen.spec import Spec

        print_yaml(Spec.from_file(path).to_yaml())
        return

    from paramgen.analysis.file_report import iter_json, select_tensors
    from paramgen.cli.file_tables import print_inspection, print_stored_tree
    from paramgen.storage.checkpoint import Checkpoint

    statistics = histograms = None
    with Checkpoint(path) as checkpoint:
        tensors = select_tensors(checkpoint, pattern)
        if stats or hist:
            with show_progress(as_json=as_json) as progress:
                statistics, histograms = _read_values(checkpoint, tensors, hist, progress)
    if as_json:
        print_json_parts(iter_json(checkpoint, tensors, statistics))
    elif tree:
        print_stored_tree(checkpoint, tensors)
    else:
        print_inspection(checkpoint, tensors, statistics if stats else None, histograms)


def _read_values(
    checkpoint: Checkpoint, tensors: Sequence[StoredTensor], with_histograms: bool, progress: Progress
) -> tuple[list[Statistics | None], list[Histogram | None] | None]:
    """Read the data of tensors: return their statistics and, if asked for, histograms."""
    from paramgen.analysis.file_report import compute_statistics, has_statistics

    total = sum(tensor.entry.nbytes for tensor in tensors if has_statistics(tensor.entry.dtype))
    progress.phase("reading", total)
    statistics = [compute_statistics(checkpoint, tensor, progress=progress) for tensor in tensors]
    if not with_histograms:
        return statistics, None
    from paramgen.analysis.histograms import compute_histogram

    progress.phase("counting", total)
    pairs = zip(tensors, statistics, strict=True)
    return statistics, [compute_histogram(checkpoint, tensor, found, progress=progress) for tensor, found in pairs]


def devices(as_json: JsonOption = False) -> None:
    """List devices; explain why a GPU is unusable."""
    from paramgen.sampling.devices import BACKEND_MODULES, load_backend

    all_devices = [device for name in BACKEND_MODULES for device in load_backend(name).list_devices()]
    if as_json:
        print_json([asdict(device) for device in all_devices])
        return
    from paramgen.cli.tables import Column, print_table

    print_table(
        [
            Column("device", [device.name for device in all_devices]),
            Column("usable", ["yes" if device.usable else "no" for device in all_devices]),
            Column("description", [escape(device.description) for device in all_devices]),
        ]
    )


def schema() -> None:
    """Print the JSON Schema of specs, for editors and validators."""
    from paramgen.language.schema import json_schema

    print_json(json_schema())
