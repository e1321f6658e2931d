"""Durations, sizes, rates, counts, prefixes, ports: text to value and value to text.

A unit is also the converter of an option, so a value that exists has been checked. Every unit takes its own values
as they are (``30`` is 30 seconds, ``1024`` is 1024 bytes) and text as an operator writes it (``"30s"``, ``"1KiB"``);
what it refuses is a :class:`ValueError` whose text says what was expected.
"""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any

from attrs import field, frozen

_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_PERIODS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_HIGHEST_PORT = 65535


@frozen
class Unit:
    """A kind of value: how it is read, how it is written, and what a person is told about it.

    Args:
        name: the word for it in ``--help`` and in the tables of the documentation.
        expects: what to write, in words, with an example; the tail of every complaint.
        parse: text or a plain value to a value. Raises ValueError, whose text is not shown, for anything else.
        write: a value to text that ``parse`` reads back as an equal value.
        many: whether the option may be given several times.
    """

    name: str
    expects: str
    parse: Callable[[Any], Any] = field(repr=False)
    write: Callable[[Any], str] = field(repr=False, default=str)
    many: bool = False

    def __call__(self, value: Any) -> Any:
        """Read a value; raise ValueError, saying what was expected, when it is not one."""
        try:
            return self.parse(value)
        except (ValueError, TypeError, OverflowError, AttributeError):
            shown = str(value)[:60]
            message = f"{shown!r} is not {self.expects}"
            raise ValueError(message) from None

    def text(self, value: Any) -> str:
        """Write a value as a person would type it."""
        return self.write(value)


def _positive(value: float) -> float:
    if isinstance(value, bool) or not math.isfinite(value) or value <= 0:
        message = f"{value!r} is not a number above 0"
        raise ValueError(message)
    return value


def _whole(value: float) -> int:
    if int(value) != _positive(value):
        message = f"{value!r} is not a whole number"
        raise ValueError(message)
    return int(value)


def _exact(number: Any) -> str:
    """The shortest decimal text of a number, without an exponent."""
    text = f"{Decimal(repr(number)):f}" if isinstance(number, float) else str(number)
    return text.removesuffix(".0")


def _parse_duration(value: float | str) -> float:
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(_NUMBER, text):
            return float(_positive(float(text)))
        parts = re.findall(_NUMBER + r"(ms|min|[smhd])", text)
        if not parts or "".join(number + unit for number, unit in parts) != text:
            raise ValueError(value)
        value = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return float(_positive(value))


def _write_duration(value: float) -> str:
    short = [(value // _SECONDS[unit], unit) for unit in "dhm" if value >= _SECONDS[unit]]
    if value < 1:
        short = [(round(value * 1000, 6), "ms")]
    # 1h rather than 3600s, 90s rather than 1.5m, and never a text that is read back as something else.
    exact = (f"{_exact(number)}{unit}" for number, unit in short if number * _SECONDS[unit] == value)
    return next(exact, f"{_exact(value)}s")


def _parse_size(value: float | str) -> int:
    if isinstance(value, str):
        match = re.fullmatch(_NUMBER + r"\s*([A-Za-z]*)", value.strip())
        if match is None or match[2] not in _BYTES:
            raise ValueError(value)
        value = float(match[1]) * _BYTES[match[2]] if "." in match[1] else int(match[1]) * _BYTES[match[2]]
    return _whole(value)


def _write_size(value: float) -> str:
    for unit in ("GiB", "MiB", "KiB"):
        if value >= _BYTES[unit] and value % _BYTES[unit] == 0:
            return f"{int(value) // _BYTES[unit]}{unit}"
    return f"{_exact(value)}B"


def _parse_rate(value: float | str) -> int:
    return _parse_size(value.strip().removesuffix("/s") if isinstance(value, str) else value)


def _parse_count(value: float | str) -> int:
    if isinstance(value, str):
        if not re.fullmatch(r"\s*[0-9]+\s*", value):
            raise ValueError(value)
        value = int(value)
    return _whole(value)


def _parse_adaptive(value: float | str) -> int | str:
    return "adaptive" if isinstance(value, str) and value.strip().lower() == "adaptive" else _parse_count(value)


@frozen
class Frequency:
    """So many events in a period; the number of events is also how many may come at once.

    Args:
        events: how many, at least 1.
        period: in this many seconds.

    Raises:
        ValueError: one of them is not above 0, or the events are not a whole number.
    """

    events: int = field(converter=_whole)
    period: float = field(converter=_parse_duration, default=1.0)

    @property
    def per_second(self) -> float:
        """The same as events per second."""
        return self.events / self.period


def _parse_frequency(value: float | str | Frequency) -> Frequency:
    if isinstance(value, Frequency):
        return value
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]+)\s*(?:/\s*([0-9a-z.]+)\s*)?", value)
        if match is None:
            raise ValueError(value)
        period = match[2] or "s"
        return Frequency(int(match[1]), _PERIODS[period] if period in _PERIODS else _parse_duration(period))
    return Frequency(value)


def _write_frequency(value: Frequency | float) -> str:
    if not isinstance(value, Frequency):
        return f"{_exact(value)}/s"
    names = {seconds: name for name, seconds in reversed(_PERIODS.items())}
    return f"{value.events}/{names.get(value.period) or _write_duration(value.period)}"


def _up_to(most: int, value: float | str) -> int:
    if isinstance(value, bool) or int(value) != float(value) or not 0 <= int(value) <= most:
        message = f"{value!r} is not a whole number from 0 to {most}"
        raise ValueError(message)
    return int(value)


def _ipv4_bits(value: float | str) -> int:
    return _up_to(32, value)


def _ipv6_bits(value: float | str) -> int:
    return _up_to(128, value)


@frozen
class Prefix:
    """How many leading bits of an address make one peer.

    Args:
        ipv4: bits of an IPv4 address, 0 to 32.
        ipv6: bits of an IPv6 address, 0 to 128.

    Raises:
        ValueError: one of them is none.
    """

    ipv4: int = field(converter=_ipv4_bits, default=32)
    ipv6: int = field(converter=_ipv6_bits, default=64)


def _parse_prefix(value: str | Prefix | Iterable[int]) -> Prefix:
    if isinstance(value, Prefix):
        return _one_prefix(value.ipv4, value.ipv6)
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*", value)
        return _one_prefix(*(int(each) for each in match.groups())) if match else _refuse(value)
    ipv4, ipv6 = value
    return _one_prefix(ipv4, ipv6)


_one_prefix = lru_cache(typed=True)(Prefix)
"""Equal prefixes are one object: a peer remembers its key by it."""


def _refuse(value: object) -> Any:
    raise ValueError(value)


_DELIMITERS = {"lf": b"\n", "crlf": b"\r\n", "nul": b"\0"}
"""Names, for surfaces that take a backslash for themselves: shells, endpoint strings."""
_ESCAPES = {"\\r": b"\r", "\\n": b"\n", "\\0": b"\0", "\\t": b"\t", "\\\\": b"\\"}


def _parse_delimiter(value: Any) -> bytes:
    if isinstance(value, str) and value in _DELIMITERS:
        return _DELIMITERS[value]
    if isinstance(value, str):
        value = re.sub(rb"\\x([0-9a-fA-F]{2})|\\[rn0t\\]", _unescape, value.encode("latin-1"))
    if not isinstance(value, bytes) or not value:
        raise ValueError(value)
    return value


def _unescape(match: re.Match[bytes]) -> bytes:
    code: bytes | None = match[1]
    return _ESCAPES[match[0].decode()] if code is None else bytes.fromhex(code.decode())


def _write_delimiter(value: bytes) -> str:
    plain = {code[0]: text for text, code in _ESCAPES.items()}
    texts = [plain.get(byte, chr(byte) if ord("!") <= byte <= ord("~") else f"\\x{byte:02x}") for byte in value]
    text = "".join(texts)
    return text if text not in _DELIMITERS else f"\\x{value[0]:02x}" + "".join(texts[1:])


def _parse_port(value: int | str) -> int:
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}", value):
        return service_port(value)
    return _up_to(_HIGHEST_PORT, value)


def service_port(name: str, lookup: Callable[[str, str], int] = socket.getservbyname) -> int:
    """The TCP port of a service, from the machine's services database.

    Args:
        name: a service name such as ``pop3``; see services(5).
        lookup: the database, ``socket.getservbyname`` unless a test passes its own.

    Raises:
        ValueError: this machine does not know the name.
    """
    try:
        return lookup(name, "tcp")
    except (OSError, ValueError):  # no such name; not even a possible name
        message = f"this machine knows no TCP service {name[:60]!r} (see /etc/services)"
        raise ValueError(message) from None


duration = Unit("duration", "a duration such as 30s, 5m, 1h30m or 250ms", _parse_duration, _write_duration)
size = Unit("size", "a number of bytes such as 1024, 64KiB or 10MB", _parse_size, _write_size)
rate = Unit(
    "rate",
    "a number of bytes a second such as 500 or 64KiB",
    _parse_rate,
    lambda value: f"{_write_size(value)}/s",
)
count = Unit("count", "a whole number above 0", _parse_count, _exact)
adaptive = Unit("limit", "adaptive, or a whole number above 0", _parse_adaptive)
frequency = Unit("frequency", "a number in a period such as 10/s, 600/min or 10", _parse_frequency, _write_frequency)
prefix = Unit(
    "prefix",
    "two prefix lengths, IPv4 then IPv6, such as 32,64",
    _parse_prefix,
    lambda value: f"{value.ipv4},{value.ipv6}",
)
delimiter = Unit("bytes", r"a delimiter such as \n, \r\n or \x00", _parse_delimiter, _write_delimiter)
port = Unit("port", "a port from 0 to 65535 or a service that this machine knows", _parse_port)
