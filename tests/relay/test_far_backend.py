"""A backend that takes its time for a connection, as every one does that is not on the same machine."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, cast

import pytest
from attrs import define

from netguard.native.client import PromptEndpoint
from netguard.relay.front import RelayFactory
from netguard.relay.pool import Backend, Pool
from netguard.relay.service import Relay
from tests.native.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.native.conftest import Ground


@define
class Busy:
    """A listening socket whose queue is full: the kernel lets newcomers ask again, a second later.

    Attributes:
        listening: the socket.
        waiting: who fills its queue.
    """

    listening: socket.socket
    waiting: ExitStack

    @property
    def port(self) -> int:
        """Where it is."""
        return int(self.listening.getsockname()[1])

    def take(self) -> socket.socket | None:
        """The next one who waits, if anybody does."""
        with suppress(BlockingIOError):
            return self.listening.accept()[0]
        return None


@pytest.fixture
def busy() -> Iterator[Busy]:
    """One that takes nobody yet."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        listening.setblocking(False)
        stack.enter_context(socket.create_connection(listening.getsockname()))
        yield Busy(listening, stack)


def relay_to(ground: Ground, *ports: int) -> tuple[Any, list[Backend]]:
    """A port with a relay to those."""
    from twisted.internet import reactor

    backends = [Backend(f"tcp:{port}", PromptEndpoint(reactor, "127.0.0.1", port)) for port in ports]
    relay = Relay(Pool(backends), cast("Any", reactor))
    return ground.listen(RelayFactory(relay)), backends


async def test_one_that_takes_a_connection_late_has_it(ground: Ground, busy: Busy) -> None:
    """Meanwhile and afterwards others are served by the same port."""
    port, _ = relay_to(ground, busy.port)
    client = ground.dial(port)
    client.send(b"hello")
    await until(lambda: port.factory.connections)
    found: list[socket.socket] = []

    def served() -> bool:
        one = busy.take()
        if one is not None:
            one.setblocking(False)
            found.append(one)
        return len(found) == 2  # the first is who filled the queue

    await until(served)
    ground.clients += found
    assert await ground.read(found[1], 5) == b"hello"
    found[1].send(b"and you")
    assert await ground.read(client, 7) == b"and you"
    other = ground.dial(port)
    await until(lambda: len(port.factory.connections) == 2)
    other.close()


async def test_one_that_refuses_late_is_passed_over(ground: Ground, busy: Busy) -> None:
    """Another has the connection; and the port goes on."""
    with socket.create_server(("127.0.0.1", 0)) as second:
        second.setblocking(False)
        port, backends = relay_to(ground, busy.port, second.getsockname()[1])
        client = ground.dial(port)
        client.send(b"hello")
        await until(lambda: backends[0].live)
        busy.listening.close()
        found: list[socket.socket] = []

        def served() -> bool:
            with suppress(BlockingIOError):
                found.append(second.accept()[0])
            return len(found) > 0

        await until(served)
        found[0].setblocking(False)
        ground.clients += found
        assert await ground.read(found[0], 5) == b"hello"
        assert [each.live for each in backends] == [0, 1]
        ground.dial(port)
        await until(lambda: len(port.factory.connections) == 2)
