"""What is promised of SOCKS 4 and 4a: the exact bytes, every code, and what cannot be said."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from netguard.wire.socks4 import IdentMismatch, IdentUnreachable, Rejected, Socks4
from netguard.wire.tunnel import Granted, NoProxy, Refused, Unsendable


@pytest.mark.parametrize("names", [True, False])
def test_the_request_for_an_address(names: bool) -> None:
    """Version, command, port, address, user, NUL: with 4a the same as with 4."""
    asked = Socks4("192.0.2.1", 110, b"joe", names=names)
    assert asked.opening == b"\4\1\0\x6e\xc0\0\2\1joe\0"


def test_the_request_for_a_name() -> None:
    """4a: an address that cannot exist, and the name behind the user."""
    assert Socks4("mail.example", 995, b"joe").opening == b"\4\1\3\xe3\0\0\0\1joe\0mail.example\0"
    assert Socks4("mail.example", 995).opening == b"\4\1\3\xe3\0\0\0\1\0mail.example\0"


def test_the_reply_has_the_proxys_address() -> None:
    """As far as the proxy says it."""
    assert Socks4("192.0.2.1", 110).receive(b"\0\x5a\x12\x34\x0a\1\2\3more") == [
        Granted((IPv4Address("10.1.2.3"), 0x1234), b"more")
    ]


@pytest.mark.parametrize(
    ("code", "kind"),
    [(91, Rejected), (92, IdentUnreachable), (93, IdentMismatch), (0, Refused), (94, Refused), (255, Refused)],
)
def test_every_code_is_told_apart(code: int, kind: type[Refused]) -> None:
    """At once, without the rest of the reply."""
    with pytest.raises(Refused) as why:
        Socks4("192.0.2.1", 110).receive(bytes([0, code]))
    assert type(why.value) is kind
    assert why.value.code == code


@pytest.mark.parametrize("first", [4, 5, 90, ord("H")])
def test_a_reply_begins_with_nought(first: int) -> None:
    """The version of the reply, not of the protocol."""
    with pytest.raises(NoProxy, match="does not begin like one of SOCKS 4"):
        Socks4("192.0.2.1", 110).receive(bytes([first, 90]))


def test_a_reply_that_is_not_whole_is_waited_for() -> None:
    """To its last byte."""
    asked = Socks4("192.0.2.1", 110)
    assert asked.receive(b"\0") == []
    assert asked.receive(b"\x5a\0\0\0\0\0") == []
    assert asked.receive(b"\0") == [Granted((IPv4Address(0), 0))]


@pytest.mark.parametrize(("host", "hint"), [("mail.example", "needs 4a or 5"), ("::1", "needs version 5")])
def test_version_4_knows_only_ipv4(host: str, hint: str) -> None:
    """And says which version does."""
    with pytest.raises(Unsendable, match=hint):
        Socks4(host, 110, names=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "0.0.0.1", "0.0.0.255"])  # noqa: S104 - no binding to it
def test_an_address_that_means_a_name_is_not_sent(host: str) -> None:
    """A proxy would wait for the name."""
    with pytest.raises(Unsendable, match="no address that SOCKS 4 can say"):
        Socks4(host, 110)
    assert Socks4("0.0.1.0", 110).opening == b"\4\1\0\x6e\0\0\1\0\0"


@pytest.mark.parametrize(("user", "good"), [(b"u" * 255, True), (b"u" * 256, False), (b"a\0b", False), (b"\xff", True)])
def test_a_user_is_bounded_and_has_no_end_inside(user: bytes, *, good: bool) -> None:
    """255 bytes without a NUL."""
    if good:
        assert Socks4("a", 1, user).opening.startswith(b"\4\1\0\1\0\0\0\1" + user + b"\0a\0")
    else:
        with pytest.raises(Unsendable, match="at most 255 bytes, and no NUL"):
            Socks4("a", 1, user)
