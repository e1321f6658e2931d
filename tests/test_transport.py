"""Tests for netguard.transport; its contract is held item by item in `test_wrapper_contract.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from twisted.internet.interfaces import IConsumer, ISSLTransport, ITransport
from zope.interface import Interface, alsoProvides, directlyProvides, noLongerProvides, providedBy

from netguard.connection import Connection
from netguard.guards.lifetime import Lifetime
from netguard.over import OVER
from netguard.testing import Application, Dialogue, connect
from netguard.transport import GuardedTransport


class IMark(Interface):
    """A mark."""


@pytest.fixture
def peer() -> Dialogue:
    """A connection under a guard that strikes nobody."""
    return connect(Lifetime("24h"), Application)


def test_writes_are_counted_and_answer_what_came(peer: Dialogue) -> None:
    """An answer ends the exchange in."""
    transport: Any = peer.application.transport
    assert peer.connection is not None
    peer.feed(b"12")
    transport.write(b"345")
    assert (peer.connection.sent, peer.connection.meter.answered) == (3, 2)


@pytest.mark.parametrize("pieces", [[b"a", b"b"], (b"a", b"b"), iter([b"ab"]), []])
def test_a_sequence_is_written_as_one(peer: Dialogue, pieces: Iterable[bytes]) -> None:
    """Whatever kind of iterable it is."""
    peer.application.transport.writeSequence(pieces)
    peer.advance()
    assert peer.taken in (b"ab", b"")


def test_what_is_no_bytes_is_refused_as_by_the_transport(peer: Dialogue) -> None:
    """With its own TypeError."""
    for call in ("write", "writeSequence"):
        with pytest.raises(TypeError):
            getattr(peer.application.transport, call)(["text"] if call == "writeSequence" else "text")


@pytest.mark.parametrize("name", ["loseConnection", "stopProducing", "stopConsuming", "loseWriteConnection"])
def test_closing_is_the_transports(peer: Dialogue, name: str) -> None:
    """At once, when nothing is held back."""
    assert peer.transport is not None
    getattr(peer.application.transport, name)()
    peer.advance()
    assert (peer.lost, peer.transport.finished) == (name != "loseWriteConnection", name == "loseWriteConnection")


def test_what_the_transport_lacks_is_missing() -> None:
    """Also where we would have held something back."""
    transport = GuardedTransport(None, object())
    for name in ("loseWriteConnection", "loseConnection", "stopProducing", "stopConsuming", "startTLS"):
        with pytest.raises(AttributeError):
            getattr(transport, name)() if name != "startTLS" else transport.getHandle()


def test_arguments_of_closing_are_passed_on() -> None:
    """Older callers name the failure."""
    seen: list[Any] = []

    class Old:
        """Takes more."""

        def loseConnection(self, *args: Any, **kwargs: Any) -> None:
            """Remember."""
            seen.append((args, kwargs))

    class Meter:
        """Holds nothing back."""

        connection = OVER

        def later(self, close: object) -> bool:
            """No."""
            return False

    GuardedTransport(Meter(), Old()).loseConnection(1, why=2)
    assert seen == [((1,), {"why": 2})]


def test_interfaces_are_asked_live(peer: Dialogue) -> None:
    """By zope's functions, in C and in Python."""
    transport: Any = peer.application.transport
    assert list(providedBy(transport)) == list(providedBy(peer.transport))
    alsoProvides(peer.transport, IMark)
    assert IMark.providedBy(transport)
    assert IMark(transport) is transport
    noLongerProvides(peer.transport, IMark)
    assert IMark not in providedBy(transport)
    with pytest.raises(TypeError):
        IMark(transport)


def test_interfaces_that_are_set_on_it_are_added(peer: Dialogue) -> None:
    """By directlyProvides too, which elsewhere replaces them: TLS and endpoints call it in loops."""
    transport = peer.application.transport
    alsoProvides(peer.transport, ISSLTransport)
    directlyProvides(transport, IMark)
    for each in (IMark, ISSLTransport, ITransport, IConsumer):
        assert each.providedBy(transport)


def test_unknown_attributes_are_the_transports(peer: Dialogue) -> None:
    """To be read and to be set."""
    transport = peer.application.transport
    transport.mark = 5
    assert peer.transport.mark == 5  # type: ignore[union-attr]
    assert transport.mark == 5
    with pytest.raises(AttributeError):
        _ = transport.nothing
    with pytest.raises(AttributeError):
        _ = transport.__nothing__
    assert repr(transport) == f"<guarded {peer.transport!r}>"


def test_the_connection_is_found_until_it_is_over(peer: Dialogue) -> None:
    """Afterwards there is something that stands for it, which is no Connection."""
    transport = peer.application.transport
    assert transport.guarded_connection is peer.connection
    peer.vanish()
    assert not isinstance(transport.guarded_connection, Connection)
    transport.startTLS(None)
    transport.resumeProducing()


def test_a_transport_that_knows_no_state_has_none() -> None:
    """`disconnecting` is asked, not invented."""

    class Meter:
        """Holds nothing back."""

        backlog = None

    transport = GuardedTransport(Meter(), object())
    for name in ("disconnecting", "connected"):
        with pytest.raises(AttributeError):
            getattr(transport, name)


def test_what_is_held_back_delays_what_follows(peer: Dialogue) -> None:
    """Writing, closing in both ways, and what the application sees of it."""
    transport: Any = peer.application.transport
    assert peer.connection is not None
    peer.connection.pause("a guard", "out")
    assert not transport.disconnecting
    transport.write(b"held")
    transport.loseWriteConnection()
    assert transport.disconnecting
    transport.loseConnection()
    peer.advance(1)
    assert not peer.lost
    peer.connection.resume("a guard", "out")
    peer.advance()
    assert (peer.taken, peer.lost) == (b"held", True)


def test_the_application_holds_the_reading_on_its_own_account(peer: Dialogue) -> None:
    """Resuming twice is no harm."""
    transport: Any = peer.application.transport
    transport.pauseProducing()
    peer.feed(b"x")
    assert peer.application.received == b""
    transport.resumeProducing()
    transport.resumeProducing()
    peer.advance()
    assert peer.application.received == b"x"


def test_producers_and_protocols_are_the_meters(peer: Dialogue) -> None:
    """Registered, taken away, exchanged."""
    transport: Any = peer.application.transport
    transport.registerProducer(peer.application, True)
    assert transport.producer is peer.application
    transport.unregisterProducer()
    assert transport.producer is None
    other = Application()
    transport.protocol = other
    assert transport.protocol is other
