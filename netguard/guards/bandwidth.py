"""A bound on the bytes a second, kept by waiting: nobody is cut."""

from __future__ import annotations

from netguard.guard import Connection, Guard, Way, frozen
from netguard.options import option
from netguard.units import rate


@frozen
class Bandwidth(Guard):
    """Slow a connection down to a rate. A second's worth may pass at once; after that the average holds.

    What comes too fast is not read, so that the peer's kernel waits; what is written too fast waits here, and a
    producer is paused for it as a full transport would do.

    Args:
        received: bytes a second that may come.
        sent: bytes a second that may be sent.
    """

    received: int | None = option(
        "rate-in", rate, "Read no faster than this, in bytes a second, from one connection.", default=None
    )
    sent: int | None = option(
        "rate-out", rate, "Send no faster than this, in bytes a second, to one connection.", default=None
    )

    def open(self, connection: Connection) -> None:
        """Set the first marks; a connection that stays below them costs nothing more."""
        if self.received is not None:
            connection.when_received(self.received, self.begin_in)
        if self.sent is not None:
            connection.when_sent(self.sent, self.begin_out)

    def begin_in(self, connection: Connection) -> None:
        """The first second's worth came."""
        Flow("in", self.received or 1, self, connection).spend(connection)

    def begin_out(self, connection: Connection) -> None:
        """The first second's worth was sent."""
        Flow("out", self.sent or 1, self, connection).spend(connection)


class Flow:
    """The credit of one direction of one connection that has passed its first mark.

    Args:
        way: the direction.
        rate: bytes a second.
        guard: whose rate it is.
        connection: whose bytes they are.
    """

    __slots__ = ("credit", "guard", "paid", "rate", "since", "way")

    def __init__(self, way: Way, rate: int, guard: Bandwidth, connection: Connection) -> None:
        self.way: Way = way
        self.rate = rate
        self.guard = guard
        self.since = connection.age
        self.credit = min(self.since, 1.0) * rate
        self.paid = rate

    def spend(self, connection: Connection) -> None:
        """Pay for what has passed; stop when it was too much, else say when to pay next."""
        now, passed = connection.age, connection.received if self.way == "in" else connection.sent
        earned = min(self.credit + (now - self.since) * self.rate, float(self.rate))
        self.credit = earned - (passed - self.paid)
        self.since, self.paid = now, passed
        # Less is not worth the work: while it is done, a byte or two would be earned, and so on without an end.
        worth = max(1.0, self.rate / 20)
        if self.credit < worth:
            connection.pause("Bandwidth", self.way)
            if not self.guard.observe:  # who only observes has said it, and once is enough
                connection.after((worth - self.credit) / self.rate, self.spend)
            return
        mark = connection.when_received if self.way == "in" else connection.when_sent
        mark(passed + int(self.credit), self.spend)
        connection.resume("Bandwidth", self.way)
