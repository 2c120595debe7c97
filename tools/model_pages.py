"""The specs of published models in configs/: the claims of their first comments, and their table in docs/models.md."""

import re
from itertools import takewhile
from pathlib import Path

from pages import render_table

import paramgen

CONFIGS = sorted((Path(__file__).resolve().parent.parent / "configs").glob("*.yaml"))
CLAIM = re.compile(r"Loads strictly as (\w+)\((?:(\w+)\((.*?)\)|(.*?))\) of (transformers 5|diffusers)")
# "Qwen3 (Yang et al., 2025)", "The U-Net of DDPM (Ho et al., 2020)"
MODEL = re.compile(r"(?:The )?(.*? \([^)]* \d{4}\))")


def first_comment(config: Path) -> str:
    """Return the first comment of a spec, without the line for editors, on one line."""
    lines = config.read_text(encoding="utf-8").splitlines()[1:]
    return " ".join(line.removeprefix("# ") for line in takewhile(lambda line: line.startswith("#"), lines))


def render_models() -> str:
    """Return a table with a row per spec whose first comment names a class."""
    rows = []
    for config in CONFIGS:
        comment = first_comment(config)
        if claim := CLAIM.search(comment):
            model = MODEL.match(comment)
            assert model, f"{config.name}: the first comment must begin with a model and its paper"
            rows.append(
                (
                    model[1],
                    f"[{config.name}](../configs/{config.name})",
                    len(config.read_text(encoding="utf-8").splitlines()),
                    f"{paramgen.load_spec(config).plan.total_parameters:,}",
                    f"`{claim[1]}` of {claim[5].split()[0]}",
                )
            )
    return render_table(["model", "spec", "lines", "parameters", "loaded by"], rows)
