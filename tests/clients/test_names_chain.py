"""The steps of a look-up as a person reads them."""

from __future__ import annotations

import pytest

from netguard.clients.names_chain import Step, step_of
from netguard.clients.names_server import Asked
from netguard.verdict import Failure, Timeout
from netguard.wire.dns import AAAA, CNAME, PTR, A, Record, Reply

NAME = (b"1", b"in-addr", b"arpa")
SERVER = ("192.0.2.53", 53)


def reply(*answers: Record, rcode: int = 0) -> Asked:
    """A server's reply."""
    return Asked(Reply(truncated=False, rcode=rcode, answers=answers, nothing_for=None), SERVER, "UDP")


def test_an_answer_is_told_as_a_zone_file_would_have_it() -> None:
    """Names and addresses, aliases too; who said it, and how."""
    asked = reply(
        Record(NAME, CNAME, 60, (b"a\x1b", b"arpa")),
        Record((b"a\x1b", b"arpa"), PTR, 60, (b"mail", b"example")),
        Record((b"mail", b"example"), A, 60, b"\xc0\0\2\1"),
        Record((b"mail", b"example"), AAAA, 60, b"\x20\1\x0d\xb8" + bytes(11) + b"\1"),
    )
    assert step_of(NAME, PTR, asked, 0.12345678) == Step(
        name="1.in-addr.arpa",
        kind="PTR",
        answers=(
            "1.in-addr.arpa CNAME a\\027.arpa",
            "a\\027.arpa PTR mail.example",
            "mail.example A 192.0.2.1",
            "mail.example AAAA 2001:db8::1",
        ),
        outcome="answered",
        server="192.0.2.53:53",
        over="UDP",
        seconds=0.123457,
    )


def test_so_many_records_are_told() -> None:
    """The first of them."""
    records = [Record(NAME, PTR, 60, (b"n%d" % number,)) for number in range(100)]
    assert len(step_of(NAME, PTR, reply(*records), 0.0).answers) == 16


@pytest.mark.parametrize(
    ("asked", "outcome"),
    [
        (reply(), "nothing"),
        (reply(rcode=3), "no such name"),
        (Asked(Failure(2), SERVER, "TCP"), "failed (SERVFAIL)"),
        (Asked(Failure(5), SERVER, "TCP"), "failed (REFUSED)"),
        (Asked(Failure(9), SERVER, "TCP"), "failed (code 9)"),
        (Asked(Failure(None), SERVER, "TCP"), "no usable answer"),
        (Timeout(), "no answer"),
    ],
)
def test_what_else_can_come_of_a_question(asked: Asked | Timeout, outcome: str) -> None:
    """Told apart."""
    step = step_of(NAME, A, asked, 0.0)
    assert (step.outcome, step.answers) == (outcome, ())
    assert step.server == ("-" if isinstance(asked, Timeout) else "192.0.2.53:53")


def test_an_ipv6_server_is_written_in_brackets() -> None:
    """Its port would be lost in the colons."""
    assert step_of(NAME, A, Asked(Failure(2), ("::1", 5353), "UDP"), 0.0).server == "[::1]:5353"
