"""The import table of packages, and no cycles of packages or files."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from helpers import ROOT

PACKAGE = ROOT / "paramgen"
# Shared helpers import only each other.
GROUND = {
    "exact_math",
    "float_mode",
    "buffers",
    "dtypes",
    "errors",
    "json_text",
    "limits",
    "messages",
    "name_tree",
    "notebook_html",
    "progress",
    "threads",
    "units",
}
# What each part may import, and with a whole part whatever that may import: packages, or single modules of one.
MAY_IMPORT = {
    **dict.fromkeys(GROUND, GROUND),
    "catalog": GROUND,
    "storage": GROUND,
    "language": {"catalog"},
    "planning": {"language", "storage.header", "storage.index"},
    "sampling": {"catalog", "planning.tensors"},
    "sampling.reference": {"sampling"},
    "sampling.cpu": {"sampling.reference"},
    "sampling.cuda": {"sampling.cpu"},
    "spec": {"planning", "storage"},
    "build_check": {"spec", "sampling"},
    "blocks": {"planning"},
    "digests": {"blocks"},
    "drawing": {"blocks", "sampling"},
    "execution": {"drawing", "digests", "storage"},
    "engine": {"build_check", "execution"},
    "folder_build": {"engine"},
    "distributed": {"engine"},
    "analysis": {"engine"},
    "importing": {"analysis"},
    "nested": GROUND,
    "checks": {"analysis", "distributed", "folder_build"},
    "api": {"analysis", "distributed", "importing", "folder_build", "nested"},
    "arrays": {"nested", "sampling.cuda", "storage"},
    "pictures": {"analysis"},
    "cli": {"api", "arrays", "checks", "pictures"},
    "__init__": {"api", "arrays", "checks"},
    "pytest_plugin": {"api", "checks"},
    "__main__": {"cli"},
}


def part(module: str) -> str:
    """Return the part of the table that a module belongs to: a package, or a file below paramgen."""
    names = module.split(".")[1:3]
    part_of_package = ".".join(names)
    return part_of_package if part_of_package in MAY_IMPORT else names[0] if names else "__init__"


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield each module of paramgen that a file imports, and whether only for type checking."""
    known = modules()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checking = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    for_types = {id(inner) for node in checking for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "paramgen":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                module = name if name in known else str(node.module)
                if module != "paramgen":  # its version
                    yield module, id(node) in for_types


def allowed(importer: str) -> set[str]:
    """Return the parts and the single modules that a part may import."""
    reached = {importer}
    pending = [importer]
    while pending:
        for other in MAY_IMPORT.get(pending.pop(), set()) - reached:
            reached.add(other)
            pending.append(other)
    return reached


def test_each_part_imports_what_the_table_allows() -> None:
    edges = 0
    for module, path in modules().items():
        permitted = allowed(part(module))
        for imported, _ in imports(path):
            edges += 1
            assert {part(imported), imported.removeprefix("paramgen.")} & permitted, f"{module} imports {imported}"
    assert edges > 200


def test_imports_have_no_cycles() -> None:
    """Check the imports between files, and those between packages."""
    files: dict[str, set[str]] = {}
    packages: dict[str, set[str]] = {}
    for module, path in modules().items():
        found = {imported for imported, for_types in imports(path) if not for_types}
        files[module] = found - {module}
        packages.setdefault(part(module), set()).update(map(part, found))
    for graph in (files, {name: others - {name} for name, others in packages.items() if name != "__init__"}):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            raise AssertionError(" → ".join(error.args[1])) from None


def test_the_picture_in_contributing_shows_every_part() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    picture = text.split("```\n")[1]
    assert {name.rpartition(".")[2] for name in MAY_IMPORT} - set(re.findall(r"\w+", picture)) == set()
