"""What is promised of ident's wire: RFC 1413's examples, its white space, its bounds, and that a claim is no proof."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netguard.wire.ident import (
    LONGEST_LINE,
    LONGEST_USER,
    Claim,
    IdentError,
    IdentReply,
    NoReply,
    ReplyReader,
    UserId,
    WhyNot,
    parse,
    query,
)

PORTS = (6193, 23)
MALFORMED, TOO_LONG, MISMATCH = map(NoReply, (WhyNot.MALFORMED, WhyNot.TOO_LONG, WhyNot.PORT_MISMATCH))
blanks = st.text(" \t", max_size=4).map(str.encode)


def read(*pieces: bytes) -> IdentReply | None:
    """The answer that a reader finds in pieces; None when it is not complete."""
    reader = ReplyReader(*PORTS)
    return next((reply for each in pieces if (reply := reader.receive(each)) is not None), None)


def test_the_query_is_as_short_as_can_be() -> None:
    """The peer's port first; no blank that nobody needs."""
    assert query(6193, 23) == b"6193,23\r\n"
    assert query(1, 65535) == b"1,65535\r\n"


@pytest.mark.parametrize("ports", [(0, 23), (23, 0), (65536, 23), (23, -1)])
def test_only_ports_are_asked_about(ports: tuple[int, int]) -> None:
    """Anything else is a mistake of the caller's."""
    with pytest.raises(ValueError, match="not a TCP port from 1 to 65535"):
        query(*ports)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"6193, 23 : USERID : UNIX :stjohns", UserId("UNIX", "US-ASCII", b"stjohns")),
        (b"6193, 23 : USERID : OTHER :StJohns@DCA.MIL", UserId("OTHER", "US-ASCII", b"StJohns@DCA.MIL")),
        (b"6193, 23 : USERID : UNIX , US-ASCII :stjohns", UserId("UNIX", "US-ASCII", b"stjohns")),
        (b"6193,23:USERID:UNIX:joe:at:home", UserId("UNIX", "US-ASCII", b"joe:at:home")),
        (b"6193,23:USERID:VM/XA SP,ISO-8859-1:x", MALFORMED),
        (b"6193,23:USERID:TOPS-20,ISO-8859-1: \xe9 ", UserId("TOPS-20", "ISO-8859-1", b" \xe9 ")),
        (b"6193, 23 : ERROR : NO-USER", IdentError("NO-USER")),
        (b"6193, 23 : ERROR : HIDDEN-USER \t", IdentError("HIDDEN-USER")),
        (b"6193, 23 : ERROR : INVALID-PORT", IdentError("INVALID-PORT")),
        (b"6193, 23 : ERROR : UNKNOWN-ERROR", IdentError("UNKNOWN-ERROR")),
        (b"6193, 23 : ERROR : X-GONE,FISHING", IdentError("X-GONE,FISHING")),
        (b"006193,23:ERROR:NO-USER", MALFORMED),
        (b"06193,00023:ERROR:NO-USER", IdentError("NO-USER")),
    ],
)
def test_an_answer_is_what_it_says(line: bytes, reply: IdentReply) -> None:
    """The examples of RFC 1413, and what its grammar allows besides."""
    assert read(line + b"\r\n") == reply


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"USERID",
        b"6193,23",
        b"6193,23:",
        b"6193,23:USERID",
        b"6193,23:USERID:UNIX",
        b"6193,23:USERID:UNIX:",
        b"6193,23:USERID::joe",
        b"6193,23:USERID:,US-ASCII:joe",
        b"6193,23:USERID:UNIX,:joe",
        b"6193,23:USERID:UNIX,US ASCII:joe",
        b"6193,23:USERID:UN\0IX:joe",
        b"6193,23:USERID:UNIX:jo\0e",
        b"6193,23:USERID:UNIX:jo\re",
        b"6193,23:userid:UNIX:joe",
        b"6193,23:USER ID:UNIX:joe",
        b"6193,23:NOBODY:UNIX:joe",
        b"6193,23:ERROR:",
        b"6193,23:ERROR:X",
        b"6193,23:ERROR:no-user",
        b"6193,23:ERROR:NO-USER-AT-ALL",
        b"6193,23:ERROR:NO-USER:joe",
        b"6193,23:ERROR:X-\xe9",
        b"6193 23:ERROR:NO-USER",
        b"6193,:ERROR:NO-USER",
        b"6193,2 3:ERROR:NO-USER",
        b"-6193,23:ERROR:NO-USER",
        b"+6193,23:ERROR:NO-USER",
        b"6193,23,1:ERROR:NO-USER",
        "٦193,23:ERROR:NO-USER".encode(),
        b"619300,23:ERROR:NO-USER",
        b"220 mail.example ESMTP",
        b"HTTP/1.0 400 Bad Request",
        b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh",
    ],
)
def test_everything_else_is_malformed(line: bytes) -> None:
    """A missing part, a blank within a token, a control character, another protocol, a character generator."""
    assert read(line + b"\r\n") == MALFORMED


@pytest.mark.parametrize("ports", [b"6193,24", b"6192,23", b"23,6193", b"0,0", b"99999,23"])
@pytest.mark.parametrize("rest", [b":USERID:UNIX:joe", b":ERROR:NO-USER"])
def test_an_answer_about_another_connection_is_none(ports: bytes, rest: bytes) -> None:
    """Both ports have to be those of the query, in its order."""
    assert read(ports + rest + b"\r\n") == MISMATCH


@pytest.mark.parametrize(
    ("size", "reply"),
    [
        (1, UserId("UNIX", "US-ASCII", b"u")),
        (LONGEST_USER, UserId("UNIX", "US-ASCII", b"u" * LONGEST_USER)),
        (LONGEST_USER + 1, TOO_LONG),
    ],
)
def test_a_user_id_has_1_to_512_octets(size: int, reply: IdentReply) -> None:
    """As RFC 1413 wants clients to accept, and no more."""
    assert read(b"6193,23:USERID:UNIX:" + b"u" * size + b"\r\n") == reply


@pytest.mark.parametrize("token", [b"U", b"U" * 64, b"U" * 65])
def test_a_token_has_1_to_64_characters(token: bytes) -> None:
    """Of an operating system, a character set, and an error of the server's own."""
    good = len(token) <= 64
    assert (read(b"6193,23:USERID:" + token + b":u\n") == UserId(token.decode(), "US-ASCII", b"u")) == good
    assert (read(b"6193,23:USERID:UNIX," + token + b":u\n") == UserId("UNIX", token.decode(), b"u")) == good
    error = b"X" + token[1:] + b"X" * (len(token) == 1)
    assert (read(b"6193,23:ERROR:" + error + b"\n") == IdentError(error.decode())) == good


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_line_of_1000_octets_is_read_and_one_more_is_not(end: bytes) -> None:
    """Its end does not count; blanks are a way to make it long."""
    line = b"6193,23" + b":ERROR:NO-USER".rjust(LONGEST_LINE - 7, b" ")
    assert len(line) == LONGEST_LINE
    assert read(line + end) == IdentError("NO-USER")
    assert read(line, end) == IdentError("NO-USER")
    assert read(b" " + line + end) == TOO_LONG
    assert read(*(bytes([each]) for each in b" " + line + end)) == TOO_LONG


def test_an_endless_line_ends() -> None:
    """Without a line end in sight, two octets more than a line may have are enough; and no more is kept."""
    reader = ReplyReader(*PORTS)
    assert reader.receive(b"x" * LONGEST_LINE) is None
    assert reader.receive(b"x") is None
    assert reader.receive(b"x" * 10_000_000) == TOO_LONG
    assert len(reader._line) <= LONGEST_LINE + 2


def test_what_stands_behind_the_line_is_not_looked_at() -> None:
    """However much it is, and whatever."""
    assert read(b"6193,23:ERROR:NO-USER\r\n6193,23:USERID:UNIX:root\r\n" + b"\0" * 100_000) == IdentError("NO-USER")


def test_an_incomplete_line_is_no_answer_yet() -> None:
    """More may come; whoever reads knows whether it can."""
    assert read(b"6193,23:USERID:UNIX:joe") is None
    assert read(b"") is None


@given(st.lists(blanks, min_size=12, max_size=12), st.binary(min_size=1, max_size=LONGEST_USER))
def test_blanks_may_stand_anywhere_but_in_a_token(gaps: list[bytes], user: bytes) -> None:
    """In front, behind, and around every sign; those of a user id belong to it."""
    user = user.translate(None, b"\0\r\n") or b"u"
    words = [b"6193", b",", b"23", b":", b"USERID", b":", b"UNIX", b",", b"UTF-8"]
    line = b"".join(gap + word for gap, word in zip(gaps, words, strict=False)) + gaps[9] + b":"
    assert read(line + user + b"\r\n") == UserId("UNIX", "UTF-8", user)
    words[4:] = [b"ERROR", b":", b"NO-USER"]
    line = b"".join(gap + word for gap, word in zip(gaps, words, strict=False)) + gaps[9]
    assert read(line + b"\r\n") == IdentError("NO-USER")


@given(st.binary(max_size=1200), st.integers(1, 9))
@example(b"6193,23:USERID:UNIX:" + b"x" * 513 + b"\n", 3)
@example(b"6193,23:USERID:UNIX:joe\r\nmore", 1)
@example(b"6193,23:" + b" " * 991 + b"\r\r\n", 7)
def test_whole_is_split_anywhere(stream: bytes, size: int) -> None:
    """Bytes of any sort, in pieces of any size, are one answer or none, and never an exception."""
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    whole = read(stream)
    assert read(*pieces) == whole
    assert read(*(bytes([each]) for each in stream)) == whole
    assert isinstance(whole, IdentReply | None)


@given(st.binary(max_size=600), st.tuples(st.integers(0, 65535), st.integers(0, 65535)))
def test_any_line_is_an_answer(line: bytes, ports: tuple[int, int]) -> None:
    """Of exactly one kind; a user id is bounded whatever came."""
    reply = parse(line.replace(b"\n", b""), ports)
    assert isinstance(reply, UserId | IdentError | NoReply)
    assert not isinstance(reply, UserId) or 1 <= len(reply.user) <= LONGEST_USER


CLAIMS = [UserId("UNIX", "US-ASCII", b"root"), IdentError("NO-USER"), MALFORMED]


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_is_no_proof(claim: IdentReply) -> None:
    """No condition and no number can be made of it, it is no text, nor does it equal any."""
    assert isinstance(claim, Claim)
    with pytest.raises(TypeError, match="a claim proves nothing"):
        assert claim
    with pytest.raises(TypeError, match="a claim proves nothing"):
        assert not claim
    kinds: tuple[Any, ...] = (int, float, bytes, list)
    for kind in kinds:
        with pytest.raises(TypeError):
            kind(claim)
    assert not isinstance(claim, str | bytes | int)
    others: tuple[Any, ...] = ("root", b"root", True, False, None)
    assert claim not in others


def test_claims_can_be_compared_and_shown() -> None:
    """With one another only; what is shown of foreign bytes is their escaped form."""
    assert UserId("UNIX", "US-ASCII", b"root") == UserId("UNIX", "US-ASCII", b"root")
    assert len({*CLAIMS, *CLAIMS}) == 3
    assert "\\x1b" in repr(UserId("UNIX", "US-ASCII", b"\x1b[2J"))


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_says_that_it_is_one(claim: IdentReply) -> None:
    """Wherever its text gets to, whoever formats it."""
    assert str(claim) == f"{claim}" == f"a claim, which proves nothing: {claim!r}"
    assert str(claim).isprintable()
