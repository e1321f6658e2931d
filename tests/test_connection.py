"""Tests for netguard.connection: the verbs, on connections that live."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from netguard.application import connection_of, settle
from netguard.errors import Draining, Expelled, Idle
from netguard.guard import Guard, frozen
from netguard.guards.lifetime import Lifetime
from netguard.guards.refusal import Refusal
from netguard.meter import CLOSED
from netguard.policy import Policy
from netguard.testing import Application, Dialogue, Echo, connect


@pytest.fixture
def peer() -> Dialogue:
    """A connection under a guard that strikes nobody."""
    return connect(Lifetime("24h"), Application)


class Called(list[Any]):
    """Remembers what it is called with."""

    def __call__(self, connection: Any) -> None:
        """Remember when."""
        self.append(round(connection.age, 3))


def there(peer: Dialogue) -> Any:
    """The connection."""
    assert peer.connection is not None
    return peer.connection


# moments


def test_after_calls_once_within_a_tick(peer: Dialogue) -> None:
    """Not before its moment; from now, not from the beginning."""
    called = Called()
    peer.advance(10)
    there(peer).after(5, called)
    peer.advance(4.75)
    assert called == []
    peer.advance(20)
    assert called == [15.0]


def test_when_silent_waits_for_silence(peer: Dialogue) -> None:
    """Bytes that come postpone it; what the application writes does not."""
    called = Called()
    there(peer).when_silent(5, called)
    for _ in range(10):
        peer.advance(4)
        peer.feed(b"x")
    assert called == []
    peer.takes(0)
    for _ in range(6):
        peer.application.transport.write(b"x")
        peer.advance(1)
    assert len(called) == 1


def test_a_peer_that_takes_is_not_silent(peer: Dialogue) -> None:
    """A download, byte by byte."""
    called = Called()
    there(peer).when_silent(5, called)
    peer.takes(0)
    peer.application.transport.write(b"x" * 100)
    for _ in range(10):
        peer.advance(4)
        peer.takes(1)
    assert called == []
    peer.advance(6)
    assert len(called) == 1


def test_a_peer_that_nobody_listens_to_is_not_silent(peer: Dialogue) -> None:
    """The time counts from when somebody listens again."""
    called = Called()
    there(peer).when_silent(5, called)
    peer.advance(4)
    peer.application.transport.pauseProducing()
    peer.advance(60)
    assert there(peer).silent == 0
    peer.application.transport.resumeProducing()
    peer.advance(4.5)
    assert called == []
    peer.advance(1)
    assert len(called) == 1


def test_when_stalled_waits_for_a_peer_that_takes_nothing(peer: Dialogue) -> None:
    """Every byte taken postpones it; nothing waiting is no stall."""
    called = Called()
    there(peer).when_stalled(5, called)
    peer.advance(20)
    assert (called, there(peer).stalled) == ([], 0.0)
    peer.takes(0)
    peer.application.transport.write(b"x" * 10)
    for _ in range(5):
        peer.advance(4)
        peer.takes(1)
    assert called == []
    peer.advance(6)
    assert len(called) == 1
    assert there(peer).stalled >= 5


# marks


def test_when_received_is_called_before_the_byte_too_many_is_delivered(peer: Dialogue) -> None:
    """Just as many pass without a call; several marks are called in one chunk, each once."""
    seen: list[tuple[int, bytes]] = []
    for count in (3, 5, 100):
        there(peer).when_received(count, lambda _, n=count: seen.append((n, bytes(peer.application.received))))
    peer.feed(b"abc")
    assert seen == []
    peer.feed(b"def")
    assert seen == [(3, b"abc"), (5, b"abc")]
    peer.feed(b"ghi")
    assert len(seen) == 2
    assert peer.application.received == b"abcdefghi"


def test_when_sent_is_called_before_the_byte_that_follows_it(peer: Dialogue) -> None:
    """Just as many are written without a call."""
    seen: list[int] = []
    there(peer).when_sent(3, lambda c: seen.append(c.sent))
    peer.application.transport.write(b"abc")
    assert seen == []
    peer.application.transport.write(b"d")
    peer.advance()
    assert (seen, peer.taken) == ([3], b"abcd")


def test_marks_may_be_set_in_marks(peer: Dialogue) -> None:
    """As a bandwidth limit does."""
    seen: list[int] = []

    def again(connection: Any) -> None:
        seen.append(connection.received)
        connection.when_received(connection.received + 2, again)

    there(peer).when_received(0, again)
    peer.feed(b"123456789", split=1)
    assert seen == [1, 4, 7]


def test_a_guard_that_fails_stops_nobody(peer: Dialogue, logged: Any) -> None:
    """It is logged, and the others are called."""
    called = Called()
    there(peer).when_received(1, lambda _: 1 / 0)
    there(peer).when_received(1, called)
    there(peer).after(1, lambda _: 1 / 0)
    there(peer).after(1, called)
    peer.feed(b"xx")
    peer.advance(2)
    assert len(called) == 2
    assert len(logged.take_failures(ZeroDivisionError)) == 2


def test_a_cut_in_a_watch_silences_the_others(peer: Dialogue) -> None:
    """What is due at the same moment is not called any more."""
    called = Called()
    there(peer).after(1, lambda c: c.cut(Expelled()))
    there(peer).after(1, called)
    peer.advance(2)
    assert called == []
    assert there(peer).meter.due == inf


# tap


def test_a_tap_sees_every_chunk_before_it_is_delivered(peer: Dialogue) -> None:
    """Two taps see it both, in their order."""
    seen: list[Any] = []
    there(peer).tap(lambda _, data: seen.append((1, data, bytes(peer.application.received))))
    there(peer).tap(lambda _, data: seen.append((2, data, bytes(peer.application.received))))
    peer.feed(b"ab", split=1)
    assert seen == [(1, b"a", b""), (2, b"a", b""), (1, b"b", b"a"), (2, b"b", b"a")]


def test_a_tap_that_has_seen_enough_is_taken_off(peer: Dialogue) -> None:
    """From within its own call, too; the others go on, and where none is left nothing is called any more."""
    connection = there(peer)
    seen: list[tuple[int, bytes]] = []

    def first(_: object, data: bytes) -> None:
        seen.append((1, data))
        connection.untap(first)

    def second(_: object, data: bytes) -> None:
        seen.append((2, data))

    def third(_: object, data: bytes) -> None:
        seen.append((3, data))

    for each in (first, second, third):
        connection.tap(each)
    peer.feed(b"ab", split=1)
    connection.untap(second)
    peer.feed(b"c")
    connection.untap(third)
    connection.untap(third)
    assert connection.meter.tap is None
    peer.feed(b"d")
    assert seen == [(1, b"a"), (2, b"a"), (3, b"a"), (2, b"b"), (3, b"b"), (3, b"c")]
    assert peer.application.received == b"abcd"


def test_a_tap_may_cut(peer: Dialogue) -> None:
    """What it has seen is not delivered."""
    there(peer).tap(lambda connection, _: connection.cut(Expelled()))
    peer.feed(b"x")
    assert peer.application.received == b""
    assert type(peer.application.reason) is Expelled


# pauses


def test_pauses_are_counted_by_holder_and_way(peer: Dialogue) -> None:
    """Each is taken back by its holder alone; nothing happens twice."""
    connection = there(peer)
    assert peer.transport is not None
    for _ in range(2):
        connection.pause("one")
    connection.pause("two")
    connection.pause("one", "out")
    connection.resume("three")
    connection.resume("one")
    assert connection.paused("in")
    assert not peer.transport.reading
    connection.resume("two")
    assert not connection.paused("in")
    assert connection.paused("out")
    assert peer.transport.reading


def test_a_pause_before_there_is_a_transport_holds_from_the_first_byte() -> None:
    """A guard may hold a connection in its opening."""

    @frozen
    class Holds(Guard):
        """Holds both ways."""

        def open(self, connection: Any) -> None:
            """Hold."""
            connection.pause("Holds")
            connection.pause("Holds", "out")
            connection.after(5, self.release)

        def release(self, connection: Any) -> None:
            """Let go."""
            connection.resume("Holds")
            connection.resume("Holds", "out")

    peer = connect(Holds(), Echo)
    peer.application.transport.write(b"greeting")
    peer.feed(b"early")
    assert (peer.taken, peer.application.received) == (b"", b"")
    peer.advance(5)
    assert peer.taken == b"greetingearly"


def test_an_exchange_does_not_age_while_nobody_listens(peer: Dialogue) -> None:
    """The pause is left out of it, and while it lasts there is none."""
    peer.feed(b"x")
    peer.advance(1)
    began = there(peer).exchange("in")
    assert began is not None
    there(peer).pause("a guard")
    peer.advance(50)
    assert there(peer).exchange("in") is None
    there(peer).resume("a guard")
    lasted = there(peer).exchange("in")
    assert lasted is not None
    assert lasted[0] == pytest.approx(began[0])


def test_pauses_after_the_end_are_nothing(peer: Dialogue) -> None:
    """Nor is anything else."""
    connection = there(peer)
    peer.vanish()
    connection.pause("one")
    connection.after(1, lambda _: 1 / 0)
    connection.when_received(0, lambda _: 1 / 0)
    assert not connection.paused("in")
    assert connection.cut(Expelled()) is False
    assert connection.refuse(Expelled()) is False
    connection.look(1e9)


def test_a_resume_after_a_cut_starts_nothing(peer: Dialogue) -> None:
    """The transport is aborted already."""
    assert peer.transport is not None
    there(peer).pause("one")
    there(peer).pause("one", "out")
    there(peer).cut(Expelled())
    there(peer).resume("one")
    there(peer).resume("one", "out")
    assert not peer.transport.reading
    assert there(peer).meter.sent_mark == CLOSED


# ends


def test_a_cut_counts_once(peer: Dialogue) -> None:
    """The first reason is the reason."""
    assert there(peer).cut(Idle(1.0, 2.0))
    assert not there(peer).cut(Expelled())
    assert not there(peer).refuse(Expelled())
    peer.advance()
    assert type(peer.application.reason) is Idle


@pytest.mark.parametrize("call", ["made", "data", "lost"])
def test_a_cut_inside_of_the_application_is_the_same(call: str) -> None:
    """In connectionMade, dataReceived, or too late."""
    found: list[Any] = []

    class Cuts(Application):
        """Cuts itself."""

        def _called(self, name: str, *about: Any) -> None:
            super()._called(name, *about)
            if name == call:
                connection: Any = connection_of(self.transport)
                found.append(connection.cut(Expelled()))

    peer = connect(Lifetime("1h"), Cuts)
    peer.feed(b"one")
    peer.feed(b"two") if not peer.lost else None
    peer.vanish()
    assert found[0] is (call != "lost")
    assert (type(peer.application.reason) is Expelled) is (call != "lost")
    assert len([each for each in peer.application.calls if each[0] == "lost"]) == 1


def test_at_end_is_called_once_however_it_ends(peer: Dialogue, logged: Any) -> None:
    """All of them, although one fails."""
    called = Called()
    there(peer).at_end(lambda _: 1 / 0)
    there(peer).at_end(called)
    peer.vanish()
    there(peer).end()
    assert len(called) == 1
    assert len(logged.take_failures(ZeroDivisionError)) == 1


# settling


def test_settling_calls_who_waits_for_it(peer: Dialogue) -> None:
    """Once; it is no end."""
    called = Called()
    there(peer).settled(called)
    peer.advance(3)
    settle(peer.application.transport)
    settle(peer.application.transport)
    assert called == [3.0]
    assert there(peer).settled_at == 3.0


def test_a_connection_without_a_transport_gives_up_in_the_end() -> None:
    """And not before; its guards' own deadlines hold as well."""
    clock = Clock()
    factory = Lifetime("1h").wrap(Factory.forProtocol(Application), clock)
    wrapper: Any = factory.buildProtocol(None)
    connection = wrapper.connection
    called = Called()
    connection.after(10, called)
    clock.pump([0.25] * 236)
    assert (called, connection.state) == ([10.0], "opening")
    clock.pump([0.25] * 8)
    assert connection.state == "ended"


def test_a_guard_that_observes_is_told_and_acts_not(logged: Any) -> None:
    """Neither pause, nor cut, nor refusal by its name has an effect; others' have."""

    class Quiet(Expelled):
        """The reason of a guard that observes."""

        guard = "Lifetime"

    peer = connect(Lifetime("1h", observe=True), Application)
    connection = there(peer)
    connection.pause("Lifetime")
    assert not connection.paused("in")
    assert connection.cut(Quiet()) is False
    assert [each.name for each in peer.events][2:] == ["would_pause", "would_cut"]
    assert connection.cut(Expelled())

    factory = Lifetime("1h", observe=True).wrap(Factory.forProtocol(Application), Clock())
    wrapper: Any = factory.buildProtocol(None)
    assert wrapper.connection.cut(Quiet()) is False
    assert len(logged.named("would_refuse")) == 1
    assert wrapper.connection.cut(Expelled())
    assert factory.connections == []


@pytest.mark.parametrize("style", ["close", "reset", "text:later"])
def test_whom_the_application_cannot_serve_is_turned_away_in_style(style: str) -> None:
    """Once, and not when it is over already."""
    peer: Any = connect(Policy(Lifetime("24h"), Refusal(style)), Application)
    connection = peer.connection
    connection.turn_away(Expelled())
    connection.turn_away(Draining())
    peer.feed(b"nobody hears this")
    peer.advance(0)
    assert peer.taken == (b"later\r\n" if style.startswith("text") else b"")
    assert peer.transport.aborted == (style == "reset")
    assert isinstance(peer.application.reason, Expelled)
    assert not peer.application.received
    assert [each.name for each in peer.events if each.name in ("cut", "closed")] == ["cut"]


def test_a_note_is_one_connections_own() -> None:
    """And a later one comes on top."""
    peer, other = connect(Lifetime("24h"), Application), connect(Lifetime("24h"), Application)
    there(peer).note({"a": 1})
    there(peer).note({"b": 2})
    assert there(peer).known is not None
    assert there(other).known is None
    peer.vanish()
    assert (peer.events[-1].fields["a"], peer.events[-1].fields["b"]) == (1, 2)
