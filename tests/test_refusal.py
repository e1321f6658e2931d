"""Tests for netguard.refusal."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, ThrottlingFactory, WrappingFactory
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from netguard.refusal import Refused, refusal


class Refuses(Factory):
    """Refuses everybody."""

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


def test_the_stand_in_is_a_protocol() -> None:
    """Twisted may call what it calls on protocols."""
    assert verifyObject(IProtocol, Refused())
    Refused().connectionMade()
