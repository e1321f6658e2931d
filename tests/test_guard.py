"""What is promised of a guard: frozen data, compared by value, and a small vocabulary that a real connection speaks."""

from __future__ import annotations

import inspect
from typing import Any, cast

import attrs
import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from netguard import connection, units
from netguard.errors import OptionError
from netguard.factory import GuardedFactory
from netguard.guard import VERBS, Connection, Guard, House, frozen
from netguard.options import option
from netguard.policy import CATALOGUE


@frozen
class Tea(Guard):
    """A guard whose options may be absent, and one that refines them."""

    green: int | None = option("green", units.count, "So many.", default=None)
    black: int | None = option("black", units.count, "So many.", default=None)
    steep: float = option("steep", units.duration, "So long.", default=180.0)


@frozen
class Water(Guard):
    """A guard without options."""


def test_a_guard_is_frozen_data() -> None:
    """It does not change, equals its like and can be a key."""
    tea = Tea(green="5")
    assert tea == Tea(5)
    assert hash(tea) == hash(Tea(5))
    assert tea != Tea(6)
    assert tea != Tea(5, observe=True)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        tea.green = 6
    with pytest.raises((AttributeError, TypeError)):
        cast("Any", tea).white = 7


def test_a_guard_with_nothing_to_do_is_refused() -> None:
    """An option that only refines does not bring a guard about; the error names those that do."""
    for arguments in ({}, {"steep": 5}, {"green": None, "black": None}):
        with pytest.raises(OptionError, match=r"^Tea needs at least one of: green, black$"):
            Tea(**arguments)


def test_a_guard_without_options_is_complete() -> None:
    """It has only itself to say, and whether it observes."""
    assert Water() == Water()
    assert Water(observe=True).observe
    assert not Water().observe


def test_observe_is_given_by_name() -> None:
    """Never by position, where it could be mistaken for an option."""
    with pytest.raises(TypeError):
        Water(True)


class _House:
    """A service."""

    reactor = Clock()

    def tell(self, name: str, fields: object) -> None:
        """Nothing is told."""


def test_a_guard_is_installed_as_its_own_opener_unless_it_says_otherwise() -> None:
    """And the opener of a guard that does nothing lets everybody pass."""
    water = Water()
    opener = water.install(cast("House", _House()))
    assert opener == water.open
    assert opener(cast("Connection", object())) is None


@pytest.mark.parametrize("guard", CATALOGUE)
def test_every_guard_of_the_catalogue_is_described(guard: type[Guard]) -> None:
    """What it is, and each of its arguments."""
    told = inspect.getdoc(guard) or ""
    assert attrs.has(guard)
    assert all(f"{each.name}:" in told for each in attrs.fields(guard) if each.init and each.name != "observe")
    assert guard.__doc__ != Guard.__doc__


def test_the_vocabulary_is_small_and_whole() -> None:
    """Twelve verbs at most, a verb and its undoing being one, which a real connection has, with equal arguments."""
    undoing = {"resume", "untap"}
    assert len(set(VERBS) - undoing) <= 12
    for verb in VERBS:
        promised = inspect.signature(getattr(Connection, verb)).parameters
        real = inspect.signature(getattr(connection.Connection, verb)).parameters
        assert list(promised) == list(real)
        assert [each.default for each in promised.values()] == [each.default for each in real.values()]


def test_every_fact_of_the_contract_is_one_of_a_real_connection() -> None:
    """A guard can rely on them."""
    facts = [name for name, member in vars(Connection).items() if isinstance(member, property)]
    assert len(facts) >= 10
    for fact in facts:
        assert hasattr(connection.Connection, fact)
    assert callable(connection.Connection.exchange)


def test_a_guard_wraps_a_factory_by_itself() -> None:
    """The short way to guard with one guard."""
    clock = Clock()
    made = Water().wrap(cast("Any", Factory.forProtocol(Protocol)), cast("Any", clock))
    assert isinstance(made, GuardedFactory)
    assert made.guards == (Water(),)
