"""The logs of the system: events as entries of systemd's journal, with their fields, and as messages of syslog."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from twisted.logger import LogEvent, LogLevel

from netguard import events
from netguard.process.datagrams import Datagrams
from netguard.wire.journal import encode, name_of, stream_of

JOURNAL = "/run/systemd/journal/socket"
SYSLOG = "/dev/log"
PREFIX = "NETGUARD_"
"""Before the names of all fields of ours, so that none is taken for one of the journal's own."""

_PRIORITIES = {
    LogLevel.debug: 7,
    LogLevel.info: 6,
    LogLevel.warn: 4,
    LogLevel.error: 3,
    LogLevel.critical: 2,
}
_DAEMON = 3 << 3
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

Line = Callable[[LogEvent], str]


def priority(event: LogEvent) -> int:
    """How grave an event is, as syslog counts: 0 is worst, 7 is for debugging."""
    return _PRIORITIES.get(event.get("log_level"), 6)


def is_journal(environ: Mapping[str, str], out: int, err: int) -> bool:
    """Whether what is written to standard output ends in the journal (systemd.exec(5), ``JOURNAL_STREAM``).

    Args:
        environ: the environment.
        out: the descriptor of standard output.
        err: that of standard error, which is the one that the variable tells of when both go to the journal.
    """
    stream = stream_of(environ.get("JOURNAL_STREAM"))
    if stream is None:
        return False
    try:
        outs, errs = os.fstat(out), os.fstat(err)
    except OSError:
        return False
    if (outs.st_dev, outs.st_ino) == stream:
        return True
    return (errs.st_dev, errs.st_ino) == stream and stat.S_ISSOCK(outs.st_mode)


class JournalPlace:
    """The journal, by its native protocol; where that fails, by the stream that standard error is.

    Args:
        identifier: ``SYSLOG_IDENTIFIER``, the name of the service.
        line: what makes the message of an event.
        stream: the descriptor of the stream; None where there is none.
        path: the journal's socket.
    """

    def __init__(self, identifier: str, line: Line, stream: int | None, path: str = JOURNAL) -> None:
        self.identifier = identifier
        self._line = line
        self._torn = False
        self._native: Datagrams | None = None
        self._stream = None if stream is None else socket.socket(fileno=os.dup(stream))
        with suppress(OSError):
            self._native = Datagrams(path)

    def render(self, event: LogEvent) -> tuple[bytes, bytes]:
        """An entry in the native protocol, and the line that stands for it in a stream (sd-daemon(3))."""
        message, level = self._line(event), priority(event)
        fields = [("MESSAGE", message), ("PRIORITY", str(level)), ("SYSLOG_IDENTIFIER", self.identifier)]
        known = [(key, value) for key, value in events.row_of(event).items() if key not in _SAID and value is not None]
        fields += [(name_of(key, PREFIX), _text(value)) for key, value in known]
        line = message.encode("utf-8", "backslashreplace")
        return encode(fields), b"<%d>%s\n" % (level, line)

    def put(self, rendered: tuple[bytes, bytes]) -> None:
        """Send it, without waiting."""
        entry, line = rendered
        if self._native is not None:
            try:
                self._native.send(entry)
            except BlockingIOError:
                raise  # the stream would not be read either
            except OSError:
                pass
            else:
                return
        self._say(b"\n" + line if self._torn else line)

    def _say(self, line: bytes) -> None:
        if self._stream is None:
            raise FileNotFoundError(errno.ENOENT, "the journal is not there")
        self._torn = self._stream.send(line, socket.MSG_DONTWAIT) < len(line)
        if self._torn:
            raise BlockingIOError(errno.EAGAIN, "the journal does not keep up")

    def close(self) -> None:
        """Write no more."""
        for each in (self._native, self._stream):
            if each is not None:
                each.close()


_SAID = {"time", "level", "message"}
"""What the journal has in fields of its own."""


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class SyslogPlace:
    """The machine's syslog, in the form of RFC 3164, as the C library sends it, but without waiting for anybody.

    Args:
        identifier: the tag of the messages.
        line: what makes the message of an event.
        path: the socket of syslog.
        pid: who writes, asked for each message: a daemon's changes when it becomes one.

    Raises:
        OSError: there is no syslog.
    """

    def __init__(self, identifier: str, line: Line, path: str = SYSLOG, pid: Callable[[], int] = os.getpid) -> None:
        self.identifier = identifier
        self._line = line
        self._pid = pid
        self._socket = Datagrams(path)

    def render(self, event: LogEvent) -> bytes:
        """The message; its time is the machine's, as syslog wants it."""
        when = time.localtime(event.get("log_time"))
        stamp = f"{_MONTHS[when.tm_mon - 1]} {when.tm_mday:2} {when.tm_hour:02}:{when.tm_min:02}:{when.tm_sec:02}"
        head = f"<{_DAEMON | priority(event)}>{stamp} {self.identifier}[{self._pid()}]: "
        return (head + self._line(event)).encode("utf-8", "backslashreplace")

    def put(self, rendered: bytes) -> None:
        """Send it, without waiting."""
        self._socket.send(rendered)

    def close(self) -> None:
        """Write no more."""
        self._socket.close()
