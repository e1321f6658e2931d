"""Tests for netguard.outflow."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace as Layer
from typing import Any

import pytest
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from netguard.outflow import base_of, progress, queued
from netguard.transport import GuardedTransport


def test_the_buffers_of_a_descriptor_are_queued() -> None:
    """Both of them, without what has been written of the first."""
    assert queued(Layer(dataBuffer=b"x" * 10, offset=3, _tempDataLen=5)) == 12
    assert queued(None) == 0
    assert queued(StringTransport()) == 0


def test_every_layer_counts_once() -> None:
    """TLS's own buffers and the descriptor's, although the upper layer answers for the lower one."""
    below: Any = Layer(dataBuffer=b"x" * 10, _tempDataLen=1)
    nothing: Any = None
    tls: Any = ProtocolWrapper(WrappingFactory(nothing), nothing)
    tls.transport = below
    assert tls._tempDataLen == 1  # it answers for the layer below
    assert queued(tls) == 11
    tls.__dict__["_appSendBuffer"] = [b"12", b"3"]
    tls.__dict__["_aggregator"] = Layer(_buffer=[b"4"])
    assert queued(tls) == 15


def test_what_tls_holds_after_start_tls_is_queued() -> None:
    """TLS is below the application then, as the transport's protocol."""
    tls = Layer(_appSendBuffer=[b"123"], _aggregator=object())
    assert queued(Layer(TLS=True, protocol=tls, dataBuffer=b"x")) == 4
    assert queued(Layer(TLS=True, dataBuffer=b"x")) == 1  # the connection is lost
    assert queued(Layer(TLS=False, protocol=tls, dataBuffer=b"x")) == 1


def test_what_a_guarded_application_has_is_seen_through() -> None:
    """For time limits inside of guarded applications."""
    real = Layer(dataBuffer=b"12")
    guarded = GuardedTransport(None, real)
    assert queued(guarded) == 2
    assert base_of(guarded) is real
    assert base_of(Layer(transport=guarded)) is real


def test_layers_are_followed_to_the_base_and_not_for_ever() -> None:
    """A transport that names itself is no trap."""
    base = Layer()
    assert base_of(Layer(transport=Layer(transport=base))) is base
    ring = Layer(dataBuffer=b"x")
    ring.transport = ring
    assert base_of(ring) is ring
    assert queued(ring) < 10


def test_without_a_socket_progress_is_what_has_left_the_queue() -> None:
    """Written less waiting."""
    assert progress(Layer(dataBuffer=b"123"), 10) == (7, True)
    assert progress(Layer(), 10) == (10, False)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a TCP connection with small buffers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        ours = socket.create_connection(listening.getsockname())
        theirs, _ = listening.accept()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="the kernel does not tell")
def test_the_kernel_says_what_the_peer_took(pair: tuple[socket.socket, socket.socket]) -> None:
    """What lies in its buffers untaken is outstanding; what the peer's kernel has acknowledged is not."""
    ours, theirs = pair
    transport = Layer(socket=ours)
    before, outstanding = progress(transport)
    assert not outstanding
    ours.setblocking(False)
    sent = 0
    while True:
        try:
            sent += ours.send(b"x" * 65536)
        except BlockingIOError:
            break
    full, outstanding = progress(transport)
    assert outstanding
    assert before <= full < before + sent
    got = 0
    theirs.settimeout(5)
    while got < sent:
        got += len(theirs.recv(65536))
    for _ in range(500):
        taken, outstanding = progress(transport)
        if not outstanding:
            break
        theirs.settimeout(0.01)
        with pytest.raises(TimeoutError):
            theirs.recv(1)
    assert not outstanding
    assert taken - before == sent


def test_a_socket_that_cannot_be_asked_is_counted_by_its_queue() -> None:
    """A closed one, a UNIX one, and a kernel that tells less."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert progress(Layer(socket=ours, dataBuffer=b"1"), 5) == (4, True)
    closed = socket.socket()
    closed.close()
    assert progress(Layer(socket=closed), 5) == (5, False)

    class Terse:
        """Tells less."""

        family = socket.AF_INET

        def getsockopt(self, *_: object) -> bytes:
            """Tell."""
            return b"short"

    assert progress(Layer(socket=Terse()), 5) == (5, False)
