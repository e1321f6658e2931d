"""What is promised of PromptServer: the answer leaves with the read that it answers, and all else is as Twisted's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.error import ConnectionAborted, ConnectionDone

from netguard.guards.lifetime import Lifetime
from netguard.native.below import Below
from netguard.testing import Application, Echo, HalfCloseable, NativeMemoryTransport, connect
from tests.native.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.native.conftest import Ground


def dialogue(application: Any = Echo) -> Any:
    """A connection on a clock."""
    return connect(Lifetime("1h"), application, carrier=NativeMemoryTransport)


def test_an_answer_is_sent_in_the_same_turn() -> None:
    """Without asking to be told when there is room."""
    peer = dialogue()
    peer.transport.deliver(b"hello")
    peer.transport.doRead()
    assert peer.taken == b"hello"
    assert not peer.transport.turns.writing


def test_several_writes_of_one_answer_are_one() -> None:
    """They leave together, in order."""
    peer = dialogue(Application)
    peer.application.reactions["data"] = lambda: [peer.application.transport.write(each) for each in (b"a", b"b", b"c")]
    peer.feed(b"x")
    assert [each for each in peer.transport.changes if each[0] == "taken"] == [("taken", b"abc")]


def test_what_the_kernel_does_not_take_waits_its_turn() -> None:
    """The rest goes Twisted's way, and what is written later comes after it."""
    peer = dialogue()
    peer.takes(3)
    peer.feed(b"abcdef")
    assert peer.taken == b"abc"
    assert peer.connection.queued == 3
    assert peer.transport.turns.writing
    peer.feed(b"gh")
    assert peer.connection.queued == 5
    peer.takes(None)
    assert peer.taken == b"abcdefgh"
    assert peer.connection.queued == 0
    assert not peer.transport.turns.writing


class Producer:
    """A push producer that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """Note."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Note."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """Note."""
        self.told.append("stop")


def test_a_push_producer_that_is_not_paused_keeps_no_answer_back() -> None:
    """A protocol that is its transport's producer for good is as prompt as one that is not."""
    peer = dialogue()
    producer = Producer()
    peer.application.transport.registerProducer(producer, True)
    peer.transport.deliver(b"hello")
    peer.transport.doRead()
    assert peer.taken == b"hello"
    assert not peer.transport.turns.writing
    assert producer.told == []


def test_a_push_producer_that_is_paused_is_resumed_when_all_is_written() -> None:
    """What is too much at once pauses it; the rest goes Twisted's way, which tells it when to go on."""
    peer = dialogue()
    producer = Producer()
    peer.application.transport.registerProducer(producer, True)
    much = b"x" * (peer.transport.bufferSize + 1)
    peer.takes(0)
    peer.feed(much)
    assert producer.told == ["pause"]
    assert peer.transport.turns.writing
    peer.takes(None)
    assert peer.taken == much
    assert producer.told == ["pause", "resume"]


def test_what_is_written_before_an_abort_or_an_exception_is_dropped() -> None:
    """As Twisted drops it; and so is what is written after an abort."""

    def abort() -> None:
        peer.application.transport.write(b"never")
        peer.application.transport.abortConnection()
        peer.application.transport.write(b"never")

    def fail() -> None:
        peer.application.transport.write(b"never")
        raise ZeroDivisionError

    for how, why in ((abort, ConnectionAborted), (fail, ZeroDivisionError)):
        peer = dialogue(Application)
        peer.application.reactions["data"] = how
        if why is ZeroDivisionError:
            with pytest.raises(ZeroDivisionError):
                peer.feed(b"x")
        else:
            peer.feed(b"x")
        assert peer.lost
        assert peer.taken == b""
        assert type(peer.application.reason) is why


def test_what_is_written_before_a_close_is_sent() -> None:
    """And nothing more is read."""

    def close() -> None:
        peer.application.transport.write(b"bye")
        peer.application.transport.loseConnection()

    peer = dialogue(Application)
    peer.application.reactions["data"] = close
    peer.transport.deliver(b"x")
    peer.feed(b"y")
    assert peer.taken == b"bye"
    assert peer.lost


def closing(*written: bytes, before: Callable[[Any], object] | None = None) -> Any:
    """A connection whose application writes and closes when something comes, and which has just been read."""

    def close() -> None:
        if before is not None:
            before(peer)
        for each in written:
            peer.application.transport.write(each)
        peer.application.transport.loseConnection()

    peer = dialogue(Application)
    peer.application.reactions["data"] = close
    peer.transport.deliver(b"x")
    return peer


@pytest.mark.parametrize("written", [(), (b"bye",), (b"by", b"e")])
def test_a_close_leaves_with_the_answer(written: tuple[bytes, ...]) -> None:
    """In the same turn, once what calls it has returned."""
    peer = closing(*written)
    peer.transport.doRead()
    assert peer.taken == b"".join(written)
    assert peer.lost
    assert type(peer.application.reason) is ConnectionDone
    assert not peer.transport.turns.writing


def test_a_close_waits_for_what_the_kernel_does_not_take() -> None:
    """As ever."""
    peer = closing(b"bye")
    peer.takes(1)
    peer.transport.doRead()
    assert (peer.taken, peer.lost) == (b"b", False)
    peer.takes(None)
    assert (peer.taken, peer.lost) == (b"bye", True)


def test_a_close_waits_for_a_producer_that_is_paused() -> None:
    """It may have more to say."""

    def much(peer: Any) -> None:
        peer.application.transport.registerProducer(producer, True)
        peer.application.transport.write(b"x" * (peer.transport.bufferSize + 1))

    producer = Producer()
    peer = closing(before=much)
    peer.transport.doRead()
    assert not peer.lost
    peer.advance()
    assert producer.told == ["pause", "resume"]
    assert not peer.lost
    peer.application.transport.unregisterProducer()
    peer.advance()
    assert peer.lost


def test_a_transport_that_the_reactor_is_about_to_let_write_is_still_there_then() -> None:
    """It calls doRead and doWrite one after the other for what it was told at once."""
    peer = closing(b"bye")
    peer.application.transport.write(b"good ")
    assert peer.transport.turns.writing
    assert peer.transport.doRead() is None
    assert not peer.lost
    assert type(peer.transport.doWrite()) is ConnectionDone
    assert peer.taken == b"good bye"


def test_an_answer_at_another_moment_may_be_prompt() -> None:
    """It is sent when what makes it returns; within a read, with all else that the read brings about."""
    peer = dialogue(Application)
    transport = peer.application.transport
    transport.promptly(transport.write, b"one")
    assert peer.taken == b"one"
    assert not peer.transport.turns.writing

    def answer() -> None:
        transport.promptly(transport.write, b"three")
        assert peer.taken == b"one"
        transport.write(b"four")

    peer.application.reactions["data"] = answer
    peer.transport.deliver(b"two")
    peer.transport.doRead()
    assert peer.taken == b"onethreefour"
    assert [each for each in peer.transport.changes if each[0] == "taken"] == [("taken", b"onethreefour")]


def test_what_was_written_before_an_exception_at_another_moment_is_sent() -> None:
    """Nobody says that it is the end."""

    def fail() -> None:
        transport.write(b"hello")
        raise ZeroDivisionError

    peer = dialogue(Application)
    transport = peer.application.transport
    with pytest.raises(ZeroDivisionError):
        transport.promptly(fail)
    peer.advance()
    assert (peer.taken, peer.lost) == (b"hello", False)
    transport.loseConnection()
    peer.advance()
    with pytest.raises(ZeroDivisionError):
        transport.promptly(fail)
    assert peer.lost


def test_a_pause_in_the_middle_holds_the_next_read() -> None:
    """The answer leaves all the same."""

    def pause() -> None:
        peer.application.transport.write(b"busy")
        peer.application.transport.pauseProducing()

    peer = dialogue(Application)
    peer.application.reactions["data"] = pause
    peer.feed(b"1")
    peer.feed(b"2")
    assert (peer.taken, peer.application.received) == (b"busy", b"1")
    peer.application.transport.resumeProducing()
    peer.advance()
    assert peer.application.received == b"12"


def test_names_are_twisteds() -> None:
    """The application's prefix, the session, the host."""
    peer = dialogue()
    assert peer.transport.logPrefix() == "Echo,0,192.0.2.1"
    assert peer.transport.logPrefix() is peer.transport.logPrefix()
    assert repr(peer.transport) == "<guarded Echo #0 on None>"


async def test_megabytes_pass_in_both_directions(ground: Ground) -> None:
    """Whatever part of them the kernel takes at once."""
    client, _ = await ground.connect(ground.listen(Echo))
    whole = bytes(range(256)) * 8192
    sent, back = 0, bytearray()

    def pump() -> bool:
        nonlocal sent
        with contextlib.suppress(BlockingIOError):
            sent += client.send(whole[sent : sent + 100_000])
        with contextlib.suppress(BlockingIOError):
            back.extend(client.recv(1 << 20))
        return len(back) == len(whole)

    await until(pump)
    assert bytes(back) == whole


def at_once(application: Any, data: bytes | None = b"early", *, finish: bool = False) -> Any:
    """A connection with which something has come already, and which is asked for it."""
    peer = dialogue(application)
    peer.transport.kept.unread += data or b""
    peer.transport.kept.peer_finished = finish
    peer.transport.read_at_once()
    return peer


def test_what_has_come_already_may_be_read_at_once() -> None:
    """It is answered at once, too; when nothing has come, nothing happens."""
    assert at_once(Echo).taken == b"early"
    peer = at_once(Echo, None)
    assert (peer.taken, peer.lost) == (b"", False)


def test_nobody_who_has_paused_is_made_to_read() -> None:
    """Neither the application nor a guard, nor one that closes."""
    for how in ("pauseProducing", "loseConnection", "abortConnection"):

        class Pauses(Application):
            """Does not want to read."""

            def connectionMade(self, how: str = how) -> None:
                """Say so."""
                super().connectionMade()
                getattr(self.transport, how)()

        peer = at_once(Pauses)
        assert peer.application.received == b""


@pytest.mark.parametrize("application", [Application, HalfCloseable])
def test_an_end_that_has_come_already_is_one(application: Any) -> None:
    """For those who go on after it, a half."""
    peer = at_once(application, None, finish=True)
    assert peer.lost is (application is Application)
    assert not peer.transport.reading


def test_what_is_raised_then_is_logged_and_the_end(logged: Any) -> None:
    """As the reactor has it."""

    class Fails(Application):
        """Raises."""

        def dataReceived(self, data: bytes) -> None:
            """Raise."""
            raise ZeroDivisionError

    peer = at_once(Fails)
    assert len(logged.take_failures(ZeroDivisionError)) == 1
    assert type(peer.application.reason) is ZeroDivisionError


def test_a_connection_for_which_nothing_waits_has_no_list_of_it() -> None:
    """Most of many connections are idle; whichever way something is written then, it arrives in its order."""
    peer = dialogue(Application)
    transport = peer.transport
    empty = transport._tempDataBuffer
    assert empty == ()
    peer.takes(3)
    for write in (transport.write, lambda data: transport.writeSequence([data]), Below(transport).write):
        write(b"late")
        peer.advance()
    for write in (transport.write, Below(transport).write):
        transport.promptly(write, b"more")
    peer.takes(None)
    peer.advance()
    assert peer.taken == b"late" * 3 + b"more" * 2
    transport.promptly(transport.write, b"prompt")
    assert transport._tempDataBuffer is empty
