"""A time limit on everything."""

from __future__ import annotations

from netguard.errors import LifetimeOver
from netguard.guard import Connection, Guard, frozen
from netguard.options import option
from netguard.units import duration


@frozen
class Lifetime(Guard):
    """Cut a connection at a certain age, whatever it does.

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
        """The deadline has passed."""
        connection.cut(LifetimeOver(self.after, connection.age))
