"""What is promised of NativeMeter: it is the first meter, but for who is the application's transport."""

from __future__ import annotations

from typing import Any

from netguard.guards.byte_limit import ByteLimit
from netguard.guards.lifetime import Lifetime
from netguard.native.below import Below
from netguard.native.meter import NativeMeter
from netguard.testing import Application, NativeMemoryTransport, connect
from netguard.wrapper import Wrapper


def test_it_stands_where_the_wrapper_stands() -> None:
    """For the factory, for TLS, for whoever looks for the application."""
    peer = connect(Lifetime("1h"), Application, carrier=NativeMemoryTransport)
    transport: Any = peer.transport
    assert type(transport.meter) is NativeMeter
    assert isinstance(transport.meter, Wrapper)
    assert transport.meter.wrappedProtocol is peer.application
    assert transport.meter.outside() is transport is peer.application.transport
    assert type(transport.meter.below) is Below


def test_the_queue_is_bounded_to_the_byte() -> None:
    """What the transport holds and what a guard holds count together."""
    for held in (False, True):
        peer: Any = connect(ByteLimit(queue=100), Application, carrier=NativeMemoryTransport)
        peer.takes(0)
        peer.application.transport.write(b"x" * 40)
        if held:
            peer.connection.pause("a guard", "out")
        peer.application.reactions["data"] = lambda peer=peer: peer.application.transport.write(b"y" * 60)
        peer.feed(b"more")
        assert peer.connection.queued == 100
        assert not peer.lost
        peer.application.transport.write(b"z")
        peer.advance()
        assert peer.lost
        assert peer.application.reason.observed == 101
