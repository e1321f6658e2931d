"""How `netguard top` looks: one screen of text, which says everything without colour, too. Needs rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import frozen
from rich.console import Group
from rich.text import Text

from netguard.commands.shown import amount, span
from netguard.commands.top_model import KEYS, Model

HEAD = 6
"""Lines above the connections, their head included."""
FOOT = 2
"""Lines below them."""
_DEADLINES = ("age", "time", "silence", "stall")
_SHOWN = ("q", "s", "/", "p", "j", "k", "c")


@frozen
class Column:
    """One column of the connections.

    Args:
        title: what stands above it.
        width: characters.
        text: the text of a row.
        sort: the figure by which the connections are sorted when this column is marked.
        left: whether the text begins at the left, as words do.
    """

    title: str
    width: int
    text: Callable[[Model, Mapping[str, Any]], str]
    sort: str = ""
    left: bool = False


def _next(row: Mapping[str, Any]) -> str:
    """The deadline that comes first."""
    seconds = [
        each for each in row["waits"] if each["left"] is not None and each["for"] in ("age", "time", "silence", "stall")
    ]
    first = min(seconds, key=lambda each: float(each["left"]), default=None)
    return "-" if first is None else f"{first['guard']} {span(max(0.0, first['left']))}"


def _flow(way: int) -> Callable[[Model, Mapping[str, Any]], str]:
    def text(model: Model, row: Mapping[str, Any]) -> str:
        flow = model.flows.get(row["session"])
        return "-" if flow is None else amount(flow[way])

    return text


COLUMNS = (
    Column("session", 9, lambda _, row: str(row["session"]), "session"),
    Column("client", 18, lambda _, row: str(row["client.address"]), "peer", left=True),
    Column("age", 7, lambda _, row: span(row["age"]), "age"),
    Column("in/s", 6, _flow(0)),
    Column("out/s", 6, _flow(1)),
    Column("in", 6, lambda _, row: amount(row["received"]), "received"),
    Column("out", 6, lambda _, row: amount(row["sent"]), "sent"),
    Column("queued", 7, lambda _, row: amount(row["queued"]), "queued"),
    Column("silent", 7, lambda _, row: span(row["silent"]), "silent"),
    Column("stalled", 8, lambda _, row: span(row["stalled"]) if row["stalled"] else "-", "stalled"),
    Column("state", 7, lambda _, row: "settled" if row["settled"] else str(row["state"]), left=True),
    Column("next deadline", 30, lambda _, row: _next(row), left=True),
)
"""In the order in which they are dropped from the right when the screen is narrow."""


def screen(model: Model, width: int, height: int) -> Group:
    """The whole screen.

    Args:
        model: what to show.
        width: columns of the terminal.
        height: its lines.
    """
    columns = [each for at, each in enumerate(COLUMNS) if sum(one.width + 1 for one in COLUMNS[: at + 1]) <= width + 1]
    room = rows_of(height)
    first = max(0, min(model.selected - room + 1, len(model.rows) - room))
    lines = [*_figures(model), _head(model, columns)]
    for at, row in list(enumerate(model.rows))[first : first + room]:
        lines.append(_line(model, columns, row, selected=at == model.selected))
    lines += [Text()] * (HEAD + room - len(lines))
    found = f"{model.matching} of {model.total} match {model.match}" if model.match else ""
    lines += [Text(model.message or found, "bold"), Text(_keys(model), "reverse")]
    for each in lines:
        each.truncate(width, overflow="ellipsis")
        each.no_wrap = True
    return Group(*lines)


def rows_of(height: int) -> int:
    """How many connections there is room for.

    Args:
        height: lines of the terminal.
    """
    return max(1, height - HEAD - FOOT)


def _figures(model: Model) -> Iterator[Text]:
    status, rates = model.status, model.rates
    state = "DRAINING" if status.get("draining") else "PAUSED" if model.paused else ""
    up = span(status.get("uptime", 0.0))
    yield Text(
        f"netguard top   pid {status.get('pid', '-')}   up {up}   heartbeat {status.get('heartbeat')}   {state}", "bold"
    )
    yield Text(
        f"connections {status.get('connections', 0)} (peak {status.get('peak', 0)})   "
        f"accepted {_rate(rates, 'accepted')}   closed {_rate(rates, 'closed')}   "
        f"in {amount(rates.get('bytes_in', 0))}/s   out {amount(rates.get('bytes_out', 0))}/s"
    )
    worst = status.get("lag_worst", 0.0)
    yield Text(
        f"lag {span(status.get('lag_median', 0.0))}, worst {span(worst)}   memory {_amount(status.get('rss'))}   "
        f"files {status.get('fds') or 0:.0f}   sheds {status.get('sheds', 0)}",
        "bold" if worst > 0.25 else "",  # noqa: PLR2004 - where the defaults begin to shed
    )
    for word in ("refused", "cut"):
        guards = sorted(status.get(word, {}).items(), key=lambda each: -each[1])
        parts = ", ".join(f"{guard} {count}" for guard, count in guards)
        yield Text(f"{word:7} {_rate(rates, word)}   {parts}", "yellow" if rates.get(word) else "")


def _amount(value: float | None) -> str:
    return "-" if value is None else amount(value)


def _rate(rates: Mapping[str, float], key: str) -> str:
    return f"{rates.get(key, 0.0):.1f}/s"


def _head(model: Model, columns: list[Column]) -> Text:
    titles = [_fit(f"{each.title}*" if each.sort == model.sort else each.title, each) for each in columns]
    return Text(" ".join(titles), "reverse")


def _line(model: Model, columns: list[Column], row: Mapping[str, Any], *, selected: bool) -> Text:
    cells = [_fit(each.text(model, row), each) for each in columns]
    text = " ".join(cells)
    return Text(f">{text[1:]}" if selected else text, "bold" if selected else "")


def _fit(text: str, column: Column) -> str:
    """Exactly as wide as the column; what is too long loses its middle, since both ends of an address matter."""
    width = column.width
    if len(text) > width:
        text = f"{text[: width - width // 2 - 1]}~{text[len(text) - width // 2 :]}"
    return f"{text:<{width}}" if column.left else f"{text:>{width}}"


def _keys(model: Model) -> str:
    if model.typing:
        return f"search: {model.match}_   (enter keeps it, escape ends it)"
    keys = "  ".join(f"{key} {KEYS[key][1]}" for key in _SHOWN)
    return f"{keys}   sorted by {model.sort}"
