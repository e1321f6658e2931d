"""What a service answered, for people: a mapping as lines, a list of mappings as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

_STEPS = ("", "k", "M", "G", "T")


def amount(value: float) -> str:
    """Bytes, in at most five characters: ``512``, ``48.2k``, ``1.5G``."""
    figure = float(value)
    step = 0
    while figure >= 999.5 and step < len(_STEPS) - 1:  # noqa: PLR2004 - what would be shown as 1000
        figure /= 1000
        step += 1
    text = f"{figure:.0f}" if not step or figure >= 99.95 else f"{figure:.1f}"  # noqa: PLR2004 - three digits
    return text + _STEPS[step]


def span(seconds: float) -> str:
    """Seconds, in at most seven characters: ``250ms``, ``9.5s``, ``12m30s``, ``3h05m``, ``17d04h``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:  # noqa: PLR2004 - a day
        return f"{hours}h{minutes:02}m"
    return f"{hours // 24}d{hours % 24:02}h"


_UNITS: Mapping[str, Callable[[float], str]] = {
    **dict.fromkeys(("uptime", "age", "silent", "stalled", "left", "lag_median", "lag_worst"), span),
    **dict.fromkeys(("received", "sent", "queued", "bytes_in", "bytes_out", "rss"), amount),
}
_SHORT = {"client.address": "client", "client.port": "port", "client.name": "name", "client.name.verdict": "verdict"}


def cell(key: str, value: Any) -> str:
    """One value, short.

    Args:
        key: what it is; figures that are seconds or bytes are known by their name.
        value: what was answered.
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _UNITS[key](value) if key in _UNITS else f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list):
        return ", ".join(cell(key, each) for each in value) or "-"
    if isinstance(value, Mapping):
        return " ".join(_left(value) if name == "left" else cell(name, each) for name, each in value.items())
    return str(value)


def _left(wait: Mapping[str, Any]) -> str:
    """What is left until something that a guard waits for: of marks, bytes."""
    left = wait["left"]
    return "-" if left is None else (amount if wait.get("for") in {"received", "sent", "written"} else span)(left)


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """An answer, line by line.

    Args:
        answer: as it came.
    """
    plain = {key: value for key, value in answer.items() if key != "ok" and not _is_table(value)}
    flat = {
        name: text
        for key, value in plain.items()
        for name, text in (
            ((f"{key}.{each}", cell(each, one)) for each, one in value.items())
            if isinstance(value, Mapping)
            else ((key, cell(key, value)),)
        )
    }
    width = max(map(len, flat), default=0)
    yield from (f"{key:{width}}  {text}" for key, text in flat.items())
    for key, value in answer.items():
        if _is_table(value):
            yield from table(value) if value else (f"no {key}",)


def _is_table(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, Mapping) for each in value)


def table(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    """Rows with a head; the last column is as wide as it is.

    Args:
        rows: at least one.
    """
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_SHORT.get(key, key) for key in keys]]
    cells += [[cell(key, row.get(key)) for key in keys] for row in rows]
    widths = [max(len(row[place]) for row in cells) for place in range(len(keys))]
    for row in cells:
        yield "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
