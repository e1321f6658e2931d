"""Promise 6: a time limit on every read. Silence, trickles and handshakes that do not end, over real sockets."""

from __future__ import annotations

import socket
import ssl
import time
from typing import TYPE_CHECKING, Any

import pytest

from netguard.application import settle
from netguard.errors import (
    HandshakeTooSlow,
    Idle,
    LifetimeOver,
    LoginTooSlow,
    NoFirstByte,
    ReceivingTooSlow,
)
from netguard.guards.first_byte_timeout import FirstByteTimeout
from netguard.guards.handshake_timeout import HandshakeTimeout
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.lifetime import Lifetime
from netguard.guards.login_timeout import LoginTimeout
from netguard.guards.minimum_rate import MinimumRate

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from tests.attacks.conftest import Site

    Serve = Callable[..., AbstractAsyncContextManager[Site]]

pytestmark = pytest.mark.filterwarnings("ignore:.*(pyOpenSSL|cryptography):DeprecationWarning")

LATE = 1.5
"""Seconds that a busy machine may be late; nothing may ever be early."""


@pytest.mark.parametrize("where", ["tcp", "unix"])
@pytest.mark.parametrize(("guard", "reason"), [(IdleTimeout, Idle), (FirstByteTimeout, NoFirstByte)])
async def test_a_silent_peer_is_cut(site: Serve, where: str, guard: Any, reason: type[Exception]) -> None:
    """It says nothing; it is aborted in time and never early, with the reason."""
    async with site(guard(0.5), where=where) as here:
        peer = here.connect()
        took, why = await here.end()
        assert type(why) is reason
        assert 0.5 <= took <= 0.5 + LATE
        if where == "tcp":  # a UNIX socket has no reset
            with pytest.raises(ConnectionResetError):
                peer.recv(1)


async def test_a_trickler_is_cut(site: Serve, trickle: Any) -> None:
    """A byte now and then keeps it from being idle for ever, but not from being too slow."""
    async with site(MinimumRate(received=500, grace=0.5), IdleTimeout(20)) as here:
        peer = here.connect()
        subject = await here.subject()
        sent = await trickle(peer, b"x", 0.05, subject.ended)
        took, why = await here.end()
        assert type(why) is ReceivingTooSlow
        assert 0.5 <= took <= 0.5 + LATE
        assert sent >= 5


async def test_a_talker_that_does_not_log_in_is_cut(site: Serve, trickle: Any) -> None:
    """However much it talks."""
    async with site(LoginTimeout(0.5)) as here:
        peer = here.connect()
        subject = await here.subject()
        await trickle(peer, b"NOOP\r\n" * 100, 0.01, subject.ended)
        took, why = await here.end()
        assert type(why) is LoginTooSlow
        assert 0.5 <= took <= 0.5 + LATE


async def test_the_most_lively_peer_is_cut_at_its_age(site: Serve, trickle: Any) -> None:
    """Login, answers and all."""

    def answer(subject: Any, data: bytes) -> None:
        settle(subject.transport)
        subject.transport.write(data)

    async with site(Lifetime(0.5), came=answer) as here:
        peer = here.connect()
        subject = await here.subject()
        await trickle(peer, b"x" * 1000, 0.01, subject.ended)
        took, why = await here.end()
        assert type(why) is LifetimeOver
        assert 0.5 <= took <= 0.5 + LATE
        assert len(subject.got) > 1000


@pytest.mark.parametrize("hello", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x01\x00\x05\x01\x00"])
async def test_a_tls_handshake_that_does_not_end_is_cut(site: Serve, hello: bytes) -> None:
    """Nothing, half a header, half a hello: bytes are no progress, and no other guard is needed."""
    async with site(HandshakeTimeout(0.5), where="ssl") as here:
        peer = here.connect()
        peer.send(hello)
        took, why = await here.end()
        assert type(why) is HandshakeTooSlow
        assert 0.5 <= took <= 0.5 + LATE


async def test_a_tls_handshake_byte_by_byte_is_cut(site: Serve, trickle: Any) -> None:
    """A plausible beginning of one, as slow as can be."""
    async with site(HandshakeTimeout(0.5), where="ssl") as here:
        peer = here.connect()
        peer.send(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03")
        subject = await here.subject()
        await trickle(peer, b"x", 0.02, subject.ended)
        took, why = await here.end()
        assert type(why) is HandshakeTooSlow
        assert 0.5 <= took <= 0.5 + LATE


def _client() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _shake_hands(peer: socket.socket, pause: Any) -> ssl.SSLSocket:
    secure = _client().wrap_socket(peer, do_handshake_on_connect=False)
    while True:
        try:
            secure.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            await pause(0.01)
        else:
            return secure


async def test_a_tls_handshake_that_ends_is_left_alone(site: Serve, pause: Any) -> None:
    """And who then says nothing is silent, not slow at shaking hands."""
    async with site(HandshakeTimeout(3), IdleTimeout(4), where="ssl") as here:
        secure = await _shake_hands(here.connect(), pause)
        with secure:
            took, why = await here.end()
        assert type(why) is Idle
        assert took >= 4


async def test_a_busy_reactor_does_not_make_its_peers_silent(site: Serve, pause: Any) -> None:
    """What came while we did something else for longer than the limit is heard first."""
    async with site(IdleTimeout(0.5), FirstByteTimeout(0.5)) as here:
        peer = here.connect()
        subject = await here.subject()
        peer.send(b"x")
        time.sleep(1.0)  # the reactor is stuck in this
        await pause(0.2)
        assert bytes(subject.got) == b"x"
        assert not subject.ended.called
