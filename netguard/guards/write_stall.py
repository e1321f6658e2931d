"""A time limit on every write."""

from __future__ import annotations

from netguard.errors import WriteStalled
from netguard.guard import Connection, Guard, House, Opener, frozen
from netguard.options import option
from netguard.units import duration

BEHIND = 2
"""How many times as long the kernel waits: not even a bad line, on which it counts otherwise, makes it the first."""


@frozen
class WriteStall(Guard):
    """Cut a connection whose peer takes nothing of what waits for it.

    For TCP, taking is what the peer's kernel has acknowledged, so that a slow reader whose bytes sit in socket buffers
    is not mistaken for one that does not read.

    The kernel gives up such a peer by itself after twice the time. That matters for what the guard cannot see any more:
    once an application has closed, the kernel has the rest, and would offer it for ever to a peer that says that it
    has no room (RFC 9293, 3.8.6.1), as an attacker may with thousands of connections.

    Args:
        after: seconds without progress.
    """

    after: float = option(
        "write-stall",
        duration,
        "Cut a connection for which bytes have waited this long without its peer taking any.",
        defaults={"guard": "60s", "pop": "60s"},
    )

    def install(self, house: House) -> Opener:
        """Have the kernel stand behind."""
        if not self.observe:
            house.give_up_after(BEHIND * self.after, self.lost)
        return self.open

    def open(self, connection: Connection) -> None:
        """Watch what waits."""
        connection.when_stalled(self.after, self.cut)

    def lost(self, connection: Connection) -> None:
        """If it was lost for that, since we were late, it is told so."""
        if connection.stalled >= self.after * connection.patience:
            self.cut(connection)

    def cut(self, connection: Connection) -> None:
        """Nothing was taken for too long."""
        connection.cut(WriteStalled(self.after * connection.patience, connection.stalled))
