"""A time limit on everything."""

from __future__ import annotations

from netguard.errors import LifetimeOver
from netguard.guard import Connection, Guard, frozen
from netguard.options import option
from netguard.units import duration


@frozen
class Lifetime(Guard):
    """Cut a connection at a certain age, whatever it does.

    This is the one limit that does not shrink while a service is overloaded: it ends nobody for being slow.

    Args:
        after: seconds.
    """

    after: float = option(
        "lifetime",
        duration,
        "Cut a connection that has existed for this long, whatever it does.",
        defaults={"pop": "24h"},
    )

    def open(self, connection: Connection) -> None:
        """Set the deadline."""
        connection.after(self.after, self.cut)

    def cut(self, connection: Connection) -> None:
        """The deadline has passed, or seems to, since the service is overloaded."""
        left = self.after - connection.age
        if connection.patience < 1 and left > 0:
            connection.after(left, self.cut)
        else:
            connection.cut(LifetimeOver(self.after, connection.age))
