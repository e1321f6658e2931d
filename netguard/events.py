"""The events of a connection's life and of a service's: names, fields, levels, and how they are written.

One event is one line. Foreign text (anything that a peer could choose) is escaped by one function, bounded, and comes
last. ``twisted.logger`` carries the events; two observers here write them, as text and as JSON lines.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Any, TextIO, cast

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent, globalLogPublisher
from zope.interface import provider

from netguard.peer import unmapped
from netguard.vocabulary import VOCABULARY

if TYPE_CHECKING:
    from constantly import NamedConstant  # type: ignore[import-untyped]  # as Twisted's own modules do

LONGEST = 256
"""So many characters of a value are kept in a log line (each may become an escape of up to ten)."""

_log = Logger(namespace="netguard")


DETAILS = frozenset(name for name, kind in VOCABULARY.items() if kind.level is LogLevel.debug)
"""What is told of every connection, and makes a log long."""

_COMMON: Mapping[str, Mapping[str, object]] = {
    name: {
        "event": name,
        "log_format": "{netguard}",
        "log_level": kind.level,
        "log_namespace": "netguard",
        "log_logger": _log,
        "log_source": None,
    }
    for name, kind in VOCABULARY.items()
}
"""What every event of a name brings along for twisted.logger."""


def _code(character: str) -> str:
    """A character that does not print, as an escape; surrogates and what lies beyond 16 bits included."""
    number = ord(character)
    return f"\\x{number:02x}" if character < "\u0100" else character.encode("unicode_escape").decode("ascii")


def printable(value: object, longest: int = LONGEST) -> str:
    r"""Foreign text as it may stand in a log: printable, on one line, bounded.

    Control characters (C0, C1, DEL), line and paragraph separators, bidirectional controls and every other character
    that does not print become ``\xNN`` or ``\uNNNN``; so does the backslash, so that nothing can be forged.

    Args:
        value: bytes or anything that has a text.
        longest: characters to keep; what is left out is counted at the end.
    """
    foreign = isinstance(value, bytes | bytearray)
    text = value if isinstance(value, bytes | bytearray) else str(value)
    kept = text[:longest] if isinstance(text, str) else text[:longest].decode("latin-1")
    if not kept.isprintable() or "\\" in kept or not kept.isascii():
        kept = "".join(
            "\\\\" if each == "\\" else _code(each) if not each.isprintable() or (foreign and each > "~") else each
            for each in kept
        )
    return f"{kept}...[{len(text) - longest} more]" if len(text) > longest else kept


def _plain(value: object) -> object:
    if isinstance(value, float) and not isfinite(value):
        return str(value)  # JSON has no number for it
    return value if isinstance(value, int | float) or value is None else printable(value)


class Event:
    """One event, ready to be written.

    Args:
        name: a word of the vocabulary.
        fields: what is known, the address first and foreign text last.
    """

    __slots__ = ("_text", "fields", "name")

    def __init__(self, name: str, fields: Mapping[str, object]) -> None:
        self.name = name
        self.fields = fields
        self._text: str | None = None

    def __str__(self) -> str:
        """The event as one line of text: its name, then ``key=value``; values with blanks are quoted."""
        if self._text is None:  # several may ask, for a line and for its message
            text = self.name
            value: Any
            for key, value in self.fields.items():
                kind = type(value)
                if kind is str and _is_plain(value):  # as nearly all are
                    text += f" {_SHORT.get(key, key)}=" + (f'"{value}"' if " " in value else value)
                else:
                    text += f" {_SHORT.get(key, key)}={value if kind is int else _quoted(value)}"
            self._text = text
        return self._text


_SHORT = {"client.address": "client", "client.port": "port"}


_is_plain = re.compile(rf"[ !#-\[\]-~]{{1,{LONGEST}}}").fullmatch  # nothing to escape: neither \ nor "


def _quoted(value: object) -> str:
    text = f"{value:.3f}".removesuffix(".000") if isinstance(value, float) else str(_plain(value))
    return '"' + text.replace('"', "'") + '"' if " " in text or not text or '"' in text else text


QUIET: set[str] = set()
"""Events that are not told here, since another process tells them for all."""


def emit(name: str, fields: Mapping[str, object]) -> None:
    """Send an event to ``twisted.logger``.

    Args:
        name: a word of the vocabulary.
        fields: plain values; text of any origin may stand in them as it is, the observers escape it.
    """
    if name not in QUIET:
        globalLogPublisher(made(name, fields))


def made(name: str, fields: Mapping[str, object]) -> LogEvent:
    """The event as ``twisted.logger`` carries it, sent to nobody."""
    return {**fields, **_COMMON[name], "netguard": Event(name, fields), "log_time": time.time()}


def _stamp(event: LogEvent) -> str:
    moment = datetime.fromtimestamp(event.get("log_time") or time.time(), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level(event: LogEvent) -> str:
    return str(cast("NamedConstant", event.get("log_level") or LogLevel.info).name)


def row_of(event: LogEvent) -> dict[str, object]:
    """One event of ``twisted.logger`` as names and plain values: ``time``, ``level``, ``event``, ``message`` first."""
    ours = event.get("netguard")
    row: dict[str, object] = {"time": _stamp(event), "level": _level(event)}
    if isinstance(ours, Event):
        row |= {"event": ours.name, "message": str(ours)}
        row = {**row, **{key: _plain(value) for key, value in ours.fields.items()}, **row}
    else:
        row |= {"event": "log", "message": printable(formatEvent(event), 2000)}
        row |= {"namespace": printable(event.get("log_namespace", "-"))}
        if "log_failure" in event:
            row["failure"] = printable(event["log_failure"].getTraceback(), 8000)
    return row


def as_json(event: LogEvent) -> str:
    """One event of ``twisted.logger`` as one line of JSON, flat, without its line end."""
    return json.dumps(row_of(event), ensure_ascii=True)


def as_text(event: LogEvent) -> str:
    """One event of ``twisted.logger`` as one line of text, without its line end."""
    return f"{_stamp(event)} {as_message(event)}"


def as_message(event: LogEvent) -> str:
    """The same without its time, for logs that write that themselves."""
    ours = event.get("netguard")
    line = str(ours) if isinstance(ours, Event) else printable(formatEvent(event), 2000)
    if "log_failure" in event:
        line += " failure=" + printable(event["log_failure"].getTraceback(), 8000)
    return f"[{printable(event.get('log_namespace', '-'), 60)}#{_level(event)}] {line}"


def line_observer(out: TextIO, write: Callable[[LogEvent], str], *, verbose: bool = False) -> ILogObserver:
    """An observer for ``twisted.logger`` that writes one line an event and flushes it.

    Args:
        out: where the lines go.
        write: :func:`as_text` or :func:`as_json`.
        verbose: whether events of level debug are written, too.
    """

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        if not verbose and event.get("log_level") is LogLevel.debug:
            return
        line = write(event) + "\n"
        try:
            out.write(line)
        except UnicodeEncodeError:  # the locale's encoding has not got a character; the event must not be lost
            out.write(line.encode("ascii", "backslashreplace").decode("ascii"))
        out.flush()

    return cast("ILogObserver", observe)


FORMATS: Mapping[str, Callable[[LogEvent], str]] = {"text": as_text, "json": as_json}


def describe(address: Any) -> dict[str, object]:
    """The fields that name a peer, by OpenTelemetry's names; an IPv4-mapped IPv6 address is an IPv4 address."""
    host = getattr(address, "host", None)
    if host is None:
        return {"client.address": "unix" if address is not None else "-"}
    return {"client.address": unmapped(host), "client.port": address.port}
