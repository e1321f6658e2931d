"""The block of version 2: commands, families, exact lengths, and the checksum."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire import proxy_v2
from netguard.wire.proxy_header import Address, Header, Inet, ProxyMisused, ProxyRefused, Transport
from netguard.wire.proxy_tlv import AUTHORITY, Claims, crc32c

LIMIT = 4096
SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
SOURCE, DESTINATION = Inet("192.0.2.1", 0x1234), Inet("198.51.100.2", 110)
INET = bytes([192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0, 110])
INET6 = IPv6Address("2001:db8::1").packed + IPv6Address("::1").packed + b"\x12\x34\0\x6e"
UNIX = b"/run/a".ljust(108, b"\0") + b"\0abstract".ljust(108, b"\0")


def block(command: int, family: int, body: bytes = b"") -> bytes:
    """A header byte by byte, with the length that belongs to it."""
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


def header(whole: bytes) -> Header:
    """The header of a block that is whole."""
    assert proxy_v2.size(whole, LIMIT) == len(whole)
    return proxy_v2.read(whole)


@pytest.mark.parametrize(
    ("family", "body", "ends"),
    [
        (0x11, INET, (SOURCE, DESTINATION)),
        (0x21, INET6, (Inet("2001:db8::1", 0x1234), Inet("::1", 110))),
        (0x31, UNIX, (b"/run/a", b"\0abstract")),
    ],
)
def test_the_families_of_streams(family: int, body: bytes, ends: tuple[Address, Address]) -> None:
    """Addresses and ports in network order, paths without their padding."""
    found = header(block(0x21, family, body))
    assert found == Header(2, False, Transport.STREAM, *ends)
    assert found.peer == ends[0]


@pytest.mark.parametrize(("family", "body"), [(0x12, INET), (0x22, INET6), (0x32, UNIX)])
def test_datagrams_are_told_but_make_no_peer(family: int, body: bytes) -> None:
    """A combination that a stream cannot serve falls back to the socket's own address."""
    found = header(block(0x21, family, body))
    assert found.transport is Transport.DGRAM
    assert found.source is not None
    assert found.peer is None


@pytest.mark.parametrize(("family", "body"), [(0x10, INET), (0x20, INET6), (0x30, UNIX)])
def test_an_unspecified_transport_makes_no_peer(family: int, body: bytes) -> None:
    """The addresses are told, and do not count."""
    assert header(block(0x21, family, body)).peer is None


def test_a_mapped_address_is_written_as_what_it_is() -> None:
    """Whatever the release of Python, the text ends with the IPv4 address."""
    mapped = IPv6Address("::ffff:192.0.2.1").packed
    assert header(block(0x21, 0x21, mapped * 2 + bytes(4))).source == Inet("::ffff:192.0.2.1", 0)


@pytest.mark.parametrize("family", [0x00, 0x11, 0x21, 0x31, 0x4F, 0xFF])
@pytest.mark.parametrize("body", [b"", b"\xff", INET, b"\x03\0\4xxxx" + bytes(200)])
def test_local_passes_over_family_and_block(family: int, body: bytes) -> None:
    """The proxy speaks for itself: whatever else stands there has no meaning, be it wrong."""
    assert header(block(0x20, family, body)) == Header(2, local=True)


@pytest.mark.parametrize("family", [0x00, 0x01, 0x02])
@pytest.mark.parametrize("body", [b"", b"\xff", INET, b"\x02\0\1x"])
def test_an_unspecified_family_passes_over_the_block(family: int, body: bytes) -> None:
    """Nothing says how long its addresses are, so nothing behind them can be found."""
    assert header(block(0x21, family, body)) == Header(2)


@pytest.mark.parametrize(
    ("family", "body"),
    [(0x11, INET), (0x12, INET), (0x10, INET), (0x21, INET6), (0x31, UNIX)],
)
def test_a_block_holds_at_least_its_addresses(family: int, body: bytes) -> None:
    """One octet less is refused, as soon as the length is known."""
    short = block(0x21, family, body[:-1])
    with pytest.raises(ProxyRefused, match="shorter"):
        proxy_v2.size(short[:16], LIMIT)


@pytest.mark.parametrize("command", [0x22, 0x2F, 0x11, 0x01, 0x31, 0xFF, 0x00])
def test_unknown_versions_and_commands_are_refused(command: int) -> None:
    """As soon as their octet is there."""
    begun = SIGNATURE + bytes([command])
    with pytest.raises(ProxyRefused):
        proxy_v2.size(begun, LIMIT)
    assert proxy_v2.size(begun[:-1], LIMIT) is None


@pytest.mark.parametrize("family", [0x03, 0x0F, 0x13, 0x1F, 0x23, 0x33, 0x40, 0x41, 0x51, 0xF1, 0xFF])
def test_unknown_families_and_transports_are_refused(family: int) -> None:
    """As soon as their octet is there."""
    begun = SIGNATURE + bytes([0x21, family])
    with pytest.raises(ProxyRefused, match="unknown family"):
        proxy_v2.size(begun, LIMIT)
    assert proxy_v2.size(begun[:-1], LIMIT) is None


@pytest.mark.parametrize("command", [0x20, 0x21])
def test_a_block_has_a_limit(command: int) -> None:
    """The limit itself is taken; one octet more is refused, whatever the command, before any of it has come."""
    front = SIGNATURE + bytes([command, 0x11])
    assert proxy_v2.size(front + b"\x01\0", 256) == 272
    with pytest.raises(ProxyRefused, match="longer than 256"):
        proxy_v2.size(front + b"\x01\1", 256)


def test_what_is_behind_the_addresses_must_be_fields() -> None:
    """Left over octets are refused, known fields are claims."""
    with pytest.raises(ProxyRefused, match="left over"):
        header(block(0x21, 0x11, INET + b"x"))
    assert header(block(0x21, 0x11, INET + b"\x02\0\4host")).claims == Claims(authority="host")


def test_a_right_checksum_is_accepted() -> None:
    """One that another program made (HAProxy 2.6.12, recorded), and one of our own."""
    recorded = bytes.fromhex(
        "0d0a0d0a000d0a515549540a211100257f0000017f000001e7ba82db030004c42b27d805000f3132372e302e302e312d3539333232"
    )
    assert header(recorded).claims == Claims(unique_id=b"127.0.0.1-59322")
    assert header(recorded).peer == Inet("127.0.0.1", 59322)
    whole = proxy_v2.write(SOURCE, DESTINATION, claims=Claims(unique_id=b"7"), checksum=True)
    assert header(whole).claims == Claims(unique_id=b"7")


@given(st.data())
def test_any_changed_octet_is_noticed(data: st.DataObject) -> None:
    """With a checksum there is no octet behind the first 16 that can be changed without being noticed."""
    whole = bytearray(proxy_v2.write(SOURCE, DESTINATION, claims=Claims(alpn=b"pop3"), checksum=True))
    place = data.draw(st.integers(16, len(whole) - 1))
    # To change the type of the checksum's own field is to have no checksum.
    if place == len(whole) - 7:
        return
    whole[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProxyRefused):
        header(bytes(whole))


def test_the_checksum_may_stand_anywhere() -> None:
    """Other fields may follow it."""
    front = proxy_v2.write(SOURCE, DESTINATION, claims=Claims(others=((0xE0, b"x"),)), checksum=True)
    assert header(front).claims.others == ((0xE0, b"x"),)
    moved = bytearray(front[:28] + front[-7:] + front[28:-7])
    moved[31:35] = bytes(4)
    moved[31:35] = crc32c(bytes(moved)).to_bytes(4, "big")
    assert header(bytes(moved)).claims.others == ((0xE0, b"x"),)


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 65535), st.sampled_from(Transport))
def test_ipv4_is_read_as_it_was_written(
    source: IPv4Address, destination: IPv4Address, port: int, transport: Transport
) -> None:
    """All addresses, ports and transports, with a checksum and without."""
    ends = Inet(str(source), port), Inet(str(destination), 65535 - port)
    for checksum in (False, True):
        found = header(proxy_v2.write(*ends, transport=transport, checksum=checksum))
        assert found == Header(2, False, transport, *ends)


@given(st.ip_addresses(v=6), st.ip_addresses(v=6), st.integers(0, 65535))
def test_ipv6_is_read_as_it_was_written(source: IPv6Address, destination: IPv6Address, port: int) -> None:
    """All addresses and ports, at both ends."""
    found = header(proxy_v2.write(Inet(str(source), port), Inet(str(destination), 65535 - port)))
    assert isinstance(found.source, Inet)
    assert isinstance(found.destination, Inet)
    assert (IPv6Address(found.source.host), found.source.port) == (source, port)
    assert (IPv6Address(found.destination.host), found.destination.port) == (destination, 65535 - port)


@given(st.binary(max_size=108), st.binary(max_size=108))
def test_paths_are_read_as_they_were_written(source: bytes, destination: bytes) -> None:
    """Whatever they are, as long as they do not end like padding."""
    ends = source.rstrip(b"\0"), destination.rstrip(b"\0")
    assert header(proxy_v2.write(*ends)) == Header(2, False, Transport.STREAM, *ends)


def test_who_connects_may_be_left_unsaid() -> None:
    """For oneself, and for somebody of whom nothing is known."""
    assert header(proxy_v2.write(local=True)) == Header(2, local=True)
    assert header(proxy_v2.write(SOURCE, DESTINATION, local=True)) == Header(2, local=True)
    assert header(proxy_v2.write()) == Header(2)


@pytest.mark.parametrize(
    ("ends", "claims"),
    [
        ((SOURCE, None), Claims()),
        ((None, SOURCE), Claims()),
        ((None, None), Claims(alpn=b"x")),
        ((SOURCE, Inet("::1", 1)), Claims()),
        ((Inet("::1", 1), SOURCE), Claims()),
        ((SOURCE, b"/path"), Claims()),
        ((b"/path", SOURCE), Claims()),
        ((b"x" * 109, b""), Claims()),
        ((b"x\0", b""), Claims()),
        ((Inet("mail.example", 1), SOURCE), Claims()),
        ((Inet("192.0.2.1", 65536), SOURCE), Claims()),
        ((Inet("192.0.2.1", -1), SOURCE), Claims()),
        ((SOURCE, DESTINATION), Claims(unique_id=bytes(129))),
        ((SOURCE, DESTINATION), Claims(netns="\u00e4")),
        ((SOURCE, DESTINATION), Claims(others=((AUTHORITY, bytes(65535)),))),
        ((SOURCE, DESTINATION), Claims(others=((256, b""),))),
    ],
)
def test_what_no_block_can_say_is_not_written(ends: tuple[Address | None, Address | None], claims: Claims) -> None:
    """One end alone, two families, what is no address, and too much to say: the error is ours."""
    with pytest.raises(ProxyMisused):
        proxy_v2.write(*ends, claims=claims)
