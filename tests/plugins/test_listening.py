"""The ports of netguard's own services."""

from __future__ import annotations

import io
import socket
import sys
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


def test_an_uncaught_error_is_one_line(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    """When nobody catches it, it is one line in the log and on the terminal; other exceptions are as before."""
    others: list[BaseException] = []
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: others.append(error))
    monkeypatch.setattr(sys, "__stderr__", terminal)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/twistd"])
    with pytest.raises(CannotServeError) as caught:
        service("tcp:0:interface=192.0.2.1").privilegedStartService()
    other = ValueError("another")
    sys.excepthook(ValueError, other, None)
    assert others == [other]
    assert terminal.getvalue() == ""
    sys.excepthook(CannotServeError, caught.value, None)
    assert others == [other]
    line = "Cannot assign requested address: cannot listen on as written: tcp:0:interface=192.0.2.1"
    assert terminal.getvalue() == f"twistd: {line}\n"
    assert [str(event["error"]) for event in logged.events if "error" in event] == [line]
    monkeypatch.setattr(sys, "__stderr__", None)  # where there is no terminal, the log has it
    sys.excepthook(CannotServeError, caught.value, None)
