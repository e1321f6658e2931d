"""LANG: what is spoken, and what is answered to who wants something else."""

from __future__ import annotations

import pytest

from netguard.wire import pop3_events as ev
from netguard.wire.pop3 import Pop3Machine
from netguard.wire.pop3_languages import LANGUAGES
from tests.pop3machine import drain, logged_in, new, said

NONE = b"-ERR no such language\r\n"


@pytest.mark.parametrize("machine", [new(), new(secure=True), logged_in()])
def test_languages_are_listed(machine: Pop3Machine) -> None:
    """LANG alone names all, and the default that RFC 6856 requires is one of them."""
    first, *lines, dot, end = said(machine, b"LANG").split(b"\r\n")
    assert (first[:4], dot, end) == (b"+OK ", b".", b"")
    assert [line.split(b" ")[0] for line in lines] == list(LANGUAGES)
    assert b"i-default" in LANGUAGES


@pytest.mark.parametrize(
    ("wanted", "tag"),
    [
        (b"i-default", b"i-default"),
        (b"I-DEFAULT", b"i-default"),
        (b"*", b"i-default"),
        (b"en", b"en"),
        (b"EN", b"en"),
        (b"en-GB", b"en"),
        (b"en-GB-oxendict", b"en"),
    ],
)
@pytest.mark.parametrize("machine", [new(), logged_in()])
def test_the_nearest_language_is_named(machine: Pop3Machine, wanted: bytes, tag: bytes) -> None:
    """The answer begins with the exact tag of what was chosen, and a space behind it (RFC 6856, section 3.2)."""
    answer = said(machine, b"LANG " + wanted)
    assert answer.startswith(b"+OK " + tag + b" ")
    assert len(answer) > len(b"+OK  \r\n") + len(tag)


@pytest.mark.parametrize(
    "wanted", [b"de", b"e", b"eng", b"i", b"mul", b"", b" ", b"-", b"en ", b"*-GB", b"\xff", b"-" * 500]
)
@pytest.mark.parametrize("machine", [new(), logged_in()])
def test_other_languages_are_not_spoken(machine: Pop3Machine, wanted: bytes) -> None:
    """What was asked for is not repeated, and it is no misdeed to ask."""
    assert drain(machine, b"LANG " + wanted + b"\r\n") == [NONE]


def test_a_language_is_no_command_on_which_pass_may_follow() -> None:
    """LANG between USER and PASS is a line like any other."""
    machine = new(secure=True)
    said(machine, b"USER mrose")
    said(machine, b"LANG en")
    assert not any(isinstance(event, ev.Password) for event in drain(machine, b"PASS secret\r\n"))
