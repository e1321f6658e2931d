"""How Sphinx builds these pages: `make docs`."""

from __future__ import annotations

import importlib.metadata

project = "netguard"
author = "The netguard authors"
copyright = "2026, The netguard authors"  # noqa: A001 - Sphinx's name for it
release = version = importlib.metadata.version("netguard")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "changes"]
nitpicky = False  # Twisted's and attrs' own pages are not part of this build

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"netguard {release}"
html_static_path: list[str] = []
