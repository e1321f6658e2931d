"""Promise 7 for authors: a peer that does not take what we queued is cut, by abort, over real sockets."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import ConnectionAborted
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from netguard.mixins import TimeoutMixin
from netguard.mixins.deadlines import ReadTimedOut, WriteTimedOut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from twisted.python.failure import Failure

# Twisted's ssl: endpoint hands pyOpenSSL its own old types.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

QUEUED = 20_000_000
PORTION = 100_000
PERIOD = 0.4
BOUND = 30.0


class Flood(Protocol, TimeoutMixin):
    """Queues 20 MB for whoever connects, closes politely, and cancels nothing."""

    def __init__(self, ended: Deferred[tuple[float, Failure]], kind: str, period: float) -> None:
        self.ended, self.kind, self.period = ended, kind, period

    def connectionMade(self) -> None:
        """Write at once."""
        from twisted.internet import reactor

        self.began: float = reactor.seconds()
        getattr(self, f"set{self.kind}Timeout")(self.period)
        assert self.transport is not None
        self.transport.write(b"x" * QUEUED)
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Say how long it took, and why it ended."""
        from twisted.internet import reactor

        self.ended.callback((reactor.seconds() - self.began, reason))

    def timeoutConnection(self) -> None:
        """Be polite where one can be."""
        if self.kind == "Write":
            assert self.transport is not None
            self.transport.loseConnection()
        else:
            super().timeoutConnection()


@asynccontextmanager
async def flooded(where: str, kind: str) -> AsyncIterator[tuple[socket.socket, Deferred[Any]]]:
    """A peer that has connected to a flood and does not read, and how the flood's connection ends."""
    from twisted.internet import reactor

    ended: Deferred[tuple[float, Failure]] = Deferred()
    factory = Factory.forProtocol(lambda: Flood(ended, kind, PERIOD))
    port = await serverFromString(reactor, where).listen(factory)
    unix = where.startswith("unix:")
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as peer:
        peer.connect(where.removeprefix("unix:") if unix else ("127.0.0.1", port.getHost().port))
        peer.setblocking(False)
        ended.addTimeout(BOUND, reactor)
        yield peer, ended
    await port.stopListening()


def endpoint(family: str, folder: Path) -> str:
    """Where to listen."""
    if family == "ssl":
        authority = trustme.CA()
        pem = folder / "server.pem"
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
        return f"ssl:0:interface=127.0.0.1:privateKey={pem}"
    return f"unix:{folder}/socket" if family == "unix" else "tcp:0:interface=127.0.0.1"


@pytest.mark.parametrize("family", ["tcp", "unix", "ssl"])
@pytest.mark.parametrize(("kind", "reason"), [("Write", WriteTimedOut), ("Read", ReadTimedOut)])
async def test_a_peer_that_never_reads_is_aborted(
    family: str, kind: str, reason: type[Exception], tmp_path: Path
) -> None:
    """A peer that never reads is gone soon after the period, though 20 MB wait and loseConnection was called.

    To TLS it does not even say hello.
    """
    async with flooded(endpoint(family, tmp_path), kind) as (_, ended):
        took, why = await ended
    assert why.check(ConnectionAborted)
    assert why.type is reason
    assert why.value.limit == PERIOD
    assert PERIOD <= took < 5


@pytest.mark.parametrize("family", ["tcp", "unix"])
@pytest.mark.parametrize("kind", ["Write", "Read"])
async def test_a_peer_that_reads_slowly_gets_everything(family: str, kind: str, tmp_path: Path) -> None:
    """A peer that takes the 20 MB slowly, for more than two periods, gets every byte and a polite end."""
    from twisted.internet import reactor

    got = 0
    async with flooded(endpoint(family, tmp_path), kind) as (peer, ended):
        while got < QUEUED:
            await deferLater(reactor, 0.01)  # the peer's pace
            with suppress(BlockingIOError):
                chunk = peer.recv(PORTION)
                assert chunk
                got += len(chunk)
        took, why = await ended
    assert not why.check(ConnectionAborted)
    assert took > 2 * PERIOD
