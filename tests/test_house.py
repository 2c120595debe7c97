"""The order of the code: CONTRIBUTING.md lists the modules, and each imports only what stands above it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from conftest import ROOT

PACKAGE = ROOT / "paramgen"
# The package's face and its entrance, which stand above and below all.
APART = ("__init__.py", "__main__.py")


def listed() -> list[list[str]]:
    """Files and folders of each line of the list, those after the first in its folder."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    (\S.*?)   +\S", text, re.MULTILINE)
    found = []
    for line in lines:
        first, *others = line.split(", ")
        folder = first.rpartition("/")[0]
        found.append([first, *(f"{folder}/{other}" if folder else other for other in others)])
    return found


def rank(file: str) -> int:
    (number,) = [number for number, entries in enumerate(listed()) if any(is_in(file, entry) for entry in entries)]
    return number


def is_in(file: str, entry: str) -> bool:
    return file.startswith(entry) if entry.endswith("/") else file == entry


def imported(path: Path) -> Iterator[str]:
    """The package's files that a module imports, at its top or in its functions, but for types alone."""
    for_types = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for_types.update(map(id, ast.walk(node)))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and id(node) not in for_types
            and (node.module or "").startswith("paramgen")
        ):
            for alias in node.names:
                for name in (f"{node.module}.{alias.name}", str(node.module)):
                    file = ROOT / name.replace(".", "/")
                    if file.with_suffix(".py").exists() or (file / "__init__.py").exists():
                        python = file.with_suffix(".py") if file.with_suffix(".py").exists() else file / "__init__.py"
                        yield str(python.relative_to(PACKAGE))
                        break


def test_the_list_is_of_all_modules_and_data_goes_downwards() -> None:
    files = [str(path.relative_to(PACKAGE)) for path in sorted(PACKAGE.rglob("*.py"))]
    edges = 0
    for file in files:
        if file in APART or file in ("spec/__init__.py", "storage/__init__.py"):
            continue
        for other in imported(PACKAGE / file):
            if other not in APART:
                edges += 1
                assert rank(other) <= rank(file), f"{file} imports {other}, which stands below it"
    assert edges > 200
