"""The reader of headers: any fragmentation, early refusal, bounds, and one header only."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netguard.wire import proxy_protocol, proxy_v1, proxy_v2
from netguard.wire.proxy_header import Header, Inet, ProxyMisused, ProxyRefused
from netguard.wire.proxy_protocol import HeaderReader, Heard, is_header
from netguard.wire.proxy_tlv import Claims, Ssl

SOURCE, DESTINATION = Inet("192.0.2.1", 1234), Inet("198.51.100.2", 110)
SSL = Ssl(5, 0, "TLSv1.3", "alice", client_cert=bytes(300))
HEADERS = [
    proxy_v1.write(),
    proxy_v1.write(SOURCE, DESTINATION),
    proxy_v1.write(Inet("2001:db8::1", 1), Inet("::ffff:192.0.2.1", 65535)),
    b"PROXY UNKNOWN a\rb\nc\r\n",
    proxy_v2.write(),
    proxy_v2.write(local=True),
    proxy_v2.write(SOURCE, DESTINATION),
    proxy_v2.write(b"/run/a", b"/run/b", checksum=True),
    proxy_v2.write(SOURCE, DESTINATION, claims=Claims("mail.example", b"pop3", b"id", "ns", SSL), checksum=True),
]


def heard(chunks: list[bytes]) -> Heard | bool | None:
    """What a reader makes of chunks: the header and the rest, whether a refused one was missing, or None."""
    reader, found = HeaderReader(), None
    for number, chunk in enumerate(chunks):
        try:
            found = reader.receive(chunk)
        except ProxyRefused as why:
            return why.missing
        if found is not None:
            return Heard(found.header, found.rest + b"".join(chunks[number + 1 :]))
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces, some of them empty."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


streams = st.one_of(
    st.binary(max_size=40),
    st.tuples(st.sampled_from(HEADERS), st.binary(max_size=20)).map(b"".join),
    st.tuples(st.sampled_from(HEADERS), st.integers(0, 10_000), st.integers(0, 255)).map(
        lambda each: each[0][: each[1] % len(each[0])] + bytes([each[2]]) + each[0][each[1] % len(each[0]) + 1 :]
    ),
    st.text("PROXY TCP46UNKNOWN0123456789.:af\r\n", max_size=120).map(lambda text: b"PROXY " + text.encode()),
    st.binary(max_size=60).map(lambda tail: proxy_v2.SIGNATURE + tail),
    st.binary(max_size=60).map(lambda tail: proxy_v2.SIGNATURE + b"\x21\x11\0\x30" + tail),
)


@given(streams, st.lists(st.integers(0, 10_000), max_size=6))
@example(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\nPROXY TCP4 9.9.9.9 9.9.9.9 9 9\r\n", [])
def test_whole_is_split_anywhere_is_byte_by_byte(stream: bytes, places: list[int]) -> None:
    """The outcome and what is left behind the header do not depend on how the octets came."""
    whole = heard([stream])
    assert heard(cut(stream, places)) == whole
    assert heard([bytes([octet]) for octet in stream]) == whole


@pytest.mark.parametrize("header", HEADERS)
def test_every_header_is_read_in_two_pieces(header: bytes) -> None:
    """Cut at each place, with the application's data behind it."""
    whole = heard([header + b"data"])
    assert isinstance(whole, Heard)
    assert whole.rest == b"data"
    for place in range(len(header)):
        assert heard([header[:place], header[place:] + b"data"]) == whole


def test_nothing_is_said_before_the_header_is_whole() -> None:
    """Each beginning of a header waits for more."""
    for header in HEADERS:
        for size in range(len(header)):
            assert heard([header[:size]]) is None


@given(streams)
def test_what_is_kept_is_bounded(stream: bytes) -> None:
    """While it waits, a reader holds less than the longest header."""
    reader = HeaderReader(64)
    try:
        while reader.receive(stream) is None:
            assert len(reader.begun) < max(proxy_v1.LONGEST, proxy_v2.FRONT + 64)
            stream = stream or b"x"
    except ProxyRefused:
        pass
    assert reader.done


@pytest.mark.parametrize(
    ("begun", "missing"),
    [
        (b"G", True),
        (b"\x16", True),
        (b"PROXX", True),
        (b"PROXYx", True),
        (b"\r\n\r\n\0\r\nQUIT\r", True),
        (b"PROXY x", False),
        (proxy_v2.SIGNATURE + b"\x11", False),
    ],
)
def test_refusals_are_at_once_and_tell_none_from_malformed(begun: bytes, *, missing: bool) -> None:
    """The first octet that fits no header is the last one that is waited for."""
    assert heard([begun[:-1]]) is None
    assert heard([begun]) is missing


def test_what_was_refused_can_be_had() -> None:
    """Somebody who only observes passes it on."""
    reader = HeaderReader()
    reader.receive(b"PR")
    with pytest.raises(ProxyRefused):
        reader.receive(b"ESENT")
    assert reader.begun == b"PRESENT"


def test_one_reader_reads_one_header() -> None:
    """After an answer or a refusal, asking again is an error of ours: a second header is never read."""
    done, refused = HeaderReader(), HeaderReader()
    assert done.receive(HEADERS[0] + HEADERS[1]) == Heard(Header(1), HEADERS[1])
    with pytest.raises(ProxyRefused):
        refused.receive(b"x")
    for reader in (done, refused):
        assert reader.done
        with pytest.raises(ProxyMisused):
            reader.receive(HEADERS[0])


def test_the_longest_block_is_what_the_caller_says() -> None:
    """At most 4,096 octets unless told otherwise; the limit itself is read."""
    most = proxy_v2.write(SOURCE, DESTINATION, claims=Claims(others=((0xE0, bytes(4096 - 12 - 3)),)))
    assert len(most) == 16 + proxy_protocol.LONGEST
    assert isinstance(heard([most]), Heard)
    more = proxy_v2.write(SOURCE, DESTINATION, claims=Claims(others=((0xE0, bytes(4096 - 12 - 2)),)))
    assert heard([more[:16]]) is False
    assert HeaderReader(4097).receive(more) is not None


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_is_noticed_where_none_may_be(header: bytes) -> None:
    """By what only a header begins with: at most 13 octets."""
    told = [is_header(header[:size]) for size in range(len(header) + 1)]
    assert told[0] is None
    assert told[13] is True
    assert told == sorted(told, key=[None, True].index)


@pytest.mark.parametrize(
    "begun", [b"x", b"PROXIES\r\n", b"PROXY please\r\n", b"PROXY tcp4 ", b"\r\n\r\nx", b"\r\r", b"\n"]
)
def test_what_only_resembles_a_header_is_none(begun: bytes) -> None:
    """Other protocols may have words that begin alike."""
    assert is_header(begun) is False
