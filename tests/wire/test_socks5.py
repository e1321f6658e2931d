"""What is promised of SOCKS 5: the exact bytes of RFC 1928 and 1929, every code, every kind of address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest

from netguard.wire import socks5
from netguard.wire.socks5 import Socks5
from netguard.wire.tunnel import Granted, Host, LoginRefused, NoAcceptableMethod, NoProxy, Refused, Unsendable

LOGIN = (b"joe", b"secret")


@pytest.mark.parametrize(
    ("host", "request_"),
    [
        ("192.0.2.1", b"\5\1\0\1\xc0\0\2\1\0\x6e"),
        ("2001:db8::1", b"\5\1\0\4\x20\1\x0d\xb8" + 11 * b"\0" + b"\1\0\x6e"),
        ("mail.example", b"\5\1\0\3\x0cmail.example\0\x6e"),
        ("a" * 255, b"\5\1\0\3\xff" + b"a" * 255 + b"\0\x6e"),
    ],
)
def test_the_request(host: str, request_: bytes) -> None:
    """The proxy is told names as they are."""
    asked = Socks5(host, 110)
    assert asked.opening == b"\5\1\0"
    assert asked.receive(b"\5\0") == [request_]


def test_a_login_is_told_to_a_proxy_that_asks_for_it() -> None:
    """RFC 1929; the request follows when it is taken."""
    asked = Socks5("192.0.2.1", 110, LOGIN)
    assert asked.opening == b"\5\2\0\2"
    assert asked.receive(b"\5\2") == [b"\1\3joe\6secret"]
    assert asked.receive(b"\1") == []
    assert asked.receive(b"\0") == [b"\5\1\0\1\xc0\0\2\1\0\x6e"]


def test_a_login_is_told_to_no_other_proxy() -> None:
    """It was not asked for."""
    assert Socks5("192.0.2.1", 110, LOGIN).receive(b"\5\0") == [b"\5\1\0\1\xc0\0\2\1\0\x6e"]


def test_the_version_of_socks_in_the_answer_to_a_login_is_passed_over() -> None:
    """Some proxies say it; any other is none."""
    asked = Socks5("192.0.2.1", 110, LOGIN)
    asked.receive(b"\5\2")
    assert len(asked.receive(b"\5\0")) == 1
    asked = Socks5("192.0.2.1", 110, LOGIN)
    asked.receive(b"\5\2")
    with pytest.raises(NoProxy, match="answer to the login has another version"):
        asked.receive(b"\2\0")


@pytest.mark.parametrize("status", [1, 2, 255])
def test_a_login_that_is_refused(status: int) -> None:
    """With the proxy's number."""
    asked = Socks5("192.0.2.1", 110, LOGIN)
    asked.receive(b"\5\2")
    with pytest.raises(LoginRefused) as why:
        asked.receive(bytes([1, status]))
    assert why.value.code == status


@pytest.mark.parametrize("login", [None, LOGIN])
def test_a_proxy_that_takes_nothing_we_offer(login: tuple[bytes, bytes] | None) -> None:
    """It may want a login, or another kind of."""
    with pytest.raises(NoAcceptableMethod):
        Socks5("192.0.2.1", 110, login).receive(b"\5\xff")


@pytest.mark.parametrize(("method", "login"), [(1, None), (1, LOGIN), (2, None), (3, LOGIN), (0x80, LOGIN)])
def test_a_login_that_was_not_offered_is_a_lie(method: int, login: tuple[bytes, bytes] | None) -> None:
    """GSSAPI (1) among them."""
    with pytest.raises(NoProxy, match="not offered"):
        Socks5("192.0.2.1", 110, login).receive(bytes([5, method]))


CODES = {
    1: socks5.GeneralFailure,
    2: socks5.NotAllowed,
    3: socks5.NetworkUnreachable,
    4: socks5.HostUnreachable,
    5: socks5.TargetRefused,
    6: socks5.TtlExpired,
    7: socks5.CommandNotSupported,
    8: socks5.AddressNotSupported,
    9: Refused,
    255: Refused,
}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("rest", [b"", b"\0", b"\0\1\0\0\0\0\0\0", b"\0\x63"])
def test_every_code_is_told_apart(code: int, rest: bytes) -> None:
    """Whether the proxy says its address behind it, or has left that out."""
    asked = Socks5("192.0.2.1", 110)
    asked.receive(b"\5\0")
    with pytest.raises(Refused) as why:
        asked.receive(bytes([5, code]) + rest)
    assert type(why.value) is CODES[code]
    assert str(why.value).endswith(f"(code {code})")


def test_the_words_differ() -> None:
    """A person must see from the text alone what happened."""
    assert len({kind.summary for kind in CODES.values()}) == 9


@pytest.mark.parametrize(
    ("address", "bound"),
    [
        (b"\1\x0a\1\2\3", IPv4Address("10.1.2.3")),
        (b"\4" + 15 * b"\0" + b"\1", IPv6Address("::1")),
        (b"\3\4gate", "gate"),
        (b"\3\0", ""),
        (b"\3\xff" + b"\xe9" * 255, "é" * 255),
    ],
)
def test_the_proxys_address_may_be_of_any_kind(address: bytes, bound: Host) -> None:
    """Whatever was asked for; and what follows is the application's."""
    asked = Socks5("192.0.2.1", 110)
    asked.receive(b"\5\0")
    assert asked.receive(b"\5\0\0" + address + b"\x12\x34+OK") == [Granted((bound, 0x1234), b"+OK")]


@pytest.mark.parametrize("kind", [0, 2, 5, 255])
def test_an_unknown_kind_of_address_is_a_lie(kind: int) -> None:
    """Nobody could know where the reply ends."""
    asked = Socks5("192.0.2.1", 110)
    asked.receive(b"\5\0")
    with pytest.raises(NoProxy, match="unknown type of address"):
        asked.receive(bytes([5, 0, 0, kind, 0]))


@pytest.mark.parametrize("step", [0, 1])
def test_every_answer_has_the_version(step: int) -> None:
    """Its first byte decides."""
    asked = Socks5("192.0.2.1", 110)
    if step:
        asked.receive(b"\5\0")
    with pytest.raises(NoProxy, match="another version than 5"):
        asked.receive(b"\4")


@pytest.mark.parametrize(
    ("login", "good"),
    [
        ((b"u" * 255, b"s" * 255), True),
        ((b"u", b"s"), True),
        ((b"u" * 256, b"s"), False),
        ((b"u", b"s" * 256), False),
        ((b"", b"s"), False),
        ((b"u", b""), True),
    ],
)
def test_a_login_has_at_most_255_bytes_each_and_a_name(login: tuple[bytes, bytes], *, good: bool) -> None:
    """As one byte can say; the complaint has neither in it."""
    if good:
        asked = Socks5("a", 1, login)
        assert asked.receive(b"\5\2") == [b"\1" + bytes([len(login[0])]) + login[0] + bytes([len(login[1])]) + login[1]]
    else:
        with pytest.raises(Unsendable, match="a user name for SOCKS 5 has 1 to 255 bytes, and a secret at most 255"):
            Socks5("a", 1, login)
