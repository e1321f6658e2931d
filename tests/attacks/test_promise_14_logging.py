"""Promise 14: every connection has one last event, floods are sampled with exact counts, and nothing forges a line."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from twisted.logger import globalLogPublisher

from netguard.events import as_json, as_text, line_observer
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.idle_timeout import IdleTimeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from tests.attacks.conftest import Site

    Serve = Callable[..., AbstractAsyncContextManager[Site]]

LAST = ("refused", "cut", "closed")


@pytest.fixture
def written() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """What an operator gets: a log of text lines, and one of JSON lines."""
    outs = io.StringIO(), io.StringIO()
    observers = [line_observer(out, write) for out, write in zip(outs, (as_text, as_json), strict=True)]
    for each in observers:
        globalLogPublisher.addObserver(each)
    yield outs
    for each in observers:
        globalLogPublisher.removeObserver(each)


async def _ended(here: Site, pause: Any) -> None:
    for _ in range(500):
        if not here.factory.connections:
            return
        await pause(0.01)
    pytest.fail("connections are left")


async def test_a_flood_of_refusals_is_a_few_lines_that_add_up(
    site: Serve, pause: Any, written: tuple[io.StringIO, io.StringIO]
) -> None:
    """Ten a second and the rest counted: the sum of the counts is the number of refusals, exactly."""
    flood = 400
    async with site(ConnectionLimit(total=1)) as here:
        here.connect()
        await here.subject()
        began = here.factory.reactor.seconds()
        for number in range(flood):
            here.connect().close()
            if number % 20 == 0:
                await pause(0.01)
        await pause(0.3)
        lasted = here.factory.reactor.seconds() - began
        assert len(here.factory.connections) == 1
    rows = [json.loads(line) for line in written[1].getvalue().splitlines()]
    refused = [row for row in rows if row["event"] == "refused"]
    assert sum(row["count"] for row in refused) == flood
    assert len(refused) <= 11 * (lasted + 1)
    assert all(row["option"] == "max-connections" for row in refused)
    assert sum("refused" in line for line in written[0].getvalue().splitlines()) == len(refused)


async def test_every_connection_has_exactly_one_last_event(site: Serve, pause: Any, logged: Any) -> None:
    """Refused, cut or closed, and all its events have its number."""

    def made(subject: Any) -> None:
        number = len(here.subjects)
        if number % 3 == 0:
            subject.transport.loseConnection()
        if number % 3 == 1:
            subject.transport.write(b"x" * 200)

    async with site(ConnectionLimit(total=20), ByteLimit(sent=100), IdleTimeout(0.3), made=made) as here:
        for _ in range(60):
            here.connect()
            await pause(0.005)
        await _ended(here, pause)
    last = Counter({name: sum(each.get("count", 1) for each in logged.named(name)) for name in LAST})
    assert sum(last.values()) == 60
    assert min(last["cut"], last["closed"]) > 0
    numbers = [each["session"] for name in ("cut", "closed") for each in logged.named(name)]
    assert len(numbers) == len(set(numbers)) == len(here.subjects)
    opened = {each["session"] for each in logged.named("opened")}
    assert opened in (set(), set(numbers))


async def test_the_last_event_tells_the_whole_connection(
    site: Serve, pause: Any, written: tuple[io.StringIO, io.StringIO]
) -> None:
    """Who, how long, how much in each direction, which guard, which option, which limit and what was seen."""

    def answer(subject: Any, _: bytes) -> None:
        subject.transport.write(b"12345")

    async with site(IdleTimeout(0.3), came=answer) as here:
        peer = here.connect()
        peer.send(b"1234567")
        await here.end()
        await pause(0.05)
    (cut,) = [json.loads(line) for line in written[1].getvalue().splitlines() if '"cut"' in line]
    assert cut["client.address"] == "127.0.0.1"
    assert cut["client.port"] == peer_port(written)
    assert (cut["bytes_in"], cut["bytes_out"], cut["level"]) == (7, 5, "warn")
    assert 0.3 <= cut["duration"] < 3
    assert (cut["guard"], cut["option"], cut["limit"]) == ("IdleTimeout", "idle", "300ms")
    assert cut["observed"].endswith(("ms", "s"))
    assert cut["reason"].startswith("the peer fell silent, observed ")
    assert cut["session"] > 0
    assert cut["time"].endswith("Z")


def peer_port(written: tuple[io.StringIO, io.StringIO]) -> int:
    """The port in the text line: address early, so that other programs can read it."""
    (line,) = [line for line in written[0].getvalue().splitlines() if "cut" in line]
    prefix, _, rest = line.partition("] ")
    assert prefix.endswith("[netguard#warn")
    assert rest.startswith("cut client=127.0.0.1 port=")
    return int(rest.split("port=")[1].split()[0])


async def test_a_refusal_of_a_peer_without_an_address_is_told_too(site: Serve, pause: Any, logged: Any) -> None:
    """By the word for its kind."""
    async with site(ConnectionLimit(total=1), where="unix") as here:
        here.connect()
        await here.subject()
        here.connect()
        await pause(0.1)
    (event,) = logged.named("refused")
    assert event["client.address"] == "unix"
