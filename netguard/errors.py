"""Every reason to refuse or to cut a connection, and every way an option can be wrong.

The rules of this file:

* one class for each way a connection can end by our doing, so that an application can tell them apart in
  ``connectionLost`` and a test can name the one it expects;
* each carries its numbers (the limit, what was observed) and the option that would change it, so that a log line
  can be built from the exception alone;
* each is a child of :class:`twisted.internet.error.ConnectionAborted`, which is what every Twisted application
  already knows how to treat.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

from twisted.internet.error import ConnectionAborted

from netguard import units

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_NAME = 60
_WORDS = units.Unit("words", "words", str)
"""What was observed is told in words, always our own."""


ORDINARY, SLIGHT = 1.0, 0.5
"""Weights of what a peer was cut for: what no honest peer does, and what a broken network can do to one."""


class OptionError(ValueError):
    """An option that cannot be honoured. Its text is one line for the person who wrote the option."""


class UnknownOption(OptionError):
    """An option that no guard declares.

    Args:
        name: the option as it was written.
        known: the options that exist here; the nearest is offered as "did you mean".
        what: the word for it, where it is another kind of name.
    """

    def __init__(self, name: str, known: Iterable[str], what: str = "option") -> None:
        self.name = name
        near = get_close_matches(name[:_LONGEST_NAME], list(known), n=1, cutoff=0.6)
        self.suggestion: str | None = near[0] if near else None
        hint = f"; did you mean {self.suggestion!r}?" if self.suggestion else ""
        super().__init__(f"unknown {what} {name[:_LONGEST_NAME]!r}{hint}")


class ContradictoryOptions(OptionError):
    """Two guards of one kind, brought together by nesting or by one policy, disagree about an option."""


class Reason(ConnectionAborted):
    """Why a connection was refused or cut.

    Args:
        limit: the limit that decided, in the unit of the option.
        observed: what was seen, in the same unit.
    """

    guard: ClassVar[str] = ""
    option: ClassVar[str] = ""
    summary: ClassVar[str] = "ended by netguard"
    unit: ClassVar[units.Unit] = units.count
    weight: ClassVar[float] = 0.0
    """How much of a misdeed it is to be cut for this (a failed login is 1): nothing where honest peers come to it by
    themselves, such as by falling idle, and half where a broken network can be the cause; see
    :class:`netguard.guards.penalties.Penalties`."""

    def __init__(self, limit: object = None, observed: object = None) -> None:
        if isinstance(observed, float):
            observed = round(observed, 3)  # nobody needs microseconds in a log, and the clock is coarser than this
        if isinstance(limit, float):
            limit = round(limit, 6)  # it may be a tenth of what was asked for, which is not always a round number
        super().__init__(limit, observed)
        self.limit = limit
        self.observed = observed

    def __str__(self) -> str:
        """Say what happened, the limit, what was observed, and which option changes it."""
        parts = [self.summary]
        if self.observed is not None:
            parts.append(f"observed {self.unit.text(self.observed)}")
        if self.limit is not None:
            parts.append(f"limit {self.unit.text(self.limit)}")
        if self.option:
            parts.append(f"option {self.option}")
        return ", ".join(parts)


class Idle(Reason):
    """Nothing came from the peer and it took nothing, for too long."""

    guard, option, unit = "IdleTimeout", "idle", units.duration
    summary = "the peer fell silent"


class NoFirstByte(Reason):
    """The peer connected and never said a word."""

    guard, option, unit, weight = "FirstByteTimeout", "first-byte", units.duration, SLIGHT
    summary = "the peer sent nothing after connecting"


class HandshakeTooSlow(Reason):
    """The TLS handshake, or what has to be settled before the application may start, took too long."""

    guard, option, unit, weight = "HandshakeTimeout", "handshake", units.duration, SLIGHT
    summary = "the handshake was not finished in time"


class LoginTooSlow(Reason):
    """The application did not say in time that this peer is past its login."""

    guard, option, unit, weight = "LoginTimeout", "login", units.duration, SLIGHT
    summary = "the peer did not log in in time"


class LifetimeOver(Reason):
    """The connection has existed for as long as it may."""

    guard, option, unit = "Lifetime", "lifetime", units.duration
    summary = "the connection reached its maximum age"


class ReceivingTooSlow(Reason):
    """The peer began to send something and brings it at less than the minimum rate."""

    guard, option, unit, weight = "MinimumRate", "min-rate-in", units.rate, SLIGHT
    summary = "the peer sends too slowly"


class SendingTooSlow(Reason):
    """The peer takes what we queued for it at less than the minimum rate."""

    guard, option, unit, weight = "MinimumRate", "min-rate-out", units.rate, SLIGHT
    summary = "the peer reads too slowly"


class WriteStalled(Reason):
    """Bytes are queued for the peer and it takes none."""

    guard, option, unit, weight = "WriteStall", "write-stall", units.duration, SLIGHT
    summary = "the peer stopped reading"


class TooMuchReceived(Reason):
    """The peer sent more, in all, than a connection may bring."""

    guard, option, unit, weight = "ByteLimit", "max-in", units.size, ORDINARY
    summary = "the peer sent too much"


class TooMuchSent(Reason):
    """The application sent more, in all, than a connection may take."""

    guard, option, unit = "ByteLimit", "max-out", units.size
    summary = "more was to be sent than a connection may take"


class ItemTooLong(Reason):
    """The peer sent too many bytes without the delimiter that ends an item."""

    guard, option, unit, weight = "ByteLimit", "max-item", units.size, ORDINARY
    summary = "an item without its delimiter grew too long"


class QueueTooLong(Reason):
    """Too many bytes wait for a peer that does not take them."""

    guard, option, unit, weight = "ByteLimit", "max-queue", units.size, SLIGHT
    summary = "too much is queued for a peer that does not read it"


class TooManyConnections(Reason):
    """As many connections are open as may be."""

    guard, option, unit = "ConnectionLimit", "max-connections", units.count
    summary = "too many connections are open"


class TooManyFromPeer(Reason):
    """As many connections are open from this address, or its prefix, as may be."""

    guard, option, unit = "ConnectionLimit", "max-per-peer", units.count
    summary = "too many connections are open from this peer"


class ConnectingTooFast(Reason):
    """Connections come faster, from all peers together, than they may."""

    guard, option, unit = "ConnectionRate", "connect-rate", units.frequency
    summary = "connections come too fast"


class PeerConnectingTooFast(Reason):
    """Connections come faster from this address, or its prefix, than they may."""

    guard, option, unit = "ConnectionRate", "connect-rate-per-peer", units.frequency
    summary = "connections come too fast from this peer"


class ProxyHeaderMissing(Reason):
    """The peer is a proxy that must say for whom it connects, and said nothing of the kind, or not in time."""

    guard, option, unit = "ProxyProtocol", "proxy-from", units.duration
    summary = "the peer must begin with a PROXY header and did not"


class ProxyHeaderMalformed(Reason):
    """The peer is a proxy that must say for whom it connects, and said it wrongly."""

    guard, option, unit = "ProxyProtocol", "proxy-from", _WORDS
    summary = "the PROXY header is malformed"


class ProxyHeaderUnexpected(Reason):
    """The peer sent a PROXY header, and is none of those whose headers are believed."""

    guard, option, weight = "ProxyProtocol", "proxy-from", 1.0
    summary = "the peer began with a PROXY header and must not"


class Denied(Reason):
    """The access rules do not let the peer in: a rule denies it, or none allows it.

    Args:
        limit: the rule, as it is written, and where it stands.
        observed: what is known of the peer's name, where that decided.
    """

    guard, option, unit = "AccessRules", "rules", _WORDS
    summary = "the access rules do not let the peer in"


class DeniedByFile(Denied):
    """The same, by a rule of the file."""

    option = "access"


class NameUnknown(Reason):
    """The access rules need the peer's name, and it could not be found out.

    Args:
        limit: the rule that needs it, as it is written, and where it stands.
        observed: ``timeout`` or ``failure``.
    """

    guard, option, unit = "AccessRules", "names-fail", _WORDS
    summary = "the access rules need the peer's name, and it could not be found out"


class NameNotVerified(Reason):
    """Every peer has to have a name that resolves back to its address, and this one has none, as far as is known.

    Args:
        limit: what is required.
        observed: the verdict: ``no-name``, ``mismatch``, ``timeout`` or ``failure``.
    """

    guard, option, unit = "VerifiedName", "names", _WORDS
    summary = "the peer's name was not verified"


class PrivilegedPort(Reason):
    """The peer's port is one that needs privileges on UNIX; which proves nothing, and is not wanted here."""

    guard, option, unit = "AccessRules", "privileged-port", units.port
    summary = "the peer's port is a privileged one"


class Shedding(Reason):
    """The service is overloaded, by one of the signals that it goes by, and takes no newcomers for a while."""

    guard, option, unit = "LoadShedding", "shed", units.Unit("text", "text", str)
    summary = "the service is overloaded"


class TooManyPending(Reason):
    """As many peers are on their way to being settled as may be."""

    guard, option, unit = "LoadShedding", "shed-limit", units.adaptive
    summary = "too many peers are not yet past their login"


class Penalised(Reason):
    """The peer has misbehaved too often lately, and is refused for a while.

    Args:
        limit: the weight of misdeeds that is tolerated in a period.
        observed: what led to the penalty.
        left: seconds for which it is still refused.
    """

    guard, option, unit = "Penalties", "penalty", units.frequency
    summary = "the peer has misbehaved too often"

    def __init__(self, limit: object = None, observed: object = None, left: float | None = None) -> None:
        super().__init__(limit, observed)
        self.left = None if left is None else round(left, 3)

    def __str__(self) -> str:
        """Say also for how long."""
        text = super().__str__()
        return f"{text}, for {units.duration.text(self.left)} more" if self.left else text


class Draining(Reason):
    """The service is closing and takes no new connections."""

    summary = "the service is shutting down"


class Expelled(Reason):
    """An operator, or the closing service at its deadline, ended the connection."""

    summary = "ended by the service"


class Unwanted(Reason):
    """The application's factory built no protocol for the connection."""

    summary = "the application took no connection"


class OpeningFailed(Reason):
    """A guard could not do its work before the application was to start; nothing gets in unexamined."""

    summary = "a guard failed while the connection was opening"


class TooEarly(Reason):
    """More came from the peer, while the guards were still deciding, than is kept for it."""

    unit = units.size
    summary = "the peer sent too much before it was let in"
