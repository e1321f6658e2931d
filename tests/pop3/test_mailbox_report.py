"""Reports of what is wrong in a mailbox."""

from __future__ import annotations

from typing import Any

from twisted.logger import formatEvent

from netguard.pop3.mailbox_report import log_report, tell


def test_names_are_escaped_and_bounded() -> None:
    """A file's name cannot end a log line, send an escape sequence, turn the text around or fill the log."""
    told: list[tuple[str, dict[str, object]]] = []
    tell(lambda event, fields: told.append((event, fields)), "/m", "a\n\x1b[31m\u202e\udcff" + "x" * 500, "odd")
    [(event, fields)] = told
    shown = str(fields["entry"])
    assert event == "malformed"
    assert (fields["mailbox"], fields["reason"]) == ("/m", "odd")
    assert shown.startswith("'a\\n\\x1b[31m\\u202e\\udcff")
    assert shown.endswith("x...'")
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) < 160


def test_the_default_logs_a_warning(logged: Any) -> None:
    """Without a hook of its own, a service logs what is wrong, foreign text last."""
    tell(log_report, "/m", "x y", "odd")
    [event] = logged.named("malformed")
    assert event["log_level"].name == "warn"
    assert formatEvent(event) == "malformed /m: odd: 'x y'"
