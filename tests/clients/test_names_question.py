"""One question to all servers: in turn, again, and until the deadline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred

from netguard.clients.names_question import PLACES, Network
from netguard.clients.names_server import Asked
from netguard.clients.places import Places
from netguard.verdict import Failure, Timeout
from netguard.wire.dns import A
from tests.nameserver import Desk, Hand, a, result, waits

NAME = (b"mail", b"example")
OWNER = b"mail.example"
WITHIN = 7.0


@define
class Case:
    """A network with several desks."""

    count: int = 1
    places: Places = field(factory=lambda: Places(10, 10))
    reactor: Hand = field(factory=Hand)
    desks: list[Desk] = field(init=False)
    network: Network = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Open them."""
        self.desks = [Desk() for _ in range(self.count)]
        self.network = Network(self.reactor, lambda: tuple(each.address for each in self.desks), places=self.places)

    def ask(self, within: float = WITHIN, peer: str = "peer") -> Deferred[Asked | Timeout]:
        """Ask."""
        return self.network.ask(NAME, A, self.reactor.seconds() + within, peer)

    def close(self) -> None:
        """Nothing may be left."""
        assert self.reactor.idle
        assert self.places.peers == 0
        for each in self.desks:
            each.close()


@pytest.fixture
def make() -> Iterator[Any]:
    """Makes cases."""
    made: list[Case] = []

    def one(*arguments: Any) -> Case:
        made.append(Case(*arguments))
        return made[-1]

    yield one
    for each in made:
        each.close()


def test_the_first_server_is_asked_first(make: Any) -> None:
    """And if it answers, it alone."""
    case = make(3)
    asking = case.ask()
    case.desks[0].answer(case.reactor, (OWNER, a("192.0.2.1")))
    assert result(asking).server == case.desks[0].address
    assert all(each.silent() for each in case.desks)


def test_one_server_is_asked_three_times_within_the_deadline(make: Any) -> None:
    """After one, two and four parts of the time; then it is over, on the point."""
    case = make()
    asking = case.ask()
    moments = []
    for tenth in range(70):
        if not case.desks[0].silent():
            moments.append(tenth / 10)
            case.desks[0].asked()
        assert waits(asking)
        assert len(case.reactor.getDelayedCalls()) == 1 + (len(moments) < 3)  # the deadline, and the next question's
        case.reactor.advance(0.1)
    case.reactor.advance(0.001)
    assert moments == pytest.approx([0, 1, 3], abs=0.11)
    assert result(asking) == Timeout()


def test_a_late_answer_counts(make: Any) -> None:
    """Until the deadline, also one to the first time, when the next server has been asked."""
    case = make(2)
    asking = case.ask()
    question = case.desks[0].asked()
    case.reactor.advance(1)
    case.desks[1].asked()
    case.desks[0].say(question, question.answer((OWNER, a("192.0.2.1"))))
    case.reactor.read()
    assert result(asking).server == case.desks[0].address


def test_several_servers_are_asked_in_turn_and_again(make: Any) -> None:
    """Each has a moment before the next one is asked, and twice as long in the next round."""
    case = make(3)
    asking = case.ask(12.0)
    order = []
    for _ in range(120):
        for number, desk in enumerate(case.desks):
            if not desk.silent():
                desk.asked()
                order.append(number)
        case.reactor.advance(0.1)
    case.reactor.advance(0.001)
    assert order == [0, 1, 2, 0, 1, 2, 0]
    assert result(asking) == Timeout()


def test_a_server_that_fails_is_followed_at_once(make: Any) -> None:
    """And is not asked again."""
    case = make(3)
    asking = case.ask()
    case.desks[0].answer(case.reactor, rCode=2)
    case.desks[1].answer(case.reactor, rCode=5)
    for _ in range(3):
        case.desks[2].asked()
        case.reactor.advance(4)
    assert case.desks[0].silent()
    assert case.desks[1].silent()
    assert result(asking) == Timeout()


def test_when_all_have_failed_the_last_failure_is_the_answer(make: Any) -> None:
    """At once, without waiting for the deadline."""
    case = make(2)
    asking = case.ask()
    case.desks[0].answer(case.reactor, rCode=2)
    case.desks[1].answer(case.reactor, rCode=5)
    assert result(asking).outcome == Failure(5)


def test_a_server_that_is_not_there_is_followed_at_once(make: Any) -> None:
    """The kernel says so."""
    case = make(2)
    case.desks[0].close()
    asking = case.ask()
    case.reactor.read()
    case.desks[1].answer(case.reactor, (OWNER, a("192.0.2.1")))
    assert result(asking).server == case.desks[1].address


def test_where_there_is_no_way_to_anybody_that_is_the_answer(make: Any) -> None:
    """No socket could be opened: neither a traceback nor a wait."""
    case = make()
    nowhere = (("fe80::1%nosuchdevice", 53), ("fe80::2%nosuchdevice", 53))
    network = Network(case.reactor, lambda: nowhere, places=case.places)
    assert result(network.ask(NAME, A, 5.0, "peer")).outcome == Failure(None)


def test_a_deadline_that_is_over_is_over(make: Any) -> None:
    """Nobody is asked."""
    case = make()
    assert result(case.ask(0.0)) == Timeout()
    assert result(case.ask(-1.0)) == Timeout()
    assert case.desks[0].silent()


class Late(Hand):
    """A reactor that knows what it was asked to do when."""

    def __init__(self) -> None:
        super().__init__()
        self.delays: list[float] = []

    def callLater(self, delay: float, callable: Any, *args: object, **kw: object) -> Any:  # noqa: A002 - Twisted's name
        """Remember."""
        self.delays.append(delay)
        return super().callLater(delay, callable, *args, **kw)


def test_a_turn_that_comes_after_the_deadline_is_none(make: Any) -> None:
    """The reactor was held up: it gives the place back, and has not said yet that the time of who waits is over."""
    case = make(1, Places(1, 1), Late())
    first, second = case.ask(100.0), case.ask(6.5)
    first.addErrback(lambda why: why.trap(CancelledError))
    case.reactor.callLater(6.0, first.cancel)
    case.desks[0].asked()
    case.reactor.advance(9)
    assert result(second) == Timeout()
    assert case.desks[0].silent()
    assert min(case.reactor.delays) > 0


def test_the_deadline_holds_for_tcp(make: Any) -> None:
    """Twisted's own resolver takes ten seconds for it, and thirty for connecting, whatever it was told."""
    case = make()
    asking = case.ask(3.0)
    case.desks[0].answer(case.reactor, trunc=1)
    case.reactor.advance(2.99)
    assert waits(asking)
    case.reactor.advance(0.01)
    assert result(asking) == Timeout()


def test_another_server_is_asked_while_one_is_slow_over_tcp(make: Any) -> None:
    """Whoever drips does not hold the others up."""
    case = make(2)
    asking = case.ask()
    case.desks[0].answer(case.reactor, trunc=1)
    case.reactor.advance(1)
    case.desks[1].answer(case.reactor, (OWNER, a("192.0.2.1")))
    assert result(asking).server == case.desks[1].address


@pytest.mark.parametrize("stage", ["asked", "again", "tcp", "waiting"])
def test_a_question_can_be_cancelled(make: Any, stage: str) -> None:
    """Whatever it is doing, and leaves nothing."""
    case = make(2, Places(1, 1))
    first = case.ask() if stage == "waiting" else None
    asking = case.ask()
    if stage == "again":
        case.reactor.advance(1)
    elif stage == "tcp":
        case.desks[0].answer(case.reactor, trunc=1)
    asking.cancel()
    with pytest.raises(CancelledError):
        result(asking)
    if first is not None:
        assert waits(first)
        case.desks[0].answer(case.reactor)
        result(first)


def test_so_many_questions_are_under_way_and_the_others_wait(make: Any) -> None:
    """Each within its own deadline: those that have no turn until then are over, too."""
    case = make(1, Places(2, 2))
    first, second, third = case.ask(), case.ask(), case.ask()
    fourth = case.ask(0.5)
    questions = [case.desks[0].asked(), case.desks[0].asked()]
    assert case.desks[0].silent()
    case.reactor.advance(0.5)
    assert result(fourth) == Timeout()
    case.desks[0].say(questions[0], questions[0].answer())
    case.reactor.read()
    case.desks[0].answer(case.reactor)
    answered = [each for each in (first, second, third) if not waits(each)]
    assert len(answered) == 2
    assert third in answered
    case.desks[0].say(questions[1], questions[1].answer())
    case.reactor.read()
    assert not waits(second)


def test_one_peer_does_not_take_the_places_of_all(make: Any) -> None:
    """Its further questions wait, those of others do not."""
    case = make(1, Places(10, 2))
    waiting = [case.ask(peer="slow") for _ in range(5)]
    case.desks[0].asked()
    case.desks[0].asked()
    assert case.desks[0].silent()
    other = case.ask(peer="other")
    case.desks[0].answer(case.reactor)
    assert not waits(other)
    case.reactor.advance(WITHIN)
    assert all(result(each) == Timeout() for each in waiting)


def test_the_process_has_so_many_places() -> None:
    """With three silent servers, a socket for each: 600 of the 1,024 descriptors that a process usually has."""
    assert Network(Hand(), tuple).places is PLACES
    assert PLACES.most_of_one == 16
