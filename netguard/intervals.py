"""What goes on for a while on a connection; most have none of it, and share what says so."""

from __future__ import annotations

from attrs import define, frozen


@frozen
class Pauses:
    """Who holds which direction of a connection back.

    Args:
        held: the holders, each with its direction.
        deaf_since: the moment since which nobody reads; None while somebody does.
    """

    held: frozenset[tuple[str, str]] = frozenset()
    deaf_since: float | None = None


NO_PAUSES = Pauses()


@define
class Handshake:
    """A TLS handshake.

    Args:
        since: when it began.
        parting: whether it is the one at the end: the peer is to say that it closes, too.
    """

    since: float
    parting: bool = False
