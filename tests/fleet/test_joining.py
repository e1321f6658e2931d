"""The one call for authors: guarded factories of several applications count together."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from netguard import ConnectionLimit, Policy, join_fleet
from netguard.errors import OptionError
from tests.programs import needs
from tests.redisserver import redis

PEER = IPv4Address("TCP", "192.0.2.1", 1)


def application() -> Any:
    """One, with room for one connection of a peer."""
    from twisted.internet import reactor

    return Policy(ConnectionLimit(per_peer=1)).wrap(Factory.forProtocol(Protocol), cast("Any", reactor))


@needs("redis-server")
async def test_two_applications_count_together(tmp_path: Path, logged: Any) -> None:
    """As soon as both have joined; a stopped one counts no more."""
    from twisted.internet import reactor

    async def until(true: Any) -> None:
        for _ in range(1000):
            if true():
                return
            await deferLater(cast("Any", reactor), 0.02)
        pytest.fail("it did not come about")

    with redis(tmp_path) as server:
        here, there = application(), application()
        first, second = (join_fleet(each, server.url("within=100ms")) for each in (here, there))
        await until(lambda: first.reading()["machines"] == second.reading()["machines"] == 1)
        meter = here.buildProtocol(PEER)
        assert meter is not None
        await until(lambda: second.reading()["peers"] == 1)
        assert there.buildProtocol(PEER) is None
        assert here.service.offers["ledger"] is first
        await first.stop()
        await until(lambda: second.reading()["peers"] == 0)
        await second.stop()
        here.disconnected(meter)
    assert len(logged.named("ledger_joined")) == 2


def test_a_url_that_names_no_ledger_is_told() -> None:
    """Before anything begins."""
    with pytest.raises(OptionError, match="it is a URL such as"):
        join_fleet(application(), "http://x")
