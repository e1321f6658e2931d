"""Why a connection was not let in."""

from __future__ import annotations

from netguard import units
from netguard.errors.reason import Reason

_WORDS = units.Unit("words", "words", str)
"""What was observed is told in words, always our own."""


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
        self.left = left

    def __str__(self) -> str:
        """Say also for how long."""
        text = super().__str__()
        return f"{text}, for {units.duration.text(round(self.left, 3))} more" if self.left else text


class Draining(Reason):
    """The service is closing and takes no new connections."""

    summary = "the service is shutting down"


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
