"""What is promised of units: text means what an operator thinks it means, and nothing else is taken."""

from __future__ import annotations

import math
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard import units
from netguard.units import Frequency, Prefix, Unit

READ: list[tuple[Unit, Any, Any]] = [
    (units.duration, 30, 30.0),
    (units.duration, 0.25, 0.25),
    (units.duration, "30", 30.0),
    (units.duration, " 30s ", 30.0),
    (units.duration, "1.5h", 5400.0),
    (units.duration, "1h30m", 5400.0),
    (units.duration, "2min", 120.0),
    (units.duration, "2d", 172800.0),
    (units.duration, "250ms", 0.25),
    (units.duration, "1m250ms", 60.25),
    (units.size, 1024, 1024),
    (units.size, 1024.0, 1024),
    (units.size, "1024", 1024),
    (units.size, "1024B", 1024),
    (units.size, "1.5KiB", 1536),
    (units.size, "64 KiB", 65536),
    (units.size, "10MB", 10_000_000),
    (units.size, "1kB", 1000),
    (units.size, "1GiB", 2**30),
    (units.rate, 500, 500),
    (units.rate, "500", 500),
    (units.rate, "64KiB", 65536),
    (units.rate, "64KiB/s", 65536),
    (units.count, 7, 7),
    (units.count, 7.0, 7),
    (units.count, " 7 ", 7),
    (units.adaptive, "adaptive", "adaptive"),
    (units.adaptive, " Adaptive ", "adaptive"),
    (units.adaptive, "7", 7),
    (units.adaptive, 7, 7),
    (units.frequency, 10, Frequency(10)),
    (units.frequency, 10.0, Frequency(10)),
    (units.frequency, Frequency(10, 60), Frequency(10, 60)),
    (units.frequency, "10", Frequency(10, 1)),
    (units.frequency, "10/s", Frequency(10, 1)),
    (units.frequency, "10/sec", Frequency(10, 1)),
    (units.frequency, "600/min", Frequency(600, 60)),
    (units.frequency, "600 / m", Frequency(600, 60)),
    (units.frequency, "7/h", Frequency(7, 3600)),
    (units.frequency, "3/10s", Frequency(3, 10)),
    (units.prefix, "24,56", Prefix(24, 56)),
    (units.prefix, " 24 , 56 ", Prefix(24, 56)),
    (units.prefix, (0, 128), Prefix(0, 128)),
    (units.prefix, Prefix(32, 0), Prefix(32, 0)),
    (units.delimiter, b"\r\n", b"\r\n"),
    (units.delimiter, r"\r\n", b"\r\n"),
    (units.delimiter, "\n", b"\n"),
    (units.delimiter, r"\x00\0\t\\\x7F", b"\0\0\t\\\x7f"),
    (units.delimiter, r"\\x41", rb"\x41"),
    (units.delimiter, "lf", b"\n"),
    (units.delimiter, "crlf", b"\r\n"),
    (units.delimiter, "nul", b"\0"),
    (units.delimiter, "\xff", b"\xff"),
    (units.port, 0, 0),
    (units.port, "65535", 65535),
]

REFUSED: list[tuple[Unit, list[Any]]] = [
    (units.duration, [None, "", "x", "-1", -1, 0, "0", "0s", True, "nan", "inf", math.inf, math.nan, "1e3", "1m30"]),
    (units.duration, ["s", "1 m", "30 seconds", "9" * 400, b"30", "\u0663s", 10**400, [30]]),
    (units.size, [None, "", "-1", 0, "0", 1.5, "1.5", "0.1KiB", "3kib", "3TB", True, "1e3", "\u0663", 10**400, [1]]),
    (units.rate, [None, 0, "1/min", "/s", "1.5/s", True]),
    (units.count, [None, "", 0, "0", -1, "-1", 1.5, "1.5", True, math.inf, math.nan, "1_0", "9" * 400, "\u0663", []]),
    (units.adaptive, [None, "", 0, "0", "adapt", True, 1.5, []]),
    (units.frequency, [None, "", 0, "0/s", 1.5, "1.5/s", "1/fortnight", "1/0s", "1/", "/s", True, "9" * 400, -1, []]),
    (units.prefix, [None, "", "24", "24,56,1", "33,64", "32,129", "-1,64", "a,b", (1,), (1.5, 2), (True, 2), 5]),
    (units.delimiter, [None, "", b"", 10, "\u20ac", []]),
    (units.port, [None, "", -1, "-1", 65536, "65536", "99999999999", True, 80.5, "no such service", "a\0b", "\ud800"]),
]


@pytest.mark.parametrize(("unit", "value", "meaning"), READ)
def test_text_and_plain_values_mean_what_they_say(unit: Unit, value: Any, meaning: Any) -> None:
    """Each unit reads its own values as they are, and text as an operator writes it."""
    assert unit(value) == meaning
    assert type(unit(value)) is type(meaning)


@pytest.mark.parametrize(("unit", "value"), [(unit, value) for unit, values in REFUSED for value in values])
def test_everything_else_is_refused_in_one_line_that_says_what_was_expected(unit: Unit, value: Any) -> None:
    """A value that is none is a ValueError with what was written, bounded, and what to write."""
    with pytest.raises(ValueError, match="is not") as caught:
        unit(value)
    assert str(caught.value).endswith(f"is not {unit.expects}")
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (units.duration, 30.0, "30s"),
        (units.duration, 90.0, "90s"),
        (units.duration, 120.0, "2m"),
        (units.duration, 3600.0, "1h"),
        (units.duration, 86400.0, "1d"),
        (units.duration, 0.25, "250ms"),
        (units.duration, 30.125, "30.125s"),
        (units.duration, 0, "0ms"),
        (units.size, 1000, "1000B"),
        (units.size, 65536, "64KiB"),
        (units.size, 2**20, "1MiB"),
        (units.size, 2**30, "1GiB"),
        (units.rate, 65536, "64KiB/s"),
        (units.rate, 12.5, "12.5B/s"),
        (units.count, 900, "900"),
        (units.frequency, Frequency(10), "10/s"),
        (units.frequency, Frequency(600, 60), "600/min"),
        (units.frequency, Frequency(7, 3600), "7/h"),
        (units.frequency, Frequency(7, 86400), "7/1d"),
        (units.frequency, 0.5, "0.5/s"),
        (units.prefix, Prefix(), "32,64"),
        (units.delimiter, b"\r\n\0 \x7f\\a", r"\r\n\0\x20\x7f\\a"),
        (units.delimiter, b"crlf", r"\x63rlf"),
        (units.port, 110, "110"),
    ],
)
def test_values_are_written_as_a_person_would_type_them(unit: Unit, value: Any, text: str) -> None:
    """The text is the shortest usual one."""
    assert unit.text(value) == text


def _equal_after_writing(unit: Unit, value: Any) -> None:
    read = unit(value)
    text = unit.text(read)
    assert unit(text) == read
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text


_seconds = st.floats(min_value=1e-300, max_value=1e300)


@given(_seconds | st.integers(1, 10**12) | st.integers(1, 10**6).map(lambda ms: ms / 1000))
def test_every_duration_is_read_back_as_it_was(value: float) -> None:
    """No digit is lost between a value and its text."""
    _equal_after_writing(units.duration, value)


@given(st.integers(1, 2**70))
def test_every_size_rate_and_count_is_read_back_as_it_was(value: int) -> None:
    """Whole numbers stay exact, however large."""
    _equal_after_writing(units.size, value)
    _equal_after_writing(units.rate, value)
    _equal_after_writing(units.count, value % 10**12 + 1)


@given(st.builds(Frequency, st.integers(1, 10**9 - 1), _seconds | st.sampled_from([1.0, 60.0, 3600.0])))
def test_every_frequency_is_read_back_as_it_was(value: Frequency) -> None:
    """Periods without a name of their own included."""
    _equal_after_writing(units.frequency, value)


@given(st.builds(Prefix, st.integers(0, 32), st.integers(0, 128)))
def test_every_prefix_is_read_back_as_it_was(value: Prefix) -> None:
    """Both lengths."""
    _equal_after_writing(units.prefix, value)


@given(st.binary(min_size=1) | st.sampled_from([b"lf", b"crlf", b"nul", rb"\n", b"\\"]))
def test_every_delimiter_is_read_back_as_it_was(value: bytes) -> None:
    """Any bytes, also those that look like an escape or a name."""
    _equal_after_writing(units.delimiter, value)


@given(st.text() | st.integers() | st.floats() | st.binary() | st.booleans() | st.none())
def test_no_value_raises_anything_but_value_error(value: Any) -> None:
    """Whatever is written, the answer is a value or a ValueError."""
    for unit in (units.duration, units.size, units.rate, units.count, units.frequency, units.prefix, units.delimiter):
        try:
            read = unit(value)
        except ValueError:
            continue
        assert unit(unit.text(read)) == read


@pytest.mark.parametrize(("events", "period"), [(0, 1), (1.5, 1), (True, 1), (1, 0), (1, -1), (1, math.inf)])
def test_a_frequency_that_exists_is_valid(events: Any, period: Any) -> None:
    """Making one directly is checked, too."""
    with pytest.raises(ValueError, match=r"is not a (whole )?number"):
        Frequency(events, period)


@pytest.mark.parametrize(("ipv4", "ipv6"), [(33, 64), (32, 129), (-1, 64), (1.5, 64), (True, 64), ("x", 64)])
def test_a_prefix_that_exists_is_valid(ipv4: Any, ipv6: Any) -> None:
    """Making one directly is checked, too."""
    with pytest.raises(ValueError, match=r"is not a whole number from 0 to|invalid literal"):
        Prefix(ipv4, ipv6)


def test_a_frequency_says_how_many_a_second_it_is() -> None:
    """600 in a minute are 10 in a second."""
    assert Frequency(600, 60).per_second == 10.0


def test_ports_go_by_the_names_of_the_machine() -> None:
    """A service name is looked up for TCP in the machine's own database."""
    asked: list[tuple[str, str]] = []

    def lookup(name: str, protocol: str) -> int:
        asked.append((name, protocol))
        return 110

    assert units.service_port("pop3", lookup) == 110
    assert asked == [("pop3", "tcp")]


def test_the_real_services_database_is_asked() -> None:
    """``pop3`` is what getservbyname says it is."""
    try:
        known = socket.getservbyname("pop3", "tcp")
    except OSError:
        pytest.skip("this machine's /etc/services has no pop3")
    assert units.port("pop3") == known


@pytest.mark.parametrize("name", ["no-such-service", "", "a\0b", "\ud800", "x" * 1000])
def test_a_name_that_the_machine_does_not_know_is_a_clear_error(name: str) -> None:
    """The error names what was asked, bounded, and where names come from."""
    with pytest.raises(ValueError, match=r"knows no TCP service .* \(see /etc/services\)") as caught:
        units.service_port(name)
    assert len(str(caught.value)) < 200
