"""The documentation's site: a strict build, pages for linked files outside docs/, and nothing from other hosts."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from helpers import ROOT

pytestmark = pytest.mark.docs

LOADING = {"audio", "embed", "iframe", "img", "link", "script", "source", "video"}


class Addresses(HTMLParser):
    """The addresses that a page loads, those that it links, and its anchors."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value:
                (self.loaded if tag in LOADING else self.linked).append(value)
            elif name == "id" and value:
                self.anchors.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site strictly, and return its folder."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


def test_every_page_of_the_docs_is_in_the_navigation(site: Path) -> None:
    linked = {
        (site / address).resolve().relative_to(site).as_posix()
        for address in Addresses(site / "index.html").linked
        if not address.startswith(("http", "#"))
    }
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in ROOT.glob("docs/**/*.md")}
    assert pages - {"README.html"} <= linked
    assert {"repository/index.html", "repository/CONTRIBUTING.html"} <= linked


def test_a_linked_file_outside_docs_has_a_page(site: Path) -> None:
    assert "../configs/llama.yaml" in (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert "repository/configs/llama.yaml.html" in Addresses(site / "models.html").linked
    assert "num_key_value_heads" in (site / "repository/configs/llama.yaml.html").read_text(encoding="utf-8")


def test_links_between_pages_lead_somewhere(site: Path) -> None:
    """Check all links, with anchors; mkdocs checks those that are written in Markdown."""
    found = {path: Addresses(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(found) > 40
    for path, addresses in found.items():
        for address in addresses.linked + addresses.loaded:
            if not re.match(r"\w+:", address):
                target, _, anchor = address.partition("#")
                page = (path.parent / target).resolve() if target else path
                assert page.exists(), f"{path.name}: {address}"
                assert not anchor or anchor in found[page].anchors, f"{path.name}: {address}"


def test_pages_and_styles_load_nothing_from_other_hosts(site: Path) -> None:
    for path in site.rglob("*.html"):
        assert [address for address in Addresses(path).loaded if re.match(r"(\w+:)?//", address)] == []
    styles = list(site.rglob("*.css"))
    assert styles
    for path in styles:
        assert not re.search(r"url\([\"']?(https?:)?//|@import", path.read_text(encoding="utf-8")), path
