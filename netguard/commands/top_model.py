"""What `netguard top` knows and does: figures and rates of a service, and what each key means. It draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import define, field

SORTS = ("age", "received", "sent", "queued", "silent", "stalled", "session", "peer")
"""By what the connections can be sorted, in the order in which the key goes through them."""
_LONGEST = 40
"""Characters of a search."""

COUNTED = ("accepted", "closed", "refused", "cut", "bytes_in", "bytes_out")
"""The figures that have a rate."""


def totals(status: Mapping[str, Any]) -> dict[str, float]:
    """The figures that only grow; those by guard, together.

    Args:
        status: what the service answered.
    """
    found = {key: status.get(key, 0) for key in COUNTED}
    return {key: sum(value.values()) if isinstance(value, Mapping) else value for key, value in found.items()}


@define
class Model:
    """The state of the view.

    Attributes:
        status: what the service answered last.
        rows: its connections, likewise.
        matching, total: how many were found, of how many.
        rates: by how much each figure grows in a second.
        flows: bytes in a second, in and out, of each session.
        sort: by what the connections are sorted.
        match: what is searched for.
        typing: whether keys are letters of the search.
        paused: whether figures stand still.
        selected: the row that is selected.
        cutting: the session that is cut if the next key says yes.
        message: what there is to say.
        over: whether the view is to be left.
    """

    status: Mapping[str, Any] = field(factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()
    matching: int = 0
    total: int = 0
    rates: Mapping[str, float] = field(factory=dict)
    flows: Mapping[int, tuple[float, float]] = field(factory=dict)
    sort: str = SORTS[0]
    match: str = ""
    typing: bool = False
    paused: bool = False
    selected: int = 0
    cutting: int | None = None
    message: str = ""
    over: bool = False
    _last: tuple[float, dict[str, float], dict[int, tuple[int, int]]] | None = None

    def question(self, most: int) -> tuple[str, ...]:
        """What to ask the service for its connections.

        Args:
            most: how many there is room for.
        """
        words = ("connections", f"sort={self.sort}", f"most={max(1, most)}")
        return (*words, f"match={self.match}") if self.match else words

    def take(self, status: Mapping[str, Any], listed: Mapping[str, Any], now: float) -> None:
        """Take what the service answered, and work out what that is in a second.

        Args:
            status: its figures.
            listed: its connections.
            now: the moment.
        """
        self.status, self.rows = status, listed["connections"]
        self.matching, self.total = listed["matching"], listed["total"]
        self.selected = max(0, min(self.selected, len(self.rows) - 1))
        figures = totals(status)
        passed = {each["session"]: (each["received"], each["sent"]) for each in self.rows}
        if self._last is not None and now > self._last[0]:
            before, figures_before, passed_before = self._last
            seconds = now - before
            self.rates = {key: max(0.0, figures[key] - figures_before[key]) / seconds for key in figures}
            self.flows = {
                session: ((come - passed_before[session][0]) / seconds, (gone - passed_before[session][1]) / seconds)
                for session, (come, gone) in passed.items()
                if session in passed_before
            }
        self._last = now, figures, passed

    # keys

    def press(self, key: str) -> None:
        """A key was pressed.

        Args:
            key: a character, or ``up``, ``down``, ``enter``, ``escape``, ``backspace``.
        """
        if self.typing:
            self._type(key)
        elif self.cutting is not None and key != "y":
            self.cutting, self.message = None, "not cut"
        elif key in KEYS:
            self.message = ""
            KEYS[key][0](self)

    def _type(self, key: str) -> None:
        if key in {"enter", "escape"}:
            self.typing = False
            self.match = self.match if key == "enter" else ""
        elif key == "backspace":
            self.match = self.match[:-1]
        elif len(key) == 1 and key.isascii() and key.isprintable() and key != " ":
            self.match = (self.match + key)[:_LONGEST]

    def next_sort(self) -> None:
        """Sort by the next figure."""
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]

    def begin_search(self) -> None:
        """Search anew."""
        self.typing, self.match = True, ""

    def end_search(self) -> None:
        """Show all again."""
        self.match = ""

    def toggle_pause(self) -> None:
        """Let figures stand still, or go on."""
        self.paused = not self.paused

    def go_down(self) -> None:
        """Select the next row."""
        self.selected = max(0, min(self.selected + 1, len(self.rows) - 1))

    def go_up(self) -> None:
        """Select the row before."""
        self.selected = max(0, self.selected - 1)

    def ask_to_cut(self) -> None:
        """Ask whether the selected connection is to be cut."""
        if self.rows:
            row = self.rows[self.selected]
            self.cutting = row["session"]
            self.message = f"cut session {row['session']} of {row['client.address']}? press y"

    def leave(self) -> None:
        """Leave the view."""
        self.over = True

    def nothing(self) -> None:
        """Change nothing: whoever carries the cutting out looks at ``cutting``."""


KEYS: Mapping[str, tuple[Callable[[Model], None], str]] = {
    "q": (Model.leave, "quit"),
    "s": (Model.next_sort, "sort"),
    "/": (Model.begin_search, "search"),
    "escape": (Model.end_search, "show all"),
    "p": (Model.toggle_pause, "pause"),
    "j": (Model.go_down, "down"),
    "k": (Model.go_up, "up"),
    "down": (Model.go_down, "down"),
    "up": (Model.go_up, "up"),
    "c": (Model.ask_to_cut, "cut"),
    "y": (Model.nothing, "yes"),
}
"""What each key does, and a word for that."""
