"""Real ident servers say whose a connection is: oidentd, ident2 and bidentd, each asked by a guarded service."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from zope.interface import implementer

from netguard.application import connection_of
from netguard.clients.ident import IdentClient
from netguard.clients.places import Places
from netguard.wire.ident import IdentError, IdentReply, NoReply, UserId, WhyNot

if TYPE_CHECKING:
    from twisted.python.failure import Failure

PATIENCE = 60.0
LOOPBACK, ELSEWHERE = "127.0.0.1", "127.0.0.5"
"""Where the peer and its ident server are, and where the guarded service is."""
OWNER = pwd.getpwuid(os.getuid()).pw_name.encode()


def found(program: str) -> str | None:
    """Where a program is; servers may lie where not every user looks."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


async def until(condition: Callable[[], object], *, or_else: Callable[[], str] = str) -> None:
    """Let the reactor turn until something holds."""
    from twisted.internet import reactor

    clock = cast("Any", reactor)
    end = clock.seconds() + PATIENCE
    while not condition():
        if clock.seconds() > end:
            pytest.fail(f"it did not come about: {or_else()}")
        await deferLater(clock, 0.01)


@implementer(IReadDescriptor)
class Inetd:
    """Starts a program for each connection, which is the program's input and output: inetd(8), with nowait.

    Args:
        command: the program and its arguments.
    """

    def __init__(self, *command: str) -> None:
        self.command = command
        self.started: list[subprocess.Popen[bytes]] = []
        self.socket = socket.create_server((LOOPBACK, 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]

    def doRead(self) -> None:
        """Somebody asks."""
        with self.socket.accept()[0] as asks:
            asks.setblocking(True)
            both = asks.fileno()
            self.started.append(subprocess.Popen(self.command, stdin=both, stdout=both, stderr=subprocess.DEVNULL))

    def fileno(self) -> int:
        """For the reactor."""
        return self.socket.fileno()

    def connectionLost(self, reason: Failure) -> None:
        """For the reactor."""

    def logPrefix(self) -> str:
        """For the reactor."""
        return "inetd"


@contextmanager
def by_inetd(program: str, *options: str) -> Iterator[int]:
    """A server that knows only inetd, behind one; its port."""
    from twisted.internet import reactor

    where = found(program)
    assert where is not None
    inetd = Inetd(where, *options)
    cast("Any", reactor).addReader(inetd)
    try:
        yield inetd.port
    finally:
        cast("Any", reactor).removeReader(inetd)
        inetd.socket.close()
        for each in inetd.started:
            each.terminate()
            each.wait(PATIENCE)


@contextmanager
def oidentd(*options: str, host: str = LOOPBACK) -> Iterator[int]:
    """oidentd, which listens by itself; its port, once it does."""
    where = found("oidentd")
    assert where is not None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as free:
        port: int = free.getsockname()[1]
    command = [where, "--foreground", "--nosyslog", "--address", host, "--port", str(port), *options]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            _wait_for(process, host, port)
            yield port
        finally:
            process.terminate()


def _wait_for(process: subprocess.Popen[bytes], host: str, port: int) -> None:
    for _ in range(int(PATIENCE / 0.02)):
        try:
            socket.create_connection((host, port), PATIENCE).close()
        except ConnectionRefusedError:
            try:
                process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
        break
    process.terminate()
    pytest.fail(f"oidentd does not listen: {process.communicate()[1]!r}")


def needs(program: str) -> pytest.MarkDecorator:
    """Skip where a program is absent."""
    return pytest.mark.skipif(found(program) is None, reason=f"{program} is not installed")


has_oidentd = needs("oidentd")
SERVERS = [
    # oidentd writes no blanks; the others do, and one before a user id is the user id's (RFC 1413, section 6, note 1)
    pytest.param(oidentd, b"", marks=has_oidentd, id="oidentd"),
    pytest.param(lambda: by_inetd("ident2", "--force-inetd"), b" ", marks=needs("ident2"), id="ident2"),
    pytest.param(lambda: by_inetd("bidentd", "-qq"), b" ", marks=needs("bidentd"), id="bidentd"),
]
Serve = Callable[[], AbstractContextManager[int]]


@define(eq=False)
class Service:
    """A guarded service, and its applications.

    Attributes:
        address: where it listens.
        applications: those that were made.
    """

    address: tuple[str, int] = (LOOPBACK, 0)
    applications: list[Protocol] = field(factory=list)

    def claim(self) -> Any:
        """What is claimed of the one peer; None until that is known."""
        (application,) = self.applications
        connection = connection_of(application.transport)
        assert connection is not None
        return connection.peer.ident


class _Application(Protocol):
    """An application that knows its service."""

    def connectionMade(self) -> None:
        """One more."""
        cast("Any", self.factory).service.applications.append(self)


@asynccontextmanager
async def guarded(port: int, host: str = ELSEWHERE) -> AsyncIterator[Service]:
    """A service behind ``guard:``, which asks ident servers at that port."""
    from twisted.internet import reactor

    service = Service()
    factory: Any = Factory.forProtocol(_Application)
    factory.service = service
    kind, interface = ("tcp6", r"\:\:1") if ":" in host else ("tcp", host)
    text = f"guard:{kind}:0:interface={interface}:ident=log:ident-within={PATIENCE}s:ident-port={port}"
    listening: Any = await serverFromString(reactor, text).listen(factory)
    service.address = (host, listening.getHost().port)
    try:
        yield service
    finally:
        await listening.stopListening()


async def claim_of(service: Service, source: str = LOOPBACK) -> Any:
    """Connect, and see what is claimed; then go."""
    with socket.create_connection(service.address, PATIENCE, (source, 0)):
        await until(lambda: service.applications)
        await until(lambda: service.claim() is not None)
        return service.claim()


def asking(port: int) -> IdentClient:
    """A client that asks at that port."""
    from twisted.internet import reactor

    return IdentClient(reactor, port, PATIENCE, places=Places(10, 10))


@contextmanager
def pair() -> Iterator[tuple[IPv4Address, IPv4Address]]:
    """The two ends of a real connection of ours: the service's, and the peer's."""
    with (
        socket.create_server((ELSEWHERE, 0)) as listening,
        socket.create_connection(listening.getsockname(), PATIENCE, (LOOPBACK, 0)) as peer,
        listening.accept()[0],
    ):
        yield IPv4Address("TCP", *listening.getsockname()), IPv4Address("TCP", *peer.getsockname())


@pytest.mark.parametrize(("serve", "blank"), SERVERS)
async def test_the_owner_of_a_guarded_connection_is_named(serve: Serve, blank: bytes, logged: Any) -> None:
    """By the user's real name, which stands in the last event as a claim."""
    with serve() as port:
        async with guarded(port) as service:
            assert await claim_of(service) == UserId("UNIX", "US-ASCII", blank + OWNER)
            await until(lambda: logged.named("closed"))
    (event,) = logged.named("closed")
    assert (event["client.ident"], event["client.ident.claim"]) == ("claim", blank + OWNER)
    assert str(event["netguard"]).rpartition(" client.ident=")[2].startswith("claim client.ident.claim=")


@pytest.mark.parametrize(("serve", "blank"), SERVERS)
async def test_of_a_connection_that_is_none_nobody_is_named(serve: Serve, blank: bytes) -> None:
    """The same two machines, and ports that have nothing to do with one another."""
    with serve() as port, pair() as (local, remote):
        other = IPv4Address("TCP", remote.host, 1)
        assert await asking(port).query((local, other)) == IdentError("NO-USER")


@has_oidentd
async def test_whoever_asks_from_another_address_is_told_nothing() -> None:
    """That is why the guard asks from where the peer has connected to."""
    with oidentd() as port, pair() as (local, remote):
        client = asking(port)
        assert await client.query((local, remote)) == UserId("UNIX", "US-ASCII", OWNER)
        wrong = IPv4Address("TCP", "127.0.0.6", local.port)
        assert await client.query((wrong, remote)) == IdentError("NO-USER")


@has_oidentd
async def test_ipv6_is_asked_over_ipv6() -> None:
    """At the peer's own address."""
    with oidentd(host="::1") as port:
        async with guarded(port, "::1") as service:
            assert await claim_of(service, "::1") == UserId("UNIX", "US-ASCII", OWNER)


WORDS: list[tuple[list[str], IdentReply]] = [
    (["--charset=UTF-8"], UserId("UNIX", "UTF-8", OWNER)),
    (["--other"], UserId("OTHER", "US-ASCII", OWNER)),
    (["--reply-all=who: me"], UserId("UNIX", "US-ASCII", b"who: me")),
    (["--error", "--config=hide"], IdentError("UNKNOWN-ERROR")),
    (["--config=hide"], IdentError("HIDDEN-USER")),
    (["--reply-all=" + "u" * 600], NoReply(WhyNot.TOO_LONG)),
]


@has_oidentd
@pytest.mark.parametrize(("options", "reply"), WORDS, ids=[" ".join(each)[:40] for each, _ in WORDS])
async def test_whatever_an_operator_makes_of_it_is_told_apart(
    options: list[str], reply: IdentReply, tmp_path: Path
) -> None:
    """Other character sets and systems, made-up users, hidden ones, and errors for all."""
    hide = tmp_path / "oidentd.conf"
    hide.write_text("default { default { force hide } }\n")
    with oidentd(*(each.replace("hide", str(hide)) for each in options)) as port, pair() as (local, remote):
        assert await asking(port).query((local, remote)) == reply
