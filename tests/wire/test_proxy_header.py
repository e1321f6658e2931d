"""What a header means for the one who asks whose connection it is."""

from __future__ import annotations

import pytest

from netguard.wire.proxy_header import Header, Inet, ProxyMisused, ProxyRefused, Transport

CLIENT, SERVICE = Inet("192.0.2.1", 1234), Inet("192.0.2.2", 110)


def test_a_stream_belongs_to_its_source() -> None:
    """The peer of a forwarded stream is who connected to the proxy, be that a UNIX socket."""
    assert Header(1, transport=Transport.STREAM, source=CLIENT, destination=SERVICE).peer == CLIENT
    assert Header(2, transport=Transport.STREAM, source=b"/run/client").peer == b"/run/client"


@pytest.mark.parametrize("transport", [Transport.UNSPEC, Transport.DGRAM])
def test_what_is_no_stream_is_taken_as_unspecified(transport: Transport) -> None:
    """Datagrams, and what has no transport, leave the socket's own address in force, addresses or not."""
    assert Header(2, transport=transport, source=CLIENT, destination=SERVICE).peer is None


def test_a_proxy_may_speak_for_nobody() -> None:
    """LOCAL and UNKNOWN have no peer."""
    assert Header(2, local=True).peer is None
    assert Header(1).peer is None


def test_a_refusal_tells_headers_that_are_not_there_from_malformed_ones() -> None:
    """Both are theirs; the error that is ours is no child of theirs."""
    assert ProxyRefused("x", missing=True).missing
    assert not ProxyRefused("x").missing
    assert str(ProxyRefused("what is wrong")) == "what is wrong"
    assert not issubclass(ProxyMisused, ProxyRefused)
