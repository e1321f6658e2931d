"""One question to one name server: over UDP, and over TCP when it has more to say or somebody else answers."""

from __future__ import annotations

from collections.abc import Callable
from secrets import randbelow
from typing import Any, TypeAlias, cast

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint, ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from netguard.clients.names_socket import Datagrams
from netguard.verdict import Failure as Failed
from netguard.wire.dns import NOERROR, NXDOMAIN, DnsForeign, DnsRefused, Name, Reply, read_reply, write_question

WRONG = 8
"""So many datagrams that answer something else are overlooked; then somebody is guessing, and TCP is used."""

UDP, TCP = "UDP", "TCP"

_LENGTH = 2
_IDENTITIES = 65536

Connect: TypeAlias = Callable[[str, int], IStreamClientEndpoint]


@frozen
class Asked:
    """What a server has answered.

    Args:
        outcome: a reply that says what there is, or that there is nothing; or why there is none.
        server: who it was: an address and a port.
        over: UDP or TCP.
    """

    outcome: Reply | Failed
    server: tuple[str, int]
    over: str


class _Stream(Protocol):
    """One question over TCP, and the octets of one answer; what comes behind it is not read.

    Args:
        question: what is asked.
        heard: called once, with the answer.
        lost: called when the connection has ended before.
    """

    def __init__(self, question: bytes, heard: Callable[[bytes], object], lost: Callable[[], object]) -> None:
        self._question = question
        self._heard = heard
        self._lost = lost
        self._got = bytearray()
        self.over = False

    def connectionMade(self) -> None:
        """Ask."""
        if self.over:
            self.close()
        else:
            cast("ITransport", self.transport).write(len(self._question).to_bytes(_LENGTH, "big") + self._question)

    def dataReceived(self, data: bytes) -> None:
        """Keep no more than one answer."""
        if self.over:
            return
        self._got += data
        size = int.from_bytes(self._got[:_LENGTH], "big")
        if len(self._got) >= _LENGTH + size and len(self._got) >= _LENGTH:
            self.over = True
            self._heard(bytes(self._got[_LENGTH : _LENGTH + size]))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """There will be no answer."""
        if not self.over:
            self.over = True
            self._lost()

    def close(self) -> None:
        """End the connection at once."""
        self.over = True
        if self.transport is not None:
            getattr(self.transport, "abortConnection", self.transport.loseConnection)()


def _plainly(reactor: Any) -> Connect:
    """How to reach a server over TCP, when nothing else was said. Whoever waits has a deadline of his own."""

    def connect(host: str, port: int) -> IStreamClientEndpoint:
        return (TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint)(reactor, host, port)

    return connect


@define(eq=False)
class Server:
    """One server, as far as one question goes.

    Args:
        reactor: what reads and connects.
        address: where the server is: an IP address and a port.
        name: what to ask for.
        kind: the type of record.
        answered: called, once, with what it says.
        connect: how to reach it over TCP; when it is given, UDP is not used.

    Attributes:
        over: nothing more is to be expected of it.
    """

    reactor: Any
    address: tuple[str, int]
    name: Name
    kind: int
    answered: Callable[[Asked], object]
    connect: Connect | None = None
    over: bool = field(default=False, init=False)
    _question: bytes = field(default=b"", init=False)
    _datagrams: Datagrams | None = field(default=None, init=False)
    _connecting: Deferred[Any] | None = field(default=None, init=False)
    _stream: _Stream | None = field(default=None, init=False)
    _wrong: int = field(default=0, init=False)

    def ask(self) -> None:
        """Ask, or ask again: the same, from the same port, so that a late answer to the first time still counts."""
        if self.over or self._stream is not None:
            return
        if self.connect is not None:
            self._ask_stream()
            return
        try:
            if self._datagrams is None:
                self._question = write_question(randbelow(_IDENTITIES), self.name, self.kind)
                self._datagrams = Datagrams(self.reactor, self.address, self._heard, self._lost)
            self._datagrams.send(self._question)
        except OSError:
            self._lost()

    def close(self) -> None:
        """Leave nothing behind."""
        self.over = True
        if self._datagrams is not None:
            self._datagrams.close()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._stream is not None:
            self._stream.close()

    def _ask_stream(self) -> None:
        if self._datagrams is not None:
            self._datagrams.close()
        self._question = write_question(randbelow(_IDENTITIES), self.name, self.kind)
        self._stream = _Stream(self._question, self._heard_whole, self._lost)
        stream = self._stream
        endpoint = (self.connect or _plainly(self.reactor))(*self.address)
        factory = Factory.forProtocol(lambda: stream)
        factory.noisy = False
        connecting: Deferred[Any] = endpoint.connect(factory)
        self._connecting = connecting
        connecting.addCallbacks(self._connected, self._not_connected)

    def _connected(self, _: object) -> None:
        self._connecting = None

    def _not_connected(self, _: Failure) -> None:
        self._connecting = None
        self._lost()

    def _heard(self, data: bytes) -> None:
        """A datagram came."""
        try:
            reply = read_reply(data, self._question)
        except DnsForeign:
            self._wrong += 1
            if self._wrong > WRONG:
                self._ask_stream()
        except DnsRefused:
            self._lost()
        else:
            if reply.truncated:
                self._ask_stream()
            else:
                self._judge(reply)

    def _heard_whole(self, data: bytes) -> None:
        """An answer came over TCP; one that is truncated even there will never be whole."""
        try:
            reply = read_reply(data, self._question)
        except DnsRefused:
            self._lost()
        else:
            if reply.truncated:
                self._lost()
            else:
                self._judge(reply)

    def _judge(self, reply: Reply) -> None:
        self._answer(reply if reply.rcode in {NOERROR, NXDOMAIN} else Failed(reply.rcode))

    def _lost(self) -> None:
        self._answer(Failed())

    def _answer(self, outcome: Reply | Failed) -> None:
        if not self.over:
            over = UDP if self._stream is None else TCP
            self.close()
            self.answered(Asked(outcome, self.address, over))
