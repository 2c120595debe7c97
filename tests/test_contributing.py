"""The recipes of CONTRIBUTING.md name files that exist, and names that these files contain or, in Python, define."""

import re

import pytest
from helpers import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^### (.*)\n((?:(?!#).*\n)*)", TEXT, re.MULTILINE))
FILE = r"(?:configs|docs|paramgen|tests|tools)/[\w./]+"


@pytest.mark.parametrize("title", RECIPES)
def test_the_files_of_a_recipe_exist(title: str) -> None:
    files = re.findall(rf"`({FILE})`", RECIPES[title])
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


# "`pg_value32` and `pg_value64` in `paramgen/sampling/kernels/kernel.h`"
NAMES_IN_FILE = re.findall(rf"((?:`[^`\n]+`(?:,|\s+and|\s+or)\s+)*`[^`\n]+`)\s+in\s+`({FILE}\.\w+)`", TEXT)


def has_name(name: str, file: str) -> bool:
    source = (ROOT / file).read_text(encoding="utf-8")
    if file.endswith(".py") and name.isidentifier():
        return bool(re.search(rf"^\s*(?:(?:def|class) {name}\b|{name}\b[^(=\n]*=)", source, re.MULTILINE))
    return bool(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", source))


@pytest.mark.parametrize(("names", "file"), NAMES_IN_FILE)
def test_a_file_has_the_names_that_a_recipe_says_it_has(names: str, file: str) -> None:
    assert [name for name in re.findall(r"`(.*?)`", names) if not has_name(name, file)] == []


def test_every_kind_of_extension_has_a_recipe_of_numbered_steps() -> None:
    assert set(re.findall(r"\]\(#(adding-[\w-]+)\)", TEXT)) == {title.lower().replace(" ", "-") for title in RECIPES}
    assert len(NAMES_IN_FILE) > 20
    for title, text in RECIPES.items():
        steps = [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
        assert steps == list(range(1, len(steps) + 1)) and len(steps) >= 3, title
