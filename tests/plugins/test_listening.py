"""The ports of netguard's own services."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol

from netguard.plugins.listening import CannotServeError, ListeningService

if TYPE_CHECKING:
    from tests.conftest import Logged


def service(where: str) -> Any:
    """One on an endpoint."""
    from twisted.internet import reactor

    return ListeningService(serverFromString(reactor, where), Factory.forProtocol(Protocol), f"as written: {where}")


async def test_tells_its_port(logged: Logged) -> None:
    """Once it listens, the log has the real address, and whoever waits has the port."""
    listening = service("tcp:0:interface=127.0.0.1")
    listening.privilegedStartService()
    listening.startService()
    port = await listening.listening
    (event,) = logged.named("listening")
    assert event["server.address"] == "127.0.0.1"
    assert event["server.port"] == port.getHost().port
    await maybeDeferred(listening.stopService)


def test_a_port_in_use() -> None:
    """A port that cannot be had is an error whose text has the reason first and the endpoint as it was written."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        where = f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"
        with pytest.raises(CannotServeError) as caught:
            service(where).privilegedStartService()
    assert str(caught.value) == f"Address already in use: cannot listen on as written: {where}"


def test_a_socket_that_cannot_be(tmp_path: Path) -> None:
    """A UNIX socket in a folder that is not there is such an error, too."""
    with pytest.raises(CannotServeError, match="No such file or directory: cannot listen on"):
        service(f"unix:{tmp_path}/none/socket").privilegedStartService()
