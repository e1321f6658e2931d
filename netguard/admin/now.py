"""``/figures.json``: what the status page draws, in one answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from netguard.admin import table
from netguard.admin.asked import Answer, Asked
from netguard.admin.health import unready

if TYPE_CHECKING:
    from netguard.admin.page import Page

_LONGEST = 9
"""Digits of the number of a sample: beyond a hundred years of them."""


class Now:
    """Answers ``/figures.json``.

    Args:
        page: the page that asks.
    """

    def __init__(self, page: Page) -> None:
        self._page = page

    async def answer(self, asked: Asked) -> Answer:
        """The figures of the moment, a page of connections, and the samples that are new to whoever asks.

        ``since`` is what ``next`` was in the last answer; ``sort`` and ``page`` are as on the page itself. With
        ``live``, the parts of the page that change come along as HTML, so that there is one place that writes it.
        """
        known, shown = asked.query.get("since", "0"), self._page
        since = int(known) if known.isdecimal() and len(known) <= _LONGEST else 0
        count, samples = shown.history.since(since)
        view = await table.view(shown.house, asked.query)
        reading = shown.vitals.read()
        body: dict[str, Any] = {
            "unready": unready(shown.house),
            "next": count,
            "samples": [each.row for each in samples],
        }
        if "live" in asked.query:
            body["live"] = shown.live(reading, view)
        else:
            body |= {"figures": attrs.asdict(reading), "connections": attrs.asdict(view)}
        return Answer(json.dumps(body, separators=(",", ":")).encode(), "application/json")
