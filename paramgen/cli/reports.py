"""The commands that only print: `plan`, `inspect`, `devices`, `schema`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from paramgen.cli.options import (
    DTypeOption,
    JsonOption,
    LayoutOption,
    SeedOption,
    ShardSizeOption,
    SpecArgument,
    StorageOptions,
    VariablesOption,
    WeightsArgument,
    load_spec,
    nest_storage_options,
)
from paramgen.cli.output import print_json, print_json_parts, print_yaml
from paramgen.errors import UsageError
from paramgen.messages import escape

StatsOption = Annotated[
    bool, typer.Option("--stats", help="Read the data: mean, std, min, max, zeros, NaNs, infinities.")
]
TreeOption = Annotated[bool, typer.Option("--tree", help="Show a tree of names in which equal layers are folded.")]
HistOption = Annotated[bool, typer.Option("--hist", help="Read the data: percentiles and a small histogram.")]
StoredSpecOption = Annotated[bool, typer.Option("--spec", help="Print the stored spec as YAML, and nothing else.")]
FilterOption = Annotated[
    str | None, typer.Option("--filter", metavar="GLOB", help="Show only tensors whose name matches a glob.")
]


# Options of `inspect` that exclude others.
CONFLICTS = {
    "--spec": ("--tree", "--stats", "--hist", "--filter", "--json"),
    "--tree": ("--stats", "--hist", "--json"),
    "--hist": ("--json",),
}


def plan(
    spec: SpecArgument,
    seed: SeedOption = None,
    dtype: DTypeOption = None,
    layout: LayoutOption = None,
    variables: VariablesOption = None,
    max_shard_size: ShardSizeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a build would write, without drawing it."""
    spec_plan = load_spec(spec, variables, seed=seed, dtype=dtype, layout=layout).plan
    if max_shard_size is not None:
        from paramgen.planning.files import FolderLayout

        spec_plan = spec_plan.split(FolderLayout(limit=max_shard_size))
    if as_json:
        print_json_parts(spec_plan.iter_json())
        return
    from paramgen.cli.plan_tables import print_plan

    print_plan(spec_plan)


def inspect(
    path: WeightsArgument,
    tree: TreeOption = False,
    stats: StatsOption = False,
    hist: HistOption = False,
    spec: StoredSpecOption = False,
    pattern: FilterOption = None,
    storage_options: StorageOptions = None,
    as_json: JsonOption = False,
) -> None:
    """Show the tensors of a file, an index or a folder."""
    given = {"--tree": tree, "--stats": stats, "--hist": hist, "--spec": spec, "--json": as_json}
    given["--filter"] = pattern is not None
    for option, others in CONFLICTS.items():
        if given[option] and (other := next((name for name in others if given[name]), None)):
            raise UsageError(f"{option} and {other} exclude each other; choose one")
    options = nest_storage_options(storage_options)
    if spec:
        from paramgen.spec import Spec

        print_yaml(Spec.from_file(path, storage_options=options).to_yaml())
        return

    from paramgen.analysis.file_report import compute_statistics, iter_json, select_tensors
    from paramgen.cli.file_tables import print_inspection, print_tree
    from paramgen.storage.byte_source import use_storage_options
    from paramgen.storage.checkpoint import Checkpoint

    statistics = histograms = None
    with use_storage_options(options), Checkpoint(path) as checkpoint:
        tensors = select_tensors(checkpoint, pattern)
        if stats or hist:
            statistics = [compute_statistics(checkpoint, tensor) for tensor in tensors]
        if hist:
            from paramgen.analysis.histograms import compute_histogram

            pairs = zip(tensors, statistics or (), strict=True)
            histograms = [compute_histogram(checkpoint, tensor, moments) for tensor, moments in pairs]
    if as_json:
        print_json_parts(iter_json(checkpoint, tensors, statistics))
    elif tree:
        print_tree(checkpoint, tensors)
    else:
        print_inspection(checkpoint, tensors, statistics if stats else None, histograms)


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
