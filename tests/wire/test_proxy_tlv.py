"""The fields behind a header's addresses: what each says, and that lengths, texts and repetitions are checked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire import proxy_tlv as tlv
from netguard.wire.proxy_tlv import Claims, Ssl

KNOWN = {tlv.ALPN, tlv.AUTHORITY, tlv.CRC32C, tlv.NOOP, tlv.UNIQUE_ID, tlv.SSL, tlv.NETNS}
ASCII = st.text(st.characters(max_codepoint=127), max_size=20)

ssls = st.builds(
    Ssl,
    client=st.integers(0, 255),
    verify=st.integers(0, 2**32 - 1),
    version=st.none() | ASCII,
    cn=st.none() | st.text(max_size=20),
    cipher=st.none() | ASCII,
    sig_alg=st.none() | ASCII,
    key_alg=st.none() | ASCII,
    group=st.none() | ASCII,
    sig_scheme=st.none() | ASCII,
    client_cert=st.none() | st.binary(max_size=60),
)
claims = st.builds(
    Claims,
    authority=st.none() | st.text(max_size=40),
    alpn=st.none() | st.binary(max_size=20),
    unique_id=st.none() | st.binary(max_size=128),
    netns=st.none() | ASCII,
    ssl=st.none() | ssls,
    others=st.lists(
        st.tuples(st.sampled_from(sorted(set(range(256)) - KNOWN)), st.binary(max_size=20)), max_size=4
    ).map(tuple),
)


@given(claims)
def test_what_is_written_is_read(said: Claims) -> None:
    """Whatever a proxy can say comes out as it went in."""
    assert tlv.read(tlv.encode(said.fields())) == said


@given(st.binary(max_size=60))
def test_any_bytes_are_fields_or_a_clear_error(block: bytes) -> None:
    """Nothing but ValueError is raised for any block, and its text is our own words."""
    try:
        tlv.read(block)
        tlv.checksum_place(block)
    except ValueError as why:
        assert str(why).isascii()  # noqa: PT017 - either outcome is right


def test_fields_are_read_by_their_types() -> None:
    """Bytes on the wire, not only our own writing: type, length in network order, value."""
    block = b"\x01\0\4pop3\x02\0\x0cmail.example\x05\0\3abc\x30\0\2ns\xea\0\5\1vpce\x04\0\2xx"
    assert tlv.read(block) == Claims("mail.example", b"pop3", b"abc", "ns", None, ((0xEA, b"\1vpce"),))


def test_an_ssl_field_is_read_by_its_types() -> None:
    """All fields inside, those of 2026 included; unknown ones are passed over."""
    inner = (
        b"\x21\0\7TLSv1.3\x22\0\5alice\x23\0\3AES\x24\0\2SA\x25\0\3RSA\x26\0\6x25519\x27\0\3pss\x28\0\2\x30\0\x2f\0\1?"
    )
    value = b"\x05\0\0\0\0" + inner
    found = tlv.read(b"\x20" + len(value).to_bytes(2, "big") + value).ssl
    assert found == Ssl(5, 0, "TLSv1.3", "alice", "AES", "SA", "RSA", "x25519", "pss", b"\x30\0")


@pytest.mark.parametrize(
    ("client", "verify", "verified"),
    [
        (tlv.CLIENT_SSL | tlv.CLIENT_CERT_CONN, 0, True),
        (tlv.CLIENT_SSL | tlv.CLIENT_CERT_SESS, 0, True),
        (tlv.CLIENT_SSL | tlv.CLIENT_CERT_CONN, 1, False),
        (tlv.CLIENT_SSL, 0, False),
        (tlv.CLIENT_CERT_CONN, 0, False),
        (0, 0, False),
    ],
)
def test_a_certificate_is_verified_only_when_one_was_shown(client: int, verify: int, *, verified: bool) -> None:
    """Zero means verified; but proxies say zero where no certificate was shown, too."""
    assert Ssl(client, verify).verified is verified


def test_tls_is_one_bit() -> None:
    """The others do not make a connection secure."""
    assert Ssl(tlv.CLIENT_SSL, 1).secure
    assert not Ssl(0xFE, 0).secure


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (b"\x01", "left over"),
        (b"\x01\0", "left over"),
        (b"\x01\0\1", "leads out"),
        (b"\x04\0\0\x01\xff\xff", "leads out"),
        (b"\x01\0\0\x01\0\0", "twice"),
        (b"\x20\0\4\0\0\0\0", "shorter than 5"),
        (b"\x20\0\6\0\0\0\0\0\x21", "left over"),
        (b"\x20\0\x09\0\0\0\0\0\x21\0\2x", "leads out"),
        (b"\x20\0\x0b\0\0\0\0\0\x22\0\0\x22\0\0", "twice"),
        (b"\x20\0\x0b\0\0\0\0\0\x28\0\0\x28\0\0", "twice"),
        (b"\x20\0\x09\0\0\0\0\0\x21\0\1\xff", "encoding"),
        (b"\x20\0\x09\0\0\0\0\0\x22\0\1\xff", "encoding"),
        (b"\x02\0\1\xff", "encoding"),
        (b"\x30\0\1\xc3", "encoding"),
        (b"\x05\0\x81" + bytes(129), "unique id"),
    ],
)
def test_malformed_fields_are_refused(block: bytes, problem: str) -> None:
    """Lengths must fit exactly, known fields come once, texts are texts, a unique id has up to 128 octets."""
    with pytest.raises(ValueError, match=problem):
        tlv.read(block)


def test_the_longest_unique_id_is_accepted() -> None:
    """128 octets are within the limit."""
    assert tlv.read(b"\x05\0\x80" + bytes(128)).unique_id == bytes(128)


def test_padding_and_fields_of_others_may_come_twice() -> None:
    """Nobody reads two different things in them: the one is ignored, of the other all are kept."""
    assert tlv.read(b"\x04\0\0\x04\0\1x\xe0\0\0\xe0\0\1y").others == ((0xE0, b""), (0xE0, b"y"))


def test_the_checksum_is_found() -> None:
    """Where it is, and that it is not there."""
    assert tlv.checksum_place(b"\x04\0\1x\x03\0\4abcd") == 7
    assert tlv.checksum_place(b"\x04\0\1x") is None


@pytest.mark.parametrize(("block", "problem"), [(b"\x03\0\3abc", "4"), (b"\x03\0\4abcd\x03\0\4abcd", "twice")])
def test_a_checksum_has_four_octets_and_comes_once(block: bytes, problem: str) -> None:
    """Anything else is an error, not a header without a checksum."""
    with pytest.raises(ValueError, match=problem):
        tlv.checksum_place(block)


def test_claims_by_name_are_those_that_were_made() -> None:
    """What was not claimed is not there, and what was claimed to be empty is."""
    assert Claims().mapping() == {}
    assert Claims(alpn=b"", others=((0xE0, b""),)).mapping() == {"alpn": b"", "others": ((0xE0, b""),)}


@pytest.mark.parametrize("said", [Claims(unique_id=bytes(129)), Claims(others=((0xE0, bytes(65536)),))])
def test_what_no_field_can_hold_is_not_written(said: Claims) -> None:
    """The lengths that are checked when reading are checked when writing."""
    with pytest.raises(ValueError, match="octets"):
        tlv.encode(said.fields())


@pytest.mark.parametrize(
    ("data", "sum_"),
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
    ],
)
def test_checksums_of_the_rfc(data: bytes, sum_: int) -> None:
    """The values of RFC 3720, appendix B.4, and the usual check value come out."""
    assert tlv.crc32c(data) == sum_
