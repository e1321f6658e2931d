"""The pipes: few, empty when nobody has them, and never left open."""

from __future__ import annotations

import fcntl
import os
import socket

import pytest

from netguard.relay import pipes
from netguard.relay.pipes import Pipes


def test_what_goes_in_comes_out() -> None:
    """From one socket to another, as much as is there."""
    some = Pipes()
    pipe = some.borrow()
    assert pipe is not None
    ours, client = socket.socketpair()
    theirs, server = socket.socketpair()
    with ours, client, theirs, server:
        client.sendall(b"hello")
        assert pipe.fill(ours.fileno(), 3) == 3
        assert pipe.fill(ours.fileno(), 100) == 2
        assert pipe.holds == 5
        assert pipe.empty(theirs.fileno())
        assert server.recv(100) == b"hello"
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            pipe.fill(ours.fileno(), 100)
        client.close()
        assert pipe.fill(ours.fileno(), 100) == 0
    some.give_back(pipe)
    some.close()


def test_a_peer_that_takes_a_part_gets_the_rest_later() -> None:
    """And the pipe knows how much that is."""
    some = Pipes()
    pipe = some.borrow()
    assert pipe is not None
    pipe.holds = os.write(pipe.into, bytes(600_000))
    theirs, server = socket.socketpair()
    with theirs, server:
        theirs.setblocking(False)
        assert not pipe.empty(theirs.fileno())
        assert 0 < pipe.holds < 600_000
        assert not pipe.empty(theirs.fileno())
        got = 0
        while got < 600_000:
            got += len(server.recv(65_536))
            pipe.empty(theirs.fileno())
        assert pipe.holds == 0
    some.give_back(pipe)
    some.close()


def test_there_are_only_so_many() -> None:
    """Who gets none copies; what comes back is used again."""
    some = Pipes(2)
    one, two = some.borrow(), some.borrow()
    assert one is not None
    assert two is not None
    assert some.borrow() is None
    some.give_back(one)
    assert some.borrow() is one
    some.give_back(one)
    some.give_back(two)
    some.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(one.into)
    assert some.used == 0


def test_one_with_bytes_in_it_is_not_used_again() -> None:
    """They were for somebody else."""
    some = Pipes(1)
    pipe = some.borrow()
    assert pipe is not None
    ours, client = socket.socketpair()
    with ours, client:
        client.sendall(b"secret")
        pipe.fill(ours.fileno(), 100)
    some.give_back(pipe)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pipe.out_of)
    another = some.borrow()
    assert another is not pipe
    assert another is not None
    some.give_back(another)
    some.close()


def test_where_the_kernel_cannot_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python offers it where it is."""
    monkeypatch.setattr(pipes, "_splice", None)
    assert Pipes().borrow() is None


def test_where_descriptors_are_short_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """And they come back when that is over."""
    some = Pipes()

    def short(_: int) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pipe2", short)
        assert some.borrow() is None
    pipe = some.borrow()
    assert pipe is not None
    some.give_back(pipe)
    some.close()


def test_a_small_pipe_is_better_than_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel lets each user have so much in pipes."""

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(fcntl, "fcntl", refused)
    some = Pipes()
    pipe = some.borrow()
    assert pipe is not None
    some.give_back(pipe)
    some.close()
