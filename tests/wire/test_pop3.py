"""The POP3 machine: what each command answers in each state, and that no input bends it."""

from __future__ import annotations

import string
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netguard.wire import pop3
from netguard.wire import pop3_events as ev
from netguard.wire.pop3 import Pop3Machine, State

STAMP = b"<0123456789abcdef0123456789abcdef@mail.example>"
DIGEST = b"0123456789abcdef" * 2


@dataclass
class Mail:
    """A message as the machine sees one."""

    size: int
    uid: str


MAILS = [Mail(120, "a1"), Mail(200, "b2"), Mail(30, "c3")]


def new(*, secure: bool = False, stls: bool = False) -> Pop3Machine:
    """A machine before login."""
    machine = Pop3Machine(STAMP, stls=stls)
    machine.secure = secure
    return machine


def logged_in(mails: list[Mail] | None = None, *, secure: bool = False) -> Pop3Machine:
    """A machine after login."""
    machine = new(secure=secure)
    machine.receive(b"APOP u " + DIGEST + b"\r\n")
    machine.opened(MAILS if mails is None else mails)
    return machine


def drain(machine: Pop3Machine, data: bytes = b"") -> list[ev.Event]:
    """All events until the machine waits."""
    found = machine.receive(data)
    while more := machine.receive(b""):
        found = found + more
    return found


def played(machine: Pop3Machine, chunks: list[bytes]) -> list[object]:
    """All events of a session whose requests are all granted, listings as their text."""
    done: list[object] = []

    def act(events: list[ev.Event]) -> None:
        for event in events:
            if isinstance(event, ev.Listing):
                done.append(b"".join(event.pieces))
                act(machine.listed())
                continue
            done.append(event)
            if isinstance(event, ev.Apop | ev.Password):
                act(machine.opened(MAILS))
            elif isinstance(event, ev.Fetch):
                act(machine.fetched())
            elif isinstance(event, ev.Commit):
                act(machine.committed(0))

    for chunk in chunks:
        data = chunk
        while events := machine.receive(data):
            act(events)
            data = b""
    return done


def answers(events: list[ev.Event]) -> list[bytes]:
    """The answers among the events."""
    return [event for event in events if isinstance(event, bytes)]


def said(machine: Pop3Machine, command: bytes) -> bytes:
    """The one answer to a command."""
    (answer,) = answers(drain(machine, command + b"\r\n"))
    return answer


# Greeting and capabilities


def test_greeting_has_the_timestamp() -> None:
    """The greeting is one +OK line that holds the APOP timestamp."""
    assert new().greeting == b"+OK POP3 ready " + STAMP + b"\r\n"


@pytest.mark.parametrize(
    ("machine", "present", "absent"),
    [
        (new(), [], [b"USER", b"STLS", b"IMPLEMENTATION netguard"]),
        (new(stls=True), [b"STLS"], [b"USER", b"IMPLEMENTATION netguard"]),
        (new(stls=True, secure=True), [b"USER"], [b"STLS", b"IMPLEMENTATION netguard"]),
        (logged_in(), [b"IMPLEMENTATION netguard"], [b"USER", b"STLS"]),
        (logged_in(secure=True), [b"USER", b"IMPLEMENTATION netguard"], [b"STLS"]),
    ],
)
def test_capabilities_tell_the_truth(machine: Pop3Machine, present: list[bytes], absent: list[bytes]) -> None:
    """CAPA lists what works here and now: USER only inside TLS, STLS only before TLS and login."""
    lines = said(machine, b"CAPA").split(b"\r\n")
    assert lines[0].startswith(b"+OK")
    assert lines[-2:] == [b".", b""]
    always = {b"TOP", b"UIDL", b"PIPELINING", b"RESP-CODES", b"AUTH-RESP-CODE"}
    assert set(lines[1:-2]) == always | set(present)
    assert not set(lines) & set(absent)
    assert not any(line.startswith((b"APOP", b"SASL")) for line in lines)


# Login


def test_apop_asks_for_a_login() -> None:
    """APOP hands over name and digest, and the session is open when the caller says so."""
    machine = new()
    assert drain(machine, b"APOP mrose " + DIGEST + b"\r\n") == [ev.Apop(b"mrose", DIGEST)]
    assert machine.opened(MAILS) == [b"+OK logged in\r\n"]
    assert machine.state is State.TRANSACTION


@pytest.mark.parametrize("argument", [b"", b" ", b" u", b" u " + DIGEST.upper(), b" a b " + DIGEST, b" u  " + DIGEST])
def test_malformed_apop_spends_the_timestamp(argument: bytes) -> None:
    """A malformed APOP is refused, and no second try follows on that timestamp."""
    machine = new()
    assert said(machine, b"APOP" + argument).startswith(b"-ERR APOP takes")
    assert said(machine, b"APOP u " + DIGEST) == b"-ERR APOP can be tried once in a connection\r\n"


def test_timestamp_is_good_for_one_attempt() -> None:
    """After a failed APOP another one is refused without being checked."""
    machine = new()
    drain(machine, b"APOP u " + DIGEST + b"\r\n")
    assert machine.denied(ev.Denial.CREDENTIALS) == [ev.Denial.CREDENTIALS.value]
    events = drain(machine, b"APOP u " + DIGEST + b"\r\n")
    assert events == [
        ev.Malformed("second APOP on one timestamp"),
        b"-ERR APOP can be tried once in a connection\r\n",
    ]


def test_user_is_refused_in_clear() -> None:
    """Outside TLS neither USER nor PASS is taken, so that the password is not even asked for."""
    machine = new(stls=True)
    assert said(machine, b"USER mrose").startswith(b"-ERR [SYS/PERM] ")
    assert said(machine, b"PASS secret").startswith(b"-ERR [SYS/PERM] ")


def test_refusals_by_policy_are_no_misdeeds() -> None:
    """An honest client that tries USER in clear many times is answered each time."""
    machine = new()
    for _ in range(50):
        assert said(machine, b"USER mrose").startswith(b"-ERR [SYS/PERM]")


def test_user_and_pass_inside_tls() -> None:
    """Inside TLS a name and a password are handed over; the password keeps its spaces."""
    machine = new(secure=True)
    assert said(machine, b"USER mrose") == b"+OK and the password\r\n"
    assert drain(machine, b"PASS  a b  c \r\n") == [ev.Password(b"mrose", b" a b  c ")]


@pytest.mark.parametrize("between", [b"CAPA", b"NOOP", b"XXXX", b"PASS", b"USER", b"USER a b", b"\0", b""])
def test_pass_counts_only_directly_behind_user(between: bytes) -> None:
    """Any line between USER and PASS makes PASS invalid."""
    machine = new(secure=True)
    said(machine, b"USER mrose")
    drain(machine, between + b"\r\n")
    if between == b"PASS":
        assert machine.denied(ev.Denial.CREDENTIALS)
    assert said(machine, b"PASS secret") == b"-ERR USER first\r\n"


def test_pass_without_a_password_is_an_attempt() -> None:
    """PASS with an empty password is checked like any other."""
    machine = new(secure=True)
    said(machine, b"USER mrose")
    assert drain(machine, b"PASS \r\n") == [ev.Password(b"mrose", b"")]


def test_last_user_counts() -> None:
    """A second USER replaces the first."""
    machine = new(secure=True)
    assert drain(machine, b"USER a\r\nUSER b\r\nPASS c\r\n")[-1] == ev.Password(b"b", b"c")


@pytest.mark.parametrize("argument", [b"", b" ", b" a b", b"  a", b" a "])
def test_user_takes_one_name(argument: bytes) -> None:
    """USER without a name, or with two words, is refused."""
    assert said(new(secure=True), b"USER" + argument) == b"-ERR USER takes one name\r\n"


def test_failed_login_swallows_nothing() -> None:
    """What was pipelined behind a failed login is answered after it, in order."""
    machine = new(secure=True)
    events = drain(machine, b"USER a\r\nPASS b\r\nCAPA\r\nUSER c\r\nPASS d\r\n")
    assert events[-1] == ev.Password(b"a", b"b")
    assert drain(machine) == []
    assert machine.denied(ev.Denial.CREDENTIALS) == [ev.Denial.CREDENTIALS.value]
    events = drain(machine)
    assert answers(events)[0].startswith(b"+OK capabilities")
    assert events[-1] == ev.Password(b"c", b"d")


def test_failed_logins_are_bounded() -> None:
    """The third failed login is answered, and is the last."""
    machine = new(secure=True)
    for _ in range(pop3.MAX_DENIED - 1):
        drain(machine, b"USER a\r\nPASS b\r\n")
        assert machine.denied(ev.Denial.CREDENTIALS) == [ev.Denial.CREDENTIALS.value]
    drain(machine, b"USER a\r\nPASS b\r\nCAPA\r\n")
    assert machine.denied(ev.Denial.CREDENTIALS) == [
        ev.Denial.CREDENTIALS.value,
        ev.Close("too many failed logins"),
    ]
    assert drain(machine, b"CAPA\r\n") == []


@pytest.mark.parametrize("denial", [ev.Denial.IN_USE, ev.Denial.TROUBLE])
def test_trouble_is_no_failed_login(denial: ev.Denial) -> None:
    """A mailbox that is in use, or out of order, may be tried again and again."""
    machine = new(secure=True)
    for _ in range(10):
        drain(machine, b"USER a\r\nPASS b\r\n")
        assert machine.denied(denial) == [denial.value]


# STLS


def test_stls_begins_tls() -> None:
    """STLS is answered, then the caller is asked to switch; then a name may be given."""
    machine = new(stls=True)
    assert drain(machine, b"STLS\r\n") == [b"+OK begin TLS\r\n", ev.StartTls()]
    assert machine.switched() == []
    assert said(machine, b"USER mrose") == b"+OK and the password\r\n"


def test_stls_is_refused_inside_tls_and_where_there_is_none() -> None:
    """STLS is an error inside TLS, after STLS, after login, with an argument, and where TLS cannot be had."""
    assert said(new(secure=True, stls=True), b"STLS") == b"-ERR TLS is on already\r\n"
    assert said(new(), b"STLS").startswith(b"-ERR [SYS/PERM]")
    assert said(new(stls=True), b"STLS now") == b"-ERR wrong number of arguments\r\n"
    assert said(logged_in(), b"STLS") == b"-ERR logged in already\r\n"
    machine = new(stls=True)
    drain(machine, b"STLS\r\n")
    machine.switched()
    assert said(machine, b"STLS") == b"-ERR TLS is on already\r\n"


@pytest.mark.parametrize("behind", [b"\x16", b"CAPA\r\n", b"USER a\r\n", b"\r\n", b"\x16\x03\x01" + b"x" * 200])
def test_anything_behind_stls_is_an_attack(behind: bytes) -> None:
    """Data in the segment of STLS is never obeyed: it is reported and ends the connection without an answer."""
    machine = new(stls=True)
    assert drain(machine, b"STLS\r\n" + behind) == [
        ev.Malformed("data behind STLS"),
        ev.Close("data behind STLS"),
    ]
    assert machine.pending == 0


def test_data_before_the_switch_is_an_attack() -> None:
    """Data that comes between the answer to STLS and the switch is never obeyed either."""
    machine = new(stls=True)
    drain(machine, b"STLS\r\n")
    assert drain(machine, b"CAPA\r\n") == [ev.Malformed("data behind STLS"), ev.Close("data behind STLS")]


def test_what_came_before_stls_in_its_segment_is_obeyed() -> None:
    """STLS may be the last command of a pipeline."""
    machine = new(stls=True)
    events = drain(machine, b"CAPA\r\nSTLS\r\n")
    assert events[1:] == [b"+OK begin TLS\r\n", ev.StartTls()]


def test_user_is_forgotten_at_the_switch() -> None:
    """A USER given before the switch does not make a PASS after it valid."""
    machine = new(stls=True)
    drain(machine, b"USER victim\r\nSTLS\r\n")
    machine.switched()
    assert said(machine, b"PASS secret") == b"-ERR USER first\r\n"


def test_stls_behind_a_login_that_fails() -> None:
    """STLS that waits behind a login is obeyed after it, unless something waits behind it, too."""
    machine = new(stls=True)
    drain(machine, b"APOP u " + DIGEST + b"\r\nSTLS\r\n")
    machine.denied(ev.Denial.CREDENTIALS)
    assert drain(machine)[-1] == ev.StartTls()
    machine = new(stls=True)
    drain(machine, b"APOP u " + DIGEST + b"\r\nSTLS\r\nCAPA\r\n")
    machine.denied(ev.Denial.CREDENTIALS)
    assert drain(machine)[-1] == ev.Close("data behind STLS")


# Transaction


def test_stat_list_and_uidl() -> None:
    """STAT, LIST and UIDL answer counts, sizes and unique ids; with a number, also the number."""
    machine = logged_in()
    assert said(machine, b"STAT") == b"+OK 3 350\r\n"
    assert said(machine, b"LIST 2") == b"+OK 2 200\r\n"
    assert said(machine, b"UIDL 3") == b"+OK 3 c3\r\n"
    assert played(machine, [b"LIST\r\n"]) == [b"+OK listing follows\r\n1 120\r\n2 200\r\n3 30\r\n.\r\n"]
    assert played(machine, [b"UIDL\r\n"]) == [b"+OK listing follows\r\n1 a1\r\n2 b2\r\n3 c3\r\n.\r\n"]


def test_empty_mailbox() -> None:
    """An empty mailbox has nothing, and says so."""
    machine = logged_in([])
    assert said(machine, b"STAT") == b"+OK 0 0\r\n"
    assert played(machine, [b"LIST\r\nUIDL\r\n"]) == [b"+OK listing follows\r\n.\r\n"] * 2
    assert said(machine, b"RETR 1") == b"-ERR no such message\r\n"


def test_deleted_messages_are_nowhere() -> None:
    """A deleted message is not counted, listed, read or deleted again; the others keep their numbers."""
    machine = logged_in()
    assert said(machine, b"DELE 1") == b"+OK deleted at QUIT\r\n"
    assert said(machine, b"STAT") == b"+OK 2 230\r\n"
    for command in (b"LIST 1", b"UIDL 1", b"RETR 1", b"TOP 1 0", b"DELE 1"):
        assert said(machine, command) == b"-ERR no such message\r\n"
    assert played(machine, [b"LIST\r\n"]) == [b"+OK listing follows\r\n2 200\r\n3 30\r\n.\r\n"]
    assert said(machine, b"LIST 2") == b"+OK 2 200\r\n"


def test_rset_undeletes() -> None:
    """After RSET everything is there again, and QUIT removes nothing."""
    machine = logged_in()
    drain(machine, b"STAT\r\nDELE 1\r\nDELE 2\r\n")
    assert said(machine, b"RSET") == b"+OK nothing is deleted\r\n"
    assert said(machine, b"STAT") == b"+OK 3 350\r\n"
    assert drain(machine, b"QUIT\r\n") == [b"+OK bye\r\n", ev.Close("quit")]


def test_retr_and_top() -> None:
    """RETR and TOP ask for the message; TOP with its count of lines."""
    machine = logged_in()
    assert drain(machine, b"RETR 2\r\n") == [ev.Fetch(1)]
    assert machine.fetched() == []
    assert drain(machine, b"TOP 3 10\r\n") == [ev.Fetch(2, 10)]
    assert machine.unreadable(gone=True) == [b"-ERR message gone\r\n"]
    assert drain(machine, b"TOP 3 0\r\n") == [ev.Fetch(2, 0)]
    assert machine.unreadable(gone=False) == [b"-ERR [SYS/TEMP] message unreadable\r\n"]
    assert said(machine, b"NOOP") == b"+OK\r\n"


BAD_NUMBERS = [
    b"0x1",
    b"+1",
    b"-1",
    b"1_0",
    b"1.0",
    b"1e0",
    b" 1",
    b"1 ",
    b"\t1",
    b"1\t",
    b"a",
    b"",
    b"\xb2",
    "\N{ARABIC-INDIC DIGIT ONE}".encode(),
    b"4294967297" * 2,
    b"00000000001",
    b"9" * 300,
]


@pytest.mark.parametrize("number", BAD_NUMBERS)
@pytest.mark.parametrize("command", [b"LIST %s", b"UIDL %s", b"RETR %s", b"DELE %s", b"TOP %s 1", b"TOP 1 %s"])
def test_strange_numbers_are_refused(command: bytes, number: bytes) -> None:
    """A number is 1 to 10 digits: no sign, space, underscore, other base, other script, nor junk."""
    machine = logged_in()
    assert said(machine, command % number).startswith(b"-ERR ")
    assert said(machine, b"STAT") == b"+OK 3 350\r\n"


@pytest.mark.parametrize("number", [b"0", b"4", b"4294967297", b"9999999999", b"2147483648"])
@pytest.mark.parametrize("command", [b"LIST %s", b"UIDL %s", b"RETR %s", b"DELE %s", b"TOP %s 1"])
def test_numbers_outside_the_mailbox(command: bytes, number: bytes) -> None:
    """A number that is no message's is answered as such, and is no misdeed however often it comes."""
    machine = logged_in()
    for _ in range(30):
        assert said(machine, command % number) == b"-ERR no such message\r\n"


def test_huge_top_count() -> None:
    """A count of lines up to ten digits is taken as it is; a longer one is refused."""
    assert drain(logged_in(), b"TOP 1 9999999999\r\n") == [ev.Fetch(0, 9_999_999_999)]
    assert said(logged_in(), b"TOP 1 99999999999").startswith(b"-ERR TOP takes")


@pytest.mark.parametrize("argument", [b"", b" 1", b" 1 ", b" 1  2", b" 1 2 ", b" 1 2 3", b" "])
def test_top_takes_two_numbers(argument: bytes) -> None:
    """TOP wants exactly two numbers parted by one space."""
    assert said(logged_in(), b"TOP" + argument).startswith(b"-ERR ")


@pytest.mark.parametrize("command", [b"STAT", b"NOOP", b"RSET", b"QUIT", b"CAPA", b"STLS"])
@pytest.mark.parametrize("tail", [b" ", b" 1", b" junk"])
def test_commands_without_arguments(command: bytes, tail: bytes) -> None:
    """A command that takes no argument is refused with one, even an empty one."""
    answer = said(logged_in() if command != b"STLS" else new(stls=True), command + tail)
    assert answer == b"-ERR wrong number of arguments\r\n"


def test_commands_are_case_insensitive() -> None:
    """Commands are understood in any case."""
    machine = logged_in()
    assert said(machine, b"sTaT") == said(machine, b"STAT")


@pytest.mark.parametrize("command", [b"STAT", b"LIST", b"UIDL", b"RETR 1", b"TOP 1 1", b"DELE 1", b"RSET", b"NOOP"])
def test_transaction_commands_before_login(command: bytes) -> None:
    """What needs a mailbox is refused before login."""
    assert said(new(secure=True), command) == b"-ERR log in first\r\n"


@pytest.mark.parametrize("command", [b"USER a", b"PASS a", b"APOP a " + DIGEST, b"STLS"])
def test_login_commands_after_login(command: bytes) -> None:
    """A second login in a session is refused."""
    assert said(logged_in(secure=True), command) == b"-ERR logged in already\r\n"


# QUIT


def test_quit_removes_what_was_deleted() -> None:
    """QUIT asks for the removal, and says good-bye only when it is done."""
    machine = logged_in()
    assert drain(machine, b"DELE 3\r\nDELE 1\r\nQUIT\r\n")[-1] == ev.Commit((0, 2))
    assert drain(machine, b"NOOP\r\n") == []
    assert machine.pending == 0
    assert machine.committed(0) == [b"+OK bye\r\n", ev.Close("quit")]
    assert machine.state is State.CLOSED


def test_failed_removals_are_told() -> None:
    """When something could not be removed, QUIT says so."""
    machine = logged_in()
    drain(machine, b"DELE 1\r\nQUIT\r\n")
    assert machine.committed(1) == [
        b"-ERR [SYS/TEMP] some deleted messages not removed\r\n",
        ev.Close("quit"),
    ]


def test_quit_before_login_removes_nothing() -> None:
    """QUIT before login just ends."""
    assert drain(new(), b"QUIT\r\n") == [b"+OK bye\r\n", ev.Close("quit")]


@pytest.mark.parametrize(
    "almost", [b"QUIT", b"QUIT\r", b"QUIT\n", b"QUI", b"QUIT junk\r\n", b"QUIT \r\n", b" QUIT\r\n"]
)
def test_only_a_whole_quit_removes(almost: bytes) -> None:
    """An unterminated QUIT, or one with junk, removes nothing."""
    machine = logged_in()
    events = drain(machine, b"DELE 1\r\n" + almost)
    assert not any(isinstance(event, ev.Commit | ev.Close) for event in events)
    machine.close()
    assert drain(machine, b"\r\nQUIT\r\n") == []


def test_nothing_is_answered_after_quit() -> None:
    """Commands behind QUIT are dropped."""
    machine = logged_in()
    assert drain(machine, b"QUIT\r\nNOOP\r\nQUIT\r\n") == [b"+OK bye\r\n", ev.Close("quit")]
    assert drain(machine, b"NOOP\r\n") == []


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
    line = line_of(pop3.MAX_LINE)
    assert drain(machine, line[:cut]) == []
    assert drain(machine, line[cut:]) == [ev.Password(b"u", b"x" * 505)]


@pytest.mark.parametrize("octets", [pop3.MAX_LINE + 1, pop3.MAX_LINE + 2, 1024, 100_000])
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
    for _ in range(pop3.BAD_BEFORE_LOGIN - 1):
        assert drain(machine, b"XXXX\r\n") == [ev.Malformed("unknown command"), b"-ERR unknown command\r\n"]
    assert drain(machine, b"XXXX\r\nXXXX\r\n") == [
        ev.Malformed("unknown command"),
        b"-ERR unknown command\r\n",
        ev.Close("too many bad commands"),
    ]


def test_bad_commands_after_login() -> None:
    """The twentieth bad command after login is the last; those before login do not count."""
    machine = new()
    drain(machine, b"XXXX\r\n" * (pop3.BAD_BEFORE_LOGIN - 1) + b"APOP u " + DIGEST + b"\r\n")
    machine.opened(MAILS)
    for _ in range(pop3.BAD_AFTER_LOGIN - 1):
        assert said(machine, b"\xff\xfe").startswith(b"-ERR")
    assert drain(machine, b"\r\nNOOP\r\n")[-1] == ev.Close("too many bad commands")


@pytest.mark.parametrize(
    "command", [b"", b" ", b"  NOOP", b"\x16\x03\x01", b"AUTH PLAIN", b"NOOPS", b"\xc3\x84", b"GET / HTTP/1.1"]
)
def test_junk_gets_an_answer(command: bytes) -> None:
    """Empty lines, binary junk and unknown commands get -ERR, not a close."""
    assert said(logged_in(), command) == b"-ERR unknown command\r\n"


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
        return logged_in(secure=secure) if inside else new(secure=secure)

    whole = played(machine(), [data])
    assert played(machine(), cut(data, places)) == whole
    assert played(machine(), [bytes([octet]) for octet in data]) == whole


@given(st.lists(st.binary(max_size=300), max_size=20), st.booleans(), st.booleans())
@example([b"STLS\r\n", b"\x16\x03"], False, False)
def test_random_bytes_never_raise(chunks: list[bytes], inside: bool, stls: bool) -> None:
    """Any bytes at all get defined events, bounded in number, and bounded bytes are kept."""
    machine = logged_in() if inside else new(stls=stls)
    for chunk in chunks:
        for event in drain(machine, chunk):
            assert isinstance(event, bytes | ev.Malformed | ev.Close | ev.Fetch | ev.Listing | ev.Apop | ev.StartTls)
        assert machine.pending <= pop3.TOO_MUCH


WORDS = st.text(string.ascii_letters + string.digits, min_size=6, max_size=40).map(str.encode)


@given(st.sampled_from([b"%s\r\n", b"USER %s %s\r\n", b"RETR %s\r\n", b"APOP %s\r\n", b"TOP %s\r\n"]), WORDS)
def test_nothing_is_reflected(form: bytes, word: bytes) -> None:
    """No answer and no report holds what the client sent."""
    word = b"Zq9" + word
    for machine in (new(), new(secure=True), logged_in()):
        events = drain(machine, form.replace(b"%s", word))
        assert events
        assert not any(word.lower() in repr(event).encode().lower() for event in events)
