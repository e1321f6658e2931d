"""A question and an answer are plain values."""

from __future__ import annotations

from netguard.admin.asked import Answer, Asked, line


def test_a_line_ends_and_says_what_it_is() -> None:
    """As text, in UTF-8 whatever stands in it."""
    answer = line("all is well", 503, Retry_After="5")
    assert answer == Answer(b"all is well\n", "text/plain; charset=utf-8", 503, {"Retry-After": "5"})
    assert line("\udcff").body == b"\\udcff\n"


def test_a_question_has_nothing_but_what_was_asked() -> None:
    """Everything else is empty."""
    assert Asked("GET", "/").query == Asked("GET", "/").form == Asked("GET", "/").headers == {}
