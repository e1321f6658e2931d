"""A guard that looks at many connections, as sshd's MaxStartups does."""

from __future__ import annotations

from netguard import Connection, Guard, frozen, option, units
from netguard.errors import Reason
from netguard.guard import House, Opener


class TooManyStrangers(Reason):
    """As many peers as may be are not past their login yet."""

    guard, option, unit = "MaxStartups", "max-startups", units.count
    summary = "too many peers have not logged in yet"


@frozen
class MaxStartups(Guard):
    """Refuse a connection while too many others are not past their login.

    Args:
        strangers: how many may be there at once.
    """

    strangers: int = option("max-startups", units.count, "Peers that may be there without a login.")

    def install(self, house: House) -> Opener:
        """Begin to count, for one factory."""
        return Strangers(self).open


class Strangers:
    """Who is there and has not logged in.

    Args:
        limit: the guard.
    """

    def __init__(self, limit: MaxStartups) -> None:
        self.limit = limit
        self.there: set[Connection] = set()

    def open(self, connection: Connection) -> None:
        """Count the newcomer in, or refuse it."""
        if len(self.there) >= self.limit.strangers:
            connection.refuse(TooManyStrangers(self.limit.strangers, len(self.there) + 1))
            return
        self.there.add(connection)
        connection.settled(self.there.discard)
        connection.at_end(self.there.discard)
