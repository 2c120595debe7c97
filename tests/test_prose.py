"""English that a machine can check, in code and docs; ruff checks that docstrings start imperatively."""

import re
from collections.abc import Iterator

import pytest
from helpers import ROOT

# A space also matches a line break, with the marker of a comment.
PHRASES = {
    r"anew|once more": "again",
    r"but for (?:an?|the|its|their)": "except",
    r"(?:has|have) not(?! (?:been|yet|to))": "does not have",
    r"(?:is|are|was|were) no(?! (?:faster|longer|more|need|one|slower))": "is not a",
    r"lest": "so that … not",
    r"misfits?": "an error",
    r"of no account": "ignored",
    r"so many": "that number of",
    r"(?:stands?|stood)(?! (?:for|in for)\b)": "is, appears",
    r"tells?|told": "reports, is reported, distinguishes",
    r"(?:what|which) (?:it is|they are) drawn from": "its distribution",
    r"where (?:there (?:is|are)|that is|it has|one is)": "if",
    r"who has (?:one|it|them)": "if you have",
}
OPENING = re.compile(r'^\s*r?"""(?:What|Whether|How|So many|Those|That which)\b', re.MULTILINE)
PATTERNS = {
    re.compile(rf"\b(?:{phrase})\b".replace(" ", r"(?:[ \t]+|\s*\n[\s#*>]*)"), re.IGNORECASE): better
    for phrase, better in PHRASES.items()
} | {OPENING: "a verb, or a noun for a class or module"}

TREES = ("benchmarks", "configs", "docs", "paramgen", "tests", "tools")
SUFFIXES = {".c", ".cu", ".h", ".md", ".py", ".yaml"}
DEFINITION = re.compile(r"^\s*def test_(\w+)", re.MULTILINE)


def files() -> list[str]:
    """Return the paths of all pages and sources, except this one and recorded answers."""
    found = [*ROOT.glob("*.md"), *(path for tree in TREES for path in (ROOT / tree).rglob("*"))]
    names = sorted(path.relative_to(ROOT).as_posix() for path in found if path.suffix in SUFFIXES)
    return [name for name in names if name != "tests/test_prose.py" and not name.startswith("tests/data/")]


def problems(text: str) -> Iterator[str]:
    """Yield each phrase to avoid, with its line and a better one."""
    for pattern, better in PATTERNS.items():
        for match in pattern.finditer(text):
            yield f"{text.count(chr(10), 0, match.start()) + 1}: {match[0].strip()!r}; better: {better}"


def test_code_and_docs_avoid_these_phrases() -> None:
    found = [f"{name}:{problem}" for name in files() for problem in problems((ROOT / name).read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


def test_names_of_tests_avoid_these_phrases() -> None:
    """Apply the same rules to the words of a test's name, as if they were a docstring."""
    found = []
    for name in files():
        for words in DEFINITION.findall((ROOT / name).read_text(encoding="utf-8")):
            text = words.replace("_", " ")
            found += [f"{name}: test_{words}: {problem}" for problem in problems(f'"""{text.capitalize()}"""')]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a spec is no\n    # list", ["1: 'is no'"]),
        ("no longer, is no longer", []),
        ("all but for the last", ["1: 'but for the'"]),
        ("one word stands for another", []),
        ('def f():\n    """Whether it is."""', ['2: \'"""Whether\'']),
        ('"""Return whether it is."""', []),
    ],
)
def test_phrases_are_found_where_they_are(text: str, found: list[str]) -> None:
    assert [problem.partition(";")[0] for problem in problems(text)] == [line.replace("\n", "\\n") for line in found]
