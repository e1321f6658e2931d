"""The pages that the code knows say what the code says, and the examples do what their pages say."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from netguard import settle

if TYPE_CHECKING:
    from netguard import GuardedFactory

DOCS = Path(__file__).parent.parent / "docs"


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _connect(factory: GuardedFactory) -> StringTransport | None:
    protocol = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 4711))
    if protocol is None:
        return None
    transport = StringTransport()
    transport.protocol = protocol  # type: ignore[attr-defined]
    protocol.makeConnection(transport)
    return transport


def _is_cut_off(peer: socket.socket, after: int) -> bool:
    try:
        for _ in range(0, after, 100_000):
            peer.sendall(bytes(100_000))
    except ConnectionError:
        return True
    return False


def test_generated_pages_are_fresh() -> None:
    """After a change to options, events, errors or arrows, `python docs/generate.py` was run."""
    assert list(_load(DOCS / "generate.py").stale()) == []


def test_the_tutorials_echo_server_echoes_and_is_guarded() -> None:
    """It answers an honest client, and cuts one that sends more than its limit."""
    command = [sys.executable, str(DOCS / "examples" / "echo.py"), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().removeprefix("listening on port "))
            with socket.create_connection(("127.0.0.1", port), timeout=20) as honest:
                honest.sendall(b"hello")
                assert honest.recv(5, socket.MSG_WAITALL) == b"hello"
            with socket.create_connection(("127.0.0.1", port), timeout=20) as greedy:
                assert _is_cut_off(greedy, after=50_000_000)
        finally:
            server.terminate()


@pytest.mark.parametrize(("brought", "cut"), [(63, True), (64, False)])
def test_the_example_of_a_guard_cuts_at_its_limit(brought: int, cut: bool) -> None:
    """`SlowStart` cuts a peer that brought one byte too few, and no other."""
    clock = Clock()
    guard = _load(DOCS / "examples" / "slow_start.py").SlowStart("5s")
    transport = _connect(guard.wrap(Factory.forProtocol(Protocol), clock))
    assert transport is not None
    transport.protocol.dataReceived(bytes(brought))  # type: ignore[attr-defined]
    clock.pump([0.25] * 21)
    assert transport.disconnected is cut


def test_the_example_of_a_shared_guard_gives_places_back() -> None:
    """`MaxStartups` counts those without a login, and only those."""
    clock = Clock()
    inside: list[Protocol] = []

    class Greeter(Protocol):
        def connectionMade(self) -> None:
            inside.append(self)

    guard = _load(DOCS / "examples" / "max_startups.py").MaxStartups(1)
    factory = guard.wrap(Factory.forProtocol(Greeter), clock)
    assert _connect(factory) is not None
    assert _connect(factory) is None
    settle(inside[0].transport)
    assert _connect(factory) is not None
