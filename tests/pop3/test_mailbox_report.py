"""Reports of what is wrong in a mailbox."""

from __future__ import annotations

from typing import Any

from netguard.events import as_json, as_text, emit
from netguard.pop3.mailbox_report import tell


def test_it_is_an_event_with_fields(logged: Any) -> None:
    """A warning of the vocabulary: which mailbox, what is wrong, and with which file."""
    tell(emit, "/srv/mail/alice", "cur/x y", "skipped: not a regular file")
    [event] = logged.named("mailbox")
    assert event["log_level"].name == "warn"
    assert as_text(event).endswith(
        ' mailbox mailbox=/srv/mail/alice reason="skipped: not a regular file" entry="cur/x y"'
    )


def test_names_are_escaped_and_bounded(logged: Any) -> None:
    """A file's name cannot end a log line, send an escape sequence, turn the text around or fill the log."""
    tell(emit, "/m", "a\n\x1b[31m\u202e\udcff" + "x" * 500, "odd")
    [event] = logged.named("mailbox")
    for line in (as_text(event), as_json(event)):
        assert "x...[" in line
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 1000
    assert ' entry="a\\x0a\\x1b[31m\\u202e\\udcffxxx' in as_text(event)
