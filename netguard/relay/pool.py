"""The backends, and which of them gets the next connection: decisions only, without I/O or time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from typing import Any

from attrs import define, field

RISE, FALL = 2, 3
"""Checks in a row after which a backend counts as up again, or as down; HAProxy's defaults."""


@define(eq=False)
class Backend:
    """One server behind the relay.

    Args:
        name: what it is called in logs.
        endpoint: the way to it, an ``IStreamClientEndpoint``.

    Attributes:
        live: connections that it has, those being made included.
        up: whether it gets new ones.
        against: how many checks in a row have spoken against ``up``.
    """

    name: str
    endpoint: Any
    live: int = field(default=0, init=False)
    up: bool = field(default=True, init=False)
    against: int = field(default=0, init=False)


def _in_turn(_: Backend) -> int:
    return 0


def _by_connections(backend: Backend) -> int:
    return backend.live


BALANCES: Mapping[str, Callable[[Backend], int]] = {"round-robin": _in_turn, "least-connections": _by_connections}
"""How much speaks against choosing a backend, by the name of the rule; among equals, they take turns."""


@define(eq=False)
class Pool:
    """The backends of a relay.

    Args:
        backends: at least one.
        balance: one of :data:`BALANCES`.
        rise: checks in a row that bring a backend up again.
        fall: checks in a row that take it down.
    """

    backends: Sequence[Backend]
    balance: str = "round-robin"
    rise: int = RISE
    fall: int = FALL
    _next: int = field(default=0, init=False)

    def choose(self, tried: Collection[Backend] = ()) -> Backend | None:
        """The backend for the next connection, or for the next try of one.

        Args:
            tried: those that have failed this connection already.

        Returns:
            None when no other one is up.
        """
        cost, turn, count = BALANCES[self.balance], self._next, len(self.backends)
        chosen, least = None, inf
        for _ in range(count):
            backend = self.backends[turn]
            turn = (turn + 1) % count
            if backend.up and backend not in tried and (against := cost(backend)) < least:  # the first of equals
                chosen, least, self._next = backend, against, turn
        return chosen

    def judge(self, backend: Backend, *, well: bool) -> bool:
        """Take the result of a check.

        Args:
            backend: who was looked at.
            well: whether it took a connection.

        Returns:
            Whether it has come up, or gone down, by this.
        """
        if well == backend.up:
            backend.against = 0
            return False
        backend.against += 1
        if backend.against < (self.rise if well else self.fall):
            return False
        backend.up, backend.against = well, 0
        return True
