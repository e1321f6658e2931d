"""Promise 14, where the log is written: one event a line whatever peers say, bounded, and true in its counts."""

from __future__ import annotations

import json
import os
import re
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from twisted.internet.task import Clock
from twisted.logger import Logger, globalLogPublisher

from netguard.errors import TooManyConnections, TooManyFromPeer
from netguard.events import as_json, as_message, as_text, emit
from netguard.figures import Figures
from netguard.process.log_writer import Lines, Writer
from netguard.process.logfile import LogFile
from netguard.process.system_logs import JournalPlace, SyslogPlace
from netguard.reports import Reports
from tests.wire.test_journal import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "a\nrefused client=192.0.2.66 port=1",
    "a\r\n2026-01-01T00:00:00.000Z [netguard#warn] refused client=192.0.2.66 port=1",
    "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei",
    "{0.__class__} {log_source!r} {netguard.fields} {}",
    "%s %n %(message)s",
    '"} , {"event": "refused", "client.address": "192.0.2.66"}',
    "\u202egnp.exe \u2066x\u2069 \u200b \ufeff",
    "\ud800 \udfff \U000e0041",
    "\0" * 50,
    "x" * 1_000_000,
    "\n" * 1_000_000,
    "\U0001f600" * 1_000_000,
    b"\xff\xfe\n" * 400_000,
]


@define
class Sink:
    """One place where a log can go, and how to read it.

    Attributes:
        writer: the observer.
        lines: what a reader finds, one line or message an event.
    """

    writer: Writer
    lines: Callable[[], list[str]]
    close: Callable[[], object] = field(default=lambda: None)


def _file(folder: Path, form: Any) -> Sink:
    file = LogFile(folder / "log")
    # splitlines() ends a line at whatever any program could take for an end of one.
    return Sink(Writer(Lines(file.write, form)), lambda: (folder / "log").read_text("utf-8").splitlines(), file.close)


def _messages(folder: Path, make: Callable[[str], Any]) -> tuple[Any, Callable[[], list[bytes]], Callable[[], object]]:
    before = os.getcwd()  # noqa: PTH109 - the names of sockets are short
    os.chdir(folder)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind("s")
    receiver.setblocking(False)
    place = make("s")
    os.chdir(before)
    got: list[bytes] = []

    def read() -> list[bytes]:
        while True:
            try:
                got.append(receiver.recv(1_000_000))
            except BlockingIOError:
                return got

    def close() -> None:
        place.close()
        receiver.close()

    return place, read, close


def _syslog(folder: Path) -> Sink:
    place, read, close = _messages(folder, partial(SyslogPlace, "x", as_message))
    return Sink(Writer(place), lambda: [each.decode() for each in read()], close)


def _journal(folder: Path) -> Sink:
    place, read, close = _messages(folder, partial(JournalPlace, "x", as_message, None))
    return Sink(Writer(place), lambda: [dict(decode(each))["MESSAGE"].decode() for each in read()], close)


SINKS: dict[str, Callable[[Path], Sink]] = {
    "text": partial(_file, form=as_text),
    "json": partial(_file, form=as_json),
    "syslog": _syslog,
    "journal": _journal,
}


@pytest.fixture(params=SINKS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sink]:
    """Each place in turn, listening to the log."""
    made = SINKS[request.param](tmp_path)
    globalLogPublisher.addObserver(made.writer)
    yield made
    globalLogPublisher.removeObserver(made.writer)
    made.close()


def test_one_event_is_one_line_whatever_a_peer_says(sink: Sink) -> None:
    """In every field, of every size; it prints, it is bounded, and no line is another's."""
    for number, text in enumerate(HOSTILE):
        emit("malformed", {"client.address": "192.0.2.7", "session": number, "problem": text, "user": text})
        lines = sink.lines()  # each time, for the kernel keeps ten messages only
    assert len(lines) == len(HOSTILE)
    for number, line in enumerate(lines):
        assert line.isprintable()
        assert len(line) < 20_000
        assert re.search(rf"malformed client=192\.0\.2\.7 session={number} problem=", line)
        assert not re.match(r"(\S+ |<\d+>[^\[]*\[\d+\]: )?\[netguard#warn\] refused", line)
        if line.startswith("{"):
            row = json.loads(line)
            assert (row["event"], row["client.address"], row["session"]) == ("malformed", "192.0.2.7", number)
    assert sink.writer.lost == 0


def test_the_events_of_others_are_one_line_as_well(sink: Sink) -> None:
    """A wrapped application may log what its peers say, as it comes, and through any way of Twisted's."""
    log = Logger(namespace="app")
    for text in HOSTILE:
        log.info("heard {text}", text=text)
        lines = sink.lines()
    assert len(lines) == len(HOSTILE)
    for line in lines:
        assert line.isprintable()
        assert len(line) < 30_000
        assert "[netguard#" not in line.split("heard")[0]


def test_a_hundred_thousand_refusals_a_second_are_a_few_true_lines(sink: Sink) -> None:
    """Three seconds of it, of two kinds: ten lines of a kind in a second, and no refusal is left uncounted."""
    clock = Clock()
    reports = Reports(clock.seconds, Figures())
    kinds = [TooManyConnections(10, 11), TooManyFromPeer(5, 6)]
    told = 0
    for second in range(3):
        for number in range(100_000):
            reports.turned_away(f"192.0.2.{number % 250}", number % 65_536, number, kinds[number % 2])
            if number < 30:
                sink.lines()
        told += 100_000
        clock.advance(1)
        reports.sampler.flush()
        assert len(sink.lines()) <= (second + 1) * 2 * 11
    reports.sampler.finish()
    lines = sink.lines()
    counts = [int(re.search(r" count=(\d+)", line)[1]) for line in lines if " count=" in line]  # type: ignore[index]
    assert (sum(counts), len(counts)) == (told, len(lines))
    assert sum(map(len, lines)) < 60_000
