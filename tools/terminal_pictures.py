"""The README's picture: a session in a terminal, with the tool's real output."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from html import escape
from pathlib import Path

from pages import ROOT
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text
from snippets import snippets

PICTURE = "docs/pictures/session.svg"
COMMANDS = (
    "paramgen plan model.yaml",
    "paramgen inspect model.safetensors --hist --filter '*weight*'",
)
COLUMNS = 100
CHARACTER, LINE, PADDING, FONT = 7.25, 17, 14, 12  # in pixels; a wider or narrower font is fitted to them
BACKGROUND, FOREGROUND, PROMPT = "#1c1e26", "#d5d8e0", "#7fb069"


def render_session() -> str:
    """Return the SVG of the commands and their output, for the README's first spec."""
    spec = next(snippet.text for snippet in snippets(ROOT / "README.md") if snippet.language == "yaml")
    lines: list[Text] = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "model.yaml").write_text(spec, encoding="utf-8")
        run("paramgen build model.yaml -o model.safetensors --quiet", folder)
        for command in COMMANDS:
            lines += [Text.assemble(("$ ", Style(color=PROMPT)), (command, Style(bold=True)))]
            lines += [Text.from_ansi(line) for line in run(command, folder).splitlines()]
            lines += [Text()]
    return draw_terminal(lines[:-1])


def run(command: str, folder: str) -> str:
    """Return what a command writes to a terminal."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONUTF8": "1"}
    with subprocess.Popen(["sh", "-c", command], cwd=folder, stdout=end, env=environment) as process:
        os.close(end)
        written = b"".join(read_all(terminal))
        os.close(terminal)
    if process.returncode:
        raise RuntimeError(f"{command}: exit status {process.returncode}")
    return written.decode().replace("\r\n", "\n")


def read_all(terminal: int) -> Iterator[bytes]:
    """Yield what arrives until the other end is closed, which Linux reports as an error."""
    try:
        while data := os.read(terminal, 65536):
            yield data
    except OSError:
        return


def draw_terminal(lines: list[Text]) -> str:
    """Return the SVG of lines of styled text."""
    width = round(max(line.cell_len for line in lines) * CHARACTER + 2 * PADDING)
    height = len(lines) * LINE + 2 * PADDING
    console = Console(color_system="truecolor", force_terminal=True)
    texts = "".join(
        draw_text(text, column, row, style)
        for row, line in enumerate(lines)
        for column, text, style in split_words(line, console)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="{FONT}">\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>\n{texts}</svg>\n'
    )


def split_words(line: Text, console: Console) -> Iterator[tuple[int, str, Style]]:
    """Yield the column, the text and the style of each part of a line that has one style and no wide gap."""
    column = 0
    for segment in line.render(console):
        for found in re.finditer(r"\S+(?: \S+)*", segment.text):
            yield column + found.start(), found[0], segment.style or Style()
        column += len(segment.text)


def draw_text(text: str, column: int, row: int, style: Style) -> str:
    x, y = PADDING + column * CHARACTER, PADDING + row * LINE + FONT
    colour = style.color.get_truecolor(MONOKAI).hex if style.color and not style.color.is_default else FOREGROUND
    marks = (' font-weight="bold"' if style.bold else "") + (' fill-opacity="0.6"' if style.dim else "")
    size = f'textLength="{len(text) * CHARACTER:g}" lengthAdjust="spacingAndGlyphs"'
    return f'<text x="{x:g}" y="{y}" fill="{colour}"{marks} {size}>{escape(text)}</text>\n'
