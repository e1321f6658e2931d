"""What is promised of a log that cannot be written: the service goes on, and what is lost is counted and told."""

from __future__ import annotations

import io
import json
import os
import sys
from threading import Thread
from typing import Any

import pytest
from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface.verify import verifyObject

from netguard.events import as_json, as_text, made
from netguard.process import log_writer
from netguard.process.log_writer import Lines, Stream, Writer, cry


class Medium:
    """Takes lines, unless it is broken."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.broken: Exception | None = None
        self.room = 10**6

    def put(self, line: bytes) -> None:
        """Keep a line."""
        if self.broken is not None:
            raise self.broken
        if not self.room:
            raise OSError(28, "No space left on device")
        self.room -= 1
        self.lines.append(line.decode())

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The lines, read."""
        return [json.loads(each) for each in self.lines]


def event(number: int = 0) -> LogEvent:
    """Something that happened."""
    return made("malformed", {"session": number})


def test_events_are_lines() -> None:
    """Each with its end; it is an observer as twisted.logger wants them."""
    medium = Medium()
    writer = Writer(Lines(medium.put, as_text))
    assert verifyObject(ILogObserver, writer)
    writer(event(1))
    assert [each.partition("] ")[2] for each in medium.lines] == ["malformed session=1\n"]


@pytest.mark.parametrize("verbose", [False, True])
def test_what_is_only_for_debugging_is_written_when_asked_for(*, verbose: bool) -> None:
    """As line_observer has it."""
    medium = Medium()
    Writer(Lines(medium.put, as_text), verbose=verbose)({"log_level": LogLevel.debug, "log_format": "x"})
    assert bool(medium.lines) is verbose


def test_what_has_no_form_is_not_written() -> None:
    """Twisted's own form has none for an event without a text."""
    medium = Medium()
    Writer(Lines(medium.put, lambda _: None))(event())
    assert medium.lines == []


def test_surrogates_are_escaped() -> None:
    """UTF-8 has not got them; the event must not be lost."""
    assert Lines(print, lambda _: "\ud800 \u00e9").render({}) == b"\\ud800 \xc3\xa9\n"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [(OSError(28, "No space left on device"), "No space left on device"), (ValueError("closed file"), "closed file")],
)
def test_what_was_lost_is_told_once_it_can_be(broken: Exception, reason: str) -> None:
    """How many events, and why; the first trouble is told at once, elsewhere."""
    medium, alarms = Medium(), list[str]()
    writer = Writer(Lines(medium.put, as_json), alarm=alarms.append)
    writer(event(1))
    medium.broken = broken
    for number in range(2, 5):
        writer(event(number))
    assert writer.lost == 3
    assert alarms == [f"netguard: the log cannot be written, and events are lost: {reason}\n"]
    medium.broken = None
    writer(event(5))
    assert [(row["event"], row.get("session"), row.get("count")) for row in medium.rows] == [
        ("malformed", 1, None),
        ("log_lost", None, 3),
        ("malformed", 5, None),
    ]
    assert medium.rows[1]["reason"] == reason
    assert writer.lost == 0


def test_counts_are_true_when_there_is_room_for_the_confession_only() -> None:
    """Every event is either written or counted."""
    medium, alarms = Medium(), list[str]()
    writer = Writer(Lines(medium.put, as_json), alarm=alarms.append)
    for number in range(100):
        medium.room = 1 if number % 10 == 0 else 0
        writer(event(number))
    medium.room = 10
    writer(event(100))
    told = sum(row.get("count", 1) for row in medium.rows)
    assert told == 101
    assert len(alarms) == 1


def test_the_alarm_sounds_once_a_minute() -> None:
    """A place that fails again and again would have more alarms than events."""
    medium, alarms, now = Medium(), list[str](), [0.0]
    writer = Writer(Lines(medium.put, as_json), alarm=alarms.append, seconds=lambda: now[0])
    for moment, heard in ((0.0, 1), (59.9, 1), (60.0, 2), (60.1, 2)):
        now[0] = moment
        medium.room = 0
        writer(event())
        assert len(alarms) == heard
        medium.room = 5
        writer(event())


def test_threads_lose_nothing() -> None:
    """Whole lines, and all of them."""
    medium = Medium()
    writer = Writer(Lines(medium.put, as_json))
    threads = [Thread(target=lambda: list(map(writer, map(event, range(300))))) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(medium.rows) == 2400


def test_an_event_that_comes_out_of_writing_one_is_written_too() -> None:
    """A destructor may log at any moment."""
    medium = Medium()

    def put(line: bytes) -> None:
        medium.put(line)
        if len(medium.lines) == 1:
            writer(event(2))

    writer = Writer(Lines(put, as_json))
    writer(event(1))
    assert [row["session"] for row in medium.rows] == [1, 2]


def test_nothing_is_written_while_something_else_is_done() -> None:
    """Such as to reopen the file."""
    medium = Medium()
    writer = Writer(Lines(medium.put, as_json))
    thread = Thread(target=writer, args=[event()])

    def look() -> None:
        thread.start()
        thread.join(0.05)
        assert medium.lines == []

    writer.during(look)
    thread.join()
    assert len(medium.lines) == 1


# Streams


class Narrow(io.RawIOBase):
    """Takes some octets, and then no more for now."""

    def __init__(self, *amounts: int | None) -> None:
        self.amounts = list(amounts)
        self.got = b""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int | None:
        """Take as much as was said, and everything after that."""
        amount = self.amounts.pop(0) if self.amounts else len(data)
        if amount is not None:
            self.got += bytes(data[:amount])
            amount = min(amount, len(data))
        return amount


def _stream(raw: Narrow) -> Stream:
    return Stream(io.TextIOWrapper(io.BufferedWriter(raw)))


def test_a_stream_gets_whole_lines_in_pieces() -> None:
    """A pipe may take half of one."""
    raw = Narrow(2, 1)
    _stream(raw).write(b"hello\n")
    assert raw.got == b"hello\n"


def test_a_stream_that_does_not_keep_up_is_not_waited_for() -> None:
    """A line that was begun is ended before the next."""
    raw = Narrow(None, 2, None, None)
    stream = _stream(raw)
    for _ in range(2):
        with pytest.raises(BlockingIOError):
            stream.write(b"hello\n")
    with pytest.raises(BlockingIOError):
        stream.write(b"lost\n")
    stream.write(b"world\n")
    stream.write(b"again\n")
    assert raw.got == b"he\nworld\nagain\n"


def test_standard_output_on_a_full_disk_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays in a buffer to be told twice."""
    with open("/dev/full", "w") as full:  # noqa: PTH123 - as standard output is opened
        alarms: list[str] = []
        writer = Writer(Lines(Stream(full).write, as_text), alarm=alarms.append)
        writer(event())
        writer(event())
        assert writer.lost == 2
    assert len(alarms) == 1
    monkeypatch.setattr(sys, "__stderr__", None)
    cry("nobody hears")
    reader, pipe = os.pipe()
    with os.fdopen(pipe, "w") as broken:
        os.close(reader)
        monkeypatch.setattr(sys, "__stderr__", broken)
        log_writer.cry("nobody hears either")
        with open("/dev/null", "w") as null:  # noqa: PTH123 - so that what stayed in the buffer has somewhere to go
            os.dup2(null.fileno(), pipe)


def test_the_alarm_goes_to_the_real_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What twistd does: it has put its log into the place of the other."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", out)
    cry("help\n")
    assert out.getvalue() == "help\n"
