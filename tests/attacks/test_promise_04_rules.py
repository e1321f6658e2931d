"""Promise 4, for rules: only a name that resolves back opens a door, and only to whom the rule means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.defer import Deferred, succeed

from netguard.guards.access_rules import AccessRules
from netguard.guards.handshake_timeout import HandshakeTimeout
from netguard.verdict import Failure, Mismatch, NoName, Timeout, Verdict, Verified

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.attacks.conftest import Site

    Serve = Callable[..., AbstractAsyncContextManager[Site]]


class _Names:
    """What the name servers of an attacker make of a look-up."""

    def __init__(self, verdict: Verdict | None) -> None:
        self.verdict = verdict
        self.asked: list[str] = []
        self.waiting: list[Deferred[Verdict]] = []

    def verify(self, host: str) -> Deferred[Verdict]:
        """Answer at once, or never."""
        self.asked.append(host)
        if self.verdict is None:
            self.waiting.append(Deferred())
            return self.waiting[-1]
        return succeed(self.verdict)


LIARS = [
    NoName(),
    Mismatch(("host.trusted.net",)),
    Mismatch(("trusted.net", "x.trusted.net")),
    Timeout(),
    Failure(2),
    Failure(),
    Verified("nottrusted.net"),
    Verified("x.nottrusted.net"),
    Verified("trusted.net.evil.example"),
    Verified("x.trusted.net.evil.example"),
    Verified("trusted-net"),
    Verified("trusted.net"),  # the suffix itself is not below it
]


@pytest.mark.parametrize("verdict", LIARS)
async def test_who_has_no_verified_name_below_a_suffix_stays_out(site: Serve, read: Any, verdict: Verdict) -> None:
    """Whatever the name servers of the peer's address say."""
    async with site(AccessRules("allow .trusted.net")) as here:
        here.factory.service.names = _Names(verdict)
        assert await read(here.connect()) == b""
        assert here.subjects == []


async def test_who_has_one_comes_in(site: Serve) -> None:
    """So that those who stay out do so for their names."""
    async with site(AccessRules("allow .trusted.net")) as here:
        here.factory.service.names = _Names(Verified("x.trusted.net"))
        here.connect()
        await here.subject()


async def test_an_address_that_is_denied_comes_in_by_no_other_spelling(site: Serve, read: Any, logged: Any) -> None:
    """A socket that takes IPv4 and IPv6 alike sees IPv4-mapped addresses."""
    async with site(AccessRules("deny 127.0.0.0/8,allow ALL"), where="tcp6") as here:
        here.address = ("::ffff:127.0.0.1", here.address[1])
        assert await read(here.connect()) == b""
        here.address = ("::1", here.address[1])
        here.connect()
        await here.subject()
    (event,) = logged.named("refused")
    assert event["client.address"] == "127.0.0.1"


async def test_name_servers_that_never_answer_hold_nobody_but_the_peer(
    site: Serve, read: Any, pause: Any, logged: Any
) -> None:
    """Others come in meanwhile; the peer has no application, nothing of what it sends is kept, and its time is up."""
    guards = AccessRules("allow 127.0.0.2,allow .trusted.net"), HandshakeTimeout(0.5)
    async with site(*guards) as here:
        here.factory.service.names = names = _Names(None)
        waiting = [here.connect() for _ in range(20)]
        for peer in waiting:
            peer.send(b"x" * 1000)
        here.connect("127.0.0.2")
        await here.subject()
        assert (len(names.asked), len(here.subjects)) == (20, 1)
        for peer in waiting:
            assert await read(peer) == b""
        assert len(here.factory.connections) == 1
        for each in names.waiting:
            each.callback(Verified("x.trusted.net"))  # too late
        await pause(0.05)
        assert len(here.subjects) == 1
        assert bytes(here.subjects[0].got) == b""
    assert {event["guard"] for event in logged.named("refused")} == {"HandshakeTimeout"}


async def test_a_name_forges_no_line_in_the_log(site: Serve, read: Any, logged: Any) -> None:
    """Were there a resolver that let such a name pass."""
    async with site(AccessRules("deny KNOWN")) as here:
        here.factory.service.names = _Names(Verified('x\r\n2026 accepted client=198.51.100.1 "\x1b[2J'))
        assert await read(here.connect()) == b""
    (event,) = logged.named("refused")
    line = str(event["netguard"])
    assert line.isprintable()
    assert "\\x0d\\x0a2026" in line


@pytest.mark.parametrize("broken", [b"", b"allow 127.0.0.0/8\nalow ALL\n", b"\0\xff\xfe", b"allow x x..y"])
async def test_rules_that_are_broken_while_the_service_runs_open_no_door(
    site: Serve, read: Any, tmp_path: Path, broken: bytes
) -> None:
    """Whoever was to stay out stays out, and whoever was to come in comes in."""
    file = tmp_path / "net.rules"
    file.write_text("allow 127.0.0.2\n")
    async with site(AccessRules(file=file)) as here:
        file.write_bytes(broken)
        assert not here.factory.service.reload()
        assert await read(here.connect()) == b""
        here.connect("127.0.0.2")
        await here.subject()
        file.write_text("allow 127.0.0.0/8\n")
        assert here.factory.service.reload()
        here.connect()
        await here.subject(1)
