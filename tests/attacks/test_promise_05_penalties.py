"""Promise 5: who keeps misbehaving is refused, others are not, and the memory of it cannot be washed away."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from netguard.application import misdeed
from netguard.guards import penalties
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.first_byte_timeout import FirstByteTimeout
from netguard.guards.penalties import Penalties
from netguard.penalty_table import PenaltyTable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from tests.attacks.conftest import Site, Subject

    Serve = Callable[..., AbstractAsyncContextManager[Site]]

GUESSER, HONEST = "127.0.0.2", "127.0.0.3"


def _judge(subject: Subject, data: bytes) -> None:
    """An application that takes every line for a guess."""
    for line in data.splitlines():
        misdeed(subject.transport, "failed-login", once=line)
    assert subject.transport is not None
    subject.transport.write(b"no\n" * data.count(b"\n"))


def _open(peer: socket.socket) -> bool:
    try:
        return peer.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


async def _until(pause: Any, condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await pause(0.01)
    pytest.fail("it did not come about")


async def _is_refused(here: Site, pause: Any, source: str) -> bool:
    """Whether a newcomer from there is turned away; it costs no application."""
    before = len(here.subjects)
    peer = here.connect(source)
    await _until(pause, lambda: not _open(peer) or len(here.subjects) > before)
    await pause(0.05)
    refused = not _open(peer)
    assert (len(here.subjects) == before) is refused
    peer.close()
    return refused


async def test_who_guesses_is_refused_and_others_are_not(site: Serve, pause: Any) -> None:
    """The connections that it has stay; a newcomer from there is not let in; one from elsewhere is."""
    async with site(Penalties("10/10m"), came=_judge) as here:
        guesser, honest = here.connect(GUESSER), here.connect(HONEST)
        guesser.send(b"".join(b"guess %d\n" % each for each in range(11)))
        honest.send(b"old password\n" * 100)
        await _until(pause, lambda: sum(len(each.got) > 0 for each in here.subjects) == 2)
        assert await _is_refused(here, pause, GUESSER)
        assert not await _is_refused(here, pause, HONEST)
        assert _open(guesser)
        assert _open(honest)


async def test_a_penalty_ends_by_itself_however_hard_one_knocks(site: Serve, pause: Any, logged: Any) -> None:
    """To be refused is no misdeed; the next penalty is twice as long."""
    async with site(Penalties("10/10m", shortest="400ms", longest="10s"), came=_judge) as here:
        for times in (1, 2):
            guesser = here.connect(GUESSER)
            guesser.send(b"".join(b"guess %d of %d\n" % (each, times) for each in range(11)))
            await _until(pause, lambda times=times: len(logged.named("penalised")) == times)  # type: ignore[misc]
            began = here.factory.reactor.seconds()
            knocks = 0
            while await _is_refused(here, pause, GUESSER):
                knocks += 1
            lasted = here.factory.reactor.seconds() - began
            assert knocks > 2
            assert 0.3 * times <= lasted <= 0.4 * times + 0.5
        assert [each["duration"] for each in logged.named("penalised")] == [0.4, 0.8]


async def test_who_is_cut_again_and_again_is_not_let_in_any_more(site: Serve, pause: Any, logged: Any) -> None:
    """For silence, for items without an end; applications need not do anything for it."""
    guards = (FirstByteTimeout("100ms"), ByteLimit(item=100), Penalties("2/10m"))
    async with site(*guards) as here:
        for number in range(3):
            here.connect(GUESSER)  # silent: half a misdeed
            shouting = here.connect("127.0.0.4")
            await here.subject(2 * number + 1)
            shouting.send(b"x" * 200)
            await here.end(2 * number)
            await here.end(2 * number + 1)
        assert await _is_refused(here, pause, "127.0.0.4")
        assert not await _is_refused(here, pause, GUESSER)
        for _ in range(2):
            here.connect(GUESSER)
            await here.end(len(here.subjects))
        assert await _is_refused(here, pause, GUESSER)
        assert not await _is_refused(here, pause, HONEST)
        assert {each["kinds"] for each in logged.named("penalised")} == {"cut"}


async def test_an_offender_is_not_washed_out_by_many_small_misdeeds(
    site: Serve, pause: Any, logged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six times as many addresses as the table has room for suspects misbehave once each; it says that it is full."""
    tables = []

    def table(*given: Any) -> PenaltyTable:
        tables.append(PenaltyTable(*given, suspects=50, offenders=50))
        return tables[-1]

    monkeypatch.setattr(penalties, "PenaltyTable", table)
    async with site(Penalties("10/10m"), came=_judge) as here:
        here.connect(GUESSER).send(b"".join(b"guess %d\n" % each for each in range(11)))
        await _until(pause, lambda: len(logged.named("penalised")) == 1)
        for number in range(300):
            here.connect(f"127.1.{number // 250}.{number % 250 + 1}").send(b"guess\n")
            if number % 20 == 0:
                await pause(0.01)
        await _until(pause, lambda: sum(len(each.got) > 0 for each in here.subjects) == 301)
        assert len(tables[0]) == 51
        assert await _is_refused(here, pause, GUESSER)
        assert len(logged.named("full")) == 1
        assert not await _is_refused(here, pause, HONEST)
