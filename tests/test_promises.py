"""The seventeen promises are written once, and a configuration keeps those of which something is on."""

from __future__ import annotations

import pytest

from netguard.policy import defaults, words
from netguard.promises import POP, PROMISES, WRAP, kept


def test_there_are_seventeen() -> None:
    """In their order."""
    assert [each.number for each in PROMISES] == list(range(1, 18))


def test_every_option_exists() -> None:
    """In the catalogue; the others are options of a service."""
    assert {name for each in PROMISES for name in each.options} <= set(words())
    assert {name for each in PROMISES for name in each.settings} == {"tls", "log-format", "drain", "heartbeat", "lock"}


@pytest.mark.parametrize(
    ("surface", "off"), [(POP, {4, 10, 12, 13, 15, 16, 17}), (WRAP, {4, 10, 11, 12, 13, 15, 16, 17})]
)
def test_what_is_off_by_default_is_said(surface: str, off: set[int]) -> None:
    """Of the guards alone: a service's own options are not among their defaults."""
    assert {each.promise.number for each in kept(defaults(surface), {}, surface) if not each.is_kept} == off


def test_who_only_observes_keeps_nothing() -> None:
    """It is said apart."""
    (seventh,) = (each for each in kept({"write-stall": "1m"}, {}, WRAP, ["write-stall"]) if each.promise.number == 7)
    assert not seventh.is_kept
    assert (seventh.by, seventh.observed, seventh.more) == ({}, {"write-stall": "1m"}, ("min-rate-out",))


def test_settings_count_as_options_do() -> None:
    """With their values."""
    last = kept({}, {"lock": "/run/x"}, WRAP)[-1]
    assert (last.is_kept, last.by) == (True, {"lock": "/run/x"})
