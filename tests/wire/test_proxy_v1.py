"""The line of version 1: what is one, and every way in which it is none."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire import proxy_v1
from netguard.wire.proxy_header import Header, Inet, ProxyMisused, ProxyRefused, Transport

PORTS = st.integers(0, 65535)
LAST = b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"


def header(line: bytes) -> Header:
    """The header of a line that is whole."""
    found = proxy_v1.read(line)
    assert found is not None
    assert found[1] == len(line)
    return found[0]


def named(source: str, destination: str, sport: int = 1, dport: int = 2) -> Header:
    """What a line with these addresses says."""
    return Header(1, False, Transport.STREAM, Inet(source, sport), Inet(destination, dport))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n", named("192.0.2.1", "198.51.100.2")),
        (b"PROXY TCP4 1.0.0.0 255.255.255.255 0 65535\r\n", named("1.0.0.0", "255.255.255.255", 0, 65535)),
        (b"PROXY TCP6 2001:DB8::1 ::1 1 2\r\n", named("2001:db8::1", "::1")),
        (b"PROXY TCP6 0:0:0:0:0:0:0:1 :: 1 2\r\n", named("::1", "::")),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c000:202 1 2\r\n", named("::ffff:192.0.2.1", "::ffff:192.0.2.2")),
        (b"PROXY TCP6 %b %b 65535 65535\r\n" % (LAST, LAST), named(LAST.decode(), LAST.decode(), 65535, 65535)),
    ],
)
def test_lines(line: bytes, expected: Header) -> None:
    """Both families, the lowest and the highest numbers, and the forms of an IPv6 address."""
    assert header(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN \r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
        b"PROXY UNKNOWN \0\n\r\xff TCP4 1.2.3.4 nonsense\r\n",
        b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n",
    ],
)
def test_unknown_is_legal_short_and_long(line: bytes) -> None:
    """Whatever stands before the CRLF, up to 107 octets in all, is passed over."""
    assert header(line) == Header(1)


def test_what_stands_behind_the_line_is_not_looked_at() -> None:
    """The size is the line's own."""
    assert proxy_v1.read(b"PROXY UNKNOWN\r\nPROXY x\r\n") == (Header(1), 15)


REFUSED = [
    b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP44 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY UNKNOWN2\r\n",
    b"PROXY UNKNOWN\rx\r\n",
    b"PROXY UNKNOWN\n\r\n",
    b"PROXY UNKNOW\r\n",
    b"PROXY \r\n",
    b"PROXY TCP4\r\n",
    b"PROXY TCP4 \r\n",
    b"PROXY TCP4 1.2.3.4\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
    b"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
    b"PROXY TCP4\t1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.00 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 +1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 1.2.3.4/8 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 localhost 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 ::1 ::1 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
    b"PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n",
    b"PROXY TCP4 \xd9\xa1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
    b"PROXY TCP6 ::1 1.2.3.4 1 2\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    b"PROXY TCP6 [::1] ::1 1 2\r\n",
    b"PROXY TCP6 1::2::3 ::1 1 2\r\n",
    b"PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n",
    b"PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n",
    b"PROXY TCP6 12345::1 ::1 1 2\r\n",
    b"PROXY TCP6 ::g ::1 1 2\r\n",
    b"PROXY TCP6 ::ffff:1.2.3.04 ::1 1 2\r\n",
    b"PROXY TCP6 ::1/64 ::1 1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 99999 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 100000 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 00\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 4_2 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 0x2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 \xb2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rx\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r 2\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
    b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\0\r\n",
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
]
NOT_ENDED = b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r"


@pytest.mark.parametrize("line", [each for each in REFUSED if each != NOT_ENDED])
def test_anything_else_is_refused(line: bytes) -> None:
    """Other families, spaces, numbers, addresses, lengths and line ends are no header."""
    with pytest.raises(ProxyRefused) as refused:
        proxy_v1.read(line)
    assert not refused.value.missing


@pytest.mark.parametrize(
    "begun",
    [
        b"PROXY Q",
        b"PROXY TCP4 1.2.3.4:",
        b"PROXY TCP4 1111.2222.3333.4",
        b"PROXY TCP4 300.1.1.1 ",
        b"PROXY TCP6 ::1 z",
        b"PROXY TCP6 " + b"1" * 46,
        b"PROXY TCP4 1.2.3.4 1.2.3.4 x",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 00",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 123456",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 ",
        b"PROXY UNKNOWNX",
        b"PROXY UNKNOWN\rx",
        b"PROXY UNKNOWN " + b"x" * 93,
    ],
)
def test_what_cannot_become_a_line_is_refused_before_its_end(begun: bytes) -> None:
    """A wrong character or length does not wait for a CRLF; what is one octet shorter might yet become a line."""
    with pytest.raises(ProxyRefused):
        proxy_v1.read(begun)
    assert proxy_v1.read(begun[:-1]) is None


def test_the_end_of_the_line_may_come_later() -> None:
    """A CR behind the last port waits for its LF."""
    assert proxy_v1.read(NOT_ENDED) is None


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), PORTS, PORTS)
def test_ipv4_is_read_as_it_was_written(source: IPv4Address, destination: IPv4Address, sport: int, dport: int) -> None:
    """All addresses and ports, at both ends."""
    ends = Inet(str(source), sport), Inet(str(destination), dport)
    assert header(proxy_v1.write(*ends)) == Header(1, False, Transport.STREAM, *ends)


@given(st.ip_addresses(v=6), st.ip_addresses(v=6), PORTS, PORTS)
def test_ipv6_is_read_as_it_was_written(source: IPv6Address, destination: IPv6Address, sport: int, dport: int) -> None:
    """All addresses and ports, at both ends; the texts may differ, the addresses do not."""
    found = header(proxy_v1.write(Inet(str(source), sport), Inet(str(destination), dport)))
    assert isinstance(found.source, Inet)
    assert isinstance(found.destination, Inet)
    assert (IPv6Address(found.source.host), IPv6Address(found.destination.host)) == (source, destination)
    assert (found.source.port, found.destination.port) == (sport, dport)


def test_who_connects_may_be_left_unsaid() -> None:
    """The short form of UNKNOWN is written."""
    assert proxy_v1.write() == b"PROXY UNKNOWN\r\n"


@pytest.mark.parametrize(
    "ends",
    [
        (Inet("192.0.2.1", 1), None),
        (None, Inet("192.0.2.1", 1)),
        (Inet("192.0.2.1", 1), Inet("::1", 1)),
        (Inet("::1", 1), Inet("192.0.2.1", 1)),
        (Inet("192.0.2.1", 65536), Inet("192.0.2.1", 1)),
        (Inet("192.0.2.1 1.1.1.1 1 1\r\n", 1), Inet("192.0.2.1", 1)),
        (Inet("fe80::1%eth0", 1), Inet("::1", 1)),
        (Inet("mail.example", 1), Inet("192.0.2.1", 1)),
        (Inet("\u0661.0.0.1", 1), Inet("192.0.2.1", 1)),
    ],
)
def test_what_no_line_can_say_is_not_written(ends: tuple[Inet | None, Inet | None]) -> None:
    """One end alone, two families, and what is no address: the error is ours."""
    with pytest.raises(ProxyMisused):
        proxy_v1.write(*ends)


def test_the_longest_line_that_can_be_written_can_be_read() -> None:
    """Mapped addresses have their longest text with the IPv4 form."""
    ends = Inet("::ffff:255.255.255.255", 65535), Inet("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 65535)
    assert header(proxy_v1.write(*ends)).source == ends[0]


def test_a_line_that_would_be_too_long_is_not_written() -> None:
    """Two addresses of 45 characters would make a line of more than 107 octets."""
    end = Inet("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 65535)
    with pytest.raises(ProxyMisused):
        proxy_v1.write(end, end)
