"""``--log-format``, ``--log-size``, ``--log-keep``: where twistd would write its log, written as an operator needs it.

twistd asks an application for its log observer unless ``--logger`` names one. So a service can bring its own: it
becomes a component of the application at the moment when the service joins it. It writes to the place that twistd was
told, and without a format of its own it writes twistd's lines.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.logger import ILogObserver, LogEvent, formatEventAsClassicLogText, formatTime
from twisted.python.components import Componentized
from twisted.python.log import ILogObserver as IOlderObserver
from twisted.python.usage import UsageError

from netguard.errors import OptionError
from netguard.events import FORMATS, Event, as_json, as_message, emit
from netguard.plugins.concerns import Given, join
from netguard.process.log_writer import Lines, Place, Stream, Writer
from netguard.process.logfile import LogFile, words
from netguard.process.signals import on_signal
from netguard.process.system_logs import JOURNAL, SYSLOG, JournalPlace, SyslogPlace, is_journal
from netguard.units import count, size

if TYPE_CHECKING:
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = [
    ["log-format", None, None, "write the log as netguard's lines, text or json, instead of as twistd's"],
    ["log-size", None, "10MiB", "rotate the log file before it is larger than this; or off (default: 10MiB)"],
    ["log-keep", None, "5", "keep so many rotated log files (default: 5)"],
]
FLAGS: list[list[Any]] = [
    ["verbose", None, "tell every connection's beginning in the log, too (events accepted and opened)"],
]

_DEFAULT_FILE = "twistd.log"  # as twistd itself has it
_DEFAULT_PREFIX = "twisted"  # likewise, of --syslog
_OFF = "off"
OUT, ERR = 1, 2  # standard output and standard error
_Service: Any = Service  # it is not annotated


@frozen
class Wanted:
    """How the log shall be.

    Args:
        form: ``text``, ``json``, or None for twistd's own lines.
        most: bytes of its file after which that is rotated; None for never.
        keep: how many rotated files stay.
        verbose: whether events of level debug are written, too.
        name: the plugin, as its log is to be found by in the system's.
    """

    form: str | None = None
    most: int | None = None
    keep: int = 5
    verbose: bool = False
    name: str = "netguard"


def check(given: Given) -> None:
    """Refuse a format that nothing would be written in."""
    form, twistd = given["log-format"], given.parent
    if form is not None and form not in FORMATS:
        raise UsageError(f"--log-format is {' or '.join(FORMATS)}, not {form!r}")
    _wanted(given)
    if form is None:
        return
    if not _is_twistd(twistd):
        raise UsageError("--log-format works under twistd only")
    if twistd.get("logger"):
        raise UsageError("--log-format and twistd's --logger exclude each other")
    if twistd["logfile"] == "-" and not _in_foreground(twistd):
        raise UsageError("a daemon cannot log to standard output (--logfile -)")


def _is_twistd(parent: Any) -> bool:
    return parent is not None and "nodaemon" in parent


def _in_foreground(twistd: Mapping[str, Any]) -> bool:
    return bool(twistd["nodaemon"] or twistd["debug"])


def _wanted(given: Given) -> Wanted:
    read: dict[str, Any] = {}
    for name, unit in (("log-size", size), ("log-keep", count)):
        try:
            read[name] = None if (unit, given[name]) == (size, _OFF) else unit(given[name])
        except ValueError as why:
            raise UsageError(f"--{name}: {why}") from None
    name = getattr(given.parent, "subCommand", None) or "netguard"
    return Wanted(given["log-format"], read["log-size"], read["log-keep"], bool(given["verbose"]), name)


def equip(service: Any, house: House, given: Given) -> None:
    """Let the service bring its log, and reopen it when files are read again."""
    if _is_twistd(given.parent) and not given.parent.get("logger"):
        log = Log(_wanted(given), given.parent)
        bring(service, log)
        house.when_reloaded(log.reopen)
        if house.crew is not None:
            house.crew.tend = log.tend


def bring(service: Any, log: Log) -> None:
    """Let a service set the log when it joins its application.

    Args:
        service: what ``makeService`` is about to return.
        log: the log.
    """
    join(service, _Keeper(log), before=True)
    join_alone = service.setServiceParent

    def join_and_bring(parent: Any) -> None:
        join_alone(parent)  # first: some services bring an observer of their own
        if isinstance(parent, Componentized):
            brought = [parent.getComponent(each, None) for each in (ILogObserver, IOlderObserver)]
            observer = None if log.wanted.form is None and any(brought) else log.open()
            if observer is not None:
                parent.setComponent(ILogObserver, observer)

    service.setServiceParent = join_and_bring


@define(eq=False)
class Log:
    """The log of one process.

    Args:
        wanted: how it shall be.
        twistd: the options of twistd itself: they say where it goes.

    Attributes:
        file: its file; None where it is none.
        writer: what writes it.
    """

    wanted: Wanted
    twistd: Mapping[str, Any]
    file: LogFile | None = field(default=None, init=False)
    writer: Writer | None = field(default=None, init=False)
    _deafen: Callable[[], object] | None = field(default=None, init=False)

    def open(self) -> Writer | None:
        """Make what writes the log; None where twistd is to do it.

        Raises:
            SystemExit: with one line, when the place cannot be written to.
        """
        place = self._place()
        if place is not None:
            self.writer = Writer(place, verbose=self.wanted.verbose or self.wanted.form is None)
        return self.writer

    def _place(self) -> Place | None:
        twistd, form = self.twistd, self.wanted.form
        name, foreground = twistd["logfile"], _in_foreground(twistd)
        message = as_json if form == "json" else as_message
        if twistd.get("syslog"):
            prefix = twistd.get("prefix")
            tag = self.wanted.name if prefix in (None, _DEFAULT_PREFIX) else prefix
            try:
                return SyslogPlace(tag, message, SYSLOG)
            except OSError as why:
                self._fail("syslog cannot be reached", why)
        if name == "-" or (foreground and not name):
            if foreground and is_journal(os.environ, OUT, ERR):
                return JournalPlace(self.wanted.name, message, OUT, JOURNAL)
            return None if form is None else Lines(Stream(sys.stdout).write, FORMATS[form])
        return Lines(self._opened(name or _DEFAULT_FILE).write, _classic if form is None else FORMATS[form])

    def _opened(self, name: str) -> LogFile:
        try:
            self.file = file = LogFile(name, most=self.wanted.most, keep=self.wanted.keep, complain=_complain)
        except OSError as why:
            self._fail(f"the log {name} cannot be opened", why)
        # Without a handler, the signal would end the process.
        self._deafen = on_signal(signal.SIGUSR1, self._follow, _reactor())
        return file

    def _fail(self, what: str, why: OSError) -> NoReturn:
        raise SystemExit(f"twistd {self.wanted.name}: {what}: {words(why)}") from None

    def _follow(self) -> None:
        if self.file is not None and self.writer is not None:
            self.writer.during(self.file.try_reopen)

    def reopen(self) -> None:
        """Open what is at the file's path now.

        Raises:
            OptionError: that cannot be; the log goes on where it is.
        """
        if self.file is not None and self.writer is not None:
            try:
                self.writer.during(self.file.reopen)
            except OSError as why:
                raise OptionError(f"the log {self.file.path}: {words(why)}") from None

    def tend(self) -> None:
        """Rotate the file when several processes together have made it too large; they follow by themselves."""
        if self.file is not None and self.writer is not None:
            self.writer.during(self.file.tend)

    def close(self) -> None:
        """Give back the signal, and close the file; the end of a process does that by itself."""
        if self._deafen is not None:
            self._deafen()
        if self.file is not None:
            self.file.close()


class _Keeper(_Service):  # type: ignore[misc]
    """Sees to it that the file can be written later, too.

    Args:
        log: the log.
    """

    def __init__(self, log: Log) -> None:
        self.log = log

    def privilegedStartService(self) -> None:
        """Let the file belong to whom it will be written by; by now the process's root is what it will be."""
        super().privilegedStartService()
        file, twistd = self.log.file, self.log.twistd
        if file is not None:
            if twistd.get("uid") is not None:
                file.give_to(twistd["uid"], twistd.get("gid"))
            if twistd.get("chroot") is not None:
                file.move_into(twistd["chroot"])

    def startService(self) -> None:
        """Say what cannot be done as this user."""
        super().startService()
        if self.log.file is not None:
            self.log.file.look_ahead()


def _complain(reason: str) -> None:
    emit("log_stuck", {"reason": reason})


def _classic(event: LogEvent) -> str | None:
    ours = event.get("netguard")
    if isinstance(ours, Event) and "log_failure" not in event:  # the same text, with less to find out
        return f"{_moment(int(event['log_time']))} [{event['log_namespace']}#{event['log_level'].name}] {ours}"
    line = formatEventAsClassicLogText(event)
    return None if line is None else line.rstrip("\n")


@lru_cache(maxsize=1)
def _moment(second: int) -> str:
    return formatTime(second)


def _reactor() -> Any:
    from twisted.internet import reactor

    return reactor
