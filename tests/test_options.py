"""What is promised of an option: one declaration, from which every surface learns the same."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import Any, cast

import attrs
import pytest

from netguard import units
from netguard.errors import OptionError
from netguard.guard import Guard, frozen
from netguard.options import is_off, option, options_of, spelled_out


@frozen
class Tea(Guard):
    """A guard with an option of each kind."""

    steep: float = option("steep", units.duration, "Steep for this long.", defaults={"pot": "3m"})
    leaves: int | None = option("leaves", units.count, "So many leaves.", default=None)
    milk: int = option("milk", units.size, "So much milk.", default=64)


def test_a_declaration_is_known_by_its_field() -> None:
    """Flag, unit, help, defaults by surface and the Python argument are told of each, in the order of the fields."""
    steep, leaves, milk = options_of(Tea)
    assert (steep.flag, steep.unit, steep.help, steep.field) == (
        "steep",
        units.duration,
        "Steep for this long.",
        "steep",
    )
    assert (steep.defaults, leaves.defaults) == ({"pot": "3m"}, {})
    assert [each.qualifies for each in (steep, leaves, milk)] == [False, False, True]


def test_the_field_that_all_guards_have_is_no_option() -> None:
    """``observe`` names guards; it is not declared on each."""
    assert "observe" in attrs.fields_dict(cast("Any", Tea))
    assert "observe" not in {each.field for each in options_of(Tea)}


def test_the_converter_is_the_parser() -> None:
    """Text and plain values make equal guards, by position or by name."""
    assert Tea("3m", "7", "1KiB") == Tea(180, 7, 1024) == Tea(steep=180.0, leaves=7, milk="1024")


def test_an_option_without_a_default_has_to_be_given() -> None:
    """Such a guard does not exist without it."""
    with pytest.raises(TypeError, match="steep"):
        Tea()


@pytest.mark.parametrize("wrong", [{"steep": "soon"}, {"steep": None}, {"leaves": 0}, {"milk": None}])
def test_a_value_that_is_none_names_its_option(wrong: dict[str, Any]) -> None:
    """The error is one line for the person who wrote the option."""
    (flag,) = wrong
    with pytest.raises(OptionError, match=f"^option {flag}: .* is not ") as caught:
        Tea(**{"steep": 1, **wrong})
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_option_that_may_be_absent_takes_none() -> None:
    """None means: not given."""
    assert Tea(1, None).leaves is None


@pytest.mark.parametrize("value", [None, False, "off", "OFF", " no ", "None", ["off"]])
def test_what_switches_an_option_off(value: object) -> None:
    """The same words on every surface."""
    assert is_off(value)


@pytest.mark.parametrize("value", [0, "", "0", "on", True, "offer", 30, [], ["off", "::1"]])
def test_what_does_not(value: object) -> None:
    """Anything else is a value, to be judged by its unit."""
    assert not is_off(value)


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ("::1", ["allow ::1"]),
        ("10.0.0.0/8, .example", ["allow 10.0.0.0/8", "allow .example"]),
        (["10.0.0.0/8", "::1,::2"], ["allow 10.0.0.0/8", "allow ::1", "allow ::2"]),
        (IPv4Address("192.0.2.7"), ["allow 192.0.2.7"]),
        ("", ["allow "]),
        ("off", ["off"]),
        (["off"], ["off"]),
        (False, ["off"]),
        (True, [True]),
    ],
)
def test_a_shorthand_is_the_first_word_of_each_value(value: object, spelled: list[object]) -> None:
    """What is off stays off."""
    assert spelled_out("allow", value) == spelled


def test_a_mistake_names_the_shorthands_of_its_option() -> None:
    """Whoever wrote one of them knows the option by no other name."""

    @frozen
    class Door(Guard):
        """A guard whose option has shorthands."""

        hours: float = option("hours", units.duration, "How long it is open.", shorthands=("day", "night"))

    assert [each.shorthands for each in options_of(Door)] == [("day", "night")]
    with pytest.raises(OptionError, match=re.escape("option hours (day, night): 'x' is not a duration")):
        Door("x")
