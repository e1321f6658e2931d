"""Tests for netguard.guards.refusal: the styles, on connections that a limit refuses."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from netguard.connection import PARTING
from netguard.errors import Draining, OptionError
from netguard.guard import Connection, Guard, frozen
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.refusal import Refusal
from netguard.policy import Policy
from netguard.testing import Application, connect
from netguard.testing.memory import MemoryTransport


class Framed(Factory):
    """An application with a form of its own for refusals."""

    protocol = Application

    def refusal_text(self, text: str) -> bytes:
        """Frame it."""
        return b"-ERR " + text.encode() + b"\r\n"


@frozen
class Late(Guard):
    """Refuses when the test says so."""

    def open(self, connection: Connection) -> Deferred[Any]:
        """Wait, then refuse."""
        late.append(Deferred())
        return late[-1].addCallback(lambda _: connection.refuse(Draining()))


late: list[Deferred[Any]] = []


def refused(style: str | None, factory: Any = None) -> MemoryTransport | None:
    """The transport of a connection that was one too many; None when nothing was answered for it."""
    guards: list[Guard] = [ConnectionLimit(total=1)]
    guarded = Policy(*guards, *([Refusal(style)] if style else [])).wrap(factory or Framed(), Clock())
    guarded.buildProtocol(None)
    built: Any = guarded.buildProtocol(None)
    if built is None:
        return None
    clock = Clock()
    transport = MemoryTransport(clock, built, None)
    built.makeConnection(transport)
    clock.pump([0, 0])
    return transport


@pytest.mark.parametrize("style", [None, "close"])
def test_a_refused_connection_is_closed(style: str | None) -> None:
    """Without a word, and without a transport: the port does it."""
    assert refused(style) is None


def test_a_refused_connection_is_reset() -> None:
    """By an abort."""
    transport = refused("reset")
    assert transport is not None
    assert transport.aborted
    assert not transport.taken


@pytest.mark.parametrize(
    ("factory", "told"), [(None, b"-ERR come back\r\n"), (Factory.forProtocol(Application), b"come back\r\n")]
)
def test_a_refused_connection_is_told_a_text(factory: Any, told: bytes) -> None:
    """In the application's form where it has one; then it is closed."""
    transport = refused("text: come back ", factory)
    assert transport is not None
    assert (bytes(transport.taken), transport.aborted, transport.connected) == (told, False, 0)


def _refused_late(style: str) -> Any:
    late.clear()
    peer: Any = connect(Policy(Late(), Refusal(style)), Framed())
    late[0].callback(None)
    return peer


def test_one_that_was_let_wait_is_told_too() -> None:
    """It is refused late, and closed behind the text."""
    peer = _refused_late("text:no")
    peer.advance()
    assert peer.taken == b"-ERR no\r\n"
    assert peer.lost
    assert not peer.transport.aborted
    assert peer.refused


def test_one_that_does_not_take_its_text_is_aborted() -> None:
    """Some seconds later, and not before."""
    late.clear()
    peer: Any = connect(Policy(Late(), Refusal("text:no")), Framed())
    peer.takes(0)
    late[0].callback(None)
    peer.feed(b"more")
    peer.advance(PARTING - 0.5)
    assert not peer.lost
    peer.advance(1)
    assert peer.transport.aborted


@pytest.mark.parametrize(
    "style", ["", "text:", "text: ", "shout", "text:two\nlines", "close:now", "text:" + "x" * 513, 5]
)
def test_what_is_no_style_is_refused(style: Any) -> None:
    """One line says what there is."""
    with pytest.raises(OptionError, match=r"^option refusal: .* is not close, reset, or text: and what to say"):
        Refusal(style)


def test_a_style_is_a_value() -> None:
    """Names in any case, the text without blanks around it."""
    assert Refusal(" Reset ") == Refusal("reset")
    assert Refusal("TEXT: a b ") == Refusal("text:a b")
