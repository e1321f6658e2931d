"""Before login: APOP, USER and PASS, STLS, and what they never do."""

from __future__ import annotations

import pytest

from netguard.wire import pop3_authorization
from netguard.wire import pop3_events as ev
from netguard.wire.pop3 import State
from tests.pop3machine import DIGEST, MAILS, answers, drain, logged_in, new, said

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
    for _ in range(pop3_authorization.MAX_DENIED - 1):
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
