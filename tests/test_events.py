"""What is promised of events: one a line whatever is inside, nothing foreign raw, and counts that add up."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    eventAsText,
    formatEventAsClassicLogText,
    globalLogPublisher,
    textFileLogObserver,
)
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from netguard import events
from netguard.events import Event, as_json, as_text, describe, emit, line_observer, printable

ESCAPED = [
    ("plain text", "plain text"),
    (b"plain text", "plain text"),
    ("", ""),
    ("\n\r\t\0\x1b[31m", r"\x0a\x0d\x09\x00\x1b[31m"),
    (b"\n\r\t\0\x1b[31m", r"\x0a\x0d\x09\x00\x1b[31m"),
    ("\x7f\x80\x85\x9f", r"\x7f\x80\x85\x9f"),
    (b"\x7f\x80\xe9\xff", r"\x7f\x80\xe9\xff"),
    ("caf\u00e9 \u65e5\u672c", "caf\u00e9 \u65e5\u672c"),
    ("\u2028\u2029", r"\u2028\u2029"),
    ("a\u202eb\u2066c\u200bd\u00a0e\u00ad", r"a\u202eb\u2066c\u200bd\xa0e\xad"),
    ("\ud800\udfff", r"\ud800\udfff"),
    ("\U000e0041\U0010ffff", r"\U000e0041\U0010ffff"),
    ("\\x0a", r"\\x0a"),
    (b"\\x0a", r"\\x0a"),
    (bytearray(b"\n"), r"\x0a"),
    (42, "42"),
    (None, "None"),
]


@pytest.mark.parametrize(("value", "shown"), ESCAPED)
def test_what_does_not_print_is_escaped(value: object, shown: str) -> None:
    """Control characters, line ends of any kind, bidirectional controls, surrogates; and the backslash, by doubling."""
    assert printable(value) == shown


@pytest.mark.parametrize("much", ["x" * 1_000_000, b"x" * 1_000_000, "\n" * 1_000_000, b"\xff" * 1_000_000])
def test_a_value_is_bounded_and_what_is_left_out_is_counted(much: str | bytes) -> None:
    """A megabyte becomes a line."""
    shown = printable(much)
    assert shown.endswith("...[999744 more]")
    assert len(shown) <= 256 * 4 + 20
    assert printable(much, 10).endswith("...[999990 more]")
    assert "more" not in printable(much[:256])


@given(st.text() | st.binary())
def test_no_value_forges_another(value: str | bytes) -> None:
    """The escaped form prints, stands on one line, and can be read back: two values never look alike."""
    shown = printable(value, 10**6)
    assert shown.isprintable()
    assert shown.splitlines() in ([], [shown])
    codes = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")
    back = codes.sub(lambda code: chr(int(code[1] or code[2] or code[3] or "5c", 16)), shown)
    assert back == (value if isinstance(value, str) else value.decode("latin-1"))


def _lines(write: Any, *happened: LogEvent) -> list[str]:
    out = io.StringIO()
    observer = line_observer(out, write, verbose=True)
    for each in happened:
        observer(each)
    return out.getvalue().split("\n")


def _event(name: str, fields: dict[str, Any]) -> LogEvent:
    caught: list[LogEvent] = []
    globalLogPublisher.addObserver(caught.append)  # type: ignore[arg-type]
    try:
        emit(name, fields)
    finally:
        globalLogPublisher.removeObserver(caught.append)  # type: ignore[arg-type]
    (event,) = caught
    return event


_values = st.text() | st.binary() | st.integers() | st.floats() | st.booleans() | st.none()
_fields = st.dictionaries(st.sampled_from(["reason", "user", "client.address", "event", "time", "x.y"]), _values)


@given(_fields)
def test_an_event_is_one_line_of_text_whatever_is_inside(fields: dict[str, Any]) -> None:
    """It prints, and its beginning is the time, the namespace and the event's name."""
    line, rest = _lines(as_text, _event("malformed", fields))
    assert rest == ""
    assert line.isprintable()
    assert re.match(r"[0-9-]{10}T[0-9:.]{12}Z \[netguard#warn\] malformed( |$)", line)


@given(_fields)
def test_an_event_is_one_line_of_json_whatever_is_inside(fields: dict[str, Any]) -> None:
    """It is strict JSON in ASCII, and no field takes the place of the time, the level, the event or the message."""
    line, rest = _lines(as_json, _event("malformed", fields))
    assert rest == ""
    assert line.isascii()
    assert line.isprintable()
    row = json.loads(line, parse_constant=pytest.fail)
    assert list(row)[:4] == ["time", "level", "event", "message"]
    assert (row["level"], row["event"]) == ("warn", "malformed")
    assert row["message"].startswith("malformed")
    datetime.fromisoformat(row["time"])
    assert set(fields) - {"event", "time"} <= set(row)


def test_an_event_keeps_its_order_and_its_words_in_text() -> None:
    """Key and value, quoted where a blank could end it; quotes inside cannot close it."""
    event = Event(
        "refused",
        {
            "client.address": "192.0.2.1",
            "client.port": 99,
            "duration": 1.25,
            "age": 2.0,
            "secure": True,
            "user": "",
            "reason": 'too many "x" y=1\n',
        },
    )
    assert str(event) == (
        r"refused client=192.0.2.1 port=99 duration=1.250 age=2 secure=True"
        r""" user="" reason="too many 'x' y=1\x0a\""""[:-2]
        + '"'
    )


def test_an_event_is_flat_in_json() -> None:
    """Numbers stay numbers, names are OpenTelemetry's, times are UTC by RFC 3339."""
    event = {**_event("closed", {"client.address": "::1", "duration": 1.5, "bytes_in": 3}), "log_time": 0.5}
    assert json.loads(as_json(event)) == {
        "time": "1970-01-01T00:00:00.500Z",
        "level": "info",
        "event": "closed",
        "message": "closed client=::1 duration=1.500 bytes_in=3",
        "client.address": "::1",
        "duration": 1.5,
        "bytes_in": 3,
    }


@pytest.mark.parametrize(("number", "text"), [(float("nan"), "nan"), (float("inf"), "inf"), (float("-inf"), "-inf")])
def test_what_is_no_number_in_json_is_text(number: float, text: str) -> None:
    """Other programs must be able to read every line."""
    row = json.loads(as_json(_event("closed", {"duration": number})), parse_constant=pytest.fail)
    assert row["duration"] == text


def test_a_word_outside_the_vocabulary_is_a_programming_error() -> None:
    """Events are declared once."""
    with pytest.raises(KeyError):
        emit("happened", {})


ATTACK = "{0.__class__} {log_source!r} {netguard} %s %(x)s {a!z} {}"


@pytest.mark.parametrize("write", [as_text, as_json])
def test_a_format_string_of_a_peer_formats_nothing(write: Any) -> None:
    """Braces and percent signs are text like any other."""
    line = write(_event("malformed", {"reason": ATTACK}))
    assert ATTACK in line


def test_twisted_own_observers_tell_our_events_sensibly() -> None:
    """Whoever logs with twistd's default observer sees the same words, escaped, on one line."""
    event = _event("refused", {"client.address": "192.0.2.1", "reason": "a\nb " + ATTACK})
    told = 'refused client=192.0.2.1 reason="a\\x0ab ' + ATTACK + '"'
    assert eventAsText(event).split("[netguard#warn] ")[1].rstrip("\n") == told
    out = io.StringIO()
    textFileLogObserver(out)(event)
    assert out.getvalue().endswith(f"[netguard#warn] {told}\n")
    assert out.getvalue().count("\n") == 1
    classic = formatEventAsClassicLogText(event)
    assert classic is not None
    assert classic.count("\n") == 1


class _Boom(Exception):
    pass


def _failing() -> LogEvent:
    caught: list[LogEvent] = []
    log = Logger(namespace="a\nb", observer=caught.append)  # type: ignore[arg-type]
    log.failure("failed on {what}", Failure(_Boom("one\ntwo")), what="x\n\x1b")
    (event,) = caught
    return event


def test_the_events_of_others_are_one_line_each_too() -> None:
    """A traceback included, escaped and bounded."""
    line, rest = _lines(as_text, _failing())
    assert rest == ""
    assert line.isprintable()
    assert r"[a\x0ab#critical] failed on x\x0a\x1b failure=Traceback" in line
    line, rest = _lines(as_json, _failing())
    assert rest == ""
    row = json.loads(line)
    assert (row["event"], row["level"], row["namespace"]) == ("log", "critical", r"a\x0ab")
    assert row["message"] == r"failed on x\x0a\x1b"
    assert "_Boom" in row["failure"]


@pytest.mark.parametrize("write", [as_text, as_json])
def test_an_event_that_has_nothing_is_still_one_line(write: Any) -> None:
    """Twisted asks nothing of an event."""
    line = write({})
    assert "info" in line
    assert line.isprintable()


def test_a_line_observer_leaves_out_what_is_only_for_debugging() -> None:
    """Unless it is told to be verbose; every line is flushed."""

    class Out(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    out = Out()
    observer = line_observer(out, as_text)
    assert verifyObject(ILogObserver, observer)
    observer(_event("opened", {}))
    observer(_event("closed", {}))
    observer({"log_level": LogLevel.debug, "log_format": "x"})
    assert re.fullmatch(r"[^\n]*\] closed\n", out.getvalue())
    assert out.flushed == 1
    loud = Out()
    line_observer(loud, as_text, verbose=True)(_event("opened", {}))
    assert loud.getvalue().endswith("] opened\n")


def test_no_event_is_lost_to_a_locale() -> None:
    """What the file's encoding has not got is escaped."""
    raw = io.BytesIO()
    observer = line_observer(io.TextIOWrapper(raw, encoding="ascii"), as_text)
    observer(_event("malformed", {"reason": "caf\u00e9 \U0001f600"}))
    assert raw.getvalue().endswith(rb'malformed reason="caf\xe9 \U0001f600"' + b"\n")


def test_the_formats_are_those_that_an_operator_can_name() -> None:
    """``--log-format text|json``."""
    assert dict(events.FORMATS) == {"text": as_text, "json": as_json}


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        (IPv4Address("TCP", "192.0.2.1", 5), {"client.address": "192.0.2.1", "client.port": 5}),
        (IPv6Address("TCP", "2001:db8::1", 5), {"client.address": "2001:db8::1", "client.port": 5}),
        (IPv6Address("TCP", "::ffff:192.0.2.1", 5), {"client.address": "192.0.2.1", "client.port": 5}),
        (UNIXAddress(b"/run/x"), {"client.address": "unix"}),
        (None, {"client.address": "-"}),
    ],
)
def test_a_peer_is_described_by_opentelemetry_names(address: Any, fields: dict[str, object]) -> None:
    """An IPv4-mapped IPv6 address is an IPv4 address; who has none is said to have none."""
    assert describe(address) == fields
