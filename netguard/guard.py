"""The contract of a guard: what it is, what it is given, and what it may ask of a connection.

* A guard is one concern and its options: frozen data, declared with :func:`netguard.options.option`.
* It knows no other guard, no factory, no transport. It receives a :class:`Connection` and uses its verbs.
* What many connections share (counts, rates) lives in what :meth:`Guard.install` returns, never on the guard.
* What one connection needs lives on the connection, as marks and deadlines; a guard is never called per chunk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import attrs

from netguard.errors import OptionError
from netguard.options import Dial, options_of
from netguard.stages import LATER, Gate, Later, Opener, Stages
from netguard.taps import Whole
from netguard.verbs import VERBS, Connection, Heard, Misdeed, Newcomer, Reader, Way

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

__all__ = [
    "LATER",
    "VERBS",
    "Connection",
    "Gate",
    "Guard",
    "Heard",
    "House",
    "Later",
    "Misdeed",
    "Newcomer",
    "Opener",
    "Reader",
    "Stages",
    "Way",
    "Whole",
    "frozen",
]

_Class = TypeVar("_Class", bound=type)


class House(Protocol):
    """What a guard may know of the service it is installed in, over all its ports, and ask of it."""

    signals: Any
    """The readings of the machine's load; see :mod:`netguard.load.signals`."""

    names: Any
    """The resolver of peers' names, or None."""

    ident: Any
    """The client of peers' ident servers, or None."""

    strained: bool
    """Whether newcomers are refused for now, since there is too much to do."""

    penalties: list[Any]
    """Ledgers of misdeeds, for those who list and clear them."""

    tallies: list[Any]
    """What is counted together with other machines, if there are any; see :class:`netguard.elsewhere.Tally`."""

    totals: list[Callable[[Any], object]]
    """For each count over all peers: what is called with a column, in which other processes count, too."""

    sharers: int
    """How many processes serve the same ports."""

    dials: list[Any]
    """The options that can be changed while the service runs; see :meth:`Guard.settable`."""

    @property
    def reactor(self) -> IReactorTime:
        """The clock that everything of this service goes by."""

    @property
    def population(self) -> int:
        """How many connections live."""

    def tell(self, name: str, fields: Mapping[str, object]) -> None:
        """Tell an event of the service."""

    def each_tick(self, do: Callable[[float], object]) -> None:
        """Call ``do`` with the time at every sweep: while there are connections, or ``do`` has last returned True."""

    def when_misdeed(self, do: Callable[[Any, Misdeed], object]) -> None:
        """Call ``do`` with the connection and its misdeed, whenever one is told."""

    def when_reloaded(self, do: Callable[[], object]) -> None:
        """Call ``do`` when files are to be read again; if it raises OptionError, that is told and nothing changed."""

    def when_reviewed(self, review: Callable[[Any], Awaitable[object]]) -> None:
        """Await ``review`` with every connection that lives when rules were read again, if such are to be cut."""

    def refuse_by(self, style: str) -> None:
        """Answer refused connections so: ``close``, ``reset`` or ``text:`` and the text."""

    def carry_by(self, kind: str) -> None:
        """Carry connections by our ``native`` transport where that can be, or by Twisted's ``stock`` one."""

    def give_up_after(self, seconds: float, do: Callable[[Any], object]) -> None:
        """Let the kernel give up peers that take nothing for so long; ``do`` is called with each connection lost."""

    def pause_accepting(self, who: str) -> bool:
        """Leave newcomers in the kernel's queue until ``who`` resumes; False when no port is known that could."""

    def resume_accepting(self, who: str) -> None:
        """Accept again, unless another holds the ports."""

    def tighten(self, share: float) -> None:
        """Multiply the time limits of all connections that are not settled by this; 1 takes it back."""


def frozen(cls: _Class) -> _Class:
    """Make a guard class: immutable, compared by value, its options converted and checked when it is made."""
    return attrs.frozen(cls)


# Not attrs' own decorator: type checkers would derive an __init__ from the fields, and refuse IdleTimeout("30s").
@frozen
class Guard:
    """One concern and its options.

    Args:
        observe: report what the guard would have done (``would_refuse``, ``would_cut``, ``would_pause``), once for a
            connection, and do nothing.

    Raises:
        OptionError: no option was given, or a value is not of its unit.
    """

    observe: bool = attrs.field(default=False, kw_only=True)

    policy: ClassVar[Callable[[Guard], Any]]
    before_tls: ClassVar[bool] = False
    """Whether it has to see what comes before TLS, where there is TLS."""

    if TYPE_CHECKING:

        def __init__(self, *args: Any, **options: Any) -> None:
            """Guards take their options as values or as text."""

    def __attrs_post_init__(self) -> None:
        """Refuse a guard that has nothing to do."""
        deciding = [each for each in options_of(type(self)) if not each.qualifies]
        if deciding and all(getattr(self, each.field) is None for each in deciding):
            names = ", ".join(each.field for each in deciding)
            message = f"{type(self).__name__} needs at least one of: {names}"
            raise OptionError(message)

    def install(self, house: House) -> Opener | Stages:
        """Begin to guard the connections of one service.

        Args:
            house: the service's clock and voice, and what it shares over all its ports.

        Returns:
            What is called with each new connection before the application hears of it, once it is known who is behind
            the socket; or what is asked at which stage. An opener may return an awaitable: the connection then waits
            for it, reading paused, under the handshake deadline. Or a :class:`Reader`, which hears the first bytes.
        """
        return self.open

    def open(self, connection: Connection) -> Awaitable[object] | Reader | None:
        """Meet a new connection: set marks and deadlines on it, refuse it, or let it pass."""

    def settable(self, house: House, field: str, turn: Callable[[Any], object]) -> None:
        """Let operators change an option while the service runs, if it is on.

        Args:
            house: the service.
            field: the option's name in Python.
            turn: called with the new value.
        """
        value = getattr(self, field)
        if value is not None:
            one = next(each for each in options_of(type(self)) if each.field == field)
            house.dials.append(Dial(self, one, value, turn))

    def wrap(self, factory: Any, reactor: IReactorTime | None = None) -> Any:
        """Guard a factory with this guard alone; see :meth:`netguard.policy.Policy.wrap`."""
        return type(self).policy(self).wrap(factory, reactor)
