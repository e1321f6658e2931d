"""``/``: one page that says how the service is, and why nobody need worry, or who should.

It is whole without a script; with one, it draws the last hour and keeps itself fresh.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from netguard.admin import table
from netguard.admin.asked import Answer, Asked
from netguard.admin.health import unready
from netguard.admin.hour import hour
from netguard.admin.words import number, size, span, tag
from netguard.admin.words import table as html_table
from netguard.promises import Kept, kept

if TYPE_CHECKING:
    from netguard.admin.about import About
    from netguard.admin.history import History
    from netguard.admin.table import Row, View
    from netguard.process.vitals import Reading, Vitals

HTML = "text/html; charset=utf-8"

_SECTIONS = {
    "now": "Now",
    "hour": "The last hour",
    "guards": "Guards",
    "connections": "Connections",
    "promises": "Seventeen promises",
}

_HEADS = {
    "session": "Session",
    "peer": "Peer",
    "age": "Age",
    "silent": "Silent",
    "received": "Received",
    "sent": "Sent",
}


_LIVE = ("opening", "open")


class Page:
    """Answers ``/``.

    Args:
        vitals: reads the figures.
        history: has the last hour.
        about: how the service was set up.
        secret: of the form that cuts connections.
        wall: the time of day, in seconds.
    """

    def __init__(
        self, vitals: Vitals, history: History, about: About, secret: str, wall: Callable[[], float] = time.time
    ) -> None:
        self.vitals = vitals
        self.house = vitals.house
        self.history = history
        self._about = about
        self._secret = secret
        self._wall = wall

    async def answer(self, asked: Asked) -> Answer:
        """The page of the moment."""
        view = await table.view(self.house, asked.query)
        live = self.live(self.vitals.read(), view)
        parts = {
            **live,
            "hour": _CHARTS + hour(self.history.since(0)[1], self._wall()),
            "promises": self._promises(),
        }
        sections = "".join(_section(name, title, parts[name]) for name, title in _SECTIONS.items())
        links = "".join(tag("li", tag("a", title, href=f"#{name}")) for name, title in _SECTIONS.items())
        name = escape(self._about.name)
        state = tag("p", live["state"], id="state", role="status")
        header = tag("header", tag("h1", name) + state + tag("nav", tag("ul", links), aria_label="Sections"))
        body = f'<a class="skip" href="#now">Skip to the figures</a>{header}<main>{sections}</main>{_FOOTER}'
        return Answer(f"{_HEAD.format(name=name)}{tag('body', body)}</html>\n".encode(), HTML)

    def _promises(self) -> str:
        about = self._about
        options = {**about.options, **{each.option.flag: each.text for each in self.house.dials}}
        every = kept(options, about.settings, about.surface, about.observed)
        return tag("ol", "".join(map(_promise, every)))

    def _limit(self) -> str:
        """How many connections may live; empty where that has no limit of its own."""
        return next((f", limit {each.text}" for each in self.house.dials if each.option.flag == "max-connections"), "")

    def live(self, reading: Reading, view: View) -> dict[str, str]:
        """The parts that change, as HTML, by the ids of what they stand in."""
        why = unready(self.house)
        word, kind = ("Ready", "good") if why is None else (why.capitalize(), "bad")
        up = span(reading.uptime)
        return {
            "state": tag("strong", escape(word), _class=kind) + f" <span>up {up}</span>",
            "now": tag("dl", "".join(_tile(*each) for each in _tiles(reading, self._limit()))),
            "guards": _guards(reading),
            "connections": self._connections(view),
        }

    def _connections(self, view: View) -> str:
        heads = {kind: _sorter(kind, title, view) for kind, title in _HEADS.items()}
        heads |= {"queued": "Queued", "waits": "Next limit"} | ({"cut": "Cut"} if self._about.may_cut else {})
        rows = [self._row(each, view) for each in view.rows]
        unheard = "".join(tag("p", f"Not all are here: {escape(why)}", _class="missing") for why in view.unheard)
        if not rows:
            return unheard or tag("p", "Nobody is connected.", _class="none")
        about = f"{number(view.total)} connection{'' if view.total == 1 else 's'}"
        return unheard + tag("p", about) + html_table("Connections that live", heads, rows) + _pager(view)

    def _row(self, row: Row, view: View) -> list[str]:
        state = [] if row.state == "open" else [row.state]
        also = tag("small", escape(", ".join([*state, row.about]).removesuffix(", "))) if state or row.about else ""
        waits = "none" if row.waits is None else f"{escape(row.waits[0])} in {span(row.waits[1])}"
        cells = [str(row.session), escape(row.peer) + also, span(row.age), span(row.silent)]
        cells += [size(row.received), size(row.sent), size(row.queued), waits]
        if self._about.may_cut:
            fields = {"session": row.session, "secret": self._secret, "sort": _order(view), "page": view.page}
            hidden = "".join(f'<input type="hidden" name="{key}" value="{value}">' for key, value in fields.items())
            button = tag("button", "Cut", aria_label=f"Cut session {row.session}")
            cells.append(tag("form", hidden + button, method="post", action="/cut") if row.state in _LIVE else "")
        return cells


def _section(name: str, title: str, content: str) -> str:
    head = tag("h2", title, id=f"{name}-title")
    return tag("section", head + tag("div", content, _class="live"), id=name, aria_labelledby=f"{name}-title")


def _tiles(reading: Reading, limit: str) -> list[tuple[str, str, str]]:
    totals, lag = reading.totals, f"worst {span(reading.lag_worst)}"
    tiles = [
        ("Connections", number(reading.connections), f"peak {number(reading.peak)}{limit}"),
        ("Accepted", number(totals["accepted"]), f"{number(totals['closed'])} closed by themselves"),
        ("Refused", number(totals["refused"]), f"{number(totals['sheds'])} times shed load"),
        ("Cut", number(totals["cut"]), "ended by guards or by hand"),
        ("Received", size(totals["bytes_in"]), f"sent {size(totals['bytes_out'])}"),
        ("Loop lag", span(reading.lag_median), lag),
    ]
    if reading.rss is not None:
        files = "" if reading.fds is None else f"{number(reading.fds)} files open"
        tiles.append(("Memory", size(reading.rss), files))
    return tiles


def _tile(title: str, value: str, more: str) -> str:
    return tag("div", tag("dt", title) + tag("dd", value) + tag("dd", more, _class="more"))


def _guards(reading: Reading) -> str:
    would: dict[str, int] = {}
    for name, count in reading.would.items():
        guard = name.partition(".")[2]
        would[guard] = would.get(guard, 0) + count
    columns = {"refused": reading.refused, "cutted": reading.cut} | ({"would": would} if would else {})
    names = sorted({name for counts in columns.values() for name in counts})
    if not names:
        return tag("p", "No guard has had to act.", _class="none")
    titles = {"guard": "Guard", "refused": "Refused", "cutted": "Cut", "would": "Would have"}
    heads = {kind: title for kind, title in titles.items() if kind == "guard" or kind in columns}
    rows = [[escape(each), *(number(counts.get(each, 0)) for counts in columns.values())] for each in names]
    return html_table("What guards have done since the service began", heads, rows)


def _order(view: View) -> str:
    return f"-{view.sort}" if view.down else view.sort


def _sorter(kind: str, title: str, view: View) -> str:
    """A link that sorts by a column; the other way round, when it is sorted by that."""
    mine = kind == view.sort
    down = not view.down if mine else kind not in ("session", "peer")
    mark = f'<span aria-hidden="true">{"▼" if view.down else "▲"}</span>' if mine else ""
    way = f"sorted by this, {'largest' if view.down else 'smallest'} first" if mine else None
    return tag(
        "a", title + mark, href=f"?sort={'-' if down else ''}{kind}#connections", aria_label=way and f"{title}: {way}"
    )


def _pager(view: View) -> str:
    if view.pages == 1:
        return ""
    steps = {"Previous": view.page - 1, "Next": view.page + 1}
    links = {word: f"?sort={_order(view)}&page={page}#connections" for word, page in steps.items()}
    inside = [
        tag("a", word, href=link) if 1 <= steps[word] <= view.pages else tag("span", word, aria_disabled="true")
        for word, link in links.items()
    ]
    inside.insert(1, tag("span", f"Page {view.page} of {view.pages}"))
    return tag("nav", "".join(inside), _class="pager", aria_label="Pages of connections")


def _promise(one: Kept) -> str:
    parts = [tag("span", escape(one.always), _class="always")] if one.always else []
    parts += [tag("code", escape(f"--{name} {value}".rstrip())) for name, value in one.by.items()]
    if one.observed:
        names = ", ".join(f"--{name}" for name in one.observed)
        parts.append(tag("span", f"Only observed: {escape(names)}."))
    elif not one.is_kept:
        way = " or ".join(f"--{name}" for name in one.more)
        parts.append(tag("span", f"Off here; {escape(way)} would turn it on." if way else "Not asked of this service."))
    text = tag("strong", escape(one.promise.title)) + escape(one.promise.text)
    state = tag("span", "kept" if one.is_kept else "off", _class="badge")
    how = tag("p", "".join(parts), _class="how")
    return tag("li", tag("p", text + state) + how, _class="kept" if one.is_kept else "off")


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{name}</title>
<link rel="icon" href="/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script></head>"""

_CHARTS = """<div class="charts" hidden>
<figure data-chart="connections"></figure><figure data-chart="admission"></figure>
<figure data-chart="lag"></figure><figure data-chart="bytes"></figure></div>"""

_FOOTER = """<footer><p>For programs: <a href="/metrics">metrics</a>, <a href="/figures.json">figures</a>,
<a href="/healthz">health</a>, <a href="/readyz">readiness</a>.</p></footer>"""
