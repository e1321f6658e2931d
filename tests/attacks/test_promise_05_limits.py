"""Promise 5: crowds and floods are shed, by total, by peer and by second, and the service recovers by itself."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.connection_rate import ConnectionRate
from netguard.guards.proxy_protocol import ProxyProtocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from tests.attacks.conftest import Site

    Serve = Callable[..., AbstractAsyncContextManager[Site]]


async def _crowd(here: Site, pause: Any, count: int, *sources: str) -> tuple[list[Any], list[Any]]:
    """Connect many; say which were let in and which were turned away, once that is clear for each."""
    before, peers = len(here.subjects), []
    for _ in range(count):
        peers += [here.connect(source) for source in sources or ("",)]
        if len(peers) % 20 < max(1, len(sources)):
            await pause(0.01)  # no more than the kernel lets wait at the door
    await _until(pause, lambda: sum(map(_open, peers)) == len(here.subjects) - before)
    await pause(0.1)
    return [peer for peer in peers if _open(peer)], [peer for peer in peers if not _open(peer)]


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


@pytest.mark.parametrize("where", ["tcp", "unix"])
async def test_a_crowd_gets_no_more_places_than_there_are(site: Serve, pause: Any, where: str) -> None:
    """Those who are refused cost no application; a place that is given back is taken by the next."""
    async with site(ConnectionLimit(total=5), where=where) as here:
        let_in, turned_away = await _crowd(here, pause, 30)
        assert (len(let_in), len(turned_away), len(here.subjects)) == (5, 25, 5)
        let_in[0].close()
        let_in[1].close()
        await _until(pause, lambda: len(here.factory.connections) == 3)
        let_in, turned_away = await _crowd(here, pause, 10)
        assert (len(let_in), len(turned_away)) == (2, 8)


async def test_one_peer_does_not_take_the_places_of_others(site: Serve, pause: Any) -> None:
    """Each address has its own limit."""
    async with site(ConnectionLimit(total=100, per_peer=3)) as here:
        let_in, turned_away = await _crowd(here, pause, 20, "127.0.0.1")
        assert (len(let_in), len(turned_away)) == (3, 17)
        let_in, turned_away = await _crowd(here, pause, 2, "127.0.0.2", "127.0.0.3")
        assert (len(let_in), len(turned_away)) == (4, 0)


async def test_silence_before_tls_takes_a_place(site: Serve, pause: Any) -> None:
    """Where proxies may speak first, so do others, before TLS begins: who never does is counted, in and out, once."""
    limits = ConnectionLimit(total=100, per_peer=3), ProxyProtocol("192.0.2.0/24")
    async with site(*limits, where="before-tls") as here:
        for _ in range(3):
            peers = [here.connect("127.0.0.1") for _ in range(20)]
            await _until(pause, lambda peers=peers: sum(map(_open, peers)) == 3)  # type: ignore[misc]
            assert here.factory.population == 3
            for each in peers:
                each.close()
            await _until(pause, lambda: here.factory.population == 0)


async def test_a_prefix_is_one_peer(site: Serve, pause: Any) -> None:
    """All of 127.0.0.0/24 together, when the operator says so."""
    async with site(ConnectionLimit(per_peer=3, prefix="24,64")) as here:
        let_in, turned_away = await _crowd(here, pause, 2, "127.0.0.1", "127.0.0.2", "127.0.0.3")
        assert (len(let_in), len(turned_away)) == (3, 3)
        let_in, _ = await _crowd(here, pause, 1, "127.0.1.1")
        assert len(let_in) == 1


async def test_an_ipv4_peer_of_an_ipv6_socket_counts_as_ipv4(site: Serve, pause: Any, logged: Any) -> None:
    """And is logged as IPv4, however the kernel writes it."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    async with site(ConnectionLimit(per_peer=1, prefix="24,0"), where="tcp6") as here:
        here.address = ("127.0.0.1", here.address[1])
        let_in, turned_away = await _crowd(here, pause, 1, "127.0.0.1", "127.0.0.2")
        assert (len(let_in), len(turned_away)) == (1, 1)
        assert all(each["client.address"].startswith("127.0.0.") for each in logged.named("refused"))


async def test_a_flood_is_held_to_the_rate_and_the_rate_recovers(site: Serve, pause: Any) -> None:
    """By itself; it is not a penalty."""
    async with site(ConnectionRate(total="10/s")) as here:
        before = here.factory.reactor.seconds()
        let_in, turned_away = await _crowd(here, pause, 100)
        lasted = here.factory.reactor.seconds() - before
        assert 10 <= len(let_in) <= 10 + 10 * lasted + 1
        assert len(turned_away) == 100 - len(let_in)
        await pause(1.05)
        let_in, _ = await _crowd(here, pause, 10)
        assert len(let_in) == 10


async def test_a_flood_of_one_peer_does_not_shut_the_door_on_others(site: Serve, pause: Any) -> None:
    """What is refused for its sender's sake uses up nothing of what all may."""
    async with site(ConnectionRate(total="50/min", per_peer="5/min")) as here:
        let_in, _ = await _crowd(here, pause, 100, "127.0.0.1")
        assert len(let_in) == 5
        let_in, turned_away = await _crowd(here, pause, 5, "127.0.0.2")
        assert (len(let_in), len(turned_away)) == (5, 0)
