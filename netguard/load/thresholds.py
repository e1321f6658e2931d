"""From which load on a service sheds: conditions as an operator writes them, and when they begin and cease to hold."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from attrs import field, frozen

from netguard.errors import OptionError, UnknownOption
from netguard.units import Unit, count, duration, size

RECOVERY = 0.8
"""A condition ceases to hold below this part of its threshold; at the threshold itself it would flutter."""
HOLD = 5.0
"""Seconds for which the figure must stay that low."""


def _parse_number(value: Any) -> float:
    if isinstance(value, str) and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        raise ValueError(value)
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number) or number <= 0:
        raise ValueError(value)
    return number


def _parse_percent(value: Any) -> float:
    number = _parse_number(value.removesuffix("%").rstrip() if isinstance(value, str) else value)
    if number >= 100:  # noqa: PLR2004 - more than all there is will never be seen
        raise ValueError(value)
    return number


def _exact(number: float) -> str:
    return str(round(number, 3)).removesuffix(".0")


number = Unit("number", "a number above 0", _parse_number, _exact)
percent = Unit("percent", "a percentage above 0 and below 100", _parse_percent, lambda value: f"{_exact(value)}%")

UNITS: dict[str, Unit] = {
    "lag": duration,
    "load": number,
    "rss": size,
    "fds": count,
    "fds%": percent,
    "pressure": percent,
    "connections": count,
}
"""The unit of each signal, by the name that :class:`netguard.load.signals.Signals` has for it."""

_WORDS = [name for name in UNITS if not name.endswith("%")]


@frozen
class Condition:
    """More of a signal than a threshold.

    Args:
        signal: a name of :data:`UNITS`.
        limit: the threshold, in the signal's unit: seconds, bytes, percent, or a number.

    Raises:
        OptionError: there is no such signal, or the limit is not of its unit.
    """

    signal: str
    limit: float = field(converter=float)

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if self.signal not in UNITS:
            raise UnknownOption(self.signal, UNITS, "signal")
        _figure(self.signal, self.limit)

    def __str__(self) -> str:
        """Write it as an operator would."""
        return f"{self.word}>{UNITS[self.signal].text(self.limit)}"

    @property
    def word(self) -> str:
        """The signal as an operator writes it."""
        return self.signal.removesuffix("%")

    def reading(self, figure: float) -> str:
        """Write a figure of its signal.

        Args:
            figure: in the signal's unit; nobody needs its microseconds.
        """
        return UNITS[self.signal].text(round(figure, 3))


def _rank(condition: Condition) -> tuple[int, float]:
    return list(UNITS).index(condition.signal), condition.limit


def _ordered(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    return tuple(sorted(conditions, key=_rank))


@frozen
class Thresholds:
    """The conditions of which each, by itself, sheds load.

    Args:
        conditions: at least one, for no signal two; their order does not matter.

    Raises:
        OptionError: there is none, or there are two for one signal.
    """

    conditions: tuple[Condition, ...] = field(converter=_ordered)

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not self.conditions:
            raise OptionError("at least one signal and its threshold is needed, such as lag>250ms")
        for first, second in pairwise(self.conditions):
            if first.signal == second.signal:
                raise OptionError(f"{first.word} has two thresholds: {first} and {second}")

    def __str__(self) -> str:
        """Write them as an operator would."""
        return ",".join(map(str, self.conditions))


def _parse(value: Any) -> Thresholds:
    if isinstance(value, Thresholds):
        return value
    parts = [value] if isinstance(value, str | Condition) else list(value)
    conditions: list[Condition] = []
    for part in parts:
        if isinstance(part, Condition):
            conditions.append(part)
        else:
            conditions += [_condition(each) for each in part.split(",")]
    return Thresholds(tuple(conditions))


def _condition(text: str) -> Condition:
    name, value = _split(text, ">")
    return Condition(name, _figure(name, value))


def readings(text: str) -> dict[str, float]:
    """Figures that somebody made up, such as ``lag=300ms,fds=95%``, for :meth:`netguard.load.signals.Signals.fixed`.

    Args:
        text: signals and their figures, with commas; a figure may be 0.

    Raises:
        OptionError: something else stands there.
    """
    pairs = [_split(each, "=") for each in text.split(",")]
    return {name: 0.0 if re.fullmatch(r"0[a-zA-Z%]*", value) else _figure(name, value) for name, value in pairs}


def _split(text: str, sign: str) -> tuple[str, str]:
    """The signal and the value of ``lag>250ms`` or ``lag=250ms``."""
    word, _, value = (each.strip() for each in text.partition(sign))
    if word not in _WORDS:
        raise UnknownOption(word, _WORDS, "signal")
    if not value:
        raise OptionError(f"{text.strip()[:60]!r} is not a signal and a figure, such as lag{sign}250ms")
    share = f"{word}%"
    return (share if share in UNITS and value.endswith("%") else word), value


def _figure(name: str, value: str | float) -> float:
    try:
        return float(UNITS[name](value))
    except ValueError as why:
        raise OptionError(f"signal {name.removesuffix('%')}: {why}") from None


@frozen
class _Telling(Unit):
    """A unit that says itself what is wrong, signal by signal."""

    def __call__(self, value: Any) -> Any:
        """Read a value."""
        try:
            return self.parse(value)
        except OptionError:
            raise
        except (ValueError, TypeError, AttributeError):
            return super().__call__(value)


thresholds = _Telling(
    "thresholds",
    "signals and thresholds such as lag>250ms,fds>90% (signals: " + ", ".join(_WORDS) + ")",
    _parse,
    str,
    many=True,
)


class Alarm:
    """One condition, and whether it holds. It begins above the threshold and ceases once the figure was low for long.

    Low is below 80 % of the threshold, and long is five seconds. A figure that cannot be read is no reason to shed.

    Args:
        condition: the condition.

    Attributes:
        on: whether it holds.
        observed: the figure that was last seen above the threshold.
        figure: the figure that was last seen; None when it could not be read.
    """

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.on = False
        self.observed = 0.0
        self.figure: float | None = None
        self._low: float | None = None

    def look(self, now: float, figure: float | None) -> bool:
        """Judge a figure.

        Args:
            now: the present moment, in seconds.
            figure: in the unit of the signal; None when it cannot be read.

        Returns:
            Whether the condition began to hold now, or ceased to.
        """
        before, self.figure = self.on, figure
        if figure is None:
            self.on = False
        elif figure > self.condition.limit:
            self.on, self._low, self.observed = True, None, figure
        elif figure >= self.condition.limit * RECOVERY:
            self._low = None
        elif self._low is None or now < self._low:
            self._low = now
        elif now - self._low >= HOLD:
            self.on = False
        return self.on != before
