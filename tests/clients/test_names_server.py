"""One question to one server: what is taken for an answer, and what happens where it is none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost, ConnectionRefusedError  # noqa: A004 - Twisted's name for it
from twisted.names import dns
from twisted.python.failure import Failure as Why

from netguard.clients.names_server import TCP, UDP, WRONG, Asked, Server
from netguard.verdict import Failure
from netguard.wire.dns import A, Reply
from tests.nameserver import Desk, Hand, Question, a, connected

NAME = (b"mail", b"example")
OWNER = b"mail.example"


@define
class Case:
    """A server that is asked, and the desk where the question comes in."""

    desk: Desk = field(factory=Desk)
    reactor: Hand = field(factory=Hand)
    answers: list[Asked] = field(factory=list)
    server: Server = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the client's side."""
        self.server = Server(self.reactor, self.desk.address, NAME, A, self.answers.append)

    def asked(self) -> Question:
        """Ask, and what comes in."""
        self.server.ask()
        return self.desk.asked()

    def hears(self, question: Question, data: bytes) -> None:
        """The client hears something."""
        self.desk.say(question, data)
        self.reactor.read()

    def truncated(self) -> Any:
        """The client is told to come by TCP; its connection, made, and the question that it asks there."""
        question = self.asked()
        self.hears(question, question.answer(trunc=1))
        protocol, wire = connected(self.reactor.streams()[-1])
        data = wire.value()
        assert int.from_bytes(data[:2], "big") == len(data) - 2
        return protocol, wire, Question(data[2:])

    @property
    def outcome(self) -> Any:
        """The one outcome."""
        (answer,) = self.answers
        assert self.server.over
        assert self.reactor.idle
        return answer.outcome


@pytest.fixture
def case() -> Iterator[Case]:
    """A server that is asked."""
    made = Case()
    yield made
    made.server.close()
    made.desk.close()
    assert made.reactor.idle


def framed(data: bytes) -> bytes:
    """A message as it stands in TCP."""
    return len(data).to_bytes(2, "big") + data


def test_an_answer_over_udp(case: Case) -> None:
    """Who has said it, and how."""
    question = case.asked()
    assert (question.name, question.kind, question.message.recDes) == (OWNER, dns.A, 1)
    case.hears(question, question.answer((OWNER, a("192.0.2.1"))))
    assert [each.value for each in case.outcome.answers] == [b"\xc0\0\2\1"]
    assert (case.answers[0].server, case.answers[0].over) == (case.desk.address, UDP)


def test_to_ask_again_is_to_say_the_same_from_the_same_port(case: Case) -> None:
    """A late answer to the first time still counts, and nobody has two chances to guess."""
    first, again = case.asked(), case.asked()
    assert (first.data, first.source) == (again.data, again.source)
    case.hears(first, first.answer())
    assert isinstance(case.outcome, Reply)
    case.server.ask()
    assert case.desk.silent()


def test_numbers_and_ports_cannot_be_guessed() -> None:
    """A hundred questions have a hundred numbers and ports, or nearly."""
    seen = []
    for _ in range(100):
        case = Case()
        question = case.asked()
        seen.append((question.message.id, question.source[1]))
        case.server.close()
        case.desk.close()
    assert len({number for number, _ in seen}) > 90
    assert len({port for _, port in seen}) > 90


@pytest.mark.parametrize("rcode", [1, 2, 4, 5, 9])
def test_a_server_that_fails_says_how(case: Case, rcode: int) -> None:
    """Its code is kept."""
    question = case.asked()
    case.hears(question, question.answer(rCode=rcode))
    assert case.outcome == Failure(rcode)


def test_no_such_name_is_an_answer(case: Case) -> None:
    """And no failure."""
    question = case.asked()
    case.hears(question, question.answer(rCode=3))
    assert case.outcome.rcode == 3


def wrong(question: Question) -> list[bytes]:
    """Messages that answer something else."""
    other = Question(question.data.replace(b"mail", b"evil"))
    return [
        question.answer((OWNER, a("203.0.113.66")), id=question.message.id ^ 1),
        other.answer((OWNER, a("203.0.113.66"))),
        question.answer((OWNER, a("203.0.113.66")), answer=0),
        question.answer((OWNER, a("203.0.113.66")), opCode=1),
        question.data,
        b"",
        b"\0" * 12,
        b"SSH-2.0-chargen" * 100,
    ]


def test_an_answer_to_something_else_is_overlooked(case: Case) -> None:
    """Another number, another question, a query: the right answer may still come."""
    question = case.asked()
    for data in wrong(question):
        case.hears(question, data)
    assert case.answers == []
    case.hears(question, question.answer((OWNER, a("192.0.2.1"))))
    assert [each.value for each in case.outcome.answers] == [b"\xc0\0\2\1"]


def test_many_wrong_answers_are_somebody_guessing(case: Case) -> None:
    """Then the question goes over TCP, where nobody can guess."""
    question = case.asked()
    for _ in range(WRONG):
        case.hears(question, b"guess")
    assert case.reactor.streams() == []
    case.hears(question, b"guess")
    protocol, wire = connected(case.reactor.streams()[0])
    again = Question(wire.value()[2:])
    protocol.dataReceived(framed(again.answer((OWNER, a("192.0.2.1")))))
    assert [each.value for each in case.outcome.answers] == [b"\xc0\0\2\1"]


def test_an_answer_that_lies_about_its_lengths_ends_it(case: Case) -> None:
    """It comes from the server itself: there is no use in waiting for another."""
    question = case.asked()
    case.hears(question, question.answer((OWNER, a("192.0.2.1")))[:-1])
    assert case.outcome == Failure(None)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_truncated_answer_is_asked_for_over_tcp(case: Case, size: int) -> None:
    """In whatever pieces it comes; with a number of its own, and the connection is ended then."""
    protocol, wire, question = case.truncated()
    assert case.reactor.getReaders() == []
    data = framed(question.answer(*((OWNER, a(f"192.0.2.{number}")) for number in range(100)))) + b"trailing"
    for start in range(0, len(data), size):
        protocol.dataReceived(data[start : start + size])
    assert len(case.outcome.answers) == 100
    assert case.answers[0].over == TCP
    assert wire.aborted


def test_asking_again_does_not_disturb_tcp(case: Case) -> None:
    """There is one connection."""
    case.truncated()
    case.server.ask()
    assert len(case.reactor.streams()) == 1


def test_truncated_over_tcp_as_well_is_the_end(case: Case) -> None:
    """Twisted's own resolver asks again then, and again, tens of thousands of times."""
    protocol, wire, question = case.truncated()
    protocol.dataReceived(framed(question.answer(trunc=1)))
    assert case.outcome == Failure(None)
    assert wire.aborted
    assert len(case.reactor.streams()) == 1


@pytest.mark.parametrize("data", [b"\0\0", b"\0\x05hello", b"\x00\x0c" + b"\0" * 12, b"HTTP/1.0 400 Bad" * 2000])
def test_garbage_over_tcp_is_the_end(case: Case, data: bytes) -> None:
    """Of a connection, there is one answer."""
    protocol, wire, _ = case.truncated()
    protocol.dataReceived(data)
    assert case.outcome == Failure(None)
    assert wire.aborted


def test_an_answer_to_something_else_over_tcp_is_the_end(case: Case) -> None:
    """Nobody but the server can have sent it."""
    protocol, _, question = case.truncated()
    protocol.dataReceived(framed(question.answer(id=question.message.id ^ 1)))
    assert case.outcome == Failure(None)


def test_no_more_than_one_answer_is_kept(case: Case) -> None:
    """65,535 octets and their length, and what one read brings beyond."""
    protocol, _, _ = case.truncated()
    protocol.dataReceived(b"\xff\xff")
    for _ in range(65_534):
        protocol.dataReceived(b"x")
    assert case.answers == []
    stream = case.server._stream
    assert stream is not None
    assert len(stream._got) == 65_536
    protocol.dataReceived(b"x" * 1000)
    assert case.outcome == Failure(None)


def test_a_connection_that_ends_early_is_the_end(case: Case) -> None:
    """Half an answer is none."""
    protocol, _, question = case.truncated()
    protocol.dataReceived(framed(question.answer())[:-1])
    protocol.connectionLost(Why(ConnectionLost()))
    assert case.outcome == Failure(None)


def test_a_connection_that_is_refused_is_the_end(case: Case) -> None:
    """As with UDP."""
    question = case.asked()
    case.hears(question, question.answer(trunc=1))
    (factory,) = case.reactor.streams()
    factory.clientConnectionFailed(None, Why(ConnectionRefusedError()))
    assert case.outcome == Failure(None)


def test_nobody_there_is_told_at_once(case: Case) -> None:
    """The kernel knows."""
    case.desk.close()
    case.server.ask()
    case.reactor.read()
    assert case.outcome == Failure(None)


def test_no_way_to_the_server_is_told_at_once() -> None:
    """Before there is a socket."""
    answers: list[Asked] = []
    server = Server(Hand(), ("fe80::1%nosuchdevice", 53), NAME, A, answers.append)
    server.ask()
    assert [each.outcome for each in answers] == [Failure(None)]


def test_what_was_given_up_leaves_nothing(case: Case) -> None:
    """Over UDP, while connecting, connected; and nobody is told."""
    case.asked()
    case.server.close()
    assert case.reactor.idle
    for stage in ("connecting", "connected"):
        other = Case()
        question = other.asked()
        other.hears(question, question.answer(trunc=1))
        if stage == "connected":
            protocol, wire = connected(other.reactor.streams()[0])
        other.server.close()
        assert other.reactor.idle
        assert other.answers == []
        if stage == "connected":
            assert wire.aborted
            protocol.dataReceived(framed(b"late"))
            protocol.connectionLost(Why(ConnectionLost()))
            assert other.answers == []
        other.desk.close()


class Stubborn:
    """An endpoint whose connecting cannot be stopped."""

    def __init__(self) -> None:
        self.factory: Any = None
        self.where: tuple[str, int] | None = None

    def __call__(self, host: str, port: int) -> Any:
        """As the endpoint's maker."""
        self.where = (host, port)
        return self

    def connect(self, factory: Any) -> Deferred[Any]:
        """Begin."""
        self.factory = factory
        return Deferred(lambda _: None)


def test_a_connection_that_comes_too_late_is_ended(case: Case) -> None:
    """Some endpoints cannot be stopped."""
    endpoint = Stubborn()
    case.server.connect = endpoint
    case.server.ask()
    case.server.close()
    _, wire = connected(endpoint.factory)
    assert wire.aborted
    assert wire.value() == b""


def test_with_an_endpoint_of_ones_own_udp_is_not_used(case: Case) -> None:
    """As behind a firewall that lets nothing but the proxy through."""
    endpoint = Stubborn()
    case.server.connect = endpoint
    case.server.ask()
    case.server.ask()
    assert case.desk.silent()
    assert endpoint.where == case.desk.address
    protocol, wire = connected(endpoint.factory)
    question = Question(wire.value()[2:])
    assert question.name == OWNER
    protocol.dataReceived(framed(question.answer((OWNER, a("192.0.2.1")))))
    assert case.answers[0].over == TCP
    assert [each.value for each in case.outcome.answers] == [b"\xc0\0\2\1"]
