"""Progress on stderr: a bar on terminals of all kinds, lines elsewhere, a closing line, nothing for short work."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import on_terminal

import paramgen
from paramgen import engine
from paramgen.cli.progress import Bar, Counter, Lines, fit_text
from paramgen.progress import Progress, as_progress
from paramgen.units import human_duration

# A terminal's control sequences.
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SPEC = "operations: [{name: x, type: custom, parameters: {w: {shape: [20, 1000000], initializer: gaussian}}}]\n"
# Progress appears at once here: a build that lasts a second on any machine would write gigabytes.
EAGER = """\
from paramgen.cli import progress
progress.BAR_DELAY_SECONDS = progress.LINE_DELAY_SECONDS = progress.LINE_SECONDS = 0
progress.TICK_SECONDS = 0.001
from paramgen.__main__ import main
main()
"""
COMMAND: list[str | Path] = [sys.executable, "-c", EAGER]


@pytest.fixture
def large(tmp_path: Path) -> Path:
    (tmp_path / "large.yaml").write_text(SPEC)
    return tmp_path


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without what decides on the look of a terminal."""
    names = {"COLUMNS", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}
    return {**{name: value for name, value in os.environ.items() if name not in names}, "TERM": "xterm", **variables}


def show(folder: Path, *arguments: str, columns: int = 80, **variables: str) -> str:
    """Return what a command shows on a terminal of this width."""
    command = [*COMMAND, *arguments]
    keywords: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    return on_terminal("stderr", command, columns=columns, env=environment(**variables), **keywords)


def frames(shown: str) -> list[str]:
    """Return the states of the bar, without control sequences."""
    return [CONTROL.sub("", line) for line in re.split(r"[\r\n]+", shown)]


@pytest.mark.parametrize(("columns", "has_bar"), [(20, False), (59, False), (60, True), (80, True), (200, True)])
def test_a_bar_fits_the_terminal(columns: int, has_bar: bool, large: Path) -> None:
    shown = show(large, "build", "large.yaml", columns=columns)
    lines = [line for line in frames(shown) if "done:" not in line]
    assert max(map(len, lines)) <= columns
    assert any("drawing" in line and "%" in line for line in lines)
    assert ("━" in shown) is has_bar
    if columns not in (59, 60):  # here it depends on the numbers
        assert any("x.w" in line and "B/s" in line for line in lines) is (columns >= 80)


def test_a_bar_gives_way_to_a_closing_line(large: Path) -> None:
    shown = show(large, "build", "large.yaml")
    before, _, after = shown.rpartition("\x1b[2K")  # erases the bar's line
    assert "drawing" in before
    assert re.fullmatch(r"done: 80 MB in [\d.]+ s, [\d.]+ [kMG]B/s\r\n", after)
    assert "\x1b[?25l" not in shown  # the cursor is never hidden, so that no way to end leaves it so


def test_colours_are_left_out_on_request(large: Path) -> None:
    colour = re.compile(r"\x1b\[[\d;]*[349]\d")
    assert colour.search(show(large, "build", "large.yaml"))
    plain = show(large, "build", "large.yaml", NO_COLOR="1")
    assert "drawing" in plain and not colour.search(plain)


def test_a_dumb_terminal_gets_lines(large: Path) -> None:
    shown = show(large, "build", "large.yaml", TERM="dumb")
    assert "\x1b" not in shown
    assert re.search(r"^done: 80 MB in ", shown, re.MULTILINE)


def test_a_terminal_without_unicode_gets_ascii(large: Path) -> None:
    (large / "large.yaml").write_text(SPEC.replace("name: x", "name: 層"))
    shown = show(large, "build", "large.yaml", columns=120, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert shown.isascii()
    assert "\\u5c64.w" in shown and "drawing" in shown


@pytest.mark.parametrize(
    ("arguments", "bar", "closing"), [([], True, True), (["--json"], True, False), (["--quiet"], False, False)]
)
def test_options_choose_the_display(arguments: list[str], bar: bool, closing: bool, large: Path) -> None:
    shown = show(large, "build", "large.yaml", *arguments)
    assert ("drawing" in shown, "done:" in shown) == (bar, closing)
    command = [*COMMAND, "build", "large.yaml", *arguments]
    done = subprocess.run(command, cwd=large, capture_output=True, text=True, check=True)
    assert ("drawing" in done.stderr, "done:" in done.stderr) == (closing, closing)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_erases_the_bar(number: int, status: int, large: Path) -> None:
    (large / "large.yaml").write_text(SPEC.replace("20,", "2000,"))
    keywords: dict[str, Any] = {"cwd": large, "stdin": subprocess.DEVNULL, "env": environment(), "status": status}
    shown = on_terminal("stderr", [*COMMAND, "build", "large.yaml"], interrupt=("drawing", number), **keywords)
    assert shown.rpartition("\x1b[2K")[2] == ""
    assert "done:" not in shown
    assert os.listdir(large) == ["large.yaml"]


def test_short_work_shows_nothing(large: Path) -> None:
    """Wait longer than for lines that appear at once, but less than a second."""
    counter = Counter(iter([0.0, *[0.9] * 9]).__next__)
    view = Bar(counter)
    view.update()
    view.close()
    assert not view.was_shown


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_lines_appear_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    counter = Counter(clock)
    lines = Lines(counter)
    counter.phase("planning")
    shown: dict[float, str] = {}
    for second in range(101):
        clock.now = 100.0 + second
        if second == 10:
            counter.phase("drawing", 400_000_000_000)
        if second > 10:
            counter(2_000_000_000)
        counter.item(f"layers.{second}.w\n")
        lines.update()
        if text := capsys.readouterr().err:
            shown[second] = text
    lines.close()
    assert shown == {
        5: "planning: 5 s, layers.5.w\\n\n",
        35: "drawing: 12%, 2 min 55 s left, 2 GB/s, 50 GB of 400 GB, layers.35.w\\n\n",
        65: "drawing: 27%, 2 min 25 s left, 2 GB/s, 110 GB of 400 GB, layers.65.w\\n\n",
        95: "drawing: 42%, 1 min 55 s left, 2 GB/s, 170 GB of 400 GB, layers.95.w\\n\n",
    }
    assert counter.summarize() == "180 GB in 1 min 40 s, 1.8 GB/s"


def test_a_renamed_phase_keeps_its_count() -> None:
    clock = Clock()
    counter = Counter(clock)
    counter.phase("drawing", 100)
    clock.now += 10
    counter(50)
    counter.phase("syncing")
    assert counter.describe() == ["50%", "10 s left", "5 B/s", "50 B of 100 B"]
    counter(50)
    assert counter.describe() == ["100%", "100 B"]
    counter.phase("checking", 0)
    assert counter.describe() == ["100%", "0 B"]
    assert counter.summarize() == "100 B in 10 s, 10 B/s"


@pytest.mark.parametrize("width", range(10, 90, 7))
def test_the_text_fits_any_width(width: int) -> None:
    from rich.cells import cell_len

    clock = Clock()
    counter = Counter(clock)
    counter.phase("comparing", 10**12)
    clock.now += 1000
    counter(10**11)
    counter.item("層" * 100)
    text = fit_text(counter, width, "utf-8")
    assert cell_len(text) <= width
    assert text.startswith("comparing")
    assert ("2 h 30 min left" in text) is (width >= 29)


def test_durations() -> None:
    seconds = (0.04, 4.21, 9.96, 59.4, 59.6, 3599, 3600, 86_399, 90_000)
    expected = "0.04 s, 4.2 s, 10 s, 59 s, 1 min 0 s, 59 min 59 s, 1 h 0 min, 23 h 59 min, 1 d 1 h"
    assert ", ".join(map(human_duration, seconds)) == expected


class Recorder(Progress):
    """It records what is reported: phases with their totals and the bytes that they counted, and items."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int | None]] = []
        self.counts: list[int] = []
        self.items: set[str] = set()

    def __call__(self, count: int) -> None:
        self.counts[-1] += count

    def phase(self, name: str, total: int | None = None) -> None:
        self.phases.append((name, total))
        if total is not None or not self.counts:
            self.counts.append(0)

    def item(self, name: str) -> None:
        self.items.add(name)


def test_each_command_counts_what_it_announced(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare the total of each phase with the bytes that it counted."""
    monkeypatch.chdir(large)
    nbytes = 80_000_000
    spec = paramgen.load_spec("large.yaml")
    hashes: dict[str, Any] = {"manifest": "manifest"}
    calls = {
        "build": lambda report: paramgen.build(spec, "a", progress=report, **hashes),
        "digest": lambda report: paramgen.digest(spec, progress=report),
        "verify": lambda report: paramgen.verify("a", progress=report),
        "verify by manifest": lambda report: paramgen.verify("a", progress=report, **hashes),
        "check": lambda report: paramgen.check("a", progress=report),
        "diff": lambda report: paramgen.diff("a", spec, progress=report),
        "import": lambda report: paramgen.import_file("a", fit=True, progress=report),
    }
    totals = {}
    for name, call in calls.items():
        report = Recorder()
        call(report)
        announced = [total for _, total in report.phases if total is not None]
        assert sum(announced) == sum(report.counts), name
        assert report.items & {"x.w", "a"}, name
        totals[name] = announced[-1]
    header = os.path.getsize("a") - nbytes
    assert totals == {**dict.fromkeys(calls, nbytes), "verify by manifest": nbytes + header, "diff": 2 * nbytes}


def test_phases_of_a_folder(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt a build, and continue it: finished shards are hashed, and drawn again on request."""
    (large / "large.yaml").write_text(SPEC.replace("custom, parameters", "custom, repeat: 4, parameters"))
    monkeypatch.chdir(large)
    options: dict[str, Any] = {"max_shard_size": 80_000_000}

    class Interrupt(Recorder):
        def __call__(self, count: int) -> None:
            super().__call__(count)
            if sum(self.counts) > 300_000_000:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        paramgen.build("large.yaml", "model/", progress=Interrupt(), **options)
    report = Recorder()
    paramgen.build("large.yaml", "model/", progress=report, resume_verify=True, **options)
    finished = report.counts[0]
    assert finished % 80_000_000 == 0 and finished > 0
    assert report.phases[:3] == [("hashing", finished), ("checking", finished), ("drawing", 320_000_000 - finished)]
    assert report.phases[3:] == [("syncing", None)]
    assert report.counts == [finished, finished, 320_000_000 - finished]


def test_a_function_of_bytes_is_enough(tmp_path: Path) -> None:
    counts: list[int] = []
    spec = paramgen.load_spec({"operations": [{"name": "a", "type": "prelu"}]})
    engine.build(spec.plan, str(tmp_path / "a"), progress=counts.append)
    assert sum(counts) == spec.plan.total_bytes
    assert as_progress(report := Counter()) is report
