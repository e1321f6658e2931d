"""Tests for netguard.early."""

from __future__ import annotations

import os
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred

from netguard.early import DESCRIPTORS, EARLY, Early
from netguard.errors import TooEarly


@define
class Connection:
    """Remembers why it was refused."""

    state: str = "opening"
    reason: Any = None

    def refuse(self, reason: Any) -> None:
        """Remember."""
        self.reason = reason


@define
class Wrapper:
    """Remembers what it is told."""

    connection: Connection = field(factory=lambda: Connection("open"))
    calls: list[Any] = field(factory=list)

    def dataReceived(self, data: bytes) -> None:
        """Remember; "stop" ends the connection, "fail" raises."""
        self.calls.append(data)
        if data == b"stop":
            self.connection.state = "cut"
        if data == b"fail":
            raise ZeroDivisionError

    def handshakeCompleted(self) -> None:
        """Remember."""
        self.calls.append("handshake")

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Remember."""
        os.close(descriptor)
        self.calls.append("descriptor")


def descriptor() -> int:
    """An open file descriptor."""
    return os.open(os.devnull, os.O_RDONLY)


def is_open(number: int) -> bool:
    """Whether it is open."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


@pytest.fixture
def early() -> Early:
    """Of a connection that waits."""
    return Early(None, Deferred(), iter(()))


def test_what_came_is_replayed_in_its_order(early: Early) -> None:
    """Once."""
    wrapper = Wrapper()
    early.keep(Connection(), "dataReceived", b"1")
    early.keep(Connection(), "handshakeCompleted")
    early.keep(Connection(), "fileDescriptorReceived", descriptor())
    early.keep(Connection(), "dataReceived", b"2")
    early.replay(wrapper)
    early.replay(wrapper)
    assert wrapper.calls == [b"1", "handshake", "descriptor", b"2"]


@pytest.mark.parametrize("last", [b"stop", b"fail"])
def test_a_replay_ends_with_the_connection(early: Early, last: bytes) -> None:
    """What is left is dropped, and its descriptors are closed."""
    wrapper, number = Wrapper(), descriptor()
    early.keep(Connection(), "dataReceived", last)
    early.keep(Connection(), "fileDescriptorReceived", number)
    if last == b"fail":
        with pytest.raises(ZeroDivisionError):
            early.replay(wrapper)
    else:
        early.replay(wrapper)
    assert wrapper.calls == [last]
    assert not is_open(number)


def test_bytes_are_bounded(early: Early) -> None:
    """So many, and not one more."""
    connection: Any = Connection()
    early.keep(connection, "dataReceived", b"x" * (EARLY - 1))
    early.keep(connection, "dataReceived", b"x")
    assert [connection.reason] == [None]
    early.keep(connection, "dataReceived", b"x")
    assert isinstance(connection.reason, TooEarly)
    assert (connection.reason.limit, connection.reason.observed) == (EARLY, EARLY + 1)
    assert early.kept == []


def test_descriptors_are_bounded(early: Early) -> None:
    """And closed when there are too many."""
    connection, numbers = Connection(), [descriptor() for _ in range(DESCRIPTORS + 1)]
    for each in numbers:
        assert connection.reason is None
        early.keep(connection, "fileDescriptorReceived", each)
    assert isinstance(connection.reason, TooEarly)
    assert not any(map(is_open, numbers))


async def _nothing() -> None:
    """A coroutine."""


def test_a_coroutine_that_nobody_awaited_is_closed() -> None:
    """One that somebody awaits is left alone."""
    never = _nothing()
    Early(None, never, iter(())).forget()
    with pytest.raises(RuntimeError, match="cannot reuse"):
        never.send(None)
    awaited = _nothing()
    early = Early(None, awaited, iter(()))
    assert early.awaited() is awaited
    early.forget()
    with pytest.raises(StopIteration):
        awaited.send(None)
    Early(None, Deferred(), iter(())).forget()
