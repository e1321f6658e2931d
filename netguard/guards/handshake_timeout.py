"""A time limit on handshakes."""

from __future__ import annotations

from netguard.errors import HandshakeTooSlow
from netguard.guard import Connection, Guard, frozen
from netguard.options import option
from netguard.units import duration


@frozen
class HandshakeTimeout(Guard):
    """Cut a connection whose TLS handshake, or whose opening by the other guards, does not end.

    It holds for TLS from the first byte, for TLS that is started later (STLS, STARTTLS), and for the closing of TLS,
    which waits for the peer's close_notify: some never send it.

    Args:
        after: seconds for one handshake.
    """

    after: float = option(
        "handshake",
        duration,
        "Cut a connection whose TLS handshake is not finished within this time.",
        defaults={"guard": "30s", "pop": "30s"},
    )

    def open(self, connection: Connection) -> None:
        """Look again after each period: no handshake that begins in it can be overdue before its end."""
        connection.after(self.after, self.look)

    def look(self, connection: Connection) -> None:
        """Cut what is overdue, or say when to look again."""
        lasted, limit = connection.handshaking, self.after * connection.patience
        if lasted is not None and lasted >= limit:
            connection.cut(HandshakeTooSlow(limit, lasted))
        else:
            connection.after((limit - (lasted or 0.0)) / connection.patience, self.look)
