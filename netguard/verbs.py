"""What passes between a guard and a connection: the facts that are read, the verbs, and what is said with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from netguard.taps import EVERY, Whole

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from netguard.errors import Reason
    from netguard.packed import Packed
    from netguard.peer import Peer
    from netguard.units import Prefix

Way = Literal["in", "out"]


@attrs.frozen
class Misdeed:
    """Something that a peer did and should not have done.

    Args:
        kind: a word for it, such as ``failed-login``, ``malformed`` or ``cut``.
        weight: how bad it was; 1 is an ordinary one.
        once: the same token from the same peer counts once, as when a mail program tries its old password over and
            over; None when each time counts.
    """

    kind: str
    weight: float = 1.0
    once: bytes | None = None


@attrs.frozen
class Heard:
    """What a :class:`Reader` has heard.

    Args:
        rest: the bytes behind it; they are the application's.
        claimed: the address that counts for the peer from here on; None when the socket's does.
        destination: the address that the peer says it has connected to, or None.
        claims: what else was claimed, by name; nothing of it has been verified.
    """

    rest: bytes = b""
    claimed: IAddress | None = None
    destination: IAddress | None = None
    claims: Mapping[str, object] = attrs.field(factory=dict)


class Reader(Protocol):
    """What an opener returns to hear the first bytes of a connection itself, before there is an application.

    The reading is not paused, and it is the reader that bounds what it keeps; the time is bounded by ``handshake``.
    A reader may have an attribute ``within``: after so many seconds it hears ``b""``, which means that nothing more
    came, and must have heard enough, or the connection is refused. Unless it has, that is so after a minute.
    One that has an attribute ``last``, and claims no address, hears when all other guards have been asked: so who says
    nothing takes its place among its peers meanwhile.
    """

    def receive(self, data: bytes) -> Heard | None:
        """Hear some bytes.

        Args:
            data: what came.

        Returns:
            None while more is needed, then what was heard. A refusal is told to the connection.
        """


class Newcomer(Protocol):
    """A peer of which no more may be there yet than its address; every connection is one, too."""

    @property
    def address(self) -> IAddress | None:
        """The address that counts for this peer."""

    @property
    def host(self) -> str | None:
        """The same, as text without its port; None for peers without one."""

    @property
    def port(self) -> int:
        """Its port; 0 for peers without one."""

    @property
    def packed(self) -> Packed:
        """The host in the form in which it is looked up."""

    @property
    def now(self) -> float:
        """The present moment."""

    def key(self, prefix: Prefix) -> Packed:
        """By what the peer is counted, when so many bits of an address make one; asked by guard after guard.

        Args:
            prefix: how many.
        """


class Connection(Newcomer, Protocol):
    """One guarded connection, as guards see it. The facts are read; the verbs are the whole vocabulary.

    Every ``do`` is called with the connection, once. Prefer a method of the guard to a lambda or a closure: equal
    watches of ten thousand connections are then one object.
    """

    @property
    def number(self) -> int:
        """Unique within the process; the ``session`` of its events."""

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
    def local(self) -> IAddress | None:
        """The address of ours that its socket is connected to; None while an opener is asked that waits for nothing."""

    @property
    def peer(self) -> Peer:
        """What is known of the peer, each fact with its provenance."""

    @property
    def patience(self) -> float:
        """By how much the time limits of this connection are multiplied: less than 1 while the service is strained."""

    @property
    def awaits_tls(self) -> bool:
        """Whether TLS begins once the guards have let the connection in: until then, the peer speaks first."""

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

    def tap(self, look: Callable[[Any, bytes], object], unless: Whole = EVERY) -> None:
        """Call ``look`` with the connection and every chunk that comes, before it is delivered.

        Args:
            look: what is called.
            unless: chunks that it need not be shown; it may be all the same.
        """

    def untap(self, look: Callable[[Any, bytes], object]) -> None:
        """Show no more chunks to ``look``; a tap that has seen enough should say so, for each one costs."""

    def cut(self, reason: Reason) -> None:
        """End the connection now, by an abort; the application's connectionLost gets the reason."""

    def refuse(self, reason: Reason) -> bool:
        """Do not let the connection in; no application protocol is built. False where the guard only observes."""

    def settled(self, do: Callable[[Any], object]) -> None:
        """Call ``do`` when the application says that the peer is past its login."""

    def at_end(self, do: Callable[[Any], object]) -> None:
        """Call ``do`` once, when the connection has ended, however that came about; a later refusal included."""

    def misdeed(self, kind: str, weight: float = 1.0, once: bytes | None = None) -> None:
        """Say that the peer did something that it should not have done; see :class:`Misdeed`."""

    def learn(self, **facts: object) -> None:
        """Write down what a look-up found out about the peer, for :attr:`peer` and for the log.

        Args:
            facts: ``name`` (a verdict on its name), ``ident`` (what its ident server claims), ``privileged`` (that the
                log is to say that its port is a privileged one).
        """


VERBS = (
    "after",
    "when_silent",
    "when_stalled",
    "when_received",
    "when_sent",
    "pause",
    "resume",
    "tap",
    "untap",
    "cut",
    "refuse",
    "settled",
    "at_end",
    "misdeed",
)
"""Twelve, for pause and resume are one, and so are tap and untap."""
