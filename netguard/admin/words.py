"""Figures as people read them, and text as it may stand in a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_MILLI = 1e-3
_TEN = 10


def number(value: float) -> str:
    """A whole number, with thin spaces between thousands."""
    return f"{int(value):,}".replace(",", "\u202f")


def size(value: float) -> str:
    """So many bytes."""
    for unit in _UNITS[:-1]:
        if abs(value) < _STEP:
            return f"{value:.1f}\u00a0{unit}" if unit != "B" and value < _TEN else f"{value:.0f}\u00a0{unit}"
        value /= _STEP
    return f"{value:.1f}\u00a0{_UNITS[-1]}"


def span(seconds: float) -> str:
    """So much time, in its two largest units; parts of a second where there is not more."""
    if seconds < 1:
        return f"{seconds / _MILLI:.0f}\u00a0ms"
    left, parts = round(seconds), []
    for length, unit in _SPANS:
        if left >= length:
            parts.append(f"{left // length}\u00a0{unit}")
            left %= length
    if len(parts) < 2 and (left or not parts):  # noqa: PLR2004 - two units
        parts.append(f"{left}\u00a0s")
    return " ".join(parts[:2])


def tag(name: str, content: str = "", /, **attributes: object) -> str:
    """An element of HTML.

    Args:
        name: what it is.
        content: HTML.
        attributes: by their names, with ``_`` for ``-`` and before a word of Python's; escaped here. One that is None
            or False is not there, one that is True has no value.
    """
    given = "".join(_attribute(name.strip("_").replace("_", "-"), value) for name, value in attributes.items())
    return f"<{name}{given}>{content}</{name}>"


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'


def table(caption: str, heads: Mapping[str, str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names its rows.

    Args:
        caption: what it is, for those who do not see where it stands.
        heads: the columns, HTML, by the class of their cells.
        rows: HTML, each as long as the heads.
    """
    # The roles stand there in words since a browser forgets them where a style sheet lays a table out as cards.
    head = "".join(tag("th", text, scope="col", role="columnheader", _class=kind) for kind, text in heads.items())
    lines = [
        "".join(_cell(at, kind, cell) for at, (kind, cell) in enumerate(zip(heads, row, strict=True))) for row in rows
    ]
    body = tag("tbody", "".join(tag("tr", each, role="row") for each in lines), role="rowgroup")
    inside = tag("caption", escape(caption)) + tag("thead", tag("tr", head, role="row"), role="rowgroup") + body
    return tag(
        "div", tag("table", inside, role="table"), _class="scrolls", role="region", tabindex=0, aria_label=caption
    )


def _cell(at: int, kind: str, content: str) -> str:
    if at == 0:
        return tag("th", content, scope="row", role="rowheader", _class=kind)
    return tag("td", content, role="cell", _class=kind)
