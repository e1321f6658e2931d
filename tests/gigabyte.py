"""An answer of one gigabyte, for tests of any folder: as fast as the other side takes it, and no faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer

GIGABYTE = 2**30
_PIECE = 65_536


@implementer(IPullProducer)
class _Pouring:
    """What writes a piece whenever there is room for one.

    Args:
        transport: where to.
        write: writes.
        data: a piece.
    """

    def __init__(self, transport: Any, write: Callable[[bytes], object], data: bytes) -> None:
        self.transport = transport
        self.write = write
        self.data = data
        self.left = GIGABYTE

    def resumeProducing(self) -> None:
        """Some more."""
        self.write(self.data)
        self.left -= len(self.data)
        if self.left <= 0:
            self.transport.unregisterProducer()

    def stopProducing(self) -> None:
        """The other side has had enough."""


def pour(transport: object, write: Callable[[bytes], object], octet: bytes = b"x") -> None:
    """Begin to write a gigabyte.

    Args:
        transport: a transport that is connected.
        write: writes to it.
        octet: what it is made of.
    """
    where = cast("Any", transport)
    where.registerProducer(_Pouring(where, write, octet * _PIECE), False)
