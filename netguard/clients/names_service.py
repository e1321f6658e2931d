"""The resolver that the guards of one service share, made when the first peer's name is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from netguard.clients.names import WITHIN, VerifiedResolver
from netguard.clients.socks import through
from netguard.errors import ContradictoryOptions
from netguard.proxy_url import proxy_of
from netguard.verdict import Verdict


class Names:
    """Looks up the names of a service's peers.

    Until somebody asks, nothing is read and no reactor is needed.

    Args:
        clock: answers the reactor, once it is needed.
    """

    def __init__(self, clock: Callable[[], Any]) -> None:
        self._clock = clock
        self._settings: dict[str, Any] = {}
        self._resolver: VerifiedResolver | None = None

    def settle(
        self, servers: tuple[tuple[str, int], ...] | None, within: float | None, proxy: str | None = None
    ) -> None:
        """Say how to look names up; what is None stays as it is.

        Args:
            servers: the name servers; else those of the machine.
            within: seconds for one look-up.
            proxy: how to reach the servers, over TCP: a URL, or ``env``; else directly, over UDP.

        Raises:
            ContradictoryOptions: something else was said before.
        """
        given = (("dns", "servers", servers), ("names-within", "within", within), ("dns-proxy", "proxy", proxy))
        for flag, setting, value in given:
            if value is None:
                continue
            if self._settings.setdefault(setting, value) != value:
                message = f"option {flag}: the names of one service's peers are looked up in one way, not in two"
                raise ContradictoryOptions(message)
            self._resolver = None  # one that was made before did not know; what it has under way goes on

    def verify(self, host: str) -> Deferred[Verdict]:
        """Find out the verified name of an address; see :meth:`netguard.clients.names.VerifiedResolver.verify`."""
        if self._resolver is None:
            self._resolver = self._made()
        return self._resolver.verify(host)

    def _made(self) -> VerifiedResolver:
        reactor, within = self._clock(), self._settings.get("within", WITHIN)
        proxy = self._settings.get("proxy")
        connect = None if proxy is None else through(reactor, proxy_of(proxy), within)
        return VerifiedResolver(reactor, self._settings.get("servers"), within, connect=connect)

    def close(self) -> None:
        """Give up the look-ups that are under way."""
        if self._resolver is not None:
            self._resolver.close()
