"""A message on its way out."""

from __future__ import annotations

import os
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred

from netguard.page_cache import read_at_hand
from netguard.pop3.mailbox_errors import MailboxTrouble
from netguard.pop3.reading import Reading
from netguard.wire.multiline import WireLines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Turns:
    """Stands for threads: keeps each read until the test runs it."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def __call__(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Take a read, and give the Deferred of its result."""
        result: Deferred[Any] = Deferred()
        self.waiting.append((lambda: function(*args), result))
        return result

    def run(self) -> None:
        """Run the oldest read and give its result."""
        function, result = self.waiting.pop(0)
        maybeDeferred(function).chainDeferred(result)


def is_open(descriptor: int) -> bool:
    """Whether a descriptor is open."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


class Message:
    """A message in a file, and what its Reading tells."""

    def __init__(self, path: Path, stored: bytes) -> None:
        path.write_bytes(stored)
        self.descriptor = os.open(path, os.O_RDONLY)
        self.length = len(stored)
        self.whole: list[int] = []

    def reading(
        self, in_thread: Any = maybeDeferred, top: int | None = None, chunk: int = 65536, *, at_hand: bool = False
    ) -> Reading:
        """A Reading of it, which reads in threads only unless told otherwise."""
        how = read_at_hand if at_hand else lambda *_: None
        return Reading(self.descriptor, self.length, WireLines(top), in_thread, self.whole.append, chunk, how)


async def rest(reading: Reading) -> list[bytes]:
    """All pieces that are left."""
    pieces = []
    while piece := await reading.next():
        pieces.append(piece)
    return pieces


STORED = b"Subject: x\n\n.one\r\ntwo\r\n\r\n...\nlast\r"
WIRE = b"Subject: x\r\n\r\n..one\r\ntwo\r\n\r\n....\r\nlast\r\r\n.\r\n"


@pytest.mark.parametrize("chunk", [*range(1, 20), 65536])
@pytest.mark.parametrize("prefetch", [True, False])
async def test_a_message_is_sent_whole(tmp_path: Path, chunk: int, prefetch: bool) -> None:
    """Whatever the chunk size, the pieces are the message, the last ends with the terminator, then comes nothing."""
    message = Message(tmp_path / "m", STORED)
    reading = message.reading(chunk=chunk)
    if prefetch:
        reading.prefetch()
    pieces = await rest(reading)
    reading.settle()
    assert b"".join(pieces) == WIRE
    assert pieces[-1].endswith(b".\r\n")
    assert await reading.next() == b""
    assert not is_open(message.descriptor)
    assert message.whole == [len(WIRE) - len(b"....\r\n") + 1]


@pytest.mark.parametrize("top", [0, 1, 99])
async def test_the_top_of_a_message_is_sent(tmp_path: Path, top: int) -> None:
    """TOP reads no further than it must, and says nothing about the size of the whole."""
    message = Message(tmp_path / "m", b"A: b\n\n" + b"line\n" * 3)
    reading = message.reading(top=top, chunk=8)
    assert b"".join(await rest(reading)) == b"A: b\r\n\r\n" + b"line\r\n" * min(top, 3) + b".\r\n"
    assert message.whole == []
    assert not is_open(message.descriptor)


async def test_an_empty_message_is_its_terminator(tmp_path: Path) -> None:
    """An empty file is an empty message."""
    message = Message(tmp_path / "m", b"")
    assert await rest(message.reading()) == [b".\r\n"]
    assert message.whole == [0]


async def test_a_file_that_grows_has_an_end(tmp_path: Path) -> None:
    """What is appended after the opening is not sent."""
    message = Message(tmp_path / "m", b"old\n")
    with (tmp_path / "m").open("ab") as file:
        file.write(b"new\n" * 1000)
    assert await rest(message.reading(chunk=3)) == [b"old", b"\r\n.\r\n"]


async def test_a_file_that_shrinks_has_an_end(tmp_path: Path) -> None:
    """A message that is truncated while it is sent ends properly, and its true size is told."""
    message = Message(tmp_path / "m", b"x" * 100)
    os.truncate(tmp_path / "m", 60)
    assert await rest(message.reading(chunk=50)) == [b"x" * 50, b"x" * 10, b"\r\n.\r\n"]
    assert message.whole == [62]


async def test_small_messages_need_one_visit(tmp_path: Path) -> None:
    """A message that fits in a chunk is read, and its file closed, by the thread that opened it."""
    message = Message(tmp_path / "m", b"a\n")
    turns = Turns()
    reading = message.reading(turns)
    reading.prefetch()
    assert not is_open(message.descriptor)
    assert message.whole == []
    reading.settle()
    reading.settle()
    assert message.whole == [3]
    assert await rest(reading) == [b"a\r\n.\r\n"]
    assert turns.waiting == []


def test_close_waits_for_the_read_under_way(tmp_path: Path) -> None:
    """A reading that is closed while a thread reads closes the file after that, and drops what was read."""
    message = Message(tmp_path / "m", b"x" * 100)
    turns = Turns()
    reading = message.reading(turns, chunk=10)
    pieces: list[bytes] = []
    reading.next().addCallback(pieces.append)
    reading.close()
    reading.close()
    assert is_open(message.descriptor)
    turns.run()
    assert not is_open(message.descriptor)
    assert pieces == [b""]
    assert message.whole == []


def test_close_is_once(tmp_path: Path) -> None:
    """A second close does not close what has got the same number meanwhile."""
    message = Message(tmp_path / "m", b"x")
    reading = message.reading()
    reading.close()
    other = os.open(tmp_path / "m", os.O_RDONLY)
    assert other == message.descriptor
    reading.close()
    assert is_open(other)
    os.close(other)


async def test_nothing_comes_after_close(tmp_path: Path) -> None:
    """A closed reading has nothing more, not even what was read in advance."""
    message = Message(tmp_path / "m", b"x" * 100)
    reading = message.reading(chunk=10)
    reading.prefetch()
    reading.close()
    assert await reading.next() == b""
    assert not is_open(message.descriptor)


def test_pieces_are_asked_for_one_by_one(tmp_path: Path) -> None:
    """Asking for a piece while another is read is a defect of the caller, and said to be one."""
    turns = Turns()
    reading = Message(tmp_path / "m", b"x" * 100).reading(turns)
    reading.next()
    with pytest.raises(RuntimeError, match="still being read"):
        reading.next()
    turns.run()


def test_waiting_can_be_cancelled(tmp_path: Path) -> None:
    """Who cancels a wait gets an answer at once; the thread's read is looked after, and close still closes once."""
    message = Message(tmp_path / "m", b"x" * 100)
    turns = Turns()
    reading = message.reading(turns, chunk=10)
    failures: list[object] = []
    waiting = reading.next()
    waiting.addErrback(lambda failure: failures.append(failure.type))
    waiting.cancel()
    reading.close()
    turns.run()
    assert failures == [CancelledError]
    assert not is_open(message.descriptor)


@pytest.mark.parametrize("closed", [True, False])
def test_a_read_that_fails_is_trouble(tmp_path: Path, closed: bool) -> None:
    """When the file cannot be read on, the failure is MailboxTrouble, unless nobody is there to hear of it."""
    descriptor = os.open(tmp_path, os.O_RDONLY)  # a directory: opening is possible, reading is not
    turns = Turns()
    reading = Reading(descriptor, 10, WireLines(), turns, lambda _: None)
    results: list[Any] = []
    reading.next().addCallbacks(results.append, lambda failure: results.append(failure.value))
    if closed:
        reading.close()
    turns.run()
    assert not is_open(descriptor)
    if closed:
        assert results == [b""]
    else:
        [trouble] = results
        assert isinstance(trouble, MailboxTrouble)
        assert "Is a directory" in str(trouble)


def test_a_first_read_that_fails_closes_the_file(tmp_path: Path) -> None:
    """When already the first chunk cannot be read, nothing is left open."""
    descriptor = os.open(tmp_path, os.O_RDONLY)
    reading = Reading(descriptor, 10, WireLines(), maybeDeferred, lambda _: None)
    with pytest.raises(MailboxTrouble, match="Is a directory"):
        reading.prefetch()
    assert not is_open(descriptor)


async def test_memory_is_that_of_a_few_chunks(tmp_path: Path) -> None:
    """A big message passes through memory a chunk at a time."""
    size = 16 * 2**20
    message = Message(tmp_path / "m", b"")
    os.truncate(tmp_path / "m", size)
    message.length = size
    reading = message.reading()
    total = 0
    tracemalloc.start()
    while piece := await reading.next():
        total += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == size + len(b"\r\n.\r\n")
    assert peak < 2**20


def test_what_is_in_memory_needs_no_thread(tmp_path: Path) -> None:
    """Of a message that the page cache holds, seven pieces of eight are read at once; every eighth lets others in."""
    stored = b"0123456789abcde\n" * 20
    turns = Turns()
    message = Message(tmp_path / "mail", stored)
    reading = message.reading(turns, chunk=16, at_hand=True)
    pieces: list[bytes] = []
    visits = 0
    while True:
        reading.next().addCallback(pieces.append)
        while turns.waiting:
            visits += 1
            turns.run()
        if not pieces[-1]:
            break
    assert b"".join(pieces) == stored.replace(b"\n", b"\r\n") + b".\r\n"
    assert visits == 20 // 8
    assert message.whole == [340]
    assert not is_open(message.descriptor)


def test_the_top_of_what_is_in_memory(tmp_path: Path) -> None:
    """TOP ends where it should without a thread, too, and closes the file."""
    message = Message(tmp_path / "mail", b"A: b\n\none\ntwo\nthree\n")
    reading = message.reading(Turns(), top=1, chunk=8, at_hand=True)
    pieces: list[bytes] = []
    for _ in range(3):
        reading.next().addCallback(pieces.append)
    assert b"".join(pieces) == b"A: b\r\n\r\none\r\n.\r\n"
    assert message.whole == []
    assert not is_open(message.descriptor)
