"""The ident client that the connections of one service share, made when the first peer is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress

from netguard.clients.ident import IdentClient
from netguard.errors import ContradictoryOptions
from netguard.wire.ident import IdentReply


class Idents:
    """Asks for the idents of a service's peers.

    Until somebody is to be asked, no reactor is needed.

    Args:
        clock: answers the reactor, once it is needed.
    """

    def __init__(self, clock: Callable[[], Any]) -> None:
        self._clock = clock
        self._settings: dict[str, Any] = {}
        self._client: IdentClient | None = None

    def settle(self, port: int, within: float) -> None:
        """Say how to ask.

        Args:
            port: where ident servers listen.
            within: seconds for one query.

        Raises:
            ContradictoryOptions: something else was said before.
        """
        for flag, setting, value in (("ident-port", "port", port), ("ident-within", "within", within)):
            if self._settings.setdefault(setting, value) != value:
                message = f"option {flag}: the machines of one service's peers are asked in one way, not in two"
                raise ContradictoryOptions(message)
        self._client = None  # one that was made before did not know; what it has under way goes on

    def query(self, local: IAddress, remote: IAddress) -> Deferred[IdentReply]:
        """Ask whose connection it is; see :meth:`netguard.clients.ident.IdentClient.query`."""
        if self._client is None:
            self._client = IdentClient(self._clock(), **self._settings)
        return self._client.query((local, remote))
