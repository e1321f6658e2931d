"""What an application says about the peer behind its transport; harmless where no guard is around."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netguard.connection import Connection

if TYPE_CHECKING:
    from netguard.errors import Reason

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


def note(transport: object, name: str, **about: object) -> None:
    """Have fields stand in every event of a connection from here on; without guards there are no events.

    Args:
        transport: what an application has as ``self.transport``.
        name: the event that tells them first.
        about: the fields. What a peer could choose does not belong here.
    """
    found = connection_of(transport)
    if found is not None:
        found.note(about)
        found.house.report(found, name)


def cut(transport: Any, reason: Reason) -> None:
    """End a connection now, by an abort; where no guard is around, nobody is told why.

    Args:
        transport: what an application has as ``self.transport``.
        reason: why.
    """
    found = connection_of(transport)
    if found is None:
        transport.abortConnection()
    else:
        found.cut(reason)


def turn_away(transport: Any, reason: Reason) -> None:
    """End a connection that cannot be served, as those are that guards refuse; without guards it is closed.

    Args:
        transport: what an application has as ``self.transport``.
        reason: why.
    """
    found = connection_of(transport)
    if found is None:
        transport.loseConnection()
    else:
        found.turn_away(reason)
