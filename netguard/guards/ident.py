"""Who the peer's machine says that the peer is (RFC 1413): a claim, for the log."""

from __future__ import annotations

from typing import Any

from netguard.guard import Connection, Guard, House, Opener, frozen
from netguard.options import choice, option
from netguard.units import duration, port
from netguard.wire.ident import PORT, NoReply, WhyNot


@frozen
class Ident(Guard):
    """Ask the ident server on each peer's machine whose connection it is, and log what it claims.

    Nobody waits for the answer, and nothing is decided by it. It is at ``connection.peer.ident`` as soon as it has
    come, and in the events from there on. Peers without a TCP address, and those that a proxy has announced, are not
    asked about: the machine behind a proxy does not know of this connection.

    Args:
        ident: ``log``.
        within: seconds for one query, all of it; the end of the connection is its end, too.
        port: where ident servers listen: 113, which services(5) calls ``auth``, unless given.
    """

    ident: str = option("ident", choice("log"), "Ask each peer's machine who the peer is, and log what it claims.")
    within: float = option(
        "ident-within", duration, "Stop waiting for a peer's ident server after this long.", default=5.0
    )
    port: int = option("ident-port", port, "Ask ident servers at this port.", default=PORT)

    def install(self, house: House) -> Opener:
        """Tell the service's client how to ask."""
        if house.ident is None:
            return _nothing
        house.ident.settle(self.port, self.within)
        return Asking(house.ident).open


class Asking:
    """Asks while the connections go on.

    Args:
        idents: the service's client.
    """

    def __init__(self, idents: Any) -> None:
        self.idents = idents

    async def open(self, connection: Connection) -> None:
        """Begin to ask, as soon as there is a transport; which is all that the connection waits for."""
        if connection.peer.claimed is not None:
            connection.learn(ident=NoReply(WhyNot.NOT_ASKED))
            return
        asking = self.idents.query(connection.local, connection.address)
        asking.addCallbacks(lambda reply: connection.learn(ident=reply), _nothing)
        if not asking.called:
            connection.at_end(lambda _: asking.cancel())


def _nothing(_: object) -> None:
    """Nobody is asked; or the connection has ended before the answer, and nobody waits for it."""
