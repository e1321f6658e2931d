"""Fetch a page through the proxy that ALL_PROXY names: python fetch.py URL."""

from __future__ import annotations

import os
import sys
from typing import Any

from attrs import frozen
from netguard.clients.socks import SOCKSEndpoint
from netguard.proxy_url import url_of
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import react
from twisted.web.client import URI, Agent, readBody
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer


@implementer(IAgentEndpointFactory)
@frozen
class ThroughProxy:
    """Leads every request through a proxy; TLS goes on to the server itself, whose name is verified.

    Args:
        reactor: connects.
        proxy: the proxy's URL.
        trust: the certificates to believe; those of the machine unless given.
    """

    reactor: Any
    proxy: str
    trust: Any = None

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """The way to a server."""
        host = uri.host.decode("ascii").strip("[]")
        tunnel = SOCKSEndpoint.from_url(self.reactor, self.proxy, host, uri.port)
        if uri.scheme == b"http":
            return tunnel
        endpoint: IStreamClientEndpoint = wrapClientTLS(optionsForClientTLS(host, trustRoot=self.trust), tunnel)
        return endpoint


async def fetch(reactor: Any, proxy: str, url: str, trust: Any = None) -> bytes:
    """The page."""
    agent: Any = Agent.usingEndpointFactory(reactor, ThroughProxy(reactor, proxy, trust))
    response = await agent.request(b"GET", url.encode("ascii"))
    page: bytes = await readBody(response)
    return page


async def show(reactor: Any) -> None:
    """Show it."""
    print((await fetch(reactor, url_of(os.environ), sys.argv[1])).decode(errors="replace"))


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(show(reactor)))
