"""``--log-format``: netguard's own lines in place of twistd's, at the same place.

twistd asks an application for its log observer unless ``--logger`` names one. So a service can bring its format along:
the observer becomes a component of the application at the moment when the service joins it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO, cast

from twisted.logger import ILogObserver
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile
from twisted.python.usage import UsageError

from netguard.events import FORMATS, line_observer

if TYPE_CHECKING:
    from netguard.plugins.concerns import Given
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = [
    ["log-format", None, None, "write the log as netguard's lines, text or json, instead of as twistd's"],
]
FLAGS: list[list[Any]] = [
    ["verbose", None, "tell every connection's beginning in the log, too (events accepted and opened)"],
]

_DEFAULT_FILE = "twistd.log"  # as twistd itself has it


def check(given: Given) -> None:
    """Refuse a format that nothing would be written in."""
    wanted, twistd = given["log-format"], given.parent
    if wanted is None:
        return
    if wanted not in FORMATS:
        raise UsageError(f"--log-format is {' or '.join(FORMATS)}, not {wanted!r}")
    if twistd is None or "nodaemon" not in twistd:
        raise UsageError("--log-format works under twistd only")
    for other in ("logger", "syslog"):
        if twistd.get(other):
            raise UsageError(f"--log-format and twistd's --{other} exclude each other")
    if twistd["logfile"] == "-" and not _in_foreground(twistd):
        raise UsageError("a daemon cannot log to standard output (--logfile -)")


def _in_foreground(twistd: Mapping[str, Any]) -> bool:
    return bool(twistd["nodaemon"] or twistd["debug"])


def equip(service: Any, _house: House, given: Given) -> None:
    """Set the log's format, if one was chosen."""
    if given["log-format"] is not None and given.parent is not None:
        bring(service, given["log-format"], given.parent, verbose=bool(given["verbose"]))


def bring(service: Any, log_format: str, twistd: Mapping[str, Any], *, verbose: bool = False) -> None:
    """Let a service set the log's format when it joins its application.

    Args:
        service: what ``makeService`` is about to return.
        log_format: ``text`` or ``json``.
        twistd: the options of twistd itself: they say where the log goes.
        verbose: whether events of level debug are written, too.
    """
    join: Callable[[Any], object] = service.setServiceParent

    def join_and_bring(parent: Any) -> None:
        join(parent)  # first: some services bring an observer of their own
        if isinstance(parent, Componentized):
            observer = line_observer(_open(twistd), FORMATS[log_format], verbose=verbose)
            parent.setComponent(ILogObserver, observer)

    service.setServiceParent = join_and_bring


def _open(twistd: Mapping[str, Any]) -> TextIO:
    """Where twistd would write, with its way of rotating a file."""
    name = twistd["logfile"]
    if name == "-" or (_in_foreground(twistd) and not name):
        return sys.stdout
    file = LogFile.fromFullPath(name or _DEFAULT_FILE)
    if not signal.getsignal(signal.SIGUSR1):
        signal.signal(signal.SIGUSR1, lambda *_: _soon(file.rotate))
    return cast("TextIO", file)


def _soon(do: Callable[[], object]) -> None:
    from twisted.internet import reactor

    cast("Any", reactor).callFromThread(do)
