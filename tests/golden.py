"""Golden files: the texts that users see, recorded per test below tests/data/messages.

A test passes to the fixture `golden` what it produced; `pytest --update-golden` records it.

This is not a package for snapshots, because people review these files: all texts of a module are in one file, without
quotes or escapes. A text that no test compares fails the suite, also under xdist.
"""

import difflib
import functools
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import paramgen

TESTS = Path(__file__).parent
MESSAGES = TESTS / "data" / "messages"
INDENT = "    "

Golden = Callable[..., None]

# Texts to record, by test module (relative to tests/) and test; and recorded texts that no test compares.
FOUND = pytest.StashKey[dict[str, dict[str, str]]]()
UNUSED = pytest.StashKey[list[tuple[str, str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="record the texts of all tests that run")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FOUND] = {}
    config.stash[UNUSED] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Find recorded texts that no test compares; `-k` and `-m` deselect tests later."""
    if any("::" in argument for argument in config.args) or config.getoption("lf", False):
        return  # some modules are collected in part
    comparing: dict[str, set[str]] = {}
    for item in items:
        tests = comparing.setdefault(module_of(item), set())
        if "golden" in getattr(item, "fixturenames", ()):
            tests.add(item.name)
    for path in sorted(MESSAGES.rglob("*.txt")):
        module = path.relative_to(MESSAGES).with_suffix(".py").as_posix()
        tests = comparing.get(module) if (TESTS / module).exists() else set()
        if tests is not None:
            config.stash[UNUSED] += [(module, test) for test in recorded(module) if test not in tests]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare texts, one after the other, with what is recorded for this test; a test calls it once."""
    module, test = module_of(request.node), request.node.name
    folders = {str(TESTS.parent): "<root>"}
    if "tmp_path" in request.fixturenames:
        folders = {str(request.getfixturevalue("tmp_path")): "<tmp>", **folders}

    def compare(*texts: object) -> None:
        found = "\n".join(str(text).rstrip("\n") for text in texts)
        for folder, placeholder in folders.items():
            found = found.replace(folder, placeholder)
        found = found.replace(paramgen.__version__, "<version>")
        found = re.sub(r"\b\d+\.\d\d s\b", "<time> s", found)
        found_here = request.config.stash[FOUND].setdefault(module, {})
        assert test not in found_here, "a test calls golden once, with all its texts"
        found_here[test] = found
        if request.config.getoption("--update-golden"):
            return
        expected = recorded(module).get(test, "")
        if found != expected:
            diff = difflib.unified_diff(expected.split("\n"), found.split("\n"), "recorded", "found", lineterm="")
            advice = f"If what was found is right, record it: pytest --update-golden tests/{module}"
            pytest.fail("\n".join([f"{test}: other texts than recorded", *diff, "", advice]), pytrace=False)

    return compare


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what was found; a worker of xdist hands it to the process that started it."""
    config = session.config
    if not config.getoption("--update-golden"):
        return
    if hasattr(config, "workeroutput"):
        config.workeroutput["golden"] = (config.stash[FOUND], config.stash[UNUSED])
        return
    for module in {*config.stash[FOUND], *(module for module, _ in config.stash[UNUSED])}:
        texts = recorded(module) | config.stash[FOUND].get(module, {})
        write(module, {test: text for test, text in texts.items() if (module, test) not in config.stash[UNUSED]})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker of xdist found."""
    found, unused = getattr(node, "workeroutput", {}).get("golden", ({}, []))
    for module, texts in found.items():
        node.config.stash[FOUND].setdefault(module, {}).update(texts)
    node.config.stash[UNUSED] += unused


def module_of(item: pytest.Item) -> str:
    return item.path.relative_to(TESTS).as_posix()


def file_of(module: str) -> Path:
    return (MESSAGES / module).with_suffix(".txt")


@functools.cache
def recorded(module: str) -> dict[str, str]:
    """Return the texts recorded for a test module: a test's name on a line, its text indented below."""
    path = file_of(module)
    texts: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else []:
        if line and not line.startswith(INDENT):
            texts[line] = lines = []
        else:
            lines.append(line.removeprefix(INDENT))
    return {test: "\n".join(text).rstrip("\n") for test, text in texts.items()}


def write(module: str, texts: dict[str, str]) -> None:
    """Write the texts of a test module in the order of its tests' names; without any, remove the file."""
    path = file_of(module)
    if not texts:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = (f"{test}\n{textwrap.indent(texts[test], INDENT)}\n" for test in sorted(texts))
    path.write_text("\n".join(entries), encoding="utf-8")
