"""``--ledger``: count together with other machines, through a Redis that all of them can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.python.usage import UsageError

from netguard.errors import OptionError
from netguard.fleet.exchange import Exchange
from netguard.fleet.redis import RedisLedger
from netguard.fleet.redis_url import ledger_of
from netguard.plugins.concerns import Given, join

if TYPE_CHECKING:
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = [
    [
        "ledger",
        None,
        None,
        "count together with other machines, through Redis: rediss://user@host/0?secret=FILE, or env (NETGUARD_LEDGER)",
    ],
]
FLAGS: list[list[Any]] = []

_Service: Any = Service  # it is not annotated


def check(given: Given) -> None:
    """Refuse what names no ledger, or files that cannot be used."""
    if given["ledger"] is not None:
        try:
            RedisLedger(ledger_of(given["ledger"]), None)
        except OptionError as why:
            text = str(why)
            raise UsageError(text if text.startswith("--ledger") else f"--ledger: {text}") from None


def equip(service: Any, house: House, given: Given) -> None:
    """Let the service exchange news while it runs; others find it as ``house.offers["ledger"]``."""
    from twisted.internet import reactor

    if given["ledger"] is not None and given.crew is None:  # else it is for the workers to join: they count
        url = ledger_of(given["ledger"])
        house.offers["ledger"] = exchange = Exchange(house, RedisLedger(url, reactor), house.reactor, url.terms)
        join(service, Membership(exchange))


class Membership(_Service):  # type: ignore[misc]
    """Is in the fleet while it runs.

    Args:
        exchange: this machine's side.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def startService(self) -> None:
        """Join."""
        super().startService()
        self._exchange.start()

    def stopService(self) -> Deferred[object]:
        """Leave, and say so."""
        super().stopService()
        return self._exchange.stop()
