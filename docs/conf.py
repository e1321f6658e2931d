"""How Sphinx builds these pages: `make docs`."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

project = "netguard"
author = "The netguard authors"
copyright = "2026, The netguard authors"  # noqa: A001 - Sphinx's name for it
release = version = importlib.metadata.version("netguard")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "changes", "examples"]
nitpicky = False  # Twisted's and attrs' own pages are not part of this build

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False

man_pages = [
    ("reference/netguard-pop", "netguard-pop", "a POP3 server for Maildirs, under guards", author, 8),
    ("reference/netguard-relay", "netguard-relay", "guards in front of any TCP server", author, 8),
]

html_theme = "furo"
html_title = f"netguard {release}"
html_static_path: list[str] = []

ROOT = Path(__file__).parent.parent
NEWEST = "<!-- towncrier: newest first -->\n"


def changelog() -> str:
    """CHANGELOG.md, with what is not released yet in its place: as `towncrier build` would write it."""
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "Unreleased", "--date", "to come"]
    draft = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S603
    return (ROOT / "CHANGELOG.md").read_text().replace(NEWEST, NEWEST + "\n" + draft)


def _fill_in(_: Any, page: str, source: list[str]) -> None:
    if page == "changelog":
        source[0] = changelog()


def setup(app: Any) -> None:
    """Let Sphinx ask for the changelog when it reads that page."""
    app.connect("source-read", _fill_in)
