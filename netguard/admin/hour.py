"""The last hour as a table: for those who do not see the charts, or want the numbers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from netguard.admin.words import number, size, span, table, tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netguard.admin.history import Sample

ROW = 300
"""Seconds of a row."""

_HEADS = {
    "time": "Until",
    "most": "Connections, at most",
    "accepted": "Accepted",
    "refused": "Refused",
    "cutted": "Cut",
    "lag": "Loop lag, at worst",
    "bytes": "Received and sent",
}


def hour(samples: Iterable[Sample], now: float) -> str:
    """A table, HTML, behind its own title.

    Args:
        samples: of the last hour, the oldest first.
        now: Unix seconds.
    """
    parts: dict[int, list[Sample]] = {}
    for each in samples:
        parts.setdefault(int((now - each.at) // ROW), []).append(each)
    rows = [_row(min(now, now - age * ROW), part) for age, part in sorted(parts.items())]
    inside = (
        table("The last hour, five minutes a row", _HEADS, rows) if rows else tag("p", "Nothing yet.", _class="none")
    )
    return tag("details", tag("summary", "The hour as a table") + inside)


def _row(until: float, part: list[Sample]) -> list[str]:
    return [
        time.strftime("%H:%M", time.localtime(until)),
        number(max(each.connections for each in part)),
        number(sum(each.accepted for each in part)),
        number(sum(sum(each.refused.values()) for each in part)),
        number(sum(sum(each.cut.values()) for each in part)),
        span(max(each.lag for each in part)),
        f"{size(sum(each.bytes_in for each in part))}, {size(sum(each.bytes_out for each in part))}",
    ]
