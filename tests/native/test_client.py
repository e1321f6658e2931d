"""What is promised of PromptClient: what is written leaves at once, and all else is as Twisted's."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, clientFromString
from twisted.internet.error import ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as RefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock, deferLater
from twisted.internet.tcp import makeBinding
from twisted.internet.testing import MemoryReactor

from netguard.native.client import PromptClient, PromptEndpoint, prompt
from netguard.testing import HalfCloseable

SOCKET_BUFFER = 16 * 1024


class Ours(HalfCloseable):
    """Our end, which tells when it is over."""

    def __init__(self) -> None:
        super().__init__()
        self.over: Deferred[Any] = Deferred()

    def connectionLost(self, reason: Any = None) -> None:
        """It is over."""
        super().connectionLost(reason)
        self.over.callback(self)


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A server whose kernel takes little."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER)
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


async def connected(server: socket.socket) -> tuple[Any, socket.socket]:
    """Our end, and a socket that does not block for the other one."""
    from twisted.internet import reactor

    endpoint = prompt(clientFromString(reactor, f"tcp:127.0.0.1:{server.getsockname()[1]}"))
    ours = await endpoint.connect(Factory.forProtocol(Ours))
    theirs, _ = server.accept()
    theirs.setblocking(False)
    return ours, theirs


async def turns(count: int = 3) -> None:
    """Let the reactor work."""
    from twisted.internet import reactor

    for _ in range(count):
        await deferLater(cast("Any", reactor), 0.001)


async def heard(theirs: socket.socket, count: int) -> bytes:
    """So many bytes that the other end reads."""
    got = bytearray()
    while len(got) < count:
        try:
            got += theirs.recv(65_536)
        except BlockingIOError:
            await turns(1)
    return bytes(got)


async def test_what_is_written_leaves_at_once() -> None:
    """Before the reactor has had a turn; without waiting for acknowledgements."""
    with listening() as server:
        ours, theirs = await connected(server)
        with theirs:
            assert type(ours.transport) is PromptClient
            assert ours.transport.getTcpNoDelay()
            ours.transport.write(b"hello, ")
            ours.transport.write(b"")
            ours.transport.writeSequence([b"wor", b"ld"])
            with pytest.raises(TypeError, match="must be bytes"):
                ours.transport.write(cast("Any", bytearray(b"!")))
            await turns()
            assert theirs.recv(100) == b"hello, world"
            ours.transport.write(b"more")
            assert theirs.recv(100) == b"more"
            ours.transport.loseConnection()
        await ours.over
        assert isinstance(ours.reason, ConnectionDone)


async def test_what_the_kernel_does_not_take_comes_in_order() -> None:
    """And so does what is written behind it; a push producer is held meanwhile, and a close waits."""
    content = bytes(range(256)) * 40_000
    with listening() as server:
        ours, theirs = await connected(server)
        with theirs:
            ours.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)
            calls: list[str] = []

            class Producer:
                """Tells what it is told."""

                def pauseProducing(self) -> None:
                    """Hold."""
                    calls.append("pause")

                def resumeProducing(self) -> None:
                    """Go on."""
                    calls.append("resume")

                def stopProducing(self) -> None:
                    """It is over."""

            ours.transport.registerProducer(Producer(), True)
            ours.transport.write(b"first")
            assert calls == []
            ours.transport.write(content)
            ours.transport.write(b"last")
            assert calls == ["pause"]
            assert await heard(theirs, len(content) + 9) == b"first" + content + b"last"
            await turns()
            assert calls == ["pause", "resume"]
            ours.transport.unregisterProducer()
            ours.transport.write(content)
            ours.transport.loseConnection()
            assert await heard(theirs, len(content)) == content
            assert theirs.recv(1) == b""
        await ours.over


async def test_a_pull_producer_is_asked_for_more() -> None:
    """It waits to be told that all was written, so nothing is sent behind the reactor's back."""
    with listening() as server:
        ours, theirs = await connected(server)
        with theirs:

            class Producer:
                """Makes three pieces."""

                left = 3

                def resumeProducing(self) -> None:
                    """Make one."""
                    self.left -= 1
                    ours.transport.write(b"x")
                    if not self.left:
                        ours.transport.unregisterProducer()
                        ours.transport.loseConnection()

                def stopProducing(self) -> None:
                    """It is over."""

            ours.transport.registerProducer(Producer(), False)
            assert await heard(theirs, 3) == b"xxx"
        await ours.over


async def test_half_closes_are_heard_both_ways() -> None:
    """Behind a FIN of ours nothing is sent any more; behind theirs, we go on."""
    with listening() as server:
        ours, theirs = await connected(server)
        with theirs:
            theirs.shutdown(socket.SHUT_WR)
            await turns()
            ours.transport.write(b"last")
            ours.transport.loseWriteConnection()
            ours.transport.write(b"this comes too late")
            assert await heard(theirs, 4) == b"last"
            await turns()
            assert ours.transport._writeDisconnected
            ours.transport.abortConnection()
            ours.transport.write(b"and this")
        await ours.over


async def test_a_fin_comes_behind_what_the_kernel_did_not_take() -> None:
    """And at once when it has taken all."""
    content = bytes(range(256)) * 40_000
    with listening() as server:
        ours, theirs = await connected(server)
        with theirs:
            ours.transport.write(content)
            ours.transport.loseWriteConnection()
            assert await heard(theirs, len(content)) == content
            await turns()
            assert theirs.recv(1) == b""
            theirs.shutdown(socket.SHUT_WR)
            await turns()
            ours.transport.loseConnection()
        await ours.over


async def test_who_writes_to_a_peer_that_is_gone_hears_of_it_by_the_reactor() -> None:
    """As with Twisted's: write itself raises nothing."""
    with listening() as server:
        ours, theirs = await connected(server)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        theirs.close()
        ours.transport.write(b"x")
        ours.transport.write(b"y")
        await ours.over
        assert isinstance(ours.reason, ConnectionLost)
        ours.transport.write(b"z")


async def test_a_connection_that_cannot_be_had_fails_as_ever() -> None:
    """And one that is given up is given up."""
    from twisted.internet import reactor

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        endpoint = prompt(clientFromString(reactor, f"tcp:127.0.0.1:{nobody.getsockname()[1]}"))
        with pytest.raises(RefusedError):
            await endpoint.connect(Factory.forProtocol(Protocol))
        given_up = endpoint.connect(Factory.forProtocol(Protocol))
        given_up.cancel()
        with pytest.raises((CancelledError, RefusedError)):  # which the kernel may have known already
            await given_up


async def test_who_needs_no_deferred_hears_of_failures_alone() -> None:
    """The protocol knows by itself that it is connected; what is begun can be given up, also the look-up of a name."""
    from twisted.internet import reactor

    why: list[Any] = []
    with listening() as server:
        for host in ("127.0.0.1", "localhost"):
            ours: Any = Ours()
            factory: Any = Factory()
            factory.buildProtocol = {IPv4Address("TCP", "127.0.0.1", server.getsockname()[1]): ours}.get
            PromptEndpoint(reactor, host, server.getsockname()[1]).begin(factory, why.append)
            while not ours.transport:
                await turns(1)
            server.accept()[0].close()
            ours.transport.loseConnection()
            await ours.over
    assert why == []
    PromptEndpoint(_Nameless(), "nobody.invalid", 80).begin(factory, why.append)
    PromptEndpoint(_Thinking(), "somebody.invalid", 80).begin(factory, why.append).cancel()
    assert [each.type for each in why] == [DNSLookupError, CancelledError]


async def test_a_host_may_be_a_name() -> None:
    """It is looked up each time, as Twisted does; one that nobody knows fails."""
    from twisted.internet import reactor

    with listening() as server:
        endpoint = prompt(clientFromString(reactor, f"tcp:localhost:{server.getsockname()[1]}"))
        ours = await endpoint.connect(Factory.forProtocol(Ours))
        theirs, _ = server.accept()
        assert ours.transport.getPeer().host == "127.0.0.1"
        theirs.close()
        ours.transport.loseConnection()
        await ours.over
    with pytest.raises(DNSLookupError):
        await PromptEndpoint(_Nameless(), "nobody.invalid", 80).connect(Factory.forProtocol(Protocol))


class _Nameless:
    def resolve(self, name: str) -> Deferred[str]:
        """Nobody has that name."""
        return fail(DNSLookupError(name))


class _Thinking:
    def resolve(self, name: str) -> Deferred[str]:
        """It takes long."""
        return Deferred()


async def test_what_it_is_can_be_read_in_logs() -> None:
    """The application's name, as Twisted has it; and where it goes."""
    with listening() as server:
        ours, theirs = await connected(server)
        assert ours.transport.logPrefix() == "Ours,client"
        port = server.getsockname()[1]
        assert repr(ours.transport) == f"<Ours to 127.0.0.1:{port}>"
        endpoint = PromptEndpoint(None, "127.0.0.1", port)
        assert repr(endpoint) == f"<PromptEndpoint to 127.0.0.1:{port}>"
        theirs.close()
        ours.transport.loseConnection()
        await ours.over


async def test_its_side_of_tls_is_the_clients() -> None:
    """As it is of Twisted's clients: what lies above is put in the protocol's place."""
    with listening() as server:
        ours, theirs = await connected(server)
        with theirs:
            ours.transport.startTLS(CertificateOptions())
            assert ours.transport.protocol is not ours
            hello = await heard(theirs, 5)
            assert hello[:2] == b"\x16\x03"  # a ClientHello
            ours.transport.abortConnection()
        await ours.over


def test_other_endpoints_stay_as_they_are() -> None:
    """And so do those of reactors that watch no descriptors."""
    clock: Any = Clock()
    six = TCP6ClientEndpoint(cast("Any", MemoryReactor()), "::1", 80)
    assert prompt(six) is six
    memory = TCP4ClientEndpoint(clock, "127.0.0.1", 80)
    assert prompt(memory) is memory
    from twisted.internet import reactor

    bound = TCP4ClientEndpoint(reactor, "127.0.0.1", 80, bindAddress=makeBinding("127.0.0.1", reusePort=True))
    assert prompt(bound) is bound
