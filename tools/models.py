"""The specs of published models in configs/: the claims of their first comments, and docs/models.md."""

import re
from itertools import takewhile
from pathlib import Path

import paramgen

CONFIGS = sorted((Path(__file__).resolve().parent.parent / "configs").glob("*.yaml"))
CLAIM = re.compile(r"Loads strictly as (\w+)\((?:(\w+)\((.*?)\)|(.*?))\) of (transformers 5|diffusers)")
# "Qwen3 (Yang et al., 2025)", "The U-Net of DDPM (Ho et al., 2020)"
MODEL = re.compile(r"(?:The )?(.*? \([^)]* \d{4}\))")
BEFORE = """\
# Published models

Use these specs to build a published model, or a small copy of it, with its initial values.

```console
$ paramgen build configs/qwen3.yaml -o qwen3.safetensors --set layers=2 --set width=64 --set vocabulary=1000
qwen3.safetensors: 24 tensors, 2.03 million parameters, 4.06 MB, seed 0, in 0.01 s
```

`paramgen plan configs/qwen3.yaml` shows the tensors of the published size. The `variables` of a spec are what `--set`
can change.

"""
AFTER = """
- Lines include the comments. Parameters do not include running statistics.
- The first comment of each spec names the configuration for its default sizes. It also says whether the initial values
  are those of the library or of the authors' code.
- Mixtral is there twice: with stacked experts, as transformers holds them, and with a matrix per expert, as in
  published files. The class loads both.

## How they are tested

`tests/frameworks/test_models.py` runs the same tests for every row:

| test | requires |
| -- | -- |
| published size, on PyTorch's meta device | the class's names, shapes and number of parameters |
| small size, loaded by the library | no missing, unexpected or mismatched tensor, and the file's values |
| values, over 20 seeds of each | equal constants; alike in mean, deviation, bounds and Kolmogorov-Smirnov's statistic |

Each comparison of values fails by chance once in a million times. `tests/frameworks/test_agreement.py`
shows that they find a standard deviation that is 5 % off, a wrong constant and a missing padding row.
To add a model, see
[Write the spec of a published model](how-to/published-model.md), and add a row to
`tests/frameworks/model_cases.py`.
"""


def first_comment(config: Path) -> str:
    """Return the first comment of a spec, without the line for editors, on one line."""
    lines = config.read_text(encoding="utf-8").splitlines()[1:]
    return " ".join(line.removeprefix("# ") for line in takewhile(lambda line: line.startswith("#"), lines))


def model_page() -> str:
    """Return docs/models.md without a notice: a row per spec whose first comment names a class."""
    rows = ["| model | spec | lines | parameters | loaded by |", "|---|---|---|---|---|"]
    for config in CONFIGS:
        comment = first_comment(config)
        if claim := CLAIM.search(comment):
            model = MODEL.match(comment)
            assert model, f"{config.name}: the first comment must begin with a model and its paper"
            cells = (
                model[1],
                f"[{config.name}](../configs/{config.name})",
                str(len(config.read_text(encoding="utf-8").splitlines())),
                f"{paramgen.load_spec(config).plan.total_parameters:,}",
                f"`{claim[1]}` of {claim[5].split()[0]}",
            )
            rows.append(f"| {' | '.join(cells)} |")
    return BEFORE + "\n".join(rows) + "\n" + AFTER
