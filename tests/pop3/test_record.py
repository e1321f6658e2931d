"""What a session leaves in the log."""

from __future__ import annotations

from OpenSSL import SSL
from twisted.internet.error import ConnectionLost

from netguard.pop3.record import Record, failure_fields, word_for


def test_fields_of_a_session() -> None:
    """A session's line has its tallies, and names last; what is not known is left out."""
    assert list(Record(reason="quit").fields(1.23456).items())[:2] == [("reason", "quit"), ("duration", 1.235)]
    assert "user" not in Record().fields(0)
    assert "claimed" not in Record().fields(0)
    assert list(Record(user="alice", claimed="f00").fields(0))[-2:] == ["claimed", "user"]


def test_why_it_was_lost_is_one_word() -> None:
    """The name of the reason; OpenSSL's is called Error, which says nothing."""
    assert word_for(ConnectionLost()) == "ConnectionLost"
    assert word_for(SSL.Error()) == "TLSFailed"


def test_failure_is_one_bounded_line() -> None:
    """A failure is told by its type, bounded escaped text and place, without a path or a traceback."""
    try:
        int("\x1b[2J\r\n" + "x" * 10_000)
    except ValueError:
        fields = failure_fields("testing")
    assert fields["doing"] == "testing"
    assert str(fields["where"]).startswith("test_record.py:")
    problem = str(fields["problem"])
    assert problem.startswith("ValueError: ")
    assert problem.isprintable()
    assert len(problem) < 300
