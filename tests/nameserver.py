"""A name server whose clerk is the test, and a reactor that moves only when the test says so; for tests of any folder.

Its sockets are real, on loopback, so what is read is what the kernel brings; its clock is not.
"""

from __future__ import annotations

import select
import socket
from typing import Any

from attrs import define, field
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.names import dns

PATIENCE = 60.0
"""Seconds of real time after which a datagram that should have come has not."""


class Hand(MemoryReactorClock):
    """A reactor whose clock and whose sockets a test moves."""

    def read(self) -> None:
        """Let those read for whom something has come; wait for it."""
        ready, _, _ = select.select(self.getReaders(), [], [], PATIENCE)
        assert ready, "nothing came"
        for each in ready:
            each.doRead()

    @property
    def idle(self) -> bool:
        """Whether no socket is open, and no timer runs."""
        return not self.getReaders() and not self.getDelayedCalls()

    def streams(self) -> list[Any]:
        """The factories of the connections that were begun over TCP."""
        return [each[2] for each in self.tcpClients]


class Wire(StringTransport):
    """One end of a connection; remembers whether it was aborted."""

    aborted = False

    def abortConnection(self) -> None:
        """Remember."""
        self.aborted = True


def connected(factory: Any) -> tuple[Any, Wire]:
    """A connection over TCP comes about: its protocol and its transport."""
    protocol, wire = factory.buildProtocol(None), Wire()
    protocol.makeConnection(wire)
    return protocol, wire


@define
class Question:
    """A question as it came.

    Attributes:
        data: its octets.
        source: who asked.
    """

    data: bytes
    source: tuple[str, int] = ("", 0)
    message: dns.Message = field(factory=dns.Message, init=False)

    def __attrs_post_init__(self) -> None:
        """Read it."""
        self.message.fromStr(self.data)

    @property
    def name(self) -> bytes:
        """What was asked for."""
        name: bytes = self.message.queries[0].name.name
        return name

    @property
    def kind(self) -> int:
        """The type of record that was asked for."""
        return self.message.queries[0].type

    def answer(self, *answers: tuple[bytes, Any], nothing_for: int | None = None, **header: Any) -> bytes:
        """A reply to it.

        Args:
            answers: owners and payloads of records.
            nothing_for: seconds for which it holds that nothing is there, for a SOA record.
            header: fields of the message's header other than usual.
        """
        reply = dns.Message(header.pop("id", self.message.id), answer=1, recAv=1, maxSize=0)
        for name, value in header.items():
            setattr(reply, name, value)
        reply.queries = self.message.queries
        reply.answers = [dns.RRHeader(owner, load.TYPE, ttl=load.ttl, payload=load) for owner, load in answers]
        if nothing_for is not None:
            soa = dns.Record_SOA(b"ns.example", b"hostmaster.example", 1, 2, 3, 4, nothing_for, ttl=nothing_for)
            reply.authority = [dns.RRHeader(b"example", dns.SOA, ttl=nothing_for, payload=soa)]
        return reply.toStr()


class Desk:
    """Where questions come in over UDP.

    Args:
        host: the address to listen at.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.settimeout(PATIENCE)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]

    def close(self) -> None:
        """Nobody is there any more."""
        self._socket.close()

    def asked(self) -> Question:
        """The next question."""
        data, source = self._socket.recvfrom(65536)
        return Question(data, source)

    def silent(self) -> bool:
        """Whether nothing has come."""
        return not select.select([self._socket], [], [], 0)[0]

    def say(self, to: Question, data: bytes) -> None:
        """Send something."""
        self._socket.sendto(data, to.source)

    def answer(self, reactor: Hand, *answers: tuple[bytes, Any], **header: Any) -> Question:
        """Answer the next question, and let the answer be read."""
        question = self.asked()
        self.say(question, question.answer(*answers, **header))
        reactor.read()
        return question


def result(of: Any) -> Any:
    """What a Deferred has come to; its failure is raised."""
    found: list[Any] = []
    of.addBoth(found.append)
    assert found, "it has not come to anything"
    if hasattr(found[0], "raiseException"):
        found[0].raiseException()
    return found[0]


def waits(of: Any) -> bool:
    """Whether a Deferred has come to nothing yet."""
    return not of.called


def ptr(name: bytes, life: int = 300) -> dns.Record_PTR:
    """A PTR record."""
    return dns.Record_PTR(name, ttl=life)


def cname(name: bytes, life: int = 300) -> dns.Record_CNAME:
    """A CNAME record."""
    return dns.Record_CNAME(name, ttl=life)


def a(address: str, life: int = 300) -> dns.Record_A:
    """An A record."""
    return dns.Record_A(address, ttl=life)


def aaaa(address: str, life: int = 300) -> dns.Record_AAAA:
    """An AAAA record."""
    return dns.Record_AAAA(address, ttl=life)
