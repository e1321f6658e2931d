"""A minimum rate for what a peer sends and takes: the answer to those who do it one byte at a time."""

from __future__ import annotations

from netguard.errors import ReceivingTooSlow, SendingTooSlow
from netguard.guard import Connection, Guard, frozen
from netguard.options import option
from netguard.units import duration, rate


@frozen
class MinimumRate(Guard):
    """Cut a connection whose peer drags out an exchange.

    An exchange in is what the peer has begun to send and the application has not yet answered; an exchange out is
    what waits for the peer to take it. Each has the grace, and for every byte the time that the byte takes at the
    minimum rate (as Postfix' smtpd_min_data_rate refunds it). Between exchanges no time runs, so a peer that thinks
    is left alone.

    Args:
        received: bytes a second that the peer has to bring.
        sent: bytes a second that the peer has to take.
        grace: seconds that every exchange has for nothing.
    """

    received: int | None = option(
        "min-rate-in",
        rate,
        "Cut a connection whose peer, once it has begun to send something, brings it more slowly than this.",
        default=None,
    )
    sent: int | None = option(
        "min-rate-out",
        rate,
        "Cut a connection whose peer takes what waits for it more slowly than this.",
        default=None,
        defaults={"pop": "100"},
    )
    grace: float = option(
        "min-rate-grace",
        duration,
        "So long may an exchange take before its rate matters (min-rate-in, min-rate-out).",
        default=10.0,
    )

    def open(self, connection: Connection) -> None:
        """Look again after each grace at the latest: no exchange that begins in it can be overdue before its end."""
        if self.received is not None:
            connection.after(self.grace, self.look_in)
        if self.sent is not None:
            connection.after(self.grace, self.look_out)

    def look_in(self, connection: Connection) -> None:
        """Judge what the peer brings."""
        lasted, count = connection.exchange("in") or (0.0, 0)
        left = self.grace * connection.patience + count / (self.received or 1) - lasted
        if left > 0:
            connection.after(min(left / connection.patience, self.grace), self.look_in)
        else:
            connection.cut(ReceivingTooSlow(self.received, count / lasted))

    def look_out(self, connection: Connection) -> None:
        """Judge what the peer takes."""
        lasted, count = connection.exchange("out") or (0.0, 0)
        left = self.grace * connection.patience + count / (self.sent or 1) - lasted
        if left > 0:
            connection.after(min(left / connection.patience, self.grace), self.look_out)
        else:
            connection.cut(SendingTooSlow(self.sent, count / lasted))
