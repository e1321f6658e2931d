"""RESP2, client side: the protocol that Redis and Valkey speak (https://redis.io/docs/reference/protocol-spec).

A reply is bytes (of a status or of a string), an int, None, a list of replies, or :class:`Refusal`. The other side may
be anything: whatever is announced, no more is kept than the limits say, and nothing may come that was not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_LINE = 1024
"""Octets of a status, an error or a number."""
DEEPEST = 6
"""Arrays inside one another; what XREAD answers has five."""

_CRLF = b"\r\n"
_STATUS, _ERROR, _NUMBER, _STRING, _ARRAY = b"+-:$*"
_NOTHING = -1
_DIGITS = 18


class NoRedis(Exception):
    """What came is no RESP2, more than is taken, or was not asked for; the text is one line that repeats none of it."""


class Unsendable(Exception):
    """A command without a word, or with one that is not bytes."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that the server answers.

    Args:
        text: what it says; the first word is a code, such as ``WRONGPASS``.
    """

    text: bytes


Reply = bytes | int | Refusal | None | list["Reply"]


class Resp:
    """One connection's wire.

    Args:
        most: octets of all replies to what was sent at once; as many parts of arrays as a sixteenth of it.
        longest: octets of one string.
    """

    def __init__(self, most: int, longest: int) -> None:
        self._most, self._longest = most, longest
        self._buffer = bytearray()
        self._owed = self._octets = self._parts = 0
        self._string = _NOTHING
        self._open: list[tuple[list[Reply], int]] = []  # the arrays that are not whole, each with its length

    @property
    def owed(self) -> int:
        """How many replies are still to come."""
        return self._owed

    def send(self, *commands: Sequence[bytes]) -> bytes:
        """What to send for some commands; so many replies are owed then.

        Args:
            commands: each the words of one.

        Raises:
            Unsendable: one cannot be said.
        """
        if not all(command and all(type(word) is bytes for word in command) for command in commands):
            raise Unsendable("a command is one or more words of bytes")
        if not self._owed:
            self._octets = self._parts = 0
        self._owed += len(commands)
        return b"".join(part for command in commands for part in _written(command))

    def receive(self, data: bytes) -> list[Reply]:
        """Take what came.

        Returns:
            The replies that are whole with it, in the order of their commands.

        Raises:
            NoRedis: the connection is of no use any more.
        """
        self._buffer += data
        replies: list[Reply] = []
        at = 0
        while at < len(self._buffer):
            if not self._owed:
                raise NoRedis("something came that was not asked for")
            after = self._string_at(at) if self._string != _NOTHING else self._line_at(at)
            if after is None:
                break
            self._spend(after[0] - at)
            at = after[0]
            if len(after) > 1 and self._take(after[1], replies):
                self._owed -= 1
        del self._buffer[:at]
        return replies

    def _spend(self, octets: int) -> None:
        self._octets += octets
        if self._octets > self._most:
            raise NoRedis(f"the replies have more than {self._most} octets")

    def _string_at(self, at: int) -> tuple[int, Reply] | None:
        """The string that was announced, and where it ends."""
        end = at + self._string
        if len(self._buffer) < end + 2:
            return None
        if self._buffer[end : end + 2] != _CRLF:
            raise NoRedis("a string is longer than it was announced")
        self._string = _NOTHING
        return end + 2, bytes(self._buffer[at:end])

    def _line_at(self, at: int) -> tuple[int] | tuple[int, Reply] | None:
        """Where the next line ends, and the value that is whole with it, if there is one."""
        end = self._buffer.find(_CRLF, at, at + LONGEST_LINE + 2)
        kind = self._buffer[at]
        if kind not in b"+-:$*":
            raise NoRedis("what came is no RESP2")
        if end < 0:
            if len(self._buffer) - at > LONGEST_LINE:
                raise NoRedis(f"a line has more than {LONGEST_LINE} octets")
            return None
        line = bytes(self._buffer[at + 1 : end])
        if kind == _STATUS:
            return end + 2, line
        if kind == _ERROR:
            return end + 2, Refusal(line)
        number = _number(line)
        if kind == _NUMBER:
            return end + 2, number
        if number == _NOTHING:
            return end + 2, None
        if number < 0:
            raise NoRedis("a length is negative")
        return self._announced(end + 2, number) if kind == _STRING else self._array(end + 2, number)

    def _announced(self, end: int, length: int) -> tuple[int]:
        if length > self._longest or self._octets + length > self._most:
            raise NoRedis(f"a string has more octets than are taken, {length}")
        self._string = length
        return (end,)

    def _array(self, end: int, length: int) -> tuple[int] | tuple[int, Reply]:
        self._parts += length
        if self._parts > self._most // 16:
            raise NoRedis("arrays have more parts than are taken")
        if not length:
            return end, []
        if len(self._open) >= DEEPEST:
            raise NoRedis(f"arrays are more than {DEEPEST} deep")
        self._open.append(([], length))
        return (end,)

    def _take(self, value: Reply, replies: list[Reply]) -> bool:
        """Put a value where it belongs; whether a reply is whole with it."""
        while self._open:
            items, length = self._open[-1]
            items.append(value)
            if len(items) < length:
                return False
            self._open.pop()
            value = items
        replies.append(value)
        return True


def _written(command: Sequence[bytes]) -> list[bytes]:
    words = [part for word in command for part in (b"$%d\r\n" % len(word), word, _CRLF)]
    return [b"*%d\r\n" % len(command), *words]


def _number(line: bytes) -> int:
    digits = line[1:] if line[:1] == b"-" else line
    if not digits.isdigit() or len(digits) > _DIGITS:
        raise NoRedis("a number is none")
    return int(line)
