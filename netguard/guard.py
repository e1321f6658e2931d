"""The contract of a guard: what it is, what it is given, and what it may ask of a connection.

* A guard is one concern and its options: frozen data, declared with :func:`netguard.options.option`.
* It knows no other guard, no factory, no transport. It receives a :class:`Connection` and uses its verbs.
* What many connections share (counts, rates) lives in what :meth:`Guard.install` returns, never on the guard.
* What one connection needs lives on the connection, as marks and deadlines; a guard is never called per chunk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

import attrs

from netguard.errors import OptionError, Reason
from netguard.options import options_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IReactorTime

Way = Literal["in", "out"]
_Class = TypeVar("_Class", bound=type)


class Connection(Protocol):
    """One guarded connection, as guards see it. The facts are read; the verbs are the whole vocabulary.

    Every ``do`` is called with the connection, once. Prefer a method of the guard to a lambda or a closure: equal
    watches of ten thousand connections are then one object.
    """

    @property
    def received(self) -> int:
        """Bytes that came from the peer."""

    @property
    def sent(self) -> int:
        """Bytes that the application wrote, those that are held back excepted."""

    @property
    def written(self) -> int:
        """Bytes that the application wrote."""

    @property
    def queued(self) -> int:
        """Bytes written that have not left this process."""

    @property
    def age(self) -> float:
        """Seconds since the connection was made."""

    @property
    def silent(self) -> float:
        """Seconds since a byte came, or the peer took one of ours; 0 while nobody was listening to it."""

    @property
    def stalled(self) -> float:
        """Seconds for which bytes have been waiting for the peer and it has taken none; 0 when none wait."""

    @property
    def handshaking(self) -> float | None:
        """Seconds for which the TLS handshake, or the guards' own opening, has been going on; else None."""

    @property
    def settled_at(self) -> float | None:
        """The age at which the application said that this peer is past its login; else None."""

    def exchange(self, way: Way) -> tuple[float, int] | None:
        """Seconds and bytes of the exchange in flight, or None.

        In: what the peer has begun to send and the application has not yet answered with a write.
        Out: what the application has written and the peer has not yet taken altogether.
        """

    @property
    def address(self) -> IAddress | None:
        """The address that counts for this peer."""

    @property
    def host(self) -> str | None:
        """The same, as text without its port; None for peers without one."""

    @property
    def admitted(self) -> bool:
        """Whether no guard has refused the connection so far."""

    def after(self, seconds: float, do: Callable[[Any], object]) -> None:
        """Call ``do`` this many seconds from now."""

    def when_silent(self, seconds: float, do: Callable[[Any], object]) -> None:
        """Call ``do`` when the peer has been silent for this many seconds."""

    def when_stalled(self, seconds: float, do: Callable[[Any], object]) -> None:
        """Call ``do`` when bytes have waited this many seconds for a peer that takes none."""

    def when_received(self, count: int, do: Callable[[Any], object]) -> None:
        """Call ``do`` as soon as more than this many bytes have come, before they are delivered."""

    def when_sent(self, count: int, do: Callable[[Any], object], *, held: bool = False) -> None:
        """Call ``do`` when this many bytes have been written and more are to follow, before they do.

        Bytes that are held back do not count. With ``held`` they do: ``do`` is then called as soon as more than this
        many bytes have been written, and they are queued already.
        """

    def pause(self, who: str, way: Way = "in") -> None:
        """Stop reading from the peer, or passing on what the application writes, until ``who`` resumes."""

    def resume(self, who: str, way: Way = "in") -> None:
        """Take back ``who``'s pause; what others paused stays paused."""

    def tap(self, look: Callable[[bytes], object]) -> None:
        """Show every chunk that comes to ``look``, before it is delivered."""

    def cut(self, reason: Reason) -> None:
        """End the connection now, by an abort; the application's connectionLost gets the reason."""

    def refuse(self, reason: Reason) -> None:
        """Do not let the connection in; no application protocol is built."""

    def settled(self, do: Callable[[Any], object]) -> None:
        """Call ``do`` when the application says that the peer is past its login."""

    def at_end(self, do: Callable[[Any], object]) -> None:
        """Call ``do`` once, when the connection has ended, however that came about; a later refusal included."""


VERBS = (
    "after",
    "when_silent",
    "when_stalled",
    "when_received",
    "when_sent",
    "pause",
    "resume",
    "tap",
    "cut",
    "refuse",
    "settled",
    "at_end",
)

Opener = Callable[[Any], "Awaitable[object] | None"]


class House(Protocol):
    """What a guard may know of the factory it is installed in."""

    @property
    def reactor(self) -> IReactorTime:
        """The clock that everything of this factory goes by."""

    def tell(self, name: str, fields: Mapping[str, object]) -> None:
        """Tell an event of the service."""


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

    def install(self, house: House) -> Opener:
        """Begin to guard the connections of one service.

        Args:
            house: the service's clock and voice.

        Returns:
            What is called with each new connection before the application hears of it. It may return an awaitable:
            the connection then waits for it, reading paused, under the handshake deadline.
        """
        return self.open

    def open(self, connection: Connection) -> Awaitable[object] | None:
        """Meet a new connection: set marks and deadlines on it, refuse it, or let it pass."""

    def wrap(self, factory: Any, reactor: IReactorTime | None = None) -> Any:
        """Guard a factory with this guard alone; see :meth:`netguard.policy.Policy.wrap`."""
        return type(self).policy(self).wrap(factory, reactor)
