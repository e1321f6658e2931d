"""netguard: the defences that every network service needs, as guards around any Twisted protocol."""

from netguard.application import connection_of, misdeed, settle
from netguard.factory import GuardedFactory
from netguard.fleet.joining import join_fleet
from netguard.guard import Connection, Guard, frozen
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
from netguard.mixins import TimeoutMixin
from netguard.options import option
from netguard.policy import CATALOGUE, Policy

__version__ = "0.1.0"

__all__ = [
    "CATALOGUE",
    "AccessRules",
    "Bandwidth",
    "ByteLimit",
    "Connection",
    "ConnectionLimit",
    "ConnectionRate",
    "FirstByteTimeout",
    "Guard",
    "GuardedFactory",
    "HandshakeTimeout",
    "Ident",
    "IdleTimeout",
    "Lifetime",
    "LoadShedding",
    "LoginTimeout",
    "MinimumRate",
    "Penalties",
    "Policy",
    "ProxyProtocol",
    "Refusal",
    "TimeoutMixin",
    "Transport",
    "VerifiedName",
    "WriteStall",
    "connection_of",
    "frozen",
    "join_fleet",
    "misdeed",
    "option",
    "settle",
]
