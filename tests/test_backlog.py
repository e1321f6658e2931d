"""Tests for netguard.backlog."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.backlog import HIGH_WATER, Backlog, Supply


@given(pieces=st.lists(st.binary(min_size=1, max_size=20)), sizes=st.lists(st.integers(1, 30)))
def test_bytes_come_out_in_order_whatever_the_pieces(pieces: list[bytes], sizes: list[int]) -> None:
    """And never more than is asked for at a time."""
    backlog = Backlog()
    for each in pieces:
        backlog.add(each)
    whole, taken = b"".join(pieces), b""
    assert backlog.size == len(whole)
    for most in sizes:
        if backlog.size:
            piece = backlog.take(most)
            assert 0 < len(piece) <= most
            taken += piece
    while backlog.size:
        taken += backlog.take(inf)
    assert taken == whole


def test_what_was_to_follow_is_done_once_in_its_order() -> None:
    """And what that asks for in turn waits for the next time."""
    backlog, done = Backlog(), []
    backlog.then = [lambda: done.append(1), lambda: backlog.then.append(lambda: done.append(3)), lambda: done.append(2)]
    backlog.finish()
    assert done == [1, 2]
    backlog.finish()
    backlog.finish()
    assert done == [1, 2, 3]


class Transport:
    """Remembers its producer."""

    def __init__(self) -> None:
        self.producer: Any = None
        self.calls: list[str] = []

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Register."""
        self.calls.append(f"register {streaming}")

    def unregisterProducer(self) -> None:
        """Unregister."""
        self.calls.append("unregister")

    def pauseProducing(self) -> None:
        """As a producer."""
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        """As a producer."""
        self.calls.append("resume")


def test_a_push_producer_is_paused_while_much_waits() -> None:
    """At every write beyond the mark, as a transport does; and resumed once."""
    transport = Transport()
    supply = Supply(transport, streaming=True)
    supply.hold(transport, HIGH_WATER)
    supply.release(transport)
    assert transport.calls == []
    supply.hold(transport, HIGH_WATER + 1)
    supply.hold(transport, HIGH_WATER + 1)
    assert not supply.aside
    supply.release(transport)
    supply.release(transport)
    assert transport.calls == ["pause", "pause", "resume"]


def test_a_push_producer_that_the_transport_has_paused_stays_paused() -> None:
    """The transport will resume it."""
    transport = Transport()
    supply = Supply(transport, streaming=True)
    supply.hold(transport, HIGH_WATER + 1)
    transport.producerPaused = True  # type: ignore[attr-defined]
    supply.release(transport)
    assert transport.calls == ["pause"]


@pytest.mark.parametrize("closing", [False, True])
def test_a_producer_that_has_to_be_asked_is_taken_from_the_transport(closing: bool) -> None:
    """Unless the transport is closing: it would not wait for a producer that it does not have."""
    transport = Transport()
    transport.disconnecting = closing  # type: ignore[attr-defined]
    supply = Supply(SimpleNamespace(), streaming=False)
    supply.hold(transport, 0)
    supply.hold(transport, 1)
    assert supply.aside is not closing
    supply.release(transport)
    assert transport.calls == ([] if closing else ["unregister", "register False"])
    assert not supply.aside
