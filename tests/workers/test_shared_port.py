"""A port of the parent's."""

from __future__ import annotations

import socket

import pytest
from twisted.internet.interfaces import IListeningPort
from zope.interface.verify import verifyObject

from netguard.process.newcomers import is_shared
from netguard.workers.shared_port import SharedPort
from netguard.workers.sockets import opened


@pytest.mark.parametrize("interface", ["127.0.0.1", "::1"])
def test_it_stands_for_all_sockets_until_it_is_closed(interface: str) -> None:
    """And accepts nobody itself."""
    sockets = opened(interface, 0, 50, 3)
    port = SharedPort((interface, 0), sockets, None, native=True)
    verifyObject(IListeningPort, port)
    assert (port.getHost().host, port.getHost().port) == (interface, sockets[0].getsockname()[1])
    assert port.socket is sockets[0]
    assert port.fileno() == sockets[0].fileno()
    assert [port.of(at, 2) for at in range(2)] == [tuple(each.fileno() for each in sockets[at::2]) for at in range(2)]
    assert is_shared(port)
    port.startListening()
    port.startReading()
    port.stopReading()
    with socket.create_connection(port.socket.getsockname()[:2]):
        assert port.connected
    port.stopListening()
    port.stopListening()
    assert (port.connected, port.sockets, port.fileno()) == (False, [], -1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((interface, port.getHost().port))
