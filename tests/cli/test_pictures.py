"""`inspect --plot` and `--report`: what they print, write and refuse."""

import sys
from pathlib import Path

import pytest
from golden import Golden
from helpers import Run, refuse

pytestmark = pytest.mark.slow


@pytest.fixture
def weights(run: Run, tiny: Path, tmp_path: Path) -> Path:
    run("build", tiny.name, "-o", "w.safetensors")
    return tmp_path / "w.safetensors"


def test_both_are_written_at_once(run: Run, weights: Path, tmp_path: Path, golden: Golden) -> None:
    done = run("inspect", weights.name, "--plot", "plot.PNG", "--report", "report.html")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "plot.PNG").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "report.html").read_bytes().startswith(b"<!DOCTYPE html>")
    golden(*(line.rpartition(",")[0] for line in done.stdout.splitlines()))


def test_a_filter_selects(run: Run, weights: Path, tmp_path: Path) -> None:
    done = run("inspect", weights.name, "--filter", "*.bias", "--report", "report.html")
    assert done.stdout.startswith("report.html: 1 tensor, ")
    assert "(of 2 tensors)" in (tmp_path / "report.html").read_text()


def test_an_existing_file_needs_force(run: Run, weights: Path, tmp_path: Path, golden: Golden) -> None:
    report = tmp_path / "report.html"
    report.write_text("mine")
    refused = run("inspect", weights.name, "--report", report.name)
    assert (refused.returncode, refused.stdout, report.read_text()) == (2, "", "mine")
    assert run("inspect", weights.name, "--report", report.name, "--force").returncode == 0
    assert report.read_bytes().startswith(b"<!DOCTYPE html>")
    golden(refused.stderr)


def test_a_file_that_cannot_be_read_leaves_nothing(run: Run, weights: Path, tmp_path: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-1])
    done = run("inspect", weights.name, "--report", "report.html", "--plot", "plot.svg")
    assert done.returncode == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.yaml", weights.name]


@pytest.mark.parametrize(
    "options",
    [
        ["--plot", "plot.pdf"],
        ["--plot", "plot"],
        ["--plot", "-"],
        ["--report", "report.svg"],
        *([f"--{kind}", f"x.{suffix}", other] for kind, suffix in (("plot", "svg"), ("report", "html"))
          for other in ("--spec", "--tree", "--stats", "--hist", "--json")),
    ],
    ids=" ".join,
)  # fmt: skip
def test_options_that_are_refused(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], golden: Golden
) -> None:
    golden(refuse(["inspect", "absent", *options], monkeypatch, capsys))


def test_a_plot_without_matplotlib(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], golden: Golden
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    golden(refuse(["inspect", "absent", "--plot", "x.svg"], monkeypatch, capsys))
