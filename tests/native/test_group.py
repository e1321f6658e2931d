"""What is promised of Group: whoever is in it is served as by Twisted's reactors, and nobody suffers for another."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor, IReactorFDSet, IReadDescriptor
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import implementer

from netguard.native.group import MANY, MOST, TOGETHER, Group, group_for
from netguard.native.member import Member as Served
from netguard.native.patience import EVERY, LONGEST, TURN, Patience
from netguard.testing import Application, Echo
from tests.native.conftest import Ground, until

TICK = 10e-6
"""Seconds that pass whenever somebody looks at the time."""

REACTORS = Path(__file__).parent / "reactors.py"


@implementer(IReactorFDSet)
class Above:
    """A reactor that remembers whom it watches."""

    def __init__(self) -> None:
        self.readers: list[Any] = []
        self.writers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """Watch."""
        if reader not in self.readers:
            self.readers.append(reader)

    def addWriter(self, writer: Any) -> None:
        """Watch."""
        self.writers.append(writer)

    def removeReader(self, reader: Any) -> None:
        """Watch no more."""
        if reader in self.readers:
            self.readers.remove(reader)

    def removeWriter(self, writer: Any) -> None:
        """Watch no more."""
        if writer in self.writers:
            self.writers.remove(writer)

    def getReaders(self) -> list[Any]:
        """Whom it watches."""
        return self.readers

    def getWriters(self) -> list[Any]:
        """Whom it watches."""
        return self.writers

    def removeAll(self) -> list[Any]:
        """Nobody asks for that here."""
        raise NotImplementedError

    def seconds(self) -> float:
        """A thing that the group leaves to it."""
        return 12.5


class ByEpoll(Above):
    """One that can be asked for whom something has come."""

    def __init__(self) -> None:
        super().__init__()
        self._poller = select.epoll()

    def addReader(self, reader: Any) -> None:
        """Watch."""
        super().addReader(reader)
        self._poller.register(reader.fileno(), select.EPOLLIN)


@implementer(IHalfCloseableDescriptor)
class Member(Served):
    """One end of a pair of sockets, which does what a test wants when it is told something."""

    def __init__(self, name: str = "a member") -> None:
        self.sockets = list(socket.socketpair())
        self.socket, self.peer = self.sockets
        self.socket.setblocking(False)
        self.name = name
        self.told: list[Any] = []
        self.on_read: Callable[[], Any] = lambda: None
        self.on_write: Callable[[], Any] = lambda: None
        self.on_end: Callable[[], Any] = lambda: None
        self.on_send: Callable[[], Any] = lambda: None
        self.reactor: Any = None

    def take(self, number: int) -> None:
        """Have this number for its descriptor, whatever numbers are free."""
        own = self.socket.detach()
        os.dup2(own, number)
        os.close(own)
        self.socket = self.sockets[0] = socket.socket(fileno=number)
        self.socket.setblocking(False)

    def logPrefix(self) -> str:
        """Its name."""
        return self.name

    def doRead(self) -> Any:
        """Something can be read: take it."""
        self.told.append("read")
        self.socket.recv(100)
        return self.on_read()

    def doWrite(self) -> Any:
        """Something can be written."""
        self.told.append("write")
        return self.on_write()

    def answer(self) -> None:
        """Write something, while it is told of something else."""
        assert self._inside
        self._wanted = True

    def send_now(self) -> Any:
        """What was written is to be sent."""
        assert not self._inside
        self._wanted = False
        self.told.append("send")
        return self.on_send()

    def readConnectionLost(self, reason: Any) -> None:
        """A half-close."""
        self.told.append(("half", type(reason.value)))

    def writeConnectionLost(self, reason: Any) -> None:
        """Nobody says that here."""

    def connectionLost(self, reason: Any) -> None:
        """The end."""
        self.told.append(type(reason.value))
        self.on_end()


@pytest.fixture
def above() -> Above:
    """A reactor."""
    return Above()


@pytest.fixture
def group(above: Above) -> Any:
    """A group below it."""
    return Group(above)


@pytest.fixture
def members(group: Any) -> Iterator[Callable[..., Member]]:
    """Makes members that read."""
    made: list[Member] = []

    def make(name: str = "a member") -> Member:
        made.append(Member(name))
        group.addReader(made[-1])
        return made[-1]

    yield make
    hang_up(made)


def hang_up(members: list[Member]) -> None:
    """Close both ends of each."""
    for each in members:
        for one in each.sockets:
            one.close()


def raises() -> None:
    """Raise."""
    raise ZeroDivisionError


def speak(*members: Member) -> None:
    """Something comes for each."""
    for each in members:
        each.peer.send(b"x")


def test_it_tells_what_it_was_asked_to_tell(group: Any, members: Any) -> None:
    """Reading, writing, both or neither; asking twice is asking once."""
    one = members()
    group.addReader(one)
    group.doRead()
    assert one.told == []
    speak(one)
    group.addWriter(one)
    group.doRead()
    assert one.told == ["read", "write"]
    speak(one)
    group.removeReader(one)
    group.removeReader(one)
    group.doRead()
    assert one.told == ["read", "write", "write"]
    group.addReader(one)
    group.removeWriter(one)
    group.doRead()
    assert one.told == ["read", "write", "write", "read"]
    group.removeReader(one)
    speak(one)
    group.doRead()
    assert len(one.told) == 4
    group.addWriter(one)
    group.doRead()
    assert one.told[4:] == ["write"]


def test_all_else_is_the_reactors(group: Any, above: Above) -> None:
    """Its time, and what it provides."""
    assert group.seconds() == 12.5
    assert IReactorFDSet.providedBy(group)
    assert IReadDescriptor.providedBy(group)
    assert not hasattr(group, "nothing")
    assert not hasattr(Group.__new__(Group), "reactor")
    assert above.readers == [group]
    assert select.select([group], [], [], 0) == ([], [], [])


def test_whoever_was_removed_by_another_is_not_told(group: Any, members: Any) -> None:
    """Though something had come for it, too."""
    both = members("one"), members("other")
    for one, other in (both, both[::-1]):
        one.on_read = lambda other=other: group.removeReader(other)
    speak(*both)
    group.doRead()
    assert sorted(len(each.told) for each in both) == [0, 1]
    group.doRead()
    assert sorted(len(each.told) for each in both) == [0, 1]


def test_whoever_was_paused_by_another_is_only_told_of_its_writing(group: Any, members: Any) -> None:
    """It is not removed; but what came for it, it does not want to know now."""
    both = members("one"), members("other")
    for one, other in (both, both[::-1]):
        group.addWriter(one)
        one.on_read = lambda other=other: group.removeReader(other)
    speak(*both)
    group.doRead()
    assert sorted(tuple(each.told) for each in both) == [("read", "write"), ("write",)]


def test_whoever_gets_the_number_of_another_is_not_taken_for_it(group: Any, members: Any) -> None:
    """One that closes makes room for one that comes, in the same turn: the same number, and nothing has come for it."""
    both = members("one"), members("other")
    new: list[Member] = []

    def replace(other: Member) -> None:
        number = other.socket.fileno()
        new.append(Member("new"))
        group.removeReader(other)
        other.socket.close()
        new[0].take(number)
        group.addReader(new[0])

    for one, other in (both, both[::-1]):
        one.on_read = lambda other=other: replace(other)
    speak(*both)
    group.doRead()
    assert new[0].told == []
    speak(new[0])
    group.doRead()
    assert new[0].told == ["read"]
    for each in new[0].sockets:
        each.close()


def test_one_that_raises_is_ended_and_nobody_else(group: Any, members: Any, logged: Any) -> None:
    """The log names it, as Twisted does; whatever else it raises then is logged, too."""
    bad, worse, good = members("bad"), members("worse"), members("good")
    bad.on_read = worse.on_read = worse.on_end = raises
    speak(bad, worse, good)
    group.doRead()
    assert bad.told == worse.told == ["read", ZeroDivisionError]
    assert good.told == ["read"]
    assert len(logged.take_failures(ZeroDivisionError)) == 3
    assert {each["log_system"] for each in logged.events if each.get("failure")} == {"bad", "worse"}
    group.doRead()
    assert good.told == ["read"]
    writer = members()
    group.addWriter(writer)
    writer.on_write = raises
    group.doRead()
    assert writer.told == ["write", ZeroDivisionError]
    logged.take_failures(ZeroDivisionError)


def test_what_is_answered_in_a_turn_is_sent_at_its_end(group: Any, members: Any) -> None:
    """When everybody has been told, so that a peer who waits for several answers is woken up once."""
    both = members("one"), members("other")
    told: list[str] = []
    for each in both:
        each.told = told
        each.on_read = each.answer
    speak(*both)
    group.doRead()
    assert told == ["read", "read", "send", "send"]
    group.doRead()
    assert len(told) == 4


def test_not_many_answers_wait_for_others(group: Any, members: Any) -> None:
    """Their applications may take their time."""
    told: list[str] = []
    for _ in range(TOGETHER + 1):
        each = members()
        each.told, each.on_read = told, each.answer
        speak(each)
    group.doRead()
    assert told == [*["read"] * TOGETHER, *["send"] * TOGETHER, "read", "send"]


def test_one_that_cannot_send_is_ended_and_nobody_else(group: Any, members: Any, logged: Any) -> None:
    """The log names it; the answers of the others leave."""
    crowd = [members(name) for name in ("one", "bad", "other")]
    for each in crowd:
        each.on_read = each.answer
    crowd[1].on_send = raises
    speak(*crowd)
    group.doRead()
    assert crowd[0].told == crowd[2].told == ["read", "send"]
    assert crowd[1].told == ["read", "send", ZeroDivisionError]
    assert [each["log_system"] for each in logged.events if each.get("failure")] == ["bad"]
    logged.take_failures(ZeroDivisionError)


def test_what_is_logged_stands_under_the_members_name(group: Any, members: Any, logged: Any) -> None:
    """Also where the name cannot be had; and behind it, what was there before."""
    one, nameless = members("one"), members("nameless")
    one.on_read = nameless.on_read = lambda: log.msg("here")
    nameless.logPrefix = raises
    speak(one, nameless)
    log.callWithContext({"system": "outside", "more": 1}, group.doRead)
    said = {(each["log_system"], each["more"]) for each in logged.events if each.get("message") == ("here",)}
    assert said == {("one", 1), ("(buggy logPrefix method)", 1)}
    assert nameless.told == ["read"]
    assert len(logged.take_failures(ZeroDivisionError)) == 1
    log.msg("after")
    assert logged.events[-1]["log_system"] == "-"
    assert group.logPrefix() == "-"


def test_one_whose_reads_only_move_bytes_has_no_name_there(group: Any, members: Any, logged: Any) -> None:
    """It speaks to no application that could log; it ends as any other does, and writes as any other."""
    mover, bad, ended, speaker = members("mover"), members("bad"), members("ended"), members("speaker")
    for each in (mover, bad, ended):
        each.moves = True
    mover.on_read = speaker.on_read = lambda: log.msg("here")
    bad.on_read = bad.on_end = raises
    ended.on_read = ConnectionDone
    speak(speaker, mover, bad, ended)
    log.callWithContext({"system": "outside"}, group.doRead)
    said = [each["log_system"] for each in logged.events if each.get("message") == ("here",)]
    assert sorted(said) == ["outside", "speaker"]
    assert len(logged.take_failures(ZeroDivisionError)) == 2
    assert bad.told == ["read", ZeroDivisionError]
    assert ended.told == ["read", ("half", ConnectionDone)]
    group.addWriter(mover)
    mover.on_write = lambda: log.msg("there")
    speak(mover)
    group.doRead()
    assert mover.told == ["read", "read", "write"]
    assert logged.events[-1]["log_system"] == "mover"


def test_a_connection_that_is_over_is_told_as_twisted_tells_it(group: Any, members: Any) -> None:
    """By what reading or writing answers, or by the kernel; half, if somebody still reads."""
    done, lost, hung, mute = (members() for _ in range(4))
    done.on_read, lost.on_read = ConnectionDone, ConnectionLost
    speak(done, lost)
    group.doRead()
    assert done.told == ["read", ("half", ConnectionDone)]
    assert lost.told == ["read", ConnectionLost]
    group.addWriter(mute)
    group.removeReader(mute)
    group.removeReader(hung)
    group.removeWriter(mute)
    for each in (hung, mute):
        each.socket = socket.socket()  # of one that is not connected, the kernel says that it hangs, and has nothing
        each.sockets.append(each.socket)
    group.addReader(hung)
    group.addWriter(mute)
    group.doRead()
    assert hung.told == [("half", ConnectionDone)]
    assert mute.told == [ConnectionLost]
    group.doRead()
    assert len(hung.told) == len(mute.told) == 1


def test_a_stranger_is_watched_by_the_reactor_itself(group: Any, above: Above, members: Any) -> None:
    """An application asks its transport's reactor to watch something else; a connection is being made."""

    class Stranger:
        """Has nothing but what reactors ask for."""

        def fileno(self) -> int:
            """None of ours."""
            return 0

    one, stranger = members(), Stranger()
    group.addReader(stranger)
    group.addWriter(stranger)
    assert (above.readers, above.writers) == ([group, stranger], [stranger])
    speak(one)
    group.doRead()
    assert one.told == ["read"]
    group.removeReader(stranger)
    group.removeWriter(stranger)
    assert (above.readers, above.writers) == ([group], [])


def test_few_are_served_in_one_turn_and_everybody_in_the_next(group: Any, members: Any) -> None:
    """However many are ready at once, and stay so."""
    crowd = [members() for _ in range(MOST + 20)]
    for each in crowd:
        each.peer.send(b"x" * 500)
    group.doRead()
    assert sum(len(each.told) for each in crowd) == MOST
    group.doRead()
    assert all(each.told for each in crowd)


def restless(reactor: Above, patience: Patience) -> tuple[Any, list[Member]]:
    """A group with two members: as soon as one of them reads, something comes for the other."""
    group, both = Group(reactor, patience), [Member(), Member()]
    for one, other in (both, both[::-1]):
        group.addReader(one)
        one.on_read = partial(speak, other)
    speak(both[0])
    return group, both


@pytest.mark.parametrize(
    ("kind", "waits", "longest"),
    [(ByEpoll, False, TURN), (ByEpoll, True, EVERY), (Above, False, EVERY)],
    ids=["nobody else", "others wait", "others may wait"],
)
def test_who_comes_soon_is_served_in_the_same_turn(kind: type[Above], waits: bool, longest: float) -> None:
    """Where the one before has come soon, too; until something comes for the reactor's others, and not for ever."""
    time = iter(range(1_000_000))
    reactor, stranger = kind(), Member()
    reactor.addReader(stranger.socket)
    if waits:
        speak(stranger)
    group, both = restless(reactor, Patience(may=True, now=lambda: next(time) * TICK))
    group.doRead()
    assert [each.told for each in both] == [["read"], []]
    group.doRead()
    turn = sum(len(each.told) for each in both) - 1
    assert longest / TICK / 8 < turn < 2 * longest / TICK
    for each in both:
        each.on_read = lambda: None
    before = next(time)
    group.doRead()
    assert sum(len(each.told) for each in both) == turn + 2
    assert (next(time) - before) * TICK <= LONGEST + 5 * TICK
    hang_up([*both, stranger])


@pytest.mark.parametrize(("count", "told"), [(MANY - 1, []), (MANY, ["read"])], ids=["few", "many"])
def test_where_many_are_served_so_is_who_comes_meanwhile(count: int, told: list[str], group: Any, members: Any) -> None:
    """A turn less, with or without patience; few are not worth another look."""
    group.patience = Patience(may=False, now=lambda: 1.0)
    crowd, late = [members() for _ in range(count)], members()
    crowd[0].on_read = lambda: speak(late)
    speak(*crowd)
    group.doRead()
    assert [each.told for each in crowd] == [["read"]] * count
    assert late.told == told
    group.doRead()
    assert late.told == ["read"]


def test_no_more_are_served_in_one_turn_of_patience(above: Above) -> None:
    """Where nobody takes any time."""
    group, both = restless(above, Patience(may=True, now=lambda: 1.0))
    group.doRead()
    group.doRead()
    assert sum(len(each.told) for each in both) == 1 + MOST
    hang_up(both)


def test_the_end_of_the_reactor_is_everybodys(group: Any, members: Any, logged: Any) -> None:
    """Who reads and who writes; one that raises keeps nobody from it."""
    crowd = members("bad"), members("good"), members("writes")
    group.addWriter(crowd[2])
    group.removeReader(crowd[2])
    crowd[0].on_end = raises
    crowd[1].on_end = lambda: group.removeReader(crowd[2])
    group.connectionLost(Failure(ConnectionLost()))
    assert [each.told for each in crowd] == [[ConnectionLost]] * 3
    assert len(logged.take_failures(ZeroDivisionError)) == 1
    speak(*crowd)
    group.doRead()
    assert [each.told for each in crowd] == [[ConnectionLost]] * 3


def test_it_leaves_the_reactor_with_the_last_after_its_port(group: Any, above: Above, members: Any) -> None:
    """And comes back with one that was only paused."""
    one, other = members(), members()
    group.removeReader(one)
    group.close()
    assert above.readers == [group]
    group.removeReader(other)
    assert above.readers == []
    group.addReader(one)
    assert above.readers == [group]
    speak(one)
    group.doRead()
    assert one.told == ["read"]


def test_one_that_is_dismissed_is_the_reactors(group: Any, above: Above, members: Any) -> None:
    """With all that it wanted to be told."""
    reads, writes, rests = members(), members(), members()
    group.addWriter(writes)
    group.removeReader(rests)
    for each in (reads, writes, rests):
        group.dismiss(each)
    assert above.readers == [group, reads, writes]
    assert above.writers == [writes]
    assert reads.reactor is above
    speak(reads, writes, rests)
    group.doRead()
    assert reads.told == writes.told == rests.told == []


def test_a_descriptor_that_is_taken_away_is_no_trouble(group: Any, members: Any) -> None:
    """Whoever takes it from its socket, and ends the connection, hears nothing any more. The number is free again."""
    one = members()
    speak(one)
    number = one.socket.detach()
    group.removeReader(one)
    assert one.told == []
    socket.socket(fileno=number).close()
    closed = members()
    stays = closed.socket.fileno()
    group.addWriter(closed)
    new = Member()
    closed.socket.close()
    new.take(stays)
    group.addReader(new)
    group.removeReader(closed)
    group.removeWriter(closed)
    del closed.socket
    group.removeReader(closed)
    speak(new)
    group.doRead()
    assert (new.told, closed.told) == (["read"], [])
    for each in new.sockets:
        each.close()


def test_a_turn_inside_of_a_turn_is_one(group: Any, members: Any) -> None:
    """As Twisted's iterate has it; who left inside is not told outside."""
    first, second = members("first"), members("second")

    def inside(other: Member) -> None:
        first.on_read = second.on_read = lambda: None
        group.doRead()
        group.removeReader(other)
        group.doRead()

    first.on_read = lambda: inside(second)
    second.on_read = lambda: inside(first)
    speak(first, second)
    group.doRead()
    assert sorted(len(each.told) for each in (first, second)) == [1, 1]


def test_where_there_is_no_group_there_is_the_reactor(above: Above, monkeypatch: pytest.MonkeyPatch) -> None:
    """It watches no descriptors, there is no epoll, or no descriptor for one."""
    clock = Clock()
    assert group_for(clock) is clock
    assert type(group_for(above)) is Group

    def fail(_reader: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(above, "addReader", fail)
    assert group_for(above) is above
    monkeypatch.undo()
    monkeypatch.delattr(select, "epoll")
    assert group_for(above) is above


# of real connections


async def test_a_thread_logs_under_the_name_of_the_connection_that_began_it(ground: Ground, logged: Any) -> None:
    """Even when others have been served since."""

    class Threaded(Application):
        """Logs from a thread."""

        def dataReceived(self, data: bytes) -> None:
            """Begin one."""
            deferToThread(log.msg, "from a thread")

    port = ground.listen(Threaded)
    clients = [(await ground.connect(port))[0] for _ in range(3)]
    for each in clients:
        each.send(b"x")

    def said() -> list[str]:
        return [each["log_system"] for each in logged.events if each.get("message") == ("from a thread",)]

    await until(lambda: len(said()) == 3)
    assert sorted(said()) == [f"Threaded,{number},127.0.0.1" for number in range(3)]


async def test_those_who_write_to_each_other_in_one_turn_lose_nothing(ground: Ground) -> None:
    """Before or behind the other's own answer, and to one that is being closed or has been aborted in this turn."""
    everybody: list[Any] = []

    class Crowd(Application):
        """Writes to all what one has said."""

        def dataReceived(self, data: bytes) -> None:
            """Write it; end somebody."""
            for each in everybody:
                each.transport.write(data)
            if data == b"5":
                everybody[5].transport.loseConnection()
            if data == b"6":
                everybody[7].transport.abortConnection()

    port = ground.listen(Crowd)
    clients = []
    for _ in range(8):
        client, application = await ground.connect(port)
        clients.append(client)
        everybody.append(application)
    stay, closed = [clients[number] for number in range(8) if number not in (5, 7)], clients[5]
    for words, some in ((b"0123456", clients[:7]), (b"abcdef", stay)):
        for word, each in zip(words, some, strict=True):
            each.send(bytes((word,)))
        for each in stay:
            assert sorted(await ground.read(each, len(words))) == [*words]
    await until(lambda: everybody[5].reason and everybody[7].reason)
    assert b"5" in await ground.read(closed, 8)


async def test_whoever_asks_for_the_descriptor_may_speak_to_the_reactor(ground: Ground) -> None:
    """As twisted.runner.inetd does, which gives it to a program, and reads no more itself."""
    from twisted.internet import reactor

    listening: Any = reactor
    client, application = await ground.connect(ground.listen(Echo))
    client.send(b"first")
    assert await ground.read(client, 5) == b"first"
    number = application.transport.fileno()
    listening.removeReader(application.transport)
    client.send(b"second")
    other = socket.socket(fileno=number)
    assert await ground.read(other, 6) == b"second"
    other.detach()
    listening.addReader(application.transport)
    client.send(b"third")
    assert await ground.read(client, 5) == b"third"
    client.close()
    await until(lambda: application.reason)
    assert application.transport.fileno() == -1


@pytest.mark.parametrize("kind", ["epoll", "poll", "select", "asyncio"])
def test_it_serves_under_every_reactor_and_ends_with_it(kind: str) -> None:
    """In a process of its own."""
    said = subprocess.run([sys.executable, REACTORS, kind], capture_output=True, text=True, timeout=60, check=False)
    assert (said.stdout, said.stderr) == ("grouped: echoed, closed, 3 lost at the end\n", "")
