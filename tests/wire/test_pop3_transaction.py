"""After login: numbers, marks and listings."""

from __future__ import annotations

import pytest

from netguard.wire import pop3_events as ev
from netguard.wire.pop3 import State
from tests.pop3machine import DIGEST, drain, logged_in, new, played, said

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
