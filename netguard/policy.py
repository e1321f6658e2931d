"""A policy: a set of guards; and the catalogue of those that netguard has."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

import attrs

from netguard.errors import ContradictoryOptions, OptionError, UnknownOption
from netguard.factory import TICK, GuardedFactory
from netguard.guard import Guard
from netguard.guards.access_rules import AccessRules
from netguard.guards.bandwidth import Bandwidth
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.connection_rate import ConnectionRate
from netguard.guards.first_byte_timeout import FirstByteTimeout
from netguard.guards.handshake_timeout import HandshakeTimeout
from netguard.guards.ident import Ident
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.lifetime import Lifetime
from netguard.guards.load_shedding import LoadShedding
from netguard.guards.login_timeout import LoginTimeout
from netguard.guards.minimum_rate import MinimumRate
from netguard.guards.penalties import Penalties
from netguard.guards.proxy_protocol import ProxyProtocol
from netguard.guards.refusal import Refusal
from netguard.guards.transport import Transport
from netguard.guards.verified_name import VerifiedName
from netguard.guards.write_stall import WriteStall
from netguard.options import Option, is_off, options_of, spelled_out

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

CATALOGUE: tuple[type[Guard], ...] = (
    ConnectionLimit,
    ConnectionRate,
    ProxyProtocol,
    LoadShedding,
    AccessRules,
    Penalties,
    Ident,
    VerifiedName,
    HandshakeTimeout,
    FirstByteTimeout,
    LoginTimeout,
    IdleTimeout,
    Lifetime,
    MinimumRate,
    WriteStall,
    ByteLimit,
    Bandwidth,
    Refusal,
    Transport,
)
"""Every guard, in the order in which a connection meets them: the cheapest refusals first. Who asks beside a connection
comes before who lets it wait, so that both ask at once."""

OBSERVE = "observe"


def flags() -> dict[str, tuple[Option, ...]]:
    """Every option of the catalogue by its flag; two guards may share one."""
    found: dict[str, tuple[Option, ...]] = {}
    for each in CATALOGUE:
        for one in options_of(each):
            found[one.flag] = (*found.get(one.flag, ()), one)
    return found


def shorthands() -> dict[str, str]:
    """The words that stand for an option and for the first word of its values; see :class:`netguard.options.Option`."""
    return {word: flag for flag, ones in flags().items() for word in ones[0].shorthands}


def words() -> tuple[str, ...]:
    """Every word that means something as an option, whatever the surface."""
    return (*flags(), *shorthands(), OBSERVE)


def without_shorthands(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same options, each under its flag; what several words say of one stays in the order in which they stand.

    Args:
        given: values by flag or shorthand.
    """
    known = shorthands()
    mixed = {known[word] for word in given if word in known}
    found: dict[str, Any] = {}
    for word, value in given.items():
        if word in known:
            found[known[word]] = [*found.get(known[word], ()), *spelled_out(word, value)]
        elif word in mixed:
            found[word] = [*found.get(word, ()), *(value if isinstance(value, list | tuple) else [value])]
        else:
            found[word] = value
    return found


def defaults(surface: str) -> dict[str, str]:
    """The options that are on unless switched off.

    Args:
        surface: ``guard`` for a bare ``guard:``, netguard-relay and netguard-wrap, ``pop`` for netguard-pop.
    """
    return {flag: ones[0].defaults[surface] for flag, ones in flags().items() if surface in ones[0].defaults}


@attrs.frozen(init=False)
class Policy:
    """A set of guards, to be put around factories.

    Args:
        guards: the guards; their order does not matter, a connection meets them in the catalogue's, and after them
            those that are not in it. Two of one kind become one when they do not contradict each other.

    Raises:
        ContradictoryOptions: two guards of one kind give one option two values, or only one of them observes.
    """

    guards: tuple[Guard, ...]

    def __init__(self, *guards: Guard) -> None:
        kinds: dict[type[Guard], list[Guard]] = {}
        for each in guards:
            kinds.setdefault(type(each), []).append(each)
        merged = [_merge(*kinds[kind]) for kind in sorted(kinds, key=_rank)]
        self.__attrs_init__(tuple(merged))

    @classmethod
    def from_options(cls, given: Mapping[str, Any], surface: str | None = None) -> Policy:
        """The policy that options describe.

        Args:
            given: values, as text or as they are, by flag; ``off``, None or False switches an option off.
                ``observe`` names guards, as a list or with commas; ``all`` or True stands for every one.
            surface: whose defaults hold for the options that are not given; None for no defaults.

        Raises:
            UnknownOption: no guard has such an option.
            OptionError: a value is not of its option's unit, or an option has nothing to refine.
        """
        known = words()
        for word in given:
            if word not in known:
                raise UnknownOption(word, known)
        given = without_shorthands(given)
        wanted = {**(defaults(surface) if surface else {}), **given}
        observe = wanted.pop(OBSERVE, None)
        on = {flag: value for flag, value in wanted.items() if not is_off(value)}
        guards = [made for each in CATALOGUE if (made := _make(each, on)) is not None]
        _refuse_idle_qualifiers(on, guards, given)
        return cls(*_observing(guards, observe))

    @property
    def before_tls(self) -> bool:
        """Whether a guard has to see what comes before TLS; see :mod:`netguard.before_tls`."""
        return any(each.before_tls for each in self.guards)

    def options(self) -> dict[str, str]:
        """The options, as text by flag, from which an equal policy can be made (guards of the catalogue provided).

        Raises:
            ContradictoryOptions: two guards share an option and were given, in Python, two values for it.
        """
        written: dict[str, str] = {}
        for guard in self.guards:
            for one in options_of(type(guard)):
                value = getattr(guard, one.field)
                if value is not None:
                    text = one.unit.text(value)
                    if written.setdefault(one.flag, text) != text:
                        message = f"option {one.flag} is {written[one.flag]} and also {text}"
                        raise ContradictoryOptions(message)
        observed = [type(each).__name__ for each in self.guards if each.observe]
        return {**written, OBSERVE: ",".join(observed)} if observed else written

    def wrap(
        self,
        factory: Any,
        reactor: IReactorTime | None = None,
        *,
        tick: float = TICK,
        beside: GuardedFactory | None = None,
        verbose: bool = True,
        tls: Any = None,
    ) -> GuardedFactory:
        """Guard a factory, for servers or for clients.

        A factory that is guarded already is not wrapped twice: one wrapper has the guards of both.

        Args:
            factory: the application's factory (``IProtocolFactory``).
            reactor: the clock (``IReactorTime``); unless given, that of the guarded factory inside, or the global one.
            tick: seconds between two sweeps: a deadline fires within one tick after its moment, never before it. One
                that is counted from the last byte is counted from the sweep that saw the byte: where the limit is no
                multiple of the tick, that may add up to one tick more.
            beside: what an earlier ``wrap`` of this policy returned; limits then count both together.
            verbose: whether the events of level debug (``accepted``, ``opened``) are told, too.
            tls: a context factory, where the port listens without TLS and the guarded factory is to begin it: after a
                PROXY header has been read.

        Raises:
            ContradictoryOptions: the factory is guarded already, with other values.
        """
        policy, inner, secured = self, factory, getattr(factory, "tls", None)
        if isinstance(factory, GuardedFactory):
            policy, inner = Policy(*self.guards, *factory.guards), factory.wrapped
            reactor = reactor or factory._reactor  # noqa: SLF001 - its property would choose the global one already now
        observed = frozenset(type(each).__name__ for each in policy.guards if each.observe)
        guarded = GuardedFactory(
            inner, policy.guards, observed=observed, reactor=reactor, tick=tick, beside=beside, verbose=verbose
        )
        guarded.tls = secured
        if tls is not None:
            guarded.begin_tls_by(tls)
        return guarded


def _rank(kind: type[Guard]) -> tuple[int, str]:
    return (
        CATALOGUE.index(kind) if kind in CATALOGUE else len(CATALOGUE),
        f"{kind.__name__} {kind.__module__} {kind.__qualname__}",
    )


def _merge(first: Guard, *others: Guard) -> Guard:
    for other in others:
        changes = {}
        for one in filter(attrgetter("init"), attrs.fields(cast("Any", type(first)))):
            mine, theirs = getattr(first, one.name), getattr(other, one.name)
            # A default yields; but a guard that acts does not yield to one that only observes.
            yielding = () if one.name == OBSERVE else (None, one.default)
            if mine != theirs and mine not in yielding and theirs not in yielding:
                raise ContradictoryOptions(_contradiction(type(first), one.name, mine, theirs))
            if mine in yielding:
                changes[one.name] = theirs
        first = attrs.evolve(cast("Any", first), **changes)
    return first


def _contradiction(guard: type[Guard], field: str, *values: object) -> str:
    one = next((each for each in options_of(guard) if each.field == field), None)
    name, unit = (field, str) if one is None else (one.flag, one.unit.text)
    return f"option {name} is {' and also '.join(map(unit, values))} ({guard.__name__})"


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


def _observing(guards: list[Guard], observe: Any) -> list[Guard]:
    if is_off(observe):
        return guards
    parts = observe if isinstance(observe, list | tuple | set | frozenset) else ["all" if observe is True else observe]
    names = {part.strip() for each in parts for part in str(each).split(",") if part.strip()}
    if any(name.lower() == "all" for name in names):
        names = {type(each).__name__ for each in guards}
    here = {type(each).__name__.lower() for each in guards}
    for name in sorted(names):
        _refuse_unknown_guard(name, here)
    chosen = {name.lower() for name in names}
    return [attrs.evolve(cast("Any", each), observe=type(each).__name__.lower() in chosen) for each in guards]


def _refuse_unknown_guard(name: str, here: Container[str]) -> None:
    if name.lower() in here:
        return
    every = {each.__name__.lower(): each.__name__ for each in CATALOGUE}
    if name.lower() in every:
        message = f"option {OBSERVE}: {every[name.lower()]} has nothing to observe, none of its options is on"
        raise OptionError(message)
    raise UnknownOption(name, every.values(), f"guard in {OBSERVE}")


Guard.policy = Policy
