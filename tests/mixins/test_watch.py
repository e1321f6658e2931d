"""What is promised of the one call and of the shadows on which a protocol's deadlines hang."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, cast

import pytest
from attrs import define, field
from twisted.internet.abstract import FileDescriptor
from twisted.internet.task import Clock

from netguard.mixins.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twisted.internet.interfaces import IDelayedCall


@define
class Later:
    """Schedules the watch's call on a clock, and counts how often it came."""

    clock: Clock = field(factory=Clock)
    came: int = 0

    def __call__(self, period: float) -> IDelayedCall:
        """Schedule one call."""
        return self.clock.callLater(period, self._come)

    def _come(self) -> None:
        self.came += 1


class Pipe(FileDescriptor):
    """A descriptor whose kernel takes as much as it is told to."""

    connected = 1
    room: int | BaseException = 0

    def startWriting(self) -> None:
        """Wait to be asked."""

    def stopWriting(self) -> None:
        """Wait to be asked."""

    def writeSomeData(self, data: bytes) -> int | BaseException:
        """Take what there is room for."""
        return self.room if isinstance(self.room, BaseException) else min(self.room, len(data))


class Greeter:
    """Something with a method to shadow."""

    greet: Callable[[], str]

    def hello(self) -> str:
        """Say it."""
        return "hello"


def test_only_an_earlier_moment_moves_the_call() -> None:
    """A later deadline leaves the call alone, an earlier one brings it forward."""
    later, watch = Later(), Watch()
    assert watch.arm(10, later) == 10
    later.clock.advance(1)
    assert watch.arm(10, later) == 11
    assert [call.getTime() for call in later.clock.getDelayedCalls()] == [10]
    assert watch.arm(2, later) == 3
    assert [call.getTime() for call in later.clock.getDelayedCalls()] == [3]


def test_a_call_cancelled_by_others_is_replaced() -> None:
    """Somebody who cancels all of a reactor's calls does not end the deadlines that are set afterwards."""
    later, watch = Later(), Watch()
    watch.arm(10, later)
    later.clock.getDelayedCalls()[0].cancel()
    watch.arm(5, later)
    assert [call.getTime() for call in later.clock.getDelayedCalls()] == [5]


def test_a_call_without_a_clock_gets_the_runtimes() -> None:
    """An IDelayedCall that does not tell its clock is timed by the clock that Twisted's reactors use."""
    from twisted.python.runtime import seconds

    class Bare:
        def getTime(self) -> float:
            return 1.0

    watch = Watch()
    watch.arm(1.0, lambda _: cast("IDelayedCall", Bare()))
    assert watch.seconds is seconds


def test_a_late_call_gives_the_reactor_one_turn() -> None:
    """A process that slept past a deadline hears what the peer did meanwhile before it decides; but only once."""
    later, watch = Later(), Watch(idle=1.0, idle_period=1.0)
    watch.arm(1, later)
    later.clock.rightNow = 5.0
    assert not watch.think(None, later)
    assert watch.armed == 5.0
    later.clock.rightNow = 6.0
    assert watch.think(None, later)
    watch.arm(1, later)
    later.clock.rightNow = 9.0
    assert not watch.think(None, later), "each time that it slept"


@pytest.mark.parametrize("late", [0.0, 0.09])
def test_a_punctual_call_decides_at_once(late: float) -> None:
    """A call that came in time decides without another turn."""
    later, watch = Later(), Watch(idle=1.0, idle_period=1.0)
    watch.arm(1, later)
    later.clock.rightNow = 1.0 + late
    assert watch.think(None, later)


def test_doubt_ends_with_the_deadlines() -> None:
    """A deadline that is ended in the turn of doubt leaves the next one its own."""
    later, watch = Later(), Watch(idle=1.0, idle_period=1.0)
    watch.arm(1, later)
    later.clock.calls.clear()  # as when it comes
    later.clock.rightNow = 5.0
    watch.think(None, later)
    watch.stop()
    assert not watch.doubting
    assert later.clock.getDelayedCalls() == []


def test_the_call_goes_with_the_last_deadline() -> None:
    """The call is kept while anything is running, and cancelled with the last."""
    later, watch = Later(), Watch(idle=5.0, phases={"a": (5.0, 5.0)})
    watch.arm(5, later)
    watch.idle = None
    watch.stop_unless_needed()
    assert len(later.clock.getDelayedCalls()) == 1
    watch.phases.clear()
    watch.stop_unless_needed()
    assert later.clock.getDelayedCalls() == []
    watch.stop_unless_needed()


def test_a_shadow_is_taken_away() -> None:
    """A shadow hides a method of one object, and leaves no trace when it is taken away."""
    greeter, watch = Greeter(), Watch()
    watch.shadow(greeter, "hello", lambda: "shadow")
    assert (greeter.hello(), Greeter().hello(), watch.shadows("hello")) == ("shadow", "hello", True)
    watch.reveal("hello")
    assert (greeter.hello(), vars(greeter), watch.shadows("hello")) == ("hello", {}, False)
    watch.reveal("hello")


def test_a_shadow_gives_back_what_was_there() -> None:
    """A function that the object itself carried is there again afterwards."""
    greeter, watch = Greeter(), Watch()
    greeter.greet = before = lambda: "before"
    watch.shadow(greeter, "greet", lambda: "shadow")
    watch.reveal()
    assert greeter.greet is before


def test_a_shadow_does_not_undo_what_came_after_it() -> None:
    """A function put there while the shadow stood is not the shadow's to take away."""
    greeter, watch = Greeter(), Watch()
    watch.shadow(greeter, "greet", lambda: "shadow")
    greeter.greet = after = lambda: "after"
    watch.reveal()
    assert greeter.greet is after


def test_the_end_leaves_nothing() -> None:
    """At the end of a connection there is no call, no shadow and no figure left, and the watch is over."""
    greeter, transport, later, watch = Greeter(), object(), Later(), Watch(idle=5.0, taken=7, handed=7, aborted=True)
    watch.arm(5, later)
    watch.shadow(greeter, "hello", lambda: "shadow")
    watch.end(transport)
    assert later.clock.getDelayedCalls() == []
    assert greeter.hello() == "hello"
    assert (watch.taken, watch.handed, watch.outstanding, watch.aborted) == (0, 0, False, False)
    assert watch.over(transport)
    assert watch.over(None)


def test_another_transport_begins_anew() -> None:
    """A protocol that is connected a second time is timed again."""
    watch = Watch()
    watch.end(object())
    second = object()
    assert not watch.over(second)
    assert not watch.over(None)


def test_a_queue_of_constant_length_that_moves_is_progress() -> None:
    """What the kernel takes is counted, so that a producer that keeps the queue filled does not look stalled."""
    pipe = Pipe(cast("Any", object()))
    watch = Watch(write=10.0)
    pipe.write(b"x" * 100)
    watch.look_at(pipe)
    pipe.room = 40
    pipe.doWrite()
    pipe.write(b"x" * 40)
    watch.moved = -1.0
    watch.look_at(pipe)
    assert watch.moved > 0
    assert watch.outstanding
    for room in (0, BrokenPipeError()):
        pipe.room = room
        pipe.doWrite()
        watch.moved = -1.0
        watch.look_at(pipe)
        assert watch.moved == -1.0
    watch.end(pipe)
    assert "writeSomeData" not in vars(pipe)


def test_a_queue_that_is_no_descriptors_is_judged_by_its_length() -> None:
    """Where bytes are seen to wait but not to leave, a shorter queue is progress."""

    @define(slots=False)
    class Queue:
        dataBuffer: bytes = b"12345"

    queue, watch = Queue(), Watch(write=10.0)
    watch.look_at(queue)
    watch.moved = -1.0
    watch.look_at(queue)
    assert watch.moved == -1.0
    queue.dataBuffer = b"5"
    watch.look_at(queue)
    assert watch.moved > 0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets that do not block."""
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


@define
class Holder:
    """The base of a transport, as far as it matters here."""

    socket: Any


def test_bytes_that_we_did_not_read_are_no_silence(pair: tuple[socket.socket, socket.socket]) -> None:
    """While the application has paused reading, what waits in the kernel speaks for the peer; nothing does not."""
    ours, theirs = pair
    later, watch = Later(), Watch(read=1.0)
    theirs.send(b"x")
    watch.arm(1, later)
    later.clock.rightNow = 1.0
    assert watch.think(Holder(ours), later)
    assert watch.heard == 1.0
    ours.recv(1)
    watch.arm(1, later)
    later.clock.rightNow = 2.0
    assert watch.think(Holder(ours), later)
    assert watch.heard == 1.0


def test_a_closed_socket_is_silent(pair: tuple[socket.socket, socket.socket]) -> None:
    """A socket that fails says nothing, and so does none at all."""
    ours, _ = pair
    later, watch = Later(), Watch(read=1.0)
    ours.close()
    for base in (Holder(ours), Holder(None)):
        watch.arm(1, later)
        later.clock.rightNow += 1.0
        watch.think(base, later)
        assert watch.heard == 0.0
        later.clock.rightNow -= 1.0
