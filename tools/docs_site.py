"""Hooks of mkdocs: the navigation from docs/README.md, and pages for files outside docs/ that pages link.

Pages are written for GitHub, with relative links between files of the repository. The site has a page below repository/
for each linked file outside docs/, so it needs no address of the repository.
"""

import posixpath
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS, OUTSIDE = "docs/", "repository/"
INDEX = "README.md"
# `](target#anchor)` of a link or an image. Addresses have a colon.
LINK = re.compile(r"(?<=\]\()(?P<target>[^)#:\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
ENTRY = re.compile(r"^## (?P<section>.*)$|^- \[(?P<title>.*?)\]\((?P<target>[^)]*)\): ", re.MULTILINE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the navigation from the sections and links of docs/README.md."""
    config.nav = [{"Contents": INDEX}]
    for entry in ENTRY.finditer((ROOT / DOCS / INDEX).read_text(encoding="utf-8")):
        if entry["section"]:
            pages: list[dict[str, str]] = []
            config.nav.append({entry["section"]: pages})
        else:
            pages.append({entry["title"]: to_uri(posixpath.normpath(DOCS + entry["target"]))})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ that a page links, directly or by such a page."""
    paths = [DOCS + file.src_uri for file in files.documentation_pages()]
    for path in paths:
        if not path.startswith(DOCS):
            content = render_page(path)
            files.append(File.generated(config, to_uri(path), content=content, inclusion=InclusionLevel.NOT_IN_NAV))
        if path.endswith(".md"):
            links = LINK.finditer((ROOT / path).read_text(encoding="utf-8"))
            linked = dict.fromkeys(resolve(path, link["target"]) for link in links)
            paths += [new for new in linked if new and not new.startswith(DOCS) and new not in paths]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace links to files of the repository by links to their pages."""
    uri = page.file.src_uri
    path = uri.removeprefix(OUTSIDE) if uri.startswith(OUTSIDE) else DOCS + uri

    def replace(link: re.Match[str]) -> str:
        target = resolve(path, link["target"])
        if not target:  # mkdocs warns
            return link[0]
        return posixpath.relpath(to_uri(target), posixpath.dirname(uri)) + (link["anchor"] or "")

    return LINK.sub(replace, markdown) if (ROOT / path).exists() else markdown


def resolve(path: str, target: str) -> str | None:
    """Return the path in the repository of a file that a page links; None if there is none."""
    found = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return found if (ROOT / found).is_file() else None


def to_uri(path: str) -> str:
    """Return the source path of a file's page in the site."""
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return OUTSIDE + (path if path.endswith(".md") else f"{path}.md")


def render_page(path: str) -> str:
    """Return the Markdown of a page for a file outside docs/: of a source, a code block that searches skip."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    language = PurePosixPath(path).suffix.removeprefix(".")
    return f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n```{language}\n{text}\n```\n"
