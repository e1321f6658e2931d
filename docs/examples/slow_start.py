"""A guard that looks at one connection."""

from __future__ import annotations

from netguard import Connection, Guard, frozen, option, units
from netguard.errors import Reason


class StartedTooSlowly(Reason):
    """The peer brought too little in its first moments."""

    guard, option, unit = "SlowStart", "start-within", units.duration
    summary = "the peer brought too little in its first moments"


@frozen
class SlowStart(Guard):
    """Cut a connection that has not brought enough by a certain age.

    Args:
        within: seconds from the connection to the look at it.
        least: bytes that must have come by then.
    """

    within: float = option("start-within", units.duration, "Look at a connection after this time.")
    least: int = option("start-bytes", units.size, "Bytes that start-within asks for.", default=64)

    def open(self, connection: Connection) -> None:
        """Set the deadline."""
        connection.after(self.within, self.look)

    def look(self, connection: Connection) -> None:
        """The deadline has passed: was it enough?"""
        if connection.received < self.least:
            connection.cut(StartedTooSlowly(self.within, connection.age))
