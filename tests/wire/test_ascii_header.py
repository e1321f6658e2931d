"""UTF-8 in headers, for clients that did not say that they read it."""

from __future__ import annotations

import email.policy
from email.header import decode_header, make_header
from email.parser import BytesParser
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire.ascii_header import LONGEST, AsciiHeader
from netguard.wire.multiline import WireLines
from tests.wire.test_multiline import split


def ascii_of(*chunks: bytes) -> bytes:
    """What becomes of a message that comes in these chunks."""
    header = AsciiHeader()
    return b"".join(map(header.feed, chunks)) + header.finish()


def shown(message: bytes, field: str = "Subject") -> str:
    """What a person sees of a field whose words may be encoded."""
    lines = BytesParser(policy=email.policy.compat32).parsebytes(message)[field]
    return str(make_header(decode_header(str(lines)))).replace("\r\n", "")


texts = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=60)
pieces = st.sampled_from(
    [
        *(b"\r\n", b" ", b"\r\n ", b"\r\n\r\n", b":", b'"', b"<", b"@", b"a", b"Subject: ", b"\r", b"\n", b"\x00"),
        *("é".encode(), "日本".encode(), "\U0001f600".encode(), b"\xff", b"\xc3", b"\xa9"),
    ]
)
messages = st.lists(pieces, max_size=40).map(b"".join)


@given(messages, st.lists(st.integers(0, 500), max_size=8))
def test_whole_is_split_anywhere_is_byte_by_byte(message: bytes, cuts: list[int]) -> None:
    """Where the chunks end says nothing about what becomes of the message."""
    whole = ascii_of(message)
    assert ascii_of(*split(message, cuts)) == whole
    assert ascii_of(*(message[at : at + 1] for at in range(len(message)))) == whole


@given(messages)
def test_what_is_not_utf8_and_what_is_body_stays(message: bytes) -> None:
    """Only words of UTF-8 in the header change: nothing else that is not ASCII comes or goes."""
    blank = -2 if message.startswith(b"\r\n") else message.find(b"\r\n\r\n")
    header, body = (message, b"") if blank == -1 else (message[: blank + 2], message[blank + 2 :])
    made = ascii_of(message)
    assert made.endswith(body)
    for octet in b"\xff":
        assert made.count(octet) == message.count(octet)
    if header.isascii():
        assert made == message


@given(st.lists(texts, min_size=1, max_size=6))
def test_a_person_sees_what_was_written(words: list[str]) -> None:
    """Words of any script, few or long, are shown as they were, with the spaces between them."""
    written = " ".join(word for word in words if not word.isascii()) or "é"
    made = ascii_of(b"Subject: " + written.encode() + b"\r\n\r\n" + "bödy".encode())
    header, _, body = made.partition(b"\r\n\r\n")
    assert header.isascii()
    assert max(map(len, header.split(b"\r\n"))) <= 998
    assert body == "bödy".encode()
    # Separators part words of which each is encoded alone, and only white space can be dropped around those.
    plain = [mark for mark in '"(),:;<=>@[\\]' if mark in written]
    if not plain:
        assert shown(made) == written


@pytest.mark.parametrize(
    ("header", "made"),
    [
        ("Subject: x", "Subject: x"),
        ("Subject: Grüße", "Subject: =?utf-8?b?R3LDvMOfZQ==?="),
        ("Subject: für alle", "Subject: =?utf-8?b?ZsO8cg==?= alle"),
        ("Subject: é é", "Subject: =?utf-8?b?w6k=?= =?utf-8?b?IMOp?="),
        ("Subject: é\r\n é", "Subject: =?utf-8?b?w6k=?=\r\n =?utf-8?b?IMOp?="),
        ("Subject: é\r\nTo: é", "Subject: =?utf-8?b?w6k=?=\r\nTo: =?utf-8?b?w6k=?="),
        ("Subject: é\r\n\t\r\n é", "Subject: =?utf-8?b?w6k=?=\r\n\t\r\n =?utf-8?b?IMOp?="),
        ('From: "é" <ü@ex.é>', 'From: "=?utf-8?b?w6k=?=" <=?utf-8?b?w7w=?=@=?utf-8?b?ZXguw6k=?=>'),
        ('X: filename="é.txt"; a=b', 'X: filename="=?utf-8?b?w6kudHh0?="; a=b'),
        (
            "Subject: " + "é" * 30,
            f"Subject: =?utf-8?b?{'w6nDqcOp' * 7}w6k=?=\r\n =?utf-8?b?{'w6nDqcOp' * 2}w6nDqQ==?=",
        ),
    ],
)
def test_known_fields(header: str, made: str) -> None:
    """Words are encoded, and what stands between them stays; no encoded-word has more than 75 octets."""
    assert ascii_of(header.encode() + b"\r\n\r\nx") == made.encode() + b"\r\n\r\nx"
    assert ascii_of(header.encode()) == made.encode()


def test_what_is_no_utf8_is_sent_as_it_is() -> None:
    """Latin-1 is left to the client, as ever; words of UTF-8 beside it are encoded."""
    assert ascii_of(b"Subject: caf\xe9 \xc3\xa9\r\n\r\n") == b"Subject: caf\xe9 =?utf-8?b?w6k=?=\r\n\r\n"


@pytest.mark.parametrize("more", [0, 1])
def test_a_header_is_looked_at_so_far(more: int) -> None:
    """A line that ends at the limit is encoded, one that ends behind it is not, nor is what follows."""
    line = "é".encode()
    before = b"a" * (LONGEST - len(line) - 4 + more) + b"\r\n"
    message = before + line + b"\r\n" + line + b"\r\n\r\n" + line
    expected = before + (line if more else b"=?utf-8?b?w6k=?=") + b"\r\n" + line + b"\r\n\r\n" + line
    assert ascii_of(message) == expected
    assert ascii_of(*split(message, range(0, len(message), 4099))) == expected


@pytest.mark.parametrize("unit", ["é", "é ", "é(", "é\r\n ", "a", "(", " ", "\r\n"])
def test_no_header_takes_long(unit: str) -> None:
    """The worst header there can be takes some milliseconds, not some square of its length."""
    message = b"X:" + unit.encode() * LONGEST
    began = process_time()
    made = ascii_of(message)
    assert process_time() - began < 2
    assert len(made) <= len(message) + 12 * LONGEST


def test_the_header_of_a_reply_is_ascii_and_the_size_is_that_of_the_mail() -> None:
    """RETR and TOP to a client without UTF8: lines that begin with a dot are stuffed behind the encoding."""
    stored = "Subject: é\n.X: é\n\n.é\nzwei\n".encode()
    header = b"Subject: =?utf-8?b?w6k=?=\r\n.X: =?utf-8?b?w6k=?=\r\n"
    for top, body in ((None, "\r\n..é\r\nzwei\r\n"), (1, "\r\n..é\r\n"), (0, "\r\n")):
        form = WireLines(top, utf8=False)
        wire = b"".join(form.feed(stored[at : at + 1]) for at in range(len(stored))) + form.finish()
        assert wire == header.replace(b"\r\n.", b"\r\n..") + body.encode() + b".\r\n"
        as_it_is = WireLines(top)
        as_it_is.feed(stored)
        assert form.octets == as_it_is.octets


def test_a_header_without_an_end_has_one() -> None:
    """A line that waited for its end is sent with the terminator."""
    form = WireLines(utf8=False)
    assert form.feed(b"Subject: \xc3\xa9") == b""
    assert form.finish() == b"Subject: =?utf-8?b?w6k=?=\r\n.\r\n"
    assert form.finish() == b""
