"""Write the files made from the code: the schema, C's tables, and parts of pages.

python tools/generate.py            write them
python tools/generate.py --check    exit with status 1 if one is not up to date

A page has text between marks replaced. The rest is written by hand.
"""

import json
import sys
from collections.abc import Callable
from functools import partial

from import_pages import render_imports
from initializer_pages import PICTURES, render_initializers, render_picture
from kernel_sources import render_coefficients, render_enums, render_polynomials
from model_pages import render_models
from operation_pages import render_layouts, render_operations, render_shared_fields
from pages import ROOT, replace_parts
from reference_pages import render_classes, render_commands, render_errors, render_functions
from terminal_pictures import PICTURE, render_session

from paramgen.catalog.initializers import INITIALIZERS
from paramgen.language.schema import json_schema


def render_schema() -> str:
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


# Whole files.
FILES: dict[str, Callable[[], str]] = {
    "paramgen/sampling/kernels/polynomials.h": render_polynomials,
    "paramgen/sampling/kernels/tables.h": render_enums,
    "schemas/paramgen.schema.json": render_schema,
    PICTURE: render_session,
    **{f"{PICTURES}/{model.names()[0]}.svg": partial(render_picture, model) for model in INITIALIZERS},
}
# Parts of pages, by the words of their marks.
PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "docs/command-line.md": {"commands": render_commands},
    "docs/initializers.md": {"initializers": render_initializers},
    "docs/layout-tables.md": {"layouts": render_layouts},
    "docs/models.md": {"models": render_models, "imports": render_imports},
    "docs/operations.md": {"shared fields": render_shared_fields, "operations": render_operations},
    "docs/python.md": {"functions": render_functions, "classes": render_classes, "errors": render_errors},
    "docs/stream.md": {"coefficients": render_coefficients},
}


def main() -> int:
    is_check = "--check" in sys.argv
    texts = {name: render() for name, render in FILES.items()}
    for name, parts in PAGES.items():
        page = (ROOT / name).read_text(encoding="utf-8")
        texts[name] = replace_parts(page, {part: render() for part, render in parts.items()})
    stale = [
        name
        for name, text in texts.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != text
    ]
    if not is_check:
        for name in stale:
            (ROOT / name).write_text(texts[name], encoding="utf-8")
    if stale:
        print(f"{'not up to date' if is_check else 'written'}: {', '.join(stale)}")
    return 1 if stale and is_check else 0


if __name__ == "__main__":
    sys.exit(main())
