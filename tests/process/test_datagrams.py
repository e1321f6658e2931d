"""Datagrams are sent at once or not at all, and a receiver that has begun anew is found again."""

from __future__ import annotations

import os
import select
import socket
import time
from collections import deque
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from netguard.process.datagrams import PATIENCE, Datagrams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def listening(path: Path) -> socket.socket:
    """A receiver."""
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(str(path))
    return receiver


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where a receiver is, from a folder whose name is short enough for a socket."""
    before = os.getcwd()  # noqa: PTH109 - to go back there
    os.chdir(tmp_path)
    yield tmp_path / "s"
    os.chdir(before)


def test_a_datagram_arrives_whole(path: Path) -> None:
    """Also a long one."""
    with listening(path) as receiver:
        sender = Datagrams(str(path))
        for octets in (b"hello", b"x" * 100_000):
            sender.send(octets)
            assert receiver.recv(200_000) == octets
        sender.close()


def test_nobody_there_is_an_error(path: Path) -> None:
    """At once, not at the first event."""
    with pytest.raises(FileNotFoundError):
        Datagrams(str(path))
    listening(path).close()
    with pytest.raises(ConnectionRefusedError):
        Datagrams(str(path))


def test_a_burst_that_fills_the_queue_arrives_whole(path: Path) -> None:
    """The receiver reads; it is given the moment that it needs."""
    with listening(path) as receiver:
        receiver.settimeout(30)
        got: list[bytes] = []
        thread = Thread(target=lambda: got.extend(receiver.recv(100) for _ in range(300)))
        sender = Datagrams(str(path))
        thread.start()
        for number in range(300):
            while True:  # a machine that is busy may need more than the moment
                try:
                    sender.send(b"%d" % number)
                    break
                except BlockingIOError:
                    sender._left = PATIENCE
        thread.join()
        sender.close()
    assert got == [b"%d" % number for number in range(300)]


def test_a_receiver_that_takes_nothing_is_not_waited_for_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, for the moment that it is given; then for a minute not at all. What was waited is taken off the moment."""
    waits: list[float] = []
    moments = iter([0.0, 0.0, 0.1, 0.2, 30.0, 59.0, 60.9, 61.1, 61.2])

    class Poll:
        """Waits for nothing."""

        def register(self, *_: object) -> None:
            """Nothing."""

        def poll(self, milliseconds: float) -> list[object]:
            """Nobody takes anything."""
            waits.append(milliseconds)
            return []

    with listening(path):
        monkeypatch.setattr(time, "monotonic", lambda: next(moments))
        monkeypatch.setattr(select, "poll", Poll)
        sender = Datagrams(str(path))
        with pytest.raises(BlockingIOError):
            deque(map(sender.send, [b"x"] * 100))
        for _ in range(4):
            with pytest.raises(BlockingIOError):
                sender.send(b"x")
        assert waits == [100.0]
        with pytest.raises(BlockingIOError):
            sender.send(b"x")
        assert waits == [100.0, 100.0]
        sender.close()


def test_a_receiver_that_does_not_keep_up_is_given_up_for_now(path: Path) -> None:
    """Its queue is full; once it has read, it gets more."""
    with listening(path) as receiver:
        sender = Datagrams(str(path))
        with pytest.raises(BlockingIOError):
            deque(map(sender.send, [b"x" * 1000] * 100_000))
        receiver.recv(2000)
        sender.send(b"again")
        sender.close()


def test_a_receiver_that_begins_anew_is_found_again(path: Path) -> None:
    """While it is gone, that is an error for each datagram, and nothing leaks."""
    with listening(path):
        sender = Datagrams(str(path))
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            sender.send(b"lost")
    path.unlink()
    with listening(path) as receiver:
        sender.send(b"found")
        assert receiver.recv(100) == b"found"
    sender.close()


def test_a_datagram_that_is_too_long_is_an_error_and_the_next_arrives(path: Path) -> None:
    """The kernel has the last word."""
    with listening(path) as receiver:
        sender = Datagrams(str(path))
        with pytest.raises(OSError, match="too long"):
            sender.send(b"x" * 10_000_000)
        sender.send(b"short")
        assert receiver.recv(100) == b"short"
        sender.close()
