"""CAPA says what works here and now."""

from __future__ import annotations

import pytest

from netguard.wire.pop3 import Pop3Machine
from tests.pop3machine import logged_in, new, said


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
