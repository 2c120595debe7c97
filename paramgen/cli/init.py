"""The command `init`: a starter spec, or the spec of a published model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from paramgen.cli.output import print_yaml, write_file
from paramgen.errors import UsageError, check_path
from paramgen.messages import closest_match, did_you_mean, show_path, show_text

PACKAGE = Path(__file__).resolve().parent.parent
STARTER = PACKAGE / "cli" / "starter.yaml"
# What the first comment of a published model's spec says.
CLAIM = "Loads strictly as"
# The line for editors names the schema beside the spec, not that of the repository.
SCHEMA_OF_CONFIGS, SCHEMA = "../schemas/paramgen.schema.json", "paramgen.schema.json"

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="NAME", help="Write the spec of a published model, such as llama; any other name lists them."
    ),
]
OutputOption = Annotated[
    str, typer.Option("--output", "-o", metavar="FILE", help="The file to write; - is standard output, the default.")
]


def init(model: ModelOption = None, output: OutputOption = "-") -> None:
    """Write a spec to start from: an example, or a published model."""
    source = STARTER if model is None else _find_model(model)
    text = source.read_text(encoding="utf-8").replace(SCHEMA_OF_CONFIGS, SCHEMA, 1)
    if output == "-":
        print_yaml(text)
        return
    path = check_path(output)
    if os.path.lexists(path):
        raise UsageError(f"{show_path(path)}: exists; choose another name")
    write_file(path, text.encode(), force=False)
    print(f"{show_path(path)}: written; see its tensors with paramgen plan {show_path(path)}")


def _find_model(name: str) -> Path:
    """Return the spec of a published model. Raises UsageError for an unknown name."""
    specs = list_models()
    if name not in specs:
        guess = did_you_mean(closest_match(name, specs))
        raise UsageError(f"--model: unknown model {show_text(name)}{guess}; known: {', '.join(specs)}")
    return specs[name]


def list_models() -> dict[str, Path]:
    """Return the specs of published models by name. An installed package holds them; a checkout has them beside it."""
    folder = PACKAGE / "configs" if (PACKAGE / "configs").is_dir() else PACKAGE.parent / "configs"
    specs = sorted(folder.glob("*.yaml"))
    return {spec.stem: spec for spec in specs if CLAIM in spec.read_text(encoding="utf-8")}
