"""``--heartbeat``: how often a line in the log says how the service is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.python.usage import UsageError

from netguard.errors import OptionError
from netguard.plugins.concerns import Given, join
from netguard.process.heartbeat import Heartbeat, interval
from netguard.process.vitals import Vitals

if TYPE_CHECKING:
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = [
    ["heartbeat", None, "60s", "tell in the log how the service is, this often, or off (SIGUSR2 switches it)"],
]
FLAGS: list[list[Any]] = []


def check(given: Given) -> None:
    """Refuse what is no interval."""
    try:
        interval(given["heartbeat"])
    except OptionError as why:
        raise UsageError(f"--{why}") from None


def equip(service: Any, house: House, given: Given) -> None:
    """Let the service have a heart; other concerns find it as ``house.offers["heartbeat"]``."""
    from twisted.internet import reactor

    heartbeat = Heartbeat(Vitals(house), interval(given["heartbeat"]), reactor)
    house.offers["heartbeat"] = heartbeat
    join(service, heartbeat)
