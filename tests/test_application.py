"""Tests for netguard.application: what an application says about the peer behind its transport."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory

from netguard.application import connection_of, cut, misdeed, note, settle, turn_away
from netguard.errors import NoBackend
from netguard.guard import Connection, Guard, House, Misdeed, Opener, frozen
from netguard.guards.lifetime import Lifetime
from netguard.testing import Application, connect

heard: list[tuple[str | None, Misdeed]] = []


@frozen
class Listens(Guard):
    """Hears of every misdeed."""

    def install(self, house: House) -> Opener:
        """Listen."""
        heard.clear()
        house.when_misdeed(lambda connection, misdeed: heard.append((connection.host, misdeed)))
        return self.open

    def open(self, connection: Connection) -> None:
        """Let everybody pass."""


def test_a_misdeed_is_heard_by_the_guards_that_want_to() -> None:
    """Of the connection that the transport belongs to, with its weight and its token."""
    peer: Any = connect(Listens(), Application)
    misdeed(peer.application.transport, "failed-login", 2.5, b"token")
    assert heard == [(peer.connection.host, Misdeed("failed-login", 2.5, b"token"))]


def test_a_connection_is_found_through_layers() -> None:
    """TLS and other wrappers between the application and its guards do no harm."""

    class Between(WrappingFactory):
        """A wrapper that does nothing."""

        protocol = ProtocolWrapper

    peer: Any = connect(Lifetime("1h"), Between(Factory.forProtocol(Application)))
    inner = peer.application.wrappedProtocol
    found = connection_of(inner.transport)
    assert found is not None
    assert found is peer.connection
    settle(inner.transport)
    assert found.settled_at == 0


def test_where_no_guard_is_nothing_is_settled() -> None:
    """Neither a bare transport, nor none, nor a ring of layers, nor a connection that is over."""

    class Ring:
        """Is its own lower layer."""

        @property
        def transport(self) -> Ring:
            """Itself."""
            return self

    for each in (None, StringTransport(), Ring()):
        assert connection_of(each) is None
        settle(each)
        misdeed(each, "malformed")
    peer = connect(Lifetime("1h"))
    peer.vanish()
    assert connection_of(peer.application.transport) is None


def test_a_note_stands_in_every_event_from_then_on() -> None:
    """Beside what is known of the peer; and the event that begins with it is told."""
    peer: Any = connect(Lifetime("1h"), Application)
    note(peer.application.transport, "relayed", backend="tcp:b:80")
    note(peer.application.transport, "settled", place="there")
    peer.vanish()
    about = [(each.name, each.fields.get("backend"), each.fields.get("place")) for each in peer.events[-3:]]
    assert about == [("relayed", "tcp:b:80", None), ("settled", "tcp:b:80", "there"), ("closed", "tcp:b:80", "there")]


def test_an_application_can_cut_and_turn_away() -> None:
    """With a reason that is told, and without guards all the same."""
    peer: Any = connect(Lifetime("1h"), Application)
    cut(peer.application.transport, NoBackend())
    peer.advance()
    assert isinstance(peer.application.reason, NoBackend)
    peer = connect(Lifetime("1h"), Application)
    turn_away(peer.application.transport, NoBackend())
    peer.advance()
    assert isinstance(peer.application.reason, NoBackend)
    bare = [StringTransport(), StringTransport()]
    note(bare[0], "relayed", backend="")
    cut(bare[0], NoBackend())
    turn_away(bare[1], NoBackend())
    assert [bool(each.disconnected) for each in bare] == [True, False]
    assert bare[1].disconnecting
