"""What an application says about the peer behind its transport; harmless where no guard is around."""

from __future__ import annotations

from netguard.connection import Connection

_LAYERS = 8
"""How many transports may lie on one another between an application and its guards."""


def connection_of(transport: object) -> Connection | None:
    """The guarded connection that a transport belongs to, or None.

    Args:
        transport: what an application has as ``self.transport``; TLS and other layers in between do no harm.
    """
    for _ in range(_LAYERS):
        if transport is None:
            break
        found = getattr(transport, "guarded_connection", None)
        if isinstance(found, Connection):
            return found
        transport = getattr(transport, "transport", None)
    return None


def settle(transport: object) -> None:
    """Say that the peer behind a transport is past its login; harmless where no guard is around.

    Args:
        transport: what an application has as ``self.transport``.
    """
    found = connection_of(transport)
    if found is not None:
        found.settle()


def misdeed(transport: object, kind: str, weight: float = 1.0, once: bytes | None = None) -> None:
    """Say that the peer behind a transport did something that it should not have done; harmless without guards.

    Args:
        transport: what an application has as ``self.transport``.
        kind: a word for it, such as ``failed-login``.
        weight: how bad it was; 1 is an ordinary one.
        once: the same token from the same peer counts once; what was tried, say, so that a mail program with an old
            password is not taken for somebody who guesses.
    """
    found = connection_of(transport)
    if found is not None:
        found.misdeed(kind, weight, once)
