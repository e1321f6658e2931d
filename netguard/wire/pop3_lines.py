"""A POP3 client's bytes as lines, in bounds.

The rules of this file:

* A line ends with CRLF and nothing else. NUL, bare CR and bare LF inside one are for others to refuse: what two
  programs read differently is what smuggling is made of.
* What waits is kept as bytes, never as objects, and is copied only when more comes.
"""

from __future__ import annotations

# A command line with its CRLF: RFC 2449 section 4 says 255 octets; clients with long passwords send more.
MAX_LINE = 512


class TooLong(Exception):
    """A line is longer than it may be. It is theirs, and the last one: none of it is kept."""


class Lines:
    """What a client sent and was not yet obeyed.

    Attributes:
        pending: octets that came and were not yet taken as lines.
    """

    __slots__ = ("_at", "_buffer", "pending")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = self.pending = 0

    def add(self, data: bytes) -> None:
        """More came."""
        self._buffer = self._buffer[self._at :] + data
        self._at = 0
        self.pending = len(self._buffer)

    def begins_with(self, octets: bytes) -> bool:
        """Whether the next line does."""
        return self._buffer.startswith(octets, self._at)

    def take(self, longest: int = MAX_LINE) -> bytes | None:
        """The next line without its CRLF; None when there is no whole one.

        Args:
            longest: octets that it may have, CRLF included.

        Raises:
            TooLong: when it has more. Everything is dropped.
        """
        at = self._at
        end = self._buffer.find(b"\r\n", at, at + longest)
        if end >= 0:
            self._at = end + 2
            self.pending -= end + 2 - at
            return self._buffer[at:end]
        if self.pending >= longest:
            self.drop()
            raise TooLong
        return None

    def drop(self) -> None:
        """Forget what waits."""
        self._buffer, self._at, self.pending = b"", 0, 0
