"""What is promised of Member: who is none may be watched, too, and harms nobody who is."""

from __future__ import annotations

import socket
from typing import Any

from netguard.native.member import Member, number_of
from netguard.testing import Echo
from tests.native.conftest import Ground, until


class Other:
    """Something of an application's that is to be watched: no transport, and nothing of ours."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.heard = b""

    def fileno(self) -> int:
        """Its descriptor."""
        return self.ours.fileno()

    def logPrefix(self) -> str:
        """Its name."""
        return "other"

    def doRead(self) -> None:
        """Something has come."""
        self.heard += self.ours.recv(100)

    def connectionLost(self, reason: object) -> None:
        """The reactor gives it up."""


async def test_an_application_may_have_its_transports_reactor_watch_something_else(ground: Ground) -> None:
    """As programs do that were given a descriptor; the connections beside it go on."""
    port = ground.listen(Echo)
    pairs = [await ground.connect(port) for _ in range(6)]
    watching: Any = pairs[0][1].transport.reactor
    other = Other()
    watching.addReader(other)
    other.theirs.send(b"hello")
    await until(lambda: other.heard == b"hello")
    for client, _ in pairs:
        client.send(b"x")
        assert await ground.read(client, 1) == b"x"
    watching.removeReader(other)
    for each in (other.ours, other.theirs):
        each.close()


def test_the_number_of_a_member_is_its_descriptor_as_long_as_there_is_one() -> None:
    """Whose socket was closed, or taken away, has none."""

    class Has(Member):
        """One with a socket."""

    has: Any = Has()
    assert number_of(has) == -1
    with socket.socket() as has.socket:
        assert number_of(has) == has.socket.fileno()
    assert number_of(has) == -1
