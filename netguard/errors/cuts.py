"""Why a connection that was let in was ended by us."""

from __future__ import annotations

from netguard import units
from netguard.errors.reason import ORDINARY, SLIGHT, Reason


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


class NoBackend(Reason):
    """None of the servers behind the relay could be reached; observed is how many were tried."""

    option = "to"
    summary = "no backend takes the connection"


class BackendStalled(Reason):
    """The server behind the relay took nothing of what waited for it."""

    guard, option, unit = "WriteStall", "write-stall", units.duration
    summary = "the backend stopped reading"


class Expelled(Reason):
    """An operator, or the closing service at its deadline, ended the connection."""

    summary = "ended by the service"


class DrainOver(Expelled):
    """The service stops, and the connection was not done within the time that such have."""

    option, unit = "drain", units.duration
    summary = "the service stops, and the connection was not done in time"
