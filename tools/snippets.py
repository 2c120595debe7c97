"""The code blocks of a Markdown page, with their sections and languages.

python tools/snippets.py README.md Tests    print the shell commands of a section
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

PATTERN = re.compile(r"^#+ (?P<section>[^\n]*)$|^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A code block of a page."""

    section: str
    language: str
    text: str
    line: int


def snippets(page: Path) -> list[Snippet]:
    """Return the code blocks of a page in order."""
    found, section = [], ""
    content = page.read_text(encoding="utf-8")
    for match in PATTERN.finditer(content):
        if match["section"]:
            section = match["section"]
        else:
            line = content.count("\n", 0, match.start()) + 1
            found.append(Snippet(section, match["language"], match["text"], line))
    return found


def main() -> None:
    page, section = sys.argv[1:]
    commands = [
        snippet.text for snippet in snippets(Path(page)) if (snippet.section, snippet.language) == (section, "sh")
    ]
    if not commands:
        sys.exit(f"{page}: the section has no shell commands, got {section!r}")
    print("".join(commands), end="")


if __name__ == "__main__":
    main()
