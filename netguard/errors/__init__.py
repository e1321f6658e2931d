"""Every reason to refuse or to cut a connection, and every way an option can be wrong.

The rules of this file:

* one class for each way a connection can end by our doing, so that an application can tell them apart in
  ``connectionLost`` and a test can name the one it expects;
* each carries its numbers (the limit, what was observed) and the option that would change it, so that a log line
  can be built from the exception alone;
* each is a child of :class:`twisted.internet.error.ConnectionAborted`, which is what every Twisted application
  already knows how to treat.
"""

from netguard.errors.cuts import (
    BackendStalled,
    DrainOver,
    Expelled,
    HandshakeTooSlow,
    Idle,
    ItemTooLong,
    LifetimeOver,
    LoginTooSlow,
    NoBackend,
    NoFirstByte,
    QueueTooLong,
    ReceivingTooSlow,
    SendingTooSlow,
    TooMuchReceived,
    TooMuchSent,
    WriteStalled,
)
from netguard.errors.options import ContradictoryOptions, OptionError, UnknownOption
from netguard.errors.reason import ORDINARY, SLIGHT, Reason
from netguard.errors.refusals import (
    ConnectingTooFast,
    Denied,
    DeniedByFile,
    Draining,
    NameNotVerified,
    NameUnknown,
    OpeningFailed,
    PeerConnectingTooFast,
    Penalised,
    PrivilegedPort,
    ProxyHeaderMalformed,
    ProxyHeaderMissing,
    ProxyHeaderUnexpected,
    Shedding,
    TooEarly,
    TooManyConnections,
    TooManyFromPeer,
    TooManyPending,
    Unwanted,
)

__all__ = [
    "ORDINARY",
    "SLIGHT",
    "BackendStalled",
    "ConnectingTooFast",
    "ContradictoryOptions",
    "Denied",
    "DeniedByFile",
    "DrainOver",
    "Draining",
    "Expelled",
    "HandshakeTooSlow",
    "Idle",
    "ItemTooLong",
    "LifetimeOver",
    "LoginTooSlow",
    "NameNotVerified",
    "NameUnknown",
    "NoBackend",
    "NoFirstByte",
    "OpeningFailed",
    "OptionError",
    "PeerConnectingTooFast",
    "Penalised",
    "PrivilegedPort",
    "ProxyHeaderMalformed",
    "ProxyHeaderMissing",
    "ProxyHeaderUnexpected",
    "QueueTooLong",
    "Reason",
    "ReceivingTooSlow",
    "SendingTooSlow",
    "Shedding",
    "TooEarly",
    "TooManyConnections",
    "TooManyFromPeer",
    "TooManyPending",
    "TooMuchReceived",
    "TooMuchSent",
    "UnknownOption",
    "Unwanted",
    "WriteStalled",
]
