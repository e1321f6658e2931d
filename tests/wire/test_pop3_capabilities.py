"""CAPA says what works here and now."""

from __future__ import annotations

import math

import pytest

from netguard.wire import mechanisms
from netguard.wire.pop3 import Pop3Machine
from tests.pop3machine import DIGEST, drain, logged_in, new, said


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
    always = {b"TOP", b"UIDL", b"PIPELINING", b"RESP-CODES", b"AUTH-RESP-CODE", b"UTF8 USER", b"LANG"}
    assert set(lines[1:-2]) == always | set(present)
    assert not set(lines) & set(absent)
    assert not any(line.startswith(b"APOP") for line in lines)


@pytest.mark.parametrize(
    ("machine", "line"),
    [
        (new(enabled=mechanisms.DEFAULT), b"SASL SCRAM-SHA-256 OTP"),
        (new(enabled=("PLAIN", "LOGIN")), None),
        (
            new(secure=True, enabled=mechanisms.DEFAULT),
            b"SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 EXTERNAL OAUTHBEARER OTP PLAIN",
        ),
        (new(secure=True, enabled=("PLAIN",)), b"SASL PLAIN"),
        (new(secure=True), None),
    ],
)
def test_mechanisms_are_listed_where_they_work(machine: Pop3Machine, line: bytes | None) -> None:
    """By CAPA, the same before and after login (RFC 2449, section 6.3), and by AUTH alone; best first."""
    listed = [each for each in said(machine, b"CAPA").split(b"\r\n") if each.startswith(b"SASL")]
    assert listed == ([] if line is None else [line])
    names = [] if line is None else line.split()[1:]
    assert said(machine, b"AUTH") == b"\r\n".join([b"+OK mechanisms follow", *names, b".", b""])
    drain(machine, b"APOP u " + DIGEST + b"\r\n")
    machine.opened([])
    assert [each for each in said(machine, b"CAPA").split(b"\r\n") if each.startswith(b"SASL")] == listed


@pytest.mark.parametrize(
    ("login_delay", "expire", "lines"),
    [
        (None, None, []),
        (60.0, 30.0, [b"LOGIN-DELAY 60", b"EXPIRE 30"]),
        (0.5, math.inf, [b"LOGIN-DELAY 1", b"EXPIRE NEVER"]),
        (0.0, 0.0, [b"LOGIN-DELAY 0", b"EXPIRE 0"]),
    ],
)
def test_what_holds_for_a_user_is_told_after_login(
    login_delay: float | None, expire: float | None, lines: list[bytes]
) -> None:
    """Before, nobody knows whose rules they are; a delay is not told shorter than it is."""
    machine = new()
    assert not {b"LOGIN-DELAY", b"EXPIRE"} & {line.split()[0] for line in said(machine, b"CAPA").splitlines()}
    drain(machine, b"APOP u " + DIGEST + b"\r\n")
    machine.opened([], login_delay, expire)
    told = said(machine, b"CAPA").split(b"\r\n")
    assert [line for line in told if line.startswith((b"LOGIN-DELAY", b"EXPIRE"))] == lines
