"""The POP3 machine: order, bounds, outcomes, and that no input bends it."""

from __future__ import annotations

import string
from binascii import b2a_base64
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netguard.wire import mechanisms, pop3, pop3_authorization, pop3_lines, pop3_transaction
from netguard.wire import pop3_events as ev
from netguard.wire.pop3 import Pop3Machine
from tests.pop3machine import DIGEST, MAILS, STAMP, answers, drain, logged_in, new, played, said

# Greeting and capabilities


def test_greeting_has_the_timestamp() -> None:
    """The greeting is one +OK line that holds the APOP timestamp."""
    assert new().greeting == b"+OK POP3 ready " + STAMP + b"\r\n"


# Lines


@pytest.mark.parametrize(
    "line", [b"NO\0OP", b"NOOP\0", b"NOOP\n", b"NOOP\nNOOP", b"\nNOOP", b"NOOP\r", b"NO\rOP", b"\r", b"\r\r", b"\n\r"]
)
def test_control_octets_in_a_line_are_refused(line: bytes) -> None:
    """NUL, a bare CR and a bare LF make one refused line; no part of it is obeyed."""
    assert drain(logged_in(), line + b"\r\n") == [
        ev.Malformed("NUL, CR or LF inside a line"),
        b"-ERR NUL, CR or LF inside a line\r\n",
    ]


def test_bare_lf_ends_no_line() -> None:
    """A line is not over at a bare LF."""
    machine = logged_in()
    assert drain(machine, b"NOOP\n") == []
    assert machine.pending == 5


def line_of(octets: int) -> bytes:
    """A login line of so many octets, its CRLF included."""
    return b"PASS ".ljust(octets - 2, b"x") + b"\r\n"


@pytest.mark.parametrize("cut", [0, 1, 5, 255, 510, 511])
def test_longest_line(cut: int) -> None:
    """A line of 512 octets with its CRLF is obeyed, however it is cut."""
    machine = new(secure=True)
    said(machine, b"USER u")
    line = line_of(pop3_lines.MAX_LINE)
    assert drain(machine, line[:cut]) == []
    assert drain(machine, line[cut:]) == [ev.Password(b"u", b"x" * 505)]


@pytest.mark.parametrize("octets", [pop3_lines.MAX_LINE + 1, pop3_lines.MAX_LINE + 2, 1024, 100_000])
def test_too_long_line_is_the_last(octets: int) -> None:
    """A line of 513 octets or more is answered once and ends the connection; nothing of it is kept."""
    for chunks in ([line_of(octets)], [bytes([octet]) for octet in line_of(octets)[:600]]):
        machine = new(secure=True)
        events = [event for chunk in chunks for event in drain(machine, chunk)]
        assert events == [
            ev.Malformed("line too long"),
            b"-ERR line too long\r\n",
            ev.Close("line too long"),
        ]
        assert machine.pending == 0
        assert drain(machine, b"x" * 100_000) == []
        assert machine.pending == 0


# Misdeeds


def test_bad_commands_before_login() -> None:
    """The third bad command before login is answered, and is the last."""
    machine = new()
    for _ in range(pop3_authorization.BAD_BEFORE_LOGIN - 1):
        assert drain(machine, b"XXXX\r\n") == [ev.Malformed("unknown command"), b"-ERR unknown command\r\n"]
    assert drain(machine, b"XXXX\r\nXXXX\r\n") == [
        ev.Malformed("unknown command"),
        b"-ERR unknown command\r\n",
        ev.Close("too many bad commands"),
    ]


def test_bad_commands_after_login() -> None:
    """The twentieth bad command after login is the last; those before login do not count."""
    machine = new()
    drain(machine, b"XXXX\r\n" * (pop3_authorization.BAD_BEFORE_LOGIN - 1) + b"APOP u " + DIGEST + b"\r\n")
    machine.opened(MAILS)
    for _ in range(pop3_transaction.BAD_AFTER_LOGIN - 1):
        assert said(machine, b"\xff\xfe").startswith(b"-ERR")
    assert drain(machine, b"\r\nNOOP\r\n")[-1] == ev.Close("too many bad commands")


@pytest.mark.parametrize(
    "command", [b"", b" ", b"  NOOP", b"\x16\x03\x01", b"AUTHENTICATE", b"NOOPS", b"\xc3\x84", b"GET / HTTP/1.1"]
)
def test_junk_gets_an_answer(command: bytes) -> None:
    """Empty lines, binary junk and unknown commands get -ERR, not a close."""
    assert said(logged_in(), command) == b"-ERR unknown command\r\n"


@pytest.mark.parametrize(
    "request_line", [b"GET / HTTP/1.1", b"post /x HTTP/1.0", b"PRI * HTTP/2.0", b"CONNECT a:25 HTTP/1.1"]
)
def test_http_is_known_for_what_it_is(request_line: bytes) -> None:
    """One answer, and the end: a browser that was led here has its body obeyed nowhere (ALPACA)."""
    assert drain(new(), request_line + b"\r\nHost: x\r\n\r\nUSER a\r\n") == [
        ev.Malformed("HTTP"), b"-ERR this is POP3, not HTTP\r\n", ev.Close("HTTP")
    ]  # fmt: skip


@pytest.mark.parametrize("behind", [b"", b"\x01", b"\x01\0\xa5\r\nUSER a\r\n"])
def test_tls_is_known_for_what_it_is(behind: bytes) -> None:
    """By its first two octets, however they come; after a login nobody begins it by mistake."""
    told = "TLS where it has not begun"
    end = [ev.Malformed(told), b"-ERR this is POP3 in clear, and TLS begins by STLS\r\n", ev.Close(told)]
    assert drain(new(stls=True), b"\x16\x03" + behind) == end
    machine = new()
    assert drain(machine, b"\x16") == []
    assert drain(machine, b"\x03" + behind) == end
    assert drain(logged_in(), b"\x16\x03\r\n")[-1] == b"-ERR unknown command\r\n"


# Waiting


def test_commands_wait_for_the_outcome() -> None:
    """Nothing is obeyed while a message is on its way; then everything, in order."""
    machine = logged_in()
    assert drain(machine, b"RETR 1\r\nSTAT\r\nRETR 2\r\nNOOP\r\n") == [ev.Fetch(0)]
    assert drain(machine, b"LIST 1\r\n") == []
    machine.fetched()
    assert drain(machine) == [b"+OK 3 350\r\n", ev.Fetch(1)]
    machine.fetched()
    assert drain(machine) == [b"+OK\r\n", b"+OK 1 120\r\n"]


def test_commands_wait_while_blocked() -> None:
    """Nothing is obeyed while the client does not take its answers."""
    machine = logged_in()
    machine.blocked = True
    assert drain(machine, b"NOOP\r\n") == []
    machine.blocked = False
    assert drain(machine) == [b"+OK\r\n"]


@pytest.mark.parametrize("blocked", [True, False])
def test_what_waits_is_bounded(blocked: bool) -> None:
    """Up to the limit commands wait; above it everything is dropped and the connection ends."""
    machine = logged_in()
    if blocked:
        machine.blocked = True
    else:
        drain(machine, b"RETR 1\r\n")
    line = b"NOOP\r\n"
    fitting = pop3.TOO_MUCH // len(line)
    assert drain(machine, line * fitting) == []
    assert drain(machine, line) == [
        ev.Malformed("too many commands sent ahead"),
        ev.Close("too many commands sent ahead"),
    ]
    assert machine.pending == 0


def test_a_chunk_of_any_size_is_obeyed_when_nothing_waits() -> None:
    """The limit is on what waits, not on what comes at once."""
    machine = logged_in()
    assert drain(machine, b"NOOP\r\n" * 50_000) == [b"+OK\r\n"] * 50_000


def test_one_call_obeys_a_bounded_number() -> None:
    """However much came, one call makes a bounded number of answers."""
    machine = logged_in()
    assert len(machine.receive(b"CAPA\r\n" * 10_000)) == pop3.BATCH
    assert len(machine.receive(b"")) == pop3.BATCH


@pytest.mark.parametrize(
    "outcome",
    [
        lambda m: m.opened([]),
        lambda m: m.answered(None),
        lambda m: m.denied(ev.Denial.TROUBLE),
        lambda m: m.switched(),
        lambda m: m.fetched(),
        lambda m: m.unreadable(gone=True),
        lambda m: m.listed(),
        lambda m: m.committed(0),
    ],
)
def test_outcome_that_nobody_waits_for(outcome: object) -> None:
    """Reporting an outcome that was not asked for is the caller's mistake, and is told."""
    assert callable(outcome)
    with pytest.raises(pop3.MachineMisused, match="nobody waits"):
        outcome(new())


# Properties

DIALOGUES = st.lists(
    st.sampled_from(
        [
            b"STAT\r\n", b"LIST\r\n", b"UIDL\r\n", b"LIST 1\r\n", b"UIDL 2\r\n", b"RETR 1\r\n", b"TOP 2 3\r\n",
            b"DELE 2\r\n", b"RSET\r\n", b"NOOP\r\n", b"CAPA\r\n", b"QUIT\r\n", b"QUIT x\r\n",
            b"APOP u " + DIGEST + b"\r\n",
            b"AUTH\r\n", b"AUTH PLAIN\r\n", b"AUTH PLAIN AHUAcA==\r\n", b"AUTH PLAIN =\r\n", b"AHUAcA==\r\n", b"*\r\n",
            b"AUTH SCRAM-SHA-256 " + b2a_base64(b"n,,n=u,r=fyko", newline=False) + b"\r\n", b"AUTH OTP AHU=\r\n",
            b"aGV4OjAwMDAwMDAwMDAwMDAwMDA=\r\n", b"AUTH NTLM\r\n", b"y" * 600 + b"\r\n",
            b"USER u\r\n", b"PASS a b \r\n", b"XXXX\r\n", b"\r\n", b"A\nB\r\n", b"A\0\r\n", b"\r\r\n", b"x" * 600,
        ]
    ),
    max_size=30,
)  # fmt: skip


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data cut at these places."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(DIALOGUES, st.lists(st.integers(0, 10_000), max_size=10), st.booleans(), st.booleans())
def test_whole_is_split_is_byte_by_byte(lines: list[bytes], places: list[int], inside: bool, secure: bool) -> None:
    """However a session's bytes are cut into chunks, the same happens."""
    data = b"".join(lines)

    def machine() -> Pop3Machine:
        return logged_in(secure=secure) if inside else new(secure=secure, enabled=mechanisms.ALL)

    whole = played(machine(), [data])
    assert played(machine(), cut(data, places)) == whole
    assert played(machine(), [bytes([octet]) for octet in data]) == whole


DEFINED = (bytes, ev.Malformed, ev.Close, ev.Fetch, ev.Listing, ev.Apop, ev.Consult, ev.StartTls)


@given(st.lists(st.binary(max_size=300), max_size=20), st.booleans(), st.booleans())
@example([b"STLS\r\n", b"\x16\x03"], False, False)
def test_random_bytes_never_raise(chunks: list[bytes], inside: bool, stls: bool) -> None:
    """Any bytes at all get defined events, bounded in number, and bounded bytes are kept."""
    machine = logged_in() if inside else new(stls=stls, enabled=mechanisms.ALL)
    for chunk in chunks:
        for event in drain(machine, chunk):
            assert isinstance(
                event, bytes | ev.Malformed | ev.Close | ev.Fetch | ev.Listing | ev.Apop | ev.Consult | ev.StartTls
            )
        assert machine.pending <= pop3.TOO_MUCH


WORDS = st.text(string.ascii_letters + string.digits, min_size=6, max_size=40).map(str.encode)


@given(
    st.sampled_from(
        [
            b"%s\r\n",
            b"USER %s %s\r\n",
            b"RETR %s\r\n",
            b"APOP %s\r\n",
            b"TOP %s\r\n",
            b"AUTH %s\r\n",
            b"AUTH PLAIN %s\r\n",
        ]
    ),
    WORDS,
)
def test_nothing_is_reflected(form: bytes, word: bytes) -> None:
    """No answer and no report holds what the client sent."""
    word = b"Zq9" + word
    for machine in (new(), new(secure=True, enabled=mechanisms.ALL), logged_in()):
        events = drain(machine, form.replace(b"%s", word))
        assert events
        assert not any(word.lower() in repr(event).encode().lower() for event in events)


def test_while_the_service_stops_a_session_ends_with_its_next_command() -> None:
    """QUIT is obeyed, and what waits behind the end is dropped."""
    for machine in (new(), logged_in()):
        assert machine.idle
        machine.draining = True
        assert answers(drain(machine, b"NOOP\r\nNOOP\r\n")) == [pop3.STOPPING.answer]
        assert not machine.idle
    machine = logged_in()
    said(machine, b"DELE 1")
    machine.draining = True
    assert isinstance(drain(machine, b"QUIT\r\n")[-1], ev.Commit)
    assert not machine.idle
