"""A time limit on every write."""

from __future__ import annotations

from netguard.errors import WriteStalled
from netguard.guard import Connection, Guard, frozen
from netguard.options import option
from netguard.units import duration


@frozen
class WriteStall(Guard):
    """Cut a connection whose peer takes nothing of what waits for it.

    For TCP, taking is what the peer's kernel has acknowledged, so that a slow reader whose bytes sit in socket buffers
    is not mistaken for one that does not read.

    Args:
        after: seconds without progress.
    """

    after: float = option(
        "write-stall",
        duration,
        "Cut a connection for which bytes have waited this long without its peer taking any.",
        defaults={"guard": "60s", "pop": "60s"},
    )

    def open(self, connection: Connection) -> None:
        """Watch what waits."""
        connection.when_stalled(self.after, self.cut)

    def cut(self, connection: Connection) -> None:
        """Nothing was taken for too long."""
        connection.cut(WriteStalled(self.after * connection.patience, connection.stalled))
