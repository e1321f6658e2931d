"""What is promised of Idents: nothing is made before it is needed, and then as the guard has said."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from netguard.clients.ident import IdentClient
from netguard.clients.ident_service import Idents
from netguard.errors import ContradictoryOptions

HERE, THERE = IPv4Address("TCP", "198.51.100.7", 995), IPv4Address("TCP", "192.0.2.1", 54321)


def test_no_reactor_is_needed_before_somebody_asks() -> None:
    """A factory may be made before there is one."""

    def clock() -> Any:
        pytest.fail("not yet")

    Idents(clock).settle(1113, 2.0)


def test_it_asks_as_it_was_told_to() -> None:
    """With one client for the service."""
    reactor: Any = MemoryReactorClock()
    idents = Idents(lambda: reactor)
    idents.settle(1113, 2.0)
    answers = [idents.query(HERE, THERE) for _ in range(2)]
    assert [each[:2] for each in reactor.tcpClients] == [("192.0.2.1", 1113)]
    reactor.advance(2)
    assert all(each.called for each in answers)
    assert isinstance(idents._client, IdentClient)


@pytest.mark.parametrize(("second", "flag"), [((1114, 2.0), "ident-port"), ((1113, 3.0), "ident-within")])
def test_two_ways_are_one_too_many(second: tuple[int, float], flag: str) -> None:
    """Two guards of one service that disagree are told so at the start; those that agree are not."""
    idents = Idents(Clock)
    idents.settle(1113, 2.0)
    idents.settle(1113, 2.0)
    with pytest.raises(ContradictoryOptions, match=f"^option {flag}: "):
        idents.settle(*second)


def test_without_a_word_it_asks_at_the_usual_port() -> None:
    """For five seconds."""
    reactor: Any = MemoryReactorClock()
    idents = Idents(lambda: reactor)
    idents.query(HERE, THERE)
    assert reactor.tcpClients[0][1] == 113
    assert reactor.getDelayedCalls()[0].getTime() == 5
