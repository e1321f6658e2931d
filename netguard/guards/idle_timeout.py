"""A time limit on silence."""

from __future__ import annotations

from netguard.errors import Idle
from netguard.guard import Connection, Guard, frozen
from netguard.options import option
from netguard.units import duration


@frozen
class IdleTimeout(Guard):
    """Cut a connection that has fallen silent.

    Activity is a byte that came, or a byte that the peer took from us; what the application writes is not.

    Args:
        after: seconds of silence.
    """

    after: float = option(
        "idle",
        duration,
        "Cut a connection from which nothing has come, and which has taken nothing, for this long.",
        defaults={"guard": "5m", "pop": "10m"},
    )

    def open(self, connection: Connection) -> None:
        """Watch the silence."""
        connection.when_silent(self.after, self.cut)

    def cut(self, connection: Connection) -> None:
        """The peer has been silent for too long."""
        connection.cut(Idle(self.after * connection.patience, connection.silent))
