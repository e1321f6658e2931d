"""Bounds on amounts: in all, in one item, in the queue."""

from __future__ import annotations

from sys import maxsize

from attrs import Factory, field

from netguard.errors import ItemTooLong, QueueTooLong, TooMuchReceived, TooMuchSent
from netguard.guard import Connection, Guard, frozen
from netguard.options import option
from netguard.units import delimiter, size
from netguard.wire.items import ItemCounter


@frozen
class ByteLimit(Guard):
    r"""Cut a connection that brings, takes or leaves waiting too many bytes. Just as many as the limit pass.

    Args:
        received: bytes that a connection may bring in all.
        sent: bytes that a connection may take in all.
        item: bytes that may come without the delimiter; the delimiter itself does not count.
        queue: bytes that may wait, unsent, for the peer.
        delimiter: what ends an item; ``b"\n"`` unless given.
    """

    received: int | None = option("max-in", size, "Cut a connection that brings more than this in all.", default=None)
    sent: int | None = option("max-out", size, "Cut a connection that is to take more than this in all.", default=None)
    item: int | None = option(
        "max-item",
        size,
        "Cut a connection that brings more than this without the delimiter (the delimiter does not count).",
        default=None,
        defaults={"pop": "16KiB"},
    )
    queue: int | None = option(
        "max-queue",
        size,
        "Cut a connection for which more than this waits unsent.",
        default=None,
        defaults={"guard": "64MiB", "pop": "4MiB"},
    )
    delimiter: bytes = option(
        "delimiter",
        delimiter,
        r"What ends an item for max-item: text such as \n, \r\n or \x00.",
        default=b"\n",
    )
    _whole: int = field(init=False, repr=False, eq=False, default=Factory(lambda self: self.whole(), takes_self=True))

    def whole(self) -> int:
        """Bytes of the longest chunk that can be told to be whole items by its end alone."""
        return ItemCounter(self.item or 0, self.delimiter).whole

    def open(self, connection: Connection) -> None:
        """Set the marks."""
        if self.received is not None:
            connection.when_received(self.received, self.cut_in)
        if self.sent is not None:
            connection.when_sent(self.sent, self.cut_out)
        if self.item is not None:
            connection.tap(self.look)
        if self.queue is not None:
            connection.when_sent(self.queue, self.look_at_queue, held=True)

    def cut_in(self, connection: Connection) -> None:
        """More came than may come."""
        connection.cut(TooMuchReceived(self.received, connection.received))

    def cut_out(self, connection: Connection) -> None:
        """As much was sent as may be, and at least one byte is to follow."""
        connection.cut(TooMuchSent(self.sent, connection.sent + 1))

    def look(self, connection: Connection, data: bytes) -> None:
        """Look at a chunk where nothing has to be remembered: most are whole items, and nothing to count."""
        if len(data) > self._whole or not data.endswith(self.delimiter):
            items = Items(self, connection)
            connection.untap(self.look)
            connection.tap(items.look)
            items.count(data)

    def look_at_queue(self, connection: Connection) -> None:
        """So much was written that the queue might be full: measure it, and say when that can next be so."""
        waiting = connection.queued
        room = (self.queue or 0) - waiting
        if room >= 0:
            connection.when_sent(connection.written + room, self.look_at_queue, held=True)
        else:
            connection.cut(QueueTooLong(self.queue, waiting))


class Items(ItemCounter):
    """The items of one connection.

    Args:
        limits: whose limit it is.
        connection: whose items they are.
    """

    __slots__ = ("connection", "limits")

    def __init__(self, limits: ByteLimit, connection: Connection) -> None:
        super().__init__(limits.item or 0, limits.delimiter)
        self.limits = limits
        self.connection = connection

    def look(self, _: Connection, data: bytes) -> None:
        """Look at one chunk; most are whole items, and nothing to count."""
        if len(data) > self.whole or not data.endswith(self.delimiter):
            self.count(data)

    def count(self, data: bytes) -> None:
        """Count on through a chunk, and cut who brings too long an item."""
        longest = self.feed(data)
        if longest > self.limit:
            self.limit = maxsize  # where the guard only observes, once is enough
            self.connection.cut(ItemTooLong(self.limits.item, longest))
