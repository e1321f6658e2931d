"""Tests for netguard.process.control: who may come in, over real sockets."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from netguard.process import control as controls
from netguard.process.commands import Command
from netguard.process.control import CLIENTS, REST, Control
from netguard.process.peer_credentials import Credentials
from netguard.process.private_socket import PrivateSocket, SocketError
from netguard.service import Service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Client(Protocol):
    """What the other end sends, line by line."""

    def __init__(self) -> None:
        self.lines: list[Any] = []
        self.lost: Deferred[None] = Deferred()
        self._buffer = b""
        self._wanted: list[tuple[int, Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        self.lines += [json.loads(each) for each in lines]
        for count, wanted in self._wanted:
            if len(self.lines) >= count and not wanted.called:
                wanted.callback(None)

    def connectionLost(self, reason: object = None) -> None:
        """It is over."""
        self.lost.callback(None)

    async def ask(self, line: bytes) -> Any:
        """Give a command; the answer."""
        assert self.transport is not None
        self.transport.write(line + b"\n")
        wanted: Deferred[None] = Deferred()
        self._wanted.append((len(self.lines) + 1, wanted))
        await wanted
        return self.lines[-1]


class Running:
    """A control socket in the reactor of this process."""

    def __init__(self, path: Path) -> None:
        from twisted.internet import reactor

        self.reactor: Any = reactor
        self.path = path
        table = (
            Command("echo", "", "Answer.", lambda _: {}),
            Command("flood", "", "Answer much.", lambda _: {"much": "x" * 10_000_000}),
        )
        service = Service(lambda: self.reactor)
        self.control = Control(PrivateSocket(path, alone=True), table, service, self.reactor)
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        """A client comes."""
        client: Client = await connectProtocol(UNIXClientEndpoint(self.reactor, str(self.path)), Client())
        self.clients.append(client)
        return client


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket is."""
    return tmp_path / "control"


async def _running(path: Path) -> AsyncIterator[Running]:
    running = Running(path)
    running.control.privilegedStartService()
    running.control.startService()
    yield running
    await running.control.stopService()
    for each in running.clients:
        await each.lost


async def test_a_client_comes_asks_and_is_ended_with_the_service(path: Path) -> None:
    """Its socket's name goes, too."""
    async for running in _running(path):
        client = await running.connect()
        assert await client.ask(b"echo") == {"ok": True}
        assert len(running.control.sessions) == 1
    assert not path.exists()
    assert not running.control.sessions


async def test_who_does_not_read_the_last_answer_is_not_waited_for(path: Path) -> None:
    """Longer than a moment."""
    running = Running(path)
    running.control.privilegedStartService()
    running.control.startService()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.sendall(b"flood\n")
        client = await running.connect()
        assert await client.ask(b"echo") == {"ok": True}
        await running.control.stopService()
        await client.lost
    assert not running.control.sessions


async def test_there_are_so_many_clients_and_no_more(path: Path) -> None:
    """The one too many is told so; when one goes, another may come."""
    async for running in _running(path):
        for _ in range(CLIENTS):
            assert await (await running.connect()).ask(b"echo") == {"ok": True}
        more = await running.connect()
        await more.lost
        assert more.lines == [{"ok": False, "error": "there are 8 clients already"}]
        assert running.clients[0].transport is not None
        running.clients[0].transport.loseConnection()
        while len(running.control.sessions) == CLIENTS:
            await running.clients[1].ask(b"echo")
        assert await (await running.connect()).ask(b"echo") == {"ok": True}


async def test_other_users_are_turned_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if somebody has opened the socket to them."""
    async for running in _running(path):
        monkeypatch.setattr(controls, "credentials", lambda _: Credentials(1, os.geteuid() + 7, 7))
        client = await running.connect()
        await client.lost
        assert client.lines == [{"ok": False, "error": f"user {os.geteuid() + 7} may not control this service"}]
        assert not running.control.sessions


_AS_NOBODY = """
import os, socket, sys
os.setgroups([]), os.setgid(65534), os.setuid(65534)
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    print(sock.recv(1000).decode())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_somebody_else_is_kept_away_by_the_mode_and_by_the_kernels_word() -> None:
    """A process that has really become another user; the second time, the socket has been opened to all."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "control"
        command = [sys.executable, "-c", _AS_NOBODY, str(path)]
        async for _ in _running(path):
            kept: Any = await deferToThread(subprocess.run, command, capture_output=True, text=True, check=False)
            assert "PermissionError" in kept.stderr
            path.chmod(0o666)
            refused: Any = await deferToThread(subprocess.run, command, capture_output=True, text=True, check=False)
            assert json.loads(refused.stdout)["error"] == "user 65534 may not control this service"


async def test_one_that_comes_and_goes_at_once_disturbs_nobody(path: Path) -> None:
    """With or without having said something; a half-closed one ends."""
    async for running in _running(path):
        for data in (b"", b"echo", b"echo\n", b"x" * 100_000):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                sock.setblocking(False)
                if data:
                    sock.send(data)
        client = await running.connect()
        assert await client.ask(b"echo") == {"ok": True}
        while len(running.control.sessions) > 1:
            await client.ask(b"echo")


async def test_who_reads_nothing_holds_nothing_up(path: Path) -> None:
    """Its answers wait in its own queue."""
    async for running in _running(path):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.setblocking(False)
            sock.send(b"echo\n" * 2000)
            client = await running.connect()
            assert await client.ask(b"echo") == {"ok": True}


class Short:
    """The reactor of a process that has no descriptor left, and its time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.readers: set[object] = set()

    def adoptStreamConnection(self, *_: object) -> None:
        """There is none for one more client."""
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def callLater(self, *call: Any) -> Any:
        """Wait."""
        return self.clock.callLater(*call)

    def addReader(self, reader: object) -> None:
        """Listen."""
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:
        """Listen no more."""
        self.readers.discard(reader)


def test_a_process_without_descriptors_says_so_and_rests(path: Path) -> None:
    """No place is lost for a client that could not be taken, and the loop is not kept busy by one that waits."""
    running = Running(path)
    control = running.control
    control._reactor = short = Short()
    control.privilegedStartService()
    control.startService()
    for _ in range(CLIENTS + 1):
        assert short.readers == {control}
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            control.doRead()
            assert json.loads(sock.recv(1000))["error"] == "the service cannot take a client: Too many open files"
        assert short.readers == set()
        short.clock.advance(REST)
    control.doRead()  # nobody is there
    assert (control.sessions, short.readers) == (set(), {control})
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        control.doRead()
    control.stopService()
    assert (short.clock.getDelayedCalls(), short.readers) == ([], set())


async def test_a_service_that_never_started_stops(path: Path) -> None:
    """And one whose socket cannot be had does not start."""
    running = Running(path)
    await running.control.stopService()
    assert running.control.fileno() == -1
    running.control.doRead()
    path.write_text("in the way")
    with pytest.raises(SocketError):
        running.control.privilegedStartService()
