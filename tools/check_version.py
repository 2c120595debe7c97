"""Check that a tag, the package, CITATION.cff and the changelog name the same version.

python tools/check_version.py v1.2.3
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# File -> the line that has its version.
VERSIONS = {
    "paramgen/__init__.py": r'^__version__ = "(.*)"$',
    "CITATION.cff": r"^version: (.*)$",
    "CHANGELOG.md": r"^## (\d\S*)",
}


def find_problems(version: str) -> list[str]:
    """Return a line for each file that names another version, or none."""
    problems = []
    for name, pattern in VERSIONS.items():
        found = re.search(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
        if not found or found[1] != version:
            problems.append(f"{name}: must have version {version}, got {found[1] if found else 'none'}")
    return problems


def main() -> int:
    problems = find_problems(sys.argv[1].removeprefix("v"))
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
