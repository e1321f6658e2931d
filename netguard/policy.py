"""A policy: a set of guards; and the catalogue of those that netguard has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

import attrs

from netguard.errors import ContradictoryOptions, OptionError, UnknownOption
from netguard.factory import TICK, GuardedFactory
from netguard.guard import Guard
from netguard.guards.bandwidth import Bandwidth
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.connection_rate import ConnectionRate
from netguard.guards.first_byte_timeout import FirstByteTimeout
from netguard.guards.handshake_timeout import HandshakeTimeout
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.lifetime import Lifetime
from netguard.guards.login_timeout import LoginTimeout
from netguard.guards.minimum_rate import MinimumRate
from netguard.guards.write_stall import WriteStall
from netguard.options import Option, is_off, options_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocolFactory, IReactorTime

CATALOGUE: tuple[type[Guard], ...] = (
    ConnectionLimit,
    ConnectionRate,
    HandshakeTimeout,
    FirstByteTimeout,
    LoginTimeout,
    IdleTimeout,
    Lifetime,
    MinimumRate,
    WriteStall,
    ByteLimit,
    Bandwidth,
)
"""Every guard, in the order in which a connection meets them: the cheapest refusals first."""

OBSERVE = "observe"


def flags() -> dict[str, tuple[Option, ...]]:
    """Every option of the catalogue by its flag; two guards may share one."""
    found: dict[str, tuple[Option, ...]] = {}
    for each in CATALOGUE:
        for one in options_of(each):
            found[one.flag] = (*found.get(one.flag, ()), one)
    return found


def defaults(surface: str) -> dict[str, str]:
    """The options that are on unless switched off.

    Args:
        surface: ``guard`` for a bare ``guard:`` and for netguard-wrap, ``pop`` for netguard-pop.
    """
    return {flag: ones[0].defaults[surface] for flag, ones in flags().items() if surface in ones[0].defaults}


@attrs.frozen(init=False)
class Policy:
    """A set of guards, to be put around factories.

    Args:
        guards: the guards; their order does not matter, a connection meets them in the catalogue's. Two of one kind
            become one when they do not contradict each other.

    Raises:
        ContradictoryOptions: two guards of one kind give one option two values.
    """

    guards: tuple[Guard, ...]

    def __init__(self, *guards: Guard) -> None:
        ranked = sorted(guards, key=lambda each: (_rank(each), type(each).__name__))
        merged = [_merge(list(alike)) for _, alike in groupby(ranked, key=type)]
        self.__attrs_init__(tuple(merged))

    @classmethod
    def from_options(cls, given: Mapping[str, Any], surface: str | None = None) -> Policy:
        """The policy that options describe.

        Args:
            given: values, as text or as they are, by flag; ``off`` or None switches an option off. ``observe`` names
                guards (or ``all``), as a list or with commas.
            surface: whose defaults hold for the options that are not given; None for no defaults.

        Raises:
            UnknownOption: no guard has such an option.
            OptionError: a value is not of its option's unit, or an option has nothing to refine.
        """
        known = flags()
        for flag in given:
            if flag not in known and flag != OBSERVE:
                raise UnknownOption(flag, [*known, OBSERVE])
        wanted = {**(defaults(surface) if surface else {}), **given}
        observe = wanted.pop(OBSERVE, None)
        on = {flag: value for flag, value in wanted.items() if not is_off(value)}
        guards = [made for each in CATALOGUE if (made := _make(each, on)) is not None]
        _refuse_idle_qualifiers(on, guards, given)
        return cls(*_observing(guards, observe))

    def options(self) -> dict[str, str]:
        """The options, as text by flag, from which an equal policy can be made."""
        written: dict[str, str] = {}
        for guard in self.guards:
            for one in options_of(type(guard)):
                value = getattr(guard, one.field)
                if value is not None:
                    written[one.flag] = one.unit.text(value)
        observed = [type(each).__name__ for each in self.guards if each.observe]
        return {**written, OBSERVE: ",".join(observed)} if observed else written

    def wrap(
        self,
        factory: IProtocolFactory,
        reactor: IReactorTime | None = None,
        *,
        tick: float = TICK,
        beside: GuardedFactory | None = None,
    ) -> GuardedFactory:
        """Guard a factory, for servers or for clients.

        A factory that is guarded already is not wrapped twice: one wrapper has the guards of both.

        Args:
            factory: the application's factory.
            reactor: the clock (``IReactorTime``); the global reactor unless given.
            tick: seconds between two sweeps: a deadline fires within one tick after its moment.
            beside: what an earlier ``wrap`` of this policy returned; limits then count both together.

        Raises:
            ContradictoryOptions: the factory is guarded already, with other values.
        """
        policy, inner = self, factory
        if isinstance(factory, GuardedFactory):
            policy, inner = Policy(*self.guards, *factory.guards), factory.wrapped
        observed = frozenset(type(each).__name__ for each in policy.guards if each.observe)
        return GuardedFactory(inner, policy.guards, observed=observed, reactor=reactor, tick=tick, beside=beside)


def _rank(guard: Guard) -> int:
    return CATALOGUE.index(type(guard)) if type(guard) in CATALOGUE else len(CATALOGUE)


def _merge(alike: list[Guard]) -> Guard:
    first, *others = alike
    for other in others:
        changes = {}
        for one in attrs.fields(type(first)):
            mine, theirs = getattr(first, one.name), getattr(other, one.name)
            if mine != theirs and theirs not in (None, one.default):
                if mine not in (None, one.default):
                    message = f"{type(first).__name__}: {one.name} is {mine!r} and also {theirs!r}"
                    raise ContradictoryOptions(message)
                changes[one.name] = theirs
        first = attrs.evolve(first, **changes)
    return first


def _make(guard: type[Guard], on: Mapping[str, Any]) -> Guard | None:
    mine = {one.field: on[one.flag] for one in options_of(guard) if one.flag in on}
    deciding = any(one.flag in on and not one.qualifies for one in options_of(guard))
    return guard(**mine) if deciding else None


def _refuse_idle_qualifiers(on: Mapping[str, Any], guards: Iterable[Guard], given: Mapping[str, Any]) -> None:
    used = {one.flag for guard in guards for one in options_of(type(guard))}
    for flag, ones in flags().items():
        if flag in given and flag in on and flag not in used:
            message = f"option {flag} has no effect by itself: {ones[0].help}"
            raise OptionError(message)


def _observing(guards: list[Guard], observe: object) -> list[Guard]:
    if is_off(observe):
        return guards
    parts = observe.split(",") if isinstance(observe, str) else list(observe)  # type: ignore[call-overload]
    names = {part.strip() for each in parts for part in str(each).split(",") if part.strip()}
    known = {type(each).__name__.lower(): type(each) for each in guards}
    for name in names - {"all"}:
        if name.lower() not in known:
            raise UnknownOption(f"{OBSERVE}={name}", [f"{OBSERVE}={each.__name__}" for each in known.values()])
    chosen = {name.lower() for name in names}
    return [
        attrs.evolve(each, observe=True) if "all" in chosen or type(each).__name__.lower() in chosen else each
        for each in guards
    ]


Guard.policy = Policy
