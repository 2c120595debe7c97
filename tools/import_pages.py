"""Results of tools/sweep_transformers.py: a file with a row per model type, and its tables in docs/models.md."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sized
from statistics import median
from typing import Any

from pages import ROOT, render_table

RESULTS = ROOT / "tools" / "transformers_types.csv"
MODEL_TYPES = 666
"""Types of transformers 5.24 with a model class, of 822."""
CHECKS = ("constructs", "exact", "tiny", "loads", "agrees")
SIZES = ("tensors", "patterns", "lines")
MAX_REASON_CHARS = 150


def condense(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a model type: checks as 0 or 1, sizes, and the first reason why a check fails."""
    tiny = entry.get("tiny", {})
    constructs = bool(entry["constructs"])
    checks = (constructs, entry.get("exact"), tiny.get("constructs"), tiny.get("loads"), tiny.get("agrees"))
    reason = entry.get("reason") or tiny.get("reason") or ""
    if not reason and tiny.get("differing"):
        name, difference = next(iter(tiny["differing"].items()))
        reason = f"{difference}: {name}" + (f" and {tiny['differing_count'] - 1} more" * (tiny["differing_count"] > 1))
    return {
        "model_type": entry["model_type"],
        **{name: int(bool(value) and constructs) for name, value in zip(CHECKS, checks, strict=True)},
        **{name: entry.get(name, "") for name in SIZES},
        "reason": re.sub(r"\s+", " ", reason)[:MAX_REASON_CHARS],
    }


def record(entries: Iterable[dict[str, Any]]) -> None:
    """Write the compact file of a sweep's results."""
    rows = sorted((condense(entry) for entry in entries), key=lambda row: row["model_type"])
    with RESULTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def render_imports() -> str:
    """Return the tables of the compact file."""
    with RESULTS.open(encoding="utf-8", newline="") as file:
        return summarize(list(csv.DictReader(file)))


def summarize(rows: list[dict[str, Any]]) -> str:
    """Return a table of counts, and one of the constructing model types that fail a check."""
    passing = {check: [row for row in rows if int(row[check])] for check in CHECKS}
    constructing, tiny = passing["constructs"], passing["tiny"]
    counts: list[tuple[str, Sized, Sized]] = [
        ("have been examined", rows, range(MODEL_TYPES)),
        ("construct on the meta device", constructing, rows),
        ("import exactly", passing["exact"], constructing),
        ("have a tiny variant that constructs", tiny, constructing),
        ("the tiny folder loads strictly", passing["loads"], tiny),
        ("every mean and std agrees", passing["agrees"], tiny),
    ]
    table = render_table(
        ["model types", "number", "of", "share"],
        [
            (text, len(some), len(others), f"{100 * len(some) / max(len(others), 1):.1f} %")
            for text, some, others in counts
        ],
    )
    middle = ", ".join(f"{median(int(row[name]) for row in passing['exact']):,.0f} {name}" for name in SIZES)
    failing = [row for row in constructing if not all(int(row[check]) for check in CHECKS)]
    labels = {"exact": "import", "tiny": "tiny variant", "loads": "loading", "agrees": "distributions"}
    reasons = render_table(
        ["model type", "fails", "reason"],
        [
            (
                row["model_type"],
                next(label for check, label in labels.items() if not int(row[check])),
                f"`{row['reason'].replace('|', '/').replace('`', '')}`",
            )
            for row in failing
        ],
    )
    others = Counter(
        re.sub(r"'[^']*'|\d+", "…", row["reason"]).removeprefix("does not construct: ").partition(":")[0]
        for row in rows
        if not int(row["constructs"])
    )
    errors = ", ".join(f"{name} ({count})" for name, count in others.most_common())
    return (
        f"{table}\nThe median model that imports exactly has {middle}. The model types that construct, but fail a "
        f"check:\n\n{reasons}\nThe others do not construct with their default configuration: {errors}.\n"
    )
