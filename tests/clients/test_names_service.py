"""The resolver that a service's guards share: made when it is needed, and set up once."""

from __future__ import annotations

from typing import Any

import pytest

from netguard.clients.names_service import Names
from netguard.errors import ContradictoryOptions
from netguard.verdict import Verified
from tests.nameserver import Desk, Hand, a, ptr, result

HERE = "192.0.2.1"


def never() -> Any:
    """No reactor is wanted."""
    pytest.fail("asked for the reactor")


def test_nothing_is_made_before_somebody_asks() -> None:
    """An endpoint's string may be read before there is a reactor."""
    names = Names(never)
    names.settle((("127.0.0.1", 53),), 1.0)
    names.close()


def test_it_asks_whom_and_as_long_as_it_was_told() -> None:
    """One resolver for all who ask."""
    desk, reactor = Desk(), Hand()
    names = Names(lambda: reactor)
    names.settle(None, None)
    names.settle((desk.address,), None)
    names.settle(None, 1.5)
    names.settle((desk.address,), 1.5)
    looking = [names.verify(HERE), names.verify(HERE)]
    desk.answer(reactor, (b"1.2.0.192.in-addr.arpa", ptr(b"mail.example")))
    desk.answer(reactor, (b"mail.example", a(HERE)))
    assert [result(each) for each in looking] == [Verified("mail.example")] * 2
    assert names._resolver is not None
    assert names._resolver.within == 1.5
    desk.close()


def test_a_proxy_is_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TCP; which proxy it is the environment may say, and it is asked when somebody asks."""
    reactor = Hand()
    names = Names(lambda: reactor)
    names.settle((("192.0.2.53", 53),), 1.0, "env")
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:1081")
    looking = names.verify(HERE)
    ((host, port, _, _, _),) = reactor.tcpClients
    assert (host, port) == ("127.0.0.1", 1081)
    looking.addErrback(lambda _: None)
    names.close()


@pytest.mark.parametrize(
    ("first", "second", "flag"),
    [
        (((("127.0.0.1", 53),), None), ((("127.0.0.1", 54),), None), "option dns: "),
        ((None, 1.0), (None, 2.0), "option names-within: "),
        ((None, None, "http://a"), (None, None, "http://b"), "option dns-proxy: "),
    ],
)
def test_two_ways_are_one_too_many(first: Any, second: Any, flag: str) -> None:
    """Two guards of one service that disagree are told so at the start."""
    names = Names(never)
    names.settle(*first)
    with pytest.raises(ContradictoryOptions, match=flag):
        names.settle(*second)


def test_it_can_be_closed() -> None:
    """What is under way ends."""
    desk, reactor = Desk(), Hand()
    names = Names(lambda: reactor)
    names.settle((desk.address,), None)
    looking = names.verify(HERE)
    names.close()
    assert looking.called
    looking.addErrback(lambda _: None)
    assert reactor.idle
    desk.close()


def test_what_is_said_late_holds_from_then_on() -> None:
    """Another port's guards may be installed when the first has peers already."""
    desk, reactor = Desk(), Hand()
    names = Names(lambda: reactor)
    names.verify("127.0.0.1")
    names.settle((desk.address,), None)
    names.verify(HERE).addErrback(lambda _: None)
    assert desk.asked().name == b"1.2.0.192.in-addr.arpa"
    names.close()
    desk.close()
