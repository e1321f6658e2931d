"""Secrets stay in this process, and end before it: no core dumps and debuggers, and all is wiped at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service

from netguard.events import emit
from netguard.plugins.concerns import Given, join
from netguard.process.hardening import forbid_dumps
from netguard.secret import wipe_all

if TYPE_CHECKING:
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = []
FLAGS: list[list[Any]] = [
    ["core-dumps", None, "let the process leave core dumps and be debugged: its memory has secrets"],
]

_Service: Any = Service  # it is not annotated


def check(_given: Given) -> None:
    """There is nothing to check."""


def equip(service: Any, _house: House, given: Given) -> None:
    """Let the process be closed once it is who it will be, and its secrets be wiped once nobody is served any more."""
    from twisted.internet import reactor

    if given.parent is not None and "nodaemon" in given.parent:
        join(service, Hardened(reactor, None if given["core-dumps"] else forbid_dumps), before=True)


class Hardened(_Service):  # type: ignore[misc]
    """Starts before all that serves.

    Args:
        reactor: the reactor.
        forbid: closes the process, and says what it could not do; None where it shall stay open.
    """

    def __init__(self, reactor: Any, forbid: Callable[[], str | None] | None) -> None:
        self._reactor = reactor
        self._forbid = forbid

    def startService(self) -> None:
        """By now, privileges have been dropped, which would undo it."""
        super().startService()
        trouble = None if self._forbid is None else self._forbid()
        if trouble is not None:
            emit("unhardened", {"option": "core-dumps", "reason": trouble})
        # Behind all that waits for the end: services stop before the reactor does.
        self._reactor.addSystemEventTrigger("after", "shutdown", wipe_all)
