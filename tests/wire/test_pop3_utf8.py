"""UTF8: a client says that it reads UTF-8 in headers (RFC 6856)."""

from __future__ import annotations

from netguard.wire import pop3_events as ev
from netguard.wire.pop3 import Pop3Machine
from tests.pop3machine import DIGEST, MAILS, drain, logged_in, new, said


def logged_in_behind(*commands: bytes) -> Pop3Machine:
    """A machine after login, before which these commands were taken."""
    machine = new(stls=True)
    for command in commands:
        assert said(machine, command).startswith(b"+OK ")
    drain(machine, b"APOP u " + DIGEST + b"\r\n")
    machine.opened(MAILS)
    return machine


def test_who_said_utf8_gets_messages_as_they_are() -> None:
    """It is said before login, once or more often, and holds for RETR and TOP."""
    for commands in ((b"UTF8",), (b"utf8", b"CAPA", b"UTF8")):
        machine = logged_in_behind(*commands)
        assert drain(machine, b"RETR 1\r\n") == [ev.Fetch(0, utf8=True)]
        machine.fetched()
        assert drain(machine, b"TOP 1 2\r\n") == [ev.Fetch(0, 2, utf8=True)]


def test_who_did_not_say_it_gets_ascii_headers() -> None:
    """Without UTF8 a header is asked for in ASCII."""
    machine = logged_in_behind()
    assert drain(machine, b"RETR 1\r\n") == [ev.Fetch(0, utf8=False)]


def test_what_was_said_before_tls_does_not_count() -> None:
    """RFC 6856 wants no STLS behind UTF8. It is taken, since TLS matters more, and forgets all that came before."""
    machine = new(stls=True)
    said(machine, b"UTF8")
    drain(machine, b"STLS\r\n")
    machine.switched()
    drain(machine, b"APOP u " + DIGEST + b"\r\n")
    machine.opened(MAILS)
    assert drain(machine, b"RETR 1\r\n") == [ev.Fetch(0, utf8=False)]


def test_utf8_counts_inside_tls() -> None:
    """Behind STLS it may be said."""
    machine = new(stls=True)
    drain(machine, b"STLS\r\n")
    machine.switched()
    assert said(machine, b"UTF8").startswith(b"+OK ")
    drain(machine, b"APOP u " + DIGEST + b"\r\n")
    machine.opened(MAILS)
    assert drain(machine, b"RETR 1\r\n") == [ev.Fetch(0, utf8=True)]


def test_it_takes_no_argument_and_comes_before_login() -> None:
    """It belongs to the AUTHORIZATION state."""
    assert said(new(), b"UTF8 USER") == b"-ERR wrong number of arguments\r\n"
    assert drain(logged_in(), b"UTF8\r\n") == [
        ev.Malformed("command in the wrong state"),
        b"-ERR logged in already\r\n",
    ]


def test_a_failed_login_forgets_nothing() -> None:
    """UTF8 holds for the login that succeeds, whichever it is."""
    machine = new(secure=True)
    said(machine, b"UTF8")
    drain(machine, b"USER u\r\nPASS x\r\n")
    machine.denied(ev.Denial.CREDENTIALS)
    drain(machine, b"USER u\r\nPASS y\r\n")
    machine.opened(MAILS)
    assert drain(machine, b"RETR 1\r\n") == [ev.Fetch(0, utf8=True)]
