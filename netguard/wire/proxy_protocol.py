"""The PROXY protocol without I/O, versions 1 and 2 (HAProxy's specification, of 2026): octets in, one header out.

The rules of this file:

* Octets may come in any pieces: whole, split anywhere and one by one are the same. What cannot become a header any
  more is refused at once; only what stands behind the addresses of version 2 is judged when it is whole.
* At most 107 octets of version 1, or 16 and ``LONGEST`` of version 2, are kept.
* Nothing is guessed: whether a peer has to send a header is for the caller to know before it reads.
* One header a connection: a second one is the application's data.
"""

from __future__ import annotations

from typing import NamedTuple

from netguard.wire import proxy_v1, proxy_v2
from netguard.wire.proxy_header import Header, ProxyMisused, ProxyRefused

LONGEST = 4096
"""Octets of the longest block of version 2 that is taken unless the caller says otherwise: room for the addresses,
a certificate of a client and whatever else proxies tell. The field could say 65,535."""

_FAMILIES = (b"TCP4", b"TCP6", b"UNKNOWN")
_MARKS = (proxy_v2.SIGNATURE, *(proxy_v1.SIGNATURE + each for each in _FAMILIES))
"""What only a header begins with. ``PROXY`` and a space alone might be a word of some other protocol."""
_BEGINNINGS = frozenset(mark[0] for mark in _MARKS)


class Heard(NamedTuple):
    """What a reader answers.

    Attributes:
        header: the header.
        rest: what came behind it.
    """

    header: Header
    rest: bytes


class HeaderReader:
    """Reads the header in front of one connection.

    Args:
        longest: octets of the longest block of version 2 that is taken, up to 65,535.
    """

    __slots__ = ("_begun", "_longest", "_size", "done")

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._begun = b""
        self._size: int | None = None
        self.done = False

    @property
    def begun(self) -> bytes:
        """What has come and is not yet a header; after a refusal, everything that came."""
        return self._begun

    def receive(self, data: bytes) -> Heard | None:
        """Take what came.

        Args:
            data: any number of octets.

        Returns:
            The header and what came behind it, or None until it is whole.

        Raises:
            ProxyRefused: what came is no header, and cannot become one.
            ProxyMisused: the reader has answered, or refused, before.
        """
        if self.done:
            raise ProxyMisused("one reader reads one header")
        self._begun += data
        try:
            heard = self._read()
        except ProxyRefused:
            self.done = True
            raise
        if heard is not None:
            self.done = True
            self._begun = b""
        return heard

    def _read(self) -> Heard | None:
        begun = self._begun
        if _may_be(begun, proxy_v2.SIGNATURE):
            return self._read_v2(begun)
        if not _may_be(begun, proxy_v1.SIGNATURE):
            raise ProxyRefused("no header begins like this", missing=True)
        if len(begun) <= len(proxy_v1.SIGNATURE):
            return None
        found = proxy_v1.read(begun)
        return None if found is None else Heard(found[0], begun[found[1] :])

    def _read_v2(self, begun: bytes) -> Heard | None:
        if self._size is None:
            self._size = proxy_v2.size(begun, self._longest)
        if self._size is None or len(begun) < self._size:
            return None
        return Heard(proxy_v2.read(begun[: self._size]), begun[self._size :])


def _may_be(begun: bytes, mark: bytes) -> bool:
    """Whether what came begins with a mark, or is the beginning of one."""
    return begun.startswith(mark) or mark.startswith(begun)


def is_header(begun: bytes) -> bool | None:
    """Whether what came from a peer that must send no header begins like one.

    Args:
        begun: the first octets.

    Returns:
        True when it does, False when it cannot, None when more is needed to tell: up to 13 octets.
    """
    if begun and begun[0] not in _BEGINNINGS:
        return False
    if begun.startswith(_MARKS):
        return True
    return None if any(mark.startswith(begun) for mark in _MARKS) else False
