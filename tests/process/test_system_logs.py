"""Events in the logs of the system: with their levels and fields, one message each, and without waiting."""

from __future__ import annotations

import os
import re
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from twisted.logger import LogEvent, Logger, LogLevel
from twisted.python.failure import Failure

from netguard.events import as_json, as_message, made
from netguard.process.system_logs import JournalPlace, SyslogPlace, is_journal, priority
from tests.wire.test_journal import decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = "\x1b[31m\nrefused client=192.0.2.9\r\u2028MESSAGE=forged {0.__class__}"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose sockets have short names."""
    before = os.getcwd()  # noqa: PTH109 - to go back there
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


@pytest.fixture
def receiver(folder: Path) -> Iterator[socket.socket]:
    """Stands in for journald and for syslogd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.bind("s")
        opened.settimeout(10)
        yield opened


@pytest.fixture
def stream() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The stream that standard error is, under systemd: our end, and the journal's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(10)
        yield ours, theirs


def event(**fields: Any) -> LogEvent:
    """A refusal."""
    return made("refused", {"client.address": "192.0.2.7", "session": 1, **fields})


@pytest.mark.parametrize(
    ("level", "number"),
    [
        (LogLevel.debug, 7),
        (LogLevel.info, 6),
        (LogLevel.warn, 4),
        (LogLevel.error, 3),
        (LogLevel.critical, 2),
        (None, 6),
    ],
)
def test_levels_are_priorities(level: Any, number: int) -> None:
    """As syslog counts."""
    assert priority({"log_level": level}) == number


# The journal


def test_an_event_is_an_entry_with_fields(receiver: socket.socket) -> None:
    """Under names that are none of the journal's own; what has no value is left out."""
    place = JournalPlace("netguard-pop", as_message, None, "s")
    place.put(place.render(event(tls=True, user=None, duration=1.5, reason="too many")))
    place.close()
    assert decode(receiver.recv(10_000)) == [
        (
            "MESSAGE",
            b'[netguard#warn] refused client=192.0.2.7 session=1 tls=True user=None duration=1.500 reason="too many"',
        ),
        ("PRIORITY", b"4"),
        ("SYSLOG_IDENTIFIER", b"netguard-pop"),
        ("NETGUARD_EVENT", b"refused"),
        ("NETGUARD_CLIENT_ADDRESS", b"192.0.2.7"),
        ("NETGUARD_SESSION", b"1"),
        ("NETGUARD_TLS", b"true"),
        ("NETGUARD_DURATION", b"1.5"),
        ("NETGUARD_REASON", b"too many"),
    ]


@pytest.mark.parametrize("line", [as_message, as_json])
def test_no_value_forges_a_field_or_a_line(line: Any, receiver: socket.socket) -> None:
    """Line ends, escapes, separators: all of it is escaped, in the message and in the fields."""
    place = JournalPlace("x", line, None, "s")
    place.put(place.render(event(reason=HOSTILE, **{"client.name": HOSTILE * 1000})))
    place.close()
    entry = receiver.recv(100_000)
    names = [name for name, _ in decode(entry)]
    assert len(names) == len(set(names))
    assert entry.count(b"\n") == len(names)
    assert re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xe2\x80\xa8", entry) is None


def test_a_traceback_of_others_is_an_entry(receiver: socket.socket) -> None:
    """With the namespace and the failure as fields, each on one line."""
    caught: list[LogEvent] = []
    Logger(namespace="app", observer=caught.append).failure("oh {x}", Failure(ValueError("a\nb")), x="\n")  # type: ignore[arg-type]
    place = JournalPlace("x", as_message, None, "s")
    place.put(place.render(caught[0]))
    place.close()
    fields = dict(decode(receiver.recv(100_000)))
    assert fields["PRIORITY"] == b"2"
    assert fields["NETGUARD_NAMESPACE"] == b"app"
    assert b"ValueError" in fields["NETGUARD_FAILURE"]


def test_a_journal_that_does_not_keep_up_is_not_waited_for(
    receiver: socket.socket, stream: tuple[socket.socket, socket.socket]
) -> None:
    """The stream would be stuck, too; what is lost is counted by who calls."""
    place = JournalPlace("x", as_message, stream[0].fileno(), "s")
    with pytest.raises(BlockingIOError):
        deque(map(place.put, [place.render(event())] * 100_000))
    place.close()


def test_without_the_socket_the_stream_is_the_journal(
    folder: Path, stream: tuple[socket.socket, socket.socket]
) -> None:
    """With the level in front, as sd-daemon(3) has it; in a chroot, for example."""
    place = JournalPlace("x", as_message, stream[0].fileno(), str(folder / "s"))
    place.put(place.render(event(reason=HOSTILE)))
    place.close()
    line = stream[1].recv(10_000)
    assert line.startswith(b"<4>[netguard#warn] refused client=192.0.2.7 session=1 reason=")
    assert line.count(b"\n") == 1


def test_a_stream_that_does_not_keep_up_is_not_waited_for(
    folder: Path, stream: tuple[socket.socket, socket.socket]
) -> None:
    """Half a line is ended before the next one begins."""
    place = JournalPlace("x", as_message, stream[0].fileno(), str(folder / "s"))
    long = b"<6>" + b"x" * 10_000_000 + b"\n"
    for _ in range(3):
        with pytest.raises(BlockingIOError):
            place.put((b"", long))
    got = _all_of(stream[1])
    place.put((b"", b"<6>next\n"))
    place.put((b"", b"<6>last\n"))
    got += _all_of(stream[1])
    place.close()
    begun, *others = got.splitlines()
    assert long.startswith(begun)
    assert others == [b"<6>next", b"<6>last"]


def _all_of(peer: socket.socket) -> bytes:
    peer.setblocking(False)
    got = b""
    while True:
        try:
            got += peer.recv(1_000_000)
        except BlockingIOError:
            return got


def test_without_any_way_an_event_is_lost(folder: Path) -> None:
    """Which is an error for who counts."""
    place = JournalPlace("x", as_message, None, str(folder / "s"))
    with pytest.raises(OSError, match="journal is not there"):
        place.put(place.render(event()))
    place.close()


def test_an_entry_that_is_too_long_goes_by_the_stream(
    receiver: socket.socket, stream: tuple[socket.socket, socket.socket]
) -> None:
    """The socket is not given up for it."""
    place = JournalPlace("x", as_message, stream[0].fileno(), "s")
    place.put((b"x" * 10_000_000, b"<6>short\n"))
    assert stream[1].recv(100) == b"<6>short\n"
    place.put((b"MESSAGE=x\n", b""))
    assert receiver.recv(100) == b"MESSAGE=x\n"
    place.close()


def test_the_journal_is_where_the_variable_says(folder: Path) -> None:
    """Device and inode of standard output, or of standard error where output is another socket of the journal's."""
    one, other = socket.socketpair()
    with one, other, (folder / "file").open("w") as file:

        def stream(of: Any) -> dict[str, str]:
            about = os.fstat(of.fileno())
            return {"JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino}"}

        assert is_journal(stream(one), one.fileno(), one.fileno())
        assert is_journal(stream(one), one.fileno(), file.fileno())
        assert is_journal(stream(one), other.fileno(), one.fileno())
        assert not is_journal(stream(one), file.fileno(), one.fileno())
        assert not is_journal(stream(one), other.fileno(), file.fileno())
        assert not is_journal({}, one.fileno(), one.fileno())
        assert not is_journal(stream(one), 99_999, one.fileno())


# Syslog


def test_an_event_is_a_message_of_syslog(receiver: socket.socket) -> None:
    """Facility daemon, the level, the machine's time, the tag with the process: as the C library writes it."""
    place = SyslogPlace("netguard-pop", as_message, "s", lambda: 42)
    place.put(place.render({**event(), "log_time": 0}))
    place.close()
    assert re.fullmatch(
        rb"<28>(Jan  1|Dec 31) \d\d:\d\d:\d\d netguard-pop\[42\]: "
        rb"\[netguard#warn\] refused client=192\.0\.2\.7 session=1",
        receiver.recv(1000),
    )


def test_no_value_makes_a_second_message(receiver: socket.socket) -> None:
    """One datagram, one line."""
    place = SyslogPlace("x", as_message, "s")
    place.put(place.render(event(reason=HOSTILE)))
    place.close()
    message = receiver.recv(10_000)
    assert b"\n" not in message
    assert message.decode().isprintable()


def test_without_syslog_nothing_begins(folder: Path) -> None:
    """Rather than to log to nobody."""
    with pytest.raises(FileNotFoundError):
        SyslogPlace("x", as_message, str(folder / "none"))
