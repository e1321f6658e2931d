"""What a port does when nobody can be accepted: descriptors are short, say, as they are under attack."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.threads import deferToThread

from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.refusal import Refusal
from netguard.native.server import Server
from netguard.policy import Policy
from netguard.testing import Echo
from tests.native.test_secure import asked, listen

if TYPE_CHECKING:
    from tests.native.conftest import Ground


class Short:
    """A listening socket that fails once.

    Args:
        listening: the real one.
        code: why.
    """

    def __init__(self, listening: Any, code: int) -> None:
        self._listening = listening
        self._failures = [OSError(code, os.strerror(code))]

    def __getattr__(self, name: str) -> Any:
        """Everything else."""
        return getattr(self._listening, name)

    def _accept(self) -> Any:
        if self._failures:
            raise self._failures.pop()
        return self._listening._accept()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EPERM])
async def test_who_comes_behind_a_failure_gets_in_as_any_other(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Descriptors were short for a moment, or a firewall took somebody out of the queue; limits count, too."""
    port = ground.listen(Echo, Policy(ConnectionLimit(total=1), Refusal("reset")))
    monkeypatch.setattr(port, "socket", Short(port.socket, code))
    client, application = await ground.connect(port)
    assert type(application.transport) is Server
    client.send(b"x")
    assert await ground.read(client, 1) == b"x"
    with pytest.raises(ConnectionResetError):
        await ground.read(ground.dial(port), 1)
    application.transport.loseConnection()
    assert await ground.read(client, 1) == b""  # not a reset
    monkeypatch.undo()


async def test_nobody_is_served_in_clear_behind_a_failure(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where TLS comes first, it does so for whoever is accepted."""
    port = listen(ground, Echo)
    monkeypatch.setattr(port, "socket", Short(port.socket, errno.EMFILE))
    client = ground.dial(port)
    client.send(b"clear as day")
    assert await ground.read(client, 100) == b""
    assert await deferToThread(asked, port, b"hello") == (b"hello", "mine")
    monkeypatch.undo()


async def test_what_fails_for_good_is_logged(ground: Ground, monkeypatch: pytest.MonkeyPatch, logged: Any) -> None:
    """As Twisted does; the port goes on."""
    port = ground.listen(Echo)
    with socket.socket() as deaf:
        monkeypatch.setattr(port, "socket", deaf)
        port.doRead()
        monkeypatch.undo()
    assert len(logged.take_failures(OSError)) == 1
    client, _ = await ground.connect(port)
    client.send(b"x")
    assert await ground.read(client, 1) == b"x"
