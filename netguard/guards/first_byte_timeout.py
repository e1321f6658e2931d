"""A time limit on the first word."""

from __future__ import annotations

from netguard.errors import NoFirstByte
from netguard.guard import Connection, Guard, frozen
from netguard.options import option
from netguard.units import duration


@frozen
class FirstByteTimeout(Guard):
    """Cut a connection whose peer never says a word.

    Args:
        after: seconds from the connection to its first byte.
    """

    after: float = option(
        "first-byte",
        duration,
        "Cut a connection from which no byte at all has come within this time.",
        defaults={"guard": "60s", "pop": "60s"},
    )

    def open(self, connection: Connection) -> None:
        """Set the deadline."""
        connection.after(self.after, self.cut)

    def cut(self, connection: Connection) -> None:
        """The deadline has passed."""
        if not connection.received:
            connection.cut(NoFirstByte(self.after * connection.patience, connection.age))
