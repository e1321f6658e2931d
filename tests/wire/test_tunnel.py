"""What is promised of every negotiation with a proxy, and of where a tunnel may lead."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire.http_connect import LONGEST_HEAD, HttpConnect
from netguard.wire.socks4 import Socks4
from netguard.wire.socks5 import Socks5
from netguard.wire.tunnel import (
    Event,
    Granted,
    Host,
    LoginRefused,
    Negotiation,
    NoProxy,
    ProxyClosed,
    ProxyError,
    Unsendable,
    target,
)

SECRET = b"correct horse"
LOGIN = (b"joe", SECRET)
KINDS: dict[str, tuple[Callable[[], Negotiation], list[bytes]]] = {
    "4": (lambda: Socks4("192.0.2.1", 110), [b"\0\x5a\x12\x34\x0a\1\2\3"]),
    "4a": (lambda: Socks4("mail.example", 110), [b"\0\x5a\0\0\0\0\0\0"]),
    "5": (lambda: Socks5("mail.example", 110), [b"\5\0", b"\5\0\0\1\x0a\1\2\3\x12\x34"]),
    "5-login": (lambda: Socks5("::1", 110, LOGIN), [b"\5\2", b"\1\0", b"\5\0\0\3\4gate\x12\x34"]),
    "5-ipv6": (lambda: Socks5("::1", 110, LOGIN), [b"\5\0", b"\5\0\0\4" + 15 * b"\0" + b"\1\0\7"]),
    "http": (lambda: HttpConnect("::1", 110, LOGIN), [b"HTTP/1.1 200 OK\r\nVia: 1.1 gate\r\n\r\n"]),
    "http-wait": (
        lambda: HttpConnect("a.b", 1),
        [b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 H\r\nA: b\r\n\r\nHTTP/1.0 204\n\n"],
    ),
}
"""Negotiations, each with the replies that grant it."""


def talk(negotiation: Negotiation, pieces: list[bytes]) -> list[Any]:
    """What a negotiation makes of pieces: events, or the error that ends it; what comes behind is not handed in."""
    events: list[Event] = []
    for each in pieces:
        try:
            events += negotiation.receive(each)
        except ProxyError as why:
            return [*events, (type(why), str(why))]
        if events and isinstance(events[-1], Granted):
            break
    return events


def granted(kind: str, pieces: list[bytes]) -> Granted:
    """The tunnel that pieces grant."""
    last = talk(KINDS[kind][0](), pieces)[-1]
    assert isinstance(last, Granted)
    return last


@pytest.mark.parametrize("kind", KINDS)
def test_replies_in_any_pieces_grant_the_same_tunnel(kind: str) -> None:
    """Whole replies, and octet by octet."""
    make, replies = KINDS[kind]
    whole = talk(make(), replies)
    assert talk(make(), [bytes([each]) for each in b"".join(replies)]) == whole
    assert whole[-1] == granted(kind, replies)
    assert [type(each) for each in whole] == [bytes] * (len(replies) - 1) + [Granted]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("early", [b"", b"+", b"+OK POP3 ready\r\n", b"\0" * 65536])
def test_what_comes_with_the_last_reply_is_the_applications(kind: str, early: bytes) -> None:
    """To the byte, even when it looks like a reply."""
    *first, last = KINDS[kind][1]
    assert granted(kind, [*first, last + early]).rest == early
    assert granted(kind, [*first, last + last]).rest == last
    assert granted(kind, [*first, last[:-1], last[-1:] + early]).rest == early


@pytest.mark.parametrize("kind", ["5", "5-login"])
def test_an_answer_before_the_question_is_a_lie(kind: str) -> None:
    """A proxy that sends all its replies at once did not read the request."""
    make, replies = KINDS[kind]
    assert talk(make(), [b"".join(replies)])[-1][0] is NoProxy
    assert talk(make(), [*replies[:-2], replies[-2] + b"\5"])[-1][0] is NoProxy


@pytest.mark.parametrize("kind", KINDS)
def test_a_character_generator_is_no_proxy(kind: str) -> None:
    """Its first line ends it, and nothing of it is kept or told."""
    line = b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n"
    ((kind_of, text),) = talk(KINDS[kind][0](), [line * 800])
    assert kind_of is NoProxy
    assert "ABC" not in text
    ((kind_of, _),) = talk(KINDS[kind][0](), [line[at : at + 1] for at in range(len(line))])
    assert kind_of is NoProxy


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 2), st.binary(max_size=40), st.integers(0, 60), st.integers(0, 3))
def test_whole_is_split_anywhere(kind: str, true: int, noise: bytes, at: int, way: int) -> None:
    """A reply that is cut, changed or random means the same in any pieces, and little of it is kept."""
    make, replies = KINDS[kind]
    before, reply = replies[: min(true, len(replies) - 1)], replies[min(true, len(replies) - 1)]
    stream = [reply[:at] + noise, noise + reply, reply + noise, noise * 20][way]
    whole, split = talk(make(), [*before, *([stream] if stream else [])]), make()
    events = talk(split, [*before, *(bytes([each]) for each in stream)])
    if whole and isinstance(whole[-1], Granted):
        assert events[-1].bound == whole[-1].bound
        assert stream.endswith(whole[-1].rest)
    elif whole and isinstance(whole[-1], tuple) and "before it was asked" not in whole[-1][1]:
        assert events[-1] == whole[-1]
    assert len(split._buffer) <= LONGEST_HEAD


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=30), st.sampled_from(sorted(KINDS)))
def test_nothing_that_comes_raises_anything_else(pieces: list[bytes], kind: str) -> None:
    """Any bytes are a tunnel, no tunnel, or not enough."""
    for each in talk(KINDS[kind][0](), pieces):
        assert isinstance(each, bytes | Granted | tuple)


@pytest.mark.parametrize(
    ("host", "where"),
    [
        ("192.0.2.1", IPv4Address("192.0.2.1")),
        ("2001:db8::1", IPv6Address("2001:db8::1")),
        ("mail.example", "mail.example"),
        ("mail.example.", "mail.example."),
        ("_pop3._tcp.example", "_pop3._tcp.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a" * 255, "a" * 255),
        ("192.0.2.256", "192.0.2.256"),
    ],
)
def test_a_target_is_an_address_or_a_name(host: str, where: Host) -> None:
    """As it is."""
    assert target(host, 110) == (where, 110)


@given(
    st.text("0123456789.", min_size=1, max_size=17)
    | st.from_regex(r"(0{0,2}[0-9]{1,3}\.){2,4}[0-9]{1,3}", fullmatch=True)
    | st.text("0123456789.:af%\0\uff11 ", min_size=1, max_size=30)
    | st.ip_addresses().map(str)
)
def test_an_address_is_what_python_takes_for_one(text: str) -> None:
    """Whatever the machine's C library would: no leading zeros, no shortened forms."""
    try:
        address: Host | None = ip_address(text)
    except ValueError:
        address = None
    try:
        where: Host | None = target(text, 110)[0]
    except Unsendable:
        where = None
    assert (where if isinstance(where, IPv4Address | IPv6Address) else None) == (None if zoned(address) else address)


def zoned(address: Host | None) -> bool:
    """Whether an address has a zone."""
    return isinstance(address, IPv6Address) and address.scope_id is not None


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a" * 256,
        "bücher.example",
        "a b",
        "a\r\nX: y",
        "a\0b",
        "a:1",
        "a/b",
        "a@b",
        ".",
        "-a",
        "[::1]",
        "fe80::1%lo",
    ],
)
def test_what_is_neither_is_not_sent(host: str) -> None:
    """No header can be slipped in, no zone, and nothing that a proxy would have to guess at."""
    with pytest.raises(Unsendable):
        target(host, 110)


@pytest.mark.parametrize(("port", "good"), [(1, True), (65535, True), (0, False), (65536, False), (-1, False)])
def test_a_target_has_a_port(port: int, *, good: bool) -> None:
    """1 to 65535."""
    if good:
        assert target("a", port) == ("a", port)
    else:
        with pytest.raises(Unsendable, match="not a TCP port"):
            target("a", port)


def test_errors_say_what_happened_in_our_words() -> None:
    """With the proxy's number, where it has one; an operating system's errors they are, too."""
    assert str(ProxyClosed()) == "the proxy closed the connection before it had answered"
    assert str(LoginRefused(7)) == "the proxy refused the login (code 7)"
    assert isinstance(ProxyClosed(), ConnectionError)
    assert LoginRefused(7).code == 7


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_is_in_a_repr(kind: str) -> None:
    """Nor in that of the tunnel the application's bytes."""
    assert repr(SECRET)[2:-1] not in repr(KINDS[kind][0]())
    assert "ready" not in repr(Granted(None, b"+OK ready"))
