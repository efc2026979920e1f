"""A hook of mkdocs.yml: pages outside `docs/` become part of the site, and links lead there as they do on GitHub.

Pages link to each other by their places in the repository. On the site `docs/` is the root, so each such link is
translated; one to a file that the site does not have keeps only its text, since the repository has no public address.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PLACES = {
    "README.md": "index.md",
    "client/README.md": "client.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/throughput.png": "throughput.png",
    "benchmarks/latency.png": "latency.png",
    "examples/digits/README.md": "digits.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
"""Where the site has a file that is outside `docs/`."""

_SOURCES = {place: source for source, place in PLACES.items()}
_LINK = re.compile(r"(?P<bang>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)#:]+)(?P<anchor>#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files outside `docs/`."""
    for source, place in PLACES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Translates the links of a page."""
    place = page.file.src_uri
    folder = posixpath.dirname(_SOURCES.get(place, f"docs/{place}"))

    def translate(link: re.Match[str]) -> str:
        source = posixpath.normpath(posixpath.join(folder, link["target"]))
        target = PLACES.get(source) or source.removeprefix("docs/")
        if not files.get_file_from_path(target):
            # A page that is missing in `docs/` is left for --strict to find.
            return link[0] if source.startswith("docs/") or not (ROOT / source).exists() else link["text"]
        relative = posixpath.relpath(target, posixpath.dirname(place) or ".")
        return f"{link['bang']}[{link['text']}]({relative}{link['anchor'] or ''})"

    return _LINK.sub(translate, markdown)
