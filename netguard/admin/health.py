"""Whether the process lives, and whether a newcomer would be served now: for those who restart and who balance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netguard.admin.asked import Answer, Asked, line

if TYPE_CHECKING:
    from netguard.service import Service


class Health:
    """Answers ``/healthz`` and ``/readyz``.

    Args:
        house: the service that is asked about.
    """

    def __init__(self, house: Service) -> None:
        self._house = house

    def alive(self, _asked: Asked) -> Answer:
        """Who answers, lives: its event loop turns."""
        return line("ok")

    def ready(self, _asked: Asked) -> Answer:
        """Whether newcomers are served; 503 and the reason where they are not."""
        why = unready(self._house)
        return line("ready") if why is None else line(why, 503)


def unready(house: Service) -> str | None:
    """Why newcomers would not be served now; None when they would.

    Args:
        house: the service.
    """
    if house.closed:
        return "draining: nobody is let in any more"
    if not any(each.is_listening for each in house.factories):
        return "starting: nothing listens yet"
    if not house.accepting:
        return "shedding: newcomers have to wait"
    return "shedding: newcomers are refused" if house.strained else None
