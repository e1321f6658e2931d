"""What an accepted connection is called in logs: made when somebody wants it, since hardly anybody does."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Protocol

_plain = Protocol.logPrefix


class Named:
    """The names of one accepted connection, as Twisted has them."""

    logstr = ""
    protocol: Any
    client: Any
    server: Any
    sessionno: int
    _getLogPrefix: Any

    @property
    def hostname(self) -> Any:
        """The peer's host, as its socket has it."""
        return self.client[0]

    def logPrefix(self) -> str:
        """The application's prefix, the session and the host, as Twisted has them."""
        if not self.logstr:
            protocol = self.protocol
            plain = getattr(type(protocol), "logPrefix", None) is _plain  # which is what most have, and takes no asking
            prefix = type(protocol).__name__ if plain else self._getLogPrefix(protocol)
            self.logstr = f"{prefix},{self.sessionno},{self.client[0]}"
        return self.logstr

    def __repr__(self) -> str:
        """Name the application, the session and the port."""
        number = getattr(self.server, "_realPortNumber", None)
        return f"<guarded {type(self.protocol).__name__} #{self.sessionno} on {number}>"
