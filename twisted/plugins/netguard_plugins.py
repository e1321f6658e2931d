"""What netguard adds to Twisted: names only, since every twistd and trial run reads this file."""

from __future__ import annotations

from twisted.application.service import ServiceMaker

from netguard.endpoints import GuardClientParser, GuardServerParser
from netguard.plugins.auth import AuthFactory
from netguard.socks_endpoints import SocksClientParser

netguard_pop = ServiceMaker(
    "netguard-pop",
    "netguard.plugins.pop",
    "A POP3 server for Maildirs, under guards.",
    "netguard-pop",
)
netguard_relay = ServiceMaker(
    "netguard-relay",
    "netguard.plugins.relay",
    "Guards in front of any TCP server.",
    "netguard-relay",
)
netguard_wrap = ServiceMaker(
    "netguard-wrap",
    "netguard.plugins.wrap",
    "Guard every listening service of another twistd plugin.",
    "netguard-wrap",
)
guard_server_endpoints = GuardServerParser()
guard_client_endpoints = GuardClientParser()
socks_client_endpoints = SocksClientParser()
netguard_auth = AuthFactory()
