"""The commands that check files (exit status 1 if a check does not hold), and `digest`."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

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
    WeightsArgument,
    plan_spec,
)
from paramgen.cli.output import print_json
from paramgen.errors import UsageError
from paramgen.messages import escape, must_be
from paramgen.sampling.devices import AUTO

if TYPE_CHECKING:
    from paramgen.analysis.sources import TensorSource


def _parse_tolerance(text: str) -> float:
    try:
        tolerance = float(text)
    except ValueError:
        tolerance = -1.0
    if not 0 <= tolerance < math.inf:
        raise typer.BadParameter(must_be("a finite number of at least 0", text))
    return tolerance


SpecOption = Annotated[
    str | None, typer.Option("--spec", metavar="SPEC", help="Compare with this spec, not with the one in the file.")
]
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="GLOB", help="Leave out tensors whose name matches (repeatable)."),
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
    device: DeviceOption = AUTO,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> int:
    """Draw weights again and compare every byte."""
    from paramgen.analysis.verify import verify
    from paramgen.spec import Spec
    from paramgen.storage.checkpoint import Checkpoint

    replacements = {"--seed": seed, "--dtype": dtype, "--layout": layout, "--set": variables}
    misplaced = next((name for name, value in replacements.items() if value is not None), None)
    if spec is None and misplaced:
        raise UsageError(f"{misplaced} needs --spec; without it, the spec in the file is used as it is")
    with Checkpoint(path) as checkpoint:
        if spec is None:
            plan = Spec.from_file(checkpoint.paths[0]).plan
        else:
            plan = plan_spec(spec, variables, seed=seed, dtype=dtype, layout=layout)
        result = verify(
            checkpoint, plan, only_tensors=spec is not None, device=device, threads=threads, progress=signals.check_each
        )
    if as_json:
        print_json({"holds": result.holds, **asdict(result)})
    else:
        from paramgen.cli.check_tables import print_verification

        print_verification(checkpoint.display_path, result)
    return 0 if result.holds else 1


def check(path: WeightsArgument, threads: ThreadsOption = None, as_json: JsonOption = False) -> int:
    """Look for damage: files, index, NaN, zeros, statistics."""
    from paramgen.analysis.check import check

    result = check(path, threads=threads, progress=signals.check_each)
    if as_json:
        findings = [finding._asdict() for finding in result.findings]
        print_json({"sound": result.sound, "files": list(result.files), "findings": findings})
    else:
        from paramgen.cli.check_tables import print_check

        print_check(path, result)
    return 0 if result.sound else 1


def digest(
    spec: SpecArgument,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="OUT", help="The name of the file or folder/ in the result.")
    ] = "params.safetensors",
    seed: SeedOption = None,
    dtype: DTypeOption = None,
    layout: LayoutOption = None,
    variables: VariablesOption = None,
    device: DeviceOption = AUTO,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the SHA-256 that a build would have."""
    from paramgen.analysis.digest import digest

    plan = plan_spec(spec, variables, seed=seed, dtype=dtype, layout=layout)
    result = digest(plan, device=device, threads=threads, progress=signals.check_each)
    if as_json:
        tensors = [{"name": name, "sha256": sha256} for name, sha256 in result.tensors.items()]
        files = [{"file": output, "sha256": result.file}]
        print_json({"sha256": result.file, "files": files, "tensors": tensors})
    else:
        print(f"{result.file}  {escape(output)}")


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A file, folder, index or spec.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What to compare it with.")],
    ignore: IgnoreOption = None,
    tolerance: ToleranceOption = 0.0,
    threads: ThreadsOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compare tensors by name."""
    from paramgen.analysis.diff import compare

    with ExitStack() as stack:
        left, right = (_open_source(path, stack) for path in (a, b))
        differences = compare(
            left, right, ignore=ignore or (), tolerance=tolerance, threads=threads, progress=signals.check_each
        )
    if as_json:
        document: dict[str, Any] = {"equal": differences.equal, **asdict(differences)}
        print_json({key: value for key, value in document.items() if key != "common"})
    else:
        from paramgen.cli.check_tables import print_differences

        print_differences(differences)
    return 0 if differences.equal else 1


def _open_source(path: str, stack: ExitStack) -> TensorSource:
    from paramgen.analysis.sources import CheckpointSource, PlanSource
    from paramgen.storage.checkpoint import Checkpoint

    if path.lower().endswith((".yaml", ".yml")):
        return PlanSource(plan_spec(path, None))
    return CheckpointSource(stack.enter_context(Checkpoint(path)))
