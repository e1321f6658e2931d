"""Promise 5: an overloaded service sheds load by what it feels, over real sockets, and recovers by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from netguard.application import settle
from netguard.errors import NoFirstByte
from netguard.guards.first_byte_timeout import FirstByteTimeout
from netguard.guards.load_shedding import LoadShedding
from netguard.load import signals, thresholds
from netguard.load.signals import Machine, Signals

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.attacks.conftest import Site, Subject

    Serve = Callable[..., AbstractAsyncContextManager[Site]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recover within a second instead of seven; what happens is the same."""
    monkeypatch.setattr(thresholds, "HOLD", 0.4)
    monkeypatch.setattr(signals, "WINDOW", 0.4)


async def _until(pause: Any, condition: Callable[[], object]) -> None:
    for _ in range(800):
        if condition():
            return
        await pause(0.01)
    pytest.fail("it did not come about")


def _is_closed(peer: socket.socket) -> bool:
    try:
        return peer.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


async def _is_served(here: Site, pause: Any, source: str = "") -> bool:
    """Whether a newcomer gets an application; it then stays."""
    before = len(here.subjects)
    peer = here.connect(source)
    await _until(pause, lambda: len(here.subjects) > before or _is_closed(peer))
    return len(here.subjects) > before


def _block(subject: Any, data: bytes) -> None:
    """An application that does something at length, instead of in pieces or in a thread."""
    subject.transport.write(data)
    until = time.monotonic() + len(data) / 10
    while time.monotonic() < until:
        pass


async def test_a_service_that_lags_turns_newcomers_away_until_it_does_not(site: Serve, pause: Any, logged: Any) -> None:
    """Who is in goes on being served."""
    async with site(LoadShedding("lag>250ms"), came=_block) as here:
        assert await _is_served(here, pause)
        await pause(0.3)
        peer = here.connect()
        await _until(pause, lambda: len(here.subjects) == 2)
        peer.send(b"-----")
        await _until(pause, lambda: logged.named("shedding"))
        assert not await _is_served(here, pause)
        assert logged.named("refused")[-1]["limit"] == "lag>250ms"
        peer.send(b"-")
        await _until(pause, lambda: here.subjects[1].got == b"------")
        await _until(pause, lambda: logged.named("recovered"))
        assert await _is_served(here, pause)
        assert not here.subjects[1].ended.called


@pytest.mark.parametrize("where", ["tcp", "unix"])
async def test_a_crowd_is_shed_until_it_has_gone(site: Serve, pause: Any, logged: Any, where: str) -> None:
    """Until fewer than 80 % are left, and have been for a while: also for those who then come one by one."""
    async with site(LoadShedding("connections>10"), where=where) as here:
        peers = [here.connect() for _ in range(40)]
        await _until(pause, lambda: sum(map(_is_closed, peers)) == 29)
        assert len(here.subjects) == 11
        for peer in [each for each in peers if not _is_closed(each)][:3]:
            peer.close()
        await _until(pause, lambda: here.factory.service.population == 8)
        await pause(0.8)
        assert not await _is_served(here, pause)
        here.factory.connections[0].cut(NoFirstByte())
        await _until(pause, lambda: logged.named("recovered"))
        assert await _is_served(here, pause)


async def test_health_checks_are_served_whatever_happens(site: Serve, pause: Any) -> None:
    """Else a service that is busy would be taken for one that is dead."""
    async with site(LoadShedding("connections>2", exempt="127.0.0.2")) as here:
        for _ in range(3):
            assert await _is_served(here, pause)
        for _ in range(10):
            assert not await _is_served(here, pause, "127.0.0.1")
            assert await _is_served(here, pause, "127.0.0.2")


async def test_paused_newcomers_wait_in_the_kernel_and_are_served_afterwards(
    site: Serve, pause: Any, logged: Any
) -> None:
    """With what they have sent meanwhile, when others have gone; they are told nothing but that the port is there."""
    async with site(LoadShedding("connections>3", by="pause")) as here:
        early = []
        for number in range(4):
            early.append(here.connect())
            await here.subject(number)
        await _until(pause, lambda: logged.named("shedding"))
        assert logged.named("shedding")[0]["by"] == "pause"
        late = [here.connect() for _ in range(20)]
        for number, peer in enumerate(late):
            peer.send(b"%d" % number)
        await pause(0.5)
        assert len(here.subjects) == 4
        assert not any(map(_is_closed, late))
        for peer in early:
            peer.close()

        def served() -> bool:
            for subject in here.subjects[4:]:
                if subject.got:
                    late[int(subject.got)].close()  # and so there is room for others
            return len({bytes(each.got) for each in here.subjects[4:]} - {b""}) == 20

        await _until(pause, served)
        assert len(here.subjects) == 24
        assert not logged.named("refused")


async def test_a_paused_service_that_stops_leaves_nothing_behind(site: Serve, pause: Any, logged: Any) -> None:
    """Neither a timer nor a port, although it never recovered."""
    async with site(LoadShedding("connections>1", by="pause,tighten")) as here:
        for number in range(2):
            here.connect()
            await here.subject(number)
        await _until(pause, lambda: logged.named("shedding"))
    assert not logged.named("recovered")


async def test_idlers_have_a_tenth_of_the_time_while_it_is_tight(site: Serve, pause: Any) -> None:
    """Who is past the login keeps all of it; and afterwards everybody has it again."""

    def made(subject: Subject) -> None:
        if len(here.subjects) == 1:
            settle(subject.transport)

    async with site(LoadShedding("connections>2", by="tighten"), FirstByteTimeout("6s"), made=made) as here:
        for _ in range(4):
            assert await _is_served(here, pause)
        for number in (1, 2, 3):
            seconds, why = await here.end(number)
            assert 0.55 <= seconds < 2.5
            assert isinstance(why, NoFirstByte)
            assert why.limit == 0.6
        assert not here.subjects[0].ended.called
        await _until(pause, lambda: here.factory.service.patience == 1)
        assert await _is_served(here, pause)
        await pause(1.2)
        assert not here.subjects[4].ended.called


async def test_a_kernel_that_tells_no_pressure_is_no_overload(
    site: Serve, pause: Any, logged: Any, tmp_path: Path
) -> None:
    """It is said once, however many come."""
    async with site(LoadShedding("pressure>20%,load>1000")) as here:
        service = here.factory.service
        service.signals = Signals(service.reactor.seconds, lambda: service.population, Machine(tmp_path))
        for _ in range(20):
            assert await _is_served(here, pause)
        assert [each["signal"] for each in logged.named("unreadable")] == ["load", "pressure"]
        assert not logged.named("shedding")


async def test_idlers_do_not_take_the_places_of_a_limit_on_those_who_are_on_their_way(site: Serve, pause: Any) -> None:
    """Not for longer than their time to log in; who is settled counts no more."""
    async with site(
        LoadShedding(limit=3), FirstByteTimeout("1s"), came=lambda subject, _: settle(subject.transport)
    ) as here:
        peers = [here.connect() for _ in range(10)]
        await _until(pause, lambda: sum(map(_is_closed, peers)) == 7)
        assert not await _is_served(here, pause)
        next(each for each in peers if not _is_closed(each)).send(b"x")
        await _until(pause, lambda: any(each.got for each in here.subjects))
        assert await _is_served(here, pause)
        assert not await _is_served(here, pause)
        await _until(pause, lambda: here.factory.service.population == 1)
        assert await _is_served(here, pause)
