"""Ident (RFC 1413): who a peer's machine says that the owner of a connection is. Client side.

The rules of this file:

* What comes back is a :class:`Claim`. The peer, or anybody who answers on its port, may claim what they like: a claim
  is told and never believed. It is no text, no number and no truth value, and asking whether it is one raises.
* One line is read, at most 1000 octets of it (RFC 1413, section 6, note 2); nothing behind it is looked at.
* White space may stand anywhere but within a token (note 1); a user id is everything behind its colon, as it came.
* An answer counts only for the two ports that were asked about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

PORT = 113
"""The port of ident servers, called ``auth`` in services(5)."""

LONGEST_LINE = 1000
LONGEST_USER = 512

_HIGHEST_PORT = 65535
_BLANK = b" \t"
_PORT_PAIR = re.compile(rb"[ \t]*([0-9]{1,5})[ \t]*,[ \t]*([0-9]{1,5})[ \t]*\Z")
# Printable characters without ":"; and without ",", which parts the system from its character set.
_TOKEN = re.compile(rb"[!-+\--9;-~]{1,64}\Z")
_ERROR = re.compile(rb"INVALID-PORT\Z|NO-USER\Z|HIDDEN-USER\Z|UNKNOWN-ERROR\Z|X[!-9;-~]{1,63}\Z")
_NEVER_IN_A_USER = re.compile(rb"[\0\r]")


class Claim:
    """What somebody said about a peer, and nobody checked.

    It can be shown, logged and compared with another claim. It is not true or false, so that no condition can be made
    of it by accident.
    """

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        """A claim proves nothing, so there is nothing to decide by it."""
        raise TypeError("a claim proves nothing: show it or log it, but let nobody in for it")

    def __str__(self) -> str:
        """What it says, and that it is only said."""
        return f"a claim, which proves nothing: {self!r}"


class IdentReply(Claim):
    """What became of one ident query: a :class:`UserId`, an :class:`IdentError`, or a :class:`NoReply`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class UserId(IdentReply):
    """The peer's machine named a user.

    Attributes:
        opsys: its operating system, such as ``UNIX``; ``OTHER`` means that the user id is no login name.
        charset: the character set of the user id, ``US-ASCII`` unless it says otherwise.
        user: the user id, 1 to 512 octets, as they came; blanks at its ends included.
    """

    opsys: str
    charset: str
    user: bytes


@dataclass(frozen=True, slots=True)
class IdentError(IdentReply):
    """The peer's machine answered, and names nobody.

    Attributes:
        token: ``INVALID-PORT``, ``NO-USER``, ``HIDDEN-USER``, ``UNKNOWN-ERROR``, or a token of its own, which begins
            with ``X``.
    """

    token: str


class WhyNot(Enum):
    """Why there is no answer."""

    REFUSED = "refused"
    """Nothing listens there."""
    UNREACHABLE = "unreachable"
    """The peer's machine, or its port, cannot be reached."""
    TIMEOUT = "timeout"
    """The answer, or the connection, did not come in time."""
    CLOSED = "closed"
    """The connection was closed, or broke, before there was a whole answer."""
    MALFORMED = "malformed"
    """What came is no answer of RFC 1413."""
    TOO_LONG = "too-long"
    """More than 1000 octets without an end of line, or a user id of more than 512."""
    PORT_MISMATCH = "port-mismatch"
    """An answer about another connection."""
    NOT_ASKED = "not-asked"
    """There is nobody to ask: no TCP address, a proxy's peer, or the connection is an ident query itself."""


@dataclass(frozen=True, slots=True)
class NoReply(IdentReply):
    """There is no answer.

    Attributes:
        why: the reason.
    """

    why: WhyNot


def query(remote: int, local: int) -> bytes:
    """The line to send to a peer's machine.

    Args:
        remote: the peer's port.
        local: the port that the peer is connected to.

    Raises:
        ValueError: one of them is no TCP port.
    """
    for port in (remote, local):
        if not 0 < port <= _HIGHEST_PORT:
            raise ValueError(f"{port} is not a TCP port from 1 to {_HIGHEST_PORT}")
    return f"{remote},{local}\r\n".encode("ascii")


class ReplyReader:
    """Reads one answer from any pieces.

    Args:
        remote: the peer's port, as in the query.
        local: the port that the peer is connected to.
    """

    __slots__ = ("_line", "_ports")

    def __init__(self, remote: int, local: int) -> None:
        self._ports = (remote, local)
        self._line = bytearray()

    def receive(self, data: bytes) -> IdentReply | None:
        """Take what came; return the answer when it is complete. Nothing may be handed in after that."""
        before = len(self._line)
        # One octet more than a line may have, its end included, decides; the others need not be copied.
        self._line += data[: LONGEST_LINE + 2 - before]
        end = self._line.find(b"\n", before)
        if end < 0:
            return NoReply(WhyNot.TOO_LONG) if len(self._line) > LONGEST_LINE + 1 else None
        line = bytes(self._line[:end]).removesuffix(b"\r")
        return NoReply(WhyNot.TOO_LONG) if len(line) > LONGEST_LINE else parse(line, self._ports)


def parse(line: bytes, ports: tuple[int, int]) -> IdentReply:
    """Read an answer.

    Args:
        line: without its end.
        ports: of the query: the peer's, and the one that it is connected to.
    """
    pair, _, rest = line.partition(b":")
    kind, _, rest = rest.partition(b":")
    match = _PORT_PAIR.match(pair)
    reply = _REPLIES.get(kind.strip(_BLANK), _malformed)(rest) if match else _malformed(rest)
    if match and not isinstance(reply, NoReply) and (int(match[1]), int(match[2])) != ports:
        return NoReply(WhyNot.PORT_MISMATCH)
    return reply


def _malformed(_: bytes) -> IdentReply:
    return NoReply(WhyNot.MALFORMED)


def _error(rest: bytes) -> IdentReply:
    token = rest.strip(_BLANK)
    return IdentError(token.decode("ascii")) if _ERROR.match(token) else _malformed(rest)


def _user(rest: bytes) -> IdentReply:
    system, colon, user = rest.partition(b":")
    opsys, comma, charset = (part.strip(_BLANK) for part in system.partition(b","))
    if not colon or not _TOKEN.match(opsys) or (comma and not _TOKEN.match(charset)):
        return _malformed(rest)
    if not user or _NEVER_IN_A_USER.search(user):
        return _malformed(rest)
    if len(user) > LONGEST_USER:
        return NoReply(WhyNot.TOO_LONG)
    return UserId(opsys.decode("ascii"), charset.decode("ascii") or "US-ASCII", user)


_REPLIES = {b"USERID": _user, b"ERROR": _error}
