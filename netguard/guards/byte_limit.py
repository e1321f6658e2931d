"""Bounds on amounts: in all, in one item, in the queue."""

from __future__ import annotations

from sys import maxsize

from attrs import Factory, field

from netguard.errors import ItemTooLong, QueueTooLong, TooMuchReceived, TooMuchSent
from netguard.guard import Connection, Guard, Whole, frozen
from netguard.options import option
from netguard.units import delimiter, size
from netguard.wire.items import ItemCounter


def _whole(limits: ByteLimit) -> Whole:
    """The chunks that are whole items, as their ends tell."""
    return Whole(limits.delimiter, ItemCounter(limits.item or 0, limits.delimiter).whole)


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
    _whole: Whole = field(init=False, repr=False, eq=False, default=Factory(_whole, takes_self=True))

    def open(self, connection: Connection) -> None:
        """Set the marks."""
        if self.received is not None:
            connection.when_received(self.received, self.cut_in)
        if self.sent is not None:
            connection.when_sent(self.sent, self.cut_out)
        if self.item is not None:
            connection.tap(self.look, self._whole)
        if self.queue is not None:
            connection.when_sent(self.queue, self.look_at_queue, held=True)

    def cut_in(self, connection: Connection) -> None:
        """More came than may come."""
        connection.cut(TooMuchReceived(self.received, connection.received))

    def cut_out(self, connection: Connection) -> None:
        """As much was sent as may be, and at least one byte is to follow."""
        connection.cut(TooMuchSent(self.sent, connection.sent + 1))

    def look(self, connection: Connection, data: bytes) -> None:
        """Begin to count with a chunk that is no whole item; most are, and nothing has to be remembered of them."""
        ends, longest = self._whole
        if len(data) <= longest and data.endswith(ends):
            return  # where others look as well, it is shown to all
        items = Items(self)
        connection.untap(self.look)
        connection.tap(items.look)
        items.look(connection, data)

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
    """

    __slots__ = ("limits",)

    def __init__(self, limits: ByteLimit) -> None:
        super().__init__(limits.item or 0, limits.delimiter)
        self.limits = limits

    def look(self, connection: Connection, data: bytes) -> None:
        """Look at one chunk; where no item is open, most are whole items, and nothing to count."""
        if len(data) > self.whole or not data.endswith(self.delimiter):
            self.count(connection, data)

    def count(self, connection: Connection, data: bytes) -> None:
        """Count on through a chunk, and cut who brings too long an item."""
        longest = self.feed(data)
        if longest > self.limit:
            self.limit = maxsize  # where the guard only observes, once is enough
            connection.cut(ItemTooLong(self.limits.item, longest))
