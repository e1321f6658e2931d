"""Tests for netguard.refusal."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IProtocol, ISSLTransport
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, ThrottlingFactory, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from netguard.refusal import Refused, refusal
from netguard.service import CLOSE
from netguard.testing.memory import MemoryTransport


class Refuses(Factory):
    """Refuses everybody.

    Args:
        style: how.
    """

    def __init__(self, style: str = CLOSE) -> None:
        self.service = SimpleNamespace(style=style)
        self.answer = b"no\r\n" if style.startswith("text:") else None

    def buildProtocol(self, addr: object) -> Any:
        """Refuse."""
        return refusal(self)


class Other:
    """Holds a wrapped factory, but another one."""

    wrappedFactory = Refuses()

    def ask(self, factory: Refuses) -> Any:
        """Ask."""
        return factory.buildProtocol(None)


def test_none_is_the_answer_where_it_is_understood() -> None:
    """To a port, to a function, to somebody who wraps something else."""
    assert Refuses().buildProtocol(None) is None
    assert Other().ask(Refuses()) is None


@pytest.mark.parametrize("kind", [WrappingFactory, ThrottlingFactory])
def test_a_wrapping_factory_gets_a_stand_in_that_closes(kind: Any) -> None:
    """None would be wrapped, and fail later."""
    wrapping = kind(Refuses())
    wrapping.protocol = ProtocolWrapper
    built: Any = wrapping.buildProtocol(None)
    transport = StringTransport()
    built.makeConnection(transport)
    assert transport.disconnected
    built.dataReceived(b"x")
    built.connectionLost(Failure(ConnectionAborted()))


def test_a_reset_is_an_abort() -> None:
    """Which resets a TCP connection, whoever asked."""
    built = Refuses("reset").buildProtocol(None)
    transport = MemoryTransport(Clock(), built, None)
    built.makeConnection(transport)
    assert transport.aborted
    assert not transport.taken


def test_a_text_is_told_and_the_connection_closed_behind_it() -> None:
    """It leaves whole, and nothing is waited for."""
    built = Refuses("text:no").buildProtocol(None)
    clock = Clock()
    transport = MemoryTransport(clock, built, None)
    built.makeConnection(transport)
    clock.advance(0)
    clock.advance(0)
    assert bytes(transport.taken) == b"no\r\n"
    assert not transport.aborted
    assert not transport.connected


def test_a_text_is_not_worth_a_handshake() -> None:
    """Inside TLS, a refused connection is reset at once."""
    built = Refuses("text:no").buildProtocol(None)
    transport = MemoryTransport(Clock(), built, None)
    directlyProvides(transport, ISSLTransport)
    built.makeConnection(transport)
    assert transport.aborted
    assert not transport.taken


def test_the_stand_in_is_a_protocol() -> None:
    """Twisted may call what it calls on protocols."""
    assert verifyObject(IProtocol, Refused())
    Refused().connectionMade()
