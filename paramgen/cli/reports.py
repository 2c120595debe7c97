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
    VariablesOption,
    WeightsArgument,
    load_spec,
)
from paramgen.cli.output import print_json, print_json_parts
from paramgen.messages import escape

StatsOption = Annotated[
    bool, typer.Option("--stats", help="Read the data: mean, std, min, max, zeros, NaNs, infinities.")
]
FilterOption = Annotated[
    str | None, typer.Option("--filter", metavar="GLOB", help="Show only tensors whose name matches a glob.")
]


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
    path: WeightsArgument, stats: StatsOption = False, pattern: FilterOption = None, as_json: JsonOption = False
) -> None:
    """Show the tensors of a file, an index or a folder."""
    from paramgen.analysis.file_report import compute_statistics, iter_json, select_tensors
    from paramgen.storage.checkpoint import Checkpoint

    with Checkpoint(path) as checkpoint:
        tensors = select_tensors(checkpoint, pattern)
        statistics = [compute_statistics(checkpoint, tensor) for tensor in tensors] if stats else None
    if as_json:
        print_json_parts(iter_json(checkpoint, tensors, statistics))
        return
    from paramgen.cli.file_tables import print_inspection

    print_inspection(checkpoint, tensors, statistics)


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
