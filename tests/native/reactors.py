"""A program: ``reactors.py KIND`` serves by native transports under a reactor of a kind, in a group, and tells how."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import_module(f"twisted.internet.{sys.argv[1]}reactor").install()

from twisted.internet import reactor as _reactor  # noqa: E402
from twisted.internet.defer import ensureDeferred  # noqa: E402
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol  # noqa: E402
from twisted.internet.error import ConnectionLost  # noqa: E402
from twisted.internet.protocol import Factory  # noqa: E402
from twisted.internet.task import deferLater  # noqa: E402

from netguard.guards.lifetime import Lifetime  # noqa: E402
from netguard.native import port as ports  # noqa: E402
from netguard.native.group import Group  # noqa: E402
from netguard.policy import Policy  # noqa: E402
from netguard.testing import Application, Echo  # noqa: E402

reactor: Any = _reactor
made: list[Any] = []


def build() -> Any:
    """One more application."""
    made.append(Echo())
    return made[-1]


async def talk() -> None:
    """Four clients: each is echoed, one goes, and the others are there when the reactor stops."""
    factory = Factory()
    factory.protocol = build
    port = reactor.listenTCP(0, Policy(Lifetime("1h")).wrap(factory), interface="127.0.0.1")
    assert ports.take_over(port)
    clients: list[Any] = []
    for _ in range(4):
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        clients.append(await connectProtocol(endpoint, Application()))
        clients[-1].transport.write(b"hello")
    while not all(each.received == b"hello" for each in clients):
        await deferLater(reactor, 0.001)
    assert {type(each.transport.reactor) for each in made} == {Group}
    clients[0].transport.loseConnection()
    while not made[0].reason:
        await deferLater(reactor, 0.001)


def failed(why: Any) -> None:
    """Say so."""
    why.printTraceback()


ensureDeferred(talk()).addErrback(failed).addBoth(lambda _: reactor.stop())
reactor.callLater(20, reactor.stop)
reactor.run()
lost = sum(type(each.reason) is ConnectionLost for each in made)
sys.stdout.write(f"grouped: echoed, closed, {lost} lost at the end\n")
