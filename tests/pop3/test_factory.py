"""POP3 sessions over real sockets: plain, through TLS, and against clients that misbehave."""

from __future__ import annotations

import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any, cast

import pytest
import trustme
from pytest_twisted import async_yield_fixture
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory

from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.login_timeout import LoginTimeout
from netguard.guards.refusal import Refusal
from netguard.guards.write_stall import WriteStall
from netguard.policy import Policy
from netguard.process.tls import ServerTLS, server_tls
from netguard.wire import apop, pop3

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from netguard.pop3.session import Pop3Session
    from tests.conftest import Logged
    from tests.pop3.doubles import World

PATIENCE = 10.0


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signed the server's certificate."""
    return trustme.CA()


@pytest.fixture
def options(authority: trustme.CA, tmp_path: Path) -> ServerTLS:
    """What the server does TLS with."""
    pem = tmp_path / "server.pem"
    pem.touch(mode=0o600)
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    return server_tls(pem)


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    """What a client does TLS with."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


class Service:
    """A listening POP3 service on a loopback port or a path."""

    def __init__(
        self,
        world: World,
        *,
        tls: object = None,
        implicit: ServerTLS | None = None,
        path: str = "",
        guards: Policy | None = None,
    ) -> None:
        from twisted.internet import reactor

        self._reactor = cast("Any", reactor)
        self.sessions: list[Pop3Session] = []
        world.tls = tls
        factory = world.factory()
        build = factory.buildProtocol

        def remembered(addr: Any) -> Pop3Session:
            self.sessions.append(build(addr))
            return self.sessions[-1]

        factory.buildProtocol = remembered  # type: ignore[method-assign]
        outer: Any = factory if guards is None else guards.wrap(factory)
        if implicit is not None:
            outer = TLSMemoryBIOFactory(implicit, False, outer)
        if path:
            self._port = self._reactor.listenUNIX(path, outer)
        else:
            self._port = self._reactor.listenTCP(0, outer, interface="127.0.0.1")
            self.number = self._port.getHost().port

    async def until(self, true: Callable[[], object]) -> None:
        """Wait, for a bounded time, for something to become true."""
        for _ in range(int(PATIENCE / 0.01)):
            if true():
                return
            await deferLater(self._reactor, 0.01)
        pytest.fail("it never happened")

    async def stop(self) -> None:
        """Listen no more and abort what is left."""
        await (self._port.stopListening() or succeed(None))
        for session in self.sessions:
            if not session._lost:
                session.transport.abortConnection()
        await self.until(lambda: all(session._lost for session in self.sessions))


@async_yield_fixture  # type: ignore[untyped-decorator]
async def serve(world: World) -> AsyncIterator[Callable[..., Service]]:
    """Starts services that end with the test."""
    services: list[Service] = []

    def start(**how: Any) -> Service:
        services.append(Service(world, **how))
        return services[-1]

    yield start
    for service in services:
        await service.stop()


class Peer:
    """A blocking client; its methods are for threads."""

    def __init__(self, service: Service) -> None:
        self.socket = socket.create_connection(("127.0.0.1", service.number), PATIENCE)
        self.greeting = self.line()

    def line(self) -> bytes:
        """One line, or what came before the end."""
        got = b""
        while not got.endswith(b"\r\n") and (more := self.socket.recv(1)):
            got += more
        return got

    def rest(self) -> bytes:
        """All that comes until the other side ends."""
        got = b""
        try:
            while more := self.socket.recv(65_536):
                got += more
        except ConnectionResetError:
            pass
        self.socket.close()
        return got

    def ask(self, command: bytes) -> bytes:
        """Send a command and read one line."""
        self.socket.sendall(command + b"\r\n")
        return self.line()

    def login(self) -> None:
        """Log in as alice."""
        stamp = self.greeting[self.greeting.index(b"<") : self.greeting.index(b">") + 1]
        assert self.ask(b"APOP alice " + apop.digest(stamp, b"wonder land")).startswith(b"+OK")

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Switch to TLS."""
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")

    def reset(self) -> None:
        """Go away with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def in_thread(work: Callable[[], Any]) -> Deferred[Any]:
    """Do a client's blocking work."""
    return deferToThread(work)


async def test_plain_session(world: World, serve: Callable[..., Service]) -> None:
    """A whole session over TCP, with small segments leaving at once."""
    service = serve()

    def work() -> bytes:
        peer = Peer(service)
        peer.login()
        peer.socket.sendall(b"RETR 1\r\nDELE 1\r\nQUIT\r\n")
        return peer.rest()

    said = await in_thread(work)
    assert said.endswith(b"body\r\n.\r\n+OK deleted at QUIT\r\n+OK bye\r\n")
    assert world.mailbox.committed == [(0,)]
    await service.until(lambda: world.reported("session"))
    assert world.reported("session")[0]["reason"] == "quit"


async def test_no_delay_is_set(serve: Callable[..., Service]) -> None:
    """TCP_NODELAY is on at the real socket."""
    service = serve()
    peer = await in_thread(lambda: Peer(service))
    assert service.sessions[0].transport.getTcpNoDelay()
    peer.socket.close()


async def test_unix_socket(world: World, serve: Callable[..., Service], tmp_path: Path) -> None:
    """A UNIX socket, which has no TCP_NODELAY, serves as well."""
    service = serve(path=str(tmp_path / "s"))

    def work() -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(tmp_path / "s"))
            client.sendall(b"QUIT\r\n")
            got = b""
            while more := client.recv(1000):
                got += more
            return got

    assert (await in_thread(work)).endswith(b"+OK bye\r\n")
    await service.until(lambda: world.reported("session"))
    assert world.reported("session")[0]["client.address"] == "unix"


async def test_stls(world: World, serve: Callable[..., Service], options: ServerTLS, trusting: ssl.SSLContext) -> None:
    """After STLS a password logs in, messages and listings come whole, and STLS is not offered again."""
    world.opener.mails = [world.opener.mails[0]] * 30_000
    service = serve(tls=options)

    def work() -> bytes:
        peer = Peer(service)
        assert peer.ask(b"USER alice").startswith(b"-ERR [SYS/PERM]")
        assert peer.ask(b"STLS") == b"+OK begin TLS\r\n"
        peer.start_tls(trusting)
        peer.socket.sendall(b"CAPA\r\nUSER alice\r\nPASS wonder land\r\nLIST\r\nRETR 2\r\nQUIT\r\n")
        return peer.rest()

    said = await in_thread(work)
    head, _, tail = said.partition(b"+OK and the password\r\n+OK logged in\r\n")
    assert b"STLS" not in head
    assert b"\r\nUSER\r\n" in head
    listing = b"".join(b"%d 120\r\n" % number for number in range(1, 30_001))
    assert tail.startswith(b"+OK listing follows\r\n" + listing + b".\r\n+OK message follows\r\n")
    assert tail.endswith(b".\r\n+OK bye\r\n")


async def test_implicit_tls(
    world: World, serve: Callable[..., Service], options: ServerTLS, trusting: ssl.SSLContext
) -> None:
    """On a TLS port a password logs in at once, and STLS is not offered."""
    service = serve(tls=options, implicit=options)

    def work() -> bytes:
        plain = socket.create_connection(("127.0.0.1", service.number), PATIENCE)
        with trusting.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b"CAPA\r\nSTLS\r\nUSER alice\r\nPASS wonder land\r\nQUIT\r\n")
            got = b""
            while more := client.recv(65_536):
                got += more
            return got

    said = await in_thread(work)
    assert b"\r\nSTLS\r\n" not in said
    assert said.endswith(b"-ERR TLS is on already\r\n+OK and the password\r\n+OK logged in\r\n+OK bye\r\n")


async def test_commands_injected_behind_stls(world: World, serve: Callable[..., Service], options: ServerTLS) -> None:
    """What an attacker puts behind STLS in its segment is never answered, neither in clear nor through TLS."""
    service = serve(tls=options)

    def work() -> bytes:
        peer = Peer(service)
        peer.socket.sendall(b"STLS\r\nUSER alice\r\nPASS wonder land\r\n")
        return peer.rest()

    assert await in_thread(work) == b""
    assert world.accounts.asked == []
    assert [each["problem"] for each in world.reported("malformed")] == ["data behind STLS"]
    await service.until(lambda: world.reported("session"))


async def test_commands_injected_into_the_handshake(
    world: World, serve: Callable[..., Service], options: ServerTLS
) -> None:
    """Plain commands instead of a handshake end the connection; none is obeyed and nothing is logged as ours."""
    service = serve(tls=options)

    def work() -> bytes:
        peer = Peer(service)
        assert peer.ask(b"STLS") == b"+OK begin TLS\r\n"
        peer.socket.sendall(b"USER alice\r\nPASS wonder land\r\nSTAT\r\n")
        return peer.rest()

    assert b"OK" not in await in_thread(work)
    assert world.accounts.asked == []
    await service.until(lambda: world.reported("session"))
    assert world.reported("error") == []


async def test_client_that_does_not_read(world: World, serve: Callable[..., Service]) -> None:
    """A client that pipelines without end and reads nothing is stopped by its own send buffer; all is bounded."""
    big = b"x" * 65_536
    world.opener.mails[0].chunks = [*([big] * 400), b".\r\n"]
    service = serve()

    def flood() -> tuple[Peer, int]:
        peer = Peer(service)
        peer.login()
        peer.socket.sendall(b"DELE 2\r\nRETR 1\r\n")
        peer.socket.settimeout(1.0)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += peer.socket.send(b"NOOP\r\n" * 10_000)
        except TimeoutError:
            pass
        return peer, sent

    peer, sent = await in_thread(flood)
    assert sent < 64 << 20
    session = service.sessions[0]
    assert session._machine.pending <= 65_536 + pop3.ENOUGH
    assert world.mailbox.readings[0].taken < 400
    assert world.opener.in_use == {"alice"}
    peer.reset()
    session.transport.abortConnection()
    await service.until(lambda: not world.opener.in_use)
    assert world.mailbox.committed == []


async def test_slow_reader_gets_everything_in_order(world: World, serve: Callable[..., Service]) -> None:
    """Behind messages that are read late, thousands of commands are answered, in order and complete."""
    big = b"x" * 65_536
    world.opener.mails[0].chunks = [*([big] * 30), b".\r\n"]
    service = serve()
    rounds = 5

    def work() -> bytes:
        peer = Peer(service)
        peer.login()
        peer.socket.settimeout(0.02)
        unsent = (b"RETR 1\r\n" + b"NOOP\r\n" * 30_000) * rounds + b"QUIT\r\n"
        got = bytearray()
        while unsent:
            try:
                unsent = unsent[peer.socket.send(unsent) :]
            except TimeoutError:
                got += peer.socket.recv(1 << 20)
        peer.socket.settimeout(PATIENCE)
        return bytes(got) + peer.rest()

    message = b"+OK message follows\r\n" + big * 30 + b".\r\n"
    assert await in_thread(work) == (message + b"+OK\r\n" * 30_000) * rounds + b"+OK bye\r\n"


async def test_reset_deletes_nothing_and_frees_the_mailbox(world: World, serve: Callable[..., Service]) -> None:
    """A reset gives the mailbox back at once and removes nothing."""
    service = serve()

    def work() -> None:
        peer = Peer(service)
        peer.login()
        assert peer.ask(b"DELE 1").startswith(b"+OK")
        peer.reset()

    await in_thread(work)
    await service.until(lambda: not world.opener.in_use)
    assert world.mailbox.committed == []
    assert world.mailbox.released == 1


async def test_close_behind_dele_and_quit(world: World, serve: Callable[..., Service]) -> None:
    """DELE and QUIT in one segment, followed by a close at once, delete."""
    service = serve()

    def work() -> None:
        peer = Peer(service)
        peer.login()
        peer.socket.sendall(b"DELE 1\r\nQUIT\r\n")
        peer.socket.close()

    await in_thread(work)
    await service.until(lambda: world.reported("session"))
    assert world.mailbox.committed == [(0,)]


async def test_under_guards(
    world: World,
    serve: Callable[..., Service],
    options: ServerTLS,
    trusting: ssl.SSLContext,
    logged: Logged,
) -> None:
    """Under guards all works as without them; they learn of the login, and events share the session's number."""
    service = serve(tls=options, guards=Policy(LoginTimeout("10s"), WriteStall("10s"), IdleTimeout("10s")))

    def work() -> bytes:
        peer = Peer(service)
        assert peer.ask(b"STLS") == b"+OK begin TLS\r\n"
        peer.start_tls(trusting)
        peer.socket.sendall(b"USER alice\r\nPASS wonder land\r\nRETR 1\r\nQUIT\r\n")
        return peer.rest()

    assert (await in_thread(work)).endswith(b".\r\n+OK bye\r\n")
    await service.until(lambda: world.reported("session"))
    (settled,) = logged.named("settled")
    assert world.reported("session")[0]["session"] == settled["session"]


def test_a_refusal_is_an_answer_of_pop3(world: World) -> None:
    """On one line of ASCII, no longer than an answer may be; guards ask for it."""
    factory = world.factory()
    assert factory.refusal_text("come back later") == b"-ERR [SYS/TEMP] come back later\r\n"
    assert factory.refusal_text("später") == b"-ERR [SYS/TEMP] sp?ter\r\n"
    assert len(factory.refusal_text("x" * 512)) == 512
    guarded = Policy(Refusal("text:come back later")).wrap(factory)
    assert guarded.answer == b"-ERR [SYS/TEMP] come back later\r\n"


def test_quiet(world: World) -> None:
    """The factory starts and stops without a line of its own, and its sessions know it."""
    factory = world.factory()
    assert not factory.noisy
    assert factory.buildProtocol(None).factory is factory
