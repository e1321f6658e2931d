"""What SOCKS 4, SOCKS 5 and HTTP CONNECT have in common: asking a proxy for a connection to somewhere else.

The rules of this file:

* A negotiation has first words, takes what comes in any pieces, and answers with bytes to send, until the tunnel is
  there or an error says that it never will be. It keeps no more than its longest reply.
* Nothing of a proxy's own words is repeated: an error has a number, and words of ours.
* The target's name is never resolved here. A proxy is told names as they are, addresses as addresses.
* What comes before it was asked for is a lie, and ends the negotiation. What comes behind the last reply is the
  application's, to the byte.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, inet_pton
from typing import ClassVar, TypeAlias

LONGEST_NAME = 255
HIGHEST_PORT = 65535

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")

Host: TypeAlias = IPv4Address | IPv6Address | str


class Unsendable(ValueError):
    """What a proxy would have to be told cannot be said in its protocol."""


class ProxyError(ConnectionError):
    """The proxy did not connect us.

    Args:
        code: the proxy's own number for it, where it has one.
    """

    summary: ClassVar[str] = "the proxy did not connect us"

    def __init__(self, code: int | None = None) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        """Say what happened, in our own words."""
        return self.summary if self.code is None else f"{self.summary} (code {self.code})"


class NoProxy(ProxyError):
    """What answers there does not speak the protocol.

    Args:
        problem: what is wrong, in our own words.
    """

    def __init__(self, problem: str) -> None:
        super().__init__()
        self.problem = problem

    def __str__(self) -> str:
        """Say what is wrong."""
        return f"what answers there is no proxy of this kind: {self.problem}"


class ProxyClosed(ProxyError):
    """The proxy closed, or broke, the connection before it had answered."""

    summary = "the proxy closed the connection before it had answered"


class NoAcceptableMethod(ProxyError):
    """SOCKS 5: the proxy takes none of the logins that were offered; it may want a user name."""

    summary = "the proxy takes no login that was offered"


class LoginRefused(ProxyError):
    """The proxy does not take the user name and secret; or, by HTTP, it wants some and has got none."""

    summary = "the proxy refused the login"


class Refused(ProxyError):
    """The proxy understood, and did not connect us to the target; each reason is a class of its own."""

    summary = "the proxy did not connect us to the target"


@dataclass(frozen=True, slots=True)
class Granted:
    """The tunnel is there.

    Attributes:
        bound: host and port that the proxy says it connects from; None where its protocol has no word for it.
        rest: what came behind the reply: the application's first bytes.
    """

    bound: tuple[Host, int] | None = None
    rest: bytes = field(default=b"", repr=False)


Event: TypeAlias = bytes | Granted


class Negotiation:
    """One negotiation with a proxy.

    Args:
        opening: the first bytes to send; they may have a secret in them.
        step: takes the first reply out of the buffer and answers with what to do; None when it is not whole yet.
    """

    def __init__(self, opening: bytes, step: Callable[[], Event | None]) -> None:
        self.opening = opening
        self._buffer = bytearray()
        self._step = step

    def receive(self, data: bytes) -> list[Event]:
        """Take what came; nothing may be handed in after `Granted`, or after an error.

        Args:
            data: at least one byte.

        Returns:
            What to send, and at last `Granted`.

        Raises:
            ProxyError: there will be no tunnel.
        """
        self._buffer += data
        event = self._step()
        if event is None:
            return []
        if isinstance(event, bytes) and self._buffer:
            raise NoProxy("it answered before it was asked")
        return [event]

    def _take(self, size: int) -> bytes:
        """Take so many bytes out of the buffer, which are there."""
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _granted(self, bound: tuple[Host, int] | None = None) -> Granted:
        return Granted(bound, self._take(len(self._buffer)))


def target(host: Host, port: int) -> tuple[Host, int]:
    """Where the tunnel is to lead.

    Args:
        host: an address, also as text, or a name of letters, digits, ``-``, ``_`` and ``.``; international names are
            encoded before.
        port: 1 to 65535.

    Raises:
        Unsendable: no proxy can be told this.
    """
    if not 0 < port <= HIGHEST_PORT:
        raise Unsendable(f"{port} is not a TCP port from 1 to {HIGHEST_PORT}")
    where = _read(host) if isinstance(host, str) else host
    if isinstance(where, IPv6Address) and where.scope_id is not None:
        raise Unsendable(f"{str(where)[:60]!r} has a zone, which means something on this machine only")
    return where, port


def _read(text: str) -> Host:
    """An address, or a name; what has no colon, and no digit at its end, need not be tried as an address."""
    if text[-1:].isdigit() and ":" not in text:
        with suppress(OSError, ValueError):
            return IPv4Address(inet_pton(AF_INET, text))
    elif ":" in text:
        with suppress(ValueError):
            return IPv6Address(text)
    if len(text) > LONGEST_NAME or not _NAME.match(text):
        raise Unsendable(
            f"{text[:60]!r} is no address, and no name of 1 to {LONGEST_NAME} letters, digits, '-', '_' and '.'"
        )
    return text
